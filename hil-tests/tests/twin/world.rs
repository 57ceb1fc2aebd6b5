//! Every number of the world has its effect, and every fault of the list is felt and got over.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

use planktor_drivers::Disk;
use planktor_hil_tests::explorer::on_all_cores;
use planktor_hil_tests::{Played, Scenario, Script, dashboard, image, light_on, message, update_config};
use planktor_runtime::dataset;
use planktor_sim::Hat;
use planktor_sim::disk::MemoryDisk;
use planktor_sim::parameters::{Parameters, TABLE};
use serde_json::{Value, json};
use std::path::Path;
use std::time::Duration;

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// A world in which everything is a little on the move, so that every number can show.
fn restless() -> Parameters {
    Parameters {
        particles_per_ul: 30.0,
        sinking_um_per_s: 20.0,
        ship_m_per_s: 5.0,
        lamp_flicker: 0.02,
        stuck_part: 0.1,
        bubbles_per_ul: 2.0,
        focus_warming_um: 40.0,
        water_slow_part: 0.005,
        pump_pulsation_nl: 100.0,
        ..Parameters::default()
    }
}

/// Forwards, back, more than the smallest sample, up and down, frames in between, and a ramp that is tried.
fn everything() -> Script {
    let stroke = |direction: &str, volume: f64| {
        let order = json!({"action": "move", "direction": direction, "volume": volume, "flowrate": 20});
        message("actuator/pump", &order)
    };
    let focus = |direction: &str| {
        message("actuator/focus", &json!({"action": "move", "direction": direction, "distance": 0.05}))
    };
    let plan = json!({"plan": [{"step": "settle", "seconds": 0.1}, {"step": "capture"}, {"step": "write"}]});
    let mut script = vec![(ms(100), light_on()), (ms(200), stroke("FORWARD", 0.2))];
    script.extend([
        (ms(3_000), stroke("BACKWARD", 0.01)),
        (ms(4_000), focus("UP")),
        (ms(5_000), focus("DOWN")),
    ]);
    script.push((ms(6_000), update_config("still", 1)));
    script.push((ms(6_100), message("planktor/acquire", &plan)));
    script.push((ms(8_000), update_config("stop-flow", 2)));
    script.push((ms(8_100), image(2)));
    let strobed = json!({"plan": [{"step": "capture", "strobe_us": 300}, {"step": "write"}]});
    script.push((ms(14_000), update_config("strobed", 1)));
    script.push((ms(14_100), message("planktor/acquire", &strobed)));
    // A ramp that not every pump bears.
    let trial =
        json!({"action": "try", "direction": "FORWARD", "volume": 0.006, "flowrate": 3, "amax": 14000});
    script.push((ms(17_000), message("actuator/pump", &trial)));
    script
}

/// Everything that can be seen of a run: on the wire, on disk, and the truth.
fn seen(parameters: Parameters) -> (Vec<String>, String) {
    let scenario = Scenario::new(everything(), ms(20_000));
    let played = Scenario { parameters, ..scenario }.play();
    let root = played.data.to_str().unwrap().to_string();
    let lines = played.journal.iter().map(|line| line.to_string().replace(&root, "")).collect();
    let free = MemoryDisk::of(&parameters).free(Path::new("/")).unwrap();
    let truths: Vec<_> = played.twin.world().truths().cloned().collect();
    let utc = played.twin.world().computer_utc();
    (lines, format!("{truths:?} {free} {utc:?}"))
}

#[test]
fn every_parameter_has_its_effect() {
    let usual = seen(restless());
    assert_eq!(usual, seen(restless()), "nothing else makes a difference");
    let without_effect = on_all_cores(0..TABLE.len() as u64, |n| {
        let parameter = &TABLE[usize::try_from(n).unwrap()];
        let ends = [*parameter.range.start(), *parameter.range.end()];
        let changes = ends.into_iter().any(|end| {
            let mut changed = restless();
            changed.set(parameter.name, end).unwrap();
            seen(changed) != usual
        });
        (!changes).then_some(parameter.name)
    });
    assert!(without_effect.is_empty(), "{without_effect:?} change nothing");
}

/// The fault is there during the second of three acquisitions; the third one comes long after it.
fn with_fault(what: &Value) -> Played {
    let mut script = dashboard("before", 1);
    script.push((ms(5_000), update_config("during", 24)));
    script.push((ms(5_200), image(24)));
    script.push((ms(6_000), light_on()));
    script.push((
        ms(7_000),
        message("actuator/focus", &json!({"action": "move", "direction": "UP", "distance": 1})),
    ));
    script.push((ms(60_000), message("imager/image", &json!({"action": "stop"}))));
    script.push((ms(61_000), light_on()));
    script.push((ms(62_000), update_config("after", 1)));
    script.push((ms(62_200), image(1)));
    // A driver that panics for longer is given up, rightly.
    let stroke = json!({"after": {"topic": "status/pump", "status": "Started", "count": 3, "delay_s": 0.2}});
    let fault = match what.get("driver-panic") {
        Some(_) => json!({"what": what, "when": stroke, "for_s": 0.3}),
        // A bit now and then: it takes a while until one matters.
        None if what.get("bus-glitch").is_some() => json!({"what": what, "when": {"at_s": 5.3}, "for_s": 40}),
        None => json!({"what": what, "when": {"at_s": 5.9}, "for_s": 4}),
    };
    Scenario::new(script, ms(80_000)).fault(&fault).play()
}

