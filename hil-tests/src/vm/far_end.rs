//! Who is at the far end of the wires: a twin's chips, each where a board has it. Sees everything that happens there, and
//! may be meddled with. Dropped, it is as if nobody were there.

use super::wires::{Happening, I2cPart, Record, SpiPart, driven};
use embedded_hal::i2c::{self, I2c as _};
use embedded_hal::spi::SpiDevice as _;
use planktor_drivers::board::{DiagLine, Enable, Falls, Foreseen, I2c, LampLine, Output, Spi};
use planktor_drivers::clock::Monotonic;
use planktor_drivers::{Board as _, Clock as _};
use planktor_protocol::Instant;
use planktor_sim::Twin;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use std::collections::{BTreeMap, VecDeque};
use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// The module's node.
const NODE: &str = "/dev/farend";
/// What happened is remembered, but not for ever.
const REMEMBERED: usize = 4_096;
/// Longer than any record: 42 messages of 8 KiB, the most that i2c-dev takes.
const LONGEST: usize = 512 * 1024;
/// How soon it notices that it is to go.
const GLANCE: Duration = Duration::from_millis(10);
/// The pump's enable line, BCM; both boards.
const PUMP_ENABLE: u8 = 23;
/// The stage's.
const FOCUS_ENABLE: u8 = 5;
/// High selects HAT 1.2's LED.
const LED_SELECT: u8 = 18;
/// High lights it, where it is ready for that.
const LED_STROBE: u8 = 22;
/// The motor drivers pull it low, if a twin has it wired.
const DIAG: u8 = 16;
/// High protects the EEPROM.
const WRITE_PROTECT: u8 = 26;
/// Lamp, bubbler and clock, and HAT 1.2's EEPROM.
const SLOW_BUS: u8 = 1;
/// HAT 3.3's EEPROM.
const EEPROM_BUS: u8 = 9;
/// The only SPI mode that a TMC5160 understands (datasheet rev. 1.17, section 4.2).
const MODE: u8 = 3;

/// Two kinds of bus that can be meddled with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Wire {
    /// SPI.
    Spi,
    /// I2C.
    I2c,
}

/// What comes back over a wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answers {
    /// What the chips say.
    Theirs,
    /// An error of the controller.
    Error(Errno),
    /// Nothing: the bus is stuck.
    Never,
    /// What the chips say, so much later.
    Late(Duration),
    /// This byte, whatever was asked: another chip, or a line that floats.
    Only(u8),
}

/// How a chip select was clocked: speed in Hz, mode, bits a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Clocking {
    /// Which.
    pub cs: u8,
    /// Its speed.
    pub hz: u32,
    /// The kernel's mode bits.
    pub mode: u8,
    /// Of a word.
    pub bits: u8,
}

/// Everything that was seen.
#[derive(Debug, Default)]
struct Seen {
    recent: VecDeque<Happening>,
    pins: (u64, u64),
    clockings: BTreeMap<Clocking, u64>,
    happenings: u64,
    meddled: BTreeMap<Wire, Answers>,
    /// When somebody first waited in vain, since a wire was last meddled with.
    in_vain: Option<Instant>,
}

/// Somebody at the far end, until it is dropped.
pub struct FarEnd {
    seen: Arc<Mutex<Seen>>,
    file: Arc<File>,
    goes: Arc<AtomicBool>,
    serving: Option<JoinHandle<()>>,
}

impl FarEnd {
    /// Puts a twin's chips there.
    ///
    /// # Errors
    /// The module is not there, or somebody else is at its end.
    pub fn of(twin: &Twin) -> io::Result<Self> {
        let file = Arc::new(File::options().read(true).write(true).open(NODE)?);
        rustix::io::ioctl_fionbio(&file, true)?;
        let (seen, goes) = (Arc::<Mutex<Seen>>::default(), Arc::<AtomicBool>::default());
        let serving = std::thread::spawn({
            let (twin, file, seen, goes) = (twin.clone(), file.clone(), seen.clone(), goes.clone());
            move || serve(Chips::of(&twin), &file, &seen, &goes)
        });
        Ok(Self { seen, file, goes, serving: Some(serving) })
    }

