//! What encoders and recorder are asked and answer, and what is on its way through them.
//!
//! Encoders are pure: any number of them at once. The recorder is one thread and the only one that touches a data
//! set, so its order is always the same. Who implements them is the runtime's business.

use crate::beside::Worker;
use crate::estimate::Query;
use crate::port::Port;
use crate::sequence::Flowing;
use crate::settling::{Learned, Studied, Study, Unlearned};
use planktor_protocol::acquisition::{self, Formats, Metadata, Refusal};
use planktor_protocol::camera::{Frame, Mode, Settings};
use planktor_protocol::library::{Estimate, Name};
use planktor_protocol::motion::ChipClocks;
use planktor_protocol::plan::{Cursor, Plan};
use planktor_protocol::position::Fix;
use planktor_protocol::pump::Ramp;
use planktor_protocol::quality::Quality;
use planktor_protocol::timekeeping::{self, Anchor, Step};
use planktor_protocol::units::{Fraction, Micrometres, Nanolitres};
use planktor_protocol::{Instant, Interval, Run, Utc};
use std::borrow::Cow;
use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// What the instrument knew about a frame when its exposure began. By default nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// The last motion before it, from the order to its confirmed end.
    pub motion: Option<Interval>,
    /// From when on nothing was to move: the end of that motion and the settling after it.
    pub settled: Instant,
    /// From when on the camera alone was waited for.
    pub ready: Instant,
    /// Pumped since the acquisition began, as asked; negative is backwards.
    pub pumped: Nanolitres,
    /// The stage's height above where it was switched on.
    pub height: Micrometres,
    /// Whether that height is in doubt, because the stage was cut off in mid-move.
    pub height_uncertain: bool,
    /// What the lamp was last set to; `None` if that is not known.
    pub light: Option<Fraction>,
    /// The newest fix.
    pub fix: Option<Fix>,
    /// The newest anchor, which may be better than the data set's own.
    pub time: Option<Anchor>,
    /// How the camera streams.
    pub mode: Option<Mode>,
    /// Its light, of a strobed frame.
    pub pulse: Option<Pulse>,
    /// What flowed meanwhile.
    pub flow: Option<Flowing>,
    /// How far what is seen in it moved since the frame before, along the flow, nm; `None` where nobody looked, or nothing
    /// could be seen.
    pub moved_nm: Option<i64>,
    /// The clocks of the motors' drivers, from which the end of that motion was foreseen.
    pub clocks: ChipClocks,
}

/// The light of a strobed frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pulse {
    /// How long it was to be on.
    pub asked: Duration,
    /// When it was: outside this it was dark.
    pub within: Interval,
}

/// To an encoder.
#[derive(Debug)]
pub struct Encode {
    /// Which data set.
    pub batch: Run,
    /// Which frame of it.
    pub shot: Run,
    /// When its exposure began, as its file's name says: by the anchor that the data set's names count from.
    pub begun: Utc,
    /// The frame.
    pub frame: Frame,
    /// What was known about it.
    pub facts: Facts,
    /// In which forms it is wanted.
    pub formats: Formats,
}

/// From an encoder.
#[derive(Debug)]
pub struct Encoded {
    /// Which data set.
    pub batch: Run,
    /// Which frame of it.
    pub shot: Run,
    /// The frame, ready to be written, or why not.
    pub result: Result<Box<Picture>, Cow<'static, str>>,
}

/// A frame ready to be written.
pub struct Picture {
    /// Its file's name.
    pub name: String,
    /// Its file's content.
    pub jpeg: Vec<u8>,
    /// As the sensor gave it, if that is wanted.
    pub dng: Option<Vec<u8>>,
    /// As `integrity.check` has it: SHA-1 over name, a zero byte and content, in hexadecimal.
    pub sha1: String,
    /// The camera's own number.
    pub seq: u64,
    /// First line's start to last line's end.
    pub exposure: Interval,
    /// What was known about it.
    pub facts: Facts,
    /// What is seen in it; `None` if that cannot be said.
    pub look: Option<Look>,
}

/// What is seen in a picture, on a small copy of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Look {
    /// The mean of green, millionths of white.
    pub brightness: u32,
    /// As in [`Quality`].
    pub sharpness: u64,
    /// Pixels of the small copy that are as white as can be, millionths of all.
    pub saturated: u32,
    /// Diameter of the largest bubble, millionths of the height; 0 if there is none.
    pub bubble: u32,
    /// Equal for equal small copies, and by chance of one in 2^64 for others.
    pub print: u64,
    /// What is darker than its surroundings, the largest first.
    pub spots: Vec<Spot>,
}

