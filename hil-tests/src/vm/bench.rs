//! A bench for the conformance suites that reaches its chips through the kernel, by the board that is released. Their time
//! is virtual: what a chip does is the same however long a virtual machine takes to ask for it.

use super::far_end::FarEnd;
use crate::began;
use crate::conformance::Bench;
use crate::conformance::at24c32::EepromBench;
use crate::conformance::mcp4725::I2cBench;
use crate::conformance::rtc::RtcBench;
use crate::conformance::tmc5160::MotorBench;
use planktor_actors::alarm::VirtualClock;
use planktor_drivers::Clock;
use planktor_drivers::board::{Board, EepromLine, Enable, Hardware, I2c, LampLine, Output, Spi};
use planktor_drivers::linux::{Description, Linux};
use planktor_protocol::Instant;
use planktor_sim::faults::Motor;
use planktor_sim::{Fault, Hat, RtcChip, Settings, Twin};
use std::sync::Arc;
use std::time::Duration;

/// The board that fits a twin's.
///
/// # Panics
/// If it is not shipped.
pub fn board(hat: Hat) -> Linux {
    let version = match hat {
        Hat::V1_2 => "1.2",
        Hat::V3_3 => "3.3",
    };
    Linux::new(Description::shipped(version).expect("a shipped board"))
}

/// One motor, the slow bus, and what is behind them.
pub struct KernelBench {
    /// Who is behind them.
    pub far_end: FarEnd,
    /// The instrument that they belong to.
    pub twin: Twin,
    /// Its clock.
    clock: VirtualClock,
    motor: Motor,
    /// The board, and its half that has the pins.
    pub(super) board: Linux,
    pub(super) hardware: Box<dyn Hardware>,
    /// A node has one holder: `None` while a pump has it.
    pub(super) spi: Option<Spi>,
    enable: Enable,
    pub(super) i2c: I2c,
    eeprom: EepromLine,
    /// HAT 1.2's.
    pub(super) select: Option<Output>,
}

impl KernelBench {
    /// Opens everything; chips differ with the seed.
    ///
    /// # Panics
    /// If a node is not there.
    pub fn new(seed: u64, hat: Hat, rtc: Option<RtcChip>, motor: Motor) -> Self {
        let clock = VirtualClock::default();
        let mut settings = Settings { hat, rtc, ..Settings::new(seed, Settings::SMALL_FRAME, began()) };
        let hz = 10.8e6 + 0.24e6 * (seed % 11) as f64;
        (settings.parameters.pump_clock_hz, settings.parameters.focus_clock_hz) = (hz, hz);
        let twin = Twin::new(Arc::new(clock.clone()), settings);
        let far_end = FarEnd::of(&twin).expect("nobody else is at the far end");
        let board = board(hat);
        let hardware = board.hardware();
        let (spi, enable) = match motor {
            Motor::Pump => (hardware.pump_spi(), hardware.pump_enable()),
            Motor::Focus => (hardware.focus_spi(), hardware.focus_enable()),
        };
        let buses = board.slow_buses();
        let eeprom = buses.eeprom().expect("the EEPROM's bus and pin are there");
        let (i2c, select) = match buses.lamp().expect("the slow bus is there") {
            LampLine::Converter(line) => (line.i2c, None),
            LampLine::Driver { i2c, select } => (i2c, Some(select)),
        };
        let spi = Some(spi.expect("the motor's bus and pin are there"));
        Self { far_end, twin, clock, motor, board, hardware, spi, enable, i2c, eeprom, select }
    }

    /// The pump's bus, for whoever opens the pump: it is not the suites' any more.
    pub(super) fn pump_spi(&mut self) -> Spi {
        self.spi = None;
        self.hardware.pump_spi().expect("the pump's bus")
    }
}

impl Bench for KernelBench {
    fn now(&self) -> Instant {
        self.clock.now()
    }
    fn pass(&mut self, time: Duration) {
        self.clock.set(self.clock.now() + time);
    }
}

impl MotorBench for KernelBench {
    fn spi(&mut self) -> &mut Spi {
        self.spi.as_mut().expect("no pump has it")
    }
    fn enable(&mut self, on: bool) {
        if on { self.enable.on().expect("the pin obeys") } else { self.enable.off() }
    }
    fn diag1(&mut self) -> Option<bool> {
        let world = self.twin.world();
        let chip = match self.motor {
            Motor::Pump => &world.pump,
            Motor::Focus => &world.focus,
        };
        Some(chip.diag1(world.now()))
    }
    fn drop_supply(&mut self) -> bool {
        let now = self.clock.now();
        self.twin.world().break_it(Fault::ChipReset(self.motor), now, None);
        true
    }
}

impl I2cBench for KernelBench {
    fn i2c(&mut self) -> &mut I2c {
        &mut self.i2c
    }
}

impl EepromBench for KernelBench {
    fn eeprom(&mut self) -> &mut EepromLine {
        &mut self.eeprom
    }
}

impl RtcBench for KernelBench {
    fn drop_power(&mut self) -> bool {
        let now = self.clock.now();
        self.twin.world().break_it(Fault::RtcPowerLost, now, None);
        true
    }
}
