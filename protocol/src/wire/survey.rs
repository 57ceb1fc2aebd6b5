//! `planktor/health`.

use super::reading::{tagged, words};
use super::{Status, status_of};
use crate::eeprom::Identity;
use crate::instrument::Command;
use crate::motion::ChipClock;
use crate::position::{Fix, Place};
use crate::survey::{Survey, Who};
use crate::units::{Fraction, Nanodegrees};
use crate::{Instant, camera};
use schemars::JsonSchema;
use serde::Serialize;
use std::sync::Arc;

pub(super) const TOPIC: &str = "planktor/health";
/// Where it is told.
pub const STATUS: &str = "planktor/status/health";

tagged! {
    /// A question to the instrument.
    pub enum HealthCommand by "action" {
        /// Ask what it knows of itself.
        "get" => Get,
    }
}

impl From<HealthCommand> for Command {
    fn from(HealthCommand::Get: HealthCommand) -> Self {
        Self::Survey
    }
}

words! {
    /// Whether it could be told.
    pub enum SurveyWord {
        "Known" => Known,
        /// The command was wrong; `reason` says why.
        "Error" => Error,
        /// Too much is asked at once.
        "Busy" => Busy,
    }
}

/// What the instrument knows of itself.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct SurveyStatus {
    status: SurveyWord,
    /// With `Known`.
    #[serde(skip_serializing_if = "Option::is_none")]
    clock: Option<Clock>,
    /// The newest place that the instrument's receiver knew; missing if there never was one.
    #[serde(skip_serializing_if = "Option::is_none")]
    position: Option<Position>,
    /// With `Known`.
    #[serde(skip_serializing_if = "Option::is_none")]
    stage: Option<Stage>,
    /// Of the full strength, 0 to 1; missing if it is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    light: Option<f64>,
    /// How the camera takes pictures; missing if it has not said so yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    camera: Option<CameraMode>,
    /// The clock of the pump's driver, as its moves have shown it; missing before the first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pump_clock: Option<MotorClock>,
    /// The same of the stage's.
    #[serde(skip_serializing_if = "Option::is_none")]
    focus_clock: Option<MotorClock>,
    /// With `Known`.
    #[serde(skip_serializing_if = "Option::is_none")]
    instrument: Option<Instrument>,
    /// Why it could not be told.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

/// What time it is, and how that is known.
#[derive(Clone, Debug, Serialize, JsonSchema)]
struct Clock {
    /// RFC 3339.
    utc: String,
    /// `gps`, `network` (the computer's clock, kept right by chrony), `rtc` (a battery-backed clock), `computer`
    /// (plausible, but nothing vouches for it) or `unset` (no clock was believed).
    source: &'static str,
    /// s, since that source was last heard.
    age_s: f64,
    /// s, how wrong the time may be by now; null if its source does not say it.
    error_s: Option<f64>,
    /// How often the computer's clock was set since the start.
    steps: u32,
}

/// Where the instrument is (WGS 84).
#[derive(Clone, Debug, Serialize, JsonSchema)]
struct Position {
    /// Degrees, north positive.
    latitude: f64,
    /// Degrees, east positive.
    longitude: f64,
    /// m, above the ellipsoid.
    altitude_m: Option<f64>,
    /// m, horizontal (95 %).
    error_m: Option<f64>,
    /// m, of the altitude (95 %).
    vertical_error_m: Option<f64>,
    /// `2d` or `3d`: without its altitude, or with it.
    mode: &'static str,
    /// s, since it was heard.
    age_s: f64,
    /// Whether that is more than 10 s: the receiver has lost its fix.
    stale: bool,
}

/// Where the stage is.
#[derive(Clone, Debug, Serialize, JsonSchema)]
struct Stage {
    /// um, above where it was switched on.
    height_um: i64,
    /// Whether that is in doubt, because it was cut off in mid-move.
    uncertain: bool,
}

/// The clock of a motor's driver.
#[derive(Clone, Debug, Serialize, JsonSchema)]
struct MotorClock {
    /// Nominally 12 MHz, within 10 %.
    hz: u32,
    /// More or less.
    within_hz: u32,
}

impl From<ChipClock> for MotorClock {
    fn from(ChipClock { hz, within_hz }: ChipClock) -> Self {
        Self { hz, within_hz }
    }
}

