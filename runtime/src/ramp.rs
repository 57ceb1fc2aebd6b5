//! The guided search for the fastest ramp that a pump bears: which trial comes next, by how the last one went. Who carries
//! trials out is somebody else's business; it knows no clock, no bus and no pump.
//!
//! ```text
//!   AMAX 2000 ──x 1.5──> ... ──until one stalls──> halved between the fastest good and the slowest bad one ──> 4 % apart
//! ```

use planktor_protocol::pump::Amax;

/// Each ramp is tried so often, forwards and backwards in turn: a pump's rollers load the motor differently in each place.
const TRIALS: u32 = 4;
/// From one ramp to the next, while none has stalled.
const STEP: f64 = 1.5;
/// So close the slowest bad ramp is to the fastest good one at the end.
const CLOSE: f64 = 1.04;
/// The part of the fastest that is kept: tubing grows stiff, supplies sag, and samples are thicker than water.
const SAFETY: f64 = 0.7;

/// A stroke that is to be tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trial {
    /// With this ramp.
    pub amax: Amax,
    /// Which way.
    pub forwards: bool,
}

/// What was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found {
    /// The fastest that did not stall.
    pub fastest: Amax,
    /// What to keep: less by a safety factor, but never slower than today's.
    pub kept: Amax,
}

/// The search.
#[derive(Clone, Copy, Debug)]
pub struct Search {
    good: Option<Amax>,
    bad: Option<Amax>,
    trying: Option<Amax>,
    trials: u32,
}

impl Default for Search {
    /// Begins with today's ramp.
    fn default() -> Self {
        Self { good: None, bad: None, trying: Some(Amax::TIMID), trials: 0 }
    }
}

impl Search {
    /// What is to be tried now; `None` when it is over.
    pub fn trial(&self) -> Option<Trial> {
        self.trying.map(|amax| Trial { amax, forwards: self.trials.is_multiple_of(2) })
    }

    /// How that went.
    pub fn went(&mut self, stalled: bool) {
        self.trials += 1;
        if stalled {
            self.bad = self.trying;
        } else if self.trials < TRIALS {
            return;
        } else {
            self.good = self.trying;
        }
        self.trials = 0;
        self.trying = match (self.good, self.bad) {
            (Some(good), None) => (good.0 < Amax::MOST).then(|| times(good, STEP)),
            (Some(good), Some(bad)) => {
                let apart = f64::from(bad.0) / f64::from(good.0);
                (apart > CLOSE).then(|| times(good, apart.sqrt()))
            }
            // Not even today's.
            (None, _) => None,
        };
    }

    /// What was found, when it is over; `None` if the pump stalls even with today's ramp.
    pub fn found(&self) -> Option<Found> {
        let fastest = self.good.filter(|_| self.trying.is_none())?;
        Some(Found { fastest, kept: times(fastest, SAFETY).max(Amax::TIMID) })
    }
}

fn times(Amax(amax): Amax, factor: f64) -> Amax {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "some ten thousand")]
    Amax(((f64::from(amax) * factor).round() as u32).min(Amax::MOST))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn search(limit: u32) -> (Option<Found>, u32) {
        let (mut search, mut trials) = (Search::default(), 0);
        while let Some(trial) = search.trial() {
            search.went(trial.amax.0 > limit);
            trials += 1;
            assert!(trials < 100, "it never ends");
        }
        (search.found(), trials)
    }

    #[test]
    fn whatever_the_limit_the_search_ends_just_below_it() {
        for limit in (2_000..30_000).step_by(37) {
            let (found, trials) = search(limit);
            let Found { fastest, kept } = found.unwrap();
            assert!(
                fastest.0 <= limit && f64::from(fastest.0) * CLOSE >= f64::from(limit),
                "{limit}: {fastest}"
            );
            assert!(kept.0 <= limit.max(2_000) && kept >= Amax::TIMID, "{limit}: {kept}");
            assert!(trials <= 60, "{limit}: {trials} trials");
        }
        assert_eq!(search(Amax::MOST).0.unwrap().fastest, Amax(Amax::MOST));
    }

    #[test]
    fn a_pump_that_stalls_with_todays_ramp_has_nothing_found() {
        assert_eq!(search(1_999), (None, 1));
    }
}
