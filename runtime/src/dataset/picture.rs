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
        Pixels::Bayer12(mosaic) => develop(&mosaic),
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

/// The mean of each square of so many pixels a side; what is left over at the right and at the bottom is cut off.
pub(crate) fn reduced(image: &Image, factor: u32) -> Image {
    let factor = factor.clamp(1, image.width.min(image.height).max(1)) as usize;
    let (line, width, height) =
        (image.width as usize * 3, image.width as usize / factor, image.height as usize / factor);
    let mut rgb = Vec::with_capacity(width * height * 3);
    let mut sums = vec![0_u32; width * 3];
    let pixels = u32::try_from(factor * factor).unwrap_or(u32::MAX);
    for rows in image.rgb.chunks_exact(line * factor).take(height) {
        sums.fill(0);
        for row in rows.chunks_exact(line) {
            for (sum, square) in sums.chunks_exact_mut(3).zip(row.chunks_exact(factor * 3)) {
                for pixel in square.chunks_exact(3) {
                    sum.iter_mut().zip(pixel).for_each(|(sum, value)| *sum += u32::from(*value));
                }
            }
        }
        #[expect(clippy::cast_possible_truncation, reason = "a mean of bytes is a byte")]
        rgb.extend(sums.iter().map(|sum| (sum / pixels) as u8));
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
    /// Mean square of the green gradient, a pixel to its neighbours, relative to the square of the brightness, in
    /// millionths; 0 for an even picture. It grows towards focus, and says nothing between different samples.
    pub sharpness: f64,
}

/// Of green, where a sensor has most pixels. The gradient is central, over two pixels (Tenengrad without its smoothing:
/// the picture was reduced before).
pub(crate) fn figures(image: &Image) -> Figures {
    let (width, height) = (image.width as usize, image.height as usize);
    let green = |x: usize, y: usize| i32::from(image.rgb[(y * width + x) * 3 + 1]);
    let (mut sum, mut squares) = (0_i64, 0_i64);
    for y in 0..height {
        for x in 0..width {
            sum += i64::from(green(x, y));
            if (1..width.saturating_sub(1)).contains(&x) && (1..height.saturating_sub(1)).contains(&y) {
                let (dx, dy) = (green(x + 1, y) - green(x - 1, y), green(x, y + 1) - green(x, y - 1));
                squares += i64::from(dx * dx + dy * dy);
            }
        }
    }
    let mean = sum as f64 / (width * height).max(1) as f64;
    let inner = (width.saturating_sub(2) * height.saturating_sub(2)).max(1) as f64;
    // In the dark there is noise only: divided by next to nothing it would look sharp.
    let sharpness = squares as f64 / inner / mean.max(8.0).powi(2) * 1e6;
    Figures { brightness: mean / 255.0, sharpness }
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
    }
}
