//! The camera's thread.

use super::super::front::{START_UP, Shared, Threaded, Wanted, fault, silence};
use super::super::v4l::formats::{Colours, FORMATS, FourCc, Shape};
use super::super::v4l::pool::Pool;
use super::super::v4l::sensor::Known;
use super::super::v4l::timing::{Stamp, Timing};
use super::super::v4l::usual;
use super::Settings;
use super::ranges::{Ranges, micros};
use crate::Clock;
use crate::clock::Monotonic;
use crate::linux::front::Ability as _;
use crossbeam_channel::bounded;
use libcamera::camera::{ActiveCamera, Camera, CameraConfiguration, CameraConfigurationStatus};
use libcamera::camera_manager::CameraManager;
use libcamera::color_space::Range;
use libcamera::controls::{ExposureTime, SensorTimestamp};
use libcamera::framebuffer::{AsFrameBuffer, FrameMetadataStatus};
use libcamera::framebuffer_allocator::{FrameBuffer, FrameBufferAllocator};
use libcamera::framebuffer_map::MemoryMappedFrameBuffer;
use libcamera::geometry::Size;
use libcamera::pixel_format::PixelFormat;
use libcamera::properties::Model;
use libcamera::request::{Request, RequestStatus, ReuseFlag};
use libcamera::stream::StreamRole;
use planktor_protocol::plan::POOL;
use planktor_protocol::{Fault, Instant};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// One is exposed, one is read out, one is made a picture of, one is copied.
const REQUESTS: u32 = 4;
/// Frames that come before the camera is as it was set. If it still is not, it is taken as it is.
const ADJUSTING: u32 = 12;

/// libcamera ends a process that starts it a second time: a camera that is opened again waits for its old thread's end.
static ONCE: Mutex<()> = Mutex::new(());

/// Begins to open it, on a thread of its own; [`Camera::ready`](crate::devices::camera::Camera::ready) says when it is open,
/// or why it cannot be.
///
/// # Errors
/// [`Fault::NotOpen`]: the computer has no room for another thread.
pub fn open(settings: &Settings) -> Result<Threaded, Fault> {
    let theirs = settings.clone();
    Threaded::open(usual(settings.exposure_us, settings.iso), move |shared| run(shared, &theirs))
}

fn run(shared: &Shared, settings: &Settings) -> Result<(), Fault> {
    let _once = ONCE.lock().unwrap_or_else(PoisonError::into_inner);
    let manager = CameraManager::new().map_err(|error| fault(&error, "libcamera"))?;
    let mut eye = Eye::find(&manager, settings)?;
    shared.opened(eye.ranges);
    let mut done = None;
    while let Some(wanted) = shared.next(done) {
        if wanted.streams {
            eye.stream(shared, &wanted)?;
        }
        done = Some(wanted.number);
    }
    Ok(())
}

/// A camera that is set up.
struct Eye<'a> {
    camera: ActiveCamera<'a>,
    configuration: CameraConfiguration,
    ranges: Ranges,
    shape: Shape,
    /// The bytes of a buffer.
    size: usize,
    black: u16,
}

type Buffer = MemoryMappedFrameBuffer<FrameBuffer>;

enum News {
    Done(Request),
    Gone,
}

