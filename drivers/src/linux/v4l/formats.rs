//! In which forms cameras give their pixels, and what becomes of them. Pure: works on bytes, knows no device.
//!
//! Names and layouts as in the kernel's documentation, "Image Formats" (userspace-api/media/v4l/pixfmt.html).

use planktor_protocol::camera::{Balance, Image, Mosaic, Pattern, Pixels};
use serde::Deserialize;
use std::fmt;

/// A format's name of four characters, as V4L2 has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct FourCc(pub [u8; 4]);

impl TryFrom<String> for FourCc {
    type Error = String;

    /// Only what is understood here.
    fn try_from(name: String) -> Result<Self, String> {
        let known = |(code, _): &(Self, Layout)| (code.to_string() == name).then_some(*code);
        FORMATS.iter().find_map(known).ok_or_else(|| {
            let known: Vec<_> = FORMATS.iter().map(|(code, _)| code.to_string()).collect();
            format!("{name:?} is no format that is understood; these are: {}", known.join(", "))
        })
    }
}

impl fmt::Display for FourCc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.0))
    }
}

/// How pixels lie in a buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// Samples behind a mosaic of colour filters, of so many bits.
    Raw(Pattern, u8, Packing),
    /// A JPEG in each buffer.
    Jpeg,
    /// Brightness and colour differences of ITU-R BT.601, two pixels in four bytes: Y, Cb, Y, Cr.
    Yuyv,
    /// Red, green, blue.
    Rgb,
    /// Brightness alone.
    Grey,
}

/// How samples lie in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packing {
    /// One byte each.
    Bytes,
    /// Two bytes each, the lower first, with the sample in the lower bits.
    Words,
    /// As on a CSI-2 wire: the upper eight bits of some samples (4 of 10 bits, 2 of 12), then a byte with their lower ones.
    Mipi,
}

/// What is understood; what comes first is taken first, where nothing is said.
///
/// Raw before anything that a camera has made of it, because it is linear, not sharpened and not compressed; 12 bits first,
/// because that is what the IMX477 measures, and 16 after 10, because sensors of these instruments measure no more than 12
/// and the rest is bytes to carry; packed after unpacked, because it must be unpacked.
pub const FORMATS: [(FourCc, Layout); 29] = {
    use Layout::{Grey, Jpeg, Raw, Rgb, Yuyv};
    use Packing::{Bytes, Mipi, Words};
    use Pattern::{Bggr, Gbrg, Grbg, Rggb};
    [
        (FourCc(*b"RG12"), Raw(Rggb, 12, Words)),
        (FourCc(*b"BA12"), Raw(Grbg, 12, Words)),
        (FourCc(*b"GB12"), Raw(Gbrg, 12, Words)),
        (FourCc(*b"BG12"), Raw(Bggr, 12, Words)),
        (FourCc(*b"pRCC"), Raw(Rggb, 12, Mipi)),
        (FourCc(*b"pgCC"), Raw(Grbg, 12, Mipi)),
        (FourCc(*b"pGCC"), Raw(Gbrg, 12, Mipi)),
        (FourCc(*b"pBCC"), Raw(Bggr, 12, Mipi)),
        (FourCc(*b"RG10"), Raw(Rggb, 10, Words)),
        (FourCc(*b"BA10"), Raw(Grbg, 10, Words)),
        (FourCc(*b"GB10"), Raw(Gbrg, 10, Words)),
        (FourCc(*b"BG10"), Raw(Bggr, 10, Words)),
        (FourCc(*b"pRAA"), Raw(Rggb, 10, Mipi)),
        (FourCc(*b"pgAA"), Raw(Grbg, 10, Mipi)),
        (FourCc(*b"pGAA"), Raw(Gbrg, 10, Mipi)),
        (FourCc(*b"pBAA"), Raw(Bggr, 10, Mipi)),
        (FourCc(*b"RG16"), Raw(Rggb, 16, Words)),
        (FourCc(*b"GR16"), Raw(Grbg, 16, Words)),
        (FourCc(*b"GB16"), Raw(Gbrg, 16, Words)),
        (FourCc(*b"BYR2"), Raw(Bggr, 16, Words)),
        (FourCc(*b"RGGB"), Raw(Rggb, 8, Bytes)),
        (FourCc(*b"GRBG"), Raw(Grbg, 8, Bytes)),
        (FourCc(*b"GBRG"), Raw(Gbrg, 8, Bytes)),
        (FourCc(*b"BA81"), Raw(Bggr, 8, Bytes)),
        (FourCc(*b"MJPG"), Jpeg),
        (FourCc(*b"JPEG"), Jpeg),
        (FourCc(*b"YUYV"), Yuyv),
        (FourCc(*b"RGB3"), Rgb),
        (FourCc(*b"GREY"), Grey),
    ]
};

