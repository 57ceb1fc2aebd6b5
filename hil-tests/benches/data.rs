//! Frames a second that reach the disk with everything on (Exif, quality, digest, record, syncs), against the bare encoder on
//! the same cores in the same run; and the memory of a run of 2,000 frames.
//!
//! `cargo bench -p planktor-hil-tests --bench data`. Five rounds of each, one after the other. The frames are 12 megapixels of
//! the twin's plankton, JPEG quality 95; the disk is the one that the build is on. Prints figures, asserts none.

#![expect(clippy::print_stdout, reason = "figures")]

use crossbeam_channel::{Receiver, Sender, bounded};
use jpeg_encoder::{ColorType, Encoder, SamplingFactor};
use planktor_actors::alarm::VirtualClock;
use planktor_actors::recording::{Begin, Encode, Encoded, Ending, Facts, Record, Recorded};
use planktor_drivers::Clock;
use planktor_drivers::board::Board;
use planktor_drivers::clock::Monotonic;
use planktor_drivers::disk::FileSystem;
use planktor_hil_tests::began;
use planktor_protocol::acquisition::Formats;
use planktor_protocol::camera::{self, Frame, Image, Mode, Picture, Pixels};
use planktor_protocol::plan::{Plan, Step};
use planktor_protocol::pump;
use planktor_protocol::timekeeping::{Anchor, Source};
use planktor_protocol::units::{Fraction, Nanolitres, NanolitresPerSecond};
use planktor_protocol::{Instant, Interval, Run};
use planktor_runtime::dataset::{self, Instrument, Recorder, verify};
use planktor_runtime::metrics::own_usage;
use planktor_runtime::shelf::Shelf;
use planktor_sim::{Settings, Twin};
use serde_json::json;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

const ROUNDS: usize = 5;
const FRAMES: u32 = 30;
const MANY: u32 = 2_000;
const ENCODERS: usize = 2;
/// Frames that may wait, as in the instrument.
const WAITING: usize = 3;

/// The same picture again and again.
#[derive(Debug)]
struct Fixed(Image);

impl Picture for Fixed {
    fn develop(&self) -> Pixels {
        Pixels::Rgb(self.0.clone())
    }
}

fn main() {
    let picture = Arc::new(Fixed(plankton()));
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
    let mut rates = [vec![], vec![]];
    for round in 0..ROUNDS {
        rates[0].push(f64::from(FRAMES) / bare(&picture).as_secs_f64());
        let (took, _) = kept(&picture, folder.path(), &format!("round {round}"), FRAMES);
        rates[1].push(f64::from(FRAMES) / took.as_secs_f64());
    }
    let [encoded, saved] = rates.map(median);
    println!(
        "{ENCODERS} encoders: bare {encoded:.2} frames/s, with everything on and on disk {saved:.2}: {:.3} of it (medians of {ROUNDS} \
         rounds of {FRAMES} frames)",
        saved / encoded
    );
    let (took, memory) = kept(&picture, folder.path(), "many", MANY);
    println!(
        "{MANY} frames in {:.0} s, resident MiB after 50, 500, 1000, 1500, 2000 frames: {memory:?}",
        took.as_secs_f64()
    );
}

/// Encodes as many frames, and does nothing with them.
fn bare(picture: &Arc<Fixed>) -> Duration {
    let began = Monotonic.now();
    std::thread::scope(|scope| {
        for encoder in 0..ENCODERS {
            scope.spawn(move || {
                for _ in (encoder..FRAMES as usize).step_by(ENCODERS) {
                    let Pixels::Rgb(image) = picture.develop() else { unreachable!("it is RGB") };
                    let mut bytes = Vec::with_capacity(image.rgb.len() / 12);
                    let mut encoder = Encoder::new(&mut bytes, 95);
                    encoder.set_sampling_factor(SamplingFactor::R_4_2_0);
                    let side = |pixels| u16::try_from(pixels).expect("it fits");
                    encoder
                        .encode(&image.rgb, side(image.width), side(image.height), ColorType::Rgb)
                        .expect("it encodes");
                }
            });
        }
    });
    Monotonic.now() - began
}

fn instrument() -> Instrument {
    Instrument { board: "twin", serial: Some("10000000abcd".into()), ..Instrument::default() }
}

