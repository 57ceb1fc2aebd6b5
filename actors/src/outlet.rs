//! The one way out: bounded, never waited for.

use crossbeam_channel::{Receiver, Sender, bounded};
use planktor_protocol::instrument::Answer;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::Notify;

/// The supervisor's end.
#[derive(Clone)]
pub struct Outlet {
    answers: Sender<Answer>,
    wake: Arc<Notify>,
    lost: Arc<AtomicU64>,
}

/// The outside's end.
pub struct Answers {
    answers: Receiver<Answer>,
    wake: Arc<Notify>,
    lost: Arc<AtomicU64>,
}

/// Both ends; at most `bound` answers wait.
pub fn outlet(bound: usize) -> (Outlet, Answers) {
    let (sender, answers) = bounded(bound);
    let (wake, lost) = (Arc::new(Notify::new()), Arc::new(AtomicU64::new(0)));
    (Outlet { answers: sender, wake: wake.clone(), lost: lost.clone() }, Answers { answers, wake, lost })
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
            match self.answers.try_recv() {
                Ok(answer) => return Some(answer),
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

impl Drop for Outlet {
    /// Who waits learns that nothing more will come.
    fn drop(&mut self) {
        self.wake.notify_one();
    }
}
