//! An SSD1680 with its panel, as the datasheet (Solomon Systech, rev. 0.14) describes it: memory with its window and
//! counters, BUSY, reset, deep sleep, the update sequence; and ink that moves for seconds and stays. Waveforms are not
//! modelled: an update shows what is in the memory.

use planktor_protocol::Instant;
use std::time::Duration;

/// Bytes of a line of the memory, for 176 sources.
const ACROSS: usize = 22;
/// Its lines.
const LINES: usize = 296;
/// What a reset takes (section 9, "AC characteristics" do not say it: an assumption).
const RESETS: Duration = Duration::from_millis(5);
/// What a full update takes at 25 degrees (Waveshare's manual of the 2.9" V2).
const UPDATES: Duration = Duration::from_secs(2);

/// The controller and its panel.
#[derive(Debug)]
pub struct Model {
    memory: Vec<u8>,
    registers: Registers,
    command: Option<u8>,
    taken: usize,
    data: bool,
    held: bool,
    powered: bool,
    asleep: bool,
    busy: Instant,
    /// What the ink showed, shows, and from when on; `None` where it was stopped in between.
    before: Option<Vec<u8>>,
    ink: Option<Vec<u8>>,
}

/// What a reset sets back.
#[derive(Clone, Debug)]
struct Registers {
    entry: u8,
    x: (usize, usize),
    y: (usize, usize),
    at: (usize, usize),
    lines: usize,
    options: u8,
    sequence: u8,
}

impl Default for Registers {
    /// As it powers up (section 7, "POR").
    fn default() -> Self {
        let (x, y) = ((0, ACROSS - 1), (0, LINES - 1));
        Self { entry: 0x03, x, y, at: (0, 0), lines: LINES, options: 0, sequence: 0xFF }
    }
}

/// All that the pins can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pin {
    /// Low: a command. High: its data.
    Data,
    /// Low resets.
    Reset,
    /// Its supply.
    Power,
}

impl Default for Model {
    /// Without power, and white.
    fn default() -> Self {
        let white = Some(vec![0xFF; ACROSS * LINES]);
        Self {
            memory: noise(),
            registers: Registers::default(),
            command: None,
            taken: 0,
            data: false,
            held: false,
            powered: false,
            asleep: false,
            busy: Instant::ZERO,
            before: white.clone(),
            ink: white,
        }
    }
}

/// What is in a memory that has just got its supply.
fn noise() -> Vec<u8> {
    vec![0x5A; ACROSS * LINES]
}

impl Model {
    /// A pin is set.
    pub fn set(&mut self, pin: Pin, high: bool, now: Instant) {
        match pin {
            Pin::Data => self.data = high,
            Pin::Reset if high => {
                if self.held && self.powered {
                    (self.asleep, self.busy) = (false, now + RESETS);
                }
                self.held = false;
            }
            Pin::Reset => {
                self.stop(now);
                self.held = true;
            }
            Pin::Power => {
                if self.powered && !high {
                    self.stop(now);
                    (self.memory, self.asleep) = (noise(), false);
                }
                self.powered = high;
            }
        }
    }

    /// The ink stops where it is; registers are gone.
    fn stop(&mut self, now: Instant) {
        if now < self.busy && self.before != self.ink {
            self.ink = None;
        }
        self.before = self.ink.clone();
        (self.registers, self.command, self.busy) = (Registers::default(), None, now);
    }

    /// Its BUSY pin; high, too, while it sleeps (command 0x10).
    pub fn is_busy(&self, now: Instant) -> bool {
        self.powered && (self.asleep || now < self.busy)
    }

    /// What is shown, line by line, so many bytes of each; `None` while the ink moves, or if it was stopped in between.
    pub fn shows(&self, across: usize, now: Instant) -> Option<Vec<u8>> {
        let ink = self.ink.as_ref().filter(|_| now >= self.busy)?;
        Some(ink.chunks(ACROSS).flat_map(|line| line[..across].to_vec()).collect())
    }

    /// Bytes on its bus.
    pub fn write(&mut self, bytes: &[u8], now: Instant) {
        if !self.powered || self.held || self.is_busy(now) {
            return;
        }
        for byte in bytes {
            match (self.data, self.command) {
                (false, _) => {
                    (self.command, self.taken) = (Some(*byte), 0);
                    self.begin(*byte, now);
                }
                (true, Some(command)) => {
                    self.take(command, self.taken, *byte);
                    self.taken += 1;
                }
                (true, None) => {}
            }
        }
    }

    fn begin(&mut self, command: u8, now: Instant) {
        match command {
            0x12 => {
                (self.registers, self.busy) = (Registers::default(), now + RESETS);
            }
            // Bit 2 of the sequence shows the picture (command 0x22).
            0x20 => {
                self.busy = now + UPDATES;
                if self.registers.sequence & 0x04 != 0 {
                    let picture = self.picture();
                    self.before = self.ink.replace(picture);
                }
            }
            _ => {}
        }
    }

    /// What the memory comes to: normal, as zero, or inverse (command 0x21); lines beyond the last one stay white.
    fn picture(&self) -> Vec<u8> {
        let seen = |byte: &u8| match self.registers.options & 0x0F {
            0x4 => 0,
            0x8 => !*byte,
            _ => *byte,
        };
        let end = self.registers.lines.min(LINES) * ACROSS;
        let mut picture: Vec<u8> = self.memory[..end].iter().map(seen).collect();
        picture.resize(ACROSS * LINES, 0xFF);
        picture
    }

