//! How a request is refused: in JSON, with what was wrong and what to do.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use schemars::JsonSchema;
use serde::Serialize;

/// Why a request is refused, or failed.
#[derive(Clone, Debug)]
pub(super) struct Refusal {
    pub(super) status: StatusCode,
    pub(super) message: String,
}

/// The same as JSON, as on an MQTT response topic.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Refused {
    error: Why,
}

/// What went wrong.
#[derive(Debug, Serialize, JsonSchema)]
struct Why {
    /// What was wrong, where, and what to do.
    message: String,
    /// `refused`: it was not begun; `failed`: it could not be done.
    kind: &'static str,
}

impl Refusal {
    pub(super) fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self { status, message: message.into() }
    }

    /// There is no such thing.
    pub(super) fn nothing(what: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, format!("there is no {what}; check the address"))
    }

    /// Too much at once.
    pub(super) fn busy(what: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, what)
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let kind = if self.status == StatusCode::INTERNAL_SERVER_ERROR { "failed" } else { "refused" };
        let body = Refused { error: Why { message: self.message, kind } };
        let mut response = (self.status, axum::Json(body)).into_response();
        let asks = match self.status {
            StatusCode::UNAUTHORIZED => Some((header::WWW_AUTHENTICATE, "Bearer")),
            StatusCode::SERVICE_UNAVAILABLE => Some((header::RETRY_AFTER, "1")),
            StatusCode::TOO_MANY_REQUESTS => Some((header::RETRY_AFTER, "60")),
            _ => None,
        };
        response.headers_mut().extend(asks.map(|(name, value)| (name, HeaderValue::from_static(value))));
        response
    }
}
