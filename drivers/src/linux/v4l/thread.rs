//! The camera's thread, and what stands in front of it.
//!
//! ```text
//!   Opening ──opened──> Closed ──open──> Streaming ──close──> Closed
//!      │                  │                 │  └──silent, or an error: the stream is dropped and made anew, twice at most
//!      └──────────────────┴─────────────────┴──fault──> Lost: the thread has ended
//! ```
//!
//! Who stands in front says what is wanted, and under which number; the thread does the newest of it, when it has the frame
//! that it waits for. A frame that comes under an older number is nobody's. After a time-out a stream of v4l 0.14 is
//! unusable (its buffer is queued already), so everything but a frame ends it.

use super::Settings;
use super::device::{Device, fault};
use super::pool::Pool;
use super::sensor::Ability;
use super::timing::{Counted, Pace, Stamp};
use crate::Clock;
use crate::clock::Monotonic;
use crate::devices::camera::{Camera, Prediction};
use planktor_protocol::camera::{self, Frame, Mode};
use planktor_protocol::plan::POOL;
use planktor_protocol::{Fault, Instant};
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use v4l::buffer::{Flags, Metadata};
use v4l::io::traits::CaptureStream;

/// What a camera may take until its first frame, beside the usual silence.
const START_UP: Duration = Duration::from_secs(2);
/// A stream that gives nothing for so long, or for four frames, is silent.
const SILENCE: Duration = Duration::from_secs(1);
/// A stream is made anew so often without a frame between.
const MOST_RESTARTS: u32 = 2;

/// What became of the frames since the camera was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Put into the pool.
    pub delivered: u64,
    /// Numbers that the driver left out, those of damaged frames among them.
    pub lost: u64,
    /// Came again.
    pub duplicated: u64,
    /// Flagged by the driver, or not whole.
    pub damaged: u64,
    /// Found no room, because every buffer of the pool was still needed.
    pub crowded: u64,
    /// How often the stream was made anew because it failed.
    pub restarts: u64,
}

/// What both sides know.
#[derive(Default)]
struct State {
    /// Rises with everything that is wanted.
    number: u64,
    asked: camera::Settings,
    streams: bool,
    ends: bool,
    /// Known when it is open.
    ability: Option<Ability>,
    /// Why it is lost.
    fault: Option<Fault>,
    /// While it streams.
    pace: Option<Pace>,
    /// The number that no frame has had.
    unused: u64,
    frames: VecDeque<Frame>,
    counts: Counts,
}

impl State {
    fn ability(&self) -> Result<&Ability, Fault> {
        match (&self.fault, &self.ability) {
            (Some(fault), _) => Err(*fault),
            (None, None) => Err(Fault::NotOpen),
            (None, Some(ability)) => Ok(ability),
        }
    }

    fn mode(&self) -> Result<Mode, Fault> {
        let ability = self.ability()?;
        Ok(ability.mode(&ability.values(&self.asked)))
    }

    /// From now on everything is of a new stream, or of none.
    fn begin(&mut self, now: Instant) {
        if let Some(pace) = self.pace.take() {
            self.unused = pace.unused();
        }
        self.frames.clear();
        if let (true, Some(ability)) = (self.streams, &self.ability) {
            let timing = ability.timing(&ability.values(&self.asked));
            self.pace = Some(Pace::new(timing, now, self.unused));
        }
    }
}

/// What the thread is to do.
#[derive(Clone, Copy)]
struct Wanted {
    number: u64,
    asked: camera::Settings,
    streams: bool,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    news: Condvar,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until something else is wanted than under this number; `None` at the end.
    fn next(&self, done: Option<u64>) -> Option<Wanted> {
        let idle = |state: &mut State| !state.ends && done == Some(state.number);
        let state = self.news.wait_while(self.lock(), idle).unwrap_or_else(PoisonError::into_inner);
        let State { number, asked, streams, .. } = *state;
        (!state.ends).then_some(Wanted { number, asked, streams })
    }

    /// Something else is wanted.
    fn want(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.lock();
        change(&mut state);
        state.number += 1;
        self.news.notify_one();
    }
}

/// A camera behind Video4Linux.
pub struct V4l {
    shared: Arc<Shared>,
    usual: camera::Settings,
}

impl V4l {
    /// Begins to open it, on a thread of its own; [`Camera::ready`] says when it is open, or why it cannot be.
    ///
    /// # Errors
    /// [`Fault::NotOpen`]: the computer has no room for another thread.
    pub fn open(settings: &Settings) -> Result<Self, Fault> {
        let usual = settings.usual();
        let shared = Arc::new(Shared::default());
        shared.lock().asked = usual;
        let (theirs, settings) = (shared.clone(), settings.clone());
        let thread = std::thread::Builder::new().name("camera".into());
        thread.spawn(move || live(&theirs, &settings)).map_err(|_| Fault::NotOpen)?;
        Ok(Self { shared, usual })
    }

    /// What became of the frames.
    pub fn counts(&self) -> Counts {
        self.shared.lock().counts
    }
}

impl Drop for V4l {
    fn drop(&mut self) {
        self.shared.want(|state| state.ends = true);
    }
}

impl Camera for V4l {
    fn ready(&self) -> Result<bool, Fault> {
        match self.shared.lock().ability() {
            Ok(_) => Ok(true),
            Err(Fault::NotOpen) => Ok(false),
            Err(fault) => Err(fault),
        }
    }

    /// A stream starts anew, so that no frame is half of the one and half of the other.
    fn set(&mut self, settings: camera::Settings) -> Result<Mode, Fault> {
        let asked = settings.over(self.usual);
        self.shared.want(|state| {
            state.asked = asked;
            state.begin(Monotonic.now());
        });
        self.shared.lock().mode()
    }

