//! Plays episodes that nobody thought of, and judges each against the laws of the house.
//!
//! An [`episode`](episode::episode) follows from a seed: a world, commands, faults. It is played in virtual time on the
//! twin's own disk, while an [`observer`] compares what is published with what must come of what was said, and looks
//! into the twin's world. An episode that breaks a law is [shrunk](shrink()) and kept as a scenario file.

mod asked;
pub mod draw;
pub mod episode;
pub mod law;
pub mod observer;

pub use law::{Law, Violation};

use episode::STOPPED;
use observer::Observer;
use planktor_actors::journal::{Journal, Line};
use planktor_drivers::Disk;
use planktor_protocol::Instant;
use planktor_runtime::scenario::{Said, Scenario};
use planktor_runtime::stage::{Act, Client, Cue, Play, Seen};
use planktor_sim::disk::MemoryDisk;
use planktor_sim::{Parameters, Twin};
use serde_json::Value;
use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, Once, PoisonError};

/// Where data sets go on the twin's disk.
const ROOT: &str = "/data";

/// Puts something between the instrument and its board or disk.
pub type Meddle = Box<dyn FnOnce(&mut Play)>;

/// Changes what the observer hears; nothing, and it does not hear it.
pub type Rumour = Box<dyn FnMut(Seen) -> Option<Seen> + Send>;

/// Something that is wrong on purpose, so that a law must be seen to be broken.
#[derive(Default)]
pub struct Sabotage {
    /// In the instrument.
    pub instrument: Option<Meddle>,
    /// In what is heard of it.
    pub rumour: Option<Rumour>,
}

/// Plays an episode.
///
/// # Errors
/// The first law that was broken.
pub fn play(episode: &Scenario) -> Result<(), Violation> {
    play_with(episode, Sabotage::default(), Journal::default())
}

/// Plays an episode twice, and compares what happened.
///
/// # Errors
/// The first law that was broken, or the first difference.
pub fn play_twice(episode: &Scenario, sabotage: impl Fn() -> Sabotage) -> Result<(), Violation> {
    let journal = || -> Result<Vec<Line>, Violation> {
        let journal = Journal::kept();
        play_with(episode, sabotage(), journal.clone())?;
        Ok(journal.lines())
    };
    let (first, second) = (journal()?, journal()?);
    let different = first.iter().zip(&second).find(|(first, second)| first != second);
    let lengths = (first.len(), second.len());
    match different {
        Some((first, second)) => {
            let what = format!("the first time {first}\nthe second time {second}");
            Err(Violation { law: Law::Repeatable, at: first.at, what })
        }
        None if lengths.0 != lengths.1 => {
            let what = format!("{} events the first time, {} the second", lengths.0, lengths.1);
            Err(Violation { law: Law::Repeatable, at: Instant::ZERO, what })
        }
        None => Ok(()),
    }
}

/// Plays an episode in which something is wrong on purpose.
///
/// # Errors
/// The first law that was broken.
///
/// # Panics
/// If it gets stuck.
pub fn play_with(episode: &Scenario, sabotage: Sabotage, journal: Journal) -> Result<(), Violation> {
    be_quiet_about_ordered_panics();
    let mut disk = MemoryDisk::of(&episode.parameters);
    disk.create_dir_all(Path::new(ROOT)).expect("a new disk has room for a folder");
    disk.sync_dir(Path::new("/")).expect("a new disk works");
    let mut play = Play::of(episode, Instant::ZERO, episode.began, Box::new(disk.clone()), ROOT.into());
    play.config.journal = journal;
    play.cues.iter_mut().for_each(ask_for_a_response);
    let observer = Observer::new(episode, disk, Path::new(ROOT));
    play.cues.extend(observer.cues());
    if let Some(instrument) = sabotage.instrument {
        instrument(&mut play);
    }
    let clock = play.clock.clone();
    let observer = Hearsay { observer, rumour: sabotage.rumour };
    let (_, Hearsay { observer, .. }) =
        play.run(observer).unwrap_or_else(|stuck| panic!("seed {}: {stuck}", episode.seed));
    observer.verdict(planktor_drivers::Clock::now(&clock))
}

