//! A data set that takes frames. Nothing is held in memory that the disk has not, and no frame stands under its name
//! before its record is safe.
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
//! before the record that speaks of it. A frame that fails is undone before the next is begun, so that at most one is
//! unfinished, whenever the power goes. What cannot be undone, because the disk is gone or full, is tried again before
//! the next frame.

use super::quality::Judge;
use super::stamp::Instrument;
use super::timing::Timing;
use super::{INTEGRITY, INTEGRITY_HEAD, METADATA, RECORDS};
use super::{digest, integrity_line, is_frame_name, metadata, records, with_part};
use crate::careful::Careful;
use planktor_actors::recording::{Begin, Ending, Note, Picture, Saved};
use planktor_protocol::timekeeping::Anchor;
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

/// A data set that takes frames.
pub(super) struct DataSet {
    pub(super) folder: Arc<Path>,
    pub(super) anchor: Anchor,
    pub(super) planned: u32,
    pub(super) names: BTreeSet<String>,
    /// How many bytes of the record file are true.
    pub(super) records: usize,
    /// How many of `integrity.check`.
    pub(super) integrity: usize,
    pub(super) unfinished: Option<Unfinished>,
    pub(super) judge: Judge,
}

/// What was begun and is neither done nor undone.
#[derive(Clone)]
pub(super) enum Unfinished {
    /// A frame between nothing and saved.
    Frame { name: String, reached: Step },
    /// A line of the record file.
    Line,
}

/// What may have been done, in part or as a whole.
#[derive(Clone, Copy)]
pub(super) enum Step {
    Written,
    Recorded,
    Renamed,
    Listed,
}

impl DataSet {
    /// Makes the files of a data set without frames. The record file comes last: whoever finds its first line finds all the rest.
    pub(super) fn create(
        disk: &mut Careful,
        begin: &Begin,
        ids: &[String; 3],
        instrument: &Instrument,
        place: &Path,
    ) -> Result<Self, String> {
        let metadata = metadata::complete(begin, ids, instrument);
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
            judge: Judge::default(),
        })
    }

    /// A name that leads elsewhere or would replace a frame is the caller's mistake, and costs only that frame.
    pub(super) fn check(&self, name: &str) -> Result<(), String> {
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

    pub(super) fn write(&mut self, disk: &mut Careful, picture: &Picture) -> Result<Saved, String> {
        let Picture { name, jpeg, sha1, .. } = picture;
        let (part, path) = (self.folder.join(with_part(name)), self.folder.join(name));
        let judged = self.judge.judge(picture);
        let quality = judged.as_ref().map(|(quality, _)| quality);
        let record = records::frame(picture, quality, &self.anchor);
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
        let quality = judged.map(|(quality, warning)| (quality, warning.map(Into::into)));
        Ok(Saved { path: path.into(), quality })
    }

    fn begin_step(&mut self, name: &str, reached: Step) {
        self.unfinished = Some(Unfinished::Frame { name: name.to_owned(), reached });
    }

    /// Takes back what was done to a frame that failed, last step first, so that a power cut in between leaves what a
    /// power cut during the saving would have left.
    pub(super) fn undo(&mut self, disk: &mut Careful) -> Result<(), String> {
        match self.unfinished.take() {
            None => Ok(()),
            Some(Unfinished::Line) => disk.cut(&self.folder.join(RECORDS), self.records).map_err(|why| {
                self.unfinished = Some(Unfinished::Line);
                format!("failed to take back an unfinished line, so that no other can follow: {why}")
            }),
            Some(Unfinished::Frame { name, reached }) => {
                self.take_back(disk, &name, reached).map_err(|(reached, why)| {
                    self.unfinished = Some(Unfinished::Frame { name: name.clone(), reached });
                    format!(
                        "failed to take back the unfinished frame {name}, so that no other can follow: {why}"
                    )
                })
            }
        }
    }

    fn take_back(&self, disk: &mut Careful, name: &str, reached: Step) -> Result<(), (Step, String)> {
        let mut step = reached;
        loop {
            let done = match step {
                Step::Listed => disk.cut(&self.folder.join(INTEGRITY), self.integrity),
                Step::Renamed => self.take_name(disk, name),
                Step::Recorded => disk.cut(&self.folder.join(RECORDS), self.records),
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

    /// Writes a line that is no frame's; one that fails is taken back.
    pub(super) fn add_line(&mut self, disk: &mut Careful, line: &str) -> Result<(), String> {
        self.undo(disk)?;
        self.unfinished = Some(Unfinished::Line);
        if let Err(why) = disk.append(&self.folder.join(RECORDS), line.as_bytes()) {
            let _ = self.undo(disk);
            return Err(why);
        }
        self.records += line.len();
        self.unfinished = None;
        Ok(())
    }

    pub(super) fn note(&mut self, disk: &mut Careful, note: &Note) -> Result<(), String> {
        self.add_line(disk, &records::note(note, &self.anchor))
    }

    pub(super) fn end(&mut self, disk: &mut Careful, ending: &Ending, timing: Timing) -> Result<(), String> {
        self.add_line(disk, &records::end(ending, self.names.len(), self.planned, timing))
    }
}
