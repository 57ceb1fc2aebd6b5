//! The whole program as it is released, with all that it lives with: `planktor run` with a board's description on the
//! kernel's nodes, a real mosquitto, a real gpsd, the kernel's own simulated camera. In real time, so nothing here has to
//! be on time.

use super::far_end::{Clocking, FarEnd};
use super::programs::{Camera, Gps, OUT, PATIENCE, Running, broker, mosquitto, planktor};
use super::table::Check;
use crate::arms::live::{Break, LiveArm};
use crate::arms::{Outcome, perform, verified};
use crate::routine::{self, Limits};
use Part::{Broker, Chips, Gpsd, Picture, Program};
use linux_embedded_hal::gpio_cdev::LineRequestFlags;
use planktor_drivers::Clock as _;
use planktor_drivers::clock::{Computer, Monotonic, WallClock as _};
use planktor_drivers::linux::pins::Pins;
use planktor_protocol::{Axis, Utc};
use planktor_runtime::client::Client;
use planktor_sim::{Settings, Twin};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;

/// All of them.
pub const CHECKS: [Check; 11] = [
    ("the camera's own tests: each format, drops, errors, unplugging", camera),
    ("the whole program moves what can be moved, and knows time and place", || {
        started(&[Chips, Broker, Gpsd, Picture, Program])
    }),
    ("the same, the broker after it", || started(&[Chips, Gpsd, Picture, Program, Broker])),
    ("the same, gpsd after it", || started(&[Chips, Broker, Picture, Program, Gpsd])),
    ("the same, the camera after it", || started(&[Chips, Broker, Gpsd, Program, Picture])),
    ("the same, the chips after it", || started(&[Broker, Gpsd, Picture, Program, Chips])),
    ("the same, everything after it", || started(&[Program, Picture, Gpsd, Broker, Chips])),
    ("the end of a move is told by the motor drivers' line, and cleared", told),
    ("a line that falls for nothing is given up, and one that another program has is left", for_nothing),
    ("every routine that breaks nothing", || routines(false)),
    ("every routine that breaks something", || routines(true)),
];

/// What the program needs, and it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Chips,
    Broker,
    Gpsd,
    Picture,
    Program,
}

/// Everything, started in some order; it ends in this one.
struct Ship {
    program: Option<Running>,
    broker: Option<Running>,
    gps: Option<Gps>,
    camera: Option<Camera>,
    far_end: Option<FarEnd>,
    /// The instrument's other side, in real time, with a sky of today.
    twin: Twin,
    data: TempDir,
}

impl Ship {
    /// Starts everything; the program with more arguments.
    fn started(order: &[Part], more: &[&str]) -> Self {
        Self::wired(0.0, order, more)
    }

    /// The same; the motor drivers' line is wired, or not.
    fn wired(diag_line: f64, order: &[Part], more: &[&str]) -> Self {
        let up = i64::try_from(Monotonic.now().nanos() / 1_000).expect("up for less than 292,000 years");
        let began = Utc::from_micros(Computer.utc().micros() - up);
        let mut settings = Settings::new(1, Settings::SMALL_FRAME, began);
        settings.parameters.diag_line = diag_line;
        let twin = Twin::new(Arc::new(Monotonic), settings);
        let data = TempDir::new().expect("a folder");
        let mut ship =
            Self { program: None, broker: None, gps: None, camera: None, far_end: None, twin, data };
        for part in order {
            match part {
                Chips => ship.far_end = Some(FarEnd::of(&ship.twin).expect("nobody else is there")),
                Broker => ship.broker = Some(mosquitto()),
                Gpsd => ship.gps = Some(Gps::start()),
                Picture => ship.camera = Some(Camera::plugged_in()),
                Program => ship.program = Some(ship.program(more)),
            }
        }
        ship
    }

    /// Starts it, and waits until it has missed what is late.
    fn program(&self, more: &[&str]) -> Running {
        let mut program = planktor(self.folder(), more);
        program.says("Ctrl-C");
        let missed = [
            (self.broker.is_none(), "127.0.0.1:1883"),
            (self.gps.is_none(), "no position from gpsd"),
            (self.camera.is_none(), "camera lost"),
            (self.far_end.is_none(), "pump lost"),
        ];
        missed.iter().filter(|(late, _)| *late).for_each(|(_, words)| program.says(words));
        program
    }

    fn folder(&self) -> &str {
        self.data.path().to_str().expect("plain letters")
    }

    /// Ends the program: motors without current, the lamp dark. Says how SPI was clocked.
    fn end(&mut self) -> String {
        assert!(self.program.take().expect("it was started").end().success());
        let world = self.twin.world();
        let enabled = [Axis::Pump, Axis::Focus].map(|axis| world.is_enabled(axis));
        assert_eq!((enabled, world.is_lit()), ([false; 2], false));
        drop(world);
        let clockings = self.far_end.as_ref().expect("it was put there").clockings();
        let right = |of: &Clocking| (of.hz, of.mode, of.bits) == (1_000_000, 3, 8);
        assert!(!clockings.is_empty() && clockings.keys().all(right), "{clockings:?}");
        format!("{} datagrams in mode 3 at 1 MHz", clockings.values().sum::<u64>())
    }
}

