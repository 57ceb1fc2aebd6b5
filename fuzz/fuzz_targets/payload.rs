//! Whatever the payload: reading it does not panic, a refusal can be written down, and no name of a protocol leads
//! anywhere.

#![no_main]

use libfuzzer_sys::fuzz_target;
use planktor_protocol::instrument::Command;
use planktor_protocol::library;
use planktor_protocol::wire;

/// As in hil-tests/tests/twin/any_input.rs, where the corpus is played against the whole instrument.
const TOPICS: [&str; 27] = [
    "actuator/pump",
    "actuator/pump",
    "actuator/pump",
    "actuator/pump",
    "actuator/focus",
    "actuator/focus",
    "light",
    "actuator/light",
    "actuator/bubbler",
    "display",
    "led-operating-time",
    "imager/image/update_config",
    "imager/image",
    "imager/image",
    "imager/image",
    "imager/image",
    "planktor/acquire",
    "planktor/lease",
    "planktor/protocol/store",
    "planktor/protocol/get",
    "planktor/protocol/delete",
    "planktor/protocol/validate",
    "planktor/protocol/estimate",
    "planktor/protocol/run",
    "planktor/protocol/pause",
    "planktor/protocol/resume",
    "planktor/elsewhere",
];

fuzz_target!(|bytes: &[u8]| {
    let Some((first, payload)) = bytes.split_first() else { return };
    let topic = TOPICS[usize::from(*first) % TOPICS.len()];
    match wire::read(topic, payload) {
        Ok(request) => {
            if let Command::Library(library::Command::Store(name, _) | library::Command::Delete(name)) = &request.command {
                assert!(!name.contains(['/', '\\', '.', '\0']), "{name}");
            }
        }
        Err(malformed) => {
            let refusal = wire::refusal(&malformed);
            assert!(refusal.payload["reason"].as_str().is_some_and(|reason| !reason.is_empty()));
            assert!(refusal.payload.to_string().len() < 10_000, "a refusal is short");
        }
    }
});
