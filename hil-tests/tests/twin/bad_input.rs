//! Bad input is refused with a reason; nothing moves, nothing is written outside the data root, and the next command
//! works.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

use planktor_hil_tests::{Scenario, Seen, dashboard, files, image, light_on, message, raw, update_config};
use planktor_runtime::mqtt::Message;
use serde_json::{Value, json};
use std::time::Duration;

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// Plays a message against a fresh instrument; gives back what was said, and checks that nothing moved.
fn refused(bad: Message) -> Vec<Seen> {
    let topic = bad.topic.clone();
    let ok = message(
        "actuator/pump",
        &json!({"action": "move", "direction": "FORWARD", "volume": 0.001, "flowrate": 3}),
    );
    let payload = String::from_utf8_lossy(&bad.payload).chars().take(60).collect::<String>();
    let played = Scenario::new(vec![(ms(500), bad), (ms(2_000), ok)], ms(4_000)).play();
    let world = played.twin.world();
    assert!((world.pumped_nl() - 1_000.0).abs() < 3.0, "{topic} {payload}: {} nL", world.pumped_nl());
    assert_eq!(world.stage_um(), 0.0, "{topic} {payload}: the stage moved");
    assert!(!world.is_lit(), "{topic} {payload}: the lamp was lit");
    drop(world);
    assert!(
        played.data_sets().is_empty() && played.files().is_empty(),
        "{topic} {payload}: something was written"
    );
    assert_eq!(played.count("status/pump", "Done"), 1, "{topic} {payload}: the next command works");
    let before = |seen: &Seen| seen.at < planktor_protocol::Instant::ZERO + ms(1_900);
    let answer =
        |seen: &Seen| before(seen) && !seen.payload["reason"].is_null() || seen.topic.starts_with("reply");
    let answers: Vec<_> = played.seen.into_iter().filter(answer).collect();
    assert!(!answers.is_empty(), "{topic} {payload}: no answer with a reason");
    answers
}

fn with(mut good: Value, key: &str, value: Value) -> Value {
    if value == json!("(missing)") {
        good.as_object_mut().expect("an object").remove(key);
    } else {
        good[key] = value;
    }
    good
}

const TOPICS: [&str; 14] = [
    "actuator/pump",
    "actuator/focus",
    "light",
    "actuator/light",
    "actuator/bubbler",
    "imager/image",
    "imager/image/update_config",
    "display",
    "led-operating-time",
    "planktor/acquire",
    "planktor/lease",
    "planktor/protocol/store",
    "planktor/protocol/run",
    "planktor/nothing/here",
];

#[test]
fn what_is_no_json_object_is_refused_on_every_topic() {
    let deep = "[".repeat(100_000);
    let payloads: [&[u8]; 10] = [
        b"",
        b"{",
        b"5",
        b"[1]",
        b"null",
        b"\"x\"",
        b"\xff\xfe",
        b"{\"action\":\"move\",",
        deep.as_bytes(),
        b"{\"action\": \"move\", \"direction\": \"FORWARD\", \"volume\": NaN, \"flowrate\": 3}",
    ];
    for topic in TOPICS {
        for payload in payloads {
            let answers = refused(raw(topic, payload));
            let word = answers[0].status();
            assert!(word.contains("Error") || word == "Refused", "{topic}: {answers:?}");
        }
    }
}

