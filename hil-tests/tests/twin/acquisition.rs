//! Acquisitions on the twin, in virtual time: the dashboard's own sequence, a plan with focus planes, equal bytes.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

use planktor_actors::journal::Line;
use planktor_hil_tests::{Played, Scenario, Seen, dashboard, light_on, message, update_config};
use planktor_runtime::dataset;
use planktor_sim::scene::Particle;
use planktor_sim::world::Truth;
use serde_json::{Value, json};
use std::time::Duration;

const SETTLING: Duration = Duration::from_millis(500);
/// Half a pixel of the medium preset, um.
const HALF_A_PIXEL_UM: f32 = 0.375;

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn truths(played: &Played) -> Vec<Truth> {
    played.twin.world().truths().cloned().collect()
}

fn assert_still(truths: &[Truth], settling: Duration) {
    for truth in truths {
        assert!(!truth.in_motion(), "frame {} was exposed in motion", truth.seq);
        let motion = truth.motion.expect("there was a stroke before every frame");
        assert!(
            truth.exposure.from >= motion.to + settling,
            "frame {} was exposed before settling was over",
            truth.seq
        );
        let moved = truth.worst_displacement_um();
        assert!(moved <= HALF_A_PIXEL_UM, "frame {}: the water moved by {moved} um", truth.seq);
    }
}

#[test]
fn the_dashboards_own_sequence_gives_a_complete_data_set() {
    let played =
        Scenario::new(dashboard("first light", 10), ms(60_000)).until("status/imager", "Done").play();
    let mut expected = vec!["Config updated".to_string(), "Started".into()];
    let names: Vec<String> = saved(&played).map(|path| file_name(&path)).collect();
    for (i, name) in names.iter().enumerate() {
        expected.extend([format!("Image {}/10 saved to {name}", i + 1), String::new()]);
    }
    expected.push("Done".into());
    assert_eq!(played.statuses("status/imager"), expected);
    assert!(names.is_sorted());

    let strokes = played.statuses("status/pump");
    assert_eq!(strokes, ["Started", "Done", "Idle"].repeat(10));
    let truths = truths(&played);
    assert_eq!(truths.len(), 10);
    assert_still(&truths, SETTLING);
    let report = dataset::verify(&played.data_sets()[0]);
    assert!(report.is_valid() && report.to_string().contains("complete"), "{report}");
    let pumped = played.twin.world().pumped_nl();
    assert!((pumped - 60_000.0).abs() < 10.0, "{pumped} nL");
}

fn saved(played: &Played) -> impl Iterator<Item = String> + '_ {
    let progress = played.seen.iter().filter(|seen| seen.payload["type"] == "progress");
    progress.map(|seen| seen.payload["path"].as_str().unwrap().to_string())
}

fn file_name(path: &str) -> String {
    path.rsplit('/').next().unwrap().to_string()
}

#[test]
fn a_started_stroke_says_how_long_it_will_really_take() {
    let played = Scenario::new(dashboard("durations", 10), ms(60_000)).until("status/imager", "Done").play();
    let started: Vec<_> = played.seen.iter().filter(|seen| seen.is("status/pump", "Started")).collect();
    let durations: Vec<_> = started.iter().map(|seen| seen.payload["duration"].as_f64().unwrap()).collect();
    let real = truths(&played)[0].motion.unwrap().duration().as_secs_f64();
    assert!(durations.iter().all(|said| (said / real - 1.0).abs() < 0.1), "{durations:?} s, really {real} s");
    let last = durations.last().unwrap();
    assert!(
        (last / real - 1.0).abs() < 0.002,
        "after ten strokes the chip's clock is known: {last} s, really {real} s"
    );
    assert!(real > 0.3, "a ramp takes longer than volume / flow rate, which would be 0.12 s");
}

