//! Work beside the loop: what takes long is done by other threads, and its reply is a message.
//!
//! In virtual time a job has a modelled duration: its reply comes at that instant. So work overlaps with motion in
//! virtual time too, and always in the same order. Pure work is done by threads then, too, and the clock waits for
//! them where it must; work that meets the world (a disk that may be full *now*) is done on the loop at that instant.

use crate::alarm::{Alarms, Ring, Ticket};
use crate::port::Port;
use crossbeam_channel::{Receiver, Sender, bounded};
use planktor_protocol::Instant;
use std::cell::{Cell, RefCell};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

/// One thread's way of doing a job.
pub type Hand<J, R> = Box<dyn FnMut(J) -> R + Send>;

/// How long a job takes in virtual time; computed from the job, never from its result.
pub type Model<J> = Arc<dyn Fn(&J) -> Duration + Send + Sync>;

/// A bounded queue of jobs, and who does them.
pub struct Worker<J, R: Send + 'static> {
    alarms: Alarms,
    model: Model<J>,
    /// When each hand is free again, in virtual time.
    free: RefCell<Vec<Instant>>,
    place: Place<J, R>,
}

enum Place<J, R: Send + 'static> {
    /// One thread a hand.
    Beside(Sender<Parcel<J, R>>),
    /// On the loop, when it is due; so many may wait.
    OnTheLoop { hand: Rc<RefCell<Hand<J, R>>>, waiting: Rc<Cell<usize>>, bound: usize },
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

/// An alarm that does the job.
struct Due<J, R: Send + 'static> {
    job: RefCell<Option<(J, R)>>,
    hand: Rc<RefCell<Hand<J, R>>>,
    waiting: Rc<Cell<usize>>,
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
        Ok(Self { alarms: Alarms::here(), model, free, place: Place::Beside(queue) })
    }

    /// One hand whose work meets the world: a thread in real time, the loop itself in virtual time.
    ///
    /// # Errors
    /// The system has no thread for us.
    pub fn start_in_the_world(
        name: &str,
        bound: usize,
        model: Model<J>,
        hand: Hand<J, R>,
    ) -> io::Result<Self> {
        let alarms = Alarms::here();
        if !alarms.is_virtual() {
            return Self::start(name, bound, model, vec![hand]);
        }
        let hand = Rc::new(RefCell::new(hand));
        let place = Place::OnTheLoop { hand, waiting: Rc::default(), bound };
        Ok(Self { alarms, model, free: RefCell::new(vec![Instant::ZERO]), place })
    }

    /// Begins a job. `if_lost` is the reply should the hand panic; a full queue gives it back at once.
    ///
    /// # Errors
    /// `if_lost`, when as many jobs wait as may.
    pub fn begin(&self, job: J, if_lost: R, to: &Port<R>) -> Result<(), R> {
        let takes = (self.model)(&job);
        match &self.place {
            Place::OnTheLoop { waiting, bound, .. } if waiting.get() >= *bound => return Err(if_lost),
            Place::OnTheLoop { hand, waiting, .. } => {
                waiting.set(waiting.get() + 1);
                let (hand, waiting) = (hand.clone(), waiting.clone());
                let job = RefCell::new(Some((job, if_lost)));
                self.alarms.push(self.occupy(takes), Rc::new(Due { job, hand, waiting, to: to.clone() }));
            }
            Place::Beside(queue) if self.alarms.is_virtual() => {
                let (done, awaited) = bounded(1);
                send(queue, Parcel { job, if_lost, reply: Reply::Virtual(done) })?;
                self.alarms.push(self.occupy(takes), Rc::new(Awaited { done: awaited, to: to.clone() }));
            }
            Place::Beside(queue) => send(queue, Parcel { job, if_lost, reply: Reply::Real(to.clone()) })?,
        }
        Ok(())
    }

    /// When a job that takes so long is done if the next free hand takes it.
    fn occupy(&self, takes: Duration) -> Instant {
        let mut free = self.free.borrow_mut();
        let hand = free.iter_mut().min().expect("a worker has hands");
        *hand = self.alarms.now().max(*hand) + takes;
        *hand
    }
}

fn send<J, R: Send>(queue: &Sender<Parcel<J, R>>, parcel: Parcel<J, R>) -> Result<(), R> {
    queue.try_send(parcel).map_err(|full| full.into_inner().if_lost)
}

fn done<J, R>(hand: &mut Hand<J, R>, job: J, if_lost: R) -> R {
    catch_unwind(AssertUnwindSafe(|| hand(job))).unwrap_or(if_lost)
}

impl<J, R: Send> Parcel<J, R> {
    fn done_by(self, hand: &mut Hand<J, R>) {
        let Self { job, if_lost, reply } = self;
        let done = done(hand, job, if_lost);
        match reply {
            Reply::Real(to) => to.send(done),
            // Nobody waits any more when the loop has ended.
            Reply::Virtual(to) => drop(to.send(done)),
        }
    }
}

impl<R: Send + 'static> Ring for Awaited<R> {
    fn ring(&self, _: Ticket) -> bool {
        let reply = self.done.recv().expect("a hand always replies");
        self.to.send(reply);
        true
    }
}

impl<J: 'static, R: Send + 'static> Ring for Due<J, R> {
    fn ring(&self, _: Ticket) -> bool {
        let Some((job, if_lost)) = self.job.take() else { return false };
        self.waiting.set(self.waiting.get() - 1);
        self.to.send(done(&mut self.hand.borrow_mut(), job, if_lost));
        true
    }
}
