//! What a report tells, as numbers: everything that is computed from a data set before a word is written.

use super::globe::Place;
use super::thumbnails::Thumbnail;
use crate::dataset::Report;
use crate::dataset::knowing::{Known, Said, Sampled, is_place, pixel_um, sampled, times};
use crate::dataset::quality::{FEW, Flag, Flags};
use crate::dataset::reading::{Set, Shot};
use crate::dataset::records::{Event, Frame};
use planktor_actors::estimate::Seen;
use planktor_protocol::Utc;

/// Where a test's flag is.
pub(super) type Of = fn(&Flags) -> Flag;

/// The tests by name, in plain words, and where their flag is.
pub(super) const TESTS: [(&str, &str, Of); 8] = [
    ("brightness", "neither dark nor glaring", |flags| flags.brightness),
    ("brightness_drift", "as bright as the run's first frames", |flags| flags.brightness_drift),
    ("sharpness_drift", "as sharp as the run's first frames", |flags| flags.sharpness_drift),
    ("saturation", "not saturated", |flags| flags.saturation),
    ("empty", "something is in it", |flags| flags.empty),
    ("identical", "not the frame before once more", |flags| flags.identical),
    ("bubble", "no bubble", |flags| flags.bubble),
    ("stuck", "what was in the frame before is flushed away", |flags| flags.stuck),
];

/// All of it.
pub(super) struct Facts {
    pub(super) set: Set,
    pub(super) verified: Report,
    pub(super) thumbnails: Vec<Thumbnail>,
    /// The best that is known of each frame's time.
    pub(super) times: Vec<Option<Known>>,
    pub(super) sampled: Said,
    /// Seconds by which the time in a frame's name is ahead of the best that is known.
    pub(super) ahead_s: Vec<Option<f64>>,
    /// Seconds of settling after the last motion.
    pub(super) settling_s: Vec<Option<f64>>,
    /// Seconds between the end of settling and the exposure.
    pub(super) waited_s: Vec<Option<f64>>,
    pub(super) brightness: Vec<Option<f64>>,
    pub(super) sharpness: Vec<Option<f64>>,
    /// Whether those two were measured for this report, on small copies.
    pub(super) measured_here: bool,
    pub(super) volumes: Option<Volumes>,
    pub(super) steps: Vec<Step>,
}

/// Water that was seen.
pub(super) struct Volumes {
    pub(super) imaged_ul: f64,
    pub(super) in_focus_ul: f64,
    pub(super) pumped_ul: f64,
    pub(super) pixel_um: f64,
    pub(super) cell_um: f64,
    pub(super) depth_um: u128,
}

/// The computer's clock was set.
pub(super) struct Step {
    /// The first frame after it, from 0.
    pub(super) frame: usize,
    pub(super) by_s: f64,
}

impl Facts {
    pub(super) fn of(set: Set, verified: Report, thumbnails: Vec<Thumbnail>) -> Self {
        let times = times(&set);
        let of = |value: fn(&Frame) -> Option<f64>| -> Vec<Option<f64>> {
            set.shots.iter().map(|shot| shot.record.as_ref().and_then(value)).collect()
        };
        let measured_here = !set.records_of_frames().any(|frame| frame.quality.is_some());
        let (mut brightness, mut sharpness) = (
            of(|frame| frame.quality.as_ref().map(|quality| quality.brightness)),
            of(|frame| frame.quality.as_ref().map(|quality| quality.sharpness)),
        );
        if measured_here {
            for thumbnail in &thumbnails {
                brightness[thumbnail.shot] = thumbnail.figures.map(|figures| figures.brightness);
                sharpness[thumbnail.shot] = thumbnail.figures.map(|figures| figures.sharpness);
            }
        }
        Self {
            ahead_s: set.shots.iter().zip(&times).map(|(shot, known)| ahead(shot, known.as_ref())).collect(),
            settling_s: of(|frame| {
                Some(seconds(frame.settled_ns.checked_sub(frame.motion.as_ref()?.to_ns)?))
            }),
            waited_s: of(|frame| Some(seconds(frame.seen().from_ns.checked_sub(frame.settled_ns)?))),
            brightness,
            sharpness,
            measured_here,
            volumes: volumes(&set),
            steps: steps(&set),
            sampled: sampled(&set),
            times,
            set,
            verified,
            thumbnails,
        }
    }

    /// The frames, counted from 0, of which this is true.
    pub(super) fn frames(&self, is: impl Fn(&Frame) -> bool) -> Vec<usize> {
        let all = self.set.shots.iter().enumerate();
        all.filter(|(_, shot)| shot.record.as_ref().is_some_and(&is)).map(|(n, _)| n).collect()
    }

