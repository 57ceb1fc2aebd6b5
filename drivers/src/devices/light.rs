//! The lamp: a level between dark and full, on whichever chip the board has for it. Knows no register.

use crate::board::{I2c, LampLine, Output};
use crate::chips::lm36011::{self, Lm36011};
use crate::chips::mcp4725::{MOST, Mcp4725};
use planktor_protocol::Fault;
use planktor_protocol::units::Fraction;
use std::time::Duration;

/// Current of HAT 1.2's lamp at its full level, uA (PlanktoScope).
const FULL_UA: u16 = 20_000;

/// A write of two bytes with its address at 100 kHz: light follows an order over the bus by so much.
pub const OVER_THE_BUS: Duration = Duration::from_micros(280);
/// Shortest pulse by two writes, one after the other.
pub const SHORTEST_BY_BUS: Duration = Duration::from_micros(300);
/// After an order to be dark has reached the lamp there may be light for so long: an assumption about a current source and
/// its LED, to be measured with a photodiode.
pub const AFTERGLOW: Duration = Duration::from_micros(30);
/// LM36011: a torch ramps for a millisecond (CONFIGURATION bit 0, as after a reset), and takes one write more.
const TORCH_RAMPS: Duration = Duration::from_micros(1_300);

/// The lamp.
pub struct Light(Chip);

enum Chip {
    /// Brightness follows the converter's voltage.
    Converter(Mcp4725<I2c>),
    /// A driver of LEDs, and the pin that selects ours.
    Driver { driver: Lm36011<I2c>, select: Output },
}

impl Light {
    /// Opens it dark, whatever it powered up with, and reads that back: what does not say so is no such chip.
    ///
    /// # Errors
    /// [`Fault`]: nobody answers, or somebody else.
    pub fn open(line: LampLine) -> Result<Self, Fault> {
        match line {
            LampLine::Converter(line) => {
                let mut dac = Mcp4725::new(line.i2c, line.address);
                dac.set(0).map_err(silent)?;
                match dac.value().map_err(silent)?.to_be_bytes() {
                    [0, 0] => Ok(Self(Chip::Converter(dac))),
                    [high, _] => Err(Fault::WrongChip { expected: "MCP4725", found: high }),
                }
            }
            LampLine::Driver { i2c, mut select } => {
                select.set(false);
                let mut driver = Lm36011::new(i2c);
                driver.reset().map_err(silent)?;
                driver.standby().map_err(silent)?;
                match driver.read(lm36011::Register::Torch).map_err(silent)? {
                    0 => Ok(Self(Chip::Driver { driver, select })),
                    found => Err(Fault::WrongChip { expected: "LM36011", found }),
                }
            }
        }
    }

    /// Sets its level. A driver has few steps; any level above zero is light.
    ///
    /// # Errors
    /// [`Fault`]: nobody answers; the lamp may have any level.
    pub fn set(&mut self, level: Fraction) -> Result<(), Fault> {
        match &mut self.0 {
            Chip::Converter(dac) => dac.set(level.of(MOST)).map_err(silent),
            Chip::Driver { driver, select } if level == Fraction::ZERO => {
                select.set(false);
                driver.standby().map_err(silent)
            }
            Chip::Driver { driver, select } => {
                driver.torch(lm36011::code(level.of(FULL_UA).into())).map_err(silent)?;
                select.set(true);
                Ok(())
            }
        }
    }

    /// Dark, and ready for the strobe pin: with it high it shines at this level, or the nearest that a flash has. A
    /// driver's flash has two steps below the instrument's full light.
    ///
    /// # Errors
    /// [`Fault`]: nobody answers, or this lamp has no such pin.
    pub fn arm(&mut self, level: Fraction) -> Result<(), Fault> {
        match &mut self.0 {
            Chip::Converter(_) => Err(Fault::NotFitted),
            Chip::Driver { .. } if level == Fraction::ZERO => self.set(level),
            Chip::Driver { driver, select } => {
                driver.strobe(lm36011::flash_code(level.of(FULL_UA).into())).map_err(silent)?;
                select.set(true);
                Ok(())
            }
        }
    }

    /// For how long there may be light after it was set to dark over its bus and that has arrived.
    pub fn afterglow(&self) -> Duration {
        match &self.0 {
            Chip::Converter(_) => AFTERGLOW,
            Chip::Driver { .. } => AFTERGLOW + TORCH_RAMPS,
        }
    }

    /// Dark: first by what works when the bus does not.
    pub fn make_safe(&mut self) {
        if let Chip::Driver { select, .. } = &mut self.0 {
            select.set(false);
        }
        let _ = self.set(Fraction::ZERO);
    }
}

fn silent<E>(_: E) -> Fault {
    Fault::Bus("the lamp")
}
