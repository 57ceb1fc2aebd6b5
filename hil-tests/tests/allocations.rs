//! On the hardware thread our own code allocates nothing while frames are taken; what the libraries allocate there is small,
//! always as much, and given back; and no page is faulted in.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

use actix_rt::time::timeout;
use actix_rt::{System, SystemRunner};
use planktor_actors::journal::Journal;
use planktor_actors::outlet::Answers;
use planktor_drivers::Clock;
use planktor_drivers::clock::Monotonic;
use planktor_drivers::devices::camera::{Camera, Prediction};
use planktor_drivers::disk::FileSystem;
use planktor_hil_tests::bench::twin;
use planktor_hil_tests::meddled::Meddled;
use planktor_hil_tests::{light_on, message, update_config};
use planktor_protocol::camera::{self, Frame, Image, Mode, Picture, Pixels};
use planktor_protocol::instrument::{Device, Event, Health};
use planktor_protocol::{Fault, Instant, acquisition};
use planktor_runtime::gateway::Gateway;
use planktor_runtime::instrument::{Config, Instrument, Time};
use planktor_runtime::mqtt::Message;
use planktor_sim::Settings;
use serde_json::json;
use std::alloc::{GlobalAlloc, Layout, System as Heap};
use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::atomic::{AtomicIsize, Ordering::SeqCst};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

/// Who is deeper than that is deep in a library.
const DEEPEST: usize = 48;
const MOST: usize = 20_000;

thread_local! {
    /// Whether what this thread allocates is noted.
    static NOTED: Cell<bool> = const { Cell::new(false) };
}

/// One allocation: its size, and by whom.
#[derive(Clone, Copy)]
struct Note {
    size: usize,
    stack: [usize; DEEPEST],
}

/// What was noted; room for all of it is made beforehand.
static NOTES: Mutex<Vec<Note>> = Mutex::new(Vec::new());
/// Bytes that the program has.
static LIVE: AtomicIsize = AtomicIsize::new(0);

struct Watched;

#[global_allocator]
static WATCHED: Watched = Watched;

#[expect(unsafe_code, reason = "an allocator is")]
// SAFETY: everything is given on to the system's.
unsafe impl GlobalAlloc for Watched {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        LIVE.fetch_add(layout.size().cast_signed(), SeqCst);
        if NOTED.try_with(|noted| noted.replace(false)).unwrap_or(false) {
            note(layout.size());
            NOTED.set(true);
        }
        // SAFETY: as the caller promises.
        unsafe { Heap.alloc(layout) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        LIVE.fetch_sub(layout.size().cast_signed(), SeqCst);
        // SAFETY: as the caller promises.
        unsafe { Heap.dealloc(place, layout) }
    }
}

fn note(size: usize) {
    let (mut stack, mut depth) = ([0; DEEPEST], 0);
    backtrace::trace(|frame| {
        stack[depth] = frame.ip() as usize;
        depth += 1;
        depth < DEEPEST
    });
    let mut notes = NOTES.lock().unwrap();
    if notes.len() < notes.capacity() {
        notes.push(Note { size, stack });
    }
}

fn notes() -> usize {
    NOTES.lock().unwrap().len()
}

/// Who has a function: a crate of ours by its folder, a library by its name; `None` for the standard library's and this file's.
fn owner(symbol: &backtrace::Symbol) -> Option<String> {
    let name = symbol.name()?.to_string();
    let by_name = name.trim_start_matches(['<', '&', '*']).split("::").next().unwrap_or_default();
    let file = symbol.filename().map(|file| file.display().to_string()).unwrap_or_default();
    let owner = match (file.split_once("/registry/src/"), file.split_once("/src/")) {
        (Some((_, below)), _) => below.split('/').nth(1)?.rsplit_once('-')?.0,
        (None, Some((crate_, _))) if !file.starts_with("/rustc/") => crate_.rsplit('/').next()?,
        (None, _) if file.is_empty() => by_name,
        (None, _) => return None,
    };
    let nobody = ["backtrace", "alloc", "core", "std", "__rustc", "allocations"];
    (!nobody.iter().any(|name| owner == *name || owner.starts_with(&format!("{name}["))))
        .then(|| owner.into())
}

