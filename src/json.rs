//! Picks values out of a JSON text by their place, in one pass and without building a tree of it.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{DeserializeOwned, DeserializeSeed, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor},
};
use serde_json::value::RawValue;

/// A JSON pointer (RFC 6901): `/paging/pageNumber`, or `""` for the whole text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pointer(Vec<String>);

/// What was found in a text, as slices of it.
#[derive(Debug, Default)]
pub(crate) struct Found<'a> {
    /// The elements of the array that was asked for, none if it is null; `None` if it is absent.
    pub(crate) items: Option<Vec<&'a RawValue>>,
    /// The value of each pointer, in the order they were asked for.
    pub(crate) values: Vec<Option<&'a RawValue>>,
}

/// The member `name` of the object in `text`. `None` if there is none, or it is not a `T`.
pub(crate) fn member<T: DeserializeOwned>(text: &[u8], name: &str) -> Option<T> {
    at(text, &Pointer::member(name))
}

/// The value at `pointer` of `text`. `None` if there is none, or it is not a `T`.
pub(crate) fn at<T: DeserializeOwned>(text: &[u8], pointer: &Pointer) -> Option<T> {
    let found = find(text, None, &[pointer]).ok()?;
    serde_json::from_str(found.values.into_iter().next()??.get()).ok()
}

/// Finds the elements of the array at `items` and the values at `pointers`.
///
/// # Errors
///
/// If `text` is not exactly one JSON value, or what is at `items` is neither an array nor null.
pub(crate) fn find<'a>(
    text: &'a [u8],
    items: Option<&Pointer>,
    pointers: &[&Pointer],
) -> Result<Found<'a>, serde_json::Error> {
    let mut found = Found { items: None, values: vec![None; pointers.len()] };
    let mut wanted: Vec<Wanted<'_>> = pointers
        .iter()
        .enumerate()
        .map(|(index, pointer)| Wanted { slot: Slot::Value(index), rest: &pointer.0 })
        .collect();
    if let Some(items) = items {
        wanted.push(Wanted { slot: Slot::Items, rest: &items.0 });
    }
    let mut deserializer = serde_json::Deserializer::from_slice(text);
    Walk { wanted, found: &mut found }.deserialize(&mut deserializer)?;
    deserializer.end()?;
    Ok(found)
}

#[derive(Clone, Copy)]
enum Slot {
    Items,
    Value(usize),
}

/// A value still to be found, and the steps to it from here.
#[derive(Clone, Copy)]
struct Wanted<'p> {
    slot: Slot,
    rest: &'p [String],
}

struct Walk<'p, 'f, 'de> {
    wanted: Vec<Wanted<'p>>,
    found: &'f mut Found<'de>,
}

// === impl Pointer ===

impl Pointer {
    /// `None` if `text` is neither empty nor begins with a slash.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        if text.is_empty() {
            return Some(Self(Vec::new()));
        }
        // RFC 6901 §3: a tilde stands before a zero or a one.
        if text.split('~').skip(1).any(|after| !after.starts_with(['0', '1'])) {
            return None;
        }
        let steps = text.strip_prefix('/')?.split('/');
        Some(Self(steps.map(|step| step.replace("~1", "/").replace("~0", "~")).collect()))
    }

    /// The member `name` of the whole text.
    pub(crate) fn member(name: &str) -> Self {
        Self(vec![name.to_owned()])
    }

    /// The member `name` of what is at this place.
    pub(crate) fn child(mut self, name: &str) -> Self {
        self.0.push(name.to_owned());
        self
    }

    /// Writes `value` at this place of `target`, making the objects on the way. `false` if something else is there.
    pub(crate) fn set(&self, target: &mut serde_json::Value, value: serde_json::Value) -> bool {
        let mut place = target;
        for step in &self.0 {
            if place.is_null() {
                *place = serde_json::Value::Object(serde_json::Map::new());
            }
            let serde_json::Value::Object(object) = place else { return false };
            place = object.entry(step.as_str()).or_insert(serde_json::Value::Null);
        }
        *place = value;
        true
    }
}

impl fmt::Display for Pointer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|step| write!(f, "/{}", step.replace('~', "~0").replace('/', "~1")))
    }
}

// === impl Found ===

impl<'a> Found<'a> {
    /// `None` for null, which is there and has none.
    fn items(&mut self, items: Option<Vec<&'a RawValue>>) -> Result<(), serde_json::Error> {
        if self.items.replace(items.unwrap_or_default()).is_some() {
            return Err(serde_json::Error::custom("the items appear twice"));
        }
        Ok(())
    }
}

// === impl Walk ===

