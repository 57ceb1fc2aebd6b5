//! Real plankton to draw: vignettes that a FlowCam cut out of its pictures.
//!
//! The source is the collage of MorphoCut's test data (MIT licence, `data/plankton/`): one TIFF
//! with several hundred vignettes, a TIFF mask of the particles, and a list of the vignettes'
//! boxes. Both are embedded in the program and decoded once, when first asked for. What is kept
//! is how much light every pixel lets through, free of the FlowCam's own background, so that a
//! particle can be laid over any other background without a visible edge.
//!
//! It never reads a file at run time, and never invents or retouches a particle.

use std::collections::BTreeMap;
use std::io::Cursor;
use std::sync::OnceLock;

use tiff::decoder::{Decoder, DecodingResult};

const COLLAGE: &[u8] =
    include_bytes!("../data/plankton/flowcam_COMICS_DY086_20171118_MSC019_t0_4x_000001.tif");
const MASK: &[u8] =
    include_bytes!("../data/plankton/flowcam_COMICS_DY086_20171118_MSC019_t0_4x_000001_bin.tif");
const LIST: &str = include_str!("../data/plankton/flowcam_COMICS_DY086_20171118_MSC019_t0_4x.lst");

/// Particles smaller than this are specks without a recognisable shape. In micrometres of
/// equivalent spherical diameter, as the segmenter of the instrument counts it.
const SMALLEST_ESD_UM: f32 = 20.0;
/// A particle is usable if some pixel lets less light through than this: paler ones drown in noise.
const PALEST: f32 = 0.75;
/// Distance from the mask, in collage pixels, up to which a pixel belongs to the particle: the
/// mask leaves out holes and pale fringes.
const WHOLE: f32 = 3.0;
/// Distance from the mask, in collage pixels, from which there is only water.
const WATER: f32 = 9.0;
/// The brightest a lens-like particle may be, relative to the water around it.
const BRIGHTEST: f32 = 1.5;

/// One particle on clear water.
#[derive(Clone, Debug, PartialEq)]
pub struct Vignette {
    /// Width in pixels.
    pub width: usize,
    /// Height in pixels.
    pub height: usize,
    /// Side of one pixel in the specimen, in micrometres.
    pub um_per_px: f32,
    /// Red, green and blue light let through, row by row: 0 = none, 1 = as much as clear water,
    /// above 1 (to 1.5) where the particle acts as a lens. The border is clear water.
    pub transmittance: Vec<[f32; 3]>,
}

/// All usable vignettes, in the order of the collage's list.
pub fn vignettes() -> &'static [Vignette] {
    static VIGNETTES: OnceLock<Vec<Vignette>> = OnceLock::new();
    VIGNETTES.get_or_init(decode)
}

fn decode() -> Vec<Vignette> {
    let collage = Collage::embedded();
    boxes(LIST).filter_map(|place| collage.vignette(&place)).collect()
}

/// Where a vignette lies in the collage, in collage pixels.
struct Place {
    x: usize,
    y: usize,
    width: usize,
    height: usize,
    um_per_px: f32,
}

/// The boxes a FlowCam list names: its second line counts the fields, then come the fields'
/// names and types, then one line of values for each vignette.
fn boxes(list: &str) -> impl Iterator<Item = Place> {
    let mut lines = list.lines().skip(1);
    let fields = lines
        .next()
        .and_then(|line| line.strip_prefix("num-fields|")?.parse().ok())
        .expect("the embedded list counts its fields");
    let columns: BTreeMap<_, _> = (lines.by_ref().take(fields))
        .enumerate()
        .filter_map(|(column, line)| Some((line.split('|').next()?, column)))
        .collect();
    lines.filter_map(move |line| place(line, &columns))
}

