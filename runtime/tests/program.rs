//! The program as its users start it: the demo, the service on a real mosquitto with mosquitto's own clients, signals,
//! refusals on the command line. In real time; one after the other, so that they do not slow each other down.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

mod common;

use common::{Mosquitto, Running, alone, next, planktor, run, text};
use planktor_runtime::bench::Figure;
use serde_json::{Value, json};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::sync::mpsc::channel;
use std::time::Duration;
use tempfile::TempDir;

#[test]
fn the_dashboards_sequence_works_over_a_real_mosquitto() {
    let _alone = alone();
    let (broker, data) = (Mosquitto::start(), TempDir::new().unwrap());
    let (_listener, statuses) = broker.subscribe("status/#");
    let mut command =
        planktor(&["run", "--twin", "--broker", &format!("127.0.0.1:{}", broker.port), "--data"]);
    let mut service = Running::start(command.arg(data.path()), "connected");
    assert_eq!(next(&statuses, "status/imager")["status"], "Starting up");
    assert_eq!(next(&statuses, "status/imager")["status"], "Ready");

    assert_eq!(next(&statuses, "status/light"), json!({"status": "Off", "value": 0.0}));
    broker.publish("light", &json!({"action": "on"}));
    // A state is told again when its witness has connected.
    let mut lights = std::iter::repeat_with(|| next(&statuses, "status/light"));
    let lit = lights.find(|status| status["status"] != "Off");
    assert_eq!(lit, Some(json!({"status": "On", "value": 1.0})));
    let config =
        json!({"object_date": "2026-11-23", "sample_id": 7, "acq_id": "mosquitto", "acq_nb_frame": 3});
    broker.publish("imager/image", &json!({"action": "update_config", "config": config}));
    assert_eq!(next(&statuses, "status/imager")["status"], "Config updated");
    let image = json!({"action": "image", "pump_direction": "FORWARD", "volume": 0.006, "nb_frame": 3, "sleep": 0.5, "flowrate": 3});
    broker.publish("imager/image", &image);
    assert_eq!(next(&statuses, "status/imager")["status"], "Started");
    for n in 1..=3 {
        let saved = next(&statuses, "status/imager");
        assert!(saved["status"].as_str().unwrap().starts_with(&format!("Image {n}/3 saved to ")), "{saved}");
        assert_eq!(next(&statuses, "status/imager")["current"], n);
    }
    let done = next(&statuses, "status/imager");
    assert_eq!(done["status"], "Done");
    let folder = done["path"].as_str().unwrap();
    assert!(folder.ends_with("img/2026-11-23/7/mosquitto"), "{folder}");

    let verified = run(&["verify", folder]);
    assert!(verified.status.success(), "{}", text(&verified.stdout));
    let other = Path::new(folder).with_file_name("another");
    assert!(Command::new("cp").arg("-r").arg(folder).arg(&other).status().unwrap().success());
    std::fs::remove_file(Path::new(folder).join("integrity.check")).unwrap();
    assert!(!run(&["verify", folder]).status.success(), "a check that cannot fail is none");

    // All of a data folder, one of them harmed.
    let all = run(&["verify", "--json", data.path().to_str().unwrap()]);
    let said = text(&all.stdout);
    let reports: Vec<Value> = said.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let valid: Vec<_> = reports.iter().map(|report| (&report["valid"], &report["complete"])).collect();
    assert!(valid == [(&json!(true), &json!(true)), (&json!(false), &json!(false))], "{said}");
    assert!(reports[1]["problems"][0]["remedy"].is_string() && !all.status.success(), "{said}");

    service.signal("TERM");
    assert!(service.wait().success());
    assert_eq!(next(&statuses, "status/light")["status"], "Off", "the lamp goes dark");
    assert_eq!(next(&statuses, "status/imager")["status"], "Dead");
}

#[test]
fn a_killed_program_is_reported_dead_by_the_broker() {
    let _alone = alone();
    let (broker, data) = (Mosquitto::start(), TempDir::new().unwrap());
    let (_listener, statuses) = broker.subscribe("status/imager");
    let mut command =
        planktor(&["run", "--twin", "--broker", &format!("127.0.0.1:{}", broker.port), "--data"]);
    let mut service = Running::start(command.arg(data.path()), "connected");
    service.signal("KILL");
    assert!(!service.wait().success());
    while next(&statuses, "status/imager")["status"] != "Dead" {}
}

