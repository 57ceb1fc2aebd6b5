//! A crowd: MQTT clients that give commands as fast as they can be given, and people who look at the live picture.

use crate::client::{Client, ClientError};
use crate::mqtt::Address;
use planktor_drivers::Clock;
use planktor_drivers::clock::Monotonic;
use planktor_protocol::Instant;
use serde_json::json;
use std::error::Error;
use std::io::{Write, copy, sink};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

const CLIENTS: usize = 64;
const VIEWERS: usize = 8;
/// When no client can take another command: until the next attempt.
const PAUSE: Duration = Duration::from_millis(1);

/// While it is there.
pub(super) struct Crowd {
    began: Instant,
    given: Arc<AtomicU64>,
    is_over: Arc<AtomicBool>,
    /// `None` when it has ended.
    flood: Option<JoinHandle<()>>,
    viewers: Vec<TcpStream>,
}

impl Crowd {
    /// It comes.
    ///
    /// # Errors
    /// Somebody is not let in.
    pub(super) fn begin(broker: &Address, page: SocketAddr) -> Result<Self, Box<dyn Error>> {
        let clients: Result<Vec<_>, _> =
            (0..CLIENTS).map(|_| Client::connect(broker, "planktor-bench-crowd")).collect();
        let clients = clients?;
        let (given, is_over) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let (count, over) = (given.clone(), is_over.clone());
        let flood = std::thread::Builder::new().name("crowd".into()).spawn(move || {
            // Who is cut off by the broker has flooded it enough.
            while !over.load(Ordering::Relaxed) && flood(&clients, &count).is_ok() {}
        })?;
        let mut crowd = Self { began: Monotonic.now(), given, is_over, flood: Some(flood), viewers: vec![] };
        for _ in 0..VIEWERS {
            crowd.viewers.push(look(page)?);
        }
        Ok(crowd)
    }

    /// What it is, for a report.
    pub(super) fn name(&self) -> String {
        let seconds = (Monotonic.now() - self.began).as_secs_f64();
        let rate = self.given.load(Ordering::Relaxed) as f64 / seconds;
        format!("in a crowd ({CLIENTS} MQTT clients with {rate:.0} commands a second, {VIEWERS} viewers)")
    }
}

/// One command of each, and whatever they have been told.
fn flood(clients: &[Client], given: &AtomicU64) -> Result<(), ClientError> {
    let mut is_full = true;
    for client in clients {
        if client.offer("planktor/health", &json!({"action": "get"}))? {
            given.fetch_add(1, Ordering::Relaxed);
            is_full = false;
        }
        client.forget()?;
    }
    if let (true, Some(client)) = (is_full, clients.first()) {
        client.next(PAUSE)?;
    }
    Ok(())
}

fn look(page: SocketAddr) -> std::io::Result<TcpStream> {
    let mut stream = TcpStream::connect(page)?;
    stream.write_all(b"GET /preview.mjpg HTTP/1.1\r\nHost: localhost\r\n\r\n")?;
    let mut pictures = stream.try_clone()?;
    std::thread::Builder::new()
        .name("viewer".into())
        .spawn(move || drop(copy(&mut pictures, &mut sink())))?;
    Ok(stream)
}

impl Drop for Crowd {
    /// It goes; viewers' threads end with their connections.
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        for viewer in &self.viewers {
            let _ = viewer.shutdown(Shutdown::Both);
        }
        if let Some(flood) = self.flood.take() {
            // A panic of that thread was reported by the panic hook.
            let _ = flood.join();
        }
    }
}
