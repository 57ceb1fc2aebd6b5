//! Something that lasts until an instant, which may be moved: there is one alarm, however often that happens.

use crate::alarm::{Bell, Ticket};
use planktor_protocol::Instant;
use std::time::Duration;

/// How long something lasts.
#[derive(Debug, Default)]
pub(super) struct Term {
    until: Option<Instant>,
    /// The next look at whether it is over.
    look: Option<(Instant, Ticket)>,
}

impl Term {
    /// From now on it lasts so long.
    pub(super) fn set(&mut self, lasts: Duration, bell: &Bell) {
        let until = bell.now() + lasts;
        self.until = Some(until);
        if self.look.is_none_or(|(look, _)| until < look) {
            self.look = Some((until, bell.at(until)));
        }
    }

    /// It is over.
    pub(super) fn end(&mut self) {
        self.until = None;
    }

    /// For how long from now, if it is not over.
    pub(super) fn left(&self, now: Instant) -> Option<Duration> {
        self.until.filter(|until| *until > now).map(|until| until - now)
    }

    /// Whether this was its end.
    pub(super) fn ended(&mut self, rung: Ticket, bell: &Bell) -> bool {
        if self.look.take_if(|(_, look)| *look == rung).is_none() {
            return false;
        }
        if let Some(until) = self.until.filter(|until| *until > bell.now()) {
            self.look = Some((until, bell.at(until)));
            return false;
        }
        self.until.take().is_some()
    }
}
