//! The ramp generator in closed form: where it goes from an instant on, as pieces of constant acceleration. Datasheet
//! rev. 1.17, section 12.2. In microsteps and seconds; knows no register.

use planktor_protocol::Instant;
use std::time::Duration;

/// One piece of a track: so long with a constant acceleration.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Piece {
    pub(crate) x: f64,
    pub(crate) v: f64,
    pub(crate) a: f64,
    pub(crate) lasts: f64,
}

impl Piece {
    pub(crate) fn at(&self, t: f64) -> (f64, f64) {
        (self.x + self.v * t + self.a * t * t / 2.0, self.v + self.a * t)
    }

    /// Stands there for ever.
    pub(crate) fn still(x: f64) -> Self {
        Self { x, v: 0.0, a: 0.0, lasts: f64::INFINITY }
    }

    fn turns(&self) -> bool {
        self.v != 0.0 || self.a != 0.0
    }
}

/// Where the ramp generator goes from an instant on; the last piece lasts for ever.
#[derive(Clone, Debug)]
pub(super) struct Track {
    pub(super) from: Instant,
    pub(super) pieces: Vec<Piece>,
    /// After how many seconds it turns round, if it has to go back.
    pub(super) second_move: Option<f64>,
    /// When it was stopped from outside.
    pub(super) cut: Option<Instant>,
}

/// The speeds and accelerations of a six-point ramp.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ramp {
    pub(super) start: f64,
    pub(super) stop: f64,
    pub(super) knee: f64,
    pub(super) top: f64,
    pub(super) a1: f64,
    pub(super) amax: f64,
    pub(super) dmax: f64,
    pub(super) d1: f64,
    /// From standing to the next motion, s.
    pub(super) zero_wait: f64,
}

impl Track {
    /// Standing.
    pub(super) fn still(from: Instant, x: f64) -> Self {
        Self { from, pieces: vec![Piece::still(x)], second_move: None, cut: None }
    }

    /// From here at this speed to another speed, and on.
    pub(super) fn towards(from: Instant, (x, v): (f64, f64), to: f64, a: f64) -> Self {
        Self { from, pieces: towards(x, v, to, a), second_move: None, cut: None }
    }

    /// From here at this speed to a target, after having stood for `stood` seconds.
    pub(super) fn to_target(from: Instant, (x, v): (f64, f64), target: f64, ramp: &Ramp, stood: f64) -> Self {
        let mut track = Self { from, pieces: Vec::with_capacity(7), second_move: None, cut: None };
        let ramp = ramp.with_knee();
        let wait = if v == 0.0 && x != target { (ramp.zero_wait - stood).max(0.0) } else { 0.0 };
        if wait > 0.0 {
            track.pieces.push(Piece { lasts: wait, ..Piece::still(x) });
        }
        track.go(x, v, target, &ramp);
        track
    }

    fn go(&mut self, x: f64, v: f64, target: f64, ramp: &Ramp) {
        // It never goes slower than VSTART: to stop it in this mode both must be zero (section 12.2.4).
        let top = ramp.top.max(ramp.start);
        if top == 0.0 || ramp.amax == 0.0 || ramp.dmax == 0.0 {
            self.pieces.extend(towards(x, v, 0.0, ramp.amax));
            return;
        }
        if v.abs() > top {
            return self.after(&towards(x, v, top.copysign(v), ramp.amax), target, ramp);
        }
        let (sign, distance) = (if target < x { -1.0 } else { 1.0 }, (target - x).abs());
        let too_fast = ramp.braking(v.abs()) > distance + 1e-9;
        // Wrong way, or too fast to stop in time: it brakes, stands, and comes back.
        if v * sign < 0.0 || (v != 0.0 && too_fast) {
            let stands = self.brake(x, v, ramp);
            self.second_move = Some(self.lasts());
            if stands != target {
                if ramp.zero_wait > 0.0 {
                    self.pieces.push(Piece { lasts: ramp.zero_wait, ..Piece::still(stands) });
                }
                return self.go(stands, 0.0, target, ramp);
            }
        } else {
            let mut at = x;
            for (v, a, lasts) in ramp.pieces(v.abs(), distance, top) {
                let piece = Piece { x: at, v: v * sign, a: a * sign, lasts };
                at = piece.at(lasts).0;
                self.pieces.push(piece);
            }
        }
        self.pieces.push(Piece::still(target));
    }