/// Which instrument it is.
#[derive(Clone, Debug, Serialize, JsonSchema)]
struct Instrument {
    /// The machine's name, two words and a number; `unknown` if it has none.
    name: String,
    /// As in `v3.0`; missing if nobody knows.
    #[serde(skip_serializing_if = "Option::is_none")]
    hardware_version: Option<String>,
    /// Whose board it is; this and the rest as its EEPROM says.
    #[serde(skip_serializing_if = "Option::is_none")]
    vendor: Option<String>,
    /// Which board.
    #[serde(skip_serializing_if = "Option::is_none")]
    product: Option<String>,
    /// Its maker's number of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    serial_number: Option<String>,
    /// Of the EEPROM's content.
    #[serde(skip_serializing_if = "Option::is_none")]
    eeprom_version: Option<String>,
    /// What is wrong with its EEPROM.
    #[serde(skip_serializing_if = "Option::is_none")]
    trouble: Option<String>,
}

impl From<&Who> for Instrument {
    fn from(Who { name, hardware, identity, trouble }: &Who) -> Self {
        let text = |text: &Option<Arc<str>>| text.as_deref().map(Into::into);
        let Identity { vendor, product, serial_number, eeprom_version, .. } =
            identity.clone().unwrap_or_default();
        let named = |name: Arc<str>| (!name.is_empty()).then(|| name.to_string());
        Self {
            name: name.to_string(),
            hardware_version: text(hardware),
            vendor: named(vendor),
            product: named(product),
            serial_number: text(&serial_number),
            eeprom_version: text(&eeprom_version),
            trouble: text(trouble),
        }
    }
}

/// How the camera takes pictures.
#[derive(Clone, Debug, Serialize, JsonSchema)]
struct CameraMode {
    /// Pixels.
    width: u32,
    /// Pixels.
    height: u32,
    /// ms, from one frame's start to the next one's.
    cadence_ms: f64,
    /// us, what each line integrates.
    exposure_us: u64,
    iso: u32,
}

impl From<&camera::Mode> for CameraMode {
    fn from(mode: &camera::Mode) -> Self {
        Self {
            width: mode.width,
            height: mode.height,
            cadence_ms: mode.cadence.as_secs_f64() * 1e3,
            exposure_us: u64::try_from(mode.exposure.as_micros()).unwrap_or(u64::MAX),
            iso: mode.iso,
        }
    }
}

fn position(place: &Place, fix: &Fix, now: Instant) -> Position {
    let degrees = |Nanodegrees(n): Nanodegrees| n as f64 / 1e9;
    let metres = |mm: Option<i64>| mm.map(|mm| mm as f64 / 1e3);
    Position {
        latitude: degrees(place.latitude),
        longitude: degrees(place.longitude),
        altitude_m: metres(place.altitude_mm),
        error_m: metres(place.error_mm),
        vertical_error_m: metres(place.vertical_error_mm),
        mode: place.mode.word(),
        age_s: (now - fix.at).as_secs_f64(),
        stale: fix.is_stale(now),
    }
}

pub(super) fn status(survey: &Survey) -> Vec<Status> {
    let Survey { at, time, steps, fix, height, height_uncertain, light, camera, clocks, who } = survey;
    let fixed = fix.as_ref().and_then(|fix| Some(position(fix.place.as_ref()?, fix, *at)));
    let status = SurveyStatus {
        status: SurveyWord::Known,
        clock: Some(Clock {
            utc: time.utc_at(*at).rfc3339(),
            source: time.source.word(),
            age_s: time.age(*at).as_secs_f64(),
            error_s: time.error_at(*at).map(|error| error.as_secs_f64()),
            steps: *steps,
        }),
        position: fixed,
        stage: Some(Stage { height_um: height.0, uncertain: *height_uncertain }),
        light: light.map(|light| f64::from(light.millionths()) / f64::from(Fraction::ONE.millionths())),
        camera: camera.as_ref().map(Into::into),
        pump_clock: clocks.pump.map(Into::into),
        focus_clock: clocks.focus.map(Into::into),
        instrument: Some(who.into()),
        reason: None,
    };
    // Whoever misses it asks again; what became of an acquisition is told once.
    vec![Status { spare: true, ..status_of(STATUS, &status, false) }]
}
