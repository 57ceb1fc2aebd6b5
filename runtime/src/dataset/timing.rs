//! How long things took: while a data set was open, as its last line has it, and since the program began.

use planktor_actors::timing::{Distribution, Miss, Reading, Stage};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;

/// What a data set's own run consists of. How long encoders and recorder took follows from the computer alone and is counted
/// for all data sets together, in `/metrics`.
const STAGES: [Stage; 7] = [
    Stage::MoveEnd,
    Stage::MoveCalled,
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
    /// Each handler of the hardware thread; not in a data set.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub handlers: BTreeMap<String, Times>,
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
    /// The 99.9th percentile, us.
    pub p999_us: f64,
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
        let [p50_us, p99_us, p999_us] = [0.5, 0.99, 0.999].map(|part| us(times.at(part)));
        Self { n: times.count(), p50_us, p99_us, p999_us, most_us: us(times.most) }
    }
}

impl Timing {
    /// Of a data set.
    pub(super) fn of_a_data_set(reading: &Reading) -> Self {
        Self::of(reading, &STAGES)
    }

    /// Of everything.
    pub fn all(reading: &Reading) -> Self {
        let handlers = reading.handlers.iter().filter(|(_, times)| times.count() > 0);
        let handlers = handlers.map(|(name, times)| (name.clone(), times.into())).collect();
        Self { handlers, ..Self::of(reading, Stage::ALL) }
    }

    fn of(reading: &Reading, stages: &[Stage]) -> Self {
        let stages = stages.iter().map(|stage| (stage.word(), reading.stage(*stage)));
        let longest = reading.longest_handler().filter(|(_, took)| !took.is_zero());
        Self {
            stages: stages
                .filter(|(_, times)| times.count() > 0)
                .map(|(word, times)| (word.into(), times.into()))
                .collect(),
            misses: Miss::ALL.iter().map(|what| (what.word().into(), reading.misses(*what))).collect(),
            longest_handler: longest.map(|(handler, took)| Longest { handler: handler.into(), us: us(took) }),
            handlers: BTreeMap::new(),
        }
    }
}

fn us(time: Duration) -> f64 {
    time.as_nanos() as f64 / 1e3
}
