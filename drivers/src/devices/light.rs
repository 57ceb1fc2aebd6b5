//! The lamp of HAT 3.3: its brightness follows the voltage of a converter. Knows no register.

use crate::board::I2c;
use crate::chips::mcp4725::{MOST, Mcp4725};
use planktor_protocol::Fault;
use planktor_protocol::units::Fraction;

/// Where the lamp's converter is on the bus.
pub const ADDRESS: u8 = 0x62;

/// The lamp.
pub struct Light {
    dac: Mcp4725<I2c>,
}

impl Light {
    /// Opens it dark, whatever it powered up with, and reads that back: what does not say so is no such converter.
    ///
    /// # Errors
    /// [`Fault`]: nobody answers, or somebody else.
    pub fn open(i2c: I2c) -> Result<Self, Fault> {
        let mut light = Self { dac: Mcp4725::new(i2c, ADDRESS) };
        light.set(Fraction::ZERO)?;
        match light.dac.value().map_err(|_| Fault::Bus("the lamp"))?.to_be_bytes() {
            [0, 0] => Ok(light),
            [high, _] => Err(Fault::WrongChip { expected: "MCP4725", found: high }),
        }
    }

    /// Sets its level.
    ///
    /// # Errors
    /// [`Fault`]: nobody answers; the lamp may have any level.
    pub fn set(&mut self, level: Fraction) -> Result<(), Fault> {
        let whole = Fraction::ONE.millionths();
        let scaled =
            (u64::from(level.millionths()) * u64::from(MOST) + u64::from(whole / 2)) / u64::from(whole);
        let value = u16::try_from(scaled).unwrap_or(MOST);
        self.dac.set(value).map_err(|_| Fault::Bus("the lamp"))
    }

    /// Dark, as far as its bus works.
    pub fn make_safe(&mut self) {
        let _ = self.set(Fraction::ZERO);
    }
}
