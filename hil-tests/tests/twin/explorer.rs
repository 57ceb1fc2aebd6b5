//! Episodes that nobody thought of keep every law of the house. That every law can be seen to be broken:
//! `tests/twin/canary.rs`. A longer run: `cargo run --release -p planktor-hil-tests --bin explore`.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

use planktor_hil_tests::explorer::episode::{LASTS, episode};
use planktor_hil_tests::explorer::{self, Sabotage, on_all_cores};
use planktor_runtime::scenario::Scenario;
use std::path::Path;
use std::time::Duration;

/// Simulated in every run of the tests: a month.
const HOURS: u64 = 30 * 24;

#[test]
fn a_month_at_sea_keeps_every_law() {
    assert_eq!(LASTS, Duration::from_secs(3_600));
    let play =
        |seed| explorer::play(&episode(seed)).err().map(|violation| format!("seed {seed}: {violation}"));
    let fallen = on_all_cores(0..HOURS, play);
    assert!(fallen.is_empty(), "explore keeps and shrinks them: {fallen:#?}");
}

#[test]
fn an_episode_played_twice_is_the_same() {
    let play =
        |seed| explorer::play_twice(&episode(seed), Sabotage::default).err().map(|fallen| (seed, fallen));
    let fallen = on_all_cores(1_000..1_010, play);
    assert!(fallen.is_empty(), "{fallen:#?}");
}

/// Every one of them broke a law once.
#[test]
fn what_once_broke_a_law_keeps_it_now() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/kept");
    let mut played = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let scenario = Scenario::parse(&std::fs::read_to_string(&path).unwrap()).unwrap();
        explorer::play(&scenario).unwrap_or_else(|violation| panic!("{}: {violation}", path.display()));
        played += 1;
    }
    assert!(played > 0);
}
