//! The simulated instrument that is measured: in real time, full frames, over MQTT as any client uses it.

use super::crowd::Crowd;
use super::references::{alarms, bare_encoder, bare_loop, bare_write, cyclictest, stolen};
use super::{Figure, Idle, Load, Report, Round, Rounds};
use crate::client::{Client, ClientError};
use crate::figures;
use crate::instrument::{Config, Time};
use crate::machine;
use crate::metrics::{Metrics, own_usage};
use crate::mqtt::Address;
use crate::mqtt::door::Role;
use crate::service::{Options, Service};
use crate::web;
use planktor_actors::timing::{Distribution, Histogram, Miss, Stage};
use planktor_drivers::Clock;
use planktor_drivers::clock::{Computer, Monotonic, WallClock};
use planktor_drivers::disk::FileSystem;
use planktor_protocol::camera::{Image, Picture, Pixels};
use planktor_protocol::{Instant, Utc};
use planktor_sim::world::Truth;
use planktor_sim::{Settings, Twin};
use serde_json::{Value, json};
use std::error::Error;
use std::io::BufRead;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Nobody asks anything for so long.
const IDLE: Duration = Duration::from_secs(10);
/// Of the bare loop and of the alarms, in each round.
const LOOP: Duration = Duration::from_secs(3);
/// Messages and statuses in each round; fewer, where they take long.
const ECHOES: u32 = 100;
const ECHOING: Duration = Duration::from_secs(5);
/// Stops in each round; half of them in a flood.
const STOPS: u32 = 10;
/// Commands of a flood, half of them before the stop.
const FLOOD: u32 = 10_000;
/// Frames through the bare encoder, and files written, in each round.
const BARE: u32 = 5;
/// As today's dashboard asks: half a second of settling.
const SETTLING: Duration = Duration::from_millis(500);
/// Whether something has been timed is asked so often.
const LOOK_AGAIN: Duration = Duration::from_millis(5);
/// And what has not begun by then is ordered again.
const ORDER_AGAIN: Duration = Duration::from_secs(1);
/// Until what was asked for has come.
const PATIENCE: Duration = Duration::from_secs(30);

/// What is to be measured.
pub struct Bench {
    /// Rounds under each condition, in turn.
    pub rounds: u32,
    /// Frames in each round.
    pub frames: u32,
    /// Under load, too.
    pub load: bool,
    /// In a crowd, too, with so many frames in each round.
    pub crowd: Option<u32>,
    /// Where data sets are written, and removed again.
    pub folder: PathBuf,
    /// Told what is measured next.
    pub say: Box<dyn Fn(&str)>,
}

/// The instrument while it is measured.
struct Measured {
    twin: Twin,
    client: Client,
    flood: Client,
    metrics: Metrics,
    data: PathBuf,
    broker: Address,
    page: SocketAddr,
}