impl Eye<'_> {
    fn find(manager: &CameraManager, settings: &Settings) -> Result<Self, Fault> {
        let cameras = manager.cameras();
        let model =
            |camera: &Camera<'_>| camera.properties().get::<Model>().map(|model| model.0).unwrap_or_default();
        let named = |camera: &Camera<'_>| {
            [camera.id(), &model(camera)].iter().any(|name| name.contains(&settings.device))
        };
        let found =
            (0..cameras.len()).filter_map(|n| cameras.get(n)).find(named).ok_or(Fault::CameraMissing)?;
        let known = Known::by_name(&model(&found));
        let mut camera = found.acquire().map_err(|error| fault(&error, "to be opened"))?;
        let (mut configuration, code) = agreed(&camera, settings)?;
        camera.configure(&mut configuration).map_err(|error| fault(&error, "its mode"))?;
        let layout = FORMATS.iter().find_map(|(known, layout)| (*known == code).then_some(*layout));
        let (shape, size) = {
            let had = configuration.get(0).ok_or(Fault::CameraFormat)?;
            let Size { width, height } = had.get_size();
            let shape = Shape {
                layout: layout.ok_or(Fault::CameraFormat)?,
                width,
                height,
                stride: had.get_stride() as usize,
                full_range: had.get_color_space().is_some_and(|space| space.range == Range::Full),
            };
            (shape, had.get_frame_size() as usize)
        };
        Ok(Self {
            // They are the mode's, so they are asked for when it is set.
            ranges: Ranges::of(camera.controls(), shape.width, shape.height),
            black: known.zip(shape.bits()).map_or(0, |(known, bits)| known.black_of(bits)),
            camera,
            configuration,
            shape,
            size,
        })
    }

    /// Until something else is wanted. Buffers and their memory are gone then.
    fn stream(&mut self, shared: &Shared, wanted: &Wanted) -> Result<(), Fault> {
        let doing = "to stream";
        let stream =
            self.configuration.get(0).and_then(|had| had.stream()).ok_or(Fault::CameraRefuses(doing))?;
        let buffers = FrameBufferAllocator::new(&self.camera).alloc(&stream);
        let buffers = buffers.map_err(|error| fault(&error, "its buffers"))?;
        // Room for all there are; with nobody to receive it, the stream is over.
        let (done, news) = bounded(buffers.len() + 1);
        let gone = done.clone();
        self.camera.on_request_completed(move |request| drop(done.try_send(News::Done(request))));
        self.camera.on_disconnected(move || drop(gone.try_send(News::Gone)));
        self.camera.start(None).map_err(|error| fault(&error, doing))?;
        for buffer in buffers {
            let buffer = Buffer::new(buffer).map_err(|_| Fault::CameraRefuses("its buffers"))?;
            let mut request = self.camera.create_request(None).ok_or(Fault::CameraRefuses(doing))?;
            request.add_buffer(&stream, buffer).map_err(|error| fault(&error, "its buffers"))?;
            self.queue(request, wanted).map_err(|(_, fault)| fault)?;
        }
        let pool = Pool::new(POOL as usize, self.size);
        let silence = silence(&self.ranges.timing(&wanted.asked));
        let (mut patience, mut adjusting) = (silence + START_UP, ADJUSTING);
        // The last request stays until the stream has stopped: libcamera still looks at what it has just given back.
        let (ended, _last) = loop {
            let mut request = match news.recv_timeout(patience) {
                Ok(News::Done(request)) => request,
                Ok(News::Gone) => break (Err(Fault::CameraGone), None),
                Err(_) => break (Err(Fault::CameraSilent), None),
            };
            if shared.lock().number != wanted.number {
                break (Ok(()), Some(request));
            }
            if let Some(buffer) = request.buffer::<Buffer>(&stream) {
                self.look(shared, wanted, &pool, &request, buffer, &mut adjusting);
            }
            request.reuse(ReuseFlag::REUSE_BUFFERS);
            if let Err((request, fault)) = self.queue(request, wanted) {
                break (Err(fault), Some(request));
            }
            patience = silence;
        };
        let stopped = self.camera.stop().map_err(|error| fault(&error, "to stop"));
        ended.and(stopped)
    }

    /// What is refused comes back.
    fn queue(&self, mut request: Request, wanted: &Wanted) -> Result<(), (Request, Fault)> {
        self.ranges.tell(&wanted.asked, request.controls_mut());
        self.camera.queue_request(request).map_err(|(request, error)| (request, fault(&error, "a request")))
    }

    /// Puts the frame into the pool, if it is one, and taken as it was to be.
    fn look(
        &self,
        shared: &Shared,
        wanted: &Wanted,
        pool: &Pool,
        request: &Request,
        buffer: &Buffer,
        adjusting: &mut u32,
    ) {
        let arrived = Monotonic.now();
        let planes = buffer.data();
        let frame = Taken::by(request, buffer).and_then(|taken| {
            let bytes = planes.first()?.get(..taken.bytes)?;
            Some((&bytes[..self.shape.whole(bytes)?], taken))
        });
        let Some((bytes, taken)) = frame else {
            shared.lock().counts.damaged += 1;
            return;
        };
        if *adjusting > 0 && !taken.fits(self.ranges.timing(&wanted.asked).exposure) {
            *adjusting -= 1;
            return;
        }
        *adjusting = 0;
        let colours = Colours { black: self.black, balance: wanted.asked.balance() };
        let keep = || pool.keep(bytes, self.shape, colours);
        let kept = keep().or_else(|| {
            shared.drop_oldest();
            keep()
        });
        shared.put(wanted, (taken.seq, taken.stamp), kept, |timing| {
            let timing = Timing { exposure: taken.exposure.or(timing.exposure), ..timing };
            timing.exposed(taken.kind, taken.stamp, arrived)
        });
    }
}

