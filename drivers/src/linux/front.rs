//! What stands in front of a camera that has a thread of its own, whatever is behind: Video4Linux or libcamera.
//!
//! ```text
//!   Opening ──opened──> Closed ──open──> Streaming ──close──> Closed
//!      │                  │                 │
//!      └──────────────────┴─────────────────┴──fault──> Lost: the thread has ended
//! ```
//!
//! Who stands in front says what is wanted, and under which number; the thread does the newest of it, when it has the frame
//! that it waits for. A frame that comes under an older number is nobody's. Nothing here waits but the thread.

use super::v4l::pool::Shot;
use super::v4l::timing::{Counted, Pace, Timing};
use crate::Clock;
use crate::clock::Monotonic;
use crate::devices::camera::{Camera, Prediction};
use crate::scheduling;
use planktor_protocol::camera::{self, Frame, Mode};
use planktor_protocol::{Fault, Instant, Interval};
use rustix::io::Errno;
use std::collections::VecDeque;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// What a camera may take until its first frame, beside the usual silence.
pub(super) const START_UP: Duration = Duration::from_secs(2);
/// A stream that gives nothing for so long, or for four frames, is silent. A busy computer may stand still for a second.
const SILENCE: Duration = Duration::from_secs(2);

/// How long a stream with this timing may give nothing.
pub(super) fn silence(timing: &Timing) -> Duration {
    SILENCE.max(timing.cadence * 4)
}

/// What an error of the kernel means.
pub(super) fn fault(error: &io::Error, doing: &'static str) -> Fault {
    match Errno::from_io_error(error) {
        Some(Errno::NODEV | Errno::NXIO) => Fault::CameraGone,
        Some(Errno::NOENT) => Fault::CameraMissing,
        Some(Errno::BUSY) => Fault::CameraBusy,
        Some(Errno::ACCESS | Errno::PERM) => Fault::CameraForbidden,
        _ if error.kind() == io::ErrorKind::TimedOut => Fault::CameraSilent,
        _ => Fault::CameraRefuses(doing),
    }
}

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

/// What an open camera can do for what is asked: the nearest.
pub(super) trait Ability: Send {
    fn mode(&self, asked: &camera::Settings) -> Mode;
    fn timing(&self, asked: &camera::Settings) -> Timing;
}

/// What both sides know.
#[derive(Default)]
pub(super) struct State {
    /// Rises with everything that is wanted.
    pub(super) number: u64,
    asked: camera::Settings,
    streams: bool,
    ends: bool,
    /// Known when it is open.
    ability: Option<Box<dyn Ability>>,
    /// Why it is lost.
    fault: Option<Fault>,
    /// While it streams.
    pace: Option<Pace>,
    /// The number that no frame has had.
    unused: u64,
    frames: VecDeque<Frame>,
    pub(super) counts: Counts,
}

impl State {
    fn ability(&self) -> Result<&dyn Ability, Fault> {
        match (&self.fault, &self.ability) {
            (Some(fault), _) => Err(*fault),
            (None, None) => Err(Fault::NotOpen),
            (None, Some(ability)) => Ok(ability.as_ref()),
        }
    }

    fn mode(&self) -> Result<Mode, Fault> {
        Ok(self.ability()?.mode(&self.asked))
    }

    /// From now on everything is of a new stream, or of none.
    pub(super) fn begin(&mut self, now: Instant) {
        if let Some(pace) = self.pace.take() {
            self.unused = pace.unused();
        }
        self.frames.clear();
        if let (true, Some(ability)) = (self.streams, &self.ability) {
            self.pace = Some(Pace::new(ability.timing(&self.asked), now, self.unused));
        }
    }
}

/// What the thread is to do.
#[derive(Clone, Copy)]
pub(super) struct Wanted {
    pub(super) number: u64,
    pub(super) asked: camera::Settings,
    pub(super) streams: bool,
}

/// Between both sides; each holds the lock for a few assignments only.
#[derive(Default)]
pub(super) struct Shared {
    state: Mutex<State>,
    news: Condvar,
}

impl Shared {
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// For the thread: the camera is open.
    pub(super) fn opened(&self, ability: impl Ability + 'static) {
        self.lock().ability = Some(Box::new(ability));
    }

    /// For the thread: waits until something else is wanted than under this number; `None` at the end.
    pub(super) fn next(&self, done: Option<u64>) -> Option<Wanted> {
        let idle = |state: &mut State| !state.ends && done == Some(state.number);
        let state = self.news.wait_while(self.lock(), idle).unwrap_or_else(PoisonError::into_inner);
        let State { number, asked, streams, .. } = *state;
        (!state.ends).then_some(Wanted { number, asked, streams })
    }

    /// For the thread: a frame came, with the driver's number and stamp of it, and was kept unless there was no room.
    pub(super) fn put(
        &self,
        wanted: &Wanted,
        (driver, stamp): (u32, Instant),
        kept: Option<Shot>,
        exposed: impl FnOnce(Timing) -> Interval,
    ) {
        let mut state = self.lock();
        let State { number, pace: Some(pace), counts, frames, .. } = &mut *state else { return };
        if *number != wanted.number {
            return;
        }
        let interval = exposed(pace.timing());
        match pace.count(driver, stamp, interval, Monotonic.now()) {
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

    /// For the thread: the oldest frame's buffer is needed.
    pub(super) fn drop_oldest(&self) {
        drop(self.lock().frames.pop_front());
    }

    /// Something else is wanted.
    fn want(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.lock();
        change(&mut state);
        state.number += 1;
        self.news.notify_one();
    }
}

/// A camera with a thread of its own.
pub struct Threaded {
    shared: Arc<Shared>,
    usual: camera::Settings,
}

impl Threaded {
    /// Begins to open it; [`Camera::ready`] says when it is open, or why it cannot be.
    pub(super) fn open(
        usual: camera::Settings,
        run: impl FnOnce(&Shared) -> Result<(), Fault> + Send + 'static,
    ) -> Result<Self, Fault> {
        let shared = Arc::new(Shared::default());
        shared.lock().asked = usual;
        let theirs = shared.clone();
        let thread = std::thread::Builder::new().name("camera".into());
        thread.spawn(move || live(&theirs, run)).map_err(|_| Fault::NotOpen)?;
        Ok(Self { shared, usual })
    }

    /// What became of the frames.
    pub fn counts(&self) -> Counts {
        self.shared.lock().counts
    }
}

/// The thread's life.
fn live(shared: &Shared, run: impl FnOnce(&Shared) -> Result<(), Fault>) {
    scheduling::ordinary();
    let end = catch_unwind(AssertUnwindSafe(|| run(shared)));
    if let Some(fault) = end.map_or(Some(Fault::Panic), Result::err) {
        let mut state = shared.lock();
        state.fault = Some(fault);
        state.streams = false;
        state.begin(Monotonic.now());
    }
}

impl Drop for Threaded {
    fn drop(&mut self) {
        self.shared.want(|state| state.ends = true);
    }
}

impl Camera for Threaded {
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
        self.shared.lock().pace.as_ref().map(|pace| pace.predict(not_before))
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
