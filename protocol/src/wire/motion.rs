//! `actuator/pump` and `actuator/focus`.

use super::reading::{Misread, Whole, quantity, tagged, words};
use super::{Status, status_of};
use crate::instrument::Command;
use crate::motion::{self, Event};
use crate::pump::{Amax, Calibrated, Ramp, Trial};
use crate::units::{Micrometres, MicrometresPerSecond, Nanolitres, NanolitresPerSecond};
use crate::{focus, pump};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::fmt::Display;

pub(super) const PUMP: &str = "actuator/pump";
pub(super) const PUMP_STATUS: &str = "status/pump";
pub(super) const FOCUS: &str = "actuator/focus";
pub(super) const FOCUS_STATUS: &str = "status/focus";

/// Nanolitres in a millilitre.
const NL_PER_ML: f64 = 1e6;
/// Nanolitres per second in a millilitre per minute.
pub(super) const NL_S_PER_ML_MIN: f64 = NL_PER_ML / 60.0;
/// Micrometres in a millimetre, and um/s in mm/s.
const UM_PER_MM: f64 = 1e3;
/// When the message says none.
const DEFAULT_FOCUS_SPEED: Speed = Speed(5.0);

quantity! {
    /// A volume; a litre bounds the arithmetic, what the pump can do is the pump's to say.
    Millilitres: 0.0 to 1000.0 "mL";
    /// A flow rate; what the pump can do is the pump's to say.
    FlowRate: 0.0 to 1000.0 "mL/min";
    /// A distance of the stage; its limits are the stage's to say.
    Millimetres: 0.0 to 1000.0 "mm";
    /// A speed of the stage.
    Speed: 0.0 to 1000.0 "mm/s";
    /// Full steps of the pump's motor for a millilitre.
    StepsPerMl: 1.0 to 1000000.0 "steps/mL";
}

words! {
    /// Into the flow cell, or out of it.
    pub enum PumpDirection {
        "FORWARD" => Forward,
        "BACKWARD" => Backward,
    }
}

words! {
    /// Of the stage.
    pub enum FocusDirection {
        "UP" => Up,
        "DOWN" => Down,
    }
}

tagged! {
    /// A command to the pump.
    pub enum PumpCommand by "action" {
        /// Make a stroke. Answered at its end.
        "move" => Move(PumpMove),
        /// Ramp down, whether it moves or not.
        "stop" => Stop,
        /// Change the pump's calibration; it is kept in `hardware.json`.
        "set-configuration" => SetConfiguration(PumpConfiguration),
        /// Ask for it.
        "get-configuration" => GetConfiguration,
        /// Make a stroke with another ramp and stall detection, to find out whether the pump bears it. Answered at its
        /// end; fails if the motor stalls, which is then away for a moment. Refused where the stroke is too slow or too small
        /// for a stall to be seen.
        "try" => Try(PumpTrial),
        /// Ask for the pump's ramp.
        "get-ramp" => GetRamp,
        /// Change the pump's ramp to one that was found by trials and by measuring what came out; it is kept in
        /// `hardware.json`, with the date.
        "set-ramp" => SetRamp(PumpRamp),
    }
}

/// A stroke.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PumpMove {
    /// Which way.
    pub direction: PumpDirection,
    /// How much.
    pub volume: Millilitres,
    /// How fast at most: the pump's own fastest if that is less, and small strokes never reach it.
    pub flowrate: FlowRate,
}

/// How fast the pump accelerates and brakes, as its motor's driver counts it: 1 is 0.256 full steps/s2; today's
/// instruments have 2000.
type AmaxNumber = Whole<{ Amax::LEAST }, { Amax::MOST }>;

/// A stroke with another ramp.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PumpTrial {
    /// Which way.
    pub direction: PumpDirection,
    /// How much.
    pub volume: Millilitres,
    /// How fast at most.
    pub flowrate: FlowRate,
    /// How fast it accelerates and brakes, AMAX of its motor's driver: 1 is 0.256 full steps/s2.
    pub amax: AmaxNumber,
}

/// A ramp that the pump bears.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PumpRamp {
    /// How fast it accelerates and brakes from now on, AMAX of its motor's driver.
    pub amax: AmaxNumber,
    /// The fastest at which it did not stall, AMAX.
    pub fastest_amax: AmaxNumber,
    /// What came out with today's ramp (AMAX 2000), measured.
    pub timid_ml: Millilitres,
    /// What came out of as many strokes with the new one, measured. If that differs by more than 3 %, it is refused.
    pub fast_ml: Millilitres,
}

/// The response to `get-ramp` and `set-ramp`.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct PumpRampIs {
    /// AMAX of the pump's motor driver.
    amax: u32,
}

