//! The messages on their way to the broker: any thread puts them in, the link takes them out.
//!
//! It never blocks a sender, never grows beyond [`CAPACITY`], and never loses the last retained message of a topic:
//! the link publishes that state again on every new connection, because a broker that was restarted has forgotten it.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, watch};

use crate::mqtt::message::{LARGEST_PACKET, Message};

/// How many messages wait at most; beyond that, the oldest that can be spared is dropped.
pub const CAPACITY: usize = 1024;

/// How many topics may have a retained message.
pub const RETAINED_TOPICS: usize = 256;

/// The longest topic that MQTT can carry, in bytes.
const LONGEST_TOPIC: usize = 65_535;

/// Why a message was not accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OutboxError {
    /// The outbox was closed.
    #[error("the message to {topic:?} was not sent: the outbox is closed; send before closing it")]
    Closed {
        /// The topic of the message.
        topic: String,
    },
    /// Nobody can publish to this topic.
    #[error(
        "cannot publish to the topic {topic:?}: a topic has 1 to 65535 bytes and none of the characters +, # and NUL; correct the topic"
    )]
    Topic {
        /// The topic, or its beginning if it is very long.
        topic: String,
    },
    /// The message is larger than [`LARGEST_PACKET`].
    #[error(
        "the message to {topic:?} has about {bytes} bytes, more than the {LARGEST_PACKET} that MQTT clients of this program accept; send less at once"
    )]
    TooLarge {
        /// The topic of the message.
        topic: String,
        /// The size of the message.
        bytes: usize,
    },
    /// Too many topics have retained messages.
    #[error(
        "the message to {topic:?} cannot be retained: {RETAINED_TOPICS} topics are retained already; use fewer topics or do not retain"
    )]
    TooManyRetained {
        /// The topic of the message.
        topic: String,
    },
}

/// A handle on the outbox of one link; clones are handles on the same outbox.
#[derive(Clone, Debug)]
pub struct Outbox(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    queue: Mutex<Queue>,
    changed: Notify,
    closed: watch::Sender<bool>,
}

#[derive(Debug, Default)]
struct Queue {
    waiting: VecDeque<Arc<Message>>,
    /// The last retained message of each topic, whether it waits or was published.
    retained: BTreeMap<String, Arc<Message>>,
    dropped: u64,
}

impl Default for Outbox {
    fn default() -> Self {
        Self::new()
    }
}

impl Outbox {
    /// An empty outbox.
    #[must_use]
    pub fn new() -> Self {
        Self(Arc::new(Inner {
            queue: Mutex::default(),
            changed: Notify::new(),
            closed: watch::Sender::new(false),
        }))
    }

    /// Puts a message at the end. If the outbox is full, the oldest message is dropped that can be spared; if none is
    /// said to be, the oldest that is neither the last retained one of its topic nor to come at least once, which somebody
    /// waits for; then the oldest of those.
    ///
    /// # Errors
    ///
    /// Refuses what no broker could accept, a retained message on too many topics, and everything after
    /// [`close`](Self::close).
    pub fn send(&self, message: Message) -> Result<(), OutboxError> {
        check(&message)?;
        let mut queue = self.queue();
        if self.is_closed() {
            return Err(OutboxError::Closed { topic: message.topic });
        }
        queue.push(message)?;
        drop(queue);
        self.0.changed.notify_one();
        Ok(())
    }

    /// Accepts no more messages; the link publishes those that wait, says goodbye to the broker and ends.
    pub fn close(&self) {
        let queue = self.queue();
        self.0.closed.send_replace(true);
        drop(queue);
        self.0.changed.notify_one();
    }

