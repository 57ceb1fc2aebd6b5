//! What must be true of a page, whatever the data set is.

use super::*;
use crate::dataset::encoder::jpeg;
use crate::dataset::made::{anchor, camera, end, frame, head, metadata, name, noise, picture, utc, written};
use crate::dataset::quality::Flag;
use crate::dataset::records::{End, Event, Frame, Line, Resumed, line};
use crate::dataset::whence::Time;
use crate::dataset::{METADATA, RECORDS};
use serde_json::json;
use std::fs;

const HOSTILE: &str = "</td><script>alert(1)</script><img src=\"http://evil.example/x\" onerror='x'>\u{1b}]";

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
    let picture = picture();
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
    let end = End { end: "failed".into(), reason: Some(HOSTILE.into()), frames: 2, planned: 2, timing: None };
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
    let picture = picture();
    let mut frames: Vec<Frame> = (1..=6).map(|n| frame(n, &picture, Flag::Pass)).collect();
    // Names an hour behind; too early; flagged; a fix that was lost; no fix; no time of its own.
    for frame in &mut frames {
        frame.time.as_mut().unwrap().utc = frame.time.as_ref().unwrap().utc.replace("T08", "T09");
    }
    frames[1].settled_ns = frames[1].exposure.from_ns + 1;
    frames[2].quality.as_mut().unwrap().flags.bubble = Flag::Fail;
    frames[3].fix.as_mut().unwrap().age_s = 400.0;
    frames[3].fix.as_mut().unwrap().stale = true;
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
    let picture = picture();
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
    let picture = picture();
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
