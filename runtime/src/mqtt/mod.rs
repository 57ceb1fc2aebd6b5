//! MQTT: the embedded broker, and the program as a client of any broker.

pub mod address;
pub mod broker;
pub mod door;
pub mod link;
pub mod message;
pub mod outbox;

pub use address::{Address, Login, Trust};
pub use broker::{Broker, Listen, Tls};
pub use message::Message;
pub use outbox::Outbox;
