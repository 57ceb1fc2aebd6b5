//! What an acquisition's time was spent on, from what was true in the twin's world.

use planktor_sim::world::Truth;
use std::time::Duration;

/// One stop-flow frame's period, taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parts {
    /// From the end of the exposure before it to the end of its own.
    pub period: Duration,
    /// The pump's shaft turned.
    pub motion: Duration,
    /// What was asked.
    pub settling: Duration,
    /// First line's start to last line's end.
    pub exposure: Duration,
    /// From the end of settling to the first possible frame start.
    pub cadence: Duration,
    /// What is left; a frame start that was missed counts whole.
    pub overhead: Duration,
    /// Frame starts that were missed.
    pub missed: u32,
}

/// Cubic micrometres in a microlitre.
const UM3_PER_UL: f64 = 1e9;

/// Of every frame but the first.
pub fn parts(truths: &[Truth], settling: Duration) -> Vec<Parts> {
    let pair = |pair: &[Truth]| part(pair[0].exposure.to, &pair[1], settling);
    truths.windows(2).filter_map(pair).collect()
}

fn part(before: planktor_protocol::Instant, truth: &Truth, settling: Duration) -> Option<Parts> {
    let motion = truth.motion?;
    let waited = truth.exposure.from - (motion.to + settling);
    let missed = u32::try_from(waited.as_nanos() / truth.cadence.as_nanos()).unwrap_or(u32::MAX);
    let wait = waited - truth.cadence * missed;
    let period = truth.exposure.to - before;
    let necessary = motion.duration() + settling + truth.exposure.duration() + wait;
    Some(Parts {
        period,
        motion: motion.duration(),
        settling,
        exposure: truth.exposure.duration(),
        cadence: wait,
        overhead: period.saturating_sub(necessary),
        missed,
    })
}

/// Water that is in focus in frames in which nothing in focus moved by more than `blur_um`, for each minute, uL: the area of
/// the view times the depth of field, of every frame but the first, from the end of its exposure to the end of the last one.
/// `None` of fewer than two frames.
pub fn sharp_ul_per_minute(kept: &[Truth], blur_um: f32) -> Option<f64> {
    let (first, rest) = kept.split_first()?;
    let minutes = (rest.last()?.exposure.to - first.exposure.to).as_secs_f64() / 60.0;
    let sharp = rest.iter().filter(|truth| truth.worst_displacement_um() <= blur_um).map(|truth| {
        let side = |pixels: u32| f64::from(pixels) * f64::from(truth.scene.um_per_px);
        side(truth.scene.width) * side(truth.scene.height) * f64::from(truth.scene.depth_of_field_um)
    });
    Some(sharp.fold(0.0, |all: f64, um3| all + um3) / UM3_PER_UL / minutes)
}

/// The middle one; `None` of nothing.
pub fn median<T: Ord + Copy>(values: impl Iterator<Item = T>) -> Option<T> {
    let mut sorted: Vec<_> = values.collect();
    sorted.sort();
    sorted.get(sorted.len() / 2).copied()
}

#[cfg(test)]
mod tests {
    use super::*;
    use planktor_protocol::camera::Balance;
    use planktor_protocol::{Instant, Interval};
    use planktor_sim::scene::{Format, Scene};
    use std::sync::Arc;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    fn truth(motion: (u64, u64), exposure: (u64, u64)) -> Truth {
        let interval = |(from, to)| Interval { from: Instant::ZERO + ms(from), to: Instant::ZERO + ms(to) };
        let scene = Scene {
            width: 1,
            height: 1,
            um_per_px: 1.0,
            seed: 0,
            format: Format::Rgb,
            light: [0.0; 9],
            drift_um: [0.0; 9],
            flashes: vec![],
            exposure_fraction: 0.0,
            balance: Balance::Picture,
            exposure: 1.0,
            gain: 1.0,
            depth_of_field_um: 95.0,
            particles: vec![],
        };
        Truth {
            seq: 0,
            exposure: interval(exposure),
            cadence: ms(100),
            lit: None,
            motion: Some(interval(motion)),
            pumped_um: [0.0; 9],
            scene: Arc::new(scene),
        }
    }

    #[test]
    fn a_missed_frame_start_counts_as_overhead() {
        let on_time = [truth((0, 390), (900, 987)), truth((990, 1380), (1900, 1987))];
        let parts_on_time = parts(&on_time, ms(500));
        assert_eq!(
            (parts_on_time[0].cadence, parts_on_time[0].overhead, parts_on_time[0].missed),
            (ms(20), ms(3), 0)
        );
        let late = [on_time[0].clone(), truth((990, 1380), (2000, 2087))];
        let parts_late = parts(&late, ms(500));
        assert_eq!(
            (parts_late[0].cadence, parts_late[0].overhead, parts_late[0].missed),
            (ms(20), ms(103), 1)
        );
    }

    #[test]
    fn only_frames_in_which_nothing_moved_too_far_count_as_sharp() {
        use planktor_sim::scene::{Look, Particle};
        // 1 mm^2 times 100 um is a tenth of a microlitre; a frame every half second.
        let frame = |n: u64, moved_um: f32| {
            let mut truth = truth((0, 0), (500 * n, 500 * n + 87));
            let scene = Arc::make_mut(&mut truth.scene);
            (scene.width, scene.height, scene.um_per_px, scene.depth_of_field_um) = (100, 100, 10.0, 100.0);
            scene.drift_um[8] = moved_um;
            scene.particles = vec![Particle {
                look: Look::Bubble,
                x_um: 0.0,
                y_um: 0.0,
                follows: 1.5,
                sinks_um: 0.0,
                scale: 1.0,
                orientation: 0,
                defocus_um: 0.0,
            }];
            truth
        };
        let frames = [frame(0, 0.0), frame(1, 0.0), frame(2, 0.3), frame(3, 0.2), frame(4, 0.0)];
        let sharp = sharp_ul_per_minute(&frames, 0.375).unwrap();
        assert!((sharp - 3.0 * 0.1 / 2.0 * 60.0).abs() < 1e-3, "{sharp}");
        assert_eq!(sharp_ul_per_minute(&frames[..1], 0.375), None);
    }
}
