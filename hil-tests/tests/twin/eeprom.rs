//! Who the instrument is, and the LED's hours in its EEPROM: read whatever is in it, written so that no power cut costs what
//! was there, and of no consequence to anything else.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

use planktor_actors::alarm::VirtualClock;
use planktor_drivers::board::{Board, EepromLine};
use planktor_drivers::clock::Clock;
use planktor_drivers::devices::eeprom::hat::Image;
use planktor_drivers::devices::eeprom::{self, Eeprom, Half, Identity, Reader, Step, Unreadable, Writer};
use planktor_hil_tests::{Played, Scenario, Script, began, dashboard, light_on, message, shut_down};
use planktor_protocol::Fault;
use planktor_protocol::eeprom::NotKept;
use planktor_runtime::mqtt::Message;
use planktor_sim::chips::at24c32;
use planktor_sim::faults::Bus;
use planktor_sim::nameplate::content;
use planktor_sim::{Hat, Settings, Twin};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn s(s: u64) -> Duration {
    Duration::from_secs(s)
}

/// A twin whose clock is moved by hand.
fn twin(hat: Hat) -> (Twin, VirtualClock) {
    let clock = VirtualClock::default();
    let settings = Settings { hat, ..Settings::new(1, Settings::SMALL_FRAME, began()) };
    (Twin::new(Arc::new(clock.clone()), settings), clock)
}

fn line(twin: &Twin) -> EepromLine {
    twin.slow_buses().eeprom().unwrap()
}

fn read(twin: &Twin) -> Result<Identity, Unreadable> {
    eeprom::read(line(twin)).unwrap()
}

/// A content whose LED was lit for so long.
fn with_hours(seconds: u64) -> at24c32::Model {
    let vendor = [&[0; 20][..], &[1, 1], b"ab"].concat();
    let own = json!({"serial_number": "PS-7", "hardware_version": "v3.1", "led_operating_time": seconds});
    at24c32::Model::new(&content(&[(1, &vendor), (4, own.to_string().as_bytes())]))
}

#[test]
fn both_readings_of_the_format_agree() {
    let identity = read(&twin(Hat::V3_3).0).unwrap();
    let texts = [&identity.vendor, &identity.product, identity.hardware_version.as_ref().unwrap()];
    assert_eq!(texts.map(|text| &**text), ["FairScope", "PlanktoScope HAT v3", "v3.0"]);
    assert_eq!((identity.serial_number, identity.eeprom_version), (None, Some("0".into())));
    assert_eq!(identity.led_operating_time, Some(Duration::ZERO));
    assert_eq!(read(&twin(Hat::V1_2).0), Err(Unreadable::Blank));
}

/// Writes these hours, as far as so many steps go; whether that was all.
fn write(twin: &Twin, clock: &VirtualClock, lit: Duration, steps: usize) -> bool {
    let (mut eeprom, mut reader) = (Eeprom::new(line(twin)), Reader::default());
    let found = std::iter::repeat_with(|| reader.step(&mut eeprom).unwrap()).find_map(|found| found);
    let (image, half) = found.unwrap().unwrap();
    let mut writer = Writer::new(image.with_lit(lit).unwrap(), half);
    let mut wait = Duration::ZERO;
    for _ in 0..steps {
        clock.set(clock.now() + wait);
        match writer.step(&mut eeprom, clock.now()).unwrap() {
            Step::Again(after) => wait = after,
            Step::Done(done) => {
                done.unwrap();
                return true;
            }
        }
    }
    false
}

