//! A camera behind libcamera, from the sensor's driver to the picture.
//!
//! Wiring, of the virtual machine that hil-tests/csi/run.sh starts: libcamera as Debian packages it, and the kernel's
//! vimc, a sensor, a debayer and a scaler made of software. It has no exposure and no gain to set.

#![cfg(feature = "csi")]
#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

use planktor_drivers::Clock;
use planktor_drivers::clock::Monotonic;
use planktor_drivers::devices::camera::Camera;
use planktor_drivers::linux::csi::{self, Settings as Which};
use planktor_drivers::linux::front::Threaded;
use planktor_protocol::camera::{Frame, Pixels, Settings};
use planktor_protocol::{Fault, Instant};
use std::time::Duration;

const SIZE: (u32, u32) = (160, 120);
/// A software camera on an emulated processor may be slow, but not that slow.
const PATIENCE: Duration = Duration::from_secs(60);

fn which(device: &str) -> Which {
    let text = format!("device = '{device}'\nsize = [{}, {}]", SIZE.0, SIZE.1);
    toml::from_str(&text).unwrap()
}

/// Waits for it, as its actor would.
fn opened(which: &Which) -> Result<Threaded, Fault> {
    let camera = csi::open(which)?;
    let give_up = Monotonic.now() + PATIENCE;
    while !camera.ready()? {
        assert!(Monotonic.now() < give_up, "not open in {PATIENCE:?}");
        crossbeam_channel::after(Duration::from_millis(1)).recv().unwrap();
    }
    Ok(camera)
}

fn camera() -> Threaded {
    opened(&which("Sensor B")).unwrap()
}

/// The next frame that begins after an instant, as the camera's actor would wait for it.
fn next(camera: &mut Threaded, after: Instant) -> Frame {
    let give_up = Monotonic.now() + PATIENCE;
    while Monotonic.now() < give_up {
        assert_eq!(camera.ready(), Ok(true), "{:?}", camera.counts());
        let next = camera.predict(after).expect("it streams");
        let wait = (next.ready - Monotonic.now()).max(Duration::from_millis(1));
        crossbeam_channel::after(wait).recv().unwrap();
        if let Some(frame) = camera.take(next.seq) {
            return frame;
        }
    }
    panic!("no frame in {PATIENCE:?}");
}

#[test]
#[ignore = "needs libcamera's vimc: hil-tests/csi/run.sh"]
fn a_hundred_frames_come_in_order_with_pictures_and_times() {
    let mut camera = camera();
    let mode = camera.open().unwrap();
    assert_eq!((mode.width, mode.height), SIZE);
    let mut last = next(&mut camera, Monotonic.now());
    for _ in 1..100 {
        let asked = Monotonic.now();
        let frame = next(&mut camera, asked);
        let now = Monotonic.now();
        assert!(frame.seq > last.seq && frame.interval.from > last.interval.from);
        assert!(frame.interval.from < frame.interval.to && frame.interval.from <= now);
        let Pixels::Rgb(image) = frame.picture.develop() else { panic!("it gives RGB") };
        assert_eq!((image.width, image.height, image.rgb.len()), (SIZE.0, SIZE.1, 160 * 120 * 3));
        // vimc draws colour bars.
        let colours: std::collections::BTreeSet<_> = image.rgb.chunks(3).collect();
        assert!(colours.len() >= 6, "{} colours", colours.len());
        last = frame;
    }
    camera.close();
    assert!(camera.predict(Monotonic.now()).is_none());
}

#[test]
#[ignore = "needs libcamera's vimc: hil-tests/csi/run.sh"]
fn it_streams_again_and_with_other_settings() {
    let mut camera = camera();
    for _ in 0..3 {
        camera.open().unwrap();
        next(&mut camera, Monotonic.now());
        let settings = Settings {
            exposure: Some(Duration::from_micros(125)),
            gain_thousandths: Some(3_469),
            red: Some(1_990),
            blue: Some(1_650),
            ..Settings::default()
        };
        let mode = camera.set(settings).unwrap();
        assert_eq!((mode.exposure, mode.iso), (Duration::ZERO, 0), "vimc has neither");
        next(&mut camera, Monotonic.now());
        camera.close();
    }
}

#[test]
#[ignore = "needs libcamera's vimc: hil-tests/csi/run.sh"]
fn who_is_not_there_is_missing_and_the_next_one_is_found() {
    assert_eq!(opened(&which("imx477")).err(), Some(Fault::CameraMissing));
    drop(camera());
    drop(camera());
}
