//! What the camera of the simulated microscope looks at during one frame.
//!
//! Plain data: the moving parts of the simulator write it, [`render`](crate::render) turns it
//! into a picture. It never changes by itself and knows nothing of clocks, pumps or files.
//!
//! Lengths are micrometres in the specimen. The origin is the picture's top left corner,
//! x runs to the right, along the flow, and y runs down, in the order the sensor reads its lines.

use planktor_protocol::camera::Balance;
use serde::{Deserialize, Serialize};

/// Everything one frame depends on.
#[derive(Clone, Debug, PartialEq)]
pub struct Scene {
    /// Width of the picture, in pixels.
    pub width: u32,
    /// Height of the picture, in pixels.
    pub height: u32,
    /// Side of one pixel of this picture in the specimen, in micrometres, above 0. It is 0.75 at
    /// the full 4056 x 3040; smaller pictures show the same field of view with larger pixels.
    pub um_per_px: f32,
    /// Choice of this frame's sensor noise.
    pub seed: u64,
    /// What the camera makes of it.
    pub format: Format,
    /// Lamp brightness, 0 (dark: only black level and noise) to 1, at nine evenly spaced instants from the first
    /// line's start to the last line's end.
    pub light: [f32; 9],
    /// Light that was on for a part of the frame only, while its lines integrated; `light` is what was there beside it.
    pub flashes: Vec<Flash>,
    /// How far the water has moved along +x since the first line's start, in micrometres, in the mean over the
    /// cell's depth, at nine evenly spaced instants from the first line's start to the last line's end.
    pub drift_um: [f32; 9],
    /// Exposure time of one line as a part of the interval that `drift_um` spans, 0 to 1.
    /// Usually 114 us of 87 ms, or 0.0013.
    pub exposure_fraction: f32,
    /// How long a line is exposed, relative to the usual 114 us.
    pub exposure: f32,
    /// What the camera was told of its colours; a picture that it makes itself is balanced already.
    pub balance: Balance,
    /// The sensor's analogue gain, relative to the usual 3.5: it brightens, and brings out the noise.
    pub gain: f32,
    /// Depth within which a particle is sharp, in micrometres.
    pub depth_of_field_um: f32,
    /// What floats in the water, in any order.
    pub particles: Vec<Particle>,
}

/// A pulse of light: it rises evenly, stays, and falls evenly. Instants are parts of the interval from the first line's
/// start to the last line's end.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Flash {
    /// When it begins to rise.
    pub from: f64,
    /// When it is up.
    pub up: f64,
    /// When it begins to fall.
    pub falls: f64,
    /// When it is dark again.
    pub to: f64,
    /// How bright it is in between, 0 to 1.
    pub level: f32,
    /// Where the water was at its begin and at its end, along +x, in micrometres, counted as in `drift_um`.
    pub drift_um: [f32; 2],
}

impl Flash {
    /// How much light comes between two instants: its level times a part of the interval.
    pub fn light(&self, from: f64, to: f64) -> f64 {
        f64::from(self.level) * (self.until(to) - self.until(from)).max(0.0)
    }

    /// As if it were of level one, until then.
    fn until(&self, then: f64) -> f64 {
        let rising = then.clamp(self.from, self.up) - self.from;
        let stays = then.clamp(self.up, self.falls) - self.up;
        let falling = then.clamp(self.falls, self.to) - self.falls;
        // Half of the square over the whole: nothing of what takes no time.
        let (rise, fall) = (self.up - self.from, self.to - self.falls);
        let risen = if rise > 0.0 { rising * rising / (2.0 * rise) } else { 0.0 };
        let fallen = if fall > 0.0 { falling - falling * falling / (2.0 * fall) } else { 0.0 };
        risen + stays + fallen
    }
}

/// In which form a picture leaves the camera.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Format {
    /// Red, green and blue, 8 bits each.
    #[default]
    Rgb,
    /// What the sensor itself gives: 12 bits a pixel behind a mosaic of colours.
    Bayer12,
    /// Compressed by the camera.
    Jpeg,
    /// Nothing is rendered: a few grey pixels ([`BLANK`]), for whoever looks at everything but the picture.
    Blank,
}

/// Size of a picture that is not rendered.
pub const BLANK: (u32, u32) = (8, 8);

/// What a particle looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    /// One of the vignettes: an index, taken modulo their number.
    Vignette(u32),
    /// An air bubble, 100 um across at scale 1.
    Bubble,
}

/// One particle in the water.
#[derive(Clone, Debug, PartialEq)]
pub struct Particle {
    /// What it looks like.
    pub look: Look,
    /// Centre along the flow at the first line's start, in micrometres; may lie outside.
    pub x_um: f32,
    /// Centre across the flow, in micrometres; may lie outside.
    pub y_um: f32,
    /// How much of the water's movement it takes part in: 0 for what sticks to the glass, up to 1.5 in the middle of the cell.
    pub follows: f32,
    /// How far it sinks along +y from the first line's start to the last line's end, in micrometres.
    pub sinks_um: f32,
    /// Size relative to the real one, 1 = as photographed; drawn within 0.05 to 4.
    pub scale: f32,
    /// Quarter turns clockwise (0 to 3), and mirrored left to right before turning (+ 4); taken
    /// modulo 8.
    pub orientation: u8,
    /// Signed distance from the plane of focus, in micrometres; drawn no more blurred than at 800.
    pub defocus_um: f32,
}