    /// With DMAX down to V1 and with D1 below; gives where it stands.
    fn brake(&mut self, x: f64, v: f64, ramp: &Ramp) -> f64 {
        let knee = ramp.knee.min(v.abs());
        let fast = towards(x, v, knee.copysign(v), ramp.dmax);
        let slow = towards(fast[1].x, fast[1].v, 0.0, ramp.d1);
        self.pieces.extend([fast[0], slow[0]].into_iter().filter(|piece| piece.lasts > 0.0));
        slow[1].x
    }

    /// First this change of speed, then on to the target.
    fn after(&mut self, change: &[Piece], target: f64, ramp: &Ramp) {
        self.pieces.push(change[0]);
        self.go(change[1].x, change[1].v, target, ramp);
    }

    /// Stops at once, at an instant that is to come or now.
    pub(super) fn stop_at(&mut self, then: Instant) {
        let (x, _) = self.at(then);
        let mut begins = self.from;
        let mut kept = Vec::with_capacity(self.pieces.len() + 1);
        for piece in &self.pieces {
            let lasts = piece.lasts.min((then - begins).as_secs_f64());
            kept.push(Piece { lasts, ..*piece });
            begins = begins + Duration::from_secs_f64(lasts);
            if begins >= then {
                break;
            }
        }
        kept.push(Piece::still(x));
        (self.pieces, self.cut) = (kept, Some(then));
    }

    fn lasts(&self) -> f64 {
        self.pieces.iter().map(|piece| piece.lasts).sum()
    }

    pub(super) fn at(&self, then: Instant) -> (f64, f64) {
        let mut t = (then - self.from).as_secs_f64();
        for piece in &self.pieces {
            if t < piece.lasts {
                return piece.at(t);
            }
            t -= piece.lasts;
        }
        let last = self.pieces.last().expect("a track has pieces");
        (last.x, last.v)
    }

    /// When the last piece that moves is over; `None` if it moves for ever.
    pub(super) fn ends(&self) -> Option<Instant> {
        let moving = self.pieces.iter().rposition(Piece::turns).map_or(0, |n| n + 1);
        let lasts = self.pieces[..moving].iter().map(|piece| piece.lasts).sum::<f64>();
        lasts.is_finite().then(|| self.from + Duration::from_secs_f64(lasts))
    }

    /// Whether anything ever moves on it.
    pub(super) fn turns(&self) -> bool {
        self.pieces.iter().any(Piece::turns)
    }

    /// Whether it waits, after standing, for its time to move.
    pub(super) fn waits_at(&self, then: Instant) -> bool {
        let waits = |piece: &Piece| !piece.turns() && piece.lasts.is_finite();
        let mut t = (then - self.from).as_secs_f64();
        let piece = self.pieces.iter().find(|piece| {
            t -= piece.lasts;
            t < 0.0
        });
        piece.is_some_and(waits)
    }

    /// The first instant from `since` on at which it is at least so fast.
    pub(super) fn first_as_fast_as(&self, speed: f64, since: Instant) -> Option<Instant> {
        let mut begins = self.from;
        for piece in &self.pieces {
            let ends = begins + Duration::from_secs_f64(piece.lasts.min(1e9));
            let from = begins.max(since);
            if ends > from {
                let (_, v) = piece.at((from - begins).as_secs_f64());
                if v != 0.0 && v.abs() >= speed {
                    return Some(from);
                }
                // Where it gets faster it may get there within the piece.
                let after = (speed - v.abs()) / piece.a.abs();
                let faster = piece.a * v >= 0.0 && piece.a != 0.0;
                if faster && from + Duration::from_secs_f64(after.min(1e9)) < ends {
                    return Some(from + Duration::from_secs_f64(after));
                }
            }
            begins = ends;
        }
        None
    }
}

/// With one acceleration to another speed, and on at that speed: always two pieces.
fn towards(x: f64, v: f64, to: f64, a: f64) -> Vec<Piece> {
    let lasts = if v == to {
        0.0
    } else if a == 0.0 {
        f64::INFINITY
    } else {
        (to - v).abs() / a
    };
    let a = if lasts.is_finite() { a * (to - v).signum() } else { 0.0 };
    let change = Piece { x, v, a, lasts };
    let arrives = if lasts.is_finite() { change.at(lasts).0 } else { x };
    vec![change, Piece { x: arrives, v: to, a: 0.0, lasts: f64::INFINITY }]
}

