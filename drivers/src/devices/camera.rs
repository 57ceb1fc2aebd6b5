//! A camera that free-runs: which frame comes next, and whether it is here.

use planktor_protocol::camera::{Frame, Mode, Settings};
use planktor_protocol::{Fault, Instant, Interval};

/// A frame that is to come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prediction {
    /// The camera's own number.
    pub seq: u64,
    /// First line's start to last line's end.
    pub interval: Interval,
    /// When it should be here.
    pub ready: Instant,
}

/// For camera authors: nothing here waits. A real camera's thread fills a pool; a simulated one answers by the clock.
pub trait Camera {
    /// Whether it can be asked already; a real camera is opened by a thread of its own. `true` unless it says otherwise.
    ///
    /// # Errors
    /// [`Fault`]: why it cannot be opened, or what ended its stream; it is to be dropped and opened again.
    fn ready(&self) -> Result<bool, Fault> {
        Ok(true)
    }
    /// Takes pictures so from the next frame on, or nearly so; says how it will stream.
    ///
    /// # Errors
    /// [`Fault`]: it does not answer.
    fn set(&mut self, settings: Settings) -> Result<Mode, Fault>;
    /// Starts streaming, with at most three frames of memory.
    ///
    /// # Errors
    /// [`Fault`]: it cannot.
    fn open(&mut self) -> Result<Mode, Fault>;
    /// The first frame that begins at or after an instant, from cadence and mode; it may have begun already, if the instant
    /// is over. `None` if it does not stream.
    fn predict(&self, not_before: Instant) -> Option<Prediction>;
    /// The frame with this number, if it is here. Drops all older ones.
    fn take(&mut self, seq: u64) -> Option<Frame>;
    /// Stops streaming and releases its memory.
    fn close(&mut self);
}
