//! Pins: by rppal on a Raspberry Pi, by the GPIO character device elsewhere. The chip is found by its label: its number
//! differs from kernel to kernel.

use super::unopened;
use crate::board::{DiagLine, Falls, Input};
use embedded_hal::digital::{self, InputPin, OutputPin};
use linux_embedded_hal::CdevPin;
use linux_embedded_hal::gpio_cdev::{self, EventRequestFlags, LineRequestFlags};
use planktor_protocol::Fault;
use rppal::gpio;
use rppal::system::DeviceInfo;
use rustix::io::Errno;
use rustix::ioctl::{Opcode, Updater, ioctl, opcode};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, ErrorKind};
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd};
use std::rc::Rc;
use std::sync::Arc;

/// Whoever asks the kernel who has a line is told this.
const CONSUMER: &str = "planktor";

/// Whether this computer is a Raspberry Pi that rppal knows.
pub fn on_a_pi() -> bool {
    DeviceInfo::new().is_ok()
}

/// Where pins come from.
#[derive(Clone, Debug)]
pub struct Pins {
    labels: Vec<String>,
    lent: Lent,
}

/// Outputs of the GPIO character device that another program has and shares with this one ([`Pin::shared`]). The kernel gives
/// a line to one program only; but that one may hand on what it was given, and then both can set it.
#[derive(Clone, Debug, Default)]
pub struct Lent(Arc<BTreeMap<u8, OwnedFd>>);

impl Lent {
    /// Lines by their numbers. What is no line is noticed when it is first set.
    pub fn new(lines: BTreeMap<u8, OwnedFd>) -> Self {
        Self(Arc::new(lines))
    }

    /// Which lines.
    pub fn numbers(&self) -> impl Iterator<Item = u8> {
        self.0.keys().copied()
    }
}

/// An output. Clones are the same pin. Until it is held it obeys nobody: it may be another program's. After the program's end
/// a Pi's pin keeps its level, also after a crash with a motor on; elsewhere the kernel decides.
#[derive(Clone)]
pub struct Pin(Rc<RefCell<Line>>);

struct Line {
    pins: Pins,
    number: u8,
    /// Its level from the first moment on.
    first: bool,
    held: Option<Held>,
}

enum Held {
    Pi(gpio::OutputPin),
    Other(CdevPin),
    Lent(OwnedFd),
}

impl Pins {
    /// Lines of the first GPIO chip with one of these labels; on a Pi rppal knows by itself.
    pub fn new(labels: Vec<String>) -> Self {
        Self { labels, lent: Lent::default() }
    }

    /// The same, but these lines are not asked for: another program has them and shares them. On a Raspberry Pi it changes
    /// nothing.
    #[must_use]
    pub fn with(self, lent: Lent) -> Self {
        Self { lent, ..self }
    }

    /// An output with the level that it is to have from the first moment on.
    pub fn output(&self, number: u8, first: bool) -> Pin {
        Pin(Rc::new(RefCell::new(Line { pins: self.clone(), number, first, held: None })))
    }

    /// An input, held from now on.
    ///
    /// # Errors
    /// It cannot be had: which, and why.
    pub fn input(&self, number: u8) -> Result<Input, Fault> {
        if on_a_pi() {
            let pin = gpio::Gpio::new().and_then(|gpio| gpio.get(number));
            return pin
                .map(|pin| Input::new(PiInput(pin.into_input())))
                .map_err(|error| refused(name(number), error));
        }
        self.requested(number, LineRequestFlags::INPUT, 0).map(|pin| Input::new(OtherInput(pin)))
    }

    fn take(&self, number: u8, first: bool) -> Result<Held, Fault> {
        if on_a_pi() {
            return taken_by_rppal(number, first).map(Held::Pi);
        }
        if let Some(line) = self.lent.0.get(&number) {
            let ours = line.try_clone().and_then(|ours| Ok(set_line(&ours, first).map(|()| ours)?));
            return ours.map(Held::Lent).map_err(|_| Fault::Unusable(name(number)));
        }
        self.requested(number, LineRequestFlags::OUTPUT, first.into()).map(Held::Other)
    }

    /// An input that is pulled up and tells when it falls, held from now on. By the GPIO character device on a Raspberry Pi,
    /// too: it has no level that would have to outlive the program.
    ///
    /// # Errors
    /// It cannot be had: which, and why.
    pub fn diag(&self, number: u8) -> Result<DiagLine, Fault> {
        let how = LineRequestFlags::INPUT | LineRequestFlags::from_bits_retain(PULLED_UP);
        let file = self.of_the_kernel(number, |line| {
            let events = line.events(how.clone(), EventRequestFlags::FALLING_EDGE, CONSUMER).ok()?;
            let file = events.as_fd().try_clone_to_owned().ok()?;
            rustix::io::ioctl_fionbio(&file, true).ok()?;
            Some(file)
        })?;
        Ok(DiagLine { name: name(number), falls: Falls::Told(file) })
    }

