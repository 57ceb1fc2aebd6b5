//! The hardware that is not there: chips as their datasheets describe them, in a world with water, light, plankton
//! and a sky. A second, independent reading: nothing here knows a driver's registers or constants.
//!
//! The twin never ticks. Between bus writes everything is a closed form of time, so it costs nothing while nothing
//! happens, and a camera can look back at an exposure that is over.

pub mod board;
mod calendar;
mod camera;
pub mod chips {
    //! Register models behind embedded-hal.
    pub mod at24c32;
    pub mod ds3231;
    pub mod imx477;
    pub mod lm36011;
    pub mod mcp4725;
    pub mod rv3028;
    pub mod ssd1680;
    pub mod tmc5160;
}
pub mod disk;
mod driven;
pub mod faults;
pub mod gpsd;
pub mod instrument;
mod lamp;
mod line;
pub mod nameplate;
pub mod parameters;
mod particles;
pub mod plankton;
pub mod random;
pub mod render;
pub mod rtc;
pub mod scene;
mod sky;
pub mod world;

pub use board::Twin;
pub use faults::Fault;
pub use instrument::{Hat, Preset, RtcChip};
pub use lamp::Lamp;
pub use parameters::Parameters;
pub use world::Settings;
