//! MQTT: the embedded broker, and the program as a client of any broker. Knows no topic of ours.

pub mod broker;
pub mod link;
pub mod message;
pub mod outbox;

pub use broker::Broker;
pub use message::Message;
pub use outbox::Outbox;
