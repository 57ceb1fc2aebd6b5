//! What time is believed, and why: a plain machine.
//!
//! A better kind of source always counts. A worse one that vouches for its time (chrony, a battery-backed clock) takes
//! over from a better one only when that has been silent for a minute, and its time, carried on by the monotonic clock,
//! has become less certain than the new one. The computer's clock alone never does: the same crystal drives both clocks,
//! so it cannot know better than what is carried on.

use super::Known;
use planktor_protocol::position::Fix;
use planktor_protocol::timekeeping::{Anchor, Source, Step, Tracking};
use planktor_protocol::{Instant, Utc};
use std::time::Duration;

/// Who said nothing for so long is silent. Receivers and the computer's clock are heard once a second.
const SILENT: Duration = Duration::from_secs(60);
/// What chrony said is good for so long: it is asked every 16 s, and one answer may be lost.
const TRACKED: Duration = Duration::from_secs(40);
/// So much a clock may be behind what was saved: clocks differ a little, also when both are right.
const BEHIND: Duration = Duration::from_secs(60);
/// A battery-backed clock is read to the second. As long as it stays so near to what is believed of it, that stays.
const NEAR_US: u64 = 2_000_000;

/// Believes one anchor, or none yet.
#[derive(Clone, Copy, Debug)]
pub struct Keeper {
    known: Known,
    believed: Option<Anchor>,
    tracking: Option<Tracking>,
    /// When the computer's clock was last seen to have been set.
    set: Option<Instant>,
}

impl Keeper {
    /// Believes nothing yet.
    pub fn new(known: Known) -> Self {
        Self { known, believed: None, tracking: None, set: None }
    }

    /// What it believes.
    pub fn believed(&self) -> Option<Anchor> {
        self.believed
    }

    /// What time it is, if somebody vouches for it now: a battery-backed clock can be set to that.
    pub fn right(&self, now: Instant) -> Option<Utc> {
        let fresh = |anchor: &Anchor| anchor.source <= Source::Network && anchor.age(now) < SILENT;
        self.believed.filter(fresh).map(|anchor| anchor.utc_at(now))
    }

    /// A receiver reported.
    pub fn fix(&mut self, fix: &Fix) {
        let Some(utc) = fix.time.filter(|time| *time >= self.known.not_before) else { return };
        self.hear(Anchor { instant: fix.at, utc, source: Source::Gps, error: fix.time_error });
    }

    /// Chrony answered.
    pub fn tracked(&mut self, tracking: Tracking) {
        self.tracking = Some(tracking);
    }

    /// The computer's clock was set. Until chrony says otherwise, nobody vouches for a clock that was set.
    pub fn stepped(&mut self, step: Step) {
        self.set = Some(step.at);
    }

    /// What the battery-backed clock says.
    pub fn battery(&mut self, instant: Instant, utc: Utc, error: Duration) {
        if let Some(anchor @ Anchor { source: Source::Rtc, .. }) = self.believed
            && anchor.utc_at(instant).micros().abs_diff(utc.micros()) <= NEAR_US
        {
            return;
        }
        if utc >= self.not_before_known(error) {
            self.hear(Anchor { instant, utc, source: Source::Rtc, error: Some(error) });
        }
    }

    /// What the computer's clock says. With nothing believable the earliest time that it can be is counted on.
    pub fn computer(&mut self, instant: Instant, utc: Utc) {
        let error = self.tracking.filter(|tracking| {
            instant - tracking.at < TRACKED && self.set.is_none_or(|set| tracking.at > set)
        });
        if let Some(error) = error.and_then(|tracking| tracking.error) {
            if utc >= self.known.not_before {
                self.hear(Anchor { instant, utc, source: Source::Network, error: Some(error) });
            }
        } else if utc >= self.not_before_known(Duration::ZERO) {
            self.hear(Anchor { instant, utc, source: Source::Computer, error: None });
        }
        let utc = self.known.earliest();
        self.believed.get_or_insert(Anchor { instant, utc, source: Source::Unset, error: None });
    }

    /// A clock that nobody vouches for now is wrong if it says less than what somebody vouched for before.
    fn not_before_known(&self, error: Duration) -> Utc {
        let Known { not_before, saved } = self.known;
        let saved = saved.filter(|saved| saved.source <= Source::Network);
        let behind = i64::try_from(BEHIND.max(error).as_micros()).unwrap_or(i64::MAX);
        saved.map_or(not_before, |saved| {
            not_before.max(Utc::from_micros(saved.utc.micros().saturating_sub(behind)))
        })
    }