    fn take(&mut self, command: u8, n: usize, byte: u8) {
        let (r, value) = (&mut self.registers, usize::from(byte));
        match (command, n) {
            (0x01, 0) => r.lines = (r.lines - 1) / 256 * 256 + value + 1,
            (0x01, 1) => r.lines = (value & 1) * 256 + (r.lines - 1) % 256 + 1,
            (0x10, 0) => self.asleep = byte & 0b11 != 0,
            (0x11, 0) => r.entry = byte,
            (0x21, 0) => r.options = byte,
            (0x22, 0) => r.sequence = byte,
            (0x24, _) => {
                let (x, y) = r.at;
                if x < ACROSS && y < LINES {
                    self.memory[y * ACROSS + x] = byte;
                }
                self.step();
            }
            (0x44, 0) => r.x.0 = value & 0x3F,
            (0x44, 1) => r.x.1 = value & 0x3F,
            (0x45, 0) => r.y.0 = value,
            (0x45, 1) => r.y.0 += (value & 1) * 256,
            (0x45, 2) => r.y.1 = value,
            (0x45, 3) => r.y.1 += (value & 1) * 256,
            (0x4E, 0) => r.at.0 = value & 0x3F,
            (0x4F, 0) => r.at.1 = value,
            (0x4F, 1) => r.at.1 += (value & 1) * 256,
            _ => {}
        }
    }

    /// The counters go on within the window, as the entry mode says (command 0x11): each up or down, across or down first.
    fn step(&mut self) {
        let Registers { entry, x, y, at, .. } = &mut self.registers;
        let (x, y) = (*x, *y);
        let next = |at: usize, (begin, end): (usize, usize), up: bool| match (at == end, up) {
            (true, _) => (begin, true),
            (false, true) => (at + 1, false),
            (false, false) => (at.saturating_sub(1), false),
        };
        let (right, down, down_first) = (*entry & 1 != 0, *entry & 2 != 0, *entry & 4 != 0);
        if down_first {
            let (line, round) = next(at.1, y, down);
            let column = if round { next(at.0, x, right).0 } else { at.0 };
            *at = (column, line);
        } else {
            let (column, round) = next(at.0, x, right);
            let line = if round { next(at.1, y, down).0 } else { at.1 };
            *at = (column, line);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Instant {
        Instant::from_nanos(ms * 1_000_000)
    }

    fn send(model: &mut Model, bytes: &[u8], ms: u64) {
        for (n, byte) in bytes.iter().enumerate() {
            model.set(Pin::Data, n > 0, at(ms));
            model.write(&[*byte], at(ms));
        }
    }

    fn awake() -> Model {
        let mut model = Model::default();
        model.set(Pin::Power, true, at(0));
        model.set(Pin::Reset, false, at(0));
        model.set(Pin::Reset, true, at(10));
        model
    }

    #[test]
    fn what_is_written_into_a_window_is_shown_there_after_a_while() {
        let mut model = awake();
        send(&mut model, &[0x44, 1, 2], 20);
        send(&mut model, &[0x45, 3, 0, 4, 0], 20);
        send(&mut model, &[0x4E, 1], 20);
        send(&mut model, &[0x4F, 3, 0], 20);
        send(&mut model, &[0x24, 1, 2, 3, 4, 5], 20);
        send(&mut model, &[0x20], 20);
        assert!(model.is_busy(at(2_019)));
        assert_eq!(model.shows(16, at(2_019)), None, "the ink moves");
        let shows = model.shows(16, at(2_020)).unwrap();
        assert_eq!(
            (&shows[3 * 16 + 1..3 * 16 + 3], &shows[4 * 16 + 1..4 * 16 + 3]),
            (&[5, 2][..], &[3, 4][..])
        );
        assert_eq!(shows[0], 0x5A, "what nobody wrote is whatever was there");
    }

    #[test]
    fn it_hears_nothing_while_it_works_sleeps_or_has_no_power() {
        let update = |model: &mut Model, byte: u8, ms: u64| {
            send(model, &[0x4E, 0], ms);
            send(model, &[0x4F, 0, 0], ms);
            send(model, &[0x24, byte], ms);
            send(model, &[0x20], ms);
        };
        let first = |model: &Model, ms: u64| model.shows(16, at(ms)).map(|bytes| bytes[0]);
        let mut model = awake();
        update(&mut model, 1, 12);
        assert_eq!(first(&model, 20), Some(0xFF), "it was being reset");
        update(&mut model, 2, 20);
        update(&mut model, 3, 1_000);
        assert_eq!(first(&model, 2_020), Some(2), "it was at work");
        send(&mut model, &[0x10, 1], 3_000);
        update(&mut model, 4, 3_001);
        assert_eq!((first(&model, 9_000), model.is_busy(at(9_000))), (Some(2), true), "asleep");
        model.set(Pin::Reset, false, at(9_000));
        model.set(Pin::Reset, true, at(9_010));
        update(&mut model, 5, 9_020);
        assert_eq!(first(&model, 11_020), Some(5), "a reset wakes it up");
        update(&mut model, 6, 12_000);
        model.set(Pin::Power, false, at(13_000));
        assert_eq!(first(&model, 20_000), None, "the ink was stopped");
        assert!(!model.is_busy(at(20_000)));
    }
}
