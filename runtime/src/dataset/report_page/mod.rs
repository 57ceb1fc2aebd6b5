//! One page that tells everything of a data set to somebody who has nothing else: what is odd, where, when, how still, how
//! bright, every frame, and whether the files are as they were written. It is one file, needs no network and no script, and
//! weighs less than 2 MB. Writes nothing into the data set.
//!
//! [`facts`] computes, [`oddities`] says what is odd, [`sections`] writes it down, with [`map`] and [`chart`] as pictures. What
//! strangers wrote goes through maud, which escapes it.

mod chart;
mod facts;
mod globe;
mod map;
mod oddities;
mod sections;
#[cfg(test)]
mod tests;
mod thumbnails;
mod words;

use super::reading::Set;
use super::verify::verify;
use facts::Facts;
use std::io;
use std::path::Path;

/// What a browser may do with it, whatever a stranger's metadata says: fetch nothing and run nothing.
pub const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; img-src data:";

/// The page of a data set. Frames are made small on so many threads, and the files are verified beside; `progress` is
/// told how many frames are done, of how many.
///
/// # Errors
/// The folder cannot be listed. Everything else that is wrong with it is said in the page.
pub fn report_page(
    folder: &Path,
    threads: usize,
    progress: &(dyn Fn(usize, usize) + Sync),
) -> io::Result<String> {
    let set = Set::read(folder)?;
    let all = set.shots.len().min(thumbnails::MOST);
    let done = std::sync::atomic::AtomicUsize::new(0);
    let made = || progress(done.fetch_add(1, std::sync::atomic::Ordering::Relaxed) + 1, all);
    let (verified, thumbnails) = std::thread::scope(|scope| {
        let verified = scope.spawn(|| verify(folder));
        let thumbnails = thumbnails::thumbnails(folder, &set.shots, threads, &made);
        (verified.join(), thumbnails)
    });
    let verified = verified.map_err(|_| io::Error::other("the check panicked; please report it"))?;
    Ok(sections::page(&Facts::of(set, verified, thumbnails)).into_string())
}
