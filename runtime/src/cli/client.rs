//! Commands to an instrument that runs, over MQTT: an ordinary client, as any other program could be.

mod calibrate;

use super::broker::Broker;
use super::{Failure, print};
use indicatif::{ProgressBar, ProgressStyle};
use planktor_drivers::clock::{Computer, WallClock};
use planktor_runtime::client::{Client, ClientError, Said};
use serde_json::{Map, Value, json};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

/// What a script can tell apart. 2 is clap's: wrong arguments.
const FAILED: u8 = 1;
const REFUSED: u8 = 3;
const UNREACHABLE: u8 = 4;
const INTERRUPTED: u8 = 5;

/// How to reach the instrument, and how to say what it answers.
#[derive(Debug, clap::Args)]
pub(crate) struct Common {
    #[command(flatten)]
    broker: Broker,
    /// Give commands in this name, for which the lease may be
    #[arg(long, value_name = "NAME", env = "PLANKTOR_OWNER")]
    owner: Option<String>,
    /// Print the answer as JSON
    #[arg(long)]
    json: bool,
}

/// Something to be done at an instrument.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Order {
    /// Show what the instrument does now
    Status(Alone),
    /// Show everything that the instrument says, as it comes; Ctrl-C ends it
    Watch(Alone),
    /// Move the pump, or calibrate it
    Pump {
        #[command(subcommand)]
        what: Pump,
    },
    /// Move the focusing stage
    Focus {
        #[command(subcommand)]
        what: Focus,
    },
    /// Switch the lamp
    Light {
        #[command(subcommand)]
        what: Light,
    },
    /// Make a stop-flow acquisition, and wait for its end
    Acquire(Acquire),
    /// Go on with an acquisition that ended early, and wait for its end
    Resume(Resume),
    /// Acquisition protocols: keep, list, estimate, run, pause
    Protocol {
        #[command(subcommand)]
        what: Protocol,
    },
    /// Find out what this instrument's parts bear, step by step
    Calibrate {
        #[command(subcommand)]
        what: calibrate::Calibrate,
    },
    /// Stop everything that moves: acquisition, pump and stage
    Stop(Alone),
    /// Be the only one to operate the instrument for a while
    Lease {
        #[command(subcommand)]
        what: Lease,
    },
}

#[derive(Debug, clap::Args)]
pub(crate) struct Alone {
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, clap::Subcommand)]
pub(crate) enum Pump {
    /// Pump a volume, and wait until it is pumped
    Move {
        /// In uL; negative is backwards
        #[arg(allow_negative_numbers = true)]
        volume_ul: f64,
        /// In mL/min
        #[arg(long, default_value_t = 2.0)]
        flow: f64,
        #[command(flatten)]
        common: Common,
    },
    /// Stop the pump
    Stop(Alone),
    /// Show the pump's full steps for a millilitre, or set them
    Calibration {
        steps_per_ml: Option<f64>,
        #[command(flatten)]
        common: Common,
    },
}

#[derive(Debug, clap::Subcommand)]
pub(crate) enum Focus {
    /// Move the stage, and wait until it stands
    Move {
        /// In um; negative is down
        #[arg(allow_negative_numbers = true)]
        um: f64,
        /// In mm/s
        #[arg(long, default_value_t = 5.0)]
        speed: f64,
        #[command(flatten)]
        common: Common,
    },
    /// Stop the stage
    Stop(Alone),
}

#[derive(Debug, clap::Subcommand)]
pub(crate) enum Light {
    /// Light it
    On {
        /// 0 to 1 [default: the saved level]
        level: Option<f64>,
        #[command(flatten)]
        common: Common,
    },
    /// Darken it
    Off(Alone),
    /// Keep its level for the next "on"
    Save(Alone),
}

