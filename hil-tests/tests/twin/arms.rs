//! Every routine on the twin in virtual time. The same routines are performed in a virtual machine (`vm/`) and on a rig
//! (`rig.rs`).

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

use planktor_hil_tests::arms::twin::TwinArm;
use planktor_hil_tests::arms::{Arm, Outcome, perform};
use planktor_hil_tests::routine::all;
use planktor_sim::Hat;

fn on(hat: Hat) -> Vec<&'static str> {
    let mut arm = TwinArm::new(hat);
    let routines = all(arm.limits());
    let mut skipped = vec![];
    for routine in routines {
        let name = routine.name;
        if perform(&mut arm, routine).unwrap() != Outcome::Passed {
            skipped.push(name);
        }
    }
    skipped
}

#[test]
fn every_routine_on_a_v3_0() {
    assert!(on(Hat::V3_3).is_empty());
}

#[test]
fn every_routine_on_a_v2_6_that_has_no_bubbler() {
    assert_eq!(on(Hat::V1_2), ["the bubbler bubbles and rests"]);
}
