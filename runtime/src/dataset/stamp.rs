//! What a frame's own file says of it, as Exif (CIPA DC-008): when with its zone, where, how exposed, by which instrument.
//! It travels with the picture when everything else is lost, so it says nothing that is not known: no time without a
//! believable clock, no place without a fix, no height (receivers count it from the ellipsoid, Exif from the sea).

use super::whence::utc_at;
use exif::experimental::Writer;
use exif::{Field, In, Rational, Tag, Value};
use planktor_actors::recording::Facts;
use planktor_protocol::position::{Fix, Mode, Place};
use planktor_protocol::timekeeping::Source;
use planktor_protocol::units::Nanodegrees;
use planktor_protocol::{Instant, Utc};
use std::io::Cursor;
use std::sync::Arc;

/// Which instrument it is.
#[derive(Clone, Debug, Default)]
pub struct Instrument {
    /// The board's name, or `twin`.
    pub board: &'static str,
    /// The machine's name; `None` if it has none.
    pub name: Option<Arc<str>>,
    /// The computer's serial number, if it has one.
    pub serial: Option<Arc<str>>,
}

/// The first bytes of a segment with Exif in it.
const HEAD: &[u8] = b"Exif\0\0";
const SEGMENT: [u8; 2] = [0xFF, 0xE1];

/// A JPEG with what is known about it, in place of what it may have said itself.
///
/// # Errors
/// In words: it is no JPEG.
pub(super) fn with_exif(
    jpeg: &[u8],
    facts: &Facts,
    start: Instant,
    instrument: &Instrument,
) -> Result<Vec<u8>, String> {
    let fields = fields(facts, start, instrument);
    let mut writer = Writer::new();
    fields.iter().for_each(|field| writer.push_field(field));
    let mut tiff = Cursor::new(Vec::new());
    writer.write(&mut tiff, false).map_err(|why| format!("its Exif cannot be written: {why}"))?;
    let tiff = tiff.into_inner();
    let length = u16::try_from(2 + HEAD.len() + tiff.len()).map_err(|_| "its Exif is too long")?;
    let (begin, rest) = jpeg.split_at_checked(2).ok_or("it is empty")?;
    let rest = &rest[own_exif(rest)..];
    Ok([begin, &SEGMENT, &length.to_be_bytes(), HEAD, &tiff, rest].concat())
}

/// How long the Exif is that it begins with.
fn own_exif(jpeg: &[u8]) -> usize {
    match jpeg {
        [0xFF, 0xE1, high, low, rest @ ..] if rest.starts_with(HEAD) => {
            (2 + usize::from(u16::from_be_bytes([*high, *low]))).min(jpeg.len())
        }
        _ => 0,
    }
}

fn fields(facts: &Facts, start: Instant, instrument: &Instrument) -> Vec<Field> {
    let mut all = vec![
        text(Tag::Software, concat!("planktor ", env!("CARGO_PKG_VERSION"))),
        text(Tag::Model, instrument.board),
        field(Tag::ExifVersion, Value::Undefined(b"0232".to_vec(), 0)),
        field(Tag::FlashpixVersion, Value::Undefined(b"0100".to_vec(), 0)),
        // Y, Cb, Cr, in the middle of their squares; sRGB; no size on paper is known, so the usual 72 dots an inch.
        field(Tag::ComponentsConfiguration, Value::Undefined(vec![1, 2, 3, 0], 0)),
        field(Tag::YCbCrPositioning, Value::Short(vec![1])),
        field(Tag::ColorSpace, Value::Short(vec![1])),
        field(Tag::XResolution, Value::Rational(vec![Rational { num: 72, denom: 1 }])),
        field(Tag::YResolution, Value::Rational(vec![Rational { num: 72, denom: 1 }])),
        field(Tag::ResolutionUnit, Value::Short(vec![2])),
    ];
    all.extend(instrument.serial.as_deref().map(|serial| text(Tag::BodySerialNumber, serial)));
    if let Some(time) = facts.time.filter(|time| time.source != Source::Unset) {
        let utc = utc_at(&time, start);
        all.extend([
            text(Tag::DateTimeOriginal, &format!("{} {}", date(utc), &utc.rfc3339()[11..19])),
            text(Tag::SubSecTimeOriginal, &utc.rfc3339()[20..26]),
            text(Tag::OffsetTimeOriginal, "+00:00"),
        ]);
    }
    if let Some(mode) = &facts.mode {
        // Of a strobed frame it is the light that was on for so long.
        let exposure = facts.pulse.map_or(mode.exposure, |pulse| pulse.asked);
        let us = u32::try_from(exposure.as_micros()).unwrap_or(u32::MAX);
        let exposure = Rational { num: us, denom: 1_000_000 };
        let iso = u16::try_from(mode.iso).unwrap_or(u16::MAX);
        let exposure = (us > 0).then(|| field(Tag::ExposureTime, Value::Rational(vec![exposure])));
        let iso = (iso > 0).then(|| field(Tag::PhotographicSensitivity, Value::Short(vec![iso])));
        all.extend(exposure.into_iter().chain(iso));
        all.extend([
            field(Tag::PixelXDimension, Value::Long(vec![mode.width])),
            field(Tag::PixelYDimension, Value::Long(vec![mode.height])),
        ]);
    }
    all.extend(facts.fix.as_ref().map(|fix| place(fix, start)).unwrap_or_default());
    all
}

