//! Finds a device, opens it, agrees on format and size, and writes its controls. Its calls may take long (a camera on USB
//! is asked over the wire): only the camera's own thread makes them.

use super::Settings;
use super::formats::{Colours, FORMATS, FourCc, Layout, Shape};
use super::sensor::{Ability, Blanking, Exposure, Known, Law, Range, Values, line_time};
use super::timing::Stamp;
use crate::linux::front::fault;
use planktor_protocol::{Fault, camera};
use std::io;
use std::panic::catch_unwind;
use std::path::{Path, PathBuf};
use std::time::Duration;
use v4l::buffer::Type;
use v4l::control::{Description, Flags, Value};
use v4l::format::{Colorspace, FieldOrder, Quantization};
use v4l::framesize::FrameSizeEnum;
use v4l::io::mmap::Stream;
use v4l::v4l_sys::{
    V4L2_CID_ANALOGUE_GAIN, V4L2_CID_AUTO_WHITE_BALANCE, V4L2_CID_AUTOGAIN, V4L2_CID_EXPOSURE,
    V4L2_CID_EXPOSURE_ABSOLUTE, V4L2_CID_EXPOSURE_AUTO, V4L2_CID_EXPOSURE_AUTO_PRIORITY, V4L2_CID_GAIN,
    V4L2_CID_HBLANK, V4L2_CID_PIXEL_RATE, V4L2_CID_VBLANK,
};
use v4l::video::Capture;
use v4l::video::capture::Parameters;
use v4l::{Capabilities, Control, Fraction};

/// Where the kernel lists its devices by name.
const LIST: &str = "/sys/class/video4linux";
/// Of a camera that does not say how fast it is, until its frames tell.
const UNKNOWN_CADENCE: Duration = Duration::from_millis(100);
/// The kernel's buffers: one that is filled, one that is copied, and two for a thread that is late.
const BUFFERS: u32 = 4;
/// `V4L2_EXPOSURE_MANUAL`.
const MANUAL: i64 = 1;

/// An open device.
pub(super) struct Device {
    video: v4l::Device,
    /// What has the controls, if the video device has not.
    sensor: Option<v4l::Device>,
    controls: Vec<Description>,
    /// What its buffers are.
    pub(super) shape: Shape,
    /// The bytes of a buffer.
    pub(super) size: usize,
    black: u16,
    /// What it can be set to.
    pub(super) ability: Ability,
    /// What its time stamps are, if not what their flags say.
    pub(super) stamp: Option<Stamp>,
}

impl Device {
    /// Opens it and agrees on what it gives.
    ///
    /// # Errors
    /// There is none of that name, another program has it, or it has nothing that is understood.
    pub(super) fn open(settings: &Settings) -> Result<Self, Fault> {
        let (video, capabilities) = find(&settings.device)?;
        let sensor = settings.sensor.as_deref().map(sub_device).transpose()?;
        let (sensor, known) = match sensor {
            Some((device, entity)) => (Some(device), Known::by_name(&entity)),
            None => (None, None),
        };
        let (shape, size) = agree(&video, settings)?;
        let cadence = cadence(&video, settings);
        let controls = controls(sensor.as_ref().unwrap_or(&video));
        let black = match (settings.black, shape.layout, known) {
            (Some(black), ..) => black,
            (None, Layout::Raw(_, bits, _), Some(known)) => known.black_of(bits),
            (None, ..) => 0,
        };
        let mut device = Self {
            stamp: settings.stamp.or_else(|| Stamp::of_driver(&capabilities.driver)),
            ability: Ability {
                width: shape.width,
                height: shape.height,
                cadence,
                line: settings.line_ns.map(|ns| Duration::from_nanos(ns.get().into())),
                exposure: None,
                blanking: None,
                gain: None,
            },
            video,
            sensor,
            controls,
            shape,
            size,
            black,
        };
        device.learn(settings.gain.or(known.map(|known| known.law)));
        Ok(device)
    }

    /// What its controls say that it can.
    fn learn(&mut self, law: Option<Law>) {
        let (rate, blank) = (self.value(V4L2_CID_PIXEL_RATE), self.value(V4L2_CID_HBLANK));
        let told = || line_time(self.ability.width, blank?, rate?);
        self.ability.line = self.ability.line.or_else(told);
        self.ability.exposure = match self.range(V4L2_CID_EXPOSURE_ABSOLUTE) {
            Some(range) => Some(Exposure::Hundreds(range)),
            None => self.range(V4L2_CID_EXPOSURE).map(Exposure::Lines),
        };
        self.ability.blanking = self.blanking();
        let gain = self.range(V4L2_CID_ANALOGUE_GAIN).or_else(|| self.range(V4L2_CID_GAIN));
        self.ability.gain = gain.zip(law);
    }

