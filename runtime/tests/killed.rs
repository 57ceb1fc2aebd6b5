//! The program is killed (SIGKILL) at every call by which it changes a disk, and at random instants: what it said to be saved
//! is saved, the data set is valid, another run goes on with it to its end, and what was there before is untouched.
//!
//! `KILLS=300 cargo test -p planktor-runtime --test killed` kills more often at random; 20 times is usual.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

mod common;

use common::{planktor, run, text};
use planktor_runtime::dataset::{Verdict, verify};
use serde_json::json;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;
use tempfile::TempDir;

/// Those that change what is on a disk, or make it safe.
const CALLS: [&str; 6] = ["mkdir", "write", "fdatasync", "fsync", "rename", "unlink"];
/// More calls of one kind than a run of three frames has.
const MOST: usize = 200;
const FRAMES: usize = 3;

/// A data folder with an older data set in it, and two scenarios: an acquisition, and how it goes on.
struct Bench {
    folder: TempDir,
    older: BTreeMap<PathBuf, Vec<u8>>,
}

impl Bench {
    fn new() -> Self {
        let bench = Self { folder: TempDir::new().unwrap(), older: BTreeMap::new() };
        let image = json!({"action": "image", "pump_direction": "FORWARD", "volume": 0.006, "nb_frame": FRAMES,
                           "sleep": 0.5, "flowrate": 3});
        for name in ["older", "killed"] {
            let config = json!({"action": "update_config", "config": {"object_date": "2026-06-01", "sample_id": "s",
                                "acq_id": name, "acq_nb_frame": FRAMES}});
            bench.scenario(name, &[("imager/image", config), ("imager/image", image.clone())]);
        }
        bench.scenario("resumed", &[("planktor/resume", json!({"data_set": "2026-06-01/s/killed"}))]);
        assert!(bench.plays("older").status().unwrap().success());
        let older = bench.files("older");
        assert!(verify(&bench.data_set("older")).verdict == Verdict::Complete);
        Self { older, ..bench }
    }

    fn scenario(&self, name: &str, messages: &[(&str, serde_json::Value)]) {
        let said = messages.iter().enumerate().map(|(n, (topic, payload))| {
            format!("[[message]]\nat_s = {}\ntopic = \"{topic}\"\npayload = '{payload}'\n", n + 1)
        });
        let text = format!("limit_s = 12\nframe = [64, 48]\n{}", said.collect::<String>());
        std::fs::write(self.folder.path().join(format!("{name}.toml")), text).unwrap();
    }

