//! How the kernel schedules our threads: the hardware thread before all ordinary ones, on one core, in memory that stays.
//!
//! What is not permitted is said, and everything works without it, later. `docs/planktor.service` permits it.

use rustix::mm::{MlockAllFlags, mlockall};
use rustix::process::{Resource, geteuid, getpid, getrlimit, setpriority_process};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use std::fmt;
use std::io;
use thread_priority::{
    NormalThreadSchedulePolicy, RealtimeThreadSchedulePolicy, ThreadPriority, ThreadPriorityValue,
    ThreadSchedulePolicy, set_thread_priority_and_policy, thread_native_id,
};

/// SCHED_FIFO, 1 to 99. As threads of interrupts have it where those are threads (PREEMPT_RT).
pub const PRIORITY: u8 = 50;

/// A nice value of about 0, as the library counts; the kernel's own count is set after it.
const USUAL: u8 = 49;

/// What a thread was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RealTime {
    /// SCHED_FIFO, 1 to 99.
    pub priority: u8,
    /// The core that it stays on; `None` where there is only one.
    pub core: Option<usize>,
}

impl fmt::Display for RealTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SCHED_FIFO {}", self.priority)?;
        self.core.map_or(Ok(()), |core| write!(f, " on core {core}"))
    }
}

/// Why something was not given.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// The priority.
    #[error("real-time priority is not permitted ({why}); {advice}", why = .0, advice = self.advice())]
    Priority(String),
    /// Locked memory. A limit would be worse than none: what does not fit below it could not be allocated at all.
    #[error("memory cannot be locked ({why}); {advice}", why = .0, advice = self.advice())]
    Memory(String),
}

impl Denied {
    /// What to do about it.
    pub fn advice(&self) -> &'static str {
        match self {
            Self::Priority(_) => "allow it with LimitRTPRIO= of the service, or rtprio in limits.conf",
            Self::Memory(_) => {
                "allow it with LimitMEMLOCK=infinity of the service, or memlock in limits.conf"
            }
        }
    }
}

/// What the hardware thread has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scheduled {
    /// Its priority and core.
    pub thread: Result<RealTime, Denied>,
    /// The program's memory.
    pub memory: Result<(), Denied>,
}

impl fmt::Display for Scheduled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.thread {
            Ok(given) => write!(f, "the hardware thread has {given}")?,
            Err(why) => why.fmt(f)?,
        }
        match &self.memory {
            Ok(()) => f.write_str("; memory is locked"),
            Err(why) => write!(f, "; {why}"),
        }
    }
}

/// Gives this thread real-time priority, and one core if there are several: the last one, for the first has most of the
/// interrupts.
///
/// # Errors
/// [`Denied::Priority`]: then nothing is changed.
pub fn real_time(priority: u8) -> Result<RealTime, Denied> {
    urgent(priority)?;
    Ok(RealTime { priority, core: pin() })
}

/// Gives this thread real-time priority, on whichever core.
///
/// # Errors
/// [`Denied::Priority`]: then nothing is changed.
pub fn urgent(priority: u8) -> Result<(), Denied> {
    set(priority, ThreadSchedulePolicy::Realtime(RealtimeThreadSchedulePolicy::Fifo))
        .map_err(Denied::Priority)
}

/// Makes this thread an ordinary one on all cores, whoever has started it: children have what their parents have.
pub fn ordinary() {
    // It was allowed more than that: giving it up is always allowed.
    let _ = set(USUAL, ThreadSchedulePolicy::Normal(NormalThreadSchedulePolicy::Other));
    let _ = setpriority_process(None, 0);
    let _ = sched_getaffinity(Some(getpid())).and_then(|cores| sched_setaffinity(None, &cores));
}

/// Keeps the program's memory from being swapped out and pages from being mapped anew, each from its first use on.
///
/// # Errors
/// [`Denied::Memory`]: it may not, or only so much.
pub fn lock_memory() -> Result<(), Denied> {
    may_lock_memory()?;
    let all = MlockAllFlags::CURRENT | MlockAllFlags::FUTURE | MlockAllFlags::ONFAULT;
    mlockall(all).map_err(|error| Denied::Memory(error.to_string()))
}

/// Whether [`lock_memory`] is allowed, as far as that can be known without doing it.
///
/// # Errors
/// [`Denied::Memory`]
pub fn may_lock_memory() -> Result<(), Denied> {
    let limit = getrlimit(Resource::Memlock).current;
    if let (Some(limit), false) = (limit, geteuid().is_root()) {
        return Err(Denied::Memory(format!("at most {} KiB", limit >> 10)));
    }
    Ok(())
}

fn set(priority: u8, policy: ThreadSchedulePolicy) -> Result<(), String> {
    let priority = ThreadPriority::Crossplatform(ThreadPriorityValue::try_from(priority)?);
    set_thread_priority_and_policy(thread_native_id(), priority, policy).map_err(|error| match error {
        thread_priority::Error::OS(number) => io::Error::from_raw_os_error(number).to_string(),
        other => format!("{other:?}"),
    })
}

fn pin() -> Option<usize> {
    let allowed = sched_getaffinity(None).ok().filter(|allowed| allowed.count() > 1)?;
    let last = (0..CpuSet::MAX_CPU).rev().find(|core| allowed.is_set(*core))?;
    let mut one = CpuSet::new();
    one.set(last);
    sched_setaffinity(None, &one).ok().map(|()| last)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cores() -> u32 {
        sched_getaffinity(None).unwrap().count()
    }

    #[test]
    fn a_thread_that_a_real_time_thread_starts_can_be_an_ordinary_one() {
        let all = cores();
        let granted = std::thread::spawn(move || {
            let granted = real_time(PRIORITY);
            let child = std::thread::spawn(move || {
                ordinary();
                let nice = rustix::process::nice(0).unwrap();
                (thread_priority::thread_schedule_policy().unwrap(), nice, cores())
            });
            let (policy, nice, cores) = child.join().unwrap();
            assert_eq!(nice, 0);
            assert_eq!(policy, ThreadSchedulePolicy::Normal(NormalThreadSchedulePolicy::Other));
            assert_eq!(cores, all);
            granted
        });
        match granted.join().unwrap() {
            Ok(RealTime { priority, core }) => {
                assert_eq!((priority, core.is_some()), (PRIORITY, all > 1));
            }
            Err(why) => assert!(why.to_string().contains("LimitRTPRIO"), "{why}"),
        }
        assert_eq!(cores(), all);
    }
}
