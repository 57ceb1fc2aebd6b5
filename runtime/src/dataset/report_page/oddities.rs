//! What is odd about a data set, in plain words, worst first: the answer to whoever wonders in March about November.

use super::facts::{Facts, TESTS, first_median, last_median};
use super::globe::distance_km;
use super::words::{count, frames, lasts, number};
use crate::dataset::knowing::{Said, believed};
use crate::dataset::quality::FEW;
use crate::dataset::quality::Flag;
use crate::dataset::{Early, Unfinished, Verdict};
use planktor_protocol::Utc;
use planktor_protocol::timekeeping::{NOT_BEFORE, Source};

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Grade {
    /// Do not use it without thinking.
    Bad,
    /// Look at it before you use it.
    Odd,
    /// Good to know.
    Note,
}

/// A name off by more than this is worth a word.
const OFF_S: f64 = 1.0;
/// The sample comes from elsewhere.
const FAR_KM: f64 = 50.0;
/// A brightness that changed by more is not the plankton's doing; sharpness changes with what swims by.
const BRIGHTNESS_DRIFT: f64 = 0.1;
const SHARPNESS_DRIFT: f64 = 0.5;
/// Days that a sample is kept before somebody images it, at most.
const KEPT_DAYS: f64 = 366.0;

/// All of them, worst first.
pub(super) fn oddities(facts: &Facts) -> Vec<(Grade, String)> {
    let mut all = Vec::new();
    let mut say = |grade, text: String| all.push((grade, text));
    files(facts, &mut say);
    time(facts, &mut say);
    place(facts, &mut say);
    stillness(facts, &mut say);
    quality(facts, &mut say);
    origin(facts, &mut say);
    all.sort_by_key(|(grade, _)| *grade);
    all
}

type Say<'a> = dyn FnMut(Grade, String) + 'a;

fn files(facts: &Facts, say: &mut Say<'_>) {
    match &facts.verified.verdict {
        Verdict::Invalid(problems) => say(
            Grade::Bad,
            format!("The files are not as they were written: {} (below).", count(problems.len(), "problem")),
        ),
        Verdict::NotBegun => say(Grade::Bad, "This is no data set, or its creation was cut off.".into()),
        Verdict::Unfinished(what) => {
            let what = match what {
                Unfinished::Frame { name, reached } => format!("frame {name} is unfinished: {reached}"),
                Unfinished::Line => "the last line of the records is torn".into(),
                Unfinished::Repair(file) => format!("a repair of {file} was cut off"),
            };
            say(Grade::Odd, format!("A crash or a power cut left one thing unfinished: {what}."));
        }
        Verdict::Complete | Verdict::Early(_) => {}
    }
    let (have, planned) = (facts.set.records_of_frames().count(), facts.set.planned());
    let of = planned.map_or_else(|| count(have, "frame"), |planned| format!("{have} of {planned} frames"));
    let reason = facts.set.end.as_ref().and_then(|end| end.reason.clone());
    match (facts.set.ending(), &facts.verified.verdict) {
        ("stopped", _) => say(Grade::Note, format!("Somebody stopped it after {of}.")),
        ("failed", _) => {
            say(
                Grade::Bad,
                format!("It failed after {of}: {}.", reason.as_deref().unwrap_or("nobody knows why")),
            );
        }
        ("no end", _) | (_, Verdict::Early(Early::CutOff)) => {
            say(Grade::Bad, format!("It has no end: it was cut off after {of}, or is still being taken."));
        }
        _ => {}
    }
    for (first, without) in facts.gaps() {
        let gap = without.map_or("for an unknown time".into(), |s| format!("for {}", lasts(s)));
        say(Grade::Odd, format!("It was interrupted before {} {gap}, and resumed.", frames(&[first])));
    }
}

