//! The actor of the display. The ink takes seconds: it is looked at by alarms, and orders wait for their turn.
//!
//! ```text
//!   Rest ──order──> Showing ──the ink is done──> Rest, or the next order
//! ```

use crate::alarm::{Bell, Ticket};
use crate::host::{Input, Machine};
use crate::port::Port;
use planktor_drivers::devices::display::Display;
use planktor_protocol::display::{Command, Event};
use planktor_protocol::{Fault, Order, Report, Run};
use std::collections::VecDeque;

/// The machine. Orders that wait are bounded by the supervisor.
pub struct Sign {
    display: Display,
    bell: Bell,
    events: Port<Report<Event>>,
    showing: Option<Ticket>,
    /// The first one is being shown.
    orders: VecDeque<(Run, Command)>,
}

impl Sign {
    /// Of a display that shows whatever it showed.
    pub fn new(display: Display, bell: Bell, events: Port<Report<Event>>) -> Self {
        Self { display, bell, events, showing: None, orders: VecDeque::new() }
    }

    fn begin_next(&mut self) -> Result<(), Fault> {
        if let (None, Some((_, command))) = (self.showing, self.orders.front()) {
            let page = match command {
                Command::Show(page) => Some(page),
                Command::Clear => None,
            };
            let again = self.display.show(page)?;
            self.showing = Some(self.bell.at(self.bell.now() + again));
        }
        Ok(())
    }

    fn look(&mut self) -> Result<(), Fault> {
        let now = self.bell.now();
        self.showing = self.display.poll(now)?.map(|again| self.bell.at(now + again));
        if self.showing.is_none()
            && let Some((run, command)) = self.orders.pop_front()
        {
            let event = match command {
                Command::Show(page) => Event::Shown(page),
                Command::Clear => Event::Cleared,
            };
            self.events.send(Report { run, event });
        }
        Ok(())
    }
}

impl Machine for Sign {
    type Input = Input<Command>;

    fn is_open(&self) -> bool {
        true
    }

    fn on(&mut self, input: Input<Command>) -> Result<(), Fault> {
        match input {
            Input::Order(Order { run, command, .. }) => self.orders.push_back((run, command)),
            Input::Alarm(rung) if self.showing == Some(rung) => self.look()?,
            // A ticket that is not held any more.
            Input::Alarm(_) => {}
        }
        self.begin_next()
    }

    fn make_safe(&mut self) {
        self.display.make_safe();
    }
}
