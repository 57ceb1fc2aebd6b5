//! What the instrument said lately, for those who listen over HTTP: every status, and every line of the log.
//!
//! Listeners hold a number and come for what is newer, so a slow one loses what is older than the bound and nobody waits
//! for it; one whose connection broke goes on where it was.

use crate::mqtt::Message;
use planktor_drivers::clock::{Computer, WallClock};
use planktor_protocol::wire;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Value, json};
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::watch;

/// Entries that are kept.
const KEPT: usize = 1_000;
/// Topics whose state is kept; more than there are.
const TOPICS: usize = 64;
/// The topic under which lines of the log are told.
const LOG: &str = "log";

/// Something that was said.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(super) struct Said {
    /// Counts up from 1 with each entry since the program's start.
    pub number: u64,
    /// When, by the computer's clock (RFC 3339).
    pub utc: String,
    /// The MQTT topic, or `log`.
    pub topic: String,
    /// The status as over MQTT; of the log `{"line": …}`.
    pub message: Value,
    /// Whether this is the topic's state until something else is said there.
    pub retained: bool,
}

/// The bounded memory of what was said; clones are the same one.
#[derive(Clone, Debug)]
pub struct Hub(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    said: Mutex<Memory>,
    newest: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct Memory {
    entries: VecDeque<Arc<Said>>,
    states: BTreeMap<String, Arc<Said>>,
}

impl Default for Hub {
    fn default() -> Self {
        Self(Arc::new(Shared { said: Mutex::default(), newest: watch::Sender::new(0) }))
    }
}

impl Hub {
    /// Takes a message that is published; what is no status goes to one client only.
    pub fn publish(&self, message: &Message) {
        // Whoever asks how the instrument is gets an answer; a page that asks every few seconds would fill the memory with it.
        if wire::is_status(&message.topic) && message.topic != wire::survey::STATUS {
            // We wrote it ourselves.
            let payload = serde_json::from_slice(&message.payload).unwrap_or_default();
            self.add(&message.topic, payload, message.retain);
        }
    }

    /// Takes a line of the log.
    pub fn log(&self, line: &str) {
        self.add(LOG, json!({ "line": line }), false);
    }

    fn add(&self, topic: &str, message: Value, retained: bool) {
        let mut memory = self.memory();
        // A state that is said again is no news.
        if retained && memory.states.get(topic).is_some_and(|said| said.message == message) {
            return;
        }
        let number = *self.0.newest.borrow() + 1;
        let utc = Computer.utc().rfc3339();
        let said = Arc::new(Said { number, utc, topic: topic.into(), message, retained });
        if retained && (memory.states.len() < TOPICS || memory.states.contains_key(topic)) {
            memory.states.insert(topic.into(), said.clone());
        }
        if memory.entries.len() >= KEPT {
            memory.entries.pop_front();
        }
        memory.entries.push_back(said);
        // Before somebody else counts on.
        self.0.newest.send_replace(number);
    }

    /// What was said after this number, as far as it is kept, oldest first.
    pub(super) fn after(&self, number: u64) -> Vec<Arc<Said>> {
        let memory = self.memory();
        let from = memory.entries.partition_point(|said| said.number <= number);
        memory.entries.range(from..).cloned().collect()
    }

    /// Whether everything is kept that was said after this number.
    pub(super) fn remembers(&self, number: u64) -> bool {
        let memory = self.memory();
        memory.entries.front().is_none_or(|oldest| oldest.number <= number + 1)
    }

    /// The state of every topic that has one, oldest first.
    pub(super) fn states(&self) -> Vec<Arc<Said>> {
        let mut states: Vec<_> = self.memory().states.values().cloned().collect();
        states.sort_by_key(|said| said.number);
        states
    }

    /// The newest number, as it changes.
    pub(super) fn newest(&self) -> watch::Receiver<u64> {
        self.0.newest.subscribe()
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.0.said.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(n: usize) -> Message {
        let payload = json!({ "status": "On", "value": n }).to_string().into_bytes();
        Message { topic: "status/light".into(), payload, retain: true, ..Message::default() }
    }

    #[test]
    fn it_is_bounded_and_a_listener_goes_on_where_it_was() {
        let hub = Hub::default();
        for n in 1..=KEPT + 5 {
            hub.publish(&status(n));
        }
        let all = hub.after(0);
        assert_eq!((all.len(), all[0].number), (KEPT, 6));
        assert!(hub.remembers(5) && !hub.remembers(4));
        let later: Vec<_> = hub.after(1_003).iter().map(|said| said.number).collect();
        assert_eq!(later, [1_004, 1_005]);
        assert_eq!(hub.states().len(), 1);
        assert_eq!(hub.states()[0].message["value"], 1_005);
        hub.publish(&status(1_005));
        assert!(hub.after(1_005).is_empty(), "what is said again is no news");
    }

    #[test]
    fn responses_are_nobody_elses_business() {
        let hub = Hub::default();
        hub.publish(&Message { topic: "actuator/pump/7/response".into(), ..status(1) });
        assert!(hub.after(0).is_empty());
        hub.log("connected");
        assert_eq!(hub.after(0)[0].message["line"], "connected");
    }
}
