//! Replays a journal: the same messages at the same instants, in the same world, in virtual time; and says what is
//! different.
//!
//! A journal of a run in virtual time comes out equal, line by line. In one of a run in real time alarms rang some
//! microseconds late and threads raced: what is compared there is what was published, in which order on each topic.
//!
//! A journal of a real instrument is replayed on a twin, which knows what it was told and nothing of the water, the pictures,
//! the sky or the cables there. So only the words of its statuses are compared, and what is about those is left out, and counted.

use crate::instrument::Models;
use crate::journal::{Head, Recorded, Said};
use crate::mqtt::Message;
use crate::shelf;
use crate::stage::{Act, Client, Cue, Play, Seen, Unplayed};
use planktor_actors::alarm::VirtualClock;
use planktor_actors::beside::Model;
use planktor_actors::journal::{Journal, Kind, Line};
use planktor_drivers::{Clock, Disk};
use planktor_protocol::Instant;
use planktor_sim::Twin;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// Differences that are told; the rest is counted.
const TOLD: usize = 20;

/// How long after its end a run in real time may publish what it published before that.
const LATE: Duration = Duration::from_secs(1);

/// Frames that can be with the encoders at the same time in a run in real time.
const MOST_ENCODERS: usize = 16;

/// Why a journal cannot be replayed.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// It did not come to its end.
    #[error(transparent)]
    Unplayed(#[from] Unplayed),
    /// What was there at its start cannot be put back.
    #[error("the files that were there at its start cannot be written: {0}; free some space")]
    Disk(#[from] io::Error),
    /// A message in it cannot be read.
    #[error("at {at:?}: {what:?} is no message; the journal is damaged")]
    NoMessage {
        /// When.
        at: Instant,
        /// What stands there.
        what: String,
    },
}

/// What a replay found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Comparison {
    /// Events that were compared.
    pub compared: usize,
    /// Differences.
    pub different: usize,
    /// The first of them, in words.
    pub told: Vec<String>,
    /// Events about what a twin cannot know.
    pub left_out: usize,
    /// Published in another order, where that is no difference: between topics of a run in real time.
    pub reordered: usize,
    /// By how much at most the same thing was published earlier or later.
    pub shifted: Duration,
}

impl Comparison {
    /// Whether everything came out the same.
    pub fn is_same(&self) -> bool {
        self.different == 0
    }

    fn differs(&mut self, what: impl FnOnce() -> String) {
        self.different += 1;
        if self.told.len() < TOLD {
            self.told.push(what());
        }
    }
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.told.iter().try_for_each(|difference| writeln!(f, "{difference}"))?;
        let untold = self.different - self.told.len();
        if untold > 0 {
            writeln!(f, "and {untold} differences more")?;
        }
        let Self { compared, different, reordered, shifted, .. } = self;
        let verdict = if self.is_same() { "the same".into() } else { format!("{different} differences") };
        write!(f, "{compared} events compared: {verdict}")?;
        if *reordered > 0 || !shifted.is_zero() {
            let ms = shifted.as_secs_f64() * 1e3;
            write!(f, " ({reordered} in another order across topics, at most {ms:.3} ms apart)")?;
        }
        if self.left_out > 0 {
            write!(
                f,
                "; {} about pictures, clock, place and cables of a real instrument left out",
                self.left_out
            )?;
        }
        Ok(())
    }
}

/// Sends what was sent; hears and does nothing else.
struct Prompted;

impl Client for Prompted {
    fn hears(&mut self, _: &Seen, _: &Twin) -> Vec<Act> {
        vec![]
    }
}

