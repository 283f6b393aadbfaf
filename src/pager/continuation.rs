//! Where to go on, in another process if need be.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use serde_json::{Map, Value, json};

use super::{auto::Guess, fetch::Progress, position::Position};

/// Where a [`Pager`](super::Pager) is to go on, from [`Pager::continuation`](super::Pager::continuation).
///
/// Serialises to a small map of its own version, without items and without anything of the query's headers and body. It
/// holds the API's own link or cursor, and so is as sensitive as that is; `Debug` shows neither. It is bound to its
/// [`Query`](super::Query): another one refuses it.
///
/// ```
/// use tower_oauth2::pager::{Continuation, Pager, Query, Rule};
/// # let api = tower::service_fn(|_: http::Request<http_body_util::Full<bytes::Bytes>>| async {
/// #     Ok::<_, std::convert::Infallible>(http::Response::new(http_body_util::Full::<bytes::Bytes>::default()))
/// # });
///
/// let query = Query::get("https://api.example.com/users", "/users", Rule::next_url("/next"))?;
/// let pager = Pager::new(api.clone(), query.clone());
/// let saved = serde_json::to_string(&pager.continuation())?;
///
/// let continuation: Continuation = serde_json::from_str(&saved)?;
/// let pager = Pager::resume(api, query, continuation)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Continuation {
    pub(super) query: u64,
    pub(super) position: Position,
    pub(super) pages: u64,
    pub(super) items: u64,
    /// What the answers so far said there is on all pages.
    pub(super) total: Option<u64>,
    /// What the first page looked like, where the query left that open.
    pub(super) guess: Option<Guess>,
    /// What names the job that it is in.
    pub(super) job: Option<String>,
}

// === impl Continuation ===

impl Continuation {
    /// At the beginning.
    pub(super) fn new(query: u64, position: Position) -> Self {
        Self { query, position, pages: 0, items: 0, total: None, guess: None, job: None }
    }

    /// What names the job that it is in, for whoever has to clean up by hand.
    pub fn job(&self) -> Option<&str> {
        self.job.as_deref()
    }

    /// How many pages came before it.
    pub fn pages(&self) -> u64 {
        self.pages
    }

    /// How many items were on those pages.
    pub fn items(&self) -> u64 {
        self.items
    }

    pub(super) fn progress(&self) -> Progress {
        Progress { pages: self.pages, items: self.items }
    }
}

impl Serialize for Continuation {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (kind, value) = match &self.position {
            Position::Start => ("start", Value::Null),
            Position::Url(url) => ("url", url.as_str().into()),
            Position::Cursor(cursor) => ("cursor", cursor.as_str().into()),
            Position::NumberCursor(cursor) => ("number_cursor", cursor.as_str().into()),
            Position::Page(number) => ("page", (*number).into()),
            Position::Offset(number) => ("offset", (*number).into()),
        };
        let query = format!("{:016x}", self.query);
        let mut map =
            json!({"version": VERSION, "query": query, kind: value, "pages": self.pages, "items": self.items});
        if let (Some(total), Value::Object(map)) = (self.total, &mut map) {
            map.insert("total".into(), total.into());
        }
        if let (Some(guess), Value::Object(map)) = (self.guess, &mut map) {
            map.insert("auto".into(), guess.name().into());
        }
        if let (Some(job), Value::Object(map)) = (&self.job, &mut map) {
            map.insert("job".into(), job.as_str().into());
        }
        map.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Continuation {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let map = Map::<String, Value>::deserialize(deserializer)?;
        if map.get("version").and_then(Value::as_u64) != Some(VERSION) {
            return Err(D::Error::custom("the continuation is of another version of this crate"));
        }
        read(&map).ok_or_else(|| D::Error::custom("the continuation is damaged"))
    }
}

fn read(map: &Map<String, Value>) -> Option<Continuation> {
    let text = |name: &str| map.get(name).and_then(Value::as_str).map(str::to_owned);
    let number = |name: &str| map.get(name).and_then(Value::as_u64);
    let positions = [
        map.get("start").map(|_| Position::Start),
        text("url").map(Position::Url),
        text("cursor").map(Position::Cursor),
        text("number_cursor").map(Position::NumberCursor),
        number("page").map(Position::Page),
        number("offset").map(Position::Offset),
    ];
    let mut positions = positions.into_iter().flatten();
    let position = positions.next().filter(|_| positions.next().is_none())?;
    let query = u64::from_str_radix(&text("query")?, 16).ok()?;
    let total = map.get("total").map(|total| total.as_u64().ok_or(())).transpose().ok()?;
    let guess = map.get("auto").map(|name| name.as_str().and_then(Guess::named).ok_or(())).transpose().ok()?;
    let job = map.get("job").map(|id| id.as_str().map(str::to_owned).ok_or(())).transpose().ok()?;
    Some(Continuation { query, position, pages: number("pages")?, items: number("items")?, total, guess, job })
}

const VERSION: u64 = 1;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_comes_back_as_it_was_saved() {
        for position in [
            Position::Start,
            Position::Url("https://a/b?c".into()),
            Position::Cursor("é\"\n".into()),
            Position::NumberCursor("12".into()),
            Position::Page(u64::MAX),
            Position::Offset(u64::MAX),
        ] {
            for total in [None, Some(0), Some(u64::MAX)] {
                let position = position.clone();
                let before =
                    Continuation { query: u64::MAX - 1, position, pages: 7, items: 8, total, guess: None, job: None };
                let text = serde_json::to_string(&before).unwrap();
                assert_eq!(serde_json::from_str::<Continuation>(&text).unwrap(), before, "{text}");
                assert_eq!(text.contains("total"), total.is_some());
            }
        }
    }

    #[test]
    fn what_is_damaged_or_of_another_version_is_refused_with_words() {
        let error = |text: &str| serde_json::from_str::<Continuation>(text).unwrap_err().to_string();
        assert!(error(r#"{"version":2}"#).contains("version"));
        for damaged in [
            r#"{"version":1,"query":"0","pages":1,"items":1}"#,
            r#"{"version":1,"query":"0","page":1,"cursor":"x","pages":1,"items":1}"#,
            r#"{"version":1,"query":"x","page":1,"pages":1,"items":1}"#,
            r#"{"version":1,"query":"0","page":-1,"pages":1,"items":1}"#,
            r#"{"version":1,"query":"0","page":1,"pages":1}"#,
            r#"{"version":1,"query":"0","page":1,"pages":1,"items":1,"total":"9"}"#,
            r#"{"version":1,"query":"0","page":1,"pages":1,"items":1,"auto":"/entities url /elsewhere"}"#,
            r#"{"version":1,"query":"0","page":1,"pages":1,"items":1,"job":7}"#,
        ] {
            assert!(error(damaged).contains("damaged"), "{damaged}");
        }
    }
}
