//! Carries out a plan, as a pure machine: what happened and when goes in, what to do comes out. It knows no device,
//! no alarm and no disk, and never asks for the time.
//!
//! ```text
//!   ──pump, focus──> Moving ──Moved──>┐
//!   ──settle───────> Settling ─Woken─>├─> next step          end of the plan ──> Draining ──all saved──> Over
//!   ──capture──> Aiming ─Exposing─> Exposing ─Woken─>┘
//!      └─three frames out─> Crowded ─Saved─> Aiming
//!   ──strobed capture──> Aiming ─Exposing─> Flashing ─Pulsed─> Exposing
//!      (Settling ─Woken─> Flashing ─Pulsed─> next step, where a frame that is only looked at is not lit yet)
//!   ──flow──> next step at once;  before whatever moves or settles, and at the end: Landing ─Moved─> that step
//!   ──safe point, while it is to hold──> Paused ──Resume──> that step
//! ```
//!
//! The next stroke begins when the exposure is *predicted* to be over. Whether a frame was still is decided when it
//! arrives, by its own time stamp: one that overlaps motion or settling is discarded and taken again. Of a strobed one
//! the light must not overlap them, and must lie where all its lines are open; in a flow it may overlap that flow. Where
//! settling is learned, frames are looked at meanwhile, which are not kept ([`settling`](crate::settling)).

use crate::blur;
use crate::recording::{Facts, Pulse};
use crate::settling::{Learned, Optics, Settling, Studied, Study, Unlearned, Verdict};
use planktor_protocol::acquisition::Failure;
use planktor_protocol::camera::Frame;
use planktor_protocol::plan::{Cursor, POOL, Place, Step};
use planktor_protocol::strobe::Cell;
use planktor_protocol::units::{Nanolitres, NanolitresPerSecond};
use planktor_protocol::{Fault, Instant, Interval, Run, focus, pump};
use std::collections::VecDeque;
use std::time::Duration;

/// After the predicted end of an exposure: seven lines of an IMX477, by which prediction and time stamps may differ. Too little
/// costs a frame that is taken again, and is no danger: in so short a time a ramp turns less than a hundredth of a microstep.
pub(crate) const MARGIN: Duration = Duration::from_micros(200);
/// A camera whose frames differ from what was predicted gets more, up to this.
const LONGEST_MARGIN: Duration = Duration::from_millis(5);
/// Frames that may be lost one after the other. A camera that drops more does not work.
const MOST_LOST: u32 = 3;

/// What happened. Facts are large, and moved: a box would be memory that is asked for while frames are taken.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "as above")]
pub enum Input {
    /// The motor that was told to move stands since then.
    Moved(Instant),
    /// The instant that was asked for has come.
    Woken,
    /// The camera says which frame it will be, and when its light is to be on if it is strobed.
    Exposing(Run, Interval, Option<Interval>, Facts),
    /// Within this interval the light of a strobed frame was on.
    Pulsed(Run, Interval),
    /// A frame arrived.
    Frame(Run, Frame),
    /// A frame will never arrive.
    Missed(Run),
    /// A frame is on disk.
    Saved(Run),
    /// What came of a [`Study`].
    Studied(Studied),
    /// Hold at the next safe point ([`Plan::is_safe_before`](planktor_protocol::plan::Plan::is_safe_before)).
    Pause,
    /// Go on.
    Resume,
}

/// Whether it holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hold {
    /// It goes on.
    No,
    /// It will, at the next safe point.
    Soon,
    /// It does.
    Now,
}

