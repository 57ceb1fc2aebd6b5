//! Whether the computer's clock was set, and by how much: a plain machine.
//!
//! A clock that is set jumps against the monotonic one. One that is made to run faster or slower for a while is not set,
//! however far it comes: so what counts is that the system says it was set, and the difference only tells by how much.

use planktor_protocol::timekeeping::Step;
use planktor_protocol::{Instant, Utc};

/// Less is no step that anybody could see: both clocks are not read at the same moment.
const LEAST_US: i64 = 2_000;

#[derive(Debug, Default)]
pub(super) struct Steps {
    /// Civil minus monotonic time at the last look.
    apart: Option<i64>,
    /// It was said to be set, and nothing was seen of it: it happened after the clock was read.
    owed: bool,
}

impl Steps {
    /// What the clocks said at a look, and whether the civil one was set since the one before, asked after that.
    pub(super) fn look(&mut self, now: Instant, utc: Utc, was_set: bool) -> Option<Step> {
        let monotonic = i64::try_from(now.nanos() / 1_000).unwrap_or(i64::MAX);
        let apart = utc.micros().saturating_sub(monotonic);
        let owed = std::mem::replace(&mut self.owed, was_set);
        let before = *self.apart.get_or_insert(apart);
        let by_us = apart.saturating_sub(before);
        if (was_set || owed) && by_us.abs() >= LEAST_US {
            (self.apart, self.owed) = (Some(apart), false);
            return Some(Step { at: now, by_us });
        }
        if !was_set {
            self.apart = Some(apart);
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEGAN: i64 = 1_780_300_800_000_000;

    /// After so many seconds on a clock that is so many microseconds ahead.
    fn look(steps: &mut Steps, s: u64, ahead_us: i64, was_set: bool) -> Option<i64> {
        let us = i64::try_from(s * 1_000_000).unwrap();
        let now = Instant::from_nanos(s * 1_000_000_000);
        let step = steps.look(now, Utc::from_micros(BEGAN + us + ahead_us), was_set);
        assert!(step.is_none_or(|step| step.at == now));
        step.map(|step| step.by_us)
    }

    #[test]
    fn a_clock_that_is_set_makes_a_step_of_that_size_once() {
        let mut steps = Steps::default();
        assert_eq!(look(&mut steps, 0, 0, false), None);
        assert_eq!(look(&mut steps, 1, 3_600_000_000, true), Some(3_600_000_000));
        assert_eq!(look(&mut steps, 2, 3_600_000_000, false), None);
        assert_eq!(look(&mut steps, 3, 0, true), Some(-3_600_000_000));
        assert_eq!(look(&mut steps, 4, 2_500, true), Some(2_500), "a few milliseconds");
        assert_eq!(look(&mut steps, 5, 2_900, true), None, "nobody could see that");
    }

    #[test]
    fn a_clock_that_runs_faster_is_not_set_however_far_it_comes() {
        let mut steps = Steps::default();
        // Ten per cent: chrony slews no faster (maxslewrate in chrony.conf(5)).
        for s in 0..1_000 {
            assert_eq!(look(&mut steps, s, i64::try_from(s).unwrap() * 100_000, false), None);
        }
        // And what it is set by then is told without that.
        assert_eq!(look(&mut steps, 1_000, 100_000_000 + 5_000_000, true), Some(5_100_000));
    }

    #[test]
    fn a_step_between_reading_the_clock_and_asking_is_found_at_the_next_look() {
        let mut steps = Steps::default();
        look(&mut steps, 0, 0, false);
        assert_eq!(look(&mut steps, 1, 0, true), None, "it was read just before");
        assert_eq!(look(&mut steps, 2, 5_000_000, false), Some(5_000_000));
        assert_eq!(look(&mut steps, 3, 5_000_000, false), None);
        // Also if that is the first look of all.
        let mut steps = Steps::default();
        assert_eq!(look(&mut steps, 0, 0, true), None);
        assert_eq!(look(&mut steps, 1, -7_000_000, false), Some(-7_000_000));
    }
}
