//! What is timed of motors, frames and the disk.

use super::ledger::{Answered, Caller, Who};
use super::{Running, Supervisor};
use crate::recording::Facts;
use crate::timing::{Miss, Stage};
use planktor_protocol::camera::Frame;
use planktor_protocol::motion;
use planktor_protocol::plan::POOL;
use planktor_protocol::{Instant, Run};

/// What is under way and timed when it is over.
pub(super) struct Watched {
    /// The end of the last exposure, until the next move begins.
    exposed: Option<Instant>,
    /// Frames that are not on disk, and the ends of their exposures.
    frames: Vec<(Run, Instant)>,
    /// Since when the disk has been waited for.
    waits: Option<Instant>,
    /// Frames that had been lost when that was last looked at.
    lost: u32,
}

impl Default for Watched {
    fn default() -> Self {
        Self { exposed: None, frames: Vec::with_capacity(POOL as usize), waits: None, lost: 0 }
    }
}

impl Supervisor {
    /// The write that begins a move, or lets it end, has been made when the motor says so.
    pub(super) fn time_motor<R>(&self, answered: Answered, event: &motion::Event<R>) {
        match event {
            motion::Event::Started { .. } => {
                if let Some(arrived) = answered.who.and_then(Who::caller).and_then(|caller| caller.arrived) {
                    self.timings.add(Stage::CommandToBus, self.bell.now() - arrived);
                }
            }
            motion::Event::Interrupted => self.time_stop(answered.stopped_by),
            motion::Event::Done(_)
            | motion::Event::Released
            | motion::Event::Refused(_)
            | motion::Event::Failed(_) => {}
        }
    }

    pub(super) fn time_stop(&self, by: Option<Caller>) {
        if let Some(arrived) = by.and_then(|caller| caller.arrived) {
            self.timings.add(Stage::StopToBus, self.bell.now() - arrived);
        }
    }

    /// An exposure is predicted to be over then.
    pub(super) fn time_exposure(&self, running: &mut Running, end: Instant) {
        running.watched.exposed = Some(end);
    }

    /// A move of the acquisition has begun.
    pub(super) fn time_move(&self, running: &mut Running) {
        if let Some(end) = running.watched.exposed.take() {
            // After a pause, or after a settling, it is from their end.
            let since = end.max(running.sequence.ready());
            self.timings.add(Stage::ExposureToMove, self.bell.now() - since);
        }
    }

    /// A frame is good, and goes to the encoders.
    pub(super) fn time_frame(&self, running: &mut Running, shot: Run, frame: &Frame, facts: &Facts) {
        // What a strobed frame waits for is its light.
        let begins = facts.pulse.map_or(frame.interval, |pulse| pulse.within).from;
        let waited = begins - facts.ready;
        self.timings.add(Stage::SettledToExposure, waited);
        if let Some(mode) = facts.mode {
            let starts = waited.as_nanos() / mode.cadence.as_nanos().max(1);
            self.timings.missed(Miss::FrameStart, u64::try_from(starts).unwrap_or(u64::MAX));
        }
        running.watched.frames.push((shot, frame.interval.to));
    }

    /// It is on disk.
    pub(super) fn time_saved(&self, running: &mut Running, shot: Run) {
        let frames = &mut running.watched.frames;
        if let Some(n) = frames.iter().position(|(run, _)| *run == shot) {
            self.timings.add(Stage::ExposureToDurable, self.bell.now() - frames.swap_remove(n).1);
        }
    }

    /// What the sequence says of itself.
    pub(super) fn time_sequence(&self, running: &mut Running) {
        let (watched, now) = (&mut running.watched, self.bell.now());
        let lost = running.sequence.lost_so_far();
        self.timings.missed(Miss::Frame, (lost - std::mem::replace(&mut watched.lost, lost)).into());
        match (running.sequence.waits_for_disk(), watched.waits) {
            (true, None) => watched.waits = Some(now),
            (false, Some(since)) => {
                watched.waits = None;
                self.timings.add(Stage::WaitForDisk, now - since);
            }
            (true, Some(_)) | (false, None) => {}
        }
    }
}
