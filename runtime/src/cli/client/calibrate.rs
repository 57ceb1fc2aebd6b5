//! `planktor calibrate ramp`: the fastest ramp that this pump bears, found by trials and confirmed by what came out.
//!
//! Every trial is a command of its own, so nothing is changed until the last one, and whoever stops the pump stops the
//! search.

use super::{Common, Failure, Session, print};
use planktor_protocol::Fault;
use planktor_protocol::pump::Amax;
use planktor_runtime::client::ClientError;
use planktor_runtime::ramp::{Found, Search, Trial};
use serde_json::{Value, json};
use std::io::Write;
use std::time::Duration;

/// A pump that stalled is switched off and opened anew, at the latest after ten seconds.
const COMES_BACK: Duration = Duration::from_secs(30);
/// A volume check of more strokes than that takes an hour.
const MOST_STROKES: f64 = 10_000.0;

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
    /// What came out, mL: with the timid ramp and with the fast one [default: asked for]
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
        let guide = Guide { volume_ml: volume_ul / 1e3, flow, session: common.connect()? };
        let before = guide.session.ask("actuator/pump", json!({"action": "get-ramp"}))?;
        guide.say(&format!(
            "The pump's ramp is AMAX {} now. Let it draw from water and end in a vessel; planktor stop ends the search, and \
             nothing is changed until the end.",
            before["amax"]
        ));
        let Found { fastest, kept } = guide.search()?;
        guide.say(&format!("The fastest without a stall: {fastest}. To be kept, with a margin: {kept}."));
        let given = |n: usize| measured_ml.as_ref().and_then(|measured| measured.get(n).copied());
        let timid_ml = guide.volume("today's ramp", Amax::TIMID, strokes, given(0))?;
        let fast_ml = guide.volume("the new ramp", kept, strokes, given(1))?;
        let order = json!({"action": "set-ramp", "amax": kept.0, "fastest_amax": fastest.0, "timid_ml": timid_ml,
                           "fast_ml": fast_ml});
        let answer = guide.session.ask("actuator/pump", order)?;
        guide.session.tell(&format!("kept: {kept}, from the next stroke on"), &answer)
    }
}

struct Guide {
    session: Session,
    volume_ml: f64,
    flow: f64,
}

impl Guide {
    fn search(&self) -> Result<Found, Failure> {
        let mut search = Search::default();
        let mut tried = None;
        while let Some(trial) = search.trial() {
            if tried.replace(trial.amax) != Some(trial.amax) {
                self.say(&format!("Trying {}, forwards and backwards ...", trial.amax));
            }
            let stalled = self.stalls(trial)?;
            search.went(stalled);
            if stalled {
                self.say("  it stalled; waiting until the pump is back");
                self.comes_back()?;
            }
        }
        let why = "the pump stalls even with today's ramp; check its tubing, its supply and its cable";
        search.found().ok_or_else(|| why.into())
    }

    fn stalls(&self, Trial { amax, forwards }: Trial) -> Result<bool, Failure> {
        let direction = if forwards { "FORWARD" } else { "BACKWARD" };
        let order = json!({"action": "try", "direction": direction, "volume": self.volume_ml, "flowrate": self.flow,
                           "amax": amax.0});
        match self.session.ask("actuator/pump", order) {
            Ok(_) => Ok(false),
            Err(error) => match error.downcast_ref::<ClientError>() {
                Some(ClientError::Failed(why)) if *why == Fault::Stalled.to_string() => Ok(true),
                _ => Err(error),
            },
        }
    }

    fn comes_back(&self) -> Result<(), Failure> {
        while let Some(said) = self.session.client.next(Some(COMES_BACK))? {
            if said.topic == "planktor/status/device/pump" && said.payload["health"] == "present" {
                return Ok(());
            }
        }
        Err("the pump did not come back after it stalled; nothing was changed: see planktor status".into())
    }

    /// Pumps strokes, and learns what came out of them, mL.
    fn volume(&self, what: &str, amax: Amax, strokes: u32, given: Option<f64>) -> Result<f64, Failure> {
        self.say(&format!(
            "Empty the vessel. {strokes} strokes of {} uL with {what} ({amax}) ...",
            self.volume_ml * 1e3
        ));
        for _ in 0..strokes {
            if self.stalls(Trial { amax, forwards: true })? {
                return Err(format!("the pump stalled with {what}; nothing was changed: search again").into());
            }
        }
        if let Some(ml) = given {
            return Ok(ml);
        }
        eprint!("How many mL came out? ");
        std::io::stderr().flush()?;
        let mut line = String::new();
        std::io::stdin().read_line(&mut line)?;
        let ml = line.trim().parse().ok().filter(|ml: &f64| *ml > 0.0 && ml.is_finite());
        ml.ok_or_else(|| format!("{:?} is no volume in mL; nothing was changed", line.trim()).into())
    }

    fn say(&self, text: &str) {
        if self.session.json {
            print(json!({"step": text}) as Value);
        } else {
            print(text);
        }
    }
}
