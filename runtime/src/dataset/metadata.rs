//! What is written into `metadata.json`: every key the client sent, in its order, and what the instrument adds.
//!
//! | ours | |
//! |---|---|
//! | `planktor_version` | of this program |
//! | `planktor_board` | the board's name, or `twin` |
//! | `planktor_time` | the anchor, a [`Moment`] |
//! | `planktor_position` | the instrument's own fix, its age counted at the anchor, a [`Position`]; or `null` |
//!
//! Clients of a PlanktoScope say `acq_instrument` (`PlanktoScope v3.0`) and `acq_instrument_id` (the machine's name); both are
//! added where they did not and we know.
//! The operator's `object_lat` and `object_lon` stay as they came: where the sample was taken is another question.

use super::folder::KEYS;
use super::stamp::Instrument;
use super::whence::{Moment, Position};
use planktor_actors::recording::Begin;
use planktor_protocol::acquisition::Metadata;
use serde::Serialize;
use serde_json::{Value, json};
use sha1::{Digest, Sha1};
use uuid::{Builder, Uuid};

/// Of what follows from the keys below, the same sample gets the same name on every instrument.
const SAMPLE: [&str; 3] = ["sample_project", "object_date", "sample_id"];
/// Galleries read the one, the dashboard writes the other.
const PIXEL_SIZE: [&str; 2] = ["process_pixel", "process_pixel_size"];

/// Everything that `metadata.json` holds. `ids` are those of the folder, as text.
pub(super) fn complete(begin: &Begin, ids: &[String; 3], instrument: &Instrument) -> Metadata {
    let mut all = (*begin.metadata).clone();
    for (key, id) in KEYS.into_iter().zip(ids) {
        all.insert(key.into(), json!(id));
    }
    if !all.get("acq_nb_frame").is_some_and(Value::is_number) {
        all.insert("acq_nb_frame".into(), json!(begin.plan.frames()));
    }
    let [one, other] = PIXEL_SIZE;
    copy(&mut all, one, other);
    copy(&mut all, other, one);
    let uuids = (acquisition_uuid(begin, &all), sample_uuid(&all));
    all.extend(added(begin, uuids, instrument.board));
    let model = begin.hardware.as_ref().map(|version| json!(format!("PlanktoScope {version}")));
    let name = instrument.name.as_ref().map(|name| json!(**name));
    for (key, known) in [("acq_instrument", model), ("acq_instrument_id", name)] {
        if let Some(known) = known {
            all.entry(key).or_insert(known);
        }
    }
    all
}

/// Its bytes, indented by four as existing tools write it.
pub(super) fn bytes(all: &Metadata) -> Vec<u8> {
    let form = serde_json::ser::PrettyFormatter::with_indent(b"    ");
    let mut bytes = Vec::new();
    all.serialize(&mut serde_json::Serializer::with_formatter(&mut bytes, form)).expect("it is JSON already");
    bytes
}

fn added(begin: &Begin, (acquisition, sample): (Uuid, Uuid), board: &str) -> Metadata {
    let Begin { anchor, mode, .. } = begin;
    let added = json!({
        "acq_local_datetime": anchor.utc.rfc3339(),
        "acq_camera_resolution": format!("{}x{}", mode.width, mode.height),
        "acq_camera_iso": mode.iso,
        "acq_camera_shutter_speed": u64::try_from(mode.exposure.as_micros()).unwrap_or(u64::MAX),
        "acq_uuid": acquisition.to_string(),
        "sample_uuid": sample.to_string(),
        "planktor_version": env!("CARGO_PKG_VERSION"),
        "planktor_board": board,
        "planktor_time": Moment::of(anchor),
        "planktor_position": Position::of(begin.fix.as_ref(), anchor.instant),
    });
    added.as_object().cloned().unwrap_or_default()
}

fn copy(all: &mut Metadata, from: &str, to: &str) {
    if !all.contains_key(to)
        && let Some(value) = all.get(from).cloned()
    {
        all.insert(to.into(), value);
    }
}

/// Version 7 in form: the anchor's milliseconds, then bits that follow from metadata and anchor instead of chance, for
/// equal commands in virtual time must give equal bytes. No two acquisitions of one instrument share an anchor.
fn acquisition_uuid(begin: &Begin, all: &Metadata) -> Uuid {
    let anchor = begin.anchor;
    let hash = Sha1::new()
        .chain_update(bytes(all))
        .chain_update(anchor.utc.micros().to_be_bytes())
        .chain_update(anchor.instant.nanos().to_be_bytes())
        .finalize();
    let mut tail = [0; 10];
    tail.copy_from_slice(&hash[..10]);
    let millis = u64::try_from(anchor.utc.micros() / 1_000).unwrap_or(0);
    Builder::from_unix_timestamp_millis(millis, &tail).into_uuid()
}

/// Version 5: the same sample has the same name in every acquisition of it.
fn sample_uuid(all: &Metadata) -> Uuid {
    let ids: Vec<_> = SAMPLE.iter().map(|key| all.get(*key)).collect();
    version_5(Uuid::NAMESPACE_OID, &json!(ids).to_string())
}

/// The same for the same name, everywhere (RFC 9562, section 5.5).
pub(super) fn version_5(namespace: Uuid, name: &str) -> Uuid {
    let hash = Sha1::new().chain_update(namespace).chain_update(name).finalize();
    let mut head = [0; 16];
    head.copy_from_slice(&hash[..16]);
    Builder::from_sha1_bytes(head).into_uuid()
}
