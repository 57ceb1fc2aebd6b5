//! The fastest ramp that a pump bears: found by trials, confirmed by volume, kept. Virtual time; a twin whose pump loses
//! steps beyond an acceleration; the client searches as `planktor calibrate ramp` does.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

use planktor_hil_tests::{Played, Scenario, Seen, message};
use planktor_protocol::Fault;
use planktor_protocol::pump::Amax;
use planktor_runtime::mqtt::Message;
use planktor_runtime::ramp::{Found, Search, Trial};
use planktor_sim::Twin;
use serde_json::{Value, json};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

const ANSWERS: &str = "actuator/pump/7/response";

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn ask(order: &Value) -> Message {
    Message { response_topic: Some(ANSWERS.into()), ..message("actuator/pump", order) }
}

fn attempt(amax: Amax, forwards: bool) -> Message {
    let direction = if forwards { "FORWARD" } else { "BACKWARD" };
    ask(&json!({"action": "try", "direction": direction, "volume": 0.006, "flowrate": 3, "amax": amax.0}))
}

fn stroke() -> Message {
    ask(&json!({"action": "move", "direction": "FORWARD", "volume": 0.006, "flowrate": 3}))
}

fn set_ramp(amax: u32, fastest: u32, timid_ml: f64, fast_ml: f64) -> Message {
    ask(
        &json!({"action": "set-ramp", "amax": amax, "fastest_amax": fastest, "timid_ml": timid_ml, "fast_ml": fast_ml}),
    )
}

fn answers(played: &Played) -> Vec<&Value> {
    played.seen.iter().filter(|seen| seen.topic == ANSWERS).map(|seen| &seen.payload).collect()
}

/// What a pump that loses steps from here on bears, in the unit of a driver with this clock.
fn limit(steps_per_s2: f64, clock_hz: f64) -> f64 {
    steps_per_s2 * 256.0 * 2f64.powi(41) / clock_hz / clock_hz
}

/// Searches on a twin; what was found, how often the pump stalled, and what the shaft did in two strokes at the end, uL.
fn search(steps_per_s2: f64, clock_hz: f64) -> (Option<Found>, usize, f64) {
    let state = Arc::new(Mutex::new((Search::default(), 0, vec![])));
    let mut scenario = Scenario::new(vec![(ms(500), attempt(Amax::TIMID, true))], ms(600_000));
    scenario.parameters.pump_most_steps_per_s2 = steps_per_s2;
    scenario.parameters.pump_clock_hz = clock_hz;
    let held = state.clone();
    let react = move |seen: &Seen, twin: &Twin| {
        let (search, stalls, pumped) = &mut *held.lock().unwrap();
        let mut next = |search: &Search| match search.trial() {
            Some(Trial { amax, forwards }) => vec![attempt(amax, forwards)],
            None => {
                pumped.push(twin.world().pumped_nl() / 1e3);
                if pumped.len() <= 2 { vec![stroke()] } else { vec![] }
            }
        };
        match seen.topic.as_str() {
            ANSWERS => match seen.payload["error"]["message"].as_str() {
                None => {
                    if search.trial().is_some() {
                        search.went(false);
                    }
                    next(search)
                }
                Some(why) => {
                    assert_eq!(why, Fault::Stalled.to_string());
                    *stalls += 1;
                    search.went(true);
                    vec![]
                }
            },
            "planktor/status/device/pump" if *stalls > 0 && seen.payload["health"] == "present" => {
                next(search)
            }
            _ => vec![],
        }
    };
    let done = state.clone();
    Scenario { until: Box::new(move |_| done.lock().unwrap().2.len() > 2), ..scenario }.react(react).play();
    let (search, stalls, pumped) = &*state.lock().unwrap();
    (search.found(), *stalls, pumped[2] - pumped[0])
}

#[test]
fn the_search_finds_what_the_pump_bears_and_the_pump_pumps_as_before_afterwards() {
    for (steps_per_s2, clock_hz) in
        [(900.0, 12.41e6), (1_450.0, 10.8e6), (2_400.0, 12e6), (4_100.0, 13.2e6), (6_999.0, 12e6)]
    {
        let (found, stalls, pumped_ul) = search(steps_per_s2, clock_hz);
        let (Found { fastest, kept }, limit) = (found.unwrap(), limit(steps_per_s2, clock_hz));
        let (fastest, kept) = (f64::from(fastest.0), f64::from(kept.0));
        assert!(
            fastest <= limit && fastest * 1.05 > limit,
            "{steps_per_s2} at {clock_hz}: {fastest} for {limit}"
        );
        assert!(kept < 0.75 * limit, "{steps_per_s2} at {clock_hz}: {kept} is too near to {limit}");
        assert!(stalls >= 1, "{steps_per_s2} at {clock_hz}: it never stalled");
        assert!(
            (pumped_ul - 12.0).abs() < 0.01,
            "{steps_per_s2} at {clock_hz}: {pumped_ul} uL in two strokes"
        );
    }
}