impl<'de> Walk<'_, '_, 'de> {
    fn take(self, raw: &'de RawValue) -> Result<(), serde_json::Error> {
        for wanted in self.wanted.iter().filter(|wanted| wanted.rest.is_empty()) {
            match wanted.slot {
                Slot::Value(index) => {
                    // Two readers of a text with a member twice may see different texts.
                    if self.found.values.get_mut(index).is_some_and(|value| value.replace(raw).is_some()) {
                        return Err(serde_json::Error::custom("a member appears twice"));
                    }
                }
                Slot::Items => self.found.items(serde_json::from_str(raw.get())?)?,
            }
        }
        let deeper: Vec<_> = self.wanted.into_iter().filter(|wanted| !wanted.rest.is_empty()).collect();
        if deeper.is_empty() {
            return Ok(());
        }
        let mut deserializer = serde_json::Deserializer::from_str(raw.get());
        Walk { wanted: deeper, found: self.found }.deserialize(&mut deserializer)
    }
}

impl<'de> DeserializeSeed<'de> for Walk<'_, '_, 'de> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        // The common case, one pass over the items: nothing else lives at or below their place.
        if let [Wanted { slot: Slot::Items, rest: [] }] = self.wanted[..] {
            let items = Option::<Vec<&'de RawValue>>::deserialize(deserializer)?;
            return self.found.items(items).map_err(D::Error::custom);
        }
        if self.wanted.iter().any(|wanted| wanted.rest.is_empty()) {
            let raw = <&'de RawValue>::deserialize(deserializer)?;
            return self.take(raw).map_err(D::Error::custom);
        }
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Walk<'_, '_, 'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(wanted) = map.next_key_seed(Step(&self.wanted))? {
            if wanted.is_empty() {
                map.next_value::<IgnoredAny>()?;
            } else {
                map.next_value_seed(Walk { wanted, found: &mut *self.found })?;
            }
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        for index in 0_usize.. {
            let wanted = step(&self.wanted, &index.to_string());
            if wanted.is_empty() {
                if seq.next_element::<IgnoredAny>()?.is_none() {
                    break;
                }
            } else if seq.next_element_seed(Walk { wanted, found: &mut *self.found })?.is_none() {
                break;
            }
        }
        Ok(())
    }

    // A scalar on the way: what was wanted below it is absent.
    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }
}

/// Reads a key and answers what is wanted below it; allocates only where something is.
struct Step<'w, 'p>(&'w [Wanted<'p>]);

impl<'de, 'p> DeserializeSeed<'de> for Step<'_, 'p> {
    type Value = Vec<Wanted<'p>>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'p> Visitor<'_> for Step<'_, 'p> {
    type Value = Vec<Wanted<'p>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E>(self, key: &str) -> Result<Self::Value, E> {
        Ok(step(self.0, key))
    }
}

