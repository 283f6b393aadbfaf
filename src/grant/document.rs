//! Fetching what a server publishes about itself.

use std::time::{Duration, SystemTime};

use http::{
    HeaderValue, Request, Uri,
    header::{ACCEPT, CONTENT_TYPE},
};
use http_body_util::Full;
use tokio::{
    runtime::Handle,
    time::{Instant, sleep, timeout_at},
};
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
    read: impl Fn(&str, &[u8]) -> Result<T, Error> + Sync,
) -> Result<T, Error> {
    Handle::try_current().map_err(|_| Error::new(Kind::NoRuntime))?;
    let http = erase(http);
    let give_up_at = Instant::now() + TIMEOUT;
    let mut attempt = 1;
    loop {
        let error = match timeout_at(give_up_at, ask(&*http, places, &read)).await {
            Ok(Ok(document)) => return Ok(document),
            Ok(Err(error)) => error,
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

/// What the first place says that says something fit to be read. If none does: the failure that may pass, or else the first.
async fn ask<T>(
    http: &dyn Http,
    places: &[Uri],
    read: &(impl Fn(&str, &[u8]) -> Result<T, Error> + Sync),
) -> Result<T, Error> {
    let mut failed: Option<Error> = None;
    for place in places {
        let error = match ask_at(http, place).await {
            Ok(document) => match read(&host(place), &document) {
                Ok(document) => return Ok(document),
                Err(error) => error,
            },
            // Nobody there, or asked to be left alone: the other places are of the same host.
            Err(error) if error.is_transport() || error.retry_after().is_some() => return Err(error),
            Err(error) => error,
        };
        failed = match failed {
            Some(first) if first.is_transient() || !error.is_transient() => Some(first),
            _ => Some(error),
        };
    }
    Err(failed.unwrap_or_else(|| Error::config("there is no place to ask for metadata")))
}

async fn ask_at(http: &dyn Http, place: &Uri) -> Result<Zeroizing<Vec<u8>>, Error> {
    let mut request = Request::new(Full::default());
    *request.uri_mut() = place.clone();
    request.headers_mut().insert(ACCEPT, HeaderValue::from_static("application/json"));
    let Reply { status, headers, body, .. } = http.ask(request, MAX_BYTES).await?;
    // Sites whose pages are made in the browser answer with one wherever they are asked.
    let page =
        headers.get(CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().to_ascii_lowercase().starts_with(b"text/html"));
    if status.is_success() && !page {
        return Ok(body);
    }
    let what = if page { " and a page" } else { "" };
    let problem = format!("is not there: {} answers with {status}{what}", place.path());
    let error = Error::new(Kind::Metadata { host: host(place), problem: problem.into() });
    if !status.is_server_error() && !matches!(status.as_u16(), 408 | 425 | 429) {
        return Err(error);
    }
    let after = retry_after(&headers, SystemTime::now());
    Err(after.into_iter().fold(error.with_transient(true), Error::with_retry_after))
}

const MAX_BYTES: usize = 256 * 1024;
const TIMEOUT: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_secs(1);
const ATTEMPTS: u32 = 3;
