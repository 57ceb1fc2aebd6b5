//! What an acquisition costs beyond moving, settling and exposing, and what the idle program costs.
//!
//! `cargo bench -p planktor-hil-tests --bench first_light [-- FRAMES]`: the twin in real time, full-size frames at JPEG quality 95, hashed
//! and synced beside the next stroke; an ordinary MQTT client over the embedded broker. Prints figures, asserts none.

#![expect(clippy::print_stdout, reason = "figures")]

use planktor_drivers::Clock;
use planktor_drivers::clock::{Computer, Monotonic, WallClock};
use planktor_drivers::disk::FileSystem;
use planktor_hil_tests::{image, light_on, update_config};
use planktor_protocol::Utc;
use planktor_runtime::client::{Client, ClientError};
use planktor_runtime::figures::{self, Parts};
use planktor_runtime::instrument::{Config, Time};
use planktor_runtime::service::{BrokerChoice, Options, Service};
use planktor_sim::{Settings, Twin};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

const IDLE: Duration = Duration::from_secs(10);
const SETTLING: Duration = Duration::from_millis(500);
const CADENCE: Duration = Duration::from_millis(100);

fn main() {
    let frames = std::env::args().filter_map(|argument| argument.parse().ok()).next().unwrap_or(30);
    let data = tempfile::TempDir::new().expect("a temporary folder");
    let up = i64::try_from(Monotonic.now().nanos() / 1_000).unwrap_or(0);
    let began = Utc::from_micros(Computer.utc().micros() - up);
    let twin = Twin::new(Arc::new(Monotonic), Settings::new(1, Settings::FULL_FRAME, began));
    let root = data.path().to_path_buf();
    let config = Config::new(Arc::new(twin.clone()), "twin", Time::Real, Box::new(FileSystem), root);
    let broker = BrokerChoice::Embedded(Box::new(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()));
    let options =
        Options { broker, gpsd: None, signals: false, say: Arc::new(|_| {}), trouble: None, web: None };
    let service = Service::start(config, options).expect("a service");

    idle();
    acquire(&service, frames).expect("an acquisition");
    report(&twin, frames);
    service.shut_down();
    service.wait().expect("a good end");
}

/// Processor time and memory of the program with its broker while nobody asks anything.
fn idle() {
    let (_wake, woken) = crossbeam_channel::bounded::<()>(0);
    let before = processor_seconds();
    let _ = woken.recv_timeout(IDLE);
    let used = processor_seconds() - before;
    println!(
        "idle: {:.2} % of one core over {} s, {} KiB resident",
        100.0 * used / IDLE.as_secs_f64(),
        IDLE.as_secs(),
        resident_kib()
    );
}

fn processor_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<_> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    // proc(5): utime and stime, in hundredths of a second, are the 14th and 15th field; the state is the third.
    let ticks = |n: usize| fields.get(n - 3).and_then(|field| field.parse::<f64>().ok()).unwrap_or(f64::NAN);
    (ticks(14) + ticks(15)) / 100.0
}

fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

fn acquire(service: &Service, frames: u32) -> Result<(), ClientError> {
    let client = Client::connect(service.broker(), "bench")?;
    for message in [light_on(), update_config("bench", frames), image(frames)] {
        let order = serde_json::from_slice(&message.payload).unwrap_or_default();
        client.request(&message.topic, order, |_| {})?;
    }
    Ok(())
}

fn report(twin: &Twin, frames: u32) {
    let truths: Vec<_> = twin.world().truths().cloned().collect();
    let parts = figures::parts(&truths, SETTLING, CADENCE);
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
