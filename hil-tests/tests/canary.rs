//! Every law of the explorer has been seen to be broken: something is wrong on purpose, and the law says so. What is
//! wrong is put between the instrument and its board, its disk, or whoever listens to it.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

use embedded_hal::digital::{ErrorKind, ErrorType, OutputPin};
use planktor_actors::journal::Journal;
use planktor_drivers::board::{Board, DiagLine, Enable, Hardware, Output, SlowBuses, Spi};
use planktor_drivers::devices::camera::Camera;
use planktor_drivers::disk::{Disk, Kind};
use planktor_hil_tests::explorer::episode::episode;
use planktor_hil_tests::explorer::{self, Law, Sabotage};
use planktor_hil_tests::meddled::{Meddled, changed, send};
use planktor_protocol::{Axis, Fault};
use planktor_runtime::scenario::Scenario;
use planktor_runtime::stage::{Play, Seen};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Seeds that are tried until the law is seen to be broken; another law that falls first is no answer.
const SEEDS: u64 = 12;

/// The law that falls when an instrument is sabotaged so, and no other one.
#[track_caller]
fn breaks(law: Law, change: impl Fn(&mut Scenario), sabotage: impl Fn() -> Sabotage) {
    let fallen: Vec<_> = (0..SEEDS)
        .filter_map(|seed| {
            let mut episode = episode(seed);
            change(&mut episode);
            explorer::play_with(&episode, sabotage(), Journal::default()).err()
        })
        .collect();
    assert!(
        fallen.iter().any(|violation| violation.law == law),
        "{law:?} was not seen to be broken: {fallen:#?}"
    );
}

fn nothing_else(episode: &mut Scenario) {
    episode.faults.clear();
}

fn with_board(meddle: fn(Spi, Axis) -> Spi, enable: fn(Enable) -> Enable) -> Sabotage {
    let instrument = move |play: &mut Play| {
        play.config.board = Arc::new(Meddled { meddle, enable, ..Meddled::of(play.config.board.clone()) });
    };
    Sabotage { instrument: Some(Box::new(instrument)), ..Sabotage::default() }
}

fn with_spi(meddle: fn(Spi, Axis) -> Spi) -> Sabotage {
    with_board(meddle, |enable| enable)
}

fn with_disk(wrap: fn(Box<dyn Disk>) -> Box<dyn Disk>) -> Sabotage {
    let instrument = move |play: &mut Play| {
        let disk = std::mem::replace(&mut play.config.disk, Box::new(planktor_drivers::disk::FileSystem));
        play.config.disk = wrap(disk);
    };
    Sabotage { instrument: Some(Box::new(instrument)), ..Sabotage::default() }
}

fn with_rumour(rumour: impl FnMut(Seen) -> Option<Seen> + Send + 'static) -> Sabotage {
    Sabotage { rumour: Some(Box::new(rumour)), ..Sabotage::default() }
}

const XTARGET: u8 = 0xAD;
const RAMPMODE: u8 = 0xA0;
const VMAX: u8 = 0xA7;
const RAMP_STAT: u8 = 0x35;

fn is_write(datagram: [u8; 5], address: u8, value: u32) -> bool {
    datagram[0] == address && datagram[1..] == value.to_be_bytes()
}

const XACTUAL: u8 = 0x21;

/// The register whose content a datagram's answer is: what the one before it asked for.
#[derive(Default)]
struct Asked(u8);

impl Asked {
    fn send(&mut self, spi: &mut Spi, datagram: &mut [u8; 5]) -> u8 {
        let asks = datagram[0];
        send(spi, datagram);
        if asks & 0x80 == 0 { std::mem::replace(&mut self.0, asks) } else { self.0 }
    }
}

fn number(datagram: [u8; 5]) -> i32 {
    i32::from_be_bytes(datagram[1..].try_into().unwrap())
}

#[test]
fn a_driver_that_takes_a_move_for_over_too_early_is_seen() {
    let too_early = |spi, axis| match axis {
        Axis::Pump => {
            let (mut asked, mut target) = (Asked::default(), [0; 4]);
            changed(spi, move |spi, datagram| {
                if datagram[0] == XTARGET {
                    target.copy_from_slice(&datagram[1..]);
                }
                // Position reached, and there, whenever somebody asks.
                match asked.send(spi, datagram) {
                    RAMP_STAT => datagram[3] |= 1 << 1,
                    XACTUAL => datagram[1..].copy_from_slice(&target),
                    _ => {}
                }
            })
        }
        Axis::Focus => spi,
    };
    breaks(Law::Still, nothing_else, || with_spi(too_early));
}

