//! The board: device nodes, who may open them, and which chips answer.

use super::Finding;
use super::computer::{group_of, user};
use crate::board::Chosen;
use crossbeam_channel::never;
use planktor_drivers::Clock;
use planktor_drivers::board::{Board, DiagLine, SlowBuses};
use planktor_drivers::chips::lm36011::{Lm36011, Register};
use planktor_drivers::chips::mcp4725::Mcp4725;
use planktor_drivers::chips::tmc5160::{Error, Tmc5160};
use planktor_drivers::clock::Monotonic;
use planktor_drivers::devices::camera::Camera;
use planktor_drivers::devices::eeprom::{self, Identity, Unreadable};
use planktor_drivers::devices::rtc::Rtc;
use planktor_drivers::linux::description::{Converter, Description, Light, MotorDriver};
use planktor_drivers::linux::pins::{Pins, on_a_pi};
use planktor_drivers::linux::{Linux, buses};
use planktor_protocol::Fault;
use planktor_protocol::camera::Mode;
use std::path::Path;
use std::time::Duration;

const AREA: &str = "board";
const CHIP: &str = "chip";

pub(super) fn examine(board: &Result<Chosen, String>) -> Vec<Finding> {
    let Chosen { description, by } = match board {
        Ok(chosen) => chosen,
        Err(why) => {
            return vec![Finding::bad(AREA, why, "correct it; nothing can be said of the board before")];
        }
    };
    let mut findings = vec![Finding::good(AREA, format!("{} ({by})", description.name))];
    if is_elsewhere(description) {
        let what = "this computer has none of its buses and is no Raspberry Pi";
        findings.push(Finding::notice(AREA, what, "planktor run --twin runs a simulated instrument here"));
        return findings;
    }
    let pins = Pins::new(description.gpio.clone());
    findings.push(match pins.source() {
        Ok(source) => Finding::good(AREA, format!("pins: {source}")),
        Err(fault) => unavailable(AREA, "pins", fault, "/dev/gpiochip0"),
    });
    findings.extend(description.diag.iter().map(|number| diag(&pins, *number)));
    findings.push(motor("pump", description.pump));
    findings.push(motor("focus", description.focus));
    findings.push(light(description.light));
    findings.extend(
        description.bubbler.map(|Converter::Mcp4725 { i2c, address }| converter("bubbler", i2c, address)),
    );
    let board = Linux::new(description.clone());
    findings.extend(clock(&board));
    findings.extend(nameplate(&board));
    findings.extend(camera(&board));
    findings
}

/// Whether this is a laptop: nobody wants to hear of every chip that it has not.
fn is_elsewhere(description: &Description) -> bool {
    let MotorDriver::Tmc5160 { spi, .. } = description.pump;
    let (Light::Mcp4725 { i2c, .. } | Light::Lm36011 { i2c, .. }) = description.light;
    !on_a_pi() && [spi, i2c].iter().all(|node| !Path::new(node).exists())
}

fn motor(whose: &str, MotorDriver::Tmc5160 { spi: node, .. }: MotorDriver) -> Finding {
    let mut chip = match buses::spi(node) {
        Ok(spi) => Tmc5160::new(spi),
        Err(fault) => return unavailable(CHIP, whose, fault, node),
    };
    let answers = buses::measured(|| chip.recognize(), &Monotonic);
    match answers {
        // A register is read in two datagrams.
        Ok(read) => answered(whose, "TMC5160", node, read / 2, "datagram_us"),
        Err(Error::Version(0 | 0xFF)) => Finding::bad(
            CHIP,
            format!("{whose}: nobody answers on {node}"),
            "check that the board is plugged in and has its 12 V, and that it is the right one (--board)",
        ),
        Err(Error::Version(found)) => Finding::bad(
            CHIP,
            format!("{whose}: expected a TMC5160 on {node}, found version {found:#04x}"),
            "check wiring, SPI mode and chip select",
        ),
        Err(Error::Bus(_) | Error::Reset | Error::Disturbed(_) | Error::PowerStage(_)) => Finding::bad(
            CHIP,
            format!("{whose}: transfers on {node} fail"),
            "look into the kernel's log (dmesg)",
        ),
    }
}

