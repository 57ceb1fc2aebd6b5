//! What time it is, and how we know.

use crate::{Instant, Utc};
use std::time::Duration;

/// No clock is believed that says an earlier time than this: 2026-01-01, before this program was written.
pub const NOT_BEFORE: Utc = Utc::from_micros(1_767_225_600_000_000);

/// Where a time comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// A satellite receiver's fix.
    Gps,
    /// The computer's clock, kept right over a network.
    Network,
    /// A battery-backed clock.
    Rtc,
    /// The computer's clock: plausible, but nothing vouches for it.
    Computer,
    /// Nothing believable: the earliest time it can be.
    Unset,
}

impl Source {
    /// As it is written into metadata.
    pub fn word(self) -> &'static str {
        match self {
            Self::Gps => "gps",
            Self::Network => "network",
            Self::Rtc => "rtc",
            Self::Computer => "computer",
            Self::Unset => "unset",
        }
    }
}

/// One moment under both its names. An acquisition fixes one at its start and keeps it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Anchor {
    /// On the monotonic clock.
    pub instant: Instant,
    /// On the civil one.
    pub utc: Utc,
    /// How that is known.
    pub source: Source,
    /// How wrong it may be at that moment, if the source says it.
    pub error: Option<Duration>,
}

/// The computer's clock was set while the instrument ran.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// When that was seen.
    pub at: Instant,
    /// By how much, microseconds; negative is back.
    pub by_us: i64,
}

impl Anchor {
    /// The civil time of an instant, counted from the anchor; before the anchor it is the anchor's own.
    pub fn utc_at(&self, instant: Instant) -> Utc {
        self.utc.checked_add(instant - self.instant).unwrap_or(self.utc)
    }

    /// How long ago the anchor was.
    pub fn age(&self, now: Instant) -> Duration {
        now - self.instant
    }
}
