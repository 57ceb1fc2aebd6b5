//! An LM36011 as Texas Instruments' datasheet (SNVSAN4) describes it: a driver of one white LED, as a torch or by a
//! strobe pin, with its faults. Register names and reset values as in the Linux driver for the family (facts only). It
//! remembers what it put out: a camera asks about an exposure after it is over.

use planktor_protocol::Instant;
use std::collections::VecDeque;
use std::time::Duration;

const ENABLE: u8 = 0x01;
const CONFIGURATION: u8 = 0x02;
const FLASH: u8 = 0x03;
const TORCH: u8 = 0x04;
const FLAGS: u8 = 0x05;
const DEVICE_ID: u8 = 0x06;

/// ENABLE bits 1..0: off, pin as infrared driver, torch, flash.
const MODE: u8 = 0b11;
const MODE_TORCH: u8 = 0b10;
const MODE_FLASH: u8 = 0b11;
/// ENABLE bit 2: the pin may light it.
const STROBE_ENABLE: u8 = 1 << 2;
/// CONFIGURATION bit 0: the torch ramps.
const TORCH_RAMP: u8 = 1;
/// DEVICE_ID bit 7: reset.
const RESET: u8 = 1 << 7;
/// FLAGS.
const FLASH_TIME_OUT: u8 = 1;
const THERMAL_SHUTDOWN: u8 = 1 << 2;
const THERMAL_SCALE_BACK: u8 = 1 << 3;
const LED_SHORT: u8 = 1 << 5;

/// After a reset, by address.
const AFTER_RESET: [u8; 7] = [0, 0x20, 0x15, 0x00, 0x00, 0x00, 0x01];
/// Current of a torch code, mA: 2.4 mA and 2.965 mA more for each.
const TORCH_MA: (f32, f32) = (2.4, 2.965);
/// Current of a flash code, mA.
const FLASH_MA: (f32, f32) = (11.0, 11.725);
/// Current at which the instrument's light is full (PlanktoScope: 20 mA).
const FULL_MA: f32 = 20.0;
/// From dark to full, or back, when the torch ramps.
const RAMP: Duration = Duration::from_millis(1);
/// Part of its current that a driver gives that is too hot (scale-back). Assumption.
const SCALED_BACK: f32 = 0.5;
/// Changes that are remembered.
const HISTORY: usize = 64;

/// From an instant on the current goes from one level to another.
#[derive(Clone, Copy, Debug)]
struct Change {
    since: Instant,
    from: f32,
    to: f32,
    lasts: Duration,
    /// Whether it is a flash's own end.
    times_out: bool,
}

/// The driver.
#[derive(Debug)]
pub struct Model {
    registers: [u8; 7],
    pointer: u8,
    strobe: bool,
    short: bool,
    hot: bool,
    changes: VecDeque<Change>,
}

impl Default for Model {
    /// Just powered up: dark.
    fn default() -> Self {
        let dark =
            Change { since: Instant::ZERO, from: 0.0, to: 0.0, lasts: Duration::ZERO, times_out: false };
        Self {
            registers: AFTER_RESET,
            pointer: 0,
            strobe: false,
            short: false,
            hot: false,
            changes: VecDeque::from([dark]),
        }
    }
}

impl Model {
    /// A write on the bus: the register's address, then what goes there and behind it.
    pub fn write(&mut self, bytes: &[u8], now: Instant) {
        let [address, values @ ..] = bytes else { return };
        self.pointer = *address;
        for value in values {
            self.set(self.pointer, *value, now);
            self.pointer = self.pointer.wrapping_add(1);
        }
    }

    /// A read on the bus, from where the last write pointed. Flags are cleared by reading them.
    pub fn read(&mut self, bytes: &mut [u8], now: Instant) {
        self.time_out(now);
        for byte in bytes {
            *byte = self.registers.get(usize::from(self.pointer)).copied().unwrap_or(0);
            if self.pointer == FLAGS {
                self.registers[usize::from(FLAGS)] = self.standing_flags();
            }
            self.pointer = self.pointer.wrapping_add(1);
        }
    }

    /// The strobe pin.
    pub fn strobe(&mut self, high: bool, now: Instant) {
        self.time_out(now);
        self.strobe = high;
        self.shine(now);
    }

    /// The LED's wires touch, or not any more.
    pub fn short(&mut self, short: bool, now: Instant) {
        self.short = short;
        self.fault(short, LED_SHORT, now);
    }

    /// It is too hot and gives less, or is cool again.
    pub fn overheat(&mut self, hot: bool, now: Instant) {
        self.hot = hot;
        if hot {
            self.registers[usize::from(FLAGS)] |= THERMAL_SCALE_BACK;
        }
        self.shine(now);
    }

