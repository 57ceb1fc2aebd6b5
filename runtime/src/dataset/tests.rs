//! What must be true of a data set: as it is written, as it is found after any failure, and as it is checked.

mod checked;
mod failing;
mod looked;
mod resumed;

use super::*;
use crate::shelf::Shelf;
use planktor_actors::recording::{Begin, Encode, Ending, Facts, Picture, Record, Recorded};
use planktor_drivers::disk::{Disk, FileSystem};
use planktor_protocol::acquisition::{Formats, Metadata, Refusal};
use planktor_protocol::camera::{self, Frame, Image, Mode, Picture as Seen, Pixels};
use planktor_protocol::motion::ChipClocks;
use planktor_protocol::plan::{Plan, Step};
use planktor_protocol::position::{Fix, Place};
use planktor_protocol::pump;
use planktor_protocol::timekeeping::{Anchor, Source};
use planktor_protocol::units::{Fraction, Micrometres, Nanodegrees, Nanolitres, NanolitresPerSecond};
use planktor_protocol::{Instant, Interval, Run, Utc};
use serde_json::{Value, json};
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

const NAMES: [&str; 3] =
    ["2026-06-01_08-00-01-000000.jpg", "2026-06-01_08-00-02-000000.jpg", "2026-06-01_08-00-03-000000.jpg"];
const PLACE: &str = "img/2026-06-01/sample_1/acq_1";

#[derive(Debug)]
struct Gradient {
    width: u32,
    height: u32,
}

impl Gradient {
    fn image(&self) -> Image {
        let byte = |n: u32| u8::try_from(n % 256).unwrap();
        let pixel = |n: u32| [byte(n * 7), byte(n / self.width * 5), byte(n)];
        let rgb = (0..self.width * self.height).flat_map(pixel).collect();
        Image { width: self.width, height: self.height, rgb }
    }
}

impl Seen for Gradient {
    fn develop(&self) -> Pixels {
        Pixels::Rgb(self.image())
    }
}

fn at(seconds: u64) -> Instant {
    Instant::from_nanos(100_000_000_000 + seconds * 1_000_000_000)
}

fn plan(frames: u32) -> Plan {
    let stroke = pump::Move { volume: Nanolitres(6_000), flow: NanolitresPerSecond(50_000) };
    Plan::stop_flow(frames, stroke, Step::Settle(Duration::from_millis(500))).unwrap()
}

fn fix(latitude: i64, longitude: i64) -> Fix {
    let place = Place {
        mode: planktor_protocol::position::Mode::ThreeDimensional,
        latitude: Nanodegrees(latitude),
        longitude: Nanodegrees(longitude),
        altitude_mm: Some(-1_500),
        error_mm: None,
        vertical_error_mm: None,
    };
    let time = Utc::parse("2026-06-01T07:59:58Z");
    Fix { at: at(0) - Duration::from_secs(2), time, time_error: None, place: Some(place) }
}

fn metadata() -> Metadata {
    let all = json!({
        "acq_nb_frame": "three",
        "sample_id": "sample 1",
        "acq_id": "'acq 1'",
        "object_date": "2026-06-01",
        "object_lat": "48.5",
        "process_pixel_size": 0.75,
        "zeta": [1, null],
    });
    all.as_object().unwrap().clone()
}

const JPEG: Formats = Formats { jpeg: true, dng: false };

fn begin_with(batch: u64, metadata: Metadata) -> Begin {
    let cadence = Duration::from_millis(100);
    Begin {
        batch: Run(batch),
        metadata: Arc::new(metadata),
        anchor: Anchor {
            instant: at(0),
            utc: Utc::parse("2026-06-01T08:00:00Z").unwrap(),
            source: Source::Gps,
            error: None,
        },
        fix: Some(fix(48_587_410_426, -3_838_354_236)),
        mode: Mode {
            width: 32,
            height: 24,
            cadence,
            takes: cadence,
            exposure: Duration::from_micros(125),
            iso: 150,
        },
        settings: camera::Settings::default(),
        plan: plan(3),
        frame_bytes: None,
        hardware: None,
    }
}

fn begin() -> Begin {
    begin_with(1, metadata())
}

