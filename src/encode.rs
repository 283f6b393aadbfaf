//! Percent-encoding of what goes into a query or a form.

use zeroize::Zeroizing;

/// Form encoding with a space as `%20`, which every server decodes, where some do not decode `+`.
pub(crate) fn encode(text: &str) -> Zeroizing<String> {
    // Sized beforehand, so that no shorter copy is left behind by a reallocation.
    let mut encoded = Zeroizing::new(String::with_capacity(3 * text.len()));
    for part in form_urlencoded::byte_serialize(text.as_bytes()) {
        encoded.push_str(if part == "+" { "%20" } else { part });
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::encode;

    #[test]
    fn whatever_is_encoded_is_decoded_again_and_a_space_is_no_plus() {
        assert_eq!(encode(" a+b&c=%\u{e9} ").as_str(), "%20a%2Bb%26c%3D%25%C3%A9%20");
        let all: String = ('\0'..'\u{250}').collect();
        let encoded = encode(&all);
        assert!(!encoded.contains('+'));
        assert_eq!(form_urlencoded::parse(encoded.as_bytes()).next().unwrap().0, all);
    }
}
