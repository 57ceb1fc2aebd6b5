//! A picture as the sensor gave it, as a DNG (Adobe's Digital Negative 1.4): one strip of 16-bit samples without
//! compression, and what a raw developer needs to make colours of it.

use super::develop::gains;
use planktor_protocol::camera::Mosaic;
use std::io::Cursor;
use tiff::encoder::{Rational, SRational, TiffEncoder, colortype::Gray16};
use tiff::tags::Tag;

/// PhotometricInterpretation of a colour filter array.
const CFA: u16 = 32_803;
/// CFAPattern's numbers of red, green and blue.
const FILTERS: [u8; 3] = [0, 1, 2];
/// CalibrationIlluminant1: D65.
const D65: u16 = 21;
/// From XYZ to the sensor's colours, in ten-thousandths, row by row. A neutral matrix (sRGB's own, IEC 61966-2-1): no
/// calibration of the IMX477 is at hand, so colours are plausible, not measured.
const COLOURS: [i32; 9] = [32_405, -15_371, -4_985, -9_693, 18_760, 416, 556, -2_040, 10_572];

/// Makes the file.
///
/// # Errors
/// The picture is empty or not what it says it is.
pub(super) fn dng(mosaic: &Mosaic) -> Result<Vec<u8>, String> {
    let Mosaic { width, height, samples, .. } = mosaic;
    if samples.is_empty() || samples.len() != *width as usize * *height as usize {
        return Err(format!("{} samples are no picture of {width} x {height}", samples.len()));
    }
    let mut file = Cursor::new(Vec::with_capacity(samples.len() * 2 + 4096));
    write(&mut file, mosaic).map_err(|why| format!("no DNG: {why}"))?;
    Ok(file.into_inner())
}

fn write(file: &mut Cursor<Vec<u8>>, mosaic: &Mosaic) -> tiff::TiffResult<()> {
    let mut encoder = TiffEncoder::new(file)?;
    let mut image = encoder.new_image::<Gray16>(mosaic.width, mosaic.height)?;
    let tags = image.encoder();
    let filters = [(0, 0), (1, 0), (0, 1), (1, 1)].map(|(x, y)| FILTERS[mosaic.pattern.colour(x, y)]);
    tags.write_tag(Tag::PhotometricInterpretation, CFA)?;
    tags.write_tag(Tag::Unknown(0xC612), &[1_u8, 4, 0, 0][..])?; // DNGVersion
    tags.write_tag(Tag::Unknown(0xC614), "PlanktoScope")?; // UniqueCameraModel
    tags.write_tag(Tag::Unknown(0x828D), &[2_u16, 2][..])?; // CFARepeatPatternDim
    tags.write_tag(Tag::Unknown(0x828E), &filters[..])?; // CFAPattern
    tags.write_tag(Tag::Unknown(0xC61A), mosaic.black)?; // BlackLevel
    tags.write_tag(Tag::Unknown(0xC61D), mosaic.white())?; // WhiteLevel
    let colours = COLOURS.map(|n| SRational { n, d: 10_000 });
    tags.write_tag(Tag::Unknown(0xC621), &colours[..])?; // ColorMatrix1
    let neutral = gains(mosaic).map(neutral);
    tags.write_tag(Tag::Unknown(0xC628), &neutral[..])?; // AsShotNeutral
    tags.write_tag(Tag::Unknown(0xC65A), D65)?; // CalibrationIlluminant1
    image.write_data(&mosaic.samples)
}

/// How much of a colour the sensor gives for white.
fn neutral(gain: f32) -> Rational {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "gains are 0.1 to 32")]
    let d = (gain * 1_000.0).round() as u32;
    Rational { n: 1_000, d }
}

#[cfg(test)]
mod tests {
    use super::*;
    use planktor_protocol::camera::{Balance, Pattern};

    #[test]
    fn a_raw_developer_is_told_what_the_samples_mean() {
        let mosaic = Mosaic {
            width: 4,
            height: 2,
            pattern: Pattern::Gbrg,
            bits: 10,
            black: 64,
            balance: Balance::Gains { red: 2_000, blue: 1_250 },
            samples: (0..8).map(|n| n * 100).collect(),
        };
        let file = dng(&mosaic).unwrap();
        let told = exif::Reader::new().read_from_container(&mut Cursor::new(&file)).unwrap();
        let tag = |number| {
            let tag = exif::Tag(exif::Context::Tiff, number);
            &told.get_field(tag, exif::In::PRIMARY).expect("it is told").value
        };
        assert!(matches!(tag(0x828E), exif::Value::Byte(filters) if filters == &[1, 2, 0, 1]));
        assert_eq!((tag(0xC61A).get_uint(0), tag(0xC61D).get_uint(0)), (Some(64), Some(1_023)));
        let exif::Value::Rational(neutral) = tag(0xC628) else { panic!("{:?}", tag(0xC628)) };
        assert_eq!(neutral.iter().map(exif::Rational::to_f64).collect::<Vec<_>>(), [0.5, 1.0, 0.8]);
        // One strip: the samples as they came.
        let at = tag(0x0111).get_uint(0).unwrap() as usize;
        let stored = file[at..at + 16].as_chunks().0.iter().map(|pair| u16::from_le_bytes(*pair));
        assert_eq!(stored.collect::<Vec<_>>(), mosaic.samples);
    }
}