fn facts() -> Facts {
    Facts {
        motion: Some(Interval { from: at(0) - Duration::from_millis(400), to: at(0) }),
        settled: at(0) + Duration::from_millis(300),
        ready: at(0) + Duration::from_millis(300),
        pumped: Nanolitres(10_000),
        height: Micrometres(-250),
        height_uncertain: false,
        light: Fraction::from_millionths(350_000),
        fix: None,
        time: Some(Anchor { source: Source::Computer, ..begin().anchor }),
        mode: Some(begin().mode),
        pulse: None,
        flow: None,
        moved_nm: None,
        clocks: ChipClocks::default(),
    }
}

/// When the frame of that name begins.
fn begun_at(n: usize) -> Utc {
    let (day, time) = NAMES[n].trim_end_matches(".jpg").split_once('_').unwrap();
    let [h, m, s, us]: [&str; 4] = time.split('-').collect::<Vec<_>>().try_into().unwrap();
    Utc::parse(&format!("{day}T{h}:{m}:{s}.{us}Z")).unwrap()
}

fn picture(n: usize) -> Box<Picture> {
    let from = at(1 + n as u64);
    let interval = Interval { from, to: from + Duration::from_millis(87) };
    let frame = Frame { seq: n as u64, interval, picture: Arc::new(Gradient { width: 32, height: 24 }) };
    encode(
        Encode { batch: Run(1), shot: Run(2), begun: begun_at(n), frame, facts: facts(), formats: JPEG },
        &Instrument::default(),
    )
    .result
    .unwrap()
}

fn begun(recorder: &mut Recorder, begin: Begin) -> Result<Arc<Path>, Refusal> {
    match recorder.record(Record::Begin(Box::new(begin))) {
        Recorded::Begun { result, .. } => result.map(|opened| opened.folder),
        other => panic!("{other:?}"),
    }
}

fn saved(recorder: &mut Recorder, batch: u64, picture: Box<Picture>) -> Result<Arc<Path>, String> {
    match recorder.record(Record::Frame { batch: Run(batch), shot: Run(9), picture }) {
        Recorded::Saved { result, shot: Run(9), .. } => result.map(|saved| saved.path).map_err(Into::into),
        other => panic!("{other:?}"),
    }
}

fn ended(recorder: &mut Recorder, batch: u64, ending: Ending) -> Result<(), String> {
    match recorder.record(Record::End { batch: Run(batch), ending }) {
        Recorded::Ended { result, .. } => result,
        other => panic!("{other:?}"),
    }
}

fn twin() -> Instrument {
    Instrument { board: "twin", ..Instrument::default() }
}

fn recorder(root: &Path) -> Recorder {
    Recorder::new(Box::new(FileSystem), root.into(), twin(), Shelf::new(root.into(), "twin", None), 0)
}

/// A data set of so many frames out of three, with this end.
fn written(root: &Path, frames: usize, ending: Option<Ending>) -> PathBuf {
    let mut recorder = recorder(root);
    let folder = begun(&mut recorder, begin()).unwrap();
    for (n, name) in NAMES.into_iter().enumerate().take(frames) {
        assert_eq!(&*saved(&mut recorder, 1, picture(n)).unwrap(), folder.join(name));
    }
    if let Some(ending) = ending {
        ended(&mut recorder, 1, ending).unwrap();
    }
    folder.to_path_buf()
}

fn complete(root: &Path) -> PathBuf {
    written(root, 3, Some(Ending::Complete))
}

fn names(folder: &Path) -> Vec<String> {
    let name = |path: PathBuf| path.file_name().unwrap().to_str().unwrap().to_owned();
    FileSystem.list(folder).unwrap().into_iter().map(name).collect()
}

fn json_of(path: PathBuf) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

