//! The calendar of battery-backed clocks: it began on 2000-01-01, and every fourth year is a leap year.

use planktor_protocol::{Instant, Utc};
use std::time::Duration;

const DAY_S: u64 = 86_400;
/// Of four years that begin with a leap year.
const FOUR_YEARS_D: u64 = 4 * 365 + 1;
/// 2000-01-01 in seconds since 1970.
const BEGAN_S: i64 = 946_684_800;
const MONTHS: [u64; 12] = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];

/// A date and a time of the day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Date {
    /// Since 2000.
    pub(crate) year: u64,
    /// 1 to 12.
    pub(crate) month: u64,
    /// 1 to 31.
    pub(crate) day: u64,
    pub(crate) hour: u64,
    pub(crate) minute: u64,
    pub(crate) second: u64,
}

/// What a clock counts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Counter {
    since: Instant,
    /// Since 2000, at that instant.
    counted: Duration,
    /// Of the first day of 2000, by the reckoning of whoever set the weekday; 0 to 6.
    first_weekday: u64,
}

impl Counter {
    /// One that was set right.
    pub(crate) fn right(utc: Utc, now: Instant) -> Self {
        let since_1970 = Duration::from_micros(utc.micros().unsigned_abs());
        let counted = since_1970.saturating_sub(Duration::from_secs(BEGAN_S.unsigned_abs()));
        // 2000-01-01 was a Saturday, the sixth day after Sunday.
        Self { since: now, counted, first_weekday: 6 }
    }

    /// At the calendar's begin.
    pub(crate) fn at_its_begin(now: Instant) -> Self {
        Self { since: now, counted: Duration::ZERO, first_weekday: 0 }
    }

    /// Its date and weekday (0 to 6).
    pub(crate) fn read(&self, now: Instant) -> (Date, u64) {
        let seconds = self.counted(now).as_secs();
        (Date::of(seconds), (seconds / DAY_S + self.first_weekday) % 7)
    }

    /// Sets it. Within the second it goes on, or begins a new one.
    pub(crate) fn set(&mut self, date: Date, weekday: u64, new_second: bool, now: Instant) {
        let within = if new_second { 0 } else { self.counted(now).subsec_nanos() };
        let seconds = date.seconds();
        let first_weekday = (weekday + 7 - (seconds / DAY_S) % 7) % 7;
        *self = Self { since: now, counted: Duration::new(seconds, within), first_weekday };
    }

    /// As a civil time.
    pub(crate) fn utc(&self, now: Instant) -> Utc {
        let us = i64::try_from(self.counted(now).as_micros()).unwrap_or(i64::MAX);
        Utc::from_micros(us.saturating_add(BEGAN_S * 1_000_000))
    }

    fn counted(&self, now: Instant) -> Duration {
        self.counted + (now - self.since)
    }
}

impl Date {
    fn of(seconds: u64) -> Self {
        let (days, second) = (seconds / DAY_S, seconds % DAY_S);
        let (fours, mut day) = (days / FOUR_YEARS_D, days % FOUR_YEARS_D);
        let mut year = 0;
        while day >= year_d(year) {
            day -= year_d(year);
            year += 1;
        }
        let mut month = 1;
        while day >= month_d(year, month) {
            day -= month_d(year, month);
            month += 1;
        }
        let (hour, minute) = (second / 3_600, second / 60 % 60);
        Self { year: 4 * fours + year, month, day: day + 1, hour, minute, second: second % 60 }
    }

    /// What is no date is counted as if it were one.
    fn seconds(self) -> u64 {
        let Self { year, month, day, hour, minute, second } = self;
        let years: u64 = (0..year).map(year_d).sum();
        let months: u64 = (1..month.clamp(1, 12)).map(|month| month_d(year, month)).sum();
        (years + months + day.max(1) - 1) * DAY_S + hour * 3_600 + minute * 60 + second
    }
}

fn year_d(year: u64) -> u64 {
    if year.is_multiple_of(4) { 366 } else { 365 }
}

fn month_d(year: u64, month: u64) -> u64 {
    let leap = month == 2 && year.is_multiple_of(4);
    MONTHS[usize::try_from(month - 1).unwrap_or(0) % 12] + u64::from(leap)
}

/// Two decimal digits.
pub(crate) fn bcd(n: u64) -> u8 {
    let n = (n % 100) as u8;
    ((n / 10) << 4) | (n % 10)
}

/// Two decimal digits, read.
pub(crate) fn from_bcd(bcd: u8) -> u64 {
    u64::from(bcd >> 4) * 10 + u64::from(bcd & 0x0F)
}

/// An hour's register: of 24, or of 12 with a bit for the afternoon.
pub(crate) fn hour_register(hour: u64, twelve: bool, afternoon: u8) -> u8 {
    if !twelve {
        return bcd(hour);
    }
    let of_twelve = if hour.is_multiple_of(12) { 12 } else { hour % 12 };
    bcd(of_twelve) | if hour >= 12 { afternoon } else { 0 }
}

/// An hour's register, read.
pub(crate) fn hour(register: u8, twelve: bool, afternoon: u8) -> u64 {
    if !twelve {
        return from_bcd(register & 0x3F);
    }
    from_bcd(register & 0x1F) % 12 + if register & afternoon == 0 { 0 } else { 12 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_counts_as_the_civil_calendar_does() {
        for text in [
            "2000-01-01T00:00:00Z",
            "2000-02-29T23:59:59Z",
            "2001-03-01T00:00:00Z",
            "2024-12-31T23:59:59Z",
            "2026-06-01T08:07:06Z",
            "2099-12-31T12:00:00Z",
        ] {
            let utc = Utc::parse(text).unwrap();
            let counter = Counter::right(utc, Instant::ZERO);
            let (date, _) = counter.read(Instant::ZERO);
            let Date { year, month, day, hour, minute, second } = date;
            let said = format!("{}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z", 2000 + year);
            assert_eq!(said, text);
            assert_eq!(counter.utc(Instant::ZERO), utc);
            let mut set = Counter::at_its_begin(Instant::ZERO);
            set.set(date, 3, true, Instant::ZERO);
            assert_eq!(set.read(Instant::ZERO), (date, 3));
        }
        let monday = Counter::right(Utc::parse("2026-06-01T08:00:00Z").unwrap(), Instant::ZERO);
        assert_eq!(monday.read(Instant::ZERO).1, 1);
    }

    #[test]
    fn hours_of_twelve_have_no_zero() {
        for (hour_of_day, register) in [(0, 0x12), (1, 0x01), (12, 0x32), (13, 0x21), (23, 0x31)] {
            assert_eq!(hour_register(hour_of_day, true, 0x20), register);
            assert_eq!(hour(register, true, 0x20), hour_of_day);
        }
    }
}
