//! `imager/image` as the dashboard speaks it, and `planktor/acquire`, which takes a whole plan.

use super::fields::{Fields, Flaw};
use super::{Status, motion, plan};
use crate::acquisition::{self, Event, Failure, Refusal};
use crate::instrument::Command;
use crate::plan::Plan;
use crate::units::NanolitresPerSecond;
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;

pub(super) const TOPIC: &str = "imager/image";
pub(super) const ACQUIRE_TOPIC: &str = "planktor/acquire";
pub(super) const STATUS: &str = "status/imager";

/// When the message says no flow rate: 2 mL/min, as ever.
const DEFAULT_FLOW: NanolitresPerSecond = NanolitresPerSecond(2_000_000 / 60);
/// Seconds; a day.
const MOST_SLEEP: f64 = 86_400.0;
/// Frames of one acquisition.
const MOST_FRAMES: u32 = 1_000_000;

pub(super) fn read(fields: &Fields) -> Result<Command, Flaw> {
    let command = match fields.word("action", &["update_config", "image", "stop"])? {
        "update_config" => configure(fields)?,
        "image" => acquisition::Command::Acquire(stop_flow(fields).map_err(|f| f.worded("Error"))?),
        _ => acquisition::Command::Stop,
    };
    Ok(Command::Acquisition(command))
}

pub(super) fn read_acquire(fields: &Fields) -> Result<Command, Flaw> {
    Ok(Command::Acquisition(acquisition::Command::Acquire(plan::read(fields)?)))
}

fn configure(fields: &Fields) -> Result<acquisition::Command, Flaw> {
    let config = fields.object("config").map_err(|f| f.worded("Configuration message error"))?;
    Ok(acquisition::Command::Configure(Arc::new(config.clone())))
}

fn stop_flow(fields: &Fields) -> Result<Plan, Flaw> {
    let direction = fields.word("pump_direction", &["FORWARD", "BACKWARD"])?;
    let flow_key = if fields.get("flowrate").is_some() { "flowrate" } else { "pump_flowrate" };
    let stroke = match fields.get(flow_key) {
        Some(_) => motion::stroke(fields, direction, flow_key)?,
        None => motion::stroke_at(fields, direction, DEFAULT_FLOW)?,
    };
    let frames = fields.whole("nb_frame", 1, MOST_FRAMES)?;
    let settle = Duration::from_secs_f64(fields.number("sleep", 0.0, MOST_SLEEP)?);
    Plan::stop_flow(frames, stroke, settle).map_err(|flaw| Flaw::new("Error", flaw.to_string()))
}

/// A frame's text comes before its progress: dashboards read `status` of every message.
pub(super) fn status(event: &Event) -> Vec<Status> {
    let say = |payload| Status { topic: STATUS, payload, retain: false };
    match event {
        Event::Configured => vec![say(json!({"status": "Config updated"}))],
        Event::Started => vec![say(json!({"status": "Started"}))],
        Event::Saved { path, current, total } => {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            vec![
                say(json!({"status": format!("Image {current}/{total} saved to {name}")})),
                say(
                    json!({"type": "progress", "path": path.to_string_lossy(), "current": current, "total": total}),
                ),
            ]
        }
        Event::Done { path } => vec![say(json!({"status": "Done", "path": path.to_string_lossy()}))],
        Event::Interrupted => vec![say(json!({"status": "Interrupted"}))],
        Event::Refused(why) => vec![say(json!({"status": refused(why), "reason": why.to_string()}))],
        Event::Failed(why) => vec![say(json!({"status": failed(why), "reason": why.to_string()}))],
    }
}

/// The documented words; "error" only where a dashboard may count it as an end.
fn refused(why: &Refusal) -> &'static str {
    match why {
        Refusal::Acquiring | Refusal::Moving(_) | Refusal::ShuttingDown => "Busy",
        Refusal::Stopped => "Interrupted",
        Refusal::NotConfigured | Refusal::MissingKey("object_date") => {
            "Configuration update error: object_date is missing!"
        }
        Refusal::IdsInUse(_) => "Configuration update error: Chosen id are already in use!",
        Refusal::NoCamera(_) => "Error: missing camera",
        Refusal::MissingKey(_)
        | Refusal::BadId { .. }
        | Refusal::NoMotor(..)
        | Refusal::Stroke(_)
        | Refusal::Disk(_) => "Error",
    }
}

fn failed(why: &Failure) -> String {
    match why {
        Failure::Camera { image, total, .. } => {
            format!("Image {image}/{total} WAS NOT CAPTURED! STOPPING THE PROCESS!")
        }
        Failure::Motor(..) | Failure::Focus(_) | Failure::Pump(_) | Failure::Disk(_) => "Error".into(),
    }
}
