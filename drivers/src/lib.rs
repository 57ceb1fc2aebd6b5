//! The hardware that is: chips, devices made of them, and the two seams behind which an instrument can be replaced,
//! [`board::Board`] and [`disk::Disk`].
//!
//! Chips know registers and no instrument; devices know the instrument and no register. Nothing here waits: a device
//! says when it wants to be asked again.

pub mod board;
pub mod calibration;
pub mod chrony;
pub mod clock;
pub mod disk;
pub mod gpsd;
pub mod linux;
pub mod scheduling;
pub mod stop;

/// Chips, named as on their package.
pub mod chips {
    pub mod lm36011;
    pub mod mcp4725;
    pub mod rv3028;
    pub mod ssd1680;
    pub mod tmc5160;
}

/// What the instrument is made of.
pub mod devices {
    pub mod axis;
    pub mod bubbler;
    pub mod camera;
    pub mod display;
    pub mod eeprom;
    pub mod focus;
    pub mod light;
    pub mod motor;
    pub mod oscillator;
    pub mod position;
    pub mod pump;
    pub mod rtc;
}

pub use board::Board;
pub use clock::Clock;
pub use disk::Disk;
