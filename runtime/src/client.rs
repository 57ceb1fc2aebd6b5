//! An ordinary MQTT client of an instrument: knows it by its messages only, and has a thread of its own.

use crate::mqtt::link::{self, State};
use crate::mqtt::outbox::OutboxError;
use crate::mqtt::{Address, Message, Outbox};
use crossbeam_channel::{Receiver, RecvTimeoutError, TryRecvError, bounded};
use planktor_drivers::Clock;
use planktor_drivers::clock::Monotonic;
use planktor_protocol::Instant;
use serde_json::{Value, json};
use std::cell::RefCell;
use std::collections::VecDeque;
use std::io;
use std::thread::JoinHandle;
use std::time::Duration;
use uuid::Uuid;

/// Statuses that may wait to be read; what comes then is lost.
const WAITING: usize = 1024;
/// What somebody surely waits for, answers and the end, finds room beside them, however much else is said.
const AWAITED: usize = 16;
/// Offers that may wait to be written.
const OFFERED: usize = 64;
/// Until the first sign that an instrument is there, or has a command.
const PATIENCE: Duration = Duration::from_secs(20);
/// Where an instrument speaks.
const FILTERS: [&str; 2] = ["status/#", "planktor/status/#"];
/// A topic whose state every instrument keeps from its start to its end.
const LIFE: &str = "status/pump";

/// A connected client.
pub struct Client {
    outbox: Outbox,
    heard: Receiver<Heard>,
    /// `None` when it has ended.
    thread: Option<JoinHandle<()>>,
    /// Where its answers come.
    answers: String,
    /// What was said before the first sign of life.
    early: RefCell<VecDeque<Message>>,
}

enum Heard {
    Message(Message),
    Lost(String),
}

/// A status that came.
#[derive(Clone, Debug, PartialEq)]
pub struct Said {
    /// Where.
    pub topic: String,
    /// What; null if it is not JSON.
    pub payload: Value,
}

impl From<Message> for Said {
    fn from(message: Message) -> Self {
        Self { payload: parsed(&message), topic: message.topic }
    }
}

/// What went wrong.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// No thread.
    #[error("the client's thread cannot be started: {0}; free memory or raise the limit of threads")]
    Thread(io::Error),
    /// No broker.
    #[error("{0}")]
    NoBroker(String),
    /// The connection broke.
    #[error("the connection to the broker is lost: {0}. The instrument goes on with what it was told")]
    Lost(String),
    /// No instrument.
    #[error("no instrument speaks on the MQTT broker at {0}; start planktor run, or check --broker")]
    NoInstrument(String),
    /// It has ended.
    #[error("the instrument has ended")]
    Ended,
    /// It cannot be sent.
    #[error(transparent)]
    Outbox(#[from] OutboxError),
    /// Nothing came.
    #[error("the instrument did not answer to {topic} for {} s; look at its log, and whether you may give commands there (--user)", PATIENCE.as_secs())]
    Silence {
        /// What it was told.
        topic: String,
    },
    /// It was not begun.
    #[error("refused: {0}")]
    Refused(String),
    /// It was begun, or was to be begun, and could not be done.
    #[error("failed: {0}")]
    Failed(String),
    /// Somebody stopped it.
    #[error("interrupted")]
    Interrupted,
}

