//! How far what is seen moved from one frame to the next, to a small part of a pixel. Pure; knows no camera and no file.
//!
//! Both frames are made small and grey (about a megapixel of a full frame). Where the first has texture, a patch of it is
//! looked for in the second: by the gradient, from a coarse copy to the fine one, and back again (Lucas and Kanade 1981; which patches,
//! after Shi and Tomasi 1994). What does not come back to where it was is dropped. Uneven light and a lamp that flickers
//! cancel, because each patch is compared without its mean; noise gives no texture.
//!
//! What is told is the median of what the patches do; those with more texture count more, because they are in focus, and so
//! in the middle of the cell, where the water is fastest. So a few particles that stick to the glass change little. If fewer
//! than half of the patches are found again, nothing is told: what is still there may be all that sticks.

use crate::dataset::picture::{image, reduced};
use planktor_actors::settling::{Shift, Studied, Study, fit};
use planktor_protocol::Interval;
use planktor_protocol::camera::{Frame, Image, Mosaic};

/// A small copy has so many pixels, and less than four times as many.
const ABOUT: u32 = 700_000;
/// Side of a patch, pixels.
const PATCH: usize = 16;
/// Patches that are followed, those with most texture.
const MOST_PATCHES: usize = 48;
/// Texture is what varies by so many times more than most of the picture, which is water.
const TEXTURE: f32 = 6.0;
/// Grey values that noise alone varies by; a picture without any noise has no less.
const LEAST_NOISE: f32 = 0.3;
/// The copy of a copy of a copy: 8 times smaller.
const LEVELS: usize = 4;
const MOST_ROUNDS: usize = 12;
/// Pixels. Steps that are smaller change nothing; in a coarse copy, whose place is only a beginning, ten times as much.
const CLOSE: f32 = 0.003;
/// Pixels, and part of the way, that a patch may be away from where it was when it has been followed there and back.
const ASTRAY: f32 = 0.4;
const ASTRAY_PART: f32 = 0.1;
/// Part of a patch that may be different when it is found again, beside what noise differs by.
const UNLIKE: f32 = 0.3;
/// Of what patches without anything in them vary by: the noise of two pictures is four times as much, and may be twice that.
const NOISE: f32 = 8.0;
/// Fewer patches are no evidence.
const LEAST_FOUND: usize = 3;
/// How wrong one patch is, pixels (measured on the twin: 0.03 to 0.06).
const ERROR: f32 = 0.06;

/// Whoever looks. It keeps the last frame's small copy, which is the next pair's first; what it answers does not depend on
/// that.
#[derive(Default)]
pub struct Student {
    newest: Option<(u64, Interval, Grey)>,
}

impl Student {
    /// Does what is asked.
    pub fn study(&mut self, study: Study) -> Studied {
        match study {
            Study::Compare { run, before, after, view_nm } => {
                Studied::Compared(run, self.compare(before, after, view_nm as f64 / 1e3))
            }
            Study::Fit { run, samples, order, residual_nm, takes } => {
                Studied::Fitted(run, fit::fit(&samples, &order, residual_nm, takes))
            }
        }
    }

    /// Frames are given back as soon as may be: their memory is the camera's.
    fn compare(&mut self, before: Frame, after: Frame, view_um: f64) -> Option<Shift> {
        let known = self
            .newest
            .take()
            .filter(|(seq, interval, _)| (*seq, *interval) == (before.seq, before.interval));
        let old = known.map_or_else(|| Grey::of(&before), |(_, _, grey)| Some(grey));
        drop(before);
        let (old, new) = (old?, Grey::of(&after)?);
        let shift = shift(&old, &new, view_um / old.width as f64);
        self.newest = Some((after.seq, after.interval, new));
        shift
    }
}

/// A small copy of a picture: its green, line by line.
#[derive(Clone, Debug, PartialEq)]
pub struct Grey {
    width: usize,
    height: usize,
    pixels: Vec<f32>,
}

impl Grey {
    /// In the way that costs least. `None` if it is no picture.
    fn of(frame: &Frame) -> Option<Self> {
        if let Some(small) = frame.picture.small(ABOUT) {
            return Some(Self::of_image(&small));
        }
        if let Some(mosaic) = frame.picture.raw() {
            return Self::of_mosaic(&mosaic);
        }
        Some(Self::of_image(&image(frame.picture.develop()).ok()?))
    }

    /// Of a picture that is developed.
    pub fn of_image(image: &Image) -> Self {
        let factor = (image.width.saturating_mul(image.height) / ABOUT).isqrt().max(1);
        let small = reduced(image, factor);
        let pixels = small.rgb.chunks_exact(3).map(|pixel| f32::from(pixel[1])).collect();
        Self { width: small.width as usize, height: small.height as usize, pixels }
    }

