//! The twin's disks: a file system in memory that knows what a power cut may leave of it, and any disk made to fail
//! while the world says so. How long anything takes is not its business: durations are modelled elsewhere.
//!
//! What was not synced may survive a power cut in any part and order: every name by itself (a rename as a whole), and of
//! every file what was safe, everything, or a part torn at 4 KiB, at any byte of a small write, or zeros where the
//! length was written and the content was not. So a power cut is a row of choices: drawn by seed, or enumerated.

use crate::Parameters;
use crate::board::Twin;
use crate::faults::Fault;
use crate::random::hash;
use planktor_drivers::Disk;
use planktor_drivers::disk::Kind;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What a file system writes at once.
const PAGE: usize = 4096;

/// A file system in memory. Clones are the same disk.
#[derive(Clone, Debug)]
pub struct MemoryDisk(Arc<Mutex<State>>);

/// How much of an operation that fails is done nevertheless.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Nothing.
    Nothing,
    /// Half of the bytes.
    Half,
    /// Everything.
    Everything,
}

#[derive(Clone, Debug)]
struct State {
    capacity: u64,
    used: u64,
    tree: Tree,
    safe: Tree,
    /// Changes of names since their folder was synced, in order.
    unsafe_names: Vec<NameChange>,
    contents: Vec<Content>,
    operations: usize,
    fails: BTreeMap<usize, Effect>,
    dies: Option<(usize, Effect)>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Tree {
    folders: BTreeSet<PathBuf>,
    files: BTreeMap<PathBuf, usize>,
}

#[derive(Clone, Debug)]
enum NameChange {
    Folder(PathBuf),
    File(PathBuf, usize),
    Renamed { from: PathBuf, to: PathBuf, content: usize },
    Removed(PathBuf),
}

/// A file's bytes, and what of them a power cut cannot take.
#[derive(Clone, Debug, Default)]
struct Content {
    bytes: Vec<u8>,
    /// How many of them, from the beginning.
    safe: usize,
    /// What was safe before the file was written anew.
    before: Option<Vec<u8>>,
}

/// Who decides what a power cut leaves.
pub trait Choose {
    /// One of so many ways; at least one.
    fn choose(&mut self, ways: usize) -> usize;
}

/// Choices that follow from a seed.
struct Drawn {
    seed: u64,
    drawn: u64,
}

impl Choose for Drawn {
    fn choose(&mut self, ways: usize) -> usize {
        self.drawn += 1;
        usize::try_from(hash(self.seed, self.drawn) % ways as u64).unwrap_or(0)
    }
}

/// All choices, one row after the other, as an odometer counts.
#[derive(Default)]
struct Every {
    row: Vec<(usize, usize)>,
    at: usize,
}

impl Choose for Every {
    fn choose(&mut self, ways: usize) -> usize {
        if self.at == self.row.len() {
            self.row.push((0, ways));
        }
        self.at += 1;
        self.row[self.at - 1].0
    }
}

impl Every {
    /// The next row; `false` after the last one.
    fn advance(&mut self) -> bool {
        self.at = 0;
        while let Some((choice, ways)) = self.row.pop() {
            if choice + 1 < ways {
                self.row.push((choice + 1, ways));
                return true;
            }
        }
        false
    }
}

impl MemoryDisk {
    /// An empty one with so many bytes.
    pub fn new(capacity: u64) -> Self {
        Self(Arc::new(Mutex::new(State {
            capacity,
            used: 0,
            tree: Tree::root(),
            safe: Tree::root(),
            unsafe_names: vec![],
            contents: vec![],
            operations: 0,
            fails: BTreeMap::new(),
            dies: None,
        })))
    }

