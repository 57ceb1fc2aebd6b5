//! What can be done with a picture that nobody keeps: decode it, make it smaller, cut a piece out, and say how bright and how
//! sharp it is. Pure; knows no camera and no file.

use super::develop::develop;
use jpeg_decoder::{Decoder, PixelFormat};
use planktor_protocol::camera::{Image, Pixels};

/// The pixels of the largest JPEG that is decoded: 200 MB.
const LARGEST: usize = 256 << 20;

/// A picture as red, green and blue, in whatever form the camera gave it.
///
/// # Errors
/// In words: it is not what it says it is.
pub(crate) fn image(pixels: Pixels) -> Result<Image, String> {
    match pixels {
        Pixels::Rgb(image) => Ok(image),
        Pixels::Bayer(mosaic) => develop(&mosaic),
        Pixels::Jpeg(bytes) => decode(&bytes, u16::MAX),
    }
}

/// Decodes no more of a JPEG than is asked for: all of it, a half, a quarter or an eighth, whichever is the smallest that
/// has so many pixels on one side.
///
/// # Errors
/// In words: it is damaged, or no colour picture.
pub(crate) fn decode(jpeg: &[u8], side: u16) -> Result<Image, String> {
    let mut decoder = Decoder::new(jpeg);
    decoder.set_max_decoding_buffer_size(LARGEST);
    let (width, height) = decoder.scale(side, side).map_err(|why| why.to_string())?;
    let pixels = decoder.decode().map_err(|why| why.to_string())?;
    let rgb = match decoder.info().map(|info| info.pixel_format) {
        Some(PixelFormat::RGB24) => pixels,
        Some(PixelFormat::L8) => pixels.into_iter().flat_map(|grey| [grey; 3]).collect(),
        other => return Err(format!("its pixels are {other:?} and not RGB")),
    };
    Ok(Image { width: width.into(), height: height.into(), rgb })
}

/// The mean of each square of so many pixels a side, at most 16; what is left over at the right and at the bottom is cut
/// off.
pub(crate) fn reduced(image: &Image, factor: u32) -> Image {
    let factor = factor.min(16).min(image.width).min(image.height).max(1) as usize;
    let (line, width, height) =
        (image.width as usize * 3, image.width as usize / factor, image.height as usize / factor);
    let mut rgb = Vec::with_capacity(width * height * 3);
    // Down first, byte by byte, which a processor does many at a time.
    let mut columns = vec![0_u16; line];
    let pixels = u32::try_from(factor * factor).unwrap_or(u32::MAX);
    for rows in image.rgb.chunks_exact((line * factor).max(1)).take(height) {
        columns.fill(0);
        for row in rows.chunks_exact(line) {
            columns.iter_mut().zip(row).for_each(|(sum, value)| *sum += u16::from(*value));
        }
        for square in columns.chunks_exact(factor * 3) {
            let sum =
                |colour: usize| square.iter().skip(colour).step_by(3).map(|sum| u32::from(*sum)).sum::<u32>();
            #[expect(clippy::cast_possible_truncation, reason = "a mean of bytes is a byte")]
            rgb.extend([0, 1, 2].map(|colour| (sum(colour) / pixels) as u8));
        }
    }
    let side = |pixels: usize| u32::try_from(pixels).unwrap_or(u32::MAX);
    Image { width: side(width), height: side(height), rgb }
}

/// A piece of at most `width * height` pixels around a point, given in hundredths of the picture's sides; moved as far as
/// need be to lie within the picture.
pub(crate) fn piece(image: &Image, (width, height): (u32, u32), (x, y): (u8, u8)) -> Image {
    let (width, height) = (width.min(image.width), height.min(image.height));
    let from = |side: u32, piece: u32, at: u8| {
        (side * u32::from(at) / 100).saturating_sub(piece / 2).min(side - piece) as usize
    };
    let (left, top) = (from(image.width, width, x), from(image.height, height, y));
    let lines = image.rgb.chunks_exact(image.width as usize * 3).skip(top).take(height as usize);
    let rgb = lines.flat_map(|line| &line[left * 3..(left + width as usize) * 3]).copied().collect();
    Image { width, height, rgb }
}

