//! Charts over the frames of a data set, as SVG that a phone shows and a screen reader says.

use super::words::number;
use maud::{Markup, html};

/// A chart's own units.
const WIDTH: f64 = 360.0;
const HEIGHT: f64 = 170.0;
const LEFT: f64 = 46.0;
const RIGHT: f64 = 8.0;
const TOP: f64 = 10.0;
const BOTTOM: f64 = 24.0;
/// A line of more points is drawn by the least and the greatest of each bucket.
const BUCKETS: usize = 300;

/// What is drawn.
pub(super) struct Chart<'a> {
    /// For addresses within the page.
    pub(super) id: &'a str,
    pub(super) title: &'a str,
    /// Of the values.
    pub(super) unit: &'a str,
    /// A value for each frame, where there is one.
    pub(super) lines: Vec<Line<'a>>,
    /// Level lines, with their names.
    pub(super) limits: Vec<(f64, &'a str)>,
    /// What is less than this apart is not drawn apart: nobody is to see mountains in a rounding error.
    pub(super) least: f64,
    /// Frames at which something happened, from 0.
    pub(super) marks: Vec<(usize, String)>,
}

/// A line in it.
pub(super) struct Line<'a> {
    pub(super) name: &'a str,
    pub(super) values: Vec<Option<f64>>,
}

/// Nothing if there is no value.
pub(super) fn chart(chart: &Chart<'_>) -> Option<Markup> {
    let Chart { id, title, unit, lines, limits, marks, least: coarse } = chart;
    let all: Vec<f64> = lines.iter().flat_map(|line| line.values.iter().flatten().copied()).collect();
    let frames = lines.iter().map(|line| line.values.len()).max().unwrap_or(0);
    let (least, most) = range(&all)?;
    let (low, high) = span(least, most, *coarse, limits);
    let steps = frames.saturating_sub(1).max(1) as f64;
    let x = |frame: usize| LEFT + (WIDTH - LEFT - RIGHT) * frame as f64 / steps;
    let y = |value: f64| TOP + (HEIGHT - TOP - BOTTOM) * (high - value) / (high - low);
    let inside = |value: &f64| (low..=high).contains(value);
    let about = format!(
        "{frames} frames, from {} to {} {unit}{}",
        number(least),
        number(most),
        marks.iter().map(|(frame, what)| format!("; at frame {}: {what}", frame + 1)).collect::<String>()
    );
    Some(html! {
        figure {
            svg.chart viewBox=(format!("0 0 {WIDTH} {HEIGHT}")) role="img" aria-labelledby={ (id) "-t " (id) "-d" } {
                title id={ (id) "-t" } { (title) }
                desc id={ (id) "-d" } { (about) }
                @for value in [low, f64::midpoint(low, high), high] {
                    path.grid d=(format!("M{LEFT} {:.1}H{}", y(value), WIDTH - RIGHT)) {}
                    text.end x=(LEFT - 4.0) y=(format!("{:.1}", y(value) + 4.0)) { (axis(value, high - low)) }
                }
                @for frame in ends(frames) {
                    text.middle x=(format!("{:.1}", x(frame).clamp(LEFT, WIDTH - 14.0))) y=(HEIGHT - 8.0) { (frame + 1) }
                }
                @for (value, name) in limits.iter().filter(|(value, _)| inside(value)) {
                    path.limit d=(format!("M{LEFT} {:.1}H{}", y(*value), WIDTH - RIGHT)) { title { (name) } }
                    text.small.end x=(WIDTH - RIGHT) y=(format!("{:.1}", y(*value) - 2.0)) { (name) }
                }
                @for (frame, what) in marks {
                    path.mark d=(format!("M{:.1} {TOP}V{}", x(*frame), HEIGHT - BOTTOM)) { title { (what) } }
                }
                @for (n, line) in lines.iter().enumerate() {
                    path class={ "line l" (n) } d=(path(&line.values, x, y)) { title { (line.name) } }
                }
            }
            figcaption {
                (title) ", " (unit)
                @if lines.len() > 1 {
                    @for (n, line) in lines.iter().enumerate() { " " span class={ "key l" (n) } { (line.name) } }
                }
            }
        }
    })
}

fn range(values: &[f64]) -> Option<(f64, f64)> {
    let finite = || values.iter().copied().filter(|value| value.is_finite());
    let (least, most) = (finite().fold(f64::INFINITY, f64::min), finite().fold(f64::NEG_INFINITY, f64::max));
    (least <= most).then_some((least, most))
}

