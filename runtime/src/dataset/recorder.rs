//! Writes data sets, and is the only one that does: begins them, goes on with them, gives them their frames in one order,
//! and keeps what is small beside them. Everything goes through [`Disk`]. Never uses the last of the disk's room.

use super::open::DataSet;
use super::stamp::Instrument;
use super::timing::Timing;
use super::{INTEGRITY, METADATA, RECORDS, folder, resuming, with_part};
use crate::careful::Careful;
use crate::shelf::Shelf;
use planktor_actors::estimate::{estimate, frame_bytes};
use planktor_actors::recording::{
    Begin, Done, Ending, Errand, Files, Note, Opened, Picture, Record, Recorded, Resume, Saved,
};
use planktor_actors::timing::{Reading, Timings};
use planktor_drivers::disk::Disk;
use planktor_protocol::Run;
use planktor_protocol::acquisition::{Formats, Refusal};
use planktor_protocol::plan::Cursor;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Keeps the data sets that are open. A stopped one may still get frames while the next has begun.
pub struct Recorder {
    disk: Careful,
    root: PathBuf,
    instrument: Instrument,
    /// Each with what had been timed when it was opened.
    open: BTreeMap<Run, (DataSet, Reading)>,
    timings: Timings,
    /// Those that were open since this start: their heights count from where the stage was switched on now.
    since_start: BTreeSet<PathBuf>,
    shelf: Shelf,
    /// Bytes that no frame may take.
    kept_free: u64,
}

/// Where pictures go that belong to no data set.
const CAPTURES: &str = "captures";

impl Recorder {
    /// Writes below `root`, which is made absolute. Which `instrument` it is goes into the metadata. So many bytes are
    /// kept free for everything else that lives on that disk.
    pub fn new(
        disk: Box<dyn Disk>,
        root: PathBuf,
        instrument: Instrument,
        shelf: Shelf,
        kept_free: u64,
    ) -> Self {
        let root = std::path::absolute(&root).unwrap_or(root);
        Self {
            disk: Careful(disk),
            root,
            instrument,
            open: BTreeMap::new(),
            timings: Timings::default(),
            since_start: BTreeSet::new(),
            shelf,
            kept_free,
        }
    }

    /// The same, with what is timed meanwhile in each data set's last line.
    #[must_use]
    pub fn timed(self, timings: Timings) -> Self {
        Self { timings, ..self }
    }

    /// Does one job, however long the disk takes.
    ///
    /// The answer holds a refusal or an error's text: what failed, on which file, why, and what to do. After an error
    /// the next job may succeed.
    pub fn record(&mut self, job: Record) -> Recorded {
        match job {
            Record::Begin(begin) => {
                Recorded::Begun { batch: begin.batch, result: self.begin(&begin).map(Box::new) }
            }
            Record::Resume(resume) => {
                Recorded::Begun { batch: resume.batch, result: self.resume(&resume).map(Box::new) }
            }
            Record::Frame { batch, shot, picture } => Recorded::Saved {
                batch,
                shot,
                result: self.frame(batch, &picture).map(Box::new).map_err(Into::into),
            },
            Record::Alone { batch, picture, formats } => {
                Recorded::Alone { batch, result: self.alone(&picture, formats) }
            }
            Record::Note(note) => Recorded::Noted(self.note(&note)),
            Record::Errand(run, errand) => Recorded::Did(run, self.errand(errand)),
            Record::End { batch, ending } => Recorded::Ended { batch, result: self.end(batch, &ending) },
        }
    }

    fn begin(&mut self, begin: &Begin) -> Result<Opened, Refusal> {
        let ids = folder::ids(&begin.metadata)?;
        let place = folder::place(&self.root, &ids)?;
        self.has_room(begin.plan.frames(), frame_bytes(&begin.mode, begin.frame_bytes))?;
        self.claim(&place)?;
        let set = DataSet::create(&mut self.disk, begin, &ids, &self.instrument, &place).map_err(|why| {
            clear(&mut self.disk, &place);
            Refusal::Disk(why)
        })?;
        let (folder, cursor) = (set.folder.clone(), Cursor::new(begin.plan.clone()));
        self.since_start.insert(place);
        self.open.insert(begin.batch, (set, self.timings.read()));
        Ok(Opened { folder, names: begin.anchor, cursor, frames: 0 })
    }

