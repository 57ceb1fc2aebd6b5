//! `planktor run`.

use super::{DataRoot, Failure};
use planktor_drivers::clock::{Computer, Monotonic, WallClock};
use planktor_drivers::disk::FileSystem;
use planktor_protocol::Utc;
use planktor_runtime::instrument::{Config, Time};
use planktor_runtime::service::{BrokerChoice, Options, Say, Service};
use planktor_sim::{Settings, Twin};
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;

#[derive(Debug, clap::Args)]
pub(crate) struct Run {
    /// Simulate the instrument
    #[arg(long)]
    twin: bool,
    #[command(flatten)]
    data: DataRoot,
    /// Connect to this MQTT broker instead of starting one
    #[arg(long, value_name = "HOST:PORT", value_parser = host_and_port, conflicts_with = "listen")]
    broker: Option<(String, u16)>,
    /// Let the embedded MQTT broker listen there; whoever reaches it can move the motors
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:1883")]
    listen: SocketAddr,
    /// Ask this gpsd for position and time
    #[arg(long, value_name = "HOST:PORT", value_parser = host_and_port)]
    gpsd: Option<(String, u16)>,
    /// What is random in a simulated instrument follows from this number
    #[arg(long, default_value_t = 1, requires = "twin")]
    seed: u64,
}

impl Run {
    pub(crate) fn run(self) -> Result<ExitCode, Failure> {
        if !self.twin {
            return Err("the real board is not supported yet: its SPI, I2C, GPIO and camera drivers (rppal, \
                        linux-embedded-hal, v4l) are missing from this version. Use --twin for a simulated instrument"
                .into());
        }
        let data = self.data.create()?;
        let broker = match self.broker {
            Some((host, port)) => BrokerChoice::External { host, port },
            None => BrokerChoice::Embedded(self.listen),
        };
        if let BrokerChoice::Embedded(address) = &broker
            && !address.ip().is_loopback()
        {
            eprintln!(
                "planktor: the embedded broker listens on {address}: everybody who can reach this address can move \
                 the motors, without a password"
            );
        }
        let options = Options {
            broker,
            gpsd: self.gpsd.map(|(host, port)| format!("{host}:{port}")),
            signals: true,
            say: say(),
            trouble: None,
        };
        let twin = twin(self.seed, Settings::FULL_FRAME);
        let config = Config::new(Arc::new(twin), "twin", Time::Real, Box::new(FileSystem), data.clone());
        let service = Service::start(config, options)?;
        let (host, port) = service.broker();
        eprintln!(
            "planktor: simulated instrument on the MQTT broker {host}:{port}, data in {}; Ctrl-C ends it",
            data.display()
        );
        service.wait()?;
        Ok(ExitCode::SUCCESS)
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

/// A simulated instrument in real time, under a sky that has today's date.
pub(super) fn twin(seed: u64, frame: (u32, u32)) -> Twin {
    use planktor_drivers::Clock;
    let up = i64::try_from(Monotonic.now().nanos() / 1_000).unwrap_or(0);
    let began = Utc::from_micros(Computer.utc().micros() - up);
    Twin::new(Arc::new(Monotonic), Settings::new(seed, frame, began))
}

fn host_and_port(text: &str) -> Result<(String, u16), String> {
    let (host, port) = text.rsplit_once(':').ok_or("expected HOST:PORT, as in localhost:1883")?;
    let port = port.parse().map_err(|_| format!("{port} is no port; expected a number from 1 to 65535"))?;
    if host.is_empty() || port == 0 {
        return Err("expected HOST:PORT, as in localhost:1883".into());
    }
    Ok((host.into(), port))
}
