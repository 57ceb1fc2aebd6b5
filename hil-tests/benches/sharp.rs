//! Sharp microlitres per minute on the twin in virtual time: today's settings, and what learned settling, a faster ramp,
//! a strobe and a slow flow add. `cargo bench -p planktor-hil-tests --bench sharp [-- FRAMES]`. Prints figures, asserts none.

#![expect(clippy::print_stdout, reason = "figures")]

use planktor_hil_tests::sharp::{Instrument, Settle, Way, Writers, measure};
use planktor_sim::Hat;

/// 0.7 of what the twin's pump bears, as `planktor calibrate ramp` keeps it.
const RAMP: Option<u32> = Some(6_500);
/// Each board's shortest pulse that is exact enough, us.
const PULSES: [(Hat, u32); 2] = [(Hat::V1_2, 100), (Hat::V3_3, 300)];

fn main() {
    let frames = std::env::args().filter_map(|argument| argument.parse().ok()).next().unwrap_or(60);
    println!("{frames} frames each; pixel 0.75 um, cell 300 x 3500 um, strokes of 6 uL at 3 mL/min");
    println!(
        "| HAT | how | ms a frame | worst blur, px | seen, uL/min | new, uL/min | new, writers at once |"
    );
    println!("|---|---|---|---|---|---|---|");
    let (half, learned) = (Settle::Seconds(0.5), Settle::Learned);
    for (hat, us) in PULSES {
        for ramp in [None, RAMP] {
            for settle in [half, learned] {
                row(hat, ramp, Way::StopFlow(settle), frames);
                row(hat, ramp, Way::Strobe(settle, us), frames);
            }
        }
    }
    for (hat, us) in PULSES.into_iter().chain([(Hat::V1_2, 25), (Hat::V1_2, 10)]) {
        row(hat, None, Way::Flow(Way::fastest_flow(hat, us), us), frames);
    }
}

fn row(hat: Hat, amax: Option<u32>, way: Way, frames: u32) {
    let settling = |settle| match settle {
        Settle::Seconds(seconds) => format!("{seconds} s of settling"),
        Settle::Learned => "learned settling".into(),
    };
    let how = match way {
        Way::StopFlow(settle) => settling(settle),
        Way::Strobe(settle, us) => format!("{}, strobed for {us} us", settling(settle)),
        Way::Flow(flow, us) => format!("flow of {flow:.3} mL/min, strobed for {us} us"),
    };
    let ramp = amax.map(|amax| format!("AMAX {amax}, ")).unwrap_or_default();
    let measured = [Writers::Usual, Writers::AtOnce]
        .map(|writers| measure(Instrument { amax, writers, ..Instrument::usual(hat) }, way, frames));
    match measured {
        [Some(sharp), Some(at_once)] => println!(
            "| {hat:?} | {ramp}{how} | {:.1} | {:.3} | {:.1} | {:.1} | {:.1} |",
            sharp.period.as_secs_f64() * 1e3,
            sharp.blur_px,
            sharp.seen_ul_per_min,
            sharp.new_ul_per_min,
            at_once.new_ul_per_min
        ),
        _ => println!("| {hat:?} | {ramp}{how} | did not end well | | | | |"),
    }
}
