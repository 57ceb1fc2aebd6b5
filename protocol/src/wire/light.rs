//! `light` and `actuator/light`.

use super::Status;
use super::fields::{Fields, Flaw};
use crate::instrument::Command;
use crate::light::{self, Event};
use crate::units::Fraction;
use serde_json::json;

pub(super) const TOPICS: [&str; 2] = ["light", "actuator/light"];
pub(super) const STATUS: &str = "status/light";

pub(super) fn read(fields: &Fields) -> Result<Command, Flaw> {
    let level = match fields.word("action", &["on", "off", "status"])? {
        "on" if fields.get("value").is_none() => Fraction::ONE,
        "on" => {
            let millionths = fields.scaled("value", f64::from(Fraction::ONE.millionths()), 0.0, 1.0)?;
            u32::try_from(millionths).ok().and_then(Fraction::from_millionths).unwrap_or(Fraction::ONE)
        }
        "off" => Fraction::ZERO,
        _ => return Ok(Command::Light(light::Command::Report)),
    };
    Ok(Command::Light(light::Command::Set(level)))
}

pub(super) fn status(event: Event) -> Vec<Status> {
    let payload = match event {
        Event::Level(level) => {
            let value = f64::from(level.millionths()) / f64::from(Fraction::ONE.millionths());
            json!({"status": if level == Fraction::ZERO { "Off" } else { "On" }, "value": value})
        }
        Event::Failed(fault) => json!({"status": "Error", "reason": fault.to_string()}),
    };
    // A failure stays, too: an old "On" would be a lie.
    vec![Status { topic: STATUS, payload, retain: true }]
}
