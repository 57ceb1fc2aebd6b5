//! What a client has asked, and what must come of it by its own words: when it must be answered, how far the pump must turn,
//! how long the water must have come to rest before a frame.

use super::episode::{self, ENDS};
use planktor_protocol::Instant;
use planktor_protocol::plan::UntilStill;
use planktor_runtime::scenario::Said;
use serde_json::Value;
use std::time::Duration;

/// A slow bus may hold its caller; after three seconds nobody waits any more.
const LAMP_ANSWERS: Duration = Duration::from_secs(4);
/// So soon the lamp is as it was told, where nothing is broken.
pub(super) const LAMP_FOLLOWS: Duration = Duration::from_secs(1);

/// What was said, and what has come of it.
#[derive(Clone, Debug)]
pub(super) struct Order {
    pub(super) at: Instant,
    pub(super) what: What,
    /// How often a status was the last word on it.
    pub(super) answered: u32,
    /// How often it was answered where it asked to be.
    pub(super) responded: u32,
    pub(super) due: Instant,
    /// When it was.
    pub(super) over: Option<Instant>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum What {
    /// Volume in nL; with the pump's ramp or to try another one.
    Stroke(f64),
    Focus,
    StopPump,
    StopFocus,
    StopImager,
    Light,
    Acquisition(Acquisition),
    /// A question about the pump's calibration, or a change of it: no status says what came of it.
    Ramp,
    /// Something that can only be refused, or configured, at once.
    AtOnce,
}

/// What an acquisition promises.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Acquisition {
    /// The shortest settling before a capture, s.
    pub(super) settling: f64,
    /// The same as long as nobody has learned how long the water needs.
    pub(super) unlearned: f64,
    pub(super) strobes: bool,
}

impl Order {
    /// Its id, and what it is.
    pub(super) fn of(said: &Said) -> Option<(u64, Self)> {
        let at = episode::instant(said);
        let (payload, action) = (&said.payload, said.payload["action"].as_str().unwrap_or_default());
        let what = match (said.topic.as_str(), action) {
            ("actuator/pump", "stop") => What::StopPump,
            ("actuator/focus", "stop") => What::StopFocus,
            ("imager/image", "stop") => What::StopImager,
            ("actuator/pump", "move" | "try") => {
                match (payload["volume"].as_f64(), payload["direction"].as_str()) {
                    (Some(ml), Some("BACKWARD")) => What::Stroke(-ml * 1e6),
                    (Some(ml), _) => What::Stroke(ml * 1e6),
                    _ => What::AtOnce,
                }
            }
            ("actuator/pump", "get-ramp" | "set-ramp") => What::Ramp,
            ("actuator/focus", "move") => What::Focus,
            ("light", _) => What::Light,
            ("imager/image", "image") => {
                let settling = payload["sleep"].as_f64().unwrap_or(0.0);
                What::Acquisition(Acquisition { settling, unlearned: settling, strobes: false })
            }
            ("planktor/acquire", _) => What::Acquisition(Acquisition::of(&payload["plan"])),
            _ => What::AtOnce,
        };
        let due = at + answered_within(what, payload);
        Some((payload["id"].as_u64()?, Self { at, what, answered: 0, responded: 0, due, over: None }))
    }

    pub(super) fn is_stop(&self) -> bool {
        matches!(self.what, What::StopPump | What::StopFocus | What::StopImager)
    }

    /// Just before it, if frames are to be strobed for it.
    pub(super) fn before_it_strobes(&self) -> Option<Instant> {
        let strobes = matches!(self.what, What::Acquisition(Acquisition { strobes: true, .. }));
        strobes.then(|| self.at - Duration::from_micros(1))
    }

    /// Whether frames may be strobed for it, and the lamp be dark between them, or was until just before.
    pub(super) fn strobes_at(&self, then: Instant) -> bool {
        let strobes = self.before_it_strobes().is_some();
        strobes && self.at <= then && self.over.is_none_or(|over| over + LAMP_FOLLOWS > then)
    }

