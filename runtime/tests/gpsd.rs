//! What real receivers said, through a real gpsd: the position and the time that we hear are gpsd's own, and a date that
//! cannot be true is never believed. The logs are gpsd's regression captures (`hil-tests/data/gps`).

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

use planktor_actors::timekeeping::Known;
use planktor_actors::timekeeping::keeper::Keeper;
use planktor_protocol::Utc;
use planktor_protocol::position::Fix;
use planktor_protocol::timekeeping::NOT_BEFORE;
use planktor_runtime::gpsd::follow;
use rustix::fd::OwnedFd;
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{OptionalActions, tcgetattr, tcsetattr};
use serde_json::Value;
use std::cell::RefCell;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

/// gpsd opens its device and looks what kind of receiver that is; what comes meanwhile is lost.
const OPENS: Duration = Duration::from_millis(1_500);
/// Between two sentences: a receiver at 9600 baud takes longer.
const PAUSE: Duration = Duration::from_millis(10);
/// Who has said nothing for so long has said everything.
const QUIET: Duration = Duration::from_millis(1_500);
/// What gpsd 3.22 adds to dates that lie before it was built; gpsd 3.25, which made the `.log.chk`, does not.
const WEEKS_1024_US: i64 = 1_024 * 7 * 86_400 * 1_000_000;

/// Modes 2 and 3, time (microseconds), latitude and longitude (nanodegrees), height and horizontal error (millimetres).
type Report = (u64, Option<i64>, Option<(i64, i64)>, Option<i64>, Option<i64>);

/// Time and place.
type Whence = (Option<i64>, Option<(i64, i64)>);

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../hil-tests/data/gps").join(name)
}

/// gpsd's own words, read without any code of ours. A simulated fix (status 8) is none.
fn report(tpv: &Value) -> Option<Report> {
    let mode = tpv["mode"].as_u64().filter(|mode| *mode >= 2 && tpv["status"] != 8)?;
    let scaled = |key: &str, scale: f64| tpv[key].as_f64().map(|value| (value * scale).round() as i64);
    let time = tpv["time"].as_str().map(|time| Utc::parse(time).unwrap().micros());
    let place = scaled("lat", 1e9).zip(scaled("lon", 1e9));
    let height = scaled("altHAE", 1e3).filter(|_| mode == 3 && place.is_some());
    Some((mode, time, place, height, scaled("eph", 1e3).filter(|_| place.is_some())))
}

fn heard(fix: &Fix) -> Option<Report> {
    let time = fix.time.map(Utc::micros);
    let place = fix.place?;
    let mode = if place.mode.word() == "3d" { 3 } else { 2 };
    let whereabouts = Some((place.latitude.0, place.longitude.0));
    Some((mode, time, whereabouts, place.altitude_mm, place.error_mm))
}

/// The receiver's end of a line that gpsd takes for a serial one.
fn line() -> (OwnedFd, OwnedFd, String) {
    let receiver = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&receiver).unwrap();
    unlockpt(&receiver).unwrap();
    let name = ptsname(&receiver, vec![]).unwrap().into_string().unwrap();
    let other = std::fs::File::options().read(true).write(true).open(&name).unwrap();
    let mut how = tcgetattr(&other).unwrap();
    how.make_raw();
    tcsetattr(&other, OptionalActions::Now, &how).unwrap();
    (receiver, other.into(), name)
}

/// A gpsd that ends with its test.
struct Gpsd(Child);

impl Gpsd {
    fn start(port: u16, device: &str) -> Self {
        let mut gpsd = Command::new("gpsd");
        let path = std::env::var("PATH").unwrap_or_default() + ":/usr/sbin";
        gpsd.env("PATH", path).env("GPSD_SHM_KEY", format!("{}", 0x4770_0000 + u32::from(port)));
        gpsd.args(["-N", "-n", "-b", "-S", &port.to_string(), device]);
        gpsd.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        Self(gpsd.spawn().expect("gpsd is installed (./test does that)"))
    }
}