impl Client {
    /// Connects, subscribes to everything that an instrument says, and waits until one is there: a command that is sent
    /// before it listens would be lost.
    ///
    /// # Errors
    /// [`ClientError::NoBroker`], [`ClientError::NoInstrument`], or there is no thread.
    pub fn connect(broker: &Address, name: &str) -> Result<Self, ClientError> {
        let (arrived, heard) = bounded(WAITING + AWAITED);
        let (connected, connection) = bounded(2);
        let outbox = Outbox::new();
        // Two of the same name would push each other out.
        let client_id = format!("{name}-{}", Uuid::new_v4().simple());
        let answers = format!("planktor/client/{client_id}/response");
        let options = link::Options {
            broker: broker.clone(),
            subscriptions: FILTERS.into_iter().chain([&*answers]).map(ToString::to_string).collect(),
            hears_itself: true,
            will: Message {
                topic: format!("planktor/client/{client_id}"),
                payload: b"{\"status\": \"gone\"}".to_vec(),
                ..Message::default()
            },
            client_id,
        };
        let (queue, own) = (outbox.clone(), answers.clone());
        let thread = std::thread::Builder::new().name(name.into()).spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let runtime = runtime.expect("the system has an epoll for us");
            let incoming = |message: Message| {
                if arrived.len() < WAITING || message.topic == own || is_the_end(&message) {
                    let _ = arrived.try_send(Heard::Message(message));
                }
            };
            let state = |state: State| {
                if let State::Disconnected { cause } = &state {
                    let _ = arrived.try_send(Heard::Lost(cause.to_string()));
                }
                let _ = connected.try_send(state);
            };
            runtime.block_on(link::serve(options, queue, incoming, state));
        });
        let thread = thread.map_err(ClientError::Thread)?;
        let silent =
            || format!("the MQTT broker at {broker} says nothing for {} s; look at it", PATIENCE.as_secs());
        // Who gives up here ends the thread, too.
        let client = Self { outbox, heard, thread: Some(thread), answers, early: RefCell::default() };
        match connection.recv_timeout(PATIENCE) {
            Ok(State::Connected) => {}
            Ok(State::Disconnected { cause }) => return Err(ClientError::NoBroker(cause.to_string())),
            Err(_) => return Err(ClientError::NoBroker(silent())),
        }
        client.instrument_is_there(broker)?;
        Ok(client)
    }

    /// What is kept there may be from the last one's end: the next one says something else.
    fn instrument_is_there(&self, broker: &Address) -> Result<(), ClientError> {
        let mut early = VecDeque::new();
        loop {
            match self.hear(Some(PATIENCE)) {
                Ok(Some(message)) => {
                    let alive = message.topic == LIFE;
                    early.push_back(message);
                    if alive {
                        self.early.replace(early);
                        return Ok(());
                    }
                }
                Err(ClientError::Ended) => {}
                Ok(None) => return Err(ClientError::NoInstrument(broker.to_string())),
                Err(error) => return Err(error),
            }
        }
    }

    /// Sends a command that nobody waits for.
    ///
    /// # Errors
    /// It cannot be sent.
    pub fn send(&self, topic: &str, payload: &Value) -> Result<(), ClientError> {
        Ok(self.outbox.send(Message { at_least_once: true, ..message(topic, payload) })?)
    }

    /// Sends a command that may be lost on its way, as most dashboards do (QoS 0); `false` if as many as there may be wait to
    /// be written.
    ///
    /// # Errors
    /// It cannot be sent.
    pub fn offer(&self, topic: &str, payload: &Value) -> Result<bool, ClientError> {
        let has_room = self.outbox.waiting() < OFFERED;
        if has_room {
            self.outbox.send(message(topic, payload))?;
        }
        Ok(has_room)
    }

    /// Sends a command and waits for its answer, for as long as that takes once the instrument has it, or until instrument or
    /// broker are gone; `meanwhile` hears what is said until then.
    ///
    /// # Errors
    /// Whatever keeps it from being done.
    pub fn request(
        &self,
        topic: &str,
        mut payload: Value,
        mut meanwhile: impl FnMut(&Said),
    ) -> Result<Value, ClientError> {
        let id = Uuid::new_v4().simple().to_string();
        payload["id"] = json!(id);
        self.outbox.send(Message {
            at_least_once: true,
            response_topic: Some(self.answers.clone()),
            correlation: Some(id.clone().into_bytes()),
            ..message(topic, &payload)
        })?;
        // Until the instrument has it.
        let mut deadline = Some(Monotonic.now() + PATIENCE);
        loop {
            let heard = self.hear_until(deadline)?;
            let heard = heard.ok_or_else(|| ClientError::Silence { topic: topic.into() })?;
            if self.is_answer(&heard, &id) {
                return answer(parsed(&heard));
            }
            let said = Said::from(heard);
            if said.payload["id"] == id {
                deadline = None;
            }
            meanwhile(&said);
        }
    }

    /// Every state that is kept: what came before an echo of our own.
    ///
    /// # Errors
    /// [`ClientError::Lost`], [`ClientError::Ended`], [`ClientError::Silence`].
    pub fn kept(&self) -> Result<Vec<Said>, ClientError> {
        let id = Uuid::new_v4().simple().to_string();
        self.outbox.send(Message {
            at_least_once: true,
            correlation: Some(id.clone().into_bytes()),
            ..message(&self.answers, &Value::Null)
        })?;
        let (mut kept, deadline) = (vec![], Some(Monotonic.now() + PATIENCE));
        loop {
            match self.hear_until(deadline)? {
                None => return Err(ClientError::Silence { topic: self.answers.clone() }),
                Some(heard) if self.is_answer(&heard, &id) => return Ok(kept),
                Some(heard) => kept.push(heard.into()),
            }
        }
    }

    /// Whether it is the answer to this, and not the late one to something that nobody waits for any more.
    fn is_answer(&self, message: &Message, id: &str) -> bool {
        message.topic == self.answers && message.correlation.as_deref() == Some(id.as_bytes())
    }

    /// Forgets what has come so far, but no more than may wait: in a flood it never ends.
    ///
    /// # Errors
    /// [`ClientError::Lost`], [`ClientError::Ended`].
    pub fn forget(&self) -> Result<(), ClientError> {
        for _ in 0..WAITING {
            if self.hear(Some(Duration::ZERO))?.is_none() {
                break;
            }
        }
        Ok(())
    }

    /// The next status; `None` if nothing comes for so long.
    ///
    /// # Errors
    /// [`ClientError::Lost`], [`ClientError::Ended`].
    pub fn next(&self, patience: Duration) -> Result<Option<Said>, ClientError> {
        Ok(self.hear(Some(patience))?.map(Said::from))
    }

    /// The next status of this kind; `None` if none comes for so long, however much else is said.
    ///
    /// # Errors
    /// [`ClientError::Lost`], [`ClientError::Ended`].
    pub fn next_of(
        &self,
        patience: Duration,
        is_it: impl Fn(&Said) -> bool,
    ) -> Result<Option<Said>, ClientError> {
        let deadline = Some(Monotonic.now() + patience);
        while let Some(said) = self.hear_until(deadline)?.map(Said::from) {
            if is_it(&said) {
                return Ok(Some(said));
            }
        }
        Ok(None)
    }

    /// Until then, however much is said.
    fn hear_until(&self, deadline: Option<Instant>) -> Result<Option<Message>, ClientError> {
        let left = deadline.map(|deadline| deadline - Monotonic.now());
        let in_time = |_: &Message| left != Some(Duration::ZERO);
        Ok(self.hear(left)?.filter(in_time))
    }

    fn hear(&self, patience: Option<Duration>) -> Result<Option<Message>, ClientError> {
        if let Some(message) = self.early.borrow_mut().pop_front() {
            return Ok(Some(message));
        }
        let heard = match patience {
            // To wait for no time at all gives the core away, some ten times, where others want it.
            Some(Duration::ZERO) => self.heard.try_recv().map_err(|error| match error {
                TryRecvError::Empty => RecvTimeoutError::Timeout,
                TryRecvError::Disconnected => RecvTimeoutError::Disconnected,
            }),
            Some(patience) => self.heard.recv_timeout(patience),
            None => self.heard.recv().map_err(|_| RecvTimeoutError::Disconnected),
        };
        match heard {
            Err(RecvTimeoutError::Timeout) => Ok(None),
            Err(RecvTimeoutError::Disconnected) => Err(ClientError::Lost("its thread has ended".into())),
            Ok(Heard::Lost(cause)) => Err(ClientError::Lost(cause)),
            Ok(Heard::Message(message)) if is_the_end(&message) => Err(ClientError::Ended),
            Ok(Heard::Message(message)) => Ok(Some(message)),
        }
    }
}

impl Drop for Client {
    /// Sends what waits, and says goodbye.
    fn drop(&mut self) {
        self.outbox.close();
        if let Some(thread) = self.thread.take() {
            // A panic of that thread was reported by the panic hook.
            let _ = thread.join();
        }
    }
}

fn parsed(message: &Message) -> Value {
    serde_json::from_slice(&message.payload).unwrap_or_default()
}

/// What the broker or the instrument itself leaves behind.
fn is_the_end(message: &Message) -> bool {
    message.topic == LIFE && parsed(message)["status"] == "Dead"
}

fn message(topic: &str, payload: &Value) -> Message {
    Message { topic: topic.into(), payload: payload.to_string().into_bytes(), ..Message::default() }
}

fn answer(payload: Value) -> Result<Value, ClientError> {
    let error = &payload["error"];
    match (error["message"].as_str(), error["kind"].as_str()) {
        (Some(why), Some("failed")) => Err(ClientError::Failed(why.into())),
        (Some(why), _) => Err(ClientError::Refused(why.into())),
        (None, _) if payload["status"] == "Interrupted" => Err(ClientError::Interrupted),
        (None, _) => Ok(payload),
    }
}
