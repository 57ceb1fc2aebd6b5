//! When and where: what data sets say of time and place, whatever becomes of the clocks and the receiver.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

use planktor_actors::alarm::Alarms;
use planktor_drivers::devices::position::PositionSource;
use planktor_drivers::gpsd;
use planktor_hil_tests::{Played, Scenario, began, dashboard, message, record, shut_down};
use planktor_protocol::Utc;
use planktor_protocol::position::Fix;
use planktor_protocol::timekeeping::NOT_BEFORE;
use planktor_sim::{Parameters, RtcChip};
use serde_json::{Value, json};
use std::path::Path;
use std::time::Duration;

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// Before anything that is believed.
fn in_2019() -> Parameters {
    let wrong = Utc::parse("2019-02-14T08:00:00Z").unwrap().micros() - began().micros();
    Parameters { clock_error_s: wrong as f64 / 1e6, ..Parameters::default() }
}

/// So many frames, about one a second, from 1.2 s on.
fn frames(count: u32) -> Scenario {
    Scenario::new(dashboard("acq", count), ms(60_000)).until("status/imager", "Done")
}

fn at_s(what: &Value, at_s: f64) -> Value {
    json!({"what": what, "when": {"at_s": at_s}})
}

fn blind(scenario: Scenario) -> Scenario {
    scenario.fault(&json!({"what": "no-fix"}))
}

/// The records of the only data set: its frames, and what happened beside them.
fn records(played: &Played) -> (Vec<Value>, Vec<Value>) {
    let [folder] = &played.data_sets()[..] else { panic!("{:?}", played.data_sets()) };
    let all = record(folder);
    let having = |key: &str| all.iter().filter(|line| line.get(key).is_some()).cloned().collect();
    (having("file"), having("event"))
}

/// The files' names: in order, and each of them once.
fn names(frames: &[Value]) -> Vec<String> {
    let names: Vec<String> = frames.iter().map(|frame| frame["file"].as_str().unwrap().into()).collect();
    assert!(names.is_sorted_by(|one, next| one < next), "{names:?}");
    names
}

fn utc(time: &Value) -> Utc {
    Utc::parse(time["utc"].as_str().unwrap()).unwrap()
}

/// By how many seconds a frame's time is off, by the newest knowledge of it.
fn wrong_s(played: &Played, frame: &Value) -> f64 {
    let seq = frame["seq"].as_u64().unwrap();
    let exposed = played.twin.world().truth(seq).unwrap().exposure.from;
    let truth = began().checked_add(Duration::from_nanos(exposed.nanos())).unwrap();
    (utc(&frame["time"]).micros() - truth.micros()) as f64 / 1e6
}

fn sources(frames: &[Value]) -> Vec<&str> {
    frames.iter().map(|frame| frame["time"]["source"].as_str().unwrap()).collect()
}

#[test]
fn a_fix_that_comes_in_the_middle_is_known_from_that_frame_on_and_names_stay_in_order() {
    let parameters = Parameters { first_fix_s: 6.0, ..in_2019() };
    let played = Scenario { parameters, ..frames(9) }.play();
    let (frames, _) = records(&played);
    let first = sources(&frames).iter().position(|source| *source == "gps").unwrap();
    assert!((2..8).contains(&first), "{:?}", sources(&frames));
    let (before, after) = frames.split_at(first);
    assert!(sources(before).iter().all(|source| *source == "unset"));
    assert!(sources(after).iter().all(|source| *source == "gps"));
    assert!(before.iter().all(|frame| frame["fix"].is_null()));
    for frame in after {
        assert!(wrong_s(&played, frame).abs() < 1e-3, "{frame}");
        let error = frame["time"]["error_s"].as_f64().unwrap();
        assert!((0.005..0.005_2).contains(&error), "{error}: grows by 100 ppm");
        assert_eq!(frame["fix"]["mode"], "3d");
    }
    assert!(names(&frames).iter().all(|name| name.starts_with("2026-01-01_00-00-")), "by the first anchor");
}

