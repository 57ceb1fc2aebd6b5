//! TMC5160 stepper motion controller and driver on SPI (datasheet rev. 1.17). Knows registers and no instrument.
//!
//! A datagram is 40 bits: an address byte (bit 7 set: write) and 32 bits, most significant byte first. The chip
//! answers each datagram with its status byte and what the datagram *before* asked for, so a read takes two (section
//! 4.1). SPI mode 3, up to 4 MHz with the internal clock.

use crate::stop::Permit;
use embedded_hal::spi::SpiDevice;
use std::time::Duration;

/// Nominal internal clock, Hz; a chip's own is up to 10 % off (datasheet, electrical characteristics,
/// "internal clock frequency").
pub const NOMINAL_CLOCK_HZ: f64 = 12e6;

/// Version in bits 31..24 of IOIN (section 6.1).
const VERSION: u8 = 0x30;

/// Registers that are used, with their addresses (section 6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
#[expect(missing_docs, reason = "the datasheet's own names")]
pub enum Register {
    Gconf = 0x00,
    Gstat = 0x01,
    Ioin = 0x04,
    IholdIrun = 0x10,
    Tpowerdown = 0x11,
    Tpwmthrs = 0x13,
    Tcoolthrs = 0x14,
    Rampmode = 0x20,
    Xactual = 0x21,
    Vstart = 0x23,
    A1 = 0x24,
    V1 = 0x25,
    Amax = 0x26,
    Vmax = 0x27,
    Dmax = 0x28,
    D1 = 0x2A,
    Vstop = 0x2B,
    Xtarget = 0x2D,
    SwMode = 0x34,
    RampStat = 0x35,
    Chopconf = 0x6C,
    DrvStatus = 0x6F,
}

/// Status byte of every datagram, bit 0: the chip was reset (section 4.1.2).
const RESET_FLAG: u8 = 1 << 0;
/// Status byte, bit 1: short circuit or over-temperature.
const DRIVER_ERROR: u8 = 1 << 1;
/// RAMP_STAT bit 6: stallGuard has stopped the motor, and holds it until this is cleared by writing it.
const STOPPED_BY_STALL: u32 = 1 << 6;
/// RAMP_STAT bit 7: the position has become the target since this was cleared by writing it. It pulls DIAG0 low, open drain, where
/// SD_MODE is low and GCONF leaves that pin as it is after a reset (sections 4.4 and 6.1).
const EVENT_POSITION_REACHED: u32 = 1 << 7;
/// RAMP_STAT bit 9: the position is the target.
const POSITION_REACHED: u32 = 1 << 9;
/// RAMP_STAT bit 10: the velocity is zero.
const VZERO: u32 = 1 << 10;
/// GSTAT: all three flags, cleared by writing them.
const GSTAT_ALL: u32 = 0b111;
/// RAMPMODE: to XTARGET.
const POSITIONING: u32 = 0;
/// RAMPMODE: to VMAX, forwards.
const VELOCITY: u32 = 1;
/// RAMPMODE: the velocity stays as it is.
const HOLD: u32 = 3;

/// GCONF as today's instruments have it: fast standstill detection, StealthChop and step filter.
const GCONF: u32 = 0x0E;
/// GCONF bit 2, en_pwm_mode: StealthChop, in which stallGuard sees nothing (section 13).
const STEALTH_CHOP: u32 = 1 << 2;
/// SW_MODE bit 10, sg_stop: a stall stops the motor at once.
const STOP_AT_STALL: u32 = 1 << 10;
/// TCOOLTHRS in clocks a microstep of 1/256: stallGuard is looked at from 12,000 microsteps/s on, a quarter turn a second.
/// Slower than that a motor's back EMF is too small for it (section 13.2).
const STALLS_ARE_SEEN_FROM: u32 = 1_000;

/// The same in microsteps per second at the nominal clock; the real one changes it and every speed alike.
pub const STALLS_ARE_SEEN_FROM_USTEPS_PER_S: f64 = NOMINAL_CLOCK_HZ / STALLS_ARE_SEEN_FROM as f64;

/// How far a move is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// Under way.
    Moving,
    /// At its target.
    Reached,
    /// Stopped on its way, because the motor stalled.
    Stalled,
}

/// What can go wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error<E> {
    /// The bus.
    Bus(E),
    /// Another chip, or none: the version that was read.
    Version(u8),
    /// The chip was reset since it was set up: its registers are gone.
    Reset,
    /// A register does not hold what was written to it.
    Disturbed(Register),
    /// Its power stage reports an error; DRV_STATUS.
    PowerStage(u32),
}

/// The six-point ramp in the chip's units (section 12.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the datasheet's own names")]
pub struct Ramp {
    pub vstart: u32,
    pub a1: u32,
    pub v1: u32,
    pub amax: u32,
    pub dmax: u32,
    pub d1: u32,
    pub vstop: u32,
}