    /// The frames that a test gave this flag.
    pub(super) fn flagged(&self, test: Of, flag: Flag) -> Vec<usize> {
        self.frames(|frame| frame.quality.as_ref().is_some_and(|quality| test(&quality.flags) == flag))
    }

    /// The instrument's fixes, each once.
    pub(super) fn track(&self) -> Vec<Place> {
        let fixes = self.set.records_of_frames().filter_map(|frame| frame.fix.as_ref());
        let fixes = fixes.filter(|fix| is_place(fix.latitude, fix.longitude));
        let mut places: Vec<_> =
            fixes.map(|fix| Place { latitude: fix.latitude, longitude: fix.longitude }).collect();
        places.dedup();
        places
    }

    pub(super) fn sampled_at(&self) -> Option<Place> {
        match self.sampled {
            Said::Place(Sampled { latitude, longitude }) => Some(Place { latitude, longitude }),
            Said::No(_) => None,
        }
    }

    /// Where parts begin that were resumed: the first frame, and the seconds without a frame before it.
    pub(super) fn gaps(&self) -> Vec<(usize, Option<f64>)> {
        let resumed = (1..self.set.parts.len()).map(|part| {
            let first = self.set.shots.iter().position(|shot| shot.part == part);
            let first = first.unwrap_or(self.set.shots.len());
            let time = |n: Option<usize>| self.times.get(n?)?.as_ref().map(|known| known.utc.micros());
            let without = time(Some(first)).zip(time(first.checked_sub(1)));
            (first, without.map(|(after, before)| (after - before) as f64 / 1e6))
        });
        resumed.collect()
    }
}

/// The median of the first frames that have a value, as drift is judged.
pub(super) fn first_median(values: &[Option<f64>]) -> Option<f64> {
    median(values.iter().flatten().take(FEW).copied())
}

/// The median of the last.
pub(super) fn last_median(values: &[Option<f64>]) -> Option<f64> {
    median(values.iter().rev().flatten().take(FEW).copied())
}

fn median(values: impl Iterator<Item = f64>) -> Option<f64> {
    let mut all: Vec<f64> = values.collect();
    all.sort_by(f64::total_cmp);
    all.get(all.len() / 2).copied()
}

fn ahead(shot: &Shot, known: Option<&Known>) -> Option<f64> {
    let named = Utc::parse(&shot.record.as_ref()?.exposure.utc)?;
    Some(named.micros().checked_sub(known?.utc.micros())? as f64 / 1e6)
}

fn seconds(ns: i64) -> f64 {
    ns as f64 / 1e9
}

fn steps(set: &Set) -> Vec<Step> {
    let mut steps = Vec::new();
    for (n, part) in set.parts.iter().enumerate() {
        for event in &part.events {
            let (at_ns, by_s) = match event {
                Event::ClockStep { at_ns, by_s } => (at_ns, by_s),
                Event::SettlingLearned { .. } | Event::SettlingUnknown { .. } => continue,
            };
            let after = |shot: &Shot| {
                let from = shot.record.as_ref().map(|record| record.exposure.from_ns);
                shot.part > n || (shot.part == n && from.is_some_and(|from| from >= *at_ns))
            };
            let frame = set.shots.iter().position(after).unwrap_or(set.shots.len().saturating_sub(1));
            steps.push(Step { frame, by_s: *by_s });
        }
    }
    steps
}

fn volumes(set: &Set) -> Option<Volumes> {
    let (pixel, cell) = (pixel_um(set)?, set.number("acq_celltype").filter(|um| *um >= 1.0)?);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "both are small and positive"
    )]
    let mut seen = Seen::new((pixel * 1e3).round() as u32, cell.min(1e6) as u32);
    let camera = &set.parts.first()?.camera;
    // In a flow water is new when it has gone by a whole view.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "both are small and positive"
    )]
    let view_um = ((f64::from(camera.width) * pixel) as u128).max(1);
    let mut before = None;
    let mut pumped = 0;
    for shot in &set.shots {
        let Some(record) = &shot.record else { continue };
        let now = (shot.part, record.pumped_nl, record.flowed_um() / view_um);
        seen.frame(before != Some(now));
        // What was pumped is counted anew from each resumption.
        let last = before.filter(|(part, ..)| *part == shot.part).map_or(0, |(_, nl, _)| nl);
        pumped += record.pumped_nl.saturating_sub(last);
        before = Some(now);
    }
    let (imaged, in_focus) = seen.volumes(u64::from(camera.width) * u64::from(camera.height));
    Some(Volumes {
        imaged_ul: imaged.0 as f64 / 1e3,
        in_focus_ul: in_focus.0 as f64 / 1e3,
        pumped_ul: pumped as f64 / 1e3,
        pixel_um: pixel,
        cell_um: cell,
        depth_um: seen.depth_um(),
    })
}
