//! Every number of the twin's world: what it usually is, within which range it may lie, and how that is known.
//!
//! A parameter belongs to one instrument on one cruise: it is set before the start and never changes. Whoever explores
//! draws all of them from their ranges ([`Parameters::drawn`]); what happens *during* a run is a fault or weather.

use crate::random::{hash, unit};
use serde::de::{DeserializeSeed, Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::ops::RangeInclusive;

/// What is known of one parameter.
#[derive(Clone, Debug, PartialEq)]
pub struct Parameter {
    /// Its name, with the unit last.
    pub name: &'static str,
    /// What it is.
    pub about: &'static str,
    /// Where nothing else is said.
    pub usual: f64,
    /// Within which it may lie.
    pub range: RangeInclusive<f64>,
    /// Datasheet and page, measurement, or assumption.
    pub source: &'static str,
}

/// Why a parameter cannot be set so.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Unfit {
    /// There is none of this name.
    #[error("there is no such parameter")]
    Unknown,
    /// It cannot be that much.
    #[error("{value} is outside {from} to {to}")]
    Outside {
        /// What was asked.
        value: f64,
        /// Least.
        from: f64,
        /// Most.
        to: f64,
    },
}

macro_rules! parameters {
    ($($(#[doc = $about:literal])+ $name:ident: $usual:literal in $from:literal..=$to:literal, $source:literal;)*) => {
        /// The numbers of one world.
        #[derive(Clone, Copy, Debug, PartialEq)]
        pub struct Parameters {
            $($(#[doc = $about])+ pub $name: f64,)*
        }

        /// What is known of each, in the order of the fields.
        pub const TABLE: &[Parameter] = &[$(Parameter {
            name: stringify!($name),
            about: concat!($($about),+),
            usual: $usual,
            range: $from..=$to,
            source: $source,
        },)*];

        impl Default for Parameters {
            /// As they usually are.
            fn default() -> Self {
                Self { $($name: $usual,)* }
            }
        }

        impl Parameters {
            fn field(&mut self, name: &str) -> Option<&mut f64> {
                match name {
                    $(stringify!($name) => Some(&mut self.$name),)*
                    _ => None,
                }
            }
        }
    };
}

parameters! {
    /// The pump driver's internal clock.
    pump_clock_hz: 12.41e6 in 10.8e6..=13.2e6, "TMC5160 datasheet rev. 1.17, electrical characteristics: 12 MHz within 10 %";
    /// The stage driver's internal clock.
    focus_clock_hz: 11.73e6 in 10.8e6..=13.2e6, "TMC5160 datasheet rev. 1.17, electrical characteristics: 12 MHz within 10 %";

    /// How much more than its calibration says the pump delivers, as a part.
    pump_error: 0.0 in -0.05..=0.05, "assumption: tubing of one batch; calibrations are done with a syringe";
    /// Volume that a peristaltic pump's rollers take back and give again, nL.
    pump_pulsation_nl: 20.0 in 0.0..=400.0, "assumption: a part of what a roller encloses";
    /// Rollers that pass in one turn.
    pump_rollers: 3.0 in 2.0..=6.0, "assumption: small peristaltic heads have 2 to 6";
    /// What the shaft turns after a change of direction before the water follows, full steps.
    pump_backlash_steps: 2.0 in 0.0..=20.0, "assumption: gear and tubing";

    /// How softly tubing and cell pass on what the pump does.
    water_fast_s: 0.06 in 0.03..=0.15, "assumption: half a second of settling is usually enough, a tenth is not";
    /// The same for what hides in bubbles and long tubes.
    water_slow_s: 0.2 in 0.1..=1.0, "assumption: second time constant";
    /// Part of the volume that comes with the slow one.
    water_slow_part: 0.0005 in 0.0..=0.01, "assumption";
    /// What flows by itself, downhill, in the middle of the cell, um/s.
    water_drift_um_per_s: 0.1 in -2.0..=2.0, "assumption: a few millimetres of height between the ends of the tubing";
    /// How far a ship's roll moves the water to either side, um.
    roll_um: 1.0 in 0.0..=20.0, "assumption";
    /// From one roll to the next.
    roll_period_s: 9.0 in 5.0..=15.0, "natural roll periods of small and medium ships";
    /// How much of the flow's profile is a parabola; 0 is a plug.
    profile: 1.0 in 0.0..=1.0, "laminar flow between plates (Poiseuille)";

    /// Particles in a microlitre of sample that are large enough to be seen.
    particles_per_ul: 10.0 in 0.0..=60.0, "assumption: a concentrated net sample gives some 25 in a frame";
    /// How fast their number falls with their size (exponent of the cumulative number).
    size_exponent: 2.0 in 1.0..=4.0, "size spectra of plankton: cumulative slopes of 1 to 4";
    /// Median sinking speed, um/s.
    sinking_um_per_s: 1.0 in 0.0..=100.0, "Stokes' law for 20 to 200 um at an excess density of 1 to 50 kg/m3";
    /// Part of the particles that stick to the glass.
    stuck_part: 0.01 in 0.0..=0.2, "assumption";
    /// Air bubbles in a microlitre.
    bubbles_per_ul: 0.1 in 0.0..=5.0, "assumption";
    /// Volume of the sample; after it comes clear water, uL.
    sample_ul: 30000.0 in 100.0..=100000.0, "syringes and tubes of 1 to 100 mL";

    /// Height at which the middle of the cell is in focus, um above where the stage is switched on.
    focus_height_um: 0.0 in -500.0..=500.0, "assumption";
    /// How far that moves while the instrument warms up, um.
    focus_warming_um: 5.0 in -60.0..=60.0, "assumption: aluminium grows by 23 um a metre and kelvin";
    /// Time constant of the warming.
    warming_s: 1800.0 in 300.0..=7200.0, "assumption";
    /// What the stage's screw turns after a change of direction before it follows, um.
    focus_backlash_um: 3.0 in 0.0..=30.0, "assumption: lead screw without preload";

    /// The lamp's brightness when new, as a part of the nominal one.
    lamp_brightness: 1.0 in 0.5..=1.0, "assumption: bins of white LEDs";
    /// What it has shone already, hours.
    lamp_hours: 100.0 in 0.0..=20000.0, "assumption";
    /// Part of its brightness that it loses in 1000 h.
    lamp_ageing: 0.01 in 0.0..=0.3, "lifetime tests of white LEDs: 1 to 30 % in 1000 h";
    /// Amplitude of its flicker, as a part.
    lamp_flicker: 0.002 in 0.0..=0.05, "assumption: ripple of the supply";
    /// Frequency of its flicker.
    lamp_flicker_hz: 100.0 in 50.0..=1000.0, "assumption";

    /// From one frame's start to the next one's.
    camera_cadence_s: 0.1 in 0.083..=0.5, "measured on Raspberry Pis: 10 (Pi 4) to 12 (Pi 5) full frames a second";
    /// What a line is asked to integrate, us.
    camera_exposure_us: 125.0 in 114.0..=100000.0, "PlanktoScope default; IMX477: four lines at least";
    /// ISO as the dashboard counts it.
    camera_iso: 150.0 in 50.0..=690.0, "PlanktoScope default; IMX477: analogue gain 1 to 16 = ISO / 100 * 2.3125";
    /// From opening to the first frame.
    camera_start_s: 0.15 in 0.1..=1.0, "assumption";
    /// From the last line's end until the frame can be taken.
    camera_transfer_s: 0.008 in 0.001..=0.05, "assumption";

    /// Where the ship lies, degrees north.
    latitude_deg: 48.7273 in -90.0..=90.0, "Roscoff roads";
    /// Where the ship lies, degrees east.
    longitude_deg: -3.9814 in -180.0..=180.0, "Roscoff roads";
    /// Speed over ground, m/s.
    ship_m_per_s: 0.0 in 0.0..=10.0, "assumption: at anchor";
    /// Course over ground, degrees.
    course_deg: 270.0 in 0.0..=360.0, "assumption";
    /// Estimated horizontal error of a fix, m.
    fix_error_m: 4.6 in 1.0..=50.0, "gpsd's estimates in real receiver logs";
    /// From switching on to the first fix.
    first_fix_s: 0.0 in 0.0..=120.0, "cold starts of receivers take half a minute and more";

    /// How far the computer's clock is off at the start, s.
    clock_error_s: 0.0 in -4.0e8..=4.0e8, "186 of 821 acquisitions of one cruise were more than a year off";
    /// How fast it drifts, parts per million.
    clock_drift_ppm: 20.0 in -100.0..=100.0, "crystals of single-board computers";

    /// What the computer takes to render and encode a pixel, ns.
    encoding_ns_per_px: 20.0 in 5.0..=60.0, "assumption: a core of a Pi 4, with room to spare";
    /// What the disk takes to sync.
    disk_sync_s: 0.02 in 0.001..=0.5, "assumption: memory cards";
    /// What it writes in a second, MB.
    disk_mb_per_s: 20.0 in 2.0..=100.0, "assumption: memory cards of class 10 and better, and worse ones";
    /// What is free on it at the start, MB.
    disk_free_mb: 16000.0 in 1.0..=256000.0, "assumption: a memory card of 32 GB";

    /// Light that is there without the lamp, as a part of its full light: it counts where lines integrate for long.
    ambient_light: 0.0 in 0.0..=0.01, "assumption: none behind a closed cover; an open one in a lit room gives a thousandth";
    /// What the lamp takes from dark to full, or back, us.
    lamp_rise_us: 5.0 in 0.0..=10.0, "assumption: current source and LED; a torch's own ramp is the chip's";
    /// How late at most the lamp follows its pin or its bus, us; differs each time.
    lamp_jitter_us: 5.0 in 0.0..=20.0, "assumption: a driver of an LED starts within some microseconds";
    /// The fastest acceleration that the pump's motor follows with its tubing, full steps/s2.
    pump_most_steps_per_s2: 2400.0 in 900.0..=7000.0, "assumption: today's ramp has 512 and no pump is known to stall with it";
    /// Part of the moves whose end the motor drivers' DIAG line tells; 0: it is not wired.
    diag_line: 0.0 in 0.0..=1.0, "assumption: the line is in the schematics, and nobody has ever tried it on a board";
}

impl Parameters {
    /// Every one with its value.
    pub fn iter(&self) -> impl Iterator<Item = (&'static Parameter, f64)> {
        let mut values = *self;
        TABLE
            .iter()
            .map(move |parameter| (parameter, values.field(parameter.name).map_or(f64::NAN, |value| *value)))
    }

    /// All drawn from their ranges: most of them near what is usual, some anywhere.
    pub fn drawn(seed: u64) -> Self {
        let mut drawn = Self::default();
        for (n, parameter) in (0..).zip(TABLE) {
            let (from, to) = (*parameter.range.start(), *parameter.range.end());
            let at = from + (to - from) * unit(hash(seed, 2 * n));
            // Every third one anywhere: with all of them at once the world would always be a wreck.
            if hash(seed, 2 * n + 1).is_multiple_of(3)
                && let Some(field) = drawn.field(parameter.name)
            {
                *field = at;
            }
        }
        drawn
    }

    /// Sets one by its name.
    ///
    /// # Errors
    /// [`Unfit`]: there is none of this name, or it cannot be that much.
    pub fn set(&mut self, name: &str, value: f64) -> Result<(), Unfit> {
        let parameter = TABLE.iter().find(|parameter| parameter.name == name).ok_or(Unfit::Unknown)?;
        if !parameter.range.contains(&value) {
            let (from, to) = (*parameter.range.start(), *parameter.range.end());
            return Err(Unfit::Outside { value, from, to });
        }
        *self.field(name).ok_or(Unfit::Unknown)? = value;
        Ok(())
    }
}

/// A table of those that are not as usual.
impl Serialize for Parameters {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(
            self.iter()
                .filter(|(parameter, value)| *value != parameter.usual)
                .map(|(parameter, value)| (parameter.name, value)),
        )
    }
}

/// What the table does not say is as usual.
impl<'de> Deserialize<'de> for Parameters {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Table)
    }
}

struct Table;

impl<'de> Visitor<'de> for Table {
    type Value = Parameters;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a table of parameters")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Parameters, A::Error> {
        let mut parameters = Parameters::default();
        while let Some(name) = map.next_key::<String>()? {
            map.next_value_seed(Named { parameters: &mut parameters, name })?;
        }
        Ok(parameters)
    }
}

