//! How long things took while a data set was open, as its last line has it.

use planktor_actors::timing::{Distribution, Miss, Reading, Stage};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;

/// What a data set's own run consists of. How long encoders and recorder took follows from the computer alone and is counted
/// for all data sets together, in `/metrics`.
const STAGES: [Stage; 6] = [
    Stage::MoveEnd,
    Stage::SettledToExposure,
    Stage::ExposureToMove,
    Stage::ExposureToDurable,
    Stage::WaitForDisk,
    Stage::Alarm,
];

/// How long things took since the data set was begun, or resumed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Timing {
    /// By stage, as in `/metrics`.
    pub stages: BTreeMap<String, Times>,
    /// What should not have happened, and how often: frame starts and frames lost, alarms and handlers too late.
    pub misses: BTreeMap<String, u64>,
    /// The handler of the hardware thread that took longest; `null` in virtual time.
    pub longest_handler: Option<Longest>,
}

/// How durations were distributed. Quantiles are at most a sixteenth too long.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Times {
    /// How many.
    pub n: u64,
    /// The median, us.
    pub p50_us: f64,
    /// The 99th percentile, us.
    pub p99_us: f64,
    /// The longest, us.
    pub most_us: f64,
}

/// A handler that took longest.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Longest {
    /// Whose, and of what.
    pub handler: String,
    /// How long, us.
    pub us: f64,
}

impl From<&Distribution> for Times {
    fn from(times: &Distribution) -> Self {
        let [p50_us, p99_us, most_us] = [times.at(0.5), times.at(0.99), times.most].map(us);
        Self { n: times.count(), p50_us, p99_us, most_us }
    }
}

impl From<&Reading> for Timing {
    fn from(reading: &Reading) -> Self {
        Self::of(reading, &STAGES)
    }
}

impl Timing {
    /// Of these stages, as far as anything was counted.
    pub fn of(reading: &Reading, stages: &[Stage]) -> Self {
        let times = stages.iter().map(|stage| (stage.word(), reading.stage(*stage)));
        let longest = reading.longest_handler().filter(|(_, took)| !took.is_zero());
        Self {
            stages: times
                .filter(|(_, times)| times.count() > 0)
                .map(|(word, times)| (word.into(), times.into()))
                .collect(),
            misses: Miss::ALL.iter().map(|what| (what.word().into(), reading.misses(*what))).collect(),
            longest_handler: longest.map(|(handler, took)| Longest { handler: handler.into(), us: us(took) }),
        }
    }
}

fn us(time: Duration) -> f64 {
    time.as_nanos() as f64 / 1e3
}
