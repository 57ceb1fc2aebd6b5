//! `planktor calibrate ramp`: the fastest ramp that this pump bears, found by trials and confirmed by what came out.
//!
//! Every trial is a command of its own, so nothing is changed until the last one, and whoever stops the pump stops the
//! search.

use super::{Common, Failure, Session, print};
use planktor_protocol::Fault;
use planktor_protocol::pump::Amax;
use planktor_runtime::client::{ClientError, Said};
use planktor_runtime::ramp::{Found, Search, Trial};
use serde_json::{Value, json};
use std::io::Write;
use std::time::Duration;

/// A pump that stalled is switched off and opened anew, at the latest after ten seconds.
const COMES_BACK: Duration = Duration::from_secs(30);
/// A volume check of more strokes than that takes an hour.
const MOST_STROKES: f64 = 10_000.0;
/// Who mistypes so often is not asked again.
const MOST_ASKED: u32 = 3;

#[derive(Debug, clap::Subcommand)]
pub(crate) enum Calibrate {
    /// Find the fastest ramp that the pump bears, check the volume, and keep it
    Ramp(Ramp),
}

#[derive(Debug, clap::Args)]
pub(crate) struct Ramp {
    /// Of a stroke, uL: as in your acquisitions
    #[arg(long, default_value_t = 6.0)]
    volume_ul: f64,
    /// Of a stroke, mL/min: as in your acquisitions
    #[arg(long, default_value_t = 3.0)]
    flow: f64,
    /// Pumped for each measurement, mL
    #[arg(long, default_value_t = 1.0)]
    check_ml: f64,
    /// What came out, mL, with the timid ramp and with the fast one: given beforehand, for a test without water; it proves
    /// nothing [default: asked for]
    #[arg(long, num_args = 2, value_names = ["TIMID", "FAST"])]
    measured_ml: Option<Vec<f64>>,
    #[command(flatten)]
    common: Common,
}

impl Calibrate {
    pub(super) fn carry_out(self) -> Result<(), Failure> {
        let Self::Ramp(Ramp { volume_ul, flow, check_ml, measured_ml, common }) = self;
        let strokes = (check_ml * 1e3 / volume_ul).ceil();
        if !(1.0..=MOST_STROKES).contains(&strokes) {
            return Err(format!(
                "{check_ml} mL in strokes of {volume_ul} uL are {strokes} strokes; expected 1 to {MOST_STROKES}"
            )
            .into());
        }
        let strokes = strokes as u32;
        let guide = Guide { volume_ml: volume_ul / 1e3, flow, strokes, session: common.connect()? };
        let before = guide.session.ask("actuator/pump", json!({"action": "get-ramp"}))?;
        let before = before["amax"].as_u64().and_then(|amax| u32::try_from(amax).ok()).map(Amax);
        let before = before.ok_or("the instrument does not say how its pump accelerates")?;
        guide.say(&format!(
            "The pump accelerates with {before} now. Put its inlet into water and its outlet into a vessel. First it is tried \
             faster and faster, forwards and backwards, until its motor stalls: a minute or two. Then it pumps {check_ml} mL \
             twice, and you measure what came out. Nothing is changed until the end; planktor stop ends it before."
        ));
        let Found { fastest, kept } = guide.search()?;
        guide.say(&format!("The fastest without a stall: {fastest}. To be kept, with a margin: {kept}."));
        if kept == before && kept == Amax::TIMID {
            guide.say("That is what it has: nothing is changed.");
            return Ok(());
        }
        let given = |n: usize| measured_ml.as_ref().and_then(|measured| measured.get(n).copied());
        let (timid_ml, timid_s) = guide.volume("today's ramp", Amax::TIMID, given(0))?;
        let (fast_ml, fast_s) = guide.volume("the new ramp", kept, given(1))?;
        let order = json!({"action": "set-ramp", "amax": kept.0, "fastest_amax": fastest.0, "timid_ml": timid_ml,
                           "fast_ml": fast_ml});
        let answer = guide.session.ask("actuator/pump", order)?;
        let text = format!(
            "kept: {kept}, from the next stroke on; one of {volume_ul} uL takes {fast_s:.2} s instead of {timid_s:.2} s"
        );
        guide.session.tell(&text, &answer)
    }
}

