//! The board's EEPROM, a 24C32: who the instrument is, and how long its LED has been lit. Page by page, so that nobody waits
//! long: a page is 3.2 ms on a wire at 100 kHz, and after a write the chip is deaf for 5 ms.
//!
//! **No power cut leaves less than there was.** The chip's second half holds the same content again. A change is written into
//! one half, read back, and only then into the other: whenever the power goes, one of them is whole, which its check sums
//! say. The first half is believed before the second (other programs read only that), and the one that was read is written
//! last. A cut in the middle of a page costs what that page held, in the half that is not needed.

pub mod hat;

use crate::board::{EepromLine, I2c, Output};
use eeprom24x::{Eeprom24x, SlaveAddr, addr_size, page_size, unique_serial};
use hat::{HEADER, Image, length};
use planktor_protocol::eeprom::NotKept;
pub use planktor_protocol::eeprom::{Identity, Unreadable};
use planktor_protocol::{Fault, Instant};
use std::time::Duration;

/// Bytes of a 24C32 (Microchip DS20001713, "Features").
const CHIP: usize = 4_096;
/// Bytes of a page of it.
pub const PAGE: usize = 32;
/// What a write takes the chip at most; it may be done sooner ("Write cycle time").
const WRITE: Duration = Duration::from_millis(5);
/// Then it is asked so often,
const AGAIN: Duration = Duration::from_millis(1);
/// and not longer than this: twice what the slowest chips of this kind say.
const PATIENCE: Duration = Duration::from_millis(20);

const SILENT: Fault = Fault::Bus("the EEPROM");

type Page = [u8; PAGE];

/// The chip.
pub struct Eeprom {
    chip: Eeprom24x<I2c, page_size::B32, addr_size::TwoBytes, unique_serial::No>,
    protect: Option<Output>,
}

/// Which copy of the content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Half {
    /// At the chip's begin, where everybody looks.
    First,
    /// In its middle.
    Second,
}

impl Half {
    fn other(self) -> Self {
        match self {
            Self::First => Self::Second,
            Self::Second => Self::First,
        }
    }

    fn begin(self) -> usize {
        match self {
            Self::First => 0,
            Self::Second => CHIP / 2,
        }
    }
}

impl Eeprom {
    /// Touches the write protection only.
    pub fn new(EepromLine { i2c, address, write_protect }: EepromLine) -> Self {
        let bit = |n: u8| address >> n & 1 != 0;
        let address = SlaveAddr::Alternative(bit(2), bit(1), bit(0));
        let mut eeprom = Self { chip: Eeprom24x::new_24x32(i2c, address), protect: write_protect };
        eeprom.protect(true);
        eeprom
    }

    /// Whether it takes writes; low is yes. A write that is under way needs it low to its end.
    pub fn protect(&mut self, on: bool) {
        self.protect.iter_mut().for_each(|pin| pin.set(on));
    }

    /// `None`: it does not answer, because it is writing or is not there.
    fn read(&mut self, at: usize) -> Option<Page> {
        let mut page = [0; PAGE];
        self.chip.read_data(u32::try_from(at).ok()?, &mut page).ok()?;
        Some(page)
    }

    fn write(&mut self, at: usize, page: &Page) -> Result<(), Fault> {
        let at = u32::try_from(at).map_err(|_| SILENT)?;
        self.chip.write_page(at, page).map_err(|_| SILENT)
    }
}

/// What it holds, and in which half that was found.
pub type Content = Result<(Image, Half), Unreadable>;

/// Reads everything, at once: 0.1 s on the wire. For whoever may wait.
///
/// # Errors
/// The chip does not answer. What it holds may be [`Unreadable`].
pub fn read(line: EepromLine) -> Result<Result<Identity, Unreadable>, Fault> {
    let (mut eeprom, mut reader) = (Eeprom::new(line), Reader::default());
    loop {
        if let Some(content) = reader.step(&mut eeprom)? {
            return Ok(content.map(|(image, _)| image.identity));
        }
    }
}

