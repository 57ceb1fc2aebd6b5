//! Makes a frame's bytes: develops the picture, looks at it, encodes it, says in it what is known of it, and digests it. Pure, so any number at once; never touches a
//! disk.

use super::develop::develop;
use super::digest;
use super::dng;
use super::picture::decode;
use super::quality::look;
use super::stamp::{Instrument, with_exif};
use jpeg_encoder::{ColorType, Encoder, EncodingError, SamplingFactor};
use planktor_actors::recording::{Encode, Encoded, Look, Picture};
use planktor_protocol::camera::{Frame, Image, Pixels};

/// High enough that a segmenter finds no blocks; as today's instruments have it.
pub(super) const QUALITY: u8 = 95;
/// Room for a full frame's file, so that it need not grow: a quarter of a byte a pixel is seldom exceeded.
const PIXELS_PER_BYTE: usize = 4;

/// Pixels on one side of what is looked at of a camera's own JPEG, at least.
const SMALL: u16 = 300;

/// How a JPEG begins and ends.
const BEGIN: [u8; 2] = [0xFF, 0xD8];
const END: [u8; 2] = [0xFF, 0xD9];

/// Does an encoder's job; takes about a tenth of a second for 12 megapixels.
///
/// The answer holds an error's text if the picture is empty, larger than JPEG allows (65,535 a side) or not what it
/// says it is.
pub fn encode(job: Encode, instrument: &Instrument) -> Encoded {
    let Encode { batch, shot, begun, frame, facts, formats } = job;
    let name = format!("{}.jpg", begun.file_stem());
    let failed = |why| format!("failed to encode {name}: {why}; check the camera's mode");
    let dng = if formats.dng { dng(&frame).map(Some) } else { Ok(None) };
    let files = dng.and_then(|dng| {
        let (jpeg, look) = file(frame.picture.develop()).map_err(failed)?;
        Ok((with_exif(&jpeg, &facts, frame.interval.from, instrument).map_err(failed)?, look, dng))
    });
    let result = files.map(|(jpeg, look, dng)| {
        let sha1 = digest(&name, &jpeg);
        Box::new(Picture { sha1, jpeg, dng, seq: frame.seq, exposure: frame.interval, facts, look, name })
    });
    Encoded { batch, shot, result: result.map_err(Into::into) }
}

fn dng(frame: &Frame) -> Result<Vec<u8>, String> {
    let mosaic = frame.picture.raw().ok_or("this camera gives no raw picture; ask for a JPEG")?;
    dng::dng(&mosaic)
}

/// A frame's file, and what is seen in it. What a camera has encoded itself is stored as it comes, if it is whole.
fn file(pixels: Pixels) -> Result<(Vec<u8>, Option<Look>), String> {
    let image = match pixels {
        Pixels::Rgb(image) => image,
        Pixels::Bayer(mosaic) => develop(&mosaic)?,
        Pixels::Jpeg(bytes) if bytes.starts_with(&BEGIN) && bytes.ends_with(&END) => {
            let small = decode(&bytes, SMALL).ok();
            return Ok((bytes, small.as_ref().map(look)));
        }
        Pixels::Jpeg(bytes) => {
            return Err(format!("the camera's JPEG of {} bytes is not whole", bytes.len()));
        }
    };
    Ok((jpeg(&image, QUALITY)?, Some(look(&image))))
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
