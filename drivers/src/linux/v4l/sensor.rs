//! What a camera can be set to, and what comes of what is asked. Pure: ranges in, values out.

use super::timing::Timing;
use planktor_protocol::camera::{self, GAIN_AT_ISO_100, Mode};
use serde::Deserialize;
use std::time::Duration;

/// What a control takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    /// The least.
    pub min: i64,
    /// The most.
    pub max: i64,
    /// From one value to the next.
    pub step: i64,
}

impl Range {
    /// The nearest that it takes.
    pub fn nearest(self, value: i64) -> i64 {
        let (step, value) = (self.step.max(1), value.clamp(self.min, self.max.max(self.min)));
        let below = self.min + (value - self.min) / step * step;
        let above = below + step;
        if above <= self.max && above - value < value - below { above } else { below }
    }
}

/// How a gain becomes the code of a control.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Law {
    /// Gain = n / (n - code), as Sony's sensors have it.
    Reciprocal(u32),
    /// Gain = code / n.
    Linear(u32),
}

impl Law {
    fn code(self, gain_thousandths: u32) -> i64 {
        let gain = i64::from(gain_thousandths).max(1);
        match self {
            Self::Reciprocal(n) => i64::from(n) - (i64::from(n) * 1_000 + gain / 2) / gain,
            Self::Linear(n) => (i64::from(n) * gain + 500) / 1_000,
        }
    }

    /// Thousandths.
    fn gain(self, code: i64) -> u32 {
        let gain = match self {
            Self::Reciprocal(n) => i64::from(n) * 1_000 / (i64::from(n) - code).max(1),
            Self::Linear(n) => code * 1_000 / i64::from(n).max(1),
        };
        u32::try_from(gain.max(0)).unwrap_or(u32::MAX)
    }
}

/// What is known of a sensor by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Known {
    /// How it is amplified.
    pub law: Law,
    /// What it gives for no light, of 65536.
    pub black: u32,
}

impl Known {
    /// By the name of its entity, as in `imx477 10-001a`. Gains and black levels as in libcamera's camera helpers for the
    /// chips (facts only; Sony's datasheets are not public).
    pub fn by_name(entity: &str) -> Option<Self> {
        match entity.split_whitespace().next()? {
            "imx477" => Some(Self { law: Law::Reciprocal(1_024), black: 4_096 }),
            "imx219" => Some(Self { law: Law::Reciprocal(256), black: 4_096 }),
            _ => None,
        }
    }

    /// What it gives for no light in samples of so many bits.
    pub fn black_of(self, bits: u8) -> u16 {
        u16::try_from(self.black >> 16_u8.saturating_sub(bits)).unwrap_or(u16::MAX)
    }
}

/// How an exposure is told to a camera.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exposure {
    /// `V4L2_CID_EXPOSURE` of a sensor: lines. Their time must be known.
    Lines(Range),
    /// `V4L2_CID_EXPOSURE_ABSOLUTE` of a USB camera: 100 us.
    Hundreds(Range),
}

/// How the length of a frame is told to a sensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Blanking {
    /// Lines after those of the picture: `V4L2_CID_VBLANK`.
    pub range: Range,
    /// How many, if nothing is asked.
    pub usual: i64,
    /// A frame is at least so many lines longer than it integrates.
    pub margin: i64,
}

/// What a camera is and can be set to. What it does not have is left alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ability {
    /// Pixels across.
    pub width: u32,
    /// Lines.
    pub height: u32,
    /// From frame to frame, unless the blanking says otherwise.
    pub cadence: Duration,
    /// From one line's start to the next one's.
    pub line: Option<Duration>,
    /// How long lines integrate.
    pub exposure: Option<Exposure>,
    /// How frames are made longer.
    pub blanking: Option<Blanking>,
    /// The analogue gain.
    pub gain: Option<(Range, Law)>,
}

/// The least exposure told in lines is one of them.
const HUNDRED: Duration = Duration::from_micros(100);

/// What is written to a camera's controls, in this order: a sensor takes no exposure that is longer than its frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Values {
    /// Lines of vertical blanking.
    pub blanking: Option<i64>,
    /// Lines, or hundreds of microseconds.
    pub exposure: Option<i64>,
    /// The gain's code.
    pub gain: Option<i64>,
}

