//! The guard's own handles of what makes safe: pins on the guard's thread, the slow bus on another one, so that a bus that is
//! stuck holds no pin.

use super::urgent::Urgent;
use crossbeam_channel::{Receiver, Sender, bounded};
use planktor_drivers::Clock;
use planktor_drivers::clock::Monotonic;
use planktor_drivers::linux::Description;
use planktor_drivers::linux::safety::{Breaker, Dimmer};
use planktor_protocol::Fault;
use std::cell::Cell;
use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

/// Twice at most: when something is wrong, and when its program is gone.
const REQUESTS: usize = 2;

/// Both.
pub(super) struct Switches {
    breaker: Breaker,
    dim: Sender<()>,
    dimmed: Receiver<Vec<Fault>>,
    /// Requests without a result.
    open: Cell<usize>,
}

impl Switches {
    /// Touches nothing.
    ///
    /// # Errors
    /// The computer has no thread for it.
    pub(super) fn of(description: &Description) -> io::Result<Self> {
        let (dim, requests) = bounded::<()>(REQUESTS);
        let (result, dimmed) = bounded(REQUESTS);
        let board = description.clone();
        let serve = move || {
            let _urgent = Urgent::now();
            let mut dimmer = Dimmer::of(&board);
            requests.iter().for_each(|()| drop(result.try_send(dimmer.dim())));
        };
        std::thread::Builder::new().name("dimmer".into()).spawn(serve)?;
        Ok(Self { breaker: Breaker::of(description), dim, dimmed, open: Cell::new(0) })
    }

    /// Takes what it does not have yet, and makes safe. Says what cannot be had.
    pub(super) fn ready(&self, within: Duration) -> Vec<Fault> {
        let mut faults = self.breaker.hold();
        self.off();
        faults.extend(self.settled(within));
        faults
    }

    /// Lines for the program that is watched.
    ///
    /// # Errors
    /// There are too many open files.
    pub(super) fn lend(&self) -> io::Result<Vec<(u8, OwnedFd)>> {
        self.breaker.lend()
    }

    /// Motors without current at once, then the lamp dark and the bubbler at rest as soon as the bus lets it. Waits for
    /// nobody.
    pub(super) fn off(&self) {
        self.breaker.trip();
        if self.dim.try_send(()).is_ok() {
            self.open.set(self.open.get() + 1);
        }
    }

    /// Waits until the slow bus is done, but not longer than this. Says what did not obey in the end.
    pub(super) fn settled(&self, within: Duration) -> Vec<Fault> {
        let until = Monotonic.now() + within;
        let mut faults = vec![];
        while self.open.get() > 0 {
            let Ok(last) = self.dimmed.recv_timeout(until - Monotonic.now()) else {
                return vec![Fault::Bus("the lamp's bus")];
            };
            self.open.set(self.open.get() - 1);
            faults = last;
        }
        faults
    }
}
