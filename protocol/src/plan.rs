//! An acquisition is data: a plan is a list of steps, checked as a whole before anything moves, and a [`Cursor`]
//! that says what comes next. Nothing here knows a device or a clock.
//!
//! A *strobed* capture is lit by a pulse instead of being cut out by its exposure: lines integrate in the dark, the light
//! pulses when all of them do. A *flow* is a stroke that nobody waits for: strobed captures are taken while it lasts.

use crate::focus;
use crate::pump;
use crate::strobe::{Cell, PULSES};
use crate::units::{Micrometres, MicrometresPerSecond, Nanolitres, NanolitresPerSecond};
use std::collections::VecDeque;
use std::time::Duration;

/// Frames that may be held between two `Write` steps: as many as the camera's pool has.
pub const POOL: u32 = 3;

/// More steps than any protocol needs; bounds what a message can make us store.
const MOST_STEPS: usize = 1_000;
/// Repeats within repeats; samples, stops, planes and colours need four.
const MOST_NESTED: usize = 8;
/// A day of frames, one a second, is 86,400; a longer run is several data sets. Whoever reads a data set reads all its records.
const MOST_FRAMES: u64 = 100_000;
/// Steps with all their repeats: who walks through a plan needs a fraction of a microsecond for each.
const MOST_DONE: u64 = 2_000_000;
/// A series every hour is the longest pause anybody has asked for; a day leaves room.
const LONGEST_SETTLE: Duration = Duration::from_secs(24 * 3600);

/// Water that is not still after so long has something that waiting does not cure. It also bounds what is looked at to
/// learn: some hundred frames a stroke.
const LONGEST_UNTIL_STILL: Duration = Duration::from_secs(30);
/// A micrometre is more than a pixel of any preset; ten of them are no picture.
const MOST_RESIDUAL_NM: u32 = 100_000;

/// How still the water is to be, and within which times that is to be reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UntilStill {
    /// How far the pump may still move the water while a frame is exposed, nm; half a pixel if nothing is said.
    pub residual_nm: Option<u32>,
    /// Not less is waited, however still it is.
    pub at_least: Duration,
    /// Not longer is waited, however much it moves; so long, too, while nothing has been learned.
    pub at_most: Duration,
}

impl Default for UntilStill {
    /// Half a pixel; a tenth of a second to three seconds.
    fn default() -> Self {
        Self { residual_nm: None, at_least: Duration::from_millis(100), at_most: Duration::from_secs(3) }
    }
}

/// One thing to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// A stroke of the pump.
    Pump {
        /// Negative pumps backwards.
        volume: Nanolitres,
        /// How fast.
        flow: NanolitresPerSecond,
    },
    /// Leave everything alone for so long, counted from the real end of the last motion.
    Settle(Duration),
    /// The same for as long as the water needs: learned from how the first strokes die away. Right after a stroke only.
    SettleUntilStill(UntilStill),
    /// Move the stage.
    Focus {
        /// Where to.
        target: focus::Target,
        /// How fast.
        speed: MicrometresPerSecond,
    },
    /// A stroke that nobody waits for until the next step that moves something or settles, or the plan's end: the strobed
    /// captures in between are taken while the water flows.
    Flow {
        /// Negative pumps backwards.
        volume: Nanolitres,
        /// How fast.
        flow: NanolitresPerSecond,
        /// Through what: the blur follows from it.
        cell: Cell,
    },
    /// Take a frame; lit by a pulse of so long, if that is said.
    Capture {
        /// How long the light is on: it takes the exposure's place.
        strobe: Option<Duration>,
    },
    /// Give the frames taken since the last write to the data set.
    Write,
    /// Do some steps several times.
    Repeat {
        /// How often, at least once.
        times: u32,
        /// What.
        steps: Vec<Step>,
    },
}

/// What is wrong with a plan, and where: `[0].steps[2]` is the third step of the first step's list.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("plan{path}: {what}")]
pub struct Flaw {
    /// Which step.
    pub path: String,
    /// What is wrong with it, as a sentence.
    pub what: String,
}

