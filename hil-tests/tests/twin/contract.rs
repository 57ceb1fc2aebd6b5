//! Every command of the contract does what it says, in virtual time; what clients of today's controller said and heard
//! is heard again.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

use planktor_actors::recording::Record;
use planktor_drivers::devices::display::drawing::draw;
use planktor_hil_tests::{Played, Scenario, Script, dashboard, image, light_on, message, raw, update_config};
use planktor_protocol::Instant;
use planktor_protocol::display::Page;
use planktor_runtime::instrument::Models;
use planktor_runtime::mqtt::Message;
use planktor_runtime::replay::replay;
use planktor_sim::disk::MemoryDisk;
use planktor_sim::{Hat, Parameters};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn after(ms: u64) -> Instant {
    Instant::ZERO + Duration::from_millis(ms)
}

/// A request as the JavaScript library makes it.
fn request(topic: &str, payload: &Value) -> Message {
    Message { response_topic: Some(format!("{topic}/7/response")), ..message(topic, payload) }
}

fn play(script: Script, limit_ms: u64) -> Played {
    Scenario::new(script, ms(limit_ms)).play()
}

/// One after the other, half a second apart.
fn in_turn(messages: Vec<Message>) -> Script {
    (1..).map(|n| ms(n * 500)).zip(messages).collect()
}

/// What was answered to response topics, in order.
fn responses(played: &Played) -> Vec<&Value> {
    played.seen.iter().filter(|seen| seen.topic.ends_with("/response")).map(|seen| &seen.payload).collect()
}

fn of<'a>(played: &'a Played, topic: &str) -> Vec<&'a Value> {
    played.seen.iter().filter(|seen| seen.topic == topic).map(|seen| &seen.payload).collect()
}

fn last<'a>(played: &'a Played, topic: &str) -> &'a Value {
    of(played, topic).last().copied().unwrap()
}

/// A line of a recorded conversation, without what differs from run to run: times, names of files, durations.
fn words(topic: &str, payload: &Value) -> Option<(String, String)> {
    let mut text = payload.as_object()?.iter().map(|(key, value)| {
        let value = match (key.as_str(), value.as_str()) {
            ("duration" | "path", _) => "*".into(),
            ("status", Some(status)) => match status.split_once(" saved to ") {
                Some((image, _)) => format!("{image} saved to *"),
                None => status.into(),
            },
            _ => value.to_string(),
        };
        format!("{key}={value}")
    });
    Some((topic.to_owned(), text.by_ref().collect::<Vec<_>>().join(" ")))
}

/// Sends what the recorded client sent, when it did, and compares topic by topic: today's controller waits with the next
/// stroke until a frame is on disk, so topics do not interleave in the same way.
#[test]
fn recorded_clients_hear_what_they_heard() {
    let recorded = [
        (
            include_str!("../../data/transcripts/imager_acquire_3.jsonl"),
            "imager/",
            vec!["status/imager", "status/pump"],
        ),
        (include_str!("../../data/transcripts/light_on_off.jsonl"), "light", vec!["status/light"]),
        (include_str!("../../data/transcripts/pump_move.jsonl"), "actuator/pump", vec!["status/pump"]),
    ];
    for (text, client, topics) in recorded {
        let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let says = |line: &Value| line["topic"].as_str().unwrap().to_owned();
        let script = lines.iter().filter(|line| says(line).starts_with(client)).map(|line| {
            let at = ms(500) + Duration::from_secs_f64(line["ms"].as_f64().unwrap() * 3e-3);
            (at, raw(&says(line), line["raw"].as_str().unwrap().as_bytes()))
        });
        let script: Script = script.collect();
        assert!(!script.is_empty());
        let played = play(script, 20_000);
        for topic in topics {
            let heard = |topic: &str, payload: &Value| words(topic, payload);
            let then: Vec<_> = lines.iter().filter(|line| says(line) == topic).collect();
            let then: Vec<_> = then.iter().filter_map(|line| heard(topic, &line["payload"])).collect();
            let began = played.seen.iter().filter(|seen| seen.at >= after(500) && seen.topic == topic);
            // The one addition: what a motor is after its end.
            let now = began.filter(|seen| seen.status() != "Idle");
            let now: Vec<_> = now.filter_map(|seen| heard(topic, &seen.payload)).collect();
            assert_eq!(now, then, "{topic}");
        }
    }
}