#[derive(Debug, clap::Args)]
pub(crate) struct Sample {
    /// Names the sample [default: what was configured before]
    #[arg(long, value_name = "ID", requires = "acquisition")]
    sample: Option<String>,
    /// Names the acquisition; there must be none of that name
    #[arg(long, value_name = "ID", requires = "sample")]
    acquisition: Option<String>,
    /// More metadata: a JSON file with keys as sample_*, acq_*, object_*, process_*
    #[arg(long, value_name = "FILE", requires = "sample")]
    metadata: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Acquire {
    #[command(flatten)]
    sample: Sample,
    /// How many
    #[arg(long, default_value_t = 10)]
    frames: u32,
    /// Pumped before each frame, uL
    #[arg(long, default_value_t = 6.0)]
    volume_ul: f64,
    /// In mL/min
    #[arg(long, default_value_t = 3.0)]
    flow: f64,
    /// Settling before each frame, s
    #[arg(long, default_value_t = 0.5)]
    settle: f64,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Resume {
    /// Its folder, or the end of that: object_date/sample_id/acq_id
    data_set: PathBuf,
    /// For plans that move the stage: it stands where it stood at the last frame; look through the camera first
    #[arg(long)]
    stage_as_it_stands: bool,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Named {
    /// The protocol's name
    name: String,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, clap::Args)]
pub(crate) struct InFile {
    /// The protocol: a JSON file
    file: PathBuf,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, clap::Subcommand)]
pub(crate) enum Protocol {
    /// List them
    List(Alone),
    /// Show one
    Get(Named),
    /// Keep one
    Store {
        /// The protocol's name
        name: String,
        /// What it is: a JSON file
        file: PathBuf,
        #[command(flatten)]
        common: Common,
    },
    /// Forget one
    Delete(Named),
    /// Say whether a file could be carried out
    Validate(InFile),
    /// Say how long it takes, what it pumps, images and needs on disk
    Estimate(Named),
    /// Carry one out, and wait for its end
    Run {
        /// The protocol's name
        name: String,
        #[command(flatten)]
        sample: Sample,
        #[command(flatten)]
        common: Common,
    },
    /// Hold before the next stroke
    Pause(Alone),
    /// Go on
    Resume(Alone),
    /// End it now
    Abort(Alone),
}

#[derive(Debug, clap::Subcommand)]
pub(crate) enum Lease {
    /// Take it, or have it for longer; needs --owner
    Take {
        /// For so long
        #[arg(long, default_value_t = 60.0)]
        seconds: f64,
        /// Even if somebody else has it
        #[arg(long)]
        take_over: bool,
        #[command(flatten)]
        common: Common,
    },
    /// Give it back
    Release(Alone),
    /// Say who has it
    Status(Alone),
}

impl Order {
    pub(crate) fn run(self) -> Result<ExitCode, Failure> {
        match self.carry_out() {
            Ok(()) => Ok(ExitCode::SUCCESS),
            Err(error) => {
                let code = match error.downcast_ref::<ClientError>() {
                    Some(ClientError::Refused(_)) => REFUSED,
                    Some(ClientError::Interrupted) => INTERRUPTED,
                    Some(ClientError::Failed(_)) | None => FAILED,
                    Some(_) => UNREACHABLE,
                };
                eprintln!("planktor: {error}");
                Ok(code.into())
            }
        }
    }

