//! A TMC5160 as its datasheet (rev. 1.17) describes it: register file, one-datagram-late reads, status byte, the
//! six-point ramp as closed forms of time, velocity modes, hold, and the ENABLE pin.
//!
//! Not modelled yet: stallGuard, open load, temperature, DIAG pins, TZEROWAIT, the events of RAMP_STAT.

use planktor_protocol::{Instant, Interval};
use std::collections::VecDeque;
use std::time::Duration;

// Addresses, section 6 of the datasheet.
const GSTAT: u8 = 0x01;
const IOIN: u8 = 0x04;
const RAMPMODE: u8 = 0x20;
const XACTUAL: u8 = 0x21;
const VACTUAL: u8 = 0x22;
const VSTART: u8 = 0x23;
const A1: u8 = 0x24;
const V1: u8 = 0x25;
const AMAX: u8 = 0x26;
const VMAX: u8 = 0x27;
const DMAX: u8 = 0x28;
const D1: u8 = 0x2A;
const VSTOP: u8 = 0x2B;
const XTARGET: u8 = 0x2D;
const RAMP_STAT: u8 = 0x35;

/// Bits 31..24 of IOIN.
const VERSION: u32 = 0x30 << 24;
/// GSTAT bit 0, and status byte bit 0: there was a reset.
const RESET: u32 = 1;
/// How far back the world may look: a late frame is taken seconds after its exposure.
const MEMORY: Duration = Duration::from_secs(12);

/// One piece of a track: so long with a constant acceleration. Units: seconds, microsteps.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Piece {
    pub(crate) x: f64,
    pub(crate) v: f64,
    pub(crate) a: f64,
    pub(crate) lasts: f64,
}

impl Piece {
    pub(crate) fn at(&self, t: f64) -> (f64, f64) {
        (self.x + self.v * t + self.a * t * t / 2.0, self.v + self.a * t)
    }
}

/// Where the ramp generator goes from an instant on; the last piece lasts for ever.
#[derive(Clone, Debug)]
struct Track {
    from: Instant,
    pieces: Vec<Piece>,
}

impl Track {
    fn at(&self, then: Instant) -> (f64, f64) {
        let mut t = (then - self.from).as_secs_f64();
        for piece in &self.pieces {
            if t < piece.lasts {
                return piece.at(t);
            }
            t -= piece.lasts;
        }
        let last = self.pieces.last().expect("a track has pieces");
        (last.x, last.v)
    }

    /// When the last piece that moves is over; `None` if it moves for ever.
    fn ends(&self) -> Option<Instant> {
        let moving = self.pieces.iter().filter(|piece| piece.v != 0.0 || piece.a != 0.0);
        let lasts = moving.map(|piece| piece.lasts).sum::<f64>();
        lasts.is_finite().then(|| self.from + Duration::from_secs_f64(lasts))
    }
}

/// What the shaft did from an instant on: it follows the ramp generator while it has torque.
#[derive(Clone, Debug)]
struct Era {
    since: Instant,
    track: Track,
    torque: bool,
    shaft: f64,
}

impl Era {
    fn shaft_at(&self, then: Instant) -> f64 {
        if !self.torque {
            return self.shaft;
        }
        self.shaft + self.track.at(then).0 - self.track.at(self.since).0
    }
}

/// The chip, its motor and its enable pin.
#[derive(Debug)]
pub struct Model {
    clock_hz: f64,
    registers: [u32; 128],
    asked: u32,
    eras: VecDeque<Era>,
}

impl Model {
    /// Just powered up, not enabled. `clock_hz`: its own internal clock, 12 MHz within 10 %.
    pub fn new(clock_hz: f64) -> Self {
        let mut registers = [0; 128];
        registers[usize::from(GSTAT)] = RESET;
        let rest = Track { from: Instant::ZERO, pieces: vec![still(0.0)] };
        let eras = VecDeque::from([Era { since: Instant::ZERO, track: rest, torque: false, shaft: 0.0 }]);
        Self { clock_hz, registers, asked: 0, eras }
    }

