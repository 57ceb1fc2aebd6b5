//! A camera that free-runs: frames begin a cadence after each other, and are counted on when it is set anew. It looks back at the world, never
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
    stream: Option<Stream>,
}

/// Frames of one cadence: the first of them, and its number.
#[derive(Clone, Copy)]
struct Stream {
    begins: Instant,
    number: u64,
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
        Self { world, stream: None }
    }

    fn frame(world: &World, stream: Stream, seq: u64) -> Prediction {
        let sensor = world.sensor();
        let cadence = u64::try_from(sensor.cadence().as_nanos()).unwrap_or(u64::MAX);
        let before = seq.saturating_sub(stream.number);
        let from = stream.begins + Duration::from_nanos(cadence.saturating_mul(before));
        let to = from + sensor.takes();
        let transfer = Duration::from_secs_f64(world.settings().parameters.camera_transfer_s);
        Prediction { seq, interval: Interval { from, to }, ready: to + transfer }
    }

    /// The first frame that begins at or after an instant.
    fn first_after(world: &World, stream: Stream, then: Instant) -> u64 {
        let frames = (then - stream.begins).as_nanos().div_ceil(world.sensor().cadence().as_nanos());
        stream.number.saturating_add(u64::try_from(frames).unwrap_or(u64::MAX))
    }
}

impl Camera for TwinCamera {
    /// A stream starts anew: the sensor's frames are as long as its new settings need.
    fn set(&mut self, settings: Settings) -> Result<Mode, Fault> {
        let mut world = lock(&self.world);
        let now = world.now();
        let number = self.stream.map(|stream| Self::first_after(&world, stream, now));
        world.set_camera(settings);
        self.stream = number.map(|number| Stream { begins: now + start_up(&world), number });
        Ok(mode(&world))
    }

    fn open(&mut self) -> Result<Mode, Fault> {
        let world = lock(&self.world);
        self.stream.get_or_insert(Stream { begins: world.now() + start_up(&world), number: 0 });
        Ok(mode(&world))
    }

    fn predict(&self, not_before: Instant) -> Option<Prediction> {
        let (stream, world) = (self.stream?, lock(&self.world));
        let seq = Self::first_after(&world, stream, not_before);
        Some(Self::frame(&world, stream, seq))
    }

    fn take(&mut self, seq: u64) -> Option<Frame> {
        // What was awaited before it was set anew belongs to the stream as it was.
        let stream = self.stream.filter(|stream| seq >= stream.number)?;
        let mut world = lock(&self.world);
        let wrong = Wrong::now(&world);
        // Half of the frames, by chance.
        if wrong.silent || (wrong.lost && scrambled(seq).is_multiple_of(2)) {
            return None;
        }
        let (ready, overwritten) = (
            Self::frame(&world, stream, seq).ready,
            Self::frame(&world, stream, seq.saturating_add(POOL)).ready,
        );
        let now = world.now();
        if now < ready + wrong.late || now >= overwritten + wrong.late {
            return None;
        }
        // A duplicate is the frame before under this one's number, with its own old time stamp.
        let seen = if wrong.duplicated { seq.saturating_sub(1) } else { seq };
        let interval = Self::frame(&world, stream, seen).interval;
        Some(Frame { seq, interval, picture: world.expose(seq, interval) })
    }

    fn close(&mut self) {
        self.stream = None;
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