    /// What happened since this was last asked, oldest first; the last 4,096 only.
    pub fn happened(&self) -> Vec<Happening> {
        lock(&self.seen).recent.drain(..).collect()
    }

    /// How many messages, transactions and changes of pins there were.
    pub fn count(&self) -> u64 {
        lock(&self.seen).happenings
    }

    /// How SPI was clocked, and how often.
    pub fn clockings(&self) -> BTreeMap<Clocking, u64> {
        lock(&self.seen).clockings.clone()
    }

    /// Whether a pin is an output, and high.
    pub fn pin(&self, number: u8) -> Option<bool> {
        let (outputs, high) = lock(&self.seen).pins;
        (outputs >> number & 1 == 1).then_some(high >> number & 1 == 1)
    }

    /// Drives the lines that are inputs.
    ///
    /// # Errors
    /// There are no such lines.
    pub fn drive(&self, levels: u64) -> io::Result<()> {
        rustix::io::write(&self.file, &driven(levels))?;
        Ok(())
    }

    /// From now on this comes back.
    pub fn meddle(&self, wire: Wire, answers: Answers) {
        let mut seen = lock(&self.seen);
        seen.meddled.insert(wire, answers);
        seen.in_vain = None;
    }

    /// When somebody first waited in vain for an answer, since a wire was last meddled with.
    pub fn in_vain(&self) -> Option<Instant> {
        lock(&self.seen).in_vain
    }
}

impl Drop for FarEnd {
    fn drop(&mut self) {
        self.goes.store(true, Ordering::Relaxed);
        let ended = self.serving.take().map(JoinHandle::join);
        assert!(std::thread::panicking() || matches!(ended, Some(Ok(()))), "the far end panicked");
    }
}

fn lock(seen: &Mutex<Seen>) -> MutexGuard<'_, Seen> {
    seen.lock().unwrap_or_else(PoisonError::into_inner)
}

fn serve(mut chips: Chips, file: &File, seen: &Mutex<Seen>, goes: &AtomicBool) {
    let (mut record, mut late) = (vec![0; LONGEST], BTreeMap::<(Instant, u32), Vec<u8>>::new());
    while !goes.load(Ordering::Relaxed) {
        wait(file, &late, chips.diag.as_deref().and_then(Foreseen::falls));
        chips.pull(file);
        while let Some(due) = late.first_entry().filter(|due| due.key().0 <= Monotonic.now()) {
            say(file, &due.remove());
        }
        let len = match rustix::io::read(file, &mut record) {
            Ok(len) => len,
            Err(Errno::AGAIN | Errno::INTR) => continue,
            Err(error) => panic!("{NODE} cannot be read: {error}"),
        };
        let record = Record::read(&record[..len]).expect("the module keeps to its own words");
        let answers = note(&mut lock(seen), &record.what);
        // The chips hear everything, whatever becomes of what they say.
        let theirs = chips.hear(&record.what);
        chips.pull(file);
        let answer = match answers {
            Answers::Never => None,
            Answers::Error(errno) => Some(record.answer(Err(errno))),
            Answers::Only(byte) => Some(record.answer(Ok(&vec![byte; record.what.received()]))),
            Answers::Theirs | Answers::Late(_) => match theirs {
                Reply::Bytes(bytes) => Some(record.answer(Ok(&bytes))),
                Reply::Error(errno) => Some(record.answer(Err(errno))),
                Reply::Nothing => None,
            },
        };
        match (answer, answers) {
            (None, _) => {}
            _ if record.seq == 0 => {}
            (Some(answer), Answers::Late(by)) => {
                drop(late.insert((Monotonic.now() + by, record.seq), answer))
            }
            (Some(answer), _) => say(file, &answer),
        }
    }
}

