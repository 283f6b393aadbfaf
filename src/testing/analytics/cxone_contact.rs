//! The JSON text of a conversation as NICE CXone has it.

use super::interval::time;
use super::record_text::pick;
use super::records::Records;

/// Which members of a contact are asked for.
#[derive(Debug)]
pub(super) struct Fields(Option<Vec<String>>);

/// Appends the contact to `out`.
pub(super) fn push_contact(out: &mut String, records: &Records, index: u64, fields: &Fields) {
    let traits = records.traits(index);
    let bits = traits.kind.bits;
    let id = FIRST_ID.saturating_add(index).to_string();
    let (media_id, media_name) = media_type(traits.kind.media_type);
    let skill = bits % SKILLS.len() as u64;
    let length = traits.last_activity().saturating_sub(traits.start);
    let members = [
        ("contactId", id.clone()),
        ("masterContactId", id),
        ("contactStartDate", format!("\"{:.3}\"", time(traits.start))),
        ("lastUpdateTime", format!("\"{:.3}\"", time(traits.last_activity()))),
        ("mediaTypeId", media_id.to_string()),
        ("mediaTypeName", format!("\"{media_name}\"")),
        ("skillId", (77 + skill).to_string()),
        ("skillName", format!("\"{}\"", pick(&SKILLS, skill))),
        ("isOutbound", (traits.kind.direction == "outbound").to_string()),
        ("totalDurationSeconds", format!("{}.{:03}", length / 1_000, length % 1_000)),
        ("abandoned", ((bits >> 8) % 20 == 0).to_string()),
    ];
    let mut before = '{';
    for (name, json) in members.iter().filter(|(name, _)| fields.has(name)) {
        out.push(before);
        out.extend(["\"", name, "\":", json]);
        before = ',';
    }
    out.push_str(if before == '{' { "{}" } else { "}" });
}

fn media_type(of: &str) -> (u32, &'static str) {
    match of {
        "email" => (1, "E-Mail"),
        "chat" => (3, "Chat"),
        "message" => (9, "Digital"),
        _ => (4, "Call"),
    }
}

// === impl Fields ===

impl Fields {
    pub(super) fn all() -> Self {
        Self(None)
    }

    /// Those of a list with commas. A name that no contact has is left out without a word.
    pub(super) fn of(list: Option<&str>) -> Self {
        Self(list.map(|list| list.split(',').map(|name| name.trim().to_owned()).collect()))
    }

    fn has(&self, name: &str) -> bool {
        self.0.as_ref().is_none_or(|names| names.iter().any(|it| it == name))
    }
}

/// About this many bytes, for the room to reserve.
pub(super) const SIZE: usize = 400;

const FIRST_ID: u64 = 900_000;
const SKILLS: [&str; 4] = ["Support", "Sales \\\"EMEA\\\", Tier 1", "=Billing", "Técnico\\nNoche"];

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::testing::analytics::interval::Interval;

    #[test]
    fn a_contact_has_the_members_that_are_asked_for() {
        let period = Interval::parse("2025-03-10T00:00:00Z/2025-03-11T00:00:00Z").unwrap();
        let records = Records { count: 500, seed: 42, period };
        let parse = |index, fields: &Fields| {
            let mut out = String::new();
            push_contact(&mut out, &records, index, fields);
            serde_json::from_str::<Value>(&out).unwrap()
        };
        for index in 0..500 {
            let contact = parse(index, &Fields::all());
            assert_eq!(contact.as_object().unwrap().len(), 11);
            assert_eq!(contact["contactId"], 900_000 + index);
        }
        let some = Fields::of(Some("abandoned, contactId,nobodyHasThis"));
        assert_eq!(parse(7, &some), json!({"contactId": 900_007, "abandoned": false}));
        assert_eq!(parse(7, &Fields::of(Some(""))), json!({}));
    }
}
