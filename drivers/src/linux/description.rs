//! What a board is, as data: one TOML file says which chip is on which bus, at which address and pin.
//!
//! Shipped: `drivers/boards/*.toml`. Somebody else's board is a file of the same form. Nodes are paths of the kernel's
//! device nodes; pins are lines of the one GPIO chip that has the header's pins, found by its label, because its number
//! differs from kernel to kernel.

use super::{csi, v4l};
use crate::calibration::Calibration;
use serde::{Deserialize, Deserializer};

/// Text that outlives everything: a fault names a node, and is a plain value.
pub type Lasting = &'static str;

/// One board.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Description {
    /// What people call it; goes into the metadata.
    #[serde(deserialize_with = "lasting")]
    pub name: Lasting,
    /// As in `hardware.json`: 1.2, 3.3, or another's own.
    pub hat_version: String,
    /// Whose constants hold where `hardware.json` says nothing.
    pub instrument: Instrument,
    /// Labels of the GPIO chip that has the header's pins; the first that is there.
    pub gpio: Vec<String>,
    /// Lines on which the motor drivers call when a move has ended: DIAG0 of a TMC5160 whose SD_MODE is low. One for both, or
    /// one each: which is whose nobody needs to know. A line that says nothing, or nonsense, is no harm.
    #[serde(default)]
    pub diag: Vec<u8>,
    /// The pump's motor driver.
    pub pump: MotorDriver,
    /// The stage's motor driver.
    pub focus: MotorDriver,
    /// The lamp.
    pub light: Light,
    /// The bubbler, if there is one.
    pub bubbler: Option<Converter>,
    /// Battery-backed clocks that may be fitted; the first that answers is used.
    #[serde(default)]
    pub rtc: Vec<RtcChip>,
    /// The display, if there is one.
    pub display: Option<Panel>,
    /// The EEPROM, if there is one.
    pub eeprom: Option<Eeprom>,
    /// The camera, if there is one.
    pub camera: Option<Camera>,
}

/// A display on SPI: mode 0, 4 MHz.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(tag = "chip", rename_all = "lowercase", deny_unknown_fields)]
pub enum Panel {
    /// E-paper behind an SSD1680.
    Ssd1680 {
        /// Its node; its chip select is the kernel's.
        #[serde(deserialize_with = "lasting")]
        spi: Lasting,
        /// DC.
        data: u8,
        /// RST.
        reset: u8,
        /// BUSY.
        busy: u8,
        /// PWR.
        power: u8,
    },
}

/// Where it is written who the instrument is.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(tag = "chip", deny_unknown_fields)]
pub enum Eeprom {
    /// A 24C32.
    #[serde(rename = "24c32")]
    At24c32 {
        /// Its bus's node.
        #[serde(deserialize_with = "lasting")]
        i2c: Lasting,
        /// 0x50 to 0x57.
        address: u8,
        /// The pin that is low to write.
        write_protect: u8,
    },
}

/// How a camera is reached.
#[derive(Clone, Debug, Deserialize)]
#[serde(tag = "driver", rename_all = "lowercase")]
pub enum Camera {
    /// By Video4Linux.
    V4l(v4l::Settings),
    /// By libcamera, as a Raspberry Pi's own.
    Csi(csi::Settings),
}

/// PlanktoScopes that differ in pump and stage.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub enum Instrument {
    /// PlanktoScope v2.6.
    #[serde(rename = "v2.6")]
    V2_6,
    /// PlanktoScope v3.0.
    #[serde(rename = "v3.0")]
    V3_0,
}

impl Instrument {
    /// As its EEPROM has it.
    pub fn word(self) -> &'static str {
        match self {
            Self::V2_6 => "v2.6",
            Self::V3_0 => "v3.0",
        }
    }

    /// Its constants as shipped.
    pub fn calibration(self) -> Calibration {
        match self {
            Self::V2_6 => Calibration::V2_6,
            Self::V3_0 => Calibration::V3_0,
        }
    }
}