#[test]
fn a_stall_ends_its_stroke_with_the_motor_off_and_the_next_stroke_is_as_always() {
    let script = vec![(ms(500), attempt(Amax(15_000), true)), (ms(3_000), stroke())];
    let played = Scenario::new(script, ms(10_000)).play();
    let said = answers(&played);
    assert_eq!(said[0]["error"]["message"], Fault::Stalled.to_string());
    assert_eq!(said[0]["error"]["kind"], "failed");
    assert_eq!(said[1], &json!({}), "the stroke after it");
    let health: Vec<_> = played.seen.iter().filter(|seen| seen.payload["device"] == "pump").collect();
    let words: Vec<_> = health.iter().map(|seen| seen.payload["health"].as_str().unwrap()).collect();
    assert_eq!(words, ["present", "lost", "present"]);
    let lengths = durations(&played);
    assert!(lengths[1] > 1.5 * lengths[0], "the trial's ramp was kept: {lengths:?}");
}

fn durations(played: &Played) -> Vec<f64> {
    played.seen.iter().filter_map(|seen| seen.payload["duration"].as_f64()).collect()
}

#[test]
fn a_ramp_that_does_not_pump_the_same_or_was_never_borne_is_refused_and_nothing_is_changed() {
    let script = vec![
        (ms(500), set_ramp(6_000, 9_000, 1.0, 0.95)),
        (ms(600), set_ramp(6_000, 9_000, 1.0, 1.04)),
        (ms(700), set_ramp(6_000, 9_000, 0.0, 0.0)),
        (ms(800), set_ramp(9_500, 9_000, 1.0, 1.0)),
        (ms(900), set_ramp(60_000, 60_000, 1.0, 1.0)),
        (ms(1_000), ask(&json!({"action": "get-ramp"}))),
    ];
    let played = Scenario::new(script, ms(2_000)).play();
    let said = answers(&played);
    for (n, words) in
        ["more than 3 % apart", "more than 3 % apart", "more than 3 % apart", "faster than", "amax"]
            .into_iter()
            .enumerate()
    {
        let why = said[n]["error"]["message"].as_str().unwrap();
        assert!(why.contains(words), "{why}");
    }
    assert_eq!(said[5], &json!({"amax": 2_000}));
    assert!(!hardware(&played.data).exists());
}

fn hardware(data: &Path) -> std::path::PathBuf {
    data.join("twin/hardware.json")
}

#[test]
fn what_is_kept_is_in_force_at_once_and_after_a_restart_with_its_date_and_figures() {
    let folder = tempfile::tempdir().unwrap();
    let play = |script| {
        let scenario = Scenario { data: Some(folder.path().into()), ..Scenario::new(script, ms(10_000)) };
        scenario.play()
    };
    let first = play(vec![
        (ms(500), stroke()),
        (ms(2_000), set_ramp(6_500, 9_300, 1.0, 0.98)),
        (ms(3_000), stroke()),
    ]);
    assert_eq!(answers(&first)[1], &json!({"amax": 6_500}));
    let [before, after] = durations(&first)[..] else { panic!("two strokes") };
    assert!(after < 0.62 * before, "{before} s, then {after} s");
    let kept: Value = serde_json::from_slice(&std::fs::read(hardware(folder.path())).unwrap()).unwrap();
    assert_eq!(kept["pump_amax"], 6_500);
    let found = &kept["pump_ramp"];
    assert!(found["date"].as_str().unwrap().starts_with("2026-06-01T08:00:0"), "{found}");
    assert_eq!(
        [&found["fastest_amax"], &found["timid_ml"], &found["fast_ml"]],
        [&json!(9_300), &json!(1.0), &json!(0.98)]
    );
    let again = play(vec![(ms(500), stroke()), (ms(2_000), ask(&json!({"action": "get-ramp"})))]);
    assert!(durations(&again)[0] < 0.62 * before, "{:?}", durations(&again));
    assert_eq!(answers(&again)[1], &json!({"amax": 6_500}));
}
