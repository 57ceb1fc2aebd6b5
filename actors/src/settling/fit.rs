//! How long the water needs to come to rest, from how far it moved between consecutive frames. Pure.
//!
//! What is seen is taken for the sum of
//! - what the pump leaves behind, which dies away with one time constant or with two: `a exp(-t / tau)`, t from the end of
//!   the stroke, the same after every stroke;
//! - what does not die away, and is not waited for: a steady drift, and a sway as that of a ship, one sine over all that was
//!   seen.
//!
//! Time constants and the sway's period are tried out on grids, the rest follows by least squares. Of all the fits that
//! explain what was seen about as well as the best one, the one that asks for the longest wait is believed: what cannot
//! be told apart is not hoped for.

use planktor_protocol::plan::UntilStill;
use std::f64::consts::TAU;
use std::time::Duration;

/// What two consecutive frames showed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sample {
    /// From the end of the stroke to the first of the two looks, s.
    pub since: f64,
    /// When that was on the monotonic clock, s.
    pub at: f64,
    /// From the one look to the other, s.
    pub lasts: f64,
    /// How far the water moved meanwhile: along the lines of the picture and across them, um.
    pub moved_um: [f64; 2],
    /// How wrong that may be (a standard deviation), um.
    pub error_um: f64,
}

/// What was found. Lengths in nanometres, times in microseconds, so that two of them can be compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Learned {
    /// What is waited after a stroke.
    pub wait: Duration,
    /// How far the pump may still move the water during an exposure, as asked.
    pub residual_nm: u32,
    /// Whether the wait is long enough for that; if not, more would be needed than may be waited.
    pub reached: bool,
    /// What the pump leaves behind at the end of a stroke, and the time constant with which it dies away: of what is fast,
    /// and of what is slow. Zero where there is none.
    pub tails: [Tail; 2],
    /// What does not die away: a steady drift, nm/s.
    pub drift_nm_per_s: i64,
    /// And a sway, to either side, nm; zero if none was found.
    pub sway_nm: u64,
    /// From one sway to the next.
    pub sway_period: Duration,
    /// How far apart the fit and what was seen are, nm (root mean square, of what hardly moved).
    pub noise_nm: u64,
    /// Pairs of frames that it follows from.
    pub pairs: u32,
    /// Whether the flow is seen across the lines instead of along them.
    pub across: bool,
}

/// Something that dies away.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tail {
    /// How far it would still move the water from the end of the stroke on, nm; the sign says which way.
    pub left_nm: i64,
    /// Its time constant.
    pub tau: Duration,
}

/// Why nothing was learned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unlearned {
    /// Empty water, or too few frames.
    #[error("too little is seen moving in {pairs} pairs of frames; {LEAST_PAIRS} are needed")]
    TooFew {
        /// Pairs in which something was seen.
        pairs: u32,
    },
    /// The motion does not die away as a fit could describe.
    #[error("what was seen fits no motion that dies away")]
    NoFit,
}

/// Fewer say nothing about five unknowns.
const LEAST_PAIRS: u32 = 15;
/// What is seen is the median of the particles; the fastest of those in focus moves half as much again as the water in the
/// mean, by the parabola of the flow's profile. The rest is for time constants that lie between those of the grids:
/// without it 11 of 60 drawn waters were waited for too short, by hundredths of a second.
const SAFETY: f64 = 1.8;
/// Standard errors that are added to what is expected.
const DOUBT: f64 = 1.5;
/// How differently particles move that drift at different depths: what is seen of the same flow scatters by this part.
const SCATTER: f64 = 0.15;
/// A fit is about as good as the best one if its sum of squares is not larger by more than so many times the variance:
/// two standard deviations of one unknown.
const AS_GOOD: f64 = 4.0;
/// Farther from the fit than so many standard deviations is no motion of the water: something was mistaken for something
/// else.
const OUTLIER: f64 = 4.0;

/// Time constants of soft tubing, s; from one to the next by a fifth or so.
const FAST: [f64; 14] =
    [0.015, 0.02, 0.025, 0.03, 0.036, 0.043, 0.052, 0.062, 0.075, 0.09, 0.108, 0.13, 0.155, 0.19];
