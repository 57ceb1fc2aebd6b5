//! What the instrument does: one actor a device, and a supervisor. Imports no simulation and no network.
//!
//! A handler runs to completion: it never awaits, sleeps or takes a lock. To wait is to be sent a message later
//! ([`alarm`]); work that takes long is done beside the loop ([`beside`]).

pub mod alarm;
pub mod beside;
pub mod blur;
pub mod bubbler;
pub mod camera;
pub mod diag;
pub mod display;
pub mod eeprom;
pub mod estimate;
pub mod heart;
pub mod host;
pub mod intake;
pub mod journal;
pub mod light;
pub mod motor;
pub mod outlet;
pub mod port;
pub mod position;
pub mod recording;
pub mod sequence;
pub mod settling;
pub mod supervisor;
pub mod timekeeping;
pub mod timing;
pub mod viewfinder;