/// Today's controller answers with null, whatever came of it; what is documented is an object, or an error.
#[test]
fn the_pumps_calibration_is_asked_set_kept_and_used() {
    let folder = TempDir::new().unwrap();
    std::fs::create_dir(folder.path().join("twin")).unwrap();
    std::fs::write(
        folder.path().join("twin/hardware.json"),
        r#"{"hat_version": 3.3, "pump_steps_per_ml": 3220}"#,
    )
    .unwrap();
    let set = |value: Value| {
        request("actuator/pump", &json!({"action": "set-configuration", "pump_steps_per_ml": value}))
    };
    let get = || request("actuator/pump", &json!({"action": "get-configuration"}));
    let stroke = message(
        "actuator/pump",
        &json!({"action": "move", "direction": "FORWARD", "volume": 0.01, "flowrate": 3}),
    );
    let script = in_turn(vec![
        get(),
        set(json!(6440)),
        get(),
        set(json!("abc")),
        set(json!(0)),
        set(json!(-1)),
        get(),
        stroke,
    ]);
    let played = Scenario { data: Some(folder.path().into()), ..Scenario::new(script, ms(8_000)) }.play();
    let answers = responses(&played);
    assert_eq!(answers[0], &json!({"pump_steps_per_ml": 3220}));
    assert_eq!(answers[1], &json!({}));
    assert_eq!(answers[2], &json!({"pump_steps_per_ml": 6440}));
    for refused in &answers[3..6] {
        let why = refused["error"]["message"].as_str().unwrap();
        assert!(why.starts_with("pump_steps_per_ml: expected a number from 1"), "{why}");
    }
    assert_eq!(answers[6], &json!({"pump_steps_per_ml": 6440}));
    // The pump itself has not changed: with twice the steps it moves twice the volume.
    assert!((played.twin.world().pumped_nl() - 20_000.0).abs() < 5.0);
    let kept: Value =
        serde_json::from_slice(&std::fs::read(folder.path().join("twin/hardware.json")).unwrap()).unwrap();
    assert_eq!(kept, json!({"hat_version": 3.3, "pump_steps_per_ml": 6440}));
    let again =
        Scenario { data: Some(folder.path().into()), ..Scenario::new(in_turn(vec![get()]), ms(2_000)) }
            .play();
    assert_eq!(responses(&again), [&json!({"pump_steps_per_ml": 6440})]);
}

#[test]
fn the_lamp_saves_its_level_and_powers_up_dark() {
    let folder = TempDir::new().unwrap();
    let light = |payload: Value| message("light", &payload);
    let script = vec![
        (ms(500), light(json!({"action": "on", "value": 0.3}))),
        // Nothing between them: each finds what came before it done.
        (ms(1_000), light(json!({"action": "on", "value": 0.4}))),
        (ms(1_000), light(json!({"action": "save"}))),
        (ms(1_000), light(json!({"action": "off"}))),
        (ms(1_000), light(json!({"action": "on"}))),
        (ms(2_000), light(json!({"action": "on", "value": 0}))),
        (ms(2_500), light(json!({"action": "status"}))),
    ];
    let played = Scenario { data: Some(folder.path().into()), ..Scenario::new(script, ms(4_000)) }.play();
    let levels: Vec<_> =
        of(&played, "status/light").iter().map(|said| said["value"].as_f64().unwrap()).collect();
    let mut expected = vec![0.0, 0.3, 0.4, 0.4, 0.0, 0.4, 0.0, 0.0];
    // The saved level is told when it is on disk, which may be after the next.
    let (mut levels, at) = (levels, |levels: &[f64]| levels.len());
    assert_eq!(at(&levels), expected.len(), "{levels:?}");
    levels.sort_by(f64::total_cmp);
    expected.sort_by(f64::total_cmp);
    assert_eq!(levels, expected);
    let script = vec![(ms(500), light(json!({"action": "on"})))];
    let again = Scenario { data: Some(folder.path().into()), ..Scenario::new(script, ms(1_000)) }.play();
    assert_eq!(again.statuses("status/light"), ["Off", "On"]);
    assert_eq!(last(&again, "status/light")["value"], 0.4);
}