fn place(line: &str, columns: &BTreeMap<&str, usize>) -> Option<Place> {
    let values: Vec<_> = line.split('|').collect();
    let value = |name| values.get(*columns.get(name)?).copied();
    let pixels = |name| value(name)?.parse().ok();
    Some(Place {
        x: pixels("image_x")?,
        y: pixels("image_y")?,
        width: pixels("image_w")?,
        height: pixels("image_h")?,
        um_per_px: value("cal_const")?.parse().ok()?,
    })
}

/// The decoded collage, and where in it the FlowCam saw particles.
struct Collage {
    width: usize,
    pixels: Vec<[u8; 3]>,
    particle: Vec<bool>,
}

impl Collage {
    fn embedded() -> Self {
        let (width, pixels) = samples(COLLAGE);
        let (_, mask) = samples(MASK);
        Self {
            width,
            pixels: pixels.as_chunks().0.to_vec(),
            particle: mask.iter().map(|&sample| sample > 0).collect(),
        }
    }

    /// The vignette at a place, cut down to the particle and its fringe, if there is enough to see.
    fn vignette(&self, place: &Place) -> Option<Vignette> {
        let pixels = self.cut(&self.pixels, place);
        let particle = self.cut(&self.particle, place);
        let area = particle.iter().filter(|&&inside| inside).count() as f32;
        let esd_um = (4.0 * area / std::f32::consts::PI).sqrt() * place.um_per_px;
        if esd_um < SMALLEST_ESD_UM {
            return None;
        }
        let distance = distances(&particle, place.width);
        let water = background(&pixels, &distance)?;
        let transmittance: Vec<_> = (pixels.iter().zip(&distance))
            .map(|(&pixel, &distance)| let_through(pixel, water, distance))
            .collect();
        let darkest = transmittance.iter().map(|t| t[1]).fold(1.0, f32::min);
        (darkest < PALEST).then(|| trimmed(&transmittance, place))
    }

    fn cut<T: Copy>(&self, all: &[T], place: &Place) -> Vec<T> {
        (place.y..place.y + place.height)
            .flat_map(|y| &all[y * self.width + place.x..][..place.width])
            .copied()
            .collect()
    }
}

/// Width and samples of an embedded 8 bit TIFF.
fn samples(tiff: &[u8]) -> (usize, Vec<u8>) {
    let mut decoder = Decoder::new(Cursor::new(tiff)).expect("the embedded file is a TIFF");
    let (width, _) = decoder.dimensions().expect("the embedded TIFF has a size");
    match decoder.read_image() {
        Ok(DecodingResult::U8(samples)) => (width as usize, samples),
        other => panic!("the embedded TIFF has 8 bit samples, not {other:?}"),
    }
}

/// Distance of every pixel from the nearest pixel of the particle, in pixels, by two sweeps over
/// the picture in which each pixel learns from its neighbours (chamfer distance).
fn distances(particle: &[bool], width: usize) -> Vec<f32> {
    let mut distance: Vec<_> =
        (particle.iter()).map(|&inside| if inside { 0.0 } else { f32::INFINITY }).collect();
    for at in 0..distance.len() {
        learn(&mut distance, at, width, |at, step| at.checked_sub(step));
    }
    for at in (0..distance.len()).rev() {
        learn(&mut distance, at, width, |at, step| Some(at + step));
    }
    distance
}

/// Shortens the distance at one pixel by what the four neighbours lying in one direction know.
fn learn(distance: &mut [f32], at: usize, width: usize, back: impl Fn(usize, usize) -> Option<usize>) {
    const DIAGONAL: f32 = std::f32::consts::SQRT_2;
    for (step, length) in [(1, 1.0), (width - 1, DIAGONAL), (width, 1.0), (width + 1, DIAGONAL)] {
        let neighbour = back(at, step).filter(|&n| (n % width).abs_diff(at % width) <= 1);
        if let Some(&known) = neighbour.and_then(|n| distance.get(n)) {
            distance[at] = distance[at].min(known + length);
        }
    }
}

