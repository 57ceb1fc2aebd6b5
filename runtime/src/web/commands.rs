//! Commands to the instrument and questions about it, in the words of the MQTT contract.

use super::door::{Guest, LOGIN_LASTS, cookie};
use super::hub::Said;
use super::listener::Peer;
use super::refusal::Refusal;
use super::site::Site;
use crate::dataset::timing::Timing;
use crate::metrics::older;
use crate::mqtt::door::Role;
use crate::mqtt::message::LARGEST_PACKET;
use axum::Json;
use axum::body::{Body, to_bytes};
use axum::extract::{Extension, Path, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use planktor_drivers::Clock;
use planktor_drivers::clock::Monotonic;
use planktor_protocol::wire;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;

/// A body must be here in this time.
const BODY_WITHIN: Duration = Duration::from_secs(5);
/// How long an answer is waited for.
const USUAL_WAIT: f64 = 30.0;
const LONGEST_WAIT: f64 = 60.0;

/// A request's body.
async fn read(headers: &HeaderMap, body: Body, largest: usize) -> Result<Vec<u8>, Refusal> {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    if kind.split(';').next().map(str::trim) != Some("application/json") {
        return Err(Refusal::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "expected JSON; send Content-Type: application/json",
        ));
    }
    match timeout(BODY_WITHIN, to_bytes(body, largest)).await {
        Ok(Ok(bytes)) => Ok(bytes.into()),
        Ok(Err(_)) => Err(Refusal::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            format!("the message broke off or has more than {largest} bytes; send less at once"),
        )),
        Err(_) => Err(Refusal::new(
            StatusCode::REQUEST_TIMEOUT,
            format!("the message did not come within {} s; send it at once", BODY_WITHIN.as_secs()),
        )),
    }
}

/// How long to wait.
#[derive(Deserialize)]
pub(super) struct Wait {
    wait: Option<f64>,
}

pub(super) async fn command(
    State(site): State<Arc<Site>>,
    Path(topic): Path<String>,
    Query(Wait { wait }): Query<Wait>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Refusal> {
    if !wire::is_command(&topic) {
        return Err(Refusal::nothing("such command"));
    }
    let wait = wait.unwrap_or(USUAL_WAIT);
    if !(0.0..=LONGEST_WAIT).contains(&wait) {
        return Err(Refusal::new(
            StatusCode::BAD_REQUEST,
            format!("wait: expected a number from 0 to {LONGEST_WAIT}, got {wait}"),
        ));
    }
    let body = read(&headers, body, LARGEST_PACKET).await?;
    let Some(answered) = site.command(&topic, body, Duration::from_secs_f64(wait)).await? else {
        return Ok((StatusCode::ACCEPTED, Json(json!({}))).into_response());
    };
    let status = match answered.response["error"]["kind"].as_str() {
        None => StatusCode::OK,
        Some(_) if !answered.understood => StatusCode::BAD_REQUEST,
        Some("refused") => StatusCode::CONFLICT,
        Some(_) => StatusCode::INTERNAL_SERVER_ERROR,
    };
    Ok((status, Json(answered.response)).into_response())
}

/// Who asks.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Session {
    /// Under which they logged in.
    name: Option<String>,
    /// `viewer`, `operator`, or nothing.
    role: Option<&'static str>,
    /// How to log in: `password`, `code`, or not at all.
    login: Option<&'static str>,
    /// `twin` if the instrument is simulated.
    board: &'static str,
    /// The machine's name; `unknown` if it has none.
    machine: String,
    /// Of the program.
    version: &'static str,
    /// Differs from start to start of the program.
    boot: String,
}

fn word(role: Role) -> &'static str {
    match role {
        Role::Viewer => "viewer",
        Role::Operator => "operator",
    }
}

fn session_of(site: &Site, guest: &Guest) -> Session {
    Session {
        name: guest.name.clone(),
        role: guest.role.map(word),
        login: site.door.login_by(),
        board: site.identity.board,
        machine: site.identity.name.to_string(),
        version: env!("CARGO_PKG_VERSION"),
        boot: site.identity.boot.clone(),
    }
}

pub(super) async fn session(
    State(site): State<Arc<Site>>,
    Extension(guest): Extension<Guest>,
) -> Json<Session> {
    Json(session_of(&site, &guest))
}

/// A name and a password, or a code.
#[derive(Deserialize, JsonSchema)]
pub(super) struct Login {
    /// As in the password file.
    name: Option<String>,
    password: Option<String>,
    /// As the instrument shows it.
    code: Option<String>,
}

