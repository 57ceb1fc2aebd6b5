//! A TMC5160 with its motor, as the chip's datasheet (rev. 1.17) describes it: register file, one-datagram-late reads,
//! status byte, the six-point ramp as closed forms of time, events and their clear rules, stallGuard, the power stage
//! and its faults, and the ENABLE and DIAG pins. It never ticks: what happened between two looks is worked out then.
//!
//! Not modelled: reference switches and encoder, dcStep, the shape of the current, StealthChop's tuning, MSLUT.

mod ramp;
mod registers;

use embedded_hal::spi;
use planktor_protocol::{Instant, Interval};
pub(crate) use ramp::Piece;
use ramp::{Ramp, Track};
use registers::*;
use std::collections::VecDeque;
use std::time::Duration;

/// How far back the world may look: a late frame is taken seconds after its exposure.
const MEMORY: Duration = Duration::from_secs(12);
/// StallGuard's reading of a motor that turns freely; a stalled one reads zero. Assumption: any number of 10 bits.
const FREE: u32 = 250;
/// TSTEP of a motor that stands, or nearly (section 6.1: limited to 2^20 - 1).
const SLOWEST: u32 = 0xF_FFFF;
/// Microsteps of an electrical period (MSCNT, section 6.5).
const PERIOD: i32 = 1_024;

/// What the shaft did from an instant on: it follows the ramp generator by a part, 0 to 1.
#[derive(Clone, Debug)]
struct Era {
    since: Instant,
    track: Track,
    follows: f64,
    shaft: f64,
}

impl Era {
    fn shaft_at(&self, then: Instant) -> f64 {
        if self.follows == 0.0 {
            return self.shaft;
        }
        self.shaft + self.follows * (self.track.at(then).0 - self.track.at(self.since).0)
    }
}

/// What is wrong with the motor or its driver.
#[derive(Clone, Copy, Debug, Default)]
struct Harm {
    stalled: bool,
    slips: f64,
    open_load: bool,
    hot: bool,
}

/// The chip, its motor and its pins.
#[derive(Debug)]
pub struct Model {
    clock_hz: f64,
    registers: [u32; 128],
    asked: u32,
    enabled: bool,
    harm: Harm,
    /// The fastest acceleration that the motor can follow with its load, microsteps/s2.
    bears: f64,
    /// The part of the way that the shaft follows the ramp as it is.
    keeps_up: f64,
    /// Events of RAMP_STAT that were not cleared.
    events: u32,
    /// Until then events have been noticed.
    noticed: Instant,
    eras: VecDeque<Era>,
}

impl Model {
    /// Just powered up, not enabled. `clock_hz`: its own internal clock, 12 MHz within 10 %.
    pub fn new(clock_hz: f64) -> Self {
        let rest = Track::still(Instant::ZERO, 0.0);
        let eras = VecDeque::from([Era { since: Instant::ZERO, track: rest, follows: 0.0, shaft: 0.0 }]);
        Self {
            clock_hz,
            registers: RESET,
            asked: 0,
            enabled: false,
            harm: Harm::default(),
            bears: f64::INFINITY,
            keeps_up: 1.0,
            events: 0,
            noticed: Instant::ZERO,
            eras,
        }
    }

    /// With a motor that follows no faster acceleration than this, microsteps/s2: beyond it loses the steps that it is too
    /// slow for.
    #[must_use]
    pub fn bearing(self, usteps_per_s2: f64) -> Self {
        Self { bears: usteps_per_s2, ..self }
    }

    /// Forty bits in, forty bits out: the status byte, and what the datagram before this one asked for (section 4.1).
    pub fn datagram(&mut self, bytes: &mut [u8; 5], now: Instant) {
        let [address, a, b, c, d] = *bytes;
        let answer = self.asked.to_be_bytes();
        let (write, address) = (address & 0x80 != 0, address & 0x7F);
        self.notice(now);
        if write {
            self.write(address, u32::from_be_bytes([a, b, c, d]), now);
        } else {
            self.asked = self.read(address, now);
        }
        bytes[0] = self.status(now);
        bytes[1..].copy_from_slice(&answer);
    }

