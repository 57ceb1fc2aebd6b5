//! How long everything takes, measured where it happens. Whoever measures adds to a counter and waits for nobody; whoever
//! wants to know reads the counters at any time.
//!
//! In virtual time handlers are not timed: what a computer needs for them would depend on the computer.

use planktor_protocol::Instant;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Parts of a power of two: what is read is at most a sixteenth too long.
const PARTS: usize = 16;
/// Up to 2^37 ns, 137 s; what takes longer counts as that.
const BUCKETS: usize = (37 - 3) * PARTS;

/// Durations, counted by how long they are. No lock: any thread adds, any thread reads.
pub struct Histogram {
    buckets: [AtomicU64; BUCKETS],
    sum_ns: AtomicU64,
    most_ns: AtomicU64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self {
            buckets: std::array::from_fn(|_| AtomicU64::new(0)),
            sum_ns: AtomicU64::new(0),
            most_ns: AtomicU64::new(0),
        }
    }
}

impl fmt::Debug for Histogram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.read().fmt(f)
    }
}

/// Below 16 ns each has its own; above, each power of two has sixteen.
fn bucket(ns: u64) -> usize {
    let place = usize::try_from(ns.max(1).ilog2()).unwrap_or(0);
    if place < 4 {
        return usize::try_from(ns).unwrap_or(0);
    }
    let part = usize::try_from((ns >> (place - 4)) & 15).unwrap_or(0);
    ((place - 3) * PARTS + part).min(BUCKETS - 1)
}

/// The first duration that is too long for a bucket.
fn end(bucket: usize) -> Duration {
    let next = u64::try_from(bucket + 1).unwrap_or(u64::MAX);
    let (place, part) = (next / 16, next % 16);
    Duration::from_nanos(if place == 0 { part } else { (16 + part) << (place - 1) })
}

impl Histogram {
    /// Counts one.
    pub fn add(&self, took: Duration) {
        let ns = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        self.buckets[bucket(ns)].fetch_add(1, Relaxed);
        self.sum_ns.fetch_add(ns, Relaxed);
        self.most_ns.fetch_max(ns, Relaxed);
    }

    /// As it is now. What is added meanwhile may be in it or not.
    pub fn read(&self) -> Distribution {
        Distribution {
            counts: self.buckets.iter().map(|bucket| bucket.load(Relaxed)).collect(),
            sum: Duration::from_nanos(self.sum_ns.load(Relaxed)),
            most: Duration::from_nanos(self.most_ns.load(Relaxed)),
        }
    }
}

/// How durations were distributed.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Distribution {
    counts: Vec<u64>,
    /// Of all.
    pub sum: Duration,
    /// The longest.
    pub most: Duration,
}

impl fmt::Debug for Distribution {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: p50 {:?}, p99 {:?}, most {:?}", self.count(), self.at(0.5), self.at(0.99), self.most)
    }
}

impl Distribution {
    /// How many.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// The duration that a part of them, 0 to 1, does not exceed; at most a sixteenth too long. Zero of none.
    pub fn at(&self, part: f64) -> Duration {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to the count")]
        let rank = ((part * self.count() as f64).ceil() as u64).max(1);
        let mut so_far = 0;
        let found = self.counts.iter().position(|count| {
            so_far += count;
            so_far >= rank
        });
        found.map_or(Duration::ZERO, |bucket| end(bucket).min(self.most))
    }

    /// How many took no longer than this, to a sixteenth.
    pub fn within(&self, limit: Duration) -> u64 {
        let counts = self.counts.iter().enumerate();
        counts.take_while(|(bucket, _)| end(*bucket) <= limit + limit / 16).map(|(_, count)| count).sum()
    }

    /// These as well.
    pub fn add(&mut self, others: &Self) {
        self.counts.resize(self.counts.len().max(others.counts.len()), 0);
        self.counts.iter_mut().zip(&others.counts).for_each(|(count, others)| *count += others);
        self.sum += others.sum;
        self.most = self.most.max(others.most);
    }

    /// Each duration up to which a part of them, 0 to 1, is not longer.
    pub fn steps(&self) -> impl Iterator<Item = (Duration, f64)> {
        let (all, mut so_far) = (self.count().max(1), 0);
        self.counts.iter().enumerate().filter(|(_, count)| **count > 0).map(move |(bucket, count)| {
            so_far += count;
            (end(bucket).min(self.most), so_far as f64 / all as f64)
        })
    }

