//! A short name of a query, the same in every process and every build.

use serde_json::{Number, Value};

/// FNV-1a over tagged fields, each with its length, so that no two lists of fields are the same bytes.
// NOTE: it is saved in continuations. Whoever changes what goes in here changes their version.
#[derive(Debug)]
pub(super) struct Fingerprint(u64);

// === impl Fingerprint ===

impl Fingerprint {
    pub(super) const fn new() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }

    pub(super) const fn finish(&self) -> u64 {
        self.0
    }

    pub(super) fn field(&mut self, tag: u8, bytes: &[u8]) {
        self.write(&[tag]);
        self.write(&(bytes.len() as u64).to_le_bytes());
        self.write(bytes);
    }

    pub(super) fn number(&mut self, tag: u8, number: u64) {
        self.field(tag, &number.to_le_bytes());
    }

    /// Independent of what other crates switch on in `serde_json`: the order of members, and how numbers are kept.
    pub(super) fn json(&mut self, value: &Value) {
        match value {
            Value::Null => self.field(b'0', b""),
            Value::Bool(value) => self.field(b'b', &[u8::from(*value)]),
            Value::Number(number) => self.json_number(number),
            Value::String(text) => self.field(b's', text.as_bytes()),
            Value::Array(values) => {
                self.number(b'[', values.len() as u64);
                values.iter().for_each(|value| self.json(value));
            }
            Value::Object(members) => {
                self.number(b'{', members.len() as u64);
                let mut members: Vec<_> = members.iter().collect();
                members.sort_unstable_by_key(|(name, _)| *name);
                for (name, value) in members {
                    self.field(b'k', name.as_bytes());
                    self.json(value);
                }
            }
        }
    }

    fn json_number(&mut self, number: &Number) {
        if let Some(number) = number.as_u64() {
            self.number(b'u', number);
        } else if let Some(number) = number.as_i64() {
            self.field(b'i', &number.to_le_bytes());
        } else if let Some(number) = number.as_f64() {
            self.number(b'f', number.to_bits());
        } else {
            self.field(b'n', number.to_string().as_bytes());
        }
    }

    fn write(&mut self, bytes: &[u8]) {
        self.0 = bytes.iter().fold(self.0, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> u64 {
        let mut fingerprint = Fingerprint::new();
        fingerprint.json(&serde_json::from_str(text).unwrap());
        fingerprint.finish()
    }

    #[test]
    fn a_json_text_is_the_same_in_whatever_order_its_members_are() {
        assert_eq!(of(r#"{"b":[1,{"d":null,"c":2.50}],"a":-3}"#), of(r#"{"a":-3,"b":[1,{"c":2.5,"d":null}]}"#));
    }

    #[test]
    fn texts_that_differ_have_different_names() {
        let texts = [
            "null",
            "false",
            "true",
            "0",
            "-1",
            "0.5",
            r#""""#,
            r#""0""#,
            "[]",
            "{}",
            "[0]",
            "[[0]]",
            "[0,0]",
            r#"["a","b"]"#,
            r#"["ab"]"#,
            r#"{"a":"b"}"#,
            r#"{"ab":""}"#,
            r#"{"a":{"b":0},"c":0}"#,
            r#"{"a":{"b":0,"c":0}}"#,
        ];
        let names: std::collections::HashSet<_> = texts.into_iter().map(of).collect();
        assert_eq!(names.len(), texts.len());
    }
}