    /// How much shorter than its frame a sensor's exposure must be is the difference of what it takes now.
    fn blanking(&self) -> Option<Blanking> {
        let (range, exposure) = (self.range(V4L2_CID_VBLANK)?, self.range(V4L2_CID_EXPOSURE)?);
        let usual = self.described(V4L2_CID_VBLANK)?.default;
        let frame = i64::from(self.ability.height) + self.value(V4L2_CID_VBLANK)?;
        Some(Blanking { range, usual, margin: (frame - exposure.max).max(0) })
    }

    /// Writes what makes it take pictures so.
    ///
    /// # Errors
    /// It is gone, or does not take what is in its own range.
    pub(super) fn set(&self, asked: &camera::Settings, values: &Values) -> Result<(), Fault> {
        if let Some(balances) = asked.auto_balance {
            self.write(V4L2_CID_AUTO_WHITE_BALANCE, Value::Boolean(balances), "its white balance")?;
        }
        if let Some(blanking) = values.blanking {
            self.write(V4L2_CID_VBLANK, Value::Integer(blanking), "its frame length")?;
        }
        if let Some(exposure) = values.exposure {
            self.write(V4L2_CID_EXPOSURE_AUTO, Value::Integer(MANUAL), "to be exposed by hand")?;
            self.write(V4L2_CID_EXPOSURE_AUTO_PRIORITY, Value::Boolean(false), "a steady cadence")?;
            let id = match self.ability.exposure {
                Some(Exposure::Hundreds(_)) => V4L2_CID_EXPOSURE_ABSOLUTE,
                Some(Exposure::Lines(_)) | None => V4L2_CID_EXPOSURE,
            };
            self.write(id, Value::Integer(exposure), "its exposure")?;
        }
        if let Some(gain) = values.gain {
            self.write(V4L2_CID_AUTOGAIN, Value::Boolean(false), "to be amplified by hand")?;
            let analogue = self.described(V4L2_CID_ANALOGUE_GAIN).is_some();
            let id = if analogue { V4L2_CID_ANALOGUE_GAIN } else { V4L2_CID_GAIN };
            self.write(id, Value::Integer(gain), "its gain")?;
        }
        Ok(())
    }

    /// What makes colours of its samples.
    pub(super) fn colours(&self, asked: &camera::Settings) -> Colours {
        Colours { black: self.black, balance: asked.balance() }
    }

    /// Its buffers, mapped; it streams when the first is asked for.
    ///
    /// # Errors
    /// The kernel has no memory for them, or the camera is gone.
    pub(super) fn stream(&self) -> io::Result<Stream<'_>> {
        Stream::with_buffers(&self.video, Type::VideoCapture, BUFFERS)
    }

    fn panel(&self) -> &v4l::Device {
        self.sensor.as_ref().unwrap_or(&self.video)
    }

    fn described(&self, id: u32) -> Option<&Description> {
        self.controls.iter().find(|control| control.id == id && !control.flags.contains(Flags::DISABLED))
    }

    /// Of a control that can be written.
    fn range(&self, id: u32) -> Option<Range> {
        let control = self.described(id).filter(|control| !control.flags.contains(Flags::READ_ONLY))?;
        let step = i64::try_from(control.step).unwrap_or(1);
        Some(Range { min: control.minimum, max: control.maximum, step })
    }

    fn value(&self, id: u32) -> Option<i64> {
        self.described(id)?;
        match self.panel().control(id).ok()?.value {
            Value::Integer(value) => Some(value),
            _ => None,
        }
    }

    /// A control that it does not have is left alone.
    fn write(&self, id: u32, value: Value, what: &'static str) -> Result<(), Fault> {
        if self.described(id).is_none() {
            return Ok(());
        }
        self.panel().set_control(Control { id, value }).map_err(|error| fault(&error, what))
    }
}

/// A node that cannot be opened because nothing is behind it is none.
fn open(path: &Path) -> Result<v4l::Device, Fault> {
    let opened = v4l::Device::with_path(path).map_err(|error| fault(&error, "to be opened"));
    opened.map_err(|fault| if fault == Fault::CameraGone { Fault::CameraMissing } else { fault })
}

/// The nodes of a kind, in the order of their numbers, each with its name.
fn nodes(kind: &str) -> Vec<(PathBuf, String)> {
    let entries = std::fs::read_dir(LIST).into_iter().flatten().flatten();
    let mut nodes: Vec<(u32, PathBuf, String)> = entries
        .filter_map(|entry| {
            let node = entry.file_name().into_string().ok()?;
            let number = node.strip_prefix(kind)?.parse().ok()?;
            let name = std::fs::read_to_string(entry.path().join("name")).unwrap_or_default();
            Some((number, Path::new("/dev").join(node), name.trim().to_owned()))
        })
        .collect();
    nodes.sort();
    nodes.into_iter().map(|(_, path, name)| (path, name)).collect()
}

