//! A device that fails is made safe, reported and opened again; what it was asked is answered; the rest goes on.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

use embedded_hal::i2c;
use embedded_hal::spi::{self, Operation, SpiDevice};
use planktor_actors::recording::Record;
use planktor_drivers::board::{Board, Enable, Hardware, I2c, SlowBuses, Spi};
use planktor_drivers::clock::WallClock;
use planktor_drivers::devices::camera::Camera;
use planktor_drivers::devices::position::PositionSource;
use planktor_hil_tests::{Scenario, dashboard, image, message, update_config};
use planktor_protocol::{Axis, Fault};
use planktor_runtime::dataset;
use planktor_runtime::instrument::Models;
use planktor_sim::Twin;
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::Duration;

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// A board whose pump driver panics at its next bus access while the flag is set.
#[derive(Clone)]
struct Sabotaged {
    twin: Twin,
    panics: Arc<AtomicBool>,
}

impl Board for Sabotaged {
    fn hardware(&self) -> Box<dyn Hardware> {
        Box::new(SabotagedHalf { half: self.twin.hardware(), panics: self.panics.clone() })
    }
    fn slow_buses(&self) -> Box<dyn SlowBuses> {
        self.twin.slow_buses()
    }
}

struct SabotagedHalf {
    half: Box<dyn Hardware>,
    panics: Arc<AtomicBool>,
}

impl Hardware for SabotagedHalf {
    fn pump_spi(&self) -> Result<Spi, Fault> {
        Ok(Spi::new(Mine { spi: self.half.pump_spi()?, panics: self.panics.clone() }))
    }
    fn focus_spi(&self) -> Result<Spi, Fault> {
        self.half.focus_spi()
    }
    fn pump_enable(&self) -> Enable {
        self.half.pump_enable()
    }
    fn focus_enable(&self) -> Enable {
        self.half.focus_enable()
    }
    fn camera(&self) -> Result<Box<dyn Camera>, Fault> {
        self.half.camera()
    }
}

struct Mine {
    spi: Spi,
    panics: Arc<AtomicBool>,
}

impl spi::ErrorType for Mine {
    type Error = spi::ErrorKind;
}

