//! What chrony says of the computer's clock. Knows a line of `chronyc -c tracking` and no process.

use std::time::Duration;

/// How `chronyc` is asked: one line, values with commas between them.
pub const ASK: [&str; 3] = ["-c", "-n", "tracking"];

/// Longer than any answer.
pub const LONGEST_ANSWER: usize = 1_024;

/// The values of a line (chronyc(1), "tracking"): reference ID, name or address, stratum, reference time, system time,
/// last offset, RMS offset, frequency, residual frequency, skew, root delay, root dispersion, update interval, leap status.
const VALUES: usize = 14;
const REFERENCE: usize = 0;
const SYSTEM_TIME: usize = 4;
const ROOT_DELAY: usize = 10;
const ROOT_DISPERSION: usize = 11;
const LEAP_STATUS: usize = 13;

/// The reference of a chrony that serves its own clock because it has no better one (`local` in chrony.conf(5)): its
/// leap status is as good as any, and nothing keeps it right.
const ITSELF: &str = "7F7F0101";

/// Not what chrony says.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("chronyc said {0:?}, which is no line of its tracking")]
pub struct NotTracking(String);

/// How wrong the computer's clock may be: half the root delay, the root dispersion and what is still to be corrected, as
/// chronyc(1) bounds the error; `None` if nothing keeps the clock right.
///
/// # Errors
/// The line, if it is none of chrony's.
pub fn error(line: &str) -> Result<Option<Duration>, NotTracking> {
    let shown = || NotTracking(line.chars().take(80).collect());
    let values: Vec<&str> = line.trim().split(',').collect();
    if values.len() != VALUES {
        return Err(shown());
    }
    let seconds = |n: usize| values[n].parse::<f64>().ok().filter(|s| s.is_finite()).ok_or_else(shown);
    let (delay, dispersion, offset) =
        (seconds(ROOT_DELAY)?, seconds(ROOT_DISPERSION)?, seconds(SYSTEM_TIME)?);
    let kept = match values[LEAP_STATUS] {
        "Normal" | "Insert second" | "Delete second" => values[REFERENCE] != ITSELF,
        "Not synchronised" => false,
        _ => return Err(shown()),
    };
    let error = Duration::try_from_secs_f64(delay.abs() / 2.0 + dispersion.abs() + offset.abs());
    Ok(Some(error.map_err(|_| shown())?).filter(|_| kept))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lines of chrony 4.3.
    #[test]
    fn a_clock_that_is_kept_right_has_an_error() {
        let line = "7F000001,127.0.0.1,11,1795770900.658181578,-0.000002219,-0.000000025,0.000000383,-0.695,-0.013,\
                    2.375,0.000008101,0.000001995,0.1,Normal\n";
        assert_eq!(error(line), Ok(Some(Duration::from_nanos(8_265))));
        let leap = line.replace("Normal", "Insert second");
        assert_eq!(error(&leap), error(line));
    }

    #[test]
    fn a_clock_that_nothing_keeps_has_none() {
        let alone = "00000000,,0,0.000000000,0.000000000,0.000000000,0.000000000,0.000,0.000,0.000,1.000000000,\
                     1.000000000,0.0,Not synchronised";
        let itself = "7F7F0101,,10,1795770898.151773046,0.000000000,0.000000000,0.000000000,0.000,0.000,0.000,\
                      0.000000000,0.000000000,0.0,Normal";
        assert_eq!((error(alone), error(itself)), (Ok(None), Ok(None)));
    }

    #[test]
    fn noise_is_no_answer() {
        let nan = "7F000001,127.0.0.1,11,1.0,nan,0,0,0,0,0,0.1,0.1,0.1,Normal";
        let unknown = "7F000001,127.0.0.1,11,1.0,0,0,0,0,0,0,0.1,0.1,0.1,Fine";
        let long = ",".repeat(13);
        for line in ["", "506 Cannot talk to daemon", nan, unknown, &long, &"x".repeat(5_000)] {
            let why = error(line).unwrap_err().to_string();
            assert!(why.len() < 200, "{why}");
        }
    }
}