    fn carry_out(self) -> Result<(), Failure> {
        let move_by = |signed: f64, [back, forth]: [&'static str; 2]| if signed < 0.0 { back } else { forth };
        match self {
            Self::Status(Alone { common }) => common.connect()?.status(),
            Self::Watch(Alone { common }) => common.connect()?.watch(),
            Self::Stop(Alone { common }) => {
                let session = common.connect()?;
                let stop = json!({"action": "stop"});
                session.ask("imager/image", stop.clone()).or_else(interrupted)?;
                session.ask("actuator/focus", stop).or_else(interrupted)?;
                session.tell("stopped", &json!({}))
            }
            Self::Pump { what: Pump::Move { volume_ul, flow, common } } => {
                let direction = move_by(volume_ul, ["BACKWARD", "FORWARD"]);
                let volume = volume_ul.abs() / 1e3;
                let order =
                    json!({"action": "move", "direction": direction, "volume": volume, "flowrate": flow});
                common.connect()?.order("actuator/pump", order, "pumped")
            }
            Self::Pump { what: Pump::Stop(Alone { common }) } => common.connect()?.stop("actuator/pump"),
            Self::Pump { what: Pump::Calibration { steps_per_ml, common } } => {
                let session = common.connect()?;
                if let Some(steps) = steps_per_ml {
                    let set = json!({"action": "set-configuration", "pump_steps_per_ml": steps});
                    session.ask("actuator/pump", set)?;
                }
                let answer = session.ask("actuator/pump", json!({"action": "get-configuration"}))?;
                session.tell(&format!("{} full steps for a millilitre", answer["pump_steps_per_ml"]), &answer)
            }
            Self::Calibrate { what } => what.carry_out(),
            Self::Focus { what: Focus::Move { um, speed, common } } => {
                let direction = move_by(um, ["DOWN", "UP"]);
                let distance = um.abs() / 1e3;
                let order =
                    json!({"action": "move", "direction": direction, "distance": distance, "speed": speed});
                common.connect()?.order("actuator/focus", order, "moved")
            }
            Self::Focus { what: Focus::Stop(Alone { common }) } => common.connect()?.stop("actuator/focus"),
            Self::Light { what } => {
                let (common, order) = match what {
                    Light::On { level: Some(level), common } => {
                        (common, json!({"action": "on", "value": level}))
                    }
                    Light::On { level: None, common } => (common, json!({"action": "on"})),
                    Light::Off(Alone { common }) => (common, json!({"action": "off"})),
                    Light::Save(Alone { common }) => (common, json!({"action": "save"})),
                };
                let session = common.connect()?;
                let answer = session.ask("light", order)?;
                session.tell(
                    &format!("light {} at {}", answer["status"], answer["value"]).replace('"', ""),
                    &answer,
                )
            }
            Self::Acquire(Acquire { sample, frames, volume_ul, flow, settle, common }) => {
                let session = common.connect()?;
                session.configure(sample, Some(frames))?;
                let order = json!({"action": "image", "pump_direction": move_by(volume_ul, ["BACKWARD", "FORWARD"]),
                    "volume": volume_ul.abs() / 1e3, "nb_frame": frames, "sleep": settle, "flowrate": flow});
                session.acquire("imager/image", order)
            }
            Self::Resume(Resume { data_set, stage_as_it_stands, common }) => {
                let order = json!({"data_set": name_of(&data_set), "stage_as_it_stands": stage_as_it_stands});
                common.connect()?.acquire("planktor/resume", order)
            }
            Self::Protocol { what } => what.carry_out(),
            Self::Lease { what } => {
                let (common, order) = match what {
                    Lease::Take { seconds, take_over, common } => {
                        (common, json!({"action": "take", "seconds": seconds, "take_over": take_over}))
                    }
                    Lease::Release(Alone { common }) => (common, json!({"action": "release"})),
                    Lease::Status(Alone { common }) => (common, json!({"action": "status"})),
                };
                let session = common.connect()?;
                let answer = session.ask("planktor/lease", order)?;
                let text = match (answer["owner"].as_str(), answer["seconds"].as_f64()) {
                    (Some(owner), Some(seconds)) => format!("{owner} has the lease for {seconds:.0} s more"),
                    _ => "the lease is free".into(),
                };
                session.tell(&text, &answer)
            }
        }
    }
}

/// The instrument knows a data set by its last three folders.
fn name_of(folder: &Path) -> String {
    // A folder of this computer may be named from here; one of another is named as the instrument does.
    let folder = folder.canonicalize().unwrap_or_else(|_| folder.into());
    let names: Vec<_> = folder.components().map(|name| name.as_os_str().to_string_lossy()).collect();
    names[names.len().saturating_sub(3)..].join("/")
}

impl Protocol {
    fn carry_out(self) -> Result<(), Failure> {
        let name = |name: &str| json!({"name": name});
        match self {
            Self::List(Alone { common }) => {
                let session = common.connect()?;
                let answer = session.ask("planktor/protocol/list", json!({}))?;
                let line = |protocol: &Value| {
                    let [name, about] =
                        [&protocol["name"], &protocol["description"]].map(|v| v.as_str().unwrap_or_default());
                    format!("{name:<24} {:>6} frames  {about}", protocol["frames"])
                };
                let lines: Vec<_> = answer["protocols"].as_array().into_iter().flatten().map(line).collect();
                session.tell(&lines.join("\n"), &answer)
            }
            Self::Get(Named { name: which, common }) => {
                let session = common.connect()?;
                let answer = session.ask("planktor/protocol/get", name(&which))?;
                session.tell(&format!("{:#}", answer["protocol"]), &answer["protocol"])
            }
            Self::Store { name, file, common } => {
                let order = json!({"name": name, "protocol": read(&file)?});
                common.connect()?.order("planktor/protocol/store", order, "stored")
            }
            Self::Delete(Named { name: which, common }) => {
                common.connect()?.order("planktor/protocol/delete", name(&which), "deleted")
            }
            Self::Validate(InFile { file, common }) => {
                let order = json!({"protocol": read(&file)?});
                common.connect()?.order("planktor/protocol/validate", order, "valid")
            }
            Self::Estimate(Named { name: which, common }) => {
                let session = common.connect()?;
                let answer = session.ask("planktor/protocol/estimate", name(&which))?;
                let of = |key: &str| answer["estimate"][key].as_f64().unwrap_or(f64::NAN);
                let text = format!(
                    "time     {:.1} min for {} frames\npumped   {:.0} uL\nimaged   {:.1} uL, of which {:.1} uL in focus\n\
                     disk     {:.2} GB of {:.2} GB free",
                    of("seconds") / 60.0,
                    answer["estimate"]["frames"],
                    of("forwards_ul") + of("backwards_ul"),
                    of("imaged_ul"),
                    of("in_focus_ul"),
                    of("bytes") / 1e9,
                    of("free_bytes") / 1e9,
                );
                session.tell(&text, &answer["estimate"])
            }
            Self::Run { name: which, sample, common } => {
                let session = common.connect()?;
                session.configure(sample, None)?;
                session.acquire("planktor/protocol/run", name(&which))
            }
            Self::Pause(Alone { common }) => {
                common.connect()?.order("planktor/protocol/pause", json!({}), "pausing")
            }
            Self::Resume(Alone { common }) => {
                common.connect()?.order("planktor/protocol/resume", json!({}), "goes on")
            }
            Self::Abort(Alone { common }) => common.connect()?.stop("planktor/protocol/abort"),
        }
    }
}

/// A stop is answered as what it does.
fn interrupted(error: Failure) -> Result<Value, Failure> {
    match error.downcast_ref::<ClientError>() {
        Some(ClientError::Interrupted) => Ok(json!({})),
        _ => Err(error),
    }
}

fn read(file: &Path) -> Result<Value, Failure> {
    let failed =
        |error: &dyn std::fmt::Display| format!("failed to read {}: {error}; check the file", file.display());
    let text = std::fs::read_to_string(file).map_err(|error| failed(&error))?;
    Ok(serde_json::from_str(&text).map_err(|error| failed(&error))?)
}

impl Common {
    fn connect(self) -> Result<Session, Failure> {
        let Self { broker, owner, json } = self;
        Ok(Session { client: Client::connect(&broker.or_here()?, "planktor-cli")?, owner, json })
    }
}

/// A conversation with an instrument.
struct Session {
    client: Client,
    owner: Option<String>,
    json: bool,
}

impl Session {
    fn ask(&self, topic: &str, order: Value) -> Result<Value, Failure> {
        self.ask_and_hear(topic, order, |_| {})
    }

