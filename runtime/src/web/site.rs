//! What every request can reach: the instrument by messages, what it said, its pictures and its data.

use super::door::Door;
use super::hub::Hub;
use super::refusal::Refusal;
use super::root::Root;
use crate::eyepiece::Eyepiece;
use crate::gateway::Answered;
use crate::metrics::{Metrics, Reading};
use crate::mqtt::Message;
use axum::body::Bytes;
use planktor_protocol::Instant;
use planktor_protocol::wire;
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::time::timeout;

/// Questions that may wait for the thread that has the gateway.
pub(super) const ASKS: usize = 64;
/// Of those, kept free for stops.
const FOR_STOPS: usize = 16;
/// The instrument says what it knows at once.
const SOON: Duration = Duration::from_secs(5);
/// Bytes of thumbnails that are kept: some five hundred.
const THUMBNAILS: usize = 16 << 20;

/// A question to the thread that has the gateway.
#[derive(Debug)]
pub enum Ask {
    /// A command.
    Command {
        /// Topic and payload.
        message: Message,
        /// Where the answer goes.
        answer: oneshot::Sender<Answered>,
    },
    /// What can be read there: queues, losses, the broker.
    Reading(oneshot::Sender<Reading>),
}

/// Who this is.
#[derive(Clone, Debug)]
pub struct Identity {
    /// The board's name; `twin` if it is simulated.
    pub board: &'static str,
    /// The machine's name.
    pub name: Arc<str>,
    /// When the program began.
    pub began: Instant,
    /// Differs from start to start.
    pub boot: String,
}

/// All of it.
pub(super) struct Site {
    pub(super) hub: Hub,
    pub(super) asks: mpsc::Sender<Ask>,
    pub(super) eyepiece: Eyepiece,
    pub(super) metrics: Metrics,
    pub(super) door: Door,
    pub(super) root: Root,
    pub(super) identity: Identity,
    pub(super) connections: AtomicUsize,
    /// What reads whole frames as fast as it can: decoding, checking.
    pub(super) heavy: Arc<Semaphore>,
    /// What reads them as fast as a client takes them.
    pub(super) zips: Semaphore,
    thumbnails: Mutex<VecDeque<(PathBuf, Bytes)>>,
}

/// So much of each at the same time.
const HEAVY: usize = 2;

impl Site {
    pub(super) fn new(
        hub: Hub,
        asks: mpsc::Sender<Ask>,
        eyepiece: Eyepiece,
        metrics: Metrics,
        door: Door,
        root: Root,
        identity: Identity,
    ) -> Self {
        let connections = AtomicUsize::new(0);
        let (heavy, zips) = (Arc::new(Semaphore::new(HEAVY)), Semaphore::new(HEAVY));
        let thumbnails = Mutex::default();
        Self { hub, asks, eyepiece, metrics, door, root, identity, connections, heavy, zips, thumbnails }
    }

    /// Gives a command, and waits for its answer for so long. `None`: it is under way.
    ///
    /// # Errors
    /// Too much is asked at once, or the program ends.
    pub(super) async fn command(
        &self,
        topic: &str,
        payload: Vec<u8>,
        patience: Duration,
    ) -> Result<Option<Answered>, Refusal> {
        let stops = || wire::read(topic, &payload).is_ok_and(|request| !request.command.stops().is_empty());
        if self.asks.capacity() <= FOR_STOPS && !stops() {
            return Err(Refusal::busy("too many requests wait for the instrument; send them one at a time"));
        }
        let (answer, answered) = oneshot::channel();
        let message = Message { topic: topic.into(), payload, ..Message::default() };
        let asked = self.asks.try_send(Ask::Command { message, answer });
        asked
            .map_err(|_| Refusal::busy("too many requests wait for the instrument, or it ends; try again"))?;
        match timeout(patience, answered).await {
            Ok(Ok(answered)) => Ok(Some(answered)),
            Ok(Err(_)) => Err(Refusal::busy("the answer was lost; see the status")),
            Err(_) => Ok(None),
        }
    }

    /// Asks the instrument something that it answers at once.
    ///
    /// # Errors
    /// It does not, or refuses.
    pub(super) async fn ask(&self, topic: &str, question: &Value) -> Result<Value, Refusal> {
        let answered = self.command(topic, question.to_string().into_bytes(), SOON).await?;
        let response = answered.map(|answered| answered.response);
        let response =
            response.ok_or_else(|| Refusal::busy("the instrument does not answer; see the log"))?;
        match response["error"]["message"].as_str() {
            None => Ok(response),
            Some(why) => Err(Refusal::new(axum::http::StatusCode::CONFLICT, why)),
        }
    }

    /// What the thread with the gateway can read; nothing if it does not answer.
    pub(super) async fn gateway(&self) -> Reading {
        let (answer, answered) = oneshot::channel();
        if self.asks.try_send(Ask::Reading(answer)).is_err() {
            return Reading::default();
        }
        timeout(SOON, answered).await.ok().and_then(Result::ok).unwrap_or_default()
    }

    /// Everything that is not counted as it happens.
    pub(super) async fn reading(&self) -> Reading {
        let mut reading = self.gateway().await;
        reading.queues.push(("http", ASKS - self.asks.capacity(), ASKS));
        reading.disk = self.root.space();
        reading.viewers = *self.eyepiece.viewers().borrow();
        reading.connections = self.connections.load(std::sync::atomic::Ordering::Relaxed);
        if let Ok(health) = self.ask("planktor/health", &json!({"action": "get"})).await {
            let number = |value: &Value| value.as_f64();
            let clock = &health["clock"];
            reading.clock = clock["source"].as_str().map(Into::into).zip(number(&clock["age_s"]));
            let position = &health["position"];
            reading.position = number(&position["age_s"]).map(|age| (age, number(&position["error_m"])));
            let motor_clock = |(device, name): (&'static str, &str)| {
                let clock = &health[name];
                Some((device, number(&clock["hz"])?, number(&clock["within_hz"])?))
            };
            let both = [("pump", "pump_clock"), ("focus", "focus_clock")];
            reading.motor_clocks = both.into_iter().filter_map(motor_clock).collect();
        }
        reading
    }

    /// A thumbnail that was made before.
    pub(super) fn thumbnail(&self, path: &std::path::Path) -> Option<Bytes> {
        let kept = self.thumbnails.lock().unwrap_or_else(PoisonError::into_inner);
        kept.iter().find(|(of, _)| of == path).map(|(_, bytes)| bytes.clone())
    }

    /// Keeps one for the next who asks; the oldest make room.
    pub(super) fn keep_thumbnail(&self, path: PathBuf, bytes: Bytes) {
        let mut kept = self.thumbnails.lock().unwrap_or_else(PoisonError::into_inner);
        kept.push_back((path, bytes));
        let mut all: usize = kept.iter().map(|(_, bytes)| bytes.len()).sum();
        while all > THUMBNAILS {
            all -= kept.pop_front().map_or(all, |(_, bytes)| bytes.len());
        }
    }
}
