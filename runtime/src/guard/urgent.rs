//! Before everybody else: a guard that waits for a processor is late. Where the computer does not permit it, it goes on as
//! any other program, and says so.

use planktor_drivers::scheduling::{self, Denied, PRIORITY};

/// Above the hardware thread, which may be what hangs.
const ABOVE: u8 = PRIORITY + 10;

/// This thread is urgent while this is there. A program that it starts would be as urgent, so nothing is started meanwhile.
pub(super) struct Urgent(Result<(), Denied>);

impl Urgent {
    /// Makes it urgent, if that is permitted.
    pub(super) fn now() -> Self {
        Self(scheduling::urgent(ABOVE))
    }
}

impl Drop for Urgent {
    fn drop(&mut self) {
        if self.0.is_ok() {
            scheduling::ordinary();
        }
    }
}

/// Keeps this program in memory, and says what is not permitted here.
pub(super) fn refusals() -> Vec<String> {
    let asked = [Urgent::now().0.clone(), scheduling::lock_memory()];
    let late = |why: Denied| format!("on a busy computer it may act late: {why}");
    asked.into_iter().filter_map(Result::err).map(late).collect()
}
