//! A real instrument: the kernel's device nodes, as a [`Description`] says where everything is.
//!
//! Nothing is opened before it is asked for, and everything may be asked for again: what is missing is a fault of the
//! device that needs it, and is picked up when it appears.

pub mod buses;
pub mod csi;
pub mod description;
#[cfg(any(feature = "csi", feature = "v4l"))]
pub mod front;
pub mod pins;
pub mod safety;
pub mod v4l;

use crate::board::{
    Board, ConverterLine, DiagLine, DisplayLine, EepromLine, Enable, Hardware, LampLine, Output, RtcLine,
    SlowBuses, Spi,
};
use crate::clock::{NoTracking, TrackingSource, WatchedClock, WatchedComputer};
use crate::devices::camera::Camera;
use crate::devices::position::{Nowhere, PositionSource};
pub use description::Description;
use description::{Converter, Eeprom, Light, MotorDriver, Panel, RtcChip};
use embedded_hal::i2c::I2c as _;
use pins::{Lent, Pin, Pins};
use planktor_protocol::Fault;
use rustix::io::Errno;
use std::io::{self, ErrorKind};
use std::path::Path;
use std::sync::Arc;

/// One instrument with this board.
#[derive(Clone, Debug)]
pub struct Linux {
    description: Arc<Description>,
    lent: Lent,
}

impl Linux {
    /// Touches nothing.
    pub fn new(description: Description) -> Self {
        Self { description: Arc::new(description), lent: Lent::default() }
    }

    /// The same, of which somebody else has these lines and shares them.
    #[must_use]
    pub fn with(self, lent: Lent) -> Self {
        Self { lent, ..self }
    }

    /// The EEPROM for whoever only reads it: nothing is known yet of what the board's pins are for.
    ///
    /// # Errors
    /// [`Fault::NotFitted`] if this board has none, or its bus cannot be opened.
    pub fn nameplate(&self) -> Result<EepromLine, Fault> {
        let Eeprom::At24c32 { i2c, address, .. } = self.description.eeprom.ok_or(Fault::NotFitted)?;
        Ok(EepromLine { i2c: buses::i2c(i2c)?, address, write_protect: None })
    }

    fn pins(&self) -> Pins {
        Pins::new(self.description.gpio.clone()).with(self.lent.clone())
    }
}

impl Board for Linux {
    fn hardware(&self) -> Box<dyn Hardware> {
        let [pump, focus] =
            [self.description.pump, self.description.focus].map(|driver| Driver::new(driver, &self.pins()));
        let strobe = match self.description.light {
            Light::Lm36011 { strobe, .. } => strobe.map(|pin| self.pins().output(pin, false)),
            Light::Mcp4725 { .. } => None,
        };
        let diag = (self.pins(), self.description.diag.clone());
        Box::new(Half { pump, focus, diag, strobe, camera: self.description.camera.clone() })
    }
    fn slow_buses(&self) -> Box<dyn SlowBuses> {
        Box::new(self.clone())
    }
}

struct Half {
    pump: Driver,
    focus: Driver,
    diag: (Pins, Vec<u8>),
    strobe: Option<Pin>,
    camera: Option<description::Camera>,
}

/// A motor driver's bus and pin.
struct Driver {
    spi: &'static str,
    enable: Pin,
}

impl Driver {
    fn new(MotorDriver::Tmc5160 { spi, enable }: MotorDriver, pins: &Pins) -> Self {
        Self { spi, enable: pins.output(enable, OFF) }
    }

    /// The bus first: if another program of ours has it, that one's motor keeps its current. A motor whose current cannot be
    /// switched off is not used.
    fn open(&self) -> Result<Spi, Fault> {
        let spi = buses::spi(self.spi)?;
        self.enable.hold()?;
        Ok(spi)
    }
}

/// An enable line's level without current: it is active low.
const OFF: bool = true;
/// The level at which the board's LED is not selected.
const UNSELECTED: bool = false;

impl Hardware for Half {
    fn pump_spi(&self) -> Result<Spi, Fault> {
        self.pump.open()
    }
    fn focus_spi(&self) -> Result<Spi, Fault> {
        self.focus.open()
    }
    fn pump_enable(&self) -> Enable {
        Enable::new(self.pump.enable.clone())
    }
    fn focus_enable(&self) -> Enable {
        Enable::new(self.focus.enable.clone())
    }
    fn diag(&self) -> Vec<Result<DiagLine, Fault>> {
        let (pins, numbers) = &self.diag;
        numbers.iter().map(|number| pins.diag(*number)).collect()
    }
    fn strobe(&self) -> Result<Option<Output>, Fault> {
        let Some(pin) = &self.strobe else { return Ok(None) };
        pin.hold().map(|()| Some(Output::new(pin.clone())))
    }
    fn camera(&self) -> Result<Box<dyn Camera>, Fault> {
        match &self.camera {
            None => Err(Fault::NotFitted),
            #[cfg(feature = "v4l")]
            Some(description::Camera::V4l(settings)) => Ok(Box::new(v4l::open(settings)?)),
            #[cfg(not(feature = "v4l"))]
            Some(description::Camera::V4l(_)) => Err(Fault::NotBuilt("v4l")),
            #[cfg(feature = "csi")]
            Some(description::Camera::Csi(settings)) => Ok(Box::new(csi::open(settings)?)),
            #[cfg(not(feature = "csi"))]
            Some(description::Camera::Csi(_)) => Err(Fault::NotBuilt("csi")),
        }
    }
}

