//! What a frame is worth, as JSON: in `planktor/status/quality`, and in the record file of a data set.

use super::{Status, status_of};
use crate::quality;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::borrow::Cow;

pub(super) const STATUS: &str = "planktor/status/quality";

pub use crate::quality::Flag;

/// As QARTOD has it, a flag is a number.
impl Serialize for Flag {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_u8(*self as u8)
    }
}

impl<'de> Deserialize<'de> for Flag {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let number = u8::deserialize(from)?;
        let all = [Self::Pass, Self::NotEvaluated, Self::Suspect, Self::Fail, Self::Missing];
        let flag = all.into_iter().find(|flag| *flag as u8 == number);
        flag.ok_or_else(|| D::Error::custom(format!("{number} is no flag; expected 1, 2, 3, 4 or 9")))
    }
}

impl JsonSchema for Flag {
    fn schema_name() -> Cow<'static, str> {
        "Flag".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "1 pass, 2 not evaluated, 3 suspect, 4 fail, 9 missing (QARTOD)",
            "type": "integer",
            "enum": [1, 2, 3, 4, 9],
        })
    }
}

/// A frame's figures, and what the tests made of them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Quality {
    /// The mean of green, 0 (black) to 1 (white).
    pub brightness: f64,
    /// Vollath's F4 of green relative to the square of the brightness, in millionths: grows towards focus.
    pub sharpness: f64,
    /// Part of the pixels that are as white as can be, 0 to 1.
    pub saturated: f64,
    /// Things that are darker than their surroundings.
    pub particles: u32,
    /// Of these, how many stand where something as large stood in the frame before; `null` without a stroke in between.
    pub stuck: Option<u32>,
    /// Diameter of the largest bubble, as a part of the picture's height; 0 if there is none.
    pub bubble: f64,
    /// What the tests came to.
    pub flags: Flags,
}

/// What each test came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Flags {
    /// The worst of them.
    pub all: Flag,
    /// Neither dark nor glaring.
    pub brightness: Flag,
    /// Brightness as in the run's first frames.
    pub brightness_drift: Flag,
    /// As sharp as the run's first frames.
    pub sharpness_drift: Flag,
    /// Not saturated.
    pub saturation: Flag,
    /// Something is in it.
    pub empty: Flag,
    /// Not the frame before once more.
    pub identical: Flag,
    /// No bubble.
    pub bubble: Flag,
    /// What was in the frame before has been flushed away.
    pub stuck: Flag,
}

/// What the newest frame is worth.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct QualityStatus {
    /// Its file's name.
    frame: String,
    /// Its figures, and what the tests made of them.
    #[serde(flatten)]
    quality: Quality,
    /// What drifts away from how the run began; `null` while nothing does.
    warning: Option<String>,
}

impl From<&quality::Quality> for Quality {
    #[expect(clippy::cast_precision_loss, reason = "billionths of some thousands are far below 2^53")]
    fn from(quality: &quality::Quality) -> Self {
        let parts = |millionths: u32| f64::from(millionths) / 1e6;
        let flags = &quality.flags;
        Self {
            brightness: parts(quality.brightness),
            sharpness: quality.sharpness as f64 / 1e3,
            saturated: parts(quality.saturated),
            particles: quality.particles,
            stuck: quality.stuck,
            bubble: parts(quality.bubble),
            flags: Flags {
                all: flags.worst(),
                brightness: flags.brightness,
                brightness_drift: flags.brightness_drift,
                sharpness_drift: flags.sharpness_drift,
                saturation: flags.saturation,
                empty: flags.empty,
                identical: flags.identical,
                bubble: flags.bubble,
                stuck: flags.stuck,
            },
        }
    }
}

pub(super) fn status(frame: &str, quality: &quality::Quality, warning: Option<&str>) -> Status {
    let warning = warning.map(str::to_owned);
    let said = QualityStatus { frame: frame.into(), quality: quality.into(), warning };
    Status { spare: true, ..status_of(STATUS, &said, false) }
}
