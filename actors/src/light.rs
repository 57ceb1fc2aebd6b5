//! The actor of the lamp: it shines at the level that it was last set to, or is dark but for pulses of it.
//!
//! ```text
//!   Shining ──Strobe by pin──> Armed      (whoever has the pin pulses)
//!   Shining ──Strobe by bus──> Dark ──Pulse, alarm──> Lit ──alarm──> Dark                    (Pulsed)
//!   any ──Strobe off──> Shining
//! ```

use crate::alarm::{Bell, Ticket};
use crate::host::{Input, Machine};
use crate::port::Port;
use planktor_drivers::devices::light::{Light, OVER_THE_BUS};
use planktor_protocol::light::{Command, Event, Strobe};
use planktor_protocol::units::Fraction;
use planktor_protocol::{Fault, Instant, Interval, Order, Report, Run};
use std::time::Duration;

enum State {
    Shining,
    Armed,
    Dark(Option<Coming>),
    Lit { run: Run, since: Instant, off: Ticket },
}

/// A pulse that is to come.
struct Coming {
    run: Run,
    on: Ticket,
    lasts: Duration,
}

/// The machine.
pub struct Lamp {
    light: Light,
    bell: Bell,
    events: Port<Report<Event>>,
    level: Fraction,
    state: State,
}

impl Lamp {
    /// Of a lamp that was opened dark.
    pub fn new(light: Light, bell: Bell, events: Port<Report<Event>>) -> Self {
        Self { light, bell, events, level: Fraction::ZERO, state: State::Shining }
    }

    fn ordered(&mut self, run: Run, command: Command) -> Result<(), Fault> {
        match command {
            Command::Set(level) => {
                self.level = level;
                match self.state {
                    State::Shining => self.light.set(level)?,
                    State::Armed => self.light.arm(level)?,
                    // The next pulse has it.
                    State::Dark(_) | State::Lit { .. } => {}
                }
            }
            Command::Strobe(Strobe::Pin(level)) => {
                self.light.arm(level)?;
                (self.level, self.state) = (level, State::Armed);
            }
            Command::Strobe(Strobe::Bus(level)) => {
                self.light.set(Fraction::ZERO)?;
                (self.level, self.state) = (level, State::Dark(None));
            }
            Command::Strobe(Strobe::Off(level)) => {
                self.light.set(level)?;
                (self.level, self.state) = (level, State::Shining);
            }
            Command::Pulse(Interval { from, to }) => {
                let State::Dark(coming) = &mut self.state else {
                    self.tell(run, Event::Failed(Fault::NotOpen));
                    return Ok(());
                };
                *coming = Some(Coming { run, on: self.bell.at(from - OVER_THE_BUS), lasts: to - from });
                return Ok(());
            }
            Command::On | Command::Save | Command::Report => {}
        }
        self.tell(run, Event::Level(self.level));
        Ok(())
    }

    /// The length of a pulse is kept, also where it begins late: brightness goes with it.
    fn rung(&mut self, ticket: Ticket) -> Result<(), Fault> {
        match &mut self.state {
            State::Dark(coming) => {
                if let Some(Coming { run, lasts, .. }) = coming.take_if(|coming| coming.on == ticket) {
                    let since = self.bell.now();
                    self.light.set(self.level)?;
                    self.state = State::Lit { run, since, off: self.bell.at(since + lasts) };
                }
            }
            State::Lit { run, since, off } if *off == ticket => {
                let (run, from, ordered) = (*run, *since, self.bell.now());
                self.light.set(Fraction::ZERO)?;
                let dark = self.bell.now().max(ordered + OVER_THE_BUS) + self.light.afterglow();
                self.state = State::Dark(None);
                self.tell(run, Event::Pulsed(Interval { from, to: dark }));
            }
            // A ticket that no state holds any more.
            State::Lit { .. } | State::Shining | State::Armed => {}
        }
        Ok(())
    }

    fn tell(&self, run: Run, event: Event) {
        self.events.send(Report { run, event });
    }
}

impl Machine for Lamp {
    type Input = Input<Command>;

    fn is_open(&self) -> bool {
        true
    }

    fn on(&mut self, input: Input<Command>) -> Result<(), Fault> {
        match input {
            Input::Order(Order { run, command, .. }) => self.ordered(run, command),
            Input::Alarm(ticket) => self.rung(ticket),
        }
    }

    fn make_safe(&mut self) {
        self.light.make_safe();
    }
}
