//! The program on a computer without an instrument: what is missing is named, and the rest goes on. With device nodes it
//! runs in a virtual machine: `hil-tests/vm`.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

mod common;

use common::{Running, planktor, run, text};
use serde_json::Value;
use std::fs;
use tempfile::TempDir;

/// Another board than any that is here: its nodes cannot be there by chance.
fn board(folder: &TempDir) -> String {
    let path = folder.path().join("bench.toml");
    let text = r#"
name = "bench"
hat_version = "0"
instrument = "v3.0"
gpio = ["no such chip"]
[pump]
chip = "tmc5160"
spi = "/dev/no-spidev0.0"
enable = 23
[focus]
chip = "tmc5160"
spi = "/dev/no-spidev0.1"
enable = 5
[light]
chip = "mcp4725"
i2c = "/dev/no-i2c-1"
address = 0x62
"#;
    fs::write(&path, text).unwrap();
    path.to_str().unwrap().into()
}

#[test]
fn without_any_chip_the_program_runs_says_what_is_missing_and_is_the_only_one() {
    let folder = TempDir::new().unwrap();
    let data = folder.path().join("data");
    let board = board(&folder);
    let arguments = [
        "run",
        "--board",
        &board,
        "--data",
        data.to_str().unwrap(),
        "--listen",
        "127.0.0.1:0",
        "--gpsd",
        "off",
        "--chrony",
        "off",
    ];
    let running = Running::start(&mut planktor(&arguments), "light lost: /dev/no-i2c-1 is not there");
    let second = run(&arguments);
    assert!(!second.status.success());
    let said = text(&second.stderr);
    assert!(said.contains("another planktor has this computer's instrument"), "{said}");
    drop(running);
}

#[test]
fn a_board_that_is_none_is_refused_before_anything_is_touched() {
    let refused = |board: &str| {
        let data = TempDir::new().unwrap();
        let output = run(&["run", "--board", board, "--data", data.path().to_str().unwrap()]);
        assert!(!output.status.success());
        text(&output.stderr)
    };
    assert!(refused("7.7").contains("there is no board 7.7; known are 1.2, 3.3"));
    assert!(refused("/nowhere/board.toml").contains("/nowhere/board.toml"));
    let folder = TempDir::new().unwrap();
    let path = board(&folder);
    fs::write(&path, fs::read_to_string(&path).unwrap().replace("0x62", "0x162")).unwrap();
    let said = refused(&path);
    assert!(said.contains("[light]") && said.contains("354"), "{said}");
    assert!(text(&run(&["run", "--twin", "--board", "3.3"]).stderr).contains("cannot be used with"));
    let sky = run(&["run", "--gpsd", "twin", "--data", folder.path().to_str().unwrap()]);
    assert!(text(&sky.stderr).contains("--gpsd twin needs --twin"));
}

/// Nothing here has to be found, whatever computer this is: only that each finding has its parts.
#[test]
fn a_doctor_says_what_is_there_and_what_to_do() {
    let folder = TempDir::new().unwrap();
    let board = board(&folder);
    let data = folder.path().join("data");
    let examined = |json: &[&str]| {
        let own = ["doctor", "--board", &board, "--data", data.to_str().unwrap(), "--gpsd", "127.0.0.1:9"];
        run(&[&own, json].concat())
    };
    let json = text(&examined(&["--json"]).stdout);
    let findings: Vec<Value> = json.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let of = |area: &str| {
        findings.iter().find(|finding| finding["area"] == area).unwrap_or_else(|| panic!("{area} in {json}"))
    };
    for area in ["computer", "board", "clock", "position", "disk", "broker"] {
        assert!(of(area)["what"].is_string());
    }
    assert_eq!(of("position")["verdict"], "notice");
    assert!(of("position")["advice"].as_str().unwrap().contains("install gpsd"));
    assert!(of("disk")["figures"]["free_mb"].as_f64().unwrap() >= 0.0);
    assert!(!data.exists(), "a doctor changes nothing");
    let said = text(&examined(&[]).stdout);
    assert!(said.contains("bench (--board)") && said.contains("-> "), "{said}");
}

#[test]
fn a_doctor_names_a_board_that_is_none() {
    let ill = run(&["doctor", "--board", "7.7", "--gpsd", "127.0.0.1:9"]);
    assert!(!ill.status.success());
    assert!(
        text(&ill.stdout).contains("BAD board     --board: there is no board 7.7"),
        "{}",
        text(&ill.stdout)
    );
}
