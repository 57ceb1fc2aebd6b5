//! What a data set as a whole knows of when and where, which may be more than a frame of it knew: a clock that was set by the
//! first fix tells the time of the frames before it, too. Pure.

use super::reading::{Set, Shot};
use super::records::Frame;
use super::whence::Time;
use planktor_protocol::Utc;
use planktor_protocol::position::Place;
use planktor_protocol::timekeeping::Source;
use planktor_protocol::units::Nanodegrees;
use std::cmp::Ordering;

/// A frame's time by the best knowledge of its part.
#[derive(Clone, Debug, PartialEq)]
pub struct Known {
    /// The exposure's start.
    pub utc: Utc,
    /// How it is known, as in [`Time`].
    pub source: String,
    /// How wrong it may be, if the source said it.
    pub error_s: Option<f64>,
    /// Whether another frame's clock said it, and the monotonic clock carried it over.
    pub carried: bool,
}

/// Where a sample was taken, as the operator said it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sampled {
    /// -90 to 90, north positive.
    pub latitude: f64,
    /// -180 to 180, east positive.
    pub longitude: f64,
}

/// What the operator said of the place.
#[derive(Clone, Debug, PartialEq)]
pub enum Said {
    /// A place.
    Place(Sampled),
    /// Nothing, or something that is no place; in words.
    No(String),
}

/// The source of this word, if it is one that is believed; the best is the least.
pub(crate) fn believed(word: &str) -> Option<Source> {
    Source::from_word(word).filter(|source| *source != Source::Unset)
}

/// The times of all shots, in their order; `None` where nothing believable is known.
pub(crate) fn times(set: &Set) -> Vec<Option<Known>> {
    let mut bests: Vec<Vec<&Frame>> = vec![Vec::new(); set.parts.len().max(1)];
    for shot in &set.shots {
        let Some((record, of)) = told(shot) else { continue };
        let (Some(source), Some(best)) = (believed(&of.source), bests.get_mut(shot.part)) else { continue };
        let so_far = best.first().and_then(|best| believed(&best.time.as_ref()?.source));
        match so_far.map(|so_far| source.cmp(&so_far)) {
            Some(Ordering::Greater) => {}
            Some(Ordering::Equal) => best.push(record),
            Some(Ordering::Less) | None => *best = vec![record],
        }
    }
    set.shots.iter().map(|shot| known(shot, bests.get(shot.part)?)).collect()
}

fn told(shot: &Shot) -> Option<(&Frame, &Time)> {
    let record = shot.record.as_ref()?;
    Some((record, record.time.as_ref()?))
}

fn known(shot: &Shot, bests: &[&Frame]) -> Option<Known> {
    let record = shot.record.as_ref()?;
    let from = record.exposure.from_ns;
    // It is its own nearest if it is one of the best.
    let best = bests.iter().min_by_key(|best| best.exposure.from_ns.abs_diff(from))?;
    let time = best.time.as_ref()?;
    let later_us = from.checked_sub(best.exposure.from_ns)? / 1_000;
    let utc = Utc::from_micros(Utc::parse(&time.utc)?.micros().checked_add(later_us)?);
    Some(Known { utc, source: time.source.clone(), error_s: time.error_s, carried: best.file != record.file })
}

/// Where the sample was taken. What today's programs write when nobody said it (-90, 0 or 0, 0) is no place.
pub fn sampled(set: &Set) -> Said {
    let keys = ["object_lat", "object_lon"];
    let said = keys.map(|key| set.number(key));
    match said {
        [Some(latitude), Some(longitude)] if is_place(latitude, longitude) => {
            Said::Place(Sampled { latitude, longitude })
        }
        [Some(latitude), Some(longitude)] => {
            Said::No(format!("object_lat {latitude}, object_lon {longitude} is no place but a placeholder"))
        }
        _ if keys.iter().all(|key| !set.metadata.contains_key(*key)) => {
            Said::No("nobody said where the sample was taken".into())
        }
        _ => Said::No("object_lat and object_lon are no numbers".into()),
    }
}

pub(crate) fn is_place(latitude: f64, longitude: f64) -> bool {
    let nanodegrees = |degrees: f64| Nanodegrees((degrees * 1e9).round() as i64);
    latitude.is_finite()
        && longitude.is_finite()
        && Place::is_possible_at(nanodegrees(latitude), nanodegrees(longitude))
}

/// Depth in metres from which the sample was taken: from, to.
pub(crate) fn depth(set: &Set) -> Option<(f64, f64)> {
    let [from, to] = ["object_depth_min", "object_depth_max"].map(|key| set.number(key));
    let (from, to) = (from.or(to)?, to.or(from)?);
    Some((from.min(to), from.max(to)))
}

/// Micrometres that a pixel sees.
pub(crate) fn pixel_um(set: &Set) -> Option<f64> {
    let said = set.number("process_pixel").or_else(|| set.number("process_pixel_size"));
    said.filter(|um| (0.01..=100.0).contains(um))
}
