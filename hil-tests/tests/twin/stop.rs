//! Stop and end, at any moment, in virtual time.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

use planktor_drivers::Clock;
use planktor_hil_tests::{
    Played, Scenario, Script, Seen, dashboard, image, message, shut_down, update_config,
};
use planktor_runtime::dataset;
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn stop(topic: &str) -> planktor_runtime::mqtt::Message {
    message(topic, &json!({"action": "stop"}))
}

fn stroke(ml: f64) -> planktor_runtime::mqtt::Message {
    message("actuator/pump", &json!({"action": "move", "direction": "FORWARD", "volume": ml, "flowrate": 3}))
}

/// Strokes of more than a second: who is not told to stop is still seen turning when braking would be over.
fn long_strokes(acq_id: &str) -> Script {
    let mut script = dashboard(acq_id, 3);
    let image = json!({"action": "image", "pump_direction": "FORWARD", "volume": 0.05, "nb_frame": 3, "sleep": 0.5,
                       "flowrate": 3});
    script[2] = (ms(1_200), message("imager/image", &image));
    script
}

/// From full speed the ramp takes 0.31 s.
const BRAKED: Duration = Duration::from_millis(400);

/// The motors brake when it is said, and stand soon after; the light is as it was.
#[test]
fn an_acquisition_can_be_stopped_at_any_moment() {
    let brakes = Arc::new(AtomicUsize::new(0));
    for at in (1_200..7_500).step_by(37) {
        let mut script = long_strokes("stopped");
        script.push((ms(at), stop("imager/image")));
        let seen_braking = brakes.clone();
        let scenario = Scenario::new(script, ms(at + 4_000)).react(move |seen, twin| {
            if seen.is("status/imager", "Interrupted") {
                let world = twin.world();
                assert!(!world.pump.turns_at(world.now() + BRAKED), "told, but the pump was not stopped");
                seen_braking.fetch_add(usize::from(world.pump.turns_at(world.now())), SeqCst);
            }
            vec![]
        });
        let played = scenario.play();
        let ends = ["Done", "Interrupted"].map(|end| played.count("status/imager", end));
        assert!(ends == [0, 1] || ends == [1, 1], "stopped at {at} ms: {ends:?}");
        let world = played.twin.world();
        assert!(!world.pump.turns_at(world.now()), "stopped at {at} ms, and the pump turns");
        assert!(world.is_lit(), "a stop leaves the light as it was");
        drop(world);
        let report = dataset::verify(&played.data_sets()[0]);
        assert!(report.is_valid(), "stopped at {at} ms: {report}");
    }
    assert!(brakes.load(SeqCst) > 50, "most of these stops are to meet a pump that turns");
}

#[test]
fn a_stop_in_mid_stroke_brakes_before_it_is_answered() {
    let mut script = long_strokes("braking");
    script.push((ms(2_000), stop("imager/image")));
    let played = Scenario::new(script, ms(9_000)).react(|seen, twin| {
        if seen.is("status/imager", "Interrupted") {
            let world = twin.world();
            assert!(world.pump.turns_at(world.now()), "this test is about a pump that turns");
            assert!(!world.pump.turns_at(world.now() + BRAKED), "it was not told to stop");
        }
        vec![]
    });
    let played = played.play();
    assert_eq!(played.count("status/pump", "Interrupted"), 1);
    assert_eq!(played.count("status/imager", "Interrupted"), 1);
    assert_eq!(played.enabled, [false, false], "ramp down, then release");
}

/// A stop overtakes what waits: a move that was admitted before it gets no permit after it.
#[test]
fn a_move_that_a_stop_overtook_never_starts() {
    let up = message("actuator/focus", &json!({"action": "move", "direction": "UP", "distance": 1}));
    let script = vec![(ms(100), message("light", &json!({"action": "status"})))];
    let scenario = Scenario::new(script, ms(3_000)).react(move |seen, _| {
        let now = seen.topic == "status/light" && seen.at > planktor_protocol::Instant::ZERO;
        let both = vec![stroke(0.01), up.clone(), stop("actuator/pump"), stop("actuator/focus")];
        if now { both } else { vec![] }
    });
    let played = scenario.play();
    let world = played.twin.world();
    assert_eq!((world.pumped_nl(), world.stage_um()), (0.0, 0.0));
    for topic in ["status/pump", "status/focus"] {
        assert_eq!(
            played.statuses(topic),
            ["Interrupted", "Idle", "Busy"],
            "{topic}: the stop, then the refusal"
        );
    }
}