impl Ramp {
    /// V1 = 0 switches the lower part of the ramp off (section 12.2.1); so does a part that could not be gone through.
    fn with_knee(self) -> Self {
        if self.knee > 0.0 && self.a1 > 0.0 && self.d1 > 0.0 {
            return self;
        }
        Self { knee: 0.0, a1: self.amax, d1: self.dmax, ..self }
    }

    fn braking(&self, v: f64) -> f64 {
        let low = v.min(self.knee);
        ((low * low - self.stop * self.stop).max(0.0)) / (2.0 * self.d1)
            + (v * v - low.max(self.stop.min(v)).powi(2)) / (2.0 * self.dmax)
    }

    fn accelerating(&self, from: f64, to: f64) -> f64 {
        let (low, high) = (self.knee.clamp(from, to.max(from)), to.max(from));
        (low * low - from * from) / (2.0 * self.a1) + (high * high - low * low) / (2.0 * self.amax)
    }

    /// Speed, acceleration and duration of each piece that covers `distance`, beginning at speed `v`.
    fn pieces(&self, v: f64, distance: f64, top: f64) -> Vec<(f64, f64, f64)> {
        if distance == 0.0 {
            return vec![];
        }
        let from = v.max(self.start).min(top);
        let peak = self.peak(from, distance, top);
        let knee = self.knee.clamp(from, peak);
        let stop = self.stop.min(peak);
        let low = self.knee.clamp(stop, peak);
        let cruise = (distance - self.accelerating(from, peak) - self.braking(peak)).max(0.0) / peak;
        let steps = [
            (from, self.a1, (knee - from) / self.a1),
            (knee, self.amax, (peak - knee) / self.amax),
            (peak, 0.0, cruise),
            (peak, -self.dmax, (peak - low) / self.dmax),
            (low, -self.d1, (low - stop) / self.d1),
        ];
        steps.into_iter().filter(|(_, _, lasts)| *lasts > 0.0).collect()
    }

