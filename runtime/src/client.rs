//! An ordinary MQTT client of an instrument: knows it by its messages only, and has a thread of its own.

use crate::mqtt::link::{self, State};
use crate::mqtt::outbox::OutboxError;
use crate::mqtt::{Message, Outbox};
use crossbeam_channel::{Receiver, bounded};
use serde_json::Value;
use std::io;
use std::thread::JoinHandle;
use std::time::Duration;

/// Messages that may wait to be read; what comes then is lost.
const WAITING: usize = 1024;
/// Between two signs of life of an instrument that works: a stroke, a frame, an answer.
const PATIENCE: Duration = Duration::from_secs(20);

/// Where an instrument speaks.
const FILTERS: [&str; 2] = ["status/#", "planktor/status/#"];
/// A topic whose state every instrument keeps from its start on.
const LIFE: &str = "status/pump";

/// A connected client.
pub struct Client {
    outbox: Outbox,
    messages: Receiver<Message>,
    thread: JoinHandle<()>,
}

/// What went wrong.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// No thread.
    #[error("the client's thread cannot be started: {0}; free memory or raise the limit of threads")]
    Thread(io::Error),
    /// No broker.
    #[error("no connection to the MQTT broker at {host}:{port} within {} s; check that it runs", PATIENCE.as_secs())]
    NoBroker {
        /// Its name or address.
        host: String,
        /// Its TCP port.
        port: u16,
    },
    /// No instrument.
    #[error("no instrument on the MQTT broker at {host}:{port} within {} s; start planktor run, or check --broker", PATIENCE.as_secs())]
    NoInstrument {
        /// The broker's name or address.
        host: String,
        /// Its TCP port.
        port: u16,
    },
    /// It cannot be sent.
    #[error(transparent)]
    Outbox(#[from] OutboxError),
    /// Nothing came.
    #[error("nothing arrived on {topic} for {} s; check that the instrument runs", PATIENCE.as_secs())]
    Silence {
        /// Where something was expected.
        topic: String,
    },
    /// The instrument reports an error.
    #[error("{topic}: {status}")]
    Refused {
        /// Where.
        topic: String,
        /// Its whole message.
        status: Value,
    },
}

impl Client {
    /// Connects, subscribes to everything that an instrument says, and waits until one is there: a command that is sent
    /// before it listens would be lost.
    ///
    /// # Errors
    /// [`ClientError::NoBroker`], [`ClientError::NoInstrument`], or there is no thread.
    pub fn connect(host: &str, port: u16, name: &str) -> Result<Self, ClientError> {
        let (arrived, messages) = bounded(WAITING);
        let (connected, connection) = bounded(1);
        let outbox = Outbox::new();
        let options = link::Options {
            host: host.into(),
            port,
            client_id: name.into(),
            subscriptions: FILTERS.map(Into::into).into(),
            hears_itself: false,
            will: Message {
                topic: format!("planktor/client/{name}"),
                payload: b"gone".to_vec(),
                ..Message::default()
            },
        };
        let queue = outbox.clone();
        let thread = std::thread::Builder::new().name(name.into()).spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let runtime = runtime.expect("the system has an epoll for us");
            let incoming = |message| drop(arrived.try_send(message));
            let state = |state| {
                if state == State::Connected {
                    let _ = connected.try_send(());
                }
            };
            runtime.block_on(link::serve(options, queue, incoming, state));
        });
        let thread = thread.map_err(ClientError::Thread)?;
        let no_broker = |_| ClientError::NoBroker { host: host.into(), port };
        connection.recv_timeout(PATIENCE).map_err(no_broker)?;
        let client = Self { outbox, messages, thread };
        client.instrument_is_there(host, port)?;
        Ok(client)
    }

    fn instrument_is_there(&self, host: &str, port: u16) -> Result<(), ClientError> {
        let absent = || ClientError::NoInstrument { host: host.into(), port };
        loop {
            let message = self.messages.recv_timeout(PATIENCE).map_err(|_| absent())?;
            if message.topic == LIFE {
                let status: Value = serde_json::from_slice(&message.payload).unwrap_or_default();
                // What is kept there may be from the last one's end: the next one says something else.
                if status["status"] != "Dead" {
                    return Ok(());
                }
            }
        }
    }

    /// Sends a command.
    ///
    /// # Errors
    /// It cannot be sent.
    pub fn send(&self, topic: &str, payload: &Value) -> Result<(), ClientError> {
        let (topic, payload) = (topic.into(), payload.to_string().into_bytes());
        Ok(self.outbox.send(Message { topic, payload, ..Message::default() })?)
    }

    /// The next status on a topic; a message that is not JSON is null.
    ///
    /// # Errors
    /// [`ClientError::Refused`] when any status that comes before it says "error", [`ClientError::Silence`].
    pub fn status(&self, topic: &str) -> Result<Value, ClientError> {
        loop {
            let silence = |_| ClientError::Silence { topic: topic.into() };
            let message = self.messages.recv_timeout(PATIENCE).map_err(silence)?;
            let status: Value = serde_json::from_slice(&message.payload).unwrap_or_default();
            if status["status"].as_str().is_some_and(|word| word.to_lowercase().contains("error")) {
                return Err(ClientError::Refused { topic: message.topic, status });
            }
            if message.topic == topic {
                return Ok(status);
            }
        }
    }

    /// Waits for a status word on a topic; passes over others.
    ///
    /// # Errors
    /// As [`Client::status`].
    pub fn wait_for(&self, topic: &str, word: &str) -> Result<(), ClientError> {
        while self.status(topic)?["status"] != word {}
        Ok(())
    }

    /// Sends what waits, and says goodbye.
    pub fn close(self) {
        self.outbox.close();
        // A panic of that thread was reported by the panic hook.
        let _ = self.thread.join();
    }
}