/// The pump's calibration.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PumpConfiguration {
    /// Full steps of its motor for a millilitre.
    pub pump_steps_per_ml: StepsPerMl,
}

tagged! {
    /// A command to the stage.
    pub enum FocusCommand by "action" {
        /// Move by a distance. Answered at its end.
        "move" => Move(FocusMove),
        /// Ramp down, whether it moves or not.
        "stop" => Stop,
    }
}

/// A move of the stage.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct FocusMove {
    /// Which way.
    pub direction: FocusDirection,
    /// How far.
    pub distance: Millimetres,
    /// How fast at most; 5 mm/s if it is missing, the stage's own fastest if that is less.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub speed: Option<Speed>,
}

words! {
    /// What a motor does, or what was wrong.
    pub enum MotorWord {
        /// It moves.
        "Started" => Started,
        /// It has made its move.
        "Done" => Done,
        /// A stop was sent to it.
        "Interrupted" => Interrupted,
        /// It does not move.
        "Idle" => Idle,
        /// Something else moves it, or somebody else operates the instrument.
        "Busy" => Busy,
        /// The program has ended.
        "Dead" => Dead,
        /// It cannot do that, or it failed.
        "Error" => Error,
        /// A field is missing or not what it must be.
        "Error, the message is missing an argument" => Missing,
        /// The flow rate is zero.
        "Error, The flowrate should not be == 0" => NoFlow,
    }
}

/// What a motor does.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct MotorStatus {
    status: MotorWord,
    /// How long the move will take, s, with its real ramps; with `Started`.
    #[serde(skip_serializing_if = "Option::is_none")]
    duration: Option<f64>,
    /// Why it was refused or failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

/// The response to `get-configuration`.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct PumpConfigured {
    /// Full steps of the pump's motor for a millilitre.
    pump_steps_per_ml: f64,
}

impl From<PumpCommand> for Command {
    fn from(command: PumpCommand) -> Self {
        match command {
            PumpCommand::Move(PumpMove { direction, volume, flowrate }) => {
                Self::Pump(motion::Command::Move(stroke(direction, volume, flowrate.into())))
            }
            PumpCommand::Stop => Self::Pump(motion::Command::Stop),
            PumpCommand::SetConfiguration(PumpConfiguration { pump_steps_per_ml }) => {
                let thousandths = u32::try_from(pump_steps_per_ml.scaled(1e3)).unwrap_or(u32::MAX);
                Self::Calibration(pump::Calibration::Set(thousandths))
            }
            PumpCommand::GetConfiguration => Self::Calibration(pump::Calibration::Get),
            PumpCommand::Try(PumpTrial { direction, volume, flowrate, amax }) => {
                Self::Trial(Trial { stroke: stroke(direction, volume, flowrate.into()), amax: Amax(amax.0) })
            }
            PumpCommand::GetRamp => Self::Calibration(pump::Calibration::GetRamp),
            PumpCommand::SetRamp(PumpRamp { amax, fastest_amax, timid_ml, fast_ml }) => {
                let [timid, fast] = [timid_ml, fast_ml].map(|ml| Nanolitres(ml.scaled(NL_PER_ML)));
                let (amax, fastest) = (Amax(amax.0), Amax(fastest_amax.0));
                Self::Calibration(pump::Calibration::SetRamp(Ramp { amax, fastest, timid, fast }))
            }
        }
    }
}

impl From<FlowRate> for NanolitresPerSecond {
    fn from(rate: FlowRate) -> Self {
        Self(rate.scaled(NL_S_PER_ML_MIN))
    }
}

pub(super) fn stroke(direction: PumpDirection, volume: Millilitres, flow: NanolitresPerSecond) -> pump::Move {
    let volume = volume.scaled(NL_PER_ML);
    let sign = if direction == PumpDirection::Backward { -1 } else { 1 };
    pump::Move { volume: Nanolitres(sign * volume), flow }
}

impl From<FocusCommand> for Command {
    fn from(command: FocusCommand) -> Self {
        Self::Focus(match command {
            FocusCommand::Stop => motion::Command::Stop,
            FocusCommand::Move(FocusMove { direction, distance, speed }) => {
                let sign = if direction == FocusDirection::Down { -1 } else { 1 };
                let target = focus::Target::By(Micrometres(sign * distance.scaled(UM_PER_MM)));
                let speed = MicrometresPerSecond(speed.unwrap_or(DEFAULT_FOCUS_SPEED).scaled(UM_PER_MM));
                motion::Command::Move(focus::Move { target, speed })
            }
        })
    }
}