#[test]
fn a_clock_that_is_set_forth_and_back_is_written_down_and_names_go_on() {
    let played = blind(frames(10))
        .fault(&at_s(&json!({"clock-step": {"by_s": 3600.0}}), 4.3))
        .fault(&at_s(&json!({"clock-step": {"by_s": -3600.0}}), 8.3))
        .play();
    let (frames, events) = records(&played);
    let steps: Vec<(f64, f64)> = events
        .iter()
        .map(|event| (event["by_s"].as_f64().unwrap(), event["at_ns"].as_f64().unwrap() / 1e9 + 1.2))
        .collect();
    let [(forth, seen_forth), (back, seen_back)] = steps[..] else { panic!("{events:?}") };
    assert!((forth - 3_600.0).abs() < 1e-3 && (back + 3_600.0).abs() < 1e-3, "{steps:?}");
    assert!(
        (4.3..5.4).contains(&seen_forth) && (8.3..9.4).contains(&seen_back),
        "within a second: {steps:?}"
    );
    assert!(names(&frames).iter().all(|name| name.starts_with("2026-06-01_08-00-")));
    assert!(sources(&frames).iter().all(|source| *source == "computer"));
    let hours = frames.iter().filter(|frame| wrong_s(&played, frame) > 3_599.0).count();
    assert!((3..=5).contains(&hours), "{hours} frames say what the computer's clock said");
}

/// 100 ppm is as fast as a crystal goes.
#[test]
fn a_clock_that_drifts_is_not_set() {
    let parameters = Parameters { clock_drift_ppm: 100.0, ..Parameters::default() };
    let played = blind(Scenario { parameters, ..frames(10) }).play();
    assert_eq!(records(&played).1, Vec::<Value>::new());
}

#[test]
fn a_lost_fix_stays_with_its_age_and_is_stale_after_ten_seconds() {
    let played = frames(30)
        .fault(&json!({"what": "no-fix", "when": {"at_s": 5.5}, "for_s": 18.0}))
        .until("status/imager", "Done")
        .play();
    let (frames, _) = records(&played);
    let exposed = |frame: &Value| frame["exposure"]["from_ns"].as_f64().unwrap() / 1e9 + 1.2;
    let mut stale = 0;
    for frame in &frames {
        let (fix, at) = (&frame["fix"], exposed(frame));
        let age = fix["age_s"].as_f64().unwrap();
        assert_eq!((&fix["latitude"], &fix["longitude"]), (&json!(48.7273), &json!(-3.9814)), "it stays");
        assert_eq!(fix["stale"], json!(age > 10.0), "{age}");
        // A receiver speaks at whole seconds.
        let lost = (6.0..24.0).contains(&at);
        let expected = if lost { at - 5.0 } else { 0.0 };
        assert!((expected - 0.5..expected + 1.2).contains(&age), "{age} instead of {expected} at {at}");
        assert_eq!(frame["time"]["source"], "gps", "the monotonic clock carries it on");
        assert!(wrong_s(&played, frame).abs() < 1e-3);
        stale += usize::from(age > 10.0);
    }
    assert!((5..12).contains(&stale), "{stale}");
    assert_eq!(frames.last().unwrap()["fix"]["stale"], json!(false), "back again");
}

/// What a receiver said, one report a second, once; then it is silent.
struct Recorded(std::vec::IntoIter<String>);

impl PositionSource for Recorded {
    fn latest(&mut self) -> Option<Fix> {
        gpsd::fix(self.0.next()?.as_bytes(), Alarms::here().now())
    }
}

