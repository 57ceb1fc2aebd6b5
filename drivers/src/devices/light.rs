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
    /// Opens it dark, whatever it powered up with.
    ///
    /// # Errors
    /// [`Fault`]: nobody answers.
    pub fn open(i2c: I2c) -> Result<Self, Fault> {
        let mut light = Self { dac: Mcp4725::new(i2c, ADDRESS) };
        light.set(Fraction::ZERO)?;
        Ok(light)
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

    /// What the chip says its level is.
    ///
    /// # Errors
    /// [`Fault`]: nobody answers.
    pub fn level(&mut self) -> Result<Fraction, Fault> {
        let value = self.dac.value().map_err(|_| Fault::Bus("the lamp"))?;
        let millionths = u64::from(value) * u64::from(Fraction::ONE.millionths()) / u64::from(MOST);
        Ok(u32::try_from(millionths).ok().and_then(Fraction::from_millionths).unwrap_or(Fraction::ONE))
    }

    /// Dark, as far as its bus works.
    pub fn make_safe(&mut self) {
        let _ = self.set(Fraction::ZERO);
    }
}
