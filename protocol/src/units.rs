//! Quantities: integers with the unit in their type.

use std::fmt;

macro_rules! unit {
    ($(#[$doc:meta])* $name:ident, $suffix:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
        pub struct $name(pub i64);
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{} {}", self.0, $suffix)
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(self, f)
            }
        }
    };
}

unit!(
    /// A volume; negative is backwards, out of the flow cell.
    Nanolitres,
    "nL"
);
unit!(
    /// A flow rate.
    NanolitresPerSecond,
    "nL/s"
);
unit!(
    /// A length or a height of the stage; up is positive.
    Micrometres,
    "um"
);
unit!(
    /// A speed of the stage.
    MicrometresPerSecond,
    "um/s"
);
unit!(
    /// An angle of latitude or longitude: 1e-9 degree, a tenth of a millimetre on the ground.
    Nanodegrees,
    "ndeg"
);

/// A part of a whole, 0 to 1 in millionths.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Fraction(u32);

impl Fraction {
    /// Nothing of it.
    pub const ZERO: Self = Self(0);
    /// All of it.
    pub const ONE: Self = Self(1_000_000);

    /// So many millionths; more than a whole is `None`.
    pub const fn from_millionths(n: u32) -> Option<Self> {
        if n <= Self::ONE.0 { Some(Self(n)) } else { None }
    }

    /// This part of a number, rounded.
    #[expect(clippy::cast_possible_truncation, reason = "a part of a u16 is a u16")]
    pub const fn of(self, whole: u16) -> u16 {
        ((self.0 as u64 * whole as u64 + Self::ONE.0 as u64 / 2) / Self::ONE.0 as u64) as u16
    }

    /// Millionths, 0 to 1,000,000.
    pub const fn millionths(self) -> u32 {
        self.0
    }
}