/// Small strokes never reach their speed, so only a long one shows it. Forgetting the chip's velocity factor makes the
/// pump 28 % slow; its clock alone makes it up to 10 % wrong.
#[test]
fn a_long_stroke_flows_at_the_rate_that_was_asked() {
    for seed in 1..6 {
        let stroke = json!({"action": "move", "direction": "FORWARD", "volume": 0.5, "flowrate": 3});
        let scenario =
            Scenario { seed, ..Scenario::new(vec![(ms(100), message("actuator/pump", &stroke))], ms(7_000)) };
        let (early, late) =
            (planktor_protocol::Instant::ZERO + ms(2_000), planktor_protocol::Instant::ZERO + ms(4_000));
        let played = scenario.play();
        let world = played.twin.world();
        let usteps = world.pump.shaft_at(late) - world.pump.shaft_at(early);
        let ml_per_min = usteps / (3220.0 * 256.0) * 30.0;
        assert!((ml_per_min / 3.0 - 1.0).abs() < 0.1, "seed {seed}: {ml_per_min} mL/min");
    }
}

#[test]
fn the_end_of_a_stroke_is_known_within_two_milliseconds() {
    let played = Scenario::new(dashboard("ends", 10), ms(60_000)).until("status/imager", "Done").play();
    let done = played.seen.iter().filter(|seen| seen.is("status/pump", "Done"));
    for (done, truth) in done.zip(truths(&played)) {
        let late = done.at - truth.motion.unwrap().to;
        assert!(done.at >= truth.motion.unwrap().to, "told before it was over");
        assert!(late < ms(2), "{late:?} after the real end");
    }
}

fn three_planes(stops: u32) -> Value {
    let mut stop = vec![
        json!({"step": "pump", "volume_ul": 6, "flow_ml_per_min": 3}),
        json!({"step": "settle", "seconds": 0.5}),
    ];
    for um in [-60, 0, 60] {
        stop.push(json!({"step": "focus_to", "um": um}));
        stop.push(json!({"step": "settle", "seconds": 0.1}));
        stop.push(json!({"step": "capture"}));
    }
    stop.push(json!({"step": "write"}));
    json!({"plan": [{"step": "repeat", "times": stops, "steps": stop}]})
}

#[test]
fn three_focus_planes_are_taken_of_the_same_water_at_every_stop() {
    let script = vec![
        (ms(100), light_on()),
        (ms(1_000), update_config("planes", 12)),
        (ms(1_200), message("planktor/acquire", &three_planes(4))),
    ];
    let played = Scenario::new(script, ms(60_000)).until("status/imager", "Done").play();
    let truths = truths(&played);
    assert_eq!(truths.len(), 12);
    assert_still(&truths, ms(100));
    #[expect(clippy::cast_possible_truncation, reason = "some micrometres")]
    let backlash = played.world.parameters.focus_backlash_um as f32;
    for stop in truths.chunks(3) {
        // Those at the edges come and go with the ship's roll.
        let shared: Vec<_> = shared(&stop[0], &stop[2]).collect();
        assert!(shared.len() + 4 > stop[0].scene.particles.len(), "the same particles");
        let apart = shared.iter().map(|(a, b)| (a.x_um - b.x_um).abs()).fold(0.0, f32::max);
        assert!(apart < 5.0, "the water stood between the planes: {apart} um");
        let defocus = |n: usize| shared_with(&stop[n], shared[0].0).expect("it is in view").defocus_um;
        let off = |a: usize, b: usize| (defocus(a) - defocus(b) - 60.0).abs();
        assert!(off(0, 1) <= backlash + 0.2 && off(1, 2) <= 0.2, "{} {}", off(0, 1), off(1, 2));
    }
    assert!(at_most_one_shared(&truths[0], &truths[3]), "new water at the next stop");
    let report = dataset::verify(&played.data_sets()[0]);
    assert!(report.is_valid(), "{report}");
}

/// Pairs of the same particle in two frames.
fn shared<'a>(a: &'a Truth, b: &'a Truth) -> impl Iterator<Item = (&'a Particle, &'a Particle)> {
    a.scene.particles.iter().filter_map(|particle| Some((particle, shared_with(b, particle)?)))
}

fn shared_with<'a>(truth: &'a Truth, particle: &Particle) -> Option<&'a Particle> {
    let same = |other: &&Particle| {
        (other.scale, other.orientation, other.look) == (particle.scale, particle.orientation, particle.look)
    };
    truth.scene.particles.iter().find(same)
}

