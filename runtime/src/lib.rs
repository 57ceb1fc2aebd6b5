//! The program: threads, wiring, MQTT, data sets. What the instrument does is decided in the actors; nothing here
//! moves a motor.

pub mod bench;
pub mod board;
mod careful;
pub mod chrony;
pub mod client;
pub mod dataset;
pub mod doctor;
pub mod eyepiece;
pub mod figures;
pub mod gateway;
pub mod gpsd;
pub mod guard;
pub mod instrument;
pub mod journal;
pub mod machine;
pub mod metrics;
pub mod mqtt;
pub mod ramp;
pub mod replay;
pub mod scenario;
pub mod service;
pub mod shelf;
pub mod stage;
pub mod stillness;
pub mod trouble;
pub mod web;
