//! What time it is, and how we know.

use crate::{Instant, Utc};
use std::time::Duration;

/// No clock is believed that says an earlier time than this: 2026-01-01, before this program was written.
pub const NOT_BEFORE: Utc = Utc::from_micros(1_767_225_600_000_000);

/// By how much a clock is believed to go wrong while nobody sets it right, parts per million: crystals of single-board
/// computers, warm and cold.
const DRIFT_PPM: u32 = 100;

/// Where a time comes from, the best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Source {
    /// A satellite receiver's fix.
    Gps,
    /// The computer's clock, kept right by chrony: over a network, or by a receiver that is wired to the computer.
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

    /// The source with this word.
    pub fn from_word(word: &str) -> Option<Self> {
        [Self::Gps, Self::Network, Self::Rtc, Self::Computer, Self::Unset]
            .into_iter()
            .find(|source| source.word() == word)
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

/// What was believed when it was last saved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Saved {
    /// The time: it is later now.
    pub utc: Utc,
    /// How it was known.
    pub source: Source,
}

/// What chrony says of the computer's clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tracking {
    /// When it was asked.
    pub at: Instant,
    /// How wrong the clock may be; `None` if nothing keeps it right.
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

    /// How wrong what is counted from it may be by now: the monotonic clock drifts, too.
    pub fn error_at(&self, now: Instant) -> Option<Duration> {
        self.error.map(|error| error + self.age(now) / (1_000_000 / DRIFT_PPM))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_becomes_less_certain_with_its_age() {
        let at = |s: u64| Instant::from_nanos(s * 1_000_000_000);
        let error = Some(Duration::from_millis(5));
        let anchor = Anchor { instant: at(10), utc: NOT_BEFORE, source: Source::Gps, error };
        assert_eq!(anchor.error_at(at(10)), error);
        assert_eq!(anchor.error_at(at(10_010)), Some(Duration::from_millis(1_005)), "100 ppm");
        assert_eq!(Anchor { error: None, ..anchor }.error_at(at(10)), None);
    }

    #[test]
    fn sources_are_in_order_and_read_as_they_are_written() {
        let all = [Source::Gps, Source::Network, Source::Rtc, Source::Computer, Source::Unset];
        assert!(all.is_sorted());
        assert!(all.iter().all(|source| Source::from_word(source.word()) == Some(*source)));
        assert_eq!(Source::from_word("sundial"), None);
    }
}
