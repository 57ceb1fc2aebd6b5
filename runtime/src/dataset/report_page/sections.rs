//! The page, section by section. Computes nothing: what it writes are [`Facts`].

use super::POLICY;
use super::chart::{Chart, Line, chart};
use super::facts::{Facts, TESTS, first_median};
use super::map::{Shown, maps};
use super::oddities::{Grade, oddities};
use super::thumbnails::Thumbnail;
use super::words::{count, degrees, frames, lasts, number};
use crate::dataset::Verdict;
use crate::dataset::knowing::{Said, depth};
use crate::dataset::listing::size;
use crate::dataset::quality::{Flag, Limits, Test};
use maud::{DOCTYPE, Markup, PreEscaped, html};
use serde_json::Value;

const STYLE: &str = include_str!("style.css");
/// Of one value, and of all metadata together: enough for everything that a form can say.
const LONGEST: usize = 2_000;
const ALL: usize = 100_000;
/// Problems that are named.
const PROBLEMS: usize = 100;

pub(super) fn page(facts: &Facts) -> Markup {
    let set = &facts.set;
    let [sample, acquisition] = ["sample_id", "acq_id"].map(|key| set.text(key).map(|id| cut(&id, 200)));
    let title = match (sample, acquisition) {
        (Some(sample), Some(acquisition)) => format!("{sample} / {acquisition}"),
        _ => set.folder.file_name().map_or("Data set".into(), |name| name.to_string_lossy().into_owned()),
    };
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(POLICY);
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (title) " – data set report" }
                style { (PreEscaped(STYLE)) }
            }
            body {
                header {
                    h1 { (title) }
                    p.quiet { (headline(facts)) }
                }
                main {
                    (section("What is odd", odd(facts)))
                    (section("Where", place(facts)))
                    (section("When", time(facts)))
                    (section("Stillness", stillness(facts)))
                    (section("Brightness and sharpness", light(facts)))
                    (section("Flags", flags(facts)))
                    (section("Water", water(facts)))
                    (section("Frames", contact_sheet(facts)))
                    (section("Files", files(facts)))
                    (section("Metadata", metadata(facts)))
                }
                footer { p.quiet { "Written by planktor " (env!("CARGO_PKG_VERSION")) "." } }
            }
        }
    }
}

fn section(title: &str, content: Markup) -> Markup {
    html! { section { h2 { (title) } (content) } }
}

fn headline(facts: &Facts) -> String {
    let set = &facts.set;
    let frames = set.shots.iter().filter(|shot| shot.size.is_some()).count();
    let planned = set.planned().map_or(String::new(), |planned| format!(" of {planned}"));
    let times = || facts.times.iter().flatten().map(|known| known.utc);
    let when = match (times().min(), times().max()) {
        (Some(from), Some(to)) => {
            let seconds = (to.micros() - from.micros()) as f64 / 1e6;
            format!("{} UTC, over {}", from.rfc3339()[..19].replace('T', " "), lasts(seconds))
        }
        _ => "at a time that nobody knows".into(),
    };
    let bytes = size(set.bytes);
    format!("{frames}{planned} frames, {}; {when}; {bytes}.", set.ending())
}

fn odd(facts: &Facts) -> Markup {
    let all = oddities(facts);
    let nothing = all.iter().all(|(grade, _)| *grade == Grade::Note);
    html! {
        ul id="odd" {
            @if nothing { li.good { strong { "Nothing odd was found." } } }
            @for (grade, text) in &all {
                @let (class, word) = match grade {
                    Grade::Bad => ("bad", "Bad: "),
                    Grade::Odd => ("odd", "Odd: "),
                    Grade::Note => ("note", "Note: "),
                };
                li class=(class) { strong { (word) } (cut(text, LONGEST)) }
            }
        }
    }
}

