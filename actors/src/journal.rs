//! What happened, in order: a line an event. Kept only where somebody reads it; nobody waits for it.
//!
//! Everything that enters the hardware thread is noted (commands, alarms, what devices report, camera stamps), and
//! everything that leaves it. A line is `<seconds> <kind> <what>`.

use crossbeam_channel::{Sender, TrySendError};
use planktor_protocol::Instant;
use std::fmt::{self, Debug, Display};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// What kind of event a line tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A message reached the gateway.
    In,
    /// A message left it.
    Out,
    /// Something reached the supervisor.
    Told,
    /// The supervisor answered.
    Said,
    /// An alarm rang.
    Rang,
}

/// One event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// When, on the monotonic clock.
    pub at: Instant,
    /// What kind.
    pub kind: Kind,
    /// What; one line of text.
    pub what: String,
}

/// A handle; all clones write into the same journal.
#[derive(Clone, Default)]
pub struct Journal(Option<Arc<Inner>>);

struct Inner {
    to: To,
    lost: AtomicU64,
}

enum To {
    Memory(Mutex<Vec<Line>>),
    Writer(Sender<Line>),
}

impl Journal {
    /// One that is kept in memory.
    pub fn kept() -> Self {
        Self::new(To::Memory(Mutex::default()))
    }

    /// One whose lines somebody else writes down. What finds no room is lost, and counted.
    pub fn written_by(writer: Sender<Line>) -> Self {
        Self::new(To::Writer(writer))
    }

    fn new(to: To) -> Self {
        Self(Some(Arc::new(Inner { to, lost: AtomicU64::new(0) })))
    }

    /// Notes an event, if anybody reads it.
    pub fn note(&self, at: Instant, kind: Kind, what: &impl Debug) {
        if self.0.is_some() {
            self.write(Line { at, kind, what: format!("{what:?}") });
        }
    }

    /// Notes an event whose text is at hand, if anybody reads it.
    pub fn note_text(&self, at: Instant, kind: Kind, what: impl FnOnce() -> String) {
        if self.0.is_some() {
            self.write(Line { at, kind, what: what() });
        }
    }

    fn write(&self, line: Line) {
        let Some(inner) = &self.0 else { return };
        match &inner.to {
            To::Memory(lines) => lines.lock().unwrap_or_else(PoisonError::into_inner).push(line),
            To::Writer(writer) => {
                if let Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) = writer.try_send(line) {
                    inner.lost.fetch_add(1, Ordering::Relaxed);
                }
            }
        }
    }

    /// All so far, of one that is kept in memory.
    pub fn lines(&self) -> Vec<Line> {
        match self.0.as_deref() {
            Some(Inner { to: To::Memory(lines), .. }) => {
                lines.lock().unwrap_or_else(PoisonError::into_inner).clone()
            }
            Some(Inner { to: To::Writer(_), .. }) | None => vec![],
        }
    }

    /// Lines that found no room.
    pub fn lost(&self) -> u64 {
        self.0.as_deref().map_or(0, |inner| inner.lost.load(Ordering::Relaxed))
    }
}

impl Kind {
    const WORDS: [(Self, &str); 5] = [
        (Self::In, "in"),
        (Self::Out, "out"),
        (Self::Told, "told"),
        (Self::Said, "said"),
        (Self::Rang, "rang"),
    ];
}

impl Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = Self::WORDS.iter().find(|(kind, _)| kind == self).map_or("", |(_, word)| word);
        f.write_str(word)
    }
}

impl Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { at, kind, what } = self;
        write!(f, "{}.{:09} {kind} {what}", at.nanos() / 1_000_000_000, at.nanos() % 1_000_000_000)
    }
}

impl Line {
    /// Reads what `Display` wrote.
    pub fn parse(text: &str) -> Option<Self> {
        let (at, rest) = text.split_once(' ')?;
        let (kind, what) = rest.split_once(' ')?;
        let (seconds, nanos) = at.split_once('.')?;
        let seconds = seconds.parse::<u64>().ok()?.checked_mul(1_000_000_000)?;
        let nanos = (nanos.len() == 9).then(|| nanos.parse::<u64>().ok())??;
        let (kind, _) = *Kind::WORDS.iter().find(|(_, word)| *word == kind)?;
        Some(Self { at: Instant::from_nanos(seconds.checked_add(nanos)?), kind, what: what.into() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_can_be_read() {
        let journal = Journal::kept();
        journal.note(Instant::from_nanos(12_000_000_345), Kind::Told, &"a \"b\"\n");
        journal.note_text(Instant::ZERO, Kind::In, || "{} x".into());
        for line in journal.lines() {
            assert_eq!(Line::parse(&line.to_string()), Some(line));
        }
        for bad in [
            "",
            "1.5 told x",
            "1.000000000 sang x",
            "x.000000000 in y",
            "18446744073709551615.000000000 in y",
        ] {
            assert_eq!(Line::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn lines_that_find_no_room_are_counted_and_nobody_waits() {
        let (writer, lines) = crossbeam_channel::bounded(2);
        let journal = Journal::written_by(writer);
        for n in 0..5 {
            journal.note(Instant::ZERO, Kind::Rang, &n);
        }
        assert_eq!((lines.len(), journal.lost()), (2, 3));
    }
}
