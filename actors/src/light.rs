//! The actor of the lamp. It has one state: what it was last set to.

use crate::host::{Input, Machine};
use crate::port::Port;
use planktor_drivers::devices::light::Light;
use planktor_protocol::light::{Command, Event};
use planktor_protocol::units::Fraction;
use planktor_protocol::{Fault, Order, Report};

/// The machine.
pub struct Lamp {
    light: Light,
    events: Port<Report<Event>>,
    level: Fraction,
}

impl Lamp {
    /// Of a lamp that was opened dark.
    pub fn new(light: Light, events: Port<Report<Event>>) -> Self {
        Self { light, events, level: Fraction::ZERO }
    }
}

impl Machine for Lamp {
    type Input = Input<Command>;

    fn is_open(&self) -> bool {
        true
    }

    fn on(&mut self, input: Input<Command>) -> Result<(), Fault> {
        // It never asks for an alarm.
        let Input::Order(Order { run, command, .. }) = input else { return Ok(()) };
        if let Command::Set(level) = command {
            self.light.set(level)?;
            self.level = level;
        }
        self.events.send(Report { run, event: Event::Level(self.level) });
        Ok(())
    }

    fn make_safe(&mut self) {
        self.light.make_safe();
    }
}