/// And of bubbles and long tubes, s.
const SLOW: [f64; 11] = [0.08, 0.1, 0.13, 0.17, 0.22, 0.29, 0.38, 0.5, 0.68, 0.95, 1.4];
/// The slow one is slower by this at least, or nobody could tell them apart.
const APART: f64 = 1.7;
/// Periods of a ship's roll, s, and none.
const PERIODS: [f64; 13] = [f64::INFINITY, 4.0, 4.5, 5.0, 5.7, 6.5, 7.4, 8.4, 9.5, 10.8, 12.3, 14.0, 16.0];
/// Nothing is waited longer than this, s.
const LONGEST: f64 = 60.0;

/// Unknowns: two tails, drift, and the two parts of a sway.
const MOST: usize = 5;

/// Chooses the wait; in `takes` the pump may move the water by no more than the residual.
///
/// # Errors
/// [`Unlearned`]: wait as long as may be.
pub fn fit(
    samples: &[Sample],
    order: &UntilStill,
    residual_nm: u32,
    takes: Duration,
) -> Result<Learned, Unlearned> {
    let pairs = u32::try_from(samples.len()).unwrap_or(u32::MAX);
    if pairs < LEAST_PAIRS {
        return Err(Unlearned::TooFew { pairs });
    }
    let along = |axis: usize| samples.iter().map(|sample| sample.moved_um[axis].abs()).fold(0.0, f64::max);
    let axis = usize::from(along(1) > along(0));
    let begins = samples.iter().map(|sample| sample.at).fold(f64::INFINITY, f64::min);
    let seen: Vec<Seen> = samples.iter().map(|sample| Seen::of(sample, axis, begins)).collect();
    let first = Search::of(&seen);
    let best = first.best().ok_or(Unlearned::NoFit)?;
    let kept: Vec<Seen> = seen.iter().filter(|seen| !best.is_outlier(seen)).copied().collect();
    let search = if kept.len() == seen.len() { first } else { Search::of(&kept) };
    let best = search.best().ok_or(Unlearned::NoFit)?;

    let (residual_um, takes) = (f64::from(residual_nm) / 1e3, takes.as_secs_f64());
    let limit = best.squares + AS_GOOD * best.variance();
    let good = search.fits.iter().filter(|fit| fit.squares <= limit);
    // A pulse may allow faster water than can be followed from frame to frame, and what nobody saw is not believed.
    let first = samples.iter().map(|sample| sample.since + sample.lasts).fold(f64::INFINITY, f64::min);
    let needs = good.map(|fit| fit.wait(residual_um, takes)).fold(first, f64::max);
    let needs = Duration::from_secs_f64(needs);
    Ok(Learned {
        wait: needs.clamp(order.at_least, order.at_most),
        residual_nm,
        reached: needs <= order.at_most,
        tails: [0, 1].map(|n| Tail {
            left_nm: nm(best.left[n]),
            tau: Duration::from_secs_f64(if best.left[n] == 0.0 { 0.0 } else { best.model.taus[n] }),
        }),
        drift_nm_per_s: nm(best.drift),
        sway_nm: nm(best.sway()).unsigned_abs(),
        sway_period: Duration::try_from_secs_f64(best.model.period).unwrap_or_default(),
        noise_nm: nm(best.noise(&kept)).unsigned_abs(),
        pairs: u32::try_from(kept.len()).unwrap_or(u32::MAX),
        across: axis == 1,
    })
}

#[expect(clippy::cast_possible_truncation, reason = "saturates")]
fn nm(um: f64) -> i64 {
    (um * 1e3).round() as i64
}