/// Microsteps per second to the chip's unit of velocity: V = v * 2^24 / fclk (section 12.1).
pub fn velocity(usteps_per_s: f64) -> u32 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "saturates, and is then clamped"
    )]
    let v = (usteps_per_s * f64::from(1 << 24) / NOMINAL_CLOCK_HZ).round() as u32;
    v.clamp(1, (1 << 23) - 512)
}

impl Ramp {
    /// How long a move takes from standstill to standstill, at the nominal clock. The real clock only stretches it:
    /// velocities and accelerations scale with it together.
    ///
    /// `vmax` in the chip's unit.
    pub fn duration(&self, usteps: u64, vmax: u32) -> Duration {
        #[expect(clippy::cast_precision_loss, reason = "moves are far below 2^53 microsteps")]
        let distance = usteps as f64;
        if usteps == 0 {
            return Duration::ZERO;
        }
        let (up, down) = self.slopes();
        let peak = self.fastest(usteps, vmax);
        let cruise = (distance - up.distance(peak) - down.distance(peak)).max(0.0) / peak;
        Duration::from_secs_f64(up.time(peak) + cruise + down.time(peak))
    }

    /// The fastest that a move becomes, in microsteps per second at the nominal clock; `vmax` in the chip's unit.
    pub fn fastest(&self, usteps: u64, vmax: u32) -> f64 {
        let (up, down) = self.slopes();
        #[expect(clippy::cast_precision_loss, reason = "moves are far below 2^53 microsteps")]
        let peak = peak(&up, &down, usteps as f64);
        speed(vmax).min(peak)
    }

    fn slopes(&self) -> (Slope, Slope) {
        let knee = speed(self.v1);
        let up = Slope {
            slow: acceleration(self.a1),
            fast: acceleration(self.amax),
            end: speed(self.vstart),
            knee,
        };
        let down = Slope {
            slow: acceleration(self.d1),
            fast: acceleration(self.dmax),
            end: speed(self.vstop),
            knee,
        };
        (up, down)
    }
}

/// One side of the ramp: from (or to) `end` with one acceleration up to the knee, with another above it.
struct Slope {
    slow: f64,
    fast: f64,
    end: f64,
    knee: f64,
}

impl Slope {
    fn time(&self, peak: f64) -> f64 {
        let knee = self.knee.min(peak);
        (knee - self.end).max(0.0) / self.slow + (peak - knee.max(self.end)).max(0.0) / self.fast
    }
    fn distance(&self, peak: f64) -> f64 {
        let (knee, end) = (self.knee.min(peak), self.end.min(peak));
        (knee * knee - end * end).max(0.0) / (2.0 * self.slow)
            + (peak * peak - knee.max(end).powi(2)).max(0.0) / (2.0 * self.fast)
    }
}

/// The speed at which accelerating and braking together use up the distance.
fn peak(up: &Slope, down: &Slope, distance: f64) -> f64 {
    let knee = up.knee.max(up.end).max(down.end);
    let below = up.distance(knee) + down.distance(knee);
    if distance >= below {
        let k = 0.5 / up.fast + 0.5 / down.fast;
        return (knee * knee + (distance - below) / k).sqrt();
    }
    let k = 0.5 / up.slow + 0.5 / down.slow;
    ((distance + up.end * up.end / (2.0 * up.slow) + down.end * down.end / (2.0 * down.slow)) / k).sqrt()
}

/// Chip's unit of velocity to microsteps per second.
fn speed(v: u32) -> f64 {
    f64::from(v) * NOMINAL_CLOCK_HZ / f64::from(1 << 24)
}

/// Chip's unit of acceleration to microsteps per second squared: a = A * fclk^2 / 2^41 (section 12.1).
fn acceleration(a: u32) -> f64 {
    f64::from(a) * NOMINAL_CLOCK_HZ / 2f64.powi(41) * NOMINAL_CLOCK_HZ
}

/// The chip on its bus.
pub struct Tmc5160<SPI> {
    spi: SPI,
}

impl<SPI: SpiDevice> Tmc5160<SPI> {
    /// Touches nothing.
    pub fn new(spi: SPI) -> Self {
        Self { spi }
    }

    /// Reads the version, and clears the reset flag so that a reset from now on shows. `true`: the chip was reset
    /// since somebody last looked, so it counts from zero.
    ///
    /// # Errors
    /// [`Error::Version`] if something else answers.
    pub fn probe(&mut self) -> Result<bool, Error<SPI::Error>> {
        self.recognize()?;
        let (gstat, _) = self.read_unchecked(Register::Gstat)?;
        self.datagram(Register::Gstat as u8 | 0x80, GSTAT_ALL)?;
        Ok(gstat & 1 != 0)
    }

