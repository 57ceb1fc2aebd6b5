//! What makes an instrument safe from outside the program that runs it: handles of one's own, for whoever watches that
//! program. Needs no answer of a motor's bus: a motor without current stands, whatever its chip wants.
//!
//! | what | how | when it works |
//! |---|---|---|
//! | both motors' current | enable lines, on a Raspberry Pi by rppal | always: any program can set any pin |
//! | the same | enable lines of the GPIO character device | always: the line is taken here and lent to that program |
//! | HAT 1.2's lamp | its LED's select pin, as above; then the driver's standby over I2C | the pin always |
//! | HAT 3.3's lamp, the bubbler | zero to an MCP4725 over I2C, which several programs may use | unless the bus is stuck |

use super::buses;
use super::description::{Converter, Description, Light, MotorDriver};
use super::pins::{Pin, Pins};
use super::{OFF, UNSELECTED};
use crate::board::I2c;
use crate::chips::lm36011::Lm36011;
use crate::chips::mcp4725::Mcp4725;
use embedded_hal::i2c::ErrorKind;
use planktor_protocol::Fault;
use std::io;
use std::os::fd::OwnedFd;

/// The pins that make safe by their level alone. They stay on the thread that made them.
pub struct Breaker(Vec<(u8, Pin)>);

impl Breaker {
    /// Touches nothing.
    pub fn of(description: &Description) -> Self {
        let pins = Pins::new(description.gpio.clone());
        let enables =
            [description.pump, description.focus].map(|MotorDriver::Tmc5160 { enable, .. }| (enable, OFF));
        let select = match description.light {
            Light::Mcp4725 { .. } => None,
            Light::Lm36011 { select, .. } => Some((select, UNSELECTED)),
        };
        let all = enables.into_iter().chain(select);
        Self(all.map(|(number, safe)| (number, pins.output(number, safe))).collect())
    }

    /// Takes what it does not have yet, safe from that moment on. Says what cannot be had, and why.
    pub fn hold(&self) -> Vec<Fault> {
        self.0.iter().filter_map(|(_, pin)| pin.hold().err()).collect()
    }

    /// Motors without current, the lamp's pin dark: microseconds, nothing is allocated. Says how many pins did not obey.
    pub fn trip(&self) -> usize {
        self.0.iter().filter(|(_, pin)| pin.rest().is_err()).count()
    }

    /// Lines for the program that is watched, by their numbers; none on a Raspberry Pi.
    ///
    /// # Errors
    /// There are too many open files.
    pub fn lend(&self) -> io::Result<Vec<(u8, OwnedFd)>> {
        let shared = |(number, pin): &(u8, Pin)| Some(pin.shared().transpose()?.map(|line| (*number, line)));
        self.0.iter().filter_map(shared).collect()
    }
}

/// The lamp and the bubbler, over I2C: opened when they are first needed, and again after an error. A write may take as long
/// as [`buses::I2C_TIME_OUT`], and as what is left of another program's before it: give it a thread of its own.
pub struct Dimmer {
    lamp: Light,
    bubbler: Option<Converter>,
    lamps_bus: Option<I2c>,
    bubblers_bus: Option<I2c>,
}

impl Dimmer {
    /// Touches nothing.
    pub fn of(description: &Description) -> Self {
        Self { lamp: description.light, bubbler: description.bubbler, lamps_bus: None, bubblers_bus: None }
    }

    /// The lamp dark, then the bubbler at rest. Says what did not obey.
    pub fn dim(&mut self) -> Vec<Fault> {
        let lamp = match self.lamp {
            Light::Mcp4725 { i2c, address } => {
                written(&mut self.lamps_bus, i2c, "the lamp", |bus| Mcp4725::new(bus, address).set(0))
            }
            Light::Lm36011 { i2c, .. } => {
                written(&mut self.lamps_bus, i2c, "the lamp", |bus| Lm36011::new(bus).standby())
            }
        };
        let bubbler = self.bubbler.map(|Converter::Mcp4725 { i2c, address }| {
            written(&mut self.bubblers_bus, i2c, "the bubbler", |bus| Mcp4725::new(bus, address).set(0))
        });
        [Some(lamp), bubbler].into_iter().flatten().filter_map(Result::err).collect()
    }
}

/// One write to a chip on a bus that is opened if it is not yet.
fn written(
    bus: &mut Option<I2c>,
    node: &'static str,
    chip: &'static str,
    write: impl FnOnce(&mut I2c) -> Result<(), ErrorKind>,
) -> Result<(), Fault> {
    let mut opened = bus.take().map_or_else(|| buses::i2c(node), Ok)?;
    write(&mut opened).map_err(|_| Fault::Bus(chip))?;
    *bus = Some(opened);
    Ok(())
}
