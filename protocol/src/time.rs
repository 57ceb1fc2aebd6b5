//! Two kinds of time that are never mixed up: [`Instant`] is for all logic and all ordering, [`Utc`] is for people.

use std::fmt;
use std::ops::{Add, Sub};
use std::time::Duration;

/// A point on the monotonic clock, in nanoseconds since its (arbitrary) start.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Instant(u64);

impl Instant {
    /// The clock's start.
    pub const ZERO: Self = Self(0);

    /// The instant so many nanoseconds after the clock's start.
    pub const fn from_nanos(ns: u64) -> Self {
        Self(ns)
    }

    /// Nanoseconds since the clock's start.
    pub const fn nanos(self) -> u64 {
        self.0
    }
}

impl Add<Duration> for Instant {
    type Output = Self;
    /// Saturates: the far future stays the far future.
    fn add(self, later: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(later.as_nanos()).unwrap_or(u64::MAX)))
    }
}

impl Sub<Duration> for Instant {
    type Output = Self;
    /// Saturates at the clock's start.
    fn sub(self, earlier: Duration) -> Self {
        Self(self.0.saturating_sub(u64::try_from(earlier.as_nanos()).unwrap_or(u64::MAX)))
    }
}

impl Sub for Instant {
    type Output = Duration;
    /// Zero if `earlier` is the later one.
    fn sub(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

impl fmt::Debug for Instant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:09}s", self.0 / 1_000_000_000, self.0 % 1_000_000_000)
    }
}

/// When something was true.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interval {
    /// Its first instant.
    pub from: Instant,
    /// Its end.
    pub to: Instant,
}

impl Interval {
    /// How long.
    pub fn duration(self) -> Duration {
        self.to - self.from
    }

    /// Whether the two have an instant in common; touching ends do not count.
    pub fn overlaps(self, other: Self) -> bool {
        self.from < other.to && other.from < self.to
    }

    /// Whether the other one lies wholly within it.
    pub fn contains(self, other: Self) -> bool {
        self.from <= other.from && other.to <= self.to
    }
}

/// Civil time, microseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Utc(i64);

impl Utc {
    /// The time so many microseconds after 1970.
    pub const fn from_micros(us: i64) -> Self {
        Self(us)
    }

    /// Microseconds since 1970.
    pub const fn micros(self) -> i64 {
        self.0
    }

    /// Reads RFC 3339, as gpsd and JSON have it (`2026-06-01T08:00:00.000Z`).
    pub fn parse(text: &str) -> Option<Self> {
        Some(Self(chrono::DateTime::parse_from_rfc3339(text).ok()?.timestamp_micros()))
    }

    /// Later by so much; `None` beyond what can be said.
    pub fn checked_add(self, later: Duration) -> Option<Self> {
        self.0.checked_add(i64::try_from(later.as_micros()).ok()?).map(Self)
    }

    /// The stem of a frame's file name, `%Y-%m-%d_%H-%M-%S-%f`: ordered like time itself.
    pub fn file_stem(self) -> String {
        self.format("%Y-%m-%d_%H-%M-%S-%6f")
    }

    /// RFC 3339 with microseconds and `Z`.
    pub fn rfc3339(self) -> String {
        self.format("%Y-%m-%dT%H:%M:%S%.6fZ")
    }

    fn format(self, form: &str) -> String {
        chrono::DateTime::from_timestamp_micros(self.0).unwrap_or_default().format(form).to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_names_sort_like_time() {
        let early = Utc::parse("2026-06-01T08:00:00.000009Z").unwrap();
        let late = early.checked_add(Duration::from_micros(1)).unwrap();
        assert_eq!(early.file_stem(), "2026-06-01_08-00-00-000009");
        assert!(early.file_stem() < late.file_stem());
    }

    #[test]
    fn intervals_that_only_touch_do_not_overlap() {
        let at = Instant::from_nanos;
        let first = Interval { from: at(10), to: at(20) };
        assert!(!first.overlaps(Interval { from: at(20), to: at(30) }));
        assert!(first.overlaps(Interval { from: at(19), to: at(30) }));
    }

    #[test]
    fn the_far_future_does_not_wrap_around() {
        assert!(Instant::from_nanos(5) + Duration::MAX > Instant::from_nanos(5));
        assert_eq!(Utc::from_micros(i64::MAX).checked_add(Duration::from_secs(1)), None);
    }
}
