//! Strobed frames and frames in a slow flow, on the twin in virtual time, on both HATs.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]
#![allow(clippy::print_stdout, reason = "figures, beside what must hold")]

use planktor_hil_tests::sharp::{Instrument, Settle, Way, Writers, kept, measure, play, worth};
use planktor_hil_tests::{Played, Scenario, message, record, update_config};
use planktor_protocol::{Instant, Interval};
use planktor_runtime::dataset;
use planktor_sim::world::Truth;
use planktor_sim::{Hat, Parameters};
use serde_json::{Value, json};
use std::time::Duration;

/// Sharp water in a minute of today's settings at best: a view of 2.08 uL for each stroke of 368 ms, half a second, and exposure
/// with read-out of 87 ms.
const FLOOR_UL_PER_MIN: f64 = 2.08 * 60.0 / 0.955_3;
/// Half a pixel of the medium preset, um.
const HALF_A_PIXEL_UM: f32 = 0.375;
const SETTLING: Settle = Settle::Seconds(0.5);
/// Each board's own way to pulse, and a pulse that it can do.
const PULSES: [(Hat, u32); 2] = [(Hat::V1_2, 100), (Hat::V3_3, 300)];

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn truths(played: &Played) -> Vec<Truth> {
    played.twin.world().truths().cloned().collect()
}

/// The records of the only data set's frames.
fn records(played: &Played) -> Vec<Value> {
    record(&played.data_sets()[0]).into_iter().filter(|line| line["file"].is_string()).collect()
}

/// What an acquisition wrote down when it had learned how the water settles.
fn learned(played: &Played) -> Value {
    let mut lines = record(&played.data_sets()[0]).into_iter();
    lines.find(|line| line["event"] == "settling_learned").expect("it has learned")
}

fn usual() -> Parameters {
    Parameters::default()
}

#[test]
fn strobed_frames_are_sharp_and_each_is_lit_while_everything_stands_and_all_lines_are_open() {
    for (hat, us) in PULSES {
        let played = play(Instrument::usual(hat), Way::Strobe(SETTLING, us), 8);
        let truths = truths(&played);
        assert_eq!(truths.len(), 8, "{hat:?}");
        for truth in &truths {
            let lit = truth.lit.expect("it was lit by a pulse");
            let asked = Duration::from_micros(us.into());
            assert!(lit.duration() >= asked && lit.duration() < asked + ms(1), "{hat:?} {lit:?}");
            assert!(!truth.in_motion() && lit.from >= truth.motion.unwrap().to + ms(500));
            let moved = truth.worst_displacement_um();
            assert!(moved <= HALF_A_PIXEL_UM, "{moved} um");
        }
        let report = dataset::verify(&played.data_sets()[0]);
        assert!(report.is_valid() && report.to_string().contains("complete"), "{report}");
        for (record, truth) in records(&played).iter().zip(&truths) {
            let ns = |value: &Value| value.as_i64().unwrap();
            let (pulse, exposure) = (&record["pulse"], &record["exposure"]);
            assert_eq!(ns(&pulse["asked_ns"]), i64::from(us) * 1_000);
            // What the record says encloses the light that there was.
            let lit = truth.lit.unwrap();
            let said = [&pulse["from_ns"], &pulse["to_ns"]].map(|at| ns(at) - ns(&exposure["from_ns"]));
            let was = [lit.from, lit.to].map(|at| (at - truth.exposure.from).as_nanos() as i64);
            assert!(said[0] <= was[0] && was[1] <= said[1], "{hat:?}: {said:?} {was:?}");
        }
    }
}

#[test]
fn a_strobed_frame_takes_less_time_by_its_read_out() {
    for (hat, us) in PULSES {
        let plain = measure(Instrument::usual(hat), Way::StopFlow(SETTLING), 40).unwrap();
        let strobed = measure(Instrument::usual(hat), Way::Strobe(SETTLING, us), 40).unwrap();
        let gained = plain.period - strobed.period;
        // Both are in phase with the strokes.
        assert!(gained > ms(80) && gained < ms(90), "{hat:?}: {plain:?} {strobed:?}");
        assert!(strobed.new_ul_per_min > 1.09 * plain.new_ul_per_min, "{hat:?}: {plain:?} {strobed:?}");
    }
}

