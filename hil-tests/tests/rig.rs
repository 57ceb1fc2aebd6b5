//! Every routine on a real instrument, which `PLANKTOR_RIG` describes (`rigs/example.toml`). Small volumes, small moves;
//! motors stopped and light off at the end, whatever came. Never run so far: nobody of us has one.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

use planktor_hil_tests::arms::live::LiveArm;
use planktor_hil_tests::arms::{Arm, Outcome, perform, verified};
use planktor_hil_tests::rig::Rig;
use planktor_hil_tests::routine::all;

#[test]
#[ignore = "needs an instrument: PLANKTOR_RIG=hil-tests/rigs/….toml"]
fn every_routine_on_a_real_instrument() {
    let path = std::env::var_os("PLANKTOR_RIG").expect("PLANKTOR_RIG names the file that describes the rig");
    let rig = Rig::read(path.as_ref()).unwrap();
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
