//! What to ask for.

use std::{fmt, sync::Arc};

use bytes::Bytes;
use http::{
    Extensions, HeaderMap, HeaderValue, Method, Uri,
    header::{ACCEPT, CONTENT_TYPE},
};
use serde_json::Value;

use super::{
    auto::Guess,
    bare::bare_uri,
    error::{ApiError, Error},
    fingerprint::Fingerprint,
    job::{ID, Plan, with_id},
    place::pointer_at,
    position::Position,
    request::{absolute, not_absolute},
    rule::{Kind, Places, Rule},
};
use crate::{json::Pointer, origin::Origin, repeat::Repeat};

/// The first request of a paged answer, where its items are, and where the next page is.
///
/// The JSON body is opaque: nothing in it is read, and only what the [`Rule`] names is written.
#[derive(Clone)]
#[must_use]
pub struct Query {
    pub(super) method: Method,
    pub(super) uri: Uri,
    pub(super) origin: Origin,
    pub(super) headers: HeaderMap,
    pub(super) body: Option<Value>,
    /// Of every request, its [`Repeat`] among them.
    pub(super) extensions: Extensions,
    pub(super) shape: Arc<Shape>,
    /// Whether the first page decides on the shape.
    pub(super) auto: bool,
    pub(super) job: Option<Arc<Plan>>,
    explain: fn(&HeaderMap, &[u8]) -> ApiError,
}

/// What an answer looks like.
#[derive(Clone, Debug)]
pub(super) struct Shape {
    pub(super) items: Pointer,
    pub(super) rule: Rule,
    pub(super) places: Places,
    /// What it was guessed from.
    pub(super) guess: Option<Guess>,
}

// === impl Query ===

impl Query {
    /// A GET of `url`, whose items are the array at the JSON pointer `items`.
    ///
    /// # Errors
    ///
    /// If `url` is not an absolute http or https URL, carries credentials, or a pointer is none.
    pub fn get(url: impl AsRef<str>, items: impl AsRef<str>, rule: Rule) -> Result<Self, Error> {
        Self::new(Method::GET, url.as_ref(), None, items.as_ref(), rule)
    }

    /// A POST of the JSON `body` to `url`, whose items are the array at the JSON pointer `items`.
    ///
    /// # Errors
    ///
    /// As [`get`](Self::get), and if the rule writes to a place of the body that is not within an object.
    pub fn post(url: impl AsRef<str>, body: Value, items: impl AsRef<str>, rule: Rule) -> Result<Self, Error> {
        Self::new(Method::POST, url.as_ref(), Some(body), items.as_ref(), rule)
    }

    /// A GET of `url`, whose items and next page are wherever the first page has them: for a quick look, and for APIs that
    /// answer now in one way and now in another. Say a [`Rule`] where you can.
    ///
    /// | what | places, the first that is there |
    /// |---|---|
    /// | items, a list | `conversations`, `entities`, `results`, `userDetails`, `Resources`, `completedContacts`, `contacts`, `items`, `records`, `data` |
    /// | next page, a URL (which begins with a scheme, `/` or `?`) | `nextPage`, `next_page`, `nextUri`, `cursor`, `cursors.after` (these two with a scheme only), `_links.next`, `next`; else the `Link` header; asked for with GET |
    /// | next page, anything else | `nextPage`, as `q64` and with GET; `next_page`, as `page_token`; `cursor`, as `cursor`; `cursors.after`, as `after` |
    /// | no next page | `totalHits`, counted in the body's `paging.pageNumber`; `pageCount`, counted as `pageNumber`; `totalResults`, counted as `startIndex`; otherwise there is one page, which is incomplete if `totalHits`, `totalResults`, `total` or `totalRecords` says so, and an error if `pageCount`, `hasMore` or `has_more` does |
    ///
    /// Later pages have to look like the first: one whose items are elsewhere, or that names its next page elsewhere, is an
    /// error, not empty or the last.
    ///
    /// # Errors
    ///
    /// If `url` is not an absolute http or https URL, or carries credentials.
    pub fn auto_get(url: impl AsRef<str>) -> Result<Self, Error> {
        Ok(Self { auto: true, ..Self::new(Method::GET, url.as_ref(), None, "", Rule::single())? })
    }

    /// The same, with a POST of the JSON `body`.
    ///
    /// # Errors
    ///
    /// As [`auto_get`](Self::auto_get).
    pub fn auto_post(url: impl AsRef<str>, body: Value) -> Result<Self, Error> {
        Ok(Self { auto: true, ..Self::new(Method::POST, url.as_ref(), Some(body), "", Rule::single())? })
    }