    /// What came since an earlier reading of the same.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let before = |bucket| earlier.counts.get(bucket).copied().unwrap_or(0);
        let counts: Vec<_> =
            self.counts.iter().enumerate().map(|(n, count)| count.saturating_sub(before(n))).collect();
        // The longest of all may be from before: then it is known as well as its bucket.
        let longest = counts.iter().rposition(|count| *count > 0).map_or(Duration::ZERO, end);
        Self { counts, sum: self.sum.saturating_sub(earlier.sum), most: self.most.min(longest) }
    }
}

macro_rules! stages {
    ($($(#[doc = $about:literal])+ $stage:ident $word:literal;)*) => {
        /// What is timed.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Stage {
            $($(#[doc = $about])+ $stage,)*
        }

        impl Stage {
            /// Every one.
            pub const ALL: &[Self] = &[$(Self::$stage,)*];

            /// As programs call it.
            pub fn word(self) -> &'static str {
                match self {
                    $(Self::$stage => $word,)*
                }
            }
        }
    };
}

stages! {
    /// A message through the gateway.
    Command "command";
    /// From a move's arrival at the gateway until the write that begins it is on the bus.
    CommandToBus "command_to_bus";
    /// From a stop's arrival at the gateway until the motor has been told to brake.
    StopToBus "stop_to_bus";
    /// From the last look that saw a motor moving to the one that saw it stand: its end was in between.
    MoveEnd "move_end";
    /// From a fall of the motor drivers' line until the look that saw a motor stand: only of moves whose end was so told.
    MoveCalled "move_called";
    /// From the end of settling to the begin of the exposure, or of its light: the wait for the camera. In a flow it is from
    /// the end of the light before.
    SettledToExposure "settled_to_exposure";
    /// From the exposure's end until the write that begins the next move is on the bus.
    ExposureToMove "exposure_to_move";
    /// From the exposure's end until the frame is durably on disk.
    ExposureToDurable "exposure_to_durable";
    /// How long an acquisition waited because three frames were not on disk yet.
    WaitForDisk "wait_for_disk";
    /// How late an alarm of the hardware thread rang.
    Alarm "alarm";
    /// A frame through an encoder: develop, compress, digest.
    Encode "encode";
    /// A look at two frames while the water comes to rest, or what follows from all of them.
    Study "study";
    /// A job of the recorder: write, sync, rename.
    Record "record";
    /// A picture for viewers.
    Preview "preview";
}

/// What is counted and should not happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Miss {
    /// A frame could have begun earlier.
    FrameStart,
    /// A frame was lost, or exposed in motion.
    Frame,
    /// An alarm rang more than [`LATE`] late.
    Alarm,
    /// A handler took longer than [`LONGEST_HANDLER`].
    Handler,
}

impl Miss {
    /// Every one.
    pub const ALL: [Self; 4] = [Self::FrameStart, Self::Frame, Self::Alarm, Self::Handler];

    /// As programs call it.
    pub fn word(self) -> &'static str {
        match self {
            Self::FrameStart => "frame_starts",
            Self::Frame => "frames",
            Self::Alarm => "alarms",
            Self::Handler => "handlers",
        }
    }
}

/// An alarm that is later than that is told.
pub const LATE: Duration = Duration::from_millis(1);
/// A handler that takes longer keeps others waiting. The longest is the one that begins a move: 12 datagrams of 40 bits, of which a
/// board's bus takes half a millisecond at 1 MHz.
pub const LONGEST_HANDLER: Duration = Duration::from_millis(1);

/// All that is measured in one instrument; clones are the same one.
#[derive(Clone, Debug, Default)]
pub struct Timings(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    stages: [Histogram; Stage::ALL.len()],
    misses: [AtomicU64; Miss::ALL.len()],
    /// Locked when a handler is made and when somebody reads, never to add.
    handlers: Mutex<Vec<(String, Timer)>>,
}

/// Times one handler.
#[derive(Clone, Debug)]
pub struct Timer(Arc<Histogram>);

impl Timings {
    /// Counts how long something took.
    pub fn add(&self, stage: Stage, took: Duration) {
        self.0.stages[stage as usize].add(took);
    }

    /// Counts what should not have happened.
    pub fn missed(&self, what: Miss, times: u64) {
        self.0.misses[what as usize].fetch_add(times, Relaxed);
    }

