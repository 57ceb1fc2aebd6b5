//! The peristaltic pump: volumes. Knows no register.

use crate::board::{Enable, Spi};
use crate::calibration::{Calibration, Current};
use crate::chips::tmc5160::{Ramp, STALLS_ARE_SEEN_FROM_USTEPS_PER_S, velocity};
use crate::devices::axis::Axis;
use crate::devices::motor::{Expected, Look, Motor, StartError};
use crate::devices::oscillator::Oscillator;
use crate::stop::{StopLine, Stopped};
use planktor_protocol::pump::{Amax, Move, Refusal, Stroke, Trial};
use planktor_protocol::units::NanolitresPerSecond;
use planktor_protocol::{self as protocol, Epochs, Fault, Instant};
use std::time::Duration;

/// As today's instruments have it, but for AMAX and DMAX, which are a pump's own. V1 is a fortieth of a turn a second: what is
/// below it takes 16 ms in all.
const fn ramp(Amax(amax): Amax) -> Ramp {
    Ramp { vstart: 1, a1: 2000, v1: 3000, amax, dmax: amax, d1: 4000, vstop: 10 }
}

/// A third of what the chip can count to, so that a stroke and the place where it begins fit together.
const MOST_USTEPS: f64 = 700e6;

/// The pump.
pub struct Pump {
    axis: Axis,
    calibration: Current,
}

impl Pump {
    /// Touches nothing; opening does.
    pub fn new(
        spi: Spi,
        enable: Enable,
        stop: StopLine,
        calibration: Current,
        oscillator: Oscillator,
    ) -> Self {
        let ramp = ramp(calibration.get().pump_amax);
        let axis = Axis::new(spi, enable, stop, protocol::Axis::Pump, ramp, oscillator);
        Self { axis, calibration }
    }
}

impl Motor for Pump {
    type Move = Stroke;
    type Refusal = Refusal;
    const AXIS: protocol::Axis = protocol::Axis::Pump;
    const BUSY: Refusal = Refusal::Busy;
    const STOPPED: Refusal = Refusal::Stopped;

    fn open(&mut self) -> Result<bool, Fault> {
        self.axis.open()
    }

    fn start(
        &mut self,
        stroke: Stroke,
        admitted: Epochs,
        now: impl Fn() -> Instant,
    ) -> Result<Expected, StartError<Refusal>> {
        let calibration = self.calibration.get();
        let (stroke, amax, is_trial) = match stroke {
            Stroke::Usual(stroke) => (stroke, calibration.pump_amax, false),
            Stroke::Trial(Trial { stroke, amax }) => (stroke, amax, true),
        };
        check(&calibration, stroke).map_err(StartError::Refused)?;
        let (usteps, speed) = turns(&calibration, stroke);
        if is_trial {
            stalls_are_seen(&calibration, amax, usteps, speed).map_err(StartError::Refused)?;
        }
        self.axis.shape(ramp(amax), is_trial)?;
        self.axis.start(usteps, speed, admitted, now).map_err(|e| e.refused_as(|Stopped| Refusal::Stopped))
    }

    fn look(&mut self, now: impl Fn() -> Instant) -> Result<Look, Fault> {
        self.axis.look(now)
    }

    fn acknowledge(&mut self) -> Result<(), Fault> {
        self.axis.acknowledge()
    }

    fn brake(&mut self) -> Result<(), Fault> {
        self.axis.brake()
    }

    fn release(&mut self) -> Result<bool, Fault> {
        self.axis.release()
    }

    fn make_safe(&mut self) {
        self.axis.make_safe();
    }
}

/// A stroke that was checked as microsteps, and microsteps per second.
fn turns(calibration: &Calibration, stroke: Move) -> (i32, f64) {
    let per_nl = calibration.pump_usteps_per_ml() / 1e6;
    #[expect(clippy::cast_precision_loss, reason = "checked: far below 2^53")]
    let (volume, flow) = (stroke.volume.0 as f64, stroke.flow.min(calibration.pump_max_flow).0 as f64);
    #[expect(clippy::cast_possible_truncation, reason = "checked: below 2^30")]
    let usteps = (volume * per_nl).round() as i32;
    (usteps, flow * per_nl)
}

/// A trial in which a stall cannot be seen proves nothing.
fn stalls_are_seen(calibration: &Calibration, amax: Amax, usteps: i32, speed: f64) -> Result<(), Refusal> {
    let fastest = ramp(amax).fastest(usteps.unsigned_abs().into(), velocity(speed));
    let per_nl = calibration.pump_usteps_per_ml() / 1e6;
    #[expect(clippy::cast_possible_truncation, reason = "a pump's flow is far below 2^63 nL/s")]
    let flow = |usteps_per_s: f64| NanolitresPerSecond((usteps_per_s / per_nl).round() as i64);
    let (reaches, least) = (flow(fastest), flow(STALLS_ARE_SEEN_FROM_USTEPS_PER_S));
    if reaches <= least { Err(Refusal::StallUnseen { reaches, least }) } else { Ok(()) }
}

/// How long a stroke that was checked takes.
pub fn lasts(calibration: &Calibration, stroke: Move) -> Duration {
    let (usteps, speed) = turns(calibration, stroke);
    ramp(calibration.pump_amax).duration(usteps.unsigned_abs().into(), velocity(speed))
}

/// Whether a pump so calibrated can do this stroke.
///
/// # Errors
/// What it cannot do.
pub fn check(calibration: &Calibration, stroke: Move) -> Result<(), Refusal> {
    if stroke.volume.0 == 0 {
        return Err(Refusal::NoVolume);
    }
    if stroke.flow.0 < 1 {
        return Err(Refusal::Flow(stroke.flow));
    }
    #[expect(clippy::cast_possible_truncation, reason = "a few hundred millilitres in nanolitres")]
    let most = (MOST_USTEPS / calibration.pump_usteps_per_ml() * 1e6) as i64;
    if stroke.volume.0.unsigned_abs() > most.unsigned_abs() {
        return Err(Refusal::Volume { volume: stroke.volume, most });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use planktor_protocol::units::{Nanolitres, NanolitresPerSecond};

    #[test]
    fn a_trial_that_never_turns_fast_enough_for_a_stall_to_be_seen_is_refused() {
        let tried = |nl, nl_per_s, amax| {
            let stroke = Move { volume: Nanolitres(nl), flow: NanolitresPerSecond(nl_per_s) };
            let (usteps, speed) = turns(&Calibration::V3_0, stroke);
            stalls_are_seen(&Calibration::V3_0, Amax(amax), usteps, speed)
        };
        assert_eq!(tried(6_000, 50_000, 2_000), Ok(()), "a frame's stroke");
        assert!(tried(6_000, 14_000, 2_000).is_err(), "0.84 mL/min");
        assert!(tried(600, 50_000, 2_000).is_err() && tried(600, 50_000, 30_000).is_ok(), "0.6 uL");
    }

    /// What an acquisition pumps for a frame: 6 uL at 3 mL/min.
    #[test]
    fn four_times_the_acceleration_takes_two_fifths_off_a_stroke() {
        let stroke = Move { volume: Nanolitres(6_000), flow: NanolitresPerSecond(50_000) };
        let with =
            |amax| lasts(&Calibration { pump_amax: Amax(amax), ..Calibration::V3_0 }, stroke).as_secs_f64();
        assert!((with(2_000) - 0.381).abs() < 0.002, "{} s", with(2_000));
        assert!((with(8_000) - 0.215).abs() < 0.002, "{} s", with(8_000));
    }
}
