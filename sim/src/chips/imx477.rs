//! A Sony IMX477's timing and gain in its 12-megapixel, 12-bit mode: what is asked is rounded to what the sensor can.
//! Numbers as in the Linux driver and libcamera's helper for the chip (facts only); Sony's datasheet is not public.

use std::time::Duration;

/// Lines that are read, one after the other.
pub const LINES: u32 = 3_040;
/// A line takes 24,000 pixel clocks at 840 MHz.
pub const LINE: Duration = Duration::from_nanos(28_571);
/// Fewest lines that integrate.
const LEAST_EXPOSURE: u32 = 4;
/// A frame is at least so many lines longer than it integrates.
const OFFSET: u32 = 22;
/// Longest frame, lines.
const LONGEST_FRAME: u32 = 0xFFDC;
/// Largest code of the analogue gain, 1024 / (1024 - code): 22.3.
const MOST_GAIN: f64 = 978.0;
/// PlanktoScope's gain at ISO 100.
const GAIN_PER_ISO: f64 = 2.3125 / 100.0;
/// What the sensor gives for no light, of 4095.
pub const BLACK: u16 = 256;
/// How many bits a sample has.
pub const BITS: u8 = 12;
/// The most it can give.
pub const WHITE: u16 = 4_095;

/// How the sensor is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sensor {
    exposure_lines: u32,
    frame_lines: u32,
    gain_code: u16,
}

impl Sensor {
    /// The nearest to what is asked. A frame is never shorter than its lines, nor than its exposure.
    pub fn nearest(exposure: Duration, iso: f64, cadence: Duration) -> Self {
        let lines = |time: Duration| {
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "saturates, then clamped"
            )]
            let lines = (time.as_secs_f64() / LINE.as_secs_f64()).round() as u32;
            lines
        };
        let exposure_lines = lines(exposure).clamp(LEAST_EXPOSURE, LONGEST_FRAME - OFFSET);
        let shortest = (LINES + OFFSET).max(exposure_lines + OFFSET);
        let gain = (iso * GAIN_PER_ISO).max(1.0);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped")]
        let gain_code = (1_024.0 - 1_024.0 / gain).round().clamp(0.0, MOST_GAIN) as u16;
        Self { exposure_lines, frame_lines: lines(cadence).clamp(shortest, LONGEST_FRAME), gain_code }
    }

    /// What each line integrates.
    pub fn exposure(&self) -> Duration {
        LINE * self.exposure_lines
    }

    /// From the first line's start to the last line's end.
    pub fn takes(&self) -> Duration {
        LINE * (LINES - 1) + self.exposure()
    }

    /// Whether there is an instant at which all lines integrate.
    pub fn opens(&self) -> bool {
        self.exposure_lines > LINES - 1
    }

    /// From one frame's start to the next one's.
    pub fn cadence(&self) -> Duration {
        LINE * self.frame_lines
    }

    /// The analogue gain, 1 to 22.3.
    pub fn gain(&self) -> f64 {
        1_024.0 / (1_024.0 - f64::from(self.gain_code))
    }

    /// That gain as the dashboard counts it.
    pub fn iso(&self) -> u32 {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "below 1000")]
        let iso = (self.gain() / GAIN_PER_ISO).round() as u32;
        iso
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sensor(exposure_us: u64, iso: f64, cadence_ms: u64) -> Sensor {
        Sensor::nearest(Duration::from_micros(exposure_us), iso, Duration::from_millis(cadence_ms))
    }

    #[test]
    fn an_exposure_is_whole_lines_and_at_least_four() {
        assert_eq!(sensor(125, 150.0, 100).exposure(), LINE * 4);
        assert_eq!(sensor(1, 150.0, 100).exposure(), LINE * 4);
        assert_eq!(sensor(1_000, 150.0, 100).exposure(), LINE * 35);
    }

    #[test]
    fn a_frame_is_no_shorter_than_its_read_out_and_its_exposure() {
        assert_eq!(sensor(125, 150.0, 10).cadence(), LINE * (LINES + OFFSET));
        let long = sensor(200_000, 150.0, 100);
        assert_eq!(long.cadence(), long.exposure() + LINE * OFFSET);
        let cadence = sensor(125, 150.0, 100).cadence().as_secs_f64();
        assert!((cadence - 0.1).abs() < LINE.as_secs_f64(), "{cadence}");
        assert!((sensor(125, 150.0, 100).takes().as_secs_f64() - 0.087).abs() < 0.001);
    }

    #[test]
    fn gain_follows_iso_within_the_sensors_range() {
        assert_eq!(sensor(125, 150.0, 100).iso(), 150);
        assert!((sensor(125, 150.0, 100).gain() - 3.469).abs() < 0.01);
        assert_eq!(sensor(125, 10.0, 100).gain(), 1.0);
        assert!((sensor(125, 1e9, 100).gain() - 1_024.0 / 46.0).abs() < 1e-9);
    }
}
