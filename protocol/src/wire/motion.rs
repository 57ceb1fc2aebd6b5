//! `actuator/pump` and `actuator/focus`.

use super::Status;
use super::fields::{Fields, Flaw};
use crate::instrument::Command;
use crate::motion::{self, Event};
use crate::units::{Micrometres, MicrometresPerSecond, Nanolitres, NanolitresPerSecond};
use crate::{focus, pump};
use serde_json::{Value, json};
use std::fmt::Display;

pub(super) struct Topics {
    pub(super) command_topic: &'static str,
    pub(super) status_topic: &'static str,
}
pub(super) const PUMP: Topics = Topics { command_topic: "actuator/pump", status_topic: "status/pump" };
pub(super) const FOCUS: Topics = Topics { command_topic: "actuator/focus", status_topic: "status/focus" };

/// Nanolitres in a millilitre.
const NL_PER_ML: f64 = 1e6;
/// Nanolitres per second in a millilitre per minute.
const NL_S_PER_ML_MIN: f64 = NL_PER_ML / 60.0;
/// Micrometres in a millimetre, and um/s in mm/s.
const UM_PER_MM: f64 = 1e3;
/// A litre, mL: no sample is larger; bounds the arithmetic. What the pump can do is the pump's to say.
const MOST_ML: f64 = 1_000.0;
/// mL/min; bounds the arithmetic.
const MOST_ML_PER_MIN: f64 = 1_000.0;
/// mm; bounds the arithmetic. The stage's own limits are the stage's to say.
const MOST_MM: f64 = 1_000.0;
/// mm/s, when the message says none.
const DEFAULT_FOCUS_SPEED: MicrometresPerSecond = MicrometresPerSecond(5_000);

const MISSING: &str = "Error, the message is missing an argument";

pub(super) fn read_pump(fields: &Fields) -> Result<Command, Flaw> {
    let action = fields.word("action", &["move", "stop"])?;
    if action == "stop" {
        return Ok(Command::Pump(motion::Command::Stop));
    }
    let forward = fields.word("direction", &["FORWARD", "BACKWARD"]).map_err(|f| f.worded(MISSING))?;
    Ok(Command::Pump(motion::Command::Move(stroke(fields, forward, "flowrate")?)))
}

/// `volume` in mL and a flow rate in mL/min.
pub(super) fn stroke(fields: &Fields, direction: &str, flow_key: &str) -> Result<pump::Move, Flaw> {
    if fields.get(flow_key).and_then(Value::as_f64) == Some(0.0) {
        return Err(Flaw::new("Error, The flowrate should not be == 0", format!("{flow_key}: is 0")));
    }
    let flow =
        fields.scaled(flow_key, NL_S_PER_ML_MIN, 0.0, MOST_ML_PER_MIN).map_err(|f| f.worded(MISSING))?;
    stroke_at(fields, direction, NanolitresPerSecond(flow))
}

/// `volume` in mL.
pub(super) fn stroke_at(
    fields: &Fields,
    direction: &str,
    flow: NanolitresPerSecond,
) -> Result<pump::Move, Flaw> {
    let volume = fields.scaled("volume", NL_PER_ML, 0.0, MOST_ML).map_err(|f| f.worded(MISSING))?;
    let volume = Nanolitres(if direction == "BACKWARD" { -volume } else { volume });
    Ok(pump::Move { volume, flow })
}

pub(super) fn read_focus(fields: &Fields) -> Result<Command, Flaw> {
    let action = fields.word("action", &["move", "stop"])?;
    if action == "stop" {
        return Ok(Command::Focus(motion::Command::Stop));
    }
    let direction = fields.word("direction", &["UP", "DOWN"])?;
    let distance = fields.scaled("distance", UM_PER_MM, 0.0, MOST_MM)?;
    let speed = match fields.get("speed") {
        None => DEFAULT_FOCUS_SPEED,
        Some(_) => MicrometresPerSecond(fields.scaled("speed", UM_PER_MM, 0.0, MOST_MM)?),
    };
    let by = Micrometres(if direction == "DOWN" { -distance } else { distance });
    Ok(Command::Focus(motion::Command::Move(focus::Move { target: focus::Target::By(by), speed })))
}

/// The status word of a refusal: never one with "error" for what is merely busy, or dashboards count it.
pub(super) fn pump_words(refusal: &pump::Refusal) -> &'static str {
    match refusal {
        pump::Refusal::Busy | pump::Refusal::Stopped => "Busy",
        pump::Refusal::NoVolume | pump::Refusal::Flow { .. } | pump::Refusal::Volume { .. } => "Error",
    }
}

pub(super) fn focus_words(refusal: &focus::Refusal) -> &'static str {
    match refusal {
        focus::Refusal::Busy | focus::Refusal::Stopped => "Busy",
        focus::Refusal::NoDistance | focus::Refusal::Speed { .. } | focus::Refusal::BeyondTravel { .. } => {
            "Error"
        }
    }
}

/// `Started` is kept for those who come later; an end is not, and the state after it is `Idle`: who subscribes
/// during the next move must not take an old `Done` for its end.
pub(super) fn status<R: Display>(
    topics: &Topics,
    event: &Event<R>,
    words: fn(&R) -> &'static str,
) -> Vec<Status> {
    let topic = topics.status_topic;
    let ended = |payload| vec![Status { topic, payload, retain: false }, idle(topic)];
    match event {
        Event::Started { from, until } => {
            let payload = json!({"status": "Started", "duration": (*until - *from).as_secs_f64()});
            vec![Status { topic, payload, retain: true }]
        }
        Event::Done(_) => ended(json!({"status": "Done"})),
        Event::Interrupted => ended(json!({"status": "Interrupted"})),
        Event::Failed(fault) => ended(json!({"status": "Error", "reason": fault.to_string()})),
        Event::Released => vec![],
        Event::Refused(why) => {
            let payload = json!({"status": words(why), "reason": why.to_string()});
            vec![Status { topic, payload, retain: false }]
        }
    }
}

/// Dashboards read it as off.
pub(super) const IDLE: &str = "Idle";

pub(super) fn idle(topic: &'static str) -> Status {
    Status { topic, payload: json!({"status": IDLE}), retain: true }
}

pub(super) fn response<R: Display>(event: &Event<R>) -> Value {
    match event {
        Event::Refused(why) => json!({"error": {"message": why.to_string()}}),
        Event::Failed(fault) => json!({"error": {"message": fault.to_string()}}),
        Event::Interrupted => json!({"status": "Interrupted"}),
        Event::Started { .. } | Event::Done(_) | Event::Released => json!({}),
    }
}