impl Ability {
    /// What is to be written for what is asked: the nearest that the camera takes.
    pub fn values(&self, asked: &camera::Settings) -> Values {
        let exposure = asked.exposure.zip(self.exposure).and_then(|(time, exposure)| match exposure {
            Exposure::Lines(range) => Some((self.lines(time)?, range)),
            Exposure::Hundreds(range) => Some((whole(time, HUNDRED), range)),
        });
        let gain = asked.gain_thousandths.zip(self.gain);
        let gain = gain.map(|(gain, (range, law))| range.nearest(law.code(gain)));
        let Some(blanking) = self.blanking else {
            let exposure = exposure.map(|(value, range)| range.nearest(value));
            return Values { blanking: None, exposure, gain };
        };
        // A long exposure makes the frame longer.
        let needed = exposure.map_or(0, |(lines, _)| lines + blanking.margin - i64::from(self.height));
        // Not below the cadence that is asked for, so a line more.
        let slower =
            asked.cadence.and_then(|cadence| Some(self.lines(cadence)? + 1 - i64::from(self.height)));
        let blank = blanking.range.nearest(needed.max(blanking.usual).max(slower.unwrap_or(0)));
        let longest = i64::from(self.height) + blank - blanking.margin;
        let exposure = exposure.map(|(lines, range)| Range { max: longest, ..range }.nearest(lines));
        Values { blanking: Some(blank), exposure, gain }
    }

    /// How long everything takes with these values.
    pub fn timing(&self, values: &Values) -> Timing {
        let exposure = values.exposure.zip(self.exposure).and_then(|(value, exposure)| match exposure {
            Exposure::Lines(_) => Some(self.line? * count(value)),
            Exposure::Hundreds(_) => Some(HUNDRED * count(value)),
        });
        let frame = values.blanking.zip(self.line);
        let cadence = frame.map_or(self.cadence, |(blank, line)| line * (self.height + count(blank)));
        Timing { cadence, exposure, read_out: self.line.map(|line| line * self.height) }
    }

    /// How it streams with these values.
    pub fn mode(&self, values: &Values) -> Mode {
        let timing = self.timing(values);
        let gain = values.gain.zip(self.gain).map(|(code, (_, law))| law.gain(code));
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates")]
        let iso = |gain: u32| (f64::from(gain) * 100.0 / GAIN_AT_ISO_100).round() as u32;
        Mode {
            width: self.width,
            height: self.height,
            cadence: timing.cadence,
            takes: timing.takes(),
            exposure: timing.exposure.unwrap_or_default(),
            iso: gain.map_or(0, iso),
        }
    }

    fn lines(&self, time: Duration) -> Option<i64> {
        Some(whole(time, self.line?))
    }
}

/// How often one time is in another, rounded.
fn whole(time: Duration, unit: Duration) -> i64 {
    let unit = unit.as_nanos().max(1);
    i64::try_from((time.as_nanos() + unit / 2) / unit).unwrap_or(i64::MAX)
}

fn count(value: i64) -> u32 {
    u32::try_from(value.max(0)).unwrap_or(u32::MAX)
}

/// A line's time of what a sensor's controls say: `(width + V4L2_CID_HBLANK) / V4L2_CID_PIXEL_RATE`.
pub fn line_time(width: u32, blanking: i64, pixels_per_s: i64) -> Option<Duration> {
    let pixels = u64::try_from(i64::from(width).checked_add(blanking)?).ok()?;
    let rate = u64::try_from(pixels_per_s).ok().filter(|rate| *rate > 0)?;
    let ns = u128::from(pixels) * 1_000_000_000 / u128::from(rate);
    Some(Duration::from_nanos(u64::try_from(ns).ok()?)).filter(|line| !line.is_zero())
}

#[cfg(test)]
mod tests {
    use super::*;
    use planktor_protocol::camera::Settings;

    /// An IMX477 in its 12-megapixel mode, as Linux' driver describes it at 10 frames a second.
    fn imx477() -> Ability {
        Ability {
            width: 4_056,
            height: 3_040,
            cadence: Duration::from_millis(33),
            line: line_time(4_056, 19_944, 840_000_000),
            exposure: Some(Exposure::Lines(Range { min: 4, max: 3_478, step: 1 })),
            blanking: Some(Blanking {
                range: Range { min: 22, max: 0xFFDC - 3_040, step: 1 },
                usual: 460,
                margin: 22,
            }),
            gain: Some((Range { min: 0, max: 978, step: 1 }, Known::by_name("imx477 10-001a").unwrap().law)),
        }
    }

