//! Learned settling on the twin, in virtual time, compared with what was true of the water.
//!
//! Most frames have 507 x 380 pixels of 6 um: an eighth of a full frame a side. So they are seen half as finely as on an
//! instrument, where the small copy that is looked at has pixels of 3 um; some are played so, too.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]
#![allow(clippy::print_stdout, reason = "how well it does is a table of figures, beside what must hold")]

use planktor_hil_tests::{Played, Scenario, light_on, message, record, update_config};
use planktor_runtime::figures::sharp_ul_per_minute;
use planktor_sim::world::Truth;
use planktor_sim::{Hat, Parameters};
use serde_json::{Value, json};
use std::time::Duration;

/// Half a pixel of the medium preset at full size, um: what may be left of the pump's motion.
const RESIDUAL_UM: f32 = 0.375;
/// What a line of the camera sees, um, whatever its pixels.
const VIEW_UM: f64 = 3_042.0;
const COARSE: (u32, u32) = (507, 380);
/// As the small copy of a full frame.
const FINE: (u32, u32) = (1_014, 760);

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn until_still() -> Value {
    json!({"step": "settle_until_still", "residual_um": RESIDUAL_UM, "at_most_s": 3})
}

/// So many frames of 6 uL at 3 mL/min, as the medium preset of a v3.0 has them, with a settling.
fn play(seed: u64, parameters: Parameters, frame: (u32, u32), frames: u32, settle: &Value) -> Outcome {
    let capture = json!({"step": "capture"});
    of_plan(seed, Hat::default(), parameters, frame, frames, [settle, &capture])
}

fn of_plan(
    seed: u64,
    hat: Hat,
    parameters: Parameters,
    frame: (u32, u32),
    frames: u32,
    [settle, capture]: [&Value; 2],
) -> Outcome {
    let hardware = Some(json!({"process_pixel_fixed": VIEW_UM / f64::from(frame.0)}));
    let plan = json!({"plan": [{"step": "repeat", "times": frames, "steps": [
        {"step": "pump", "volume_ul": 6, "flow_ml_per_min": 3}, settle, capture, {"step": "write"}]}]});
    let script = vec![
        (ms(100), light_on()),
        (ms(1_000), update_config("still", frames)),
        (ms(1_200), message("planktor/acquire", &plan)),
    ];
    let scenario = Scenario::new(script, ms(200_000)).until("status/imager", "Done");
    let played = Scenario { seed, hat, parameters, frame, hardware, ..scenario }.play();
    Outcome::of(&played)
}

#[derive(Debug)]
struct Outcome {
    /// Of the frames that were kept, in order.
    truths: Vec<Truth>,
    records: Vec<Value>,
    learned: Option<Value>,
    unknown: Option<Value>,
    /// Frames that were taken and not kept.
    again: usize,
    /// The shortest wait after which every frame would have been still enough, s, to a third of the cadence or so: by what was true
    /// of all the frames that were looked at.
    shortest: f64,
    states: Vec<String>,
}

impl Outcome {
    fn of(played: &Played) -> Self {
        let lines = record(&played.data_sets()[0]);
        let records: Vec<Value> = lines.iter().filter(|line| line.get("file").is_some()).cloned().collect();
        let event = |word: &str| lines.iter().find(|line| line["event"] == word).cloned();
        let world = played.twin.world();
        let truth = |record: &Value| {
            let seq = record["seq"].as_u64().unwrap();
            world.truths().find(|truth| truth.seq == seq).unwrap().clone()
        };
        let moving = world.truths().filter(|truth| PROFILE * pumped(truth) > RESIDUAL_UM);
        let since = |truth: &Truth| (truth.seen().from - truth.motion.unwrap().to).as_secs_f64();
        let states = played.seen.iter().filter(|seen| seen.topic == "planktor/status/acquisition");
        Self {
            truths: records.iter().map(truth).collect(),
            learned: event("settling_learned"),
            unknown: event("settling_unknown"),
            again: played.statuses("status/pump").iter().filter(|status| **status == "Done").count()
                - records.len(),
            shortest: moving.map(since).fold(0.0, f64::max),
            states: states.map(|seen| seen.payload["state"].as_str().unwrap().to_string()).collect(),
            records,
        }
    }

