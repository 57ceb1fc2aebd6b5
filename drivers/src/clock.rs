//! Clocks as handles: who is given one asks it, and nobody else knows the time.

use planktor_protocol::timekeeping::Tracking;
use planktor_protocol::{Instant, Utc};
use rustix::io::Errno;
use rustix::time::{Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec};
use std::os::fd::OwnedFd;

/// The monotonic clock. Real, or jumped from deadline to deadline.
pub trait Clock: Send + Sync {
    /// Now; never earlier than what it said before.
    fn now(&self) -> Instant;
}

/// A civil clock, which may be wrong by years.
pub trait WallClock {
    /// What it says now.
    fn utc(&self) -> Utc;
}

/// A civil clock that notices when it is set.
pub trait WatchedClock: WallClock {
    /// Whether it was set since this was last asked; `true`, too, where that cannot be known. Never waits. A clock that
    /// is made to run faster or slower for a while is not set.
    fn was_set(&mut self) -> bool;
}

/// Who keeps the computer's civil clock right.
pub trait TrackingSource {
    /// What it said since it was last asked; `None` if nothing. Never waits.
    fn latest(&mut self) -> Option<Tracking>;
}

/// Nobody keeps it right.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoTracking;

impl TrackingSource for NoTracking {
    fn latest(&mut self) -> Option<Tracking> {
        None
    }
}

/// The computer's own monotonic clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct Monotonic;

impl Clock for Monotonic {
    fn now(&self) -> Instant {
        #[expect(clippy::disallowed_methods, reason = "this is the Clock")]
        let t = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
        Instant::from_nanos(t.tv_sec.unsigned_abs() * 1_000_000_000 + t.tv_nsec.unsigned_abs())
    }
}

/// The computer's own civil clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct Computer;

impl WallClock for Computer {
    fn utc(&self) -> Utc {
        #[expect(clippy::disallowed_methods, reason = "this is the wall clock")]
        let t = rustix::time::clock_gettime(rustix::time::ClockId::Realtime);
        Utc::from_micros(t.tv_sec.saturating_mul(1_000_000).saturating_add(t.tv_nsec / 1_000))
    }
}

/// The computer's own civil clock, watched by a timer that never rings: the kernel cancels it when the clock is set
/// (timerfd_create(2), `TFD_TIMER_CANCEL_ON_SET`).
#[derive(Debug, Default)]
pub struct WatchedComputer {
    timer: Option<OwnedFd>,
}

/// 2200-01-01: no clock that is believed comes to it.
const NEVER: Timespec = Timespec { tv_sec: 7_258_118_400, tv_nsec: 0 };

impl WatchedComputer {
    fn armed() -> Result<OwnedFd, Errno> {
        let timer = rustix::time::timerfd_create(
            TimerfdClockId::Realtime,
            TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC,
        )?;
        arm(&timer)?;
        Ok(timer)
    }
}

fn arm(timer: &OwnedFd) -> Result<(), Errno> {
    let flags = TimerfdTimerFlags::ABSTIME | TimerfdTimerFlags::CANCEL_ON_SET;
    let once = Itimerspec { it_interval: Timespec { tv_sec: 0, tv_nsec: 0 }, it_value: NEVER };
    match rustix::time::timerfd_settime(timer, flags, &once) {
        // Set in this very moment: it is armed all the same.
        Ok(_) | Err(Errno::CANCELED) => Ok(()),
        Err(error) => Err(error),
    }
}

impl WallClock for WatchedComputer {
    fn utc(&self) -> Utc {
        Computer.utc()
    }
}

impl WatchedClock for WatchedComputer {
    fn was_set(&mut self) -> bool {
        let Some(timer) = &self.timer else {
            self.timer = Self::armed().ok();
            return true;
        };
        match rustix::io::read(timer, &mut [0; 8]) {
            Err(Errno::AGAIN | Errno::INTR) => false,
            // Cancelled, or rung because the clock was set to beyond it. What cannot be armed again is made anew.
            Ok(_) | Err(_) => {
                if arm(timer).is_err() {
                    self.timer = None;
                }
                true
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// That it really notices cannot be tested without setting this computer's clock.
    #[test]
    fn the_kernel_has_a_timer_for_it_and_nobody_sets_the_clock() {
        let mut clock = WatchedComputer::default();
        assert!(clock.was_set(), "nothing is known before the first look");
        assert!(clock.timer.is_some(), "this kernel takes such a timer");
        assert!(!clock.was_set() && !clock.was_set());
        assert!(clock.utc() > Utc::from_micros(0));
    }

    /// A timer that is due rings instead: the same way out of `read` as for a clock that was set to beyond it.
    #[test]
    fn a_timer_that_rang_is_a_clock_that_may_have_been_set_and_is_armed_again() {
        let mut clock = WatchedComputer::default();
        clock.was_set();
        let due = Itimerspec {
            it_interval: Timespec { tv_sec: 0, tv_nsec: 0 },
            it_value: Timespec { tv_sec: 1, tv_nsec: 0 },
        };
        rustix::time::timerfd_settime(clock.timer.as_ref().unwrap(), TimerfdTimerFlags::ABSTIME, &due)
            .unwrap();
        assert!(clock.was_set());
        assert!(!clock.was_set());
    }
}
