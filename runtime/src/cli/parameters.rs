//! `planktor parameters`.

use super::Failure;
use planktor_sim::parameters::TABLE;
use std::process::ExitCode;

#[derive(Debug, clap::Args)]
pub(crate) struct Parameters {}

impl Parameters {
    #[expect(clippy::print_stdout, reason = "the answer")]
    pub(crate) fn run(self) -> Result<ExitCode, Failure> {
        for parameter in TABLE {
            println!(
                "{} = {}    # {} to {}\n    {}\n    Source: {}",
                parameter.name,
                parameter.usual,
                parameter.range.start(),
                parameter.range.end(),
                parameter.about.trim(),
                parameter.source
            );
        }
        Ok(ExitCode::SUCCESS)
    }
}
