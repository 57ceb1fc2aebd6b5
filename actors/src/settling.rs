//! Learned settling, as a part of the sequence: which frames are looked at while the water comes to rest, what is asked
//! of whoever compares them, what wait follows, and whether a frame was still enough. As pure as the sequence itself.
//!
//! ```text
//!   stroke ends ──not learned──> frame after frame is looked at, until the longest wait ──> the step's frame is taken
//!        │                          └─pairs─> compared (beside) ─> samples ──three strokes──> fitted (beside) ─> learned
//!        └──learned──> the wait, and the frame before its end ──> the step's frame is compared with that one: kept, or
//!                      taken again after a longer wait
//! ```
//!
//! Nothing is lost by learning: the strokes that are watched give their frames, too. What cannot be seen is not believed:
//! while nothing is learned, the longest wait is waited.

pub mod fit;
#[cfg(test)]
mod tests;

pub use fit::{Learned, Sample, Tail, Unlearned};

use crate::sequence::MARGIN;
use planktor_protocol::camera::Frame;
use planktor_protocol::plan::{Place, UntilStill};
use planktor_protocol::{Instant, Interval, Run};
use std::time::Duration;

/// Strokes that are watched before anything is learned: the camera's cadence meets each at another moment.
pub(crate) const STROKES: u32 = 3;
/// Water in which nothing is seen after so many strokes is no longer looked at.
const MOST_STROKES: u32 = 20;
/// Frames that are asked for at the same time: one may be exposed while the one before is on its way.
const AHEAD: usize = 2;
/// A pulse is short, and allows water to flow at millimetres a second; what can be followed from one frame to the next then may
/// be the slow few (seen on the twin: in one stroke of three eight times slower than the fastest). So it counts as so many times longer
/// when the wait is chosen.
const DOUBT_OF_A_PULSE: u32 = 10;
/// Pairs that may wait to be compared. Each holds two frames of the camera's memory; what finds no room is not looked at.
const MOST_COMPARED: usize = 2;
/// Frames that may be taken again one after the other because they moved; the next one is waited for as long as may be.
const MOST_MOVED: u32 = 2;

/// Work for whoever stands beside.
#[derive(Debug)]
pub enum Study {
    /// How far has what is seen moved from the one frame to the other?
    Compare {
        /// Its name.
        run: Run,
        /// The one.
        before: Frame,
        /// The other.
        after: Frame,
        /// What a whole line of theirs sees of the sample, nm.
        view_nm: u64,
    },
    /// How long is to be waited?
    Fit {
        /// Its name.
        run: Run,
        /// What was seen.
        samples: Vec<Sample>,
        /// What is wanted.
        order: UntilStill,
        /// How far the pump may move the water during an exposure, nm.
        residual_nm: u32,
        /// For how long the water has to be that still: from first line's start to last line's end, or ten times a pulse.
        takes: Duration,
    },
}

/// What came of it.
#[derive(Clone, Debug, PartialEq)]
pub enum Studied {
    /// How far it moved; `None` if that cannot be told.
    Compared(Run, Option<Shift>),
    /// How long, or why that cannot be told.
    Fitted(Run, Result<Learned, Unlearned>),
}

/// How far what is seen moved from one frame to the next.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Shift {
    /// Along the lines and across them, um: the median of what is seen.
    pub moved_um: [f64; 2],
    /// How wrong that may be (a standard deviation), um.
    pub error_um: f64,
    /// Where that was seen: 0 at the first line to 1 at the last, which is exposed last.
    pub line: f64,
}

/// What the camera sees of the sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Optics {
    /// A pixel, nm.
    pub pixel_nm: u32,
    /// A line, in pixels.
    pub width: u32,
}

/// Whether a frame was still enough.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It moved so far since the frame before, nm, or nobody can tell.
    Still(Option<i64>),
    /// It moved too far.
    Moved,
}

