//! A 24C32 as its datasheet (Microchip 24AA32A/24LC32A, DS20001713) describes it: 4,096 bytes in pages of 32, a write cycle
//! during which it is deaf, write protection, three ways to read. What a power cut in the middle of a write leaves is this
//! world's assumption: the page is erased first and then written.

use planktor_protocol::Instant;
use std::time::Duration;

/// Bytes ("Features").
pub const SIZE: usize = 4_096;
/// Bytes of a page ("Features").
pub const PAGE: usize = 32;
/// "Write cycle time (byte or page)": 5 ms at most; this one takes it all.
const WRITE_CYCLE: Duration = Duration::from_millis(5);
/// What is erased.
const ERASED: u8 = 0xFF;

/// The chip.
pub struct Model {
    bytes: Vec<u8>,
    /// The address counter.
    at: usize,
    /// Until when it writes, and the page that it writes.
    busy: Instant,
    writes: usize,
    protected: bool,
    /// Pages that were written, all in all.
    pub written: u64,
}

impl std::fmt::Debug for Model {
    /// Without its content.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Model(at {:#x}, busy until {:?})", self.at, self.busy)
    }
}

/// The chip leaves the line high.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotAcknowledged;

impl Model {
    /// With this at its begin, and erased behind it.
    pub fn new(content: &[u8]) -> Self {
        let mut bytes = content.to_vec();
        bytes.resize(SIZE, ERASED);
        Self { bytes, at: 0, busy: Instant::ZERO, writes: 0, protected: false, written: 0 }
    }

    /// Everything that it holds.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Whether it takes writes.
    pub fn is_protected(&self) -> bool {
        self.protected
    }

    /// Its WP pin; high protects it.
    pub fn protect(&mut self, high: bool) {
        self.protected = high;
    }

    /// A write up to its stop: two bytes of address, the upper four bits of which do not matter ("Contiguous addressing"),
    /// then data, which come round within the page ("Page write"). While it writes it acknowledges nothing ("Acknowledge
    /// polling"); protected, it acknowledges and changes nothing ("Write protection").
    pub fn write(&mut self, bytes: &[u8], now: Instant) -> Result<(), NotAcknowledged> {
        self.acknowledge(now)?;
        let [high, low, data @ ..] = bytes else { return Ok(()) };
        self.at = usize::from(u16::from_be_bytes([*high, *low])) % SIZE;
        if data.is_empty() || self.protected {
            return Ok(());
        }
        let page = self.at / PAGE * PAGE;
        for byte in data {
            self.bytes[self.at] = *byte;
            self.at = page + (self.at + 1) % PAGE;
        }
        (self.busy, self.writes) = (now + WRITE_CYCLE, page);
        self.written += 1;
        Ok(())
    }

    /// A read: from the address counter on, over the chip's end ("Sequential read").
    pub fn read(&mut self, bytes: &mut [u8], now: Instant) -> Result<(), NotAcknowledged> {
        self.acknowledge(now)?;
        for byte in bytes {
            *byte = self.bytes[self.at];
            self.at = (self.at + 1) % SIZE;
        }
        Ok(())
    }

    /// The power goes and comes back: a page that is being written is left half done.
    pub fn lose_power(&mut self, now: Instant) {
        if now < self.busy {
            self.bytes[self.writes + PAGE / 2..self.writes + PAGE].fill(ERASED);
        }
        (self.busy, self.at) = (now, 0);
    }

    fn acknowledge(&self, now: Instant) -> Result<(), NotAcknowledged> {
        if now < self.busy { Err(NotAcknowledged) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(us: u64) -> Instant {
        Instant::from_nanos(us * 1_000)
    }

    fn read(model: &mut Model, address: [u8; 2], us: u64) -> [u8; 4] {
        let mut bytes = [0; 4];
        model.write(&address, at(us)).unwrap();
        model.read(&mut bytes, at(us)).unwrap();
        bytes
    }

    #[test]
    fn a_write_comes_round_within_its_page_and_makes_it_deaf_for_a_while() {
        let mut model = Model::new(&[]);
        model.write(&[0x00, 0x3E, 1, 2, 3], at(0)).unwrap();
        assert_eq!(model.write(&[0, 0], at(4_999)), Err(NotAcknowledged));
        assert_eq!(model.read(&mut [0], at(4_999)), Err(NotAcknowledged));
        assert_eq!(read(&mut model, [0xF0, 0x3E], 5_000), [1, 2, 0xFF, 0xFF], "the upper bits do not matter");
        assert_eq!(read(&mut model, [0x00, 0x20], 5_000), [3, 0xFF, 0xFF, 0xFF]);
        assert_eq!(model.written, 1);
    }

    #[test]
    fn a_read_goes_on_where_the_last_one_ended_and_over_the_end() {
        let mut model = Model::new(b"abcdef");
        assert_eq!(read(&mut model, [0, 0], 0), *b"abcd");
        let mut two = [0; 2];
        model.read(&mut two, at(0)).unwrap();
        assert_eq!(&two, b"ef");
        assert_eq!(read(&mut model, [0x0F, 0xFE], 0), [0xFF, 0xFF, b'a', b'b']);
    }

    #[test]
    fn protected_it_listens_and_changes_nothing() {
        let mut model = Model::new(b"abcd");
        model.protect(true);
        model.write(&[0, 0, 9], at(0)).unwrap();
        assert_eq!(read(&mut model, [0, 0], 0), *b"abcd", "and is not busy");
    }

    #[test]
    fn a_power_cut_leaves_a_page_half_written_and_a_rest_alone() {
        let mut model = Model::new(&[7; 64]);
        model.write(&[&[0, 0][..], &[1; 32]].concat(), at(0)).unwrap();
        model.lose_power(at(1_000));
        assert_eq!(read(&mut model, [0, 14], 1_000), [1, 1, 0xFF, 0xFF]);
        assert_eq!(read(&mut model, [0, 30], 1_000), [0xFF, 0xFF, 7, 7]);
    }
}