    fn ask_and_hear(&self, topic: &str, mut order: Value, hear: impl FnMut(&Said)) -> Result<Value, Failure> {
        if let Some(owner) = &self.owner {
            order["owner"] = owner.as_str().into();
        }
        Ok(self.client.request(topic, order, hear)?)
    }

    fn order(self, topic: &str, order: Value, done: &str) -> Result<(), Failure> {
        let answer = self.ask(topic, order)?;
        self.tell(done, &answer)
    }

    fn stop(self, topic: &str) -> Result<(), Failure> {
        self.ask(topic, json!({"action": "stop"})).or_else(interrupted)?;
        self.tell("stopped", &json!({}))
    }

    fn tell(self, text: &str, answer: &Value) -> Result<(), Failure> {
        if self.json {
            print(answer);
        } else {
            print(text);
        }
        Ok(())
    }

    fn configure(&self, sample: Sample, frames: Option<u32>) -> Result<(), Failure> {
        let (Some(id), Some(acquisition)) = (sample.sample, sample.acquisition) else { return Ok(()) };
        let now = Computer.utc().rfc3339();
        let mut config: Map<String, Value> = match sample.metadata {
            None => Map::new(),
            Some(file) => match read(&file)? {
                Value::Object(keys) => keys,
                _ => return Err(format!("{} is no JSON object; check the file", file.display()).into()),
            },
        };
        config.entry("object_date").or_insert_with(|| now[..10].into());
        config.entry("object_time").or_insert_with(|| now[11..19].into());
        config.insert("sample_id".into(), id.into());
        config.insert("acq_id".into(), acquisition.into());
        if let Some(frames) = frames {
            config.insert("acq_nb_frame".into(), frames.into());
        }
        self.ask("imager/image", json!({"action": "update_config", "config": config}))?;
        Ok(())
    }

