//! `planktor run`.

use super::broker::{Broker, Embedded};
use super::hurry::hurry;
use super::page::Page;
use super::{DataRoot, Failure};
use planktor_actors::journal::Journal;
use planktor_drivers::Clock;
use planktor_drivers::clock::{Computer, Monotonic, WallClock};
use planktor_drivers::disk::FileSystem;
use planktor_runtime::chrony::Chrony;
use planktor_runtime::instrument::{Config, KEPT_FREE, Time};
use planktor_runtime::journal::{Head, Writer};
use planktor_runtime::machine;
use planktor_runtime::scenario::Scenario;
use planktor_runtime::service::{BrokerChoice, Options, Say, Service};
use planktor_runtime::shelf::snapshot;
use planktor_runtime::trouble::Troublemaker;
use planktor_sim::Twin;
use planktor_sim::disk::TwinDisk;
use planktor_sim::gpsd::Gpsd;
use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

const MB: u64 = 1_000_000;

#[derive(Debug, clap::Args)]
pub(crate) struct Run {
    /// Simulate the instrument; in this scenario (a TOML file), if one is given
    #[arg(long, value_name = "SCENARIO", num_args = 0..=1)]
    #[expect(clippy::option_option, reason = "not simulated, simulated, in a scenario")]
    twin: Option<Option<PathBuf>>,
    /// Play the scenario's messages in virtual time, as fast as it goes; without a broker
    #[arg(long, requires = "twin", conflicts_with_all = ["broker", "listen", "websockets", "tls", "users", "gpsd", "chrony", "rtsp_push"])]
    hurry: bool,
    /// Record everything that enters the simulated instrument, for planktor replay
    #[arg(long, value_name = "FILE", requires = "twin")]
    journal: Option<PathBuf>,
    #[command(flatten)]
    data: DataRoot,
    #[command(flatten)]
    external: Broker,
    #[command(flatten)]
    embedded: Embedded,
    #[command(flatten)]
    page: Page,
    /// So many megabytes of the data folder's disk are left for everything else that lives there
    #[arg(long, value_name = "MB", default_value_t = KEPT_FREE / MB)]
    keep_free: u64,
    /// The instrument's constants [default: hardware.json in the data folder; of a twin: twin/hardware.json]
    #[arg(long, value_name = "FILE")]
    hardware: Option<PathBuf>,
    /// Ask this gpsd for position and time; "twin": start one under the twin's sky, and ask that over TCP
    #[arg(long, value_name = "HOST:PORT|twin", value_parser = gpsd)]
    gpsd: Option<Gps>,
    /// Ask the computer's chrony how well its clock is kept; at this command socket, if it is not where chronyc looks
    #[arg(long, value_name = "SOCKET", num_args = 0..=1)]
    #[expect(clippy::option_option, reason = "not asked, asked, asked elsewhere")]
    chrony: Option<Option<PathBuf>>,
    /// What is random in a simulated instrument follows from this number [default: the scenario's, or 1]
    #[arg(long, requires = "twin")]
    seed: Option<u64>,
}