fn record_lines(folder: &Path) -> Vec<Value> {
    let text = fs::read_to_string(folder.join(RECORDS)).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Changes a file's text, which must then differ.
fn edit(path: PathBuf, change: impl Fn(&str) -> String) {
    let text = fs::read_to_string(&path).unwrap();
    let changed = change(&text);
    assert_ne!(text, changed);
    fs::write(path, changed).unwrap();
}

fn without_last_line(text: &str) -> String {
    text.split_inclusive('\n').rev().skip(1).collect::<Vec<_>>().into_iter().rev().collect()
}

fn torn(text: &str) -> String {
    text[..text.len() - 9].into()
}

#[track_caller]
fn assert_invalid(folder: &Path, at: &str, what: &str) {
    let report = verify(folder);
    let Verdict::Invalid(problems) = &report.verdict else { panic!("{report}") };
    assert!(!report.is_valid());
    assert!(problems.iter().any(|p| p.at.contains(at) && p.what.contains(what)), "{report}");
}

#[track_caller]
fn assert_unfinished(folder: &Path, name: &str, reached: Reached) {
    let report = verify(folder);
    assert_eq!(
        report.verdict,
        Verdict::Unfinished(Unfinished::Frame { name: name.into(), reached }),
        "{report}"
    );
    assert!(report.is_valid() && report.to_string().contains(name), "{report}");
}

// Written

#[test]
fn a_whole_data_set_verifies() {
    let root = tempfile::tempdir().unwrap();
    let folder = complete(root.path());
    assert_eq!(folder, root.path().join(PLACE));
    let report = verify(&folder);
    assert_eq!(
        (report.verdict.clone(), report.frames, report.planned),
        (Verdict::Complete, 3, Some(3)),
        "{report}"
    );
    assert_eq!(report.remarks, Vec::<String>::new());
    let [a, b, c] = NAMES;
    assert_eq!(names(&folder), [a, b, c, RECORDS, INTEGRITY, METADATA]);
}

#[test]
fn a_digest_is_over_name_zero_byte_and_content() {
    // printf 'a.jpg\0abc' | sha1sum
    assert_eq!(digest("a.jpg", b"abc"), "9091ecc48bce6945e9ce72bbae3ddc905b739dcc");
}

#[test]
fn the_integrity_file_lists_the_metadata_and_then_every_frame() {
    let root = tempfile::tempdir().unwrap();
    let folder = complete(root.path());
    let text = fs::read_to_string(folder.join(INTEGRITY)).unwrap();
    let mut expected = INTEGRITY_HEAD.to_owned();
    for name in [METADATA, NAMES[0], NAMES[1], NAMES[2]] {
        let content = fs::read(folder.join(name)).unwrap();
        expected += &format!("{name},{},{}\n", content.len(), digest(name, &content));
    }
    assert_eq!(text, expected);
}

#[test]
fn the_metadata_keeps_what_came_and_says_what_viewers_read() {
    let root = tempfile::tempdir().unwrap();
    let folder = complete(root.path());
    let text = fs::read_to_string(folder.join(METADATA)).unwrap();
    assert!(text.starts_with("{\n    \"acq_nb_frame\": 3,\n    \"sample_id\": \"sample 1\","), "{text}");
    let all = json_of(folder.join(METADATA));
    for (key, value) in [
        ("acq_id", json!("'acq 1'")),
        ("object_lat", json!("48.5")),
        ("zeta", json!([1, null])),
        ("process_pixel", json!(0.75)),
        ("process_pixel_size", json!(0.75)),
        ("acq_local_datetime", json!("2026-06-01T08:00:00.000000Z")),
        ("acq_camera_resolution", json!("32x24")),
        ("acq_camera_iso", json!(150)),
        ("acq_camera_shutter_speed", json!(125)),
        ("planktor_board", json!("twin")),
    ] {
        assert_eq!(all[key], value, "{key}");
    }
    assert_eq!(all["planktor_time"]["source"], "gps");
    let position = &all["planktor_position"];
    assert_eq!(position["latitude"], json!(48.587_410_426));
    assert_eq!(position["longitude"], json!(-3.838_354_236));
    assert_eq!((&position["altitude_m"], &position["age_s"]), (&json!(-1.5), &json!(2.0)));
    assert_eq!(position["error_m"], Value::Null);
    let uuid = |key: &str| uuid::Uuid::parse_str(all[key].as_str().unwrap()).unwrap().get_version_num();
    assert_eq!((uuid("acq_uuid"), uuid("sample_uuid")), (7, 5));
}

#[test]
fn the_machines_name_is_added_where_the_client_said_none() {
    for (machine, said, written) in [
        (None, None, Value::Null),
        (Some("metal-slope-23501"), None, json!("metal-slope-23501")),
        (Some("metal-slope-23501"), Some("Babane"), json!("Babane")),
    ] {
        let root = tempfile::tempdir().unwrap();
        let instrument = Instrument { name: machine.map(Into::into), ..twin() };
        let shelf = Shelf::new(root.path().into(), "twin", None);
        let mut recorder = Recorder::new(Box::new(FileSystem), root.path().into(), instrument, shelf, 0);
        let mut metadata = metadata();
        metadata.extend(said.map(|said| ("acq_instrument_id".into(), json!(said))));
        let folder = begun(&mut recorder, begin_with(1, metadata)).unwrap();
        assert_eq!(json_of(folder.join(METADATA))["acq_instrument_id"], written, "{machine:?}, {said:?}");
    }
}

#[test]
fn no_fix_is_no_position() {
    for fix in [None, Some(fix(0, 0)), Some(fix(-90_000_000_000, 0)), Some(Fix { place: None, ..fix(1, 1) })]
    {
        let root = tempfile::tempdir().unwrap();
        let folder = begun(&mut recorder(root.path()), Begin { fix, ..begin() }).unwrap();
        assert_eq!(json_of(folder.join(METADATA))["planktor_position"], Value::Null, "{fix:?}");
    }
}

#[test]
fn whole_numbers_are_ids_and_written_as_text() {
    let root = tempfile::tempdir().unwrap();
    let mut numbers = metadata();
    numbers.insert("acq_id".into(), json!(7));
    numbers.insert("acq_nb_frame".into(), json!(5));
    let folder = begun(&mut recorder(root.path()), begin_with(1, numbers)).unwrap();
    assert!(folder.ends_with("sample_1/7"), "{folder:?}");
    let all = json_of(folder.join(METADATA));
    assert_eq!((&all["acq_id"], &all["acq_nb_frame"]), (&json!("7"), &json!(5)));
    assert!(verify(&folder).remarks[0].contains("acq_nb_frame is 5"));
}

#[test]
fn an_id_with_an_apostrophe_inside_is_named_as_it_always_was() {
    let root = tempfile::tempdir().unwrap();
    let mut quoted = metadata();
    quoted.insert("acq_id".into(), json!("peer acq '1'"));
    let folder = begun(&mut recorder(root.path()), begin_with(1, quoted)).unwrap();
    assert!(folder.ends_with("peer_acq_'1"), "{folder:?}");
}

#[test]
fn a_record_says_when_it_was_true_counted_from_the_anchor() {
    let root = tempfile::tempdir().unwrap();
    let lines = record_lines(&complete(root.path()));
    let [head, first, _, _, end] = &lines[..] else { panic!("{lines:?}") };
    assert_eq!((&head["planned"], &head["camera"]["width"]), (&json!(3), &json!(32)));
    assert_eq!(first["exposure"]["utc"], "2026-06-01T08:00:01.000000Z");
    assert_eq!(first["exposure"]["from_ns"], 1_000_000_000);
    assert_eq!(first["exposure"]["to_ns"], 1_087_000_000);
    assert_eq!(first["motion"], json!({ "from_ns": -400_000_000, "to_ns": 0 }));
    assert_eq!(first["settled_ns"], 300_000_000);
    assert_eq!((&first["pumped_nl"], &first["height_um"]), (&json!(10_000), &json!(-250)));
    assert_eq!((&first["light"], &first["fix"]), (&json!(0.35), &Value::Null));
    assert_eq!(first["time"]["source"], "computer");
    assert_eq!(
        *end,
        json!({
            "end": "complete", "reason": null, "frames": 3, "planned": 3,
            "timing": {"stages": {}, "misses": {"alarms": 0, "frame_starts": 0, "frames": 0, "handlers": 0}, "longest_handler": null},
        })
    );
}

#[test]
fn every_line_is_as_the_schema_says_and_reads_as_it_was_written() {
    let root = tempfile::tempdir().unwrap();
    let folder = complete(root.path());
    let schema = serde_json::from_str(&records::file().1).unwrap();
    let schema = jsonschema::validator_for(&schema).unwrap();
    let mut strange = record_lines(&folder);
    for line in &strange {
        assert!(schema.is_valid(line), "{line:#}");
    }
    strange[1]["exposure"]["from_ns"] = json!("early");
    assert!(!schema.is_valid(&strange[1]), "it tells right from wrong");
    let content = fs::read(folder.join(RECORDS)).unwrap();
    let (lines, length) = records::read(&content).unwrap();
    let again: String = lines.iter().map(records::line).collect();
    assert_eq!((again.as_bytes(), length), (content.as_slice(), content.len()));
}

#[test]
fn an_anchor_newer_than_the_exposure_counts_back() {
    let mut late = picture(0);
    late.facts.time =
        Some(Anchor { instant: at(2), utc: Utc::parse("2026-06-01T09:00:02Z").unwrap(), ..begin().anchor });
    let line: Value = serde_json::from_str(&records::frame(&late, None, &begin().anchor)).unwrap();
    assert_eq!(line["time"]["utc"], "2026-06-01T09:00:01.000000Z");
}

#[test]
fn equal_commands_give_equal_bytes() {
    let [one, two] = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let (first, second) = (complete(one.path()), complete(two.path()));
    assert_eq!(names(&first), names(&second));
    for name in names(&first) {
        assert_eq!(fs::read(first.join(&name)).unwrap(), fs::read(second.join(&name)).unwrap(), "{name}");
    }
}

#[test]
fn a_stopped_data_set_takes_frames_while_the_next_has_begun() {
    let root = tempfile::tempdir().unwrap();
    let mut recorder = recorder(root.path());
    let first = begun(&mut recorder, begin()).unwrap();
    let mut next = metadata();
    next.insert("acq_id".into(), json!("acq 2"));
    let second = begun(&mut recorder, begin_with(2, next)).unwrap();
    saved(&mut recorder, 2, picture(0)).unwrap();
    saved(&mut recorder, 1, picture(0)).unwrap();
    ended(&mut recorder, 1, Ending::Stopped).unwrap();
    saved(&mut recorder, 2, picture(1)).unwrap();
    assert_eq!(verify(&first).verdict, Verdict::Early(Early::Stopped));
    assert_eq!((verify(&second).verdict, verify(&second).frames), (Verdict::Early(Early::CutOff), 2));
    assert!(saved(&mut recorder, 1, picture(1)).unwrap_err().contains("not open"));
}

#[test]
fn a_frame_with_a_name_that_is_taken_or_leads_elsewhere_is_not_written() {
    let root = tempfile::tempdir().unwrap();
    let mut recorder = recorder(root.path());
    let folder = begun(&mut recorder, begin()).unwrap();
    saved(&mut recorder, 1, picture(0)).unwrap();
    for name in [NAMES[0], "../x.jpg", "/x.jpg", "a/b.jpg", "x.png", "a,b.jpg", ".x.jpg", "", ".."] {
        let picture = Box::new(Picture { name: name.into(), ..*picture(1) });
        assert!(saved(&mut recorder, 1, picture).is_err(), "{name}");
    }
    assert_eq!(verify(&folder).frames, 1);
    assert_eq!(names(folder.parent().unwrap()), ["acq_1"]);
}

// Refused

#[track_caller]
fn assert_refused(key: &str, value: Option<Value>, right: impl Fn(&Refusal) -> bool) {
    let root = tempfile::tempdir().unwrap();
    let mut bad = metadata();
    bad.remove(key);
    bad.extend(value.map(|value| (key.to_owned(), value)));
    let refusal = begun(&mut recorder(root.path()), begin_with(1, bad)).unwrap_err();
    assert!(right(&refusal), "{refusal:?}");
    assert_eq!(names(root.path()), Vec::<String>::new());
}

#[test]
fn a_missing_id_is_refused_by_its_key() {
    for key in ["object_date", "sample_id", "acq_id"] {
        assert_refused(key, None, |refusal| *refusal == Refusal::MissingKey(key));
    }
}

#[test]
fn an_id_that_cannot_name_a_folder_is_refused_and_nothing_is_written() {
    let long = "x".repeat(201);
    let bad = ["", "''", ".", "..", "'..'", "a/b", "/etc", "a\\b", "a\0b", "a\nb", &long].map(|id| json!(id));
    let others = [json!(null), json!(true), json!(1.5), json!(["a"]), json!({})];
    for id in bad.iter().chain(&others) {
        for key in ["object_date", "sample_id", "acq_id"] {
            assert_refused(
                key,
                Some(id.clone()),
                |r| matches!(r, Refusal::BadId { key: k, .. } if *k == key),
            );
        }
    }
}

#[test]
fn a_date_that_is_none_is_refused() {
    for date in
        ["20260601", "2026-13-01", "2026-00-01", "2026-06-32", "2026-6-1", "+026-06-01", "2026-06-01-"]
    {
        let right = |r: &Refusal| matches!(r, Refusal::BadId { key: "object_date", .. });
        assert_refused("object_date", Some(json!(date)), right);
    }
    assert_refused("object_date", Some(json!(20_260_601)), |r| matches!(r, Refusal::BadId { .. }));
}

#[test]
fn ids_in_use_are_refused_and_the_data_set_stays_as_it_is() {
    let root = tempfile::tempdir().unwrap();
    let folder = complete(root.path());
    let refusal = begun(&mut recorder(root.path()), begin()).unwrap_err();
    assert_eq!(refusal, Refusal::IdsInUse(folder.display().to_string()));
    assert_eq!(verify(&folder).verdict, Verdict::Complete);
}

#[test]
fn a_root_that_is_no_folder_is_refused_by_name() {
    let root = tempfile::tempdir().unwrap();
    fs::write(root.path().join("img"), "").unwrap();
    let refusal = begun(&mut recorder(root.path()), begin()).unwrap_err();
    assert!(matches!(&refusal, Refusal::Disk(why) if why.contains("img is no folder")), "{refusal}");
}

// Encoded and shown

#[test]
fn a_picture_that_no_jpeg_can_hold_is_an_error_with_its_name() {
    for (width, height) in [(0, 0), (70_000, 1)] {
        let interval = Interval { from: at(1), to: at(2) };
        let frame = Frame { seq: 1, interval, picture: Arc::new(Gradient { width, height }) };
        let job =
            Encode { batch: Run(1), shot: Run(2), begun: begun_at(0), frame, facts: facts(), formats: JPEG };
        assert!(
            encode(job, &Instrument::default()).result.unwrap_err().contains(NAMES[0]),
            "{width}x{height}"
        );
    }
}

#[test]
fn a_contact_sheet_shows_every_frame_beside_the_data_set() {
    let root = tempfile::tempdir().unwrap();
    let folder = complete(root.path());
    let sheet = contact_sheet(&folder, &root.path().join("sheet.jpg")).unwrap();
    let content = fs::read(sheet).unwrap();
    let mut decoder = jpeg_decoder::Decoder::new(content.as_slice());
    let pixels = decoder.decode().unwrap();
    let info = decoder.info().unwrap();
    assert_eq!((info.width, info.height), (8 + 2 * 40, 8 + 2 * 32));
    let green = |x: usize, y: usize| pixels[(y * usize::from(info.width) + x) * 3 + 1];
    assert!(green(3, 3) > 240 && green(60, 60) > 240, "gaps and empty places are white");
    assert!(green(20, 12) < 100 && green(60, 12) < 100 && green(20, 44) < 100, "three thumbnails are dark");
}

#[test]
fn a_contact_sheet_is_never_put_among_the_frames() {
    let root = tempfile::tempdir().unwrap();
    let folder = complete(root.path());
    let inside = contact_sheet(&folder, &folder.join("sheet.jpg"));
    assert!(matches!(inside, Err(Error::Inside(_))), "{inside:?}");
    assert!(verify(&folder).is_valid());
    let [empty, elsewhere] = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let empty = contact_sheet(empty.path(), &elsewhere.path().join("sheet.jpg"));
    assert!(matches!(empty, Err(Error::Empty(_))), "{empty:?}");
}

#[test]
fn a_damaged_frame_is_named_by_the_contact_sheet() {
    let root = tempfile::tempdir().unwrap();
    let folder = complete(root.path());
    fs::write(folder.join(NAMES[1]), "no picture").unwrap();
    let why = contact_sheet(&folder, &root.path().join("sheet.jpg")).unwrap_err();
    assert!(matches!(&why, Error::Frame(path, _) if path.ends_with(NAMES[1])), "{why}");
}
