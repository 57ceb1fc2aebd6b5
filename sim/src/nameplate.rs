//! What the maker of an instrument writes into its EEPROM, in the format of a Raspberry Pi HAT (raspberrypi/hats,
//! "eeprom-format.md").

use crate::instrument::Hat;
use serde_json::json;

/// What is in a new instrument's EEPROM.
pub(crate) fn of(hat: Hat) -> Vec<u8> {
    match hat {
        Hat::V1_2 => vec![],
        Hat::V3_3 => v3_0(),
    }
}

/// As PlanktoScopes of version 3.0 leave the bench, but for the number that each of them has.
fn v3_0() -> Vec<u8> {
    let (vendor, product) = ("FairScope", "PlanktoScope HAT v3");
    let mut names = vec![0x5A; 16];
    names.extend([0x53, 0x50, 0x01, 0x00, 9, 19]);
    names.extend(vendor.bytes().chain(product.bytes()));
    let pins = [0; 30];
    let tree = b"planktoscope-hat-v3";
    let own = json!({
        "serial_number": "", "hardware_version": "v3.0", "eeprom_version": 0, "led_operating_time": 0,
    });
    content(&[(1, &names), (2, &pins), (3, tree), (4, own.to_string().as_bytes())])
}

/// A content of these parts, each with its type.
pub fn content(parts: &[(u16, &[u8])]) -> Vec<u8> {
    let mut all = vec![];
    for (number, (kind, data)) in (0u16..).zip(parts) {
        let length = u32::try_from(data.len()).unwrap_or(u32::MAX).saturating_add(2);
        let part = [&kind.to_le_bytes()[..], &number.to_le_bytes(), &length.to_le_bytes(), data].concat();
        all.extend_from_slice(&part);
        all.extend(remainder(&part).to_le_bytes());
    }
    let parts = u16::try_from(parts.len()).unwrap_or(u16::MAX);
    let length = u32::try_from(12 + all.len()).unwrap_or(u32::MAX);
    [&b"R-Pi\x01\x00"[..], &parts.to_le_bytes(), &length.to_le_bytes(), &all].concat()
}

/// The remainder of a division by x^16 + x^15 + x^2 + 1, as on paper: the lowest bit of each byte comes first, and so it is
/// written down.
fn remainder(bytes: &[u8]) -> u16 {
    let bits = bytes.iter().flat_map(|byte| (0..8).map(move |n| byte >> n & 1)).chain([0; 16]);
    let rest = bits.fold(0u32, |rest, bit| {
        let rest = rest << 1 | u32::from(bit);
        if rest & 0x1_0000 == 0 { rest } else { rest ^ 0x1_8005 }
    });
    (rest as u16).reverse_bits()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_remainder_is_the_one_that_everybody_has() {
        // The check value of CRC-16/ARC in the catalogue of parametrised CRC algorithms.
        assert_eq!(remainder(b"123456789"), 0xBB3D);
    }
}
