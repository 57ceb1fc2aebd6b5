//! A client that knows what it said and what must come of it, and looks into the twin's world: a small reference model
//! of the instrument, and the judge of an episode. It stops the episode at the first law that is broken.

use super::asked::{Acquisition, LAMP_FOLLOWS, Order, What};
use super::episode::{AGAIN, ENDS, LAST};
use super::law::{Law, Violation};
use planktor_drivers::Disk;
use planktor_protocol::{Axis, Instant, Interval};
use planktor_runtime::dataset;
use planktor_runtime::scenario::Scenario;
use planktor_runtime::stage::{Act, Client, Cue, Seen};
use planktor_sim::disk::MemoryDisk;
use planktor_sim::faults::{Bus, Motor, Part};
use planktor_sim::random::hash;
use planktor_sim::world::{Truth, World};
use planktor_sim::{Fault, Parameters, Twin};
use serde_json::Value;
use std::collections::BTreeMap;
use std::f64::consts::PI;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The pump at full speed brakes in that time.
const BRAKES: Duration = Duration::from_secs(3);
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
/// A motor's driver counts speeds in this, nominally: a thousandth of what is usual, and all of the slowest flow.
const SLOWEST_USTEPS_PER_S: f64 = 12e6 / 16_777_216.0;
/// Nanolitres in a millilitre, microsteps in a full step, and full steps in a turn.
const NL_PER_ML: f64 = 1e6;
const USTEPS: f64 = 256.0;
const STEPS_PER_TURN: f64 = 200.0;

/// Where commands are to be answered: below it, by their ids.
pub(super) const RESPONSES: &str = "explorer/";
/// A part of a frame is told by the twin as well as this, and better.
const ROUNDING: Duration = Duration::from_micros(1);

/// What the instrument says of a frame.
struct Record {
    /// When its exposure began.
    from: Instant,
    /// How long its light was to be, and within which it is said to have been.
    pulse: Option<(Duration, Interval)>,
    /// How far the water may have gone, um, and how fast it was to flow, nL/s, if it was taken in a flow.
    flow: Option<(f64, f64)>,
    /// Whether it was known by then how long the water needs to come to rest.
    learned: bool,
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
    /// The acquisition that runs, and when it was asked for.
    running: (Instant, Acquisition),
    /// What the lamp was at before each order to strobe frames, and what it must be at again after the last one.
    lamp: BTreeMap<u64, f32>,
    lamp_again: Option<(Instant, f32)>,
    /// By how much the lamp's answers differ at most.
    lamp_jitter: Duration,
    /// How much more than its calibration says the pump delivers at most: by its tubing, and where a roller passes.
    tubing: f64,
    /// Since when the pump has stood, and whether the water stood when its last stroke began.
    stands: Instant,
    calm: bool,
    told: Vec<PathBuf>,
    given_up: Vec<String>,
    dead: bool,
    violation: Option<Violation>,
}

impl Observer {
    /// Of an episode whose data sets go to this disk.
    pub fn new(episode: &Scenario, disk: MemoryDisk, root: &Path) -> Self {
        let usteps_per_nl = episode.hat.pump_steps_per_ml() * USTEPS / NL_PER_ML;
        Self {
            seed: episode.seed,
            pixel_um: episode.preset.pixel_um(),
            slow_water_s: episode.parameters.water_slow_s.max(episode.parameters.water_fast_s),
            usteps_per_nl,
            root: root.into(),
            disk,
            orders: episode.messages.iter().filter_map(Order::of).collect(),
            stroke_began: None,
            pump_moves: false,
            running: Default::default(),
            lamp: BTreeMap::new(),
            lamp_again: None,
            lamp_jitter: Duration::from_secs_f64(episode.parameters.lamp_jitter_us / 1e6),
            tubing: tubing(&episode.parameters, usteps_per_nl),
            stands: Instant::ZERO,
            calm: true,
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
        let strobes = self.orders.values().filter_map(Order::before_it_strobes);
        let mut cues: Vec<_> = stops.chain(due).chain(now_and_then).chain(strobes).map(look).collect();
        cues.push(Cue { at: Instant::ZERO + ENDS, after: 0, act: Act::ShutDown });
        cues
    }

    /// What it found. At the end everything must have been answered.
    pub fn verdict(mut self, end: Instant) -> Result<(), Violation> {
        let open = self.orders.iter().find(|(_, order)| !order.is_answered());
        let open = open.map(|(id, order)| (*id, order.clone()));
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
        for (id, order) in &self.orders {
            if order.before_it_strobes() == Some(now) {
                self.lamp.insert(*id, twin.world().light_at(now));
            }
        }
        self.lamp_is_as_before(now, twin);
        let late = self.orders.iter().find(|(_, order)| !order.is_answered() && order.due <= now);
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
            // Where frames are strobed it is dark in between.
            let strobes = self.orders.values().any(|order| order.strobes_at(stop.at));
            if lamp_is_well && !strobes && !same_light {
                self.break_law(Law::Stops, now, "the light changed with a stop".into());
            }
        }
    }

