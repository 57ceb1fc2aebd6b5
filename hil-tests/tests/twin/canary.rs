//! Every law of the explorer has been seen to be broken: something is wrong on purpose, and the law says so. What is
//! wrong is put between the instrument and its board, its disk, or whoever listens to it.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

use embedded_hal::digital::{ErrorKind, ErrorType, OutputPin};
use planktor_actors::journal::Journal;
use planktor_drivers::board::{Enable, Spi};
use planktor_drivers::disk::{Disk, Kind};
use planktor_hil_tests::explorer::episode::episode;
use planktor_hil_tests::explorer::{self, Law, Sabotage};
use planktor_hil_tests::meddled::{Meddled, changed, send};
use planktor_hil_tests::message;
use planktor_hil_tests::sharp::{Settle, Way};
use planktor_protocol::{Axis, Fault, Instant};
use planktor_runtime::scenario::{Said, Scenario};
use planktor_runtime::stage::{Act, Cue, Play, Seen};
use planktor_sim::{Hat, Parameters, Preset};
use serde_json::json;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

/// Seeds that are tried until the law is seen to be broken; another law that falls first is no answer.
const SEEDS: u64 = 12;

/// The law that falls when an instrument is sabotaged so, and no other one.
#[track_caller]
fn breaks(law: Law, change: impl Fn(&mut Scenario), sabotage: impl Fn() -> Sabotage) {
    breaks_saying(law, "", change, sabotage);
}

/// The same of a law that has several parts: what is said of it must have these words.
#[track_caller]
fn breaks_saying(law: Law, words: &str, change: impl Fn(&mut Scenario), sabotage: impl Fn() -> Sabotage) {
    let fallen: Vec<_> = (0..SEEDS)
        .filter_map(|seed| {
            let mut episode = episode(seed);
            change(&mut episode);
            explorer::play_with(&episode, sabotage(), Journal::default()).err()
        })
        .collect();
    assert!(
        fallen.iter().any(|violation| violation.law == law && violation.what.contains(words)),
        "{law:?} {words} was not seen to be broken: {fallen:#?}"
    );
}

fn nothing_else(episode: &mut Scenario) {
    episode.faults.clear();
}

fn with_board(meddle: impl FnOnce(Meddled) -> Meddled + 'static) -> Sabotage {
    let instrument = move |play: &mut Play| {
        play.config.board = Arc::new(meddle(Meddled::of(play.config.board.clone())));
    };
    Sabotage { instrument: Some(Box::new(instrument)), ..Sabotage::default() }
}

fn with_spi(meddle: fn(Spi, Axis) -> Spi) -> Sabotage {
    with_board(move |board| board.spi(move |spi, axis| Ok(meddle(spi, axis))))
}

