//! The water in the flow cell: it follows the pump through soft tubing, and goes on for a while when the pump stands.
//!
//! One time constant: the water's displacement y follows the pump's p by y' = (p - y) / tau. While p is a parabola
//! the solution is one: y = p - tau p' + tau^2 p'' plus a rest that dies away as exp(-t / tau).

use crate::chips::tmc5160::Piece;
use planktor_protocol::Instant;
use std::time::Duration;

/// How far the water has come, in the pump's own unit, at an instant, from the pump's past as pieces.
pub(crate) fn displacement(
    past: impl Iterator<Item = (Instant, Piece)>,
    tau: Duration,
    then: Instant,
) -> f64 {
    let tau = tau.as_secs_f64();
    let (mut y, mut ended) = (None, Instant::ZERO);
    for (begins, piece) in past {
        if begins > then {
            break;
        }
        let start = y.map_or(piece.x, |(y, stands): (f64, f64)| relax(y, stands, tau, begins - ended));
        let lasts = piece.lasts.min((then - begins).as_secs_f64());
        let steady = |t: f64| {
            let (p, v) = (piece.x + piece.v * t + piece.a * t * t / 2.0, piece.v + piece.a * t);
            p - tau * v + tau * tau * piece.a
        };
        let end = steady(lasts) + (start - steady(0.0)) * (-lasts / tau).exp();
        let stands = piece.x + piece.v * lasts + piece.a * lasts * lasts / 2.0;
        ended = begins + Duration::from_secs_f64(lasts);
        y = Some((end, stands));
    }
    y.map_or(0.0, |(y, stands)| relax(y, stands, tau, then - ended))
}

/// After the last piece the pump stands, and the rest dies away.
fn relax(y: f64, stands: f64, tau: f64, after: Duration) -> f64 {
    stands + (y - stands) * (-after.as_secs_f64() / tau).exp()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TAU: Duration = Duration::from_millis(80);

    fn stroke() -> impl Iterator<Item = (Instant, Piece)> {
        let up = Piece { x: 0.0, v: 0.0, a: 100.0, lasts: 0.2 };
        let down = Piece { x: 2.0, v: 20.0, a: -100.0, lasts: 0.2 };
        let from = |ms: u64| Instant::from_nanos(ms * 1_000_000);
        [(from(100), up), (from(300), down)].into_iter()
    }

    #[test]
    fn it_agrees_with_adding_up_small_steps() {
        let dt = 1e-5;
        let (mut y, mut t) = (0.0, 0.1);
        for then in [150, 250, 400, 500, 600, 900] {
            while t < f64::from(then) / 1e3 - dt / 2.0 {
                let p = if t < 0.3 {
                    50.0 * (t - 0.1f64).powi(2)
                } else if t < 0.5 {
                    4.0 - 50.0 * (0.5 - t).powi(2)
                } else {
                    4.0
                };
                y += (p - y) / TAU.as_secs_f64() * dt;
                t += dt;
            }
            let closed = displacement(stroke(), TAU, Instant::from_nanos(then as u64 * 1_000_000));
            assert!((closed - y).abs() < 1e-3, "at {then} ms: {closed}, added up {y}");
        }
    }

    #[test]
    fn it_goes_on_after_the_pump_stands_and_comes_to_rest() {
        let at = |ms: u64| displacement(stroke(), TAU, Instant::from_nanos(ms * 1_000_000));
        assert!(at(520) - at(500) > 0.01);
        assert!(at(1_100) - at(1_000) < 0.001);
        assert!((at(3_000) - 4.0).abs() < 1e-9);
    }
}
