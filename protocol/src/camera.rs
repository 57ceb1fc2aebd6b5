//! The camera: a frame whose exposure begins at or after an instant.

use crate::{Fault, Instant, Interval};
use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

/// An order to the camera.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// Take pictures so, from now on.
    Set(Settings),
    /// Start streaming.
    Open,
    /// Take the first frame whose exposure begins at or after this instant.
    Capture {
        /// The earliest instant at which its first line may begin to be exposed; of a strobed one, at which its light may
        /// begin.
        not_before: Instant,
        /// Lit by a pulse so long while all lines are open; it may have begun before.
        strobe: Option<Duration>,
    },
    /// Stop streaming and release the frames, unless somebody looks.
    Close,
    /// Somebody looks, or nobody does any more: show every frame, and stream for that, too.
    Watch(bool),
}

/// What came of it. A capture is answered twice: `Exposing`, then one of `Frame`, `Missed`, `Failed`.
#[derive(Clone, Debug)]
pub enum Event {
    /// It takes pictures in this mode from now on.
    Set(Mode),
    /// It streams, and this is the mode it streams in.
    Opened(Mode),
    /// This frame will be it; predicted from the cadence.
    Exposing {
        /// First line's start to last line's end.
        interval: Interval,
        /// When its light is to be on, if it is strobed.
        pulse: Option<Interval>,
    },
    /// Here it is.
    Frame(Frame),
    /// The frame never came.
    Missed,
    /// It streams no more.
    Closed,
    /// It cannot.
    Failed(Fault),
}

/// How pictures are to be taken. What it does not say is the camera's own choice; a camera does the nearest that it
/// can, and [`Mode`] says what that is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Settings {
    /// What each line integrates.
    pub exposure: Option<Duration>,
    /// Analogue gain, thousandths; 1000 is none.
    pub gain_thousandths: Option<u32>,
    /// Whether the camera balances white itself.
    pub auto_balance: Option<bool>,
    /// Red as a multiple of green, thousandths.
    pub red: Option<u32>,
    /// Blue as a multiple of green, thousandths.
    pub blue: Option<u32>,
    /// From one frame's start to the next one's, at least. An acquisition's own choice, nobody else's.
    pub cadence: Option<std::time::Duration>,
}

/// PlanktoScope's analogue gain at ISO 100, thousandths (IMX477).
pub const GAIN_AT_ISO_100: f64 = 2_312.5;

/// White balance of PlanktoScopes as shipped (IMX477 and a white LED): red as a multiple of green, thousandths.
pub const RED_GAIN: u32 = 1_990;
/// Blue.
pub const BLUE_GAIN: u32 = 1_650;

impl Settings {
    /// These, and where they say nothing those from before.
    #[must_use]
    pub fn over(self, before: Self) -> Self {
        Self {
            exposure: self.exposure.or(before.exposure),
            gain_thousandths: self.gain_thousandths.or(before.gain_thousandths),
            auto_balance: self.auto_balance.or(before.auto_balance),
            red: self.red.or(before.red),
            blue: self.blue.or(before.blue),
            cadence: self.cadence.or(before.cadence),
        }
    }

    /// How the colours of a mosaic are to be balanced.
    pub fn balance(&self) -> Balance {
        if self.auto_balance == Some(true) {
            return Balance::Picture;
        }
        Balance::Gains { red: self.red.unwrap_or(RED_GAIN), blue: self.blue.unwrap_or(BLUE_GAIN) }
    }
}

/// How a camera streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mode {
    /// Pixels across.
    pub width: u32,
    /// Lines.
    pub height: u32,
    /// From one frame's start to the next one's.
    pub cadence: Duration,
    /// From the first line's start to the last line's end.
    pub takes: Duration,
    /// What each line integrates; whole lines, so seldom what was asked. Zero if the camera does not tell.
    pub exposure: Duration,
    /// ISO as the dashboard counts it; zero if the camera does not tell.
    pub iso: u32,
}

/// How long all lines are open at once for a strobed frame, beside the pulse: so 100 ms of exposure with
/// 87 ms of read-out. A light that is late by a stuck bus is still inside.
const OPEN_FOR: Duration = Duration::from_millis(13);
/// A frame is longer than its exposure by no more than this (IMX477: 22 lines of 28.6 us).
const BLANKING: Duration = Duration::from_millis(1);

