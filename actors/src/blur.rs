//! How far the water may go in a flow while a pulse is on, in the worst case. Pure.

use planktor_drivers::devices::light::AFTERGLOW;
use planktor_protocol::strobe::Cell;
use planktor_protocol::units::NanolitresPerSecond;
use std::time::Duration;

/// A pump may be faster than it was told, by a tenth: a TMC5160's clock (datasheet rev. 1.17, electrical characteristics).
const FASTER: (i64, i64) = (11, 10);

/// How far the fastest water goes, nm.
pub fn worst_nm(cell: Cell, flow: NanolitresPerSecond, pulse: Duration) -> u128 {
    let (more, of) = FASTER;
    cell.blur_nm(NanolitresPerSecond(flow.0.saturating_mul(more) / of), pulse + AFTERGLOW)
}

/// The fastest flow to ask for in which nothing goes farther.
pub fn fastest(cell: Cell, most_nm: u128, pulse: Duration) -> NanolitresPerSecond {
    let (more, of) = FASTER;
    NanolitresPerSecond(cell.fastest(most_nm, pulse + AFTERGLOW).0 / more * of)
}

#[cfg(test)]
mod tests {
    use super::*;
    use planktor_protocol::units::Micrometres;

    #[test]
    fn the_fastest_flow_blurs_no_more_than_it_may_and_a_faster_one_does() {
        let cell = Cell { depth: Micrometres(300), width: Micrometres(3_500) };
        for us in [10, 100, 1_000, 10_000] {
            let pulse = Duration::from_micros(us);
            let flow = fastest(cell, 375, pulse);
            assert!(worst_nm(cell, flow, pulse) <= 375, "{us}");
            assert!(worst_nm(cell, NanolitresPerSecond(flow.0 * 11 / 10 + 3), pulse) > 375, "{us}");
        }
    }
}
