//! Wiring: an MCP4725 on I2C at 0x62, nothing else that hears a general call. Microchip DS22039D. The suite writes the
//! EEPROM twice and leaves it at zero.

use super::{Bench, Check, Outcome, ms};
use embedded_hal::i2c::I2c as _;
use planktor_drivers::board::I2c;

const ADDRESS: u8 = 0x62;
const EVERYBODY: u8 = 0x00;
const RELOAD: u8 = 0x06;
const READY: u8 = 0x80;

/// Anything on an I2C bus.
pub trait I2cBench: Bench {
    /// The bus.
    fn i2c(&mut self) -> &mut I2c;
}

/// Every check.
pub fn checks<B: I2cBench>() -> Vec<Check<B>> {
    vec![
        ("a fast write sets the output and leaves the EEPROM", fast_write),
        ("a write of the EEPROM takes its time and is what a reload brings back", eeprom),
        ("powered down it says so", power_down),
        ("nobody else answers on the bus", alone),
    ]
}

/// Ready bit and power-down, value, EEPROM.
fn read(bench: &mut impl I2cBench) -> (u8, u16, u16) {
    let mut bytes = [0; 5];
    bench.i2c().read(ADDRESS, &mut bytes).expect("it answers");
    let [state, high, low, kept_high, kept_low] = bytes;
    (state, u16::from_be_bytes([high, low]) >> 4, u16::from_be_bytes([kept_high & 0x0F, kept_low]))
}

fn write(bench: &mut impl I2cBench, bytes: &[u8]) {
    bench.i2c().write(ADDRESS, bytes).expect("it answers");
}

fn keep(bench: &mut impl I2cBench, value: u16) {
    let [high, low] = (value << 4).to_be_bytes();
    write(bench, &[0x60, high, low]);
    assert_eq!(read(bench).0 & READY, 0, "it is busy");
    // 50 ms at most (electrical characteristics).
    bench.pass(ms(50));
    assert_eq!(read(bench).0 & READY, READY);
}

fn fast_write(bench: &mut impl I2cBench) -> Outcome {
    let (_, _, kept) = read(bench);
    write(bench, &[0x0A, 0xBC]);
    assert_eq!(read(bench), (read(bench).0, 0xABC, kept));
    write(bench, &[0x00, 0x00]);
    Outcome::Passed
}

fn eeprom(bench: &mut impl I2cBench) -> Outcome {
    keep(bench, 0x123);
    write(bench, &[0x0F, 0xFF]);
    bench.i2c().write(EVERYBODY, &[RELOAD]).expect("it hears a general call");
    assert_eq!((read(bench).1, read(bench).2), (0x123, 0x123));
    keep(bench, 0);
    Outcome::Passed
}

fn power_down(bench: &mut impl I2cBench) -> Outcome {
    write(bench, &[0x30, 0x00]);
    assert_eq!(read(bench).0 >> 1 & 0b11, 0b11);
    write(bench, &[0x00, 0x00]);
    assert_eq!(read(bench).0 >> 1 & 0b11, 0);
    Outcome::Passed
}

fn alone(bench: &mut impl I2cBench) -> Outcome {
    assert!(bench.i2c().read(0x61, &mut [0]).is_err());
    Outcome::Passed
}
