//! What a mode of the camera can do, and what a request is told. libcamera's times are microseconds.

use crate::linux::front::Ability;
use crate::linux::v4l::timing::Timing;
use libcamera::control::{Control, ControlInfoMap, ControlList};
use libcamera::control_value::ControlValue;
use libcamera::controls::{
    AeEnable, AnalogueGain, AwbEnable, ColourGains, ControlId, ExposureTime, FrameDurationLimits,
};
use planktor_protocol::camera::{GAIN_AT_ISO_100, Mode, Settings};
use std::time::Duration;

/// From one frame to the next, if the camera does not tell, until its frames do.
const UNKNOWN: Duration = Duration::from_millis(100);

/// Least and most; what the camera does not tell, or cannot, is `None`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ranges {
    pub(super) width: u32,
    pub(super) height: u32,
    pub(super) exposure_us: Option<(i32, i32)>,
    /// As a multiple.
    pub(super) gain: Option<(f32, f32)>,
    /// From one frame's start to the next one's.
    pub(super) frame_us: Option<(i64, i64)>,
    /// Whether it balances white.
    pub(super) balance: bool,
}

impl Ranges {
    pub(super) fn of(controls: &ControlInfoMap, width: u32, height: u32) -> Self {
        let range = |id: ControlId| {
            let range = controls.find(id.into()).ok()?;
            Some((range.min(), range.max()))
        };
        Self {
            width,
            height,
            exposure_us: range(ControlId::ExposureTime).and_then(|ends| match ends {
                (ControlValue::Int32(min), ControlValue::Int32(max)) => Some((*min.first()?, *max.first()?)),
                _ => None,
            }),
            gain: range(ControlId::AnalogueGain).and_then(|ends| match ends {
                (ControlValue::Float(min), ControlValue::Float(max)) => Some((*min.first()?, *max.first()?)),
                _ => None,
            }),
            frame_us: range(ControlId::FrameDurationLimits).and_then(|ends| match ends {
                (ControlValue::Int64(min), ControlValue::Int64(max)) => Some((*min.first()?, *max.first()?)),
                _ => None,
            }),
            balance: range(ControlId::ColourGains).is_some(),
        }
    }

    fn exposure_us(&self, asked: &Settings) -> Option<i32> {
        let ((min, max), exposure) = (self.exposure_us?, asked.exposure?);
        Some(i32::try_from(exposure.as_micros()).unwrap_or(i32::MAX).min(max).max(min))
    }

    fn gain(&self, asked: &Settings) -> Option<f32> {
        let ((min, max), thousandths) = (self.gain?, asked.gain_thousandths?);
        #[expect(clippy::cast_precision_loss, reason = "a gain has three digits")]
        let gain = thousandths as f32 / 1_000.0;
        Some(gain.min(max).max(min))
    }

    /// A frame is as short as it can be, unless a longer one is asked for, and never shorter than what it integrates.
    fn frame_us(&self, asked: &Settings) -> Option<i64> {
        let (min, max) = self.frame_us?;
        let exposure = self.exposure_us(asked).unwrap_or(0);
        let cadence =
            asked.cadence.map_or(0, |cadence| i64::try_from(cadence.as_micros()).unwrap_or(max) + 1);
        Some(i64::from(exposure).max(cadence).min(max).max(min))
    }

    /// Tells a request. What the camera has no control for is left alone.
    pub(super) fn tell(&self, asked: &Settings, request: &mut ControlList) {
        let (exposure, gain) = (self.exposure_us(asked), self.gain(asked));
        if exposure.is_some() || gain.is_some() {
            set(request, AeEnable(false));
        }
        if let Some(us) = exposure {
            set(request, ExposureTime(us));
        }
        if let Some(gain) = gain {
            set(request, AnalogueGain(gain));
        }
        if let Some(us) = self.frame_us(asked) {
            set(request, FrameDurationLimits([us, us]));
        }
        if !self.balance {
            return;
        }
        if let Some(auto) = asked.auto_balance {
            set(request, AwbEnable(auto));
        }
        if let (Some(red), Some(blue)) = (asked.red, asked.blue)
            && asked.auto_balance != Some(true)
        {
            #[expect(clippy::cast_precision_loss, reason = "a gain has three digits")]
            let gains = [red, blue].map(|thousandths| thousandths as f32 / 1_000.0);
            set(request, ColourGains(gains));
        }
    }
}

impl Ability for Ranges {
    fn mode(&self, asked: &Settings) -> Mode {
        let timing = self.timing(asked);
        let iso = |gain: f32| f64::from(gain) * 1_000.0 * 100.0 / GAIN_AT_ISO_100;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates")]
        let iso = self.gain(asked).map_or(0, |gain| iso(gain).round() as u32);
        Mode {
            width: self.width,
            height: self.height,
            cadence: timing.cadence,
            takes: timing.takes(),
            exposure: timing.exposure.unwrap_or_default(),
            iso,
        }
    }

    /// No control tells how long a read-out takes, but no frame is shorter.
    fn timing(&self, asked: &Settings) -> Timing {
        Timing {
            cadence: self.frame_us(asked).map_or(UNKNOWN, micros),
            exposure: self.exposure_us(asked).map(|us| micros(us.into())),
            read_out: self.frame_us.map(|(shortest, _)| micros(shortest)),
        }
    }
}

/// Cannot fail: a list says what it does not take in libcamera's log only.
fn set<C: Control>(request: &mut ControlList, value: C) {
    let _ = request.set(value);
}

/// None of libcamera's times is negative.
pub(super) fn micros(us: i64) -> Duration {
    Duration::from_micros(us.unsigned_abs())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An IMX477 on a Pi 4, at 12 megapixels.
    const IMX477: Ranges = Ranges {
        width: 4056,
        height: 3040,
        exposure_us: Some((114, 674_181_621)),
        gain: Some((1.0, 22.26)),
        frame_us: Some((100_000, 694_434_742)),
        balance: true,
    };

    #[test]
    fn a_mode_is_the_nearest_that_the_camera_can() {
        let asked = |exposure, gain_thousandths| {
            IMX477.mode(&Settings {
                exposure: Some(Duration::from_micros(exposure)),
                gain_thousandths: Some(gain_thousandths),
                ..Settings::default()
            })
        };
        let usual = asked(125, 3_469);
        assert_eq!((usual.exposure, usual.iso), (Duration::from_micros(125), 150));
        assert_eq!(
            (usual.cadence, usual.takes),
            (Duration::from_millis(100), Duration::from_micros(100_125))
        );
        let least = asked(1, 1);
        assert_eq!((least.exposure, least.iso), (Duration::from_micros(114), 43));
        let long = asked(250_000, 1_000_000);
        assert_eq!((long.cadence, long.takes), (Duration::from_millis(250), Duration::from_millis(350)));
        assert_eq!(long.iso, 963);
    }

    #[test]
    fn a_camera_that_tells_nothing_is_taken_for_slow() {
        let dumb = Ranges { exposure_us: None, gain: None, frame_us: None, balance: false, ..IMX477 };
        let mode = dumb.mode(&Settings { exposure: Some(Duration::from_micros(125)), ..Settings::default() });
        assert_eq!((mode.exposure, mode.iso), (Duration::ZERO, 0));
        assert_eq!((mode.cadence, mode.takes), (UNKNOWN, UNKNOWN * 2));
    }
}