/// Frames that are looked at are lit, too; and where light is short water may still move that would blur an exposure.
#[test]
fn strobed_settling_is_learned_as_short_as_a_pulse_allows_and_every_frame_is_sharp() {
    for (hat, us) in PULSES {
        let usual = || Instrument::usual(hat);
        let by_habit = measure(usual(), Way::Strobe(SETTLING, us), 20).unwrap();
        let played = play(usual(), Way::Strobe(Settle::Learned, us), 20);
        let (learned, kept) = (learned(&played), kept(&played));
        let wait = learned["wait_s"].as_f64().unwrap();
        let waits: Vec<_> = kept.iter().map(|truth| truth.seen().from - truth.motion.unwrap().to).collect();
        assert!(wait < 0.4 && learned["reached"] == true, "{hat:?}: {learned}");
        assert_eq!(kept.len(), 20);
        for (truth, waited) in kept.iter().zip(&waits) {
            assert!(!truth.in_motion() && waited.as_secs_f64() >= wait, "{hat:?}: {waits:?}");
            assert!(truth.worst_displacement_um() <= HALF_A_PIXEL_UM, "{} um", truth.worst_displacement_um());
        }
        let sharp = worth(&played, Way::Strobe(Settle::Learned, us), 20).unwrap();
        let gained = (by_habit.period - sharp.period).as_secs_f64();
        assert!((gained - (0.5 - wait)).abs() < 0.01, "{hat:?}: {wait} {by_habit:?} {sharp:?}");
        // The usual preset of a v3.0: what it is for.
        assert!(
            hat != Hat::V3_3 || sharp.new_ul_per_min > 1.4 * FLOOR_UL_PER_MIN,
            "{sharp:?} by {FLOOR_UL_PER_MIN}"
        );
        println!("{hat:?}: waits {wait} s, {:?} a frame, {} px", sharp.period, sharp.blur_px);
    }
}

#[test]
fn lamp_and_exposure_are_as_before_when_it_is_over() {
    for (hat, us) in PULSES {
        let way = Way::Strobe(SETTLING, us);
        let plain = Way::StopFlow(SETTLING).plan(2);
        let script = vec![
            (ms(100), message("light", &json!({"action": "on", "value": 0.6}))),
            (ms(1_000), update_config("strobed", 2)),
            (ms(1_200), message("planktor/acquire", &way.plan(2))),
            (ms(20_000), update_config("plain", 2)),
            (ms(20_200), message("planktor/acquire", &plain)),
        ];
        let scenario = Scenario { hat, ..Scenario::new(script, ms(60_000)) };
        let (mut done, mut between) = (0, vec![]);
        let scenario = scenario.react(move |seen, twin| {
            if seen.is("status/imager", "Done") {
                let world = twin.world();
                between.push(world.light_at(world.now()));
                assert!(between.iter().all(|light| *light > 0.5 && *light == between[0]), "{between:?}");
            }
            vec![]
        });
        let played = Scenario {
            until: Box::new(move |seen| {
                done += u32::from(seen.is("status/imager", "Done"));
                done == 2
            }),
            ..scenario
        }
        .play();
        let truths = truths(&played);
        let exposures: Vec<_> = truths.iter().map(|truth| truth.exposure.duration() < ms(90)).collect();
        assert_eq!(exposures, [false, false, true, true], "{hat:?}");
        assert!(truths[2].scene.light[4] > 0.3 && truths[2].scene.flashes.is_empty());
    }
}

/// Stopped at some instant, gone on with, and a plain acquisition after it.
fn stopped(hat: Hat, way: Way, light: &Value, at: Duration) -> Played {
    let script = vec![
        (ms(100), message("light", light)),
        (ms(1_000), update_config("cut", 8)),
        (ms(1_200), message("planktor/acquire", &way.plan(8))),
        (at, message("imager/image", &json!({"action": "stop"}))),
        (at + ms(3_000), message("planktor/resume", &json!({"data_set": "2026-06-01/sample_1/cut"}))),
    ];
    let plain = Way::StopFlow(SETTLING).plan(2);
    let scenario = Scenario { hat, ..Scenario::new(script, ms(60_000)) };
    let mut over = 0;
    let scenario = scenario.react(move |seen, _| {
        over += u32::from(seen.is("status/imager", "Done"));
        let again = seen.is("status/imager", "Done") && over == 1;
        let plain = || vec![update_config("plain", 2), message("planktor/acquire", &plain)];
        if again { plain() } else { vec![] }
    });
    let mut done = 0;
    let until = move |seen: &planktor_hil_tests::Seen| {
        done += u32::from(seen.is("status/imager", "Done"));
        done == 2
    };
    Scenario { until: Box::new(until), ..scenario }.play()
}

