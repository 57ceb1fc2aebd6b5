//! The actor that knows what time it is, and how well.
//!
//! Believed, the best first: a satellite fix; the computer's clock while chrony keeps it right; a battery-backed clock;
//! the computer's clock alone; nothing. What is believed is passed on as an anchor between both times, and the monotonic
//! clock carries it on when its source is silent. Clocks of these instruments are wrong by years, so no source is
//! believed that says what cannot be. When the computer's clock is set, that is told, too, whoever is believed.

mod battery;
pub mod keeper;
mod steps;

use crate::alarm::{Alarms, Bell, Ticket};
use crate::port::{Mail, Port};
use actix::{Actor, AsyncContext, Context, Handler};
use battery::Battery;
use keeper::Keeper;
use planktor_drivers::clock::{TrackingSource, WallClock, WatchedClock};
use planktor_drivers::devices::rtc::Rtc;
use planktor_protocol::position::Fix;
use planktor_protocol::timekeeping::{Anchor, Saved, Step};
use planktor_protocol::{Fault, Instant, Utc};
use std::time::Duration;
use steps::Steps;

/// The computer's clock is asked so often.
const PERIOD: Duration = Duration::from_secs(1);

/// Both clocks are read in a row; what came in between may have taken so long, or they are read again,
const TOGETHER: Duration = Duration::from_micros(200);
/// but not for ever: the machine may be too busy.
const ATTEMPTS: usize = 5;

/// Opens the battery-backed clock, also again after a fault.
pub type OpenRtc = Box<dyn FnMut() -> Result<Rtc, Fault>>;

/// The clocks that can be asked.
pub struct Clocks {
    /// The computer's.
    pub wall: Box<dyn WatchedClock>,
    /// Who keeps it right.
    pub tracking: Box<dyn TrackingSource>,
    /// The battery-backed one.
    pub rtc: OpenRtc,
}

/// What is known before any clock is asked.
#[derive(Clone, Copy, Debug)]
pub struct Known {
    /// No clock is believed that says less.
    pub not_before: Utc,
    /// What was believed last time.
    pub saved: Option<Saved>,
}

impl Known {
    /// The earliest time that it can be.
    pub fn earliest(&self) -> Utc {
        self.saved.map_or(self.not_before, |saved| saved.utc.max(self.not_before))
    }
}

/// The actor.
pub struct Timekeeping {
    keeper: Keeper,
    steps: Steps,
    battery: Battery,
    wall: Box<dyn WatchedClock>,
    tracking: Box<dyn TrackingSource>,
    bell: Bell,
    anchors: Port<Anchor>,
    stepped: Port<Step>,
    told: Option<Anchor>,
}

impl Timekeeping {
    /// Called on the arbiter where it lives; asks the clocks at once.
    pub fn new(
        ctx: &mut Context<Self>,
        clocks: Clocks,
        known: Known,
        anchors: Port<Anchor>,
        stepped: Port<Step>,
    ) -> Self {
        let bell = Alarms::here().bell(Port::of(&ctx.address()));
        bell.at(bell.now());
        let Clocks { wall, tracking, rtc } = clocks;
        let (keeper, steps, battery) = (Keeper::new(known), Steps::default(), Battery::new(rtc));
        Self { keeper, steps, battery, wall, tracking, bell, anchors, stepped, told: None }
    }

    fn tell(&mut self) {
        let believed = self.keeper.believed();
        if self.told != believed {
            self.told = believed;
            believed.into_iter().for_each(|anchor| self.anchors.send(anchor));
        }
    }
}

/// The monotonic clock and the computer's, as nearly at the same moment as this machine can.
fn both(bell: &Bell, wall: &dyn WallClock) -> (Instant, Utc) {
    let read = || {
        let (before, utc) = (bell.now(), wall.utc());
        (bell.now() - before, before, utc)
    };
    let mut best = read();
    for _ in 1..ATTEMPTS {
        if best.0 > TOGETHER {
            best = best.min(read());
        }
    }
    (best.1, best.2)
}

impl Actor for Timekeeping {
    type Context = Context<Self>;
}

impl Handler<Mail<Ticket>> for Timekeeping {
    type Result = ();

    fn handle(&mut self, _: Mail<Ticket>, _: &mut Context<Self>) {
        let (now, utc) = both(&self.bell, &*self.wall);
        // Asked afterwards: what comes in between is found at the next look.
        if let Some(step) = self.steps.look(now, utc, self.wall.was_set()) {
            self.keeper.stepped(step);
            self.stepped.send(step);
        }
        self.tracking.latest().into_iter().for_each(|tracking| self.keeper.tracked(tracking));
        self.battery.look(now, &mut self.keeper);
        self.keeper.computer(now, utc);
        self.tell();
        self.bell.at(self.bell.now() + PERIOD);
    }
}

impl Handler<Mail<Fix>> for Timekeeping {
    type Result = ();

    fn handle(&mut self, Mail(fix): Mail<Fix>, _: &mut Context<Self>) {
        self.keeper.fix(&fix);
        self.tell();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_earliest_time_is_the_later_of_what_was_saved_and_what_is_compiled_in() {
        use planktor_protocol::timekeeping::Source;
        let known = |saved: Option<&str>| Known {
            not_before: Utc::parse("2026-01-01T00:00:00Z").unwrap(),
            saved: saved.map(|text| Saved { utc: Utc::parse(text).unwrap(), source: Source::Gps }),
        };
        assert_eq!(known(None).earliest(), known(None).not_before);
        assert_eq!(known(Some("2025-01-01T00:00:00Z")).earliest(), known(None).not_before);
        assert_eq!(
            known(Some("2026-05-01T00:00:00Z")).earliest(),
            Utc::parse("2026-05-01T00:00:00Z").unwrap()
        );
    }
}