fn step<'p>(wanted: &[Wanted<'p>], key: &str) -> Vec<Wanted<'p>> {
    wanted
        .iter()
        .filter_map(|wanted| match wanted.rest {
            [first, rest @ ..] if first == key => Some(Wanted { slot: wanted.slot, rest }),
            _ => None,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pick(text: &str, items: &str, pointers: &[&str]) -> (Option<Vec<String>>, Vec<Option<String>>) {
        let items = Pointer::parse(items).unwrap();
        let pointers: Vec<_> = pointers.iter().map(|pointer| Pointer::parse(pointer).unwrap()).collect();
        let found = find(text.as_bytes(), Some(&items), &pointers.iter().collect::<Vec<_>>()).unwrap();
        (
            found.items.map(|items| items.iter().map(|raw| raw.get().to_owned()).collect()),
            found.values.iter().map(|value| value.map(|raw| raw.get().to_owned())).collect(),
        )
    }

    #[test]
    fn values_are_found_at_any_depth_as_they_were_written() {
        let text = r#"{"x":[{"a":1.10}, 2e0 ],"paging":{"next":"t\u0041","n":[7,8]},"z":null}"#;
        let (items, values) =
            pick(text, "/x", &["/paging/next", "/paging", "/z", "/none", "/x/0/a", "/paging/n/1", "/z/y"]);
        assert_eq!(items.unwrap(), [r#"{"a":1.10}"#, "2e0"]);
        let values: Vec<_> = values.iter().map(Option::as_deref).collect();
        assert_eq!(values[0], Some(r#""t\u0041""#));
        assert_eq!(values[1], Some(r#"{"next":"t\u0041","n":[7,8]}"#));
        assert_eq!(values[2..], [Some("null"), None, Some("1.10"), Some("8"), None]);
    }

    #[test]
    fn a_whole_text_can_be_the_array() {
        assert_eq!(pick("[1,[2]]", "", &[]).0.unwrap(), ["1", "[2]"]);
    }

    #[test]
    fn an_array_that_is_null_is_there_and_one_that_is_absent_is_not() {
        for place in ["", "/a", "/a/0"] {
            let text = match place {
                "" => "null",
                "/a" => r#"{"a":null}"#,
                _ => r#"{"a":[null]}"#,
            };
            assert_eq!(pick(text, place, &[]).0, Some(Vec::new()), "{text}");
            assert_eq!(pick(text, place, &["/a", ""]).0, Some(Vec::new()), "{text}");
        }
        assert_eq!(pick(r#"{"b":null}"#, "/a", &["/b"]).0, None);
    }

    #[test]
    fn a_value_is_read_as_what_it_is_asked_for() {
        let text = br#"{"a":{"b":[1]},"c":"d"}"#;
        assert_eq!(at::<u8>(text, &Pointer::parse("/a/b/0").unwrap()), Some(1));
        assert_eq!(at::<String>(text, &Pointer::parse("/a").unwrap()), None);
        assert_eq!(member::<String>(text, "c").as_deref(), Some("d"));
        assert_eq!(member::<String>(text, "none"), None);
    }

    #[test]
    fn what_is_not_one_json_value_is_refused() {
        let items = Pointer::parse("/a").unwrap();
        for bad in ["", " ", "<html>", r#"{"a":[1"#, r#"{"a":[1]} x"#, r#"{"a":{}}"#, r#"{"a":"x"}"#] {
            assert!(find(bad.as_bytes(), Some(&items), &[]).is_err(), "{bad}");
        }
        assert!(find(b"\"\xff\"", Some(&items), &[]).is_err());
    }

    #[test]
    fn a_member_that_appears_twice_is_refused() {
        let a = Pointer::parse("/a").unwrap();
        assert!(find(br#"{"a":1,"a":2}"#, None, &[&a]).is_err());
        assert!(find(br#"{"a":[1],"a":[2]}"#, Some(&a), &[]).is_err());
        assert!(find(br#"{"a":null,"a":[2]}"#, Some(&a), &[]).is_err());
        assert!(find(br#"{"b":1,"b":2}"#, None, &[&a]).is_ok());
    }

    #[test]
    fn pointers_escape_and_set() {
        let pointer = Pointer::parse("/a~1b/~0").unwrap();
        assert_eq!(pointer.to_string(), "/a~1b/~0");
        let mut value = serde_json::json!({});
        assert!(pointer.set(&mut value, 1.into()));
        assert_eq!(value, serde_json::json!({"a/b": {"~": 1}}));
        assert!(!Pointer::parse("/a~1b/~0/x").unwrap().set(&mut value, 1.into()));
        assert!(["a", "/~", "/~2", "/a~1~b"].iter().all(|bad| Pointer::parse(bad).is_none()));
    }

    #[test]
    fn what_is_found_is_what_a_tree_would_hold() {
        let mut rng = fastrand::Rng::with_seed(11);
        let pointers = ["", "/a", "/a/b", "/a/0", "/b/1/a", "/b", "/a/b/a~1b", "/b/a~1b"];
        let parsed: Vec<_> = pointers.iter().map(|pointer| Pointer::parse(pointer).unwrap()).collect();
        for _ in 0..20_000 {
            let tree = random(&mut rng, 4);
            let text = if rng.bool() { tree.to_string() } else { format!("{tree:#}") };
            let at = rng.usize(..pointers.len());
            let found = find(text.as_bytes(), Some(&parsed[at]), &parsed.iter().collect::<Vec<_>>());
            let expected = match tree.pointer(pointers[at]) {
                None => Ok(None),
                Some(serde_json::Value::Null) => Ok(Some(Vec::new())),
                Some(serde_json::Value::Array(items)) => Ok(Some(items.clone())),
                Some(_) => Err(()),
            };
            let value = |raw: &RawValue| serde_json::from_str::<serde_json::Value>(raw.get()).unwrap();
            let Ok(expected) = expected else {
                assert!(found.is_err(), "{text}");
                continue;
            };
            let found = found.unwrap();
            let items = found.items.map(|items| items.into_iter().map(value).collect::<Vec<_>>());
            assert_eq!(items, expected, "{} of {text}", pointers[at]);
            for (pointer, raw) in pointers.iter().zip(found.values) {
                assert_eq!(raw.map(value).as_ref(), tree.pointer(pointer), "{pointer} of {text}");
            }
        }
    }

    fn random(rng: &mut fastrand::Rng, depth: u32) -> serde_json::Value {
        let kinds = if depth == 0 { 5 } else { 9 };
        match rng.u32(..kinds) {
            0 => serde_json::Value::Null,
            1 => rng.bool().into(),
            2 => rng.i32(..).into(),
            3 => (f64::from(rng.i8(..)) / 4.0).into(),
            4 => "\"]},{\\ \u{1f4a5}".into(),
            5 | 6 => (0..rng.u32(..3)).map(|_| random(rng, depth - 1)).collect(),
            _ => {
                let keys = ["a", "b", "a/b", "c"].into_iter().filter(|_| rng.bool()).collect::<Vec<_>>();
                keys.into_iter()
                    .map(|key| (key.to_owned(), random(rng, depth - 1)))
                    .collect::<serde_json::Map<_, _>>()
                    .into()
            }
        }
    }
}
