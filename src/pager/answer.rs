//! What an answer says, but for where it leads: that depends on the pages before it as well.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Uri, response::Parts};
use serde_json::value::RawValue;

use super::{
    error::{Error, ErrorKind},
    link_header,
    page::Page,
    place::ReadFrom,
    position::{Link, link},
    query::Shape,
};
use crate::json;

/// One page as it came.
#[derive(Default)]
pub(super) struct Answer {
    /// `None` without content, which ends any rule.
    pub(super) page: Option<Page>,
    /// What names the next page.
    pub(super) link: Option<Link>,
    pub(super) page_count: Option<u64>,
    /// What a flag says of there being more.
    pub(super) more: Option<bool>,
    /// What a URL in it is relative to.
    pub(super) uri: Uri,
    pub(super) headers: HeaderMap,
    /// What it was read as.
    pub(super) shape: Option<Arc<Shape>>,
}

// === impl Answer ===

impl Answer {
    /// # Errors
    ///
    /// `Body` if `bytes` are not the page that `shape` expects.
    pub(super) fn read(shape: &Shape, head: &Parts, bytes: &Bytes, number: u64, uri: Uri) -> Result<Self, Error> {
        let places = &shape.places;
        let next = match &places.next {
            Some(ReadFrom::Body(pointer)) => Some(pointer),
            _ => None,
        };
        let [total, page_count, has_more, says] =
            [&places.total, &places.page_count, &places.has_more, &places.says].map(Option::as_ref);
        let wanted = [next, total, page_count, has_more, says];
        let pointers: Vec<_> = wanted.into_iter().flatten().collect();
        let found = json::find(bytes, Some(&shape.items), &pointers).map_err(|error| {
            let what = if bytes.is_empty() { "empty" } else { "not the JSON it should be" };
            broken(format!("the page is {what}")).with_source(error)
        })?;
        let mut values = found.values.into_iter();
        let [next, total, page_count, more, says] = wanted.map(|place| place.and_then(|_| values.next().flatten()));
        let link = match &places.next {
            None => None,
            Some(ReadFrom::Body(_)) => next.map(named).transpose()?.flatten(),
            Some(ReadFrom::LastItem(pointer)) => {
                let items = found.items.as_deref().unwrap_or_default();
                items.last().map(|item| key(item, pointer)).transpose()?
            }
            Some(ReadFrom::Header(name)) => match head.headers.get(name).map(|value| value.to_str()) {
                Some(Ok(text)) => Some(Link::Text(text.to_owned())).filter(|_| !text.trim().is_empty()),
                Some(Err(_)) => return Err(broken(format!("the header {name} is not text"))),
                None => None,
            },
            Some(ReadFrom::Link(relation)) => link_header::target(&head.headers, relation, &uri)
                .map_err(|problem| broken(format!("the Link header {problem}")))?
                .map(Link::Text),
        };
        let number_at = |value: Option<&RawValue>| value.and_then(|value| value.get().parse::<u64>().ok());
        let (total, page_count, more) = (number_at(total), number_at(page_count), more.and_then(flag));
        // An API that leaves out an empty list still says something of pages; an error behind a 200 does not.
        let says_something =
            link.is_some() || total.is_some() || page_count.is_some() || more.is_some() || says.is_some();
        if found.items.is_none() && !says_something {
            return Err(broken(format!("the answer has no {}", shape.items)));
        }
        if more == Some(true) && link.is_none() && places.next.is_some() {
            return Err(broken("the page says that there are more, and not where".into()));
        }

        let origin = bytes.as_ptr() as usize;
        let slice = |text: &str| {
            let start = text.as_ptr() as usize - origin;
            start..start + text.len()
        };
        let items: Vec<_> = found.items.unwrap_or_default().iter().map(|raw| slice(raw.get())).collect();
        let page = Page { number, bytes: bytes.clone(), items, total };
        Ok(Self { page: Some(page), link, page_count, more, uri, headers: HeaderMap::new(), shape: None })
    }
}

fn broken(message: String) -> Error {
    Error::new(ErrorKind::Body, message)
}

fn named(value: &RawValue) -> Result<Option<Link>, Error> {
    let problem = "what should name the next page is neither text nor a number";
    link(value).map_err(|error| broken(problem.into()).with_source(error))
}

/// The key of the last item: without one there is no way to say what comes after it.
fn key(item: &RawValue, pointer: &json::Pointer) -> Result<Link, Error> {
    let found = json::find(item.get().as_bytes(), None, &[pointer]);
    let value = found.ok().and_then(|found| found.values.into_iter().next().flatten());
    let key = value.map(named).transpose()?.flatten();
    key.ok_or_else(|| broken(format!("the last item has no {pointer}")))
}

/// A boolean, or the text of one; anything else says nothing.
fn flag(value: &RawValue) -> Option<bool> {
    match value.get().trim_matches('"') {
        text if text.eq_ignore_ascii_case("true") => Some(true),
        text if text.eq_ignore_ascii_case("false") => Some(false),
        _ => None,
    }
}