    fn requested(&self, number: u8, how: LineRequestFlags, first: u8) -> Result<CdevPin, Fault> {
        self.of_the_kernel(number, |line| line.request(how, first, CONSUMER).and_then(CdevPin::new).ok())
    }

    fn of_the_kernel<T>(
        &self,
        number: u8,
        ask: impl FnOnce(&gpio_cdev::Line) -> Option<T>,
    ) -> Result<T, Fault> {
        let name = name(number);
        let line = self.chip()?.get_line(number.into()).map_err(|_| Fault::Missing(name))?;
        ask(&line).ok_or_else(|| {
            if line.info().is_ok_and(|line| line.is_used()) {
                Fault::InUse(name)
            } else {
                Fault::Unusable(name)
            }
        })
    }

    /// Whether pins can be had, and from whom; takes none.
    ///
    /// # Errors
    /// There are none here, or this user may have none.
    pub fn source(&self) -> Result<String, Fault> {
        if on_a_pi() {
            return gpio::Gpio::new().map(|_| "rppal".into()).map_err(|error| refused(CHIP, error));
        }
        self.chip().map(|chip| format!("{} ({})", chip.label(), chip.path().display()))
    }

    /// The chip, if there is one.
    ///
    /// # Errors
    /// None has such a label, or it may not be opened.
    pub fn chip(&self) -> Result<gpio_cdev::Chip, Fault> {
        let ours = |chip: &gpio_cdev::Chip| self.labels.iter().any(|label| label == chip.label());
        let mut chips = gpio_cdev::chips().into_iter().flatten().flatten();
        chips.find(ours).ok_or_else(|| match File::open(FIRST_CHIP) {
            Err(error) if error.kind() == ErrorKind::PermissionDenied => Fault::Forbidden(CHIP),
            Ok(_) | Err(_) => Fault::Missing(CHIP),
        })
    }
}

/// `GPIOHANDLE_REQUEST_BIAS_PULL_UP` of linux/gpio.h, since Linux 5.5: a line that is only ever pulled low needs it, and one more
/// pull-up beside a board's own is no harm.
const PULLED_UP: u32 = 1 << 5;

/// Who may not open one may open none.
const FIRST_CHIP: &str = "/dev/gpiochip0";
const CHIP: &str = "the GPIO chip";

fn taken_by_rppal(number: u8, first: bool) -> Result<gpio::OutputPin, Fault> {
    let failed = |error| refused(name(number), error);
    let pin = gpio::Gpio::new().and_then(|gpio| gpio.get(number)).map_err(failed)?;
    let mut pin = if first { pin.into_output_high() } else { pin.into_output_low() };
    pin.set_reset_on_drop(false);
    Ok(pin)
}

fn refused(name: &'static str, error: gpio::Error) -> Fault {
    match error {
        gpio::Error::PinUsed(_) => Fault::InUse(name),
        gpio::Error::PinNotAvailable(_) => Fault::Missing(name),
        gpio::Error::PermissionDenied(_) => Fault::Forbidden(CHIP),
        gpio::Error::Io(error) => unopened(CHIP, &error),
        gpio::Error::UnknownModel | gpio::Error::ThreadPanic => Fault::Unusable(CHIP),
    }
}

impl Pin {
    /// Takes it, if it is not held yet.
    ///
    /// # Errors
    /// It cannot be had: which, and why.
    pub fn hold(&self) -> Result<(), Fault> {
        let mut line = self.0.borrow_mut();
        if line.held.is_none() {
            line.held = Some(line.pins.take(line.number, line.first)?);
        }
        Ok(())
    }

    /// Gives it the level again that it had first.
    ///
    /// # Errors
    /// It is not held, or does not obey.
    pub fn rest(&self) -> Result<(), digital::ErrorKind> {
        let first = self.0.borrow().first;
        self.set(first)
    }

    /// The same line for another program; `None` if there is nothing to share: it is not held, or this is a Raspberry Pi,
    /// where every program can set every pin.
    ///
    /// # Errors
    /// There are too many open files.
    pub fn shared(&self) -> io::Result<Option<OwnedFd>> {
        match &self.0.borrow().held {
            None | Some(Held::Pi(_)) => Ok(None),
            Some(Held::Lent(line)) => line.try_clone().map(Some),
            Some(Held::Other(pin)) => line(pin).try_clone_to_owned().map(Some),
        }
    }

