//! The lamp: a level between dark and full.

use crate::units::Fraction;
use crate::{Fault, Interval};

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
    /// Be dark but for pulses of the level that it has, or shine on when they are over.
    Strobe(Strobe),
    /// Shine in this interval, by orders on the lamp's bus.
    Pulse(Interval),
}

/// Who makes a lamp's pulses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strobe {
    /// A pin; the lamp only gets ready for it. At this level.
    Pin(Fraction),
    /// The lamp itself, over its bus. At this level.
    Bus(Fraction),
    /// Nobody any more; it has this level again.
    Off(Fraction),
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The lamp is at this level.
    Level(Fraction),
    /// It was dark, but for some time within this interval.
    Pulsed(Interval),
    /// The level was not saved; the lamp is as it was.
    NotSaved(String),
    /// The level is not known.
    Failed(Fault),
}
