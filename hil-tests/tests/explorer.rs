//! Episodes that nobody thought of keep every law of the house; every law has been seen to be broken.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

use planktor_drivers::Clock;
use planktor_drivers::clock::Monotonic;
use planktor_hil_tests::explorer::episode::{LASTS, episode};
use planktor_hil_tests::explorer::{self, Sabotage};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// At least so much is simulated in every run of the tests: three days.
const LEAST: u64 = 3 * 24;

/// Two cores play at the same time.
fn on_all_cores(seeds: std::ops::Range<u64>, play: impl Fn(u64) + Sync) {
    let next = AtomicU64::new(seeds.start);
    let workers = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::SeqCst);
                    if seed >= seeds.end {
                        return;
                    }
                    play(seed);
                }
            });
        }
    });
}

#[test]
fn three_days_at_sea_keep_every_law() {
    assert_eq!(LASTS, Duration::from_secs(3_600));
    let began = Monotonic.now();
    on_all_cores(0..LEAST, |seed| {
        explorer::play(&episode(seed)).unwrap_or_else(|violation| panic!("seed {seed}: {violation}"));
    });
    println!("{LEAST} simulated hours in {:?}", Monotonic.now() - began);
}

#[test]
fn an_episode_played_twice_is_the_same() {
    on_all_cores(1_000..1_006, |seed| {
        let played = explorer::play_twice(&episode(seed), Sabotage::default);
        played.unwrap_or_else(|violation| panic!("seed {seed}: {violation}"));
    });
}
