//! Plays a run in virtual time: instrument, gateway and client on one loop, which jumps from deadline to deadline.
//! Messages enter and leave in memory; there is no socket and no broker.

use crate::gateway::Gateway;
use crate::instrument::{Config, Instrument, Models, StartError, Time};
use crate::mqtt::Message;
use crate::scenario::Scenario;
use crate::trouble::Troublemaker;
use actix::{Actor, AsyncContext, Context, Handler};
use planktor_actors::alarm::{Alarms, Bell, Ticket, VirtualClock};
use planktor_actors::outlet::Answers;
use planktor_actors::port::{Mail, Port};
use planktor_actors::recording::Record;
use planktor_actors::settling::Study;
use planktor_drivers::{Clock, Disk};
use planktor_protocol::{Axis, Instant, Utc};
use planktor_sim::Twin;
use planktor_sim::disk::TwinDisk;
use serde_json::Value;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

/// Real time after which a run in virtual time has got stuck.
const STUCK: Duration = Duration::from_secs(120);

/// A message that was published.
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

/// Something that the client does at an instant.
#[derive(Clone, Debug, PartialEq)]
pub struct Cue {
    /// When; what is over is done at once.
    pub at: Instant,
    /// And not before so many messages have been published.
    pub after: usize,
    /// What.
    pub act: Act,
}

/// What a client can do.
#[derive(Clone, Debug, PartialEq)]
pub enum Act {
    /// Send.
    Say(Message),
    /// The system ends the program.
    ShutDown,
    /// Look at the world.
    Look,
}

/// Whoever plays the world outside.
pub trait Client: Send {
    /// Hears a message as it is published, with the world as it is at that instant; gives back what it does at once.
    fn hears(&mut self, seen: &Seen, twin: &Twin) -> Vec<Act>;

    /// Looks at the world, at a cue.
    fn looks(&mut self, _now: Instant, _twin: &Twin) {}

    /// Whether the run is over now. Asked after everything that happens.
    fn is_over(&self) -> bool {
        false
    }
}

/// A run that is to be played.
pub struct Play {
    /// The instrument, in virtual time.
    pub config: Config,
    /// Its twin.
    pub twin: Twin,
    /// Its clock.
    pub clock: VirtualClock,
    /// Who breaks the twin.
    pub trouble: Troublemaker,
    /// What the client does.
    pub cues: Vec<Cue>,
    /// When it is over in any case.
    pub limit: Instant,
}

/// A run that was played.
#[derive(Debug)]
pub struct Played {
    /// Every message that was published.
    pub seen: Vec<Seen>,
    /// Whether the pump's and the stage's motor had current when it was over.
    pub enabled: [bool; 2],
}

/// Why a play did not come to its end.
#[derive(Debug, thiserror::Error)]
pub enum Unplayed {
    /// It could not begin.
    #[error(transparent)]
    Start(#[from] StartError),
    /// Nothing happened any more, and it was not over.
    #[error("the run got stuck at {0:?} of virtual time; please report it with its scenario")]
    Stuck(Instant),
}

impl Play {
    /// A usual run of a scenario, from an instant on; its messages are its cues.
    pub fn of(scenario: &Scenario, start: Instant, began: Utc, disk: Box<dyn Disk>, data: PathBuf) -> Self {
        let clock = VirtualClock::standing_at(start);
        let twin = Twin::new(Arc::new(clock.clone()), scenario.settings(began));
        let disk = TwinDisk::new(disk, twin.clone());
        let config = Config {
            models: models(&twin),
            calibration: scenario.calibration(),
            encoders: std::thread::available_parallelism().map_or(1, std::num::NonZero::get).min(8),
            ..Config::new(Arc::new(twin.clone()), "twin", Time::Virtual(clock.clone()), Box::new(disk), data)
        };
        let trouble = Troublemaker::new(twin.clone(), scenario.seed, &scenario.faults);
        let cue = |said: &crate::scenario::Said| Cue {
            at: start + said.at_s.duration(),
            after: 0,
            act: Act::Say(said.message()),
        };
        let cues = scenario.messages.iter().map(cue).collect();
        Self { config, twin, clock, trouble, cues, limit: start + scenario.limit_s.duration() }
    }

    /// Plays it, and gives the client back.
    ///
    /// # Errors
    /// [`Unplayed`]
    pub fn run<C: Client + 'static>(self, client: C) -> Result<(Played, C), Unplayed> {
        let Self { config, twin, clock, trouble, cues, limit } = self;
        let _system = actix_rt::System::new();
        let journal = config.journal.clone();
        let (instrument, answers) = Instrument::start(config)?;
        let gateway = Gateway::new(instrument.gate.clone(), Some(trouble), journal);
        let (done, over) = crossbeam_channel::bounded(1);
        let standing = clock.clone();
        let start = move || {
            let released = clock.clone();
            let make = |bell| Place {
                gateway,
                client: Some(client),
                twin,
                clock,
                seen: vec![],
                early: vec![],
                done,
                bell,
            };
            begin(make, cues, limit, answers);
            released.release();
        };
        instrument.hardware.spawn_fn(start);
        let ended = over.recv_timeout(STUCK).map_err(|_| Unplayed::Stuck(standing.now()));
        if ended.is_ok() {
            instrument.end();
        } else {
            // Its threads hang: joining them would hang, too.
            std::mem::forget(instrument);
        }
        ended
    }
}

