//! The conformance suites, through the kernel.

use super::bench::KernelBench;
use super::table::{Check, tried};
use crate::conformance::{self, Outcome, at24c32, lm36011, mcp4725, rtc, tmc5160};
use planktor_sim::faults::Motor;
use planktor_sim::{Hat, RtcChip};

/// All of them.
pub const CHECKS: [Check; 8] = [
    ("the pump's TMC5160 conforms, on /dev/spidev0.0", || {
        suite(&tmc5160::checks(), || KernelBench::new(0, Hat::V3_3, None, Motor::Pump))
    }),
    ("the stage's TMC5160 conforms, on /dev/spidev0.1", || {
        suite(&tmc5160::checks(), || KernelBench::new(10, Hat::V3_3, None, Motor::Focus))
    }),
    ("HAT 3.3's MCP4725 conforms, on /dev/i2c-1", || {
        suite(&mcp4725::checks(), || KernelBench::new(0, Hat::V3_3, None, Motor::Pump))
    }),
    ("HAT 1.2's LM36011 conforms, on /dev/i2c-1", || {
        suite(&lm36011::checks(), || KernelBench::new(0, Hat::V1_2, None, Motor::Pump))
    }),
    ("HAT 3.3's 24C32 conforms, on /dev/i2c-9", || {
        suite(&at24c32::checks(), || KernelBench::new(0, Hat::V3_3, None, Motor::Pump))
    }),
    ("HAT 1.2's 24C32 conforms, on /dev/i2c-1", || {
        suite(&at24c32::checks(), || KernelBench::new(0, Hat::V1_2, None, Motor::Pump))
    }),
    ("a DS3231 conforms, on /dev/i2c-1", || {
        suite(&rtc::ds3231(), || KernelBench::new(0, Hat::V1_2, Some(RtcChip::Ds3231), Motor::Pump))
    }),
    ("an RV-3028-C7 conforms, on /dev/i2c-1", || {
        suite(&rtc::rv3028(), || KernelBench::new(0, Hat::V3_3, Some(RtcChip::Rv3028), Motor::Pump))
    }),
];

/// Each check on chips of its own.
fn suite(checks: &[conformance::Check<KernelBench>], bench: impl Fn() -> KernelBench) -> String {
    let mut happened = 0;
    for (name, check) in checks {
        let outcome = tried(|| {
            let mut bench = bench();
            let outcome = check(&mut bench);
            happened += bench.far_end.count();
            outcome
        });
        match outcome {
            Ok(Outcome::Passed) => {}
            Ok(Outcome::Skipped(why)) => panic!("{name}: skipped, but this bench has everything: {why}"),
            Err(why) => panic!("{name}: {why}"),
        }
    }
    format!("{} checks, {happened} transfers", checks.len())
}
