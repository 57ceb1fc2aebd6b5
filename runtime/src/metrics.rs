//! What the program counts and times, for Prometheus: `/metrics`. Counting takes nanoseconds and never waits.

use crate::dataset::Figures;
use planktor_actors::timing::{Distribution, Miss, Stage, Timings};
use planktor_drivers::Clock;
use planktor_drivers::clock::Monotonic;
use planktor_protocol::acquisition;
use planktor_protocol::instrument::{Answer, Event, Health};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

/// One label and its value.
type Label = [(&'static str, String); 1];
type Number = Gauge<f64, AtomicU64>;

/// What is read when somebody asks, and not counted as it happens.
#[derive(Clone, Debug, Default)]
pub struct Reading {
    /// Waiting in each queue, and its room.
    pub queues: Vec<(&'static str, usize, usize)>,
    /// Given up so far in each queue, for want of room.
    pub lost: Vec<(&'static str, u64)>,
    /// Whether the MQTT broker is there.
    pub broker: bool,
    /// Bytes of the disk with the data sets: free for us, and in all.
    pub disk: Option<[u64; 2]>,
    /// Where the time comes from, and s since that was last asked.
    pub clock: Option<(String, f64)>,
    /// Age of the newest fix with a place, s, and its error, m, as far as that is known.
    pub position: Option<(f64, Option<f64>)>,
    /// The clocks of the motors' drivers as their moves have shown them, and within what: by device, Hz.
    pub motor_clocks: Vec<(&'static str, f64, f64)>,
    /// Viewers of the live picture, and HTTP connections.
    pub viewers: u32,
    /// HTTP connections.
    pub connections: usize,
}

/// All counters; clones are the same ones.
#[derive(Clone, Debug)]
pub struct Metrics(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    registry: Registry,
    frames: Counter,
    acquisitions: Family<Label, Counter>,
    refusals: Family<Label, Counter>,
    failures: Family<Label, Counter>,
    faults: Family<Label, Counter>,
    present: Family<Label, Gauge>,
    timings: Timings,
    queued: Family<Label, Gauge>,
    room: Family<Label, Gauge>,
    lost: Family<Label, Counter>,
    broker: Gauge,
    disk_free: Gauge,
    disk_size: Gauge,
    clock: Family<Label, Gauge>,
    clock_age: Number,
    position_age: Number,
    position_error: Number,
    motor_clock: Family<Label, Number>,
    motor_clock_error: Family<Label, Number>,
    viewers: Gauge,
    pictures: Counter,
    no_pictures: Counter,
    brightness: Number,
    sharpness: Number,
    connections: Gauge,
    turned_away: Counter,
    requests: Family<Label, Counter>,
    memory: Gauge,
    cpu: Counter<f64, AtomicU64>,
}

/// From 10 us to 5 s, three a decade.
const BUCKETS: [f64; 18] =
    [1e-5, 2e-5, 5e-5, 1e-4, 2e-4, 5e-4, 1e-3, 2e-3, 5e-3, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0];

/// What is timed, as Prometheus wants it: read when somebody asks.
#[derive(Debug)]
struct Timed(Timings);

impl Collector for Timed {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> std::fmt::Result {
        let read = self.0.read();
        let (seconds, histogram) = (Some(&Unit::Seconds), MetricType::Histogram);
        let mut stages =
            encoder.encode_descriptor("stage", "How long a stage of the work takes", seconds, histogram)?;
        for stage in Stage::ALL {
            let times = read.stage(*stage);
            distribution(stages.encode_family(&[("stage", stage.word())])?, times)?;
        }
        let mut handlers = encoder.encode_descriptor(
            "handler",
            "How long a handler of the hardware thread takes",
            seconds,
            histogram,
        )?;
        for (name, times) in &read.handlers {
            distribution(handlers.encode_family(&[("handler", name.as_str())])?, times)?;
        }
        let help = "What should not happen: frame starts and frames lost, alarms and handlers too late";
        let mut misses = encoder.encode_descriptor("deadline_misses", help, None, MetricType::Counter)?;
        for what in Miss::ALL {
            let count = read.misses(what);
            misses.encode_family(&[("what", what.word())])?.encode_counter::<Label, _, u64>(&count, None)?;
        }
        Ok(())
    }
}

fn distribution(mut encoder: MetricEncoder<'_>, times: &Distribution) -> std::fmt::Result {
    let mut before = 0;
    let each = |limit| {
        let within = times.within(Duration::from_secs_f64(limit));
        (limit, within - std::mem::replace(&mut before, within))
    };
    let mut all = BUCKETS.map(each).to_vec();
    all.push((f64::MAX, times.count() - before));
    encoder.encode_histogram::<Label>(times.sum.as_secs_f64(), times.count(), &all, None)
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("planktor");
        let r = &mut registry;
        let timings = Timings::default();
        r.register_collector(Box::new(Timed(timings.clone())));
        let shared = Shared {
            frames: counted(r, "frames_saved", "Frames of data sets that are durably on disk"),
            acquisitions: counted(r, "acquisitions", "Acquisitions that ended, by outcome"),
            refusals: counted(r, "refusals", "Commands that were refused, by what they were for"),
            failures: counted(r, "failures", "Commands that failed, by what they were for"),
            faults: counted(r, "faults", "Times that a device was lost"),
            present: counted(r, "device_present", "Whether a device answers"),
            timings,
            queued: counted(r, "queue_depth", "Entries that wait"),
            room: counted(r, "queue_capacity", "Entries that may wait"),
            lost: counted(r, "queue_lost", "Entries given up so far for want of room"),
            broker: counted(r, "broker_connected", "Whether the MQTT broker is there"),
            disk_free: bytes(r, "disk_free", "Free for data sets"),
            disk_size: bytes(r, "disk_size", "Of the disk with the data sets"),
            clock: counted(r, "clock_source", "1 for where the time comes from: gps, computer or unset"),
            clock_age: seconds(r, "clock_age", "Since the source of the time was last asked"),
            position_age: seconds(
                r,
                "position_age",
                "Since the newest fix with a place; NaN if there is none",
            ),
            position_error: counted(
                r,
                "position_error_meters",
                "Of that fix, horizontal, 95 %; NaN if unknown",
            ),
            motor_clock: hertz(
                r,
                "motor_clock",
                "Of a motor's driver, nominally 12 MHz, as its moves have shown it; nothing before the first",
            ),
            motor_clock_error: hertz(r, "motor_clock_error", "Within what that is known"),
            viewers: counted(r, "preview_viewers", "Who look at the live picture"),
            pictures: counted(r, "preview_pictures", "Frames that were shown"),
            no_pictures: counted(r, "preview_failures", "Frames that could not be shown"),
            brightness: counted(r, "preview_brightness_ratio", "Of the newest frame that was shown, 0 to 1"),
            sharpness: counted(r, "preview_sharpness", "Of the newest frame that was shown"),
            connections: counted(r, "http_connections", "Connections that are open"),
            turned_away: counted(r, "http_connections_refused", "Connections closed at once: too many"),
            requests: counted(r, "http_requests", "Requests answered, by status"),
            memory: bytes(r, "memory_resident", "Of the program"),
            cpu: spent(r, "cpu", "Of all cores, by the program since its start"),
            registry,
        };
        shared.position_age.set(f64::NAN);
        shared.position_error.set(f64::NAN);
        Self(Arc::new(shared))
    }
}

fn counted<M: prometheus_client::registry::Metric + Clone + Default>(
    registry: &mut Registry,
    name: &str,
    help: &str,
) -> M {
    let metric = M::default();
    registry.register(name, help, metric.clone());
    metric
}

fn bytes(registry: &mut Registry, name: &str, help: &str) -> Gauge {
    let metric = Gauge::default();
    registry.register_with_unit(name, help, Unit::Bytes, metric.clone());
    metric
}

fn seconds(registry: &mut Registry, name: &str, help: &str) -> Number {
    let metric = Number::default();
    registry.register_with_unit(name, help, Unit::Seconds, metric.clone());
    metric
}

fn hertz(registry: &mut Registry, name: &str, help: &str) -> Family<Label, Number> {
    let metric = Family::default();
    registry.register_with_unit(name, help, Unit::Other("hertz".into()), metric.clone());
    metric
}

fn spent(registry: &mut Registry, name: &str, help: &str) -> Counter<f64, AtomicU64> {
    let metric = Counter::default();
    registry.register_with_unit(name, help, Unit::Seconds, metric.clone());
    metric
}

/// The same text in Prometheus' older form, which many tools read: there a counter is called by its whole name everywhere.
pub fn older(openmetrics: &str) -> String {
    let counter = |line: &str| Some(line.strip_prefix("# TYPE ")?.strip_suffix(" counter")?.to_owned());
    let counters: BTreeSet<String> = openmetrics.lines().filter_map(counter).collect();
    let mut text = String::with_capacity(openmetrics.len());
    for line in openmetrics.lines() {
        let mut words = line.splitn(4, ' ');
        match (words.next(), words.next(), words.next(), words.next()) {
            (Some("#"), Some("EOF" | "UNIT"), ..) => {}
            (Some("#"), Some(what), Some(name), Some(rest)) if counters.contains(name) => {
                text.push_str(&format!("# {what} {name}_total {rest}\n"));
            }
            _ => text.push_str(&format!("{line}\n")),
        }
    }
    text
}

/// Seconds of all cores that the program has used, and bytes of memory that it has, as proc(5) has them in
/// `/proc/self/stat`; `None` where there is no such file.
pub fn own_usage() -> Option<(f64, i64)> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    // The program's name is in parentheses and may contain anything; the field after it is the third.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let field = |n: usize| fields.get(n - 3)?.parse::<i64>().ok();
    let ticks = field(14)? + field(15)?;
    let page = i64::try_from(rustix::param::page_size()).ok()?;
    Some((ticks as f64 / rustix::param::clock_ticks_per_second() as f64, field(24)? * page))
}

fn about(what: impl Into<String>) -> Label {
    [("about", what.into())]
}

fn signed(n: impl TryInto<i64>) -> i64 {
    n.try_into().unwrap_or(i64::MAX)
}

impl Metrics {
    /// What is timed.
    pub fn timings(&self) -> &Timings {
        &self.0.timings
    }

    /// Times a piece of work.
    pub fn timed<T>(&self, stage: Stage, work: impl FnOnce() -> T) -> T {
        let begun = Monotonic.now();
        let done = work();
        self.0.timings.add(stage, Monotonic.now() - begun);
        done
    }

    /// Counts an answer.
    pub fn answered(&self, answer: &Answer) {
        let event = &answer.event;
        if let Event::Acquisition(event) = event {
            self.acquired(event);
        }
        if let Event::Health(device, health) = event {
            let device = || [("device", device.to_string())];
            let present = matches!(health, Health::Present | Health::OddClock(_));
            self.0.present.get_or_create(&device()).set(i64::from(present));
            if !present {
                self.0.faults.get_or_create(&device()).inc();
            }
        }
        let counters = match (event.is_failure(), event.is_refusal()) {
            (true, _) => &self.0.failures,
            (false, true) => &self.0.refusals,
            (false, false) => return,
        };
        counters.get_or_create(&about(event.about())).inc();
    }

    fn acquired(&self, event: &acquisition::Event) {
        let outcome = match event {
            acquisition::Event::Saved { .. } => {
                self.0.frames.inc();
                return;
            }
            acquisition::Event::Done { .. } => "done",
            acquisition::Event::Interrupted => "interrupted",
            acquisition::Event::Failed(_) => "failed",
            acquisition::Event::Refused(_)
            | acquisition::Event::Judged { .. }
            | acquisition::Event::Started
            | acquisition::Event::Progress { .. }
            | acquisition::Event::Configured
            | acquisition::Event::Set
            | acquisition::Event::Captured { .. }
            | acquisition::Event::Pausing
            | acquisition::Event::Resumed => return,
        };
        self.0.acquisitions.get_or_create(&[("outcome", outcome.into())]).inc();
    }

    /// Counts a message that could not be read.
    pub(crate) fn malformed(&self) {
        self.0.refusals.get_or_create(&about("malformed")).inc();
    }

    pub(crate) fn picture(&self, figures: Figures) {
        self.0.pictures.inc();
        self.0.brightness.set(figures.brightness);
        self.0.sharpness.set(figures.sharpness);
    }

    pub(crate) fn no_picture(&self) {
        self.0.no_pictures.inc();
    }

    pub(crate) fn turned_away(&self) {
        self.0.turned_away.inc();
    }

    pub(crate) fn request(&self, status: u16) {
        self.0.requests.get_or_create(&[("status", status.to_string())]).inc();
    }

    /// Everything in Prometheus' text form (OpenMetrics).
    pub fn text(&self, reading: &Reading) -> String {
        let all = &*self.0;
        for (queue, depth, room) in &reading.queues {
            let queue = || [("queue", (*queue).to_owned())];
            all.queued.get_or_create(&queue()).set(signed(*depth));
            all.room.get_or_create(&queue()).set(signed(*room));
        }
        for (queue, lost) in &reading.lost {
            let counter = all.lost.get_or_create_owned(&[("queue", (*queue).into())]);
            counter.inc_by(lost.saturating_sub(counter.get()));
        }
        all.broker.set(i64::from(reading.broker));
        if let Some([free, size]) = reading.disk {
            all.disk_free.set(signed(free));
            all.disk_size.set(signed(size));
        }
        if let Some((source, age)) = &reading.clock {
            all.clock.clear();
            all.clock.get_or_create(&[("source", source.clone())]).set(1);
            all.clock_age.set(*age);
        }
        let (age, error) = reading.position.unwrap_or((f64::NAN, None));
        all.position_age.set(age);
        all.position_error.set(error.unwrap_or(f64::NAN));
        for (device, hz, within) in &reading.motor_clocks {
            let device = || [("device", (*device).to_owned())];
            all.motor_clock.get_or_create(&device()).set(*hz);
            all.motor_clock_error.get_or_create(&device()).set(*within);
        }
        all.viewers.set(reading.viewers.into());
        all.connections.set(signed(reading.connections));
        if let Some((cpu, memory)) = own_usage() {
            all.cpu.inc_by((cpu - all.cpu.get()).max(0.0));
            all.memory.set(memory);
        }
        let mut text = String::new();
        encode(&mut text, &all.registry).expect("a text takes whatever is written into it");
        text
    }
}
