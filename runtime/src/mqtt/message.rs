//! One MQTT message, as the program sees it.
//!
//! It never knows which MQTT client or broker carries it: no type of theirs appears here.

use serde::{Deserialize, Serialize};

/// The largest MQTT packet that the program sends or takes, in bytes; clients of MQTT 5 are told.
pub const LARGEST_PACKET: usize = 260 * 1024;

/// A bound for the fixed header, the packet identifier and the length fields of a PUBLISH packet.
const OVERHEAD: usize = 32;

/// A message that was received, or that is to be published.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Message {
    /// The topic, without wildcards.
    pub topic: String,
    /// The payload, usually JSON text.
    #[serde(with = "text_or_bytes")]
    pub payload: Vec<u8>,
    /// To publish: the broker keeps it as the state of the topic. Received: it is such a state from before the
    /// subscription, not news.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub retain: bool,
    /// Quality of service 1 instead of 0: it is acknowledged, and sent again until it is.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub at_least_once: bool,
    /// To publish: it may be dropped before others when there is no room.
    #[serde(skip)]
    pub spare: bool,
    /// Where the sender of a request awaits the reply (MQTT 5).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub response_topic: Option<String>,
    /// What the sender of a request wants to find in the reply (MQTT 5).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub correlation: Option<Vec<u8>>,
}

impl Message {
    /// An upper bound for the size of the PUBLISH packet that carries this message, in bytes.
    #[must_use]
    pub fn packet_bound(&self) -> usize {
        OVERHEAD
            + self.topic.len()
            + self.payload.len()
            + self.response_topic.as_ref().map_or(0, String::len)
            + self.correlation.as_ref().map_or(0, Vec::len)
    }
}

/// A payload as a person reads it in a journal, if it is text.
mod text_or_bytes {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    #[derive(Serialize, Deserialize)]
    #[serde(untagged)]
    enum Payload {
        Text(String),
        Bytes(Vec<u8>),
    }

    pub(super) fn serialize<S: Serializer>(payload: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        match std::str::from_utf8(payload) {
            Ok(text) => serializer.serialize_str(text),
            Err(_) => payload.serialize(serializer),
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        Ok(match Payload::deserialize(deserializer)? {
            Payload::Text(text) => text.into_bytes(),
            Payload::Bytes(bytes) => bytes,
        })
    }
}
