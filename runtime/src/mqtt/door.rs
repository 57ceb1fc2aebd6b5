//! Who may do what at the embedded broker: a password file, and two roles.
//!
//! ```text
//! # name:role:hash, one a line; `planktor password` makes them
//! ada:operator:$argon2id$v=19$…
//! *:viewer
//! ```
//!
//! A viewer hears everything and gives no commands. An operator says everything but what is the instrument's own to say. The
//! line `*:viewer` (or `*:operator`) lets in who has no name. Without a file everybody is an operator.

use crate::mqtt::Login;
use argon2::Argon2;
use argon2::password_hash::rand_core::OsRng;
use argon2::password_hash::{PasswordHash, PasswordHasher, PasswordVerifier, SaltString};
use mqtt5::broker::auth::{AuthProvider, AuthResult};
use mqtt5::packet::connect::ConnectPacket;
use mqtt5::protocol::v5::reason_codes::ReasonCode;
use planktor_drivers::Clock;
use planktor_drivers::clock::Monotonic;
use planktor_protocol::Instant;
use planktor_protocol::wire::is_status;
use std::collections::BTreeMap;
use std::future::{Future, ready};
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::str::FromStr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Names that a file may have; bounds what is read.
const MOST_NAMES: usize = 1_000;
/// What nobody is called in the file.
const NOBODY: &str = "*";
/// What clients say to themselves and each other; the instrument does not listen.
const BETWEEN_CLIENTS: &str = "planktor/client/";

/// What somebody may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Hear everything.
    Viewer,
    /// And give commands.
    Operator,
}

/// Why a password file is none.
#[derive(Debug, thiserror::Error)]
pub enum UsersError {
    /// It cannot be read.
    #[error("failed to read the password file {}: {cause}; check the path", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        cause: std::io::Error,
    },
    /// A line is wrong.
    #[error("{}, line {line}: {what}; planktor password makes such lines", path.display())]
    Line {
        /// Which file.
        path: PathBuf,
        /// Counted from one.
        line: usize,
        /// What is wrong with it.
        what: &'static str,
    },
}

/// Everybody who may come in.
#[derive(Clone, Debug, Default)]
pub struct Users {
    names: BTreeMap<String, (Role, String)>,
    nameless: Option<Role>,
}

impl FromStr for Role {
    type Err = &'static str;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        match word {
            "viewer" => Ok(Self::Viewer),
            "operator" => Ok(Self::Operator),
            _ => Err("expected the role viewer or operator"),
        }
    }
}

impl Users {
    /// Reads a password file.
    ///
    /// # Errors
    /// What is wrong, and where.
    pub fn read(path: &Path) -> Result<Self, UsersError> {
        let failed = |cause| UsersError::File { path: path.into(), cause };
        let text = std::fs::read_to_string(path).map_err(failed)?;
        let mut users = Self::default();
        for (line, said) in (1..).zip(text.lines()) {
            let wrong = |what| UsersError::Line { path: path.into(), line, what };
            let said = said.trim();
            if !said.is_empty() && !said.starts_with('#') {
                users.add(said).map_err(wrong)?;
            }
        }
        Ok(users)
    }

    fn add(&mut self, line: &str) -> Result<(), &'static str> {
        let mut parts = line.splitn(3, ':');
        let (Some(name), Some(role)) = (parts.next(), parts.next()) else {
            return Err("expected name:role:hash");
        };
        let role = role.parse()?;
        match (name, parts.next()) {
            (NOBODY, None) => self.nameless = Some(role),
            (NOBODY, Some(_)) => return Err("who has no name has no password"),
            (_, None) => return Err("the hash of the password is missing"),
            (_, Some(hash)) if PasswordHash::new(hash).is_err() => return Err("the hash is none of Argon2"),
            _ if name.is_empty() => return Err("the name is missing"),
            _ if self.names.len() >= MOST_NAMES => return Err("there are too many names"),
            (_, Some(hash)) => {
                if self.names.insert(name.into(), (role, hash.into())).is_some() {
                    return Err("the name is there twice");
                }
            }
        }
        Ok(())
    }

    /// What somebody may do who comes with this name and password.
    pub(crate) fn role(&self, name: Option<&str>, password: &[u8]) -> Option<Role> {
        let Some(name) = name else { return self.nameless };
        let (role, hash) = self.names.get(name)?;
        let hash = PasswordHash::new(hash).ok()?;
        Argon2::default().verify_password(password, &hash).is_ok().then_some(*role)
    }

    /// What somebody may do who has no name.
    pub(crate) fn nameless(&self) -> Option<Role> {
        self.nameless
    }
}

