//! Makes typed messages of JSON. Every mistake says where it is, what was expected there and what was found.

use serde::Deserialize;
use serde::de::{DeserializeOwned, Error};
use serde_json::Value;

/// What is wrong with a message, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Misread {
    /// The field, as in `settings.iso` or `plan[0].steps[2]`; empty for the message itself.
    pub(super) path: String,
    /// As a sentence about it.
    pub(super) what: String,
}

/// Frames a path in the text of an error that passes through serde.
const MARK: char = '\u{1}';

impl Misread {
    pub(super) fn new(path: impl Into<String>, what: impl Into<String>) -> Self {
        Self { path: path.into(), what: what.into() }
    }

    /// Of a part of something that is read, too.
    pub(super) fn within<E: Error>(&self) -> E {
        E::custom(format!("{MARK}{}{MARK}{}", self.path, self.what))
    }

    /// One level further out.
    pub(super) fn below(self, path: &str) -> Self {
        Self { path: join(path, &self.path), ..self }
    }
}

impl std::fmt::Display for Misread {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.path.as_str() {
            "" => f.write_str(&self.what),
            path => write!(f, "{path}: {}", self.what),
        }
    }
}

fn join(outer: &str, inner: &str) -> String {
    let dot = if outer.is_empty() || inner.is_empty() || inner.starts_with('[') { "" } else { "." };
    format!("{outer}{dot}{inner}")
}

/// A payload's JSON object.
pub(super) fn object(payload: &[u8]) -> Result<Value, Misread> {
    match serde_json::from_slice(payload) {
        Ok(object @ Value::Object(_)) => Ok(object),
        Ok(other) => Err(Misread::new("", format!("expected a JSON object, got {}", kind(&other)))),
        Err(error) => Err(Misread::new("", format!("not valid JSON: {error}"))),
    }
}

/// Makes a typed message of it.
pub(super) fn read<T: DeserializeOwned>(value: &Value) -> Result<T, Misread> {
    serde_path_to_error::deserialize(value).map_err(|error| {
        let path = match error.path().to_string() {
            path if path == "." => String::new(),
            path => path,
        };
        let text = error.into_inner().to_string();
        if let Some((inner, what)) = text.strip_prefix(MARK).and_then(|text| text.split_once(MARK)) {
            return Misread::new(join(&path, inner), what);
        }
        match text.strip_prefix("missing field `").and_then(|text| text.strip_suffix('`')) {
            Some(field) => Misread::new(join(&path, field), "is missing"),
            None => Misread::new(path, text),
        }
    })
}

/// What was expected, and what is there instead.
pub(super) fn expected(what: &str, found: &Value) -> Misread {
    Misread::new("", format!("expected {what}, got {}", kind(found)))
}

/// A value as a refusal names it; long ones are cut.
fn kind(value: &Value) -> String {
    match value {
        Value::Null => "null".into(),
        Value::Bool(b) => b.to_string(),
        Value::Number(n) => n.to_string(),
        Value::String(text) => format!("the text \"{}\"", cut(text)),
        Value::Array(_) => "a list".into(),
        Value::Object(_) => "an object".into(),
    }
}

/// As much of a text as a status can hold.
pub(super) fn cut(text: &str) -> String {
    match text.char_indices().nth(40) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.into(),
    }
}

/// A number from `LEAST` to `MOST` in a unit, as a type of its own.
macro_rules! quantity {
    ($($(#[$doc:meta])* $name:ident: $least:literal to $most:literal $unit:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
        pub struct $name(pub f64);

        impl $name {
            /// In another unit, which is `scale` times smaller, rounded.
            #[allow(clippy::cast_possible_truncation, dead_code, reason = "limits lie far within an i64")]
            pub(super) fn scaled(self, scale: f64) -> i64 {
                (self.0 * scale).round() as i64
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                let found = serde_json::Value::deserialize(from)?;
                let number = found.as_f64().filter(|number| ($least..=$most).contains(number));
                let what = concat!("a number from ", stringify!($least), " to ", stringify!($most), " ", $unit);
                number.map(Self).ok_or_else(|| crate::wire::reading::expected(what.trim_end(), &found).within())
            }
        }

        impl schemars::JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }
            fn inline_schema() -> bool {
                true
            }
            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                let mut schema = schemars::json_schema!({"type": "number", "minimum": $least, "maximum": $most});
                if !$unit.is_empty() {
                    schema.insert("x-unit".into(), $unit.into());
                }
                schema
            }
        }
    )*};
}