fn place(facts: &Facts) -> Markup {
    let shown = Shown { track: facts.track(), sampled: facts.sampled_at() };
    let errors = facts.set.records_of_frames().filter_map(|frame| frame.fix.as_ref()?.error_m);
    let error =
        errors.fold(None, |most: Option<f64>, error| Some(most.map_or(error, |most| most.max(error))));
    html! {
        @match &facts.sampled {
            Said::Place(place) => p {
                "The sample was taken at " (degrees(place.latitude, place.longitude))
                @if let Some((from, to)) = depth(&facts.set) {
                    ", " @if from == to { (number(from)) } @else { (number(from)) " to " (number(to)) } " m deep"
                }
                ", as the operator said (cross on the map)."
            },
            Said::No(why) => p { "Where the sample was taken is not known: " (cut(why, LONGEST)) "." },
        }
        @match shown.track.first() {
            Some(first) => p {
                "The instrument's own receiver: from " (degrees(first.latitude, first.longitude)) " (circle); "
                (count(shown.track.len(), "position"))
                @if let Some(error) = error { ", at worst " (number(error)) " m wrong with 95 %" }
                "."
            },
            None => p { "The instrument's own receiver had no fix." },
        }
        @if let Some(maps) = maps(&shown) {
            (maps)
            p.quiet { "Coastlines are coarse (Natural Earth 1:110m); positions are WGS 84." }
        } @else { p { "So there is no map." } }
    }
}

fn time(facts: &Facts) -> Markup {
    let parts = &facts.set.parts;
    let ahead = vec![Line { name: "ahead", values: facts.ahead_s.clone() }];
    let marks = facts.steps.iter().map(|step| (step.frame, format!("clock set by {} s", number(step.by_s))));
    let gaps = facts.gaps().into_iter().map(|(frame, _)| (frame, "resumed".to_owned()));
    let names = Chart {
        id: "clock",
        title: "Time in the frames' names, ahead of the best that is known",
        unit: "s",
        lines: ahead,
        limits: vec![(0.0, "true")],
        least: 0.01,
        marks: marks.chain(gaps).collect(),
    };
    let errors = facts.times.iter().map(|known| known.as_ref()?.error_s).collect();
    let errors = Chart {
        id: "error",
        title: "How wrong the best clock may have been",
        unit: "s",
        lines: vec![Line { name: "error", values: errors }],
        limits: vec![],
        least: 1e-6,
        marks: vec![],
    };
    let carried: Vec<_> = facts
        .times
        .iter()
        .enumerate()
        .filter(|(_, known)| known.as_ref().is_some_and(|known| known.carried))
        .map(|(n, _)| n)
        .collect();
    html! {
        (scroll("The clock", html! {
            table {
                caption { "What the times in the frames' names count from" }
                thead { tr { th scope="col" { "Begun" } th scope="col" { "At" } th scope="col" { "Known from" } th scope="col" { "May be wrong by" } } }
                tbody {
                    @for part in parts {
                        tr {
                            th scope="row" { @match &part.resumed { Some(resumed) => { "resumed, " (resumed.resumed) ". time" }, None => "first" } }
                            td { (cut(&part.anchor.utc, 40)) }
                            td { (source(&part.anchor.source)) }
                            td { @match part.anchor.error_s { Some(s) => (lasts(s)), None => "not said" } }
                        }
                    }
                    @if parts.is_empty() { tr { th scope="row" { "first" } td colspan="3" { "not recorded" } } }
                }
            }
        }))
        (scroll("Sources of time", html! {
            table {
                caption { "The best that is known of the frames' times" }
                thead { tr { th scope="col" { "Known from" } th scope="col" { "Frames" } } }
                tbody {
                    @for word in ["gps", "network", "rtc", "computer"] {
                        @let of = facts.times.iter().flatten().filter(|known| known.source == word).count();
                        @if of > 0 { tr { th scope="row" { (source(word)) } td.n { (of) } } }
                    }
                    @let unknown = facts.times.iter().filter(|known| known.is_none()).count();
                    @if unknown > 0 { tr { th scope="row" { "nothing believable" } td.n { (unknown) } } }
                }
            }
        }))
        @if !carried.is_empty() {
            p { "The time of " (frames(&carried)) " was told by the better clock of another frame, and carried over by the clock that never steps." }
        }
        @if !facts.steps.is_empty() {
            ul { @for step in &facts.steps { li { "The computer's clock was set by " (number(step.by_s)) " s before " (frames(&[step.frame])) "." } } }
        }
        div.pair { @for one in [names, errors] { @if let Some(drawn) = chart(&one) { (drawn) } } }
    }
}