/// What to do.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "as Input")]
pub enum Act {
    /// Make a stroke; answer `Moved`.
    Pump(pump::Move),
    /// Move the stage; answer `Moved`.
    Focus(focus::Move),
    /// Answer `Woken` then.
    Wake(Instant),
    /// Take a frame; answer `Exposing`, then `Frame` or `Missed`, under the name of the run.
    Capture {
        /// Its name.
        run: Run,
        /// The earliest instant at which it may begin.
        not_before: Instant,
        /// How long its light is on, if it is strobed.
        strobe: Option<Duration>,
    },
    /// Have the light on in this interval, for this frame; answer `Pulsed`.
    Flash(Run, Interval),
    /// Write a frame; answer `Saved`.
    Keep(Run, Frame, Facts),
    /// Look closer, beside the loop; answer `Studied`.
    Study(Study),
    /// How long the water needs to come to rest, or why that is not known: to be written down.
    Note(Result<Learned, Unlearned>),
    /// The plan is carried out, or cannot be.
    Over(Result<(), Failure>),
}

/// What is still, and since when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stillness {
    /// The last motion, from its order to its confirmed end.
    pub motion: Option<Interval>,
    /// The end of that and of the settling after it.
    pub settled: Instant,
    /// Pumped so far, as asked; a flow counts as a whole from its begin.
    pub pumped: Nanolitres,
    /// What flows meanwhile.
    pub flow: Option<Flowing>,
}

/// A stroke that nobody waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flowing {
    /// Since it was ordered.
    pub since: Instant,
    /// How fast.
    pub flow: NanolitresPerSecond,
    /// Through what.
    pub cell: Cell,
}

#[derive(Debug)]
enum Phase {
    Moving {
        from: Instant,
    },
    Settling,
    Crowded(Place, Option<Duration>),
    Aiming,
    /// Until its light is over, or that of the frame that was looked at before.
    Flashing,
    Exposing,
    /// Until the flow is over.
    Landing(Option<(Place, Step)>),
    /// Until it is to go on.
    Paused(Place, Step),
    Draining,
    Over,
}

/// A frame from its order until it is on disk.
#[derive(Debug)]
struct Shot {
    run: Run,
    place: Place,
    settled: Instant,
    disturbed: Option<Instant>,
    /// How long its light is to be on.
    strobe: Option<Duration>,
    /// In what it was taken.
    flow: Option<Flowing>,
    facts: Option<Facts>,
    frame: Option<Frame>,
    to_write: bool,
    /// It is the first after a settling that is learned.
    is_checked: bool,
    /// It is being compared with the frame before it.
    compared: bool,
}

impl Shot {
    /// Whether light came into it in motion or settling, or in a flow for so long that something may have gone farther than
    /// so many nanometres, or before all lines were open or after; `None`: not known yet.
    fn is_good(&self, most_nm: u128) -> Option<bool> {
        let (frame, facts, lit) = (self.frame.as_ref()?, self.facts.as_ref()?, self.lit()?);
        let settled = match self.flow {
            None => lit.from >= self.settled,
            Some(Flowing { flow, cell, .. }) => blur::worst_nm(cell, flow, lit.duration()) <= most_nm,
        };
        let undisturbed = self.disturbed.is_none_or(|since| lit.to <= since);
        let open = || facts.mode.and_then(|mode| mode.open(frame.interval));
        let whole = self.strobe.is_none() || open().is_some_and(|open| open.contains(lit));
        Some(settled && undisturbed && whole)
    }

    /// While light came into it, if that is known.
    fn lit(&self) -> Option<Interval> {
        match self.strobe {
            None => Some(self.frame.as_ref()?.interval),
            Some(_) => Some(self.facts.as_ref()?.pulse?.within),
        }
    }
}

/// The machine.
#[derive(Debug)]
pub struct Sequence {
    cursor: Cursor,
    total: u32,
    phase: Phase,
    still: Stillness,
    shots: Vec<Shot>,
    /// Half a pixel: how far anything may go in a frame of a flow, nm.
    most_nm: u128,
    /// Since when nothing but the camera has been waited for, where that is later than the end of settling: since the lamp
    /// is dark, since the end of the exposure before in a flow, since the disk has room, since it goes on.
    ready: Instant,
    next_run: Run,
    unlit: Instant,
    saved: u32,
    lost_in_a_row: u32,
    lost: u32,
    /// After the predicted end of an exposure; longer when frames are lost.
    margin: Duration,
    /// Frames that were lost and cannot be taken again.
    missing: u32,
    /// Whether it is to hold.
    pausing: bool,
    settling: Settling,
    acts: VecDeque<Act>,
}

