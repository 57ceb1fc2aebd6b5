//! A data set at a glance: its frames as thumbnails on one sheet. Never writes into the data set, whose frames viewers
//! count.

use super::encoder::{QUALITY, jpeg};
use super::looks_like_frame;
use super::picture::decode;
use planktor_protocol::camera::Image;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Thumbnails are an eighth, a quarter or a half of their frames, whichever first reaches so many pixels on one side.
const SIDE: u16 = 400;
/// More make no glance.
const MOST: usize = 100;
/// White between the thumbnails, in pixels.
const GAP: usize = 8;

/// Why there is no sheet.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The folder cannot be read.
    #[error("failed to list {0}: {1}; check the path")]
    Folder(PathBuf, io::Error),
    /// Nothing to show.
    #[error("there is no frame in {0}; give the folder of a data set")]
    Empty(PathBuf),
    /// A frame is damaged.
    #[error("failed to show {0}: {1}; run verify on the data set")]
    Frame(PathBuf, String),
    /// The sheet would be taken for a frame.
    #[error("{0} is in the data set, where viewers would count it as a frame; choose another folder")]
    Inside(PathBuf),
    /// The sheet cannot be written.
    #[error("failed to write {0}: {1}; check the folder and its disk")]
    Sheet(PathBuf, String),
}

/// Writes a JPEG with at most 100 frames, evenly chosen, row by row in order of time, and says where.
///
/// # Errors
/// There is no readable frame in `folder`, or `sheet` is in it or cannot be written.
pub fn contact_sheet(folder: &Path, sheet: &Path) -> Result<PathBuf, Error> {
    let sheet = std::path::absolute(sheet).map_err(|why| Error::Sheet(sheet.into(), why.to_string()))?;
    let inside = sheet.parent().and_then(|above| fs::canonicalize(above).ok());
    if inside.is_some_and(|above| fs::canonicalize(folder).is_ok_and(|set| above.starts_with(set))) {
        return Err(Error::Inside(sheet));
    }
    let thumbnails = chosen(folder)?.iter().map(|path| thumbnail(path)).collect::<Result<Vec<_>, _>>()?;
    let failed = |why: String| Error::Sheet(sheet.clone(), why);
    let bytes = jpeg(&arranged(&thumbnails), QUALITY).map_err(failed)?;
    fs::write(&sheet, bytes).map_err(|why| failed(why.to_string()))?;
    Ok(sheet)
}

fn chosen(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    let names = fs::read_dir(folder).and_then(|all| all.map(|e| e.map(|e| e.file_name())).collect());
    let mut names: Vec<_> = names.map_err(|why| Error::Folder(folder.into(), why))?;
    names.retain(|name| name.to_str().is_some_and(looks_like_frame));
    names.sort();
    let shown = names.len().min(MOST);
    if shown == 0 {
        return Err(Error::Empty(folder.into()));
    }
    Ok((0..shown).map(|n| folder.join(&names[n * names.len() / shown])).collect())
}

/// Decodes no more of a frame than its thumbnail shows.
fn thumbnail(path: &Path) -> Result<Image, Error> {
    let failed = |why: String| Error::Frame(path.into(), why);
    let file = fs::read(path).map_err(|why| failed(why.to_string()))?;
    decode(&file, SIDE).map_err(failed)
}

/// As near to a square of thumbnails as their number allows; each has the room of the largest.
fn arranged(thumbnails: &[Image]) -> Image {
    let columns = (1..).find(|n| n * n >= thumbnails.len()).unwrap_or(1);
    let rows = thumbnails.len().div_ceil(columns);
    let cell = |side: fn(&Image) -> u32| thumbnails.iter().map(side).max().unwrap_or(0) as usize + GAP;
    let (across, down) = (cell(|t| t.width), cell(|t| t.height));
    let (width, height) = (GAP + columns * across, GAP + rows * down);
    let mut rgb = vec![0xff; width * height * 3];
    for (n, thumbnail) in thumbnails.iter().enumerate() {
        let (left, top) = (GAP + n % columns * across, GAP + n / columns * down);
        for (y, line) in thumbnail.rgb.chunks_exact(thumbnail.width as usize * 3).enumerate() {
            let start = ((top + y) * width + left) * 3;
            rgb[start..start + line.len()].copy_from_slice(line);
        }
    }
    let side = |pixels| u32::try_from(pixels).unwrap_or(u32::MAX);
    Image { width: side(width), height: side(height), rgb }
}
