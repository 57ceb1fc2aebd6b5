//! The program as its users start it, and a real mosquitto with its own clients beside it.

#![allow(
    clippy::unwrap_used,
    dead_code,
    missing_docs,
    unreachable_pub,
    reason = "a test that panics has failed; not every test uses everything"
)]

use planktor_protocol::wire::contract;
use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tempfile::TempDir;

/// Longer than anything here takes.
pub const PATIENCE: Duration = Duration::from_secs(30);

pub static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

pub fn alone() -> MutexGuard<'static, ()> {
    ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner)
}

pub fn planktor(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_planktor"));
    command.args(arguments);
    // Who tests the page says where it is.
    command.env("PLANKTOR_HTTP", "off");
    for name in ["PLANKTOR_DATA", "PLANKTOR_BROKER", "PLANKTOR_USER", "PLANKTOR_PASSWORD", "PLANKTOR_OWNER"] {
        command.env_remove(name);
    }
    command
}

pub fn run(arguments: &[&str]) -> Output {
    planktor(arguments).output().unwrap()
}

pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A program that is killed when the test is over.
pub struct Running(pub Child);

impl Running {
    /// Starts it and waits until its standard error says `ready`.
    pub fn start(command: &mut Command, ready: &str) -> Self {
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap_or_else(|error| {
            panic!("cannot start {command:?}: {error}; `./test` installs what the tests need")
        });
        let lines = lines(child.stderr.take().unwrap());
        let running = Self(child);
        loop {
            let line =
                lines.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("{command:?} never said {ready:?}"));
            if line.contains(ready) {
                return running;
            }
        }
    }

    pub fn signal(&self, signal: &str) {
        let killed = Command::new("kill").args([format!("-{signal}"), self.0.id().to_string()]).status();
        assert!(killed.unwrap().success());
    }

    pub fn wait(&mut self) -> ExitStatus {
        self.0.wait().unwrap()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Lines as they come; the reader goes on, so that the writer never blocks.
pub fn lines(from: impl std::io::Read + Send + 'static) -> Receiver<String> {
    let (line, lines) = channel();
    std::thread::spawn(move || {
        for text in BufReader::new(from).split(b'\n').map_while(Result::ok) {
            let _ = line.send(String::from_utf8_lossy(&text).into_owned());
        }
    });
    lines
}

/// A mosquitto of our own, or mosquitto's clients on another broker.
pub struct Mosquitto {
    _process: Option<(Running, TempDir)>,
    pub port: String,
}

impl Mosquitto {
    pub fn start() -> Self {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port().to_string();
        let folder = TempDir::new().unwrap();
        let config = folder.path().join("mosquitto.conf");
        std::fs::write(
            &config,
            format!("listener {port} 127.0.0.1\nallow_anonymous true\npersistence false\n"),
        )
        .unwrap();
        let mut command = Command::new(binary("mosquitto"));
        let process = Running::start(command.arg("-v").arg("-c").arg(config), "running");
        Self { _process: Some((process, folder)), port }
    }

    pub fn of_somebody_else(port: u16) -> Self {
        Self { _process: None, port: port.to_string() }
    }

    pub fn publish(&self, topic: &str, payload: &Value) {
        let mut command = Command::new(binary("mosquitto_pub"));
        command.args(["-h", "127.0.0.1", "-p", &self.port, "-t", topic, "-m", &payload.to_string()]);
        assert!(command.status().unwrap().success());
    }

    /// Returns when the subscription is in force: a retained probe has come through it, before what is kept on the topic.
    pub fn subscribe(&self, topic: &str) -> (Running, Receiver<String>) {
        let mut probe = Command::new(binary("mosquitto_pub"));
        probe.args(["-h", "127.0.0.1", "-p", &self.port, "-t", "probe", "-m", "here", "-r"]);
        assert!(probe.status().unwrap().success());
        let mut command = Command::new(binary("mosquitto_sub"));
        command.args(["-h", "127.0.0.1", "-p", &self.port, "-t", "probe", "-t", topic, "-v"]);
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let lines = lines(child.stdout.take().unwrap());
        let running = Running(child);
        while lines.recv_timeout(PATIENCE).unwrap() != "probe here" {}
        (running, lines)
    }
}

/// Debian puts servers where a user's path does not look.
pub fn binary(name: &str) -> PathBuf {
    let found = ["/usr/sbin", "/usr/bin", "/usr/local/sbin", "/usr/local/bin"]
        .map(|folder| Path::new(folder).join(name));
    let found = found.into_iter().find(|path| path.exists());
    found.unwrap_or_else(|| {
        panic!("{name} is not installed; `./test` installs it (Debian: mosquitto mosquitto-clients)")
    })
}

/// Everything that is heard on a status topic is as the contract's schemas say.
pub fn check(line: &str) {
    let Some((topic, payload)) = line.split_once(' ') else { return };
    let said = topic.starts_with("status/") || topic.starts_with("planktor/status/");
    if !said || topic == "planktor/status/twin" {
        return;
    }
    let schema = contract::schema_of(topic).unwrap_or_else(|| panic!("{topic} is not in the contract"));
    let payload: Value = serde_json::from_str(payload).unwrap_or_else(|error| panic!("{line}: {error}"));
    let schema = jsonschema::validator_for(&schema).unwrap();
    assert!(schema.is_valid(&payload), "{line} is not as in the contract");
}

/// The next status on a topic.
pub fn next(lines: &Receiver<String>, topic: &str) -> Value {
    loop {
        let line = lines.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("nothing more on {topic}"));
        check(&line);
        if let Some(payload) = line.strip_prefix(&format!("{topic} ")) {
            return serde_json::from_str(payload).unwrap();
        }
    }
}
