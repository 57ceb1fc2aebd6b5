//! What pump and stage have in common for whoever moves them.

use planktor_protocol::{Axis, Epochs, Fault, Instant};
use std::time::Duration;

/// Why a move did not start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StartError<R> {
    /// It was not begun.
    Refused(R),
    /// Something is wrong.
    Fault(Fault),
}

impl<R> From<Fault> for StartError<R> {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

impl<R> StartError<R> {
    /// The same in another device's words.
    pub fn refused_as<S>(self, word: impl FnOnce(R) -> S) -> StartError<S> {
        match self {
            Self::Refused(refusal) => StartError::Refused(word(refusal)),
            Self::Fault(fault) => StartError::Fault(fault),
        }
    }
}

/// What a look at a moving motor found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    /// It has reached its target, at most so long ago.
    Reached(Duration),
    /// Not yet; look again then.
    Again(Instant),
}

/// When a move is expected to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expected {
    /// The likely end.
    pub until: Instant,
    /// Its earliest possible end: the first instant at which looking makes sense.
    pub look: Instant,
}

/// A device that makes one move at a time.
pub trait Motor: 'static {
    /// What it can be asked.
    type Move: Copy + Send;
    /// Why it may not do it.
    type Refusal: Send;

    /// Which it is.
    const AXIS: Axis;
    /// What it says to a move while it makes another one.
    const BUSY: Self::Refusal;
    /// What it says to a move that a stop came after.
    const STOPPED: Self::Refusal;

    /// One step of opening, at most 0.3 ms; `true` when it is open.
    ///
    /// # Errors
    /// [`Fault`]: nobody answers, or somebody else.
    fn open(&mut self) -> Result<bool, Fault>;

    /// Starts a move; `now` is the clock.
    ///
    /// # Errors
    /// [`StartError::Refused`] when it cannot be done or a stop came in between: then nothing moves.
    fn start(
        &mut self,
        order: Self::Move,
        admitted: Epochs,
        now: impl Fn() -> Instant,
    ) -> Result<Expected, StartError<Self::Refusal>>;

    /// Whether the move is over; `now` is the clock.
    ///
    /// # Errors
    /// [`Fault`]: it is too late, or the chip says why not.
    fn look(&mut self, now: impl Fn() -> Instant) -> Result<Look, Fault>;

    /// Clears that a move has ended, so that the driver can call at the end of the next one.
    ///
    /// # Errors
    /// [`Fault`]: nobody answers.
    fn acknowledge(&mut self) -> Result<(), Fault>;

    /// Ramps down. Right at any time.
    ///
    /// # Errors
    /// [`Fault`]: nobody answers.
    fn brake(&mut self) -> Result<(), Fault>;

    /// After [`Motor::brake`]: whether it stands; then its current is taken away.
    ///
    /// # Errors
    /// [`Fault`]: nobody answers.
    fn release(&mut self) -> Result<bool, Fault>;

    /// Off: first by what works when the bus does not.
    fn make_safe(&mut self);
}
