//! What every motor can be asked and can answer; pump and focus differ in their `Move` and `Refusal` only.

use crate::{Fault, Instant};

/// An order to a motor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command<M> {
    /// Move, once.
    Move(M),
    /// Ramp down wherever it is; right also when it stands.
    Stop,
}

/// What came of it. A move ends in exactly one of `Done`, `Interrupted`, `Refused`, `Failed`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event<R> {
    /// The motor was told to move at `from` and is expected to stand at `until`.
    Started {
        /// Before the write that started it.
        from: Instant,
        /// From the ramp and the chip's clock as far as it is known.
        until: Instant,
    },
    /// The chip confirmed the end at this instant.
    Done(Instant),
    /// A stop was sent; the motor brakes.
    Interrupted,
    /// After that: it stands, and its current is off.
    Released,
    /// It was not begun.
    Refused(R),
    /// It failed; where the motor is, is not known.
    Failed(Fault),
}
