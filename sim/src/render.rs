//! The picture a camera takes of a [`Scene`] through a brightfield microscope.
//!
//! A warm-grey background that falls off towards the corners is dimmed by what the particles
//! absorb; the sensor adds its black level and noise. Lines are exposed one after the other
//! (rolling shutter), so that a moving particle is sheared, and each for a while, so that it is
//! smeared along the flow. Flashes are seen by all lines that are open then, and stop what moves.
//!
//! [`render`] is a pure function: equal scenes give equal bytes, on every machine. So this file
//! never uses a clock, a random source, threads or functions whose last digit depends on the
//! platform (only `+ - * /`, `sqrt` and comparisons, which IEEE 754 fixes).

use std::sync::LazyLock;

use crate::chips::imx477::{BITS, BLACK, WHITE};
use crate::plankton::{Vignette, vignettes};
use crate::random::scrambled;
use crate::scene::{BLANK, Flash, Format, Look, Particle, Scene};
use planktor_protocol::camera::{Image, Mosaic, Pattern, Picture, Pixels};

/// Red, green and blue of clear water in the middle of the picture, above the black level, of 255.
const WATER: [f32; 3] = [205.0, 197.0, 186.0];
/// Part of the light missing at the middle of each side; a corner misses it twice.
const FALL_OFF: f32 = 0.07;
/// What a picture shows where there is no light, of 255.
const PEDESTAL: f32 = 4.0;
/// How much more light red, green and blue need for the same sample behind their filters: the white balance takes it
/// back (gains of PlanktoScopes as shipped).
const FILTERS: [f32; 3] = [1.99, 1.0, 1.65];
/// Of a camera that encodes by itself.
const JPEG_QUALITY: u8 = 95;
/// Standard deviation of the noise in the dark, of 255.
const READ_NOISE: f32 = 0.7;
/// Variance of the photons' noise for each unit of signal: 1.5 of 255 in clear water.
const SHOT_NOISE: f32 = 0.011;

/// Depth of field of the medium preset, in micrometres.
const USUAL_DEPTH_UM: f32 = 95.0;
/// Assumed for that: the standard deviation of the blur, in micrometres, for each micrometre beyond the
/// depth of field. A point out of focus is a disc of radius `NA * distance`, and a disc's
/// standard deviation along an axis is half its radius; NA = 0.08 goes with the depth of field,
/// which is about `wavelength / NA^2`.
const BLUR_PER_UM: f32 = 0.04;
/// Assumed: no particle is blurred more than this, in micrometres. Farther out only haze is left,
/// which takes longer and longer to draw.
const STRONGEST_BLUR_UM: f32 = 30.0;
/// Sizes a particle may be drawn at, relative to its real one.
const SCALES: std::ops::RangeInclusive<f32> = 0.05..=4.0;

impl Picture for Scene {
    fn develop(&self) -> Pixels {
        let Self { width, height, .. } = *self;
        match self.format {
            Format::Rgb => Pixels::Rgb(Image { width, height, rgb: render(self) }),
            Format::Bayer12 => Pixels::Bayer(mosaic(self)),
            Format::Jpeg => Pixels::Jpeg(jpeg(width, height, &render(self))),
            Format::Blank => {
                let (width, height) = BLANK;
                Pixels::Rgb(Image { width, height, rgb: vec![128; 3 * (width * height) as usize] })
            }
        }
    }

    /// The same field of view in larger pixels.
    fn small(&self, least: u32) -> Option<Image> {
        let factor = (self.width * self.height / least.max(1)).isqrt();
        if self.format != Format::Rgb || factor < 2 {
            return None;
        }
        let (width, height) = (self.width / factor, self.height / factor);
        let um_per_px = self.um_per_px * factor as f32;
        let scene = Self { width, height, um_per_px, ..self.clone() };
        Some(Image { width, height, rgb: render(&scene) })
    }

    /// A camera that encodes by itself keeps that to itself.
    fn raw(&self) -> Option<Mosaic> {
        match self.format {
            Format::Rgb | Format::Bayer12 => Some(mosaic(self)),
            Format::Jpeg | Format::Blank => None,
        }
    }
}

