//! Breaks the twin on purpose: hands out the scenario's faults when they are due, listens for the occasions that others
//! wait for, and takes orders on `planktor/twin/…`. A real board has none of this, and says so.
//!
//! | topic | payload | answered on `planktor/status/twin` |
//! |---|---|---|
//! | `planktor/twin/fault` | `{"what": …, "when": …, "for_s": …}`, as in a scenario | `{"status": "Ordered", "fault": 3}` |
//! | `planktor/twin/mend` | `{"fault": 3}`, or `{}` for all | `{"status": "Mended"}` |
//! | `planktor/twin/status` | `{}` | `{"status": "Twin", "faults": […]}` |

use crate::mqtt::Message;
use crate::scenario::{MOST_FAULTS, Mischief, Seconds, When};
use planktor_sim::faults::Spell;
use planktor_sim::random::{hash, unit};
use planktor_sim::{Fault, Twin};
use serde::Deserialize;
use serde_json::{Value, json};
use std::time::Duration;

/// Below it, everything is the twin's.
pub const TOPIC: &str = "planktor/twin/";
/// Where it answers.
pub const STATUS: &str = "planktor/status/twin";

/// Times that one thing happens at random.
const AT_RANDOM: usize = 1_000;
/// Times that things may break in a run: any scenario fits.
const MOST: usize = MOST_FAULTS * AT_RANDOM;

/// The one who breaks things.
pub struct Troublemaker {
    twin: Twin,
    seed: u64,
    ordered: Vec<Ordered>,
    /// Times that things have been ordered to break.
    times: usize,
}

/// A mischief, and what has come of it.
struct Ordered {
    mischief: Mischief,
    /// How often its occasion is still to come.
    awaited: u32,
    spells: Vec<Spell>,
}

/// Why there is none.
const NO_TWIN: &str = "this is a real instrument: it has no twin that could be broken";

impl Troublemaker {
    /// Orders a scenario's faults; its start is now.
    pub fn new(twin: Twin, seed: u64, faults: &[Mischief]) -> Self {
        let mut maker = Self { twin, seed, ordered: vec![], times: 0 };
        faults.iter().for_each(|mischief| drop(maker.order(mischief.clone())));
        maker
    }

    /// The twin that it breaks.
    pub fn twin(&self) -> &Twin {
        &self.twin
    }

    /// Something was published.
    pub fn heard(&mut self, message: &Message) {
        let mut status = None;
        for Ordered { mischief, awaited, spells } in &mut self.ordered {
            let When::After(occasion) = &mischief.when else { continue };
            if *awaited > 0 && occasion.topic == message.topic {
                let status = status.get_or_insert_with(|| status_of(message));
                *awaited -= u32::from(occasion.status.as_ref().is_none_or(|word| word == status));
                if *awaited == 0 {
                    spells.push(begin(&self.twin, mischief, occasion.delay_s.duration()));
                }
            }
        }
    }

    /// Takes an order on a topic below [`TOPIC`]; gives back what to answer.
    pub fn receive(&mut self, message: &Message) -> Value {
        let answer = match message.topic.strip_prefix(TOPIC) {
            Some("fault") => self.fault(&message.payload),
            Some("mend") => self.mend(&message.payload),
            Some("status") => Ok(self.status()),
            _ => Err(format!("nothing listens on {}; try {TOPIC}fault, mend or status", message.topic)),
        };
        answer.unwrap_or_else(|reason| refusal(&reason))
    }

    fn fault(&mut self, payload: &[u8]) -> Result<Value, String> {
        let mischief = serde_json::from_slice(payload).map_err(|why| format!("no such fault: {why}"))?;
        self.order(mischief).map(|number| json!({"status": "Ordered", "fault": number}))
    }

    /// Gives the number under which it can be mended.
    fn order(&mut self, mischief: Mischief) -> Result<usize, String> {
        let number = self.ordered.len();
        self.times += if matches!(mischief.when, When::EveryS(_)) { AT_RANDOM } else { 1 };
        if self.times > MOST {
            return Err(format!(
                "more than {MOST} times that something breaks have been ordered; start again"
            ));
        }
        let (spells, awaited) = match &mischief.when {
            When::AtS(after) => (vec![begin(&self.twin, &mischief, after.duration())], 0),
            When::After(occasion) => (vec![], occasion.count.max(1)),
            When::EveryS(mean) => (self.at_random(&mischief, *mean), 0),
        };
        self.ordered.push(Ordered { mischief, awaited, spells });
        Ok(number)
    }

