//! Where the instrument is. No fix is no position: neither -90, 0 nor 0, 0 ever stands for one.

use crate::units::Nanodegrees;
use crate::{Instant, Utc};

/// What a receiver knew at one instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fix {
    /// When it arrived, on the monotonic clock.
    pub at: Instant,
    /// The receiver's time, if it had one.
    pub time: Option<Utc>,
    /// Where, if it knew.
    pub place: Option<Place>,
}

/// A place on Earth (WGS 84).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// -90 to 90 degrees, north positive.
    pub latitude: Nanodegrees,
    /// -180 to 180 degrees, east positive.
    pub longitude: Nanodegrees,
    /// Height above the ellipsoid in millimetres, with a three-dimensional fix.
    pub altitude_mm: Option<i64>,
    /// Estimated horizontal error in millimetres (95 %), if the receiver says it.
    pub error_mm: Option<i64>,
}
