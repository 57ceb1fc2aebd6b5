//! Clocks as handles: who is given one asks it, and nobody else knows the time.

use planktor_protocol::{Instant, Utc};

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
