//! Who floats in the water. The water of every layer of depth is a tape that moves with the flow, faster in the middle
//! of the cell than at the glass: pumped back, the same particles return. Nothing is stored: who is where follows from
//! the seed, from how far the water has come, and from the time.
//!
//! The cell stands upright (assumption): what sinks moves down the picture, across the flow.

use crate::instrument::Preset;
use crate::parameters::Parameters;
use crate::random::{hash, unit};
use crate::scene::{Look, Particle};
use std::time::Duration;

/// Layers of depth, each with its own speed.
const LAYERS: u32 = 16;
/// A tape's tiles have this length along the flow, um.
const TILE_UM: f64 = 500.0;
/// A particle is at most so large, um; whoever is this far outside the picture may still show.
const MARGIN_UM: f64 = 400.0;
/// Inner width of the flow cell, um. Assumption; with the thickness it says how far a volume goes.
pub(crate) const CELL_WIDTH_UM: f64 = 3_500.0;
/// Cubic micrometres in a microlitre.
const UM3_PER_UL: f64 = 1e9;
/// Smallest and largest size of a particle, relative to its vignette.
const SIZES: (f64, f64) = (0.4, 3.0);

/// All of one world.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Particles {
    pub(crate) seed: u64,
    pub(crate) preset: Preset,
    pub(crate) parameters: Parameters,
}

/// What decides who is seen, and where.
#[derive(Clone, Copy, Debug)]
pub(crate) struct View {
    /// How far the water has come since the beginning, um, in the mean over the cell's depth.
    pub(crate) moved_um: f64,
    /// Height above the cell's middle that is in focus, um.
    pub(crate) focus_um: f64,
    /// Since the beginning.
    pub(crate) age: Duration,
    /// How long it is looked at.
    pub(crate) exposure: Duration,
}

/// Particles on one tape.
struct Layer {
    seed: u64,
    /// Part of the mean flow.
    follows: f64,
    lowest_um: f64,
    thickness_um: f64,
    /// In a tile, in the mean.
    particles: f64,
    bubbles: f64,
    /// How far upstream the sample reaches, um.
    sample_um: f64,
}

impl Particles {
    /// Who is in view, or nearly.
    pub(crate) fn seen(&self, view: &View) -> Vec<Particle> {
        let glass = [-0.5, 0.5].into_iter().enumerate().map(|(n, side)| self.on_the_glass(n as u64, side));
        let layers = (0..LAYERS).map(|n| self.layer(n)).chain(glass);
        layers.flat_map(|layer| self.on_tape(&layer, view)).collect()
    }

    fn layer(&self, n: u32) -> Layer {
        let Parameters { profile, particles_per_ul, bubbles_per_ul, stuck_part, sample_ul, .. } =
            self.parameters;
        let cell = self.preset.cell_um();
        let thickness_um = cell / f64::from(LAYERS);
        let lowest_um = thickness_um * f64::from(n) - cell / 2.0;
        let off_middle = 2.0 * (lowest_um + thickness_um / 2.0) / cell;
        let follows = 1.0 - profile + profile * 1.5 * (1.0 - off_middle * off_middle);
        let tile_ul = TILE_UM * self.column_um() * thickness_um / UM3_PER_UL;
        Layer {
            seed: hash(self.seed, n.into()),
            follows,
            lowest_um,
            thickness_um,
            particles: particles_per_ul * (1.0 - stuck_part) * tile_ul,
            bubbles: bubbles_per_ul * tile_ul,
            sample_um: sample_ul * UM3_PER_UL / (cell * CELL_WIDTH_UM) * follows,
        }
    }

    /// What sticks there neither flows nor sinks.
    fn on_the_glass(&self, n: u64, side: f64) -> Layer {
        let Parameters { particles_per_ul, stuck_part, .. } = self.parameters;
        let half_a_cell_ul = TILE_UM * self.column_um() * self.preset.cell_um() / 2.0 / UM3_PER_UL;
        Layer {
            seed: hash(self.seed, 1_000 + n),
            follows: 0.0,
            lowest_um: side * self.preset.cell_um(),
            thickness_um: 0.0,
            particles: particles_per_ul * stuck_part * half_a_cell_ul,
            bubbles: 0.0,
            sample_um: f64::INFINITY,
        }
    }

    /// What sinks out of view comes back at the top, above the picture.
    fn column_um(&self) -> f64 {
        self.preset.view_um().1 + 2.0 * MARGIN_UM
    }

