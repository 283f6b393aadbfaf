//! Finds out from the first page what an answer looks like.

use bytes::Bytes;
use http::{HeaderMap, Method};
use serde_json::value::RawValue;

use super::{
    answer::Answer,
    error::{Error, ErrorKind},
    link_header,
    place::{Place, pointer_at},
    position::{Link, link},
    query::{Query, Shape},
    rule::Rule,
};
use crate::json;

/// What the first page looked like; all others have to look like that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Guess {
    items: &'static str,
    next: Next,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    Url(&'static Key),
    Token(&'static Key),
    /// In the `Link` header.
    Linked,
    /// Counted in the body, up to `totalHits`.
    TotalHits,
    /// Counted in the URL, up to `pageCount`.
    PageCount,
    /// Counted in items, up to `totalResults` (RFC 7644 §3.4.2.4).
    StartIndex,
    /// Only that there are no more than this says.
    Nowhere(Option<&'static str>),
}

/// A place that may name the next page.
#[derive(Debug, PartialEq, Eq)]
struct Key {
    at: &'static str,
    /// The query parameter for what is no URL.
    param: Option<&'static str>,
    /// Whether a page behind such a parameter is asked for with GET.
    get: bool,
    /// Whether what begins with a slash is a URL, and not a token that happens to.
    relative: bool,
}

/// What a page says at each of these places.
struct Said<'a> {
    items: [Option<&'a RawValue>; ITEMS.len()],
    next: [Option<&'a RawValue>; KEYS.len()],
    counts: [Option<&'a RawValue>; COUNTS.len()],
}

// === impl Guess ===

impl Guess {
    /// # Errors
    ///
    /// `Body` for what is no page at all, `Config` for one that needs a rule to be told.
    pub(super) fn of(bytes: &Bytes, headers: &HeaderMap, query: &Query) -> Result<Self, Error> {
        let said = Said::read(bytes)?;
        let at = |is_it: fn(&RawValue) -> bool| {
            let mut places = ITEMS.iter().zip(said.items);
            places.find(|(_, value)| value.is_some_and(is_it)).map(|(items, _)| *items)
        };
        // An API that leaves out an empty list still says that there are none.
        let is_none = |count: &Option<&RawValue>| count.is_some_and(|count| count.get() == "0");
        let none = || said.counts.iter().take(TOTALS.len() + 1).any(is_none).then_some(ITEMS[0]);
        let items = at(is_list).or_else(|| at(|value| value.get() == "null")).or_else(none);
        let items = items.ok_or_else(|| broken(format!("the answer has a list at none of {}", ITEMS.join(", "))))?;
        Ok(Self { items, next: said.next(headers, query)? })
    }

    pub(super) fn shape(self) -> Result<Shape, Error> {
        let rule = match self.next {
            Next::Url(key) => Rule::next_url(key.at).follow_with_get(),
            Next::Token(Key { at, param: Some(param), get: true, .. }) => {
                Rule::cursor(*at, Place::query(*param)).follow_with_get()
            }
            Next::Token(Key { at, param, .. }) => Rule::cursor(*at, Place::query(param.unwrap_or_default())),
            Next::Linked => Rule::link_header("next").follow_with_get(),
            Next::TotalHits => Rule::page_number(Place::body("/paging/pageNumber")).total("/totalHits"),
            Next::PageCount => Rule::page_number(Place::query("pageNumber")).page_count("/pageCount").total("/total"),
            Next::StartIndex => Rule::offset(Place::query("startIndex")).first(1).total("/totalResults"),
            Next::Nowhere(Some(total)) => Rule::single().total(total),
            Next::Nowhere(None) => Rule::single(),
        };
        Ok(Shape { items: pointer_at(self.items)?, places: rule.places()?, rule, guess: Some(self) })
    }

    /// # Errors
    ///
    /// If a page names the next one elsewhere, or in another way, than the first did: it would be taken for the last.
    pub(super) fn check(self, bytes: &Bytes, answer: &Answer) -> Result<(), Error> {
        let said = Said::read(bytes)?;
        let mut lists = ITEMS.iter().zip(said.items).filter(|(_, value)| value.is_some_and(is_list));
        if let (Some((other, _)), false) = (lists.next(), said.items_at(self.items).is_some_and(is_list)) {
            return Err(broken(format!("the items are at {other}, and were at {} on the first page", self.items)));
        }
        let changed = match (self.next, &answer.link) {
            (Next::Url(key), Some(link)) => Some(key).filter(|key| !key.is_url(link)),
            (Next::Token(key), Some(link)) => Some(key).filter(|_| is_absolute(link)),
            (_, Some(_)) => None,
            (_, None) => said.named()?.map(|(key, _)| key),
        };
        match changed {
            Some(key) => Err(broken(format!("{} names the next page, which it did not on the first page", key.at))),
            None => Ok(()),
        }
    }

    /// As it is saved.
    pub(super) fn name(self) -> String {
        let (kind, key) = match self.next {
            Next::Url(key) => ("url", key.at),
            Next::Token(key) => ("token", key.at),
            Next::Linked => ("linked", ""),
            Next::TotalHits => ("total_hits", ""),
            Next::PageCount => ("page_count", ""),
            Next::StartIndex => ("start_index", ""),
            Next::Nowhere(total) => ("nowhere", total.unwrap_or_default()),
        };
        format!("{} {kind} {key}", self.items)
    }

    pub(super) fn named(name: &str) -> Option<Self> {
        let items = ITEMS.iter().find(|items| name.split(' ').next() == Some(items))?;
        Next::all().find_map(|next| Some(Self { items, next }).filter(|guess| guess.name() == name))
    }
}

// === impl Next ===

impl Next {
    fn all() -> impl Iterator<Item = Self> {
        let named = KEYS.iter().flat_map(|key| [Self::Url(key), Self::Token(key)]);
        let counted = [Self::Linked, Self::TotalHits, Self::PageCount, Self::StartIndex, Self::Nowhere(None)];
        named.chain(counted).chain(TOTALS.map(|total| Self::Nowhere(Some(total))))
    }
}

// === impl Said ===

impl<'a> Said<'a> {
    fn read(bytes: &'a Bytes) -> Result<Self, Error> {
        let pointers = ITEMS.iter().copied().chain(KEYS.iter().map(|key| key.at)).chain(COUNTS);
        let pointers = pointers.map(pointer_at).collect::<Result<Vec<_>, _>>()?;
        let found = json::find(bytes, None, &pointers.iter().collect::<Vec<_>>())
            .map_err(|error| broken("the page is not the JSON it should be".into()).with_source(error))?;
        let mut values = found.values.into_iter();
        let mut next = |_: usize| values.next().flatten();
        Ok(Self {
            items: std::array::from_fn(&mut next),
            next: std::array::from_fn(&mut next),
            counts: std::array::from_fn(&mut next),
        })
    }

    /// The first place that names a next page.
    fn named(&self) -> Result<Option<(&'static Key, Link)>, Error> {
        for (key, value) in KEYS.iter().zip(self.next) {
            let Some(value) = value else { continue };
            let problem =
                |error| broken(format!("what is at {} is neither text nor a number", key.at)).with_source(error);
            if let Some(link) = link(value).map_err(problem)? {
                return Ok(Some((key, link)));
            }
        }
        Ok(None)
    }

    fn items_at(&self, place: &str) -> Option<&'a RawValue> {
        ITEMS.iter().zip(self.items).find(|(items, _)| **items == place)?.1
    }

    fn next(&self, headers: &HeaderMap, query: &Query) -> Result<Next, Error> {
        if let Some((key, link)) = self.named()? {
            return match (key.is_url(&link), key.param) {
                (true, _) => Ok(Next::Url(key)),
                (false, Some(_)) => Ok(Next::Token(key)),
                (false, None) => Err(Error::config(format!(
                    "what is at {} is no URL, and where it is to go is not known: tell the query a Rule",
                    key.at
                ))),
            };
        }
        if link_header::target(headers, "next", query.url()).map_err(|problem| broken(problem.into()))?.is_some() {
            return Ok(Next::Linked);
        }
        // Also as text, which the rules do not count by: it is enough to know that there is more.
        let number =
            |value: Option<&RawValue>| value.and_then(|value| value.get().trim_matches('"').parse::<u64>().ok());
        let [total_hits, total_results, _, _, page_count, page_number, start_index, more, has_more] = self.counts;
        let is_get = query.method() == Method::GET;
        let counted = match (number(total_hits), number(page_count), number(total_results)) {
            (Some(_), ..) if query.has_body() => Some((Next::TotalHits, query.page_number().or(number(page_number)))),
            (_, Some(_), _) if is_get => Some((Next::PageCount, query.param("pageNumber").or(number(page_number)))),
            (_, _, Some(_)) if is_get => Some((Next::StartIndex, query.param("startIndex").or(number(start_index)))),
            _ => None,
        };
        match counted {
            Some((_, Some(first))) if first != 1 => Err(Error::config(format!(
                "the query begins with page {first}, and the rest can be counted from the first only: tell the query a Rule"
            ))),
            Some((next, _)) => Ok(next),
            None if [more, has_more].iter().any(|flag| flag.is_some_and(|flag| flag.get().contains("true")))
                || number(page_count) > Some(1) =>
            {
                Err(Error::config("there are more pages, and where is not known: tell the query a Rule"))
            }
            // One page, unless it says itself that it is not all.
            None => match TOTALS.into_iter().zip(self.counts).find(|(_, value)| number(*value).is_some()) {
                Some((total, Some(value))) if value.get().starts_with('"') => {
                    Err(Error::config(format!("{total} is text, by which nothing is counted: tell the query a Rule")))
                }
                total => Ok(Next::Nowhere(total.map(|(total, _)| total))),
            },
        }
    }
}

// === impl Key ===

impl Key {
    fn is_url(&self, link: &Link) -> bool {
        let Link::Text(text) = link else { return false };
        is_absolute(link) || (self.relative && text.trim_start().starts_with(['/', '?']))
    }
}

fn is_absolute(link: &Link) -> bool {
    let Link::Text(text) = link else { return false };
    let text = text.trim_start().to_ascii_lowercase();
    ["http://", "https://"].iter().any(|start| text.starts_with(start))
}

fn is_list(value: &RawValue) -> bool {
    value.get().starts_with('[')
}

fn broken(message: String) -> Error {
    Error::new(ErrorKind::Body, message)
}

/// Where items may be; the first that is a list counts.
const ITEMS: [&str; 10] = [
    "/conversations",
    "/entities",
    "/results",
    "/userDetails",
    "/Resources",
    "/completedContacts",
    "/contacts",
    "/items",
    "/records",
    "/data",
];
/// Where the next page may be named; the first that names one counts.
static KEYS: [Key; 7] = [
    Key { at: "/nextPage", param: Some("q64"), get: true, relative: true },
    Key { at: "/next_page", param: Some("page_token"), get: false, relative: true },
    Key { at: "/nextUri", param: None, get: false, relative: true },
    Key { at: "/cursor", param: Some("cursor"), get: false, relative: false },
    Key { at: "/cursors/after", param: Some("after"), get: false, relative: false },
    Key { at: "/_links/next", param: None, get: false, relative: true },
    Key { at: "/next", param: None, get: false, relative: true },
];
const TOTALS: [&str; 4] = ["/totalHits", "/totalResults", "/total", "/totalRecords"];
/// How much there is, then where the page stands, then whether there is more.
const COUNTS: [&str; 9] =
    [TOTALS[0], TOTALS[1], TOTALS[2], TOTALS[3], "/pageCount", "/pageNumber", "/startIndex", "/hasMore", "/has_more"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guess_comes_back_by_its_name() {
        let mut names = std::collections::HashSet::new();
        for items in ITEMS {
            for next in Next::all() {
                let guess = Guess { items, next };
                assert_eq!(Guess::named(&guess.name()), Some(guess));
                assert!(names.insert(guess.name()));
            }
        }
        for none in ["", "/entities", "/entities url", "/entities url /other", "/other nowhere ", "/entities nowhere"] {
            assert_eq!(Guess::named(none), None, "{none}");
        }
    }
}
