//! Strobed frames: the camera integrates in the dark, and the light pulses while all lines are open. By a pin, which is
//! exact because it is on this thread; by the lamp's bus where there is none.
//!
//! For the acquisition the camera's exposure and the lamp are as its pulses need them; at its end, whatever that is, both
//! are as before.

use super::{Acquisition, Running, State, Supervisor};
use crate::alarm::Ticket;
use crate::blur::{self, By};
use crate::sequence;
use planktor_drivers::devices::light::{AFTERGLOW, SHORTEST_BY_BUS};
use planktor_protocol::acquisition::{Failure, Refusal};
use planktor_protocol::instrument::Device;
use planktor_protocol::plan::Plan;
use planktor_protocol::units::Fraction;
use planktor_protocol::{Epochs, Fault, Instant, Interval, Order, Run, light};
use std::time::Duration;

/// A slow bus may hold its caller for a second; after three nobody waits any more.
const DEADLINE: Duration = Duration::from_secs(3);

/// While an acquisition strobes.
pub(super) struct Strobing {
    /// What the lamp was told before, and what its pulses are.
    before: Fraction,
    level: Fraction,
    /// What each line of the camera integrates.
    pub(super) exposure: Duration,
    /// The lamp was lost since: one that has come back knows of no pulses.
    lost: Option<Fault>,
    pulse: Option<(Run, Pulse)>,
}

/// A pulse under way.
enum Pulse {
    /// By the pin: to be begun, or to be ended.
    Coming {
        on: Ticket,
        lasts: Duration,
    },
    Lit {
        since: Instant,
        off: Ticket,
    },
    /// By the lamp itself.
    Ordered {
        deadline: Ticket,
    },
}

impl Supervisor {
    /// Whether lamp, pin, camera and flow allow what a plan asks.
    pub(super) fn can_strobe(&self, plan: &Plan) -> Result<(), Refusal> {
        let (Some(shortest), Some(longest)) = (plan.shortest_strobe(), plan.strobe()) else { return Ok(()) };
        let no = |why: String| Err(Refusal::Strobe(why));
        if let Some(fault) = self.fault(Device::Light) {
            return no(format!("the lamp is not available: {fault}"));
        }
        if self.strobe_level() == Fraction::ZERO {
            return no(
                "the lamp is dark, and so is its saved level; set it to the level that pulses are to have"
                    .into(),
            );
        }
        if self.strobe_pin.is_none() && shortest < SHORTEST_BY_BUS {
            return no(format!(
                "this board switches its lamp over a bus, which takes {} us at least, and {} us are asked; give a \
                 longer strobe_us",
                SHORTEST_BY_BUS.as_micros(),
                shortest.as_micros()
            ));
        }
        if self.mode.is_none_or(|mode| mode.exposure.is_zero()) {
            return no(
                "the camera does not tell its exposure, so nobody knows when all of its lines are open"
                    .into(),
            );
        }
        let most_nm = u128::from(self.calibration.get().pixel_nm) / 2;
        let by = if self.strobe_pin.is_some() { By::Pin } else { By::Bus };
        let lit = blur::lit(longest, by);
        let blurred = plan.flows().find(|(flow, cell)| blur::worst_nm(*cell, *flow, lit) > most_nm);
        if let Some((flow, cell)) = blurred {
            return no(format!(
                "at {flow} the water may go {} nm in a pulse of {} us, of which there may be light for {} us, and half a \
                 pixel is {most_nm} nm; flow at {} at most, or pulse shorter",
                blur::worst_nm(cell, flow, lit),
                longest.as_micros(),
                lit.as_micros(),
                blur::fastest(cell, most_nm, lit)
            ));
        }
        Ok(())
    }

    /// That of the lamp, or what `on` would bring.
    pub(super) fn strobe_level(&self) -> Fraction {
        if self.ordered == Fraction::ZERO { self.memory.level } else { self.ordered }
    }

    /// Sets camera and lamp, if the plan strobes and they are not set yet.
    pub(super) fn begin_strobe(&mut self, plan: &Plan) {
        let (Some(pulse), Some(mode), None) = (plan.strobe(), self.mode, &self.strobing) else { return };
        let level = self.strobe_level();
        let exposure = mode.strobe_exposure(pulse);
        self.strobing = Some(Strobing { before: self.ordered, level, exposure, lost: None, pulse: None });
        self.set_camera();
        let strobe = match self.strobe_pin {
            Some(_) => light::Strobe::Pin(level),
            None => light::Strobe::Bus(level),
        };
        self.order_light(None, light::Command::Strobe(strobe));
        self.ordered = level;
    }

