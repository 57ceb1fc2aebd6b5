//! A plan as JSON, for `planktor/acquire`:
//!
//! ```json
//! {"plan": [{"step": "repeat", "times": 10, "steps": [
//!     {"step": "pump", "volume_ul": 6, "flow_ml_per_min": 3},
//!     {"step": "settle", "seconds": 0.5},
//!     {"step": "focus_by", "um": 20},
//!     {"step": "capture"},
//!     {"step": "write"}]}]}
//! ```
//!
//! `pump` also goes backwards with a negative volume; `focus_to` takes a height in um above where the stage was
//! switched on; both focus steps take a `mm_per_s` (5).

use super::fields::{Fields, Flaw};
use crate::focus::Target;
use crate::plan::{Plan, Step};
use crate::units::{Micrometres, MicrometresPerSecond, Nanolitres, NanolitresPerSecond};
use serde_json::Value;
use std::time::Duration;

/// Lists within lists that are read at all; the plan's own limit is lower and says more.
const DEEPEST: usize = 32;

pub(super) fn read(fields: &Fields) -> Result<Plan, Flaw> {
    let list = fields.list("plan")?;
    Plan::new(steps(list, "plan", 0)?).map_err(|flaw| Flaw::new("Error", flaw.to_string()))
}

fn steps(list: &[Value], path: &str, depth: usize) -> Result<Vec<Step>, Flaw> {
    if depth > DEEPEST {
        return Err(Flaw::new("Error", format!("{path}: is nested too deep")));
    }
    let step = |(i, value)| step(&Fields::within(value, format!("{path}[{i}]"))?, depth);
    list.iter().enumerate().map(step).collect()
}

fn step(fields: &Fields, depth: usize) -> Result<Step, Flaw> {
    const WORDS: [&str; 7] = ["pump", "settle", "focus_by", "focus_to", "capture", "write", "repeat"];
    Ok(match fields.word("step", &WORDS)? {
        "pump" => Step::Pump {
            volume: Nanolitres(fields.scaled("volume_ul", 1e3, -1e6, 1e6)?),
            flow: NanolitresPerSecond(fields.scaled("flow_ml_per_min", 1e6 / 60.0, 0.0, 1e3)?),
        },
        "settle" => Step::Settle(Duration::from_secs_f64(fields.number("seconds", 0.0, 86_400.0)?)),
        "focus_by" => Step::Focus { target: Target::By(micrometres(fields)?), speed: speed(fields)? },
        "focus_to" => Step::Focus { target: Target::To(micrometres(fields)?), speed: speed(fields)? },
        "capture" => Step::Capture,
        "write" => Step::Write,
        _ => Step::Repeat {
            times: fields.whole("times", 1, u32::MAX)?,
            steps: steps(fields.list("steps")?, &fields.path("steps"), depth + 1)?,
        },
    })
}

fn micrometres(fields: &Fields) -> Result<Micrometres, Flaw> {
    fields.scaled("um", 1.0, -1e6, 1e6).map(Micrometres)
}

fn speed(fields: &Fields) -> Result<MicrometresPerSecond, Flaw> {
    match fields.get("mm_per_s") {
        None => Ok(MicrometresPerSecond(5_000)),
        Some(_) => fields.scaled("mm_per_s", 1e3, 0.0, 1e3).map(MicrometresPerSecond),
    }
}
