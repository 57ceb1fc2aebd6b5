//! Checks a data set from outside: reads everything, believes nothing, and knows nothing of who wrote it. Writes
//! nothing, and follows no name that leads out of the folder.
//!
//! A power cut leaves at most one frame between nothing and saved. Such a data set is valid, and the frame is named:
//!
//! | temporary file | record line | under its name | in `integrity.check` | |
//! |---|---|---|---|---|
//! | whole or torn | none or torn | | | [`Reached::Written`] |
//! | whole | whole | | | [`Reached::Recorded`] |
//! | | whole | whole | none or torn | [`Reached::Renamed`] |

use super::records::SCHEMA;
use super::report::{Early, Problem, Reached, Report, Unfinished, Verdict};
use super::{INTEGRITY, INTEGRITY_HEAD, METADATA, PART, RECORDS};
use super::{digest, is_frame_name, looks_like_frame, whole_lines, with_part};
use jpeg_decoder::Decoder;
use planktor_drivers::disk::{Disk, FileSystem, Kind};
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;

/// No file of a data set is larger: a frame has some 5 MB, a record some 900 bytes, and a plan takes 100,000 frames at most.
const LARGEST: u64 = 256 << 20;

const RESTORE: &str = "restore it from a backup";
const MOVE_AWAY: &str = "move it out of the data set";
const NOT_OURS: &str = "restore the file from a backup, or keep the frames without it";

/// Reads a whole data set, with all cores, which takes as long as the disk does. Errors are problems in the report.
pub fn verify(folder: &Path) -> Report {
    verify_telling(folder, &|_| {})
}

/// The same, and tells how far it is: at each frame, of how many.
pub fn verify_telling(folder: &Path, tell: Tell<'_>) -> Report {
    report(Check::new(&FileSystem, folder, Some(tell)), folder)
}

/// The same on any disk.
pub fn verify_on(disk: &dyn Disk, folder: &Path) -> Report {
    report(Check::new(disk, folder, Some(&|_| {})), folder)
}

/// The same, but of all frames except the last, which alone can be unfinished, only whether they are there and as large as
/// they were. Takes no longer for more of them than listing them does.
pub(super) fn glance_on(disk: &dyn Disk, folder: &Path) -> Report {
    report(Check::new(disk, folder, None), folder)
}

fn report(mut check: Check<'_>, folder: &Path) -> Report {
    let verdict = match check.names() {
        Err(why) => {
            check.problem(".", format!("the folder cannot be read: {why}"), "check the path and the disk");
            Verdict::Invalid(check.problems)
        }
        Ok(names) => check.data_set(&names),
    };
    let Check { frames, planned, remarks, .. } = check;
    Report { folder: folder.into(), frames, planned, verdict, remarks }
}

/// Is told at each frame of how many there are; by any thread.
pub type Tell<'a> = &'a (dyn Fn(usize) + Sync);

/// So few frames are not worth a thread.
const FEW: usize = 8;

struct Check<'a> {
    disk: &'a dyn Disk,
    folder: &'a Path,
    /// Whom to tell of every frame that is read; without, only the last one is.
    tell: Option<Tell<'a>>,
    frames: u64,
    planned: Option<u64>,
    remarks: Vec<String>,
    problems: Vec<Problem>,
    unfinished: Option<Unfinished>,
}

/// What the record file says.
#[derive(Default)]
struct Records {
    frames: Vec<Entry>,
    end: Option<End>,
    torn: bool,
}

/// What `integrity.check` says.
#[derive(Default)]
struct Integrity {
    entries: BTreeMap<String, Entry>,
    torn: bool,
}

/// A file as it was written.
#[derive(Clone, PartialEq, Eq)]
struct Entry {
    name: String,
    size: u64,
    sha1: String,
}

struct End {
    word: String,
    reason: Option<String>,
    frames: u64,
}

/// A text file's whole lines, and whether another is torn.
struct Lines {
    whole: Vec<Vec<u8>>,
    torn: bool,
}

