//! A camera behind libcamera, as a Raspberry Pi's CSI camera is.
//!
//! libcamera lives on a thread of its own, from [`Csi::open`] until the camera is dropped; a process has it once.
//! Streaming, four requests go round: each takes exposure, gain and white balance along, comes back with a frame and
//! what that was really taken with, and goes out again as soon as its pixels are copied into the pool.
//!
//! **When a frame was true.** `SensorTimestamp` is documented as the time when the first line is exposed; on a Pi it is
//! when the receiver sees the frame begin. A line is sent once it has been exposed, so that is the *end* of the first
//! line's exposure (raspberrypi/picamera2, issue 821), and the first line began an `ExposureTime` earlier. The last line
//! ends a read-out later. No control tells how long that is, but no frame is shorter: the shortest one that the mode
//! can is taken for it (a Pi 4 at 12 megapixels: 100 ms instead of 87). The stamp is documented to count from the boot,
//! sleep included (`CLOCK_BOOTTIME`), but is passed on from V4L2, which leaves sleep out (`CLOCK_MONOTONIC`): the same on
//! a computer that never sleeps. A stamp that lies in the future, or seconds ago, is not believed, and its frame dropped.
//!
//! **Left out:** the sensor's own samples (so no DNG), formats other than RGB, and buffers from the DMA heap, which a
//! Pi's processor would read faster.

mod pool;
mod ranges;

use super::unopened;
use crate::Clock;
use crate::clock::Monotonic;
use crate::devices::camera::{Camera, Prediction};
use crossbeam_channel::{Receiver, Sender, bounded, select};
use libcamera::camera::{ActiveCamera, CameraConfiguration, CameraConfigurationStatus};
use libcamera::camera_manager::CameraManager;
use libcamera::controls::{ExposureTime, FrameDuration, SensorTimestamp};
use libcamera::framebuffer::{AsFrameBuffer, FrameMetadataStatus};
use libcamera::framebuffer_allocator::{FrameBuffer, FrameBufferAllocator};
use libcamera::framebuffer_map::MemoryMappedFrameBuffer;
use libcamera::geometry::Size;
use libcamera::pixel_format::PixelFormat;
use libcamera::properties::Model;
use libcamera::request::{Request, RequestStatus, ReuseFlag};
use libcamera::stream::StreamRole;
use planktor_protocol::camera::{Frame, Image, Mode, Picture, Pixels, Settings};
use planktor_protocol::{Fault, Instant, Interval};
use pool::{Pace, Pool};
use ranges::{Ranges, micros};
use serde::Deserialize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

/// One is exposed, one is read out, one is made a picture of, one is copied.
const REQUESTS: u32 = 4;
/// Red, green, blue, in this order in memory (Linux, drm_fourcc.h: `DRM_FORMAT_BGR888`).
const RGB: PixelFormat = PixelFormat::new(u32::from_le_bytes(*b"BG24"), 0);
/// So long may it take to find the camera and to set it up.
const SET_UP: Duration = Duration::from_secs(10);
/// A stream that gives nothing for so long, and for four frames, has ended.
const SILENT: Duration = Duration::from_secs(2);
/// No frame is believed to be older.
const OLDEST: Duration = Duration::from_secs(10);
/// Requests that are under way when the settings change bring frames that were taken as before. After so many frames
/// the camera is taken as it is.
const ADJUSTING: u32 = 12;
/// Orders that wait for the camera's thread, which takes each at once.
const ORDERS: usize = 8;
const CAMERA: &str = "the camera";

/// libcamera ends the program that starts it a second time.
static ONCE: Mutex<()> = Mutex::new(());

/// Which camera, and how large its pictures are; a table of the board's file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Choice {
    /// Part of its model (`imx477`) or of its libcamera name; the first that has it. Empty: the first of all.
    pub name: String,
    /// Pixels across; with `height`. What the camera can that comes nearest to it; by default all it has.
    pub width: Option<u32>,
    /// Lines.
    pub height: Option<u32>,
}