/// Draws the scene as 8 bit red, green and blue samples, line by line: `width * height * 3` bytes.
pub fn render(scene: &Scene) -> Vec<u8> {
    let samples = 3 * scene.width as usize;
    let mut picture = vec![0; samples * scene.height as usize];
    let mut lines = picture.chunks_exact_mut(samples.max(1));
    each_line(scene, |line, _| {
        for (byte, sample) in lines.next().into_iter().flatten().zip(line) {
            *byte = (*sample + 0.5) as u8;
        }
    });
    picture
}

/// What the sensor gives behind its mosaic of colour filters, 12 bits a pixel, before anything is made of it: linear in
/// the light, above the black level.
fn mosaic(scene: &Scene) -> Mosaic {
    let Scene { width, height, balance, .. } = *scene;
    let pattern = Pattern::Rggb;
    let mut samples = Vec::with_capacity(scene.width as usize * scene.height as usize);
    each_line(scene, |line, y| {
        for (x, pixel) in line.as_chunks::<3>().0.iter().enumerate() {
            let colour = pattern.colour(x, y);
            let display = ((pixel[colour] - PEDESTAL) / (255.0 - PEDESTAL)).max(0.0);
            let linear = display * display / FILTERS[colour];
            samples.push(
                (f32::from(BLACK) + linear * f32::from(WHITE - BLACK) + 0.5).min(f32::from(WHITE)) as u16
            );
        }
    });
    Mosaic { width, height, pattern, bits: BITS, black: BLACK, balance, samples }
}

/// As a camera that encodes by itself does it. Nothing is a picture that JPEG has no room for.
fn jpeg(width: u32, height: u32, rgb: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(rgb.len() / 8);
    let mut encoder = jpeg_encoder::Encoder::new(&mut bytes, JPEG_QUALITY);
    encoder.set_sampling_factor(jpeg_encoder::SamplingFactor::R_4_2_0);
    let sides = (u16::try_from(width), u16::try_from(height));
    let (Ok(width), Ok(height)) = sides else { return vec![] };
    match encoder.encode(rgb, width, height, jpeg_encoder::ColorType::Rgb) {
        Ok(()) => bytes,
        Err(_) => vec![],
    }
}

/// Makes the picture line by line, as the sensor is read: light, what the particles take of it, and noise.
fn each_line(scene: &Scene, mut done: impl FnMut(&[f32], usize)) {
    let samples = 3 * scene.width as usize;
    let stamps: Vec<_> =
        (scene.particles.iter()).filter_map(|particle| Stamp::new(particle, scene)).collect();
    let profile = illumination(scene);
    let mut line = vec![0.0; samples];
    let mut lit = vec![0.0; if scene.flashes.is_empty() { 0 } else { samples }];
    let mut sums = Vec::new();
    for y in 0..scene.height as usize {
        illuminate(&mut line, &profile, fall_off(y, scene.height) * brightness(scene, y));
        let motion = Motion::at(scene, y);
        for stamp in &stamps {
            stamp.shade(&mut line, y, motion, &mut sums);
        }
        for flash in &scene.flashes {
            let (dose, motion) = flashed(scene, flash, y);
            illuminate(&mut lit, &profile, fall_off(y, scene.height) * dose);
            for stamp in &stamps {
                stamp.shade(&mut lit, y, motion, &mut sums);
            }
            line.iter_mut().zip(&lit).for_each(|(light, more)| *light += more);
        }
        expose(&mut line, scene, y);
        done(&line, y);
    }
}

/// Full light of one line without particles, before it falls off towards top and bottom.
fn illumination(scene: &Scene) -> Vec<f32> {
    (0..scene.width as usize).flat_map(|x| WATER.map(|level| level * fall_off(x, scene.width))).collect()
}

/// How bright a line is: by the lamp while it is exposed, for how long, and by the gain.
fn brightness(scene: &Scene, y: usize) -> f32 {
    let (before, part) = eighth(scene, y);
    mix(scene.light[before], scene.light[before + 1], part).clamp(0.0, 1.0) * scene.exposure * scene.gain
}

/// What a line gets of a flash, while it is open, and how the water moves in that.
fn flashed(scene: &Scene, flash: &Flash, y: usize) -> (f32, Motion) {
    let open_for = f64::from(scene.exposure_fraction);
    let opens = y as f64 / f64::from(scene.height) * (1.0 - open_for);
    let (from, to) = (opens.max(flash.from), (opens + open_for).min(flash.to));
    // Relative to a line that sees full light for the usual time.
    let dose = flash.light(from, to) as f32 * scene.exposure / scene.exposure_fraction * scene.gain;
    let lasts = (flash.to - flash.from).max(f64::MIN_POSITIVE);
    let [start, end] = flash.drift_um;
    let at = |then: f64| start + (end - start) * ((then - flash.from) / lasts) as f32;
    let (shift, smear) = (at(from) / scene.um_per_px, (at(to.max(from)) - at(from)) / scene.um_per_px);
    (dose, Motion { shift, smear, time: 0.0, longest: scene.width as f32 })
}

