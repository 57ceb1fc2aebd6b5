//! A client that knows what it said and what must come of it, and looks into the twin's world: a small reference model
//! of the instrument, and the judge of an episode. It stops the episode at the first law that is broken.

use super::episode::{self, AGAIN, ENDS, LAST};
use super::law::{Law, Violation};
use planktor_drivers::Disk;
use planktor_protocol::{Axis, Instant};
use planktor_runtime::dataset;
use planktor_runtime::scenario::Scenario;
use planktor_runtime::stage::{Act, Client, Cue, Seen};
use planktor_sim::disk::MemoryDisk;
use planktor_sim::faults::{Motor, Part};
use planktor_sim::random::hash;
use planktor_sim::world::World;
use planktor_sim::{Fault, Twin};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Braking has begun by then.
const BRAKES_WITHIN: Duration = Duration::from_millis(2);
/// How long a fault may still be felt when it is over: the longest back-off, and a chip that is opened again.
const FELT: Duration = Duration::from_secs(60);
/// Half a pixel of the medium preset, um; the others have their own.
const HALF_A_PIXEL: f64 = 0.5;
/// Settling after which even the slowest water stands: ten of its time constants.
const LONG_SETTLING: f64 = 10.0;
/// Length of the stage, um, and what rounding to microsteps may add.
const TRAVEL_UM: f64 = 45_000.0 + 1.0;
/// Nanolitres in a millilitre, and microsteps in a full step.
const NL_PER_ML: f64 = 1e6;
const USTEPS: f64 = 256.0;

/// What was said, and what has come of it.
#[derive(Clone, Debug)]
struct Order {
    at: Instant,
    what: What,
    answered: u32,
    due: Instant,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum What {
    /// Volume in nL.
    Stroke(f64),
    Focus,
    StopPump,
    StopFocus,
    StopImager,
    Light,
    /// With the shortest settling before a capture, s.
    Acquisition(f64),
    /// Something that can only be refused, or configured, at once.
    AtOnce,
}

/// The judge.
pub struct Observer {
    seed: u64,
    pixel_um: f64,
    slow_water_s: f64,
    usteps_per_nl: f64,
    root: PathBuf,
    disk: MemoryDisk,
    orders: BTreeMap<u64, Order>,
    /// When a stroke began, and where the pump's shaft was then.
    stroke_began: Option<(Instant, f64)>,
    pump_moves: bool,
    /// Settling of the acquisition that runs, s.
    settling: f64,
    told: Vec<PathBuf>,
    given_up: Vec<String>,
    dead: bool,
    violation: Option<Violation>,
}

impl Observer {
    /// Of an episode whose data sets go to this disk.
    pub fn new(episode: &Scenario, disk: MemoryDisk, root: &Path) -> Self {
        Self {
            seed: episode.seed,
            pixel_um: episode.preset.pixel_um(),
            slow_water_s: episode.parameters.water_slow_s.max(episode.parameters.water_fast_s),
            usteps_per_nl: episode.hat.pump_steps_per_ml() * USTEPS / NL_PER_ML,
            root: root.into(),
            disk,
            orders: episode.messages.iter().filter_map(order).collect(),
            stroke_began: None,
            pump_moves: false,
            settling: 0.0,
            told: vec![],
            given_up: vec![],
            dead: false,
            violation: None,
        }
    }

    /// What it does: looks after every stop, at every deadline, now and then; and ends the program.
    pub fn cues(&self) -> Vec<Cue> {
        let stops =
            self.orders.values().filter(|order| order.is_stop()).map(|order| order.at + BRAKES_WITHIN);
        let due = self.orders.values().map(|order| order.due);
        let now_and_then = (0..ENDS.as_secs() / 120).map(|n| Instant::ZERO + Duration::from_secs(120 * n));
        let look = |at| Cue { at, after: 0, act: Act::Look };
        let mut cues: Vec<_> = stops.chain(due).chain(now_and_then).map(look).collect();
        cues.push(Cue { at: Instant::ZERO + ENDS, after: 0, act: Act::ShutDown });
        cues
    }

