//! Every routine on a real instrument, and the suites of its chips; `PLANKTOR_RIG` describes it (`rigs/example.toml`). Small volumes, small moves;
//! motors stopped and light off at the end, whatever came. Never run so far: nobody of us has one.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

use planktor_hil_tests::arms::live::LiveArm;
use planktor_hil_tests::arms::{Arm, Outcome, perform, verified};
use planktor_hil_tests::conformance::{self, Check, lm36011, tmc5160};
use planktor_hil_tests::rig::{Rig, RigBench};
use planktor_hil_tests::routine::all;

fn rig() -> Rig {
    let path = std::env::var_os("PLANKTOR_RIG").expect("PLANKTOR_RIG names the file that describes the rig");
    Rig::read(path.as_ref()).unwrap()
}

/// Every check of a suite; what this bench cannot do is said.
fn conforms(bench: &mut RigBench, checks: Vec<Check<RigBench>>) {
    for (name, check) in checks {
        match check(bench) {
            conformance::Outcome::Passed => eprintln!("passed   {name}"),
            conformance::Outcome::Skipped(why) => eprintln!("skipped  {name}: {why}"),
        }
    }
}

#[test]
#[ignore = "needs an instrument's computer: PLANKTOR_RIG=hil-tests/rigs/….toml"]
fn the_chips_of_a_real_board_conform() {
    let Some(board) = rig().board else { return eprintln!("skipped  no board is named in the rig's file") };
    let mut bench = RigBench::open(&board).unwrap();
    conforms(&mut bench, tmc5160::checks());
    if board == "1.2" {
        conforms(&mut bench, lm36011::checks());
    }
}

#[test]
#[ignore = "needs an instrument: PLANKTOR_RIG=hil-tests/rigs/….toml"]
fn every_routine_on_a_real_instrument() {
    let rig = rig();
    let mut arm = LiveArm::connect(&rig.broker, rig.limits, None).unwrap();
    let routines = all(arm.limits());
    let mut failed = vec![];
    for routine in routines {
        let name = routine.name;
        match perform(&mut arm, routine) {
            Ok(Outcome::Passed) => eprintln!("passed   {name}"),
            Ok(Outcome::Skipped(why)) => eprintln!("skipped  {name}: {why}"),
            Err(why) => failed.push(why),
        }
    }
    if let Some(data) = &rig.data {
        verified(data).unwrap();
    }
    assert!(failed.is_empty(), "{failed:#?}");
}
