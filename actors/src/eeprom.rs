//! The actor of the EEPROM: reads it when it opens, writes what is to be kept; a page at a time, so that others on its thread
//! get their turn in between.
//!
//! ```text
//!   Reading ──all of it──> Idle ──Keep──> Writing ──both halves──> Idle
//!      ^                                     └── not taken ──> Reading: what is there now?
//! ```

use crate::alarm::{Bell, Ticket};
use crate::host::{Input, Machine};
use crate::port::Port;
use planktor_drivers::devices::eeprom::hat::Image;
use planktor_drivers::devices::eeprom::{Content, Eeprom, Half, Reader, Step, Writer};
use planktor_protocol::eeprom::{Command, Event, NotKept, Unreadable};
use planktor_protocol::{Fault, Order, Report, Run};
use std::time::Duration;

/// Of a report that answers no order.
const NOBODY: Run = Run(0);

enum State {
    Reading { reader: Reader, step: Ticket },
    Idle(Content),
    Writing { writer: Writer, run: Run, step: Ticket },
}

/// The machine.
pub struct Nameplate {
    eeprom: Eeprom,
    bell: Bell,
    events: Port<Report<Event>>,
    state: State,
}

impl Nameplate {
    /// Begins to read.
    pub fn new(eeprom: Eeprom, bell: Bell, events: Port<Report<Event>>) -> Self {
        let state = reading(&bell);
        Self { eeprom, bell, events, state }
    }

    fn next(&mut self, state: State, input: Input<Command>) -> Result<State, Fault> {
        Ok(match (state, input) {
            (State::Reading { reader, step }, Input::Alarm(rung)) if rung == step => self.read(reader)?,
            (State::Writing { writer, run, step }, Input::Alarm(rung)) if rung == step => {
                self.write(writer, run)?
            }
            (State::Idle(content), Input::Order(Order { run, command: Command::Keep(lit), .. })) => {
                self.keep(content, run, lit)
            }
            (
                state @ (State::Reading { .. } | State::Writing { .. }),
                Input::Order(Order { run, command: Command::Keep(_), .. }),
            ) => {
                self.tell(run, Event::NotKept(NotKept::Busy));
                state
            }
            // A ticket that the state does not hold any more.
            (state @ (State::Reading { .. } | State::Idle(_) | State::Writing { .. }), Input::Alarm(_)) => {
                state
            }
        })
    }

    fn read(&mut self, mut reader: Reader) -> Result<State, Fault> {
        let Some(content) = reader.step(&mut self.eeprom)? else {
            return Ok(State::Reading { reader, step: self.bell.at(self.bell.now()) });
        };
        let identity = content.as_ref().map(|(image, _)| image.identity.clone());
        self.tell(NOBODY, Event::Read(identity.map_err(Clone::clone)));
        Ok(State::Idle(content))
    }

    fn keep(&self, content: Content, run: Run, lit: Duration) -> State {
        let new = match &content {
            Ok((image, half)) => image.with_lit(lit).map(|new| (new, *half)),
            Err(_) => Err(NotKept::NoPlace),
        };
        match new {
            Ok((content, from)) => {
                let writer = Writer::new(content, from);
                State::Writing { writer, run, step: self.bell.at(self.bell.now()) }
            }
            Err(why) => {
                self.tell(run, Event::NotKept(why));
                State::Idle(content)
            }
        }
    }

    fn write(&mut self, mut writer: Writer, run: Run) -> Result<State, Fault> {
        Ok(match writer.step(&mut self.eeprom, self.bell.now())? {
            Step::Again(after) => State::Writing { writer, run, step: self.bell.at(self.bell.now() + after) },
            Step::Done(Ok(())) => {
                self.tell(run, Event::Kept);
                State::Idle(Image::parse(writer.into_content()).map(|image| (image, Half::First)))
            }
            Step::Done(Err(why)) => {
                self.tell(run, Event::NotKept(why));
                reading(&self.bell)
            }
        })
    }

    fn tell(&self, run: Run, event: Event) {
        self.events.send(Report { run, event });
    }
}

fn reading(bell: &Bell) -> State {
    State::Reading { reader: Reader::default(), step: bell.at(bell.now()) }
}

impl Machine for Nameplate {
    type Input = Input<Command>;

    fn is_open(&self) -> bool {
        !matches!(self.state, State::Reading { .. })
    }

    fn on(&mut self, input: Input<Command>) -> Result<(), Fault> {
        // What is not put back is lost with the device.
        let state = std::mem::replace(&mut self.state, State::Idle(Err(Unreadable::Blank)));
        self.state = self.next(state, input)?;
        Ok(())
    }

    fn make_safe(&mut self) {
        self.eeprom.protect(true);
    }
}