impl Learned {
    /// How far what is seen may move in a time from so long after a stroke on, um, if the water comes to rest as it was
    /// learned; in `takes` the pump may move it by the residual.
    pub fn allows_um(&self, since: Duration, lasts: Duration, takes: Duration) -> f64 {
        let [since, lasts, takes] = [since, lasts, takes].map(|time| time.as_secs_f64());
        let of_the_pump = self.tails.iter().filter(|tail| tail.left_nm != 0).map(|tail| {
            let tau = tail.tau.as_secs_f64();
            tail.left_nm as f64 / 1e3 * died_away(since, lasts, tau)
        });
        let of_the_pump = of_the_pump.sum::<f64>().abs() * 2.0;
        let sways = match self.sway_period.as_secs_f64() {
            0.0 => 0.0,
            period => self.sway_nm as f64 / 1e3 * TAU / period,
        };
        let stays = (self.drift_nm_per_s.unsigned_abs() as f64 / 1e3 + sways) * lasts;
        let residual = f64::from(self.residual_nm) / 1e3 * (lasts / takes).max(1.0);
        of_the_pump.max(residual) + stays + OUTLIER * self.noise_nm as f64 / 1e3
    }
}

/// Which part of what is left at the end of a stroke moves the water within a time.
fn died_away(since: f64, lasts: f64, tau: f64) -> f64 {
    (-since / tau).exp() * -(-lasts / tau).exp_m1()
}

/// A sample along the flow, and how much it counts.
#[derive(Clone, Copy)]
struct Seen {
    since: f64,
    /// Since the first one.
    at: f64,
    lasts: f64,
    moved: f64,
    weight: f64,
}

impl Seen {
    fn of(sample: &Sample, axis: usize, begins: f64) -> Self {
        let Sample { since, at, lasts, moved_um, error_um } = *sample;
        let moved = moved_um[axis];
        let weight = 1.0 / (error_um.powi(2) + (SCATTER * moved).powi(2)).max(1e-9);
        Self { since, at: at - begins, lasts, moved, weight }
    }
}

/// What is tried out.
#[derive(Clone, Copy)]
struct Model {
    taus: [f64; 2],
    period: f64,
}

/// A model with what follows for the rest of the unknowns.
#[derive(Clone, Copy)]
struct Fit {
    model: Model,
    /// Of each tail, um.
    left: [f64; 2],
    /// um/s.
    drift: f64,
    /// Cosine and sine of the sway's speed, um/s.
    sways: [f64; 2],
    /// Weighted sum of squared differences.
    squares: f64,
    /// What is left of the samples when the unknowns are found.
    freedom: f64,
    /// Covariance of the tails, for a variance of 1.
    covariance: [[f64; 2]; 2],
}

/// All models that can be.
struct Search {
    fits: Vec<Fit>,
}

impl Search {
    fn of(seen: &[Seen]) -> Self {
        let pairs = FAST.iter().flat_map(|fast| {
            let slow = SLOW.iter().filter(move |slow| **slow >= APART * fast);
            slow.map(move |slow| [*fast, *slow]).chain([[*fast, f64::INFINITY]])
        });
        let alone = SLOW.iter().map(|slow| [*slow, f64::INFINITY]);
        let taus: Vec<_> = pairs.chain(alone).collect();
        let models =
            taus.iter().flat_map(|taus| PERIODS.iter().map(|period| Model { taus: *taus, period: *period }));
        Self { fits: models.filter_map(|model| Fit::of(model, seen)).collect() }
    }

    fn best(&self) -> Option<&Fit> {
        self.fits.iter().min_by(|a, b| a.squares.total_cmp(&b.squares))
    }
}

impl Model {
    /// What each unknown adds to what is seen; an unknown that the model has not adds nothing.
    fn adds(&self, seen: &Seen) -> [f64; MOST] {
        let tail = |tau: f64| if tau.is_finite() { died_away(seen.since, seen.lasts, tau) } else { 0.0 };
        let [fast, slow] = self.taus.map(tail);
        let (sin, cos) = if self.period.is_finite() {
            ((seen.at + seen.lasts / 2.0) / self.period * TAU).sin_cos()
        } else {
            (0.0, 0.0)
        };
        [fast, slow, seen.lasts, cos * seen.lasts, sin * seen.lasts]
    }
}

