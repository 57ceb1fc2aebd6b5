//! JSON and topics of the PlanktoScope's MQTT contract: the only place where floats and status words exist.
//!
//! [`read`] makes a command of a message or says what is wrong with it; [`status`] makes messages of an event.
//! Nothing here has state or does anything.

mod fields;
mod imager;
mod light;
mod motion;
mod plan;

pub use fields::Malformed;

use crate::instrument::{Command, Event};
use fields::Fields;
use serde_json::{Map, Value, json};

/// Topics that a controller subscribes to. No two of them match the same topic (`a/#` matches `a` as well), or a broker
/// may deliver a command twice.
pub const SUBSCRIPTIONS: [&str; 6] = [
    motion::PUMP.command_topic,
    motion::FOCUS.command_topic,
    light::TOPICS[0],
    light::TOPICS[1],
    "imager/image/#",
    imager::ACQUIRE_TOPIC,
];

/// A client's own name for its command; every status that answers it carries it.
pub type ClientId = Value;

/// A message that could be read.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    /// What it asks.
    pub command: Command,
    /// Its `id`, if it had one.
    pub id: Option<ClientId>,
}

/// A status to publish.
#[derive(Clone, Debug, PartialEq)]
pub struct Status {
    /// Where.
    pub topic: &'static str,
    /// What: always a JSON object.
    pub payload: Value,
    /// Whether it is the topic's state for those who come later.
    pub retain: bool,
}

/// Reads a message on a topic of ours.
///
/// # Errors
/// [`Malformed`] says what was wrong, and in which words its topic reports that.
pub fn read(topic: &str, payload: &[u8]) -> Result<Request, Box<Malformed>> {
    let malformed =
        |status, reason, id| Box::new(Malformed { status_topic: status_topic(topic), status, reason, id });
    let value = Fields::parse(payload).map_err(|reason| malformed("Error", reason, None))?;
    let id = value.id();
    let command = match topic {
        _ if topic == motion::PUMP.command_topic => motion::read_pump(&value),
        _ if topic == motion::FOCUS.command_topic => motion::read_focus(&value),
        _ if light::TOPICS.contains(&topic) => light::read(&value),
        _ if topic == imager::ACQUIRE_TOPIC => imager::read_acquire(&value),
        _ if topic == imager::TOPIC || topic.starts_with("imager/image/") => imager::read(&value),
        _ => Err(fields::Flaw::new("Error", format!("nothing listens on {topic}"))),
    };
    match command {
        Ok(command) => Ok(Request { command, id }),
        Err(flaw) => Err(malformed(flaw.status, flaw.reason, id)),
    }
}

/// Where commands on a topic are answered.
fn status_topic(topic: &str) -> &'static str {
    match topic {
        _ if topic == motion::PUMP.command_topic => motion::PUMP.status_topic,
        _ if topic == motion::FOCUS.command_topic => motion::FOCUS.status_topic,
        _ if light::TOPICS.contains(&topic) => light::STATUS,
        _ => imager::STATUS,
    }
}

/// The statuses that tell an event, in order; `id` is the asking client's own name for the command, `stopped_by` that
/// of the stop which the event answers as well.
pub fn status(event: &Event, id: Option<&ClientId>, stopped_by: Option<&ClientId>) -> Vec<Status> {
    let mut statuses = match event {
        Event::Pump(event) => motion::status(&motion::PUMP, event, motion::pump_words),
        Event::Focus(event) => motion::status(&motion::FOCUS, event, motion::focus_words),
        Event::Light(event) => light::status(*event),
        Event::Acquisition(event) => imager::status(event),
        Event::Health(device, health) => vec![health_status(*device, *health)],
        Event::Ended => LIFE_CYCLE_TOPICS.map(|topic| life_cycle(topic, "Dead")).to_vec(),
    };
    // A stop that ended nobody's command is the only one that is answered.
    let names = [("id", id.or(stopped_by)), ("stopped_by", id.and(stopped_by))];
    // What comes after an end is a state, and answers nobody.
    for status in statuses.iter_mut().filter(|status| status.payload["status"] != motion::IDLE) {
        for (key, name) in names {
            if let Some(name) = name {
                status.payload[key] = name.clone();
            }
        }
    }
    statuses
}

/// The statuses that refuse a message which could not be read.
pub fn refusal(malformed: &Malformed) -> Status {
    let mut payload = json!({"status": malformed.status, "reason": malformed.reason});
    if let Some(id) = &malformed.id {
        payload["id"] = id.clone();
    }
    Status { topic: malformed.status_topic, payload, retain: false }
}

/// What is answered on a command's response topic.
pub fn response(event: &Event) -> Value {
    let refused = |reason: String| json!({"error": {"message": reason}});
    match event {
        Event::Pump(event) => motion::response(event),
        Event::Focus(event) => motion::response(event),
        Event::Light(crate::light::Event::Failed(fault)) => refused(fault.to_string()),
        Event::Acquisition(crate::acquisition::Event::Refused(why)) => refused(why.to_string()),
        Event::Acquisition(crate::acquisition::Event::Failed(why)) => refused(why.to_string()),
        Event::Light(_) | Event::Acquisition(_) | Event::Health(..) | Event::Ended => json!({}),
    }
}

/// What is wrong with a message that cannot be taken now, whatever it says.
pub fn crowded(topic: &str, id: Option<ClientId>, reason: String) -> Malformed {
    Malformed { status_topic: status_topic(topic), status: "Busy", reason, id }
}

/// What is answered on the response topic of a message that could not be read.
pub fn refused_response(malformed: &Malformed) -> Value {
    json!({"error": {"message": malformed.reason}})
}

const LIFE_CYCLE_TOPICS: [&str; 4] =
    [motion::PUMP.status_topic, motion::FOCUS.status_topic, light::STATUS, imager::STATUS];

/// What is published once connected: the documented life cycle, and the retained state of motors that stand.
pub fn ready() -> Vec<Status> {
    let mut statuses: Vec<_> =
        ["Starting up", "Ready"].into_iter().map(|word| life_cycle(imager::STATUS, word)).collect();
    statuses.extend([&motion::PUMP, &motion::FOCUS].map(|axis| motion::idle(axis.status_topic)));
    statuses
}

/// What the broker publishes when the program is gone without a word.
pub fn last_will() -> Status {
    life_cycle(imager::STATUS, "Dead")
}

/// `Dead` is kept for those who come later on the topics that keep their state.
fn life_cycle(topic: &'static str, word: &str) -> Status {
    Status { topic, payload: json!({"status": word}), retain: word == "Dead" && topic != imager::STATUS }
}

/// Topic of the devices' health, one object for each device.
pub const HEALTH_TOPIC: &str = "planktor/status/device";

fn health_status(device: crate::instrument::Device, health: crate::instrument::Health) -> Status {
    use crate::instrument::Health;
    let mut payload = Map::new();
    payload.insert("device".into(), json!(device.to_string()));
    let (word, cause) = match health {
        Health::Present => ("present", None),
        Health::Lost(fault) => ("lost", Some(fault)),
        Health::GivenUp(fault) => ("given up", Some(fault)),
    };
    payload.insert("health".into(), json!(word));
    if let Some(cause) = cause {
        payload.insert("reason".into(), json!(cause.to_string()));
    }
    Status { topic: HEALTH_TOPIC, payload: payload.into(), retain: false }
}