    /// The lamp as before, and the camera when it is set again; whether it has to be. What somebody has set the lamp to
    /// meanwhile, it keeps.
    pub(super) fn end_strobe(&mut self) -> bool {
        let Some(Strobing { before, level, .. }) = self.strobing.take() else { return false };
        self.pulse_by_pin(false);
        let level = if self.ordered == level { before } else { self.ordered };
        self.order_light(None, light::Command::Strobe(light::Strobe::Off(level)));
        self.ordered = level;
        true
    }

    /// The lamp has done what it was ordered, or nothing is strobed.
    pub(super) fn is_ready_to_strobe(&self) -> bool {
        self.strobing.is_none() || !self.slow_orders.iter().any(|order| order.device == Device::Light)
    }

    /// Why no pulse can come, if it cannot.
    pub(super) fn is_in_the_dark(&self) -> Option<Fault> {
        let lost = self.strobing.as_ref()?.lost;
        lost.or_else(|| self.fault(Device::Light)).or_else(|| self.level.is_none().then_some(Fault::NoAnswer))
    }

    /// Its lamp is lost, and with it what it was told of pulses.
    pub(super) fn strobe_is_lost(&mut self, fault: Fault) {
        self.pulse_by_pin(false);
        if let Some(strobing) = &mut self.strobing {
            strobing.lost = Some(fault);
        }
    }

    pub(super) fn pulse_by_pin(&mut self, lit: bool) {
        if let Some(pin) = &mut self.strobe_pin {
            pin.set(lit);
        }
    }

    /// Has the light on in an interval, for a frame.
    pub(super) fn flash(&mut self, run: Run, epochs: Epochs, interval: Interval) {
        let pulse = match self.strobe_pin {
            Some(_) => Pulse::Coming { on: self.bell.at(interval.from), lasts: interval.duration() },
            None => {
                let command = light::Command::Pulse(interval);
                self.light.send(Order { run, epochs, command });
                Pulse::Ordered { deadline: self.bell.at(interval.to + DEADLINE) }
            }
        };
        if let Some(strobing) = &mut self.strobing {
            strobing.pulse = Some((run, pulse));
        }
    }

    /// Whether this alarm is of a pulse.
    pub(super) fn is_of_pulse(&self, ticket: Ticket) -> bool {
        let pulse = self.strobing.as_ref().and_then(|strobing| strobing.pulse.as_ref());
        pulse.is_some_and(|(_, pulse)| match pulse {
            Pulse::Coming { on: due, .. }
            | Pulse::Lit { off: due, .. }
            | Pulse::Ordered { deadline: due } => *due == ticket,
        })
    }

    /// The length of a pulse is kept, also where it begins late: brightness goes with it.
    pub(super) fn pulse_rang(&mut self, a: Acquisition, running: Box<Running>) -> State {
        let pulse = self.strobing.as_mut().and_then(|strobing| strobing.pulse.take());
        match pulse {
            Some((run, Pulse::Coming { lasts, .. })) => {
                let since = self.bell.now();
                self.pulse_by_pin(true);
                let pulse = Pulse::Lit { since, off: self.bell.at(since + lasts) };
                if let Some(strobing) = &mut self.strobing {
                    strobing.pulse = Some((run, pulse));
                }
                State::Running(a, running)
            }
            Some((run, Pulse::Lit { since, .. })) => {
                self.pulse_by_pin(false);
                let interval = Interval { from: since, to: self.bell.now() + AFTERGLOW };
                self.feed(a, running, sequence::Input::Pulsed(run, interval))
            }
            Some((_, Pulse::Ordered { .. })) => self.fail(a, Failure::Lamp(Fault::NoAnswer)),
            None => State::Running(a, running),
        }
    }

    /// The lamp's own answer.
    pub(super) fn pulsed(&mut self, state: State, run: Run, interval: Interval) -> State {
        let ours = |strobing: &mut Strobing| strobing.pulse.take_if(|(of, _)| *of == run);
        let ours = self.strobing.as_mut().and_then(ours).is_some();
        match state {
            State::Running(a, running) if ours => {
                self.feed(a, running, sequence::Input::Pulsed(run, interval))
            }
            state => state,
        }
    }
}
