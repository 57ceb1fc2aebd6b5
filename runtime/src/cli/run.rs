//! `planktor run`.

use super::broker::{Broker, Embedded};
use super::hurry::hurry;
use super::page::Page;
use super::{DataRoot, Failure};
use planktor_actors::journal::Journal;
use planktor_drivers::calibration::Calibration;
use planktor_drivers::clock::{Computer, Monotonic, WallClock};
use planktor_drivers::disk::FileSystem;
use planktor_drivers::linux::Linux;
use planktor_drivers::linux::description::Instrument as Model;
use planktor_drivers::{Board, Clock, Disk};
use planktor_runtime::board::{self, Chosen, Only};
use planktor_runtime::chrony::Chrony;
use planktor_runtime::guard::Guarded;
use planktor_runtime::instrument::{Config, KEPT_FREE, Time};
use planktor_runtime::journal::{Head, Writer};
use planktor_runtime::machine;
use planktor_runtime::scenario::Scenario;
use planktor_runtime::service::{BrokerChoice, Options, Say, Service};
use planktor_runtime::shelf::snapshot;
use planktor_runtime::trouble::Troublemaker;
use planktor_sim::disk::TwinDisk;
use planktor_sim::gpsd::Gpsd;
use planktor_sim::{Hat, Twin};
use std::collections::BTreeMap;
use std::io::ErrorKind;
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
    /// Record everything that enters the instrument, for planktor replay
    #[arg(long, value_name = "FILE")]
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
    /// The instrument's board: a shipped one (1.2: PlanktoScope v2.6, 3.3: v3.0) or a TOML file that describes one
    /// [default: hat_version in hardware.json, else what its EEPROM says, else 1.2]
    #[arg(long, value_name = "1.2|3.3|FILE", conflicts_with = "twin")]
    board: Option<String>,
    /// The camera, behind Video4Linux: a path or a part of its name [default: as the board's description has it]
    #[arg(long, value_name = "DEVICE", conflicts_with = "twin")]
    camera: Option<String>,
    /// The instrument's constants [default: hardware.json in the data folder; of a twin: twin/hardware.json]
    #[arg(long, value_name = "FILE")]
    hardware: Option<PathBuf>,
    /// Ask this gpsd for position and time; "twin": start one under the twin's sky, and ask that over TCP
    /// [default: localhost:2947; with --twin: off]
    #[arg(long, value_name = "HOST:PORT|twin|off", value_parser = gpsd)]
    gpsd: Option<Gps>,
    /// Ask the computer's chrony how well its clock is kept; at this command socket, if it is not where chronyc looks
    /// [default: asked; with --twin: off]
    #[arg(long, value_name = "SOCKET|off", num_args = 0..=1, default_missing_value = "", value_parser = chrony)]
    chrony: Option<Keeper>,
    /// Do not ask for real-time priority, a core and locked memory for the hardware thread
    #[arg(long)]
    no_real_time: bool,
    /// What is random in a simulated instrument follows from this number [default: the scenario's, or 1]
    #[arg(long, requires = "twin")]
    seed: Option<u64>,
}

