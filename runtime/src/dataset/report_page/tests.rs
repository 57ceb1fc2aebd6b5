//! What must be true of a page, whatever the data set is.

use super::super::records::{Camera, End, Event, Exposure, Frame, Head, Line, Resumed, Span, line};
use super::super::whence::{Moment, Position, Time};
use super::super::{INTEGRITY, METADATA, RECORDS};
use super::*;
use crate::dataset::encoder::jpeg;
use crate::dataset::quality::{Flag, Flags, Limits, Quality, Test};
use planktor_protocol::camera::Image;
use serde_json::{Value, json};
use std::fs;
use std::path::PathBuf;

const HOSTILE: &str = "</td><script>alert(1)</script><img src=\"http://evil.example/x\" onerror='x'>\u{1b}]";

fn noise(width: u32, height: u32, seed: u32) -> Image {
    let mut state = seed;
    let next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state.to_be_bytes()[0]
    };
    Image { width, height, rgb: std::iter::repeat_with(next).take((width * height * 3) as usize).collect() }
}

fn camera() -> Camera {
    Camera { width: 640, height: 480, iso: 150, gain: 3.5, cadence_ns: 100_000_000, exposure_ns: 125_000 }
}

fn anchor(utc: &str, source: &str) -> Moment {
    Moment { utc: utc.into(), monotonic_ns: 5, source: source.into(), error_s: Some(0.01) }
}

fn head(planned: u32) -> Line {
    let limits = |least, most| Limits { least, most };
    Line::Head(Box::new(Head {
        planktor_frames: 1,
        planktor_version: "0.1.0".into(),
        planktor_board: "hat".into(),
        acq_uuid: "01a21c5e-5faa-7cf3-b2ad-d98a231446c6".into(),
        anchor: anchor("2026-11-23T08:00:00.000000Z", "gps"),
        camera: camera(),
        planned,
        plan: vec![],
        tests: vec![Test {
            test: "brightness".into(),
            figure: "brightness".into(),
            suspect: limits(Some(0.3), Some(0.9)),
            fail: limits(Some(0.1), None),
        }],
    }))
}

fn name(n: i64) -> String {
    planktor_protocol::Utc::parse("2026-11-23T08:00:00Z")
        .unwrap()
        .checked_add(std::time::Duration::from_secs(n.unsigned_abs()))
        .unwrap()
        .file_stem()
        + ".jpg"
}

fn utc(n: i64) -> String {
    format!("2026-11-23T08:{:02}:{:02}.000000Z", n / 60 % 60, n % 60)
}

fn frame(n: i64, bytes: &[u8], worst: Flag) -> Frame {
    let from = n * 1_000_000_000;
    let flags = Flags {
        all: worst,
        brightness: worst,
        brightness_drift: Flag::Pass,
        sharpness_drift: Flag::Pass,
        saturation: Flag::Pass,
        empty: Flag::Pass,
        identical: Flag::Pass,
        bubble: Flag::Pass,
        stuck: Flag::NotEvaluated,
    };
    Frame {
        file: name(n),
        size: bytes.len() as u64,
        sha1: crate::dataset::digest(&name(n), bytes),
        seq: n.unsigned_abs(),
        exposure: Exposure { utc: utc(n), from_ns: from, to_ns: from + 90_000_000 },
        motion: Some(Span { from_ns: from - 900_000_000, to_ns: from - 600_000_000 }),
        settled_ns: from - 100_000_000,
        pumped_nl: n * 6_000,
        height_um: 0,
        height_uncertain: false,
        light: Some(0.5),
        fix: Some(Position {
            age_s: 1.0,
            ..serde_json::from_value(json!({"latitude": -16.5, "longitude": 179.99 + 0.001 * n as f64,
                "altitude_m": null, "error_m": 4.0, "time": null, "age_s": 0.0}))
            .unwrap()
        }),
        time: Some(Time { source: "gps".into(), utc: utc(n), age_s: 0.0, error_s: Some(0.01) }),
        quality: Some(Quality {
            brightness: 0.6,
            sharpness: 120.0,
            saturated: 0.0,
            particles: 3,
            stuck: Some(0),
            bubble: 0.0,
            flags,
        }),
    }
}

