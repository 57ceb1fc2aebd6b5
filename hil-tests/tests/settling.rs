//! Learned settling on the twin, in virtual time, compared with what was true of the water.
//!
//! Frames have 507 x 380 pixels of 6 um: an eighth of a full frame a side. What is seen is therefore coarser than on an
//! instrument, where the small copy that is looked at has pixels of 3 um or less.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

use planktor_hil_tests::{Played, Scenario, light_on, message, update_config};
use planktor_sim::Parameters;
use planktor_sim::world::Truth;
use serde_json::{Value, json};
use std::time::Duration;
use tempfile::TempDir;

/// Half a pixel of the medium preset, um: what may be left of the pump's motion.
const RESIDUAL_UM: f32 = 0.375;
const FRAME: (u32, u32) = (507, 380);

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// So many frames of 6 uL, with settling until still.
fn plan(frames: u32, still: &Value) -> Value {
    let mut settle = json!({"step": "settle_until_still"});
    settle.as_object_mut().unwrap().extend(still.as_object().unwrap().clone());
    json!({"plan": [{"step": "repeat", "times": frames, "steps": [
        {"step": "pump", "volume_ul": 6, "flow_ml_per_min": 3}, settle, {"step": "capture"}, {"step": "write"}]}]})
}

fn play(seed: u64, parameters: Parameters, frames: u32, still: &Value) -> Outcome {
    let data = TempDir::new().unwrap();
    let hardware = data.path().join("twin");
    std::fs::create_dir_all(&hardware).unwrap();
    std::fs::write(hardware.join("hardware.json"), r#"{"process_pixel_fixed": 6.0}"#).unwrap();
    let script = vec![
        (ms(100), light_on()),
        (ms(1_000), update_config("still", frames)),
        (ms(1_200), message("planktor/acquire", &plan(frames, still))),
    ];
    let scenario = Scenario::new(script, ms(200_000)).until("status/imager", "Done");
    let data_root = Some(data.path().to_path_buf());
    let played = Scenario { seed, parameters, frame: FRAME, data: data_root, ..scenario }.play();
    Outcome::of(&played)
}

#[derive(Debug)]
struct Outcome {
    truths: Vec<Truth>,
    records: Vec<Value>,
    learned: Option<Value>,
    unknown: Option<Value>,
    /// Frames that were taken and not kept.
    again: usize,
    takes: Vec<String>,
}

impl Outcome {
    fn of(played: &Played) -> Self {
        let text = std::fs::read_to_string(played.data_sets()[0].join("frames.jsonl")).unwrap();
        let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let records: Vec<Value> = lines.iter().filter(|line| line.get("file").is_some()).cloned().collect();
        let event = |word: &str| lines.iter().find(|line| line["event"] == word).cloned();
        let world = played.twin.world();
        let truth = |record: &Value| {
            let seq = record["seq"].as_u64().unwrap();
            world.truths().find(|truth| truth.seq == seq).unwrap().clone()
        };
        Self {
            truths: records.iter().map(truth).collect(),
            learned: event("settling_learned"),
            unknown: event("settling_unknown"),
            again: played.count("status/pump", "Done") - records.len(),
            takes: vec![],
            records,
        }
    }

    fn wait(&self, n: usize) -> f64 {
        let record = &self.records[n];
        (record["settled_ns"].as_f64().unwrap() - record["motion"]["to_ns"].as_f64().unwrap()) / 1e9
    }
}

#[test]
fn explore() {
    for seed in 0..12 {
        let drawn = Parameters::drawn(seed);
        let parameters = Parameters {
            water_fast_s: drawn.water_fast_s, water_slow_s: drawn.water_slow_s, water_slow_part: drawn.water_slow_part,
            water_drift_um_per_s: drawn.water_drift_um_per_s, roll_um: drawn.roll_um, roll_period_s: drawn.roll_period_s,
            ..Parameters::default() };
        let outcome = play(seed, parameters, 8, &json!({"residual_um": RESIDUAL_UM, "at_most_s": 3}));
        println!("seed {seed}: fast {:.3} slow {:.3} part {:.4} drift {:.2} roll {:.1}/{:.1}", parameters.water_fast_s, parameters.water_slow_s,
            parameters.water_slow_part, parameters.water_drift_um_per_s, parameters.roll_um, parameters.roll_period_s);
        println!("  again {} learned {} unknown {:?}", outcome.again, outcome.learned.as_ref().map_or("-".into(), Value::to_string), outcome.unknown);
        for (n, truth) in outcome.truths.iter().enumerate() {
            println!("  wait {:.3} pumped {:.3} moved {:.3} seen {}", outcome.wait(n), truth.worst_pumped_um(), truth.worst_displacement_um(), outcome.records[n]["moved_um"]);
        }
    }
}