/// One of a few words.
macro_rules! words {
    ($(#[$doc:meta])* $vis:vis enum $name:ident { $($(#[$variant_doc:meta])* $word:literal => $variant:ident),* $(,)? }) => {
        $(#[$doc])*
        #[allow(missing_docs, reason = "some words say it all")]
        #[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, schemars::JsonSchema)]
        $vis enum $name {
            $($(#[$variant_doc])* #[serde(rename = $word)] $variant),*
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                let found = serde_json::Value::deserialize(from)?;
                match found.as_str() {
                    $(Some($word) => Ok(Self::$variant),)*
                    _ => {
                        let words = [$($word),*].join(", ");
                        Err(crate::wire::reading::expected(&format!("one of {words}"), &found).within())
                    }
                }
            }
        }
    };
}

/// A message whose `tag` says which of several it is.
macro_rules! tagged {
    (
        $(#[$doc:meta])*
        $vis:vis enum $name:ident by $tag:literal {
            $($(#[$variant_doc:meta])* $word:literal => $variant:ident $(($body:ty))?),* $(,)?
        }
    ) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, serde::Serialize, schemars::JsonSchema)]
        #[serde(tag = $tag)]
        $vis enum $name {
            $($(#[$variant_doc])* #[serde(rename = $word)] $variant $(($body))?),*
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                let message = serde_json::Value::deserialize(from)?;
                let word = crate::wire::reading::word(&message, $tag, &[$($word),*]).map_err(|e| e.within())?;
                match word {
                    $($word => Ok(Self::$variant $((crate::wire::reading::read::<$body>(&message).map_err(|e| e.within())?))?),)*
                    _ => unreachable!("it is one of these words"),
                }
            }
        }
    };
}

/// The word that says which message this is.
pub(super) fn word(message: &Value, tag: &str, words: &[&'static str]) -> Result<&'static str, Misread> {
    let Value::Object(fields) = message else { return Err(expected("an object", message)) };
    let what = || format!("one of {}", words.join(", "));
    let found =
        fields.get(tag).ok_or_else(|| Misread::new(tag, format!("is missing; expected {}", what())))?;
    let word = found.as_str().and_then(|found| words.iter().find(|word| **word == found));
    word.copied().ok_or_else(|| expected(&what(), found).below(tag))
}

/// A text of `1` to `MOST` characters.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Text<const MOST: usize>(pub String);

impl<'de, const MOST: usize> Deserialize<'de> for Text<MOST> {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let what = || format!("a text of 1 to {MOST} characters");
        match Value::deserialize(from)? {
            Value::String(text) if (1..=MOST).contains(&text.chars().count()) => Ok(Self(text)),
            found => Err(expected(&what(), &found).within()),
        }
    }
}

impl<const MOST: usize> schemars::JsonSchema for Text<MOST> {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        format!("Text{MOST}").into()
    }
    fn inline_schema() -> bool {
        true
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({"type": "string", "minLength": 1, "maxLength": MOST})
    }
}

/// A whole number from `LEAST` to `MOST`; `3.0` is one, `2.7` is not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Whole<const LEAST: u32, const MOST: u32>(pub u32);

impl<'de, const LEAST: u32, const MOST: u32> Deserialize<'de> for Whole<LEAST, MOST> {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let found = Value::deserialize(from)?;
        let range = f64::from(LEAST)..=f64::from(MOST);
        let number = found.as_f64().filter(|n| n.fract() == 0.0 && range.contains(n));
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "whole and within u32")]
        number
            .map(|n| Self(n as u32))
            .ok_or_else(|| expected(&format!("a whole number from {LEAST} to {MOST}"), &found).within())
    }
}

impl<const LEAST: u32, const MOST: u32> schemars::JsonSchema for Whole<LEAST, MOST> {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        format!("Whole{LEAST}To{MOST}").into()
    }
    fn inline_schema() -> bool {
        true
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({"type": "integer", "minimum": LEAST, "maximum": MOST})
    }
}

pub(super) use {quantity, tagged, words};
