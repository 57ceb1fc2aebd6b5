//! Wiring: an LM36011 on I2C at 0x64 with its LED. Texas Instruments SNVSAN4. The suite lights the LED at 2.4 mA for a
//! moment and leaves it dark.

use super::mcp4725::I2cBench;
use super::{Check, Outcome, ms};
use embedded_hal::i2c::I2c as _;

const ADDRESS: u8 = 0x64;
const ENABLE: u8 = 0x01;
const FLASH: u8 = 0x03;
const TORCH: u8 = 0x04;
const FLAGS: u8 = 0x05;
const DEVICE_ID: u8 = 0x06;
const RESET: u8 = 0x80;
const MODE: u8 = 0b11;

/// Every check.
pub fn checks<B: I2cBench>() -> Vec<Check<B>> {
    vec![
        ("a reset brings back what it powers up with: dark", reset),
        ("a torch code is read back, seven bits of it", torch),
        ("while it shines as it should no flag is up", flags),
        ("ready for its strobe pin it is dark as long as the pin is low, and says what it was told", strobe),
        ("reading goes on from register to register", sequence),
    ]
}

fn read(bench: &mut impl I2cBench, register: u8) -> u8 {
    let mut byte = [0];
    bench.i2c().write_read(ADDRESS, &[register], &mut byte).expect("it answers");
    byte[0]
}

fn write(bench: &mut impl I2cBench, register: u8, value: u8) {
    bench.i2c().write(ADDRESS, &[register, value]).expect("it answers");
}

fn reset(bench: &mut impl I2cBench) -> Outcome {
    write(bench, TORCH, 5);
    write(bench, DEVICE_ID, RESET);
    assert_eq!((read(bench, TORCH), read(bench, ENABLE) & MODE), (0, 0));
    Outcome::Passed
}

fn torch(bench: &mut impl I2cBench) -> Outcome {
    write(bench, TORCH, 0xFF);
    assert_eq!(read(bench, TORCH), 0x7F);
    write(bench, TORCH, 0);
    Outcome::Passed
}

fn flags(bench: &mut impl I2cBench) -> Outcome {
    let _ = read(bench, FLAGS);
    write(bench, TORCH, 0);
    write(bench, ENABLE, 0x22);
    bench.pass(ms(10));
    assert_eq!((read(bench, FLAGS), read(bench, ENABLE) & MODE), (0, 0b10));
    write(bench, ENABLE, 0x20);
    Outcome::Passed
}

/// The pin is low, or not wired.
fn strobe(bench: &mut impl I2cBench) -> Outcome {
    let _ = read(bench, FLAGS);
    write(bench, FLASH, 0xFF);
    assert_eq!(read(bench, FLASH), 0x7F);
    write(bench, FLASH, 0);
    write(bench, ENABLE, 0x27);
    // Longer than the flash's time-out of 600 ms: no flash has begun.
    bench.pass(ms(700));
    assert_eq!((read(bench, FLAGS), read(bench, ENABLE)), (0, 0x27));
    write(bench, ENABLE, 0x20);
    Outcome::Passed
}

fn sequence(bench: &mut impl I2cBench) -> Outcome {
    write(bench, TORCH, 3);
    let mut bytes = [0; 2];
    bench.i2c().write_read(ADDRESS, &[TORCH], &mut bytes).expect("it answers");
    assert_eq!(bytes, [3, read(bench, FLAGS)]);
    write(bench, TORCH, 0);
    Outcome::Passed
}