    /// A header for every request, such as a version or a tenant. An `Authorization` would be sent in place of the token of
    /// [`OAuthLayer`](crate::OAuthLayer).
    pub fn header(mut self, name: http::HeaderName, value: HeaderValue) -> Self {
        self.headers.insert(name, value);
        self
    }

    /// Whether a page's request is harmless to repeat. Defaults to [`Repeat::Always`], a page being read and not made.
    ///
    /// With [`Repeat::Never`] a page whose body is broken is an error at once, whatever
    /// [`page_attempts`](super::Pager::page_attempts) says, and a [`RetryPolicy`](crate::retry::RetryPolicy) sends again
    /// only what the server did not look at.
    pub fn repeat(self, repeat: Repeat) -> Self {
        self.extension(repeat)
    }

    /// An extension for every request, in place of one of its type. It is no part of what a
    /// [`Continuation`](super::Continuation) is bound to.
    ///
    /// A [`Deadline`](crate::Deadline), for example, which is one instant for all pages:
    ///
    /// ```
    /// use std::time::Duration;
    /// use tower_oauth2::{Deadline, pager::{Query, Rule}};
    ///
    /// let query = Query::get("https://api.example.com/users", "/users", Rule::next_url("/next"))?
    ///     .extension(Deadline::within(Duration::from_secs(600)));
    /// # Ok::<(), tower_oauth2::pager::Error>(())
    /// ```
    pub fn extension(mut self, value: impl Clone + Send + Sync + 'static) -> Self {
        self.extensions.insert(value);
        self
    }

    /// Reads what an error answer says about itself. Defaults to the members `code` (or `error`), `message` (or
    /// `error_description`, `detail`, `title`), and the header `x-correlation-id` or `x-request-id`. For a page that is
    /// broken, too large or not complete it is asked for the correlation id, with the headers and an empty body.
    pub fn explain_errors(mut self, explain: fn(&HeaderMap, &[u8]) -> ApiError) -> Self {
        self.explain = explain;
        self
    }

    fn new(method: Method, url: &str, body: Option<Value>, items: &str, rule: Rule) -> Result<Self, Error> {
        let uri = absolute(url)?;
        let origin = Origin::of(&uri).ok_or_else(not_absolute)?;
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        if body.is_some() {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        let mut extensions = Extensions::new();
        extensions.insert(Repeat::Always);
        let query = Self {
            method,
            uri,
            origin,
            headers,
            body,
            extensions,
            shape: Arc::new(Shape { items: pointer_at(items)?, places: rule.places()?, rule, guess: None }),
            auto: false,
            job: None,
            explain: ApiError::guess,
        };
        if query.shape.rule.get && query.shape.places.body.is_some() {
            return Err(Error::config("the rule writes to a body, and the GETs it follows with have none"));
        }
        // Whether the rule can write where it wants to is known now.
        query.body_at(&Position::Page(0))?;
        Ok(query)
    }

    pub(super) fn first(&self) -> Position {
        match self.shape.rule.kind {
            Kind::PageNumber { first, .. } => Position::Page(first),
            Kind::Offset { first, .. } => Position::Offset(first),
            Kind::Single | Kind::NextUrl { .. } | Kind::Cursor { .. } => Position::Start,
        }
    }

    /// The same, of the results of a job.
    pub(super) fn of_job(mut self, plan: Plan) -> Result<Self, Error> {
        if self.auto {
            return Err(Error::config("the results of a job need a Rule that says where their pages are"));
        }
        if !self.uri.to_string().contains(ID) {
            return Err(Error::config(format!("the URL for the results of a job has no {ID} in it")));
        }
        Arc::make_mut(&mut self.shape).places.says = plan.said_to().cloned();
        self.job = Some(Arc::new(plan));
        Ok(self)
    }

    /// The same, of the results of the job of that name.
    pub(super) fn of_this_job(&self, id: &str) -> Result<Self, Error> {
        Ok(Self { uri: absolute(&with_id(&self.uri.to_string(), id))?, ..self.clone() })
    }

    /// # Errors
    ///
    /// For a URL of another origin.
    pub(super) fn is_at_home(&self, uri: &Uri) -> Result<(), Error> {
        if self.origin.matches(uri) { Ok(()) } else { Err(Error::foreign_url(&uri.to_string(), &self.origin)) }
    }

    /// What its first page looks like, if that is not known.
    pub(super) fn shape_of(&self, bytes: &Bytes, headers: &HeaderMap) -> Result<Arc<Shape>, Error> {
        if self.auto && self.shape.guess.is_none() {
            return Guess::of(bytes, headers, self)?.shape().map(Arc::new);
        }
        Ok(Arc::clone(&self.shape))
    }

    pub(super) fn url(&self) -> &Uri {
        &self.uri
    }

    /// The number that its URL has in that parameter.
    pub(super) fn param(&self, name: &str) -> Option<u64> {
        let mut pairs = form_urlencoded::parse(self.uri.query()?.as_bytes());
        pairs.find(|(key, _)| key == name)?.1.parse().ok()
    }

    pub(super) fn method(&self) -> &Method {
        &self.method
    }

    pub(super) fn has_body(&self) -> bool {
        self.body.is_some()
    }

    /// Which page the body asks for by number, if it does.
    pub(super) fn page_number(&self) -> Option<u64> {
        self.body.as_ref()?.pointer("/paging/pageNumber")?.as_u64()
    }

    pub(super) fn explain(&self, headers: &HeaderMap, body: &[u8]) -> ApiError {
        (self.explain)(headers, body)
    }

    pub(super) fn correlation_id(&self, headers: &HeaderMap) -> Option<String> {
        self.explain(headers, b"").correlation_id
    }

    pub(super) fn is_repeatable(&self) -> bool {
        self.extensions.get() == Some(&Repeat::Always)
    }

    /// A short name of this query, the same in every process: all that makes it different from another.
    pub(super) fn fingerprint(&self) -> u64 {
        let mut fingerprint = Fingerprint::new();
        fingerprint.field(b'm', self.method.as_str().as_bytes());
        fingerprint.field(b'u', self.uri.to_string().as_bytes());
        if self.auto {
            // What was guessed says nothing of what was asked for.
            fingerprint.field(b'A', b"");
        } else {
            fingerprint.field(b'i', self.shape.items.to_string().as_bytes());
            self.shape.rule.write(&mut fingerprint);
        }
        self.job.iter().for_each(|plan| plan.write(&mut fingerprint));
        let mut headers: Vec<_> = self.headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes())).collect();
        headers.sort_unstable();
        for (name, value) in headers {
            fingerprint.field(b'h', name.as_bytes());
            fingerprint.field(b'v', value);
        }
        if let Some(body) = &self.body {
            fingerprint.field(b'j', b"");
            fingerprint.json(body);
        }
        fingerprint.finish()
    }
}