fn end(frames: u64) -> Line {
    Line::End(End { end: "complete".into(), reason: None, frames, planned: u32::try_from(frames).unwrap() })
}

/// A data set of these lines; each frame's file is this picture.
fn written(root: &Path, metadata: &Value, picture: &[u8], lines: &[Line]) -> PathBuf {
    let folder = root.join("set");
    fs::create_dir(&folder).unwrap();
    let metadata = metadata.to_string();
    fs::write(folder.join(METADATA), &metadata).unwrap();
    let mut listed = crate::dataset::INTEGRITY_HEAD.to_owned();
    listed += &crate::dataset::integrity_line(
        METADATA,
        metadata.len(),
        &crate::dataset::digest(METADATA, metadata.as_bytes()),
    );
    for line in lines {
        if let Line::Frame(frame) = line {
            fs::write(folder.join(&frame.file), picture).unwrap();
            listed += &crate::dataset::integrity_line(&frame.file, picture.len(), &frame.sha1);
        }
    }
    fs::write(folder.join(INTEGRITY), listed).unwrap();
    fs::write(folder.join(RECORDS), lines.iter().map(line).collect::<String>()).unwrap();
    folder
}

fn metadata() -> Value {
    json!({"sample_id": "s", "acq_id": "a", "object_date": "2026-11-23", "object_lat": "-16.5", "object_lon": 179.9,
        "acq_nb_frame": 3, "acq_camera_resolution": "640x480", "process_pixel": 0.75, "acq_celltype": 300,
        "planktor_board": "hat"})
}

fn page(folder: &Path) -> String {
    report_page(folder, 2, &|_, _| {}).unwrap()
}

/// Between two headings, without tags.
fn section(page: &str, title: &str) -> String {
    let from = page.find(&format!("<h2>{title}</h2>")).unwrap_or_else(|| panic!("no {title} in {page}"));
    let text = page[from..].split("</section>").next().unwrap();
    text.split('<').filter_map(|part| part.split_once('>')).map(|(_, text)| text).collect()
}

#[test]
fn four_hundred_frames_of_noise_weigh_less_than_two_megabytes() {
    let root = tempfile::tempdir().unwrap();
    // Nothing is larger than noise.
    let picture = jpeg(&noise(640, 480, 7), 95).unwrap();
    let frames = (1..=400).map(|n| Line::Frame(Box::new(frame(n, &picture, Flag::Pass))));
    let lines: Vec<Line> = [head(400)].into_iter().chain(frames).chain([end(400)]).collect();
    let page = page(&written(root.path(), &metadata(), &picture, &lines));
    assert!(page.len() < 2_000_000, "{} bytes", page.len());
    assert_eq!(page.matches("data:image/jpeg").count(), 400);
    println!("400 frames: {} bytes", page.len());
    assert!(
        section(&page, "What is odd").contains("Nothing odd was found."),
        "{}",
        section(&page, "What is odd")
    );
    // 400 stops of 640 x 480 pixels of 0.75 um in a cell of 300 um, and of 95 um.
    let water = section(&page, "Water");
    assert!(water.contains("Pumped 2400 µL; imaged 20.7 µL; of these in focus 6.6 µL"), "{water}");
}

#[test]
fn more_frames_are_chosen_from_evenly() {
    let root = tempfile::tempdir().unwrap();
    let picture = jpeg(&noise(32, 24, 7), 60).unwrap();
    let frames = (1..=1_000).map(|n| Line::Frame(Box::new(frame(n, &picture, Flag::Pass))));
    let lines: Vec<Line> = [head(1_000)].into_iter().chain(frames).chain([end(1_000)]).collect();
    let page = page(&written(root.path(), &metadata(), &picture, &lines));
    assert_eq!(page.matches("data:image/jpeg").count(), 400);
    assert!(
        page.contains("400 of 1000 frames, evenly chosen.") && page.contains("alt=\"Frame 998, passed\"")
    );
}

