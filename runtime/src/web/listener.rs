//! Takes connections, within limits: so many at all, so many from one address, so long for a request's head, and none that
//! takes nothing any more. Whoever is beyond them is turned away at once, and nobody else notices.

use super::site::Site;
use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use rustix::net::sockopt::set_tcp_user_timeout;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tower::ServiceExt;

/// Connections at the same time. A page has three.
const MOST: usize = 256;
/// Of one address: a few pages, or everybody behind a proxy.
const MOST_FROM_ONE: usize = 96;
/// A request's head, and the wait for the next one on the same connection.
const HEAD_WITHIN: Duration = Duration::from_secs(5);
/// A viewer who takes no byte for so long is gone.
const STALLED: Duration = Duration::from_secs(30);
/// Headers that a request may have, and bytes of them.
const MOST_HEADERS: usize = 64;
const HEAD_BYTES: usize = 32 << 10;
/// When the system has no more connections for us.
const AFTER_FAILURE: Duration = Duration::from_millis(100);

/// From where a request comes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Peer(pub(super) IpAddr);

#[derive(Default)]
struct Counts {
    all: AtomicUsize,
    from: Mutex<BTreeMap<IpAddr, usize>>,
}

/// One connection; counted until it is dropped.
struct Counted {
    counts: Arc<Counts>,
    site: Arc<Site>,
    peer: IpAddr,
}

impl Counted {
    fn new(counts: &Arc<Counts>, site: &Arc<Site>, peer: IpAddr) -> Option<Self> {
        let mut from = counts.from.lock().unwrap_or_else(PoisonError::into_inner);
        let ours = from.entry(peer).or_default();
        if counts.all.load(Ordering::Relaxed) >= MOST || *ours >= MOST_FROM_ONE {
            if *ours == 0 {
                from.remove(&peer);
            }
            return None;
        }
        *ours += 1;
        let all = counts.all.fetch_add(1, Ordering::Relaxed) + 1;
        site.connections.store(all, Ordering::Relaxed);
        Some(Self { counts: counts.clone(), site: site.clone(), peer })
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let mut from = self.counts.from.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(ours) = from.get_mut(&self.peer) {
            *ours -= 1;
            if *ours == 0 {
                from.remove(&self.peer);
            }
        }
        let all = self.counts.all.fetch_sub(1, Ordering::Relaxed) - 1;
        self.site.connections.store(all, Ordering::Relaxed);
    }
}

/// For ever.
pub(super) async fn serve(listener: TcpListener, router: Router, site: Arc<Site>) {
    let counts = Arc::new(Counts::default());
    loop {
        let Ok((stream, peer)) = listener.accept().await else {
            tokio::time::sleep(AFTER_FAILURE).await;
            continue;
        };
        match Counted::new(&counts, &site, peer.ip()) {
            Some(counted) => drop(tokio::spawn(connection(stream, router.clone(), counted))),
            None => site.metrics.turned_away(),
        }
    }
}

async fn connection(stream: TcpStream, router: Router, counted: Counted) {
    // Without them it works, only later.
    let _ = stream.set_nodelay(true);
    let _ = set_tcp_user_timeout(&stream, u32::try_from(STALLED.as_millis()).unwrap_or(u32::MAX));
    let peer = Peer(counted.peer);
    let service = hyper::service::service_fn(move |mut request: Request<hyper::body::Incoming>| {
        request.extensions_mut().insert(peer);
        router.clone().oneshot(request.map(Body::new))
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_WITHIN)
        .max_headers(MOST_HEADERS)
        .max_buf_size(HEAD_BYTES)
        .serve_connection(TokioIo::new(stream), service);
    // Whoever breaks off has gone.
    let _ = served.await;
}
