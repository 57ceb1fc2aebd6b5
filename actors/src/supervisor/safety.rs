//! Stop, the program's end, and devices that are lost: the instrument is made safe first, then everything open is
//! answered, then what was lost is opened again.

use super::care::Care;
use super::ledger::{Answered, Caller};
use super::{Shutdown, State, Supervisor, Who, device};
use crate::alarm::Ticket;
use crate::host::Reopen;
use crate::recording::Ending;
use planktor_drivers::board::Enable;
use planktor_protocol::acquisition::{self, Failure, Refusal};
use planktor_protocol::instrument::{Admitted, Answer, Command, CommandId, Device, Event, Health};
use planktor_protocol::motion::ChipClocks;
use planktor_protocol::units::Fraction;
use planktor_protocol::{Axis, Epochs, Fault, bubbler, lease, light, motion};
use std::time::Duration;

/// Braking from full speed takes the pump 2.1 s, the last frames' way to disk one or two.
const SHUTDOWN_DEADLINE: Duration = Duration::from_secs(5);

impl Supervisor {
    pub(super) fn stop(&mut self, state: State, admitted: &Admitted) -> State {
        let Admitted { id, epochs, owner: _, arrived, command } = admitted;
        let (caller, epochs) = (Caller { id: *id, arrived: *arrived }, *epochs);
        self.stopped = epochs;
        let (ends, axis) = (*command == Command::Shutdown, command.stops());
        let axis = if let [axis] = axis { Some(*axis) } else { None };
        // Of a later command it is the stop before it.
        let (state, ended) = match state.acquisition() {
            Some(a) if a.epochs.is_before(epochs) && !matches!(state, State::Closing(..)) => {
                self.let_go(a, Ending::Stopped, Some(axis.unwrap_or(Axis::Pump)));
                (State::Idle, Some(a.id))
            }
            _ => (state, None),
        };
        match axis {
            Some(axis) => self.stop_motor(axis, epochs, Some(caller)),
            None if ends => self.shut_down(caller.id, epochs),
            None => {
                self.stop_motor(Axis::Pump, epochs, None);
                // A stage that somebody moves by hand; an acquisition's has been told.
                if ended.is_none() && !self.focus.rests() {
                    self.stop_motor(Axis::Focus, epochs, None);
                }
            }
        }
        let by = (axis.is_none() && !ends).then_some(caller);
        if ended.is_some() || by.is_some() {
            self.interrupted.push((ended, by));
        }
        state
    }

    /// Answered by the motor; where that is lost its enable line is off, and nothing moves.
    pub(super) fn stop_motor(&mut self, axis: Axis, epochs: Epochs, by: Option<Caller>) {
        let run = self.new_run();
        if self.fault(device(axis)).is_some() {
            self.enable(axis).off();
            let answered = Answered { who: None, stopped_by: by };
            return self.tell_both(answered, interrupted(axis));
        }
        match axis {
            Axis::Pump => self.pump.stop(run, epochs, by),
            Axis::Focus => self.focus.stop(run, epochs, by),
        }
    }

    /// An acquisition's end by a stop is told when the stop has been sent to the motors. One that is complete is done,
    /// not interrupted, and who stopped it is answered after that.
    pub(super) fn answer_interrupted(&mut self) {
        let closing = matches!(self.state, State::Closing(..));
        if self.pump.stops_are_sent() && self.focus.stops_are_sent() && !closing {
            for (id, stopped_by) in std::mem::take(&mut self.interrupted) {
                let event = Event::Acquisition(acquisition::Event::Interrupted);
                self.time_stop(stopped_by);
                let stopped_by = stopped_by.map(|caller| caller.id);
                self.answer(Answer { id, stopped_by, at: self.bell.now(), event });
            }
        }
    }

    fn shut_down(&mut self, id: CommandId, epochs: Epochs) {
        self.stop_motor(Axis::Pump, epochs, None);
        self.stop_motor(Axis::Focus, epochs, None);
        self.order_light(None, light::Command::Set(Fraction::ZERO));
        if self.fault(Device::Bubbler).is_none() {
            self.order_bubbler(None, bubbler::Command::Set(false));
        }
        // A lamp that goes dark is reason enough.
        if self.lit.is_none() {
            self.keep_the_time();
        }
        let deadline = self.bell.at(self.bell.now() + SHUTDOWN_DEADLINE);
        self.shutdown.get_or_insert(Shutdown { id, deadline, ended: false });
        self.engrave();
    }

    pub(super) fn end_when_quiet(&mut self) {
        let motors = self.pump.rests() && self.focus.rests();
        if self.shutdown.is_some() && motors && self.slow_orders.is_empty() && !self.pipeline.is_busy() {
            self.end();
        }
    }

    pub(super) fn end(&mut self) {
        self.all_off();
        if let Some(shutdown) = self.shutdown.as_mut().filter(|shutdown| !shutdown.ended) {
            shutdown.ended = true;
            let id = shutdown.id;
            self.tell(Some(id), Event::Ended);
        }
    }

    pub(super) fn all_off(&mut self) {
        self.pulse_by_pin(false);
        self.pump_enable.off();
        self.focus_enable.off();
    }

