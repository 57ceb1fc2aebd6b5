//! A rig: a real instrument on a bench, described in a TOML file (`rigs/example.toml`).

use crate::routine::Limits;
use planktor_runtime::mqtt::Address;
use serde::{Deserialize, Deserializer};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// One rig.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rig {
    /// Where its program is reached.
    #[serde(deserialize_with = "address")]
    pub broker: Address,
    /// Its data folder, if it is this computer's.
    pub data: Option<PathBuf>,
    /// For whoever reads the results.
    #[serde(default)]
    pub about: BTreeMap<String, String>,
    /// How far a test may go.
    pub limits: Limits,
}

/// No drop more than a small syringe holds, no move that could reach the lens.
const MOST_ML: f64 = 1.0;
const MOST_MM: f64 = 1.0;

impl Rig {
    /// Reads one.
    ///
    /// # Errors
    /// It cannot be read, or allows more than a test may ever do.
    pub fn read(path: &Path) -> Result<Self, String> {
        let failed = |why: String| format!("{}: {why}", path.display());
        let text = std::fs::read_to_string(path).map_err(|error| failed(error.to_string()))?;
        let rig: Self = toml::from_str(&text).map_err(|error| failed(error.to_string()))?;
        let Limits { volume_ml, flow_ml_min, height_mm, light, .. } = rig.limits;
        let within = |name, value: f64, most: f64| match value > 0.0 && value <= most {
            true => Ok(()),
            false => Err(failed(format!(
                "limits.{name} is {value}; a test does no more than {most}, and more than 0"
            ))),
        };
        within("volume_ml", volume_ml, MOST_ML)?;
        within("flow_ml_min", flow_ml_min, 20.0)?;
        within("height_mm", height_mm, MOST_MM)?;
        within("light", light, 1.0)?;
        Ok(rig)
    }
}

fn address<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Address, D::Error> {
    String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_is_a_rig_and_too_much_is_refused() {
        let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("rigs/example.toml");
        let rig = Rig::read(&example).expect("the example is right");
        assert_eq!(rig.broker.port, 1883);
        let text = std::fs::read_to_string(&example).expect("it is there");
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("rig.toml");
        let refused = |from: &str, to: &str| {
            std::fs::write(&path, text.replacen(from, to, 1)).expect("it is written");
            Rig::read(&path).expect_err("it is too much")
        };
        assert!(refused("volume_ml = 0.05", "volume_ml = 20").contains("limits.volume_ml is 20"));
        assert!(refused("height_mm = 0.1", "height_mm = nan").contains("limits.height_mm is NaN"));
        assert!(refused("light = 1", "lamp = 1").contains("lamp"));
    }
}