/// At the glass the water hardly moves, and what sticks there stays.
fn at_most_one_shared(a: &Truth, b: &Truth) -> bool {
    assert!(a.scene.particles.len() > 10, "too few to tell");
    shared(a, b).filter(|(particle, _)| particle.follows > 0.6).count() <= 1
}

#[test]
fn equal_seed_and_equal_commands_give_equal_bytes() {
    let play = |seed| {
        let scenario = Scenario { seed, ..Scenario::new(dashboard("twice", 5), ms(60_000)) };
        scenario.until("status/imager", "Done").play()
    };
    let (first, second, other) = (play(7), play(7), play(8));
    let journal =
        |played: &Played| played.journal.iter().map(|line| rootless(line, played)).collect::<Vec<_>>();
    assert!(first.journal.len() > 100);
    assert_eq!(journal(&first), journal(&second));
    assert_eq!(first.files(), second.files());
    // Frames, the three other files of the data set, and what the instrument remembers.
    assert_eq!(first.files().len(), 5 + 3 + 1);
    assert_ne!(first.files(), other.files(), "a comparison that cannot fail is none");
}

/// Paths in the journal are absolute; everything else must be equal.
fn rootless(line: &Line, played: &Played) -> String {
    line.to_string().replace(played.data.to_str().unwrap(), "")
}

#[test]
fn frames_are_dark_without_light_and_differ_after_every_stroke() {
    let dark = dashboard("dark", 2).split_off(1);
    let dark = Scenario::new(dark, ms(60_000)).until("status/imager", "Done").play();
    assert!(truths(&dark).iter().all(|truth| truth.scene.light[4] == 0.0));
    let lit = Scenario::new(dashboard("lit", 2), ms(60_000)).until("status/imager", "Done").play();
    let lit = truths(&lit);
    assert!(lit.iter().all(|truth| truth.scene.light[4] > 0.9));
    assert_ne!(lit[0].scene.particles, lit[1].scene.particles);
}

#[test]
fn position_and_time_are_recorded_with_their_source() {
    let played =
        Scenario::new(dashboard("where and when", 1), ms(60_000)).until("status/imager", "Done").play();
    let metadata = std::fs::read(played.data_sets()[0].join("metadata.json")).unwrap();
    let metadata: Value = serde_json::from_slice(&metadata).unwrap();
    assert_eq!(metadata["planktor_time"]["source"], "gps");
    assert_eq!(metadata["planktor_position"]["latitude"], 48.7273);
    let name = saved(&played).next().map(|path| file_name(&path)).unwrap();
    assert!(name.starts_with("2026-06-01_08-00-0"), "{name}");
}

/// Nobody may take an old `Done` for the end of his own stroke: neither we nor a client that comes late.
#[test]
fn no_frame_is_exposed_early_whatever_the_commands_timing() {
    for offset in (0..1_000).step_by(53) {
        let stroke = json!({"action": "move", "direction": "FORWARD", "volume": 0.004, "flowrate": 3});
        let mut script = dashboard("timing", 3);
        script.push((ms(200 + offset), message("actuator/pump", &stroke)));
        script.push((ms(1_300 + offset), message("actuator/pump", &stroke)));
        script.push((ms(1_300 + 2 * offset), message("actuator/pump", &json!({"action": "get"}))));
        let over = |seen: &Seen| seen.topic == "status/imager" && ["Done", "Busy"].contains(&seen.status());
        let scenario = Scenario { until: Box::new(over), ..Scenario::new(script, ms(60_000)) };
        let played = scenario.play();
        let busy = played.seen.last().unwrap().status() == "Busy";
        assert_eq!(truths(&played).len(), if busy { 0 } else { 3 }, "{offset}");
        assert_still(&truths(&played), SETTLING);
        let done_is_kept = played.seen.iter().any(|seen| seen.status() == "Done" && seen.retain);
        assert!(!done_is_kept, "a retained Done is taken for the end of a later stroke");
    }
}