    /// What it found. At the end everything must have been answered.
    pub fn verdict(mut self, end: Instant) -> Result<(), Violation> {
        let open =
            self.orders.iter().find(|(_, order)| order.answered == 0).map(|(id, order)| (*id, order.clone()));
        if let Some((id, order)) = open {
            self.break_law(
                Law::Answered,
                end,
                format!("{:?} with id {id} of {:?} was never answered", order.what, order.at),
            );
        }
        if !self.dead {
            self.break_law(Law::Safe, end, "the program was told to end and did not".into());
        }
        if let Some(path) =
            self.disk.files().into_iter().map(|(path, _)| path).find(|path| !path.starts_with(&self.root))
        {
            self.break_law(Law::Contained, end, format!("{} is outside the data root", path.display()));
        }
        self.violation.map_or(Ok(()), Err)
    }

    fn break_law(&mut self, law: Law, at: Instant, what: String) {
        self.violation.get_or_insert(Violation { law, at, what });
    }

    fn look(&mut self, now: Instant, twin: &Twin) {
        self.within_travel(now, twin);
        self.stops(now, twin);
        let late = self.orders.iter().find(|(_, order)| order.answered == 0 && order.due <= now);
        if let Some((id, order)) = late {
            let what = format!("{:?} with id {id} of {:?} has no answer", order.what, order.at);
            self.break_law(Law::Answered, now, what);
        }
    }

    fn within_travel(&mut self, now: Instant, twin: &Twin) {
        let world = twin.world();
        let um = world.stage_um();
        // Steps that a motor loses unnoticed are known to nobody.
        let lost_steps = world.broken_since(Instant::ZERO).any(|fault| {
            let of = Motor::Focus;
            let slips = matches!(fault, Fault::MotorSlipping { of: Motor::Focus, .. });
            slips || [Fault::MotorStalled(of), Fault::OpenLoad(of)].contains(fault)
        });
        drop(world);
        if um.abs() > TRAVEL_UM && !lost_steps {
            self.break_law(Law::WithinTravel, now, format!("the stage is at {um} um"));
        }
    }

    /// Every stop of 2 ms ago.
    fn stops(&mut self, now: Instant, twin: &Twin) {
        let stops: Vec<_> =
            self.orders.values().filter(|o| o.is_stop() && o.at + BRAKES_WITHIN == now).cloned().collect();
        for stop in stops {
            // What was asked after the stop may move again, and may set the light.
            let asked_again = self.orders.values().any(|o| !o.is_stop() && o.at >= stop.at && o.at <= now);
            if asked_again {
                continue;
            }
            let axis = if stop.what == What::StopFocus { Axis::Focus } else { Axis::Pump };
            self.brakes(axis, stop.at, now, twin);
            let world = twin.world();
            let same_light = world.light_at(stop.at) == world.light_at(now);
            let lamp_is_well = !world.was_broken(Part::Light, stop.at - FELT);
            drop(world);
            if lamp_is_well && !same_light {
                self.break_law(Law::Stops, now, "the light changed with a stop".into());
            }
        }
    }

    fn brakes(&mut self, axis: Axis, stop: Instant, now: Instant, twin: &Twin) {
        let world = twin.world();
        let chip = if axis == Axis::Pump { &world.pump } else { &world.focus };
        let speed = |then: Instant| {
            let (from, lasts) = (then - Duration::from_micros(100), 1e-4);
            ((chip.shaft_at(then) - chip.shaft_at(from)) / lasts).abs()
        };
        let (before, after) = (speed(stop), speed(now));
        let well = is_well(&world, part(axis), stop);
        drop(world);
        // A microstep a second is below what two readings of a position can tell apart.
        if well && after > 1.0 && after >= before {
            let what = format!("{axis}: {before} usteps/s at the stop, {after} usteps/s 2 ms later");
            self.break_law(Law::Stops, now, what);
        }
    }

    fn answered(&mut self, seen: &Seen) {
        let ids = ["id", "stopped_by"].map(|key| seen.payload[key].as_u64());
        if !is_final(seen) {
            return;
        }
        for id in ids.into_iter().flatten() {
            let Some(order) = self.orders.get_mut(&id) else { continue };
            order.answered += 1;
            if order.answered > 1 {
                let what = format!(
                    "{:?} with id {id} was answered again: {} {}",
                    order.what, seen.topic, seen.payload
                );
                self.break_law(Law::Answered, seen.at, what);
            }
        }
    }

