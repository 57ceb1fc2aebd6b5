//! `planktor/protocol/…`: acquisition protocols. The topic's last part says what is to be done.

use super::reading::{self, Misread, Text, Whole, words};
use super::{Status, plan, status_of};
use crate::acquisition;
use crate::instrument::Command;
use crate::library::{self as domain, Entry, Estimate, Event, LARGEST, LONGEST_NAME, Name, Protocol, Which};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::sync::Arc;

pub(super) const TOPIC: &str = "planktor/protocol/";
pub(super) const STATUS: &str = "planktor/status/protocol";

/// What can be done, as in the topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verb {
    Store,
    List,
    Get,
    Delete,
    Validate,
    Estimate,
    Run,
    Pause,
    Resume,
    Abort,
}

impl Verb {
    pub(super) const ALL: [(&str, Self); 10] = [
        ("store", Self::Store),
        ("list", Self::List),
        ("get", Self::Get),
        ("delete", Self::Delete),
        ("validate", Self::Validate),
        ("estimate", Self::Estimate),
        ("run", Self::Run),
        ("pause", Self::Pause),
        ("resume", Self::Resume),
        ("abort", Self::Abort),
    ];

    pub(super) fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(word, _)| *word == name).map(|(_, verb)| *verb)
    }
}

/// Thickness of PlanktoScope's usual flow cell, um.
const USUAL_CELL_UM: u32 = 300;

/// A plan with what belongs to it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ProtocolJson {
    /// For people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<Text<300>>,
    /// Thickness of the flow cell, um; 300 if it is missing. For the estimate only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cell_um: Option<Whole<10, 10_000>>,
    /// What is done, in order.
    pub plan: Vec<plan::Step>,
}

/// To keep a protocol.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Store {
    /// Letters, digits, blanks, `-` and `_`.
    pub name: Text<LONGEST_NAME>,
    /// What is kept.
    pub protocol: ProtocolJson,
}

/// Which protocol.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Named {
    /// Its name.
    pub name: Text<LONGEST_NAME>,
}

/// Whether this could be carried out.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Validate {
    /// A protocol.
    pub protocol: ProtocolJson,
}

/// What a protocol would come to: one that is kept, or this one.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct EstimateThis {
    /// The name of one that is kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<Text<LONGEST_NAME>>,
    /// A protocol.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub protocol: Option<ProtocolJson>,
}

/// No fields of its own.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Nothing {}

words! {
    /// What came of it.
    pub enum LibraryWord {
        "Stored" => Stored,
        "Listed" => Listed,
        "Got" => Got,
        "Deleted" => Deleted,
        "Valid" => Valid,
        "Estimated" => Estimated,
        /// The acquisition will hold before its next stroke.
        "Pausing" => Pausing,
        "Resumed" => Resumed,
        /// Why is in `reason`.
        "Refused" => Refused,
        /// Somebody else operates the instrument.
        "Busy" => Busy,
    }
}

/// What came of a command about protocols.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct LibraryStatus {
    status: LibraryWord,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    /// With `Listed`.
    #[serde(skip_serializing_if = "Option::is_none")]
    protocols: Option<Vec<EntryJson>>,
    /// With `Got`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<ProtocolJson>")]
    protocol: Option<Value>,
    /// With `Valid`.
    #[serde(skip_serializing_if = "Option::is_none")]
    frames: Option<u32>,
    /// With `Estimated`.
    #[serde(skip_serializing_if = "Option::is_none")]
    estimate: Option<EstimateJson>,
    /// With `Refused` and `Busy`.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

/// A protocol of the list.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct EntryJson {
    name: String,
    description: String,
    /// Frames that it takes.
    frames: u32,
    /// Whether it came with the program, and cannot be changed.
    shipped: bool,
}

/// What a protocol would come to.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct EstimateJson {
    /// s, to the end of the last exposure or move, with the pump's and the stage's real ramps and the camera's cadence, if
    /// no frame has to be taken again.
    seconds: f64,
    frames: u32,
    /// uL, pumped forwards.
    forwards_ul: f64,
    /// uL, pumped backwards.
    backwards_ul: f64,
    /// uL: field of view times thickness of the cell, for each frame.
    imaged_ul: f64,
    /// uL: the part of that in the depth of field.
    in_focus_ul: f64,
    /// Bytes on disk.
    bytes: u64,
    /// Bytes that are free there.
    free_bytes: u64,
}

/// Reads a protocol as it is kept.
///
/// # Errors
/// Where something is wrong, and what.
pub fn protocol(text: &str) -> Result<Protocol, String> {
    let value = reading::object(text.as_bytes());
    let protocol = value.and_then(|value| checked(reading::read(&value)?, &value, ""));
    protocol.map_err(|misread| misread.to_string())
}

