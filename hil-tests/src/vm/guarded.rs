//! The guard, where it counts: `planktor guard` as it is released, on the kernel's nodes, with a motor that turns and a lamp
//! that shines. Its program is killed, stopped, or hangs in a bus; what becomes of motors and lamp is seen from the other
//! side of the wires.
//!
//! `ROUNDS` rounds on each board, of four: the guard starts its program again after three of them, and gives up at the
//! fourth. Time in the virtual machine is what it has done, a nanosecond an instruction: a busy computer changes nothing.

use super::far_end::{Answers, FarEnd, Wire};
use super::programs::{PATIENCE, Running, broker, guard, mosquitto};
use super::table::Check;
use planktor_drivers::Clock as _;
use planktor_drivers::clock::{Computer, Monotonic, WallClock as _};
use planktor_protocol::{Axis, Instant, Utc};
use planktor_runtime::client::Client;
use planktor_sim::{Hat, Settings, Twin};
use rustix::event::{Timespec, poll};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;

/// All of them.
pub const CHECKS: [Check; 2] = [
    ("a guard switches off HAT 3.3, whatever ends its program, within 200 ms", || {
        whatever_ends_it(Hat::V3_3)
    }),
    ("a guard switches off HAT 1.2, whatever ends its program, within 200 ms", || {
        whatever_ends_it(Hat::V1_2)
    }),
];

/// From the event to a motor without current, and to a dark lamp.
const AT_MOST: Duration = Duration::from_millis(200);
/// Until a move that was asked for is under way, and how often it is asked for.
const TRY: Duration = Duration::from_secs(2);
const TRIES: usize = 5;
/// How soon the world is looked at again.
const GLANCE: Duration = Duration::from_micros(200);
/// `planktor guard`'s exit code when it gives up.
const GAVE_UP: i32 = 3;

/// What happens to a program.
#[derive(Clone, Copy, Debug)]
enum End {
    Killed,
    Stopped,
    Hung,
}

const ENDS: [End; 3] = [End::Killed, End::Stopped, End::Hung];

/// How long motors and lamp took.
#[derive(Clone, Copy)]
struct Took {
    motors: Duration,
    lamp: Duration,
}

fn whatever_ends_it(hat: Hat) -> String {
    let rounds = std::env::var("ROUNDS").map_or(1, |rounds| rounds.parse().expect("ROUNDS is a number"));
    let _broker = mosquitto();
    let mut took = [vec![], vec![], vec![]];
    for round in 0..rounds {
        let mut bench = Bench::started(hat);
        for (n, end) in ENDS.into_iter().chain([ENDS[round % ENDS.len()]]).enumerate() {
            bench.is_at_work(n);
            took[end as usize].push(bench.ends_by(end));
        }
        assert_eq!(bench.guard.ends().code(), Some(GAVE_UP));
    }
    let lines = ENDS.map(|end| {
        let of = |what: fn(&Took) -> Duration| spread(took[end as usize].iter().map(what).collect());
        format!("{end:?}: motors {}, lamp {}", of(|took| took.motors), of(|took| took.lamp))
    });
    format!("{} of each; {}", took[2].len(), lines.join("; "))
}

/// Median and largest.
fn spread(mut times: Vec<Duration>) -> String {
    times.sort();
    let ms = |time: Duration| time.as_secs_f64() * 1e3;
    format!("{:.1}, at most {:.1} ms", ms(times[times.len() / 2]), ms(times[times.len() - 1]))
}

/// A guarded program, and the other side of its wires.
struct Bench {
    guard: Running,
    program: Pid,
    far_end: FarEnd,
    twin: Twin,
    _data: TempDir,
}

impl Bench {
    fn started(hat: Hat) -> Self {
        let up = i64::try_from(Monotonic.now().nanos() / 1_000).expect("up for less than 292,000 years");
        let began = Utc::from_micros(Computer.utc().micros() - up);
        let settings = Settings { hat, ..Settings::new(1, Settings::SMALL_FRAME, began) };
        let twin = Twin::new(Arc::new(Monotonic), settings);
        let far_end = FarEnd::of(&twin).expect("nobody else is there");
        let data = TempDir::new().expect("a folder");
        let guard = guard(hat, data.path().to_str().expect("plain letters"));
        Self { guard, program: Pid::INIT, far_end, twin, _data: data }
    }

