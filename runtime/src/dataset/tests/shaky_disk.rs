//! A disk in memory that fails or dies at an operation of the test's choice, and knows what a power cut would leave.
//! It says nothing of how long anything takes.

use super::RECORDS;
use planktor_drivers::disk::Disk;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

/// What an operation that fails does nevertheless.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Effect {
    Nothing,
    Half,
    Everything,
}

/// When it fails, counted in operations.
#[derive(Clone, Debug)]
pub(super) struct Faults {
    pub(super) fails: Vec<usize>,
    pub(super) dies: usize,
    pub(super) effect: Effect,
}

/// What is there after a power cut.
#[derive(Clone, Copy, Debug)]
pub(super) struct Survives {
    pub(super) names: Names,
    /// Or only what was synced.
    pub(super) unsynced_content: bool,
}

/// Which names survive that were not synced; a disk may write them down in any order.
#[derive(Clone, Copy, Debug)]
pub(super) enum Names {
    All,
    None,
    RecordFile,
    AllOthers,
}

impl Survives {
    pub(super) fn ways() -> impl Iterator<Item = Self> {
        let names = [Names::All, Names::None, Names::RecordFile, Names::AllOthers];
        let way = |names| [true, false].map(|unsynced_content| Self { names, unsynced_content });
        names.into_iter().flat_map(way)
    }

    fn keeps_name(self, path: &Path) -> bool {
        let is_record_file = path.file_name().is_some_and(|n| n.to_string_lossy().starts_with(RECORDS));
        match self.names {
            Names::All => true,
            Names::None => false,
            Names::RecordFile => is_record_file,
            Names::AllOthers => !is_record_file,
        }
    }
}

/// What is there.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Survivors {
    folders: BTreeSet<PathBuf>,
    files: BTreeMap<PathBuf, Vec<u8>>,
}

impl Survivors {
    /// Writes it below `to`, which stands for `/`.
    pub(super) fn lay_out(&self, to: &Path) {
        let real = |path: &Path| to.join(path.strip_prefix("/").unwrap());
        self.folders.iter().for_each(|folder| std::fs::create_dir_all(real(folder)).unwrap());
        self.files.iter().for_each(|(path, content)| std::fs::write(real(path), content).unwrap());
    }
}

#[derive(Clone)]
pub(super) struct ShakyDisk(Arc<Mutex<State>>);

struct State {
    folders: BTreeSet<PathBuf>,
    safe_folders: BTreeSet<PathBuf>,
    files: BTreeMap<PathBuf, usize>,
    safe_files: BTreeMap<PathBuf, usize>,
    contents: Vec<Content>,
    operations: usize,
    faults: Faults,
}

#[derive(Clone, Default)]
struct Content {
    now: Vec<u8>,
    safe: Vec<u8>,
}

impl ShakyDisk {
    pub(super) fn new(root: &Path, faults: Faults) -> Self {
        let root = BTreeSet::from([root.to_owned()]);
        Self(Arc::new(Mutex::new(State {
            folders: root.clone(),
            safe_folders: root,
            files: BTreeMap::new(),
            safe_files: BTreeMap::new(),
            contents: Vec::new(),
            operations: 0,
            faults,
        })))
    }

    pub(super) fn operations(&self) -> usize {
        self.state().operations
    }

    pub(super) fn fail_at(&self, operation: usize) {
        self.state().faults.fails.push(operation);
    }

