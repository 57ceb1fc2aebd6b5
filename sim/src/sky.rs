//! Where the ship really is, what a receiver under this sky says, and what the computer's own clock says.

use crate::faults::Fault;
use crate::parameters::Parameters;
use planktor_protocol::position::{Fix, Mode, Place};
use planktor_protocol::units::Nanodegrees;
use planktor_protocol::{Instant, Utc};
use std::time::Duration;

/// Mean radius of the Earth, m (IUGG).
const EARTH_M: f64 = 6_371_008.8;
/// What gpsd says that a receiver's second may be wrong (its NMEA drivers always say so).
const TIME_ERROR: Duration = Duration::from_millis(5);
/// Vertical errors are half as large again as horizontal ones (gpsd's estimates in real receiver logs).
const VERTICAL: f64 = 1.5;
/// Height of the antenna above the ellipsoid, mm; the geoid lies 50 m above it there.
const ALTITUDE_MM: i64 = 52_000;

/// Latitude and longitude after so long, degrees: along a great circle that begins with the course. Valid everywhere,
/// across the date line and at the poles. (Sines may differ in their last digit between platforms.)
pub(crate) fn ship(parameters: &Parameters, after: Duration) -> (f64, f64) {
    let Parameters { latitude_deg, longitude_deg, ship_m_per_s, course_deg, .. } = parameters;
    if *ship_m_per_s == 0.0 {
        return (*latitude_deg, *longitude_deg);
    }
    let (latitude, course) = (latitude_deg.to_radians(), course_deg.to_radians());
    let arc = ship_m_per_s * after.as_secs_f64() / EARTH_M;
    let sine = latitude.sin() * arc.cos() + latitude.cos() * arc.sin() * course.cos();
    let there = sine.clamp(-1.0, 1.0).asin();
    let east = (course.sin() * arc.sin() * latitude.cos()).atan2(arc.cos() - latitude.sin() * there.sin());
    let longitude = (longitude_deg + east.to_degrees() + 180.0).rem_euclid(360.0) - 180.0;
    (there.to_degrees(), longitude)
}

/// What a receiver says that was switched on so long ago.
pub(crate) fn fix<'a>(
    parameters: &Parameters,
    faults: impl Iterator<Item = &'a Fault>,
    (at, utc): (Instant, Utc),
    on: Duration,
) -> Fix {
    let (mut latitude, mut longitude) = ship(parameters, on);
    let (mut time, mut sees) = (Some(utc), on.as_secs_f64() >= parameters.first_fix_s);
    for fault in faults {
        match fault {
            Fault::NoFix => sees = false,
            Fault::WrongDate(date) => time = Utc::parse(date).and_then(|date| date.checked_add(on)),
            Fault::PositionJump { latitude: there, longitude: east } => {
                (latitude, longitude) = (*there, *east);
            }
            _ => {}
        }
    }
    let place = Place {
        mode: Mode::ThreeDimensional,
        latitude: nanodegrees(latitude),
        longitude: nanodegrees(longitude),
        altitude_mm: Some(ALTITUDE_MM),
        error_mm: Some(millimetres(parameters.fix_error_m)),
        vertical_error_mm: Some(millimetres(parameters.fix_error_m * VERTICAL)),
    };
    let time = time.filter(|_| sees);
    Fix { at, time, time_error: time.and(Some(TIME_ERROR)), place: sees.then_some(place) }
}

/// What the computer's clock says, so long after the start, when it was set by so many microseconds since.
pub(crate) fn computer(parameters: &Parameters, utc: Utc, on: Duration, set_us: i64) -> Utc {
    let drift_us = on.as_secs_f64() * parameters.clock_drift_ppm;
    let error_us = parameters.clock_error_s * 1e6 + drift_us;
    #[expect(clippy::cast_possible_truncation, reason = "some decades in microseconds")]
    let error_us = error_us as i64;
    Utc::from_micros(utc.micros().saturating_add(error_us).saturating_add(set_us))
}

fn nanodegrees(degrees: f64) -> Nanodegrees {
    #[expect(clippy::cast_possible_truncation, reason = "at most 180e9")]
    Nanodegrees((degrees * 1e9).round() as i64)
}

fn millimetres(metres: f64) -> i64 {
    #[expect(clippy::cast_possible_truncation, reason = "some metres")]
    let millimetres = (metres * 1e3).round() as i64;
    millimetres
}

#[cfg(test)]
mod tests {
    use super::*;

    fn under_way(latitude_deg: f64, longitude_deg: f64, course_deg: f64) -> Parameters {
        Parameters { latitude_deg, longitude_deg, course_deg, ship_m_per_s: 10.0, ..Parameters::default() }
    }

    fn fix_of(parameters: &Parameters, faults: &[Fault], seconds: u64) -> Fix {
        let utc = Utc::parse("2026-06-01T08:00:00Z").unwrap();
        fix(parameters, faults.iter(), (Instant::ZERO, utc), Duration::from_secs(seconds))
    }

    #[test]
    fn a_ship_moves_with_its_speed_and_stays_on_earth_everywhere() {
        let (latitude, longitude) = ship(&under_way(0.0, 0.0, 90.0), Duration::from_secs(11_119));
        assert!(latitude.abs() < 1e-9 && (longitude - 1.0).abs() < 1e-3, "{latitude} {longitude}");
        let (_, across) = ship(&under_way(10.0, 179.99, 90.0), Duration::from_secs(3_600));
        assert!((-180.0..-179.0).contains(&across), "{across}: over the date line");
        let (latitude, longitude) = ship(&under_way(89.9, 0.0, 0.0), Duration::from_secs(3_600));
        assert!((89.0..90.0).contains(&latitude) && (longitude.abs() - 180.0).abs() < 1e-6, "over the pole");
        assert_eq!(ship(&Parameters::default(), Duration::from_secs(9)), (48.7273, -3.9814), "at anchor");
    }

    #[test]
    fn a_receiver_says_nothing_before_its_first_fix_and_without_satellites() {
        let slow = Parameters { first_fix_s: 30.0, fix_error_m: 7.0, ..Parameters::default() };
        assert_eq!(fix_of(&slow, &[], 29).place, None);
        let place = fix_of(&slow, &[], 30).place.unwrap();
        assert_eq!(place.error_mm, Some(7_000));
        let none = fix_of(&slow, &[Fault::NoFix], 60);
        assert_eq!((none.place, none.time), (None, None));
    }

    #[test]
    fn a_receiver_can_be_wrong_about_the_date_and_the_place() {
        let date = Fault::WrongDate("1980-01-06T00:00:00Z".into());
        let jump = Fault::PositionJump { latitude: 10.0, longitude: -180.0 };
        let fix = fix_of(&Parameters::default(), &[date, jump], 5);
        assert_eq!(fix.time, Utc::parse("1980-01-06T00:00:05Z"));
        let place = fix.place.unwrap();
        assert_eq!((place.latitude.0, place.longitude.0), (10_000_000_000, -180_000_000_000));
    }

    #[test]
    fn the_computers_clock_is_off_drifts_and_is_set() {
        let utc = Utc::parse("2026-06-01T08:00:00Z").unwrap();
        let wrong = Parameters { clock_error_s: -3600.0, clock_drift_ppm: 100.0, ..Parameters::default() };
        let says = computer(&wrong, utc, Duration::from_secs(10_000), 2_000_000);
        assert_eq!(says, Utc::parse("2026-06-01T07:00:03Z").unwrap());
    }
}
