//! Carries out a plan, as a pure machine: what happened and when goes in, what to do comes out. It knows no device,
//! no alarm and no disk, and never asks for the time.
//!
//! ```text
//!   ──pump, focus──> Moving ──Moved──>┐
//!   ──settle───────> Settling ─Woken─>├─> next step          end of the plan ──> Draining ──all saved──> Over
//!   ──capture──> Aiming ─Exposing─> Exposing ─Woken─>┘
//!      └─three frames out─> Crowded ─Saved─> Aiming
//!   ──safe point, while it is to hold──> Paused ──Resume──> that step
//! ```
//!
//! The next stroke begins when the exposure is *predicted* to be over. Whether a frame was still is decided when it
//! arrives, by its own time stamp: one that overlaps motion or settling is discarded and taken again.

use crate::recording::Facts;
use planktor_protocol::acquisition::Failure;
use planktor_protocol::camera::Frame;
use planktor_protocol::plan::{Cursor, POOL, Place, Step};
use planktor_protocol::units::Nanolitres;
use planktor_protocol::{Fault, Instant, Interval, Run, focus, pump};
use std::collections::VecDeque;
use std::time::Duration;

/// After the predicted end of an exposure: seven lines of an IMX477, by which prediction and time stamps may differ. Too little
/// costs a frame that is taken again, and is no danger: in so short a time a ramp turns less than a hundredth of a microstep.
pub(crate) const MARGIN: Duration = Duration::from_micros(200);
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
    /// The camera says which frame it will be.
    Exposing(Interval, Facts),
    /// A frame arrived.
    Frame(Run, Frame),
    /// A frame will never arrive.
    Missed(Run),
    /// A frame is on disk.
    Saved(Run),
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
    },
    /// Write a frame; answer `Saved`.
    Keep(Run, Frame, Facts),
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
    /// Pumped so far, as asked.
    pub pumped: Nanolitres,
}

#[derive(Debug)]
enum Phase {
    Moving {
        from: Instant,
    },
    Settling,
    Crowded(Place),
    Aiming,
    Exposing,
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
    facts: Option<Facts>,
    frame: Option<Frame>,
    to_write: bool,
}

/// The machine.
#[derive(Debug)]
pub struct Sequence {
    cursor: Cursor,
    total: u32,
    phase: Phase,
    still: Stillness,
    shots: Vec<Shot>,
    next_run: Run,
    saved: u32,
    lost_in_a_row: u32,
    lost: u32,
    /// Frames that were lost and cannot be taken again.
    missing: u32,
    /// Whether it is to hold.
    pausing: bool,
    acts: VecDeque<Act>,
}

