//! How a device is, and when it is opened again after it was lost: soon, then ever later, and not for ever if it is
//! our own driver that fails.

use crate::alarm::Ticket;
use planktor_protocol::Fault;
use planktor_protocol::instrument::Health;
use std::time::Duration;

/// Before the first attempt; doubled each time.
const BACK_OFF: Duration = Duration::from_millis(100);
/// What comes back (a cable, a camera) is picked up within this time, however long it was away.
const LONGEST_BACK_OFF: Duration = Duration::from_secs(10);
/// A driver that panics so often without a success between has a bug that another start does not mend.
const MOST_PANICS: u32 = 3;

/// One device's.
#[derive(Debug)]
pub(super) struct Care {
    health: Health,
    losses: u32,
    panics: u32,
    reopen: Option<Ticket>,
    /// Whether it was told, since it is there, that something about it is odd.
    told_odd: bool,
}

impl Care {
    /// Of a device that has not yet said how it is.
    pub(super) fn new() -> Self {
        Self { health: Health::Lost(Fault::NotOpen), losses: 0, panics: 0, reopen: None, told_odd: false }
    }

    /// What keeps it from being used.
    pub(super) fn fault(&self) -> Option<Fault> {
        match self.health {
            Health::Present | Health::OddClock(_) => None,
            Health::Lost(fault) | Health::GivenUp(fault) => Some(fault),
        }
    }

    /// It did what it was asked: what was before is forgotten.
    pub(super) fn works(&mut self) {
        (self.losses, self.panics) = (0, 0);
    }

    /// It is there.
    pub(super) fn present(&mut self) {
        self.health = Health::Present;
        self.told_odd = false;
    }

    /// Whether that something about it is odd has not been told yet.
    pub(super) fn is_odd_now(&mut self) -> bool {
        !std::mem::replace(&mut self.told_odd, true)
    }

    /// It is gone; says how it is now, and after what time it is to be opened again.
    pub(super) fn lost(&mut self, fault: Fault) -> (Health, Option<Duration>) {
        self.panics += u32::from(fault == Fault::Panic);
        self.losses += 1;
        let again = self.panics <= MOST_PANICS && fault != Fault::NotFitted;
        self.health = if again { Health::Lost(fault) } else { Health::GivenUp(fault) };
        let back_off = BACK_OFF * 2u32.saturating_pow((self.losses - 1).min(16));
        (self.health, again.then_some(back_off.min(LONGEST_BACK_OFF)))
    }

    /// It is to be opened when this rings.
    pub(super) fn reopen_at(&mut self, ticket: Ticket) {
        self.reopen = Some(ticket);
    }

    /// Whether this is the time.
    pub(super) fn rung(&mut self, ticket: Ticket) -> bool {
        self.reopen.take_if(|waiting| *waiting == ticket).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_absent_is_tried_for_ever_but_not_ever_faster() {
        let mut care = Care::new();
        let waits: Vec<_> = (0..40).map(|_| care.lost(Fault::Late).1.unwrap()).collect();
        assert_eq!(waits[0], BACK_OFF);
        assert!(waits.is_sorted());
        assert_eq!(waits[39], LONGEST_BACK_OFF);
    }

    #[test]
    fn a_driver_that_panics_again_and_again_is_given_up() {
        let mut care = Care::new();
        for _ in 0..MOST_PANICS {
            assert!(care.lost(Fault::Panic).1.is_some());
            care.present();
        }
        assert_eq!(care.lost(Fault::Panic), (Health::GivenUp(Fault::Panic), None));
    }
}
