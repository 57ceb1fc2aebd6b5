//! The kernel's buses: `spidev` and `i2c-dev`, through linux-embedded-hal.

use super::unopened;
use crate::board::{I2c, Spi};
use embedded_hal::i2c::{self, ErrorKind, NoAcknowledgeSource, Operation};
use linux_embedded_hal::i2cdev::linux::LinuxI2CError;
use linux_embedded_hal::spidev::{SpiModeFlags, SpidevOptions};
use linux_embedded_hal::{I2CError, I2cdev, SpidevDevice};
use planktor_protocol::Fault;
use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use rustix::ioctl::{IntegerSetter, Opcode, ioctl};
use std::fs::File;
use std::time::Duration;

/// Slower than a TMC5160 bears; what the boards and their cables are used at.
const SPI_HZ: u32 = 1_000_000;
/// A fifth of what an SSD1680 bears when it is written to; what the board's panel is used at.
const DISPLAY_HZ: u32 = 4_000_000;

/// A bus that is stuck holds its caller so long, not for the second that an adapter has by itself. The longest
/// transfer, a page of an EEPROM at 100 kHz, takes 3.2 ms on the wire.
pub const I2C_TIME_OUT: Duration = Duration::from_millis(50);

/// A device on SPI: mode 3, 8 bits a word. Its node is locked, because a chip answers with what the datagram *before*
/// asked for: two programs would read each other's answers.
///
/// # Errors
/// The node is not there, may not be opened, is no SPI device, or another program of ours has it.
pub fn spi(node: &'static str) -> Result<Spi, Fault> {
    opened(node, SpiModeFlags::SPI_MODE_3, SPI_HZ)
}

/// A display on SPI: mode 0, 8 bits a word, 4 MHz. Locked as well.
///
/// # Errors
/// As [`spi`].
pub fn display_spi(node: &'static str) -> Result<Spi, Fault> {
    opened(node, SpiModeFlags::SPI_MODE_0, DISPLAY_HZ)
}

fn opened(node: &'static str, mode: SpiModeFlags, hz: u32) -> Result<Spi, Fault> {
    let mut device = SpidevDevice::open(node).map_err(|error| unopened(node, error.inner()))?;
    // Where nothing can be locked, nobody has.
    if flock(device.inner(), FlockOperation::NonBlockingLockExclusive) == Err(Errno::WOULDBLOCK) {
        return Err(Fault::InUse(node));
    }
    let options = SpidevOptions::new().bits_per_word(8).max_speed_hz(hz).mode(mode).build();
    device.configure(&options).map_err(|error| unopened(node, &error))?;
    Ok(Spi::new(device))
}

/// An I2C bus, which holds its caller for [`I2C_TIME_OUT`] at most, a little more on kernels that count in ticks.
///
/// # Errors
/// The node is not there, may not be opened, or is no I2C bus.
pub fn i2c(node: &'static str) -> Result<I2c, Fault> {
    let bus = File::options().read(true).write(true).open(node).map_err(|error| unopened(node, &error))?;
    limit(&bus).map_err(|error| unopened(node, &error.into()))?;
    let bus = I2cdev::new(node).map_err(|error| unopened(node, &error.into()))?;
    Ok(I2c::new(Bus(bus)))
}

/// `I2C_TIMEOUT` of linux/i2c-dev.h: an adapter's time-out, in units of 10 ms; it holds for all who use the adapter.
const TIME_OUT: Opcode = 0x0702;
const UNIT_MS: u128 = 10;

#[expect(unsafe_code, reason = "no library in use has this ioctl")]
fn limit(bus: &File) -> Result<(), Errno> {
    let units = usize::try_from(I2C_TIME_OUT.as_millis() / UNIT_MS).unwrap_or(usize::MAX);
    // SAFETY: this request takes an integer and nothing else, and the kernel checks its range.
    unsafe { ioctl(bus, IntegerSetter::<TIME_OUT>::new_usize(units)) }
}

/// Knows what a Pi's adapter says when nobody answers, too: `EREMOTEIO`, where others say `ENXIO`.
struct Bus(I2cdev);

impl i2c::ErrorType for Bus {
    type Error = ErrorKind;
}

impl i2c::I2c for Bus {
    fn transaction(&mut self, address: u8, operations: &mut [Operation<'_>]) -> Result<(), ErrorKind> {
        i2c::I2c::<i2c::SevenBitAddress>::transaction(&mut self.0, address, operations)
            .map_err(|error| kind(&error))
    }
}

fn kind(error: &I2CError) -> ErrorKind {
    let number = match error.inner() {
        LinuxI2CError::Errno(number) => Some(*number),
        LinuxI2CError::Io(error) => error.raw_os_error(),
    };
    match number.map(Errno::from_raw_os_error) {
        Some(Errno::REMOTEIO) => ErrorKind::NoAcknowledge(NoAcknowledgeSource::Unknown),
        Some(_) | None => i2c::Error::kind(error),
    }
}

/// How long a transfer takes, in the mean of several, with everything that the kernel does around it.
///
/// # Errors
/// Nobody answers.
pub fn measured<E>(
    mut transfer: impl FnMut() -> Result<(), E>,
    clock: &dyn crate::Clock,
) -> Result<Duration, E> {
    const TIMES: u32 = 16;
    let began = clock.now();
    for _ in 0..TIMES {
        transfer()?;
    }
    Ok((clock.now() - began) / TIMES)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_opened_is_named() {
        assert_eq!(spi("/dev/spidev99.0").err(), Some(Fault::Missing("/dev/spidev99.0")));
        assert_eq!(i2c("/dev/i2c-99").err(), Some(Fault::Missing("/dev/i2c-99")));
        assert_eq!(spi("/dev/null").err(), Some(Fault::Unusable("/dev/null")));
        assert_eq!(i2c("/dev/null").err(), Some(Fault::Unusable("/dev/null")));
    }

    #[test]
    fn a_pis_word_for_nobody_is_understood() {
        let of = |errno: Errno| kind(&LinuxI2CError::Errno(errno.raw_os_error()).into());
        assert!(matches!(of(Errno::REMOTEIO), ErrorKind::NoAcknowledge(_)));
        assert!(matches!(of(Errno::NXIO), ErrorKind::NoAcknowledge(_)));
        assert_eq!(of(Errno::TIMEDOUT), ErrorKind::Other);
        assert_eq!(kind(&LinuxI2CError::Io(std::io::Error::other("odd")).into()), ErrorKind::Other);
    }
}