    pub(super) fn after_power_cut(&self, way: Survives) -> Survivors {
        let state = self.state();
        let now = state.folders.iter().filter(|path| way.keeps_name(path));
        let folders: BTreeSet<_> = now.chain(&state.safe_folders).cloned().collect();
        let there =
            |path: &Path| path.ancestors().skip(1).all(|f| f == Path::new("/") || folders.contains(f));
        let content = |n: &usize| {
            let content = &state.contents[*n];
            if way.unsynced_content { content.now.clone() } else { content.safe.clone() }
        };
        let now = state.files.iter().filter(|(path, _)| way.keeps_name(path));
        let safe = state.safe_files.iter().filter(|(path, _)| !way.keeps_name(path));
        let files = now.chain(safe).filter(|(path, _)| there(path));
        let files = files.map(|(path, n)| (path.clone(), content(n))).collect();
        let folders = folders.iter().filter(|path| there(path)).cloned().collect();
        Survivors { folders, files }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    /// Whether this operation works, and what of it is done.
    fn next(&self) -> (MutexGuard<'_, State>, io::Result<()>, Effect) {
        let mut state = self.state();
        let n = state.operations;
        state.operations += 1;
        let broken = Err(io::Error::other("the disk is broken"));
        match n {
            _ if n > state.faults.dies => (state, broken, Effect::Nothing),
            _ if n == state.faults.dies || state.faults.fails.contains(&n) => {
                let effect = state.faults.effect;
                (state, broken, effect)
            }
            _ => (state, Ok(()), Effect::Everything),
        }
    }
}

impl State {
    fn content(&mut self, path: &Path) -> io::Result<&mut Content> {
        let content = *self.files.get(path).ok_or(io::ErrorKind::NotFound)?;
        Ok(&mut self.contents[content])
    }

    fn add(&mut self, path: &Path, bytes: &[u8], effect: Effect) -> io::Result<()> {
        if !path.parent().is_some_and(|folder| self.folders.contains(folder)) {
            return Err(io::ErrorKind::NotFound.into());
        }
        let bytes = match effect {
            Effect::Nothing => return Ok(()),
            Effect::Half => &bytes[..bytes.len() / 2],
            Effect::Everything => bytes,
        };
        let new = self.contents.len();
        let content = *self.files.entry(path.to_owned()).or_insert(new);
        if content == new {
            self.contents.push(Content::default());
        }
        self.contents[content].now.extend(bytes);
        Ok(())
    }
}

impl Disk for ShakyDisk {
    fn create_dir_all(&mut self, path: &Path) -> io::Result<()> {
        let (mut state, result, effect) = self.next();
        if effect == Effect::Everything {
            state.folders.extend(path.ancestors().map(Path::to_owned));
        }
        result
    }
    fn create_dir(&mut self, path: &Path) -> io::Result<()> {
        let (mut state, result, effect) = self.next();
        if effect == Effect::Everything && !state.folders.insert(path.to_owned()) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        result
    }
    fn write(&mut self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let (mut state, result, effect) = self.next();
        if effect != Effect::Nothing
            && let Ok(content) = state.content(path)
        {
            content.now.clear();
        }
        state.add(path, bytes, effect).and(result)
    }
    fn append(&mut self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let (mut state, result, effect) = self.next();
        state.add(path, bytes, effect).and(result)
    }
    fn sync(&mut self, path: &Path) -> io::Result<()> {
        let (mut state, result, effect) = self.next();
        let content = state.content(path)?;
        if effect == Effect::Everything {
            content.safe = content.now.clone();
        }
        result
    }
    fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        let (mut state, result, effect) = self.next();
        state.content(from)?;
        if effect == Effect::Everything
            && let Some(content) = state.files.remove(from)
        {
            state.files.insert(to.to_owned(), content);
        }
        result
    }
    fn remove(&mut self, path: &Path) -> io::Result<()> {
        let (mut state, result, effect) = self.next();
        state.content(path)?;
        if effect == Effect::Everything {
            state.files.remove(path);
        }
        result
    }
    fn sync_dir(&mut self, path: &Path) -> io::Result<()> {
        let (mut state, result, effect) = self.next();
        if effect == Effect::Everything {
            let within = |name: &Path| name.parent() == Some(path);
            let State { folders, safe_folders, files, safe_files, .. } = &mut *state;
            safe_folders.extend(folders.iter().filter(|f| within(f)).cloned());
            safe_files.retain(|name, _| !within(name));
            safe_files.extend(files.iter().filter(|(name, _)| within(name)).map(|(n, c)| (n.clone(), *c)));
        }
        result
    }
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        let (mut state, result, _) = self.next();
        result.and_then(|()| Ok(state.content(path)?.now.clone()))
    }
    fn list(&self, path: &Path) -> io::Result<Vec<PathBuf>> {
        let (state, result, _) = self.next();
        let within = |name: &&PathBuf| name.parent() == Some(path);
        result.map(|()| state.files.keys().chain(&state.folders).filter(within).cloned().collect())
    }
}
