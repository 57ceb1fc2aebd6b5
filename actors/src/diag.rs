//! The ends of moves by the motor drivers' own lines, where a board has them: who moves looks at once when a line falls. Only the
//! chip says that a move has ended, and every look that was foreseen stays as it was; so a line that is silent or late costs
//! nothing, and one that falls for nothing a look each time, until it is not listened to any more.

use crate::alarm::{Alarms, Bell, Ring, Ticket, watch};
use planktor_drivers::board::{DiagLine, Falls, Foreseen};
use planktor_protocol::{Axis, Fault, Instant};
use rustix::io::Errno;
use std::cell::{Cell, RefCell};
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::unix::AsyncFd;

/// So often in a row a line may fall without an end of a move near it. A few are stalls, and ends that were seen before.
const IN_VAIN: u32 = 16;
/// A fall and an end that are no farther apart are one event, whichever was noticed first.
const NEAR: Duration = Duration::from_millis(5);
/// What the kernel tells of a fall: when, in ns, and what.
const RECORD: usize = 16;
/// The kernel keeps 16 of a line; what came together is one fall.
const RECORDS: usize = 64;

/// What is said to whoever watches the program, line by line; nobody waits for it.
pub type Say = Arc<dyn Fn(&str) + Send + Sync>;

/// The lines of one board, on the arbiter of its motors. Clones are the same ones.
#[derive(Clone)]
pub struct Diag(Rc<Inner>);

struct Inner {
    alarms: Alarms,
    lines: RefCell<Vec<Line>>,
    /// The look that each motor waits for.
    looks: RefCell<[Option<(Bell, Ticket)>; 2]>,
    /// When a move was last seen to have ended.
    ended: Cell<Option<Instant>>,
    say: Say,
}

struct Line {
    name: &'static str,
    /// Who knows its falls; otherwise the kernel tells.
    foresight: Option<Foresight>,
    trust: Trust,
}

/// Who knows the falls of a line, and the one that is waited for.
struct Foresight {
    by: Box<dyn Foreseen>,
    next: Option<(Instant, Ticket)>,
}

/// How far a line is listened to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Trust {
    fell: Option<Instant>,
    in_vain: u32,
}

impl Trust {
    /// It fell; a move was last seen to have ended then.
    fn falls(&mut self, at: Instant, ended: Option<Instant>) {
        self.fell = Some(at);
        let seen_before = ended.is_some_and(|ended| at - ended <= NEAR);
        self.in_vain = if seen_before { 0 } else { self.in_vain + 1 };
    }

    /// A move has ended; says since when the line tells so, if it does.
    fn ended(&mut self, now: Instant) -> Option<Duration> {
        let told = now - self.fell?;
        (told <= NEAR && !self.is_lost()).then(|| {
            self.in_vain = 0;
            told
        })
    }

    fn is_lost(self) -> bool {
        self.in_vain > IN_VAIN
    }
}

impl Diag {
    /// Listens to these lines from now on. Called on the motors' arbiter, whose alarms are started.
    pub fn listening(lines: Vec<Result<DiagLine, Fault>>, say: Say) -> Self {
        let alarms = Alarms::here();
        let (looks, ended) = Default::default();
        let diag = Self(Rc::new(Inner { alarms, lines: RefCell::default(), looks, ended, say }));
        for line in lines {
            if let Err(why) = line.map_err(|fault| fault.to_string()).and_then(|line| diag.listen(line)) {
                (diag.0.say)(&format!("the motor drivers do not call: {why}; {FORESEEN}"));
            }
        }
        diag
    }

    fn listen(&self, DiagLine { name, falls }: DiagLine) -> Result<(), String> {
        let mut lines = self.0.lines.borrow_mut();
        let foresight = match falls {
            Falls::Foreseen(by) => Some(Foresight { by, next: None }),
            Falls::Told(file) => {
                let file = watch(file).map_err(|error| format!("{name} cannot be waited for: {error}"))?;
                actix_rt::spawn(self.clone().hear(lines.len(), file));
                None
            }
        };
        lines.push(Line { name, foresight, trust: Trust::default() });
        Ok(())
    }

    /// Whether any line is listened to: then drivers must be told that they were heard.
    pub fn is_there(&self) -> bool {
        self.0.lines.borrow().iter().any(|line| !line.trust.is_lost())
    }

    /// A motor moves, and looks when this rings; or before, if a line falls.
    pub fn waits(&self, axis: Axis, bell: &Bell, look: Ticket) {
        self.0.looks.borrow_mut()[axis as usize] = Some((bell.clone(), look));
        self.foresee();
    }

    /// Its move has ended, and the driver was told that it was heard. Says for how long a line had told so, if one did.
    pub fn ended(&self, axis: Axis, now: Instant) -> Option<Duration> {
        self.0.looks.borrow_mut()[axis as usize] = None;
        self.0.ended.set(Some(now));
        let told = self.0.lines.borrow_mut().iter_mut().filter_map(|line| line.trust.ended(now)).max();
        self.foresee();
        told
    }

