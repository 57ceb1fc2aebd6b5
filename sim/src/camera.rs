//! A camera that free-runs: frame n of a stream begins n cadences after the first. It looks back at the world, never
//! ahead, and keeps no pixels: who takes a frame in time gets everything that rendering it needs.

use crate::board::lock;
use crate::world::World;
use planktor_drivers::devices::camera::{Camera, Prediction};
use planktor_protocol::camera::{Frame, Mode};
use planktor_protocol::{Fault, Instant, Interval};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// A Pi 4 reads ten full frames a second.
const CADENCE: Duration = Duration::from_millis(100);
/// IMX477, 12-megapixel mode: 24,000 pixel clocks at 840 MHz.
const LINE: Duration = Duration::from_nanos(28_571);
/// Lines of that mode, whatever size the twin renders.
const LINES: u32 = 3_040;
/// 125 us are four whole lines.
const EXPOSURE: Duration = LINE.saturating_mul(4);
/// From the last line's end until the frame can be taken. Assumption.
const TRANSFER: Duration = Duration::from_millis(8);
/// From opening to the first frame. Assumption, 0.1 to 1 s.
const START_UP: Duration = Duration::from_millis(150);
/// The default, as the dashboard counts it.
const ISO: u32 = 150;
/// Frames that the pool holds; an older one is gone.
const POOL: u64 = 3;

pub(crate) struct TwinCamera {
    world: Arc<Mutex<World>>,
    first: Option<Instant>,
}

impl TwinCamera {
    pub(crate) fn new(world: Arc<Mutex<World>>) -> Self {
        Self { world, first: None }
    }

    fn now(&self) -> Instant {
        lock(&self.world).now()
    }

    fn frame(first: Instant, seq: u64) -> Prediction {
        let cadence = u64::try_from(CADENCE.as_nanos()).unwrap_or(u64::MAX);
        let from = first + Duration::from_nanos(cadence.saturating_mul(seq));
        let to = from + LINE * (LINES - 1) + EXPOSURE;
        Prediction { seq, interval: Interval { from, to }, ready: to + TRANSFER }
    }
}

impl Camera for TwinCamera {
    fn open(&mut self) -> Result<Mode, Fault> {
        if self.first.is_none() {
            self.first = Some(self.now() + START_UP);
        }
        let world = lock(&self.world);
        let settings = world.settings();
        Ok(Mode {
            width: settings.width,
            height: settings.height,
            cadence: CADENCE,
            exposure: EXPOSURE,
            iso: ISO,
        })
    }

    fn predict(&self, not_before: Instant) -> Option<Prediction> {
        let first = self.first?;
        let after = not_before.max(self.now()) - first;
        let seq = after.as_nanos().div_ceil(CADENCE.as_nanos());
        Some(Self::frame(first, u64::try_from(seq).unwrap_or(u64::MAX)))
    }

    fn take(&mut self, seq: u64) -> Option<Frame> {
        let Prediction { interval, ready, .. } = Self::frame(self.first?, seq);
        let now = self.now();
        let overwritten = Self::frame(self.first?, seq.saturating_add(POOL)).ready;
        if now < ready || now >= overwritten {
            return None;
        }
        let mut world = lock(&self.world);
        Some(Frame { seq, interval, picture: world.expose(seq, interval, EXPOSURE) })
    }

    fn close(&mut self) {
        self.first = None;
    }
}
