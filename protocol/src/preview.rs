//! The live picture: the camera streams while somebody looks, and for no longer.

use crate::Fault;
use std::time::Duration;

/// The longest that a camera streams for viewers who say nothing more; who looks longer says so again.
pub const LONGEST: Duration = Duration::from_secs(60);

/// An order about the live picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// Somebody looks for so long from now on; for no time: nobody does any more.
    Watch {
        /// From now on.
        lasts: Duration,
    },
    /// Say whether somebody looks.
    Report,
}

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// The camera streams for viewers.
    On {
        /// For how long from now.
        left: Duration,
    },
    /// It does not.
    Off,
    /// It cannot.
    Failed(Fault),
}
