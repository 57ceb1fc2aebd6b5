//! The real-time figures of a computer: a simulated instrument in real time, and beside each figure what the computer can do
//! at best, measured in the same run, in turn. Absolute times belong to a computer and an hour; the ratios last.

mod crowd;
mod instrument;
mod load;
mod plot;
mod references;

pub use instrument::Bench;
pub use load::Load;

use planktor_actors::timing::Distribution;
use serde::Serialize;
use std::collections::BTreeMap;
use std::time::Duration;

/// What is measured. References have no aim: they are what aims are counted from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Figure {
    /// Reference: a bare loop of absolute sleeps of 1 ms in a thread of the same priority.
    BareLoop,
    /// Reference: the same by cyclictest of the rt-tests, where it is installed.
    Cyclictest,
    /// An alarm every millisecond to an actor, on an arbiter of its own of the same priority.
    Alarm,
    /// An alarm of the instrument while it acquires.
    AlarmInUse,
    /// What a frame costs beyond moving, settling, exposing and waiting for the camera.
    Overhead,
    /// From the true end of a move until it is known.
    EndKnown,
    /// From a stop's arrival at the gateway until the motor has been told to brake.
    Stop,
    /// The same among 10,000 commands.
    StopInAFlood,
    /// From a move's arrival at the gateway until the write that begins it is on the bus.
    CommandToBus,
    /// Reference: an MQTT message to the broker and back.
    BareEcho,
    /// A command over MQTT until its status comes back.
    CommandToStatus,
    /// Reference: a frame through the bare JPEG encoder.
    BareEncoder,
    /// A frame through ours: rendered, looked at, compressed, with Exif and digest.
    Encode,
    /// Reference: 4 MB written and synced.
    BareWrite,
    /// A frame through the recorder: written, synced, recorded, renamed.
    Record,
    /// From the exposure's end until the frame is durably on disk.
    Durable,
}

impl Figure {
    /// Every one, in the order of a report.
    pub const ALL: [Self; 16] = [
        Self::BareLoop,
        Self::Cyclictest,
        Self::Alarm,
        Self::AlarmInUse,
        Self::Overhead,
        Self::EndKnown,
        Self::Stop,
        Self::StopInAFlood,
        Self::CommandToBus,
        Self::BareEcho,
        Self::CommandToStatus,
        Self::BareEncoder,
        Self::Encode,
        Self::BareWrite,
        Self::Record,
        Self::Durable,
    ];

    /// For people.
    pub fn name(self) -> &'static str {
        match self {
            Self::BareLoop => "bare loop of 1 ms sleeps",
            Self::Cyclictest => "cyclictest",
            Self::Alarm => "alarm to an actor, every 1 ms",
            Self::AlarmInUse => "alarm, while it acquires",
            Self::Overhead => "overhead of a frame",
            Self::EndKnown => "end of a move known",
            Self::Stop => "stop, gateway to bus",
            Self::StopInAFlood => "stop among 10,000 commands",
            Self::CommandToBus => "move, gateway to bus",
            Self::BareEcho => "bare broker echo",
            Self::CommandToStatus => "command to status",
            Self::BareEncoder => "bare JPEG encoder",
            Self::Encode => "encoder",
            Self::BareWrite => "bare write and sync of 4 MB",
            Self::Record => "recorder",
            Self::Durable => "exposure to durable",
        }
    }

    /// What it is counted from.
    pub fn reference(self) -> Option<Self> {
        match self {
            Self::Alarm | Self::AlarmInUse => Some(Self::BareLoop),
            Self::CommandToStatus => Some(Self::BareEcho),
            Self::Encode => Some(Self::BareEncoder),
            Self::Record => Some(Self::BareWrite),
            Self::BareLoop
            | Self::Cyclictest
            | Self::Overhead
            | Self::EndKnown
            | Self::Stop
            | Self::StopInAFlood
            | Self::CommandToBus
            | Self::BareEcho
            | Self::BareEncoder
            | Self::BareWrite
            | Self::Durable => None,
        }
    }
}

/// What one round measured.
pub type Round = BTreeMap<Figure, Distribution>;