    fn pump(&mut self, seen: &Seen, twin: &Twin) {
        let world = twin.world();
        let shaft = world.pump.shaft_at(seen.at);
        let began = self.stroke_began.map_or(seen.at, |(began, _)| began);
        let well = is_well(&world, Part::Pump, began);
        drop(world);
        match seen.status() {
            "Started" if self.pump_moves => {
                self.break_law(Law::Contract, seen.at, "Started twice without an end".into());
            }
            "Started" => (self.pump_moves, self.stroke_began) = (true, Some((seen.at, shaft))),
            "Done" => {
                let asked = seen.payload["id"].as_u64().and_then(|id| match self.orders.get(&id)?.what {
                    What::Stroke(nl) => Some(nl * self.usteps_per_nl),
                    _ => None,
                });
                let moved = self.stroke_began.take().map(|(_, began)| shaft - began);
                self.pump_moves = false;
                if let (Some(asked), Some(moved)) = (asked, moved)
                    && well
                    && (asked - moved).abs() > 1.5
                {
                    let what = format!("the shaft turned by {moved} usteps instead of {asked}");
                    self.break_law(Law::Exact, seen.at, what);
                }
            }
            "Interrupted" | "Error" | "Dead" => (self.pump_moves, self.stroke_began) = (false, None),
            _ => {}
        }
    }

    fn imager(&mut self, seen: &Seen, twin: &Twin) {
        if seen.status() == "Started"
            && let Some(What::Acquisition(settling)) =
                seen.payload["id"].as_u64().and_then(|id| Some(self.orders.get(&id)?.what))
        {
            self.settling = settling;
        }
        if seen.payload["type"] == "progress" {
            let path = PathBuf::from(seen.payload["path"].as_str().unwrap_or_default());
            let still = self.was_still(&path, twin);
            self.told.push(path);
            if let Err(why) = still {
                self.break_law(Law::Still, seen.at, why);
            }
            // After some frames, by chance: what would a power cut leave now?
            let chance = hash(self.seed, seen.at.nanos());
            if chance.is_multiple_of(8) {
                self.survives_power_cut(chance, seen.at);
            }
        }
        if seen.status() == "Done" {
            let folder = PathBuf::from(seen.payload["path"].as_str().unwrap_or_default());
            let report = dataset::verify_on(&self.disk, &folder);
            if !report.is_valid() {
                self.break_law(Law::Durable, seen.at, report.to_string());
            }
        }
    }

    /// By the twin's truth, and by nothing that the instrument says of itself but which frame it was.
    fn was_still(&self, path: &Path, twin: &Twin) -> Result<(), String> {
        let (from, flows) = self.recorded(path).ok_or("there is no record of it")?;
        let world = twin.world();
        let truth = world.truths().filter(|truth| truth.exposure.from == from).last();
        let truth = truth.ok_or_else(|| format!("{}: no frame was exposed at {from:?}", path.display()))?;
        let frame =
            format!("frame {} exposed {:?}, last motion {:?}", truth.seq, truth.exposure, truth.motion);
        // In a flow it is the light that keeps a frame sharp, and nothing else does.
        if flows {
            let moved = f64::from(truth.worst_displacement_um());
            let sharp = truth.lit.is_some() && moved <= HALF_A_PIXEL * self.pixel_um;
            return sharp.then_some(()).ok_or_else(|| format!("{frame}: in a flow that moved by {moved} um"));
        }
        if truth.in_motion() {
            return Err(format!("{frame}: in motion"));
        }
        let settling = Duration::from_secs_f64(self.settling);
        if truth.motion.is_some_and(|motion| truth.seen().from < motion.to + settling) {
            return Err(format!("{frame}: {} s of settling were asked", self.settling));
        }
        let moved = f64::from(truth.worst_pumped_um());
        let long_settled = self.settling >= LONG_SETTLING * self.slow_water_s;
        if long_settled && moved > HALF_A_PIXEL * self.pixel_um {
            return Err(format!("{frame}: the pump still moved the water by {moved} um"));
        }
        Ok(())
    }