/// Between which two of nine instants a line is exposed: after the first one, and how far towards the next.
fn eighth(scene: &Scene, y: usize) -> (usize, f32) {
    let time = y as f32 / scene.height as f32 * 8.0;
    let before = (time as usize).min(7);
    (before, time - before as f32)
}

/// Light at a pixel relative to that in the middle, along one axis.
fn fall_off(at: usize, len: u32) -> f32 {
    let off_centre = (2 * at + 1) as f32 / len as f32 - 1.0;
    1.0 - FALL_OFF * off_centre * off_centre
}

fn illuminate(line: &mut [f32], profile: &[f32], gain: f32) {
    for (light, profile) in line.iter_mut().zip(profile) {
        *light = profile * gain;
    }
}

/// Where the water is while one line is exposed, in pixels along the flow.
#[derive(Clone, Copy)]
struct Motion {
    /// Shift since the first line's start, when this line's exposure starts.
    shift: f32,
    /// Further shift during the exposure; negative when the water flows back.
    smear: f32,
    /// When the line is exposed, from 0 at the first line to 1 at the last.
    time: f32,
    /// No smear is longer than the picture is wide.
    longest: f32,
}

impl Motion {
    fn at(scene: &Scene, y: usize) -> Self {
        let (before, part) = eighth(scene, y);
        let start = scene.drift_um[before];
        let rate = scene.drift_um[before + 1] - start;
        Self {
            shift: (start + rate * part) / scene.um_per_px,
            smear: 8.0 * rate * scene.exposure_fraction / scene.um_per_px,
            time: y as f32 / scene.height as f32,
            longest: scene.width as f32,
        }
    }

    /// The same for a particle that takes part in it so far.
    fn of(self, follows: f32) -> Self {
        let smear = (self.smear * follows).clamp(-self.longest, self.longest);
        Self { shift: self.shift * follows, smear, ..self }
    }
}

/// A particle at rest, as blurred as it will be, on the lines of the picture. Its columns lie
/// beside the picture's by any part of a pixel, as the flow moves them.
struct Stamp {
    /// Left edge in the picture at the first line's start, in pixels.
    left: f32,
    /// The picture's line on which its first one lies at the first line's start.
    top: isize,
    width: usize,
    /// How much of the water's movement it takes part in.
    follows: f32,
    /// How many lines it sinks while the picture is taken.
    sinks: f32,
    /// Light absorbed, red, green and blue, `3 * width` for each line.
    absorbed: Vec<f32>,
}

impl Stamp {
    /// Draws a particle, unless it lies above or below the picture.
    fn new(particle: &Particle, scene: &Scene) -> Option<Self> {
        let (drawing, reach) = Drawing::as_coarse_as_blurred(particle, scene);
        let size = |axis: usize| (2.0 * (drawing.centre[axis] + reach) * drawing.pitch).ceil();
        let (width, height) = (size(0), size(1) + 1.0);
        let middle = particle.y_um / scene.um_per_px;
        let top = (middle - 0.5 * height).floor();
        let bottom = (top + height).min(scene.height as f32);
        let sinks = (particle.sinks_um / scene.um_per_px).clamp(0.0, scene.height as f32);
        // What sinks into the picture begins above it.
        let shown = top.max(-sinks.ceil());
        // Columns are symmetric about the particle; lines lie where the picture has them.
        let columns = drawing.taps(0, 0.5 - 0.5 * width, width, reach);
        let lines = drawing.taps(1, shown + 0.5 - middle, bottom - shown, reach);
        (shown < bottom && top <= shown).then(|| Self {
            left: particle.x_um / scene.um_per_px - 0.5 * width,
            top: shown as isize,
            width: width as usize,
            follows: particle.follows,
            sinks,
            absorbed: drawing.resampled(&columns, &lines),
        })
    }

