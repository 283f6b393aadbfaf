//! What is sent for a page, and for what is not one.

use std::hash::BuildHasher;

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Uri, header::CONTENT_TYPE};
use http_body_util::Full;
use serde_json::Value;

use super::{
    error::Error,
    place::{Place, Slot},
    position::Position,
    query::Query,
};
use crate::{encode::encode, origin::Origin, repeat::Repeat};

// === impl Query ===

impl Query {
    /// The request for the page at `position`, and the URL that links in its answer are relative to.
    pub(super) fn request(&self, position: &Position) -> Result<Request<Full<Bytes>>, Error> {
        let (method, uri, body) = self.line_at(position)?;
        let get = self.gets(position);
        let mut request = Request::new(Full::new(body.unwrap_or_default()));
        *request.method_mut() = method;
        *request.uri_mut() = uri;
        *request.headers_mut() = self.headers.clone();
        if get {
            request.headers_mut().remove(CONTENT_TYPE);
        }
        *request.extensions_mut() = self.extensions.clone();
        Ok(request)
    }

    /// A request that is not for a page.
    pub(super) fn side_request(
        &self,
        method: Method,
        uri: &Uri,
        body: Option<Bytes>,
        repeat: Repeat,
    ) -> Result<Request<Full<Bytes>>, Error> {
        self.is_at_home(uri)?;
        let mut headers = self.headers.clone();
        headers.remove(CONTENT_TYPE);
        if body.is_some() {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        let mut request = Request::new(Full::new(body.unwrap_or_default()));
        *request.method_mut() = method;
        *request.uri_mut() = uri.clone();
        *request.headers_mut() = headers;
        *request.extensions_mut() = self.extensions.clone();
        request.extensions_mut().insert(repeat);
        Ok(request)
    }

    /// The same for pages that are asked for in the same way, whatever led to them: eight bytes a page, so that a run of
    /// days can tell that it goes in circles.
    pub(super) fn hash(&self, position: &Position, hasher: &impl BuildHasher) -> u64 {
        // What cannot be asked for is refused by name, later.
        self.line_at(position).map_or_else(|_| hasher.hash_one(position), |line| hasher.hash_one(line))
    }

    fn gets(&self, position: &Position) -> bool {
        self.shape.rule.get && *position != self.first()
    }

    fn line_at(&self, position: &Position) -> Result<(Method, Uri, Option<Bytes>), Error> {
        let uri = self.uri_at(position)?;
        if self.gets(position) {
            return Ok((Method::GET, uri, None));
        }
        Ok((self.method.clone(), uri, self.body_at(position)?))
    }

    fn uri_at(&self, position: &Position) -> Result<Uri, Error> {
        match (position, self.shape.rule.to()) {
            (Position::Url(url), _) => {
                let uri = url.parse().ok().filter(|uri: &Uri| self.origin.matches(uri));
                let plain = |uri: &Uri| uri.authority().is_some_and(|authority| !authority.as_str().contains('@'));
                uri.filter(plain).ok_or_else(|| Error::foreign_url(url, &self.origin))
            }
            (_, Some(Place(Slot::Query(name)))) => {
                position.value().map_or_else(|| Ok(self.uri.clone()), |value| with_param(&self.uri, name, &value))
            }
            _ => Ok(self.uri.clone()),
        }
    }

    pub(super) fn body_at(&self, position: &Position) -> Result<Option<Bytes>, Error> {
        let Some(mut body) = self.body.clone() else {
            return match self.shape.places.body {
                Some(_) => Err(Error::config("the rule writes to a body, and a GET has none")),
                None => Ok(None),
            };
        };
        let value = match position {
            Position::Page(number) | Position::Offset(number) => Some(Value::from(*number)),
            Position::Cursor(cursor) => Some(Value::from(cursor.as_str())),
            // As a number, unless that would change its digits.
            Position::NumberCursor(cursor) => {
                let number =
                    serde_json::from_str(cursor).ok().filter(|number: &Value| number.to_string().as_str() == cursor);
                Some(number.unwrap_or_else(|| cursor.as_str().into()))
            }
            Position::Start | Position::Url(_) => None,
        };
        if let (Some(pointer), Some(value)) = (&self.shape.places.body, value) {
            if !pointer.set(&mut body, value) {
                return Err(Error::config(format!("there is no room for {pointer} in the body")));
            }
        }
        Ok(Some(body.to_string().into()))
    }
}

/// An http or https URL, without credentials.
pub(super) fn absolute(url: &str) -> Result<Uri, Error> {
    let uri: Uri = url.trim().parse().map_err(|_| not_absolute())?;
    Origin::of(&uri).ok_or_else(not_absolute)?;
    if uri.authority().is_some_and(|authority| authority.as_str().contains('@')) {
        return Err(Error::config("the URL of a query must not carry a user name or password"));
    }
    Ok(uri)
}

pub(super) fn not_absolute() -> Error {
    Error::config("the URL of a query must be absolute, such as https://api.example.com/users")
}

/// `uri` with the query parameter `name`, in place of any of that name; the others stay as they were written.
fn with_param(uri: &Uri, name: &str, value: &str) -> Result<Uri, Error> {
    let is_other = |pair: &&str| {
        let named = form_urlencoded::parse(pair.as_bytes()).next().is_some_and(|(key, _)| key == name);
        !pair.is_empty() && !named
    };
    let mut pairs: Vec<String> =
        uri.query().unwrap_or_default().split('&').filter(is_other).map(str::to_owned).collect();
    pairs.push(format!("{}={}", *encode(name), *encode(value)));
    let path_and_query = format!("{}?{}", uri.path(), pairs.join("&"));
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = path_and_query.parse().ok();
    Uri::from_parts(parts).map_err(|_| Error::config(format!("the parameter {name} does not fit into the URL")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pager::Rule;

    fn uri(text: &str, value: &str) -> String {
        with_param(&text.parse().unwrap(), "page", value).unwrap().to_string()
    }

    #[test]
    fn a_parameter_replaces_its_predecessor_and_no_other() {
        assert_eq!(uri("https://a/x", "1"), "https://a/x?page=1");
        assert_eq!(uri("https://a/x?b=%20c&page=7&pages=2&p%61ge=3", "8"), "https://a/x?b=%20c&pages=2&page=8");
        assert_eq!(uri("https://a/x?", "a b&c=d+/=%"), "https://a/x?page=a%20b%26c%3Dd%2B%2F%3D%25");
    }

    #[test]
    fn the_body_is_left_alone_but_for_the_place_of_the_rule() {
        let body = serde_json::json!({"z": 1, "a": {"n": 1.10}, "paging": {"pageSize": 5}});
        let rule = Rule::page_number(Place::body("/paging/pageNumber"));
        let query = Query::post("https://a/q", body, "/items", rule).unwrap();
        let sent = query.body_at(&Position::Page(3)).unwrap().unwrap();
        assert_eq!(
            serde_json::from_slice::<Value>(&sent).unwrap(),
            serde_json::json!({"z": 1, "a": {"n": 1.10}, "paging": {"pageSize": 5, "pageNumber": 3}})
        );
    }
}
