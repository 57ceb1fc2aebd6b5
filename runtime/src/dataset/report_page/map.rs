//! Maps as SVG: where the instrument was, and where the sample was taken. Drawn from nothing but numbers.

use super::globe::{Flat, Globe, Place, distance_km, middle};
use super::words::{degrees, metres};
use maud::{Markup, html};

/// Half a map's side, in its own units.
const HALF: f64 = 150.0;
/// An overview shows so much around the place, km.
const OVERVIEW_KM: f64 = 1_500.0;
/// The coastline is a coarse one: nearer than this it would be wrong.
const COAST_FROM_KM: f64 = 60.0;
/// A detail shows at least so much, km: two hundred metres.
const LEAST_KM: f64 = 0.1;
/// So many points of a track are drawn.
const POINTS: usize = 400;

/// What is shown.
pub(super) struct Shown {
    /// The instrument's fixes, in order of time.
    pub(super) track: Vec<Place>,
    /// Where the sample was taken.
    pub(super) sampled: Option<Place>,
}

/// An overview with coastlines, and a detail; nothing if there is no place, or places all around the Earth.
pub(super) fn maps(shown: &Shown) -> Option<Markup> {
    let places: Vec<Place> = shown.track.iter().copied().chain(shown.sampled).collect();
    let centre = middle(&places)?;
    let widest = places.iter().map(|place| distance_km(centre, *place)).fold(0.0, f64::max);
    let detail = (widest * 1.25).max(LEAST_KM);
    let overview = (widest * 1.25).max(OVERVIEW_KM);
    Some(html! {
        div.pair {
            (map("Where on Earth", "overview", centre, overview, shown))
            @if detail < overview / 2.0 { (map("Close up", "detail", centre, detail, shown)) }
        }
    })
}

fn map(title: &str, id: &str, centre: Place, half_km: f64, shown: &Shown) -> Markup {
    let globe = Globe::around(centre);
    let scale = HALF / half_km;
    let at = |flat: Flat| [HALF + flat[0] * scale, HALF - flat[1] * scale];
    let path = |lines: &[Vec<Flat>]| -> String {
        let one = |line: &Vec<Flat>| {
            let points = line.iter().map(|flat| at(*flat)).map(|[x, y]| format!("{x:.1} {y:.1}"));
            format!("M{}", points.collect::<Vec<_>>().join("L"))
        };
        lines.iter().map(one).collect()
    };
    let corner = half_km * std::f64::consts::SQRT_2;
    let coast = if half_km >= COAST_FROM_KM { globe.coast(corner * 1.2) } else { vec![] };
    let (graticule, labels) = graticule(globe, centre, half_km);
    let every = shown.track.len().div_ceil(POINTS).max(1);
    let last = shown.track.last().copied();
    let track: Vec<Flat> =
        shown.track.iter().step_by(every).copied().chain(last).map(|place| globe.flat(place)).collect();
    let bar_km = round_down(half_km * 0.6);
    let about = format!(
        "North is up; the middle is {}. {} fixes of the instrument{}.",
        degrees(centre.latitude, centre.longitude),
        shown.track.len(),
        if shown.sampled.is_some() { ", and where the sample was taken" } else { "" }
    );
    html! {
        figure {
            svg.map viewBox="0 0 300 300" role="img" aria-labelledby={ (id) "-t " (id) "-d" } {
                title id={ (id) "-t" } { (title) }
                desc id={ (id) "-d" } { (about) }
                clipPath id={ (id) "-c" } { rect width="300" height="300" {} }
                g clip-path={ "url(#" (id) "-c)" } {
                    path.graticule d=(path(&graticule)) {}
                    path.coast d=(path(&coast)) {}
                    @if track.len() > 1 { path.track d=(path(std::slice::from_ref(&track))) {} }
                    @for (flat, text) in &labels {
                        @let [x, y] = at(*flat);
                        text.small x=(format!("{:.1}", x + 2.0)) y=(format!("{:.1}", y - 2.0)) { (text) }
                    }
                    @if let Some(first) = track.first() {
                        @let [x, y] = at(*first);
                        circle.begin cx=(format!("{x:.1}")) cy=(format!("{y:.1}")) r="5" { title { "The first fix" } }
                    }
                    @if let Some(sampled) = shown.sampled {
                        @let [x, y] = at(globe.flat(sampled));
                        path.sampled d=(format!("M{:.1} {:.1}l7 7m0 -7l-7 7", x - 3.5, y - 3.5)) {
                            title { "Where the sample was taken" }
                        }
                    }
                }
                path.bar d=(format!("M12 284v4h{:.1}v-4", bar_km * scale)) {}
                text x="12" y="279" { (metres(bar_km * 1e3)) }
                rect.border width="300" height="300" {}
            }
            figcaption { (title) }
        }
    }
}

