//! The end of a move is foreseen from its ramp and the driver's own clock. Virtual time, twins whose clocks are as slow and
//! as fast as the datasheet allows, and beyond; the client asks `planktor/health` after each stroke.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

use planktor_actors::alarm::VirtualClock;
use planktor_drivers::Clock;
use planktor_drivers::board::{Board, DiagLine, Falls, Foreseen};
use planktor_drivers::calibration::Calibration;
use planktor_drivers::devices::motor::{Look, Motor};
use planktor_drivers::devices::oscillator::Oscillator;
use planktor_drivers::devices::pump::Pump;
use planktor_drivers::stop::StopLine;
use planktor_hil_tests::meddled::{Meddled, Wired, changed, send};
use planktor_hil_tests::{Scenario, Seen, dashboard, message, record};
use planktor_protocol::motion::ChipClock;
use planktor_protocol::pump::Move;
use planktor_protocol::units::{Nanolitres, NanolitresPerSecond};
use planktor_protocol::{self as protocol, Axis, Instant, Utc};
use planktor_runtime::mqtt::Message;
use planktor_sim::Fault;
use planktor_sim::faults::Bus;
use planktor_sim::{Settings, Twin};
use serde_json::{Value, json};
use std::cell::Cell;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// What an acquisition pumps for a frame: 0.37 s at the nominal clock.
fn stroke() -> Message {
    message(
        "actuator/pump",
        &json!({"action": "move", "direction": "FORWARD", "volume": 0.006, "flowrate": 3}),
    )
}

/// Of each stroke, in order: how long after the shaft's true end it was known, and what was then said of the clock.
#[derive(Default)]
struct Strokes {
    late: Vec<Duration>,
    clocks: Vec<Value>,
    warnings: Vec<String>,
}

/// So many strokes one after another; before the one with this number the pump's bus is broken and mended, so that its
/// driver is opened anew.
fn strokes(clock_hz: f64, count: usize, reopened: Option<usize>) -> Strokes {
    strokes_in(|_| (), clock_hz, count, reopened)
}

/// The same, and the motor drivers' line tells the ends of this part of them.
fn strokes_told(part: f64, clock_hz: f64, count: usize, reopened: Option<usize>) -> Strokes {
    strokes_in(|scenario| scenario.parameters.diag_line = part, clock_hz, count, reopened)
}

/// The same in another scenario.
fn strokes_in(
    change: impl FnOnce(&mut Scenario),
    clock_hz: f64,
    count: usize,
    reopened: Option<usize>,
) -> Strokes {
    let heard = Arc::new(Mutex::new(Strokes::default()));
    let mut spell = None;
    let mut scenario = Scenario::new(vec![(ms(500), stroke())], ms(60_000));
    scenario.parameters.pump_clock_hz = clock_hz;
    change(&mut scenario);
    let hears = heard.clone();
    let react = move |seen: &Seen, twin: &planktor_sim::Twin| {
        let mut heard = hears.lock().unwrap();
        if seen.is("status/pump", "Done") {
            let world = twin.world();
            let now = world.now();
            heard.late.push(now - world.pump.last_turned(now).unwrap().to);
            return vec![message("planktor/health", &json!({"action": "get"}))];
        }
        if seen.topic == "planktor/status/health" {
            heard.clocks.push(seen.payload["pump_clock"].clone());
            if reopened == Some(heard.clocks.len()) {
                spell = Some(twin.world().break_it(Fault::BusError(Bus::Pump), Instant::ZERO, None));
            }
            return if heard.clocks.len() < count { vec![stroke()] } else { vec![] };
        }
        if seen.topic == "planktor/status/device/pump" {
            if let (Some("present"), Some(reason)) =
                (seen.payload["health"].as_str(), seen.payload["reason"].as_str())
            {
                heard.warnings.push(reason.into());
            }
            if seen.payload["health"] == "lost" {
                spell.take().into_iter().for_each(|spell| twin.world().mend(spell));
            } else if reopened == Some(heard.clocks.len()) {
                return vec![stroke()];
            }
        }
        vec![]
    };
    scenario.react(react).play();
    let strokes = std::mem::take(&mut *heard.lock().unwrap());
    assert_eq!(strokes.late.len(), count, "strokes that were done");
    strokes
}

/// While nothing is known there are 64 looks over the 22 % of a move in which it may end.
const FIRST: Duration = Duration::from_micros(1_500);

