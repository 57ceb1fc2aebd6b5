//! `planktor doctor`.

use super::broker::Broker;
use super::{DataRoot, Failure, print};
use planktor_runtime::board;
use planktor_runtime::chrony::Chrony;
use planktor_runtime::doctor::{Patient, Verdict, examine};
use planktor_runtime::instrument::KEPT_FREE;
use std::path::PathBuf;
use std::process::ExitCode;

#[derive(Debug, clap::Args)]
pub(crate) struct Doctor {
    /// The instrument's board, as for planktor run
    #[arg(long, value_name = "1.2|3.3|FILE")]
    board: Option<String>,
    /// The camera, as for planktor run
    #[arg(long, value_name = "DEVICE")]
    camera: Option<String>,
    /// The instrument's constants, as for planktor run
    #[arg(long, value_name = "FILE")]
    hardware: Option<PathBuf>,
    #[command(flatten)]
    data: DataRoot,
    #[command(flatten)]
    broker: Broker,
    /// The gpsd to ask
    #[arg(long, value_name = "HOST:PORT", default_value = super::run::GPSD)]
    gpsd: String,
    /// Where chrony's command socket is, if not where chronyc looks
    #[arg(long, value_name = "SOCKET")]
    chrony: Option<PathBuf>,
    /// Print a JSON object a finding, for scripts
    #[arg(long)]
    json: bool,
}

impl Doctor {
    pub(crate) fn run(self) -> Result<ExitCode, Failure> {
        let data = self.data.folder()?;
        let hardware = self.hardware.unwrap_or_else(|| data.join(board::HARDWARE));
        let findings = examine(&Patient {
            board: board::choose(self.board.as_deref(), &hardware)
                .map(|board| board.with_camera(self.camera.as_deref())),
            kept_free: KEPT_FREE,
            broker: self.broker.asked()?,
            gpsd: self.gpsd,
            chrony: Chrony { socket: self.chrony },
            data,
        });
        for finding in &findings {
            if self.json { print(serde_json::to_string(finding)?) } else { print(finding) }
        }
        let worst = findings.iter().map(|finding| finding.verdict).max();
        Ok(if worst == Some(Verdict::Bad) { ExitCode::FAILURE } else { ExitCode::SUCCESS })
    }
}
