//! What gpsd says, line by line. Knows its JSON and no socket.
//!
//! The types are gpsd_proto's; its reader is not used, because it fails on classes that it does not know.

use gpsd_proto::{Mode, Tpv};
use planktor_protocol::position::{self, Fix, Place};
use planktor_protocol::units::Nanodegrees;
use planktor_protocol::{Instant, Utc};
use std::time::Duration;

/// Asks for reports, and for the receiver's own sentences, whose dates are looked at.
pub const WATCH: &str = "?WATCH={\"enable\":true,\"json\":true,\"nmea\":true};\r\n";

/// gpsd's own limit for a response (GPS_JSON_RESPONSE_MAX); what is longer is no line of gpsd's.
pub const LONGEST_LINE: usize = 10_240;

/// A gpsd that has passed no dated sentence on along with so many reports passes none on.
const UNDATED: u8 = 10;

/// What one connection to a gpsd says.
///
/// A receiver whose date is too old to be true is not believed, also where gpsd has put it right: gpsd 3.22, for one,
/// adds 1024 weeks to whatever date lies before it was built, which is right for a receiver that counts weeks modulo 1024,
/// and years too late for any other. So the date in the receiver's own sentences (RMC and ZDA of NMEA 0183) counts.
#[derive(Debug)]
pub struct Reports {
    not_before: Utc,
    /// The newest date of the receiver's own.
    dated: Option<Utc>,
    /// Reports without one.
    undated: u8,
}

impl Reports {
    /// No receiver is believed that says less.
    pub fn new(not_before: Utc) -> Self {
        Self { not_before, dated: None, undated: 0 }
    }

    /// The fix in a line, if it is a time-position-velocity report.
    pub fn read(&mut self, line: &[u8], at: Instant) -> Option<Fix> {
        if line.starts_with(b"$") {
            self.dated = date(line).or(self.dated);
            return None;
        }
        let fix = fix(line, at)?;
        let credible = match self.dated {
            Some(date) => date >= self.not_before,
            None => {
                self.undated = self.undated.saturating_add(1);
                self.undated > UNDATED
            }
        };
        if credible { Some(fix) } else { Some(Fix { time: None, time_error: None, ..fix }) }
    }
}

/// The end of the day that a sentence says, if it says one.
fn date(sentence: &[u8]) -> Option<Utc> {
    let text = std::str::from_utf8(sentence).ok()?;
    let fields: Vec<&str> = text.split(['*', ',']).collect();
    let (day, month, year) = match fields.first()?.get(3..)? {
        "RMC" => {
            let date = fields.get(9).filter(|date| date.len() == 6)?;
            let year: u16 = date.get(4..)?.parse().ok()?;
            // There was no satellite navigation before 1980.
            (date.get(..2)?, date.get(2..4)?, year + if year < 80 { 2_000 } else { 1_900 })
        }
        "ZDA" => (*fields.get(2)?, *fields.get(3)?, fields.get(4)?.parse().ok()?),
        _ => return None,
    };
    Utc::parse(&format!("{year:04}-{month}-{day}T23:59:59Z"))
}

/// gpsd's status of what a receiver makes up: a demonstration mode.
const SIMULATED: i32 = 8;

/// The fix in a line, if it is a time-position-velocity report. Modes 0 and 1 are no fix, and neither is a simulated one.
pub fn fix(line: &[u8], at: Instant) -> Option<Fix> {
    let value: serde_json::Value = serde_json::from_slice(line).ok()?;
    if value.get("class")?.as_str()? != "TPV" {
        return None;
    }
    let report: Tpv = serde_json::from_value(value).ok()?;
    let mode = match report.mode {
        Mode::Fix2d if report.status != Some(SIMULATED) => position::Mode::TwoDimensional,
        Mode::Fix3d if report.status != Some(SIMULATED) => position::Mode::ThreeDimensional,
        // Without a fix a receiver repeats its own clock, which may be anything.
        Mode::NoFix | Mode::Fix2d | Mode::Fix3d => {
            return Some(Fix { at, time: None, time_error: None, place: None });
        }
    };
    let time = report.time.as_deref().and_then(Utc::parse);
    let error = |seconds: f32| Duration::try_from_secs_f32(seconds).ok();
    let time_error = time.and(report.ept).and_then(error);
    Some(Fix { at, time, time_error, place: place(&report, mode) })
}

fn place(report: &Tpv, mode: position::Mode) -> Option<Place> {
    let (latitude, longitude) = (report.lat?, report.lon?);
    // An old gpsd says the errors to the north and to the east only.
    let error = report.eph.or_else(|| Some(report.epx?.hypot(report.epy?)));
    let high = mode == position::Mode::ThreeDimensional;
    let place = Place {
        mode,
        latitude: nanodegrees(latitude),
        longitude: nanodegrees(longitude),
        altitude_mm: report.alt_hae.filter(|_| high).and_then(millimetres),
        error_mm: error.and_then(millimetres),
        vertical_error_mm: report.epv.filter(|_| high).and_then(millimetres),
    };
    place.is_possible().then_some(place)
}

fn nanodegrees(degrees: f64) -> Nanodegrees {
    #[expect(clippy::cast_possible_truncation, reason = "saturates, which is no place")]
    Nanodegrees((degrees * 1e9).round() as i64)
}

