//! A routine: what a client says and what it must hear, the same on every arm: the twin in virtual time, the program in a
//! virtual machine, a real instrument. A routine knows limits and no clock: who performs it says what time it is.

use planktor_protocol::Instant;
use planktor_sim::faults::{Bus, Fault, Motor};
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::time::Duration;

/// How far a routine may go on an instrument, and which of its devices it may use.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// Most water of one stroke, mL.
    pub volume_ml: f64,
    /// Fastest flow, mL/min.
    pub flow_ml_min: f64,
    /// Most the stage goes at a time, mm.
    pub height_mm: f64,
    /// Brightest light, 0 to 1.
    pub light: f64,
    /// What is connected: pump, focus, light, bubbler, camera.
    pub connected: Vec<String>,
}

impl Default for Limits {
    /// What an instrument on a bench bears without anybody watching it: a drop, a tenth of a millimetre.
    fn default() -> Self {
        let connected = ["pump", "focus", "light", "bubbler", "camera"].map(Into::into).into();
        Self { volume_ml: 0.05, flow_ml_min: 3.0, height_mm: 0.1, light: 1.0, connected }
    }
}

/// A status that must come.
#[derive(Clone, Debug)]
pub struct Expected {
    /// Where.
    pub topic: &'static str,
    /// How its status (of a device: its health) begins.
    pub status: &'static str,
}

/// One step.
#[derive(Clone, Debug)]
pub enum Step {
    /// A command is sent.
    Say(&'static str, Value),
    /// This comes, sooner or later; everything else is passed over.
    Hear(Expected),
    /// Something breaks for so long.
    Break(Fault, Duration),
}

/// What is done on an instrument.
#[derive(Clone, Debug)]
pub struct Routine {
    /// As a sentence.
    pub name: &'static str,
    /// What must be connected.
    pub needs: &'static [&'static str],
    /// One after the other.
    pub steps: Vec<Step>,
}

impl Routine {
    /// Whether something breaks in it, which no real instrument is made to.
    pub fn breaks(&self) -> bool {
        self.steps.iter().any(|step| matches!(step, Step::Break(..)))
    }
}

/// What is done next.
#[derive(Clone, Debug, PartialEq)]
pub enum Deed {
    /// This is sent.
    Say(&'static str, Value),
    /// This breaks for so long.
    Break(Fault, Duration),
}

/// No step waits longer for what it is to hear: the longest stroke and a device that is opened again take seconds, and a
/// virtual machine is slow.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A routine under way.
#[derive(Debug)]
pub struct Performance {
    name: &'static str,
    steps: VecDeque<Step>,
    late: Instant,
}

impl Performance {
    /// Begins it; says what is done at once.
    pub fn begin(routine: Routine, now: Instant) -> (Self, Vec<Deed>) {
        let mut own = Self { name: routine.name, steps: routine.steps.into(), late: now };
        let deeds = own.go_on(now);
        (own, deeds)
    }

    /// Hears something; says what is done then.
    pub fn hears(&mut self, topic: &str, payload: &Value, now: Instant) -> Vec<Deed> {
        let status = payload["status"].as_str().or(payload["health"].as_str()).unwrap_or_default();
        match self.steps.front() {
            Some(Step::Hear(expected)) if expected.topic == topic && status.starts_with(expected.status) => {
                self.steps.pop_front();
                self.go_on(now)
            }
            Some(_) | None => vec![],
        }
    }

    fn go_on(&mut self, now: Instant) -> Vec<Deed> {
        self.late = now + PATIENCE;
        let mut deeds = vec![];
        while let Some(step) = self.steps.pop_front() {
            match step {
                Step::Say(topic, payload) => deeds.push(Deed::Say(topic, payload)),
                Step::Break(fault, time) => deeds.push(Deed::Break(fault, time)),
                Step::Hear(_) => {
                    self.steps.push_front(step);
                    break;
                }
            }
        }
        deeds
    }

    /// Whether everything came.
    pub fn is_over(&self) -> bool {
        self.steps.is_empty()
    }

    /// When it is too late for what is waited for.
    pub fn late(&self) -> Instant {
        self.late
    }

