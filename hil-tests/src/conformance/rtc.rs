//! Wiring: a DS3231 at 0x68 (Maxim 19-5170) or an RV-3028-C7 at 0x52 (Micro Crystal, application manual rev. 1.4) on
//! I2C. The suite sets the clock to other times and leaves it at one of 2026.

use super::mcp4725::I2cBench;
use super::{Check, Outcome, ms};
use embedded_hal::i2c::I2c as _;

/// What differs between the two.
struct Chip {
    address: u8,
    /// Its status register, and the flag in it that says that the time was lost.
    status: (u8, u8),
    /// The first day of its week.
    first_weekday: u8,
    /// Where the bit for 12-hour mode is, and whether that is in the hours.
    twelve: (u8, u8),
}

const DS3231: Chip = Chip { address: 0x68, status: (0x0F, 0x80), first_weekday: 1, twelve: (0x02, 0x40) };
const RV3028: Chip = Chip { address: 0x52, status: (0x0E, 0x01), first_weekday: 0, twelve: (0x10, 0x02) };

/// A bench whose clock can lose both its supplies.
pub trait RtcBench: I2cBench {
    /// Takes both supplies away for a moment; `false` if this bench cannot.
    fn drop_power(&mut self) -> bool;
}

/// Every check of a DS3231.
pub fn ds3231<B: RtcBench>() -> Vec<Check<B>> {
    vec![
        ("it counts over the end of a leap day", |b| leap_day(b, &DS3231)),
        ("it counts over the end of a year", |b| year(b, &DS3231)),
        ("a read goes on at the next register", |b| increment(b, &DS3231)),
        ("lost power is said until the flag is cleared", |b| power(b, &DS3231)),
        ("noon and midnight of 12-hour mode", |b| twelve(b, &DS3231)),
        ("writing the seconds begins a new one", |b| new_second(b, &DS3231)),
        ("a century is told by the month's highest bit", century),
    ]
}

/// Every check of an RV-3028-C7.
pub fn rv3028<B: RtcBench>() -> Vec<Check<B>> {
    vec![
        ("it counts over the end of a leap day", |b| leap_day(b, &RV3028)),
        ("it counts over the end of a year", |b| year(b, &RV3028)),
        ("a read goes on at the next register", |b| increment(b, &RV3028)),
        ("lost power is said until the flag is cleared", |b| power(b, &RV3028)),
        ("noon and midnight of 12-hour mode", |b| twelve(b, &RV3028)),
        ("writing the seconds begins a new one", |b| new_second(b, &RV3028)),
    ]
}

/// Seconds, minutes, hours, weekday, date, month, year.
fn time(bench: &mut impl RtcBench, chip: &Chip) -> [u8; 7] {
    let mut bytes = [0; 7];
    bench.i2c().write_read(chip.address, &[0x00], &mut bytes).expect("it answers");
    bytes
}

fn set(bench: &mut impl RtcBench, chip: &Chip, time: [u8; 7]) {
    let [second, minute, hour, weekday, date, month, year] = time;
    let bytes = [0x00, second, minute, hour, weekday, date, month, year];
    bench.i2c().write(chip.address, &bytes).expect("it answers");
}

fn register(bench: &mut impl RtcBench, chip: &Chip, register: u8) -> u8 {
    let mut byte = [0];
    bench.i2c().write_read(chip.address, &[register], &mut byte).expect("it answers");
    byte[0]
}

fn leap_day(bench: &mut impl RtcBench, chip: &Chip) -> Outcome {
    let first = chip.first_weekday;
    set(bench, chip, [0x58, 0x59, 0x23, first + 6, 0x28, 0x02, 0x28]);
    bench.pass(ms(2_500));
    assert_eq!(time(bench, chip), [0x00, 0x00, 0x00, first, 0x29, 0x02, 0x28], "and the week begins again");
    set(bench, chip, [0x59, 0x59, 0x23, first, 0x28, 0x02, 0x27]);
    bench.pass(ms(1_500));
    assert_eq!(time(bench, chip), [0x00, 0x00, 0x00, first + 1, 0x01, 0x03, 0x27]);
    leave(bench, chip)
}

