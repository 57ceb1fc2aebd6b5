//! Reads a data set to show it: what its files say, as far as they can be read. What is missing or damaged is named and left
//! out, so that a half data set is shown as half; whether every byte is right is [`verify()`](super::verify())'s question.
//! Writes nothing.

use super::records::{Camera, End, Event, Frame, Head, Line, Resumed};
use super::verify::glance_on;
use super::whence::Moment;
use super::{INTEGRITY, METADATA, PART, RECORDS, is_frame_name, looks_like_frame, whole_lines};
use planktor_drivers::disk::FileSystem;
use planktor_protocol::Utc;
use planktor_protocol::acquisition::Metadata;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// A record has less than a kilobyte; a hundred thousand frames are more than any sample has.
const LARGEST_RECORDS: u64 = 128 << 20;
/// Of what clients said.
const LARGEST_METADATA: u64 = 4 << 20;
/// So many problems of a kind are named one by one.
const NAMED: usize = 5;

/// A data set as it can be read.
#[derive(Debug)]
pub struct Set {
    /// Where it is.
    pub folder: PathBuf,
    /// `metadata.json`; empty if it cannot be read.
    pub metadata: Metadata,
    /// The record file's first line.
    pub head: Option<Head>,
    /// From the beginning to where it was cut off or ended, and again from each resumption.
    pub parts: Vec<Part>,
    /// The frames, in the order of their names.
    pub shots: Vec<Shot>,
    /// How it ended.
    pub end: Option<End>,
    /// Of all its files.
    pub bytes: u64,
    /// What is missing or damaged, in words.
    pub problems: Vec<String>,
    /// What is under way, or was when it was cut off: at most one thing, if nothing is wrong.
    pub unfinished: Vec<String>,
}

/// What was taken without an interruption, on one monotonic clock.
#[derive(Debug)]
pub struct Part {
    /// What its times count from.
    pub anchor: Moment,
    /// How the camera streamed.
    pub camera: Camera,
    /// How it came to go on; `None` in the first.
    pub resumed: Option<Resumed>,
    /// What happened beside the frames.
    pub events: Vec<Event>,
}

/// A frame that is recorded, or on disk, or both.
#[derive(Debug)]
pub struct Shot {
    /// Its file.
    pub name: String,
    /// Bytes on disk; `None` if it is not there.
    pub size: Option<u64>,
    /// Its line in the record file.
    pub record: Option<Frame>,
    /// Which of the set's parts it belongs to.
    pub part: usize,
}