impl<'a> Check<'a> {
    fn new(disk: &'a dyn Disk, folder: &'a Path, tell: Option<Tell<'a>>) -> Self {
        let (remarks, problems) = (Vec::new(), Vec::new());
        Self { disk, folder, tell, frames: 0, planned: None, remarks, problems, unfinished: None }
    }

    fn names(&self) -> io::Result<BTreeSet<String>> {
        let paths = self.disk.list(self.folder)?;
        let name = |path: &PathBuf| Some(path.file_name()?.to_string_lossy().into_owned());
        Ok(paths.iter().filter_map(name).collect())
    }

    fn data_set(&mut self, names: &BTreeSet<String>) -> Verdict {
        let lines = if names.contains(RECORDS) { self.lines(RECORDS) } else { None };
        if lines.as_ref().is_none_or(|lines| lines.whole.is_empty()) && self.problems.is_empty() {
            return self.not_begun(names);
        }
        let records = lines.map(|lines| self.records(lines)).unwrap_or_default();
        let integrity = self.integrity();
        let resolution = self.metadata(&integrity);
        self.recorded_frames(&records, &integrity, names, resolution);
        self.unrecorded(&records, &integrity, names);
        self.torn_lines(&records, &integrity);
        self.repairs(names);
        self.verdict(records.end)
    }

    /// Without a first line in the record file nothing was ever begun, so there may be nothing but its beginnings.
    fn not_begun(&mut self, names: &BTreeSet<String>) -> Verdict {
        let part = METADATA.to_owned() + PART;
        let ours = |name: &String| [METADATA, INTEGRITY, RECORDS, &part].contains(&name.as_str());
        if names.iter().all(ours) {
            return Verdict::NotBegun;
        }
        self.problem(RECORDS, "the record file is missing or empty, and yet there are other files", NOT_OURS);
        Verdict::Invalid(std::mem::take(&mut self.problems))
    }

    fn records(&mut self, lines: Lines) -> Records {
        let mut records = Records { torn: lines.torn, ..Records::default() };
        let mut known = BTreeSet::new();
        for (number, line) in lines.whole.iter().enumerate() {
            let parsed = serde_json::from_slice::<Map<String, Value>>(line).ok();
            let right = match parsed {
                Some(head) if number == 0 => self.head(&head),
                Some(line) if number > 0 && line.contains_key("resumed") => {
                    records.end = None;
                    line.get("frames").and_then(Value::as_u64) == Some(records.frames.len() as u64)
                }
                Some(line) if number > 0 && records.end.is_none() => match (frame(&line), end(&line)) {
                    (Some(frame), _) if known.insert(frame.name.clone()) => {
                        records.frames.push(frame);
                        true
                    }
                    (None, Some(end)) => {
                        records.end = Some(end);
                        true
                    }
                    (None, None) if line.get("event").is_some_and(Value::is_string) => true,
                    _ => false,
                },
                _ => false,
            };
            if !right {
                let at = format!("{RECORDS}, line {}", number + 1);
                self.problem(&at, "this is no record of a frame of this data set", NOT_OURS);
            }
        }
        records
    }

    fn head(&mut self, head: &Map<String, Value>) -> bool {
        self.planned = head.get("planned").and_then(Value::as_u64);
        self.planned.is_some() && head.get("planktor_frames").and_then(Value::as_u64) == Some(SCHEMA)
    }

    fn integrity(&mut self) -> Integrity {
        let mut integrity = Integrity::default();
        let Some(lines) = self.lines(INTEGRITY) else { return integrity };
        integrity.torn = lines.torn;
        let heads = INTEGRITY_HEAD.lines().count();
        if !INTEGRITY_HEAD.lines().map(str::as_bytes).eq(lines.whole.iter().take(heads)) {
            self.problem(INTEGRITY, "it does not begin as it must", RESTORE);
        }
        for (number, line) in lines.whole.iter().enumerate().skip(heads) {
            let entry = std::str::from_utf8(line).ok().and_then(listed);
            if entry.is_none_or(|e| integrity.entries.insert(e.name.clone(), e).is_some()) {
                let at = format!("{INTEGRITY}, line {}", number + 1);
                self.problem(&at, "this is no new file's name, size and digest", RESTORE);
            }
        }
        integrity
    }

