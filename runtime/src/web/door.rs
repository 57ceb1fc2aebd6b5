//! Who may do what over HTTP: the roles of MQTT, with logins that expire, and nothing from pages of other origins.
//!
//! A viewer sees everything and changes nothing; an operator gives commands. With a password file, names and roles are those
//! of the MQTT broker. Without one, who has no name may do what the settings say, and a code that the instrument shows
//! makes an operator.

use super::refusal::Refusal;
use crate::mqtt::door::{Role, Users};
use axum::http::{HeaderMap, Method, StatusCode, header};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use planktor_drivers::Clock;
use planktor_drivers::clock::Monotonic;
use planktor_protocol::Instant;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Semaphore;

/// A login lasts a day on watch.
pub(super) const LOGIN_LASTS: Duration = Duration::from_secs(12 * 3_600);
/// Logins at the same time; the one that would end first makes room.
const MOST_LOGINS: usize = 256;
/// Wrong guesses from one address, and from all of them, before nobody there is asked for a while.
const MOST_GUESSES: u32 = 5;
const MOST_GUESSES_OF_ALL: u32 = 50;
const PENANCE: Duration = Duration::from_secs(60);
/// Addresses whose guesses are counted.
const MOST_GUESSERS: usize = 1_000;
/// The cookie's name.
const COOKIE: &str = "planktor";
/// What a proxy says that the request came through it.
const FORWARDED: [&str; 6] =
    ["x-forwarded-for", "forwarded", "x-forwarded-host", "x-forwarded-proto", "x-real-ip", "via"];

/// Whom it lets in.
#[derive(Clone, Debug, Default)]
pub struct Access {
    /// Names and roles of MQTT.
    pub users: Option<Users>,
    /// What who has no name may do, if there is no password file.
    pub nameless: Option<Role>,
    /// Whether that holds for what comes through a proxy as well.
    pub forwarded: bool,
    /// The code that makes an operator, if there is no password file.
    pub code: Option<String>,
    /// Names under which the page is found, beside addresses, `localhost`, names without dots, and those that end in
    /// `.local`.
    pub hosts: Vec<String>,
}

/// Somebody who came in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Guest {
    pub(super) name: Option<String>,
    pub(super) role: Option<Role>,
}

struct Login {
    name: Option<String>,
    role: Role,
    until: Instant,
}

/// Keeps the logins.
pub(super) struct Door {
    access: Access,
    logins: Mutex<BTreeMap<String, Login>>,
    guesses: Mutex<BTreeMap<Option<IpAddr>, (u32, Instant)>>,
    /// Argon2 takes memory and time: one at a time.
    checking: Arc<Semaphore>,
}

impl Door {
    pub(super) fn new(access: Access) -> Self {
        Self {
            access,
            logins: Mutex::default(),
            guesses: Mutex::default(),
            checking: Arc::new(Semaphore::new(1)),
        }
    }