#[test]
fn after_a_stop_the_next_acquisition_works() {
    let mut script = dashboard("first", 5);
    script.extend([
        (ms(3_000), stop("imager/image")),
        (ms(3_000), update_config("second", 3)),
        (ms(3_000), image(3)),
    ]);
    let played = Scenario::new(script, ms(60_000)).until("status/imager", "Done").play();
    assert_eq!(played.count("status/imager", "Interrupted"), 1);
    let reports: Vec<_> = played.data_sets().iter().map(|folder| dataset::verify(folder)).collect();
    assert_eq!(reports.len(), 2);
    assert!(reports.iter().all(dataset::Report::is_valid), "{} {}", reports[0], reports[1]);
}

/// Back to back, with nothing between them: both moves as asked.
#[test]
fn move_stop_move_does_what_it_says() {
    for between in [0, 1, 50, 200, 390, 500] {
        let script = vec![
            (ms(100), stroke(0.006)),
            (ms(100 + between), stop("actuator/pump")),
            (ms(100 + between), stroke(0.002)),
        ];
        let played = Scenario::new(script, ms(5_000)).play();
        assert_eq!(played.count("status/pump", "Interrupted"), 1, "{between} ms between");
        let statuses = played.statuses("status/pump");
        assert_eq!(statuses[statuses.len() - 3..], ["Started", "Done", "Idle"], "{between} ms between");
        let pumped = played.twin.world().pumped_nl();
        assert!((2_000.0..8_300.0).contains(&pumped), "{pumped} nL with {between} ms between");
        if between == 0 {
            let first = played.count("status/pump", "Started") == 1;
            assert!(!first || (pumped - 2_000.0).abs() < 3.0, "{pumped} nL");
        }
    }
}

#[test]
fn every_stop_is_answered_also_when_nothing_moves() {
    let script = vec![
        (ms(100), stop("actuator/pump")),
        (ms(200), stop("actuator/focus")),
        (ms(300), stop("imager/image")),
    ];
    let played = Scenario::new(script, ms(1_000)).play();
    assert_eq!(
        played.statuses("status/pump"),
        ["Interrupted", "Idle"].repeat(2),
        "the imager's stop stops the pump"
    );
    assert_eq!(played.statuses("status/focus"), ["Interrupted", "Idle"]);
    assert_eq!(played.statuses("status/imager"), ["Interrupted"]);
}

#[test]
fn a_stop_answers_who_gave_it_and_whom_it_ended() {
    let with_reply = |mut message: planktor_runtime::mqtt::Message, topic: &str| {
        message.response_topic = Some(topic.into());
        message
    };
    let script = vec![
        (ms(100), with_reply(stroke(0.02), "reply/move")),
        (ms(300), with_reply(stop("actuator/pump"), "reply/stop")),
    ];
    let played = Scenario::new(script, ms(3_000)).play();
    for topic in ["reply/move", "reply/stop"] {
        let replies = played.seen.iter().filter(|seen| seen.topic == topic).count();
        assert_eq!(replies, 1, "{topic}");
    }
}

#[test]
fn the_program_can_end_at_any_moment() {
    for at in (1_200..5_000).step_by(211) {
        let mut script = dashboard("ended", 5);
        script.push((ms(at), shut_down()));
        let ended = |seen: &Seen| seen.is("status/imager", "Dead");
        let scenario = Scenario { until: Box::new(ended), ..Scenario::new(script, ms(60_000)) };
        let played = scenario.play();
        assert_dead(&played, at);
        let report = dataset::verify(&played.data_sets()[0]);
        assert!(report.is_valid(), "ended at {at} ms: {report}");
    }
}

