//! Data sets made by hand, line by line, for the tests of what reads them.

use super::encoder::jpeg;
use super::quality::{Flag, Flags, Limits, Quality, Test};
use super::records::{Camera, End, Exposure, Frame, Head, Line, Span, line};
use super::whence::{Moment, Position, Time};
use super::{INTEGRITY, METADATA, RECORDS};
use planktor_protocol::camera::Image;
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};

/// A picture that nothing makes small.
pub(super) fn noise(width: u32, height: u32, seed: u32) -> Image {
    let mut state = seed;
    let next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state.to_be_bytes()[0]
    };
    Image { width, height, rgb: std::iter::repeat_with(next).take((width * height * 3) as usize).collect() }
}

/// How it was taken.
pub(super) fn camera() -> Camera {
    Camera {
        width: 640,
        height: 480,
        iso: 150,
        gain: 3.5,
        cadence_ns: 100_000_000,
        exposure_ns: 125_000,
        auto_balance: None,
        red_gain: None,
        blue_gain: None,
    }
}

/// At this time, known from there.
pub(super) fn anchor(utc: &str, source: &str) -> Moment {
    Moment { utc: utc.into(), monotonic_ns: 5, source: source.into(), error_s: Some(0.01) }
}

/// A first line.
pub(super) fn head(planned: u32) -> Line {
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

/// The frame's file, n seconds after eight.
pub(super) fn name(n: i64) -> String {
    planktor_protocol::Utc::parse("2026-11-23T08:00:00Z")
        .unwrap()
        .checked_add(std::time::Duration::from_secs(n.unsigned_abs()))
        .unwrap()
        .file_stem()
        + ".jpg"
}

/// The time then.
pub(super) fn utc(n: i64) -> String {
    format!("2026-11-23T08:{:02}:{:02}.000000Z", n / 60 % 60, n % 60)
}

/// A frame in which everything is right, but for this flag.
pub(super) fn frame(n: i64, bytes: &[u8], worst: Flag) -> Frame {
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
        sha1: super::digest(&name(n), bytes),
        seq: n.unsigned_abs(),
        exposure: Exposure { utc: utc(n), from_ns: from, to_ns: from + 90_000_000 },
        motion: Some(Span { from_ns: from - 900_000_000, to_ns: from - 600_000_000 }),
        settled_ns: from - 100_000_000,
        pumped_nl: n * 6_000,
        height_um: 0,
        height_uncertain: false,
        light: Some(0.5),
        pulse: None,
        flow: None,
        fix: Some(Position {
            age_s: 1.0,
            ..serde_json::from_value(json!({"latitude": -16.5, "longitude": 179.99 + 0.001 * n as f64,
                "altitude_m": null, "error_m": 4.0, "time": null, "age_s": 0.0}))
            .unwrap()
        }),
        time: Some(Time { source: "gps".into(), utc: utc(n), age_s: 0.0, error_s: Some(0.01) }),
        moved_um: Some(0.02),
        pump_clock: None,
        focus_clock: None,
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

/// A last line.
pub(super) fn end(frames: u64) -> Line {
    Line::End(End {
        end: "complete".into(),
        reason: None,
        frames,
        planned: u32::try_from(frames).unwrap(),
        timing: None,
    })
}

/// A data set of these lines; each frame's file is this picture.
pub(super) fn written(root: &Path, metadata: &Value, picture: &[u8], lines: &[Line]) -> PathBuf {
    let folder = root.join("set");
    fs::create_dir(&folder).unwrap();
    let metadata = metadata.to_string();
    fs::write(folder.join(METADATA), &metadata).unwrap();
    let mut listed = super::INTEGRITY_HEAD.to_owned();
    listed += &super::integrity_line(METADATA, metadata.len(), &super::digest(METADATA, metadata.as_bytes()));
    for line in lines {
        if let Line::Frame(frame) = line {
            fs::write(folder.join(&frame.file), picture).unwrap();
            listed += &super::integrity_line(&frame.file, picture.len(), &frame.sha1);
        }
    }
    fs::write(folder.join(INTEGRITY), listed).unwrap();
    fs::write(folder.join(RECORDS), lines.iter().map(line).collect::<String>()).unwrap();
    folder
}

/// All that a report needs.
pub(super) fn metadata() -> Value {
    json!({"sample_id": "s", "acq_id": "a", "object_date": "2026-11-23", "object_lat": "-16.5", "object_lon": 179.9,
        "acq_nb_frame": 3, "acq_camera_resolution": "640x480", "process_pixel": 0.75, "acq_celltype": 300,
        "planktor_board": "hat"})
}

/// A frame's file.
pub(super) fn picture() -> Vec<u8> {
    jpeg(&noise(64, 48, 7), 60).unwrap()
}
