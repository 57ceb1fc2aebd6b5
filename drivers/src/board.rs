//! One instrument's buses and pins as embedded-hal types. Which instrument, and whether it is real, only `main` knows.
//!
//! For board authors: a board is two halves, each built on the thread that uses it and not `Send` themselves. Every
//! method may be called again after a fault and opens the device again.

use crate::clock::{TrackingSource, WatchedClock};
use crate::devices::camera::Camera;
use crate::devices::position::PositionSource;
use embedded_hal::digital::{self, InputPin, OutputPin};
use embedded_hal::i2c;
use embedded_hal::spi::{self, SpiDevice};
use planktor_protocol::{Fault, Instant};
use std::cell::RefCell;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::rc::Rc;

/// Everything of one instrument; sent to the threads, where its halves are built.
pub trait Board: Send + Sync {
    /// For the hardware thread.
    fn hardware(&self) -> Box<dyn Hardware>;
    /// For the slow buses' thread.
    fn slow_buses(&self) -> Box<dyn SlowBuses>;
}

/// SPI, enable pins and camera: what the hardware thread needs.
pub trait Hardware {
    /// The pump's motor driver.
    ///
    /// # Errors
    /// [`Fault`] if its bus cannot be opened.
    fn pump_spi(&self) -> Result<Spi, Fault>;
    /// The stage's motor driver.
    ///
    /// # Errors
    /// [`Fault`] if its bus cannot be opened.
    fn focus_spi(&self) -> Result<Spi, Fault>;
    /// The pump's enable line; the same one at every call.
    fn pump_enable(&self) -> Enable;
    /// The stage's enable line; the same one at every call.
    fn focus_enable(&self) -> Enable;
    /// The lines on which the motor drivers call, and why one cannot be had. Nobody needs them: the end of a move is foreseen,
    /// too.
    fn diag(&self) -> Vec<Result<DiagLine, Fault>>;
    /// The pin that lights the lamp while it is high, where the lamp is ready for that; low from the first moment on. `None`
    /// if this board has none.
    ///
    /// # Errors
    /// [`Fault`] if it cannot be had.
    fn strobe(&self) -> Result<Option<Output>, Fault>;
    /// The camera.
    ///
    /// # Errors
    /// [`Fault`] if there is none.
    fn camera(&self) -> Result<Box<dyn Camera>, Fault>;
}

/// What may hold its caller for long.
pub trait SlowBuses {
    /// The lamp.
    ///
    /// # Errors
    /// [`Fault`] if its bus or pin cannot be opened.
    fn lamp(&self) -> Result<LampLine, Fault>;
    /// The bubbler's bus.
    ///
    /// # Errors
    /// [`Fault::NotFitted`] if this board has none, or its bus cannot be opened.
    fn bubbler(&self) -> Result<ConverterLine, Fault>;
    /// The display.
    ///
    /// # Errors
    /// [`Fault::NotFitted`] if this board has none, or its bus cannot be opened.
    fn display(&self) -> Result<DisplayLine, Fault>;
    /// Where the position comes from.
    fn position(&self) -> Box<dyn PositionSource>;
    /// The computer's civil clock.
    fn wall_clock(&self) -> Box<dyn WatchedClock>;
    /// Who keeps it right.
    fn tracking(&self) -> Box<dyn TrackingSource>;
    /// The battery-backed clock.
    ///
    /// # Errors
    /// [`Fault::NotFitted`] if there is none, or its bus cannot be opened.
    fn rtc(&self) -> Result<RtcLine, Fault>;
    /// The EEPROM that says who the instrument is.
    ///
    /// # Errors
    /// [`Fault::NotFitted`] if this board has none, or its bus or pin cannot be opened.
    fn eeprom(&self) -> Result<EepromLine, Fault>;
}

/// A line on which motor drivers call: it falls when one of them has something to tell, and is low until that is cleared. They
/// may share it.
pub struct DiagLine {
    /// Which, for people.
    pub name: &'static str,
    /// How it is noticed that it fell.
    pub falls: Falls,
}

/// How it is noticed that a line fell.
pub enum Falls {
    /// By a file that is readable then and never holds its reader: a record of 16 bytes each time, beginning with the
    /// instant in ns of the monotonic clock (`struct gpioevent_data` of linux/gpio.h).
    Told(OwnedFd),
    /// By whoever knows it beforehand.
    Foreseen(Box<dyn Foreseen>),
}

/// A line of a world that can be asked what is to come.
pub trait Foreseen {
    /// When it falls next, if nothing comes between. `None` while it is low, or if it never does.
    fn falls(&self) -> Option<Instant>;
    /// Whether it is low now.
    fn is_low(&self) -> bool;
}

/// How an e-paper display is reached.
pub struct DisplayLine {
    /// Its bus, which has its chip select: mode 0, up to 20 MHz to write.
    pub spi: Spi,
    /// DC: low for a command, high for its data.
    pub data: Output,
    /// RST: low resets.
    pub reset: Output,
    /// BUSY: high while it works.
    pub busy: Input,
    /// PWR: high gives it its supply.
    pub power: Output,
}

/// How a 24C32 is reached.
pub struct EepromLine {
    /// Its bus.
    pub i2c: I2c,
    /// Seven bits, 0x50 to 0x57.
    pub address: u8,
    /// Its write protection: low to write. `None` if it is not wired to us.
    pub write_protect: Option<Output>,
}