impl Run {
    pub(crate) fn run(self) -> Result<ExitCode, Failure> {
        let guarded = Guarded::found()?;
        let data = self.data()?;
        let mut instrument = match self.board(&data)? {
            None => {
                let file = self.twin.as_ref().and_then(Option::as_deref);
                let mut scenario = file.map_or_else(|| Ok(Scenario::default()), read)?;
                scenario.seed = self.seed.unwrap_or(scenario.seed);
                if self.hurry {
                    if self.page.is_asked_for() {
                        eprintln!(
                            "planktor: there is no page with --hurry: virtual time does not wait for browsers"
                        );
                    }
                    return hurry(scenario, data, self.journal.as_deref());
                }
                self.simulated(scenario, &data)?
            }
            Some(chosen) => self.real(chosen, &data, guarded.as_ref())?,
        };
        let users = self.embedded.users()?;
        let broker = match self.external.asked()? {
            Some(address) => BrokerChoice::External(address),
            None => BrokerChoice::Embedded(Box::new(self.embedded.listen(users.clone())?)),
        };
        warn(&broker);
        instrument.head.kept = snapshot(&data, instrument.name, self.hardware.as_deref());
        let written = self.journal.map(|path| Writer::begin(&path, &instrument.head)).transpose()?;
        let (writer, journal) =
            written.map_or((None, Journal::default()), |(writer, journal)| (Some(writer), journal));
        let options = Options {
            broker,
            gpsd: instrument.gpsd,
            chrony: instrument.chrony,
            signals: true,
            say: say(),
            trouble: instrument.trouble,
            web: self.page.options(users)?,
            guarded,
        };
        let root = Path::new("/");
        let config = Config {
            journal,
            calibration: instrument.calibration,
            hardware: self.hardware,
            kept_free: self.keep_free.saturating_mul(MB),
            serial: machine::serial(root),
            name: machine::name(root),
            real_time: !self.no_real_time,
            ..Config::new(instrument.board, instrument.name, Time::Real, instrument.disk, data.clone())
        };
        let service = Service::start(config, options)?;
        let [websockets, tls] = service.other_doors();
        let door =
            |name, address: Option<SocketAddr>| address.map_or(String::new(), |at| format!(", {name} {at}"));
        if let Some(page) = service.page() {
            eprintln!("planktor: the page is on http://{page}/");
        }
        eprintln!(
            "planktor: {} on the MQTT broker {}{}{}, data in {}; Ctrl-C ends it",
            instrument.is,
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

    fn simulated(&self, scenario: Scenario, data: &Path) -> Result<Instrument, Failure> {
        if !scenario.messages.is_empty() {
            eprintln!("planktor: the scenario's messages are said only with --hurry; here a client speaks");
        }
        let (twin, head) = twin(scenario, data.into());
        let (gpsd, its_gpsd) = match &self.gpsd {
            None | Some(Gps::Off) => (None, None),
            Some(Gps::At(address)) => (Some(address.clone()), None),
            Some(Gps::Twins) => {
                let own = Gpsd::start(twin.clone(), SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
                (Some(own.address().to_string()), Some(own))
            }
        };
        Ok(Instrument {
            is: "simulated instrument".into(),
            name: "twin",
            calibration: head.scenario.calibration(),
            disk: Box::new(TwinDisk::new(Box::new(FileSystem), twin.clone())),
            gpsd,
            chrony: self.chrony.clone().and_then(Keeper::asked),
            trouble: Some(Troublemaker::new(twin.clone(), head.scenario.seed, &head.scenario.faults)),
            board: Arc::new(twin),
            head,
            _its_gpsd: its_gpsd,
            _only: None,
        })
    }

    /// The board, and who said so; `None` if it is simulated.
    pub(super) fn board(&self, data: &Path) -> Result<Option<Chosen>, Failure> {
        if self.twin.is_some() {
            return Ok(None);
        }
        let usual = data.join(board::HARDWARE);
        let hardware = self.hardware.as_deref().unwrap_or(&usual);
        let chosen = board::choose(self.board.as_deref(), hardware)?;
        Ok(Some(chosen.with_camera(self.camera.as_deref())))
    }

    /// Why it is nothing for a guard, if so.
    pub(super) fn unguarded(&self) -> Option<&'static str> {
        match (self.hurry, &self.journal) {
            (true, _) => Some("a hurried run has no instrument to guard; use planktor run"),
            (_, Some(_)) => {
                Some("a program that is started again would overwrite its journal; use planktor run")
            }
            (false, None) => None,
        }
    }

    /// The folder of all data sets, which exists then.
    pub(super) fn data(&self) -> Result<PathBuf, Failure> {
        self.data.clone().create()
    }

    /// With gpsd and chrony where they usually are: on a ship they are what makes the data worth keeping. The instrument is
    /// the guard's, if there is one.
    fn real(
        &self,
        Chosen { description, by }: Chosen,
        data: &Path,
        guarded: Option<&Guarded>,
    ) -> Result<Instrument, Failure> {
        let gpsd = match &self.gpsd {
            None => Some(GPSD.into()),
            Some(Gps::At(address)) => Some(address.clone()),
            Some(Gps::Off) => None,
            Some(Gps::Twins) => {
                return Err("--gpsd twin needs --twin: a real instrument has no simulated sky".into());
            }
        };
        let scenario = Scenario {
            hat: match description.instrument {
                Model::V2_6 => Hat::V1_2,
                Model::V3_0 => Hat::V3_3,
            },
            ..Scenario::default()
        };
        let only = if guarded.is_none() { Some(only()?) } else { None };
        let lent = guarded.map(|guarded| guarded.lent.clone()).unwrap_or_default();
        Ok(Instrument {
            is: format!("{} ({by})", description.name),
            name: description.name,
            calibration: description.instrument.calibration(),
            disk: Box::new(FileSystem),
            gpsd,
            chrony: self.chrony.clone().unwrap_or(Keeper::At(None)).asked(),
            trouble: None,
            head: Head { board: Some(description.name.into()), ..head(scenario, data.into()) },
            board: Arc::new(Linux::new(description).with(lent)),
            _its_gpsd: None,
            _only: only,
        })
    }
}

/// The instrument is this program's.
pub(super) fn only() -> Result<Only, Failure> {
    Only::take().map_err(|error| match error.kind() {
        ErrorKind::AddrInUse => "another planktor has this computer's instrument; end that one, or give it commands: planktor status".into(),
        _ => format!("it cannot be known whether another planktor has the instrument: {error}").into(),
    })
}

/// What differs between a real instrument and a simulated one.
struct Instrument {
    /// For people.
    is: String,
    board: Arc<dyn Board>,
    name: &'static str,
    calibration: Calibration,
    disk: Box<dyn Disk>,
    gpsd: Option<String>,
    chrony: Option<Chrony>,
    trouble: Option<Troublemaker>,
    head: Head,
    /// Ends when this is dropped.
    _its_gpsd: Option<Gpsd>,
    _only: Option<Only>,
}

/// Where gpsd usually is.
pub(super) const GPSD: &str = "localhost:2947";

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

pub(super) fn say() -> Say {
    let (line, lines) = crossbeam_channel::bounded::<String>(LINES);
    let print = move || lines.iter().for_each(|line| eprintln!("planktor: {line}"));
    // Without a thread for it nothing is said.
    let _ = std::thread::Builder::new().name("log".into()).spawn(print);
    Arc::new(move |text| drop(line.try_send(text.into())))
}

/// A simulated instrument in real time, under a sky that has today's date; and how a journal begins that is about it.
pub(super) fn twin(scenario: Scenario, data: PathBuf) -> (Twin, Head) {
    let head = head(scenario, data);
    let twin = Twin::new(Arc::new(Monotonic), head.scenario.settings(head.began())).in_real_time();
    (twin, head)
}

fn head(scenario: Scenario, data: PathBuf) -> Head {
    let start = Monotonic.now();
    let up = i64::try_from(start.nanos() / 1_000).unwrap_or(0);
    let began_us = Computer.utc().micros() - up;
    let kept = BTreeMap::new();
    Head { hurried: false, start_ns: start.nanos(), began_us, data, board: None, scenario, kept }
}

/// Which gpsd.
#[derive(Clone, Debug)]
enum Gps {
    Twins,
    At(String),
    Off,
}

/// Which chrony.
#[derive(Clone, Debug)]
enum Keeper {
    At(Option<PathBuf>),
    Off,
}

impl Keeper {
    fn asked(self) -> Option<Chrony> {
        match self {
            Self::At(socket) => Some(Chrony { socket }),
            Self::Off => None,
        }
    }
}

fn chrony(text: &str) -> Result<Keeper, std::convert::Infallible> {
    Ok(match text {
        "off" => Keeper::Off,
        "" => Keeper::At(None),
        socket => Keeper::At(Some(socket.into())),
    })
}

fn gpsd(text: &str) -> Result<Gps, String> {
    match text {
        "twin" => return Ok(Gps::Twins),
        "off" => return Ok(Gps::Off),
        _ => {}
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
