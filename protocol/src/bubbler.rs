//! The bubbler: an air pump that keeps the sample mixed.

use crate::Fault;

/// An order to the bubbler.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// On or off.
    Set(bool),
    /// Say what it does.
    Report,
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// It bubbles, or not.
    Bubbling(bool),
    /// What it does is not known.
    Failed(Fault),
}