    /// Dims one line of the picture where the stamp passes during its exposure.
    fn shade(&self, line: &mut [f32], y: usize, motion: Motion, sums: &mut Vec<f32>) {
        let motion = motion.of(self.follows);
        let sunk = (self.sinks * motion.time + 0.5) as isize;
        let Some(absorbed) = self.line(y as isize - self.top - sunk) else {
            return;
        };
        let smear = motion.smear.abs();
        let start = self.left + motion.shift + motion.smear.min(0.0);
        let end = start + smear + self.width as f32;
        let in_picture = start < (line.len() / 3) as f32 && end > 0.0;
        if in_picture {
            let window = Window::at(start - start.floor(), smear);
            let (first, after) = (start.floor() as isize, end.ceil() as isize);
            running_sums(absorbed, window.lead, (after - first) as usize + 1, sums);
            let (shown, skipped) = (first.max(0), (-first).max(0));
            let line = &mut line[3 * shown as usize..];
            let seen = line.len().min(3 * (after - shown) as usize);
            window.dim(&mut line[..seen], &sums[3 * skipped as usize..]);
        }
    }

    /// What the particle absorbs in one of its lines.
    fn line(&self, line: isize) -> Option<&[f32]> {
        let samples = 3 * self.width;
        let start = usize::try_from(line).ok()? * samples;
        self.absorbed.get(start..start + samples)
    }
}

/// The stretch of a stamp that passes one pixel during its exposure: one pixel and the smear long.
/// The pixel sees the stretch's mean, which is the difference of the running sums at its ends.
struct Window {
    /// Edges between pixels that the rear end lies before the front end's, rounded up.
    lead: usize,
    /// Where between two edges the rear end lies, 0 to 1.
    rear: f32,
    /// Where between two edges the front end lies, 0 to 1.
    front: f32,
    length: f32,
}

impl Window {
    /// The window of the first pixel a stamp touches, `inset` right of that pixel's left edge.
    fn at(inset: f32, smear: f32) -> Self {
        let lead = (inset + smear).ceil();
        Self { lead: lead as usize, rear: lead - (inset + smear), front: 1.0 - inset, length: 1.0 + smear }
    }

    /// Dims a line's samples; the sums begin at the edge before the first one's rear end.
    fn dim(&self, line: &mut [f32], sums: &[f32]) {
        let from = |edge: usize| &sums[3 * edge..][..line.len()];
        let (rear, after_rear) = (from(0), from(1));
        let (front, after_front) = (from(self.lead), from(self.lead + 1));
        let part = 1.0 / self.length;
        for (i, light) in line.iter_mut().enumerate() {
            let until_front = mix(front[i], after_front[i], self.front);
            let until_rear = mix(rear[i], after_rear[i], self.rear);
            *light *= 1.0 - (until_front - until_rear) * part;
        }
    }
}

/// Sums of the pixels left of each edge between pixels. `lead` edges come before the first pixel's
/// left edge, and the total is repeated until there are `lead + count` edges.
fn running_sums(pixels: &[f32], lead: usize, count: usize, sums: &mut Vec<f32>) {
    sums.clear();
    sums.resize(3 * (lead + 1), 0.0);
    let mut sum = [0.0; 3];
    for pixel in pixels.as_chunks::<3>().0 {
        sum = std::array::from_fn(|c| sum[c] + pixel[c]);
        sums.extend(sum);
    }
    while sums.len() < 3 * (lead + count) {
        sums.extend(sum);
    }
}

fn mix(from: f32, to: f32, part: f32) -> f32 {
    from + part * (to - from)
}

/// A particle's vignette, the right way round, as the light its pixels absorb.
struct Drawing {
    width: usize,
    height: usize,
    /// The particle's centre, in pixels of the drawing, along x and y.
    centre: [f32; 2],
    /// Side of one pixel of the drawing, in pixels of the picture.
    pitch: f32,
    absorbed: Vec<[f32; 3]>,
}

impl Drawing {
    fn new(vignette: &Vignette, particle: &Particle, um_per_px: f32) -> Self {
        let (w, h) = (vignette.width, vignette.height);
        let turn = particle.orientation % 4;
        let (width, height) = if turn & 1 == 0 { (w, h) } else { (h, w) };
        let source = |x: usize, y: usize| {
            let (x, y) = match turn {
                0 => (x, y),
                1 => (y, h - 1 - x),
                2 => (w - 1 - x, h - 1 - y),
                _ => (w - 1 - y, x),
            };
            let mirrored = particle.orientation & 4 != 0;
            y * w + if mirrored { w - 1 - x } else { x }
        };
        let scale = particle.scale.clamp(*SCALES.start(), *SCALES.end());
        Self {
            width,
            height,
            centre: [width, height].map(|len| 0.5 * len as f32),
            pitch: vignette.um_per_px * scale / um_per_px,
            absorbed: (0..width * height)
                .map(|at| source(at % width, at / width))
                .map(|at| vignette.transmittance[at].map(|through| 1.0 - through))
                .collect(),
        }
    }

