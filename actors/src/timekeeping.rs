//! The actor that knows what time it is, and how well.
//!
//! A satellite fix is believed before the computer's clock, and neither if it lies before the earliest time it can be:
//! clocks of these instruments are wrong by years. What is believed is passed on as an anchor between both times.

use crate::alarm::{Alarms, Bell, Ticket};
use crate::port::{Mail, Port};
use actix::{Actor, AsyncContext, Context, Handler};
use planktor_drivers::clock::WallClock;
use planktor_protocol::position::Fix;
use planktor_protocol::timekeeping::{Anchor, Source};
use planktor_protocol::{Instant, Utc};
use std::time::Duration;

/// Without a fix the computer's clock is asked so often.
const PERIOD: Duration = Duration::from_secs(1);

/// The actor.
pub struct Timekeeping {
    keeper: Keeper,
    wall_clock: Box<dyn WallClock>,
    bell: Bell,
    listener: Port<Anchor>,
}

/// What is believed, and why.
#[derive(Clone, Copy, Debug)]
struct Keeper {
    not_before: Utc,
    believed: Option<Anchor>,
}

impl Keeper {
    fn fix(&mut self, fix: Fix) -> Option<Anchor> {
        let utc = fix.time.filter(|time| *time >= self.not_before)?;
        self.believe(Anchor { instant: fix.at, utc, source: Source::Gps, error: None })
    }

    /// What the computer's clock says counts until there is a fix; the monotonic clock carries a fix on from then.
    fn computer(&mut self, instant: Instant, utc: Utc) -> Option<Anchor> {
        match self.believed {
            Some(Anchor { source: Source::Gps, .. }) => None,
            _ if utc >= self.not_before => {
                self.believe(Anchor { instant, utc, source: Source::Computer, error: None })
            }
            Some(_) => None,
            None => {
                self.believe(Anchor { instant, utc: self.not_before, source: Source::Unset, error: None })
            }
        }
    }

    fn believe(&mut self, anchor: Anchor) -> Option<Anchor> {
        self.believed = Some(anchor);
        self.believed
    }
}

impl Timekeeping {
    /// Called on the arbiter where it lives; asks the computer's clock at once.
    pub fn new(
        ctx: &mut Context<Self>,
        wall_clock: Box<dyn WallClock>,
        not_before: Utc,
        listener: Port<Anchor>,
    ) -> Self {
        let bell = Alarms::here().bell(Port::of(&ctx.address()));
        bell.at(bell.now());
        Self { keeper: Keeper { not_before, believed: None }, wall_clock, bell, listener }
    }
}

impl Actor for Timekeeping {
    type Context = Context<Self>;
}

impl Handler<Mail<Ticket>> for Timekeeping {
    type Result = ();

    fn handle(&mut self, _: Mail<Ticket>, _: &mut Context<Self>) {
        let anchor = self.keeper.computer(self.bell.now(), self.wall_clock.utc());
        anchor.into_iter().for_each(|anchor| self.listener.send(anchor));
        self.bell.at(self.bell.now() + PERIOD);
    }
}

impl Handler<Mail<Fix>> for Timekeeping {
    type Result = ();

    fn handle(&mut self, Mail(fix): Mail<Fix>, _: &mut Context<Self>) {
        self.keeper.fix(fix).into_iter().for_each(|anchor| self.listener.send(anchor));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn utc(text: &str) -> Utc {
        Utc::parse(text).unwrap()
    }
    fn keeper() -> Keeper {
        Keeper { not_before: utc("2026-01-01T00:00:00Z"), believed: None }
    }
    fn fix(time: &str) -> Fix {
        Fix { at: Instant::from_nanos(7), time: Some(utc(time)), place: None }
    }

    #[test]
    fn a_date_that_cannot_be_is_never_believed() {
        let mut keeper = keeper();
        assert_eq!(keeper.fix(fix("1980-01-06T00:00:00Z")), None);
        let unset = keeper.computer(Instant::from_nanos(1), utc("2019-02-14T10:00:00Z")).unwrap();
        assert_eq!((unset.source, unset.utc), (Source::Unset, utc("2026-01-01T00:00:00Z")));
        assert_eq!(
            keeper.computer(Instant::from_nanos(2), utc("2019-02-14T10:00:01Z")),
            None,
            "the anchor stays"
        );
    }

    #[test]
    fn a_fix_is_believed_before_the_computer() {
        let mut keeper = keeper();
        let computer = keeper.computer(Instant::from_nanos(1), utc("2026-06-01T09:00:00Z")).unwrap();
        assert_eq!(computer.source, Source::Computer);
        assert_eq!(keeper.fix(fix("2026-06-01T08:00:00Z")).unwrap().source, Source::Gps);
        assert_eq!(keeper.computer(Instant::from_nanos(9), utc("2026-06-01T09:00:01Z")), None);
    }
}