    /// What was waited before a frame, s.
    fn wait(&self, n: usize) -> f64 {
        let record = &self.records[n];
        (record["settled_ns"].as_f64().unwrap() - record["motion"]["to_ns"].as_f64().unwrap()) / 1e9
    }

    /// What was learned to be waited, s.
    fn learned_wait(&self) -> f64 {
        self.learned.as_ref().unwrap()["wait_s"].as_f64().unwrap()
    }

    /// The largest that the pump still moved what is in focus, of the frames after those from which was learned, um.
    fn worst_um(&self) -> f32 {
        self.truths[WATCHED..].iter().map(Truth::worst_pumped_um).fold(0.0, f32::max)
    }

    fn checked(&self) -> usize {
        self.records[WATCHED..].iter().filter(|record| !record["moved_um"].is_null()).count()
    }
}

/// Strokes from which is learned.
const WATCHED: usize = 3;
/// How much faster than in the mean the water is in the middle of the cell.
const PROFILE: f32 = 1.5;

/// How far the pump moved the water in the mean over the depth of the cell while a frame was exposed, um.
fn pumped(truth: &Truth) -> f32 {
    let ends =
        truth.pumped_um.iter().fold((0.0_f32, 0.0_f32), |(least, most), um| (least.min(*um), most.max(*um)));
    ends.1 - ends.0
}

/// Of the water and the ship all that settling has to do with drawn from its range, the rest as usual.
fn drawn(seed: u64) -> Parameters {
    let drawn = Parameters::drawn(seed);
    let Parameters { water_fast_s, water_slow_s, water_slow_part, water_drift_um_per_s, .. } = drawn;
    let Parameters { roll_um, roll_period_s, stuck_part, pump_pulsation_nl, .. } = drawn;
    Parameters {
        water_fast_s,
        water_slow_s,
        water_slow_part,
        water_drift_um_per_s,
        roll_um,
        roll_period_s,
        stuck_part,
        pump_pulsation_nl,
        ..Parameters::default()
    }
}

/// Plays in drawn worlds, and says what came of it; with a pulse of so many microseconds, or none.
fn explore(seeds: std::ops::Range<u64>, frame: (u32, u32), strobe: Option<(Hat, u32)>) {
    println!("{} pixels across, strobed {strobe:?}", frame.0);
    let hat = strobe.map_or(Hat::default(), |(hat, _)| hat);
    let capture = match strobe {
        None => json!({"step": "capture"}),
        Some((_, us)) => json!({"step": "capture", "strobe_us": us}),
    };
    println!("fast s  slow s  part    drift um/s  roll um / s  needs s  waits s  worst um  again  checked");
    for seed in seeds {
        let p = drawn(seed);
        let outcome = of_plan(seed, hat, p, frame, 8, [&until_still(), &capture]);
        let reached = outcome.learned.as_ref().is_some_and(|learned| learned["reached"] == true);
        println!(
            "{:.3}   {:.3}   {:.4}  {:+.2}       {:4.1} / {:4.1}  {:.2}     {:.2}     {:.3}     {}      {}",
            p.water_fast_s,
            p.water_slow_s,
            p.water_slow_part,
            p.water_drift_um_per_s,
            p.roll_um,
            p.roll_period_s,
            outcome.shortest,
            outcome.wait(7),
            outcome.worst_um(),
            outcome.again,
            outcome.checked(),
        );
        assert_eq!(outcome.records.len(), 8);
        assert!(outcome.worst_um() <= RESIDUAL_UM || !reached, "{} um", outcome.worst_um());
        assert!(reached || outcome.wait(7) == 3.0, "what is not known is waited for as long as may be");
        assert!(outcome.again <= 1, "{} good frames were thrown away", outcome.again);
        assert!(outcome.wait(7) <= outcome.shortest + 1.5, "{} s", outcome.wait(7));
    }
}

#[test]
fn in_every_world_the_frames_are_as_still_as_was_asked() {
    explore(0..12, COARSE, None);
}

#[test]
fn at_the_resolution_of_an_instrument_too() {
    explore(0..4, FINE, None);
}

#[test]
fn strobed_frames_are_as_sharp_as_was_asked_in_every_world() {
    explore(0..6, COARSE, Some((Hat::V1_2, 100)));
    explore(6..12, COARSE, Some((Hat::V3_3, 300)));
    explore(0..2, FINE, Some((Hat::V3_3, 300)));
}

