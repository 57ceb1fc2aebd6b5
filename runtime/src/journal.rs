//! A run's journal as a file: a first line that says which world it was, then a line an event. Written beside the run,
//! by a thread that nobody waits for; read again to replay it.

use crate::mqtt::Message;
use crate::scenario::Scenario;
use crossbeam_channel::{Receiver, Sender, bounded, select};
use planktor_actors::journal::{Journal, Line};
use planktor_protocol::{Instant, Utc};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;

/// How such a file begins; the number changes when its lines do.
const MAGIC: &str = "planktor-journal 1 ";
/// Lines that may wait for the disk: some seconds of the busiest run.
const WAITING: usize = 65_536;
/// A line is no longer: the largest message, with every byte escaped.
const LONGEST_LINE: usize = 2 << 20;

/// Which world a run was in.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Head {
    /// Whether the clock jumped from deadline to deadline.
    pub hurried: bool,
    /// What the monotonic clock said at the start, ns.
    pub start_ns: u64,
    /// The true time when that clock was zero, in microseconds since 1970.
    pub began_us: i64,
    /// Where its data sets went.
    pub data: PathBuf,
    /// The real board that it ran on; nothing of a simulated one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub board: Option<String>,
    /// Its world; of a real one, what is nearest to it.
    pub scenario: Scenario,
    /// The small files that were there at its start: names below the data root, and what was in them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub kept: BTreeMap<String, String>,
}

/// What a client said, as a line of kind `in` has it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Said {
    /// How many messages had been published before.
    pub after: usize,
    /// What; nothing, when the system ended the program.
    pub message: Option<Message>,
}

/// A journal that was read.
#[derive(Clone, Debug)]
pub struct Recorded {
    /// Its first line.
    pub head: Head,
    /// All others.
    pub lines: Vec<Line>,
}

/// Why a journal cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The file.
    #[error("failed to read {}: {cause}; check the path", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        cause: io::Error,
    },
    /// A line.
    #[error("{}, line {line}: {what}", path.display())]
    Line {
        /// Which file.
        path: PathBuf,
        /// Counted from one.
        line: usize,
        /// What is wrong with it, and what to do.
        what: String,
    },
}

/// Who writes the file.
pub struct Writer {
    journal: Journal,
    end: Sender<()>,
    thread: JoinHandle<io::Result<()>>,
}

impl Head {
    /// The start, as an instant.
    pub fn start(&self) -> Instant {
        Instant::from_nanos(self.start_ns)
    }

    /// The true time when the clock was zero.
    pub fn began(&self) -> Utc {
        Utc::from_micros(self.began_us)
    }

    fn line(&self) -> io::Result<String> {
        Ok(format!("{MAGIC}{}\n", serde_json::to_string(self)?))
    }
}

impl Writer {
    /// Begins a file, replacing one that exists.
    ///
    /// # Errors
    /// The file system's, or the system has no thread for us.
    pub fn begin(path: &Path, head: &Head) -> io::Result<(Self, Journal)> {
        let mut file = BufWriter::new(File::create(path)?);
        file.write_all(head.line()?.as_bytes())?;
        let (lines, waiting) = bounded(WAITING);
        let (end, ended) = bounded(1);
        let write = move || write(file, &waiting, &ended);
        let thread = std::thread::Builder::new().name("journal".into()).spawn(write)?;
        let journal = Journal::written_by(lines);
        Ok((Self { journal: journal.clone(), end, thread }, journal))
    }

    /// Writes what waits, and closes the file. Gives how many lines were lost because the disk was too slow.
    ///
    /// # Errors
    /// The file system's.
    pub fn end(self) -> io::Result<u64> {
        // A thread that has ended already has an error to tell.
        let _ = self.end.try_send(());
        let written = self.thread.join();
        written.unwrap_or_else(|_| Err(io::Error::other("the journal's thread panicked")))?;
        Ok(self.journal.lost())
    }
}

fn write(mut file: BufWriter<File>, waiting: &Receiver<Line>, ended: &Receiver<()>) -> io::Result<()> {
    loop {
        if waiting.is_empty() {
            file.flush()?;
        }
        select! {
            recv(waiting) -> line => match line {
                Ok(line) => writeln!(file, "{line}")?,
                Err(_) => break,
            },
            recv(ended) -> _ => break,
        }
    }
    waiting.try_iter().try_for_each(|line| writeln!(file, "{line}"))?;
    file.flush()
}