    /// Of what a sensor gives: the mean of the green pixels of each square, as a part of white times 255. Two of each four are
    /// green.
    fn of_mosaic(mosaic: &Mosaic) -> Option<Self> {
        let factor = ((mosaic.width.saturating_mul(mosaic.height) / ABOUT).isqrt().max(2) & !1) as usize;
        let (width, height) = (mosaic.width as usize / factor, mosaic.height as usize / factor);
        let first = usize::from(mosaic.pattern.colour(0, 0) != 1);
        let full = mosaic.samples.len() == mosaic.width as usize * mosaic.height as usize;
        let scale = 255.0 * 2.0 / (factor * factor) as f32 / f32::from(mosaic.white().max(1));
        let mut sums = vec![0_u32; width];
        let mut pixels = Vec::with_capacity(width * height);
        for band in mosaic.samples.chunks_exact(mosaic.width as usize * factor).take(height) {
            sums.fill(0);
            for (y, line) in band.chunks_exact(mosaic.width as usize).enumerate() {
                let green = (first + y) % 2;
                for (sum, square) in sums.iter_mut().zip(line.chunks_exact(factor)) {
                    *sum +=
                        square.iter().skip(green).step_by(2).map(|sample| u32::from(*sample)).sum::<u32>();
                }
            }
            pixels.extend(sums.iter().map(|sum| *sum as f32 * scale));
        }
        (full && width > 0 && height > 0).then_some(Self { width, height, pixels })
    }

    /// Half as large; a last odd line or column is left out.
    fn halved(&self) -> Self {
        let (width, height) = (self.width / 2, self.height / 2);
        let mut pixels = Vec::with_capacity(width * height);
        for y in 0..height {
            let (upper, lower) = (self.line(2 * y), self.line(2 * y + 1));
            let pairs = upper.as_chunks::<2>().0.iter().zip(lower.as_chunks::<2>().0);
            pixels.extend(pairs.map(|([a, b], [c, d])| (a + b + c + d) / 4.0));
        }
        Self { width, height, pixels }
    }

    fn line(&self, y: usize) -> &[f32] {
        &self.pixels[y * self.width..(y + 1) * self.width]
    }

    /// A square whose corner lies between pixels; outside it goes on as at the edge.
    fn square<const SIDE: usize>(&self, corner: [f32; 2]) -> [[f32; SIDE]; SIDE] {
        let [(left, right), (top, down)] = corner.map(|at| {
            let whole = at.clamp(-1e6, 1e6).floor();
            (whole as isize, at - whole)
        });
        let within = |from: isize, by: usize, side: usize| {
            usize::try_from(from.saturating_add_unsigned(by)).unwrap_or(0).min(side - 1)
        };
        let line = |y: usize| -> [f32; SIDE] {
            let line = self.line(within(top, y, self.height));
            let inside = usize::try_from(left).ok().and_then(|left| line.get(left..=left + SIDE));
            match inside {
                Some(pixels) => std::array::from_fn(|x| pixels[x] + (pixels[x + 1] - pixels[x]) * right),
                None => std::array::from_fn(|x| {
                    let [here, next] = [x, x + 1].map(|x| line[within(left, x, self.width)]);
                    here + (next - here) * right
                }),
            }
        };
        let mut upper = line(0);
        std::array::from_fn(|y| {
            let lower = line(y + 1);
            let upper = std::mem::replace(&mut upper, lower);
            std::array::from_fn(|x| upper[x] + (lower[x] - upper[x]) * down)
        })
    }

    /// Whether all of a patch lies in it.
    fn holds(&self, corner: [f32; 2]) -> bool {
        let within = |at: f32, side: usize| at >= 0.0 && at + PATCH as f32 <= side as f32;
        within(corner[0], self.width) && within(corner[1], self.height)
    }

    fn copies(self) -> Vec<Self> {
        let mut copies = vec![self];
        while copies.len() < LEVELS {
            let next = copies[copies.len() - 1].halved();
            copies.push(next);
        }
        copies
    }
}

