//! Where the page is served, and for whom.

use super::Failure;
use planktor_runtime::mqtt::door::{Role, Users};
use planktor_runtime::web::{Access, Options};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};

/// Where a browser of this computer finds it.
const USUAL: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 8080);
/// Of a code that is shown and typed in.
const CODES: u128 = 1_000_000;

#[derive(Debug, clap::Args)]
pub(crate) struct Page {
    /// Serve the page, the live picture and the HTTP API there [default: 127.0.0.1:8080, if that is free]
    #[arg(long, value_name = "ADDRESS:PORT|off", value_parser = http, env = "PLANKTOR_HTTP")]
    http: Option<Http>,
    /// What may be done on the page without a login, if there is no password file [default: operate if it is served for
    /// this computer only, else nothing]
    #[arg(long, value_name = "WHAT", conflicts_with = "users")]
    http_without_login: Option<WithoutLogin>,
    /// A name under which a browser finds the page, if it is none of this computer's own; may be given several times
    #[arg(long, value_name = "NAME")]
    http_host: Vec<String>,
    /// Push the live picture to this RTSP server as well, as H.264; needs ffmpeg. The camera streams all the time then
    #[arg(long, value_name = "URL", num_args = 0..=1, default_missing_value = "rtsp://127.0.0.1:8554/cam", value_parser = rtsp)]
    rtsp_push: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum WithoutLogin {
    Nothing,
    Look,
    Operate,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Http {
    Off,
    At(SocketAddr),
}

fn http(text: &str) -> Result<Http, String> {
    match text {
        "off" => Ok(Http::Off),
        text => {
            text.parse().map(Http::At).map_err(|_| "expected ADDRESS:PORT, as in 0.0.0.0:80, or off".into())
        }
    }
}

fn rtsp(text: &str) -> Result<String, String> {
    let whole = text.strip_prefix("rtsp://").is_some_and(|rest| !rest.is_empty());
    if whole { Ok(text.into()) } else { Err("expected rtsp://HOST:PORT/PATH".into()) }
}

impl Page {
    /// Whether somebody said where it is to be.
    pub(crate) fn is_asked_for(&self) -> bool {
        matches!(self.http, Some(Http::At(_)))
    }

    /// What is asked for, and what to tell about it.
    pub(crate) fn options(self, users: Option<Users>) -> Result<Option<Options>, Failure> {
        let Self { http, http_without_login, http_host, rtsp_push } = self;
        let listen = match http {
            Some(Http::Off) if rtsp_push.is_some() => {
                return Err("--rtsp-push needs the page; leave --http off out".into());
            }
            Some(Http::Off) => return Ok(None),
            Some(Http::At(address)) => address,
            None if TcpListener::bind(USUAL).is_ok() => USUAL,
            None => {
                eprintln!("planktor: no page: {USUAL} is in use; say where with --http ADDRESS:PORT");
                return Ok(None);
            }
        };
        let local = listen.ip().is_loopback();
        let usual = if local { WithoutLogin::Operate } else { WithoutLogin::Nothing };
        let nameless = match http_without_login.unwrap_or(usual) {
            WithoutLogin::Nothing => None,
            WithoutLogin::Look => Some(Role::Viewer),
            WithoutLogin::Operate => Some(Role::Operator),
        };
        let code = (users.is_none() && nameless != Some(Role::Operator))
            .then(|| format!("{:06}", uuid::Uuid::new_v4().as_u128() % CODES));
        if let Some(code) = &code {
            eprintln!("planktor: to operate the instrument from the page, log in with the code {code}");
        }
        if !local && nameless == Some(Role::Operator) {
            eprintln!(
                "planktor: everybody who can reach the page on {listen} can move the motors, without a password"
            );
        }
        if !local && users.is_some() {
            eprintln!("planktor: the page on {listen} is without TLS: passwords can be read on the way");
        }
        let access =
            Access { users, nameless, forwarded: http_without_login.is_some(), code, hosts: http_host };
        Ok(Some(Options { listen, access, rtsp: rtsp_push }))
    }
}