    /// The timer of a handler of this name: the same for the same name.
    pub fn handler(&self, name: String) -> Timer {
        let mut handlers = self.0.handlers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, timer)) = handlers.iter().find(|(own, _)| *own == name) {
            return timer.clone();
        }
        let timer = Timer(Arc::default());
        handlers.push((name, timer.clone()));
        timer
    }

    /// Counts a run of a handler.
    pub(crate) fn handled(&self, timer: &Timer, took: Duration) {
        timer.0.add(took);
        if took > LONGEST_HANDLER {
            self.missed(Miss::Handler, 1);
        }
    }

    /// Counts how late an alarm rang.
    pub(crate) fn rang(&self, due: Instant, now: Instant) {
        self.add(Stage::Alarm, now - due);
        if now - due > LATE {
            self.missed(Miss::Alarm, 1);
        }
    }

    /// As it is now.
    pub fn read(&self) -> Reading {
        let handlers = self.0.handlers.lock().unwrap_or_else(PoisonError::into_inner);
        Reading {
            stages: self.0.stages.iter().map(Histogram::read).collect(),
            misses: self.0.misses.iter().map(|count| count.load(Relaxed)).collect(),
            handlers: handlers.iter().map(|(name, timer)| (name.clone(), timer.0.read())).collect(),
        }
    }
}

/// All that was measured, at some time or between two times.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reading {
    stages: Vec<Distribution>,
    misses: Vec<u64>,
    /// Handlers by name.
    pub handlers: Vec<(String, Distribution)>,
}

impl Reading {
    /// How long a stage took.
    pub fn stage(&self, stage: Stage) -> &Distribution {
        &self.stages[stage as usize]
    }

    /// How often something happened that should not.
    pub fn misses(&self, what: Miss) -> u64 {
        self.misses[what as usize]
    }

    /// The handler that took longest, and how long.
    pub fn longest_handler(&self) -> Option<(&str, Duration)> {
        let longest = self.handlers.iter().max_by_key(|(_, times)| times.most)?;
        Some((&longest.0, longest.1.most))
    }

    /// What came since an earlier reading.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let before =
            |name: &str| earlier.handlers.iter().find(|(own, _)| own == name).map(|(_, times)| times);
        let none = Distribution::default();
        Self {
            stages: self.stages.iter().zip(&earlier.stages).map(|(now, then)| now.since(then)).collect(),
            misses: self.misses.iter().zip(&earlier.misses).map(|(now, then)| now - then).collect(),
            handlers: self
                .handlers
                .iter()
                .map(|(name, times)| (name.clone(), times.since(before(name).unwrap_or(&none))))
                .collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn us(us: u64) -> Duration {
        Duration::from_micros(us)
    }

    #[test]
    fn every_duration_has_a_bucket_that_is_at_most_a_sixteenth_too_long() {
        for ns in (0..200).chain((0..37).flat_map(|n| [(1 << n) - 1, 1 << n, (1 << n) + (1 << n) / 3])) {
            let (bucket, took) = (bucket(ns), Duration::from_nanos(ns));
            assert!(end(bucket) > took, "{ns} ns in the bucket up to {:?}", end(bucket));
            assert!(bucket == 0 || end(bucket - 1) <= took, "{ns} ns");
            assert!(end(bucket) <= took + took / 16 + Duration::from_nanos(1), "{ns} ns: {:?}", end(bucket));
        }
        assert_eq!(bucket(u64::MAX), BUCKETS - 1);
    }

    #[test]
    fn parts_of_what_was_counted_are_found_again() {
        let histogram = Histogram::default();
        assert_eq!(histogram.read().at(0.5), Duration::ZERO);
        (1..=1_000).for_each(|n| histogram.add(us(n)));
        let read = histogram.read();
        assert_eq!((read.count(), read.most), (1_000, us(1_000)));
        for (part, expected) in [(0.5, 500), (0.99, 990), (1.0, 1_000)] {
            let found = read.at(part);
            assert!(found >= us(expected) && found <= us(expected + expected / 16 + 1), "{part}: {found:?}");
        }
        let within = read.within(us(500));
        assert!((470..=532).contains(&within), "{within}");
    }

    #[test]
    fn what_came_since_an_earlier_reading_is_known_alone() {
        let timings = Timings::default();
        timings.add(Stage::Record, us(5_000));
        timings.missed(Miss::Frame, 2);
        let before = timings.read();
        timings.add(Stage::Record, us(100));
        timings.missed(Miss::Frame, 1);
        timings.handled(&timings.handler("pump: order".into()), us(1_100));
        let since = timings.read().since(&before);
        let record = since.stage(Stage::Record);
        assert_eq!((record.count(), record.sum), (1, us(100)));
        assert!(record.most >= us(100) && record.most < us(110), "{record:?}");
        assert_eq!((since.misses(Miss::Frame), since.misses(Miss::Handler)), (1, 1));
        assert_eq!(since.longest_handler(), Some(("pump: order", us(1_100))));
    }
}
