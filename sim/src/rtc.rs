//! The battery-backed clock that somebody may have added to the slow bus.

use crate::chips::{ds3231, rv3028};
use crate::instrument::RtcChip;
use planktor_protocol::{Instant, Utc};

/// One of two chips.
#[derive(Debug)]
pub enum Rtc {
    /// A DS3231.
    Ds3231(ds3231::Model),
    /// An RV-3028-C7.
    Rv3028(rv3028::Model),
}

impl Rtc {
    /// One that was set right, and whose battery has held.
    pub(crate) fn new(chip: RtcChip, utc: Utc, now: Instant) -> Self {
        match chip {
            RtcChip::Ds3231 => Self::Ds3231(ds3231::Model::new(utc, now)),
            RtcChip::Rv3028 => Self::Rv3028(rv3028::Model::new(utc, now)),
        }
    }

    /// Where it is on the bus: DS3231, "Slave Address Byte"; RV-3028-C7, "Slave address".
    pub(crate) fn address(&self) -> u8 {
        match self {
            Self::Ds3231(_) => 0x68,
            Self::Rv3028(_) => 0x52,
        }
    }

    pub(crate) fn lose_power(&mut self, now: Instant) {
        match self {
            Self::Ds3231(chip) => chip.lose_power(now),
            Self::Rv3028(chip) => chip.lose_power(now),
        }
    }

    pub(crate) fn write(&mut self, bytes: &[u8], now: Instant) {
        match self {
            Self::Ds3231(chip) => chip.write(bytes, now),
            Self::Rv3028(chip) => chip.write(bytes, now),
        }
    }

    pub(crate) fn read(&mut self, bytes: &mut [u8], now: Instant) {
        match self {
            Self::Ds3231(chip) => chip.read(bytes, now),
            Self::Rv3028(chip) => chip.read(bytes, now),
        }
    }

    /// Whether it says that its time was lost.
    pub fn lost_power(&self) -> bool {
        match self {
            Self::Ds3231(chip) => chip.lost_power(),
            Self::Rv3028(chip) => chip.lost_power(),
        }
    }

    /// What it counts.
    pub fn utc(&self, now: Instant) -> Utc {
        match self {
            Self::Ds3231(chip) => chip.utc(now),
            Self::Rv3028(chip) => chip.utc(now),
        }
    }
}
