//! What the whole instrument does, in virtual time on the twin.
//!
//! One program: what it is made of is large, and to link it takes longer than to run most of it.

mod acquisition;
mod any_input;
mod arms;
mod bad_input;
mod camera;
mod canary;
mod clocks;
mod conformance;
mod contract;
mod data;
mod display;
mod eeprom;
mod explorer;
mod faults;
mod found_turning;
mod preview;
mod ramp;
mod replay;
mod settling;
mod stop;
mod strobe;
mod tidy;
mod whence;
mod world;
