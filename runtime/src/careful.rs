//! A disk for whoever keeps something: what is written is safe when it returns, and errors say what to do.

use planktor_drivers::disk::{Disk, Kind};
use std::cmp::Ordering;
use std::io;
use std::path::{Path, PathBuf};

/// Follows the name of a file that is being written; no viewer takes such a file for a frame.
pub(crate) const PART: &str = ".part";

/// A disk whose errors say what failed, where, why and what to do, and whose writing is safe when it returns.
pub(crate) struct Careful(pub(crate) Box<dyn Disk>);

impl Careful {
    /// Makes a folder and those above it, up to `root`, for good. Nothing that is none is passed through: a link could lead
    /// anywhere.
    pub(crate) fn create_below(&mut self, root: &Path, folder: &Path) -> Result<(), String> {
        self.0.create_dir_all(root).map_err(|why| failed("create the folder", root, &why))?;
        let below: Vec<_> = folder.ancestors().take_while(|above| *above != root).collect();
        for folder in below.into_iter().rev() {
            self.create_dir(folder)?;
            self.folder(folder)?;
            self.sync_dir(folder.parent().unwrap_or(root))?;
        }
        Ok(())
    }

    /// Whether a folder is one, and no link.
    pub(crate) fn folder(&self, path: &Path) -> Result<(), String> {
        match self.0.kind(path) {
            Ok(Kind::Folder) => Ok(()),
            Ok(Kind::File(_) | Kind::Other) => Err(format!(
                "{} is no folder; a link is not followed out of the data folder: say --data for another place, or mount it \
                 there",
                path.display()
            )),
            Err(why) => Err(failed("look at", path, &why)),
        }
    }

    /// Whether it is new.
    pub(crate) fn create_dir(&mut self, path: &Path) -> Result<bool, String> {
        match self.0.create_dir(path) {
            Ok(()) => Ok(true),
            Err(why) if why.kind() == io::ErrorKind::AlreadyExists => Ok(false),
            Err(why) => Err(failed("create the folder", path, &why)),
        }
    }

    pub(crate) fn is_empty_folder(&self, path: &Path) -> bool {
        matches!(self.0.kind(path), Ok(Kind::Folder)) && self.0.list(path).is_ok_and(|names| names.is_empty())
    }

    pub(crate) fn write(&mut self, path: &Path, bytes: &[u8]) -> Result<(), String> {
        self.0.write(path, bytes).map_err(|why| failed("write", path, &why))?;
        self.sync(path)
    }

    pub(crate) fn append(&mut self, path: &Path, bytes: &[u8]) -> Result<(), String> {
        self.0.append(path, bytes).map_err(|why| failed("append to", path, &why))?;
        self.sync(path)
    }

    pub(crate) fn sync(&mut self, path: &Path) -> Result<(), String> {
        self.0.sync(path).map_err(|why| failed("sync", path, &why))
    }

    pub(crate) fn sync_dir(&mut self, path: &Path) -> Result<(), String> {
        self.0.sync_dir(path).map_err(|why| failed("sync the folder", path, &why))
    }

    pub(crate) fn rename(&mut self, from: &Path, to: &Path) -> Result<(), String> {
        self.0.rename(from, to).map_err(|why| failed("rename", from, &why))
    }

    /// A rename that may not have happened at all.
    pub(crate) fn rename_back(&mut self, from: &Path, to: &Path) -> Result<(), String> {
        if_there(self.0.rename(from, to)).map_err(|why| failed("rename", from, &why))
    }

    /// Of a file that may not be there.
    pub(crate) fn remove(&mut self, path: &Path) -> Result<(), String> {
        if_there(self.0.remove(path)).map_err(|why| failed("remove", path, &why))
    }

    pub(crate) fn read(&self, path: &Path) -> Result<Vec<u8>, String> {
        self.0.read(path).map_err(|why| failed("read", path, &why))
    }

    /// Replaces a file below `root` by another content, or leaves it as it was, whenever the power goes; its folder may be
    /// new.
    pub(crate) fn replace(&mut self, root: &Path, path: &Path, bytes: &[u8]) -> Result<(), String> {
        self.create_below(root, path.parent().unwrap_or(root))?;
        self.exchange(path, bytes)
    }

    /// The same in a folder that is there.
    pub(crate) fn exchange(&mut self, path: &Path, bytes: &[u8]) -> Result<(), String> {
        let mut name = path.file_name().unwrap_or_default().to_owned();
        name.push(PART);
        let part = path.with_file_name(name);
        self.write(&part, bytes)?;
        self.rename(&part, path)?;
        self.sync_dir(path.parent().unwrap_or(path))
    }

    /// Cuts a file to a length, at once or not at all: a copy takes its place.
    pub(crate) fn cut(&mut self, path: &Path, length: usize) -> Result<(), String> {
        let content = self.read(path)?;
        match content.len().cmp(&length) {
            Ordering::Less => {
                Err(format!("failed to repair {}: it has become shorter; run verify", path.display()))
            }
            Ordering::Equal => Ok(()),
            Ordering::Greater => self.exchange(path, &content[..length]),
        }
    }

    pub(crate) fn free(&self, path: &Path) -> Result<u64, String> {
        self.0.free(path).map_err(|why| failed("ask for the free space at", path, &why))
    }

    /// `None` if there is no such file.
    pub(crate) fn read_if_there(&self, path: &Path) -> Result<Option<Vec<u8>>, String> {
        match self.0.read(path) {
            Err(why) if why.kind() == io::ErrorKind::NotFound => Ok(None),
            read => read.map(Some).map_err(|why| failed("read", path, &why)),
        }
    }

    /// The files in a folder that need not exist.
    pub(crate) fn list(&self, folder: &Path) -> Result<Vec<PathBuf>, String> {
        match self.0.list(folder) {
            Err(why) if why.kind() == io::ErrorKind::NotFound => Ok(vec![]),
            list => list.map_err(|why| failed("list", folder, &why)),
        }
    }
}

fn if_there(result: io::Result<()>) -> io::Result<()> {
    result.or_else(|why| if why.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(why) })
}

fn failed(what: &str, path: &Path, why: &io::Error) -> String {
    let remedy = match why.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "free some space",
        io::ErrorKind::PermissionDenied => "give the program's user the right to write there",
        io::ErrorKind::ReadOnlyFilesystem => "check the disk, then mount it for writing",
        io::ErrorKind::NotFound => "check that the disk is mounted",
        _ => "check the disk",
    };
    format!("failed to {what} {}: {why}; {remedy}", path.display())
}
