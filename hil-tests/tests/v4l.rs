//! Wiring: a kernel with vivid (`n_devs=1 node_types=0x1 num_inputs=1 input_types=0x00`: one webcam), whose node is named by
//! `PLANKTOR_VIDEO`, as in `PLANKTOR_VIDEO=/dev/video0`. Without it every test says that it is skipped.
//!
//! Timing of a virtual machine says little: sizes, numbers, colours and errors are checked to the last, durations loosely.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

use crossbeam_channel::never;
use planktor_drivers::Clock;
use planktor_drivers::clock::Monotonic;
use planktor_drivers::devices::camera::Camera;
use planktor_drivers::linux::front::Threaded;
use planktor_drivers::linux::v4l::formats::{FORMATS, FourCc, Layout};
use planktor_drivers::linux::v4l::sensor::Law;
use planktor_drivers::linux::v4l::timing::Stamp;
use planktor_drivers::linux::v4l::{self as ours, Settings};
use planktor_hil_tests::conformance::camera::{CameraBench, checks};
use planktor_hil_tests::conformance::{Bench, Outcome};
use planktor_protocol::camera::{self, Frame, Pixels};
use planktor_protocol::{Fault, Instant};
use std::io::Write;
use std::num::NonZeroU32;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use v4l::control::{Control, Value};
use v4l::video::Capture;

/// How long something may take until it is given up.
const PATIENCE: Duration = Duration::from_secs(15);
/// 25 frames a second: whole ticks of a kernel's timer.
const CADENCE: Duration = Duration::from_millis(40);
const SIZE: [u32; 2] = [320, 180];

/// The one webcam; one test at a time has it.
struct Webcam {
    path: String,
    _alone: MutexGuard<'static, ()>,
}

static ALONE: Mutex<()> = Mutex::new(());

/// The camera that was named, as it is when nothing is wrong with it.
fn webcam(test: &str) -> Option<Webcam> {
    let Ok(path) = std::env::var("PLANKTOR_VIDEO") else {
        #[expect(clippy::explicit_write, reason = "what a test prints that passes is shown to nobody")]
        writeln!(std::io::stderr(), "skipped: {test}; PLANKTOR_VIDEO names no camera").unwrap();
        return None;
    };
    let webcam = Webcam { path, _alone: ALONE.lock().unwrap_or_else(PoisonError::into_inner) };
    webcam.control("Percentage of Dropped Buffers", Value::Integer(0));
    webcam.control("Timestamp Source", Value::Integer(0));
    Some(webcam)
}

fn pass(time: Duration) {
    let _ = never::<()>().recv_timeout(time);
}

/// Asks again and again until there is an answer.
fn wait<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let end = Monotonic.now() + PATIENCE;
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(Monotonic.now() < end, "waited in vain for {what}");
        pass(Duration::from_millis(2));
    }
}

impl Webcam {
    fn settings(&self) -> Settings {
        Settings { size: Some(SIZE), cadence_us: NonZeroU32::new(40_000), ..Settings::of(&self.path) }
    }

    /// Opened, and ready. One that was dropped just now has it until its last frame comes.
    fn open(&self, settings: &Settings) -> Threaded {
        let mut camera = ours::open(settings).unwrap();
        wait("the camera to be open", || match camera.ready() {
            Err(Fault::CameraBusy) => {
                camera = ours::open(settings).unwrap();
                None
            }
            ready => ready.unwrap().then_some(()),
        });
        camera
    }

    /// Opened, which fails.
    fn fault(settings: &Settings) -> Fault {
        let camera = ours::open(settings).unwrap();
        wait("a fault", || camera.ready().err())
    }

    /// Sets one of vivid's own controls, by its name.
    fn control(&self, name: &str, value: Value) {
        let device = v4l::Device::with_path(&self.path).unwrap();
        let controls = device.query_controls().unwrap();
        let control = controls.iter().find(|control| control.name == name);
        let id = control.unwrap_or_else(|| panic!("vivid has no control {name:?}")).id;
        device.set_control(Control { id, value }).unwrap();
    }

