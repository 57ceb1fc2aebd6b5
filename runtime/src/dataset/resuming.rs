//! Goes on with a data set that ended early: looks whether it can, mends the one thing that may be unfinished, and says in
//! the record file that it goes on.
//!
//! | found | mended |
//! |---|---|
//! | a temporary copy of a text file | removed |
//! | a torn last line | cut off |
//! | a recorded frame that is not under its name | renamed |
//! | a recorded frame that `integrity.check` does not list | listed |
//! | a temporary frame without a record | removed |
//!
//! In this order, so that a power cut in between leaves what a power cut during the saving would have left.

use super::open::DataSet;
use super::quality::Judge;
use super::records::{self, Camera, Frame, Line, Resumed};
use super::report::Verdict;
use super::verify::glance_on;
use super::whence::{Moment, Time};
use super::{INTEGRITY, METADATA, RECORDS, integrity_line, looks_like_frame, whole_lines, with_part};
use crate::careful::{Careful, PART};
use planktor_actors::recording::{Opened, Resume};
use planktor_drivers::disk::Kind;
use planktor_protocol::Utc;
use planktor_protocol::acquisition::Refusal;
use planktor_protocol::plan::{Cursor, Plan};
use planktor_protocol::timekeeping::{Anchor, Source};
use planktor_protocol::units::{Micrometres, MicrometresPerSecond};
use planktor_protocol::wire;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Where the clock is behind the last frame, names go on so much after it.
const AFTER_THE_LAST: Duration = Duration::from_secs(1);

/// `img`, day, sample, acquisition.
const FOLDERS: usize = 4;

/// A data set that can go on.
pub(super) struct Found {
    place: PathBuf,
    plan: Plan,
    /// Where the stage goes first.
    stage: Option<Height>,
    frames: Vec<Frame>,
    /// How often it went on before.
    resumed: u32,
    /// What is unfinished, in words.
    unfinished: Option<String>,
    records: usize,
}

/// Reads and checks what is there, but of all frames only the last: a data set of hours has gigabytes. `same_start`: it was
/// written since the instrument was started.
pub(super) fn find(
    disk: &Careful,
    place: &Path,
    resume: &Resume,
    same_start: bool,
) -> Result<Found, Refusal> {
    let data_set = &resume.order.data_set;
    let cannot = |why: String| Refusal::CannotGoOn { data_set: data_set.to_string(), why };
    // No part of the way may lead elsewhere, nor be missing.
    for folder in place.ancestors().take(FOLDERS) {
        match disk.0.kind(folder) {
            Ok(Kind::Folder) => {}
            Err(why) if why.kind() != ErrorKind::NotFound => {
                return Err(Refusal::Disk(format!(
                    "{} cannot be read: {why}; check the disk",
                    folder.display()
                )));
            }
            Ok(Kind::File(_) | Kind::Other) | Err(_) => {
                return Err(Refusal::NoDataSet(data_set.to_string()));
            }
        }
    }
    let report = glance_on(&*disk.0, place);
    let unfinished = match &report.verdict {
        Verdict::Unfinished(unfinished) => Some(unfinished.to_string()),
        Verdict::Early(_) => None,
        Verdict::Complete => return Err(cannot("it is complete".into())),
        Verdict::NotBegun => {
            return Err(cannot("it was never begun; remove the folder, and begin it anew".into()));
        }
        Verdict::Invalid(problems) => {
            let first = problems.first().map(ToString::to_string).unwrap_or_default();
            return Err(cannot(format!("it is damaged: {first}; begin another with a new acq_id")));
        }
    };
    let content = disk.read(&place.join(RECORDS)).map_err(Refusal::Disk)?;
    let (lines, records) = records::read(&content)
        .map_err(|(line, why)| cannot(format!("line {line} of {RECORDS} is of another version ({why})")))?;
    let mut lines = lines.into_iter();
    let Some(Line::Head(head)) = lines.next() else {
        return Err(cannot(format!("{RECORDS} does not begin with what was to be done")));
    };
    let plan = wire::plan::again(head.plan).map_err(|why| cannot(format!("its {why}")))?;
    let (mut frames, mut resumed, mut camera) = (vec![], 0, head.camera);
    for line in lines {
        match line {
            Line::Frame(frame) => frames.push(*frame),
            Line::Resumed(line) => (resumed, camera) = (line.resumed, line.camera),
            Line::Head(_) | Line::Event(_) | Line::End(_) => {}
        }
    }
    let last = frames.last();
    fits(&camera, last, resume, plan.strobe().is_some()).map_err(cannot)?;
    let (plan, stage) = stage(plan, last, resume, same_start).map_err(cannot)?;
    Ok(Found { stage, place: place.into(), plan, frames, resumed, unfinished, records })
}

/// Where to bring the stage first, and how fast.
type Height = (Micrometres, MicrometresPerSecond);

/// The stage goes on from where it stood at the last frame. Heights count from where it was switched on: since the same start
/// that is known; after another somebody has to bring it there, and the plan's own heights count from what that is called now.
fn stage(
    plan: Plan,
    last: Option<&Frame>,
    resume: &Resume,
    same_start: bool,
) -> Result<(Plan, Option<Height>), String> {
    let (Some(speed), Some(last)) = (plan.stage_speed(), last) else { return Ok((plan, None)) };
    let stood = Micrometres(last.height_um);
    if same_start && !resume.height_uncertain && !last.height_uncertain {
        return Ok((plan, (stood != resume.height).then_some((stood, speed))));
    }
    if !resume.order.stage_as_it_stands {
        return Err("its plan moves the stage, and nobody knows where the stage stands now; bring it where it stood at the last \
                    frame, then say stage_as_it_stands"
            .into());
    }
    Ok((plan.raised(Micrometres(resume.height.0.saturating_sub(stood.0))), None))
}

