//! The bubbler: an air pump behind an MCP4725, whose voltage sets how hard it works. Knows no register.

use crate::board::{ConverterLine, I2c};
use crate::chips::mcp4725::{MOST, Mcp4725};
use planktor_protocol::Fault;
use planktor_protocol::units::Fraction;

/// The bubbler.
pub struct Bubbler(Mcp4725<I2c>);

impl Bubbler {
    /// Opens it at rest, whatever it powered up with, and reads that back.
    ///
    /// # Errors
    /// [`Fault`]: nobody answers, or somebody else.
    pub fn open(line: ConverterLine) -> Result<Self, Fault> {
        let mut dac = Mcp4725::new(line.i2c, line.address);
        dac.set(0).map_err(silent)?;
        match dac.value().map_err(silent)?.to_be_bytes() {
            [0, 0] => Ok(Self(dac)),
            [high, _] => Err(Fault::WrongChip { expected: "MCP4725", found: high }),
        }
    }

    /// How hard it works; zero is rest.
    ///
    /// # Errors
    /// [`Fault`]: nobody answers; it does what it did, or not.
    pub fn set(&mut self, strength: Fraction) -> Result<(), Fault> {
        self.0.set(strength.of(MOST)).map_err(silent)
    }

    /// At rest.
    pub fn make_safe(&mut self) {
        let _ = self.set(Fraction::ZERO);
    }
}

fn silent<E>(_: E) -> Fault {
    Fault::Bus("the bubbler")
}
