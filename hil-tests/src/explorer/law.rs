//! What must hold, as laws that can be seen to be broken. The numbers are those of ARCHITECTURE.md, "What must hold".

use planktor_protocol::Instant;
use std::fmt;

/// A law.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Law {
    /// 1: no frame of a data set sees anything in motion or before settling is over, but in a flow that is recorded, and there
    /// nothing moves by more than half a pixel; and its record says the truth.
    Still,
    /// 1: a stroke that is done has moved what was asked.
    Exact,
    /// 2: within 2 ms of a stop the motor brakes; the light stays as it was, and is as before when frames were strobed.
    Stops,
    /// 2: a motor whose device is lost has no current; at the end motors and light are off.
    Safe,
    /// 3: whatever a power cut leaves verifies, and no frame that was told is missing.
    Durable,
    /// 4: the stage stays within its travel.
    WithinTravel,
    /// 5: every command is answered, once, in time: to whoever asked and, but for some questions, to everybody.
    Answered,
    /// 6: equal seeds and messages give equal journals.
    Repeatable,
    /// 7: nothing outside the data root is touched.
    Contained,
    /// 8: what is not broken works, and what is mended works again.
    Recovers,
    /// 9: what is published is what clients rely on.
    Contract,
}

/// A law that was broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Which.
    pub law: Law,
    /// When it was seen.
    pub at: Instant,
    /// What was seen.
    pub what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { law, at, what } = self;
        write!(f, "{law:?} is broken at {at:?}: {what}")
    }
}
