//! The lines of `frames.jsonl`, the record file: one JSON object a line, a torn last line does not count.
//!
//! | line | has the key | |
//! |---|---|---|
//! | first | `planktor_frames` | [`Head`] |
//! | a frame | `file` | [`Frame`] |
//! | something beside the frames | `event` | [`Event`] |
//! | after an end, or where it was cut off | `resumed` | [`Resumed`]: it goes on |
//! | last | `end` | [`End`] |
//!
//! All `_ns` count from the newest anchor above the line, on the monotonic clock, and may be negative. JSON Schema:
//! `contract/frames.schema.json`.

use super::quality::{Quality, Test};
use super::timing::Timing;
use super::whence::{Moment, Position, Time};
use super::whole_lines;
use planktor_actors::blur;
use planktor_actors::recording::{self, Begin, Ending, Note, Picture};
use planktor_actors::sequence::Flowing;
use planktor_actors::settling::Learned;
use planktor_protocol::acquisition::Metadata;
use planktor_protocol::camera::{GAIN_AT_ISO_100, Mode, Settings};
use planktor_protocol::motion::ChipClock;
use planktor_protocol::quality;
use planktor_protocol::strobe::Cell;
use planktor_protocol::timekeeping::Anchor;
use planktor_protocol::units::{Micrometres, NanolitresPerSecond};
use planktor_protocol::wire::plan::{Step, steps};
use planktor_protocol::{Instant, Interval};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// The version of this form.
pub(super) const SCHEMA: u64 = 1;

/// A line of the record file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Line {
    /// The first.
    Head(Box<Head>),
    /// A frame.
    Frame(Box<Frame>),
    /// Something beside the frames.
    Event(Event),
    /// It goes on.
    Resumed(Box<Resumed>),
    /// It ends.
    End(End),
}

/// What the data set began with.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Head {
    /// The version of this form: 1.
    pub planktor_frames: u64,
    /// As in `metadata.json`.
    pub planktor_version: String,
    /// As in `metadata.json`.
    pub planktor_board: String,
    /// As in `metadata.json`.
    pub acq_uuid: String,
    /// When it began.
    pub anchor: Moment,
    /// How the camera streamed.
    pub camera: Camera,
    /// Frames that the plan takes.
    pub planned: u32,
    /// What was to be done, as in `planktor/acquire`.
    pub plan: Vec<Step>,
    /// How frames are tested.
    pub tests: Vec<Test>,
}

/// How a camera streams.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Camera {
    /// Pixels across.
    pub width: u32,
    /// Lines.
    pub height: u32,
    /// As the dashboard counts it.
    pub iso: u32,
    /// Analogue gain.
    pub gain: f64,
    /// Whether the camera balances white itself; `null` where that was left to it.
    #[serde(default)]
    pub auto_balance: Option<bool>,
    /// Red as a multiple of green; `null` where that was left to the camera.
    #[serde(default)]
    pub red_gain: Option<f64>,
    /// Blue as a multiple of green; `null` where that was left to the camera.
    #[serde(default)]
    pub blue_gain: Option<f64>,
    /// From one frame's start to the next one's.
    pub cadence_ns: u64,
    /// What each line integrates.
    pub exposure_ns: u64,
}

