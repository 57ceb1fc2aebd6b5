//! The whole program as it is released, with all that it lives with: `planktor run --board 3.3` on the kernel's nodes, a
//! real mosquitto, a real gpsd. In real time, so nothing here has to be on time.

use super::far_end::{Clocking, FarEnd};
use super::programs::{Gps, OUT, PATIENCE, Running, VIDEO, broker, mosquitto, planktor, plug_in_camera};
use super::table::Check;
use crate::arms::live::{Break, LiveArm};
use crate::arms::{Outcome, perform, verified};
use crate::routine::{self, Limits};
use planktor_drivers::Clock as _;
use planktor_drivers::clock::{Computer, Monotonic, WallClock as _};
use planktor_protocol::{Axis, Utc};
use planktor_runtime::client::{Client, ClientError, Said};
use planktor_sim::faults::{Bus, Motor};
use planktor_sim::{Fault, Settings, Twin};
use serde_json::{Value, json};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;

/// All of them.
pub const CHECKS: [Check; 9] = [
    ("every routine that breaks nothing, the camera plugged in after everything", || routines(false)),
    ("every routine that breaks something", || routines(true)),
    ("the camera's own tests: each format, drops, errors, unplugging", camera),
    ("the whole program moves pump and stage, lights the lamp and knows time and place", || {
        started(&[Part::Chips, Part::Broker, Part::Gps, Part::Program])
    }),
    ("the same, the broker after it", || started(&[Part::Chips, Part::Gps, Part::Program, Part::Broker])),
    ("the same, gpsd after it", || started(&[Part::Chips, Part::Broker, Part::Program, Part::Gps])),
    ("the same, everything after it", || started(&[Part::Program, Part::Gps, Part::Broker, Part::Chips])),
    ("a cable that is pulled in the middle of a move ends that, and nothing else", || {
        broken(Fault::CablePulled(Bus::Pump))
    }),
    ("a chip that is reset in the middle of a move is set up again", || {
        broken(Fault::ChipReset(Motor::Pump))
    }),
];

/// What the program needs, and it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Chips,
    Broker,
    Gps,
    Program,
}

/// Everything, as far as it has been started. It ends in this order.
#[derive(Default)]
struct Ship {
    program: Option<Running>,
    broker: Option<Running>,
    gps: Option<Gps>,
    far_end: Option<FarEnd>,
}

impl Ship {
    fn start(&mut self, part: Part, twin: &Twin, data: &TempDir) {
        match part {
            Part::Chips => self.far_end = Some(FarEnd::of(twin).expect("nobody else is there")),
            Part::Broker => self.broker = Some(mosquitto()),
            Part::Gps => self.gps = Some(Gps::start()),
            Part::Program => {
                let program = planktor(data.path().to_str().expect("plain letters"), &[]);
                // What is late has to be missed.
                program.says("Ctrl-C");
                if self.broker.is_none() {
                    program.says("1883");
                }
                if self.gps.is_none() {
                    program.says("gpsd");
                }
                self.program = Some(program);
            }
        }
    }
}

/// The instrument's other side, in real time, with a sky of today.
fn twin() -> Twin {
    let up = i64::try_from(Monotonic.now().nanos() / 1_000).expect("up for less than 292,000 years");
    let began = Utc::from_micros(Computer.utc().micros() - up);
    Twin::new(Arc::new(Monotonic), Settings::new(1, Settings::SMALL_FRAME, began))
}

fn started(order: &[Part]) -> String {
    let (twin, data, mut ship) = (twin(), TempDir::new().expect("a folder"), Ship::default());
    for part in order {
        ship.start(*part, &twin, &data);
    }
    let client = Client::connect(&broker(), "vm").expect("it speaks");
    present(&client, &["pump", "focus", "light", "bubbler"]);
    works(&client, &twin);
    let clock = located(&client);
    assert!(ship.program.take().expect("it was started").end().success());
    at_rest(&twin);
    let far_end = ship.far_end.take().expect("it was put there");
    format!("{}, {clock}", datagrams(&far_end))
}

/// Waits until these devices are there.
fn present(client: &Client, devices: &[&str]) {
    let mut missing: Vec<&str> = devices.to_vec();
    while !missing.is_empty() {
        let said = heard(client);
        let health = said.topic.strip_prefix("planktor/status/device/");
        missing.retain(|device| health != Some(device) || said.payload["health"] != "present");
    }
}

fn heard(client: &Client) -> Said {
    client.next(Some(PATIENCE)).expect("the broker is there").expect("the instrument goes on")
}

fn asked(client: &Client, topic: &str, payload: Value) -> Result<Value, ClientError> {
    client.request(topic, payload, |_| {})
}

fn stroke(volume_ml: f64) -> Value {
    json!({"action": "move", "direction": "FORWARD", "volume": volume_ml, "flowrate": 3})
}