#[test]
fn ctrl_c_ends_the_service_with_its_own_broker() {
    let _alone = alone();
    let data = TempDir::new().unwrap();
    let mut command = planktor(&["run", "--twin", "--listen", "127.0.0.1:0", "--data"]);
    let mut service = Running::start(command.arg(data.path()), "connected");
    service.signal("INT");
    assert!(service.wait().success());
}

#[test]
fn the_demo_runs_a_whole_acquisition_and_shows_it() {
    let _alone = alone();
    let data = TempDir::new().unwrap();
    let demo = run(&["demo", "--data", data.path().to_str().unwrap()]);
    let said = text(&demo.stdout);
    assert!(demo.status.success(), "{said}{}", text(&demo.stderr));
    for words in [
        "frames         10 of 10",
        "in motion      0 ",
        "valid and complete",
        "48.7273, -3.9814 within 4.6 m",
        "lamp dark, motors off",
        "known from gps",
    ] {
        assert!(said.contains(words), "no {words:?} in {said}");
    }
    assert!(data.path().join("contact-sheet.jpg").is_file());
}

/// What the figures are is not for a test; that all of them are there is, and that no frame was exposed in motion.
#[test]
fn the_bench_measures_everything_and_draws_it() {
    let _alone = alone();
    let data = TempDir::new().unwrap();
    let plot = data.path().join("bench.svg");
    let mut bench = planktor(&["bench", "--rounds", "1", "--frames", "2", "--json", "--plot"]);
    let output = bench.arg(&plot).arg("--data").arg(data.path()).output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let idle = &report["conditions"][0];
    let counts = ["rounds", "frames", "lost", "in_motion"].map(|count| idle[count].as_u64().unwrap());
    assert_eq!((counts, &report["ended_early"]), ([1, 2, 0, 0], &Value::Null), "{report}");
    let figures: Vec<_> = idle["figures"].as_array().unwrap().iter().map(|row| &row["figure"]).collect();
    for figure in Figure::ALL.into_iter().filter(|figure| *figure != Figure::Cyclictest) {
        assert!(figures.contains(&&json!(figure)), "{figure:?} is not among {figures:?}");
    }
    assert!(std::fs::read_to_string(&plot).unwrap().starts_with("<svg"));
    assert_eq!(std::fs::read_dir(data.path()).unwrap().count(), 1, "its data sets are removed");
}

#[test]
fn an_address_in_use_is_named() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let data = TempDir::new().unwrap();
    let refused = run(&["run", "--twin", "--listen", &address, "--data", data.path().to_str().unwrap()]);
    assert!(!refused.status.success());
    assert!(text(&refused.stderr).contains(&address), "{}", text(&refused.stderr));
    assert!(TcpStream::connect(&address).is_ok(), "the other one was left alone");
}

#[test]
fn wrong_arguments_are_explained() {
    for (arguments, word) in [
        (&["run", "--twin", "--broker", "nowhere:0"][..], "0 is no port"),
        (&["run", "--twin", "--listen", "here"][..], "ADDRESS:PORT"),
        (&["demo", "--plan", "everything"][..], "focus-planes"),
        (&["demo", "--data", "/proc/nowhere"][..], "--data"),
    ] {
        let refused = run(arguments);
        assert!(!refused.status.success(), "{arguments:?}");
        assert!(text(&refused.stderr).contains(word), "{arguments:?}: {}", text(&refused.stderr));
    }
    let nothing = TempDir::new().unwrap();
    let refused = run(&["verify", nothing.path().to_str().unwrap()]);
    assert!(
        !refused.status.success() && text(&refused.stdout).contains("metadata.json"),
        "{}",
        text(&refused.stdout)
    );
}

#[test]
fn help_teaches_the_first_steps() {
    let help = text(&run(&["--help"]).stdout);
    for words in ["planktor demo", "run --twin", "verify", "First steps"] {
        assert!(help.contains(words), "no {words:?} in {help}");
    }
}