/// Everybody whose function is on the stack of an allocation, the innermost first, and the innermost functions.
fn owners(stack: &[usize]) -> (Vec<String>, Vec<String>) {
    let (mut owners, mut names) = (vec![], vec![]);
    for ip in stack.iter().filter(|ip| **ip != 0) {
        backtrace::resolve((*ip - 1) as *mut _, |symbol| {
            if let Some(owner) = owner(symbol) {
                names.push(format!(
                    "{} ({owner})",
                    symbol.name().map(|name| name.to_string()).unwrap_or_default()
                ));
                owners.push(owner);
            }
        });
    }
    (owners, names)
}

/// Minor and major page faults of a thread so far: proc(5), `/proc/self/task/…/stat`.
fn faults(thread: rustix::thread::Pid) -> [u64; 2] {
    let stat = std::fs::read_to_string(format!("/proc/self/task/{thread}/stat")).unwrap();
    let fields: Vec<_> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    [fields[7], fields[9]].map(|field| field.parse().unwrap())
}

/// A camera's pictures without the twin's memory of what was in them, which grows with every frame.
struct Plain {
    camera: Box<dyn Camera>,
    next: Cell<Option<Prediction>>,
}

/// One picture for all frames.
#[derive(Debug)]
struct Grey;

impl Picture for Grey {
    fn develop(&self) -> Pixels {
        let (width, height) = Settings::SMALL_FRAME;
        Pixels::Rgb(Image { width, height, rgb: vec![128; (width * height * 3) as usize] })
    }
}

static GREY: LazyLock<Arc<Grey>> = LazyLock::new(|| Arc::new(Grey));

impl Camera for Plain {
    fn set(&mut self, settings: camera::Settings) -> Result<Mode, Fault> {
        self.camera.set(settings)
    }
    fn open(&mut self) -> Result<Mode, Fault> {
        self.camera.open()
    }
    fn predict(&self, not_before: Instant) -> Option<Prediction> {
        self.next.set(self.camera.predict(not_before));
        self.next.get()
    }
    fn take(&mut self, seq: u64) -> Option<Frame> {
        let Prediction { interval, .. } =
            self.next.get().filter(|next| next.seq == seq && Monotonic.now() >= next.ready)?;
        Some(Frame { seq, interval, picture: GREY.clone() })
    }
    fn close(&mut self) {
        self.camera.close();
    }
}

/// An instrument in real time, and the outside of it.
struct Bench {
    system: SystemRunner,
    instrument: Instrument,
    gateway: Gateway,
    answers: Answers,
}

impl Bench {
    fn start(data: PathBuf) -> Self {
        let system = System::new();
        let twin = Arc::new(twin(Settings::SMALL_FRAME));
        let plain = |camera| Ok(Box::new(Plain { camera, next: Cell::new(None) }) as Box<dyn Camera>);
        let board = Arc::new(Meddled::of(twin).camera(plain));
        let config = Config {
            real_time: true,
            kept_free: 0,
            ..Config::new(board, "twin", Time::Real, Box::new(FileSystem), data)
        };
        let (instrument, answers) = system.block_on(async { Instrument::start(config) }).unwrap();
        let gateway = Gateway::new(instrument.gate.clone(), None, Journal::default());
        Self { system, instrument, gateway, answers }
    }

    /// Says something, and hears answers until one is what is waited for.
    fn say(&mut self, message: &Message, is_it: impl FnMut(&Event) -> bool) {
        let refused = self.gateway.receive(message, Monotonic.now());
        assert!(refused.is_empty(), "{refused:?}");
        self.until(is_it);
    }

    fn until(&mut self, mut is_it: impl FnMut(&Event) -> bool) {
        loop {
            let next = async { timeout(Duration::from_secs(30), self.answers.next()).await };
            let answer = self.system.block_on(next).expect("it comes in time").expect("the supervisor lives");
            assert!(!answer.event.is_refusal() && !answer.event.is_failure(), "{:?}", answer.event);
            self.gateway.tell(&answer, Monotonic.now());
            if is_it(&answer.event) {
                return;
            }
        }
    }

    /// Has the hardware thread say something.
    fn ask<T: Send + 'static>(&self, what: impl FnOnce() -> T + Send + 'static) -> T {
        let (answer, answered) = crossbeam_channel::bounded(1);
        assert!(self.instrument.hardware.spawn_fn(move || drop(answer.send(what()))));
        answered.recv_timeout(Duration::from_secs(5)).unwrap()
    }
}

