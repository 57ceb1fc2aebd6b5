//! Before everybody else: a guard that waits for a processor is late. Where the computer does not permit it, it goes on as
//! any other program, and says so.

use rustix::mm::{MlockAllFlags, mlockall};
use std::fmt::Display;
use thread_priority::{
    NormalThreadSchedulePolicy, RealtimeThreadSchedulePolicy, ThreadPriority, ThreadPriorityValue,
    ThreadSchedulePolicy, set_thread_priority_and_policy, thread_native_id,
};

/// Above the hardware thread, which may be what hangs: SCHED_FIFO, 1 to 99.
const PRIORITY: u8 = 60;
/// A nice value of 0, as this library counts.
const USUAL: u8 = 50;

/// This thread is urgent while this is there. A program that it starts would be as urgent, so nothing is started meanwhile.
pub(super) struct Urgent(Result<(), String>);

impl Urgent {
    /// Makes it urgent, if that is permitted.
    pub(super) fn now() -> Self {
        Self(set(PRIORITY, ThreadSchedulePolicy::Realtime(RealtimeThreadSchedulePolicy::Fifo)))
    }
}

impl Drop for Urgent {
    fn drop(&mut self) {
        if self.0.is_ok() {
            let _ = set(USUAL, ThreadSchedulePolicy::Normal(NormalThreadSchedulePolicy::Other));
        }
    }
}

fn set(priority: u8, policy: ThreadSchedulePolicy) -> Result<(), String> {
    let value = ThreadPriorityValue::try_from(priority)?;
    set_thread_priority_and_policy(thread_native_id(), ThreadPriority::Crossplatform(value), policy)
        .map_err(|error| error.to_string())
}

/// Keeps this program in memory, and says what is not permitted here: with what consequence, and which limit to raise.
pub(super) fn refusals() -> Vec<String> {
    let scheduled = Urgent::now().0.clone();
    let locked = mlockall(MlockAllFlags::CURRENT | MlockAllFlags::FUTURE | MlockAllFlags::ONFAULT);
    let refused = |what: &str, why: &dyn Display, limit: &str| {
        format!("{what} ({why}), so on a busy computer it may act late; raise {limit}")
    };
    let scheduled =
        scheduled.err().map(|why| refused("it is not scheduled before others", &why, "LimitRTPRIO to 60"));
    let locked =
        locked.err().map(|why| refused("it is not kept in memory", &why, "LimitMEMLOCK to infinity"));
    scheduled.into_iter().chain(locked).collect()
}
