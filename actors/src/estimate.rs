//! What a protocol would come to: walks its plan as the sequence does, with the same ramps and the same cadence, and
//! moves nothing.

use crate::sequence::MARGIN;
use crate::settling;
use planktor_drivers::calibration::Calibration;
use planktor_drivers::devices::{focus as stage, pump as pump_device};
use planktor_protocol::camera::Mode;
use planktor_protocol::focus::Target;
use planktor_protocol::library::{Estimate, Protocol};
use planktor_protocol::plan::{Cursor, Step};
use planktor_protocol::pump;
use planktor_protocol::units::{Micrometres, Nanolitres};
use std::sync::Arc;
use std::time::Duration;

/// Depth within which a particle is sharp: 95 um where a pixel sees 0.75 um (measured on a PlanktoScope v2.6); for other
/// lenses by the square of the magnification, an assumption.
const DEPTH_UM: u128 = 95;
const DEPTH_AT_NM: u128 = 750;
/// Of a JPEG of plankton at quality 95, as long as no frame was measured: 4 MB for 12.3 megapixels.
const PIXELS_PER_BYTE: u64 = 3;

/// What settling that is learned comes to, as long as nothing was learned: what is usual where nothing is learned.
const LEARNED: Duration = Duration::from_millis(500);

/// What is asked, and what it depends on.
#[derive(Clone, Debug)]
pub struct Query {
    /// What would be done.
    pub protocol: Arc<Protocol>,
    /// The instrument's constants.
    pub calibration: Calibration,
    /// How the camera streams.
    pub mode: Mode,
    /// Bytes of the frames so far, in the mean; `None` before the first.
    pub frame_bytes: Option<u64>,
}

/// How large a frame is, as those before it or by its pixels.
pub fn frame_bytes(mode: &Mode, mean: Option<u64>) -> u64 {
    mean.unwrap_or(u64::from(mode.width) * u64::from(mode.height) / PIXELS_PER_BYTE)
}

/// Counts the water that frames see: of one stop of the pump the whole cell once, and what lies within the depth of field
/// of each frame, as far as the cell is deep.
#[derive(Clone, Debug)]
pub struct Seen {
    pixel_nm: u32,
    cell_um: u128,
    depth_um: u128,
    stops: u128,
    sharp_um: u128,
    in_this_stop_um: u128,
}

impl Seen {
    /// Nothing yet: so much a pixel sees, and so deep is the cell.
    pub fn new(pixel_nm: u32, cell_um: u32) -> Self {
        let depth_um = (DEPTH_UM * u128::from(pixel_nm).pow(2) / DEPTH_AT_NM.pow(2)).max(1);
        let cell_um = cell_um.into();
        Self { pixel_nm, cell_um, depth_um, stops: 0, sharp_um: 0, in_this_stop_um: 0 }
    }

    /// One more frame; `fresh` if the pump has moved since the last.
    pub fn frame(&mut self, fresh: bool) {
        if fresh || self.stops == 0 {
            self.stops += 1;
            self.in_this_stop_um = 0;
        }
        let more = self.depth_um.min(self.cell_um - self.in_this_stop_um);
        self.in_this_stop_um += more;
        self.sharp_um += more;
    }

    /// What frames of so many pixels have seen: imaged, and in focus.
    pub fn volumes(&self, pixels: u64) -> (Nanolitres, Nanolitres) {
        // nm^2 of a pixel times um is 1e-6 um^3 times the number of pixels; a nanolitre has 1e6 um^3.
        let view = |depth_um: u128| {
            let volume = u128::from(pixels) * u128::from(self.pixel_nm).pow(2) * depth_um / 1_000_000_000_000;
            Nanolitres(i64::try_from(volume).unwrap_or(i64::MAX))
        };
        (view(self.stops * self.cell_um), view(self.sharp_um))
    }

    /// Depth within which a particle is sharp, um.
    pub fn depth_um(&self) -> u128 {
        self.depth_um
    }
}

/// Walks the plan; `free` bytes are free where it would go.
pub fn estimate(query: &Query, free: u64) -> Estimate {
    let Query { protocol, calibration, mode, frame_bytes } = query;
    let mut walk = Walk { mode, now: Duration::ZERO, settled: Duration::ZERO, height: 0 };
    let (mut forwards, mut backwards, mut frames) = (0_i64, 0_i64, 0_u32);
    let mut fresh = true;
    let mut seen = Seen::new(calibration.pixel_nm, protocol.cell_um);
    let mut cursor = Cursor::new(protocol.plan.clone());
    while let Some((_, step)) = cursor.advance() {
        match step {
            Step::Pump { volume, flow } => {
                let total = if volume.0 > 0 { &mut forwards } else { &mut backwards };
                *total = total.saturating_add(volume.0.saturating_abs());
                walk.moves(pump_device::lasts(calibration, pump::Move { volume, flow }));
                fresh = true;
            }
            Step::Focus { target, speed } => {
                let by = match target {
                    Target::By(by) => by.0,
                    Target::To(height) => height.0.saturating_sub(walk.height),
                };
                walk.height = walk.height.saturating_add(by);
                walk.moves(stage::lasts(calibration, Micrometres(by), speed));
            }
            Step::Settle(time) => walk.settled += time,
            Step::SettleUntilStill(still) if frames < settling::STROKES => walk.settled += still.at_most,
            Step::SettleUntilStill(still) => walk.settled += LEARNED.clamp(still.at_least, still.at_most),
            Step::Capture => {
                walk.captures();
                frames += 1;
                seen.frame(std::mem::take(&mut fresh));
            }
            Step::Write => {}
            Step::Repeat { .. } => unreachable!("a cursor unrolls repeats"),
        }
    }
    let pixels = u64::from(mode.width) * u64::from(mode.height);
    let (imaged, in_focus) = seen.volumes(pixels);
    Estimate {
        lasts: walk.now,
        frames,
        forwards: Nanolitres(forwards),
        backwards: Nanolitres(backwards),
        imaged,
        in_focus,
        bytes: self::frame_bytes(mode, *frame_bytes).saturating_mul(frames.into()),
        free,
    }
}

/// Where the instrument would be.
struct Walk<'a> {
    mode: &'a Mode,
    /// Since the first step.
    now: Duration,
    /// When the settling that was asked for is over.
    settled: Duration,
    /// Of the stage, um.
    height: i64,
}

impl Walk<'_> {
    fn moves(&mut self, lasts: Duration) {
        self.now = self.now.max(self.settled) + lasts;
        self.settled = self.now;
    }

    /// The camera's frames begin when they begin, one a cadence.
    fn captures(&mut self) {
        let cadence = self.mode.cadence.as_nanos().max(1);
        let frames = self.now.max(self.settled).as_nanos().div_ceil(cadence);
        let begins = Duration::from_nanos(u64::try_from(frames * cadence).unwrap_or(u64::MAX));
        self.now = begins + self.mode.takes;
        self.settled = self.now;
        self.now += MARGIN;
    }
}
