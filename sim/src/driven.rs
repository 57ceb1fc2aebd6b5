//! What a motor's shaft drives, through play and through soft tubing: the water in the flow cell, and the stage.
//!
//! *Play*: after a change of direction the shaft turns for a while before anything follows. *Softness*: the water's
//! displacement y follows the driven p by y' = (p - y) / tau. While p is a parabola both are closed forms: play is
//! taken up at a root of a quadratic, and y = p - tau p' + tau^2 p'' plus a rest that dies away as exp(-t / tau). So
//! a state is carried on exactly over any time, however often somebody looks. All in microsteps of the shaft.

use crate::chips::tmc5160::Piece;
use planktor_protocol::Instant;
use std::time::Duration;

/// How the shaft's motion is passed on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Coupling {
    /// What the shaft turns after a change of direction before anything follows.
    pub(crate) play: f64,
    /// Time constants of what is soft, s.
    pub(crate) taus: [f64; 2],
}

/// What is driven, at an instant.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Driven {
    pub(crate) at: Instant,
    /// Where it is behind the play, as if nothing were soft.
    pub(crate) hard: f64,
    /// Where it is behind each time constant.
    pub(crate) soft: [f64; 2],
}

impl Driven {
    /// At rest, with the play taken up forwards.
    pub(crate) fn at_rest(at: Instant) -> Self {
        Self { at, hard: 0.0, soft: [0.0; 2] }
    }

    /// Carried on to a later instant, along the shaft's pieces, which follow each other without a gap.
    pub(crate) fn at(
        mut self,
        coupling: &Coupling,
        pieces: impl Iterator<Item = (Instant, Piece)>,
        then: Instant,
    ) -> Self {
        for (begins, piece) in pieces {
            let lasts = Duration::try_from_secs_f64(piece.lasts).unwrap_or(Duration::MAX);
            let ends = (begins + lasts).min(then);
            if ends > self.at && begins < ends {
                let from = begins.max(self.at);
                let (x, v) = piece.at((from - begins).as_secs_f64());
                let lasts = (ends - from).as_secs_f64();
                self.follow(coupling, Piece { x, v, a: piece.a, lasts });
                self.at = ends;
            }
        }
        self.rest(coupling, (then - self.at).as_secs_f64());
        Self { at: self.at.max(then), ..self }
    }

    /// A piece turns at most once: before and after that it goes one way.
    fn follow(&mut self, coupling: &Coupling, piece: Piece) {
        let turns = -piece.v / piece.a;
        if piece.a != 0.0 && turns > 0.0 && turns < piece.lasts {
            self.one_way(coupling, Piece { lasts: turns, ..piece });
            let (x, _) = piece.at(turns);
            self.one_way(coupling, Piece { x, v: 0.0, a: piece.a, lasts: piece.lasts - turns });
        } else {
            self.one_way(coupling, piece);
        }
    }

    fn one_way(&mut self, coupling: &Coupling, piece: Piece) {
        let (end, _) = piece.at(piece.lasts);
        // Pushed forwards, what is driven is where the shaft is; pulled back, it lags by the play.
        let (forwards, ahead) = if end >= piece.x { (1.0, 0.0) } else { (-1.0, coupling.play) };
        let free = self.hard - ahead - piece.x;
        if end == piece.x || free * forwards >= (end - piece.x) * forwards {
            return self.rest(coupling, piece.lasts);
        }
        let taken_up = if free * forwards > 0.0 { reaches(&piece, free) } else { 0.0 };
        self.rest(coupling, taken_up);
        let (x, v) = piece.at(taken_up);
        self.driven(coupling, Piece { x: x + ahead, v, a: piece.a, lasts: piece.lasts - taken_up });
        self.hard = end + ahead;
    }

    fn driven(&mut self, coupling: &Coupling, piece: Piece) {
        for (soft, tau) in self.soft.iter_mut().zip(coupling.taus) {
            let steady = |t: f64| {
                let (p, v) = piece.at(t);
                p - tau * v + tau * tau * piece.a
            };
            *soft = steady(piece.lasts) + (*soft - steady(0.0)) * (-piece.lasts / tau).exp();
        }
    }

    fn rest(&mut self, coupling: &Coupling, lasts: f64) {
        if lasts > 0.0 {
            self.driven(coupling, Piece { x: self.hard, v: 0.0, a: 0.0, lasts });
        }
    }
}

