//! The register file: addresses, who may read and write them, what they hold after a reset. Datasheet rev. 1.17,
//! section 6; access and reset values as in Analog's register list for the chip, but for CHOPCONF, whose reset value
//! is the datasheet's (driver off). Knows no motion.

pub(super) const GCONF: u8 = 0x00;
pub(super) const GSTAT: u8 = 0x01;
pub(super) const IOIN: u8 = 0x04;
pub(super) const X_COMPARE: u8 = 0x05;
pub(super) const TSTEP: u8 = 0x12;
pub(super) const TPWMTHRS: u8 = 0x13;
pub(super) const TCOOLTHRS: u8 = 0x14;
pub(super) const RAMPMODE: u8 = 0x20;
pub(super) const XACTUAL: u8 = 0x21;
pub(super) const VACTUAL: u8 = 0x22;
pub(super) const VSTART: u8 = 0x23;
pub(super) const A1: u8 = 0x24;
pub(super) const V1: u8 = 0x25;
pub(super) const AMAX: u8 = 0x26;
pub(super) const VMAX: u8 = 0x27;
pub(super) const DMAX: u8 = 0x28;
pub(super) const D1: u8 = 0x2A;
pub(super) const VSTOP: u8 = 0x2B;
pub(super) const TZEROWAIT: u8 = 0x2C;
pub(super) const XTARGET: u8 = 0x2D;
pub(super) const SW_MODE: u8 = 0x34;
pub(super) const RAMP_STAT: u8 = 0x35;
pub(super) const MSCNT: u8 = 0x6A;
pub(super) const CHOPCONF: u8 = 0x6C;
pub(super) const DRV_STATUS: u8 = 0x6F;

/// What can be done with a register.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Access {
    /// There is none: it reads as zero.
    None,
    /// The chip's own: writes change nothing.
    Read,
    /// Reads as zero.
    Write,
    Both,
    /// Flags: a one that is written clears its flag.
    Clear,
}

/// By address.
pub(super) fn access(address: u8) -> Access {
    match address {
        0x01 | 0x35 | 0x3B => Access::Clear,
        0x02 | 0x04 | 0x07 | 0x0C | 0x12 | 0x22 | 0x36 | 0x3C | 0x6A | 0x6B | 0x6F | 0x71..=0x73 => {
            Access::Read
        }
        0x00 | 0x08 | 0x20 | 0x21 | 0x2D | 0x34 | 0x38 | 0x39 | 0x6C => Access::Both,
        0x03 | 0x05 | 0x06 | 0x09..=0x0B | 0x10 | 0x11 | 0x13..=0x15 => Access::Write,
        0x23..=0x28 | 0x2A..=0x2C | 0x33 | 0x3A | 0x3D | 0x60..=0x69 | 0x6D | 0x6E | 0x70 => Access::Write,
        _ => Access::None,
    }
}

/// Bits that a register has; others read as zero.
pub(super) fn bits(address: u8) -> u32 {
    match address {
        GCONF | 0x03 => 0x0003_FFFF,
        GSTAT => 0b111,
        0x08 => 0x1F,
        RAMPMODE => 0b11,
        VSTART | VSTOP => 0x3_FFFF,
        A1 | AMAX | DMAX | D1 | TZEROWAIT => 0xFFFF,
        V1 => 0xF_FFFF,
        VMAX => 0x7F_FFFF,
        TCOOLTHRS => 0xF_FFFF,
        SW_MODE => 0xFFF,
        RAMP_STAT => 0x3FFF,
        _ => u32::MAX,
    }
}

/// After a reset.
pub(super) const RESET: [u32; 128] = {
    let mut registers = [0; 128];
    registers[GCONF as usize] = 0x0000_0008;
    registers[GSTAT as usize] = GSTAT_RESET;
    registers[0x09] = 0x0001_0606;
    registers[0x0A] = 0x0008_0400;
    registers[0x10] = 0x0007_0A03;
    registers[0x11] = 10;
    registers[VSTOP as usize] = 1;
    registers[0x3A] = 0x0001_0000;
    registers[CHOPCONF as usize] = 0x1041_0150;
    registers[0x70] = 0xC40C_001E;
    registers
};

/// GSTAT bit 0: the chip was reset.
pub(super) const GSTAT_RESET: u32 = 1;
/// GSTAT bit 1: the power stage was switched off by a fault of its own.
pub(super) const GSTAT_DRV_ERR: u32 = 1 << 1;
/// IOIN bits 31..24: the version.
pub(super) const VERSION: u32 = 0x30 << 24;
/// IOIN bit 4: the DRV_ENN pin.
pub(super) const DRV_ENN: u32 = 1 << 4;
/// CHOPCONF bits 3..0: off time; zero switches the power stage off.
pub(super) const TOFF: u32 = 0b1111;
/// GCONF bit 2: StealthChop up to TPWMTHRS, for ever if that is zero.
pub(super) const EN_PWM_MODE: u32 = 1 << 2;
/// SW_MODE bit 10: a stall stops the motor.
pub(super) const SG_STOP: u32 = 1 << 10;

/// RAMP_STAT.
pub(super) const EVENT_STOP_SG: u32 = 1 << 6;
pub(super) const EVENT_POS_REACHED: u32 = 1 << 7;
pub(super) const VELOCITY_REACHED: u32 = 1 << 8;
pub(super) const POSITION_REACHED: u32 = 1 << 9;
pub(super) const VZERO: u32 = 1 << 10;
pub(super) const T_ZEROWAIT_ACTIVE: u32 = 1 << 11;
pub(super) const SECOND_MOVE: u32 = 1 << 12;
pub(super) const STATUS_SG: u32 = 1 << 13;
/// Those that stay until they are cleared.
pub(super) const EVENTS: u32 = EVENT_STOP_SG | EVENT_POS_REACHED | SECOND_MOVE;
/// Those that pull the interrupt line.
pub(super) const INTERRUPTS: u32 = 0b1111 << 4;

/// DRV_STATUS.
pub(super) const STALL_GUARD: u32 = 1 << 24;
pub(super) const OVER_TEMPERATURE: u32 = 1 << 25;
pub(super) const OVER_TEMPERATURE_WARNING: u32 = 1 << 26;
pub(super) const OPEN_LOAD: u32 = 0b11 << 29;
pub(super) const STANDSTILL: u32 = 1 << 31;
