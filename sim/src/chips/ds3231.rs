//! A DS3231 as its datasheet (Maxim 19-5170) describes it: calendar with century bit in 12- or 24-hour mode, the
//! oscillator-stop flag, register pointer. Alarms and thermometer only remember what is written.

use crate::calendar::{Counter, Date, bcd, from_bcd, hour, hour_register};
use planktor_protocol::{Instant, Utc};

/// Seconds to year, alarms, control, status, ageing, temperature ("Timekeeping Registers", figure 1).
const REGISTERS: usize = 0x13;
const SECONDS: usize = 0x00;
const HOURS: usize = 0x02;
const MONTH: usize = 0x05;
const YEAR: usize = 0x06;
const CONTROL: usize = 0x0E;
const STATUS: usize = 0x0F;

/// In the hours ("Clock and Calendar").
const TWELVE: u8 = 0x40;
const AFTERNOON: u8 = 0x20;
/// In the month: the years went over from 99 to 00.
const CENTURY: u8 = 0x80;
/// In the status: the oscillator has stood since this was last cleared ("Status Register").
const OSF: u8 = 0x80;
/// In the status: busy, and the alarms; cleared by a zero, or not to be written.
const FLAGS: u8 = OSF | 0x07;

/// The clock.
#[derive(Debug)]
pub struct Model {
    counter: Counter,
    twelve: bool,
    registers: [u8; REGISTERS],
    pointer: usize,
}

impl Model {
    /// One that was set right, and whose battery has held.
    pub fn new(utc: Utc, now: Instant) -> Self {
        let mut model =
            Self { counter: Counter::right(utc, now), twelve: false, registers: [0; REGISTERS], pointer: 0 };
        model.registers[CONTROL] = 0x1C;
        model
    }

    /// Both supplies are gone for a moment: "Clock and Calendar", "Control Register" and "Status Register"
    /// say with what it begins.
    pub fn lose_power(&mut self, now: Instant) {
        *self = Self { counter: Counter::at_its_begin(now), ..Self::new(Utc::from_micros(0), now) };
        self.registers[STATUS] = OSF | 0x08;
    }

    /// Whether it says that its time was lost.
    pub fn lost_power(&self) -> bool {
        self.registers[STATUS] & OSF != 0
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
                STATUS => {
                    let kept = self.registers[STATUS] & value & FLAGS;
                    self.registers[STATUS] = kept | value & !FLAGS;
                }
                other => self.registers[other] = *value,
            }
            self.pointer = (self.pointer + 1) % REGISTERS;
        }
        if timed {
            self.set(&all, new_second, now);
        }
    }

    /// A read from the register pointer on. The time is that of the transfer's start ("Address Map").
    pub fn read(&mut self, bytes: &mut [u8], now: Instant) {
        let all = self.all(now);
        for byte in bytes {
            *byte = all[self.pointer];
            self.pointer = (self.pointer + 1) % REGISTERS;
        }
    }

    fn all(&self, now: Instant) -> [u8; REGISTERS] {
        let (date, weekday) = self.counter.read(now);
        let mode = if self.twelve { TWELVE } else { 0 };
        let century = if date.year >= 100 { CENTURY } else { 0 };
        let mut all = self.registers;
        all[..=YEAR].copy_from_slice(&[
            bcd(date.second),
            bcd(date.minute),
            hour_register(date.hour, self.twelve, AFTERNOON) | mode,
            bcd(weekday + 1),
            bcd(date.day),
            bcd(date.month) | century,
            bcd(date.year),
        ]);
        all
    }

    fn set(&mut self, all: &[u8; REGISTERS], new_second: bool, now: Instant) {
        let [seconds, minutes, hours, weekday, day, month, year, ..] = *all;
        self.twelve = all[HOURS] & TWELVE != 0;
        let century = if all[MONTH] & CENTURY == 0 { 0 } else { 100 };
        let date = Date {
            year: from_bcd(year) + century,
            month: from_bcd(month & 0x1F),
            day: from_bcd(day & 0x3F),
            hour: hour(hours, self.twelve, AFTERNOON),
            minute: from_bcd(minutes & 0x7F),
            second: from_bcd(seconds & 0x7F),
        };
        self.counter.set(date, u64::from(weekday & 0x07).max(1) - 1, new_second, now);
    }
}
