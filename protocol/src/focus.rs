//! The focusing stage: distances and heights.

use crate::motion;
use crate::units::{Micrometres, MicrometresPerSecond};

/// Where to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// By a distance from where it is; up is positive.
    By(Micrometres),
    /// To a height above where it was switched on.
    To(Micrometres),
}

/// A move of the stage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Move {
    /// Where to.
    pub target: Target,
    /// Greater than zero.
    pub speed: MicrometresPerSecond,
}

/// An order to the stage.
pub type Command = motion::Command<Move>;
/// What came of it.
pub type Event = motion::Event<Refusal>;

/// Why the stage was not moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It is moving.
    #[error("the stage is moving; wait for its end or stop it")]
    Busy,
    /// An acquisition moves it.
    #[error("an acquisition is running; stop it or wait for its end")]
    Acquiring,
    /// A stop came after it.
    #[error("a stop came after this command")]
    Stopped,
    /// Nothing to do would be answered as done; a distance of zero is a mistake.
    #[error("the distance is zero: nothing to move")]
    NoDistance,
    /// Not a speed this stage can do.
    #[error("the speed {0} is less than 1 um/s")]
    Speed(MicrometresPerSecond),
    /// It would leave the stage's travel.
    #[error(
        "the stage would be {height} from where it was switched on; no zero is declared, so it may not leave {lowest} to {highest}"
    )]
    BeyondTravel {
        /// Where it would end.
        height: Micrometres,
        /// Lowest height that is allowed.
        lowest: Micrometres,
        /// Highest height that is allowed.
        highest: Micrometres,
    },
}
