//! Stop is an epoch: motion needs a permit, and nobody who was admitted before a stop gets one after it.

use planktor_protocol::{Axis, Epochs};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};

/// Shared by the gateway, which raises it, and every driver that can move something.
#[derive(Clone, Debug, Default)]
pub struct StopLine(Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    pump: AtomicU32,
    focus: AtomicU32,
}

/// Leave to start motion *now*: not kept, not sent, used up by the write that starts it.
#[derive(Debug)]
pub struct Permit<'a>(std::marker::PhantomData<&'a StopLine>);

/// A stop came after the command was admitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stopped;

impl StopLine {
    /// The stops so far.
    pub fn epochs(&self) -> Epochs {
        Epochs { pump: self.0.pump.load(SeqCst), focus: self.0.focus.load(SeqCst) }
    }

    /// One more stop of these axes; gives the epochs with it.
    pub fn raise(&self, axes: &[Axis]) -> Epochs {
        for axis in axes {
            self.count(*axis).fetch_add(1, SeqCst);
        }
        self.epochs()
    }

    /// Leave for somebody admitted under `epochs` to move `axis`.
    ///
    /// # Errors
    /// [`Stopped`] if that axis has been stopped since.
    pub fn permit(&self, axis: Axis, epochs: Epochs) -> Result<Permit<'_>, Stopped> {
        if self.count(axis).load(SeqCst) == epochs.of(axis) {
            Ok(Permit(std::marker::PhantomData))
        } else {
            Err(Stopped)
        }
    }

    fn count(&self, axis: Axis) -> &AtomicU32 {
        match axis {
            Axis::Pump => &self.0.pump,
            Axis::Focus => &self.0.focus,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_admitted_before_a_stop_moves_nothing_after_it() {
        let line = StopLine::default();
        let before = line.epochs();
        assert!(line.permit(Axis::Pump, before).is_ok());
        let with = line.raise(&[Axis::Pump]);
        assert!(line.permit(Axis::Pump, before).is_err());
        assert!(line.permit(Axis::Focus, before).is_ok(), "the stage was not stopped");
        assert!(line.permit(Axis::Pump, with).is_ok());
    }
}