impl Flaw {
    fn new(path: &str, what: impl Into<String>) -> Self {
        Self { path: path.into(), what: what.into() }
    }
}

/// A plan that can be carried out: checked, and unrolled into a flat list with jumps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    ops: Vec<Op>,
    frames: u32,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Op {
    Do(Step),
    Begin { times: u32 },
    End { begin: usize },
}

impl Plan {
    /// Checks the steps.
    ///
    /// # Errors
    /// The first [`Flaw`]: a repeat that is empty, endless, or takes no time; frames that are never written or more
    /// of them than the camera's pool holds; no frame at all; a zero stroke; more steps than the limits.
    pub fn new(steps: Vec<Step>) -> Result<Self, Flaw> {
        let mut ops = Vec::new();
        flatten(&steps, "", 0, &mut ops)?;
        let count = count(&steps, "", 0)?;
        if count.steps > MOST_DONE {
            return Err(Flaw::new(
                "",
                format!(
                    "does more than {MOST_DONE} steps with all its repeats; make several acquisitions of it"
                ),
            ));
        }
        plain_or_strobed(&ops)?;
        if count.held > 0 {
            return Err(Flaw::new("", "captures frames that no later step writes; add a write step"));
        }
        match u32::try_from(count.frames) {
            Ok(0) => Err(Flaw::new("", "takes no frame; add capture and write steps")),
            Ok(frames) if count.frames <= MOST_FRAMES => Ok(Self { ops, frames }),
            _ => Err(Flaw::new(
                "",
                format!("takes {} frames; at most {MOST_FRAMES} are possible", count.frames),
            )),
        }
    }

    /// The plan that the `image` command means: stop-flow, with a step of settling.
    ///
    /// # Errors
    /// As [`Plan::new`].
    pub fn stop_flow(frames: u32, stroke: pump::Move, settle: Step) -> Result<Self, Flaw> {
        let pump::Move { volume, flow } = stroke;
        let steps = vec![Step::Pump { volume, flow }, settle, Step::Capture { strobe: None }, Step::Write];
        Self::new(vec![Step::Repeat { times: frames, steps }])
    }

    /// How fast it moves the stage, if it does.
    pub fn stage_speed(&self) -> Option<MicrometresPerSecond> {
        self.ops.iter().find_map(|op| match op {
            Op::Do(Step::Focus { speed, .. }) => Some(*speed),
            _ => None,
        })
    }

    /// The same for a stage whose heights are all higher by so much.
    #[must_use]
    pub fn raised(mut self, by: Micrometres) -> Self {
        for op in &mut self.ops {
            if let Op::Do(Step::Focus { target: focus::Target::To(height), .. }) = op {
                *height = Micrometres(height.0.saturating_add(by.0));
            }
        }
        self
    }

    /// Whether nothing is half done before a step: before a stroke; in a plan without strokes before the stage moves or
    /// a frame is taken.
    pub fn is_safe_before(&self, step: &Step) -> bool {
        match step {
            Step::Pump { .. } | Step::Flow { .. } => true,
            Step::Focus { .. } | Step::Capture { .. } => self.strokes().next().is_none(),
            Step::Settle(_) | Step::SettleUntilStill(_) | Step::Write | Step::Repeat { .. } => false,
        }
    }

    /// Frames that the whole plan takes.
    pub fn frames(&self) -> u32 {
        self.frames
    }

    /// Its steps, as it was made of them.
    pub fn steps(&self) -> Vec<Step> {
        let mut open = vec![(1, Vec::new())];
        for op in &self.ops {
            match op {
                Op::Do(step) => push(&mut open, step.clone()),
                Op::Begin { times } => open.push((*times, Vec::new())),
                Op::End { .. } => {
                    if let Some((times, steps)) = open.pop() {
                        push(&mut open, Step::Repeat { times, steps });
                    }
                }
            }
        }
        open.pop().map(|(_, steps)| steps).unwrap_or_default()
    }

