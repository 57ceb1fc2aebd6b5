//! What a Raspberry Pi HAT's EEPROM holds (raspberrypi/hats, "eeprom-format.md"): a header, then *atoms*, each with its number,
//! length and check sum; all little-endian. Pure: bytes in, bytes out, and nothing that they say is believed unchecked.
//!
//! ```text
//! header  "R-Pi"  version u8  0 u8  atoms u16  length u32 of everything
//! atom    type u16  number u16  length u32 of what follows  data  check sum u16 of all of it
//!         type 1, the vendor: uuid 16  product u16  version u16  lengths 2 x u8  vendor's and product's name
//!         type 4, the maker's own: here JSON
//! ```
//!
//! Pins and device trees (types 2 and 3) are the firmware's and passed over. The check sum is the one that the vendor's tools
//! compute, CRC-16/ARC; their documentation calls it CRC-16-CCITT, which is another one.

use super::CHIP;
use planktor_protocol::eeprom::{Identity, NotKept, Unreadable};
use serde_json::{Map, Value};
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

/// Bytes of the header.
pub(super) const HEADER: usize = 12;
const SIGNATURE: [u8; 4] = *b"R-Pi";
/// HAT and HAT+.
const VERSIONS: [u8; 2] = [1, 2];
/// Bytes of an atom before its data.
const ATOM: usize = 8;
const CRC: usize = 2;
const VENDOR: u16 = 1;
const CUSTOM: u16 = 4;
/// Bytes of a vendor's atom before its names.
const NAMES_AT: usize = 22;
/// The maker's JSON is a tenth of that.
const MOST_JSON: usize = 1_024;
/// A word that the maker writes goes into metadata and onto pages.
const LONGEST_WORD: usize = 64;
/// 30 years of light; what says more is a mistake.
pub(super) const MOST_LIT: Duration = Duration::from_secs(1_000_000_000);

/// The key of the LED's seconds.
const LIT: &str = "led_operating_time";

/// A content that was understood.
#[derive(Clone, Debug)]
pub struct Image {
    bytes: Vec<u8>,
    /// Who this is.
    pub identity: Identity,
    /// Where the maker's JSON is, and what it says.
    own: Option<(Range<usize>, Map<String, Value>)>,
}

/// How long the content is that begins like this, where there is so much room.
pub(super) fn length(head: &[u8; HEADER], room: usize) -> Result<usize, Unreadable> {
    if [[0xFF; HEADER], [0; HEADER]].contains(head) {
        return Err(Unreadable::Blank);
    }
    let [s0, s1, s2, s3, version, _, _, _, length @ ..] = *head;
    if [s0, s1, s2, s3] != SIGNATURE {
        return Err(Unreadable::Signature([s0, s1, s2, s3]));
    }
    if !VERSIONS.contains(&version) {
        return Err(Unreadable::Version(version));
    }
    let said = u32::from_le_bytes(length);
    let fits = usize::try_from(said).ok().filter(|length| (HEADER..=room).contains(length));
    fits.ok_or(Unreadable::Length { said, least: HEADER, most: room })
}

impl Image {
    /// Understands a content, and leaves what is behind its end; all of it must be right.
    ///
    /// # Errors
    /// [`Unreadable`]: the first thing that is not.
    pub fn parse(mut bytes: Vec<u8>) -> Result<Self, Unreadable> {
        let head = bytes.first_chunk().ok_or(Unreadable::Blank)?;
        let (length, atoms) = (length(head, bytes.len())?, u16::from_le_bytes([head[6], head[7]]));
        bytes.truncate(length);
        let all = &bytes[..];
        let (mut at, mut vendor, mut own) = (HEADER, None, None);
        for number in 0..atoms {
            let (kind, data) = atom(all, at, number)?;
            match kind {
                VENDOR if vendor.is_none() => vendor = Some(names(&all[data.clone()])?),
                CUSTOM if own.is_none() => own = Some((at..data.end + CRC, json(&all[data.clone()])?)),
                _ => {}
            }
            at = data.end + CRC;
        }
        if at != all.len() {
            return Err(Unreadable::LeftOver(all.len() - at));
        }
        let (vendor, product) = vendor.ok_or(Unreadable::NoVendor)?;
        let identity = match &own {
            Some((_, own)) => identity(vendor, product, own)?,
            None => Identity { vendor, product, ..Identity::default() },
        };
        Ok(Self { bytes, identity, own })
    }

