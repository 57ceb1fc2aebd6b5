//! Develops what a sensor gives behind its mosaic of colour filters into red, green and blue. Pure; knows no camera.
//!
//! ```text
//! sample - black level      to 0 for no light
//!        x gain             white balance: red and blue against green, as told or as the picture itself has it
//!        / range            to 1 for the most that the sensor can give; more than that is white
//! missing colours           the mean of the two or four nearest of that colour (bilinear)
//! square root               a gamma of 2
//! x 255                     rounded
//! ```
//!
//! A mean of samples is developed as a sample is, so what is done to each is done by one table for each colour.

use planktor_protocol::camera::{Balance, Image, Mosaic};

/// The least and the most that a colour is balanced by.
const GAINS: (f32, f32) = (0.1, 32.0);

/// Red, green and blue of every pixel.
///
/// # Errors
/// In words: the mosaic is not what it says it is.
pub(super) fn develop(mosaic: &Mosaic) -> Result<Image, String> {
    let Mosaic { width, height, pattern, bits, samples, .. } = mosaic;
    let (w, h) = (*width as usize, *height as usize);
    if samples.len() != w * h || w < 2 || h < 2 {
        return Err(format!("{} samples are no mosaic of {width} x {height} pixels", samples.len()));
    }
    if !(8..=16).contains(bits) {
        return Err(format!("samples of {bits} bits are not understood, only 8 to 16"));
    }
    let (white, (column, line)) = (mosaic.white(), pattern.red());
    let tables = gains(mosaic).map(|gain| table(mosaic.black, white, gain));
    let mut rgb = Vec::with_capacity(3 * w * h);
    for y in 0..h {
        // At the border the picture is mirrored: a neighbour on the other side has the same colour.
        let row = |y: usize| &samples[y * w..][..w];
        let above = row(if y == 0 { 1 } else { y - 1 });
        let below = row(if y + 1 == h { h - 2 } else { y + 1 });
        let (here, with_red) = (row(y), y % 2 == line);
        for x in 0..w {
            let (left, right) = (if x == 0 { 1 } else { x - 1 }, if x + 1 == w { w - 2 } else { x + 1 });
            let beside = mean(&[here[left], here[right]]);
            let over = mean(&[above[x], below[x]]);
            let cross = || mean(&[here[left], here[right], above[x], below[x]]);
            let diagonal = || mean(&[above[left], above[right], below[left], below[right]]);
            let pixel = match (with_red, x % 2 == column) {
                (true, true) => [here[x], cross(), diagonal()],
                (true, false) => [beside, here[x], over],
                (false, true) => [over, here[x], beside],
                (false, false) => [diagonal(), cross(), here[x]],
            };
            rgb.extend(std::array::from_fn::<u8, 3, _>(|c| tables[c][usize::from(pixel[c].min(white))]));
        }
    }
    Ok(Image { width: *width, height: *height, rgb })
}

/// By what red, green and blue are multiplied.
pub(super) fn gains(mosaic: &Mosaic) -> [f32; 3] {
    #[expect(clippy::cast_precision_loss, reason = "thousandths, far below 2^24")]
    let gain = |thousandths: u32| thousandths as f32 / 1_000.0;
    let [red, blue] = match mosaic.balance {
        Balance::Gains { red, blue } => [gain(red), gain(blue)],
        Balance::Picture => {
            let [red, green, blue] = light(mosaic);
            [green / red, green / blue]
        }
    };
    [red, 1.0, blue].map(|gain| gain.clamp(GAINS.0, GAINS.1))
}

/// How much light there is of each colour, in the mean; never none.
fn light(mosaic: &Mosaic) -> [f32; 3] {
    let mut sums = [(0_u64, 0_u64); 3];
    for (y, line) in mosaic.samples.chunks_exact((mosaic.width as usize).max(1)).enumerate() {
        for (x, sample) in line.iter().enumerate() {
            let (sum, count) = &mut sums[mosaic.pattern.colour(x, y)];
            *sum += u64::from(sample.saturating_sub(mosaic.black));
            *count += 1;
        }
    }
    #[expect(clippy::cast_precision_loss, reason = "a mean need not be exact")]
    let mean = |(sum, count): (u64, u64)| sum.max(1) as f32 / count.max(1) as f32;
    sums.map(mean)
}

fn mean(samples: &[u16]) -> u16 {
    let sum: u32 = samples.iter().map(|sample| u32::from(*sample)).sum();
    #[expect(clippy::cast_possible_truncation, reason = "a mean of 16 bits has 16 bits")]
    let mean = (sum / samples.len() as u32) as u16;
    mean
}

