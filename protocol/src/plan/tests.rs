//! Plans that are right, plans that are not, and walks through them.

use super::*;

fn pump(volume: i64) -> Step {
    Step::Pump { volume: Nanolitres(volume), flow: NanolitresPerSecond(50_000) }
}
const CAPTURE: Step = Step::Capture { strobe: None };
fn flow() -> Step {
    let (depth, width) = (Micrometres(300), Micrometres(3_500));
    let cell = Cell { depth, width };
    Step::Flow { volume: Nanolitres(1_000), flow: NanolitresPerSecond(2_500), cell }
}
fn strobed(us: u64) -> Step {
    Step::Capture { strobe: Some(Duration::from_micros(us)) }
}
fn up() -> Step {
    Step::Focus { target: focus::Target::By(Micrometres(10)), speed: MicrometresPerSecond(1_000) }
}
fn down() -> Step {
    Step::Focus { target: focus::Target::By(Micrometres(-10)), speed: MicrometresPerSecond(1_000) }
}
fn repeat(times: u32, steps: Vec<Step>) -> Step {
    Step::Repeat { times, steps }
}
/// One letter a step; `fails` names captures (counted from 0) that bring no frame.
fn walk(steps: Vec<Step>, fails: &[usize]) -> String {
    let mut cursor = Cursor::new(Plan::new(steps).unwrap());
    let (mut text, mut captures) = (String::new(), 0);
    while let Some((place, step)) = cursor.advance() {
        text.push(match step {
            Step::Pump { .. } | Step::Flow { .. } => 'p',
            Step::Settle(_) | Step::SettleUntilStill(_) => 's',
            Step::Focus { .. } => 'f',
            Step::Capture { .. } => 'c',
            Step::Write => 'w',
            Step::Repeat { .. } => unreachable!("repeats are unrolled"),
        });
        if step == CAPTURE {
            if fails.contains(&captures) {
                assert!(cursor.owe(place), "it can be taken again");
            }
            captures += 1;
        }
    }
    text
}

#[test]
fn a_settling_that_is_learned_follows_a_stroke_within_its_limits() {
    let still = |at_least, at_most, residual_nm| {
        let (at_least, at_most) = (Duration::from_secs(at_least), Duration::from_secs(at_most));
        Step::SettleUntilStill(UntilStill { residual_nm, at_least, at_most })
    };
    let flaw = |steps: &[Step]| {
        let rest = [Step::Capture { strobe: None }, Step::Write];
        Plan::new([steps, &rest].concat()).map_err(|flaw| flaw.to_string()).err()
    };
    assert_eq!(flaw(&[pump(6), still(0, 3, None)]), None);
    for (steps, what) in [
        (
            vec![still(0, 3, None)],
            "plan[0]: learns how the water comes to rest; put it right after a pump step",
        ),
        (vec![pump(6), up(), still(0, 3, None)], "plan[2]: learns how the water"),
        (vec![pump(6), still(4, 3, None)], "plan[1]: waits at least longer than at most"),
        (vec![pump(6), still(0, 31, None)], "plan[1]: waits for more than 30 s"),
        (vec![pump(6), still(0, 3, Some(0))], "plan[1]: allows a residual motion of 0 nm"),
    ] {
        let found = flaw(&steps).unwrap();
        assert!(found.starts_with(what), "{found}");
    }
}

#[test]
fn repeats_within_repeats_are_done_in_order() {
    let planes = repeat(2, vec![up(), CAPTURE]);
    assert_eq!(walk(vec![repeat(2, vec![pump(1), planes, Step::Write]), up()], &[]), "pfcfcwpfcfcwf");
}

#[test]
fn a_capture_that_failed_is_taken_after_one_more_stroke() {
    let plan = || vec![repeat(3, vec![pump(1), CAPTURE, Step::Write])];
    assert_eq!(walk(plan(), &[]), "pcwpcwpcw");
    assert_eq!(walk(plan(), &[1]), "pcwpcwpcwpcw");
    assert_eq!(walk(plan(), &[2, 3]), "pcwpcwpcwpcwpcw");
}

#[test]
fn of_several_planes_only_the_failed_one_is_taken_again() {
    let stop = vec![pump(1), CAPTURE, up(), CAPTURE, down(), Step::Write];
    assert_eq!(walk(vec![repeat(2, stop)], &[0]), "pcfcfwpcffwpcfcfw");
}

/// Known a few milliseconds after the exposure, when the cursor has left the repeat already.
#[test]
fn a_loss_that_is_known_late_repeats_nothing_but_its_own_steps() {
    let first = repeat(2, vec![pump(1), CAPTURE, Step::Write]);
    let plan = vec![first, repeat(2, vec![up(), CAPTURE, down(), Step::Write])];
    let mut cursor = Cursor::new(Plan::new(plan).unwrap());
    let (mut text, mut lost) = (String::new(), None);
    while let Some((place, step)) = cursor.advance() {
        text.push(if step == CAPTURE {
            'c'
        } else if step == Step::Write {
            'w'
        } else {
            'm'
        });
        if text == "mcwmc" {
            lost = Some(place);
        }
        if text == "mcwmcwm" {
            cursor.owe(lost.unwrap());
        }
    }
    assert_eq!(text, "mcwmcwmcmwmcmwmcww");
}