impl SpiDevice for Mine {
    fn transaction(&mut self, operations: &mut [Operation<'_, u8>]) -> Result<(), spi::ErrorKind> {
        assert!(!self.panics.load(SeqCst), "sabotage");
        self.spi.transaction(operations)
    }
}

#[test]
fn a_panic_in_mid_stroke_cuts_the_motor_off_and_the_next_acquisition_works() {
    let panics = Arc::new(AtomicBool::new(false));
    let (fuse, mend) = (panics.clone(), panics.clone());
    let mut script = dashboard("panic", 3);
    script.push((ms(6_000), update_config("after the panic", 2)));
    script.push((ms(6_200), image(2)));
    let mut strokes = 0;
    let scenario =
        Scenario::new(script, ms(60_000)).until("status/imager", "Done").react(move |seen, twin| {
            strokes += usize::from(seen.is("status/pump", "Started"));
            if seen.is("status/pump", "Started") && strokes == 2 {
                fuse.store(true, SeqCst);
            }
            if seen.payload["health"] == "lost" {
                let world = twin.world();
                assert!(!world.is_enabled(Axis::Pump), "safe first, then told");
                mend.store(false, SeqCst);
            }
            vec![]
        });
    let wrap = Box::new(move |twin| Arc::new(Sabotaged { twin, panics }) as Arc<dyn Board>);
    let played = Scenario { wrap: Some(wrap), ..scenario }.play();
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
    let panics = Arc::new(AtomicBool::new(true));
    let stroke = json!({"action": "move", "direction": "FORWARD", "volume": 0.1, "flowrate": 3});
    let up = json!({"action": "move", "direction": "UP", "distance": 1});
    let script = vec![
        (ms(30_000), message("actuator/pump", &stroke)),
        (ms(30_000), message("actuator/pump", &json!({"action": "stop"}))),
        (ms(30_000), message("actuator/focus", &up)),
    ];
    let wrap = Box::new(move |twin| Arc::new(Sabotaged { twin, panics }) as Arc<dyn Board>);
    let played = Scenario { wrap: Some(wrap), ..Scenario::new(script, ms(60_000)) }.play();
    let given_up = played.seen.iter().filter(|seen| seen.payload["health"] == "given up").count();
    assert_eq!(given_up, 1);
    assert_eq!(played.statuses("status/pump"), ["Error", "Idle", "Interrupted", "Idle"]);
    assert_eq!(played.count("status/focus", "Done"), 1);
}

/// Four in a row are a bug; four in a year are not.
#[test]
fn panics_with_work_between_them_are_forgiven() {
    let panics = Arc::new(AtomicBool::new(false));
    let (fuse, mend) = (panics.clone(), panics.clone());
    let stroke = json!({"action": "move", "direction": "FORWARD", "volume": 0.001, "flowrate": 3});
    let script = (1..=12).map(|n| (ms(n * 5_000), message("actuator/pump", &stroke))).collect();
    let mut strokes = 0;
    let scenario = Scenario::new(script, ms(65_000)).react(move |seen, _| {
        strokes += usize::from(seen.is("status/pump", "Started"));
        if seen.is("status/pump", "Started") && strokes % 2 == 0 {
            fuse.store(true, SeqCst);
        }
        if seen.payload["health"] == "lost" {
            mend.store(false, SeqCst);
        }
        vec![]
    });
    let wrap = Box::new(move |twin| Arc::new(Sabotaged { twin, panics }) as Arc<dyn Board>);
    let played = Scenario { wrap: Some(wrap), ..scenario }.play();
    assert_eq!(played.count("status/pump", "Done"), 6);
    assert_eq!(played.count("status/pump", "Error"), 6);
}

/// The first frame's job never seems to end; the program goes on.
#[test]
fn a_disk_that_hangs_ends_the_run_with_its_name() {
    let stuck = Arc::new(|job: &Record| match job {
        Record::Begin(_) => ms(20),
        Record::Frame { .. } | Record::End { .. } => ms(1_000_000),
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
    let mut strokes = 0;
    let scenario =
        Scenario::new(script, ms(60_000)).until("status/imager", "Done").react(move |seen, twin| {
            strokes += usize::from(seen.is("status/pump", "Started"));
            if seen.is("status/pump", "Started") && strokes == 2 {
                twin.world().pump.unplug(true);
            }
            if seen.is("status/imager", "Error") {
                assert!(
                    !twin.world().is_enabled(Axis::Pump),
                    "the motor had a target and nobody who could stop it"
                );
                twin.world().pump.unplug(false);
            }
            vec![]
        });
    let played = scenario.play();
    assert_eq!(played.count("status/imager", "Error"), 1);
    assert_eq!(played.count("status/imager", "Done"), 1);
    let words: Vec<_> = played.seen.iter().filter(|seen| seen.payload["device"] == "pump").collect();
    assert!(words[1].payload["reason"].as_str().unwrap().contains("in time"), "{words:?}");
    assert!(played.data_sets().iter().all(|folder| dataset::verify(folder).is_valid()));
}

/// A board whose lamp does not answer while the flag is set.
struct Unlit {
    twin: Twin,
    silent: Arc<AtomicBool>,
}

impl Board for Unlit {
    fn hardware(&self) -> Box<dyn Hardware> {
        self.twin.hardware()
    }
    fn slow_buses(&self) -> Box<dyn SlowBuses> {
        Box::new(UnlitHalf { half: self.twin.slow_buses(), silent: self.silent.clone() })
    }
}

struct UnlitHalf {
    half: Box<dyn SlowBuses>,
    silent: Arc<AtomicBool>,
}

impl SlowBuses for UnlitHalf {
    fn light_i2c(&self) -> Result<I2c, Fault> {
        Ok(I2c::new(Silent { bus: self.half.light_i2c()?, silent: self.silent.clone() }))
    }
    fn position(&self) -> Box<dyn PositionSource> {
        self.half.position()
    }
    fn wall_clock(&self) -> Box<dyn WallClock> {
        self.half.wall_clock()
    }
}

struct Silent {
    bus: I2c,
    silent: Arc<AtomicBool>,
}

impl i2c::ErrorType for Silent {
    type Error = i2c::ErrorKind;
}

impl i2c::I2c for Silent {
    fn transaction(
        &mut self,
        address: u8,
        operations: &mut [i2c::Operation<'_>],
    ) -> Result<(), i2c::ErrorKind> {
        if self.silent.load(SeqCst) {
            return Err(i2c::ErrorKind::NoAcknowledge(i2c::NoAcknowledgeSource::Address));
        }
        self.bus.transaction(address, operations)
    }
}

/// What its topic keeps is never an old "On".
#[test]
fn a_lamp_that_does_not_answer_is_told_on_its_topic_and_comes_back_dark() {
    let silent = Arc::new(AtomicBool::new(false));
    let (cut, mend) = (silent.clone(), silent.clone());
    let light = |action: &str| message("light", &json!({"action": action}));
    let script = vec![(ms(100), light("on")), (ms(1_000), light("off"))];
    let scenario = Scenario::new(script, ms(10_000)).react(move |seen, _| {
        cut.fetch_or(seen.is("status/light", "On"), SeqCst);
        if seen.is("status/light", "Error") {
            mend.store(false, SeqCst);
        }
        vec![]
    });
    let wrap = Box::new(move |twin| Arc::new(Unlit { twin, silent }) as Arc<dyn Board>);
    let played = Scenario { wrap: Some(wrap), ..scenario }.play();
    let kept: Vec<_> =
        played.seen.iter().filter(|seen| seen.topic == "status/light" && seen.retain).collect();
    let words: Vec<_> = kept.iter().map(|seen| seen.status()).collect();
    assert_eq!(
        words,
        ["Off", "On", "Error", "Error", "Off"],
        "the loss, the command that found it, and the return"
    );
    assert_eq!(played.twin.world().light.now(), 0);
}
