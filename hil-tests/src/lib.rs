//! What must be true of the instrument: a bench on which scenarios are played, in virtual time, with a client that
//! knows the instrument by its messages only, and a look into the twin's world that the instrument never has.

pub mod arms;
pub mod bench;
pub mod conformance;
pub mod explorer;
pub mod meddled;
pub mod rig;
pub mod routine;
pub mod sharp;
pub mod vm;
pub mod wire;

use planktor_actors::alarm::VirtualClock;
use planktor_actors::journal::{Journal, Line};
use planktor_actors::viewfinder::Viewfinder;
use planktor_drivers::Board;
use planktor_drivers::disk::FileSystem;
use planktor_protocol::{Instant, Utc};
use planktor_runtime::instrument::{Config, MakePosition, Models};
use planktor_runtime::journal::{Head, Recorded};
use planktor_runtime::mqtt::Message;
use planktor_runtime::scenario::{Mischief, Scenario as World};
use planktor_runtime::shelf::snapshot;
pub use planktor_runtime::stage::Seen;
use planktor_runtime::stage::{Act, Client, Cue, Play};
use planktor_sim::{Hat, Parameters, RtcChip, Settings, Twin};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;

/// What a client sends, and when after the start.
pub type Script = Vec<(Duration, Message)>;

/// Sees every message as it is published, with the world as it is at that instant; gives back what the client sends
/// at once.
pub type React = Box<dyn FnMut(&Seen, &Twin) -> Vec<Message> + Send>;

/// Whether the scenario is over after this message.
pub type Until = Box<dyn FnMut(&Seen) -> bool + Send>;

/// Puts another board in front of the twin: one that can be broken.
pub type Wrap = Box<dyn FnOnce(Twin) -> Arc<dyn Board>>;

/// A scenario.
pub struct Scenario {
    /// Everything random follows from it.
    pub seed: u64,
    /// Pixels of a frame.
    pub frame: (u32, u32),
    /// Which board.
    pub hat: Hat,
    /// The world's numbers.
    pub parameters: Parameters,
    /// The battery-backed clock, if there is one.
    pub rtc: Option<RtcChip>,
    /// Whether chrony keeps the computer's clock right.
    pub network: bool,
    /// Who knows the position, if not the twin's own receiver.
    pub position: Option<MakePosition>,
    /// What breaks.
    pub faults: Vec<Mischief>,
    /// What the client sends.
    pub script: Script,
    /// What it sends in answer.
    pub react: React,
    /// When it is over.
    pub until: Until,
    /// Virtual time after which it is over in any case.
    pub limit: Duration,
    /// The board, if not the twin itself.
    pub wrap: Option<Wrap>,
    /// The data root, if it is to be there afterwards or was there before.
    pub data: Option<PathBuf>,
    /// What the instrument's `hardware.json` says at the start, if it is to say something.
    pub hardware: Option<Value>,
    /// How long the twin's computer and disk take, if not as the twin says.
    pub models: Option<Models>,
    /// Who looks through the camera.
    pub viewfinder: Viewfinder,
}

impl Scenario {
    /// A client that only sends, until the time limit.
    pub fn new(script: Script, limit: Duration) -> Self {
        Self {
            seed: 1,
            frame: Settings::SMALL_FRAME,
            hat: Hat::default(),
            parameters: Parameters::default(),
            rtc: None,
            network: false,
            position: None,
            faults: vec![],
            script,
            react: Box::new(|_, _| vec![]),
            until: Box::new(|_| false),
            limit,
            wrap: None,
            data: None,
            hardware: None,
            models: None,
            viewfinder: Viewfinder::default(),
        }
    }

    /// Over with this status on this topic.
    #[must_use]
    pub fn until(self, topic: &'static str, status: &'static str) -> Self {
        Self { until: Box::new(move |seen| seen.is(topic, status)), ..self }
    }

    /// With a client that answers.
    #[must_use]
    pub fn react(self, react: impl FnMut(&Seen, &Twin) -> Vec<Message> + Send + 'static) -> Self {
        Self { react: Box::new(react), ..self }
    }

