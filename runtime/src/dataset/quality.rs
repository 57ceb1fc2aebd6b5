//! What a frame is worth, seen on a small copy of it, and flags as QARTOD numbers them (Manual for Real-Time Quality Control,
//! IOOS).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a test came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "u8", try_from = "u8")]
pub enum Flag {
    /// 1: nothing is wrong by this test.
    Pass = 1,
    /// 2: it could not be tested.
    NotEvaluated = 2,
    /// 3: look at it before you use it.
    Suspect = 3,
    /// 4: do not use it.
    Fail = 4,
    /// 9: there is nothing to test.
    Missing = 9,
}

impl From<Flag> for u8 {
    fn from(flag: Flag) -> Self {
        flag as Self
    }
}

impl TryFrom<u8> for Flag {
    type Error = String;

    fn try_from(number: u8) -> Result<Self, String> {
        [Self::Pass, Self::NotEvaluated, Self::Suspect, Self::Fail, Self::Missing]
            .into_iter()
            .find(|flag| u8::from(*flag) == number)
            .ok_or_else(|| format!("{number} is no flag; expected 1, 2, 3, 4 or 9"))
    }
}

impl JsonSchema for Flag {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Flag".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "description": "1 pass, 2 not evaluated, 3 suspect, 4 fail, 9 missing",
            "type": "integer",
            "enum": [1, 2, 3, 4, 9],
        })
    }
}

/// A test and its thresholds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Test {
    /// Its name among the flags.
    pub test: String,
    /// What is compared: a figure by itself, or as a part of what the run's first frames had in the mean.
    pub figure: String,
    /// Suspect outside.
    pub suspect: Limits,
    /// Fails outside.
    pub fail: Limits,
}

/// What is right lies between.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Limits {
    /// Not less; `null` for no limit.
    pub least: Option<f64>,
    /// Not more; `null` for no limit.
    pub most: Option<f64>,
}

impl Test {
    /// Those that are made.
    pub(super) fn all() -> Vec<Self> {
        vec![]
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
    /// Of these, how many stand in the same place as in the frame before; `null` in the first.
    pub stuck: Option<u32>,
    /// Diameter of the largest bubble, as a part of the picture's height; 0 if there is none.
    pub bubble: f64,
    /// What the tests came to.
    pub flags: Flags,
}

/// What each test came to; the thresholds are in the record file's first line.
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