    fn resume(&mut self, resume: &Resume) -> Result<Opened, Refusal> {
        let place = folder::of(&self.root, &resume.order.data_set)?;
        if self.open.values().any(|(set, _)| *set.folder == *place) {
            let data_set = resume.order.data_set.to_string();
            return Err(Refusal::CannotGoOn {
                data_set,
                why: "it is being written; wait for its end".into(),
            });
        }
        let found = resuming::find(&self.disk, &place, resume, self.since_start.contains(&place))?;
        self.has_room(found.left(), frame_bytes(&resume.mode, found.frame_bytes()))?;
        let (set, opened) = found.reopen(&mut self.disk, resume).map_err(Refusal::Disk)?;
        self.since_start.insert(place);
        self.open.insert(resume.batch, (set, self.timings.read()));
        Ok(opened)
    }

    /// Whether so many frames fit without what is kept free.
    fn has_room(&self, frames: u32, frame_bytes: u64) -> Result<(), Refusal> {
        let free = self.disk.free(&self.root).map_err(Refusal::Disk)?;
        let needs = frame_bytes.saturating_mul(frames.into()).saturating_add(self.kept_free);
        match needs > free {
            true => Err(Refusal::NoRoom { frames, frame_bytes, free, kept_free: self.kept_free }),
            false => Ok(()),
        }
    }

    /// Makes the folder this data set's own. An empty one is what a failed beginning leaves, and may be had.
    fn claim(&mut self, place: &Path) -> Result<(), Refusal> {
        let Self { disk, root, .. } = self;
        let above = place.parent().unwrap_or(root);
        disk.create_below(root, above).map_err(Refusal::Disk)?;
        match disk.create_dir(place) {
            Ok(true) => Ok(()),
            Ok(false) if disk.is_empty_folder(place) => Ok(()),
            Ok(false) => Err(Refusal::IdsInUse(place.display().to_string())),
            Err(why) => Err(Refusal::Disk(why)),
        }?;
        disk.sync_dir(above).map_err(Refusal::Disk)
    }

    fn frame(&mut self, batch: Run, picture: &Picture) -> Result<Saved, String> {
        let Self { disk, open, root, kept_free, .. } = self;
        let (set, _) = open.get_mut(&batch).ok_or_else(|| not_open(batch, &picture.name))?;
        set.undo(disk)?;
        set.check(&picture.name)?;
        takes(disk, root, picture.jpeg.len(), *kept_free)?;
        set.write(disk, picture).inspect_err(|_| {
            let _ = set.undo(disk);
        })
    }

    fn note(&mut self, note: &Note) -> Result<(), String> {
        let Self { disk, open, .. } = self;
        open.values_mut().try_for_each(|(set, _)| set.note(disk, note))
    }

    fn errand(&mut self, errand: Errand) -> Result<Done, String> {
        match errand {
            Errand::Shelve(what) => self.shelf.keep(&mut self.disk, what).map(|()| Done::Kept),
            Errand::Estimate(query) => {
                let free = self.disk.free(&self.root)?.saturating_sub(self.kept_free);
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
                takes(&self.disk, &self.root, bytes.len(), self.kept_free)?;
                let path = folder.join(&picture.name).with_extension(extension);
                self.disk.replace(&self.root, &path, bytes)?;
                *file = Some(path.into());
            }
        }
        Ok(files)
    }

    fn end(&mut self, batch: Run, ending: &Ending) -> Result<(), String> {
        let (mut set, before) = self.open.remove(&batch).ok_or_else(|| not_open(batch, RECORDS))?;
        set.end(&mut self.disk, ending, Timing::of_a_data_set(&self.timings.read().since(&before)))
    }
}

/// Whether so many bytes fit without what is kept free.
fn takes(disk: &Careful, root: &Path, bytes: usize, kept_free: u64) -> Result<(), String> {
    let free = disk.free(root)?;
    if free >= (bytes as u64).saturating_add(kept_free) {
        return Ok(());
    }
    Err(format!(
        "the disk is full: {} MB are free, and {} MB are kept free for everything else on it; move data away, then resume",
        free / 1_000_000,
        kept_free / 1_000_000
    ))
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

fn not_open(batch: Run, what: &str) -> String {
    format!("failed to write {what}: data set {} is not open; begin it first", batch.0)
}
