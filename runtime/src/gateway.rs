//! Between MQTT and the instrument: messages in, commands out; answers in, messages out. Knows no socket and no
//! thread, so it is the same in virtual time. What goes through it is journalled here: a journal can be replayed.

use crate::journal::Said;
use crate::metrics::Metrics;
use crate::mqtt::Message;
use crate::trouble::{self, Troublemaker};
use planktor_actors::intake::Gate;
use planktor_actors::journal::{Journal, Kind};
use planktor_protocol::Instant;
use planktor_protocol::instrument::{Answer, Command, CommandId, Event};
use planktor_protocol::wire::{self, ClientId, Malformed, Request, Status};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;

/// Commands that may be unanswered; each holds a response topic.
const MOST_PENDING: usize = 1024;

/// The gateway.
pub struct Gateway {
    gate: Gate,
    last: u64,
    pending: BTreeMap<CommandId, Pending>,
    trouble: Option<Troublemaker>,
    journal: Journal,
    /// Messages that it gave to be published.
    published: usize,
    complaints: Complaints,
    metrics: Metrics,
}

/// What was refused and not yet logged.
#[derive(Default)]
struct Complaints {
    since_then: u32,
    latest: Option<String>,
    logged: Option<Instant>,
}

/// A client that sends nonsense is logged so often, whatever it sends.
const LOGGED_EVERY: Duration = Duration::from_secs(1);

/// How a command is to be answered.
struct Pending {
    topic: String,
    client: Option<ClientId>,
    reply: Option<Reply>,
}

/// Where a response goes.
enum Reply {
    /// To an MQTT client.
    Topic { topic: String, correlation: Option<Vec<u8>> },
    /// To whoever asked within the program.
    Caller(oneshot::Sender<Answered>),
}

/// What is answered to whoever asks within the program.
#[derive(Clone, Debug, PartialEq)]
pub struct Answered {
    /// Whether the message could be read.
    pub understood: bool,
    /// As on a response topic.
    pub response: Value,
}

impl Gateway {
    /// Lets commands in through `gate`; `trouble` for a twin that may be broken.
    pub fn new(gate: Gate, trouble: Option<Troublemaker>, journal: Journal) -> Self {
        Self {
            gate,
            last: 0,
            pending: BTreeMap::new(),
            trouble,
            journal,
            published: 0,
            complaints: Complaints::default(),
            metrics: Metrics::default(),
        }
    }

    /// The same, counting here.
    #[must_use]
    pub fn counting(self, metrics: Metrics) -> Self {
        Self { metrics, ..self }
    }

    /// Commands that are unanswered, and how many may be.
    pub fn pending(&self) -> (usize, usize) {
        (self.pending.len(), MOST_PENDING)
    }

    /// Takes a message; what it gives back is to be published at once. A retained message is the state of a topic
    /// from some time ago, never a command.
    pub fn receive(&mut self, message: &Message, now: Instant) -> Vec<Message> {
        if message.retain || !wire::is_command(&message.topic) {
            return Vec::new();
        }
        let topic = message.response_topic.clone();
        let reply = topic.map(|topic| Reply::Topic { topic, correlation: message.correlation.clone() });
        self.take(message, reply, now)
    }

    /// Takes a message of whoever asks within the program, on a topic for commands. What it gives back is to be published
    /// at once.
    pub fn ask(
        &mut self,
        message: &Message,
        caller: oneshot::Sender<Answered>,
        now: Instant,
    ) -> Vec<Message> {
        self.take(message, Some(Reply::Caller(caller)), now)
    }

    fn take(&mut self, message: &Message, reply: Option<Reply>, now: Instant) -> Vec<Message> {
        self.said(Some(message), now);
        let messages = if message.topic.starts_with(trouble::TOPIC) {
            self.trouble(message, reply)
        } else {
            match wire::read(&message.topic, &message.payload) {
                Ok(Request { command, id, owner }) => {
                    let pending = Pending { topic: message.topic.clone(), client: id, reply };
                    self.admit(command, owner, pending, now)
                }
                Err(malformed) => {
                    self.complaints.add(&message.topic, &malformed.reason);
                    self.metrics.malformed();
                    refuse(&malformed, reply, false)
                }
            }
        };
        self.publish(messages, now)
    }

