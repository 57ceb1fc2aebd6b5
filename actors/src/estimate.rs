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
use planktor_protocol::strobe::Cell;
use planktor_protocol::units::{Micrometres, Nanolitres, NanolitresPerSecond};
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
    let strobed = protocol.plan.strobe().map_or(*mode, |pulse| mode.strobed(pulse));
    let mut walk = Walk {
        mode: &strobed,
        now: Duration::ZERO,
        settled: Duration::ZERO,
        height: 0,
        flow: None,
        unlit: Duration::ZERO,
    };
    let (mut forwards, mut backwards, mut frames) = (0_i64, 0_i64, 0_u32);
    let mut fresh = true;
    let mut seen = Seen::new(calibration.pixel_nm, protocol.cell_um);
    let mut cursor = Cursor::new(protocol.plan.clone());
    while let Some((_, step)) = cursor.advance() {
        match step {
            Step::Pump { volume, flow } | Step::Flow { volume, flow, .. } => {
                let total = if volume.0 > 0 { &mut forwards } else { &mut backwards };
                *total = total.saturating_add(volume.0.saturating_abs());
                let lasts = pump_device::lasts(calibration, pump::Move { volume, flow });
                walk.lands();
                if let Step::Flow { cell, .. } = step {
                    let since = walk.now.max(walk.settled);
                    walk.flow = Some(Flow { since, lasts, flow, cell, views: 0 });
                } else {
                    walk.moves(lasts);
                }
                fresh = true;
            }
            Step::Focus { target, speed } => {
                let by = match target {
                    Target::By(by) => by.0,
                    Target::To(height) => height.0.saturating_sub(walk.height),
                };
                walk.lands();
                walk.height = walk.height.saturating_add(by);
                walk.moves(stage::lasts(calibration, Micrometres(by), speed));
            }
            Step::Settle(time) => {
                walk.lands();
                walk.settled += time;
            }
            Step::SettleUntilStill(still) => {
                walk.lands();
                walk.settled += match frames < settling::STROKES {
                    true => still.at_most,
                    false => LEARNED.clamp(still.at_least, still.at_most),
                };
            }
            Step::Capture { strobe } => {
                walk.captures(strobe);
                frames += 1;
                let flowed_on = walk.flowed_on(u128::from(mode.width) * u128::from(calibration.pixel_nm));
                seen.frame(std::mem::take(&mut fresh) || flowed_on);
            }
            Step::Write => {}
            Step::Repeat { .. } => unreachable!("a cursor unrolls repeats"),
        }
    }
    walk.lands();
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

/// A stroke that strobed frames are taken in.
struct Flow {
    since: Duration,
    lasts: Duration,
    flow: NanolitresPerSecond,
    cell: Cell,
    /// How many views it had gone at the last frame.
    views: u128,
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
    /// The stroke that nobody waits for.
    flow: Option<Flow>,
    /// Frames that begin before this have had their light.
    unlit: Duration,
}

impl Walk<'_> {
    fn moves(&mut self, lasts: Duration) {
        self.now = self.now.max(self.settled) + lasts;
        self.settled = self.now;
    }

    /// What moves or settles waits for it.
    fn lands(&mut self) {
        if let Some(Flow { since, lasts, .. }) = self.flow.take() {
            self.now = self.now.max(since + lasts);
            self.settled = self.now;
        }
    }

    /// Whether the water in view is all new since the last time that it was.
    fn flowed_on(&mut self, view_nm: u128) -> bool {
        let Some(Flow { since, lasts, flow, cell, views }) = &mut self.flow else { return false };
        let flowed = self.now.saturating_sub(*since).min(*lasts);
        let now = cell.travelled_um(*flow, flowed) * 1_000 / view_nm.max(1);
        std::mem::replace(views, now) != now
    }

    /// The camera's frames begin when they begin, one a cadence. A strobed one has its light when all lines are open, and
    /// is then over for whatever comes next.
    fn captures(&mut self, strobe: Option<Duration>) {
        let cadence = self.mode.cadence.as_nanos().max(1);
        let first = |not_before: Duration| {
            let frames = not_before.as_nanos().div_ceil(cadence);
            Duration::from_nanos(u64::try_from(frames * cadence).unwrap_or(u64::MAX))
        };
        let ready = self.now.max(self.settled);
        if let Some(pulse) = strobe {
            let begins = first(self.unlit.max((ready + pulse).saturating_sub(self.mode.exposure)));
            self.now = ready.max(begins + self.mode.read_out()) + pulse + MARGIN;
            self.settled = self.now;
            self.unlit = begins + self.mode.cadence / 2;
            return;
        }
        let begins = first(ready);
        self.now = begins + self.mode.takes;
        self.settled = self.now;
        self.now += MARGIN;
    }
}
