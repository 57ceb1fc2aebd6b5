//! Writes data sets, and is the only one that does. Everything goes through [`Disk`]; nothing is held in memory that
//! the disk has not, and no frame stands under its name before its record is safe.
//!
//! ```text
//!           temporary file      record line         rename          integrity line
//! a frame   write, sync ──────► append, sync ─────► and sync ─────► append, sync ─────► Saved
//!               │ fails             │ fails           │ fails           │ fails
//!               ▼                   ▼                 ▼                 ▼
//! undone    file removed ◄───── line taken back ◄── name taken back ◄ line taken back
//! ```
//!
//! Each rename and each new file is followed by a sync of its folder: the temporary file's name, too, must be safe
//! before the record that speaks of it. A frame that fails is undone before the next is begun, so that at most one is unfinished, whenever the power goes.
//! What cannot be undone, because the disk is gone or full, is tried again before the next frame.

use super::{INTEGRITY, INTEGRITY_HEAD, METADATA, PART, RECORDS};
use super::{digest, folder, integrity_line, is_frame_name, metadata, records};
use crate::careful::Careful;
use crate::shelf::Shelf;
use planktor_actors::estimate::estimate;
use planktor_actors::recording::{Begin, Done, Ending, Errand, Files, Note, Picture, Record, Recorded};
use planktor_drivers::disk::Disk;
use planktor_protocol::Run;
use planktor_protocol::acquisition::{Formats, Refusal};
use planktor_protocol::timekeeping::Anchor;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Keeps the data sets that are open. A stopped one may still get frames while the next has begun.
pub struct Recorder {
    disk: Careful,
    root: PathBuf,
    board: &'static str,
    open: BTreeMap<Run, DataSet>,
    shelf: Shelf,
}

/// Where pictures go that belong to no data set.
const CAPTURES: &str = "captures";

impl Recorder {
    /// Writes below `root`, which is made absolute. `board` goes into the metadata: the board's name, or `twin`.
    pub fn new(disk: Box<dyn Disk>, root: PathBuf, board: &'static str, shelf: Shelf) -> Self {
        let root = std::path::absolute(&root).unwrap_or(root);
        Self { disk: Careful(disk), root, board, open: BTreeMap::new(), shelf }
    }

    /// Does one job, however long the disk takes.
    ///
    /// The answer holds a refusal or an error's text: what failed, on which file, why, and what to do. After an error
    /// the next job may succeed.
    pub fn record(&mut self, job: Record) -> Recorded {
        match job {
            Record::Begin(begin) => Recorded::Begun { batch: begin.batch, result: self.begin(&begin) },
            Record::Frame { batch, shot, picture } => {
                Recorded::Saved { batch, shot, result: self.frame(batch, &picture) }
            }
            Record::Alone { batch, picture, formats } => {
                Recorded::Alone { batch, result: self.alone(&picture, formats) }
            }
            Record::Note(note) => Recorded::Noted(self.note(&note)),
            Record::Errand(run, errand) => Recorded::Did(run, self.errand(errand)),
            Record::End { batch, ending } => Recorded::Ended { batch, result: self.end(batch, &ending) },
        }
    }

    fn begin(&mut self, begin: &Begin) -> Result<Arc<Path>, Refusal> {
        let ids = folder::ids(&begin.metadata)?;
        let place = folder::place(&self.root, &ids)?;
        self.claim(&place)?;
        let set = DataSet::create(&mut self.disk, begin, &ids, self.board, &place).map_err(|why| {
            clear(&mut self.disk, &place);
            Refusal::Disk(why)
        })?;
        let folder = set.folder.clone();
        self.open.insert(begin.batch, set);
        Ok(folder)
    }

    /// Makes the folder this data set's own. An empty one is what a failed beginning leaves, and may be had.
    fn claim(&mut self, place: &Path) -> Result<(), Refusal> {
        let Self { disk, root, .. } = self;
        let above = place.parent().unwrap_or(root);
        disk.create_dir_all(above).map_err(Refusal::Disk)?;
        for folder in above.ancestors().take_while(|folder| folder.starts_with(&*root)) {
            disk.sync_dir(folder).map_err(Refusal::Disk)?;
        }
        match disk.create_dir(place) {
            Ok(true) => Ok(()),
            Ok(false) if disk.is_empty(place) => Ok(()),
            Ok(false) => Err(Refusal::IdsInUse(place.display().to_string())),
            Err(why) => Err(Refusal::Disk(why)),
        }?;
        disk.sync_dir(above).map_err(Refusal::Disk)
    }

