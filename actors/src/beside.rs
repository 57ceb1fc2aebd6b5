//! Work beside the loop: what takes long is done by other threads, and its reply is a message.
//!
//! In virtual time a job has a modelled duration: its reply comes at that instant, and the clock waits there for the
//! thread if it must. So work overlaps with motion in virtual time too, and always in the same order.

use crate::alarm::{Alarms, Ring, Ticket};
use crate::port::Port;
use crossbeam_channel::{Receiver, Sender, bounded};
use planktor_protocol::Instant;
use std::cell::RefCell;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::time::Duration;

/// One thread's way of doing a job.
pub type Hand<J, R> = Box<dyn FnMut(J) -> R + Send>;

/// How long a job takes in virtual time; computed from the job, never from its result.
pub type Model<J> = Rc<dyn Fn(&J) -> Duration>;

/// A bounded queue served by one thread a hand.
pub struct Worker<J, R: Send + 'static> {
    queue: Sender<Parcel<J, R>>,
    alarms: Alarms,
    model: Model<J>,
    /// When each hand is free again, in virtual time.
    free: RefCell<Vec<Instant>>,
}

struct Parcel<J, R: Send + 'static> {
    job: J,
    if_lost: R,
    reply: Reply<R>,
}

enum Reply<R: Send + 'static> {
    Real(Port<R>),
    Virtual(Sender<R>),
}

/// An alarm that waits for its worker.
struct Awaited<R: Send + 'static> {
    done: Receiver<R>,
    to: Port<R>,
}

impl<J: Send + 'static, R: Send + 'static> Worker<J, R> {
    /// Starts its threads; at most `bound` jobs wait.
    ///
    /// # Errors
    /// The system has no thread for us.
    pub fn start(name: &str, bound: usize, model: Model<J>, hands: Vec<Hand<J, R>>) -> io::Result<Self> {
        let (queue, parcels) = bounded::<Parcel<J, R>>(bound);
        let free = RefCell::new(vec![Instant::ZERO; hands.len()]);
        for mut hand in hands {
            let parcels = parcels.clone();
            let serve = move || parcels.iter().for_each(|parcel| parcel.done_by(&mut hand));
            std::thread::Builder::new().name(name.into()).spawn(serve)?;
        }
        Ok(Self { queue, alarms: Alarms::here(), model, free })
    }

    /// Begins a job. `if_lost` is the reply should the hand panic; a full queue gives it back at once.
    ///
    /// # Errors
    /// `if_lost`, when as many jobs wait as may.
    pub fn begin(&self, job: J, if_lost: R, to: &Port<R>) -> Result<(), R> {
        let due = self.occupy(&job);
        let (reply, awaited) = if self.alarms.is_virtual() {
            let (done, awaited) = bounded(1);
            (Reply::Virtual(done), Some(Awaited { done: awaited, to: to.clone() }))
        } else {
            (Reply::Real(to.clone()), None)
        };
        self.queue.try_send(Parcel { job, if_lost, reply }).map_err(|full| full.into_inner().if_lost)?;
        if let Some(awaited) = awaited {
            self.alarms.push(due, Rc::new(awaited));
        }
        Ok(())
    }

    /// When the job is done if the next free hand takes it.
    fn occupy(&self, job: &J) -> Instant {
        let mut free = self.free.borrow_mut();
        let hand = free.iter_mut().min().expect("a worker has hands");
        *hand = self.alarms.now().max(*hand) + (self.model)(job);
        *hand
    }
}

impl<J, R: Send> Parcel<J, R> {
    fn done_by(self, hand: &mut Hand<J, R>) {
        let Self { job, if_lost, reply } = self;
        let done = catch_unwind(AssertUnwindSafe(|| hand(job))).unwrap_or(if_lost);
        match reply {
            Reply::Real(to) => to.send(done),
            // Nobody waits any more when the loop has ended.
            Reply::Virtual(to) => drop(to.send(done)),
        }
    }
}

impl<R: Send + 'static> Ring for Awaited<R> {
    fn ring(&self, _: Ticket) {
        let reply = self.done.recv().expect("a hand always replies");
        self.to.send(reply);
    }
}
