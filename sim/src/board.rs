//! The simulated board: chip models behind embedded-hal types, all in one world.

use crate::camera::TwinCamera;
use crate::chips::ssd1680::Pin;
use crate::faults::{self, Bus};
use crate::instrument::{Hat, RtcChip};
use crate::line::Line;
use crate::rtc::Rtc;
use crate::world::{Settings, World, lock};
use embedded_hal::digital::{self, InputPin, OutputPin};
use embedded_hal::i2c;
use embedded_hal::spi::{self, SpiDevice};
use planktor_drivers::board::{
    Board, ConverterLine, DiagLine, DisplayLine, EepromLine, Enable, Falls, Foreseen, Hardware, I2c, Input,
    LampLine, Output, RtcLine, SlowBuses, Spi,
};
use planktor_drivers::clock::{Clock, TrackingSource, WallClock, WatchedClock};
use planktor_drivers::devices::camera::Camera;
use planktor_drivers::devices::position::PositionSource;
use planktor_protocol::position::Fix;
use planktor_protocol::timekeeping::Tracking;
use planktor_protocol::{Axis, Fault, Instant, Utc};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

/// One simulated instrument. Cheap to clone: all clones are the same instrument.
#[derive(Clone)]
pub struct Twin {
    world: Arc<Mutex<World>>,
}

impl Twin {
    /// Just powered up.
    pub fn new(clock: Arc<dyn Clock>, settings: Settings) -> Self {
        Self { world: Arc::new(Mutex::new(World::new(clock, settings))) }
    }

    /// Says that its clock is the world's own: a bus that is stuck holds its caller.
    #[must_use]
    pub fn in_real_time(self) -> Self {
        self.world().live_in_real_time();
        self
    }

    /// Looks into the world; for tests and summaries, not for the program that runs the instrument.
    pub fn world(&self) -> MutexGuard<'_, World> {
        lock(&self.world)
    }

    fn driven<F: FnMut(&mut World, bool, Instant)>(&self, follows: F) -> Driven<F> {
        Driven { world: self.world.clone(), follows }
    }

    fn slow_bus(&self, bus: Bus) -> SlowBus {
        SlowBus { world: self.world.clone(), bus, has_eeprom: bus == self.eeprom_bus() }
    }

    fn eeprom_bus(&self) -> Bus {
        match lock(&self.world).settings().hat {
            Hat::V1_2 => Bus::Light,
            Hat::V3_3 => Bus::Eeprom,
        }
    }
}

impl Board for Twin {
    fn hardware(&self) -> Box<dyn Hardware> {
        // Active low.
        let pump = self.driven(|world, high, now| world.pump.enable(!high, now));
        let focus = self.driven(|world, high, now| world.focus.enable(!high, now));
        Box::new(Half { twin: self.clone(), pump: Enable::new(pump), focus: Enable::new(focus) })
    }
    fn slow_buses(&self) -> Box<dyn SlowBuses> {
        Box::new(self.clone())
    }
}

struct Half {
    twin: Twin,
    pump: Enable,
    focus: Enable,
}

impl Hardware for Half {
    fn pump_spi(&self) -> Result<Spi, Fault> {
        Ok(Spi::new(ChipSelect { world: self.twin.world.clone(), axis: Axis::Pump }))
    }
    fn focus_spi(&self) -> Result<Spi, Fault> {
        Ok(Spi::new(ChipSelect { world: self.twin.world.clone(), axis: Axis::Focus }))
    }
    fn pump_enable(&self) -> Enable {
        self.pump.clone()
    }
    fn focus_enable(&self) -> Enable {
        self.focus.clone()
    }
    fn diag(&self) -> Vec<Result<DiagLine, Fault>> {
        let wired = lock(&self.twin.world).settings().parameters.diag_line > 0.0;
        let line = || DiagLine { name: "DIAG", falls: Falls::Foreseen(Box::new(Diag(self.twin.clone()))) };
        wired.then(|| Ok(line())).into_iter().collect()
    }
    fn strobe(&self) -> Result<Option<Output>, Fault> {
        let wired = lock(&self.twin.world).settings().hat == Hat::V1_2;
        let pin = self.twin.driven(|world, high, now| world.lamp.strobe(high, now));
        Ok(wired.then(|| Output::new(pin)))
    }
    fn camera(&self) -> Result<Box<dyn Camera>, Fault> {
        Ok(Box::new(TwinCamera::new(self.twin.world.clone())))
    }
}