/// How far what the one shows has moved in the other, of which a pixel sees so much.
fn shift(before: &Grey, after: &Grey, um_per_px: f64) -> Option<Shift> {
    let least = (PATCH + 2).max(2 << LEVELS);
    if (before.width, before.height) != (after.width, after.height) || before.width.min(before.height) < least
    {
        return None;
    }
    let (patches, usual) = patches(before);
    let (before, after) = (before.clone().copies(), after.clone().copies());
    let noise = NOISE * usual;
    let found = patches.iter().filter_map(|patch| followed(*patch, &before, &after, noise));
    let found: Vec<Found> = found.collect();
    if found.len() < LEAST_FOUND || found.len() * 2 < patches.len() {
        return None;
    }
    let all = found.iter().map(|found| found.counts).sum::<f32>();
    let line = found.iter().map(|found| found.counts * found.middle).sum::<f32>() / all;
    Some(Shift {
        moved_um: [0, 1].map(|axis| f64::from(median(&found, axis)) * um_per_px),
        error_um: f64::from(ERROR / (found.len() as f32).sqrt()) * um_per_px,
        line: f64::from(line / before[0].height as f32),
    })
}

/// A patch that was found again.
struct Found {
    /// Its middle line.
    middle: f32,
    moved: [f32; 2],
    counts: f32,
}

/// Along an axis; of what counts, half is on either side.
fn median(found: &[Found], axis: usize) -> f32 {
    let mut all: Vec<(f32, f32)> = found.iter().map(|found| (found.moved[axis], found.counts)).collect();
    all.sort_by(|a, b| a.0.total_cmp(&b.0));
    let half = all.iter().map(|(_, counts)| counts).sum::<f32>() / 2.0;
    let mut below = 0.0;
    let (mut before, mut then) = (all[0].0, 0.0);
    for (moved, counts) in all {
        let middle = below + counts / 2.0;
        if middle >= half {
            // Between two of them, so that it does not jump from the one to the other.
            let part = if middle > then { (half - then) / (middle - then) } else { 1.0 };
            return before + (moved - before) * part.clamp(0.0, 1.0);
        }
        (before, then) = (moved, middle);
        below += counts;
    }
    before
}

/// How much a patch varies along the lines, across them, and along both.
#[derive(Clone, Copy, Debug, Default)]
struct Texture {
    xx: f32,
    xy: f32,
    yy: f32,
}

impl Texture {
    /// Of what varies least, whichever way.
    fn least(self) -> f32 {
        let (half, apart) = ((self.xx + self.yy) / 2.0, (self.xx - self.yy) / 2.0);
        half - (apart * apart + self.xy * self.xy).sqrt()
    }

    /// How far to go for the least difference.
    fn solve(self, x: f32, y: f32) -> Option<[f32; 2]> {
        let det = self.xx * self.yy - self.xy * self.xy;
        (det > f32::EPSILON * (self.xx + self.yy).powi(2))
            .then(|| [(self.yy * x - self.xy * y) / det, (self.xx * y - self.xy * x) / det])
    }
}

/// Where there is texture.
#[derive(Clone, Copy)]
struct Patch {
    left: usize,
    top: usize,
    texture: f32,
}

/// Those with most texture; and what most patches have, which is noise.
fn patches(grey: &Grey) -> (Vec<Patch>, f32) {
    let corners = |side: usize| (1..side.saturating_sub(PATCH + 1)).step_by(PATCH);
    let mut all = vec![];
    for top in corners(grey.height) {
        for left in corners(grey.width) {
            let mut texture = Texture::default();
            for y in top..top + PATCH {
                let range = left..left + PATCH;
                let (above, line, below) = (
                    &grey.line(y - 1)[range.clone()],
                    &grey.line(y)[left - 1..left + PATCH + 1],
                    &grey.line(y + 1)[range],
                );
                for (i, (above, below)) in above.iter().zip(below).enumerate() {
                    let (x, y) = ((line[i + 2] - line[i]) / 2.0, (below - above) / 2.0);
                    texture.xx += x * x;
                    texture.xy += x * y;
                    texture.yy += y * y;
                }
            }
            all.push(Patch { left, top, texture: texture.least() });
        }
    }
    all.sort_by(|a, b| b.texture.total_cmp(&a.texture));
    let least = (PATCH * PATCH) as f32 * LEAST_NOISE * LEAST_NOISE;
    let usual = all.get(all.len() / 2).map_or(least, |patch| patch.texture.max(least));
    all.truncate(MOST_PATCHES);
    all.retain(|patch| patch.texture > TEXTURE * usual);
    (all, usual)
}

/// A patch there and back again.
fn followed(patch: Patch, before: &[Grey], after: &[Grey], noise: f32) -> Option<Found> {
    let from = [patch.left as f32, patch.top as f32];
    let moved = follow(from, before, after, noise)?;
    let to = [from[0] + moved[0], from[1] + moved[1]];
    let back = follow(to, after, before, noise)?;
    let astray = (moved[0] + back[0]).hypot(moved[1] + back[1]);
    let is_back = astray < ASTRAY + ASTRAY_PART * moved[0].hypot(moved[1]);
    let middle = from[1] + PATCH as f32 / 2.0;
    is_back.then_some(Found { middle, moved, counts: patch.texture.sqrt() })
}

