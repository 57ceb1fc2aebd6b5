//! What a frame's own file says of it, and what the judge makes of it.

use super::*;
use crate::dataset::quality::{Judge, look};
use crate::dataset::stamp::with_exif;
use exif::{In, Reader, Tag};
use planktor_actors::recording::{Look, Spot};
use planktor_protocol::quality::Flag::{self, Fail, NotEvaluated, Pass, Suspect};

// Exif

fn read(jpeg: &[u8]) -> exif::Exif {
    Reader::new().read_from_container(&mut std::io::Cursor::new(jpeg)).unwrap()
}

fn shown(exif: &exif::Exif, tag: Tag) -> Option<String> {
    exif.get_field(tag, In::PRIMARY).map(|field| field.display_value().with_unit(exif).to_string())
}

fn with(facts: Facts) -> exif::Exif {
    let instrument = Instrument { serial: Some("10000000abcd".into()), ..twin() };
    let plain = jpeg_of(&Gradient { width: 32, height: 24 }.image());
    read(&with_exif(&plain, &facts, at(1), &instrument).unwrap())
}

fn jpeg_of(image: &Image) -> Vec<u8> {
    encoder::jpeg(image, 95).unwrap()
}

#[test]
fn a_frame_says_itself_when_where_and_how_it_was_taken() {
    let exif = with(Facts { fix: Some(fix(-48_587_410_426, 179_999_999_999)), ..facts() });
    for (tag, value) in [
        (Tag::DateTimeOriginal, "2026-06-01 08:00:01"),
        (Tag::SubSecTimeOriginal, "\"000000\""),
        (Tag::OffsetTimeOriginal, "\"+00:00\""),
        (Tag::ExposureTime, "1/8000 s"),
        (Tag::PhotographicSensitivity, "150"),
        (Tag::BodySerialNumber, "\"10000000abcd\""),
        (Tag::GPSLatitude, "48 deg 35 min 14.67753 sec S"),
        (Tag::GPSLongitude, "180 deg 0 min 0 sec E"),
        (Tag::GPSDateStamp, "2026-06-01"),
        (Tag::GPSTimeStamp, "07:59:58"),
        (Tag::GPSStatus, "measurement in progress"),
    ] {
        assert_eq!(shown(&exif, tag).as_deref(), Some(value), "{tag}");
    }
}

#[test]
fn what_is_not_known_is_not_said() {
    let unset = Anchor { source: Source::Unset, ..begin().anchor };
    let exif = with(Facts { fix: Some(fix(0, 0)), time: Some(unset), mode: None, ..facts() });
    for tag in
        [Tag::DateTimeOriginal, Tag::OffsetTimeOriginal, Tag::ExposureTime, Tag::GPSLatitude, Tag::GPSStatus]
    {
        assert_eq!(shown(&exif, tag), None, "{tag}");
    }
    let old = Fix { at: at(1) - Duration::from_secs(3_600), ..fix(48_000_000_000, 1) };
    assert_eq!(
        shown(&with(Facts { fix: Some(old), ..facts() }), Tag::GPSStatus).unwrap(),
        "measurement interrupted"
    );
}

#[test]
fn a_camera_that_writes_exif_itself_is_not_believed() {
    let plain = jpeg_of(&Gradient { width: 32, height: 24 }.image());
    let instrument = Instrument { board: "other", ..twin() };
    let once = with_exif(&plain, &facts(), at(2), &instrument).unwrap();
    let twice = with_exif(&once, &facts(), at(1), &Instrument { board: "twin", ..instrument }).unwrap();
    assert_eq!(shown(&read(&twice), Tag::Model).unwrap(), "\"twin\"");
    assert_eq!(twice.windows(6).filter(|bytes| *bytes == b"Exif\0\0").count(), 1);
    assert_eq!(twice.len(), with_exif(&plain, &facts(), at(1), &twin()).unwrap().len());
}

