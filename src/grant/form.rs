//! The body of a token request: `application/x-www-form-urlencoded` (RFC 6749 appendix B), wiped when it was sent.

use bytes::Bytes;
use zeroize::Zeroizing;

/// Parameters in the order they were added.
#[derive(Default)]
pub(super) struct Form {
    pairs: Vec<(String, Zeroizing<String>)>,
}

// === impl Form ===

impl Form {
    /// Adds a parameter. One without a value is as one omitted (RFC 6749 §3.2).
    pub(super) fn push(&mut self, name: &str, value: &str) {
        if !value.is_empty() {
            self.pairs.push((name.to_owned(), Zeroizing::new(value.to_owned())));
        }
    }

    pub(super) fn into_bytes(self) -> Bytes {
        // Sized beforehand, so that no shorter copy is left behind by a reallocation.
        let room = self.pairs.iter().map(|(name, value)| 3 * (name.len() + value.len()) + 2).sum();
        let mut form = form_urlencoded::Serializer::new(String::with_capacity(room));
        for (name, value) in &self.pairs {
            form.append_pair(name, value);
        }
        Bytes::from_owner(Zeroizing::new(form.finish().into_bytes()))
    }
}
