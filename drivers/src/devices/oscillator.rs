//! The clock of a motor's driver, learnt from the ends of its moves: a ramp scales as a whole with it. Knows no bus and no
//! motor.
//!
//! ```text
//!   longer than the last look that saw it turn  <  a move  <=  as long as until the first that saw it stand
//! ```
//!
//! So each confirmed end narrows the period down, without a read more. After two moves of 0.4 s it is known to 0.1 %.

use crate::chips::tmc5160::NOMINAL_CLOCK_HZ;
use planktor_protocol::motion::ChipClock;
use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

/// By how much more the first looks must reach than the datasheet allows the clock to be off, for the measurement.
const MARGIN: f64 = 0.01;
/// How much the clock may have drifted since the last move (warming up), as a part of it.
const DRIFT: f64 = 2e-4;
/// Known less well than that, as a part of it, nothing is said about a clock.
const KNOWN: f64 = 0.01;
/// So many moves in a row that agree are believed to show a clock beyond its datasheet.
const AGREE: u8 = 2;
/// A register read takes 0.1 to 0.3 ms with everything around it: looking more often would keep the thread busy.
const CLOSEST_LOOKS: Duration = Duration::from_micros(300);
/// While the clock is not yet known: so many looks between the earliest and the latest likely end.
const LOOKS: u32 = 64;

/// What is known of the clock; outlives the driver, so a motor that comes back is not learnt anew. Clones are the same one.
#[derive(Clone, Debug, Default)]
pub struct Oscillator(Rc<Cell<Known>>);

#[derive(Clone, Copy, Debug, Default)]
struct Known {
    period: Period,
    moves: u32,
    /// Whether the last move contradicted that.
    contradicted: bool,
    /// Moves in a row that say that the clock is beyond its datasheet.
    beyond: u8,
}

impl Oscillator {
    /// As its moves have shown it; `None` before the first.
    pub fn clock(&self) -> Option<ChipClock> {
        let Known { period, moves, .. } = self.0.get();
        (moves > 0).then(|| {
            let (slowest, fastest) = (NOMINAL_CLOCK_HZ / period.most, NOMINAL_CLOCK_HZ / period.least);
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "some 12 million")]
            let (hz, within_hz) =
                ((slowest.midpoint(fastest)).round() as u32, ((fastest - slowest) / 2.0).ceil() as u32);
            ChipClock { hz, within_hz }
        })
    }

    /// The same, if it is surely beyond what its datasheet allows.
    pub fn beyond_datasheet(&self) -> Option<ChipClock> {
        self.clock().filter(|_| self.0.get().beyond >= AGREE)
    }

    pub(super) fn likely(&self, nominal: Duration) -> Duration {
        nominal.mul_f64(self.0.get().period.middle())
    }

    /// The first look.
    pub(super) fn earliest(&self, nominal: Duration) -> Duration {
        nominal.mul_f64(self.0.get().period.least)
    }

    /// No clock is slower.
    pub(super) fn latest(&self, nominal: Duration) -> Duration {
        nominal.mul_f64(Period::POSSIBLE.most)
    }

    /// From a look to the next, `so_far` after the move began: a move that is later than likely is looked at less often.
    pub(super) fn between_looks(&self, nominal: Duration, so_far: Duration) -> Duration {
        let Period { least, most } = self.0.get().period;
        let range = if so_far < nominal.mul_f64(most) { most - least } else { Period::POSSIBLE.most - most };
        (nominal.mul_f64(range.max(0.0)) / LOOKS).max(CLOSEST_LOOKS)
    }

    /// A move of this nominal length took longer than `not_yet`, zero if nobody saw it turn, and at most `reached`.
    pub(super) fn learn(&self, nominal: Duration, not_yet: Duration, reached: Duration) {
        let nominal = nominal.as_secs_f64();
        if nominal <= 0.0 {
            return;
        }
        let seen = Period { least: not_yet.as_secs_f64() / nominal, most: reached.as_secs_f64() / nominal };
        let Known { period, moves, contradicted, beyond } = self.0.get();
        // One move may have been disturbed on its way to the driver; after another one, what was just seen is the truth.
        // What no clock can be means that something else was wrong, and then nothing is known.
        let narrowed = period.narrowed(&seen);
        let (period, contradicted) = match narrowed {
            Some(narrowed) => (narrowed, false),
            None if contradicted => (seen.within(&Period::POSSIBLE).unwrap_or_default(), false),
            None => (period, true),
        };
        let beyond = if period.is_beyond() { beyond.saturating_add(1) } else { 0 };
        self.0.set(Known { period, moves: moves.saturating_add(1), contradicted, beyond });
    }
}

/// How long the clock's period is, as a multiple of the nominal one: between these two.
#[derive(Clone, Copy, Debug)]
struct Period {
    least: f64,
    most: f64,
}