struct Guide {
    session: Session,
    volume_ml: f64,
    flow: f64,
    /// For a measurement.
    strokes: u32,
}

/// How a trial went.
struct Tried {
    stalled: bool,
    /// How long it was to take, s.
    lasts: f64,
}

impl Guide {
    fn search(&self) -> Result<Found, Failure> {
        let mut search = Search::default();
        let mut tried = None;
        while let Some(trial) = search.trial() {
            if tried.replace(trial.amax) != Some(trial.amax) {
                self.say(&format!("Trying {}, forwards and backwards ...", trial.amax));
            }
            let Tried { stalled, .. } = self.tries(trial)?;
            search.went(stalled);
            if stalled {
                self.say("  it stalled; waiting until the pump is back");
                self.comes_back()?;
            }
        }
        let why = "the pump stalls even with today's ramp; check its tubing, its supply and its cable";
        search.found().ok_or_else(|| why.into())
    }

    fn tries(&self, Trial { amax, forwards }: Trial) -> Result<Tried, Failure> {
        let direction = if forwards { "FORWARD" } else { "BACKWARD" };
        let order = json!({"action": "try", "direction": direction, "volume": self.volume_ml, "flowrate": self.flow,
                           "amax": amax.0});
        let mut lasts = 0.0;
        let hear = |said: &Said| {
            let started = said.topic == "status/pump" && said.payload["status"] == "Started";
            lasts = said.payload["duration"].as_f64().filter(|_| started).unwrap_or(lasts);
        };
        let stalled = match self.session.ask_and_hear("actuator/pump", order, hear) {
            Ok(_) => false,
            Err(error) => match error.downcast_ref::<ClientError>() {
                Some(ClientError::Failed(why)) if *why == Fault::Stalled.to_string() => true,
                _ => return Err(error),
            },
        };
        Ok(Tried { stalled, lasts })
    }

    fn comes_back(&self) -> Result<(), Failure> {
        let is_back =
            |said: &Said| said.topic == "planktor/status/device/pump" && said.payload["health"] == "present";
        let why = "the pump did not come back after it stalled; nothing was changed: see planktor status";
        self.session.client.next_of(COMES_BACK, is_back)?.map(drop).ok_or_else(|| why.into())
    }

    /// Pumps strokes, and learns what came out of them, mL, and how long one takes, s.
    fn volume(&self, what: &str, amax: Amax, given: Option<f64>) -> Result<(f64, f64), Failure> {
        if given.is_none() {
            ask("Empty the vessel, then press Enter: ")?;
        }
        let (strokes, ul) = (self.strokes, self.volume_ml * 1e3);
        self.say(&format!("{strokes} strokes of {ul} uL with {what} ({amax}) ..."));
        let mut lasts = 0.0;
        for _ in 0..strokes {
            let tried = self.tries(Trial { amax, forwards: true })?;
            if tried.stalled {
                return Err(format!("the pump stalled with {what}; nothing was changed: search again").into());
            }
            lasts = tried.lasts;
        }
        Ok((given.map_or_else(measured, Ok)?, lasts))
    }

    fn say(&self, text: &str) {
        if self.session.json {
            print(json!({"step": text}) as Value);
        } else {
            print(text);
        }
    }
}

/// As somebody reads it from a scale, mL.
fn measured() -> Result<f64, Failure> {
    for _ in 0..MOST_ASKED {
        let line = ask("How many mL came out? ")?;
        match line.replace(',', ".").parse::<f64>() {
            Ok(ml) if ml > 0.0 && ml.is_finite() => return Ok(ml),
            _ => eprintln!("{line:?} is no volume in mL; expected a number like 1.02"),
        }
    }
    Err("no volume was said; nothing was changed".into())
}

/// A line of whoever sits at the terminal.
fn ask(question: &str) -> Result<String, Failure> {
    eprint!("{question}");
    std::io::stderr().flush()?;
    let mut line = String::new();
    match std::io::stdin().read_line(&mut line)? {
        0 => Err("nobody is there to answer; nothing was changed: give --measured-ml, or a terminal".into()),
        _ => Ok(line.trim().into()),
    }
}
