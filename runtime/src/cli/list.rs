//! `planktor list`.

use super::verify::{found, of_all};
use super::{DataRoot, Failure, print};
use planktor_runtime::dataset::listing::{BESIDE_NAMES, Row, heading, line};
use planktor_runtime::dataset::{self, Verdict};
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Names are never squeezed to fewer columns.
const NAMES: usize = 12;

#[derive(Debug, clap::Args)]
pub(crate) struct List {
    /// Data sets, or folders with data sets below them [default: the data folder]
    folders: Vec<PathBuf>,
    #[command(flatten)]
    data: DataRoot,
    /// Print a JSON object a line, for scripts
    #[arg(long)]
    json: bool,
    /// Read every byte, as `planktor verify` does, instead of names, sizes and records only
    #[arg(long)]
    verify: bool,
}

impl List {
    pub(crate) fn run(self) -> Result<ExitCode, Failure> {
        let mut sets = Vec::new();
        if self.folders.is_empty() {
            let root = self.data.folder()?;
            // Nothing was ever acquired here: that is no mistake.
            sets = if root.exists() { found(&root)? } else { vec![] };
            if sets.is_empty() {
                eprintln!("There are no data sets in {} yet; planktor demo makes one.", root.display());
            }
        }
        for folder in &self.folders {
            let found = found(folder)?;
            if found.is_empty() {
                eprintln!("There are no data sets in {}.", folder.display());
            }
            sets.extend(found);
        }
        let mut rows = Vec::new();
        let mut unreadable = false;
        for row in of_all(sets, |set| row(set, self.verify))? {
            // One that cannot be read keeps nobody from the others.
            match row {
                Ok(row) => rows.push(row),
                Err(why) => {
                    eprintln!("planktor: {why}");
                    unreadable = true;
                }
            }
        }
        rows.sort_by_cached_key(Row::order);
        match self.json {
            true => {
                for row in &rows {
                    print(serde_json::to_string(row)?);
                }
            }
            false => table(&rows),
        }
        let harmed = unreadable || rows.iter().any(Row::is_harmed);
        Ok(if harmed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
    }
}

fn row(set: &Path, verify: bool) -> Result<Row, String> {
    let failed = |why| format!("failed to look into {}: {why}; check the disk", set.display());
    let mut row = Row::of(set).map_err(failed)?;
    if verify {
        let report = dataset::verify(set);
        row.valid = Some(report.is_valid());
        row.problems = match &report.verdict {
            Verdict::Invalid(problems) => problems.iter().map(ToString::to_string).collect(),
            Verdict::NotBegun => vec![report.words().to_string()],
            Verdict::Complete | Verdict::Early(_) | Verdict::Unfinished(_) => vec![],
        };
    }
    Ok(row)
}

fn table(rows: &[Row]) {
    let widest = rows.iter().map(|row| row.sample.chars().count() + 1 + row.acquisition.chars().count());
    let widest = widest.max().unwrap_or(0);
    let room = columns().map_or(usize::MAX, |all| all.saturating_sub(BESIDE_NAMES));
    let names = widest.min(room).max(NAMES);
    if !rows.is_empty() {
        print(heading(names));
    }
    for row in rows {
        print(line(row, names));
    }
    if rows.iter().any(|row| row.sampled.is_none() && row.instrument.is_some()) {
        print("* the instrument's own place: nobody said where the sample was taken");
    }
    for row in rows.iter().filter(|row| row.is_harmed()) {
        print(format_args!("{}:", row.folder.display()));
        for problem in &row.problems {
            print(format_args!("  {}", problem.escape_debug()));
        }
    }
}

/// How wide the terminal is; what goes elsewhere is not cut.
fn columns() -> Option<usize> {
    let out = std::io::stdout();
    if !out.is_terminal() {
        return None;
    }
    let size = rustix::termios::tcgetwinsize(&out).ok()?;
    Some(usize::from(size.ws_col)).filter(|columns| *columns > 0)
}