    /// A second after frames were strobed the lamp is what it was before, if nobody has set it meanwhile.
    fn lamp_is_as_before(&mut self, now: Instant, twin: &Twin) {
        let due = |(over, _): &mut (Instant, f32)| *over + LAMP_FOLLOWS <= now;
        let Some((over, before)) = self.lamp_again.take_if(due) else { return };
        let again = |order: &Order| order.strobes_at(now) && order.over != Some(over);
        if self.orders.values().any(|order| order.sets_lamp(over, now) || again(order)) {
            return;
        }
        let world = twin.world();
        let is = world.light_at(now);
        let well = !world.was_broken(Part::Light, over) && !world.broken_since(Instant::ZERO).any(is_unseen);
        drop(world);
        if well && is != before {
            self.break_law(
                Law::Stops,
                now,
                format!(
                    "the lamp was at {before} before frames were strobed until {over:?}, and then at {is}"
                ),
            );
        }
    }

    /// An acquisition that strobes is over, however it ended.
    fn strobed(&mut self, id: u64, over: Instant, twin: &Twin) {
        let Some(before) = self.lamp.get(&id) else { return };
        let Some(order) = self.orders.get(&id) else { return };
        let well = !twin.world().was_broken(Part::Light, order.at - FELT);
        let other = |(of, other): (&u64, &Order)| *of != id && other.strobes_at(order.at);
        let set = self.orders.values().any(|other| other.sets_lamp(order.at, over));
        let known = well && !set && !self.orders.iter().any(other);
        self.lamp_again = known.then_some((over, *before));
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

    /// By a status, which everybody hears.
    fn answered(&mut self, seen: &Seen, twin: &Twin) {
        let ids = ["id", "stopped_by"].map(|key| seen.payload[key].as_u64());
        if !is_final(seen) {
            return;
        }
        for id in ids.into_iter().flatten() {
            let Some(order) = self.orders.get_mut(&id) else { continue };
            order.over.get_or_insert(seen.at);
            order.answered += 1;
            if order.answered > 1 {
                let what = format!(
                    "{:?} with id {id} was answered again: {} {}",
                    order.what, seen.topic, seen.payload
                );
                self.break_law(Law::Answered, seen.at, what);
            }
            self.strobed(id, seen.at, twin);
        }
    }

    /// Where it asked to be answered.
    fn responded(&mut self, seen: &Seen, id: &str) {
        let Some(order) = id.parse().ok().and_then(|id| self.orders.get_mut(&id)) else { return };
        order.responded += 1;
        if order.responded > 1 {
            let what = format!("{:?} with id {id} has two responses: {}", order.what, seen.payload);
            self.break_law(Law::Answered, seen.at, what);
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
            "Started" => {
                (self.pump_moves, self.stroke_began) = (true, Some((seen.at, shaft)));
                let calms = Duration::from_secs_f64(LONG_SETTLING * self.slow_water_s);
                self.calm = seen.at >= self.stands + calms;
            }
            "Done" => {
                let asked = seen.payload["id"].as_u64().and_then(|id| match self.orders.get(&id)?.what {
                    What::Stroke(nl) => Some(nl * self.usteps_per_nl),
                    _ => None,
                });
                let moved = self.stroke_began.take().map(|(_, began)| shaft - began);
                (self.pump_moves, self.stands) = (false, seen.at);
                if let (Some(asked), Some(moved)) = (asked, moved)
                    && well
                    && (asked - moved).abs() > 1.5
                {
                    let what = format!("the shaft turned by {moved} usteps instead of {asked}");
                    self.break_law(Law::Exact, seen.at, what);
                }
            }
            "Interrupted" | "Error" | "Dead" => {
                (self.pump_moves, self.stroke_began, self.stands) = (false, None, seen.at + BRAKES);
            }
            _ => {}
        }
    }

    fn imager(&mut self, seen: &Seen, twin: &Twin) {
        let id = seen.payload["id"].as_u64().filter(|_| seen.status() == "Started");
        if let Some(Order { at, what: What::Acquisition(acquisition), .. }) =
            id.and_then(|id| self.orders.get(&id))
        {
            self.running = (*at, *acquisition);
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

    /// By the twin's truth, and by nothing that the instrument says of itself but which frame it was, and how it was taken.
    fn was_still(&self, path: &Path, twin: &Twin) -> Result<(), String> {
        let record = self.recorded(path).ok_or("there is no record of it")?;
        let world = twin.world();
        let truth = world.truths().filter(|truth| truth.exposure.from == record.from).last();
        let truth =
            truth.ok_or_else(|| format!("{}: no frame was exposed at {:?}", path.display(), record.from))?;
        let frame = format!(
            "frame {} exposed {:?}, lit {:?}, last motion {:?}",
            truth.seq, truth.exposure, truth.lit, truth.motion
        );
        if let Some((asked, pulse)) = record.pulse {
            self.is_lit_as_recorded(truth, asked, pulse, &world).map_err(|why| format!("{frame}: {why}"))?;
            // What is dark shows nothing.
            if truth.lit.is_none() {
                return Ok(());
            }
        }
        let moved = f64::from(truth.worst_pumped_um());
        // In a flow it is the light that keeps a frame sharp, and nothing else does.
        if let Some((blur, nl_per_s)) = record.flow {
            let rounded = 1.0 + SLOWEST_USTEPS_PER_S / (nl_per_s * self.usteps_per_nl);
            let most = blur.min(HALF_A_PIXEL * self.pixel_um) * self.tubing * rounded;
            // What was pumped before it is not the flow's matter.
            let judged = self.calm && is_well(&world, Part::Pump, truth.exposure.from);
            let sharp = truth.lit.is_some() && (moved <= most || !judged);
            return sharp.then_some(()).ok_or_else(|| {
                format!("{frame}: in a flow that moved by {moved} um, and {most} um are allowed")
            });
        }
        if truth.in_motion() {
            return Err(format!("{frame}: in motion"));
        }
        let (_, Acquisition { settling, unlearned, .. }) = self.running;
        let settling = if record.learned { settling } else { unlearned };
        if truth
            .motion
            .is_some_and(|motion| truth.seen().from < motion.to + Duration::from_secs_f64(settling))
        {
            return Err(format!("{frame}: {settling} s of settling were asked"));
        }
        let long_settled = settling >= LONG_SETTLING * self.slow_water_s;
        if long_settled && moved > HALF_A_PIXEL * self.pixel_um {
            return Err(format!("{frame}: the pump still moved the water by {moved} um"));
        }
        Ok(())
    }

    /// All of its light lies within what is recorded, and where all of its lines are open.
    fn is_lit_as_recorded(
        &self,
        truth: &Truth,
        asked: Duration,
        pulse: Interval,
        world: &World,
    ) -> Result<(), String> {
        let (since, _) = self.running;
        let set = self.orders.values().any(|order| order.sets_lamp(since, truth.exposure.to));
        let well = !world.was_broken(Part::Light, truth.exposure.from - LAMP_FOLLOWS)
            && !world.broken_since(Instant::ZERO).any(is_unseen);
        if set || !well {
            return Ok(());
        }
        // A lamp that begins later than it ends by as much as it is to be lit does not begin.
        if truth.lit.is_none() && asked <= self.lamp_jitter {
            return Ok(());
        }
        let lit = truth.lit.ok_or_else(|| format!("it was dark, and is said to be lit {pulse:?}"))?;
        if !pulse.contains(lit) {
            return Err(format!("it is said to be lit {pulse:?}"));
        }
        let open = truth.open();
        let open = Interval { from: open.from - ROUNDING, to: open.to + ROUNDING };
        let open_then = open.contains(lit);
        open_then.then_some(()).ok_or_else(|| format!("all of its lines were open {open:?} only"))
    }

    fn recorded(&self, path: &Path) -> Option<Record> {
        let records = self.disk.read(&path.with_file_name("frames.jsonl")).ok()?;
        let lines = records.split(|byte| *byte == b'\n');
        let lines: Vec<Value> = lines.filter_map(|line| serde_json::from_slice(line).ok()).collect();
        let anchor = lines.first()?["anchor"]["monotonic_ns"].as_i64()?;
        let at = |ns: &Value| {
            let then = anchor.checked_add(ns.as_i64()?)?;
            Some(Instant::from_nanos(u64::try_from(then).ok()?))
        };
        let file = path.file_name()?.to_str()?;
        let n = lines.iter().rposition(|line| line["file"] == file)?;
        let record = &lines[n];
        let (pulse, flow) = (&record["pulse"], &record["flow"]);
        let interval = at(&pulse["from_ns"]).zip(at(&pulse["to_ns"])).map(|(from, to)| Interval { from, to });
        Some(Record {
            from: at(&record["exposure"]["from_ns"])?,
            pulse: pulse["asked_ns"].as_u64().map(Duration::from_nanos).zip(interval),
            flow: flow["blur_nm"].as_f64().map(|nm| nm / 1e3).zip(flow["nl_per_s"].as_f64()),
            learned: lines[..n].iter().any(|line| line["event"] == "settling_learned"),
        })
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
        if let Some(id) = seen.topic.strip_prefix(RESPONSES) {
            self.responded(seen, id);
            return vec![];
        }
        self.answered(seen, twin);
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

/// What a lamp's driver has switched off by itself, or was told by a disturbed line, nobody sees.
fn is_unseen(fault: &Fault) -> bool {
    matches!(
        fault,
        Fault::LampShort | Fault::LampHot | Fault::BusGlitch(Bus::Light) | Fault::BusStuck(Bus::Light)
    )
}

/// See [`Observer`].
fn tubing(parameters: &Parameters, usteps_per_nl: f64) -> f64 {
    let Parameters { pump_error, pump_pulsation_nl, pump_rollers, .. } = parameters;
    let turn_nl = STEPS_PER_TURN * USTEPS / usteps_per_nl;
    (1.0 + pump_error.max(0.0)) * (1.0 + PI * pump_rollers * pump_pulsation_nl / turn_nl)
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