fn assert_known(clock_hz: f64, strokes: &Strokes, from: usize) {
    for (n, (late, clock)) in strokes.late.iter().zip(&strokes.clocks).enumerate() {
        let bound = if n == 0 { FIRST } else { ms(1) };
        assert!(n < from.min(1) || *late <= bound, "{clock_hz} Hz, stroke {n}: known {late:?} after its end");
        if n >= from {
            let (hz, within) = (clock["hz"].as_f64().unwrap(), clock["within_hz"].as_f64().unwrap());
            let error = (hz - clock_hz).abs();
            assert!(error <= 1e-3 * clock_hz && error <= within, "{clock_hz} Hz, stroke {n}: {clock}");
        }
    }
}

#[test]
fn after_two_strokes_the_clock_is_known_to_a_thousandth_and_every_end_within_a_millisecond() {
    for clock_hz in [10.8e6, 12e6, 13.2e6] {
        let strokes = strokes(clock_hz, 8, None);
        assert_known(clock_hz, &strokes, 1);
        assert_eq!(strokes.warnings, [""; 0], "{clock_hz} Hz is as the datasheet allows");
    }
}

/// What a ramp's end is rounded by.
const AT_ONCE: Duration = Duration::from_nanos(1);

/// In virtual time a bus takes none, so that a call and the look that it causes are one instant. Beyond the datasheet the end comes
/// before anybody would have looked.
#[test]
fn by_the_motor_drivers_line_even_the_first_end_is_known_at_once_whatever_the_clock() {
    for clock_hz in [9.9e6, 10.8e6, 12e6, 13.2e6, 14.5e6] {
        let strokes = strokes_told(1.0, clock_hz, 8, None);
        assert!(strokes.late.iter().all(|late| *late <= AT_ONCE), "{clock_hz} Hz: {:?}", strokes.late);
        if (10.8e6..=13.2e6).contains(&clock_hz) {
            assert_known(clock_hz, &strokes, 1);
        }
    }
    let foreseen = [10.8e6, 12e6, 13.2e6].map(|clock_hz| strokes(clock_hz, 1, None).late[0]);
    assert!(foreseen.iter().all(|late| *late > 1_000 * AT_ONCE), "without it: {foreseen:?}");
}

#[test]
fn what_a_line_does_not_tell_is_foreseen() {
    for clock_hz in [10.8e6, 13.2e6] {
        let strokes = strokes_told(0.5, clock_hz, 16, Some(4));
        assert_known(clock_hz, &strokes, 1);
        let told = strokes.late.iter().filter(|late| **late <= AT_ONCE).count();
        assert!((2..=14).contains(&told), "{clock_hz} Hz: {told} of 16 were told: {:?}", strokes.late);
    }
}

/// A line that falls every 3 ms from the first stroke's begin on.
struct Restless(AtomicU64);

impl Foreseen for Restless {
    fn falls(&self) -> Option<Instant> {
        Some(Instant::ZERO + ms(510 + 3 * self.0.load(SeqCst)))
    }
    fn is_low(&self) -> bool {
        self.0.fetch_add(1, SeqCst);
        true
    }
}

#[test]
fn who_is_called_for_nothing_sees_the_end_when_he_would_have_seen_it() {
    let restless = |scenario: &mut Scenario| {
        let diag = |_: Vec<Wired>| {
            let falls = Falls::Foreseen(Box::new(Restless(AtomicU64::new(0))));
            vec![Ok(DiagLine { name: "restless", falls }), Err(protocol::Fault::Missing("GPIO20"))]
        };
        let wrap = move |twin| Arc::new(Meddled::of(Arc::new(twin)).diag(diag)) as Arc<dyn Board>;
        scenario.wrap = Some(Box::new(wrap));
    };
    for clock_hz in [10.8e6, 13.2e6] {
        let (called, alone) = (strokes_in(restless, clock_hz, 8, None), strokes(clock_hz, 8, None));
        assert_eq!((called.late, called.clocks), (alone.late, alone.clocks), "{clock_hz} Hz");
    }
}

/// Two motors on one line: whoever ends first holds it low until that was seen and cleared.
#[test]
fn pump_and_stage_share_a_line() {
    let up = json!({"action": "move", "direction": "UP", "distance": 0.1});
    let script = vec![(ms(500), stroke()), (ms(500), message("actuator/focus", &up))];
    let ended = Arc::new(Mutex::new(vec![]));
    let sees = ended.clone();
    let mut scenario = Scenario::new(script, ms(20_000));
    scenario.parameters.diag_line = 1.0;
    let react = move |seen: &Seen, twin: &planktor_sim::Twin| {
        let mut world = twin.world();
        let now = world.now();
        for (topic, axis) in [("status/pump", Axis::Pump), ("status/focus", Axis::Focus)] {
            if seen.is(topic, "Done") {
                let chip = if axis == Axis::Pump { &world.pump } else { &world.focus };
                let late = now - chip.last_turned(now).unwrap().to;
                sees.lock().unwrap().push((axis, late <= AT_ONCE, world.diag_is_low()));
            }
        }
        vec![]
    };
    scenario.react(react).play();
    let mut ended = ended.lock().unwrap().clone();
    ended.sort_by_key(|(axis, ..)| *axis == Axis::Focus);
    assert_eq!(*ended, [(Axis::Pump, true, false), (Axis::Focus, true, false)]);
}