/// What the axis shows: the values with some air, and limits that are not far from them. Never nothing.
fn span(least: f64, most: f64, coarse: f64, limits: &[(f64, &str)]) -> (f64, f64) {
    let wide = (most - least).max(coarse).max(most.abs() * 1e-9);
    let more = (wide - (most - least)) / 2.0;
    let (least, most) = (least - more, most + more);
    let near = |value: &&(f64, &str)| (least - 2.0 * wide..=most + 2.0 * wide).contains(&value.0);
    let shown = || limits.iter().filter(near).map(|(value, _)| *value);
    let low = shown().fold(least, f64::min);
    let high = shown().fold(most, f64::max);
    let air = (high - low).max(wide) * 0.08;
    (low - air, high + air)
}

/// As many digits as tell the axis' ends apart.
fn axis(value: f64, wide: f64) -> String {
    let digits = (1.0 - wide.log10().floor()).clamp(0.0, 9.0) as usize;
    format!("{value:.digits$}")
}

fn ends(frames: usize) -> Vec<usize> {
    let mut ends = vec![0, frames.saturating_sub(1) / 2, frames.saturating_sub(1)];
    ends.dedup();
    ends
}

/// A gap stays a gap; a frame alone is a dot.
fn path(values: &[Option<f64>], x: impl Fn(usize) -> f64, y: impl Fn(f64) -> f64) -> String {
    let mut path = String::new();
    let mut drawing = false;
    for (frame, value) in thinned(values) {
        match value.filter(|value| value.is_finite()) {
            Some(value) => {
                let letter = if drawing { 'L' } else { 'M' };
                path += &format!("{letter}{:.1} {:.1}", x(frame), y(value));
                if !drawing {
                    path += "h0";
                }
                drawing = true;
            }
            None => drawing = false,
        }
    }
    path
}

/// Few enough points, of which none hides a peak.
fn thinned(values: &[Option<f64>]) -> Vec<(usize, Option<f64>)> {
    if values.len() <= 2 * BUCKETS {
        return values.iter().copied().enumerate().collect();
    }
    let bucket = values.len().div_ceil(BUCKETS);
    let mut points = Vec::new();
    for (n, chunk) in values.chunks(bucket).enumerate() {
        let at = |i: usize| (n * bucket + i, chunk[i]);
        let known = || chunk.iter().enumerate().filter_map(|(i, value)| Some((i, (*value)?)));
        let least = known().min_by(|a, b| a.1.total_cmp(&b.1)).map(|(i, _)| i);
        let most = known().max_by(|a, b| a.1.total_cmp(&b.1)).map(|(i, _)| i);
        match (least, most) {
            (Some(a), Some(b)) => points.extend([at(a.min(b)), at(a.max(b))]),
            _ => points.push((n * bucket, None)),
        }
    }
    points
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(values: Vec<Option<f64>>) -> String {
        let lines = vec![Line { name: "a", values }];
        let one = Chart {
            id: "c",
            title: "T",
            unit: "s",
            lines,
            limits: vec![(1.0, "limit")],
            least: 1e-3,
            marks: vec![],
        };
        chart(&one).map(|markup| markup.into_string()).unwrap_or_default()
    }

    #[test]
    fn nothing_is_no_chart_and_one_frame_is_a_dot() {
        assert_eq!(drawn(vec![]), "");
        assert_eq!(drawn(vec![None, None]), "");
        let one = drawn(vec![Some(0.5)]);
        assert!(one.contains("h0") && !one.contains("NaN"), "{one}");
    }

    #[test]
    fn a_peak_of_one_frame_among_many_is_seen() {
        let mut values = vec![Some(0.0); 10_000];
        values[4_321] = Some(9.0);
        let svg = drawn(values);
        assert!(svg.len() < 20_000 && svg.contains("to 9.0"), "{svg}");
        let top = thinned(&(0..10_000).map(|n| Some(f64::from(u8::from(n == 77)))).collect::<Vec<_>>());
        assert!(top.contains(&(77, Some(1.0))));
    }

    #[test]
    fn a_gap_stays_a_gap() {
        let svg = drawn(vec![Some(1.0), Some(2.0), None, Some(2.0), Some(1.0)]);
        let line = svg.split("class=\"line l0\" d=\"").nth(1).unwrap().split('"').next().unwrap();
        assert_eq!(line.matches('M').count(), 2, "{line}");
    }

    #[test]
    fn values_that_are_no_numbers_draw_nothing() {
        assert_eq!(drawn(vec![Some(f64::NAN), Some(f64::INFINITY)]), "");
    }
}