    /// Forty bits in, forty bits out: the status byte, and what the datagram before this one asked for (section 4.1).
    pub fn datagram(&mut self, bytes: &mut [u8; 5], now: Instant) {
        let [address, a, b, c, d] = *bytes;
        let answer = self.asked.to_be_bytes();
        let (write, address) = (address & 0x80 != 0, address & 0x7F);
        if write {
            self.write(address, u32::from_be_bytes([a, b, c, d]), now);
        } else {
            self.asked = self.read(address, now);
        }
        bytes[0] = self.status(now);
        bytes[1..].copy_from_slice(&answer);
    }

    /// The ENABLE pin (DRV_ENN, active low).
    pub fn enable(&mut self, on: bool, now: Instant) {
        let era = self.era_at(now);
        if era.torque != on {
            let (track, shaft) = (era.track.clone(), era.shaft_at(now));
            self.begin(Era { since: now, track, torque: on, shaft });
        }
    }

    /// Whether the motor has current.
    pub fn is_enabled(&self) -> bool {
        self.eras.back().is_some_and(|era| era.torque)
    }

    /// Where the shaft really was, in microsteps since power-up.
    pub fn shaft_at(&self, then: Instant) -> f64 {
        self.era_at(then).shaft_at(then)
    }

    /// Whether the shaft turned at that instant.
    pub fn turns_at(&self, then: Instant) -> bool {
        let era = self.era_at(then);
        era.torque && era.track.at(then).1 != 0.0
    }

    /// The last time up to `then` in which the shaft turned; it ends at `then` if it still does.
    pub fn last_turned(&self, then: Instant) -> Option<Interval> {
        let turning = |era: &&Era| era.torque && era.track.ends() != Some(era.track.from) && era.since < then;
        let era = self.eras.iter().rev().find(turning)?;
        let next = self
            .eras
            .iter()
            .find(|later| later.since > era.since)
            .map_or(then, |later| later.since.min(then));
        Some(Interval { from: era.since, to: era.track.ends().map_or(next, |end| end.min(next)) })
    }

