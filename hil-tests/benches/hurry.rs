//! How fast time passes when nobody waits for it: simulated seconds per second for three workloads.
//!
//! `cargo bench -p planktor-hil-tests --bench hurry`: a week of idling; 400 frames of the medium preset with rendering off, on the twin's own
//! disk in memory; frames of full size, rendered and encoded on all cores. Medians of five runs. Prints figures,
//! asserts none.

#![expect(clippy::print_stdout, reason = "figures")]

use planktor_drivers::clock::Monotonic;
use planktor_drivers::{Clock, Disk};
use planktor_hil_tests::{Script, image, light_on, update_config};
use planktor_protocol::Instant;
use planktor_runtime::scenario::{Frame, Scenario};
use planktor_runtime::stage::{Act, Client, Cue, Play, Seen};
use planktor_sim::disk::MemoryDisk;
use planktor_sim::scene::Format;
use planktor_sim::{Settings, Twin};
use std::path::Path;
use std::time::Duration;

const RUNS: usize = 5;
const WEEK: Duration = Duration::from_secs(7 * 86_400);
const FULL_FRAMES: u32 = 40;

/// Waits for the end of an acquisition.
#[derive(Default)]
struct UntilDone(bool);

impl Client for UntilDone {
    fn hears(&mut self, seen: &Seen, _: &Twin) -> Vec<Act> {
        self.0 |= seen.is("status/imager", "Done");
        vec![]
    }

    fn is_over(&self) -> bool {
        self.0
    }
}

fn main() {
    let blank = Scenario { format: Format::Blank, ..Scenario::default() };
    let idle = Scenario { limit_s: WEEK.into(), ..blank.clone() };
    measure("a week of idling", &idle, &|| vec![]);
    measure("400 frames, rendering off", &blank, &|| acquisition(400));
    let full =
        Scenario { frame: Frame::try_from(Settings::FULL_FRAME).expect("a frame"), ..Scenario::default() };
    let name = format!("{FULL_FRAMES} full frames, rendered and encoded");
    measure(&name, &full, &|| acquisition(FULL_FRAMES));
}

fn acquisition(frames: u32) -> Script {
    let ms = Duration::from_millis;
    vec![(ms(100), light_on()), (ms(100), update_config("hurry", frames)), (ms(100), image(frames))]
}

fn measure(name: &str, scenario: &Scenario, script: &dyn Fn() -> Script) {
    let mut runs: Vec<_> = (0..RUNS).map(|_| run(scenario, script())).collect();
    runs.sort_by_key(|(_, took)| *took);
    let (simulated, took) = runs[RUNS / 2];
    println!(
        "{name:<42} {:>10.1} s in {:>7.3} s ({:.3} to {:.3} s): {:>9.0} simulated seconds per second",
        simulated.as_secs_f64(),
        took.as_secs_f64(),
        runs[0].1.as_secs_f64(),
        runs[RUNS - 1].1.as_secs_f64(),
        simulated.as_secs_f64() / took.as_secs_f64()
    );
}

/// Simulated time, and the time it took.
fn run(scenario: &Scenario, script: Script) -> (Duration, Duration) {
    let mut disk = MemoryDisk::of(&scenario.parameters);
    disk.create_dir_all(Path::new("/data")).expect("a new disk has room for a folder");
    let mut play = Play::of(scenario, Instant::ZERO, scenario.began, Box::new(disk), "/data".into());
    let cue = |(after, message)| Cue { at: Instant::ZERO + after, after: 0, act: Act::Say(message) };
    play.cues = script.into_iter().map(cue).collect();
    let (clock, before) = (play.clock.clone(), Monotonic.now());
    play.run(UntilDone::default()).expect("it does not get stuck");
    (clock.now() - Instant::ZERO, Monotonic.now() - before)
}