/// When a piece that goes one way has gone so far.
fn reaches(piece: &Piece, way: f64) -> f64 {
    let t = if piece.a == 0.0 {
        way / piece.v
    } else {
        // The root that does not lose its digits when the acceleration is small.
        let root = (piece.v * piece.v + 2.0 * piece.a * way).max(0.0).sqrt();
        2.0 * way / (piece.v + root.copysign(way))
    };
    if t.is_finite() { t.clamp(0.0, piece.lasts) } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COUPLING: Coupling = Coupling { play: 1.0, taus: [0.08, 0.5] };

    fn at(s: f64) -> Instant {
        Instant::ZERO + Duration::from_secs_f64(s)
    }

    /// Forwards by 4, rest, back by 4, and a piece that turns in the middle.
    fn pieces() -> Vec<(Instant, Piece)> {
        let rows = [
            (0.1, 0.0, 0.0, 100.0, 0.2),
            (0.3, 2.0, 20.0, -100.0, 0.2),
            (0.5, 4.0, 0.0, 0.0, 0.5),
            (1.0, 4.0, 0.0, -100.0, 0.2),
            (1.2, 2.0, -20.0, 100.0, 0.6),
            (1.8, 8.0, 40.0, 0.0, 0.1),
            (1.9, 12.0, 0.0, 0.0, f64::INFINITY),
        ];
        rows.map(|(begins, x, v, a, lasts)| (at(begins), Piece { x, v, a, lasts })).to_vec()
    }

    fn x_at(t: f64) -> f64 {
        let all = pieces();
        let last = all.iter().rev().find(|(begins, _)| *begins <= at(t));
        last.map_or(0.0, |(begins, piece)| piece.at((at(t) - *begins).as_secs_f64()).0)
    }

    fn driven_at(s: f64) -> Driven {
        Driven::at_rest(Instant::ZERO).at(&COUPLING, pieces().into_iter(), at(s))
    }

    #[test]
    fn it_agrees_with_adding_up_small_steps() {
        let dt = 2e-6;
        let (mut hard, mut soft, mut t) = (0.0f64, [0.0f64; 2], 0.0f64);
        for then in [0.15, 0.25, 0.45, 0.6, 1.05, 1.15, 1.35, 1.5, 1.85, 2.5] {
            while t < then - dt / 2.0 {
                let x = x_at(t);
                hard = hard.max(x).min(x + COUPLING.play);
                for (soft, tau) in soft.iter_mut().zip(COUPLING.taus) {
                    *soft += (hard - *soft) / tau * dt;
                }
                t += dt;
            }
            let closed = driven_at(then);
            assert!((closed.hard - hard).abs() < 2e-3, "at {then} s: {} instead of {hard}", closed.hard);
            for (closed, added) in closed.soft.iter().zip(soft) {
                assert!((closed - added).abs() < 2e-3, "at {then} s: {closed} instead of {added}");
            }
        }
    }

    #[test]
    fn looking_often_and_looking_once_give_the_same() {
        let mut often = Driven::at_rest(Instant::ZERO);
        for n in 1..=2_500 {
            often = often.at(&COUPLING, pieces().into_iter(), at(f64::from(n) / 1e3));
            let once = driven_at(f64::from(n) / 1e3);
            assert!((often.hard - once.hard).abs() < 1e-9, "{n}");
            assert!(often.soft.iter().zip(once.soft).all(|(a, b)| (a - b).abs() < 1e-9), "{n}");
        }
    }

    #[test]
    fn after_a_change_of_direction_nothing_follows_until_the_play_is_taken_up() {
        assert_eq!(driven_at(0.9).hard, 4.0);
        let (a_little, more) = (driven_at(1.13).hard, driven_at(1.2).hard);
        assert_eq!(a_little, 4.0, "the shaft has turned back by 0.85");
        assert!((more - 3.0).abs() < 1e-9, "{more}: the shaft stands at 2");
    }

    #[test]
    fn it_comes_to_rest_where_the_shaft_left_it() {
        let rest = driven_at(30.0);
        assert!(rest.soft.iter().all(|soft| (soft - 12.0).abs() < 1e-9), "{rest:?}");
    }
}
