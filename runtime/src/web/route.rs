//! What an address is: for the router, and for the document.

use super::site::Site;
use axum::routing::MethodRouter;
use schemars::{Schema, SchemaGenerator};
use std::sync::Arc;

/// Who may ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Who {
    Anybody,
    Viewers,
    Operators,
}

/// How.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verb {
    Get,
    Post,
}

/// What is answered.
#[derive(Clone, Copy)]
pub(super) enum Gives {
    Json(fn(&mut SchemaGenerator) -> Schema),
    /// Of this type.
    Bytes(&'static str),
}

/// A parameter in the query, and what it says.
pub(super) type Parameter = (&'static str, &'static str);

/// One address.
pub(super) struct Route {
    pub(super) verb: Verb,
    pub(super) path: &'static str,
    pub(super) who: Who,
    pub(super) about: &'static str,
    pub(super) query: &'static [Parameter],
    pub(super) body: Option<fn(&mut SchemaGenerator) -> Schema>,
    pub(super) gives: Gives,
    pub(super) handler: MethodRouter<Arc<Site>>,
}