/// A camera behind libcamera.
#[derive(Debug)]
pub struct Csi {
    orders: Sender<Order>,
    pool: Arc<Mutex<Pool>>,
    ranges: Ranges,
    settings: Settings,
}

#[derive(Debug)]
enum Order {
    /// Stream, and so from now on.
    Stream(Settings),
    Close,
}

impl Csi {
    /// Finds it and sets it up. Waits for that, ten seconds at most.
    ///
    /// # Errors
    /// There is none ([`Fault::Missing`]), another program has it, it has no RGB, or libcamera does not answer.
    pub fn open(choice: Choice) -> Result<Self, Fault> {
        let (orders, ordered) = bounded(ORDERS);
        let (answer, answered) = bounded(1);
        let pool = Arc::new(Mutex::new(Pool::default()));
        let filled = pool.clone();
        thread::Builder::new()
            .name("camera".into())
            .spawn(move || serve(&choice, &answer, &ordered, &filled))
            .map_err(|error| unopened(CAMERA, &error))?;
        let ranges = answered.recv_timeout(SET_UP).map_err(|_| Fault::NoAnswer)??;
        Ok(Self { orders, pool, ranges, settings: Settings::default() })
    }

    fn stream(&self) -> Result<Mode, Fault> {
        let mode = self.ranges.mode(self.settings);
        let mut pool = lock(&self.pool);
        pool.ended()?;
        self.orders.try_send(Order::Stream(self.settings)).map_err(|_| Fault::NoAnswer)?;
        pool.begin(Monotonic.now(), &mode);
        Ok(mode)
    }
}

impl Camera for Csi {
    fn set(&mut self, settings: Settings) -> Result<Mode, Fault> {
        self.settings = settings;
        if lock(&self.pool).streams() { self.stream() } else { Ok(self.ranges.mode(settings)) }
    }

    fn open(&mut self) -> Result<Mode, Fault> {
        self.stream()
    }

    fn predict(&self, not_before: Instant) -> Option<Prediction> {
        lock(&self.pool).predict(not_before.max(Monotonic.now()))
    }

    fn take(&mut self, seq: u64) -> Option<Frame> {
        lock(&self.pool).take(seq)
    }

    fn close(&mut self) {
        lock(&self.pool).stop();
        // Full only if the thread hangs; then nothing streams, either.
        let _ = self.orders.try_send(Order::Close);
    }
}

/// Both hold it for a few assignments only.
fn lock(pool: &Mutex<Pool>) -> MutexGuard<'_, Pool> {
    pool.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The camera's thread.
fn serve(choice: &Choice, answer: &Sender<Result<Ranges, Fault>>, orders: &Receiver<Order>, pool: &Mutex<Pool>) {
    let _once = ONCE.lock().unwrap_or_else(PoisonError::into_inner);
    let served = CameraManager::new().map_err(|error| unopened(CAMERA, &error)).and_then(|manager| {
        let mut eye = Eye::find(&manager, choice, pool)?;
        // Whoever asked may have given up.
        answer.try_send(Ok(eye.ranges)).map_err(|_| Fault::NoAnswer)?;
        eye.serve(orders)
    });
    if let Err(fault) = served {
        lock(pool).end(fault);
        // Has been answered, unless it could not be set up.
        let _ = answer.try_send(Err(fault));
    }
}

/// A camera that is set up.
struct Eye<'a> {
    camera: ActiveCamera<'a>,
    configuration: CameraConfiguration,
    ranges: Ranges,
    pool: &'a Mutex<Pool>,
}

type Buffer = MemoryMappedFrameBuffer<FrameBuffer>;