impl Sequence {
    /// Begins where the cursor stands, with so many frames on disk; its captures are named by runs from `first` on. A strobed
    /// frame is lit from `unlit` on at the earliest: what was exposed before has seen the lamp as it was.
    pub fn begin(
        cursor: Cursor,
        saved: u32,
        first: Run,
        optics: Optics,
        unlit: Instant,
        now: Instant,
    ) -> Self {
        let mut sequence = Self {
            total: cursor.plan().frames(),
            pausing: false,
            cursor,
            phase: Phase::Settling,
            still: Stillness { motion: None, settled: now, pumped: Nanolitres(0), flow: None },
            shots: Vec::with_capacity(POOL as usize),
            most_nm: u128::from(optics.pixel_nm) / 2,
            ready: now.max(unlit),
            next_run: first,
            unlit,
            saved,
            lost_in_a_row: 0,
            lost: 0,
            margin: MARGIN,
            missing: 0,
            settling: Settling::new(optics),
            acts: VecDeque::with_capacity(8),
        };
        sequence.next(now);
        sequence
    }

    /// What to do now; asked until there is nothing left.
    pub fn act(&mut self) -> Option<Act> {
        self.acts.pop_front()
    }

    /// What is still, and since when.
    pub fn still(&self) -> Stillness {
        self.still
    }

    /// Frames so far that never came, or were not still.
    pub fn lost_so_far(&self) -> u32 {
        self.lost
    }

    /// Since when nothing but the next step has been waited for: the end of settling, of an exposure, of its light, of a pause.
    pub fn ready(&self) -> Instant {
        self.still.settled.max(self.ready)
    }

    /// The camera streams so from now on.
    pub fn streams(&mut self, cadence: Duration) {
        self.settling.streams(cadence);
    }

    /// Whether a capture is one of a frame that is to be kept.
    pub fn takes(&self, run: Run) -> bool {
        self.shots.iter().any(|shot| shot.run == run)
    }

    /// Until when the water settles, while it does, nothing is learned of it, and no frame is still with the camera.
    pub fn settles_until(&self) -> Option<Instant> {
        // What has gone to be written has neither.
        let with_camera = self.shots.iter().any(|shot| shot.frame.is_none() && shot.facts.is_some());
        let settles = matches!(self.phase, Phase::Settling) && !self.settling.is_learning();
        (settles && !with_camera).then_some(self.still.settled)
    }

    /// Whether it waits because as many frames as may be are not on disk yet.
    pub fn waits_for_disk(&self) -> bool {
        matches!(self.phase, Phase::Crowded(..))
    }

    /// Whether it holds.
    pub fn hold(&self) -> Hold {
        match (&self.phase, self.pausing) {
            (Phase::Paused(..), _) => Hold::Now,
            (_, true) => Hold::Soon,
            (_, false) => Hold::No,
        }
    }

    /// Whether it learns how long the water needs to come to rest.
    pub fn is_learning(&self) -> bool {
        self.settling.is_learning()
    }