/// A scenario with small frames, and whatever else.
fn scenario(folder: &Path, more: &str) -> String {
    let path = folder.join("scenario.toml");
    std::fs::write(&path, format!("frame = [96, 72]\n{more}")).unwrap();
    path.to_str().unwrap().into()
}

/// Faults come from the file and by message (far from any instant at which somebody looks, so that no race decides);
/// what was recorded in real time comes out the same in virtual time.
#[test]
fn a_run_in_real_time_with_faults_replays_the_same() {
    let _alone = alone();
    let (broker, folder) = (Mosquitto::start(), TempDir::new().unwrap());
    let (_listener, statuses) = broker.subscribe("#");
    let fault = r#"
        [[fault]]
        what = { cable-pulled = "pump" }
        when = { after = { topic = "status/pump", status = "Started", count = 2 } }
        for_s = 2"#;
    let (file, journal) = (scenario(folder.path(), fault), folder.path().join("journal"));
    let address = format!("127.0.0.1:{}", broker.port);
    let mut command = planktor(&["run", "--twin", &file, "--broker", &address, "--journal"]);
    command.arg(&journal).arg("--data").arg(folder.path().join("data"));
    let mut service = Running::start(&mut command, "connected");
    broker.publish("light", &json!({"action": "on"}));
    let config = json!({"object_date": "2026-11-23", "sample_id": 7, "acq_id": "broken"});
    broker.publish("imager/image", &json!({"action": "update_config", "config": config}));
    let image = json!({"action": "image", "pump_direction": "FORWARD", "volume": 0.006, "nb_frame": 3, "sleep": 0.1, "flowrate": 3});
    broker.publish("imager/image", &image);
    while next(&statuses, "status/imager")["status"] != "Error" {}
    broker.publish("planktor/twin/fault", &json!({"what": "camera-silent", "for_s": 0.1}));
    assert_eq!(next(&statuses, "planktor/status/twin"), json!({"status": "Ordered", "fault": 1}));
    while next(&statuses, "planktor/status/device/pump")["health"] != "present" {}
    broker.publish(
        "actuator/pump",
        &json!({"action": "move", "direction": "FORWARD", "volume": 0.005, "flowrate": 3}),
    );
    while next(&statuses, "status/pump")["status"] != "Done" {}
    service.signal("TERM");
    assert!(service.wait().success());

    let replayed = planktor(&["replay"]).arg(&journal).output().unwrap();
    assert!(replayed.status.success(), "{}", text(&replayed.stdout));
    assert!(text(&replayed.stdout).contains("the same"), "{}", text(&replayed.stdout));
    let head = std::fs::read_to_string(&journal).unwrap();
    std::fs::write(&journal, head.replacen("cable-pulled", "bus-error", 1)).unwrap();
    let other = planktor(&["replay"]).arg(&journal).output().unwrap();
    assert!(!other.status.success(), "a comparison that cannot fail is none");
}

#[test]
fn a_broker_that_is_gone_comes_back_and_the_acquisition_has_gone_on() {
    let _alone = alone();
    let folder = TempDir::new().unwrap();
    let fault = r#"
        [[fault]]
        what = "broker-gone"
        when = { after = { topic = "status/imager", status = "Started" } }
        for_s = 1"#;
    let file = scenario(folder.path(), fault);
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut command = planktor(&["run", "--twin", &file, "--listen", &format!("127.0.0.1:{port}"), "--data"]);
    let mut service = Running::start(command.arg(folder.path()), "connected");
    let broker = Mosquitto::of_somebody_else(port);
    let config = json!({"object_date": "2026-11-23", "sample_id": 7, "acq_id": "alone"});
    broker.publish("imager/image", &json!({"action": "update_config", "config": config}));
    let image = json!({"action": "image", "pump_direction": "FORWARD", "volume": 0.006, "nb_frame": 3, "sleep": 0.5, "flowrate": 3});
    broker.publish("imager/image", &image);
    let data_set = folder.path().join("img/2026-11-23/7/alone");
    let done =
        || std::fs::read_to_string(data_set.join("frames.jsonl")).is_ok_and(|all| all.contains("complete"));
    let (_tick, ticks) = channel::<()>();
    let mut gone = false;
    for _ in 0..600 {
        gone |= TcpStream::connect(("127.0.0.1", port)).is_err();
        if gone && done() && TcpStream::connect(("127.0.0.1", port)).is_ok() {
            break;
        }
        // Nobody ever sends: this is the pause between two looks at another process.
        let _ = ticks.recv_timeout(Duration::from_millis(50));
    }
    assert!(gone && done(), "the broker was gone: {gone}, the acquisition done: {}", done());
    let (_listener, statuses) = broker.subscribe("status/light");
    broker.publish("light", &json!({"action": "on"}));
    while next(&statuses, "status/light")["status"] != "On" {}
    service.signal("INT");
    assert!(service.wait().success());
}