/// Pixels of a full frame: work takes as long as it would for one, whatever is rendered.
const PIXELS: u64 = 4_056 * 3_040;
/// Some thousand fits, on a core of a Pi 4 (assumption: ten times what a desk computer takes).
const FITTING: Duration = Duration::from_millis(300);
/// What it is compressed to.
const BYTES: u64 = 4_000_000;

/// How long the twin's computer and disk take.
fn models(twin: &Twin) -> Models {
    let (computer, looks, disk) = (twin.clone(), twin.clone(), twin.clone());
    Models {
        encoding: Arc::new(move |_| computer.world().encoding_takes(PIXELS)),
        studying: Arc::new(move |job| match job {
            Study::Compare { .. } => looks.world().encoding_takes(PIXELS / 4),
            Study::Fit { .. } => FITTING,
        }),
        recording: Arc::new(move |job| {
            disk.world().writing_takes(match job {
                Record::Frame { .. } | Record::Alone { .. } => BYTES,
                Record::Begin(_)
                | Record::Resume(_)
                | Record::Note(_)
                | Record::End { .. }
                | Record::Errand(..) => 0,
            })
        }),
    }
}

/// Where the client hears and speaks.
struct Place<C> {
    gateway: Gateway,
    /// Nobody, when it is over.
    client: Option<C>,
    twin: Twin,
    clock: VirtualClock,
    seen: Vec<Seen>,
    /// Cues whose instant has come, but not everything that is to be heard before.
    early: Vec<Cue>,
    done: crossbeam_channel::Sender<(Played, C)>,
    bell: Bell,
}

/// On the hardware thread.
fn begin<C: Client + 'static>(
    make: impl FnOnce(Bell) -> Place<C>,
    cues: Vec<Cue>,
    limit: Instant,
    answers: Answers,
) {
    Prompter::create(move |ctx| {
        let bell = Alarms::here().bell_outside(Port::of(&ctx.address()));
        let cues = cues.into_iter().map(|cue| (bell.at(cue.at), cue)).collect();
        let limit = bell.at(limit);
        let place = Rc::new(RefCell::new(make(bell)));
        let listening = place.clone();
        actix_rt::spawn(async move {
            while let Some(answer) = answers.next().await {
                let mut place = listening.borrow_mut();
                let now = place.bell.now();
                let messages = place.gateway.tell(&answer, now);
                place.hear(messages);
            }
        });
        Prompter { place, cues, limit }
    });
}

/// Gives the cues at their alarms.
struct Prompter<C> {
    place: Rc<RefCell<Place<C>>>,
    cues: BTreeMap<Ticket, Cue>,
    limit: Ticket,
}

impl<C: Client> Place<C> {
    fn cue(&mut self, cue: Cue) {
        if self.seen.len() < cue.after {
            return self.early.push(cue);
        }
        self.act(cue.act);
        self.look_whether_over();
    }

    fn act(&mut self, act: Act) {
        let now = self.bell.now();
        match act {
            Act::Say(message) => {
                let replies = self.gateway.receive(&message, now);
                self.hear(replies);
            }
            Act::ShutDown => self.gateway.shut_down(now),
            Act::Look => {
                if let Some(client) = &mut self.client {
                    client.looks(now, &self.twin);
                }
            }
        }
    }

    fn hear(&mut self, messages: Vec<Message>) {
        for Message { topic, payload, retain, .. } in messages {
            let payload = serde_json::from_slice(&payload).unwrap_or(Value::Null);
            let seen = Seen { at: self.bell.now(), topic, payload, retain };
            let Some(client) = &mut self.client else { return };
            let acts = client.hears(&seen, &self.twin);
            self.seen.push(seen);
            self.look_whether_over();
            acts.into_iter().for_each(|act| self.act(act));
            let heard = self.seen.len();
            let due: Vec<_> = self.early.extract_if(.., |cue| cue.after <= heard).collect();
            due.into_iter().for_each(|cue| self.cue(cue));
        }
    }

    fn look_whether_over(&mut self) {
        if self.client.as_ref().is_some_and(Client::is_over) {
            self.finish();
        }
    }

    fn finish(&mut self) {
        if let Some(client) = self.client.take() {
            self.clock.hold();
            let world = self.twin.world();
            let enabled = [Axis::Pump, Axis::Focus].map(|axis| world.is_enabled(axis));
            drop(world);
            let _ = self.done.send((Played { seen: std::mem::take(&mut self.seen), enabled }, client));
        }
    }
}

impl<C: Client + 'static> Actor for Prompter<C> {
    type Context = Context<Self>;
}

impl<C> Unpin for Prompter<C> {}

impl<C: Client + 'static> Handler<Mail<Ticket>> for Prompter<C> {
    type Result = ();

    fn handle(&mut self, Mail(ticket): Mail<Ticket>, _: &mut Context<Self>) {
        let mut place = self.place.borrow_mut();
        if ticket == self.limit {
            return place.finish();
        }
        if let Some(cue) = self.cues.remove(&ticket) {
            place.cue(cue);
        }
    }
}