/// What a buffer of a stream is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// How its pixels lie.
    pub layout: Layout,
    /// Pixels across.
    pub width: u32,
    /// Lines.
    pub height: u32,
    /// Bytes from one line's begin to the next one's.
    pub stride: usize,
    /// Whether YUYV's brightness goes from 0 to 255 (JPEG's way), or from 16 to 235.
    pub full_range: bool,
}

/// What is to be known of a sensor to make colours of its samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Colours {
    /// What it gives for no light.
    pub black: u16,
    /// How red and blue are balanced.
    pub balance: Balance,
}

/// How a JPEG begins and ends.
const BEGIN: [u8; 2] = [0xFF, 0xD8];
const END: [u8; 2] = [0xFF, 0xD9];

impl Shape {
    /// Bytes of a line's pixels, without what fills it up.
    pub(crate) fn line(&self) -> usize {
        let width = self.width as usize;
        match self.layout {
            Layout::Jpeg => 0,
            Layout::Grey | Layout::Raw(_, _, Packing::Bytes) => width,
            Layout::Raw(_, _, Packing::Words) => 2 * width,
            Layout::Raw(_, 10, Packing::Mipi) => width.div_ceil(4) * 5,
            Layout::Raw(_, _, Packing::Mipi) => width.div_ceil(2) * 3,
            Layout::Yuyv => width.div_ceil(2) * 4,
            Layout::Rgb => 3 * width,
        }
    }

    /// How many of a buffer's bytes are the picture; `None` if it is not whole.
    ///
    /// Cameras fill up what follows a JPEG with zeros: they do not belong to it.
    pub fn whole(&self, bytes: &[u8]) -> Option<usize> {
        if self.layout == Layout::Jpeg {
            let end = bytes.iter().rposition(|byte| *byte != 0)? + 1;
            return (bytes.starts_with(&BEGIN) && bytes[..end].ends_with(&END)).then_some(end);
        }
        let size = self.stride * (self.height as usize).saturating_sub(1) + self.line();
        (bytes.len() >= size && self.stride >= self.line()).then_some(size)
    }

    /// What a picture shows, of bytes that are [`whole`](Self::whole).
    pub fn pixels(&self, bytes: &[u8], colours: Colours) -> Pixels {
        let Self { width, height, .. } = *self;
        let image = |rgb| Pixels::Rgb(Image { width, height, rgb });
        match self.layout {
            Layout::Jpeg => Pixels::Jpeg(bytes.to_vec()),
            Layout::Rgb => image(self.lines(bytes).flatten().copied().collect()),
            Layout::Grey => image(self.lines(bytes).flatten().flat_map(|grey| [*grey; 3]).collect()),
            Layout::Yuyv => image(self.coloured(bytes)),
            Layout::Raw(pattern, bits, packing) => {
                Pixels::Bayer(self.mosaic(bytes, (pattern, bits, packing), colours))
            }
        }
    }

    /// The samples behind a mosaic of colour filters, if it has one.
    pub fn raw(&self, bytes: &[u8], colours: Colours) -> Option<Mosaic> {
        match self.layout {
            Layout::Raw(pattern, bits, packing) => {
                Some(self.mosaic(bytes, (pattern, bits, packing), colours))
            }
            Layout::Jpeg | Layout::Yuyv | Layout::Rgb | Layout::Grey => None,
        }
    }

    fn lines<'a>(&self, bytes: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
        let line = self.line();
        bytes.chunks(self.stride.max(1)).take(self.height as usize).map(move |all| &all[..line])
    }

    fn mosaic(
        &self,
        bytes: &[u8],
        (pattern, bits, packing): (Pattern, u8, Packing),
        colours: Colours,
    ) -> Mosaic {
        let Self { width, height, .. } = *self;
        let mut samples = Vec::with_capacity(width as usize * height as usize);
        for (n, line) in self.lines(bytes).enumerate() {
            match packing {
                Packing::Bytes => samples.extend(line.iter().copied().map(u16::from)),
                Packing::Words => {
                    samples.extend(line.as_chunks().0.iter().map(|pair| u16::from_le_bytes(*pair)));
                }
                Packing::Mipi if bits == 10 => {
                    samples.extend(line.as_chunks().0.iter().flat_map(|group| four_of_ten(*group)));
                }
                Packing::Mipi => {
                    samples.extend(line.as_chunks().0.iter().flat_map(|group| two_of_twelve(*group)));
                }
            }
            // A group at a line's end may hold more than there are pixels.
            samples.truncate((n + 1) * width as usize);
        }
        Mosaic { width, height, pattern, bits, black: colours.black, balance: colours.balance, samples }
    }

    fn coloured(&self, bytes: &[u8]) -> Vec<u8> {
        let matrix = Bt601::new(self.full_range);
        let line = 3 * self.width as usize;
        let mut rgb = Vec::with_capacity(line * self.height as usize);
        for (n, pixels) in self.lines(bytes).enumerate() {
            for [first, blue, second, red] in pixels.as_chunks().0 {
                rgb.extend(matrix.rgb(*first, *blue, *red));
                rgb.extend(matrix.rgb(*second, *blue, *red));
            }
            rgb.truncate((n + 1) * line);
        }
        rgb
    }
}

