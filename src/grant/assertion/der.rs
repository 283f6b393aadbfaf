//! The little of DER that is needed: wrapping an EC key, and unwrapping an ECDSA signature.

use zeroize::Zeroizing;

/// A SEC 1 `ECPrivateKey` as PKCS #8, which is what ring reads.
pub(super) fn pkcs8_from_sec1(curve: &[u8], key: &[u8]) -> Zeroizing<Vec<u8>> {
    let algorithm = wrap(SEQUENCE, &[EC_PUBLIC_KEY, curve]);
    let key = wrap(OCTET_STRING, &[key]);
    wrap(SEQUENCE, &[&VERSION, &algorithm, &key])
}

/// `SEQUENCE { r INTEGER, s INTEGER }` as `r` and `s` of `half` bytes each.
pub(super) fn two_integers(mut der: &[u8], half: usize) -> Option<Vec<u8>> {
    let mut sequence = element(&mut der, SEQUENCE)?;
    let mut raw = Vec::with_capacity(2 * half);
    for _ in 0..2 {
        let integer = element(&mut sequence, INTEGER)?;
        let digits = match integer {
            [0, digits @ ..] => digits,
            [first, ..] if *first < 0x80 => integer,
            _ => return None, // negative, or nothing at all
        };
        raw.resize(raw.len() + half.checked_sub(digits.len())?, 0);
        raw.extend_from_slice(digits);
    }
    (der.is_empty() && sequence.is_empty()).then_some(raw)
}

/// Takes the element at the front of `input`, if it has this tag. Signatures are shorter than 256 bytes.
fn element<'a>(input: &mut &'a [u8], tag: u8) -> Option<&'a [u8]> {
    let rest = input.strip_prefix(&[tag])?;
    let (length, rest) = match rest {
        [length, rest @ ..] if *length < 0x80 => (*length, rest),
        [0x81, length, rest @ ..] if *length >= 0x80 => (*length, rest),
        _ => return None,
    };
    let (content, rest) = rest.split_at_checked(length.into())?;
    *input = rest;
    Some(content)
}

fn wrap(tag: u8, parts: &[&[u8]]) -> Zeroizing<Vec<u8>> {
    let length: usize = parts.iter().map(|part| part.len()).sum();
    let mut out = Zeroizing::new(Vec::with_capacity(length + 10));
    out.push(tag);
    let bytes = length.to_be_bytes();
    let digits = bytes.iter().position(|byte| *byte != 0).map_or(&bytes[..0], |at| &bytes[at..]);
    match digits {
        [] => out.push(0),
        [short] if *short < 0x80 => out.push(*short),
        long => {
            out.extend(u8::try_from(long.len()).map(|length| 0x80 | length)); // eight at the most
            out.extend_from_slice(long);
        }
    }
    for part in parts {
        out.extend_from_slice(part);
    }
    out
}

const INTEGER: u8 = 0x02;
const OCTET_STRING: u8 = 0x04;
const SEQUENCE: u8 = 0x30;
/// Of PKCS #8: 0.
const VERSION: [u8; 3] = [INTEGER, 1, 0];
/// 1.2.840.10045.2.1
const EC_PUBLIC_KEY: &[u8] = &[0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01];
/// 1.2.840.10045.3.1.7
pub(super) const P256: &[u8] = &[0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
/// 1.3.132.0.34
pub(super) const P384: &[u8] = &[0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x22];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_two_integers_of_full_length() {
        let short = [0x30, 0x07, 0x02, 0x01, 0x01, 0x02, 0x02, 0x00, 0x80];
        assert_eq!(two_integers(&short, 2), Some(vec![0, 1, 0, 0x80]));
        assert_eq!(two_integers(&short, 1), Some(vec![1, 0x80]));
        assert_eq!(two_integers(&short, 0), None, "too long");
        for end in 0..short.len() {
            assert_eq!(two_integers(&short[..end], 2), None, "cut off at {end}");
        }
        assert_eq!(two_integers(&[&short[..], &[0]].concat(), 2), None, "something after it");
        for (at, tag) in [(0, SEQUENCE), (2, INTEGER), (5, INTEGER)] {
            let mut other = short;
            assert_eq!(other[at], tag);
            other[at] = OCTET_STRING;
            assert_eq!(two_integers(&other, 2), None, "another tag at {at}");
        }
        for negative in [0x80, 0x81, 0xff] {
            assert_eq!(two_integers(&[0x30, 0x06, 0x02, 0x01, negative, 0x02, 0x01, 0x01], 2), None, "{negative}");
        }
        assert_eq!(two_integers(&[0x30, 0x05, 0x02, 0x00, 0x02, 0x01, 0x01], 2), None, "empty");
    }

    #[test]
    fn a_length_has_one_form_only() {
        let of = |head: &[u8], length: usize| {
            let input = [&[OCTET_STRING], head, &vec![7; length]].concat();
            element(&mut &input[..], OCTET_STRING).map(<[u8]>::len)
        };
        assert_eq!(of(&[0], 0), Some(0));
        assert_eq!(of(&[0x7f], 0x7f), Some(0x7f));
        assert_eq!(of(&[0x81, 0x80], 0x80), Some(0x80));
        assert_eq!(of(&[0x81, 0xff], 0xff), Some(0xff));
        assert_eq!(of(&[0x81, 0x7f], 0x7f), None, "the short form would do");
        assert_eq!(of(&[0x80], 0x80), None, "a length that comes later");
        assert_eq!(of(&[0x82], 0x82), None);
        assert_eq!(of(&[0x82, 1, 0], 256), None, "longer than any signature");
    }

    #[test]
    fn long_content_has_a_long_length() {
        for (length, head) in [
            (0, &[4, 0][..]),
            (127, &[4, 127]),
            (128, &[4, 0x81, 128]),
            (300, &[4, 0x82, 1, 44]),
            (70_000, &[4, 0x83, 1, 0x11, 0x70]),
        ] {
            let wrapped = wrap(OCTET_STRING, &[&vec![7; length]]);
            assert_eq!(wrapped.len(), head.len() + length);
            assert_eq!(&wrapped[..head.len()], head);
        }
    }
}