    /// Reads the version, and changes nothing.
    ///
    /// # Errors
    /// [`Error::Version`] if something else answers.
    pub fn recognize(&mut self) -> Result<(), Error<SPI::Error>> {
        match self.read_unchecked(Register::Ioin)?.0.to_be_bytes()[0] {
            VERSION => Ok(()),
            other => Err(Error::Version(other)),
        }
    }

    /// Writes one register of the set-up.
    ///
    /// # Errors
    /// As every access.
    pub fn set(&mut self, register: Register, value: u32) -> Result<(), Error<SPI::Error>> {
        self.write(register, value)
    }

    /// The registers that a ramp is made of, in the order in which they are written.
    pub fn ramp_registers(ramp: &Ramp) -> [(Register, u32); 7] {
        [
            (Register::Vstart, ramp.vstart),
            (Register::A1, ramp.a1),
            (Register::V1, ramp.v1),
            (Register::Amax, ramp.amax),
            (Register::Dmax, ramp.dmax),
            (Register::D1, ramp.d1),
            (Register::Vstop, ramp.vstop),
        ]
    }

    /// Keeps a motor that stands standing, whatever target, position and velocity are written (section 12.2, hold
    /// mode). VMAX = 0 would not do: in positioning mode a motor never goes slower than VSTART.
    ///
    /// # Errors
    /// As every access.
    pub fn hold(&mut self) -> Result<(), Error<SPI::Error>> {
        self.write(Register::Rampmode, HOLD)
    }

    /// Prepares a move of a motor that is held. The target is read back: a bit that was disturbed on its way would
    /// lead the motor anywhere.
    ///
    /// # Errors
    /// As every access; [`Error::Disturbed`].
    pub fn aim(&mut self, target: i32, vmax: u32) -> Result<(), Error<SPI::Error>> {
        self.write(Register::Vmax, vmax)?;
        self.write_checked(Register::Xtarget, target.cast_unsigned())
    }

    /// The one write that starts motion; read back, too: in another mode the motor would never end.
    ///
    /// # Errors
    /// As every access; [`Error::Disturbed`].
    pub fn go(&mut self, _permit: Permit<'_>) -> Result<(), Error<SPI::Error>> {
        self.write_checked(Register::Rampmode, POSITIONING)
    }

    /// Ramps down wherever it is: velocity mode towards zero, with AMAX (section 12.2.4). Works on a chip that was
    /// never set up, too.
    ///
    /// # Errors
    /// The bus.
    pub fn stop(&mut self) -> Result<(), Error<SPI::Error>> {
        self.datagram(Register::Vmax as u8 | 0x80, 0)?;
        self.datagram(Register::Rampmode as u8 | 0x80, VELOCITY).map(drop)
    }

    /// Where the motor is, in microsteps.
    ///
    /// # Errors
    /// As every access.
    pub fn position(&mut self) -> Result<i32, Error<SPI::Error>> {
        self.read(Register::Xactual).map(u32::cast_signed)
    }

    /// Where it was last told to go; in velocity mode it goes elsewhere.
    ///
    /// # Errors
    /// As every access.
    pub fn target(&mut self) -> Result<i32, Error<SPI::Error>> {
        self.read(Register::Xtarget).map(u32::cast_signed)
    }

    /// Calls the place where the motor stands `position`.
    ///
    /// # Errors
    /// As every access.
    pub fn set_position(&mut self, position: i32) -> Result<(), Error<SPI::Error>> {
        self.write(Register::Xactual, position.cast_unsigned())
    }

    /// How far the move is.
    ///
    /// # Errors
    /// As every access.
    pub fn progress(&mut self) -> Result<Progress, Error<SPI::Error>> {
        Ok(match self.read(Register::RampStat)? {
            status if status & STOPPED_BY_STALL != 0 => Progress::Stalled,
            status if status & POSITION_REACHED != 0 => Progress::Reached,
            _ => Progress::Moving,
        })
    }

    /// Clears that a target was reached: the interrupt line rises, and falls again at the next one. A stop by stallGuard is
    /// left, because clearing that would let the motor go on.
    ///
    /// # Errors
    /// As every access.
    pub fn acknowledge(&mut self) -> Result<(), Error<SPI::Error>> {
        self.write(Register::RampStat, EVENT_POSITION_REACHED)
    }

    /// Whether a stall stops the motor. To be changed only while it stands, because the chopper's mode changes with it.
    ///
    /// # Errors
    /// As every access.
    pub fn stop_at_stall(&mut self, stop: bool) -> Result<(), Error<SPI::Error>> {
        for (register, value) in Self::stall_registers(stop) {
            self.write(register, value)?;
        }
        Ok(())
    }

