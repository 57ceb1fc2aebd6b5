//! The line between a bus and its chip, and what can be wrong with it.

use crate::faults::{Bus, Fault};
use crate::random::hash;

/// How a line is at one transfer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Line {
    Works,
    /// The transfer ends with an error.
    Fails,
    /// It holds its caller, and then fails.
    Stuck,
    /// Nobody hears and nobody answers.
    Cut,
    /// This bit of what is transferred is turned over, counted from the first: on its way to the chip, or back.
    Disturbed {
        bit: usize,
        back: bool,
    },
}

/// Of so many transfers on a disturbed line one has a wrong bit.
const ONE_IN: u64 = 32;

impl Line {
    /// How the line to a bus's chip is now; `transfer` makes one disturbance different from the next.
    ///
    /// # Panics
    /// If the driver at its other end is to panic.
    pub(crate) fn of<'a>(bus: Bus, faults: impl Iterator<Item = &'a Fault>, transfer: u64) -> Self {
        let mut line = Self::Works;
        for fault in faults {
            match fault {
                Fault::DriverPanic(of) if *of == bus => panic!("the {bus:?} driver panics, as was ordered"),
                Fault::BusError(of) if *of == bus => return Self::Fails,
                Fault::BusStuck(of) if *of == bus => return Self::Stuck,
                Fault::CablePulled(of) if *of == bus => return Self::Cut,
                Fault::BusGlitch(of) if *of == bus && hash(transfer, 0).is_multiple_of(ONE_IN) => {
                    let bit = usize::try_from(hash(transfer, 1) % 256).unwrap_or(0);
                    line = Self::Disturbed { bit, back: hash(transfer, 2).is_multiple_of(2) };
                }
                _ => {}
            }
        }
        line
    }

    /// Turns a bit of what goes to the chip over, if that is disturbed.
    pub(crate) fn there(self, bytes: &mut [u8]) {
        if let Self::Disturbed { bit, back: false } = self {
            turn_over(bit, bytes);
        }
    }

    /// Turns a bit of what comes from the chip over, if that is disturbed.
    pub(crate) fn back(self, bytes: &mut [u8]) {
        if let Self::Disturbed { bit, back: true } = self {
            turn_over(bit, bytes);
        }
    }
}

fn turn_over(bit: usize, bytes: &mut [u8]) {
    if !bytes.is_empty() {
        let bit = bit % (8 * bytes.len());
        bytes[bit / 8] ^= 0x80 >> (bit % 8);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_is_felt_on_its_own_bus_only() {
        let faults = [Fault::CablePulled(Bus::Pump), Fault::BusError(Bus::Light)];
        let of = |bus| Line::of(bus, faults.iter(), 0);
        assert_eq!([of(Bus::Pump), of(Bus::Focus), of(Bus::Light)], [Line::Cut, Line::Works, Line::Fails]);
    }

    #[test]
    fn a_disturbed_line_turns_over_one_bit_now_and_then() {
        let faults = [Fault::BusGlitch(Bus::Focus)];
        let wrong = |transfer| {
            let (mut there, mut back) = ([0u8; 4], [0u8; 5]);
            let line = Line::of(Bus::Focus, faults.iter(), transfer);
            line.there(&mut there);
            line.back(&mut back);
            there.iter().chain(&back).map(|byte| byte.count_ones()).sum::<u32>()
        };
        let counts: Vec<_> = (0..64_000).map(wrong).collect();
        assert!(counts.iter().all(|bits| *bits <= 1));
        assert!((1_850..2_150).contains(&counts.iter().sum::<u32>()));
    }

    #[test]
    #[should_panic(expected = "as was ordered")]
    fn a_driver_can_be_made_to_panic() {
        let _ = Line::of(Bus::Pump, [Fault::DriverPanic(Bus::Pump)].iter(), 0);
    }
}