    /// Takes what happened.
    pub fn on(&mut self, now: Instant, input: Input) {
        match (&self.phase, input) {
            (Phase::Over, _) => {}
            (Phase::Moving { from }, Input::Moved(end)) => {
                self.still.motion = Some(Interval { from: *from, to: end });
                self.still.settled = end;
                self.next(now);
            }
            (_, Input::Moved(end)) if self.still.flow.is_some() => self.landed(end, now),
            (Phase::Settling, Input::Woken) => {
                self.settling.over();
                match self.settling.is_asking() && self.cursor.plan().strobe().is_some() {
                    // A lamp gives one pulse at a time.
                    true => self.phase = Phase::Flashing,
                    false => self.next(now),
                }
            }
            (Phase::Exposing, Input::Woken) => self.next(now),
            (_, Input::Exposing(run, interval, pulse, _)) if self.settling.exposing(run, interval, pulse) => {
                self.acts.extend(pulse.map(|pulse| Act::Flash(run, pulse)));
                self.look();
            }
            (Phase::Aiming, Input::Exposing(_, interval, pulse, facts)) => {
                self.exposing(interval, pulse, facts);
            }
            (Phase::Flashing, Input::Pulsed(run, pulse)) if self.settling.pulsed(run, pulse) => {
                self.next(now)
            }
            (_, Input::Pulsed(run, pulse)) if self.settling.pulsed(run, pulse) => self.look(),
            (_, Input::Pulsed(run, pulse)) => self.pulsed(run, pulse, now),
            (_, Input::Studied(studied)) => self.studied(studied, now),
            (_, Input::Frame(run, frame)) => match self.settling.awaited(run) {
                Some(lit) => {
                    let study = self.settling.looked(run, &frame, lit);
                    self.acts.extend(study.map(Act::Study));
                    self.look();
                }
                None => self.arrived(run, frame, now),
            },
            (_, Input::Missed(run)) => match self.settling.awaited(run) {
                Some(_) => self.look(),
                None => self.lost(run, now),
            },
            (_, Input::Saved(run)) => {
                self.saved += 1;
                self.shots.retain(|shot| shot.run != run);
                self.room(now);
            }
            (_, Input::Pause) => self.pausing = true,
            (_, Input::Resume) => {
                self.pausing = false;
                if let Phase::Paused(place, step) = &self.phase {
                    let (place, step) = (*place, step.clone());
                    self.ready = now;
                    if !self.does(place, step, now) {
                        self.next(now);
                    }
                }
            }
            // An alarm or an answer that this phase does not wait for changes nothing.
            (_, Input::Moved(_) | Input::Woken | Input::Exposing(..)) => {}
        }
    }

    /// Does steps up to the next one that is to be waited for.
    fn next(&mut self, now: Instant) {
        while let Some((place, step)) = self.cursor.advance() {
            if self.pausing && self.cursor.plan().is_safe_before(&step) {
                self.phase = Phase::Paused(place, step);
                return;
            }
            if self.does(place, step, now) {
                return;
            }
        }
        if self.still.flow.is_some() {
            self.phase = Phase::Landing(None);
            return;
        }
        self.phase = Phase::Draining;
        self.room(now);
    }

    /// The flow is over; whatever waited for that is done.
    fn landed(&mut self, end: Instant, now: Instant) {
        if let Some(Flowing { since, .. }) = self.still.flow.take() {
            self.still.motion = Some(Interval { from: since, to: end });
            self.still.settled = end;
        }
        match std::mem::replace(&mut self.phase, Phase::Settling) {
            Phase::Landing(Some((place, step))) => {
                if !self.does(place, step, now) {
                    self.next(now);
                }
            }
            Phase::Landing(None) => self.next(now),
            other => self.phase = other,
        }
    }

    /// Does a step; whether it is to be waited for.
    fn does(&mut self, place: Place, step: Step, now: Instant) -> bool {
        match step {
            Step::Pump { .. } | Step::Flow { .. } | Step::Focus { .. } | Step::Settle(_)
                if self.still.flow.is_some() =>
            {
                self.phase = Phase::Landing(Some((place, step)));
            }
            Step::Pump { volume, flow } => {
                self.still.pumped = Nanolitres(self.still.pumped.0.saturating_add(volume.0));
                self.moving(Act::Pump(pump::Move { volume, flow }), now);
            }
            Step::Flow { volume, flow, cell } => {
                self.still.pumped = Nanolitres(self.still.pumped.0.saturating_add(volume.0));
                self.disturb(now);
                self.acts.push_back(Act::Pump(pump::Move { volume, flow }));
                self.still.flow = Some(Flowing { since: now, flow, cell });
                // At its begin the lamp may not be dark yet.
                self.ready = self.ready.max(now);
                return false;
            }
            Step::Focus { target, speed } => self.moving(Act::Focus(focus::Move { target, speed }), now),
            Step::Settle(time) => {
                self.still.settled = self.still.settled + time;
                if self.still.settled <= now {
                    return false;
                }
                self.wake(self.still.settled, Phase::Settling);
            }
            Step::SettleUntilStill(order) => {
                let wait = self.settling.begin(place, order, self.still.settled);
                self.still.settled = self.still.settled + wait;
                self.wake(self.still.settled, Phase::Settling);
                self.look();
            }
            Step::Capture { strobe } if self.shots.len() >= POOL as usize => {
                self.phase = Phase::Crowded(place, strobe);
            }
            Step::Capture { strobe } => self.aim(place, strobe, now),
            Step::Write => {
                self.shots.iter_mut().for_each(|shot| shot.to_write = true);
                self.release();
                return false;
            }
            Step::Repeat { .. } => unreachable!("a cursor unrolls repeats"),
        }
        true
    }

