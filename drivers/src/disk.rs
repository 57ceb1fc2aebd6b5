//! Every way in which a data set touches a disk: few operations, each of which can fail, be slow, or be lost in a
//! power cut until it is synced.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// For disk authors: an operation that returns is done for whoever reads, and not yet safe from a power cut; only
/// `sync` and `sync_dir` make what they name safe.
pub trait Disk: Send + Sync {
    /// Creates a folder and those above it. One that exists is right.
    ///
    /// # Errors
    /// The disk's.
    fn create_dir_all(&mut self, path: &Path) -> io::Result<()>;
    /// Creates a folder that must not exist.
    ///
    /// # Errors
    /// [`io::ErrorKind::AlreadyExists`], or the disk's.
    fn create_dir(&mut self, path: &Path) -> io::Result<()>;
    /// Writes a whole file, replacing one that exists.
    ///
    /// # Errors
    /// The disk's; the file may then be there in part.
    fn write(&mut self, path: &Path, bytes: &[u8]) -> io::Result<()>;
    /// Adds to the end of a file, which is created if need be.
    ///
    /// # Errors
    /// The disk's; a part of the bytes may then be there.
    fn append(&mut self, path: &Path, bytes: &[u8]) -> io::Result<()>;
    /// Makes a file's content safe.
    ///
    /// # Errors
    /// The disk's.
    fn sync(&mut self, path: &Path) -> io::Result<()>;
    /// Gives a file another name, at once.
    ///
    /// # Errors
    /// The disk's.
    fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes a file.
    ///
    /// # Errors
    /// The disk's.
    fn remove(&mut self, path: &Path) -> io::Result<()>;
    /// Makes the names in a folder safe.
    ///
    /// # Errors
    /// The disk's.
    fn sync_dir(&mut self, path: &Path) -> io::Result<()>;
    /// Reads a whole file.
    ///
    /// # Errors
    /// The disk's.
    fn read(&self, path: &Path) -> io::Result<Vec<u8>>;
    /// The names in a folder, sorted.
    ///
    /// # Errors
    /// The disk's.
    fn list(&self, path: &Path) -> io::Result<Vec<PathBuf>>;
    /// What is under a name; a link is not followed.
    ///
    /// # Errors
    /// The disk's.
    fn kind(&self, path: &Path) -> io::Result<Kind>;
    /// Bytes that are free for an ordinary user, where this path is.
    ///
    /// # Errors
    /// The disk's.
    fn free(&self, path: &Path) -> io::Result<u64>;
}

/// What can be under a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A plain file of so many bytes.
    File(u64),
    /// A folder.
    Folder,
    /// A link, a device…
    Other,
}

/// The computer's own file system.
#[derive(Clone, Copy, Debug, Default)]
pub struct FileSystem;

/// A file that is there or is created; never what a link under its name leads to.
fn own(how: &mut OpenOptions, path: &Path) -> io::Result<File> {
    let no_link = rustix::fs::OFlags::NOFOLLOW.bits();
    how.create(true).custom_flags(no_link.cast_signed()).open(path)
}

impl Disk for FileSystem {
    fn create_dir_all(&mut self, path: &Path) -> io::Result<()> {
        fs::create_dir_all(path)
    }
    fn create_dir(&mut self, path: &Path) -> io::Result<()> {
        fs::create_dir(path)
    }
    fn write(&mut self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        own(File::options().write(true).truncate(true), path)?.write_all(bytes)
    }
    fn append(&mut self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        own(File::options().append(true), path)?.write_all(bytes)
    }
    fn sync(&mut self, path: &Path) -> io::Result<()> {
        File::open(path)?.sync_data()
    }
    fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }
    fn remove(&mut self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }
    fn sync_dir(&mut self, path: &Path) -> io::Result<()> {
        File::open(path)?.sync_all()
    }
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        fs::read(path)
    }
    fn list(&self, path: &Path) -> io::Result<Vec<PathBuf>> {
        let mut names =
            fs::read_dir(path)?.map(|entry| entry.map(|e| e.path())).collect::<io::Result<Vec<_>>>()?;
        names.sort();
        Ok(names)
    }
    fn kind(&self, path: &Path) -> io::Result<Kind> {
        let about = fs::symlink_metadata(path)?;
        Ok(match about.file_type() {
            kind if kind.is_file() => Kind::File(about.len()),
            kind if kind.is_dir() => Kind::Folder,
            _ => Kind::Other,
        })
    }
    fn free(&self, path: &Path) -> io::Result<u64> {
        let about = rustix::fs::statvfs(path)?;
        Ok(about.f_bavail.saturating_mul(about.f_frsize))
    }
}
