//! The battery-backed clock: a DS3231 or an RV-3028-C7 on I2C, or the kernel's own. What it says is believed only if it
//! has not lost its supply since it was set.

use crate::board::{I2c, RtcLine};
use crate::chips::rv3028::{Calendar, Rv3028};
use chrono::{DateTime, Datelike, NaiveDate, NaiveDateTime, Timelike};
use ds323x::{DateTimeAccess, Ds323x};
use planktor_protocol::{Fault, Utc};
use std::path::PathBuf;
use std::time::Duration;

/// How long ago it was set, at most: an assumption. Cruises are a year apart.
const YEAR_S: u64 = 366 * 86_400;
/// A DS3231 within -40 to 85 degrees (Maxim 19-5170, "Timekeeping accuracy").
const DS3231_PPB: u64 = 3_500;
/// An RV-3028-C7 between 0 and 50 degrees: 1 ppm at 25, and 0.035 ppm a square kelvin (application manual rev. 1.4, "Frequency vs. temperature").
const RV3028_PPB: u64 = 23_000;
/// The kernel's clock may be any: a watch crystal, warm and cold. An assumption.
const KERNEL_PPB: u64 = 50_000;

/// Whole seconds are read: half of one more or less.
const HALF: Duration = Duration::from_millis(500);
/// Two readings, one after the other, are not further apart than a second's turn.
const TURN_US: i64 = 1_000_000;

/// A battery-backed clock.
pub enum Rtc {
    /// Boxed: its driver keeps more than the others.
    Ds3231(Box<Ds323x<ds323x::interface::I2cInterface<I2c>, ds323x::ic::DS3231>>),
    /// By our own driver.
    Rv3028(Rv3028<I2c>),
    /// A file with seconds since 1970.
    Kernel(PathBuf),
}

const NAME: &str = "the battery-backed clock";
const SILENT: Fault = Fault::Bus(NAME);

impl Rtc {
    /// Touches nothing yet.
    pub fn new(line: RtcLine) -> Self {
        match line {
            RtcLine::Ds3231(i2c) => Self::Ds3231(Box::new(Ds323x::new_ds3231(i2c))),
            RtcLine::Rv3028(i2c) => Self::Rv3028(Rv3028::new(i2c)),
            RtcLine::Kernel(file) => Self::Kernel(file),
        }
    }

    /// What it says; `None` if it lost its supply since it was set, or says no time at all. Read twice: a bus may be
    /// disturbed.
    ///
    /// # Errors
    /// It does not answer, or not the same twice.
    pub fn read(&mut self) -> Result<Option<Utc>, Fault> {
        if self.lost_power()? {
            return Ok(None);
        }
        let [first, second] = [self.seconds()?, self.seconds()?];
        let (Some(first), Some(second)) = (first, second) else { return Ok(None) };
        let agree = (0..=TURN_US).contains(&second.micros().saturating_sub(first.micros()));
        if !agree {
            return Err(SILENT);
        }
        Ok(second.checked_add(HALF))
    }

    /// Sets it to the nearest second. The kernel's is left to the kernel, which chrony tells when (`rtcsync`).
    ///
    /// # Errors
    /// It does not answer, or does not say afterwards what it was told.
    pub fn set(&mut self, utc: Utc) -> Result<(), Fault> {
        let Some(time) = utc.checked_add(HALF).and_then(calendar) else { return Ok(()) };
        match self {
            Self::Ds3231(chip) => {
                chip.set_datetime(&time).map_err(|_| SILENT)?;
                chip.clear_has_been_stopped_flag().map_err(|_| SILENT)?;
            }
            Self::Rv3028(chip) => {
                #[expect(clippy::cast_possible_truncation, reason = "parts of a date")]
                let (month, day, hour, minute, second) = (
                    time.month() as u8,
                    time.day() as u8,
                    time.hour() as u8,
                    time.minute() as u8,
                    time.second() as u8,
                );
                let year = u16::try_from(time.year()).unwrap_or(0);
                #[expect(clippy::cast_possible_truncation, reason = "0 to 6")]
                let weekday = time.weekday().num_days_from_sunday() as u8;
                let to = Calendar { year, month, day, weekday, hour, minute, second };
                chip.set(&to).map_err(|_| SILENT)?;
            }
            Self::Kernel(_) => return Ok(()),
        }
        let said = self.read()?.map_or(i64::MAX, Utc::micros);
        if said.saturating_sub(utc.micros()).abs() > 2 * TURN_US { Err(SILENT) } else { Ok(()) }
    }

    /// How wrong it may be.
    pub fn error(&self) -> Duration {
        let ppb = match self {
            Self::Ds3231(_) => DS3231_PPB,
            Self::Rv3028(_) => RV3028_PPB,
            Self::Kernel(_) => KERNEL_PPB,
        };
        HALF * 2 + Duration::from_nanos(YEAR_S * ppb)
    }

    fn lost_power(&mut self) -> Result<bool, Fault> {
        match self {
            Self::Ds3231(chip) => chip.has_been_stopped().map_err(|_| SILENT),
            Self::Rv3028(chip) => chip.lost_power().map_err(|_| SILENT),
            // The kernel's file cannot be read then.
            Self::Kernel(_) => Ok(false),
        }
    }

    fn seconds(&mut self) -> Result<Option<Utc>, Fault> {
        let time = match self {
            Self::Ds3231(chip) => match chip.datetime() {
                Ok(time) => Some(time),
                Err(ds323x::Error::Comm(_)) => return Err(SILENT),
                Err(ds323x::Error::InvalidInputData | ds323x::Error::InvalidDeviceState) => None,
            },
            Self::Rv3028(chip) => chip.calendar().map_err(|_| SILENT)?.and_then(|it| {
                let date = NaiveDate::from_ymd_opt(it.year.into(), it.month.into(), it.day.into())?;
                date.and_hms_opt(it.hour.into(), it.minute.into(), it.second.into())
            }),
            Self::Kernel(file) => {
                let text = std::fs::read_to_string(file).map_err(|_| SILENT)?;
                return Ok(text
                    .trim()
                    .parse::<i64>()
                    .ok()
                    .and_then(|s| s.checked_mul(1_000_000))
                    .map(Utc::from_micros));
            }
        };
        Ok(time.map(|time| Utc::from_micros(time.and_utc().timestamp_micros())))
    }
}

/// A time as these chips count it: years from 2000 to 2099.
fn calendar(utc: Utc) -> Option<NaiveDateTime> {
    let time = DateTime::from_timestamp_micros(utc.micros())?.naive_utc();
    (2_000..2_100).contains(&time.year()).then_some(time)
}