#[test]
fn a_scenario_can_be_hurried_and_its_journal_replays() {
    let folder = TempDir::new().unwrap();
    let said = r#"
        limit_s = 60
        [[message]]
        at_s = 1
        topic = "imager/image"
        payload = { action = "update_config", config = { object_date = "2026-06-01", sample_id = "s", acq_id = "a" } }
        [[message]]
        at_s = 1.2
        topic = "imager/image"
        payload = { action = "image", pump_direction = "FORWARD", volume = 0.006, nb_frame = 4, sleep = 0.5, flowrate = 3 }"#;
    let (file, data) = (scenario(folder.path(), said), folder.path().join("data"));
    let (data, journal) = (data.to_str().unwrap(), folder.path().join("journal"));
    let mut command = planktor(&["run", "--twin", &file, "--hurry", "--data", data, "--journal"]);
    let hurried = command.arg(&journal).output().unwrap();
    assert!(hurried.status.success(), "{}", text(&hurried.stderr));
    assert!(text(&hurried.stdout).contains(r#"status/imager {"status":"Done""#), "{}", text(&hurried.stdout));
    assert!(run(&["verify", &format!("{data}/img/2026-06-01/s/a")]).status.success());
    let replayed = planktor(&["replay"]).arg(&journal).output().unwrap();
    assert!(replayed.status.success(), "{}", text(&replayed.stdout));
}

#[test]
fn a_kept_file_that_is_wrong_is_named_before_anything_starts() {
    for (name, content, words) in [
        (
            "hardware.json",
            r#"{"pump_steps_per_ml": "many"}"#,
            "pump_steps_per_ml is \"many\"; expected a number",
        ),
        ("hardware.json", "{", "correct the file, or move it away"),
        ("planktor.json", r#"{"lamp_level": 2, "led_seconds": 0}"#, "lamp_level is 2; expected 0 to 1"),
    ] {
        let data = TempDir::new().unwrap();
        std::fs::create_dir(data.path().join("twin")).unwrap();
        std::fs::write(data.path().join("twin").join(name), content).unwrap();
        let output = planktor(&["run", "--twin", "--listen", "127.0.0.1:0", "--data"])
            .arg(data.path())
            .output()
            .unwrap();
        let error = text(&output.stderr);
        assert!(!output.status.success() && error.contains(name) && error.contains(words), "{error}");
    }
}

#[test]
fn a_scenario_that_is_wrong_is_refused_with_line_and_key() {
    let folder = TempDir::new().unwrap();
    for (more, words) in [
        ("[parameters]\nroll_um = 500", ["line 3", "roll_um: 500 is outside 0 to 20"]),
        ("[[fault]]\nwhat = \"disk-fool\"", ["line 3", "disk-fool"]),
        ("sead = 5", ["line 2", "sead"]),
    ] {
        let output = run(&["run", "--twin", &scenario(folder.path(), more)]);
        let error = text(&output.stderr);
        assert!(!output.status.success() && error.contains("scenario.toml"), "{error}");
        assert!(words.iter().all(|word| error.contains(word)), "{error}");
    }
    let missing = run(&["run", "--twin", "/nowhere/at/all.toml"]);
    assert!(text(&missing.stderr).contains("failed to read the scenario /nowhere/at/all.toml"));
    let nothing = run(&["run", "--twin", &scenario(folder.path(), ""), "--hurry"]);
    assert!(text(&nothing.stderr).contains("no [[message]]"), "{}", text(&nothing.stderr));
    let no_journal = run(&["replay", &scenario(folder.path(), "")]);
    assert!(text(&no_journal.stderr).contains("line 1: this is no journal"), "{}", text(&no_journal.stderr));
}
