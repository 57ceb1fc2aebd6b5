//! `planktor guard`.

use super::Failure;
use super::run::{Run, only, say};
use planktor_runtime::guard::{Ended, RESTARTS, WITHIN, Ward, guard};
use std::process::ExitCode;

/// Takes what `planktor run` takes, and starts that with it.
#[derive(Debug, clap::Args)]
pub(crate) struct Guard {
    #[command(flatten)]
    run: Run,
}

/// It has given up: to be started again it wants somebody who has looked at it.
const GAVE_UP: u8 = 3;

impl Guard {
    pub(crate) fn run(self) -> Result<ExitCode, Failure> {
        if let Some(why) = self.run.unguarded() {
            return Err(why.into());
        }
        let board = self.run.board(&self.run.data()?)?.map(|chosen| chosen.description);
        // Its program has it from the guard, and nobody else comes between two of them.
        let _only = board.as_ref().map(|_| only()).transpose()?;
        let given = std::env::args_os().skip(2);
        let ward = Ward {
            program: std::env::current_exe()?,
            arguments: std::iter::once("run".into()).chain(given).collect(),
            board,
            say: say(),
        };
        Ok(match guard(&ward)? {
            Ended::InOrder(code) => code.into(),
            Ended::GaveUp(why) => {
                eprintln!(
                    "planktor: the guard gives up: {RESTARTS} restarts within {} min did not help; at last: {why}; \
                     look with planktor doctor, then start it again",
                    WITHIN.as_secs() / 60
                );
                GAVE_UP.into()
            }
        })
    }
}
