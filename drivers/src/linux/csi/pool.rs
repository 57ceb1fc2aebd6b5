//! The newest frames of a stream, and when its next ones come.

use crate::devices::camera::Prediction;
use planktor_protocol::camera::{Frame, Mode};
use planktor_protocol::{Fault, Instant, Interval};
use std::collections::VecDeque;
use std::time::Duration;

/// Frames that it holds; an older one is gone.
const MOST: usize = 3;
/// From the order to stream to the first line of the first frame.
const START_UP: Duration = Duration::from_millis(500);

/// Filled by the camera's thread, emptied by whoever holds the camera.
#[derive(Debug, Default)]
pub(super) struct Pool {
    frames: VecDeque<Frame>,
    pace: Option<Pace>,
    ended: Option<Fault>,
}

/// How a stream goes on from one of its frames.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    pub(super) seq: u64,
    pub(super) interval: Interval,
    /// From one frame's start to the next one's.
    pub(super) cadence: Duration,
    /// From a frame's end until it is here.
    pub(super) late: Duration,
}

impl Pool {
    /// A stream is to begin, or to go on in another mode.
    pub(super) fn begin(&mut self, now: Instant, mode: &Mode) {
        let (seq, from, late) = match self.pace {
            Some(Pace { seq, interval, late, .. }) => (seq, interval.from, late),
            None => (0, now + START_UP, Duration::ZERO),
        };
        let interval = Interval { from, to: from + mode.takes };
        self.frames.clear();
        self.pace = Some(Pace { seq, interval, cadence: mode.cadence, late });
    }

    /// Here is a frame, and so it goes on.
    pub(super) fn put(&mut self, frame: Frame, pace: Pace) {
        if self.pace.is_none() {
            return;
        }
        self.pace = Some(pace);
        if self.frames.len() == MOST {
            self.frames.pop_front();
        }
        self.frames.push_back(frame);
    }

    /// The stream ends, and its frames are released.
    pub(super) fn stop(&mut self) {
        self.frames.clear();
        self.pace = None;
    }

    /// There will be no stream any more.
    pub(super) fn end(&mut self, why: Fault) {
        self.stop();
        self.ended = Some(why);
    }

    pub(super) fn ended(&self) -> Result<(), Fault> {
        self.ended.map_or(Ok(()), Err)
    }

    pub(super) fn streams(&self) -> bool {
        self.pace.is_some()
    }

    /// The frame with this number; older ones are dropped.
    pub(super) fn take(&mut self, seq: u64) -> Option<Frame> {
        while self.frames.front().is_some_and(|frame| frame.seq < seq) {
            self.frames.pop_front();
        }
        let here = self.frames.front().is_some_and(|frame| frame.seq == seq);
        if here { self.frames.pop_front() } else { None }
    }

    /// The first frame that begins at or after an instant.
    pub(super) fn predict(&self, after: Instant) -> Option<Prediction> {
        let Pace { seq, interval: Interval { from, to }, cadence, late } = self.pace?;
        let cadence = u64::try_from(cadence.as_nanos()).unwrap_or(u64::MAX).max(1);
        let n = u64::try_from((after - from).as_nanos().div_ceil(cadence.into())).unwrap_or(u64::MAX);
        let later = Duration::from_nanos(cadence.saturating_mul(n));
        let interval = Interval { from: from + later, to: to + later };
        Some(Prediction { seq: seq.saturating_add(n), interval, ready: interval.to + late })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use planktor_protocol::camera::{Image, Picture, Pixels};
    use std::sync::Arc;

    #[derive(Debug)]
    struct Nothing;

    impl Picture for Nothing {
        fn develop(&self) -> Pixels {
            Pixels::Rgb(Image { width: 0, height: 0, rgb: vec![] })
        }
    }

    const MODE: Mode = Mode {
        width: 4056,
        height: 3040,
        cadence: Duration::from_millis(100),
        takes: Duration::from_millis(101),
        exposure: Duration::from_millis(1),
        iso: 100,
    };

    fn ms(ms: u64) -> Instant {
        Instant::ZERO + Duration::from_millis(ms)
    }

    fn put(pool: &mut Pool, seq: u64, from: u64) {
        let interval = Interval { from: ms(from), to: ms(from + 101) };
        let pace = Pace { seq, interval, cadence: MODE.cadence, late: Duration::from_millis(20) };
        pool.put(Frame { seq, interval, picture: Arc::new(Nothing) }, pace);
    }

    #[test]
    fn the_frame_that_begins_in_time_is_foretold_from_the_last_one() {
        let mut pool = Pool::default();
        assert_eq!(pool.predict(ms(1_000)), None);
        pool.begin(ms(1_000), &MODE);
        let first = pool.predict(ms(1_000)).unwrap();
        assert_eq!((first.seq, first.interval.from, first.ready), (0, ms(1_500), ms(1_601)));
        put(&mut pool, 7, 2_003);
        for (after, seq, from) in [(2_004, 8, 2_103), (2_103, 8, 2_103), (2_104, 9, 2_203), (3_000, 17, 3_003)] {
            let next = pool.predict(ms(after)).unwrap();
            assert_eq!((next.seq, next.interval.from), (seq, ms(from)));
            assert_eq!((next.interval.to, next.ready), (ms(from + 101), ms(from + 121)));
        }
    }

    #[test]
    fn three_frames_are_kept_and_each_is_given_once() {
        let mut pool = Pool::default();
        pool.begin(ms(0), &MODE);
        for seq in 0..5 {
            put(&mut pool, seq, 500 + 100 * seq);
        }
        assert!(pool.take(1).is_none(), "there was no room for it");
        assert_eq!(pool.take(3).map(|frame| frame.seq), Some(3));
        assert!(pool.take(3).is_none() && pool.take(2).is_none());
        assert_eq!(pool.take(4).map(|frame| frame.seq), Some(4));
    }

    #[test]
    fn what_comes_after_the_end_is_not_kept() {
        let mut pool = Pool::default();
        pool.begin(ms(0), &MODE);
        pool.stop();
        put(&mut pool, 0, 500);
        assert!(pool.take(0).is_none() && pool.predict(ms(600)).is_none());
        pool.end(Fault::CameraSilent);
        assert_eq!(pool.ended(), Err(Fault::CameraSilent));
    }
}
