//! How far what is seen moved from one frame to the next, to a small part of a pixel. Pure; knows no camera and no file.
//!
//! Both frames are made small and grey (about a megapixel of a full frame). Where the first has texture, a patch of it is
//! looked for in the second: by the gradient, from a coarse copy to the fine one, and back again (Lucas and Kanade 1981; which patches,
//! after Shi and Tomasi 1994). What does not come back to where it was is dropped. Uneven light and a lamp that flickers
//! cancel, because each patch is compared without its mean; noise gives no texture.
//!
//! What is told is what the *faster half* does, because some particles stick to the glass, and the water near it is slow. If
//! fewer than half of the patches are found again, nothing is told: what is still there may be all that sticks.

use crate::dataset::picture::{image, reduced};
use planktor_actors::settling::{Shift, Studied, Study, fit};
use planktor_protocol::Interval;
use planktor_protocol::camera::{Frame, Image, Mosaic};

/// A small copy has so many pixels, and less than four times as many.
const ABOUT: u32 = 700_000;
/// Side of a patch, pixels.
const PATCH: usize = 24;
/// Patches that are followed, those with most texture.
const MOST_PATCHES: usize = 48;
/// Texture is what varies by so many times more than most of the picture, which is water.
const TEXTURE: f32 = 6.0;
/// Grey values that noise alone varies by; a picture without any noise has no less.
const LEAST_NOISE: f32 = 0.3;
/// The copy of a copy of a copy: 8 times smaller.
const LEVELS: usize = 4;
const MOST_ROUNDS: usize = 12;
/// Pixels. Steps that are smaller change nothing.
const CLOSE: f32 = 0.003;
/// Pixels, and part of the way, that a patch may be away from where it was when it has been followed there and back.
const ASTRAY: f32 = 0.4;
const ASTRAY_PART: f32 = 0.1;
/// Part of a patch's texture that may be different when it is found again.
const UNLIKE: f32 = 0.35;
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
        let known = self.newest.take().filter(|(seq, interval, _)| (*seq, *interval) == (before.seq, before.interval));
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
                    *sum += square.iter().skip(green).step_by(2).map(|sample| u32::from(*sample)).sum::<u32>();
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

    /// Between four pixels; `None` outside.
    #[inline]
    fn between(&self, x: f32, y: f32) -> Option<f32> {
        if !(x >= 0.0 && y >= 0.0) {
            return None;
        }
        let (left, top) = (x as usize, y as usize);
        if left + 1 >= self.width || top + 1 >= self.height {
            return None;
        }
        let (right, down) = (x - left as f32, y - top as f32);
        let at = top * self.width + left;
        let (a, b) = (self.pixels[at], self.pixels[at + 1]);
        let (c, d) = (self.pixels[at + self.width], self.pixels[at + self.width + 1]);
        let (upper, lower) = (a + (b - a) * right, c + (d - c) * right);
        Some(upper + (lower - upper) * down)
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
    if (before.width, before.height) != (after.width, after.height) {
        return None;
    }
    let patches = patches(before);
    let (before, after) = (before.clone().copies(), after.clone().copies());
    let found: Vec<Found> = patches.iter().filter_map(|patch| followed(*patch, &before, &after)).collect();
    if found.len() < LEAST_FOUND || found.len() * 2 < patches.len() {
        return None;
    }
    let [x, y] = [0, 1].map(|axis| faster_half(&found, axis));
    let lines = before[0].height as f64;
    // The flow's own direction is where most moves.
    let line = if x.0.abs() >= y.0.abs() { x.1 } else { y.1 };
    Some(Shift {
        moved_um: [f64::from(x.0) * um_per_px, f64::from(y.0) * um_per_px],
        error_um: f64::from(ERROR / (found.len() as f32 / 2.0).sqrt()) * um_per_px,
        line: f64::from(line) / lines,
    })
}

/// A patch of the one picture: its left upper corner, and where it is in the other, less that.
struct Found {
    top: usize,
    moved: [f32; 2],
}

