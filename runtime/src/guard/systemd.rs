//! What a service manager is told. On a thread of its own: a manager that does not listen must hold nobody who watches.

use crossbeam_channel::{Sender, bounded};
use planktor_protocol::Instant;
use sd_notify::NotifyState;
use std::time::Duration;

/// Messages that may wait; what finds no room is said again soon, or did not matter.
const ROOM: usize = 8;

/// The way to it; to nobody, if there is no such manager.
pub(super) struct Systemd {
    to: Option<Sender<NotifyState<'static>>>,
    /// Between two signs of life: a third of what it waits for.
    every: Option<Duration>,
    due: Instant,
    ready: bool,
}

impl Systemd {
    /// If one has started this program and wants to hear of it (`NOTIFY_SOCKET`).
    pub(super) fn found() -> Self {
        let start = |_| {
            let (to, states) = bounded::<NotifyState<'static>>(ROOM);
            let tell = move || states.iter().for_each(|state| drop(sd_notify::notify(&[state])));
            // Without a thread for it nothing is said, and the manager acts on that.
            std::thread::Builder::new().name("systemd".into()).spawn(tell).ok().map(|_| to)
        };
        let to = std::env::var_os("NOTIFY_SOCKET").and_then(start);
        let every = sd_notify::watchdog_enabled().map(|limit| limit / 3);
        Self { to, every, due: Instant::from_nanos(0), ready: false }
    }

    /// The instrument runs.
    pub(super) fn ready(&mut self) {
        if !std::mem::replace(&mut self.ready, true) {
            self.say(NotifyState::Ready);
        }
    }

    /// It ends.
    pub(super) fn stopping(&self) {
        self.say(NotifyState::Stopping);
    }

    /// The guard is awake, so a silent heart is noticed. Said no more often than it is wanted.
    pub(super) fn awake(&mut self, now: Instant) {
        if let Some(every) = self.every
            && now >= self.due
        {
            self.due = now + every;
            self.say(NotifyState::Watchdog);
        }
    }

    fn say(&self, state: NotifyState<'static>) {
        if let Some(to) = &self.to {
            let _ = to.try_send(state);
        }
    }
}