/// A bus behind which every target is farther by a part, and nobody can read that.
fn farther(spi: Spi, by: i32) -> Spi {
    let (mut asked, mut target) = (Asked::default(), 0);
    changed(spi, move |spi, datagram| {
        if datagram[0] == XTARGET {
            target = number(*datagram);
            datagram[1..].copy_from_slice(&(target + target / by).to_be_bytes());
        }
        if [XACTUAL, XTARGET & 0x7F].contains(&asked.send(spi, datagram)) {
            datagram[1..].copy_from_slice(&target.to_be_bytes());
        }
    })
}

#[test]
fn a_driver_that_pumps_too_much_is_seen() {
    let too_much = |spi, axis| if axis == Axis::Pump { farther(spi, 100) } else { spi };
    breaks(Law::Exact, nothing_else, || with_spi(too_much));
}

#[test]
fn a_driver_that_says_it_stops_and_does_not_is_seen() {
    let never_stops = |spi, _| {
        changed(spi, |spi, datagram| {
            let stop = is_write(*datagram, VMAX, 0) || is_write(*datagram, RAMPMODE, 1);
            if !stop {
                send(spi, datagram);
            }
        })
    };
    breaks(Law::Stops, nothing_else, || with_spi(never_stops));
}

/// A pin that nobody can switch off again.
struct Sticky(Enable);

impl ErrorType for Sticky {
    type Error = ErrorKind;
}

impl OutputPin for Sticky {
    fn set_low(&mut self) -> Result<(), ErrorKind> {
        self.0.on()
    }
    fn set_high(&mut self) -> Result<(), ErrorKind> {
        Ok(())
    }
}

#[test]
fn a_motor_that_keeps_its_current_is_seen() {
    breaks(Law::Safe, nothing_else, || with_board(|spi, _| spi, |enable| Enable::new(Sticky(enable))));
}

#[test]
fn a_stage_that_goes_farther_than_it_was_told_is_seen() {
    let too_far = |spi, axis| if axis == Axis::Focus { farther(spi, 12) } else { spi };
    let to_the_end = |episode: &mut Scenario| {
        nothing_else(episode);
        let up = r#"{"at_s": 0.5, "topic": "actuator/focus", "payload":
            {"action": "move", "direction": "UP", "distance": 44, "id": 1000000}}"#;
        episode.messages = vec![serde_json::from_str(up).unwrap()];
    };
    breaks(Law::WithinTravel, to_the_end, || with_spi(too_far));
}

/// A disk that forgets to sync.
struct Careless(Box<dyn Disk>);

impl Disk for Careless {
    fn create_dir_all(&mut self, path: &Path) -> io::Result<()> {
        self.0.create_dir_all(path)
    }
    fn create_dir(&mut self, path: &Path) -> io::Result<()> {
        self.0.create_dir(path)
    }
    fn write(&mut self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        self.0.write(path, bytes)
    }
    fn append(&mut self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        self.0.append(path, bytes)
    }
    fn sync(&mut self, _: &Path) -> io::Result<()> {
        Ok(())
    }
    fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        self.0.rename(from, to)
    }
    fn remove(&mut self, path: &Path) -> io::Result<()> {
        self.0.remove(path)
    }
    fn sync_dir(&mut self, path: &Path) -> io::Result<()> {
        self.0.sync_dir(path)
    }
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        self.0.read(path)
    }
    fn list(&self, path: &Path) -> io::Result<Vec<PathBuf>> {
        self.0.list(path)
    }
    fn kind(&self, path: &Path) -> io::Result<Kind> {
        self.0.kind(path)
    }
    fn free(&self, path: &Path) -> io::Result<u64> {
        self.0.free(path)
    }
}

#[test]
fn a_recorder_that_does_not_sync_is_seen() {
    breaks(Law::Durable, nothing_else, || with_disk(|disk| Box::new(Careless(disk))));
}

#[test]
fn a_file_outside_the_data_root_is_seen() {
    let outside = |mut disk: Box<dyn Disk>| {
        disk.write(Path::new("/elsewhere"), b"").unwrap();
        disk
    };
    breaks(Law::Contained, nothing_else, || with_disk(outside));
}

