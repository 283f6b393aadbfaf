//! Numbers and ids which depend on a seed and an index, and on nothing else.

use std::fmt::Write as _;

/// One step of splitmix64, a bijection: for one seed, two indices never share a value.
pub(super) fn mix(seed: u64, index: u64) -> u64 {
    let mut z = seed.wrapping_add(index.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15));
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// Writes 64 bits in the shape of a version 4 UUID; all of them show, so that distinct bits give distinct ids.
pub(super) fn push_uuid(out: &mut String, bits: u64) {
    let (high, low) = (bits >> 32, bits & 0xFFFF_FFFF);
    let more = mix(bits, 0);
    let _ = write!(
        out,
        "{high:08x}-{:04x}-4{:03x}-8{:03x}-{low:08x}{:04x}",
        more & 0xFFFF,
        (more >> 16) & 0xFFF,
        (more >> 28) & 0xFFF,
        (more >> 40) & 0xFFFF,
    );
}

pub(super) fn uuid(bits: u64) -> String {
    let mut out = String::with_capacity(36);
    push_uuid(&mut out, bits);
    out
}