/// What is known of the water after the strokes before one step of the plan.
#[derive(Debug)]
struct Learning {
    place: Place,
    order: UntilStill,
    samples: Vec<Sample>,
    /// Strokes.
    watched: u32,
    /// Strokes that were watched when a fit was last tried.
    tried: u32,
    fitting: Option<Run>,
    learned: Option<Learned>,
    /// What is waited beyond that, because frames moved.
    longer: Duration,
    moved_in_a_row: u32,
}

/// Frames that are looked at after one stroke.
#[derive(Debug)]
struct Watch {
    from: Instant,
    /// No frame that begins now or later: that one is taken for the data set.
    until: Instant,
    /// Asked for, and not yet said which it will be, or not lit yet.
    asked: Option<Run>,
    last: Option<Look>,
}

/// A frame that is looked at.
#[derive(Clone, Copy, Debug)]
struct Look {
    run: Run,
    /// First line's start to last line's end.
    exposed: Interval,
    /// While there was light: the same, or a pulse.
    lit: Interval,
}

#[derive(Debug)]
struct Compared {
    run: Run,
    learning: usize,
    /// End of the stroke.
    since: Instant,
    /// While there was light in the one and in the other.
    before: Interval,
    after: Interval,
}

/// The whole of it.
#[derive(Debug)]
pub(crate) struct Settling {
    optics: Optics,
    learnings: Vec<Learning>,
    /// Whose stroke it was, and its end.
    stroke: Option<(usize, Instant)>,
    watch: Option<Watch>,
    awaited: Vec<Look>,
    /// The newest frame that was looked at after this stroke, and while there was light in it.
    newest: Option<(Frame, Interval)>,
    /// The next frame that is taken is the first after the settling.
    armed: bool,
    compared: Vec<Compared>,
    /// As the camera predicts.
    cadence: Option<Duration>,
    /// How long there is light in a frame, and how long that counts when the wait is chosen.
    lit: Duration,
    takes: Duration,
}

impl Settling {
    /// With a camera that sees so much.
    pub(crate) fn new(optics: Optics) -> Self {
        Self {
            optics,
            learnings: Vec::new(),
            stroke: None,
            watch: None,
            awaited: Vec::with_capacity(AHEAD),
            newest: None,
            armed: false,
            compared: Vec::with_capacity(MOST_COMPARED + 1),
            cadence: None,
            takes: Duration::ZERO,
            lit: Duration::ZERO,
        }
    }

    /// A stroke has ended: how long to wait.
    pub(crate) fn begin(&mut self, place: Place, order: UntilStill, ended: Instant) -> Duration {
        let known = self.learnings.iter().position(|learning| learning.place == place);
        let n = known.unwrap_or_else(|| {
            self.learnings.push(Learning::new(place, order));
            self.learnings.len() - 1
        });
        let learning = &self.learnings[n];
        let wait = learning.wait();
        let until = ended + wait;
        let from = match (learning.learned, self.cadence) {
            (None, _) if learning.watched >= MOST_STROKES => None,
            (None, _) => Some(ended),
            // The frame before the one that will be taken; none that was exposed in motion.
            (Some(_), Some(cadence)) => (wait >= cadence + MARGIN).then(|| ended + (wait - cadence - MARGIN)),
            (Some(_), None) => None,
        };
        self.watch = from.map(|from| Watch { from, until, asked: None, last: None });
        (self.stroke, self.newest, self.armed) = (Some((n, ended)), None, true);
        wait
    }

    /// When the next frame that is to be looked at may begin, if one is.
    pub(crate) fn wants(&self) -> Option<Instant> {
        let watch = self.watch.as_ref()?;
        if watch.asked.is_some() || self.awaited.len() >= AHEAD {
            return None;
        }
        let (begins, not_before) = match watch.last {
            None => (watch.from, watch.from),
            Some(last) => {
                let next = last.lit.from + self.cadence.unwrap_or(last.exposed.duration());
                (next, last.lit.from + last.lit.duration() / 2)
            }
        };
        (begins + MARGIN < watch.until).then_some(not_before)
    }

    /// It was asked for under this name.
    pub(crate) fn asked(&mut self, run: Run) {
        if let Some(watch) = &mut self.watch {
            watch.asked = Some(run);
        }
    }

