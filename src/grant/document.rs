//! Fetching what a server publishes about itself.

use std::time::{Duration, SystemTime};

use http::{
    HeaderValue, Request, Uri,
    header::{ACCEPT, CONTENT_TYPE},
};
use http_body_util::Full;
use tokio::time::{Instant, sleep, timeout_at};
use zeroize::Zeroizing;

use super::transport::{Http, HttpClient, Reply, erase, host};
use crate::{
    error::{Error, Kind},
    retry_after::retry_after,
};

/// Asks `places` until one answers with a document, and has it read, together with who answered. A failure that may pass
/// is tried three times, a second apart, within ten seconds in all.
pub(crate) async fn fetch<T>(
    http: impl HttpClient,
    places: &[Uri],
    read: impl Fn(&str, &[u8]) -> Result<T, Error>,
) -> Result<T, Error> {
    let http = erase(http);
    let give_up_at = Instant::now() + TIMEOUT;
    let mut attempt = 1;
    loop {
        let asked = timeout_at(give_up_at, ask(&*http, places)).await;
        let error = match asked {
            Ok(answer) => match answer.and_then(|(host, document)| read(&host, &document)) {
                Ok(document) => return Ok(document),
                Err(error) => error,
            },
            Err(_) => {
                let timeout = Kind::Timeout { what: "fetching the server's metadata", after: TIMEOUT };
                return Err(Error::new(timeout).with_transient(true));
            }
        };
        let again = error.is_transient() && error.retry_after().is_none() && attempt < ATTEMPTS;
        if !again || Instant::now() + PAUSE >= give_up_at {
            return Err(error);
        }
        sleep(PAUSE).await;
        attempt += 1;
    }
}

async fn ask(http: &dyn Http, places: &[Uri]) -> Result<(Box<str>, Zeroizing<Vec<u8>>), Error> {
    let mut none = Error::config("there is no place to ask for metadata");
    for place in places {
        let mut request = Request::new(Full::default());
        *request.uri_mut() = place.clone();
        request.headers_mut().insert(ACCEPT, HeaderValue::from_static("application/json"));
        let Reply { status, headers, body, .. } = http.ask(request, MAX_BYTES).await?;
        // Sites whose pages are made in the browser answer with one wherever they are asked.
        let page = headers
            .get(CONTENT_TYPE)
            .is_some_and(|kind| kind.as_bytes().to_ascii_lowercase().starts_with(b"text/html"));
        if status.is_success() && !page {
            return Ok((host(place), body));
        }
        let what = if page { " and a page" } else { "" };
        let problem = format!("is not there: {} answers with {status}{what}", place.path());
        let error = Error::new(Kind::Metadata { host: host(place), problem: problem.into() });
        if status.is_server_error() || matches!(status.as_u16(), 408 | 425 | 429) {
            let after = retry_after(&headers, SystemTime::now());
            return Err(after.into_iter().fold(error.with_transient(true), Error::with_retry_after));
        }
        none = error;
    }
    Err(none)
}

const MAX_BYTES: usize = 256 * 1024;
const TIMEOUT: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_secs(1);
const ATTEMPTS: u32 = 3;