    fn on_tape(&self, layer: &Layer, view: &View) -> Vec<Particle> {
        let moved = view.moved_um * layer.follows;
        let tile = |x: f64| {
            #[expect(clippy::cast_possible_truncation, reason = "tiles of half a millimetre")]
            let tile = (x / TILE_UM).floor() as i64;
            tile
        };
        let tiles = tile(-moved - MARGIN_UM)..=tile(self.preset.view_um().0 - moved + MARGIN_UM);
        let tiles = tiles.filter(|tile| *tile as f64 * TILE_UM >= -layer.sample_um);
        let mut all = vec![];
        for tile in tiles {
            let seed = hash(layer.seed, tile.cast_unsigned());
            let count = |mean: f64, what: u64| (mean + unit(hash(seed, what))).floor() as u64;
            let (particles, bubbles) = (count(layer.particles, 0), count(layer.bubbles, 1));
            for n in 0..particles + bubbles {
                let draw = |what: u64| unit(hash(seed, 16 + n * 8 + what));
                let x = (tile as f64 + draw(0)) * TILE_UM + moved;
                all.push(self.particle(layer, view, x, n >= particles, draw));
            }
        }
        all
    }

    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a picture's precision")]
    fn particle(
        &self,
        layer: &Layer,
        view: &View,
        x: f64,
        bubble: bool,
        draw: impl Fn(u64) -> f64,
    ) -> Particle {
        let scale = if bubble { 0.3 + 1.2 * draw(4) } else { self.size(draw(4)) };
        // By Stokes' law with the square of the size. A bubble touches the glass on both sides: it does not rise.
        let sinks = if bubble || layer.follows == 0.0 { 0.0 } else { (0.5 + draw(6)) * scale * scale };
        let speed = sinks * self.parameters.sinking_um_per_s;
        let column = self.column_um();
        let y = (draw(1) * column + speed * view.age.as_secs_f64()).rem_euclid(column) - MARGIN_UM;
        Particle {
            look: if bubble { Look::Bubble } else { Look::Vignette((draw(3) * 1e6) as u32) },
            x_um: x as f32,
            y_um: y as f32,
            follows: layer.follows as f32,
            sinks_um: (speed * view.exposure.as_secs_f64()) as f32,
            scale: scale as f32,
            orientation: (draw(5) * 8.0) as u8,
            defocus_um: (layer.lowest_um + draw(2) * layer.thickness_um - view.focus_um) as f32,
        }
    }

