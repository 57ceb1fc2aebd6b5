//! Judges frames, cheaply: [`look`] sees a small copy of one, beside the encoder; a [`Judge`] compares it with those before
//! it and flags it as QARTOD numbers flags (IOOS). The thresholds are in every record file, as [`Test::all`] gives them.
//!
//! | test | suspect | fails | why |
//! |---|---|---|---|
//! | brightness | below 0.2, above 0.95 | below 0.05, above 0.99 | the lamp is dark, covered, or much too bright |
//! | `brightness_drift` | 10 % off the first frames | 30 % | a lamp that ages unnoticed, dirt, a changed exposure |
//! | `sharpness_drift` | less than a third of the first frames | less than a tenth | the focus has wandered off |
//! | saturation | above 1 % of the pixels | above 20 % | white that holds no picture |
//! | empty | no particle | | an empty syringe, a stroke that does not pump |
//! | identical | | the frame before once more | a camera that is stuck |
//! | bubble | wider than 5 % of the height | than 50 % | air in the cell |
//! | stuck | more than 10 % of the particles | more than half | they would be counted twice |
//!
//! Drift is that of the newest 15 frames against the first 15, by their medians: single frames differ by what swims in
//! them, in sharpness by a factor of ten. (Of 1,158 frames of the twin in focus none was called blurred; with the medians of 7
//! frames it were 88.) Focus that wanders within the flow cell meets other plankton there, and is not seen.

pub use planktor_protocol::wire::quality::{Flag, Flags, Quality};

use super::picture::{figures, reduced};
use super::records::Frame;
use crate::figures::median;
use planktor_actors::recording::{Look, Picture, Spot};
use planktor_protocol::camera::Image;
use planktor_protocol::quality;
use planktor_protocol::units::Nanolitres;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

/// Lines of the small copy, about: 8 um a pixel where the picture has 0.75.
const LINES: u32 = 380;
/// What is darker than this part of its surroundings is something.
const DARK: u32 = 850;
const THOUSAND: u32 = 1_000;
/// Surroundings are a part of the picture so many pixels a side.
const TILE: usize = 64;
/// Smaller things are noise; of more than so many only the largest are kept.
const LEAST_PIXELS: usize = 4;
const MOST_SPOTS: usize = 500;
/// Smaller rings cannot be told from round cells.
const LEAST_BUBBLE: usize = 10;
/// As far may a spot be from where it was, in small pixels, and be the same.
const SAME_PLACE: u32 = 1;
/// Frames of which the median is compared.
pub(super) const FEW: usize = 15;

/// What is seen in a picture.
pub(super) fn look(image: &Image) -> Look {
    let small = reduced(image, (image.height / LINES).max(1));
    let figures = figures(&small);
    let white = small.rgb.chunks_exact(3).filter(|pixel| pixel[1] >= 254).count();
    let (spots, bubble) = spots(&small);
    let millionths = |part: f64| (part * 1e6).round() as u32;
    Look {
        brightness: millionths(figures.brightness),
        sharpness: (figures.sharpness * 1e3).round() as u64,
        saturated: millionths(white as f64 / (small.rgb.len() / 3).max(1) as f64),
        bubble: millionths(bubble as f64 / f64::from(small.height.max(1))),
        print: small.rgb.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
            (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
        }),
        spots,
    }
}

/// What is darker than its surroundings, the largest first, and the diameter of the largest bubble.
fn spots(small: &Image) -> (Vec<Spot>, usize) {
    let (width, height) = (small.width as usize, small.height as usize);
    let mut dark = dark(small, width, height);
    let (mut spots, mut bubble) = (vec![], 0);
    for start in 0..dark.len() {
        if dark[start] {
            let pixels = connected(&mut dark, start, width);
            if pixels.len() >= LEAST_PIXELS {
                let shape = Shape::of(&pixels, width);
                bubble = bubble.max(shape.bubble(&pixels, width));
                spots.push(shape.spot);
            }
        }
    }
    spots.sort_by_key(|spot: &Spot| (std::cmp::Reverse(spot.pixels), spot.y, spot.x));
    spots.truncate(MOST_SPOTS);
    (spots, bubble)
}