    /// How somebody can log in: `password`, `code`, or not at all.
    pub(super) fn login_by(&self) -> Option<&'static str> {
        match (&self.access.users, &self.access.code) {
            (Some(_), _) => Some("password"),
            (None, Some(_)) => Some("code"),
            (None, None) => None,
        }
    }

    /// Refuses what a page of another origin made a browser send, and names that are not ours (DNS rebinding).
    pub(super) fn origin(&self, method: &Method, headers: &HeaderMap) -> Result<(), Refusal> {
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let hosts: Vec<&str> = [text("host"), text("x-forwarded-host")].into_iter().flatten().collect();
        if hosts.is_empty() || !hosts.iter().all(|host| self.is_ours(host)) {
            return Err(Refusal::new(
                StatusCode::MISDIRECTED_REQUEST,
                "this name is not known to be the instrument's; open its page by address, or start planktor with --http-host NAME",
            ));
        }
        let reads = matches!(*method, Method::GET | Method::HEAD);
        let elsewhere = match text("sec-fetch-site") {
            None | Some("same-origin" | "none") => false,
            Some("same-site") => !reads,
            Some(_) => !reads || text("sec-fetch-mode") != Some("navigate"),
        };
        let other = text("origin").is_some_and(|origin| {
            let host = origin.split_once("://").map(|(_, host)| host);
            !host.is_some_and(|host| hosts.iter().any(|ours| ours.eq_ignore_ascii_case(host)))
        });
        if elsewhere || (other && !reads) {
            return Err(Refusal::new(
                StatusCode::FORBIDDEN,
                "a page of another origin may not do this; use the instrument's own page",
            ));
        }
        Ok(())
    }

    fn is_ours(&self, host: &str) -> bool {
        let name = match host.rsplit_once(':') {
            Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
            _ => host,
        };
        let bare = name.trim_start_matches('[').trim_end_matches(']');
        let name = name.trim_end_matches('.').to_ascii_lowercase();
        bare.parse::<IpAddr>().is_ok()
            || (!name.is_empty() && !name.contains('.'))
            || name.ends_with(".local")
            || name.ends_with(".localhost")
            || self.access.hosts.iter().any(|host| host.eq_ignore_ascii_case(&name))
    }

    /// Who asks.
    ///
    /// # Errors
    /// A login that is over, or wrong.
    pub(super) async fn guest(&self, headers: &HeaderMap, peer: IpAddr) -> Result<Guest, Refusal> {
        if let Some(said) = headers.get(header::AUTHORIZATION) {
            let said = said.to_str().unwrap_or_default();
            return match said.split_once(' ') {
                Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => {
                    self.logged_in(token.trim()).ok_or_else(over)
                }
                Some((scheme, both)) if scheme.eq_ignore_ascii_case("basic") => {
                    let both =
                        BASE64_STANDARD.decode(both.trim()).ok().and_then(|b| String::from_utf8(b).ok());
                    let both = both.as_deref().and_then(|both| both.split_once(':'));
                    let (name, password) = both.ok_or_else(over)?;
                    let role = self.role(Some(name), password, peer).await?;
                    Ok(Guest { name: Some(name.into()), role: Some(role) })
                }
                _ => Err(over()),
            };
        }
        let cookies = headers.get_all(header::COOKIE).into_iter().filter_map(|value| value.to_str().ok());
        let mut ours = cookies.flat_map(|line| line.split(';')).filter_map(|one| one.trim().split_once('='));
        let token = ours.find_map(|(name, token)| (name == COOKIE).then_some(token));
        Ok(token.and_then(|token| self.logged_in(token)).unwrap_or_else(|| self.nameless(headers)))
    }

    fn nameless(&self, headers: &HeaderMap) -> Guest {
        let forwarded = FORWARDED.iter().any(|name| headers.contains_key(*name));
        let role = match &self.access.users {
            Some(users) => users.nameless(),
            None => self.access.nameless.filter(|_| self.access.forwarded || !forwarded),
        };
        Guest { name: None, role }
    }

    fn logged_in(&self, token: &str) -> Option<Guest> {
        let now = Monotonic.now();
        let logins = self.logins();
        let login = logins.get(token).filter(|login| login.until > now)?;
        Some(Guest { name: login.name.clone(), role: Some(login.role) })
    }

    /// Logs somebody in; gives back a token and the role.
    ///
    /// # Errors
    /// A wrong name, password or code; too many of those.
    pub(super) async fn log_in(
        &self,
        name: Option<&str>,
        secret: &str,
        peer: IpAddr,
    ) -> Result<(String, Role), Refusal> {
        let role = self.role(name, secret, peer).await?;
        let token = uuid::Uuid::new_v4().simple().to_string();
        let now = Monotonic.now();
        let mut logins = self.logins();
        logins.retain(|_, login| login.until > now);
        if logins.len() >= MOST_LOGINS {
            let first = logins.iter().min_by_key(|(_, login)| login.until).map(|(token, _)| token.clone());
            first.and_then(|token| logins.remove(&token));
        }
        logins.insert(token.clone(), Login { name: name.map(Into::into), role, until: now + LOGIN_LASTS });
        Ok((token, role))
    }

    /// Ends a login.
    pub(super) fn log_out(&self, headers: &HeaderMap) {
        let all = [header::COOKIE, header::AUTHORIZATION];
        let said =
            all.iter().filter_map(|name| headers.get(name)?.to_str().ok()).collect::<Vec<_>>().join(";");
        self.logins().retain(|token, _| !said.contains(token.as_str()));
    }

    async fn role(&self, name: Option<&str>, secret: &str, peer: IpAddr) -> Result<Role, Refusal> {
        let place = self.checking.clone().acquire_owned().await.map_err(|_| over())?;
        let counted = [(Some(peer), MOST_GUESSES), (None, MOST_GUESSES_OF_ALL)];
        let now = Monotonic.now();
        {
            let mut guesses = self.guesses();
            guesses.retain(|_, (_, since)| now - *since < PENANCE);
            let too_many =
                |(who, most): &(Option<IpAddr>, u32)| guesses.get(who).is_some_and(|(n, _)| n >= most);
            if counted.iter().any(too_many) || guesses.len() >= MOST_GUESSERS {
                return Err(Refusal::new(
                    StatusCode::TOO_MANY_REQUESTS,
                    "too many wrong guesses; wait a minute and try again",
                ));
            }
        }
        let found = match (&self.access.users, name) {
            (Some(users), Some(name)) => {
                let (users, name, secret) = (users.clone(), name.to_owned(), secret.to_owned());
                let check = move || {
                    // Held by the work, which goes on when nobody waits for it any more.
                    let _place = place;
                    users.role(Some(&name), secret.as_bytes())
                };
                tokio::task::spawn_blocking(check).await.ok().flatten()
            }
            (None, _) => self.access.code.as_ref().filter(|code| *code == secret).map(|_| Role::Operator),
            (Some(_), None) => None,
        };
        found.ok_or_else(|| {
            let mut guesses = self.guesses();
            for (who, _) in counted {
                guesses.entry(who).or_insert((0, now)).0 += 1;
            }
            Refusal::new(StatusCode::UNAUTHORIZED, "wrong name, password or code; check it and try again")
        })
    }

    fn logins(&self) -> MutexGuard<'_, BTreeMap<String, Login>> {
        self.logins.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn guesses(&self) -> MutexGuard<'_, BTreeMap<Option<IpAddr>, (u32, Instant)>> {
        self.guesses.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn over() -> Refusal {
    Refusal::new(StatusCode::UNAUTHORIZED, "this login is over or wrong; log in again")
}

