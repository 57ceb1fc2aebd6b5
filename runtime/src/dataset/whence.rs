//! When and where something was, as data sets say it. Says nothing that nobody knows: no fix is `null`, never a place.

use planktor_protocol::position::{Fix, Place};
use planktor_protocol::timekeeping::Anchor;
use planktor_protocol::units::Nanodegrees;
use planktor_protocol::{Instant, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One moment under both its names.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Moment {
    /// On the civil clock, RFC 3339.
    pub utc: String,
    /// On the monotonic one, since the computer was switched on.
    pub monotonic_ns: u64,
    /// How it is known: `gps`, `network` (the computer's clock, kept right by chrony), `rtc` (a battery-backed clock),
    /// `computer` (nothing vouches for it) or `unset` (nothing believable: the earliest time that it can be).
    pub source: String,
    /// How wrong it may be, if the source says it.
    #[serde(default)]
    pub error_s: Option<f64>,
}

/// A civil time by the newest knowledge, which may be better than the data set's anchor.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Time {
    /// As in an anchor.
    pub source: String,
    /// RFC 3339.
    pub utc: String,
    /// Since the source last said it; the monotonic clock carried it on from then.
    pub age_s: f64,
    /// How wrong it may be: what the source said, and what the monotonic clock may have drifted since (100 ppm).
    #[serde(default)]
    pub error_s: Option<f64>,
}

/// The instrument's own position (WGS 84), from its receiver.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Position {
    /// -90 to 90, north positive.
    pub latitude: f64,
    /// -180 to 180, east positive.
    pub longitude: f64,
    /// Above the ellipsoid; with a three-dimensional fix.
    pub altitude_m: Option<f64>,
    /// Horizontal, 95 %, if the receiver says it.
    pub error_m: Option<f64>,
    /// Of the altitude, 95 %, if the receiver says it.
    #[serde(default)]
    pub vertical_error_m: Option<f64>,
    /// `2d` or `3d`: without its altitude, or with it.
    #[serde(default)]
    pub mode: String,
    /// The receiver's time of the fix, RFC 3339.
    pub time: Option<String>,
    /// How old the fix is.
    pub age_s: f64,
    /// Whether that is more than 10 s: the receiver has lost its fix, and this is the last place that it knew.
    #[serde(default)]
    pub stale: bool,
}

impl Moment {
    /// An anchor as it is written down.
    pub(super) fn of(anchor: &Anchor) -> Self {
        Self {
            utc: anchor.utc.rfc3339(),
            monotonic_ns: anchor.instant.nanos(),
            source: anchor.source.word().into(),
            error_s: anchor.error.map(|error| error.as_secs_f64()),
        }
    }
}

impl Time {
    /// The civil time of an instant.
    pub(super) fn of(anchor: &Anchor, at: Instant) -> Self {
        Self {
            source: anchor.source.word().into(),
            utc: utc_at(anchor, at).rfc3339(),
            age_s: anchor.age(at).as_secs_f64(),
            error_s: anchor.error_at(at).map(|error| error.as_secs_f64()),
        }
    }
}

impl Position {
    /// A fix as it is written down. `at` is when its age counts.
    pub(super) fn of(fix: Option<&Fix>, at: Instant) -> Option<Self> {
        let fix = fix?;
        let place = fix.place.filter(Place::is_possible)?;
        Some(Self {
            latitude: degrees(place.latitude),
            longitude: degrees(place.longitude),
            altitude_m: place.altitude_mm.map(metres),
            error_m: place.error_mm.map(metres),
            vertical_error_m: place.vertical_error_mm.map(metres),
            mode: place.mode.word().into(),
            time: fix.time.map(Utc::rfc3339),
            age_s: (at - fix.at).as_secs_f64(),
            stale: fix.is_stale(at),
        })
    }
}

/// The civil time of an instant by an anchor that may have come after it, while the frame was on its way.
pub(super) fn utc_at(anchor: &Anchor, at: Instant) -> Utc {
    if at >= anchor.instant {
        return anchor.utc_at(at);
    }
    let before = i64::try_from((anchor.instant - at).as_micros()).unwrap_or(i64::MAX);
    Utc::from_micros(anchor.utc.micros().saturating_sub(before))
}

#[expect(clippy::cast_precision_loss, reason = "180e9 is far below 2^53")]
fn degrees(angle: Nanodegrees) -> f64 {
    angle.0 as f64 / 1e9
}

#[expect(clippy::cast_precision_loss, reason = "millimetres on Earth are far below 2^53")]
fn metres(millimetres: i64) -> f64 {
    millimetres as f64 / 1e3
}