impl Default for Period {
    /// As the datasheet allows.
    fn default() -> Self {
        let Self { least, most } = Self::PERMITTED;
        Self { least: least * (1.0 - MARGIN), most: most * (1.0 + MARGIN) }
    }
}

impl Period {
    /// 12 MHz within 10 % (datasheet rev. 1.17, electrical characteristics).
    const PERMITTED: Self = Self { least: 1.0 / 1.1, most: 1.0 / 0.9 };
    /// What is faster or slower than that, 15 and 9.6 MHz, is no clock, but a move that was disturbed.
    const POSSIBLE: Self = Self { least: 0.8, most: 1.25 };

    fn middle(&self) -> f64 {
        self.least.midpoint(self.most)
    }

    fn is_beyond(&self) -> bool {
        let known = self.most - self.least < KNOWN;
        known && (self.most < Self::PERMITTED.least || self.least > Self::PERMITTED.most)
    }

    fn within(&self, Self { least, most }: &Self) -> Option<Self> {
        let both = Self { least: self.least.max(*least), most: self.most.min(*most) };
        (both.least <= both.most).then_some(both)
    }

    /// What is known after a move that was seen to last so long; `None` if that contradicts what was known.
    fn narrowed(&self, seen: &Self) -> Option<Self> {
        // Who stands at the first look may have stood before: then the clock is faster than was thought.
        let earlier = if seen.least <= 0.0 { 2.0 * (self.most - self.least).max(DRIFT) } else { 0.0 };
        let known = Self { least: (self.least - earlier) * (1.0 - DRIFT), most: self.most * (1.0 + DRIFT) };
        known.within(&seen.within(&Self::POSSIBLE)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Nominal length, and how often it is looked at until it is seen to stand; how much later than its end that is.
    fn moves(oscillator: &Oscillator, nominal: Duration, period: f64) -> (u32, Duration) {
        let end = nominal.mul_f64(period);
        let (mut look, mut not_yet, mut looks) = (oscillator.earliest(nominal), Duration::ZERO, 1);
        while look < end {
            not_yet = look;
            look += oscillator.between_looks(nominal, look);
            looks += 1;
        }
        oscillator.learn(nominal, not_yet, look);
        (looks, look - end)
    }

    const STROKE: Duration = Duration::from_millis(390);

    #[test]
    fn what_no_clock_can_be_teaches_nothing() {
        let (oscillator, nominal) = (Oscillator::default(), Duration::from_millis(20));
        oscillator.learn(nominal, Duration::from_millis(50), Duration::from_millis(60));
        assert!(oscillator.likely(nominal) < Duration::from_millis(21));
        assert!(oscillator.earliest(nominal) < Duration::from_millis(19));
        assert_eq!(oscillator.beyond_datasheet(), None);
    }

    #[test]
    fn every_clock_is_known_to_a_thousandth_after_three_strokes_and_then_an_end_to_a_millisecond() {
        for mhz in [9.7, 10.4, 10.8, 11.3, 12.0, 12.9, 13.2, 14.0, 14.9] {
            let oscillator = Oscillator::default();
            let hz = mhz * 1e6;
            for stroke in 0..20 {
                let (looks, late) = moves(&oscillator, STROKE, NOMINAL_CLOCK_HZ / hz);
                assert!(looks <= 2 * LOOKS, "{mhz} MHz: {looks} looks");
                let clock = oscillator.clock().unwrap();
                if stroke >= 2 {
                    assert!((f64::from(clock.hz) / hz - 1.0).abs() < 1e-3, "{mhz} MHz: {clock:?}");
                    assert!(f64::from(clock.within_hz) / hz < 1e-3, "{mhz} MHz: {clock:?}");
                }
                if stroke >= 3 {
                    assert!(
                        late < Duration::from_millis(1) && looks < 8,
                        "{mhz} MHz: {late:?}, {looks} looks"
                    );
                }
            }
            let beyond = !(10.8..=13.2).contains(&mhz);
            assert_eq!(oscillator.beyond_datasheet().is_some(), beyond, "{mhz} MHz");
        }
    }

    #[test]
    fn a_clock_that_drifts_is_followed_and_one_disturbed_move_is_no_clock() {
        let oscillator = Oscillator::default();
        let mut period = 1.02;
        for _ in 0..100 {
            period *= 1.0 - 3e-4;
            moves(&oscillator, STROKE, period);
        }
        let (_, late) = moves(&oscillator, STROKE, period);
        assert!(late < Duration::from_millis(1), "{late:?}");
        moves(&oscillator, STROKE, 1.2);
        assert_eq!(oscillator.beyond_datasheet(), None, "a ramp that was disturbed on its way");
        moves(&oscillator, STROKE, period);
        moves(&oscillator, STROKE, period);
        let (_, late) = moves(&oscillator, STROKE, period);
        assert!(late < Duration::from_millis(1), "{late:?}");
    }
}
