//! How a page looks on 296 x 128 dots: the machine's name, the page's address, and that as a code for telephones. Pure.

use embedded_graphics::Pixel;
use embedded_graphics::mono_font::iso_8859_1::{FONT_6X13, FONT_10X20};
use embedded_graphics::mono_font::{MonoFont, MonoTextStyle};
use embedded_graphics::pixelcolor::BinaryColor;
use embedded_graphics::prelude::{DrawTarget, Drawable, OriginDimensions, Point, Size};
use embedded_graphics::text::{Baseline, Text};
use planktor_protocol::display::Page;
use qrcode::{Color, EcLevel, QrCode};
use std::convert::Infallible;

/// Bytes of a line, as the panel counts: its lines are the picture's columns.
pub const ACROSS: u8 = 16;
/// Its lines.
pub const LINES: u16 = 296;
/// The picture's height.
const HEIGHT: u16 = 128;

/// Dots around everything.
const MARGIN: i32 = 8;
/// Modules of white that a code wants around it (ISO/IEC 18004, section 9.1: 4; the margin is among them).
const QUIET: usize = 2;
/// A code of smaller modules is not read by telephones.
const LEAST_SCALE: usize = 2;

/// A picture as the panel takes it: 1 is white.
#[derive(Clone, PartialEq, Eq)]
pub struct Bitmap(Vec<u8>);

impl Bitmap {
    fn white() -> Self {
        Self(vec![0xFF; usize::from(ACROSS) * usize::from(LINES)])
    }

    /// Line by line, the highest bit first.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// Where a dot is. The picture lies on its side: its right-most column is the panel's first line.
    fn place(x: i32, y: i32) -> Option<(usize, u8)> {
        let (x, y) = (u16::try_from(x).ok()?, u16::try_from(y).ok()?);
        let inside = x < LINES && y < HEIGHT;
        let line = usize::from(LINES.checked_sub(1 + x)?);
        inside.then(|| (line * usize::from(ACROSS) + usize::from(y / 8), 0x80 >> (y % 8)))
    }

    fn black(&mut self, x: i32, y: i32) {
        if let Some((byte, bit)) = Self::place(x, y) {
            self.0[byte] &= !bit;
        }
    }

    #[cfg(test)]
    fn is_black(&self, x: i32, y: i32) -> bool {
        Self::place(x, y).is_some_and(|(byte, bit)| self.0[byte] & bit == 0)
    }
}

impl OriginDimensions for Bitmap {
    fn size(&self) -> Size {
        Size::new(LINES.into(), HEIGHT.into())
    }
}

impl DrawTarget for Bitmap {
    type Color = BinaryColor;
    type Error = Infallible;

    /// On is black; what is outside is left out.
    fn draw_iter<I: IntoIterator<Item = Pixel<BinaryColor>>>(&mut self, pixels: I) -> Result<(), Infallible> {
        for Pixel(Point { x, y }, colour) in pixels {
            if colour.is_on() {
                self.black(x, y);
            }
        }
        Ok(())
    }
}

/// The picture of a page; white, if there is none.
pub fn draw(page: Option<&Page>) -> Bitmap {
    let mut bitmap = Bitmap::white();
    let Some(Page { url, name }) = page else { return bitmap };
    let right = code(&mut bitmap, url);
    let below = words(&mut bitmap, name, &FONT_10X20, MARGIN, right);
    words(&mut bitmap, url, &FONT_6X13, below + MARGIN, right);
    bitmap
}

/// Draws the code at the right end, as large as it can be; says where it begins.
fn code(bitmap: &mut Bitmap, url: &str) -> i32 {
    let none = i32::from(LINES);
    let Some(code) =
        (!url.is_empty()).then(|| QrCode::with_error_correction_level(url, EcLevel::L).ok()).flatten()
    else {
        return none;
    };
    let modules = code.width();
    let scale = usize::from(HEIGHT) / (modules + 2 * QUIET);
    if scale < LEAST_SCALE {
        return none;
    }
    let side = modules * scale;
    let dots = |n: usize| i32::try_from(n).unwrap_or(i32::MAX);
    let top = (i32::from(HEIGHT) - dots(side)) / 2;
    let left = none - top - dots(side);
    for (n, module) in code.to_colors().into_iter().enumerate() {
        let (x, y) = (n % modules * scale, n / modules * scale);
        for (dx, dy) in (0..scale * scale).map(|n| (n % scale, n / scale)) {
            if module == Color::Dark {
                bitmap.black(left + dots(x + dx), top + dots(y + dy));
            }
        }
    }
    left
}

/// Writes a text from the left margin to where the code begins, in as many rows as it needs; says where the last one ends.
fn words(bitmap: &mut Bitmap, text: &str, font: &MonoFont<'_>, top: i32, right: i32) -> i32 {
    let Size { width, height } = font.character_size;
    let across = usize::try_from(right - 2 * MARGIN).unwrap_or(0) / width as usize;
    let style = MonoTextStyle::new(font, BinaryColor::On);
    let mut y = top;
    for row in rows(text, across.max(1)) {
        // It cannot fail: the bitmap takes everything.
        let _ = Text::with_baseline(&row, Point::new(MARGIN, y), style, Baseline::Top).draw(bitmap);
        y = y.saturating_add_unsigned(height);
    }
    y
}

/// Breaks a text where names and addresses have joints, or else where a row is full.
fn rows(text: &str, across: usize) -> Vec<String> {
    let mut rows = vec![];
    let mut row = String::new();
    for part in text.split_inclusive(['-', '/', '.', ' ']) {
        let fits = row.chars().count() + part.chars().count() <= across;
        if !fits && !row.is_empty() {
            rows.push(std::mem::take(&mut row));
        }
        for letter in part.chars() {
            if row.chars().count() == across {
                rows.push(std::mem::take(&mut row));
            }
            row.push(letter);
        }
    }
    rows.push(row);
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two rows of dots a line of text.
    fn art(bitmap: &Bitmap) -> String {
        let row = |y: i32| -> String {
            let two = |x| match (bitmap.is_black(x, y), bitmap.is_black(x, y + 1)) {
                (false, false) => ' ',
                (true, false) => '▀',
                (false, true) => '▄',
                (true, true) => '█',
            };
            let row: String = (0..i32::from(LINES)).map(two).collect();
            format!("{}\n", row.trim_end())
        };
        (0..i32::from(HEIGHT)).step_by(2).map(row).collect()
    }

    fn page(url: &str, name: &str) -> Page {
        Page { url: url.into(), name: name.into() }
    }

    #[test]
    fn a_page_looks_as_it_was_looked_at() {
        let drawn = art(&draw(Some(&page("http://planktoscope.local", "metal-slope-23501"))));
        assert!(drawn == include_str!("page.txt"), "{drawn}");
    }

    #[test]
    fn nothing_is_white_and_everything_else_fits() {
        assert!(draw(None).bytes().iter().all(|byte| *byte == 0xFF));
        for text in ["", "x", "\u{e9}\u{1F41F}\n\0", &"long ".repeat(60)] {
            assert_eq!(draw(Some(&page(text, text))).bytes().len(), 4_736);
        }
    }

    #[test]
    fn the_panels_first_line_is_the_pictures_right_edge() {
        let mut bitmap = Bitmap::white();
        bitmap.black(295, 0);
        bitmap.black(0, 127);
        bitmap.black(296, 0);
        bitmap.black(0, -1);
        let black: Vec<_> = bitmap.bytes().iter().enumerate().filter(|(_, byte)| **byte != 0xFF).collect();
        assert_eq!(black, [(0, &0x7F), (4_735, &0xFE)]);
    }
}