impl<'a> Eye<'a> {
    fn find(manager: &CameraManager, choice: &Choice, pool: &'a Mutex<Pool>) -> Result<Self, Fault> {
        let cameras = manager.cameras();
        let named = |camera: &libcamera::camera::Camera<'_>| {
            let model = camera.properties().get::<Model>().map(|model| model.0).unwrap_or_default();
            camera.id().contains(&choice.name) || model.contains(&choice.name)
        };
        let found = (0..cameras.len()).filter_map(|n| cameras.get(n)).find(named).ok_or(Fault::Missing(CAMERA))?;
        let mut camera = found.acquire().map_err(|error| unopened(CAMERA, &error))?;
        let unfit = Fault::Unusable(CAMERA);
        let mut configuration = camera.generate_configuration(&[StreamRole::StillCapture]).ok_or(unfit)?;
        let mut wanted = configuration.get_mut(0).ok_or(unfit)?;
        wanted.set_pixel_format(RGB);
        wanted.set_buffer_count(REQUESTS);
        if let (Some(width), Some(height)) = (choice.width, choice.height) {
            wanted.set_size(Size { width, height });
        }
        if let CameraConfigurationStatus::Invalid = configuration.validate() {
            return Err(unfit);
        }
        camera.configure(&mut configuration).map_err(|error| unopened(CAMERA, &error))?;
        let had = configuration.get(0).ok_or(unfit)?;
        if had.get_pixel_format() != RGB {
            return Err(unfit);
        }
        let size = had.get_size();
        // Ranges are the mode's, so they are asked for when it is set.
        let ranges = Ranges::of(camera.controls(), size.width, size.height);
        drop(had);
        Ok(Self { camera, configuration, ranges, pool })
    }

    /// Until nobody holds the camera any more.
    fn serve(&mut self, orders: &Receiver<Order>) -> Result<(), Fault> {
        while let Ok(order) = orders.recv() {
            match order {
                Order::Stream(settings) => self.stream(settings, orders)?,
                Order::Close => {}
            }
        }
        Ok(())
    }

    /// Until it is to close. Frames and their memory are gone then.
    fn stream(&mut self, mut settings: Settings, orders: &Receiver<Order>) -> Result<(), Fault> {
        let unfit = Fault::Unusable(CAMERA);
        let failed = |error: std::io::Error| unopened(CAMERA, &error);
        let (stream, stride) = {
            let configured = self.configuration.get(0).ok_or(unfit)?;
            (configured.stream().ok_or(unfit)?, configured.get_stride())
        };
        let buffers = FrameBufferAllocator::new(&self.camera).alloc(&stream).map_err(failed)?;
        let (done, completed) = bounded(buffers.len());
        let (left, gone) = bounded(1);
        // There is room for all there are; with nobody to receive it, the stream is over.
        self.camera.on_request_completed(move |request| drop(done.try_send(request)));
        self.camera.on_disconnected(move || drop(left.try_send(())));
        self.camera.start(None).map_err(failed)?;
        for buffer in buffers {
            let mut request = self.camera.create_request(None).ok_or(unfit)?;
            request.add_buffer(&stream, Buffer::new(buffer).map_err(|_| unfit)?).map_err(failed)?;
            self.queue(request, settings)?;
        }
        let mut seen = Seen { adjusting: ADJUSTING, last: None };
        let ended = loop {
            let patience = SILENT + self.ranges.mode(settings).cadence * REQUESTS;
            select! {
                recv(orders) -> order => match order {
                    Ok(Order::Stream(new)) => {
                        settings = new;
                        seen.adjusting = ADJUSTING;
                    }
                    Ok(Order::Close) | Err(_) => break Ok(()),
                },
                recv(completed) -> request => {
                    let Ok(mut request) = request else { break Err(Fault::CameraSilent) };
                    if let Some(buffer) = request.buffer::<Buffer>(&stream) {
                        self.look(&request, buffer, stride, settings, &mut seen);
                    }
                    request.reuse(ReuseFlag::REUSE_BUFFERS);
                    if let Err(fault) = self.queue(request, settings) {
                        break Err(fault);
                    }
                },
                recv(gone) -> _ => break Err(Fault::Missing(CAMERA)),
                default(patience) => break Err(Fault::CameraSilent),
            }
        };
        let stopped = self.camera.stop().map_err(failed);
        ended.and(stopped)
    }

    fn queue(&self, mut request: Request, settings: Settings) -> Result<(), Fault> {
        self.ranges.tell(settings, request.controls_mut());
        self.camera.queue_request(request).map_err(|(_, error)| unopened(CAMERA, &error))
    }

    /// Puts the frame into the pool, if it is one.
    fn look(&self, request: &Request, buffer: &Buffer, stride: u32, settings: Settings, seen: &mut Seen) {
        let now = Monotonic.now();
        let Some(taken) = Taken::by(request, buffer).filter(|taken| now - taken.stamp < OLDEST && taken.stamp <= now)
        else {
            return;
        };
        let cadence = taken.cadence.or_else(|| seen.cadence(&taken)).unwrap_or(self.ranges.mode(settings).cadence);
        seen.last = Some((taken.seq, taken.stamp));
        if seen.adjusting > 0 && !taken.fits(self.ranges.exposure(settings)) {
            seen.adjusting -= 1;
            return;
        }
        seen.adjusting = 0;
        let Some(picture) = copied(buffer, self.ranges, stride) else { return };
        let from = taken.stamp - taken.exposure.unwrap_or(cadence);
        let interval = Interval { from, to: taken.stamp + self.ranges.read_out(cadence) };
        let pace = Pace { seq: taken.seq, interval, cadence, late: Monotonic.now() - interval.to };
        lock(self.pool).put(Frame { seq: taken.seq, interval, picture: Arc::new(picture) }, pace);
    }
}

