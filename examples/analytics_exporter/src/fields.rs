//! The columns of a table: where each is in a record, and what it is called.

use std::{collections::HashMap, fmt, str::FromStr};

use jiff::Timestamp;
use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{DeserializeSeed, Error as _, IgnoredAny, MapAccess, Visitor},
};
use serde_json::value::RawValue;

/// A column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    pub name: String,
    /// Names of members, and numbers of elements, from the outside to the inside.
    path: Vec<String>,
    pub kind: Kind,
    /// As it was said.
    text: String,
}

/// What a column holds, in Parquet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Kind {
    /// Text as it is, anything else as JSON
    #[default]
    Text,
    Int,
    Float,
    Bool,
    Timestamp,
}

/// A record, as its members.
#[derive(Debug)]
pub struct Record<'a>(HashMap<String, &'a RawValue>);

// === impl Field ===

impl Field {
    /// Its value in a record. `None` if there is none, or it is null.
    pub fn find<'a>(&self, record: &Record<'a>) -> Option<&'a RawValue> {
        let (first, rest) = self.path.split_first()?;
        let found = rest.iter().try_fold(*record.0.get(first)?, |value, name| step(value, name))?;
        Some(found).filter(|value| value.get() != "null")
    }
}

impl FromStr for Field {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (rest, kind) = match text.rsplit_once(':') {
            Some((rest, "string")) => (rest, Kind::Text),
            Some((rest, "int")) => (rest, Kind::Int),
            Some((rest, "float")) => (rest, Kind::Float),
            Some((rest, "bool")) => (rest, Kind::Bool),
            Some((rest, "timestamp")) => (rest, Kind::Timestamp),
            Some((_, other)) => return Err(format!("{other:?} is no type: say string, int, float, bool or timestamp")),
            None => (text, Kind::Text),
        };
        let (name, path) = rest.split_once('=').unwrap_or((rest, rest));
        let names: Vec<_> = match path.strip_prefix('/') {
            Some(pointer) => pointer.split('/').map(|name| name.replace("~1", "/").replace("~0", "~")).collect(),
            None => path.split('.').map(str::to_owned).collect(),
        };
        if name.trim().is_empty() || names.iter().any(String::is_empty) {
            return Err(format!("{text:?} is no field: say a name, or names with dots between"));
        }
        Ok(Self { name: name.to_owned(), path: names, kind, text: text.to_owned() })
    }
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Serialize for Field {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Field {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

// === impl Kind ===

impl Kind {
    /// Whether it can hold a value, which is not null.
    pub fn takes(self, value: &RawValue) -> bool {
        let text = value.get();
        match self {
            Self::Text => true,
            Self::Int => text.parse::<i64>().is_ok(),
            Self::Float => float(value).is_some(),
            Self::Bool => matches!(text, "true" | "false"),
            Self::Timestamp => timestamp(value).is_some(),
        }
    }
}

pub fn float(value: &RawValue) -> Option<f64> {
    serde_json::from_str(value.get()).ok()
}

/// In milliseconds since 1970.
pub fn timestamp(value: &RawValue) -> Option<i64> {
    let at: Timestamp = serde_json::from_str(value.get()).ok()?;
    Some(at.as_millisecond())
}

// === impl Record ===

impl<'a> Record<'a> {
    /// `None` for what is no JSON object.
    pub fn read(line: &'a [u8]) -> Option<Self> {
        serde_json::from_slice(line).ok().map(Self)
    }
}

/// See [`members`].
pub fn member<'a>(record: &'a [u8], name: &str) -> Option<&'a RawValue> {
    let [found] = members(record, [name]);
    found
}

/// Those members of a record, and no more is read of it than that takes: what comes behind them is known to be JSON.
pub fn members<'a, const N: usize>(record: &'a [u8], names: [&str; N]) -> [Option<&'a RawValue>; N] {
    let mut found = [None; N];
    let mut deserializer = serde_json::Deserializer::from_slice(record);
    // It fails with the last of them, before the end of the record.
    let _found = deserializer.deserialize_map(Members { names, found: &mut found });
    found
}

