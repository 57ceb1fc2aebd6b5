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

/// Twice at most at once: when something is wrong, and when its program is gone.
const REQUESTS: usize = 2;
/// Those that wait, the one that is done, and one that nobody has looked at.
const RESULTS: usize = REQUESTS + 2;

/// Both.
pub(super) struct Switches {
    breaker: Breaker,
    /// Requests by their numbers, and what of each did not obey.
    dim: Sender<u64>,
    dimmed: Receiver<(u64, Vec<Fault>)>,
    last: Cell<u64>,
}

impl Switches {
    /// Touches nothing.
    ///
    /// # Errors
    /// The computer has no thread for it.
    pub(super) fn of(description: &Description) -> io::Result<Self> {
        let (dim, requests) = bounded::<u64>(REQUESTS);
        let (result, dimmed) = bounded(RESULTS);
        let board = description.clone();
        let serve = move || {
            let _urgent = Urgent::now();
            let mut dimmer = Dimmer::of(&board);
            requests.iter().for_each(|number| drop(result.try_send((number, dimmer.dim()))));
        };
        std::thread::Builder::new().name("dimmer".into()).spawn(serve)?;
        Ok(Self { breaker: Breaker::of(description), dim, dimmed, last: Cell::new(0) })
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
    /// nobody: where two requests wait already, a third would say nothing new.
    pub(super) fn off(&self) {
        self.breaker.trip();
        let next = self.last.get() + 1;
        if self.dim.try_send(next).is_ok() {
            self.last.set(next);
        }
    }

    /// Waits until the slow bus is done, but not longer than this. Says what did not obey in the end.
    pub(super) fn settled(&self, within: Duration) -> Vec<Fault> {
        let until = Monotonic.now() + within;
        loop {
            match self.dimmed.recv_timeout(until - Monotonic.now()) {
                Ok((number, faults)) if number == self.last.get() => return faults,
                // What became of an earlier request does not matter any more.
                Ok(_) => {}
                Err(_) => return vec![Fault::Bus("the lamp")],
            }
        }
    }
}
