//! An RV-3028-C7 as its application manual (Micro Crystal, rev. 1.4) describes it: calendar in 12- or 24-hour mode, the
//! power-on reset flag, register pointer. Alarms, timer, events and EEPROM only remember what is written; the UNIX
//! counter does not count.

use crate::calendar::{Counter, Date, bcd, from_bcd, hour, hour_register};
use planktor_protocol::{Instant, Utc};

/// All of RAM and the mirror of its configuration ("Register overview").
const REGISTERS: usize = 0x40;
const SECONDS: usize = 0x00;
const YEAR: usize = 0x06;
const STATUS: usize = 0x0E;
const CONTROL_2: usize = 0x10;

/// In the hours of 12-hour mode (page 17).
const AFTERNOON: u8 = 0x20;
/// In the status: power was lost since this was last cleared (page 22). All flags are cleared by a zero; the highest
/// one, "EEPROM busy", cannot be written.
const PORF: u8 = 0x01;
/// In control 2 (page 24).
const TWELVE: u8 = 0x02;
const RESET: u8 = 0x01;

/// The clock.
#[derive(Debug)]
pub struct Model {
    counter: Counter,
    registers: [u8; REGISTERS],
    pointer: usize,
}

impl Model {
    /// One that was set right, and whose battery has held.
    pub fn new(utc: Utc, now: Instant) -> Self {
        Self { counter: Counter::right(utc, now), registers: [0; REGISTERS], pointer: 0 }
    }

    /// Both supplies are gone for a moment: what the register overview says they are after it.
    pub fn lose_power(&mut self, now: Instant) {
        *self = Self { counter: Counter::at_its_begin(now), registers: [0; REGISTERS], pointer: 0 };
        self.registers[STATUS] = PORF;
    }

    /// Whether it says that its time was lost.
    pub fn lost_power(&self) -> bool {
        self.registers[STATUS] & PORF != 0
    }

    /// What it counts.
    pub fn utc(&self, now: Instant) -> Utc {
        self.counter.utc(now)
    }

    /// A write: the register pointer, then what goes there and behind it.
    pub fn write(&mut self, bytes: &[u8], now: Instant) {
        let [pointer, values @ ..] = bytes else { return };
        self.pointer = usize::from(*pointer) % REGISTERS;
        let (mut all, mut timed, mut new_second) = (self.all(now), false, false);
        for value in values {
            match self.pointer {
                SECONDS..=YEAR => {
                    (timed, new_second) = (true, new_second || self.pointer == SECONDS);
                    all[self.pointer] = *value;
                }
                STATUS => self.registers[STATUS] &= value,
                CONTROL_2 => {
                    new_second |= value & RESET != 0;
                    timed |= new_second;
                    self.registers[CONTROL_2] = value & !RESET;
                    // The same hour, in the other way.
                    all = self.all(now);
                }
                other => self.registers[other] = *value,
            }
            self.pointer = (self.pointer + 1) % REGISTERS;
        }
        if timed {
            self.set(&all, new_second, now);
        }
    }

    /// A read from the register pointer on; the time stands meanwhile (page 17).
    pub fn read(&mut self, bytes: &mut [u8], now: Instant) {
        let all = self.all(now);
        for byte in bytes {
            *byte = all[self.pointer];
            self.pointer = (self.pointer + 1) % REGISTERS;
        }
    }

    fn twelve(&self) -> bool {
        self.registers[CONTROL_2] & TWELVE != 0
    }

    fn all(&self, now: Instant) -> [u8; REGISTERS] {
        let (date, weekday) = self.counter.read(now);
        let mut all = self.registers;
        all[..=YEAR].copy_from_slice(&[
            bcd(date.second),
            bcd(date.minute),
            hour_register(date.hour, self.twelve(), AFTERNOON),
            bcd(weekday),
            bcd(date.day),
            bcd(date.month),
            bcd(date.year),
        ]);
        all
    }

    fn set(&mut self, all: &[u8; REGISTERS], new_second: bool, now: Instant) {
        let [seconds, minutes, hours, weekday, day, month, year, ..] = *all;
        let date = Date {
            year: from_bcd(year),
            month: from_bcd(month & 0x1F),
            day: from_bcd(day & 0x3F),
            hour: hour(hours, self.twelve(), AFTERNOON),
            minute: from_bcd(minutes & 0x7F),
            second: from_bcd(seconds & 0x7F),
        };
        self.counter.set(date, u64::from(weekday & 0x07), new_second, now);
    }
}
