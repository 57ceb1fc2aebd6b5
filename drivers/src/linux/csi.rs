//! A camera behind libcamera, as a Raspberry Pi's CSI camera is.
//!
//! libcamera lives on the camera's thread; a process has it once. Streaming, four requests go round: each takes exposure,
//! gain and white balance along, comes back with a frame and with what that was really taken with, and goes out again
//! as soon as its bytes are copied into the pool.
//!
//! **When a frame was true.** `SensorTimestamp` is documented as the time when the first line is exposed; on a Pi it is
//! when the receiver sees the frame begin. A line is sent once it has been exposed, so that is the *end* of the first
//! line's exposure (raspberrypi/picamera2, issue 821), and the first line began an `ExposureTime` earlier. The last line
//! ends a read-out later. No control tells how long that is, but no frame is shorter: the shortest one that the mode
//! can is taken for it (a Pi 4 at 12 megapixels: 100 ms instead of 87). The stamp is documented to count from the boot,
//! sleep included (`CLOCK_BOOTTIME`), but is passed on from V4L2, which leaves sleep out (`CLOCK_MONOTONIC`): the same on
//! a computer that never sleeps. A stamp from the future says nothing.
//!
//! **Left out:** a second stream (samples and the camera's own picture at once), YUV in several planes, and buffers from
//! the DMA heap, which a Pi's processor would read faster.

#[cfg(feature = "csi")]
mod ranges;
#[cfg(feature = "csi")]
mod thread;

#[cfg(feature = "csi")]
pub use thread::open;

use super::v4l::formats::FourCc;
use super::v4l::{exposure_us, iso};
use serde::Deserialize;

/// Which camera, and how it is used: a table of the board's file.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// A part of its model (`imx477`) or of its libcamera name. Of more than one, the first.
    pub device: String,
    /// Its pixel format, by V4L2's name; otherwise the first of [`FORMATS`](super::v4l::formats::FORMATS) that it has.
    pub format: Option<FourCc>,
    /// Pixels across and lines, or what comes nearest to them; otherwise all it has.
    pub size: Option<[u32; 2]>,
    /// What each line integrates until a client says otherwise.
    #[serde(default = "exposure_us")]
    pub exposure_us: u32,
    /// The analogue gain until a client says otherwise, as the dashboard counts it.
    #[serde(default = "iso")]
    pub iso: u32,
}
