//! A journal replays: one of a run in virtual time to the same lines and bytes, and it is told where it does not.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

use planktor_actors::journal::Kind;
use planktor_drivers::disk::FileSystem;
use planktor_hil_tests::{
    Played, Scenario, dashboard, files, image, light_on, message, shut_down, update_config,
};
use planktor_runtime::journal::{self, Recorded};
use planktor_runtime::replay::{Comparison, replay};
use serde_json::json;
use std::path::PathBuf;
use std::time::Duration;
use tempfile::TempDir;

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn again(recorded: &Recorded) -> (Comparison, Vec<(PathBuf, Vec<u8>)>) {
    let folder = TempDir::new().unwrap();
    let (comparison, _) = replay(recorded, Box::new(FileSystem), folder.path()).unwrap();
    (comparison, files(folder.path()))
}

/// Faults at an instant, after an occasion and by message, a client that answers what it hears, a stop, and the end.
fn eventful() -> Played {
    let mut script = dashboard("first", 3);
    let glitch = json!({"what": {"motor-stalled": "pump"}, "when": {"at_s": 0.05}, "for_s": 0.3});
    script.extend([
        (ms(9_000), message("planktor/twin/fault", &glitch)),
        (ms(9_500), update_config("second", 2)),
        (ms(9_700), image(2)),
        (ms(25_000), light_on()),
        (ms(30_000), shut_down()),
    ]);
    let occasion = json!({"topic": "status/pump", "status": "Started", "count": 2, "delay_s": 0.1});
    Scenario::new(script, ms(40_000))
        .fault(&json!({"what": {"cable-pulled": "pump"}, "when": {"after": occasion}, "for_s": 1}))
        .fault(&json!({"what": "no-fix", "when": {"every_s": 5}, "for_s": 2}))
        .react(|seen, _| {
            let over = seen.is("status/imager", "Error");
            let up = json!({"action": "move", "direction": "UP", "distance": 1});
            if over { vec![message("actuator/focus", &up), light_on()] } else { vec![] }
        })
        .play()
}

#[test]
fn a_run_in_virtual_time_replays_to_the_same_events_and_the_same_bytes() {
    let played = eventful();
    assert!(played.count("status/imager", "Error") > 0, "something broke");
    assert_eq!(played.count("status/focus", "Done"), 1, "the client answered what it heard");
    let (comparison, bytes) = again(&played.recorded());
    assert!(comparison.is_same(), "{comparison}");
    assert!(comparison.compared > 300, "{comparison}");
    assert_eq!(bytes, played.files());
    assert!(bytes.len() > 5);
}

#[test]
fn everything_that_enters_the_instrument_or_leaves_it_is_in_the_journal() {
    let played = eventful();
    let count = |kind: Kind| played.journal.iter().filter(|line| line.kind == kind).count();
    assert_eq!(count(Kind::In), 10, "seven messages, two answers of the client, and the end");
    assert_eq!(count(Kind::Out), played.seen.len());
    let (told, said, rang) = (count(Kind::Told), count(Kind::Said), count(Kind::Rang));
    assert!(told > said && said > 20 && rang > 100, "{told} {said} {rang}");
    let stamps = played.journal.iter().filter(|line| line.what.contains("Frame(Frame(")).count();
    assert_eq!(stamps, played.twin.world().truths().count(), "every frame with its time stamp");
    assert!(played.journal.is_sorted_by_key(|line| line.at));
}

#[test]
fn a_journal_comes_back_from_its_file_as_it_was() {
    let recorded = eventful().recorded();
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("journal");
    journal::save(&path, &recorded.head, &recorded.lines).unwrap();
    let read = journal::read(&path).unwrap();
    assert_eq!((&read.head, &read.lines), (&recorded.head, &recorded.lines));
    assert!(again(&read).0.is_same());
}

/// A comparison that cannot fail is none.
#[test]
fn another_world_another_message_and_a_missing_one_are_differences() {
    let recorded = eventful().recorded();
    let mut other = recorded.clone();
    other.head.scenario.seed += 1;
    assert!(!again(&other).0.is_same(), "another seed");
    let mut other = recorded.clone();
    other.head.scenario.parameters.pump_clock_hz = 12.0e6;
    assert!(!again(&other).0.is_same(), "another chip");
    let mut other = recorded.clone();
    let light = other.lines.iter().position(|line| line.kind == Kind::In).unwrap();
    other.lines.remove(light);
    assert!(!again(&other).0.is_same(), "a message less");
    let mut other = recorded;
    let said = other.lines.iter_mut().find(|line| line.what.contains("0.006")).unwrap();
    said.what = said.what.replace("0.006", "0.007");
    let (comparison, _) = again(&other);
    assert!(!comparison.is_same() && comparison.to_string().contains("was "), "{comparison}");
}
