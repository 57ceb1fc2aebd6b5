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

/// The clock of a motor's driver, as its moves have shown it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChipClock {
    /// Nominally 12 MHz.
    pub hz: u32,
    /// More or less.
    pub within_hz: u32,
}

impl std::fmt::Display for ChipClock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:.3} MHz", f64::from(self.hz) / 1e6)
    }
}

/// Those of both motors; `None` before the first move.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ChipClocks {
    /// The pump's.
    pub pump: Option<ChipClock>,
    /// The stage's.
    pub focus: Option<ChipClock>,
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