/// Something in a picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spot {
    /// Its middle from the left, in eighths of a pixel of the small copy.
    pub x: u32,
    /// From the top.
    pub y: u32,
    /// Its size in pixels of the small copy.
    pub pixels: u32,
}

impl std::fmt::Debug for Picture {
    /// Its content by its digest.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { name, jpeg, dng: _, sha1, seq, exposure, facts, look: _ } = self;
        write!(f, "Picture({name}, {} bytes, {sha1}, seq {seq}, {exposure:?}, {facts:?})", jpeg.len())
    }
}

/// Why a data set ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Every frame of the plan is in it.
    Complete,
    /// Somebody stopped it.
    Stopped,
    /// It had to end.
    Failed(String),
}

/// To the recorder.
#[derive(Debug)]
pub enum Record {
    /// Create a data set.
    Begin(Box<Begin>),
    /// Go on with one.
    Resume(Box<Resume>),
    /// Add a frame.
    Frame {
        /// Which data set.
        batch: Run,
        /// Which frame of it.
        shot: Run,
        /// The frame.
        picture: Box<Picture>,
    },
    /// Write down what happened meanwhile, in every data set that is open.
    Note(Note),
    /// Say that it ends, and why.
    End {
        /// Which data set.
        batch: Run,
        /// Why.
        ending: Ending,
    },
    /// Keep a picture outside any data set.
    Alone {
        /// Its name.
        batch: Run,
        /// The picture.
        picture: Box<Picture>,
        /// In which forms.
        formats: Formats,
    },
    /// Something beside the data sets, and its name.
    Errand(Run, Errand),
}

/// Work for the recorder that can wait.
#[derive(Debug)]
pub enum Errand {
    /// Keep something small.
    Shelve(Shelve),
    /// Say what a protocol would come to.
    Estimate(Box<Query>),
}

/// What is small and kept from one start to the next; each replaces what was kept before, or nothing changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Shelve {
    /// Full steps of the pump for a millilitre, thousandths: into `hardware.json`.
    PumpSteps(u32),
    /// The ramp that the pump bears, and when that was found: into `hardware.json`.
    PumpRamp(Ramp, Utc),
    /// What the instrument remembers.
    Memory(Memory),
    /// A protocol.
    Protocol(Name, Arc<str>),
    /// That there is no such protocol.
    NoProtocol(Name),
}

/// What the instrument remembers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memory {
    /// The lamp's level when somebody only says "on".
    pub level: Fraction,
    /// How long its LED has been lit, all in all.
    pub lit: Duration,
    /// What time was believed when this was kept.
    pub time: Option<timekeeping::Saved>,
}

impl Default for Memory {
    /// Of a new instrument.
    fn default() -> Self {
        Self { level: Fraction::ONE, lit: Duration::ZERO, time: None }
    }
}

/// What a data set begins with.
#[derive(Clone, Debug)]
pub struct Begin {
    /// The name it has until it ends.
    pub batch: Run,
    /// What the client said.
    pub metadata: Arc<Metadata>,
    /// Both names of one moment; its file names count from it.
    pub anchor: Anchor,
    /// Where the instrument was.
    pub fix: Option<Fix>,
    /// How the camera streams.
    pub mode: Mode,
    /// How it was told to take pictures.
    pub settings: Settings,
    /// What is to be done.
    pub plan: Plan,
    /// Bytes of the frames so far, in the mean; `None` before the first.
    pub frame_bytes: Option<u64>,
    /// Which version of the instrument it is, as in `v3.0`, if that is known.
    pub hardware: Option<Arc<str>>,
}

/// What a data set goes on with that ended early.
#[derive(Clone, Debug)]
pub struct Resume {
    /// The name it has until it ends.
    pub batch: Run,
    /// Which, and what was said about it.
    pub order: acquisition::Resume,
    /// Both names of one moment.
    pub anchor: Anchor,
    /// How the camera streams.
    pub mode: Mode,
    /// How it was told to take pictures.
    pub settings: Settings,
    /// Where the stage stands, above where it was switched on.
    pub height: Micrometres,
    /// Whether that is in doubt, because the stage was cut off in mid-move.
    pub height_uncertain: bool,
    /// What the lamp was last set to; `None` if that is not known.
    pub light: Option<Fraction>,
    /// What it would pulse at.
    pub pulses: Fraction,
}

/// A data set that is open.
#[derive(Debug)]
pub struct Opened {
    /// Its folder.
    pub folder: Arc<Path>,
    /// Its file names count from this.
    pub names: Anchor,
    /// What is to be done.
    pub cursor: Cursor,
    /// Frames that are in it.
    pub frames: u32,
}

