//! The contract as documents, made of the same types that read and write the messages: an AsyncAPI 3 document, a JSON
//! Schema for each topic, and a reference for people.

use super::library::{self, Verb};
use super::{extras, imager, lease, light, motion, preview, quality, survey};
use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::{Map, Value, json};
use std::fmt::Write;

/// Of the messages; it changes when an old client would no longer be understood.
pub const VERSION: &str = "1.0.0";

/// Where definitions are in the document.
const DEFINITIONS: &str = "#/components/schemas/";

/// What is said on a topic.
struct Channel {
    topic: String,
    says: Says,
    about: &'static str,
    schema: fn(&mut SchemaGenerator) -> Schema,
}

#[derive(Clone, Copy, PartialEq)]
enum Says {
    /// By clients; answered on that topic.
    Commands { answered: &'static str },
    /// By the instrument; kept for those who come later, or some of it, or not.
    Statuses { retained: Retained },
}

#[derive(Clone, Copy, PartialEq)]
enum Retained {
    Yes,
    /// Motors: what lasts, not what ends.
    States,
    No,
}

fn of<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    generator.subschema_for::<T>()
}

fn channels() -> Vec<Channel> {
    let command = |topic: &str, answered, about, schema| Channel {
        topic: topic.into(),
        says: Says::Commands { answered },
        about,
        schema,
    };
    let status = |topic: &str, retained, about, schema| Channel {
        topic: topic.into(),
        says: Says::Statuses { retained },
        about,
        schema,
    };
    let verb = |(name, verb): (&str, Verb)| {
        let (about, schema): (_, fn(&mut SchemaGenerator) -> Schema) = match verb {
            Verb::Store => ("Keep a protocol.", of::<library::Store>),
            Verb::List => ("Say which protocols there are.", of::<library::Nothing>),
            Verb::Get => ("Say what is in a protocol.", of::<library::Named>),
            Verb::Delete => ("Forget a protocol.", of::<library::Named>),
            Verb::Validate => ("Say whether this could be carried out.", of::<library::Validate>),
            Verb::Estimate => ("Say what a protocol would come to.", of::<library::EstimateThis>),
            Verb::Run => ("Carry a protocol out.", of::<library::Named>),
            Verb::Pause => ("Hold before the next stroke, for as long as you like.", of::<library::Nothing>),
            Verb::Resume => ("Go on.", of::<library::Nothing>),
            Verb::Abort => ("End the acquisition now; the same as stop.", of::<library::Nothing>),
        };
        let answered = match verb {
            Verb::Run | Verb::Abort => imager::STATUS,
            _ => library::STATUS,
        };
        command(&format!("{}{name}", library::TOPIC), answered, about, schema)
    };
    let mut all = vec![
        command(motion::PUMP, motion::PUMP_STATUS, "The pump.", of::<motion::PumpCommand>),
        command(motion::FOCUS, motion::FOCUS_STATUS, "The focusing stage.", of::<motion::FocusCommand>),
        command(light::TOPIC, light::STATUS, "The lamp.", of::<light::LightCommand>),
        command(light::OTHER_TOPIC, light::STATUS, "The lamp, by its other name.", of::<light::LightCommand>),
        command(light::BUBBLER, light::BUBBLER_STATUS, "The bubbler.", of::<light::BubblerCommand>),
        command(
            imager::TOPIC,
            imager::STATUS,
            "Acquisitions, single pictures, the camera. The same on any topic below it.",
            of::<imager::ImagerCommand>,
        ),
        command(extras::DISPLAY, extras::DISPLAY_STATUS, "The display.", of::<extras::DisplayCommand>),
        command(
            extras::OPERATING_TIME,
            extras::OPERATING_TIME_STATUS,
            "How long the LED has been lit.",
            of::<extras::OperatingTimeCommand>,
        ),
        command(
            imager::ACQUIRE,
            imager::STATUS,
            "An acquisition by a plan of one's own.",
            of::<imager::Acquire>,
        ),
        command(
            imager::RESUME,
            imager::STATUS,
            "Go on with an acquisition that ended early.",
            of::<imager::ResumeDataSet>,
        ),
        command(lease::TOPIC, lease::STATUS, "Who operates the instrument.", of::<lease::LeaseCommand>),
        command(preview::TOPIC, preview::STATUS, "The live picture.", of::<preview::PreviewCommand>),
        command(
            survey::TOPIC,
            survey::STATUS,
            "What the instrument knows of itself.",
            of::<survey::HealthCommand>,
        ),
    ];
    all.extend(Verb::ALL.map(verb));
    all.extend([
        status(motion::PUMP_STATUS, Retained::States, "What the pump does.", of::<motion::MotorStatus>),
        status(motion::FOCUS_STATUS, Retained::States, "What the stage does.", of::<motion::MotorStatus>),
        status(
            quality::STATUS,
            Retained::No,
            "What each frame is worth, and what drifts.",
            of::<quality::QualityStatus>,
        ),
        status(light::STATUS, Retained::Yes, "Whether the lamp is lit.", of::<light::SwitchStatus>),
        status(light::BUBBLER_STATUS, Retained::Yes, "Whether it bubbles.", of::<light::SwitchStatus>),
        status(imager::STATUS, Retained::No, "What comes of acquisitions.", of::<imager::ImagerStatus>),
        status(
            extras::OPERATING_TIME_STATUS,
            Retained::Yes,
            "How long the LED has been lit.",
            of::<extras::OperatingTimeStatus>,
        ),
        status(extras::DISPLAY_STATUS, Retained::Yes, "What is shown.", of::<extras::DisplayStatus>),
        status(imager::PROGRESS, Retained::Yes, "Where the acquisition is.", of::<imager::AcquisitionStatus>),
        status(
            library::STATUS,
            Retained::No,
            "What comes of commands about protocols.",
            of::<library::LibraryStatus>,
        ),
        status(lease::STATUS, Retained::Yes, "Who operates the instrument.", of::<lease::LeaseStatus>),
        status(
            preview::STATUS,
            Retained::Yes,
            "Whether the camera streams for viewers.",
            of::<preview::PreviewStatus>,
        ),
        status(
            survey::STATUS,
            Retained::No,
            "What the instrument knows of itself.",
            of::<survey::SurveyStatus>,
        ),
        status(
            super::REFUSALS,
            Retained::No,
            "What was sent to topics on which nothing listens.",
            of::<super::RefusalStatus>,
        ),
        status(
            "planktor/status/device/{device}",
            Retained::Yes,
            "Whether a device is there.",
            of::<super::DeviceStatus>,
        ),
    ]);
    all
}