#[test]
fn a_bubbler_that_was_switched_off_stays_off() {
    let bubbler = |action: &str| message("actuator/bubbler", &json!({"action": action}));
    let at = |played: &Played, ms: u64| played.twin.world().bubbler.as_ref().unwrap().at(after(ms));
    // Off during the start, and off after two ons.
    for script in [
        vec![(ms(500), bubbler("on")), (ms(1_500), bubbler("off"))],
        vec![(ms(500), bubbler("on")), (ms(600), bubbler("on")), (ms(1_500), bubbler("off"))],
        vec![(ms(500), bubbler("on")), (ms(500), bubbler("on")), (ms(500), bubbler("off"))],
    ] {
        let played = play(script, 6_000);
        assert_eq!(played.statuses("status/bubbler").last(), Some(&"Off"));
        for ms in (1_600..6_000).step_by(50) {
            assert_eq!(at(&played, ms), 0.0, "{ms} ms");
        }
    }
    let played = play(vec![(ms(500), bubbler("on")), (ms(600), bubbler("status"))], 3_000);
    assert_eq!(last(&played, "status/bubbler"), &json!({"status": "On", "value": 1.0}));
    assert!((at(&played, 1_000) - 0.275).abs() < 0.001);
    let gently =
        (2_600..3_000).map(|ms| at(&played, ms)).fold((1.0_f32, 0.0_f32), |(l, m), v| (l.min(v), m.max(v)));
    assert!((gently.0 - 0.259).abs() < 0.001 && (gently.1 - 0.269).abs() < 0.001, "{gently:?}");
    // At the program's end, too.
    let script = vec![(ms(500), bubbler("on")), (ms(4_000), planktor_hil_tests::shut_down())];
    let played = Scenario::new(script, ms(9_000)).until("status/imager", "Dead").play();
    assert_eq!(at(&played, 8_000), 0.0);
}

#[test]
fn what_is_not_fitted_says_so_and_is_not_tried_again() {
    let script = in_turn(vec![
        request("actuator/bubbler", &json!({"action": "on"})),
        request("display", &json!({"action": "clear"})),
    ]);
    let played = Scenario { hat: Hat::V1_2, ..Scenario::new(script, ms(60_000)) }.play();
    for device in ["bubbler", "display"] {
        let health = of(&played, &format!("planktor/status/device/{device}"));
        assert_eq!(health.len(), 1, "{health:?}");
        assert_eq!(health[0]["health"], "given up");
    }
    for answer in responses(&played) {
        assert!(answer["error"]["message"].as_str().unwrap().contains("this instrument has none"));
    }
}

#[test]
fn the_display_shows_what_it_is_told() {
    let config = json!({"url": "http://planktoscope.local", "machine-name": "babel-goby-42"});
    let script = in_turn(vec![
        request("display", &json!({"action": "configure", "config": config})),
        request("display", &json!({"action": "configure"})),
        request("display", &json!({"action": "configure", "config": {"url": "x".repeat(301)}})),
    ]);
    let played = play(script, 5_000);
    let page = Page { url: "http://planktoscope.local".into(), name: "babel-goby-42".into() };
    assert!(shows(&played).unwrap() == draw(Some(&page)).bytes());
    let answers = responses(&played);
    let (refused, shown) = answers.split_at(2);
    assert_eq!(shown[0]["status"], "Shown", "when the ink is done");
    let reasons: Vec<_> = refused.iter().map(|answer| answer["error"]["message"].to_string()).collect();
    assert!(reasons[0].contains("config: is missing"), "{reasons:?}");
    assert!(reasons[1].contains("config.url: expected a text of 1 to 300 characters"), "{reasons:?}");
    let script = in_turn(vec![request("display", &json!({"action": "clear"}))]);
    assert!(shows(&play(script, 5_000)).unwrap().iter().all(|byte| *byte == 0xFF));
}

fn shows(played: &Played) -> Option<Vec<u8>> {
    let world = played.twin.world();
    world.display.as_ref().unwrap().shows(16, world.now())
}

/// What comes while the ink moves waits for its turn.
#[test]
fn displays_are_served_in_turn_and_one_that_is_not_there_is_told() {
    let named =
        |name: &str| request("display", &json!({"action": "configure", "config": {"machine-name": name}}));
    let script = in_turn(vec![
        named("one"),
        named("two"),
        request("display", &json!({"action": "clear"})),
        named("three"),
    ]);
    let played = play(script.clone(), 20_000);
    let said: Vec<_> = played.seen.iter().filter(|seen| seen.topic == "planktor/status/display").collect();
    let words: Vec<_> =
        said.iter().map(|seen| seen.payload["machine-name"].as_str().unwrap_or("cleared")).collect();
    assert_eq!(words, ["one", "two", "cleared", "three"]);
    assert!(said.windows(2).all(|two| two[1].at - two[0].at > ms(2_000)), "each takes its time");
    let page = Page { url: "".into(), name: "three".into() };
    assert!(shows(&played).unwrap() == draw(Some(&page)).bytes());

    let unplugged = json!({"what": {"cable-pulled": "display"}, "when": {"at_s": 0}});
    let played = Scenario::new(script, ms(20_000)).fault(&unplugged).play();
    for answer in responses(&played) {
        assert!(answer["error"]["message"].as_str().unwrap().contains("the display"), "{answer}");
    }
}