    /// Asks the instrument to end.
    pub fn shut_down(&mut self, now: Instant) {
        self.said(None, now);
        let id = self.new_id();
        // Without room it is remembered all the same.
        let _ = self.gate.send(id, None, now, Command::Shutdown);
    }

    /// What is to be logged of messages that were refused; once a second at most.
    pub fn complaint(&mut self, now: Instant) -> Option<String> {
        self.complaints.line(now)
    }

    /// Takes an answer; gives back the messages that tell it.
    pub fn tell(&mut self, answer: &Answer, now: Instant) -> Vec<Message> {
        if let Event::Denied(why) = &answer.event {
            let pending = answer.id.and_then(|id| self.pending.remove(&id));
            let denied = pending.map(|Pending { topic, client, reply }| {
                refuse(&wire::crowded(&topic, client, why.to_string()), reply, true)
            });
            return self.publish(denied.unwrap_or_default(), now);
        }
        let ids = [answer.id, answer.stopped_by];
        let [id, stopped_by] = ids.map(|id| self.pending.get(&id?)?.client.as_ref());
        let statuses = wire::status(&answer.event, id, stopped_by);
        let mut messages: Vec<_> = statuses.into_iter().map(publish).collect();
        if answer.event.is_final() {
            let replies = ids.iter().flatten().filter_map(|id| self.pending.remove(id)?.reply);
            let response = wire::response(&answer.event);
            messages.extend(replies.filter_map(|reply| reply.give(&response, true)));
        }
        self.publish(messages, now)
    }

    /// Answers were lost: what was waiting for them would wait for ever.
    pub fn forget(&mut self) {
        self.pending.clear();
    }

    /// Orders to the twin are answered at once.
    fn trouble(&mut self, message: &Message, reply: Option<Reply>) -> Vec<Message> {
        let answer = self.trouble.as_mut().map_or_else(trouble::no_twin, |maker| maker.receive(message));
        let response = match &answer["reason"] {
            Value::Null => answer.clone(),
            reason => json!({"error": {"message": reason}}),
        };
        let status = Status { topic: trouble::STATUS, payload: answer, retain: false, spare: false };
        let replied = reply.and_then(|reply| reply.give(&response, true));
        std::iter::once(publish(status)).chain(replied).collect()
    }

    fn publish(&mut self, messages: Vec<Message>, now: Instant) -> Vec<Message> {
        for message in &messages {
            self.published += 1;
            self.journal.note_text(now, Kind::Out, || journal_text(message));
            if let Some(trouble) = &mut self.trouble {
                trouble.heard(message);
            }
        }
        messages
    }

    fn said(&self, message: Option<&Message>, now: Instant) {
        let said = || Said { after: self.published, message: message.cloned() };
        self.journal.note_text(now, Kind::In, || journal_text(&said()));
    }

    fn admit(
        &mut self,
        command: Command,
        owner: Option<Arc<str>>,
        pending: Pending,
        now: Instant,
    ) -> Vec<Message> {
        let crowded = |Pending { topic, client, reply }: Pending, reason: String| {
            refuse(&wire::crowded(&topic, client, reason), reply, true)
        };
        // A stop is never held up: it has its effect, answered or not.
        if self.pending.len() >= MOST_PENDING && command.stops().is_empty() {
            return crowded(pending, "too many commands are unanswered; wait for their answers".into());
        }
        let id = self.new_id();
        match self.gate.send(id, owner, now, command) {
            Ok(()) => {
                self.pending.insert(id, pending);
                Vec::new()
            }
            Err(full) => crowded(pending, full.to_string()),
        }
    }

    fn new_id(&mut self) -> CommandId {
        self.last += 1;
        CommandId(self.last)
    }
}