    /// When the instrument says a frame's exposure began, and whether it was taken in a flow.
    fn recorded(&self, path: &Path) -> Option<(Instant, bool)> {
        let records = self.disk.read(&path.with_file_name("frames.jsonl")).ok()?;
        let mut lines = records
            .split(|byte| *byte == b'\n')
            .filter_map(|line| serde_json::from_slice::<Value>(line).ok());
        let anchor = lines.next()?["anchor"]["monotonic_ns"].as_i64()?;
        let file = path.file_name()?.to_str()?;
        let record = lines.rfind(|record| record["file"] == file)?;
        let from = anchor.checked_add(record["exposure"]["from_ns"].as_i64()?)?;
        Some((Instant::from_nanos(u64::try_from(from).ok()?), record["flow"].is_object()))
    }

    fn survives_power_cut(&mut self, seed: u64, at: Instant) {
        let left = self.disk.power_cut(seed);
        let missing = self.told.iter().find(|path| left.read(path).is_err());
        if let Some(path) = missing {
            return self.break_law(Law::Durable, at, format!("a power cut would lose {}", path.display()));
        }
        let mut folders: Vec<_> = self.told.iter().filter_map(|path| path.parent()).collect();
        folders.dedup();
        // Those that are closed do not change any more.
        let invalid = folders.iter().rev().take(2).find_map(|folder| {
            let report = dataset::verify_on(&left, folder);
            (!report.is_valid()).then(|| report.to_string())
        });
        if let Some(report) = invalid {
            self.break_law(Law::Durable, at, format!("after a power cut: {report}"));
        }
    }

    fn health(&mut self, seen: &Seen, twin: &Twin) {
        let device = seen.payload["device"].as_str().unwrap_or_default();
        match seen.payload["health"].as_str() {
            Some("lost") => {
                let axis = [(Axis::Pump, "pump"), (Axis::Focus, "focus")]
                    .into_iter()
                    .find(|(_, name)| *name == device);
                if let Some((axis, _)) = axis
                    && twin.world().is_enabled(axis)
                {
                    self.break_law(Law::Safe, seen.at, format!("the {axis} is lost and has current"));
                }
            }
            Some("given up") => self.given_up.push(device.into()),
            _ => {}
        }
    }

    fn ended(&mut self, seen: &Seen, twin: &Twin) {
        self.dead = true;
        let world = twin.world();
        let on = [Axis::Pump, Axis::Focus].into_iter().find(|axis| world.is_enabled(*axis));
        let lit = world.light_at(seen.at) > 0.0 && !world.was_broken(Part::Light, seen.at - FELT);
        // A fault that waited for its occasion may have found it in the last acquisition.
        let mended = world.broken_since(Instant::ZERO + AGAIN - FELT).next().is_none();
        drop(world);
        if let Some(axis) = on {
            self.break_law(Law::Safe, seen.at, format!("the {axis} has current after the end"));
        }
        if lit {
            self.break_law(Law::Safe, seen.at, "the lamp is lit after the end".into());
        }
        let last =
            self.told.iter().filter(|path| path.components().any(|part| part.as_os_str() == LAST)).count();
        if last != 1 && mended && self.given_up.is_empty() {
            self.break_law(
                Law::Recovers,
                seen.at,
                format!("the last acquisition has {last} frames instead of 1"),
            );
        }
    }

    fn contract(&mut self, seen: &Seen) {
        if let Some(flaw) = crate::wire::flaw(&seen.topic, &seen.payload) {
            self.break_law(Law::Contract, seen.at, flaw);
        }
        if seen.retain && ["Done", "Interrupted", "Busy"].contains(&seen.status()) {
            self.break_law(Law::Contract, seen.at, format!("{} {} is retained", seen.topic, seen.payload));
        }
    }
}

impl Client for Observer {
    fn hears(&mut self, seen: &Seen, twin: &Twin) -> Vec<Act> {
        self.contract(seen);
        self.answered(seen);
        match seen.topic.as_str() {
            "status/pump" => self.pump(seen, twin),
            "status/imager" if seen.status() == "Dead" => self.ended(seen, twin),
            "status/imager" => self.imager(seen, twin),
            topic if topic.starts_with("planktor/status/device/") => self.health(seen, twin),
            _ => {}
        }
        self.within_travel(seen.at, twin);
        vec![]
    }

