//! `planktor parameters`.

use super::{Failure, print};
use planktor_sim::parameters::TABLE;
use std::process::ExitCode;

#[derive(Debug, clap::Args)]
pub(crate) struct Parameters {}

impl Parameters {
    pub(crate) fn run(self) -> Result<ExitCode, Failure> {
        for parameter in TABLE {
            print(format_args!(
                "{} = {}    # {} to {}\n    {}\n    Source: {}",
                parameter.name,
                parameter.usual,
                parameter.range.start(),
                parameter.range.end(),
                parameter.about.trim(),
                parameter.source
            ));
        }
        Ok(ExitCode::SUCCESS)
    }
}
