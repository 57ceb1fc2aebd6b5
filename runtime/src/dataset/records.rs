//! The lines of `frames.jsonl`, the record file: one JSON object a line, a torn last line does not count. Says how a
//! line is written; never reads one.
//!
//! | line | key | |
//! |---|---|---|
//! | first | `planktor_frames` | 1, the version of this form |
//! | | `planktor_version`, `planktor_board`, `acq_uuid` | as in `metadata.json` |
//! | | `anchor` | `{utc, monotonic_ns, source}`: all `_ns` of the frames count from it and may be negative |
//! | | `camera` | `{width, height, iso, cadence_ns, exposure_ns}` |
//! | | `planned` | frames that the plan takes |
//! | a frame | `file`, `size`, `sha1` | name, bytes, and SHA-1 over name, zero byte and content |
//! | | `seq` | the camera's own number |
//! | | `exposure` | `{utc, from_ns, to_ns}`: first line's start to last line's end; `utc` is the start by the data set's anchor |
//! | | `motion` | `{from_ns, to_ns}`: the last motion before it, or `null` |
//! | | `settled_ns` | from when on nothing was to move |
//! | | `pumped_nl` | since the acquisition began, as asked; negative is backwards |
//! | | `height_um`, `height_uncertain` | of the stage above where it was switched on |
//! | | `light` | 0 to 1, or `null` if not known |
//! | | `fix` | the newest fix, as in `metadata.json`, its age counted at the exposure; or `null` |
//! | | `time` | `{source, utc, age_s}`: the exposure's start by the newest anchor, which may be better; or `null` |
//! | last | `end` | `complete`, `stopped` or `failed` |
//! | | `reason` | why it failed, or `null` |
//! | | `frames`, `planned` | frames that are in it, and that were to be |

use super::metadata::position;
use planktor_actors::recording::{Begin, Ending, Picture};
use planktor_protocol::acquisition::Metadata;
use planktor_protocol::timekeeping::Anchor;
use planktor_protocol::{Instant, Interval, Utc};
use serde_json::{Value, json};
use std::time::Duration;

/// The version of this form.
pub(super) const SCHEMA: u64 = 1;

/// The first line.
pub(super) fn head(begin: &Begin, metadata: &Metadata) -> String {
    let Begin { anchor, mode, .. } = begin;
    line(&json!({
        "planktor_frames": SCHEMA,
        "planktor_version": metadata.get("planktor_version"),
        "planktor_board": metadata.get("planktor_board"),
        "acq_uuid": metadata.get("acq_uuid"),
        "anchor": {
            "utc": anchor.utc.rfc3339(),
            "monotonic_ns": anchor.instant.nanos(),
            "source": anchor.source.word(),
        },
        "camera": {
            "width": mode.width,
            "height": mode.height,
            "iso": mode.iso,
            "cadence_ns": nanos(mode.cadence),
            "exposure_ns": nanos(mode.exposure),
        },
        "planned": begin.total,
    }))
}

/// A frame's line.
pub(super) fn frame(picture: &Picture, anchor: &Anchor) -> String {
    let Picture { facts, exposure, .. } = picture;
    let start = exposure.from;
    line(&json!({
        "file": picture.name,
        "size": picture.jpeg.len(),
        "sha1": picture.sha1,
        "seq": picture.seq,
        "exposure": {
            "utc": anchor.utc_at(start).rfc3339(),
            "from_ns": since(anchor, start),
            "to_ns": since(anchor, exposure.to),
        },
        "motion": facts.motion.map(|motion| interval(anchor, motion)),
        "settled_ns": since(anchor, facts.settled),
        "pumped_nl": facts.pumped.0,
        "height_um": facts.height.0,
        "height_uncertain": facts.height_uncertain,
        "light": facts.light.map(|light| f64::from(light.millionths()) / 1e6),
        "fix": position(facts.fix.as_ref(), start),
        "time": facts.time.map(|time| json!({
            "source": time.source.word(),
            "utc": utc_at(&time, start).rfc3339(),
            "age_s": time.age(start).as_secs_f64(),
        })),
    }))
}

/// The last line.
pub(super) fn end(ending: &Ending, frames: usize, planned: u32) -> String {
    let (word, reason) = match ending {
        Ending::Complete => ("complete", None),
        Ending::Stopped => ("stopped", None),
        Ending::Failed(reason) => ("failed", Some(reason)),
    };
    line(&json!({ "end": word, "reason": reason, "frames": frames, "planned": planned }))
}

fn line(value: &Value) -> String {
    format!("{value}\n")
}

fn interval(anchor: &Anchor, interval: Interval) -> Value {
    json!({ "from_ns": since(anchor, interval.from), "to_ns": since(anchor, interval.to) })
}

/// The civil time of an instant by an anchor that may have come after it, while the frame was on its way.
fn utc_at(anchor: &Anchor, at: Instant) -> Utc {
    if at >= anchor.instant {
        return anchor.utc_at(at);
    }
    let before = i64::try_from((anchor.instant - at).as_micros()).unwrap_or(i64::MAX);
    Utc::from_micros(anchor.utc.micros().saturating_sub(before))
}

/// Nanoseconds from the anchor, either way.
fn since(anchor: &Anchor, at: Instant) -> i64 {
    let signed = i128::from(at.nanos()) - i128::from(anchor.instant.nanos());
    i64::try_from(signed).unwrap_or(if signed < 0 { i64::MIN } else { i64::MAX })
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
