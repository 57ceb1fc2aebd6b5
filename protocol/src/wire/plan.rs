//! A plan as JSON, for `planktor/acquire` and for acquisition protocols:
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
//! With `{"step": "capture", "strobe_us": 100}` the light is a pulse of 100 us; and with `flow` in place of `pump` the water
//! need not stand still for it:
//!
//! ```json
//! {"plan": [{"step": "flow", "volume_ul": 100, "flow_ml_per_min": 0.15, "cell_um": 300, "cell_width_um": 3500},
//!     {"step": "repeat", "times": 300, "steps": [{"step": "capture", "strobe_us": 100}, {"step": "write"}]}]}
//! ```

use super::imager::Settling;
use super::motion::{FlowRate, Speed};
use super::reading::{Misread, Whole, quantity, tagged};
use crate::focus::Target;
use crate::plan::{self, Plan};
use crate::strobe::Cell;
use crate::units::{Micrometres, MicrometresPerSecond, Nanolitres, NanolitresPerSecond};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// When the step says none.
const DEFAULT_SPEED: Speed = Speed(5.0);

quantity! {
    /// A volume; negative is backwards.
    Microlitres: -1000000.0 to 1000000.0 "uL";
    /// How far the pump may still move the water during an exposure.
    Residual: 0.001 to 100.0 "um";
    /// How long to wait for still water.
    Patience: 0.0 to 30.0 "s";
    /// A distance or a height of the stage; up is positive.
    Height: -1000000.0 to 1000000.0 "um";
    /// How long a pulse of light is.
    Pulse: 10.0 to 10000.0 "us";
}

tagged! {
    /// One thing to do.
    pub enum Step by "step" {
        /// A stroke of the pump.
        "pump" => Pump(PumpStep),
        /// Leave everything alone for so long, counted from the end of the last motion.
        "settle" => Settle(SettleStep),
        /// The same for as long as the water needs: learned from how it comes to rest after the first strokes. Right after a
        /// pump step only.
        "settle_until_still" => SettleUntilStill(UntilStill),
        /// Move the stage by a distance.
        "focus_by" => FocusBy(FocusStep),
        /// Move the stage to a height above where it was switched on.
        "focus_to" => FocusTo(FocusStep),
        /// A long slow stroke, during which strobed frames are taken: nobody waits for its end but the next step that moves
        /// something or settles, and the plan's end.
        "flow" => Flow(FlowStep),
        /// Take a frame.
        "capture" => Capture(CaptureStep),
        /// Give the frames taken since the last write (3 at most) to the data set.
        "write" => Write,
        /// Do some steps several times.
        "repeat" => Repeat(RepeatStep),
    }
}

/// A stroke of the pump.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PumpStep {
    /// How much; not 0.
    pub volume_ul: Microlitres,
    /// How fast at most; not 0.
    pub flow_ml_per_min: FlowRate,
}

/// A stroke that strobed frames are taken in.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct FlowStep {
    /// How much; not 0.
    pub volume_ul: Microlitres,
    /// How fast at most; not 0. It is refused if the water would go farther than half a pixel in a pulse.
    pub flow_ml_per_min: FlowRate,
    /// The flow cell's depth along the light, um.
    pub cell_um: Whole<1, 10_000>,
    /// The flow cell's width across the flow, um.
    pub cell_width_um: Whole<1, 100_000>,
}

/// A frame.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CaptureStep {
    /// Lit by a pulse so long, in the dark otherwise; the camera's exposure is set by itself then, and put back at the end.
    /// All frames of a plan are strobed, or none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub strobe_us: Option<Pulse>,
}

/// A pause.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SettleStep {
    /// How long.
    pub seconds: Settling,
}

/// How still, and how long that may take.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct UntilStill {
    /// How far the pump may still move the water while a frame is exposed; half a pixel if it is missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub residual_um: Option<Residual>,
    /// Not less is waited, however still it is; 0.1 if it is missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_least_s: Option<Patience>,
    /// Not longer is waited, however much it moves; so long while it is learned, too. 3 if it is missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_most_s: Option<Patience>,
}

