//! Where a message can be sent, whoever receives it.

use actix::dev::ToEnvelope;
use actix::{Actor, Addr, Context, Handler, Message, Recipient};

/// Carries a plain value through actix, so that protocol need not know actix.
pub struct Mail<T>(pub T);

impl<T: 'static> Message for Mail<T> {
    type Result = ();
}

/// An address for one kind of value. Within the instrument: never refused, never waited for, because what is in
/// flight is bounded by who sends: one move a motor, three frames, a few orders to the lamp.
pub struct Port<T: Send + 'static>(Recipient<Mail<T>>);

impl<T: Send + 'static> Clone for Port<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T: Send + 'static> Port<T> {
    /// Of an actor that takes such values.
    pub fn of<A>(actor: &Addr<A>) -> Self
    where
        A: Actor<Context = Context<A>> + Handler<Mail<T>>,
        A::Context: ToEnvelope<A, Mail<T>>,
    {
        Self(actor.clone().recipient())
    }

    /// Sends.
    pub fn send(&self, value: T) {
        self.0.do_send(Mail(value));
    }
}