    /// The same on a bus in any mode. The chip shifts on the edges of mode 3 (section 4.3): in another mode each side
    /// samples half a clock too early or too late, and every bit is its neighbour's.
    pub fn datagram_in(&mut self, mode: spi::Mode, bytes: &mut [u8; 5], now: Instant) {
        if mode == spi::MODE_3 {
            return self.datagram(bytes, now);
        }
        let shifted = |bytes: &[u8; 5]| {
            let all = bytes.iter().fold(0u64, |all, byte| all << 8 | u64::from(*byte)) >> 1;
            let [.., a, b, c, d, e] = all.to_be_bytes();
            [a, b, c, d, e]
        };
        let mut heard = shifted(bytes);
        self.datagram(&mut heard, now);
        *bytes = shifted(&heard);
    }

    /// The ENABLE pin (DRV_ENN, active low).
    pub fn enable(&mut self, on: bool, now: Instant) {
        self.enabled = on;
        self.follow_anew(now);
    }

    /// Whether the motor is enabled.
    pub fn is_enabled(&self) -> bool {
        self.enabled
    }

    /// The interrupt line, DIAG0 with SD_MODE low: an event waits to be cleared (section 4.4).
    pub fn diag0(&mut self, now: Instant) -> bool {
        self.notice(now);
        self.events & INTERRUPTS != 0
    }

    /// When that line falls next if nothing is written: the ramp generator reaches its target, or stallGuard stops it. `None`
    /// while it is low.
    pub fn diag0_falls(&mut self, now: Instant) -> Option<Instant> {
        if self.diag0(now) {
            return None;
        }
        self.track().cut.or_else(|| self.reaches()).filter(|then| *then > now)
    }

    /// The position compare line, DIAG1 with SD_MODE low: the position is X_COMPARE (section 6.1).
    pub fn diag1(&self, now: Instant) -> bool {
        self.position(now) == self.register(X_COMPARE)
    }

    /// The supply drops: registers, position and events are gone, and with TOFF the motor's current (section 6.1, GSTAT).
    pub fn reset(&mut self, now: Instant) {
        self.registers = RESET;
        (self.asked, self.events) = (0, 0);
        self.begin(Track::still(now, 0.0), now);
    }

    /// The shaft is held fast, or free again.
    pub fn stall(&mut self, stalled: bool, now: Instant) {
        self.harm.stalled = stalled;
        self.follow_anew(now);
        self.stop_if_stalled(now);
    }

    /// The shaft loses a part of its way, 0 to 1.
    pub fn slip(&mut self, lost: f64, now: Instant) {
        self.harm.slips = lost.clamp(0.0, 1.0);
        self.follow_anew(now);
    }

    /// A coil's wire is off: the motor only trembles.
    pub fn open_load(&mut self, open: bool, now: Instant) {
        self.harm.open_load = open;
        self.follow_anew(now);
    }

    /// The power stage is too hot, and off until it is cool (section 11.1).
    pub fn overheat(&mut self, hot: bool, now: Instant) {
        self.harm.hot = hot;
        if hot {
            self.registers[usize::from(GSTAT)] |= GSTAT_DRV_ERR;
        }
        self.follow_anew(now);
    }

    /// Where the shaft really was, in microsteps since power-up.
    pub fn shaft_at(&self, then: Instant) -> f64 {
        self.era_at(then).shaft_at(then)
    }

    /// Whether the shaft turned at that instant.
    pub fn turns_at(&self, then: Instant) -> bool {
        let era = self.era_at(then);
        era.follows > 0.0 && era.track.at(then).1 != 0.0
    }

    /// The last time up to `then` in which the shaft turned; it ends at `then` if it still does.
    pub fn last_turned(&self, then: Instant) -> Option<Interval> {
        let turned = (0..self.eras.len()).rev().filter_map(|n| self.turned(n, then));
        // However often it was told something else in between, it is one motion.
        turned.reduce(
            |last, before| if before.to == last.from { Interval { from: before.from, ..last } } else { last },
        )
    }

    /// When the shaft turned in an era, up to `then`.
    fn turned(&self, n: usize, then: Instant) -> Option<Interval> {
        let era = &self.eras[n];
        let over = self.eras.get(n + 1).map_or(then, |next| next.since.min(then));
        let to = era.track.ends().map_or(over, |end| end.min(over));
        let turns = era.follows > 0.0 && era.track.turns() && to > era.since;
        turns.then_some(Interval { from: era.since, to })
    }

