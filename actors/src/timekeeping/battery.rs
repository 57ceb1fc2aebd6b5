//! The battery-backed clock: what it says is passed on, and it is set when somebody vouches for a better time. Whatever
//! is wrong with it, nothing waits for it.

use super::OpenRtc;
use super::keeper::Keeper;
use planktor_drivers::devices::rtc::Rtc;
use planktor_protocol::{Fault, Instant, Utc};
use std::time::Duration;

/// It is read so often: 2 ms on the bus.
const PERIOD: Duration = Duration::from_secs(60);
/// It is set at most so often.
const SET: Duration = Duration::from_secs(3_600);
/// As long as it is so near, it is right: it counts whole seconds.
const RIGHT_US: u64 = 1_000_000;

pub(super) struct Battery {
    open: Option<OpenRtc>,
    rtc: Option<Rtc>,
    due: Instant,
    set: Option<Instant>,
}

impl Battery {
    pub(super) fn new(open: OpenRtc) -> Self {
        Self { open: Some(open), rtc: None, due: Instant::ZERO, set: None }
    }

    /// Reads it when it is time.
    pub(super) fn look(&mut self, now: Instant, keeper: &mut Keeper) {
        if now < self.due || self.open.is_none() {
            return;
        }
        self.due = now + PERIOD;
        match self.try_to_look(now, keeper) {
            Ok(()) => {}
            // None will grow.
            Err(Fault::NotFitted) => self.open = None,
            Err(_) => self.rtc = None,
        }
    }

    fn try_to_look(&mut self, now: Instant, keeper: &mut Keeper) -> Result<(), Fault> {
        let rtc = match (&mut self.rtc, &mut self.open) {
            (Some(rtc), _) => rtc,
            (none, Some(open)) => none.insert(open()?),
            (None, None) => return Err(Fault::NotFitted),
        };
        let says = rtc.read()?;
        if let Some(utc) = says {
            keeper.battery(now, utc, rtc.error());
        }
        let may_be_set = self.set.is_none_or(|set| now - set >= SET);
        if let Some(right) = keeper.right(now).filter(|right| may_be_set && is_wrong(says, *right)) {
            self.set = Some(now);
            rtc.set(right)?;
        }
        Ok(())
    }
}

fn is_wrong(says: Option<Utc>, right: Utc) -> bool {
    says.is_none_or(|says| says.micros().abs_diff(right.micros()) > RIGHT_US)
}
