//! The display's driver against the twin's panel: every dot comes where it belongs, and nobody waits for the ink.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

use planktor_actors::alarm::VirtualClock;
use planktor_drivers::Clock;
use planktor_drivers::board::{Board, DisplayLine};
use planktor_drivers::chips::ssd1680::Ssd1680;
use planktor_drivers::devices::display::Display;
use planktor_drivers::devices::display::drawing::draw;
use planktor_hil_tests::began;
use planktor_protocol::Fault;
use planktor_protocol::display::Page;
use planktor_sim::faults::Bus;
use planktor_sim::random::hash;
use planktor_sim::{Settings, Twin};
use std::sync::Arc;
use std::time::Duration;

fn twin() -> (Twin, VirtualClock) {
    let clock = VirtualClock::default();
    let settings = Settings::new(1, Settings::SMALL_FRAME, began());
    (Twin::new(Arc::new(clock.clone()), settings), clock)
}

fn line(twin: &Twin) -> DisplayLine {
    twin.slow_buses().display().unwrap()
}

fn shows(twin: &Twin) -> Option<Vec<u8>> {
    let world = twin.world();
    world.display.as_ref().unwrap().shows(16, world.now())
}

#[test]
fn every_dot_is_shown_where_it_belongs() {
    let (twin, clock) = twin();
    let pass = |ms| clock.set(clock.now() + Duration::from_millis(ms));
    let DisplayLine { spi, data, reset, busy, mut power } = line(&twin);
    power.set(true);
    let mut chip = Ssd1680::new(spi, data, reset, busy);
    chip.hold_reset(true).unwrap();
    chip.hold_reset(false).unwrap();
    pass(10);
    chip.restart().unwrap();
    pass(10);
    let noise: Vec<u8> = (0..16 * 296).map(|n| hash(n, 0).to_le_bytes()[0]).collect();
    chip.begin(16, 296).unwrap();
    noise.chunks(1_000).for_each(|piece| chip.send(piece).unwrap());
    chip.show().unwrap();
    assert!(chip.is_busy().unwrap());
    pass(3_000);
    assert!(shows(&twin).unwrap() == noise);
}

/// Shows a page to its end; how long that took.
fn show(display: &mut Display, page: Option<&Page>, clock: &VirtualClock) -> Result<Duration, Fault> {
    let began = clock.now();
    let mut again = Some(display.show(page)?);
    while let Some(after) = again {
        clock.set(clock.now() + after);
        again = display.poll(clock.now())?;
    }
    Ok(clock.now() - began)
}

#[test]
fn pages_follow_each_other_and_one_that_is_given_up_leaves_no_trace() {
    let (twin, clock) = twin();
    let mut display = Display::new(line(&twin));
    let page = |name: &str| Page { url: "http://planktoscope.local".into(), name: name.into() };
    let first = page("first");
    let took = show(&mut display, Some(&first), &clock).unwrap();
    assert!(took > Duration::from_secs(2) && took < Duration::from_millis(2_200), "{took:?}");
    assert!(shows(&twin).unwrap() == draw(Some(&first)).bytes());
    for steps in 0..30 {
        let again = display.show(Some(&page("given up"))).unwrap();
        clock.set(clock.now() + again);
        (0..steps).for_each(|_| {
            let again = display.poll(clock.now()).unwrap().unwrap();
            clock.set(clock.now() + again);
        });
        show(&mut display, None, &clock).unwrap();
        assert!(shows(&twin).unwrap().iter().all(|byte| *byte == 0xFF), "given up after {steps} steps");
    }
}

#[test]
fn a_display_that_is_not_there_is_told_in_time() {
    for fault in [planktor_sim::Fault::CablePulled(Bus::Display), planktor_sim::Fault::BusError(Bus::Display)]
    {
        let (twin, clock) = twin();
        twin.world().break_it(fault, clock.now(), None);
        let told = show(&mut Display::new(line(&twin)), None, &clock);
        assert!(matches!(told, Err(Fault::Bus(_))), "{told:?}");
        assert!(clock.now() < planktor_protocol::Instant::ZERO + Duration::from_secs(1));
    }
}