/// A line of a password file.
///
/// # Errors
/// What is wrong with the name or the password.
pub fn line(name: &str, role: &str, password: &str) -> Result<String, String> {
    let _: Role = role.parse()?;
    if name.is_empty() || name == NOBODY || name.contains([':', '#']) || name.contains(char::is_whitespace) {
        return Err("a name has no blanks, none of : and #, and is not *".into());
    }
    if password.is_empty() {
        return Err("the password is empty".into());
    }
    let salt = SaltString::generate(&mut OsRng);
    let hash = Argon2::default().hash_password(password.as_bytes(), &salt).map_err(|why| why.to_string())?;
    Ok(format!("{name}:{role}:{hash}"))
}

/// Asks everybody who comes. Who has a name's password wrong too often is not asked for a while at that address; the name
/// itself is not locked, or anybody could lock out who knows its password, and the instrument with them.
pub(super) struct Doorkeeper {
    users: Users,
    /// The program's own connection.
    own: Login,
    wrong: Mutex<BTreeMap<(IpAddr, String), Wrong>>,
}

/// Wrong passwords, one after the other.
struct Wrong {
    times: u32,
    last: Instant,
}

/// So many may be wrong, each within this time after the one before.
const MOST_WRONG: u32 = 5;
const FORGOTTEN: Duration = Duration::from_secs(60);
/// Addresses and names that are remembered; only names of the file are.
const MOST_REMEMBERED: usize = 1_000;

type Answer<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

impl Doorkeeper {
    pub(super) fn new(users: Users, own: Login) -> Self {
        Self { users, own, wrong: Mutex::default() }
    }

    /// Whether this is somebody's password; `None`: it is not even looked at.
    fn knows(&self, name: &str, password: &[u8], from: IpAddr, now: Instant) -> Option<bool> {
        // A thread that panicked left it whole: every change is one step.
        let mut wrong = self.wrong.lock().unwrap_or_else(PoisonError::into_inner);
        wrong.retain(|_, wrong| now - wrong.last < FORGOTTEN);
        let who = (from, name.to_owned());
        if wrong.get(&who).is_some_and(|wrong| wrong.times >= MOST_WRONG) {
            return None;
        }
        let is_right = self.users.role(Some(name), password).is_some();
        if is_right {
            wrong.remove(&who);
        } else if self.users.names.contains_key(name)
            && (wrong.len() < MOST_REMEMBERED || wrong.contains_key(&who))
        {
            let wrong = wrong.entry(who).or_insert(Wrong { times: 0, last: now });
            (wrong.times, wrong.last) = (wrong.times + 1, now);
        }
        Some(is_right)
    }

    fn may_say(&self, user: Option<&str>, topic: &str) -> bool {
        let role = match user {
            Some(user) if user == self.own.name => return true,
            Some(user) => self.users.names.get(user).map(|(role, _)| *role),
            None => self.users.nameless,
        };
        match role {
            Some(Role::Operator) => !is_status(topic),
            Some(Role::Viewer) => topic.starts_with(BETWEEN_CLIENTS),
            None => false,
        }
    }
}

