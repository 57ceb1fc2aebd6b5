//! What an acquisition costs beyond moving, settling and exposing, and what the idle program costs.
//!
//! `cargo bench -p planktor-hil-tests --bench first_light [-- FRAMES]`: the twin in real time, full-size frames at JPEG quality 95, hashed
//! and synced beside the next stroke; an ordinary MQTT client over the embedded broker. Prints figures, asserts none.

#![expect(clippy::print_stdout, reason = "figures")]

use planktor_drivers::disk::FileSystem;
use planktor_hil_tests::bench::{acquire, twin};
use planktor_runtime::figures::{self, Parts};
use planktor_runtime::instrument::{Config, Time};
use planktor_runtime::metrics::own_usage;
use planktor_runtime::service::{Options, Service};
use planktor_sim::{Settings, Twin};
use std::sync::Arc;
use std::time::Duration;

const IDLE: Duration = Duration::from_secs(10);
const SETTLING: Duration = Duration::from_millis(500);

fn main() {
    let frames = std::env::args().filter_map(|argument| argument.parse().ok()).next().unwrap_or(30);
    let data = tempfile::TempDir::new().expect("a temporary folder");
    let twin = twin(Settings::FULL_FRAME);
    let root = data.path().to_path_buf();
    let config = Config::new(Arc::new(twin.clone()), "twin", Time::Real, Box::new(FileSystem), root);
    let service = Service::start(config, Options::alone()).expect("a service");

    idle();
    acquire(&service, "bench", frames).expect("an acquisition");
    report(&twin, frames);
    service.shut_down();
    service.wait().expect("a good end");
}

/// Processor time and memory of the program with its broker while nobody asks anything.
fn idle() {
    let (_wake, woken) = crossbeam_channel::bounded::<()>(0);
    let (before, _) = own_usage().expect("Linux");
    let _ = woken.recv_timeout(IDLE);
    let (after, resident) = own_usage().expect("Linux");
    println!(
        "idle: {:.2} % of one core over {} s, {} KiB resident",
        100.0 * (after - before) / IDLE.as_secs_f64(),
        IDLE.as_secs(),
        resident / 1_024
    );
}

fn report(twin: &Twin, frames: u32) {
    let truths: Vec<_> = twin.world().truths().cloned().collect();
    let parts = figures::parts(&truths, SETTLING);
    let in_motion = truths.iter().filter(|truth| truth.in_motion()).count();
    println!(
        "{} frames of {frames}, {in_motion} exposed in motion; medians of {} periods:",
        truths.len(),
        parts.len()
    );
    let print = |name: &str, part: fn(&Parts) -> Duration| {
        let mut all: Vec<_> = parts.iter().map(part).collect();
        all.sort();
        let at = |q: usize| {
            all.get((all.len().saturating_sub(1)) * q / 100).copied().unwrap_or_default().as_secs_f64() * 1e3
        };
        println!("  {name:<28} p50 {:8.3} ms   p99 {:8.3} ms   max {:8.3} ms", at(50), at(99), at(100));
    };
    print("period", |p| p.period);
    print("move", |p| p.motion);
    print("settling", |p| p.settling);
    print("exposure with read-out", |p| p.exposure);
    print("wait for the cadence", |p| p.cadence);
    print("overhead", |p| p.overhead);
    println!("  frame starts missed: {}", parts.iter().map(|p| p.missed).sum::<u32>());
}
