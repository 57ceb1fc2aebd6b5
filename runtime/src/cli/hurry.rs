//! `planktor run --twin SCENARIO --hurry`: a scenario's messages, played in virtual time.

use super::{Failure, print};
use indicatif::HumanDuration;
use planktor_actors::journal::Journal;
use planktor_drivers::disk::FileSystem;
use planktor_drivers::{Clock, clock::Monotonic};
use planktor_protocol::Instant;
use planktor_runtime::journal::{self, Head};
use planktor_runtime::scenario::Scenario;
use planktor_runtime::shelf::snapshot;
use planktor_runtime::stage::{Act, Client, Play, Seen};
use planktor_sim::Twin;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Prints what is published.
struct Reporter;

impl Client for Reporter {
    fn hears(&mut self, seen: &Seen, _: &Twin) -> Vec<Act> {
        let Seen { at, topic, payload, .. } = seen;
        print(format_args!("{at:?} {topic} {payload}"));
        vec![]
    }
}

/// Plays it, into `data`.
pub(super) fn hurry(
    scenario: Scenario,
    data: PathBuf,
    journal_file: Option<&Path>,
) -> Result<ExitCode, Failure> {
    if scenario.messages.is_empty() {
        return Err("nothing to play: the scenario has no [[message]] with at_s, topic and payload".into());
    }
    let journal = if journal_file.is_some() { Journal::kept() } else { Journal::default() };
    let mut play = Play::of(&scenario, Instant::ZERO, scenario.began, Box::new(FileSystem), data.clone());
    play.config.journal = journal.clone();
    let kept = snapshot(&data, "twin", None);
    let clock = play.clock.clone();
    let started = Monotonic.now();
    play.run(Reporter)?;
    let (simulated, took) = (clock.now() - Instant::ZERO, Monotonic.now() - started);
    eprintln!(
        "planktor: {} in {:.2} s, data in {}",
        HumanDuration(simulated),
        took.as_secs_f64(),
        data.display()
    );
    if let Some(path) = journal_file {
        let began_us = scenario.began.micros();
        journal::save(
            path,
            &Head { hurried: true, start_ns: 0, began_us, data, board: None, scenario, kept },
            &journal.lines(),
        )?;
    }
    Ok(ExitCode::SUCCESS)
}