impl AuthProvider for Doorkeeper {
    fn authenticate<'a>(
        &'a self,
        connect: &'a ConnectPacket,
        from: SocketAddr,
    ) -> Answer<'a, mqtt5::error::Result<AuthResult>> {
        let (name, password) = (connect.username.as_deref(), connect.password.as_deref().unwrap_or_default());
        let known = match name {
            Some(name) if name == self.own.name => Some(password == self.own.password.as_bytes()),
            Some(name) => self.knows(name, password, from.ip(), Monotonic.now()),
            None => Some(self.users.nameless().is_some()),
        };
        let answer = match (known, name) {
            (Some(true), Some(name)) => AuthResult::success_with_user(name),
            (Some(true), None) => AuthResult::success(),
            (Some(false), _) => AuthResult::fail(ReasonCode::BadUsernameOrPassword),
            (None, _) => AuthResult::fail(ReasonCode::ConnectionRateExceeded),
        };
        Box::pin(ready(Ok(answer)))
    }

    fn authorize_publish<'a>(&'a self, _: &str, user: Option<&'a str>, topic: &'a str) -> Answer<'a, bool> {
        Box::pin(ready(self.may_say(user, topic)))
    }

    fn authorize_subscribe<'a>(&'a self, _: &str, _: Option<&'a str>, _: &'a str) -> Answer<'a, bool> {
        Box::pin(ready(true))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn users(text: &str) -> Result<Users, UsersError> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        Users::read(file.path())
    }

    #[test]
    fn roles_follow_from_name_and_password() {
        let ada = line("ada", "operator", "secret").unwrap();
        let text = format!("# people\n\n{ada}\n{}\n", line("bob", "viewer", "x").unwrap());
        let users = users(&text).unwrap();
        assert_eq!(users.role(Some("ada"), b"secret"), Some(Role::Operator));
        assert_eq!(users.role(Some("ada"), b"guess"), None);
        assert_eq!(users.role(Some("bob"), b"x"), Some(Role::Viewer));
        assert_eq!(users.role(Some("eve"), b"secret"), None);
        assert_eq!(users.role(None, b""), None);
        assert!(!ada.contains("secret"));
    }

    #[test]
    fn nobody_forges_what_the_instrument_says() {
        let own = Login { name: "planktor".into(), password: "own".into() };
        let text = format!("*:viewer\n{}\n", line("ada", "operator", "secret").unwrap());
        let door = Doorkeeper::new(users(&text).unwrap(), own);
        assert!(door.may_say(Some("planktor"), "status/pump"));
        assert!(door.may_say(Some("ada"), "actuator/pump"));
        assert!(
            !door.may_say(Some("ada"), "status/pump") && !door.may_say(Some("ada"), "planktor/status/lease")
        );
        assert!(!door.may_say(None, "actuator/pump") && !door.may_say(Some("eve"), "light"));
    }

    #[test]
    fn who_guesses_is_not_asked_for_a_while_and_locks_out_nobody_else() {
        let own = Login { name: "planktor".into(), password: "own".into() };
        let text =
            [line("ada", "operator", "secret").unwrap(), line("bob", "viewer", "x").unwrap()].join("\n");
        let door = Doorkeeper::new(users(&text).unwrap(), own);
        let [phone, desk] = [[10, 0, 0, 7], [10, 0, 0, 8]].map(IpAddr::from);
        let at = |s| Instant::ZERO + Duration::from_secs(s);
        for n in 0..MOST_WRONG {
            assert_eq!(door.knows("ada", b"old", phone, at(n.into())), Some(false));
        }
        assert_eq!(door.knows("ada", b"secret", phone, at(5)), None, "not even with the right one");
        assert_eq!(door.knows("ada", b"secret", desk, at(5)), Some(true));
        assert_eq!(door.knows("bob", b"x", phone, at(5)), Some(true));
        assert_eq!(
            door.knows("ada", b"secret", phone, at(65)),
            Some(true),
            "forgotten a minute after the last"
        );
        // Names that are none fill no memory.
        (0..20).for_each(|n| assert_eq!(door.knows(&format!("eve{n}"), b"", phone, at(70)), Some(false)));
        assert!(door.wrong.lock().unwrap().is_empty());
    }

    #[test]
    fn a_line_that_is_wrong_is_named() {
        for (text, what) in [
            ("ada", "expected name:role:hash"),
            ("ada:captain:x", "viewer or operator"),
            ("ada:viewer:x", "none of Argon2"),
            ("ada:viewer", "hash of the password is missing"),
            ("*:viewer:x", "has no password"),
        ] {
            let error = users(&format!("# one\n{text}\n")).unwrap_err().to_string();
            assert!(error.contains("line 2") && error.contains(what), "{error}");
        }
        assert!(line("a b", "viewer", "x").is_err() && line("a", "viewer", "").is_err());
    }
}