/// Exiftool reads Exif as most of the world does.
#[test]
fn exiftool_agrees() {
    let folder = tempfile::tempdir().unwrap();
    let root = tempfile::tempdir().unwrap();
    let file = folder.path().join("frame.jpg");
    let facts = Facts { fix: Some(fix(-48_587_410_426, -3_838_354_236)), ..facts() };
    let plain = jpeg_of(&Gradient { width: 32, height: 24 }.image());
    let instrument = Instrument { serial: Some("10000000abcd".into()), ..twin() };
    fs::write(&file, with_exif(&plain, &facts, at(1), &instrument).unwrap()).unwrap();
    let output = std::process::Command::new("exiftool")
        .args(["-json", "-n", "-a", "-all", "-validate", "-warning"])
        .arg(&file)
        .current_dir(root.path())
        .output()
        .expect("exiftool is installed (package libimage-exiftool-perl)");
    let said: Value = serde_json::from_slice(&output.stdout).unwrap();
    let said = &said[0];
    assert_eq!(said["SubSecDateTimeOriginal"], "2026:06:01 08:00:01.000000+00:00", "{said:#}");
    assert_eq!(said["GPSDateTime"], "2026:06:01 07:59:58Z");
    let degrees = |key: &str| said[key].as_f64().unwrap();
    assert!((degrees("GPSLatitude") + 48.587_410_426).abs() < 3e-9, "{said:#}");
    assert!((degrees("GPSLongitude") + 3.838_354_236).abs() < 3e-9, "{said:#}");
    assert_eq!((degrees("ExposureTime"), degrees("ISO")), (0.000_125, 150.0));
    assert_eq!(said["SerialNumber"].to_string().trim_matches('"'), "10000000abcd");
    assert_eq!(said["Validate"], "0 0 0", "no errors and no warnings: {said:#}");
}

// Judged

fn scene(spots: &[(u32, u32, u32)], background: u8) -> Image {
    let (width, height) = (400, 300);
    let inside = |x: u32, y: u32| {
        spots.iter().any(|(a, b, r)| x.abs_diff(*a).pow(2) + y.abs_diff(*b).pow(2) <= r.pow(2))
    };
    let rgb = (0..width * height)
        .flat_map(|n| [if inside(n % width, n / width) { 40 } else { background }; 3])
        .collect();
    Image { width, height, rgb }
}

fn judged(
    judge: &mut Judge,
    pumped_ul: i64,
    look: Look,
) -> (planktor_protocol::quality::Quality, Option<String>) {
    let facts = Facts { pumped: Nanolitres(pumped_ul * 1_000), ..facts() };
    judge.judge(&Picture { look: Some(look), facts, ..*picture(0) }).unwrap()
}

fn usual(n: u32) -> Look {
    look(&scene(&[(50 + 13 * n % 300, 60, 5), (200, 100 + 17 * n % 150, 8)], 180))
}

#[test]
fn particles_are_found_where_they_are() {
    let found = look(&scene(&[(100, 50, 6), (300, 200, 10), (201, 140, 1)], 180));
    let places: Vec<_> = found.spots.iter().map(|spot| (spot.x.div_ceil(8), spot.y.div_ceil(8))).collect();
    assert_eq!(places, [(300, 200), (100, 50), (201, 140)], "the largest first");
    assert_eq!(found.spots[2].pixels, 5);
    assert_eq!((found.bubble, found.saturated), (0, 0));
    assert!(look(&scene(&[], 180)).spots.is_empty());
}

#[test]
fn a_ring_is_a_bubble_and_a_cell_is_none() {
    let mut ring = scene(&[(200, 150, 30)], 180);
    let bright = scene(&[(200, 150, 18)], 180);
    for (pixel, inner) in ring.rgb.iter_mut().zip(&bright.rgb) {
        if *inner == 40 {
            *pixel = 180;
        }
    }
    assert_eq!(look(&ring).bubble, 61 * 1_000_000 / 300);
    assert_eq!(look(&scene(&[(200, 150, 30)], 180)).bubble, 0, "full in its middle");
    let flags = judged(&mut Judge::default(), 1, look(&ring)).0.flags;
    assert_eq!((flags.bubble, flags.worst()), (Suspect, Suspect));
}