impl Sequence {
    /// Begins where the cursor stands, with so many frames on disk; its captures are named by runs from `first` on.
    pub fn begin(cursor: Cursor, saved: u32, first: Run, now: Instant) -> Self {
        let mut sequence = Self {
            total: cursor.plan().frames(),
            pausing: false,
            cursor,
            phase: Phase::Settling,
            still: Stillness { motion: None, settled: now, pumped: Nanolitres(0) },
            shots: Vec::with_capacity(POOL as usize),
            next_run: first,
            saved,
            lost_in_a_row: 0,
            lost: 0,
            missing: 0,
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

    /// Until when the water settles, while it does and no frame is still with the camera.
    pub fn settles_until(&self) -> Option<Instant> {
        // What has gone to be written has neither.
        let with_camera = self.shots.iter().any(|shot| shot.frame.is_none() && shot.facts.is_some());
        (matches!(self.phase, Phase::Settling) && !with_camera).then_some(self.still.settled)
    }

    /// Whether it waits because as many frames as may be are not on disk yet.
    pub fn waits_for_disk(&self) -> bool {
        matches!(self.phase, Phase::Crowded(_))
    }

    /// Whether it holds.
    pub fn hold(&self) -> Hold {
        match (&self.phase, self.pausing) {
            (Phase::Paused(..), _) => Hold::Now,
            (_, true) => Hold::Soon,
            (_, false) => Hold::No,
        }
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
            (Phase::Settling | Phase::Exposing, Input::Woken) => self.next(now),
            (Phase::Aiming, Input::Exposing(interval, facts)) => self.exposing(interval, facts),
            (_, Input::Frame(run, frame)) => self.arrived(run, frame, now),
            (_, Input::Missed(run)) => self.lost(run, now),
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
        self.phase = Phase::Draining;
        self.room(now);
    }

    /// Does a step; whether it is to be waited for.
    fn does(&mut self, place: Place, step: Step, now: Instant) -> bool {
        match step {
            Step::Pump { volume, flow } => {
                self.still.pumped = Nanolitres(self.still.pumped.0.saturating_add(volume.0));
                self.moving(Act::Pump(pump::Move { volume, flow }), now);
            }
            Step::Focus { target, speed } => self.moving(Act::Focus(focus::Move { target, speed }), now),
            Step::Settle(time) => {
                self.still.settled = self.still.settled + time;
                if self.still.settled <= now {
                    return false;
                }
                self.wake(self.still.settled, Phase::Settling);
            }
            Step::Capture if self.shots.len() >= POOL as usize => self.phase = Phase::Crowded(place),
            Step::Capture => self.aim(place, now),
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
        for shot in &mut self.shots {
            shot.disturbed.get_or_insert(now);
        }
        self.acts.push_back(act);
        self.phase = Phase::Moving { from: now };
    }

    fn wake(&mut self, then: Instant, phase: Phase) {
        self.acts.push_back(Act::Wake(then));
        self.phase = phase;
    }

    fn aim(&mut self, place: Place, now: Instant) {
        let run = self.next_run;
        self.next_run = Run(run.0 + 1);
        let settled = self.still.settled;
        let shot = Shot { run, place, settled, disturbed: None, facts: None, frame: None, to_write: false };
        self.shots.push(shot);
        self.acts.push_back(Act::Capture { run, not_before: settled.max(now) });
        self.phase = Phase::Aiming;
    }

    fn exposing(&mut self, interval: Interval, facts: Facts) {
        if let Some(shot) = self.shots.last_mut() {
            shot.facts = Some(facts);
        }
        // A settling that follows counts from the exposure's end.
        self.still.settled = interval.to;
        self.wake(interval.to + MARGIN, Phase::Exposing);
    }

    fn arrived(&mut self, run: Run, frame: Frame, now: Instant) {
        let Some(shot) = self.shots.iter_mut().find(|shot| shot.run == run) else { return };
        let Interval { from, to } = frame.interval;
        if from < shot.settled || shot.disturbed.is_some_and(|since| to > since) {
            return self.lost(run, now);
        }
        self.lost_in_a_row = 0;
        shot.frame = Some(frame);
        self.release();
    }

    /// Frames that are here and to be written go.
    fn release(&mut self) {
        for shot in self.shots.iter_mut().filter(|shot| shot.to_write && shot.frame.is_some()) {
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
        if self.lost_in_a_row > MOST_LOST {
            return self.over(Err(self.frames_lost()));
        }
        self.room(now);
    }

    /// There is a frame less under way.
    fn room(&mut self, now: Instant) {
        match self.phase {
            Phase::Crowded(place) => self.aim(place, now),
            Phase::Draining if self.cursor.owes() => self.next(now),
            Phase::Draining if self.shots.is_empty() && self.missing == 0 => self.over(Ok(())),
            Phase::Draining if self.shots.is_empty() => self.over(Err(self.frames_lost())),
            Phase::Moving { .. }
            | Phase::Settling
            | Phase::Aiming
            | Phase::Exposing
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
mod tests {
    use super::*;
    use planktor_protocol::camera::{Picture, Pixels};
    use planktor_protocol::motion::ChipClocks;
    use planktor_protocol::plan::Plan;
    use planktor_protocol::units::{Micrometres, NanolitresPerSecond};
    use std::sync::Arc;

    #[derive(Debug)]
    struct Blank;
    impl Picture for Blank {
        fn develop(&self) -> Pixels {
            unreachable!("the sequence looks at no pixels")
        }
    }

    /// A sequence and a world in which every stroke takes 400 ms, an exposure 87 ms, a transfer 8, writing 250.
    struct Bench {
        sequence: Sequence,
        now: Instant,
        due: Vec<(Instant, Input)>,
        log: String,
        kept: Vec<(Interval, Facts)>,
        /// Captures, counted from 0, whose frame never comes.
        missing: Vec<usize>,
        captures: usize,
        most_out: usize,
    }

    const STROKE: Duration = Duration::from_millis(400);
    const SETTLE: Duration = Duration::from_millis(500);
    const EXPOSURE: Duration = Duration::from_millis(87);

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    fn facts(still: Stillness) -> Facts {
        let Stillness { motion, settled, pumped } = still;
        let (height, height_uncertain) = (Micrometres(0), false);
        Facts {
            motion,
            settled,
            pumped,
            height,
            height_uncertain,
            light: None,
            fix: None,
            time: None,
            mode: None,
            clocks: ChipClocks::default(),
        }
    }

    impl Bench {
        fn run(plan: Plan, missing: Vec<usize>) -> Self {
            let sequence = Sequence::begin(Cursor::new(plan), 0, Run(1), Instant::ZERO);
            let mut bench = Self {
                sequence,
                now: Instant::ZERO,
                due: vec![],
                log: String::new(),
                kept: vec![],
                missing,
                captures: 0,
                most_out: 0,
            };
            loop {
                while let Some(act) = bench.sequence.act() {
                    bench.act(act);
                }
                bench.due.sort_by_key(|(due, _)| *due);
                if bench.due.is_empty() {
                    return bench;
                }
                bench.most_out = bench.most_out.max(bench.sequence.shots.len());
                let (due, input) = bench.due.remove(0);
                bench.now = bench.now.max(due);
                bench.sequence.on(bench.now, input);
            }
        }

        fn act(&mut self, act: Act) {
            let now = self.now;
            match act {
                Act::Pump(_) | Act::Focus(_) => {
                    self.log.push('m');
                    self.due.push((now + STROKE, Input::Moved(now + STROKE)));
                }
                Act::Wake(then) => self.due.push((then, Input::Woken)),
                Act::Capture { run, not_before } => {
                    self.log.push('c');
                    let interval = Interval { from: not_before, to: not_before + EXPOSURE };
                    self.due.push((now, Input::Exposing(interval, facts(self.sequence.still()))));
                    let arrives = interval.to + ms(8);
                    let frame = Frame { seq: run.0, interval, picture: Arc::new(Blank) };
                    let missing = self.missing.contains(&self.captures);
                    self.captures += 1;
                    self.due
                        .push((arrives, if missing { Input::Missed(run) } else { Input::Frame(run, frame) }));
                }
                Act::Keep(run, frame, facts) => {
                    self.log.push('k');
                    self.kept.push((frame.interval, facts));
                    self.due.push((now + ms(250), Input::Saved(run)));
                }
                Act::Over(result) => self.log.push(if result.is_ok() { '.' } else { '!' }),
            }
        }
    }

    fn stop_flow(frames: u32) -> Plan {
        let stroke = pump::Move { volume: Nanolitres(6_000), flow: NanolitresPerSecond(50_000) };
        Plan::stop_flow(frames, stroke, SETTLE).unwrap()
    }

    #[test]
    fn a_frame_begins_only_after_motion_and_settling() {
        let bench = Bench::run(stop_flow(4), vec![]);
        assert_eq!(bench.kept.len(), 4);
        for (exposure, facts) in &bench.kept {
            let motion = facts.motion.unwrap();
            assert_eq!(facts.settled, motion.to + SETTLE);
            assert!(exposure.from >= facts.settled);
        }
        for pair in bench.kept.windows(2) {
            assert!(
                pair[1].1.motion.unwrap().from >= pair[0].0.to,
                "the next stroke waits for the exposure's end"
            );
        }
    }

    #[test]
    fn the_next_stroke_does_not_wait_for_the_disk() {
        assert_eq!(Bench::run(stop_flow(2), vec![]).log, "mcmkck.");
    }

    #[test]
    fn a_missing_frame_is_taken_again_after_one_more_stroke() {
        let bench = Bench::run(stop_flow(3), vec![2]);
        assert_eq!(bench.kept.len(), 3);
        assert_eq!(bench.log.matches('m').count(), 4);
        assert!(bench.log.ends_with('.'));
    }

    #[test]
    fn a_camera_that_loses_everything_ends_the_run() {
        let bench = Bench::run(stop_flow(30), (0..30).collect());
        assert!(bench.log.ends_with('!'), "{}", bench.log);
        assert_eq!(bench.captures, 4);
    }

    #[test]
    fn no_more_frames_are_out_than_the_pool_holds() {
        let steps = vec![Step::Repeat { times: 9, steps: vec![Step::Capture, Step::Write] }];
        let bench = Bench::run(Plan::new(steps).unwrap(), vec![]);
        assert_eq!(bench.kept.len(), 9);
        assert!(bench.most_out <= POOL as usize, "{}", bench.most_out);
    }

    #[test]
    fn a_frame_that_was_exposed_in_motion_is_discarded() {
        let mut sequence = Sequence::begin(Cursor::new(stop_flow(1)), 0, Run(1), Instant::ZERO);
        let at = |t| Instant::ZERO + ms(t);
        assert!(matches!(sequence.act(), Some(Act::Pump(_))));
        sequence.on(at(400), Input::Moved(at(400)));
        assert!(matches!(sequence.act(), Some(Act::Wake(t)) if t == at(900)));
        sequence.on(at(900), Input::Woken);
        assert!(matches!(sequence.act(), Some(Act::Capture { run: Run(1), .. })));
        let predicted = Interval { from: at(900), to: at(987) };
        let facts = facts(sequence.still());
        sequence.on(at(900), Input::Exposing(predicted, facts));
        let early =
            Frame { seq: 1, interval: Interval { from: at(899), to: at(986) }, picture: Arc::new(Blank) };
        sequence.on(at(995), Input::Frame(Run(1), early));
        sequence.on(at(995), Input::Woken);
        let acts: Vec<_> = std::iter::from_fn(|| sequence.act()).collect();
        assert!(acts.iter().any(|act| matches!(act, Act::Pump(_))), "another stroke: {acts:?}");
        assert!(!acts.iter().any(|act| matches!(act, Act::Keep(..))));
    }
}
