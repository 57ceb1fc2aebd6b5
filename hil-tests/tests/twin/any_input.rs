//! Whatever is said: nothing panics, everything is answered, what was refused moves nothing, and nothing is written
//! outside the data root.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

use planktor_hil_tests::{Scenario, message, raw};
use planktor_runtime::mqtt::Message;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Value, json};
use std::path::Path;
use std::time::Duration;

const CASES: u32 = 150;
const MESSAGES: usize = 12;

/// One right message for every command.
fn right() -> Vec<(&'static str, Value)> {
    let plan = json!([{"step": "repeat", "times": 2, "steps": [
        {"step": "pump", "volume_ul": 1, "flow_ml_per_min": 3}, {"step": "settle", "seconds": 0.1},
        {"step": "focus_by", "um": 20, "mm_per_s": 1}, {"step": "capture"}, {"step": "write"}]}]);
    let protocol = json!({"description": "x", "cell_um": 300, "plan": plan});
    vec![
        ("actuator/pump", json!({"action": "move", "direction": "FORWARD", "volume": 0.001, "flowrate": 3})),
        ("actuator/pump", json!({"action": "stop"})),
        ("actuator/pump", json!({"action": "set-configuration", "pump_steps_per_ml": 3220})),
        ("actuator/pump", json!({"action": "get-configuration"})),
        (
            "actuator/pump",
            json!({"action": "try", "direction": "FORWARD", "volume": 0.01, "flowrate": 3, "amax": 3000}),
        ),
        ("actuator/pump", json!({"action": "get-ramp"})),
        (
            "actuator/pump",
            json!({"action": "set-ramp", "amax": 3000, "fastest_amax": 4000, "timid_ml": 1, "fast_ml": 1}),
        ),
        ("actuator/focus", json!({"action": "move", "direction": "UP", "distance": 0.05, "speed": 5})),
        ("actuator/focus", json!({"action": "stop"})),
        ("light", json!({"action": "on", "value": 0.5})),
        ("actuator/light", json!({"action": "save"})),
        ("actuator/bubbler", json!({"action": "on"})),
        ("display", json!({"action": "configure", "config": {"url": "x", "machine-name": "y"}})),
        ("led-operating-time", json!({"action": "increment", "seconds": 5})),
        (
            "imager/image/update_config",
            json!({"action": "update_config", "config":
            {"object_date": "2026-06-01", "sample_id": "s", "acq_id": "a", "acq_nb_frame": 1}}),
        ),
        (
            "imager/image",
            json!({"action": "image", "pump_direction": "FORWARD", "volume": 0.001, "nb_frame": 1,
            "sleep": 0.1, "flowrate": 3}),
        ),
        ("imager/image", json!({"action": "stop"})),
        ("imager/image", json!({"action": "capture", "jpeg": true, "dng": false})),
        (
            "imager/image",
            json!({"action": "settings", "settings": {"iso": 150, "shutter_speed": 125,
            "white_balance": "off", "white_balance_gain": {"red": 199, "blue": 165}, "image_gain": {"analog": 2}}}),
        ),
        ("planktor/acquire", json!({"plan": plan})),
        ("planktor/lease", json!({"action": "take", "owner": "ada", "seconds": 1, "take_over": true})),
        ("planktor/protocol/store", json!({"name": "mine", "protocol": protocol})),
        ("planktor/protocol/get", json!({"name": "mine"})),
        ("planktor/protocol/delete", json!({"name": "mine"})),
        ("planktor/protocol/validate", json!({"protocol": protocol})),
        ("planktor/protocol/estimate", json!({"protocol": protocol})),
        ("planktor/protocol/run", json!({"name": "mine"})),
        ("planktor/protocol/pause", json!({})),
        ("planktor/protocol/resume", json!({})),
        ("planktor/preview", json!({"action": "watch", "seconds": 1})),
        ("planktor/health", json!({"action": "get"})),
        ("planktor/elsewhere", json!({})),
    ]
}

/// What people and programs put where something else belongs.
fn wrong() -> Vec<Value> {
    let texts =
        ["", "../../x", "a/b", "..", "x\0y", "🐟", "\"", "it's", "a\nb", "UP", "BACKWARD", "NaN", "1e3"];
    let numbers = [-1.0, 0.0, 1e-9, 2.7, 46.0, 1e9, 1e18, 1e308, -1e308, 0.5];
    let mut all: Vec<_> =
        texts.iter().map(|text| json!(text)).chain(numbers.iter().map(|n| json!(n))).collect();
    all.extend([
        json!(null),
        json!(true),
        json!([]),
        json!([1]),
        json!({}),
        json!("x".repeat(300)),
        json!(u64::MAX),
    ]);
    all
}