/// Whether a line can be had; whether a driver ever calls on it, only a move shows.
fn diag(pins: &Pins, number: u8) -> Finding {
    match pins.diag(number) {
        Ok(DiagLine { name, .. }) => {
            let what = "the motor drivers may call on it; planktor top has move_called if they have";
            Finding::good(AREA, format!("{name}: {what}"))
        }
        Err(fault) => Finding::notice(
            AREA,
            format!("the motor drivers cannot call: {fault}"),
            "nothing needs it: the ends of moves are foreseen; without it in diag in the board's description nobody asks",
        ),
    }
}

fn light(light: Light) -> Finding {
    match light {
        Light::Mcp4725 { i2c, address } => converter("light", i2c, address),
        Light::Lm36011 { i2c, .. } => match buses::i2c(i2c) {
            Ok(bus) => {
                let mut chip = Lm36011::new(bus);
                let read = buses::measured(|| chip.read(Register::DeviceId).map(drop), &Monotonic);
                of_i2c("light", "LM36011", i2c, read)
            }
            Err(fault) => unavailable(CHIP, "light", fault, i2c),
        },
    }
}

fn converter(whose: &str, node: &'static str, address: u8) -> Finding {
    match buses::i2c(node) {
        Ok(bus) => {
            let mut chip = Mcp4725::new(bus, address);
            let read = buses::measured(|| chip.value().map(drop), &Monotonic);
            of_i2c(whose, &format!("MCP4725 at {address:#04x}"), node, read)
        }
        Err(fault) => unavailable(CHIP, whose, fault, node),
    }
}

fn of_i2c<E>(whose: &str, chip: &str, node: &str, read: Result<Duration, E>) -> Finding {
    match read {
        Ok(took) => answered(whose, chip, node, took, "transaction_us"),
        Err(_) => Finding::bad(
            CHIP,
            format!("{whose}: no {chip} answers on {node}"),
            "check that the board is plugged in, and that it is the right one (--board)",
        ),
    }
}

fn answered(whose: &str, chip: &str, node: &str, took: Duration, unit: &'static str) -> Finding {
    let us = took.as_secs_f64() * 1e6;
    let what = format!("{whose}: {chip} on {node}, {us:.0} us {}", unit.trim_end_matches("_us"));
    Finding::good(CHIP, what).figure(unit, us)
}

fn clock(board: &Linux) -> Option<Finding> {
    let buses: Box<dyn SlowBuses> = board.slow_buses();
    let line = match buses.rtc() {
        Ok(line) => line,
        Err(Fault::NotFitted) => return None,
        Err(_) => {
            return Some(Finding::notice(
                CHIP,
                "no battery-backed clock answers",
                "without it, GPS or a network must tell the time after every start; a DS3231 can be added",
            ));
        }
    };
    Some(match Rtc::new(line).read() {
        Ok(Some(utc)) => Finding::good(CHIP, format!("battery-backed clock: {}", utc.rfc3339())),
        Ok(None) => Finding::notice(
            CHIP,
            "the battery-backed clock has lost its supply since it was set",
            "change its battery; it is set as soon as GPS or a network tells the time",
        ),
        Err(fault) => Finding::notice(CHIP, fault.to_string(), "check its wiring"),
    })
}

fn nameplate(board: &Linux) -> Option<Finding> {
    let read = match board.nameplate() {
        Ok(line) => eeprom::read(line),
        Err(Fault::NotFitted) => return None,
        Err(fault) => Err(fault),
    };
    Some(match read {
        Ok(Ok(Identity { vendor, product, serial_number, hardware_version, .. })) => {
            let [serial, version] =
                [serial_number, hardware_version].map(|text| text.unwrap_or_else(|| "unknown".into()));
            Finding::good(
                CHIP,
                format!("EEPROM: {vendor} {product}, serial number {serial}, hardware {version}"),
            )
        }
        Ok(Err(Unreadable::Blank)) => Finding::good(CHIP, "EEPROM: blank, as on a v2.6"),
        Ok(Err(why)) => Finding::notice(
            CHIP,
            format!("EEPROM: {why}"),
            "the instrument works without it; say its board with --board",
        ),
        Err(fault) => Finding::notice(
            CHIP,
            format!("EEPROM: {fault}"),
            "HAT 3.3: dtoverlay=i2c-gpio,bus=9,i2c_gpio_sda=0,i2c_gpio_scl=1 in config.txt; without it, say the board with --board",
        ),
    })
}