fn time(facts: &Facts, say: &mut Say<'_>) {
    if facts.set.shots.is_empty() {
        return;
    }
    let unknown: Vec<_> = (0..facts.times.len()).filter(|n| facts.times[*n].is_none()).collect();
    match unknown.len() {
        0 => {}
        all if all == facts.times.len() => {
            say(Grade::Bad, "Nobody knows when this was taken: no clock could be believed. The names of the frames are in order, and no times.".into());
        }
        _ => say(Grade::Bad, format!("Nobody knows when these were taken: {}.", frames(&unknown))),
    }
    let off = |ahead: &Option<f64>| ahead.filter(|ahead| ahead.abs() > OFF_S);
    let wrong: Vec<_> = (0..facts.ahead_s.len()).filter(|n| off(&facts.ahead_s[*n]).is_some()).collect();
    if let Some(most) = facts.ahead_s.iter().filter_map(off).max_by(|a, b| a.abs().total_cmp(&b.abs())) {
        let side = if most > 0.0 { "ahead of" } else { "behind" };
        // None of these is unset: what no clock vouches for has no time.
        let source = facts.times.iter().flatten().filter_map(|known| believed(&known.source)).min();
        say(
            Grade::Bad,
            format!(
                "The times in the frames' names are wrong: up to {} {side} the {} time ({}). The records know better.",
                lasts(most),
                source.map_or("best", Source::word),
                frames(&wrong)
            ),
        );
    }
    let nobodys = facts.times.iter().flatten().filter(|known| known.source == "computer").count();
    if nobodys > 0 {
        say(
            Grade::Odd,
            format!(
                "Nothing vouches for the time of {}: the computer's clock was believed because it was plausible.",
                if nobodys == facts.times.len() { "any frame".into() } else { count(nobodys, "frame") }
            ),
        );
    }
    let early = facts.times.iter().flatten().any(|known| known.utc < NOT_BEFORE);
    if early {
        say(Grade::Bad, "Some times lie before this program was written; they are wrong.".into());
    }
    for step in &facts.steps {
        let side = if step.by_s < 0.0 { "back" } else { "forward" };
        say(
            Grade::Odd,
            format!(
                "The computer's clock was set {side} by {} before {}. Names go on as if it had not been.",
                lasts(step.by_s),
                frames(&[step.frame])
            ),
        );
    }
    let sampled = facts.set.text("object_date").and_then(|date| Utc::parse(&format!("{date}T00:00:00Z")));
    let taken = facts.times.iter().flatten().next().map(|known| known.utc);
    if let (Some(sampled), Some(taken)) = (sampled, taken) {
        let days = (taken.micros() - sampled.micros()) as f64 / 86_400e6;
        if days < -1.0 {
            say(
                Grade::Bad,
                format!("It says that it was sampled {} after it was imaged.", lasts(days * 86_400.0)),
            );
        } else if days > KEPT_DAYS {
            say(
                Grade::Odd,
                format!("It says that it was sampled {} before it was imaged.", lasts(days * 86_400.0)),
            );
        }
    }
}

fn place(facts: &Facts, say: &mut Say<'_>) {
    let track = facts.track();
    if let Said::No(why) = &facts.sampled {
        say(Grade::Odd, format!("Where the sample was taken is not known: {why}."));
    }
    let all = facts.set.records_of_frames().count();
    if track.is_empty() && all > 0 {
        say(Grade::Note, "The instrument had no position fix.".into());
        return;
    }
    let without = facts.frames(|frame| frame.fix.is_none());
    if !without.is_empty() {
        say(Grade::Odd, format!("The instrument had no fix yet in {}.", frames(&without)));
    }
    let stale = facts.frames(|frame| frame.fix.as_ref().is_some_and(|fix| fix.stale));
    if !stale.is_empty() {
        let ages = facts.set.records_of_frames().filter_map(|frame| frame.fix.as_ref()).map(|fix| fix.age_s);
        let oldest = ages.fold(0.0, f64::max);
        say(
            Grade::Odd,
            format!("The fix was lost: in {} it is up to {} old.", frames(&stale), lasts(oldest)),
        );
    }
    if let (Some(sampled), Some(first)) = (facts.sampled_at(), track.first()) {
        let km = distance_km(sampled, *first);
        if km > FAR_KM {
            say(
                Grade::Odd,
                format!("The instrument was {} km from where the sample is said to be from.", number(km)),
            );
        }
    }
}

