//! The actor of the camera: answers a capture twice, `Exposing` (predicted) and `Frame` (from the frame itself).
//!
//! ```text
//!   Closed ──Open──> Streaming ──Capture──> Streaming, one frame more awaited      (Exposing)
//!     ^                  │ └──alarm: it is here──> one less                        (Frame)
//!     │                  └──alarm: nothing here, too late──> one less              (Missed)
//!     └──Close───────────┘
//! ```

use crate::alarm::{Bell, Ticket};
use crate::host::{Input, Machine};
use crate::port::Port;
use planktor_drivers::devices::camera::Camera;
use planktor_protocol::camera::{Command, Event, Mode};
use planktor_protocol::plan::POOL;
use planktor_protocol::{Fault, Instant, Order, Report, Run};
use std::time::Duration;

/// A frame that is not here when it should be: looked for again so soon.
const LOOK_AGAIN: Duration = Duration::from_millis(5);
/// After three more frames the pool has no room for it.
const PATIENCE: u32 = 4;

struct Awaited {
    run: Run,
    seq: u64,
    look: Ticket,
    give_up: Instant,
}

enum State {
    Closed,
    Streaming { mode: Mode, awaited: Vec<Awaited> },
}

/// The machine.
pub struct Eye {
    camera: Box<dyn Camera>,
    bell: Bell,
    events: Port<Report<Event>>,
    state: State,
}

impl Eye {
    /// Of a camera that does not stream yet.
    pub fn new(camera: Box<dyn Camera>, bell: Bell, events: Port<Report<Event>>) -> Self {
        Self { camera, bell, events, state: State::Closed }
    }

    fn next(&mut self, state: State, input: Input<Command>) -> Result<State, Fault> {
        Ok(match (state, input) {
            (State::Closed, Input::Order(Order { run, command: Command::Set(settings), .. })) => {
                let mode = self.camera.set(settings)?;
                self.tell(run, Event::Set(mode));
                State::Closed
            }
            // What was awaited belongs to the stream as it was; looking for it says that it is missing.
            (
                State::Streaming { awaited, .. },
                Input::Order(Order { run, command: Command::Set(settings), .. }),
            ) => {
                let mode = self.camera.set(settings)?;
                self.tell(run, Event::Set(mode));
                State::Streaming { mode, awaited }
            }
            (State::Closed, Input::Order(Order { run, command: Command::Open, .. })) => {
                let mode = self.camera.open()?;
                self.tell(run, Event::Opened(mode));
                State::Streaming { mode, awaited: Vec::with_capacity(POOL as usize) }
            }
            (State::Closed, Input::Order(Order { run, command: Command::Capture { .. }, .. })) => {
                self.tell(run, Event::Failed(Fault::NotOpen));
                State::Closed
            }
            (State::Closed, Input::Order(Order { run, command: Command::Close, .. })) => {
                self.tell(run, Event::Closed);
                State::Closed
            }

            (
                state @ State::Streaming { mode, .. },
                Input::Order(Order { run, command: Command::Open, .. }),
            ) => {
                self.tell(run, Event::Opened(mode));
                state
            }
            (
                State::Streaming { mode, mut awaited },
                Input::Order(Order { run, command: Command::Capture { not_before }, .. }),
            ) => {
                let next = self.camera.predict(not_before).ok_or(Fault::CameraSilent)?;
                self.tell(run, Event::Exposing { interval: next.interval });
                let give_up = next.ready + mode.cadence * PATIENCE;
                awaited.push(Awaited { run, seq: next.seq, look: self.bell.at(next.ready), give_up });
                State::Streaming { mode, awaited }
            }
            (State::Streaming { mode, mut awaited }, Input::Alarm(ticket)) => {
                if let Some(i) = awaited.iter().position(|frame| frame.look == ticket) {
                    let frame = awaited.remove(i);
                    awaited.extend(self.look(frame));
                }
                State::Streaming { mode, awaited }
            }
            (State::Streaming { .. }, Input::Order(Order { run, command: Command::Close, .. })) => {
                self.camera.close();
                self.tell(run, Event::Closed);
                State::Closed
            }

            // A ticket that the state does not hold any more.
            (State::Closed, Input::Alarm(_)) => State::Closed,
        })
    }

    /// Gives the frame back if it is still to be waited for.
    fn look(&mut self, frame: Awaited) -> Option<Awaited> {
        let now = self.bell.now();
        match self.camera.take(frame.seq) {
            Some(taken) => self.tell(frame.run, Event::Frame(taken)),
            None if now > frame.give_up => self.tell(frame.run, Event::Missed),
            None => return Some(Awaited { look: self.bell.at(now + LOOK_AGAIN), ..frame }),
        }
        None
    }

    fn tell(&self, run: Run, event: Event) {
        self.events.send(Report { run, event });
    }
}

impl Machine for Eye {
    type Input = Input<Command>;

    fn is_open(&self) -> bool {
        true
    }

    fn on(&mut self, input: Input<Command>) -> Result<(), Fault> {
        let state = std::mem::replace(&mut self.state, State::Closed);
        self.state = self.next(state, input)?;
        Ok(())
    }

    fn make_safe(&mut self) {
        self.camera.close();
    }
}
