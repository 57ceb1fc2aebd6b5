//! An MCP4725 as its datasheet (Microchip DS22039D) describes it: three ways to write, read-back, EEPROM with its busy
//! time, power-down, general call. It remembers what it put out: a camera asks about an exposure after it is over.

use planktor_protocol::Instant;
use std::collections::VecDeque;
use std::time::Duration;

/// Writes that are remembered.
const HISTORY: usize = 64;
/// What a write of the EEPROM takes (electrical characteristics: 25 ms typically, 50 ms at most).
const EEPROM_WRITE: Duration = Duration::from_millis(25);
/// General call: load the EEPROM, as at power-up (section 7.3.1).
const GENERAL_RESET: u8 = 0x06;
/// General call: end power-down (section 7.3.2).
const GENERAL_WAKE_UP: u8 = 0x09;

/// What the converter is set to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Setting {
    /// 0 to 4095.
    value: u16,
    /// Power-down mode; anything but 0 pulls the output to ground (table 5-2).
    down: u8,
}

/// The converter.
#[derive(Debug)]
pub struct Model {
    settings: VecDeque<(Instant, Setting)>,
    eeprom: Setting,
    /// Until when it writes its EEPROM.
    busy: Instant,
}

impl Model {
    /// Powers up with what its EEPROM holds.
    pub fn new(eeprom: u16) -> Self {
        let eeprom = Setting { value: eeprom & 0x0FFF, down: 0 };
        Self { settings: VecDeque::from([(Instant::ZERO, eeprom)]), eeprom, busy: Instant::ZERO }
    }

    /// A write on the bus: any number of commands (figures 6-1 and 6-2). While the EEPROM is written new commands are
    /// acknowledged and ignored (section 5.4).
    pub fn write(&mut self, mut bytes: &[u8], now: Instant) -> Result<(), NotAcknowledged> {
        while let [first, rest @ ..] = bytes {
            let (setting, keep) = match (first >> 5, rest) {
                (0b000 | 0b001, [low, after @ ..]) => {
                    bytes = after;
                    let value = u16::from_be_bytes([first & 0x0F, *low]);
                    (Setting { value, down: first >> 4 & 0b11 }, false)
                }
                (command @ (0b010 | 0b011), [high, low, after @ ..]) => {
                    bytes = after;
                    let value = u16::from_be_bytes([*high, *low]) >> 4;
                    (Setting { value, down: first >> 1 & 0b11 }, command == 0b011)
                }
                _ => return Err(NotAcknowledged),
            };
            if now >= self.busy {
                self.set(setting, now);
                if keep {
                    (self.eeprom, self.busy) = (setting, now + EEPROM_WRITE);
                }
            }
        }
        Ok(())
    }

    /// A general call, to address zero.
    pub fn general_call(&mut self, command: u8, now: Instant) -> Result<(), NotAcknowledged> {
        match command {
            GENERAL_RESET => self.set(self.eeprom, now),
            GENERAL_WAKE_UP => self.set(Setting { down: 0, ..self.setting() }, now),
            _ => return Err(NotAcknowledged),
        }
        Ok(())
    }

    /// A read on the bus: ready, power-on and power-down bits, the value left-aligned, then the EEPROM's (figure 6-3).
    pub fn read(&self, bytes: &mut [u8], now: Instant) {
        let (set, kept) = (self.setting(), self.eeprom);
        let ready = if now >= self.busy { 0x80 } else { 0 };
        let [high, low] = (set.value << 4).to_be_bytes();
        let [kept_high, kept_low] = kept.value.to_be_bytes();
        let all = [ready | 0x40 | set.down << 1, high, low, kept.down << 5 | kept_high, kept_low];
        for (byte, value) in bytes.iter_mut().zip(all) {
            *byte = value;
        }
    }

    /// What it put out then, 0 to 1 of full scale.
    pub fn at(&self, then: Instant) -> f32 {
        let setting = self.settings.iter().rev().find(|(since, _)| *since <= then).or(self.settings.front());
        setting.map_or(0.0, |(_, set)| if set.down == 0 { f32::from(set.value) / 4095.0 } else { 0.0 })
    }

    /// Every change that is remembered, oldest first: from when on it put out how much.
    pub fn changes(&self) -> impl Iterator<Item = (Instant, f32)> + '_ {
        self.settings.iter().map(|(since, _)| (*since, self.at(*since)))
    }

    fn setting(&self) -> Setting {
        self.settings.back().map_or(self.eeprom, |(_, setting)| *setting)
    }

    fn set(&mut self, setting: Setting, now: Instant) {
        if self.settings.len() == HISTORY {
            self.settings.pop_front();
        }
        self.settings.push_back((now, setting));
    }
}

/// The chip leaves the line high.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotAcknowledged;

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Instant {
        Instant::from_nanos(ms * 1_000_000)
    }

    fn read(model: &Model, ms: u64) -> [u8; 5] {
        let mut bytes = [0; 5];
        model.read(&mut bytes, at(ms));
        bytes
    }

    #[test]
    fn it_powers_up_with_what_its_eeprom_holds() {
        let model = Model::new(0x0ABC);
        assert_eq!(read(&model, 0), [0xC0, 0xAB, 0xC0, 0x0A, 0xBC]);
        assert!((model.at(at(0)) - 2_748.0 / 4_095.0).abs() < 1e-6);
    }

    #[test]
    fn a_fast_write_leaves_the_eeprom_and_a_kept_one_takes_its_time() {
        let mut model = Model::new(0);
        model.write(&[0x0F, 0xFF], at(1)).unwrap();
        assert_eq!(read(&model, 1), [0xC0, 0xFF, 0xF0, 0, 0]);
        model.write(&[0x60, 0x80, 0x00], at(2)).unwrap();
        assert_eq!(read(&model, 10), [0x40, 0x80, 0x00, 0x08, 0x00], "busy");
        model.write(&[0x00, 0x00], at(10)).unwrap();
        assert_eq!(read(&model, 28), [0xC0, 0x80, 0x00, 0x08, 0x00], "what came meanwhile was ignored");
        model.write(&[0x40, 0x12, 0x30], at(30)).unwrap();
        assert_eq!(read(&model, 30), [0xC0, 0x12, 0x30, 0x08, 0x00]);
        model.general_call(0x06, at(31)).unwrap();
        assert_eq!(read(&model, 31)[1..3], [0x80, 0x00]);
    }

    #[test]
    fn powered_down_it_puts_nothing_out_until_it_is_woken() {
        let mut model = Model::new(0);
        model.write(&[0x1F, 0xFF], at(1)).unwrap();
        assert_eq!(model.at(at(2)), 0.0);
        model.general_call(0x09, at(3)).unwrap();
        assert_eq!((model.at(at(2)), model.at(at(3))), (0.0, 1.0), "it remembers what was before");
    }

    #[test]
    fn what_is_no_command_is_not_acknowledged() {
        let mut model = Model::new(0);
        for bytes in [&[0xFF, 0xFF][..], &[0x00], &[0x60, 0x80], &[0x80, 0, 0]] {
            assert_eq!(model.write(bytes, at(0)), Err(NotAcknowledged), "{bytes:?}");
        }
        assert_eq!(model.general_call(0x55, at(0)), Err(NotAcknowledged));
    }
}
