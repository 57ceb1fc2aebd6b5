//! MCP4725 12-bit digital-to-analogue converter on I2C (Microchip DS22039D). Knows registers and no instrument.

use embedded_hal::i2c::I2c;

/// Full scale.
pub const MOST: u16 = 4095;

/// The converter on its bus.
pub struct Mcp4725<I2C> {
    i2c: I2C,
    address: u8,
}

impl<I2C: I2c> Mcp4725<I2C> {
    /// Touches nothing. `address`: 0x60 to 0x67, seven bits.
    pub fn new(i2c: I2C, address: u8) -> Self {
        Self { i2c, address }
    }

    /// Sets the output by the fast write command: two bytes, 0.2 ms at 100 kHz (figure 6-1). The EEPROM, and with it
    /// what it powers up with, stays as it is.
    ///
    /// # Errors
    /// The bus.
    pub fn set(&mut self, value: u16) -> Result<(), I2C::Error> {
        let [high, low] = value.min(MOST).to_be_bytes();
        self.i2c.write(self.address, &[high, low])
    }

    /// What the output is set to: bits 12..1 of the second and third byte that it sends (figure 6-3).
    ///
    /// # Errors
    /// The bus.
    pub fn value(&mut self) -> Result<u16, I2C::Error> {
        let mut bytes = [0; 3];
        self.i2c.read(self.address, &mut bytes)?;
        Ok(u16::from_be_bytes([bytes[1], bytes[2]]) >> 4)
    }
}