    /// The camera says which frame it will be, and when it is to be lit if it is strobed; whether it is one of these.
    pub(crate) fn exposing(&mut self, run: Run, exposed: Interval, pulse: Option<Interval>) -> bool {
        let Some(watch) = self.watch.as_mut().filter(|watch| watch.asked == Some(run)) else { return false };
        let look = Look { run, exposed, lit: pulse.unwrap_or(exposed) };
        if pulse.is_none() {
            watch.asked = None;
        }
        self.awaited.push(look);
        if let Some(last) = watch.last.replace(look) {
            self.cadence = Some(exposed.from - last.exposed.from);
        }
        self.lit = look.lit.duration();
        self.takes = self.lit * if pulse.is_some() { DOUBT_OF_A_PULSE } else { 1 };
        true
    }

    /// Whether one was asked for of which it is not known which it will be, or that is not lit yet.
    pub(crate) fn is_asking(&self) -> bool {
        self.watch.as_ref().is_some_and(|watch| watch.asked.is_some())
    }

    /// One of these was lit; whether it is one of these.
    pub(crate) fn pulsed(&mut self, run: Run, lit: Interval) -> bool {
        let Some(watch) = self.watch.as_mut().filter(|watch| watch.asked == Some(run)) else { return false };
        watch.asked = None;
        for look in self.awaited.iter_mut().chain(&mut watch.last).filter(|look| look.run == run) {
            look.lit = lit;
        }
        true
    }

    /// The camera streams so from now on.
    pub(crate) fn streams(&mut self, cadence: Duration) {
        self.cadence = Some(cadence);
    }

    /// A frame has come or never will; while there was light in it, if it is one of these.
    pub(crate) fn awaited(&mut self, run: Run) -> Option<Interval> {
        let i = self.awaited.iter().position(|look| look.run == run)?;
        Some(self.awaited.remove(i).lit)
    }

    /// One of these has come, lit so; with the one before it if they are to be compared.
    pub(crate) fn looked(&mut self, run: Run, frame: &Frame, lit: Interval) -> Option<Study> {
        let study = self.pair(run, frame, lit, MOST_COMPARED);
        self.newest = Some((frame.clone(), lit));
        study
    }

    /// The frame that is taken, lit so, with the one before it, if that was looked at.
    pub(crate) fn check(&mut self, run: Run, frame: &Frame, lit: Interval) -> Option<Study> {
        let study = self.pair(run, frame, lit, MOST_COMPARED + 1);
        self.newest = None;
        study
    }

    fn pair(&mut self, run: Run, after: &Frame, lit: Interval, most: usize) -> Option<Study> {
        let (learning, since) = self.stroke?;
        let (before, lit_before) = self.newest.as_ref().filter(|(before, _)| before.seq + 1 == after.seq)?;
        if lit_before.from < since || self.compared.len() >= most {
            return None;
        }
        self.compared.push(Compared { run, learning, since, before: *lit_before, after: lit });
        let (before, after) = (before.clone(), after.clone());
        let view_nm = u64::from(self.optics.pixel_nm) * u64::from(self.optics.width);
        Some(Study::Compare { run, before, after, view_nm })
    }

    /// The settling is over: what is asked for from now on is taken.
    pub(crate) fn over(&mut self) {
        if let Some((n, _)) = self.stroke.filter(|_| self.armed && self.watch.is_some()) {
            self.learnings[n].watched += 1;
        }
    }

    /// Whether the frame that is taken now is to be checked.
    pub(crate) fn disarm(&mut self) -> bool {
        std::mem::take(&mut self.armed)
    }

    /// Something moves from now on: what is lit later shows that.
    pub(crate) fn interrupted(&mut self, now: Instant) {
        (self.watch, self.armed) = (None, false);
        self.awaited.retain(|look| look.lit.to <= now);
    }