    /// As rain falls: without memory, so long apart in the mean.
    fn at_random(&self, mischief: &Mischief, mean: Seconds) -> Vec<Spell> {
        let seed = hash(self.seed, self.ordered.len() as u64);
        let mut after = Duration::ZERO;
        let spell = |n| {
            // At least a hundredth of the mean: nothing happens endlessly often in no time.
            let apart = (-(1.0 - unit(hash(seed, n))).ln()).clamp(0.01, 20.0);
            after += mean.duration().mul_f64(apart);
            begin(&self.twin, mischief, after)
        };
        (0..AT_RANDOM as u64).map(spell).collect()
    }

    fn mend(&mut self, payload: &[u8]) -> Result<Value, String> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Mend {
            fault: Option<usize>,
        }
        let Mend { fault } =
            serde_json::from_slice(payload).map_err(|why| format!("nothing to mend: {why}"))?;
        match fault {
            Some(number) => self.mend_one(number)?,
            None => (0..self.ordered.len()).try_for_each(|number| self.mend_one(number))?,
        }
        Ok(json!({"status": "Mended"}))
    }

    fn mend_one(&mut self, number: usize) -> Result<(), String> {
        let ordered =
            self.ordered.get_mut(number).ok_or_else(|| format!("fault {number} was never ordered"))?;
        ordered.awaited = 0;
        let mut world = self.twin.world();
        ordered.spells.drain(..).for_each(|spell| world.mend(spell));
        Ok(())
    }

    fn status(&self) -> Value {
        let faults: Vec<Fault> = self.twin.world().faults().map(|(_, fault)| fault.clone()).collect();
        json!({"status": "Twin", "seed": self.seed, "faults": faults})
    }
}

/// What is answered where there is no twin.
pub fn no_twin() -> Value {
    refusal(NO_TWIN)
}

fn refusal(reason: &str) -> Value {
    json!({"status": "Error", "reason": reason})
}

fn begin(twin: &Twin, mischief: &Mischief, after: Duration) -> Spell {
    let mut world = twin.world();
    let from = world.now() + after;
    let until = mischief.for_s.map(|lasts| from + lasts.duration());
    world.break_it(mischief.what.clone(), from, until)
}