    /// The disk of a world.
    pub fn of(parameters: &Parameters) -> Self {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "megabytes of a disk")]
        Self::new((parameters.disk_free_mb * 1e6) as u64)
    }

    /// Operations so far, reading ones too.
    pub fn operations(&self) -> usize {
        self.state().operations
    }

    /// Lets an operation fail; the first one is number zero.
    pub fn fail_at(&self, operation: usize, effect: Effect) {
        self.state().fails.insert(operation, effect);
    }

    /// Lets an operation and all after it fail: the machine is killed there.
    pub fn die_at(&self, operation: usize, effect: Effect) {
        self.state().dies = Some((operation, effect));
    }

    /// Every file with its content, sorted.
    pub fn files(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let state = self.state();
        let content = |(path, n): (&PathBuf, &usize)| (path.clone(), state.contents[*n].bytes.clone());
        state.tree.files.iter().map(content).collect()
    }

    /// Every folder, sorted.
    pub fn folders(&self) -> Vec<PathBuf> {
        self.state().tree.folders.iter().cloned().collect()
    }

    /// What is there when only the program was killed: everything, on a disk that works.
    #[must_use]
    pub fn reopened(&self) -> Self {
        let state = State { fails: BTreeMap::new(), dies: None, ..self.state().clone() };
        Self(Arc::new(Mutex::new(state)))
    }

    /// What is there after a power cut, drawn by seed.
    #[must_use]
    pub fn power_cut(&self, seed: u64) -> Self {
        self.power_cut_by(&mut Drawn { seed, drawn: 0 })
    }

    /// Everything that can be there after a power cut, one after the other; equal ones may come again.
    pub fn power_cuts(&self) -> impl Iterator<Item = Self> {
        let (disk, mut every, mut more) = (self.clone(), Every::default(), true);
        std::iter::from_fn(move || {
            let left = more.then(|| disk.power_cut_by(&mut every))?;
            more = every.advance();
            Some(left)
        })
    }

    /// What is there after a power cut, as somebody decides.
    #[must_use]
    pub fn power_cut_by(&self, choices: &mut impl Choose) -> Self {
        let state = self.state();
        let mut tree = state.safe.clone();
        for change in &state.unsafe_names {
            if choices.choose(2) == 1 {
                tree.change(change);
            }
        }
        let there = |path: &Path| path.ancestors().skip(1).all(|folder| tree.folders.contains(folder));
        let folders = tree.folders.iter().filter(|path| there(path)).cloned().collect();
        let mut files = BTreeMap::new();
        let mut contents = vec![];
        for (path, n) in tree.files.iter().filter(|(path, _)| there(path)) {
            files.insert(path.clone(), contents.len());
            contents.push(Content::safe(state.contents[*n].left_by(choices)));
        }
        let used = contents.iter().map(|content| content.bytes.len() as u64).sum();
        let tree = Tree { folders, files };
        Self(Arc::new(Mutex::new(State {
            capacity: state.capacity,
            used,
            safe: tree.clone(),
            tree,
            unsafe_names: vec![],
            contents,
            operations: 0,
            fails: BTreeMap::new(),
            dies: None,
        })))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether this operation works, and what of it is done.
    fn next(&self) -> (MutexGuard<'_, State>, io::Result<()>, Effect) {
        let mut state = self.state();
        let n = state.operations;
        state.operations += 1;
        let broken = Err(io::Error::other("the disk is broken"));
        match state.dies {
            Some((dies, _)) if n > dies => return (state, broken, Effect::Nothing),
            Some((dies, effect)) if n == dies => return (state, broken, effect),
            _ => {}
        }
        match state.fails.get(&n).copied() {
            Some(effect) => (state, broken, effect),
            None => (state, Ok(()), Effect::Everything),
        }
    }
}

impl Tree {
    fn root() -> Self {
        Self { folders: BTreeSet::from(["/".into()]), files: BTreeMap::new() }
    }

    fn change(&mut self, change: &NameChange) {
        match change {
            NameChange::Folder(path) => drop(self.folders.insert(path.clone())),
            NameChange::File(path, content) => drop(self.files.insert(path.clone(), *content)),
            NameChange::Renamed { from, to, content } => {
                self.files.remove(from);
                self.files.insert(to.clone(), *content);
            }
            NameChange::Removed(path) => drop(self.files.remove(path)),
        }
    }
}

impl NameChange {
    fn folder(&self) -> Option<&Path> {
        match self {
            Self::Folder(path) | Self::File(path, _) | Self::Removed(path) => path.parent(),
            Self::Renamed { to, .. } => to.parent(),
        }
    }
}

impl Content {
    fn safe(bytes: Vec<u8>) -> Self {
        Self { safe: bytes.len(), bytes, before: None }
    }

