//! `planktor bench`.

use super::{DataRoot, Failure, print};
use planktor_runtime::bench::Bench as Measure;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

#[derive(Debug, clap::Args)]
pub(crate) struct Bench {
    /// Rounds, in which everything is measured once; medians over them count
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1000))]
    rounds: u32,
    /// Frames in each round
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(2..=900))]
    frames: u32,
    /// Measure each round under load as well: stress-ng on all cores
    #[arg(long)]
    load: bool,
    /// And in a crowd: 64 MQTT clients that give commands as fast as they can, and 8 viewers; with so many frames in each
    /// round, if not as many as otherwise
    #[arg(long, value_name = "FRAMES", value_parser = clap::value_parser!(u32).range(2..=900))]
    crowd: Option<Option<u32>>,
    /// Print JSON instead of a table
    #[arg(long)]
    json: bool,
    /// Draw a picture of it, too (SVG)
    #[arg(long, value_name = "FILE")]
    plot: Option<PathBuf>,
    #[command(flatten)]
    data: DataRoot,
}

impl Bench {
    pub(crate) fn run(self) -> Result<ExitCode, Failure> {
        let Self { rounds, frames, load, crowd, json, plot, data } = self;
        let say = Box::new(|what: &str| eprintln!("planktor: measuring: {what}"));
        let crowd = crowd.map(|crowded| crowded.unwrap_or(frames));
        let report = Measure { rounds, frames, load, crowd, folder: data.create()?, say }.run()?;
        if let Some(file) = plot {
            write(&file, &report.plot())?;
        }
        match json {
            true => print(format_args!("{:#}", report.json())),
            false => print(report.table().trim_end()),
        }
        match report.ended_early {
            Some(why) => Err(format!("not all of it was measured: {why}").into()),
            None => Ok(ExitCode::SUCCESS),
        }
    }
}

fn write(file: &Path, text: &str) -> Result<(), Failure> {
    let failed =
        |error| format!("the picture cannot be written to {}: {error}; choose another file", file.display());
    std::fs::write(file, text).map_err(|error| failed(error).into())
}