fn status_of(message: &Message) -> String {
    let payload: Value = serde_json::from_slice(&message.payload).unwrap_or_default();
    payload["status"].as_str().unwrap_or_default().into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use planktor_actors::alarm::VirtualClock;
    use planktor_protocol::{Instant, Utc};
    use planktor_sim::Settings;
    use planktor_sim::faults::{Bus, Motor};
    use std::sync::Arc;

    fn maker(faults: &[&str]) -> (VirtualClock, Troublemaker) {
        let clock = VirtualClock::standing_at(at(100.0));
        let settings = Settings::new(1, Settings::SMALL_FRAME, Utc::from_micros(0));
        let twin = Twin::new(Arc::new(clock.clone()), settings);
        let faults: Vec<_> = faults.iter().map(|fault| serde_json::from_str(fault).unwrap()).collect();
        (clock, Troublemaker::new(twin, 7, &faults))
    }

    fn at(s: f64) -> Instant {
        Instant::ZERO + Duration::from_secs_f64(s)
    }

    fn faults_at(clock: &VirtualClock, maker: &Troublemaker, s: f64) -> Vec<Fault> {
        clock.set(at(s));
        maker.twin.world().faults().map(|(_, fault)| fault.clone()).collect()
    }

    fn message(topic: &str, payload: &Value) -> Message {
        Message { topic: topic.into(), payload: payload.to_string().into_bytes(), ..Message::default() }
    }

    #[test]
    fn a_fault_comes_at_its_time_and_goes_at_its_end() {
        let (clock, maker) =
            maker(&[r#"{"what": {"cable-pulled": "pump"}, "when": {"at_s": 5}, "for_s": 2}"#]);
        assert_eq!(faults_at(&clock, &maker, 104.0), []);
        assert_eq!(faults_at(&clock, &maker, 106.0), [Fault::CablePulled(Bus::Pump)]);
        assert_eq!(faults_at(&clock, &maker, 107.5), []);
    }

    #[test]
    fn an_occasion_is_awaited_as_often_as_was_said() {
        let order = r#"{"what": {"chip-reset": "pump"}, "for_s": 1, "when":
            {"after": {"topic": "status/pump", "status": "Started", "count": 2, "delay_s": 0.5}}}"#;
        let (clock, mut maker) = maker(&[order]);
        let started = message("status/pump", &json!({"status": "Started"}));
        maker.heard(&started);
        maker.heard(&message("status/pump", &json!({"status": "Done"})));
        maker.heard(&message("status/focus", &json!({"status": "Started"})));
        assert_eq!(faults_at(&clock, &maker, 102.0), []);
        maker.heard(&started);
        assert_eq!(faults_at(&clock, &maker, 102.4), []);
        assert_eq!(faults_at(&clock, &maker, 102.6), [Fault::ChipReset(Motor::Pump)]);
        assert_eq!(faults_at(&clock, &maker, 104.0), []);
        maker.heard(&started);
        assert_eq!(faults_at(&clock, &maker, 106.0), [], "once is enough");
    }

    #[test]
    fn what_comes_at_random_comes_about_as_often_as_was_said_and_follows_from_the_seed() {
        let often = |seconds: u32| {
            let (clock, maker) = maker(&[r#"{"what": "no-fix", "when": {"every_s": 60}, "for_s": 1}"#]);
            let there = |s: &u32| !faults_at(&clock, &maker, 100.0 + f64::from(*s) + 0.5).is_empty();
            (0..seconds).filter(there).collect::<Vec<_>>()
        };
        let (first, second) = (often(6_000), often(6_000));
        assert!((60..150).contains(&first.len()), "{}", first.len());
        assert_eq!(first, second);
    }

    #[test]
    fn an_order_can_be_given_and_taken_back_by_message() {
        let (clock, mut maker) = maker(&[]);
        let fault = message("planktor/twin/fault", &json!({"what": "camera-silent"}));
        assert_eq!(maker.receive(&fault), json!({"status": "Ordered", "fault": 0}));
        assert_eq!(faults_at(&clock, &maker, 101.0), [Fault::CameraSilent]);
        let status = maker.receive(&message("planktor/twin/status", &json!({})));
        assert_eq!(status["faults"], json!(["camera-silent"]));
        let mended = maker.receive(&message("planktor/twin/mend", &json!({"fault": 0})));
        assert_eq!(mended["status"], "Mended");
        assert_eq!(faults_at(&clock, &maker, 101.0), []);
    }

    #[test]
    fn a_flood_of_orders_is_bounded() {
        let (_, mut maker) = maker(&[]);
        let flood =
            message("planktor/twin/fault", &json!({"what": "no-fix", "when": {"every_s": 60}, "for_s": 1}));
        let refused = (0..200).filter(|_| maker.receive(&flood)["status"] == "Error").count();
        assert_eq!(refused, 100);
    }

    #[test]
    fn what_is_no_order_is_refused_with_its_reason() {
        let (_, mut maker) = maker(&[]);
        for (topic, payload, word) in [
            ("fault", "{", "EOF"),
            ("fault", r#"{"what": "disk-fool"}"#, "disk-fool"),
            ("fault", r#"{"what": "disk-full", "for_s": -1}"#, "-1 s"),
            ("fault", r#"{"what": "disk-full", "more": 1}"#, "more"),
            ("mend", r#"{"fault": 3}"#, "never ordered"),
            ("mend", "5", "nothing to mend"),
            ("burn", "{}", "nothing listens"),
        ] {
            let topic = format!("{TOPIC}{topic}");
            let answer = maker.receive(&Message { topic, payload: payload.into(), ..Message::default() });
            assert_eq!(answer["status"], "Error");
            assert!(answer["reason"].as_str().unwrap().contains(word), "{payload}: {answer}");
        }
    }
}
