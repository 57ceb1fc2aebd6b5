//! Sharp microlitres per minute: what counts for a biologist. An acquisition on the twin in virtual time, and what was
//! true of its frames: how often they came, how far the water moved while they saw light, and how much water was new.
//!
//! For PlanktoScope v3.0's medium preset: 0.75 um a pixel, a cell of 300 um, 4056 x 3040 pixels.

use crate::{Played, Scenario, Script, light_on, message, record, update_config};
use planktor_actors::blur::{self, By};
use planktor_protocol::strobe::Cell;
use planktor_protocol::units::Micrometres;
use planktor_runtime::instrument::Models;
use planktor_sim::world::Truth;
use planktor_sim::{Hat, Parameters};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::time::Duration;

/// What a pixel sees, um.
pub const PIXEL_UM: f64 = 0.75;
/// Depth of the flow cell, um.
pub const CELL_UM: f64 = 300.0;
/// Its width across the flow, um: the twin's assumption.
pub const CELL_WIDTH_UM: f64 = 3_500.0;
/// What a frame sees along the flow and across it, um.
pub const VIEW_UM: (f64, f64) = (4_056.0 * PIXEL_UM, 3_040.0 * PIXEL_UM);
/// A stroke of the preset, uL.
const STROKE_UL: f64 = 6.0;
const HALF_A_PIXEL_NM: u128 = 375;
const UM3_PER_UL: f64 = 1e9;

/// What is looked at while settling is learned, pixels: as the small copy of a full frame.
const LOOKED_AT: (u32, u32) = (1_014, 760);
/// Frames from which settling is learned, and those until strokes and camera are in phase: not part of a mean.
const BEGIN: usize = 8;

/// How the water settles.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Settle {
    /// For so many seconds, as the dashboard does it.
    Seconds(f64),
    /// For as long as it needs, as the acquisition finds out.
    Learned,
}

/// How frames are taken.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Way {
    /// In still water.
    StopFlow(Settle),
    /// The same with a pulse of so many microseconds.
    Strobe(Settle, u32),
    /// In a flow of so many mL/min, with a pulse of so many microseconds.
    Flow(f64, u32),
}

impl Way {
    /// As `planktor/acquire` has it.
    pub fn plan(self, frames: u32) -> Value {
        let pump = json!({"step": "pump", "volume_ul": STROKE_UL, "flow_ml_per_min": 3});
        let strobed = |us: u32| json!({"step": "capture", "strobe_us": us});
        let repeat = |steps: Vec<Value>| json!({"step": "repeat", "times": frames, "steps": steps});
        let settle = |settle: Settle| match settle {
            Settle::Seconds(seconds) => json!({"step": "settle", "seconds": seconds}),
            Settle::Learned => {
                json!({"step": "settle_until_still", "residual_um": PIXEL_UM / 2.0, "at_most_s": 3})
            }
        };
        let write = json!({"step": "write"});
        let plan = match self {
            Self::StopFlow(how) => vec![repeat(vec![pump, settle(how), json!({"step": "capture"}), write])],
            Self::Strobe(how, us) => vec![repeat(vec![pump, settle(how), strobed(us), write])],
            Self::Flow(ml_per_min, us) => {
                // Until the last frame and longer, also where writers set the pace.
                let volume_ul = ml_per_min / 60.0 * 1e3 * (0.3 * f64::from(frames) + 1.0);
                let flow = json!({"step": "flow", "volume_ul": volume_ul, "flow_ml_per_min": ml_per_min,
                    "cell_um": CELL_UM, "cell_width_um": CELL_WIDTH_UM});
                vec![flow, repeat(vec![strobed(us), write])]
            }
        };
        json!({ "plan": plan })
    }

    /// What a client says for it: lamp, configuration, and so many frames.
    pub fn script(self, name: &str, frames: u32) -> Script {
        let ms = Duration::from_millis;
        vec![
            (ms(100), light_on()),
            (ms(1_000), update_config(name, frames)),
            (ms(1_200), message("planktor/acquire", &self.plan(frames))),
        ]
    }

    /// The fastest flow that is not refused for its blur, mL/min.
    #[expect(clippy::cast_precision_loss, reason = "some microlitres a second")]
    pub fn fastest_flow(hat: Hat, pulse_us: u32) -> f64 {
        let cell = Cell { depth: Micrometres(300), width: Micrometres(3_500) };
        let lit = lit(hat, Duration::from_micros(pulse_us.into()));
        let flow = blur::fastest(cell, HALF_A_PIXEL_NM, lit);
        flow.0 as f64 * 60.0 / 1e6
    }
}