/// A data set of so many frames, as the instrument makes it; and the memory now and then.
fn kept(picture: &Arc<Fixed>, root: &Path, name: &str, frames: u32) -> (Duration, Vec<i64>) {
    let shelf = Shelf::new(root.into(), "twin", None);
    let mut recorder = Recorder::new(Box::new(FileSystem), root.into(), instrument(), shelf, 0);
    let folder = match recorder.record(Record::Begin(Box::new(begin(name, frames)))) {
        Recorded::Begun { result, .. } => result.expect("it begins").folder,
        other => panic!("{other:?}"),
    };
    let began = Monotonic.now();
    let (to_encode, encodes): (Sender<Encode>, Receiver<Encode>) = bounded(WAITING);
    let (encoded, to_write): (Sender<Encoded>, Receiver<Encoded>) = bounded(WAITING);
    let memory = std::thread::scope(|scope| {
        for _ in 0..ENCODERS {
            let (encodes, encoded) = (encodes.clone(), encoded.clone());
            let instrument = instrument();
            scope.spawn(move || {
                encodes.iter().try_for_each(|job| encoded.send(dataset::encode(job, &instrument)))
            });
        }
        drop(encoded);
        scope.spawn(move || (0..frames).all(|n| to_encode.send(job(picture, n)).is_ok()));
        let mut memory = vec![];
        for (written, Encoded { batch, shot, result }) in (1..).zip(to_write.iter()) {
            let picture = result.expect("it encodes");
            match recorder.record(Record::Frame { batch, shot, picture }) {
                Recorded::Saved { result, .. } => drop(result.expect("it is saved")),
                other => panic!("{other:?}"),
            }
            if [50, 500, 1_000, 1_500, 2_000].contains(&written) {
                memory.extend(own_usage().map(|(_, bytes)| bytes >> 20));
            }
        }
        memory
    });
    recorder.record(Record::End { batch: Run(1), ending: Ending::Complete });
    let took = Monotonic.now() - began;
    let report = verify(&folder);
    assert!(report.is_valid() && report.frames == u64::from(frames), "{report}");
    std::fs::remove_dir_all(&folder).expect("it can be removed");
    (took, memory)
}

fn begin(name: &str, frames: u32) -> Begin {
    let stroke = pump::Move { volume: Nanolitres(6_000), flow: NanolitresPerSecond(50_000) };
    let metadata = json!({"object_date": "2026-06-01", "sample_id": "bench", "acq_id": name});
    Begin {
        batch: Run(1),
        metadata: Arc::new(metadata.as_object().cloned().unwrap_or_default()),
        anchor: anchor(),
        fix: None,
        mode: mode(),
        settings: camera::Settings::default(),
        plan: Plan::stop_flow(frames, stroke, Step::Settle(Duration::from_millis(500))).expect("a plan"),
        frame_bytes: None,
        hardware: None,
    }
}

fn anchor() -> Anchor {
    Anchor { instant: Instant::ZERO, utc: began(), source: Source::Gps, error: None }
}

fn mode() -> Mode {
    let (width, height) = Settings::FULL_FRAME;
    let cadence = Duration::from_millis(100);
    Mode { width, height, cadence, takes: cadence, exposure: Duration::from_micros(125), iso: 150 }
}

fn job(picture: &Arc<Fixed>, n: u32) -> Encode {
    let from = Instant::ZERO + Duration::from_secs(n.into());
    let interval = Interval { from, to: from + Duration::from_millis(87) };
    Encode {
        batch: Run(1),
        shot: Run(u64::from(n) + 2),
        begun: anchor().utc_at(from),
        frame: Frame { seq: n.into(), interval, picture: picture.clone() },
        facts: Facts {
            settled: from,
            pumped: Nanolitres(6_000 * i64::from(n)),
            light: Some(Fraction::ONE),
            time: Some(anchor()),
            mode: Some(mode()),
            ..Facts::default()
        },
        formats: Formats { jpeg: true, dng: false },
    }
}

/// A full frame of usual water under full light.
fn plankton() -> Image {
    let clock = VirtualClock::default();
    let twin = Twin::new(Arc::new(clock.clone()), Settings::new(1, Settings::FULL_FRAME, began()));
    let lamp = planktor_drivers::devices::light::Light::open(twin.slow_buses().lamp().expect("a lamp"));
    lamp.expect("it opens").set(Fraction::ONE).expect("it shines");
    let mut camera = twin.hardware().camera().expect("a camera");
    camera.open().expect("it opens");
    let next = camera.predict(Instant::ZERO + Duration::from_secs(1)).expect("it streams");
    clock.set(next.ready);
    match camera.take(next.seq).expect("a frame").picture.develop() {
        Pixels::Rgb(image) => image,
        Pixels::Bayer(_) | Pixels::Jpeg(_) => unreachable!("the twin was asked for RGB"),
    }
}

fn median(mut all: Vec<f64>) -> f64 {
    all.sort_by(f64::total_cmp);
    all[all.len() / 2]
}