    /// The same content with other LED hours; everything else stays, also what is not known here.
    ///
    /// # Errors
    /// [`NotKept`]: it has no place, or no room.
    pub fn with_lit(&self, lit: Duration) -> Result<Vec<u8>, NotKept> {
        let (place, own) = self.own.as_ref().ok_or(NotKept::NoPlace)?;
        let mut own = own.clone();
        own.insert(LIT.into(), lit.min(MOST_LIT).as_secs().into());
        let json = serde_json::to_vec(&own).expect("it was JSON");
        let (before, rest) = self.bytes.split_at(place.start);
        let after = &rest[place.len()..];
        let mut atom = rest[..4].to_vec();
        atom.extend(u32::try_from(json.len() + CRC).unwrap_or(u32::MAX).to_le_bytes());
        atom.extend(json);
        atom.extend(check_sum(&atom).to_le_bytes());
        let mut all = [before, &atom, after].concat();
        if all.len() > CHIP / 2 {
            return Err(NotKept::NoRoom);
        }
        let length = u32::try_from(all.len()).unwrap_or(u32::MAX);
        all[8..HEADER].copy_from_slice(&length.to_le_bytes());
        Ok(all)
    }
}

/// The type of the atom that begins here, and where its data are.
fn atom(all: &[u8], at: usize, number: u16) -> Result<(u16, Range<usize>), Unreadable> {
    let left = all.len() - at;
    let short = |said| Unreadable::AtomLength { number, said, left };
    let head: &[u8; ATOM] = all[at..].first_chunk().ok_or(short(0))?;
    let [t0, t1, n0, n1, length @ ..] = *head;
    let found = u16::from_le_bytes([n0, n1]);
    if found != number {
        return Err(Unreadable::AtomNumber { expected: number, found });
    }
    let said = u32::from_le_bytes(length);
    let size = usize::try_from(said).ok().filter(|size| (CRC..=left - ATOM).contains(size));
    let end = at + ATOM + size.ok_or(short(said))? - CRC;
    let (expected, found) = (check_sum(&all[at..end]), u16::from_le_bytes([all[end], all[end + 1]]));
    if expected != found {
        return Err(Unreadable::CheckSum { number, expected, found });
    }
    Ok((u16::from_le_bytes([t0, t1]), at + ATOM..end))
}

/// CRC-16/ARC: polynomial 0x8005, least significant bits first, from 0.
fn check_sum(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |sum, byte| {
        (0..8).fold(sum ^ u16::from(*byte), |sum, _| if sum & 1 == 0 { sum >> 1 } else { sum >> 1 ^ 0xA001 })
    })
}

fn names(data: &[u8]) -> Result<(Arc<str>, Arc<str>), Unreadable> {
    let names = || {
        let (head, names) = data.split_at_checked(NAMES_AT)?;
        let (vendor, product) = names.split_at_checked(head[NAMES_AT - 2].into())?;
        (product.len() == usize::from(head[NAMES_AT - 1])).then(|| (plain(vendor), plain(product)))
    };
    names().ok_or(Unreadable::NoVendor)
}

/// What of it people can read.
fn plain(bytes: &[u8]) -> Arc<str> {
    let text: String = String::from_utf8_lossy(bytes).chars().filter(|c| !c.is_control()).collect();
    text.trim().into()
}

/// Some tools end it with a zero byte.
fn json(data: &[u8]) -> Result<Map<String, Value>, Unreadable> {
    let wrong = |why: String| Unreadable::Json(why.into());
    if data.len() > MOST_JSON {
        return Err(wrong(format!("it has {} bytes; expected at most {MOST_JSON}", data.len())));
    }
    let end = data.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    serde_json::from_slice(&data[..end]).map_err(|why| wrong(why.to_string()))
}

fn identity(vendor: Arc<str>, product: Arc<str>, own: &Map<String, Value>) -> Result<Identity, Unreadable> {
    Ok(Identity {
        vendor,
        product,
        serial_number: word(own, "serial_number")?,
        hardware_version: word(own, "hardware_version")?,
        eeprom_version: word(own, "eeprom_version")?,
        led_operating_time: lit(own)?,
    })
}

/// A text or a number; an empty one says nothing.
fn word(own: &Map<String, Value>, key: &str) -> Result<Option<Arc<str>>, Unreadable> {
    let text = match own.get(key) {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::String(text)) => Some(text.clone()),
        Some(Value::Number(number)) => Some(number.to_string()),
        Some(Value::Bool(_) | Value::Array(_) | Value::Object(_)) => None,
    };
    let is_plain = |text: &str| text.bytes().all(|byte| (b' '..=b'~').contains(&byte));
    let text = text.filter(|text| text.len() <= LONGEST_WORD && is_plain(text)).ok_or_else(|| {
        Unreadable::Json(format!("{key} is no plain text of at most {LONGEST_WORD} characters").into())
    })?;
    Ok(Some(text.trim()).filter(|text| !text.is_empty()).map(Into::into))
}