impl Drop for Gpsd {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

/// What gpsd said of a log, what we heard of it, and what we heard with the usual earliest time.
struct Played {
    said: Vec<Value>,
    heard: Vec<Fix>,
    usual: Vec<Fix>,
}

async fn play(name: &str) -> Played {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let (receiver, _other, device) = line();
    let _gpsd = Gpsd::start(port, &device);
    let address = format!("127.0.0.1:{port}");
    let mut stream = loop {
        match TcpStream::connect(&address).await {
            Ok(stream) => break stream,
            Err(_) => sleep(PAUSE).await,
        }
    };
    stream.write_all(b"?WATCH={\"enable\":true,\"json\":true};\n").await.unwrap();
    let mut lines = BufReader::new(stream).lines();
    let (said, everything, usual) = (RefCell::new(vec![]), RefCell::new(vec![]), RefCell::new(vec![]));
    let log = std::fs::read(data(&format!("{name}.log"))).unwrap();
    let feed = async {
        sleep(OPENS).await;
        for sentence in log.split_inclusive(|byte| *byte == b'\n').filter(|line| !line.starts_with(b"#")) {
            rustix::io::write(&receiver, sentence).unwrap();
            sleep(PAUSE).await;
        }
        sleep(QUIET).await;
    };
    let listen = async {
        while let Ok(Some(line)) = lines.next_line().await {
            let report: Value = serde_json::from_str(&line).unwrap();
            if report["class"] == "TPV" {
                said.borrow_mut().push(report);
            }
        }
    };
    let long_ago = Utc::from_micros(0);
    let quiet = |why: &str| panic!("{why}");
    let all = async {
        tokio::select! {
            () = feed => {}
            () = listen => panic!("gpsd ended"),
            () = follow(address.clone(), long_ago, |fix| everything.borrow_mut().push(fix), quiet) => {}
            () = follow(address.clone(), NOT_BEFORE, |fix| usual.borrow_mut().push(fix), quiet) => {}
        }
    };
    timeout(Duration::from_secs(60), all).await.expect("a log takes seconds");
    Played { said: said.into_inner(), heard: everything.into_inner(), usual: usual.into_inner() }
}

/// Each report that differs from the one before.
fn changes<T: PartialEq>(mut reports: Vec<T>) -> Vec<T> {
    reports.dedup();
    reports
}

/// Time and place in `.log.chk`, as gpsd's developers have checked them.
fn checked(name: &str) -> Vec<Whence> {
    let text =
        String::from_utf8_lossy(&std::fs::read(data(&format!("{name}.log.chk"))).unwrap()).into_owned();
    let tpv = text.lines().filter(|line| line.starts_with("{\"class\":\"TPV\""));
    let reports = tpv.filter_map(|line| report(&serde_json::from_str(line).unwrap()));
    changes(reports.map(|(_, time, place, ..)| (time, place)).filter(|(_, place)| place.is_some()).collect())
}

fn believed(not_before: Utc, fixes: &[Fix]) -> Option<Utc> {
    let mut keeper = Keeper::new(Known { not_before, saved: None });
    fixes.iter().for_each(|fix| keeper.fix(fix));
    keeper.believed().map(|anchor| anchor.utc)
}

/// Plays a log; gives back how many of its reports have a place.
fn check(name: &str) -> usize {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let Played { said, heard: fixes, usual } = runtime.block_on(play(name));
    assert!(!said.is_empty(), "{name}: gpsd said nothing");

    // Report by report what this gpsd said.
    let gpsds: Vec<_> = said.iter().filter_map(report).filter(|report| report.2.is_some()).collect();
    let ours: Vec<_> = fixes.iter().filter_map(heard).collect();
    assert_eq!(ours, gpsds, "{name}");

    // And what its developers have checked, but for the weeks that this version adds.
    let expected = checked(name);
    let found = changes(ours.iter().map(|report| (report.1, report.2)).collect());
    assert_eq!(found.len(), expected.len(), "{name}: {found:?} instead of {expected:?}");
    for ((time, place), (true_time, true_place)) in found.iter().zip(&expected) {
        assert_eq!(place, true_place, "{name}");
        let added = time.zip(*true_time).map_or(0, |(time, checked)| time - checked);
        assert!([0, WEEKS_1024_US].contains(&added), "{name}: {added} us");
        assert_eq!(time.is_some(), true_time.is_some(), "{name}");
    }

    // What is believed of it.
    let last = fixes.iter().filter_map(|fix| fix.time).next_back();
    assert_eq!(believed(Utc::from_micros(0), &fixes), last, "{name}");
    assert!(usual.iter().all(|fix| fix.time.is_none()), "{name}: a date of long ago is believed");
    assert_eq!(believed(NOT_BEFORE, &usual), None, "{name}");
    let usual: Vec<_> = usual.iter().filter_map(heard).collect();
    let places = |all: &[Report]| all.iter().map(|r| (r.0, r.2, r.3, r.4)).collect::<Vec<_>>();
    assert_eq!(places(&usual), places(&ours), "{name}: the places are as good as before");
    ours.len()
}

#[test]
fn mt3339() {
    assert_eq!(check("mt3339"), 32);
}

#[test]
fn mtk_3301() {
    assert!(check("mtk-3301") >= 5);
}

#[test]
fn gp_320fw() {
    assert!(check("gp-320fw-2019-04-07-coldboot") >= 3);
}

#[test]
fn firefly_ii() {
    assert_eq!(check("firefly-II"), 23);
}

#[test]
fn tomtom_mkii() {
    assert!(check("tomtom-mkII") >= 5);
}

#[test]
fn skytraq_never_has_a_fix() {
    assert_eq!(check("skytraq"), 0);
}

#[test]
fn what_the_garmin_makes_up_is_no_fix() {
    assert_eq!(check("garmin-geko201"), 0);
}