    fn asked(exposure_us: u64, gain_thousandths: u32) -> Settings {
        Settings {
            exposure: Some(Duration::from_micros(exposure_us)),
            gain_thousandths: Some(gain_thousandths),
            ..Settings::default()
        }
    }

    #[test]
    fn a_sensors_exposure_is_whole_lines_within_its_frame_and_a_long_one_makes_the_frame_longer() {
        let imx477 = imx477();
        assert_eq!(imx477.line, Some(Duration::from_nanos(28_571)));
        let usual = imx477.values(&asked(125, 3_469));
        assert_eq!(usual, Values { blanking: Some(460), exposure: Some(4), gain: Some(729) });
        let mode = imx477.mode(&usual);
        assert_eq!((mode.exposure, mode.iso), (Duration::from_nanos(28_571 * 4), 150));
        assert_eq!(mode.cadence, Duration::from_nanos(28_571 * 3_500));
        assert_eq!(mode.takes, Duration::from_nanos(28_571 * 3_044));
        let long = imx477.values(&asked(200_000, 3_469));
        assert_eq!((long.exposure, long.blanking), (Some(7_000), Some(7_000 + 22 - 3_040)));
        let longest = imx477.values(&asked(60_000_000, 3_469));
        assert_eq!((longest.blanking, longest.exposure), (Some(0xFFDC - 3_040), Some(0xFFDC - 22)));
        assert_eq!(
            imx477.values(&asked(0, 0)),
            Values { blanking: Some(460), exposure: Some(4), gain: Some(0) }
        );
        assert_eq!(imx477.values(&asked(125, u32::MAX)).gain, Some(978));
    }

    #[test]
    fn a_usb_cameras_exposure_is_in_hundreds_of_microseconds_and_its_read_out_unknown() {
        let usb = Ability {
            line: None,
            blanking: None,
            gain: None,
            exposure: Some(Exposure::Hundreds(Range { min: 3, max: 2_047, step: 1 })),
            ..imx477()
        };
        let values = usb.values(&asked(125, 3_469));
        assert_eq!(values, Values { blanking: None, exposure: Some(3), gain: None });
        let mode = usb.mode(&values);
        assert_eq!((mode.exposure, mode.iso), (Duration::from_micros(300), 0));
        assert_eq!(mode.takes, mode.cadence + mode.exposure);
    }

    #[test]
    fn what_a_camera_does_not_have_is_left_alone_and_said_to_be_unknown() {
        let nothing = Ability { line: None, blanking: None, gain: None, exposure: None, ..imx477() };
        let values = nothing.values(&asked(125, 3_469));
        assert_eq!(values, Values { blanking: None, exposure: None, gain: None });
        let mode = nothing.mode(&values);
        assert_eq!((mode.exposure, mode.iso, mode.takes), (Duration::ZERO, 0, 2 * mode.cadence));
        // Lines of an unknown length cannot be told, either.
        let timeless = Ability { line: None, ..imx477() };
        assert_eq!(timeless.values(&asked(125, 3_469)).exposure, None);
        assert_eq!(imx477().values(&Settings::default()).exposure, None);
    }

    #[test]
    fn a_control_takes_its_steps_only() {
        let range = Range { min: 3, max: 14, step: 5 };
        let near = [-9, 3, 5, 6, 11, 13, 99].map(|value| range.nearest(value));
        assert_eq!(near, [3, 3, 3, 8, 13, 13, 13]);
        assert_eq!(Range { min: 5, max: 1, step: 0 }.nearest(9), 5, "a range that is none");
    }

    #[test]
    fn a_gains_law_is_the_same_both_ways() {
        for law in [Law::Reciprocal(1_024), Law::Reciprocal(256), Law::Linear(16)] {
            assert_eq!(law.gain(law.code(1_000)), 1_000);
            assert!(law.gain(law.code(4_000)).abs_diff(4_000) <= 20, "{law:?}");
        }
        assert_eq!(Known::by_name("imx219 10-0010").unwrap().black_of(10), 64);
        assert_eq!(Known::by_name("imx477 10-001a").unwrap().black_of(12), 256);
        assert_eq!(Known::by_name("ov5647 10-0036"), None);
    }
}
