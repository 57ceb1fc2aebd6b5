//! Who may operate the instrument for now.

use crate::alarm::Ticket;
use planktor_protocol::Instant;
use planktor_protocol::lease::{Event, Refusal};
use std::sync::Arc;

/// Who has it, and for how long.
#[derive(Debug, Default)]
pub(super) struct Lease(Option<Held>);

#[derive(Debug)]
struct Held {
    owner: Arc<str>,
    until: Instant,
    end: Ticket,
}

impl Lease {
    /// What keeps this client from operating the instrument.
    pub(super) fn denies(&self, client: Option<&Arc<str>>, now: Instant) -> Option<Refusal> {
        let held = self.0.as_ref().filter(|held| Some(&held.owner) != client)?;
        Some(Refusal::Held { owner: held.owner.clone(), left: held.until - now })
    }

    /// Gives it, or gives it for longer; `end` rings when it is over.
    pub(super) fn take(
        &mut self,
        owner: Option<Arc<str>>,
        take_over: bool,
        (until, now): (Instant, Instant),
        end: impl FnOnce() -> Ticket,
    ) -> Event {
        let Some(owner) = owner else { return Event::Refused(Refusal::Nobody) };
        match self.denies(Some(&owner), now) {
            Some(why) if !take_over => Event::Refused(why),
            _ => {
                self.0 = Some(Held { owner, until, end: end() });
                self.report(now)
            }
        }
    }

    pub(super) fn release(&mut self, client: Option<&Arc<str>>, now: Instant) -> Event {
        match self.denies(client, now) {
            Some(why) => Event::Refused(why),
            None => {
                self.0 = None;
                Event::Free
            }
        }
    }

    /// Whether this was its end.
    pub(super) fn ended(&mut self, rung: Ticket) -> bool {
        self.0.take_if(|held| held.end == rung).is_some()
    }

    pub(super) fn report(&self, now: Instant) -> Event {
        self.0.as_ref().map_or(Event::Free, |held| Event::Held {
            owner: held.owner.clone(),
            left: held.until.max(now) - now,
        })
    }
}
