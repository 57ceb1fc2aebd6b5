//! The actor of the camera: answers a capture twice, `Exposing` (predicted) and `Frame` (from the frame itself).
//!
//! ```text
//!   Opening ──alarm: it is open──> Closed
//!   Closed ──Open──> for an acquisition ──Capture──> one frame more awaited              (Exposing)
//!     │ ^                │ │ ^ └──alarm: it is here──> one less; shown to those who look (Frame)
//!     │ └──Close─────────┘ │ │ └──alarm: nothing here, too late──> one less              (Missed)
//!     │                  Close Open
//!     │                    v │
//!     └──Watch──────> for viewers ──alarm──> every frame is shown, until nobody looks
//! ```
//!
//! Before anything else the camera is asked whether it is lost.

use crate::alarm::{Bell, Ticket};
use crate::host::{Input, Machine};
use crate::port::Port;
use crate::viewfinder::Viewfinder;
use planktor_drivers::devices::camera::{Camera, Prediction};
use planktor_protocol::camera::{Command, Event, Mode};
use planktor_protocol::plan::POOL;
use planktor_protocol::{Fault, Instant, Interval, Order, Report, Run};
use std::time::Duration;

/// A frame that is not here when it should be: looked for again so soon.
const LOOK_AGAIN: Duration = Duration::from_millis(5);
/// After three more frames the pool has no room for it.
const PATIENCE: u32 = 4;
/// A pulse keeps so far from the first and the last instant at which all lines are open: time stamps wander by less.
const GUARD: Duration = Duration::from_millis(1);
/// The order to pulse takes no longer to the lamp, and a lamp on a bus begins with it before the light.
const LEAD: Duration = Duration::from_millis(1);
/// Whether it is open is asked so often, and for so long.
const LOOK_AT_OPENING: Duration = Duration::from_millis(20);
const LONGEST_OPENING: Duration = Duration::from_secs(5);
/// A camera that streams for viewers and misses so many one after the other is none.
const MOST_MISSED: u32 = 8;

struct Awaited {
    run: Run,
    seq: u64,
    look: Ticket,
    give_up: Instant,
}

/// A frame that is to be chosen.
#[derive(Clone, Copy)]
struct Aim {
    run: Run,
    not_before: Instant,
    strobe: Option<Duration>,
    give_up: Instant,
}

/// The next frame for those who look.
struct Shown {
    seq: u64,
    ready: Instant,
    look: Ticket,
    /// Frames before it that never came.
    missed: u32,
}

/// Who it streams for: an acquisition, or those who look, or both. An acquisition's frames are shown as well, and no
/// others: whoever takes a frame drops older ones, and those may be the acquisition's.
enum For {
    Acquisition { awaited: Vec<Awaited>, watched: bool },
    Viewers(Option<Shown>),
}

enum State {
    Opening { look: Ticket, give_up: Instant },
    Closed,
    Streaming(Mode, For),
}

/// The machine.
pub struct Eye {
    camera: Box<dyn Camera>,
    bell: Bell,
    events: Port<Report<Event>>,
    viewfinder: Viewfinder,
    /// Frames that begin before this have had their light.
    unlit: Instant,
    /// What is chosen when more is known, and when that is looked for.
    aiming: Option<(Ticket, Aim)>,
    state: State,
}

impl Eye {
    /// Of a camera that does not stream yet, and may not be open yet.
    pub fn new(
        camera: Box<dyn Camera>,
        bell: Bell,
        events: Port<Report<Event>>,
        viewfinder: Viewfinder,
    ) -> Self {
        let state = match camera.ready() {
            Ok(true) => State::Closed,
            Ok(false) | Err(_) => {
                let now = bell.now();
                State::Opening { look: bell.at(now), give_up: now + LONGEST_OPENING }
            }
        };
        Self { camera, bell, events, viewfinder, unlit: Instant::ZERO, aiming: None, state }
    }

    fn next(&mut self, state: State, input: Input<Command>) -> Result<State, Fault> {
        let ready = self.camera.ready()?;
        match input {
            Input::Alarm(ticket) if matches!(state, State::Opening { look, .. } if look == ticket) => {
                self.opening(state, ready)
            }
            Input::Order(Order { run, command, .. }) => self.ordered(state, run, command),
            Input::Alarm(ticket) => self.rung(state, ticket),
        }
    }

