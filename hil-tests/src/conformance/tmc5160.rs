//! Wiring: a TMC5160 on SPI (mode 3), its DRV_ENN pin, a motor that turns freely. DIAG1 and the supply where a bench has
//! them. Datasheet rev. 1.17. The suite knows the chip by its registers only and measures its clock itself.

use super::{Bench, Check, Outcome, ms};
use embedded_hal::spi::SpiDevice;
use planktor_drivers::board::Spi;
use planktor_protocol::Instant;
use std::time::Duration;

/// A TMC5160 with its motor.
pub trait MotorBench: Bench {
    /// Its bus.
    fn spi(&mut self) -> &mut Spi;
    /// Its enable pin; on is low.
    fn enable(&mut self, on: bool);
    /// The level of DIAG1, if it is wired.
    fn diag1(&mut self) -> Option<bool> {
        None
    }
    /// Drops the supply for a moment; `false` if the bench cannot.
    fn drop_supply(&mut self) -> bool {
        false
    }
}

/// Every check.
pub fn checks<B: MotorBench>() -> Vec<Check<B>> {
    vec![
        ("a read answers the datagram before it, and the version is 0x30", late_read),
        ("a reset is told until it is cleared by writing a one", reset_flag),
        ("what is written to a register that can be read is read back", read_back),
        ("a move takes as long as its ramp says at the chip's own clock", ramp),
        ("a new target behind it is reached from the other side, by a second move", second_move),
        ("a stop in mid-move ramps down and stands", stop),
        ("the event of a reached position stays until a one is written to it", event),
        ("in hold mode nothing moves whatever the target", hold),
        ("without ENABLE the position counts all the same", without_enable),
        ("the compare line is up at its position and not elsewhere", compare),
        ("after the supply was gone the registers are, too", supply),
    ]
}

const GSTAT: u8 = 0x01;
const IOIN: u8 = 0x04;
const X_COMPARE: u8 = 0x05;
const RAMPMODE: u8 = 0x20;
const XACTUAL: u8 = 0x21;
const VMAX: u8 = 0x27;
const XTARGET: u8 = 0x2D;
const SW_MODE: u8 = 0x34;
const RAMP_STAT: u8 = 0x35;
const CHOPCONF: u8 = 0x6C;
const EVENT_POS_REACHED: u32 = 1 << 7;
const POSITION_REACHED: u32 = 1 << 9;
const VZERO: u32 = 1 << 10;
const SECOND_MOVE: u32 = 1 << 12;
/// VSTART, A1, V1, AMAX, DMAX, D1, VSTOP.
const RAMP: [(u8, u32); 7] =
    [(0x23, 1), (0x24, 2_000), (0x25, 3_000), (0x26, 2_000), (0x28, 2_000), (0x2A, 4_000), (0x2B, 10)];
const FAST: u32 = 57_600;
const FAR: i32 = 40_000;
/// How often a suite looks at a moving motor.
const LOOK: Duration = Duration::from_micros(200);

fn datagram(bench: &mut impl MotorBench, address: u8, value: u32) -> (u8, u32) {
    let [a, b, c, d] = value.to_be_bytes();
    let mut bytes = [address, a, b, c, d];
    bench.spi().transfer_in_place(&mut bytes).expect("the bus works");
    (bytes[0], u32::from_be_bytes([bytes[1], bytes[2], bytes[3], bytes[4]]))
}

fn write(bench: &mut impl MotorBench, address: u8, value: u32) {
    datagram(bench, address | 0x80, value);
}

fn read(bench: &mut impl MotorBench, address: u8) -> u32 {
    datagram(bench, address, 0);
    datagram(bench, address, 0).1
}

fn position(bench: &mut impl MotorBench) -> i32 {
    read(bench, XACTUAL).cast_signed()
}

