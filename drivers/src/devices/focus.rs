//! The focusing stage: heights. Knows no register.
//!
//! Nothing mechanical stops the stage from driving the flow cell into the lens, and it has no home switch: heights
//! are counted from where it was switched on, and it may not leave that place by more than its travel.

use crate::board::{Enable, Spi};
use crate::calibration::Calibration;
use crate::chips::tmc5160::{Ramp, velocity};
use crate::devices::axis::Axis;
use crate::devices::motor::{Expected, Look, Motor, StartError};
use crate::devices::oscillator::Oscillator;
use crate::stop::{StopLine, Stopped};
use planktor_protocol::focus::{Move, Refusal, Target};
use planktor_protocol::units::{Micrometres, MicrometresPerSecond};
use planktor_protocol::{self as protocol, Epochs, Fault, Instant};
use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

/// As today's instruments have it: half the pump's acceleration, for the weight of two motors' stage.
const RAMP: Ramp = Ramp { vstart: 1, a1: 2000, v1: 3000, amax: 1000, dmax: 1000, d1: 4000, vstop: 10 };

/// Where the stage is; outlives its driver.
#[derive(Clone, Debug, Default)]
pub struct Height(Rc<Cell<Known>>);

#[derive(Clone, Copy, Debug, Default)]
struct Known {
    usteps: i32,
    /// How far it may be from there, because it was cut off while it moved.
    doubt: u32,
    /// Whether anybody has counted yet.
    counted: bool,
}

impl Height {
    /// Above where it was switched on. While it moves: where it stood.
    pub fn micrometres(&self, calibration: &Calibration) -> Micrometres {
        in_micrometres(self.0.get().usteps.into(), calibration)
    }

    /// How far it may be from there.
    pub fn doubt(&self, calibration: &Calibration) -> Micrometres {
        in_micrometres(self.0.get().doubt.into(), calibration)
    }

    /// Whether it was cut off while it moved, so that the height is what its driver last believed.
    pub fn is_uncertain(&self) -> bool {
        self.0.get().doubt > 0
    }

    fn stands_at(&self, usteps: i32) {
        self.0.set(Known { usteps, counted: true, ..self.0.get() });
    }

    /// It was found on a way that it was still to go so far, and may have no current since anywhere on it: the chip counts on.
    /// Who has counted before knows better.
    fn found_going_by(&self, usteps: u32) {
        let known = self.0.get();
        if !known.counted {
            self.0.set(Known { doubt: known.doubt.max(usteps), ..known });
        }
    }

    /// It stands somewhere between here and where it was going.
    fn cut_off(&self, going_by: u32) {
        let known = self.0.get();
        self.0.set(Known { doubt: known.doubt.saturating_add(going_by), ..known });
    }
}

fn in_micrometres(usteps: f64, calibration: &Calibration) -> Micrometres {
    #[expect(clippy::cast_possible_truncation, reason = "a stage's travel is far below 2^63 um")]
    Micrometres((usteps * 1e3 / calibration.focus_usteps_per_mm()).round() as i64)
}

/// How long a move over so many micrometres takes.
pub fn lasts(calibration: &Calibration, by: Micrometres, speed: MicrometresPerSecond) -> Duration {
    let per_um = calibration.focus_usteps_per_mm() / 1e3;
    #[expect(clippy::cast_precision_loss, reason = "a stage's travel is far below 2^53 um")]
    let speed = speed.min(calibration.focus_max_speed).0 as f64 * per_um;
    let by = by.0.unsigned_abs() as f64 * per_um;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "neither negative nor large")]
    RAMP.duration(by.round() as u64, velocity(speed))
}

/// The stage.
pub struct Focus {
    axis: Axis,
    calibration: Calibration,
    height: Height,
}

impl Focus {
    /// Touches nothing; opening does.
    pub fn new(
        spi: Spi,
        enable: Enable,
        stop: StopLine,
        calibration: Calibration,
        height: Height,
        oscillator: Oscillator,
    ) -> Self {
        let axis = Axis::new(spi, enable, stop, protocol::Axis::Focus, RAMP, oscillator);
        Self { axis, calibration, height }
    }
}

