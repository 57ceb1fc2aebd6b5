//! The twin's chips and camera do what real ones must do: the suites of `src/conformance`, through the twin's board.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

use planktor_actors::alarm::VirtualClock;
use planktor_drivers::Clock;
use planktor_drivers::board::{Board, DisplayLine, EepromLine, Enable, Hardware, I2c, LampLine, Spi};
use planktor_drivers::devices::camera::Camera;
use planktor_hil_tests::began;
use planktor_hil_tests::conformance::at24c32::EepromBench;
use planktor_hil_tests::conformance::camera::CameraBench;
use planktor_hil_tests::conformance::mcp4725::I2cBench;
use planktor_hil_tests::conformance::rtc::RtcBench;
use planktor_hil_tests::conformance::ssd1680::DisplayBench;
use planktor_hil_tests::conformance::tmc5160::MotorBench;
use planktor_hil_tests::conformance::{
    Bench, Check, Outcome, at24c32, camera, lm36011, mcp4725, rtc, ssd1680, tmc5160,
};
use planktor_protocol::Instant;
use planktor_sim::faults::Motor;
use planktor_sim::{Fault, Hat, RtcChip, Settings, Twin};
use std::sync::Arc;
use std::time::Duration;

/// A twin whose clock is moved by hand.
struct TwinBench {
    twin: Twin,
    clock: VirtualClock,
    spi: Spi,
    enable: Enable,
    i2c: I2c,
    eeprom: EepromLine,
    display: Option<DisplayLine>,
    camera: Box<dyn Camera>,
}

impl TwinBench {
    fn new(seed: u64, hat: Hat, rtc: Option<RtcChip>) -> Self {
        let clock = VirtualClock::default();
        let mut settings = Settings { hat, rtc, ..Settings::new(seed, Settings::SMALL_FRAME, began()) };
        settings.parameters.pump_clock_hz = 10.8e6 + 0.24e6 * (seed % 11) as f64;
        let twin = Twin::new(Arc::new(clock.clone()), settings);
        let hardware: Box<dyn Hardware> = twin.hardware();
        let buses = twin.slow_buses();
        let i2c = match buses.lamp().unwrap() {
            LampLine::Converter(line) => line.i2c,
            LampLine::Driver { i2c, .. } => i2c,
        };
        let (spi, enable) = (hardware.pump_spi().unwrap(), hardware.pump_enable());
        let display = buses.display().ok();
        let eeprom = buses.eeprom().unwrap();
        Self { spi, enable, i2c, eeprom, display, camera: hardware.camera().unwrap(), twin, clock }
    }
}

impl Bench for TwinBench {
    fn now(&self) -> Instant {
        self.clock.now()
    }
    fn pass(&mut self, time: Duration) {
        self.clock.set(self.clock.now() + time);
    }
}

impl MotorBench for TwinBench {
    fn spi(&mut self) -> &mut Spi {
        &mut self.spi
    }
    fn enable(&mut self, on: bool) {
        if on { self.enable.on().unwrap() } else { self.enable.off() }
    }
    fn diag1(&mut self) -> Option<bool> {
        let world = self.twin.world();
        Some(world.pump.diag1(world.now()))
    }
    fn drop_supply(&mut self) -> bool {
        let now = self.clock.now();
        self.twin.world().break_it(Fault::ChipReset(Motor::Pump), now, None);
        true
    }
}

impl I2cBench for TwinBench {
    fn i2c(&mut self) -> &mut I2c {
        &mut self.i2c
    }
}

impl EepromBench for TwinBench {
    fn eeprom(&mut self) -> &mut EepromLine {
        &mut self.eeprom
    }
}

impl DisplayBench for TwinBench {
    fn display(&mut self) -> &mut DisplayLine {
        self.display.as_mut().expect("HAT 3.3 has one")
    }
    fn shows(&mut self) -> Option<Vec<u8>> {
        let world = self.twin.world();
        world.display.as_ref().and_then(|display| display.shows(16, world.now()))
    }
}

impl RtcBench for TwinBench {
    fn drop_power(&mut self) -> bool {
        let now = self.clock.now();
        self.twin.world().break_it(Fault::RtcPowerLost, now, None);
        true
    }
}

impl CameraBench for TwinBench {
    fn camera(&mut self) -> &mut dyn Camera {
        &mut *self.camera
    }
}

/// Each check on a twin of its own, with other clocks.
fn all(hat: Hat, checks: &[Check<TwinBench>]) {
    with(hat, None, checks);
}

fn with(hat: Hat, rtc: Option<RtcChip>, checks: &[Check<TwinBench>]) {
    assert!(checks.len() > 3);
    for (name, check) in checks {
        for seed in [0, 5, 10] {
            let mut bench = TwinBench::new(seed, hat, rtc);
            let outcome = check(&mut bench);
            assert_eq!(
                outcome,
                Outcome::Passed,
                "seed {seed}, {name}: the twin has all that a bench can have"
            );
        }
    }
}

#[test]
fn the_motor_driver_conforms() {
    all(Hat::V3_3, &tmc5160::checks());
}

#[test]
fn the_converter_conforms() {
    all(Hat::V3_3, &mcp4725::checks());
}

#[test]
fn the_led_driver_conforms() {
    all(Hat::V1_2, &lm36011::checks());
}

#[test]
fn the_battery_backed_clocks_conform() {
    with(Hat::V1_2, Some(RtcChip::Ds3231), &rtc::ds3231());
    with(Hat::V3_3, Some(RtcChip::Rv3028), &rtc::rv3028());
}

#[test]
fn the_eeprom_conforms() {
    all(Hat::V1_2, &at24c32::checks());
    all(Hat::V3_3, &at24c32::checks());
}

#[test]
fn the_display_conforms() {
    all(Hat::V3_3, &ssd1680::checks());
}

#[test]
fn the_camera_conforms() {
    all(Hat::V3_3, &camera::checks());
}
