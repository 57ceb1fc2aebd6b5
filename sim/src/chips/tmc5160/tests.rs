//! What the model must do, in numbers.

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
    write(&mut model, CHOPCONF, 0x0001_00C3, at(0));
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

#[test]
fn a_motion_is_one_however_often_the_chip_is_told_something_new() {
    let mut model = moved();
    for ms in [100, 150, 200] {
        write(&mut model, XTARGET, 4_946, at(ms));
    }
    let turned = model.last_turned(at(1_000)).unwrap();
    assert_eq!(turned.from, at(0));
    assert!(turned.to > at(370), "{turned:?}");
}

#[test]
fn after_power_up_registers_hold_their_reset_values_and_writes_are_read_back_where_that_is_possible() {
    let mut model = Model::new(12e6);
    assert_eq!(read(&mut model, GSTAT, at(0)), 1);
    assert_eq!(read(&mut model, CHOPCONF, at(0)), 0x1041_0150);
    for address in 0..128 {
        if [GSTAT, RAMP_STAT, 0x3B].contains(&address) {
            continue;
        }
        let before = read(&mut model, address, at(0));
        write(&mut model, address, 0x5A5A_5A5A, at(0));
        let after = read(&mut model, address, at(0));
        match access(address) {
            Access::Both => assert_eq!(after, 0x5A5A_5A5A & bits(address), "{address:#x}"),
            Access::Write | Access::None => assert_eq!((before, after), (0, 0), "{address:#x}"),
            Access::Read => assert_eq!(after & 0xFF00_0000, before & 0xFF00_0000, "{address:#x}"),
            Access::Clear => unreachable!("left out above"),
        }
    }
}

fn moved() -> Model {
    let mut model = set_up();
    write(&mut model, XTARGET, 4_946, at(0));
    write(&mut model, VMAX, 57_600, at(0));
    model
}

#[test]
fn an_event_stays_until_a_one_is_written_to_it() {
    let mut model = moved();
    assert_eq!(read(&mut model, RAMP_STAT, at(300)) & EVENT_POS_REACHED, 0);
    assert!(!model.diag0(at(300)));
    assert!(model.diag0(at(420)), "the interrupt line tells of it");
    assert_ne!(read(&mut model, RAMP_STAT, at(420)) & EVENT_POS_REACHED, 0);
    write(&mut model, RAMP_STAT, EVENT_STOP_SG, at(430));
    assert_ne!(read(&mut model, RAMP_STAT, at(430)) & EVENT_POS_REACHED, 0, "another one was cleared");
    write(&mut model, RAMP_STAT, EVENT_POS_REACHED, at(440));
    assert_eq!(read(&mut model, RAMP_STAT, at(450)) & EVENT_POS_REACHED, 0);
    assert_ne!(read(&mut model, RAMP_STAT, at(450)) & POSITION_REACHED, 0, "it is still there");
    assert!(!model.diag0(at(450)));
    write(&mut model, XTARGET, 0, at(500));
    assert!(model.diag0(at(1_000)), "the next move has its own event");
}

#[test]
fn the_fall_of_its_line_is_foreseen_to_the_instant() {
    let tick = Duration::from_nanos(1);
    let mut model = moved();
    let falls = model.diag0_falls(at(0)).unwrap();
    assert!((at(370)..at(400)).contains(&falls), "{falls:?}");
    assert_eq!(model.diag0_falls(at(300)), Some(falls));
    assert!(!model.diag0(falls - tick) && model.diag0(falls));
    write(&mut model, XTARGET, 0, at(450));
    assert_eq!(model.diag0_falls(at(460)), None, "it is low until it is cleared");
    write(&mut model, RAMP_STAT, EVENT_POS_REACHED, at(470));
    let falls = model.diag0_falls(at(470)).unwrap();
    // A motor that is told to stop reaches no target.
    write(&mut model, VMAX, 0, at(480));
    write(&mut model, RAMPMODE, 1, at(480));
    assert_eq!(model.diag0_falls(at(480)), None);
    assert!(!model.diag0(falls));
}

#[test]
fn the_compare_line_is_up_at_its_position_only() {
    let mut model = moved();
    write(&mut model, X_COMPARE, 4_946, at(0));
    assert!(!model.diag1(at(300)));
    assert!(model.diag1(at(420)));
}

