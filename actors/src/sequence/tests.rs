//! A sequence in a world in which everything takes as long as it is said to.

use super::*;
use planktor_protocol::camera::{Mode, Picture, Pixels};
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
    /// Captures whose light comes 20 ms late.
    late: Vec<usize>,
    /// The first frame that no light was meant for yet.
    unlit: u64,
    captures: usize,
    most_out: usize,
}

const OPTICS: Optics = Optics { pixel_nm: 750, width: 4_056 };
const STROKE: Duration = Duration::from_millis(400);
const SETTLE: Duration = Duration::from_millis(500);
const EXPOSURE: Duration = Duration::from_millis(87);

const CAPTURE: Step = Step::Capture { strobe: None };
/// Read out in 87 ms; a line integrates for 100, so all do for 13.
const MODE: Mode = Mode {
    width: 8,
    height: 8,
    cadence: Duration::from_millis(101),
    takes: Duration::from_millis(187),
    exposure: Duration::from_millis(100),
    iso: 150,
};

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn facts(sequence: &Sequence) -> Facts {
    let (Stillness { motion, settled, pumped, flow }, ready) = (sequence.still(), sequence.ready());
    Facts { motion, settled, ready, pumped, mode: Some(MODE), flow, ..Facts::default() }
}

impl Bench {
    fn run(plan: Plan, missing: Vec<usize>) -> Self {
        Self::lit_late(plan, missing, vec![])
    }

    fn lit_late(plan: Plan, missing: Vec<usize>, late: Vec<usize>) -> Self {
        Self::lit_from(Instant::ZERO, plan, missing, late)
    }

    fn lit_from(unlit: Instant, plan: Plan, missing: Vec<usize>, late: Vec<usize>) -> Self {
        let sequence = Sequence::begin(Cursor::new(plan), 0, Run(1), OPTICS, unlit, Instant::ZERO);
        let mut bench = Self {
            sequence,
            now: Instant::ZERO,
            due: vec![],
            log: String::new(),
            kept: vec![],
            missing,
            late,
            unlit: 0,
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
            Act::Capture { run, not_before, strobe: Some(pulse) } => {
                self.log.push('c');
                // The first of frames every 101 ms whose open window, 87 to 100 ms after its begin, has room for it.
                let open = |n: u64| Instant::ZERO + ms(101 * n + 88);
                let n = (0..).find(|n| open(*n) >= not_before && *n >= self.unlit).expect("time goes on");
                self.unlit = n + 1;
                let from = Instant::ZERO + ms(101 * n);
                let interval = Interval { from, to: from + MODE.takes };
                let light = Interval { from: open(n), to: open(n) + pulse };
                let facts = facts(&self.sequence);
                self.due.push((now, Input::Exposing(run, interval, Some(light), facts)));
                let frame = Frame { seq: n, interval, picture: Arc::new(Blank) };
                self.captures += 1;
                self.due.push((interval.to + ms(8), Input::Frame(run, frame)));
            }
            Act::Flash(run, light) => {
                self.log.push('l');
                let late = if self.late.contains(&(self.captures - 1)) { ms(20) } else { ms(0) };
                let light = Interval { from: light.from + late, to: light.to + late };
                self.due.push((light.to, Input::Pulsed(run, light)));
            }
            Act::Capture { run, not_before, strobe: None } => {
                self.log.push('c');
                let interval = Interval { from: not_before, to: not_before + EXPOSURE };
                self.due.push((now, Input::Exposing(run, interval, None, facts(&self.sequence))));
                let arrives = interval.to + ms(8);
                let frame = Frame { seq: run.0, interval, picture: Arc::new(Blank) };
                let missing = self.missing.contains(&self.captures);
                self.captures += 1;
                self.due.push((arrives, if missing { Input::Missed(run) } else { Input::Frame(run, frame) }));
            }
            Act::Keep(run, frame, facts) => {
                self.log.push('k');
                self.kept.push((frame.interval, facts));
                self.due.push((now + ms(250), Input::Saved(run)));
            }
            Act::Study(_) | Act::Note(_) => unreachable!("nothing is learned here"),
            Act::Over(result) => self.log.push(if result.is_ok() { '.' } else { '!' }),
        }
    }
}

fn stop_flow(frames: u32) -> Plan {
    let stroke = pump::Move { volume: Nanolitres(6_000), flow: NanolitresPerSecond(50_000) };
    Plan::stop_flow(frames, stroke, Step::Settle(SETTLE)).unwrap()
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
    let steps = vec![Step::Repeat { times: 9, steps: vec![CAPTURE, Step::Write] }];
    let bench = Bench::run(Plan::new(steps).unwrap(), vec![]);
    assert_eq!(bench.kept.len(), 9);
    assert!(bench.most_out <= POOL as usize, "{}", bench.most_out);
}

