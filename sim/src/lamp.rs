//! The lamp of either HAT: a chip on I2C, and what comes of it. HAT 3.3 has a converter whose voltage sets the
//! current; HAT 1.2 a driver, and a pin that selects the LED.

use crate::chips::{lm36011, mcp4725};
use planktor_protocol::Instant;
use std::time::Duration;

/// The lamp with its chip.
#[derive(Debug)]
pub enum Lamp {
    /// HAT 3.3: MCP4725 at 0x62.
    Converter {
        /// The chip.
        chip: mcp4725::Model,
        /// Since when the LED's wires touch.
        short: Option<Instant>,
        /// Since when the LED's own driver is too hot.
        hot: Option<Instant>,
    },
    /// HAT 1.2: LM36011 at 0x64.
    Driver {
        /// The chip.
        chip: lm36011::Model,
        /// Since when GPIO18 selects the LED, or not.
        selected: (Instant, bool),
    },
}

/// An I2C write of two bytes with its address at 100 kHz: a converter puts out what it was told when the last one is there.
const OVER_THE_BUS: Duration = Duration::from_micros(280);

/// The light of a pulse: dark before, up within the rise, there, down within the fall, dark again.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Pulse {
    pub(crate) from: Instant,
    pub(crate) rise: Duration,
    /// When it begins to fall.
    pub(crate) off: Instant,
    pub(crate) fall: Duration,
    /// How bright it was told to be in between, 0 to 1.
    pub(crate) level: f32,
}

impl Pulse {
    pub(crate) fn to(&self) -> Instant {
        self.off + self.fall
    }
}

/// What a lamp whose current source is too hot gives. Assumption.
const HOT: f32 = 0.5;

impl Lamp {
    /// HAT 3.3's; it powers up dark.
    pub(crate) fn converter() -> Self {
        Self::Converter { chip: mcp4725::Model::new(0), short: None, hot: None }
    }

    /// HAT 1.2's.
    pub(crate) fn driver() -> Self {
        Self::Driver { chip: lm36011::Model::default(), selected: (Instant::ZERO, false) }
    }

    /// Where its chip is on the bus.
    pub(crate) fn address(&self) -> u8 {
        match self {
            Self::Converter { .. } => 0x62,
            Self::Driver { .. } => 0x64,
        }
    }

    pub(crate) fn write(&mut self, bytes: &[u8], now: Instant) -> Result<(), mcp4725::NotAcknowledged> {
        match self {
            Self::Converter { chip, .. } => chip.write(bytes, now),
            Self::Driver { chip, .. } => {
                chip.write(bytes, now);
                Ok(())
            }
        }
    }

    pub(crate) fn general_call(
        &mut self,
        bytes: &[u8],
        now: Instant,
    ) -> Result<(), mcp4725::NotAcknowledged> {
        match (self, bytes) {
            (Self::Converter { chip, .. }, [command]) => chip.general_call(*command, now),
            _ => Err(mcp4725::NotAcknowledged),
        }
    }

    pub(crate) fn read(&mut self, bytes: &mut [u8], now: Instant) {
        match self {
            Self::Converter { chip, .. } => chip.read(bytes, now),
            Self::Driver { chip, .. } => chip.read(bytes, now),
        }
    }

    /// GPIO18 of HAT 1.2; HAT 3.3 has no such pin.
    pub(crate) fn select(&mut self, on: bool, now: Instant) {
        if let Self::Driver { selected, .. } = self {
            *selected = (now, on);
        }
    }

    /// GPIO22 of HAT 1.2; HAT 3.3 has no such pin.
    pub(crate) fn strobe(&mut self, high: bool, now: Instant) {
        if let Self::Driver { chip, .. } = self {
            chip.strobe(high, now);
        }
    }

    /// Every time it was lit that is remembered, oldest first; one that lasts still has no end. Whatever follows an order
    /// does so after `late`, and takes `rise` from dark to full.
    pub(crate) fn pulses(&self, rise: Duration, late: impl Fn(Instant) -> Duration) -> Vec<Pulse> {
        let changes: Vec<(Instant, f32, Duration)> = match self {
            Self::Converter { chip, .. } => {
                chip.changes().map(|(since, level)| (since + OVER_THE_BUS, level, rise)).collect()
            }
            Self::Driver { chip, .. } => {
                let changes = chip.changes();
                changes.map(|(since, level, ramp)| (since, level.min(1.0), ramp.max(rise))).collect()
            }
        };
        let mut pulses: Vec<Pulse> = vec![];
        let mut lit = false;
        for (since, level, ramp) in changes {
            let at = since + late(since);
            match (lit, level > 0.0) {
                (false, true) => {
                    let off = Instant::from_nanos(u64::MAX);
                    pulses.push(Pulse { from: at, rise: ramp, off, fall: Duration::ZERO, level });
                }
                (true, false) => {
                    if let Some(pulse) = pulses.last_mut() {
                        (pulse.off, pulse.fall) = (at.max(pulse.from), ramp);
                        // One that is over before it has come up.
                        let up = (pulse.off - pulse.from).min(pulse.rise);
                        let part = if pulse.rise.is_zero() { 1.0 } else { up.div_duration_f32(pulse.rise) };
                        (pulse.level, pulse.rise) = (pulse.level * part, up);
                        pulse.fall = pulse.fall.mul_f32(part);
                    }
                }
                (true, true) | (false, false) => {}
            }
            lit = level > 0.0;
        }
        // A LED that is not selected is dark, whatever its driver does.
        if let Self::Driver { selected: (since, on), .. } = self {
            pulses.retain_mut(|pulse| {
                if *on {
                    pulse.from = pulse.from.max(*since);
                } else {
                    pulse.off = pulse.off.min(*since);
                }
                pulse.from < pulse.off
            });
        }
        pulses
    }

    pub(crate) fn short(&mut self, is: bool, now: Instant) {
        match self {
            Self::Converter { short, .. } => *short = is.then_some(now),
            Self::Driver { chip, .. } => chip.short(is, now),
        }
    }

    pub(crate) fn overheat(&mut self, is: bool, now: Instant) {
        match self {
            Self::Converter { hot, .. } => *hot = is.then_some(now),
            Self::Driver { chip, .. } => chip.overheat(is, now),
        }
    }

    /// How bright it was told to be, 0 to 1.
    pub fn told_at(&self, then: Instant) -> f32 {
        match self {
            Self::Converter { chip, .. } => chip.at(then),
            Self::Driver { chip, selected: (since, on) } => {
                let selected = if then >= *since { *on } else { !*on };
                if selected { chip.at(then).min(1.0) } else { 0.0 }
            }
        }
    }

    /// How bright it was, 0 to 1, but for age and flicker.
    pub(crate) fn at(&self, then: Instant) -> f32 {
        self.part_at(then) * self.told_at(then)
    }

    /// What it gives of what it was told, 0 to 1; a driver's own faults are in what it puts out.
    pub(crate) fn part_at(&self, then: Instant) -> f32 {
        let since = |fault: Option<Instant>| fault.is_some_and(|since| then >= since);
        match self {
            Self::Converter { short, .. } if since(*short) => 0.0,
            Self::Converter { hot, .. } if since(*hot) => HOT,
            Self::Converter { .. } | Self::Driver { .. } => 1.0,
        }
    }
}
