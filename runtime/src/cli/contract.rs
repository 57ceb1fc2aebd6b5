//! `planktor contract`: the documents of what is said over MQTT and HTTP, made of the types that say it.

use super::{Failure, print};
use planktor_protocol::wire::contract;
use planktor_runtime::dataset::records;
use planktor_runtime::web;
use std::path::PathBuf;
use std::process::ExitCode;

#[derive(Debug, clap::Args)]
pub(crate) struct Contract {
    /// Write asyncapi.json, reference.md, schemas/*.json, openapi.json and frames.schema.json into this folder [default: print the AsyncAPI document]
    #[arg(long, value_name = "FOLDER")]
    write: Option<PathBuf>,
}

impl Contract {
    pub(crate) fn run(self) -> Result<ExitCode, Failure> {
        let Some(folder) = self.write else {
            print(format_args!("{:#}", contract::document()));
            return Ok(ExitCode::SUCCESS);
        };
        for (name, text) in contract::files().into_iter().chain([web::file(), records::file()]) {
            let path = folder.join(name);
            std::fs::create_dir_all(path.parent().unwrap_or(&folder))
                .and_then(|()| std::fs::write(&path, text))
                .map_err(|error| format!("failed to write {}: {error}; check the folder", path.display()))?;
        }
        Ok(ExitCode::SUCCESS)
    }
}
