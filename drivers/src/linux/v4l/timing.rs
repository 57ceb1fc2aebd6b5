//! When a frame was exposed, which number it has, and which one comes next. Pure: all instants are arguments.
//!
//! Where something is not known the widest interval is taken: the runtime discards a frame that was exposed in motion, so
//! an interval that is too wide costs a cadence, and one that is too narrow costs the truth.

use crate::devices::camera::Prediction;
use planktor_protocol::{Instant, Interval};
use serde::Deserialize;
use std::collections::VecDeque;
use std::time::Duration;

/// What a buffer's time stamp is the time of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stamp {
    /// The first line's exposure begins.
    Exposure,
    /// The first line is read out, so its exposure ends: what a CSI-2 receiver's frame-start interrupt tells.
    ReadOut,
    /// One of these two: what drivers mean by "start of exposure" differs.
    Start,
    /// The last line has been read out.
    End,
    /// Nothing that can be relied on: only its arrival is known.
    Arrival,
}

impl Stamp {
    /// What drivers do, whatever their flags say: Linux 6.12, `bcm2835-unicam.c` and `rp1-cfe/cfe.c` take the time in the
    /// frame-start interrupt and flag nothing, which would mean the end of the frame; `uvc_video.c` takes the time of a
    /// frame's first packet, or the camera's own clock, and says "start of exposure". A camera on USB may send a frame
    /// long after it was exposed.
    pub fn of_driver(name: &str) -> Option<Self> {
        match name {
            "unicam" | "rp1-cfe" => Some(Self::ReadOut),
            "uvcvideo" => Some(Self::Arrival),
            _ => None,
        }
    }
}

/// How long what takes, as far as it is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// From one frame's start to the next one's.
    pub cadence: Duration,
    /// What each line integrates.
    pub exposure: Option<Duration>,
    /// From the first line's read-out to the last one's.
    pub read_out: Option<Duration>,
}

impl Timing {
    /// What each line integrates at most: a sensor that runs freely cannot integrate longer than from frame to frame.
    fn exposure(&self) -> Duration {
        self.exposure.unwrap_or(self.cadence)
    }

    /// From the first line's start to the last line's end, at most.
    pub fn takes(&self) -> Duration {
        self.read_out.unwrap_or(self.cadence) + self.exposure()
    }

    /// When a frame with this time stamp was exposed, that arrived then.
    ///
    /// A stamp from after the arrival is no time of this frame, and what arrived had been exposed.
    pub fn exposed(&self, kind: Stamp, stamp: Instant, arrived: Instant) -> Interval {
        let interval = match kind {
            _ if stamp > arrived => self.before(arrived),
            Stamp::Exposure => Interval { from: stamp, to: stamp + self.takes() },
            Stamp::ReadOut => {
                let from = stamp - self.exposure();
                Interval { from, to: from + self.takes() }
            }
            Stamp::Start => Interval { from: stamp - self.exposure(), to: stamp + self.takes() },
            Stamp::End => Interval { from: stamp - self.takes(), to: stamp },
            Stamp::Arrival => self.before(arrived),
        };
        Interval { to: interval.to.min(arrived), ..interval }
    }

    /// Anywhere before it arrived: read out at the earliest a cadence before.
    fn before(&self, arrived: Instant) -> Interval {
        Interval { from: arrived - self.takes().max(self.cadence + self.exposure()), to: arrived }
    }
}

/// A stream's frames from which the cadence is measured.
const REMEMBERED: usize = 16;
/// A driver does not lose more frames at once; if its number jumped farther it has begun to count anew.
const LONGEST_GAP: u32 = 10_000;

/// A frame of a stream: its number, when it was exposed, and when it arrived.
#[derive(Clone, Copy, Debug)]
struct Seen {
    seq: u64,
    stamp: Instant,
    interval: Interval,
    arrived: Instant,
}

/// Numbers a stream's frames and foresees them.
///
/// Numbers go with time: before the first frame has come, frame n is the one that begins at the earliest n cadences after
/// the stream's start, and the first frame gets its number by that. From then on frames have the driver's own distance.
#[derive(Clone, Debug)]
pub struct Pace {
    timing: Timing,
    started: Instant,
    first: u64,
    /// The driver's own number of the newest frame.
    driver: u32,
    seen: VecDeque<Seen>,
}

/// What a frame is, by its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counted {
    /// The next one.
    New {
        /// Its number.
        seq: u64,
        /// How many came not at all before it.
        lost: u64,
    },
    /// One that was there before.
    Duplicate,
}

impl Pace {
    /// Of a stream that starts then, and whose frames have this number at least.
    pub fn new(timing: Timing, started: Instant, first: u64) -> Self {
        Self { timing, started, first, driver: 0, seen: VecDeque::with_capacity(REMEMBERED) }
    }

