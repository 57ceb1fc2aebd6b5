//! What was tried, what became of it, and what was measured thereby.

use std::any::Any;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Something that is tried: it panics, or says what it measured.
pub type Check = (&'static str, fn() -> String);

/// A line of the table.
pub struct Line {
    what: &'static str,
    /// What was measured, or why it failed.
    outcome: Result<String, String>,
}

impl Line {
    /// Tries it.
    pub fn of((what, check): Check) -> Self {
        Self { what, outcome: tried(check) }
    }

    /// Whether it holds.
    pub fn passed(&self) -> bool {
        self.outcome.is_ok()
    }
}

/// Does something that may panic, and gives back with what words it did.
///
/// # Errors
/// These words.
pub fn tried<T>(what: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(what)).map_err(|panic| words(&*panic))
}

fn words(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(ToString::to_string);
    text.or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "it panicked without a word".into())
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.outcome {
            Ok(figure) if figure.is_empty() => write!(f, "passed  {}", self.what),
            Ok(figure) => write!(f, "passed  {} ({figure})", self.what),
            Err(why) => write!(f, "FAILED  {}: {}", self.what, why.replace('\n', " ")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_what_was_measured_or_why_it_failed() {
        let line = |check| Line::of(("it works", check)).to_string();
        assert_eq!(line(|| "3 ms".into()), "passed  it works (3 ms)");
        assert_eq!(line(String::new), "passed  it works");
        assert_eq!(line(|| panic!("on {}", "fire")), "FAILED  it works: on fire");
        assert!(!Line::of(("it works", || panic!("on fire"))).passed());
    }
}