fn stillness(facts: &Facts, say: &mut Say<'_>) {
    let moved = facts.frames(|frame| {
        let (motion, seen) = (frame.motion.as_ref(), frame.seen());
        let overlap = motion.is_some_and(|motion| motion.from_ns < seen.to_ns && seen.from_ns < motion.to_ns);
        // In a flow it is the light that keeps a frame sharp.
        let flows = frame.flow.is_some() && frame.pulse.is_some();
        overlap || (!flows && seen.from_ns < frame.settled_ns)
    });
    if !moved.is_empty() {
        say(Grade::Bad, format!("Exposed before everything had settled: {}.", frames(&moved)));
    }
    let uncertain = facts.frames(|frame| frame.height_uncertain);
    if !uncertain.is_empty() {
        say(
            Grade::Odd,
            format!(
                "The stage's height is in doubt, because it was cut off in mid-move: {}.",
                frames(&uncertain)
            ),
        );
    }
}

fn quality(facts: &Facts, say: &mut Say<'_>) {
    for (name, about, test) in TESTS {
        for (grade, flag, word) in
            [(Grade::Bad, Flag::Fail, "failed"), (Grade::Odd, Flag::Suspect, "is suspect in")]
        {
            let flagged = facts.flagged(test, flag);
            if !flagged.is_empty() {
                let name = name.replace('_', " ");
                let word = if flag == Flag::Fail { format!("{word} in") } else { word.into() };
                say(grade, format!("The test \"{name}\" ({about}) {word} {}.", frames(&flagged)));
            }
        }
    }
    for (name, values, most) in [
        ("brightness", &facts.brightness, BRIGHTNESS_DRIFT),
        ("sharpness", &facts.sharpness, SHARPNESS_DRIFT),
    ] {
        if values.iter().flatten().count() < 2 * FEW {
            continue;
        }
        if let (Some(first), Some(last)) = (first_median(values), last_median(values))
            && first > 0.0
            && (last / first - 1.0).abs() > most
        {
            let way = if last > first { "rose" } else { "fell" };
            let percent = number(100.0 * (last / first - 1.0).abs());
            say(Grade::Odd, format!("The {name} {way} by {percent} % from the first frames to the last."));
        }
    }
    let mut lamps: Vec<_> = facts.set.records_of_frames().filter_map(|frame| frame.light).collect();
    lamps.sort_by(f64::total_cmp);
    if let (Some(least), Some(most)) = (lamps.first(), lamps.last()) {
        if *most == 0.0 {
            say(Grade::Bad, "The lamp was off.".into());
        } else if most - least > 0.001 {
            say(
                Grade::Odd,
                format!(
                    "The lamp was set anew during the run, from {} to {} %.",
                    number(100.0 * least),
                    number(100.0 * most)
                ),
            );
        }
    }
    if facts.measured_here && !facts.set.shots.is_empty() {
        say(Grade::Note, "Its frames were not tested when they were taken; brightness and sharpness are measured for this report.".into());
    }
}

fn origin(facts: &Facts, say: &mut Say<'_>) {
    if facts.set.text("planktor_board").as_deref() == Some("twin") {
        say(Grade::Note, "The instrument was simulated: this is no plankton of any sea.".into());
    }
    if facts.set.shots.is_empty() {
        say(Grade::Odd, "There are no frames.".into());
    }
    if facts.volumes.is_none() && !facts.set.shots.is_empty() {
        say(
            Grade::Note,
            "How much water was seen is not known: that takes process_pixel, acq_celltype and the records."
                .into(),
        );
    }
}