#[test]
fn a_strobed_data_set_that_was_stopped_goes_on_and_then_camera_and_lamp_are_as_before() {
    let lit = json!({"action": "on", "value": 0.6});
    let dark = json!({"action": "off"});
    for (hat, us) in PULSES {
        let (strobe, flow) = (Way::Strobe(SETTLING, us), Way::Flow(Way::fastest_flow(hat, us), us));
        // In the middle; before the first frame; with a lamp that is dark but for its pulses.
        for (way, light, at) in
            [(strobe, &lit, 5_000), (flow, &lit, 2_500), (strobe, &lit, 1_600), (strobe, &dark, 5_000)]
        {
            let played = stopped(hat, way, light, ms(at));
            let case = format!("{hat:?} {way:?} {light} stopped at {at} ms");
            let refused: Vec<_> =
                played.seen.iter().filter_map(|seen| seen.payload["reason"].as_str()).collect();
            let folder = played.data_sets().into_iter().find(|folder| folder.ends_with("cut")).unwrap();
            let report = dataset::verify(&folder);
            assert!(
                report.is_valid() && report.to_string().contains("complete"),
                "{case}: {report} {refused:?}"
            );
            let lines = record(&folder);
            let resumed = lines.iter().find(|line| line["resumed"].is_u64()).unwrap();
            let exposures = [&lines[0], resumed].map(|line| line["camera"]["exposure_ns"].as_i64().unwrap());
            assert!((exposures[0] - exposures[1]).abs() < 100_000, "{case}: {exposures:?}");
            let world = played.twin.world();
            // What goes on counts from when that was.
            let mut anchor = 0;
            let frames: Vec<_> = lines
                .iter()
                .filter_map(|line| {
                    anchor = line["anchor"]["monotonic_ns"].as_i64().unwrap_or(anchor);
                    line["file"].is_string().then_some((anchor, line))
                })
                .collect();
            assert_eq!(frames.len(), 8, "{case}");
            for (anchor, frame) in frames {
                let ns = |value: &Value| Instant::from_nanos((anchor + value.as_i64().unwrap()) as u64);
                let from = ns(&frame["exposure"]["from_ns"]);
                let truth = world.truths().find(|truth| truth.exposure.from == from).expect("a frame");
                let pulse =
                    Interval { from: ns(&frame["pulse"]["from_ns"]), to: ns(&frame["pulse"]["to_ns"]) };
                let lit = truth.lit.expect("it was lit by a pulse");
                assert!(pulse.contains(lit) && truth.open().contains(lit), "{case}: {pulse:?} {truth:?}");
                let still = !truth.in_motion() || frame["flow"].is_object();
                assert!(still && truth.worst_displacement_um() <= HALF_A_PIXEL_UM, "{case}: {truth:?}");
            }
            let plain: Vec<_> = world.truths().collect::<Vec<_>>().into_iter().rev().take(2).collect();
            assert!(plain.iter().all(|truth| truth.exposure.duration() < ms(90)), "{case}");
            let before = if light["action"] == "off" { 0.0 } else { 0.3 };
            let is = plain[0].scene.light[4];
            assert!(if before == 0.0 { is == 0.0 } else { is > before }, "{case}: {is}");
        }
    }
}