    /// What a power cut leaves of it.
    fn left_by(&self, choices: &mut impl Choose) -> Vec<u8> {
        if self.before.is_none() && self.safe == self.bytes.len() {
            return self.bytes.clone();
        }
        let mut ways = vec![self.before.clone().unwrap_or_else(|| self.bytes[..self.safe].to_vec())];
        if self.before.is_some() {
            // Writing anew begins with cutting off.
            ways.push(vec![]);
        }
        ways.push(self.bytes.clone());
        ways.push(self.bytes[..usize::midpoint(self.safe, self.bytes.len())].to_vec());
        let boundaries =
            (self.safe / PAGE + 1..).map(|page| page * PAGE).take_while(|end| *end < self.bytes.len());
        ways.extend(boundaries.clone().map(|end| self.bytes[..end].to_vec()));
        let begins = std::iter::once(self.safe).chain(boundaries);
        ways.extend(begins.map(|begin| self.with_zeros(begin)));
        let choice = choices.choose(ways.len());
        ways.swap_remove(choice)
    }

    /// The page from there on was never written, though the length was.
    fn with_zeros(&self, begin: usize) -> Vec<u8> {
        let end = ((begin / PAGE + 1) * PAGE).min(self.bytes.len());
        let mut bytes = self.bytes.clone();
        bytes[begin..end].fill(0);
        bytes
    }
}

impl State {
    fn content(&mut self, path: &Path) -> io::Result<&mut Content> {
        let content = *self.tree.files.get(path).ok_or(io::ErrorKind::NotFound)?;
        Ok(&mut self.contents[content])
    }

    fn change(&mut self, change: NameChange) {
        self.tree.change(&change);
        self.unsafe_names.push(change);
    }

    /// The file at this path, which is created if need be.
    fn open(&mut self, path: &Path) -> io::Result<usize> {
        if let Some(content) = self.tree.files.get(path) {
            return Ok(*content);
        }
        if self.tree.folders.contains(path) {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        if !path.parent().is_some_and(|folder| self.tree.folders.contains(folder)) {
            return Err(io::ErrorKind::NotFound.into());
        }
        self.contents.push(Content::default());
        let content = self.contents.len() - 1;
        self.change(NameChange::File(path.into(), content));
        Ok(content)
    }

    /// Adds what finds room, and says if that was not everything.
    fn add(&mut self, content: usize, bytes: &[u8]) -> io::Result<()> {
        let room = usize::try_from(self.capacity.saturating_sub(self.used)).unwrap_or(usize::MAX);
        let fits = &bytes[..bytes.len().min(room)];
        self.contents[content].bytes.extend_from_slice(fits);
        self.used += fits.len() as u64;
        if fits.len() < bytes.len() { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    }

    fn cut_off(&mut self, content: usize) {
        let Content { bytes, safe, before } = &mut self.contents[content];
        self.used -= bytes.len() as u64;
        let mut was = std::mem::take(bytes);
        was.truncate(std::mem::take(safe));
        before.get_or_insert(was);
    }

    fn remove(&mut self, path: &Path) -> io::Result<()> {
        let bytes = self.content(path)?.bytes.len() as u64;
        self.used -= bytes;
        self.change(NameChange::Removed(path.into()));
        Ok(())
    }
}

/// The part of the bytes that is written all the same.
fn part(bytes: &[u8], effect: Effect) -> &[u8] {
    match effect {
        Effect::Nothing => &[],
        Effect::Half => &bytes[..bytes.len() / 2],
        Effect::Everything => bytes,
    }
}

impl Disk for MemoryDisk {
    fn create_dir_all(&mut self, path: &Path) -> io::Result<()> {
        let (mut state, result, effect) = self.next();
        if effect == Effect::Everything {
            let missing: Vec<_> =
                path.ancestors().filter(|folder| !state.tree.folders.contains(*folder)).collect();
            missing.into_iter().rev().for_each(|folder| state.change(NameChange::Folder(folder.into())));
        }
        result
    }
    fn create_dir(&mut self, path: &Path) -> io::Result<()> {
        let (mut state, result, effect) = self.next();
        if effect == Effect::Everything {
            if state.tree.folders.contains(path) || state.tree.files.contains_key(path) {
                return Err(io::ErrorKind::AlreadyExists.into());
            }
            state.change(NameChange::Folder(path.into()));
        }
        result
    }
    fn write(&mut self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let (mut state, result, effect) = self.next();
        if effect != Effect::Nothing {
            let content = state.open(path)?;
            state.cut_off(content);
            state.add(content, part(bytes, effect))?;
        }
        result
    }
    fn append(&mut self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let (mut state, result, effect) = self.next();
        if effect != Effect::Nothing {
            let content = state.open(path)?;
            state.add(content, part(bytes, effect))?;
        }
        result
    }
    fn sync(&mut self, path: &Path) -> io::Result<()> {
        let (mut state, result, effect) = self.next();
        let content = state.content(path)?;
        if effect == Effect::Everything {
            content.safe = content.bytes.len();
            content.before = None;
        }
        result
    }
    fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        let (mut state, result, effect) = self.next();
        let content = *state.tree.files.get(from).ok_or(io::ErrorKind::NotFound)?;
        if effect == Effect::Everything {
            if let Ok(replaced) = state.content(to) {
                let bytes = replaced.bytes.len() as u64;
                state.used -= bytes;
            }
            state.change(NameChange::Renamed { from: from.into(), to: to.into(), content });
        }
        result
    }
    fn remove(&mut self, path: &Path) -> io::Result<()> {
        let (mut state, result, effect) = self.next();
        state.content(path)?;
        if effect == Effect::Everything {
            state.remove(path)?;
        }
        result
    }
    fn sync_dir(&mut self, path: &Path) -> io::Result<()> {
        let (mut state, result, effect) = self.next();
        if effect == Effect::Everything {
            let State { safe, unsafe_names, .. } = &mut *state;
            let within = |change: &mut NameChange| change.folder() == Some(path);
            unsafe_names.extract_if(.., within).for_each(|change| safe.change(&change));
        }
        result
    }
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        let (mut state, result, _) = self.next();
        result.and_then(|()| Ok(state.content(path)?.bytes.clone()))
    }
    fn list(&self, path: &Path) -> io::Result<Vec<PathBuf>> {
        let (state, result, _) = self.next();
        result?;
        if !state.tree.folders.contains(path) {
            return Err(io::ErrorKind::NotFound.into());
        }
        let within = |name: &&PathBuf| name.parent() == Some(path);
        let mut names: Vec<_> =
            state.tree.files.keys().chain(&state.tree.folders).filter(within).cloned().collect();
        names.sort();
        Ok(names)
    }
    fn kind(&self, path: &Path) -> io::Result<Kind> {
        let (mut state, result, _) = self.next();
        result?;
        if state.tree.folders.contains(path) {
            return Ok(Kind::Folder);
        }
        Ok(Kind::File(state.content(path)?.bytes.len() as u64))
    }
    fn free(&self, _: &Path) -> io::Result<u64> {
        let (state, result, _) = self.next();
        result.map(|()| state.capacity.saturating_sub(state.used))
    }
}

