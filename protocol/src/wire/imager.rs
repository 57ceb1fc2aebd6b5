//! `imager/image` as the dashboard speaks it, and `planktor/acquire`, which takes a whole plan.

use super::motion::{FlowRate, Millilitres, PumpDirection, stroke};
use super::reading::{Misread, Text, Whole, quantity, tagged, words};
use super::{Status, library, plan, quality, status_of};
use crate::acquisition::{self, Event, Failure, Formats, Progress, Refusal};
use crate::camera::{GAIN_AT_ISO_100, Settings};
use crate::instrument::Command;
use crate::plan::{Plan, Step};
use crate::units::NanolitresPerSecond;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

pub(super) const TOPIC: &str = "imager/image";
pub(super) const ACQUIRE: &str = "planktor/acquire";
pub(super) const RESUME: &str = "planktor/resume";
pub(super) const STATUS: &str = "status/imager";
pub(super) const PROGRESS: &str = "planktor/status/acquisition";

/// When the message says no flow rate: 2 mL/min, as ever.
const DEFAULT_FLOW: FlowRate = FlowRate(2.0);

quantity! {
    /// How long to leave the water alone before a picture; a day at most.
    Settling: 0.0 to 86400.0 "s";
    /// ISO as the dashboard counts it: 100 is a gain of 2.3125. A camera does the nearest that it can.
    Iso: 1.0 to 1000.0 "";
    /// What each line integrates. A camera does the nearest that it can.
    ShutterSpeed: 1.0 to 1000000.0 "us";
    /// A white-balance gain, times 100.
    HundredfoldGain: 0.0 to 3200.0 "/100";
    /// Analogue gain. A camera does the nearest that it can.
    AnalogGain: 0.0 to 16.0 "";
}

tagged! {
    /// A command to the imager.
    pub enum ImagerCommand by "action" {
        /// Metadata of the acquisitions to come.
        "update_config" => UpdateConfig(UpdateConfig),
        /// Make an acquisition: pump, settle, take a picture, so many times.
        "image" => Image(StopFlow),
        /// End the acquisition, and stop both motors.
        "stop" => Stop,
        /// How pictures are taken from now on.
        "settings" => Settings(ChangeSettings),
        /// Take one picture, outside any acquisition. Answered when it is on disk.
        "capture" => Capture(Capture),
    }
}

/// Metadata, written down as it is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct UpdateConfig {
    /// Keys as `sample_*`, `acq_*`, `object_*`, `process_*`, `img_*`. `object_date`, `sample_id` and `acq_id` name the
    /// data set's folder.
    pub config: Map<String, Value>,
}

/// A stop-flow acquisition.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct StopFlow {
    /// Which way.
    pub pump_direction: PumpDirection,
    /// For each frame.
    pub volume: Millilitres,
    /// Frames.
    pub nb_frame: Whole<1, 1_000_000>,
    /// Settling before each frame.
    pub sleep: Settling,
    /// Instead of `sleep`: as long as the water needs, learned from the first strokes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settle_until_still: Option<plan::UntilStill>,
    /// 2 mL/min if it is missing, and `pump_flowrate`, too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flowrate: Option<FlowRate>,
    /// Another name of `flowrate`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pump_flowrate: Option<FlowRate>,
}

/// New camera settings.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ChangeSettings {
    /// Those that change.
    pub settings: CameraSettings,
}

/// Camera settings; what is missing stays as it is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct CameraSettings {
    /// Sensitivity.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub iso: Option<Iso>,
    /// Exposure time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shutter_speed: Option<ShutterSpeed>,
    /// Who balances white.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub white_balance: Option<WhiteBalance>,
    /// With white balance off.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub white_balance_gain: Option<WhiteBalanceGain>,
    /// Instead of `iso`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image_gain: Option<ImageGain>,
}

words! {
    /// Who balances white: the camera, or the gains.
    pub enum WhiteBalance {
        "auto" => Auto,
        "off" => Off,
    }
}

/// Red and blue as multiples of green; one alone keeps the other.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct WhiteBalanceGain {
    /// Of red.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub red: Option<HundredfoldGain>,
    /// Of blue.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub blue: Option<HundredfoldGain>,
}