#[test]
fn coming_back_is_a_second_move_and_waits_for_tzerowait() {
    let back = |units: u32| {
        let mut model = moved();
        write(&mut model, TZEROWAIT, units, at(0));
        write(&mut model, XTARGET, 0, at(200));
        let brakes = (200..400).find(|ms| read(&mut model, RAMP_STAT, at(*ms)) & T_ZEROWAIT_ACTIVE != 0);
        assert_ne!(read(&mut model, RAMP_STAT, at(2_000)) & SECOND_MOVE, 0);
        let ends = model.last_turned(at(3_000)).unwrap().to;
        (brakes, ends)
    };
    let ((none, at_once), (some, later)) = (back(0), back(2_344));
    assert!(none.is_none() && some.is_some());
    let waited = (later - at_once).as_secs_f64();
    assert!((waited - 2_344.0 * 512.0 / 12e6).abs() < 1e-6, "{waited} s");
}

#[test]
fn without_toff_there_is_no_current_and_nothing_turns() {
    let mut model = moved();
    write(&mut model, CHOPCONF, 0x0001_00C0, at(100));
    let stands = model.shaft_at(at(100));
    assert_eq!(model.shaft_at(at(600)), stands);
    assert_eq!(read(&mut model, XACTUAL, at(600)), 4_946, "the position register lies");
}

#[test]
fn a_reset_takes_registers_position_and_current() {
    let mut model = moved();
    write(&mut model, GSTAT, 1, at(0));
    model.reset(at(200));
    let stands = model.shaft_at(at(200));
    assert!(stands > 100.0);
    assert_eq!((model.shaft_at(at(900)), read(&mut model, XACTUAL, at(900))), (stands, 0));
    assert_eq!(read(&mut model, CHOPCONF, at(900)) & TOFF, 0);
    assert_eq!(model.status(at(900)) & 1, 1);
}

#[test]
fn a_stalled_shaft_stands_while_the_chip_believes_that_it_moves() {
    let mut model = moved();
    model.stall(true, at(150));
    let stands = model.shaft_at(at(150));
    assert_eq!(model.shaft_at(at(600)), stands);
    assert_eq!(read(&mut model, XACTUAL, at(600)), 4_946);
    assert_eq!(read(&mut model, DRV_STATUS, at(200)) & STALL_GUARD, 0, "stallGuard is not looked at");
    write(&mut model, TCOOLTHRS, 0xF_FFFF, at(200));
    let status = read(&mut model, DRV_STATUS, at(201));
    assert_eq!((status & STALL_GUARD, status & 0x3FF), (STALL_GUARD, 0));
    assert_eq!(model.status(at(201)) & 0b100, 0b100);
    model.stall(false, at(202));
    assert_eq!(read(&mut model, DRV_STATUS, at(203)) & 0x3FF, FREE);
}

#[test]
fn a_stall_stops_the_ramp_if_it_may_until_the_event_is_cleared() {
    let mut model = moved();
    write(&mut model, TCOOLTHRS, 10_000, at(0));
    write(&mut model, SW_MODE, SG_STOP, at(0));
    model.stall(true, at(150));
    assert_ne!(read(&mut model, RAMP_STAT, at(160)) & EVENT_STOP_SG, 0);
    assert!(model.diag0(at(160)));
    let stands = read(&mut model, XACTUAL, at(160));
    assert!((100..4_000).contains(&stands), "{stands}");
    model.stall(false, at(170));
    write(&mut model, XTARGET, 0, at(170));
    assert_eq!(read(&mut model, XACTUAL, at(900)), stands, "it is held until the event is cleared");
    write(&mut model, RAMP_STAT, EVENT_STOP_SG, at(900));
    write(&mut model, XTARGET, 0, at(900));
    assert_eq!(read(&mut model, XACTUAL, at(1_900)), 0);
}

#[test]
fn a_slipping_shaft_goes_a_part_of_the_way() {
    let mut model = moved();
    model.slip(0.25, at(0));
    assert!((model.shaft_at(at(600)) - 0.75 * 4_946.0).abs() < 1e-6);
    let past: f64 = model.past(at(600)).last().map(|(_, piece)| piece.at(piece.lasts).0).unwrap();
    assert!((past - 0.75 * 4_946.0).abs() < 1e-3, "{past}");
}

