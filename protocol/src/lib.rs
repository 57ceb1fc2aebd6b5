//! What can be said: messages, units, instants, plans. Plain data that imports nothing of ours and does nothing.
//!
//! Every device has a module with its `Command`, `Event` and `Refusal`. Quantities are integers with their unit in
//! the type; floats exist only in [`wire`], where JSON is read and written.

pub mod acquisition;
pub mod bubbler;
pub mod camera;
pub mod display;
pub mod eeprom;
pub mod focus;
pub mod instrument;
pub mod lease;
pub mod library;
pub mod light;
pub mod motion;
pub mod operating_time;
pub mod plan;
pub mod position;
pub mod preview;
pub mod pump;
pub mod quality;
pub mod stop;
pub mod strobe;
pub mod survey;
pub mod time;
pub mod timekeeping;
pub mod units;
pub mod wire;

pub use instrument::Fault;
pub use stop::{Axis, Epochs};
pub use time::{Instant, Interval, Utc};

/// Names one order and everything that comes of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Run(pub u64);

/// A command to a device, under the name that its events will carry, with the stops it was admitted after.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order<C> {
    /// The name its events carry.
    pub run: Run,
    /// The stops that had been given when it was admitted.
    pub epochs: Epochs,
    /// What to do.
    pub command: C,
}

/// What came of an order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report<E> {
    /// The order's name.
    pub run: Run,
    /// What happened.
    pub event: E,
}