/// The cookie of a login; without a token: of none.
pub(super) fn cookie(token: Option<&str>) -> String {
    let (token, lasts) = token.map_or(("", 0), |token| (token, LOGIN_LASTS.as_secs()));
    format!("{COOKIE}={token}; Path=/; HttpOnly; SameSite=Strict; Max-Age={lasts}")
}

#[cfg(test)]
mod tests {
    use super::*;

    const PEER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 7));

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
    }

    fn door(access: Access) -> Door {
        Door::new(access)
    }

    #[test]
    fn only_our_own_names_and_pages_are_served() {
        let door = door(Access { hosts: vec!["scope.example.org".into()], ..Access::default() });
        let check = |method, pairs: &[(&'static str, &str)]| {
            door.origin(&method, &headers(pairs)).map_err(|refusal| refusal.status.as_u16())
        };
        for host in
            ["127.0.0.1:8080", "[::1]:8080", "localhost", "planktoscope", "a.local:80", "scope.example.org"]
        {
            assert_eq!(check(Method::GET, &[("host", host)]), Ok(()), "{host}");
        }
        // An attacker's name that was made to point here.
        for host in ["evil.example:8080", "127.0.0.1.evil.example", ""] {
            assert_eq!(check(Method::GET, &[("host", host)]), Err(421), "{host}");
        }
        assert_eq!(check(Method::GET, &[]), Err(421));

        let from = |site: &'static str, origin: &str| {
            check(Method::POST, &[("host", "a.local"), ("sec-fetch-site", site), ("origin", origin)])
        };
        assert_eq!(from("same-origin", "http://a.local"), Ok(()));
        assert_eq!(from("cross-site", "http://evil.example"), Err(403));
        assert_eq!(from("same-site", "http://a.local:1880"), Err(403));
        assert_eq!(from("none", "null"), Err(403));
        // Behind a proxy that names itself.
        let proxied =
            [("host", "127.0.0.1:8080"), ("x-forwarded-host", "a.local"), ("origin", "http://a.local")];
        assert_eq!(check(Method::POST, &proxied), Ok(()));
        // A picture in somebody else's page; a link to ours.
        let cross = |mode| {
            check(
                Method::GET,
                &[("host", "a.local"), ("sec-fetch-site", "cross-site"), ("sec-fetch-mode", mode)],
            )
        };
        assert_eq!(cross("no-cors"), Err(403));
        assert_eq!(cross("navigate"), Ok(()));
    }

    #[tokio::test]
    async fn a_code_makes_an_operator_and_guessing_is_slow() {
        let door = door(Access { code: Some("123456".into()), ..Access::default() });
        assert_eq!(door.guest(&headers(&[]), PEER).await.unwrap().role, None);
        let (token, role) = door.log_in(None, "123456", PEER).await.unwrap();
        assert_eq!(role, Role::Operator);
        let cookie = headers(&[("cookie", &format!("a=b; planktor={token}"))]);
        assert_eq!(door.guest(&cookie, PEER).await.unwrap().role, Some(Role::Operator));
        let bearer = headers(&[("authorization", &format!("Bearer {token}"))]);
        assert_eq!(door.guest(&bearer, PEER).await.unwrap().role, Some(Role::Operator));
        door.log_out(&cookie);
        assert_eq!(door.guest(&cookie, PEER).await.unwrap().role, None);
        assert_eq!(door.guest(&bearer, PEER).await.unwrap_err().status, StatusCode::UNAUTHORIZED);

        for _ in 0..MOST_GUESSES {
            let wrong = door.log_in(None, "000000", PEER).await.unwrap_err();
            assert_eq!(wrong.status, StatusCode::UNAUTHORIZED);
        }
        let right_too_late = door.log_in(None, "123456", PEER).await.unwrap_err();
        assert_eq!(right_too_late.status, StatusCode::TOO_MANY_REQUESTS);
        let other = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);
        assert!(door.log_in(None, "123456", other).await.is_ok());
    }

    #[tokio::test]
    async fn a_login_ends() {
        let door = door(Access { code: Some("123456".into()), ..Access::default() });
        let (token, _) = door.log_in(None, "123456", PEER).await.unwrap();
        let left = door.logins()[&token].until - Monotonic.now();
        assert!(left <= LOGIN_LASTS && left > LOGIN_LASTS - Duration::from_secs(60));
        door.logins().get_mut(&token).unwrap().until = Monotonic.now();
        let cookie = headers(&[("cookie", &format!("planktor={token}"))]);
        assert_eq!(door.guest(&cookie, PEER).await.unwrap().role, None);
    }

    #[tokio::test]
    async fn what_comes_through_a_proxy_is_not_local() {
        let here = Access { nameless: Some(Role::Operator), ..Access::default() };
        let through = headers(&[("x-forwarded-for", "10.0.0.9")]);
        let local = door(here.clone());
        assert_eq!(local.guest(&headers(&[]), PEER).await.unwrap().role, Some(Role::Operator));
        assert_eq!(local.guest(&through, PEER).await.unwrap().role, None);
        let told = door(Access { forwarded: true, ..here });
        assert_eq!(told.guest(&through, PEER).await.unwrap().role, Some(Role::Operator));
    }
}
