//! The one way out: bounded, never waited for by whoever tells.
//!
//! So that no outcome is lost where very many ask very much, commands are let in only while what they will be answered has
//! room, and they leave some: for outcomes of what was asked before, and for what the instrument says by itself.

use crossbeam_channel::{Receiver, Sender, bounded};
use planktor_protocol::instrument::Answer;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use tokio::sync::Notify;

/// New commands leave one place in so many free.
const KEPT: usize = 4;

/// The supervisor's end.
#[derive(Clone)]
pub struct Outlet {
    answers: Sender<Answer>,
    wake: Arc<Notify>,
    lost: Arc<AtomicU64>,
}

/// The outside's end.
pub struct Answers {
    room: Room,
    wake: Arc<Notify>,
    lost: Arc<AtomicU64>,
}

/// Whether what is asked now can be answered: for whoever lets commands in.
#[derive(Clone)]
pub struct Room {
    answers: Receiver<Answer>,
    most: usize,
    waiting: Arc<Waiting>,
}

/// Somebody waits for room.
#[derive(Default)]
struct Waiting {
    is_waited_for: AtomicBool,
    freed: Notify,
}

/// Both ends, and a look at how full it is; at most `bound` answers wait.
pub fn outlet(bound: usize) -> (Outlet, Answers, Room) {
    let (sender, answers) = bounded(bound);
    let (wake, lost) = (Arc::new(Notify::new()), Arc::new(AtomicU64::new(0)));
    let room = Room { answers, most: bound - bound / KEPT, waiting: Arc::default() };
    let outlet = Outlet { answers: sender, wake: wake.clone(), lost: lost.clone() };
    (outlet, Answers { room: room.clone(), wake, lost }, room)
}

impl Outlet {
    /// Tells the outside; what does not fit is counted.
    pub fn tell(&self, answer: Answer) {
        if self.answers.try_send(answer).is_err() {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
        self.wake.notify_one();
    }
}

impl Answers {
    /// The next one; `None` when the supervisor is gone.
    pub async fn next(&self) -> Option<Answer> {
        loop {
            match self.room.answers.try_recv() {
                Ok(answer) => {
                    self.room.was_made();
                    return Some(answer);
                }
                Err(crossbeam_channel::TryRecvError::Disconnected) => return None,
                Err(crossbeam_channel::TryRecvError::Empty) => self.wake.notified().await,
            }
        }
    }

    /// Answers that did not fit.
    pub fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }
}

impl Room {
    /// Whether there is some; if not, [`freed`](Self::freed) tells when.
    pub fn is_there(&self) -> bool {
        if self.has_places() {
            return true;
        }
        self.waiting.is_waited_for.store(true, Ordering::SeqCst);
        // What was taken meanwhile has told nobody.
        self.has_places()
    }

    fn has_places(&self) -> bool {
        self.answers.len() < self.most
    }

    /// Something was taken: who waits is told, if it is enough.
    fn was_made(&self) {
        let Waiting { is_waited_for, freed } = &*self.waiting;
        if is_waited_for.load(Ordering::SeqCst)
            && self.has_places()
            && is_waited_for.swap(false, Ordering::SeqCst)
        {
            freed.notify_one();
        }
    }

    /// Waits until there is some again.
    pub async fn freed(&self) {
        self.waiting.freed.notified().await;
    }
}

impl Drop for Outlet {
    /// Who waits learns that nothing more will come.
    fn drop(&mut self) {
        self.wake.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use planktor_protocol::instrument::{CommandId, Event};

    fn answer() -> Answer {
        Answer {
            id: Some(CommandId::NOBODY),
            stopped_by: None,
            at: planktor_protocol::Instant::ZERO,
            event: Event::Ended,
        }
    }

    #[test]
    fn who_lets_commands_in_leaves_room_and_is_told_when_there_is_some_again() {
        actix_rt::System::new().block_on(leaves_room());
    }

    async fn leaves_room() {
        let (outlet, answers, room) = outlet(8);
        (0..5).for_each(|_| outlet.tell(answer()));
        assert!(room.is_there());
        outlet.tell(answer());
        assert!(!room.is_there(), "a quarter is kept");
        (0..2).for_each(|_| outlet.tell(answer()));
        assert_eq!(answers.lost(), 0);
        for _ in 0..2 {
            answers.next().await.unwrap();
        }
        assert!(!room.is_there());
        answers.next().await.unwrap();
        room.freed().await;
        assert!(room.is_there());
    }

    #[test]
    fn who_waits_for_answers_learns_that_there_are_no_more_though_somebody_looks_at_the_room() {
        let (outlet, answers, _room) = outlet(8);
        drop(outlet);
        assert!(actix_rt::System::new().block_on(answers.next()).is_none());
    }
}