#[test]
fn it_says_that_it_learns_what_it_learned_and_how_still_each_frame_was() {
    let outcome = play(1, Parameters::default(), COARSE, 9, &until_still());
    assert!(outcome.states.iter().any(|state| state == "learning"), "{:?}", outcome.states);
    assert_eq!(
        outcome.states.iter().rev().find(|state| *state != "closing" && *state != "idle").unwrap(),
        "acquiring"
    );
    let learned = outcome.learned.as_ref().unwrap();
    assert_eq!((&learned["reached"], &learned["residual_um"]), (&json!(true), &json!(0.375)));
    assert!((outcome.learned_wait() - outcome.wait(5)).abs() < 0.01, "{learned}");
    assert!(outcome.learned_wait() < outcome.shortest + 0.3, "{learned}, needed {}", outcome.shortest);
    // As far as it did move: with the sway of the ship. The last stroke that is watched has been seen already, and while the
    // camera's cadence is set anew nobody can look.
    let looked = outcome.records.iter().skip(WATCHED).filter(|record| record["moved_um"].is_f64()).count();
    assert!(looked + 2 >= outcome.records.len() - WATCHED, "{looked}");
    for (truth, record) in outcome.truths.iter().zip(&outcome.records).skip(WATCHED) {
        let Some(moved) = record["moved_um"].as_f64() else { continue };
        assert!(moved.abs() < 0.6 + 1.5 * f64::from(truth.displacement_um()), "{moved} um");
    }
}

#[test]
fn in_empty_water_it_waits_as_long_as_it_may_and_says_why() {
    let empty = Parameters { particles_per_ul: 0.0, bubbles_per_ul: 0.0, ..Parameters::default() };
    let settle = json!({"step": "settle_until_still", "residual_um": RESIDUAL_UM, "at_most_s": 1});
    let outcome = play(1, empty, COARSE, 5, &settle);
    assert_eq!((outcome.records.len(), outcome.again, outcome.learned.as_ref()), (5, 0, None));
    let why = outcome.unknown.as_ref().unwrap()["reason"].as_str().unwrap();
    assert!(why.contains("too little is seen moving in 0 pairs"), "{why}");
    assert!((0..5).all(|n| (outcome.wait(n) - 1.0).abs() < 1e-6 && outcome.records[n]["moved_um"].is_null()));
}

#[test]
fn what_needs_longer_than_may_be_waited_is_told() {
    let slow = Parameters { water_fast_s: 0.15, ..Parameters::default() };
    let settle = json!({"step": "settle_until_still", "residual_um": 0.1, "at_most_s": 0.8});
    let outcome = play(1, slow, COARSE, 5, &settle);
    let known = outcome.learned.as_ref().map(|learned| learned["reached"].clone());
    assert!(known.is_none_or(|reached| reached == false), "{:?}", outcome.learned);
    assert!((outcome.wait(4) - 0.8).abs() < 1e-6 && outcome.records.len() == 5);
}

/// Water in focus a minute, in frames in which nothing moved by more than half a pixel.
#[test]
fn a_wait_that_is_learned_is_worth_more_than_a_habit_unless_that_happens_to_fit() {
    let habit = json!({"step": "settle", "seconds": 0.5});
    println!(
        "sharp uL/min of the medium preset: 0.5 s   learned (and with the strokes that it learns from, of 12)"
    );
    for (name, fast) in [("hard tubing", 0.03), ("usual tubing", 0.06), ("soft tubing", 0.12)] {
        let calm = Parameters { water_fast_s: fast, roll_um: 0.0, ..Parameters::default() };
        let by_habit = play(3, calm, COARSE, 12, &habit);
        let learned = play(3, calm, COARSE, 12, &until_still());
        let of = |truths: &[Truth]| sharp_ul_per_minute(truths, RESIDUAL_UM).unwrap();
        let (habit, all) = (of(&by_habit.truths), of(&learned.truths));
        let later = of(&learned.truths[WATCHED..]);
        println!(
            "{name:12} {habit:28.1} {later:10.1} ({all:.1}), waits {:.3} s, needs {:.2} s",
            learned.wait(11),
            learned.shortest
        );
        match name {
            "usual tubing" => assert!(later > 0.85 * habit, "{later} {habit}"),
            _ => assert!(later > 1.1 * habit, "{later} {habit}"),
        }
    }
}
