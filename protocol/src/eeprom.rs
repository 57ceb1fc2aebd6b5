//! What the board's EEPROM says: which instrument this is, and how long its LED has been lit.

use std::sync::Arc;
use std::time::Duration;

/// Who the instrument is, as far as its maker wrote it down.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Identity {
    /// The board's maker.
    pub vendor: Arc<str>,
    /// Which board.
    pub product: Arc<str>,
    /// The instrument's.
    pub serial_number: Option<Arc<str>>,
    /// As in `v3.0`.
    pub hardware_version: Option<Arc<str>>,
    /// Of the content.
    pub eeprom_version: Option<Arc<str>>,
    /// How long the LED has been lit, all in all.
    pub led_operating_time: Option<Duration>,
}

/// An order to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// Keep how long the LED has been lit.
    Keep(Duration),
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// It was opened, and this is what it says.
    Read(Result<Identity, Unreadable>),
    /// What was to be kept is kept.
    Kept,
    /// It still says what it said before.
    NotKept(NotKept),
}

/// Why nothing can be learnt from what it holds.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// Nobody has written anything: PlanktoScopes of before version 3.
    #[error("it is blank")]
    Blank,
    /// It begins otherwise than a board's EEPROM.
    #[error("it begins with {0:02x?} instead of R-Pi")]
    Signature([u8; 4]),
    /// A format that is not known.
    #[error("its format has version {0}; 1 and 2 are known")]
    Version(u8),
    /// It says that it is longer than there is room, or too short for its own beginning.
    #[error("it says that it is {said} bytes long; expected {least} to {most}")]
    Length {
        /// Bytes.
        said: u32,
        /// Bytes of its beginning.
        least: usize,
        /// Bytes of the chip.
        most: usize,
    },
    /// A part says that it is longer than what is left, or too short for its own check sum.
    #[error("its part {number} says that it is {said} bytes long; {left} are left")]
    AtomLength {
        /// Counted from 0.
        number: u16,
        /// Bytes.
        said: u32,
        /// Bytes.
        left: usize,
    },
    /// A part has another part's number.
    #[error("its part {expected} says that it is part {found}")]
    AtomNumber {
        /// Counted from 0.
        expected: u16,
        /// What it says.
        found: u16,
    },
    /// A part is not as it was written.
    #[error(
        "its part {number} has the check sum {found:#06x} instead of {expected:#06x}; it was not written to its end, or is worn out"
    )]
    CheckSum {
        /// Counted from 0.
        number: u16,
        /// What follows from its bytes.
        expected: u16,
        /// What it says.
        found: u16,
    },
    /// There is more than its parts.
    #[error("{0} bytes are left over behind its last part")]
    LeftOver(usize),
    /// No part says whose board it is, or it is too short.
    #[error("no part says who made the board")]
    NoVendor,
    /// The maker's own part is not what PlanktoScopes have there.
    #[error("the maker's own part is no JSON that can be used: {0}")]
    Json(Arc<str>),
}

/// Why something was not kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotKept {
    /// Nothing is written over what is not understood.
    #[error("the EEPROM has no part for it")]
    NoPlace,
    /// Every change is made in a second copy first, so that a power cut never leaves none: half of the chip is for that.
    #[error("the EEPROM has no room for a second copy of its content")]
    NoRoom,
    /// It was written, and was not there afterwards.
    #[error("the EEPROM does not take what is written; its write protection may be on")]
    NotTaken,
    /// Something else is being written.
    #[error("the EEPROM is being written")]
    Busy,
}