    /// The shaft's own past as pieces that begin at instants; between them it stands or goes on.
    pub(crate) fn past(&self, until: Instant) -> impl Iterator<Item = (Instant, Piece)> + '_ {
        let ends = self.eras.iter().skip(1).map(|era| era.since).chain([until]);
        self.eras.iter().zip(ends).flat_map(move |(era, end)| shaft_pieces(era, end.min(until)))
    }

    fn era_at(&self, then: Instant) -> &Era {
        let era = self.eras.iter().rev().find(|era| era.since <= then);
        era.or(self.eras.front()).expect("there is always an era")
    }

    fn begin(&mut self, era: Era) {
        let old = era.since - MEMORY;
        while self.eras.len() > 1 && self.eras[1].since < old {
            self.eras.pop_front();
        }
        if self.eras.back().is_some_and(|last| last.since == era.since) {
            self.eras.pop_back();
        }
        self.eras.push_back(era);
    }

    fn write(&mut self, address: u8, value: u32, now: Instant) {
        if address == GSTAT {
            self.registers[usize::from(GSTAT)] &= !value;
            return;
        }
        let (x, v) = self.era_at(now).track.at(now);
        self.registers[usize::from(address)] = value;
        let x = if address == XACTUAL { f64::from(value.cast_signed()) } else { x };
        if matches!(address, RAMPMODE | XACTUAL | VSTART..=VMAX | DMAX | D1 | VSTOP | XTARGET) {
            let (torque, shaft) = (self.is_enabled(), self.shaft_at(now));
            let track = Track { from: now, pieces: self.track(x, v) };
            self.begin(Era { since: now, track, torque, shaft });
        }
    }

    fn read(&self, address: u8, now: Instant) -> u32 {
        let (x, v) = self.era_at(now).track.at(now);
        match address {
            IOIN => VERSION,
            #[expect(clippy::cast_possible_truncation, reason = "the register has 32 bits and wraps")]
            XACTUAL => (x.round() as i64 as i32).cast_unsigned(),
            #[expect(clippy::cast_possible_truncation, reason = "24 bits, sign included")]
            VACTUAL => ((v / self.velocity_unit()).round() as i32).cast_unsigned() & 0x00FF_FFFF,
            RAMP_STAT => {
                u32::from(self.at_target(x, v)) << 9
                    | u32::from(v == 0.0) << 10
                    | u32::from(self.at_speed(v)) << 8
            }
            other => self.registers[usize::from(other)],
        }
    }

    fn status(&self, now: Instant) -> u8 {
        let (x, v) = self.era_at(now).track.at(now);
        let flags = [
            self.registers[usize::from(GSTAT)] & RESET != 0,
            false,
            false,
            v == 0.0,
            self.at_speed(v),
            self.at_target(x, v),
        ];
        flags.iter().rev().fold(0, |byte, flag| byte << 1 | u8::from(*flag))
    }

    #[expect(clippy::float_cmp, reason = "a track ends exactly at its target")]
    fn at_target(&self, x: f64, v: f64) -> bool {
        v == 0.0 && x == f64::from(self.register(XTARGET).cast_signed())
    }

    fn at_speed(&self, v: f64) -> bool {
        (v.abs() - self.velocity(VMAX)).abs() < 1e-9
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

    /// From here, at this speed, as the registers say (section 12.2).
    fn track(&self, x: f64, v: f64) -> Vec<Piece> {
        match self.register(RAMPMODE) {
            0 => self.to_target(x, v),
            1 => towards(x, v, self.velocity(VMAX), self.acceleration(AMAX)),
            2 => towards(x, v, -self.velocity(VMAX), self.acceleration(AMAX)),
            _ => vec![Piece { x, v, a: 0.0, lasts: f64::INFINITY }],
        }
    }

    fn to_target(&self, x: f64, v: f64) -> Vec<Piece> {
        let target = f64::from(self.register(XTARGET).cast_signed());
        // It never goes slower than VSTART: to stop it in this mode both must be zero (section 12.2.4).
        let top = self.velocity(VMAX).max(self.velocity(VSTART));
        if top == 0.0 {
            return towards(x, v, 0.0, self.acceleration(AMAX));
        }
        if v.abs() > top && self.acceleration(AMAX) > 0.0 {
            let mut pieces = towards(x, v, top * v.signum(), self.acceleration(AMAX));
            let slow = pieces.pop().expect("ends at that speed");
            pieces.extend(self.to_target(slow.x, slow.v));
            return pieces;
        }
        let sign = if target < x { -1.0 } else { 1.0 };
        let ramp = Ramp {
            start: self.velocity(VSTART),
            stop: self.velocity(VSTOP),
            knee: self.velocity(V1),
            top,
            a1: self.acceleration(A1),
            amax: self.acceleration(AMAX),
            dmax: self.acceleration(DMAX),
            d1: self.acceleration(D1),
        };
        // Wrong way, or too fast to stop in time: brake first, then come from standstill.
        if v * sign < 0.0 || ramp.braking(v.abs()) > (target - x).abs() + 1e-9 {
            let mut pieces = towards(x, v, 0.0, self.acceleration(DMAX));
            let stands = pieces.pop().expect("ends in rest").x;
            pieces.extend(self.to_target(stands, 0.0));
            return pieces;
        }
        let mut pieces = Vec::with_capacity(6);
        let mut at = x;
        for (v, a, lasts) in ramp.pieces(v.abs(), (target - x).abs()) {
            let piece = Piece { x: at, v: v * sign, a: a * sign, lasts };
            at = piece.at(lasts).0;
            pieces.push(piece);
        }
        pieces.push(still(target));
        pieces
    }
}

fn still(x: f64) -> Piece {
    Piece { x, v: 0.0, a: 0.0, lasts: f64::INFINITY }
}

/// With one acceleration to another speed, and on at that speed.
fn towards(x: f64, v: f64, to: f64, a: f64) -> Vec<Piece> {
    if a == 0.0 || v == to {
        return vec![Piece { x, v, a: 0.0, lasts: f64::INFINITY }];
    }
    let lasts = (to - v).abs() / a;
    let change = Piece { x, v, a: a * (to - v).signum(), lasts };
    vec![change, Piece { x: change.at(lasts).0, v: to, a: 0.0, lasts: f64::INFINITY }]
}