    /// Waits until there is a (new) program, and has it move both motors and light the lamp.
    fn is_at_work(&mut self, n: usize) {
        let line = self.guard.will_say("watches process");
        let number = line.rsplit(' ').next().and_then(|number| number.parse().ok());
        self.program = number.and_then(Pid::from_raw).unwrap_or_else(|| panic!("no process in {line:?}"));
        let mut missing = vec!["pump present", "focus present", "light present", "connected"];
        while !missing.is_empty() {
            let line = self.guard.will_say("");
            missing.retain(|words| !line.contains(words));
        }
        let client = Client::connect(&broker(), "vm").expect("it speaks");
        let lit = client.request("light", json!({"action": "on"}), |_| {});
        lit.unwrap_or_else(|error| panic!("light: {error}"));
        let stroke = json!({"action": "move", "direction": "FORWARD", "volume": 10, "flowrate": 3});
        let direction = ["UP", "DOWN"][n % 2];
        let climb = json!({"action": "move", "direction": direction, "distance": 5, "speed": 1});
        // A chip whose program was killed in mid-move has gone on counting, without current, and moves nothing before it stands.
        let moves = (0..TRIES).any(|_| {
            client.send("actuator/pump", &stroke).expect("it is there");
            client.send("actuator/focus", &climb).expect("it is there");
            let (nl, um) = self.where_it_is();
            let at_work = || {
                let (more_nl, more_um) = self.where_it_is();
                more_nl > nl + 1_000.0 && (more_um - um).abs() > 10.0
            };
            by(Monotonic.now() + TRY, Duration::from_millis(5), at_work).is_some()
        });
        assert!(moves && self.twin.world().is_lit(), "nothing moves");
    }

    /// How long motors and lamp then took.
    fn ends_by(&mut self, end: End) -> Took {
        let began = match end {
            End::Killed => self.signals(Signal::KILL),
            End::Stopped => self.signals(Signal::STOP),
            End::Hung => {
                self.far_end.meddle(Wire::Spi, Answers::Never);
                // In mid-move nobody asks a chip before its move can be over. Now somebody does.
                let client = Client::connect(&broker(), "vm").expect("it speaks");
                client.send("actuator/pump", &json!({"action": "stop"})).expect("it is there");
                by(Monotonic.now() + PATIENCE, GLANCE, || self.far_end.in_vain().is_some())
                    .expect("it uses its bus");
                self.far_end.in_vain().expect("it waits in vain")
            }
        };
        let (mut motors, mut lamp) = (None, None);
        let safe = || {
            let now = Monotonic.now();
            let world = self.twin.world();
            if [Axis::Pump, Axis::Focus].iter().all(|axis| !world.is_enabled(*axis)) {
                motors.get_or_insert(now - began);
            }
            if !world.is_lit() {
                lamp.get_or_insert(now - began);
            }
            motors.is_some() && lamp.is_some()
        };
        assert!(
            by(began + Duration::from_secs(5), GLANCE, safe).is_some(),
            "{end:?}: motors after {motors:?}, lamp after {lamp:?}"
        );
        let stands = self.where_it_is();
        self.far_end.meddle(Wire::Spi, Answers::Theirs);
        let took = Took { motors: motors.unwrap_or_default(), lamp: lamp.unwrap_or_default() };
        assert!(
            took.motors.max(took.lamp) <= AT_MOST,
            "{end:?}: motors {:?}, lamp {:?}",
            took.motors,
            took.lamp
        );
        self.guard.will_say("the guard had the motors off");
        assert_eq!(self.where_it_is(), stands, "a motor without current has moved");
        took
    }

    fn signals(&self, signal: Signal) -> Instant {
        let now = Monotonic.now();
        kill_process(self.program, signal).expect("it is there");
        now
    }

    /// Nanolitres that were pumped, and the stage's height in micrometres.
    fn where_it_is(&self) -> (f64, f64) {
        let world = self.twin.world();
        (world.pumped_nl(), world.stage_um())
    }
}

/// Looks until it is so; `None` if it is not until then.
fn by(until: Instant, glance: Duration, mut is_so: impl FnMut() -> bool) -> Option<()> {
    while !is_so() {
        if Monotonic.now() > until {
            return None;
        }
        // Nobody tells: this is the pause between two looks.
        let _ = poll(&mut [], Some(&Timespec::try_from(glance).expect("a short time")));
    }
    Some(())
}
