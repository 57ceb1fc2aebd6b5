//! Everything that can be broken on purpose, as data: the same list in a test, in a scenario file and in a message.
//!
//! A fault begins at an instant and may end at another. Nothing ticks: what is due is made true when the world is next
//! looked at, at the instant at which it was due.

use planktor_protocol::{Axis, Instant, Utc};
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize};
use std::collections::BTreeMap;
use std::ops::RangeInclusive;

/// A bus with one chip at its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Bus {
    /// The pump driver's SPI.
    Pump,
    /// The stage driver's SPI.
    Focus,
    /// The lamp's I2C.
    Light,
    /// The EEPROM's I2C; on HAT 1.2 that is the lamp's.
    Eeprom,
    /// The display's SPI and pins.
    Display,
}

/// A stepper motor with its driver.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Motor {
    /// The pump's.
    Pump,
    /// The stage's.
    Focus,
}

impl From<Motor> for Axis {
    fn from(motor: Motor) -> Self {
        match motor {
            Motor::Pump => Self::Pump,
            Motor::Focus => Self::Focus,
        }
    }
}

/// What can be broken.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Fault {
    /// Every transfer ends with an error (I2C: not acknowledged).
    BusError(Bus),
    /// Now and then a bit is wrong.
    BusGlitch(Bus),
    /// A transfer holds its caller for a second and then fails.
    BusStuck(Bus),
    /// Nobody hears and nobody answers; what was going on goes on.
    CablePulled(Bus),
    /// The driver's supply drops for a moment: its registers are gone.
    ChipReset(Motor),
    /// The shaft is held fast; its driver notices no more than a load.
    MotorStalled(Motor),
    /// The shaft loses steps.
    #[serde(rename_all = "kebab-case")]
    MotorSlipping {
        /// Which.
        of: Motor,
        /// Part of the way that is lost, 0 to 1.
        #[serde(deserialize_with = "part")]
        lost: f64,
    },
    /// A coil's wire is off.
    OpenLoad(Motor),
    /// The driver is too hot and switches its power stage off.
    OverTemperature(Motor),
    /// The lamp's wires touch: it is dark.
    LampShort,
    /// The lamp's driver is too hot and gives less.
    LampHot,
    /// No frame comes any more.
    CameraSilent,
    /// Frames arrive late.
    FramesLate {
        /// By how much, ms.
        by_ms: u32,
    },
    /// Every frame is the one before again, under a new number.
    FramesDuplicated,
    /// Half of the frames are lost, by chance.
    FramesLost,
    /// No satellites.
    NoFix,
    /// The receiver's date is wrong (RFC 3339).
    WrongDate(#[serde(deserialize_with = "date")] String),
    /// The receiver says another place.
    PositionJump {
        /// Degrees, -90 to 90.
        #[serde(deserialize_with = "latitude")]
        latitude: f64,
        /// Degrees, -180 to 180.
        #[serde(deserialize_with = "longitude")]
        longitude: f64,
    },
    /// gpsd closes its connections and takes no more.
    GpsdGone,
    /// gpsd says nonsense between its reports.
    GpsdMad,
    /// The computer's clock is set.
    ClockStep {
        /// By how much, s; negative is back. Up to ten years.
        #[serde(deserialize_with = "step")]
        by_s: f64,
    },
    /// The battery-backed clock loses both its supplies for a moment: it begins again, and says so.
    RtcPowerLost,
    /// No room on the disk.
    DiskFull,
    /// The disk was mounted again for reading only.
    DiskReadOnly,
    /// Everything on the disk takes so many times longer.
    DiskSlow {
        /// How many times, 1 to 10,000.
        #[serde(deserialize_with = "times")]
        times: f64,
    },
    /// Every operation on the disk is an error.
    DiskFails,
    /// The MQTT broker is away; only where it is our own.
    BrokerGone,
    /// The device's driver panics at its next access.
    DriverPanic(Bus),
}

fn within<'de, D: Deserializer<'de>>(deserializer: D, range: RangeInclusive<f64>) -> Result<f64, D::Error> {
    let value = f64::deserialize(deserializer)?;
    let (from, to) = (range.start(), range.end());
    let fits = range.contains(&value);
    fits.then_some(value).ok_or_else(|| D::Error::custom(format!("{value} is outside {from} to {to}")))
}

fn part<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    within(deserializer, 0.0..=1.0)
}

fn latitude<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    within(deserializer, -90.0..=90.0)
}

fn longitude<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    within(deserializer, -180.0..=180.0)
}

fn step<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    within(deserializer, -3.2e8..=3.2e8)
}

fn times<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    within(deserializer, 1.0..=1e4)
}

fn date<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let date = String::deserialize(deserializer)?;
    let known = Utc::parse(&date).is_some();
    known.then_some(date).ok_or_else(|| D::Error::custom("expected a time like 1980-01-06T00:00:00Z"))
}

/// What a fault touches, for whoever judges what came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The pump: motor, driver and bus.
    Pump,
    /// The stage: motor, driver and bus.
    Focus,
    /// The lamp and its bus.
    Light,
    /// The EEPROM and its bus.
    Eeprom,
    /// The display and its bus.
    Display,
    /// The camera.
    Camera,
    /// Receiver, gpsd, the computer's clock and the battery-backed one.
    Sky,
    /// The disk.
    Disk,
    /// The MQTT broker.
    Broker,
}

