//! Numbers that look random and follow from a seed; the same on every machine, for ever.

/// A number without any visible relation to the given one (the finisher of SplitMix64).
pub fn scrambled(number: u64) -> u64 {
    let mut z = number.wrapping_add(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// The number that belongs to one thing under a seed.
pub fn hash(seed: u64, what: u64) -> u64 {
    scrambled(scrambled(seed) ^ what)
}

/// To 0..1.
pub fn unit(random: u64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "53 bits fit")]
    let unit = (random >> 11) as f64 / (1u64 << 53) as f64;
    unit
}