    /// With something that breaks: a fault as in a scenario file, in JSON.
    ///
    /// # Panics
    /// If it is none.
    #[must_use]
    pub fn fault(mut self, fault: &Value) -> Self {
        self.faults.push(serde_json::from_value(fault.clone()).expect("a fault"));
        self
    }

    /// Plays it.
    ///
    /// # Panics
    /// If it gets stuck.
    pub fn play(self) -> Played {
        let folder = TempDir::new().expect("a temporary folder");
        let data = self.data.unwrap_or_else(|| folder.path().join("data"));
        std::fs::create_dir_all(data.join("twin")).expect("a data root");
        if let Some(hardware) = self.hardware {
            std::fs::write(data.join("twin/hardware.json"), hardware.to_string()).expect("a file in it");
        }
        let world = World {
            seed: self.seed,
            hat: self.hat,
            frame: self.frame.try_into().expect("a frame's size"),
            parameters: self.parameters,
            rtc: self.rtc,
            network: self.network,
            faults: self.faults,
            limit_s: self.limit.into(),
            ..World::default()
        };
        let kept = snapshot(&data, "twin", None);
        let mut play = Play::of(&world, Instant::ZERO, began(), Box::new(FileSystem), data.clone());
        let journal = Journal::kept();
        play.config =
            Config { journal: journal.clone(), encoders: 2, viewfinder: self.viewfinder, ..play.config };
        if let Some(wrap) = self.wrap {
            play.config.board = wrap(play.twin.clone());
        }
        if self.position.is_some() {
            play.config.position = self.position;
        }
        if let Some(models) = self.models {
            play.config.models = models;
        }
        play.cues = self.script.into_iter().map(|(after, message)| cue(after, message)).collect();
        let (twin, clock) = (play.twin.clone(), play.clock.clone());
        let script = Scripted { react: self.react, until: self.until, over: false, flaws: vec![] };
        let (played, Scripted { flaws, .. }) = play.run(script).unwrap_or_else(|stuck| {
            panic!("seed {}: {stuck}; the journal ends with {:#?}", self.seed, tail(&journal))
        });
        assert!(flaws.is_empty(), "not as in the contract: {flaws:#?}");
        let planktor_runtime::stage::Played { seen, enabled } = played;
        Played { seen, enabled, twin, clock, journal: journal.lines(), world, data, kept, _folder: folder }
    }
}

/// Who reacts as the scenario says.
struct Scripted {
    react: React,
    until: Until,
    over: bool,
    /// What is not as the contract says.
    flaws: Vec<String>,
}

impl Client for Scripted {
    fn hears(&mut self, seen: &Seen, twin: &Twin) -> Vec<Act> {
        self.flaws.extend(wire::flaw(&seen.topic, &seen.payload));
        self.over = (self.until)(seen);
        (self.react)(seen, twin).into_iter().map(act).collect()
    }

    fn is_over(&self) -> bool {
        self.over
    }
}

fn cue(after: Duration, message: Message) -> Cue {
    Cue { at: Instant::ZERO + after, after: 0, act: act(message) }
}

fn act(message: Message) -> Act {
    if message.topic == SHUT_DOWN { Act::ShutDown } else { Act::Say(message) }
}

fn tail(journal: &Journal) -> Vec<String> {
    let lines = journal.lines();
    lines[lines.len().saturating_sub(10)..].iter().map(ToString::to_string).collect()
}

/// The true time when a scenario begins.
pub fn began() -> Utc {
    Utc::parse("2026-06-01T08:00:00Z").expect("a date")
}

/// A scenario that was played.
pub struct Played {
    /// Every message that was published.
    pub seen: Vec<Seen>,
    /// The world at the end; its clock stands. (Motors are off by now: the supervisor is gone.)
    pub twin: Twin,
    /// Whether the pump's or the stage's motor had current when it was over.
    pub enabled: [bool; 2],
    /// The clock.
    pub clock: VirtualClock,
    /// Everything that entered the hardware thread or left it.
    pub journal: Vec<Line>,
    /// Which world it was.
    pub world: World,
    /// The data root.
    pub data: PathBuf,
    /// The small files that were in it at the start.
    pub kept: BTreeMap<String, String>,
    _folder: TempDir,
}

