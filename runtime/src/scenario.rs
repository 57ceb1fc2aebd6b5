//! A scenario: a world, what breaks in it, and perhaps what a client says, as one TOML file. Data only; a file that
//! says something impossible is refused with line and key.
//!
//! ```toml
//! seed = 7
//! hat = "3.3"                      # 1.2, 3.3
//! preset = "medium"                # high, medium, low
//! rtc = "ds3231"                   # a battery-backed clock: ds3231, rv-3028; none, if nothing is said
//! network = false                  # whether chrony keeps the computer's clock right
//! [parameters]                     # numbers of the world: planktor parameters
//! roll_um = 5
//! [[fault]]
//! what = { cable-pulled = "pump" }
//! when = { after = { topic = "status/pump", status = "Started", count = 2 } }
//! for_s = 3
//! [[message]]                      # played by planktor run --twin FILE --hurry
//! at_s = 1
//! topic = "light"
//! payload = { action = "on" }
//! ```

use crate::mqtt::Message;
use planktor_drivers::calibration::Calibration;
use planktor_protocol::Utc;
use planktor_sim::scene::Format;
use planktor_sim::{Fault, Hat, Parameters, Preset, RtcChip, Settings};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;
use std::time::Duration;

/// A world, what breaks in it, and what is said.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Scenario {
    /// Everything random follows from it.
    pub seed: u64,
    /// Which board: `"1.2"` (PlanktoScope v2.6) or `"3.3"` (v3.0).
    pub hat: Hat,
    /// Lenses and flow cell.
    pub preset: Preset,
    /// In which form pictures leave the camera.
    pub format: Format,
    /// Pixels across and down; the field of view stays the same.
    pub frame: Frame,
    /// The battery-backed clock, if somebody has added one: `"ds3231"` or `"rv-3028"`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rtc: Option<RtcChip>,
    /// Whether chrony keeps the computer's clock right over a network, until somebody sets it.
    pub network: bool,
    /// The true time at the start, in virtual time; in real time it is the computer's.
    #[serde(serialize_with = "write_utc", deserialize_with = "read_utc")]
    pub began: Utc,
    /// Virtual time after which it is over.
    pub limit_s: Seconds,
    /// The world's numbers.
    pub parameters: Parameters,
    /// What breaks, and when.
    #[serde(rename = "fault", deserialize_with = "few")]
    pub faults: Vec<Mischief>,
    /// What a client says, and when.
    #[serde(rename = "message")]
    pub messages: Vec<Said>,
}

/// Something that breaks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mischief {
    /// What.
    pub what: Fault,
    /// When; at once, if nothing is said.
    #[serde(default)]
    pub when: When,
    /// For how long; without it, for good.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub for_s: Option<Seconds>,
}

/// When something breaks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum When {
    /// So long after the start.
    AtS(Seconds),
    /// After something was published.
    After(Occasion),
    /// Again and again, at random; so long from one to the next in the mean.
    EveryS(Seconds),
}

/// Something that is published.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Occasion {
    /// On which topic.
    pub topic: String,
    /// With which status; any, if nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    /// At which time that it is.
    #[serde(default = "once")]
    pub count: u32,
    /// And so long after that.
    #[serde(default)]
    pub delay_s: Seconds,
}

/// What a client says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Said {
    /// So long after the start.
    pub at_s: Seconds,
    /// On which topic.
    pub topic: String,
    /// What.
    pub payload: Value,
}

/// A duration in seconds, up to ten years.
#[derive(Clone, Copy, Debug, Default, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(try_from = "f64", into = "f64")]
pub struct Seconds(f64);

/// Pixels across and down, as the IMX477 or smaller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "(u32, u32)", into = "(u32, u32)")]
pub struct Frame(u32, u32);

/// A summer's morning, 2026-06-01T08:00:00Z: after anything that a clock is believed to say.
const BEGAN: Utc = Utc::from_micros(1_780_300_800_000_000);

impl Default for Scenario {
    fn default() -> Self {
        Self {
            seed: 1,
            hat: Hat::default(),
            preset: Preset::default(),
            format: Format::default(),
            frame: Frame::from_settings(Settings::FULL_FRAME),
            rtc: None,
            network: false,
            began: BEGAN,
            limit_s: Seconds(3_600.0),
            parameters: Parameters::default(),
            faults: vec![],
            messages: vec![],
        }
    }
}

