//! What a motor was asked and has not answered yet: one move, and stops in the order in which they were given.

use crate::port::Port;
use planktor_protocol::instrument::CommandId;
use planktor_protocol::motion::{Command, Event};
use planktor_protocol::{Epochs, Instant, Order, Run};
use std::collections::VecDeque;

/// Who gave an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Who {
    /// A command from outside.
    Client(Caller),
    /// The acquisition.
    Acquisition,
}

/// A command from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Caller {
    pub(super) id: CommandId,
    /// When it reached the gateway.
    pub(super) arrived: Option<Instant>,
}

impl Who {
    pub(super) fn caller(self) -> Option<Caller> {
        match self {
            Self::Client(caller) => Some(caller),
            Self::Acquisition => None,
        }
    }
}

/// The way to a motor and its open orders.
pub(super) struct Ledger<M: Send + 'static> {
    port: Port<Order<Command<M>>>,
    moving: Option<(Run, Who)>,
    /// Moves that a stop was sent after and that have not been answered yet.
    stopped: Vec<(Run, Who)>,
    stops: VecDeque<Option<Caller>>,
    braking: bool,
}

/// Whom an event answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Answered {
    /// Who ordered the move.
    pub(super) who: Option<Who>,
    /// The stop.
    pub(super) stopped_by: Option<Caller>,
}

impl<M: Send + 'static> Ledger<M> {
    pub(super) fn new(port: Port<Order<Command<M>>>) -> Self {
        Self { port, moving: None, stopped: Vec::new(), stops: VecDeque::new(), braking: false }
    }

    pub(super) fn order(&mut self, run: Run, epochs: Epochs, order: M, who: Who) {
        self.moving = Some((run, who));
        self.port.send(Order { run, epochs, command: Command::Move(order) });
    }

    pub(super) fn stop(&mut self, run: Run, epochs: Epochs, by: Option<Caller>) {
        self.stops.push_back(by);
        self.stopped.extend(self.moving.take());
        self.port.send(Order { run, epochs, command: Command::Stop });
    }

    /// Whom an event answers; what ends is struck off.
    pub(super) fn answer<R>(&mut self, run: Run, event: &Event<R>) -> Answered {
        let mut open = self.moving.iter().chain(&self.stopped);
        let who = open.find(|(open, _)| *open == run).map(|(_, who)| *who);
        let mut stopped_by = None;
        match event {
            Event::Started { .. } => return Answered { who, stopped_by },
            Event::Released => self.braking = false,
            Event::Interrupted => {
                stopped_by = self.stops.pop_front().flatten();
                self.braking = true;
            }
            Event::Done(_) | Event::Refused(_) | Event::Failed(_) => {}
        }
        self.moving.take_if(|(open, _)| *open == run);
        self.stopped.retain(|(open, _)| *open != run);
        Answered { who, stopped_by }
    }

    /// Everything open, when nobody is left to answer it: the moves, then the stops.
    pub(super) fn lost(&mut self) -> Vec<Answered> {
        self.braking = false;
        let moves = self.stopped.drain(..).chain(self.moving.take());
        let moves: Vec<_> = moves.map(|(_, who)| Answered { who: Some(who), stopped_by: None }).collect();
        let stops = self.stops.drain(..).map(|by| Answered { who: None, stopped_by: by });
        moves.into_iter().chain(stops).collect()
    }

    /// Who ordered the move that is under way and not stopped.
    pub(super) fn moving(&self) -> Option<Who> {
        self.moving.map(|(_, who)| who)
    }

    /// Whether every stop has been sent to the motor.
    pub(super) fn stops_are_sent(&self) -> bool {
        self.stops.is_empty()
    }

    /// Whether the motor stands and nothing is open.
    pub(super) fn rests(&self) -> bool {
        self.moving.is_none() && self.stopped.is_empty() && self.stops.is_empty() && !self.braking
    }
}