    fn opening(&self, state: State, ready: bool) -> Result<State, Fault> {
        let now = self.bell.now();
        match state {
            State::Opening { .. } if ready => Ok(State::Closed),
            State::Opening { give_up, .. } if now > give_up => Err(Fault::CameraSilent),
            State::Opening { give_up, .. } => {
                Ok(State::Opening { look: self.bell.at(now + LOOK_AT_OPENING), give_up })
            }
            state @ (State::Closed | State::Streaming(..)) => Ok(state),
        }
    }

    fn ordered(&mut self, state: State, run: Run, command: Command) -> Result<State, Fault> {
        Ok(match (state, command) {
            (state @ State::Opening { .. }, _) => {
                self.tell(run, Event::Failed(Fault::NotOpen));
                state
            }
            (State::Closed, Command::Set(settings)) => {
                let mode = self.camera.set(settings)?;
                self.tell(run, Event::Set(mode));
                State::Closed
            }
            // What was awaited belongs to the stream as it was; looking for it says that it is missing.
            (State::Streaming(_, whom), Command::Set(settings)) => {
                let mode = self.camera.set(settings)?;
                self.tell(run, Event::Set(mode));
                State::Streaming(
                    mode,
                    match whom {
                        For::Viewers(_) => For::Viewers(self.next_shown()),
                        acquisition @ For::Acquisition { .. } => acquisition,
                    },
                )
            }

            (State::Closed, Command::Open) => {
                let mode = self.camera.open()?;
                self.tell(run, Event::Opened(mode));
                State::Streaming(mode, acquisition(false))
            }
            (State::Streaming(mode, whom), Command::Open) => {
                self.tell(run, Event::Opened(mode));
                State::Streaming(
                    mode,
                    match whom {
                        For::Viewers(_) => acquisition(true),
                        acquisition @ For::Acquisition { .. } => acquisition,
                    },
                )
            }
            (State::Closed, Command::Close) => {
                self.tell(run, Event::Closed);
                State::Closed
            }
            (State::Streaming(mode, For::Acquisition { watched: true, .. }), Command::Close) => {
                self.tell(run, Event::Closed);
                State::Streaming(mode, For::Viewers(self.next_shown()))
            }
            (State::Streaming(_, For::Acquisition { watched: false, .. }), Command::Close) => {
                self.camera.close();
                self.tell(run, Event::Closed);
                State::Closed
            }
            (state @ State::Streaming(_, For::Viewers(_)), Command::Close) => {
                self.tell(run, Event::Closed);
                state
            }

            (State::Closed, Command::Watch(false)) => State::Closed,
            (State::Closed, Command::Watch(true)) => {
                let mode = self.camera.open()?;
                State::Streaming(mode, For::Viewers(self.next_shown()))
            }
            (State::Streaming(_, For::Viewers(_)), Command::Watch(false)) => {
                self.camera.close();
                State::Closed
            }
            (state @ State::Streaming(_, For::Viewers(_)), Command::Watch(true)) => state,
            (State::Streaming(mode, For::Acquisition { awaited, .. }), Command::Watch(watched)) => {
                State::Streaming(mode, For::Acquisition { awaited, watched })
            }

            (
                State::Streaming(mode, For::Acquisition { mut awaited, watched }),
                Command::Capture { not_before, strobe },
            ) => {
                let aim = Aim { run, not_before, strobe, give_up: self.bell.now() + LONGEST_OPENING };
                awaited.extend(self.aim(aim, &mode)?);
                State::Streaming(mode, For::Acquisition { awaited, watched })
            }
            (state @ (State::Closed | State::Streaming(_, For::Viewers(_))), Command::Capture { .. }) => {
                self.tell(run, Event::Failed(Fault::NotOpen));
                state
            }
        })
    }

    fn rung(&mut self, state: State, ticket: Ticket) -> Result<State, Fault> {
        Ok(match state {
            State::Streaming(mode, For::Acquisition { mut awaited, watched }) => {
                if let Some((_, aim)) = self.aiming.take_if(|(look, _)| *look == ticket) {
                    awaited.extend(self.aim(aim, &mode)?);
                }
                if let Some(i) = awaited.iter().position(|frame| frame.look == ticket) {
                    let frame = awaited.remove(i);
                    awaited.extend(self.look(frame, watched));
                }
                State::Streaming(mode, For::Acquisition { awaited, watched })
            }
            State::Streaming(mode, For::Viewers(Some(shown))) if shown.look == ticket => {
                State::Streaming(mode, For::Viewers(self.show(shown, mode)?))
            }
            // A ticket that the state does not hold any more.
            state @ (State::Streaming(_, For::Viewers(_)) | State::Closed | State::Opening { .. }) => state,
        })
    }