    fn acquire(self, topic: &str, order: Value) -> Result<(), Failure> {
        let bar = if self.json { ProgressBar::hidden() } else { ProgressBar::new(0) };
        let style = ProgressStyle::with_template("{bar:40} {pos}/{len} frames, {eta} left  {msg}")?;
        bar.set_style(style);
        let outcome = self.ask_and_hear(topic, order, |said| {
            if said.topic == "planktor/status/acquisition" {
                bar.set_length(said.payload["total"].as_u64().unwrap_or_default());
                bar.set_position(said.payload["current"].as_u64().unwrap_or_default());
                bar.set_message(said.payload["state"].as_str().unwrap_or_default().to_owned());
            }
        });
        bar.finish_and_clear();
        let answer = outcome?;
        self.tell(answer["path"].as_str().unwrap_or("done"), &answer)
    }

    fn status(self) -> Result<(), Failure> {
        let states: Map<_, _> =
            self.client.kept()?.into_iter().map(|said| (said.topic, said.payload)).collect();
        let line = |(topic, said): (&String, &Value)| {
            let topic =
                topic.trim_start_matches("planktor/").trim_start_matches("status/").replace("device/", "");
            let words = said
                .as_object()
                .into_iter()
                .flatten()
                .filter(|(key, _)| !["id", "device"].contains(&key.as_str()));
            let words: Vec<_> = words
                .map(|(key, value)| match (key.as_str(), value.as_str()) {
                    ("status" | "state" | "health" | "reason", Some(text)) => text.to_owned(),
                    (_, Some(text)) => format!("{key} {text}"),
                    _ => format!("{key} {value}"),
                })
                .collect();
            format!("{topic:<20} {}", words.join(", "))
        };
        let mut lines: Vec<_> = states.iter().map(line).collect();
        lines.sort();
        self.tell(&lines.join("\n"), &Value::Object(states.clone()))
    }

    fn watch(self) -> Result<(), Failure> {
        loop {
            if let Some(Said { topic, payload }) = self.client.next(Duration::from_secs(3600))? {
                if self.json {
                    print(json!({"topic": topic, "payload": payload}));
                } else {
                    print(format_args!("{topic} {payload}"));
                }
            }
        }
    }
}