    fn frame(&mut self, batch: Run, picture: &Picture) -> Result<Arc<Path>, String> {
        let Self { disk, open, .. } = self;
        let set = open.get_mut(&batch).ok_or_else(|| not_open(batch, &picture.name))?;
        set.undo(disk)?;
        set.check(&picture.name)?;
        set.write(disk, picture).inspect_err(|_| {
            let _ = set.undo(disk);
        })
    }

    fn note(&mut self, note: &Note) -> Result<(), String> {
        let Self { disk, open, .. } = self;
        open.values_mut().try_for_each(|set| set.note(disk, note))
    }

    fn errand(&mut self, errand: Errand) -> Result<Done, String> {
        match errand {
            Errand::Shelve(what) => self.shelf.keep(&mut self.disk, what).map(|()| Done::Kept),
            Errand::Estimate(query) => {
                let free = self.disk.free(&self.root)?;
                Ok(Done::Estimated(estimate(&query, free)))
            }
        }
    }

    fn alone(&mut self, picture: &Picture, formats: Formats) -> Result<Files, String> {
        let folder = self.root.join(CAPTURES);
        let mut files = Files::default();
        let jpeg = formats.jpeg.then_some(&picture.jpeg);
        for (bytes, extension, file) in
            [(jpeg, "jpg", &mut files.jpeg), (picture.dng.as_ref(), "dng", &mut files.dng)]
        {
            if let Some(bytes) = bytes {
                let path = folder.join(&picture.name).with_extension(extension);
                self.disk.replace(&path, bytes)?;
                *file = Some(path.into());
            }
        }
        Ok(files)
    }

    fn end(&mut self, batch: Run, ending: &Ending) -> Result<(), String> {
        let mut set = self.open.remove(&batch).ok_or_else(|| not_open(batch, RECORDS))?;
        set.undo(&mut self.disk)?;
        set.end(&mut self.disk, ending).inspect_err(|_| {
            let _ = set.restore(&mut self.disk, RECORDS, set.records);
        })
    }
}

/// A data set that takes frames.
struct DataSet {
    folder: Arc<Path>,
    anchor: Anchor,
    planned: u32,
    names: BTreeSet<String>,
    /// How many bytes of the record file are true.
    records: usize,
    /// How many of `integrity.check`.
    integrity: usize,
    unfinished: Option<Unfinished>,
}

/// A frame between nothing and saved.
struct Unfinished {
    name: String,
    reached: Step,
}

/// What may have been done, in part or as a whole.
#[derive(Clone, Copy)]
enum Step {
    Written,
    Recorded,
    Renamed,
    Listed,
}

impl DataSet {
    /// Makes the files of a data set without frames. The record file comes last: whoever finds its first line finds all the rest.
    fn create(
        disk: &mut Careful,
        begin: &Begin,
        ids: &[String; 3],
        board: &str,
        place: &Path,
    ) -> Result<Self, String> {
        let metadata = metadata::complete(begin, ids, board);
        let content = metadata::bytes(&metadata);
        let sha1 = digest(METADATA, &content);
        let integrity = INTEGRITY_HEAD.to_owned() + &integrity_line(METADATA, content.len(), &sha1);
        let head = records::head(begin, &metadata);
        let part = place.join(with_part(METADATA));
        disk.write(&part, &content)?;
        disk.rename(&part, &place.join(METADATA))?;
        disk.write(&place.join(INTEGRITY), integrity.as_bytes())?;
        disk.sync_dir(place)?;
        disk.write(&place.join(RECORDS), head.as_bytes())?;
        disk.sync_dir(place)?;
        Ok(Self {
            folder: place.into(),
            anchor: begin.anchor,
            planned: begin.plan.frames(),
            names: BTreeSet::new(),
            records: head.len(),
            integrity: integrity.len(),
            unfinished: None,
        })
    }

    /// A name that leads elsewhere or would replace a frame is the caller's mistake, and costs only that frame.
    fn check(&self, name: &str) -> Result<(), String> {
        let at = self.folder.display();
        if !is_frame_name(name) {
            return Err(format!(
                "failed to save {name:?} in {at}: no frame can be called so; please report it"
            ));
        }
        if self.names.contains(name) {
            return Err(format!("failed to save {name} in {at}: there is such a frame; please report it"));
        }
        Ok(())
    }

