//! Who may operate the instrument for now.

use super::term::Term;
use crate::alarm::{Bell, Ticket};
use planktor_protocol::Instant;
use planktor_protocol::lease::{Event, Refusal};
use std::sync::Arc;
use std::time::Duration;

/// Who has it, and for how long.
#[derive(Debug, Default)]
pub(super) struct Lease {
    owner: Arc<str>,
    term: Term,
}

impl Lease {
    /// What keeps this client from operating the instrument.
    pub(super) fn denies(&self, client: Option<&Arc<str>>, now: Instant) -> Option<Refusal> {
        let left = self.term.left(now).filter(|_| client != Some(&self.owner))?;
        Some(Refusal::Held { owner: self.owner.clone(), left })
    }

    /// Gives it, or gives it for longer.
    pub(super) fn take(
        &mut self,
        owner: Option<Arc<str>>,
        take_over: bool,
        lasts: Duration,
        bell: &Bell,
    ) -> Event {
        let now = bell.now();
        let Some(owner) = owner else { return Event::Refused(Refusal::Nobody) };
        match self.denies(Some(&owner), now) {
            Some(why) if !take_over => Event::Refused(why),
            _ => {
                self.owner = owner;
                self.term.set(lasts, bell);
                self.report(now)
            }
        }
    }

    pub(super) fn release(&mut self, client: Option<&Arc<str>>, now: Instant) -> Event {
        match self.denies(client, now) {
            Some(why) => Event::Refused(why),
            None => {
                self.term.end();
                Event::Free
            }
        }
    }

    /// Whether this was its end.
    pub(super) fn ended(&mut self, rung: Ticket, bell: &Bell) -> bool {
        self.term.ended(rung, bell)
    }

    pub(super) fn report(&self, now: Instant) -> Event {
        let left = self.term.left(now);
        left.map_or(Event::Free, |left| Event::Held { owner: self.owner.clone(), left })
    }
}
