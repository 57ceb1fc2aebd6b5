//! A motor on a TMC5160: one move at a time, and when it really ends. Knows no volume, no height and no waiting.
//!
//! The end of a move follows from its ramp and from the chip's own clock, which is known to 10 % only until its moves have
//! shown it ([`Oscillator`]). So the first look comes ever closer to the true end.

use crate::board::{Enable, Spi};
use crate::chips::tmc5160::{self, Progress, Ramp, Register, Tmc5160};
use crate::devices::motor::{Expected, Look, StartError};
use crate::devices::oscillator::Oscillator;
use crate::stop::{StopLine, Stopped};
use embedded_hal::spi::ErrorKind;
use planktor_protocol::{self as protocol, Epochs, Fault, Instant, Interval};
use std::time::Duration;

/// Registers besides the ramp's and those of stalls, as today's instruments have them: the chopper; hold 1, run 5, delay 8 (IHOLD_IRUN); power down after 0.2 s; StealthChop below TPWMTHRS.
const SET_UP: [(Register, u32); 4] = [
    (Register::Chopconf, 0x0001_00C3),
    (Register::IholdIrun, 0x0008_0501),
    (Register::Tpowerdown, 10),
    (Register::Tpwmthrs, 500),
];

/// Beyond this the position is counted from zero again; 2^30 leaves room for the largest move.
const FARTHEST: i32 = 1 << 30;
/// A move that is stopped ends between its begin and its target, or this little beyond: braking and the ramp's own end
/// differ by the last steps of VSTART and VSTOP. A full step.
const OVERSHOOT: i32 = 256;
/// After the latest possible end; a late alarm is no reason to give up.
const PATIENCE: Duration = Duration::from_millis(100);

/// A motor on its driver.
pub struct Axis {
    chip: Tmc5160<Spi>,
    enable: Enable,
    stop: StopLine,
    axis: protocol::Axis,
    ramp: Ramp,
    position: i32,
    oscillator: Oscillator,
    going: Option<Going>,
    opened: usize,
    was_reset: bool,
    found_going_by: Option<u32>,
    stops_at_stall: bool,
}

struct Going {
    /// When: the order is on its way to the chip for a while, and whoever sends it may be kept waiting.
    begun: Interval,
    nominal: Duration,
    not_yet: Instant,
    target: i32,
}

impl Axis {
    /// Touches nothing; [`Axis::open`] does.
    pub fn new(
        spi: Spi,
        enable: Enable,
        stop: StopLine,
        axis: protocol::Axis,
        ramp: Ramp,
        oscillator: Oscillator,
    ) -> Self {
        let chip = Tmc5160::new(spi);
        Self {
            chip,
            enable,
            stop,
            axis,
            ramp,
            position: 0,
            oscillator,
            going: None,
            opened: 0,
            was_reset: false,
            found_going_by: None,
            stops_at_stall: false,
        }
    }

    /// One step of opening: *stop* before anything is enabled (the chip may have kept a target), then the version,
    /// then whether it stands, then register by register, then the position. `true` when it is open.
    ///
    /// # Errors
    /// [`Fault`]: nobody answers, or somebody else; [`Fault::Turning`]: it was moving when the program before was gone. It
    /// brakes, and can be opened soon.
    pub fn open(&mut self) -> Result<bool, Fault> {
        let step = self.opened;
        self.opened += 1;
        let ramp = Tmc5160::<Spi>::ramp_registers(&self.ramp);
        let stalls = Tmc5160::<Spi>::stall_registers(false);
        match step {
            0 => self.chip.stop().map_err(fault)?,
            1 => self.was_reset = self.chip.probe().map_err(fault)?,
            2 => self.found_standing()?,
            _ => match stalls.iter().chain(&SET_UP).chain(&ramp).nth(step - 3) {
                Some((register, value)) => self.chip.set(*register, *value).map_err(fault)?,
                None => {
                    self.position = self.chip.position().map_err(fault)?;
                    return Ok(true);
                }
            },
        }
        Ok(false)
    }

