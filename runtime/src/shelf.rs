//! What is small and kept from one start to the next:
//!
//! ```text
//! <data>/hardware.json     the instrument's constants, as PlanktoScopes have them
//! <data>/planktor.json     what the instrument remembers: the lamp's saved level, its LED's hours, the
//!                          last time that it believed
//! <data>/protocols/*.json  acquisition protocols; the file's name is the protocol's
//! ```
//!
//! The first two are the instrument's own. A twin has its own in `<data>/twin/`, or a demo would age a real lamp.
//!
//! Read once, at the start. A file is replaced as a whole: whatever happens, it is as before or as it is to be.

use crate::board::HARDWARE;
use crate::careful::Careful;
use planktor_actors::recording::{Memory, Shelve};
use planktor_actors::supervisor::Kept;
use planktor_drivers::calibration::Calibration;
use planktor_drivers::disk::Disk;
use planktor_protocol::Utc;
use planktor_protocol::library::{LARGEST, MOST, Name};
use planktor_protocol::pump::{Amax, Ramp};
use planktor_protocol::timekeeping::{Saved, Source};
use planktor_protocol::units::{Fraction, MicrometresPerSecond, Nanolitres, NanolitresPerSecond};
use planktor_protocol::wire;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// The board's name of a simulated instrument, and where its own files are.
const TWIN: &str = "twin";
const MEMORY: &str = "planktor.json";
const PROTOCOLS: &str = "protocols";
const PUMP_STEPS: &str = "pump_steps_per_ml";
const PUMP_AMAX: &str = "pump_amax";
/// How that was found; for people.
const PUMP_RAMP: &str = "pump_ramp";

/// What comes with the program.
const SHIPPED: [(&str, &str); 5] = [
    ("stop-flow 100 um", include_str!("../protocols/stop-flow-100-um.json")),
    ("stop-flow 300 um", include_str!("../protocols/stop-flow-300-um.json")),
    ("stop-flow 500 um", include_str!("../protocols/stop-flow-500-um.json")),
    ("focus planes", include_str!("../protocols/focus-planes.json")),
    ("series every hour", include_str!("../protocols/series-every-hour.json")),
];

/// Where everything is.
pub struct Shelf {
    hardware: PathBuf,
    memory: PathBuf,
    data: PathBuf,
}

/// The files of an instrument's shelf as they are now, by the names that they have below a twin's data root: with these, a
/// run begins again, on a twin, as it began. What cannot be read is left out: it is complained of when the instrument starts.
pub fn snapshot(data: &Path, board: &str, hardware: Option<&Path>) -> BTreeMap<String, String> {
    let shelf = Shelf::new(data.into(), board, hardware.map(Into::into));
    let mut files =
        vec![(format!("{TWIN}/{HARDWARE}"), shelf.hardware), (format!("{TWIN}/{MEMORY}"), shelf.memory)];
    for entry in std::fs::read_dir(data.join(PROTOCOLS)).into_iter().flatten().flatten() {
        files.push((format!("{PROTOCOLS}/{}", entry.file_name().to_string_lossy()), entry.path()));
    }
    files.into_iter().filter_map(|(name, path)| Some((name, std::fs::read_to_string(path).ok()?))).collect()
}

/// Puts such files back.
pub(crate) fn restore(disk: &mut dyn Disk, data: &Path, kept: &BTreeMap<String, String>) -> io::Result<()> {
    for (name, text) in kept {
        let path = data.join(name);
        disk.create_dir_all(path.parent().unwrap_or(data))?;
        disk.write(&path, text.as_bytes())?;
    }
    Ok(())
}

/// What was on it.
pub struct Loaded {
    /// The instrument's constants.
    pub calibration: Calibration,
    /// What the instrument remembers.
    pub memory: Memory,
    /// The shipped protocols and those in the folder.
    pub protocols: BTreeMap<Name, Kept>,
}

/// `planktor.json`.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Remembered {
    /// 0 to 1.
    lamp_level: f64,
    led_seconds: f64,
    /// The last time that was believed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    time: Option<SavedTime>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SavedTime {
    /// RFC 3339.
    utc: String,
    /// How it was known, as in metadata.
    source: String,
}

impl Shelf {
    /// Of an instrument with this board, below the data root; `hardware.json` may be elsewhere.
    pub fn new(data: PathBuf, board: &str, hardware: Option<PathBuf>) -> Self {
        let own = if board == TWIN { data.join(TWIN) } else { data.clone() };
        let hardware = hardware.unwrap_or_else(|| own.join(HARDWARE));
        Self { hardware, memory: own.join(MEMORY), data }
    }

