//! `planktor report`.

use super::export::outside;
use super::{Failure, print};
use indicatif::ProgressBar;
use planktor_runtime::dataset;
use std::path::PathBuf;
use std::process::ExitCode;

#[derive(Debug, clap::Args)]
pub(crate) struct Report {
    /// The data set
    folder: PathBuf,
    /// Where the page goes [default: <acquisition>_report.html in the current folder]
    #[arg(long, value_name = "FILE")]
    to: Option<PathBuf>,
    /// Replace a file of that name
    #[arg(long)]
    force: bool,
}

impl Report {
    pub(crate) fn run(self) -> Result<ExitCode, Failure> {
        let failed = |why| format!("failed to look into {}: {why}; check the path", self.folder.display());
        let folder = self.folder.canonicalize().map_err(failed)?;
        let name = folder.file_name().map_or("data-set".into(), |name| name.to_string_lossy().into_owned());
        let to = self.to.unwrap_or_else(|| format!("{name}_report.html").into());
        outside(&to, &folder, self.force)?;
        let bar = ProgressBar::no_length();
        let progress = |done: usize, all: usize| {
            bar.set_length(all as u64);
            bar.set_position(done as u64);
        };
        let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let page = dataset::report_page(&folder, threads, &progress).map_err(failed)?;
        bar.finish_and_clear();
        std::fs::write(&to, page).map_err(|why| {
            format!("failed to write {}: {why}; check the folder and its disk", to.display())
        })?;
        print(to.display());
        Ok(ExitCode::SUCCESS)
    }
}