impl Bench {
    /// Measures everything. What fails in the middle leaves what was measured before.
    ///
    /// # Errors
    /// The instrument cannot be started or ended.
    pub fn run(&self) -> Result<Report, Box<dyn Error>> {
        let data = tempfile::TempDir::with_prefix_in("planktor-bench-", &self.folder)?;
        let up = i64::try_from(Monotonic.now().nanos() / 1_000).unwrap_or(0);
        let began = Utc::from_micros(Computer.utc().micros() - up);
        let twin =
            Twin::new(Arc::new(Monotonic), Settings::new(1, Settings::FULL_FRAME, began)).in_real_time();
        let root = data.path().to_path_buf();
        let config = Config {
            real_time: true,
            ..Config::new(Arc::new(twin.clone()), "twin", Time::Real, Box::new(FileSystem), root.clone())
        };
        let metrics = config.metrics.clone();
        let first: Arc<Mutex<Option<String>>> = Arc::default();
        let said = first.clone();
        let access = web::Access { nameless: Some(Role::Operator), ..web::Access::default() };
        let page = web::Options { listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), access, rtsp: None };
        let options = Options {
            web: Some(page),
            // What the hardware thread was given is said first.
            say: Arc::new(move |line| {
                said.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert_with(|| line.into());
            }),
            ..Options::alone()
        };
        let service = Service::start(config, options)?;
        (self.say)("idle");
        let idle = idle()?;
        let measured = Measured {
            client: Client::connect(service.broker(), "planktor-bench")?,
            flood: Client::connect(service.broker(), "planktor-bench-flood")?,
            twin,
            metrics,
            data: root,
            broker: service.broker().clone(),
            page: service.page().ok_or("the page is not served")?,
        };
        let mut conditions = ["idle", Load::NAME, "in a crowd"]
            .map(|condition| Rounds { condition: condition.into(), ..Rounds::default() });
        let ended = self.conditions(&measured, &mut conditions);
        drop(measured);
        service.shut_down();
        service.wait()?;
        let scheduled = first.lock().unwrap_or_else(PoisonError::into_inner).take().unwrap_or_default();
        Ok(Report {
            machine: computer(),
            scheduled,
            date: Computer.utc().rfc3339(),
            idle,
            conditions: conditions.into_iter().filter(|rounds| !rounds.rounds.is_empty()).collect(),
            ended_early: ended.err().map(|error| error.to_string()),
        })
    }

    fn conditions(&self, measured: &Measured, all: &mut [Rounds; 3]) -> Result<(), Box<dyn Error>> {
        let [idle, loaded, crowded] = all;
        for n in 1..=self.rounds {
            (self.say)(&format!("round {n} of {}", self.rounds));
            measured.round(idle, n, self.frames)?;
            if self.load {
                (self.say)(&format!("round {n} of {}, under load", self.rounds));
                let no =
                    |error| format!("stress-ng cannot be started: {error}; install the package stress-ng");
                let _load = Load::begin().map_err(no)?;
                measured.round(loaded, n, self.frames)?;
            }
            if let Some(frames) = self.crowd {
                (self.say)(&format!("round {n} of {}, in a crowd", self.rounds));
                let crowd = Crowd::begin(&measured.broker, measured.page)?;
                measured.round(crowded, n, frames)?;
                crowded.condition = crowd.name();
            }
        }
        Ok(())
    }
}

fn idle() -> Result<Idle, Box<dyn Error>> {
    let usage = || own_usage().ok_or("/proc/self/stat cannot be read");
    // What the start still has to do is not idling.
    let (_wake, woken) = crossbeam_channel::bounded::<()>(0);
    let _ = woken.recv_timeout(Duration::from_secs(3));
    let (before, _) = usage()?;
    let _ = woken.recv_timeout(IDLE);
    let (after, resident) = usage()?;
    Ok(Idle { cpu: (after - before) / IDLE.as_secs_f64(), resident, seconds: IDLE.as_secs_f64() })
}

/// Kernel, processor and number of cores.
fn computer() -> String {
    let uname = rustix::system::uname();
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let model = machine::read(Path::new("/"), "proc/device-tree/model").or_else(|| {
        let cpuinfo = std::fs::read_to_string("/proc/cpuinfo").ok()?;
        let line = cpuinfo.lines().find(|line| line.starts_with("model name"))?;
        Some(line.split_once(": ")?.1.to_owned())
    });
    format!(
        "{}, {cores} cores, {} {}",
        model.unwrap_or_else(|| uname.machine().to_string_lossy().into_owned()),
        uname.sysname().to_string_lossy(),
        uname.release().to_string_lossy()
    )
}

impl Measured {
    /// References and figures in turn.
    fn round(&self, rounds: &mut Rounds, n: u32, frames: u32) -> Result<(), Box<dyn Error>> {
        let mut round = Round::new();
        let (begun, stolen_before) = (Monotonic.now(), stolen()?);
        round.insert(Figure::BareLoop, bare_loop(LOOP)?);
        round.insert(Figure::Cyclictest, cyclictest(LOOP)?);
        round.insert(Figure::Alarm, alarms(LOOP)?);
        round.insert(Figure::BareEcho, self.times(ECHOES, || self.client.kept().map(drop))?);
        round.insert(Figure::CommandToStatus, self.times(ECHOES, || self.status())?);
        self.acquire(&mut round, rounds, n, frames)?;
        self.stops(&mut round)?;
        round.insert(Figure::BareWrite, bare_write(&self.data, BARE)?);
        if let Some(image) = self.image() {
            round.insert(Figure::BareEncoder, bare_encoder(&image, BARE)?);
        }
        round.retain(|_, took| took.count() > 0);
        rounds.seconds += (Monotonic.now() - begun).as_secs_f64();
        rounds.stolen += stolen()? - stolen_before;
        rounds.rounds.push(round);
        Ok(())
    }