/// Replays a journal into an empty data root; gives what was journalled this time, too.
///
/// # Errors
/// [`ReplayError`]
pub fn replay(
    recorded: &Recorded,
    mut disk: Box<dyn Disk>,
    data: &Path,
) -> Result<(Comparison, Vec<Line>), ReplayError> {
    let Recorded { head, lines } = recorded;
    shelf::restore(&mut *disk, data, &head.kept)?;
    let mut play = Play::of(&head.scenario, head.start(), head.began(), disk, data.into());
    let journal = Journal::kept();
    play.config.journal = journal.clone();
    play.cues = lines
        .iter()
        .filter(|line| line.kind == Kind::In)
        .map(|line| cue(line, head))
        .collect::<Result<_, _>>()?;
    if !head.hurried {
        play.config.models = as_it_took(lines, &play.clock);
        // Then each job begins when it is given: nobody waits for a free hand a second time.
        play.config.encoders = play.config.encoders.max(MOST_ENCODERS);
    }
    let last = lines.last().map_or(head.start(), |line| line.at);
    play.limit = last + if head.hurried { Duration::from_nanos(1) } else { LATE };
    play.run(Prompted)?;
    let mut again = journal.lines();
    // A run may have been over in the middle of its last instant.
    if head.hurried && again.get(lines.len()).is_some_and(|line| line.at >= last) {
        again.truncate(lines.len());
    }
    let comparison = match head.hurried {
        true => line_by_line(lines, &head.data, &again, data),
        false if head.board.is_some() => word_by_word(lines, &again, last)?,
        false => topic_by_topic(&published(lines)?, &published(&again)?, last),
    };
    Ok((comparison, again))
}

/// Work took as long as it took: the answers of encoders and recorder come when they came.
fn as_it_took(lines: &[Line], clock: &VirtualClock) -> Models {
    // Every encoder's job has a hand of its own; the recorder begins one when it has done the one before.
    Models {
        encoding: until_told(lines, "Encoded", clock, false),
        studying: until_told(lines, "Studied", clock, true),
        recording: until_told(lines, "Recorded", clock, true),
    }
}

fn until_told<J: 'static>(lines: &[Line], answer: &str, clock: &VirtualClock, one_hand: bool) -> Model<J> {
    let told = lines.iter().filter(|line| line.kind == Kind::Told && line.what.starts_with(answer));
    let told: Vec<_> = told.map(|line| line.at).collect();
    let (next, clock) = (AtomicUsize::new(0), clock.clone());
    Arc::new(move |_| {
        let n = next.fetch_add(1, Ordering::Relaxed);
        let at = |n: usize| told.get(n).copied().unwrap_or(Instant::ZERO);
        let free = if one_hand && n > 0 { at(n - 1) } else { Instant::ZERO };
        at(n) - clock.now().max(free)
    })
}

fn said<T: serde::de::DeserializeOwned>(line: &Line) -> Result<T, ReplayError> {
    serde_json::from_str(&line.what)
        .map_err(|_| ReplayError::NoMessage { at: line.at, what: line.what.chars().take(80).collect() })
}

fn cue(line: &Line, head: &Head) -> Result<Cue, ReplayError> {
    let Said { after, message } = said(line)?;
    // In real time a message comes when it comes, whatever has been published then.
    let after = if head.hurried { after } else { 0 };
    Ok(Cue { at: line.at, after, act: message.map_or(Act::ShutDown, Act::Say) })
}

/// Paths in a journal are absolute; everything else must be equal.
fn line_by_line(lines: &[Line], data: &Path, again: &[Line], data_again: &Path) -> Comparison {
    let rootless = |line: &Line, root: &Path| line.to_string().replace(&*root.to_string_lossy(), "<data>");
    let mut comparison = Comparison { compared: lines.len().max(again.len()), ..Comparison::default() };
    for (line, other) in lines.iter().zip(again) {
        let (line, other) = (rootless(line, data), rootless(other, data_again));
        if line != other {
            comparison.differs(|| format!("was  {line}\nis   {other}"));
        }
    }
    for (rest, word) in [(lines.get(again.len()..), "was "), (again.get(lines.len()..), "is  ")] {
        rest.unwrap_or_default()
            .iter()
            .for_each(|line| comparison.differs(|| format!("{word} {line}\n     nothing")));
    }
    comparison
}

/// What was published, when, and on which topic; where one topic tells of several devices: about which. What the gateway refuses
/// itself overtakes what devices are still to say on the same topic, so it is a topic of its own.
struct Published {
    at: Instant,
    topic: String,
    essence: String,
}

