//! The whole program as it is released, with all that it lives with: `planktor run --board 3.3` on the kernel's nodes, a
//! real mosquitto, a real gpsd. In real time, so nothing here has to be on time.

use super::far_end::{Clocking, FarEnd};
use super::programs::{Gps, PATIENCE, Running, broker, mosquitto, planktor};
use super::table::Check;
use planktor_drivers::Clock as _;
use planktor_drivers::clock::{Computer, Monotonic, WallClock as _};
use planktor_protocol::{Axis, Utc};
use planktor_runtime::client::{Client, ClientError, Said};
use planktor_sim::faults::{Bus, Motor};
use planktor_sim::{Fault, Settings, Twin};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;

/// All of them.
pub const CHECKS: [Check; 6] = [
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
                let program = planktor(data.path().to_str().expect("plain letters"));
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
    let mut instrument = Instrument::met();
    instrument.has(&["pump", "focus", "light", "bubbler"]);
    works(&mut instrument, &twin);
    let clock = located(&mut instrument);
    assert!(ship.program.take().expect("it was started").end().success());
    at_rest(&twin);
    let far_end = ship.far_end.take().expect("it was put there");
    format!("{}, {clock}", datagrams(&far_end))
}

/// The instrument as its client knows it.
struct Instrument {
    client: Client,
    /// Devices, and how they were when that was last said.
    health: BTreeMap<String, Value>,
}

impl Instrument {
    fn met() -> Self {
        Self { client: Client::connect(&broker(), "vm").expect("it speaks"), health: BTreeMap::new() }
    }

    fn note(health: &mut BTreeMap<String, Value>, said: &Said) {
        if let Some(device) = said.topic.strip_prefix("planktor/status/device/") {
            health.insert(device.into(), said.payload["health"].clone());
        }
    }

    /// Listens for so long.
    fn listen(&mut self, patience: Duration) {
        let said = self.client.next(Some(patience)).expect("the broker is there");
        said.iter().for_each(|said| Self::note(&mut self.health, said));
    }

    fn ask(
        &mut self,
        topic: &str,
        payload: Value,
        mut meanwhile: impl FnMut(&Said),
    ) -> Result<Value, ClientError> {
        self.client.request(topic, payload, |said| {
            Self::note(&mut self.health, said);
            meanwhile(said);
        })
    }

    fn does(&mut self, topic: &str, payload: Value) -> Value {
        self.ask(topic, payload, |_| {}).unwrap_or_else(|error| panic!("{topic}: {error}"))
    }

    /// Waits until these devices are there.
    fn has(&mut self, devices: &[&str]) {
        let began = Monotonic.now();
        while devices.iter().any(|device| self.health.get(*device).is_none_or(|health| health != "present")) {
            assert!(Monotonic.now() - began < PATIENCE, "{devices:?} are missing: {:?}", self.health);
            self.listen(GLANCE);
        }
    }
}

const GLANCE: Duration = Duration::from_millis(500);

fn stroke(volume_ml: f64) -> Value {
    json!({"action": "move", "direction": "FORWARD", "volume": volume_ml, "flowrate": 3})
}

fn up(mm: f64) -> Value {
    json!({"action": "move", "direction": "UP", "distance": mm})
}

/// Everything that can be moved moves, and the twin feels it.
fn works(instrument: &mut Instrument, twin: &Twin) {
    instrument.does("light", json!({"action": "on"}));
    assert!(twin.world().is_lit());
    let (nl, um) = where_it_is(twin);
    instrument.does("actuator/pump", stroke(0.05));
    let pumped = where_it_is(twin).0 - nl;
    assert!((pumped - 50_000.0).abs() < 500.0, "{pumped} nl were pumped");
    instrument.does("actuator/focus", up(0.2));
    let rose = where_it_is(twin).1 - um;
    assert!((rose - 200.0).abs() < 2.0, "the stage rose by {rose} um");
}

/// Nanolitres that were pumped, and the stage's height in micrometres.
fn where_it_is(twin: &Twin) -> (f64, f64) {
    let world = twin.world();
    (world.pumped_nl(), world.stage_um())
}

/// Waits until time and place come from the receiver.
fn located(instrument: &mut Instrument) -> String {
    let began = Monotonic.now();
    loop {
        let health = instrument.does("planktor/health", json!({"action": "get"}));
        let (source, latitude) = (&health["clock"]["source"], health["position"]["latitude"].as_f64());
        if *source == "gps" && latitude.is_some_and(|latitude| (latitude - 48.7273).abs() < 1e-4) {
            return format!("clock by gps to {} s", health["clock"]["error_s"]);
        }
        assert!(Monotonic.now() - began < PATIENCE, "it is not where the receiver is: {health}");
        instrument.listen(GLANCE);
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
    let mut instrument = Instrument::met();
    instrument.has(&["pump", "focus", "light"]);
    let mut spell = None;
    let outcome = instrument.ask("actuator/pump", stroke(0.2), |said| {
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
    instrument.does("actuator/focus", up(0.1));
    twin.world().mend(spell.expect("the stroke began"));
    instrument.has(&["pump"]);
    works(&mut instrument, &twin);
    assert!(ship.program.take().expect("it was started").end().success());
    at_rest(&twin);
    why
}