fn generator() -> SchemaGenerator {
    SchemaSettings::draft2020_12()
        .with(|settings| settings.definitions_path = DEFINITIONS[1..].into())
        .into_generator()
}

/// With the fields that every message may have, and in statuses no others.
fn message(channel: &Channel, generator: &mut SchemaGenerator) -> Value {
    let own = (channel.schema)(generator);
    let (common, strict) = match channel.says {
        Says::Commands { .. } => (generator.subschema_for::<super::CommandHead>(), false),
        Says::Statuses { .. } => (generator.subschema_for::<super::StatusHead>(), true),
    };
    let mut schema = json!({"type": "object", "allOf": [own, common]});
    if strict {
        schema["unevaluatedProperties"] = false.into();
    }
    schema
}

/// A topic as a name.
fn name(topic: &str) -> String {
    topic.replace(['/', '-'], "_").replace(['{', '}'], "")
}

/// The AsyncAPI 3 document.
pub fn document() -> Value {
    let mut generator = generator();
    let (mut all, mut operations, mut messages) = (Map::new(), Map::new(), Map::new());
    for channel in channels() {
        let name = name(&channel.topic);
        let payload = message(&channel, &mut generator);
        messages.insert(name.clone(), json!({"summary": channel.about, "payload": payload}));
        let mut one = json!({
            "address": channel.topic,
            "messages": {"message": {"$ref": format!("#/components/messages/{name}")}},
        });
        if channel.topic.contains('{') {
            let devices = crate::instrument::Device::ALL.map(|device| device.to_string());
            one["parameters"] = json!({"device": {"enum": devices}});
        }
        let mut operation = json!({
            "channel": {"$ref": format!("#/channels/{name}")},
            "summary": channel.about,
        });
        match channel.says {
            Says::Commands { answered } => {
                operation["action"] = "receive".into();
                operation["description"] =
                    format!("Answered on {answered}, and to the response topic.").into();
                operation["reply"] = json!({
                    "address": {"location": "$message.header#/response_topic"},
                    "channel": {"$ref": "#/channels/response"},
                });
            }
            Says::Statuses { retained } => {
                operation["action"] = "send".into();
                operation["bindings"] = json!({"mqtt": {"qos": 0, "retain": retained == Retained::Yes}});
                if retained == Retained::States {
                    operation["description"] =
                        "Retained: Started, Idle and Dead. Not retained: how a move ended.".into();
                }
            }
        }
        all.insert(name.clone(), one);
        operations.insert(name, operation);
    }
    let responses = generator.subschema_for::<super::Response>();
    messages
        .insert("response".into(), json!({"summary": "The answer to one command.", "payload": responses}));
    let response =
        json!({"address": null, "messages": {"message": {"$ref": "#/components/messages/response"}}});
    all.insert("response".into(), response);
    json!({
        "asyncapi": "3.0.0",
        "info": {
            "title": "Planktor",
            "version": VERSION,
            "description": "What a PlanktoScope that runs Planktor hears and says over MQTT 3.1.1 and 5, on port 1883 and \
                            over websockets. Every command is answered; its id is in every status that answers it.",
            "license": {"name": "Apache-2.0 OR MIT"},
        },
        "servers": {
            "instrument": {"host": "localhost:1883", "protocol": "mqtt"},
            "websockets": {"host": "localhost:9001", "protocol": "ws"},
        },
        "channels": all,
        "operations": operations,
        "components": {"messages": messages, "schemas": generator.take_definitions(true)},
    })
}