/// Reads the content, a page at each step.
#[derive(Debug, Default)]
pub struct Reader {
    bytes: Vec<u8>,
    /// What was wrong with the first half.
    wrong: Option<Unreadable>,
}

impl Reader {
    /// The content, when all of it is read.
    ///
    /// # Errors
    /// The chip does not answer.
    pub fn step(&mut self, eeprom: &mut Eeprom) -> Result<Option<Content>, Fault> {
        let half = if self.wrong.is_none() { Half::First } else { Half::Second };
        self.bytes.extend(eeprom.read(half.begin() + self.bytes.len()).ok_or(SILENT)?);
        let head = self.bytes.first_chunk::<HEADER>().ok_or(SILENT)?;
        let read = match length(head, CHIP - half.begin()) {
            Ok(length) if length > self.bytes.len() => return Ok(None),
            Ok(_) => Image::parse(std::mem::take(&mut self.bytes)),
            Err(wrong) => Err(wrong),
        };
        Ok(match (read, self.wrong.take()) {
            (Ok(image), _) => Some(Ok((image, half))),
            // What is wrong with the half where everybody looks is what people want to know.
            (Err(_), Some(wrong)) => Some(Err(wrong)),
            (Err(wrong), None) => {
                self.bytes.clear();
                self.wrong = Some(wrong);
                None
            }
        })
    }
}

/// How a [`Writer`] goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// It wants another step after this time.
    Again(Duration),
    /// Both halves are as they should be, or why not.
    Done(Result<(), NotKept>),
}

/// Makes both halves say the same, a page at each step. Writes only pages that differ.
#[derive(Debug)]
pub struct Writer {
    content: Vec<u8>,
    halves: [Half; 2],
    half: usize,
    at: usize,
    /// When the chip must have answered about this page.
    deadline: Option<Instant>,
    written: bool,
}

impl Writer {
    /// `from` is where the content was found that this one replaces: it is left alone until the other half is whole.
    pub fn new(content: Vec<u8>, from: Half) -> Self {
        Self { content, halves: [from.other(), from], half: 0, at: 0, deadline: None, written: false }
    }

    /// What both halves say when it is done.
    pub fn into_content(self) -> Vec<u8> {
        self.content
    }

    /// Goes on.
    ///
    /// # Errors
    /// The chip does not answer.
    pub fn step(&mut self, eeprom: &mut Eeprom, now: Instant) -> Result<Step, Fault> {
        eeprom.protect(false);
        let step = self.go_on(eeprom, now);
        if !matches!(step, Ok(Step::Again(_))) {
            eeprom.protect(true);
        }
        step
    }

    fn go_on(&mut self, eeprom: &mut Eeprom, now: Instant) -> Result<Step, Fault> {
        let Some(half) = self.halves.get(self.half) else { return Ok(Step::Done(Ok(()))) };
        let at = half.begin() + self.at;
        let deadline = *self.deadline.get_or_insert(now + PATIENCE);
        let Some(is) = eeprom.read(at) else {
            return if now < deadline { Ok(Step::Again(AGAIN)) } else { Err(SILENT) };
        };
        let mut wanted = is;
        wanted.iter_mut().zip(&self.content[self.at..]).for_each(|(byte, new)| *byte = *new);
        if is == wanted {
            self.next_page();
            return Ok(Step::Again(Duration::ZERO));
        }
        if self.written {
            return Ok(Step::Done(Err(NotKept::NotTaken)));
        }
        eeprom.write(at, &wanted)?;
        (self.written, self.deadline) = (true, Some(now + PATIENCE));
        Ok(Step::Again(WRITE))
    }

    fn next_page(&mut self) {
        (self.written, self.deadline) = (false, None);
        self.at += PAGE;
        if self.at >= self.content.len() {
            (self.at, self.half) = (0, self.half + 1);
        }
    }
}
