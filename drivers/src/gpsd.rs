//! What gpsd says, line by line. Knows its JSON and no socket.
//!
//! The types are gpsd_proto's; its reader is not used, because it fails on classes that it does not know.

use gpsd_proto::{Mode, Tpv};
use planktor_protocol::position::{Fix, Place};
use planktor_protocol::units::Nanodegrees;
use planktor_protocol::{Instant, Utc};

/// Asks for reports.
pub const WATCH: &str = gpsd_proto::ENABLE_WATCH_CMD;

/// gpsd's own limit for a response (GPS_JSON_RESPONSE_MAX); what is longer is no line of gpsd's.
pub const LONGEST_LINE: usize = 10_240;

/// The fix in a line, if it is a time-position-velocity report.
pub fn fix(line: &[u8], at: Instant) -> Option<Fix> {
    let value: serde_json::Value = serde_json::from_slice(line).ok()?;
    if value.get("class")?.as_str()? != "TPV" {
        return None;
    }
    let report: Tpv = serde_json::from_value(value).ok()?;
    let time = report.time.as_deref().and_then(Utc::parse);
    match report.mode {
        // Without a fix a receiver repeats its own clock, which may be anything.
        Mode::NoFix => Some(Fix { at, time: None, place: None }),
        Mode::Fix2d => Some(Fix { at, time, place: place(&report, None) }),
        Mode::Fix3d => Some(Fix { at, time, place: place(&report, report.alt_hae) }),
    }
}

/// Neither 0, 0 nor -90, 0 is a place: both are what software writes that does not know.
fn place(report: &Tpv, altitude: Option<f32>) -> Option<Place> {
    let (latitude, longitude) = (report.lat?, report.lon?);
    let on_earth = (-90.0..=90.0).contains(&latitude) && (-180.0..=180.0).contains(&longitude);
    let placeholder = longitude == 0.0 && (latitude == 0.0 || latitude == -90.0);
    (on_earth && !placeholder).then(|| Place {
        latitude: nanodegrees(latitude),
        longitude: nanodegrees(longitude),
        altitude_mm: altitude.and_then(millimetres),
        error_mm: report.eph.and_then(millimetres),
    })
}

fn nanodegrees(degrees: f64) -> Nanodegrees {
    #[expect(clippy::cast_possible_truncation, reason = "at most 180e9")]
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
    }

    #[test]
    fn without_a_fix_there_is_neither_time_nor_place() {
        let fix = read(r#"{"class":"TPV","mode":1,"time":"1980-01-06T00:00:00.000Z","lat":0.0,"lon":0.0}"#)
            .unwrap();
        assert_eq!((fix.time, fix.place), (None, None));
    }

    #[test]
    fn placeholders_are_no_place() {
        for (lat, lon) in [("0", "0"), ("-90", "0"), ("91", "5"), ("1", "181")] {
            let line = format!(r#"{{"class":"TPV","mode":3,"lat":{lat},"lon":{lon}}}"#);
            assert_eq!(read(&line).unwrap().place, None, "{lat} {lon}");
        }
        assert!(read(r#"{"class":"TPV","mode":2,"lat":0.5,"lon":180}"#).unwrap().place.is_some());
    }

    #[test]
    fn other_classes_and_noise_are_passed_over() {
        for line in [r#"{"class":"TOFF","real_sec":1}"#, r#"{"class":"SKY"}"#, "{", "", "5", "\u{0}\u{ff}"] {
            assert_eq!(read(line), None, "{line}");
        }
    }
}