fn assert_dead(played: &Played, at: u64) {
    let world = played.twin.world();
    assert_eq!(played.enabled, [false, false], "ended at {at} ms: a motor has current");
    assert!(!world.is_lit(), "ended at {at} ms: the lamp is lit");
    for topic in ["status/pump", "status/focus", "status/light", "status/imager"] {
        assert_eq!(played.count(topic, "Dead"), 1, "ended at {at} ms: {topic}");
    }
    assert!(played.clock.now() < planktor_protocol::Instant::ZERO + ms(at + 5_000), "within its deadline");
}

#[test]
fn the_programs_end_brakes_before_it_lets_go() {
    let script = vec![(ms(100), stroke(0.5)), (ms(2_000), shut_down())];
    let played = Scenario::new(script, ms(60_000)).until("status/imager", "Dead").play();
    let world = played.twin.world();
    let turned = world.pump.last_turned(world.now()).unwrap();
    assert!(turned.duration() > ms(200), "it ramped down from full speed: {turned:?}");
}

/// A stop overtakes what waits; an acquisition that was sent before it must not begin after it, and wait for ever.
#[test]
fn an_acquisition_that_a_stop_overtook_is_answered_and_the_next_one_works() {
    let mut script = dashboard("overtaken", 2);
    script.pop();
    script.push((ms(8_000), image(2)));
    let scenario = Scenario::new(script, ms(60_000)).until("status/imager", "Done").react(|seen, _| {
        let configured = seen.is("status/imager", "Config updated");
        if configured { vec![image(2), stop("imager/image")] } else { vec![] }
    });
    let played = scenario.play();
    assert_eq!(played.statuses("status/imager")[..3], ["Config updated", "Interrupted", "Interrupted"]);
    assert_eq!(played.count("status/imager", "Done"), 1);
    assert_eq!(played.data_sets().len(), 1);
}

/// Both in one turn of the loop, so that the move finds a stop that is not answered yet.
#[test]
fn move_stop_move_in_one_breath_does_what_it_says() {
    for first in [0.002, 0.2] {
        let script =
            vec![(ms(100), stroke(first)), (ms(400), message("light", &json!({"action": "status"})))];
        let scenario = Scenario::new(script, ms(5_000)).react(|seen, _| {
            let now = seen.topic == "status/light" && seen.at > planktor_protocol::Instant::ZERO;
            if now { vec![stop("actuator/pump"), stroke(0.003)] } else { vec![] }
        });
        let played = scenario.play();
        assert_eq!(played.count("status/pump", "Busy"), 0, "{first} mL");
        let statuses = played.statuses("status/pump");
        assert_eq!(statuses[statuses.len() - 3..], ["Started", "Done", "Idle"], "{first} mL");
    }
}

#[test]
fn a_stop_that_finds_no_room_stops_all_the_same() {
    let scenario = Scenario::new(vec![(ms(100), stroke(0.5))], ms(4_000)).react(|seen, _| {
        let flood = seen.is("status/pump", "Started");
        let flood = if flood { vec![stop("actuator/focus"); 64] } else { vec![] };
        flood.iter().cloned().chain((!flood.is_empty()).then(|| stop("actuator/pump"))).collect()
    });
    let played = scenario.play();
    assert!(played.twin.world().pumped_nl() < 20_000.0, "the pump went on");
    assert_eq!(played.count("status/pump", "Interrupted"), 1);
}

#[test]
fn an_acquisition_waits_until_what_was_stopped_before_it_stands() {
    let plan = json!({"plan": [{"step": "settle", "seconds": 0.5}, {"step": "capture"}, {"step": "write"}]});
    let fast = json!({"action": "move", "direction": "FORWARD", "volume": 5, "flowrate": 20});
    let script = vec![
        (ms(100), update_config("braking", 1)),
        (ms(200), message("actuator/pump", &fast)),
        (ms(4_000), stop("actuator/pump")),
        (ms(4_001), message("planktor/acquire", &plan)),
    ];
    let played = Scenario::new(script, ms(30_000)).until("status/imager", "Done").play();
    let world = played.twin.world();
    let truth = world.truths().next().unwrap();
    assert!(
        !truth.in_motion() && truth.displacement_um() < 0.375,
        "the water moved {} um",
        truth.displacement_um()
    );
}

