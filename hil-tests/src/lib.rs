//! What must be true of the instrument: a bench on which scenarios are played, in virtual time, with a client that
//! knows the instrument by its messages only, and a look into the twin's world that the instrument never has.

use actix::{Actor, AsyncContext, Context, Handler};
use planktor_actors::alarm::{Alarms, Bell, Ticket, VirtualClock};
use planktor_actors::journal::Journal;
use planktor_actors::outlet::Answers;
use planktor_actors::port::{Mail, Port};
use planktor_drivers::disk::FileSystem;
use planktor_drivers::{Board, Clock};
use planktor_protocol::{Instant, Utc};
use planktor_runtime::gateway::Gateway;
use planktor_runtime::instrument::{Config, Instrument, Models, Time};
use planktor_runtime::mqtt::Message;
use planktor_sim::{Settings, Twin};
use serde_json::{Value, json};
use std::cell::RefCell;
use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;

/// Real time after which a scenario in virtual time has got stuck.
const STUCK: Duration = Duration::from_secs(60);

/// What a client sends, and when after the start.
pub type Script = Vec<(Duration, Message)>;

/// Sees every message as it is published, with the world as it is at that instant; gives back what the client sends
/// at once.
pub type React = Box<dyn FnMut(&Seen, &Twin) -> Vec<Message> + Send>;

/// Whether the scenario is over after this message.
pub type Until = Box<dyn FnMut(&Seen) -> bool + Send>;

/// Puts another board in front of the twin: one that can be broken.
pub type Wrap = Box<dyn FnOnce(Twin) -> Arc<dyn Board>>;

/// A message that the instrument published.
#[derive(Clone, Debug, PartialEq)]
pub struct Seen {
    /// When.
    pub at: Instant,
    /// Where.
    pub topic: String,
    /// What; null if it is not JSON.
    pub payload: Value,
    /// Whether it stays for those who come later.
    pub retain: bool,
}

impl Seen {
    /// Its status word.
    pub fn status(&self) -> &str {
        self.payload["status"].as_str().unwrap_or_default()
    }

    /// Whether it is this status on this topic.
    pub fn is(&self, topic: &str, status: &str) -> bool {
        self.topic == topic && self.status() == status
    }
}

/// A scenario.
pub struct Scenario {
    /// Everything random follows from it.
    pub seed: u64,
    /// Pixels of a frame.
    pub frame: (u32, u32),
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
    /// How long the twin's computer and disk take.
    pub models: Models,
}

