//! Wiring: an SSD1680 (Solomon Systech, rev. 0.14) with a panel of 128 x 296 dots on SPI, mode 0, with DC, RST, BUSY and its
//! supply on pins. The suite leaves the panel white, asleep and without power.

use super::{Bench, Check, Outcome, ms};
use embedded_hal::digital::InputPin as _;
use embedded_hal::spi::SpiDevice as _;
use planktor_drivers::board::DisplayLine;

/// Bytes of a line, and lines.
const ACROSS: usize = 16;
const LINES: usize = 296;
/// A full update, in the cold.
const UPDATE_MS: u64 = 15_000;

/// A bench with a display.
pub trait DisplayBench: Bench {
    /// How it is reached.
    fn display(&mut self) -> &mut DisplayLine;
    /// What is shown, line by line; `None` if nobody looks.
    fn shows(&mut self) -> Option<Vec<u8>>;
}

/// Every check.
pub fn checks<B: DisplayBench>() -> Vec<Check<B>> {
    vec![
        ("a restart makes it busy for a moment", |b| white_again(b, restart)),
        ("an update makes it busy, and ends", |b| white_again(b, update)),
        ("it shows what it was sent, in the window that it was told", |b| white_again(b, window)),
        ("asleep it hears nothing, until it is reset", |b| white_again(b, asleep)),
    ]
}

fn send(bench: &mut impl DisplayBench, command: u8, data: &[u8]) {
    let line = bench.display();
    line.data.set(false);
    line.spi.write(&[command]).expect("the bus works");
    line.data.set(true);
    for piece in data.chunks(1_024) {
        line.spi.write(piece).expect("the bus works");
    }
}

fn is_busy(bench: &mut impl DisplayBench) -> bool {
    bench.display().busy.is_high().expect("the pin works")
}

fn ready(bench: &mut impl DisplayBench, within_ms: u64) {
    let mut waited = 0;
    while is_busy(bench) {
        assert!(waited < within_ms, "it is busy after {waited} ms");
        bench.pass(ms(5));
        waited += 5;
    }
}

fn wake(bench: &mut impl DisplayBench) {
    bench.display().power.set(true);
    bench.display().reset.set(false);
    bench.pass(ms(10));
    bench.display().reset.set(true);
    bench.pass(ms(10));
    ready(bench, 500);
}

fn set_up(bench: &mut impl DisplayBench) {
    send(bench, 0x12, &[]);
    ready(bench, 500);
    send(bench, 0x01, &[0x27, 0x01, 0x00]);
    send(bench, 0x21, &[0x40, 0x80]);
}

fn show(bench: &mut impl DisplayBench) {
    send(bench, 0x22, &[0xF7]);
    send(bench, 0x20, &[]);
}

fn fill(bench: &mut impl DisplayBench, (left, right): (u8, u8), (top, bottom): (u16, u16), bytes: &[u8]) {
    send(bench, 0x11, &[0x03]);
    send(bench, 0x44, &[left, right]);
    send(bench, 0x45, &[top.to_le_bytes(), bottom.to_le_bytes()].concat());
    send(bench, 0x4E, &[left]);
    send(bench, 0x4F, &top.to_le_bytes());
    send(bench, 0x24, bytes);
}

fn all(bench: &mut impl DisplayBench, bytes: &[u8]) {
    fill(bench, (0, 15), (0, 295), bytes);
}

fn white_again<B: DisplayBench>(bench: &mut B, check: fn(&mut B) -> Outcome) -> Outcome {
    wake(bench);
    let outcome = check(bench);
    wake(bench);
    set_up(bench);
    all(bench, &[0xFF; ACROSS * LINES]);
    show(bench);
    ready(bench, UPDATE_MS);
    send(bench, 0x10, &[0x01]);
    bench.display().power.set(false);
    outcome
}

fn restart(bench: &mut impl DisplayBench) -> Outcome {
    assert!(!is_busy(bench));
    send(bench, 0x12, &[]);
    assert!(is_busy(bench));
    ready(bench, 500);
    Outcome::Passed
}

fn update(bench: &mut impl DisplayBench) -> Outcome {
    set_up(bench);
    all(bench, &[0xFF; ACROSS * LINES]);
    show(bench);
    assert!(is_busy(bench));
    bench.pass(ms(500));
    assert!(is_busy(bench), "ink is not so fast");
    ready(bench, UPDATE_MS);
    Outcome::Passed
}

fn window(bench: &mut impl DisplayBench) -> Outcome {
    set_up(bench);
    all(bench, &[0xFF; ACROSS * LINES]);
    fill(bench, (3, 4), (7, 8), &[1, 2, 3, 4, 5]);
    show(bench);
    ready(bench, UPDATE_MS);
    let Some(shows) = bench.shows() else { return Outcome::Skipped("nobody looks at the panel") };
    let mut expected = vec![0xFF; ACROSS * LINES];
    for (line, bytes) in [(7, [5, 2]), (8, [3, 4])] {
        expected[line * ACROSS + 3..line * ACROSS + 5].copy_from_slice(&bytes);
    }
    assert!(shows == expected, "the fifth byte came round to the first one's place");
    Outcome::Passed
}

fn asleep(bench: &mut impl DisplayBench) -> Outcome {
    set_up(bench);
    send(bench, 0x10, &[0x01]);
    show(bench);
    bench.pass(ms(UPDATE_MS));
    assert!(is_busy(bench), "asleep it says that it is busy (command 0x10)");
    wake(bench);
    Outcome::Passed
}