    /// The frames' width and height, if they are known.
    fn metadata(&mut self, integrity: &Integrity) -> Option<(u64, u64)> {
        let content = self.read(METADATA)?;
        let entry = integrity.entries.get(METADATA);
        if entry.is_none_or(|entry| !entry.is_of(&content)) {
            self.problem(METADATA, "integrity.check says otherwise or nothing of it", RESTORE);
        }
        let Ok(metadata) = serde_json::from_slice::<Map<String, Value>>(&content) else {
            self.problem(METADATA, "it is no JSON object", RESTORE);
            return None;
        };
        self.count(metadata.get("acq_nb_frame"));
        let resolution = metadata.get("acq_camera_resolution").and_then(Value::as_str).and_then(|text| {
            let (width, height) = text.split_once('x')?;
            Some((width.parse().ok()?, height.parse().ok()?))
        });
        if resolution.is_none() {
            self.problem(METADATA, "acq_camera_resolution is not like 4056x3040", RESTORE);
        }
        resolution
    }

    /// Viewers compare it with the number of frames.
    fn count(&mut self, said: Option<&Value>) {
        match said {
            Some(Value::Number(said)) if said.as_u64() == self.planned => {}
            Some(Value::Number(said)) => self.remarks.push(format!(
                "acq_nb_frame is {said} and not the number of frames planned: viewers may call it interrupted"
            )),
            _ => self.problem(METADATA, "acq_nb_frame is no number, so viewers cannot show it", RESTORE),
        }
    }

    fn recorded_frames(
        &mut self,
        records: &Records,
        integrity: &Integrity,
        names: &BTreeSet<String>,
        resolution: Option<(u64, u64)>,
    ) {
        let last = records.frames.len().saturating_sub(1);
        let file_of = |number: usize, frame: &Entry| {
            let part = with_part(&frame.name);
            let unfinished = number == last && records.end.is_none() && !names.contains(&frame.name);
            if unfinished && names.contains(&part) { part } else { frame.name.clone() }
        };
        let files: Vec<_> = records.frames.iter().enumerate().map(|(n, frame)| file_of(n, frame)).collect();
        let wrong = self.contents(&records.frames, &files, resolution);
        for (number, (frame, (file, wrong))) in records.frames.iter().zip(files.iter().zip(wrong)).enumerate()
        {
            wrong.into_iter().for_each(|what| self.problem(file, what, RESTORE));
            let may_be_unfinished = number == last && records.end.is_none();
            let under_way = *file != frame.name;
            if under_way {
                self.leave(&frame.name, Reached::Recorded);
            } else {
                self.frames += u64::from(names.contains(&frame.name));
            }
            match integrity.entries.get(&frame.name) {
                Some(entry) if entry == frame => {}
                None if under_way => {}
                None if may_be_unfinished => self.leave(&frame.name, Reached::Renamed),
                _ => self.problem(
                    INTEGRITY,
                    format!("it does not say of {} what its record says", frame.name),
                    RESTORE,
                ),
            }
        }
    }

    /// What is wrong with each frame's file, if anything.
    fn contents(
        &self,
        frames: &[Entry],
        files: &[String],
        resolution: Option<(u64, u64)>,
    ) -> Vec<Option<String>> {
        let (disk, folder) = (self.disk, self.folder);
        let one = |n: usize| match self.tell {
            Some(tell) => {
                let wrong = content(disk, folder, &files[n], &frames[n], resolution);
                tell(frames.len());
                wrong
            }
            None if n + 1 == frames.len() => content(disk, folder, &files[n], &frames[n], resolution),
            None => size(disk, folder, &files[n], &frames[n]),
        };
        if frames.len() < FEW || self.tell.is_none() {
            return (0..frames.len()).map(one).collect();
        }
        let next = AtomicUsize::new(0);
        let mut wrong = vec![None; frames.len()];
        std::thread::scope(|scope| {
            let work = || {
                let mine = std::iter::repeat_with(|| next.fetch_add(1, Relaxed));
                mine.take_while(|n| *n < frames.len()).map(|n| (n, one(n))).collect::<Vec<_>>()
            };
            let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
            let workers: Vec<_> = (0..cores).map(|_| scope.spawn(work)).collect();
            for worker in workers {
                // A panic goes on here, as it would without threads.
                let done = worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
                done.into_iter().for_each(|(n, what)| wrong[n] = what);
            }
        });
        wrong
    }