    fn hear(&mut self, new: Anchor) {
        if self.believed.is_none_or(|old| is_better(&new, &old)) {
            self.believed = Some(new);
        }
    }
}

fn is_better(new: &Anchor, old: &Anchor) -> bool {
    if new.source <= old.source {
        return true;
    }
    let outdone = match (new.error, old.error_at(new.instant)) {
        (Some(new), Some(old)) => new < old,
        (Some(_), None) => true,
        (None, _) => false,
    };
    outdone && old.age(new.instant) >= SILENT
}

#[cfg(test)]
mod tests {
    use super::*;
    use planktor_protocol::timekeeping::Saved;

    const DAY: u64 = 86_400;

    fn utc(text: &str) -> Utc {
        Utc::parse(text).unwrap()
    }
    fn at(s: u64) -> Instant {
        Instant::from_nanos(s * 1_000_000_000)
    }
    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }
    fn keeper() -> Keeper {
        Keeper::new(Known { not_before: utc("2026-01-01T00:00:00Z"), saved: None })
    }
    fn saved(text: &str, source: Source) -> Keeper {
        let saved = Some(Saved { utc: utc(text), source });
        Keeper::new(Known { not_before: utc("2026-01-01T00:00:00Z"), saved })
    }
    fn fix(s: u64, time: &str) -> Fix {
        Fix { at: at(s), time: Some(utc(time)), time_error: Some(ms(5)), place: None }
    }
    fn source(keeper: &Keeper) -> Source {
        keeper.believed().unwrap().source
    }
    fn believed(keeper: &Keeper) -> (Source, Utc) {
        let anchor = keeper.believed().unwrap();
        (anchor.source, anchor.utc)
    }

    #[test]
    fn a_date_that_cannot_be_is_never_believed_from_whomever() {
        let mut keeper = keeper();
        let old = utc("2025-12-31T23:59:59Z");
        keeper.fix(&fix(0, "1980-01-06T00:00:00Z"));
        keeper.battery(at(0), old, ms(500));
        keeper.tracked(Tracking { at: at(0), error: Some(ms(1)) });
        keeper.computer(at(1), old);
        assert_eq!(believed(&keeper), (Source::Unset, utc("2026-01-01T00:00:00Z")));
        keeper.computer(at(2), utc("2019-02-14T10:00:01Z"));
        assert_eq!(keeper.believed().unwrap().instant, at(1), "it is counted on from there");
        keeper.computer(at(3), utc("2026-02-14T10:00:01Z"));
        assert_eq!(source(&keeper), Source::Network, "by now it can be");
    }

    #[test]
    fn the_best_source_counts_whenever_it_comes() {
        let mut keeper = keeper();
        let time = utc("2026-06-01T09:00:00Z");
        keeper.computer(at(1), time);
        assert_eq!(source(&keeper), Source::Computer);
        keeper.battery(at(2), time, Duration::from_secs(100));
        keeper.computer(at(2), time);
        assert_eq!(source(&keeper), Source::Rtc);
        keeper.tracked(Tracking { at: at(3), error: Some(ms(20)) });
        keeper.computer(at(3), time);
        assert_eq!(source(&keeper), Source::Network);
        keeper.fix(&fix(4, "2026-06-01T08:00:00Z"));
        keeper.computer(at(4), time);
        let anchor = keeper.believed().unwrap();
        assert_eq!((anchor.source, anchor.error), (Source::Gps, Some(ms(5))));
    }

    #[test]
    fn a_silent_receiver_is_carried_on_until_another_source_is_more_certain() {
        let mut keeper = keeper();
        let chrony = |s: u64| Tracking { at: at(s), error: Some(ms(20)) };
        keeper.fix(&fix(0, "2026-06-01T08:00:00Z"));
        // 5 ms and 100 ppm of drift come to 20 ms after 150 s.
        for (s, expected) in [(30, Source::Gps), (149, Source::Gps), (151, Source::Network)] {
            keeper.tracked(chrony(s));
            keeper.computer(at(s), utc("2026-06-01T08:10:00Z"));
            assert_eq!(source(&keeper), expected, "after {s} s");
        }
        keeper.fix(&fix(160, "2026-06-01T08:02:40Z"));
        assert_eq!(source(&keeper), Source::Gps, "back again");
        keeper.computer(at(100 * DAY), utc("2026-09-09T08:00:00Z"));
        assert_eq!(source(&keeper), Source::Gps, "nobody vouches for the computer's clock alone");
        keeper.battery(at(5 * DAY), utc("2026-06-06T08:00:00Z"), Duration::from_secs(100));
        assert_eq!(source(&keeper), Source::Gps, "43 s by then");
        keeper.battery(at(20 * DAY), utc("2026-06-21T08:00:00Z"), Duration::from_secs(100));
        assert_eq!(source(&keeper), Source::Rtc);
    }

    #[test]
    fn a_source_that_is_not_silent_is_not_outdone() {
        let mut keeper = keeper();
        keeper.fix(&Fix { time_error: None, ..fix(0, "2026-06-01T08:00:00Z") });
        keeper.tracked(Tracking { at: at(59), error: Some(ms(1)) });
        keeper.computer(at(59), utc("2026-06-01T08:00:59Z"));
        assert_eq!(source(&keeper), Source::Gps);
        keeper.computer(at(60), utc("2026-06-01T08:01:00Z"));
        assert_eq!(source(&keeper), Source::Network, "one that says nothing of its error is outdone at once");
    }

    #[test]
    fn a_clock_that_was_set_is_not_vouched_for_until_chrony_speaks_again() {
        let mut keeper = keeper();
        keeper.tracked(Tracking { at: at(1), error: Some(ms(20)) });
        keeper.computer(at(2), utc("2026-06-01T08:00:02Z"));
        keeper.stepped(Step { at: at(3), by_us: 3_600_000_000 });
        keeper.computer(at(3), utc("2026-06-01T09:00:03Z"));
        assert_eq!(believed(&keeper), (Source::Network, utc("2026-06-01T08:00:02Z")), "carried on");
        keeper.tracked(Tracking { at: at(4), error: None });
        keeper.computer(at(4), utc("2026-06-01T09:00:04Z"));
        assert_eq!(believed(&keeper), (Source::Network, utc("2026-06-01T08:00:02Z")));
        keeper.tracked(Tracking { at: at(20), error: Some(ms(20)) });
        keeper.computer(at(20), utc("2026-06-01T08:00:20Z"));
        assert_eq!(believed(&keeper), (Source::Network, utc("2026-06-01T08:00:20Z")));
        keeper.computer(at(60), utc("2026-06-01T08:01:00Z"));
        assert_eq!(believed(&keeper).1, utc("2026-06-01T08:00:20Z"), "chrony is silent: it may be gone");
    }

    #[test]
    fn what_was_saved_is_the_earliest_that_it_can_be() {
        let late = "2026-06-01T08:00:00Z";
        let mut keeper = saved(late, Source::Gps);
        keeper.battery(at(0), utc("2026-05-31T00:00:00Z"), Duration::from_secs(100));
        keeper.computer(at(0), utc("2026-05-31T00:00:00Z"));
        assert_eq!(believed(&keeper), (Source::Unset, utc(late)));
        keeper.computer(at(1), utc("2026-06-01T07:59:30Z"));
        assert_eq!(source(&keeper), Source::Computer, "clocks differ by seconds");
        // Nobody had vouched for that: it counts only where nothing else is known.
        let mut keeper = saved("2030-06-01T08:00:00Z", Source::Computer);
        keeper.computer(at(0), utc("2019-06-01T08:00:00Z"));
        assert_eq!(believed(&keeper), (Source::Unset, utc("2030-06-01T08:00:00Z")));
        keeper.computer(at(1), utc(late));
        assert_eq!(believed(&keeper), (Source::Computer, utc(late)));
        let mut keeper = saved("2030-06-01T08:00:00Z", Source::Gps);
        keeper.fix(&fix(0, late));
        assert_eq!(believed(&keeper), (Source::Gps, utc(late)), "a fix knows better");
    }

    #[test]
    fn a_battery_backed_clock_that_is_read_again_does_not_make_time_jump() {
        let mut keeper = keeper();
        let error = Duration::from_secs(100);
        keeper.battery(at(0), utc("2026-06-01T08:00:00.5Z"), error);
        keeper.battery(at(60), utc("2026-06-01T08:01:01.5Z"), error);
        assert_eq!(keeper.believed().unwrap().instant, at(0));
        keeper.battery(at(120), utc("2026-06-01T09:02:00.5Z"), error);
        assert_eq!(keeper.believed().unwrap().instant, at(120), "somebody has set it");
    }

    #[test]
    fn only_what_is_vouched_for_now_is_right() {
        let mut keeper = keeper();
        keeper.computer(at(0), utc("2026-06-01T08:00:00Z"));
        assert_eq!(keeper.right(at(0)), None);
        keeper.fix(&fix(1, "2026-06-01T08:00:00Z"));
        assert_eq!(keeper.right(at(31)), Some(utc("2026-06-01T08:00:30Z")));
        assert_eq!(keeper.right(at(61)), None);
    }
}
