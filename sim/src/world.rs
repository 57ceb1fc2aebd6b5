//! The world around the chips: water, plankton, light, a stage and a sky; all from one seed.
//!
//! Every number carries its source: a datasheet, a measurement, or "assumption".

use crate::chips::{mcp4725, tmc5160};
use crate::faults::{Bus, Change, Fault, Part, Spell, Spells};
use crate::optics::Preset;
use crate::parameters::Parameters;
use crate::random::{hash, unit};
use crate::scene::{Format, Look, Particle, Scene};
use crate::water;
use planktor_drivers::Clock;
use planktor_protocol::position::{Fix, Place};
use planktor_protocol::units::Nanodegrees;
use planktor_protocol::{Axis, Instant, Interval, Utc};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

/// What can be chosen of a simulated instrument.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Everything random follows from it.
    pub seed: u64,
    /// Pixels across; the field of view stays the same.
    pub width: u32,
    /// Lines.
    pub height: u32,
    /// The true time when the monotonic clock began.
    pub began: Utc,
    /// Lenses and flow cell.
    pub preset: Preset,
    /// In which form pictures leave the camera.
    pub format: Format,
    /// The world's numbers.
    pub parameters: Parameters,
}

impl Settings {
    /// A usual world.
    pub fn new(seed: u64, (width, height): (u32, u32), began: Utc) -> Self {
        let (preset, format, parameters) = Default::default();
        Self { seed, width, height, began, preset, format, parameters }
    }

    /// A full frame of the IMX477.
    pub const FULL_FRAME: (u32, u32) = (4056, 3040);
    /// For tests that look at pixels only through their digests.
    pub const SMALL_FRAME: (u32, u32) = (96, 72);
}

/// Microsteps of the pump for a nanolitre: 3220 full steps of 256 a millilitre (PlanktoScope v3.0).
const PUMP_USTEPS_PER_NL: f64 = 3220.0 * 256.0 / 1e6;
/// Microsteps of the stage for a micrometre: 40 full steps of 256 a millimetre (PlanktoScope v3.0).
const FOCUS_USTEPS_PER_UM: f64 = 40.0 * 256.0 / 1e3;
/// Thickness of the flow cell of the medium preset, um (optics presets of PlanktoScope v3.0).
const CELL_UM: f64 = 300.0;
/// Inner width of the flow cell, um. Assumption; with the thickness it says how far a volume goes.
const CELL_WIDTH_UM: f64 = 3_500.0;
/// Field of view of the medium preset, um: 4056 x 3040 pixels of 0.75 um.
const VIEW_UM: (f64, f64) = (3_042.0, 2_280.0);
/// How softly tubing and cell pass on what the pump does. Assumption, 30 to 150 ms; 0.5 s of settling is then
/// enough, 0.1 s is not, as people find.
const WATER_LAG: Duration = Duration::from_millis(60);
/// Particles in a tile of water. Assumption: 0 to 8, about 25 in a frame.
const MOST_IN_TILE: u64 = 8;
/// The water is a tape of tiles of this length along the flow, um.
const TILE_UM: f64 = 500.0;
/// A particle is at most so large, um; whoever is this far outside the picture may still show.
const MARGIN_UM: f64 = 400.0;
/// Roscoff roads, where the demonstration is anchored.
const ANCHORAGE: (i64, i64) = (48_727_300_000, -3_981_400_000);
/// Truths that are kept: a few minutes of frames.
const KEPT: usize = 1_000;

/// What was true of a frame.
#[derive(Clone, Debug)]
pub struct Truth {
    /// The camera's own number.
    pub seq: u64,
    /// First line's start to last line's end.
    pub exposure: Interval,
    /// When the pump's or the stage's shaft last turned before the exposure's end, whichever was later.
    pub motion: Option<Interval>,
    /// What was seen.
    pub scene: Arc<Scene>,
}

impl Truth {
    /// Whether anything was turning while it was exposed.
    pub fn in_motion(&self) -> bool {
        self.motion.is_some_and(|motion| motion.overlaps(self.exposure))
    }

    /// How far the water moved during the exposure, um.
    pub fn displacement_um(&self) -> f32 {
        let drift = self.scene.drift_um;
        drift.iter().copied().fold(0.0, f32::max) - drift.iter().copied().fold(0.0, f32::min)
    }
}