impl Played {
    /// Its journal, as a file would have it.
    pub fn recorded(&self) -> Recorded {
        let (data, scenario) = (self.data.clone(), self.world.clone());
        let head = Head {
            hurried: true,
            start_ns: 0,
            began_us: began().micros(),
            data,
            board: None,
            scenario,
            kept: self.kept.clone(),
        };
        Recorded { head, lines: self.journal.clone() }
    }

    /// The status words on a topic, in order.
    pub fn statuses(&self, topic: &str) -> Vec<&str> {
        self.seen.iter().filter(|seen| seen.topic == topic).map(Seen::status).collect()
    }

    /// How often a status was published on a topic.
    pub fn count(&self, topic: &str, status: &str) -> usize {
        self.seen.iter().filter(|seen| seen.is(topic, status)).count()
    }

    /// Every file below the data root, sorted, with its content.
    pub fn files(&self) -> Vec<(PathBuf, Vec<u8>)> {
        files(&self.data)
    }

    /// The data sets, sorted.
    pub fn data_sets(&self) -> Vec<PathBuf> {
        let metadata = |(name, _): &(PathBuf, _)| name.ends_with("metadata.json");
        let folder = |(name, _): (PathBuf, _)| self.data.join(name.parent().unwrap_or(Path::new("")));
        self.files().into_iter().filter(metadata).map(folder).collect()
    }
}

/// The lines of a data set's record: what was to be done, its frames, and what happened beside them.
///
/// # Panics
/// If there is none, or a line is not JSON.
pub fn record(folder: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(folder.join("frames.jsonl")).expect("a record");
    text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

/// Every file below a folder, sorted, named from there, with its content.
///
/// # Panics
/// If the folder cannot be read.
pub fn files(root: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let (mut found, mut folders) = (vec![], vec![root.to_path_buf()]);
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("a readable folder") {
            let path = entry.expect("a readable entry").path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let content = std::fs::read(&path).expect("a readable file");
                found.push((path.strip_prefix(root).expect("below the root").to_path_buf(), content));
            }
        }
    }
    found.sort();
    found
}

/// Not a topic of MQTT: what a signal from the system does.
const SHUT_DOWN: &str = "(the system ends the program)";

/// The system ends the program.
pub fn shut_down() -> Message {
    Message { topic: SHUT_DOWN.into(), ..Message::default() }
}

/// A message with a JSON payload.
pub fn message(topic: &str, payload: &Value) -> Message {
    raw(topic, payload.to_string().as_bytes())
}

/// A message with any payload.
pub fn raw(topic: &str, payload: &[u8]) -> Message {
    Message { topic: topic.into(), payload: payload.to_vec(), ..Message::default() }
}

/// The lamp on, as the dashboard does it.
pub fn light_on() -> Message {
    message("light", &json!({"action": "on"}))
}

/// The dashboard's `update_config`.
pub fn update_config(acq_id: &str, frames: u32) -> Message {
    let config = json!({
        "object_date": "2026-06-01", "object_time": "08:00:00", "sample_project": "tests", "sample_id": "sample 1",
        "sample_operator": "nobody", "acq_id": acq_id, "acq_instrument": "PlanktoScope v3.0",
        "acq_nb_frame": frames, "process_pixel": 0.75, "object_lat": 48.7273, "object_lon": -3.9814,
    });
    message("imager/image/update_config", &json!({"action": "update_config", "config": config}))
}

/// The dashboard's `image`: 6 uL a frame at 3 mL/min, half a second of settling.
pub fn image(frames: u32) -> Message {
    message(
        "imager/image",
        &json!({"action": "image", "pump_direction": "FORWARD", "volume": 0.006, "nb_frame": frames, "sleep": 0.5,
                "flowrate": 3}),
    )
}

/// Everything that the dashboard sends for an acquisition: light, configuration, and 200 ms later the start.
pub fn dashboard(acq_id: &str, frames: u32) -> Script {
    let ms = Duration::from_millis;
    vec![(ms(100), light_on()), (ms(1_000), update_config(acq_id, frames)), (ms(1_200), image(frames))]
}
