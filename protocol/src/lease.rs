//! A lease: for a while, only its owner may operate the instrument. It keeps two people from fighting; it is no
//! password, and it holds up no stop.

use std::sync::Arc;
use std::time::Duration;

/// The shortest lease.
pub const SHORTEST: Duration = Duration::from_secs(1);
/// The longest; who needs it longer takes it again.
pub const LONGEST: Duration = Duration::from_secs(3_600);

/// An order about the lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Have it, or have it for longer.
    Take {
        /// From now on.
        lasts: Duration,
        /// Even if somebody else has it.
        take_over: bool,
    },
    /// Give it back.
    Release,
    /// Say who has it.
    Report,
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Somebody has it.
    Held {
        /// Who.
        owner: Arc<str>,
        /// For how long from now.
        left: Duration,
    },
    /// Nobody has it.
    Free,
    /// The order was not carried out.
    Refused(Refusal),
}

/// Why a lease was not given, or a command not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Somebody else has it.
    #[error("{owner} operates the instrument for {} s more; ask them, or take the lease over", left.as_secs())]
    Held {
        /// Who.
        owner: Arc<str>,
        /// For how long.
        left: Duration,
    },
    /// The order says not whose lease it is to be.
    #[error("a lease needs an owner; send your name as owner")]
    Nobody,
}