    fn found_standing(&mut self) -> Result<(), Fault> {
        if self.chip.stands().map_err(fault)? {
            return Ok(());
        }
        let (position, target) = (self.chip.position().map_err(fault)?, self.chip.target().map_err(fault)?);
        self.found_going_by = Some(target.abs_diff(position).max(OVERSHOOT.unsigned_abs()));
        Err(Fault::Turning)
    }

    /// How far it was still going, in microsteps, if opening found it turning: a move of nobody here.
    pub fn found_going_by(&self) -> Option<u32> {
        self.found_going_by
    }

    /// Whether opening found that the chip had been reset: then it counts from zero.
    pub fn was_reset(&self) -> bool {
        self.was_reset
    }

    /// Where it stands, in microsteps; while it moves: where it stood.
    pub fn position(&self) -> i32 {
        self.position
    }

    /// Calls the place where it stands `position`; the chip learns it at the next move.
    pub fn set_position(&mut self, position: i32) {
        self.position = position;
    }

    /// How far it was told to move, in microsteps, if it has not been seen to stand since.
    pub fn going_by(&self) -> Option<u32> {
        self.going.as_ref().map(|going| going.target.abs_diff(self.position))
    }

    /// How the next moves are made: with which ramp, and whether a stall ends them. To be said while it stands.
    ///
    /// # Errors
    /// [`Fault`]: nobody answers.
    pub fn shape(&mut self, ramp: Ramp, stops_at_stall: bool) -> Result<(), Fault> {
        let old = Tmc5160::<Spi>::ramp_registers(&self.ramp);
        for (new, old) in Tmc5160::<Spi>::ramp_registers(&ramp).into_iter().zip(old) {
            if new != old {
                self.chip.set(new.0, new.1).map_err(fault)?;
            }
        }
        self.ramp = ramp;
        if stops_at_stall != self.stops_at_stall {
            self.chip.stop_at_stall(stops_at_stall).map_err(fault)?;
            self.stops_at_stall = stops_at_stall;
        }
        Ok(())
    }

    /// Starts a move by `usteps` at `usteps_per_s`; says when it is expected to end. `now` is asked while it is begun.
    ///
    /// # Errors
    /// [`StartError::Refused`] when a stop came in between: then nothing moves.
    pub fn start(
        &mut self,
        usteps: i32,
        usteps_per_s: f64,
        admitted: Epochs,
        now: impl Fn() -> Instant,
    ) -> Result<Expected, StartError<Stopped>> {
        // Whatever the ramp generator did while the motor had no current, it counts from where the motor stands.
        if !self.chip.stands().map_err(fault)? {
            return Err(Fault::Elsewhere.into());
        }
        self.chip.hold().map_err(fault)?;
        if self.position.checked_add(usteps).is_none_or(|target| target.abs() > FARTHEST) {
            self.position = 0;
        }
        self.chip.set_position(self.position).map_err(fault)?;
        let target = self.position + usteps;
        if usteps == 0 {
            let at = now();
            let begun = Interval { from: at, to: at };
            self.going = Some(Going { begun, nominal: Duration::ZERO, not_yet: at, target });
            return Ok(Expected { until: at, look: at });
        }
        let vmax = tmc5160::velocity(usteps_per_s);
        let nominal = self.ramp.duration(usteps.unsigned_abs().into(), vmax);
        self.chip.aim(target, vmax).map_err(fault)?;
        let permit = self.stop.permit(self.axis, admitted).map_err(StartError::Refused)?;
        self.enable.on().map_err(|_| Fault::Bus("the motor's enable line"))?;
        let from = now();
        let going = |to| Going { begun: Interval { from, to }, nominal, not_yet: to, target };
        // Whether or not the chip says that it has the order.
        self.going = Some(going(from));
        self.chip.go(permit).map_err(fault)?;
        self.going = Some(going(now()));
        Ok(Expected {
            until: from + self.oscillator.likely(nominal),
            look: from + self.oscillator.earliest(nominal),
        })
    }