fn millimetres(metres: f32) -> Option<i64> {
    #[expect(clippy::cast_possible_truncation, reason = "finite; saturates")]
    metres.is_finite().then(|| (f64::from(metres) * 1e3).round() as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Option<Fix> {
        fix(line.as_bytes(), Instant::ZERO)
    }

    #[test]
    fn a_report_gives_time_and_place() {
        let line = r#"{"class":"TPV","status":2,"mode":3,"time":"2015-04-13T20:26:40.000Z","ept":0.005,
            "lat":44.068843333,"lon":-121.314191667,"altHAE":1108.1000,"altMSL":1127.7000,"eph":4.655}"#;
        let fix = read(line).unwrap();
        assert_eq!(fix.time, Utc::parse("2015-04-13T20:26:40Z"));
        let place = fix.place.unwrap();
        assert_eq!(place.latitude, Nanodegrees(44_068_843_333));
        assert_eq!(place.longitude, Nanodegrees(-121_314_191_667));
        assert_eq!((place.altitude_mm, place.error_mm), (Some(1_108_100), Some(4_655)));
        assert_eq!((fix.time_error, place.vertical_error_mm), (Some(Duration::from_millis(5)), None));
        assert_eq!(place.mode.word(), "3d");
    }

    #[test]
    fn errors_are_told_in_one_way_or_the_other_and_a_flat_fix_has_no_height() {
        let line = r#"{"class":"TPV","mode":2,"lat":1,"lon":2,"altHAE":5.0,"epx":3.0,"epy":4.0,"epv":9.0}"#;
        let place = read(line).unwrap().place.unwrap();
        assert_eq!((place.mode.word(), place.error_mm), ("2d", Some(5_000)));
        assert_eq!((place.altitude_mm, place.vertical_error_mm), (None, None));
    }

    #[test]
    fn what_a_receiver_makes_up_is_no_fix() {
        let line =
            r#"{"class":"TPV","status":8,"mode":3,"time":"2026-06-01T08:00:00Z","lat":40.4,"lon":-3.7}"#;
        let fix = read(line).unwrap();
        assert_eq!((fix.time, fix.place), (None, None));
    }

    #[test]
    fn without_a_fix_there_is_neither_time_nor_place() {
        for mode in [0, 1] {
            let line = format!(
                r#"{{"class":"TPV","mode":{mode},"time":"2026-01-06T00:00:00.000Z","lat":5.0,"lon":6.0}}"#
            );
            let fix = read(&line).unwrap();
            assert_eq!((fix.time, fix.place), (None, None), "mode {mode}");
        }
    }

    #[test]
    fn placeholders_are_no_place() {
        for (lat, lon) in
            [("0", "0"), ("1e-8", "-1e-8"), ("-90", "0"), ("91", "5"), ("1", "181"), ("1e300", "1")]
        {
            let line = format!(r#"{{"class":"TPV","mode":3,"lat":{lat},"lon":{lon}}}"#);
            assert_eq!(read(&line).unwrap().place, None, "{lat} {lon}");
        }
        assert!(read(r#"{"class":"TPV","mode":2,"lat":0.5,"lon":180}"#).unwrap().place.is_some());
    }

    const TIMED: &[u8] = br#"{"class":"TPV","mode":3,"time":"2028-04-08T08:14:39Z","lat":52.2,"lon":6.9}"#;

    fn times(not_before: &str, lines: &[&[u8]]) -> Vec<bool> {
        let mut reports = Reports::new(Utc::parse(not_before).unwrap());
        let fixes = lines.iter().filter_map(|line| reports.read(line, Instant::ZERO));
        fixes.inspect(|fix| assert!(fix.place.is_some())).map(|fix| fix.time.is_some()).collect()
    }

    #[test]
    fn a_receiver_with_an_old_date_is_not_believed_also_where_gpsd_made_it_newer() {
        let old: &[u8] = b"$GPRMC,081439.000,A,5212.9,N,00653.1,E,0.2,0.0,230808,,*3A\r\n";
        let new: &[u8] = b"$GPZDA,081440.000,08,04,2028,,*54\r\n";
        let none: &[u8] = b"$GPRMC,,V,,,,,,,,,,N*53\r\n";
        let not_before = "2026-01-01T00:00:00Z";
        assert_eq!(times(not_before, &[old, TIMED, none, TIMED, new, TIMED]), [false, false, true]);
        assert_eq!(times("2008-08-23T12:00:00Z", &[old, TIMED]), [true], "that day is not over");
        let last_century: &[u8] = b"$GPRMC,1,V,,,,,,,060180,,*3A";
        assert_eq!(times(not_before, &[last_century, TIMED]), [false]);
    }

    #[test]
    fn before_the_receiver_has_said_its_date_no_time_is_believed_unless_it_never_does() {
        let times = times("2026-01-01T00:00:00Z", &[TIMED; 12]);
        assert_eq!(times.iter().position(|believed| *believed), Some(10));
    }

    #[test]
    fn other_classes_and_noise_are_passed_over() {
        for line in [r#"{"class":"TOFF","real_sec":1}"#, r#"{"class":"SKY"}"#, "{", "", "5", "\u{0}\u{ff}"] {
            assert_eq!(read(line), None, "{line}");
        }
    }
}
