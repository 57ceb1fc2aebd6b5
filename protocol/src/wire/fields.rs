//! Reads fields of a JSON object; every mistake names the field, what it was and what was expected.

use serde_json::{Map, Value};

/// A message that could not be read: what its status topic is told.
#[derive(Clone, Debug, PartialEq)]
pub struct Malformed {
    /// Where the refusal goes.
    pub status_topic: &'static str,
    /// In the documented words.
    pub status: &'static str,
    /// What was wrong, where, and what to send instead.
    pub reason: String,
    /// The message's own name, if that could be read.
    pub id: Option<Value>,
}

/// What is wrong with a message, and the word that its topic has for that.
#[derive(Debug)]
pub(super) struct Flaw {
    pub(super) status: &'static str,
    pub(super) reason: String,
}

impl Flaw {
    pub(super) fn new(status: &'static str, reason: impl Into<String>) -> Self {
        Self { status, reason: reason.into() }
    }

    /// The same mistake in another topic's words.
    pub(super) fn worded(self, status: &'static str) -> Self {
        Self { status, ..self }
    }
}

/// The fields of one JSON object and the path that leads to it.
pub(super) struct Fields<'a> {
    object: std::borrow::Cow<'a, Map<String, Value>>,
    path: String,
}

/// What a client may name its command; longer or deeper things are not echoed.
const LONGEST_ID: usize = 200;

impl Fields<'static> {
    /// A whole message.
    pub(super) fn parse(payload: &[u8]) -> Result<Self, String> {
        match serde_json::from_slice(payload) {
            Ok(Value::Object(object)) => {
                Ok(Self { object: std::borrow::Cow::Owned(object), path: String::new() })
            }
            Ok(other) => Err(format!("expected a JSON object, got {}", kind(&other))),
            Err(error) => Err(format!("not valid JSON: {error}")),
        }
    }
}

impl<'a> Fields<'a> {
    /// An object inside a message.
    pub(super) fn within(value: &'a Value, path: String) -> Result<Self, Flaw> {
        match value {
            Value::Object(object) => Ok(Self { object: std::borrow::Cow::Borrowed(object), path }),
            other => Err(Flaw::new("Error", format!("{path}: expected an object, got {}", kind(other)))),
        }
    }

    pub(super) fn id(&self) -> Option<Value> {
        let id = self.object.get("id")?;
        match id {
            Value::String(text) if text.len() <= LONGEST_ID => Some(id.clone()),
            Value::Number(_) => Some(id.clone()),
            _ => None,
        }
    }

    /// The path of a field, as it appears in refusals.
    pub(super) fn path(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_string() } else { format!("{}.{key}", self.path) }
    }

    pub(super) fn get(&self, key: &str) -> Option<&Value> {
        self.object.get(key)
    }

    pub(super) fn object(&self, key: &str) -> Result<&Map<String, Value>, Flaw> {
        match self.get(key) {
            Some(Value::Object(object)) => Ok(object),
            other => Err(self.flaw(key, "an object", other)),
        }
    }

    pub(super) fn list(&self, key: &str) -> Result<&Vec<Value>, Flaw> {
        match self.get(key) {
            Some(Value::Array(list)) => Ok(list),
            other => Err(self.flaw(key, "a list", other)),
        }
    }

    /// A word out of a few.
    pub(super) fn word(&self, key: &str, words: &[&'static str]) -> Result<&'static str, Flaw> {
        let found = self.get(key);
        let word = found.and_then(Value::as_str).and_then(|text| words.iter().find(|word| **word == text));
        word.copied().ok_or_else(|| self.flaw(key, &format!("one of {}", words.join(", ")), found))
    }

    /// A number within limits.
    pub(super) fn number(&self, key: &str, least: f64, most: f64) -> Result<f64, Flaw> {
        let found = self.get(key);
        let number = found.and_then(Value::as_f64).filter(|n| (least..=most).contains(n));
        number.ok_or_else(|| self.flaw(key, &format!("a number from {least} to {most}"), found))
    }

    /// A number within limits, times `scale`, as an integer in the unit that this makes it.
    pub(super) fn scaled(&self, key: &str, scale: f64, least: f64, most: f64) -> Result<i64, Flaw> {
        #[expect(clippy::cast_possible_truncation, reason = "callers' limits lie far within an i64")]
        self.number(key, least, most).map(|n| (n * scale).round() as i64)
    }

    /// A whole number within limits; `3.0` is one, `2.7` is not.
    pub(super) fn whole(&self, key: &str, least: u32, most: u32) -> Result<u32, Flaw> {
        let number = self.number(key, f64::from(least), f64::from(most)).ok().filter(|n| n.fract() == 0.0);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "whole and within u32")]
        number
            .map(|n| n as u32)
            .ok_or_else(|| self.flaw(key, &format!("a whole number from {least} to {most}"), self.get(key)))
    }

    fn flaw(&self, key: &str, expected: &str, found: Option<&Value>) -> Flaw {
        let found = found.map_or_else(|| "nothing".to_string(), kind);
        Flaw::new("Error", format!("{}: expected {expected}, got {found}", self.path(key)))
    }
}

/// A value as a refusal names it; long ones are cut.
fn kind(value: &Value) -> String {
    match value {
        Value::Null => "null".into(),
        Value::Bool(b) => b.to_string(),
        Value::Number(n) => n.to_string(),
        Value::String(text) if text.chars().count() > 40 => {
            format!("the text \"{}…\"", text.chars().take(40).collect::<String>())
        }
        Value::String(text) => format!("the text \"{text}\""),
        Value::Array(_) => "a list".into(),
        Value::Object(_) => "an object".into(),
    }
}