impl Default for When {
    fn default() -> Self {
        Self::AtS(Seconds(0.0))
    }
}

impl Scenario {
    /// Reads a file's text.
    ///
    /// # Errors
    /// What is wrong, with line and key.
    pub fn parse(text: &str) -> Result<Self, toml::de::Error> {
        toml::from_str(text)
    }

    /// What the instrument's constants are.
    pub fn calibration(&self) -> Calibration {
        let usual = match self.hat {
            Hat::V1_2 => Calibration::V2_6,
            Hat::V3_3 => Calibration::V3_0,
        };
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "some hundred nanometres"
        )]
        let pixel_nm = (self.preset.pixel_um() * 1e3).round() as u32;
        Calibration { pixel_nm, ..usual }
    }

    /// As a file's text.
    pub fn text(&self) -> String {
        toml::to_string(self)
            .unwrap_or_else(|why| format!("# this scenario cannot be written as a file: {why}\n"))
    }

    /// The twin's settings in this scenario, for a monotonic clock that was zero at `began`.
    pub fn settings(&self, began: Utc) -> Settings {
        let Self { seed, hat, preset, format, frame, rtc, network, parameters, .. } = *self;
        Settings { hat, preset, format, rtc, network, parameters, ..Settings::new(seed, frame.into(), began) }
    }
}

impl Said {
    /// As it is sent.
    pub fn message(&self) -> Message {
        // Text is sent as it is: so a scenario can say what is not JSON.
        let payload = self.payload.as_str().map_or_else(|| self.payload.to_string(), String::from);
        Message { topic: self.topic.clone(), payload: payload.into_bytes(), ..Message::default() }
    }
}

impl Seconds {
    const MOST: f64 = 10.0 * 366.0 * 86_400.0;

    /// As a duration.
    pub fn duration(self) -> Duration {
        Duration::from_secs_f64(self.0)
    }
}

impl TryFrom<f64> for Seconds {
    type Error = String;
    fn try_from(seconds: f64) -> Result<Self, String> {
        let possible = (0.0..=Self::MOST).contains(&seconds);
        possible
            .then_some(Self(seconds))
            .ok_or_else(|| format!("{seconds} s is outside 0 to {} s", Self::MOST))
    }
}

impl From<Seconds> for f64 {
    fn from(seconds: Seconds) -> Self {
        seconds.0
    }
}

impl From<Duration> for Seconds {
    /// What is longer than ten years is ten years.
    fn from(duration: Duration) -> Self {
        Self(duration.as_secs_f64().min(Self::MOST))
    }
}

impl Frame {
    const fn from_settings((width, height): (u32, u32)) -> Self {
        Self(width, height)
    }
}

impl TryFrom<(u32, u32)> for Frame {
    type Error = String;
    fn try_from((width, height): (u32, u32)) -> Result<Self, String> {
        let (most_wide, most_high) = Settings::FULL_FRAME;
        let possible = (1..=most_wide).contains(&width) && (1..=most_high).contains(&height);
        possible
            .then_some(Self(width, height))
            .ok_or_else(|| format!("{width} x {height} is outside 1 x 1 to {most_wide} x {most_high} pixels"))
    }
}

impl From<Frame> for (u32, u32) {
    fn from(Frame(width, height): Frame) -> Self {
        (width, height)
    }
}

/// More is nobody's scenario; each may break things a thousand times.
pub const MOST_FAULTS: usize = 100;

fn few<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Mischief>, D::Error> {
    let faults = Vec::deserialize(deserializer)?;
    let fit = faults.len() <= MOST_FAULTS;
    fit.then_some(faults)
        .ok_or_else(|| serde::de::Error::custom(format!("at most {MOST_FAULTS} faults are possible")))
}

fn once() -> u32 {
    1
}

fn write_utc<S: Serializer>(utc: &Utc, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&utc.rfc3339())
}

