//! What an acquisition notices of those who look at the live picture: nothing.
//!
//! `cargo bench -p planktor-hil-tests --bench viewers [-- FRAMES]`: the twin in real time, full-size frames; acquisitions without viewers and with
//! eight, one of which has stalled, in turn. Then the live picture alone. Prints figures, asserts none.

#![expect(clippy::print_stdout, reason = "figures")]

use planktor_drivers::Clock;
use planktor_drivers::clock::Monotonic;
use planktor_drivers::disk::FileSystem;
use planktor_hil_tests::bench::{acquire, twin};
use planktor_hil_tests::record;
use planktor_protocol::Instant;
use planktor_runtime::figures;
use planktor_runtime::instrument::{Config, Time};
use planktor_runtime::metrics::own_usage;
use planktor_runtime::mqtt::door::Role;
use planktor_runtime::service::{Options, Service};
use planktor_runtime::web;
use planktor_sim::Settings;
use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

const SETTLING: Duration = Duration::from_millis(500);
const ROUNDS: usize = 5;
const VIEWERS: usize = 8;
const PICTURES: Duration = Duration::from_secs(10);

fn main() {
    let frames = std::env::args().filter_map(|argument| argument.parse().ok()).next().unwrap_or(20);
    let data = tempfile::TempDir::new().expect("a temporary folder");
    let twin = twin(Settings::FULL_FRAME);
    let root = data.path().to_path_buf();
    let config = Config::new(Arc::new(twin.clone()), "twin", Time::Real, Box::new(FileSystem), root.clone());
    let here = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let access = web::Access { nameless: Some(Role::Operator), ..web::Access::default() };
    let web = Some(web::Options { listen: here, access, rtsp: None });
    let options = Options { web, ..Options::alone() };
    let service = Service::start(config, options).expect("a service");
    let page = service.page().expect("a page");

    let mut with: [Vec<figures::Parts>; 2] = Default::default();
    for round in 0..ROUNDS {
        for (viewers, parts) in [0, VIEWERS].into_iter().zip(&mut with) {
            let looking = Looking::begin(page, viewers);
            let name = format!("{viewers}-{round}");
            acquire(&service, &name, frames).expect("an acquisition");
            println!(
                "round {round}, {viewers} viewers: {} KiB resident",
                own_usage().map_or(0, |(_, resident)| resident / 1_024)
            );
            drop(looking);
            let own = exposures(&root, &name);
            let truths: Vec<_> =
                twin.world().truths().filter(|t| own.contains(&t.exposure.from)).cloned().collect();
            let in_motion = truths.iter().filter(|truth| truth.in_motion()).count();
            if truths.len() != frames as usize || in_motion > 0 {
                println!("  {} frames of {frames}, {in_motion} exposed in motion", truths.len());
            }
            parts.extend(figures::parts(&truths, SETTLING));
        }
    }
    for (viewers, parts) in [0, VIEWERS].into_iter().zip(&with) {
        report(viewers, parts);
    }
    alone(page);
    service.shut_down();
    service.wait().expect("a good end");
}

/// Viewers, of whom the first takes nothing.
struct Looking(Vec<TcpStream>);

impl Looking {
    fn begin(page: SocketAddr, viewers: usize) -> Self {
        let streams: Vec<_> = (0..viewers).map(|_| look(page)).collect();
        for stream in streams.iter().skip(1) {
            let mut stream = stream.try_clone().expect("a handle");
            std::thread::spawn(move || drop(std::io::copy(&mut stream, &mut std::io::sink())));
        }
        Self(streams)
    }
}

impl Drop for Looking {
    fn drop(&mut self) {
        for stream in &self.0 {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

fn look(page: SocketAddr) -> TcpStream {
    let mut stream = TcpStream::connect(page).expect("a page");
    stream.write_all(b"GET /preview.mjpg HTTP/1.1\r\nHost: localhost\r\n\r\n").expect("a request");
    stream
}

/// When the frames of a data set began to be exposed.
fn exposures(root: &Path, name: &str) -> Vec<Instant> {
    let lines = record(&root.join("img/2026-06-01/sample_1").join(name));
    let anchor = lines[0]["anchor"]["monotonic_ns"].as_u64().expect("an anchor");
    let from = lines.iter().filter_map(|line| line["exposure"]["from_ns"].as_u64());
    from.map(|from| Instant::from_nanos(anchor + from)).collect()
}

fn report(viewers: usize, parts: &[figures::Parts]) {
    let mut all: Vec<_> = parts.iter().map(|parts| parts.overhead.as_secs_f64() * 1e3).collect();
    all.sort_by(f64::total_cmp);
    let at = |q: usize| all.get((all.len().saturating_sub(1)) * q / 100).copied().unwrap_or_default();
    let missed: u32 = parts.iter().map(|parts| parts.missed).sum();
    println!(
        "{viewers} viewers, {} periods: overhead p10 {:.2} p50 {:.2} p90 {:.2} p99 {:.2} max {:.2} ms; frame starts missed: {missed}",
        all.len(),
        at(10),
        at(50),
        at(90),
        at(99),
        at(100)
    );
}

/// Pictures that one viewer gets when there is no acquisition.
fn alone(page: SocketAddr) {
    let mut reader = BufReader::new(look(page));
    let (mut line, mut pictures, mut bytes) = (vec![], 0_u32, 0);
    let mut begun = None;
    loop {
        line.clear();
        bytes += reader.read_until(b'\n', &mut line).expect("pictures");
        if !line.starts_with(b"Content-Length") {
            continue;
        }
        let now = Monotonic.now();
        let since = *begun.get_or_insert(now);
        if now - since > PICTURES {
            break;
        }
        pictures += 1;
    }
    println!(
        "live picture alone: {:.1} a second, {} kB each",
        f64::from(pictures) / PICTURES.as_secs_f64(),
        bytes / pictures.max(1) as usize / 1_000
    );
}