    fn write(&mut self, disk: &mut Careful, picture: &Picture) -> Result<Arc<Path>, String> {
        let Picture { name, jpeg, sha1, .. } = picture;
        let (part, path) = (self.folder.join(with_part(name)), self.folder.join(name));
        let record = records::frame(picture, None, &self.anchor);
        let entry = integrity_line(name, jpeg.len(), sha1);
        self.begin_step(name, Step::Written);
        disk.write(&part, jpeg)?;
        disk.sync_dir(&self.folder)?;
        self.begin_step(name, Step::Recorded);
        disk.append(&self.folder.join(RECORDS), record.as_bytes())?;
        self.begin_step(name, Step::Renamed);
        disk.rename(&part, &path)?;
        disk.sync_dir(&self.folder)?;
        self.begin_step(name, Step::Listed);
        disk.append(&self.folder.join(INTEGRITY), entry.as_bytes())?;
        self.records += record.len();
        self.integrity += entry.len();
        self.names.insert(name.clone());
        self.unfinished = None;
        Ok(path.into())
    }

    fn begin_step(&mut self, name: &str, reached: Step) {
        self.unfinished = Some(Unfinished { name: name.to_owned(), reached });
    }

    /// Takes back what was done to a frame that failed, last step first, so that a power cut in between leaves what a
    /// power cut during the saving would have left.
    fn undo(&mut self, disk: &mut Careful) -> Result<(), String> {
        let Some(Unfinished { name, reached }) = self.unfinished.take() else { return Ok(()) };
        let undone = self.take_back(disk, &name, reached);
        undone.map_err(|(reached, why)| {
            self.unfinished = Some(Unfinished { name: name.clone(), reached });
            format!("failed to take back the unfinished frame {name}, so that no other can follow: {why}")
        })
    }

    fn take_back(&self, disk: &mut Careful, name: &str, reached: Step) -> Result<(), (Step, String)> {
        let mut step = reached;
        loop {
            let done = match step {
                Step::Listed => self.restore(disk, INTEGRITY, self.integrity),
                Step::Renamed => self.take_name(disk, name),
                Step::Recorded => self.restore(disk, RECORDS, self.records),
                Step::Written => disk.remove(&self.folder.join(with_part(name))),
            };
            done.map_err(|why| (step, why))?;
            step = match step {
                Step::Listed => Step::Renamed,
                Step::Renamed => Step::Recorded,
                Step::Recorded => Step::Written,
                Step::Written => return disk.sync_dir(&self.folder).map_err(|why| (step, why)),
            };
        }
    }

    fn take_name(&self, disk: &mut Careful, name: &str) -> Result<(), String> {
        disk.rename_back(&self.folder.join(name), &self.folder.join(with_part(name)))?;
        disk.sync_dir(&self.folder)
    }

    /// Cuts a file to what is true of it, at once or not at all: a copy takes its place.
    fn restore(&self, disk: &mut Careful, name: &str, length: usize) -> Result<(), String> {
        let (path, part) = (self.folder.join(name), self.folder.join(with_part(name)));
        let mut content = disk.read(&path)?;
        if content.len() < length {
            return Err(format!(
                "failed to repair {}: {}",
                path.display(),
                "it has become shorter; run verify"
            ));
        }
        content.truncate(length);
        disk.write(&part, &content)?;
        disk.rename(&part, &path)?;
        disk.sync_dir(&self.folder)
    }

    fn note(&mut self, disk: &mut Careful, note: &Note) -> Result<(), String> {
        self.undo(disk)?;
        let line = records::note(note, &self.anchor);
        disk.append(&self.folder.join(RECORDS), line.as_bytes()).inspect_err(|_| {
            let _ = self.restore(disk, RECORDS, self.records);
        })?;
        self.records += line.len();
        Ok(())
    }

    fn end(&self, disk: &mut Careful, ending: &Ending) -> Result<(), String> {
        let line = records::end(ending, self.names.len(), self.planned);
        disk.append(&self.folder.join(RECORDS), line.as_bytes())
    }
}

/// Removes what a beginning may have left, the record file first and for good: nobody finds its first line without the
/// rest. The empty folder stays and may be had again; what cannot be removed stays, too.
fn clear(disk: &mut Careful, place: &Path) {
    let names = [RECORDS.into(), INTEGRITY.into(), METADATA.into(), with_part(METADATA)];
    let _ = names.iter().try_for_each(|name| {
        disk.remove(&place.join(name))?;
        disk.sync_dir(place)
    });
}

fn with_part(name: &str) -> String {
    name.to_owned() + PART
}

fn not_open(batch: Run, what: &str) -> String {
    format!("failed to write {what}: data set {} is not open; begin it first", batch.0)
}