fn read_utc<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Utc, D::Error> {
    let text = String::deserialize(deserializer)?;
    Utc::parse(&text).ok_or_else(|| serde::de::Error::custom("expected a time like 2026-06-01T08:00:00Z"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scenario_says_world_faults_and_messages() {
        let scenario = Scenario::parse(
            r#"
            seed = 7
            preset = "high"
            frame = [96, 72]
            [parameters]
            roll_um = 5
            [[fault]]
            what = { cable-pulled = "pump" }
            when = { after = { topic = "status/pump", status = "Started", count = 2 } }
            for_s = 3
            [[fault]]
            what = "disk-full"
            [[message]]
            at_s = 1
            topic = "light"
            payload = { action = "on" }
            "#,
        )
        .unwrap();
        assert_eq!((scenario.seed, scenario.preset, scenario.parameters.roll_um), (7, Preset::High, 5.0));
        assert_eq!(scenario.faults[0].for_s, Some(Seconds(3.0)));
        assert_eq!(scenario.faults[1].when, When::AtS(Seconds(0.0)));
        assert_eq!(scenario.messages[0].message().payload, br#"{"action":"on"}"#);
        assert_eq!(Scenario::parse(&scenario.text()).unwrap(), scenario, "as the explorer keeps it");
        let json = serde_json::to_string(&scenario).unwrap();
        assert_eq!(serde_json::from_str::<Scenario>(&json).unwrap(), scenario, "as a journal keeps it");
    }

    #[test]
    fn the_usual_world_is_the_one_that_its_words_say() {
        assert_eq!(BEGAN.rfc3339(), "2026-06-01T08:00:00.000000Z");
        assert_eq!(Scenario::parse("").unwrap(), Scenario::default());
    }

    /// Line and key must both be in what a person reads.
    #[test]
    fn what_is_impossible_is_refused_with_line_and_key() {
        for (text, line, word) in [
            ("seed = 1\nsed = 2", 2, "sed"),
            ("seed = -1", 1, "seed"),
            ("seed = 1\n\n[parameters]\nrol_um = 1", 4, "rol_um"),
            ("[parameters]\nroll_um = 1\nroll_period_s = 500", 3, "outside 5 to 15"),
            ("[parameters]\nroll_um = \"much\"", 2, "roll_um"),
            ("preset = \"huge\"", 1, "huge"),
            ("frame = [5000, 10]", 1, "5000 x 10"),
            ("began = \"today\"", 1, "2026-06-01T08:00:00Z"),
            ("\n[[fault]]\nwhat = \"disk-fool\"", 3, "disk-fool"),
            ("[[fault]]\nwhat = \"disk-full\"\nfor_s = -1", 3, "-1 s is outside"),
            ("[[fault]]\nwhat = \"disk-full\"\nfor_s = nan", 3, "NaN"),
            ("[[fault]]\nwhat = \"disk-full\"\nwen = { at_s = 1 }", 3, "wen"),
            ("[[fault]]\nwhat = \"disk-full\"\nwhen = { at_s = 1, every_s = 2 }", 3, "when"),
            ("[[fault]]\nfor_s = 1", 1, "what"),
            ("[[fault]]\nwhat = { wrong-date = \"soon\" }", 2, "1980-01-06T00:00:00Z"),
            ("[[fault]]\nwhat = { motor-slipping = { of = \"pump\", lost = 2 } }", 2, "2 is outside 0 to 1"),
            ("[[fault]]\nwhat = { position-jump = { latitude = 91, longitude = 0 } }", 2, "91 is outside"),
            ("[[fault]]\nwhat = { disk-slow = { times = 0.5 } }", 2, "0.5 is outside"),
            ("[[fault]]\nwhat = { clock-step = { by_s = inf } }", 2, "inf is outside"),
            ("[[fault]]\nwhat = { cable-pulled = \"gps\" }", 2, "gps"),
            ("[[message]]\nat_s = 1\ntopic = \"light\"", 1, "payload"),
            ("seed = ", 1, ""),
            (&"[[fault]]\nwhat = \"no-fix\"\n".repeat(101), 1, "at most 100"),
        ] {
            let error = Scenario::parse(text).unwrap_err().to_string();
            assert!(error.contains(&format!("line {line},")), "{text:?}: {error}");
            assert!(error.contains(word), "{text:?}: {error}");
        }
    }
}