/// A duplicate bears an old time stamp, and the pulse does not lie where that frame's lines were open.
#[test]
fn a_frame_whose_light_is_not_where_its_lines_were_open_is_taken_again() {
    for (hat, us) in PULSES {
        let script = Way::Strobe(SETTLING, us).script("duplicates", 6);
        let fault = json!({"what": "frames-duplicated", "when": {"at_s": 3}, "for_s": 2});
        let scenario = Scenario { hat, ..Scenario::new(script, ms(60_000)) };
        let played = scenario.fault(&fault).until("status/imager", "Done").play();
        let (records, truths) = (records(&played), truths(&played));
        assert_eq!(records.len(), 6, "{hat:?}");
        assert!(truths.len() > 6, "{hat:?}: none was lost");
        for record in &records {
            let truth = truths.iter().find(|truth| record["seq"] == truth.seq).unwrap();
            assert!(truth.lit.is_some_and(|lit| truth.exposure.contains(lit)), "{hat:?}");
        }
    }
}

#[test]
fn what_lamp_or_flow_cannot_do_is_refused_with_what_to_do() {
    let refused = |hat, way: Way| {
        let script = way.script("refused", 2);
        let played = Scenario { hat, ..Scenario::new(script, ms(5_000)) }.play();
        let answers = played.seen.iter().filter(|seen| seen.topic == "status/imager");
        answers
            .filter_map(|seen| seen.payload["reason"].as_str().map(String::from))
            .collect::<Vec<_>>()
            .join(" ")
    };
    let short = refused(Hat::V3_3, Way::Strobe(SETTLING, 100));
    assert!(short.contains("300 us at least"), "{short}");
    for (hat, us) in PULSES {
        let fast = refused(hat, Way::Flow(1.05 * Way::fastest_flow(hat, us), us));
        assert!(fast.contains("half a pixel is 375 nm"), "{hat:?}: {fast}");
    }
}

#[test]
fn in_a_slow_flow_frames_come_at_the_cameras_cadence_and_none_moves_by_more_than_half_a_pixel() {
    for (hat, us) in PULSES {
        let way = Way::Flow(Way::fastest_flow(hat, us), us);
        let at_once = Instrument { writers: Writers::AtOnce, ..Instrument::usual(hat) };
        let played = play(at_once, way, 30);
        let (truths, records) = (truths(&played), records(&played));
        assert_eq!((truths.len(), records.len()), (30, 30), "{hat:?}");
        let still = truths.iter().filter(|truth| !truth.in_motion()).count();
        assert!(still <= 1, "{hat:?}: the pump turned while they were lit, {still} times not");
        for (truth, record) in truths.iter().zip(&records) {
            assert!(truth.worst_displacement_um() <= HALF_A_PIXEL_UM, "{} um", truth.worst_displacement_um());
            // The record reckons with how long there really was light.
            let blur_nm = record["flow"]["blur_nm"].as_u64().unwrap();
            assert!(
                truth.worst_displacement_um() * 1e3 <= blur_nm as f32 && blur_nm < 375,
                "{truth:?} {record}"
            );
        }
        let moved = truths[20].worst_displacement_um();
        assert!(moved > 0.1, "{hat:?}: it flows at full speed: {moved} um");
        let apart: Vec<_> =
            truths.windows(2).map(|pair| pair[1].exposure.from - pair[0].exposure.from).collect();
        assert!(apart.iter().all(|apart| *apart < ms(103)), "{hat:?}: {apart:?}");
        let report = dataset::verify(&played.data_sets()[0]);
        assert!(report.is_valid(), "{report}");
        // Each waits for the camera since the light before it; the first one for a frame more, which begins after its order.
        let timing = record(&played.data_sets()[0]).last().unwrap()["timing"].clone();
        assert!(timing["misses"]["frame_starts"].as_u64().unwrap() <= 1, "{hat:?}: {timing}");
        let waits = &timing["stages"]["settled_to_exposure"];
        assert!(waits["n"] == 30 && waits["most_us"].as_f64().unwrap() < 210_000.0, "{hat:?}: {timing}");
    }
}

/// The brightness of clear water in the middle, as rendered.
fn brightness(truth: &Truth) -> f64 {
    use planktor_sim::render::render;
    let clear = planktor_sim::scene::Scene { particles: vec![], ..(*truth.scene).clone() };
    let picture = render(&clear);
    picture.iter().map(|byte| f64::from(*byte)).sum::<f64>() / picture.len() as f64
}

