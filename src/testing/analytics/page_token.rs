//! Page tokens: opaque to a client, and all that the server needs.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::hash::mix;
use super::interval::Interval;

/// Where the next page begins. Nothing is kept for it on the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PageToken {
    pub(super) interval: Interval,
    pub(super) size: u64,
    pub(super) offset: u64,
}

// === impl PageToken ===

impl PageToken {
    pub(super) fn encode(self) -> String {
        let mut bytes = [0; 40];
        let fields = self.fields();
        for (chunk, field) in bytes.chunks_exact_mut(8).zip(fields) {
            chunk.copy_from_slice(&field.to_be_bytes());
        }
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// None for everything `encode` did not write.
    pub(super) fn decode(text: &str) -> Option<Self> {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        let bytes = <[u8; 40]>::try_from(bytes).ok()?;
        let mut fields = [0; 5];
        for (field, chunk) in fields.iter_mut().zip(bytes.chunks_exact(8)) {
            *field = u64::from_be_bytes(chunk.try_into().ok()?);
        }
        let token = Self {
            interval: Interval {
                start: i64::from_be_bytes(fields[0].to_be_bytes()),
                end: i64::from_be_bytes(fields[1].to_be_bytes()),
            },
            size: fields[2],
            offset: fields[3],
        };
        (token.fields() == fields).then_some(token)
    }

    fn fields(self) -> [u64; 5] {
        let start = u64::from_be_bytes(self.interval.start.to_be_bytes());
        let end = u64::from_be_bytes(self.interval.end.to_be_bytes());
        let sum = [start, end, self.size, self.offset].into_iter().fold(0, mix);
        [start, end, self.size, self.offset, sum]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_token_that_was_issued_is_taken_back() {
        let token = PageToken { interval: Interval { start: -5, end: 77 }, size: 50, offset: 100 };
        let text = token.encode();
        assert_eq!(PageToken::decode(&text), Some(token));
        for at in 0..text.len() - 1 {
            let mut other = text.clone().into_bytes();
            other[at] = if other[at] == b'A' { b'B' } else { b'A' };
            assert_eq!(PageToken::decode(std::str::from_utf8(&other).unwrap()), None);
        }
        assert_eq!(PageToken::decode(""), None);
    }
}