/// All rounds under one condition.
#[derive(Clone, Debug, Default)]
pub struct Rounds {
    /// What the condition is.
    pub condition: String,
    /// One after the other.
    pub rounds: Vec<Round>,
    /// Frames whose possible begin was missed.
    pub frame_starts_missed: u32,
    /// Frames that never came, or were not still, and were taken again.
    pub lost: u64,
    /// All frames.
    pub frames: u32,
    /// Frames that were exposed in motion.
    pub in_motion: u32,
    /// How long all rounds took, s.
    pub seconds: f64,
    /// Processor time that the host of a virtual machine gave to others meanwhile, of all cores together, s.
    pub stolen: f64,
}

/// A figure's line in a report.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// Which.
    pub figure: Figure,
    /// How many were measured in all rounds.
    pub n: u64,
    /// Median of the rounds' medians, ms.
    pub p50_ms: f64,
    /// Median of the rounds' 99th percentiles, ms.
    pub p99_ms: f64,
    /// 99.9th percentile of all rounds together, ms.
    pub p999_ms: f64,
    /// Longest of all, ms.
    pub most_ms: f64,
    /// Its median by its reference's: the median of the rounds' ratios.
    pub p50_ratio: Option<f64>,
    /// The same of the 99th percentiles.
    pub p99_ratio: Option<f64>,
}

impl Rounds {
    /// All rounds of a figure together.
    pub fn pooled(&self, figure: Figure) -> Distribution {
        let mut all = Distribution::default();
        self.rounds.iter().filter_map(|round| round.get(&figure)).for_each(|times| all.add(times));
        all
    }

    /// A line a figure.
    pub fn rows(&self) -> Vec<Row> {
        Figure::ALL.into_iter().filter_map(|figure| self.row(figure)).collect()
    }

    fn row(&self, figure: Figure) -> Option<Row> {
        let all = self.pooled(figure);
        if all.count() == 0 {
            return None;
        }
        let of =
            |part: f64| self.rounds.iter().filter_map(move |round| Some(ms(round.get(&figure)?.at(part))));
        let ratio = |part: f64| {
            let reference = figure.reference()?;
            let each = self.rounds.iter().filter_map(|round| {
                let (own, reference) =
                    (ms(round.get(&figure)?.at(part)), ms(round.get(&reference)?.at(part)));
                (reference > 0.0).then(|| own / reference)
            });
            median(each)
        };
        Some(Row {
            figure,
            n: all.count(),
            p50_ms: median(of(0.5))?,
            p99_ms: median(of(0.99))?,
            p999_ms: ms(all.at(0.999)),
            most_ms: ms(all.most),
            p50_ratio: ratio(0.5),
            p99_ratio: ratio(0.99),
        })
    }
}

/// What the program needs while nobody asks anything: camera closed, page and embedded broker on.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Idle {
    /// Of one core, as a part.
    pub cpu: f64,
    /// Bytes of memory.
    pub resident: i64,
    /// Measured for so long, s.
    pub seconds: f64,
}

/// Everything that a run found.
#[derive(Clone, Debug)]
pub struct Report {
    /// Computer and program.
    pub machine: String,
    /// What the hardware thread was given.
    pub scheduled: String,
    /// When.
    pub date: String,
    /// While nobody asks anything.
    pub idle: Idle,
    /// Idle, under load, and in a crowd, as was asked for.
    pub conditions: Vec<Rounds>,
    /// Why the round that was begun last was not measured, nor any after it.
    pub ended_early: Option<String>,
}

impl Report {
    /// As JSON.
    pub fn json(&self) -> serde_json::Value {
        let conditions = self.conditions.iter().map(|rounds| {
            serde_json::json!({
                "condition": rounds.condition, "rounds": rounds.rounds.len(), "frames": rounds.frames,
                "frame_starts_missed": rounds.frame_starts_missed, "lost": rounds.lost, "in_motion": rounds.in_motion,
                "seconds": rounds.seconds, "stolen_s": rounds.stolen, "figures": rounds.rows(),
            })
        });
        serde_json::json!({
            "machine": self.machine, "version": env!("CARGO_PKG_VERSION"), "scheduled": self.scheduled, "date": self.date,
            "idle": self.idle, "conditions": conditions.collect::<Vec<_>>(), "ended_early": self.ended_early,
        })
    }