struct Members<'n, 'f, 'a, const N: usize> {
    names: [&'n str; N],
    found: &'f mut [Option<&'a RawValue>; N],
}

struct Which<'n, const N: usize>([&'n str; N]);

// === impl Members ===

impl<'a, const N: usize> Visitor<'a> for Members<'_, '_, 'a, N> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a record")
    }

    fn visit_map<A: MapAccess<'a>>(self, mut members: A) -> Result<(), A::Error> {
        while let Some(which) = members.next_key_seed(Which(self.names))? {
            match which.and_then(|index| self.found.get_mut(index)) {
                Some(found) => *found = Some(members.next_value()?),
                None => drop(members.next_value::<IgnoredAny>()?),
            }
            if self.found.iter().all(Option::is_some) {
                break;
            }
        }
        Ok(())
    }
}

// === impl Which ===

impl<'a, const N: usize> DeserializeSeed<'a> for Which<'_, N> {
    type Value = Option<usize>;

    fn deserialize<D: Deserializer<'a>>(self, deserializer: D) -> Result<Option<usize>, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<const N: usize> Visitor<'_> for Which<'_, N> {
    type Value = Option<usize>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name of a member")
    }

    fn visit_str<E>(self, name: &str) -> Result<Option<usize>, E> {
        Ok(self.0.iter().position(|wanted| *wanted == name))
    }
}

fn step<'a>(value: &'a RawValue, name: &str) -> Option<&'a RawValue> {
    let text = value.get();
    match text.as_bytes().first()? {
        b'{' => serde_json::from_str::<HashMap<String, &RawValue>>(text).ok()?.remove(name),
        b'[' => serde_json::from_str::<Vec<&RawValue>>(text).ok()?.get(name.parse::<usize>().ok()?).copied(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RECORD: &[u8] =
        br#"{"id":"x","n":1.10,"nil":null,"list":[{"a.b":{"c":"d\u00e9"}},2],"o":{"p":{"q":true}},"a/b":{"~":3}}"#;

    #[test]
    fn a_field_is_found_wherever_it_is_and_as_it_was_written() {
        let record = Record::read(RECORD).unwrap();
        for (field, value) in [
            ("id", Some(r#""x""#)),
            ("n", Some("1.10")),
            ("nil", None),
            ("nothing", None),
            ("id.inside", None),
            ("list.1", Some("2")),
            ("list.7", None),
            ("list.x", None),
            ("/list/0/a.b/c", Some(r#""d\u00e9""#)),
            ("o.p.q", Some("true")),
            ("o.p", Some(r#"{"q":true}"#)),
            ("/a~1b/~0", Some("3")),
            ("number=n:float", Some("1.10")),
        ] {
            let field: Field = field.parse().unwrap();
            assert_eq!(field.find(&record).map(RawValue::get), value, "{field}");
        }
    }

    #[test]
    fn members_are_found_before_what_nobody_reads() {
        let of = |record: &'static str| members(record.as_bytes(), ["b", "a"]).map(|found| found.map(RawValue::get));
        assert_eq!(of(r#"{"x":{"b":0},"a":[1,2],"\u0062":"\n","c":"#), [Some(r#""\n""#), Some("[1,2]")]);
        assert_eq!(of(r#"{"a":1}"#), [None, Some("1")]);
        assert_eq!(of("[1]"), [None, None]);
    }

    #[test]
    fn a_field_has_a_name_a_place_and_a_type() {
        let field: Field = "when=participants.0.connected:timestamp".parse().unwrap();
        assert_eq!((field.name.as_str(), field.kind), ("when", Kind::Timestamp));
        assert_eq!(serde_json::to_value(&field).unwrap(), "when=participants.0.connected:timestamp");
        for bad in ["", "a..b", "=a", "a:number", "/", "a."] {
            assert!(bad.parse::<Field>().is_err(), "{bad:?}");
        }
        assert!(Record::read(b"[1]").is_none());
    }
}