#[test]
fn a_frame_that_was_exposed_in_motion_is_discarded() {
    let mut sequence =
        Sequence::begin(Cursor::new(stop_flow(1)), 0, Run(1), OPTICS, Instant::ZERO, Instant::ZERO);
    let at = |t| Instant::ZERO + ms(t);
    assert!(matches!(sequence.act(), Some(Act::Pump(_))));
    sequence.on(at(400), Input::Moved(at(400)));
    assert!(matches!(sequence.act(), Some(Act::Wake(t)) if t == at(900)));
    sequence.on(at(900), Input::Woken);
    assert!(matches!(sequence.act(), Some(Act::Capture { run: Run(1), .. })));
    let predicted = Interval { from: at(900), to: at(987) };
    let facts = facts(&sequence);
    sequence.on(at(900), Input::Exposing(Run(1), predicted, None, facts));
    let early = Frame { seq: 1, interval: Interval { from: at(899), to: at(986) }, picture: Arc::new(Blank) };
    sequence.on(at(995), Input::Frame(Run(1), early));
    sequence.on(at(995), Input::Woken);
    let acts: Vec<_> = std::iter::from_fn(|| sequence.act()).collect();
    assert!(acts.iter().any(|act| matches!(act, Act::Pump(_))), "another stroke: {acts:?}");
    assert!(!acts.iter().any(|act| matches!(act, Act::Keep(..))));
}

#[test]
fn a_frame_that_was_exposed_before_the_lamp_was_dark_is_not_strobed() {
    let capture = Step::Capture { strobe: Some(Duration::from_micros(100)) };
    let plan = || Plan::new(vec![capture.clone(), Step::Write]).unwrap();
    let at_once = Bench::lit_late(plan(), vec![], vec![]);
    assert_eq!(at_once.kept[0].0.from, Instant::ZERO);
    let later = Bench::lit_from(Instant::ZERO + ms(150), plan(), vec![], vec![]);
    assert_eq!((later.kept[0].0.from, later.log.as_str()), (Instant::ZERO + ms(101), "clk."));
}

fn strobed(times: u32) -> Plan {
    let pump = Step::Pump { volume: Nanolitres(6_000), flow: NanolitresPerSecond(50_000) };
    let capture = Step::Capture { strobe: Some(Duration::from_micros(100)) };
    let steps = vec![pump, Step::Settle(SETTLE), capture, Step::Write];
    Plan::new(vec![Step::Repeat { times, steps }]).unwrap()
}

#[test]
fn the_next_stroke_begins_with_the_end_of_the_light_and_not_of_the_frame() {
    let bench = Bench::run(strobed(4), vec![]);
    assert_eq!(bench.kept.len(), 4);
    for pair in bench.kept.windows(2) {
        let ((frame, facts), (_, next)) = (&pair[0], &pair[1]);
        let light = facts.pulse.unwrap().within;
        assert!(light.from >= facts.settled && frame.contains(light));
        let begins = next.motion.unwrap().from;
        assert_eq!(begins, light.to, "while lines are still read out");
        assert!(begins < frame.to);
    }
}

#[test]
fn light_that_misses_the_open_window_is_noticed_and_the_frame_taken_again() {
    let bench = Bench::lit_late(strobed(3), vec![], vec![1]);
    assert_eq!(bench.kept.len(), 3);
    assert_eq!(bench.log.matches('m').count(), 4, "{}", bench.log);
    for (frame, facts) in &bench.kept {
        assert!(MODE.open(*frame).unwrap().contains(facts.pulse.unwrap().within));
    }
}

#[test]
fn in_a_flow_frames_are_taken_at_the_cameras_cadence_and_the_plan_ends_after_it() {
    let cell = Cell { depth: Micrometres(300), width: Micrometres(3_500) };
    let flow = Step::Flow { volume: Nanolitres(1_000), flow: NanolitresPerSecond(2_000), cell };
    let capture = Step::Capture { strobe: Some(Duration::from_micros(100)) };
    let frames = Step::Repeat { times: 3, steps: vec![capture, Step::Write] };
    let bench = Bench::run(Plan::new(vec![flow, frames, pump_back()]).unwrap(), vec![]);
    assert_eq!(bench.log.matches('m').count(), 2);
    assert_eq!(bench.kept.len(), 3);
    let begins: Vec<_> = bench.kept.iter().map(|(frame, _)| frame.from).collect();
    assert!(begins.windows(2).all(|pair| pair[1] == pair[0] + ms(101)), "{begins:?}");
    let flowing: Vec<_> = bench.kept.iter().map(|(_, facts)| facts.flow).collect();
    assert!(flowing.iter().all(|flow| flow.is_some_and(|flow| flow.since == Instant::ZERO)));
    assert!(bench.log.rfind('m') > bench.log.rfind('l'), "the way back waits for the flow: {}", bench.log);
}

fn pump_back() -> Step {
    Step::Pump { volume: Nanolitres(-1_000), flow: NanolitresPerSecond(50_000) }
}

