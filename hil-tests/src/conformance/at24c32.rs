//! Wiring: a 24C32 on I2C (Microchip 24AA32A/24LC32A, DS20001713). The suite writes its last two pages and leaves them as they
//! were.

use super::{Bench, Check, Outcome, ms};
use embedded_hal::i2c::I2c as _;
use planktor_drivers::board::EepromLine;

/// Bytes of a page.
const PAGE: usize = 32;
/// The last page but one, and the last.
const PAGES: [u16; 2] = [0x0FC0, 0x0FE0];
/// "Write cycle time (byte or page)", at most.
const WRITE_CYCLE_MS: u64 = 5;

/// A bench with an EEPROM.
pub trait EepromBench: Bench {
    /// How it is reached.
    fn eeprom(&mut self) -> &mut EepromLine;
}

/// Every check.
pub fn checks<B: EepromBench>() -> Vec<Check<B>> {
    vec![
        ("what is written is read", |b| restored(b, written)),
        ("it is deaf while it writes, and not longer than it may", |b| restored(b, deaf)),
        ("a write beyond the end of a page comes round to its begin", |b| restored(b, round)),
        ("a read goes on in the next page, and behind the end at the begin", |b| restored(b, onward)),
        ("a read without an address goes on where the last one ended", |b| restored(b, current)),
        ("the upper bits of an address do not matter", |b| restored(b, upper_bits)),
        ("write protected it answers, changes nothing, and is not busy", |b| restored(b, protected)),
    ]
}

fn protect(bench: &mut impl EepromBench, on: bool) -> bool {
    bench.eeprom().write_protect.as_mut().map(|pin| pin.set(on)).is_some()
}

fn send(bench: &mut impl EepromBench, at: u16, bytes: &[u8]) {
    let EepromLine { i2c, address, .. } = bench.eeprom();
    i2c.write(*address, &[&at.to_be_bytes(), bytes].concat()).expect("it answers");
}

fn write(bench: &mut impl EepromBench, at: u16, bytes: &[u8]) {
    send(bench, at, bytes);
    bench.pass(ms(WRITE_CYCLE_MS));
}

fn read<const N: usize>(bench: &mut impl EepromBench, at: u16) -> [u8; N] {
    let mut bytes = [0; N];
    let EepromLine { i2c, address, .. } = bench.eeprom();
    i2c.write_read(*address, &at.to_be_bytes(), &mut bytes).expect("it answers");
    bytes
}

fn restored<B: EepromBench>(bench: &mut B, check: fn(&mut B) -> Outcome) -> Outcome {
    protect(bench, false);
    let before = PAGES.map(|page| read::<PAGE>(bench, page));
    let outcome = check(bench);
    protect(bench, false);
    for (page, bytes) in PAGES.into_iter().zip(before) {
        write(bench, page, &bytes);
        assert_eq!(read::<PAGE>(bench, page), bytes);
    }
    protect(bench, true);
    outcome
}

fn written(bench: &mut impl EepromBench) -> Outcome {
    write(bench, PAGES[0] + 5, b"abc");
    assert_eq!(read(bench, PAGES[0] + 5), *b"abc");
    write(bench, PAGES[0] + 6, b"B");
    assert_eq!(read(bench, PAGES[0] + 5), *b"aBc", "and nothing beside it");
    Outcome::Passed
}

fn deaf(bench: &mut impl EepromBench) -> Outcome {
    send(bench, PAGES[0], &[0x5A; PAGE]);
    let EepromLine { i2c, address, .. } = bench.eeprom();
    assert!(i2c.write(*address, &PAGES[0].to_be_bytes()).is_err(), "it writes");
    bench.pass(ms(WRITE_CYCLE_MS));
    assert_eq!(read(bench, PAGES[0]), [0x5A; PAGE]);
    Outcome::Passed
}

fn round(bench: &mut impl EepromBench) -> Outcome {
    write(bench, PAGES[0], &[0; PAGE]);
    let next = read::<PAGE>(bench, PAGES[1]);
    write(bench, PAGES[0] + 30, b"abcd");
    assert_eq!((read(bench, PAGES[0] + 30), read(bench, PAGES[0])), (*b"ab", *b"cd"));
    assert_eq!(read::<PAGE>(bench, PAGES[1]), next);
    Outcome::Passed
}

fn onward(bench: &mut impl EepromBench) -> Outcome {
    write(bench, PAGES[0] + 30, b"ab");
    write(bench, PAGES[1], b"cd");
    assert_eq!(read(bench, PAGES[0] + 30), *b"abcd");
    write(bench, PAGES[1] + 30, b"yz");
    let [y, z, rest @ ..] = read::<4>(bench, PAGES[1] + 30);
    assert_eq!(([y, z], rest), (*b"yz", read(bench, 0)));
    Outcome::Passed
}

fn current(bench: &mut impl EepromBench) -> Outcome {
    write(bench, PAGES[0], b"abcd");
    assert_eq!(read(bench, PAGES[0]), *b"ab");
    let mut two = [0; 2];
    let EepromLine { i2c, address, .. } = bench.eeprom();
    i2c.read(*address, &mut two).expect("it answers");
    assert_eq!(two, *b"cd");
    Outcome::Passed
}

fn upper_bits(bench: &mut impl EepromBench) -> Outcome {
    write(bench, PAGES[0] | 0xA000, b"abc");
    assert_eq!((read(bench, PAGES[0]), read(bench, PAGES[0] | 0x5000)), (*b"abc", *b"abc"));
    Outcome::Passed
}

fn protected(bench: &mut impl EepromBench) -> Outcome {
    write(bench, PAGES[0], b"abc");
    if !protect(bench, true) {
        return Outcome::Skipped("the write protection is not wired");
    }
    send(bench, PAGES[0], b"xyz");
    assert_eq!(read(bench, PAGES[0]), *b"abc");
    Outcome::Passed
}
