//! What happened, in order: one line an event. Kept only where somebody reads it.

use planktor_protocol::Instant;
use std::fmt::Debug;
use std::sync::{Arc, Mutex, PoisonError};

/// A handle; all clones write into the same journal.
#[derive(Clone, Default)]
pub struct Journal(Option<Arc<Mutex<Vec<String>>>>);

impl Journal {
    /// One that is kept.
    pub fn kept() -> Self {
        Self(Some(Arc::default()))
    }

    /// Notes an event, if it is kept.
    pub fn note(&self, at: Instant, what: &impl Debug) {
        if let Some(lines) = &self.0 {
            lines.lock().unwrap_or_else(PoisonError::into_inner).push(format!("{at:?} {what:?}"));
        }
    }

    /// All so far.
    pub fn lines(&self) -> Vec<String> {
        let lines =
            |kept: &Arc<Mutex<Vec<String>>>| kept.lock().unwrap_or_else(PoisonError::into_inner).clone();
        self.0.as_ref().map(lines).unwrap_or_default()
    }
}