#[test]
fn the_leds_hours_are_counted_by_the_instrument_and_kept() {
    let folder = TempDir::new().unwrap();
    let led = |payload: Value| request("led-operating-time", &payload);
    let off = || message("light", &json!({"action": "off"}));
    let script = vec![
        (ms(500), light_on()),
        (ms(60_500), off()),
        (ms(61_000), led(json!({"action": "get"}))),
        (ms(61_500), led(json!({"action": "increment", "seconds": 7.4}))),
        (ms(62_000), led(json!({"action": "increment", "seconds": -1}))),
        (ms(62_500), light_on()),
        (ms(63_500), planktor_hil_tests::shut_down()),
    ];
    let scenario = Scenario { data: Some(folder.path().into()), ..Scenario::new(script, ms(70_000)) };
    let played = scenario.until("status/imager", "Dead").play();
    let answers = responses(&played);
    assert_eq!((answers[0], answers[1]), (&json!({"seconds": 60}), &json!({"seconds": 67})));
    assert!(
        answers[2]["error"]["message"].as_str().unwrap().starts_with("seconds: expected a number from 0")
    );
    let script = in_turn(vec![
        led(json!({"action": "get"})),
        led(json!({"action": "reset"})),
        led(json!({"action": "get"})),
    ]);
    let again = Scenario { data: Some(folder.path().into()), ..Scenario::new(script, ms(3_000)) }.play();
    // What was kept belongs to how a run begins: its journal replays, in another place.
    let elsewhere = MemoryDisk::of(&Parameters::default());
    let (comparison, _) = replay(&again.recorded(), Box::new(elsewhere), &again.data).unwrap();
    assert!(comparison.is_same(), "{comparison}");
    let seconds: Vec<_> =
        responses(&again).iter().map(|answer| answer["seconds"].as_u64().unwrap()).collect();
    assert_eq!(seconds, [68, 0, 0]);
}

/// What a power cut may cost of them is ten minutes.
#[test]
fn the_leds_hours_are_kept_while_it_is_lit() {
    let folder = TempDir::new().unwrap();
    let scenario = Scenario::new(vec![(ms(500), light_on())], ms(1_300_000));
    Scenario { data: Some(folder.path().into()), ..scenario }.play();
    let kept: Value =
        serde_json::from_slice(&std::fs::read(folder.path().join("twin/planktor.json")).unwrap()).unwrap();
    assert!((kept["led_seconds"].as_f64().unwrap() - 1_200.0).abs() < 1.0, "{kept}");
}

#[test]
fn camera_settings_are_checked_kept_and_in_the_pictures() {
    let set = |settings: Value| message("imager/image", &json!({"action": "settings", "settings": settings}));
    let bad = [
        (json!({"iso": 0}), "Error: Iso number not valid"),
        (json!({"iso": "high"}), "Error: Iso number not valid"),
        (json!({"shutter_speed": -5}), "Error: Shutter speed not valid"),
        (json!({"white_balance": "sunny"}), "Error: White balance mode sunny not valid"),
        (json!({"white_balance_gain": {"red": 3201}}), "Error: White balance gain not valid"),
        (json!(5), "Camera settings error"),
    ];
    let script = in_turn(bad.iter().map(|(settings, _)| set(settings.clone())).collect());
    let played = play(script, 5_000);
    let expected: Vec<_> = bad.iter().map(|(_, word)| *word).collect();
    assert_eq!(played.statuses("status/imager"), expected);
    let no_settings = play(in_turn(vec![message("imager/image", &json!({"action": "settings"}))]), 2_000);
    assert_eq!(no_settings.statuses("status/imager").last(), Some(&"Camera settings error"));

    let mut script = vec![
        (
            ms(500),
            set(
                json!({"iso": 300, "shutter_speed": 1000, "white_balance": "off", "white_balance_gain": {"red": 199}}),
            ),
        ),
        (ms(600), set(json!({"iso": 400, "white_balance_gain": {"blue": 165}}))),
    ];
    script.extend(dashboard("set", 1));
    let played = Scenario::new(script, ms(20_000)).until("status/imager", "Done").play();
    assert_eq!(played.count("status/imager", "Camera settings updated"), 2);
    let set = &played.data_sets()[0];
    let metadata: Value = serde_json::from_slice(&std::fs::read(set.join("metadata.json")).unwrap()).unwrap();
    assert!(
        (metadata["acq_camera_iso"].as_f64().unwrap() - 400.0).abs() <= 2.0,
        "the nearest that the sensor can"
    );
    assert!((metadata["acq_camera_shutter_speed"].as_f64().unwrap() - 1_000.0).abs() < 29.0, "whole lines");
}

