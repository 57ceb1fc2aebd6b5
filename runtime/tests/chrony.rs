//! A real chronyd is asked by our code: one that is kept right by another, that other one, which has nothing but its own
//! clock, and none at all. Neither touches this computer's clock (`-x`).

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

use planktor_drivers::clock::TrackingSource;
use planktor_runtime::chrony::{Chrony, Newest, ask, follow};
use std::cell::RefCell;
use std::net::UdpSocket;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;
use tokio::time::{sleep, timeout};

const PATIENCE: Duration = Duration::from_secs(20);

/// A chronyd that ends with its test.
struct Chronyd {
    running: Child,
    chrony: Chrony,
}

impl Chronyd {
    fn start(folder: &Path, name: &str, config: &str) -> Self {
        let at = |ending: &str| folder.join(format!("{name}.{ending}"));
        let socket: PathBuf = at("sock");
        let common =
            format!("cmdport 0\nbindcmdaddress {}\npidfile {}\n", socket.display(), at("pid").display());
        std::fs::write(at("conf"), common + config).unwrap();
        let mut chronyd = Command::new("chronyd");
        chronyd.env("PATH", std::env::var("PATH").unwrap_or_default() + ":/usr/sbin");
        // -U: also for those who are not root; then it remains who it is.
        chronyd.args(["-x", "-d", "-U", "-f"]).arg(at("conf"));
        if std::fs::metadata("/proc/self").is_ok_and(|me| std::os::unix::fs::MetadataExt::uid(&me) == 0) {
            chronyd.args(["-u", "root"]);
        }
        chronyd.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let running = chronyd.spawn().expect("chronyd is installed (./test does that)");
        Self { running, chrony: Chrony { socket: Some(socket) } }
    }
}

impl Drop for Chronyd {
    fn drop(&mut self) {
        self.running.kill().unwrap();
        self.running.wait().unwrap();
    }
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

/// Asks until the answer fits.
async fn until(chrony: &Chrony, fits: impl Fn(Option<Duration>) -> bool) -> Option<Duration> {
    let asking = async {
        loop {
            if let Ok(tracking) = ask(chrony).await
                && fits(tracking.error)
            {
                return tracking.error;
            }
            sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(PATIENCE, asking).await.expect("chrony answers so within seconds")
}

#[test]
fn a_clock_that_chrony_keeps_right_has_its_error_and_one_that_has_only_itself_has_none() {
    let folder = TempDir::new().unwrap();
    // chronyd refuses a folder for its socket that others can read.
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o700)).unwrap();
    let port = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let itself = format!("port {port}\nbindaddress 127.0.0.1\nallow 127.0.0.1\nlocal stratum 10\n");
    let itself = Chronyd::start(folder.path(), "itself", &itself);
    block_on(until(&itself.chrony, |error| error.is_none()));
    let kept = format!("port 0\nserver 127.0.0.1 port {port} minpoll -4 maxpoll -4\n");
    let kept = Chronyd::start(folder.path(), "kept", &kept);
    // It measures again and again, and is sure before long.
    block_on(until(&kept.chrony, |error| error.is_some_and(|error| error < Duration::from_millis(500))));
    assert_eq!(block_on(ask(&itself.chrony)).unwrap().error, None, "it is as good as any by its leap status");

    let (mut newest, lines) = (Newest::default(), RefCell::new(vec![]));
    let said = |line: &str| lines.borrow_mut().push(line.to_string());
    let following = follow(kept.chrony.clone(), newest.clone(), said);
    let heard = async {
        while newest.latest().is_none() {
            sleep(Duration::from_millis(10)).await;
        }
    };
    block_on(async {
        tokio::select! {
            () = following => unreachable!("it follows for ever"),
            heard = timeout(PATIENCE, heard) => heard.unwrap(),
        }
    });
    assert_eq!(lines.into_inner(), Vec::<String>::new(), "all is well");
}

#[test]
fn where_there_is_no_chrony_that_is_said_once() {
    let folder = TempDir::new().unwrap();
    let nobody = Chrony { socket: Some(folder.path().join("nobody.sock")) };
    let lines = RefCell::new(vec![]);
    let said = |line: &str| lines.borrow_mut().push(line.to_string());
    let told = async {
        while lines.borrow().is_empty() {
            sleep(Duration::from_millis(10)).await;
        }
    };
    block_on(async {
        tokio::select! {
            () = follow(nobody, Newest::default(), said) => unreachable!("it follows for ever"),
            told = timeout(PATIENCE, told) => told.unwrap(),
        }
    });
    let lines = lines.into_inner();
    assert_eq!(lines.len(), 1);
    assert!(lines[0].contains("check that chrony is installed and runs"), "{lines:?}");
}
