//! What happens on the wires of the virtual machine, as `/dev/farend` tells it, and how it is answered: the records of
//! `vm/farend/farend.c`, read and written. Knows no chip.

use rustix::io::Errno;

/// An I2C message that reads (`I2C_M_RD`).
const READS: u16 = 1;

/// One transfer of an SPI message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpiPart {
    /// Its clock.
    pub hz: u32,
    /// Whose chip select is low.
    pub cs: u8,
    /// The kernel's mode bits; the lower two are the mode's number.
    pub mode: u8,
    /// Of a word.
    pub bits: u8,
    /// Whether the chip select goes up after it.
    pub cs_change: bool,
    /// What is sent; as much is received.
    pub sent: Vec<u8>,
}

/// One message of an I2C transaction: there is a (repeated) start before it, and a stop after the last one only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum I2cPart {
    /// Bytes to a chip.
    Write(Vec<u8>),
    /// So many bytes from it.
    Read(usize),
}

/// What happens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Happening {
    /// One message on SPI: everything that the kernel was asked to do in one go.
    Spi(Vec<SpiPart>),
    /// One transaction on I2C, all messages to one address.
    I2c {
        /// The adapter's number.
        bus: u8,
        /// Seven bits.
        address: u16,
        /// Its messages.
        parts: Vec<I2cPart>,
    },
    /// All pins as they are from now on, a bit each.
    Pins {
        /// Which the computer drives.
        outputs: u64,
        /// Which of these are high.
        high: u64,
    },
}

/// Something that happens, and the number by which it is answered; 0 wants no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The number.
    pub seq: u32,
    /// What.
    pub what: Happening,
}

impl I2cPart {
    /// Room for what is read.
    pub fn buffer(&self) -> Vec<u8> {
        match self {
            Self::Write(_) => vec![],
            Self::Read(len) => vec![0; *len],
        }
    }
}

impl Happening {
    /// How many bytes are received.
    pub fn received(&self) -> usize {
        match self {
            Self::Spi(parts) => parts.iter().map(|part| part.sent.len()).sum(),
            Self::I2c { parts, .. } => parts.iter().map(|part| part.buffer().len()).sum(),
            Self::Pins { .. } => 0,
        }
    }
}

impl Record {
    /// Reads one; `None` if the module does not keep to its own words.
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let mut rest = Rest(bytes);
        let (seq, [kind, bus], parts) = (rest.u32()?, rest.take::<2>()?, rest.u16()?);
        let what = match kind {
            0 => Happening::Spi((0..parts).map(|_| spi_part(&mut rest)).collect::<Option<_>>()?),
            1 => i2c(bus, (0..parts).map(|_| i2c_part(&mut rest)).collect::<Option<_>>()?)?,
            2 => Happening::Pins { outputs: rest.u64()?, high: rest.u64()? },
            _ => return None,
        };
        rest.0.is_empty().then_some(Self { seq, what })
    }

    /// Answers it: what is received, or with which error it ends.
    pub fn answer(&self, with: Result<&[u8], Errno>) -> Vec<u8> {
        let status = with.err().map_or(0, |errno| -errno.raw_os_error());
        [&self.seq.to_ne_bytes(), &status.to_ne_bytes(), with.unwrap_or(&[])].concat()
    }
}

/// What drives the lines that are inputs, from now on, a bit each.
pub fn driven(levels: u64) -> Vec<u8> {
    [[0; 8], levels.to_ne_bytes()].concat()
}

fn spi_part(rest: &mut Rest<'_>) -> Option<SpiPart> {
    let (hz, len, [cs, mode, bits, cs_change]) = (rest.u32()?, rest.u32()?, rest.take()?);
    Some(SpiPart { hz, cs, mode, bits, cs_change: cs_change != 0, sent: rest.bytes(len)?.to_vec() })
}