/// The sensor's gain.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ImageGain {
    /// Before the converter.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub analog: Option<AnalogGain>,
}

/// In which forms a picture is written.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Capture {
    /// Developed and compressed; true if it is missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jpeg: Option<bool>,
    /// As the sensor gave it; false if it is missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dng: Option<bool>,
}

/// An acquisition by a plan of one's own.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Acquire {
    /// What is done, in order.
    pub plan: Vec<plan::Step>,
}

/// Go on with an acquisition that ended early: same ids, and the frames that are missing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ResumeDataSet {
    /// `object_date/sample_id/acq_id`, as its folders are called below `img`.
    pub data_set: Text<LONGEST_DATA_SET>,
    /// For plans that move the stage: somebody has seen to it that the stage stands where it stood at the last frame.
    /// False if it is missing.
    #[serde(default)]
    pub stage_as_it_stands: bool,
}

/// Three names of at most 200 bytes, and `img` with its slashes.
const LONGEST_DATA_SET: usize = 620;

pub(super) fn resume(ResumeDataSet { data_set, stage_as_it_stands }: ResumeDataSet) -> Command {
    let order = acquisition::Resume { data_set: data_set.0.into(), stage_as_it_stands };
    Command::Acquisition(acquisition::Command::Continue(order))
}

pub(super) fn command(command: ImagerCommand) -> Result<Command, Misread> {
    use acquisition::Command as Of;
    Ok(Command::Acquisition(match command {
        ImagerCommand::UpdateConfig(UpdateConfig { config }) => Of::Configure(Arc::new(config)),
        ImagerCommand::Image(order) => Of::Acquire(stop_flow(&order)?),
        ImagerCommand::Stop => Of::Stop,
        ImagerCommand::Settings(ChangeSettings { settings }) => Of::Set(settings.into()),
        ImagerCommand::Capture(Capture { jpeg, dng }) => {
            Of::Capture(Formats { jpeg: jpeg.unwrap_or(true), dng: dng.unwrap_or(false) })
        }
    }))
}

fn stop_flow(order: &StopFlow) -> Result<Plan, Misread> {
    let flow = order.flowrate.or(order.pump_flowrate).unwrap_or(DEFAULT_FLOW);
    let stroke = stroke(order.pump_direction, order.volume, NanolitresPerSecond::from(flow));
    let settle = match &order.settle_until_still {
        Some(still) => Step::SettleUntilStill(still.clone().into()),
        None => Step::Settle(Duration::from_secs_f64(order.sleep.0)),
    };
    let plan = Plan::stop_flow(order.nb_frame.0, stroke, settle);
    plan.map_err(|flaw| Misread::new("", flaw.to_string()))
}

pub(super) fn acquire(order: Acquire) -> Result<Command, Misread> {
    Ok(Command::Acquisition(acquisition::Command::Acquire(plan::plan(order.plan, "")?)))
}

impl From<CameraSettings> for Settings {
    fn from(settings: CameraSettings) -> Self {
        let thousandths = |value: i64| u32::try_from(value).ok();
        let CameraSettings { iso, shutter_speed, white_balance, white_balance_gain, image_gain } = settings;
        let by_iso = iso.and_then(|iso| thousandths(iso.scaled(GAIN_AT_ISO_100 / 100.0)));
        let direct = image_gain.and_then(|gain| gain.analog).and_then(|gain| thousandths(gain.scaled(1e3)));
        let balance = white_balance_gain.unwrap_or_default();
        let gain = |gain: Option<HundredfoldGain>| gain.and_then(|gain| thousandths(gain.scaled(10.0)));
        Self {
            exposure: shutter_speed.map(|us| Duration::from_secs_f64(us.0 / 1e6)),
            gain_thousandths: direct.or(by_iso),
            auto_balance: white_balance.map(|who| who == WhiteBalance::Auto),
            red: gain(balance.red),
            blue: gain(balance.blue),
            cadence: None,
        }
    }
}