/// CSI-2's RAW10: the fifth byte has the lower two bits of each, the first sample's lowest.
fn four_of_ten([a, b, c, d, low]: [u8; 5]) -> [u16; 4] {
    let sample = |high: u8, shift: u8| u16::from(high) << 2 | u16::from(low >> shift & 3);
    [sample(a, 0), sample(b, 2), sample(c, 4), sample(d, 6)]
}

/// CSI-2's RAW12: the third byte has the lower four bits of both, the first sample's lowest.
fn two_of_twelve([a, b, low]: [u8; 3]) -> [u16; 2] {
    let sample = |high: u8, shift: u8| u16::from(high) << 4 | u16::from(low >> shift & 15);
    [sample(a, 0), sample(b, 4)]
}

/// From brightness and colour differences to red, green and blue, in 65536ths.
///
/// ITU-R BT.601: Y = 0.299 R + 0.587 G + 0.114 B, Cb = (B - Y) / 1.772, Cr = (R - Y) / 1.402; Y takes 219 of 255 steps
/// from 16 on and the differences 224 around 128, or all of them.
struct Bt601 {
    black: i32,
    bright: i32,
    red: i32,
    green: (i32, i32),
    blue: i32,
}

impl Bt601 {
    fn new(full_range: bool) -> Self {
        let (black, of_y, of_c) = if full_range { (0, 255.0, 255.0) } else { (16, 219.0, 224.0) };
        #[expect(clippy::cast_possible_truncation, reason = "below 2^18")]
        let fixed = |factor: f64| (factor * 65_536.0).round() as i32;
        let difference = |factor: f64| fixed(factor * 255.0 / of_c);
        Self {
            black,
            bright: fixed(255.0 / of_y),
            red: difference(1.402),
            green: (difference(1.772 * 0.114 / 0.587), difference(1.402 * 0.299 / 0.587)),
            blue: difference(1.772),
        }
    }