fn year(bench: &mut impl RtcBench, chip: &Chip) -> Outcome {
    set(bench, chip, [0x59, 0x59, 0x23, chip.first_weekday, 0x31, 0x12, 0x29]);
    bench.pass(ms(1_500));
    assert_eq!(time(bench, chip)[4..], [0x01, 0x01, 0x30]);
    leave(bench, chip)
}

fn increment(bench: &mut impl RtcBench, chip: &Chip) -> Outcome {
    set(bench, chip, [0x10, 0x20, 0x03, chip.first_weekday, 0x15, 0x06, 0x26]);
    bench.i2c().write(chip.address, &[0x01]).expect("it answers");
    let mut two = [0; 2];
    bench.i2c().read(chip.address, &mut two).expect("it answers");
    assert_eq!(two, [0x20, 0x03]);
    bench.i2c().read(chip.address, &mut two).expect("it answers");
    assert_eq!(two, [chip.first_weekday, 0x15], "where the one before ended");
    leave(bench, chip)
}

fn power(bench: &mut impl RtcBench, chip: &Chip) -> Outcome {
    if !bench.drop_power() {
        return Outcome::Skipped("this bench cannot take the clock's supplies away");
    }
    let (status, flag) = chip.status;
    assert_eq!(time(bench, chip)[4..], [0x01, 0x01, 0x00], "it begins again");
    let said = register(bench, chip, status);
    assert_ne!(said & flag, 0);
    // A one leaves it as it is.
    bench.i2c().write(chip.address, &[status, said]).expect("it answers");
    assert_ne!(register(bench, chip, status) & flag, 0);
    bench.i2c().write(chip.address, &[status, said & !flag]).expect("it answers");
    assert_eq!(register(bench, chip, status) & flag, 0);
    // And a one does not set it.
    bench.i2c().write(chip.address, &[status, said]).expect("it answers");
    assert_eq!(register(bench, chip, status) & flag, 0);
    leave(bench, chip)
}

fn twelve(bench: &mut impl RtcBench, chip: &Chip) -> Outcome {
    let (mode_at, mode) = chip.twelve;
    let in_hours = mode_at == 0x02;
    let mark = if in_hours { mode } else { 0 };
    if !in_hours {
        bench.i2c().write(chip.address, &[mode_at, mode]).expect("it answers");
    }
    // 11:59:59 in the afternoon: midnight comes, as twelve in the morning.
    set(bench, chip, [0x59, 0x59, 0x31 | mark, chip.first_weekday, 0x01, 0x06, 0x26]);
    bench.pass(ms(1_500));
    assert_eq!(time(bench, chip)[2..5], [0x12 | mark, chip.first_weekday + 1, 0x02]);
    set(bench, chip, [0x59, 0x59, 0x11 | mark, chip.first_weekday, 0x01, 0x06, 0x26]);
    bench.pass(ms(1_500));
    assert_eq!(time(bench, chip)[2], 0x32 | mark, "noon");
    if !in_hours {
        bench.i2c().write(chip.address, &[mode_at, 0]).expect("it answers");
    }
    leave(bench, chip)
}

fn new_second(bench: &mut impl RtcBench, chip: &Chip) -> Outcome {
    let to = [0x10, 0x20, 0x03, chip.first_weekday, 0x15, 0x06, 0x26];
    set(bench, chip, to);
    bench.pass(ms(700));
    set(bench, chip, to);
    bench.pass(ms(700));
    assert_eq!(time(bench, chip)[0], 0x10, "700 ms after it was written");
    bench.pass(ms(700));
    assert_eq!(time(bench, chip)[0], 0x11);
    leave(bench, chip)
}

fn century(bench: &mut impl RtcBench) -> Outcome {
    set(bench, &DS3231, [0x59, 0x59, 0x23, 0x01, 0x31, 0x12, 0x99]);
    bench.pass(ms(1_500));
    assert_eq!(time(bench, &DS3231)[4..], [0x01, 0x81, 0x00]);
    leave(bench, &DS3231)
}

fn leave(bench: &mut impl RtcBench, chip: &Chip) -> Outcome {
    set(bench, chip, [0x00, 0x00, 0x08, chip.first_weekday, 0x01, 0x06, 0x26]);
    Outcome::Passed
}