    pub(super) fn noted(&mut self, state: State, device: Device, health: Health) -> State {
        let Health::Lost(fault) = health else {
            self.care_of(device).present();
            self.tell(None, Event::Health(device, health));
            self.slow_is_open(device);
            if device == Device::Camera {
                self.set_camera();
                self.watch_again();
            }
            return state;
        };
        let was = self.fault(device);
        let (health, again) = self.care_of(device).lost(fault);
        if let Some(after) = again {
            let ticket = self.bell.at(self.bell.now() + after);
            self.care_of(device).reopen_at(ticket);
        }
        if was != Some(fault) || matches!(health, Health::GivenUp(_)) {
            self.tell(None, Event::Health(device, health));
        }
        self.made_safe(state, device, fault)
    }

    /// Safe first; then everything that it was asked is answered by its loss.
    fn made_safe(&mut self, state: State, device: Device, fault: Fault) -> State {
        match device {
            Device::Pump => {
                self.pump_enable.off();
                let lost = self.pump.lost();
                self.motor_lost(state, Axis::Pump, fault, &lost)
            }
            Device::Focus => {
                self.focus_enable.off();
                let lost = self.focus.lost();
                self.motor_lost(state, Axis::Focus, fault, &lost)
            }
            Device::Light => {
                self.strobe_is_lost(fault);
                self.slow_is_lost(device, fault);
                match state {
                    State::Running(a, _) if self.strobing.is_some() => self.fail(a, Failure::Lamp(fault)),
                    state => state,
                }
            }
            Device::Bubbler | Device::Display | Device::Eeprom => {
                self.slow_is_lost(device, fault);
                state
            }
            Device::Camera => match state {
                State::Opening(a, ..) => self.refuse(a, Refusal::NoCamera(fault)),
                State::Creating(a) | State::Ready(a, ..) => {
                    self.pipeline.end(a.batch, Ending::Failed(fault.to_string()));
                    self.refuse(a, Refusal::NoCamera(fault))
                }
                State::Running(a, running) => self.camera_failed(a, &running, fault),
                State::Capturing(a, _) => self.fail(a, Failure::Capture(fault.to_string())),
                state @ (State::Idle | State::Closing(..)) => state,
            },
        }
    }

    fn motor_lost(&mut self, state: State, axis: Axis, fault: Fault, lost: &[Answered]) -> State {
        for answered in lost {
            let event = match (answered.who, axis) {
                (None, axis) => interrupted(axis),
                (Some(_), Axis::Pump) => Event::Pump(motion::Event::Failed(fault)),
                (Some(_), Axis::Focus) => Event::Focus(motion::Event::Failed(fault)),
            };
            self.tell_both(*answered, event);
        }
        match state {
            State::Running(a, _) if lost.iter().any(|l| l.who == Some(Who::Acquisition)) => {
                self.fail(a, Failure::Motor(axis, fault))
            }
            state => state,
        }
    }

    pub(super) fn alarm(&mut self, ticket: Ticket) {
        if self.slow_is_late(ticket) {
            return;
        }
        if self.lease.ended(ticket, &self.bell) {
            return self.tell(None, Event::Lease(lease::Event::Free));
        }
        if self.looked_long_enough(ticket) {
            return;
        }
        if self.lit.is_some_and(|(_, keep)| keep == ticket) {
            return self.lit_is_to_be_kept();
        }
        if self.shutdown.as_ref().is_some_and(|shutdown| shutdown.deadline == ticket) {
            return self.end();
        }
        let rung = self.care.iter_mut().find_map(|(device, care)| care.rung(ticket).then_some(*device));
        if let Some(host) = rung.and_then(|device| self.reopen.get(&device)) {
            host.do_send(Reopen);
        }
    }

    fn care_of(&mut self, device: Device) -> &mut Care {
        self.care.get_mut(&device).expect("there is a care for every device")
    }

    pub(super) fn works(&mut self, device: Device) {
        self.care_of(device).works();
    }

    /// It made a move. A clock that is beyond its datasheet is a warning, told once: the ends of moves are known none the
    /// less.
    pub(super) fn motor_works(&mut self, axis: Axis) {
        self.works(device(axis));
        let odd = match axis {
            Axis::Pump => self.pump_clock.beyond_datasheet(),
            Axis::Focus => self.focus_clock.beyond_datasheet(),
        };
        if let Some(clock) = odd
            && self.care_of(device(axis)).is_odd_now()
        {
            self.tell(None, Event::Health(device(axis), Health::OddClock(clock)));
        }
    }

    pub(super) fn clocks(&self) -> ChipClocks {
        ChipClocks { pump: self.pump_clock.clock(), focus: self.focus_clock.clock() }
    }

    pub(super) fn fault(&self, device: Device) -> Option<Fault> {
        self.care.get(&device).and_then(Care::fault)
    }

    fn enable(&self, axis: Axis) -> &Enable {
        match axis {
            Axis::Pump => &self.pump_enable,
            Axis::Focus => &self.focus_enable,
        }
    }
}

fn interrupted(axis: Axis) -> Event {
    match axis {
        Axis::Pump => Event::Pump(motion::Event::Interrupted),
        Axis::Focus => Event::Focus(motion::Event::Interrupted),
    }
}
