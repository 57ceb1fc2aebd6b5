//! Which MQTT broker, and how to come in.

use super::Failure;
use planktor_runtime::mqtt::door::{self, Users};
use planktor_runtime::mqtt::{Address, Listen, Login, Tls, Trust};
use std::io::{IsTerminal, Write, stdin, stdout};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

/// Somebody else's broker, or the one of an instrument that runs.
#[derive(Debug, clap::Args)]
pub(crate) struct Broker {
    /// The MQTT broker: HOST:PORT, or mqtts://HOST:PORT for TLS
    #[arg(long, value_name = "ADDRESS", env = "PLANKTOR_BROKER")]
    broker: Option<Address>,
    /// Come in with this name; the password is in the environment variable PLANKTOR_PASSWORD
    #[arg(long, value_name = "NAME", env = "PLANKTOR_USER")]
    user: Option<String>,
    #[arg(long, hide = true, env = "PLANKTOR_PASSWORD", hide_env_values = true)]
    password: Option<String>,
    /// Trust this certificate authority for TLS (a PEM file) [default: those of the system]
    #[arg(long, value_name = "FILE", env = "PLANKTOR_CA")]
    ca: Option<PathBuf>,
}

impl Broker {
    /// The broker that was asked for, if one was.
    pub(crate) fn asked(self) -> Result<Option<Address>, Failure> {
        let Self { broker, user, password, ca } = self;
        let Some(mut address) = broker else { return Ok(None) };
        address.login = match (user, password) {
            (None, _) => None,
            (Some(name), Some(password)) => Some(Login { name, password }),
            (Some(_), None) => {
                return Err("the password is missing; set the environment variable PLANKTOR_PASSWORD".into());
            }
        };
        if let Some(path) = ca {
            std::fs::File::open(&path)
                .map_err(|error| format!("failed to read {}: {error}; check --ca", path.display()))?;
            address.tls = Some(Trust::Authority(path));
        }
        Ok(Some(address))
    }

    /// The broker that was asked for, or the one of this computer.
    pub(crate) fn or_here(mut self) -> Result<Address, Failure> {
        self.broker.get_or_insert_with(|| Address::plain("localhost", MQTT));
        Ok(self.asked()?.expect("it is set"))
    }
}

/// Usual ports.
const MQTT: u16 = 1883;
const WEBSOCKETS: u16 = 9001;

/// Our own broker.
#[derive(Debug, clap::Args)]
pub(crate) struct Embedded {
    /// Let the embedded MQTT broker listen there; without --users, whoever reaches it can move the motors
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:1883", conflicts_with = "broker")]
    listen: SocketAddr,
    /// For MQTT over websockets [default: port 9001 of the same address if --listen is on port 1883]
    #[arg(long, value_name = "ADDRESS:PORT", conflicts_with = "broker")]
    websockets: Option<SocketAddr>,
    /// For MQTT over TLS
    #[arg(long, value_name = "ADDRESS:PORT", conflicts_with = "broker", requires_all = ["tls_certificate", "tls_key"])]
    tls: Option<SocketAddr>,
    /// The certificate for TLS, with those above it (a PEM file)
    #[arg(long, value_name = "FILE", requires = "tls")]
    tls_certificate: Option<PathBuf>,
    /// Its key (a PEM file)
    #[arg(long, value_name = "FILE", requires = "tls")]
    tls_key: Option<PathBuf>,
    /// Let in only who is in this password file (planktor password makes its lines): to the embedded broker and to the page
    #[arg(long, value_name = "FILE")]
    users: Option<PathBuf>,
}

impl Embedded {
    /// Who may come in, if that is said.
    pub(crate) fn users(&self) -> Result<Option<Users>, Failure> {
        Ok(self.users.as_deref().map(Users::read).transpose()?)
    }

    pub(crate) fn listen(self, users: Option<Users>) -> Result<Listen, Failure> {
        let Self { listen, websockets, tls, tls_certificate, tls_key, users: _ } = self;
        let usual = (listen.port() == MQTT).then(|| SocketAddr::new(listen.ip(), WEBSOCKETS));
        let tls = tls.zip(tls_certificate).zip(tls_key);
        for ((_, certificate), key) in tls.iter() {
            for path in [certificate, key] {
                std::fs::File::open(path)
                    .map_err(|error| format!("failed to read {}: {error}; check the path", path.display()))?;
            }
        }
        let own = || Login { name: "planktor".into(), password: uuid::Uuid::new_v4().to_string() };
        Ok(Listen {
            mqtt: listen,
            websockets: websockets.or(usual),
            tls: tls.map(|((address, certificate), key)| Tls { address, certificate, key }),
            door: users.map(|users| (users, own())),
        })
    }
}

/// `planktor password`.
#[derive(Debug, clap::Args)]
pub(crate) struct Password {
    /// Who
    name: String,
    /// viewer (hears everything) or operator (and gives commands)
    #[arg(long, default_value = "operator")]
    role: String,
}

impl Password {
    pub(crate) fn run(self) -> Result<ExitCode, Failure> {
        if stdin().is_terminal() {
            eprint!("password of {} (it is shown as you type): ", self.name);
            stdout().flush()?;
        }
        let mut password = String::new();
        stdin().read_line(&mut password)?;
        super::print(door::line(&self.name, &self.role, password.trim_end_matches(['\r', '\n']))?);
        Ok(ExitCode::SUCCESS)
    }
}
