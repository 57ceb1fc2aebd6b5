//! RV-3028-C7 battery-backed clock on I2C (Micro Crystal, application manual rev. 1.4). Knows registers and no
//! instrument.

use embedded_hal::i2c::I2c;

/// Its address on the bus, seven bits ("Slave address").
pub const ADDRESS: u8 = 0x52;

/// Seconds, minutes, hours, weekday, date, month, year, each in binary-coded decimal (from page 17 on).
const SECONDS: u8 = 0x00;
/// (Page 22.)
const STATUS: u8 = 0x0E;
/// The power-on reset flag: the time was lost since this was last cleared.
const PORF: u8 = 0x01;
/// (Page 24.)
const CONTROL_2: u8 = 0x10;
/// Hours from 1 to 12 and a bit for the afternoon.
const TWELVE_HOURS: u8 = 0x02;

/// What its calendar says; years from 2000 to 2099.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Calendar {
    /// 2000 to 2099.
    pub year: u16,
    /// 1 to 12.
    pub month: u8,
    /// 1 to 31.
    pub day: u8,
    /// 0 to 6.
    pub weekday: u8,
    /// 0 to 23.
    pub hour: u8,
    /// 0 to 59.
    pub minute: u8,
    /// 0 to 59.
    pub second: u8,
}

/// The clock on its bus.
pub struct Rv3028<I2C> {
    i2c: I2C,
}

impl<I2C: I2c> Rv3028<I2C> {
    /// Touches nothing.
    pub fn new(i2c: I2C) -> Self {
        Self { i2c }
    }

    /// Whether it lost its supply since it was last set.
    ///
    /// # Errors
    /// The bus.
    pub fn lost_power(&mut self) -> Result<bool, I2C::Error> {
        Ok(self.register(STATUS)? & PORF != 0)
    }

    /// What it says; `None` if that is no date and time of the day. All of it is read at once: the chip holds its
    /// registers meanwhile.
    ///
    /// # Errors
    /// The bus.
    pub fn calendar(&mut self) -> Result<Option<Calendar>, I2C::Error> {
        if self.register(CONTROL_2)? & TWELVE_HOURS != 0 {
            return Ok(None);
        }
        let mut bytes = [0; 7];
        self.i2c.write_read(ADDRESS, &[SECONDS], &mut bytes)?;
        let [second, minute, hour, weekday, day, month, year] = bytes.map(decimal);
        let all = || {
            let year = 2_000 + u16::from(year?);
            let (month, day, weekday) = (month?, day?, weekday?);
            Some(Calendar { year, month, day, weekday, hour: hour?, minute: minute?, second: second? })
        };
        Ok(all())
    }

    /// Sets it to 24-hour mode and to this time, and only then says that it is right.
    ///
    /// # Errors
    /// The bus.
    pub fn set(&mut self, to: &Calendar) -> Result<(), I2C::Error> {
        let control = self.register(CONTROL_2)?;
        self.i2c.write(ADDRESS, &[CONTROL_2, control & !TWELVE_HOURS])?;
        let Calendar { year, month, day, weekday, hour, minute, second } = *to;
        let year = (year % 100) as u8;
        let [second, minute, hour, weekday, day, month, year] =
            [second, minute, hour, weekday, day, month, year].map(|n| ((n / 10) << 4) | (n % 10));
        self.i2c.write(ADDRESS, &[SECONDS, second, minute, hour, weekday, day, month, year])?;
        let status = self.register(STATUS)?;
        self.i2c.write(ADDRESS, &[STATUS, status & !PORF])
    }

    fn register(&mut self, address: u8) -> Result<u8, I2C::Error> {
        let mut byte = [0];
        self.i2c.write_read(ADDRESS, &[address], &mut byte)?;
        Ok(byte[0])
    }
}

fn decimal(bcd: u8) -> Option<u8> {
    let (tens, ones) = (bcd >> 4, bcd & 0x0F);
    (tens <= 9 && ones <= 9).then_some(tens * 10 + ones)
}