/// The instrument as its client knows it.
struct Instrument {
    client: Client,
    /// Devices, and how they were when that was last said.
    health: BTreeMap<String, Value>,
}

/// How long somebody listens who wants to know something else, too.
const GLANCE: Duration = Duration::from_millis(500);

impl Instrument {
    /// Connects, and waits until all its devices are there.
    fn whole() -> Self {
        let mut own =
            Self { client: Client::connect(&broker(), "vm").expect("it speaks"), health: BTreeMap::new() };
        let devices = ["pump", "focus", "light", "bubbler", "camera"];
        let began = Monotonic.now();
        while devices.iter().any(|device| own.health.get(*device).is_none_or(|health| health != "present")) {
            assert!(Monotonic.now() - began < PATIENCE, "something is missing: {:?}", own.health);
            own.listen();
        }
        own
    }

    fn listen(&mut self) {
        let Some(said) = self.client.next(GLANCE).expect("the broker is there") else { return };
        if let Some(device) = said.topic.strip_prefix("planktor/status/device/") {
            self.health.insert(device.into(), said.payload["health"].clone());
        }
    }

    fn does(&self, topic: &str, payload: Value) -> Value {
        let done = self.client.request(topic, payload, |_| {});
        done.unwrap_or_else(|error| panic!("{topic}: {error}"))
    }

    /// Waits until time and place come from the receiver.
    fn is_located(&mut self) -> String {
        let began = Monotonic.now();
        loop {
            let health = self.does("planktor/health", json!({"action": "get"}));
            let (source, latitude) = (&health["clock"]["source"], health["position"]["latitude"].as_f64());
            if *source == "gps" && latitude.is_some_and(|latitude| (latitude - 48.7273).abs() < 1e-4) {
                return format!("clock by gps to {} s", health["clock"]["error_s"]);
            }
            assert!(Monotonic.now() - began < PATIENCE, "it is not where the receiver is: {health}");
            self.listen();
        }
    }
}

/// `tests/v4l.rs`, as it was built.
fn camera() -> String {
    let _camera = Camera::plugged_in();
    let mut tests = Command::new("v4l");
    tests.args(["--nocapture", "--test-threads=1"]).env("PLANKTOR_VIDEO", Camera::NODE);
    let output = tests.output().expect("it is in the guest");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    let count = said.lines().find_map(|line| line.strip_prefix("test result: ok. "));
    count.and_then(|line| line.split(';').next()).expect("tests were run").into()
}

/// Everything that can be moved moves, the twin feels it, and what is acquired is whole.
fn started(order: &[Part]) -> String {
    let mut ship = Ship::started(order, &[]);
    let mut instrument = Instrument::whole();
    instrument.does("light", json!({"action": "on"}));
    assert!(ship.twin.world().is_lit());
    let (nl, um) = where_it_is(&ship.twin);
    let stroke = json!({"action": "move", "direction": "FORWARD", "volume": 0.05, "flowrate": 3});
    instrument.does("actuator/pump", stroke);
    instrument.does("actuator/focus", json!({"action": "move", "direction": "UP", "distance": 0.2}));
    let (more_nl, more_um) = where_it_is(&ship.twin);
    assert!((more_nl - nl - 50_000.0).abs() < 500.0, "{nl} to {more_nl} nl were pumped");
    assert!((more_um - um - 200.0).abs() < 2.0, "the stage went from {um} to {more_um} um");
    let clock = instrument.is_located();
    let acquire =
        routine::all(&Limits::default()).into_iter().find(|routine| routine.needs.contains(&"camera"));
    let mut arm = LiveArm::connect(&broker(), Limits::default(), None).expect("it speaks");
    assert_eq!(perform(&mut arm, acquire.expect("one of them acquires")), Ok(Outcome::Passed));
    let datagrams = ship.end();
    assert_eq!(verified(ship.data.path()), Ok(1));
    format!("{datagrams}, {clock}, {} frames", routine::FRAMES)
}

/// Nanolitres that were pumped, and the stage's height in micrometres.
fn where_it_is(twin: &Twin) -> (f64, f64) {
    let world = twin.world();
    (world.pumped_nl(), world.stage_um())
}

fn stroke(instrument: &Instrument) {
    let stroke = json!({"action": "move", "direction": "FORWARD", "volume": 0.006, "flowrate": 3});
    instrument.does("actuator/pump", stroke);
}