fn dark(small: &Image, width: usize, height: usize) -> Vec<bool> {
    let green = |x: usize, y: usize| u32::from(small.rgb[(y * width + x) * 3 + 1]);
    let mut dark = vec![false; width * height];
    for top in (0..height).step_by(TILE) {
        for left in (0..width).step_by(TILE) {
            let (right, bottom) = ((left + TILE).min(width), (top + TILE).min(height));
            let tile = || (top..bottom).flat_map(|y| (left..right).map(move |x| (x, y)));
            let mut histogram = [0_usize; 256];
            tile().for_each(|(x, y)| histogram[green(x, y) as usize] += 1);
            // Of what lies around: even where half of it is covered, three quarters of the pixels are darker than it.
            let (mut rest, mut around) = (tile().count() / 4, 255);
            while histogram[around] <= rest && around > 0 {
                rest -= histogram[around];
                around -= 1;
            }
            let limit = around as u32 * DARK / THOUSAND;
            tile().for_each(|(x, y)| dark[y * width + x] = green(x, y) < limit);
        }
    }
    dark
}

/// The pixels that hang together with this one, which are dark no more.
fn connected(dark: &mut [bool], start: usize, width: usize) -> Vec<usize> {
    let (mut found, mut next) = (vec![start], 0);
    dark[start] = false;
    while let Some(&pixel) = found.get(next) {
        next += 1;
        let x = pixel % width;
        let neighbours = [
            (x > 0).then(|| pixel - 1),
            (x + 1 < width).then_some(pixel + 1),
            pixel.checked_sub(width),
            (pixel + width < dark.len()).then_some(pixel + width),
        ];
        for neighbour in neighbours.into_iter().flatten() {
            if std::mem::take(&mut dark[neighbour]) {
                found.push(neighbour);
            }
        }
    }
    found
}

/// Where a spot is, and how far it reaches.
struct Shape {
    spot: Spot,
    left: usize,
    top: usize,
    across: usize,
    down: usize,
}

impl Shape {
    fn of(pixels: &[usize], width: usize) -> Self {
        let (xs, ys) = (pixels.iter().map(|p| p % width), pixels.iter().map(|p| p / width));
        let middle = |sum: usize| u32::try_from(sum * 8 / pixels.len()).unwrap_or(u32::MAX);
        let spot = Spot {
            x: middle(xs.clone().sum()),
            y: middle(ys.clone().sum()),
            pixels: u32::try_from(pixels.len()).unwrap_or(u32::MAX),
        };
        let (left, top) = (xs.clone().min().unwrap_or(0), ys.clone().min().unwrap_or(0));
        let (across, down) = (xs.max().unwrap_or(0) + 1 - left, ys.max().unwrap_or(0) + 1 - top);
        Self { spot, left, top, across, down }
    }

    /// The diameter of a bubble, or 0: light passes through its middle, and its rim is dark all around.
    fn bubble(&self, pixels: &[usize], width: usize) -> usize {
        let Self { left, top, across, down, .. } = *self;
        let diameter = across.max(down);
        if across.min(down) < LEAST_BUBBLE || diameter * 4 > across.min(down) * 5 {
            return 0;
        }
        // Distances from the middle in halves of a pixel, so that they are whole numbers.
        let (x, y) = ((2 * left + across) as i64, (2 * top + down) as i64);
        let (mut rim, mut inside) = ([false; 16], 0);
        for pixel in pixels {
            let (dx, dy) = ((2 * (pixel % width) + 1) as i64 - x, (2 * (pixel / width) + 1) as i64 - y);
            let (distance, radius) = (((dx * dx + dy * dy) as f64).sqrt(), diameter as f64);
            if distance < 0.4 * radius {
                inside += 1;
            } else if distance > 0.6 * radius {
                let turn = ((dy as f64).atan2(dx as f64) / std::f64::consts::TAU + 0.5) * 16.0;
                rim[(turn as usize).min(15)] = true;
            }
        }
        let disc = (0.2 * diameter as f64).powi(2) * std::f64::consts::PI;
        let is_one = rim.iter().filter(|there| **there).count() >= 15 && f64::from(inside) < 0.3 * disc;
        if is_one { diameter } else { 0 }
    }
}