#[test]
fn a_stack_that_climbs_is_not_taken_again_at_other_heights() {
    let stack = vec![repeat(3, vec![up(), CAPTURE, Step::Write])];
    let mut cursor = Cursor::new(Plan::new(stack).unwrap());
    let places: Vec<_> = std::iter::from_fn(|| cursor.advance()).collect();
    let capture = places.iter().find(|(_, step)| *step == CAPTURE).unwrap().0;
    assert!(!cursor.owe(capture));
    assert!(!cursor.owes());
}

#[test]
fn a_capture_outside_any_repeat_is_taken_again_too() {
    assert_eq!(walk(vec![pump(1), CAPTURE, Step::Write], &[0]), "pcwpcww");
}

/// The steps that are left when so many frames are there.
fn rest(steps: Vec<Step>, frames: u32) -> String {
    let mut cursor = Cursor::after(Plan::new(steps).unwrap(), frames);
    let letter = |step| match step {
        Step::Pump { .. } | Step::Flow { .. } => 'p',
        Step::Settle(_) | Step::SettleUntilStill(_) => 's',
        Step::Focus { .. } => 'f',
        Step::Capture { .. } => 'c',
        Step::Write | Step::Repeat { .. } => 'w',
    };
    std::iter::from_fn(|| cursor.advance()).map(|(_, step)| letter(step)).collect()
}

#[test]
fn a_plan_goes_on_right_after_its_last_frame() {
    let stop_flow = || vec![pump(9), repeat(3, vec![pump(1), CAPTURE, Step::Write]), pump(-9)];
    assert_eq!(rest(stop_flow(), 0), "ppcwpcwpcwp", "from the beginning");
    assert_eq!(rest(stop_flow(), 2), "wpcwp");
    assert_eq!(rest(stop_flow(), 3), "", "nothing is done for the sake of no frame");
    let settle = Step::Settle(Duration::from_secs(60));
    let stop = vec![pump(1), settle.clone(), CAPTURE, up(), CAPTURE, down(), Step::Write];
    let stops = || vec![repeat(2, stop.clone())];
    assert_eq!(rest(stops(), 2), "fwpscfcfw", "the stage comes back as it would have");
    assert_eq!(
        rest(stops(), 1),
        "psfcfwpscfcfw",
        "of the same stop: one more stroke, and only what is missing"
    );
    let still = || vec![repeat(3, vec![up(), CAPTURE]), Step::Write, down()];
    assert_eq!(rest(still(), 1), "fcfcwf");
    let series = vec![pump(1), repeat(1_000, vec![settle, CAPTURE, Step::Write])];
    let mut cursor = Cursor::after(Plan::new(series).unwrap(), 700);
    let steps: Vec<_> = std::iter::from_fn(|| cursor.advance()).map(|(_, step)| step).collect();
    assert_eq!(steps.iter().filter(|step| **step == CAPTURE).count(), 300);
    assert_eq!(steps.iter().filter(|step| matches!(step, Step::Settle(_))).count(), 300 + 1);
}

#[test]
fn a_plan_is_raised_where_it_says_heights() {
    let to =
        |um| Step::Focus { target: focus::Target::To(Micrometres(um)), speed: MicrometresPerSecond(1_000) };
    let plan = |um| Plan::new(vec![to(um), up(), CAPTURE, Step::Write]).unwrap();
    assert_eq!(plan(40).raised(Micrometres(-25)), plan(15));
}

#[test]
fn frames_are_counted() {
    let plan = Plan::new(vec![repeat(4, vec![repeat(3, vec![up(), CAPTURE]), Step::Write])]).unwrap();
    assert_eq!(plan.frames(), 12);
}

#[test]
fn plans_that_cannot_be_carried_out_say_where_and_why() {
    let flaw = |steps| Plan::new(steps).unwrap_err().to_string();
    assert!(flaw(vec![]).contains("no frame"));
    assert!(flaw(vec![CAPTURE]).contains("write"));
    assert!(flaw(vec![repeat(4, vec![CAPTURE]), Step::Write]).starts_with("plan[0]: captures more than"));
    assert!(flaw(vec![repeat(2, vec![pump(1), pump(0)])]).starts_with("plan[0].steps[1]: pumps no volume"));
    assert!(flaw(vec![repeat(0, vec![pump(1)])]).contains("repeats nothing"));
    assert!(flaw(vec![repeat(100_001, vec![CAPTURE, Step::Write])]).contains("takes 100001 frames"));
    assert!(flaw(vec![pump(1); 1_001]).contains("1000 steps"));
    let endless = vec![repeat(u32::MAX, vec![pump(1)]), CAPTURE, Step::Write];
    assert!(flaw(endless).contains("does more than 2000000 steps"));
    let deep = (0..20).fold(vec![CAPTURE, Step::Write], |inner, _| vec![repeat(1, inner)]);
    assert!(flaw(deep).contains("nested"));
}

#[test]
fn strobed_frames_stand_alone_and_a_flow_has_no_others() {
    let flaw = |steps| Plan::new(steps).unwrap_err().to_string();
    let pair = |one, other| vec![one, other, Step::Write];
    assert!(flaw(pair(CAPTURE, strobed(100))).contains("strobe all of them, or none"));
    assert!(flaw(pair(flow(), CAPTURE)).contains("not strobed"));
    assert!(flaw(pair(flow(), strobed(9))).starts_with("plan[1]: strobes for 9 us; 10 to 10000 us"));
    let plan = Plan::new(pair(flow(), repeat(2, vec![strobed(100), Step::Write]))).unwrap();
    assert_eq!((plan.strobe(), plan.flows().count()), (Some(Duration::from_micros(100)), 1));
    assert_eq!(plan.strokes().count(), 1, "the pump must be able to do it");
}