/// The log of a receiver that was cut off from the sky, as gpsd decoded it.
#[test]
fn a_receiver_that_lost_its_fix_is_recorded_with_its_last_place_and_without_its_old_date() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/gps/tomtom-mkII.log.chk");
    let text = String::from_utf8_lossy(&std::fs::read(file).unwrap()).into_owned();
    let reports = text.lines().filter(|line| line.starts_with("{\"class\":\"TPV\"")).map(String::from);
    // Twelve with a fix, then those without.
    let reports: Vec<String> = reports.collect();
    assert!(reports[11].contains("\"mode\":3") && reports[12].contains("\"mode\":1"));
    let source = Recorded(reports.into_iter());
    let played = Scenario { position: Some(Box::new(move || Box::new(source))), ..frames(30) }.play();
    let (frames, _) = records(&played);
    let last = frames.last().unwrap();
    assert_eq!(last["fix"]["latitude"], json!(51.431168333));
    assert_eq!(last["fix"]["stale"], json!(true));
    assert!(last["fix"]["age_s"].as_f64().unwrap() > 10.0);
    assert!(frames.iter().all(|frame| frame["time"]["source"] == "computer"), "2010 is long ago");
}

/// Latitude and longitude of each frame.
fn track(latitude_deg: f64, longitude_deg: f64, course_deg: f64) -> Vec<Option<(f64, f64)>> {
    let parameters =
        Parameters { latitude_deg, longitude_deg, course_deg, ship_m_per_s: 10.0, ..Parameters::default() };
    let played = Scenario { parameters, ..frames(8) }.play();
    let (frames, _) = records(&played);
    let degrees = |fix: &Value, key: &str| fix[key].as_f64();
    frames
        .iter()
        .map(|frame| degrees(&frame["fix"], "latitude").zip(degrees(&frame["fix"], "longitude")))
        .collect()
}

#[test]
fn a_ship_crosses_the_date_line() {
    let track: Vec<_> = track(-17.0, 179.9996, 90.0).into_iter().map(Option::unwrap).collect();
    assert!(track.iter().all(|(latitude, longitude)| {
        (latitude + 17.0).abs() < 1e-6 && (179.999..=180.0).contains(&longitude.abs())
    }));
    assert!(track[0].1 > 0.0 && track[7].1 < 0.0, "{track:?}");
}

#[test]
fn a_ship_crosses_the_pole_and_a_placeholder_is_no_pole() {
    let track = track(89.9996, 30.0, 0.0);
    let track: Vec<_> = track.into_iter().map(Option::unwrap).collect();
    assert!(track.iter().all(|(latitude, _)| (89.999..=90.0).contains(latitude)), "{track:?}");
    assert!((track[0].1 - 30.0).abs() < 1e-3 && (track[7].1 + 150.0).abs() < 1e-3, "{track:?}");
    let parameters = Parameters { latitude_deg: -90.0, longitude_deg: 0.0, ..Parameters::default() };
    let (nowhere, _) = records(&Scenario { parameters, ..frames(1) }.play());
    assert!(nowhere[0]["fix"].is_null(), "{}", nowhere[0]);
    let parameters = Parameters { longitude_deg: -120.0, ..parameters };
    let (pole, _) = records(&Scenario { parameters, ..frames(1) }.play());
    assert_eq!(pole[0]["fix"]["latitude"], json!(-90.0));
}

#[test]
fn a_battery_backed_clock_is_believed_before_a_computers_that_says_what_cannot_be() {
    for chip in [RtcChip::Ds3231, RtcChip::Rv3028] {
        let played = blind(Scenario { parameters: in_2019(), rtc: Some(chip), ..frames(2) }).play();
        let (frames, _) = records(&played);
        for frame in &frames {
            assert_eq!(frame["time"]["source"], "rtc", "{chip:?}");
            assert!(wrong_s(&played, frame).abs() <= 0.5 + 1e-3, "{chip:?}: {frame}");
            assert!(frame["time"]["error_s"].as_f64().unwrap() > 1.0);
        }
    }
}