/// One value: a mistake is then reported where it stands.
struct Named<'a> {
    parameters: &'a mut Parameters,
    name: String,
}

impl<'de> DeserializeSeed<'de> for Named<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        let Self { parameters, name } = self;
        let value = f64::deserialize(deserializer)?;
        parameters.set(&name, value).map_err(|why| D::Error::custom(format!("{name}: {why}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_usual_lies_within_the_range_and_has_a_source() {
        for parameter in TABLE {
            assert!(parameter.range.contains(&parameter.usual), "{}", parameter.name);
            assert!(!parameter.source.is_empty() && !parameter.about.is_empty(), "{}", parameter.name);
        }
    }

    #[test]
    fn a_draw_follows_from_its_seed_and_stays_within_the_ranges() {
        assert_eq!(Parameters::drawn(7), Parameters::drawn(7));
        assert_ne!(Parameters::drawn(7), Parameters::drawn(8));
        for seed in 0..200 {
            let mut drawn = Parameters::drawn(seed);
            for parameter in TABLE {
                let value = *drawn.field(parameter.name).unwrap();
                assert!(parameter.range.contains(&value), "{} = {value}", parameter.name);
            }
        }
    }

    #[test]
    fn what_cannot_be_is_refused_with_its_range() {
        let mut parameters = Parameters::default();
        assert_eq!(parameters.set("roll_um", 5.0), Ok(()));
        assert_eq!(parameters.roll_um, 5.0);
        assert_eq!(parameters.set("rol_um", 5.0), Err(Unfit::Unknown));
        assert_eq!(parameters.set("roll_um", f64::NAN).unwrap_err().to_string(), "NaN is outside 0 to 20");
    }
}
