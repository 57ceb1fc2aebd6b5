//! The camera's thread.
//!
//! After a time-out a stream of v4l 0.14 is unusable (its buffer is queued already), so everything but a frame ends it, and
//! it is made anew, twice at most without a frame between.

use super::Settings;
use super::device::Device;
use super::pool::Pool;
use super::sensor::Ability;
use super::timing::{Stamp, Timing};
use crate::Clock;
use crate::clock::Monotonic;
use crate::linux::front::{self, START_UP, Shared, Threaded, Wanted, fault, silence};
use planktor_protocol::camera::{self, Mode};
use planktor_protocol::plan::POOL;
use planktor_protocol::{Fault, Instant};
use v4l::buffer::{Flags, Metadata};
use v4l::io::traits::CaptureStream;

/// A stream is made anew so often without a frame between.
const MOST_RESTARTS: u32 = 2;

/// Begins to open it, on a thread of its own; [`Camera::ready`](crate::devices::camera::Camera::ready) says when it is open,
/// or why it cannot be.
///
/// # Errors
/// [`Fault::NotOpen`]: the computer has no room for another thread.
pub fn open(settings: &Settings) -> Result<Threaded, Fault> {
    let theirs = settings.clone();
    Threaded::open(settings.usual(), move |shared| run(shared, &theirs))
}

impl front::Ability for Ability {
    fn mode(&self, asked: &camera::Settings) -> Mode {
        Self::mode(self, &self.values(asked))
    }

    fn timing(&self, asked: &camera::Settings) -> Timing {
        Self::timing(self, &self.values(asked))
    }
}

fn run(shared: &Shared, settings: &Settings) -> Result<(), Fault> {
    let device = Device::open(settings)?;
    shared.opened(device.ability);
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
    let silence = silence(&device.ability.timing(&device.ability.values(&wanted.asked)));
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
        shared.drop_oldest();
        keep()
    });
    let (kind, stamp) = stamp(device, meta, arrived);
    shared.put(wanted, (meta.sequence, stamp), kept, |timing| timing.exposed(kind, stamp, arrived));
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
