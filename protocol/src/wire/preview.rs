//! `planktor/preview`.

use super::reading::{quantity, tagged, words};
use super::{Status, status_of};
use crate::instrument::Command;
use crate::preview::{self, Event};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::time::Duration;

pub(super) const TOPIC: &str = "planktor/preview";
pub(super) const STATUS: &str = "planktor/status/preview";

quantity! {
    /// How long somebody looks.
    WatchTime: 0.0 to 60.0 "s";
}

tagged! {
    /// A command about the live picture. It needs no lease: looking disturbs nobody.
    pub enum PreviewCommand by "action" {
        /// Let the camera stream for those who look at `/preview.mjpg`. (The page and the program say it by themselves.)
        "watch" => Watch(PreviewWatch),
        /// Ask whether it does.
        "status" => Status,
    }
}

/// For how long.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PreviewWatch {
    /// From now on; 0 ends it. Who looks longer says it again.
    pub seconds: WatchTime,
}

words! {
    /// Whether the camera streams for viewers.
    pub enum PreviewWord {
        "On" => On,
        "Off" => Off,
        /// The command was wrong, or the camera cannot; `reason` says why.
        "Error" => Error,
    }
}

/// Whether the camera streams for viewers.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct PreviewStatus {
    status: PreviewWord,
    /// For how long from when this was said, if nobody says it again; with `On`.
    #[serde(skip_serializing_if = "Option::is_none")]
    seconds: Option<f64>,
    /// Why it cannot.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

impl From<PreviewCommand> for Command {
    fn from(command: PreviewCommand) -> Self {
        Self::Preview(match command {
            PreviewCommand::Watch(PreviewWatch { seconds }) => {
                preview::Command::Watch { lasts: Duration::from_secs_f64(seconds.0) }
            }
            PreviewCommand::Status => preview::Command::Report,
        })
    }
}

pub(super) fn status(event: &Event) -> Vec<Status> {
    let said = |status| PreviewStatus { status, seconds: None, reason: None };
    let status = match event {
        Event::On { left } => PreviewStatus { seconds: Some(left.as_secs_f64()), ..said(PreviewWord::On) },
        Event::Off => said(PreviewWord::Off),
        Event::Failed(fault) => PreviewStatus { reason: Some(fault.to_string()), ..said(PreviewWord::Error) },
    };
    vec![status_of(STATUS, &status, true)]
}