/// A device that can capture.
fn find(wanted: &str) -> Result<(v4l::Device, Capabilities), Fault> {
    if wanted.starts_with('/') {
        let device = open(Path::new(wanted))?;
        let capabilities = device.query_caps().map_err(|error| fault(&error, "to say what it is"))?;
        return Ok((device, capabilities));
    }
    let mut why = Fault::CameraMissing;
    for (path, name) in nodes("video") {
        let device = match open(&path) {
            Ok(device) => device,
            Err(fault) => {
                if name.contains(wanted) {
                    why = fault;
                }
                continue;
            }
        };
        let Ok(capabilities) = device.query_caps() else { continue };
        let named = [&name, &capabilities.card, &capabilities.driver].iter().any(|n| n.contains(wanted));
        if named && device.enum_formats().is_ok_and(|formats| !formats.is_empty()) {
            return Ok((device, capabilities));
        }
    }
    Err(why)
}

/// A sensor's sub-device, and the name of its entity.
fn sub_device(wanted: &str) -> Result<(v4l::Device, String), Fault> {
    let found = nodes("v4l-subdev").into_iter().find(|(path, name)| {
        if wanted.starts_with('/') { path == Path::new(wanted) } else { name.contains(wanted) }
    });
    let (path, name) = found.ok_or(Fault::SensorMissing)?;
    Ok((open(&path)?, name))
}

/// Format and size, as wanted or as is best.
fn agree(video: &v4l::Device, settings: &Settings) -> Result<(Shape, usize), Fault> {
    let refused = |error: io::Error| fault(&error, "its format");
    let offered: Vec<_> =
        video.enum_formats().map_err(refused)?.iter().map(|f| FourCc(f.fourcc.repr)).collect();
    let (code, layout) = FORMATS
        .into_iter()
        .find(|(code, _)| settings.format.is_none_or(|wanted| wanted == *code) && offered.contains(code))
        .ok_or(Fault::CameraFormat)?;
    let fourcc = v4l::FourCC::new(&code.0);
    let [width, height] = match settings.size {
        Some(size) => size,
        None => largest(video, fourcc).map_err(refused)?,
    };
    let format = video.set_format(&v4l::Format::new(width, height, fourcc)).map_err(refused)?;
    let whole = matches!(format.field_order, FieldOrder::Progressive | FieldOrder::Any);
    if format.fourcc != fourcc || !whole {
        return Err(Fault::CameraFormat);
    }
    let full_range = match format.quantization {
        Quantization::FullRange => true,
        Quantization::LimitedRange => false,
        Quantization::Default => matches!(format.colorspace, Colorspace::JPEG),
    };
    let mut shape = Shape { layout, width: format.width, height: format.height, stride: 0, full_range };
    shape.stride = (format.stride as usize).max(shape.line());
    Ok((shape, format.size as usize))
}

/// The largest size that is listed. Where there is a range it says what a receiver could take and not what its sensor
/// gives: then what it is set to.
fn largest(video: &v4l::Device, fourcc: v4l::FourCC) -> io::Result<[u32; 2]> {
    let sizes = video.enum_framesizes(fourcc).unwrap_or_default();
    let listed = sizes.into_iter().filter_map(|size| match size.size {
        FrameSizeEnum::Discrete(size) => Some([size.width, size.height]),
        FrameSizeEnum::Stepwise(_) => None,
    });
    match listed.max_by_key(|[width, height]| u64::from(*width) * u64::from(*height)) {
        Some(size) => Ok(size),
        None => video.format().map(|format| [format.width, format.height]),
    }
}

/// From frame to frame: as it is told, or as it is.
fn cadence(video: &v4l::Device, settings: &Settings) -> Duration {
    let told = settings.cadence_us.map(|us| Parameters::new(Fraction::new(us.get(), 1_000_000)));
    let parameters = told.and_then(|told| video.set_params(&told).ok()).or_else(|| video.params().ok());
    let interval = parameters.map(|parameters| parameters.interval);
    let seconds = interval.map_or(0.0, |i| f64::from(i.numerator) / f64::from(i.denominator.max(1)));
    if seconds > 0.0 { Duration::from_secs_f64(seconds) } else { UNKNOWN_CADENCE }
}

/// What it can be told. v4l 0.14 panics at a kind of control that it does not know: such a camera is one without controls.
fn controls(device: &v4l::Device) -> Vec<Description> {
    let asked = catch_unwind(std::panic::AssertUnwindSafe(|| device.query_controls()));
    asked.ok().and_then(Result::ok).unwrap_or_default()
}