/// A JSON Schema for each topic: the topic as a file's name, and the schema.
pub fn schemas() -> Vec<(String, Value)> {
    let schema = |channel: Channel| {
        let mut generator = SchemaSettings::draft2020_12().into_generator();
        let mut schema = message(&channel, &mut generator);
        schema["$schema"] = "https://json-schema.org/draft/2020-12/schema".into();
        schema["title"] = channel.topic.clone().into();
        schema["description"] = channel.about.into();
        schema["$defs"] = generator.take_definitions(true).into();
        (name(&channel.topic), schema)
    };
    channels().into_iter().map(schema).collect()
}

/// Every document, by its path: what is committed must be this.
pub fn files() -> Vec<(String, String)> {
    let schemas = schemas().into_iter();
    let mut files: Vec<_> =
        schemas.map(|(name, schema)| (format!("schemas/{name}.json"), format!("{schema:#}\n"))).collect();
    files.push(("asyncapi.json".into(), format!("{:#}\n", document())));
    files.push(("reference.md".into(), reference()));
    files
}

/// The schema of what is said on a topic; `None` if nothing is.
pub fn schema_of(topic: &str) -> Option<Value> {
    let topic = match topic {
        _ if topic.starts_with("planktor/status/device/") => "planktor/status/device/{device}",
        _ if topic.starts_with("imager/image/") => imager::TOPIC,
        _ => topic,
    };
    let file = name(topic);
    schemas().into_iter().find_map(|(name, schema)| (name == file).then_some(schema))
}

/// The reference for people, in Markdown.
pub fn reference() -> String {
    let mut text = String::from(
        "# What is said over MQTT\n\n\
         Generated from the types that read and write the messages; the same as `asyncapi.json`, for people.\n\n\
         Commands are JSON objects. Each may carry an `id` (text or number), which comes back in every status that \
         answers it, and an `owner` (text), which is who the lease must belong to. Unknown fields are ignored. A command \
         that cannot be carried out is answered with `reason`: what was wrong, where, and what to do.\n",
    );
    for channel in channels() {
        let mut generator = generator();
        let schema = (channel.schema)(&mut generator);
        let definitions = generator.take_definitions(true);
        let kind = match channel.says {
            Says::Commands { answered } => format!("Command; answered on `{answered}`."),
            Says::Statuses { retained: Retained::Yes } => "Status; retained.".into(),
            Says::Statuses { retained: Retained::States } => {
                "Status; `Started`, `Idle` and `Dead` are retained, ends are not.".into()
            }
            Says::Statuses { retained: Retained::No } => "Status; not retained.".into(),
        };
        let _ = writeln!(text, "\n## `{}`\n\n{} {kind}", channel.topic, channel.about);
        Describing { definitions: &definitions, text: &mut text }.message(schema.as_value());
    }
    text
}