    /// The drawing with pixels no finer than its blur needs, and the reach of that blur. Without
    /// it, a much blurred or much reduced particle costs more than all the others.
    fn as_coarse_as_blurred(particle: &Particle, scene: &Scene) -> (Self, f32) {
        let vignette = match particle.look {
            Look::Vignette(index) => &vignettes()[index as usize % vignettes().len()],
            Look::Bubble => &*BUBBLE,
        };
        let mut drawing = Self::new(vignette, particle, scene.um_per_px);
        let blur = blur_um(particle.defocus_um, scene.depth_of_field_um) / scene.um_per_px;
        while drawing.reach(blur) > 5.0 {
            drawing = drawing.halved();
        }
        let reach = drawing.reach(blur);
        (drawing, reach)
    }

    /// How far the light of one pixel spreads, in pixels of the drawing. Variances add: that of the
    /// defocus, and that of bilinear interpolation between the drawing's pixels or, if the
    /// picture's are larger, of averaging over those.
    fn reach(&self, blur: f32) -> f32 {
        let defocus = blur / self.pitch;
        let pixel = (1.0 / self.pitch).max(1.0);
        BELL_REACH * (defocus * defocus + pixel * pixel / 6.0).sqrt()
    }

    /// The same particle in pixels twice as large, each the mean of four.
    fn halved(&self) -> Self {
        let (width, height) = (self.width.div_ceil(2), self.height.div_ceil(2));
        let mut absorbed = vec![[0.0; 3]; width * height];
        for (at, pixel) in self.absorbed.iter().enumerate() {
            let (x, y) = (at % self.width, at / self.width);
            let sum = &mut absorbed[y / 2 * width + x / 2];
            *sum = std::array::from_fn(|c| sum[c] + 0.25 * pixel[c]);
        }
        Self { width, height, centre: self.centre.map(|c| 0.5 * c), pitch: 2.0 * self.pitch, absorbed }
    }

    /// What `len` pixels of the picture take from the drawing along one axis (0 = x, 1 = y), the
    /// middle of the first being `first` pixels of the picture from the particle's centre.
    fn taps(&self, axis: usize, first: f32, len: f32, reach: f32) -> Vec<Taps> {
        let source = [self.width, self.height][axis];
        (0..len as usize)
            .map(|i| self.centre[axis] + (first + i as f32) / self.pitch)
            .map(|middle| Taps::around(middle, reach, source))
            .collect()
    }

    /// The drawing at the picture's pixels, first along the lines and then across.
    fn resampled(&self, columns: &[Taps], lines: &[Taps]) -> Vec<f32> {
        let reduced: Vec<[f32; 3]> = (self.absorbed.chunks_exact(self.width))
            .flat_map(|line| columns.iter().map(|taps| taps.of(line)))
            .collect();
        let samples = 3 * columns.len();
        let mut picture = vec![0.0; samples * lines.len()];
        for (sum, taps) in picture.chunks_exact_mut(samples).zip(lines) {
            let from = reduced.as_flattened().chunks_exact(samples);
            for (line, weight) in from.skip(taps.first).zip(&taps.weights) {
                for (sum, sample) in sum.iter_mut().zip(line) {
                    *sum += weight * sample;
                }
            }
        }
        picture
    }
}

/// The pixels one picture pixel is made from, along one axis.
struct Taps {
    first: usize,
    weights: Vec<f32>,
}

impl Taps {
    /// Pixels within `reach` of a point. What the bell covers beyond the drawing is clear water and
    /// has its share of the weight, so that the light absorbed stays the same.
    fn around(middle: f32, reach: f32, source: usize) -> Self {
        let first = (middle - reach - 0.5).ceil() as isize;
        let last = (middle + reach - 0.5).floor() as isize;
        let weight = |pixel: isize| bell((pixel as f32 + 0.5 - middle) / reach);
        let total: f32 = (first..=last).map(weight).sum();
        let first_drawn = first.max(0);
        Self {
            first: first_drawn as usize,
            weights: (first_drawn..=last.min(source as isize - 1))
                .map(|pixel| weight(pixel) / total)
                .collect(),
        }
    }