/// The six-point ramp with its speeds and accelerations in microsteps and seconds.
struct Ramp {
    start: f64,
    stop: f64,
    knee: f64,
    top: f64,
    a1: f64,
    amax: f64,
    dmax: f64,
    d1: f64,
}

impl Ramp {
    fn braking(&self, v: f64) -> f64 {
        let low = v.min(self.knee);
        ((low * low - self.stop * self.stop).max(0.0)) / (2.0 * self.d1)
            + (v * v - low * low) / (2.0 * self.dmax)
    }
    fn accelerating(&self, from: f64, to: f64) -> f64 {
        let (low, high) = (self.knee.clamp(from, to.max(from)), to.max(from));
        (low * low - from * from) / (2.0 * self.a1) + (high * high - low * low) / (2.0 * self.amax)
    }

    /// Speed, acceleration and duration of each piece that covers `distance`, beginning at speed `v`.
    fn pieces(&self, v: f64, distance: f64) -> Vec<(f64, f64, f64)> {
        let from = v.max(self.start).min(self.top);
        let peak = self.peak(from, distance);
        let knee = self.knee.clamp(from, peak);
        let low = self.knee.clamp(self.stop.min(peak), peak);
        let cruise = (distance - self.accelerating(from, peak) - self.braking(peak)).max(0.0) / peak;
        let steps = [
            (from, self.a1, (knee - from) / self.a1),
            (knee, self.amax, (peak - knee) / self.amax),
            (peak, 0.0, cruise),
            (peak, -self.dmax, (peak - low) / self.dmax),
            (low, -self.d1, (low - self.stop).max(0.0) / self.d1),
        ];
        steps.into_iter().filter(|(_, _, lasts)| *lasts > 0.0).collect()
    }

    /// The highest speed from which there is still room to brake; found by halving, to the last bit that matters.
    fn peak(&self, from: f64, distance: f64) -> f64 {
        let fits = |peak: f64| self.accelerating(from, peak) + self.braking(peak) <= distance;
        if fits(self.top) {
            return self.top;
        }
        let (mut low, mut high) = (from.min(self.top), self.top);
        for _ in 0..60 {
            let middle = f64::midpoint(low, high);
            if fits(middle) { low = middle } else { high = middle }
        }
        low
    }
}