    /// A line fell: whoever moves looks now. Whether anybody does.
    fn fell(&self, n: usize, at: Instant) -> bool {
        {
            let line = &mut self.0.lines.borrow_mut()[n];
            if line.trust.is_lost() {
                return false;
            }
            line.trust.falls(at, self.0.ended.get());
            if line.trust.is_lost() {
                self.give_up(line, "it falls again and again, and no move has ended");
            }
        }
        let looks = self.0.looks.borrow();
        looks.iter().flatten().for_each(|(bell, look)| bell.early(*look));
        looks.iter().any(Option::is_some)
    }

    fn give_up(&self, line: &mut Line, why: &str) {
        line.trust.in_vain = u32::MAX;
        (self.0.say)(&format!(
            "the motor drivers are not listened to on {} any more: {why}; {FORESEEN}",
            line.name
        ));
    }

    /// Waits for falls that are foreseen: what was written to a chip may have changed them.
    fn foresee(&self) {
        for (n, line) in self.0.lines.borrow_mut().iter_mut().enumerate() {
            let Some(Foresight { by, next }) = &mut line.foresight else { continue };
            let falls = by.falls();
            if falls != next.map(|(at, _)| at) {
                let fall = Rc::new(Fall { diag: self.clone(), line: n });
                *next = falls.map(|at| (at, self.0.alarms.push(at, fall)));
            }
        }
    }

    /// The kernel tells of falls, until it cannot or the line is given up; then it is closed.
    async fn hear(self, n: usize, file: AsyncFd<OwnedFd>) {
        let mut records = [0; RECORD * RECORDS];
        while let Ok(mut ready) = file.readable().await {
            let read = rustix::io::read(file.get_ref(), &mut records);
            ready.clear_ready();
            match read {
                Ok(len) if len >= RECORD => {
                    self.fell(n, self.last(&records[..len]));
                }
                Err(Errno::AGAIN | Errno::INTR) => continue,
                Ok(_) | Err(_) => {
                    self.give_up(
                        &mut self.0.lines.borrow_mut()[n],
                        "the kernel has nothing more to say of it",
                    );
                }
            }
            if self.0.lines.borrow()[n].trust.is_lost() {
                return;
            }
        }
    }

    /// When the newest of these falls was, by the kernel: until Linux 5.7 by another clock, and then it is now.
    fn last(&self, records: &[u8]) -> Instant {
        let newest = records.chunks_exact(RECORD).next_back().and_then(|record| record.first_chunk());
        let now = self.0.alarms.now();
        newest.map_or(now, |ns| Instant::from_nanos(u64::from_ne_bytes(*ns)).min(now))
    }
}

const FORESEEN: &str = "the ends of moves are foreseen, as without it";

/// A fall that was foreseen.
struct Fall {
    diag: Diag,
    line: usize,
}

impl Ring for Fall {
    fn ring(&self, ticket: Ticket) -> bool {
        let Diag(inner) = &self.diag;
        let foresight = |Foresight { by, next }: &mut Foresight| {
            next.take_if(|(_, next)| *next == ticket).map(|_| by.is_low())
        };
        let is_low = inner.lines.borrow_mut()[self.line].foresight.as_mut().and_then(foresight);
        match is_low {
            Some(true) => return self.diag.fell(self.line, inner.alarms.now()),
            // The move was stopped; another one may still end.
            Some(false) => self.diag.foresee(),
            None => {}
        }
        false
    }

    /// It comes from the world.
    fn is_noted(&self) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Instant {
        Instant::from_nanos(ms * 1_000_000)
    }

    #[test]
    fn a_line_is_believed_as_long_as_ends_of_moves_are_near_its_falls() {
        let mut trust = Trust::default();
        for n in 1..100 {
            trust.falls(at(n * 1_000), Some(at((n - 1) * 1_000)));
            assert_eq!(trust.ended(at(n * 1_000 + 1)), Some(Duration::from_millis(1)));
            // Two more for nothing, and one whose end was seen before it.
            trust.falls(at(n * 1_000 + 300), Some(at(n * 1_000 + 1)));
            trust.falls(at(n * 1_000 + 400), Some(at(n * 1_000 + 1)));
            assert_eq!(trust.in_vain, 2);
            trust.falls(at(n * 1_000 + 501), Some(at(n * 1_000 + 500)));
            assert_eq!(trust.in_vain, 0);
        }
    }

    #[test]
    fn a_line_that_falls_for_nothing_is_lost_after_so_many_times_and_not_before() {
        let mut trust = Trust::default();
        for n in 0..u64::from(IN_VAIN) {
            trust.falls(at(n), None);
            assert!(!trust.is_lost(), "after {}", n + 1);
        }
        assert_eq!(trust.ended(at(60)), None, "an end that is seen long after it is none that it told");
        trust.falls(at(100), Some(at(60)));
        assert!(trust.is_lost());
    }

    #[test]
    fn what_the_kernel_says_of_the_newest_fall_is_read_from_its_record() {
        let clock = crate::alarm::VirtualClock::standing_at(at(50));
        Alarms::start_virtual(clock, crate::journal::Journal::default(), crate::timing::Timings::default());
        let diag = Diag::listening(vec![], Arc::new(|_| ()));
        let record = |ms| [at(ms).nanos().to_ne_bytes(), [2, 0, 0, 0, 0, 0, 0, 0]].concat();
        assert_eq!(diag.last(&[record(30), record(40)].concat()), at(40));
        assert_eq!(diag.last(&record(5_000)), at(50), "by a clock that is not ours");
        assert!(!diag.is_there());
    }
}