fn i2c_part(rest: &mut Rest<'_>) -> Option<(u16, I2cPart)> {
    let (address, flags, len) = (rest.u16()?, rest.u16()?, rest.u32()?);
    let reads = flags & READS != 0;
    Some((
        address,
        if reads { I2cPart::Read(len as usize) } else { I2cPart::Write(rest.bytes(len)?.to_vec()) },
    ))
}

fn i2c(bus: u8, parts: Vec<(u16, I2cPart)>) -> Option<Happening> {
    let address = parts.first()?.0;
    let all_to_one = parts.iter().all(|(to, _)| *to == address);
    let parts = parts.into_iter().map(|(_, part)| part).collect();
    all_to_one.then_some(Happening::I2c { bus, address, parts })
}

/// What has not yet been read.
struct Rest<'a>(&'a [u8]);

impl<'a> Rest<'a> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*taken)
    }
    fn bytes(&mut self, len: u32) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(len as usize)?;
        self.0 = rest;
        Some(taken)
    }
    fn u16(&mut self) -> Option<u16> {
        self.take().map(u16::from_ne_bytes)
    }
    fn u32(&mut self) -> Option<u32> {
        self.take().map(u32::from_ne_bytes)
    }
    fn u64(&mut self) -> Option<u64> {
        self.take().map(u64::from_ne_bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(kind: u8, bus: u8, parts: u16) -> Vec<u8> {
        [&7u32.to_ne_bytes()[..], &[kind, bus], &parts.to_ne_bytes()].concat()
    }

    fn message(address: u16, flags: u16, len: u32, bytes: &[u8]) -> Vec<u8> {
        [&address.to_ne_bytes(), &flags.to_ne_bytes(), &len.to_ne_bytes()[..], bytes].concat()
    }

    #[test]
    fn a_message_on_spi_is_read_with_all_that_the_controller_was_told() {
        let part = [&1_000_000u32.to_ne_bytes()[..], &2u32.to_ne_bytes(), &[1, 3, 8, 1], &[0x6C, 5]].concat();
        let read = Record::read(&[head(0, 0, 1), part].concat()).unwrap();
        let part = SpiPart { hz: 1_000_000, cs: 1, mode: 3, bits: 8, cs_change: true, sent: vec![0x6C, 5] };
        assert_eq!(read, Record { seq: 7, what: Happening::Spi(vec![part]) });
    }

    #[test]
    fn a_transaction_on_i2c_is_one_with_all_its_messages() {
        let read =
            Record::read(&[head(1, 9, 2), message(0x50, 0, 2, &[0, 1]), message(0x50, 1, 32, &[])].concat());
        let parts = vec![I2cPart::Write(vec![0, 1]), I2cPart::Read(32)];
        assert_eq!(read.unwrap().what, Happening::I2c { bus: 9, address: 0x50, parts });
        let two = [head(1, 9, 2), message(0x50, 0, 0, &[]), message(0x51, 0, 0, &[])].concat();
        assert_eq!(Record::read(&two), None, "nobody here talks to two chips in one go");
    }

    #[test]
    fn what_is_cut_off_or_goes_on_is_not_believed() {
        let whole = [head(2, 0, 0), 1u64.to_ne_bytes().to_vec(), 0u64.to_ne_bytes().to_vec()].concat();
        assert!(Record::read(&whole).is_some());
        assert!((0..whole.len()).all(|len| Record::read(&whole[..len]).is_none()));
        assert_eq!(Record::read(&[whole, vec![0]].concat()), None);
    }

    #[test]
    fn an_answer_carries_bytes_or_an_error() {
        let record = Record { seq: 7, what: Happening::Pins { outputs: 0, high: 0 } };
        assert_eq!(record.answer(Ok(&[1, 2])), [&7u32.to_ne_bytes()[..], &[0; 4], &[1, 2]].concat());
        let refused = record.answer(Err(Errno::REMOTEIO));
        assert_eq!(refused[4..], (-Errno::REMOTEIO.raw_os_error()).to_ne_bytes());
    }
}