fn published(lines: &[Line]) -> Result<Vec<Published>, ReplayError> {
    let mut received = None;
    let mut published = vec![];
    for line in lines {
        match line.kind {
            Kind::In => received = Some(line.at),
            Kind::Out => {
                let Message { topic, payload, .. } = said(line)?;
                let (essence, device) = essence(&payload);
                let about = device.or_else(|| (received == Some(line.at)).then(|| "refused".into()));
                let topic = about.map_or_else(|| topic.clone(), |about| format!("{topic} ({about})"));
                published.push(Published { at: line.at, topic, essence });
            }
            // Whoever else was asked in between: it is an answer, and no refusal of the gateway's own.
            _ if received == Some(line.at) => received = None,
            _ => {}
        }
    }
    Ok(published)
}

/// About what only a real instrument knows: what is in its pictures, its clock and place, its cables.
const REAL: [&str; 3] = ["planktor/status/quality", "planktor/status/health", "planktor/status/device/"];

/// Of a real instrument's statuses the words, without figures.
fn word_by_word(lines: &[Line], again: &[Line], last: Instant) -> Result<Comparison, ReplayError> {
    let (real, was) = words(lines)?;
    let (_, is) = words(again)?;
    Ok(Comparison { left_out: real, ..topic_by_topic(&was, &is, last) })
}

/// How many are about what only a real instrument knows, and the others' words.
fn words(lines: &[Line]) -> Result<(usize, Vec<Published>), ReplayError> {
    let (real, others): (Vec<_>, Vec<_>) =
        published(lines)?.into_iter().partition(|it| REAL.iter().any(|topic| it.topic.starts_with(topic)));
    let word = |it: Published| {
        let value: Value = serde_json::from_str(&it.essence).unwrap_or_default();
        let status = value["status"].as_str().unwrap_or_default();
        // After a colon stands what went wrong, in figures.
        let word = status.split(':').next().unwrap_or_default().to_owned();
        Published { essence: word, ..it }
    };
    Ok((real.len(), others.into_iter().map(word).collect()))
}

/// What differs in frames that are exposed some microseconds apart; what the tests make of it should not.
const FIGURES: [&str; 6] = ["brightness", "sharpness", "saturated", "particles", "stuck", "bubble"];

/// What of a payload does not depend on microseconds: no durations, no file names (they are times), no figures of frames.
fn essence(payload: &[u8]) -> (String, Option<String>) {
    let Ok(mut value) = serde_json::from_slice::<Value>(payload) else {
        return (String::from_utf8_lossy(payload).into_owned(), None);
    };
    if let Some(fields) = value.as_object_mut() {
        fields.retain(|key, _| {
            !["duration", "path", "frame"].contains(&key.as_str()) && !FIGURES.contains(&key.as_str())
        });
        if let Some(Value::String(status)) = fields.get_mut("status")
            && let Some(end) = status.find(" saved to ")
        {
            status.truncate(end);
        }
    }
    let device = value["device"].as_str().map(String::from);
    (value.to_string(), device)
}

/// What is published after `last` answers nothing that was compared.
fn topic_by_topic(was: &[Published], is: &[Published], last: Instant) -> Comparison {
    let mut comparison = Comparison { compared: was.len().max(is.len()), ..Comparison::default() };
    let mut others: BTreeMap<&str, Vec<(usize, &Published)>> = BTreeMap::new();
    for (n, published) in is.iter().enumerate().rev() {
        others.entry(&published.topic).or_default().push((n, published));
    }
    let mut latest = 0;
    for published in was {
        let other = others.get_mut(published.topic.as_str()).and_then(Vec::pop);
        match other {
            Some((n, other)) if other.essence == published.essence => {
                comparison.reordered += usize::from(n < latest);
                latest = latest.max(n);
                comparison.shifted =
                    comparison.shifted.max(published.at - other.at).max(other.at - published.at);
            }
            Some((_, other)) => comparison.differs(|| differs(published, &other.essence)),
            None => comparison.differs(|| differs(published, "nothing")),
        }
    }
    for (_, extra) in others.values().flatten().filter(|(_, extra)| extra.at <= last) {
        comparison.differs(|| {
            format!("{:?} {}\n     was nothing\n     is  {}", extra.at, extra.topic, extra.essence)
        });
    }
    comparison
}

