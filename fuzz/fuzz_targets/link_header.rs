//! The `Link` header of a page. Input: fields, a line each.

#![no_main]

use http::{HeaderMap, HeaderValue, header::LINK};
use libfuzzer_sys::fuzz_target;
use tower_oauth2::fuzzing::next_link;

fuzz_target!(|data: &[u8]| {
    let fields: Vec<_> =
        data.split(|byte| *byte == b'\n').filter_map(|field| HeaderValue::from_bytes(field).ok()).collect();
    let found = read(fields.iter().cloned());

    // One field after the other is the same as all, but for two that name different pages.
    let each: Vec<_> = fields.iter().map(|field| read([field.clone()])).collect();
    let mut alone: Vec<_> = each.iter().flatten().flatten().collect();
    alone.dedup();
    match &found {
        Ok(None) => assert!(alone.is_empty() && each.iter().all(Result::is_ok)),
        Ok(Some(target)) => assert!(each.iter().all(Result::is_ok) && alone.iter().all(|found| *found == target)),
        Err(_) => assert!(alone.len() > 1 || each.iter().any(Result::is_err)),
    }

    let Ok(found) = found else { return };
    // A link of another relation changes nothing, before or behind; neither does an empty element.
    let others = |value: &str| HeaderValue::from_str(value).expect("plain");
    let around =
        [others("</x>; rel=prev; title=\"rel=next\"")].into_iter().chain(fields.clone()).chain([others(", ,")]);
    assert_eq!(read(around).as_ref(), Ok(&found));
    // One more is taken where there was none, and refused where there was another.
    let more = fields.into_iter().chain([others("<urn:more>; rel=\"next\"")]);
    match found.as_deref() {
        None | Some("urn:more") => assert_eq!(read(more), Ok(Some("urn:more".to_owned()))),
        Some(target) => {
            assert!(!target.contains('>') && target.chars().count() <= data.len());
            assert!(read(more).is_err(), "two next pages");
        }
    }
});

fn read(fields: impl IntoIterator<Item = HeaderValue>) -> Result<Option<String>, &'static str> {
    let mut headers = HeaderMap::new();
    for field in fields {
        headers.append(LINK, field);
    }
    next_link(&headers, &"https://api.example.com/users?page=1".parse().expect("a URL"))
}
