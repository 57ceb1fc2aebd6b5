//! `planktor guard` as its users and systemd start it, on the twin: what becomes of a program that is killed, stopped, told
//! to end or cannot begin. What a guard switches off is shown where there are pins and buses (`hil-tests/src/vm/guarded.rs`).

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

mod common;

use common::{PATIENCE, alone, lines, planktor, text};
use planktor_drivers::Clock as _;
use planktor_drivers::clock::Monotonic;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open};
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::mpsc::Receiver;
use std::time::Duration;
use tempfile::TempDir;

/// A guard, what it and its program say, and a folder for their data.
struct Guard {
    guard: Child,
    says: Receiver<String>,
    _data: TempDir,
}

/// The program that a guard watches.
struct Program {
    pid: Pid,
    process: OwnedFd,
    /// Until it was at work.
    said: String,
}

impl Guard {
    fn start() -> Self {
        let data = TempDir::new().unwrap();
        let mut command = planktor(&["guard", "--twin", "--listen", "127.0.0.1:0", "--data"]);
        command.arg(data.path());
        Self::started(&mut command, data)
    }

    fn started(command: &mut Command, data: TempDir) -> Self {
        let mut guard = command.stderr(Stdio::piped()).spawn().unwrap();
        let says = lines(guard.stderr.take().unwrap());
        Self { guard, says, _data: data }
    }

    /// All lines to the next one with these words.
    fn until(&self, words: &str) -> String {
        let mut said = String::new();
        while !said.contains(words) {
            said += &self.says.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("no {words:?} in {said}"));
            said.push('\n');
        }
        said
    }

    /// The next line with these words.
    fn says(&self, words: &str) -> String {
        self.until(words).lines().last().unwrap().into()
    }

    /// The next program, when it is at work.
    fn program(&self) -> Program {
        let line = self.says("watches process");
        let pid = Pid::from_raw(line.rsplit(' ').next().unwrap().parse().unwrap()).unwrap();
        let process = pidfd_open(pid, PidfdFlags::empty()).unwrap();
        let said = self.until("connected");
        Program { pid, process, said }
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.guard), signal).unwrap();
    }

    fn ends(&mut self) -> ExitStatus {
        assert!(is_gone(&pidfd_open(Pid::from_child(&self.guard), PidfdFlags::empty()).unwrap(), PATIENCE));
        self.guard.wait().unwrap()
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        let _ = self.guard.kill();
        let _ = self.guard.wait();
    }
}

impl Program {
    fn signal(&self, signal: Signal) {
        kill_process(self.pid, signal).unwrap();
    }
}

fn is_gone(process: &OwnedFd, within: Duration) -> bool {
    let within = Timespec::try_from(within).unwrap();
    poll(&mut [PollFd::new(process, PollFlags::IN)], Some(&within)).unwrap() == 1
}

#[test]
fn what_is_killed_or_stopped_is_started_again_and_told_why_and_the_fourth_time_the_guard_gives_up() {
    let _alone = alone();
    let mut guard = Guard::start();
    let first = guard.program();
    first.signal(Signal::KILL);
    guard.says("guard: it died (signal: 9 (SIGKILL))");
    assert!(is_gone(&first.process, PATIENCE));

    let second = guard.program();
    let began = Monotonic.now();
    second.signal(Signal::STOP);
    assert!(is_gone(&second.process, PATIENCE));
    // 100 to 150 ms, on a computer that has nothing else to do.
    let took = Monotonic.now() - began;
    assert!(took < Duration::from_secs(5), "{took:?}");
    guard.says("guard: its hardware thread was silent for");

    let third = guard.program();
    assert!(
        third.said.contains("started again by its guard: its hardware thread was silent for"),
        "{}",
        third.said
    );
    third.signal(Signal::KILL);
    guard.program().signal(Signal::KILL);
    guard.says("the guard gives up: 3 restarts within 10 min did not help; at last: it died (signal: 9");
    assert_eq!(guard.ends().code(), Some(3));
}

#[test]
fn a_guard_that_is_told_to_end_ends_its_program_in_order() {
    let _alone = alone();
    for signal in [Signal::TERM, Signal::INT] {
        let mut guard = Guard::start();
        let program = guard.program();
        guard.signal(signal);
        assert!(guard.ends().success());
        assert!(is_gone(&program.process, Duration::ZERO), "its program has ended before it");
    }
}