fn with_disk(wrap: impl FnOnce(Box<dyn Disk>) -> Other + 'static) -> Sabotage {
    let instrument = move |play: &mut Play| {
        let disk = std::mem::replace(&mut play.config.disk, Box::new(planktor_drivers::disk::FileSystem));
        play.config.disk = Box::new(wrap(disk));
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

/// A lamp, a configuration, and frames: still ones that are strobed, or in a flow as fast as may be.
fn strobed(way: fn(Hat, u32) -> Way) -> impl Fn(&mut Scenario) {
    move |episode| {
        nothing_else(episode);
        let us = if episode.hat == Hat::V1_2 { 100 } else { 300 };
        (episode.preset, episode.parameters) = (Preset::Medium, Parameters::default());
        let config = json!({"object_date": "2026-06-01", "sample_id": "sample 1", "acq_id": "strobed"});
        let said = [
            ("light", json!({"action": "on"})),
            ("imager/image", json!({"action": "update_config", "config": config})),
            ("planktor/acquire", way(episode.hat, us).plan(8)),
        ];
        let said = said.into_iter().enumerate().map(|(n, (topic, mut payload))| {
            payload["id"] = json!(n);
            Said { at_s: Duration::from_secs(1 + 10 * n as u64).into(), topic: topic.into(), payload }
        });
        episode.messages = said.collect();
    }
}

fn in_a_flow(hat: Hat, us: u32) -> Way {
    Way::Flow(Way::fastest_flow(hat, us), us)
}

fn in_still_water(_: Hat, us: u32) -> Way {
    Way::Strobe(Settle::Seconds(0.5), us)
}

#[test]
fn a_flow_that_is_faster_than_it_may_be_is_seen() {
    let twice_as_fast = |spi, axis| match axis {
        Axis::Pump => changed(spi, |spi, datagram| {
            if datagram[0] == VMAX {
                let twice = 2 * number(*datagram);
                datagram[1..].copy_from_slice(&twice.to_be_bytes());
            }
            send(spi, datagram);
        }),
        Axis::Focus => spi,
    };
    breaks_saying(Law::Still, "in a flow that moved", strobed(in_a_flow), || with_spi(twice_as_fast));
}

#[test]
fn a_frame_of_a_flow_that_is_not_recorded_as_one_is_seen() {
    let no_flow = |line: &str| line.replace("\"flow\":", "\"fl_w\":");
    breaks_saying(Law::Still, "in motion", strobed(in_a_flow), || {
        with_disk(move |disk| Other { change: no_flow, ..Other::of(disk) })
    });
}

#[test]
fn a_pulse_that_is_not_where_it_is_recorded_is_seen() {
    let later = |line: &str| {
        let begins = |line: &str, us: u32| {
            let begins = format!("\"asked_ns\":{us}000,\"from_ns\":");
            line.replace(&begins, &format!("{begins}9"))
        };
        begins(&begins(line, 100), 300)
    };
    let elsewhere = || with_disk(move |disk| Other { change: later, ..Other::of(disk) });
    breaks_saying(Law::Still, "it is said to be lit", strobed(in_still_water), elsewhere);
}

#[test]
fn a_lamp_that_is_not_as_before_when_frames_were_strobed_is_seen() {
    // Somebody of whom the observer does not hear.
    let stranger = || {
        let instrument = |play: &mut Play| {
            let darker = Act::Say(message("light", &json!({"action": "on", "value": 0.4})));
            play.cues.push(Cue { at: Instant::ZERO + Duration::from_secs(23), after: 0, act: darker });
        };
        Sabotage { instrument: Some(Box::new(instrument)), ..Sabotage::default() }
    };
    breaks_saying(Law::Stops, "before frames were strobed", strobed(in_still_water), stranger);
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
    let sticky = |board: Meddled| board.enable(|enable| Enable::new(Sticky(enable)));
    breaks(Law::Safe, nothing_else, || with_board(sticky));
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

/// A disk that forgets to sync, or writes something else than it was told.
struct Other {
    disk: Box<dyn Disk>,
    syncs: bool,
    change: fn(&str) -> String,
}

impl Other {
    fn of(disk: Box<dyn Disk>) -> Self {
        Self { disk, syncs: true, change: |line| line.to_owned() }
    }
}

impl Disk for Other {
    fn create_dir_all(&mut self, path: &Path) -> io::Result<()> {
        self.disk.create_dir_all(path)
    }
    fn create_dir(&mut self, path: &Path) -> io::Result<()> {
        self.disk.create_dir(path)
    }
    fn write(&mut self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        self.disk.write(path, bytes)
    }
    fn append(&mut self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let text = std::str::from_utf8(bytes).unwrap();
        self.disk.append(path, (self.change)(text).as_bytes())
    }
    fn sync(&mut self, path: &Path) -> io::Result<()> {
        if self.syncs { self.disk.sync(path) } else { Ok(()) }
    }
    fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        self.disk.rename(from, to)
    }
    fn remove(&mut self, path: &Path) -> io::Result<()> {
        self.disk.remove(path)
    }
    fn sync_dir(&mut self, path: &Path) -> io::Result<()> {
        self.disk.sync_dir(path)
    }
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        self.disk.read(path)
    }
    fn list(&self, path: &Path) -> io::Result<Vec<PathBuf>> {
        self.disk.list(path)
    }
    fn kind(&self, path: &Path) -> io::Result<Kind> {
        self.disk.kind(path)
    }
    fn free(&self, path: &Path) -> io::Result<u64> {
        self.disk.free(path)
    }
}

#[test]
fn a_recorder_that_does_not_sync_is_seen() {
    breaks(Law::Durable, nothing_else, || with_disk(|disk| Other { syncs: false, ..Other::of(disk) }));
}

#[test]
fn a_file_outside_the_data_root_is_seen() {
    let outside = |mut disk: Box<dyn Disk>| {
        disk.write(Path::new("/elsewhere"), b"").unwrap();
        Other::of(disk)
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
    let only_once = |board: Meddled| {
        let given = AtomicBool::new(false);
        board.spi(move |spi, axis| match axis {
            Axis::Pump if given.swap(true, Ordering::Relaxed) => Err(Fault::Bus("the motor driver")),
            Axis::Pump | Axis::Focus => Ok(spi),
        })
    };
    breaks(Law::Recovers, reset, || with_board(only_once));
}
