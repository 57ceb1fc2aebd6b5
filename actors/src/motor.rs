//! The actor of a motor: pump and stage are the same machine with other quantities.
//!
//! ```text
//!   Opening ──step by step──> Idle ──Move──> Moving ──alarm, chip confirms──> Idle            (Done)
//!                              ^                │  └──alarm, not yet there──> Moving     (the driver's call is an alarm, too)
//!                              │                └──Stop──> Braking                           (Interrupted)
//!                Idle ──Stop──> Braking ──stands──> Idle (Released)    Braking ──Move──> begins when it stands
//! ```

use crate::alarm::{Bell, Ticket};
use crate::diag::Diag;
use crate::host::{Input, Machine};
use crate::port::Port;
use crate::timing::Stage;
use planktor_drivers::devices::motor::{Look, Motor, StartError};
use planktor_protocol::motion::{Command, Event};
use planktor_protocol::{Epochs, Fault, Instant, Order, Report, Run};
use std::time::Duration;

/// While it brakes nobody waits for it but the next move.
const LOOK_AT_BRAKING: Duration = Duration::from_millis(10);
/// The pump at full speed brakes in 2.1 s (275,000 usteps/s at 131,000 usteps/s2); who turns much longer does not obey.
const LONGEST_BRAKING: Duration = Duration::from_secs(10);

/// A move that may begin when the motor stands.
struct Next<M> {
    run: Run,
    epochs: Epochs,
    order: M,
}

enum State<M> {
    Opening(Ticket),
    Idle,
    Moving { run: Run, look: Ticket },
    Braking { run: Run, look: Ticket, give_up: Instant, next: Option<Next<M>> },
}

/// The machine.
pub struct Drive<D: Motor> {
    motor: D,
    bell: Bell,
    events: Port<Report<Event<D::Refusal>>>,
    diag: Diag,
    state: State<D::Move>,
}

impl<D: Motor> Drive<D> {
    /// Begins to open the motor.
    pub fn new(motor: D, bell: Bell, events: Port<Report<Event<D::Refusal>>>, diag: Diag) -> Self {
        let state = State::Opening(bell.at(bell.now()));
        Self { motor, bell, events, diag, state }
    }

    fn next(
        &mut self,
        state: State<D::Move>,
        input: Input<Command<D::Move>>,
    ) -> Result<State<D::Move>, Fault> {
        Ok(match (state, input) {
            (State::Opening(step), Input::Alarm(ticket)) if ticket == step => match self.motor.open()? {
                true => State::Idle,
                false => State::Opening(self.bell.at(self.bell.now())),
            },
            (state @ State::Opening(_), Input::Order(Order { run, command: Command::Move(_), .. })) => {
                self.tell(run, Event::Failed(Fault::NotOpen));
                state
            }
            (state @ State::Opening(_), Input::Order(Order { run, command: Command::Stop, .. })) => {
                self.motor.brake()?;
                self.tell(run, Event::Interrupted);
                self.tell(run, Event::Released);
                state
            }

            (State::Idle, Input::Order(Order { run, epochs, command: Command::Move(order) })) => {
                self.begin(Next { run, epochs, order })?
            }

            (State::Idle, Input::Order(Order { run, command: Command::Stop, .. })) => self.brake(run)?,

            (State::Moving { run, look }, Input::Alarm(ticket)) if ticket == look => self.look(run)?,
            (state @ State::Moving { .. }, Input::Order(Order { run, command: Command::Move(_), .. })) => {
                self.tell(run, Event::Refused(D::BUSY));
                state
            }
            (State::Moving { run, .. }, Input::Order(Order { command: Command::Stop, .. })) => {
                self.brake(run)?
            }

            (State::Braking { run, look, give_up, next }, Input::Alarm(ticket)) if ticket == look => {
                self.released(run, give_up, next)?
            }
            (
                State::Braking { run, look, give_up, next: None },
                Input::Order(Order { run: later, epochs, command: Command::Move(order) }),
            ) => State::Braking { run, look, give_up, next: Some(Next { run: later, epochs, order }) },
            (
                state @ State::Braking { next: Some(_), .. },
                Input::Order(Order { run, command: Command::Move(_), .. }),
            ) => {
                self.tell(run, Event::Refused(D::BUSY));
                state
            }
            (
                State::Braking { run, look, give_up, next },
                Input::Order(Order { run: stop, command: Command::Stop, .. }),
            ) => {
                if let Some(next) = next {
                    self.tell(next.run, Event::Refused(D::STOPPED));
                }
                self.tell(stop, Event::Interrupted);
                State::Braking { run, look, give_up, next: None }
            }

            // A ticket that the state does not hold any more.
            (
                state @ (State::Opening(_) | State::Idle | State::Moving { .. } | State::Braking { .. }),
                Input::Alarm(_),
            ) => state,
        })
    }

