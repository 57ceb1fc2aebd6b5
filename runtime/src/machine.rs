//! The instrument's own name, as PlanktoScopes have it: two words and a number from the computer's serial number. The same
//! computer has the same name under every program that follows the same rule.
//!
//! | asked, in this order | the name |
//! |---|---|
//! | `/etc/machine-name` | what it says: somebody gave it |
//! | the device tree's serial number | two words and a number, from its last 32 bits |
//! | `/etc/machine-id` | the first 8 hexadecimal digits of the SHA-256 of its text, without the blanks and line ends around it |
//! | | `unknown` |
//!
//! What cannot be a name is passed over.

use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

/// Of a machine about which nothing is known.
pub const UNKNOWN: &str = "unknown";

/// Somebody's choice.
const GIVEN: &str = "etc/machine-name";
/// A Raspberry Pi's (device tree); other computers have none there.
const SERIAL: &str = "sys/firmware/devicetree/base/serial-number";
/// systemd's (machine-id(5)); it asks programs not to show it, so only a digest is.
const ID: &str = "etc/machine-id";

/// The word lists of the PlanktoScope's machine-name, one word a line. Their licence is beside them.
const FIRST: &str = include_str!("../data/machine-name/first.txt");
const SECOND: &str = include_str!("../data/machine-name/second.txt");

/// As a host's name (RFC 1035, section 2.3.4).
const LONGEST: usize = 63;
/// None of these files is longer.
const MOST_BYTES: u64 = 4_096;

/// The name of the machine whose files are below `root`: `/`, outside tests.
pub fn name(root: &Path) -> Arc<str> {
    let by_serial = || from_serial(serial_bits(&serial(root)?)?).into();
    given(root).or_else(by_serial).or_else(|| by_id(root)).unwrap_or_else(|| UNKNOWN.to_owned()).into()
}

/// The computer's serial number, as its device tree says it.
pub fn serial(root: &Path) -> Option<Arc<str>> {
    read(root, SERIAL).map(Into::into)
}

/// The name that follows from the last 32 bits of a serial number: a perfect shuffle of the bits, which are then reversed,
/// so that instruments of one batch have other words; and what is left when the words have been chosen.
fn from_serial(serial: u32) -> String {
    let shuffle = |x: u32, (shift, mask): (u32, u32)| {
        let turned = (x ^ (x >> shift)) & mask;
        x ^ turned ^ (turned << shift)
    };
    let steps = [(8, 0x0000_FF00), (4, 0x00F0_00F0), (2, 0x0C0C_0C0C), (1, 0x2222_2222)];
    let mut rest = steps.into_iter().fold(serial, shuffle).reverse_bits() as usize;
    let [first, second] = [FIRST, SECOND].map(|list| {
        let words: Vec<_> = words(list).collect();
        let word = words[rest % words.len()];
        rest /= words.len();
        word
    });
    format!("{first}-{second}-{rest}")
}

fn words(list: &str) -> impl Iterator<Item = &str> {
    list.lines().filter(|line| !line.is_empty() && !line.starts_with("# "))
}

fn serial_bits(serial: &str) -> Option<u32> {
    let digits = serial.get(serial.len().checked_sub(8)?..)?;
    let plain = digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    plain.then(|| u32::from_str_radix(digits, 16).ok()).flatten()
}

fn given(root: &Path) -> Option<String> {
    let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    read(root, GIVEN).filter(|name| name.len() <= LONGEST && name.bytes().all(is_plain))
}

fn by_id(root: &Path) -> Option<String> {
    let hash = Sha256::digest(read(root, ID)?);
    Some(hash[..4].iter().map(|byte| format!("{byte:02x}")).collect())
}

/// What a small file says, without what is around it: line ends, and the zero byte that ends a device tree's text.
pub(crate) fn read(root: &Path, file: &str) -> Option<String> {
    let mut text = String::new();
    File::open(root.join(file)).ok()?.take(MOST_BYTES).read_to_string(&mut text).ok()?;
    let text = text.trim_matches(|c: char| c == '\0' || c.is_whitespace());
    (!text.is_empty()).then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A machine with these files.
    fn machine(files: &[(&str, &[u8])]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for (file, content) in files {
            let path = root.path().join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, content).unwrap();
        }
        root
    }

    fn name_of(files: &[(&str, &[u8])]) -> String {
        name(machine(files).path()).to_string()
    }

    #[test]
    fn names_are_those_that_planktoscopes_have() {
        for (serial, name) in [
            (0xDEAD_C0DE, "metal-slope-23501"),
            (0xD6B8_2659, "chain-list-27764"),
            (0, "able-account-0"),
            (1, "small-ball-26954"),
            (2, "safe-minute-6738"),
            (3, "linen-opinion-33692"),
            (4, "cool-pocket-1684"),
            (0x8123, "clear-field-33719"),
        ] {
            assert_eq!(from_serial(serial), name, "{serial:#x}");
        }
        assert_eq!((words(FIRST).count(), words(SECOND).count()), (184, 433));
    }

    proptest! {
        #[test]
        fn every_serial_number_has_a_name_of_two_words_and_a_number(serial: u32) {
            let name = from_serial(serial);
            let [first, second, number] = name.split('-').collect::<Vec<_>>()[..] else { panic!("{name}") };
            prop_assert!(words(FIRST).any(|word| word == first), "{}", name);
            prop_assert!(words(SECOND).any(|word| word == second), "{}", name);
            prop_assert!(number.parse::<u32>().unwrap() <= u32::MAX / (184 * 433), "{}", name);
        }
    }

    #[test]
    fn a_given_name_comes_first_then_the_serial_number_then_the_id() {
        let given: (&str, &[u8]) = (GIVEN, b"babel-goby-42\n");
        let serial: (&str, &[u8]) = (SERIAL, b"10000000deadc0de\0");
        let id: (&str, &[u8]) = (ID, b"0123456789abcdef0123456789abcdef\n");
        assert_eq!(name_of(&[given, serial, id]), "babel-goby-42");
        assert_eq!(name_of(&[serial, id]), "metal-slope-23501");
        // As sha256sum has it, of the 32 digits alone.
        assert_eq!(name_of(&[id]), "3eb1bd43");
        assert_eq!(name_of(&[]), UNKNOWN);
    }

    #[test]
    fn what_cannot_be_a_name_is_passed_over() {
        let serial: (&str, &[u8]) = (SERIAL, b"10000000deadc0de\0");
        let long = "x".repeat(LONGEST + 1);
        for bad in
            [&b""[..], b"\n", b"Two Words", b"a/b", b"a\0b", "é".as_bytes(), &[0xFF; 9], long.as_bytes()]
        {
            assert_eq!(name_of(&[(GIVEN, bad), serial]), "metal-slope-23501", "{bad:?}");
        }
        for bad in [&b"deadc0d"[..], b"10000000deadcode-x", b"+1234567", "10000000éadc0de".as_bytes()] {
            assert_eq!(name_of(&[(SERIAL, bad)]), UNKNOWN, "{bad:?}");
        }
        assert_eq!(name_of(&[(GIVEN, &long.as_bytes()[1..])]), long[1..]);
    }
}