    /// The shaft's own past as pieces that follow each other without a gap.
    pub(crate) fn past(&self, until: Instant) -> impl Iterator<Item = (Instant, Piece)> + '_ {
        let ends = self.eras.iter().skip(1).map(|era| era.since).chain([until]);
        self.eras.iter().zip(ends).flat_map(move |(era, end)| shaft_pieces(era, end.min(until)))
    }

    fn era_at(&self, then: Instant) -> &Era {
        let era = self.eras.iter().rev().find(|era| era.since <= then);
        era.or(self.eras.front()).expect("there is always an era")
    }

    /// What the ramp generator does from now on.
    fn track(&self) -> &Track {
        &self.eras.back().expect("there is always an era").track
    }

    fn begin(&mut self, track: Track, now: Instant) {
        let era = Era { since: now, track, follows: self.follows(), shaft: self.shaft_at(now) };
        let old = era.since - MEMORY;
        while self.eras.len() > 1 && self.eras[1].since < old {
            self.eras.pop_front();
        }
        if self.eras.back().is_some_and(|last| last.since == era.since) {
            self.eras.pop_back();
        }
        self.eras.push_back(era);
    }

    /// The ramp generator goes on, the shaft follows it otherwise.
    fn follow_anew(&mut self, now: Instant) {
        let track = self.track().clone();
        self.begin(track, now);
    }

    /// How much of the ramp generator's way the shaft goes.
    fn follows(&self) -> f64 {
        let Harm { stalled, slips, open_load, hot } = self.harm;
        let power = self.enabled && self.register(CHOPCONF) & TOFF != 0 && !hot;
        if power && !stalled && !open_load { (1.0 - slips) * self.keeps_up } else { 0.0 }
    }

    fn write(&mut self, address: u8, value: u32, now: Instant) {
        let value = value & bits(address);
        match access(address) {
            Access::None | Access::Read => return,
            Access::Clear if address == RAMP_STAT => self.events &= !value,
            Access::Clear => {
                // What is still wrong cannot be cleared (section 6.1, GSTAT).
                let lasting = if address == GSTAT && self.harm.hot { GSTAT_DRV_ERR } else { 0 };
                self.registers[usize::from(address)] &= !value | lasting;
            }
            Access::Write | Access::Both => self.registers[usize::from(address)] = value,
        }
        match address {
            XACTUAL => self.ramp_anew(f64::from(value.cast_signed()), now),
            RAMPMODE | VSTART..=VMAX | DMAX | D1 | VSTOP | TZEROWAIT | XTARGET => {
                self.ramp_anew(self.track().at(now).0, now);
            }
            CHOPCONF => self.follow_anew(now),
            RAMP_STAT | SW_MODE | TCOOLTHRS => self.stop_if_stalled(now),
            _ => {}
        }
    }

    /// From the position `x`, as the registers say now (section 12.2). A stop by stallGuard holds until it is cleared.
    fn ramp_anew(&mut self, x: f64, now: Instant) {
        if self.events & EVENT_STOP_SG != 0 {
            return self.begin(Track::still(now, x), now);
        }
        let brakes = if self.register(RAMPMODE) == 0 { self.acceleration(DMAX) } else { 0.0 };
        self.keeps_up = (self.bears / self.acceleration(AMAX).max(brakes)).min(1.0);
        let here = (x, self.track().at(now).1);
        let top = self.velocity(VMAX);
        let track = match self.register(RAMPMODE) {
            0 => {
                let stood = self.track().ends().map_or(0.0, |end| (now - end).as_secs_f64());
                Track::to_target(now, here, self.target(), &self.ramp(), stood)
            }
            1 => Track::towards(now, here, top, self.acceleration(AMAX)),
            2 => Track::towards(now, here, -top, self.acceleration(AMAX)),
            _ => Track::towards(now, here, here.1, 0.0),
        };
        self.begin(track, now);
        self.stop_if_stalled(now);
    }

    fn ramp(&self) -> Ramp {
        Ramp {
            start: self.velocity(VSTART),
            stop: self.velocity(VSTOP),
            knee: self.velocity(V1),
            top: self.velocity(VMAX),
            a1: self.acceleration(A1),
            amax: self.acceleration(AMAX),
            dmax: self.acceleration(DMAX),
            d1: self.acceleration(D1),
            // In units of 512 clocks (section 6.3.1).
            zero_wait: f64::from(self.register(TZEROWAIT)) * 512.0 / self.clock_hz,
        }
    }

    /// A motor that stalls while stallGuard is to stop it (SW_MODE, sg_stop) stands where that happens.
    fn stop_if_stalled(&mut self, now: Instant) {
        if !self.loses_steps() || self.register(SW_MODE) & SG_STOP == 0 || self.events & EVENT_STOP_SG != 0 {
            return;
        }
        let Some(slowest) = self.stall_guard_from() else { return };
        if let Some(stops) = self.track().first_as_fast_as(slowest, now) {
            let mut track = self.track().clone();
            track.stop_at(stops);
            self.begin(track, now);
        }
    }

    /// The speed from which stallGuard is looked at: TSTEP at most TCOOLTHRS (section 6.2), and SpreadCycle, because it sees
    /// nothing in StealthChop (section 13).
    fn stall_guard_from(&self) -> Option<f64> {
        let speed = |address| {
            let threshold = self.register(address);
            (threshold > 0).then(|| self.clock_hz / f64::from(threshold))
        };
        let stealth_chop = self.register(GCONF) & EN_PWM_MODE != 0;
        let spread_cycle = if stealth_chop { speed(TPWMTHRS)? } else { 0.0 };
        Some(speed(TCOOLTHRS)?.max(spread_cycle))
    }

    fn loses_steps(&self) -> bool {
        self.harm.stalled || self.keeps_up < 1.0
    }

    /// Works out which events happened since somebody last looked.
    fn notice(&mut self, now: Instant) {
        let (since, mut events) = (self.noticed, 0);
        let track = self.track();
        let happened = |at: Instant| at > since && at <= now;
        if self.reaches().is_some_and(|then| happened(then.max(track.from))) {
            events |= EVENT_POS_REACHED;
        }
        if let Some(after) = track.second_move
            && happened(track.from + Duration::from_secs_f64(after))
        {
            events |= SECOND_MOVE;
        }
        if track.cut.is_some_and(happened) {
            events |= EVENT_STOP_SG;
        }
        self.events |= events;
        self.noticed = now;
    }

    fn read(&self, address: u8, now: Instant) -> u32 {
        match address {
            IOIN => VERSION | if self.enabled { 0 } else { DRV_ENN },
            TSTEP => self.tstep(now),
            XACTUAL => self.position(now),
            #[expect(clippy::cast_possible_truncation, reason = "24 bits, sign included")]
            VACTUAL => {
                ((self.track().at(now).1 / self.velocity_unit()).round() as i32).cast_unsigned() & 0x00FF_FFFF
            }
            RAMP_STAT => self.ramp_stat(now),
            DRV_STATUS => self.drv_status(now),
            MSCNT => self.position(now).cast_signed().rem_euclid(PERIOD).cast_unsigned(),
            other => match access(other) {
                Access::Both | Access::Clear => self.register(other),
                Access::None | Access::Read | Access::Write => 0,
            },
        }
    }

    fn ramp_stat(&self, now: Instant) -> u32 {
        let (_, v) = self.track().at(now);
        let flag = |is: bool, bit: u32| if is { bit } else { 0 };
        self.events & EVENTS
            | flag(self.at_speed(v), VELOCITY_REACHED)
            | flag(self.is_there(now), POSITION_REACHED)
            | flag(v == 0.0, VZERO)
            | flag(self.waits(now), T_ZEROWAIT_ACTIVE)
            | flag(self.is_stalled(now), STATUS_SG)
    }

    fn drv_status(&self, now: Instant) -> u32 {
        let Harm { open_load, hot, .. } = self.harm;
        let (_, v) = self.track().at(now);
        let moves = v != 0.0;
        let flag = |is: bool, bit: u32| if is { bit } else { 0 };
        let result = if moves && !self.loses_steps() { FREE } else { 0 };
        result
            | flag(self.is_stalled(now), STALL_GUARD)
            | flag(hot, OVER_TEMPERATURE | OVER_TEMPERATURE_WARNING)
            | flag(open_load && moves, OPEN_LOAD)
            | flag(!moves, STANDSTILL)
    }

    /// Bits as in section 4.1.2; those of the reference switches stay zero.
    fn status(&self, now: Instant) -> u8 {
        let (_, v) = self.track().at(now);
        let gstat = self.register(GSTAT);
        let flags = [
            gstat & GSTAT_RESET != 0,
            gstat & GSTAT_DRV_ERR != 0,
            self.is_stalled(now),
            v == 0.0,
            self.at_speed(v),
            self.is_there(now),
        ];
        flags.iter().rev().fold(0, |byte, flag| byte << 1 | u8::from(*flag))
    }

    fn position(&self, now: Instant) -> u32 {
        #[expect(clippy::cast_possible_truncation, reason = "the register has 32 bits and wraps")]
        let position = self.track().at(now).0.round() as i64 as i32;
        position.cast_unsigned()
    }

    fn target(&self) -> f64 {
        f64::from(self.register(XTARGET).cast_signed())
    }

    /// A track ends exactly at its target.
    fn is_there(&self, now: Instant) -> bool {
        self.track().at(now) == (self.target(), 0.0)
    }

    /// When it is at its target, if it goes there: the track's end, or the nanosecond after it if that was rounded down.
    fn reaches(&self) -> Option<Instant> {
        let end = self.track().ends().filter(|_| self.register(RAMPMODE) == 0)?;
        [end, end + Duration::from_nanos(1)].into_iter().find(|then| self.is_there(*then))
    }

    fn at_speed(&self, v: f64) -> bool {
        (v.abs() - self.velocity(VMAX)).abs() < 1e-9
    }

    /// After a motion the next one waits for TZEROWAIT, whether there is one or not.
    fn waits(&self, now: Instant) -> bool {
        let wait = Duration::from_secs_f64(self.ramp().zero_wait);
        let stands =
            self.track().ends().is_some_and(|end| self.track().turns() && end <= now && now < end + wait);
        stands || self.track().waits_at(now)
    }

    fn is_stalled(&self, now: Instant) -> bool {
        let (_, v) = self.track().at(now);
        self.loses_steps() && self.stall_guard_from().is_some_and(|slowest| v != 0.0 && v.abs() >= slowest)
    }

    /// Clocks from one microstep of 1/256 to the next.
    fn tstep(&self, now: Instant) -> u32 {
        let (_, v) = self.track().at(now);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates")]
        let clocks = (self.clock_hz / v.abs()) as u32;
        clocks.min(SLOWEST)
    }

    fn register(&self, address: u8) -> u32 {
        self.registers[usize::from(address)]
    }

    /// Microsteps per second of one unit: fclk / 2^24 (section 12.1).
    fn velocity_unit(&self) -> f64 {
        self.clock_hz / f64::from(1 << 24)
    }
    fn velocity(&self, address: u8) -> f64 {
        f64::from(self.register(address)) * self.velocity_unit()
    }
    /// fclk^2 / 2^41 (section 12.1).
    fn acceleration(&self, address: u8) -> f64 {
        f64::from(self.register(address)) * self.clock_hz * self.clock_hz / 2f64.powi(41)
    }
}

/// The pieces of one era as the shaft did them, up to `end`.
fn shaft_pieces(era: &Era, end: Instant) -> Vec<(Instant, Piece)> {
    if era.follows == 0.0 {
        let lasts = (end - era.since).as_secs_f64();
        return vec![(era.since, Piece { lasts, ..Piece::still(era.shaft) })];
    }
    let (began, part) = (era.track.at(era.since).0, era.follows);
    let mut begins = era.track.from;
    let mut pieces = Vec::with_capacity(era.track.pieces.len());
    for piece in &era.track.pieces {
        let ends = if piece.lasts.is_finite() { begins + Duration::from_secs_f64(piece.lasts) } else { end };
        if ends > era.since && begins < end {
            let from = begins.max(era.since);
            let (x, v) = piece.at((from - begins).as_secs_f64());
            let lasts = (ends.min(end) - from).as_secs_f64();
            pieces.push((
                from,
                Piece { x: era.shaft + part * (x - began), v: part * v, a: part * piece.a, lasts },
            ));
        }
        begins = ends;
    }
    pieces
}

#[cfg(test)]
mod tests;