    /// Every stroke that occurs in it, each once.
    pub fn strokes(&self) -> impl Iterator<Item = pump::Move> + '_ {
        self.ops.iter().filter_map(|op| match *op {
            Op::Do(Step::Pump { volume, flow } | Step::Flow { volume, flow, .. }) => {
                Some(pump::Move { volume, flow })
            }
            _ => None,
        })
    }

    /// The longest of its pulses, if its frames are strobed.
    pub fn strobe(&self) -> Option<Duration> {
        self.pulses().max()
    }

    /// The shortest of its pulses.
    pub fn shortest_strobe(&self) -> Option<Duration> {
        self.pulses().min()
    }

    fn pulses(&self) -> impl Iterator<Item = Duration> {
        self.ops.iter().filter_map(|op| match op {
            Op::Do(Step::Capture { strobe }) => *strobe,
            _ => None,
        })
    }

    /// Every flow that occurs in it, each once.
    pub fn flows(&self) -> impl Iterator<Item = (NanolitresPerSecond, Cell)> {
        self.ops.iter().filter_map(|op| match op {
            Op::Do(Step::Flow { flow, cell, .. }) => Some((*flow, *cell)),
            _ => None,
        })
    }
}

/// Strobed frames have an exposure and a dark lamp of their own, so there are no others beside them; and in a flow only
/// they are sharp.
fn plain_or_strobed(ops: &[Op]) -> Result<(), Flaw> {
    let strobed = |op: &Op| match op {
        Op::Do(Step::Capture { strobe }) => Some(strobe.is_some()),
        _ => None,
    };
    let flows = ops.iter().any(|op| matches!(op, Op::Do(Step::Flow { .. })));
    let captures: Vec<_> = ops.iter().filter_map(strobed).collect();
    if flows && captures.contains(&false) {
        return Err(Flaw::new(
            "",
            "takes frames in a flow that are not strobed; give each capture its strobe_us",
        ));
    }
    if captures.contains(&true) && captures.contains(&false) {
        return Err(Flaw::new("", "strobes some of its frames; strobe all of them, or none"));
    }
    Ok(())
}

/// Appends a step to the innermost of the lists that are being made.
fn push(open: &mut [(u32, Vec<Step>)], step: Step) {
    if let Some((_, steps)) = open.last_mut() {
        steps.push(step);
    }
}

/// Appends the steps to `ops`, within the limits of number and depth; each is right by itself.
fn flatten(steps: &[Step], path: &str, depth: usize, ops: &mut Vec<Op>) -> Result<(), Flaw> {
    if depth > MOST_NESTED {
        return Err(Flaw::new(path, format!("is nested deeper than {MOST_NESTED} repeats")));
    }
    for (i, step) in steps.iter().enumerate() {
        let path = format!("{path}[{i}]");
        if ops.len() >= MOST_STEPS {
            return Err(Flaw::new(&path, format!("is beyond the {MOST_STEPS} steps that a plan may have")));
        }
        single(step).map_err(|what| Flaw::new(&path, what))?;
        if matches!(step, Step::SettleUntilStill(_)) && !matches!(ops.last(), Some(Op::Do(Step::Pump { .. })))
        {
            return Err(Flaw::new(
                &path,
                "learns how the water comes to rest; put it right after a pump step",
            ));
        }
        match step {
            Step::Repeat { times, steps } => {
                let begin = ops.len();
                ops.push(Op::Begin { times: *times });
                flatten(steps, &format!("{path}.steps"), depth + 1, ops)?;
                // Who carries a plan out does what takes no time at once: without end it would never return.
                if !ops[begin..].iter().any(takes_time) {
                    return Err(Flaw::new(
                        &path,
                        "repeats no pump, focus or capture step; repeat one of these",
                    ));
                }
                ops.push(Op::End { begin });
            }
            step => ops.push(Op::Do(step.clone())),
        }
    }
    Ok(())
}

fn takes_time(op: &Op) -> bool {
    matches!(op, Op::Do(Step::Pump { .. } | Step::Flow { .. } | Step::Focus { .. } | Step::Capture { .. }))
}