#[test]
fn after_the_order_to_end_nothing_is_begun() {
    let light = || message("light", &json!({"action": "on"}));
    let script = vec![(ms(100), stroke(0.5)), (ms(2_000), shut_down()), (ms(2_010), light())];
    let scenario = Scenario::new(script, ms(8_000)).react(move |seen, _| {
        if seen.is("status/imager", "Dead") { vec![light(), stroke(0.1)] } else { vec![] }
    });
    let played = scenario.play();
    assert!(!played.twin.world().is_lit(), "the lamp was lit at the end");
    assert_eq!(played.count("status/pump", "Started"), 1);
    assert_eq!(played.enabled, [false, false]);
}

#[test]
fn a_stop_takes_the_current_away_also_from_a_motor_that_stands() {
    let script = vec![(ms(100), stroke(0.002)), (ms(2_000), stop("actuator/pump"))];
    let played = Scenario::new(script, ms(3_000)).play();
    assert_eq!(played.enabled, [false, false]);
    let moved = Scenario::new(vec![(ms(100), stroke(0.002))], ms(3_000)).play();
    assert_eq!(moved.enabled, [true, false], "between strokes it holds");
}

#[test]
fn both_names_are_in_the_status_that_answers_a_move_and_its_stop() {
    let mut script = vec![(ms(100), stroke(0.1)), (ms(500), stop("actuator/pump"))];
    for ((_, message), id) in script.iter_mut().zip(["my move", "my stop"]) {
        let mut payload: serde_json::Value = serde_json::from_slice(&message.payload).unwrap();
        payload["id"] = json!(id);
        message.payload = payload.to_string().into_bytes();
    }
    let played = Scenario::new(script, ms(3_000)).play();
    let interrupted = played.seen.iter().find(|seen| seen.is("status/pump", "Interrupted")).unwrap();
    assert_eq!(
        (&interrupted.payload["id"], &interrupted.payload["stopped_by"]),
        (&json!("my move"), &json!("my stop"))
    );
}

/// Who stops the acquisition wants nothing to move, also where somebody else moves the stage.
#[test]
fn the_imagers_stop_stops_a_stage_that_somebody_moves() {
    let up = message("actuator/focus", &json!({"action": "move", "direction": "UP", "distance": 20}));
    let script = vec![(ms(100), up), (ms(800), stop("imager/image"))];
    let played = Scenario::new(script, ms(20_000)).react(|seen, twin| {
        if seen.is("status/imager", "Interrupted") {
            let world = twin.world();
            assert!(world.focus.turns_at(world.now()), "this test is about a stage that moves");
            assert!(!world.focus.turns_at(world.now() + BRAKED), "it was not told to stop");
        }
        vec![]
    });
    let played = played.play();
    assert_eq!(["Done", "Interrupted"].map(|end| played.count("status/focus", end)), [0, 1]);
}

/// Pages take two seconds of ink each; who asks for many has the instrument's own orders refused no lamp.
#[test]
fn however_many_pages_wait_the_lamp_goes_dark_at_the_end() {
    let page = |n: u64| {
        let config = json!({"url": format!("page {n}"), "machine-name": "y"});
        (ms(1_000 + n), message("display", &json!({"action": "configure", "config": config})))
    };
    let mut script = vec![(ms(100), planktor_hil_tests::light_on())];
    script.extend((0..60).map(page));
    script.push((ms(1_500), shut_down()));
    let played = Scenario::new(script, ms(60_000)).play();
    assert!(played.seen.iter().any(|seen| seen.is("status/light", "On")));
    assert!(!played.twin.world().is_lit(), "{:?}", played.statuses("planktor/status/display"));
}