    /// Shows the frame, or one after it if that is here and the frame is not, and says which is next.
    fn show(&mut self, shown: Shown, mode: Mode) -> Result<Option<Shown>, Fault> {
        let now = self.bell.now();
        let mut next = (shown.seq, shown.ready);
        for _ in 0..=PATIENCE {
            let (seq, ready) = next;
            if ready > now {
                return Ok(Some(Shown { look: self.bell.at(now + LOOK_AGAIN), ..shown }));
            }
            next = (seq + 1, ready + mode.cadence);
            if let Some(frame) = self.camera.take(seq) {
                self.viewfinder.show(frame);
                let (seq, ready) = next;
                return Ok(Some(Shown { seq, ready, look: self.bell.at(ready), missed: 0 }));
            }
        }
        if shown.missed + 1 >= MOST_MISSED {
            return Err(Fault::CameraSilent);
        }
        Ok(self.next_shown().map(|next| Shown { missed: shown.missed + 1, ..next }))
    }

    fn next_shown(&self) -> Option<Shown> {
        let next = self.camera.predict(self.bell.now())?;
        Some(Shown { seq: next.seq, ready: next.ready, look: self.bell.at(next.ready), missed: 0 })
    }

    /// Chooses the frame, and says which it will be. Where frames come is known well enough for a pulse when the first one
    /// has come: until then it looks again.
    fn aim(&mut self, aim: Aim, mode: &Mode) -> Result<Option<Awaited>, Fault> {
        let Aim { run, not_before, strobe, give_up } = aim;
        let now = self.bell.now();
        let (next, pulse) = match strobe {
            None => (self.camera.predict(not_before), None),
            Some(lasts) => match self.strobed(mode, not_before, lasts) {
                None if now < give_up => {
                    self.aiming = Some((self.bell.at(now + LOOK_AT_OPENING), aim));
                    return Ok(None);
                }
                strobed => strobed.unzip(),
            },
        };
        let next = next.ok_or(Fault::CameraSilent)?;
        self.tell(run, Event::Exposing { interval: next.interval, pulse });
        let give_up = next.ready + mode.cadence * PATIENCE;
        Ok(Some(Awaited { run, seq: next.seq, look: self.bell.at(next.ready), give_up }))
    }

    /// The first frame whose lines are all open for a pulse from an instant on, and the pulse: it may be exposed already.
    /// No frame is lit twice.
    fn strobed(&mut self, mode: &Mode, from: Instant, lasts: Duration) -> Option<(Prediction, Interval)> {
        let from = from.max(self.bell.now() + LEAD);
        let begins = self.unlit.max(from + lasts + GUARD - mode.exposure);
        let next = self.camera.predict(begins)?;
        let open = mode.open(next.interval)?;
        let from = from.max(open.from + GUARD);
        self.unlit = next.interval.from + mode.cadence / 2;
        Some((next, Interval { from, to: from + lasts }))
    }

    /// Gives the frame back if it is still to be waited for.
    fn look(&mut self, frame: Awaited, watched: bool) -> Option<Awaited> {
        let now = self.bell.now();
        match self.camera.take(frame.seq) {
            Some(taken) => {
                if watched {
                    self.viewfinder.show(taken.clone());
                }
                self.tell(frame.run, Event::Frame(taken));
            }
            None if now > frame.give_up => self.tell(frame.run, Event::Missed),
            None => return Some(Awaited { look: self.bell.at(now + LOOK_AGAIN), ..frame }),
        }
        None
    }

    fn tell(&self, run: Run, event: Event) {
        self.events.send(Report { run, event });
    }
}

fn acquisition(watched: bool) -> For {
    For::Acquisition { awaited: Vec::with_capacity(POOL as usize), watched }
}

impl Machine for Eye {
    type Input = Input<Command>;

    fn is_open(&self) -> bool {
        !matches!(self.state, State::Opening { .. })
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