/// The word that the pump's topic has for a message that cannot be read.
pub(super) fn pump_flaw(misread: &Misread) -> &'static str {
    match misread.path.as_str() {
        "" | "action" | "pump_steps_per_ml" | "amax" | "fastest_amax" | "timid_ml" | "fast_ml" | "owner" => {
            "Error"
        }
        _ => "Error, the message is missing an argument",
    }
}

/// The status word of a refusal: never one with "error" for what is merely busy, or dashboards count it.
pub(super) fn pump_words(refusal: &pump::Refusal) -> MotorWord {
    match refusal {
        pump::Refusal::Busy | pump::Refusal::Acquiring | pump::Refusal::Stopped => MotorWord::Busy,
        pump::Refusal::Flow(_) => MotorWord::NoFlow,
        pump::Refusal::NoVolume
        | pump::Refusal::Volume { .. }
        | pump::Refusal::StallUnseen { .. }
        | pump::Refusal::TooFast { .. }
        | pump::Refusal::VolumesDiffer { .. } => MotorWord::Error,
    }
}

pub(super) fn focus_words(refusal: &focus::Refusal) -> MotorWord {
    match refusal {
        focus::Refusal::Busy | focus::Refusal::Acquiring | focus::Refusal::Stopped => MotorWord::Busy,
        focus::Refusal::NoDistance | focus::Refusal::Speed(_) | focus::Refusal::BeyondTravel { .. } => {
            MotorWord::Error
        }
    }
}

/// `Started` is kept for those who come later; an end is not, and the state after it is `Idle`: who subscribes
/// during the next move must not take an old `Done` for its end.
pub(super) fn status<R: Display>(
    topic: &'static str,
    event: &Event<R>,
    words: fn(&R) -> MotorWord,
) -> Vec<Status> {
    let said = |status, duration, reason| MotorStatus { status, duration, reason };
    let ended = |status, reason| vec![status_of(topic, &said(status, None, reason), false), idle(topic)];
    match event {
        Event::Started { from, until } => {
            let duration = Some((*until - *from).as_secs_f64());
            vec![status_of(topic, &said(MotorWord::Started, duration, None), true)]
        }
        Event::Done(_) => ended(MotorWord::Done, None),
        Event::Interrupted => ended(MotorWord::Interrupted, None),
        Event::Failed(fault) => ended(MotorWord::Error, Some(fault.to_string())),
        Event::Released => vec![],
        Event::Refused(why) => {
            vec![status_of(topic, &said(words(why), None, Some(why.to_string())), false)]
        }
    }
}

/// What a calibration says of itself: nothing, but why it was not changed.
pub(super) fn calibrated(event: &Calibrated) -> Vec<Status> {
    let (status, reason) = match event {
        Calibrated::Is(_) | Calibrated::Set(_) | Calibrated::Ramp(_) => return vec![],
        Calibrated::Refused(why) => (pump_words(why), why.to_string()),
        Calibrated::Failed(why) => (MotorWord::Error, why.clone()),
    };
    vec![status_of(PUMP_STATUS, &MotorStatus { status, duration: None, reason: Some(reason) }, false)]
}

pub(super) fn calibration_response(event: &Calibrated) -> Result<Value, String> {
    match event {
        Calibrated::Is(thousandths) => Ok(json!({"pump_steps_per_ml": steps(*thousandths)})),
        Calibrated::Set(_) => Ok(json!({})),
        Calibrated::Ramp(Amax(amax)) => Ok(json!(PumpRampIs { amax: *amax })),
        Calibrated::Refused(why) => Err(why.to_string()),
        Calibrated::Failed(why) => Err(why.clone()),
    }
}

/// Full steps for a millilitre, given in thousandths, as clients and `hardware.json` have them: whole ones without a point.
pub fn steps(thousandths: u32) -> Value {
    match thousandths % 1_000 {
        0 => json!(thousandths / 1_000),
        _ => json!(f64::from(thousandths) / 1e3),
    }
}

/// Dashboards read it as off.
pub(super) const IDLE: &str = "Idle";

pub(super) fn idle(topic: &'static str) -> Status {
    status_of(topic, &MotorStatus { status: MotorWord::Idle, duration: None, reason: None }, true)
}

pub(super) fn response<R: Display>(event: &Event<R>) -> Result<Value, String> {
    match event {
        Event::Refused(why) => Err(why.to_string()),
        Event::Failed(fault) => Err(fault.to_string()),
        Event::Interrupted => Ok(json!({"status": "Interrupted"})),
        Event::Started { .. } | Event::Done(_) | Event::Released => Ok(json!({})),
    }
}
