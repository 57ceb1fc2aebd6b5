//! A device that fails is made safe, reported and opened again; what it was asked is answered; the rest goes on.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

use planktor_actors::recording::Record;
use planktor_drivers::board::{Board, Spi};
use planktor_hil_tests::meddled::{Meddled, changed, send};
use planktor_hil_tests::{Scenario, Seen, dashboard, image, message, update_config};
use planktor_protocol::{Axis, Instant};
use planktor_runtime::dataset;
use planktor_runtime::instrument::Models;
use planktor_sim::faults::{Bus, Spell};
use planktor_sim::{Fault, Twin};
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// Breaks something at some of the pump's strokes, until its device is told to be lost.
struct Saboteur {
    fault: Fault,
    /// Which strokes, counted from one.
    at: fn(usize) -> bool,
    strokes: usize,
    spell: Option<Spell>,
}

impl Saboteur {
    fn new(fault: Fault, at: fn(usize) -> bool) -> Self {
        Self { fault, at, strokes: 0, spell: None }
    }

    fn hears(&mut self, seen: &Seen, twin: &Twin) {
        self.strokes += usize::from(seen.is("status/pump", "Started"));
        let mut world = twin.world();
        if seen.is("status/pump", "Started") && (self.at)(self.strokes) {
            self.spell = Some(world.break_it(self.fault.clone(), Instant::ZERO, None));
        }
        if seen.payload["health"] == "lost" {
            assert!(!world.is_enabled(Axis::Pump), "safe first, then told");
            self.spell.take().into_iter().for_each(|spell| world.mend(spell));
        }
    }
}

#[test]
fn a_panic_in_mid_stroke_cuts_the_motor_off_and_the_next_acquisition_works() {
    let mut script = dashboard("panic", 3);
    script.push((ms(6_000), update_config("after the panic", 2)));
    script.push((ms(6_200), image(2)));
    let mut saboteur = Saboteur::new(Fault::DriverPanic(Bus::Pump), |stroke| stroke == 2);
    let scenario =
        Scenario::new(script, ms(60_000)).until("status/imager", "Done").react(move |seen, twin| {
            saboteur.hears(seen, twin);
            vec![]
        });
    let played = scenario.play();
    let health: Vec<_> = played.seen.iter().filter(|seen| seen.payload["device"] == "pump").collect();
    let words: Vec<_> = health.iter().map(|seen| seen.payload["health"].as_str().unwrap()).collect();
    assert_eq!(words, ["present", "lost", "present"]);
    assert_eq!(played.count("status/imager", "Error"), 1);
    let reports: Vec<_> = played.data_sets().iter().map(|folder| dataset::verify(folder)).collect();
    assert_eq!(reports.len(), 2);
    assert!(reports.iter().all(dataset::Report::is_valid), "{} {}", reports[0], reports[1]);
}

#[test]
fn a_driver_that_panics_for_ever_is_given_up_and_everything_else_works() {
    let stroke = json!({"action": "move", "direction": "FORWARD", "volume": 0.1, "flowrate": 3});
    let up = json!({"action": "move", "direction": "UP", "distance": 1});
    let script = vec![
        (ms(30_000), message("actuator/pump", &stroke)),
        (ms(30_000), message("actuator/pump", &json!({"action": "stop"}))),
        (ms(30_000), message("actuator/focus", &up)),
    ];
    let panics = json!({"what": {"driver-panic": "pump"}});
    let played = Scenario::new(script, ms(60_000)).fault(&panics).play();
    let given_up = played.seen.iter().filter(|seen| seen.payload["health"] == "given up").count();
    assert_eq!(given_up, 1);
    assert_eq!(played.statuses("status/pump"), ["Error", "Idle", "Interrupted", "Idle"]);
    assert_eq!(played.count("status/focus", "Done"), 1);
}

/// Four in a row are a bug; four in a year are not.
#[test]
fn panics_with_work_between_them_are_forgiven() {
    let stroke = json!({"action": "move", "direction": "FORWARD", "volume": 0.001, "flowrate": 3});
    let script = (1..=12).map(|n| (ms(n * 5_000), message("actuator/pump", &stroke))).collect();
    let mut saboteur = Saboteur::new(Fault::DriverPanic(Bus::Pump), |stroke| stroke % 2 == 0);
    let scenario = Scenario::new(script, ms(65_000)).react(move |seen, twin| {
        saboteur.hears(seen, twin);
        vec![]
    });
    let played = scenario.play();
    assert_eq!(played.count("status/pump", "Done"), 6);
    assert_eq!(played.count("status/pump", "Error"), 6);
}

