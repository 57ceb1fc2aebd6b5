//! `planktor/lease`.

use super::reading::{quantity, tagged, words};
use super::{Status, status_of};
use crate::instrument::Command;
use crate::lease::{self, Event};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::time::Duration;

pub(super) const TOPIC: &str = "planktor/lease";
pub(super) const STATUS: &str = "planktor/status/lease";

/// When the message says nothing: long enough to look at a picture, short enough if a telephone dies.
const DEFAULT: LeaseTime = LeaseTime(60.0);

quantity! {
    /// How long a lease lasts.
    LeaseTime: 1.0 to 3600.0 "s";
}

tagged! {
    /// A command about the lease. `take` and `release` need an `owner`.
    pub enum LeaseCommand by "action" {
        /// Be the only one to operate the instrument for a while, or for longer.
        "take" => Take(LeaseTake),
        /// Give it back.
        "release" => Release,
        /// Ask who has it.
        "status" => Status,
    }
}

/// For how long.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct LeaseTake {
    /// From now on; 60 s if it is missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seconds: Option<LeaseTime>,
    /// Even if somebody else has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub take_over: Option<bool>,
}

words! {
    /// Whether somebody has it.
    pub enum LeaseWord {
        "Held" => Held,
        "Free" => Free,
        /// Why is in `reason`.
        "Refused" => Refused,
        /// Too much is asked at once, or the program ends.
        "Busy" => Busy,
    }
}

/// Who operates the instrument.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct LeaseStatus {
    status: LeaseWord,
    /// With `Held`.
    #[serde(skip_serializing_if = "Option::is_none")]
    owner: Option<String>,
    /// For how long from when this was said, if nobody releases it; with `Held`. `Free` follows then.
    #[serde(skip_serializing_if = "Option::is_none")]
    seconds: Option<f64>,
    /// With `Refused`.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

impl From<LeaseCommand> for Command {
    fn from(command: LeaseCommand) -> Self {
        Self::Lease(match command {
            LeaseCommand::Take(LeaseTake { seconds, take_over }) => lease::Command::Take {
                lasts: Duration::from_secs_f64(seconds.unwrap_or(DEFAULT).0),
                take_over: take_over.unwrap_or(false),
            },
            LeaseCommand::Release => lease::Command::Release,
            LeaseCommand::Status => lease::Command::Report,
        })
    }
}

fn told(event: &Event) -> LeaseStatus {
    let said = |status| LeaseStatus { status, owner: None, seconds: None, reason: None };
    match event {
        Event::Held { owner, left } => LeaseStatus {
            owner: Some(owner.to_string()),
            seconds: Some(left.as_secs_f64()),
            ..said(LeaseWord::Held)
        },
        Event::Free => said(LeaseWord::Free),
        Event::Refused(why) => LeaseStatus { reason: Some(why.to_string()), ..said(LeaseWord::Refused) },
    }
}

pub(super) fn status(event: &Event) -> Vec<Status> {
    vec![status_of(STATUS, &told(event), !matches!(event, Event::Refused(_)))]
}

pub(super) fn response(event: &Event) -> Result<Value, String> {
    match event {
        Event::Refused(why) => Err(why.to_string()),
        event => Ok(json!(told(event))),
    }
}