impl Complaints {
    fn add(&mut self, topic: &str, reason: &str) {
        self.since_then += 1;
        let topic: String = topic.chars().take(80).collect();
        self.latest = Some(format!("refused a message on {topic}: {reason}"));
    }

    fn line(&mut self, now: Instant) -> Option<String> {
        if self.logged.is_some_and(|logged| now - logged < LOGGED_EVERY) {
            return None;
        }
        let latest = self.latest.take()?;
        self.logged = Some(now);
        let others = std::mem::take(&mut self.since_then) - 1;
        Some(if others == 0 {
            latest
        } else {
            format!("{latest} (and {others} more since the last such line)")
        })
    }
}

/// What is published when the connection to a broker is there for the first time.
pub fn ready() -> Vec<Message> {
    wire::ready().into_iter().map(publish).collect()
}

/// What the broker keeps on the topics that keep their state should the program be gone without a word: a connection has
/// one will only.
pub fn witnesses() -> [Message; 3] {
    wire::witnesses().map(publish)
}

/// What the broker publishes should the program be gone without a word.
pub fn last_will() -> Message {
    publish(wire::last_will())
}

fn journal_text(what: &impl serde::Serialize) -> String {
    serde_json::to_string(what).expect("messages have nothing that JSON has not")
}

fn publish(status: Status) -> Message {
    let Status { topic, payload, retain, spare } = status;
    let payload = payload.to_string().into_bytes();
    Message { topic: topic.into(), payload, retain, spare, ..Message::default() }
}

fn refuse(malformed: &Malformed, reply: Option<Reply>, understood: bool) -> Vec<Message> {
    let mut messages = vec![publish(wire::refusal(malformed))];
    messages.extend(reply.and_then(|reply| reply.give(&wire::refused_response(malformed), understood)));
    messages
}

impl Reply {
    /// Gives a response to whoever waits for it: for an MQTT client a message to publish.
    fn give(self, response: &Value, understood: bool) -> Option<Message> {
        match self {
            Self::Topic { topic, correlation } => Some(Message {
                topic,
                payload: response.to_string().into_bytes(),
                at_least_once: true,
                correlation,
                ..Message::default()
            }),
            Self::Caller(caller) => {
                // Whoever does not wait any more has gone.
                let _ = caller.send(Answered { understood, response: response.clone() });
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use planktor_actors::intake::intake;
    use planktor_drivers::stop::StopLine;

    #[test]
    fn a_flood_of_nonsense_is_answered_whole_and_logged_once_a_second() {
        let (gate, _intake) = intake(4, &StopLine::default());
        let mut gateway = Gateway::new(gate, None, Journal::default());
        let nonsense =
            Message { topic: "actuator/pump".into(), payload: b"{".to_vec(), ..Message::default() };
        let mut lines = vec![];
        for ms in 0..2_500 {
            let now = Instant::from_nanos(ms * 1_000_000);
            assert_eq!(gateway.receive(&nonsense, now).len(), 1);
            lines.extend(gateway.complaint(now));
        }
        assert_eq!(lines.len(), 3, "{lines:?}");
        assert!(lines[0].starts_with("refused a message on actuator/pump: not valid JSON"), "{lines:?}");
        assert!(lines[1].ends_with("(and 999 more since the last such line)"), "{lines:?}");
    }

    #[test]
    fn a_real_instrument_refuses_to_be_broken() {
        let (gate, _intake) = intake(4, &StopLine::default());
        let mut gateway = Gateway::new(gate, None, Journal::default());
        let order = Message {
            topic: "planktor/twin/fault".into(),
            payload: br#"{"what": "lamp-short"}"#.to_vec(),
            response_topic: Some("answer".into()),
            ..Message::default()
        };
        let answers = gateway.receive(&order, Instant::ZERO);
        let topics: Vec<_> = answers.iter().map(|answer| answer.topic.as_str()).collect();
        assert_eq!(topics, ["planktor/status/twin", "answer"]);
        for answer in answers {
            assert!(String::from_utf8(answer.payload).unwrap().contains("real instrument"));
        }
    }
}