impl SlowBuses for Twin {
    fn lamp(&self) -> Result<LampLine, Fault> {
        let i2c = I2c::new(self.slow_bus(Bus::Light));
        Ok(match lock(&self.world).settings().hat {
            Hat::V1_2 => {
                let select = self.driven(|world, high, now| world.lamp.select(high, now));
                LampLine::Driver { i2c, select: Output::new(select) }
            }
            Hat::V3_3 => LampLine::Converter(ConverterLine { i2c, address: LAMP }),
        })
    }
    fn bubbler(&self) -> Result<ConverterLine, Fault> {
        let fitted = lock(&self.world).bubbler.is_some();
        let i2c = I2c::new(self.slow_bus(Bus::Light));
        fitted.then_some(ConverterLine { i2c, address: BUBBLER }).ok_or(Fault::NotFitted)
    }
    fn display(&self) -> Result<DisplayLine, Fault> {
        if lock(&self.world).display.is_none() {
            return Err(Fault::NotFitted);
        }
        let pin = |pin| {
            let follows = move |world: &mut World, high, now| {
                if let Some(display) = &mut world.display {
                    display.set(pin, high, now);
                }
            };
            Output::new(self.driven(follows))
        };
        Ok(DisplayLine {
            spi: Spi::new(DisplayBus { world: self.world.clone() }),
            data: pin(Pin::Data),
            reset: pin(Pin::Reset),
            busy: Input::new(DisplayBusy { world: self.world.clone() }),
            power: pin(Pin::Power),
        })
    }
    fn position(&self) -> Box<dyn PositionSource> {
        Box::new(Receiver { world: self.world.clone(), told: None })
    }
    fn wall_clock(&self) -> Box<dyn WatchedClock> {
        Box::new(TwinClock { world: self.world.clone(), sets: 0 })
    }
    fn tracking(&self) -> Box<dyn TrackingSource> {
        Box::new(Chrony { world: self.world.clone(), asked: None })
    }
    fn rtc(&self) -> Result<RtcLine, Fault> {
        let i2c = I2c::new(self.slow_bus(Bus::Light));
        match lock(&self.world).settings().rtc {
            None => Err(Fault::NotFitted),
            Some(RtcChip::Ds3231) => Ok(RtcLine::Ds3231(i2c)),
            Some(RtcChip::Rv3028) => Ok(RtcLine::Rv3028(i2c)),
        }
    }
    fn eeprom(&self) -> Result<EepromLine, Fault> {
        let i2c = I2c::new(self.slow_bus(self.eeprom_bus()));
        let write_protect = Some(Output::new(self.driven(|world, high, _| world.eeprom.protect(high))));
        Ok(EepromLine { i2c, address: EEPROM, write_protect })
    }
}

/// One chip-select line of the SPI bus.
struct ChipSelect {
    world: Arc<Mutex<World>>,
    axis: Axis,
}

impl spi::ErrorType for ChipSelect {
    type Error = spi::ErrorKind;
}

