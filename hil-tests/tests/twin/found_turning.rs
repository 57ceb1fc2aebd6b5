//! A program that is started while a motor still turns from before: its predecessor was killed in mid-move, and nobody has
//! stopped the chip. Virtual time; the chip was set going before the program began.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

use planktor_hil_tests::{began, message};
use planktor_protocol::{Axis, Instant};
use planktor_runtime::scenario::Scenario;
use planktor_runtime::stage::{Act, Client, Cue, Play, Seen};
use planktor_sim::disk::MemoryDisk;
use planktor_sim::{Hat, Parameters, Settings, Twin};
use serde_json::{Value, json};
use std::path::Path;
use std::time::Duration;

const STARTED: Duration = Duration::from_secs(20);

fn at(s: f64) -> Instant {
    Instant::ZERO + Duration::from_secs_f64(s)
}

/// What a predecessor wrote: set-up, ramp, and a target that is far.
const PREDECESSOR: [(u8, u32); 15] = [
    (0x01, 0x07),
    (0x00, 0x0000_0004),
    (0x6C, 0x0001_00C3),
    (0x10, 0x0008_0501),
    (0x23, 1),
    (0x24, 2_000),
    (0x25, 3_000),
    (0x26, 1_000),
    (0x28, 1_000),
    (0x2A, 4_000),
    (0x2B, 10),
    (0x21, 0),
    (0x27, 50_000),
    (0x2D, 400_000),
    (0x20, 0),
];

/// Has a motor going since so long before the start; without current from the start on, if it `loses` it.
fn set_going(twin: &Twin, axis: Axis, since: Duration, loses: bool) {
    let mut world = twin.world();
    let chip = if axis == Axis::Pump { &mut world.pump } else { &mut world.focus };
    let then = Instant::ZERO + (STARTED - since);
    chip.enable(true, then);
    for (address, value) in PREDECESSOR {
        let [a, b, c, d] = value.to_be_bytes();
        chip.datagram(&mut [address | 0x80, a, b, c, d], then);
    }
    if loses {
        chip.enable(false, Instant::ZERO + STARTED);
    }
}

/// Listens, and remembers where shaft and stage were when a stroke began and ended.
#[derive(Default)]
struct Listener {
    seen: Vec<Seen>,
    shafts: Vec<f64>,
    stage_um: f64,
    over: bool,
}

impl Client for Listener {
    fn hears(&mut self, seen: &Seen, twin: &Twin) -> Vec<Act> {
        let world = twin.world();
        if seen.is("status/pump", "Started") || seen.is("status/pump", "Done") {
            self.shafts.push(world.pump.shaft_at(seen.at));
        }
        if seen.topic == "planktor/status/health" {
            self.stage_um = world.stage_um();
            self.over = true;
        }
        self.seen.push(seen.clone());
        vec![]
    }

    fn is_over(&self) -> bool {
        self.over
    }
}

/// Started while a motor turns since so long; a stroke of 6 uL and a move by 100 um later its health is asked.
fn found(hat: Hat, axis: Axis, since: Duration, loses: bool) -> Listener {
    let scenario = Scenario {
        hat,
        frame: Settings::SMALL_FRAME.try_into().unwrap(),
        limit_s: Duration::from_secs(60).into(),
        parameters: Parameters { focus_backlash_um: 0.0, ..Parameters::default() },
        ..Scenario::default()
    };
    let mut disk = MemoryDisk::of(&scenario.parameters);
    planktor_drivers::Disk::create_dir_all(&mut disk, Path::new("/data")).unwrap();
    let mut play = Play::of(&scenario, Instant::ZERO + STARTED, began(), Box::new(disk), "/data".into());
    set_going(&play.twin, axis, since, loses);
    let stroke = json!({"action": "move", "direction": "FORWARD", "volume": 0.006, "flowrate": 3});
    let up = json!({"action": "move", "direction": "UP", "distance": 0.1});
    let said = [
        (25.0, "actuator/pump", stroke),
        (26.0, "actuator/focus", up),
        (30.0, "planktor/health", json!({"action": "get"})),
    ];
    play.cues = said
        .map(|(s, topic, order)| Cue { at: at(s), after: 0, act: Act::Say(message(topic, &order)) })
        .into();
    let (_, listener) = play.run(Listener::default()).unwrap();
    assert!(listener.over, "{:#?}", listener.seen);
    listener
}

fn healths(listener: &Listener, device: &str) -> Vec<String> {
    let topic = format!("planktor/status/device/{device}");
    let healths = listener.seen.iter().filter(|seen| seen.topic == topic);
    healths.map(|seen| format!("{} {}", seen.payload["health"], seen.payload["reason"])).collect()
}

const HATS: [Hat; 2] = [Hat::V1_2, Hat::V3_3];

#[test]
fn a_pump_that_still_turns_is_opened_when_it_stands_and_pumps_what_it_is_told() {
    for hat in HATS {
        for since in [0.05, 1.0, 3.0] {
            let listener = found(hat, Axis::Pump, Duration::from_secs_f64(since), false);
            let healths = healths(&listener, "pump");
            assert!(
                healths[0].contains("still turned") && healths.last().unwrap().contains("present"),
                "{healths:?}"
            );
            let moved = listener.shafts[1] - listener.shafts[0];
            let asked = 6e-3 * hat.pump_steps_per_ml() * 256.0;
            assert!((moved - asked).abs() < 1.5, "{hat:?}, {since} s: {moved} usteps instead of {asked}");
        }
    }
}

/// It may have lost its current when the program before was gone: then the chip has counted what the stage did not go.
#[test]
fn a_stage_that_still_moves_is_opened_when_it_stands_and_its_height_is_right_or_in_doubt() {
    for (hat, loses) in HATS.into_iter().flat_map(|hat| [(hat, false), (hat, true)]) {
        for since in [0.05, 1.0, 3.0] {
            let listener = found(hat, Axis::Focus, Duration::from_secs_f64(since), loses);
            let healths = healths(&listener, "focus");
            assert!(
                healths[0].contains("still turned") && healths.last().unwrap().contains("present"),
                "{healths:?}"
            );
            let health = &listener.seen.last().unwrap().payload["stage"];
            let says = health["height_um"].as_f64().unwrap();
            let (is, uncertain) = (listener.stage_um, health["uncertain"] == true);
            let right = (is - says).abs() < 1.0;
            assert!(
                right || uncertain,
                "{hat:?}, {since} s, loses {loses}: it is at {is} um and says {says} um"
            );
            assert!(!loses || !right, "{hat:?}, {since} s: it does lose its way: {is} um");
        }
    }
}

/// What stands is opened at once, as ever.
#[test]
fn a_chip_that_stands_somewhere_is_believed() {
    let listener = found(Hat::V3_3, Axis::Focus, Duration::from_secs(15), false);
    assert_eq!(healths(&listener, "focus"), [r#""present" null"#]);
    let health: &Value = &listener.seen.last().unwrap().payload["stage"];
    assert_eq!(health["uncertain"], false);
    assert!((listener.stage_um - health["height_um"].as_f64().unwrap()).abs() < 1.0, "{health}");
}