#[test]
fn a_picture_is_taken_in_the_forms_that_are_asked_for() {
    let capture = |payload: Value| request("imager/image", &payload);
    let script = in_turn(vec![
        capture(json!({"action": "capture"})),
        capture(json!({"action": "capture", "jpeg": false, "dng": true})),
        capture(json!({"action": "capture", "dng": true})),
        capture(json!({"action": "capture", "jpeg": false})),
        capture(json!({"action": "capture", "jpeg": 1})),
    ]);
    let played = play(script.into_iter().map(|(at, message)| (at * 4, message)).collect(), 14_000);
    let answers = responses(&played);
    let there = |answer: &Value, form: &str| answer[form].as_str().map(|path| std::fs::read(path).unwrap());
    for (answer, jpeg, dng) in
        [(answers[0], true, false), (answers[1], false, true), (answers[2], true, true)]
    {
        let (a, b) = (there(answer, "jpeg"), there(answer, "dng"));
        assert_eq!((a.is_some(), b.is_some()), (jpeg, dng), "{answer}");
        assert!(a.is_none_or(|bytes| bytes.starts_with(&[0xFF, 0xD8])));
        assert!(b.is_none_or(|bytes| bytes.starts_with(b"II*\0")));
    }
    assert!(answers[3]["error"]["message"].as_str().unwrap().contains("neither jpeg nor dng"));
    assert!(answers[4]["error"]["message"].as_str().unwrap().starts_with("jpeg:"), "{}", answers[4]);
    assert_eq!(played.files().len(), 4);
    assert!(played.data_sets().is_empty());
}

#[test]
fn a_picture_and_an_acquisition_keep_out_of_each_others_way() {
    let capture = || message("imager/image", &json!({"action": "capture"}));
    let mut script = dashboard("both", 2);
    script.extend([
        (ms(1_800), capture()),
        (ms(9_000), capture()),
        (ms(9_000), update_config("x", 1)),
        (ms(9_000), image(1)),
    ]);
    let played = play(script, 12_000);
    let busy: Vec<_> =
        of(&played, "status/imager").into_iter().filter(|said| said["status"] == "Busy").collect();
    assert_eq!(busy.len(), 3, "{busy:?}");
    assert!(busy[0]["reason"].as_str().unwrap().contains("an acquisition is running"));
    assert!(busy[1]["reason"].as_str().unwrap().contains("a picture is being taken"));
    assert_eq!(played.count("status/imager", "Done"), 1);
    assert_eq!(of(&played, "status/imager").iter().filter(|said| said["action"] == "capture").count(), 1);
}

#[test]
fn a_lease_keeps_others_out_until_it_ends_but_never_a_stop() {
    let lease = |owner: &str, more: Value| {
        let mut payload = json!({"action": "take", "owner": owner});
        for (key, value) in more.as_object().unwrap() {
            payload[key] = value.clone();
        }
        request("planktor/lease", &payload)
    };
    let light = |owner: Option<&str>| {
        let mut payload = json!({"action": "on"});
        if let Some(owner) = owner {
            payload["owner"] = owner.into();
        }
        request("light", &payload)
    };
    let script = vec![
        (ms(500), lease("ada", json!({"seconds": 5}))),
        (ms(600), light(None)),
        (ms(700), light(Some("bob"))),
        (ms(800), light(Some("ada"))),
        (ms(900), lease("bob", json!({}))),
        (ms(1_000), request("actuator/pump", &json!({"action": "stop"}))),
        (ms(1_100), request("light", &json!({"action": "status"}))),
        (ms(1_200), lease("bob", json!({"take_over": true, "seconds": 5}))),
        (ms(1_300), light(Some("ada"))),
        (ms(1_400), request("planktor/lease", &json!({"action": "release", "owner": "ada"}))),
        (ms(7_000), light(None)),
        (ms(7_100), request("planktor/lease", &json!({"action": "take"}))),
        (ms(7_200), request("planktor/lease", &json!({"action": "take", "owner": "x", "seconds": 1e9}))),
    ];
    let played = play(script, 8_000);
    let told: Vec<_> = responses(&played)
        .iter()
        .map(|answer| {
            let why = answer["error"]["message"].as_str();
            why.map_or_else(|| answer["status"].as_str().unwrap_or("{}").to_owned(), |why| format!("! {why}"))
        })
        .collect();
    let held = |owner: &str, told: &str| told.starts_with(&format!("! {owner} operates the instrument"));
    assert_eq!(told[0], "Held");
    assert!(held("ada", &told[1]) && held("ada", &told[2]), "{told:#?}");
    assert_eq!(told[3], "On");
    assert!(held("ada", &told[4]));
    assert_eq!((&*told[5], &*told[6], &*told[7]), ("Interrupted", "On", "Held"));
    assert!(held("bob", &told[8]) && held("bob", &told[9]), "{told:#?}");
    assert_eq!(told[10], "On");
    assert!(told[11].contains("a lease needs an owner"), "{told:#?}");
    assert!(told[12].starts_with("! seconds: expected a number from 1"), "{told:#?}");
    let busy = of(&played, "status/light").into_iter().filter(|said| said["status"] == "Busy").count();
    assert_eq!(busy, 3);
    assert_eq!(played.statuses("planktor/status/lease").iter().filter(|word| **word == "Free").count(), 1);
}

