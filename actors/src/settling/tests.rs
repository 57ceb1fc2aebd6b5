//! A sequence that learns, in a world in which every stroke takes 400 ms, and a camera runs freely: a frame every 100 ms that
//! is exposed for 87 and here 8 later. What comparisons and fits say is up to each test.

use super::{Learned, Optics, Shift, Studied, Study, Unlearned};
use crate::recording::Facts;
use crate::sequence::{Act, Input, Sequence, Stillness};
use planktor_protocol::camera::{Frame, Mode, Picture, Pixels};
use planktor_protocol::plan::{Cursor, Plan, Step, UntilStill};
use planktor_protocol::units::{Nanolitres, NanolitresPerSecond};
use planktor_protocol::{Instant, Interval, Run};
use std::sync::Arc;
use std::time::Duration;

#[derive(Debug)]
struct Blank;
impl Picture for Blank {
    fn develop(&self) -> Pixels {
        unreachable!("the sequence looks at no pixels")
    }
}

const STROKE: Duration = Duration::from_millis(400);
const CADENCE: Duration = Duration::from_millis(100);
const EXPOSURE: Duration = Duration::from_millis(87);
/// With a strobe lines are exposed for 100 ms, and all of them are open for the last 13.
const STROBED: Mode = Mode {
    width: 4_056,
    height: 3_040,
    cadence: CADENCE,
    takes: Duration::from_millis(187),
    exposure: Duration::from_millis(100),
    iso: 100,
};
const PULSE: Duration = Duration::from_micros(100);
const TRANSFER: Duration = Duration::from_millis(8);
const COMPARING: Duration = Duration::from_millis(30);
const ORDER: UntilStill = UntilStill {
    residual_nm: Some(375),
    at_least: Duration::from_millis(100),
    at_most: Duration::from_secs(2),
};

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn learned() -> Learned {
    Learned {
        wait: ms(430),
        residual_nm: 375,
        reached: true,
        tails: [super::Tail::default(); 2],
        drift_nm_per_s: 0,
        sway_nm: 0,
        sway_period: Duration::ZERO,
        noise_nm: 50,
        pairs: 60,
        across: false,
    }
}

/// What the motion between two frames is said to be, um.
type Seen = Box<dyn Fn(&Frame) -> Option<f64>>;

struct Bench {
    sequence: Sequence,
    now: Instant,
    due: Vec<(Instant, Input)>,
    sees: Seen,
    fits: Result<Learned, Unlearned>,
    /// Numbers of the frames that were compared, in order.
    pairs: Vec<(u64, u64)>,
    /// Comparisons under way, and the most there ever were.
    comparing: (usize, usize),
    /// The next frame that has had no light, and whether there is to be light.
    unlit: u64,
    is_lighting: bool,
    kept: Vec<(Frame, Facts)>,
    notes: Vec<Result<Learned, Unlearned>>,
    strokes: usize,
    samples: usize,
    over: Option<bool>,
}

impl Bench {
    fn run(frames: u32, sees: Seen, fits: Result<Learned, Unlearned>) -> Self {
        Self::strobed(None, frames, sees, fits)
    }

    fn strobed(strobe: Option<Duration>, frames: u32, sees: Seen, fits: Result<Learned, Unlearned>) -> Self {
        let stroke = Step::Pump { volume: Nanolitres(6_000), flow: NanolitresPerSecond(50_000) };
        let steps = vec![stroke, Step::SettleUntilStill(ORDER), Step::Capture { strobe }, Step::Write];
        let plan = Plan::new(vec![Step::Repeat { times: frames, steps }]).unwrap();
        let optics = Optics { pixel_nm: 750, width: 4_056 };
        let mut bench = Self {
            sequence: Sequence::begin(Cursor::new(plan), 0, Run(1), optics, Instant::ZERO, Instant::ZERO),
            now: Instant::ZERO,
            due: vec![],
            sees,
            fits,
            pairs: vec![],
            comparing: (0, 0),
            unlit: 0,
            is_lighting: false,
            kept: vec![],
            notes: vec![],
            strokes: 0,
            samples: 0,
            over: None,
        };
        loop {
            while let Some(act) = bench.sequence.act() {
                bench.act(act);
            }
            bench.due.sort_by_key(|(due, _)| *due);
            if bench.due.is_empty() {
                return bench;
            }
            let (due, input) = bench.due.remove(0);
            bench.now = bench.now.max(due);
            bench.comparing.0 -= usize::from(matches!(input, Input::Studied(Studied::Compared(..))));
            bench.is_lighting &= !matches!(input, Input::Pulsed(..));
            bench.sequence.on(bench.now, input);
        }
    }