/// What a picture is worth, as figures.
#[derive(Clone, Copy, Debug, Default, PartialEq, serde::Serialize, schemars::JsonSchema)]
pub struct Figures {
    /// The mean of the green pixels, 0 (black) to 1 (white).
    pub brightness: f64,
    /// How much neighbours have in common beyond what pixels two apart have (Vollath's F4, 1987, along lines and columns
    /// of green), relative to the square of the brightness, in millionths; 0 for an even picture. It grows towards focus,
    /// and says nothing between different samples. A sensor's noise, which neighbours do not share, cancels out.
    pub sharpness: f64,
}

/// Of green, where a sensor has most pixels.
pub(crate) fn figures(image: &Image) -> Figures {
    let (width, height) = (image.width as usize, image.height as usize);
    let green: Vec<i32> = image.rgb.chunks_exact(3).map(|pixel| i32::from(pixel[1])).collect();
    let pixels = (width * height).max(1) as f64;
    let mean = green.iter().map(|value| i64::from(*value)).sum::<i64>() as f64 / pixels;
    // F4 is half of this difference of mean squares, but for the border.
    let apart = |pixels: usize| {
        let along = green
            .chunks_exact(width.max(1))
            .map(|line| squares(line, line.get(pixels..).unwrap_or_default()));
        let down = squares(&green, green.get(pixels * width..).unwrap_or_default());
        along.sum::<i64>() + down
    };
    let common = (apart(2) - apart(1)) as f64 / 2.0 / pixels;
    // In the dark there is noise only: divided by next to nothing it would look sharp.
    let sharpness = (common / mean.max(8.0).powi(2) * 1e6).max(0.0);
    Figures { brightness: mean / 255.0, sharpness }
}

/// The sum of the squared differences of what lies side by side.
fn squares(values: &[i32], others: &[i32]) -> i64 {
    values.iter().zip(others).map(|(a, b)| i64::from((a - b) * (a - b))).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grey(width: u32, height: u32, value: impl Fn(u32, u32) -> u8) -> Image {
        let rgb = (0..width * height).flat_map(|n| [value(n % width, n / width); 3]).collect();
        Image { width, height, rgb }
    }

    #[test]
    fn a_reduced_picture_is_the_mean_of_its_squares() {
        let image = grey(7, 5, |x, y| u8::try_from(10 * x + y).unwrap());
        let small = reduced(&image, 2);
        assert_eq!((small.width, small.height), (3, 2));
        assert_eq!(small.rgb.chunks(3).map(|pixel| pixel[0]).collect::<Vec<_>>(), [5, 25, 45, 7, 27, 47]);
        assert_eq!(reduced(&image, 1), image);
    }

    #[test]
    fn a_piece_stays_within_the_picture() {
        let image = grey(10, 8, |x, y| u8::try_from(10 * y + x).unwrap());
        let first = |at| piece(&image, (4, 2), at).rgb[0];
        assert_eq!((first((0, 0)), first((50, 50)), first((100, 100))), (0, 33, 66));
        assert_eq!(piece(&image, (100, 100), (50, 50)), image);
    }

    #[test]
    fn sharpness_follows_edges_and_not_the_lamp() {
        let edge = |soft: u32, light: u32| {
            figures(&grey(64, 64, |x, _| {
                u8::try_from(
                    (light * (50 + 50 * (x.clamp(32 - soft, 32 + soft) + soft - 32) / (2 * soft))) / 100,
                )
                .unwrap()
            }))
        };
        let (sharp, soft) = (edge(1, 200), edge(8, 200));
        assert!(sharp.sharpness > 3.0 * soft.sharpness, "{sharp:?} {soft:?}");
        let dim = edge(1, 100);
        assert!((dim.sharpness / sharp.sharpness - 1.0).abs() < 0.05, "{sharp:?} {dim:?}");
        assert!((dim.brightness / sharp.brightness - 0.5).abs() < 0.02);
        assert_eq!(figures(&grey(9, 9, |_, _| 77)).sharpness, 0.0);
        // Noise alone: a hash of the place.
        let mut state = 1_u32;
        let values: Vec<u8> = std::iter::repeat_with(|| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            100 + u8::try_from((state >> 24) % 20).unwrap()
        })
        .take(256 * 256)
        .collect();
        let noise = |x: u32, y: u32| values[(y * 256 + x) as usize];
        let noise = figures(&grey(256, 256, noise));
        assert!(noise.sharpness < 0.05 * soft.sharpness, "{noise:?} {soft:?}");
    }
}