    fn open(&mut self) -> Result<Mode, Fault> {
        let mode = self.shared.lock().mode()?;
        if !self.shared.lock().streams {
            self.shared.want(|state| {
                state.streams = true;
                state.begin(Monotonic.now());
            });
        }
        Ok(mode)
    }

    fn predict(&self, not_before: Instant) -> Option<Prediction> {
        let now = Monotonic.now();
        self.shared.lock().pace.as_ref().map(|pace| pace.predict(not_before.max(now)))
    }

    fn take(&mut self, seq: u64) -> Option<Frame> {
        let frames = &mut self.shared.lock().frames;
        while frames.front().is_some_and(|frame| frame.seq < seq) {
            frames.pop_front();
        }
        if frames.front().is_some_and(|frame| frame.seq == seq) { frames.pop_front() } else { None }
    }

    fn close(&mut self) {
        self.shared.want(|state| {
            state.streams = false;
            state.begin(Monotonic.now());
        });
    }
}

/// The thread's life.
fn live(shared: &Shared, settings: &Settings) {
    let end = catch_unwind(AssertUnwindSafe(|| run(shared, settings)));
    if let Some(fault) = end.map_or(Some(Fault::Panic), Result::err) {
        let mut state = shared.lock();
        state.fault = Some(fault);
        state.streams = false;
        state.begin(Monotonic.now());
    }
}

fn run(shared: &Shared, settings: &Settings) -> Result<(), Fault> {
    let device = Device::open(settings)?;
    shared.lock().ability = Some(device.ability);
    let mut done = None;
    while let Some(wanted) = shared.next(done) {
        device.set(&wanted.asked, &device.ability.values(&wanted.asked))?;
        if wanted.streams {
            stream(shared, &device, &wanted)?;
        }
        done = Some(wanted.number);
    }
    Ok(())
}

/// Streams until something else is wanted.
fn stream(shared: &Shared, device: &Device, wanted: &Wanted) -> Result<(), Fault> {
    let mut barren = 0;
    loop {
        let before = shared.lock().counts.delivered;
        let Err(fault) = frames(shared, device, wanted) else { return Ok(()) };
        let mut state = shared.lock();
        if state.number != wanted.number {
            return Ok(());
        }
        barren = if state.counts.delivered > before { 1 } else { barren + 1 };
        if fault == Fault::CameraGone || barren > MOST_RESTARTS {
            return Err(fault);
        }
        state.counts.restarts += 1;
        state.begin(Monotonic.now());
    }
}

/// One stream: memory, buffers, frames.
fn frames(shared: &Shared, device: &Device, wanted: &Wanted) -> Result<(), Fault> {
    let pool = Pool::new(POOL as usize, device.size);
    let mut stream = device.stream().map_err(|error| fault(&error, "its buffers"))?;
    let cadence = device.ability.timing(&device.ability.values(&wanted.asked)).cadence;
    let silence = SILENCE.max(cadence * 4);
    stream.set_timeout(silence + START_UP);
    loop {
        let (bytes, meta) = stream.next().map_err(|error| fault(&error, "to stream"))?;
        let arrived = Monotonic.now();
        if shared.lock().number != wanted.number {
            return Ok(());
        }
        let used = (meta.bytesused as usize).min(bytes.len());
        put(shared, device, wanted, &pool, &bytes[..used], meta, arrived);
        stream.set_timeout(silence);
    }
}

/// Puts a frame into the pool, if it is one.
fn put(
    shared: &Shared,
    device: &Device,
    wanted: &Wanted,
    pool: &Pool,
    bytes: &[u8],
    meta: &Metadata,
    arrived: Instant,
) {
    let whole = device.shape.whole(bytes).filter(|_| !meta.flags.contains(Flags::ERROR));
    let Some(size) = whole else {
        shared.lock().counts.damaged += 1;
        return;
    };
    let keep = || pool.keep(&bytes[..size], device.shape, device.colours(&wanted.asked));
    let kept = keep().or_else(|| {
        drop(shared.lock().frames.pop_front());
        keep()
    });
    let mut state = shared.lock();
    let State { number, pace: Some(pace), counts, frames, .. } = &mut *state else { return };
    if *number != wanted.number {
        return;
    }
    let (kind, stamp) = stamp(device, meta, arrived);
    let interval = pace.timing().exposed(kind, stamp, arrived);
    match pace.count(meta.sequence, stamp, interval, Monotonic.now()) {
        Counted::Duplicate => counts.duplicated += 1,
        Counted::New { seq, lost } => {
            counts.lost += lost;
            match kept {
                None => counts.crowded += 1,
                Some(shot) => {
                    counts.delivered += 1;
                    frames.push_back(Frame { seq, interval, picture: Arc::new(shot) });
                }
            }
        }
    }
}

/// What a buffer's time stamp is the time of, and the stamp. One of another clock is none: then the arrival is.
fn stamp(device: &Device, meta: &Metadata, arrived: Instant) -> (Stamp, Instant) {
    let stamp = u64::try_from(meta.timestamp.sec).unwrap_or(0) * 1_000_000_000
        + u64::try_from(meta.timestamp.usec).unwrap_or(0) * 1_000;
    let monotonic = meta.flags & Flags::TIMESTAMP_MASK == Flags::TIMESTAMP_MONOTONIC;
    let flagged = match meta.flags & Flags::TSTAMP_SRC_MASK {
        source if source == Flags::TSTAMP_SRC_SOE => Stamp::Start,
        _ => Stamp::End,
    };
    match device.stamp.unwrap_or(flagged) {
        kind if monotonic && kind != Stamp::Arrival => (kind, Instant::from_nanos(stamp)),
        _ => (Stamp::Arrival, arrived),
    }
}
