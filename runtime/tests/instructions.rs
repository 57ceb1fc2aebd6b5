//! What the hot paths cost, in instructions under valgrind: the same number again and again, whatever else a computer does.
//! Twice as many strokes, questions or frames cost so many instructions more; what the program needs besides cancels out.
//!
//! A number that has changed by more than the tolerance has a reason: find it, or say it and change the number.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

use std::fmt::Write;
use std::path::Path;
use std::process::Command;

/// Instructions for one, in the profile that tests are built with.
const STROKE: f64 = 237_000.0;
const QUESTION: f64 = 363_000.0;
const FRAME: f64 = 1_372_000.0;
/// Another processor takes another memcpy; a tenth more is a change of ours.
const TOLERANCE: f64 = 0.1;
/// So many, and twice as many.
const TIMES: u32 = 40;

fn message(at: u32, topic: &str, payload: &str) -> String {
    format!("[[message]]\nat_s = {at}\ntopic = \"{topic}\"\npayload = {payload}\n")
}

/// From the payload to the write on the bus, to its end, and back.
fn strokes(times: u32) -> String {
    let stroke = r#"{ action = "move", direction = "FORWARD", volume = 0.001, flowrate = 3 }"#;
    (0..times).map(|n| message(1 + 2 * n, "actuator/pump", stroke)).collect()
}

/// A step of the supervisor, from the payload to the answer.
fn questions(times: u32) -> String {
    (0..times).map(|n| message(1 + 2 * n, "planktor/health", r#"{ action = "get" }"#)).collect()
}

/// The bookkeeping of frames that have almost no pixels: strokes, captures, records.
fn frames(times: u32) -> String {
    let mut text = message(1, "light", r#"{ action = "on" }"#);
    let config = format!(
        r#"{{ action = "update_config", config = {{ object_date = "2026-06-01", sample_project = "p", sample_id = "s",
        sample_operator = "o", acq_id = "a", acq_instrument = "PlanktoScope", acq_nb_frame = {times}, process_pixel = 0.75 }} }}"#
    );
    text += &message(2, "imager/image", &config.replace('\n', " "));
    let image = format!(
        r#"{{ action = "image", pump_direction = "FORWARD", volume = 0.001, nb_frame = {times}, sleep = 0.1, flowrate = 3 }}"#
    );
    text + &message(3, "imager/image", &image)
}

/// Plays messages in virtual time under valgrind; how many instructions that took.
fn instructions(folder: &Path, messages: &str, times: u32) -> f64 {
    let scenario = folder.join(format!("{times}.toml"));
    let mut text = String::new();
    let limit = 20 + 3 * times;
    write!(text, "frame = [8, 8]\nlimit_s = {limit}\n[parameters]\nparticles_per_ul = 0\nbubbles_per_ul = 0\n{messages}").unwrap();
    std::fs::write(&scenario, text).unwrap();
    let mut valgrind = Command::new("valgrind");
    valgrind.args([
        "--tool=callgrind",
        "--callgrind-out-file=/dev/null",
        env!("CARGO_BIN_EXE_planktor"),
        "run",
        "--twin",
    ]);
    valgrind.arg(&scenario).args(["--hurry", "--data"]).arg(folder.join(times.to_string()));
    let output = valgrind.output().expect("valgrind runs; its package is valgrind");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}");
    let collected = said.lines().find_map(|line| line.split_once("Collected : ")).expect("a number");
    collected.1.trim().parse().unwrap()
}

#[test]
fn a_stroke_a_question_and_a_frame_cost_what_they_did() {
    let mut changed = vec![];
    for (name, expected, messages) in [
        ("a stroke", STROKE, strokes as fn(u32) -> String),
        ("a question", QUESTION, questions),
        ("a frame", FRAME, frames),
    ] {
        let folder = tempfile::TempDir::new().unwrap();
        let [once, twice] =
            [TIMES, 2 * TIMES].map(|times| instructions(folder.path(), &messages(times), times));
        let one = (twice - once) / f64::from(TIMES);
        if (one / expected - 1.0).abs() > TOLERANCE {
            changed.push(format!("{name} costs {one:.0} instructions, not {expected:.0}"));
        }
    }
    assert!(changed.is_empty(), "{changed:?}");
}