    fn plays(&self, name: &str) -> Command {
        let mut command = planktor(&["run", "--hurry", "--twin"]);
        command.arg(self.folder.path().join(format!("{name}.toml"))).arg("--data").arg(self.data());
        command.stdout(Stdio::piped()).stderr(Stdio::null());
        command
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn data_set(&self, name: &str) -> PathBuf {
        self.data().join("img/2026-06-01/s").join(name)
    }

    fn files(&self, name: &str) -> BTreeMap<PathBuf, Vec<u8>> {
        let Ok(folder) = std::fs::read_dir(self.data_set(name)) else { return BTreeMap::new() };
        let paths = folder.map(|entry| entry.unwrap().path());
        paths.map(|path| (path.clone(), std::fs::read(path).unwrap())).collect()
    }

    /// After a kill, `said` having been printed: everything holds, and the acquisition goes on to its end. Then there is room
    /// for the next kill. Gives the number of frames that had been promised.
    fn holds(&self, said: &str, when: &str) -> usize {
        let promised: Vec<_> = said
            .lines()
            .filter_map(|line| Some(line.split_once(" saved to ")?.1.split('"').next()?.to_owned()))
            .collect();
        let folder = self.data_set("killed");
        let left = self.files("killed");
        if folder.exists() {
            let report = verify(&folder);
            let not_begun = report.verdict == Verdict::NotBegun && promised.is_empty();
            assert!(report.is_valid() || not_begun, "{when}: {report}");
        }
        for name in &promised {
            assert!(left.contains_key(&folder.join(name)), "{when}: {name} was promised and is gone");
        }
        assert_eq!(self.files("older"), self.older, "{when}: another data set was touched");

        let began = verify(&folder).is_valid() && verify(&folder).verdict != Verdict::Complete;
        let next = if began { "resumed" } else { "killed" };
        if verify(&folder).verdict == Verdict::NotBegun {
            let _ = std::fs::remove_dir_all(&folder);
        }
        if verify(&folder).verdict != Verdict::Complete {
            let output = self.plays(next).output().unwrap();
            assert!(output.status.success());
            let report = verify(&folder);
            assert_eq!(
                report.verdict,
                Verdict::Complete,
                "{when}, then {next}: {report}\n{}",
                text(&output.stdout)
            );
        }
        let after = self.files("killed");
        let frames = left.iter().filter(|(path, _)| path.extension().is_some_and(|end| end == "jpg"));
        for (path, content) in frames {
            assert_eq!(after.get(path), Some(content), "{when}: {} is not as it was", path.display());
        }
        std::fs::remove_dir_all(&folder).unwrap();
        promised.len()
    }
}

#[test]
fn a_kill_at_any_write_sync_or_rename_takes_nothing_that_was_promised() {
    let bench = Bench::new();
    let (mut kills, mut promises) = (0, [0; FRAMES + 1]);
    for call in CALLS {
        let killed = (1..MOST).take_while(|n| {
            let plain = bench.plays("killed");
            let mut command = Command::new("strace");
            command.args([
                "-f",
                "-qq",
                "-e",
                "signal=none",
                "-o",
                "/dev/null",
                "-e",
                &format!("trace={call}"),
            ]);
            command.args(["-e", &format!("inject={call}:signal=SIGKILL:when={n}")]).arg(plain.get_program());
            command.args(plain.get_args()).env("PLANKTOR_HTTP", "off");
            let output = command.stdout(Stdio::piped()).stderr(Stdio::null()).output();
            let output = output.expect("strace is installed; `./test` installs what the tests need");
            promises[bench.holds(&text(&output.stdout), &format!("killed at {call} {n}"))] += 1;
            !output.status.success()
        });
        kills += killed.count();
    }
    println!(
        "{kills} kills; 0, 1, 2, 3 frames were promised in {promises:?} of them and of {} whole runs",
        CALLS.len()
    );
    assert!(kills > 60, "only {kills} calls were found");
    assert!(promises.iter().all(|runs| *runs > 0), "kills before, between and after frames: {promises:?}");
}

#[test]
fn a_kill_at_any_instant_takes_nothing_that_was_promised() {
    let bench = Bench::new();
    let kills: u64 = std::env::var("KILLS").map_or(20, |kills| kills.parse().unwrap());
    let whole = run(&["--version"]);
    assert!(whole.status.success());
    for kill in 0..kills {
        let mut child = bench.plays("killed").spawn().unwrap();
        let (line, lines) = channel();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let reader = std::thread::spawn(move || {
            stdout.lines().map_while(Result::ok).for_each(|said| drop(line.send(said)))
        });
        // Somewhere between two lines, which come some milliseconds after each other.
        let (mut said, until) = (String::new(), usize::try_from(kill * 7 % 40).unwrap());
        for _ in 0..until {
            match lines.recv_timeout(Duration::from_secs(20)) {
                Ok(line) => said += &(line + "\n"),
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => panic!("it says nothing for 20 s"),
            }
        }
        let _ =
            lines.recv_timeout(Duration::from_micros(kill * 761 % 5_000)).map(|line| said += &(line + "\n"));
        let _ = child.kill();
        child.wait().unwrap();
        reader.join().unwrap();
        said.extend(lines.try_iter().map(|line| line + "\n"));
        bench.holds(&said, &format!("kill {kill}"));
    }
}

/// What these tests look at can be wrong: a frame that was promised, and of which nothing is left, not even its record.
#[test]
fn a_frame_that_is_gone_without_a_trace_is_missed() {
    let bench = Bench::new();
    assert!(bench.plays("killed").status().unwrap().success());
    let files = bench.files("killed");
    let mut frames = files.keys().filter(|path| path.extension().is_some_and(|end| end == "jpg"));
    let frame: &Path = frames.next_back().unwrap();
    std::fs::remove_file(frame).unwrap();
    let name = frame.file_name().unwrap().to_string_lossy();
    for list in ["frames.jsonl", "integrity.check"] {
        let text = text(&files[&bench.data_set("killed").join(list)]);
        let rest = text.lines().filter(|line| !line.contains(&*name) && !line.contains("\"end\""));
        std::fs::write(
            bench.data_set("killed").join(list),
            rest.map(|line| line.to_owned() + "\n").collect::<String>(),
        )
        .unwrap();
    }
    assert!(verify(&bench.data_set("killed")).is_valid(), "nothing else tells");
    let said = format!("status/imager {{\"status\":\"Image 3/3 saved to {name}\"}}");
    let missed = std::panic::catch_unwind(|| bench.holds(&said, "by hand"));
    assert!(
        missed
            .unwrap_err()
            .downcast_ref::<String>()
            .is_some_and(|why| why.contains("was promised and is gone"))
    );
}
