//! Makes a frame's bytes: develops the picture, encodes and digests it. Pure, so any number at once; never touches a
//! disk.

use super::develop::develop;
use super::digest;
use super::dng;
use jpeg_encoder::{ColorType, Encoder, EncodingError, SamplingFactor};
use planktor_actors::recording::{Encode, Encoded, Picture};
use planktor_protocol::camera::{Frame, Image, Pixels};

/// High enough that a segmenter finds no blocks; as today's instruments have it.
pub(super) const QUALITY: u8 = 95;
/// Room for a full frame's file, so that it need not grow: a quarter of a byte a pixel is seldom exceeded.
const PIXELS_PER_BYTE: usize = 4;

/// How a JPEG begins and ends.
const BEGIN: [u8; 2] = [0xFF, 0xD8];
const END: [u8; 2] = [0xFF, 0xD9];

/// Does an encoder's job; takes about a tenth of a second for 12 megapixels.
///
/// The answer holds an error's text if the picture is empty, larger than JPEG allows (65,535 a side) or not what it
/// says it is.
pub fn encode(job: Encode) -> Encoded {
    let Encode { batch, shot, name, frame, facts, formats } = job;
    let failed = |why| format!("failed to encode {name}: {why}; check the camera's mode");
    let dng = if formats.dng { dng(&frame).map(Some) } else { Ok(None) };
    let files = dng.and_then(|dng| Ok((file(frame.picture.develop()).map_err(failed)?, dng)));
    let result = files.map(|(jpeg, dng)| {
        let sha1 = digest(&name, &jpeg);
        Box::new(Picture { sha1, jpeg, dng, seq: frame.seq, exposure: frame.interval, facts, name })
    });
    Encoded { batch, shot, result }
}

fn dng(frame: &Frame) -> Result<Vec<u8>, String> {
    let mosaic = frame.picture.raw().ok_or("this camera gives no raw picture; ask for a JPEG")?;
    dng::dng(&mosaic)
}

/// A frame's file: what a camera has encoded itself is stored as it comes, if it is whole.
fn file(pixels: Pixels) -> Result<Vec<u8>, String> {
    match pixels {
        Pixels::Rgb(image) => jpeg(&image, QUALITY),
        Pixels::Bayer12(mosaic) => jpeg(&develop(&mosaic)?, QUALITY),
        Pixels::Jpeg(bytes) if bytes.starts_with(&BEGIN) && bytes.ends_with(&END) => Ok(bytes),
        Pixels::Jpeg(bytes) => Err(format!("the camera's JPEG of {} bytes is not whole", bytes.len())),
    }
}

/// A picture's JPEG, of a quality from 1 to 100.
pub(crate) fn jpeg(image: &Image, quality: u8) -> Result<Vec<u8>, String> {
    let side = |pixels: u32| match u16::try_from(pixels) {
        Ok(pixels @ 1..) => Ok(pixels),
        _ => Err(format!("{} x {} pixels do not fit into a JPEG", image.width, image.height)),
    };
    let mut bytes = Vec::with_capacity(image.rgb.len() / 3 / PIXELS_PER_BYTE);
    let mut encoder = Encoder::new(&mut bytes, quality);
    encoder.set_sampling_factor(SamplingFactor::R_4_2_0);
    encoder
        .encode(&image.rgb, side(image.width)?, side(image.height)?, ColorType::Rgb)
        .map_err(|why: EncodingError| why.to_string())?;
    Ok(bytes)
}