/// A configuration that gives the format that is wanted, or the first of those that are understood.
fn agreed(camera: &Camera<'_>, settings: &Settings) -> Result<(CameraConfiguration, FourCc), Fault> {
    let mut configurations: Vec<_> = [StreamRole::Raw, StreamRole::StillCapture]
        .iter()
        .filter_map(|role| camera.generate_configuration(&[*role]))
        .collect();
    let offered = |configuration: &CameraConfiguration, code: FourCc| -> Option<PixelFormat> {
        let formats = configuration.get(0)?.formats().pixel_formats();
        let named = |format: &PixelFormat| {
            format.info().is_some_and(|info| info.v4l2_formats.contains(&number(code)))
        };
        formats.into_iter().find(named)
    };
    let wanted =
        FORMATS.iter().map(|(code, _)| *code).filter(|code| settings.format.is_none_or(|one| one == *code));
    let found = wanted.flat_map(|code| (0..configurations.len()).map(move |n| (n, code)));
    let mut found = found.filter_map(|(n, code)| Some((n, code, offered(&configurations[n], code)?)));
    let (n, code, format) = found.next().ok_or(Fault::CameraFormat)?;
    drop(found);
    let mut configuration = configurations.swap_remove(n);
    let mut stream = configuration.get_mut(0).ok_or(Fault::CameraFormat)?;
    stream.set_pixel_format(format);
    stream.set_buffer_count(REQUESTS);
    if let Some([width, height]) = settings.size {
        stream.set_size(Size { width, height });
    }
    let status = configuration.validate();
    let had = configuration.get(0).map(|had| had.get_pixel_format());
    if matches!(status, CameraConfigurationStatus::Invalid) || had != Some(format) {
        return Err(Fault::CameraFormat);
    }
    Ok((configuration, code))
}

/// As V4L2 and libcamera have a name of four characters.
fn number(FourCc(code): FourCc) -> u32 {
    u32::from_le_bytes(code)
}

/// What a request says of its frame.
struct Taken {
    /// The driver's number.
    seq: u32,
    kind: Stamp,
    stamp: Instant,
    exposure: Option<Duration>,
    bytes: usize,
}

impl Taken {
    fn by(request: &Request, buffer: &Buffer) -> Option<Self> {
        let (frame, said) = (buffer.metadata()?, request.metadata());
        if request.status() != RequestStatus::Complete || frame.status() != FrameMetadataStatus::Success {
            return None;
        }
        let stamp = said.get::<SensorTimestamp>().ok().and_then(|stamp| u64::try_from(stamp.0).ok());
        Some(Self {
            seq: frame.sequence(),
            kind: if stamp.is_some() { Stamp::ReadOut } else { Stamp::Arrival },
            stamp: Instant::from_nanos(stamp.unwrap_or(0)),
            exposure: said.get::<ExposureTime>().ok().map(|exposure| micros(exposure.0.into())),
            bytes: frame.planes().get(0)?.bytes_used as usize,
        })
    }

    /// Whether it was exposed as asked: within some lines, or a twentieth.
    fn fits(&self, asked: Option<Duration>) -> bool {
        let (Some(asked), Some(had)) = (asked, self.exposure) else { return true };
        asked.abs_diff(had) <= (asked / 20).max(Duration::from_micros(50))
    }
}
