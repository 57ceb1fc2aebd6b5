//! The world around the chips: water, plankton, light, a stage and a sky; all from one seed. What is where, and what
//! was true of every frame.
//!
//! Every number carries its source: here, or in [`parameters`](crate::parameters).

use crate::chips::imx477::Sensor;
use crate::chips::{at24c32, mcp4725, ssd1680, tmc5160};
use crate::driven::{Coupling, Driven};
use crate::faults::{Bus, Change, Fault, Motor, Part, Spell, Spells};
use crate::instrument::{Hat, Preset, RtcChip};
use crate::lamp::{Lamp, Pulse};
use crate::line::Line;
use crate::nameplate;
use crate::parameters::Parameters;
use crate::particles::{CELL_WIDTH_UM, Particles, View};
use crate::random::{hash, unit};
use crate::rtc::Rtc;
use crate::scene::{Flash, Format, Particle, Scene};
use crate::sky;
use planktor_drivers::Clock;
use planktor_protocol::camera::{self, GAIN_AT_ISO_100};
use planktor_protocol::position::Fix;
use planktor_protocol::timekeeping::Tracking;
use planktor_protocol::{Axis, Instant, Interval, Utc};
use std::collections::VecDeque;
use std::f64::consts::TAU;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
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
    /// Which board.
    pub hat: Hat,
    /// Lenses and flow cell.
    pub preset: Preset,
    /// In which form pictures leave the camera.
    pub format: Format,
    /// The battery-backed clock, if somebody has added one.
    pub rtc: Option<RtcChip>,
    /// Whether chrony keeps the computer's clock right over a network, until somebody sets it.
    pub network: bool,
    /// The world's numbers.
    pub parameters: Parameters,
}

impl Settings {
    /// A usual world.
    pub fn new(seed: u64, (width, height): (u32, u32), began: Utc) -> Self {
        let (hat, preset, format, rtc, network, parameters) = Default::default();
        Self { seed, width, height, began, hat, preset, format, rtc, network, parameters }
    }

    /// A full frame of the IMX477.
    pub const FULL_FRAME: (u32, u32) = (4056, 3040);
    /// For tests that look at pixels only through their digests.
    pub const SMALL_FRAME: (u32, u32) = (96, 72);
}

/// Microsteps of a full step.
const USTEPS: f64 = 256.0;
/// Full steps of a turn: motors of 1.8 degrees.
const STEPS_PER_TURN: f64 = 200.0;
/// Cubic micrometres in a nanolitre.
const UM3_PER_NL: f64 = 1e6;
/// How far back an exposure may lie that is looked at: a frame that comes late by seconds.
const LOOK_BACK: Duration = Duration::from_secs(8);
/// How much older than that what is carried on may become; less than what the chips remember.
const SLACK: Duration = Duration::from_secs(2);
/// Names the roll's phase among what follows from the seed.
const ROLL: u64 = 77;
/// Names the ends of moves that are told among it.
const DIAG: u64 = 78;
/// Truths that are kept: a few minutes of frames.
const KEPT: usize = 1_000;

/// How wrong a clock may be that is kept right over a ship's network: an assumption.
const NETWORK_ERROR: Duration = Duration::from_millis(20);

fn utc_at(began: Utc, now: Instant) -> Utc {
    began.checked_add(Duration::from_nanos(now.nanos())).unwrap_or(began)
}

/// What was true of a frame.
#[derive(Clone, Debug)]
pub struct Truth {
    /// The camera's own number.
    pub seq: u64,
    /// First line's start to last line's end.
    pub exposure: Interval,
    /// From this frame's start to the next one's.
    pub cadence: Duration,
    /// When light fell on it, if it was lit by a pulse in the dark.
    pub lit: Option<Interval>,
    /// When the pump's or the stage's shaft last turned before the exposure's end, whichever was later.
    pub motion: Option<Interval>,
    /// How far the pump alone still moved the water, um in the mean over the cell's depth, at the instants of the
    /// scene's drift: what settling must wait for. The rest is the ship's roll and a slow drift.
    pub pumped_um: [f32; 9],
    /// What was seen.
    pub scene: Arc<Scene>,
}

