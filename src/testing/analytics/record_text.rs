//! The JSON text of a conversation.

use std::fmt::Write as _;

use super::hash::{mix, push_uuid};
use super::interval::time;
use super::records::{Records, Traits};

/// Numbers that change on their way through a 64-bit float and back, or whose text does.
const NUMBERS: [&str; 6] = [
    "1.10",
    "12345678901234567890",
    "0.30000000000000004",
    "1E+2",
    "-0.0",
    "123456789012345678901234567890.1234567890",
];

const NAMES: [&str; 8] = [
    "Zoë Müller",
    "Björn Łukasiewicz",
    "山田 太郎",
    "Ada Example",
    "Ольга Петрова",
    "Séan Ó Briain",
    "مريم حسن",
    "Bo \\\"B\\\" Example 🎧",
];

const WRAP_UP: [&str; 4] = ["resolved", "callback", "escalated", "no-answer"];

/// About this many bytes, for the room to reserve.
pub(super) const SIZE: usize = 2_400;

/// Appends the record to `out`.
pub(super) fn push_record(out: &mut String, records: &Records, index: u64) {
    let traits = records.traits(index);
    out.push_str("{\"conversationId\":");
    push_id(out, traits.kind.bits);
    push_time(out, ",\"conversationStart\":", traits.start);
    if let Some(end) = traits.end {
        push_time(out, ",\"conversationEnd\":", end);
    }
    let _ = write!(
        out,
        ",\"mediaStatsMinConversationMos\":{},\"originatingDirection\":\"{}\",\"divisionIds\":[",
        pick(&NUMBERS, traits.kind.bits >> 12),
        traits.kind.direction,
    );
    push_id(out, mix(records.seed, u64::MAX - traits.kind.bits % 5));
    out.push_str("],\"participants\":[");
    push_participant(out, &traits, "customer");
    out.push(',');
    push_participant(out, &traits, "agent");
    out.push_str("]}");
}

fn push_participant(out: &mut String, traits: &Traits, purpose: &str) {
    let agent = purpose == "agent";
    let bits = mix(traits.kind.bits, u64::from(agent));
    out.push_str("{\"participantId\":");
    push_id(out, bits);
    let name = pick(&NAMES, bits);
    let _ = write!(out, ",\"participantName\":\"{name}\",\"purpose\":\"{purpose}\"");
    if agent {
        out.push_str(",\"userId\":");
        push_id(out, mix(7, bits % 25));
    }
    out.push_str(",\"sessions\":[{\"sessionId\":");
    push_id(out, mix(bits, 1));
    let (media, direction) = (traits.kind.media_type, traits.kind.direction);
    let ani = bits % 10_000;
    let _ = write!(
        out,
        ",\"mediaType\":\"{media}\",\"direction\":\"{direction}\",\"ani\":\"tel:+1555010{ani:04}\",\
         \"dnis\":\"tel:+15550199999\",\"recording\":{},\"metrics\":[",
        bits & 1 == 0,
    );
    push_metrics(out, traits, bits, agent);
    out.push_str("],\"segments\":[");
    push_segments(out, traits, bits, agent);
    out.push_str("]}]}");
}

fn push_metrics(out: &mut String, traits: &Traits, bits: u64, agent: bool) {
    let names: &[&str] = if agent { &["nConnected", "tAlert", "tTalk", "tHandle"] } else { &["nConnected", "tIvr"] };
    for (at, name) in (0_i64..).zip(names) {
        if at > 0 {
            out.push(',');
        }
        push_time(out, "{\"emitDate\":", traits.start.saturating_add(at * 1_500));
        let _ = write!(out, ",\"name\":\"{name}\",\"value\":");
        if at == 0 {
            out.push_str(pick(&NUMBERS, bits >> 20));
        } else {
            let _ = write!(out, "{}.{:02}", (bits >> 30) & 0xFFFF, (bits >> (8 + at)) % 100);
        }
        out.push('}');
    }
}

fn push_segments(out: &mut String, traits: &Traits, bits: u64, agent: bool) {
    let middle = traits.start.saturating_add(5_000);
    let types = if agent { ["alert", "interact"] } else { ["ivr", "interact"] };
    push_time(out, "{\"segmentStart\":", traits.start);
    push_time(out, ",\"segmentEnd\":", middle);
    let _ = write!(out, ",\"segmentType\":\"{}\",\"conference\":false,\"queueId\":", types[0]);
    push_id(out, mix(3, bits % 12));
    push_time(out, "},{\"segmentStart\":", middle);
    if let Some(end) = traits.end {
        push_time(out, ",\"segmentEnd\":", end);
        let (kind, code) = (types[1], pick(&WRAP_UP, bits >> 4));
        let _ = write!(
            out,
            ",\"segmentType\":\"{kind}\",\"disconnectType\":\"peer\",\"conference\":false,\"wrapUpCode\":\"{code}\"",
        );
    } else {
        let _ = write!(out, ",\"segmentType\":\"{}\",\"conference\":false", types[1]);
    }
    out.push_str(",\"queueId\":");
    push_id(out, mix(3, bits % 12));
    out.push('}');
}

fn push_id(out: &mut String, bits: u64) {
    out.push('"');
    push_uuid(out, bits);
    out.push('"');
}

pub(super) fn push_time(out: &mut String, before: &str, millis: i64) {
    let _ = write!(out, "{before}\"{:.3}\"", time(millis));
}

pub(super) fn pick<const N: usize>(from: &[&'static str; N], bits: u64) -> &'static str {
    from[usize::try_from(bits % N as u64).unwrap_or(0)]
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use serde_json::Value;

    use super::*;
    use crate::testing::analytics::interval::Interval;

    fn texts(count: u64) -> Vec<String> {
        let period = Interval::parse("2025-03-10T00:00:00Z/2025-03-11T00:00:00Z").unwrap();
        let records = Records { count, seed: 42, period };
        let text = |index| {
            let mut out = String::new();
            push_record(&mut out, &records, index);
            out
        };
        (0..count).map(text).collect()
    }

    #[test]
    fn every_record_is_json_of_about_two_kilobytes_with_an_id_of_its_own() {
        let mut ids = HashSet::new();
        let mut open = 0;
        for text in texts(2_000) {
            assert!((1_700..=SIZE).contains(&text.len()), "{}", text.len());
            let json: Value = serde_json::from_str(&text).unwrap();
            let id = json["conversationId"].as_str().unwrap().to_owned();
            assert_eq!(id.len(), 36);
            assert!(ids.insert(id));
            open += usize::from(json.get("conversationEnd").is_none());
        }
        assert!((10..100).contains(&open), "{open}");
    }

    #[test]
    fn every_awkward_number_and_name_occurs() {
        let all = texts(200).concat();
        for number in NUMBERS {
            assert!(all.contains(&format!(":{number}")), "{number}");
        }
        assert!(NAMES.iter().all(|name| all.contains(name)));
    }
}