    fn times(
        &self,
        times: u32,
        work: impl Fn() -> Result<(), ClientError>,
    ) -> Result<Distribution, ClientError> {
        let (took, enough) = (Histogram::default(), Monotonic.now() + ECHOING);
        for _ in 0..times {
            let begun = Monotonic.now();
            match work() {
                // In a crowd a status may be lost.
                Err(ClientError::Silence { .. }) => break,
                done => done?,
            }
            let now = Monotonic.now();
            took.add(now - begun);
            if now > enough {
                break;
            }
        }
        Ok(took.read())
    }

    fn status(&self) -> Result<(), ClientError> {
        self.client.send("led-operating-time", &json!({"action": "get"}))?;
        let topic = "status/led-operating-time";
        let said = self.client.next_of(PATIENCE, |said| said.topic == topic)?;
        said.map(drop).ok_or_else(|| ClientError::Silence { topic: topic.into() })
    }

    /// The dashboard's acquisition, and what came of it.
    fn acquire(
        &self,
        round: &mut Round,
        rounds: &mut Rounds,
        n: u32,
        frames: u32,
    ) -> Result<(), Box<dyn Error>> {
        let before = self.metrics.timings().read();
        let name = format!("{} {n}", rounds.condition.split(' ').next().unwrap_or_default());
        let config = json!({
            "object_date": "2026-06-01", "sample_project": "bench", "sample_id": "bench", "sample_operator": "bench",
            "acq_id": name, "acq_instrument": "PlanktoScope v3.0", "acq_nb_frame": frames, "process_pixel": 0.75,
            "object_lat": 48.7273, "object_lon": -3.9814,
        });
        let image = json!({
            "action": "image", "pump_direction": "FORWARD", "volume": 0.006, "nb_frame": frames,
            "sleep": SETTLING.as_secs_f64(), "flowrate": 3,
        });
        self.ask("light", &json!({"action": "on"}))?;
        self.ask("imager/image", &json!({"action": "update_config", "config": config}))?;
        let answer = self.ask("imager/image", &image)?;
        let timed = self.metrics.timings().read().since(&before);
        for (figure, stage) in [
            (Figure::AlarmInUse, Stage::Alarm),
            (Figure::Encode, Stage::Encode),
            (Figure::Record, Stage::Record),
            (Figure::Durable, Stage::ExposureToDurable),
        ] {
            round.insert(figure, timed.stage(stage).clone());
        }
        let known = ends(Path::new(answer["path"].as_str().unwrap_or_default()))?;
        let of = |truth: &&Truth| known.iter().any(|(exposure, _)| *exposure == truth.exposure.from);
        let truths: Vec<_> = self.twin.world().truths().filter(of).cloned().collect();
        let (overhead, end_known) = (Histogram::default(), Histogram::default());
        let parts = figures::parts(&truths, SETTLING);
        parts.iter().for_each(|parts| overhead.add(parts.overhead));
        for truth in &truths {
            let end =
                known.iter().find(|(exposure, _)| *exposure == truth.exposure.from).map(|(_, end)| *end);
            if let (Some(end), Some(motion)) = (end, truth.motion) {
                end_known.add(end - motion.to);
            }
        }
        round.insert(Figure::Overhead, overhead.read());
        round.insert(Figure::EndKnown, end_known.read());
        rounds.lost += timed.misses(Miss::Frame);
        rounds.frames += u32::try_from(truths.len()).unwrap_or(u32::MAX);
        rounds.frame_starts_missed += parts.iter().map(|parts| parts.missed).sum::<u32>();
        rounds.in_motion +=
            u32::try_from(truths.iter().filter(|t| t.in_motion()).count()).unwrap_or(u32::MAX);
        Ok(())
    }