    /// The number that no frame has had.
    pub fn unused(&self) -> u64 {
        self.seen.back().map_or(self.first, |last| last.seq + 1)
    }

    /// How long everything takes, with the cadence as it was measured if that is longer.
    pub fn timing(&self) -> Timing {
        Timing { cadence: self.timing.cadence.max(self.cadence()), ..self.timing }
    }

    /// From frame to frame, as measured.
    pub fn cadence(&self) -> Duration {
        match (self.seen.front(), self.seen.back()) {
            (Some(first), Some(last)) if last.seq > first.seq => {
                let frames = u32::try_from(last.seq - first.seq).unwrap_or(u32::MAX);
                ((last.stamp - first.stamp) / frames).max(Duration::from_micros(1))
            }
            _ => self.timing.cadence,
        }
    }

    /// A frame came, with the driver's number and stamp of it.
    pub fn count(&mut self, driver: u32, stamp: Instant, interval: Interval, arrived: Instant) -> Counted {
        let (seq, lost) = match self.seen.back() {
            None => {
                let waited = (interval.from - self.started).as_nanos();
                let frames = waited / self.timing.cadence.as_nanos().max(1);
                (self.first + u64::try_from(frames).unwrap_or(0), 0)
            }
            Some(last) if driver == self.driver || stamp <= last.stamp => return Counted::Duplicate,
            Some(last) => {
                let step = match driver.wrapping_sub(self.driver) {
                    step @ 1..=LONGEST_GAP => u64::from(step),
                    // It counts anew: how many frames that were only the time tells.
                    _ => {
                        let cadence = self.cadence();
                        let frames = (stamp - last.stamp + cadence / 2).as_nanos() / cadence.as_nanos();
                        u64::try_from(frames).unwrap_or(u64::MAX).max(1)
                    }
                };
                (last.seq + step, step - 1)
            }
        };
        self.driver = driver;
        if self.seen.len() == REMEMBERED {
            self.seen.pop_front();
        }
        self.seen.push_back(Seen { seq, stamp, interval, arrived });
        Counted::New { seq, lost }
    }

    /// The first frame that begins at or after an instant.
    pub fn predict(&self, not_before: Instant) -> Prediction {
        let Some(last) = self.seen.back() else {
            // It may begin a cadence later than at the earliest.
            let cadence = self.timing.cadence;
            let (n, from) = next(self.started, cadence, not_before);
            let to = from + cadence + self.timing.takes();
            return Prediction { seq: self.first + n, interval: Interval { from, to }, ready: to };
        };
        let (n, from) = next(last.interval.from, self.cadence(), not_before);
        let arrives = self.seen.iter().map(|seen| seen.arrived - seen.interval.from).max();
        let to = from + last.interval.duration();
        let ready = to.max(from + arrives.unwrap_or_default());
        Prediction { seq: last.seq + n, interval: Interval { from, to }, ready }
    }
}