/// The largest body of a login.
const LARGEST_LOGIN: usize = 4 << 10;

/// A login.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct LoggedIn {
    /// For `Authorization: Bearer …`.
    token: String,
    /// `viewer` or `operator`.
    role: &'static str,
    /// s until it ends.
    seconds: u64,
}

pub(super) async fn log_in(
    State(site): State<Arc<Site>>,
    Extension(Peer(peer)): Extension<Peer>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Refusal> {
    let body = read(&headers, body, LARGEST_LOGIN).await?;
    let wrong =
        |why| Refusal::new(StatusCode::BAD_REQUEST, format!("expected name and password, or code: {why}"));
    let Login { name, password, code } = serde_json::from_slice(&body).map_err(wrong)?;
    let secret = password.or(code).unwrap_or_default();
    let (token, role) = site.door.log_in(name.as_deref(), &secret, peer).await?;
    let set = [(header::SET_COOKIE, cookie(Some(&token)))];
    let logged_in = LoggedIn { token, role: word(role), seconds: LOGIN_LASTS.as_secs() };
    Ok((set, Json(logged_in)).into_response())
}

pub(super) async fn log_out(
    State(site): State<Arc<Site>>,
    Extension(Peer(peer)): Extension<Peer>,
    mut headers: HeaderMap,
) -> Result<Response, Refusal> {
    site.door.log_out(&headers);
    headers.remove(header::COOKIE);
    headers.remove(header::AUTHORIZATION);
    let guest = site.door.guest(&headers, peer).await?;
    Ok(([(header::SET_COOKIE, cookie(None))], Json(session_of(&site, &guest))).into_response())
}

pub(super) async fn status(State(site): State<Arc<Site>>) -> Json<Vec<Said>> {
    Json(site.hub.states().iter().map(|said| (**said).clone()).collect())
}

/// From where on.
#[derive(Deserialize)]
pub(super) struct After {
    after: Option<u64>,
}

pub(super) async fn journal(
    State(site): State<Arc<Site>>,
    Query(After { after }): Query<After>,
) -> Json<Vec<Said>> {
    Json(site.hub.after(after.unwrap_or(0)).iter().map(|said| (**said).clone()).collect())
}

/// What the instrument knows of itself.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Health {
    /// As on `planktor/status/health`: clock, position, stage, light, camera.
    instrument: Value,
    /// Whether the MQTT broker is there.
    broker: bool,
    /// Of the disk with the data sets.
    disk: Option<Space>,
    /// s, since the program began.
    uptime_s: f64,
}

/// Of a disk.
#[derive(Debug, Serialize, JsonSchema)]
struct Space {
    /// Free for us.
    free_bytes: u64,
    /// In all.
    bytes: u64,
}

pub(super) async fn health(State(site): State<Arc<Site>>) -> Result<Json<Health>, Refusal> {
    let instrument = site.ask("planktor/health", &json!({"action": "get"})).await?;
    Ok(Json(Health {
        instrument,
        broker: site.gateway().await.broker,
        disk: site.root.space().map(|[free_bytes, bytes]| Space { free_bytes, bytes }),
        uptime_s: (Monotonic.now() - site.identity.began).as_secs_f64(),
    }))
}

/// The protocols that are kept.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct ProtocolList {
    /// As `protocols` on `planktor/status/protocol`.
    protocols: Value,
}

pub(super) async fn protocols(State(site): State<Arc<Site>>) -> Result<Json<ProtocolList>, Refusal> {
    let mut list = site.ask("planktor/protocol/list", &json!({})).await?;
    Ok(Json(ProtocolList { protocols: list["protocols"].take() }))
}

pub(super) async fn protocol(
    State(site): State<Arc<Site>>,
    Path(name): Path<String>,
) -> Result<Json<Value>, Refusal> {
    site.ask("planktor/protocol/get", &json!({ "name": name })).await.map(Json)
}

pub(super) async fn metrics(State(site): State<Arc<Site>>, headers: HeaderMap) -> Response {
    let text = site.metrics.text(&site.reading().await);
    let accepted = headers.get(header::ACCEPT).and_then(|accepted| accepted.to_str().ok());
    if !accepted.is_some_and(|accepted| accepted.contains("openmetrics")) {
        return ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], older(&text))
            .into_response();
    }
    ([(header::CONTENT_TYPE, "application/openmetrics-text; version=1.0.0; charset=utf-8")], text)
        .into_response()
}

pub(super) async fn timing(State(site): State<Arc<Site>>) -> Json<Timing> {
    Json(Timing::all(&site.metrics.timings().read()))
}
