//! What differs between instruments of the same kind: `hardware.json`, in integers.

use planktor_protocol::pump::Amax;
use planktor_protocol::units::{MicrometresPerSecond, NanolitresPerSecond};

/// Constants of one instrument as they are now: a calibration by an operator is in force from the next move on.
pub type Current = std::rc::Rc<std::cell::Cell<Calibration>>;

/// Constants of one instrument.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Calibration {
    /// Full steps of the pump for a millilitre, in thousandths.
    pub pump_millisteps_per_ml: u32,
    /// The fastest flow the pump can do.
    pub pump_max_flow: NanolitresPerSecond,
    /// How fast the pump accelerates and brakes; from the next stroke on.
    pub pump_amax: Amax,
    /// Full steps of the stage for a millimetre, in thousandths.
    pub focus_millisteps_per_mm: u32,
    /// The fastest the stage can go.
    pub focus_max_speed: MicrometresPerSecond,
    /// Microsteps in a full step.
    pub microsteps: u32,
    /// From the lowest to the highest height of the stage, um.
    pub focus_travel_um: i64,
    /// What a pixel sees of the sample, nm.
    pub pixel_nm: u32,
}

impl Calibration {
    /// PlanktoScope v3.0 as shipped: 3220 steps/mL, 20 mL/min, 40 steps/mm, 5 mm/s, 45 mm of travel, 0.75 um a pixel.
    pub const V3_0: Self = Self {
        pump_millisteps_per_ml: 3_220_000,
        pump_max_flow: NanolitresPerSecond(20_000_000 / 60),
        pump_amax: Amax::TIMID,
        focus_millisteps_per_mm: 40_000,
        focus_max_speed: MicrometresPerSecond(5_000),
        microsteps: 256,
        focus_travel_um: 45_000,
        pixel_nm: 750,
    };

    /// PlanktoScope v2.6 as shipped: 2045 steps/mL, 50 mL/min, 27 steps/mm, 5 mm/s, 45 mm of travel, 0.75 um a pixel.
    pub const V2_6: Self = Self {
        pump_millisteps_per_ml: 2_045_000,
        pump_max_flow: NanolitresPerSecond(50_000_000 / 60),
        focus_millisteps_per_mm: 27_000,
        ..Self::V3_0
    };

    /// Microsteps of the pump for a millilitre.
    pub fn pump_usteps_per_ml(&self) -> f64 {
        f64::from(self.pump_millisteps_per_ml) / 1e3 * f64::from(self.microsteps)
    }

    /// Microsteps of the stage for a millimetre.
    pub fn focus_usteps_per_mm(&self) -> f64 {
        f64::from(self.focus_millisteps_per_mm) / 1e3 * f64::from(self.microsteps)
    }
}
