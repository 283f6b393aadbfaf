//! Which records of a page are written, where parts of a period overlap.

use std::{borrow::Cow, collections::HashSet};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::{
    fields::{member, members},
    lines,
    period::Period,
    source::Overlap,
};

/// Lets each record through once.
///
/// Parts that overlap by activity come newest first. A record that began before its part is remembered by its id, and
/// when an earlier part has it as well that copy is the older one.
#[derive(Clone, Debug)]
pub struct Sieve {
    overlap: Overlap,
    from: Option<Timestamp>,
    /// The piece of it that is exported here.
    piece: Option<Period>,
}

/// A record that began before the part it was written in.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct Seen {
    /// As the API wrote it.
    pub id: String,
    /// Unless nobody knows.
    pub start: Option<Timestamp>,
}

/// What is kept of a page.
#[derive(Debug)]
pub struct Kept<'a> {
    pub lines: Cow<'a, [u8]>,
    pub records: u64,
    /// Those to be remembered for the parts to come.
    pub spans: Vec<Seen>,
}

// === impl Sieve ===

impl Sieve {
    /// `from` is when the period of all shards and of all runs that were added to each other begins.
    pub fn new(overlap: Overlap, from: Option<Timestamp>, piece: Option<Period>) -> Self {
        Self { overlap, from, piece }
    }

    /// What is to be written of `lines`, which are a page of `part` with so many records. `seen` are the ids of the parts
    /// before it.
    pub fn keep<'a>(&self, lines: &'a [u8], records: u64, part: Option<&Period>, seen: &HashSet<String>) -> Kept<'a> {
        let Some(part) = part.filter(|_| self.overlap != Overlap::None) else {
            return Kept { lines: Cow::Borrowed(lines), records, spans: Vec::new() };
        };
        let mut spans = Vec::new();
        let mut drops = |line: &[u8]| match self.overlap {
            Overlap::None => false,
            Overlap::Start(start) => time(member(line, start)).is_some_and(|start| self.is_elsewhere(start, part)),
            Overlap::Edge(start) => time(member(line, start)).is_some_and(|start| start == part.to),
            Overlap::Activity => {
                let [id, start] = members(line, [ID, START]);
                let id = id.map(RawValue::get).unwrap_or_default();
                if seen.contains(id) || self.is_of_an_earlier_piece(line) {
                    return true;
                }
                let start = time(start);
                if start.is_none_or(|start| start < part.from) && !id.is_empty() {
                    spans.push(Seen { id: id.to_owned(), start });
                }
                false
            }
        };
        // What cannot be understood is kept: nothing may be lost.
        let keep: Vec<_> = lines::split(lines).map(|line| !drops(line)).collect();
        if keep.iter().all(|keep| *keep) {
            return Kept { lines: Cow::Borrowed(lines), records, spans };
        }
        let (mut kept, mut records) = (Vec::with_capacity(lines.len()), 0);
        for (line, _) in lines::split(lines).zip(keep).filter(|(_, keep)| *keep) {
            kept.extend_from_slice(line);
            kept.push(b'\n');
            records += 1;
        }
        Kept { lines: Cow::Owned(kept), records, spans }
    }

    /// Whether another part has it, of this period, of a run before or of one to come. What began before all of them is kept
    /// in the first part, as nobody else has it.
    fn is_elsewhere(&self, start: Timestamp, part: &Period) -> bool {
        start >= part.to || (start < part.from && self.from.is_some_and(|from| from < part.from))
    }

    /// Whether another machine has it: the one whose piece has the first activity that is within the period.
    fn is_of_an_earlier_piece(&self, line: &[u8]) -> bool {
        let (Some(from), Some(piece)) = (self.from, self.piece) else { return false };
        if piece.from <= from {
            return false;
        }
        let Ok(conversation) = serde_json::from_slice::<Conversation>(line) else { return false };
        let sessions = conversation.participants.iter().flat_map(|participant| &participant.sessions);
        let mut times = sessions
            .flat_map(|session| &session.segments)
            .filter_map(|segment| Some((segment.segment_start?, segment.segment_end)))
            .chain(conversation.conversation_start.map(|start| (start, Some(start))));
        // What ended just when the period begins may not be of it: rather twice than not at all.
        times.any(|(start, end)| start < piece.from && (start >= from || end.is_none_or(|end| end > from)))
    }
}

/// Of a conversation, when there was something going on.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Conversation {
    conversation_start: Option<Timestamp>,
    #[serde(default)]
    participants: Vec<Participant>,
}

#[derive(Deserialize)]
struct Participant {
    #[serde(default)]
    sessions: Vec<Session>,
}

#[derive(Deserialize)]
struct Session {
    #[serde(default)]
    segments: Vec<Segment>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Segment {
    segment_start: Option<Timestamp>,
    segment_end: Option<Timestamp>,
}

fn time(value: Option<&RawValue>) -> Option<Timestamp> {
    serde_json::from_str(value?.get()).ok()
}

const ID: &str = "conversationId";
const START: &str = "conversationStart";

#[cfg(test)]
mod tests {
    use super::*;

