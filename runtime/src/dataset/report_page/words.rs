//! How numbers, places, lengths of time and lists of frames are written for people.

/// As many digits as say something.
pub(super) fn number(value: f64) -> String {
    let digits = match value.abs() {
        0.0 => 0,
        size if size >= 100.0 => 0,
        size if size >= 1.0 => 1,
        size if size >= 0.01 => 3,
        size if size >= 0.0001 => 5,
        _ => return format!("{value:.1e}"),
    };
    format!("{value:.digits$}")
}

pub(super) fn metres(metres: f64) -> String {
    if metres >= 1e3 { format!("{} km", metres / 1e3) } else { format!("{} m", metres.round()) }
}

pub(super) fn degrees(latitude: f64, longitude: f64) -> String {
    let side = |degrees: f64, plus, minus| {
        format!("{:.4}° {}", degrees.abs(), if degrees < 0.0 { minus } else { plus })
    };
    format!("{}, {}", side(latitude, "N", "S"), side(longitude, "E", "W"))
}

/// A length of time, its sign apart.
pub(super) fn lasts(seconds: f64) -> String {
    let s = seconds.abs();
    match s {
        _ if s >= 2.0 * 86_400.0 * 365.0 => format!("{:.1} years", s / 86_400.0 / 365.25),
        _ if s >= 2.0 * 86_400.0 => format!("{:.1} days", s / 86_400.0),
        _ if s >= 2.0 * 3_600.0 => format!("{:.1} hours", s / 3_600.0),
        _ if s >= 120.0 => format!("{:.1} minutes", s / 60.0),
        _ if s >= 1.0 => format!("{s:.1} s"),
        _ => format!("{:.1} ms", s * 1e3),
    }
}

/// So many runs of frames are named.
const RUNS: usize = 8;

/// Frames as people count them, from 1: `3–7, 12`. They come as they are counted here, from 0, in order.
pub(super) fn frames(list: &[usize]) -> String {
    let mut runs: Vec<(usize, usize)> = Vec::new();
    for n in list {
        match runs.last_mut() {
            Some((_, last)) if *last + 1 == *n => *last = *n,
            _ => runs.push((*n, *n)),
        }
    }
    let one = |(from, to): &(usize, usize)| match from == to {
        true => (from + 1).to_string(),
        false => format!("{}–{}", from + 1, to + 1),
    };
    let named: Vec<_> = runs.iter().take(RUNS).map(one).collect();
    let word = if list.len() == 1 { "frame" } else { "frames" };
    format!("{word} {}{}", named.join(", "), if runs.len() > RUNS { " and others" } else { "" })
}

/// `1 frame`, `2 frames`.
pub(super) fn count(n: usize, one: &str) -> String {
    format!("{n} {one}{}", if n == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_counted_from_one_and_put_together() {
        assert_eq!(frames(&[0]), "frame 1");
        assert_eq!(frames(&[2, 3, 4, 11]), "frames 3–5, 12");
        assert!(frames(&(0..40).map(|n| 2 * n).collect::<Vec<_>>()).ends_with("15 and others"));
    }

    #[test]
    fn numbers_and_times_are_short() {
        assert_eq!([0.0, 123.4, 4.56, 0.1234, 0.000_012].map(number), ["0", "123", "4.6", "0.123", "1.2e-5"]);
        assert_eq!(
            [0.0005, 2.0, 240.0, 3e4, 3e5, 2.1e8].map(lasts),
            ["0.5 ms", "2.0 s", "4.0 minutes", "8.3 hours", "3.5 days", "6.7 years"]
        );
        assert_eq!(degrees(-16.5, 179.25), "16.5000° S, 179.2500° E");
    }
}