/// A test and its thresholds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Test {
    /// Its name among the flags.
    pub test: String,
    /// What is compared.
    pub figure: String,
    /// Suspect outside.
    pub suspect: Limits,
    /// Fails outside.
    pub fail: Limits,
}

/// What is right lies between.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Limits {
    /// Not less; `null` for no limit.
    pub least: Option<f64>,
    /// Not more; `null` for no limit.
    pub most: Option<f64>,
}

/// Two thresholds on either side, millionths.
#[derive(Clone, Copy)]
struct Bounds {
    suspect: (Option<u64>, Option<u64>),
    fail: (Option<u64>, Option<u64>),
}

const fn within(least: (u64, u64), most: (u64, u64)) -> Bounds {
    Bounds { suspect: (Some(least.0), Some(most.0)), fail: (Some(least.1), Some(most.1)) }
}

const fn at_least(suspect: u64, fail: Option<u64>) -> Bounds {
    Bounds { suspect: (Some(suspect), None), fail: (fail, None) }
}

const fn at_most(suspect: u64, fail: u64) -> Bounds {
    Bounds { suspect: (None, Some(suspect)), fail: (None, Some(fail)) }
}

const BRIGHTNESS: Bounds = within((200_000, 50_000), (950_000, 990_000));
const BRIGHTNESS_DRIFT: Bounds = within((900_000, 700_000), (1_100_000, 1_300_000));
const SHARPNESS_DRIFT: Bounds = at_least(330_000, Some(100_000));
const SATURATION: Bounds = at_most(10_000, 200_000);
const EMPTY: Bounds = at_least(1_000_000, None);
const IDENTICAL: Bounds = at_most(0, 0);
const BUBBLE: Bounds = at_most(50_000, 500_000);
const STUCK: Bounds = at_most(100_000, 500_000);

impl Bounds {
    fn flag(self, figure: Option<u64>) -> Flag {
        let Some(figure) = figure else { return Flag::NotEvaluated };
        let outside = |(least, most): (Option<u64>, Option<u64>)| {
            least.is_some_and(|least| figure < least) || most.is_some_and(|most| figure > most)
        };
        match (outside(self.fail), outside(self.suspect)) {
            (true, _) => Flag::Fail,
            (false, true) => Flag::Suspect,
            (false, false) => Flag::Pass,
        }
    }
}

impl Test {
    /// Those that are made.
    pub(super) fn all() -> Vec<Self> {
        let limits = |(least, most): (Option<u64>, Option<u64>)| {
            let parts = |bound: Option<u64>| bound.map(|millionths| millionths as f64 / 1e6);
            Limits { least: parts(least), most: parts(most) }
        };
        [
            ("brightness", "brightness", BRIGHTNESS),
            (
                "brightness_drift",
                "brightness, median of the last 15 frames / of the first 15",
                BRIGHTNESS_DRIFT,
            ),
            ("sharpness_drift", "sharpness, median of the last 15 frames / of the first 15", SHARPNESS_DRIFT),
            ("saturation", "saturated", SATURATION),
            ("empty", "particles", EMPTY),
            ("identical", "1 if it is the frame before once more", IDENTICAL),
            ("bubble", "bubble", BUBBLE),
            ("stuck", "stuck / particles", STUCK),
        ]
        .map(|(test, figure, Bounds { suspect, fail })| Self {
            test: test.into(),
            figure: figure.into(),
            suspect: limits(suspect),
            fail: limits(fail),
        })
        .into()
    }
}

/// Judges the frames of one data set.
#[derive(Default)]
pub(super) struct Judge {
    /// Brightness and sharpness of the first frames, and of the newest.
    first: Vec<(u64, u64)>,
    newest: VecDeque<(u64, u64)>,
    before: Option<Before>,
}

/// What a frame is compared with.
struct Before {
    print: u64,
    spots: Vec<Spot>,
    pumped: Nanolitres,
}

