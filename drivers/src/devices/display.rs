//! The display: 2.9 inches of e-paper (Waveshare V2) that keep their picture without power. To show one takes seconds, in
//! steps of 2 ms at most; nothing here waits for the ink.

pub mod drawing;

use crate::board::{DisplayLine, Input, Output, Spi};
use crate::chips::ssd1680::Ssd1680;
use drawing::{ACROSS, Bitmap, LINES};
use planktor_protocol::display::Page;
use planktor_protocol::{Fault, Instant};
use std::time::Duration;

/// Its supply and its reset line are given this time each (Waveshare's manual of the 2.9" V2: 10 ms).
const SETTLES: Duration = Duration::from_millis(10);
/// Bytes that are sent at once: 2 ms at 4 MHz.
const PIECE: usize = 1_024;
/// It is asked so often whether the ink is done,
const LOOK: Duration = Duration::from_millis(50);
/// and not for longer than this: two seconds are usual, and more in the cold.
const PATIENCE: Duration = Duration::from_secs(15);
/// A reset takes it less.
const RESET_PATIENCE: Duration = Duration::from_millis(500);

const SILENT: Fault = Fault::Bus("the display");

/// What it does.
enum State {
    Off,
    /// Its reset line is held.
    Held(Bitmap),
    /// The line was let go.
    Released(Bitmap),
    /// It was restarted.
    Restarted(Bitmap, Instant),
    /// So many bytes were sent.
    Sending(Bitmap, usize),
    /// The ink moves, since then.
    Inking(Instant, Looked),
}

/// Whether it has been seen at work: where no display is connected nobody is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Looked {
    NotYet,
    Works,
}

/// The display.
pub struct Display {
    chip: Ssd1680<Spi, Output, Input>,
    power: Output,
    state: State,
}

impl Display {
    /// Touches nothing: it shows what it showed.
    pub fn new(DisplayLine { spi, data, reset, busy, power }: DisplayLine) -> Self {
        Self { chip: Ssd1680::new(spi, data, reset, busy), power, state: State::Off }
    }

    /// Begins to show a page, or nothing; what was begun before is given up. Says after what time to [`Self::poll`].
    ///
    /// # Errors
    /// [`Fault`]: it does not answer.
    pub fn show(&mut self, page: Option<&Page>) -> Result<Duration, Fault> {
        self.power.set(true);
        self.chip.hold_reset(true).map_err(|_| SILENT)?;
        self.state = State::Held(drawing::draw(page));
        Ok(SETTLES)
    }

    /// Goes on; says after what time to ask again. `None`: the picture is shown.
    ///
    /// # Errors
    /// [`Fault`]: it does not answer. What it shows is not known then.
    pub fn poll(&mut self, now: Instant) -> Result<Option<Duration>, Fault> {
        let (state, again) = match std::mem::replace(&mut self.state, State::Off) {
            State::Off => return Ok(None),
            State::Held(bitmap) => {
                self.chip.hold_reset(false).map_err(|_| SILENT)?;
                (State::Released(bitmap), SETTLES)
            }
            State::Released(bitmap) => {
                self.chip.restart().map_err(|_| SILENT)?;
                (State::Restarted(bitmap, now), SETTLES)
            }
            State::Restarted(bitmap, since) if self.is_busy()? => {
                in_time(since, now, RESET_PATIENCE)?;
                (State::Restarted(bitmap, since), SETTLES)
            }
            State::Restarted(bitmap, _) => {
                self.chip.begin(ACROSS, LINES).map_err(|_| SILENT)?;
                (State::Sending(bitmap, 0), Duration::ZERO)
            }
            State::Sending(bitmap, sent) => match bitmap.bytes().chunks(PIECE).nth(sent / PIECE) {
                Some(piece) => {
                    self.chip.send(piece).map_err(|_| SILENT)?;
                    (State::Sending(bitmap, sent + PIECE), Duration::ZERO)
                }
                None => {
                    self.chip.show().map_err(|_| SILENT)?;
                    (State::Inking(now, Looked::NotYet), LOOK)
                }
            },
            State::Inking(since, _) if self.is_busy()? => {
                in_time(since, now, PATIENCE)?;
                (State::Inking(since, Looked::Works), LOOK)
            }
            State::Inking(_, Looked::NotYet) => return Err(SILENT),
            State::Inking(_, Looked::Works) => {
                self.chip.sleep().map_err(|_| SILENT)?;
                self.power.set(false);
                return Ok(None);
            }
        };
        self.state = state;
        Ok(Some(again))
    }

    /// Without power; the picture stays as it is.
    pub fn make_safe(&mut self) {
        self.power.set(false);
    }

    fn is_busy(&mut self) -> Result<bool, Fault> {
        self.chip.is_busy().map_err(|_| SILENT)
    }
}

fn in_time(since: Instant, now: Instant, patience: Duration) -> Result<(), Fault> {
    if now - since > patience { Err(SILENT) } else { Ok(()) }
}
