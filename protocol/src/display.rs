//! The display on the instrument: its name, and where its page is found.

use crate::Fault;
use std::sync::Arc;

/// An order to the display.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Show this.
    Show(Page),
    /// Show nothing.
    Clear,
}

/// What is shown.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Page {
    /// Address of the instrument's page.
    pub url: Arc<str>,
    /// The machine's name.
    pub name: Arc<str>,
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The page is shown.
    Shown(Page),
    /// Nothing is shown.
    Cleared,
    /// What is shown is not known.
    Failed(Fault),
}