/// Every place in a message, as a pointer.
fn places(value: &Value, path: &str, all: &mut Vec<String>) {
    let children: Vec<_> = match value {
        Value::Object(fields) => fields.iter().map(|(key, value)| (format!("{path}/{key}"), value)).collect(),
        Value::Array(items) => {
            items.iter().enumerate().map(|(i, value)| (format!("{path}/{i}"), value)).collect()
        }
        _ => vec![],
    };
    for (path, value) in children {
        all.push(path.clone());
        places(value, &path, all);
    }
}

/// A right message, or one in which a place holds something else.
fn said() -> impl Strategy<Value = (&'static str, Value)> {
    (select(right()), any::<prop::sample::Index>(), select(wrong()), any::<bool>()).prop_map(
        |((topic, mut payload), place, wrong, spoil)| {
            let mut all = vec![];
            places(&payload, "", &mut all);
            if spoil && !all.is_empty() {
                *payload.pointer_mut(&all[place.index(all.len())]).unwrap() = wrong;
            }
            (topic, payload)
        },
    )
}

#[test]
fn whatever_is_said_is_answered_and_what_is_refused_moves_nothing() {
    let config = Config { cases: CASES, failure_persistence: None, ..Config::default() };
    let mut runner = TestRunner::new_with_rng(
        config,
        proptest::test_runner::TestRng::deterministic_rng(proptest::test_runner::RngAlgorithm::ChaCha),
    );
    let sequences = prop::collection::vec((said(), 0..1_500_u64), 1..MESSAGES);
    runner
        .run(&sequences, |sequence| {
            let mut at = 500;
            let script = sequence.iter().enumerate().map(|(n, ((topic, payload), pause))| {
                at += pause;
                let mut payload = payload.clone();
                payload["id"] = json!(n);
                (Duration::from_millis(at), message(topic, &payload))
            });
            let script: Vec<(Duration, Message)> = script.collect();
            let played = Scenario::new(script, Duration::from_secs(200)).play();
            let (mut pumps, mut focuses) = (false, false);
            for (n, ((topic, payload), _)) in sequence.iter().enumerate() {
                let mine = |seen: &&planktor_hil_tests::Seen| seen.payload["id"] == json!(n);
                let answers: Vec<_> = played.seen.iter().filter(mine).collect();
                let named_after = played.seen.iter().any(|seen| seen.payload["stopped_by"] == json!(n));
                // The calibration is answered to the response topic only; a wait of a day is not over yet.
                let silent = *topic == "actuator/pump"
                    && payload["action"]
                        .as_str()
                        .is_some_and(|a| a.contains("config") || a.contains("-ramp"));
                let waits = payload.to_string().contains("46") || payload.to_string().contains("1000000000");
                prop_assert!(
                    !answers.is_empty() || named_after || silent || waits,
                    "{topic} {payload} has no answer"
                );
                let began = answers.iter().any(|seen| seen.status() == "Started");
                pumps |= began && (*topic != "actuator/focus");
                focuses |= began && (*topic != "actuator/pump");
            }
            let world = played.twin.world();
            prop_assert!(
                pumps || world.pumped_nl() == 0.0,
                "{} nL pumped, and nothing began",
                world.pumped_nl()
            );
            prop_assert!(
                focuses || world.stage_um() == 0.0,
                "{} um moved, and nothing began",
                world.stage_um()
            );
            drop(world);
            let beside: Vec<_> = std::fs::read_dir(played.data.parent().unwrap())
                .unwrap()
                .map(|f| f.unwrap().path())
                .collect();
            prop_assert_eq!(beside, vec![played.data.clone()]);
            let places = ["img", "captures", "protocols", "twin"];
            for file in std::fs::read_dir(&played.data).unwrap() {
                let name = file.unwrap().file_name();
                prop_assert!(places.iter().any(|place| name == *place), "{name:?} was written");
            }
            Ok(())
        })
        .unwrap();
}

/// What the fuzzer found worth keeping, against the whole instrument.
#[test]
fn the_fuzzers_corpus_harms_nothing() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus/payload");
    let topics = right();
    let mut files: Vec<_> = std::fs::read_dir(&corpus).unwrap().map(|file| file.unwrap().path()).collect();
    files.sort();
    assert!(files.len() >= topics.len(), "the corpus is kept in {}", corpus.display());
    let script = files.iter().zip(1..).map(|(file, n)| {
        let bytes = std::fs::read(file).unwrap();
        let topic = topics[usize::from(*bytes.first().unwrap_or(&0)) % topics.len()].0;
        (Duration::from_millis(n * 50), raw(topic, bytes.get(1..).unwrap_or_default()))
    });
    let mut script: Vec<_> = script.collect();
    let last = script.last().unwrap().0 + Duration::from_secs(100);
    script.push((last, message("actuator/pump", &json!({"action": "stop", "id": "last"}))));
    let played = Scenario::new(script, last + Duration::from_secs(10)).play();
    assert!(played.seen.iter().any(|seen| seen.payload["id"] == "last"), "it is alive");
}