    /// Reads everything; what is not there is as in a new instrument.
    ///
    /// # Errors
    /// A file that cannot be read, or says what cannot be: which, where and what to do. A protocol that is wrong is
    /// kept with what is wrong with it.
    pub(crate) fn load(&self, disk: &Careful, usual: Calibration) -> Result<Loaded, String> {
        Ok(Loaded {
            calibration: self.hardware(disk)?.map_or(Ok(usual), |keys| self.calibration(&keys, usual))?,
            memory: self.memory(disk)?,
            protocols: self.protocols(disk)?,
        })
    }

    /// Keeps something.
    ///
    /// # Errors
    /// What failed, and what to do; what was kept before is still there.
    pub(crate) fn keep(&self, disk: &mut Careful, what: Shelve) -> Result<(), String> {
        match what {
            Shelve::PumpSteps(thousandths) => {
                let mut keys = self.hardware(disk)?.unwrap_or_default();
                keys.insert(PUMP_STEPS.into(), wire::motion::steps(thousandths));
                replace(disk, self.hardware.parent().unwrap_or(&self.data), &self.hardware, &keys)
            }
            Shelve::PumpRamp(Ramp { amax, fastest, timid, fast }, utc) => {
                let mut keys = self.hardware(disk)?.unwrap_or_default();
                let ml = |Nanolitres(nl): Nanolitres| nl as f64 / 1e6;
                keys.insert(PUMP_AMAX.into(), amax.0.into());
                let found = json!({"date": utc.rfc3339(), "fastest_amax": fastest.0, "timid_ml": ml(timid),
                                   "fast_ml": ml(fast)});
                keys.insert(PUMP_RAMP.into(), found);
                replace(disk, self.hardware.parent().unwrap_or(&self.data), &self.hardware, &keys)
            }
            Shelve::Memory(Memory { level, lit, time }) => {
                let lamp_level = f64::from(level.millionths()) / 1e6;
                let said =
                    |saved: Saved| SavedTime { utc: saved.utc.rfc3339(), source: saved.source.word().into() };
                let remembered =
                    Remembered { lamp_level, led_seconds: lit.as_secs_f64(), time: time.map(said) };
                replace(disk, &self.data, &self.memory, &remembered)
            }
            Shelve::Protocol(name, text) => {
                let text: Value = serde_json::from_str(&text).unwrap_or_default();
                replace(disk, &self.data, &self.protocol(&name), &text)
            }
            Shelve::NoProtocol(name) => {
                disk.remove(&self.protocol(&name))?;
                disk.sync_dir(&self.data.join(PROTOCOLS))
            }
        }
    }

    fn protocol(&self, name: &Name) -> PathBuf {
        self.data.join(PROTOCOLS).join(format!("{name}.json"))
    }

    fn hardware(&self, disk: &Careful) -> Result<Option<Map<String, Value>>, String> {
        let Some(bytes) = disk.read_if_there(&self.hardware)? else { return Ok(None) };
        let keys = serde_json::from_slice(&bytes).map_err(|why| wrong(&self.hardware, &why))?;
        Ok(Some(keys))
    }

    fn calibration(&self, keys: &Map<String, Value>, usual: Calibration) -> Result<Calibration, String> {
        let number = |key: &str, most: f64, usual: f64| match keys.get(key) {
            None => Ok(usual),
            Some(value) => value.as_f64().filter(|n| *n > 0.0 && *n <= most).ok_or_else(|| {
                wrong(&self.hardware, &format!("{key} is {value}; expected a number above 0, up to {most}"))
            }),
        };
        let amax = match keys.get(PUMP_AMAX) {
            None => usual.pump_amax,
            Some(value) => {
                let whole = value.as_u64().and_then(|n| u32::try_from(n).ok());
                let (least, most) = (Amax::LEAST, Amax::MOST);
                let amax = whole.filter(|amax| (least..=most).contains(amax)).map(Amax);
                let expected = format!("expected a whole number from {least} to {most}");
                amax.ok_or_else(|| wrong(&self.hardware, &format!("{PUMP_AMAX} is {value}; {expected}")))?
            }
        };
        let usual_flow = usual.pump_max_flow.0 as f64 * 60.0 / 1e6;
        let thousandths = |number: f64| (number * 1e3).round() as u32;
        Ok(Calibration {
            pump_millisteps_per_ml: thousandths(number(
                PUMP_STEPS,
                1e6,
                f64::from(usual.pump_millisteps_per_ml) / 1e3,
            )?),
            pump_max_flow: NanolitresPerSecond(
                (number("pump_max_speed", 1e3, usual_flow)? * 1e6 / 60.0) as i64,
            ),
            pump_amax: amax,
            focus_millisteps_per_mm: thousandths(number(
                "focus_steps_per_mm",
                1e6,
                f64::from(usual.focus_millisteps_per_mm) / 1e3,
            )?),
            focus_max_speed: MicrometresPerSecond(
                (number("focus_max_speed", 1e3, usual.focus_max_speed.0 as f64 / 1e3)? * 1e3) as i64,
            ),
            pixel_nm: thousandths(number("process_pixel_fixed", 1e3, f64::from(usual.pixel_nm) / 1e3)?),
            ..usual
        })
    }