/// A camera is opened by a thread of its own, and begins to stream when it can.
const GIVES: Duration = Duration::from_secs(6);
const ASK_AGAIN: Duration = Duration::from_millis(20);
const CAMERA: &str = "camera";

fn camera(board: &Linux) -> Option<Finding> {
    let bad = |fault: Fault, advice: &str| Some(Finding::bad(CAMERA, fault.to_string(), advice));
    match board.hardware().camera().and_then(|mut camera| frame(&mut *camera)) {
        Ok(Mode { width, height, cadence, .. }) => {
            let ms = cadence.as_secs_f64() * 1e3;
            let what = format!("gives frames: {width} x {height} pixels, one every {ms:.0} ms");
            Some(Finding::good(CAMERA, what).figure("cadence_ms", ms))
        }
        Err(Fault::NotFitted) => None,
        Err(Fault::CameraBusy) => Some(Finding::notice(
            CAMERA,
            "it is in use",
            "a running planktor has it: planktor status asks that one",
        )),
        Err(fault @ Fault::NotBuilt(_)) => bad(
            fault,
            "for any other camera than the board's: --features v4l, and planktor run --camera DEVICE",
        ),
        Err(fault @ (Fault::CameraMissing | Fault::SensorMissing)) => bad(
            fault,
            "camera_auto_detect=1 (or dtoverlay=imx477) in config.txt; planktor run --camera DEVICE uses another one",
        ),
        Err(fault @ Fault::CameraForbidden) => {
            bad(fault, "sudo usermod -aG video, and the user's name; then log in again")
        }
        Err(fault) => bad(fault, "look into the kernel's log (dmesg)"),
    }
}

/// Waits until it has given a frame: a camera that opens may still be deaf.
fn frame(camera: &mut dyn Camera) -> Result<Mode, Fault> {
    let late = Monotonic.now() + GIVES;
    let mut streams = None;
    let mut next = None;
    loop {
        if camera.ready()? {
            let mode = match streams {
                Some(mode) => mode,
                None => *streams.insert(camera.open()?),
            };
            next = next.or_else(|| camera.predict(Monotonic.now()).map(|next| next.seq));
            if next.is_some_and(|seq| (seq..=seq + 4).any(|seq| camera.take(seq).is_some())) {
                return Ok(mode);
            }
        }
        if Monotonic.now() >= late {
            return Err(Fault::CameraSilent);
        }
        let _ = never::<()>().recv_timeout(ASK_AGAIN);
    }
}

fn unavailable(area: &'static str, whose: &str, fault: Fault, node: &str) -> Finding {
    let what = format!("{whose}: {node} ");
    match fault {
        Fault::Missing(_) => {
            let advice = match node {
                node if node.starts_with("/dev/spidev") => {
                    "switch SPI on: dtparam=spi=on in /boot/firmware/config.txt, then start anew"
                }
                node if node.starts_with("/dev/i2c") => {
                    "switch I2C on: dtparam=i2c_arm=on in /boot/firmware/config.txt, then start anew; load i2c-dev"
                }
                _ => "check that the board is plugged in, and that it is the right one (--board)",
            };
            Finding::bad(area, what + "is not there", advice)
        }
        Fault::Forbidden(_) => {
            let advice = match group_of(Path::new(node)) {
                Some(group) => format!("sudo usermod -aG {group} {}, then log in again", user()),
                None => "run as a user who may open it".into(),
            };
            Finding::bad(area, what + "may not be opened by this user", advice)
        }
        Fault::InUse(_) => Finding::notice(
            area,
            what + "is in use",
            "a running planktor has it: planktor status asks that one",
        ),
        fault => Finding::bad(area, format!("{whose}: {fault}"), "check the board's description (--board)"),
    }
}
