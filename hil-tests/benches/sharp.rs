//! Sharp microlitres per minute: stop-flow as it is used, strobed, and in a slow flow, on both HATs, on the twin in
//! virtual time. `cargo bench -p planktor-hil-tests --bench sharp [-- FRAMES]`. Prints figures, asserts none.

#![expect(clippy::print_stdout, reason = "figures")]

use planktor_hil_tests::sharp::{Way, Writers, measure};
use planktor_sim::Hat;

fn main() {
    let frames = std::env::args().filter_map(|argument| argument.parse().ok()).next().unwrap_or(100);
    println!("{frames} frames each; pixel 0.75 um, cell 300 x 3500 um, strokes of 6 uL at 3 mL/min");
    println!("the last column: where encoders and disk take no time");
    println!(
        "{:<8}{:<50}{:>9}{:>9}{:>11}{:>10}{:>10}",
        "HAT", "how", "ms/frame", "blur px", "seen uL/min", "new", "new"
    );
    let flow = |us: u32| Way::Flow(Way::fastest_flow(us), us);
    let by_pin = [Way::StopFlow(0.5), Way::Strobe(0.5, 100), flow(100), flow(25), flow(10)];
    let by_bus = [Way::StopFlow(0.5), Way::Strobe(0.5, 300), flow(300)];
    let all = by_pin.map(|way| (Hat::V1_2, way)).into_iter().chain(by_bus.map(|way| (Hat::V3_3, way)));
    for (hat, way) in all {
        let how = match way {
            Way::StopFlow(s) => format!("stop-flow, {s} s of settling"),
            Way::Strobe(s, us) => format!("the same ({s} s), strobed for {us} us"),
            Way::Flow(flow, us) => format!("flow of {flow:.4} mL/min, strobed for {us} us"),
        };
        let all = [Writers::Usual, Writers::AtOnce].map(|writers| measure(hat, way, frames, writers));
        let [Some(sharp), Some(at_once)] = all else {
            println!("{hat:<8?}{how:<50} did not end well");
            continue;
        };
        println!(
            "{:<8}{how:<50}{:>9.1}{:>9.3}{:>11.1}{:>10.1}{:>10.1}",
            format!("{hat:?}"),
            sharp.period.as_secs_f64() * 1e3,
            sharp.blur_px,
            sharp.seen_ul_per_min,
            sharp.new_ul_per_min,
            at_once.new_ul_per_min
        );
    }
}
