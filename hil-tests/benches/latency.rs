//! How long a command takes: from the gateway's reading to the first write on the motor's bus, and from the client's
//! command to the status that answers it, beside a bare publish-echo over the same broker in the same run, in turn.
//!
//! `cargo bench -p planktor-hil-tests --bench latency [-- ROUNDS]`: the twin in real time, the embedded broker, an ordinary client. The journal
//! is on, because it says when the gateway read a message. Prints figures, asserts none.

#![expect(clippy::print_stdout, reason = "figures")]

use planktor_actors::journal::{Journal, Kind};
use planktor_drivers::Clock;
use planktor_drivers::clock::Monotonic;
use planktor_drivers::disk::FileSystem;
use planktor_hil_tests::bench::twin;
use planktor_hil_tests::meddled::{Meddled, changed, send};
use planktor_protocol::{Axis, Instant};
use planktor_runtime::client::{Client, ClientError};
use planktor_runtime::instrument::{Config, Time};
use planktor_runtime::service::{Options, Service};
use planktor_sim::Settings;
use serde_json::{Value, json};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// When the pump's chip was written to.
static WRITES: Mutex<Vec<Instant>> = Mutex::new(Vec::new());

fn writes() -> std::sync::MutexGuard<'static, Vec<Instant>> {
    WRITES.lock().unwrap_or_else(PoisonError::into_inner)
}

fn main() {
    let rounds = std::env::args().filter_map(|argument| argument.parse().ok()).next().unwrap_or(300);
    let data = tempfile::TempDir::new().expect("a temporary folder");
    let twin = twin(Settings::SMALL_FRAME);
    let board = Meddled {
        meddle: |spi, axis| match axis {
            Axis::Focus => spi,
            Axis::Pump => changed(spi, |spi, datagram| {
                // The first bit says that it is a write.
                if datagram[0] & 0x80 != 0 {
                    writes().push(Monotonic.now());
                }
                send(spi, datagram);
            }),
        },
        ..Meddled::of(Arc::new(twin))
    };
    let journal = Journal::kept();
    let root = data.path().to_path_buf();
    let config = Config {
        journal: journal.clone(),
        ..Config::new(Arc::new(board), "twin", Time::Real, Box::new(FileSystem), root)
    };
    let service = Service::start(config, Options::alone()).expect("a service");
    let client = Client::connect(service.broker(), "latency").expect("a client");
    let (mut echoes, mut reports, mut strokes) = (vec![], vec![], vec![]);
    writes().clear();
    for _ in 0..rounds {
        let sent = Monotonic.now();
        client.kept().expect("an echo");
        echoes.push(Monotonic.now() - sent);
        reports.push(status(
            &client,
            "led-operating-time",
            &json!({"action": "get"}),
            "status/led-operating-time",
        ));
        let stroke = json!({"action": "move", "direction": "FORWARD", "volume": 0.0005, "flowrate": 3});
        strokes.push(status(&client, "actuator/pump", &stroke, "status/pump"));
        until(&client, "status/pump", |said| said["status"] == "Idle").expect("an end");
    }
    let reads =
        journal.lines().into_iter().filter(|line| line.kind == Kind::In && line.what.contains("FORWARD"));
    let bus: Vec<_> = {
        let writes = writes();
        reads.filter_map(|read| Some(*writes.iter().find(|write| **write >= read.at)? - read.at)).collect()
    };
    drop(client);
    service.shut_down();
    service.wait().expect("a good end");

    let echo = show("bare publish-echo", &mut echoes);
    let report = show("command to status, without hardware", &mut reports);
    let stroke = show("stroke to Started (with its writes to the chip)", &mut strokes);
    show("read by the gateway to first write on the bus", &mut bus.clone());
    let above = |median: Duration| (median.as_secs_f64() - echo.as_secs_f64()) * 1e3;
    println!("above the echo, medians: status {:.3} ms, Started {:.3} ms", above(report), above(stroke));
}

/// Sends a command and waits for its status; how long that took.
fn status(client: &Client, topic: &str, command: &Value, answered: &str) -> Duration {
    let sent = Monotonic.now();
    client.send(topic, command).expect("room in the outbox");
    until(client, answered, |_| true).expect("a status");
    Monotonic.now() - sent
}

fn until(client: &Client, topic: &str, is_it: impl Fn(&Value) -> bool) -> Result<(), ClientError> {
    loop {
        let said = client.next(Some(Duration::from_secs(10)))?;
        if said.is_some_and(|said| said.topic == topic && is_it(&said.payload)) {
            return Ok(());
        }
    }
}

/// Prints median and tails; gives the median.
fn show(name: &str, times: &mut [Duration]) -> Duration {
    times.sort_unstable();
    let at = |part: f64| {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "an index")]
        let index = (part * (times.len().max(1) - 1) as f64) as usize;
        times.get(index).copied().unwrap_or_default()
    };
    let ms = |part| at(part).as_secs_f64() * 1e3;
    println!(
        "{name:<50} median {:.3} ms, p90 {:.3} ms, p99 {:.3} ms, n {}",
        ms(0.5),
        ms(0.9),
        ms(0.99),
        times.len()
    );
    at(0.5)
}