#[test]
fn what_was_learnt_outlives_a_driver_that_is_lost_and_opened_again() {
    for clock_hz in [10.8e6, 13.2e6] {
        let strokes = strokes(clock_hz, 8, Some(4));
        assert_known(clock_hz, &strokes, 1);
    }
}

/// Its strokes are done like any others; it is a warning and not a fault, and told once.
#[test]
fn a_clock_beyond_its_datasheet_is_told_once_and_its_moves_still_end_within_a_millisecond() {
    for clock_hz in [9.9e6, 10.3e6, 13.7e6, 14.5e6] {
        let strokes = strokes(clock_hz, 8, None);
        assert_eq!(strokes.warnings.len(), 1, "{clock_hz} Hz: {:?}", strokes.warnings);
        let said = strokes.warnings[0].split(" MHz").next().and_then(|words| words.rsplit(' ').next());
        let mhz: f64 = said.unwrap().parse().unwrap();
        assert!((mhz * 1e6 / clock_hz - 1.0).abs() < 2e-3, "{clock_hz} Hz: {:?}", strokes.warnings);
        for late in &strokes.late[3..] {
            assert!(*late <= ms(1), "{clock_hz} Hz: known {late:?} after its end");
        }
    }
}

/// The motor's driver on a bus that is waited for when a move is begun, or when it is looked at: before the chip has the
/// datagram, or after it.
#[test]
fn what_is_said_of_a_clock_holds_it_however_long_its_bus_is_waited_for() {
    for clock_hz in [10.8e6, 12e6, 12.41e6, 13.2e6] {
        for (start, look) in
            [((0, 0), (0, 0)), ((900, 0), (0, 0)), ((0, 900), (0, 0)), ((0, 0), (900, 0)), ((0, 0), (0, 900))]
        {
            let (hands, oscillator) = (VirtualClock::default(), Oscillator::default());
            let mut settings = Settings::new(1, (64, 48), Utc::from_micros(0));
            settings.parameters.pump_clock_hz = clock_hz;
            let hardware = Twin::new(Arc::new(hands.clone()), settings).hardware();
            let now = || hands.now();
            let wait = Rc::new(Cell::new((0, 0)));
            let (wire, waits) = (hands.clone(), wait.clone());
            let spi = changed(hardware.pump_spi().unwrap(), move |spi, datagram| {
                let (before, after) = waits.get();
                wire.set(wire.now() + Duration::from_micros(before));
                send(spi, datagram);
                wire.set(wire.now() + Duration::from_micros(after));
            });
            let calibration = Rc::new(Calibration::V3_0.into());
            let (enable, stop) = (hardware.pump_enable(), StopLine::default());
            let mut pump = Pump::new(spi, enable, stop.clone(), calibration, oscillator.clone());
            while !pump.open().unwrap() {}
            let stroke = Move { volume: Nanolitres(6_000), flow: NanolitresPerSecond(50_000) };
            for _ in 0..5 {
                wait.set(start);
                hands.set(pump.start(stroke.into(), stop.epochs(), now).unwrap().look);
                wait.set(look);
                while let Look::Again(then) = pump.look(now).unwrap() {
                    hands.set(then);
                }
            }
            let ChipClock { hz, within_hz } = oscillator.clock().unwrap();
            let (hz, within) = (f64::from(hz), f64::from(within_hz));
            assert!(
                (hz - clock_hz).abs() <= within && within < 0.01 * clock_hz,
                "{clock_hz} Hz, us waited at the start {start:?}, at a look {look:?}: {hz} within {within}"
            );
        }
    }
}

#[test]
fn the_clock_is_recorded_with_every_frame() {
    let mut scenario = Scenario::new(dashboard("clocks", 4), ms(60_000)).until("status/imager", "Done");
    scenario.parameters.pump_clock_hz = 10.8e6;
    let played = scenario.play();
    let folder = &played.data_sets()[0];
    let frames: Vec<_> = record(folder).into_iter().filter(|line| !line["file"].is_null()).collect();
    assert_eq!(frames.len(), 4);
    let hz = frames[3]["pump_clock"]["hz"].as_f64().unwrap();
    assert!((hz / 10.8e6 - 1.0).abs() < 1e-3, "{hz}");
    assert_eq!(frames[3]["focus_clock"], Value::Null, "the stage has not been moved");
}