/// The median of what the faster half does along an axis, and its mean line.
fn faster_half(found: &[Found], axis: usize) -> (f32, f32) {
    let mut all: Vec<(f32, usize)> = found.iter().map(|found| (found.moved[axis], found.top)).collect();
    all.sort_by(|a, b| a.0.total_cmp(&b.0));
    if all[all.len() / 2].0 < 0.0 {
        all.reverse();
    }
    let half = &all[all.len() / 2..];
    let lines = half.iter().map(|(_, top)| (top + PATCH / 2) as f32).sum::<f32>();
    (half[half.len() / 2].0, lines / half.len() as f32)
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

/// Where there is texture, most of it first: left and top.
fn patches(grey: &Grey) -> Vec<[usize; 2]> {
    let corners = |side: usize| (1..side.saturating_sub(PATCH + 1)).step_by(PATCH);
    let mut all: Vec<(Texture, [usize; 2])> = vec![];
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
            all.push((texture, [left, top]));
        }
    }
    all.sort_by(|(a, _), (b, _)| b.least().total_cmp(&a.least()));
    let least = (PATCH * PATCH) as f32 * LEAST_NOISE * LEAST_NOISE;
    let usual = all.get(all.len() / 2).map_or(least, |(texture, _)| texture.least().max(least));
    let textured = all.iter().take_while(|(texture, _)| texture.least() > TEXTURE * usual);
    textured.take(MOST_PATCHES).map(|(_, corner)| *corner).collect()
}

/// A patch there and back again.
fn followed([left, top]: [usize; 2], before: &[Grey], after: &[Grey]) -> Option<Found> {
    let from = [left as f32, top as f32];
    let moved = follow(from, before, after)?;
    let to = [from[0] + moved[0], from[1] + moved[1]];
    let back = follow(to, after, before)?;
    let astray = (moved[0] + back[0]).hypot(moved[1] + back[1]);
    (astray < ASTRAY + ASTRAY_PART * moved[0].hypot(moved[1])).then_some(Found { top, moved })
}

/// Where a patch of the one is in the other, less where it was: in the smallest copies first.
fn follow(from: [f32; 2], one: &[Grey], other: &[Grey]) -> Option<[f32; 2]> {
    let mut moved = [0.0; 2];
    for level in (0..LEVELS).rev() {
        let scale = 1.0 / (1 << level) as f32;
        // The middle stays in the middle; pixels are counted from their own middles.
        let middle = from.map(|at| (at + PATCH as f32 / 2.0) * scale - 0.5);
        let corner = middle.map(|at| at - (PATCH as f32 - 1.0) / 2.0);
        moved = match (aligned(corner, &one[level], &other[level], moved.map(|by: f32| by * scale)), level) {
            (Some(moved), _) => moved.map(|by| by / scale),
            // Near the edge a coarse copy has no room for a patch.
            (None, 1..) => moved,
            (None, _) => return None,
        };
    }
    Some(moved)
}

/// Moves a patch of the one until it differs least from the other.
fn aligned(corner: [f32; 2], one: &Grey, other: &Grey, start: [f32; 2]) -> Option<[f32; 2]> {
    let places: [[f32; 2]; PATCH * PATCH] =
        std::array::from_fn(|n| [corner[0] + (n % PATCH) as f32, corner[1] + (n / PATCH) as f32]);
    let mut patch = [0.0_f32; PATCH * PATCH];
    let mut slopes = [[0.0_f32; 2]; PATCH * PATCH];
    let mut texture = Texture::default();
    for (([x, y], value), slope) in places.iter().zip(&mut patch).zip(&mut slopes) {
        *value = one.between(*x, *y)?;
        *slope = [
            (one.between(x + 1.0, *y)? - one.between(x - 1.0, *y)?) / 2.0,
            (one.between(*x, y + 1.0)? - one.between(*x, y - 1.0)?) / 2.0,
        ];
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
    let mut seen = [0.0_f32; PATCH * PATCH];
    for _ in 0..MOST_ROUNDS {
        for ([x, y], value) in places.iter().zip(&mut seen) {
            *value = other.between(x + moved[0], y + moved[1])?;
        }
        let middle = mean(&seen);
        let (mut x, mut y) = (0.0, 0.0);
        for ((patch, seen), slope) in patch.iter().zip(&seen).zip(&slopes) {
            let differs = patch - (seen - middle);
            x += differs * slope[0];
            y += differs * slope[1];
        }
        let [x, y] = texture.solve(x, y)?;
        moved = [moved[0] + x, moved[1] + y];
        if x.hypot(y) < CLOSE {
            break;
        }
    }
    let middle = mean(&seen);
    let differs = patch.iter().zip(&seen).map(|(patch, seen)| (patch - (seen - middle)).powi(2)).sum::<f32>();
    let varies = patch.iter().map(|value| value * value).sum::<f32>();
    (differs < UNLIKE * varies).then_some(moved)
}
