//! Wiring: a camera behind the drivers' `Camera`, free-running, with whatever before its lens.

use super::{Bench, Check, Outcome, ms};
use planktor_drivers::devices::camera::{Camera, Prediction};
use planktor_protocol::camera::{Frame, Mode};
use std::time::Duration;

/// A camera.
pub trait CameraBench: Bench {
    /// It.
    fn camera(&mut self) -> &mut dyn Camera;
    /// How far a time stamp may be from its prediction: a camera's clock wanders.
    fn tolerance(&self) -> Duration {
        ms(1)
    }
}

/// Every check.
pub fn checks<B: CameraBench>() -> Vec<Check<B>> {
    vec![
        ("the first frame that can be is never one that began before", predicts),
        (
            "frames follow each other by the cadence, and their exposures are as long as the mode says",
            cadence,
        ),
        ("the frame that was predicted is the one that comes", comes),
        ("a frame is not there before it is ready, and taking never waits", not_yet),
        ("an old frame is gone when the pool is full", pool),
        ("closed it predicts nothing, and it opens again", reopens),
    ]
}

fn open(bench: &mut impl CameraBench) -> Mode {
    let mode = bench.camera().open().expect("there is a camera");
    bench.pass(ms(1_500));
    mode
}

fn predict(bench: &mut impl CameraBench, after: Duration) -> Prediction {
    let then = bench.now() + after;
    bench.camera().predict(then).expect("it streams")
}

fn take(bench: &mut impl CameraBench, prediction: &Prediction) -> Frame {
    let wait = prediction.ready - bench.now();
    bench.pass(wait + bench.tolerance());
    bench.camera().take(prediction.seq).expect("it is there")
}

fn predicts(bench: &mut impl CameraBench) -> Outcome {
    let mode = open(bench);
    for n in 0..50 {
        let after = mode.cadence * n / 17;
        let then = bench.now() + after;
        let prediction = predict(bench, after);
        assert!(
            prediction.interval.from >= then
                && prediction.interval.from < then + mode.cadence + bench.tolerance()
        );
        assert!(prediction.ready >= prediction.interval.to);
    }
    Outcome::Passed
}

fn cadence(bench: &mut impl CameraBench) -> Outcome {
    let (mode, tolerance) = (open(bench), bench.tolerance());
    let first = predict(bench, Duration::ZERO);
    let second = bench.camera().predict(first.interval.from + tolerance).expect("it streams");
    let apart = second.interval.from - first.interval.from;
    assert!(apart + tolerance > mode.cadence && apart < mode.cadence + tolerance, "{apart:?}");
    assert!(first.interval.duration() >= mode.exposure);
    assert_eq!(second.seq, first.seq + 1);
    Outcome::Passed
}

fn comes(bench: &mut impl CameraBench) -> Outcome {
    let mode = open(bench);
    for _ in 0..3 {
        let prediction = predict(bench, mode.cadence / 3);
        let frame = take(bench, &prediction);
        assert_eq!(frame.seq, prediction.seq);
        let off = (frame.interval.from - prediction.interval.from)
            .max(prediction.interval.from - frame.interval.from);
        assert!(off <= bench.tolerance(), "{off:?}");
    }
    Outcome::Passed
}

fn not_yet(bench: &mut impl CameraBench) -> Outcome {
    open(bench);
    let prediction = predict(bench, Duration::ZERO);
    let before = bench.now();
    assert!(bench.camera().take(prediction.seq).is_none());
    assert!(bench.now() - before < ms(5));
    Outcome::Passed
}

fn pool(bench: &mut impl CameraBench) -> Outcome {
    let mode = open(bench);
    let prediction = predict(bench, Duration::ZERO);
    let wait = prediction.ready - bench.now();
    bench.pass(wait + mode.cadence * 5);
    assert!(bench.camera().take(prediction.seq).is_none());
    Outcome::Passed
}

fn reopens(bench: &mut impl CameraBench) -> Outcome {
    open(bench);
    bench.camera().close();
    let now = bench.now();
    assert_eq!(bench.camera().predict(now), None);
    assert!(bench.camera().take(0).is_none());
    open(bench);
    let prediction = predict(bench, Duration::ZERO);
    take(bench, &prediction);
    Outcome::Passed
}