#[test]
fn an_answer_that_is_lost_is_seen() {
    let mut heard = 0;
    let mut lossy = move |seen: Seen| {
        heard += u32::from(seen.is("status/light", "On"));
        (heard != 1).then_some(seen)
    };
    breaks(Law::Answered, nothing_else, || with_rumour(lossy));
    assert!(lossy(seen("status/light", "On")).is_none(), "it really loses one");
}

#[test]
fn an_answer_that_comes_twice_is_seen() {
    // The second stroke's end is told under the first one's name.
    let mut first = None;
    let twice = move |mut seen: Seen| {
        if seen.is("status/pump", "Done") && !seen.payload["id"].is_null() {
            seen.payload["id"] = first.get_or_insert(seen.payload["id"].clone()).clone();
        }
        Some(seen)
    };
    breaks(Law::Answered, nothing_else, || with_rumour(twice.clone()));
}

fn seen(topic: &str, status: &str) -> Seen {
    let payload = serde_json::json!({"status": status});
    Seen { at: planktor_protocol::Instant::ZERO, topic: topic.into(), payload, retain: false }
}

#[test]
fn a_done_that_is_retained_is_seen() {
    let retained = |seen: Seen| Some(Seen { retain: seen.retain || seen.status() == "Done", ..seen });
    breaks(Law::Contract, nothing_else, || with_rumour(retained));
}

/// How often a bus was opened in this process: other in every run.
static OPENED: AtomicU64 = AtomicU64::new(0);

#[test]
fn an_instrument_that_is_not_the_same_twice_is_seen() {
    let moody = |spi, axis| match axis {
        Axis::Pump => {
            let mood = OPENED.fetch_add(1, Ordering::Relaxed);
            changed(spi, move |spi, datagram| {
                // A little slower every second time.
                if datagram[0] == VMAX && mood.is_multiple_of(2) {
                    datagram[4] &= 0x7F;
                }
                send(spi, datagram);
            })
        }
        Axis::Focus => spi,
    };
    let fallen = (0..SEEDS).find_map(|seed| {
        let mut episode = episode(seed);
        nothing_else(&mut episode);
        explorer::play_twice(&episode, || with_spi(moody))
            .err()
            .filter(|fallen| fallen.law == Law::Repeatable)
    });
    assert!(fallen.is_some(), "Repeatable was not seen to be broken");
}

#[test]
fn a_device_that_is_not_picked_up_again_is_seen() {
    let reset = |episode: &mut Scenario| {
        let fault = r#"{"what": {"bus-error": "pump"}, "for_s": 5,
            "when": {"after": {"topic": "status/pump", "status": "Started", "count": 3}}}"#;
        episode.faults = vec![serde_json::from_str(fault).unwrap()];
    };
    let never_again = move || {
        let instrument = move |play: &mut Play| {
            play.config.board = Arc::new(OnlyOnce(play.config.board.clone()));
        };
        Sabotage { instrument: Some(Box::new(instrument)), ..Sabotage::default() }
    };
    breaks(Law::Recovers, reset, never_again);
}

/// A board that gives out the pump's bus once.
struct OnlyOnce(Arc<dyn Board>);

impl Board for OnlyOnce {
    fn hardware(&self) -> Box<dyn Hardware> {
        Box::new(OnlyOnceHalf { half: self.0.hardware(), given: std::cell::Cell::new(false) })
    }
    fn slow_buses(&self) -> Box<dyn SlowBuses> {
        self.0.slow_buses()
    }
}

struct OnlyOnceHalf {
    half: Box<dyn Hardware>,
    given: std::cell::Cell<bool>,
}

impl Hardware for OnlyOnceHalf {
    fn pump_spi(&self) -> Result<Spi, Fault> {
        if self.given.replace(true) {
            return Err(Fault::Bus("the motor driver"));
        }
        self.half.pump_spi()
    }
    fn focus_spi(&self) -> Result<Spi, Fault> {
        self.half.focus_spi()
    }
    fn pump_enable(&self) -> Enable {
        self.half.pump_enable()
    }
    fn focus_enable(&self) -> Enable {
        self.half.focus_enable()
    }
    fn diag(&self) -> Vec<Result<DiagLine, Fault>> {
        self.half.diag()
    }
    fn strobe(&self) -> Result<Option<Output>, Fault> {
        self.half.strobe()
    }
    fn camera(&self) -> Result<Box<dyn Camera>, Fault> {
        self.half.camera()
    }
}