/// Writes a journal that was kept in memory.
///
/// # Errors
/// The file system's.
pub fn save(path: &Path, head: &Head, lines: &[Line]) -> io::Result<()> {
    let mut file = BufWriter::new(File::create(path)?);
    file.write_all(head.line()?.as_bytes())?;
    lines.iter().try_for_each(|line| writeln!(file, "{line}"))?;
    file.flush()
}

/// Reads one. A last line that was torn off, by a crash for example, is passed over.
///
/// # Errors
/// [`ReadError`]
pub fn read(path: &Path) -> Result<Recorded, ReadError> {
    let file = File::open(path).map_err(|cause| ReadError::File { path: path.into(), cause })?;
    let mut file = BufReader::new(file);
    let flaw = |line, what: &str| ReadError::Line { path: path.into(), line, what: what.into() };
    let first = next_line(&mut file, path, 1)?.unwrap_or_default();
    let head = first.strip_prefix(MAGIC).ok_or_else(|| {
        flaw(1, "this is no journal of this version; record one with planktor run --twin --journal FILE")
    })?;
    let head = serde_json::from_str(head).map_err(|why| flaw(1, &format!("no such world: {why}")))?;
    let mut lines = vec![];
    let mut torn = None;
    while let Some(text) = next_line(&mut file, path, lines.len() + 2)? {
        if let Some(line) = torn {
            return Err(flaw(line, "this is no event; the file is damaged"));
        }
        match Line::parse(&text) {
            Some(line) => lines.push(line),
            None => torn = Some(lines.len() + 2),
        }
    }
    Ok(Recorded { head, lines })
}

fn next_line(file: &mut impl BufRead, path: &Path, line: usize) -> Result<Option<String>, ReadError> {
    let mut bytes = vec![];
    let mut limited = io::Read::take(file, LONGEST_LINE as u64);
    let read = limited.read_until(b'\n', &mut bytes);
    read.map_err(|cause| ReadError::File { path: path.into(), cause })?;
    if bytes.len() == LONGEST_LINE {
        return Err(ReadError::Line { path: path.into(), line, what: "it is too long for an event".into() });
    }
    let text = String::from_utf8_lossy(&bytes);
    Ok((!bytes.is_empty()).then(|| text.trim_end_matches('\n').to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use planktor_actors::journal::Kind;

    fn head() -> Head {
        let scenario = Scenario::default();
        Head {
            hurried: true,
            start_ns: 5,
            began_us: -7,
            data: "/tmp/x".into(),
            board: None,
            scenario,
            kept: BTreeMap::new(),
        }
    }

    fn line(n: u64) -> Line {
        Line { at: Instant::from_nanos(n), kind: Kind::Told, what: format!("event {n}") }
    }

    #[test]
    fn what_was_written_can_be_read() {
        let folder = tempfile::TempDir::new().unwrap();
        let path = folder.path().join("journal");
        let (writer, journal) = Writer::begin(&path, &head()).unwrap();
        (0..1_000).for_each(|n| journal.note_text(line(n).at, Kind::Told, || line(n).what));
        assert_eq!(writer.end().unwrap(), 0);
        let recorded = read(&path).unwrap();
        assert_eq!((recorded.head, recorded.lines), (head(), (0..1_000).map(line).collect()));
    }

    #[test]
    fn a_torn_end_is_passed_over_and_other_damage_is_named() {
        let folder = tempfile::TempDir::new().unwrap();
        let path = folder.path().join("journal");
        save(&path, &head(), &[line(1), line(2)]).unwrap();
        let whole = std::fs::read(&path).unwrap();
        std::fs::write(&path, &whole[..whole.len() - 20]).unwrap();
        assert_eq!(read(&path).unwrap().lines, [line(1)]);
        let text = String::from_utf8(whole).unwrap().replace("told event 1", "sung");
        std::fs::write(&path, text).unwrap();
        assert!(read(&path).unwrap_err().to_string().contains("line 2: this is no event"));
        std::fs::write(&path, "{}\n").unwrap();
        assert!(read(&path).unwrap_err().to_string().contains("line 1: this is no journal"));
    }
}
