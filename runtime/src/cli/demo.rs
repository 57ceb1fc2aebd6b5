//! `planktor demo`: a service with a simulated instrument, and beside it an ordinary MQTT client that sends what the
//! dashboard sends and tells what comes of it.

use super::run::twin;
use super::{DataRoot, Failure, print};
use indicatif::{ProgressBar, ProgressStyle};
use planktor_drivers::clock::{Computer, WallClock};
use planktor_drivers::disk::FileSystem;
use planktor_protocol::Axis;
use planktor_runtime::client::{Client, Said};
use planktor_runtime::dataset;
use planktor_runtime::figures::{self, Parts};
use planktor_runtime::instrument::{Config, Time};
use planktor_runtime::scenario::Scenario;
use planktor_runtime::service::{Options, Service};
use planktor_sim::Twin;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

/// As the dashboard asks: 6 uL at 3 mL/min, half a second of settling.
const VOLUME_ML: f64 = 0.006;
const FLOW_ML_PER_MIN: f64 = 3.0;
const SETTLING: Duration = Duration::from_millis(500);
const FRAMES: u32 = 10;
const STOPS: u32 = 4;
/// Half a pixel at full size, um.
const HALF_A_PIXEL_UM: f32 = 0.375;

#[derive(Debug, clap::Args)]
pub(crate) struct Demo {
    #[command(flatten)]
    data: DataRoot,
    /// What to do
    #[arg(long, value_enum, default_value_t = Plan::StopFlow)]
    plan: Plan,
    /// What is random in the simulated instrument follows from this number
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Plan {
    /// Ten frames, 6 uL each at 3 mL/min, 0.5 s of settling
    StopFlow,
    /// Four such stops with three focus planes each
    FocusPlanes,
}

impl Plan {
    fn stops(self) -> u32 {
        match self {
            Self::StopFlow => FRAMES,
            Self::FocusPlanes => STOPS,
        }
    }

    fn frames(self) -> u32 {
        match self {
            Self::StopFlow => FRAMES,
            Self::FocusPlanes => STOPS * 3,
        }
    }

