//! The embedded MQTT broker: it runs on a thread of its own, for MQTT 3.1.1 and 5 on one port; over websockets and TLS on
//! others.
//!
//! It never writes to a disk: retained messages and sessions end with it. The program talks to it over TCP, like to any
//! other broker.

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use mqtt5::broker::config::{BrokerConfig, StorageBackend, StorageConfig, TlsConfig, WebSocketConfig};
use mqtt5::broker::{BrokerShutdownHandle, MqttBroker};

use crate::mqtt::Login;
use crate::mqtt::door::{Doorkeeper, Users};
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

/// Where the broker listens, and whom it lets in.
#[derive(Clone, Debug)]
pub struct Listen {
    /// For MQTT over TCP; port 0 means any free one.
    pub mqtt: SocketAddr,
    /// For MQTT over websockets, on the path `/`.
    pub websockets: Option<SocketAddr>,
    /// For MQTT over TLS.
    pub tls: Option<Tls>,
    /// Who may come in, and how the program itself does; without it, everybody.
    pub door: Option<(Users, Login)>,
}

/// An address for TLS.
#[derive(Clone, Debug)]
pub struct Tls {
    /// Where.
    pub address: SocketAddr,
    /// The certificate, and those above it (PEM).
    pub certificate: PathBuf,
    /// Its key (PEM).
    pub key: PathBuf,
}

impl From<SocketAddr> for Listen {
    /// For everybody, without websockets and TLS.
    fn from(mqtt: SocketAddr) -> Self {
        Self { mqtt, websockets: None, tls: None, door: None }
    }
}

impl Listen {
    fn addresses(&self) -> impl Iterator<Item = SocketAddr> + '_ {
        [Some(self.mqtt), self.websockets, self.tls.as_ref().map(|tls| tls.address)].into_iter().flatten()
    }
}

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
    websockets: Option<SocketAddr>,
    tls: Option<SocketAddr>,
    stop: BrokerShutdownHandle,
}

type Started = SyncSender<Result<Running, BrokerError>>;

impl Broker {
    /// Starts a broker; port 0 means any free port. It accepts clients when this returns.
    ///
    /// # Errors
    ///
    /// Says why the broker cannot listen there.
    pub fn start(listen: impl Into<Listen>) -> Result<Self, BrokerError> {
        let listen = listen.into();
        let address = listen.mqtt;
        let (started, start) = sync_channel(1);
        let thread = Builder::new()
            .name("mqtt-broker".into())
            .spawn(move || run_thread(&listen, &started))
            .map_err(BrokerError::Thread)?;
        let running = start.recv_timeout(START_LIMIT).map_err(|_| BrokerError::NotReady { address })??;
        Ok(Self { running, thread: Some(thread) })
    }

    /// Where the broker listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.running.address
    }

    /// Where it listens for websockets.
    #[must_use]
    pub fn websockets(&self) -> Option<SocketAddr> {
        self.running.websockets
    }

    /// Where it listens for TLS.
    #[must_use]
    pub fn tls(&self) -> Option<SocketAddr> {
        self.running.tls
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

fn run_thread(listen: &Listen, started: &Started) {
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

async fn run(listen: &Listen, started: &Started) -> Result<(), BrokerError> {
    let mut broker =
        MqttBroker::with_config(config(listen)).await.map_err(|error| explain(listen, &error))?;
    if let Some((users, own)) = &listen.door {
        broker = broker.with_auth_provider(Arc::new(Doorkeeper::new(users.clone(), own.clone())));
    }
    let running = Running {
        address: broker.local_addr().unwrap_or(listen.mqtt),
        websockets: broker.ws_local_addr(),
        tls: broker.tls_local_addr(),
        stop: broker.shutdown_handle(),
    };
    let mut ready = broker.ready_receiver();
    let mut run = pin!(broker.run());

    // A stop signal before the broker is ready would be lost: report the start only afterwards.
    tokio::select! {
        ended = &mut run => return ended.map_err(|error| failed(listen.mqtt, &error)),
        _ = ready.wait_for(|ready| *ready) => {}
    }
    if started.send(Ok(running)).is_err() {
        return Ok(());
    }
    run.await.map_err(|error| failed(listen.mqtt, &error))
}

fn config(listen: &Listen) -> BrokerConfig {
    let storage = StorageConfig::new()
        .with_backend(StorageBackend::Memory)
        .with_max_queued_messages_per_client(QUEUED_MESSAGES)
        .with_max_queued_bytes_per_client(QUEUED_BYTES);
    let mut config = BrokerConfig::new()
        .with_bind_address(listen.mqtt)
        .with_max_clients(CLIENTS)
        .with_max_packet_size(LARGEST_PACKET)
        .with_max_retained_messages(RETAINED_MESSAGES)
        .with_session_expiry(SESSION_EXPIRY)
        .with_sys_topics_enabled(false)
        .with_storage(storage);
    config.client_channel_capacity = QUEUED_MESSAGES;
    if let Some(address) = listen.websockets {
        config = config.with_websocket(WebSocketConfig::new().with_bind_address(address).with_path("/"));
    }
    if let Some(Tls { address, certificate, key }) = &listen.tls {
        let tls = TlsConfig::new(certificate.clone(), key.clone()).with_bind_address(*address);
        config = config.with_tls(tls);
    }
    config
}

/// The broker says why it cannot listen in prose only: listening once more tells the kind of the error.
fn explain(listen: &Listen, error: &mqtt5::MqttError) -> BrokerError {
    let refused = |address| match TcpListener::bind(address) {
        Err(cause) if cause.kind() == ErrorKind::AddrInUse => Some(BrokerError::AddressInUse { address }),
        Err(cause) => Some(BrokerError::Listen { address, cause }),
        Ok(_) => None,
    };
    listen.addresses().find_map(refused).unwrap_or_else(|| failed(listen.mqtt, error))
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