    fn value(&self, name: &str) -> Value {
        let device = v4l::Device::with_path(&self.path).unwrap();
        let controls = device.query_controls().unwrap();
        device.control(controls.iter().find(|control| control.name == name).unwrap().id).unwrap().value
    }

    /// A picture of one colour, without text in it.
    fn shows(&self, pattern: &str) {
        let device = v4l::Device::with_path(&self.path).unwrap();
        let controls = device.query_controls().unwrap();
        let menu = controls.iter().find(|control| control.name == "Test Pattern").unwrap();
        let items = menu.items.as_ref().unwrap();
        let (index, _) = items.iter().find(|(_, item)| item.to_string() == pattern).unwrap();
        self.control("Test Pattern", Value::Integer((*index).into()));
        self.control("OSD Text Mode", Value::Integer(2));
    }
}

/// The next frame that comes after the one with this number: one that is two cadences late comes no more.
fn next(camera: &mut Threaded, after: Option<u64>) -> Frame {
    let mut seq = after.map_or_else(|| camera.predict(Monotonic.now()).expect("it streams").seq, |n| n + 1);
    wait("a frame", || {
        assert_eq!(camera.ready(), Ok(true));
        let taken = camera.take(seq);
        let coming = camera.predict(Monotonic.now()).expect("it streams");
        let before = u32::try_from(coming.seq.saturating_sub(seq)).unwrap();
        if taken.is_none() && coming.ready + 2 * CADENCE < Monotonic.now() + before * CADENCE {
            seq += 1;
        }
        taken
    })
}

/// Red, green and blue in the mean, 0 to 1, of which raw ones are linear.
fn colours(pixels: &Pixels) -> [f64; 3] {
    let mut sums = [(0.0, 0.0); 3];
    let mut add = |colour: usize, value: f64| {
        sums[colour].0 += value;
        sums[colour].1 += 1.0;
    };
    match pixels {
        Pixels::Rgb(image) => {
            image.rgb.iter().enumerate().for_each(|(n, byte)| add(n % 3, f64::from(*byte) / 255.0));
        }
        Pixels::Bayer(mosaic) => {
            for (n, sample) in mosaic.samples.iter().enumerate() {
                let (x, y) = (n % mosaic.width as usize, n / mosaic.width as usize);
                add(mosaic.pattern.colour(x, y), f64::from(*sample) / f64::from(mosaic.white()));
            }
        }
        Pixels::Jpeg(_) => panic!("vivid has no JPEG"),
    }
    sums.map(|(sum, count): (f64, f64)| sum / count)
}

fn size(pixels: &Pixels) -> (u32, u32, usize) {
    match pixels {
        Pixels::Rgb(image) => (image.width, image.height, image.rgb.len() / 3),
        Pixels::Bayer(mosaic) => (mosaic.width, mosaic.height, mosaic.samples.len()),
        Pixels::Jpeg(bytes) => (0, 0, bytes.len()),
    }
}

