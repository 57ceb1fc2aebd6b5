//! Who looks through the camera sees its frames, and an acquisition does not notice.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

use crossbeam_channel::Receiver;
use planktor_hil_tests::{Played, Scenario, dashboard, files, message};
use planktor_protocol::camera::Frame;
use planktor_protocol::{Instant, Interval};
use planktor_runtime::mqtt::Message;
use serde_json::json;
use std::time::Duration;

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn at(ms: u64) -> Instant {
    Instant::ZERO + Duration::from_millis(ms)
}

fn watch(seconds: u32) -> Message {
    message("planktor/preview", &json!({"action": "watch", "seconds": seconds}))
}

/// With somebody at the viewfinder who takes every frame.
fn watched(scenario: Scenario) -> (Played, Vec<Frame>) {
    let (show, frames): (_, Receiver<Frame>) = crossbeam_channel::bounded(10_000);
    let played = Scenario { viewfinder: show.into(), ..scenario }.play();
    (played, frames.try_iter().collect())
}

fn within(frames: &[Frame], from: u64, to: u64) -> usize {
    let time = Interval { from: at(from), to: at(to) };
    frames.iter().filter(|frame| frame.interval.overlaps(time)).count()
}

#[test]
fn every_frame_is_shown_while_somebody_looks_and_none_before_or_after() {
    let script = vec![(ms(1_000), watch(5)), (ms(4_000), watch(5))];
    let (played, frames) = watched(Scenario::new(script, ms(20_000)));
    assert_eq!(played.statuses("planktor/status/preview"), ["On", "On", "Off"]);
    let off = played.seen.iter().find(|seen| seen.is("planktor/status/preview", "Off")).unwrap();
    assert_eq!(off.at, at(9_000), "the second look lasts until then");
    assert!(frames.windows(2).all(|pair| pair[1].seq == pair[0].seq + 1), "none is left out");
    let cadence = ms(100).as_secs_f64();
    let expected = (9.0 - 1.0 - planktor_sim::Parameters::default().camera_start_s) / cadence;
    assert!((frames.len() as f64 - expected).abs() <= 2.0, "{} frames, expected {expected}", frames.len());
    assert_eq!(within(&frames, 9_100, 20_000), 0);
}

#[test]
fn nobody_looks_any_more_when_that_is_said() {
    let script = vec![(ms(1_000), watch(60)), (ms(4_000), watch(0))];
    let (played, frames) = watched(Scenario::new(script, ms(20_000)));
    assert_eq!(played.statuses("planktor/status/preview"), ["On", "Off"]);
    assert!(within(&frames, 1_000, 4_000) > 10 && within(&frames, 4_100, 20_000) == 0);
}

/// The same acquisition with and without somebody who looks: the same bytes.
#[test]
fn an_acquisition_does_not_notice_who_looks() {
    let play = |looks: bool| {
        let mut script = dashboard("a", 6);
        if looks {
            // The camera streams already: whoever comes before it would move the stream's phase.
            script.extend([(ms(3_000), watch(60)), (ms(4_500), watch(60))]);
        }
        let folder = tempfile::tempdir().unwrap();
        let scenario =
            Scenario { data: Some(folder.path().join("data")), ..Scenario::new(script, ms(30_000)) };
        let (played, frames) = watched(scenario);
        let bytes = files(&folder.path().join("data"));
        (played, frames, bytes, folder)
    };
    let (alone, none, bytes, _a) = play(false);
    let (looked_at, shown, same_bytes, _b) = play(true);
    assert_eq!((alone.count("status/imager", "Done"), none.len()), (1, 0));
    assert_eq!(bytes.len(), same_bytes.len());
    for ((name, content), (other_name, other)) in bytes.iter().zip(&same_bytes) {
        assert!(name == other_name && content == other, "{} differs", name.display());
    }
    let times = |played: &Played| {
        let imager =
            played.seen.iter().filter(|seen| seen.topic == "status/imager" || seen.topic == "status/pump");
        imager.map(|seen| (seen.at, seen.status().to_owned())).collect::<Vec<_>>()
    };
    assert_eq!(times(&alone), times(&looked_at));
    let end = looked_at.seen.iter().find(|seen| seen.is("status/imager", "Done")).unwrap().at;
    let during = shown.iter().filter(|frame| frame.interval.to < end).count();
    assert!((4..=5).contains(&during), "of the run its own frames are shown and no others: {during}");
    assert!(shown.len() - during > 50, "and all of them afterwards");
}