/// Set up, enabled, standing at zero.
fn set_up(bench: &mut impl MotorBench) {
    write(bench, GSTAT, 0b111);
    write(bench, CHOPCONF, 0x0001_00C3);
    RAMP.iter().for_each(|(address, value)| write(bench, *address, *value));
    write(bench, RAMPMODE, 3);
    write(bench, XACTUAL, 0);
    write(bench, XTARGET, 0);
    write(bench, VMAX, FAST);
    bench.enable(true);
    write(bench, RAMPMODE, 0);
    write(bench, RAMP_STAT, u32::MAX);
}

/// When a condition on RAMP_STAT holds, looked at closely; at most ten seconds later.
fn until(bench: &mut impl MotorBench, flag: u32) -> Instant {
    let limit = bench.now() + ms(10_000);
    while read(bench, RAMP_STAT) & flag == 0 {
        assert!(bench.now() < limit, "RAMP_STAT never showed {flag:#x}");
        bench.pass(LOOK);
    }
    bench.now()
}

fn late_read(bench: &mut impl MotorBench) -> Outcome {
    datagram(bench, IOIN, 0);
    let (_, version) = datagram(bench, XACTUAL, 0);
    let (_, position) = datagram(bench, XACTUAL, 0);
    assert_eq!(version >> 24, 0x30);
    assert_ne!(position >> 24, 0x30);
    Outcome::Passed
}

fn reset_flag(bench: &mut impl MotorBench) -> Outcome {
    write(bench, GSTAT, 0b111);
    assert_eq!(datagram(bench, GSTAT, 0).0 & 1, 0, "cleared");
    assert_eq!(read(bench, GSTAT) & 1, 0);
    Outcome::Passed
}

fn read_back(bench: &mut impl MotorBench) -> Outcome {
    for (address, value) in [(XTARGET, 0x8765_4321), (SW_MODE, 0x0A5), (RAMPMODE, 3), (CHOPCONF, 0x0001_00C3)]
    {
        write(bench, RAMPMODE, 3);
        write(bench, address, value);
        assert_eq!(read(bench, address), value, "{address:#x}");
    }
    write(bench, SW_MODE, 0);
    Outcome::Passed
}

/// Microsteps a second at VMAX, measured in the middle of a long move.
fn measured_speed(bench: &mut impl MotorBench) -> f64 {
    set_up(bench);
    write(bench, XTARGET, FAR.cast_unsigned());
    bench.pass(ms(500));
    let (from, began) = (position(bench), bench.now());
    bench.pass(ms(200));
    let (to, ended) = (position(bench), bench.now());
    until(bench, POSITION_REACHED);
    f64::from(to - from) / (ended - began).as_secs_f64()
}

fn ramp(bench: &mut impl MotorBench) -> Outcome {
    // v = V * fclk / 2^24 (section 12.1).
    let clock = measured_speed(bench) * f64::from(1 << 24) / f64::from(FAST);
    // 12 MHz within 10 %, as far as two positions tell.
    assert!((10.7e6..=13.3e6).contains(&clock), "the chip's clock is {clock} Hz");
    for distance in [200, 4_946, 30_000] {
        write(bench, RAMPMODE, 3);
        write(bench, XACTUAL, 0);
        write(bench, XTARGET, distance);
        let began = bench.now();
        write(bench, RAMPMODE, 0);
        let took = (until(bench, POSITION_REACHED) - began).as_secs_f64();
        let expected = duration(f64::from(distance), clock);
        assert!(
            (took - expected).abs() < 0.01 * expected + 1e-3,
            "{distance}: {took} s instead of {expected} s"
        );
    }
    Outcome::Passed
}

