//! A data set in a line: what somebody asks who looks for one among many. Looks at names, sizes and records only; whether
//! every byte is right is [`verify()`](super::verify())'s question.

use super::knowing::{Said, sampled};
use super::quality::Flag;
use super::reading::Set;
use super::whence::Position;
use planktor_protocol::Utc;
use serde::Serialize;
use std::fmt::Write as _;
use std::io;
use std::path::{Path, PathBuf};

/// What is said of it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Row {
    /// Where it is.
    pub folder: PathBuf,
    /// As in `metadata.json`, or the folder's name above that of the sample.
    pub day: String,
    /// As in `metadata.json`, or the folder's name.
    pub sample: String,
    /// As in `metadata.json`, or the folder's name.
    pub acquisition: String,
    /// When it began, by its own clock, RFC 3339.
    pub began: Option<String>,
    /// Frames that are on disk.
    pub frames: usize,
    /// That were to be.
    pub planned: Option<u64>,
    /// `complete`, `stopped`, `failed`; `no end` while it is written or if it was cut off; `unknown` without records.
    pub end: String,
    /// Where its time came from, when it began.
    pub clock: Option<String>,
    /// Where the sample was taken, as the operator said it: degrees north and east.
    pub sampled: Option<[f64; 2]>,
    /// Where the instrument was, by its own receiver, when it began.
    pub instrument: Option<[f64; 2]>,
    /// Frames that were tested.
    pub tested: usize,
    /// Of these, how many are suspect.
    pub suspect: usize,
    /// And how many failed.
    pub failed: usize,
    /// Of all its files.
    pub bytes: u64,
    /// What is missing or damaged, as far as names, sizes and records tell it; or all of it, if it was verified.
    pub problems: Vec<String>,
    /// Whether every finished frame is as it was written; `null` if that was not asked.
    pub valid: Option<bool>,
}

impl Row {
    /// Looks at a data set.
    ///
    /// # Errors
    /// The folder cannot be listed.
    pub fn of(folder: &Path) -> io::Result<Self> {
        let set = Set::read(folder)?;
        let above = |steps: usize| {
            let folder = folder.ancestors().nth(steps).and_then(Path::file_name);
            folder.map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
        };
        let named = |key: &str, steps| set.text(key).unwrap_or_else(|| above(steps));
        let flagged = |flag: Flag| {
            let flags = set.records_of_frames().filter_map(|frame| frame.quality.as_ref());
            flags.filter(|quality| quality.flags.all == flag).count()
        };
        let position: Option<Position> =
            set.metadata.get("planktor_position").and_then(|said| serde_json::from_value(said.clone()).ok());
        Ok(Self {
            folder: folder.into(),
            day: named("object_date", 2),
            sample: named("sample_id", 1),
            acquisition: named("acq_id", 0),
            began: set.began().map(Utc::rfc3339),
            frames: set.shots.iter().filter(|shot| shot.size.is_some()).count(),
            planned: set.planned(),
            end: set.ending().into(),
            clock: set.parts.first().map(|part| part.anchor.source.clone()),
            sampled: match sampled(&set) {
                Said::Place(place) => Some([place.latitude, place.longitude]),
                Said::No(_) => None,
            },
            instrument: position.map(|position| [position.latitude, position.longitude]),
            tested: set.records_of_frames().filter(|frame| frame.quality.is_some()).count(),
            suspect: flagged(Flag::Suspect),
            failed: flagged(Flag::Fail),
            bytes: set.bytes,
            problems: if set.looks_whole() { vec![] } else { [set.problems, set.unfinished].concat() },
            valid: None,
        })
    }

    /// Its place among others.
    pub fn order(&self) -> (String, PathBuf) {
        (self.began.clone().unwrap_or_else(|| self.day.clone()), self.folder.clone())
    }

    /// Whether somebody should look at it.
    pub fn is_harmed(&self) -> bool {
        !self.valid.unwrap_or(self.problems.is_empty())
    }
}

/// Above the rows; as wide as they are.
pub fn heading(names: usize) -> String {
    let name = if names < 18 { "NAME" } else { "SAMPLE/ACQUISITION" };
    format!(
        "{:10} {name:names$} {:>7} {:8} {:8} {:13} {:>8} {:>7}",
        "DAY", "FRAMES", "END", "CLOCK", "PLACE", "FLAGS", "SIZE"
    )
}

/// What all columns but the names take, with the blanks between them.
pub const BESIDE_NAMES: usize = 10 + 7 + 8 + 8 + 13 + 8 + 7 + 7;