/// One simulated instrument in its world.
pub struct World {
    clock: Arc<dyn Clock>,
    settings: Settings,
    /// The pump's motor driver.
    pub pump: tmc5160::Model,
    /// The stage's motor driver.
    pub focus: tmc5160::Model,
    /// The lamp's converter.
    pub light: mcp4725::Model,
    truths: VecDeque<Truth>,
    spells: Spells,
}

impl World {
    pub(crate) fn new(clock: Arc<dyn Clock>, settings: Settings) -> Self {
        let Parameters { pump_clock_hz, focus_clock_hz, .. } = settings.parameters;
        Self {
            clock,
            settings,
            pump: tmc5160::Model::new(pump_clock_hz),
            focus: tmc5160::Model::new(focus_clock_hz),
            light: mcp4725::Model::new(0),
            truths: VecDeque::new(),
            spells: Spells::default(),
        }
    }

    /// Breaks something, from an instant on (at once, if that is over) and until another one.
    pub fn break_it(&mut self, fault: Fault, from: Instant, until: Option<Instant>) -> Spell {
        let spell = self.spells.order(fault, from.max(self.now()), until);
        self.catch_up();
        spell
    }

    /// Mends what was broken, or was to be.
    pub fn mend(&mut self, spell: Spell) {
        let now = self.now();
        if let Some(fault) = self.spells.lift(spell, now) {
            self.change(&Change::Ends(fault), now);
        }
    }

    /// The faults that are there now.
    pub fn faults(&self) -> impl Iterator<Item = (Spell, &Fault)> {
        self.spells.active()
    }

    /// Whether a part is broken now, or was at some time since then.
    pub fn was_broken(&self, part: Part, since: Instant) -> bool {
        self.spells.since(since).any(|fault| fault.part() == part)
    }

    /// Makes true what has become due since somebody last looked.
    pub(crate) fn catch_up(&mut self) {
        let now = self.now();
        while let Some((at, change)) = self.spells.due(now) {
            self.change(&change, at);
        }
    }

    /// What a fault does when it begins or ends. Those that are not here are asked about where they matter.
    fn change(&mut self, change: &Change, _at: Instant) {
        match change {
            Change::Begins(Fault::CablePulled(bus)) => self.unplug(*bus, true),
            Change::Ends(Fault::CablePulled(bus)) => self.unplug(*bus, false),
            Change::Begins(_) | Change::Ends(_) => {}
        }
    }

    fn unplug(&mut self, bus: Bus, unplugged: bool) {
        match bus {
            Bus::Pump => self.pump.unplug(unplugged),
            Bus::Focus => self.focus.unplug(unplugged),
            Bus::Light => {}
        }
    }

    /// Now.
    pub fn now(&self) -> Instant {
        self.clock.now()
    }

    pub(crate) fn settings(&self) -> &Settings {
        &self.settings
    }

    /// What was true of the frame with this number, if it was taken not too long ago.
    pub fn truth(&self, seq: u64) -> Option<&Truth> {
        self.truths.iter().rev().find(|truth| truth.seq == seq)
    }

    /// Everything that is still known of the frames that were taken, oldest first.
    pub fn truths(&self) -> impl Iterator<Item = &Truth> {
        self.truths.iter()
    }

    /// The volume that the pump's shaft has really moved since power-up, nL.
    pub fn pumped_nl(&self) -> f64 {
        self.pump.shaft_at(self.now()) / PUMP_USTEPS_PER_NL
    }

    /// The height at which the stage really is, um above where it was switched on.
    pub fn stage_um(&self) -> f64 {
        self.stage_um_at(self.now())
    }

    /// Whether a motor has current.
    pub fn is_enabled(&self, axis: Axis) -> bool {
        match axis {
            Axis::Pump => self.pump.is_enabled(),
            Axis::Focus => self.focus.is_enabled(),
        }
    }

    /// What the civil clock says.
    pub fn utc(&self) -> Utc {
        let since = Duration::from_nanos(self.now().nanos());
        self.settings.began.checked_add(since).unwrap_or(self.settings.began)
    }

