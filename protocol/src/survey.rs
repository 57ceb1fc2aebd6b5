//! What the instrument knows of itself, told when somebody asks.

use crate::Instant;
use crate::camera::Mode;
use crate::eeprom::Identity;
use crate::motion::ChipClocks;
use crate::position::Fix;
use crate::timekeeping::Anchor;
use crate::units::{Fraction, Micrometres};
use std::sync::Arc;

/// All of it, at one instant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Survey {
    /// When.
    pub at: Instant,
    /// What time it is, and how that is known.
    pub time: Anchor,
    /// How often the computer's clock was set since the start.
    pub steps: u32,
    /// The newest fix with a place.
    pub fix: Option<Fix>,
    /// The stage's height above where it was switched on.
    pub height: Micrometres,
    /// Whether that height is in doubt, because the stage was cut off in mid-move.
    pub height_uncertain: bool,
    /// What the lamp was last set to; `None` if that is not known.
    pub light: Option<Fraction>,
    /// How the camera takes pictures, as it last said.
    pub camera: Option<Mode>,
    /// The clocks of the motors' drivers.
    pub clocks: ChipClocks,
    /// Which instrument it is.
    pub who: Who,
}

/// Which instrument it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Who {
    /// The machine's name.
    pub name: Arc<str>,
    /// As in `v3.0`; `None` if nobody knows.
    pub hardware: Option<Arc<str>>,
    /// What its EEPROM says, if that can be read.
    pub identity: Option<Identity>,
    /// What is wrong with its EEPROM.
    pub trouble: Option<Arc<str>>,
}
