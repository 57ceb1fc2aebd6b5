//! To wait is to be sent a message later: an alarm is a deadline, a ticket and whom to ring.
//!
//! One queue for each arbiter; no lock, no closure. In real time one absolute timerfd rings it (tokio's own timers are
//! a millisecond late). In virtual time the idle loop jumps to the next deadline: build its runtime with [`jump`] as
//! `on_thread_park`.

use crate::journal::{Journal, Kind};
use crate::port::Port;
use crate::timing::Timings;
use planktor_drivers::Clock;
use planktor_drivers::clock::Monotonic;
use planktor_protocol::Instant;
use rustix::time::{Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec};
use std::cell::{Cell, RefCell};
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Names one wait; a ticket that no state holds any more changes nothing.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ticket(u64);

impl std::fmt::Debug for Ticket {
    /// Without its number: that depends on how many alarms others have asked for.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Ticket")
    }
}

/// What is rung when a deadline is over.
pub(crate) trait Ring {
    /// Whether anybody hears it.
    fn ring(&self, ticket: Ticket) -> bool;

    /// Whether the journal tells it: not, if it rings for whoever plays the world outside.
    fn is_noted(&self) -> bool {
        true
    }
}

/// For whoever plays the world outside.
struct Outside(Port<Ticket>);

impl Ring for Outside {
    fn ring(&self, ticket: Ticket) -> bool {
        self.0.ring(ticket)
    }

    fn is_noted(&self) -> bool {
        false
    }
}

impl Ring for Port<Ticket> {
    fn ring(&self, ticket: Ticket) -> bool {
        self.send(ticket);
        true
    }
}

/// An actor's own bell: its clock, and the only way in which it waits.
#[derive(Clone)]
pub struct Bell {
    alarms: Alarms,
    to: Rc<dyn Ring>,
}

impl Bell {
    /// Rings at this instant, or at once if it is over.
    pub fn at(&self, due: Instant) -> Ticket {
        self.alarms.push(due, self.to.clone())
    }

    /// Rings what was to ring later; then that alarm rings for nobody.
    pub(crate) fn early(&self, ticket: Ticket) {
        self.alarms.ring(&Entry { due: self.now(), ticket, to: self.to.clone() });
    }

    /// Now.
    pub fn now(&self) -> Instant {
        self.alarms.now()
    }

    /// What is timed where it rings.
    pub fn timings(&self) -> &Timings {
        self.alarms.timings()
    }
}

/// A clock that stands still but when the idle loop jumps it to the next deadline; shared with the twin.
#[derive(Clone, Debug, Default)]
pub struct VirtualClock(Arc<Hands>);

#[derive(Debug, Default)]
struct Hands {
    now: AtomicU64,
    released: AtomicBool,
}

impl VirtualClock {
    /// One that stands at an instant.
    pub fn standing_at(instant: Instant) -> Self {
        let clock = Self::default();
        clock.set(instant);
        clock
    }

    /// Sets it to an instant, if that is later than what it says.
    pub fn set(&self, instant: Instant) {
        self.0.now.fetch_max(instant.nanos(), Ordering::SeqCst);
    }

    /// Lets it jump. Until then it stands, so that whoever plays the world can take his place first.
    pub fn release(&self) {
        self.0.released.store(true, Ordering::SeqCst);
    }

    /// Makes it stand again: whoever looks at the world now sees one instant.
    pub fn hold(&self) {
        self.0.released.store(false, Ordering::SeqCst);
    }

    fn is_held(&self) -> bool {
        !self.0.released.load(Ordering::SeqCst)
    }
}

impl Clock for VirtualClock {
    fn now(&self) -> Instant {
        Instant::from_nanos(self.0.now.load(Ordering::SeqCst))
    }
}

/// The alarms of one arbiter.
#[derive(Clone)]
pub struct Alarms(Rc<Queue>);

struct Queue {
    heap: RefCell<BinaryHeap<Reverse<Entry>>>,
    issued: Cell<u64>,
    time: Time,
    journal: Journal,
    timings: Timings,
}

enum Time {
    Real { timer: AsyncFd<OwnedFd>, armed: Cell<Instant> },
    Virtual(VirtualClock),
}

struct Entry {
    due: Instant,
    ticket: Ticket,
    to: Rc<dyn Ring>,
}

/// Alarms for which there is room from the start: an acquisition has a few, and a minute's that nobody waits for any more.
const ALARMS: u64 = 1_024;

const NEVER: Instant = Instant::from_nanos(u64::MAX);

thread_local!(static HERE: RefCell<Option<Alarms>> = const { RefCell::new(None) });

impl Alarms {
    /// Starts the alarms of the arbiter on this thread, in real time.
    ///
    /// # Errors
    /// The kernel has no timer for us.
    pub fn start_real(journal: Journal, timings: Timings) -> io::Result<()> {
        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        let timer = rustix::time::timerfd_create(TimerfdClockId::Monotonic, flags)?;
        let timer = watch(timer)?;
        let alarms = Self::start(Time::Real { timer, armed: Cell::new(NEVER) }, journal, timings);
        actix_rt::spawn(alarms.serve());
        Ok(())
    }

    /// Starts the alarms of the arbiter on this thread, in virtual time.
    pub fn start_virtual(clock: VirtualClock, journal: Journal, timings: Timings) {
        Self::start(Time::Virtual(clock), journal, timings);
    }