/// Without the query of the URL, the values of headers, and the body, each of which may be secret.
impl fmt::Debug for Query {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Query")
            .field("method", &self.method)
            .field("url", &bare_uri(&self.uri).unwrap_or_default())
            .field("headers", &self.headers.keys().collect::<Vec<_>>())
            .field("items", &self.shape.items)
            .field("rule", &self.shape.rule)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pager::Place;

    #[test]
    fn what_cannot_work_is_refused_at_once() {
        let body = || serde_json::json!({"paging": 1});
        let rule = Rule::page_number(Place::body("/paging/pageNumber"));
        for (bad, says) in [
            (Query::post("https://a/q", body(), "/items", rule.clone()), "no room"),
            (Query::get("https://a/q", "/items", rule), "GET has none"),
            (Query::get("/q", "/items", Rule::single()), "absolute"),
            (Query::get("ftp://a/q", "/items", Rule::single()), "absolute"),
            (Query::get("https://a/q", "items", Rule::single()), "JSON pointer"),
            (Query::get("https://a/q", "", Rule::next_url("next")), "JSON pointer"),
        ] {
            let error = bad.unwrap_err().to_string();
            assert!(error.contains(says), "{error}");
        }
    }

    #[test]
    fn the_fingerprint_tells_queries_apart_and_does_not_change() {
        let rule = Rule::page_number(Place::body("/p")).first(0).total("/t").page_count("/c");
        let body = serde_json::json!({"b": [1, -2, 0.5, null], "a": "é"});
        let pinned = Query::post("https://A/q?x=1", body, "/i", rule).unwrap();
        assert_eq!(format!("{:016x}", pinned.fingerprint()), "e459b3d67dc5dbb7", "old continuations are refused");

        let of = |url: &str, items: &str| Query::get(url, items, Rule::single()).unwrap().fingerprint();
        assert_eq!(of("https://a/q", "/x"), of("https://a/q", "/x"));
        assert_ne!(of("https://a/q", "/x"), of("https://a/q", "/y"));
        assert_ne!(of("https://a/q", "/x"), of("https://b/q", "/x"));

        let tenant = |tenant: &'static str| {
            let query = Query::get("https://a/q", "/x", Rule::single()).unwrap();
            query.header(http::HeaderName::from_static("tenant"), HeaderValue::from_static(tenant)).fingerprint()
        };
        assert_eq!(tenant("a"), tenant("a"));
        assert_ne!(tenant("a"), tenant("b"));
        assert_ne!(tenant("a"), of("https://a/q", "/x"));
    }
}
