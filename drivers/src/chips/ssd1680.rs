//! SSD1680 e-paper controller on SPI (Solomon Systech, rev. 0.14): up to 176 dots across, a byte for eight of them, and 296
//! lines. Knows commands and no instrument, and never waits: who drives it asks whether it is busy.

use embedded_hal::digital::{InputPin, OutputPin};
use embedded_hal::spi::SpiDevice;

/// (Section 7, command table.)
const DRIVER_OUTPUT: u8 = 0x01;
const DEEP_SLEEP: u8 = 0x10;
const DATA_ENTRY: u8 = 0x11;
const SOFTWARE_RESET: u8 = 0x12;
const TEMPERATURE_SENSOR: u8 = 0x18;
const MASTER_ACTIVATION: u8 = 0x20;
const UPDATE_CONTROL_1: u8 = 0x21;
const UPDATE_CONTROL_2: u8 = 0x22;
const WRITE_BLACK_WHITE: u8 = 0x24;
const BORDER: u8 = 0x3C;
const X_WINDOW: u8 = 0x44;
const Y_WINDOW: u8 = 0x45;
const X_COUNTER: u8 = 0x4E;
const Y_COUNTER: u8 = 0x4F;

/// Both counters up, across first.
const ACROSS_THEN_DOWN: u8 = 0x03;
/// Its own.
const INTERNAL: u8 = 0x80;
/// The second memory counts as zero, whatever it powered up with; sources S8 to S167 are wired (as Waveshare's panels are).
const ONE_COLOUR: [u8; 2] = [0x40, 0x80];
/// The border follows the waveform of white.
const WHITE_BORDER: u8 = 0x05;
/// Clock and analog on, temperature and waveform loaded, the picture shown, all off again.
const EVERYTHING: u8 = 0xF7;
/// The memory is kept; only a reset by pin ends it.
const SLEEP: u8 = 0x01;

/// The controller.
pub struct Ssd1680<SPI, OUT, IN> {
    spi: SPI,
    /// Low: a command. High: its data.
    data: OUT,
    /// Low resets.
    reset: OUT,
    /// High while it works.
    busy: IN,
}

/// What failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error<S, P> {
    /// The bus.
    Spi(S),
    /// A pin.
    Pin(P),
}

impl<SPI: SpiDevice, OUT: OutputPin, IN: InputPin<Error = OUT::Error>> Ssd1680<SPI, OUT, IN> {
    /// Touches nothing.
    pub fn new(spi: SPI, data: OUT, reset: OUT, busy: IN) -> Self {
        Self { spi, data, reset, busy }
    }

    /// Holds its reset line, or lets it go.
    ///
    /// # Errors
    /// The pin.
    pub fn hold_reset(&mut self, on: bool) -> Result<(), Error<SPI::Error, OUT::Error>> {
        self.reset.set_state((!on).into()).map_err(Error::Pin)
    }

    /// Whether it works and takes no commands.
    ///
    /// # Errors
    /// The pin.
    pub fn is_busy(&mut self) -> Result<bool, Error<SPI::Error, OUT::Error>> {
        self.busy.is_high().map_err(Error::Pin)
    }

    /// Sets every register to what it powers up with; it is busy then.
    ///
    /// # Errors
    /// The bus or a pin.
    pub fn restart(&mut self) -> Result<(), Error<SPI::Error, OUT::Error>> {
        self.command(SOFTWARE_RESET, &[])
    }

    /// Makes it ready for a picture of so many bytes across and lines, from the upper left: [`Self::send`] goes there.
    ///
    /// # Errors
    /// The bus or a pin.
    pub fn begin(&mut self, across: u8, lines: u16) -> Result<(), Error<SPI::Error, OUT::Error>> {
        let [last, last_high] = (lines - 1).to_le_bytes();
        self.command(DRIVER_OUTPUT, &[last, last_high, 0])?;
        self.command(DATA_ENTRY, &[ACROSS_THEN_DOWN])?;
        self.command(X_WINDOW, &[0, across - 1])?;
        self.command(Y_WINDOW, &[0, 0, last, last_high])?;
        self.command(BORDER, &[WHITE_BORDER])?;
        self.command(TEMPERATURE_SENSOR, &[INTERNAL])?;
        self.command(UPDATE_CONTROL_1, &ONE_COLOUR)?;
        self.command(X_COUNTER, &[0])?;
        self.command(Y_COUNTER, &[0, 0])?;
        self.command(WRITE_BLACK_WHITE, &[])
    }

    /// The next bytes of the picture; the highest bit is the left-most dot, a one is white.
    ///
    /// # Errors
    /// The bus or a pin.
    pub fn send(&mut self, bytes: &[u8]) -> Result<(), Error<SPI::Error, OUT::Error>> {
        self.data.set_high().map_err(Error::Pin)?;
        self.spi.write(bytes).map_err(Error::Spi)
    }

    /// Shows the picture; it is busy for seconds then.
    ///
    /// # Errors
    /// The bus or a pin.
    pub fn show(&mut self) -> Result<(), Error<SPI::Error, OUT::Error>> {
        self.command(UPDATE_CONTROL_2, &[EVERYTHING])?;
        self.command(MASTER_ACTIVATION, &[])
    }

    /// Sleeps, until it is reset by its pin.
    ///
    /// # Errors
    /// The bus or a pin.
    pub fn sleep(&mut self) -> Result<(), Error<SPI::Error, OUT::Error>> {
        self.command(DEEP_SLEEP, &[SLEEP])
    }

    fn command(&mut self, command: u8, data: &[u8]) -> Result<(), Error<SPI::Error, OUT::Error>> {
        self.data.set_low().map_err(Error::Pin)?;
        self.spi.write(&[command]).map_err(Error::Spi)?;
        if data.is_empty() { Ok(()) } else { self.send(data) }
    }
}