    fn unrecorded(&mut self, records: &Records, integrity: &Integrity, names: &BTreeSet<String>) {
        let known: BTreeSet<_> = records.frames.iter().map(|frame| frame.name.as_str()).collect();
        for name in
            integrity.entries.keys().filter(|name| *name != METADATA && !known.contains(name.as_str()))
        {
            self.problem(INTEGRITY, format!("it lists {name}, of which there is no record"), RESTORE);
        }
        for name in names.iter().filter(|name| looks_like_frame(name) && !known.contains(name.as_str())) {
            self.problem(name, "there is no record of it, and viewers count it", MOVE_AWAY);
        }
        for part in names.iter() {
            match part.strip_suffix(PART).filter(|name| looks_like_frame(name)) {
                Some(name) if self.is_left(name) => {}
                Some(name) if records.end.is_none() && self.unfinished.is_none() && !known.contains(name) => {
                    self.leave(name, Reached::Written);
                }
                Some(_) => self.problem(part, "it is one temporary file too many", MOVE_AWAY),
                None => {}
            }
        }
    }

    fn torn_lines(&mut self, records: &Records, integrity: &Integrity) {
        let reached = match self.unfinished {
            Some(Unfinished::Frame { reached, .. }) => Some(reached),
            _ => None,
        };
        match (records.torn, reached) {
            (false, _) | (true, Some(Reached::Written)) => {}
            (true, None) if records.end.is_none() => self.unfinished = Some(Unfinished::Line),
            (true, _) => self.problem(RECORDS, "its last line is torn, and nothing explains it", NOT_OURS),
        }
        if integrity.torn && reached != Some(Reached::Renamed) {
            self.problem(INTEGRITY, "its last line is torn, and nothing explains it", RESTORE);
        }
    }

    fn repairs(&mut self, names: &BTreeSet<String>) {
        for name in [RECORDS, INTEGRITY] {
            if names.contains(&(name.to_owned() + PART)) {
                self.unfinished.get_or_insert_with(|| Unfinished::Repair(name.into()));
            }
        }
    }

    fn verdict(&mut self, end: Option<End>) -> Verdict {
        if let Some(end) = &end {
            self.numbers(end);
        }
        let problems = std::mem::take(&mut self.problems);
        match (self.unfinished.take(), end) {
            _ if !problems.is_empty() => Verdict::Invalid(problems),
            (Some(unfinished), _) => Verdict::Unfinished(unfinished),
            (None, None) => Verdict::Early(Early::CutOff),
            (None, Some(end)) => match end.word.as_str() {
                "complete" => Verdict::Complete,
                "stopped" => Verdict::Early(Early::Stopped),
                _ => Verdict::Early(Early::Failed(end.reason.unwrap_or_default())),
            },
        }
    }

    fn numbers(&mut self, end: &End) {
        if end.frames != self.frames {
            let what = format!("its end says {} frames, and there are {}", end.frames, self.frames);
            self.problem(RECORDS, what, "look for the missing frames in a backup");
        }
        if end.word == "complete" && Some(self.frames) != self.planned {
            self.problem(RECORDS, "it calls itself complete and has not the frames planned", NOT_OURS);
        }
    }

    fn leave(&mut self, name: &str, reached: Reached) {
        self.unfinished = Some(Unfinished::Frame { name: name.into(), reached });
    }

    fn is_left(&self, name: &str) -> bool {
        let recorded = Unfinished::Frame { name: name.into(), reached: Reached::Recorded };
        self.unfinished.as_ref() == Some(&recorded)
    }

    fn lines(&mut self, name: &str) -> Option<Lines> {
        let content = self.read(name)?;
        let length = whole_lines(&content);
        let whole = content[..length].split_inclusive(|byte| *byte == b'\n');
        let whole = whole.map(|line| line[..line.len() - 1].to_vec()).collect();
        let torn = length < content.len();
        Some(Lines { whole, torn })
    }