    /// How many wait.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.queue().waiting.len()
    }

    /// How many accepted messages were dropped since the start, because the outbox was full or the broker takes only
    /// smaller ones.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.queue().dropped
    }

    /// Whether [`close`](Self::close) was called.
    pub(crate) fn is_closed(&self) -> bool {
        *self.0.closed.borrow()
    }

    /// Waits until the outbox is closed.
    pub(crate) async fn closed(&self) {
        // An error would mean that the sender is gone, but `self` holds it.
        let _ = self.0.closed.subscribe().wait_for(|closed| *closed).await;
    }

    /// Waits until something was sent, or the outbox closed, since the last call; for one waiter only.
    pub(crate) async fn changed(&self) {
        self.0.changed.notified().await;
    }

    /// Takes the oldest message; drops those before it that need a packet larger than `largest`.
    pub(crate) fn take(&self, largest: usize) -> Option<Arc<Message>> {
        let mut queue = self.queue();
        while let Some(message) = queue.waiting.pop_front() {
            if message.packet_bound() <= largest {
                return Some(message);
            }
            queue.dropped += 1;
        }
        None
    }

    /// Puts back, in order, what was taken and perhaps not published, before all that waits.
    pub(crate) fn restore(&self, taken: impl DoubleEndedIterator<Item = Arc<Message>>) {
        let mut queue = self.queue();
        for message in taken.rev() {
            queue.waiting.push_front(message);
        }
        queue.shrink();
    }

    /// Publishes the retained state again: somebody else has written there.
    pub(crate) fn renew(&self) {
        self.renew_retained();
        self.0.changed.notify_one();
    }

    /// Puts the retained state that does not wait anyway before all that waits.
    pub(crate) fn renew_retained(&self) {
        let mut queue = self.queue();
        let Queue { waiting, retained, .. } = &mut *queue;
        for last in retained.values() {
            if !waiting.iter().any(|message| Arc::ptr_eq(message, last)) {
                waiting.push_front(Arc::clone(last));
            }
        }
        queue.shrink();
    }

    /// A sender that panicked left the queue whole: every change is one step.
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.0.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Queue {
    fn push(&mut self, message: Message) -> Result<(), OutboxError> {
        let message = Arc::new(message);
        if message.retain {
            self.remember(&message)?;
        }
        self.waiting.push_back(message);
        self.shrink();
        Ok(())
    }

    fn remember(&mut self, message: &Arc<Message>) -> Result<(), OutboxError> {
        let topic = &message.topic;
        if self.retained.len() >= RETAINED_TOPICS && !self.retained.contains_key(topic) {
            return Err(OutboxError::TooManyRetained { topic: topic.clone() });
        }
        self.retained.insert(topic.clone(), Arc::clone(message));
        Ok(())
    }

    /// Drops until the bound holds. There is always something to spare: fewer topics are retained than there are
    /// places.
    fn shrink(&mut self) {
        while self.waiting.len() > CAPACITY {
            let oldest = |is_it: &dyn Fn(&Arc<Message>) -> bool| self.waiting.iter().position(is_it);
            let spare = oldest(&|m| m.spare)
                .or_else(|| oldest(&|m| !m.at_least_once && !self.is_state(m)))
                .or_else(|| oldest(&|m| !self.is_state(m)));
            self.waiting.remove(spare.unwrap_or(0));
            self.dropped += 1;
        }
    }

    /// Whether this is the last retained message of its topic.
    fn is_state(&self, message: &Arc<Message>) -> bool {
        let last = self.retained.get(&message.topic);
        last.is_some_and(|last| Arc::ptr_eq(last, message))
    }
}

