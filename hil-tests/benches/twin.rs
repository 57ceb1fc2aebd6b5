//! What a full frame of the twin costs on one core: rendering, and encoding at JPEG quality 95.
//!
//! `cargo bench -p planktor-hil-tests --bench twin` (pure Rust encoder), and beside it turbojpeg's with `--features turbojpeg`, which needs
//! cmake and nasm. Medians of 15 runs. Prints figures, asserts none.

#![expect(clippy::print_stdout, reason = "figures")]

use planktor_actors::alarm::VirtualClock;
use planktor_actors::recording::{Encode, Facts};
use planktor_drivers::Clock;
use planktor_drivers::board::Board;
use planktor_drivers::clock::Monotonic;
use planktor_hil_tests::began;
use planktor_protocol::acquisition::Formats;
use planktor_protocol::camera::{Frame, Pixels};
use planktor_protocol::{Instant, Run, Utc};
use planktor_runtime::dataset::{self, Instrument};
use planktor_sim::scene::Format;
use planktor_sim::{Settings, Twin};
use std::sync::Arc;
use std::time::Duration;

const RUNS: usize = 15;

fn main() {
    for format in [Format::Rgb, Format::Bayer12, Format::Jpeg] {
        let frame = frame(format);
        let render = median(|| drop(frame.picture.develop()));
        let whole = median(|| drop(dataset::encode(job(&frame), &Instrument::default())));
        println!(
            "{:<8} rendered in {render:>6.1} ms, a frame's file in {whole:>6.1} ms (rendered, encoded by jpeg-encoder, digested)",
            format!("{format:?}")
        );
    }
    turbo(&frame(Format::Rgb));
}

#[cfg(feature = "turbojpeg")]
fn turbo(frame: &Frame) {
    let Pixels::Rgb(image) = frame.picture.develop() else { return };
    let (width, height) = (image.width as usize, image.height as usize);
    let pixels = turbojpeg::Image {
        pixels: image.rgb.as_slice(),
        width,
        pitch: 3 * width,
        height,
        format: turbojpeg::PixelFormat::RGB,
    };
    let encoded = median(|| drop(turbojpeg::compress(pixels, 95, turbojpeg::Subsamp::Sub2x2)));
    println!("turbojpeg encodes the same picture in {encoded:.1} ms");
}

#[cfg(not(feature = "turbojpeg"))]
fn turbo(frame: &Frame) {
    let Pixels::Rgb(image) = frame.picture.develop() else { return };
    println!("{} x {} pixels; turbojpeg was not measured: --features turbojpeg", image.width, image.height);
}

/// A full frame of usual water under full light.
fn frame(format: Format) -> Frame {
    let clock = VirtualClock::default();
    let settings = Settings { format, ..Settings::new(1, Settings::FULL_FRAME, began()) };
    let twin = Twin::new(Arc::new(clock.clone()), settings);
    let lamp = planktor_drivers::devices::light::Light::open(twin.slow_buses().lamp().expect("a lamp"));
    lamp.expect("it opens").set(planktor_protocol::units::Fraction::ONE).expect("it shines");
    let mut camera = twin.hardware().camera().expect("a camera");
    camera.open().expect("it opens");
    let next = camera.predict(Instant::ZERO + Duration::from_secs(1)).expect("it streams");
    clock.set(next.ready);
    camera.take(next.seq).expect("a frame")
}

fn job(frame: &Frame) -> Encode {
    Encode {
        batch: Run(1),
        shot: Run(2),
        begun: Utc::from_micros(0),
        frame: frame.clone(),
        facts: Facts::default(),
        formats: Formats { jpeg: true, dng: false },
    }
}

/// Milliseconds.
fn median(work: impl Fn()) -> f64 {
    let mut all: Vec<_> = (0..RUNS)
        .map(|_| {
            let before = Monotonic.now();
            work();
            (Monotonic.now() - before).as_secs_f64() * 1e3
        })
        .collect();
    all.sort_by(f64::total_cmp);
    all[RUNS / 2]
}
