//! JSON and topics of the PlanktoScope's MQTT contract: the only place where floats and status words exist.
//!
//! [`read`] makes a command of a message or says what is wrong with it; [`status`] makes messages of an event.
//! Nothing here has state or does anything. Every message is a type of its own: what is read, what is written, and what
//! the contract's documents say ([`contract`]) come from the same one.

pub mod contract;
pub mod extras;
pub mod imager;
pub mod lease;
pub mod library;
pub mod light;
pub mod motion;
pub mod plan;
pub mod preview;
pub mod quality;
mod reading;
pub mod survey;

pub use reading::{Text, Whole};

use crate::instrument::{Command, Device, Event, Health, odd_clock};
use library::Verb;
use reading::Misread;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Value, json};
use std::sync::Arc;

/// Topics that a controller subscribes to: everything that can be a command, known or not. No two of them match the
/// same topic (`a/#` matches `a` as well), or a broker may deliver a command twice.
pub const SUBSCRIPTIONS: [&str; 6] =
    ["actuator/#", "imager/#", "light/#", "display/#", "led-operating-time/#", "planktor/#"];

/// Below these the instrument says what it does, and nobody else says anything.
pub const STATUSES: [&str; 2] = ["status/", "planktor/status/"];

/// Ours, and no commands: what is published there is published by us or by other clients for each other.
const NO_COMMANDS: [&str; 2] = ["planktor/status/", "planktor/client/"];

/// Whether a message on a topic is a command, right or wrong.
pub fn is_command(topic: &str) -> bool {
    !NO_COMMANDS.iter().any(|prefix| topic.starts_with(prefix))
}

/// Whether a message on a topic is what the instrument says to everybody.
pub fn is_status(topic: &str) -> bool {
    STATUSES.iter().any(|prefix| topic.starts_with(prefix))
}

/// A client's own name for its command; every status that answers it carries it.
pub type ClientId = Value;

/// The longest id, in bytes; longer ones are not echoed.
const LONGEST_ID: usize = 200;
/// The longest owner, in characters.
const LONGEST_OWNER: usize = 100;

/// A message that could be read.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    /// What it asks.
    pub command: Command,
    /// Its `id`, if it had one.
    pub id: Option<ClientId>,
    /// Who says to have sent it.
    pub owner: Option<Arc<str>>,
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
    /// Whether it may be lost when there is no room: it tells of a way, not of its end.
    pub spare: bool,
}

fn status_of(topic: &'static str, payload: &impl Serialize, retain: bool) -> Status {
    let payload = serde_json::to_value(payload).expect("messages have nothing that JSON has not");
    Status { topic, payload, retain, spare: false }
}

/// A message that could not be read: what its status topic is told.
#[derive(Clone, Debug, PartialEq)]
pub struct Malformed {
    /// Where the refusal goes.
    pub status_topic: &'static str,
    /// In the documented words.
    pub status: String,
    /// What was wrong, where, and what to send instead.
    pub reason: String,
    /// The message's own name, if that could be read.
    pub id: Option<Value>,
}

/// What is wrong with a message, and the word that its topic has for that.
struct Flaw {
    status: String,
    reason: String,
}

/// Reads a message on a topic of ours.
///
/// # Errors
/// [`Malformed`] says what was wrong, and in which words its topic reports that.
pub fn read(topic: &str, payload: &[u8]) -> Result<Request, Box<Malformed>> {
    let channel = Channel::of(topic);
    let malformed = |Flaw { status, reason }, id| {
        Box::new(Malformed { status_topic: channel.status_topic(), status, reason, id })
    };
    let message = match reading::object(payload) {
        Ok(message) => message,
        Err(misread) => return Err(malformed(channel.flaw(&misread, &Value::Null), None)),
    };
    let id = message.get("id").filter(|id| is_id(id)).cloned();
    let request = || {
        let (command, owner) = (channel.command(topic, &message)?, owner(&message)?);
        Ok(Request { command, id: id.clone(), owner })
    };
    request().map_err(|misread: Misread| malformed(channel.flaw(&misread, &message), id.clone()))
}

fn is_id(id: &Value) -> bool {
    match id {
        Value::String(text) => text.len() <= LONGEST_ID,
        Value::Number(_) => true,
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => false,
    }
}