    fn looks(&mut self, now: Instant, twin: &Twin) {
        self.look(now, twin);
    }

    fn is_over(&self) -> bool {
        self.violation.is_some()
    }
}

impl Order {
    fn is_stop(&self) -> bool {
        matches!(self.what, What::StopPump | What::StopFocus | What::StopImager)
    }
}

/// Whether a motor does what its driver believes. The ramp's registers cannot be read back: what a disturbed line wrote
/// into them stays until the device is opened again.
fn is_well(world: &World, part: Part, then: Instant) -> bool {
    let disturbed = |fault: &Fault| matches!(fault, Fault::BusGlitch(_)) && fault.part() == part;
    !world.was_broken(part, then - FELT) && !world.broken_since(Instant::ZERO).any(disturbed)
}

fn part(axis: Axis) -> Part {
    match axis {
        Axis::Pump => Part::Pump,
        Axis::Focus => Part::Focus,
    }
}

/// Whether a status is the last word on the commands it names.
fn is_final(seen: &Seen) -> bool {
    let under_way = ["Started", "Idle"].contains(&seen.status()) || seen.status().contains(" saved to ");
    !under_way && seen.payload["type"] != "progress"
}

fn order(said: &planktor_runtime::scenario::Said) -> Option<(u64, Order)> {
    let at = episode::instant(said);
    let (payload, action) = (&said.payload, said.payload["action"].as_str().unwrap_or_default());
    let what = match (said.topic.as_str(), action) {
        ("actuator/pump", "stop") => What::StopPump,
        ("actuator/focus", "stop") => What::StopFocus,
        ("imager/image", "stop") => What::StopImager,
        ("actuator/pump", "move") => match (payload["volume"].as_f64(), payload["direction"].as_str()) {
            (Some(ml), Some("BACKWARD")) => What::Stroke(-ml * 1e6),
            (Some(ml), _) => What::Stroke(ml * 1e6),
            _ => What::AtOnce,
        },
        ("actuator/focus", "move") => What::Focus,
        ("light", _) => What::Light,
        ("imager/image", "image") => What::Acquisition(payload["sleep"].as_f64().unwrap_or(0.0)),
        ("planktor/acquire", _) => What::Acquisition(shortest_settling(&payload["plan"])),
        _ => What::AtOnce,
    };
    Some((payload["id"].as_u64()?, Order { at, what, answered: 0, due: at + answered_within(what, payload) }))
}

fn shortest_settling(plan: &Value) -> f64 {
    let steps = plan[0]["steps"].as_array();
    let settles = steps.into_iter().flatten().filter(|step| step["step"] == "settle");
    settles.filter_map(|step| step["seconds"].as_f64()).fold(f64::INFINITY, f64::min).min(1e6)
}

/// How long an answer may take: what the command itself takes by a generous reckoning, and what a fault may add.
fn answered_within(what: What, payload: &Value) -> Duration {
    match what {
        What::AtOnce => Duration::from_secs(1),
        What::StopPump | What::StopFocus => Duration::from_secs(1),
        // A stop that comes while the last frame is written is answered when that is done.
        What::StopImager => Duration::from_secs(130),
        // A slow bus may hold its caller; after three seconds nobody waits any more.
        What::Light => Duration::from_secs(4),
        What::Stroke(nl) => {
            let flow = payload["flowrate"].as_f64().unwrap_or(1.0).max(0.01);
            Duration::from_secs_f64(1.3 * nl.abs() / 1e6 / flow * 60.0 + 10.0)
        }
        What::Focus => {
            let (mm, speed) = (payload["distance"].as_f64(), payload["speed"].as_f64());
            Duration::from_secs_f64(
                1.3 * mm.unwrap_or(0.0).abs() / speed.unwrap_or(5.0).clamp(0.01, 5.0) + 10.0,
            )
        }
        // At the end of the episode.
        What::Acquisition(_) => ENDS + Duration::from_secs(20),
    }
}