    fn set(&self, high: bool) -> Result<(), digital::ErrorKind> {
        match &mut self.0.borrow_mut().held {
            Some(Held::Pi(pin)) => pin.write(if high { gpio::Level::High } else { gpio::Level::Low }),
            Some(Held::Other(pin)) => {
                return pin.set_state(high.into()).map_err(|e| digital::Error::kind(&e));
            }
            Some(Held::Lent(line)) => return set_line(line, high).map_err(|_| digital::ErrorKind::Other),
            None => return Err(digital::ErrorKind::Other),
        }
        Ok(())
    }
}

#[expect(unsafe_code, reason = "gpio-cdev tells a line's file by its number only")]
fn line(pin: &CdevPin) -> BorrowedFd<'_> {
    // SAFETY: the pin owns this file, and is borrowed as long as the answer.
    unsafe { BorrowedFd::borrow_raw(pin.0.as_raw_fd()) }
}

/// Most lines of one handle (`GPIOHANDLES_MAX` of linux/gpio.h); ours have one.
const LINES: usize = 64;
/// `GPIOHANDLE_SET_LINE_VALUES_IOCTL` of linux/gpio.h: a byte a line.
const SET_LEVELS: Opcode = opcode::read_write::<[u8; LINES]>(0xB4, 0x09);

#[expect(unsafe_code, reason = "gpio-cdev sets only lines that it has asked for itself")]
fn set_line(line: &OwnedFd, high: bool) -> Result<(), Errno> {
    let mut levels = [0; LINES];
    levels[0] = high.into();
    // SAFETY: this request takes so many bytes, and the kernel refuses it for any file that is no line.
    unsafe { ioctl(line, Updater::<SET_LEVELS, _>::new(&mut levels)) }
}

impl digital::ErrorType for Pin {
    type Error = digital::ErrorKind;
}

impl OutputPin for Pin {
    fn set_low(&mut self) -> Result<(), digital::ErrorKind> {
        self.set(false)
    }
    fn set_high(&mut self) -> Result<(), digital::ErrorKind> {
        self.set(true)
    }
}

/// By rppal.
struct PiInput(gpio::InputPin);

impl digital::ErrorType for PiInput {
    type Error = digital::ErrorKind;
}

impl InputPin for PiInput {
    fn is_high(&mut self) -> Result<bool, digital::ErrorKind> {
        Ok(gpio::InputPin::is_high(&self.0))
    }
    fn is_low(&mut self) -> Result<bool, digital::ErrorKind> {
        Ok(gpio::InputPin::is_low(&self.0))
    }
}

/// By the GPIO character device.
struct OtherInput(CdevPin);

impl digital::ErrorType for OtherInput {
    type Error = digital::ErrorKind;
}

impl InputPin for OtherInput {
    fn is_high(&mut self) -> Result<bool, digital::ErrorKind> {
        self.0.is_high().map_err(|error| digital::Error::kind(&error))
    }
    fn is_low(&mut self) -> Result<bool, digital::ErrorKind> {
        self.0.is_low().map_err(|error| digital::Error::kind(&error))
    }
}

/// A fault names a pin, and is a plain value.
fn name(number: u8) -> &'static str {
    const NAMES: [&str; 28] = [
        "GPIO0", "GPIO1", "GPIO2", "GPIO3", "GPIO4", "GPIO5", "GPIO6", "GPIO7", "GPIO8", "GPIO9", "GPIO10",
        "GPIO11", "GPIO12", "GPIO13", "GPIO14", "GPIO15", "GPIO16", "GPIO17", "GPIO18", "GPIO19", "GPIO20",
        "GPIO21", "GPIO22", "GPIO23", "GPIO24", "GPIO25", "GPIO26", "GPIO27",
    ];
    NAMES.get(usize::from(number)).unwrap_or(&"a GPIO line beyond the header's")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Off a Raspberry Pi. That a lent line obeys is tried where there are lines.
    #[test]
    fn what_is_lent_and_is_no_line_is_named() {
        let lent = Lent::new(BTreeMap::from([(23, File::open("/dev/null").unwrap().into())]));
        let pins = Pins::new(vec!["nowhere".into()]).with(lent);
        assert_eq!(pins.output(23, true).hold(), Err(Fault::Unusable("GPIO23")));
        let other = pins.output(5, true);
        assert_eq!(other.hold(), Err(Fault::Missing(CHIP)), "it was not lent");
        assert!(other.rest().is_err() && other.shared().is_ok_and(|line| line.is_none()));
    }
}