    /// Topic and payload of the message that starts it.
    fn start(self) -> (&'static str, Value) {
        match self {
            Self::StopFlow => (
                "imager/image",
                json!({"action": "image", "pump_direction": "FORWARD", "volume": VOLUME_ML, "nb_frame": FRAMES,
                       "sleep": SETTLING.as_secs_f64(), "flowrate": FLOW_ML_PER_MIN}),
            ),
            Self::FocusPlanes => {
                let mut stop = vec![
                    json!({"step": "pump", "volume_ul": VOLUME_ML * 1e3, "flow_ml_per_min": FLOW_ML_PER_MIN}),
                    json!({"step": "settle", "seconds": SETTLING.as_secs_f64()}),
                ];
                for um in [-60, 0, 60] {
                    stop.push(json!({"step": "focus_to", "um": um}));
                    stop.push(json!({"step": "settle", "seconds": 0.1}));
                    stop.push(json!({"step": "capture"}));
                }
                stop.push(json!({"step": "write"}));
                ("planktor/acquire", json!({"plan": [{"step": "repeat", "times": STOPS, "steps": stop}]}))
            }
        }
    }
}

impl Demo {
    pub(crate) fn run(self) -> Result<ExitCode, Failure> {
        let data = self.data.create()?;
        let (twin, _) = twin(Scenario { seed: self.seed, ..Scenario::default() }, data.clone());
        let board = Arc::new(twin.clone());
        let config = Config::new(board, "twin", Time::Real, Box::new(FileSystem), data.clone());
        let service = Service::start(config, Options::alone())?;
        let broker = service.broker();
        eprintln!("simulated PlanktoScope v3.0 (seed {}) on the MQTT broker {broker}", self.seed);
        let client = Client::connect(broker, "planktor-demo")?;
        let outcome = acquire(&client, self.plan, &twin);
        drop(client);
        service.shut_down();
        service.wait()?;
        let (folder, pumped_nl) = outcome?;
        summary(self.plan, &twin, &folder, &data, pumped_nl)
    }
}

/// Gives the data set's folder and the volume that the pump really moved.
fn acquire(client: &Client, plan: Plan, twin: &Twin) -> Result<(PathBuf, f64), Failure> {
    let nothing = |_: &Said| {};
    client.request("light", json!({"action": "on"}), nothing)?;
    client.request("imager/image", json!({"action": "update_config", "config": config(plan)}), nothing)?;
    let before = twin.world().pumped_nl();
    let (topic, start) = plan.start();
    let bar = ProgressBar::new(plan.frames().into());
    let style = "{bar:40} {pos}/{len} frames, {per_sec}, {eta} left  {msg}";
    bar.set_style(ProgressStyle::with_template(style)?);
    let answer = client.request(topic, start, |Said { topic, payload }| {
        if topic == "status/imager" && payload["type"] == "progress" {
            bar.set_position(payload["current"].as_u64().unwrap_or_default());
        }
    })?;
    bar.finish();
    eprintln!();
    let pumped = twin.world().pumped_nl() - before;
    client.request("light", json!({"action": "off"}), nothing)?;
    Ok((answer["path"].as_str().unwrap_or_default().into(), pumped))
}

fn config(plan: Plan) -> Value {
    let now = Computer.utc();
    let name = match plan {
        Plan::StopFlow => "stop-flow",
        Plan::FocusPlanes => "focus-planes",
    };
    json!({
        "object_date": now.rfc3339()[..10], "object_time": now.rfc3339()[11..19],
        "sample_project": "demonstration", "sample_id": "demo", "sample_operator": "planktor demo",
        "acq_id": format!("{name} {}", now.file_stem()), "acq_instrument": "PlanktoScope v3.0",
        "acq_nb_frame": plan.frames(), "process_pixel": 0.75,
    })
}

fn summary(plan: Plan, twin: &Twin, folder: &Path, data: &Path, pumped_nl: f64) -> Result<ExitCode, Failure> {
    let world = twin.world();
    let truths: Vec<_> = world.truths().cloned().collect();
    let in_motion = truths.iter().filter(|t| t.in_motion() || t.displacement_um() > HALF_A_PIXEL_UM).count();
    let lamp_is_dark = !world.is_lit();
    let motors_are_off = !world.is_enabled(Axis::Pump) && !world.is_enabled(Axis::Focus);
    drop(world);
    let sheet = dataset::contact_sheet(folder, &data.join("contact-sheet.jpg"))?;
    let report = dataset::verify(folder);

    print(format_args!("data set       {}", folder.display()));
    print(format_args!("contact sheet  {}", sheet.display()));
    print(format_args!("frames         {} of {}", truths.len(), plan.frames()));
    print(format_args!(
        "in motion      {in_motion} (exposed while a motor turned, or moved by more than half a pixel)"
    ));
    let asked_ul = f64::from(plan.stops()) * VOLUME_ML * 1e3;
    print(format_args!("pumped         {:.3} uL of {asked_ul:.3} uL asked", pumped_nl / 1e3));
    match plan {
        Plan::StopFlow => print(Period(figures::parts(&truths, SETTLING))),
        Plan::FocusPlanes => print(format_args!("planes         3 at each of {STOPS} stops, 60 um apart")),
    }
    print(known(folder)?);
    print(format_args!(
        "afterwards     lamp {}, motors {}",
        if lamp_is_dark { "dark" } else { "LIT" },
        if motors_are_off { "off" } else { "ON" }
    ));
    print(format_args!("verify         {report}"));
    let good = report.is_valid() && in_motion == 0 && truths.len() == plan.frames() as usize;
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// How time and position were known, from the data set's own metadata.
fn known(folder: &Path) -> Result<String, Failure> {
    let metadata: Value = serde_json::from_slice(&std::fs::read(folder.join("metadata.json"))?)?;
    let (time, place) = (&metadata["planktor_time"], &metadata["planktor_position"]);
    let source = time["source"].as_str().unwrap_or("nothing");
    let position = match (place["latitude"].as_f64(), place["longitude"].as_f64()) {
        (Some(latitude), Some(longitude)) => {
            let (error, age) = (place["error_m"].as_f64().unwrap_or(f64::NAN), place["age_s"].as_f64());
            format!(
                "{latitude}, {longitude} within {error} m, from a fix {:.1} s old",
                age.unwrap_or(f64::NAN)
            )
        }
        _ => "unknown: no fix".into(),
    };
    Ok(format!("time           known from {source}\nposition       {position}"))
}

/// The medians of a run's periods.
struct Period(Vec<Parts>);

impl std::fmt::Display for Period {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let ms = |part: fn(&Parts) -> Duration| {
            figures::median(self.0.iter().map(part)).unwrap_or_default().as_secs_f64() * 1e3
        };
        let missed: u32 = self.0.iter().map(|parts| parts.missed).sum();
        write!(
            f,
            "frame period   {:.1} ms = move {:.1} + settling {:.1} + exposure with read-out {:.1} + wait for the \
             camera's cadence {:.1} + overhead {:.1} (medians; {missed} frame starts missed)",
            ms(|p| p.period),
            ms(|p| p.motion),
            ms(|p| p.settling),
            ms(|p| p.exposure),
            ms(|p| p.cadence),
            ms(|p| p.overhead)
        )
    }
}
