//! LM36011 LED driver on I2C (Texas Instruments SNVSAN4). Knows registers and no instrument.

use embedded_hal::i2c::I2c;

/// Its address, seven bits.
pub const ADDRESS: u8 = 0x64;

/// Registers that are used, with their addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
#[expect(missing_docs, reason = "the datasheet's own names")]
pub enum Register {
    Enable = 0x01,
    Flash = 0x03,
    Torch = 0x04,
    Flags = 0x05,
    DeviceId = 0x06,
}

/// ENABLE: standby, the input voltage monitor as after a reset.
const STANDBY: u8 = 0x20;
/// ENABLE: torch.
const TORCH: u8 = STANDBY | 0b10;
/// ENABLE: flash while the strobe pin is high (bit 2 lets the pin decide, bit 3 would make it an edge).
const STROBED_FLASH: u8 = STANDBY | 0b111;
/// DEVICE_ID bit 7: reset.
const RESET: u8 = 1 << 7;
/// Largest torch code, 7 bits: 376 mA.
const MOST: u8 = 0x7F;

/// Torch current to its code, as instruments in the field have it: 0.34 a milliampere, rounded down.
pub fn code(microamperes: u32) -> u8 {
    u8::try_from(u64::from(microamperes) * 34 / 100_000).unwrap_or(MOST).min(MOST)
}

/// Flash current to the nearest code: 11 mA, and 11.725 mA more for each (LED_FLASH register).
pub fn flash_code(microamperes: u32) -> u8 {
    let above = microamperes.saturating_sub(11_000);
    u8::try_from((above + 11_725 / 2) / 11_725).unwrap_or(MOST).min(MOST)
}

/// The driver on its bus.
pub struct Lm36011<I2C> {
    i2c: I2C,
}

impl<I2C: I2c> Lm36011<I2C> {
    /// Touches nothing.
    pub fn new(i2c: I2C) -> Self {
        Self { i2c }
    }

    /// Brings back what it powers up with: dark.
    ///
    /// # Errors
    /// The bus.
    pub fn reset(&mut self) -> Result<(), I2C::Error> {
        self.write(Register::DeviceId, RESET)
    }

    /// Dark.
    ///
    /// # Errors
    /// The bus.
    pub fn standby(&mut self) -> Result<(), I2C::Error> {
        self.write(Register::Enable, STANDBY)
    }

    /// Shines with the current of a code, 0 (2.4 mA) to 127 (376 mA).
    ///
    /// # Errors
    /// The bus.
    pub fn torch(&mut self, code: u8) -> Result<(), I2C::Error> {
        self.write(Register::Torch, code.min(MOST))?;
        self.write(Register::Enable, TORCH)
    }

    /// Shines with the current of a flash code, 0 (11 mA) to 127 (1.5 A), while the strobe pin is high: no ramp, and no
    /// longer than the flash time-out (600 ms after a reset).
    ///
    /// # Errors
    /// The bus.
    pub fn strobe(&mut self, code: u8) -> Result<(), I2C::Error> {
        self.write(Register::Flash, code.min(MOST))?;
        self.write(Register::Enable, STROBED_FLASH)
    }

    /// What a register holds.
    ///
    /// # Errors
    /// The bus.
    pub fn read(&mut self, register: Register) -> Result<u8, I2C::Error> {
        let mut byte = [0];
        self.i2c.write_read(ADDRESS, &[register as u8], &mut byte)?;
        Ok(byte[0])
    }

    fn write(&mut self, register: Register, value: u8) -> Result<(), I2C::Error> {
        self.i2c.write(ADDRESS, &[register as u8, value])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_current_has_the_code_of_the_field() {
        assert_eq!([0, 3_000, 10_000, 20_000, 500_000].map(code), [0, 1, 3, 6, 127]);
        assert_eq!([0, 11_000, 16_000, 20_000, 2_000_000].map(flash_code), [0, 0, 0, 1, 127]);
    }
}
