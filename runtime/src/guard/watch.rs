//! When a guard acts, and how often it starts again: plain machines that are told instants and know no process.
//!
//! ```text
//!            first beat            farewell
//! Starting ──────────────► Beating ─────────► Leaving ──► the process ends
//!    │ 30 s                   │ 150 ms; 2 s      │ 12 s, and 12 s after it was asked to end
//!    │                        │ if it starves    │
//!    └────────────────────────┴──────────────────┴──────► Trouble
//! ```

use planktor_protocol::Instant;
use std::collections::VecDeque;
use std::fmt;
use std::process::ExitStatus;
use std::time::Duration;

/// A program that has not begun to beat by then never will: opening what it opens takes a few seconds on a slow computer.
pub(super) const TO_BEGIN: Duration = Duration::from_secs(30);
/// Two beats may be missing. What is left of 200 ms is for being scheduled, for the kill and for a write on I2C.
pub const SILENCE: Duration = Duration::from_millis(150);
/// A thread that wants to run and has no processor is not hung, but on a computer that has too much to do, or stood still as a
/// whole. It is killed only if that never ends: a handler that runs for ever looks the same.
pub(super) const STARVED: Duration = Duration::from_secs(2);
/// How soon such a thread is looked at again.
const LOOK_AGAIN: Duration = Duration::from_millis(10);
/// A signal that comes twice within this is one: whoever ends a group of processes may say it to each and to all.
const ONE_SIGNAL: Duration = Duration::from_secs(1);
/// The program's own deadline is 8 s, and then it says what hangs.
pub(super) const TO_END: Duration = Duration::from_secs(12);

/// Most restarts within [`WITHIN`]. What breaks more often is not mended by starting it again.
pub const RESTARTS: usize = 3;
/// As long as somebody needs who looks at it.
pub const WITHIN: Duration = Duration::from_secs(600);
/// Waited before each of them: a cable that slipped is back at once, a computer without memory is not.
const PAUSES: [Duration; RESTARTS] =
    [Duration::from_millis(500), Duration::from_secs(1), Duration::from_secs(2)];

/// What is wrong with a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    /// It never began to beat.
    NeverBegan,
    /// It was not heard for so long.
    Silent(Duration),
    /// It was to end, and did not.
    NeverEnded,
    /// It ended, and had not said that it would.
    Died(ExitStatus),
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NeverBegan => {
                write!(f, "its hardware thread did not begin within {} s", TO_BEGIN.as_secs())
            }
            Self::Silent(time) => write!(f, "its hardware thread was silent for {} ms", time.as_millis()),
            Self::NeverEnded => write!(f, "it did not end within {} s", TO_END.as_secs()),
            Self::Died(status) => write!(f, "it died ({status})"),
        }
    }
}

/// One program, from its start to its end.
#[derive(Debug)]
pub(super) struct Watch {
    began: Instant,
    last: Option<Instant>,
    /// Not before then, because it starves.
    excused: Option<Instant>,
    asked: Option<Instant>,
    leaves: Option<Instant>,
}

impl Watch {
    /// It was started.
    pub(super) fn new(began: Instant) -> Self {
        Self { began, last: None, excused: None, asked: None, leaves: None }
    }

    /// Its hardware thread lives.
    pub(super) fn beat(&mut self, now: Instant) {
        self.last = Some(now);
        self.excused = None;
    }

    /// Its hardware thread is silent and waits for a processor: whether that excuses it.
    pub(super) fn starves(&mut self, now: Instant) -> bool {
        let excused = self.last.is_some_and(|last| now < last + STARVED) && !self.leaves();
        if excused {
            self.excused = Some(now + LOOK_AGAIN);
        }
        excused
    }

    /// It has made safe, and ends: its threads fall silent in order.
    pub(super) fn farewell(&mut self, now: Instant) {
        self.leaves.get_or_insert(now);
    }

    /// A signal that asks it to end: whether it is to be passed on. Until its farewell it is watched as before.
    pub(super) fn ask_to_end(&mut self, now: Instant) -> bool {
        let is_first = self.asked.is_none();
        let since = *self.asked.get_or_insert(now);
        is_first || now >= since + ONE_SIGNAL
    }

    /// Whether it has ever been heard.
    pub(super) fn has_begun(&self) -> bool {
        self.last.is_some()
    }

    /// Whether it was asked to end.
    pub(super) fn is_asked_to_end(&self) -> bool {
        self.asked.is_some()
    }

    /// Whether it has said that it ends.
    pub(super) fn leaves(&self) -> bool {
        self.leaves.is_some()
    }

    /// When it is judged, unless it is heard before.
    pub(super) fn due(&self) -> Instant {
        let alive = match (self.leaves, self.last) {
            (Some(leaves), _) => leaves + TO_END,
            (None, Some(last)) => self.excused.map_or(last + SILENCE, |until| until.min(last + STARVED)),
            (None, None) => self.began + TO_BEGIN,
        };
        self.asked.map_or(alive, |asked| alive.min(asked + TO_END))
    }

