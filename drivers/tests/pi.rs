//! Pins and buses of a Raspberry Pi: rppal itself, and the kernel's own i2c-bcm2835 and spi-bcm2835.
//!
//! Wiring, of the emulated Raspberry Pi 3 that hil-tests/pi/run.sh starts: on I2C 1 a DS1338 at 0x68, whose first seven
//! registers are a DS3231's, and an EEPROM of 4 KiB at 0x50; on SPI 0 nobody. GPIO 17 is free.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

use eeprom24x::{Eeprom24x, SlaveAddr};
use embedded_hal::i2c::{ErrorKind, I2c as _};
use embedded_hal::spi::SpiDevice as _;
use planktor_drivers::board::RtcLine;
use planktor_drivers::chips::tmc5160::{Error, Tmc5160};
use planktor_drivers::devices::rtc::Rtc;
use planktor_drivers::linux::buses;
use planktor_drivers::linux::pins::{Pins, on_a_pi};
use planktor_protocol::{Fault, Utc};
use rppal::gpio::{Gpio, Level, Mode};
use rppal::system::{DeviceInfo, Model};

const I2C: &str = "/dev/i2c-1";

#[test]
#[ignore = "needs an emulated Raspberry Pi 3: hil-tests/pi/run.sh"]
fn rppal_knows_where_it_is() {
    assert!(on_a_pi());
    assert_eq!(DeviceInfo::new().unwrap().model(), Model::RaspberryPi3B);
}

#[test]
#[ignore = "needs an emulated Raspberry Pi 3: hil-tests/pi/run.sh"]
fn a_pin_has_its_level_at_once_is_had_by_one_and_keeps_its_level() {
    let pins = Pins::new(vec![]);
    let seen = || {
        let pin = Gpio::new().unwrap().get(17).unwrap();
        (pin.mode(), pin.read())
    };
    for (high, level) in [(true, Level::High), (false, Level::Low)] {
        let pin = pins.output(17, high);
        pin.hold().unwrap();
        assert_eq!(pins.output(17, !high).hold(), Err(Fault::InUse("GPIO17")));
        drop(pin);
        assert_eq!(seen(), (Mode::Output, level));
    }
}

#[test]
#[ignore = "needs an emulated Raspberry Pi 3: hil-tests/pi/run.sh"]
fn a_clock_chip_is_set_and_goes_on() {
    let mut clock = Rtc::new(RtcLine::Ds3231(buses::i2c(I2C).unwrap()));
    // The last second of 2028-02-29.
    let set = Utc::from_micros(1_835_481_599_000_000);
    clock.set(set).unwrap();
    let read = clock.read().unwrap().unwrap();
    let after = read.micros() - set.micros();
    assert!((0..5_000_000).contains(&after), "{} is {after} us later", read.rfc3339());
}

#[test]
#[ignore = "needs an emulated Raspberry Pi 3: hil-tests/pi/run.sh"]
fn an_eeprom_keeps_a_page_and_gives_it_in_one_transaction_of_two_messages() {
    let mut eeprom = Eeprom24x::new_24x32(buses::i2c(I2C).unwrap(), SlaveAddr::default());
    let page: Vec<u8> = (1..=32).collect();
    eeprom.write_page(0x1e0, &page).unwrap();
    let mut bus = buses::i2c(I2C).unwrap();
    let mut read = [0; 34];
    bus.write_read(0x50, &[0x01, 0xdf], &mut read).unwrap();
    assert_eq!((read[0], &read[1..33], read[33]), (0, &page[..], 0));
}

#[test]
#[ignore = "needs an emulated Raspberry Pi 3: hil-tests/pi/run.sh"]
fn who_is_not_there_does_not_acknowledge() {
    let error = buses::i2c(I2C).unwrap().write_read(0x42, &[0], &mut [0]).unwrap_err();
    assert!(matches!(error, ErrorKind::NoAcknowledge(_)), "{error:?}");
}

#[test]
#[ignore = "needs an emulated Raspberry Pi 3: hil-tests/pi/run.sh"]
fn spi_transfers_and_nobody_is_taken_for_a_motor_driver() {
    for node in ["/dev/spidev0.0", "/dev/spidev0.1"] {
        let mut spi = buses::spi(node).unwrap();
        spi.transfer_in_place(&mut [0x04, 0, 0, 0, 0]).unwrap();
        let answer = Tmc5160::new(spi).recognize();
        assert!(matches!(answer, Err(Error::Version(0 | 0xff))), "{answer:?}");
    }
}