/// A strobed capture, or one in a flow, that has begun; its name, the frame's interval and its light's.
fn flashing(steps: Vec<Step>) -> (Sequence, Run, Interval, Interval) {
    let plan = Plan::new(steps).unwrap();
    let mut sequence = Sequence::begin(Cursor::new(plan), 0, Run(1), OPTICS, Instant::ZERO, Instant::ZERO);
    let run = std::iter::from_fn(|| sequence.act()).find_map(|act| match act {
        Act::Capture { run, .. } => Some(run),
        _ => None,
    });
    let run = run.expect("it takes a frame at once");
    let from = Instant::ZERO + ms(101);
    let (frame, lit) = (Interval { from, to: from + MODE.takes }, from + ms(88));
    let light = Interval { from: lit, to: lit + Duration::from_micros(130) };
    let facts = facts(&sequence);
    sequence.on(Instant::ZERO, Input::Exposing(run, frame, Some(light), facts));
    assert!(matches!(sequence.act(), Some(Act::Flash(of, _)) if of == run));
    (sequence, run, frame, light)
}

const STROBED: Step = Step::Capture { strobe: Some(Duration::from_micros(100)) };

#[test]
fn a_strobed_frame_that_is_lost_before_its_light_is_over_is_taken_again() {
    let (mut sequence, run, frame, light) = flashing(vec![STROBED, Step::Write]);
    sequence.on(frame.to, Input::Missed(run));
    // The lamp's bus was held.
    let light = Interval { to: light.to + ms(400), ..light };
    sequence.on(light.to, Input::Pulsed(run, light));
    sequence.on(light.to, Input::Woken);
    let acts: Vec<_> = std::iter::from_fn(|| sequence.act()).collect();
    assert!(acts.iter().any(|act| matches!(act, Act::Capture { .. })), "{acts:?}");
}

#[test]
fn a_frame_of_a_flow_whose_light_lasts_too_long_is_taken_again() {
    let cell = Cell { depth: Micrometres(300), width: Micrometres(3_500) };
    // In 130 us, as they are to be, the fastest water goes 371 nm; half a pixel is 375.
    let flow = Step::Flow { volume: Nanolitres(1_000), flow: NanolitresPerSecond(1_820), cell };
    let kept = |longer| {
        let steps = vec![flow.clone(), Step::Repeat { times: 1, steps: vec![STROBED, Step::Write] }];
        let (mut sequence, run, frame, light) = flashing(steps);
        let light = Interval { to: light.to + longer, ..light };
        sequence.on(light.to, Input::Pulsed(run, light));
        let picture = Arc::new(Blank);
        sequence.on(frame.to, Input::Frame(run, Frame { seq: 1, interval: frame, picture }));
        sequence.on(frame.to, Input::Woken);
        let keeps = std::iter::from_fn(|| sequence.act()).any(|act| matches!(act, Act::Keep(..)));
        (keeps, sequence.lost_so_far())
    };
    assert_eq!(kept(Duration::ZERO), (true, 0));
    assert_eq!(kept(Duration::from_micros(10)), (false, 1));
}

/// What a frame waited for is the camera, whatever was waited for before.
#[test]
fn a_frame_waits_for_the_camera_since_the_light_before_or_since_it_goes_on() {
    let cell = Cell { depth: Micrometres(300), width: Micrometres(3_500) };
    let flow = Step::Flow { volume: Nanolitres(10_000), flow: NanolitresPerSecond(1_000), cell };
    let frames = Step::Repeat { times: 3, steps: vec![STROBED, Step::Write] };
    let bench = Bench::run(Plan::new(vec![flow, frames]).unwrap(), vec![]);
    let ready: Vec<_> = bench.kept.iter().map(|(_, facts)| facts.ready).collect();
    let lit: Vec<_> = bench.kept.iter().map(|(_, facts)| facts.pulse.unwrap().within.to).collect();
    assert_eq!(ready, [Instant::ZERO, lit[0], lit[1]]);

    let frames = Step::Repeat { times: 2, steps: vec![CAPTURE, Step::Write] };
    let plan = Plan::new(vec![frames]).unwrap();
    let mut sequence = Sequence::begin(Cursor::new(plan), 0, Run(1), OPTICS, Instant::ZERO, Instant::ZERO);
    let exposure = Interval { from: Instant::ZERO, to: Instant::ZERO + EXPOSURE };
    sequence.on(Instant::ZERO, Input::Pause);
    sequence.on(Instant::ZERO, Input::Exposing(Run(1), exposure, None, facts(&sequence)));
    sequence.on(exposure.to, Input::Woken);
    assert_eq!((sequence.hold(), sequence.ready()), (Hold::Now, exposure.to));
    let hour = Instant::ZERO + Duration::from_secs(3_600);
    sequence.on(hour, Input::Resume);
    assert_eq!((sequence.hold(), sequence.ready()), (Hold::No, hour));
}