    fn of(&self, line: &[[f32; 3]]) -> [f32; 3] {
        let mut sum = [0.0; 3];
        for (pixel, weight) in line.iter().skip(self.first).zip(&self.weights) {
            sum = std::array::from_fn(|c| sum[c] + weight * pixel[c]);
        }
        sum
    }
}

/// A bell over -1 to 1 that looks like a Gaussian but takes no exponential function.
fn bell(at: f32) -> f32 {
    let inside = (1.0 - at * at).max(0.0);
    inside * inside * inside
}

/// The bell's reach in units of its standard deviation.
const BELL_REACH: f32 = 3.0;

/// Standard deviation of the blur of a particle out of focus, in micrometres. The numerical aperture goes with the
/// inverse root of the depth of field.
fn blur_um(defocus_um: f32, depth_of_field_um: f32) -> f32 {
    let beyond = (defocus_um.abs() - 0.5 * depth_of_field_um).max(0.0);
    let per_um = BLUR_PER_UM * (USUAL_DEPTH_UM / depth_of_field_um).sqrt();
    (beyond * per_um).min(STRONGEST_BLUR_UM)
}

/// Side of a bubble's drawing, in pixels of half a micrometre.
const BUBBLE_SIDE: usize = 208;

/// An air bubble, 100 um across: light that meets its rim is totally reflected and gone, through its middle it passes.
static BUBBLE: LazyLock<Vignette> = LazyLock::new(|| {
    let through = |i: usize| {
        let from_centre = |at: usize| (at as f32 + 0.5) / (BUBBLE_SIDE as f32 / 2.0) - 1.0;
        let (x, y) = (from_centre(i % BUBBLE_SIDE), from_centre(i / BUBBLE_SIDE));
        let radius = (x * x + y * y).sqrt() * 1.04;
        // From 0 to 1 over a tenth of the radius.
        let step = |edge: f32| ((radius - edge) * 10.0 + 0.5).clamp(0.0, 1.0);
        let dark = 0.93 * step(0.6) * (1.0 - step(0.95)) + 0.2 * (1.0 - step(0.6)) * step(0.3);
        [1.0 - dark; 3]
    };
    let transmittance = (0..BUBBLE_SIDE * BUBBLE_SIDE).map(through).collect();
    Vignette { width: BUBBLE_SIDE, height: BUBBLE_SIDE, um_per_px: 0.5, transmittance }
});

/// Length of the stretches of a line that take their noise from one place in the store.
const STRETCH: usize = 3 << 10;

/// A store of noise with mean 0 and standard deviation 1. Frames and lines differ in the places
/// they take it from, which is faster than to make it anew.
static NOISE: LazyLock<Vec<f32>> = LazyLock::new(|| (0..1 << 16).map(bell_shaped).collect());

/// The sum of four evenly distributed numbers, which is as good as a Gaussian here.
fn bell_shaped(index: u64) -> f32 {
    let bits = scrambled(index);
    let sum: u64 = (0..4).map(|part| (bits >> (16 * part)) & 0xffff).sum();
    let variance = 4.0 / 12.0_f32;
    (sum as f32 / 65536.0 - 2.0) / variance.sqrt()
}

/// Turns the light of one line into what the sensor gives for it, 0 to 255. Gain brings out the noise: that in the dark
/// grows with it, that of the photons with its root.
fn expose(line: &mut [f32], scene: &Scene, y: usize) {
    let noise = &*NOISE;
    let (dark, photons) = (READ_NOISE * scene.gain, SHOT_NOISE * scene.gain);
    for (part, light) in line.chunks_mut(STRETCH).enumerate() {
        let place = scrambled(scrambled(scene.seed) ^ ((y as u64) << 32) ^ part as u64);
        let noise = &noise[place as usize % (noise.len() - STRETCH)..];
        for (light, noise) in light.iter_mut().zip(noise) {
            let deviation = (dark * dark + photons * *light).sqrt();
            *light = (PEDESTAL + *light + noise * deviation).clamp(0.0, 255.0);
        }
    }
}

#[cfg(test)]
mod tests;
