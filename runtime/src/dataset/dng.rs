//! A picture as the sensor gave it, as a DNG (Adobe's Digital Negative 1.4): one strip of 16-bit samples without
//! compression, and what a raw developer needs to make colours of it.

use planktor_protocol::camera::Mosaic;
use std::io::Cursor;
use tiff::encoder::{SRational, TiffEncoder, colortype::Gray16};
use tiff::tags::Tag;

/// PhotometricInterpretation of a colour filter array.
const CFA: u16 = 32_803;
/// Red green, green blue, as the IMX477 has them.
const RGGB: [u8; 4] = [0, 1, 1, 2];
/// The most that 12 bits can say.
const WHITE: u16 = 4_095;
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
    let Mosaic { width, height, black, samples } = mosaic;
    if samples.is_empty() || samples.len() != *width as usize * *height as usize {
        return Err(format!("{} samples are no picture of {width} x {height}", samples.len()));
    }
    let mut file = Cursor::new(Vec::with_capacity(samples.len() * 2 + 4096));
    write(&mut file, (*width, *height), *black, samples).map_err(|why| format!("no DNG: {why}"))?;
    Ok(file.into_inner())
}

fn write(
    file: &mut Cursor<Vec<u8>>,
    (width, height): (u32, u32),
    black: u16,
    samples: &[u16],
) -> tiff::TiffResult<()> {
    let mut encoder = TiffEncoder::new(file)?;
    let mut image = encoder.new_image::<Gray16>(width, height)?;
    let tags = image.encoder();
    tags.write_tag(Tag::PhotometricInterpretation, CFA)?;
    tags.write_tag(Tag::Unknown(0xC612), &[1_u8, 4, 0, 0][..])?; // DNGVersion
    tags.write_tag(Tag::Unknown(0xC614), "PlanktoScope")?; // UniqueCameraModel
    tags.write_tag(Tag::Unknown(0x828D), &[2_u16, 2][..])?; // CFARepeatPatternDim
    tags.write_tag(Tag::Unknown(0x828E), &RGGB[..])?; // CFAPattern
    tags.write_tag(Tag::Unknown(0xC61A), black)?; // BlackLevel
    tags.write_tag(Tag::Unknown(0xC61D), WHITE)?; // WhiteLevel
    let colours = COLOURS.map(|n| SRational { n, d: 10_000 });
    tags.write_tag(Tag::Unknown(0xC621), &colours[..])?; // ColorMatrix1
    tags.write_tag(Tag::Unknown(0xC65A), D65)?; // CalibrationIlluminant1
    image.write_data(samples)
}