/// What becomes of every sample.
fn table(black: u16, white: u16, gain: f32) -> Vec<u8> {
    let range = f32::from(white - black.min(white - 1));
    let developed = |sample: u16| {
        let linear = f32::from(sample.saturating_sub(black)) / range * gain;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates at 255")]
        let byte = (linear.sqrt() * 255.0 + 0.5) as u8;
        byte
    };
    (0..=white).map(developed).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use planktor_protocol::camera::{Pattern, Settings};

    fn mosaic(width: u32, height: u32, sample: impl Fn(usize, usize) -> u16) -> Mosaic {
        let place = |n: u32| sample((n % width) as usize, (n / width) as usize);
        let samples = (0..width * height).map(place).collect();
        let (pattern, balance) = (Pattern::Rggb, Settings::default().balance());
        Mosaic { width, height, pattern, bits: 12, black: 256, balance, samples }
    }

    /// An even colour, whichever filter is where and however many bits a sample has.
    fn even(pattern: Pattern, bits: u8, rgb: [u16; 3]) -> Mosaic {
        let raised = |sample: u16| if bits < 12 { sample >> (12 - bits) } else { sample << (bits - 12) };
        let black = raised(256);
        Mosaic { pattern, bits, black, ..mosaic(6, 5, |x, y| black + raised(rgb[pattern.colour(x, y)])) }
    }

    #[test]
    fn an_even_colour_stays_even_up_to_the_border_with_every_mosaic() {
        let expected = [500.0 * 1.99, 1_000.0, 700.0 * 1.65];
        let expected = expected.map(|linear: f32| ((linear / 3_839.0).sqrt() * 255.0 + 0.5) as u8);
        for pattern in [Pattern::Rggb, Pattern::Grbg, Pattern::Gbrg, Pattern::Bggr] {
            let image = develop(&even(pattern, 12, [500, 1_000, 700])).unwrap();
            for pixel in image.rgb.chunks(3) {
                assert_eq!(pixel, expected, "{pattern:?}");
            }
        }
    }

    #[test]
    fn more_bits_are_the_same_picture() {
        let of = |bits| develop(&even(Pattern::Bggr, bits, [512, 1_024, 768])).unwrap().rgb[..3].to_vec();
        let twelve = of(12);
        for bits in [8, 10, 14, 16] {
            let apart = of(bits).iter().zip(&twelve).map(|(a, b)| a.abs_diff(*b)).max().unwrap();
            assert!(apart <= 1, "{bits} bits: {:?}, 12 bits: {twelve:?}", of(bits));
        }
    }

    #[test]
    fn the_balance_is_the_one_that_was_told_or_the_pictures_own() {
        let told = Mosaic {
            balance: Balance::Gains { red: 2_000, blue: 1_000 },
            ..even(Pattern::Grbg, 12, [500, 1_000, 1_000])
        };
        let image = develop(&told).unwrap();
        assert!(image.rgb.iter().all(|byte| *byte == image.rgb[0]), "{:?}", &image.rgb[..3]);
        let own = Mosaic { balance: Balance::Picture, ..even(Pattern::Gbrg, 12, [300, 1_000, 650]) };
        let image = develop(&own).unwrap();
        let spread = image.rgb.iter().max().unwrap() - image.rgb.iter().min().unwrap();
        assert!(spread <= 1, "{:?}", &image.rgb[..3]);
        // Without any light there is nothing to go by, and still a picture.
        let dark = Mosaic { balance: Balance::Picture, ..mosaic(4, 4, |_, _| 256) };
        assert!(develop(&dark).unwrap().rgb.iter().all(|byte| *byte == 0));
    }

    #[test]
    fn black_is_black_and_white_does_not_wrap() {
        let image = develop(&mosaic(4, 4, |x, _| if x < 2 { 100 } else { 4_095 })).unwrap();
        assert_eq!((image.rgb[0], image.rgb[9]), (0, 255));
    }

    #[test]
    fn what_is_no_mosaic_is_named() {
        let short = Mosaic { samples: vec![0; 15], ..mosaic(4, 4, |_, _| 0) };
        assert!(develop(&short).unwrap_err().contains("15 samples"));
        assert!(develop(&mosaic(1, 4, |_, _| 0)).is_err());
        let odd = Mosaic { bits: 17, ..mosaic(4, 4, |_, _| 0) };
        assert!(develop(&odd).unwrap_err().contains("17 bits"));
    }
}
