//! The display on the instrument.

use planktor_protocol::Fault;
use planktor_protocol::display::Page;

/// For display authors: nothing here waits for the ink; what is not yet shown is shown when the display is ready.
pub trait Display {
    /// Shows a page; nothing, if there is none.
    ///
    /// # Errors
    /// [`Fault`]: it does not answer.
    fn show(&mut self, page: Option<&Page>) -> Result<(), Fault>;
}