/// What is remembered from frame to frame.
struct Seen {
    /// So many frames may still be as before the settings changed.
    adjusting: u32,
    last: Option<(u64, Instant)>,
}

impl Seen {
    /// From one frame's start to the next one's, by their stamps.
    fn cadence(&self, taken: &Taken) -> Option<Duration> {
        let (seq, stamp) = self.last?;
        let frames = u32::try_from(taken.seq.checked_sub(seq)?).ok()?;
        (taken.stamp - stamp).checked_div(frames)
    }
}

/// What a request says of its frame.
struct Taken {
    seq: u64,
    /// When its first line had been exposed.
    stamp: Instant,
    exposure: Option<Duration>,
    cadence: Option<Duration>,
}

impl Taken {
    fn by(request: &Request, buffer: &Buffer) -> Option<Self> {
        let (whole, said) = (buffer.metadata()?, request.metadata());
        if request.status() != RequestStatus::Complete || whole.status() != FrameMetadataStatus::Success {
            return None;
        }
        Some(Self {
            seq: whole.sequence().into(),
            stamp: Instant::from_nanos(u64::try_from(said.get::<SensorTimestamp>().ok()?.0).ok()?),
            exposure: said.get::<ExposureTime>().ok().map(|exposure| micros(exposure.0.into())),
            cadence: said.get::<FrameDuration>().ok().map(|duration| micros(duration.0)),
        })
    }

    /// Whether it was taken as asked: within a line, or a twentieth.
    fn fits(&self, asked: Option<Duration>) -> bool {
        let (Some(asked), Some(had)) = (asked, self.exposure) else { return true };
        asked.abs_diff(had) <= (asked / 20).max(Duration::from_micros(50))
    }
}

/// Red, green and blue, copied.
#[derive(Debug)]
struct Rgb(Image);

impl Picture for Rgb {
    fn develop(&self) -> Pixels {
        Pixels::Rgb(self.0.clone())
    }
}

/// Without what the camera leaves at the end of each line. `None` if there is less than it should be.
fn copied(buffer: &Buffer, Ranges { width, height, .. }: Ranges, stride: u32) -> Option<Rgb> {
    let planes = buffer.data();
    let (line, stride) = (width as usize * 3, stride as usize);
    let mut rgb = Vec::with_capacity(line * height as usize);
    for y in 0..height as usize {
        rgb.extend_from_slice(planes.first()?.get(y * stride..y * stride + line)?);
    }
    Some(Rgb(Image { width, height, rgb }))
}
