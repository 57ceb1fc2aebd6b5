//! Cameras behind Video4Linux: on USB, on a Raspberry Pi's CSI-2 receiver (raw, see `docs/raw-csi.md`), or simulated by the
//! kernel (vivid, v4l2loopback).
//!
//! ```text
//! formats.rs   bytes to samples and pixels          pure
//! timing.rs    when a frame was exposed, its number, and which comes next      pure
//! sensor.rs    what is asked to values of controls, and how long all takes then      pure
//! pool.rs      the memory of frames
//! device.rs    finds, opens and sets a device       (feature `v4l`)
//! thread.rs    its thread      (feature `v4l`)
//! ```
//!
//! In front of it stands `linux/front.rs`, as of a camera behind libcamera, which shares what is pure here.
//!
//! The camera's thread opens the device, dequeues, and copies each frame once, into a pool of three; who develops a picture
//! unpacks it. Nothing here waits but that thread, and it never longer than for a frame.

pub mod formats;
pub mod pool;
pub mod sensor;
pub mod timing;

#[cfg(feature = "v4l")]
mod device;
#[cfg(feature = "v4l")]
mod thread;

#[cfg(feature = "v4l")]
pub use thread::open;

use formats::FourCc;
use planktor_protocol::camera::{self, GAIN_AT_ISO_100};
use sensor::Law;
use serde::Deserialize;
use std::num::NonZeroU32;
use std::time::Duration;
use timing::Stamp;

/// Which camera, and how it is used: a table of the board's file.
///
/// ```toml
/// [camera]
/// device = "unicam"
/// sensor = "imx477"
/// format = "RG12"
/// size = [4056, 3040]
/// ```
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// A path (`/dev/video0`), or a part of its name: of what is in `/sys/class/video4linux/*/name`, of its card or of its
    /// driver. Of more than one, the one with the lowest number that can capture.
    pub device: String,
    /// Its pixel format, as in `v4l2-ctl --list-formats`; otherwise the first of [`formats::FORMATS`] that it has.
    pub format: Option<FourCc>,
    /// Pixels across and lines; otherwise the largest that it lists, or what it is set to where it lists a range (what a
    /// receiver could take says nothing about its sensor).
    pub size: Option<[u32; 2]>,
    /// The sub-device of its sensor, where that has the controls: a path (`/dev/v4l-subdev0`), or a part of its name.
    pub sensor: Option<String>,
    /// From frame to frame, if the camera lets itself be told. A sensor with blanking is told lines instead.
    pub cadence_us: Option<NonZeroU32>,
    /// From one line's start to the next one's, where the sensor's controls do not tell or are wrong. Without it a frame
    /// is taken to be read out for as long as there is to the next one.
    pub line_ns: Option<NonZeroU32>,
    /// What a buffer's time stamp is the time of, where the driver's flags do not tell or are wrong.
    pub stamp: Option<Stamp>,
    /// What the sensor gives for no light, in samples of the format; otherwise by the sensor's name, or 0.
    pub black: Option<u16>,
    /// How a gain becomes the control's code; otherwise by the sensor's name. Without it the gain is left alone.
    pub gain: Option<Law>,
    /// What each line integrates until a client says otherwise. Automatic exposure is switched off.
    #[serde(default = "exposure_us")]
    pub exposure_us: u32,
    /// The analogue gain until a client says otherwise, as the dashboard counts it.
    #[serde(default = "iso")]
    pub iso: u32,
}

/// As PlanktoScopes are shipped.
pub(super) fn exposure_us() -> u32 {
    125
}

/// As PlanktoScopes are shipped.
pub(super) fn iso() -> u32 {
    150
}

impl Settings {
    /// Of this device, by path or name, and nothing else said.
    pub fn of(device: &str) -> Self {
        Self {
            device: device.into(),
            format: None,
            size: None,
            sensor: None,
            cadence_us: None,
            line_ns: None,
            stamp: None,
            black: None,
            gain: None,
            exposure_us: exposure_us(),
            iso: iso(),
        }
    }

    /// How pictures are taken until a client says otherwise.
    pub fn usual(&self) -> camera::Settings {
        usual(self.exposure_us, self.iso)
    }
}

/// How pictures are taken until a client says otherwise: what each line integrates, and the gain as the dashboard counts
/// it.
pub(super) fn usual(exposure_us: u32, iso: u32) -> camera::Settings {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates")]
    let gain = (f64::from(iso) * GAIN_AT_ISO_100 / 100.0).round() as u32;
    camera::Settings {
        exposure: Some(Duration::from_micros(exposure_us.into())),
        gain_thousandths: Some(gain),
        ..camera::Settings::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_boards_file_says_as_little_as_a_name_or_everything() {
        let least: Settings = toml::from_str("device = '/dev/video0'").unwrap();
        assert_eq!(least, Settings::of("/dev/video0"));
        assert_eq!(least.usual().gain_thousandths, Some(3_469));
        let all: Settings = toml::from_str(
            "device = 'unicam'\nformat = 'pRCC'\nsize = [4056, 3040]\nsensor = 'imx477'\ncadence_us = 100000\n\
             line_ns = 28571\nstamp = 'read-out'\nblack = 256\ngain = { reciprocal = 1024 }\nexposure_us = 200\niso = 100",
        )
        .unwrap();
        assert_eq!((all.format, all.gain), (Some(FourCc(*b"pRCC")), Some(Law::Reciprocal(1_024))));
        assert_eq!((all.stamp, all.size), (Some(Stamp::ReadOut), Some([4_056, 3_040])));
    }

    #[test]
    fn what_is_wrong_in_it_is_named() {
        for (text, named) in [
            ("", "device"),
            ("device = 'x'\nformat = 'H264'", "H264"),
            ("device = 'x'\nwidth = 5", "width"),
            ("device = 'x'\nsize = [1]", "size"),
            ("device = 'x'\nstamp = 'sometime'", "sometime"),
        ] {
            let error = toml::from_str::<Settings>(text).unwrap_err().to_string();
            assert!(error.contains(named), "{text}: {error}");
        }
    }
}
