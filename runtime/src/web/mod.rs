//! The page, the live picture and the HTTP API, on a thread of their own: whatever happens here, the instrument does not
//! notice.
//!
//! Commands and statuses are those of the MQTT contract; they go through the same gateway, so they are read, refused,
//! answered and journalled alike.
//!
//! ```text
//!   listener ── api (the list of addresses) ──┬── commands, events ── asks ──> the gateway's thread
//!                 └ door (who may)             ├── view ── eyepiece <── frames ── camera
//!                                             ├── datasets ── root (openat2)
//!                                             └── page (files in the program)
//! ```

mod api;
mod archive;
mod commands;
mod datasets;
pub mod door;
mod events;
mod hub;
mod listener;
mod openapi;
mod page;
mod refusal;
mod root;
mod route;
mod rtsp;
mod site;
mod view;

pub use api::file;
pub use door::Access;
pub use hub::Hub;
pub use site::{Ask, Identity};

use crate::eyepiece::Eyepiece;
use crate::metrics::Metrics;
use door::Door;
use root::Root;
use serde_json::json;
use site::Site;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::{Notify, mpsc};
use tokio::time::timeout;

/// What was begun when the program ends may take so long.
const END_LIMIT: Duration = Duration::from_secs(1);
/// The camera streams for so long without being told again that somebody looks; it is told when half of that is over.
const WATCHED_S: u32 = 40;
/// A camera that is away is asked for again.
const SOON: Duration = Duration::from_secs(5);
/// A viewer who changes what he looks at is gone for a moment.
const GONE_FOR: Duration = Duration::from_secs(2);

/// Where it is served, and for whom.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where; port 0 means any free one.
    pub listen: SocketAddr,
    /// Whom it lets in.
    pub access: Access,
    /// An RTSP server that gets the live picture as well.
    pub rtsp: Option<String>,
}

/// Why it cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum WebError {
    /// It cannot listen there.
    #[error(
        "the page cannot be served on {address}: {cause}; choose another address with --http, or none with --http off"
    )]
    Listen {
        /// Where.
        address: SocketAddr,
        /// Why.
        cause: io::Error,
    },
    /// The data cannot be opened.
    #[error("the data folder {} cannot be opened: {cause}; check it", path.display())]
    Data {
        /// Which.
        path: PathBuf,
        /// Why.
        cause: io::Error,
    },
    /// No threads.
    #[error("the page cannot have a thread: {0}; free memory or raise the limit of threads")]
    Thread(io::Error),
}

/// What the page is wired to.
pub struct Wiring {
    /// What the instrument says.
    pub hub: Hub,
    /// Questions to it.
    pub asks: mpsc::Sender<Ask>,
    /// What its camera sees.
    pub eyepiece: Eyepiece,
    /// What is counted.
    pub metrics: Metrics,
    /// Where its data are.
    pub data: PathBuf,
    /// Who it is.
    pub identity: Identity,
}

/// How many questions may wait.
pub fn asks() -> (mpsc::Sender<Ask>, mpsc::Receiver<Ask>) {
    mpsc::channel(site::ASKS)
}

/// A running server; it ends when this is dropped.
#[derive(Debug)]
pub struct Web {
    address: SocketAddr,
    end: Arc<Notify>,
    thread: Option<JoinHandle<()>>,
}

impl Web {
    /// Starts it; it accepts connections when this returns.
    ///
    /// # Errors
    /// What cannot be had, and what to do.
    pub fn start(options: Options, wiring: Wiring) -> Result<Self, WebError> {
        let failed = |cause| WebError::Listen { address: options.listen, cause };
        let listener = std::net::TcpListener::bind(options.listen).map_err(failed)?;
        listener.set_nonblocking(true).map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let Wiring { hub, asks, eyepiece, metrics, data, identity } = wiring;
        let root = Root::open(&data).map_err(|cause| WebError::Data { path: data, cause })?;
        let door = Door::new(options.access);
        let site = Arc::new(Site::new(hub, asks, eyepiece, metrics, door, root, identity));
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().max_blocking_threads(8).build();
        let runtime = runtime.map_err(WebError::Thread)?;
        let end = Arc::new(Notify::new());
        let (ended, rtsp) = (end.clone(), options.rtsp);
        let thread = std::thread::Builder::new().name("web".into()).spawn(move || {
            runtime.block_on(async {
                let listener = match tokio::net::TcpListener::from_std(listener) {
                    Ok(listener) => listener,
                    Err(why) => return site.hub.log(&format!("the page is not served: {why}")),
                };
                tokio::select! {
                    () = listener::serve(listener, api::router(&site), site.clone()) => {}
                    () = say_who_looks(&site) => {}
                    () = push(&site, rtsp) => {}
                    () = ended.notified() => {}
                }
            });
            runtime.shutdown_timeout(END_LIMIT);
        });
        Ok(Self { address, end, thread: Some(thread.map_err(WebError::Thread)?) })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Web {
    fn drop(&mut self) {
        self.end.notify_one();
        if let Some(thread) = self.thread.take() {
            // A panic of that thread was reported by the panic hook; there is nothing left to stop.
            let _ = thread.join();
        }
    }
}

/// Tells the instrument while somebody looks, again and again, so that its camera does not stream for nobody should this
/// thread die.
async fn say_who_looks(site: &Site) {
    let mut viewers = site.eyepiece.viewers();
    loop {
        // The eyepiece outlives this.
        let _ = viewers.wait_for(|viewers| *viewers > 0).await;
        let told = watch(site, WATCHED_S).await;
        let again = if told { Duration::from_secs(u64::from(WATCHED_S) / 2) } else { SOON };
        let gone = timeout(again, async {
            loop {
                let _ = viewers.wait_for(|viewers| *viewers == 0).await;
                if timeout(GONE_FOR, viewers.wait_for(|viewers| *viewers > 0)).await.is_err() {
                    return;
                }
            }
        });
        if gone.await.is_ok() {
            watch(site, 0).await;
        }
    }
}

/// Whether it was taken: a camera that is away is said on its topic.
async fn watch(site: &Site, seconds: u32) -> bool {
    let order = json!({"action": "watch", "seconds": seconds});
    site.ask("planktor/preview", &order).await.is_ok()
}

async fn push(site: &Site, url: Option<String>) {
    match url {
        Some(url) => rtsp::push(&url, &site.eyepiece, |line| site.hub.log(line)).await,
        None => std::future::pending().await,
    }
}