/// A motor driver on SPI: mode 3, 1 MHz, 8 bits a word.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(tag = "chip", rename_all = "lowercase", deny_unknown_fields)]
pub enum MotorDriver {
    /// A TMC5160.
    Tmc5160 {
        /// Its node, as `/dev/spidev0.0`.
        #[serde(deserialize_with = "lasting")]
        spi: Lasting,
        /// The pin that gives the motor its current, active low.
        enable: u8,
    },
}

/// How a lamp is lit.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(tag = "chip", rename_all = "lowercase", deny_unknown_fields)]
pub enum Light {
    /// By a voltage.
    Mcp4725 {
        /// Its bus's node, as `/dev/i2c-1`.
        #[serde(deserialize_with = "lasting")]
        i2c: Lasting,
        /// 0x60 to 0x67.
        address: u8,
    },
    /// By a LED driver; its address is fixed.
    Lm36011 {
        /// Its bus's node.
        #[serde(deserialize_with = "lasting")]
        i2c: Lasting,
        /// The pin that is high to select the LED.
        select: u8,
        /// The pin that is high while it is to light, where it is wired: frames are strobed over the bus without it.
        strobe: Option<u8>,
    },
}

/// A digital-to-analogue converter.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(tag = "chip", rename_all = "lowercase", deny_unknown_fields)]
pub enum Converter {
    /// An MCP4725.
    Mcp4725 {
        /// Its bus's node.
        #[serde(deserialize_with = "lasting")]
        i2c: Lasting,
        /// 0x60 to 0x67.
        address: u8,
    },
}

/// A battery-backed clock; chips' addresses are fixed.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(tag = "chip", rename_all = "lowercase", deny_unknown_fields)]
pub enum RtcChip {
    /// A DS3231.
    Ds3231 {
        /// Its bus's node.
        #[serde(deserialize_with = "lasting")]
        i2c: Lasting,
    },
    /// An RV-3028-C7.
    #[serde(rename = "rv-3028")]
    Rv3028 {
        /// Its bus's node.
        #[serde(deserialize_with = "lasting")]
        i2c: Lasting,
    },
    /// The kernel's, whatever chip that is.
    Kernel {
        /// A file with seconds since 1970.
        #[serde(deserialize_with = "lasting")]
        file: Lasting,
    },
}

/// Shipped boards.
const SHIPPED: [&str; 2] =
    [include_str!("../../boards/hat-1.2.toml"), include_str!("../../boards/hat-3.3.toml")];

impl Description {
    /// Reads one.
    ///
    /// # Errors
    /// What is wrong in which line.
    pub fn parse(text: &str) -> Result<Self, String> {
        let board: Self = toml::from_str(text).map_err(|error| error.to_string())?;
        board.check().map(|()| board)
    }

    /// All shipped boards.
    pub fn all_shipped() -> impl Iterator<Item = Self> {
        SHIPPED.into_iter().map(|text| Self::parse(text).expect("shipped boards are right"))
    }

    /// The shipped board with this version.
    pub fn shipped(hat_version: &str) -> Option<Self> {
        Self::all_shipped().find(|board| board.hat_version == hat_version)
    }

