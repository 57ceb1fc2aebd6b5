//! Which board an instrument has: what it is told, what `hardware.json` says, or what the board itself says.

use planktor_drivers::devices::eeprom::{self, Unreadable};
use planktor_drivers::linux::description::Camera;
use planktor_drivers::linux::pins::Pins;
use planktor_drivers::linux::{Description, Linux, v4l};
use serde_json::Value;
use std::fmt;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::path::{Path, PathBuf};

/// The instrument's constants, in the data folder.
pub const HARDWARE: &str = "hardware.json";

/// One program has an instrument: lamp and bubbler would obey two, and know nothing of each other. An abstract socket, so that
/// it needs no folder and is free again however its holder ends.
const ONLY: &[u8] = b"planktor.instrument";

/// Held by the one program that has this computer's instrument.
#[derive(Debug)]
pub struct Only(#[expect(dead_code, reason = "it is there: that is enough")] UnixListener);

impl Only {
    /// Takes it.
    ///
    /// # Errors
    /// Another program has it.
    pub fn take() -> io::Result<Self> {
        SocketAddr::from_abstract_name(ONLY).and_then(|name| UnixListener::bind_addr(&name)).map(Self)
    }
}

/// A board, and who said that it is this one.
#[derive(Clone, Debug)]
pub struct Chosen {
    /// What it is.
    pub description: Description,
    /// Who said so.
    pub by: By,
}

/// Who said which board it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// The option.
    Option,
    /// `hat_version` in `hardware.json`.
    Hardware,
    /// The board's own EEPROM.
    Eeprom,
    /// Nobody: older boards have nothing that could say it.
    Default,
}

impl fmt::Display for By {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Option => "--board",
            Self::Hardware => "hat_version in hardware.json",
            Self::Eeprom => "its EEPROM",
            Self::Default => "nothing says which; --board says another",
        })
    }
}

impl Chosen {
    /// With this camera behind Video4Linux instead of its own, if one is named.
    #[must_use]
    pub fn with_camera(mut self, device: Option<&str>) -> Self {
        if let Some(device) = device {
            self.description.camera = Some(Camera::V4l(v4l::Settings::of(device)));
        }
        self
    }
}

/// PlanktoScope v2.6's: nothing on it says what it is.
const OLDEST: &str = "1.2";

/// Finds the board: a shipped version or a file, if it is told; else what `hardware.json` says; else what is written in an EEPROM
/// where a shipped board has it.
///
/// # Errors
/// There is no such board, or its file is wrong: in words, with what to do.
pub fn choose(told: Option<&str>, hardware: &Path) -> Result<Chosen, String> {
    let (word, by) = match told {
        Some(word) => (word.to_owned(), By::Option),
        None => match hat_version(hardware)? {
            Some(version) => (version, By::Hardware),
            None => written()?.map_or((OLDEST.into(), By::Default), |version| (version, By::Eeprom)),
        },
    };
    let description = match Description::shipped(&word) {
        Some(board) => board,
        None if by == By::Option && looks_like_a_file(&word) => read(Path::new(&word))?,
        None => {
            let known: Vec<_> = Description::all_shipped().map(|board| board.hat_version).collect();
            let known = known.join(", ");
            return Err(format!(
                "{by}: there is no board {word}; known are {known}, or say --board FILE.toml"
            ));
        }
    };
    Ok(Chosen { description, by })
}

/// What is written in an EEPROM where a shipped board has it. Where nobody answers, or it is blank, it may be the oldest.
fn written() -> Result<Option<String>, String> {
    let boards: Vec<_> = Description::all_shipped().collect();
    for board in &boards {
        // On any other computer something else may be at that address.
        let answers = |line: &Description| {
            Pins::new(line.gpio.clone()).source().ok()?;
            eeprom::read(Linux::new(line.clone()).nameplate().ok()?).ok()
        };
        match answers(board) {
            None | Some(Err(Unreadable::Blank)) => {}
            Some(Err(why)) => {
                return Err(format!(
                    "the board's EEPROM cannot be read: {why}; say which it is with --board"
                ));
            }
            Some(Ok(identity)) => {
                let said = identity.hardware_version.as_deref().unwrap_or("nothing");
                let it = boards.iter().find(|board| board.instrument.word() == said);
                let unknown = || {
                    format!(
                        "the board's EEPROM says that its hardware version is {said}, which is not known; say which board it is with --board"
                    )
                };
                return it.map(|board| Some(board.hat_version.clone())).ok_or_else(unknown);
            }
        }
    }
    Ok(None)
}

fn looks_like_a_file(word: &str) -> bool {
    word.contains('/') || word.ends_with(".toml") || PathBuf::from(word).exists()
}

fn read(path: &Path) -> Result<Description, String> {
    let failed = |why: &dyn fmt::Display| format!("the board's description {}: {why}", path.display());
    let text = std::fs::read_to_string(path).map_err(|error| failed(&format!("{error}; check the path")))?;
    Description::parse(&text).map_err(|error| failed(&error))
}

fn hat_version(hardware: &Path) -> Result<Option<String>, String> {
    let Ok(text) = std::fs::read_to_string(hardware) else { return Ok(None) };
    // Whoever starts the instrument with this file is told what is wrong with the rest of it.
    let keys: Value = serde_json::from_str(&text).unwrap_or_default();
    match keys.get("hat_version") {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Number(number)) => Ok(Some(number.to_string())),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(other) => {
            let path = hardware.display();
            Err(format!("{path}: hat_version is {other}; expected a number like 3.3; correct the file"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_option_comes_before_the_file_and_the_file_before_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let hardware = folder.path().join("hardware.json");
        let of = |told| choose(told, &hardware).map(|board| (board.description.hat_version, board.by));
        assert_eq!(of(None), Ok(("1.2".into(), By::Default)));
        std::fs::write(&hardware, r#"{"hat_version": 3.3}"#).unwrap();
        assert_eq!(of(None), Ok(("3.3".into(), By::Hardware)));
        assert_eq!(of(Some("1.2")), Ok(("1.2".into(), By::Option)));
        std::fs::write(&hardware, r#"{"hat_version": "1.2"}"#).unwrap();
        assert_eq!(of(None), Ok(("1.2".into(), By::Hardware)));
    }

    #[test]
    fn a_board_that_is_none_is_named_with_what_there_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let of = |told: Option<&str>, hardware: &str| choose(told, &path(hardware)).unwrap_err();
        assert!(of(Some("2.0"), "none").contains("no board 2.0; known are 1.2, 3.3"));
        assert!(of(Some("missing.toml"), "none").contains("check the path"));
        std::fs::write(path("hardware.json"), r#"{"hat_version": [3]}"#).unwrap();
        assert!(of(None, "hardware.json").contains("hat_version is [3]; expected a number"));
        std::fs::write(path("hardware.json"), r#"{"hat_version": 9.9}"#).unwrap();
        assert!(of(None, "hardware.json").contains("hat_version in hardware.json: there is no board 9.9"));
        std::fs::write(path("own.toml"), "name = 3").unwrap();
        let why = of(Some(path("own.toml").to_str().unwrap()), "none");
        assert!(why.contains("own.toml") && why.contains("line 1"), "{why}");
    }
}