fn place(fix: &Fix, at: Instant) -> Vec<Field> {
    let Some(place) = fix.place.filter(Place::is_possible) else { return vec![] };
    let hemisphere = |angle: Nanodegrees, [positive, negative]: [&'static str; 2]| {
        if angle.0 < 0 { negative } else { positive }
    };
    let mut all = vec![
        field(Tag::GPSVersionID, Value::Byte(vec![2, 3, 0, 0])),
        text(Tag::GPSLatitudeRef, hemisphere(place.latitude, ["N", "S"])),
        angle(Tag::GPSLatitude, place.latitude),
        text(Tag::GPSLongitudeRef, hemisphere(place.longitude, ["E", "W"])),
        angle(Tag::GPSLongitude, place.longitude),
        text(Tag::GPSStatus, if fix.is_stale(at) { "V" } else { "A" }),
        text(
            Tag::GPSMeasureMode,
            match place.mode {
                Mode::TwoDimensional => "2",
                Mode::ThreeDimensional => "3",
            },
        ),
        text(Tag::GPSMapDatum, "WGS-84"),
    ];
    if let Some(error) = place.error_mm.and_then(|mm| u32::try_from(mm).ok()) {
        let error = Rational { num: error, denom: 1_000 };
        all.push(field(Tag::GPSHPositioningError, Value::Rational(vec![error])));
    }
    if let Some(time) = fix.time {
        let rfc = time.rfc3339();
        let part = |range: std::ops::Range<usize>| rfc[range].parse().unwrap_or(0);
        let whole = |num| Rational { num, denom: 1 };
        let seconds = Rational { num: part(17..19) * 1_000_000 + part(20..26), denom: 1_000_000 };
        let clock = vec![whole(part(11..13)), whole(part(14..16)), seconds];
        all.extend([text(Tag::GPSDateStamp, &date(time)), field(Tag::GPSTimeStamp, Value::Rational(clock))]);
    }
    all
}

/// Degrees, minutes, and seconds to a hundred-thousandth: 0.3 mm.
fn angle(tag: Tag, Nanodegrees(angle): Nanodegrees) -> Field {
    let hundred_thousandths = (u128::from(angle.unsigned_abs()) * 360_000_000 + 500_000_000) / 1_000_000_000;
    let part = |value: u128, denom| Rational { num: u32::try_from(value).unwrap_or(u32::MAX), denom };
    let (minutes, seconds) = (hundred_thousandths / 6_000_000, hundred_thousandths % 6_000_000);
    field(tag, Value::Rational(vec![part(minutes / 60, 1), part(minutes % 60, 1), part(seconds, 100_000)]))
}

fn date(utc: Utc) -> String {
    utc.rfc3339()[..10].replace('-', ":")
}

fn text(tag: Tag, text: &str) -> Field {
    field(tag, Value::Ascii(vec![text.bytes().filter(|byte| (b' '..=b'~').contains(byte)).collect()]))
}

fn field(tag: Tag, value: Value) -> Field {
    Field { tag, ifd_num: In::PRIMARY, value }
}