    /// Whether the move is over. `now` is asked before the chip and after it.
    ///
    /// # Errors
    /// [`Fault::Late`] well after the latest possible end, [`Fault::Stalled`] if that was to be seen; or the chip's own.
    pub fn look(&mut self, now: impl Fn() -> Instant) -> Result<Look, Fault> {
        let Some(going) = &mut self.going else { return Ok(Look::Reached(Duration::ZERO)) };
        let asked = now();
        let progress = self.chip.progress().map_err(fault)?;
        let told = now();
        let earliest = going.begun.from + self.oscillator.earliest(going.nominal);
        if progress == Progress::Stalled {
            return Err(Fault::Stalled);
        }
        if progress == Progress::Reached || going.nominal.is_zero() {
            // A target that was disturbed on its way is reached, too.
            if self.chip.position().map_err(fault)? != going.target {
                return Err(Fault::Elsewhere);
            }
            // Nobody looks before the earliest possible end.
            let at_most = told - going.not_yet.max(earliest);
            self.oscillator.learn(going.nominal, going.not_yet - going.begun.to, told - going.begun.from);
            self.position = going.target;
            self.going = None;
            return Ok(Look::Reached(at_most));
        }
        // Who was called for nothing has learnt nothing of the end, and looks when it would have looked.
        if asked < earliest {
            return Ok(Look::Again(earliest));
        }
        going.not_yet = asked;
        if asked > going.begun.to + self.oscillator.latest(going.nominal) + PATIENCE {
            return Err(Fault::Late);
        }
        Ok(Look::Again(asked + self.oscillator.between_looks(going.nominal, asked - going.begun.from)))
    }

    /// Clears that a move has ended, so that the driver can call at the end of the next one.
    ///
    /// # Errors
    /// [`Fault`]: nobody answers.
    pub fn acknowledge(&mut self) -> Result<(), Fault> {
        self.chip.acknowledge().map_err(fault)
    }

    /// Ramps down. Right at any time.
    ///
    /// # Errors
    /// [`Fault`]: nobody answers.
    pub fn brake(&mut self) -> Result<(), Fault> {
        self.chip.stop().map_err(fault)
    }

    /// Whether it stands after [`Axis::brake`]; if so, where, and its current is taken away.
    ///
    /// # Errors
    /// [`Fault`]: nobody answers.
    pub fn release(&mut self) -> Result<bool, Fault> {
        if !self.chip.stands().map_err(fault)? {
            // Told again, for VMAX cannot be read back: a stop that was disturbed on its way would let it run.
            self.brake()?;
            return Ok(false);
        }
        // Without a move under way it stands where it stood, whatever the chip has counted.
        if let Some(going) = &self.going {
            let stands = self.chip.position().map_err(fault)?;
            let (from, to) = (self.position.min(going.target), self.position.max(going.target));
            if !(from - OVERSHOOT..=to + OVERSHOOT).contains(&stands) {
                return Err(Fault::Elsewhere);
            }
            self.position = stands;
        }
        self.going = None;
        self.enable.off();
        Ok(true)
    }

    /// Off: first by what works when the bus does not.
    pub fn make_safe(&mut self) {
        self.enable.off();
        let _ = self.chip.stop();
    }
}

fn fault(error: tmc5160::Error<ErrorKind>) -> Fault {
    match error {
        tmc5160::Error::Bus(_) => Fault::Bus("the motor driver"),
        tmc5160::Error::Version(found) => Fault::WrongChip { expected: "TMC5160", found },
        tmc5160::Error::Reset => Fault::ChipReset,
        tmc5160::Error::Disturbed(_) => Fault::Elsewhere,
        tmc5160::Error::PowerStage(status) => Fault::PowerStage(status),
    }
}
