//! The embedded MQTT broker: it runs on a thread of its own, for MQTT 3.1.1 and 5 on one port.
//!
//! It never writes to a disk: retained messages and sessions end with it. It never asks who a client is. It knows
//! nothing of the program's topics: the program talks to it over TCP, like to any other broker.

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener};
use std::pin::pin;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use mqtt5::broker::config::{BrokerConfig, StorageBackend, StorageConfig};
use mqtt5::broker::{BrokerShutdownHandle, MqttBroker};

use crate::mqtt::message::LARGEST_PACKET;

/// How long [`Broker::start`] waits for the broker's thread.
const START_LIMIT: Duration = Duration::from_secs(10);
/// How long the runtime may take to end after the broker, which itself drains connections for at most 5 seconds.
const END_LIMIT: Duration = Duration::from_secs(1);

const CLIENTS: usize = 256;
const RETAINED_MESSAGES: usize = 4096;
/// How long the session of an absent client is kept.
const SESSION_EXPIRY: Duration = Duration::from_secs(3600);
/// What is kept for one client that is absent or slow.
const QUEUED_MESSAGES: usize = 1024;
const QUEUED_BYTES: usize = 4 << 20;

/// Why the broker did not start.
#[derive(Debug, thiserror::Error)]
pub enum BrokerError {
    /// Another program listens there.
    #[error(
        "the MQTT broker cannot listen on {address}: the address is in use; stop the other broker, or connect to it instead of starting one"
    )]
    AddressInUse {
        /// Where the broker was to listen.
        address: SocketAddr,
    },
    /// The operating system does not let the broker listen there.
    #[error(
        "the MQTT broker cannot listen on {address}: {cause}; choose an address of this computer and a port above 1023"
    )]
    Listen {
        /// Where the broker was to listen.
        address: SocketAddr,
        /// What the operating system says.
        cause: std::io::Error,
    },
    /// The thread or its runtime could not be created.
    #[error("the MQTT broker cannot have a thread: {0}; free memory or raise the limit of threads")]
    Thread(std::io::Error),
    /// The broker itself failed.
    #[error("the MQTT broker on {address} ended at its start: {cause}; please report this")]
    Failed {
        /// Where the broker was to listen.
        address: SocketAddr,
        /// What the broker says.
        cause: String,
    },
    /// The broker did not start in time.
    #[error(
        "the MQTT broker on {address} was not ready after {START_LIMIT:?}; the computer is overloaded: try again"
    )]
    NotReady {
        /// Where the broker was to listen.
        address: SocketAddr,
    },
}

/// A running broker; it stops when this is dropped.
#[derive(Debug)]
pub struct Broker {
    running: Running,
    thread: Option<JoinHandle<()>>,
}

struct Running {
    address: SocketAddr,
    stop: BrokerShutdownHandle,
}

type Started = SyncSender<Result<Running, BrokerError>>;

impl Broker {
    /// Starts a broker that listens on `listen`; port 0 means any free port. It accepts clients when this returns.
    ///
    /// # Errors
    ///
    /// Says why the broker cannot listen there.
    pub fn start(listen: SocketAddr) -> Result<Self, BrokerError> {
        let (started, start) = sync_channel(1);
        let thread = Builder::new()
            .name("mqtt-broker".into())
            .spawn(move || run_thread(listen, &started))
            .map_err(BrokerError::Thread)?;
        let running =
            start.recv_timeout(START_LIMIT).map_err(|_| BrokerError::NotReady { address: listen })??;
        Ok(Self { running, thread: Some(thread) })
    }

    /// Where the broker listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.running.address
    }

    /// Stops the broker: clients are told, the port is free afterwards. Dropping does the same.
    pub fn shutdown(self) {}
}

impl Drop for Broker {
    fn drop(&mut self) {
        self.running.stop.shutdown();
        if let Some(thread) = self.thread.take() {
            // A panic of that thread was reported by the panic hook; there is nothing left to stop.
            let _ = thread.join();
        }
    }
}

impl std::fmt::Debug for Running {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.address.fmt(f)
    }
}

fn run_thread(listen: SocketAddr, started: &Started) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let outcome = match runtime {
        Ok(runtime) => {
            let outcome = runtime.block_on(run(listen, started));
            runtime.shutdown_timeout(END_LIMIT);
            outcome
        }
        Err(cause) => Err(BrokerError::Thread(cause)),
    };
    if let Err(error) = outcome {
        // Nobody listens any more if the start took longer than its limit.
        let _ = started.send(Err(error));
    }
}

async fn run(listen: SocketAddr, started: &Started) -> Result<(), BrokerError> {
    let mut broker =
        MqttBroker::with_config(config(listen)).await.map_err(|error| explain(listen, &error))?;
    let running = Running { address: broker.local_addr().unwrap_or(listen), stop: broker.shutdown_handle() };
    let mut ready = broker.ready_receiver();
    let mut run = pin!(broker.run());

    // A stop signal before the broker is ready would be lost: report the start only afterwards.
    tokio::select! {
        ended = &mut run => return ended.map_err(|error| failed(listen, &error)),
        _ = ready.wait_for(|ready| *ready) => {}
    }
    if started.send(Ok(running)).is_err() {
        return Ok(());
    }
    run.await.map_err(|error| failed(listen, &error))
}

fn config(listen: SocketAddr) -> BrokerConfig {
    let storage = StorageConfig::new()
        .with_backend(StorageBackend::Memory)
        .with_max_queued_messages_per_client(QUEUED_MESSAGES)
        .with_max_queued_bytes_per_client(QUEUED_BYTES);
    let mut config = BrokerConfig::new()
        .with_bind_address(listen)
        .with_max_clients(CLIENTS)
        .with_max_packet_size(LARGEST_PACKET)
        .with_max_retained_messages(RETAINED_MESSAGES)
        .with_session_expiry(SESSION_EXPIRY)
        .with_sys_topics_enabled(false)
        .with_storage(storage);
    config.client_channel_capacity = QUEUED_MESSAGES;
    config
}

/// The broker says why it cannot listen in prose only: listening once more tells the kind of the error.
fn explain(address: SocketAddr, error: &mqtt5::MqttError) -> BrokerError {
    match TcpListener::bind(address) {
        Err(cause) if cause.kind() == ErrorKind::AddrInUse => BrokerError::AddressInUse { address },
        Err(cause) => BrokerError::Listen { address, cause },
        Ok(_) => failed(address, error),
    }
}

fn failed(address: SocketAddr, error: &mqtt5::MqttError) -> BrokerError {
    BrokerError::Failed { address, cause: error.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn loopback() -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], 0))
    }

    #[test]
    fn an_occupied_address_is_named() {
        let first = Broker::start(loopback()).unwrap();
        let error = Broker::start(first.address()).unwrap_err();
        assert!(matches!(error, BrokerError::AddressInUse { address } if address == first.address()));
        assert!(error.to_string().contains(&first.address().to_string()));
    }

    #[test]
    fn an_address_of_another_computer_is_refused() {
        let elsewhere = SocketAddr::from(([192, 0, 2, 1], 0));
        let error = Broker::start(elsewhere).unwrap_err();
        assert!(matches!(error, BrokerError::Listen { address, .. } if address == elsewhere));
    }

    #[test]
    fn the_port_is_free_after_shutdown() {
        let broker = Broker::start(loopback()).unwrap();
        let address = broker.address();
        broker.shutdown();
        assert_eq!(Broker::start(address).unwrap().address(), address);
    }
}