/// The pieces of one era as the shaft did them, up to `end`.
fn shaft_pieces(era: &Era, end: Instant) -> Vec<(Instant, Piece)> {
    if !era.torque {
        let lasts = (end - era.since).as_secs_f64();
        return vec![(era.since, Piece { lasts, ..still(era.shaft) })];
    }
    let offset = era.shaft - era.track.at(era.since).0;
    let mut begins = era.track.from;
    let mut pieces = Vec::with_capacity(era.track.pieces.len());
    for piece in &era.track.pieces {
        let ends = if piece.lasts.is_finite() { begins + Duration::from_secs_f64(piece.lasts) } else { end };
        if ends > era.since && begins < end {
            let from = begins.max(era.since);
            let (x, v) = piece.at((from - begins).as_secs_f64());
            let lasts = (ends.min(end) - from).as_secs_f64();
            pieces.push((from, Piece { x: x + offset, v, a: piece.a, lasts }));
        }
        begins = ends;
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Instant {
        Instant::from_nanos(ms * 1_000_000)
    }
    fn write(model: &mut Model, address: u8, value: u32, now: Instant) {
        let [a, b, c, d] = value.to_be_bytes();
        model.datagram(&mut [address | 0x80, a, b, c, d], now);
    }
    fn read(model: &mut Model, address: u8, now: Instant) -> u32 {
        model.datagram(&mut [address, 0, 0, 0, 0], now);
        let mut bytes = [address, 0, 0, 0, 0];
        model.datagram(&mut bytes, now);
        u32::from_be_bytes([bytes[1], bytes[2], bytes[3], bytes[4]])
    }
    fn set_up() -> Model {
        let mut model = Model::new(12e6);
        model.enable(true, at(0));
        for (address, value) in
            [(VSTART, 1), (A1, 2000), (V1, 3000), (AMAX, 2000), (DMAX, 2000), (D1, 4000), (VSTOP, 10)]
        {
            write(&mut model, address, value, at(0));
        }
        model
    }

    #[test]
    fn a_read_answers_the_datagram_before_it() {
        let mut model = Model::new(12e6);
        let mut bytes = [IOIN, 0, 0, 0, 0];
        model.datagram(&mut bytes, at(0));
        assert_eq!(bytes[1], 0);
        model.datagram(&mut bytes, at(0));
        assert_eq!(bytes[1], 0x30);
    }

    #[test]
    fn it_tells_of_its_reset_until_that_is_cleared() {
        let mut model = Model::new(12e6);
        assert_eq!(model.status(at(0)) & 1, 1);
        write(&mut model, GSTAT, 1, at(0));
        assert_eq!(model.status(at(0)) & 1, 0);
    }

    #[test]
    fn a_move_ends_at_its_target_and_says_so() {
        let mut model = set_up();
        write(&mut model, XTARGET, 4_946, at(0));
        write(&mut model, VMAX, 57_600, at(0));
        assert_eq!(read(&mut model, RAMP_STAT, at(300)) & 1 << 9, 0);
        assert!(model.turns_at(at(300)));
        assert_eq!(read(&mut model, RAMP_STAT, at(420)) & 1 << 9, 1 << 9);
        assert_eq!(read(&mut model, XACTUAL, at(420)), 4_946);
        let turned = model.last_turned(at(1_000)).unwrap();
        assert!((at(370)..at(400)).contains(&turned.to), "{turned:?}");
    }

    #[test]
    fn a_slower_clock_stretches_the_move() {
        let ends = |clock_hz| {
            let mut model = set_up();
            model.clock_hz = clock_hz;
            write(&mut model, XTARGET, 4_946, at(0));
            write(&mut model, VMAX, 57_600, at(0));
            model.last_turned(at(1_000)).unwrap().duration().as_secs_f64()
        };
        assert!((ends(10.8e6) / ends(12e6) - 12.0 / 10.8).abs() < 1e-4);
    }

    #[test]
    fn a_stop_in_mid_move_ramps_down_and_stays() {
        let mut model = set_up();
        write(&mut model, XTARGET, 1_000_000, at(0));
        write(&mut model, VMAX, 57_600, at(0));
        write(&mut model, VMAX, 0, at(200));
        write(&mut model, RAMPMODE, 1, at(200));
        assert!(model.turns_at(at(300)), "it brakes, it does not jump");
        assert!(!model.turns_at(at(600)));
        let stands = model.shaft_at(at(600));
        assert!((2_000.0..8_000.0).contains(&stands), "{stands}");
        assert_eq!(read(&mut model, RAMP_STAT, at(600)) & 1 << 10, 1 << 10);
    }

    #[test]
    fn a_velocity_limit_of_zero_lets_it_creep_and_hold_mode_does_not() {
        let mut model = set_up();
        write(&mut model, RAMPMODE, 3, at(0));
        write(&mut model, XTARGET, 4_946, at(0));
        write(&mut model, VMAX, 57_600, at(0));
        assert_eq!(model.shaft_at(at(60_000)), 0.0);
        write(&mut model, VMAX, 0, at(60_000));
        write(&mut model, RAMPMODE, 0, at(60_000));
        assert!(model.turns_at(at(61_000)));
    }

    #[test]
    fn without_enable_nothing_turns_and_the_position_register_lies() {
        let mut model = set_up();
        write(&mut model, XTARGET, 4_946, at(0));
        write(&mut model, VMAX, 57_600, at(0));
        model.enable(false, at(100));
        let cut = model.shaft_at(at(100));
        assert_eq!(model.shaft_at(at(600)), cut);
        assert_eq!(read(&mut model, XACTUAL, at(600)), 4_946);
    }

    #[test]
    fn a_new_target_behind_it_is_reached_from_the_other_side() {
        let mut model = set_up();
        write(&mut model, XTARGET, 50_000, at(0));
        write(&mut model, VMAX, 57_600, at(0));
        write(&mut model, XTARGET, 0, at(300));
        assert!(model.shaft_at(at(400)) > model.shaft_at(at(300)), "it overshoots while it brakes");
        assert_eq!(read(&mut model, XACTUAL, at(3_000)), 0);
    }
}