/// Until something happens or is due, but not long.
fn wait(file: &File, late: &BTreeMap<(Instant, u32), Vec<u8>>, falls: Option<Instant>) {
    let due = late.keys().map(|(at, _)| *at).take(1).chain(falls).min();
    let due = due.map_or(GLANCE, |at| (at - Monotonic.now()).min(GLANCE));
    let at_most = Timespec::try_from(due).expect("a short time");
    let _ = poll(&mut [PollFd::from_borrowed_fd(file.as_fd(), PollFlags::IN)], Some(&at_most));
}

fn say(file: &File, answer: &[u8]) {
    match rustix::io::write(file, answer) {
        // Whoever asked has waited long enough and is gone.
        Ok(_) | Err(Errno::STALE) => {}
        Err(error) => panic!("{NODE} does not take an answer: {error}"),
    }
}

fn note(seen: &mut Seen, what: &Happening) -> Answers {
    let wire = match what {
        Happening::Spi(parts) => {
            for &SpiPart { cs, hz, mode, bits, .. } in parts {
                *seen.clockings.entry(Clocking { cs, hz, mode, bits }).or_default() += 1;
            }
            Some(Wire::Spi)
        }
        Happening::I2c { .. } => Some(Wire::I2c),
        Happening::Pins { outputs, high } => {
            seen.pins = (*outputs, *high);
            None
        }
    };
    seen.happenings += 1;
    if seen.recent.len() == REMEMBERED {
        seen.recent.pop_front();
    }
    seen.recent.push_back(what.clone());
    let answers = wire.and_then(|wire| seen.meddled.get(&wire).copied()).unwrap_or(Answers::Theirs);
    if answers == Answers::Never {
        seen.in_vain.get_or_insert_with(|| Monotonic.now());
    }
    answers
}

/// What a wire gives back.
enum Reply {
    Bytes(Vec<u8>),
    Error(Errno),
    Nothing,
}

/// A twin's chips with its own buses, one for each wire here.
struct Chips {
    spi: [Spi; 2],
    i2c: BTreeMap<u8, I2c>,
    pins: Vec<Pin>,
    /// The motor drivers' line, and its level.
    diag: Option<Box<dyn Foreseen>>,
    diag_is_high: bool,
}

/// A chip's pin on a line of the header.
struct Pin {
    line: u8,
    /// Its level while nobody drives the line: one that harms nobody.
    pulled: bool,
    /// What was felt last.
    level: Option<bool>,
    feel: Box<dyn FnMut(bool)>,
}

impl Pin {
    fn new(line: u8, pulled: bool, feel: impl FnMut(bool) + 'static) -> Self {
        Self { line, pulled, level: None, feel: Box::new(feel) }
    }

    fn enable(line: u8, enable: Enable) -> Self {
        Self::new(
            line,
            true,
            move |high| if high { enable.off() } else { enable.on().expect("a twin's pin obeys") },
        )
    }

    fn output(line: u8, pulled: bool, mut output: Output) -> Self {
        Self::new(line, pulled, move |high| output.set(high))
    }
}

impl Chips {
    fn of(twin: &Twin) -> Self {
        let (hardware, slow) = (twin.hardware(), twin.slow_buses());
        let spi = [hardware.pump_spi(), hardware.focus_spi()].map(|spi| spi.expect("a twin has both motors"));
        let eeprom = slow.eeprom().expect("a twin has an EEPROM");
        let mut pins = vec![
            Pin::enable(PUMP_ENABLE, hardware.pump_enable()),
            Pin::enable(FOCUS_ENABLE, hardware.focus_enable()),
        ];
        pins.extend(eeprom.write_protect.map(|protect| Pin::output(WRITE_PROTECT, true, protect)));
        let i2c = match slow.lamp().expect("a twin has a lamp") {
            LampLine::Converter(line) => BTreeMap::from([(SLOW_BUS, line.i2c), (EEPROM_BUS, eeprom.i2c)]),
            LampLine::Driver { i2c, select } => {
                pins.push(Pin::output(LED_SELECT, false, select));
                let strobe = hardware.strobe().expect("a twin has its pins");
                pins.extend(strobe.map(|strobe| Pin::output(LED_STROBE, false, strobe)));
                BTreeMap::from([(SLOW_BUS, i2c)])
            }
        };
        let diag = hardware.diag().into_iter().flatten().find_map(|DiagLine { falls, .. }| match falls {
            Falls::Foreseen(foreseen) => Some(foreseen),
            Falls::Told(_) => None,
        });
        Self { spi, i2c, pins, diag, diag_is_high: false }
    }