fn lit(own: &Map<String, Value>) -> Result<Option<Duration>, Unreadable> {
    let Some(value) = own.get(LIT).filter(|value| !value.is_null()) else { return Ok(None) };
    let lit = value.as_f64().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    let lit = lit.filter(|lit| *lit <= MOST_LIT);
    lit.map(Some).ok_or_else(|| {
        Unreadable::Json(format!("{LIT} is {value}; expected 0 to {} s", MOST_LIT.as_secs()).into())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const OWN: &str = r#"{"serial_number":"PS-7","colour":{"of":["us",1.5]},"hardware_version":"v3.0","eeprom_version":0,"led_operating_time":7200}"#;

    fn vendor() -> Vec<u8> {
        [&[7; 20][..], &[9, 19], b"FairScope", b"PlanktoScope HAT v3"].concat()
    }

    /// These parts, each with its type, behind a right header.
    fn content(parts: &[(u16, &[u8])]) -> Vec<u8> {
        let mut all = [&SIGNATURE[..], &[1, 0, u8::try_from(parts.len()).unwrap(), 0], &[0; 4]].concat();
        for (number, (kind, data)) in (0u16..).zip(parts) {
            let begin = all.len();
            all.extend(kind.to_le_bytes());
            all.extend(number.to_le_bytes());
            all.extend(u32::try_from(data.len() + CRC).unwrap().to_le_bytes());
            all.extend(*data);
            let sum = check_sum(&all[begin..]);
            all.extend(sum.to_le_bytes());
        }
        let length = u32::try_from(all.len()).unwrap();
        all[8..12].copy_from_slice(&length.to_le_bytes());
        all
    }

    fn usual(own: &str) -> Vec<u8> {
        content(&[(1, &vendor()), (2, &[0; 30]), (3, b"tree"), (4, own.as_bytes()), (77, b"from tomorrow")])
    }

    fn wrong(bytes: Vec<u8>) -> Unreadable {
        Image::parse(bytes).expect_err("it is wrong")
    }

    #[test]
    fn the_check_sum_is_the_one_of_the_catalogue() {
        assert_eq!(check_sum(b"123456789"), 0xBB3D);
    }

    #[test]
    fn everything_that_the_maker_wrote_is_read() {
        let identity = Image::parse(usual(OWN)).unwrap().identity;
        let text = |text: &str| Some(text.into());
        assert_eq!(
            identity,
            Identity {
                vendor: "FairScope".into(),
                product: "PlanktoScope HAT v3".into(),
                serial_number: text("PS-7"),
                hardware_version: text("v3.0"),
                eeprom_version: text("0"),
                led_operating_time: Some(Duration::from_secs(7_200)),
            }
        );
        let bare = Image::parse(usual(r#"{"serial_number":"","led_operating_time":null}"#)).unwrap().identity;
        assert_eq!((bare.serial_number, bare.led_operating_time), (None, None));
        let nothing = Image::parse(content(&[(1, &vendor())])).unwrap();
        assert_eq!(
            (nothing.identity.hardware_version.as_ref(), nothing.with_lit(Duration::ZERO)),
            (None, Err(NotKept::NoPlace))
        );
        let ended = Image::parse(usual(&format!("{OWN}\n\0"))).unwrap();
        assert_eq!(ended.identity, identity, "some tools end it with a zero byte");
    }

    #[test]
    fn other_hours_change_nothing_else() {
        for (seconds, own) in
            [(7_201, OWN.replace("7200", "7201")), (1_000_000, OWN.replace("7200", "1000000"))]
        {
            let changed = Image::parse(usual(OWN)).unwrap().with_lit(Duration::from_secs(seconds)).unwrap();
            assert_eq!(changed, usual(&own), "keys that are not known, too");
        }
        let first = Image::parse(usual(r#"{"a":1}"#)).unwrap().with_lit(Duration::from_secs(3)).unwrap();
        assert_eq!(first, usual(r#"{"a":1,"led_operating_time":3}"#));
    }

    #[test]
    fn what_would_not_fit_twice_is_not_written() {
        let full = content(&[(1, &vendor()), (3, &[0; 1_900]), (4, OWN.as_bytes())]);
        let image = Image::parse(full).unwrap();
        assert_eq!(image.with_lit(Duration::from_secs(1)), Err(NotKept::NoRoom));
    }

    #[test]
    fn what_is_cut_off_is_never_whole() {
        let all = usual(OWN);
        assert!((0..all.len()).all(|end| Image::parse(all[..end].to_vec()).is_err()));
    }

    #[test]
    fn everything_that_can_be_wrong_has_its_name() {
        assert_eq!(wrong(vec![0xFF; CHIP]), Unreadable::Blank);
        assert_eq!(wrong(vec![0; CHIP]), Unreadable::Blank);
        assert_eq!(wrong(vec![]), Unreadable::Blank);
        let with = |at: usize, byte: u8| {
            let mut bytes = usual(OWN);
            bytes[at] = byte;
            wrong(bytes)
        };
        assert_eq!(with(0, b'r'), Unreadable::Signature(*b"r-Pi"));
        assert_eq!(with(4, 3), Unreadable::Version(3));
        let most = usual(OWN).len();
        assert_eq!(
            with(9, 0x40),
            Unreadable::Length { said: 0x4000 + (most as u32 & 0xFF), least: HEADER, most }
        );
        assert_eq!(with(6, 4), Unreadable::LeftOver(ATOM + 13 + CRC));
        assert!(matches!(with(6, 6), Unreadable::AtomLength { number: 5, .. }));
        assert_eq!(with(14, 9), Unreadable::AtomNumber { expected: 0, found: 9 });
        for (byte, said) in [(1, 1), (0xFF, 0xFF)] {
            let mut bytes = content(&[(1, &[0; 20])]);
            bytes[16] = byte;
            assert_eq!(wrong(bytes), Unreadable::AtomLength { number: 0, said, left: 30 });
        }
        assert!(matches!(with(30, 0), Unreadable::CheckSum { number: 0, .. }));
        assert_eq!(wrong(content(&[(4, b"{}")])), Unreadable::NoVendor);
        let mut long = vendor();
        long[21] = 200;
        assert_eq!(
            wrong(content(&[(1, &long)])),
            Unreadable::NoVendor,
            "its names are shorter than they say"
        );
        for own in [
            "",
            "{",
            "[1]",
            "\"v3.0\"",
            r#"{"hardware_version":[]}"#,
            r#"{"serial_number":"a\nb"}"#,
            r#"{"led_operating_time":-1}"#,
            r#"{"led_operating_time":"7"}"#,
            r#"{"led_operating_time":1e300}"#,
            &"[".repeat(1_000),
            &format!("{{\"a\":\"{}\"}}", "x".repeat(MOST_JSON)),
        ] {
            assert!(matches!(wrong(usual(own)), Unreadable::Json(_)), "{own}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_are_too_bad(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
            let _ = Image::parse(bytes);
        }

        #[test]
        fn no_change_of_a_right_content_is_too_bad(changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..9), sums: bool) {
            let mut bytes = usual(OWN);
            for (at, byte) in changes {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
            if sums {
                right_the_sums(&mut bytes);
            }
            if let Ok(image) = Image::parse(bytes) {
                let word = image.identity.hardware_version.as_ref();
                prop_assert!(word.is_none_or(|word| word.len() <= LONGEST_WORD));
                let _ = image.with_lit(Duration::from_secs(1));
            }
        }

        #[test]
        fn what_is_written_is_read(seconds in 0..=MOST_LIT.as_secs()) {
            let lit = Duration::from_secs(seconds);
            let changed = Image::parse(usual(OWN)).unwrap().with_lit(lit).unwrap();
            prop_assert_eq!(Image::parse(changed).unwrap().identity.led_operating_time, Some(lit));
        }
    }

    /// So that what is behind the check sums is tried, too.
    fn right_the_sums(bytes: &mut [u8]) {
        let mut at = HEADER;
        while let Some(head) = bytes.get(at..).and_then(|rest| rest.first_chunk::<ATOM>()) {
            let size = u32::from_le_bytes([head[4], head[5], head[6], head[7]]) as usize;
            let Some(end) = size.checked_sub(CRC).map(|size| at + ATOM + size) else { return };
            if end + CRC > bytes.len() {
                return;
            }
            let sum = check_sum(&bytes[at..end]).to_le_bytes();
            bytes[end..end + CRC].copy_from_slice(&sum);
            at = end + CRC;
        }
    }
}