    /// What is wrong, once all that was said until now has been heard.
    pub(super) fn judge(&self, now: Instant) -> Option<Trouble> {
        if now < self.due() {
            return None;
        }
        let overdue = self.asked.is_some_and(|asked| now >= asked + TO_END);
        Some(match self.last {
            _ if overdue || self.leaves() => Trouble::NeverEnded,
            Some(last) => Trouble::Silent(now - last),
            None => Trouble::NeverBegan,
        })
    }
}

/// When it was started again.
#[derive(Debug, Default)]
pub(super) struct Restarts(VecDeque<Instant>);

impl Restarts {
    /// How long to wait before it is started again; `None` if that has been tried often enough.
    pub(super) fn again(&mut self, now: Instant) -> Option<Duration> {
        while self.0.front().is_some_and(|then| now - *then >= WITHIN) {
            self.0.pop_front();
        }
        let pause = PAUSES.get(self.0.len())?;
        self.0.push_back(now);
        Some(*pause)
    }

    /// Whether it ever was.
    pub(super) fn is_first(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Instant {
        Instant::from_nanos(ms * 1_000_000)
    }

    #[test]
    fn a_heart_that_beats_is_left_alone_and_its_silence_is_noticed_at_the_limit() {
        let mut watch = Watch::new(at(0));
        for beat in 0..100 {
            assert_eq!(watch.judge(at(400 + 50 * beat)), None);
            watch.beat(at(400 + 50 * beat));
        }
        let last = 400 + 50 * 99;
        assert_eq!(watch.due(), at(last + 150));
        assert_eq!(watch.judge(at(last + 149)), None);
        assert_eq!(watch.judge(at(last + 151)), Some(Trouble::Silent(Duration::from_millis(151))));
    }

    #[test]
    fn who_has_no_processor_is_excused_for_two_seconds_and_looked_at_again_and_again() {
        let mut watch = Watch::new(at(0));
        watch.beat(at(1_000));
        let mut now = at(1_150);
        while watch.judge(now).is_some() && watch.starves(now) {
            assert_eq!(watch.judge(now), None);
            now = watch.due();
        }
        assert_eq!(now, at(3_000));
        watch.beat(at(3_001));
        assert_eq!(watch.due(), at(3_151), "what was excused once is not excused again");
    }

    #[test]
    fn a_signal_is_passed_on_once_and_again_if_somebody_insists() {
        let mut watch = Watch::new(at(0));
        let passed = [5_000, 5_001, 5_999, 6_000, 7_000].map(|now| watch.ask_to_end(at(now)));
        assert_eq!(passed, [true, false, false, true, true]);
    }

    #[test]
    fn who_never_begins_has_half_a_minute() {
        let watch = Watch::new(at(1_000));
        assert_eq!(watch.judge(at(30_999)), None);
        assert_eq!(watch.judge(at(31_000)), Some(Trouble::NeverBegan));
    }

    /// A thread that hangs while it makes safe has not made safe.
    #[test]
    fn who_is_asked_to_end_is_watched_until_it_has_said_farewell() {
        let mut watch = Watch::new(at(0));
        watch.beat(at(100));
        watch.ask_to_end(at(110));
        assert!(matches!(watch.judge(at(250)), Some(Trouble::Silent(_))));
        watch.beat(at(150));
        watch.farewell(at(160));
        assert_eq!(watch.judge(at(12_109)), None, "its threads may be silent now");
        assert_eq!(watch.judge(at(12_110)), Some(Trouble::NeverEnded), "but not for ever");
    }

    #[test]
    fn who_leaves_unasked_has_as_long() {
        let mut watch = Watch::new(at(0));
        watch.beat(at(100));
        watch.farewell(at(200));
        assert_eq!((watch.judge(at(12_199)), watch.judge(at(12_200))), (None, Some(Trouble::NeverEnded)));
    }

    #[test]
    fn a_restart_is_tried_three_times_in_ten_minutes_each_later_than_the_one_before() {
        let mut restarts = Restarts::default();
        assert!(restarts.is_first());
        let pauses = [0, 1, 2, 3].map(|n| restarts.again(at(n * 1_000)).map(|pause| pause.as_millis()));
        assert_eq!(pauses, [Some(500), Some(1_000), Some(2_000), None]);
        assert!(!restarts.is_first());
        assert_eq!(restarts.again(at(599_999)), None);
        assert_eq!(
            restarts.again(at(600_000)),
            Some(PAUSES[2]),
            "the first is forgotten, the others are not"
        );
        assert_eq!(restarts.again(at(600_500)), None);
        assert_eq!(restarts.again(at(9_000_000)), Some(PAUSES[0]));
    }
}