    /// What did not come.
    pub fn complaint(&self) -> String {
        match self.steps.front() {
            Some(Step::Hear(Expected { topic, status })) => {
                format!("{}: {status:?} on {topic} did not come within {} s", self.name, PATIENCE.as_secs())
            }
            Some(_) | None => format!("{}: it is over", self.name),
        }
    }
}

/// Leaves an instrument as it is to be left, whatever came before.
pub fn leave() -> [(&'static str, Value); 5] {
    let stop = json!({"action": "stop"});
    [
        ("imager/image", stop.clone()),
        ("actuator/pump", stop.clone()),
        ("actuator/focus", stop),
        ("light", json!({"action": "off"})),
        ("actuator/bubbler", json!({"action": "off"})),
    ]
}

/// Everything that must work on every arm.
pub fn all(limits: &Limits) -> Vec<Routine> {
    let routine = |name, needs, steps| Routine { name, needs, steps };
    vec![
        routine("the lamp is lit and goes dark", &["light"], lamp(limits)),
        routine("a stroke begins and is done", &["pump"], stroke(limits, limits.volume_ml / 5.0)),
        routine("a stroke is stopped in the middle", &["pump"], stopped(limits)),
        routine("the stage goes up and comes back", &["focus"], stage(limits)),
        routine("what cannot be done is refused", &["pump"], refused(limits)),
        routine("the bubbler bubbles and rests", &["bubbler"], bubbler()),
        routine("an acquisition is complete", &["pump", "light", "camera"], acquisition(limits)),
        routine(
            "a cable is pulled in mid-move, the rest goes on, and it is plugged in again",
            &["pump", "light"],
            cable(limits),
        ),
        routine("a chip is reset in mid-move", &["pump"], reset(limits)),
        routine("the light's cable is pulled, and plugged in again", &["light"], dark(limits)),
    ]
}

fn say(topic: &'static str, payload: Value) -> Step {
    Step::Say(topic, payload)
}

fn hear(topic: &'static str, status: &'static str) -> Step {
    Step::Hear(Expected { topic, status })
}

fn pump(limits: &Limits, ml: f64) -> Step {
    let flow = limits.flow_ml_min;
    say("actuator/pump", json!({"action": "move", "direction": "FORWARD", "volume": ml, "flowrate": flow}))
}

fn lamp(limits: &Limits) -> Vec<Step> {
    vec![
        say("light", json!({"action": "on", "value": limits.light})),
        hear("status/light", "On"),
        say("light", json!({"action": "off"})),
        hear("status/light", "Off"),
    ]
}

fn stroke(limits: &Limits, ml: f64) -> Vec<Step> {
    vec![pump(limits, ml), hear("status/pump", "Started"), hear("status/pump", "Done")]
}

fn stopped(limits: &Limits) -> Vec<Step> {
    vec![
        pump(limits, limits.volume_ml),
        hear("status/pump", "Started"),
        say("actuator/pump", json!({"action": "stop"})),
        hear("status/pump", "Interrupted"),
    ]
}

fn stage(limits: &Limits) -> Vec<Step> {
    let go = |direction| {
        let by = json!({"action": "move", "direction": direction, "distance": limits.height_mm, "speed": 1});
        [say("actuator/focus", by), hear("status/focus", "Started"), hear("status/focus", "Done")]
    };
    go("UP").into_iter().chain(go("DOWN")).collect()
}

/// Nothing moves: the stroke after it is the first that begins.
fn refused(limits: &Limits) -> Vec<Step> {
    let steps = vec![
        say("actuator/pump", json!({"action": "move", "direction": "SIDEWAYS", "volume": 1, "flowrate": 1})),
        hear("status/pump", "Error"),
    ];
    steps.into_iter().chain(stroke(limits, limits.volume_ml / 5.0)).collect()
}

fn bubbler() -> Vec<Step> {
    vec![
        say("actuator/bubbler", json!({"action": "on"})),
        hear("status/bubbler", "On"),
        say("actuator/bubbler", json!({"action": "off"})),
        hear("status/bubbler", "Off"),
    ]
}

/// Frames of an acquisition.
pub const FRAMES: u32 = 5;

fn acquisition(limits: &Limits) -> Vec<Step> {
    let config = json!({
        "object_date": "2026-06-01", "object_time": "08:00:00", "sample_project": "routine", "sample_id": "routine",
        "sample_operator": "nobody", "acq_id": "routine", "acq_instrument": "PlanktoScope",
        "acq_nb_frame": FRAMES, "process_pixel": 0.75, "object_lat": 48.7273, "object_lon": -3.9814,
    });
    let image = json!({
        "action": "image", "pump_direction": "FORWARD", "volume": limits.volume_ml / 10.0, "nb_frame": FRAMES,
        "sleep": 0.5, "flowrate": limits.flow_ml_min,
    });
    vec![
        say("light", json!({"action": "on", "value": limits.light})),
        hear("status/light", "On"),
        say("imager/image/update_config", json!({"action": "update_config", "config": config})),
        hear("status/imager", "Config updated"),
        say("imager/image", image),
        hear("status/imager", "Started"),
        hear("status/imager", "Image 1/5 saved"),
        hear("status/imager", "Image 5/5 saved"),
        hear("status/imager", "Done"),
        say("light", json!({"action": "off"})),
        hear("status/light", "Off"),
    ]
}

/// Longer than the whole stroke would take.
const AWAY: Duration = Duration::from_secs(3);

fn cable(limits: &Limits) -> Vec<Step> {
    let steps = vec![
        pump(limits, limits.volume_ml),
        hear("status/pump", "Started"),
        Step::Break(Fault::CablePulled(Bus::Pump), AWAY),
        hear("status/pump", "Error"),
        say("light", json!({"action": "on", "value": limits.light})),
        hear("status/light", "On"),
        hear("planktor/status/device/pump", "present"),
    ];
    steps.into_iter().chain(stroke(limits, limits.volume_ml / 5.0)).collect()
}

fn reset(limits: &Limits) -> Vec<Step> {
    let steps = vec![
        pump(limits, limits.volume_ml),
        hear("status/pump", "Started"),
        Step::Break(Fault::ChipReset(Motor::Pump), Duration::ZERO),
        hear("status/pump", "Error"),
        hear("planktor/status/device/pump", "present"),
    ];
    steps.into_iter().chain(stroke(limits, limits.volume_ml / 5.0)).collect()
}

fn dark(limits: &Limits) -> Vec<Step> {
    let steps = vec![
        Step::Break(Fault::CablePulled(Bus::Light), AWAY),
        say("light", json!({"action": "on"})),
        hear("planktor/status/device/light", "lost"),
        hear("planktor/status/device/light", "present"),
    ];
    steps.into_iter().chain(lamp(limits)).collect()
}
