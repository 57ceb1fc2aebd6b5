//! The actor of the bubbler. It starts hard, because a diaphragm at rest needs that, and then works gently and not quite
//! evenly.
//!
//! ```text
//!   Off ──on──> Starting ──2 s──> Bubbling ──20 ms──> Bubbling
//!    ^              └──────off───────┴── nothing that was begun before an off goes on after it
//! ```

use crate::alarm::{Bell, Ticket};
use crate::host::{Input, Machine};
use crate::port::Port;
use planktor_drivers::devices::bubbler::Bubbler;
use planktor_protocol::bubbler::{Command, Event};
use planktor_protocol::units::Fraction;
use planktor_protocol::{Fault, Instant, Order, Report};
use std::f64::consts::TAU;
use std::time::Duration;

/// As today's instruments have it: how hard it starts, of full scale, and for how long.
const START: f64 = 0.275;
const STARTS_FOR: Duration = Duration::from_secs(2);
/// Then it swings around this, by that, so often a second.
const MEAN: f64 = 0.264;
const SWING: f64 = 0.005;
const SWINGS_HZ: f64 = 4.0;
/// From one step of the swing to the next.
const STEP: Duration = Duration::from_millis(20);

enum State {
    Off,
    Starting(Ticket),
    Bubbling { since: Instant, step: Ticket },
}

/// The machine.
pub struct Bubbles {
    bubbler: Bubbler,
    bell: Bell,
    events: Port<Report<Event>>,
    state: State,
}

impl Bubbles {
    /// Of a bubbler that was opened at rest.
    pub fn new(bubbler: Bubbler, bell: Bell, events: Port<Report<Event>>) -> Self {
        Self { bubbler, bell, events, state: State::Off }
    }

    fn next(&mut self, state: State, input: Input<Command>) -> Result<State, Fault> {
        Ok(match (state, input) {
            (State::Off, Input::Order(Order { command: Command::Set(true), .. })) => {
                self.bubbler.set(part(START))?;
                State::Starting(self.bell.at(self.bell.now() + STARTS_FOR))
            }
            (
                State::Off | State::Starting(_) | State::Bubbling { .. },
                Input::Order(Order { command: Command::Set(false), .. }),
            ) => {
                self.bubbler.set(Fraction::ZERO)?;
                State::Off
            }
            (State::Starting(ticket), Input::Alarm(rung)) if rung == ticket => self.swing(self.bell.now())?,
            (State::Bubbling { since, step }, Input::Alarm(rung)) if rung == step => self.swing(since)?,
            // What it does already, what only asks, and a ticket that the state does not hold any more.
            (
                state @ (State::Off | State::Starting(_) | State::Bubbling { .. }),
                Input::Order(Order { command: Command::Set(true) | Command::Report, .. }) | Input::Alarm(_),
            ) => state,
        })
    }

    fn swing(&mut self, since: Instant) -> Result<State, Fault> {
        let now = self.bell.now();
        let turns = (now - since).as_secs_f64() * SWINGS_HZ;
        self.bubbler.set(part(MEAN + SWING * (TAU * turns).sin()))?;
        Ok(State::Bubbling { since, step: self.bell.at(now + STEP) })
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and 1")]
fn part(of_full_scale: f64) -> Fraction {
    Fraction::from_millionths((of_full_scale * 1e6) as u32).unwrap_or(Fraction::ZERO)
}

impl Machine for Bubbles {
    type Input = Input<Command>;

    fn is_open(&self) -> bool {
        true
    }

    fn on(&mut self, input: Input<Command>) -> Result<(), Fault> {
        let run = match &input {
            Input::Order(order) => Some(order.run),
            Input::Alarm(_) => None,
        };
        let state = std::mem::replace(&mut self.state, State::Off);
        self.state = self.next(state, input)?;
        if let Some(run) = run {
            let event = Event::Bubbling(!matches!(self.state, State::Off));
            self.events.send(Report { run, event });
        }
        Ok(())
    }

    fn make_safe(&mut self) {
        self.bubbler.make_safe();
    }
}