#[test]
fn what_is_asked_of_lamp_bubbler_and_metadata_must_make_sense() {
    for (topic, payload) in [
        ("light", r#"{"action": "on", "value": 2}"#),
        ("light", r#"{"action": "on", "value": -0.1}"#),
        ("light", r#"{"action": "on", "value": "bright"}"#),
        ("imager/image", r#"{"action": "update_config", "config": "text"}"#),
        ("imager/image", r#"{"action": "update_config", "config": {"sample_id": NaN}}"#),
        ("imager/image", r#"{"action": "update_config", "config": {"sample_id": 1e999}}"#),
        ("imager/image", r#"{"action": "capture", "jpeg": "yes"}"#),
        ("actuator/pump", r#"{"action": "set-configuration", "pump_steps_per_ml": "abc"}"#),
        ("actuator/pump", r#"{"action": "set-configuration", "pump_steps_per_ml": 0}"#),
        ("actuator/pump", r#"{"action": "set-configuration", "pump_steps_per_ml": -1}"#),
        ("actuator/pump", r#"{"action": "set-configuration"}"#),
        ("planktor/lease", r#"{"action": "take", "owner": ""}"#),
        ("light", r#"{"action": "on", "owner": 5}"#),
    ] {
        let answers = refused(raw(topic, payload.as_bytes()));
        assert!(!answers.is_empty(), "{topic} {payload}");
    }
}

#[test]
fn an_unknown_action_is_refused_on_every_topic() {
    for topic in TOPICS {
        for action in [json!("explode"), json!(5), json!(null), json!("(missing)"), json!("MOVE")] {
            refused(message(topic, &with(json!({"action": "x"}), "action", action)));
        }
    }
}

#[test]
fn a_stroke_that_cannot_be_is_refused() {
    let good = json!({"action": "move", "direction": "FORWARD", "volume": 0.006, "flowrate": 3});
    let bad = [
        (
            "volume",
            vec![
                json!("(missing)"),
                json!(null),
                json!("1"),
                json!(true),
                json!([1]),
                json!(-1),
                json!(0),
                json!(1e308),
                json!(1e-9),
            ],
        ),
        (
            "flowrate",
            vec![json!("(missing)"), json!(null), json!("3"), json!(0), json!(-3), json!(1e308), json!(1e-9)],
        ),
        ("direction", vec![json!("(missing)"), json!("forward"), json!("SIDEWAYS"), json!(1)]),
    ];
    for (key, values) in bad {
        for value in values {
            let answers = refused(message("actuator/pump", &with(good.clone(), key, value.clone())));
            assert!(answers[0].is("status/pump", answers[0].status()), "{key} {value}: {answers:?}");
        }
    }
    let zero = refused(message("actuator/pump", &with(good, "flowrate", json!(0))));
    assert_eq!(zero[0].status(), "Error, The flowrate should not be == 0");
}

#[test]
fn the_stage_is_not_driven_out_of_its_travel() {
    let good = json!({"action": "move", "direction": "UP", "distance": 0.1});
    for distance in [json!(46), json!(-100), json!(0), json!("far"), json!(null), json!(1e9)] {
        refused(message("actuator/focus", &with(good.clone(), "distance", distance)));
    }
    refused(message("actuator/focus", &with(good, "speed", json!(0))));
    let up = message("actuator/focus", &json!({"action": "move", "direction": "UP", "distance": 30}));
    let played = Scenario::new(vec![(ms(100), up.clone()), (ms(20_000), up)], ms(40_000)).play();
    assert_eq!(played.statuses("status/focus"), ["Started", "Done", "Idle", "Error"]);
    assert!((played.twin.world().stage_um() - 30_000.0).abs() < 1.0);
}

#[test]
fn an_acquisition_that_cannot_be_is_refused() {
    let good = json!({"action": "image", "pump_direction": "FORWARD", "volume": 0.006, "nb_frame": 2, "sleep": 0.5, "flowrate": 3});
    let bad = [
        ("nb_frame", vec![json!("(missing)"), json!(0), json!(-1), json!(2.7), json!(1e9), json!("ten")]),
        ("sleep", vec![json!("(missing)"), json!(-1), json!(1e18), json!(null)]),
        ("volume", vec![json!(0), json!(-1), json!("x")]),
        ("flowrate", vec![json!(0), json!(-2), json!(1e4)]),
        ("pump_direction", vec![json!("up"), json!("(missing)")]),
    ];
    for (key, values) in bad {
        for value in values {
            let answers = refused_when_configured(&with(good.clone(), key, value.clone()));
            assert!(answers.contains("Error"), "{key} {value}: {answers}");
        }
    }
}

fn refused_when_configured(start: &Value) -> String {
    let script = vec![(ms(100), update_config("bad", 2)), (ms(500), message("imager/image", start))];
    let played = Scenario::new(script, ms(5_000)).play();
    assert_eq!(played.twin.world().pumped_nl(), 0.0);
    assert!(played.files().is_empty());
    let last = played.seen.last().expect("an answer");
    assert!(!last.payload["reason"].is_null(), "{last:?}");
    last.status().to_string()
}

#[test]
fn without_a_configuration_nothing_begins() {
    let answers = refused(image(2));
    assert_eq!(answers[0].status(), "Configuration update error: object_date is missing!");
    let no_config = refused(message("imager/image", &json!({"action": "update_config"})));
    assert_eq!(no_config[0].status(), "Configuration message error");
}

#[test]
fn an_id_cannot_lead_out_of_the_data_root() {
    let long = "x".repeat(300);
    let ids = ["../../x", "..", ".", "a/b", "", " ", "a\\b", "a\nb", "nul\0", "\t", long.as_str()];
    for key in ["object_date", "sample_id", "acq_id"] {
        for id in ids {
            let mut config: Value = serde_json::from_slice(&update_config("good", 2).payload).unwrap();
            config["config"][key] = json!(id);
            let script = vec![(ms(100), message("imager/image", &config)), (ms(500), image(2))];
            let played = Scenario::new(script, ms(5_000)).play();
            let root = played.data.parent().unwrap();
            let written = files(root);
            assert!(written.is_empty(), "{key} {id:?}: {:?}", written[0].0);
            assert_eq!(played.twin.world().pumped_nl(), 0.0, "{key} {id:?}");
            let last = played.seen.iter().rfind(|seen| seen.topic == "status/imager").unwrap();
            assert!(!last.payload["reason"].is_null(), "{key} {id:?}: {last:?}");
        }
    }
}

#[test]
fn ids_with_quotes_blanks_and_emoji_name_one_folder_below_the_root() {
    for id in ["peer acq '1'", "; rm x", "🐟", "\"quoted\""] {
        let script = vec![(ms(100), light_on()), (ms(200), update_config(id, 1)), (ms(500), image(1))];
        let played = Scenario::new(script, ms(20_000)).until("status/imager", "Done").play();
        let sets = played.data_sets();
        assert_eq!(sets.len(), 1, "{id}");
        assert_eq!(sets[0].parent().unwrap(), played.data.join("img/2026-06-01/sample_1"), "{id}");
    }
}

#[test]
fn ids_that_are_in_use_are_refused_and_harm_nothing() {
    let mut script = dashboard("once", 1);
    script.extend([(ms(5_000), update_config("once", 1)), (ms(5_200), image(1))]);
    let played = Scenario::new(script, ms(8_000)).play();
    let statuses = played.statuses("status/imager");
    assert_eq!(statuses.last(), Some(&"Configuration update error: Chosen id are already in use!"));
    // Frame, the three other files of its data set, and what the instrument remembers.
    assert_eq!(played.files().len(), 5);
}

#[test]
fn a_bad_plan_says_which_field() {
    let plan = json!({"plan": [{"step": "repeat", "times": 2, "steps": [
        {"step": "pump", "volume_ul": 6, "flow_ml_per_min": 3}, {"step": "settle", "seconds": -1},
        {"step": "capture"}, {"step": "write"}]}]});
    let answers = refused(message("planktor/acquire", &plan));
    let reason = answers[0].payload["reason"].as_str().unwrap();
    assert!(reason.starts_with("plan[0].steps[1].seconds: expected a number from 0"), "{reason}");
}

#[test]
fn a_refusal_is_answered_where_the_client_waits_with_its_id() {
    let mut bad = message("actuator/pump", &json!({"action": "move", "id": "mine"}));
    bad.response_topic = Some("reply".into());
    let answers = refused(bad);
    assert!(
        answers.iter().any(|seen| seen.topic == "status/pump" && seen.payload["id"] == "mine"),
        "{answers:?}"
    );
    assert!(
        answers.iter().any(|seen| seen.topic == "reply" && seen.payload["error"]["message"].is_string()),
        "{answers:?}"
    );
}

#[test]
fn a_retained_command_is_a_memory_and_no_order() {
    let mut old = message(
        "actuator/pump",
        &json!({"action": "move", "direction": "FORWARD", "volume": 1, "flowrate": 3}),
    );
    old.retain = true;
    let played = Scenario::new(vec![(ms(100), old)], ms(3_000)).play();
    assert_eq!(played.twin.world().pumped_nl(), 0.0);
}

#[test]
fn while_an_acquisition_runs_others_are_told_that_it_is_busy() {
    let mut script = dashboard("busy", 2);
    let stroke = json!({"action": "move", "direction": "FORWARD", "volume": 0.1, "flowrate": 3});
    let up = json!({"action": "move", "direction": "UP", "distance": 1});
    script.extend([
        (ms(1_800), message("actuator/pump", &stroke)),
        (ms(1_800), message("actuator/focus", &up)),
        (ms(1_800), image(2)),
        (ms(1_800), update_config("other", 2)),
    ]);
    let played = Scenario::new(script, ms(60_000)).until("status/imager", "Done").play();
    assert_eq!(played.count("status/pump", "Busy"), 1);
    assert_eq!(played.count("status/focus", "Busy"), 1);
    assert_eq!(played.count("status/imager", "Busy"), 2);
    assert!((played.twin.world().pumped_nl() - 12_000.0).abs() < 5.0);
}