fn owner(message: &Value) -> Result<Option<Arc<str>>, Misread> {
    match message.get("owner") {
        None => Ok(None),
        Some(owner) => {
            let owner =
                reading::read::<Text<LONGEST_OWNER>>(owner).map_err(|misread| misread.below("owner"))?;
            Ok(Some(owner.0.into()))
        }
    }
}

/// What a topic is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Channel {
    Pump,
    Focus,
    Light,
    Bubbler,
    Display,
    OperatingTime,
    Imager,
    Acquire,
    Resume,
    Lease,
    Preview,
    Survey,
    Protocol(Verb),
    /// Nobody listens there.
    Nobody,
}

impl Channel {
    fn of(topic: &str) -> Self {
        match topic {
            motion::PUMP => Self::Pump,
            motion::FOCUS => Self::Focus,
            light::TOPIC | light::OTHER_TOPIC => Self::Light,
            light::BUBBLER => Self::Bubbler,
            extras::DISPLAY => Self::Display,
            extras::OPERATING_TIME => Self::OperatingTime,
            imager::TOPIC => Self::Imager,
            imager::ACQUIRE => Self::Acquire,
            imager::RESUME => Self::Resume,
            lease::TOPIC => Self::Lease,
            preview::TOPIC => Self::Preview,
            survey::TOPIC => Self::Survey,
            // The dashboard's update_config has a topic of its own there.
            _ if topic.starts_with("imager/image/") => Self::Imager,
            _ => {
                topic.strip_prefix(library::TOPIC).and_then(Verb::named).map_or(Self::Nobody, Self::Protocol)
            }
        }
    }

    /// Where its commands are answered.
    fn status_topic(self) -> &'static str {
        match self {
            Self::Pump => motion::PUMP_STATUS,
            Self::Focus => motion::FOCUS_STATUS,
            Self::Light => light::STATUS,
            Self::Bubbler => light::BUBBLER_STATUS,
            Self::Display => extras::DISPLAY_STATUS,
            Self::OperatingTime => extras::OPERATING_TIME_STATUS,
            Self::Imager | Self::Acquire | Self::Resume | Self::Protocol(Verb::Run | Verb::Abort) => {
                imager::STATUS
            }
            Self::Lease => lease::STATUS,
            Self::Preview => preview::STATUS,
            Self::Survey => survey::STATUS,
            Self::Protocol(_) => library::STATUS,
            Self::Nobody => REFUSALS,
        }
    }

    fn command(self, topic: &str, message: &Value) -> Result<Command, Misread> {
        use reading::read;
        Ok(match self {
            Self::Pump => read::<motion::PumpCommand>(message)?.into(),
            Self::Focus => read::<motion::FocusCommand>(message)?.into(),
            Self::Light => read::<light::LightCommand>(message)?.into(),
            Self::Bubbler => read::<light::BubblerCommand>(message)?.into(),
            Self::Display => read::<extras::DisplayCommand>(message)?.into(),
            Self::OperatingTime => read::<extras::OperatingTimeCommand>(message)?.into(),
            Self::Imager => imager::command(read::<imager::ImagerCommand>(message)?)?,
            Self::Acquire => imager::acquire(read::<imager::Acquire>(message)?)?,
            Self::Resume => imager::resume(read::<imager::ResumeDataSet>(message)?),
            Self::Lease => read::<lease::LeaseCommand>(message)?.into(),
            Self::Preview => read::<preview::PreviewCommand>(message)?.into(),
            Self::Survey => read::<survey::HealthCommand>(message)?.into(),
            Self::Protocol(verb) => library::command(verb, message)?,
            Self::Nobody => {
                return Err(Misread::new(
                    "",
                    format!("nothing listens on {}; check the topic", reading::cut(topic)),
                ));
            }
        })
    }

    /// In the words that its status topic has for what is wrong.
    fn flaw(self, misread: &Misread, message: &Value) -> Flaw {
        let status = match self {
            Self::Pump => motion::pump_flaw(misread).into(),
            Self::Imager => imager::flaw(misread, message),
            Self::Lease | Self::Nobody => "Refused".into(),
            Self::Protocol(verb) if !matches!(verb, Verb::Run | Verb::Abort) => "Refused".into(),
            Self::Focus
            | Self::Light
            | Self::Bubbler
            | Self::Display
            | Self::OperatingTime
            | Self::Acquire
            | Self::Resume
            | Self::Preview
            | Self::Survey
            | Self::Protocol(_) => "Error".into(),
        };
        Flaw { status, reason: misread.to_string() }
    }
}

