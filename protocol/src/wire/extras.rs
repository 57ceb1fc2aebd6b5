//! `display` and `led-operating-time`.

use super::reading::{Text, quantity, tagged, words};
use super::{Status, status_of};
use crate::instrument::Command;
use crate::{display, operating_time};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub(super) const DISPLAY: &str = "display";
pub(super) const DISPLAY_STATUS: &str = "planktor/status/display";
pub(super) const OPERATING_TIME: &str = "led-operating-time";
pub(super) const OPERATING_TIME_STATUS: &str = "status/led-operating-time";

tagged! {
    /// A command to the display.
    pub enum DisplayCommand by "action" {
        /// Show the instrument's name and where its page is found.
        "configure" => Configure(DisplayConfigure),
        /// Show nothing.
        "clear" => Clear,
    }
}

/// What to show.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct DisplayConfigure {
    /// What to show.
    pub config: DisplayConfig,
}

/// What to show; what is missing is left out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct DisplayConfig {
    /// Address of the instrument's page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<Text<300>>,
    /// The machine's name.
    #[serde(default, rename = "machine-name", skip_serializing_if = "Option::is_none")]
    pub machine_name: Option<Text<100>>,
}

words! {
    /// What is shown.
    pub enum DisplayWord {
        "Shown" => Shown,
        "Cleared" => Cleared,
        /// Somebody else operates the instrument.
        "Busy" => Busy,
        /// What is shown is not known, or the command was wrong; `reason` says why.
        "Error" => Error,
    }
}

/// What the display shows.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct DisplayStatus {
    status: DisplayWord,
    /// With `Shown`.
    #[serde(skip_serializing_if = "Option::is_none")]
    url: Option<String>,
    /// With `Shown`.
    #[serde(rename = "machine-name", skip_serializing_if = "Option::is_none")]
    machine_name: Option<String>,
    /// Why it was refused or failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

impl From<DisplayCommand> for Command {
    fn from(command: DisplayCommand) -> Self {
        Self::Display(match command {
            DisplayCommand::Configure(DisplayConfigure { config }) => display::Command::Show(display::Page {
                url: config.url.map_or_else(Default::default, |text| text.0.into()),
                name: config.machine_name.map_or_else(Default::default, |text| text.0.into()),
            }),
            DisplayCommand::Clear => display::Command::Clear,
        })
    }
}

pub(super) fn display_status(event: &display::Event) -> Vec<Status> {
    let said = |status, reason| DisplayStatus { status, url: None, machine_name: None, reason };
    let (status, retain) = match event {
        display::Event::Shown(page) => {
            let [url, machine_name] = [&page.url, &page.name].map(|text| Some(text.to_string()));
            (DisplayStatus { url, machine_name, ..said(DisplayWord::Shown, None) }, true)
        }
        display::Event::Cleared => (said(DisplayWord::Cleared, None), true),
        display::Event::Failed(fault) => (said(DisplayWord::Error, Some(fault.to_string())), true),
    };
    vec![status_of(DISPLAY_STATUS, &status, retain)]
}

quantity! {
    /// Seconds of light; a hundred years bound the arithmetic.
    Seconds: 0.0 to 3155760000.0 "s";
}

tagged! {
    /// A command about the LED's operating time.
    pub enum OperatingTimeCommand by "action" {
        /// Ask for it.
        "get" => Get,
        /// The LED was replaced: count from zero.
        "reset" => Reset,
        /// It was lit for longer than the instrument has counted. (The instrument counts by itself.)
        "increment" => Increment(OperatingTimeIncrement),
    }
}

/// How much longer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct OperatingTimeIncrement {
    /// Rounded to whole seconds.
    pub seconds: Seconds,
}

/// How long the LED has been lit, or why that was not changed.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct OperatingTimeStatus {
    /// All in all.
    #[serde(skip_serializing_if = "Option::is_none")]
    seconds: Option<u64>,
    /// `Busy` or `Error`, instead of the seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<String>,
    /// Why it was refused or failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

impl From<OperatingTimeCommand> for Command {
    fn from(command: OperatingTimeCommand) -> Self {
        Self::OperatingTime(match command {
            OperatingTimeCommand::Get => operating_time::Command::Get,
            OperatingTimeCommand::Reset => operating_time::Command::Reset,
            OperatingTimeCommand::Increment(OperatingTimeIncrement { seconds }) => {
                operating_time::Command::Increment(u64::try_from(seconds.scaled(1.0)).unwrap_or(0))
            }
        })
    }
}

pub(super) fn operating_time_status(event: &operating_time::Event) -> Vec<Status> {
    let not = |status: &str, reason: String| OperatingTimeStatus {
        seconds: None,
        status: Some(status.into()),
        reason: Some(reason),
    };
    let (status, retain) = match event {
        operating_time::Event::Seconds(seconds) => {
            (OperatingTimeStatus { seconds: Some(*seconds), status: None, reason: None }, true)
        }
        operating_time::Event::Failed(why) => (not("Error", why.clone()), false),
    };
    vec![status_of(OPERATING_TIME_STATUS, &status, retain)]
}
