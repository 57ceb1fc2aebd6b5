//! Finds data sets below a folder. Follows no symbolic link: what is elsewhere is not below it.

use super::{METADATA, RECORDS};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// `img`, day, sample, acquisition, below a data folder.
const DEEPEST: usize = 4;

/// The data sets in a folder, sorted: the folder itself if it is one, else those below it.
///
/// # Errors
/// A folder cannot be read.
pub fn data_sets(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    search(folder, DEEPEST, &mut found)?;
    found.sort();
    Ok(found)
}

fn search(folder: &Path, deeper: usize, found: &mut Vec<PathBuf>) -> io::Result<()> {
    if [METADATA, RECORDS].iter().any(|name| folder.join(name).is_file()) {
        found.push(folder.into());
        return Ok(());
    }
    if deeper == 0 {
        return Ok(());
    }
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            search(&entry.path(), deeper - 1, found)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_a_data_set_or_has_some() {
        let folder = tempfile::tempdir().unwrap();
        let (a, b) = (folder.path().join("img/2026-06-01/s/a"), folder.path().join("img/2026-06-01/t/b"));
        for set in [&a, &b] {
            fs::create_dir_all(set).unwrap();
        }
        fs::write(a.join(METADATA), "{}").unwrap();
        fs::write(b.join(RECORDS), "").unwrap();
        fs::create_dir_all(folder.path().join("captures/empty")).unwrap();
        std::os::unix::fs::symlink(folder.path(), folder.path().join("img/2026-06-01/loop")).unwrap();
        assert_eq!(data_sets(folder.path()).unwrap(), [a.clone(), b]);
        assert_eq!(data_sets(&a).unwrap(), [a]);
        assert!(data_sets(&folder.path().join("none")).is_err());
    }
}