/// The power goes in the middle of what the last of so many steps began, and again in the writes after it.
#[test]
fn whenever_the_power_goes_the_identity_is_there_and_the_hours_are_old_or_new() {
    let mut first_half_broken = 0;
    for steps in 0.. {
        let (twin, clock) = twin(Hat::V3_3);
        let (mut believed, mut all_done) = (Duration::ZERO, true);
        for lit in [s(100), s(1_000_000), s(7), s(8)] {
            let done = write(&twin, &clock, lit, steps);
            clock.set(clock.now() + ms(2));
            twin.world().eeprom.lose_power(clock.now());
            let identity = read(&twin).unwrap_or_else(|why| panic!("{steps} steps, {lit:?}: {why}"));
            assert_eq!(identity.hardware_version.as_deref(), Some("v3.0"));
            let hours = identity.led_operating_time.unwrap();
            assert!(hours == lit || (hours == believed && !done), "{steps} steps: {hours:?}, not {lit:?}");
            (believed, all_done) = (hours, all_done && done);
            let bytes = twin.world().eeprom.bytes().to_vec();
            first_half_broken += usize::from(Image::parse(bytes).is_err());
        }
        if all_done {
            assert!(first_half_broken > 10, "only {first_half_broken} cuts in {steps} steps did any harm");
            return;
        }
    }
}

#[test]
fn only_the_pages_that_change_are_written() {
    let (twin, clock) = twin(Hat::V3_3);
    assert!(write(&twin, &clock, s(100), usize::MAX));
    let before = twin.world().eeprom.written;
    assert!(write(&twin, &clock, s(101), usize::MAX));
    let written = twin.world().eeprom.written - before;
    assert!((2..=4).contains(&written), "digits and check sum, twice: {written} pages");
    assert!(write(&twin, &clock, s(101), usize::MAX));
    assert_eq!(twin.world().eeprom.written - before, written, "nothing changed");
    assert!(twin.world().eeprom.is_protected());
}

#[test]
fn a_chip_that_takes_nothing_or_does_not_answer_is_told_in_time() {
    let (twin, clock) = twin(Hat::V3_3);
    let unwired = EepromLine { write_protect: None, ..line(&twin) };
    twin.world().eeprom.protect(true);
    let mut eeprom = Eeprom::new(unwired);
    let mut writer = Writer::new(vec![1; 40], Half::First);
    let steps = |writer: &mut Writer, eeprom: &mut Eeprom| loop {
        match writer.step(eeprom, clock.now()) {
            Ok(Step::Again(after)) => clock.set(clock.now() + after),
            end => return end,
        }
    };
    assert_eq!(steps(&mut writer, &mut eeprom), Ok(Step::Done(Err(NotKept::NotTaken))));
    let began = clock.now();
    twin.world().break_it(planktor_sim::Fault::CablePulled(Bus::Eeprom), began, None);
    let mut writer = Writer::new(vec![1; 40], Half::First);
    assert!(matches!(steps(&mut writer, &mut eeprom), Err(Fault::Bus(_))));
    assert!(clock.now() - began < ms(30));
}

fn after(at: Duration, topic: &str, payload: &Value) -> (Duration, Message) {
    (at, message(topic, payload))
}

fn lit_for(hours: f64) -> Script {
    let off = after(ms(100) + Duration::from_secs_f64(hours * 3_600.0), "light", &json!({"action": "off"}));
    vec![(ms(100), light_on()), off]
}

fn hours(played: &Played) -> Option<Duration> {
    let identity = read(&played.twin).unwrap();
    identity.led_operating_time
}

#[test]
fn the_leds_hours_are_in_the_eeprom_after_an_hour_of_light_and_at_the_end() {
    let played = Scenario::new(lit_for(3.0), s(5_000)).play();
    assert_eq!(hours(&played), Some(s(3_600)), "written when an hour was over, and not since");
    let written = played.twin.world().eeprom.written;
    assert!(written < 30, "{written} pages");

    let mut script = lit_for(0.1);
    script.push((s(1_000), shut_down()));
    let played = Scenario::new(script, s(1_100)).play();
    assert_eq!(hours(&played), Some(s(360)));

    let mut lit_at_the_end = vec![(ms(100), light_on())];
    lit_at_the_end.push((ms(100) + s(500), shut_down()));
    assert_eq!(hours(&Scenario::new(lit_at_the_end, s(600)).play()), Some(s(500)));
}