impl Scenario {
    /// A client that only sends, until the time limit.
    pub fn new(script: Script, limit: Duration) -> Self {
        Self {
            seed: 1,
            frame: Settings::SMALL_FRAME,
            script,
            react: Box::new(|_, _| vec![]),
            until: Box::new(|_| false),
            limit,
            wrap: None,
            models: models(),
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

    /// Plays it.
    ///
    /// # Panics
    /// If it gets stuck.
    pub fn play(self) -> Played {
        let _system = actix_rt::System::new();
        let folder = TempDir::new().expect("a temporary folder");
        let data = folder.path().join("data");
        std::fs::create_dir_all(&data).expect("a data root");
        let clock = VirtualClock::default();
        let settings = Settings::new(self.seed, self.frame, began());
        let twin = Twin::new(Arc::new(clock.clone()), settings);
        let board =
            self.wrap.map_or_else(|| Arc::new(twin.clone()) as Arc<dyn Board>, |wrap| wrap(twin.clone()));
        let journal = Journal::kept();
        let config = Config {
            models: self.models,
            journal: journal.clone(),
            encoders: 2,
            ..Config::new(board, "twin", Time::Virtual(clock.clone()), Box::new(FileSystem), data.clone())
        };
        let (instrument, answers) = Instrument::start(config).expect("threads");
        let (done, over) = crossbeam_channel::bounded(1);
        let gateway = Gateway::new(instrument.gate.clone());
        let client = Start {
            script: self.script,
            react: self.react,
            until: self.until,
            limit: self.limit,
            twin: twin.clone(),
            clock: clock.clone(),
            done,
        };
        instrument.hardware.spawn_fn(move || client.start(gateway, answers));
        let (seen, enabled) = over.recv_timeout(STUCK).unwrap_or_else(|_| {
            panic!(
                "seed {}: stuck at {:?}; the journal ends with {:#?}",
                self.seed,
                clock.now(),
                tail(&journal)
            )
        });
        instrument.end();
        Played { seen, enabled, twin, clock, journal: journal.lines(), data, _folder: folder }
    }
}

fn tail(journal: &Journal) -> Vec<String> {
    let lines = journal.lines();
    lines[lines.len().saturating_sub(10)..].to_vec()
}

/// The true time when a scenario begins.
pub fn began() -> Utc {
    Utc::parse("2026-06-01T08:00:00Z").expect("a date")
}

/// The twin's own guess of how long its computer and disk take.
fn models() -> Models {
    Models { encoding: |_| Twin::encoding_takes(12_330_240), recording: |_| Twin::writing_takes(4_000_000) }
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
    /// Everything that reached the supervisor and that it answered.
    pub journal: Vec<String>,
    /// The data root.
    pub data: PathBuf,
    _folder: TempDir,
}

impl Played {
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

/// Everything that the client needs; it is made on the hardware thread.
struct Start {
    script: Script,
    react: React,
    until: Until,
    limit: Duration,
    twin: Twin,
    clock: VirtualClock,
    done: crossbeam_channel::Sender<(Vec<Seen>, [bool; 2])>,
}

impl Start {
    fn start(self, gateway: Gateway, answers: Answers) {
        let Self { script, react, until, limit, twin, clock, done } = self;
        let released = clock.clone();
        Client::create(move |ctx| {
            let bell = Alarms::here().bell(Port::of(&ctx.address()));
            let start = bell.now();
            let script =
                script.into_iter().map(|(after, message)| (bell.at(start + after), message)).collect();
            let limit = bell.at(start + limit);
            let place = Place { gateway, react, until, twin, clock, seen: vec![], done: Some(done), bell };
            let place = Rc::new(RefCell::new(place));
            let listening = place.clone();
            actix_rt::spawn(async move {
                while let Some(answer) = answers.next().await {
                    let messages = listening.borrow_mut().gateway.tell(&answer);
                    listening.borrow_mut().hear(messages);
                }
            });
            Client { place, script, limit }
        });
        released.release();
    }
}

/// Sends at its alarms.
struct Client {
    place: Rc<RefCell<Place>>,
    script: VecDeque<(Ticket, Message)>,
    limit: Ticket,
}

/// Where the client hears and speaks.
struct Place {
    gateway: Gateway,
    react: React,
    until: Until,
    twin: Twin,
    clock: VirtualClock,
    seen: Vec<Seen>,
    done: Option<crossbeam_channel::Sender<(Vec<Seen>, [bool; 2])>>,
    bell: Bell,
}

impl Place {
    fn say(&mut self, message: &Message) {
        if message.topic == SHUT_DOWN {
            return self.gateway.shut_down();
        }
        let replies = self.gateway.receive(message);
        self.hear(replies);
    }

    fn hear(&mut self, messages: Vec<Message>) {
        for Message { topic, payload, retain, .. } in messages {
            let payload = serde_json::from_slice(&payload).unwrap_or(Value::Null);
            let seen = Seen { at: self.bell.now(), topic, payload, retain };
            let (over, answers) = ((self.until)(&seen), (self.react)(&seen, &self.twin));
            self.seen.push(seen);
            if over {
                self.finish();
            }
            for answer in answers {
                self.say(&answer);
            }
        }
    }

    fn finish(&mut self) {
        if let Some(done) = self.done.take() {
            self.clock.hold();
            let world = self.twin.world();
            let enabled = [world.pump.is_enabled(), world.focus.is_enabled()];
            let _ = done.send((std::mem::take(&mut self.seen), enabled));
        }
    }
}

impl Actor for Client {
    type Context = Context<Self>;
}

impl Handler<Mail<Ticket>> for Client {
    type Result = ();

    fn handle(&mut self, Mail(ticket): Mail<Ticket>, _: &mut Context<Self>) {
        let mut place = self.place.borrow_mut();
        if ticket == self.limit {
            return place.finish();
        }
        if let Some(i) = self.script.iter().position(|(due, _)| *due == ticket)
            && let Some((_, message)) = self.script.remove(i)
        {
            place.say(&message);
        }
    }
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
