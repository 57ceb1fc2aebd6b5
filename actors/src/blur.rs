//! How far the water may go in a flow while there is light, in the worst case. Pure.

use planktor_drivers::devices::light::{AFTERGLOW, OVER_THE_BUS};
use planktor_protocol::strobe::Cell;
use planktor_protocol::units::NanolitresPerSecond;
use std::time::Duration;

/// A pump may be faster than it was told, by a tenth: a TMC5160's clock (datasheet rev. 1.17, electrical characteristics).
const FASTER: (i64, i64) = (11, 10);

/// The alarm that ends a pulse is hardly ever later than that with real-time priority (one in a hundred, `BENCHMARKS.md`), and
/// on the slow buses' thread, which has none. A frame whose light lasted longer is taken again.
const LATE: Duration = Duration::from_micros(100);
const LATE_BY_BUS: Duration = Duration::from_micros(250);

/// By what a lamp pulses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// A pin of the hardware thread.
    Pin,
    /// Two writes over its bus: between the first one's begin and the second one's end.
    Bus,
}

/// How long there may be light in a pulse that is to be so long.
pub fn lit(pulse: Duration, by: By) -> Duration {
    let more = match by {
        By::Pin => LATE,
        By::Bus => LATE_BY_BUS + OVER_THE_BUS,
    };
    pulse + more + AFTERGLOW
}

/// How far the fastest water goes while there is light, nm.
pub fn worst_nm(cell: Cell, flow: NanolitresPerSecond, lit: Duration) -> u128 {
    let (more, of) = FASTER;
    cell.blur_nm(NanolitresPerSecond(flow.0.saturating_mul(more) / of), lit)
}

/// The fastest flow to ask for in which nothing goes farther.
pub fn fastest(cell: Cell, most_nm: u128, lit: Duration) -> NanolitresPerSecond {
    let (more, of) = FASTER;
    NanolitresPerSecond(cell.fastest(most_nm, lit).0 / more * of)
}

#[cfg(test)]
mod tests {
    use super::*;
    use planktor_protocol::units::Micrometres;

    #[test]
    fn the_fastest_flow_blurs_no_more_than_it_may_and_a_faster_one_does() {
        let cell = Cell { depth: Micrometres(300), width: Micrometres(3_500) };
        for us in [10, 100, 1_000, 10_000] {
            let lit = Duration::from_micros(us);
            let flow = fastest(cell, 375, lit);
            assert!(worst_nm(cell, flow, lit) <= 375, "{us}");
            assert!(worst_nm(cell, NanolitresPerSecond(flow.0 * 11 / 10 + 3), lit) > 375, "{us}");
        }
    }
}