    /// What is being exposed from now on is exposed in motion.
    fn moving(&mut self, act: Act, now: Instant) {
        self.disturb(now);
        self.acts.push_back(act);
        self.phase = Phase::Moving { from: now };
    }

    fn disturb(&mut self, now: Instant) {
        for shot in &mut self.shots {
            shot.disturbed.get_or_insert(now);
        }
        self.settling.interrupted(now);
    }

    /// Asks for the next frame that is only looked at; lit as those that are kept.
    fn look(&mut self) {
        if let Some(wanted) = self.settling.wants() {
            let not_before = wanted.max(self.unlit);
            let run = self.new_run();
            self.settling.asked(run);
            let strobe = self.cursor.plan().strobe();
            self.acts.push_back(Act::Capture { run, not_before, strobe });
        }
    }

    fn studied(&mut self, studied: Studied, now: Instant) {
        match studied {
            Studied::Compared(run, shift) => match self.settling.compared(run, shift) {
                Verdict::Still(moved_nm) => self.accept(run, moved_nm),
                Verdict::Moved => self.lost(run, now),
            },
            Studied::Fitted(run, result) => {
                let news = self.settling.fitted(run, result);
                self.acts.extend(news.map(Act::Note));
            }
        }
        let run = self.new_run();
        self.acts.extend(self.settling.fit(run).map(Act::Study));
    }

    fn new_run(&mut self) -> Run {
        let run = self.next_run;
        self.next_run = Run(run.0 + 1);
        run
    }

    fn wake(&mut self, then: Instant, phase: Phase) {
        self.acts.push_back(Act::Wake(then));
        self.phase = phase;
    }

    fn aim(&mut self, place: Place, strobe: Option<Duration>, now: Instant) {
        let run = self.new_run();
        let (settled, is_checked) = (self.still.settled, self.settling.disarm());
        let shot = Shot {
            run,
            place,
            settled,
            disturbed: None,
            strobe,
            flow: self.still.flow,
            facts: None,
            frame: None,
            to_write: false,
            is_checked,
            compared: false,
        };
        self.shots.push(shot);
        self.acts.push_back(Act::Capture { run, not_before: settled.max(now).max(self.unlit), strobe });
        self.phase = Phase::Aiming;
    }

    fn exposing(&mut self, interval: Interval, pulse: Option<Interval>, facts: Facts) {
        let Some(shot) = self.shots.last_mut() else { return };
        shot.facts = Some(facts);
        match pulse {
            Some(pulse) => {
                self.acts.push_back(Act::Flash(shot.run, pulse));
                self.phase = Phase::Flashing;
            }
            None => self.exposed(interval.to, interval.to + self.margin),
        }
    }

    /// A settling that follows counts from the end of the exposure, or of the light.
    fn exposed(&mut self, end: Instant, then: Instant) {
        self.ready = end;
        // A flow's frames settle nothing.
        if self.still.flow.is_none() {
            self.still.settled = end;
        }
        self.wake(then, Phase::Exposing);
    }