    /// What a receiver under this sky says.
    pub fn fix(&self) -> Fix {
        let place = Place {
            latitude: Nanodegrees(ANCHORAGE.0),
            longitude: Nanodegrees(ANCHORAGE.1),
            altitude_mm: Some(52_000),
            error_mm: Some(4_600),
        };
        Fix { at: self.now(), time: Some(self.utc()), place: Some(place) }
    }

    /// Looks back over an exposure, and keeps what it saw as the truth.
    pub(crate) fn expose(&mut self, seq: u64, exposure: Interval, line: Duration) -> Arc<Scene> {
        let scene = Arc::new(self.scene(seq, exposure, line));
        let motions = [&self.pump, &self.focus].map(|chip| chip.last_turned(exposure.to));
        let motion = motions.into_iter().flatten().max_by_key(|motion| motion.to);
        if self.truths.len() == KEPT {
            self.truths.pop_front();
        }
        self.truths.push_back(Truth { seq, exposure, motion, scene: scene.clone() });
        scene
    }

    fn scene(&self, seq: u64, exposure: Interval, line: Duration) -> Scene {
        let Settings { seed, width, height, .. } = self.settings;
        let start_um = self.water_um(exposure.from);
        let middle = exposure.from + exposure.duration() / 2;
        #[expect(clippy::cast_possible_truncation, reason = "a picture's precision")]
        let um_per_px = (VIEW_UM.0 / f64::from(width)) as f32;
        Scene {
            width,
            height,
            um_per_px,
            seed: hash(seed, seq),
            format: self.settings.format,
            light: [self.light.at(middle); 9],
            drift_um: std::array::from_fn(|i| {
                let then = exposure.from + exposure.duration() * u32::try_from(i).unwrap_or(0) / 8;
                #[expect(clippy::cast_possible_truncation, reason = "a picture's precision")]
                let drift = (self.water_um(then) - start_um) as f32;
                drift
            }),
            exposure_fraction: line.as_secs_f32() / exposure.duration().as_secs_f32(),
            particles: self.particles(start_um, self.stage_um_at(middle)),
        }
    }

    /// How far the water has come along the cell.
    fn water_um(&self, then: Instant) -> f64 {
        let usteps = water::displacement(self.pump.past(then), WATER_LAG, then);
        let um_per_nl = 1e6 / (CELL_UM * CELL_WIDTH_UM);
        usteps / PUMP_USTEPS_PER_NL * um_per_nl
    }

    fn stage_um_at(&self, then: Instant) -> f64 {
        self.focus.shaft_at(then) / FOCUS_USTEPS_PER_UM
    }

    /// Who is in view when the water has come `moved` um. The water is a tape: pumped back, the same ones return.
    fn particles(&self, moved: f64, stage: f64) -> Vec<Particle> {
        #[expect(clippy::cast_possible_truncation, reason = "tiles of half a millimetre")]
        let tile = |x: f64| (x / TILE_UM).floor() as i64;
        let tiles = tile(-moved - MARGIN_UM)..=tile(VIEW_UM.0 - moved + MARGIN_UM);
        tiles.flat_map(|tile| self.in_tile(tile, moved, stage)).collect()
    }

    fn in_tile(&self, tile: i64, moved: f64, stage: f64) -> impl Iterator<Item = Particle> + use<> {
        let tile_seed = hash(self.settings.seed, tile.cast_unsigned());
        (0..hash(tile_seed, 0) % (MOST_IN_TILE + 1)).map(move |n| {
            let draw = |what: u64| unit(hash(tile_seed, 1 + n * 8 + what));
            #[expect(clippy::cast_precision_loss, reason = "tiles of half a millimetre")]
            let x = (tile as f64 + draw(0)) * TILE_UM + moved;
            let height = draw(2) * CELL_UM - CELL_UM / 2.0;
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "a picture's precision"
            )]
            Particle {
                look: Look::Vignette((draw(3) * 1e6) as u32),
                follows: 1.0,
                sinks_um: 0.0,
                x_um: x as f32,
                y_um: (draw(1) * VIEW_UM.1) as f32,
                scale: (0.7 + 0.8 * draw(4)) as f32,
                orientation: (draw(5) * 8.0) as u8,
                defocus_um: (height - stage) as f32,
            }
        })
    }
}
