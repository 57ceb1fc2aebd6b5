//! `planktor replay`.

use super::{Failure, print};
use planktor_drivers::disk::FileSystem;
use planktor_runtime::{journal, replay};
use std::path::PathBuf;
use std::process::ExitCode;

#[derive(Debug, clap::Args)]
pub(crate) struct Replay {
    /// What `planktor run --journal FILE` recorded; of a real instrument it is replayed on a twin
    journal: PathBuf,
    /// Keep the data sets of the replay in this folder, which must be new or empty
    #[arg(long, value_name = "FOLDER")]
    data: Option<PathBuf>,
    /// Write the replay's own journal there
    #[arg(long, value_name = "FILE")]
    again: Option<PathBuf>,
}

impl Replay {
    pub(crate) fn run(self) -> Result<ExitCode, Failure> {
        let recorded = journal::read(&self.journal)?;
        let temporary = tempfile::TempDir::new()?;
        let data = self.data.unwrap_or_else(|| temporary.path().join("data"));
        std::fs::create_dir_all(&data)?;
        if std::fs::read_dir(&data)?.next().is_some() {
            return Err(
                format!("{} is not empty: what is in it would change the replay", data.display()).into()
            );
        }
        let data = data.canonicalize()?;
        let (comparison, lines) = replay::replay(&recorded, Box::new(FileSystem), &data)?;
        if let Some(path) = self.again {
            journal::save(&path, &journal::Head { data, hurried: true, ..recorded.head }, &lines)?;
        }
        print(&comparison);
        Ok(if comparison.is_same() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}