    fn act(&mut self, act: Act) {
        let now = self.now;
        match act {
            Act::Pump(_) => {
                self.strokes += 1;
                self.due.push((now + STROKE, Input::Moved(now + STROKE)));
            }
            Act::Focus(_) => unreachable!("the plan moves no stage"),
            Act::Flash(run, light) => {
                assert!(!std::mem::replace(&mut self.is_lighting, true), "a lamp gives one pulse at a time");
                self.due.push((light.to, Input::Pulsed(run, light)));
            }
            Act::Wake(then) => self.due.push((then, Input::Woken)),
            Act::Capture { run, not_before, strobe: Some(pulse) } => {
                let open = |n: u64| Instant::ZERO + CADENCE * n as u32 + ms(88);
                let seq = (self.unlit..).find(|n| open(*n) >= not_before.max(now)).expect("time goes on");
                self.unlit = seq + 1;
                let from = Instant::ZERO + CADENCE * seq as u32;
                let interval = Interval { from, to: from + STROBED.takes };
                let light = Interval { from: open(seq), to: open(seq) + pulse };
                let facts = Facts { mode: Some(STROBED), ..self.facts() };
                self.due.push((now, Input::Exposing(run, interval, Some(light), facts)));
                let frame = Frame { seq, interval, picture: Arc::new(Blank) };
                self.due.push((interval.to + TRANSFER, Input::Frame(run, frame)));
            }
            Act::Capture { run, not_before, strobe: None } => {
                let seq = u64::from(
                    (not_before.max(now) - Instant::ZERO).as_nanos().div_ceil(CADENCE.as_nanos()) as u32,
                );
                let from = Instant::ZERO + CADENCE * seq as u32;
                let interval = Interval { from, to: from + EXPOSURE };
                self.due.push((now, Input::Exposing(run, interval, None, self.facts())));
                let frame = Frame { seq, interval, picture: Arc::new(Blank) };
                self.due.push((interval.to + TRANSFER, Input::Frame(run, frame)));
            }
            Act::Keep(run, frame, facts) => {
                self.kept.push((frame, facts));
                self.due.push((now + ms(250), Input::Saved(run)));
            }
            Act::Study(Study::Compare { run, before, after, view_nm }) => {
                assert_eq!(view_nm, 750 * 4_056);
                self.pairs.push((before.seq, after.seq));
                let shift =
                    (self.sees)(&after).map(|um| Shift { moved_um: [um, 0.0], error_um: 0.02, line: 0.5 });
                self.comparing.0 += 1;
                self.comparing.1 = self.comparing.1.max(self.comparing.0);
                self.due.push((now + COMPARING, Input::Studied(Studied::Compared(run, shift))));
            }
            Act::Study(Study::Fit { run, samples, residual_nm, takes, .. }) => {
                assert_eq!((residual_nm, takes), (375, if self.unlit > 0 { 10 * PULSE } else { EXPOSURE }));
                self.samples = samples.len();
                self.due.push((now + COMPARING, Input::Studied(Studied::Fitted(run, self.fits))));
            }
            Act::Note(note) => self.notes.push(note),
            Act::Over(result) => self.over = Some(result.is_ok()),
        }
    }

    fn facts(&self) -> Facts {
        let Stillness { motion, settled, pumped, .. } = self.sequence.still();
        Facts { motion, settled, pumped, ..Facts::default() }
    }

    /// What was waited before each frame that was kept.
    fn waits(&self) -> Vec<u64> {
        let wait = |facts: &Facts| (facts.settled - facts.motion.unwrap().to).as_millis() as u64;
        self.kept.iter().map(|(_, facts)| wait(facts)).collect()
    }
}

#[test]
fn the_first_strokes_are_watched_frame_by_frame_and_give_their_frames_too() {
    let bench = Bench::run(5, Box::new(|_| Some(0.1)), Ok(learned()));
    assert_eq!(bench.waits(), [2_000, 2_000, 2_000, 430, 430]);
    assert_eq!((bench.strokes, bench.over, bench.notes.len()), (5, Some(true), 1));
    assert!(bench.pairs.iter().all(|(before, after)| before + 1 == *after), "{:?}", bench.pairs);
    // Two seconds of frames after each of three strokes, the frame itself among them, and one pair for each frame later.
    assert!((3 * 18..=3 * 20 + 2).contains(&bench.pairs.len()), "{}", bench.pairs.len());
    assert!(bench.samples >= 3 * 17, "{}", bench.samples);
    assert!(bench.comparing.1 <= 2, "{} comparisons at once", bench.comparing.1);
    assert!(!bench.sequence.is_learning());
}