/// The words that the imager's topic has for a message that cannot be read.
pub(super) fn flaw(misread: &Misread, message: &Value) -> String {
    let is = |path: &str| misread.path == path || misread.path.starts_with(&format!("{path}."));
    match () {
        () if is("config") => "Configuration message error".into(),
        () if is("settings.iso") || is("settings.image_gain") => "Error: Iso number not valid".into(),
        () if is("settings.shutter_speed") => "Error: Shutter speed not valid".into(),
        () if is("settings.white_balance_gain") => "Error: White balance gain not valid".into(),
        () if is("settings.white_balance") => {
            let mode = harmless(message["settings"]["white_balance"].as_str().unwrap_or_default());
            format!("Error: White balance mode {mode} not valid")
        }
        () if is("settings") => "Camera settings error".into(),
        () => "Error".into(),
    }
}

/// Dashboards look for words in this status: what a client wrote must not bring any in.
fn harmless(mode: &str) -> &str {
    let plain = (1..=20).contains(&mode.len()) && mode.bytes().all(|byte| byte.is_ascii_alphabetic());
    let spoken = ["started", "running", "capturing"].iter().any(|word| mode.to_lowercase().contains(word));
    if plain && !spoken { mode } else { "?" }
}

/// What the imager says. Its `status` is one of the words, or begins like one of them.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum ImagerStatus {
    /// What happened.
    Said(ImagerSaid),
    /// A frame is on disk; follows the text that says so.
    Progress(FrameProgress),
    /// A picture is on disk.
    Captured(Captured),
}

/// What happened.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct ImagerSaid {
    /// `Started`, `Done`, `Interrupted`, `Busy`, `Config updated`, `Camera settings updated`, `Image 1/3 saved to …`,
    /// `Starting up`, `Ready`, `Dead`, or what was wrong.
    #[schemars(regex(
        pattern = r"^(Started|Done|Interrupted|Busy|Config updated|Camera settings updated|Camera settings error|Configuration message error|Configuration update error: .+|Image \d+/\d+ (saved to .+\.jpg|WAS NOT CAPTURED! STOPPING THE PROCESS!)|Error(: .+)?|Starting up|Ready|Dead)$"
    ))]
    status: String,
    /// The data set's folder; with `Done`.
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<String>,
    /// Why it was refused or failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

/// A frame is on disk.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct FrameProgress {
    /// Always `progress`.
    #[schemars(regex(pattern = "^progress$"))]
    r#type: &'static str,
    /// Its file.
    path: String,
    /// How many there are now.
    current: u32,
    /// How many there will be.
    total: u32,
}

/// A picture is on disk.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Captured {
    /// Always `capture`.
    #[schemars(regex(pattern = "^capture$"))]
    action: &'static str,
    /// Its JPEG, if one was asked for.
    jpeg: Option<String>,
    /// Its DNG, if one was asked for.
    dng: Option<String>,
}

words! {
    /// What an acquisition does.
    pub enum ProgressWord {
        /// There is none.
        "idle" => Idle,
        /// Camera and data set are made ready.
        "starting" => Starting,
        /// It takes frames, and learns how long the water needs to come to rest.
        "learning" => Learning,
        /// It takes frames.
        "acquiring" => Acquiring,
        /// It will hold before the next stroke.
        "pausing" => Pausing,
        /// It holds.
        "paused" => Paused,
        /// The data set is being closed.
        "closing" => Closing,
    }
}

/// Where the acquisition is.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct AcquisitionStatus {
    state: ProgressWord,
    /// Frames on disk.
    current: u32,
    /// Frames that there will be; 0 without an acquisition.
    total: u32,
}

pub(super) fn said(status: &str, reason: Option<String>) -> Status {
    status_of(STATUS, &ImagerStatus::Said(ImagerSaid { status: status.into(), path: None, reason }), false)
}