/// A frame that is in the data set, or is about to be.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Frame {
    /// Its file's name.
    pub file: String,
    /// In bytes.
    pub size: u64,
    /// SHA-1 over name, a zero byte and content, in hexadecimal.
    pub sha1: String,
    /// The camera's own number.
    pub seq: u64,
    /// First line's start to last line's end.
    pub exposure: Exposure,
    /// The last motion before it.
    pub motion: Option<Span>,
    /// From when on nothing was to move.
    pub settled_ns: i64,
    /// Since the acquisition began or was resumed, as asked; negative is backwards.
    pub pumped_nl: i64,
    /// Of the stage above where it was switched on.
    pub height_um: i64,
    /// Whether that height is in doubt, because the stage was cut off in mid-move.
    pub height_uncertain: bool,
    /// What the lamp was last set to, 0 to 1.
    pub light: Option<f64>,
    /// The newest fix, its age counted at the exposure; `null` if there never was one.
    pub fix: Option<Position>,
    /// The exposure's start by the newest knowledge.
    pub time: Option<Time>,
    /// Its light, if it was strobed: it saw nothing outside this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pulse: Option<Pulse>,
    /// What flowed meanwhile, if it was taken in a flow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flow: Option<Flow>,
    /// How far what is seen in it moved since the frame before it, along the flow; `null` where nobody looked, or nothing could
    /// be seen.
    #[serde(default)]
    pub moved_um: Option<f64>,
    /// The clock of the pump's driver, from which the end of its motion was foreseen; `null` before its first move.
    #[serde(default)]
    pub pump_clock: Option<MotorClock>,
    /// The same of the stage's.
    #[serde(default)]
    pub focus_clock: Option<MotorClock>,
    /// What the frame is worth.
    #[serde(default)]
    pub quality: Option<Quality>,
}

/// The clock of a motor's driver, as its moves have shown it: nominally 12 MHz, within 10 %.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct MotorClock {
    /// Its frequency.
    pub hz: u32,
    /// More or less.
    pub within_hz: u32,
}

impl From<ChipClock> for MotorClock {
    fn from(ChipClock { hz, within_hz }: ChipClock) -> Self {
        Self { hz, within_hz }
    }
}

/// When a frame was exposed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Exposure {
    /// Its start by the data set's anchor, which the file's name says, too.
    pub utc: String,
    /// Its start.
    pub from_ns: i64,
    /// Its end.
    pub to_ns: i64,
}

/// When something was true.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Span {
    /// Its start.
    pub from_ns: i64,
    /// Its end.
    pub to_ns: i64,
}

/// The light of a strobed frame.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Pulse {
    /// How long it was asked to be.
    pub asked_ns: u64,
    /// Not lit before.
    pub from_ns: i64,
    /// Dark from then on.
    pub to_ns: i64,
}

/// A stroke that a frame was taken in.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Flow {
    /// When it was ordered.
    pub since_ns: i64,
    /// How fast, as asked.
    pub nl_per_s: i64,
    /// The flow cell's depth.
    pub cell_um: i64,
    /// The flow cell's width.
    pub cell_width_um: i64,
    /// How far its fastest water may have gone while there was light.
    pub blur_nm: u64,
}

impl Frame {
    /// How far the water had flowed since its flow began, in the mean, um; 0 without a flow.
    pub fn flowed_um(&self) -> u128 {
        let Some(Flow { since_ns, nl_per_s, cell_um, cell_width_um, .. }) = self.flow else { return 0 };
        let cell = Cell { depth: Micrometres(cell_um), width: Micrometres(cell_width_um) };
        let flowed = u64::try_from(self.seen().from_ns.saturating_sub(since_ns)).unwrap_or(0);
        cell.travelled_um(NanolitresPerSecond(nl_per_s), Duration::from_nanos(flowed))
    }

    /// When light was seen: its pulse, or its exposure.
    pub fn seen(&self) -> Span {
        match &self.pulse {
            Some(Pulse { from_ns, to_ns, .. }) => Span { from_ns: *from_ns, to_ns: *to_ns },
            None => Span { from_ns: self.exposure.from_ns, to_ns: self.exposure.to_ns },
        }
    }
}

/// Something beside the frames.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// The computer's clock was set. File names go on as if it had not been.
    ClockStep {
        /// When that was seen.
        at_ns: i64,
        /// By how much; negative is back.
        by_s: f64,
    },
    /// How long the water needs to come to rest, as it was learned after the first strokes.
    SettlingLearned {
        /// What is waited from now on.
        wait_s: f64,
        /// How far the pump may still move the water during an exposure.
        residual_um: f64,
        /// Whether the wait is long enough for that; if not, more would be needed than may be waited.
        reached: bool,
        /// What the pump leaves behind, fast and slow.
        tails: Vec<Tail>,
        /// What does not die away.
        drift_um_per_s: f64,
        /// How far the water sways to either side, as with a ship; 0 if that was not seen.
        sway_um: f64,
        /// From one sway to the next; 0 if that was not seen.
        sway_period_s: f64,
        /// How far apart the fit and what was seen are.
        noise_um: f64,
        /// Pairs of frames that it follows from.
        pairs: u32,
    },
    /// The longest wait is waited, because nothing was learned.
    SettlingUnknown {
        /// Why.
        reason: String,
    },
}