/// What happened beside the frames, and whoever reads them in years must know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Note {
    /// The computer's clock was set.
    ClockStep(Step),
    /// How long the water needs to come to rest.
    Settling(Result<Learned, Unlearned>),
}

/// A frame on disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Saved {
    /// Its file.
    pub path: Arc<Path>,
    /// What it is worth, and what drifts away from how the run began.
    pub quality: Option<(Quality, Option<Arc<str>>)>,
}

/// From the recorder.
#[derive(Debug)]
pub enum Recorded {
    /// The note is written down, or why not.
    Noted(Result<(), String>),
    /// The data set is open, or why not.
    Begun {
        /// Which data set.
        batch: Run,
        /// What is known of it.
        result: Result<Box<Opened>, Refusal>,
    },
    /// The frame is on disk, durably, or why not.
    Saved {
        /// Which data set.
        batch: Run,
        /// Which frame of it.
        shot: Run,
        /// What became of it.
        result: Result<Box<Saved>, Cow<'static, str>>,
    },
    /// The data set is closed, or why not.
    Ended {
        /// Which data set.
        batch: Run,
        /// Whether its end is on disk.
        result: Result<(), String>,
    },
    /// The picture is on disk, durably, or why not.
    Alone {
        /// Its name.
        batch: Run,
        /// Its files.
        result: Result<Files, String>,
    },
    /// What came of an errand, or why nothing.
    Did(Run, Result<Done, String>),
}

/// What can come of an errand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Done {
    /// It is kept, durably.
    Kept,
    /// What the protocol would come to.
    Estimated(Estimate),
}

/// The files of a picture outside any data set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Files {
    /// Its JPEG.
    pub jpeg: Option<Arc<Path>>,
    /// Its DNG.
    pub dng: Option<Arc<Path>>,
}

/// Frames on their way to disk. A data set that was stopped still gets those that were under way, and its end after
/// them, while the next one may have begun.
pub struct Pipeline {
    encoders: Worker<Encode, Encoded>,
    students: Worker<Study, Studied>,
    recorder: Worker<Record, Recorded>,
    encoded: Port<Encoded>,
    studied: Port<Studied>,
    recorded: Port<Recorded>,
    batches: Vec<Batch>,
    /// One is with the recorder, the others wait here, so that they never keep a frame out.
    errands: VecDeque<(Run, Errand)>,
    errand_under_way: bool,
}

struct Batch {
    run: Run,
    begun: bool,
    under_way: u32,
    end: End,
}

#[derive(PartialEq)]
enum End {
    Open,
    Due(Ending),
    Told,
    /// It is one picture only.
    Alone(Formats),
}

/// Nobody takes the job: as many wait as may.
const CROWDED: &str = "the disk is too slow: too many frames wait to be written";
/// The worker's thread panicked.
const PANICKED: &str = "the encoder or recorder panicked; please report it with the log";

impl Pipeline {
    /// Answers go to these ports.
    pub fn new(
        (encoders, encoded): (Worker<Encode, Encoded>, Port<Encoded>),
        (students, studied): (Worker<Study, Studied>, Port<Studied>),
        (recorder, recorded): (Worker<Record, Recorded>, Port<Recorded>),
    ) -> Self {
        Self {
            encoders,
            students,
            recorder,
            encoded,
            studied,
            recorded,
            batches: Vec::new(),
            errands: VecDeque::new(),
            errand_under_way: false,
        }
    }

    /// Asks for a new data set.
    pub fn begin(&mut self, begin: Begin) {
        self.open(begin.batch, Record::Begin(Box::new(begin)));
    }

    /// Asks for one that ended early.
    pub fn resume(&mut self, resume: Resume) {
        self.open(resume.batch, Record::Resume(Box::new(resume)));
    }

    fn open(&mut self, batch: Run, job: Record) {
        let lost = |why: Cow<'static, str>| Recorded::Begun { batch, result: Err(Refusal::Disk(why.into())) };
        self.record(job, lost);
        self.batches.push(Batch { run: batch, begun: false, under_way: 0, end: End::Open });
    }

    /// The data set exists.
    pub fn begun(&mut self, batch: Run) {
        if let Some(batch) = self.batches.iter_mut().find(|b| b.run == batch) {
            batch.begun = true;
        }
    }

    /// Sends a frame on its way.
    pub fn keep(&mut self, encode: Encode) {
        let (batch, shot) = (encode.batch, encode.shot);
        if let Some(batch) = self.batches.iter_mut().find(|b| b.run == batch) {
            batch.under_way += 1;
        }
        let lost = |why: &'static str| Encoded { batch, shot, result: Err(why.into()) };
        if self.encoders.begin(encode, lost(PANICKED), &self.encoded).is_err() {
            self.encoded.send(lost(CROWDED));
        }
    }

