//! Orders to what hangs on slow buses: lamp, bubbler, display, EEPROM. A bus may hold them; each has a deadline.

use super::{SlowOrder, Supervisor};
use crate::alarm::Ticket;
use planktor_protocol::instrument::{CommandId, Device, Event};
use planktor_protocol::units::Fraction;
use planktor_protocol::{Epochs, Fault, Order, Report, Run, bubbler, display, light};
use std::collections::VecDeque;
use std::time::Duration;

/// A slow bus may hold its caller for a second; after three nobody waits any more.
const DEADLINE: Duration = Duration::from_secs(3);
/// Clients' orders that may be under way to one device. The instrument's own, few and never many at once, always go: without
/// them a lamp would stay as it is.
const MOST_ORDERS: usize = 32;
/// The same to the display.
const MOST_PAGES: usize = 8;
/// After all of these pages are shown, or given up: ink takes two seconds, more in the cold, fifteen at most.
const INK_DEADLINE: Duration = Duration::from_secs(15 * (MOST_PAGES as u64 + 1));

impl Supervisor {
    pub(super) fn order_light(&mut self, id: Option<CommandId>, command: light::Command) {
        let Some(run) = self.slow_order(Device::Light, id) else { return };
        let command = match command {
            light::Command::On => light::Command::Set(self.memory.level),
            command => command,
        };
        match command {
            light::Command::Set(level) => self.ordered = level,
            // What follows it finds it saved; what it follows comes first on the lamp's own way.
            light::Command::Save => {
                self.memory.level = self.ordered;
                if let Some(order) = self.slow_orders.back_mut() {
                    order.saves = true;
                }
            }
            light::Command::On
            | light::Command::Report
            | light::Command::Strobe(_)
            | light::Command::Pulse(_) => {}
        }
        self.light.send(Order { run, epochs: Epochs::default(), command });
    }

    pub(super) fn order_bubbler(&mut self, id: Option<CommandId>, command: bubbler::Command) {
        if let Some(run) = self.slow_order(Device::Bubbler, id) {
            self.bubbler.send(Order { run, epochs: Epochs::default(), command });
        }
    }

    pub(super) fn order_display(&mut self, id: Option<CommandId>, command: display::Command) {
        if let Some(run) = self.slow_order(Device::Display, id) {
            self.display.send(Order { run, epochs: Epochs::default(), command });
        }
    }

    /// Names an order; `None`: it was answered already, because nobody is there to carry it out.
    pub(super) fn slow_order(&mut self, device: Device, id: Option<CommandId>) -> Option<Run> {
        let most = if device == Device::Display { MOST_PAGES } else { MOST_ORDERS };
        let under_way = || self.slow_orders.iter().filter(|order| order.device == device).count();
        let full = || (id.is_some() && under_way() >= most).then_some(Fault::NoAnswer);
        if let Some(fault) = self.fault(device).or_else(full) {
            self.tell_failed(id, device, fault);
            return None;
        }
        let run = self.new_run();
        let patience = match device {
            Device::Display => INK_DEADLINE,
            Device::Light
            | Device::Bubbler
            | Device::Eeprom
            | Device::Pump
            | Device::Focus
            | Device::Camera => DEADLINE,
        };
        let deadline = self.bell.at(self.bell.now() + patience);
        self.slow_orders.push_back(SlowOrder { device, run, id, deadline, saves: false, keeps: None });
        Some(run)
    }

    pub(super) fn lit(&mut self, Report { run, event }: Report<light::Event>) {
        match event {
            light::Event::Level(level) => {
                self.shines(Some(level));
                self.works(Device::Light);
            }
            light::Event::NotSaved(_) | light::Event::Failed(_) => self.shines(None),
            // Goes to its frame, and never comes here.
            light::Event::Pulsed(_) => {}
        }
        match self.slow_answer(run) {
            Some(SlowOrder { id, saves: true, .. }) => self.save(id, event),
            order => self.tell(order.and_then(|order| order.id), Event::Light(event)),
        }
    }

    pub(super) fn bubbled(&mut self, Report { run, event }: Report<bubbler::Event>) {
        self.works(Device::Bubbler);
        let id = self.slow_answer(run).and_then(|order| order.id);
        self.tell(id, Event::Bubbler(event));
    }

    pub(super) fn showed(&mut self, Report { run, event }: Report<display::Event>) {
        self.works(Device::Display);
        let id = self.slow_answer(run).and_then(|order| order.id);
        self.tell(id, Event::Display(event));
    }

    pub(super) fn slow_answer(&mut self, run: Run) -> Option<SlowOrder> {
        let order = self.slow_orders.iter().position(|order| order.run == run)?;
        self.slow_orders.remove(order)
    }

    /// Whether this was an order's deadline.
    pub(super) fn slow_is_late(&mut self, ticket: Ticket) -> bool {
        let late = self.slow_orders.iter().position(|order| order.deadline == ticket);
        let Some(SlowOrder { device, id, .. }) = late.and_then(|i| self.slow_orders.remove(i)) else {
            return false;
        };
        if device == Device::Light {
            self.shines(None);
        }
        self.tell_failed(id, device, Fault::NoAnswer);
        true
    }

    /// Its state is not known; everything that it was asked is answered by its loss.
    pub(super) fn slow_is_lost(&mut self, device: Device, fault: Fault) {
        if device == Device::Light {
            self.shines(None);
        }
        if fault != Fault::NotFitted {
            self.tell_failed(None, device, fault);
        }
        let orders = std::mem::take(&mut self.slow_orders).into_iter();
        let (lost, others): (VecDeque<_>, _) = orders.partition(|order| order.device == device);
        self.slow_orders = others;
        for SlowOrder { id, .. } in lost {
            self.tell_failed(id, device, fault);
        }
    }

    /// Whoever looks at its topic is to see what it is now, not what it was before the last crash.
    pub(super) fn slow_is_open(&mut self, device: Device) {
        match device {
            Device::Light => {
                self.ordered = Fraction::ZERO;
                self.shines(Some(Fraction::ZERO));
                self.tell(None, Event::Light(light::Event::Level(Fraction::ZERO)));
            }
            Device::Bubbler => self.tell(None, Event::Bubbler(bubbler::Event::Bubbling(false))),
            Device::Display | Device::Eeprom | Device::Pump | Device::Focus | Device::Camera => {}
        }
    }

    fn tell_failed(&self, id: Option<CommandId>, device: Device, fault: Fault) {
        let event = match device {
            Device::Bubbler => Event::Bubbler(bubbler::Event::Failed(fault)),
            Device::Display => Event::Display(display::Event::Failed(fault)),
            // Nobody has asked it; how it is is told as its health.
            Device::Eeprom => return,
            Device::Light | Device::Pump | Device::Focus | Device::Camera => {
                Event::Light(light::Event::Failed(fault))
            }
        };
        self.tell(id, event);
    }
}