    /// A plain file's content; anything else is a problem.
    fn read(&mut self, name: &str) -> Option<Vec<u8>> {
        read(self.disk, self.folder, name).map_err(|what| self.problem(name, what, RESTORE)).ok()
    }

    fn problem(&mut self, at: &str, what: impl Into<String>, remedy: &'static str) {
        self.problems.push(Problem { what: what.into(), at: at.into(), remedy });
    }
}

/// A plain file's content, or what is wrong with it.
fn read(disk: &dyn Disk, folder: &Path, name: &str) -> Result<Vec<u8>, String> {
    let path = folder.join(name);
    match disk.kind(&path) {
        Ok(Kind::Folder | Kind::Other) => Err("it is no plain file".into()),
        Ok(Kind::File(bytes)) if bytes > LARGEST => Err(format!("it is larger than {LARGEST} bytes")),
        Ok(Kind::File(_)) => disk.read(&path).map_err(|why| format!("it cannot be read: {why}")),
        Err(why) if why.kind() == io::ErrorKind::NotFound => Err("it is missing".into()),
        Err(why) => Err(format!("it cannot be read: {why}")),
    }
}

/// What is wrong with a frame's file by its size.
fn size(disk: &dyn Disk, folder: &Path, file: &str, frame: &Entry) -> Option<String> {
    let right = disk.kind(&folder.join(file)).ok() == Some(Kind::File(frame.size));
    (!right).then(|| format!("it is no file of {} bytes, as when it was written", frame.size))
}

/// What is wrong with a frame's file.
fn content(
    disk: &dyn Disk,
    folder: &Path,
    file: &str,
    frame: &Entry,
    resolution: Option<(u64, u64)>,
) -> Option<String> {
    let content = match read(disk, folder, file) {
        Ok(content) => content,
        Err(what) => return Some(what),
    };
    if content.len() as u64 != frame.size {
        Some(format!("it has {} bytes, and had {} when it was written", content.len(), frame.size))
    } else if !frame.is_of(&content) {
        Some("its content has changed since it was written".into())
    } else if !(content.starts_with(&[0xff, 0xd8]) && content.ends_with(&[0xff, 0xd9])) {
        Some("it is no complete JPEG".into())
    } else if let Some((width, height)) = resolution
        && dimensions(&content) != Some((width, height))
    {
        Some(format!("it is no JPEG of {width} x {height} pixels"))
    } else {
        None
    }
}

impl Entry {
    fn is_of(&self, content: &[u8]) -> bool {
        self.size == content.len() as u64 && self.sha1 == digest(&self.name, content)
    }
}

/// A frame's record, if the line is one. Names that lead elsewhere are none.
fn frame(line: &Map<String, Value>) -> Option<Entry> {
    let name = line.get("file")?.as_str().filter(|name| is_frame_name(name))?;
    let size = line.get("size")?.as_u64()?;
    let sha1 = line.get("sha1")?.as_str()?;
    Some(Entry { name: name.into(), size, sha1: sha1.into() })
}

fn end(line: &Map<String, Value>) -> Option<End> {
    let word = line.get("end")?.as_str().filter(|word| ["complete", "stopped", "failed"].contains(word))?;
    let reason = line.get("reason").and_then(Value::as_str).map(str::to_owned);
    Some(End { word: word.into(), reason, frames: line.get("frames")?.as_u64()? })
}

/// An entry of `integrity.check`.
fn listed(line: &str) -> Option<Entry> {
    let mut fields = line.rsplitn(3, ',');
    let (sha1, size, name) = (fields.next()?, fields.next()?, fields.next()?);
    Some(Entry { name: name.into(), size: size.parse().ok()?, sha1: sha1.into() })
}

fn dimensions(jpeg: &[u8]) -> Option<(u64, u64)> {
    let mut decoder = Decoder::new(jpeg);
    decoder.read_info().ok()?;
    decoder.info().map(|info| (info.width.into(), info.height.into()))
}
