//! Where the instrument is, from whoever knows.

use planktor_protocol::position::Fix;

/// Asked once a second; never waits.
pub trait PositionSource {
    /// What it learnt since it was last asked; `None` if nothing.
    fn latest(&mut self) -> Option<Fix>;
}

/// Nobody knows.
#[derive(Clone, Copy, Debug, Default)]
pub struct Nowhere;

impl PositionSource for Nowhere {
    fn latest(&mut self) -> Option<Fix> {
        None
    }
}
