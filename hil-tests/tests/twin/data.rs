//! Data that can be trusted: what was cut off goes on, what cannot fit is refused, a full disk ends a run in order, and
//! what a frame is worth is told while it can still be mended. In virtual time.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

use planktor_hil_tests::{
    Played, Scenario, Script, dashboard, light_on, message, record, shut_down, update_config,
};
use planktor_runtime::dataset::{self, Early, Verdict};
use planktor_runtime::mqtt::Message;
use planktor_sim::Parameters;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn stop() -> Message {
    message("imager/image", &json!({"action": "stop"}))
}

fn resume(acq_id: &str) -> Message {
    message("planktor/resume", &json!({"data_set": format!("2026-06-01/sample_1/{acq_id}"), "id": "again"}))
}

fn frames(folder: &Path) -> Vec<Value> {
    record(folder).into_iter().filter(|line| line["file"].is_string()).collect()
}

#[track_caller]
fn assert_complete(folder: &Path, frames: u64) {
    let report = dataset::verify(folder);
    assert_eq!((report.verdict.clone(), report.frames), (Verdict::Complete, frames), "{report}");
}

/// The first answer of a topic's refusals and failures.
fn reason(played: &Played, topic: &str) -> String {
    let reasons = played.seen.iter().filter(|seen| seen.topic == topic);
    reasons.filter_map(|seen| seen.payload["reason"].as_str()).next_back().unwrap_or_default().to_owned()
}

#[test]
fn a_stopped_acquisition_goes_on_with_its_numbers_its_ids_and_its_water() {
    let mut script = dashboard("go on", 8);
    script.extend([(ms(5_000), stop()), (ms(7_000), resume("go_on"))]);
    let played = Scenario::new(script, ms(60_000)).until("status/imager", "Done").play();
    let statuses = played.statuses("status/imager");
    let saved: Vec<_> = statuses.iter().filter_map(|status| status.strip_prefix("Image ")).collect();
    let numbers: Vec<_> = saved.iter().map(|status| status.split('/').next().unwrap()).collect();
    assert_eq!(numbers, ["1", "2", "3", "4", "5", "6", "7", "8"], "{statuses:?}");
    assert_eq!(played.data_sets().len(), 1);
    assert_complete(&played.data_sets()[0], 8);
    assert!(played.twin.world().truths().all(|truth| !truth.in_motion()));
    let files: BTreeSet<_> =
        frames(&played.data_sets()[0]).iter().map(|frame| frame["file"].to_string()).collect();
    assert_eq!(files.len(), 8);
    let answer = played.seen.iter().find(|seen| seen.is("status/imager", "Done")).unwrap();
    assert_eq!(answer.payload["id"], "again");
}

/// The program ends in the middle; another one begins with a clock that stands at the same time again.
#[test]
fn after_a_restart_an_acquisition_goes_on_to_its_end() {
    let root = tempfile::tempdir().unwrap();
    let play = |script: Script| {
        let mut scenario = Scenario::new(script, ms(60_000)).until("status/imager", "Done");
        scenario.data = Some(root.path().into());
        scenario.play()
    };
    let mut first = dashboard("restart", 6);
    first.push((ms(4_000), shut_down()));
    let cut = play(first).data_sets();
    assert_eq!(dataset::verify(&cut[0]).verdict, Verdict::Early(Early::Stopped));
    let before = frames(&cut[0]);
    let second = play(vec![(ms(100), light_on()), (ms(1_000), resume("restart"))]);
    assert_complete(&cut[0], 6);
    let after = frames(&cut[0]);
    assert_eq!(after[..before.len()], before, "what was there is as it was");
    let names: Vec<_> = after.iter().map(|frame| frame["file"].as_str().unwrap().to_owned()).collect();
    assert!(names.is_sorted(), "{names:?}");
    let resumed = record(&cut[0]).into_iter().find(|line| line["resumed"].is_u64()).unwrap();
    assert!(resumed["believed"]["utc"].as_str().unwrap() < resumed["anchor"]["utc"].as_str().unwrap());
    assert_eq!(second.count("status/imager", "Started"), 1);
}