/// Whether the frames to come will be like those that are there; if not, what is different and what to do.
fn fits(was: &Camera, last: Option<&Frame>, resume: &Resume, strobed: bool) -> Result<(), String> {
    let now = records::camera(&resume.mode, &resume.settings);
    if (now.width, now.height) != (was.width, was.height) {
        return Err(format!(
            "its frames have {} x {} pixels, and the camera gives {} x {}",
            was.width, was.height, now.width, now.height
        ));
    }
    // The exposure of strobed frames is set by whoever takes them.
    if now.iso != was.iso || (!strobed && now.exposure_ns != was.exposure_ns) {
        let us = |ns: u64| ns as f64 / 1e3;
        return Err(format!(
            "its frames were taken at ISO {} with {} us, and the camera is set to ISO {} and {} us; set it as it was",
            was.iso,
            us(was.exposure_ns),
            now.iso,
            us(now.exposure_ns)
        ));
    }
    let now = if strobed { Some(resume.pulses) } else { resume.light };
    let light = |light: f64| (light * 1e3).round() / 10.0;
    let lights = last
        .and_then(|last| last.light)
        .map(light)
        .zip(now.map(|now| light(f64::from(now.millionths()) / 1e6)));
    match lights {
        Some((was, now)) if was != now => Err(format!(
            "its last frame was taken with the lamp at {was} %, and it is at {now} %; set it as it was"
        )),
        _ => Ok(()),
    }
}

impl Found {
    /// How large its frames are, in the mean.
    pub(super) fn frame_bytes(&self) -> Option<u64> {
        let sum: u64 = self.frames.iter().map(|frame| frame.size).sum();
        sum.checked_div(self.frames.len() as u64)
    }

    /// Frames that are missing.
    pub(super) fn left(&self) -> u32 {
        self.plan.frames().saturating_sub(self.there())
    }

    fn there(&self) -> u32 {
        u32::try_from(self.frames.len()).unwrap_or(u32::MAX)
    }

    /// Opens it again.
    pub(super) fn reopen(self, disk: &mut Careful, resume: &Resume) -> Result<(DataSet, Opened), String> {
        let integrity = self.mend(disk)?;
        let names = self.names(&resume.anchor);
        let mut set = DataSet {
            folder: self.place.as_path().into(),
            anchor: names,
            planned: self.plan.frames(),
            names: self.frames.iter().map(|frame| frame.file.clone()).collect(),
            records: self.records,
            integrity,
            unfinished: None,
            judge: Judge::again(&self.frames),
        };
        let pulse = self.plan.strobe();
        let mode = pulse.map_or(resume.mode, |pulse| resume.mode.strobed(pulse));
        let believed = (names != resume.anchor).then(|| Time::of(&resume.anchor, resume.anchor.instant));
        set.add_line(
            disk,
            &records::line(&Resumed {
                resumed: self.resumed + 1,
                planktor_version: env!("CARGO_PKG_VERSION").into(),
                anchor: Moment::of(&names),
                believed,
                camera: records::camera(&mode, &resume.settings),
                frames: self.there(),
                repaired: self.unfinished.clone(),
            }),
        )?;
        let (folder, frames) = (set.folder.clone(), self.there());
        let cursor = Cursor::after(self.plan, frames);
        let cursor = match self.stage {
            Some((height, speed)) if frames < cursor.plan().frames() => cursor.from_height(height, speed),
            _ => cursor,
        };
        Ok((set, Opened { folder, names, cursor, frames }))
    }

    /// Names stay in order, whatever the clock says.
    fn names(&self, anchor: &Anchor) -> Anchor {
        let last = self.frames.last().and_then(|frame| Utc::parse(&frame.exposure.utc));
        match last.and_then(|last| last.checked_add(AFTER_THE_LAST)) {
            Some(after) if after > anchor.utc => {
                Anchor { utc: after, source: Source::Unset, error: None, ..*anchor }
            }
            _ => *anchor,
        }
    }

    /// Gives the length of `integrity.check`.
    fn mend(&self, disk: &mut Careful) -> Result<usize, String> {
        let at = |name: &str| self.place.join(name);
        // After a kill their last lines may be known to the kernel only: what follows must not be safe before them.
        for name in [RECORDS, INTEGRITY] {
            disk.sync(&at(name))?;
        }
        for name in [METADATA, RECORDS, INTEGRITY] {
            disk.remove(&at(&with_part(name)))?;
        }
        disk.sync_dir(&self.place)?;
        disk.cut(&at(RECORDS), self.records)?;
        let listed = disk.read(&at(INTEGRITY))?;
        let whole = whole_lines(&listed);
        disk.cut(&at(INTEGRITY), whole)?;
        let mut length = whole;
        if let Some(Frame { file, size, sha1, .. }) = self.frames.last() {
            if !matches!(disk.0.kind(&at(file)), Ok(Kind::File(_))) {
                disk.rename(&at(&with_part(file)), &at(file))?;
                disk.sync_dir(&self.place)?;
            }
            let line = integrity_line(file, usize::try_from(*size).unwrap_or(usize::MAX), sha1);
            if !listed[..whole].ends_with(line.as_bytes()) {
                disk.append(&at(INTEGRITY), line.as_bytes())?;
                length += line.len();
            }
        }
        for path in disk.list(&self.place)? {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            if name.strip_suffix(PART).is_some_and(looks_like_frame) {
                disk.remove(&path)?;
            }
        }
        disk.sync_dir(&self.place)?;
        Ok(length)
    }
}