/// How long there may be light in a pulse of that board: HAT 1.2 has a pin for it.
pub fn lit(hat: Hat, pulse: Duration) -> Duration {
    blur::lit(pulse, if hat == Hat::V1_2 { By::Pin } else { By::Bus })
}

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sharp {
    /// Frames that were asked, and those in which nothing in focus moved by more than half a pixel.
    pub frames: (u32, u32),
    /// From one frame's light to the next one's, in the mean, when all is learned and in phase.
    pub period: Duration,
    /// The most that anything in focus moved in a frame that was kept, pixels.
    pub blur_px: f64,
    /// uL in a minute that sharp frames see, however often they see the same water.
    pub seen_ul_per_min: f64,
    /// uL in a minute that they see for the first time.
    pub new_ul_per_min: f64,
}

/// How long encoders and disk take for a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Writers {
    /// As the twin's parameters have it: 12.3 megapixels on a Raspberry Pi 4, 4 MB to a memory card.
    Usual,
    /// No time: the camera sets the pace.
    AtOnce,
}

/// On what they are taken.
#[derive(Clone, Debug)]
pub struct Instrument {
    /// The board.
    pub hat: Hat,
    /// The world.
    pub parameters: Parameters,
    /// The pump's ramp as the chip counts it, if it is not as delivered.
    pub amax: Option<u32>,
    /// Its computer.
    pub writers: Writers,
}

impl Instrument {
    /// As delivered, in the usual world.
    pub fn usual(hat: Hat) -> Self {
        Self { hat, parameters: Parameters::default(), amax: None, writers: Writers::Usual }
    }
}

/// Plays it.
pub fn play(instrument: Instrument, way: Way, frames: u32) -> Played {
    let Instrument { hat, parameters, amax, writers } = instrument;
    let models = (writers == Writers::AtOnce).then(Models::default);
    let (script, limit) = (way.script("sharp", frames), Duration::from_secs(1_300));
    let scenario = Scenario { hat, parameters, models, ..Scenario::new(script, limit) };
    let (frame, pixel_um) = match way {
        Way::StopFlow(Settle::Learned) | Way::Strobe(Settle::Learned, _) => {
            (LOOKED_AT, VIEW_UM.0 / f64::from(LOOKED_AT.0))
        }
        Way::StopFlow(_) | Way::Strobe(..) | Way::Flow(..) => (scenario.frame, PIXEL_UM),
    };
    let mut hardware = json!({"process_pixel_fixed": pixel_um});
    if let Some(amax) = amax {
        hardware["pump_amax"] = json!(amax);
    }
    Scenario { frame, hardware: Some(hardware), ..scenario }.until("status/imager", "Done").play()
}

/// Takes so many frames, and says what they are worth; `None` if it did not end well.
pub fn measure(instrument: Instrument, way: Way, frames: u32) -> Option<Sharp> {
    worth(&play(instrument, way, frames), way, frames)
}

/// What the frames of what was played are worth; `None` if they are too few.
pub fn worth(played: &Played, way: Way, frames: u32) -> Option<Sharp> {
    let kept = kept(played);
    (kept.len() > BEGIN + 1).then(|| worth_of(&kept, way, frames))
}

/// What was true of the frames that were kept, in order.
///
/// # Panics
/// There is no data set.
pub fn kept(played: &Played) -> Vec<Truth> {
    let frames = record(&played.data_sets()[0]).into_iter().filter(|line| line["file"].is_string());
    let kept: BTreeSet<_> = frames.filter_map(|frame| frame["seq"].as_u64()).collect();
    played.twin.world().truths().filter(|truth| kept.contains(&truth.seq)).cloned().collect()
}

fn worth_of(truths: &[Truth], way: Way, frames: u32) -> Sharp {
    let blur_px = |truth: &Truth| f64::from(truth.worst_displacement_um()) / PIXEL_UM;
    let sharp = truths.iter().filter(|truth| blur_px(truth) <= 0.5).count();
    let (first, last) = (truths[BEGIN].seen().from, truths[truths.len() - 1].seen().from);
    let between = u32::try_from(truths.len() - 1 - BEGIN).unwrap_or(u32::MAX);
    let period = (last - first) / between;
    let view_ul = VIEW_UM.0 * VIEW_UM.1 * CELL_UM / UM3_PER_UL;
    let pumped_ul = match way {
        Way::StopFlow(_) | Way::Strobe(..) => STROKE_UL,
        Way::Flow(ml_per_min, _) => ml_per_min * 1e3 / 60.0 * period.as_secs_f64(),
    };
    let moved_um = pumped_ul * UM3_PER_UL / (CELL_UM * CELL_WIDTH_UM);
    #[expect(clippy::cast_precision_loss, reason = "some frames")]
    let per_min = 60.0 / period.as_secs_f64() * sharp as f64 / truths.len() as f64;
    Sharp {
        frames: (frames, u32::try_from(sharp).unwrap_or(u32::MAX)),
        period,
        blur_px: truths.iter().map(blur_px).fold(0.0, f64::max),
        seen_ul_per_min: view_ul * per_min,
        new_ul_per_min: view_ul * (moved_um / VIEW_UM.0).min(1.0) * per_min,
    }
}