impl Fit {
    /// `None` if the samples do not say, or the tails go against each other.
    fn of(model: Model, seen: &[Seen]) -> Option<Self> {
        let (mut normal, mut right, mut all) = ([[0.0; MOST]; MOST], [0.0; MOST], 0.0);
        for seen in seen {
            let adds = model.adds(seen);
            for i in 0..MOST {
                right[i] += seen.weight * adds[i] * seen.moved;
                for j in 0..=i {
                    normal[i][j] += seen.weight * adds[i] * adds[j];
                }
            }
            all += seen.weight * seen.moved * seen.moved;
        }
        let inverse = Inverse::of(normal)?;
        let solution = inverse.times(&right);
        let [fast, slow, drift, cos, sin] = solution;
        if fast * slow < 0.0 {
            return None;
        }
        let explained: f64 = solution.iter().zip(right).map(|(x, b)| x * b).sum();
        let freedom = seen.len() as f64 - inverse.rank as f64;
        let c = &inverse.matrix;
        Some(Self {
            model,
            left: [fast, slow],
            drift,
            sways: [cos, sin],
            squares: (all - explained).max(0.0),
            freedom: freedom.max(1.0),
            covariance: [[c[0][0], c[0][1]], [c[1][0], c[1][1]]],
        })
    }

    /// Of a sample that counts once.
    fn variance(&self) -> f64 {
        self.squares / self.freedom
    }

    fn sway(&self) -> f64 {
        if self.model.period.is_finite() {
            self.sways[0].hypot(self.sways[1]) * self.model.period / TAU
        } else {
            0.0
        }
    }

    /// How far a sample is from what is expected, um.
    fn misses(&self, seen: &Seen) -> f64 {
        let unknowns = [self.left[0], self.left[1], self.drift, self.sways[0], self.sways[1]];
        let expected = self.model.adds(seen).into_iter().zip(unknowns).map(|(adds, unknown)| adds * unknown);
        seen.moved - expected.sum::<f64>()
    }

    fn is_outlier(&self, seen: &Seen) -> bool {
        self.misses(seen).powi(2) * seen.weight > OUTLIER.powi(2) * self.variance()
    }

    /// Of what hardly moved: it counts most.
    fn noise(&self, seen: &[Seen]) -> f64 {
        let squares: f64 = seen.iter().map(|seen| seen.weight * self.misses(seen).powi(2)).sum();
        (squares / seen.iter().map(|seen| seen.weight).sum::<f64>()).sqrt()
    }

    /// How far the pump moves the water while a frame is exposed that begins so long after a stroke: at most, um.
    fn moves(&self, since: f64, takes: f64) -> f64 {
        let part = |tau: f64| if tau.is_finite() { died_away(since, takes, tau) } else { 0.0 };
        let [fast, slow] = self.model.taus.map(part);
        let [[ff, fs], [_, ss]] = self.covariance;
        let variance = fast * fast * ff + 2.0 * fast * slow * fs + slow * slow * ss;
        let doubt = DOUBT * (variance.max(0.0) * self.variance()).sqrt();
        SAFETY * (fast * self.left[0] + slow * self.left[1]).abs() + doubt
    }

    /// From when on that is at most so much, s: what dies away does so for ever.
    fn wait(&self, residual: f64, takes: f64) -> f64 {
        let (mut early, mut late) = (0.0, LONGEST);
        while late - early > 1e-4 {
            let middle = (early + late) / 2.0;
            if self.moves(middle, takes) > residual {
                early = middle;
            } else {
                late = middle;
            }
        }
        late
    }
}

/// A symmetric matrix the other way round.
struct Inverse {
    matrix: [[f64; MOST]; MOST],
    /// Unknowns that are there at all.
    rank: usize,
}