/// A move of the stage.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct FocusStep {
    /// Distance or height.
    pub um: Height,
    /// How fast at most; 5 mm/s if it is missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mm_per_s: Option<Speed>,
}

/// Steps that are done several times.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RepeatStep {
    /// How often.
    pub times: Whole<1, { u32::MAX }>,
    /// What.
    pub steps: Vec<Step>,
}

/// A plan as its steps are written.
pub fn steps(plan: &Plan) -> Vec<Step> {
    plan.steps().into_iter().map(Into::into).collect()
}

/// Reads it again.
///
/// # Errors
/// What is wrong, and where: it was not written by [`steps`].
pub fn again(steps: Vec<Step>) -> Result<Plan, String> {
    plan(steps, "").map_err(|misread| misread.to_string())
}

/// Checks the steps as a whole; `path` leads to the object that holds the plan.
pub(super) fn plan(steps: Vec<Step>, path: &str) -> Result<Plan, Misread> {
    let flaw = |plan::Flaw { path, what }| Misread::new(format!("plan{path}"), what);
    Plan::new(steps.into_iter().map(Into::into).collect()).map_err(flaw).map_err(|m| m.below(path))
}

impl From<plan::Step> for Step {
    #[expect(clippy::cast_precision_loss, reason = "what was read from such numbers is far below 2^53")]
    fn from(step: plan::Step) -> Self {
        match step {
            plan::Step::Pump { volume: Nanolitres(nl), flow: NanolitresPerSecond(nl_per_s) } => {
                Self::Pump(PumpStep {
                    volume_ul: Microlitres(nl as f64 / 1e3),
                    flow_ml_per_min: FlowRate(nl_per_s as f64 * 60.0 / 1e6),
                })
            }
            plan::Step::Settle(time) => Self::Settle(SettleStep { seconds: Settling(time.as_secs_f64()) }),
            plan::Step::SettleUntilStill(plan::UntilStill { residual_nm, at_least, at_most }) => {
                Self::SettleUntilStill(UntilStill {
                    residual_um: residual_nm.map(|nm| Residual(f64::from(nm) / 1e3)),
                    at_least_s: Some(Patience(at_least.as_secs_f64())),
                    at_most_s: Some(Patience(at_most.as_secs_f64())),
                })
            }
            plan::Step::Focus { target, speed: MicrometresPerSecond(um_per_s) } => {
                let step = |um: Micrometres| FocusStep {
                    um: Height(um.0 as f64),
                    mm_per_s: Some(Speed(um_per_s as f64 / 1e3)),
                };
                match target {
                    Target::By(distance) => Self::FocusBy(step(distance)),
                    Target::To(height) => Self::FocusTo(step(height)),
                }
            }
            plan::Step::Flow {
                volume: Nanolitres(nl),
                flow: NanolitresPerSecond(nl_per_s),
                cell: Cell { depth, width },
            } => {
                let um = |Micrometres(um)| u32::try_from(um).unwrap_or(1);
                Self::Flow(FlowStep {
                    volume_ul: Microlitres(nl as f64 / 1e3),
                    flow_ml_per_min: FlowRate(nl_per_s as f64 * 60.0 / 1e6),
                    cell_um: Whole(um(depth)),
                    cell_width_um: Whole(um(width)),
                })
            }
            plan::Step::Capture { strobe } => Self::Capture(CaptureStep {
                strobe_us: strobe.map(|pulse| Pulse(pulse.as_nanos() as f64 / 1e3)),
            }),
            plan::Step::Write => Self::Write,
            plan::Step::Repeat { times, steps } => Self::Repeat(RepeatStep {
                times: Whole(times),
                steps: steps.into_iter().map(Into::into).collect(),
            }),
        }
    }
}