/// What is wrong with a step by itself.
fn single(step: &Step) -> Result<(), String> {
    match step {
        Step::Repeat { times: 0, .. } => Err("repeats nothing; give times of at least 1".into()),
        Step::Settle(time) if *time > LONGEST_SETTLE => {
            Err(format!("settles for more than {} s", LONGEST_SETTLE.as_secs()))
        }
        Step::SettleUntilStill(UntilStill { at_least, at_most, .. }) if at_least > at_most => {
            Err("waits at least longer than at most; swap the two".into())
        }
        Step::SettleUntilStill(UntilStill { at_most, .. }) if *at_most > LONGEST_UNTIL_STILL => {
            Err(format!("waits for more than {} s; a plain settle step can", LONGEST_UNTIL_STILL.as_secs()))
        }
        Step::SettleUntilStill(UntilStill { residual_nm: Some(nm), .. })
            if !(1..=MOST_RESIDUAL_NM).contains(nm) =>
        {
            Err(format!("allows a residual motion of {nm} nm; 1 to {MOST_RESIDUAL_NM} are possible"))
        }
        Step::Pump { volume: Nanolitres(0), .. } | Step::Flow { volume: Nanolitres(0), .. } => {
            Err("pumps no volume".into())
        }
        Step::Flow { cell, .. } if cell.depth.0 <= 0 || cell.width.0 <= 0 => {
            Err("flows through no cell; give cell_um and cell_width_um".into())
        }
        Step::Capture { strobe: Some(pulse) } if !PULSES.contains(pulse) => Err(format!(
            "strobes for {} us; {} to {} us are possible",
            pulse.as_micros(),
            PULSES.start().as_micros(),
            PULSES.end().as_micros()
        )),
        Step::Pump { flow, .. } | Step::Flow { flow, .. } if flow.0 <= 0 => {
            Err(format!("pumps at {flow}; the flow rate must be greater than 0"))
        }
        Step::Focus { speed, .. } if speed.0 <= 0 => {
            Err(format!("moves the stage at {speed}; the speed must be greater than 0"))
        }
        Step::Focus { target: focus::Target::By(Micrometres(0)), .. } => {
            Err("moves the stage by nothing".into())
        }
        Step::Pump { .. }
        | Step::Flow { .. }
        | Step::Focus { .. }
        | Step::Settle(_)
        | Step::SettleUntilStill(_)
        | Step::Capture { .. }
        | Step::Write
        | Step::Repeat { .. } => Ok(()),
    }
}

/// What a list of steps adds up to.
#[derive(Clone, Copy)]
struct Count {
    frames: u64,
    held: u32,
    /// That are done, with all repeats.
    steps: u64,
}

/// Frames taken by `steps`, and held after them when `held` were in the pool before.
fn count(steps: &[Step], path: &str, held: u32) -> Result<Count, Flaw> {
    let mut count = Count { frames: 0, held, steps: 0 };
    for (i, step) in steps.iter().enumerate() {
        let path = format!("{path}[{i}]");
        count.steps = count.steps.saturating_add(1);
        match step {
            Step::Capture { .. } if count.held == POOL => return Err(too_many_held(&path)),
            Step::Capture { .. } => {
                count.frames += 1;
                count.held += 1;
            }
            Step::Write => count.held = 0,
            Step::Repeat { times, steps } => {
                let body = repeated(*times, steps, &path, count.held)?;
                count.frames = count.frames.saturating_add(body.frames);
                count.steps = count.steps.saturating_add(body.steps);
                count.held = body.held;
            }
            Step::Pump { .. }
            | Step::Flow { .. }
            | Step::Focus { .. }
            | Step::Settle(_)
            | Step::SettleUntilStill(_) => {}
        }
    }
    Ok(count)
}