fn differs(published: &Published, is: &str) -> String {
    let Published { at, topic, essence } = published;
    format!("{at:?} {topic}\n     was {essence}\n     is  {is}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn published(at: u64, topic: &str, essence: &str) -> Published {
        Published { at: Instant::from_nanos(at), topic: topic.into(), essence: essence.into() }
    }

    #[test]
    fn topics_may_race_but_each_keeps_its_order() {
        let was = [published(1, "a", "x"), published(2, "b", "y"), published(3, "a", "z")];
        let raced = [published(1, "b", "y"), published(4, "a", "x"), published(5, "a", "z")];
        let last = Instant::from_nanos(9);
        let same = topic_by_topic(&was, &raced, last);
        assert!(same.is_same() && same.reordered == 1, "{same}");
        assert_eq!(same.shifted, Duration::from_nanos(3));
        let swapped = [published(1, "a", "z"), published(2, "b", "y"), published(3, "a", "x")];
        assert_eq!(topic_by_topic(&was, &swapped, last).different, 2);
        assert_eq!(topic_by_topic(&was, &was[..2], last).different, 1);
        assert_eq!(topic_by_topic(&was[..2], &was, last).different, 1);
    }

    #[test]
    fn a_refusal_may_overtake_an_answer_and_answers_keep_their_order() {
        let line = |at, kind, what: &str| Line { at: Instant::from_nanos(at), kind, what: what.into() };
        let out = |at, status: &str| {
            line(
                at,
                Kind::Out,
                &format!(r#"{{"topic":"status/pump","payload":"{{\"status\":\"{status}\"}}"}}"#),
            )
        };
        let (bad, told) = (|at| line(at, Kind::In, "{}"), |at| line(at, Kind::Told, "Pump"));
        let compare = |was: &[Line], is: &[Line]| {
            topic_by_topic(
                &super::published(was).unwrap(),
                &super::published(is).unwrap(),
                Instant::from_nanos(9),
            )
            .different
        };
        let overtaken = [bad(1), told(2), out(1, "Error"), out(3, "Done"), out(4, "Idle")];
        let in_turn = [told(1), out(1, "Done"), out(1, "Idle"), bad(2), out(2, "Error")];
        assert_eq!(compare(&overtaken, &in_turn), 0);
        let answered = [bad(1), told(1), out(1, "Error"), out(3, "Done"), out(4, "Idle")];
        assert_eq!(compare(&answered, &answered), 0);
        assert_ne!(compare(&answered, &in_turn), 0);
    }

    #[test]
    fn of_a_real_instrument_words_are_compared_and_what_only_it_knows_is_left_out() {
        let out = |at, topic: &str, payload: &str| {
            let message = Message { topic: topic.into(), payload: payload.into(), ..Message::default() };
            let what = serde_json::to_string(&message).unwrap();
            Line { at: Instant::from_nanos(at), kind: Kind::Out, what }
        };
        let was = [
            out(1, "status/light", r#"{"status":"On","value":0.5}"#),
            out(2, "planktor/status/quality", r#"{"frames":1}"#),
        ];
        let twin = |word: &str| [out(1, "status/light", &format!(r#"{{"status":"{word}","value":0.7}}"#))];
        let last = Instant::from_nanos(9);
        let same = word_by_word(&was, &twin("On"), last).unwrap();
        assert!(
            same.is_same() && same.left_out == 1 && same.to_string().contains("1 about pictures"),
            "{same}"
        );
        assert_eq!(word_by_word(&was, &twin("Off"), last).unwrap().different, 1);
    }

    #[test]
    fn durations_and_file_names_are_no_difference_and_words_are() {
        let essence = |text: &str| super::essence(text.as_bytes()).0;
        assert_eq!(
            essence(r#"{"status":"Started","duration":0.1}"#),
            essence(r#"{"status":"Started","duration":0.2}"#)
        );
        assert_eq!(
            essence(r#"{"status":"Image 1/3 saved to a.jpg"}"#),
            essence(r#"{"status":"Image 1/3 saved to b.jpg"}"#)
        );
        assert_ne!(essence(r#"{"status":"Done"}"#), essence(r#"{"status":"Error"}"#));
    }
}