    /// Drives the motor drivers' line, if it is wired.
    fn pull(&mut self, file: &File) {
        let Some(diag) = &self.diag else { return };
        let is_high = !diag.is_low();
        if std::mem::replace(&mut self.diag_is_high, is_high) != is_high {
            say(file, &driven(u64::from(is_high) << DIAG));
        }
    }

    fn hear(&mut self, what: &Happening) -> Reply {
        match what {
            Happening::Spi(parts) => self.spi(parts),
            Happening::I2c { bus, address, parts } => self.i2c(*bus, *address, parts),
            Happening::Pins { outputs, high } => {
                self.feel(*outputs, *high);
                Reply::Bytes(vec![])
            }
        }
    }

    /// Everything between two edges of the chip select is one frame.
    fn spi(&mut self, parts: &[SpiPart]) -> Reply {
        let (mut received, mut frame) = (vec![], vec![]);
        for (n, part) in parts.iter().enumerate() {
            frame.extend_from_slice(&part.sent);
            if part.cs_change || n + 1 == parts.len() {
                match self.frame(part, &mut frame) {
                    Ok(()) => received.append(&mut frame),
                    Err(errno) => return Reply::Error(errno),
                }
            }
        }
        Reply::Bytes(received)
    }

    fn frame(&mut self, SpiPart { cs, mode, .. }: &SpiPart, frame: &mut [u8]) -> Result<(), Errno> {
        let Some(chip) = self.spi.get_mut(usize::from(*cs)).filter(|_| frame.len() == 5) else {
            // The chips know frames of forty bits only, and drive the line in no other.
            frame.fill(0);
            return Ok(());
        };
        let late = mode & MODE != MODE;
        if late {
            a_bit_late(frame);
        }
        chip.transfer_in_place(frame).map_err(|_| Errno::IO)?;
        if late {
            a_bit_late(frame);
        }
        Ok(())
    }

    fn i2c(&mut self, bus: u8, address: u16, parts: &[I2cPart]) -> Reply {
        let (Some(bus), Ok(address)) = (self.i2c.get_mut(&bus), u8::try_from(address)) else {
            return Reply::Error(Errno::REMOTEIO);
        };
        let mut buffers: Vec<_> = parts.iter().map(I2cPart::buffer).collect();
        let mut operations: Vec<_> = parts
            .iter()
            .zip(&mut buffers)
            .map(|(part, buffer)| match part {
                I2cPart::Write(bytes) => i2c::Operation::Write(bytes),
                I2cPart::Read(_) => i2c::Operation::Read(buffer),
            })
            .collect();
        match bus.transaction(address, &mut operations) {
            Ok(()) => Reply::Bytes(buffers.concat()),
            // As a Raspberry Pi's adapters have it.
            Err(i2c::ErrorKind::NoAcknowledge(_)) => Reply::Error(Errno::REMOTEIO),
            Err(_) => Reply::Nothing,
        }
    }

    fn feel(&mut self, outputs: u64, high: u64) {
        for pin in &mut self.pins {
            let is = |levels: u64| levels >> pin.line & 1 == 1;
            let level = if is(outputs) { is(high) } else { pin.pulled };
            if pin.level.replace(level) != Some(level) {
                (pin.feel)(level);
            }
        }
    }
}

/// In another mode each side looks at the line half a clock off, and takes each bit for the next one.
fn a_bit_late(bytes: &mut [u8]) {
    let mut carried = 0;
    for byte in bytes {
        let next = *byte << 7;
        *byte = *byte >> 1 | carried;
        carried = next;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_that_is_a_bit_late_is_another_one() {
        let mut frame = [0b1010_0001, 0b0000_0001, 0xFF];
        a_bit_late(&mut frame);
        assert_eq!(frame, [0b0101_0000, 0b1000_0000, 0xFF]);
    }
}
