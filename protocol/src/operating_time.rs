//! How long the LED has been lit, all in all: it ages.

/// An order to whoever counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// Say it.
    Get,
    /// The LED was replaced.
    Reset,
    /// It was lit for so many seconds more than was counted.
    Increment(u64),
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Whole seconds.
    Seconds(u64),
    /// It could not be kept; it counts on from what it was.
    Failed(String),
}
