//! The commands of the program.

mod bench;
mod broker;
mod client;
mod contract;
mod demo;
mod doctor;
mod export;
mod guard;
mod hurry;
mod list;
mod page;
mod parameters;
mod replay;
mod report;
mod run;
mod top;
mod verify;

use clap::{Parser, Subcommand};
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

/// Runs a PlanktoScope: moves the pump and the stage, lights the sample, takes the pictures and writes them down with
/// where and when they were taken. With --twin (and in the demo) the instrument is simulated, so everything runs on
/// any computer.
#[derive(Debug, Parser)]
#[command(
    name = "planktor",
    version,
    after_help = "First steps:\n  planktor demo                        a whole acquisition on a simulated instrument\n  planktor demo --plan focus-planes    three focus planes at every stop\n  planktor run --twin                  a simulated instrument to which MQTT clients can connect\n  planktor status                      what that instrument does, from another terminal\n  planktor verify DATA_SET             whether a data set is complete and unharmed"
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the instrument until it is told to end (Ctrl-C, SIGTERM)
    Run(run::Run),
    /// Run the instrument and watch over it: if it is killed or hangs, switch motors and lamp off, and start it again
    Guard(guard::Guard),
    /// Run a whole acquisition on a simulated instrument and show what came of it
    Demo(demo::Demo),
    /// Look at everything that an instrument needs, and say what to do where something is wrong; moves and lights nothing
    Doctor(doctor::Doctor),
    /// Show how long everything takes on an instrument that runs: commands, moves, frames, alarms, handlers
    Top(top::Top),
    #[command(flatten)]
    Order(client::Order),
    /// Measure how well this computer runs the instrument in real time, beside what it can do at best
    Bench(bench::Bench),
    /// Replay the journal of a simulated run in virtual time, and list what is different
    Replay(replay::Replay),
    /// List the numbers of the simulated world: what is usual, what is possible, and how that is known
    Parameters(parameters::Parameters),
    /// Show what is said over MQTT, as an AsyncAPI document
    Contract(contract::Contract),
    /// Make a line of a password file for the embedded broker; the password is read from the standard input
    Password(broker::Password),
    /// Print completions for a shell
    Completions {
        /// Which
        shell: clap_complete::Shell,
    },
    /// List data sets, a line each: when, what, how it ended, how time and place are known
    List(list::List),
    /// Make a page that tells everything of a data set: what is odd, where, when, how still, every frame
    Report(report::Report),
    /// Say what data sets are in another standard's words
    Export(export::Export),
    /// Check a data set: every file, its size and digest, and how the acquisition ended
    Verify(verify::Verify),
}

impl Cli {
    pub(crate) fn run(self) -> ExitCode {
        let result = match self.command {
            Command::Run(run) => run.run(),
            Command::Guard(guard) => guard.run(),
            Command::Demo(demo) => demo.run(),
            Command::Doctor(doctor) => doctor.run(),
            Command::Top(top) => top.run(),
            Command::Order(order) => order.run(),
            Command::Completions { shell } => {
                clap_complete::generate(
                    shell,
                    &mut <Cli as clap::CommandFactory>::command(),
                    "planktor",
                    &mut io::stdout(),
                );
                Ok(ExitCode::SUCCESS)
            }
            Command::Bench(bench) => bench.run(),
            Command::Replay(replay) => replay.run(),
            Command::Parameters(parameters) => parameters.run(),
            Command::Password(password) => password.run(),
            Command::Contract(contract) => contract.run(),
            Command::Verify(verify) => verify.run(),
            Command::List(list) => list.run(),
            Command::Report(report) => report.run(),
            Command::Export(export) => export.run(),
        };
        result.unwrap_or_else(|error| {
            eprintln!("planktor: {error}");
            ExitCode::FAILURE
        })
    }
}

/// Says a line to whoever reads; a reader who has gone away (`| head`) misses nothing.
fn print(line: impl std::fmt::Display) {
    let _ = writeln!(io::stdout(), "{line}");
}

/// What a command says when it cannot do what it was asked.
type Failure = Box<dyn std::error::Error>;

/// Where data sets go.
#[derive(Clone, Debug, clap::Args)]
struct DataRoot {
    /// Folder of all data sets [default: /home/pi/data on an instrument, else planktor in the user's data folder]
    #[arg(long, value_name = "FOLDER", env = "PLANKTOR_DATA")]
    data: Option<PathBuf>,
}

impl DataRoot {
    /// The folder's path, whether it exists or not.
    fn folder(self) -> Result<PathBuf, Failure> {
        Ok(self.data.or_else(default_root).ok_or("no home folder is known; say --data FOLDER")?)
    }

    /// The absolute path of the folder, which exists then.
    fn create(self) -> Result<PathBuf, Failure> {
        let root = self.folder()?;
        let failed = |error| {
            format!(
                "failed to create the data folder {}: {error}; choose another with --data",
                root.display()
            )
        };
        std::fs::create_dir_all(&root).map_err(failed)?;
        root.canonicalize().map_err(|error| failed(error).into())
    }
}

/// PlanktoScopes have a user pi, and their other programs look there.
fn default_root() -> Option<PathBuf> {
    if std::path::Path::new("/home/pi").is_dir() {
        return Some("/home/pi/data".into());
    }
    let folder = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let data = folder("XDG_DATA_HOME").or_else(|| Some(folder("HOME")?.join(".local/share")))?;
    Some(data.join("planktor"))
}