/// How many periods after a first instant the first one begins that is not before another, and when.
fn next(first: Instant, period: Duration, not_before: Instant) -> (u64, Instant) {
    let period = u64::try_from(period.as_nanos()).unwrap_or(u64::MAX).max(1);
    let n = u64::try_from((not_before - first).as_nanos()).unwrap_or(u64::MAX).div_ceil(period);
    (n, first + Duration::from_nanos(n.saturating_mul(period)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    fn at(ms: u64) -> Instant {
        Instant::from_nanos(ms * 1_000_000)
    }

    fn interval(from: u64, to: u64) -> Interval {
        Interval { from: at(from), to: at(to) }
    }

    /// Reads a frame in 87 ms, exposes each line for 1 ms, begins one every 100 ms.
    const KNOWN: Timing = Timing {
        cadence: Duration::from_millis(100),
        exposure: Some(Duration::from_millis(1)),
        read_out: Some(Duration::from_millis(87)),
    };

    #[test]
    fn the_interval_is_what_the_stamp_tells_and_the_widest_where_it_does_not() {
        let exposed = |kind| KNOWN.exposed(kind, at(1_000), at(1_100));
        assert_eq!(exposed(Stamp::Exposure), interval(1_000, 1_088));
        assert_eq!(exposed(Stamp::ReadOut), interval(999, 1_087));
        assert_eq!(exposed(Stamp::Start), interval(999, 1_088));
        assert_eq!(exposed(Stamp::End), interval(912, 1_000));
        assert_eq!(exposed(Stamp::Arrival), interval(999, 1_100));
        for kind in [Stamp::Exposure, Stamp::ReadOut, Stamp::Start, Stamp::End] {
            let future = KNOWN.exposed(kind, at(1_101), at(1_100));
            assert_eq!(future, exposed(Stamp::Arrival), "{kind:?}: a stamp from the future says nothing");
        }
    }

    #[test]
    fn what_is_not_known_of_a_camera_takes_a_whole_cadence() {
        let unknown = Timing { exposure: None, read_out: None, ..KNOWN };
        assert_eq!(unknown.takes(), ms(200));
        assert_eq!(unknown.exposed(Stamp::End, at(1_000), at(1_010)), interval(800, 1_000));
        assert_eq!(unknown.exposed(Stamp::Start, at(1_000), at(1_010)), interval(900, 1_010));
        assert_eq!(unknown.exposed(Stamp::Arrival, at(1_000), at(1_010)), interval(810, 1_010));
        let exposure = Timing { read_out: None, ..KNOWN };
        assert_eq!(exposure.exposed(Stamp::Arrival, at(1_000), at(1_010)), interval(909, 1_010));
    }

    /// A stream that starts at 1000 ms as frame 40, whose frames arrive 90 ms after they begin.
    fn pace(frames: &[(u32, u64)]) -> (Pace, Vec<Counted>) {
        let mut pace = Pace::new(KNOWN, at(1_000), 40);
        let count = |&(driver, from): &(u32, u64)| {
            pace.count(driver, at(from), interval(from, from + 88), at(from + 90))
        };
        let counted = frames.iter().map(count).collect();
        (pace, counted)
    }

    fn new(seq: u64) -> Counted {
        Counted::New { seq, lost: 0 }
    }

    #[test]
    fn a_frame_that_was_foreseen_before_the_first_came_begins_no_earlier() {
        let (before, _) = pace(&[]);
        for asked in [1_000, 1_001, 1_250, 1_399] {
            let foreseen = before.predict(at(asked));
            // The first frame begins somewhere, and its number is the one under which it was foreseen.
            for first in (1_000..1_300).step_by(7) {
                let frames: Vec<_> = (0..9).map(|n| (n, first + 100 * u64::from(n))).collect();
                let (_, counted) = pace(&frames);
                let n = counted.iter().position(|frame| *frame == new(foreseen.seq));
                let Some(n) = n else { continue };
                let begins = at(frames[n].1);
                assert!(begins >= at(asked), "asked for {asked}, first at {first}");
                assert!(begins >= foreseen.interval.from);
                assert!(begins + KNOWN.takes() <= foreseen.interval.to);
            }
        }
    }

    #[test]
    fn the_next_frame_follows_from_the_last_one_and_the_measured_cadence() {
        // Asked for 100 ms, it takes 104.
        let (pace, counted) = pace(&[(7, 1_200), (8, 1_304), (9, 1_408)]);
        assert_eq!(counted, [new(42), new(43), new(44)]);
        assert_eq!((pace.cadence(), pace.timing().cadence, pace.unused()), (ms(104), ms(104), 45));
        let at_once = pace.predict(at(1_408));
        assert_eq!((at_once.seq, at_once.interval, at_once.ready), (44, interval(1_408, 1_496), at(1_498)));
        let later = pace.predict(at(1_409));
        assert_eq!((later.seq, later.interval, later.ready), (45, interval(1_512, 1_600), at(1_602)));
        assert_eq!(pace.predict(at(1_408 + 104 * 50 + 1)).seq, 95);
    }

    #[test]
    fn lost_frames_are_counted_and_a_duplicate_is_never_a_new_frame() {
        let (_, counted) = pace(&[(7, 1_200), (7, 1_200), (7, 1_300), (8, 1_200), (10, 1_500), (11, 1_600)]);
        let lost = Counted::New { seq: 45, lost: 2 };
        assert_eq!(
            counted,
            [new(42), Counted::Duplicate, Counted::Duplicate, Counted::Duplicate, lost, new(46)]
        );
    }

    #[test]
    fn a_driver_may_count_over_its_numbers_end_or_anew() {
        let (_, counted) = pace(&[(u32::MAX, 1_200), (0, 1_300), (1, 1_400)]);
        assert_eq!(counted, [new(42), new(43), new(44)]);
        let (_, counted) = pace(&[(500, 1_200), (501, 1_300), (0, 1_600), (1, 1_700)]);
        assert_eq!(counted, [new(42), new(43), Counted::New { seq: 46, lost: 2 }, new(47)]);
    }

    #[test]
    fn drivers_of_known_cameras_are_known() {
        assert_eq!(Stamp::of_driver("unicam"), Some(Stamp::ReadOut));
        assert_eq!(Stamp::of_driver("uvcvideo"), Some(Stamp::Arrival));
        assert_eq!(Stamp::of_driver("vivid"), None);
    }
}