/// Which battery-backed clock there is, and how it is reached.
pub enum RtcLine {
    /// What people add: a DS3231.
    Ds3231(I2c),
    /// HAT 1.2's schematic: an RV-3028-C7.
    Rv3028(I2c),
    /// A Raspberry Pi 5's own, as the kernel shows it: `/sys/class/rtc/rtc0/since_epoch`.
    Kernel(PathBuf),
}

/// How an MCP4725 is reached.
pub struct ConverterLine {
    /// Its bus.
    pub i2c: I2c,
    /// 0x60 to 0x67.
    pub address: u8,
}

/// Which lamp a board has, and how it is reached.
pub enum LampLine {
    /// HAT 3.3: an MCP4725.
    Converter(ConverterLine),
    /// HAT 1.2: an LM36011, and GPIO18, which is high to select the LED.
    Driver {
        /// Its bus.
        i2c: I2c,
        /// The pin.
        select: Output,
    },
}

/// Any output pin, without its type.
pub struct Output(Box<dyn OutputPin<Error = digital::ErrorKind>>);

impl Output {
    /// Takes a pin.
    pub fn new(pin: impl OutputPin<Error = digital::ErrorKind> + 'static) -> Self {
        Self(Box::new(pin))
    }

    /// High or low. Whether a pin obeys cannot be asked.
    pub fn set(&mut self, high: bool) {
        let _ = self.0.set_state(high.into());
    }
}

impl digital::ErrorType for Output {
    type Error = digital::ErrorKind;
}

impl OutputPin for Output {
    fn set_low(&mut self) -> Result<(), digital::ErrorKind> {
        self.0.set_low()
    }
    fn set_high(&mut self) -> Result<(), digital::ErrorKind> {
        self.0.set_high()
    }
}

/// Any input pin, without its type.
pub struct Input(Box<dyn InputPin<Error = digital::ErrorKind>>);

impl Input {
    /// Takes a pin.
    pub fn new(pin: impl InputPin<Error = digital::ErrorKind> + 'static) -> Self {
        Self(Box::new(pin))
    }
}

impl digital::ErrorType for Input {
    type Error = digital::ErrorKind;
}

impl InputPin for Input {
    fn is_high(&mut self) -> Result<bool, digital::ErrorKind> {
        self.0.is_high()
    }
    fn is_low(&mut self) -> Result<bool, digital::ErrorKind> {
        self.0.is_low()
    }
}

/// Any SPI device, without its type: one virtual call a datagram, 2 ns beside 40 us on the wire.
pub struct Spi(Box<dyn SpiDevice<Error = spi::ErrorKind>>);

impl Spi {
    /// Takes a device.
    pub fn new(device: impl SpiDevice + 'static) -> Self {
        Self(Box::new(Kind(device)))
    }
}

impl spi::ErrorType for Spi {
    type Error = spi::ErrorKind;
}

impl SpiDevice for Spi {
    fn transaction(&mut self, operations: &mut [spi::Operation<'_, u8>]) -> Result<(), spi::ErrorKind> {
        self.0.transaction(operations)
    }
}

/// Any I2C bus, without its type.
pub struct I2c(Box<dyn i2c::I2c<Error = i2c::ErrorKind>>);

impl I2c {
    /// Takes a bus.
    pub fn new(bus: impl i2c::I2c + 'static) -> Self {
        Self(Box::new(Kind(bus)))
    }
}

impl i2c::ErrorType for I2c {
    type Error = i2c::ErrorKind;
}

impl i2c::I2c for I2c {
    fn transaction(
        &mut self,
        address: u8,
        operations: &mut [i2c::Operation<'_>],
    ) -> Result<(), i2c::ErrorKind> {
        self.0.transaction(address, operations)
    }
}

/// Reduces a bus's own error to its kind, so that its type can be forgotten.
struct Kind<B>(B);

impl<B> spi::ErrorType for Kind<B> {
    type Error = spi::ErrorKind;
}

impl<B: SpiDevice> SpiDevice for Kind<B> {
    fn transaction(&mut self, operations: &mut [spi::Operation<'_, u8>]) -> Result<(), spi::ErrorKind> {
        self.0.transaction(operations).map_err(|e| spi::Error::kind(&e))
    }
}

impl<B> i2c::ErrorType for Kind<B> {
    type Error = i2c::ErrorKind;
}

impl<B: i2c::I2c> i2c::I2c for Kind<B> {
    fn transaction(
        &mut self,
        address: u8,
        operations: &mut [i2c::Operation<'_>],
    ) -> Result<(), i2c::ErrorKind> {
        self.0.transaction(address, operations).map_err(|e| i2c::Error::kind(&e))
    }
}

/// An active-low enable line, held by the driver *and* the supervisor; keeps its level when dropped.
#[derive(Clone)]
pub struct Enable(Rc<RefCell<dyn OutputPin<Error = digital::ErrorKind>>>);

impl Enable {
    /// Takes a pin.
    pub fn new(pin: impl OutputPin<Error = digital::ErrorKind> + 'static) -> Self {
        Self(Rc::new(RefCell::new(pin)))
    }

    /// Gives the motor its current.
    ///
    /// # Errors
    /// The pin's error: without it the motor would not move and nothing else would tell.
    pub fn on(&self) -> Result<(), digital::ErrorKind> {
        self.0.borrow_mut().set_low()
    }

    /// Takes the motor's current away. Cannot fail: it is the last resort, there is nothing to do after it.
    pub fn off(&self) {
        let _ = self.0.borrow_mut().set_high();
    }
}