impl Run {
    pub(crate) fn run(self) -> Result<ExitCode, Failure> {
        let Some(file) = &self.twin else {
            return Err("the real board is not supported yet: its SPI, I2C, GPIO and camera drivers (rppal, \
                        linux-embedded-hal, v4l) are missing from this version. Use --twin for a simulated instrument"
                .into());
        };
        let mut scenario = file.as_deref().map_or_else(|| Ok(Scenario::default()), read)?;
        scenario.seed = self.seed.unwrap_or(scenario.seed);
        let data = self.data.create()?;
        if self.hurry {
            if self.page.is_asked_for() {
                eprintln!("planktor: there is no page with --hurry: virtual time does not wait for browsers");
            }
            return hurry(scenario, data, self.journal.as_deref());
        }
        if !scenario.messages.is_empty() {
            eprintln!("planktor: the scenario's messages are said only with --hurry; here a client speaks");
        }
        let users = self.embedded.users()?;
        let broker = match self.external.asked()? {
            Some(address) => BrokerChoice::External(address),
            None => BrokerChoice::Embedded(Box::new(self.embedded.listen(users.clone())?)),
        };
        warn(&broker);
        let (twin, mut head) = twin(scenario, data.clone());
        head.kept = snapshot(&data, self.hardware.as_deref());
        let written = self.journal.map(|path| Writer::begin(&path, &head)).transpose()?;
        let (writer, journal) =
            written.map_or((None, Journal::default()), |(writer, journal)| (Some(writer), journal));
        let (gpsd, _twins_own) = match self.gpsd {
            None => (None, None),
            Some(Gps::At(address)) => (Some(address), None),
            Some(Gps::Twins) => {
                let own = Gpsd::start(twin.clone(), SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
                (Some(own.address().to_string()), Some(own))
            }
        };
        let options = Options {
            broker,
            gpsd,
            chrony: self.chrony.map(|socket| Chrony { socket }),
            signals: true,
            say: say(),
            trouble: Some(Troublemaker::new(twin.clone(), head.scenario.seed, &head.scenario.faults)),
            web: self.page.options(users)?,
        };
        let disk = TwinDisk::new(Box::new(FileSystem), twin.clone());
        let root = Path::new("/");
        let config = Config {
            journal,
            calibration: head.scenario.calibration(),
            hardware: self.hardware,
            kept_free: self.keep_free.saturating_mul(MB),
            serial: machine::serial(root),
            name: machine::name(root),
            ..Config::new(Arc::new(twin), "twin", Time::Real, Box::new(disk), data.clone())
        };
        let service = Service::start(config, options)?;
        let [websockets, tls] = service.other_doors();
        let door =
            |name, address: Option<SocketAddr>| address.map_or(String::new(), |at| format!(", {name} {at}"));
        if let Some(page) = service.page() {
            eprintln!("planktor: the page is on http://{page}/");
        }
        eprintln!(
            "planktor: simulated instrument on the MQTT broker {}{}{}, data in {}; Ctrl-C ends it",
            service.broker(),
            door("websockets", websockets),
            door("TLS", tls),
            data.display()
        );
        service.wait()?;
        match writer.map(Writer::end).transpose()? {
            None | Some(0) => Ok(ExitCode::SUCCESS),
            Some(lost) => {
                Err(format!("the disk was too slow for the journal: {lost} lines are missing").into())
            }
        }
    }
}

fn read(path: &Path) -> Result<Scenario, Failure> {
    let text = std::fs::read_to_string(path).map_err(|error| {
        format!("failed to read the scenario {}: {error}; check the path", path.display())
    })?;
    Scenario::parse(&text).map_err(|error| format!("{}: {error}", path.display()).into())
}

fn warn(broker: &BrokerChoice) {
    let BrokerChoice::Embedded(listen) = broker else { return };
    let open =
        [Some(listen.mqtt), listen.websockets].into_iter().flatten().filter(|at| !at.ip().is_loopback());
    for address in open {
        let who = if listen.door.is_some() {
            "whoever has a password"
        } else {
            "everybody who can reach this address"
        };
        let seen =
            if listen.door.is_some() { "; passwords can be read on the way" } else { ", without a password" };
        eprintln!(
            "planktor: the embedded broker listens on {address} without TLS: {who} can move the motors{seen}"
        );
    }
}

/// Lines that may wait for a slow terminal; what comes then is lost, and nobody waits.
const LINES: usize = 256;

fn say() -> Say {
    let (line, lines) = crossbeam_channel::bounded::<String>(LINES);
    let print = move || lines.iter().for_each(|line| eprintln!("planktor: {line}"));
    // Without a thread for it nothing is said.
    let _ = std::thread::Builder::new().name("log".into()).spawn(print);
    Arc::new(move |text| drop(line.try_send(text.into())))
}

/// A simulated instrument in real time, under a sky that has today's date; and how a journal begins that is about it.
pub(super) fn twin(scenario: Scenario, data: PathBuf) -> (Twin, Head) {
    let start = Monotonic.now();
    let up = i64::try_from(start.nanos() / 1_000).unwrap_or(0);
    let began_us = Computer.utc().micros() - up;
    let head =
        Head { hurried: false, start_ns: start.nanos(), began_us, data, scenario, kept: BTreeMap::new() };
    let twin = Twin::new(Arc::new(Monotonic), head.scenario.settings(head.began())).in_real_time();
    (twin, head)
}

/// Which gpsd.
#[derive(Clone, Debug)]
enum Gps {
    Twins,
    At(String),
}

fn gpsd(text: &str) -> Result<Gps, String> {
    if text == "twin" {
        return Ok(Gps::Twins);
    }
    host_and_port(text).map(|(host, port)| Gps::At(format!("{host}:{port}")))
}

fn host_and_port(text: &str) -> Result<(String, u16), String> {
    let (host, port) = text.rsplit_once(':').ok_or("expected HOST:PORT, as in localhost:1883")?;
    let port = port.parse().map_err(|_| format!("{port} is no port; expected a number from 1 to 65535"))?;
    if host.is_empty() || port == 0 {
        return Err("expected HOST:PORT, as in localhost:1883".into());
    }
    Ok((host.into(), port))
}