impl SlowBuses for Linux {
    fn lamp(&self) -> Result<LampLine, Fault> {
        Ok(match self.description.light {
            Light::Mcp4725 { i2c, address } => {
                LampLine::Converter(ConverterLine { i2c: buses::i2c(i2c)?, address })
            }
            Light::Lm36011 { i2c, select, .. } => {
                let select = self.pins().output(select, UNSELECTED);
                select.hold()?;
                LampLine::Driver { i2c: buses::i2c(i2c)?, select: Output::new(select) }
            }
        })
    }
    fn bubbler(&self) -> Result<ConverterLine, Fault> {
        let Converter::Mcp4725 { i2c, address } = self.description.bubbler.ok_or(Fault::NotFitted)?;
        Ok(ConverterLine { i2c: buses::i2c(i2c)?, address })
    }
    fn display(&self) -> Result<DisplayLine, Fault> {
        let Panel::Ssd1680 { spi, data, reset, busy, power } =
            self.description.display.ok_or(Fault::NotFitted)?;
        let spi = buses::display_spi(spi)?;
        // Without supply, and not in reset, until something is to be shown.
        let output = |number, first| {
            let pin = self.pins().output(number, first);
            pin.hold().map(|()| Output::new(pin))
        };
        let (data, reset, power) = (output(data, false)?, output(reset, true)?, output(power, false)?);
        Ok(DisplayLine { spi, data, reset, busy: self.pins().input(busy)?, power })
    }
    fn position(&self) -> Box<dyn PositionSource> {
        Box::new(Nowhere)
    }
    fn wall_clock(&self) -> Box<dyn WatchedClock> {
        Box::new(WatchedComputer::default())
    }
    fn tracking(&self) -> Box<dyn TrackingSource> {
        Box::new(NoTracking)
    }
    fn rtc(&self) -> Result<RtcLine, Fault> {
        let answers = |node, address| {
            let mut bus = buses::i2c(node).ok()?;
            bus.write_read(address, &[0], &mut [0]).is_ok().then_some(bus)
        };
        let fitted = self.description.rtc.iter().find_map(|chip| match *chip {
            RtcChip::Kernel { file } => Path::new(file).exists().then(|| RtcLine::Kernel(file.into())),
            RtcChip::Ds3231 { i2c } => answers(i2c, DS3231).map(RtcLine::Ds3231),
            RtcChip::Rv3028 { i2c } => answers(i2c, RV3028).map(RtcLine::Rv3028),
        });
        // A bus that is stuck now may be free in a minute.
        let missing = if self.description.rtc.is_empty() {
            Fault::NotFitted
        } else {
            Fault::Missing("a battery-backed clock")
        };
        fitted.ok_or(missing)
    }
    fn eeprom(&self) -> Result<EepromLine, Fault> {
        let line = self.nameplate()?;
        let Eeprom::At24c32 { write_protect, .. } = self.description.eeprom.ok_or(Fault::NotFitted)?;
        let pin = self.pins().output(write_protect, PROTECTED);
        pin.hold()?;
        Ok(EepromLine { write_protect: Some(Output::new(pin)), ..line })
    }
}

/// An EEPROM's write protection is on while nobody writes.
const PROTECTED: bool = true;
/// A DS3231's address (Maxim 19-5170, "I2C Serial Data Bus").
const DS3231: u8 = 0x68;
/// An RV-3028-C7's address (application manual rev. 1.4, "I2C-bus device address").
const RV3028: u8 = 0x52;

/// Why a device node could not be had.
fn unopened(node: &'static str, error: &io::Error) -> Fault {
    let gone = [Errno::NODEV, Errno::NXIO].map(|errno| Some(errno.raw_os_error()));
    match error.kind() {
        ErrorKind::NotFound => Fault::Missing(node),
        _ if gone.contains(&error.raw_os_error()) => Fault::Missing(node),
        ErrorKind::PermissionDenied => Fault::Forbidden(node),
        ErrorKind::ResourceBusy => Fault::InUse(node),
        _ => Fault::Unusable(node),
    }
}