impl Fault {
    /// What it touches.
    pub fn part(&self) -> Part {
        match self {
            Self::BusError(bus)
            | Self::BusGlitch(bus)
            | Self::BusStuck(bus)
            | Self::CablePulled(bus)
            | Self::DriverPanic(bus) => match bus {
                Bus::Pump => Part::Pump,
                Bus::Focus => Part::Focus,
                Bus::Light => Part::Light,
                Bus::Eeprom => Part::Eeprom,
                Bus::Display => Part::Display,
            },
            Self::ChipReset(of)
            | Self::MotorStalled(of)
            | Self::MotorSlipping { of, .. }
            | Self::OpenLoad(of)
            | Self::OverTemperature(of) => match of {
                Motor::Pump => Part::Pump,
                Motor::Focus => Part::Focus,
            },
            Self::LampShort | Self::LampHot => Part::Light,
            Self::CameraSilent | Self::FramesLate { .. } | Self::FramesDuplicated | Self::FramesLost => {
                Part::Camera
            }
            Self::NoFix
            | Self::WrongDate(_)
            | Self::PositionJump { .. }
            | Self::GpsdGone
            | Self::GpsdMad
            | Self::ClockStep { .. }
            | Self::RtcPowerLost => Part::Sky,
            Self::DiskFull | Self::DiskReadOnly | Self::DiskSlow { .. } | Self::DiskFails => Part::Disk,
            Self::BrokerGone => Part::Broker,
        }
    }
}

/// Names one fault among those that were ordered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Spell(u64);

/// What becomes true.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Change {
    Begins(Fault),
    Ends(Fault),
}

/// The faults that are there, and those to come.
#[derive(Debug, Default)]
pub(crate) struct Spells {
    coming: BTreeMap<(Instant, u64), (Spell, Change)>,
    active: BTreeMap<Spell, Fault>,
    /// What was there, and when it ended.
    past: Vec<(Instant, Fault)>,
    ordered: u64,
}

impl Spells {
    pub(crate) fn order(&mut self, fault: Fault, from: Instant, until: Option<Instant>) -> Spell {
        let spell = Spell(self.ordered);
        if let Some(until) = until {
            let end = until.max(from);
            self.coming.insert((end, self.ordered + 1), (spell, Change::Ends(fault.clone())));
        }
        self.coming.insert((from, self.ordered), (spell, Change::Begins(fault)));
        self.ordered += 2;
        spell
    }

    /// Ends one before its time; also one that has not begun. Gives it back if it had.
    pub(crate) fn lift(&mut self, spell: Spell, now: Instant) -> Option<Fault> {
        self.coming.retain(|_, (of, _)| *of != spell);
        let fault = self.active.remove(&spell)?;
        self.past.push((now, fault.clone()));
        Some(fault)
    }

    /// The next change that is due, with its instant.
    pub(crate) fn due(&mut self, now: Instant) -> Option<(Instant, Change)> {
        let (&(at, n), _) = self.coming.first_key_value().filter(|((at, _), _)| *at <= now)?;
        let (spell, change) = self.coming.remove(&(at, n))?;
        match &change {
            Change::Begins(fault) => drop(self.active.insert(spell, fault.clone())),
            Change::Ends(fault) => {
                self.active.remove(&spell);
                self.past.push((at, fault.clone()));
            }
        }
        Some((at, change))
    }

    pub(crate) fn active(&self) -> impl Iterator<Item = (Spell, &Fault)> {
        self.active.iter().map(|(spell, fault)| (*spell, fault))
    }

    /// Everything that is there now, or was there at some time since.
    pub(crate) fn since(&self, then: Instant) -> impl Iterator<Item = &Fault> {
        let past =
            self.past.iter().rev().take_while(move |(ended, _)| *ended >= then).map(|(_, fault)| fault);
        self.active.values().chain(past)
    }

    pub(crate) fn are_none(&self) -> bool {
        self.active.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(s: u64) -> Instant {
        Instant::from_nanos(s * 1_000_000_000)
    }

    #[test]
    fn what_is_due_comes_in_the_order_of_time_and_ends_when_it_should() {
        let mut spells = Spells::default();
        spells.order(Fault::DiskFull, at(5), Some(at(7)));
        spells.order(Fault::NoFix, at(3), None);
        assert_eq!(spells.due(at(2)), None);
        assert_eq!(spells.due(at(6)), Some((at(3), Change::Begins(Fault::NoFix))));
        assert_eq!(spells.due(at(6)), Some((at(5), Change::Begins(Fault::DiskFull))));
        assert_eq!(spells.active().count(), 2);
        assert_eq!(spells.due(at(7)), Some((at(7), Change::Ends(Fault::DiskFull))));
        assert_eq!(spells.active().map(|(_, fault)| fault).collect::<Vec<_>>(), [&Fault::NoFix]);
        assert_eq!(spells.due(at(100)), None);
        assert_eq!(spells.since(at(8)).collect::<Vec<_>>(), [&Fault::NoFix]);
        assert_eq!(spells.since(at(7)).collect::<Vec<_>>(), [&Fault::NoFix, &Fault::DiskFull]);
    }

    #[test]
    fn a_fault_that_was_lifted_neither_begins_nor_lasts() {
        let mut spells = Spells::default();
        let (first, second) = (
            spells.order(Fault::CameraSilent, at(1), Some(at(9))),
            spells.order(Fault::LampShort, at(5), None),
        );
        assert!(spells.due(at(1)).is_some());
        assert_eq!(spells.lift(first, at(2)), Some(Fault::CameraSilent));
        assert_eq!(spells.lift(second, at(2)), None);
        assert_eq!(spells.due(at(100)), None);
    }
}