/// Refuses what would make a broker close the connection: it would do so again after every reconnection.
fn check(message: &Message) -> Result<(), OutboxError> {
    let topic = &message.topic;
    if topic.is_empty() || topic.len() > LONGEST_TOPIC || topic.contains(['+', '#', '\0']) {
        return Err(OutboxError::Topic { topic: topic.chars().take(100).collect() });
    }
    let bytes = message.packet_bound();
    if bytes > LARGEST_PACKET {
        return Err(OutboxError::TooLarge { topic: topic.clone(), bytes });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn progress(number: usize) -> Message {
        Message {
            topic: "status/imager".into(),
            payload: number.to_string().into_bytes(),
            ..Message::default()
        }
    }

    fn state(topic: &str, payload: &str) -> Message {
        Message { topic: topic.into(), payload: payload.into(), retain: true, ..Message::default() }
    }

    fn take_all(outbox: &Outbox) -> Vec<Message> {
        std::iter::from_fn(|| outbox.take(LARGEST_PACKET)).map(|message| Message::clone(&message)).collect()
    }

    #[test]
    fn overflow_drops_the_oldest_progress_and_no_retained_state() {
        let outbox = Outbox::new();
        outbox.send(state("status/pump", "Idle")).unwrap();
        outbox.send(state("status/light", "On")).unwrap();
        for number in 0..2 * CAPACITY {
            outbox.send(progress(number)).unwrap();
        }

        let kept = take_all(&outbox);
        assert_eq!(kept.len(), CAPACITY);
        assert_eq!(kept[0], state("status/pump", "Idle"));
        assert_eq!(kept[1], state("status/light", "On"));
        assert_eq!(kept[2], progress(CAPACITY + 2));
        assert_eq!(kept[CAPACITY - 1], progress(2 * CAPACITY - 1));
        assert_eq!(outbox.dropped(), CAPACITY as u64 + 2);
    }

    #[test]
    fn overflow_drops_progress_before_any_outcome() {
        let outbox = Outbox::new();
        let outcome = |number: usize| Message {
            topic: "status/imager".into(),
            payload: number.to_string().into(),
            ..Message::default()
        };
        for number in 0..CAPACITY / 2 {
            outbox.send(outcome(number)).unwrap();
        }
        for number in 0..2 * CAPACITY {
            outbox.send(Message { spare: true, ..progress(number) }).unwrap();
        }
        let kept = take_all(&outbox);
        assert_eq!(kept.len(), CAPACITY);
        assert!(
            (0..CAPACITY / 2).all(|number| kept[number] == outcome(number)),
            "every outcome is kept, in order"
        );
        assert_eq!(kept[CAPACITY - 1], Message { spare: true, ..progress(2 * CAPACITY - 1) });
    }

    #[test]
    fn overflow_drops_what_nobody_waits_for_before_any_answer() {
        let outbox = Outbox::new();
        let answer = |number: usize| Message { at_least_once: true, ..progress(number) };
        outbox.send(answer(0)).unwrap();
        for number in 0..CAPACITY {
            outbox.send(progress(number)).unwrap();
        }
        assert_eq!(outbox.take(LARGEST_PACKET).as_deref(), Some(&answer(0)));
        for number in 0..2 * CAPACITY {
            outbox.send(answer(number)).unwrap();
        }
        let kept = take_all(&outbox);
        assert_eq!(kept.len(), CAPACITY);
        assert!((0..CAPACITY).all(|number| kept[number] == answer(CAPACITY + number)), "the newest of them");
    }

    #[test]
    fn overflow_of_retained_messages_keeps_the_last_of_each_topic() {
        let outbox = Outbox::new();
        outbox.send(state("status/light", "On")).unwrap();
        for number in 0..2 * CAPACITY {
            outbox.send(state("status/pump", &number.to_string())).unwrap();
        }

        let kept = take_all(&outbox);
        assert_eq!(kept.len(), CAPACITY);
        assert_eq!(kept[0], state("status/light", "On"));
        assert_eq!(kept.last().unwrap().payload, b"2047");
    }

    #[test]
    fn retained_state_is_renewed_once_and_before_what_waits() {
        let outbox = Outbox::new();
        outbox.send(state("status/pump", "Started")).unwrap();
        outbox.send(state("status/light", "On")).unwrap();
        take_all(&outbox);
        outbox.send(progress(1)).unwrap();
        outbox.send(state("status/pump", "Idle")).unwrap();

        outbox.renew_retained();
        outbox.renew_retained();
        assert_eq!(
            take_all(&outbox),
            [state("status/light", "On"), progress(1), state("status/pump", "Idle")]
        );
    }

    #[test]
    fn restored_messages_keep_their_order() {
        let outbox = Outbox::new();
        for number in 0..4 {
            outbox.send(progress(number)).unwrap();
        }
        let taken: Vec<_> = (0..2).filter_map(|_| outbox.take(LARGEST_PACKET)).collect();
        outbox.restore(taken.into_iter());
        assert_eq!(take_all(&outbox), [0, 1, 2, 3].map(progress));
    }

    #[test]
    fn what_the_broker_cannot_take_is_dropped_and_counted() {
        let outbox = Outbox::new();
        outbox.send(state("status/pump", &"x".repeat(2000))).unwrap();
        outbox.send(progress(1)).unwrap();
        assert_eq!(*outbox.take(1000).unwrap(), progress(1));
        assert_eq!(outbox.dropped(), 1);
    }

    #[test]
    fn refusals_name_the_topic() {
        let outbox = Outbox::new();
        for topic in ["", "actuator/+", "actuator/#", "a\0b"] {
            let refused = outbox.send(state(topic, "")).unwrap_err();
            assert!(matches!(refused, OutboxError::Topic { topic: t } if t == topic));
        }
        let refused = outbox.send(state("t", &"x".repeat(1 << 20))).unwrap_err();
        assert!(matches!(refused, OutboxError::TooLarge { bytes, .. } if bytes > 1 << 20));

        for number in 0..RETAINED_TOPICS {
            outbox.send(state(&number.to_string(), "")).unwrap();
        }
        let refused = outbox.send(state("another", "")).unwrap_err();
        assert!(matches!(refused, OutboxError::TooManyRetained { topic } if topic == "another"));

        outbox.close();
        let refused = outbox.send(progress(1)).unwrap_err();
        assert!(matches!(refused, OutboxError::Closed { topic } if topic == "status/imager"));
    }
}