fn source(word: &str) -> String {
    match word {
        "gps" => "satellites (gps)".into(),
        "network" => "a network's clock (network)".into(),
        "rtc" => "a battery-backed clock (rtc)".into(),
        "computer" => "the computer's clock; nothing vouches for it (computer)".into(),
        "unset" => "nothing believable (unset)".into(),
        other => cut(other, 40),
    }
}

fn stillness(facts: &Facts) -> Markup {
    let line = |name, values: &[Option<f64>]| Line { name, values: values.to_vec() };
    let settling = Chart {
        id: "settling",
        title: "Settling after the last motion",
        unit: "s",
        lines: vec![line("settling", &facts.settling_s)],
        limits: vec![],
        least: 0.01,
        marks: vec![],
    };
    let waited = Chart {
        id: "waited",
        title: "From settled to the exposure; below 0 is too early",
        unit: "s",
        lines: vec![line("waited", &facts.waited_s)],
        limits: vec![(0.0, "settled")],
        least: 0.01,
        marks: vec![],
    };
    let least = facts.waited_s.iter().flatten().copied().fold(f64::INFINITY, f64::min);
    html! {
        @if least.is_finite() {
            p { @if least >= 0.0 { "Every recorded frame was exposed when everything had settled; the tightest " (lasts(least)) " after that." } @else { "At least one frame was exposed " (lasts(least)) " too early." } }
        } @else { p { "Nothing is recorded about motion." } }
        div.pair { @for one in [settling, waited] { @if let Some(drawn) = chart(&one) { (drawn) } } }
    }
}

/// A test's limits as level lines, in the figure's own unit.
fn limits<'a>(tests: &[Test], test: &str, scale: f64, names: [&'a str; 2]) -> Vec<(f64, &'a str)> {
    let Some(test) = tests.iter().find(|of| of.test == test) else { return vec![] };
    let both = |limits: &Limits, name| {
        [limits.least, limits.most].map(|limit| limit.map(|limit| (limit * scale, name)))
    };
    let all = [both(&test.suspect, names[0]), both(&test.fail, names[1])];
    all.into_iter().flatten().flatten().collect()
}

fn light(facts: &Facts) -> Markup {
    let tests = facts.set.head.as_ref().map_or(&[][..], |head| &head.tests);
    let drift = |test, values: &[Option<f64>]| {
        first_median(values)
            .map(|first| limits(tests, test, first, ["suspect drift", "failing drift"]))
            .unwrap_or_default()
    };
    let mut bright = limits(tests, "brightness", 1.0, ["suspect", "fails"]);
    bright.extend(drift("brightness_drift", &facts.brightness));
    let one = |id, title, unit, least, values: &[Option<f64>], limits| Chart {
        id,
        title,
        unit,
        lines: vec![Line { name: title, values: values.to_vec() }],
        limits,
        least,
        marks: vec![],
    };
    let charts = [
        one("brightness", "Brightness", "0 black, 1 white", 0.05, &facts.brightness, bright),
        one(
            "sharpness",
            "Sharpness",
            "grows towards focus",
            1.0,
            &facts.sharpness,
            drift("sharpness_drift", &facts.sharpness),
        ),
    ];
    html! {
        @if facts.measured_here { p.quiet { "Measured for this report, on small copies of the frames: good to compare them, no more." } }
        div.pair { @for one in charts { @if let Some(drawn) = chart(&one) { (drawn) } @else { p { "No frame could be measured." } } } }
    }
}

