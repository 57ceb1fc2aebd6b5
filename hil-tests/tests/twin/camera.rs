//! A camera that takes its time to open and is unplugged in the middle of an acquisition: the instrument waits for it,
//! says that it is lost, and goes on when it is back. Wiring: the twin's camera behind one that is not always there.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

use planktor_drivers::board::{Board, DiagLine, Enable, Hardware, Output, SlowBuses, Spi};
use planktor_drivers::devices::camera::{Camera, Prediction};
use planktor_hil_tests::{Scenario, dashboard, image, update_config};
use planktor_protocol::camera::{Frame, Mode, Settings};
use planktor_protocol::{Fault, Instant};
use planktor_runtime::dataset;
use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

/// How often it must be asked until it is open.
const SLOW: u32 = 10;
/// After so many frames the first one is unplugged.
const UNPLUGGED: u32 = 2;

/// A board with such a camera.
struct Shelf {
    board: Arc<dyn Board>,
}

struct Half {
    half: Box<dyn Hardware>,
    opened: Rc<Cell<u32>>,
}

struct Loose {
    camera: Box<dyn Camera>,
    asked: Cell<u32>,
    frames: u32,
    first: bool,
}

impl Board for Shelf {
    fn hardware(&self) -> Box<dyn Hardware> {
        Box::new(Half { half: self.board.hardware(), opened: Rc::default() })
    }
    fn slow_buses(&self) -> Box<dyn SlowBuses> {
        self.board.slow_buses()
    }
}

impl Hardware for Half {
    fn pump_spi(&self) -> Result<Spi, Fault> {
        self.half.pump_spi()
    }
    fn focus_spi(&self) -> Result<Spi, Fault> {
        self.half.focus_spi()
    }
    fn pump_enable(&self) -> Enable {
        self.half.pump_enable()
    }
    fn focus_enable(&self) -> Enable {
        self.half.focus_enable()
    }
    fn diag(&self) -> Vec<Result<DiagLine, Fault>> {
        self.half.diag()
    }
    fn strobe(&self) -> Result<Option<Output>, Fault> {
        self.half.strobe()
    }
    /// The second time it is not back yet.
    fn camera(&self) -> Result<Box<dyn Camera>, Fault> {
        let nth = self.opened.replace(self.opened.get() + 1);
        if nth == 1 {
            return Err(Fault::CameraMissing);
        }
        let camera = self.half.camera()?;
        Ok(Box::new(Loose { camera, asked: Cell::new(0), frames: 0, first: nth == 0 }))
    }
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
    let wrap = Box::new(|twin| Arc::new(Shelf { board: Arc::new(twin) }) as Arc<dyn Board>);
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