impl Motor for Focus {
    type Move = Move;
    type Refusal = Refusal;
    const AXIS: protocol::Axis = protocol::Axis::Focus;
    const BUSY: Refusal = Refusal::Busy;
    const STOPPED: Refusal = Refusal::Stopped;

    fn open(&mut self) -> Result<bool, Fault> {
        let opened = self.axis.open();
        self.axis.found_going_by().into_iter().for_each(|usteps| self.height.found_going_by(usteps));
        if !opened? {
            return Ok(false);
        }
        // The chip's own count is worth something only to who has none: it goes on counting without current.
        let known = self.height.0.get();
        if known.counted || self.axis.was_reset() {
            self.axis.set_position(known.usteps);
        }
        self.height.stands_at(self.axis.position());
        Ok(true)
    }

    fn start(
        &mut self,
        order: Move,
        admitted: Epochs,
        now: impl Fn() -> Instant,
    ) -> Result<Expected, StartError<Refusal>> {
        let here = self.height.micrometres(&self.calibration);
        let doubt = self.height.doubt(&self.calibration);
        let to = height_after(&self.calibration, here, doubt, order).map_err(StartError::Refused)?;
        let per_um = self.calibration.focus_usteps_per_mm() / 1e3;
        #[expect(clippy::cast_precision_loss, reason = "within the travel: far below 2^53")]
        let (to, speed) = (to.0 as f64, order.speed.min(self.calibration.focus_max_speed).0 as f64);
        #[expect(clippy::cast_possible_truncation, reason = "within the travel: below 2^30")]
        let usteps = (to * per_um).round() as i32 - self.axis.position();
        self.axis
            .start(usteps, speed * per_um, admitted, now)
            .map_err(|e| e.refused_as(|Stopped| Refusal::Stopped))
    }

    fn look(&mut self, now: impl Fn() -> Instant) -> Result<Look, Fault> {
        let look = self.axis.look(now)?;
        if matches!(look, Look::Reached(_)) {
            self.height.stands_at(self.axis.position());
        }
        Ok(look)
    }

    fn acknowledge(&mut self) -> Result<(), Fault> {
        self.axis.acknowledge()
    }

    fn brake(&mut self) -> Result<(), Fault> {
        self.axis.brake()
    }

    fn release(&mut self) -> Result<bool, Fault> {
        let stands = self.axis.release()?;
        if stands {
            self.height.stands_at(self.axis.position());
        }
        Ok(stands)
    }

    fn make_safe(&mut self) {
        if let Some(by) = self.axis.going_by() {
            self.height.cut_off(by);
        }
        self.axis.make_safe();
    }
}

/// The height after a move from `here`, give or take `doubt`, if a stage so calibrated may do it.
///
/// # Errors
/// What it may not do.
pub fn height_after(
    calibration: &Calibration,
    here: Micrometres,
    doubt: Micrometres,
    order: Move,
) -> Result<Micrometres, Refusal> {
    if order.speed.0 < 1 {
        return Err(Refusal::Speed(order.speed));
    }
    let height = match order.target {
        Target::By(Micrometres(0)) => return Err(Refusal::NoDistance),
        Target::By(distance) => Micrometres(here.0.saturating_add(distance.0)),
        Target::To(height) => height,
    };
    let travel = calibration.focus_travel_um - doubt.0;
    if !(-travel..=travel).contains(&height.0) {
        return Err(Refusal::BeyondTravel {
            height,
            lowest: Micrometres(-travel),
            highest: Micrometres(travel),
        });
    }
    Ok(height)
}

#[cfg(test)]
mod tests {
    use super::*;
    use planktor_protocol::units::MicrometresPerSecond;

    #[test]
    fn the_stage_never_leaves_its_travel_in_however_many_moves() {
        let up = Move { target: Target::By(Micrometres(30_000)), speed: MicrometresPerSecond(5_000) };
        let after = |here, doubt, order| height_after(&Calibration::V3_0, here, Micrometres(doubt), order);
        let first = after(Micrometres(0), 0, up).unwrap();
        assert!(matches!(after(first, 0, up), Err(Refusal::BeyondTravel { .. })));
        let far = Move { target: Target::By(Micrometres(i64::MAX)), ..up };
        assert!(after(first, 0, far).is_err());
        assert!(after(Micrometres(0), 20_000, up).is_err(), "it may be higher than it is believed to be");
    }
}