/// What was true of one particle of a frame.
#[derive(Clone, Copy, Debug)]
pub struct SeenParticle<'a> {
    /// Where it was at the exposure's begin, and how far from the plane of focus.
    pub particle: &'a Particle,
    /// Whether it is sharp.
    pub in_focus: bool,
    /// How far it moved during the exposure along the flow, with the water, um.
    pub flowed_um: f32,
    /// How far it sank across the flow, um.
    pub sank_um: f32,
}

impl Truth {
    /// When it saw anything: its light, or its exposure.
    pub fn seen(&self) -> Interval {
        self.lit.unwrap_or(self.exposure)
    }

    /// When all of its lines were exposed at once: from the last one's begin to the first one's end.
    pub fn open(&self) -> Interval {
        let integrates = self.exposure.duration().mul_f32(self.scene.exposure_fraction);
        Interval { from: self.exposure.to - integrates, to: self.exposure.from + integrates }
    }

    /// Whether anything was turning while it saw anything.
    pub fn in_motion(&self) -> bool {
        self.motion.is_some_and(|motion| motion.overlaps(self.seen()))
    }

    /// Every particle in view, or nearly.
    pub fn particles(&self) -> impl Iterator<Item = SeenParticle<'_>> {
        let moved = self.displacement_um();
        self.scene.particles.iter().map(move |particle| SeenParticle {
            particle,
            in_focus: particle.defocus_um.abs() <= self.scene.depth_of_field_um / 2.0,
            flowed_um: moved * particle.follows,
            sank_um: particle.sinks_um,
        })
    }

    /// How far the water moved while it saw anything, um, in the mean over the cell's depth.
    pub fn displacement_um(&self) -> f32 {
        match self.scene.flashes.as_slice() {
            [] => spread(&self.scene.drift_um),
            flashes => flashes.iter().map(|flash| spread(&flash.drift_um)).fold(0.0, f32::max),
        }
    }

    /// How far it carried the particle in focus that moved most, um; none sinks for this.
    pub fn worst_displacement_um(&self) -> f32 {
        self.displacement_um() * self.fastest()
    }

    /// The same as far as the pump moved it.
    pub fn worst_pumped_um(&self) -> f32 {
        spread(&self.pumped_um) * self.fastest()
    }

    fn fastest(&self) -> f32 {
        self.particles().filter(|seen| seen.in_focus).map(|seen| seen.particle.follows).fold(0.0, f32::max)
    }
}

fn spread(drift: &[f32]) -> f32 {
    drift.iter().copied().fold(0.0, f32::max) - drift.iter().copied().fold(0.0, f32::min)
}

/// One simulated instrument in its world.
pub struct World {
    clock: Arc<dyn Clock>,
    settings: Settings,
    /// The pump's motor driver.
    pub pump: tmc5160::Model,
    /// The stage's motor driver.
    pub focus: tmc5160::Model,
    /// The lamp.
    pub lamp: Lamp,
    /// The converter behind which the bubbler is, if the board has one.
    pub bubbler: Option<mcp4725::Model>,
    /// The display, if the board has one.
    pub display: Option<ssd1680::Model>,
    /// The battery-backed clock, if there is one.
    pub rtc: Option<Rtc>,
    /// The EEPROM that says which instrument it is.
    pub eeprom: at24c32::Model,
    /// How the camera was set.
    camera: camera::Settings,
    truths: VecDeque<Truth>,
    spells: Spells,
    /// When the instrument was switched on.
    on: Instant,
    /// The water, so long ago that no exposure reaches back behind it.
    water: Driven,
    /// The stage, as long ago.
    stage: Driven,
    /// By how much the computer's clock was set since, us, and how often.
    clock_set_us: i64,
    clock_sets: u64,
    /// Transfers while anything was broken.
    disturbed: u64,
    in_real_time: bool,
}

/// The world as it is now. Everybody comes in through here.
pub(crate) fn lock(world: &Mutex<World>) -> MutexGuard<'_, World> {
    let mut world = world.lock().unwrap_or_else(PoisonError::into_inner);
    world.catch_up();
    world
}