fn protocol(verb: &str, payload: &Value) -> Message {
    request(&format!("planktor/protocol/{verb}"), payload)
}

fn flow(frames: u32) -> Value {
    json!({"description": "a few", "plan": [{"step": "repeat", "times": frames, "steps": [
        {"step": "pump", "volume_ul": 6, "flow_ml_per_min": 3}, {"step": "settle", "seconds": 0.5},
        {"step": "capture"}, {"step": "write"}]}]})
}

#[test]
fn protocols_are_kept_listed_and_deleted() {
    let folder = TempDir::new().unwrap();
    let script = in_turn(vec![
        protocol("store", &json!({"name": "mine", "protocol": flow(3)})),
        protocol("list", &json!({})),
        protocol("get", &json!({"name": "mine"})),
        protocol("delete", &json!({"name": "other"})),
        protocol("store", &json!({"name": "focus planes", "protocol": flow(3)})),
        protocol("store", &json!({"name": "../x", "protocol": flow(3)})),
        protocol("validate", &json!({"protocol": flow(0)})),
        protocol("validate", &json!({"protocol": flow(4)})),
        protocol("dance", &json!({})),
    ]);
    let played = Scenario { data: Some(folder.path().into()), ..Scenario::new(script, ms(6_000)) }.play();
    let answers = responses(&played);
    assert_eq!(answers[0], &json!({"status": "Stored", "name": "mine"}));
    let names: Vec<_> =
        answers[1]["protocols"].as_array().unwrap().iter().map(|p| p["name"].as_str().unwrap()).collect();
    assert_eq!(
        names,
        [
            "focus planes",
            "mine",
            "series every hour",
            "stop-flow 100 um",
            "stop-flow 300 um",
            "stop-flow 500 um"
        ]
    );
    assert_eq!(answers[2]["protocol"], flow(3));
    let why: Vec<_> =
        answers.iter().map(|answer| answer["error"]["message"].as_str().unwrap_or_default()).collect();
    assert!(why[3].contains("there is no protocol other"), "{why:#?}");
    assert!(why[4].contains("is shipped"), "{why:#?}");
    assert!(why[5].starts_with("name: expected up to 64 bytes of letters"), "{why:#?}");
    assert!(why[6].starts_with("protocol.plan[0].times: expected a whole number from 1"), "{why:#?}");
    assert_eq!(answers[7], &json!({"status": "Valid", "frames": 4}));
    assert!(why[8].contains("nothing listens on planktor/protocol/dance"), "{why:#?}");
    std::fs::write(folder.path().join("protocols/broken.json"), "{}").unwrap();
    let script = in_turn(vec![
        protocol("get", &json!({"name": "mine"})),
        protocol("run", &json!({"name": "broken"})),
        protocol("delete", &json!({"name": "mine"})),
        protocol("list", &json!({})),
    ]);
    let again = Scenario { data: Some(folder.path().into()), ..Scenario::new(script, ms(4_000)) }.play();
    let answers = responses(&again);
    assert_eq!(answers[0]["protocol"], flow(3));
    let why = answers[1]["error"]["message"].as_str().unwrap();
    assert!(why.contains("the stored protocol broken is not valid: plan: is missing"), "{why}");
    assert_eq!(answers[3]["protocols"].as_array().unwrap().len(), 6);
    assert!(!folder.path().join("protocols/mine.json").exists());
}

