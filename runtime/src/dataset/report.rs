//! What a check of a data set found, and how it is said in plain words. Checks nothing itself.

use super::{METADATA, RECORDS};
use serde_json::{Value, json};
use std::fmt;
use std::path::PathBuf;

/// What [`verify()`](super::verify()) found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The data set.
    pub folder: PathBuf,
    /// Frames that are recorded and under their names.
    pub frames: u64,
    /// Frames that the plan takes, if the record file says it.
    pub planned: Option<u64>,
    /// What it comes to.
    pub verdict: Verdict,
    /// What is right and yet surprises.
    pub remarks: Vec<String>,
}

/// What it comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Valid, and every frame of the plan is in it.
    Complete,
    /// Valid, with fewer frames than the plan takes.
    Early(Early),
    /// Valid, with one thing unfinished.
    Unfinished(Unfinished),
    /// Nothing was begun: its creation was cut off, or this is another folder. There is no frame to trust.
    NotBegun,
    /// Not as it was written.
    Invalid(Vec<Problem>),
}

/// Why a data set ended early.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Early {
    /// Somebody stopped it.
    Stopped,
    /// It had to end; the reason as it was recorded.
    Failed(String),
    /// It has no end: it is being written, or was cut off between two frames.
    CutOff,
}

/// What a power cut, a kill or a dead disk left unfinished.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unfinished {
    /// A frame.
    Frame {
        /// Its name, or what it was to be.
        name: String,
        /// How far it came.
        reached: Reached,
    },
    /// The end of the record file: its last line is torn.
    Line,
    /// The repair of a file: its copy was not put in place.
    Repair(String),
}

/// How far an unfinished frame came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reached {
    /// There is a temporary file, whole or not.
    Written,
    /// And a record of it.
    Recorded,
    /// And its name, but no line in `integrity.check`.
    Renamed,
}

/// Something that is not as it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// What is wrong.
    pub what: String,
    /// Which file, or which line of it.
    pub at: String,
    /// What to do.
    pub remedy: &'static str,
}

impl Report {
    /// For programs: what it comes to, and each problem with its file and what to do.
    pub fn json(&self) -> Value {
        let problems = match &self.verdict {
            Verdict::Invalid(problems) => problems.as_slice(),
            _ => &[],
        };
        let problems: Vec<_> =
            problems.iter().map(|p| json!({"what": p.what, "at": p.at, "remedy": p.remedy})).collect();
        json!({
            "folder": self.folder.to_string_lossy(),
            "valid": self.is_valid(),
            "complete": self.verdict == Verdict::Complete,
            "frames": self.frames,
            "planned": self.planned,
            "report": self.words().to_string(),
            "problems": problems,
            "remarks": self.remarks,
        })
    }

    /// The report without the folder's name.
    pub fn words(&self) -> impl fmt::Display + '_ {
        Words(self)
    }

    /// Whether every finished frame is as it was written, and at most one is unfinished.
    pub fn is_valid(&self) -> bool {
        !matches!(self.verdict, Verdict::NotBegun | Verdict::Invalid(_))
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.folder.display(), self.words())
    }
}

struct Words<'a>(&'a Report);

impl fmt::Display for Words<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let report = self.0;
        match &report.verdict {
            Verdict::Complete => write!(f, "valid and complete, {} frames", report.frames),
            Verdict::Early(early) => {
                write!(f, "valid, {} of {} frames: {early}", report.frames, report.plan())
            }
            Verdict::Unfinished(unfinished) => {
                write!(f, "valid, {} of {} frames: {unfinished}", report.frames, report.plan())
            }
            Verdict::NotBegun => write!(
                f,
                "NO data set, for it has no {RECORDS} with {METADATA}; if its creation was cut off, remove the folder"
            ),
            Verdict::Invalid(problems) => {
                write!(f, "NOT valid, {} problems:", problems.len())?;
                problems.iter().try_for_each(|problem| write!(f, "\n  {problem}"))
            }
        }?;
        report.remarks.iter().try_for_each(|remark| write!(f, "\n  note: {}", remark.escape_debug()))
    }
}

impl Report {
    fn plan(&self) -> String {
        self.planned.map_or("an unknown number of".into(), |planned| planned.to_string())
    }
}

impl fmt::Display for Early {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stopped => write!(f, "it was stopped"),
            Self::Failed(reason) => write!(f, "it failed: {}", reason.escape_debug()),
            Self::CutOff => {
                write!(f, "it has no end: it is being written, or was cut off between two frames")
            }
        }
    }
}

impl fmt::Display for Unfinished {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Frame { name, reached } => {
                write!(f, "frame {} is unfinished, {reached}", name.escape_debug())
            }
            Self::Line => {
                write!(f, "the last line of the record file is torn; nothing is lost but that line")
            }
            Self::Repair(file) => {
                write!(
                    f,
                    "a repair of {file} was cut off; {file}.part can be removed",
                    file = file.escape_debug()
                )
            }
        }
    }
}

impl fmt::Display for Reached {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Written => "written but not recorded; its .part file can be removed",
            Self::Recorded => "recorded but not under its name; its .part file is whole and can be renamed",
            Self::Renamed => "recorded and whole but not listed in integrity.check",
        })
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}; {}", self.at.escape_debug(), self.what.escape_debug(), self.remedy)
    }
}
