//! Acquisition protocols: plans with a name, kept on disk, and what one of them would come to.

use crate::plan::Plan;
use crate::units::Nanolitres;
use std::sync::Arc;
use std::time::Duration;

/// The longest name, in bytes.
pub const LONGEST_NAME: usize = 64;
/// The largest protocol, in bytes of JSON.
pub const LARGEST: usize = 64 * 1024;
/// More than anybody keeps apart; bounds what clients can store.
pub const MOST: usize = 200;

/// A protocol's name: letters, digits, blanks, `-` and `_`, so that it can name a file and nothing else.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Name(Arc<str>);

impl Name {
    /// What is none of these, blank or longer than [`LONGEST_NAME`] names nothing.
    pub fn new(text: &str) -> Option<Self> {
        let fits = text.len() <= LONGEST_NAME && !text.trim().is_empty() && text == text.trim();
        let plain = |c: char| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_');
        (fits && text.chars().all(plain)).then(|| Self(text.into()))
    }
}

impl std::ops::Deref for Name {
    type Target = str;
    fn deref(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Display for Name {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self)
    }
}

/// A plan with what belongs to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Protocol {
    /// For people.
    pub description: Arc<str>,
    /// What is done.
    pub plan: Plan,
    /// The flow cell's thickness, um; for the estimate only.
    pub cell_um: u32,
    /// As the client said it: what is kept.
    pub text: Arc<str>,
}

/// An order about protocols.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Keep it under a name, which may be in use.
    Store(Name, Arc<Protocol>),
    /// Say which there are.
    List,
    /// Say what is in one.
    Get(Name),
    /// Forget one.
    Delete(Name),
    /// Nothing: it could be read, so it is valid.
    Validate(Arc<Protocol>),
    /// Say what it would come to.
    Estimate(Which),
    /// Carry it out.
    Run(Name),
}

/// Which protocol.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Which {
    /// One that is kept.
    Named(Name),
    /// This one.
    This(Arc<Protocol>),
}

/// One line of the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its name.
    pub name: Name,
    /// For people.
    pub description: Arc<str>,
    /// Frames that it takes.
    pub frames: u32,
    /// Whether it came with the program, and cannot be changed.
    pub shipped: bool,
}

/// What a plan would come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Estimate {
    /// From the first step to the end of the last exposure or move, if nothing has to be taken again. How long the last
    /// frames' way to the disk is, is the disk's.
    pub lasts: Duration,
    /// Frames.
    pub frames: u32,
    /// Pumped forwards.
    pub forwards: Nanolitres,
    /// Pumped backwards.
    pub backwards: Nanolitres,
    /// Seen by the camera: field of view times thickness of the cell, for each frame.
    pub imaged: Nanolitres,
    /// The part of that in the depth of field.
    pub in_focus: Nanolitres,
    /// Bytes on disk.
    pub bytes: u64,
    /// Bytes that are free there.
    pub free: u64,
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// It is on disk, durably.
    Stored(Name),
    /// Every one there is.
    Listed(Arc<[Entry]>),
    /// What is in it, as it was stored.
    Got(Name, Arc<str>),
    /// It is gone.
    Deleted(Name),
    /// It can be carried out.
    Valid {
        /// Frames that it takes.
        frames: u32,
    },
    /// What it would come to.
    Estimated(Estimate),
    /// The order was not carried out.
    Refused(Refusal),
}

/// Why not.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Nothing is kept under that name.
    #[error("there is no protocol {0}; planktor/protocol/list says which there are")]
    Unknown(Name),
    /// It came with the program.
    #[error(
        "the protocol {0} is shipped with the program and stays as it is; store yours under another name"
    )]
    Shipped(Name),
    /// What is kept cannot be read.
    #[error("the stored protocol {name} is not valid: {why}; store it again")]
    Invalid {
        /// Which.
        name: Name,
        /// What is wrong with it, and where.
        why: String,
    },
    /// So many are kept.
    #[error("{MOST} protocols are kept, and no more can be; delete one first")]
    Full,
    /// The pump cannot do a stroke of it.
    #[error(transparent)]
    Stroke(#[from] crate::pump::Refusal),
    /// The camera has not yet said how it streams.
    #[error("no camera: {0}")]
    NoCamera(crate::Fault),
    /// The disk.
    #[error("{0}")]
    Disk(String),
}