/// What the pump leaves behind at the end of a stroke, and what becomes of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Tail {
    /// How far it would still move the water; the sign says which way in the picture.
    pub left_um: f64,
    /// The time constant with which it dies away.
    pub tau_s: f64,
}

/// It goes on, after an end or where it was cut off.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Resumed {
    /// For the how manyth time.
    pub resumed: u32,
    /// Which version goes on.
    pub planktor_version: String,
    /// From where times count now. Its `utc` is never before the last frame's, so that names stay in order.
    pub anchor: Moment,
    /// What the clock said, where that would have been before the last frame.
    pub believed: Option<Time>,
    /// How the camera streams now.
    pub camera: Camera,
    /// Frames that are in the data set.
    pub frames: u32,
    /// What was unfinished, and what was done to it.
    pub repaired: Option<String>,
}

/// It ends.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct End {
    /// `complete`, `stopped` or `failed`.
    pub end: String,
    /// Why it failed.
    pub reason: Option<String>,
    /// Frames that are in it.
    pub frames: u64,
    /// Frames that were to be.
    pub planned: u32,
    /// How long things took.
    #[serde(default)]
    pub timing: Option<Timing>,
}

/// The schema of a line, as a committed file.
pub fn file() -> (String, String) {
    let schema = schemars::schema_for!(Line);
    ("frames.schema.json".into(), format!("{:#}\n", schema.as_value()))
}

/// The first line.
pub(super) fn head(begin: &Begin, metadata: &Metadata) -> String {
    let text = |key| metadata.get(key).and_then(|value| value.as_str()).unwrap_or_default().to_owned();
    line(&Head {
        planktor_frames: SCHEMA,
        planktor_version: text("planktor_version"),
        planktor_board: text("planktor_board"),
        acq_uuid: text("acq_uuid"),
        anchor: Moment::of(&begin.anchor),
        camera: camera(&begin.mode, &begin.settings),
        planned: begin.plan.frames(),
        plan: steps(&begin.plan),
        tests: Test::all(),
    })
}

/// A frame's line.
pub(super) fn frame(picture: &Picture, quality: Option<&quality::Quality>, anchor: &Anchor) -> String {
    let Picture { facts, exposure, .. } = picture;
    let start = exposure.from;
    let Span { from_ns, to_ns } = span(anchor, *exposure);
    line(&Frame {
        file: picture.name.clone(),
        size: picture.jpeg.len() as u64,
        sha1: picture.sha1.clone(),
        seq: picture.seq,
        exposure: Exposure { utc: anchor.utc_at(start).rfc3339(), from_ns, to_ns },
        motion: facts.motion.map(|motion| span(anchor, motion)),
        settled_ns: since(anchor, facts.settled),
        pumped_nl: facts.pumped.0,
        height_um: facts.height.0,
        height_uncertain: facts.height_uncertain,
        light: facts.light.map(|light| f64::from(light.millionths()) / 1e6),
        fix: Position::of(facts.fix.as_ref(), start),
        time: facts.time.map(|time| Time::of(&time, start)),
        pulse: facts.pulse.map(|recording::Pulse { asked, within }| {
            let Span { from_ns, to_ns } = span(anchor, within);
            Pulse { asked_ns: nanos(asked), from_ns, to_ns }
        }),
        flow: facts.flow.map(|flowing| flow(&flowing, facts.pulse, anchor)),
        moved_um: facts.moved_nm.map(|nm| nm as f64 / 1e3),
        pump_clock: facts.clocks.pump.map(Into::into),
        focus_clock: facts.clocks.focus.map(Into::into),
        quality: quality.map(Quality::from),
    })
}