#[test]
fn what_cannot_go_on_is_refused_with_a_reason_and_nothing_moves() {
    let focus = json!({"plan": [{"step": "repeat", "times": 4, "steps": [
        {"step": "pump", "volume_ul": 6, "flow_ml_per_min": 3}, {"step": "focus_to", "um": 40}, {"step": "capture"},
        {"step": "focus_to", "um": 0}, {"step": "write"}]}]});
    let mut script = dashboard("whole", 1);
    script.extend([
        (ms(4_000), resume("whole")),
        (ms(4_100), resume("never")),
        (ms(4_200), message("planktor/resume", &json!({"data_set": "../../etc"}))),
        (ms(4_300), message("planktor/resume", &json!({"data_set": 5}))),
        (ms(4_400), update_config("stack", 4)),
        (ms(4_400), message("planktor/acquire", &focus)),
        (ms(6_000), stop()),
        (ms(8_000), resume("stack")),
    ]);
    let played = Scenario::new(script, ms(60_000)).play();
    let refusals: Vec<_> = played
        .seen
        .iter()
        .filter(|seen| seen.topic == "status/imager")
        .filter_map(|seen| seen.payload["reason"].as_str())
        .collect();
    let [whole, never, outside, number] = &refusals[..] else { panic!("{refusals:#?}") };
    assert!(whole.contains("it is complete"), "{whole}");
    assert!(never.contains("there is no data set 2026-06-01/sample_1/never"), "{never}");
    assert!(outside.contains("there is no data set ../../etc"), "{outside}");
    assert!(number.contains("data_set") && number.contains("expected"), "{number}");
    // Since the same start it is known where the stage stands.
    let stack = played.data_sets().into_iter().find(|folder| folder.ends_with("stack")).unwrap();
    assert_complete(&stack, 4);
    let heights: Vec<_> = frames(&stack).iter().map(|frame| frame["height_um"].as_i64().unwrap()).collect();
    assert!(heights.iter().all(|height| (39..=41).contains(height)), "{heights:?}");
}

#[test]
fn a_run_that_cannot_fit_is_refused_with_the_figures() {
    let full = json!({"what": "disk-full", "for_s": 2.0});
    let mut script = dashboard("too long", 900);
    script.extend([(ms(3_000), update_config("short", 2)), (ms(3_100), planktor_hil_tests::image(2))]);
    let played = Scenario::new(script, ms(60_000)).fault(&full).until("status/imager", "Done").play();
    let why = reason(&played, "status/imager");
    assert!(why.starts_with("900 frames of about 0.0 MB need 2.1 MB; 0.0 MB are free"), "{why}");
    assert!(why.contains("100.0 MB are to stay free; move data away, or take fewer frames"), "{why}");
    assert_complete(&played.data_sets()[0], 2);
    assert_eq!(played.data_sets().len(), 1, "nothing was begun of the other");
}

/// Somebody else fills the disk meanwhile.
#[test]
fn a_disk_that_fills_up_ends_the_run_in_order_and_it_goes_on_when_there_is_room() {
    let full = json!({"what": "disk-full", "when": {"at_s": 5.0}, "for_s": 10.0});
    let mut script = dashboard("full", 8);
    script.push((ms(20_000), resume("full")));
    let played = Scenario::new(script, ms(60_000)).fault(&full).until("status/imager", "Done").play();
    let why = reason(&played, "status/imager");
    assert!(why.contains("the disk is full: 0 MB are free, and 100 MB are kept free"), "{why}");
    let folder = &played.data_sets()[0];
    assert_complete(folder, 8);
    assert!(frames(folder).iter().all(|frame| frame["quality"]["flags"]["identical"] != 4));
}

// What frames are worth

fn played_with(parameters: Parameters, frames: u32) -> Played {
    let scenario = Scenario::new(dashboard("worth", frames), ms(90_000)).until("status/imager", "Done");
    Scenario { parameters, frame: (1014, 760), ..scenario }.play()
}

fn figure(played: &Played, figure: &str) -> Vec<f64> {
    let folder = &played.data_sets()[0];
    frames(folder).iter().map(|frame| frame["quality"][figure].as_f64().unwrap_or(f64::NAN)).collect()
}

fn flags(played: &Played, test: &str) -> Vec<u64> {
    frames(&played.data_sets()[0])
        .iter()
        .map(|frame| frame["quality"]["flags"][test].as_u64().unwrap())
        .collect()
}

/// Clean water with few particles: every test passes, and every frame is told.
#[test]
fn good_frames_pass() {
    let clean = Parameters { stuck_part: 0.0, bubbles_per_ul: 0.0, ..Parameters::default() };
    let played = played_with(clean, 12);
    let told = played.seen.iter().filter(|seen| seen.topic == "planktor/status/quality");
    assert_eq!(told.clone().filter(|seen| seen.payload["warning"].is_null()).count(), 12);
    assert_eq!(flags(&played, "all"), [1; 12]);
}