/// Where a patch of the one is in the other, less where it was: in the smallest copies first.
fn follow(from: [f32; 2], one: &[Grey], other: &[Grey], noise: f32) -> Option<[f32; 2]> {
    let mut moved = [0.0; 2];
    for level in (0..LEVELS).rev() {
        let scale = 1.0 / (1 << level) as f32;
        // The middle stays in the middle; pixels are counted from their own middles.
        let middle = from.map(|at| (at + PATCH as f32 / 2.0) * scale - 0.5);
        let corner = middle.map(|at| at - (PATCH as f32 - 1.0) / 2.0);
        let start = moved.map(|by: f32| by * scale);
        let close = if level > 0 { 10.0 * CLOSE } else { CLOSE };
        moved = match (aligned(corner, &one[level], &other[level], start, (noise, close)), level) {
            (Some(moved), _) => moved.map(|by| by / scale),
            // A coarse copy may blur it away.
            (None, 1..) => moved,
            (None, _) => return None,
        };
    }
    other[0].holds([from[0] + moved[0], from[1] + moved[1]]).then_some(moved)
}

/// Moves a patch of the one until it differs least from the other.
fn aligned(
    corner: [f32; 2],
    one: &Grey,
    other: &Grey,
    start: [f32; 2],
    (noise, close): (f32, f32),
) -> Option<[f32; 2]> {
    let around = one.square::<{ PATCH + 2 }>(corner.map(|at| at - 1.0));
    let mut patch = [0.0_f32; PATCH * PATCH];
    let mut slopes = [[0.0_f32; 2]; PATCH * PATCH];
    let mut texture = Texture::default();
    for (n, (value, slope)) in patch.iter_mut().zip(&mut slopes).enumerate() {
        let (x, y) = (n % PATCH + 1, n / PATCH + 1);
        *value = around[y][x];
        *slope = [(around[y][x + 1] - around[y][x - 1]) / 2.0, (around[y + 1][x] - around[y - 1][x]) / 2.0];
    }
    let mean = |values: &[f32]| values.iter().sum::<f32>() / values.len() as f32;
    let middle = mean(&patch);
    patch.iter_mut().for_each(|value| *value -= middle);
    let slope = [0, 1].map(|axis| slopes.iter().map(|slope| slope[axis]).sum::<f32>() / slopes.len() as f32);
    for [x, y] in &mut slopes {
        (*x, *y) = (*x - slope[0], *y - slope[1]);
        texture.xx += *x * *x;
        texture.xy += *x * *y;
        texture.yy += *y * *y;
    }
    let mut moved = start;
    let mut seen = [[0.0; PATCH]; PATCH];
    for _ in 0..MOST_ROUNDS {
        seen = other.square([corner[0] + moved[0], corner[1] + moved[1]]);
        let middle = mean(seen.as_flattened());
        let (mut x, mut y) = (0.0, 0.0);
        for ((patch, seen), slope) in patch.iter().zip(seen.as_flattened()).zip(&slopes) {
            let differs = patch - (seen - middle);
            x += differs * slope[0];
            y += differs * slope[1];
        }
        let [x, y] = texture.solve(x, y)?;
        moved = [moved[0] + x, moved[1] + y];
        if x.hypot(y) < close {
            break;
        }
    }
    let seen = seen.as_flattened();
    let middle = mean(seen);
    let differs = patch.iter().zip(seen).map(|(patch, seen)| (patch - (seen - middle)).powi(2)).sum::<f32>();
    let varies = patch.iter().map(|value| value * value).sum::<f32>();
    (differs < UNLIKE * varies + noise).then_some(moved)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::f32::consts::TAU;

    /// Soft dots on water that is brighter in the middle, seen by a sensor with noise.
    struct Water {
        /// Left, top, radius, darkness.
        dots: Vec<[f32; 4]>,
        noise: f32,
    }

    const SIZE: (usize, usize) = (500, 380);

    /// As random as need be, and always the same: 0 to 1.
    fn chance(n: u32) -> f32 {
        let n = (n ^ 61 ^ (n >> 16)).wrapping_mul(9).wrapping_mul(0x27d4_eb2d);
        ((n ^ (n >> 15)).wrapping_mul(0x85eb_ca6b) >> 8) as f32 / (1 << 24) as f32
    }

    impl Water {
        fn with(dots: u32) -> Self {
            let at = |n: u32, k: u32| chance(n * 7 + k + 1);
            let dot = |n| [500.0 * at(n, 0), 380.0 * at(n, 1), 3.0 + 8.0 * at(n, 2), 20.0 + 120.0 * at(n, 3)];
            Self { dots: (0..dots).map(dot).collect(), noise: 1.6 }
        }

        /// When each dot has been moved.
        fn seen(&self, light: f32, roll: u32, moved: impl Fn(usize) -> [f32; 2]) -> Grey {
            let (width, height) = SIZE;
            let mut pixels: Vec<f32> = (0..width * height)
                .map(|n| {
                    let (x, y) =
                        ((n % width) as f32 / width as f32 - 0.5, (n / width) as f32 / height as f32 - 0.5);
                    light * 200.0 * (1.0 - 0.3 * x * x - 0.3 * y * y)
                })
                .collect();
            for (n, [left, top, radius, dark]) in self.dots.iter().enumerate() {
                let by = moved(n);
                let (left, top) = (left + by[0], top + by[1]);
                for y in 0..height {
                    for x in 0..width {
                        let far = (x as f32 - left).hypot(y as f32 - top) / radius;
                        if far < 3.0 {
                            pixels[y * width + x] *= 1.0 - dark / 200.0 * (-far * far).exp();
                        }
                    }
                }
            }
            for (n, pixel) in (0..).zip(&mut pixels) {
                let normal = (-2.0 * chance(n * 2 + roll).max(1e-6).ln()).sqrt()
                    * (TAU * chance(n * 2 + roll + 1)).cos();
                *pixel = (*pixel + self.noise * normal).clamp(0.0, 255.0).round();
            }
            Grey { width, height, pixels }
        }
    }

    fn between(water: &Water, moved: impl Fn(usize) -> [f32; 2]) -> Option<Shift> {
        shift(&water.seen(1.0, 1, |_| [0.0; 2]), &water.seen(0.99, 900_001, moved), 1.0)
    }

    #[test]
    fn a_motion_is_measured_to_a_small_part_of_a_pixel_under_uneven_light_that_flickers() {
        let water = Water::with(25);
        for (x, y) in [(0.0, 0.0), (0.1, 0.0), (-0.35, 0.2), (1.5, -0.5), (7.3, 0.0), (-22.0, 3.0)] {
            let shift = between(&water, |_| [x, y]).unwrap();
            for (seen, was) in shift.moved_um.iter().zip([x, y]) {
                assert!((seen - f64::from(was)).abs() < 0.04, "{seen} instead of {was}");
            }
        }
    }

    #[test]
    fn what_sticks_to_the_glass_does_not_hide_what_moves() {
        let water = Water::with(40);
        let shift = between(&water, |n| if n % 5 == 0 { [0.0; 2] } else { [2.0, 0.0] }).unwrap();
        assert!((shift.moved_um[0] - 2.0).abs() < 0.05, "{shift:?}");
    }

    #[test]
    fn where_nothing_is_or_everything_is_gone_nothing_is_told() {
        assert_eq!(between(&Water::with(0), |_| [0.0; 2]), None);
        let water = Water::with(25);
        // Farther than the coarsest copy can see, but for a few that stick.
        assert_eq!(between(&water, |n| if n < 5 { [0.0; 2] } else { [171.0, 0.0] }), None);
        let other = Grey { width: 40, height: 30, pixels: vec![1.0; 1_200] };
        assert_eq!(shift(&water.seen(1.0, 1, |_| [0.0; 2]), &other, 1.0), None);
        assert_eq!(shift(&other, &other, 1.0), None);
    }

    /// Green samples of a mosaic of two by two, whatever its first colour.
    #[test]
    fn a_mosaic_is_looked_at_by_its_green_pixels() {
        use planktor_protocol::camera::{Balance, Pattern};
        for pattern in [Pattern::Rggb, Pattern::Grbg, Pattern::Gbrg, Pattern::Bggr] {
            let sample = |n: usize| if pattern.colour(n % 8, n / 8) == 1 { 1_023 } else { 0 };
            let samples = (0..32).map(sample).collect();
            let (width, height, balance) = (8, 4, Balance::Picture);
            let mosaic = Mosaic { width, height, pattern, bits: 10, black: 0, balance, samples };
            let grey = Grey::of_mosaic(&mosaic).unwrap();
            assert_eq!((grey.width, grey.height), (4, 2));
            assert!(grey.pixels.iter().all(|value| (value - 255.0).abs() < 0.1), "{grey:?}");
        }
    }
}