#[test]
fn a_battery_backed_clock_that_lost_power_is_not_believed_until_it_is_set_by_a_fix() {
    for chip in [RtcChip::Ds3231, RtcChip::Rv3028] {
        let lost = |scenario: Scenario| scenario.fault(&json!({"what": "rtc-power-lost"}));
        let without = Scenario { parameters: in_2019(), rtc: Some(chip), ..frames(2) };
        let (frames, _) = records(&lost(blind(without)).play());
        assert!(sources(&frames).iter().all(|source| *source == "unset"), "{chip:?}");
        // The receiver needs half a minute; the chip is looked at once a minute.
        let parameters = Parameters { first_fix_s: 30.0, ..in_2019() };
        let scenario = Scenario { parameters, rtc: Some(chip), ..Scenario::new(vec![], ms(100_000)) };
        let played = lost(scenario).play();
        let world = played.twin.world();
        let rtc = world.rtc.as_ref().unwrap();
        assert!(!rtc.lost_power(), "{chip:?}: the next start believes it");
        let off_us = rtc.utc(world.now()).micros() - world.utc().micros();
        assert!(off_us.abs() <= 500_000, "{chip:?}: {off_us} us off");
    }
}

#[test]
fn a_clock_that_chrony_keeps_is_believed_until_somebody_sets_it() {
    let set = at_s(&json!({"clock-step": {"by_s": 7200.0}}), 5.3);
    let played = blind(Scenario { network: true, ..frames(8) }).fault(&set).play();
    let (frames, events) = records(&played);
    assert_eq!(events.len(), 1);
    for frame in &frames {
        let error = frame["time"]["error_s"].as_f64().unwrap();
        assert!(frame["time"]["source"] == "network" && (0.02..0.022).contains(&error), "{error}");
        assert!(wrong_s(&played, frame).abs() < 1e-3, "what it was set to is not believed: {frame}");
    }
}

#[test]
fn with_nothing_believable_time_goes_on_over_restarts_and_says_that_it_is_unset() {
    let folder = tempfile::tempdir().unwrap();
    let run = |acq: &str| {
        let mut script = dashboard(acq, 3);
        script.push((ms(12_000), shut_down()));
        let parameters = in_2019();
        let data = Some(folder.path().to_path_buf());
        blind(Scenario { parameters, data, ..Scenario::new(script, ms(20_000)) }).play()
    };
    run("first");
    let played = run("second");
    let [first, second] = &played.data_sets()[..] else { panic!() };
    let mut all = vec![];
    for folder in [first, second] {
        let frames: Vec<Value> =
            record(folder).into_iter().filter(|line| line.get("file").is_some()).collect();
        assert_eq!(sources(&frames), ["unset"; 3]);
        assert!(frames.iter().all(|frame| frame["fix"].is_null()));
        assert!(frames.iter().all(|frame| utc(&frame["time"]) >= NOT_BEFORE));
        all.extend(frames);
    }
    let names = names(&all);
    assert!(names[3].as_str() > "2026-01-01_00-00-13", "after the first run's end: {names:?}");
}

#[test]
fn health_says_what_is_known_of_time_and_place() {
    let ask = |at: u64| (ms(at), message("planktor/health", &json!({"action": "get"})));
    let played = Scenario::new(vec![ask(3_500), ask(30_000)], ms(31_000))
        .fault(&at_s(&json!("no-fix"), 4.2))
        .fault(&at_s(&json!({"clock-step": {"by_s": -60.0}}), 5.0))
        .play();
    let known: Vec<_> =
        played.seen.iter().filter(|seen| seen.is("planktor/status/health", "Known")).collect();
    let [early, late] = known[..] else { panic!("{known:?}") };
    let part = |seen: &planktor_hil_tests::Seen, part: &str, key: &str| seen.payload[part][key].clone();
    assert_eq!(
        [part(early, "clock", "source"), part(early, "clock", "steps"), part(early, "position", "stale")],
        [json!("gps"), json!(0), json!(false)]
    );
    assert_eq!(
        [part(late, "clock", "source"), part(late, "clock", "steps"), part(late, "position", "stale")],
        [json!("gps"), json!(1), json!(true)]
    );
    let error = |seen| part(seen, "clock", "error_s").as_f64().unwrap();
    assert!(error(early) >= 0.005 && error(late) > error(early) + 0.002, "100 ppm of 26 s");
    assert_eq!(part(late, "position", "mode"), json!("3d"));
}