/// As many as the twin has glued to the glass within sight.
#[test]
fn what_sticks_to_the_glass_is_found() {
    let clean = Parameters { bubbles_per_ul: 0.0, particles_per_ul: 20.0, ..Parameters::default() };
    for (stuck_part, right) in [(0.0, 1..=1), (0.2, 3..=4)] {
        let played = played_with(Parameters { stuck_part, ..clean }, 6);
        assert!(
            flags(&played, "stuck")[1..].iter().all(|found| right.contains(found)),
            "{stuck_part}: {:?}",
            flags(&played, "stuck")
        );
    }
}

/// Water that is not exchanged is photographed again.
#[test]
fn a_stroke_that_does_not_flush_is_found() {
    let slips = json!({"what": {"motor-slipping": {"of": "pump", "lost": 1.0}}});
    let mut scenario =
        Scenario::new(dashboard("worth", 4), ms(90_000)).until("status/imager", "Done").fault(&slips);
    scenario.frame = (1014, 760);
    scenario.parameters.sinking_um_per_s = 0.0;
    scenario.parameters.water_drift_um_per_s = 0.0;
    let played = scenario.play();
    assert_eq!(flags(&played, "stuck"), [2, 4, 4, 4]);
}

#[test]
fn bubbles_and_their_absence_are_found() {
    let none = played_with(Parameters { bubbles_per_ul: 0.0, ..Parameters::default() }, 8);
    assert!(figure(&none, "bubble").iter().all(|diameter| *diameter == 0.0));
    let many = played_with(Parameters { bubbles_per_ul: 5.0, ..Parameters::default() }, 8);
    assert!(figure(&many, "bubble").iter().filter(|diameter| **diameter > 0.02).count() >= 4);
}

/// A lamp that gives less and less, as happened on a real cruise, unnoticed for two weeks.
#[test]
fn a_lamp_that_gets_weak_is_told_while_the_run_goes_on() {
    let hot = json!({"what": "lamp-hot", "when": {"at_s": 18.0}});
    let mut scenario =
        Scenario::new(dashboard("worth", 32), ms(90_000)).until("status/imager", "Done").fault(&hot);
    scenario.frame = (1014, 760);
    let played = scenario.play();
    let warned: Vec<_> = played
        .seen
        .iter()
        .filter(|seen| seen.topic == "planktor/status/quality")
        .filter_map(|seen| seen.payload["warning"].as_str())
        .collect();
    assert!(warned.len() >= 5 && warned[0].contains("check lamp"), "{warned:?}");
    assert!(flags(&played, "brightness_drift").iter().any(|flag| *flag >= 3));
}

#[test]
fn darkness_is_found() {
    let mut script = dashboard("worth", 3);
    script.remove(0);
    let mut scenario = Scenario::new(script, ms(90_000)).until("status/imager", "Done");
    scenario.frame = (1014, 760);
    let played = scenario.play();
    assert_eq!(flags(&played, "brightness"), [4; 3]);
    assert_eq!(flags(&played, "all"), [4; 3]);
}

/// Each fault of the disk at each instant of a run: what is there is right, and the next acquisition works.
#[test]
fn whenever_a_disk_fails_what_was_kept_is_right_and_the_next_acquisition_works() {
    for what in [
        json!("disk-full"),
        json!("disk-read-only"),
        json!("disk-fails"),
        json!({"disk-slow": {"times": 50.0}}),
    ] {
        for at in (1_150..4_500).step_by(67) {
            let fault = json!({"what": what, "when": {"at_s": f64::from(at) / 1e3}, "for_s": 4.0});
            let mut script = dashboard("first", 3);
            script.extend([
                (ms(90_000), update_config("after", 1)),
                (ms(90_100), planktor_hil_tests::image(1)),
            ]);
            let played = Scenario::new(script, ms(120_000)).fault(&fault).play();
            let saved: Vec<PathBuf> = played
                .seen
                .iter()
                .filter(|seen| seen.payload["type"] == "progress")
                .map(|seen| seen.payload["path"].as_str().unwrap().into())
                .collect();
            assert!(saved.iter().all(|path| path.is_file()), "{what} at {at} ms");
            for folder in played.data_sets() {
                let report = dataset::verify(&folder);
                let right = report.is_valid() || report.verdict == Verdict::NotBegun;
                assert!(right, "{what} at {at} ms: {report}");
            }
            let after = played.data_sets().into_iter().find(|folder| folder.ends_with("after")).unwrap();
            assert_complete(&after, 1);
        }
    }
}