/// Once it writes, a body holds as much after the second round as after any later one; one that never writes holds
/// more each time.
fn repeated(times: u32, steps: &[Step], path: &str, held: u32) -> Result<Count, Flaw> {
    let inner = format!("{path}.steps");
    let first = count(steps, &inner, held)?;
    let all = |of_one: u64| of_one.saturating_mul(u64::from(times));
    let (frames, done) = (all(first.frames), all(first.steps));
    if times == 1 || first.held == held {
        return Ok(Count { frames, held: first.held, steps: done });
    }
    let second = count(steps, &inner, first.held)?;
    let more = u64::from(second.held.saturating_sub(first.held)) * u64::from(times - 2);
    match u32::try_from(u64::from(second.held) + more) {
        Ok(held) if held <= POOL => Ok(Count { frames, held, steps: done }),
        _ => Err(too_many_held(path)),
    }
}

fn too_many_held(path: &str) -> Flaw {
    Flaw::new(path, format!("captures more than the {POOL} frames that can be held before a write step"))
}

/// Names a capture step of a plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place(usize);

/// Where somebody who carries out a plan stands in it.
///
/// A capture that failed is *owed*: at the next end of the repeat that it is in (or of the plan) those steps are
/// done once more, and of their captures only the owed one is taken. So the number of frames comes out as planned,
/// each of water of its own, and other planes of the same stop are not taken twice.
#[derive(Debug)]
pub struct Cursor {
    plan: Plan,
    at: usize,
    left: Vec<u32>,
    owed: Vec<Place>,
    again: Option<Again>,
    /// What is done before anything else.
    first: VecDeque<Step>,
}

/// A round that is done for one capture only.
#[derive(Debug)]
struct Again {
    capture: Place,
    end: usize,
    /// The plan was over: it is over again after this.
    last: bool,
}

impl Cursor {
    /// Before the first step.
    pub fn new(plan: Plan) -> Self {
        let left = Vec::with_capacity(MOST_NESTED + 1);
        Self { plan, at: 0, left, owed: Vec::new(), again: None, first: VecDeque::new() }
    }

    /// Where a plan goes on of which so many frames are there: right after the last of them, or at the end if none is
    /// missing. If the next frame was to be of the same water, which is gone, the stroke before is made again first, with its
    /// settling. Walks the plan, which takes a fraction of a microsecond a step.
    pub fn after(plan: Plan, frames: u32) -> Self {
        let mut walk = Self::new(plan);
        let (mut taken, mut strokes) = (0, vec![]);
        while taken < frames
            && let Some((_, step)) = walk.advance()
        {
            match step {
                Step::Capture { .. } => taken += 1,
                Step::Pump { .. } | Step::Flow { .. } => strokes = vec![step],
                Step::Settle(_) | Step::SettleUntilStill(_) if strokes.len() == 1 => strokes.push(step),
                Step::Settle(_)
                | Step::SettleUntilStill(_)
                | Step::Focus { .. }
                | Step::Write
                | Step::Repeat { .. } => {}
            }
        }
        if frames == walk.plan.frames() {
            while walk.advance().is_some() {}
            return walk;
        }
        let (at, left) = (walk.at, walk.left.clone());
        let fresh = frames == 0 || walk.is_stroke_before_frame();
        (walk.at, walk.left) = (at, left);
        walk.first = if fresh { VecDeque::new() } else { strokes.into() };
        walk
    }

    fn is_stroke_before_frame(&mut self) -> bool {
        let next = std::iter::from_fn(|| self.advance());
        let mut next = next
            .map(|(_, step)| step)
            .filter(|step| matches!(step, Step::Pump { .. } | Step::Flow { .. } | Step::Capture { .. }));
        next.next().is_some_and(|step| !matches!(step, Step::Capture { .. }))
    }

    /// With the stage brought to a height before anything else.
    #[must_use]
    pub fn from_height(mut self, height: Micrometres, speed: MicrometresPerSecond) -> Self {
        self.first.push_front(Step::Focus { target: focus::Target::To(height), speed });
        self
    }