/// Where messages on topics that nobody listens to are answered.
const REFUSALS: &str = "planktor/status/refusal";

/// The statuses that tell an event, in order; `id` is the asking client's own name for the command, `stopped_by` that
/// of the stop which the event answers as well.
pub fn status(event: &Event, id: Option<&ClientId>, stopped_by: Option<&ClientId>) -> Vec<Status> {
    let mut statuses = match event {
        Event::Pump(event) => motion::status(motion::PUMP_STATUS, event, motion::pump_words),
        Event::Focus(event) => motion::status(motion::FOCUS_STATUS, event, motion::focus_words),
        Event::Calibration(event) => motion::calibrated(event),
        Event::Light(event) => light::status(event),
        Event::Bubbler(event) => light::bubbler_status(event),
        Event::Display(event) => extras::display_status(event),
        Event::OperatingTime(event) => extras::operating_time_status(event),
        Event::Acquisition(event) => imager::status(event),
        Event::Library(event) => library::status(event),
        Event::Lease(event) => lease::status(event),
        Event::Preview(event) => preview::status(event),
        Event::Survey(survey) => survey::status(survey),
        // Whoever asked is answered on the topic of the command: the gateway knows it.
        Event::Denied(_) => vec![],
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

/// What any command may say.
#[derive(JsonSchema)]
#[allow(dead_code, reason = "describes what `read` takes out of every message")]
struct CommandHead {
    /// The client's own name for the command, at most 200 bytes; every status that answers it carries it.
    id: Option<Id>,
    /// Who gives the command, for whom a lease may be.
    owner: Option<Text<LONGEST_OWNER>>,
}

/// What any status may say.
#[derive(JsonSchema)]
#[allow(dead_code, reason = "describes what `status` adds to every message")]
struct StatusHead {
    /// Of the command that it answers.
    id: Option<Id>,
    /// Of the stop that it answers as well.
    stopped_by: Option<Id>,
    /// Why a command was refused or failed: what was wrong, where, and what to do.
    reason: Option<String>,
}

/// A name that a client gave.
#[derive(JsonSchema)]
#[serde(untagged)]
#[allow(dead_code, reason = "describes what `is_id` accepts")]
enum Id {
    Text(String),
    Number(f64),
}

/// What is answered to the response topic.
#[derive(JsonSchema)]
#[serde(untagged)]
#[allow(dead_code, reason = "describes what `response` gives")]
enum Response {
    /// It was refused, or failed.
    Error {
        /// Why.
        error: ErrorResponse,
    },
    /// The pump's configuration, to who asked for it.
    Configured(motion::PumpConfigured),
    /// The pump's ramp, to who asked for it or set it.
    Ramp(motion::PumpRampIs),
    /// It is done; what the status says, too, or nothing.
    Done(serde_json::Map<String, Value>),
}

/// What went wrong.
#[derive(Serialize, JsonSchema)]
struct ErrorResponse {
    /// What was wrong, where, and what to do.
    message: String,
    /// Whether it was never begun, or could not be done.
    kind: ErrorKind,
}

reading::words! {
    /// How a command can end badly.
    enum ErrorKind {
        "refused" => Refused,
        "failed" => Failed,
    }
}

/// A message that was refused before anybody looked at what it asks.
#[derive(Serialize, JsonSchema)]
struct RefusalStatus {
    /// In the words of the topic; `Refused` where nothing listens.
    status: String,
    /// What was wrong, where, and what to do.
    reason: String,
}

/// The status that refuses a message which could not be read.
pub fn refusal(malformed: &Malformed) -> Status {
    let Malformed { status_topic, status, reason, id } = malformed;
    let said = RefusalStatus { status: status.clone(), reason: reason.clone() };
    let mut refusal = status_of(status_topic, &said, false);
    if let Some(id) = id {
        refusal.payload["id"] = id.clone();
    }
    refusal
}

/// What is answered on a command's response topic.
pub fn response(event: &Event) -> Value {
    let answer = match event {
        Event::Pump(event) => motion::response(event),
        Event::Focus(event) => motion::response(event),
        Event::Calibration(event) => motion::calibration_response(event),
        Event::Acquisition(event) => imager::response(event),
        Event::Library(event) => library::response(event),
        Event::Lease(event) => lease::response(event),
        Event::Light(_)
        | Event::Bubbler(_)
        | Event::Display(_)
        | Event::OperatingTime(_)
        | Event::Preview(_)
        | Event::Survey(_) => {
            let answer = status(event, None, None).pop().map(|status| status.payload).unwrap_or_default();
            match &answer["reason"] {
                Value::Null => Ok(answer),
                reason => Err(reason.as_str().unwrap_or_default().into()),
            }
        }
        Event::Denied(why) => Err(why.to_string()),
        Event::Health(..) | Event::Ended => Ok(json!({})),
    };
    let kind = if event.is_failure() { ErrorKind::Failed } else { ErrorKind::Refused };
    answer.unwrap_or_else(|reason| error(&reason, kind))
}

/// How a response says that a command was refused or failed.
fn error(reason: &str, kind: ErrorKind) -> Value {
    json!({"error": ErrorResponse { message: reason.into(), kind }})
}

/// What is wrong with a message that cannot be taken now, whatever it says.
pub fn crowded(topic: &str, id: Option<ClientId>, reason: String) -> Malformed {
    Malformed { status_topic: Channel::of(topic).status_topic(), status: "Busy".into(), reason, id }
}

/// What is answered on the response topic of a message that could not be read.
pub fn refused_response(malformed: &Malformed) -> Value {
    error(&malformed.reason, ErrorKind::Refused)
}

const LIFE_CYCLE_TOPICS: [&str; 4] =
    [motion::PUMP_STATUS, motion::FOCUS_STATUS, light::STATUS, imager::STATUS];

/// What is published once connected: the documented life cycle, and the retained state of motors that stand.
pub fn ready() -> Vec<Status> {
    let mut statuses: Vec<_> =
        ["Starting up", "Ready"].into_iter().map(|word| life_cycle(imager::STATUS, word)).collect();
    statuses.extend([motion::PUMP_STATUS, motion::FOCUS_STATUS].map(motion::idle));
    statuses
}

/// What the broker publishes when the program is gone without a word.
pub fn last_will() -> Status {
    life_cycle(imager::STATUS, "Dead")
}

/// What the broker keeps then where states are kept.
pub fn witnesses() -> [Status; 3] {
    [motion::PUMP_STATUS, motion::FOCUS_STATUS, light::STATUS].map(|topic| life_cycle(topic, "Dead"))
}

/// `Dead` is kept for those who come later on the topics that keep their state.
fn life_cycle(topic: &'static str, word: &str) -> Status {
    let retain = word == "Dead" && topic != imager::STATUS;
    Status { topic, payload: json!({"status": word}), retain, spare: false }
}

/// Where each device's health is kept.
const fn health_topic(device: Device) -> &'static str {
    match device {
        Device::Pump => "planktor/status/device/pump",
        Device::Focus => "planktor/status/device/focus",
        Device::Light => "planktor/status/device/light",
        Device::Camera => "planktor/status/device/camera",
        Device::Bubbler => "planktor/status/device/bubbler",
        Device::Display => "planktor/status/device/display",
        Device::Eeprom => "planktor/status/device/eeprom",
    }
}

reading::words! {
    /// Whether a device is there.
    pub enum HealthWord {
        /// It answers.
        "present" => Present,
        /// It does not; it was made safe and is tried again.
        "lost" => Lost,
        /// It stays off until the next start, or this instrument has none.
        "given up" => GivenUp,
    }
}

/// How a device is.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct DeviceStatus {
    device: String,
    health: HealthWord,
    /// What is wrong, and what to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

fn health_status(device: Device, health: Health) -> Status {
    let (health, reason) = match health {
        Health::Present => (HealthWord::Present, None),
        Health::OddClock(clock) => (HealthWord::Present, Some(odd_clock(clock))),
        Health::Lost(fault) => (HealthWord::Lost, Some(fault.to_string())),
        Health::GivenUp(fault) => (HealthWord::GivenUp, Some(fault.to_string())),
    };
    status_of(health_topic(device), &DeviceStatus { device: device.to_string(), health, reason }, true)
}