    /// In a crowd a command may find no room: it is refused then, and given again.
    fn ask(&self, topic: &str, command: &Value) -> Result<Value, ClientError> {
        let deadline = Monotonic.now() + PATIENCE;
        loop {
            match self.client.request(topic, command.clone(), |_| {}) {
                Err(ClientError::Refused(_)) if Monotonic.now() < deadline => {}
                done => return done,
            }
        }
    }

    /// Long strokes that are stopped, the second half of them while other commands come as fast as they can.
    fn stops(&self, round: &mut Round) -> Result<(), ClientError> {
        let long = json!({"action": "move", "direction": "FORWARD", "volume": 1, "flowrate": 3});
        let mut before = self.metrics.timings().read();
        round.insert(Figure::CommandToBus, Distribution::default());
        for (figure, flood) in [(Figure::Stop, 0), (Figure::StopInAFlood, FLOOD)] {
            for _ in 0..STOPS / 2 {
                self.begin_moving(&long)?;
                self.flood(flood / 2)?;
                self.counted(Stage::StopToBus, PATIENCE, || {
                    self.client.send("actuator/pump", &json!({"action": "stop"}))?;
                    self.flood(flood / 2)
                })?;
            }
            let after = self.metrics.timings().read();
            let since = after.since(&before);
            round.insert(figure, since.stage(Stage::StopToBus).clone());
            if let Some(moves) = round.get_mut(&Figure::CommandToBus) {
                moves.add(since.stage(Stage::CommandToBus));
            }
            before = after;
        }
        Ok(())
    }

    /// While the flood before it is being answered a move may find no room; it is refused then, and ordered again.
    fn begin_moving(&self, order: &Value) -> Result<(), ClientError> {
        let deadline = Monotonic.now() + PATIENCE;
        loop {
            let order = || self.client.send("actuator/pump", order);
            match self.counted(Stage::CommandToBus, ORDER_AGAIN, order) {
                Err(ClientError::Silence { .. }) if Monotonic.now() < deadline => {}
                done => return done,
            }
        }
    }

    /// Does something, and waits until a stage has been timed once more. What is said meanwhile is heard and forgotten: in a
    /// flood not all of it finds room.
    fn counted(
        &self,
        stage: Stage,
        patience: Duration,
        work: impl FnOnce() -> Result<(), ClientError>,
    ) -> Result<(), ClientError> {
        let count = || self.metrics.timings().read().stage(stage).count();
        let (before, deadline) = (count(), Monotonic.now() + patience);
        work()?;
        while count() == before {
            if Monotonic.now() > deadline {
                return Err(ClientError::Silence { topic: stage.word().into() });
            }
            self.client.next(LOOK_AGAIN)?;
        }
        Ok(())
    }

    fn flood(&self, commands: u32) -> Result<(), ClientError> {
        for _ in 0..commands {
            let deadline = Monotonic.now() + PATIENCE;
            while !self.flood.offer("planktor/health", &json!({"action": "get"}))? {
                if Monotonic.now() > deadline {
                    return Err(ClientError::Silence { topic: "planktor/health".into() });
                }
                self.flood.next(LOOK_AGAIN)?;
            }
            self.flood.forget()?;
        }
        Ok(())
    }

    /// The newest frame's.
    fn image(&self) -> Option<Image> {
        let scene = self.twin.world().truths().last()?.scene.clone();
        match scene.develop() {
            Pixels::Rgb(image) => Some(image),
            Pixels::Bayer(_) | Pixels::Jpeg(_) => None,
        }
    }
}

/// Of each frame of a data set: when its exposure began, and when the motion before it was known to have ended.
fn ends(folder: &Path) -> Result<Vec<(Instant, Instant)>, Box<dyn Error>> {
    let file = std::fs::File::open(folder.join("frames.jsonl"))?;
    let (mut anchor, mut ends) = (0, vec![]);
    for line in std::io::BufReader::new(file).lines() {
        let line: Value = serde_json::from_str(&line?)?;
        anchor = line["anchor"]["monotonic_ns"].as_u64().unwrap_or(anchor);
        let at = |field: &Value| Some(Instant::from_nanos(anchor.checked_add_signed(field.as_i64()?)?));
        ends.extend(at(&line["exposure"]["from_ns"]).zip(at(&line["motion"]["to_ns"])));
    }
    Ok(ends)
}