    /// What a board cannot be: one pin for two things, two chips at one place, an address that the chip has not.
    fn check(&self) -> Result<(), String> {
        let (MotorDriver::Tmc5160 { spi: a, enable: first }, MotorDriver::Tmc5160 { spi: b, enable: second }) =
            (self.pump, self.focus);
        if a == b {
            return Err(format!(
                "pump and focus are both on {a}; each motor driver has a chip select of its own"
            ));
        }
        let (select, strobe) = match self.light {
            Light::Lm36011 { select, strobe, .. } => (Some(select), strobe),
            Light::Mcp4725 { .. } => (None, None),
        };
        let pins = [
            Some(("pump.enable", first)),
            Some(("focus.enable", second)),
            select.map(|pin| ("light.select", pin)),
            strobe.map(|pin| ("light.strobe", pin)),
        ];
        let protect =
            self.eeprom.map(|Eeprom::At24c32 { write_protect, .. }| ("eeprom.write_protect", write_protect));
        let panel = self.display.map(|Panel::Ssd1680 { data, reset, busy, power, .. }| {
            [
                ("display.data", data),
                ("display.reset", reset),
                ("display.busy", busy),
                ("display.power", power),
            ]
        });
        let diag = self.diag.iter().map(|pin| ("diag", *pin));
        let pins = pins.into_iter().chain([protect]).flatten().chain(panel.into_iter().flatten());
        let pins: Vec<_> = pins.chain(diag).collect();
        for (n, (one, pin)) in pins.iter().enumerate() {
            if let Some((other, _)) = pins[n + 1..].iter().find(|(_, other)| other == pin) {
                return Err(format!("{one} and {other} are both GPIO {pin}; each needs a pin of its own"));
            }
        }
        let light =
            if let Light::Mcp4725 { i2c, address } = self.light { Some((i2c, address)) } else { None };
        let bubbler = self.bubbler.map(|Converter::Mcp4725 { i2c, address }| (i2c, address));
        for (whose, (_, address)) in
            [("light", light), ("bubbler", bubbler)].into_iter().filter_map(|(w, at)| Some((w, at?)))
        {
            if !(0x60..=0x67).contains(&address) {
                return Err(format!(
                    "{whose}.address is {address:#04x}; an MCP4725 has one from 0x60 to 0x67"
                ));
            }
        }
        if let Some(Eeprom::At24c32 { address, .. }) = self.eeprom
            && !(0x50..=0x57).contains(&address)
        {
            return Err(format!("eeprom.address is {address:#04x}; a 24C32 has one from 0x50 to 0x57"));
        }
        if light.is_some() && light == bubbler {
            return Err("light and bubbler have the same address on the same bus; each needs its own".into());
        }
        Ok(())
    }
}

/// There is one board a program: what it is described by may stay.
fn lasting<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Lasting, D::Error> {
    Ok(Box::leak(String::deserialize(deserializer)?.into_boxed_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shipped_boards_are_right_and_known_by_their_versions() {
        let versions: Vec<_> = Description::all_shipped().map(|board| board.hat_version).collect();
        assert_eq!(versions, ["1.2", "3.3"]);
        let old = Description::shipped("1.2").unwrap();
        assert!(
            matches!(old.light, Light::Lm36011 { select: 18, strobe: Some(22), .. }) && old.bubbler.is_none()
        );
        assert!(Description::all_shipped().all(|board| board.diag == [16, 20]));
        let new = Description::shipped("3.3").unwrap();
        assert!(matches!(new.light, Light::Mcp4725 { address: 0x62, .. }));
        assert!(matches!(new.bubbler, Some(Converter::Mcp4725 { address: 0x60, .. })));
        assert!(Description::shipped("2.0").is_none());
    }

    #[test]
    fn what_a_board_cannot_be_is_named() {
        let wrong = |from: &str, to: &str| {
            let text = SHIPPED[0].replacen(from, to, 1);
            assert_ne!(text, SHIPPED[0]);
            Description::parse(&text).unwrap_err()
        };
        assert!(wrong("enable = 5", "enable = 23").contains("pump.enable and focus.enable are both GPIO 23"));
        assert!(
            wrong("strobe = 22", "strobe = 18").contains("light.select and light.strobe are both GPIO 18")
        );
        assert!(wrong("diag = [16, 20]", "diag = [16, 5]").contains("focus.enable and diag are both GPIO 5"));
        assert!(wrong("spidev0.1", "spidev0.0").contains("both on /dev/spidev0.0"));
        assert!(wrong("\"tmc5160\"", "\"tmc2209\"").contains("tmc2209"));
        assert!(wrong("select = 18", "selects = 18").contains("selects"));
        assert!(wrong("enable = 23", "enable = 2300").contains("2300"));
        let text = SHIPPED[1].replacen("0x60", "0x62", 1);
        assert!(Description::parse(&text).unwrap_err().contains("same address"));
        let text = SHIPPED[1].replacen("0x62", "0x20", 1);
        assert!(Description::parse(&text).unwrap_err().contains("from 0x60 to 0x67"));
    }
}