/// By the message's own id.
fn ask_for_a_response(cue: &mut Cue) {
    if let Act::Say(message) = &mut cue.act
        && let Ok(payload) = serde_json::from_slice::<Value>(&message.payload)
        && let Some(id) = payload["id"].as_u64()
    {
        message.response_topic = Some(format!("{}{id}", observer::RESPONSES));
    }
}

/// An observer who does not hear everything as it is published.
struct Hearsay {
    observer: Observer,
    rumour: Option<Rumour>,
}

impl Client for Hearsay {
    fn hears(&mut self, seen: &Seen, twin: &Twin) -> Vec<Act> {
        match &mut self.rumour {
            None => self.observer.hears(seen, twin),
            Some(rumour) => rumour(seen.clone()).map_or(vec![], |rumour| self.observer.hears(&rumour, twin)),
        }
    }

    fn looks(&mut self, now: Instant, twin: &Twin) {
        self.observer.looks(now, twin);
    }

    fn is_over(&self) -> bool {
        self.observer.is_over()
    }
}

/// Takes away from an episode what its violation does not need: messages, faults, unusual numbers. `fails` says
/// whether an episode still breaks the law.
pub fn shrink(mut episode: Scenario, fails: impl Fn(&Scenario) -> bool) -> Scenario {
    let usual = Scenario { parameters: Parameters::default(), ..episode.clone() };
    if fails(&usual) {
        episode = usual;
    }
    let faults = std::mem::take(&mut episode.faults);
    episode.faults = shrink_list(faults, |faults| fails(&Scenario { faults, ..episode.clone() }));
    // What ends every episode stays.
    let end = episode.messages.iter().position(|said| said.at_s.duration() >= STOPPED);
    let last = episode.messages.split_off(end.unwrap_or(episode.messages.len()));
    let with_end = |said: Vec<Said>| said.into_iter().chain(last.clone()).collect::<Vec<_>>();
    let messages = std::mem::take(&mut episode.messages);
    let messages =
        shrink_list(messages, |said| fails(&Scenario { messages: with_end(said), ..episode.clone() }));
    episode.messages = with_end(messages);
    episode
}

/// Takes away halves, then quarters, down to single ones, as long as it still fails.
fn shrink_list<T: Clone>(mut list: Vec<T>, fails: impl Fn(Vec<T>) -> bool) -> Vec<T> {
    let mut part = list.len().next_power_of_two();
    while part > 0 {
        let mut at = 0;
        while at < list.len() {
            let mut less = list.clone();
            less.drain(at..(at + part).min(list.len()));
            if fails(less.clone()) { list = less } else { at += part }
        }
        part /= 2;
    }
    list
}

/// Panics that were ordered are no news.
fn be_quiet_about_ordered_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let usual = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            let ordered = panic.to_string().contains("as was ordered");
            if !ordered {
                usual(panic);
            }
        }));
    });
}

/// Plays seeds on all cores; gives what `play` found, in the order of the seeds.
pub fn on_all_cores<T: Send>(seeds: Range<u64>, play: impl Fn(u64) -> Option<T> + Sync) -> Vec<T> {
    let (next, found) = (AtomicU64::new(seeds.start), Mutex::new(BTreeMap::new()));
    let work = || {
        loop {
            let seed = next.fetch_add(1, Ordering::SeqCst);
            if seed >= seeds.end {
                return;
            }
            if let Some(this) = play(seed) {
                found.lock().unwrap_or_else(PoisonError::into_inner).insert(seed, this);
            }
        }
    };
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    std::thread::scope(|scope| (0..cores).for_each(|_| drop(scope.spawn(work))));
    found.into_inner().unwrap_or_else(PoisonError::into_inner).into_values().collect()
}