impl From<Step> for plan::Step {
    fn from(step: Step) -> Self {
        let focus = |target: fn(Micrometres) -> Target, FocusStep { um, mm_per_s }: FocusStep| Self::Focus {
            target: target(Micrometres(um.scaled(1.0))),
            speed: MicrometresPerSecond(mm_per_s.unwrap_or(DEFAULT_SPEED).scaled(1e3)),
        };
        match step {
            Step::Pump(PumpStep { volume_ul, flow_ml_per_min }) => {
                Self::Pump { volume: Nanolitres(volume_ul.scaled(1e3)), flow: flow_ml_per_min.into() }
            }
            Step::Settle(SettleStep { seconds }) => Self::Settle(Duration::from_secs_f64(seconds.0)),
            Step::SettleUntilStill(still) => Self::SettleUntilStill(still.into()),
            Step::FocusBy(step) => focus(Target::By, step),
            Step::FocusTo(step) => focus(Target::To, step),
            Step::Flow(FlowStep { volume_ul, flow_ml_per_min, cell_um, cell_width_um }) => {
                let um = |um: u32| Micrometres(um.into());
                let cell = Cell { depth: um(cell_um.0), width: um(cell_width_um.0) };
                Self::Flow { volume: Nanolitres(volume_ul.scaled(1e3)), flow: flow_ml_per_min.into(), cell }
            }
            Step::Capture(CaptureStep { strobe_us }) => Self::Capture {
                strobe: strobe_us.map(|us| Duration::from_nanos(us.scaled(1e3).unsigned_abs())),
            },
            Step::Write => Self::Write,
            Step::Repeat(RepeatStep { times, steps }) => {
                Self::Repeat { times: times.0, steps: steps.into_iter().map(Into::into).collect() }
            }
        }
    }
}

impl From<UntilStill> for plan::UntilStill {
    fn from(UntilStill { residual_um, at_least_s, at_most_s }: UntilStill) -> Self {
        let usual = Self::default();
        let time = |given: Option<Patience>, usual| given.map_or(usual, |s| Duration::from_secs_f64(s.0));
        Self {
            residual_nm: residual_um.and_then(|um| u32::try_from(um.scaled(1e3)).ok()),
            at_least: time(at_least_s, usual.at_least),
            at_most: time(at_most_s, usual.at_most),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_that_was_written_is_read_as_it_was() {
        let text = r#"[{"step": "pump", "volume_ul": -6.5, "flow_ml_per_min": 3}, {"step": "settle", "seconds": 0.75},
            {"step": "repeat", "times": 4, "steps": [{"step": "focus_to", "um": -60},
                {"step": "repeat", "times": 2, "steps": [{"step": "focus_by", "um": 30, "mm_per_s": 0.5}, {"step": "capture"}]},
                {"step": "write"}]}, {"step": "focus_by", "um": 7},
            {"step": "repeat", "times": 2, "steps": [{"step": "pump", "volume_ul": 6, "flow_ml_per_min": 3},
                {"step": "settle_until_still", "residual_um": 0.3, "at_most_s": 2}, {"step": "capture"}, {"step": "write"}]}]"#;
        let plan = again(serde_json::from_str(text).unwrap()).unwrap();
        let written = serde_json::to_string(&steps(&plan)).unwrap();
        assert_eq!(again(serde_json::from_str(&written).unwrap()).unwrap(), plan);
        assert_eq!(plan.frames(), 10);
        assert!(!written.contains("strobe"), "what has no strobe is written as ever: {written}");
    }

    #[test]
    fn a_strobed_plan_in_a_flow_is_read_as_it_was_written() {
        let text = r#"[{"step":"flow","volume_ul":100.0,"flow_ml_per_min":0.15,"cell_um":300,"cell_width_um":3500},{"step":"repeat","times":30,"steps":[{"step":"capture","strobe_us":100.0},{"step":"write"}]}]"#;
        let plan = again(serde_json::from_str(text).unwrap()).unwrap();
        assert_eq!(serde_json::to_string(&steps(&plan)).unwrap(), text);
        assert_eq!(plan.strobe(), Some(Duration::from_micros(100)));
    }
}