/// By adding up small steps, as the datasheet says it in words (section 12.2).
fn duration(distance: f64, clock: f64) -> f64 {
    let speed = |units: u32| f64::from(units) * clock / f64::from(1 << 24);
    let acceleration = |units: u32| f64::from(units) * clock * clock / 2f64.powi(41);
    let [start, a1, knee, amax, dmax, d1, stop] = RAMP.map(|(_, value)| value);
    let (knee, top, dt) = (speed(knee), speed(FAST), 1e-5);
    let (mut x, mut v, mut t) = (0.0, speed(start), 0.0);
    while x < distance {
        let low = f64::min(v, knee);
        let braking = low * low / (2.0 * acceleration(d1)) + (v * v - low * low) / (2.0 * acceleration(dmax));
        let slow = v < knee;
        if braking >= distance - x {
            v = (v - acceleration(if slow { d1 } else { dmax }) * dt).max(speed(stop));
        } else {
            v = (v + acceleration(if slow { a1 } else { amax }) * dt).min(top);
        }
        x += v * dt;
        t += dt;
    }
    t
}

fn second_move(bench: &mut impl MotorBench) -> Outcome {
    set_up(bench);
    write(bench, XTARGET, FAR.cast_unsigned());
    bench.pass(ms(300));
    assert!(position(bench) > 0);
    write(bench, XTARGET, 0);
    bench.pass(ms(1));
    until(bench, POSITION_REACHED);
    assert_eq!(position(bench), 0);
    assert_ne!(read(bench, RAMP_STAT) & SECOND_MOVE, 0);
    Outcome::Passed
}

fn stop(bench: &mut impl MotorBench) -> Outcome {
    set_up(bench);
    write(bench, XTARGET, FAR.cast_unsigned());
    bench.pass(ms(300));
    write(bench, VMAX, 0);
    write(bench, RAMPMODE, 1);
    let stopped = position(bench);
    bench.pass(ms(1));
    until(bench, VZERO);
    let stands = position(bench);
    bench.pass(ms(100));
    assert!(stands > stopped && stands < FAR, "{stopped} to {stands}");
    assert_eq!(position(bench), stands);
    Outcome::Passed
}

fn event(bench: &mut impl MotorBench) -> Outcome {
    set_up(bench);
    write(bench, XTARGET, 2_000);
    until(bench, EVENT_POS_REACHED);
    write(bench, RAMP_STAT, 0);
    assert_ne!(read(bench, RAMP_STAT) & EVENT_POS_REACHED, 0, "a zero clears nothing");
    write(bench, RAMP_STAT, EVENT_POS_REACHED);
    assert_eq!(read(bench, RAMP_STAT) & EVENT_POS_REACHED, 0);
    Outcome::Passed
}

fn hold(bench: &mut impl MotorBench) -> Outcome {
    set_up(bench);
    write(bench, RAMPMODE, 3);
    write(bench, XTARGET, FAR.cast_unsigned());
    bench.pass(ms(500));
    assert_eq!(position(bench), 0);
    Outcome::Passed
}

fn without_enable(bench: &mut impl MotorBench) -> Outcome {
    set_up(bench);
    bench.enable(false);
    write(bench, XTARGET, 2_000);
    until(bench, POSITION_REACHED);
    assert_eq!(position(bench), 2_000);
    Outcome::Passed
}

fn compare(bench: &mut impl MotorBench) -> Outcome {
    set_up(bench);
    write(bench, X_COMPARE, 2_000);
    let Some(before) = bench.diag1() else { return Outcome::Skipped("DIAG1 is not wired") };
    write(bench, XTARGET, 2_000);
    until(bench, POSITION_REACHED);
    assert_eq!((before, bench.diag1()), (false, Some(true)));
    Outcome::Passed
}

fn supply(bench: &mut impl MotorBench) -> Outcome {
    set_up(bench);
    write(bench, XTARGET, FAR.cast_unsigned());
    if !bench.drop_supply() {
        return Outcome::Skipped("the supply cannot be dropped");
    }
    assert_eq!(datagram(bench, GSTAT, 0).0 & 1, 1, "the reset is told");
    assert_eq!(read(bench, CHOPCONF) & 0xF, 0, "the power stage is off");
    assert_eq!(read(bench, XTARGET), 0);
    Outcome::Passed
}