#[test]
fn usual_frames_pass_every_test() {
    let mut judge = Judge::default();
    let first = judged(&mut judge, 1, usual(0)).0;
    assert_eq!((first.flags.worst(), first.flags.stuck, first.stuck), (Pass, NotEvaluated, None));
    for n in 1..12 {
        let (quality, warning) = judged(&mut judge, i64::from(n) + 1, usual(n));
        assert_eq!((quality.flags.worst(), warning, quality.stuck), (Pass, None, Some(0)), "{n}");
    }
}

#[test]
fn what_stands_where_it_stood_is_stuck_but_only_after_a_stroke() {
    let mut judge = Judge::default();
    let with_dust = |n: u32| look(&scene(&[(50 + 13 * n, 60, 5), (200, 200, 8)], 180));
    judged(&mut judge, 1, with_dust(0));
    let another_plane = judged(&mut judge, 1, with_dust(1)).0;
    assert_eq!((another_plane.stuck, another_plane.flags.stuck), (None, NotEvaluated));
    let next = judged(&mut judge, 2, with_dust(2)).0;
    assert_eq!((next.stuck, next.flags.stuck), (Some(1), Suspect), "one of two");
    let not_flushed = judged(&mut judge, 3, with_dust(2)).0;
    assert_eq!((not_flushed.stuck, not_flushed.flags.stuck), (Some(2), Fail));
}

#[test]
fn each_test_has_its_threshold() {
    let flag = |change: fn(&mut Look), of: fn(&planktor_protocol::quality::Flags) -> Flag| {
        let mut look = usual(0);
        change(&mut look);
        of(&judged(&mut Judge::default(), 1, look).0.flags)
    };
    assert_eq!(flag(|look| look.brightness = 199_999, |flags| flags.brightness), Suspect);
    assert_eq!(flag(|look| look.brightness = 200_000, |flags| flags.brightness), Pass);
    assert_eq!(flag(|look| look.brightness = 49_999, |flags| flags.brightness), Fail);
    assert_eq!(flag(|look| look.brightness = 950_001, |flags| flags.brightness), Suspect);
    assert_eq!(flag(|look| look.saturated = 10_000, |flags| flags.saturation), Pass);
    assert_eq!(flag(|look| look.saturated = 10_001, |flags| flags.saturation), Suspect);
    assert_eq!(flag(|look| look.saturated = 200_001, |flags| flags.saturation), Fail);
    assert_eq!(flag(|look| look.bubble = 50_001, |flags| flags.bubble), Suspect);
    assert_eq!(flag(|look| look.spots.clear(), |flags| flags.empty), Suspect);
    assert_eq!(flag(|look| look.spots = vec![Spot { x: 1, y: 1, pixels: 4 }], |flags| flags.empty), Pass);
    let mut judge = Judge::default();
    judged(&mut judge, 1, usual(1));
    assert_eq!(judged(&mut judge, 2, usual(1)).0.flags.identical, Fail);
}

#[test]
fn a_drift_is_told_with_its_figure_and_a_single_odd_frame_is_not() {
    let mut judge = Judge::default();
    for n in 0..15 {
        judged(&mut judge, n, usual(u32::try_from(n).unwrap()));
    }
    let bright = usual(0).brightness;
    let (odd, warning) = judged(&mut judge, 16, Look { brightness: bright * 7 / 10, ..usual(16) });
    assert_eq!((odd.flags.brightness_drift, warning), (Pass, None));
    let dimmer =
        |n: u32| Look { brightness: bright * 85 / 100, sharpness: usual(n).sharpness / 20, ..usual(n) };
    let told: Vec<_> = (17..32).map(|n| judged(&mut judge, i64::from(n), dimmer(n))).collect();
    let (quality, warning) = told.last().unwrap();
    assert_eq!((quality.flags.brightness_drift, quality.flags.sharpness_drift), (Suspect, Fail));
    let warning = warning.as_ref().unwrap();
    assert!(warning.starts_with("brightness is 8") && warning.contains("sharpness is"), "{warning}");
}
