//! Devices of a Linux computer.

pub mod v4l;