/// A frame's text comes before its progress: dashboards read `status` of every message.
pub(super) fn status(event: &Event) -> Vec<Status> {
    match event {
        Event::Configured => vec![said("Config updated", None)],
        Event::Set => vec![said("Camera settings updated", None)],
        Event::Started => vec![said("Started", None)],
        Event::Saved { path, current, total } => {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            let progress =
                FrameProgress { r#type: "progress", path: text(path), current: *current, total: *total };
            vec![
                Status { spare: true, ..said(&format!("Image {current}/{total} saved to {name}"), None) },
                Status { spare: true, ..status_of(STATUS, &ImagerStatus::Progress(progress), false) },
            ]
        }
        Event::Judged { path, quality, warning } => {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            vec![quality::status(&name, quality, warning.as_deref())]
        }
        Event::Captured { jpeg, dng } => {
            vec![status_of(STATUS, &ImagerStatus::Captured(captured(jpeg.as_deref(), dng.as_deref())), false)]
        }
        Event::Done { path } => {
            let done = ImagerSaid { status: "Done".into(), path: Some(text(path)), reason: None };
            vec![status_of(STATUS, &ImagerStatus::Said(done), false)]
        }
        Event::Interrupted => vec![said("Interrupted", None)],
        Event::Pausing => vec![library::said(library::LibraryWord::Pausing, None)],
        Event::Resumed => vec![library::said(library::LibraryWord::Resumed, None)],
        Event::Refused(why @ Refusal::NotAcquiring) => {
            vec![library::said(library::LibraryWord::Refused, Some(why.to_string()))]
        }
        Event::Refused(why) => vec![said(refused(why), Some(why.to_string()))],
        Event::Failed(why) => vec![said(&failed(why), Some(why.to_string()))],
        Event::Progress { progress, current, total } => {
            let state = match progress {
                Progress::Idle => ProgressWord::Idle,
                Progress::Starting => ProgressWord::Starting,
                Progress::Learning => ProgressWord::Learning,
                Progress::Acquiring => ProgressWord::Acquiring,
                Progress::Pausing => ProgressWord::Pausing,
                Progress::Paused => ProgressWord::Paused,
                Progress::Closing => ProgressWord::Closing,
            };
            vec![status_of(PROGRESS, &AcquisitionStatus { state, current: *current, total: *total }, true)]
        }
    }
}

pub(super) fn response(event: &Event) -> Result<Value, String> {
    match event {
        Event::Refused(why) => Err(why.to_string()),
        Event::Failed(why) => Err(why.to_string()),
        Event::Captured { jpeg, dng } => Ok(json!(captured(jpeg.as_deref(), dng.as_deref()))),
        Event::Configured
        | Event::Set
        | Event::Pausing
        | Event::Resumed
        | Event::Progress { .. }
        | Event::Started
        | Event::Saved { .. }
        | Event::Judged { .. } => Ok(json!({})),
        Event::Done { path } => Ok(json!({"path": text(path)})),
        Event::Interrupted => Ok(json!({"status": "Interrupted"})),
    }
}

fn captured(jpeg: Option<&Path>, dng: Option<&Path>) -> Captured {
    Captured { action: "capture", jpeg: jpeg.map(text), dng: dng.map(text) }
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

/// The documented words; "error" only where a dashboard may count it as an end.
fn refused(why: &Refusal) -> &'static str {
    match why {
        Refusal::Acquiring | Refusal::Capturing | Refusal::Moving(_) => "Busy",
        Refusal::Stopped => "Interrupted",
        Refusal::NotConfigured | Refusal::MissingKey("object_date") => {
            "Configuration update error: object_date is missing!"
        }
        Refusal::IdsInUse(_) => "Configuration update error: Chosen id are already in use!",
        Refusal::NoCamera(_) => "Error: missing camera",
        Refusal::NotAcquiring
        | Refusal::NoFormat
        | Refusal::Protocol(_)
        | Refusal::MissingKey(_)
        | Refusal::BadId { .. }
        | Refusal::NoMotor(..)
        | Refusal::Stroke(_)
        | Refusal::Strobe(_)
        | Refusal::NoRoom { .. }
        | Refusal::NoDataSet(_)
        | Refusal::CannotGoOn { .. }
        | Refusal::Disk(_) => "Error",
    }
}

fn failed(why: &Failure) -> String {
    match why {
        Failure::Camera { image, total, .. } => {
            format!("Image {image}/{total} WAS NOT CAPTURED! STOPPING THE PROCESS!")
        }
        Failure::Motor(..)
        | Failure::Focus(_)
        | Failure::Lamp(_)
        | Failure::Pump(_)
        | Failure::Disk(_)
        | Failure::Capture(_) => "Error".into(),
    }
}
