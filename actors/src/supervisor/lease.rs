//! Who may operate the instrument for now.

use crate::alarm::{Bell, Ticket};
use planktor_protocol::Instant;
use planktor_protocol::lease::{Event, Refusal};
use std::sync::Arc;
use std::time::Duration;

/// Who has it, and for how long.
#[derive(Debug, Default)]
pub(super) struct Lease {
    held: Option<Held>,
    /// The next look at whether it is over. There is one, however often it is taken.
    look: Option<(Instant, Ticket)>,
}

#[derive(Debug)]
struct Held {
    owner: Arc<str>,
    until: Instant,
}

impl Lease {
    /// What keeps this client from operating the instrument.
    pub(super) fn denies(&self, client: Option<&Arc<str>>, now: Instant) -> Option<Refusal> {
        let held = self.held.as_ref().filter(|held| held.until > now && Some(&held.owner) != client)?;
        Some(Refusal::Held { owner: held.owner.clone(), left: held.until - now })
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
                let until = now + lasts;
                self.held = Some(Held { owner, until });
                if self.look.is_none_or(|(look, _)| until < look) {
                    self.look = Some((until, bell.at(until)));
                }
                self.report(now)
            }
        }
    }

    pub(super) fn release(&mut self, client: Option<&Arc<str>>, now: Instant) -> Event {
        match self.denies(client, now) {
            Some(why) => Event::Refused(why),
            None => {
                self.held = None;
                Event::Free
            }
        }
    }

    /// Whether this was its end.
    pub(super) fn ended(&mut self, rung: Ticket, bell: &Bell) -> bool {
        let now = bell.now();
        if self.look.take_if(|(_, look)| *look == rung).is_none() {
            return false;
        }
        if let Some(Held { until, .. }) = self.held.as_ref().filter(|held| held.until > now) {
            self.look = Some((*until, bell.at(*until)));
            return false;
        }
        self.held.take().is_some()
    }

    pub(super) fn report(&self, now: Instant) -> Event {
        let held = self.held.as_ref().filter(|held| held.until > now);
        held.map_or(Event::Free, |held| Event::Held { owner: held.owner.clone(), left: held.until - now })
    }
}