fn flow(flowing: &Flowing, pulse: Option<recording::Pulse>, anchor: &Anchor) -> Flow {
    let Flowing { since, flow, cell } = flowing;
    let blur_nm = blur::worst_nm(*cell, *flow, pulse.map_or(Duration::ZERO, |pulse| pulse.within.duration()));
    Flow {
        since_ns: self::since(anchor, *since),
        nl_per_s: flow.0,
        cell_um: cell.depth.0,
        cell_width_um: cell.width.0,
        blur_nm: u64::try_from(blur_nm).unwrap_or(u64::MAX),
    }
}

/// The line of something beside the frames.
pub(super) fn note(note: &Note, anchor: &Anchor) -> String {
    line(&match note {
        Note::ClockStep(step) => {
            Event::ClockStep { at_ns: since(anchor, step.at), by_s: step.by_us as f64 / 1e6 }
        }
        Note::Settling(Ok(learned)) => settling(learned),
        Note::Settling(Err(why)) => Event::SettlingUnknown { reason: why.to_string() },
    })
}

fn settling(learned: &Learned) -> Event {
    let um = |nm: i64| nm as f64 / 1e3;
    let tails = learned.tails.iter().filter(|tail| tail.left_nm != 0);
    Event::SettlingLearned {
        wait_s: learned.wait.as_secs_f64(),
        residual_um: f64::from(learned.residual_nm) / 1e3,
        reached: learned.reached,
        tails: tails.map(|tail| Tail { left_um: um(tail.left_nm), tau_s: tail.tau.as_secs_f64() }).collect(),
        drift_um_per_s: um(learned.drift_nm_per_s),
        sway_um: learned.sway_nm as f64 / 1e3,
        sway_period_s: learned.sway_period.as_secs_f64(),
        noise_um: learned.noise_nm as f64 / 1e3,
        pairs: learned.pairs,
    }
}

/// The last line.
pub(super) fn end(ending: &Ending, frames: usize, planned: u32, timing: Timing) -> String {
    let (word, reason) = match ending {
        Ending::Complete => ("complete", None),
        Ending::Stopped => ("stopped", None),
        Ending::Failed(reason) => ("failed", Some(reason.clone())),
    };
    line(&End { end: word.into(), reason, frames: frames as u64, planned, timing: Some(timing) })
}

/// How a camera streams.
pub(super) fn camera(mode: &Mode, settings: &Settings) -> Camera {
    let times = |thousandths: Option<u32>| thousandths.map(|gain| f64::from(gain) / 1e3);
    Camera {
        width: mode.width,
        height: mode.height,
        iso: mode.iso,
        gain: f64::from(mode.iso) * GAIN_AT_ISO_100 / 1e5,
        auto_balance: settings.auto_balance,
        red_gain: times(settings.red),
        blue_gain: times(settings.blue),
        cadence_ns: nanos(mode.cadence),
        exposure_ns: nanos(mode.exposure),
    }
}

/// Any line's text.
pub(super) fn line(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("it has nothing that JSON has not") + "\n"
}

/// Reads a record file: its whole lines, and how many bytes of it they are.
///
/// # Errors
/// The number of the first line that is none of ours, counted from 1, and why.
pub(super) fn read(content: &[u8]) -> Result<(Vec<Line>, usize), (usize, serde_json::Error)> {
    let whole = whole_lines(content);
    let lines = content[..whole].split_inclusive(|byte| *byte == b'\n').enumerate();
    let lines = lines.map(|(n, line)| serde_json::from_slice(line).map_err(|why| (n + 1, why)));
    Ok((lines.collect::<Result<_, _>>()?, whole))
}

fn span(anchor: &Anchor, Interval { from, to }: Interval) -> Span {
    Span { from_ns: since(anchor, from), to_ns: since(anchor, to) }
}

/// Nanoseconds from the anchor, either way.
fn since(anchor: &Anchor, at: Instant) -> i64 {
    let signed = i128::from(at.nanos()) - i128::from(anchor.instant.nanos());
    i64::try_from(signed).unwrap_or(if signed < 0 { i64::MIN } else { i64::MAX })
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