    fn rgb(&self, y: u8, cb: u8, cr: u8) -> [u8; 3] {
        let light = (i32::from(y) - self.black) * self.bright + 32_768;
        let (cb, cr) = (i32::from(cb) - 128, i32::from(cr) - 128);
        let colours =
            [light + self.red * cr, light - self.green.0 * cb - self.green.1 * cr, light + self.blue * cb];
        colours.map(|colour| (colour >> 16).clamp(0, 255) as u8)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLOURS: Colours = Colours { black: 64, balance: Balance::Picture };

    fn shape(layout: Layout, width: u32, height: u32, stride: usize) -> Shape {
        Shape { layout, width, height, stride, full_range: false }
    }

    fn samples(bits: u8, packing: Packing, width: u32, stride: usize, bytes: &[u8]) -> Vec<u16> {
        let shape = shape(Layout::Raw(Pattern::Bggr, bits, packing), width, 2, stride);
        assert!(shape.whole(bytes).is_some());
        let mosaic = shape.raw(bytes, COLOURS).unwrap();
        assert_eq!((mosaic.pattern, mosaic.bits, mosaic.black), (Pattern::Bggr, bits, 64));
        assert_eq!(shape.pixels(bytes, COLOURS), Pixels::Bayer(mosaic.clone()));
        mosaic.samples
    }

    #[test]
    fn samples_are_found_in_bytes_words_and_groups_without_what_fills_a_line() {
        assert_eq!(samples(8, Packing::Bytes, 2, 3, &[1, 255, 0, 3, 4]), [1, 255, 3, 4]);
        let words = [0xBC, 0x0A, 0xFF, 0x0F, 9, 9, 0x01, 0x00, 0x00, 0x01];
        assert_eq!(samples(12, Packing::Words, 2, 6, &words), [0xABC, 0xFFF, 1, 0x100]);
        assert_eq!(samples(16, Packing::Words, 1, 2, &[0x34, 0x12, 0xFF, 0xFF]), [0x1234, 0xFFFF]);
        // 0x3FF, 0, 1 and 2; then five pixels need a second group of which four fifths are empty.
        let ten = [0xFF, 0, 0, 0, 0b10_01_00_11, 0x80, 0, 0, 0, 0b01];
        assert_eq!(samples(10, Packing::Mipi, 5, 10, &[ten, ten].concat())[..5], [0x3FF, 0, 1, 2, 0x201]);
        let twelve = [0xAB, 0x12, 0x3C, 0xFF, 0, 0x0F];
        assert_eq!(
            samples(12, Packing::Mipi, 3, 6, &[twelve, twelve].concat()),
            [0xABC, 0x123, 0xFFF, 0xABC, 0x123, 0xFFF]
        );
    }

    fn rgb(shape: &Shape, bytes: &[u8]) -> Vec<u8> {
        let Pixels::Rgb(image) = shape.pixels(bytes, COLOURS) else { panic!("no picture") };
        assert_eq!((image.width, image.height), (shape.width, shape.height));
        assert_eq!(shape.raw(bytes, COLOURS), None);
        image.rgb
    }

    #[test]
    fn brightness_and_differences_become_the_colours_that_bt_601_says() {
        // The standard's 8-bit codes of white, black, red, green and blue (its 100 % colour bars).
        let bars = [
            ([235, 128, 128], [255, 255, 255]),
            ([16, 128, 128], [0, 0, 0]),
            ([81, 90, 240], [255, 0, 0]),
            ([145, 54, 34], [0, 255, 0]),
            ([41, 240, 110], [0, 0, 255]),
        ];
        for ([y, cb, cr], expected) in bars {
            let seen = rgb(&shape(Layout::Yuyv, 2, 1, 4), &[y, cb, y, cr]);
            let off = seen.iter().zip(expected.repeat(2)).map(|(a, b): (&u8, u8)| a.abs_diff(b)).max();
            assert!(off <= Some(2), "{seen:?}, not {expected:?}");
        }
        let full = Shape { full_range: true, ..shape(Layout::Yuyv, 2, 1, 4) };
        assert_eq!(rgb(&full, &[0, 128, 255, 128]), [0, 0, 0, 255, 255, 255]);
        // An odd width: the last pixel's partner is none.
        assert_eq!(rgb(&shape(Layout::Yuyv, 1, 1, 4), &[235, 128, 16, 128]), [255, 255, 255]);
    }

    #[test]
    fn red_green_blue_and_grey_are_taken_line_by_line() {
        assert_eq!(rgb(&shape(Layout::Rgb, 1, 2, 4), &[1, 2, 3, 0, 4, 5, 6]), [1, 2, 3, 4, 5, 6]);
        assert_eq!(rgb(&shape(Layout::Grey, 2, 1, 2), &[7, 8]), [7, 7, 7, 8, 8, 8]);
    }

    #[test]
    fn what_is_not_whole_is_noticed() {
        for (_, layout) in FORMATS.into_iter().filter(|(_, layout)| *layout != Layout::Jpeg) {
            let shape = shape(layout, 7, 3, 64);
            let size = shape.whole(&[0; 192]).unwrap();
            assert_eq!(shape.whole(&vec![0; size]), Some(size), "{layout:?}");
            assert_eq!(shape.whole(&vec![0; size - 1]), None, "{layout:?}");
            assert_eq!(Shape { stride: 3, ..shape }.whole(&[0; 192]), None, "{layout:?}");
        }
        let jpeg = shape(Layout::Jpeg, 7, 3, 0);
        assert_eq!(jpeg.whole(&[0xFF, 0xD8, 1, 2, 0xFF, 0xD9, 0, 0]), Some(6));
        assert_eq!(jpeg.whole(&[0xFF, 0xD8, 1, 2, 0xFF]), None);
        assert_eq!(jpeg.whole(&[1, 0xFF, 0xD9]), None);
        assert_eq!(jpeg.whole(&[]), None);
    }

    #[test]
    fn every_mosaic_has_all_four_orders_and_its_own_name() {
        for (n, (code, layout)) in FORMATS.into_iter().enumerate() {
            assert_eq!(FourCc::try_from(code.to_string()), Ok(code));
            assert!(FORMATS[..n].iter().all(|(other, _)| *other != code), "{code} is there twice");
            if let Layout::Raw(_, bits, packing) = layout {
                let orders = [Pattern::Rggb, Pattern::Grbg, Pattern::Gbrg, Pattern::Bggr];
                let has = |order| FORMATS.iter().any(|(_, l)| *l == Layout::Raw(order, bits, packing));
                assert!(orders.into_iter().all(has), "{bits} bits, {packing:?}");
            }
        }
        assert!(FourCc::try_from("H264".to_string()).unwrap_err().contains("RG12"));
    }
}
