//! `cargo run --release -p planktor-hil-tests --bin explore -- [HOURS] [FIRST_SEED]`: plays so many simulated hours (72),
//! one seed after the other, on all cores. An episode that breaks a law is shrunk and written to
//! `hil-tests/tests/kept/`, where the tests play it ever after.

#![expect(clippy::print_stdout, reason = "the answer")]

use planktor_drivers::Clock;
use planktor_drivers::clock::Monotonic;
use planktor_hil_tests::explorer::{self, Violation, episode::episode};
use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    let numbers: Vec<u64> = std::env::args().skip(1).filter_map(|argument| argument.parse().ok()).collect();
    let (hours, first) = (numbers.first().copied().unwrap_or(72), numbers.get(1).copied().unwrap_or(0));
    let began = Monotonic.now();
    let fallen = explorer::on_all_cores(first..first + hours, |seed| {
        let violation = explorer::play(&episode(seed)).err()?;
        println!("seed {seed}: {violation}");
        Some((seed, violation))
    });
    let took = (Monotonic.now() - began).as_secs_f64();
    println!("{hours} simulated hours in {took:.1} s: {} episodes broke a law", fallen.len());
    for (seed, violation) in &fallen {
        keep(*seed, violation);
    }
    if fallen.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn keep(seed: u64, violation: &Violation) {
    let fails = |episode: &_| explorer::play(episode).is_err_and(|other| other.law == violation.law);
    let shrunk = explorer::shrink(episode(seed), fails);
    let name = format!("{:?}-{seed}.toml", violation.law).to_lowercase();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/kept").join(name);
    let what = explorer::play(&shrunk).err().map_or_else(String::new, |violation| violation.to_string());
    let text = what.lines().map(|line| format!("# {line}\n")).collect::<String>() + &shrunk.text();
    match std::fs::write(&path, text) {
        Ok(()) => println!("kept {}", path.display()),
        Err(error) => println!("failed to keep {}: {error}", path.display()),
    }
}