/// However many small things wait for a slow disk, the frames of an acquisition get their turn.
#[test]
fn what_is_kept_in_great_numbers_keeps_no_frame_out() {
    let slow = Arc::new(|job: &Record| if matches!(job, Record::Errand(..)) { ms(100) } else { ms(20) });
    let mut script = dashboard("crowded", 8);
    let store = |n: u64| protocol("store", &json!({"name": format!("mine {n}"), "protocol": flow(1)}));
    // Twice as fast as they can be written: more and more wait, while frames come.
    script.extend((0..60).map(|n| (ms(3_000 + n * 50), store(n))));
    let models = Some(Models { recording: slow, ..Models::default() });
    let scenario = Scenario { models, ..Scenario::new(script, ms(60_000)) };
    let played = scenario.until("status/imager", "Done").play();
    assert_eq!(played.count("status/imager", "Done"), 1, "{:?}", played.statuses("status/imager"));
    assert_eq!(played.count("planktor/status/protocol", "Stored"), 60);
}

/// Until the last exposure or move it takes what was estimated, within two percent; so does the volume.
#[test]
fn an_estimate_is_what_the_run_then_takes() {
    for (frames, plan) in [
        (10, flow(10)),
        (
            6,
            json!({"plan": [{"step": "repeat", "times": 2, "steps": [
        {"step": "pump", "volume_ul": 50, "flow_ml_per_min": 10}, {"step": "settle", "seconds": 1},
        {"step": "focus_by", "um": -95}, {"step": "settle", "seconds": 0.1}, {"step": "capture"},
        {"step": "focus_by", "um": 95}, {"step": "settle", "seconds": 0.1}, {"step": "capture"},
        {"step": "focus_by", "um": 95}, {"step": "settle", "seconds": 0.1}, {"step": "capture"},
        {"step": "focus_by", "um": -95}, {"step": "write"}]}]}),
        ),
    ] {
        let script = vec![
            (ms(500), light_on()),
            (ms(600), update_config("estimated", frames)),
            (ms(1_000), protocol("store", &json!({"name": "mine", "protocol": plan}))),
            (ms(1_500), protocol("estimate", &json!({"name": "mine"}))),
            (ms(2_000), protocol("run", &json!({"name": "mine"}))),
        ];
        // A clock that is off by a few percent makes a stop miss a frame or not: with the nominal ones it is exact.
        let parameters = Parameters { pump_clock_hz: 12e6, focus_clock_hz: 12e6, ..Parameters::default() };
        let scenario = Scenario { parameters, ..Scenario::new(script, ms(60_000)) };
        let played = scenario.until("status/imager", "Done").play();
        let at = |topic, status: &str| {
            played.seen.iter().filter(|seen| seen.is(topic, status)).map(|seen| seen.at).next_back().unwrap()
        };
        let exposed = played.twin.world().truths().last().unwrap().exposure.to;
        let moved = played.statuses("status/focus").contains(&"Done").then(|| at("status/focus", "Done"));
        let took = (exposed.max(moved.unwrap_or(exposed)) - at("status/imager", "Started")).as_secs_f64();
        let estimate = &responses(&played)[1]["estimate"];
        let seconds = estimate["seconds"].as_f64().unwrap();
        assert!((seconds / took - 1.0).abs() < 0.02, "estimated {seconds} s, took {took} s");
        assert_eq!(estimate["frames"], frames);
        let pumped = played.twin.world().pumped_nl() / 1e3;
        assert!((estimate["forwards_ul"].as_f64().unwrap() - pumped).abs() < 0.01, "{estimate} {pumped}");
        assert!(estimate["in_focus_ul"].as_f64().unwrap() <= estimate["imaged_ul"].as_f64().unwrap());
        assert!(estimate["free_bytes"].as_u64().unwrap() > 0);
    }
}