    fn pulsed(&mut self, run: Run, pulse: Interval, now: Instant) {
        // Its frame may have been lost meanwhile.
        let shot = self.shots.iter_mut().find(|shot| shot.run == run);
        if let Some((facts, asked)) = shot.and_then(|shot| shot.facts.as_mut().zip(shot.strobe)) {
            facts.pulse = Some(Pulse { asked, within: pulse });
        }
        if matches!(self.phase, Phase::Flashing) {
            self.exposed(pulse.to, pulse.to);
        }
        self.judge(run, now);
    }

    fn arrived(&mut self, run: Run, frame: Frame, now: Instant) {
        let Some(shot) = self.shots.iter_mut().find(|shot| shot.run == run) else { return };
        shot.frame = Some(frame);
        self.judge(run, now);
    }

    /// Whether a frame is as it must be, as soon as all is known of it; then it may have to be compared with the one before.
    fn judge(&mut self, run: Run, now: Instant) {
        let Some(shot) = self.shots.iter_mut().find(|shot| shot.run == run) else { return };
        match shot.is_good(self.most_nm) {
            None => {}
            Some(false) => self.lost(run, now),
            Some(true) => {
                let is_checked = std::mem::take(&mut shot.is_checked);
                let taken = shot.frame.as_ref().zip(shot.lit()).filter(|_| is_checked);
                match taken.and_then(|(frame, lit)| self.settling.check(run, frame, lit)) {
                    Some(study) => {
                        shot.compared = true;
                        self.acts.push_back(Act::Study(study));
                    }
                    None => self.accept(run, None),
                }
            }
        }
    }

    /// A frame is good; a name that is none of theirs was only looked at.
    fn accept(&mut self, run: Run, moved_nm: Option<i64>) {
        let Some(shot) = self.shots.iter_mut().find(|shot| shot.run == run) else { return };
        shot.compared = false;
        if let Some(facts) = &mut shot.facts {
            facts.moved_nm = moved_nm;
        }
        self.lost_in_a_row = 0;
        self.release();
    }

    /// Frames that are here and to be written go.
    fn release(&mut self) {
        let most_nm = self.most_nm;
        let good = |shot: &&mut Shot| shot.to_write && !shot.compared && shot.is_good(most_nm) == Some(true);
        for shot in self.shots.iter_mut().filter(good) {
            if let (Some(frame), Some(facts)) = (shot.frame.take(), shot.facts.take()) {
                self.acts.push_back(Act::Keep(shot.run, frame, facts));
            }
        }
    }

    fn lost(&mut self, run: Run, now: Instant) {
        let Some(i) = self.shots.iter().position(|shot| shot.run == run) else { return };
        self.missing += u32::from(!self.cursor.owe(self.shots.remove(i).place));
        self.lost_in_a_row += 1;
        self.lost += 1;
        self.margin = (self.margin * 4).min(LONGEST_MARGIN);
        if self.lost_in_a_row > MOST_LOST {
            return self.over(Err(self.frames_lost()));
        }
        self.room(now);
    }

    /// There is a frame less under way.
    fn room(&mut self, now: Instant) {
        match self.phase {
            Phase::Crowded(place, strobe) => {
                self.ready = now;
                self.aim(place, strobe, now);
            }
            Phase::Draining if self.cursor.owes() => self.next(now),
            Phase::Draining if self.shots.is_empty() && self.missing == 0 => self.over(Ok(())),
            Phase::Draining if self.shots.is_empty() => self.over(Err(self.frames_lost())),
            Phase::Moving { .. }
            | Phase::Settling
            | Phase::Aiming
            | Phase::Flashing
            | Phase::Exposing
            | Phase::Landing(..)
            | Phase::Paused(..)
            | Phase::Draining
            | Phase::Over => {}
        }
    }

    fn frames_lost(&self) -> Failure {
        Failure::Camera { image: self.saved + 1, total: self.total, cause: Fault::FramesLost }
    }

    fn over(&mut self, result: Result<(), Failure>) {
        self.phase = Phase::Over;
        self.acts.push_back(Act::Over(result));
    }
}

#[cfg(test)]
mod tests;
