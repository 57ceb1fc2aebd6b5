//! A report as a picture.

use super::{Figure, Report, Rounds, ms};
use std::fmt::Write;

/// Of the whole picture, and of one of its two panels.
const SIZE: (f64, f64) = (900.0, 420.0);
const PANEL: (f64, f64) = (360.0, 270.0);
/// From 1 us to 100 ms, a decade after the other.
const DECADES: (i32, i32) = (-3, 2);
const COLOURS: [&str; 6] = ["#1b9e77", "#7570b3", "#d95f02", "#66a61e", "#a6761d", "#e7298a"];

pub(super) fn plot(report: &Report) -> String {
    let (width, height) = SIZE;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"{width}\" height=\"{height}\" fill=\"white\"/>\n<text x=\"60\" y=\"20\">{}</text>\n",
        escaped(&format!("{}; {}", report.machine, report.date))
    );
    let left = [Figure::BareLoop, Figure::Alarm, Figure::AlarmInUse];
    let right = [Figure::Overhead, Figure::EndKnown, Figure::StopInAFlood];
    panel(&mut svg, 60.0, "how late: 1 − part of all", &left, &report.conditions);
    panel(&mut svg, 510.0, "how long: 1 − part of all", &right, &report.conditions);
    svg.push_str("</svg>\n");
    svg
}

/// What part takes longer than so many milliseconds, both logarithmic: tails are what matters.
fn panel(svg: &mut String, x: f64, title: &str, figures: &[Figure], conditions: &[Rounds]) {
    let (wide, high) = PANEL;
    let top = 50.0;
    let across = |ms: f64| {
        let (from, to) = (f64::from(DECADES.0), f64::from(DECADES.1));
        x + wide * ((ms.max(1e-9).log10() - from) / (to - from)).clamp(0.0, 1.0)
    };
    let down = |part: f64| top + high * (-part.max(1e-9).log10() / 4.0).clamp(0.0, 1.0);
    let mut draw = |text: String| svg.push_str(&text);
    draw(format!("<text x=\"{x}\" y=\"40\" font-weight=\"bold\">{title}</text>\n"));
    draw(format!(
        "<rect x=\"{x}\" y=\"{top}\" width=\"{wide}\" height=\"{high}\" fill=\"none\" stroke=\"#999\"/>\n"
    ));
    for decade in DECADES.0..=DECADES.1 {
        let (ms, at) = (10f64.powi(decade), across(10f64.powi(decade)));
        let bottom = top + high;
        draw(format!("<path d=\"M{at:.1} {top}V{bottom}\" stroke=\"#ddd\"/>\n"));
        draw(format!("<text x=\"{at:.1}\" y=\"{}\" text-anchor=\"middle\">{ms} ms</text>\n", bottom + 16.0));
    }
    for (part, name) in [(1.0, "1"), (0.1, "0.1"), (0.01, "0.01"), (0.001, "0.001"), (0.0001, "0.0001")] {
        draw(format!(
            "<text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{name}</text>\n",
            x - 4.0,
            down(part) + 4.0
        ));
    }
    for (n, (rounds, figure)) in
        conditions.iter().flat_map(|rounds| figures.iter().map(move |figure| (rounds, *figure))).enumerate()
    {
        let (mut path, mut before) = (String::new(), 1.0);
        for (time, part) in rounds.pooled(figure).steps() {
            let command = if path.is_empty() { 'M' } else { 'L' };
            let _ = write!(path, "{command}{:.1} {:.1}", across(ms(time)), down(before));
            before = 1.0 - part;
        }
        let colour = COLOURS[n % COLOURS.len()];
        draw(format!("<path d=\"{path}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"1.5\"/>\n"));
        let condition = rounds.condition.split('(').next().unwrap_or_default();
        let y = top + high + 36.0 + 14.0 * n as f64;
        draw(format!(
            "<text x=\"{x}\" y=\"{y}\" fill=\"{colour}\">{}, {}</text>\n",
            figure.name(),
            escaped(condition.trim())
        ));
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
