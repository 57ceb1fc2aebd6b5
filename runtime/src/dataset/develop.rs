//! Develops what a sensor gives behind its mosaic of colour filters into red, green and blue: black level, white
//! balance, missing colours from their neighbours (bilinear), and a gamma of 2. Pure; knows no camera.

use planktor_protocol::camera::{Image, Mosaic};

/// White balance of PlanktoScopes as shipped: red and blue against green.
const RED_GAIN: f32 = 1.99;
const BLUE_GAIN: f32 = 1.65;
/// The most that 12 bits can hold.
const WHITE: u16 = 4_095;

/// Red, green and blue of every pixel.
///
/// # Errors
/// In words: the mosaic is not what it says it is.
pub(super) fn develop(mosaic: &Mosaic) -> Result<Image, String> {
    let Mosaic { width, height, black, samples } = mosaic;
    let (w, h) = (*width as usize, *height as usize);
    if samples.len() != w * h || w < 2 || h < 2 {
        return Err(format!("{} samples are no mosaic of {width} x {height} pixels", samples.len()));
    }
    let tables = [RED_GAIN, 1.0, BLUE_GAIN].map(|gain| table(*black, gain));
    let mut rgb = Vec::with_capacity(3 * w * h);
    for y in 0..h {
        // At the border the picture is mirrored: a neighbour on the other side has the same colour.
        let line = |y: usize| &samples[y * w..][..w];
        let above = line(if y == 0 { 1 } else { y - 1 });
        let below = line(if y + 1 == h { h - 2 } else { y + 1 });
        let (here, even) = (line(y), y % 2 == 0);
        for x in 0..w {
            let (left, right) = (if x == 0 { 1 } else { x - 1 }, if x + 1 == w { w - 2 } else { x + 1 });
            let beside = mean(&[here[left], here[right]]);
            let over = mean(&[above[x], below[x]]);
            let cross = || mean(&[here[left], here[right], above[x], below[x]]);
            let diagonal = || mean(&[above[left], above[right], below[left], below[right]]);
            let pixel = match (even, x % 2 == 0) {
                (true, true) => [here[x], cross(), diagonal()],
                (true, false) => [beside, here[x], over],
                (false, true) => [over, here[x], beside],
                (false, false) => [diagonal(), cross(), here[x]],
            };
            rgb.extend(std::array::from_fn::<u8, 3, _>(|c| tables[c][usize::from(pixel[c].min(WHITE))]));
        }
    }
    Ok(Image { width: *width, height: *height, rgb })
}

fn mean(samples: &[u16]) -> u16 {
    let sum: u32 = samples.iter().map(|sample| u32::from(*sample)).sum();
    #[expect(clippy::cast_possible_truncation, reason = "a mean of 16 bits has 16 bits")]
    let mean = (sum / samples.len() as u32) as u16;
    mean
}

/// What becomes of every sample.
fn table(black: u16, gain: f32) -> Vec<u8> {
    let range = f32::from(WHITE - black.min(WHITE - 1));
    let developed = |sample: u16| {
        let linear = f32::from(sample.saturating_sub(black)) / range * gain;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates at 255")]
        let byte = (linear.sqrt() * 255.0 + 0.5) as u8;
        byte
    };
    (0..=WHITE).map(developed).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mosaic(width: u32, height: u32, colour: impl Fn(u32, u32) -> u16) -> Mosaic {
        let samples = (0..width * height).map(|n| colour(n % width, n / width)).collect();
        Mosaic { width, height, black: 256, samples }
    }

    #[test]
    fn an_even_colour_stays_even_up_to_the_border() {
        let samples = |x: u32, y: u32| match (y % 2, x % 2) {
            (0, 0) => 256 + 500,
            (1, 1) => 256 + 700,
            _ => 256 + 1_000,
        };
        let image = develop(&mosaic(6, 5, samples)).unwrap();
        let expected = [500.0 * RED_GAIN, 1_000.0, 700.0 * BLUE_GAIN];
        let expected = expected.map(|linear| ((linear / 3_839.0).sqrt() * 255.0 + 0.5) as u8);
        for pixel in image.rgb.chunks(3) {
            assert_eq!(pixel, expected);
        }
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
    }
}
