//! The frames made small enough that hundreds of them travel in one page, and what can be measured on the way.

use crate::dataset::encoder::jpeg;
use crate::dataset::picture::{Figures, decode, figures, reduced};
use crate::dataset::reading::Shot;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

/// More frames than this are not shown, but chosen from evenly.
pub(super) const MOST: usize = 400;
/// Bytes of all thumbnails together, before base64 makes them longer by a third: so the page stays below 2 MB.
const ALL: usize = 1_200_000;
/// No thumbnail takes more, however few they are.
const ONE: usize = 24_000;
/// From the best that fits.
const QUALITIES: [u8; 6] = [80, 65, 50, 35, 20, 8];
/// Pixels across: fewer frames are shown larger.
const WIDTHS: [(usize, u32); 3] = [(48, 320), (120, 200), (MOST, 128)];
/// No frame is larger.
const LARGEST: u64 = 256 << 20;

/// A frame made small.
#[derive(Debug)]
pub(super) struct Thumbnail {
    /// Which shot.
    pub(super) shot: usize,
    /// As an address that holds the picture itself, with its width and height; else why not.
    pub(super) picture: Result<(String, u32, u32), String>,
    /// Measured on the small copy.
    pub(super) figures: Option<Figures>,
}

/// Makes them, in order of the shots; `made` is called after each.
pub(super) fn thumbnails(
    folder: &Path,
    shots: &[Shot],
    threads: usize,
    made: &(dyn Fn() + Sync),
) -> Vec<Thumbnail> {
    let shown = shots.len().min(MOST);
    let chosen: Vec<usize> = (0..shown).map(|n| n * shots.len() / shown).collect();
    let width = WIDTHS.iter().find(|(frames, _)| shown <= *frames).map_or(128, |(_, width)| *width);
    let most = (ALL / shown.max(1)).min(ONE);
    let next = AtomicUsize::new(0);
    let mut all = std::thread::scope(|scope| {
        let work = || {
            let mut mine = Vec::new();
            while let Some(shot) = chosen.get(next.fetch_add(1, Ordering::Relaxed)) {
                mine.push(thumbnail(folder, *shot, &shots[*shot], width, most));
                made();
            }
            mine
        };
        let workers: Vec<_> = (0..threads.clamp(1, shown.max(1))).map(|_| scope.spawn(work)).collect();
        let join = |worker: std::thread::ScopedJoinHandle<'_, Vec<_>>| worker.join().unwrap_or_default();
        workers.into_iter().flat_map(join).collect::<Vec<_>>()
    });
    all.sort_by_key(|thumbnail| thumbnail.shot);
    all
}

fn thumbnail(folder: &Path, n: usize, shot: &Shot, width: u32, most: usize) -> Thumbnail {
    let failed = |why| Thumbnail { shot: n, picture: Err(why), figures: None };
    if shot.size.is_none() {
        return failed("it is not there".into());
    }
    let mut bytes = Vec::new();
    let read =
        File::open(folder.join(&shot.name)).and_then(|file| file.take(LARGEST).read_to_end(&mut bytes));
    if let Err(why) = read {
        return failed(format!("it cannot be read: {why}"));
    }
    let image = match decode(&bytes, u16::try_from(width).unwrap_or(u16::MAX)) {
        Ok(image) => image,
        Err(why) => return failed(format!("it is no whole picture: {why}")),
    };
    let small = reduced(&image, (image.width + width / 2) / width);
    Thumbnail {
        shot: n,
        picture: address(&small, most).map(|text| (text, small.width, small.height)),
        figures: Some(figures(&image)),
    }
}

fn address(image: &planktor_protocol::camera::Image, most: usize) -> Result<String, String> {
    for quality in QUALITIES {
        let bytes = jpeg(image, quality)?;
        if bytes.len() <= most {
            return Ok(format!("data:image/jpeg;base64,{}", STANDARD.encode(bytes)));
        }
    }
    // Noise does not get smaller by saying it worse.
    match image.width > 16 {
        true => address(&reduced(image, 2), most),
        false => Err("it cannot be made small enough".into()),
    }
}
