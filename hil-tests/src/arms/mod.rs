//! The arms on which routines are performed. What holds on one must hold on all.

pub mod live;
pub mod twin;

use crate::routine::{Limits, Routine};
use planktor_runtime::dataset;
use std::path::Path;

/// What became of a routine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Everything came.
    Passed,
    /// This arm has not what it needs.
    Skipped(&'static str),
}

/// Where routines are performed.
pub trait Arm {
    /// How far it may be gone, and what is connected.
    fn limits(&self) -> &Limits;

    /// Whether something can be broken on it.
    fn breaks(&self) -> bool;

    /// Performs one.
    ///
    /// # Errors
    /// What did not come.
    fn perform(&mut self, routine: Routine) -> Result<(), String>;
}

/// Performs a routine, if this arm has what it needs.
///
/// # Errors
/// What did not come.
pub fn perform(arm: &mut impl Arm, routine: Routine) -> Result<Outcome, String> {
    if routine.breaks() && !arm.breaks() {
        return Ok(Outcome::Skipped("nothing is broken here on purpose"));
    }
    let connected = &arm.limits().connected;
    if !routine.needs.iter().all(|device| connected.iter().any(|name| name == device)) {
        return Ok(Outcome::Skipped("not connected"));
    }
    arm.perform(routine).map(|()| Outcome::Passed)
}

/// Whether all data sets below a root are whole, and how many there are.
///
/// # Errors
/// What is wrong with one.
pub fn verified(data: &Path) -> Result<usize, String> {
    let sets = dataset::data_sets(data).map_err(|error| error.to_string())?;
    for set in &sets {
        let report = dataset::verify(set);
        if !report.is_valid() {
            return Err(report.to_string());
        }
    }
    Ok(sets.len())
}