/// The first frame's job never seems to end; the program goes on.
#[test]
fn a_disk_that_hangs_ends_the_run_with_its_name() {
    let stuck = Arc::new(|job: &Record| match job {
        Record::Begin(_) => ms(20),
        _ => ms(1_000_000),
    });
    let mut script = dashboard("stuck", 3);
    script.push((ms(90_000), message("actuator/pump", &json!({"action": "stop"}))));
    let scenario = Scenario::new(script, ms(100_000));
    let models = Some(Models { recording: stuck, ..Models::default() });
    let played = Scenario { models, ..scenario }.play();
    let error = played.seen.iter().find(|seen| seen.is("status/imager", "Error")).unwrap();
    assert!(error.payload["reason"].as_str().unwrap().contains("disk has not answered"), "{error:?}");
    assert!(error.at < planktor_protocol::Instant::ZERO + ms(70_000));
    assert_eq!(played.count("status/pump", "Interrupted"), 1, "everything else goes on");
}

#[test]
fn a_pulled_cable_ends_the_run_and_a_plugged_one_is_picked_up() {
    let mut script = dashboard("cable", 3);
    script.push((ms(20_000), update_config("after the cable", 1)));
    script.push((ms(20_200), image(1)));
    let occasion = json!({"topic": "status/pump", "status": "Started", "count": 2});
    let scenario = Scenario::new(script, ms(60_000))
        .fault(&json!({"what": {"cable-pulled": "pump"}, "when": {"after": occasion}, "for_s": 1}))
        .until("status/imager", "Done")
        .react(|seen, twin| {
            let lost = seen.is("status/imager", "Error");
            assert!(
                !lost || !twin.world().is_enabled(Axis::Pump),
                "the motor had a target and nobody who could stop it"
            );
            vec![]
        });
    let played = scenario.play();
    assert_eq!(played.count("status/imager", "Error"), 1);
    assert_eq!(played.count("status/imager", "Done"), 1);
    let words: Vec<_> = played.seen.iter().filter(|seen| seen.payload["device"] == "pump").collect();
    assert!(words[1].payload["reason"].as_str().unwrap().contains("in time"), "{words:?}");
    assert!(played.data_sets().iter().all(|folder| dataset::verify(folder).is_valid()));
}

/// What its topic keeps is never an old "On".
#[test]
fn a_lamp_that_does_not_answer_is_told_on_its_topic_and_comes_back_dark() {
    let light = |action: &str| message("light", &json!({"action": action}));
    let script = vec![(ms(100), light("on")), (ms(1_000), light("off"))];
    let occasion = json!({"topic": "status/light", "status": "On"});
    let played = Scenario::new(script, ms(10_000))
        .fault(&json!({"what": {"bus-error": "light"}, "when": {"after": occasion}, "for_s": 1}))
        .play();
    let kept: Vec<_> =
        played.seen.iter().filter(|seen| seen.topic == "status/light" && seen.retain).collect();
    let words: Vec<_> = kept.iter().map(|seen| seen.status()).collect();
    assert_eq!(
        words,
        ["Off", "On", "Error", "Error", "Off"],
        "the loss, the command that found it, and the return"
    );
    assert!(!played.twin.world().is_lit());
}

/// A far-away target, or a mode in which the motor would never end: both would drive the stage into the lens.
#[test]
fn a_target_or_a_mode_that_is_disturbed_on_its_way_is_noticed_before_the_stage_is_far() {
    const XTARGET: u8 = 0xAD;
    const RAMPMODE: u8 = 0xA0;
    let target = |spi, axis| match axis {
        Axis::Pump => spi,
        Axis::Focus => changed(spi, |spi, datagram| {
            datagram[2] ^= if datagram[0] == XTARGET { 0x40 } else { 0 };
            send(spi, datagram);
        }),
    };
    let mode = |spi, axis| match axis {
        Axis::Pump => spi,
        Axis::Focus => changed(spi, |spi, datagram| {
            let go = datagram[0] == RAMPMODE && datagram[4] == 0;
            datagram[4] |= u8::from(go);
            send(spi, datagram);
        }),
    };
    for meddle in [target as fn(Spi, Axis) -> Spi, mode] {
        let up = json!({"action": "move", "direction": "UP", "distance": 20});
        let script = vec![(ms(100), message("actuator/focus", &up))];
        let wrap = Box::new(move |twin| {
            let meddled = Meddled::of(Arc::new(twin)).spi(move |spi, axis| Ok(meddle(spi, axis)));
            Arc::new(meddled) as Arc<dyn Board>
        });
        let played = Scenario { wrap: Some(wrap), ..Scenario::new(script, ms(20_000)) }.play();
        assert!(played.count("status/focus", "Error") == 1, "{:?}", played.statuses("status/focus"));
        let um = played.twin.world().stage_um();
        assert!(um.abs() < 1.0, "the stage went {um} um");
    }
}
