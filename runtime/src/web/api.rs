//! Every address, once: who may ask, what is answered, and who answers. The router and the OpenAPI document are both made of
//! this list, so they cannot differ.

use super::archive;
use super::commands::{self, Health, LoggedIn, ProtocolList, Session};
use super::datasets::{self, DataSet, DataSets, Verified};
use super::door::Guest;
use super::events;
use super::hub::Said;
use super::listener::Peer;
use super::openapi;
use super::page;
use super::refusal::Refusal;
use super::route::{Gives, Parameter, Route, Verb, Who};
use super::site::Site;
use super::view;
use crate::dataset::timing::Timing;
use crate::mqtt::door::Role;
use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use std::sync::Arc;

fn of<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    generator.subschema_for::<T>()
}

const LOOK: &[Parameter] = &[
    ("zoom", "1 for a piece of the picture pixel by pixel; without it all of it, smaller"),
    ("x", "Where that piece lies, hundredths of the width; 50 if it is missing"),
    ("y", "Hundredths of the height"),
];

/// All of them but the page's own files.
fn routes() -> Vec<Route> {
    let get = |path, who, about, gives, handler| Route {
        verb: Verb::Get,
        path,
        who,
        about,
        query: &[],
        body: None,
        gives,
        handler,
    };
    let post = |path, who, about, body, gives, handler| Route {
        verb: Verb::Post,
        path,
        who,
        about,
        query: &[],
        body,
        gives,
        handler,
    };
    use Gives::{Bytes, Json};
    use Who::{Anybody, Operators, Viewers};
    vec![
        Route {
            query: LOOK,
            ..get(
                "/preview.mjpg",
                Viewers,
                "The live picture: JPEGs one after the other, as frames come.",
                Bytes("multipart/x-mixed-replace"),
                routing::get(view::stream),
            )
        },
        Route {
            query: LOOK,
            ..get(
                "/snapshot.jpg",
                Viewers,
                "The next frame. Made like the live picture; nothing is written.",
                Bytes("image/jpeg"),
                routing::get(view::snapshot),
            )
        },
        get(
            "/preview/node-red",
            Viewers,
            "The live picture alone, filling its frame: for the PlanktoScope's dashboard.",
            Bytes("text/html"),
            routing::get(page::bare),
        ),
        get(
            "/metrics",
            Viewers,
            "For Prometheus: OpenMetrics for who asks for it, else the older text form.",
            Bytes("text/plain"),
            routing::get(commands::metrics),
        ),
        get(
            "/api/timing",
            Viewers,
            "How long everything takes, since the program began: quantiles of every stage and of every handler of the hardware \
             thread, and what should not have happened.",
            Json(of::<Timing>),
            routing::get(commands::timing),
        ),
        get(
            "/api/session",
            Anybody,
            "Who asks, what they may do, and how to log in.",
            Json(of::<Session>),
            routing::get(commands::session),
        ),
        post(
            "/api/login",
            Anybody,
            "Log in with name and password, or with the code that the instrument shows. Sets a cookie; for scripts the token goes \
             into `Authorization: Bearer …`. It ends after twelve hours.",
            Some(of::<commands::Login>),
            Json(of::<LoggedIn>),
            routing::post(commands::log_in),
        ),
        post(
            "/api/logout",
            Anybody,
            "End the login.",
            None,
            Json(of::<Session>),
            routing::post(commands::log_out),
        ),
        Route {
            query: &[("wait", "s until the answer is not waited for any more, 0 to 60; 30 if it is missing")],
            ..post(
                "/api/commands/{*topic}",
                Operators,
                "Give a command: the topic and the JSON object of the MQTT contract. 200 with its answer when it is done, 202 if \
                 that takes longer than `wait`, 400 if it cannot be read, 409 if it is refused, 500 if it failed.",
                Some(of::<serde_json::Map<String, serde_json::Value>>),
                Json(of::<serde_json::Map<String, serde_json::Value>>),
                routing::post(commands::command),
            )
        },
        get(
            "/api/status",
            Viewers,
            "The state of every topic that has one, as retained over MQTT.",
            Json(of::<Vec<Said>>),
            routing::get(commands::status),
        ),
        Route {
            query: &[("after", "Only what has a greater number")],
            ..get(
                "/api/journal",
                Viewers,
                "What the instrument said lately, oldest first: a thousand statuses and lines of its log.",
                Json(of::<Vec<Said>>),
                routing::get(commands::journal),
            )
        },
        Route {
            query: &[(
                "after",
                "The id of the last event that was heard, for those who cannot send `Last-Event-ID`",
            )],
            ..get(
                "/api/events",
                Viewers,
                "Server-sent events: `said` as in the journal, first the state of every topic, then what comes; `picture` with \
                 the figures of the newest frame while somebody looks. With `Last-Event-ID` it goes on where it broke off.",
                Bytes("text/event-stream"),
                routing::get(events::stream),
            )
        },
        get(
            "/api/health",
            Viewers,
            "What the instrument knows of itself: devices, clock, position, broker, disk.",
            Json(of::<Health>),
            routing::get(commands::health),
        ),
        get(
            "/api/protocols",
            Viewers,
            "The protocols that are kept.",
            Json(of::<ProtocolList>),
            routing::get(commands::protocols),
        ),
        get(
            "/api/protocols/{name}",
            Viewers,
            "One of them.",
            Json(of::<serde_json::Map<String, serde_json::Value>>),
            routing::get(commands::protocol),
        ),
        Route {
            query: &[
                ("before", "Only of earlier days, as in `next`"),
                ("limit", "Whole days until there are so many, 1 to 500; 50 if it is missing"),
            ],
            ..get(
                "/api/datasets",
                Viewers,
                "The data sets, newest day first.",
                Json(of::<DataSets>),
                routing::get(datasets::list),
            )
        },
        get(
            "/api/datasets/{date}/{sample}/{acquisition}",
            Viewers,
            "A data set: its metadata, and a record for each frame.",
            Json(of::<DataSet>),
            routing::get(datasets::one),
        ),
        get(
            "/api/datasets/{date}/{sample}/{acquisition}/frames/{name}",
            Viewers,
            "A frame, as it is on disk. Takes ranges; never changes.",
            Bytes("image/jpeg"),
            routing::get(datasets::frame),
        ),
        get(
            "/api/datasets/{date}/{sample}/{acquisition}/thumbnails/{name}",
            Viewers,
            "A frame, at least 400 pixels on one side.",
            Bytes("image/jpeg"),
            routing::get(datasets::thumbnail),
        ),
        get(
            "/api/datasets/{date}/{sample}/{acquisition}/verify",
            Viewers,
            "Reads the whole data set again: is it complete and unharmed? Takes as long as the disk does.",
            Json(of::<Verified>),
            routing::get(datasets::verified),
        ),
        get(
            "/api/datasets/{date}/{sample}/{acquisition}/report",
            Viewers,
            "A page that tells everything of a data set: what is odd, where, when, how still, every frame small, and whether the \
             files are as they were written. One file, to keep and to send. Reads everything, so it takes as long as the disk does.",
            Bytes("text/html"),
            routing::get(datasets::report),
        ),
        get(
            "/api/datasets/{date}/{sample}/{acquisition}/zip",
            Viewers,
            "All files of a data set in one, packed while it is sent.",
            Bytes("application/zip"),
            routing::get(archive::zip),
        ),
        get(
            "/api/captures/{name}",
            Viewers,
            "A single picture, taken outside any data set.",
            Bytes("image/jpeg"),
            routing::get(datasets::capture),
        ),
        get(
            "/api/openapi.json",
            Anybody,
            "This document.",
            Bytes("application/json"),
            routing::get(document),
        ),
    ]
}

