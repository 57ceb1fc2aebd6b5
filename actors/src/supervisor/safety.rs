//! Stop, the program's end, and devices that are lost: the instrument is made safe first, then everything open is
//! answered, then what was lost is opened again.

use super::care::Care;
use super::ledger::Answered;
use super::{LightOrder, Shutdown, State, Supervisor, Who, device};
use crate::alarm::Ticket;
use crate::host::Reopen;
use crate::recording::Ending;
use planktor_drivers::board::Enable;
use planktor_protocol::acquisition::{self, Failure, Refusal};
use planktor_protocol::instrument::{Admitted, Answer, Command, CommandId, Device, Event, Health};
use planktor_protocol::units::Fraction;
use planktor_protocol::{Axis, Epochs, Fault, Order, Run, light, motion};
use std::time::Duration;

/// A slow bus may hold its caller for a second; after three nobody waits any more.
const LIGHT_DEADLINE: Duration = Duration::from_secs(3);
/// Orders to the lamp that may be under way.
const MOST_LIGHT_ORDERS: usize = 32;
/// Braking from full speed takes the pump 2.1 s, the last frames' way to disk one or two.
const SHUTDOWN_DEADLINE: Duration = Duration::from_secs(5);

impl Supervisor {
    pub(super) fn stop(&mut self, state: State, Admitted { id, epochs, command }: &Admitted) -> State {
        let (id, epochs) = (*id, *epochs);
        self.stopped = epochs;
        let axis = match command {
            Command::Pump(_) => Some(Axis::Pump),
            Command::Focus(_) => Some(Axis::Focus),
            Command::Light(_) | Command::Acquisition(_) | Command::Shutdown => None,
        };
        // Of a later command it is the stop before it.
        let (state, ended) = match state.acquisition() {
            Some(a) if a.epochs.is_before(epochs) && !matches!(state, State::Closing(..)) => {
                self.let_go(a, Ending::Stopped, Some(axis.unwrap_or(Axis::Pump)));
                (State::Idle, Some(a.id))
            }
            _ => (state, None),
        };
        match command {
            Command::Pump(_) => self.stop_motor(Axis::Pump, epochs, Some(id)),
            Command::Focus(_) => self.stop_motor(Axis::Focus, epochs, Some(id)),
            Command::Light(_) | Command::Acquisition(_) => self.stop_motor(Axis::Pump, epochs, None),
            Command::Shutdown => self.shut_down(id, epochs),
        }
        let by = (axis.is_none() && !matches!(command, Command::Shutdown)).then_some(id);
        if ended.is_some() || by.is_some() {
            self.interrupted.push((ended, by));
        }
        state
    }

    /// Answered by the motor; where that is lost its enable line is off, and nothing moves.
    pub(super) fn stop_motor(&mut self, axis: Axis, epochs: Epochs, by: Option<CommandId>) {
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
                self.answer(Answer { id, stopped_by, at: self.bell.now(), event });
            }
        }
    }

    fn shut_down(&mut self, id: CommandId, epochs: Epochs) {
        self.stop_motor(Axis::Pump, epochs, None);
        self.stop_motor(Axis::Focus, epochs, None);
        self.order_light(None, light::Command::Set(Fraction::ZERO));
        let deadline = self.bell.at(self.bell.now() + SHUTDOWN_DEADLINE);
        self.shutdown.get_or_insert(Shutdown { id, deadline, ended: false });
    }

    pub(super) fn end_when_quiet(&mut self) {
        let motors = self.pump.rests() && self.focus.rests();
        if self.shutdown.is_some() && motors && self.light_orders.is_empty() && !self.pipeline.is_busy() {
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

    pub(super) fn all_off(&self) {
        self.pump_enable.off();
        self.focus_enable.off();
    }

    pub(super) fn noted(&mut self, state: State, device: Device, health: Health) -> State {
        let Health::Lost(fault) = health else {
            self.care_of(device).present();
            self.tell(None, Event::Health(device, health));
            if device == Device::Light {
                self.opened_dark();
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
                self.level = None;
                self.tell(None, Event::Light(light::Event::Failed(fault)));
                for LightOrder { id, .. } in std::mem::take(&mut self.light_orders) {
                    self.tell(id, Event::Light(light::Event::Failed(fault)));
                }
                state
            }
            Device::Camera => match state {
                State::Opening(a, ..) => self.refuse(a, Refusal::NoCamera(fault)),
                State::Creating(a, _) | State::Ready(a, ..) => {
                    self.pipeline.end(a.batch, Ending::Failed(fault.to_string()));
                    self.refuse(a, Refusal::NoCamera(fault))
                }
                State::Running(a, running) => self.camera_failed(a, &running, fault),
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

    /// Whoever looks at its topic is to see what it is now, not what it was before the last crash.
    fn opened_dark(&mut self) {
        self.level = Some(Fraction::ZERO);
        self.tell(None, Event::Light(light::Event::Level(Fraction::ZERO)));
    }

    pub(super) fn order_light(&mut self, id: Option<CommandId>, command: light::Command) {
        let fault = self.fault(Device::Light);
        let fault = fault.or((self.light_orders.len() >= MOST_LIGHT_ORDERS).then_some(Fault::NoAnswer));
        if let Some(fault) = fault {
            return self.tell(id, Event::Light(light::Event::Failed(fault)));
        }
        let run = self.new_run();
        let deadline = self.bell.at(self.bell.now() + LIGHT_DEADLINE);
        self.light_orders.push_back(LightOrder { run, id, deadline });
        self.light.send(Order { run, epochs: Epochs::default(), command });
    }

    pub(super) fn lit(&mut self, run: Run, event: light::Event) {
        match event {
            light::Event::Level(level) => {
                self.level = Some(level);
                self.works(Device::Light);
            }
            light::Event::Failed(_) => self.level = None,
        }
        let order = self.light_orders.iter().position(|order| order.run == run);
        let order = order.and_then(|i| self.light_orders.remove(i));
        self.tell(order.and_then(|order| order.id), Event::Light(event));
    }

    pub(super) fn alarm(&mut self, ticket: Ticket) {
        if let Some(i) = self.light_orders.iter().position(|order| order.deadline == ticket) {
            self.level = None;
            let id = self.light_orders.remove(i).and_then(|order| order.id);
            return self.tell(id, Event::Light(light::Event::Failed(Fault::NoAnswer)));
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