#[test]
fn a_pause_holds_before_the_next_stroke_and_can_last() {
    let mut script = dashboard("paused", 4);
    script.extend([
        (ms(1_900), protocol("pause", &json!({}))),
        (ms(100_000), protocol("resume", &json!({}))),
        (ms(100_000), protocol("pause", &json!({}))),
        (ms(100_001), protocol("resume", &json!({}))),
    ]);
    let played = Scenario::new(script, ms(200_000)).until("status/imager", "Done").play();
    let strokes: Vec<_> =
        played.seen.iter().filter(|seen| seen.is("status/pump", "Started")).map(|seen| seen.at).collect();
    assert_eq!(strokes.len(), 4);
    assert!(strokes.iter().all(|at| *at < after(3_500) || *at >= after(100_000)), "{strokes:?}");
    let states: Vec<_> = of(&played, "planktor/status/acquisition")
        .iter()
        .map(|said| said["state"].as_str().unwrap())
        .collect();
    for state in ["idle", "starting", "acquiring", "pausing", "paused", "closing"] {
        assert!(states.contains(&state), "{state}: {states:?}");
    }
    assert!(planktor_runtime::dataset::verify(&played.data_sets()[0]).is_valid());
    let none = play(in_turn(vec![protocol("pause", &json!({})), protocol("resume", &json!({}))]), 2_000);
    for answer in responses(&none) {
        assert!(answer["error"]["message"].as_str().unwrap().contains("no acquisition is running"));
    }
}

#[test]
fn an_abort_ends_an_acquisition_that_is_paused() {
    let mut script = dashboard("aborted", 4);
    script.extend([(ms(1_900), protocol("pause", &json!({}))), (ms(9_000), protocol("abort", &json!({})))]);
    let played = Scenario::new(script, ms(20_000)).until("status/imager", "Interrupted").play();
    assert_eq!(played.count("status/imager", "Interrupted"), 1);
    assert!(played.seen.last().unwrap().at < after(9_100));
}

/// Today's controller loses one of two commands that come back to back, or pictures get the metadata from before.
#[test]
fn update_config_and_image_with_nothing_between_them_are_right_a_thousand_times() {
    const TIMES: usize = 1_000;
    let pair = |n: usize| vec![update_config(&format!("run {n}"), 1), image(1)];
    let mut next = 1;
    let mut script = vec![(ms(100), light_on())];
    script.extend(pair(0).into_iter().map(|message| (ms(500), message)));
    let scenario = Scenario::new(script, ms(10_000_000)).react(move |seen, _| match seen.status() {
        "Started" if seen.topic == "status/imager" => {
            vec![message("imager/image", &json!({"action": "stop"}))]
        }
        "Interrupted" if seen.topic == "status/imager" && next < TIMES => {
            next += 1;
            pair(next - 1)
        }
        _ => vec![],
    });
    let mut ended = 0;
    let until = move |seen: &planktor_hil_tests::Seen| {
        ended += usize::from(seen.is("status/imager", "Interrupted"));
        ended == TIMES
    };
    let played = Scenario { until: Box::new(until), ..scenario }.play();
    assert_eq!(played.count("status/imager", "Config updated"), TIMES);
    assert_eq!(played.count("status/imager", "Started"), TIMES);
    let sets = played.data_sets();
    assert_eq!(sets.len(), TIMES);
    for set in sets {
        let metadata: Value =
            serde_json::from_slice(&std::fs::read(set.join("metadata.json")).unwrap()).unwrap();
        let id = metadata["acq_id"].as_str().unwrap().replace(' ', "_");
        assert!(set.ends_with(&id), "{} has {id}", set.display());
    }
}

/// Ids come back in everything that answers a command, and nowhere else.
#[test]
fn every_answer_carries_its_commands_name() {
    let with_id = |topic: &str, mut payload: Value| {
        payload["id"] = json!(format!("of {topic}"));
        message(topic, &payload)
    };
    let commands = [
        ("light", json!({"action": "on"}), "status/light"),
        ("actuator/bubbler", json!({"action": "status"}), "status/bubbler"),
        ("display", json!({"action": "clear"}), "planktor/status/display"),
        ("led-operating-time", json!({"action": "get"}), "status/led-operating-time"),
        ("planktor/lease", json!({"action": "status"}), "planktor/status/lease"),
        ("planktor/protocol/list", json!({}), "planktor/status/protocol"),
        ("imager/image", json!({"action": "settings", "settings": {"iso": 200}}), "status/imager"),
        ("planktor/nothing", json!({}), "planktor/status/refusal"),
        ("actuator/pump", json!({"action": "stop"}), "status/pump"),
    ];
    let script =
        in_turn(commands.iter().map(|(topic, payload, _)| with_id(topic, payload.clone())).collect());
    let played = play(script, 6_000);
    for (topic, _, answered) in commands {
        let answers = of(&played, answered)
            .into_iter()
            .filter(|said| said["id"] == json!(format!("of {topic}")))
            .count();
        assert_eq!(answers, 1, "{topic}: {:#?}", of(&played, answered));
    }
}
