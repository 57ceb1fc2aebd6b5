//! Strobed frames: how long a pulse of light may be, and how far flowing water goes in it.

use crate::units::{Micrometres, NanolitresPerSecond};
use std::ops::RangeInclusive;
use std::time::Duration;

/// How long a pulse of light may be: from a tenth of the usual exposure to what a frame's dark time has room for.
pub const PULSES: RangeInclusive<Duration> = Duration::from_micros(10)..=Duration::from_millis(10);

/// The inside of a flow cell across the flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cell {
    /// Along the light; above 0.
    pub depth: Micrometres,
    /// Across both; above 0.
    pub width: Micrometres,
}

impl Cell {
    /// How far the fastest water goes in a time, nm: between plates that is half as fast again as the mean (Poiseuille).
    pub fn blur_nm(&self, flow: NanolitresPerSecond, time: Duration) -> u128 {
        // A nanolitre a second is 10^6 um^3; um/s times us is pm.
        let positive = |number: i64| u128::try_from(number).unwrap_or(0);
        positive(flow.0) * 1_500_000 * time.as_micros()
            / (positive(self.depth.0) * positive(self.width.0)).max(1)
            / 1_000
    }

    /// How far the water goes in a time in the mean, um.
    pub fn travelled_um(&self, flow: NanolitresPerSecond, time: Duration) -> u128 {
        let positive = |number: i64| u128::try_from(number).unwrap_or(0);
        // A nanolitre a second is 10^6 um^3; times us is um^3.
        positive(flow.0) * time.as_micros() / (positive(self.depth.0) * positive(self.width.0)).max(1)
    }

    /// The fastest flow in which nothing goes farther than so many nanometres in a time.
    pub fn fastest(&self, blur_nm: u128, time: Duration) -> NanolitresPerSecond {
        let positive = |number: i64| u128::try_from(number).unwrap_or(0);
        let area = positive(self.depth.0) * positive(self.width.0);
        let flow = blur_nm * 1_000 * area / (1_500_000 * time.as_micros().max(1));
        NanolitresPerSecond(i64::try_from(flow).unwrap_or(i64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fastest_water_blurs_and_its_flow_follows_from_the_blur() {
        let cell = Cell { depth: Micrometres(300), width: Micrometres(3_500) };
        let pulse = Duration::from_micros(100);
        // 2,500 nL/s through 1.05 mm^2 is 2.38 mm/s in the mean, 3.57 in the middle.
        assert_eq!(cell.blur_nm(NanolitresPerSecond(2_500), pulse), 357);
        assert_eq!(cell.travelled_um(NanolitresPerSecond(2_500), Duration::from_secs(2)), 4_761);
        let fastest = cell.fastest(375, pulse);
        assert_eq!(fastest, NanolitresPerSecond(2_625));
        assert!(cell.blur_nm(fastest, pulse) <= 375);
    }
}