/// The same routines as on the twin in virtual time and on a rig. What comes of them is checked again outside: the data set,
/// and the journal, which is replayed there on a twin.
fn routines(breaks: bool) -> String {
    let (twin, data, mut ship) = (twin(), TempDir::new().expect("a folder"), Ship::default());
    for part in [Part::Chips, Part::Broker, Part::Gps] {
        ship.start(part, &twin, &data);
    }
    let path = data.path().to_str().expect("plain letters");
    let journal = format!("{OUT}/{}.journal", if breaks { "broken" } else { "whole" });
    let program = planktor(path, &["--journal", &journal]);
    program.says("Ctrl-C");
    if !Path::new(VIDEO).exists() {
        program.says("camera lost");
    }
    plug_in_camera();
    let client = Client::connect(&broker(), "vm").expect("it speaks");
    present(&client, &["pump", "focus", "light", "bubbler", "camera"]);
    drop(client);
    let meddled = twin.clone();
    let meddle: Break = Box::new(move |fault, time| {
        let now = Monotonic.now();
        let until = (!time.is_zero()).then_some(now + time);
        meddled.world().break_it(fault, now, until);
    });
    let mut arm = LiveArm::connect(&broker(), Limits::default(), Some(meddle)).expect("it speaks");
    let mut names = vec![];
    for routine in routine::all(&Limits::default()).into_iter().filter(|routine| routine.breaks() == breaks) {
        names.push(routine.name);
        let outcome = perform(&mut arm, routine);
        assert_eq!(outcome, Ok(Outcome::Passed));
    }
    assert!(program.end().success());
    at_rest(&twin);
    let sets = verified(data.path()).expect("what was acquired is whole");
    assert_eq!(sets, usize::from(!breaks));
    let copied = Command::new("cp")
        .args(["-r", path, &format!("{OUT}/{}", if breaks { "broken" } else { "data" })])
        .status();
    assert!(copied.expect("busybox").success());
    format!("{}; {sets} data sets", names.join(", "))
}

/// `tests/v4l.rs`, as it was built.
fn camera() -> String {
    plug_in_camera();
    let output =
        Command::new("v4l").args(["--nocapture", "--test-threads=1"]).env("PLANKTOR_VIDEO", VIDEO).output();
    let output = output.expect("it is in the guest");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    let count = said.lines().find_map(|line| line.strip_prefix("test result: ok. "));
    count.and_then(|line| line.split(';').next()).expect("tests were run").into()
}

/// Everything that can be moved moves, and the twin feels it.
fn works(client: &Client, twin: &Twin) {
    asked(client, "light", json!({"action": "on"})).expect("the lamp");
    assert!(twin.world().is_lit());
    let (nl, um) = where_it_is(twin);
    asked(client, "actuator/pump", stroke(0.05)).expect("the pump");
    let pumped = where_it_is(twin).0 - nl;
    assert!((pumped - 50_000.0).abs() < 500.0, "{pumped} nl were pumped");
    asked(client, "actuator/focus", json!({"action": "move", "direction": "UP", "distance": 0.2}))
        .expect("the stage");
    let rose = where_it_is(twin).1 - um;
    assert!((rose - 200.0).abs() < 2.0, "the stage rose by {rose} um");
}

/// Nanolitres that were pumped, and the stage's height in micrometres.
fn where_it_is(twin: &Twin) -> (f64, f64) {
    let world = twin.world();
    (world.pumped_nl(), world.stage_um())
}

/// Waits until time and place come from the receiver.
fn located(client: &Client) -> String {
    let began = Monotonic.now();
    loop {
        let health = asked(client, "planktor/health", json!({"action": "get"})).expect("it knows itself");
        let (source, latitude) = (&health["clock"]["source"], health["position"]["latitude"].as_f64());
        if *source == "gps" && latitude.is_some_and(|latitude| (latitude - 48.7273).abs() < 1e-4) {
            return format!("clock by gps to {} s", health["clock"]["error_s"]);
        }
        assert!(Monotonic.now() - began < PATIENCE, "it is not where the receiver is: {health}");
        let _ = client.next(Some(Duration::from_millis(500)));
    }
}

/// Motors without current, the lamp dark.
fn at_rest(twin: &Twin) {
    let world = twin.world();
    let enabled = [Axis::Pump, Axis::Focus].map(|axis| world.is_enabled(axis));
    assert_eq!((enabled, world.is_lit()), ([false; 2], false));
}

/// How many there were, all of them clocked as they should be.
fn datagrams(far_end: &FarEnd) -> String {
    let clockings = far_end.clockings();
    let right = |of: &Clocking| (of.hz, of.mode, of.bits) == (1_000_000, 3, 8);
    assert!(!clockings.is_empty() && clockings.keys().all(right), "{clockings:?}");
    format!("{} datagrams in mode 3 at 1 MHz", clockings.values().sum::<u64>())
}

/// Breaks something of the pump in the middle of a long stroke, and mends it when that is told.
fn broken(what: Fault) -> String {
    let (twin, data, mut ship) = (twin(), TempDir::new().expect("a folder"), Ship::default());
    for part in [Part::Chips, Part::Broker, Part::Gps, Part::Program] {
        ship.start(part, &twin, &data);
    }
    let client = Client::connect(&broker(), "vm").expect("it speaks");
    present(&client, &["pump", "focus", "light"]);
    let mut spell = None;
    let outcome = client.request("actuator/pump", stroke(0.2), |said| {
        if said.topic == "status/pump" && said.payload["status"] == "Started" {
            let now = Monotonic.now();
            spell = Some(twin.world().break_it(what.clone(), now, None));
        }
    });
    let why = match outcome {
        Err(ClientError::Failed(why)) => why,
        other => panic!("the stroke goes on: {other:?}"),
    };
    assert!(!twin.world().is_enabled(Axis::Pump), "safe first, then told");
    asked(&client, "actuator/focus", json!({"action": "move", "direction": "UP", "distance": 0.1}))
        .expect("the stage");
    twin.world().mend(spell.expect("the stroke began"));
    present(&client, &["pump"]);
    works(&client, &twin);
    assert!(ship.program.take().expect("it was started").end().success());
    at_rest(&twin);
    why
}