fn flags(facts: &Facts) -> Markup {
    if facts.measured_here {
        return html! { p { "The frames were not tested when they were taken." } };
    }
    let kinds = [Flag::Pass, Flag::NotEvaluated, Flag::Suspect, Flag::Fail, Flag::Missing];
    let tests = facts.set.head.as_ref().map_or(&[][..], |head| &head.tests);
    html! {
        (scroll("Flags", html! {
            table {
                caption { "Frames by test, as QARTOD numbers flags" }
                thead { tr {
                    th scope="col" { "Test" }
                    @for word in ["1 pass", "2 not evaluated", "3 suspect", "4 fail", "9 missing"] { th scope="col" { (word) } }
                    th scope="col" { "Suspect outside" } th scope="col" { "Fails outside" } th scope="col" { "Which" }
                } }
                tbody {
                    @for (name, about, test) in TESTS {
                        @let limits = tests.iter().find(|test| test.test == name);
                        @let mut which = [facts.flagged(test, Flag::Suspect), facts.flagged(test, Flag::Fail)].concat();
                        @let () = which.sort_unstable();
                        tr {
                            th scope="row" { (name.replace('_', " ")) ": " (about) }
                            @for kind in kinds { td.n { (facts.flagged(test, kind).len()) } }
                            td { (between(limits.map(|test| &test.suspect))) }
                            td { (between(limits.map(|test| &test.fail))) }
                            td { @if !which.is_empty() { (frames(&which)) } }
                        }
                    }
                }
            }
        }))
    }
}

fn between(limits: Option<&Limits>) -> String {
    match limits.map(|limits| (limits.least, limits.most)) {
        Some((Some(least), Some(most))) => format!("{} to {}", number(least), number(most)),
        Some((Some(least), None)) => format!("at least {}", number(least)),
        Some((None, Some(most))) => format!("at most {}", number(most)),
        Some((None, None)) | None => "–".into(),
    }
}

fn water(facts: &Facts) -> Markup {
    let Some(volumes) = &facts.volumes else {
        return html! { p { "Not known: that takes process_pixel (um), acq_celltype (um) and the records." } };
    };
    html! {
        p { "Pumped " (number(volumes.pumped_ul)) " µL; imaged " (number(volumes.imaged_ul)) " µL; of these in focus "
            (number(volumes.in_focus_ul)) " µL." }
        p.quiet { "By " (number(volumes.pixel_um)) " µm a pixel and a flow cell " (number(volumes.cell_um))
            " µm deep, as the metadata says, and a depth of field of " (volumes.depth_um)
            " µm; each stop of the pump counts once, however many frames it has." }
    }
}

fn contact_sheet(facts: &Facts) -> Markup {
    let all = facts.set.shots.len();
    let shown = facts.thumbnails.len();
    let cell = if shown <= 48 {
        "14rem"
    } else if shown <= 120 {
        "9rem"
    } else {
        "5.5rem"
    };
    html! {
        @if shown < all { p { (shown) " of " (all) " frames, evenly chosen." } }
        @if all == 0 { p { "There are none." } }
        ol.frames style={ "--cell:min(" (cell) ",45%)" } {
            @for thumbnail in &facts.thumbnails { (frame(facts, thumbnail)) }
        }
        @if !facts.measured_here { p.quiet { "✓ passed every test, ? suspect, ✗ failed, – not tested." } }
    }
}