impl Set {
    /// Reads it.
    ///
    /// # Errors
    /// The folder cannot be listed.
    pub fn read(folder: &Path) -> io::Result<Self> {
        let mut sizes = BTreeMap::new();
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            // Not followed: what a link leads to is not in the data set. What has just got another name comes under that.
            if let Ok(metadata) = entry.metadata()
                && metadata.is_file()
            {
                sizes.insert(entry.file_name().to_string_lossy().into_owned(), metadata.len());
            }
        }
        let mut set = Self {
            folder: folder.into(),
            metadata: Metadata::new(),
            head: None,
            parts: Vec::new(),
            shots: Vec::new(),
            end: None,
            bytes: sizes.values().sum(),
            problems: Vec::new(),
            unfinished: Vec::new(),
        };
        set.metadata();
        set.records();
        set.files(&sizes);
        Ok(set)
    }

    /// Whether everything that should be there is there, but for one frame that is unfinished; not whether its content is right.
    pub fn looks_whole(&self) -> bool {
        self.problems.is_empty() && glance_on(&FileSystem, &self.folder).is_valid()
    }

    /// The frames that are recorded.
    pub fn records_of_frames(&self) -> impl Iterator<Item = &Frame> {
        self.shots.iter().filter_map(|shot| shot.record.as_ref())
    }

    /// How many frames there were to be, if that is known.
    pub fn planned(&self) -> Option<u64> {
        let said = self.metadata.get("acq_nb_frame").and_then(Value::as_u64);
        self.head.as_ref().map(|head| head.planned.into()).or(said)
    }

    /// Text of a metadata key; clients send numbers, too.
    pub fn text(&self, key: &str) -> Option<String> {
        match self.metadata.get(key)? {
            Value::String(text) => Some(text.trim().to_owned()).filter(|text| !text.is_empty()),
            Value::Number(number) => Some(number.to_string()),
            _ => None,
        }
    }

    /// A number of a metadata key; clients send it as text, too.
    pub fn number(&self, key: &str) -> Option<f64> {
        self.text(key)?.parse().ok().filter(|number: &f64| number.is_finite())
    }

    /// When it began, as its anchor says.
    pub fn began(&self) -> Option<Utc> {
        let anchor = self.parts.first().map(|part| part.anchor.utc.as_str());
        let said = self.metadata.get("acq_local_datetime").and_then(Value::as_str);
        anchor.or(said).and_then(Utc::parse)
    }

    /// How it ended, in a word or two.
    pub fn ending(&self) -> &str {
        match (&self.end, &self.head) {
            (Some(end), _) => &end.end,
            (None, Some(_)) => "no end",
            (None, None) => "unknown",
        }
    }

    fn metadata(&mut self) {
        let content = match content(&self.folder.join(METADATA), LARGEST_METADATA) {
            Ok(content) => content,
            Err(why) => return self.problems.push(format!("{METADATA} {why}")),
        };
        match serde_json::from_slice(&content) {
            Ok(metadata) => self.metadata = metadata,
            Err(why) => self.problems.push(format!("{METADATA} is no JSON object: {why}")),
        }
    }

    fn records(&mut self) {
        let content = match content(&self.folder.join(RECORDS), LARGEST_RECORDS) {
            Ok(content) => content,
            Err(why) => return self.problems.push(format!("{RECORDS} {why}")),
        };
        let mut wrong = Vec::new();
        let whole = whole_lines(&content);
        if whole < content.len() {
            self.unfinished.push(format!("the last line of {RECORDS} is torn"));
        }
        for (number, line) in content[..whole].split_inclusive(|byte| *byte == b'\n').enumerate() {
            match serde_json::from_slice(line) {
                Ok(line) => self.line(line),
                Err(why) => wrong.push(format!("line {} of {RECORDS} cannot be read: {why}", number + 1)),
            }
        }
        self.name(wrong, "lines of it");
        if self.head.is_none() {
            self.problems
                .push(format!("{RECORDS} has no first line: nothing says how the frames were taken"));
        }
    }

    fn line(&mut self, line: Line) {
        match line {
            Line::Head(head) => {
                let (anchor, camera) = (head.anchor.clone(), head.camera.clone());
                self.parts.push(Part { anchor, camera, resumed: None, events: Vec::new() });
                self.head = Some(*head);
            }
            Line::Frame(frame) => self.shots.push(Shot {
                name: frame.file.clone(),
                size: None,
                record: Some(*frame),
                part: self.parts.len().saturating_sub(1),
            }),
            Line::Event(event) => {
                if let Some(part) = self.parts.last_mut() {
                    part.events.push(event);
                }
            }
            Line::Resumed(resumed) => {
                let (anchor, camera) = (resumed.anchor.clone(), resumed.camera.clone());
                self.parts.push(Part { anchor, camera, resumed: Some(*resumed), events: Vec::new() });
                self.end = None;
            }
            Line::End(end) => self.end = Some(end),
        }
    }

    /// What is on disk against what is recorded.
    fn files(&mut self, sizes: &BTreeMap<String, u64>) {
        let (mut wrong, mut known) = (Vec::new(), BTreeMap::new());
        for shot in &mut self.shots {
            // A record could name what lies elsewhere.
            shot.size = sizes.get(&shot.name).copied().filter(|_| is_frame_name(&shot.name));
            let recorded = shot.record.as_ref().map(|record| record.size);
            match shot.size {
                // It has its record, and not yet its name.
                None if sizes.contains_key(&format!("{}{PART}", shot.name)) => {}
                None => wrong.push(format!("{} is recorded and not there", shot.name)),
                size if size != recorded => {
                    wrong.push(format!("{} has not the size that is recorded", shot.name));
                }
                Some(_) => {}
            }
            if known.insert(shot.name.clone(), ()).is_some() {
                wrong.push(format!("{} is recorded twice", shot.name));
            }
        }
        for (name, size) in sizes {
            if name.ends_with(PART) {
                self.unfinished.push(format!("{name} is unfinished"));
            } else if looks_like_frame(name) && !known.contains_key(name) {
                wrong.push(format!("{name} is not recorded"));
                let (part, record) = (self.parts.len().saturating_sub(1), None);
                self.shots.push(Shot { name: name.clone(), size: Some(*size), record, part });
            }
        }
        if !sizes.contains_key(INTEGRITY) {
            self.problems.push(format!("{INTEGRITY} is missing"));
        }
        self.shots.sort_by(|a, b| a.name.cmp(&b.name));
        self.name(wrong, "files");
    }

    /// Names some, and counts the others.
    fn name(&mut self, mut wrong: Vec<String>, what: &str) {
        let more = wrong.len().saturating_sub(NAMED);
        wrong.truncate(NAMED);
        self.problems.append(&mut wrong);
        if more > 0 {
            self.problems.push(format!("and so are {more} more {what}"));
        }
    }
}

/// A plain file's content, if it is no larger than it may be; else why not, to follow its name.
fn content(path: &Path, largest: u64) -> Result<Vec<u8>, String> {
    let kind = fs::symlink_metadata(path).map_err(|why| match why.kind() {
        io::ErrorKind::NotFound => "is missing".into(),
        _ => format!("cannot be read: {why}"),
    })?;
    if !kind.is_file() {
        return Err("is no plain file".into());
    }
    let mut content = Vec::new();
    let read = File::open(path).and_then(|file| file.take(largest + 1).read_to_end(&mut content));
    read.map_err(|why| format!("cannot be read: {why}"))?;
    match content.len() as u64 > largest {
        true => Err(format!("is larger than {largest} bytes")),
        false => Ok(content),
    }
}