/// Colour of the water close to the particle: the median, which dust and the flow cell's walls
/// in a corner do not sway.
fn background(pixels: &[[u8; 3]], distance: &[f32]) -> Option<[f32; 3]> {
    let mut water: Vec<_> = (pixels.iter().zip(distance))
        .filter(|&(_, distance)| (WATER..2.0 * WATER).contains(distance))
        .map(|(&pixel, _)| pixel)
        .collect();
    let middle = water.len() / 2;
    let mut median = |channel: usize| {
        water.sort_unstable_by_key(|pixel| pixel[channel]);
        water.get(middle).map(|pixel| f32::from(pixel[channel]))
    };
    Some([median(0)?, median(1)?, median(2)?])
}

/// What a pixel lets through, faded to clear water with the distance from the particle.
fn let_through(pixel: [u8; 3], water: [f32; 3], distance: f32) -> [f32; 3] {
    let fade = ((WATER - distance) / (WATER - WHOLE)).clamp(0.0, 1.0);
    let weight = fade * fade * (3.0 - 2.0 * fade);
    std::array::from_fn(|c| {
        let through = (f32::from(pixel[c]) / water[c]).min(BRIGHTEST);
        1.0 + weight * (through - 1.0)
    })
}

/// Cuts off the lines and columns that show nothing but clear water.
fn trimmed(transmittance: &[[f32; 3]], place: &Place) -> Vignette {
    let seen = |x: usize, y: usize| transmittance[y * place.width + x] != [1.0; 3];
    let columns = extent(place.width, |x| (0..place.height).any(|y| seen(x, y)));
    let rows = extent(place.height, |y| (0..place.width).any(|x| seen(x, y)));
    Vignette {
        width: columns.len(),
        height: rows.len(),
        um_per_px: place.um_per_px,
        transmittance: rows
            .flat_map(|y| &transmittance[y * place.width..][columns.clone()])
            .copied()
            .collect(),
    }
}

/// The shortest range of `0..len` that holds all the numbers that are in.
fn extent(len: usize, is_in: impl Fn(usize) -> bool) -> std::ops::Range<usize> {
    let first = (0..len).find(|&i| is_in(i)).unwrap_or(0);
    let last = (0..len).rfind(|&i| is_in(i)).unwrap_or(0);
    first..last + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_collage_holds_at_least_seventy_usable_vignettes() {
        assert!(vignettes().len() >= 70, "only {}", vignettes().len());
    }

    #[test]
    fn every_vignette_has_a_plausible_size() {
        for vignette in vignettes() {
            let Vignette { width, height, .. } = *vignette;
            assert_eq!(vignette.transmittance.len(), width * height);
            for side in [width, height] {
                let um = side as f32 * vignette.um_per_px;
                assert!((20.0..400.0).contains(&um), "{um} um");
            }
        }
    }

    #[test]
    fn every_vignette_contains_dark_pixels() {
        for vignette in vignettes() {
            let through = vignette.transmittance.iter().map(|t| t[1]);
            let darkest = through.fold(1.0, f32::min);
            assert!((0.0..0.75).contains(&darkest), "{darkest}");
        }
    }

    #[test]
    fn every_vignette_fades_to_clear_water_at_its_border() {
        for vignette in vignettes() {
            let Vignette { width, height, .. } = *vignette;
            for (i, through) in vignette.transmittance.iter().enumerate() {
                let (x, y) = (i % width, i / width);
                let inside = (1..width - 1).contains(&x) && (1..height - 1).contains(&y);
                let cast = (through[1] - 1.0).abs();
                assert!(inside || cast < 0.02, "{cast} at {x}, {y}");
            }
        }
    }

    #[test]
    fn distances_count_from_the_nearest_particle_pixel() {
        let particle = [false, false, false, false, false, true];
        let root = std::f32::consts::SQRT_2;
        assert_eq!(distances(&particle, 3), [1.0 + root, root, 1.0, 2.0, 1.0, 0.0]);
    }
}
