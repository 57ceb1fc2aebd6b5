//! What benchmarks in real time have in common.

use crate::{image, light_on, update_config};
use planktor_drivers::Clock;
use planktor_drivers::clock::{Computer, Monotonic, WallClock};
use planktor_protocol::Utc;
use planktor_runtime::client::{Client, ClientError};
use planktor_runtime::service::Service;
use planktor_sim::{Settings, Twin};
use std::sync::Arc;

/// A twin in real time, under a sky that has today's date.
pub fn twin(frame: (u32, u32)) -> Twin {
    let up = i64::try_from(Monotonic.now().nanos() / 1_000).unwrap_or(0);
    let began = Utc::from_micros(Computer.utc().micros() - up);
    Twin::new(Arc::new(Monotonic), Settings::new(1, frame, began))
}

/// The dashboard's acquisition, by an ordinary MQTT client; returns at its end.
///
/// # Errors
/// It was refused, or failed.
pub fn acquire(service: &Service, name: &str, frames: u32) -> Result<(), ClientError> {
    let client = Client::connect(service.broker(), "bench")?;
    for message in [light_on(), update_config(name, frames), image(frames)] {
        let order = serde_json::from_slice(&message.payload).unwrap_or_default();
        client.request(&message.topic, order, |_| {})?;
    }
    Ok(())
}
