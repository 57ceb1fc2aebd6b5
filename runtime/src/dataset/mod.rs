//! A data set on disk: its names, and who makes, checks and shows it. Nothing here moves, waits or asks for the time.
//!
//! ```text
//! <root>/img/<object_date>/<sample_id>/<acq_id>/
//!   metadata.json     what the client said and what the instrument adds      metadata.rs
//!   frames.jsonl      the truth: a line a frame, synced before its name is    records.rs
//!   integrity.check   name, size and SHA-1 of metadata.json and every frame
//!   <UTC>.jpg         the frames; <UTC>.jpg.part is one that is being written
//! ```
//!
//! [`encode`] makes a frame's bytes, [`Recorder`] is the only one that writes here, [`verify()`] reads it all again
//! and knows nothing of the recorder, [`contact_sheet()`] shows it at a glance.

mod contact_sheet;
mod develop;
mod dng;
pub(crate) mod encoder;
mod find;
pub(crate) mod folder;
pub mod ifdo;
pub mod knowing;
pub mod listing;
#[cfg(test)]
mod made;
mod metadata;
mod open;
pub(crate) mod picture;
pub mod quality;
pub mod reading;
mod recorder;
pub mod records;
mod report;
mod report_page;
mod resuming;
mod stamp;
#[cfg(test)]
mod tests;
pub mod timing;
mod verify;
pub mod whence;

pub use contact_sheet::{Error, contact_sheet};
pub use encoder::encode;
pub use find::data_sets;
pub use picture::Figures;
pub use recorder::Recorder;
pub use report::{Early, Problem, Reached, Report, Unfinished, Verdict};
pub use report_page::{POLICY as REPORT_POLICY, report_page};
pub use stamp::Instrument;
pub use verify::{Tell, verify, verify_on, verify_telling};

use crate::careful::PART;
use sha1::{Digest, Sha1};
use std::path::{Component, Path};

/// What was said about the data set.
pub(crate) const METADATA: &str = "metadata.json";
/// The record file.
pub(crate) const RECORDS: &str = "frames.jsonl";
/// Names, sizes and digests, as every existing tool reads them.
pub(crate) const INTEGRITY: &str = "integrity.check";
/// How that one begins.
const INTEGRITY_HEAD: &str =
    "# planktoscope integrity file, see https://www.planktoscope.org\n# filename,size,sha1\n";

/// SHA-1 over a file's name, a zero byte and its content, in hexadecimal.
pub(crate) fn digest(name: &str, content: &[u8]) -> String {
    let digest = Sha1::new().chain_update(name).chain_update([0]).chain_update(content).finalize();
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A line of `integrity.check`.
fn integrity_line(name: &str, size: usize, sha1: &str) -> String {
    format!("{name},{size},{sha1}\n")
}

/// How many bytes of a text file are whole lines. Of the last one a power cut may leave a part, or its length with zeros where
/// a page was not written.
fn whole_lines(content: &[u8]) -> usize {
    let end_before =
        |end: usize| content[..end].iter().rposition(|byte| *byte == b'\n').map_or(0, |last| last + 1);
    let whole = end_before(content.len());
    let last = end_before(whole.saturating_sub(1));
    if content[last..whole].contains(&0) { last } else { whole }
}

/// The name of a file while it is written.
fn with_part(name: &str) -> String {
    name.to_owned() + PART
}

/// Whether a viewer takes a file of this name for a frame.
pub(crate) fn looks_like_frame(name: &str) -> bool {
    Path::new(name).extension().is_some_and(|e| e.eq_ignore_ascii_case("jpg"))
}

/// Whether a frame may be called so: one plain name in its folder, that fits into a line of `integrity.check`.
fn is_frame_name(name: &str) -> bool {
    let mut parts = Path::new(name).components();
    let plain = matches!((parts.next(), parts.next()), (Some(Component::Normal(n)), None) if n == name);
    plain
        && name.ends_with(".jpg")
        && !name.starts_with('.')
        && !name.contains(|c: char| c.is_control() || matches!(c, ',' | '/' | '\\'))
}
