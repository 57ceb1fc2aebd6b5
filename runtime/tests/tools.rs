//! The program's tools for data sets, as their users start them: list, report, export.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

mod common;

use common::{run, text};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;
use tempfile::TempDir;

const SCENARIO: &str = r#"
seed = 3
frame = [64, 48]

[[message]]
at_s = 1
topic = "imager/image"
payload = { action = "update_config", config = { object_date = "2026-06-01", sample_id = "s", acq_id = "ACQ", object_lat = 48.5, object_lon = -4 } }

[[message]]
at_s = 2
topic = "imager/image"
payload = { action = "image", pump_direction = "FORWARD", volume = 0.006, nb_frame = 3, sleep = 0.5, flowrate = 3 }
"#;

/// A data folder with a data set of this name, made in virtual time.
fn acquired(folder: &Path, name: &str) -> PathBuf {
    let scenario = folder.join("scenario.toml");
    fs::write(&scenario, SCENARIO.replace("ACQ", name)).unwrap();
    let data = folder.join("data");
    let paths = [&scenario, &data].map(|path| path.to_str().unwrap());
    let made = run(&["run", "--twin", paths[0], "--hurry", "--data", paths[1]]);
    assert!(made.status.success(), "{}", text(&made.stderr));
    data.join("img/2026-06-01/s").join(name)
}

fn on(command: &[&str], path: &Path) -> Output {
    run(&[command, &[path.to_str().unwrap()]].concat())
}

#[test]
fn a_list_says_what_is_there_and_what_is_harmed() {
    let folder = TempDir::new().unwrap();
    let none = on(&["list", "--data"], &folder.path().join("none"));
    assert!(none.status.success() && text(&none.stderr).contains("no data sets"), "{none:?}");
    assert!(!folder.path().join("none").exists(), "to look makes nothing");
    assert!(!on(&["list"], &folder.path().join("none")).status.success(), "what was named must be there");

    let (one, other) = (acquired(folder.path(), "b"), acquired(folder.path(), "a"));
    let data = folder.path().join("data");
    let list = on(&["list", "--data"], &data);
    let lines = text(&list.stdout);
    assert!(list.status.success() && lines.lines().count() == 3, "{lines}");
    assert!(lines.lines().all(|line| line.chars().count() <= 80), "{lines}");
    assert!(lines.contains("s/b") && lines.contains("3/3 complete gps      48.5N 4.0W"), "{lines}");

    // What a power cut, or a run that goes on, leaves unfinished is no harm.
    let (part, records) = (other.join("2030-01-01_00-00-00-000000.jpg.part"), other.join("frames.jsonl"));
    let whole = text(&fs::read(&records).unwrap());
    let last = whole.trim_end().rfind('\n').unwrap() + 1;
    fs::write(&part, b"half").unwrap();
    fs::write(&records, &whole[..last + 9]).unwrap();
    let list = on(&["list"], &data);
    assert!(list.status.success(), "{}", text(&list.stdout));
    fs::remove_file(part).unwrap();
    fs::write(records, whole).unwrap();

    // A frame that has become shorter is seen at once; one that only differs, when every byte is read.
    let frame = |set: &Path| {
        let all = fs::read_dir(set).unwrap().map(|entry| entry.unwrap().path());
        all.filter(|path| path.extension().is_some_and(|e| e == "jpg")).min().unwrap()
    };
    let mut bytes = fs::read(frame(&one)).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(frame(&one), &bytes).unwrap();
    assert!(on(&["list"], &data).status.success());
    let verified = on(&["list", "--verify"], &data);
    let said = text(&verified.stdout);
    assert!(!verified.status.success() && said.matches("DAMAGED").count() == 1, "{said}");
    fs::write(frame(&other), &bytes[1..]).unwrap();
    let list = on(&["list", "--json"], &data);
    let rows: Vec<Value> =
        text(&list.stdout).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(!list.status.success() && rows.len() == 2);
    let harmed: Vec<_> = rows.iter().filter(|row| row["problems"][0].is_string()).collect();
    assert!(harmed.len() == 1 && harmed[0]["acquisition"] == "a" && harmed[0]["frames"] == 3, "{rows:?}");
}

#[test]
fn nothing_is_written_into_a_data_set_or_over_a_file() {
    let folder = TempDir::new().unwrap();
    let (set, other) = (acquired(folder.path(), "a"), acquired(folder.path(), "b"));
    let names = |set: &Path| fs::read_dir(set).unwrap().count();
    let before = (names(&set), names(&other));
    for command in [&["report"][..], &["export", "--ifdo", "--partial"]] {
        for to in [set.join("x.html"), other.join("x.html"), set.join("../a/x")] {
            let refused = on(&[command, &[set.to_str().unwrap(), "--to"]].concat(), &to);
            assert!(!refused.status.success(), "{}", text(&refused.stdout));
            assert!(text(&refused.stderr).contains("is in a data set"), "{}", text(&refused.stderr));
        }
        let to = folder.path().join("there");
        fs::write(&to, "precious").unwrap();
        let refused = on(&[command, &[set.to_str().unwrap(), "--to"]].concat(), &to);
        assert!(text(&refused.stderr).contains("--force") && fs::read(&to).unwrap() == b"precious");
        let forced = on(&[command, &["--force", set.to_str().unwrap(), "--to"]].concat(), &to);
        assert!(forced.status.success() && fs::read(&to).unwrap() != b"precious", "{}", text(&forced.stderr));
    }
    assert_eq!((names(&set), names(&other)), before);
    let both = [set.to_str().unwrap(), other.to_str().unwrap()];
    let several = on(&["export", "--ifdo", "--partial", both[0], both[1], "--to"], folder.path());
    assert!(
        several.status.success() && text(&several.stdout).lines().count() == 2,
        "{}",
        text(&several.stderr)
    );
}