    /// It is far too hot, and switches itself off.
    pub fn shut_down(&mut self, now: Instant) {
        self.fault(true, THERMAL_SHUTDOWN, now);
    }

    /// What it put out then, 1 is the instrument's full light.
    pub fn at(&self, then: Instant) -> f32 {
        let Some(Change { since, from, to, lasts, .. }) = self.change_at(then) else { return 0.0 };
        if lasts.is_zero() || then >= since + lasts {
            return to;
        }
        from + (to - from) * (then - since).as_secs_f32() / lasts.as_secs_f32()
    }

    fn change_at(&self, then: Instant) -> Option<Change> {
        let change = self.changes.iter().rev().find(|change| change.since <= then);
        change.or(self.changes.front()).copied()
    }

    /// Every change that is remembered, oldest first: from when on it went to how much, with the ramp that a torch has.
    pub fn changes(&self) -> impl Iterator<Item = (Instant, f32, Duration)> + '_ {
        self.changes.iter().map(|change| (change.since, change.to, change.lasts))
    }

    fn set(&mut self, address: u8, value: u8, now: Instant) {
        self.time_out(now);
        match address {
            DEVICE_ID if value & RESET != 0 => {
                self.registers = AFTER_RESET;
                self.registers[usize::from(FLAGS)] = self.standing_flags();
            }
            FLASH | TORCH => self.registers[usize::from(address)] = value & 0x7F,
            ENABLE | CONFIGURATION => self.registers[usize::from(address)] = value,
            _ => {}
        }
        self.shine(now);
    }

    /// A fault ends what it does: the mode goes back to off, and the flag tells why.
    fn fault(&mut self, is: bool, flag: u8, now: Instant) {
        if is {
            self.registers[usize::from(FLAGS)] |= flag;
            self.registers[usize::from(ENABLE)] &= !MODE;
        }
        self.shine(now);
    }

    fn standing_flags(&self) -> u8 {
        (u8::from(self.short) * LED_SHORT) | (u8::from(self.hot) * THERMAL_SCALE_BACK)
    }

    /// Light as the registers and the pin say now.
    fn shine(&mut self, now: Instant) {
        let enable = self.registers[usize::from(ENABLE)];
        let mode = if self.short { 0 } else { enable & MODE };
        let by_pin = enable & STROBE_ENABLE != 0;
        let code = |register: u8| f32::from(self.registers[usize::from(register)]);
        let ma = match mode {
            MODE_TORCH if !by_pin || self.strobe => TORCH_MA.0 + TORCH_MA.1 * code(TORCH),
            MODE_FLASH if !by_pin || self.strobe => FLASH_MA.0 + FLASH_MA.1 * code(FLASH),
            _ => 0.0,
        };
        let to = ma / FULL_MA * if self.hot { SCALED_BACK } else { 1.0 };
        let from = self.at(now);
        // A torch that has just begun to ramp is as dark as one that stays dark.
        let goes_to = self.change_at(now).map_or(from, |change| change.to);
        if (to - from).abs() < f32::EPSILON && (to - goes_to).abs() < f32::EPSILON {
            return;
        }
        let ramps =
            mode != MODE_FLASH && self.registers[usize::from(CONFIGURATION)] & TORCH_RAMP != 0 && !self.short;
        let lasts = if ramps { RAMP } else { Duration::ZERO };
        self.remember(Change { since: now, from, to, lasts, times_out: false });
        if mode == MODE_FLASH && to > 0.0 {
            let since = now + self.flash_time_out();
            self.remember(Change { since, from: to, to: 0.0, lasts: Duration::ZERO, times_out: true });
        }
    }

    /// A flash ends by itself; then its mode is off and its flag is up.
    fn time_out(&mut self, now: Instant) {
        let flashes = self.registers[usize::from(ENABLE)] & MODE == MODE_FLASH;
        let over = self.changes.back().is_some_and(|change| change.times_out && change.since <= now);
        if flashes && over {
            self.registers[usize::from(ENABLE)] &= !MODE;
            self.registers[usize::from(FLAGS)] |= FLASH_TIME_OUT;
        }
    }

    /// Bits 4..1 of CONFIGURATION: 40 ms a step up to 400 ms, 200 ms a step from there.
    fn flash_time_out(&self) -> Duration {
        let code = u64::from(self.registers[usize::from(CONFIGURATION)] >> 1 & 0x0F);
        Duration::from_millis(if code < 10 { 40 * (code + 1) } else { 400 + 200 * (code - 9) })
    }

    fn remember(&mut self, change: Change) {
        // What was to come is overtaken.
        while self.changes.back().is_some_and(|last| last.since >= change.since) {
            self.changes.pop_back();
        }
        if self.changes.len() == HISTORY {
            self.changes.pop_front();
        }
        self.changes.push_back(change);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(us: u64) -> Instant {
        Instant::from_nanos(us * 1_000)
    }

    fn read(model: &mut Model, address: u8, us: u64) -> u8 {
        let mut byte = [0];
        model.write(&[address], at(us));
        model.read(&mut byte, at(us));
        byte[0]
    }

    fn torch(us: u64) -> Model {
        let mut model = Model::default();
        model.write(&[TORCH, 6], at(us));
        model.write(&[ENABLE, 0x20 | MODE_TORCH], at(us));
        model
    }

    #[test]
    fn it_powers_up_dark_with_its_reset_values_and_a_reset_brings_them_back() {
        let mut model = Model::default();
        let all: Vec<_> = (1..=6).map(|address| read(&mut model, address, 0)).collect();
        assert_eq!(all, AFTER_RESET[1..]);
        let mut lit = torch(0);
        lit.write(&[DEVICE_ID, RESET], at(5_000));
        assert_eq!((read(&mut lit, TORCH, 5_000), lit.at(at(7_000))), (0, 0.0));
    }

    #[test]
    fn a_torch_that_is_switched_off_at_the_instant_at_which_it_was_switched_on_stays_dark() {
        let mut model = torch(0);
        model.write(&[CONFIGURATION, AFTER_RESET[2] | TORCH_RAMP], at(0));
        model.write(&[ENABLE, 0x20], at(5_000));
        model.write(&[ENABLE, 0x20 | MODE_TORCH], at(10_000));
        model.write(&[ENABLE, 0x20 | MODE_FLASH | STROBE_ENABLE], at(10_000));
        assert_eq!((model.at(at(10_500)), model.at(at(12_000))), (0.0, 0.0));
    }

    #[test]
    fn a_torch_ramps_to_its_current_in_a_millisecond() {
        let model = torch(10_000);
        let full = (TORCH_MA.0 + 6.0 * TORCH_MA.1) / 20.0;
        assert_eq!(model.at(at(9_999)), 0.0);
        assert!((model.at(at(10_500)) - full / 2.0).abs() < 1e-3);
        assert!((model.at(at(11_000)) - full).abs() < 1e-6 && full > 0.95);
        let mut abrupt = torch(0);
        abrupt.write(&[CONFIGURATION, 0x14], at(5_000));
        abrupt.write(&[ENABLE, 0x20], at(6_000));
        assert_eq!(abrupt.at(at(6_000)), 0.0);
    }

    #[test]
    fn a_short_switches_it_off_and_the_flag_stays_while_it_lasts() {
        let mut model = torch(0);
        model.short(true, at(5_000));
        assert_eq!(model.at(at(5_000)), 0.0);
        assert_eq!(read(&mut model, ENABLE, 5_001) & MODE, 0);
        assert_eq!(read(&mut model, FLAGS, 5_002), LED_SHORT);
        assert_eq!(read(&mut model, FLAGS, 5_003), LED_SHORT, "it is still there");
        model.short(false, at(6_000));
        let _ = read(&mut model, FLAGS, 6_001);
        assert_eq!(read(&mut model, FLAGS, 6_002), 0);
        assert_eq!(model.at(at(9_000)), 0.0, "it stays off until it is told");
    }

    #[test]
    fn heat_takes_light_and_too_much_of_it_all() {
        let mut model = torch(0);
        let full = model.at(at(5_000));
        model.overheat(true, at(6_000));
        assert!((model.at(at(8_000)) - full / 2.0).abs() < 1e-6);
        assert_eq!(read(&mut model, FLAGS, 8_000), THERMAL_SCALE_BACK);
        model.overheat(false, at(9_000));
        assert!((model.at(at(11_000)) - full).abs() < 1e-6);
        model.shut_down(at(12_000));
        assert_eq!(model.at(at(14_000)), 0.0);
        assert_eq!(read(&mut model, FLAGS, 14_000) & THERMAL_SHUTDOWN, THERMAL_SHUTDOWN);
    }

    #[test]
    fn a_strobe_lights_while_the_pin_is_high_and_no_longer_than_the_time_out() {
        let mut model = Model::default();
        model.write(&[ENABLE, 0x20 | STROBE_ENABLE | MODE_FLASH], at(0));
        assert_eq!(model.at(at(100)), 0.0);
        model.strobe(true, at(1_000));
        assert!(model.at(at(1_000)) > 0.5);
        model.strobe(false, at(3_000));
        assert_eq!(model.at(at(3_000)), 0.0);
        model.strobe(true, at(10_000));
        // 0x15: code 10, 600 ms.
        assert!(model.at(at(609_000)) > 0.5);
        assert_eq!(model.at(at(610_000)), 0.0);
        assert_eq!(read(&mut model, FLAGS, 700_000), FLASH_TIME_OUT);
        assert_eq!(read(&mut model, ENABLE, 700_000) & MODE, 0);
    }
}