impl SpiDevice for ChipSelect {
    /// The chip knows transfers of forty bits; anything else is noise on the bus.
    fn transaction(&mut self, operations: &mut [spi::Operation<'_, u8>]) -> Result<(), spi::ErrorKind> {
        let mut world = lock(&self.world);
        let now = world.now();
        let bus = match self.axis {
            Axis::Pump => Bus::Pump,
            Axis::Focus => Bus::Focus,
        };
        for operation in operations {
            let spi::Operation::TransferInPlace(bytes) = operation else { return Err(spi::ErrorKind::Other) };
            let bytes: &mut [u8; 5] = (&mut **bytes).try_into().map_err(|_| spi::ErrorKind::Other)?;
            let line = world.line(bus);
            if matches!(line, Line::Fails | Line::Stuck) {
                return Err(spi::ErrorKind::Other);
            }
            // Another register would be read or written than was meant: that is left to a wrong mode.
            line.there(&mut bytes[1..]);
            match (line, self.axis) {
                // Nobody drives the line: it is pulled low.
                (Line::Cut, _) => *bytes = [0; 5],
                (_, Axis::Pump) => world.pump.datagram(bytes, now),
                (_, Axis::Focus) => world.focus.datagram(bytes, now),
            }
            line.back(bytes);
        }
        Ok(())
    }
}

/// The motor drivers' line.
struct Diag(Twin);

impl Foreseen for Diag {
    fn falls(&self) -> Option<Instant> {
        self.0.world().diag_falls()
    }
    fn is_low(&self) -> bool {
        self.0.world().diag_is_low()
    }
}

/// A pin that we drive, and what follows in the world from its level.
struct Driven<F> {
    world: Arc<Mutex<World>>,
    follows: F,
}

impl<F: FnMut(&mut World, bool, Instant)> Driven<F> {
    fn set(&mut self, high: bool) -> Result<(), digital::ErrorKind> {
        let mut world = lock(&self.world);
        let now = world.now();
        (self.follows)(&mut world, high, now);
        Ok(())
    }
}

impl<F> digital::ErrorType for Driven<F> {
    type Error = digital::ErrorKind;
}

impl<F: FnMut(&mut World, bool, Instant)> OutputPin for Driven<F> {
    fn set_low(&mut self) -> Result<(), digital::ErrorKind> {
        self.set(false)
    }
    fn set_high(&mut self) -> Result<(), digital::ErrorKind> {
        self.set(true)
    }
}

/// The I2C bus of lamp, bubbler and battery-backed clock, and on HAT 1.2 of the EEPROM; or HAT 3.3's, where that is alone.
struct SlowBus {
    world: Arc<Mutex<World>>,
    bus: Bus,
    has_eeprom: bool,
}

/// Where the EEPROM is on its bus.
const EEPROM: u8 = 0x50;

const NOBODY: i2c::ErrorKind = i2c::ErrorKind::NoAcknowledge(i2c::NoAcknowledgeSource::Address);
/// HAT 3.3's lamp.
const LAMP: u8 = 0x62;
/// HAT 3.3's bubbler.
const BUBBLER: u8 = 0x60;
const NOT_TAKEN: i2c::ErrorKind = i2c::ErrorKind::NoAcknowledge(i2c::NoAcknowledgeSource::Data);
/// Everybody on the bus.
const GENERAL_CALL: u8 = 0;
/// A Linux adapter's own time-out, if none is set.
const STUCK: Duration = Duration::from_secs(1);

impl i2c::ErrorType for SlowBus {
    type Error = i2c::ErrorKind;
}

impl i2c::I2c for SlowBus {
    fn transaction(
        &mut self,
        address: u8,
        operations: &mut [i2c::Operation<'_>],
    ) -> Result<(), i2c::ErrorKind> {
        let mut world = lock(&self.world);
        let line = world.line(self.bus);
        let there = self.has(&world, address);
        match line {
            Line::Stuck => {
                let waits = world.is_in_real_time();
                drop(world);
                if waits {
                    #[expect(clippy::disallowed_methods, reason = "this is a bus that holds its caller")]
                    std::thread::sleep(STUCK);
                }
                return Err(i2c::ErrorKind::Other);
            }
            Line::Fails | Line::Cut => return Err(NOBODY),
            Line::Works | Line::Disturbed { .. } if !there => return Err(NOBODY),
            Line::Works | Line::Disturbed { .. } => {}
        }
        for operation in operations {
            match operation {
                i2c::Operation::Write(bytes) => {
                    let mut bytes = bytes.to_vec();
                    line.there(&mut bytes);
                    write(&mut world, address, &bytes)?;
                }
                i2c::Operation::Read(bytes) => {
                    read(&mut world, address, bytes)?;
                    line.back(bytes);
                }
            }
        }
        Ok(())
    }
}

impl SlowBus {
    fn has(&self, world: &World, address: u8) -> bool {
        match address {
            EEPROM => self.has_eeprom,
            _ if self.bus != Bus::Light => false,
            GENERAL_CALL => true,
            BUBBLER => world.bubbler.is_some(),
            _ => {
                let rtc = world.rtc.as_ref().map(Rtc::address);
                address == world.lamp.address() || Some(address) == rtc
            }
        }
    }
}

/// To whoever of those on the bus has this address.
fn write(world: &mut World, address: u8, bytes: &[u8]) -> Result<(), i2c::ErrorKind> {
    let now = world.now();
    let World { lamp, bubbler, rtc, eeprom, .. } = world;
    let taken = match (address, bubbler, rtc) {
        (EEPROM, ..) => return eeprom.write(bytes, now).map_err(|_| NOBODY),
        (GENERAL_CALL, ..) => lamp.general_call(bytes, now),
        (BUBBLER, Some(bubbler), _) => bubbler.write(bytes, now),
        (address, _, Some(rtc)) if rtc.address() == address => {
            rtc.write(bytes, now);
            Ok(())
        }
        _ => lamp.write(bytes, now),
    };
    taken.map_err(|_| NOT_TAKEN)
}

/// From whoever of those on the bus has this address.
fn read(world: &mut World, address: u8, bytes: &mut [u8]) -> Result<(), i2c::ErrorKind> {
    let now = world.now();
    let World { lamp, bubbler, rtc, eeprom, .. } = world;
    match (address, bubbler, rtc) {
        (EEPROM, ..) => return eeprom.read(bytes, now).map_err(|_| NOBODY),
        (BUBBLER, Some(bubbler), _) => bubbler.read(bytes, now),
        (address, _, Some(rtc)) if rtc.address() == address => rtc.read(bytes, now),
        _ => lamp.read(bytes, now),
    }
    Ok(())
}

/// The display's SPI: it only listens.
struct DisplayBus {
    world: Arc<Mutex<World>>,
}

impl spi::ErrorType for DisplayBus {
    type Error = spi::ErrorKind;
}

impl SpiDevice for DisplayBus {
    fn transaction(&mut self, operations: &mut [spi::Operation<'_, u8>]) -> Result<(), spi::ErrorKind> {
        let mut world = lock(&self.world);
        let (now, line) = (world.now(), world.line(Bus::Display));
        for operation in operations {
            let spi::Operation::Write(bytes) = operation else { return Err(spi::ErrorKind::Other) };
            if matches!(line, Line::Fails | Line::Stuck) {
                return Err(spi::ErrorKind::Other);
            }
            let mut bytes = bytes.to_vec();
            line.there(&mut bytes);
            if let (Some(display), true) = (&mut world.display, line != Line::Cut) {
                display.write(&bytes, now);
            }
        }
        Ok(())
    }
}

/// The display's BUSY.
struct DisplayBusy {
    world: Arc<Mutex<World>>,
}

impl digital::ErrorType for DisplayBusy {
    type Error = digital::ErrorKind;
}

impl InputPin for DisplayBusy {
    fn is_high(&mut self) -> Result<bool, digital::ErrorKind> {
        let mut world = lock(&self.world);
        let there = world.line(Bus::Display) != Line::Cut;
        Ok(there && world.display.as_ref().is_some_and(|display| display.is_busy(world.now())))
    }
    fn is_low(&mut self) -> Result<bool, digital::ErrorKind> {
        self.is_high().map(|high| !high)
    }
}

/// A satellite receiver: one report a second.
struct Receiver {
    world: Arc<Mutex<World>>,
    told: Option<Instant>,
}

impl PositionSource for Receiver {
    fn latest(&mut self) -> Option<Fix> {
        let world = lock(&self.world);
        if world.faults().any(|(_, fault)| *fault == faults::Fault::GpsdGone) {
            return None;
        }
        let fix = world.fix();
        let new = self.told.is_none_or(|told| fix.at - told >= Duration::from_secs(1));
        new.then(|| {
            self.told = Some(fix.at);
            fix
        })
    }
}

struct TwinClock {
    world: Arc<Mutex<World>>,
    /// How often it had been set when that was last asked.
    sets: u64,
}

impl WallClock for TwinClock {
    fn utc(&self) -> Utc {
        lock(&self.world).computer_utc()
    }
}

impl WatchedClock for TwinClock {
    fn was_set(&mut self) -> bool {
        let sets = lock(&self.world).clock_sets();
        std::mem::replace(&mut self.sets, sets) != sets
    }
}

/// Asked every few seconds, as in the program.
struct Chrony {
    world: Arc<Mutex<World>>,
    asked: Option<Instant>,
}

/// So often.
const CHRONY_IS_ASKED: Duration = Duration::from_secs(16);

impl TrackingSource for Chrony {
    fn latest(&mut self) -> Option<Tracking> {
        let world = lock(&self.world);
        let due = self.asked.is_none_or(|asked| world.now() - asked >= CHRONY_IS_ASKED);
        due.then(|| world.tracking()).flatten().inspect(|tracking| self.asked = Some(tracking.at))
    }
}
