//! Where a broker is, and how to come in.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

/// A name with its password.
#[derive(Clone, PartialEq, Eq)]
pub struct Login {
    /// The name.
    pub name: String,
    /// The password.
    pub password: String,
}

impl fmt::Debug for Login {
    /// Without the password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Login({})", self.name)
    }
}

/// Whom to trust for TLS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trust {
    /// Whom the system trusts.
    System,
    /// Whom this certificate says (PEM).
    Authority(PathBuf),
}

/// A broker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// Name or address of its computer; an IPv6 address in brackets.
    pub host: String,
    /// Its TCP port.
    pub port: u16,
    /// Whether to speak TLS, and whom to trust then.
    pub tls: Option<Trust>,
    /// Who comes in.
    pub login: Option<Login>,
}

impl Address {
    /// Without TLS and without a name.
    pub fn plain(host: impl Into<String>, port: u16) -> Self {
        Self { host: host.into(), port, tls: None, login: None }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

impl FromStr for Address {
    type Err = String;

    /// `HOST:PORT`, `mqtt://HOST:PORT` or `mqtts://HOST:PORT`; without a port it is 1883, with TLS 8883.
    fn from_str(text: &str) -> Result<Self, String> {
        let (rest, tls, usual) = match text.split_once("://") {
            Some(("mqtt", rest)) => (rest, None, 1883),
            Some(("mqtts", rest)) => (rest, Some(Trust::System), 8883),
            Some((other, _)) => return Err(format!("{other}:// is no MQTT; expected mqtt:// or mqtts://")),
            None => (text, None, 1883),
        };
        let (host, port) = match rest.rsplit_once(':').filter(|(_, port)| !port.ends_with(']')) {
            Some((host, port)) => match port.parse() {
                Ok(port @ 1..) => (host, port),
                _ => return Err(format!("{port} is no port; expected a number from 1 to 65535")),
            },
            None => (rest, usual),
        };
        if host.is_empty() || host.contains(['/', '@']) {
            return Err("expected HOST:PORT, as in localhost:1883".into());
        }
        Ok(Self { host: host.into(), port, tls, login: None })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_as_people_write_them() {
        let read = |text: &str| text.parse::<Address>().map(|a| (a.host, a.port, a.tls.is_some()));
        assert_eq!(read("localhost:1883"), Ok(("localhost".into(), 1883, false)));
        assert_eq!(read("planktoscope.local"), Ok(("planktoscope.local".into(), 1883, false)));
        assert_eq!(read("mqtts://ship"), Ok(("ship".into(), 8883, true)));
        assert_eq!(read("mqtt://[::1]:77"), Ok(("[::1]".into(), 77, false)));
        for wrong in ["", ":1883", "a:0", "a:99999", "http://a", "a/b:1", "a:b"] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }
}
