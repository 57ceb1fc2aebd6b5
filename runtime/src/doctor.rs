//! What is there, what answers and how well, before anybody goes to sea with it: findings, each with what to do.
//!
//! No motor moves and no lamp shines; the motor drivers and the camera of a running instrument are left to it. It takes one frame,
//! and writes 4 MB to the data folder's disk, which are gone afterwards.

mod board;
mod computer;
mod surroundings;

use crate::board::Chosen;
use crate::chrony::Chrony;
use crate::mqtt::Address;
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

/// What is to be looked at.
pub struct Patient {
    /// The board; or why there is none.
    pub board: Result<Chosen, String>,
    /// Where data sets go.
    pub data: PathBuf,
    /// Bytes that are kept free there.
    pub kept_free: u64,
    /// Somebody else's broker, if one is used.
    pub broker: Option<Address>,
    /// gpsd's `host:port`.
    pub gpsd: String,
    /// The computer's chrony.
    pub chrony: Chrony,
}

/// How a finding is to be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// As it should be.
    Good,
    /// Works without it, or not as well as it could.
    Notice,
    /// Something will not work.
    Bad,
}

/// What was found.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Finding {
    /// About what.
    pub area: &'static str,
    /// How it is to be taken.
    pub verdict: Verdict,
    /// What.
    pub what: String,
    /// What to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub advice: Option<String>,
    /// What was measured; units are in the names.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub figures: BTreeMap<&'static str, f64>,
}

impl Finding {
    fn good(area: &'static str, what: impl Into<String>) -> Self {
        Self { area, verdict: Verdict::Good, what: what.into(), advice: None, figures: BTreeMap::new() }
    }

    fn notice(area: &'static str, what: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { verdict: Verdict::Notice, advice: Some(advice.into()), ..Self::good(area, what) }
    }

    fn bad(area: &'static str, what: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { verdict: Verdict::Bad, ..Self::notice(area, what, advice) }
    }

    fn figure(mut self, name: &'static str, value: f64) -> Self {
        self.figures.insert(name, value);
        self
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = match self.verdict {
            Verdict::Good => "ok ",
            Verdict::Notice => " ! ",
            Verdict::Bad => "BAD",
        };
        write!(f, "{sign} {:<9} {}", self.area, self.what)?;
        self.advice.iter().try_for_each(|advice| write!(f, "\n{:14}-> {advice}", ""))
    }
}

/// Looks at everything. Takes some seconds: a receiver reports once a second, a disk is written to.
pub fn examine(patient: &Patient) -> Vec<Finding> {
    let mut findings = computer::examine();
    findings.extend(board::examine(&patient.board));
    findings.extend(surroundings::examine(patient));
    findings
}
