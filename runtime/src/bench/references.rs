//! What the computer can do at best.

use crate::instrument::{Time, arbiter};
use actix::{Actor, AsyncContext, Context, Handler};
use actix_rt::System;
use crossbeam_channel::{Receiver, Sender, bounded};
use jpeg_encoder::{ColorType, Encoder, SamplingFactor};
use planktor_actors::alarm::{Alarms, Bell, Ticket};
use planktor_actors::journal::Journal;
use planktor_actors::port::{Mail, Port};
use planktor_actors::timing::{Distribution, Histogram, Timings};
use planktor_drivers::Clock;
use planktor_drivers::clock::Monotonic;
use planktor_drivers::scheduling;
use planktor_protocol::Instant;
use planktor_protocol::camera::Image;
use rustix::thread::{ClockId, Timespec, clock_nanosleep_absolute};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

/// Of loop and alarms.
const EVERY: Duration = Duration::from_millis(1);
/// No thread may take longer than it is asked to by this.
const PATIENCE: Duration = Duration::from_secs(30);
/// JPEG quality, as the instrument's.
const QUALITY: u8 = 95;

/// How late a thread wakes that sleeps until the next millisecond, again and again, in the priority of the hardware thread as
/// far as that is permitted.
pub(super) fn bare_loop(lasts: Duration) -> io::Result<Distribution> {
    let (done, late) = bounded(1);
    let sleep = move || {
        let _ = scheduling::real_time(scheduling::PRIORITY);
        let late = Histogram::default();
        let (begun, mut due) = (Monotonic.now(), Monotonic.now());
        while due - begun < lasts {
            due = due + EVERY;
            let then = Timespec {
                tv_sec: i64::try_from(due.nanos() / 1_000_000_000).unwrap_or(i64::MAX),
                tv_nsec: i64::try_from(due.nanos() % 1_000_000_000).unwrap_or(0),
            };
            // Woken too early by a signal is not late.
            let _ = clock_nanosleep_absolute(ClockId::Monotonic, &then);
            late.add(Monotonic.now() - due);
        }
        drop(done.send(late.read()));
    };
    std::thread::Builder::new().name("reference".into()).spawn(sleep)?;
    in_time(&late, lasts, "the bare loop")
}

/// What somebody has found out who takes so long for it.
fn in_time<T>(found: &Receiver<T>, lasts: Duration, who: &str) -> io::Result<T> {
    let late = |_| {
        let s = (lasts + PATIENCE).as_secs();
        io::Error::other(format!("{who} did not end within {s} s; has this computer too much else to do?"))
    };
    found.recv_timeout(lasts + PATIENCE).map_err(late)
}

/// The same by another program, cyclictest, where it is installed and may have that priority; where not, of nothing.
pub(super) fn cyclictest(lasts: Duration) -> io::Result<Distribution> {
    let mut other = Command::new("cyclictest");
    other.args(["--quiet", "--default-system", "--threads=1", "--histfile=/dev/null", "--json=/dev/stdout"]);
    other.arg(format!("--priority={}", scheduling::PRIORITY));
    other.arg(format!("--interval={}", EVERY.as_micros()));
    other.arg(format!("--loops={}", lasts.as_micros() / EVERY.as_micros()));
    // Up to a second, in microseconds.
    other.arg("--histogram=1000000").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let other = match other.spawn() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Distribution::default()),
        other => other?,
    };
    let (done, ended) = bounded(1);
    let wait = move || drop(done.send(other.wait_with_output()));
    std::thread::Builder::new().name("cyclictest".into()).spawn(wait)?;
    let output = in_time(&ended, lasts, "cyclictest")??;
    match output.status.success() {
        true => late(&output.stdout),
        false => Ok(Distribution::default()),
    }
}

/// What cyclictest says of its only thread: how many times it was so many microseconds late.
fn late(json: &[u8]) -> io::Result<Distribution> {
    #[derive(Deserialize)]
    struct Said {
        thread: BTreeMap<String, Thread>,
    }
    #[derive(Deserialize)]
    struct Thread {
        histogram: BTreeMap<String, u32>,
    }
    let said: Said = serde_json::from_slice(json)?;
    let late = Histogram::default();
    for (us, times) in said.thread.values().flat_map(|thread| &thread.histogram) {
        let us = us.parse().map_err(io::Error::other)?;
        (0..*times).for_each(|_| late.add(Duration::from_micros(us)));
    }
    Ok(late.read())
}

