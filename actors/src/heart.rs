//! The actor that says that its thread lives, twenty times a second, to whoever watches from outside. Whatever holds the
//! thread silences it: a handler that never returns, a bus that hangs, a process that is stopped.

use crate::alarm::{Alarms, Bell, Ticket};
use crate::port::{Mail, Port};
use actix::{Actor, AsyncContext, Context, Handler};
use std::time::Duration;

/// Who listens may miss two of them and still act within 200 ms. Twenty a second cost the program 0.12 % of a core, and the
/// guard is at 0.17 % (release, a twin at rest for 60 s, by `/proc/PID/schedstat`, on a virtual x86-64 machine; never on a Pi).
pub const PERIOD: Duration = Duration::from_millis(50);

/// Says it. Never waits: who does not listen in time has missed it.
pub type Beat = Box<dyn FnMut() + Send>;

/// The actor.
pub struct Heart {
    beat: Beat,
    bell: Bell,
}

impl Heart {
    /// Called on the arbiter where it lives; beats at once. The journal does not tell of it: it is about the computer, not
    /// about the instrument.
    pub fn new(ctx: &mut Context<Self>, beat: Beat) -> Self {
        let bell = Alarms::here().bell_outside(Port::of(&ctx.address()));
        bell.at(bell.now());
        Self { beat, bell }
    }
}

impl Actor for Heart {
    type Context = Context<Self>;
}

impl Handler<Mail<Ticket>> for Heart {
    type Result = ();

    fn handle(&mut self, _: Mail<Ticket>, _: &mut Context<Self>) {
        (self.beat)();
        self.bell.at(self.bell.now() + PERIOD);
    }
}