#[test]
fn every_format_of_ours_that_it_has_gives_a_hundred_frames_of_the_right_size_and_colour() {
    let Some(webcam) = webcam("a hundred frames of every format") else { return };
    let device = v4l::Device::with_path(&webcam.path).unwrap();
    let offered: Vec<_> =
        device.enum_formats().unwrap().iter().map(|format| FourCc(format.fourcc.repr)).collect();
    drop(device);
    let ours = FORMATS.into_iter().filter(|(code, _)| offered.contains(code));
    let ours: Vec<_> = ours.collect();
    println!("{}", ours.iter().map(|(code, _)| code.to_string()).collect::<Vec<_>>().join(" "));
    assert!(ours.len() >= 19, "16 mosaics, YUYV, RGB3 and GREY");
    for (nth, (code, layout)) in ours.into_iter().enumerate() {
        let shown = nth % 3;
        webcam.shows(["100% Red", "100% Green", "100% Blue"][shown]);
        let fast = Settings { format: Some(code), cadence_us: NonZeroU32::new(20_000), ..webcam.settings() };
        let mut camera = webcam.open(&fast);
        let mode = camera.open().unwrap();
        assert_eq!(([mode.width, mode.height], mode.cadence), (SIZE, CADENCE / 2), "{code}");
        let mut last: Option<Frame> = None;
        for n in 0..100 {
            let frame = next(&mut camera, last.as_ref().map(|last| last.seq));
            if let Some(last) = last {
                assert!(frame.seq > last.seq, "{code}: {} after {}", frame.seq, last.seq);
                assert!(frame.interval.to > last.interval.to, "{code}");
            }
            assert!(frame.interval.from < frame.interval.to, "{code}");
            assert!(frame.interval.to <= Monotonic.now(), "{code}: it ends in the future");
            if n % 33 == 0 {
                let pixels = frame.picture.develop();
                let (width, height) = (SIZE[0], SIZE[1]);
                assert_eq!(size(&pixels), (width, height, (width * height) as usize), "{code}");
                let raw = matches!(layout, Layout::Raw(..));
                assert_eq!(raw, frame.picture.raw().is_some(), "{code}");
                let seen = colours(&pixels);
                let grey = layout == Layout::Grey;
                for (colour, part) in seen.into_iter().enumerate().filter(|_| !grey) {
                    let right = if colour == shown { part > 0.8 } else { part < 0.2 };
                    assert!(right, "{code} of colour {shown}: {seen:?}");
                }
            }
            last = Some(frame);
        }
        let counts = camera.counts();
        println!("{code}: {counts:?}");
        assert_eq!((counts.damaged, counts.duplicated, counts.restarts), (0, 0, 0), "{code}: {counts:?}");
        camera.close();
    }
}

/// Conformance through the kernel.
struct Line {
    camera: Threaded,
}

impl Bench for Line {
    fn now(&self) -> Instant {
        Monotonic.now()
    }
    fn pass(&mut self, time: Duration) {
        pass(time);
    }
}

impl CameraBench for Line {
    fn camera(&mut self) -> &mut dyn Camera {
        &mut self.camera
    }
    /// vivid takes its time when its thread wakes up, in a virtual machine.
    fn tolerance(&self) -> Duration {
        CADENCE / 4
    }
}

#[test]
fn the_camera_conforms() {
    let Some(webcam) = webcam("the camera's conformance") else { return };
    // As if taken when a frame's exposure begins; the other kind lies in the future.
    webcam.control("Timestamp Source", Value::Integer(1));
    for (name, check) in checks() {
        println!("{name}");
        // A machine that others keep busy is late now and then, and not five times in a row.
        let passes = || {
            let mut bench = Line { camera: webcam.open(&webcam.settings()) };
            catch_unwind(AssertUnwindSafe(|| check(&mut bench)))
                .is_ok_and(|outcome| outcome == Outcome::Passed)
        };
        assert!((0..5).any(|_| passes()), "{name}");
    }
}

#[test]
fn the_interval_is_before_the_arrival_whatever_the_stamp_says() {
    let Some(webcam) = webcam("intervals of both time stamps") else { return };
    let from = |source: i64, stamp: Option<Stamp>| {
        webcam.control("Timestamp Source", Value::Integer(source));
        let mut camera =
            webcam.open(&Settings { stamp, line_ns: NonZeroU32::new(100_000), ..webcam.settings() });
        let mode = camera.open().unwrap();
        assert_eq!(mode.takes, Duration::from_micros(18_000) + CADENCE, "read out, and an unknown exposure");
        let frame = next(&mut camera, None);
        assert!(frame.interval.to <= Monotonic.now());
        (frame.interval.duration(), mode)
    };
    // The end of the frame as vivid has it is nine tenths of a cadence ahead: a stamp from the future is none.
    let (width, mode) = from(0, None);
    assert!(width >= mode.cadence, "{width:?}");
    // The start of exposure: anything from an exposure before the stamp to the arrival.
    let (width, mode) = from(1, None);
    assert!(width >= CADENCE && width <= mode.takes + CADENCE, "{width:?}");
}