#[test]
fn what_strangers_wrote_is_shown_and_does_nothing() {
    let root = tempfile::tempdir().unwrap();
    let picture = jpeg(&noise(64, 48, 7), 60).unwrap();
    let mut hostile = metadata();
    for key in ["sample_id", "acq_id", "sample_project", HOSTILE] {
        hostile[key] = json!(HOSTILE);
    }
    hostile["object_lat"] = json!(HOSTILE);
    hostile["deep"] = json!({"deeper": [HOSTILE]});
    hostile["long"] = json!("x".repeat(3_000_000));
    let mut one = frame(1, &picture, Flag::Pass);
    one.time = Some(Time { source: HOSTILE.into(), utc: HOSTILE.into(), age_s: 0.0, error_s: None });
    let mut evil = frame(2, &picture, Flag::Fail);
    evil.file = format!("{}.jpg", HOSTILE.replace('/', "_"));
    let end = End { end: "failed".into(), reason: Some(HOSTILE.into()), frames: 2, planned: 2 };
    let folder =
        written(root.path(), &hostile, &picture, &[head(2), Line::Frame(Box::new(one)), Line::End(end)]);
    let text = fs::read_to_string(folder.join(RECORDS)).unwrap() + &line(&Line::Frame(Box::new(evil)));
    fs::write(folder.join(RECORDS), text).unwrap();
    let page = page(&folder);
    assert!(page.contains("&lt;script&gt;alert(1)"), "it is shown");
    for wrong in ["<script", "<img src=\"http", "\u{1b}", "<a ", "<link"] {
        assert!(!page.contains(wrong), "{wrong} in {page}");
    }
    // What is escaped has no quote: every address that a browser sees holds its picture itself.
    assert_eq!(page.matches("src=\"").count(), page.matches("src=\"data:image/jpeg;base64,").count());
    assert!(page.len() < 200_000, "{} bytes", page.len());
}

#[test]
fn what_is_odd_is_said_worst_first() {
    let root = tempfile::tempdir().unwrap();
    let picture = jpeg(&noise(64, 48, 7), 60).unwrap();
    let mut frames: Vec<Frame> = (1..=6).map(|n| frame(n, &picture, Flag::Pass)).collect();
    // Names an hour behind; too early; flagged; a fix that was lost; no fix; no time of its own.
    for frame in &mut frames {
        frame.time.as_mut().unwrap().utc = frame.time.as_ref().unwrap().utc.replace("T08", "T09");
    }
    frames[1].settled_ns = frames[1].exposure.from_ns + 1;
    frames[2].quality.as_mut().unwrap().flags.bubble = Flag::Fail;
    frames[3].fix.as_mut().unwrap().age_s = 400.0;
    frames[4].fix = None;
    frames[0].time = Some(Time { source: "unset".into(), utc: utc(0), age_s: 0.0, error_s: None });
    let event = Line::Event(Event::ClockStep { at_ns: 3_500_000_000, by_s: -3_600.0 });
    let mut lines: Vec<Line> = frames.into_iter().map(|frame| Line::Frame(Box::new(frame))).collect();
    lines.insert(3, event);
    lines.insert(0, head(9));
    let mut said = metadata();
    said["object_lat"] = json!(-90);
    said["object_lon"] = json!("0.0000");
    said["acq_nb_frame"] = json!(9);
    let page = page(&written(root.path(), &said, &picture, &lines));
    let odd = section(&page, "What is odd");
    for text in [
        "It has no end: it was cut off after 6 of 9 frames",
        "up to 60.0 minutes behind the gps time (frames 1–6)",
        "Exposed before everything had settled: frame 2.",
        "\"bubble\" (no bubble) failed in frame 3.",
        "in frame 4 it is up to 6.7 minutes old",
        "no fix yet in frame 5",
        "set back by 60.0 minutes before frame 4",
        "is no place but a placeholder",
    ] {
        assert!(odd.replace("&quot;", "\"").contains(text), "no {text:?} in {odd}");
    }
    let last_bad = odd.rfind("Bad: ").unwrap();
    assert!(last_bad < odd.find("Odd: ").unwrap(), "{odd}");
    assert!(
        section(&page, "When").contains("The time of frame 1 was told by the better clock of another frame")
    );
    assert!(page.contains("class=\"map\"") && !page.contains("NaN"));
}