#[test]
fn at_the_start_the_larger_of_both_counts_and_what_is_set_back_stays() {
    let get = json!({"action": "get"});
    let script = vec![
        after(s(1), "led-operating-time", &get),
        after(s(2), "led-operating-time", &json!({"action": "reset"})),
        after(s(3), "led-operating-time", &get),
    ];
    let wrap = |twin: Twin| -> Arc<dyn Board> {
        twin.world().eeprom = with_hours(7_200);
        Arc::new(twin)
    };
    let played = Scenario { wrap: Some(Box::new(wrap)), ..Scenario::new(script, s(4)) }.play();
    let said = |played: &Played| -> Vec<_> {
        let told = played.seen.iter().filter(|seen| seen.topic == "status/led-operating-time");
        told.map(|seen| seen.payload["seconds"].as_u64().unwrap()).collect()
    };
    assert_eq!(said(&played), [7_200, 0, 0]);
    assert_eq!(hours(&played), Some(Duration::ZERO), "or it would come back at the next start");
}

/// What it holds is no reason for anything else to fail, and is told.
#[test]
fn whatever_is_in_it_the_instrument_works() {
    let right = with_hours(1).bytes().to_vec();
    let worn = |at: usize| {
        let mut bytes = right.clone();
        bytes[at] ^= 0x10;
        bytes
    };
    let words = |why: &str| Some(why.to_owned());
    for (bytes, version, trouble) in [
        (right.clone(), Some("v3.1"), None),
        (vec![], Some("v2.6"), None),
        (b"RPi-".to_vec(), None, words("instead of R-Pi")),
        (worn(40), None, words("check sum")),
    ] {
        let mut script = vec![after(s(1), "planktor/health", &json!({"action": "get"}))];
        script.extend(lit_for(0.01));
        script.extend(dashboard("a", 1));
        script.push((s(60), shut_down()));
        let wrap = move |twin: Twin| -> Arc<dyn Board> {
            twin.world().eeprom = at24c32::Model::new(&bytes);
            Arc::new(twin)
        };
        let played = Scenario { wrap: Some(Box::new(wrap)), ..Scenario::new(script, s(70)) }.play();
        let health = played.seen.iter().find(|seen| seen.topic == "planktor/status/health").unwrap();
        let instrument = &health.payload["instrument"];
        assert_eq!(instrument["hardware_version"].as_str(), version, "{instrument}");
        let told = instrument["trouble"].as_str();
        let as_expected = trouble.as_deref().map_or(told.is_none(), |why| told.unwrap().contains(why));
        assert!(as_expected, "{told:?} instead of {trouble:?}");
        assert_eq!(played.count("status/imager", "Done"), 1);
    }
}

#[test]
fn a_fault_of_the_eeprom_disturbs_nothing_else() {
    let mut script = dashboard("a", 3);
    script.push((s(30), shut_down()));
    let fault = json!({"what": {"cable-pulled": "eeprom"}, "when": {"at_s": 0}, "for_s": 20});
    let played = Scenario::new(script, s(60)).fault(&fault).play();
    assert_eq!(played.count("status/imager", "Done"), 1);
    assert_eq!(played.count("status/light", "On"), 1);
    let health: Vec<_> =
        played.seen.iter().filter(|seen| seen.topic == "planktor/status/device/eeprom").collect();
    let words: Vec<_> = health.iter().map(|seen| seen.payload["health"].as_str().unwrap()).collect();
    assert_eq!(words, ["lost", "present"]);
    assert!(hours(&played).unwrap() >= s(29), "it was written when it had come back");
}

#[test]
fn a_data_set_says_which_instrument_it_is_from() {
    let config = json!({"object_date": "2026-06-01", "sample_id": "s", "acq_id": "a"});
    for (hat, model) in [(Hat::V3_3, "PlanktoScope v3.0"), (Hat::V1_2, "PlanktoScope v2.6")] {
        let mut script = dashboard("a", 1);
        script[1] = after(s(1), "imager/image", &json!({"action": "update_config", "config": config}));
        let played = Scenario { hat, ..Scenario::new(script, s(60)).until("status/imager", "Done") }.play();
        let metadata = std::fs::read(played.data_sets()[0].join("metadata.json")).unwrap();
        let metadata: Value = serde_json::from_slice(&metadata).unwrap();
        assert_eq!(metadata["acq_instrument"], model);
        assert_eq!(metadata.get("acq_instrument_id"), None, "nobody knows the machine's name here");
    }
}
