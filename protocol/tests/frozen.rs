//! The words of version 1, byte for byte. Nobody edits this file: a program that says something else is another version,
//! and clients in the field would not understand it. New words get a test of their own.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

use planktor_protocol::instrument::Event;
use planktor_protocol::motion::{self, Event as Motor};
use planktor_protocol::units::Fraction;
use planktor_protocol::wire::{self, Status};
use planktor_protocol::{Fault, Instant, acquisition, bubbler, focus, light, operating_time, pump};
use std::path::Path;

fn said(statuses: Vec<Status>) -> Vec<String> {
    let line = |Status { topic, payload, retain, .. }: Status| {
        format!("{topic}{} {payload}", if retain { " (retained)" } else { "" })
    };
    statuses.into_iter().map(line).collect()
}

fn of(event: &Event) -> Vec<String> {
    said(wire::status(event, None, None))
}

fn imager(event: acquisition::Event) -> Vec<String> {
    of(&Event::Acquisition(event))
}

#[test]
fn a_motor_says() {
    let (from, until) = (Instant::ZERO, Instant::from_nanos(300_000_000));
    let pump = |event| of(&Event::Pump(event));
    assert_eq!(
        pump(Motor::Started { from, until }),
        [r#"status/pump (retained) {"status":"Started","duration":0.3}"#]
    );
    let idle = r#"status/pump (retained) {"status":"Idle"}"#;
    assert_eq!(pump(Motor::Done(until)), [r#"status/pump {"status":"Done"}"#, idle]);
    assert_eq!(pump(Motor::Interrupted), [r#"status/pump {"status":"Interrupted"}"#, idle]);
    let busy = "the pump is moving; wait for its end or stop it";
    assert_eq!(
        pump(Motor::Refused(pump::Refusal::Busy)),
        [format!(r#"status/pump {{"status":"Busy","reason":"{busy}"}}"#)]
    );
    assert_eq!(
        of(&Event::Focus(motion::Event::<focus::Refusal>::Done(until)))[0],
        r#"status/focus {"status":"Done"}"#
    );
}

#[test]
fn lamp_bubbler_and_hours_say() {
    let half = Fraction::from_millionths(500_000).unwrap();
    let lamp = |level| of(&Event::Light(light::Event::Level(level)));
    assert_eq!(lamp(half), [r#"status/light (retained) {"status":"On","value":0.5}"#]);
    assert_eq!(lamp(Fraction::ZERO), [r#"status/light (retained) {"status":"Off","value":0.0}"#]);
    let bubbles = of(&Event::Bubbler(bubbler::Event::Bubbling(true)));
    assert_eq!(bubbles, [r#"status/bubbler (retained) {"status":"On","value":1.0}"#]);
    let hours = of(&Event::OperatingTime(operating_time::Event::Seconds(7)));
    assert_eq!(hours, [r#"status/led-operating-time (retained) {"seconds":7}"#]);
}

#[test]
fn an_acquisition_says() {
    use acquisition::Event as Of;
    assert_eq!(imager(Of::Configured), [r#"status/imager {"status":"Config updated"}"#]);
    assert_eq!(imager(Of::Set), [r#"status/imager {"status":"Camera settings updated"}"#]);
    assert_eq!(imager(Of::Started), [r#"status/imager {"status":"Started"}"#]);
    let path: std::sync::Arc<Path> = Path::new("/d/img/x.jpg").into();
    assert_eq!(
        imager(Of::Saved { path, current: 1, total: 3 }),
        [
            r#"status/imager {"status":"Image 1/3 saved to x.jpg"}"#,
            r#"status/imager {"type":"progress","path":"/d/img/x.jpg","current":1,"total":3}"#,
        ]
    );
    let folder: std::sync::Arc<Path> = Path::new("/d/img").into();
    assert_eq!(imager(Of::Done { path: folder }), [r#"status/imager {"status":"Done","path":"/d/img"}"#]);
    assert_eq!(imager(Of::Interrupted), [r#"status/imager {"status":"Interrupted"}"#]);
    let jpeg = Some(Path::new("/d/captures/x.jpg").into());
    assert_eq!(
        imager(Of::Captured { jpeg, dng: None }),
        [r#"status/imager {"action":"capture","jpeg":"/d/captures/x.jpg","dng":null}"#]
    );
    for (event, word) in [
        (Of::Refused(acquisition::Refusal::Acquiring), "Busy"),
        (
            Of::Refused(acquisition::Refusal::NotConfigured),
            "Configuration update error: object_date is missing!",
        ),
        (
            Of::Refused(acquisition::Refusal::IdsInUse("/d".into())),
            "Configuration update error: Chosen id are already in use!",
        ),
        (Of::Refused(acquisition::Refusal::NoCamera(Fault::NotOpen)), "Error: missing camera"),
        (
            Of::Failed(acquisition::Failure::Camera { image: 2, total: 3, cause: Fault::CameraSilent }),
            "Image 2/3 WAS NOT CAPTURED! STOPPING THE PROCESS!",
        ),
    ] {
        let line = &imager(event)[0];
        assert!(line.starts_with(&format!(r#"status/imager {{"status":"{word}","reason":""#)), "{line}");
    }
}

#[test]
fn bad_messages_are_answered() {
    for (topic, payload, word) in [
        ("actuator/pump", r#"{"action":"move"}"#, "Error, the message is missing an argument"),
        ("actuator/focus", r#"{"action":"move"}"#, "Error"),
        ("imager/image", r#"{"action":"update_config"}"#, "Configuration message error"),
        ("imager/image", r#"{"action":"image"}"#, "Error"),
        ("imager/image", r#"{"action":"settings"}"#, "Camera settings error"),
        ("imager/image", r#"{"action":"settings","settings":{"iso":-1}}"#, "Error: Iso number not valid"),
        (
            "imager/image",
            r#"{"action":"settings","settings":{"shutter_speed":""}}"#,
            "Error: Shutter speed not valid",
        ),
        (
            "imager/image",
            r#"{"action":"settings","settings":{"white_balance_gain":{"red":-1}}}"#,
            "Error: White balance gain not valid",
        ),
        (
            "imager/image",
            r#"{"action":"settings","settings":{"white_balance":"sun"}}"#,
            "Error: White balance mode sun not valid",
        ),
    ] {
        let malformed = wire::read(topic, payload.as_bytes()).unwrap_err();
        assert_eq!(malformed.status, word, "{topic} {payload}");
    }
    let zero = of(&Event::Pump(Motor::Refused(pump::Refusal::Flow(Default::default()))));
    assert!(zero[0].contains(r#""status":"Error, The flowrate should not be == 0""#), "{zero:?}");
}

#[test]
fn commands_of_version_1_are_understood() {
    for (topic, payload, command) in [
        (
            "actuator/pump",
            r#"{"action":"move","direction":"BACKWARD","volume":0.01,"flowrate":3}"#,
            "Pump(Move(Move { volume: -10000 nL, flow: 50000 nL/s }))",
        ),
        ("actuator/pump", r#"{"action":"stop"}"#, "Pump(Stop)"),
        (
            "actuator/pump",
            r#"{"action":"set-configuration","pump_steps_per_ml":2045}"#,
            "Calibration(Set(2045000))",
        ),
        ("actuator/pump", r#"{"action":"get-configuration"}"#, "Calibration(Get)"),
        (
            "actuator/focus",
            r#"{"action":"move","direction":"DOWN","distance":0.1}"#,
            "Focus(Move(Move { target: By(-100 um), speed: 5000 um/s }))",
        ),
        ("light", r#"{"action":"on"}"#, "Light(On)"),
        ("actuator/light", r#"{"action":"on","value":0}"#, "Light(Set(Fraction(0)))"),
        ("light", r#"{"action":"off","id":7}"#, "Light(Set(Fraction(0)))"),
        ("light", r#"{"action":"save"}"#, "Light(Save)"),
        ("light", r#"{"action":"status"}"#, "Light(Report)"),
        ("actuator/bubbler", r#"{"action":"on"}"#, "Bubbler(Set(true))"),
        ("imager/image", r#"{"action":"stop"}"#, "Acquisition(Stop)"),
        (
            "imager/image",
            r#"{"action":"capture"}"#,
            "Acquisition(Capture(Formats { jpeg: true, dng: false }))",
        ),
        ("display", r#"{"action":"clear"}"#, "Display(Clear)"),
        ("led-operating-time", r#"{"action":"increment","seconds":2}"#, "OperatingTime(Increment(2))"),
    ] {
        let request = wire::read(topic, payload.as_bytes()).unwrap();
        assert_eq!(format!("{:?}", request.command), command, "{topic} {payload}");
    }
    let image = |more: &str| {
        let text = format!(
            r#"{{"action":"image","pump_direction":"FORWARD","volume":0.01,"nb_frame":3,"sleep":0.1{more}}}"#
        );
        format!("{:?}", wire::read("imager/image", text.as_bytes()).unwrap().command)
    };
    assert_eq!(image(""), image(r#","flowrate":2"#));
    assert_eq!(image(r#","pump_flowrate":4"#), image(r#","flowrate":4"#));
    assert_ne!(image(r#","flowrate":4"#), image(""));
}
