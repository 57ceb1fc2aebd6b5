//! What is around the instrument: clock, receiver, disk, broker. Each is waited for, and not for long.

use super::{Finding, Patient};
use crate::{chrony, gpsd};
use planktor_drivers::clock::{Clock, Computer, Monotonic, WallClock};
use planktor_protocol::timekeeping::NOT_BEFORE;
use std::io::Write;
use std::path::Path;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::timeout;

/// A receiver reports once a second.
const RECEIVER: Duration = Duration::from_secs(3);
const BROKER: Duration = Duration::from_secs(3);
/// A picture of 12 megapixels.
const PICTURE: usize = 4_000_000;
const MB: u64 = 1_000_000;

pub(super) fn examine(patient: &Patient) -> Vec<Finding> {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            return vec![Finding::bad("computer", format!("no runtime: {error}"), "free some file handles")];
        }
    };
    let (tracking, position, broker) =
        runtime.block_on(async { tokio::join!(clock(patient), position(patient), broker(patient)) });
    vec![tracking, position, disk(&patient.data, patient.kept_free), broker]
}

async fn clock(patient: &Patient) -> Finding {
    const AREA: &str = "clock";
    let now = Computer.utc();
    let says = now.rfc3339();
    if now < NOT_BEFORE {
        let what = format!("the computer's clock says {says}, which cannot be");
        return Finding::bad(
            AREA,
            what,
            "install chrony, plug a receiver in, or set the clock: sudo date -s",
        );
    }
    match chrony::ask(&patient.chrony).await {
        Ok(tracking) => match tracking.error {
            Some(error) => {
                let ms = error.as_secs_f64() * 1e3;
                Finding::good(AREA, format!("{says}, kept by chrony within {ms:.1} ms"))
                    .figure("error_ms", ms)
            }
            None => Finding::notice(
                AREA,
                format!("{says}; chrony has no source"),
                "connect a network or a receiver (chrony: refclock SHM 0)",
            ),
        },
        Err(why) => {
            let advice = "install and start chrony: without it nobody knows how good the clock is";
            Finding::notice(AREA, format!("{says}; nobody vouches for it: {why}"), advice)
        }
    }
}

async fn position(patient: &Patient) -> Finding {
    const AREA: &str = "position";
    let address = &patient.gpsd;
    match gpsd::heard(address, NOT_BEFORE, RECEIVER).await {
        Ok(fix) => match fix.place {
            Some(place) => {
                let (latitude, longitude) = (place.latitude.0 as f64 / 1e9, place.longitude.0 as f64 / 1e9);
                let what = format!(
                    "gpsd at {address} knows it: {latitude:.4}, {longitude:.4} ({})",
                    place.mode.word()
                );
                Finding::good(AREA, what)
            }
            None => Finding::notice(
                AREA,
                format!("gpsd at {address} answers, but has no fix"),
                "give the antenna a view of the sky; wait some minutes",
            ),
        },
        Err(error) => Finding::notice(
            AREA,
            format!("no gpsd at {address}: {error}"),
            "install gpsd and plug a receiver in; without it no frame has a position",
        ),
    }
}

fn disk(data: &Path, kept_free: u64) -> Finding {
    const AREA: &str = "disk";
    let shown = data.display();
    let existing = data.ancestors().find(|folder| folder.exists()).unwrap_or(Path::new("/"));
    let free = match rustix::fs::statvfs(existing) {
        Ok(about) => about.f_bavail.saturating_mul(about.f_frsize),
        Err(error) => {
            return Finding::bad(AREA, format!("{shown}: {error}"), "choose another folder with --data");
        }
    };
    let synced = match synced(existing) {
        Ok(took) => took.as_secs_f64() * 1e3,
        Err(error) => {
            let what = format!("nothing can be written to {}: {error}", existing.display());
            return Finding::bad(
                AREA,
                what,
                "make the folder this user's own, or choose another with --data",
            );
        }
    };
    let frames = free.saturating_sub(kept_free) / PICTURE as u64;
    let what = format!(
        "{shown}: {} MB free, about {frames} frames; 4 MB are safe on it after {synced:.0} ms",
        free / MB
    );
    let finding = match free > kept_free {
        true => Finding::good(AREA, what),
        false => Finding::bad(
            AREA,
            format!("{shown}: {} MB free, and {} MB are kept free", free / MB, kept_free / MB),
            "free some space, or choose another disk with --data",
        ),
    };
    finding.figure("free_mb", (free / MB) as f64).figure("sync_ms", synced)
}

fn synced(folder: &Path) -> std::io::Result<Duration> {
    let mut file = tempfile::tempfile_in(folder)?;
    let began = Monotonic.now();
    file.write_all(&vec![0x5A; PICTURE])?;
    file.sync_all()?;
    Ok(Monotonic.now() - began)
}

async fn broker(patient: &Patient) -> Finding {
    const AREA: &str = "broker";
    let told = patient.broker.as_ref();
    let (host, port) = told.map_or(("127.0.0.1", 1883), |address| (address.host.as_str(), address.port));
    let answers =
        matches!(timeout(BROKER, TcpStream::connect((host.trim_matches(['[', ']']), port))).await, Ok(Ok(_)));
    match (told, answers) {
        (Some(address), true) => Finding::good(AREA, format!("{address} takes connections")),
        (Some(address), false) => {
            Finding::bad(AREA, format!("{address} takes no connection"), "check its name, and that it runs")
        }
        (None, true) => Finding::notice(
            AREA,
            "somebody listens on 127.0.0.1:1883",
            "a broker of this computer, or a running planktor; with a broker of your own: --broker localhost:1883",
        ),
        (None, false) => Finding::good(AREA, "port 1883 is free for the embedded one"),
    }
}