    /// The highest speed from which there is still room to brake; found by halving, to the last bit that matters.
    fn peak(&self, from: f64, distance: f64, top: f64) -> f64 {
        let fits = |peak: f64| self.accelerating(from, peak) + self.braking(peak) <= distance;
        if fits(top) {
            return top;
        }
        let (mut low, mut high) = (from, top);
        for _ in 0..60 {
            let middle = f64::midpoint(low, high);
            if fits(middle) { low = middle } else { high = middle }
        }
        low
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::{hash, unit};

    /// As the datasheet says it in words, step by step: accelerate while there is room to brake, else brake.
    struct Integrated {
        x: f64,
        v: f64,
        waits: f64,
    }

    impl Integrated {
        fn step(&mut self, ramp: &Ramp, target: f64, dt: f64) {
            if self.waits > 0.0 {
                self.waits -= dt;
                return;
            }
            let top = ramp.top.max(ramp.start);
            let away = target - self.x;
            let (sign, speed) = (if away < 0.0 { -1.0 } else { 1.0 }, self.v.abs());
            let wrong_way = self.v * sign < 0.0;
            let rate = |low, high| if speed < ramp.knee { low } else { high };
            if self.v == 0.0 {
                self.v = if away.abs() < 0.5 { 0.0 } else { sign * ramp.start.max(1e-3) };
            } else if wrong_way || self.must_brake(ramp, away.abs()) {
                let slower = speed - rate(ramp.d1, ramp.dmax) * dt;
                if wrong_way && slower <= 0.0 {
                    self.v = 0.0;
                    self.waits = ramp.zero_wait;
                } else {
                    self.v = slower.max(if wrong_way { 0.0 } else { ramp.stop.min(speed) }).copysign(self.v);
                }
            } else if speed < top {
                self.v = (speed + rate(ramp.a1, ramp.amax) * dt).min(top).copysign(self.v);
            } else if speed > top {
                self.v = (speed - ramp.amax * dt).max(top).copysign(self.v);
            }
            let before = target - self.x;
            self.x += self.v * dt;
            if !wrong_way
                && before * (target - self.x) <= 0.0
                && self.v.abs() <= ramp.stop.max(ramp.start) * 2.0 + 1_000.0
            {
                (self.x, self.v) = (target, 0.0);
            }
        }

        fn must_brake(&self, ramp: &Ramp, away: f64) -> bool {
            ramp.with_knee().braking(self.v.abs()) >= away
        }
    }

    fn drawn(seed: u64) -> (Ramp, f64) {
        let draw = |n: u64, from: f64, to: f64| from * (to / from).powf(unit(hash(seed, n)));
        let knee = if hash(seed, 20).is_multiple_of(4) { 0.0 } else { draw(3, 500.0, 5_000.0) };
        let ramp = Ramp {
            start: draw(1, 1.0, 20.0),
            stop: draw(2, 20.0, 100.0),
            knee,
            top: draw(4, 300.0, 40_000.0),
            a1: draw(5, 30_000.0, 200_000.0),
            amax: draw(6, 30_000.0, 200_000.0),
            dmax: draw(7, 30_000.0, 200_000.0),
            d1: draw(8, 30_000.0, 300_000.0),
            zero_wait: if hash(seed, 21).is_multiple_of(2) { 0.0 } else { 0.05 },
        };
        (ramp, draw(9, 50.0, 20_000.0) * if hash(seed, 22).is_multiple_of(2) { 1.0 } else { -1.0 })
    }

    /// A move, and a new target in the middle of it, against adding up small steps.
    #[test]
    fn the_closed_form_agrees_with_adding_up_small_steps() {
        let dt = 1e-5;
        for seed in 0..120 {
            let (ramp, first) = drawn(seed);
            let second = first * (3.0 * unit(hash(seed, 30)) - 1.5);
            let change = 0.02 + 0.3 * unit(hash(seed, 31));
            let at = |s: f64| Instant::ZERO + Duration::from_secs_f64(s);
            let one = Track::to_target(at(0.0), (0.0, 0.0), first, &ramp, 1.0);
            let stood = one
                .ends()
                .filter(|end| *end < at(change))
                .map_or(0.0, |end| (at(change) - end).as_secs_f64());
            let two = Track::to_target(at(change), one.at(at(change)), second, &ramp, stood);
            let mut added = Integrated { x: 0.0, v: 0.0, waits: 0.0 };
            let (mut t, mut worst, mut stands) = (0.0, 0.0f64, 0.0);
            while t < 3.0 {
                let target = if t < change { first } else { second };
                if t < change && t + dt >= change && added.v == 0.0 {
                    added.waits = (ramp.zero_wait - stands).max(0.0);
                }
                stands = if added.v == 0.0 { stands + dt } else { 0.0 };
                added.step(&ramp, target, dt);
                t += dt;
                let closed = if t < change { one.at(at(t)).0 } else { two.at(at(t)).0 };
                worst = worst.max((closed - added.x).abs());
            }
            let scale = ramp.top.min(first.abs() * 5.0) * 0.004 + 4.0;
            assert!(worst < scale, "seed {seed}: {worst} usteps apart, {ramp:?} {first} {second} {change}");
        }
    }

    #[test]
    fn what_cannot_move_stands_and_no_number_is_lost() {
        let (ramp, _) = drawn(1);
        let zero =
            [Ramp { amax: 0.0, ..ramp }, Ramp { dmax: 0.0, ..ramp }, Ramp { top: 0.0, start: 0.0, ..ramp }];
        for ramp in zero {
            let track = Track::to_target(Instant::ZERO, (0.0, 0.0), 1_000.0, &ramp, 0.0);
            assert_eq!(track.at(Instant::ZERO + Duration::from_secs(100)), (0.0, 0.0), "{ramp:?}");
        }
        let there = Track::to_target(Instant::ZERO, (5.0, 0.0), 5.0, &ramp, 0.0);
        assert_eq!((there.at(Instant::ZERO), there.ends()), ((5.0, 0.0), Some(Instant::ZERO)));
    }

    #[test]
    fn the_instant_at_which_a_speed_is_reached_is_found() {
        let (ramp, _) = drawn(3);
        let track = Track::to_target(Instant::ZERO, (0.0, 0.0), 1e5, &ramp, 1.0);
        let reached = track.first_as_fast_as(ramp.top / 2.0, Instant::ZERO).unwrap();
        let (_, v) = track.at(reached);
        assert!((v / (ramp.top / 2.0) - 1.0).abs() < 1e-3, "{v}");
        assert_eq!(track.first_as_fast_as(ramp.top * 2.0, Instant::ZERO), None);
    }
}