fn frame(facts: &Facts, thumbnail: &Thumbnail) -> Markup {
    let shot = &facts.set.shots[thumbnail.shot];
    let flags = shot.record.as_ref().and_then(|record| record.quality.as_ref()).map(|quality| quality.flags);
    let (class, mark, word) = match flags.map(|flags| flags.all) {
        Some(Flag::Pass) => ("pass", "✓", "passed"),
        Some(Flag::Suspect) => ("suspect", "?", "suspect"),
        Some(Flag::Fail) => ("fail", "✗", "failed"),
        Some(Flag::NotEvaluated | Flag::Missing) | None => ("untested", "–", "not tested"),
    };
    let why: Vec<_> = flags.map_or(vec![], |flags| {
        let odd = |flag| matches!(flag, Flag::Suspect | Flag::Fail);
        TESTS
            .iter()
            .filter(|(_, _, test)| odd(test(&flags)))
            .map(|(name, ..)| name.replace('_', " "))
            .collect()
    });
    let why = if why.is_empty() { String::new() } else { format!(": {}", why.join(", ")) };
    html! {
        @match &thumbnail.picture {
            Ok((address, width, height)) => li class=(class) {
                img src=(address) width=(width) height=(height) alt={ "Frame " (thumbnail.shot + 1) ", " (word) (why) };
                (thumbnail.shot + 1) " " (mark) (why)
            },
            Err(cause) => li.none { (thumbnail.shot + 1) " ✗ " (cut(&shot.name, 80)) ": " (cut(cause, 200)) },
        }
    }
}

fn files(facts: &Facts) -> Markup {
    let report = &facts.verified;
    let (class, word) = match &report.verdict {
        Verdict::Complete => ("good", "Valid and complete."),
        Verdict::Early(_) | Verdict::Unfinished(_) => ("odd", "Valid, and not complete."),
        Verdict::NotBegun | Verdict::Invalid(_) => ("bad", "Not valid."),
    };
    let problems = match &report.verdict {
        Verdict::Invalid(problems) => problems.as_slice(),
        _ => &[],
    };
    html! {
        p class=(class) { strong { (word) } " Every file was read again for this report." }
        @if problems.is_empty() { p { (cut(&report.words().to_string(), LONGEST)) } } @else {
            ul { @for problem in problems.iter().take(PROBLEMS) { li { (cut(&problem.to_string(), LONGEST)) } } }
            @if problems.len() > PROBLEMS { p { "And " (problems.len() - PROBLEMS) " more; planktor verify names all." } }
        }
        @let seen = || facts.set.problems.iter().chain(&facts.set.unfinished);
        @if seen().next().is_some() {
            p { "Seen while reading it:" }
            ul { @for problem in seen().take(PROBLEMS) { li { (cut(problem, LONGEST)) } } }
        }
    }
}

fn metadata(facts: &Facts) -> Markup {
    let mut room = ALL;
    let mut rows = Vec::new();
    for (key, value) in &facts.set.metadata {
        let text = match value {
            Value::String(text) => cut(text, LONGEST),
            other => cut(&other.to_string(), LONGEST),
        };
        let key = cut(key, 200);
        let Some(less) = room.checked_sub(key.len() + text.len()) else { break };
        room = less;
        rows.push((key, text));
    }
    let more = facts.set.metadata.len() - rows.len();
    html! {
        @if rows.is_empty() { p { "There are none that can be read." } } @else {
            table.all {
                caption { "As in metadata.json" }
                tbody { @for (key, text) in &rows { tr { th scope="row" { (breakable(key)) } td { (text) } } } }
            }
        }
        @if more > 0 { p { "And " (more) " more in metadata.json." } }
    }
}

/// A key may be broken after each of its underscores.
fn breakable(key: &str) -> Markup {
    html! { @for part in key.split_inclusive('_') { (part) wbr; } }
}

/// A table that may be wider than a phone.
fn scroll(name: &str, table: Markup) -> Markup {
    html! { div.scroll tabindex="0" role="region" aria-label=(name) { (table) } }
}

/// No longer than that, and without what would turn a line around or ring a bell.
fn cut(text: &str, most: usize) -> String {
    let turns =
        |c: char| matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let plain = |c: char| if (c.is_control() && c != '\n') || turns(c) { '\u{fffd}' } else { c };
    match text.char_indices().nth(most) {
        Some((end, _)) => text[..end].chars().map(plain).chain(['…']).collect(),
        None => text.chars().map(plain).collect(),
    }
}
