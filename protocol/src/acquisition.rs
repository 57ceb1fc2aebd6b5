//! An acquisition: a plan carried out into a data set.

use crate::plan::Plan;
use crate::{Axis, Fault, camera};
use std::sync::Arc;

/// The keys and values that a client gave with `update_config`; they are written down as they came.
pub type Metadata = serde_json::Map<String, serde_json::Value>;

/// An order to the supervisor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Metadata of the acquisitions to come.
    Configure(Arc<Metadata>),
    /// How pictures are taken from now on.
    Set(camera::Settings),
    /// Take one picture, outside any data set.
    Capture(Formats),
    /// Carry out a plan.
    Acquire(Plan),
    /// Go on with a data set that ended early.
    Continue(Resume),
    /// Hold before the next stroke; without strokes, before the next step.
    Pause,
    /// Go on.
    Resume,
    /// End it now.
    Stop,
}

/// Which data set is to go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resume {
    /// `object_date/sample_id/acq_id`, as its folders are called below `img`.
    pub data_set: Arc<str>,
    /// Somebody has seen to it that the stage stands where it stood at the last frame. Nobody else knows: heights count
    /// from where the stage was switched on.
    pub stage_as_it_stands: bool,
}

/// In which forms a picture is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Formats {
    /// Developed and compressed.
    pub jpeg: bool,
    /// As the sensor gave it.
    pub dng: bool,
}

/// Where an acquisition is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// There is none.
    Idle,
    /// Camera and data set are made ready.
    Starting,
    /// It takes frames, and learns from them how long the water needs to come to rest.
    Learning,
    /// It takes frames.
    Acquiring,
    /// It will hold before the next stroke.
    Pausing,
    /// It holds.
    Paused,
    /// Every frame is taken; the data set is closed.
    Closing,
}

/// What came of it. An acquisition that was `Started` ends in exactly one of `Done`, `Interrupted`, `Failed`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The metadata is kept.
    Configured,
    /// Pictures are taken so from now on.
    Set,
    /// The picture is on disk, durably.
    Captured {
        /// Its JPEG.
        jpeg: Option<Arc<std::path::Path>>,
        /// Its DNG.
        dng: Option<Arc<std::path::Path>>,
    },
    /// It will hold before the next stroke.
    Pausing,
    /// It goes on.
    Resumed,
    /// Where it is now; answers nobody.
    Progress {
        /// What it does.
        progress: Progress,
        /// Frames on disk.
        current: u32,
        /// Frames that there will be.
        total: u32,
    },
    /// The data set exists and the first stroke begins.
    Started,
    /// A frame is on disk, durably.
    Saved {
        /// Its file.
        path: Arc<std::path::Path>,
        /// How many there are now.
        current: u32,
        /// How many there will be.
        total: u32,
    },
    /// What the frame that was saved last is worth; answers nobody.
    Judged {
        /// Its file.
        path: Arc<std::path::Path>,
        /// What it is worth.
        quality: crate::quality::Quality,
        /// What drifts away from how the run began.
        warning: Option<Arc<str>>,
    },
    /// Every frame is on disk and the data set is complete.
    Done {
        /// The data set's folder.
        path: Arc<std::path::Path>,
    },
    /// Stopped; what was taken is kept.
    Interrupted,
    /// It was not begun.
    Refused(Refusal),
    /// It was begun and had to end; what was taken is kept.
    Failed(Failure),
}

/// Why an acquisition was not begun.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Another one is under way.
    #[error("an acquisition is running; stop it or wait for its end")]
    Acquiring,
    /// A motor is moving on somebody's order.
    #[error("the {0} is moving; wait for its end or stop it")]
    Moving(Axis),
    /// A stop came after it.
    #[error("a stop came after this command")]
    Stopped,
    /// A picture is being taken.
    #[error("a picture is being taken; wait for it")]
    Capturing,
    /// Nothing to pause or resume.
    #[error("no acquisition is running")]
    NotAcquiring,
    /// Neither form was asked for.
    #[error("neither jpeg nor dng is asked for; set one of them to true")]
    NoFormat,
    /// The protocol that was to be run.
    #[error(transparent)]
    Protocol(Box<crate::library::Refusal>),
    /// No metadata yet.
    #[error("no configuration yet; send update_config with object_date, sample_id and acq_id first")]
    NotConfigured,
    /// The folder's name needs it.
    #[error("{0} is missing from the configuration; send update_config with it")]
    MissingKey(&'static str),
    /// It cannot be part of a folder's name.
    #[error("{key} cannot name a folder: {why}")]
    BadId {
        /// Which key of the configuration.
        key: &'static str,
        /// What is wrong with its value.
        why: &'static str,
    },
    /// There is such a data set already.
    #[error("{0} exists already; choose another acq_id")]
    IdsInUse(String),
    /// No camera answers.
    #[error("no camera: {0}")]
    NoCamera(Fault),
    /// A motor does not answer.
    #[error("the {0} is not available: {1}")]
    NoMotor(Axis, Fault),
    /// The pump cannot do a stroke of the plan.
    #[error(transparent)]
    Stroke(#[from] crate::pump::Refusal),
    /// The light cannot be pulsed so.
    #[error("cannot strobe: {0}")]
    Strobe(String),
    /// The data root cannot be written.
    #[error("cannot create the data set: {0}")]
    Disk(String),
    /// The frames would not fit.
    #[error(
        "{frames} frames of about {} MB need {} MB; {} MB are free, and {} MB are to stay free; \
         move data away, or take fewer frames", mb(*.frame_bytes), mb(.frame_bytes * u64::from(*.frames)), mb(*.free),
         mb(*.kept_free)
    )]
    NoRoom {
        /// How many frames there were to be.
        frames: u32,
        /// How large each is, in the mean or as an estimate.
        frame_bytes: u64,
        /// What is free.
        free: u64,
        /// What is never used.
        kept_free: u64,
    },
    /// There is no such data set.
    #[error("there is no data set {0} here; list shows which there are")]
    NoDataSet(String),
    /// It cannot go on.
    #[error("{data_set} cannot go on: {why}")]
    CannotGoOn {
        /// Which.
        data_set: String,
        /// Why, and what to do.
        why: String,
    },
}

/// Megabytes with one digit.
#[expect(clippy::cast_precision_loss, reason = "it is shown with one digit")]
fn mb(bytes: u64) -> String {
    format!("{:.1}", bytes as f64 / 1e6)
}

/// Why an acquisition had to end.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// A motor.
    #[error("the {0} failed: {1}")]
    Motor(Axis, Fault),
    /// The stage refused a step of the plan.
    #[error("the stage cannot go there: {0}")]
    Focus(crate::focus::Refusal),
    /// The pump refused a step of the plan.
    #[error("the pump cannot do this stroke: {0}")]
    Pump(crate::pump::Refusal),
    /// The lamp, of strobed frames.
    #[error("the lamp failed, so no frame can be strobed: {0}")]
    Lamp(Fault),
    /// The camera.
    #[error("frame {image} of {total} was not captured: {cause}")]
    Camera {
        /// Which frame of the plan.
        image: u32,
        /// Of how many.
        total: u32,
        /// What happened.
        cause: Fault,
    },
    /// The data set.
    #[error("cannot write the data set: {0}")]
    Disk(String),
    /// A picture outside any data set.
    #[error("no picture was kept: {0}")]
    Capture(String),
}