/// `said` is what was read: it is kept as the client said it.
fn checked(json: ProtocolJson, said: &Value, path: &str) -> Result<Protocol, Misread> {
    let text = said.to_string();
    if text.len() > LARGEST {
        return Err(Misread::new(path, format!("is larger than {LARGEST} bytes")));
    }
    let ProtocolJson { description, cell_um, plan } = json;
    Ok(Protocol {
        description: description.map_or_else(Default::default, |text| text.0.into()),
        plan: plan::plan(plan, path)?,
        cell_um: cell_um.map_or(USUAL_CELL_UM, |cell| cell.0),
        text: text.into(),
    })
}

pub(super) fn command(verb: Verb, message: &Value) -> Result<Command, Misread> {
    use domain::Command as Of;
    let named = || name(&reading::read::<Named>(message)?.name);
    let this = |json| checked(json, &message["protocol"], "protocol").map(Arc::new);
    Ok(Command::Library(match verb {
        Verb::Store => {
            let Store { name: called, protocol } = reading::read(message)?;
            Of::Store(name(&called)?, this(protocol)?)
        }
        Verb::List => Of::List,
        Verb::Get => Of::Get(named()?),
        Verb::Delete => Of::Delete(named()?),
        Verb::Validate => Of::Validate(this(reading::read::<Validate>(message)?.protocol)?),
        Verb::Estimate => match reading::read(message)? {
            EstimateThis { protocol: Some(json), name: None } => Of::Estimate(Which::This(this(json)?)),
            EstimateThis { protocol: None, name: Some(called) } => Of::Estimate(Which::Named(name(&called)?)),
            EstimateThis { .. } => return Err(Misread::new("", "expected either name or protocol")),
        },
        Verb::Run => Of::Run(named()?),
        Verb::Pause => return Ok(Command::Acquisition(acquisition::Command::Pause)),
        Verb::Resume => return Ok(Command::Acquisition(acquisition::Command::Resume)),
        Verb::Abort => return Ok(Command::Acquisition(acquisition::Command::Stop)),
    }))
}

fn name(text: &Text<LONGEST_NAME>) -> Result<Name, Misread> {
    let what = || {
        format!(
            "expected up to {LONGEST_NAME} bytes of letters, digits, blanks, - and _, not blank at either end"
        )
    };
    Name::new(&text.0).ok_or_else(|| Misread::new("name", what()))
}

fn payload(status: LibraryWord) -> LibraryStatus {
    LibraryStatus {
        status,
        name: None,
        protocols: None,
        protocol: None,
        frames: None,
        estimate: None,
        reason: None,
    }
}

pub(super) fn said(status: LibraryWord, reason: Option<String>) -> Status {
    status_of(STATUS, &LibraryStatus { reason, ..payload(status) }, false)
}

fn told(event: &Event) -> LibraryStatus {
    let named = |name: &Name| Some(name.to_string());
    match event {
        Event::Stored(name) => LibraryStatus { name: named(name), ..payload(LibraryWord::Stored) },
        Event::Listed(entries) => LibraryStatus {
            protocols: Some(entries.iter().map(EntryJson::from).collect()),
            ..payload(LibraryWord::Listed)
        },
        Event::Got(name, text) => LibraryStatus {
            name: named(name),
            protocol: serde_json::from_str(text).ok(),
            ..payload(LibraryWord::Got)
        },
        Event::Deleted(name) => LibraryStatus { name: named(name), ..payload(LibraryWord::Deleted) },
        Event::Valid { frames } => LibraryStatus { frames: Some(*frames), ..payload(LibraryWord::Valid) },
        Event::Estimated(estimate) => {
            LibraryStatus { estimate: Some(estimate.into()), ..payload(LibraryWord::Estimated) }
        }
        Event::Refused(why) => {
            LibraryStatus { reason: Some(why.to_string()), ..payload(LibraryWord::Refused) }
        }
    }
}

impl From<&Entry> for EntryJson {
    fn from(entry: &Entry) -> Self {
        let Entry { name, description, frames, shipped } = entry;
        Self {
            name: name.to_string(),
            description: description.to_string(),
            frames: *frames,
            shipped: *shipped,
        }
    }
}

impl From<&Estimate> for EstimateJson {
    fn from(estimate: &Estimate) -> Self {
        #[expect(clippy::cast_precision_loss, reason = "far below 2^53 nL")]
        let [forwards_ul, backwards_ul, imaged_ul, in_focus_ul] =
            [estimate.forwards, estimate.backwards, estimate.imaged, estimate.in_focus]
                .map(|volume| volume.0 as f64 / 1e3);
        Self {
            seconds: estimate.lasts.as_secs_f64(),
            frames: estimate.frames,
            forwards_ul,
            backwards_ul,
            imaged_ul,
            in_focus_ul,
            bytes: estimate.bytes,
            free_bytes: estimate.free,
        }
    }
}

pub(super) fn status(event: &Event) -> Vec<Status> {
    vec![status_of(STATUS, &told(event), false)]
}

pub(super) fn response(event: &Event) -> Result<Value, String> {
    match event {
        Event::Refused(why) => Err(why.to_string()),
        event => Ok(json!(told(event))),
    }
}
