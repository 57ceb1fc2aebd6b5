//! A camera that takes its time to open and is unplugged in the middle of an acquisition: the instrument waits for it,
//! says that it is lost, and goes on when it is back. Wiring: the twin's camera behind one that is not always there.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

use planktor_drivers::board::Board;
use planktor_drivers::devices::camera::{Camera, Prediction};
use planktor_hil_tests::meddled::Meddled;
use planktor_hil_tests::{Scenario, dashboard, image, update_config};
use planktor_protocol::camera::{Frame, Mode, Settings};
use planktor_protocol::{Fault, Instant};
use planktor_runtime::dataset;
use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// How often it must be asked until it is open.
const SLOW: u32 = 10;
/// After so many frames the first one is unplugged.
const UNPLUGGED: u32 = 2;

struct Loose {
    camera: Box<dyn Camera>,
    asked: Cell<u32>,
    frames: u32,
    first: bool,
}

impl Camera for Loose {
    fn ready(&self) -> Result<bool, Fault> {
        self.asked.set(self.asked.get() + 1);
        if self.first && self.frames >= UNPLUGGED {
            Err(Fault::CameraGone)
        } else {
            Ok(self.asked.get() > SLOW)
        }
    }
    fn set(&mut self, settings: Settings) -> Result<Mode, Fault> {
        assert!(self.asked.get() > SLOW, "it is not asked before it is open");
        self.camera.set(settings)
    }
    fn open(&mut self) -> Result<Mode, Fault> {
        assert!(self.asked.get() > SLOW, "it is not asked before it is open");
        self.camera.open()
    }
    fn predict(&self, not_before: Instant) -> Option<Prediction> {
        self.camera.predict(not_before)
    }
    fn take(&mut self, seq: u64) -> Option<Frame> {
        let frame = self.camera.take(seq)?;
        self.frames += 1;
        Some(frame)
    }
    fn close(&mut self) {
        self.camera.close();
    }
}

#[test]
fn a_slow_camera_is_waited_for_and_one_that_is_unplugged_is_named_and_taken_back() {
    let ms = Duration::from_millis;
    let mut script = dashboard("unplugged", 5);
    script.push((ms(20_000), update_config("back", 2)));
    script.push((ms(20_200), image(2)));
    let opened = AtomicU32::new(0);
    // The second time it is not back yet.
    let loose = move |camera| match opened.fetch_add(1, Ordering::Relaxed) {
        1 => Err(Fault::CameraMissing),
        nth => {
            Ok(Box::new(Loose { camera, asked: Cell::new(0), frames: 0, first: nth == 0 }) as Box<dyn Camera>)
        }
    };
    let wrap = Box::new(|twin| Arc::new(Meddled::of(Arc::new(twin)).camera(loose)) as Arc<dyn Board>);
    let scenario = Scenario::new(script, ms(60_000)).until("status/imager", "Done");
    let played = Scenario { wrap: Some(wrap), ..scenario }.play();

    let health: Vec<_> = played.seen.iter().filter(|seen| seen.payload["device"] == "camera").collect();
    let words: Vec<_> = health.iter().map(|seen| seen.payload["health"].as_str().unwrap()).collect();
    assert_eq!(words, ["present", "lost", "lost", "present"]);
    assert!(health[0].at - played.seen[0].at >= ms(20 * 8), "it was waited for: {:?}", health[0].at);
    for (seen, cause) in [(&health[1], Fault::CameraGone), (&health[2], Fault::CameraMissing)] {
        assert!(seen.payload.to_string().contains(&cause.to_string()), "{}", seen.payload);
    }
    let statuses = played.statuses("status/imager");
    let ended = statuses.iter().filter(|said| said.ends_with("WAS NOT CAPTURED! STOPPING THE PROCESS!"));
    assert_eq!(ended.count(), 1, "{statuses:?}");
    let reports: Vec<_> = played.data_sets().iter().map(|folder| dataset::verify(folder)).collect();
    assert_eq!(reports.len(), 2);
    assert!(reports.iter().all(dataset::Report::is_valid), "{} {}", reports[0], reports[1]);
}
