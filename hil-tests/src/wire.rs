//! Whether what the instrument says is what the contract says.

use jsonschema::Validator;
use planktor_protocol::wire::contract;
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::{LazyLock, Mutex, PoisonError};

/// By topic; made when the first message comes.
static SCHEMAS: LazyLock<Mutex<BTreeMap<String, Option<Validator>>>> = LazyLock::new(Mutex::default);

/// What is wrong with a message, beside the contract. Topics of responses are their clients' own, and what is said about
/// breaking the twin is for tests.
pub fn flaw(topic: &str, payload: &Value) -> Option<String> {
    if !topic.starts_with("status/") && !topic.starts_with("planktor/status/")
        || topic == "planktor/status/twin"
    {
        return None;
    }
    let mut schemas = SCHEMAS.lock().unwrap_or_else(PoisonError::into_inner);
    let schema = schemas.entry(topic.into()).or_insert_with(|| {
        contract::schema_of(topic).map(|schema| jsonschema::validator_for(&schema).expect("a schema"))
    });
    let Some(schema) = schema else { return Some(format!("{topic} is not in the contract")) };
    schema
        .validate(payload)
        .err()
        .map(|error| format!("{topic} {payload}: {error} at {}", error.instance_path()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_not_in_the_contract_is_found() {
        assert_eq!(flaw("status/pump", &json!({"status": "Started", "duration": 0.3, "id": 7})), None);
        for (topic, payload) in [
            ("status/pump", json!({"status": "Started", "duration": "long"})),
            ("status/pump", json!({"status": "Finished"})),
            ("status/pump", json!({"status": "Done", "more": 1})),
            ("status/pump", json!([])),
            ("status/imager", json!({"status": "Image 1/3 saved"})),
            ("status/imager", json!({"type": "progress", "current": 1})),
            ("planktor/status/device/pump", json!({"device": "pump", "health": "fine"})),
            ("planktor/status/unheard", json!({})),
        ] {
            assert!(flaw(topic, &payload).is_some(), "{topic} {payload}");
        }
    }
}
