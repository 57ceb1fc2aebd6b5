//! An actor that outlives its device.
//!
//! It hosts a plain machine. A fault or a panic in it is contained: the device is made safe, its driver dropped, the
//! loss reported, and the actor and its address stay. The supervisor decides when to open it again.

use crate::alarm::{Alarms, Bell, Ticket};
use crate::port::{Mail, Port};
use crate::timing::Timer;
use actix::{Actor, Addr, AsyncContext, Context, Handler, Message};
use planktor_protocol::instrument::{Device, Health};
use planktor_protocol::{Fault, Instant, Order};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// What can reach a machine.
#[derive(Debug)]
pub enum Input<C> {
    /// An order.
    Order(Order<C>),
    /// An alarm of its own.
    Alarm(Ticket),
}

/// What an input is called where it is timed.
pub trait Named {
    /// Its kind.
    fn name(&self) -> &'static str;
}

impl<C> Named for Input<C> {
    fn name(&self) -> &'static str {
        match self {
            Self::Order(_) => "order",
            Self::Alarm(_) => "alarm",
        }
    }
}

/// Times the handlers of one actor, each kind of input by itself.
pub struct Timers {
    alarms: Alarms,
    actor: String,
    known: Vec<(&'static str, Timer)>,
}

/// A handler that runs.
pub struct Begun {
    kind: usize,
    at: Instant,
}

impl Timers {
    /// Of an actor on this thread.
    pub fn of(actor: impl ToString) -> Self {
        Self { alarms: Alarms::here(), actor: actor.to_string(), known: Vec::new() }
    }

    /// A handler begins. In virtual time none is timed.
    pub fn begin(&mut self, kind: &'static str) -> Option<Begun> {
        if self.alarms.is_virtual() {
            return None;
        }
        let known = self.known.iter().position(|(name, _)| *name == kind);
        let kind = known.unwrap_or_else(|| {
            let timer = self.alarms.timings().handler(format!("{}: {}", self.actor, kind.to_lowercase()));
            self.known.push((kind, timer));
            self.known.len() - 1
        });
        Some(Begun { kind, at: self.alarms.now() })
    }

    /// It ends.
    pub fn end(&self, begun: Option<Begun>) {
        if let Some(Begun { kind, at }) = begun {
            self.alarms.timings().handled(&self.known[kind].1, self.alarms.now() - at);
        }
    }
}

impl<C> From<Order<C>> for Input<C> {
    fn from(order: Order<C>) -> Self {
        Self::Order(order)
    }
}

impl<C> From<Ticket> for Input<C> {
    fn from(ticket: Ticket) -> Self {
        Self::Alarm(ticket)
    }
}

/// What an actor does, without actix.
pub trait Machine: 'static {
    /// Everything that can reach it.
    type Input: Named + 'static;

    /// Whether the device is open; it may take several inputs until it is.
    fn is_open(&self) -> bool;

    /// Runs to completion.
    ///
    /// # Errors
    /// [`Fault`]: the device is lost, and all that it was asked with it.
    fn on(&mut self, input: Self::Input) -> Result<(), Fault>;

    /// Off: first by what works when the bus does not.
    fn make_safe(&mut self);
}

/// Opens the device, as often as need be.
pub type Open<M> = Box<dyn FnMut(Bell) -> Result<M, Fault>>;

/// How a device is, for the supervisor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Noted {
    /// Which.
    pub device: Device,
    /// How it is.
    pub health: Health,
}

/// Asks a host to open its device again.
pub struct Reopen;

impl Message for Reopen {
    type Result = ();
}

/// The actor.
pub struct Host<M: Machine> {
    device: Device,
    open: Open<M>,
    bell: Bell,
    health: Port<Noted>,
    machine: Option<M>,
    reported: bool,
    timers: Timers,
}

impl<M: Machine> Host<M> {
    /// Starts it on this arbiter; it opens its device at once.
    pub fn start(device: Device, health: Port<Noted>, open: Open<M>) -> Addr<Self>
    where
        M::Input: From<crate::alarm::Ticket>,
    {
        Self::create(|ctx| Self::new(ctx, device, health, open))
    }

    /// For an arbiter on another thread: called there.
    pub fn new(ctx: &mut Context<Self>, device: Device, health: Port<Noted>, open: Open<M>) -> Self
    where
        M::Input: From<crate::alarm::Ticket>,
    {
        let bell = Alarms::here().bell(Port::of(&ctx.address()));
        let mut host =
            Self { device, open, bell, health, machine: None, reported: false, timers: Timers::of(device) };
        host.open();
        host
    }

    fn open(&mut self) {
        self.reported = false;
        let (open, bell) = (&mut self.open, self.bell.clone());
        match contained(|| open(bell)) {
            Ok(machine) => {
                self.machine = Some(machine);
                self.report();
            }
            Err(fault) => self.lost(fault),
        }
    }

    fn report(&mut self) {
        if !self.reported && self.machine.as_ref().is_some_and(Machine::is_open) {
            self.reported = true;
            self.health.send(Noted { device: self.device, health: Health::Present });
        }
    }

    /// Safe first, then told; what waits in the mailbox finds nobody and is answered by the loss itself.
    fn lost(&mut self, fault: Fault) {
        if let Some(mut machine) = self.machine.take() {
            // A second panic on the way down must not take the actor with it.
            let _ = contained(move || {
                machine.make_safe();
                Ok(())
            });
        }
        self.health.send(Noted { device: self.device, health: Health::Lost(fault) });
    }
}

fn contained<T>(work: impl FnOnce() -> Result<T, Fault>) -> Result<T, Fault> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or(Err(Fault::Panic))
}

/// Its fields are never pinned.
impl<M: Machine> Unpin for Host<M> {}

impl<M: Machine> Actor for Host<M> {
    type Context = Context<Self>;
}

impl<M: Machine, T: Into<M::Input> + 'static> Handler<Mail<T>> for Host<M> {
    type Result = ();

    fn handle(&mut self, Mail(value): Mail<T>, _: &mut Context<Self>) {
        let Some(machine) = &mut self.machine else { return };
        let input: M::Input = value.into();
        let begun = self.timers.begin(input.name());
        match contained(|| machine.on(input)) {
            Ok(()) => self.report(),
            Err(fault) => self.lost(fault),
        }
        self.timers.end(begun);
    }
}

impl<M: Machine> Handler<Reopen> for Host<M> {
    type Result = ();

    fn handle(&mut self, _: Reopen, _: &mut Context<Self>) {
        if self.machine.is_none() {
            self.open();
        }
    }
}