impl Mode {
    /// From the first line's start to the last line's.
    pub fn read_out(&self) -> Duration {
        self.takes.saturating_sub(self.exposure)
    }

    /// When all lines of a frame are exposed at once: from the last line's start to the first line's end. `None`: never,
    /// because the exposure is no longer than the read-out.
    pub fn open(&self, frame: Interval) -> Option<Interval> {
        let open = Interval { from: frame.to - self.exposure, to: frame.from + self.exposure };
        (open.from < open.to).then_some(open)
    }

    /// What each line is to integrate so that a pulse finds all of them open.
    pub fn strobe_exposure(&self, pulse: Duration) -> Duration {
        self.read_out() + OPEN_FOR + pulse
    }

    /// How it streams with that exposure, but for what a sensor rounds.
    #[must_use]
    pub fn strobed(self, pulse: Duration) -> Self {
        let exposure = self.strobe_exposure(pulse);
        let cadence = self.cadence.max(exposure + BLANKING);
        Self { exposure, takes: self.read_out() + exposure, cadence, ..self }
    }
}

/// A picture and when it was true.
#[derive(Clone)]
pub struct Frame {
    /// The camera's own number.
    pub seq: u64,
    /// From the frame's own time stamp: first line's start to last line's end.
    pub interval: Interval,
    /// What was seen.
    pub picture: Arc<dyn Picture>,
}

impl Debug for Frame {
    /// Without its picture.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Frame({}, {:?})", self.seq, self.interval)
    }
}

/// What a camera delivers: pixels, or everything that rendering them needs.
pub trait Picture: Debug + Send + Sync {
    /// Makes the pixels. May take a tenth of a second; done beside the hardware, never on its thread.
    fn develop(&self) -> Pixels;

    /// All of it in fewer pixels, but not less than these, if that costs less than to develop it.
    fn small(&self, _least: u32) -> Option<Image> {
        None
    }

    /// What the sensor gave, before anything was made of it; `None` if the camera does not tell, or its sensor sees no
    /// colours.
    fn raw(&self) -> Option<Mosaic> {
        None
    }
}

/// In which form a camera gives its pixels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pixels {
    /// Ready to be encoded.
    Rgb(Image),
    /// As the sensor has them.
    Bayer(Mosaic),
    /// Encoded by the camera; stored as it comes.
    Jpeg(Vec<u8>),
}

/// What a sensor behind a mosaic of colour filters gives, and what is to be known to make colours of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mosaic {
    /// Pixels across.
    pub width: u32,
    /// Lines.
    pub height: u32,
    /// Which filter is where.
    pub pattern: Pattern,
    /// How many bits a sample has, 8 to 16.
    pub bits: u8,
    /// What it gives for no light.
    pub black: u16,
    /// How its colours are to be balanced.
    pub balance: Balance,
    /// `width * height` samples, line by line from the top left.
    pub samples: Vec<u16>,
}

impl Mosaic {
    /// The most that a sample can be.
    pub fn white(&self) -> u16 {
        u16::MAX >> 16_u8.saturating_sub(self.bits).min(15)
    }
}

/// The colours of a mosaic's first two pixels, and of those below them; it goes on so in both directions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pattern {
    /// Red, green; green, blue.
    Rggb,
    /// Green, red; blue, green.
    Grbg,
    /// Green, blue; red, green.
    Gbrg,
    /// Blue, green; green, red.
    Bggr,
}

impl Pattern {
    /// Where red is in the first two pixels of the first two lines: column and line.
    pub fn red(self) -> (usize, usize) {
        match self {
            Self::Rggb => (0, 0),
            Self::Grbg => (1, 0),
            Self::Gbrg => (0, 1),
            Self::Bggr => (1, 1),
        }
    }

    /// The colour of a pixel: 0 red, 1 green, 2 blue.
    pub fn colour(self, x: usize, y: usize) -> usize {
        let (column, line) = self.red();
        (x + column) % 2 + (y + line) % 2
    }
}

/// Red and blue as multiples of green.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Balance {
    /// So much, thousandths.
    Gains {
        /// Red.
        red: u32,
        /// Blue.
        blue: u32,
    },
    /// Whatever makes the picture grey in the mean: what it shows is mostly clear water before a white lamp.
    Picture,
}

/// Red, green, blue, 8 bits each, line by line from the top left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    /// Pixels across.
    pub width: u32,
    /// Lines.
    pub height: u32,
    /// `width * height * 3` bytes.
    pub rgb: Vec<u8>,
}
