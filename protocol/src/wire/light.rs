//! `light` and `actuator/light`, and `actuator/bubbler`, which speaks like it.

use super::reading::{quantity, tagged, words};
use super::{Status, status_of};
use crate::bubbler;
use crate::instrument::Command;
use crate::light::{self, Event};
use crate::units::Fraction;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub(super) const TOPIC: &str = "light";
pub(super) const OTHER_TOPIC: &str = "actuator/light";
pub(super) const STATUS: &str = "status/light";
pub(super) const BUBBLER: &str = "actuator/bubbler";
pub(super) const BUBBLER_STATUS: &str = "status/bubbler";

quantity! {
    /// A part of the full brightness; 0 is off.
    Level: 0.0 to 1.0 "";
}

tagged! {
    /// A command to the lamp.
    pub enum LightCommand by "action" {
        /// Light it.
        "on" => On(LightOn),
        /// Darken it.
        "off" => Off,
        /// Keep its level: `on` without `value` means that level from now on. It always powers up dark.
        "save" => Save,
        /// Ask for its status.
        "status" => Status,
    }
}

/// How bright.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LightOn {
    /// The saved level (1 if none was saved) if it is missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<Level>,
}

tagged! {
    /// A command to the bubbler.
    pub enum BubblerCommand by "action" {
        /// Bubble.
        "on" => On,
        /// Stop it.
        "off" => Off,
        /// Nothing to keep: it has one strength.
        "save" => Save,
        /// Ask for its status.
        "status" => Status,
    }
}

words! {
    /// Whether it is on.
    pub enum SwitchWord {
        "On" => On,
        "Off" => Off,
        /// Somebody else operates the instrument.
        "Busy" => Busy,
        /// It is not known whether it is on, or the command was wrong; `reason` says why.
        "Error" => Error,
        /// The program has ended.
        "Dead" => Dead,
    }
}

/// Whether something is on.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct SwitchStatus {
    status: SwitchWord,
    /// Of the full strength, 0 to 1; with `On` and `Off`.
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<f64>,
    /// Why it was refused or failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

impl From<LightCommand> for Command {
    fn from(command: LightCommand) -> Self {
        Self::Light(match command {
            LightCommand::On(LightOn { value: None }) => light::Command::On,
            LightCommand::On(LightOn { value: Some(level) }) => light::Command::Set(fraction(level)),
            LightCommand::Off => light::Command::Set(Fraction::ZERO),
            LightCommand::Save => light::Command::Save,
            LightCommand::Status => light::Command::Report,
        })
    }
}

fn fraction(level: Level) -> Fraction {
    let millionths = level.scaled(f64::from(Fraction::ONE.millionths()));
    u32::try_from(millionths).ok().and_then(Fraction::from_millionths).unwrap_or(Fraction::ONE)
}

impl From<BubblerCommand> for Command {
    fn from(command: BubblerCommand) -> Self {
        Self::Bubbler(match command {
            BubblerCommand::On => bubbler::Command::Set(true),
            BubblerCommand::Off => bubbler::Command::Set(false),
            BubblerCommand::Save | BubblerCommand::Status => bubbler::Command::Report,
        })
    }
}

fn switch(topic: &'static str, on: bool, value: f64) -> Status {
    let status = if on { SwitchWord::On } else { SwitchWord::Off };
    status_of(topic, &SwitchStatus { status, value: Some(value), reason: None }, true)
}

/// A failure stays, too: an old "On" would be a lie.
fn not_known(topic: &'static str, reason: String) -> Status {
    status_of(topic, &SwitchStatus { status: SwitchWord::Error, value: None, reason: Some(reason) }, true)
}

pub(super) fn status(event: &Event) -> Vec<Status> {
    vec![match event {
        Event::Level(level) => {
            let value = f64::from(level.millionths()) / f64::from(Fraction::ONE.millionths());
            switch(STATUS, *level != Fraction::ZERO, value)
        }
        // Of a frame, and written down with it.
        Event::Pulsed(_) => return vec![],
        Event::NotSaved(why) => {
            let said = SwitchStatus { status: SwitchWord::Error, value: None, reason: Some(why.clone()) };
            status_of(STATUS, &said, false)
        }
        Event::Failed(fault) => not_known(STATUS, fault.to_string()),
    }]
}

pub(super) fn bubbler_status(event: &bubbler::Event) -> Vec<Status> {
    vec![match event {
        bubbler::Event::Bubbling(on) => switch(BUBBLER_STATUS, *on, f64::from(u8::from(*on))),
        bubbler::Event::Failed(fault) => not_known(BUBBLER_STATUS, fault.to_string()),
    }]
}