#[test]
fn a_resumed_run_shows_its_gap() {
    let root = tempfile::tempdir().unwrap();
    let picture = jpeg(&noise(64, 48, 7), 60).unwrap();
    // After the resumption times count from its own anchor, ten minutes later.
    let mut later = frame(1, &picture, Flag::Pass);
    later.file = name(601);
    later.sha1 = crate::dataset::digest(&later.file, &picture);
    later.exposure.utc = utc(601);
    later.time.as_mut().unwrap().utc = utc(601);
    let resumed = Line::Resumed(Box::new(Resumed {
        resumed: 1,
        planktor_version: "0.1.0".into(),
        anchor: anchor("2026-11-23T08:10:00.000000Z", "network"),
        believed: None,
        camera: camera(),
        frames: 1,
        repaired: None,
    }));
    let first = Line::Frame(Box::new(frame(1, &picture, Flag::Pass)));
    let lines = [head(2), first, resumed, Line::Frame(Box::new(later)), end(2)];
    let page = page(&written(root.path(), &metadata(), &picture, &lines));
    let odd = section(&page, "What is odd");
    assert!(odd.contains("It was interrupted before frame 2 for 10.0 minutes, and resumed."), "{odd}");
    assert!(!odd.contains("names are wrong") && !odd.contains("settled"), "{odd}");
    assert!(
        section(&page, "When").contains("resumed, 1. time")
            && section(&page, "Water").contains("Pumped 12.0 µL")
    );
}

#[test]
fn half_a_data_set_has_a_page_too() {
    let root = tempfile::tempdir().unwrap();
    let picture = jpeg(&noise(64, 48, 7), 60).unwrap();
    let mut bare = frame(1, &picture, Flag::Pass);
    (bare.fix, bare.quality, bare.time, bare.motion, bare.light) = (None, None, None, None, None);
    let folder = written(root.path(), &json!({}), &picture, &[head(3), Line::Frame(Box::new(bare.clone()))]);
    let whole = page(&folder);
    assert!(
        section(&whole, "Where").contains("So there is no map.")
            && section(&whole, "Files").contains("Not valid.")
    );
    assert!(section(&whole, "What is odd").contains("Nobody knows when this was taken"));

    fs::write(folder.join(&bare.file), &picture[..picture.len() / 3]).unwrap();
    assert!(section(&page(&folder), "Frames").contains("it is no whole picture"), "{}", page(&folder));
    fs::remove_file(folder.join(METADATA)).unwrap();
    fs::write(folder.join(RECORDS), "{\"no\": \"record\"}\nnonsense\n{\"torn").unwrap();
    let damaged = section(&page(&folder), "Files");
    for text in [
        "metadata.json is missing",
        "line 1 of frames.jsonl cannot be read",
        "last line of frames.jsonl is torn",
        "is not recorded",
    ] {
        assert!(damaged.contains(text), "no {text:?} in {damaged}");
    }
    for entry in fs::read_dir(&folder).unwrap() {
        fs::remove_file(entry.unwrap().path()).unwrap();
    }
    assert!(section(&page(&folder), "Frames").contains("There are none."));
    assert!(report_page(&folder.join("none"), 1, &|_, _| {}).is_err());
}