    /// Sends a picture on its way that belongs to no data set.
    pub fn keep_alone(&mut self, encode: Encode) {
        let end = End::Alone(encode.formats);
        self.batches.push(Batch { run: encode.batch, begun: true, under_way: 0, end });
        self.keep(encode);
    }

    /// An encoder is done: on to the recorder.
    pub fn encoded(&mut self, encoded: Encoded) {
        let Encoded { batch, shot, result } = encoded;
        let alone = self.batches.iter().find_map(|b| match b.end {
            End::Alone(formats) if b.run == batch => Some(formats),
            _ => None,
        });
        let lost = |why: Cow<'static, str>| match alone {
            Some(_) => Recorded::Alone { batch, result: Err(why.into()) },
            None => Recorded::Saved { batch, shot, result: Err(why) },
        };
        match (result, alone) {
            (Ok(picture), None) => self.record(Record::Frame { batch, shot, picture }, lost),
            (Ok(picture), Some(formats)) => self.record(Record::Alone { batch, picture, formats }, lost),
            (Err(why), _) => self.recorded.send(lost(why)),
        }
    }

    /// Has frames looked at that are perhaps not kept. Nothing depends on it: what finds nobody is answered as unseen.
    pub fn study(&mut self, study: Study) {
        let unseen = match study {
            Study::Compare { run, .. } => Studied::Compared(run, None),
            Study::Fit { run, .. } => Studied::Fitted(run, Err(Unlearned::NoFit)),
        };
        if let Err(unseen) = self.students.begin(study, unseen, &self.studied) {
            self.studied.send(unseen);
        }
    }

    /// Has something done beside the data sets, when what was asked before is done.
    pub fn errand(&mut self, run: Run, errand: Errand) {
        self.errands.push_back((run, errand));
        self.next_errand();
    }

    /// An errand is done, this or that.
    pub fn did(&mut self) {
        self.errand_under_way = false;
        self.next_errand();
    }

    fn next_errand(&mut self) {
        if !self.errand_under_way
            && let Some((run, errand)) = self.errands.pop_front()
        {
            self.errand_under_way = true;
            self.record(Record::Errand(run, errand), |why| Recorded::Did(run, Err(why.into())));
        }
    }

    /// A frame has come to the end of its way, this or that.
    pub fn saved(&mut self, batch: Run) {
        if let Some(batch) = self.batches.iter_mut().find(|b| b.run == batch) {
            batch.under_way -= 1;
        }
        self.close(batch);
    }

    /// Something happened beside the frames.
    pub fn note(&mut self, note: Note) {
        if self.batches.iter().any(|batch| batch.begun && batch.end == End::Open) {
            self.record(Record::Note(note), |why| Recorded::Noted(Err(why.into())));
        }
    }

    /// The data set ends as soon as nothing is under way to it.
    pub fn end(&mut self, batch: Run, ending: Ending) {
        if let Some(open) = self.batches.iter_mut().find(|b| b.run == batch && b.end == End::Open) {
            open.end = End::Due(ending);
        }
        self.close(batch);
    }

    /// The data set has ended, or was never begun.
    pub fn ended(&mut self, batch: Run) {
        self.batches.retain(|b| b.run != batch);
    }

    /// Whether encoders or recorder owe an answer.
    pub fn is_owed(&self) -> bool {
        self.errand_under_way
            || self.batches.iter().any(|b| !b.begun || b.under_way > 0 || b.end == End::Told)
    }

    /// Whether a data set still waits for frames or its end, or something small is not yet kept.
    pub fn is_busy(&self) -> bool {
        self.errand_under_way || !self.batches.is_empty()
    }

    fn close(&mut self, run: Run) {
        let Some(batch) = self.batches.iter_mut().find(|b| b.run == run && b.under_way == 0) else { return };
        match std::mem::replace(&mut batch.end, End::Told) {
            End::Due(ending) => {
                let lost = |why: Cow<'static, str>| Recorded::Ended { batch: run, result: Err(why.into()) };
                self.record(Record::End { batch: run, ending }, lost);
            }
            end => batch.end = end,
        }
    }

    fn record(&self, job: Record, lost: impl Fn(Cow<'static, str>) -> Recorded) {
        if self.recorder.begin(job, lost(PANICKED.into()), &self.recorded).is_err() {
            self.recorded.send(lost(CROWDED.into()));
        }
    }
}