    /// As a table in Markdown, which is readable as it is.
    pub fn table(&self) -> String {
        let mut text = format!("{}; {}; {}\n\n", self.machine, self.scheduled, self.date);
        let Idle { cpu, resident, seconds } = self.idle;
        let (cpu, mib) = (cpu * 100.0, resident as f64 / f64::from(1 << 20));
        text.push_str(&format!("idle, camera closed, page and broker on: {cpu:.2} % of one core, {mib:.1} MiB resident ({seconds:.0} s)\n"));
        for rounds in &self.conditions {
            let Rounds { condition, frame_starts_missed, lost, frames, in_motion, seconds, stolen, .. } =
                rounds;
            text.push_str(&format!(
                "\n{condition}: {} rounds, {frames} frames, {frame_starts_missed} frame starts missed, {lost} lost, {in_motion} exposed in motion \
                 (of {seconds:.0} s a host took {stolen:.2} s of processors)\n\n",
                rounds.rounds.len()
            ));
            text.push_str("| ms | n | p50 | p99 | p99.9 | most | p50 by reference | p99 by reference |\n|---|---|---|---|---|---|---|---|\n");
            for Row { figure, n, p50_ms, p99_ms, p999_ms, most_ms, p50_ratio, p99_ratio } in rounds.rows() {
                let ratio = |ratio: Option<f64>| ratio.map_or(String::new(), |ratio| format!("{ratio:.2}"));
                let (p50, p99) = (ratio(p50_ratio), ratio(p99_ratio));
                text.push_str(&format!(
                    "| {} | {n} | {p50_ms:.3} | {p99_ms:.3} | {p999_ms:.3} | {most_ms:.3} | {p50} | {p99} |\n",
                    figure.name()
                ));
            }
        }
        text
    }

    /// As a picture (SVG): how late alarms and the bare loop are, and how a frame's overhead is distributed.
    pub fn plot(&self) -> String {
        plot::plot(self)
    }
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// The middle one, or the mean of the two in the middle.
fn median(values: impl Iterator<Item = f64>) -> Option<f64> {
    let mut sorted: Vec<f64> = values.collect();
    sorted.sort_by(f64::total_cmp);
    let n = sorted.len();
    let (low, high) = (sorted.get(n.checked_sub(1)? / 2)?, sorted.get(n / 2)?);
    Some(f64::midpoint(*low, *high))
}

#[cfg(test)]
mod tests {
    use super::*;
    use planktor_actors::timing::Histogram;

    fn times(ms: &[u64]) -> Distribution {
        let histogram = Histogram::default();
        ms.iter().for_each(|ms| histogram.add(Duration::from_millis(*ms)));
        histogram.read()
    }

    #[test]
    fn ratios_are_of_one_round_each_and_the_median_of_them_counts() {
        let round = |loop_ms, alarm_ms| {
            Round::from([(Figure::BareLoop, times(&[loop_ms])), (Figure::Alarm, times(&[alarm_ms]))])
        };
        // A slow hour makes both slow; one round was disturbed.
        let rounds =
            Rounds { rounds: vec![round(10, 20), round(100, 200), round(10, 900)], ..Rounds::default() };
        let rows = rounds.rows();
        assert_eq!(rows.len(), 2);
        let ratio = rows[1].p50_ratio.unwrap();
        assert!((1.9..2.1).contains(&ratio), "{ratio}");
        assert_eq!((rows[1].n, rows[0].p50_ratio), (3, None));
    }

    #[test]
    fn a_report_is_a_table_json_and_a_picture() {
        let rounds = vec![Round::from([(Figure::BareLoop, times(&[1, 2])), (Figure::Overhead, times(&[1]))])];
        let idle = Idle { cpu: 0.001, resident: 20 << 20, seconds: 10.0 };
        let conditions = vec![Rounds { condition: "idle".into(), rounds, frames: 1, ..Rounds::default() }];
        let text = |text: &str| text.to_owned();
        let (machine, scheduled, date) = (text("m<1>"), text("s"), text("d"));
        let report = Report { machine, scheduled, date, idle, conditions, ended_early: None };
        assert!(report.table().contains("| overhead of a frame | 1 |"), "{}", report.table());
        assert_eq!(report.json()["conditions"][0]["figures"][1]["figure"], "overhead");
        let plot = report.plot();
        assert!(
            plot.starts_with("<svg") && plot.trim_end().ends_with("</svg>") && plot.contains("m&lt;1&gt;"),
            "{plot}"
        );
    }
}