    fn begin(&mut self, Next { run, epochs, order }: Next<D::Move>) -> Result<State<D::Move>, Fault> {
        if self.diag.is_there() {
            self.motor.acknowledge()?;
        }
        let from = self.bell.now();
        match self.motor.start(order, epochs, || self.bell.now()) {
            Ok(expected) => {
                self.tell(run, Event::Started { from, until: expected.until });
                Ok(State::Moving { run, look: self.looks_at(expected.look) })
            }
            Err(StartError::Refused(why)) => {
                self.tell(run, Event::Refused(why));
                Ok(State::Idle)
            }
            Err(StartError::Fault(fault)) => Err(fault),
        }
    }

    fn look(&mut self, run: Run) -> Result<State<D::Move>, Fault> {
        match self.motor.look(|| self.bell.now())? {
            Look::Reached(at_most) => {
                self.bell.timings().add(Stage::MoveEnd, at_most);
                self.tell(run, Event::Done(self.bell.now()));
                if self.diag.is_there() {
                    self.motor.acknowledge()?;
                    if let Some(called) = self.diag.ended(D::AXIS, self.bell.now()) {
                        self.bell.timings().add(Stage::MoveCalled, called);
                    }
                }
                Ok(State::Idle)
            }
            Look::Again(then) => Ok(State::Moving { run, look: self.looks_at(then) }),
        }
    }

    /// Then, or when the driver calls.
    fn looks_at(&self, then: Instant) -> Ticket {
        let look = self.bell.at(then);
        self.diag.waits(D::AXIS, &self.bell, look);
        look
    }

    /// A motor that stands is braked, too: then its current is taken away.
    fn brake(&mut self, run: Run) -> Result<State<D::Move>, Fault> {
        self.motor.brake()?;
        self.tell(run, Event::Interrupted);
        let now = self.bell.now();
        Ok(State::Braking { run, look: self.bell.at(now), give_up: now + LONGEST_BRAKING, next: None })
    }

    fn released(
        &mut self,
        run: Run,
        give_up: Instant,
        next: Option<Next<D::Move>>,
    ) -> Result<State<D::Move>, Fault> {
        let now = self.bell.now();
        if !self.motor.release()? {
            if now > give_up {
                return Err(Fault::Late);
            }
            return Ok(State::Braking { run, look: self.bell.at(now + LOOK_AT_BRAKING), give_up, next });
        }
        self.tell(run, Event::Released);
        next.map_or(Ok(State::Idle), |next| self.begin(next))
    }

    fn tell(&self, run: Run, event: Event<D::Refusal>) {
        self.events.send(Report { run, event });
    }
}

impl<D: Motor> Machine for Drive<D> {
    type Input = Input<Command<D::Move>>;

    fn is_open(&self) -> bool {
        !matches!(self.state, State::Opening(_))
    }

    fn on(&mut self, input: Self::Input) -> Result<(), Fault> {
        let state = std::mem::replace(&mut self.state, State::Idle);
        self.state = self.next(state, input)?;
        Ok(())
    }

    fn make_safe(&mut self) {
        self.motor.make_safe();
    }
}
