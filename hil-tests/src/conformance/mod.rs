//! What a chip must do, whether it is real or a model: each suite is written against embedded-hal and a bench, and a
//! bench is anything on which time passes. A check that needs what a bench has not is skipped, and says why.

pub mod at24c32;
pub mod camera;
pub mod lm36011;
pub mod mcp4725;
pub mod rtc;
pub mod ssd1680;
pub mod tmc5160;

use planktor_protocol::Instant;
use std::time::Duration;

/// Where a chip lies.
pub trait Bench {
    /// Now.
    fn now(&self) -> Instant;
    /// Lets time pass.
    fn pass(&mut self, time: Duration);
}

/// What became of a check that did not fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It holds.
    Passed,
    /// The bench has not what it needs.
    Skipped(&'static str),
}

/// A check, with what it says as a sentence.
pub type Check<B> = (&'static str, fn(&mut B) -> Outcome);

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}
