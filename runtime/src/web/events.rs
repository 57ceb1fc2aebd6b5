//! Server-sent events: what the instrument says, as it says it.

use super::site::Site;
use axum::extract::{Query, State};
use axum::http::HeaderMap;
use axum::response::Sse;
use axum::response::sse::{Event, KeepAlive};
use futures_util::Stream;
use futures_util::stream::{self, StreamExt};
use serde::Deserialize;
use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;

/// A stream ends then, and a browser asks again: who may not listen any more does not.
const LONGEST: Duration = Duration::from_secs(3_600);
/// What shows that the connection lives.
const ALIVE: Duration = Duration::from_secs(10);

struct Listener {
    site: Arc<Site>,
    waiting: VecDeque<Event>,
    last: u64,
    newest: watch::Receiver<u64>,
    figures: watch::Receiver<Option<crate::eyepiece::Seen>>,
    until: Instant,
}

/// Where it broke off, for those who cannot set a header.
#[derive(Deserialize)]
pub(super) struct After {
    after: Option<String>,
}

pub(super) async fn stream(
    State(site): State<Arc<Site>>,
    Query(After { after }): Query<After>,
    headers: HeaderMap,
) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let last = headers.get("last-event-id").and_then(|id| id.to_str().ok()).or(after.as_deref());
    // Numbers of another start say nothing.
    let last = last.and_then(|id| id.strip_prefix(&site.identity.boot)?.strip_prefix('-')?.parse().ok());
    // Who was away for so long that something is forgotten begins anew.
    let last = last.filter(|last| site.hub.remembers(*last));
    let (newest, figures) = (site.hub.newest(), site.eyepiece.figures());
    let from = *newest.borrow();
    let mut listener = Listener {
        waiting: VecDeque::new(),
        last: last.unwrap_or(from),
        newest,
        figures,
        until: listener_ends(),
        site,
    };
    if last.is_none() {
        let states = listener.site.hub.states();
        listener.waiting.extend(states.iter().map(|said| event(&listener.site, said)));
    } else {
        listener.newest.mark_changed();
    }
    let events = stream::unfold(listener, Listener::next).map(Ok);
    Sse::new(events).keep_alive(KeepAlive::new().interval(ALIVE))
}

/// On the runtime's own clock, like every wait of this thread.
fn listener_ends() -> Instant {
    Instant::now() + LONGEST
}

fn event(site: &Site, said: &super::hub::Said) -> Event {
    let id = format!("{}-{}", site.identity.boot, said.number);
    Event::default().event("said").id(id).json_data(said).unwrap_or_default()
}

impl Listener {
    async fn next(mut self) -> Option<(Event, Self)> {
        loop {
            if let Some(event) = self.waiting.pop_front() {
                return Some((event, self));
            }
            tokio::select! {
                changed = self.newest.changed() => {
                    changed.ok()?;
                    self.newest.mark_unchanged();
                    for said in self.site.hub.after(self.last) {
                        self.last = said.number;
                        self.waiting.push_back(event(&self.site, &said));
                    }
                }
                changed = self.figures.changed() => {
                    changed.ok()?;
                    let seen = *self.figures.borrow_and_update();
                    let picture = seen.and_then(|seen| Event::default().event("picture").json_data(seen).ok());
                    self.waiting.extend(picture);
                }
                () = tokio::time::sleep_until(self.until) => return None,
            }
        }
    }
}
