//! The actor that asks where the instrument is, once a second, and tells who wants to know.

use crate::alarm::{Alarms, Bell, Ticket};
use crate::port::{Mail, Port};
use actix::{Actor, AsyncContext, Context, Handler};
use planktor_drivers::devices::position::PositionSource;
use planktor_protocol::position::Fix;
use std::time::Duration;

/// As often as receivers report.
const PERIOD: Duration = Duration::from_secs(1);

/// The actor.
pub struct Position {
    source: Box<dyn PositionSource>,
    bell: Bell,
    listeners: Vec<Port<Fix>>,
}

impl Position {
    /// Called on the arbiter where it lives; asks at once.
    pub fn new(ctx: &mut Context<Self>, source: Box<dyn PositionSource>, listeners: Vec<Port<Fix>>) -> Self {
        let bell = Alarms::here().bell(Port::of(&ctx.address()));
        bell.at(bell.now());
        Self { source, bell, listeners }
    }
}

impl Actor for Position {
    type Context = Context<Self>;
}

impl Handler<Mail<Ticket>> for Position {
    type Result = ();

    fn handle(&mut self, _: Mail<Ticket>, _: &mut Context<Self>) {
        if let Some(fix) = self.source.latest() {
            self.listeners.iter().for_each(|listener| listener.send(fix));
        }
        self.bell.at(self.bell.now() + PERIOD);
    }
}
