//! A rig: a real instrument on a bench, described in a TOML file (`rigs/example.toml`).

use crate::conformance::Bench;
use crate::conformance::mcp4725::I2cBench;
use crate::conformance::tmc5160::MotorBench;
use crate::routine::Limits;
use crossbeam_channel::never;
use planktor_drivers::board::{Hardware, I2c, LampLine, Spi};
use planktor_drivers::clock::Monotonic;
use planktor_drivers::linux::{Description, Linux};
use planktor_drivers::{Board, Clock};
use planktor_protocol::Instant;
use planktor_runtime::mqtt::Address;
use serde::{Deserialize, Deserializer};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// One rig.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rig {
    /// Where its program is reached.
    #[serde(deserialize_with = "address")]
    pub broker: Address,
    /// Its data folder, if it is this computer's.
    pub data: Option<PathBuf>,
    /// Its shipped board, if its chips are this computer's.
    pub board: Option<String>,
    /// For whoever reads the results.
    #[serde(default)]
    pub about: BTreeMap<String, String>,
    /// How far a test may go.
    pub limits: Limits,
}

/// No drop more than a small syringe holds. Whoever starts a rig makes sure that the stage has this much room.
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

/// A real board's chips in real time: the pump's, without current, and HAT 1.2's lamp. A TMC5160 counts without current, too,
/// and nothing moves. The stage's driver is left alone, because its count is what its limits are counted from; an MCP4725, too,
/// because its suite writes what the lamp powers up with.
pub struct RigBench {
    spi: Spi,
    i2c: I2c,
    /// Holds the enable lines off.
    _hardware: Box<dyn Hardware>,
}

impl RigBench {
    /// Opens the pump's driver and the bus of the lamp.
    ///
    /// # Errors
    /// There is no such board, or a node cannot be had: planktor runs, for example.
    pub fn open(board: &str) -> Result<Self, String> {
        let description =
            Description::shipped(board).ok_or_else(|| format!("no board {board} is shipped"))?;
        let board = Linux::new(description);
        let hardware = board.hardware();
        let spi = hardware.pump_spi().map_err(|fault| fault.to_string())?;
        let i2c = match board.slow_buses().lamp().map_err(|fault| fault.to_string())? {
            LampLine::Converter(line) => line.i2c,
            LampLine::Driver { i2c, .. } => i2c,
        };
        Ok(Self { spi, i2c, _hardware: hardware })
    }
}

impl Bench for RigBench {
    fn now(&self) -> Instant {
        Monotonic.now()
    }
    fn pass(&mut self, time: Duration) {
        let _ = never::<()>().recv_timeout(time);
    }
}

impl MotorBench for RigBench {
    fn spi(&mut self) -> &mut Spi {
        &mut self.spi
    }
    fn enable(&mut self, _on: bool) {}
}

impl I2cBench for RigBench {
    fn i2c(&mut self) -> &mut I2c {
        &mut self.i2c
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
