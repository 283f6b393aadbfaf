//! Filters on `mediaType` and `originatingDirection`; those on anything else let everything pass.

use serde_json::Value;

use super::records::Kind;

/// The filters of a query, all of which must hold.
#[derive(Debug, Default)]
pub(super) struct Filters(Vec<Group>);

#[derive(Debug)]
struct Group {
    any: bool,
    tests: Vec<Test>,
}

#[derive(Debug)]
enum Test {
    MediaType(String),
    Direction(String),
    Group(Group),
    Always(bool),
}

// === impl Filters ===

impl Filters {
    pub(super) fn of_query(query: &Value) -> Self {
        let names = ["segmentFilters", "conversationFilters"];
        let lists = names.iter().filter_map(|name| query.get(name)?.as_array()).flatten();
        Self(lists.map(Group::parse).collect())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn pass(&self, kind: &Kind) -> bool {
        self.0.iter().all(|group| group.pass(kind))
    }
}

// === impl Group ===

impl Group {
    fn parse(filter: &Value) -> Self {
        let list = |name: &str| filter.get(name).and_then(Value::as_array);
        let predicates = list("predicates").into_iter().flatten();
        let clauses = list("clauses").into_iter().flatten();
        Self {
            any: filter.get("type").and_then(Value::as_str) == Some("or"),
            tests: predicates.map(Test::parse).chain(clauses.map(|clause| Test::Group(Self::parse(clause)))).collect(),
        }
    }

    fn pass(&self, kind: &Kind) -> bool {
        if self.tests.is_empty() {
            return true;
        }
        let mut tests = self.tests.iter().map(|test| test.pass(kind));
        if self.any { tests.any(|passed| passed) } else { tests.all(|passed| passed) }
    }
}

// === impl Test ===

impl Test {
    fn parse(predicate: &Value) -> Self {
        let text = |name: &str| predicate.get(name).and_then(Value::as_str);
        let value = text("value").unwrap_or_default().to_owned();
        match (text("dimension"), text("operator").unwrap_or("matches")) {
            (Some("mediaType"), "matches") => Self::MediaType(value),
            (Some("originatingDirection"), "matches") => Self::Direction(value),
            // Every record has both.
            (Some("mediaType" | "originatingDirection"), "notExists") => Self::Always(false),
            _ => Self::Always(true),
        }
    }

    fn pass(&self, kind: &Kind) -> bool {
        match self {
            Self::MediaType(value) => kind.media_type == value,
            Self::Direction(value) => kind.direction == value,
            Self::Group(group) => group.pass(kind),
            Self::Always(passed) => *passed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passes(query: &str, media_type: &'static str, direction: &'static str) -> bool {
        let kind = Kind { bits: 0, media_type, direction };
        Filters::of_query(&serde_json::from_str(query).unwrap()).pass(&kind)
    }

    #[test]
    fn predicates_are_joined_as_their_type_says() {
        let either = r#"{"segmentFilters":[{"type":"or","predicates":[
            {"dimension":"mediaType","value":"voice"},{"dimension":"mediaType","operator":"matches","value":"chat"}]}],
            "conversationFilters":[{"type":"and","predicates":[{"dimension":"originatingDirection","value":"inbound"}]}]}"#;
        assert!(passes(either, "voice", "inbound"));
        assert!(passes(either, "chat", "inbound"));
        assert!(!passes(either, "email", "inbound"));
        assert!(!passes(either, "voice", "outbound"));
        let both = either.replace(r#""or""#, r#""and""#);
        assert!(!passes(&both, "voice", "inbound"));
        let other = r#"{"segmentFilters":[{"type":"and","predicates":[{"dimension":"queueId","value":"x"}]}]}"#;
        assert!(passes(other, "voice", "outbound"));
        assert!(passes("{}", "voice", "outbound"));
    }
}