impl Judge {
    /// Of a data set that goes on: drift counts from its first frames.
    pub(super) fn again(frames: &[Frame]) -> Self {
        let figures = frames.iter().filter_map(|frame| frame.quality.as_ref());
        let figures = figures.map(|of| ((of.brightness * 1e6) as u64, (of.sharpness * 1e3) as u64));
        Self { first: figures.take(FEW).collect(), ..Self::default() }
    }

    /// What a frame is worth, and what drifts.
    pub(super) fn judge(&mut self, picture: &Picture) -> Option<(quality::Quality, Option<String>)> {
        let look = picture.look.as_ref()?;
        let pumped = picture.facts.pumped;
        let figures = (u64::from(look.brightness), look.sharpness);
        self.newest.push_back(figures);
        if self.newest.len() > FEW {
            self.newest.pop_front();
        }
        if self.first.len() < FEW {
            self.first.push(figures);
        }
        let before = self.before.replace(Before { print: look.print, spots: look.spots.clone(), pumped });
        let identical = before.as_ref().map(|before| u64::from(before.print == look.print) * 1_000_000);
        let moved = before.filter(|before| before.pumped != pumped);
        let stuck = moved.map(|before| stuck(&before.spots, &look.spots));
        let particles = look.spots.len() as u64;
        let (brightness, sharpness) = (self.drift(|figures| figures.0), self.drift(|figures| figures.1));
        let flags = quality::Flags {
            brightness: BRIGHTNESS.flag(Some(look.brightness.into())),
            brightness_drift: BRIGHTNESS_DRIFT.flag(brightness),
            sharpness_drift: SHARPNESS_DRIFT.flag(sharpness),
            saturation: SATURATION.flag(Some(look.saturated.into())),
            empty: EMPTY.flag(Some(particles * 1_000_000)),
            identical: IDENTICAL.flag(identical),
            bubble: BUBBLE.flag(Some(look.bubble.into())),
            stuck: STUCK.flag(stuck.map(|stuck| u64::from(stuck) * 1_000_000 / particles.max(1))),
        };
        let quality = quality::Quality {
            brightness: look.brightness,
            sharpness: look.sharpness,
            saturated: look.saturated,
            particles: u32::try_from(particles).unwrap_or(u32::MAX),
            stuck,
            bubble: look.bubble,
            flags,
        };
        Some((quality, warning(&flags, brightness, sharpness)))
    }

    /// The newest frames against the first, millionths; `None` before there are enough.
    fn drift(&self, figure: impl Fn(&(u64, u64)) -> u64) -> Option<u64> {
        if self.first.len() < FEW || self.newest.len() < FEW {
            return None;
        }
        let now = median(self.newest.iter().map(&figure))?;
        let then = median(self.first.iter().map(&figure))?;
        now.saturating_mul(1_000_000).checked_div(then)
    }
}

/// How many things stand where something as large stood before.
fn stuck(before: &[Spot], now: &[Spot]) -> u32 {
    let same = |a: &Spot, b: &Spot| {
        let near = |a: u32, b: u32| a.abs_diff(b) <= SAME_PLACE * 8;
        near(a.x, b.x) && near(a.y, b.y) && a.pixels.abs_diff(b.pixels) * 4 <= a.pixels.max(b.pixels)
    };
    let stuck = now.iter().filter(|spot| before.iter().any(|other| same(spot, other))).count();
    u32::try_from(stuck).unwrap_or(u32::MAX)
}

fn warning(flags: &quality::Flags, brightness: Option<u64>, sharpness: Option<u64>) -> Option<String> {
    let percent = |part: Option<u64>| part.unwrap_or(0) / 10_000;
    let tells = |flag: Flag| flag >= Flag::Suspect;
    let mut says = vec![];
    if tells(flags.brightness_drift) {
        says.push(format!(
            "brightness is {} % of what it was at the beginning; check lamp, exposure and dirt",
            percent(brightness)
        ));
    }
    if tells(flags.sharpness_drift) {
        says.push(format!(
            "sharpness is {} % of what it was at the beginning; check the focus",
            percent(sharpness)
        ));
    }
    (!says.is_empty()).then(|| says.join("; "))
}