    /// Whether the lamp may change for it at some time from here to there.
    pub(super) fn sets_lamp(&self, from: Instant, to: Instant) -> bool {
        self.what == What::Light && self.at + LAMP_ANSWERS >= from && self.at <= to
    }

    /// Whether nothing more is to come of it.
    pub(super) fn is_answered(&self) -> bool {
        self.responded > 0 && (self.answered > 0 || self.what == What::Ramp)
    }
}

impl Acquisition {
    fn of(plan: &Value) -> Self {
        let UntilStill { at_least, at_most, .. } = UntilStill::default();
        let shortest = |until_still: (&str, Duration)| {
            let (mut since, mut shortest) = (0.0, f64::INFINITY);
            walk(plan, until_still, &mut since, &mut shortest);
            shortest.min(1e6)
        };
        Self {
            settling: shortest(("at_least_s", at_least)),
            unlearned: shortest(("at_most_s", at_most)),
            strobes: plan.to_string().contains("strobe_us"),
        }
    }
}

/// How long everything has been left alone before a capture, at least, s; a repeat begins once more where it ends. Of settling
/// until the water is still one bound counts, or what it usually is.
fn walk(steps: &Value, until_still: (&str, Duration), since: &mut f64, shortest: &mut f64) {
    for step in steps.as_array().into_iter().flatten() {
        match step["step"].as_str().unwrap_or_default() {
            "pump" | "flow" | "focus_by" | "focus_to" => *since = 0.0,
            "settle" => *since += step["seconds"].as_f64().unwrap_or(0.0),
            "settle_until_still" => {
                let (bound, usual) = until_still;
                *since += step[bound].as_f64().unwrap_or(usual.as_secs_f64());
            }
            "capture" => *shortest = shortest.min(*since),
            "repeat" => {
                walk(&step["steps"], until_still, since, shortest);
                walk(&step["steps"], until_still, since, shortest);
            }
            _ => {}
        }
    }
}

/// How long an answer may take: what the command itself takes by a generous reckoning, and what a fault may add.
fn answered_within(what: What, payload: &Value) -> Duration {
    match what {
        What::AtOnce => Duration::from_secs(1),
        What::StopPump | What::StopFocus => Duration::from_secs(1),
        // A stop that comes while the last frame is written is answered when that is done; a ramp when it is kept.
        What::StopImager | What::Ramp => Duration::from_secs(130),
        What::Light => LAMP_ANSWERS,
        What::Stroke(nl) => {
            let flow = payload["flowrate"].as_f64().unwrap_or(1.0).max(0.01);
            Duration::from_secs_f64(1.3 * nl.abs() / 1e6 / flow * 60.0 + 10.0)
        }
        What::Focus => {
            let (mm, speed) = (payload["distance"].as_f64(), payload["speed"].as_f64());
            Duration::from_secs_f64(
                1.3 * mm.unwrap_or(0.0).abs() / speed.unwrap_or(5.0).clamp(0.01, 5.0) + 10.0,
            )
        }
        // At the end of the episode.
        What::Acquisition(_) => ENDS + Duration::from_secs(20),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_plan_promises_the_shortest_of_its_settlings() {
        let (pump, capture) = (json!({"step": "pump"}), json!({"step": "capture"}));
        let settle = |s: f64| json!({"step": "settle", "seconds": s});
        let still = json!({"step": "settle_until_still", "at_least_s": 0.2});
        let of = |steps: Vec<&Value>| {
            let plan = json!([{"step": "repeat", "times": 2, "steps": steps}]);
            let Acquisition { settling, unlearned, .. } = Acquisition::of(&plan);
            (settling, unlearned)
        };
        let focus = json!({"step": "focus_to"});
        assert_eq!(of(vec![&pump, &settle(1.0), &settle(0.5), &capture]), (1.5, 1.5));
        assert_eq!(of(vec![&pump, &settle(1.0), &capture, &focus, &settle(0.5), &capture]), (0.5, 0.5));
        assert_eq!(of(vec![&pump, &still, &capture]), (0.2, 3.0));
        assert_eq!(of(vec![&capture, &pump, &settle(2.0)]), (0.0, 0.0), "nobody settles at first");
    }
}