/// Crates that run on the hardware thread, by their folders.
const OURS: [&str; 3] = ["protocol", "drivers", "actors"];
/// Frames before the first one that counts, 0.3 s each: until then queues grow, and the twin's memory of ten seconds.
const WARM_UP: u32 = 40;
/// Frames in which page faults are counted; to note an allocation costs some.
const UNNOTED: u32 = 10;
const FRAMES: u32 = 61;

fn saved(event: &Event, n: u32) -> bool {
    matches!(event, Event::Acquisition(acquisition::Event::Saved { current, .. }) if *current == n)
}

#[test]
fn frames_cost_the_hardware_thread_no_memory_of_ours_and_no_page() {
    let data = tempfile::TempDir::new().unwrap();
    // Its pages are used before anything is counted.
    let mut room = vec![Note { size: 1, stack: [1; DEEPEST] }; MOST];
    room.clear();
    *NOTES.lock().unwrap() = room;
    let mut bench = Bench::start(data.path().into());
    let mut away = BTreeSet::from(Device::ALL);
    while !away.is_empty() {
        bench.until(|event| matches!(event, Event::Health(device, Health::Present) if away.remove(device)));
    }
    bench.say(&light_on(), |event| matches!(event, Event::Light(_)));
    bench.say(&update_config("allocations", FRAMES), |event| {
        matches!(event, Event::Acquisition(acquisition::Event::Configured))
    });
    let plan = json!({"action": "image", "pump_direction": "FORWARD", "volume": 0.0002, "nb_frame": FRAMES, "sleep": 0.1, "flowrate": 3});
    bench.say(&message("imager/image", &plan), |event| saved(event, WARM_UP));
    let thread = bench.ask(rustix::thread::gettid);
    let before = faults(thread);
    bench.until(|event| saved(event, WARM_UP + UNNOTED));
    let after = faults(thread);
    bench.ask(|| NOTED.set(true));
    let mut counts = vec![(notes(), LIVE.load(SeqCst))];
    for n in WARM_UP + UNNOTED + 1..FRAMES {
        bench.until(|event| saved(event, n));
        counts.push((notes(), LIVE.load(SeqCst)));
    }
    bench.ask(|| NOTED.set(false));
    bench.until(|event| matches!(event, Event::Acquisition(acquisition::Event::Done { .. })));
    let Bench { instrument, system, .. } = bench;
    instrument.end();
    drop(system);

    let (mut ours, mut sizes) = (BTreeMap::<String, usize>::new(), BTreeMap::<usize, usize>::new());
    let mut per_frame = vec![0; counts.len() - 1];
    for (n, Note { size, stack }) in NOTES.lock().unwrap().drain(..).enumerate() {
        let (owners, names) = owners(&stack);
        // The twin is on the other side of the bus: what it needs is no memory of the hardware thread.
        if owners.iter().any(|owner| owner == "sim") {
            continue;
        }
        *sizes.entry(size).or_default() += 1;
        let frame = counts.windows(2).position(|pair| (pair[0].0..pair[1].0).contains(&n));
        if let Some(frame) = frame {
            per_frame[frame] += 1;
        }
        if OURS.contains(&owners.first().unwrap().as_str()) {
            *ours.entry(format!("{size} bytes: {}", names[..names.len().min(5)].join(" < "))).or_default() +=
                1;
        }
    }
    assert!(ours.is_empty(), "our own code allocates: {ours:#?}");
    let largest = *sizes.last_key_value().unwrap().0;
    assert!(largest <= 256, "a library allocates {largest} bytes");
    // One look more or less at the end of a move is a message, two allocations; a frame that is heard of late counts with the
    // next, and the last one perhaps not at all.
    let (total, frames) = (per_frame.iter().sum::<usize>() as f64, per_frame.len() as f64);
    per_frame.sort_unstable();
    let usual = per_frame[per_frame.len() / 2] as f64;
    assert!((total / frames - usual).abs() <= 2.0 + usual / frames, "not always as much: {per_frame:?}");
    assert!(usual < 40.0, "{usual} allocations a frame");
    // What the recorder knows of each file.
    let grown = (counts[counts.len() - 1].1 - counts[0].1) / per_frame.len().cast_signed();
    assert!(grown < 1_024, "the program grows by {grown} bytes a frame");
    // The kernel may move a page for somebody else's sake.
    let faulted = after[0] - before[0] + after[1] - before[1];
    assert!(faulted <= 1, "{faulted} page faults of the hardware thread in {UNNOTED} frames");
}