/// How late an actor is told that has an alarm every millisecond, on an arbiter as the hardware thread is one.
pub(super) fn alarms(lasts: Duration) -> io::Result<Distribution> {
    let (done, late) = bounded(1);
    let _system = System::new();
    let arbiter = arbiter(&Time::Real);
    arbiter.spawn_fn(move || {
        let _ = scheduling::real_time(scheduling::PRIORITY);
        if Alarms::start_real(Journal::default(), Timings::default()).is_ok() {
            Ticker::create(|ctx| {
                let bell = Alarms::here().bell(Port::of(&ctx.address()));
                let begun = bell.now();
                bell.at(begun + EVERY);
                Ticker { bell, due: begun + EVERY, until: begun + lasts, late: Histogram::default(), done }
            });
        }
    });
    let late = in_time(&late, lasts, "the loop of alarms");
    arbiter.stop();
    // A panic of that thread was reported by the panic hook.
    let _ = arbiter.join();
    late
}

struct Ticker {
    bell: Bell,
    due: Instant,
    until: Instant,
    late: Histogram,
    done: Sender<Distribution>,
}

impl Actor for Ticker {
    type Context = Context<Self>;
}

impl Handler<Mail<Ticket>> for Ticker {
    type Result = ();

    fn handle(&mut self, _: Mail<Ticket>, _: &mut Context<Self>) {
        self.late.add(self.bell.now() - self.due);
        if self.due < self.until {
            self.due = self.due + EVERY;
            self.bell.at(self.due);
        } else {
            // Whoever asked may have given up.
            let _ = self.done.try_send(self.late.read());
        }
    }
}

/// Processor time that the host of this virtual machine has given to others since it started, of all cores together, s. No
/// program in it can be on time meanwhile. 0 of a computer that has no host.
pub(super) fn stolen() -> io::Result<f64> {
    let stat = std::fs::read_to_string("/proc/stat")?;
    // The first line counts all cores: "cpu", and ticks; the eighth of them are these (proc_stat(5)).
    let ticks = stat.lines().next().and_then(|all| all.split_whitespace().nth(8)?.parse::<u64>().ok());
    let ticks = ticks.ok_or_else(|| io::Error::other("/proc/stat does not count what a host took"))?;
    Ok(ticks as f64 / rustix::param::clock_ticks_per_second() as f64)
}

/// A frame through the encoder alone.
pub(super) fn bare_encoder(image: &Image, times: u32) -> io::Result<Distribution> {
    let took = Histogram::default();
    for _ in 0..times {
        let begun = Monotonic.now();
        let (mut jpeg, side) = (Vec::new(), |side: u32| u16::try_from(side).unwrap_or(u16::MAX));
        let mut encoder = Encoder::new(&mut jpeg, QUALITY);
        encoder.set_sampling_factor(SamplingFactor::R_4_2_0);
        let encoded = encoder.encode(&image.rgb, side(image.width), side(image.height), ColorType::Rgb);
        encoded.map_err(io::Error::other)?;
        took.add(Monotonic.now() - begun);
    }
    Ok(took.read())
}

/// A file written and synced, as large as a frame's.
pub(super) fn bare_write(folder: &Path, times: u32) -> io::Result<Distribution> {
    let (took, bytes) = (Histogram::default(), vec![0x5A; 4_000_000]);
    for _ in 0..times {
        let begun = Monotonic.now();
        let mut file = tempfile::NamedTempFile::new_in(folder)?;
        file.write_all(&bytes)?;
        file.as_file().sync_all()?;
        took.add(Monotonic.now() - begun);
    }
    Ok(took.read())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cyclictest_says_is_read() {
        let json = br#"{"num_threads": 1, "thread": {"0": {"histogram": {"8": 3, "161": 1}, "cycles": 4, "max": 161}}}"#;
        let late = late(json).unwrap();
        assert_eq!(
            (late.count(), late.most, late.sum),
            (4, Duration::from_micros(161), Duration::from_micros(185))
        );
        assert!(super::late(b"# Histogram").is_err());
    }
}
