//! The lamp: a level between dark and full.

use crate::Fault;
use crate::units::Fraction;

/// An order to the lamp.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// To this level; zero is off.
    Set(Fraction),
    /// To the level that was saved; full, if none was.
    On,
    /// The level that it has is the one for `On` from now on, also after the next start. It always starts dark.
    Save,
    /// Say what it is.
    Report,
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The lamp is at this level.
    Level(Fraction),
    /// The level was not saved; the lamp is as it was.
    NotSaved(String),
    /// The level is not known.
    Failed(Fault),
}