    /// The alarms of the arbiter on this thread.
    ///
    /// # Panics
    /// If none were started: a mistake in the wiring.
    pub fn here() -> Self {
        HERE.with_borrow(Clone::clone).expect("alarms are started before the actors of an arbiter")
    }

    fn start(time: Time, journal: Journal, timings: Timings) -> Self {
        let heap = RefCell::new(room());
        let alarms = Self(Rc::new(Queue { heap, issued: Cell::new(0), time, journal, timings }));
        HERE.set(Some(alarms.clone()));
        alarms
    }

    /// A bell that rings at `of`.
    pub fn bell(&self, of: Port<Ticket>) -> Bell {
        Bell { alarms: self.clone(), to: Rc::new(of) }
    }

    /// A bell for whoever plays the world outside: the journal does not tell when it rings.
    pub fn bell_outside(&self, of: Port<Ticket>) -> Bell {
        Bell { alarms: self.clone(), to: Rc::new(Outside(of)) }
    }

    /// Now.
    pub fn now(&self) -> Instant {
        match &self.0.time {
            Time::Real { .. } => Monotonic.now(),
            Time::Virtual(clock) => clock.now(),
        }
    }

    /// What is timed on this arbiter.
    pub fn timings(&self) -> &Timings {
        &self.0.timings
    }

    pub(crate) fn is_virtual(&self) -> bool {
        matches!(self.0.time, Time::Virtual(_))
    }

    pub(crate) fn push(&self, due: Instant, to: Rc<dyn Ring>) -> Ticket {
        // What is asked for too late is not rung late.
        let due = due.max(self.now());
        let ticket = Ticket(self.0.issued.replace(self.0.issued.get() + 1));
        self.0.heap.borrow_mut().push(Reverse(Entry { due, ticket, to }));
        self.arm();
        ticket
    }

    /// Rings what is due, in order, for ever.
    async fn serve(self) {
        let Time::Real { timer, armed } = &self.0.time else { return };
        while let Ok(mut ready) = timer.readable().await {
            let _ = rustix::io::read(timer.get_ref(), &mut [0u8; 8]);
            ready.clear_ready();
            armed.set(NEVER);
            while let Some(entry) = self.pop_due(self.now()) {
                self.0.timings.rang(entry.due, self.now());
                self.ring(&entry);
            }
            self.arm();
        }
    }

    fn ring(&self, Entry { due, ticket, to }: &Entry) -> bool {
        if to.is_noted() {
            self.0.journal.note(self.now(), Kind::Rang, due);
        }
        to.ring(*ticket)
    }

    fn pop_due(&self, now: Instant) -> Option<Entry> {
        let mut heap = self.0.heap.borrow_mut();
        if heap.peek()?.0.due > now {
            return None;
        }
        heap.pop().map(|Reverse(entry)| entry)
    }

    /// Sets the timer to the next deadline, if that is earlier than what it is set to.
    fn arm(&self) {
        let Time::Real { timer, armed } = &self.0.time else { return };
        let Some(due) = self.0.heap.borrow().peek().map(|Reverse(entry)| entry.due) else { return };
        if due >= armed.get() {
            return;
        }
        armed.set(due);
        let seconds = i64::try_from(due.nanos() / 1_000_000_000).unwrap_or(i64::MAX);
        // Zero would disarm it.
        let nanos = i64::try_from(due.nanos() % 1_000_000_000).unwrap_or(0).max(1);
        let once = Itimerspec {
            it_interval: Timespec { tv_sec: 0, tv_nsec: 0 },
            it_value: Timespec { tv_sec: seconds, tv_nsec: nanos },
        };
        rustix::time::timerfd_settime(timer.get_ref(), TimerfdTimerFlags::ABSTIME, &once)
            .expect("an absolute time that is not negative is always taken");
    }
}

/// Rings nobody.
struct Nobody;

impl Ring for Nobody {
    fn ring(&self, _: Ticket) -> bool {
        false
    }
}

/// Room for alarms, in pages that are there already.
fn room() -> BinaryHeap<Reverse<Entry>> {
    let nobody: Rc<dyn Ring> = Rc::new(Nobody);
    let alarm = |n| Reverse(Entry { due: NEVER, ticket: Ticket(n), to: nobody.clone() });
    let mut heap: BinaryHeap<_> = (0..ALARMS).map(alarm).collect();
    heap.clear();
    heap
}

#[expect(unsafe_code, reason = "AsyncFd asks for a promise about its file")]
pub(crate) fn watch(file: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: an `OwnedFd` stays open and the same as long as it lives, and the `AsyncFd` owns it.
    unsafe { AsyncFd::register_with_interest(file, Interest::READABLE) }.map_err(|e| e.into_parts().1)
}

/// The loop of this thread is idle: in virtual time it is the next deadline now.
pub fn jump() {
    let Some(alarms) = HERE.with_borrow(Clone::clone) else { return };
    let Time::Virtual(clock) = &alarms.0.time else { return };
    if clock.is_held() {
        return;
    }
    // A ring that nobody hears would not wake the loop.
    while let Some(entry) = alarms.pop_due(NEVER) {
        clock.set(entry.due);
        if alarms.ring(&entry) {
            return;
        }
    }
}

impl Ord for Entry {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.due, self.ticket).cmp(&(other.due, other.ticket))
    }
}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.ticket == other.ticket
    }
}

impl Eq for Entry {}