#[test]
fn open_load_and_heat_are_told_and_take_the_torque() {
    let mut model = moved();
    model.open_load(true, at(100));
    assert_eq!(read(&mut model, DRV_STATUS, at(150)) & OPEN_LOAD, OPEN_LOAD);
    assert_eq!(model.shaft_at(at(600)), model.shaft_at(at(100)));
    assert_eq!(model.status(at(150)) & 0b10, 0);
    let mut model = moved();
    model.overheat(true, at(100));
    assert_ne!(read(&mut model, DRV_STATUS, at(150)) & OVER_TEMPERATURE, 0);
    assert_eq!(model.status(at(150)) & 0b10, 0b10);
    write(&mut model, GSTAT, GSTAT_DRV_ERR, at(160));
    assert_eq!(model.status(at(160)) & 0b10, 0b10, "it cannot be cleared while it is hot");
    model.overheat(false, at(200));
    assert!(model.turns_at(at(250)), "it goes on when it is cool");
    assert_eq!(model.status(at(250)) & 0b10, 0b10, "and tells of it until that is cleared");
    write(&mut model, GSTAT, GSTAT_DRV_ERR, at(300));
    assert_eq!(model.status(at(300)) & 0b10, 0);
}

#[test]
fn a_bus_in_the_wrong_mode_gives_garbage() {
    let mut model = Model::new(12e6);
    let mut bytes = [IOIN, 0, 0, 0, 0];
    model.datagram_in(spi::MODE_0, &mut bytes, at(0));
    bytes = [IOIN, 0, 0, 0, 0];
    model.datagram_in(spi::MODE_0, &mut bytes, at(0));
    assert_ne!(bytes[1], 0x30);
    let mut bytes = [IOIN, 0, 0, 0, 0];
    model.datagram_in(spi::MODE_3, &mut bytes, at(0));
    model.datagram_in(spi::MODE_3, &mut bytes, at(0));
    assert_eq!(bytes[1], 0x30);
}

#[test]
fn what_it_measures_of_itself_agrees() {
    let mut model = moved();
    let v =
        f64::from((read(&mut model, VACTUAL, at(150)) << 8).cast_signed() >> 8) * 12e6 / f64::from(1 << 24);
    let tstep = f64::from(read(&mut model, TSTEP, at(150)));
    assert!((12e6 / v / tstep - 1.0).abs() < 0.01, "{v} {tstep}");
    assert_eq!(read(&mut model, TSTEP, at(900)), SLOWEST);
    assert_eq!(read(&mut model, MSCNT, at(900)), 4_946 % 1_024);
}

#[test]
fn a_motor_that_cannot_follow_loses_a_part_of_its_way_and_stall_guard_sees_it() {
    let mut model = Model::new(12e6).bearing(100_000.0);
    model.enable(true, at(0));
    for (address, value) in [
        (CHOPCONF, 0x0001_00C3),
        (VSTART, 1),
        (A1, 2000),
        (V1, 3000),
        (AMAX, 2000),
        (DMAX, 2000),
        (D1, 4000),
        (VSTOP, 10),
        (XTARGET, 4_946),
        (VMAX, 57_600),
    ] {
        write(&mut model, address, value, at(0));
    }
    let part = 100_000.0 / (2_000.0 * 12e6 * 12e6 / 2f64.powi(41));
    assert!((model.shaft_at(at(600)) / 4_946.0 / part - 1.0).abs() < 1e-3, "{}", model.shaft_at(at(600)));
    write(&mut model, TCOOLTHRS, 1_000, at(600));
    write(&mut model, XTARGET, 0, at(600));
    assert_eq!(read(&mut model, DRV_STATUS, at(610)) & STALL_GUARD, 0, "too slow for it");
    assert_ne!(read(&mut model, DRV_STATUS, at(750)) & STALL_GUARD, 0);
    write(&mut model, GCONF, EN_PWM_MODE, at(750));
    assert_eq!(read(&mut model, DRV_STATUS, at(750)) & STALL_GUARD, 0, "in StealthChop it sees nothing");
    write(&mut model, AMAX, 1_000, at(2_000));
    write(&mut model, DMAX, 1_000, at(2_000));
    let before = model.shaft_at(at(2_000));
    write(&mut model, XTARGET, 4_946, at(2_000));
    assert!((model.shaft_at(at(4_000)) - before - 4_946.0).abs() < 1.0, "a slower ramp it follows");
}
