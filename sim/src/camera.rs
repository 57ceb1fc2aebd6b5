//! A camera that free-runs: frame n of a stream begins n cadences after the first. It looks back at the world, never
//! ahead, and keeps no pixels: who takes a frame in time gets everything that rendering it needs.

use crate::chips::imx477::Sensor;
use crate::faults::Fault as Broken;
use crate::random::scrambled;
use crate::scene::{BLANK, Format};
use crate::world::{World, lock};
use planktor_drivers::devices::camera::{Camera, Prediction};
use planktor_protocol::camera::{Frame, Mode, Settings};
use planktor_protocol::{Fault, Instant, Interval};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Frames that the pool holds; an older one is gone.
const POOL: u64 = 3;

pub(crate) struct TwinCamera {
    world: Arc<Mutex<World>>,
    first: Option<Instant>,
}

/// What is wrong with the frames just now.
#[derive(Default)]
struct Wrong {
    silent: bool,
    late: Duration,
    duplicated: bool,
    lost: bool,
}

impl TwinCamera {
    pub(crate) fn new(world: Arc<Mutex<World>>) -> Self {
        Self { world, first: None }
    }

    fn frame(world: &World, first: Instant, seq: u64) -> Prediction {
        let sensor = world.sensor();
        let cadence = u64::try_from(sensor.cadence().as_nanos()).unwrap_or(u64::MAX);
        let from = first + Duration::from_nanos(cadence.saturating_mul(seq));
        let to = from + sensor.takes();
        let transfer = Duration::from_secs_f64(world.settings().parameters.camera_transfer_s);
        Prediction { seq, interval: Interval { from, to }, ready: to + transfer }
    }
}

impl Camera for TwinCamera {
    /// A stream starts anew: the sensor's frames are as long as its new settings need.
    fn set(&mut self, settings: Settings) -> Result<Mode, Fault> {
        let mut world = lock(&self.world);
        world.set_camera(settings);
        self.first = self.first.map(|_| world.now() + start_up(&world));
        Ok(mode(&world))
    }

    fn open(&mut self) -> Result<Mode, Fault> {
        let world = lock(&self.world);
        self.first.get_or_insert(world.now() + start_up(&world));
        Ok(mode(&world))
    }

    fn predict(&self, not_before: Instant) -> Option<Prediction> {
        let (first, world) = (self.first?, lock(&self.world));
        let after = not_before - first;
        let seq = after.as_nanos().div_ceil(world.sensor().cadence().as_nanos());
        Some(Self::frame(&world, first, u64::try_from(seq).unwrap_or(u64::MAX)))
    }

    fn take(&mut self, seq: u64) -> Option<Frame> {
        let (first, mut world) = (self.first?, lock(&self.world));
        let wrong = Wrong::now(&world);
        // Half of the frames, by chance.
        if wrong.silent || (wrong.lost && scrambled(seq).is_multiple_of(2)) {
            return None;
        }
        let (ready, overwritten) = (
            Self::frame(&world, first, seq).ready,
            Self::frame(&world, first, seq.saturating_add(POOL)).ready,
        );
        let now = world.now();
        if now < ready + wrong.late || now >= overwritten + wrong.late {
            return None;
        }
        // A duplicate is the frame before under this one's number, with its own old time stamp.
        let seen = if wrong.duplicated { seq.saturating_sub(1) } else { seq };
        let interval = Self::frame(&world, first, seen).interval;
        Some(Frame { seq, interval, picture: world.expose(seq, interval) })
    }

    fn close(&mut self) {
        self.first = None;
    }
}

fn start_up(world: &World) -> Duration {
    Duration::from_secs_f64(world.settings().parameters.camera_start_s)
}

fn mode(world: &World) -> Mode {
    let (settings, sensor): (_, Sensor) = (world.settings(), world.sensor());
    let (width, height) = match settings.format {
        Format::Blank => BLANK,
        Format::Rgb | Format::Bayer12 | Format::Jpeg => (settings.width, settings.height),
    };
    Mode {
        width,
        height,
        cadence: sensor.cadence(),
        takes: sensor.takes(),
        exposure: sensor.exposure(),
        iso: sensor.iso(),
    }
}

impl Wrong {
    fn now(world: &World) -> Self {
        let mut wrong = Self::default();
        for (_, fault) in world.faults() {
            match fault {
                Broken::CameraSilent => wrong.silent = true,
                Broken::FramesLate { by_ms } => wrong.late = Duration::from_millis((*by_ms).into()),
                Broken::FramesDuplicated => wrong.duplicated = true,
                Broken::FramesLost => wrong.lost = true,
                _ => {}
            }
        }
        wrong
    }
}