/// The list as a document.
async fn document() -> Response {
    ([(header::CONTENT_TYPE, "application/json")], openapi::document(&routes()).to_string()).into_response()
}

/// The document as it is committed: its name and its text.
pub fn file() -> (String, String) {
    ("openapi.json".into(), format!("{:#}\n", openapi::document(&routes())))
}

/// Everything that is served.
pub(super) fn router(site: &Arc<Site>) -> Router {
    let mut router = Router::new();
    for Route { path, who, handler, .. } in routes() {
        let guard = middleware::from_fn_with_state((site.clone(), who), may);
        router = router.route(path, handler.route_layer(guard));
    }
    router
        .route("/", routing::get(page::index))
        .route("/page/{name}", routing::get(page::asset))
        .fallback(async || Refusal::nothing("such page"))
        .method_not_allowed_fallback(async || {
            Refusal::new(
                StatusCode::METHOD_NOT_ALLOWED,
                "this address is asked otherwise; see /api/openapi.json",
            )
        })
        .layer(middleware::from_fn_with_state(site.clone(), always))
        .with_state(site.clone())
}

/// What holds for every request: whose page it comes from, what is counted, and what a browser may do with the answer.
async fn always(State(site): State<Arc<Site>>, request: Request, next: Next) -> Response {
    let mut response = match site.door.origin(request.method(), request.headers()) {
        Ok(()) => next.run(request).await,
        Err(refusal) => refusal.into_response(),
    };
    site.metrics.request(response.status().as_u16());
    let headers = response.headers_mut();
    let mut set = |name, value| {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    };
    set(header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    set(header::REFERRER_POLICY, "same-origin");
    set(
        header::CONTENT_SECURITY_POLICY,
        "default-src 'self'; img-src 'self' data: blob:; frame-ancestors 'self'",
    );
    set(header::HeaderName::from_static("cross-origin-resource-policy"), "same-site");
    set(header::CACHE_CONTROL, "no-store");
    response
}

/// Lets in who may ask.
async fn may(State((site, who)): State<(Arc<Site>, Who)>, mut request: Request, next: Next) -> Response {
    let peer = *request.extensions().get::<Peer>().expect("every connection has a peer");
    let guest = match site.door.guest(request.headers(), peer.0).await {
        Ok(guest) => guest,
        // Who logs in or out need not be logged in.
        Err(_) if who == Who::Anybody => Guest { name: None, role: None },
        Err(refusal) => return refusal.into_response(),
    };
    let enough = match (who, guest.role) {
        (Who::Anybody, _) | (Who::Viewers, Some(_)) | (Who::Operators, Some(Role::Operator)) => true,
        (Who::Viewers | Who::Operators, _) => false,
    };
    if !enough {
        let what = if who == Who::Viewers { "look" } else { "operate the instrument" };
        let status = if guest.name.is_some() { StatusCode::FORBIDDEN } else { StatusCode::UNAUTHORIZED };
        return Refusal::new(status, format!("log in to {what}")).into_response();
    }
    request.extensions_mut().insert(guest);
    next.run(request).await
}