#[test]
fn a_program_that_ends_in_order_is_not_started_again() {
    let _alone = alone();
    let mut guard = Guard::start();
    guard.program().signal(Signal::TERM);
    assert!(guard.ends().success());
}

#[test]
fn a_program_whose_guard_is_killed_ends_in_order() {
    let _alone = alone();
    let mut guard = Guard::start();
    let program = guard.program();
    guard.signal(Signal::KILL);
    assert!(!guard.ends().success());
    assert!(is_gone(&program.process, PATIENCE));
    let said: Vec<_> = guard.says.iter().collect();
    assert!(said.iter().all(|line| !line.contains("did not end")), "{said:?}");
}

#[test]
fn a_program_that_cannot_begin_is_not_started_again_and_says_why() {
    let _alone = alone();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let data = TempDir::new().unwrap();
    let guarded = |more: &[&str]| -> Output {
        let mut command = planktor(&["guard", "--data", data.path().to_str().unwrap(), "--twin"]);
        command.args(more).output().unwrap()
    };
    let refused = guarded(&["--listen", &address]);
    let said = text(&refused.stderr);
    assert_eq!((refused.status.code(), said.matches("watches process").count()), (Some(1), 1), "{said}");
    assert!(said.contains(&address), "{said}");
    let refused = guarded(&["--broker", "nowhere:0"]);
    assert_eq!(
        refused.status.code(),
        Some(2),
        "what the program does not understand, its guard does not, either"
    );
    for (argument, words) in [("--hurry", "no instrument to guard"), ("--journal=j", "would overwrite")] {
        let said = text(&guarded(&[argument]).stderr);
        assert!(said.contains(words), "{said}");
    }
}

#[test]
fn who_pretends_to_have_a_guard_is_told_so() {
    let mut command = planktor(&["run", "--twin", "--listen", "127.0.0.1:0"]);
    let refused = command.env("PLANKTOR_GUARD", "1").stdin(Stdio::null()).output().unwrap();
    let said = text(&refused.stderr);
    assert!(!refused.status.success() && said.contains("PLANKTOR_GUARD is set, but"), "{said}");
}

#[test]
fn systemd_hears_that_it_is_ready_that_it_lives_and_that_it_ends() {
    let _alone = alone();
    let data = TempDir::new().unwrap();
    let manager = UnixDatagram::bind(data.path().join("notify")).unwrap();
    manager.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut command = planktor(&["guard", "--twin", "--listen", "127.0.0.1:0", "--data"]);
    command.arg(data.path()).env("NOTIFY_SOCKET", data.path().join("notify"));
    command.env("WATCHDOG_USEC", "300000");
    let hears = |word: &str| loop {
        let mut bytes = [0; 256];
        let len = manager.recv(&mut bytes).unwrap_or_else(|_| panic!("{word} is not said"));
        if text(&bytes[..len]).lines().any(|line| line == word) {
            return;
        }
    };
    let mut guard = Guard::started(&mut command, data);
    hears("READY=1");
    (0..5).for_each(|_| hears("WATCHDOG=1"));
    guard.signal(Signal::TERM);
    hears("STOPPING=1");
    assert!(guard.ends().success());
}

#[test]
fn the_unit_for_systemd_is_one_and_starts_what_there_is() {
    let unit = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/planktor.service");
    let unit = std::fs::read_to_string(unit).unwrap();
    let (installed, built) = ("/usr/local/bin/planktor", env!("CARGO_BIN_EXE_planktor"));
    let start = unit.lines().find_map(|line| line.strip_prefix("ExecStart=")).unwrap();
    let mut words = start.split(' ');
    assert_eq!(words.next(), Some(installed));
    let arguments: Vec<_> = words.chain(["--help"]).collect();
    assert!(planktor(&arguments).output().unwrap().status.success(), "{start} is not understood");

    let folder = TempDir::new().unwrap();
    let copy = folder.path().join("planktor.service");
    std::fs::write(&copy, unit.replace(installed, built)).unwrap();
    // Not every computer has it.
    let Ok(verified) = Command::new("systemd-analyze").arg("verify").arg(&copy).output() else { return };
    let said = text(&verified.stderr);
    assert!(verified.status.success() && !said.contains("planktor.service"), "{said}");
}