/// Parallels and meridians at round degrees, and where to write which.
fn graticule(globe: Globe, centre: Place, half_km: f64) -> (Vec<Vec<Flat>>, Vec<(Flat, String)>) {
    let half = half_km / 111.2;
    let step = round_down(half);
    let corner = half_km * std::f64::consts::SQRT_2;
    let (mut lines, mut labels) = (Vec::new(), Vec::new());
    let south = (centre.latitude - 1.5 * half).max(-90.0);
    let north = (centre.latitude + 1.5 * half).min(90.0);
    // Meridians lie closer towards a pole, and beyond it all of them can be seen.
    let narrow = (centre.latitude.abs() + 1.5 * half).min(90.0).to_radians().cos();
    let wide = (1.5 * half / narrow.max(1e-9)).min(180.0);
    let wide_step = if wide >= 180.0 { 30.0 } else { round_down(wide / 1.5) };
    let decimals = |step: f64| usize::try_from(-(step.log10().floor().min(0.0)) as i64).unwrap_or(0);
    let between = |from: f64, to: f64, n: u32| from + (to - from) * f64::from(n) / 60.0;
    for latitude in multiples(south, north, step) {
        let along = (0..=60).map(|n| Place {
            latitude,
            longitude: between(centre.longitude - wide, centre.longitude + wide, n),
        });
        lines.extend(globe.line(along, corner * 1.1));
        // Its text stands at the left edge.
        let flat = globe.flat(Place { latitude, longitude: centre.longitude });
        // Below it is the scale bar.
        if flat[1] < 0.84 * half_km && flat[1] > -0.76 * half_km {
            let side = if latitude < 0.0 { "S" } else { "N" };
            labels.push(([-half_km, flat[1]], format!("{:.*}° {side}", decimals(step), latitude.abs())));
        }
    }
    let last = if wide >= 180.0 { 180.0 - wide_step / 2.0 } else { wide };
    for longitude in multiples(centre.longitude - wide, centre.longitude + last, wide_step) {
        let along = (0..=60).map(|n| Place { latitude: between(south, north, n), longitude });
        lines.extend(globe.line(along, corner * 1.1));
        let around = (longitude + 540.0).rem_euclid(360.0) - 180.0;
        let side = if around < 0.0 { "W" } else { "E" };
        let flat = globe.flat(Place { latitude: centre.latitude, longitude });
        if flat[0].abs() < 0.85 * half_km && wide < 180.0 {
            let text = format!("{:.*}° {side}", decimals(wide_step), around.abs());
            labels.push(([flat[0], half_km * 0.9], text));
        }
    }
    (lines, labels)
}

/// 1, 2 or 5 times a power of ten, no more than that.
fn round_down(value: f64) -> f64 {
    let power = 10_f64.powf(value.max(1e-9).log10().floor());
    let round = [5.0, 2.0, 1.0].into_iter().find(|round| round * power <= value * (1.0 + 1e-9));
    round.unwrap_or(1.0) * power
}

/// Few: a step is never so small that there are more.
fn multiples(from: f64, to: f64, step: f64) -> impl Iterator<Item = f64> {
    let first = (from / step).ceil();
    let count = ((to / step).floor() - first + 1.0).clamp(0.0, 100.0);
    (0..count as u32).map(move |n| (first + f64::from(n)) * step)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(track: &[[f64; 2]], sampled: Option<[f64; 2]>) -> String {
        let place = |[latitude, longitude]: [f64; 2]| Place { latitude, longitude };
        let shown = Shown { track: track.iter().copied().map(place).collect(), sampled: sampled.map(place) };
        maps(&shown).map(|markup| markup.into_string()).unwrap_or_default()
    }

    /// Every number of a path, to see that a map draws no nonsense.
    fn numbers(svg: &str, class: &str) -> Vec<f64> {
        let begin = format!("class=\"{class}\" d=\"");
        let paths = svg.split(&begin).skip(1);
        let numbers = paths.flat_map(|path| path.split('"').next().unwrap().split(['M', 'L', ' ']));
        numbers.filter(|text| !text.is_empty()).map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn a_track_across_the_date_line_or_a_pole_is_short() {
        for track in [
            [[-16.0, 179.99], [-16.0, -179.99]],
            [[89.995, 10.0], [89.995, -170.0]],
            [[-89.995, 10.0], [-89.99, 10.0]],
            [[0.0, 5.0], [0.001, 5.001]],
        ] {
            let svg = drawn(&track, Some(track[0]));
            let track = numbers(&svg, "track");
            assert!(!track.is_empty() && track.iter().all(|n| (0.0..=300.0).contains(n)), "{svg}");
            assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
            let lines = [numbers(&svg, "graticule"), numbers(&svg, "coast")].concat();
            assert!(lines.iter().all(|n| n.abs() < 1_000.0), "{svg}");
            assert!(svg.len() < 100_000, "{} bytes", svg.len());
        }
    }

    #[test]
    fn a_map_says_its_scale_and_its_degrees() {
        let svg = drawn(&[[48.7273, -3.9814], [48.73, -3.97]], None);
        for text in ["° N", "° W", "500 km", "200 m", "48.73"] {
            assert!(svg.contains(text), "no {text} in {svg}");
        }
        assert!(numbers(&svg, "coast").len() > 50, "Brittany has a coast");
    }

    #[test]
    fn nowhere_and_everywhere_have_no_map() {
        assert_eq!(drawn(&[], None), "");
        assert_eq!(drawn(&[[0.0, 0.1], [0.0, -179.9]], None), "");
    }

    #[test]
    fn steps_are_round() {
        assert_eq!([0.19, 0.2, 0.5, 7.0, 1_234.0].map(round_down), [0.1, 0.2, 0.5, 5.0, 1_000.0]);
        assert_eq!(multiples(-1.5, 1.5, 1.0).collect::<Vec<_>>(), [-1.0, 0.0, 1.0]);
    }
}
