//! Where the instrument is. No fix is no position: neither -90, 0 nor 0, 0 ever stands for one.

use crate::units::Nanodegrees;
use crate::{Instant, Utc};
use std::time::Duration;

/// A place is stale when it is older than this: receivers say once a second where they are, and ten seconds without a
/// word are no hiccup.
pub const STALE: Duration = Duration::from_secs(10);

/// So near to a placeholder everything is one: some centimetres.
const NEAR: i64 = 1_000;

/// What a receiver knew at one instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fix {
    /// When it arrived, on the monotonic clock.
    pub at: Instant,
    /// The receiver's time, if it had one.
    pub time: Option<Utc>,
    /// How wrong that may be, if the receiver says it. What the report took to arrive is not in it.
    pub time_error: Option<Duration>,
    /// Where, if it knew.
    pub place: Option<Place>,
}

/// How much of a place a receiver knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// No height: too few satellites, or the receiver does not say it.
    TwoDimensional,
    /// Its height, too.
    ThreeDimensional,
}

impl Mode {
    /// As it is written down.
    pub fn word(self) -> &'static str {
        match self {
            Self::TwoDimensional => "2d",
            Self::ThreeDimensional => "3d",
        }
    }
}

/// A place on Earth (WGS 84).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// How much is known of it.
    pub mode: Mode,
    /// -90 to 90 degrees, north positive.
    pub latitude: Nanodegrees,
    /// -180 to 180 degrees, east positive. At a pole it may be anything.
    pub longitude: Nanodegrees,
    /// Height above the ellipsoid in millimetres, with a three-dimensional fix.
    pub altitude_mm: Option<i64>,
    /// Estimated horizontal error in millimetres (95 %), if the receiver says it.
    pub error_mm: Option<i64>,
    /// Estimated vertical error in millimetres (95 %), if the receiver says it.
    pub vertical_error_mm: Option<i64>,
}

impl Place {
    /// Whether it can be one. Neither 0, 0 nor -90, 0 is: both are what software writes that does not know.
    pub fn is_possible(&self) -> bool {
        Self::is_possible_at(self.latitude, self.longitude)
    }

    /// The same of a place of which no more is known.
    pub fn is_possible_at(Nanodegrees(latitude): Nanodegrees, Nanodegrees(longitude): Nanodegrees) -> bool {
        let on_earth = latitude.abs() <= 90_000_000_000 && longitude.abs() <= 180_000_000_000;
        let placeholder =
            longitude.abs() < NEAR && (latitude.abs() < NEAR || (latitude + 90_000_000_000).abs() < NEAR);
        on_earth && !placeholder
    }
}

impl Fix {
    /// Whether what it says is old by then.
    pub fn is_stale(&self, now: Instant) -> bool {
        now - self.at > STALE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(latitude: i64, longitude: i64) -> Place {
        Place {
            mode: Mode::TwoDimensional,
            latitude: Nanodegrees(latitude),
            longitude: Nanodegrees(longitude),
            altitude_mm: None,
            error_mm: None,
            vertical_error_mm: None,
        }
    }

    #[test]
    fn placeholders_are_no_place_and_the_ends_of_the_earth_are() {
        const DEGREE: i64 = 1_000_000_000;
        for (latitude, longitude) in [
            (0, 0),
            (999, -999),
            (-90 * DEGREE, 0),
            (1 - 90 * DEGREE, 1),
            (90 * DEGREE + 1, 5),
            (1, 181 * DEGREE),
        ] {
            assert!(!place(latitude, longitude).is_possible(), "{latitude} {longitude}");
        }
        for (latitude, longitude) in [
            (90 * DEGREE, 0),
            (90 * DEGREE, -77 * DEGREE),
            (-90 * DEGREE, 5 * DEGREE),
            (10, 180 * DEGREE),
            (10, -180 * DEGREE),
            (0, 1_000),
        ] {
            assert!(place(latitude, longitude).is_possible(), "{latitude} {longitude}");
        }
    }

    #[test]
    fn a_fix_is_stale_after_ten_seconds() {
        let fix = Fix { at: Instant::ZERO, time: None, time_error: None, place: None };
        assert!(!fix.is_stale(Instant::ZERO + STALE));
        assert!(fix.is_stale(Instant::ZERO + STALE + Duration::from_nanos(1)));
    }
}
