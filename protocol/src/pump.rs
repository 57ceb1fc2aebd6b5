//! The pump: volumes at a flow rate.

use crate::motion;
use crate::units::{Nanolitres, NanolitresPerSecond};

/// A stroke.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Move {
    /// Negative pumps backwards. Not zero.
    pub volume: Nanolitres,
    /// How fast at most, greater than zero: a pump that cannot do it does what it can, and small strokes never reach it
    /// (the ramp is shorter).
    pub flow: NanolitresPerSecond,
}

/// An order to the pump.
pub type Command = motion::Command<Move>;
/// What came of it.
pub type Event = motion::Event<Refusal>;

/// An order about the pump's calibration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Calibration {
    /// Say it.
    Get,
    /// Thousandths of full steps for a millilitre, from now on.
    Set(u32),
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Calibrated {
    /// Thousandths of full steps for a millilitre.
    Is(u32),
    /// The new value is in force and kept.
    Set(u32),
    /// It stays as it was.
    Refused(Refusal),
    /// It stays as it was, because it could not be kept.
    Failed(String),
}

/// Why a stroke was not begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Another stroke is under way.
    #[error("the pump is moving; wait for its end or stop it")]
    Busy,
    /// An acquisition moves it.
    #[error("an acquisition is running; stop it or wait for its end")]
    Acquiring,
    /// A stop came after it.
    #[error("a stop came after this command")]
    Stopped,
    /// No volume.
    #[error("the volume is zero: nothing to pump")]
    NoVolume,
    /// None that any pump can do.
    #[error("the flow rate {0} is less than 1 nL/s")]
    Flow(NanolitresPerSecond),
    /// More than the motion controller can count in one stroke.
    #[error("the volume {volume} is beyond {most} nL in one stroke")]
    Volume {
        /// What was asked.
        volume: Nanolitres,
        /// nL, in either direction.
        most: i64,
    },
}
