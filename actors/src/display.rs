//! The actor of the display. It has one state: what was last shown, which the display itself keeps.

use crate::host::{Input, Machine};
use crate::port::Port;
use planktor_drivers::devices::display::Display;
use planktor_protocol::display::{Command, Event};
use planktor_protocol::{Fault, Order, Report};

/// The machine.
pub struct Sign {
    display: Box<dyn Display>,
    events: Port<Report<Event>>,
}

impl Sign {
    /// Of a display that shows whatever it showed.
    pub fn new(display: Box<dyn Display>, events: Port<Report<Event>>) -> Self {
        Self { display, events }
    }
}

impl Machine for Sign {
    type Input = Input<Command>;

    fn is_open(&self) -> bool {
        true
    }

    fn on(&mut self, input: Input<Command>) -> Result<(), Fault> {
        // It never asks for an alarm.
        let Input::Order(Order { run, command, .. }) = input else { return Ok(()) };
        let event = match command {
            Command::Show(page) => {
                self.display.show(Some(&page))?;
                Event::Shown(page)
            }
            Command::Clear => {
                self.display.show(None)?;
                Event::Cleared
            }
        };
        self.events.send(Report { run, event });
        Ok(())
    }

    /// A picture harms nobody.
    fn make_safe(&mut self) {}
}