/// Any disk, made to fail while the twin's world says so.
pub struct TwinDisk {
    disk: Box<dyn Disk>,
    twin: Twin,
}

impl TwinDisk {
    /// Puts the twin's world in front of a disk.
    pub fn new(disk: Box<dyn Disk>, twin: Twin) -> Self {
        Self { disk, twin }
    }

    fn reads(&self) -> io::Result<()> {
        let world = self.twin.world();
        let fails = world.faults().any(|(_, fault)| *fault == Fault::DiskFails);
        if fails { Err(io::Error::other("input/output error")) } else { Ok(()) }
    }

    fn changes(&self) -> io::Result<()> {
        self.reads()?;
        let world = self.twin.world();
        let read_only = world.faults().any(|(_, fault)| *fault == Fault::DiskReadOnly);
        if read_only { Err(io::ErrorKind::ReadOnlyFilesystem.into()) } else { Ok(()) }
    }

    fn has_room(&self) -> bool {
        !self.twin.world().faults().any(|(_, fault)| *fault == Fault::DiskFull)
    }

    /// A full disk takes a part of what is written.
    fn takes(
        &mut self,
        bytes: &[u8],
        write: impl FnOnce(&mut dyn Disk, &[u8]) -> io::Result<()>,
    ) -> io::Result<()> {
        self.changes()?;
        if self.has_room() {
            return write(&mut *self.disk, bytes);
        }
        write(&mut *self.disk, &bytes[..bytes.len() / 2])?;
        Err(io::ErrorKind::StorageFull.into())
    }
}