#[test]
fn frames_that_the_driver_drops_are_noticed_by_their_numbers() {
    let Some(webcam) = webcam("dropped frames") else { return };
    let mut camera = webcam.open(&webcam.settings());
    camera.open().unwrap();
    let first = next(&mut camera, None);
    webcam.control("Percentage of Dropped Buffers", Value::Integer(50));
    let mut seqs = vec![first.seq];
    while seqs.len() < 40 {
        seqs.push(next(&mut camera, seqs.last().copied()).seq);
    }
    assert!(seqs.is_sorted_by(|a, b| a < b));
    let (counts, span) = (camera.counts(), seqs[39] - seqs[0]);
    println!("{counts:?} over {span} numbers");
    assert!(counts.lost >= 10 && span >= 50, "half of them were dropped: {counts:?}, {span}");
    assert_eq!((counts.duplicated, counts.damaged, counts.restarts), (0, 0, 0));
}

#[test]
fn a_frame_that_the_driver_flags_as_damaged_is_not_given() {
    let Some(webcam) = webcam("damaged frames") else { return };
    let mut camera = webcam.open(&webcam.settings());
    camera.open().unwrap();
    let before = next(&mut camera, None);
    webcam.control("Inject V4L2_BUF_FLAG_ERROR", Value::None);
    wait("the damaged frame", || (camera.counts().damaged == 1).then_some(()));
    let after = next(&mut camera, Some(before.seq));
    assert!(after.seq > before.seq);
    wait("its number to be missed", || (camera.counts().lost >= 1).then_some(()));
    assert_eq!(camera.counts().restarts, 0);
}

#[test]
fn a_stream_that_breaks_is_made_anew_and_its_numbers_go_on() {
    let Some(webcam) = webcam("a broken stream") else { return };
    let mut camera = webcam.open(&webcam.settings());
    camera.open().unwrap();
    let mut last = next(&mut camera, None);
    for (n, error) in (1..).zip(["Inject Fatal Streaming Error", "Inject VIDIOC_QBUF Error"]) {
        webcam.control(error, Value::None);
        wait(error, || (camera.counts().restarts == n).then_some(()));
        let frame = next(&mut camera, Some(last.seq));
        assert!(frame.seq > last.seq && frame.interval.to > last.interval.to, "{error}");
        last = frame;
    }
    camera.close();
    for (n, error) in (3..).zip(["Inject VIDIOC_REQBUFS Error", "Inject VIDIOC_STREAMON Error"]) {
        webcam.control(error, Value::None);
        camera.open().unwrap();
        let frame = next(&mut camera, None);
        assert_eq!(camera.counts().restarts, n, "{error}");
        assert!(frame.seq > last.seq, "{error}");
        last = frame;
        camera.close();
    }
}

#[test]
fn a_camera_that_is_silent_for_good_is_lost() {
    let Some(webcam) = webcam("a silent camera") else { return };
    let mut camera = webcam.open(&webcam.settings());
    camera.open().unwrap();
    next(&mut camera, None);
    webcam.control("Percentage of Dropped Buffers", Value::Integer(100));
    let fault = wait("a fault", || camera.ready().err());
    assert_eq!(fault, Fault::CameraSilent);
    assert_eq!(camera.counts().restarts, 2);
    assert_eq!(camera.predict(Monotonic.now()), None);
    drop(camera);
    webcam.control("Percentage of Dropped Buffers", Value::Integer(0));
    let mut camera = webcam.open(&webcam.settings());
    camera.open().unwrap();
    next(&mut camera, None);
}