impl World {
    pub(crate) fn new(clock: Arc<dyn Clock>, settings: Settings) -> Self {
        let Parameters { pump_clock_hz, focus_clock_hz, pump_most_steps_per_s2, .. } = settings.parameters;
        let on = clock.now();
        Self {
            clock,
            settings,
            pump: tmc5160::Model::new(pump_clock_hz).bearing(pump_most_steps_per_s2 * USTEPS),
            focus: tmc5160::Model::new(focus_clock_hz),
            lamp: match settings.hat {
                Hat::V1_2 => Lamp::driver(),
                Hat::V3_3 => Lamp::converter(),
            },
            bubbler: (settings.hat == Hat::V3_3).then(|| mcp4725::Model::new(0)),
            display: (settings.hat == Hat::V3_3).then(ssd1680::Model::default),
            rtc: settings.rtc.map(|chip| Rtc::new(chip, utc_at(settings.began, on), on)),
            eeprom: at24c32::Model::new(&nameplate::of(settings.hat)),
            camera: camera::Settings::default(),
            truths: VecDeque::new(),
            spells: Spells::default(),
            on,
            water: Driven::at_rest(on),
            stage: Driven::at_rest(on),
            clock_set_us: 0,
            clock_sets: 0,
            disturbed: 0,
            in_real_time: false,
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
        self.broken_since(since).any(|fault| fault.part() == part)
    }

    /// Everything that is broken now, or was at some time since then.
    pub fn broken_since(&self, then: Instant) -> impl Iterator<Item = &Fault> {
        self.spells.since(then)
    }

    /// Makes true what has become due since somebody last looked.
    pub(crate) fn catch_up(&mut self) {
        let now = self.now();
        while let Some((at, change)) = self.spells.due(now) {
            self.change(&change, at);
        }
        if now - self.water.at > LOOK_BACK + SLACK {
            let then = now - LOOK_BACK;
            self.water = self.water.at(&self.pump_coupling(), self.pump.past(then), then);
            self.stage = self.stage.at(&self.stage_coupling(), self.focus.past(then), then);
        }
    }

    /// What a fault does when it begins or ends. Those that are not here are asked about where they matter.
    fn change(&mut self, change: &Change, at: Instant) {
        match change {
            Change::Begins(Fault::ChipReset(of)) => self.chip(*of).reset(at),
            Change::Begins(Fault::MotorStalled(of)) => self.chip(*of).stall(true, at),
            Change::Ends(Fault::MotorStalled(of)) => self.chip(*of).stall(false, at),
            Change::Begins(Fault::MotorSlipping { of, lost }) => self.chip(*of).slip(*lost, at),
            Change::Ends(Fault::MotorSlipping { of, .. }) => self.chip(*of).slip(0.0, at),
            Change::Begins(Fault::OpenLoad(of)) => self.chip(*of).open_load(true, at),
            Change::Ends(Fault::OpenLoad(of)) => self.chip(*of).open_load(false, at),
            Change::Begins(Fault::OverTemperature(of)) => self.chip(*of).overheat(true, at),
            Change::Ends(Fault::OverTemperature(of)) => self.chip(*of).overheat(false, at),
            Change::Begins(Fault::LampShort) => self.lamp.short(true, at),
            Change::Ends(Fault::LampShort) => self.lamp.short(false, at),
            Change::Begins(Fault::LampHot) => self.lamp.overheat(true, at),
            Change::Ends(Fault::LampHot) => self.lamp.overheat(false, at),
            Change::Begins(Fault::ClockStep { by_s }) => {
                #[expect(clippy::cast_possible_truncation, reason = "saturates")]
                let by_us = (by_s * 1e6) as i64;
                self.clock_set_us = self.clock_set_us.saturating_add(by_us);
                self.clock_sets += 1;
            }
            Change::Begins(Fault::RtcPowerLost) => {
                self.rtc.iter_mut().for_each(|rtc| rtc.lose_power(at));
            }
            Change::Begins(_) | Change::Ends(_) => {}
        }
    }

    fn chip(&mut self, of: Motor) -> &mut tmc5160::Model {
        match of {
            Motor::Pump => &mut self.pump,
            Motor::Focus => &mut self.focus,
        }
    }

    /// How the line to a chip is at the next transfer.
    pub(crate) fn line(&mut self, bus: Bus) -> Line {
        if self.spells.are_none() {
            return Line::Works;
        }
        self.disturbed += 1;
        let transfer = hash(self.settings.seed, self.disturbed);
        Line::of(bus, self.spells.active().map(|(_, fault)| fault), transfer)
    }

    pub(crate) fn live_in_real_time(&mut self) {
        self.in_real_time = true;
    }

    pub(crate) fn is_in_real_time(&self) -> bool {
        self.in_real_time
    }

    /// When the motor drivers' shared DIAG line falls next, if nothing comes between.
    pub fn diag_falls(&mut self) -> Option<Instant> {
        let now = self.now();
        if self.diag_is_low() {
            return None;
        }
        let falls = [self.pump.diag0_falls(now), self.focus.diag0_falls(now)].into_iter().flatten().min()?;
        // Who does not hear it now does not hear it at another look either.
        let is_told =
            unit(hash(self.settings.seed ^ DIAG, falls.nanos())) < self.settings.parameters.diag_line;
        is_told.then_some(falls)
    }

    /// Whether one of the motor drivers pulls it low.
    pub fn diag_is_low(&mut self) -> bool {
        let now = self.now();
        self.pump.diag0(now) || self.focus.diag0(now)
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

    /// The volume that the pump's shaft should have moved since power-up, nL, by the shaft's turns.
    pub fn pumped_nl(&self) -> f64 {
        self.pump.shaft_at(self.now()) / self.pump_usteps_per_nl()
    }

    /// The height at which the stage really is, um above where it was switched on.
    pub fn stage_um(&self) -> f64 {
        self.stage_um_at(self.now())
    }

    /// How bright the lamp's driver is told to be, 0 to 1; what comes of it is the lamp's matter.
    pub fn light_at(&self, then: Instant) -> f32 {
        self.lamp.told_at(then)
    }

    /// Whether the lamp is told to shine.
    pub fn is_lit(&self) -> bool {
        self.light_at(self.now()) > 0.0
    }

    /// Whether a motor has current.
    pub fn is_enabled(&self, axis: Axis) -> bool {
        match axis {
            Axis::Pump => self.pump.is_enabled(),
            Axis::Focus => self.focus.is_enabled(),
        }
    }

    /// The true time.
    pub fn utc(&self) -> Utc {
        utc_at(self.settings.began, self.now())
    }

    /// What the computer's clock says.
    pub fn computer_utc(&self) -> Utc {
        let (utc, on) = (self.utc(), self.now() - self.on);
        if self.settings.network {
            let kept = Parameters { clock_error_s: 0.0, clock_drift_ppm: 0.0, ..self.settings.parameters };
            return sky::computer(&kept, utc, on, self.clock_set_us);
        }
        sky::computer(&self.settings.parameters, utc, on, self.clock_set_us)
    }

    /// How often the computer's clock was set.
    pub(crate) fn clock_sets(&self) -> u64 {
        self.clock_sets
    }

    /// What chrony says of the computer's clock. When somebody else set it, nothing keeps it right any more.
    pub(crate) fn tracking(&self) -> Option<Tracking> {
        let error = (self.clock_sets == 0).then_some(NETWORK_ERROR);
        self.settings.network.then(|| Tracking { at: self.now(), error })
    }

    /// What a receiver under this sky says.
    pub fn fix(&self) -> Fix {
        let (now, faults) = (self.now(), self.spells.active().map(|(_, fault)| fault));
        sky::fix(&self.settings.parameters, faults, (now, self.utc()), now - self.on)
    }

    /// How long the computer takes to render and encode a frame.
    pub fn encoding_takes(&self, pixels: u64) -> Duration {
        #[expect(clippy::cast_precision_loss, reason = "some megapixels")]
        Duration::from_secs_f64(pixels as f64 * self.settings.parameters.encoding_ns_per_px * 1e-9)
    }

    /// How long the disk takes for one job.
    pub fn writing_takes(&self, bytes: u64) -> Duration {
        let Parameters { disk_sync_s, disk_mb_per_s, .. } = self.settings.parameters;
        let slower = self.spells.active().map(|(_, fault)| match fault {
            Fault::DiskSlow { times } => *times,
            _ => 1.0,
        });
        #[expect(clippy::cast_precision_loss, reason = "some megabytes")]
        Duration::from_secs_f64(
            (disk_sync_s + bytes as f64 / (disk_mb_per_s * 1e6)) * slower.product::<f64>(),
        )
    }

    /// How the camera's sensor is set.
    pub(crate) fn set_camera(&mut self, settings: camera::Settings) {
        self.camera = settings;
    }

    pub(crate) fn sensor(&self) -> Sensor {
        Self::sensor_of(&self.settings.parameters, self.camera)
    }

    fn sensor_of(parameters: &Parameters, set: camera::Settings) -> Sensor {
        let Parameters { camera_exposure_us, camera_iso, camera_cadence_s, .. } = parameters;
        let exposure = set.exposure.unwrap_or_else(|| Duration::from_secs_f64(camera_exposure_us / 1e6));
        let iso = set.gain_thousandths.map_or(*camera_iso, |gain| f64::from(gain) * 100.0 / GAIN_AT_ISO_100);
        let cadence = Duration::from_secs_f64(*camera_cadence_s).max(set.cadence.unwrap_or_default());
        Sensor::nearest(exposure, iso, cadence)
    }

    /// Looks back over an exposure, and keeps what it saw as the truth.
    pub(crate) fn expose(&mut self, seq: u64, exposure: Interval) -> Arc<Scene> {
        let pulses = self.pulses_in(exposure);
        let lit = pulses.first().zip(pulses.last()).map(|(first, last)| Interval {
            from: first.from.max(exposure.from),
            to: last.to().min(exposure.to),
        });
        let seen = lit.unwrap_or(exposure);
        let motions = [&self.pump, &self.focus].map(|chip| chip.last_turned(seen.to));
        let motion = motions.into_iter().flatten().max_by_key(|motion| motion.to);
        let (scene, pumped_um) = self.scene(seq, exposure, seen, &pulses);
        let scene = Arc::new(scene);
        if self.truths.len() == KEPT {
            self.truths.pop_front();
        }
        let cadence = self.sensor().cadence();
        self.truths.push_back(Truth { seq, exposure, cadence, lit, motion, pumped_um, scene: scene.clone() });
        scene
    }

    /// The light's pulses, of a frame whose lines integrate together for a while, if the light was not always the same.
    fn pulses_in(&self, exposure: Interval) -> Vec<Pulse> {
        let Parameters { lamp_rise_us, lamp_jitter_us, .. } = self.settings.parameters;
        let us = |us: f64| Duration::from_secs_f64(us / 1e6);
        let late = |order: Instant| us(lamp_jitter_us * unit(hash(self.settings.seed, order.nanos())));
        if !self.sensor().opens() {
            return vec![];
        }
        let mut pulses = self.lamp.pulses(us(lamp_rise_us), late);
        pulses.retain(|pulse| pulse.from < exposure.to && exposure.from < pulse.to());
        let always = |pulse: &Pulse| pulse.from + pulse.rise <= exposure.from && exposure.to <= pulse.off;
        if pulses.iter().any(always) { vec![] } else { pulses }
    }

    /// What is seen of a frame in a part of its exposure: all of it, or the pulses'.
    #[expect(clippy::cast_possible_truncation, reason = "a picture's precision")]
    fn scene(&self, seq: u64, exposure: Interval, seen: Interval, pulses: &[Pulse]) -> (Scene, [f32; 9]) {
        let Settings { seed, width, height, preset, format, parameters, .. } = self.settings;
        let nine = |interval: Interval| -> [Instant; 9] {
            std::array::from_fn(|i| interval.from + interval.duration() * i as u32 / 8)
        };
        let moved = |instants: &[Instant; 9]| {
            let pumped = self.pumped_um(instants);
            (pumped, instants.map(|then| self.drifted_um(then)))
        };
        let instants = nine(seen);
        let (pumped, drifted) = moved(&instants);
        let middle = instants[4];
        let (sensor, usual) =
            (self.sensor(), Self::sensor_of(&Parameters::default(), camera::Settings::default()));
        let view = View {
            moved_um: pumped[0] + drifted[0],
            focus_um: self.stage_um_at(middle) - self.in_focus_at_um(middle),
            age: seen.from - self.on,
            exposure: seen.duration(),
        };
        let whole = nine(exposure);
        let (all_pumped, all_drifted) = moved(&whole);
        let dark = |then| if pulses.is_empty() { self.lamp_at(then) } else { 0.0 };
        let scene = Scene {
            width,
            height,
            um_per_px: (preset.view_um().0 / f64::from(width)) as f32,
            seed: hash(seed, seq),
            format,
            light: whole.map(|then| dark(then) + parameters.ambient_light as f32),
            flashes: pulses.iter().map(|pulse| self.flash(pulse, exposure, pumped[0] + drifted[0])).collect(),
            drift_um: std::array::from_fn(|i| {
                (all_pumped[i] + all_drifted[i] - pumped[0] - drifted[0]) as f32
            }),
            exposure_fraction: sensor.exposure().as_secs_f32() / exposure.duration().as_secs_f32(),
            exposure: (sensor.exposure().as_secs_f64() / usual.exposure().as_secs_f64()) as f32,
            balance: self.camera.balance(),
            gain: (sensor.gain() / usual.gain()) as f32,
            depth_of_field_um: preset.depth_of_field_um() as f32,
            particles: Particles { seed, preset, parameters }.seen(&view),
        };
        (scene, pumped.map(|um| (um - pumped[0]) as f32))
    }

    /// A pulse as a frame sees it, with the water's way counted from where it was when the frame first saw anything.
    #[expect(clippy::cast_possible_truncation, reason = "a picture's precision")]
    fn flash(&self, pulse: &Pulse, exposure: Interval, moved_um: f64) -> Flash {
        let part = |then: Instant| {
            let later = then - exposure.from;
            let earlier = exposure.from - then;
            (later.as_secs_f64() - earlier.as_secs_f64()) / exposure.duration().as_secs_f64()
        };
        // One that still lasts is on until the frame's end.
        let (off, to) = (pulse.off.min(exposure.to), pulse.to().min(exposure.to));
        let instants: [Instant; 9] =
            std::array::from_fn(|i| if i == 0 { pulse.from.max(exposure.from) } else { to });
        let at = |i: usize, pumped: f64| (pumped + self.drifted_um(instants[i]) - moved_um) as f32;
        let pumped = self.pumped_um(&instants);
        let middle = pulse.from + (to - pulse.from) / 2;
        Flash {
            from: part(pulse.from),
            up: part(pulse.from + pulse.rise),
            falls: part(off.max(pulse.from + pulse.rise)),
            to: part(to.max(pulse.from + pulse.rise)),
            level: pulse.level * self.lamp.part_at(middle) * self.shines(middle),
            drift_um: [at(0, pumped[0]), at(8, pumped[8])],
        }
    }

    /// How far the pump has moved the water along the cell, um, at instants in order.
    fn pumped_um(&self, instants: &[Instant; 9]) -> [f64; 9] {
        let Parameters { water_slow_part, pump_error, pump_pulsation_nl, pump_rollers, .. } =
            self.settings.parameters;
        let coupling = self.pump_coupling();
        let carried = self.water.at;
        let reaches = |(begins, piece): &(Instant, tmc5160::Piece)| {
            !piece.lasts.is_finite() || *begins + Duration::from_secs_f64(piece.lasts) > carried
        };
        let pieces: Vec<_> = self.pump.past(instants[8]).filter(reaches).collect();
        let mut water = self.water;
        instants.map(|then| {
            water = water.at(&coupling, pieces.iter().copied(), then);
            let [fast, slow] = water.soft;
            let usteps = fast + water_slow_part * (slow - fast);
            // A roller encloses a part of what it moves, and lets it go again.
            let angle = usteps / (STEPS_PER_TURN * USTEPS) * pump_rollers * TAU;
            let nl = usteps / self.pump_usteps_per_nl() * (1.0 + pump_error)
                + pump_pulsation_nl / 2.0 * angle.sin();
            nl * UM3_PER_NL / (self.settings.preset.cell_um() * CELL_WIDTH_UM)
        })
    }

    /// How far the water has gone by itself and with the ship, um.
    fn drifted_um(&self, then: Instant) -> f64 {
        let Parameters { water_drift_um_per_s, roll_um, roll_period_s, .. } = self.settings.parameters;
        let age = (then - self.on).as_secs_f64();
        let phase = unit(hash(self.settings.seed, ROLL));
        water_drift_um_per_s * age + roll_um * ((age / roll_period_s + phase) * TAU).sin()
    }

    fn pump_usteps_per_nl(&self) -> f64 {
        self.settings.hat.pump_steps_per_ml() * USTEPS / 1e6
    }

    fn focus_usteps_per_um(&self) -> f64 {
        self.settings.hat.focus_steps_per_mm() * USTEPS / 1e3
    }

    fn pump_coupling(&self) -> Coupling {
        let Parameters { pump_backlash_steps, water_fast_s, water_slow_s, .. } = self.settings.parameters;
        Coupling { play: pump_backlash_steps * USTEPS, taus: [water_fast_s, water_slow_s] }
    }

    /// A stage is hard.
    fn stage_coupling(&self) -> Coupling {
        Coupling {
            play: self.settings.parameters.focus_backlash_um * self.focus_usteps_per_um(),
            taus: [1e-3; 2],
        }
    }

    fn stage_um_at(&self, then: Instant) -> f64 {
        self.stage.at(&self.stage_coupling(), self.focus.past(then), then).hard / self.focus_usteps_per_um()
    }

    /// The height at which the middle of the cell is in focus: it moves while the instrument warms up.
    fn in_focus_at_um(&self, then: Instant) -> f64 {
        let Parameters { focus_height_um, focus_warming_um, warming_s, .. } = self.settings.parameters;
        let warmed = 1.0 - (-(then - self.on).as_secs_f64() / warming_s).exp();
        focus_height_um + focus_warming_um * warmed
    }

    /// How bright the lamp really is.
    fn lamp_at(&self, then: Instant) -> f32 {
        self.lamp.at(then) * self.shines(then)
    }

    /// What a lamp makes of what it is told: it ages, and flickers with its supply.
    #[expect(clippy::cast_possible_truncation, reason = "a picture's precision")]
    fn shines(&self, then: Instant) -> f32 {
        let Parameters { lamp_brightness, lamp_hours, lamp_ageing, lamp_flicker, lamp_flicker_hz, .. } =
            self.settings.parameters;
        let aged = (1.0 - lamp_ageing).powf(lamp_hours / 1_000.0);
        let flicker = 1.0 + lamp_flicker * ((then - self.on).as_secs_f64() * lamp_flicker_hz * TAU).sin();
        (lamp_brightness * aged * flicker) as f32
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Twin;
    use std::sync::atomic::{AtomicU64, Ordering};

    /// A clock that is set by hand.
    #[derive(Default)]
    struct ByHand(AtomicU64);

    impl Clock for ByHand {
        fn now(&self) -> Instant {
            Instant::from_nanos(self.0.load(Ordering::SeqCst))
        }
    }

    fn at(s: u64) -> Instant {
        Instant::from_nanos(s * 1_000_000_000)
    }

    /// Pumps at some instants, and looks at others; how far the water has come at the end.
    fn pumped_um(strokes: &[(u64, i32)], looks: impl Iterator<Item = u64>, end: u64) -> f64 {
        let clock = Arc::new(ByHand::default());
        let mut settings = Settings::new(1, Settings::SMALL_FRAME, Utc::from_micros(0));
        settings.parameters.pump_backlash_steps = 10.0;
        let twin = Twin::new(clock.clone(), settings);
        let write = |address: u8, value: i32| {
            let [a, b, c, d] = value.to_be_bytes();
            let mut world = twin.world();
            let now = world.now();
            world.pump.datagram(&mut [address | 0x80, a, b, c, d], now);
        };
        for (address, value) in
            [(0x6C, 3), (0x23, 1), (0x26, 2_000), (0x28, 2_000), (0x2B, 10), (0x27, 50_000)]
        {
            write(address, value);
        }
        twin.world().pump.enable(true, at(0));
        let mut looks = looks.peekable();
        for (then, target) in strokes.iter().copied().chain([(end, 0)]) {
            while let Some(look) = looks.next_if(|look| *look < then) {
                clock.0.store(at(look).nanos(), Ordering::SeqCst);
                drop(twin.world());
            }
            clock.0.store(at(then).nanos(), Ordering::SeqCst);
            if then < end {
                write(0x2D, target);
            }
        }
        let world = twin.world();
        world.pumped_um(&[at(end); 9])[0]
    }

    /// The chip remembers seconds; play and slow water must be carried on from before.
    #[test]
    fn what_was_pumped_long_ago_is_neither_forgotten_nor_counted_twice_however_often_somebody_looks() {
        // After the first one it goes back within the play: only who remembers the first knows where the water is.
        let strokes = [(1, 20_000), (30, 19_000), (60, 18_500), (90, 18_000), (200, 17_800)];
        let often = pumped_um(&strokes, (0..).map(|n| n * 3), 400);
        let seldom = pumped_um(&strokes, [60, 150].into_iter(), 400);
        assert!((often - seldom).abs() < 1e-6, "{often} {seldom}");
        let um_per_ustep = UM3_PER_NL / (3_220.0 * 256.0 / 1e6) / (300.0 * CELL_WIDTH_UM);
        let expected = 20_000.0 * um_per_ustep;
        assert!((often / expected - 1.0).abs() < 0.01, "{often} instead of {expected}");
    }
}