    fn day(day: i8) -> Timestamp {
        jiff::civil::date(2026, 3, day).to_zoned(jiff::tz::TimeZone::UTC).unwrap().timestamp()
    }

    fn days(from: i8, to: i8) -> Period {
        Period { from: day(from), to: day(to) }
    }

    fn conversation(id: &str, start: i8, segments: &[(i8, i8)]) -> String {
        let segments: Vec<_> = segments
            .iter()
            .map(|(from, to)| serde_json::json!({"segmentStart": day(*from), "segmentEnd": day(*to)}))
            .collect();
        let participants = serde_json::json!([{"sessions": [{"segments": segments}]}]);
        serde_json::json!({"conversationId": id, "conversationStart": day(start), "participants": participants})
            .to_string()
            + "\n"
    }

    fn ids(kept: &Kept<'_>) -> Vec<String> {
        let lines = std::str::from_utf8(&kept.lines).unwrap().lines();
        lines
            .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["conversationId"].to_string())
            .collect()
    }

    #[test]
    fn of_two_copies_that_of_the_newest_part_is_kept() {
        let sieve = Sieve::new(Overlap::Activity, Some(day(1)), None);
        let newer = conversation("long", 3, &[(3, 12)]) + &conversation("new", 11, &[(11, 12)]) + "{\"odd\":1}\n";
        let kept = sieve.keep(newer.as_bytes(), 3, Some(&days(11, 21)), &HashSet::new());
        let long = Seen { id: "\"long\"".into(), start: Some(day(3)) };
        assert_eq!((kept.records, kept.spans.as_slice()), (3, &[long][..]));
        let seen = kept.spans.iter().map(|seen| seen.id.clone()).collect();
        let older = conversation("long", 3, &[(3, 9)]) + &conversation("old", 4, &[(4, 5)]) + "{\"odd\":1}\n";
        let kept = sieve.keep(older.as_bytes(), 3, Some(&days(1, 11)), &seen);
        assert_eq!(ids(&kept), ["\"old\"", "null"]);
        assert!(kept.spans.is_empty());
    }

    #[test]
    fn each_conversation_is_of_one_shard() {
        let all = [
            conversation("first", 2, &[(2, 2)]),
            conversation("both", 5, &[(5, 15)]),
            conversation("second", 12, &[(12, 13)]),
            // Began before all of it, and pauses.
            conversation("pauses", 1, &[(1, 1), (15, 16)]),
            conversation("never pauses", 1, &[(1, 16)]),
        ];
        let (whole, lines) = (days(2, 21), all.concat());
        let of = |piece: Period, with: &[usize]| {
            let sieve = Sieve::new(Overlap::Activity, Some(whole.from), Some(piece));
            let lines: String = with.iter().map(|index| all[*index].as_str()).collect();
            ids(&sieve.keep(lines.as_bytes(), with.len() as u64, Some(&piece), &HashSet::new()))
        };
        // Each shard is answered what was active in it.
        let first = of(days(2, 11), &[0, 1, 4]);
        let second = of(days(11, 21), &[1, 2, 3, 4]);
        assert_eq!(first, ["\"first\"", "\"both\"", "\"never pauses\""]);
        assert_eq!(second, ["\"second\"", "\"pauses\""]);
        assert!(lines.len() > 5);
    }

    #[test]
    fn a_conversation_is_of_the_part_that_it_began_in() {
        let sieve = Sieve::new(Overlap::Start(START), Some(day(5)), None);
        let all: String = [4, 5, 10, 11, 20, 21].map(|start| conversation(&start.to_string(), start, &[])).concat();
        let kept = |part| ids(&sieve.keep(all.as_bytes(), 6, Some(&part), &HashSet::new()));
        assert_eq!(kept(days(5, 11)), ["\"4\"", "\"5\"", "\"10\""]);
        assert_eq!(kept(days(11, 21)), ["\"11\"", "\"20\""]);
        // The first part of a run that adds to others.
        let sieve = Sieve::new(Overlap::Start(START), Some(Timestamp::MIN), None);
        let kept = sieve.keep(all.as_bytes(), 6, Some(&days(5, 11)), &HashSet::new());
        assert_eq!(ids(&kept), ["\"5\"", "\"10\""]);
    }

    #[test]
    fn a_record_on_an_edge_is_of_the_part_that_begins_there() {
        let sieve = Sieve::new(Overlap::Edge("contactStartDate"), Some(day(1)), None);
        let line = |day: Timestamp| format!("{{\"contactStartDate\":\"{day}\"}}\n");
        let lines = line(day(1)) + &line(day(11)) + "{}\n";
        let kept = |part| sieve.keep(lines.as_bytes(), 3, Some(&part), &HashSet::new()).records;
        assert_eq!((kept(days(1, 11)), kept(days(11, 21))), (2, 3));
    }
}