#[test]
fn a_camera_that_is_unplugged_while_it_streams_is_gone_and_opens_again_when_it_is_back() {
    let Some(webcam) = webcam("an unplugged camera") else { return };
    for _ in 0..3 {
        let mut camera = webcam.open(&webcam.settings());
        camera.open().unwrap();
        next(&mut camera, None);
        webcam.control("Disconnect", Value::None);
        assert_eq!(wait("a fault", || camera.ready().err()), Fault::CameraGone);
        assert_eq!(camera.predict(Monotonic.now()), None);
        assert_eq!(camera.open(), Err(Fault::CameraGone));
        assert_eq!(camera.set(camera::Settings::default()), Err(Fault::CameraGone));
        // vivid is plugged in again when its last user has closed it.
        drop(camera);
    }
    let mut camera = webcam.open(&webcam.settings());
    camera.open().unwrap();
    next(&mut camera, None);
}

#[test]
fn what_it_can_be_set_to_is_set_and_what_it_has_not_is_said_to_be_unknown() {
    let Some(webcam) = webcam("settings") else { return };
    webcam.control("Gain, Automatic", Value::Boolean(true));
    let mut camera = webcam.open(&Settings { gain: Some(Law::Linear(25)), ..webcam.settings() });
    let mode = camera.open().unwrap();
    assert_eq!((mode.exposure, mode.takes), (Duration::ZERO, 2 * CADENCE), "vivid has no exposure");
    let first = next(&mut camera, None);
    assert_eq!((webcam.value("Gain"), mode.iso), (Value::Integer(87), 150), "3.47 times 25");
    assert_eq!(webcam.value("Gain, Automatic"), Value::Boolean(false));
    let asked = camera::Settings { gain_thousandths: Some(2_000), ..camera::Settings::default() };
    assert_eq!(camera.set(asked).unwrap().iso, 86);
    let second = next(&mut camera, None);
    assert_eq!(webcam.value("Gain"), Value::Integer(50));
    assert!(second.seq > first.seq && second.interval.to > first.interval.to, "the stream goes on");
    // More than it takes is the most that it takes.
    let asked = camera::Settings { gain_thousandths: Some(1_000_000), ..camera::Settings::default() };
    camera.set(asked).unwrap();
    next(&mut camera, None);
    assert_eq!(webcam.value("Gain"), Value::Integer(255));
    assert_eq!(camera.counts().restarts, 0, "it was told to, so it did not fail");
}

#[test]
fn pictures_that_are_still_needed_keep_their_memory_and_no_other_is_made() {
    let Some(webcam) = webcam("a full pool") else { return };
    let mut camera = webcam.open(&webcam.settings());
    camera.open().unwrap();
    let mut kept = vec![next(&mut camera, None)];
    while kept.len() < 3 {
        kept.push(next(&mut camera, kept.last().map(|frame| frame.seq)));
    }
    let before = kept[0].picture.develop();
    wait("frames that find no room", || (camera.counts().crowded >= 5).then_some(()));
    assert_eq!(kept[0].picture.develop(), before, "nobody wrote into it");
    let last = kept.pop().unwrap().seq;
    assert!(next(&mut camera, None).seq > last);
    camera.close();
    assert_eq!(kept[0].picture.develop(), before, "nor when the stream had ended");
}

#[test]
fn what_is_wrong_with_the_choice_is_named() {
    let Some(webcam) = webcam("wrong choices") else { return };
    let with = |device: &str| Settings { device: device.into(), ..webcam.settings() };
    assert_eq!(Webcam::fault(&with("/dev/video-none")), Fault::CameraMissing);
    assert_eq!(Webcam::fault(&with("/dev/null")), Fault::CameraRefuses("to say what it is"));
    assert_eq!(Webcam::fault(&with("a camera of this name")), Fault::CameraMissing);
    let format = Settings { format: Some(FourCc(*b"MJPG")), ..webcam.settings() };
    assert_eq!(Webcam::fault(&format), Fault::CameraFormat);
    let sensor = Settings { sensor: Some("imx477".into()), ..webcam.settings() };
    assert_eq!(Webcam::fault(&sensor), Fault::SensorMissing);

    let mut camera = webcam.open(&with("vivid"));
    camera.open().unwrap();
    next(&mut camera, None);
    assert_eq!(Webcam::fault(&webcam.settings()), Fault::CameraBusy);
}
