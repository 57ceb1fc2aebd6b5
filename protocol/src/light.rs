//! The lamp: a level between dark and full.

use crate::Fault;
use crate::units::Fraction;

/// An order to the lamp.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// To this level; zero is off.
    Set(Fraction),
    /// Say what it is.
    Report,
}

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// The lamp is at this level.
    Level(Fraction),
    /// The level is not known.
    Failed(Fault),
}
