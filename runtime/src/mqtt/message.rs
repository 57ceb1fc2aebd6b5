//! One MQTT message, as the program sees it.
//!
//! It never knows which MQTT client or broker carries it: no type of theirs appears here.

/// The largest MQTT packet that the program sends or takes, in bytes; clients of MQTT 5 are told.
pub const LARGEST_PACKET: usize = 260 * 1024;

/// A bound for the fixed header, the packet identifier and the length fields of a PUBLISH packet.
const OVERHEAD: usize = 32;

/// A message that was received, or that is to be published.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Message {
    /// The topic, without wildcards.
    pub topic: String,
    /// The payload, usually JSON text.
    pub payload: Vec<u8>,
    /// To publish: the broker keeps it as the state of the topic. Received: it is such a state from before the
    /// subscription, not news.
    pub retain: bool,
    /// Quality of service 1 instead of 0: it is acknowledged, and sent again until it is.
    pub at_least_once: bool,
    /// Where the sender of a request awaits the reply (MQTT 5).
    pub response_topic: Option<String>,
    /// What the sender of a request wants to find in the reply (MQTT 5).
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