/// Writes a schema in words.
struct Describing<'a> {
    definitions: &'a Map<String, Value>,
    text: &'a mut String,
}

impl Describing<'_> {
    fn resolved<'v>(&'v self, schema: &'v Value) -> &'v Value {
        let name = schema["$ref"].as_str().and_then(|path| path.rsplit('/').next());
        name.map_or(schema, |name| &self.definitions[name])
    }

    fn message(&mut self, schema: &Value) {
        let schema = self.resolved(schema).clone();
        let variants = schema["oneOf"].as_array().or(schema["anyOf"].as_array());
        let Some(variants) = variants else {
            return self.fields(&schema);
        };
        for variant in variants {
            // What says which one it is stands beside the reference to its own fields.
            let about = variant["description"].as_str().or(self.resolved(variant)["description"].as_str());
            let mut title = about.unwrap_or_default().to_owned();
            for (key, value) in variant["properties"].as_object().into_iter().flatten() {
                if let Some(word) = value["const"].as_str() {
                    title = format!("`{{\"{key}\": \"{word}\"}}` {title}");
                }
            }
            let _ = write!(self.text, "\n- {}\n", title.replace('\n', " "));
            self.fields(variant);
        }
    }

    fn fields(&mut self, schema: &Value) {
        let mut rows = vec![];
        self.rows(schema, "", &mut rows, 0);
        if rows.is_empty() {
            return;
        }
        self.text.push_str("\n| field | value | |\n|---|---|---|\n");
        for [field, value, about] in rows {
            let _ = writeln!(self.text, "| `{field}` | {value} | {about} |");
        }
    }

    fn rows(&self, schema: &Value, path: &str, rows: &mut Vec<[String; 3]>, depth: usize) {
        let schema = self.resolved(schema);
        // A variant's own fields are behind a reference beside its tag.
        if let Some(inner) = schema["$ref"].as_str().map(|_| schema) {
            self.rows(self.resolved(inner), path, rows, depth);
        }
        let required: Vec<_> = schema["required"].as_array().into_iter().flatten().collect();
        for (key, field) in schema["properties"].as_object().into_iter().flatten() {
            if !field["const"].is_null() {
                continue;
            }
            let field_path = format!("{path}{key}");
            let optional = if required.iter().any(|name| *name == key) { "" } else { ", optional" };
            let inner = self.inner(field);
            let about = field["description"].as_str().or(inner["description"].as_str()).unwrap_or_default();
            rows.push([
                field_path.clone(),
                format!("{}{optional}", self.value(field)),
                about.replace('\n', " "),
            ]);
            if depth < 2 && inner["properties"].is_object() {
                self.rows(inner, &format!("{field_path}."), rows, depth + 1);
            }
        }
    }

    /// What an optional field holds if it is there.
    fn inner<'v>(&'v self, schema: &'v Value) -> &'v Value {
        let variants = schema["anyOf"].as_array();
        let some = variants.and_then(|variants| variants.iter().find(|variant| variant["type"] != "null"));
        self.resolved(some.unwrap_or(schema))
    }

    fn value(&self, schema: &Value) -> String {
        let schema = self.inner(schema);
        let kind = match &schema["type"] {
            Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).find(|kind| *kind != "null"),
            kind => kind.as_str(),
        };
        let words = |list: &[Value]| {
            let words = list.iter().filter_map(|word| word.as_str().or(word["const"].as_str()));
            words.map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ")
        };
        if let Some(list) = schema["enum"].as_array().or(schema["oneOf"].as_array()) {
            let words = words(list);
            return if words.is_empty() { "one of several objects".into() } else { words };
        }
        match kind {
            Some(kind @ ("number" | "integer")) => {
                let range = match (&schema["minimum"], &schema["maximum"]) {
                    (Value::Number(least), Value::Number(most)) => format!(", {least} to {most}"),
                    _ => String::new(),
                };
                let unit = schema["x-unit"].as_str().map_or(String::new(), |unit| format!(" {unit}"));
                format!("{kind}{range}{unit}")
            }
            Some("array") => format!("list of {}", self.value(&schema["items"])),
            Some("string") => match schema["maxLength"].as_u64() {
                Some(most) => format!("text of 1 to {most} characters"),
                None => "text".into(),
            },
            Some(kind) => kind.into(),
            None => "any".into(),
        }
    }
}