    fn memory(&self, disk: &Careful) -> Result<Memory, String> {
        let path = &self.memory;
        let Some(bytes) = disk.read_if_there(path)? else { return Ok(Memory::default()) };
        let Remembered { lamp_level, led_seconds, time } =
            serde_json::from_slice(&bytes).map_err(|why| wrong(path, &why))?;
        let level = (0.0..=1.0).contains(&lamp_level).then(|| (lamp_level * 1e6).round() as u32);
        let level = level.and_then(Fraction::from_millionths);
        let level =
            level.ok_or_else(|| wrong(path, &format!("lamp_level is {lamp_level}; expected 0 to 1")))?;
        let lit = Duration::try_from_secs_f64(led_seconds)
            .map_err(|_| wrong(path, &format!("led_seconds is {led_seconds}; expected 0 or more")))?;
        let time = time.map(|time| {
            let both = Utc::parse(&time.utc).zip(Source::from_word(&time.source));
            both.map(|(utc, source)| Saved { utc, source }).ok_or_else(|| {
                let SavedTime { utc, source } = &time;
                let expected = "a time like 2026-06-01T08:00:00Z and gps, network, rtc, computer or unset";
                wrong(path, &format!("time is {utc:?} from {source:?}; expected {expected}"))
            })
        });
        Ok(Memory { level, lit, time: time.transpose()? })
    }

    fn protocols(&self, disk: &Careful) -> Result<BTreeMap<Name, Kept>, String> {
        let mut all = BTreeMap::new();
        for path in disk.list(&self.data.join(PROTOCOLS))? {
            let stem = path.file_stem().and_then(|stem| stem.to_str()).and_then(Name::new);
            let json = path.extension().is_some_and(|extension| extension == "json");
            if let (Some(name), true, true) = (stem, json, all.len() < MOST) {
                let text = disk.read(&path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
                let text = text.and_then(|text| {
                    let fits = text.len() <= 2 * LARGEST;
                    fits.then_some(text).ok_or_else(|| format!("it is larger than {LARGEST} bytes"))
                });
                let protocol = text.and_then(|text| wire::library::protocol(&text)).map(Arc::new);
                all.insert(name, Kept { protocol, shipped: false });
            }
        }
        for (name, text) in SHIPPED {
            let name = Name::new(name).expect("shipped names are right");
            all.insert(name, Kept { protocol: wire::library::protocol(text).map(Arc::new), shipped: true });
        }
        Ok(all)
    }
}

/// Writes a file that people read, too.
fn replace(disk: &mut Careful, root: &Path, path: &Path, value: &impl Serialize) -> Result<(), String> {
    let mut bytes = serde_json::to_vec_pretty(value).expect("it has nothing that JSON has not");
    bytes.push(b'\n');
    disk.replace(root, path, &bytes)
}

fn wrong(path: &Path, why: &impl std::fmt::Display) -> String {
    format!("{}: {why}; correct the file, or move it away", path.display())
}

#[cfg(test)]
mod tests {
    use super::*;
    use planktor_drivers::disk::FileSystem;

    #[test]
    fn the_last_believed_time_is_kept_and_a_file_from_before_has_none() {
        let root = tempfile::tempdir().unwrap();
        let shelf = Shelf::new(root.path().into(), "board", None);
        let mut disk = Careful(Box::new(FileSystem));
        let saved =
            Saved { utc: Utc::parse("2026-06-01T08:00:00.000007Z").unwrap(), source: Source::Network };
        let memory = Memory { time: Some(saved), ..Memory::default() };
        shelf.keep(&mut disk, Shelve::Memory(memory)).unwrap();
        assert_eq!(shelf.memory(&disk), Ok(memory));
        let write = |text: &str| std::fs::write(root.path().join(MEMORY), text).unwrap();
        write(r#"{"lamp_level": 1.0, "led_seconds": 0.0}"#);
        assert_eq!(shelf.memory(&disk), Ok(Memory::default()));
        write(r#"{"lamp_level": 1, "led_seconds": 0, "time": {"utc": "soon", "source": "gps"}}"#);
        let why = shelf.memory(&disk).unwrap_err();
        assert!(why.contains("\"soon\" from \"gps\"; expected a time"), "{why}");
    }
}
