//! The scan of external contacts: to the end by cursor.

use std::fmt::Write as _;
use std::ops::RangeInclusive;

use http::request;

use super::error_body::ErrorBody;
use super::handle::Inner;
use super::hash::{mix, uuid};
use super::interval::Interval;
use super::page_token::PageToken;
use super::record_text::{pick, push_time};
use super::route::Reply;
use crate::testing::reply::quoted;
use crate::testing::target::param;

pub(super) fn scan(inner: &Inner, head: &request::Parts) -> Result<Reply, ErrorBody> {
    let limit = match param(head, "limit").map(|text| text.parse::<u64>()) {
        None => DEFAULT_LIMIT,
        Some(Ok(limit)) if LIMITS.contains(&limit) => limit,
        Some(_) => return Err(ErrorBody::bad_request("limit must be between 10 and 200.")),
    };
    let total = inner.config.contacts;
    let first = match param(head, "cursor") {
        None => 0,
        Some(text) => PageToken::decode(&text)
            .filter(|token| token.interval == NEVER)
            .map(|token| token.offset.min(total))
            .ok_or_else(|| ErrorBody::bad_request("The cursor is invalid."))?,
    };
    let last = first.saturating_add(limit).min(total);

    let mut out = String::from("{\"entities\":[");
    for index in first..last {
        if index > first {
            out.push(',');
        }
        push_contact(&mut out, inner.records.seed, index);
    }
    out.push(']');
    if last < total {
        let cursor = PageToken { interval: NEVER, size: limit, offset: last }.encode();
        let _ =
            write!(out, r#","nextUri":"{CONTACTS}?limit={limit}&cursor={cursor}","cursors":{{"after":"{cursor}"}}"#,);
    } else {
        out.push_str(",\"cursors\":{}");
    }
    let this = head.uri.path_and_query().map_or(CONTACTS, |this| this.as_str());
    let _ = write!(out, ",\"selfUri\":{}}}", quoted(this));
    Ok(Reply::json(out))
}

/// Appends the contact to `out`. Eight in a row have every first name and every last name.
pub(super) fn push_contact(out: &mut String, seed: u64, index: u64) {
    let bits = mix(seed ^ 0xC0_47AC, index);
    let (id, number) = (uuid(bits), bits % 10_000);
    let nth = seed.wrapping_add(index);
    let _ = write!(
        out,
        r#"{{"id":"{id}","type":"externalContact","firstName":"{}","lastName":"{}""#,
        pick(&FIRST_NAMES, nth),
        pick(&LAST_NAMES, nth),
    );
    // Not everybody has everything.
    if bits & 0x30 != 0 {
        let _ = write!(
            out,
            r#","workPhone":{{"display":"+1 555-010-{number:04}","e164":"+1555010{number:04}","countryCode":"US"}}"#,
        );
    }
    let _ = write!(
        out,
        r#","workEmail":"contact.{index}@example.com","address":{{"address1":"{}","city":"{}","countryCode":"US"}}"#,
        pick(&STREETS, bits >> 6),
        pick(&CITIES, bits >> 8),
    );
    let created = FIRST_CREATED + i64::try_from(bits >> 30).unwrap_or(0);
    push_time(out, ",\"createDate\":", created);
    push_time(out, ",\"modifyDate\":", created + 86_400_000);
    let _ = write!(out, r#","surveyOptOut":{},"selfUri":"/api/v2/externalcontacts/contacts/{id}"}}"#, bits & 1 == 0);
}

pub(super) const CONTACTS: &str = "/api/v2/externalcontacts/scan/contacts";
const DEFAULT_LIMIT: u64 = 100;
const LIMITS: RangeInclusive<u64> = 10..=200;
/// In the cursors, where a token of the conversations has their interval, so that neither is taken for the other.
const NEVER: Interval = Interval { start: i64::MIN, end: i64::MIN };
/// The start of 2023; nobody is created more than half a year later.
const FIRST_CREATED: i64 = 1_672_531_200_000;

/// What a spreadsheet takes for a formula, or a reader of lines for the end of one.
const FIRST_NAMES: [&str; 8] =
    ["Zoë", "=1+1", "Bo \\\"B\\\"", "+Ada", "山田", "-Olga", "Séan\\nPatrick", "@SUM(A1:A9)"];

const LAST_NAMES: [&str; 7] = [
    "=HYPERLINK(\\\"http://evil.example\\\",\\\"click\\\")",
    "Müller",
    "Example, Jr.",
    "Łukasiewicz\\r\\n",
    "\\tTab",
    "O'Brien; \\\\",
    "حسن",
];

const STREETS: [&str; 4] = ["1 Main St", "2 \\\"B\\\" St, Apt 3", "3 Low Rd\\nFloor 4", "-4 Basement Ln"];
const CITIES: [&str; 4] = ["Springfield", "São Paulo", "東京", "Saint-Étienne"];

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use serde_json::Value;

    use super::*;

    #[test]
    fn every_contact_is_json_with_an_id_of_its_own_and_every_awkward_name_occurs() {
        let mut ids = HashSet::new();
        let mut all = String::new();
        let mut without_phone = 0;
        for index in 0..1_000 {
            let mut text = String::new();
            push_contact(&mut text, 42, index);
            assert!((300..=600).contains(&text.len()), "{}: {text}", text.len());
            let json: Value = serde_json::from_str(&text).unwrap();
            assert!(ids.insert(json["id"].as_str().unwrap().to_owned()));
            without_phone += usize::from(json.get("workPhone").is_none());
            if index < 8 {
                all.push_str(&text);
            }
        }
        assert!((100..500).contains(&without_phone), "{without_phone}");
        assert!(FIRST_NAMES.iter().chain(&LAST_NAMES).all(|name| all.contains(&format!("\"{name}\""))));
    }
}