    /// So that the number of those that are larger falls with a power of the size.
    fn size(&self, draw: f64) -> f64 {
        let (smallest, largest) = SIZES;
        (smallest * (1.0 - draw).powf(-1.0 / self.parameters.size_exponent)).min(largest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn particles(change: impl Fn(&mut Parameters)) -> Particles {
        let mut parameters = Parameters { particles_per_ul: 20.0, ..Parameters::default() };
        change(&mut parameters);
        Particles { seed: 3, preset: Preset::Medium, parameters }
    }

    fn view(moved_um: f64, seconds: u64) -> View {
        let (age, exposure) = (Duration::from_secs(seconds), Duration::from_millis(87));
        View { moved_um, focus_um: 0.0, age, exposure }
    }

    fn in_picture(particles: &Particles, view: &View) -> Vec<Particle> {
        let (wide, high) = particles.preset.view_um();
        let is_in = |at: f32, end: f64| (0.0..end).contains(&f64::from(at));
        particles.seen(view).into_iter().filter(|p| is_in(p.x_um, wide) && is_in(p.y_um, high)).collect()
    }

    /// Those with a size and depth of their own, whatever their place.
    fn same(a: &Particle, b: &Particle) -> bool {
        (a.scale, a.defocus_um, a.look) == (b.scale, b.defocus_um, b.look)
    }

    #[test]
    fn as_many_are_in_view_as_the_imaged_volume_holds_at_every_preset() {
        for preset in [Preset::High, Preset::Medium, Preset::Low] {
            let particles = Particles { preset, ..particles(|_| {}) };
            let (wide, high) = preset.view_um();
            let expected = 20.0 * wide * high * preset.cell_um() / UM3_PER_UL;
            let counts = (0..40).map(|n| in_picture(&particles, &view(f64::from(n) * 9_000.0, 0)).len());
            let mean = counts.sum::<usize>() as f64 / 40.0;
            assert!((mean / expected - 1.0).abs() < 0.15, "{preset:?}: {mean} instead of {expected}");
        }
    }

    #[test]
    fn pumped_back_the_same_particles_return() {
        let particles = particles(|_| {});
        let (before, elsewhere) = (particles.seen(&view(0.0, 0)), particles.seen(&view(20_000.0, 0)));
        assert_eq!(before, particles.seen(&view(0.0, 0)));
        let moving = |all: &[Particle]| all.iter().filter(|p| p.follows > 0.5).cloned().collect::<Vec<_>>();
        assert!(moving(&before).iter().all(|p| !moving(&elsewhere).iter().any(|q| same(p, q))));
    }

    #[test]
    fn in_the_middle_they_move_faster_than_at_the_glass_where_some_stick() {
        let particles = particles(|p| p.stuck_part = 0.2);
        let (before, after) = (particles.seen(&view(0.0, 0)), particles.seen(&view(100.0, 0)));
        let mut moved = vec![];
        for particle in &before {
            if let Some(after) = after.iter().find(|other| same(particle, other)) {
                let by = after.x_um - particle.x_um;
                assert!((by - 100.0 * particle.follows).abs() < 0.1, "{by} {particle:?}");
                moved.push(by);
            }
        }
        let (least, most) = moved.iter().fold((f32::MAX, 0f32), |(l, m), by| (l.min(*by), m.max(*by)));
        assert!(least == 0.0 && most > 140.0, "{least} to {most}");
        let plug = Particles { parameters: Parameters { profile: 0.0, ..particles.parameters }, ..particles };
        assert!(plug.seen(&view(0.0, 0)).iter().all(|p| p.follows == 0.0 || (p.follows - 1.0).abs() < 1e-6));
    }

    #[test]
    fn they_sink_down_the_picture_and_the_view_neither_empties_nor_fills() {
        let particles = particles(|p| p.sinking_um_per_s = 20.0);
        let (before, later) = (particles.seen(&view(0.0, 0)), particles.seen(&view(0.0, 1)));
        let sank = before.iter().zip(&later).filter(|(a, b)| b.y_um > a.y_um).count();
        assert!(sank > before.len() / 2, "{sank} of {}", before.len());
        let counts: Vec<_> = (0..50).map(|n| in_picture(&particles, &view(0.0, n * 100)).len()).collect();
        let mean = counts.iter().sum::<usize>() as f64 / 50.0;
        assert!(counts.iter().all(|count| (*count as f64) > mean / 3.0), "{counts:?}");
        assert!(before.iter().any(|p| p.sinks_um > 0.5));
    }

    #[test]
    fn after_the_sample_comes_clear_water() {
        let particles = particles(|p| p.sample_ul = 100.0);
        let um_per_ul = UM3_PER_UL / (300.0 * CELL_WIDTH_UM);
        assert!(in_picture(&particles, &view(80.0 * um_per_ul, 0)).len() > 10);
        let after = in_picture(&particles, &view(120.0 * um_per_ul, 0));
        assert!(after.iter().all(|p| p.follows < 0.2), "only what sticks or nearly does: {after:?}");
    }

    #[test]
    fn small_ones_are_more_frequent_than_large_ones_by_the_exponent() {
        for exponent in [1.0, 2.0, 4.0] {
            let particles = particles(|p| p.size_exponent = exponent);
            let sizes: Vec<_> = (0..10_000).map(|n| particles.size(f64::from(n) / 1e4)).collect();
            let larger = |than: f64| sizes.iter().filter(|size| **size > than).count() as f64;
            let slope = (larger(0.5) / larger(1.0)).log2();
            assert!((slope - exponent).abs() < 0.1, "{slope} instead of {exponent}");
        }
    }

    #[test]
    fn bubbles_are_there_as_often_as_was_said() {
        let bubbles = |per_ul: f64| {
            let particles = particles(|p| p.bubbles_per_ul = per_ul);
            let all = (0..20).flat_map(|n| in_picture(&particles, &view(f64::from(n) * 9_000.0, 0)));
            all.filter(|p| p.look == Look::Bubble).count() as f64 / 20.0
        };
        assert_eq!(bubbles(0.0), 0.0);
        let expected = 2.0 * 3_042.0 * 2_280.0 * 300.0 / UM3_PER_UL;
        assert!((bubbles(2.0) / expected - 1.0).abs() < 0.4, "{} instead of {expected}", bubbles(2.0));
    }
}