#[test]
fn every_fault_is_felt_and_got_over() {
    let faults = [
        json!({"bus-error": "pump"}),
        json!({"bus-error": "light"}),
        json!({"bus-glitch": "pump"}),
        json!({"bus-stuck": "light"}),
        json!({"cable-pulled": "pump"}),
        json!({"chip-reset": "pump"}),
        json!({"motor-stalled": "pump"}),
        json!({"motor-slipping": {"of": "pump", "lost": 0.5}}),
        json!({"open-load": "pump"}),
        json!({"over-temperature": "pump"}),
        json!({"driver-panic": "pump"}),
        json!("lamp-short"),
        json!("lamp-hot"),
        json!("camera-silent"),
        json!({"frames-late": {"by_ms": 200}}),
        json!("frames-duplicated"),
        json!("frames-lost"),
        json!("no-fix"),
        json!({"wrong-date": "1980-01-06T00:00:00Z"}),
        json!({"position-jump": {"latitude": 10.0, "longitude": 20.0}}),
        json!("gpsd-gone"),
        json!({"clock-step": {"by_s": -3600.0}}),
        json!("disk-full"),
        json!("disk-read-only"),
        json!({"disk-slow": {"times": 5.0}}),
        json!("disk-fails"),
    ];
    let trace = |played: &Played| {
        let root = played.data.to_str().unwrap().to_string();
        let lines: Vec<_> = played.journal.iter().map(|line| line.to_string().replace(&root, "")).collect();
        let lamp: Vec<_> = played.twin.world().truths().map(|truth| truth.scene.light).collect();
        let pumped = played.twin.world().pumped_nl();
        (lines, format!("{lamp:?} {pumped}"))
    };
    // It is not our broker that is gone.
    let usual = trace(&with_fault(&json!("broker-gone")));
    for what in &faults {
        let played = with_fault(what);
        let felt = trace(&played) != usual;
        assert!(felt, "{what} was not felt");
        let done = played.seen.iter().filter(|seen| seen.is("status/imager", "Done"));
        let after = done.filter(|seen| seen.payload["path"].as_str().unwrap().ends_with("after")).count();
        assert_eq!(after, 1, "{what} was not got over");
        for folder in played.data_sets() {
            let report = dataset::verify(&folder);
            assert!(report.is_valid(), "{what}: {report}");
        }
    }
}

/// A clock that is set is felt where nobody knows better.
#[test]
fn a_clock_that_steps_is_believed_only_where_there_is_no_fix() {
    let utc = |what: &str| {
        let mut scenario = Scenario::new(dashboard("clock", 1), ms(20_000))
            .fault(&json!({"what": {"clock-step": {"by_s": 7200.0}}, "when": {"at_s": 0.05}}));
        if what == "blind" {
            scenario = scenario.fault(&json!({"what": "no-fix"}));
        }
        let played = scenario.until("status/imager", "Done").play();
        let metadata = std::fs::read(played.data_sets()[0].join("metadata.json")).unwrap();
        let metadata: Value = serde_json::from_slice(&metadata).unwrap();
        (metadata["planktor_time"].clone(), metadata["planktor_position"].clone())
    };
    let (seeing, blind) = (utc("seeing"), utc("blind"));
    assert_eq!((&seeing.0["source"], seeing.1.is_null()), (&json!("gps"), false));
    assert_eq!((&blind.0["source"], blind.1.is_null()), (&json!("computer"), true));
    assert!(
        seeing.0.to_string().contains("T08:00") && blind.0.to_string().contains("T10:00"),
        "{seeing:?} {blind:?}"
    );
}

#[test]
fn an_older_instrument_with_its_other_lamp_and_pump_takes_its_frames_too() {
    let scenario = Scenario::new(dashboard("hat 1.2", 3), ms(60_000));
    let played = Scenario { hat: Hat::V1_2, ..scenario }.until("status/imager", "Done").play();
    assert_eq!(played.count("status/imager", "Done"), 1);
    let world = played.twin.world();
    assert!((world.pumped_nl() - 18_000.0).abs() < 10.0, "{} nL", world.pumped_nl());
    assert!(world.truths().all(|truth| truth.scene.light[4] > 0.9));
    drop(world);
    assert!(dataset::verify(&played.data_sets()[0]).is_valid());
}