#[test]
fn ambient_light_rise_and_jitter_have_the_effect_that_they_must_have() {
    let strobed = |parameters| {
        let instrument = Instrument { parameters, ..Instrument::usual(Hat::V1_2) };
        truths(&play(instrument, Way::Strobe(SETTLING, 100), 6))
    };
    let exact = strobed(Parameters { lamp_jitter_us: 0.0, lamp_flicker: 0.0, ..usual() });
    let same = exact.windows(2).all(|pair| (brightness(&pair[0]) - brightness(&pair[1])).abs() < 0.3);
    assert!(same, "equal pulses are equally bright");

    // A tenth of a per cent for 100 ms is 100 us of full light: as much again as the pulse.
    let leaking = Parameters { ambient_light: 0.001, lamp_jitter_us: 0.0, lamp_flicker: 0.0, ..usual() };
    let leaking = strobed(leaking);
    let half = Parameters { lamp_brightness: 0.5, ..leaking_of(0.001) };
    let (dark, bright) = (brightness(&strobed(half)[1]), brightness(&exact[1]));
    assert!(brightness(&leaking[1]) > bright + 20.0 || bright > 250.0 - 20.0, "{bright}");
    assert!((dark / bright - 1.5).abs() < 0.15, "half of the lamp and all of the leak: {dark} {bright}");

    // A slow lamp is lit longer, but gives as much.
    let slow = Parameters { lamp_rise_us: 10.0, lamp_jitter_us: 0.0, lamp_flicker: 0.0, ..usual() };
    let slow = strobed(slow);
    let lit = |truth: &Truth| truth.lit.unwrap().duration();
    assert_eq!(lit(&slow[1]) - lit(&exact[1]), Duration::from_micros(5));
    assert!((brightness(&slow[1]) - brightness(&exact[1])).abs() < 0.5);

    // A pulse whose ends are late by chance has no length of its own.
    let jittery = strobed(Parameters { lamp_jitter_us: 20.0, lamp_flicker: 0.0, ..usual() });
    let all: Vec<_> = jittery.iter().map(brightness).collect();
    let spread = all.iter().copied().fold(0.0, f64::max) - all.iter().copied().fold(f64::MAX, f64::min);
    assert!(spread > 5.0, "{all:?}");
}

fn leaking_of(ambient_light: f64) -> Parameters {
    Parameters { ambient_light, lamp_jitter_us: 0.0, lamp_flicker: 0.0, ..usual() }
}

/// It is told before the data set is opened that its pin or its bus will pulse; what has come back meanwhile does not know it.
#[test]
fn a_lamp_that_is_lost_and_back_while_the_data_set_opens_lights_no_frame_and_none_is_taken() {
    for (hat, us) in PULSES {
        let script = Way::Strobe(SETTLING, us).script("dark", 2);
        let fault = json!({"what": {"bus-error": "light"}, "when": {"at_s": 1.199}, "for_s": 0.05});
        let parameters = Parameters { disk_sync_s: 0.4, ..usual() };
        let scenario = Scenario { hat, parameters, ..Scenario::new(script, ms(20_000)) };
        let played = scenario.fault(&fault).play();
        let told = played.seen.iter().filter(|seen| seen.topic == "status/imager");
        let reasons: Vec<_> = told.filter_map(|seen| seen.payload["reason"].as_str()).collect();
        assert!(reasons.iter().any(|why| why.contains("the lamp failed")), "{hat:?}: {reasons:?}");
        assert_eq!(truths(&played).len(), 0, "{hat:?}");
    }
}

#[test]
fn nothing_is_lit_by_a_lamp_that_is_lost_and_the_acquisition_says_so() {
    for (hat, us) in PULSES {
        let script = Way::Strobe(SETTLING, us).script("lost", 6);
        let fault = json!({"what": {"cable-pulled": "light"}, "when": {"at_s": 3}});
        let played = Scenario { hat, ..Scenario::new(script, ms(20_000)) }.fault(&fault).play();
        let told = played.seen.iter().filter(|seen| seen.topic == "status/imager");
        let reasons: Vec<_> = told.filter_map(|seen| seen.payload["reason"].as_str()).collect();
        // A pin does not care for the bus.
        let by_bus = hat == Hat::V3_3;
        assert_eq!(reasons.iter().any(|why| why.contains("the lamp failed")), by_bus, "{hat:?}: {reasons:?}");
    }
}