impl Inverse {
    /// From the lower half, by Gauss and Jordan without exchanges, which a matrix of squares does not need. Rows of zeros stay
    /// zeros; `None` if what is left says nothing.
    fn of(lower: [[f64; MOST]; MOST]) -> Option<Self> {
        let mut work: [[f64; MOST]; MOST] =
            std::array::from_fn(|i| std::array::from_fn(|j| lower[i.max(j)][i.min(j)]));
        let scale: [f64; MOST] = std::array::from_fn(|i| lower[i][i]);
        let there = |i: &usize| scale[*i] > 0.0;
        for k in (0..MOST).filter(there) {
            let pivot = work[k][k];
            if pivot < scale[k] * 1e-10 {
                return None;
            }
            work[k] = work[k].map(|value| value / pivot);
            work[k][k] = 1.0 / pivot;
            let row = work[k];
            for i in (0..MOST).filter(there).filter(|i| *i != k) {
                let factor = work[i][k];
                work[i][k] = 0.0;
                for j in (0..MOST).filter(there) {
                    work[i][j] -= factor * row[j];
                }
            }
        }
        Some(Self { matrix: work, rank: (0..MOST).filter(there).count() })
    }

    fn times(&self, right: &[f64; MOST]) -> [f64; MOST] {
        self.matrix.map(|row| row.iter().zip(right).map(|(a, b)| a * b).sum())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What the pump left behind: how far, and how fast that dies away.
    type Water = [(f64, f64); 2];

    const TAKES: Duration = Duration::from_millis(87);
    const CADENCE: f64 = 0.1;
    const RESIDUAL_NM: u32 = 375;
    const PATIENT: UntilStill = UntilStill {
        residual_nm: None,
        at_least: Duration::from_millis(50),
        at_most: Duration::from_secs(20),
    };

    /// As after strokes that are watched for some seconds each, through a camera that errs by `error_um`.
    fn watched(
        water: Water,
        drift: f64,
        (sway, period): (f64, f64),
        seconds: f64,
        error_um: f64,
        mut chance: u64,
    ) -> Vec<Sample> {
        let mut samples = vec![];
        let frames = (seconds / CADENCE) as usize;
        for stroke in 0..3 {
            for n in 0..frames {
                let since = CADENCE * (n as f64 + 0.3 * f64::from(stroke));
                let at = f64::from(stroke) * (seconds + 0.4) + since;
                let pumped: f64 =
                    water.iter().map(|(left, tau)| left * died_away(since, CADENCE, *tau)).sum();
                let swayed = |at: f64| sway * (at / period * TAU + 1.0).sin();
                let moved = pumped + drift * CADENCE + swayed(at + CADENCE) - swayed(at);
                // The sum of a few uniform numbers is as good as normal.
                let mut normal = 0.0;
                for _ in 0..4 {
                    chance = chance
                        .wrapping_mul(6_364_136_223_846_793_005)
                        .wrapping_add(1_442_695_040_888_963_407);
                    normal += (chance >> 40) as f64 / f64::from(1 << 24) - 0.5;
                }
                // Beyond a tenth of the picture nothing is found again.
                if moved.abs() < 300.0 {
                    let moved = moved * (1.0 + 0.1 * normal) + normal * 1.7 * error_um;
                    samples.push(Sample { since, at, lasts: CADENCE, moved_um: [0.0, moved], error_um });
                }
            }
        }
        samples
    }

    /// How long it really takes.
    fn truly_needs(water: Water) -> f64 {
        let takes = TAKES.as_secs_f64();
        let moves = |t: f64| water.iter().map(|(a, tau)| a * died_away(t, takes, *tau)).sum::<f64>();
        let limit = f64::from(RESIDUAL_NM) / 1e3;
        (0..).map(|n| f64::from(n) / 1e3).find(|t| moves(*t) <= limit).unwrap()
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn the_wait_is_long_enough_whatever_the_water_and_the_ship_do(
            fast in 0.03..0.15, left in 500.0..4_000.0, slow in 0.2..1.0, part in 0.0..0.002, drift in -2.0..2.0,
            sway in prop_oneof![Just(0.0), 0.0..3.0], period in 5.0..15.0, chance in any::<u64>()
        ) {
            let water = [(left, fast), (left / fast * slow * part, slow)];
            let samples = watched(water, drift, (sway, period), 4.0, 0.1, chance);
            let learned = fit(&samples, &PATIENT, RESIDUAL_NM, TAKES).unwrap();
            let (wait, needs) = (learned.wait.as_secs_f64(), truly_needs(water).max(0.05));
            prop_assert!(learned.across);
            // One in some four hundred is too short, by a twentieth at most.
            prop_assert!(wait >= 0.9 * needs, "{wait} s instead of {needs} s: {learned:?}");
            prop_assert!(wait <= needs + 3.0, "{wait} s instead of {needs} s: {learned:?}");
        }

        /// Whatever comes in: it neither panics nor leaves the limits.
        #[test]
        fn no_samples_break_it(samples in prop::collection::vec(
            (0.0..5.0, 0.0..30.0, 0.05..0.3, -400.0..400.0, 0.0..2.0), 0..60
        )) {
            let samples: Vec<_> = samples.into_iter().map(|(since, at, lasts, moved, error_um)| {
                Sample { since, at, lasts, moved_um: [moved, 0.0], error_um }
            }).collect();
            if let Ok(learned) = fit(&samples, &PATIENT, RESIDUAL_NM, TAKES) {
                prop_assert!((PATIENT.at_least..=PATIENT.at_most).contains(&learned.wait));
            }
        }
    }

    const USUAL: Water = [(2_000.0, 0.06), (3.0, 0.2)];

    fn of(samples: &[Sample]) -> Learned {
        fit(samples, &PATIENT, RESIDUAL_NM, TAKES).unwrap()
    }

    #[test]
    fn in_calm_water_the_wait_is_not_much_longer_than_it_must_be() {
        let (wait, needs) = (of(&watched(USUAL, 0.1, (0.0, 9.0), 3.0, 0.05, 1)).wait, truly_needs(USUAL));
        assert!(wait.as_secs_f64() < needs + 0.2, "{wait:?} instead of {needs} s");
    }

    #[test]
    fn what_does_not_die_away_is_not_waited_for_but_told() {
        let still = of(&watched(USUAL, 0.0, (0.0, 9.0), 3.0, 0.05, 1));
        let rolls = of(&watched(USUAL, 1.5, (6.0, 7.0), 3.0, 0.05, 1));
        assert!(rolls.wait.abs_diff(still.wait) < Duration::from_millis(400), "{rolls:?} {still:?}");
        assert!(rolls.sway_nm.abs_diff(6_000) < 2_000, "{rolls:?}");
        assert!(rolls.sway_period.abs_diff(Duration::from_secs(7)) < Duration::from_secs(1), "{rolls:?}");
    }

    #[test]
    fn one_pair_that_was_mistaken_changes_little() {
        let mut samples = watched(USUAL, 0.0, (0.0, 9.0), 3.0, 0.05, 1);
        let right = of(&samples);
        samples[20].moved_um[1] = -60.0;
        let wrong = of(&samples);
        assert_eq!(wrong.pairs, right.pairs - 1);
        assert!(wrong.wait.abs_diff(right.wait) < Duration::from_millis(50), "{right:?} {wrong:?}");
    }

    #[test]
    fn a_wait_that_may_not_be_so_long_is_said_to_be_too_short() {
        let hasty = UntilStill { at_most: Duration::from_millis(200), ..PATIENT };
        let samples = watched(USUAL, 0.0, (0.0, 9.0), 3.0, 0.05, 1);
        let learned = fit(&samples, &hasty, RESIDUAL_NM, TAKES).unwrap();
        assert_eq!((learned.wait, learned.reached), (hasty.at_most, false));
    }

    #[test]
    fn empty_water_teaches_nothing() {
        let nothing = fit(&[], &PATIENT, RESIDUAL_NM, TAKES);
        assert_eq!(nothing, Err(Unlearned::TooFew { pairs: 0 }));
    }

    #[test]
    fn more_motion_is_allowed_soon_after_a_stroke_than_later() {
        let learned = of(&watched(USUAL, 1.0, (0.0, 9.0), 3.0, 0.05, 1));
        let allows = |ms| learned.allows_um(Duration::from_millis(ms), Duration::from_millis(100), TAKES);
        assert!(allows(100) > 10.0 * allows(600), "{} {}", allows(100), allows(600));
        assert!(allows(5_000) > f64::from(RESIDUAL_NM) / 1e3);
    }
}