impl Disk for TwinDisk {
    fn create_dir_all(&mut self, path: &Path) -> io::Result<()> {
        self.changes()?;
        self.disk.create_dir_all(path)
    }
    fn create_dir(&mut self, path: &Path) -> io::Result<()> {
        self.changes()?;
        if !self.has_room() {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.disk.create_dir(path)
    }
    fn write(&mut self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        self.takes(bytes, |disk, bytes| disk.write(path, bytes))
    }
    fn append(&mut self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        self.takes(bytes, |disk, bytes| disk.append(path, bytes))
    }
    fn sync(&mut self, path: &Path) -> io::Result<()> {
        self.reads()?;
        self.disk.sync(path)
    }
    fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        self.changes()?;
        self.disk.rename(from, to)
    }
    fn remove(&mut self, path: &Path) -> io::Result<()> {
        self.changes()?;
        self.disk.remove(path)
    }
    fn sync_dir(&mut self, path: &Path) -> io::Result<()> {
        self.reads()?;
        self.disk.sync_dir(path)
    }
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        self.reads()?;
        self.disk.read(path)
    }
    fn list(&self, path: &Path) -> io::Result<Vec<PathBuf>> {
        self.reads()?;
        self.disk.list(path)
    }
    fn kind(&self, path: &Path) -> io::Result<Kind> {
        self.reads()?;
        self.disk.kind(path)
    }
    fn free(&self, path: &Path) -> io::Result<u64> {
        self.reads()?;
        if self.has_room() { self.disk.free(path) } else { Ok(0) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "/a/file";

    fn disk() -> MemoryDisk {
        let mut disk = MemoryDisk::new(1_000_000);
        disk.create_dir(Path::new("/a")).unwrap();
        disk.sync_dir(Path::new("/")).unwrap();
        disk
    }

    fn left(disk: &MemoryDisk) -> BTreeSet<Vec<(PathBuf, Vec<u8>)>> {
        disk.power_cuts().map(|left| left.files()).collect()
    }

    fn contents(disk: &MemoryDisk) -> BTreeSet<Option<Vec<u8>>> {
        disk.power_cuts().map(|left| left.read(Path::new(FILE)).ok()).collect()
    }

    #[test]
    fn what_is_synced_with_its_name_survives_every_power_cut() {
        let mut disk = disk();
        disk.write(Path::new(FILE), b"whole").unwrap();
        disk.sync(Path::new(FILE)).unwrap();
        assert!(left(&disk).contains(&vec![]), "the name was not synced");
        disk.sync_dir(Path::new("/a")).unwrap();
        assert_eq!(left(&disk), BTreeSet::from([vec![(FILE.into(), b"whole".to_vec())]]));
    }

    #[test]
    fn content_that_was_not_synced_is_old_new_torn_or_zero() {
        let mut disk = disk();
        disk.write(Path::new(FILE), b"safe").unwrap();
        disk.sync(Path::new(FILE)).unwrap();
        disk.sync_dir(Path::new("/a")).unwrap();
        disk.append(Path::new(FILE), b"more").unwrap();
        let found = contents(&disk);
        let expected =
            ["safe", "safemore", "safemo", "safe\0\0\0\0"].map(|text| Some(text.as_bytes().to_vec()));
        assert_eq!(found, BTreeSet::from(expected));
    }

    #[test]
    fn a_large_file_is_torn_at_any_page() {
        let mut disk = disk();
        disk.write(Path::new(FILE), &[1; 3 * PAGE + 10]).unwrap();
        disk.sync_dir(Path::new("/a")).unwrap();
        let lengths: BTreeSet<_> = contents(&disk).into_iter().flatten().map(|bytes| bytes.len()).collect();
        let pages = [PAGE, 2 * PAGE, 3 * PAGE];
        assert!(pages.iter().all(|page| lengths.contains(page)), "{lengths:?}");
        let hole =
            |bytes: &Vec<u8>| bytes.len() > 3 * PAGE && bytes[PAGE..2 * PAGE].iter().all(|byte| *byte == 0);
        assert!(contents(&disk).iter().flatten().any(hole), "a page in the middle may be missing");
    }

    #[test]
    fn a_file_that_is_written_anew_may_be_the_old_one_or_empty() {
        let mut disk = disk();
        disk.write(Path::new(FILE), b"old").unwrap();
        disk.sync(Path::new(FILE)).unwrap();
        disk.sync_dir(Path::new("/a")).unwrap();
        disk.write(Path::new(FILE), b"new!").unwrap();
        let found = contents(&disk);
        for text in ["old", "", "new!"] {
            assert!(found.contains(&Some(text.as_bytes().to_vec())), "{text}");
        }
        disk.sync(Path::new(FILE)).unwrap();
        assert_eq!(contents(&disk), BTreeSet::from([Some(b"new!".to_vec())]));
    }

    #[test]
    fn a_rename_is_done_or_not_done() {
        let mut disk = disk();
        let (from, to) = (Path::new("/a/part"), Path::new(FILE));
        disk.write(from, b"x").unwrap();
        disk.sync(from).unwrap();
        disk.sync_dir(Path::new("/a")).unwrap();
        disk.rename(from, to).unwrap();
        let names: BTreeSet<_> =
            left(&disk).into_iter().map(|files| files.into_iter().map(|(path, _)| path).collect()).collect();
        let (old, new): (Vec<PathBuf>, Vec<PathBuf>) = (vec![from.into()], vec![to.into()]);
        assert_eq!(names, BTreeSet::from([old, new]));
    }

    #[test]
    fn names_survive_in_any_combination() {
        let mut disk = disk();
        for name in ["/a/1", "/a/2", "/a/3"] {
            disk.write(Path::new(name), b"").unwrap();
        }
        assert_eq!(left(&disk).len(), 8);
    }

    #[test]
    fn a_draw_follows_from_its_seed_and_is_one_of_all() {
        let mut disk = disk();
        disk.write(Path::new(FILE), &[7; 9_000]).unwrap();
        disk.append(Path::new("/a/log"), b"line\n").unwrap();
        let all = left(&disk);
        let drawn: BTreeSet<_> = (0..200).map(|seed| disk.power_cut(seed).files()).collect();
        assert!(drawn.is_subset(&all) && drawn.len() > 10, "{} of {}", drawn.len(), all.len());
        assert_eq!(disk.power_cut(5).files(), disk.power_cut(5).files());
    }

    #[test]
    fn a_full_disk_takes_what_fits_and_gives_room_back() {
        let mut disk = MemoryDisk::new(10);
        let path = Path::new("/file");
        let full = disk.write(path, b"more than ten").unwrap_err();
        assert_eq!((full.kind(), disk.read(path).unwrap().len()), (io::ErrorKind::StorageFull, 10));
        disk.remove(path).unwrap();
        assert_eq!(disk.free(path).unwrap(), 10);
        disk.write(path, b"ten bytes!").unwrap();
        disk.write(Path::new("/other"), b"").unwrap();
        disk.rename(Path::new("/other"), path).unwrap();
        assert_eq!(disk.free(path).unwrap(), 10, "what was replaced is gone");
    }

    #[test]
    fn an_operation_fails_where_it_was_said_and_all_after_a_kill() {
        let mut disk = disk();
        let now = disk.operations();
        disk.fail_at(now + 1, Effect::Half);
        disk.die_at(now + 3, Effect::Nothing);
        assert!(disk.write(Path::new(FILE), b"1234").is_ok());
        assert!(disk.append(Path::new(FILE), b"5678").is_err());
        assert_eq!(disk.read(Path::new(FILE)).unwrap(), b"123456");
        assert!(disk.read(Path::new(FILE)).is_err());
        assert!(disk.sync(Path::new(FILE)).is_err());
    }

    #[test]
    fn the_worlds_faults_reach_any_disk() {
        use crate::{Settings, Twin};
        use planktor_drivers::clock::Monotonic;
        use planktor_protocol::{Instant, Utc};
        let settings = Settings::new(1, Settings::SMALL_FRAME, Utc::from_micros(0));
        let twin = Twin::new(Arc::new(Monotonic), settings);
        let mut disk = TwinDisk::new(Box::new(disk()), twin.clone());
        let path = Path::new(FILE);
        for (fault, kind, reads) in [
            (Fault::DiskFull, io::ErrorKind::StorageFull, true),
            (Fault::DiskReadOnly, io::ErrorKind::ReadOnlyFilesystem, true),
            (Fault::DiskFails, io::ErrorKind::Other, false),
        ] {
            disk.write(path, b"1234").unwrap();
            let spell = twin.world().break_it(fault.clone(), Instant::ZERO, None);
            assert_eq!(disk.append(path, b"5678").unwrap_err().kind(), kind, "{fault:?}");
            assert_eq!(disk.read(path).is_ok(), reads, "{fault:?}");
            twin.world().mend(spell);
            assert!(disk.append(path, b"5678").is_ok(), "{fault:?}");
        }
    }
}