/// One row, its names in so many columns.
pub fn line(row: &Row, names: usize) -> String {
    let name = fitted(&format!("{}/{}", row.sample, row.acquisition), names);
    let planned = row.planned.map_or("?".into(), |planned| planned.to_string());
    let end = if row.is_harmed() { "DAMAGED" } else { &row.end };
    let clock = row.clock.as_deref().unwrap_or("-");
    let place = match (row.sampled, row.instrument) {
        (Some(place), _) => degrees(place),
        (None, Some(place)) => degrees(place) + "*",
        (None, None) => "none".into(),
    };
    let flags = match (row.failed, row.suspect, row.tested) {
        (_, _, 0) => "-".into(),
        (0, 0, _) => "ok".into(),
        (0, suspect, _) => format!("{suspect} susp"),
        (failed, _, _) => format!("{failed} fail"),
    };
    let mut line = String::new();
    let frames = format!("{}/{planned}", row.frames);
    let day = fitted(&row.day, 10);
    let _ = write!(
        line,
        "{day:10} {name:names$} {frames:>7} {:8} {:8} {place:13} {flags:>8} {:>7}",
        fitted(end, 8),
        fitted(clock, 8),
        size(row.bytes)
    );
    line
}

/// No longer than that; control characters of strangers do not reach a terminal.
fn fitted(text: &str, most: usize) -> String {
    let plain: String = text.chars().map(|c| if c.is_control() { '?' } else { c }).collect();
    match plain.chars().count() > most {
        true => plain.chars().take(most.saturating_sub(1)).chain(['…']).collect(),
        false => plain,
    }
}

fn degrees([latitude, longitude]: [f64; 2]) -> String {
    let side = |degrees: f64, [plus, minus]: [char; 2]| {
        format!("{:.1}{}", degrees.abs(), if degrees < 0.0 { minus } else { plus })
    };
    format!("{} {}", side(latitude, ['N', 'S']), side(longitude, ['E', 'W']))
}

/// Bytes for people.
pub(crate) fn size(bytes: u64) -> String {
    let units = [("GB", 1e9), ("MB", 1e6), ("kB", 1e3)];
    match units.iter().find(|(_, unit)| bytes as f64 >= *unit) {
        Some((word, unit)) if bytes as f64 >= 100.0 * unit => format!("{:.0} {word}", bytes as f64 / unit),
        Some((word, unit)) => format!("{:.1} {word}", bytes as f64 / unit),
        None => format!("{bytes} B"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row() -> Row {
        Row {
            folder: "/d".into(),
            day: "2026-11-23".into(),
            sample: "a sample with a long name".into(),
            acquisition: "acq \u{1b}[31m".into(),
            began: None,
            frames: 400,
            planned: Some(400),
            end: "complete".into(),
            clock: Some("computer".into()),
            sampled: Some([-71.3947, -163.914]),
            instrument: None,
            tested: 400,
            suspect: 400,
            failed: 0,
            bytes: 999_999_999,
            problems: vec![],
            valid: None,
        }
    }

    #[test]
    fn a_line_fits_into_80_columns_and_keeps_its_columns() {
        let line = line(&row(), 80 - BESIDE_NAMES);
        assert_eq!(line.chars().count(), 80, "{line}");
        assert!(line.contains("71.4S 163.9W") && line.contains("400/400 complete computer"), "{line}");
        assert!(!line.contains('\u{1b}'), "{line:?}");
        assert!(heading(80 - BESIDE_NAMES).len() <= 80);
        for (column, value) in [("FRAMES", "400/400"), ("FLAGS", "400 susp"), ("SIZE", "1000 MB")] {
            let end = |text: &str, of: &str| text.split_once(of).unwrap().0.chars().count() + of.len();
            assert_eq!(end(&heading(80 - BESIDE_NAMES), column), end(&line, value), "{column} in {line}");
        }
    }

    #[test]
    fn harm_is_said_in_place_of_the_end() {
        let harmed = Row { problems: vec!["x".into()], ..row() };
        assert!(line(&harmed, 20).contains("DAMAGED"));
        let torn_and_yet_valid = Row { valid: Some(true), ..harmed };
        assert!(line(&torn_and_yet_valid, 20).contains("complete"));
    }

    #[test]
    fn sizes_are_for_people() {
        assert_eq!([999, 1_000, 99_900_000, 100_000_000].map(size), ["999 B", "1.0 kB", "99.9 MB", "100 MB"]);
    }
}
