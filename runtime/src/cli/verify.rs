//! `planktor verify`.

use super::{Failure, print};
use planktor_runtime::dataset;
use std::path::PathBuf;
use std::process::ExitCode;

#[derive(Debug, clap::Args)]
pub(crate) struct Verify {
    /// The data set: a folder with metadata.json in it
    folder: PathBuf,
}

impl Verify {
    pub(crate) fn run(self) -> Result<ExitCode, Failure> {
        let report = dataset::verify(&self.folder);
        print(&report);
        Ok(if report.is_valid() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}