    /// What a comparison says: of a frame that was taken, or of one that was only looked at.
    pub(crate) fn compared(&mut self, run: Run, shift: Option<Shift>) -> Verdict {
        let still = Verdict::Still(None);
        let Some(i) = self.compared.iter().position(|compared| compared.run == run) else { return still };
        let compared = self.compared.remove(i);
        let Some(shift) = shift else { return still };
        let learning = &mut self.learnings[compared.learning];
        let looked = compared.before.from + compared.before.duration().mul_f64(shift.line.clamp(0.0, 1.0));
        let (since, lasts) = (looked - compared.since, compared.after.from - compared.before.from);
        match learning.learned {
            Some(learned) => {
                let allows_um = learned.allows_um(since, lasts, self.lit);
                learning.judge(&learned, shift.moved_um, allows_um, lasts)
            }
            None => {
                learning.samples.push(Sample {
                    since: since.as_secs_f64(),
                    at: (looked - Instant::ZERO).as_secs_f64(),
                    lasts: lasts.as_secs_f64(),
                    moved_um: shift.moved_um,
                    error_um: shift.error_um,
                });
                still
            }
        }
    }

    /// What is to be fitted, under this name, if enough was seen since it was last tried.
    pub(crate) fn fit(&mut self, run: Run) -> Option<Study> {
        if !self.compared.is_empty() {
            return None;
        }
        let (takes, pixel_nm) = (self.takes, self.optics.pixel_nm);
        let learning = self.learnings.iter_mut().find(|learning| learning.is_due())?;
        learning.tried = learning.watched;
        learning.fitting = Some(run);
        let (samples, order) = (learning.samples.clone(), learning.order);
        let residual_nm = order.residual_nm.unwrap_or(pixel_nm / 2).max(1);
        Some(Study::Fit { run, samples, order, residual_nm, takes })
    }

    /// What a fit says; given back if it is news.
    pub(crate) fn fitted(
        &mut self,
        run: Run,
        result: Result<Learned, Unlearned>,
    ) -> Option<Result<Learned, Unlearned>> {
        let learning = self.learnings.iter_mut().find(|learning| learning.fitting == Some(run))?;
        learning.fitting = None;
        match result {
            Ok(learned) => {
                learning.learned = Some(learned);
                learning.samples = Vec::new();
                Some(Ok(learned))
            }
            Err(why) => (learning.tried == STROKES).then_some(Err(why)),
        }
    }

    /// Whether it still learns.
    pub(crate) fn is_learning(&self) -> bool {
        let learning = |learning: &Learning| learning.learned.is_none() && learning.watched < MOST_STROKES;
        self.learnings.iter().any(learning)
    }
}

impl Learning {
    fn new(place: Place, order: UntilStill) -> Self {
        Self {
            place,
            order,
            samples: Vec::new(),
            watched: 0,
            tried: 0,
            fitting: None,
            learned: None,
            longer: Duration::ZERO,
            moved_in_a_row: 0,
        }
    }

    fn wait(&self) -> Duration {
        match self.learned {
            Some(learned) if self.moved_in_a_row < MOST_MOVED => {
                (learned.wait + self.longer).min(self.order.at_most)
            }
            Some(_) | None => self.order.at_most,
        }
    }

    fn is_due(&self) -> bool {
        self.learned.is_none()
            && self.fitting.is_none()
            && self.watched >= STROKES
            && self.watched > self.tried
    }

    /// After the longest wait nothing is gained by another.
    fn judge(&mut self, learned: &Learned, moved_um: [f64; 2], allows_um: f64, lasts: Duration) -> Verdict {
        let moved = moved_um[usize::from(learned.across)];
        let waited_longest = self.wait() >= self.order.at_most;
        if moved.abs() > allows_um && !waited_longest {
            self.moved_in_a_row += 1;
            self.longer = (self.longer + lasts) * 2;
            return Verdict::Moved;
        }
        self.moved_in_a_row = 0;
        self.longer /= 2;
        #[expect(clippy::cast_possible_truncation, reason = "saturates")]
        Verdict::Still(Some((moved * 1e3).round() as i64))
    }
}