#[test]
fn strobed_frames_are_looked_at_by_the_light_of_pulses_one_after_the_other() {
    let shorter = Learned { wait: ms(230), ..learned() };
    let bench = Bench::strobed(Some(PULSE), 6, Box::new(|_| Some(30.0)), Ok(shorter));
    assert_eq!((bench.waits(), bench.over), (vec![2_000, 2_000, 2_000, 230, 230, 230], Some(true)));
    assert!((3 * 18..=3 * 20 + 2).contains(&bench.pairs.len()), "{}", bench.pairs.len());
    for (frame, facts) in &bench.kept[3..] {
        assert!(bench.pairs.contains(&(frame.seq - 1, frame.seq)), "{} was not checked", frame.seq);
        // 30 um in 100 ms is 0.03 um in a pulse.
        assert_eq!(facts.moved_nm, Some(30_000));
    }
    // A millimetre a second is believed, ten are not.
    let first = bench.kept[3].0.seq;
    let moves = move |after: &Frame| Some(if after.seq == first { 1_000.0 } else { 30.0 });
    let again = Bench::strobed(Some(PULSE), 6, Box::new(moves), Ok(shorter));
    assert_eq!((again.strokes, again.over), (7, Some(true)));
    assert!(again.kept.iter().all(|(frame, _)| frame.seq != first), "it was kept");
}

#[test]
fn each_frame_is_compared_with_the_one_before_it_which_costs_no_time() {
    let bench = Bench::run(6, Box::new(|_| Some(-0.12)), Ok(learned()));
    for (frame, facts) in &bench.kept[3..] {
        assert!(bench.pairs.contains(&(frame.seq - 1, frame.seq)), "{} was not checked", frame.seq);
        assert_eq!(facts.moved_nm, Some(-120));
        assert!(frame.interval.from < facts.settled + CADENCE, "it waited for a frame more");
    }
}

#[test]
fn a_frame_that_moved_is_taken_again_after_a_longer_wait() {
    let first = Bench::run(6, Box::new(|_| Some(0.1)), Ok(learned()));
    let fourth = first.kept[3].0.seq;
    let moves = move |after: &Frame| Some(if after.seq == fourth { 3.0 } else { 0.1 });
    let bench = Bench::run(6, Box::new(moves), Ok(learned()));
    assert_eq!((bench.kept.len(), bench.strokes, bench.over), (6, 7, Some(true)));
    assert!(bench.kept.iter().all(|(frame, _)| frame.seq != fourth), "it was kept");
    let waits = bench.waits();
    assert!(waits[3] >= 430 + 200, "{waits:?}");
    assert!(waits[5] < waits[3], "what helped once is not waited for ever: {waits:?}");
}

#[test]
fn water_that_never_rests_costs_two_frames_and_then_the_longest_wait_and_is_told() {
    let moves = |after: &Frame| Some(if after.seq > 80 { 9.0 } else { 0.1 });
    let bench = Bench::run(8, Box::new(moves), Ok(learned()));
    assert_eq!((bench.kept.len(), bench.over), (8, Some(true)));
    assert!(bench.strokes > 8 && bench.strokes <= 8 + 2 * 5, "{} strokes", bench.strokes);
    let told = bench.kept.iter().filter(|(_, facts)| facts.moved_nm == Some(9_000));
    let waits: Vec<_> = told.map(|(_, facts)| facts.settled - facts.motion.unwrap().to).collect();
    assert!(!waits.is_empty() && waits.iter().all(|wait| *wait == ORDER.at_most), "{waits:?}");
}

#[test]
fn where_nothing_is_seen_the_longest_wait_is_waited_and_after_twenty_strokes_nobody_looks() {
    let unseen = Unlearned::TooFew { pairs: 0 };
    let bench = Bench::run(23, Box::new(|_| None), Err(unseen));
    assert_eq!(bench.waits(), [2_000; 23]);
    assert_eq!((bench.notes.as_slice(), bench.over), ([Err(unseen)].as_slice(), Some(true)));
    assert!(bench.kept.iter().all(|(_, facts)| facts.moved_nm.is_none()));
    let last = bench.pairs.last().unwrap().1;
    assert_eq!(bench.kept.iter().filter(|(frame, _)| frame.seq > last).count(), 3);
}
