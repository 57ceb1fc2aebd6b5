//! `planktor verify`.

use super::{Failure, print};
use indicatif::ProgressBar;
use planktor_runtime::dataset;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;

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
            let found = found(folder)?;
            // What was named is answered for, whatever it is.
            sets.extend(if found.is_empty() { vec![folder.clone()] } else { found });
        }
        // One after the other, each with all cores: one set can be as large as many.
        let bar = ProgressBar::new(0);
        let reports: Vec<_> = sets.iter().map(|set| verify(set, &bar)).collect();
        bar.finish_and_clear();
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

/// Verifies one; the bar counts frames.
fn verify(set: &Path, bar: &ProgressBar) -> dataset::Report {
    let (before, known) = (bar.length().unwrap_or(0), AtomicBool::new(false));
    dataset::verify_telling(set, &|frames| {
        if !known.swap(true, Relaxed) {
            bar.set_length(before + frames as u64);
        }
        bar.inc(1);
    })
}

/// The data sets in a folder.
pub(super) fn found(folder: &Path) -> Result<Vec<PathBuf>, Failure> {
    let failed = |error| format!("failed to look into {}: {error}; check the path", folder.display());
    Ok(dataset::data_sets(folder).map_err(failed)?)
}

/// Does it to all of them, in order; as many at a time as there are cores. Whoever looks at a terminal sees how far it is.
pub(super) fn of_all<A: Send, B: Send>(
    all: Vec<A>,
    work: impl Fn(&A) -> B + Sync,
) -> Result<Vec<B>, Failure> {
    let bar = ProgressBar::new(all.len() as u64);
    let (todo, next) = crossbeam_channel::bounded(all.len());
    let (done, came) = crossbeam_channel::bounded(all.len());
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let threads = cores.min(all.len());
    for numbered in all.into_iter().enumerate() {
        todo.send(numbered).map_err(|_| "no thread takes work; please report it")?;
    }
    drop(todo);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            let (next, done, bar, work) = (next.clone(), done.clone(), bar.clone(), &work);
            scope.spawn(move || {
                for (n, one) in next {
                    // The other end outlives the scope.
                    let _ = done.send((n, work(&one)));
                    bar.inc(1);
                }
            });
        }
    });
    bar.finish_and_clear();
    drop(done);
    let mut all: Vec<_> = came.iter().collect();
    all.sort_by_key(|(n, _)| *n);
    Ok(all.into_iter().map(|(_, one)| one).collect())
}
