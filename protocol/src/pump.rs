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

/// Acceleration in the unit of the motor's driver (AMAX, TMC5160 datasheet section 12.1): 1 is 65.5 microsteps/s2 or 0.256
/// full steps/s2 at its nominal clock. Slower than the least a pump at full speed would brake for five seconds; the most is
/// far beyond what a stepper motor of this size can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Amax(pub u32);

impl Amax {
    /// Of today's instruments: timid, but no pump is known to stall with it.
    pub const TIMID: Self = Self(2_000);
    /// The least that is allowed.
    pub const LEAST: u32 = 1_000;
    /// The most that is allowed.
    pub const MOST: u32 = 30_000;
}

impl std::fmt::Display for Amax {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "AMAX {} ({:.0} full steps/s2)", self.0, f64::from(self.0) * 0.2558)
    }
}

/// A stroke with another ramp, under the eyes of stallGuard: whether the pump bears it. Fails with
/// [`Fault::Stalled`](crate::Fault) if not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trial {
    /// What is pumped.
    pub stroke: Move,
    /// How fast it accelerates and brakes.
    pub amax: Amax,
}

/// What the pump itself is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stroke {
    /// With the ramp of its calibration.
    Usual(Move),
    /// With another one.
    Trial(Trial),
}

impl From<Move> for Stroke {
    fn from(stroke: Move) -> Self {
        Self::Usual(stroke)
    }
}

/// The ramp that a pump bears, and how that was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ramp {
    /// From now on.
    pub amax: Amax,
    /// The fastest at which it did not stall.
    pub fastest: Amax,
    /// What came out with [`Amax::TIMID`], as somebody measured it.
    pub timid: Nanolitres,
    /// What came out of as many strokes with the new one.
    pub fast: Nanolitres,
}

impl Ramp {
    /// More than a measurement with syringe or scales is off, and less than a pump loses that slips at each stroke.
    const TOLERANCE_PERCENT: i64 = 3;

    /// Whether it may be kept.
    ///
    /// # Errors
    /// It is faster than what the pump bore, or does not pump what the timid one pumped.
    pub fn check(&self) -> Result<(), Refusal> {
        let Self { amax, fastest, timid, fast } = *self;
        if amax > fastest {
            return Err(Refusal::TooFast { amax, fastest });
        }
        let differ = (fast.0 - timid.0).saturating_abs().saturating_mul(100);
        if timid.0 <= 0 || differ > timid.0.saturating_mul(Self::TOLERANCE_PERCENT) {
            return Err(Refusal::VolumesDiffer { timid, fast });
        }
        Ok(())
    }
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
    /// Say how fast it accelerates.
    GetRamp,
    /// Accelerate so from now on.
    SetRamp(Ramp),
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Calibrated {
    /// Thousandths of full steps for a millilitre.
    Is(u32),
    /// The new value is in force and kept.
    Set(u32),
    /// How fast it accelerates; if it was set, that is in force and kept.
    Ramp(Amax),
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
    /// A trial that proves nothing.
    #[error(
        "a stall is seen from {least} on, and this stroke reaches {reaches} with that ramp; try a larger volume or a faster \
         flow"
    )]
    StallUnseen {
        /// The fastest that it becomes.
        reaches: NanolitresPerSecond,
        /// Slower than that a motor's stall cannot be seen.
        least: NanolitresPerSecond,
    },
    /// The ramp to be kept is none that the pump bore.
    #[error("the ramp {amax} is faster than the fastest without a stall, {fastest}; search again")]
    TooFast {
        /// What was to be kept.
        amax: Amax,
        /// What was found.
        fastest: Amax,
    },
    /// The pump loses steps, or somebody has misread a scale.
    #[error(
        "the fast ramp pumped {fast} where the timid one pumped {timid}, more than 3 % apart: steps are lost, or the volumes \
         were measured badly; measure again, or search for a slower ramp"
    )]
    VolumesDiffer {
        /// With the timid ramp.
        timid: Nanolitres,
        /// With the fast one.
        fast: Nanolitres,
    },
    /// More than the motion controller can count in one stroke.
    #[error("the volume {volume} is beyond {most} nL in one stroke")]
    Volume {
        /// What was asked.
        volume: Nanolitres,
        /// nL, in either direction.
        most: i64,
    },
}
