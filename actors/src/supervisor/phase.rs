//! Strokes and camera in phase. A camera that free-runs makes an acquisition wait for the next frame's begin: with frames that
//! are a little longer, a whole number of them takes as long as exposure, stroke and settling, and nobody waits. Of strobed
//! frames the light takes the exposure's place.

use super::{Acquisition, Running, Supervisor};
use planktor_protocol::{Instant, Order, camera};
use std::time::Duration;

/// What a cycle may take longer than the one that was measured: the end of a move is known to a third of a millisecond.
const SPARE: Duration = Duration::from_millis(1);
/// For less nobody changes a camera that streams. The first ends of moves are known to a few milliseconds only.
const WORTH: Duration = Duration::from_millis(5);
/// A cycle that goes on changing has no phase.
const MOST_PLANS: u32 = 16;

/// Of one acquisition.
#[derive(Default)]
pub(super) struct Phase {
    /// The begin of the last exposure, or of its light.
    begun: Option<Instant>,
    /// The camera's own cadence, before it was changed.
    usual: Option<Duration>,
    /// What it was told last.
    asked: Option<Duration>,
    /// How long the last cycle took.
    cycle: Option<Duration>,
    plans: u32,
}

impl Phase {
    /// An exposure begins then, or its light.
    pub(super) fn begins(&mut self, at: Instant) {
        self.begun = Some(at);
    }
}

/// The cadence, not below the usual one, of which a whole number is as long as a cycle, or a little longer.
fn in_phase(cycle: Duration, usual: Duration) -> Duration {
    let frames = u32::try_from(cycle.as_nanos() / usual.as_nanos().max(1)).unwrap_or(u32::MAX).max(1);
    // Rounded up: too short a cadence would miss the begin.
    ((cycle + Duration::from_nanos(u64::from(frames) - 1)) / frames).max(usual)
}

/// How long a cycle really takes with frames of this cadence.
fn lasts(cycle: Duration, cadence: Duration) -> Duration {
    let frames = cycle.as_nanos().div_ceil(cadence.as_nanos().max(1));
    cadence.saturating_mul(u32::try_from(frames).unwrap_or(u32::MAX))
}

impl Supervisor {
    /// A stroke is over and the water settles: how long a cycle takes is known now.
    pub(super) fn keep_in_phase(&mut self, a: &Acquisition, running: &mut Running) {
        let (Some(mode), Some(begun), Some(settled)) =
            (self.mode, running.phase.begun.take(), running.sequence.settles_until())
        else {
            return;
        };
        // One that does not tell how it exposes tells nobody how long its frames are, and one that does not follow never will.
        let follows = running.phase.asked.is_none_or(|asked| mode.cadence.abs_diff(asked) < SPARE);
        if mode.exposure.is_zero() || !follows {
            return;
        }
        let usual = *running.phase.usual.get_or_insert(mode.cadence);
        let cycle = settled - begun;
        // One that was longer by chance, or is becoming shorter, is no measure.
        let is_usual = running.phase.cycle.replace(cycle).is_some_and(|last| cycle.abs_diff(last) < SPARE);
        let cadence = in_phase(cycle + SPARE, usual);
        let saved = lasts(cycle, mode.cadence).saturating_sub(cycle + SPARE);
        if saved < WORTH || !is_usual || running.phase.plans == MOST_PLANS {
            return;
        }
        running.phase.plans += 1;
        running.phase.asked = Some(cadence);
        self.is_in_phase = true;
        let settings = camera::Settings { cadence: Some(cadence), ..self.camera_settings() };
        let (run, command) = (self.new_run(), camera::Command::Set(settings));
        self.camera.send(Order { run, epochs: a.epochs, command });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: f64) -> Duration {
        Duration::from_secs_f64(ms / 1e3)
    }

    #[test]
    fn a_whole_number_of_frames_is_as_long_as_a_cycle_and_no_frame_is_shorter_than_the_camera_can() {
        for usual in [ms(83.0), ms(100.0), ms(333.0)] {
            for cycle in (50..3_000).map(|n| ms(f64::from(n) * 1.37)) {
                let cadence = in_phase(cycle, usual);
                assert!(cadence >= usual, "{cadence:?}");
                assert!(lasts(cycle, cadence) <= lasts(cycle, usual), "{cycle:?}: {cadence:?}");
                if cycle >= usual {
                    let waits = lasts(cycle, cadence) - cycle;
                    assert!(waits < Duration::from_micros(1), "{cycle:?}: {cadence:?} waits {waits:?}");
                }
            }
        }
    }

    #[test]
    fn the_usual_stroke_of_a_v3_saves_what_it_waited() {
        let cycle = ms(368.2 + 500.0 + 86.9 + 1.5);
        assert_eq!(lasts(cycle, ms(100.0)), ms(1_000.0));
        let saved = ms(1_000.0) - lasts(cycle, in_phase(cycle, ms(100.0)));
        assert!(saved > ms(43.0), "{saved:?}");
    }
}