    /// What it walks.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// The capture at this place brought no frame. `false`: it cannot be taken again, because one more round would
    /// leave the stage at another height.
    pub fn owe(&mut self, capture: Place) -> bool {
        let (first, end) = self.around(capture);
        let level = net_focus(&self.plan.ops[first..end]) == 0;
        if level {
            self.owed.push(capture);
        }
        level
    }

    /// Whether a capture is owed.
    pub fn owes(&self) -> bool {
        !self.owed.is_empty()
    }

    /// The next step that does something, with its place; `None` at the end.
    pub fn advance(&mut self) -> Option<(Place, Step)> {
        if let Some(step) = self.first.pop_front() {
            return Some((Place(self.at), step));
        }
        loop {
            let here = self.at;
            match self.plan.ops.get(here) {
                None if self.again.take().is_some() => return Some((Place(here), Step::Write)),
                None => {
                    let capture = self.owed.pop()?;
                    self.once_more_for(capture);
                }
                Some(Op::Begin { times }) => {
                    self.left.push(*times);
                    self.at += 1;
                }
                Some(Op::End { .. }) if self.again.as_ref().is_some_and(|a| a.last && a.end == here) => {
                    // What follows the repeat was done before; but its frame may have been written there.
                    self.again = None;
                    self.left.clear();
                    self.at = self.plan.ops.len();
                    return Some((Place(here), Step::Write));
                }
                Some(Op::End { begin }) => {
                    let begin = *begin;
                    self.end_of(here, begin);
                }
                Some(Op::Do(Step::Capture { .. })) if self.skips(Place(here)) => self.at += 1,
                Some(Op::Do(step)) => {
                    self.at += 1;
                    return Some((Place(here), step.clone()));
                }
            }
        }
    }

    /// One round of the repeat `begin..=end` is over.
    fn end_of(&mut self, end: usize, begin: usize) {
        if self.again.as_ref().is_some_and(|again| again.end == end) {
            self.again = None;
        }
        let owed = self.owed.iter().position(|capture| self.around(*capture).1 == end);
        if let (None, Some(i)) = (&self.again, owed) {
            self.again = Some(Again { capture: self.owed.remove(i), end, last: false });
            self.at = begin + 1;
            return;
        }
        match self.left.last_mut() {
            Some(left) if *left > 1 => {
                *left -= 1;
                self.at = begin + 1;
            }
            _ => {
                self.left.pop();
                self.at = end + 1;
            }
        }
    }

    /// After the plan's end: the steps around an owed capture once more, alone.
    fn once_more_for(&mut self, capture: Place) {
        let (first, end) = self.around(capture);
        self.at = first;
        self.again = Some(Again { capture, end, last: true });
    }

    fn skips(&self, capture: Place) -> bool {
        self.again.as_ref().is_some_and(|again| again.capture != capture)
    }

    /// First step and end of the innermost repeat around a capture; the whole plan if there is none.
    fn around(&self, capture: Place) -> (usize, usize) {
        let ops = self.plan.ops.iter().enumerate();
        ops.filter_map(|(end, op)| match op {
            Op::End { begin } if (*begin..end).contains(&capture.0) => Some((begin + 1, end)),
            _ => None,
        })
        .min_by_key(|(first, end)| end - first)
        .unwrap_or((0, self.plan.ops.len()))
    }
}

/// By how much some steps move the stage relative to where it was before them, um; a step to a height makes it level.
fn net_focus(ops: &[Op]) -> i64 {
    let (mut net, mut rounds) = (0i64, vec![1i64]);
    for op in ops {
        let times = *rounds.last().unwrap_or(&1);
        match op {
            Op::Begin { times: more } => rounds.push(times.saturating_mul(i64::from(*more))),
            Op::End { .. } => drop(rounds.pop()),
            Op::Do(Step::Focus { target: focus::Target::By(distance), .. }) => {
                net = net.saturating_add(distance.0.saturating_mul(times));
            }
            Op::Do(Step::Focus { target: focus::Target::To(_), .. }) => net = 0,
            Op::Do(_) => {}
        }
    }
    net
}

#[cfg(test)]
mod tests;