    /// The registers of that, in the order in which they are written; a stall of before is forgotten last.
    pub fn stall_registers(stop: bool) -> [(Register, u32); 4] {
        let (gconf, from, mode) = match stop {
            true => (GCONF & !STEALTH_CHOP, STALLS_ARE_SEEN_FROM, STOP_AT_STALL),
            false => (GCONF, 0, 0),
        };
        [
            (Register::Gconf, gconf),
            (Register::Tcoolthrs, from),
            (Register::SwMode, mode),
            (Register::RampStat, STOPPED_BY_STALL),
        ]
    }

    /// Whether the ramp generator stands still.
    ///
    /// # Errors
    /// As every access.
    pub fn stands(&mut self) -> Result<bool, Error<SPI::Error>> {
        Ok(self.read(Register::RampStat)? & VZERO != 0)
    }

    fn write(&mut self, register: Register, value: u32) -> Result<(), Error<SPI::Error>> {
        let (_, status) = self.datagram(register as u8 | 0x80, value)?;
        self.check(status)
    }

    fn write_checked(&mut self, register: Register, value: u32) -> Result<(), Error<SPI::Error>> {
        self.write(register, value)?;
        if self.read(register)? == value { Ok(()) } else { Err(Error::Disturbed(register)) }
    }

    fn read(&mut self, register: Register) -> Result<u32, Error<SPI::Error>> {
        let (value, status) = self.read_unchecked(register)?;
        self.check(status)?;
        Ok(value)
    }

    fn read_unchecked(&mut self, register: Register) -> Result<(u32, u8), Error<SPI::Error>> {
        self.datagram(register as u8, 0)?;
        self.datagram(register as u8, 0)
    }

    /// Every datagram tells whether the chip is still the one that was set up.
    fn check(&mut self, status: u8) -> Result<(), Error<SPI::Error>> {
        if status & RESET_FLAG != 0 {
            return Err(Error::Reset);
        }
        if status & DRIVER_ERROR != 0 {
            return Err(Error::PowerStage(self.read_unchecked(Register::DrvStatus)?.0));
        }
        Ok(())
    }

    fn datagram(&mut self, address: u8, value: u32) -> Result<(u32, u8), Error<SPI::Error>> {
        let [a, b, c, d] = value.to_be_bytes();
        let mut bytes = [address, a, b, c, d];
        self.spi.transfer_in_place(&mut bytes).map_err(Error::Bus)?;
        let [status, a, b, c, d] = bytes;
        Ok((u32::from_be_bytes([a, b, c, d]), status))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The pump's ramp on today's instruments.
    const PUMP: Ramp = Ramp { vstart: 1, a1: 2000, v1: 3000, amax: 2000, dmax: 2000, d1: 4000, vstop: 10 };

    /// 6 uL at 3 mL/min with 3220 steps/mL: 0.39 s (derived from the main ramp), not the 0.12 s of volume / flow.
    #[test]
    fn a_small_stroke_never_reaches_its_speed() {
        let usteps = 6 * 3220 * 256 / 1000;
        let real = PUMP.duration(usteps, velocity(3220.0 * 256.0 * 3.0 / 60.0)).as_secs_f64();
        assert!((0.36..0.40).contains(&real), "{real}");
    }

    /// Simple integration of the ramp, step by step, as a second opinion on the closed form.
    #[test]
    fn the_closed_form_agrees_with_adding_up_small_steps() {
        for (usteps, vmax) in [(20, 5_000), (300, 50_000), (4_946, 57_600), (60_000, 57_600), (60_000, 2_000)]
        {
            let closed = PUMP.duration(usteps, vmax).as_secs_f64();
            let added = integrate(usteps as f64, speed(vmax));
            assert!(
                (closed - added).abs() < 0.01 * added + 0.002,
                "{usteps} usteps: {closed} s, added up {added} s"
            );
        }
    }

    fn integrate(distance: f64, top: f64) -> f64 {
        let (dt, knee) = (1e-6, speed(PUMP.v1));
        let (mut x, mut v, mut t) = (0.0, speed(PUMP.vstart), 0.0);
        while x < distance {
            let braking = |v: f64| {
                let below = v.min(knee);
                below * below / (2.0 * acceleration(PUMP.d1))
                    + (v * v - below * below) / (2.0 * acceleration(PUMP.dmax))
            };
            let (up, down) = if v < knee { (PUMP.a1, PUMP.d1) } else { (PUMP.amax, PUMP.dmax) };
            if braking(v) >= distance - x {
                v = (v - acceleration(down) * dt).max(speed(PUMP.vstop));
            } else {
                v = (v + acceleration(up) * dt).min(top);
            }
            x += v * dt;
            t += dt;
        }
        t
    }
}