#[test]
fn an_acquisition_while_somebody_looks_has_all_its_frames_and_none_in_motion() {
    let mut script = dashboard("a", 6);
    script.insert(0, (ms(200), watch(60)));
    let (played, frames) = watched(Scenario::new(script, ms(30_000)));
    assert_eq!(played.count("status/imager", "Done"), 1);
    let records: Vec<_> =
        played.files().into_iter().filter(|(name, _)| name.ends_with("frames.jsonl")).collect();
    let text = String::from_utf8(records[0].1.clone()).unwrap();
    let frames_of = text.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    let own: Vec<_> = frames_of.filter(|line| line["file"].is_string()).collect();
    assert_eq!(own.len(), 6);
    for line in &own {
        assert!(line["exposure"]["from_ns"].as_i64() >= line["settled_ns"].as_i64(), "{line}");
        assert!(frames.iter().any(|frame| Some(frame.seq) == line["seq"].as_u64()), "it was shown: {line}");
    }
    assert!(within(&frames, 400, 1_100) >= 3 && within(&frames, 20_000, 29_000) > 50);
}

#[test]
fn a_camera_that_was_away_is_looked_through_again() {
    let silent = json!({"what": "camera-silent", "when": {"at_s": 3}, "for_s": 6});
    let scenario = Scenario::new(vec![(ms(1_000), watch(60))], ms(20_000)).fault(&silent);
    let (played, frames) = watched(scenario);
    let health = "planktor/status/device/camera";
    assert!(
        played.seen.iter().any(|seen| seen.topic == health && seen.payload["health"] == "lost"),
        "{:?}",
        played.statuses(health)
    );
    assert!(within(&frames, 1_500, 2_900) > 10 && within(&frames, 3_100, 8_500) == 0);
    assert!(within(&frames, 12_000, 19_000) > 50);
}

#[test]
fn frames_that_come_late_or_not_at_all_are_still_shown() {
    for fault in [json!({"frames-late": {"by_ms": 150}}), json!("frames-lost")] {
        let fault = json!({ "what": fault, "when": {"at_s": 0} });
        let (_, frames) = watched(Scenario::new(vec![(ms(1_000), watch(60))], ms(20_000)).fault(&fault));
        assert!(within(&frames, 1_500, 19_000) > 80, "{fault}: {} frames", frames.len());
    }
}

#[test]
fn what_the_instrument_knows_of_itself_is_told_when_asked() {
    let ask = message("planktor/health", &json!({"action": "get"}));
    let up = json!({"action": "move", "direction": "UP", "distance": 0.1});
    let script = vec![(ms(100), message("actuator/focus", &up)), (ms(5_000), ask.clone())];
    let played = Scenario::new(script, ms(6_000)).play();
    let told = &played.seen.iter().find(|seen| seen.topic == "planktor/status/health").unwrap().payload;
    assert_eq!(told["clock"]["source"], "gps");
    assert!(told["clock"]["utc"].as_str().unwrap().starts_with("2026-06-01T08:00:05"));
    assert!((told["position"]["latitude"].as_f64().unwrap() - 48.7273).abs() < 1e-6);
    assert_eq!(told["stage"], json!({"height_um": 100, "uncertain": false}));
    assert_eq!(told["light"], 0.0);

    let dark = json!({"what": "no-fix"});
    let played = Scenario::new(vec![(ms(5_000), ask)], ms(6_000)).fault(&dark).play();
    let told = &played.seen.iter().find(|seen| seen.topic == "planktor/status/health").unwrap().payload;
    assert!(told.get("position").is_none(), "no fix is no position: {told}");
}
