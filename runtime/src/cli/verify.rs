//! `planktor verify`.

use super::{Failure, print};
use indicatif::ProgressBar;
use planktor_runtime::dataset::{self, Report};
use std::path::PathBuf;
use std::process::ExitCode;

#[derive(Debug, clap::Args)]
pub(crate) struct Verify {
    /// Data sets, or folders with data sets below them
    #[arg(required = true)]
    folders: Vec<PathBuf>,
    /// Print a JSON object a line, for scripts
    #[arg(long)]
    json: bool,
}

impl Verify {
    pub(crate) fn run(self) -> Result<ExitCode, Failure> {
        let mut sets = Vec::new();
        for folder in &self.folders {
            let found = dataset::data_sets(folder).map_err(|error| {
                format!("failed to look into {}: {error}; check the path", folder.display())
            })?;
            // What was named is answered for, whatever it is.
            sets.extend(if found.is_empty() { vec![folder.clone()] } else { found });
        }
        let reports = checked(sets)?;
        for report in &reports {
            match self.json {
                true => print(report.json()),
                false => print(report),
            }
        }
        let wrong = reports.iter().filter(|report| !report.is_valid()).count();
        if reports.len() > 1 && !self.json {
            print(format_args!("{} data sets, {wrong} of them not valid", reports.len()));
        }
        Ok(if wrong == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

/// All of them, in order; as many at a time as there are cores. Whoever looks at a terminal sees how far it is.
fn checked(sets: Vec<PathBuf>) -> Result<Vec<Report>, Failure> {
    let bar = ProgressBar::new(sets.len() as u64);
    let (todo, next) = crossbeam_channel::bounded(sets.len());
    let (done, reports) = crossbeam_channel::bounded(sets.len());
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let threads = cores.min(sets.len());
    for numbered in sets.into_iter().enumerate() {
        todo.send(numbered)?;
    }
    drop(todo);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            let (next, done, bar) = (next.clone(), done.clone(), bar.clone());
            scope.spawn(move || {
                for (n, set) in next {
                    // The other end outlives the scope.
                    let _ = done.send((n, dataset::verify(&set)));
                    bar.inc(1);
                }
            });
        }
    });
    bar.finish_and_clear();
    drop(done);
    let mut all: Vec<_> = reports.iter().collect();
    all.sort_by_key(|(n, _)| *n);
    Ok(all.into_iter().map(|(_, report)| report).collect())
}
