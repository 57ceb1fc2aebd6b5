//! The data root, as requests see it: nothing outside it can be opened, whatever a name says and wherever a symbolic link
//! leads. The kernel keeps that promise (openat2), not a look at the name before.

use super::refusal::Refusal;
use axum::http::StatusCode;
use rustix::fs::{Mode, OFlags, ResolveFlags, open, openat2};
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

/// File systems allow 255 bytes a name.
const LONGEST: usize = 255;

/// An open folder, and where it is.
#[derive(Debug)]
pub(super) struct Root {
    folder: OwnedFd,
    path: PathBuf,
}

impl Root {
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let folder = open(path, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
        Ok(Self { folder, path: path.into() })
    }

    /// Opens a file.
    ///
    /// # Errors
    /// [`StatusCode::NOT_FOUND`] if there is no such file, or it is none, or its name is none.
    pub(super) fn file(&self, parts: &[&str]) -> Result<File, Refusal> {
        let file = self.at(parts, OFlags::NONBLOCK)?;
        match file.metadata() {
            Ok(metadata) if metadata.is_file() => Ok(file),
            _ => Err(Refusal::nothing("such file")),
        }
    }

    /// The path of a folder that is really there, without symbolic links below the root.
    ///
    /// # Errors
    /// The same.
    pub(super) fn folder(&self, parts: &[&str]) -> Result<PathBuf, Refusal> {
        self.at(parts, OFlags::DIRECTORY)?;
        Ok(parts.iter().fold(self.path.clone(), |path, part| path.join(part)))
    }

    /// The names in a folder, sorted; those that are not UTF-8 are left out, for no address names them.
    pub(super) fn names(&self, parts: &[&str]) -> Result<Vec<String>, Refusal> {
        let failed = |why: io::Error| {
            Refusal::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                format!("the folder cannot be read: {why}; check the disk"),
            )
        };
        let folder = self.at(parts, OFlags::DIRECTORY)?;
        let entries = rustix::fs::Dir::new(folder).map_err(|why| failed(why.into()))?;
        let mut names = Vec::new();
        for entry in entries {
            let entry = entry.map_err(|why| failed(why.into()))?;
            names.extend(entry.file_name().to_str().ok().filter(|name| is_plain(name)).map(str::to_owned));
        }
        names.sort();
        Ok(names)
    }

    fn at(&self, parts: &[&str], flags: OFlags) -> Result<File, Refusal> {
        if !parts.iter().all(|part| is_plain(part)) {
            return Err(Refusal::nothing("such name"));
        }
        let path = if parts.is_empty() { ".".into() } else { parts.join("/") };
        let within = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | flags;
        openat2(&self.folder, path, flags, Mode::empty(), within).map(File::from).map_err(|why| {
            use rustix::io::Errno;
            match why {
                Errno::NOENT
                | Errno::NOTDIR
                | Errno::LOOP
                | Errno::XDEV
                | Errno::NAMETOOLONG
                | Errno::NXIO => Refusal::nothing("such file or folder"),
                why => Refusal::new(
                    StatusCode::INTERNAL_SERVER_ERROR,
                    format!("{} cannot be opened: {why}; check the disk", parts.join("/")),
                ),
            }
        })
    }

    /// Bytes that are free for us, and in all.
    pub(super) fn space(&self) -> Option<[u64; 2]> {
        let space = rustix::fs::fstatvfs(&self.folder).ok()?;
        Some([space.f_bavail * space.f_frsize, space.f_blocks * space.f_frsize])
    }
}

/// One name, that leads nowhere else.
fn is_plain(name: &str) -> bool {
    !matches!(name, "" | "." | "..")
        && name.len() <= LONGEST
        && !name.contains(|c: char| c == '/' || c.is_control())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn nothing_outside_is_opened() {
        let folder = tempfile::tempdir().unwrap();
        let (inside, outside) = (folder.path().join("data"), folder.path().join("secret"));
        std::fs::create_dir_all(inside.join("img/a")).unwrap();
        std::fs::write(inside.join("img/a/f.jpg"), b"frame").unwrap();
        std::fs::write(&outside, b"secret").unwrap();
        symlink(&outside, inside.join("img/a/link.jpg")).unwrap();
        symlink(folder.path(), inside.join("img/b")).unwrap();
        symlink("a", inside.join("img/c")).unwrap();
        let root = Root::open(&inside).unwrap();
        assert!(root.file(&["img", "a", "f.jpg"]).is_ok());
        for parts in [
            &["img", "a", "link.jpg"][..],
            &["img", "b", "secret"],
            &["img", "c", "f.jpg"],
            &["..", "secret"],
            &["img", "..", "..", "secret"],
            &["../secret"],
            &["img/a", "f.jpg"],
            &["img", "a", "\0"],
            &["img", "a", ""],
            &["img", "a"],
            &["/etc/passwd"],
        ] {
            assert_eq!(root.file(parts).unwrap_err().status, StatusCode::NOT_FOUND, "{parts:?}");
        }
        assert!(root.folder(&["img", "b"]).is_err() && root.names(&["img", "b"]).is_err());
        assert_eq!(root.names(&["img", "a"]).unwrap(), ["f.jpg", "link.jpg"]);
    }

    #[test]
    fn a_pipe_is_no_file_and_holds_nobody_up() {
        let folder = tempfile::tempdir().unwrap();
        rustix::fs::mkfifoat(rustix::fs::CWD, folder.path().join("p.jpg"), Mode::from_raw_mode(0o600))
            .unwrap();
        let root = Root::open(folder.path()).unwrap();
        assert_eq!(root.file(&["p.jpg"]).unwrap_err().status, StatusCode::NOT_FOUND);
    }
}