/// Some strokes, and the stage once.
fn moved(instrument: &Instrument) {
    (0..STROKES).for_each(|_| stroke(instrument));
    instrument.does("actuator/focus", json!({"action": "move", "direction": "UP", "distance": 0.1}));
}

const STROKES: u64 = 8;
/// How many ends the line tells before they are found otherwise; one alone might be chance.
const CALLS: u64 = 4;
const PAGE: &str = "127.0.0.1:8080";

/// How often a stage was timed since the program began, and its median, us.
fn timed(stage: &str) -> (u64, f64) {
    let top = Command::new("planktor").args(["top", "--once", "--json", "--page", PAGE]).output();
    let timing: Value = serde_json::from_slice(&top.expect("it is in the guest").stdout).expect("its answer");
    let stage = &timing["stages"][stage];
    (stage["n"].as_u64().unwrap_or(0), stage["p50_us"].as_f64().unwrap_or(f64::NAN))
}

const MOTORS: &[Part] = &[Chips, Broker, Gpsd, Picture, Program];

fn told() -> String {
    let mut ship = Ship::wired(1.0, MOTORS, &["--http", PAGE]);
    let instrument = Instrument::whole();
    moved(&instrument);
    let (mut moves, began) = (STROKES + 1, Monotonic.now());
    // On a busy computer a call may come after the end was looked up: how many are first is not for a check.
    let (called, us) = loop {
        let (called, us) = timed("move_called");
        if called >= CALLS {
            break (called, us);
        }
        assert!(Monotonic.now() - began < PATIENCE, "{called} calls, {moves} moves");
        stroke(&instrument);
        moves += 1;
    };
    assert_eq!(timed("move_end").0, moves);
    assert!(!ship.twin.world().diag_is_low(), "what was heard is cleared");
    ship.end();
    drop(ship);
    // Of a line that nobody drives nothing is heard, and every move ends.
    let mut ship = Ship::started(MOTORS, &["--http", PAGE]);
    moved(&Instrument::whole());
    assert_eq!((timed("move_end").0, timed("move_called").0), (STROKES + 1, 0));
    ship.end();
    format!(
        "{called} of {moves}, the median {us:.0} us before it was known; none by a line that is not wired"
    )
}

/// How often a line falls here; enough.
const FALLS: u32 = 20;

fn for_nothing() -> String {
    let mut chip = Pins::new(vec!["pinctrl-bcm2711".into()]).chip().expect("the chip with the header's pins");
    let line = chip.get_line(20).expect("its line");
    let held = line.request(LineRequestFlags::INPUT, 0, "vm").expect("nobody has it");
    let mut ship = Ship::started(MOTORS, &["--http", PAGE]);
    let program = ship.program.as_mut().expect("it was started");
    program.says("the motor drivers do not call: GPIO20 is in use");
    let (instrument, far_end) = (Instrument::whole(), ship.far_end.as_ref().expect("it was put there"));
    for _ in 0..FALLS {
        far_end.drive(1 << 16).expect("the line is driven");
        far_end.drive(0).expect("the line is driven");
        // Meanwhile it has heard of that.
        instrument.does("planktor/health", json!({"action": "get"}));
    }
    program.says("the motor drivers are not listened to on GPIO16 any more");
    let free = chip.get_line(16).and_then(|line| line.request(LineRequestFlags::INPUT, 0, "vm"));
    free.expect("it was closed");
    moved(&instrument);
    assert_eq!((timed("move_end").0, timed("move_called").0), (STROKES + 1, 0));
    drop(held);
    ship.end();
    format!("{FALLS} falls")
}

/// The same routines as on the twin in virtual time and on a rig. What comes of them is checked again outside: the data set,
/// and the journal, which is replayed there on a twin.
fn routines(breaks: bool) -> String {
    let name = if breaks { "broken" } else { "whole" };
    let journal = format!("{OUT}/{name}.journal");
    let mut ship = Ship::started(&[Chips, Broker, Gpsd, Picture, Program], &["--journal", &journal]);
    drop(Instrument::whole());
    let twin = ship.twin.clone();
    let meddle: Break = Box::new(move |fault, time| {
        let now = Monotonic.now();
        let until = (!time.is_zero()).then_some(now + time);
        twin.world().break_it(fault, now, until);
    });
    let mut arm = LiveArm::connect(&broker(), Limits::default(), Some(meddle)).expect("it speaks");
    let mut names = vec![];
    for routine in routine::all(&Limits::default()).into_iter().filter(|routine| routine.breaks() == breaks) {
        names.push(routine.name);
        assert_eq!(perform(&mut arm, routine), Ok(Outcome::Passed));
    }
    ship.end();
    assert_eq!(verified(ship.data.path()), Ok(usize::from(!breaks)));
    let carried = Command::new("cp").args(["-r", ship.folder(), &format!("{OUT}/{name}")]).status();
    assert!(carried.expect("busybox").success());
    names.join(", ")
}
