//! An MCP4725 as its datasheet (Microchip DS22039D) describes it: fast write and read; its EEPROM keeps its value.
//!
//! Not modelled yet: EEPROM writes and the busy bit, power-down modes.

use planktor_protocol::Instant;
use std::collections::VecDeque;

/// Writes that are remembered: a camera asks about an exposure after it is over.
const HISTORY: usize = 64;

/// The converter.
#[derive(Debug)]
pub struct Model {
    values: VecDeque<(Instant, u16)>,
}

impl Model {
    /// Powers up with what its EEPROM holds.
    pub fn new(eeprom: u16) -> Self {
        Self { values: VecDeque::from([(Instant::ZERO, eeprom & 0x0FFF)]) }
    }

    /// A write on the bus: any number of fast writes, two bytes each (figure 6-1). Other commands begin with bits
    /// that a fast write does not have and are not acknowledged.
    pub fn write(&mut self, bytes: &[u8], now: Instant) -> Result<(), NotAcknowledged> {
        for pair in bytes.chunks(2) {
            let &[high, low] = pair else { return Err(NotAcknowledged) };
            if high & 0xF0 != 0 {
                return Err(NotAcknowledged);
            }
            if self.values.len() == HISTORY {
                self.values.pop_front();
            }
            self.values.push_back((now, u16::from_be_bytes([high, low])));
        }
        Ok(())
    }

    /// A read on the bus: ready and power-on bits, then the value, left-aligned (figure 6-3).
    pub fn read(&self, bytes: &mut [u8]) {
        let [high, low] = (self.now() << 4).to_be_bytes();
        for (byte, value) in bytes.iter_mut().zip([0xC0, high, low]) {
            *byte = value;
        }
    }

    /// What it puts out now.
    pub fn now(&self) -> u16 {
        self.values.back().map_or(0, |(_, value)| *value)
    }

    /// What it put out then, 0 to 1 of full scale.
    pub fn at(&self, then: Instant) -> f32 {
        let value = self.values.iter().rev().find(|(since, _)| *since <= then).or(self.values.front());
        f32::from(value.map_or(0, |(_, value)| *value)) / 4095.0
    }
}

/// The chip leaves the line high.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotAcknowledged;
