//! From the API to the output: part after part, page after page, each written before the next is asked for.

use std::io;

use bytes::Bytes;
use futures_util::StreamExt as _;
use http::{Request, Response};
use http_body::Body;
use http_body_util::Full;
use tokio::{runtime::Handle, runtime::RuntimeFlavor, task::block_in_place};
use tower::{BoxError, Service};
use tower_oauth2::pager::{self, Pager};

use crate::{
    args::Shape,
    config::{Patience, Period},
    disk::Disk,
    output::Output,
    query,
};

/// Why the records do not flow any more.
#[derive(Debug)]
pub enum Halt {
    Api(pager::Error),
    Output(io::Error),
    /// So short a part has more records than the API counts.
    TooDense(Period),
}

/// What is told of each page: all records so far, and how many the part in hand has in all if it is the only one.
#[derive(Clone, Copy, Debug)]
pub struct Told {
    pub records: u64,
    pub total: Option<u64>,
}

/// Exports what `output` still lacks. `repeats` counts the pages that were asked for again because their body was broken.
///
/// # Errors
///
/// Whatever kept a record from being exported. A later run goes on with the page that it was on.
pub async fn pump<S, R, D>(
    service: S,
    patience: &Patience,
    output: &mut Output<D>,
    repeats: &mut u64,
    mut tell: impl FnMut(Told),
) -> Result<(), Halt>
where
    S: Service<Request<Full<Bytes>>, Response = Response<R>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Into<BoxError>,
    R: Body + Send + 'static,
    R::Data: Send,
    R::Error: Into<BoxError>,
    D: Disk,
{
    while let Some(part) = output.state().parts.front().copied() {
        let before = *repeats;
        let subject = &output.state().subject;
        let cuts = subject.shape == Shape::Details;
        let only = output.state().parts.len() == 1 && part == subject.period;
        let query = query::build(subject, &part).map_err(Halt::Api)?;
        let pages = match output.state().continuation.clone() {
            Some(continuation) => Pager::resume(service.clone(), query, continuation).map_err(Halt::Api)?,
            None => Pager::new(service.clone(), query),
        };
        let mut pages = pages.idle_timeout(patience.idle).body_timeout(patience.body());
        loop {
            let page = pages.next().await;
            *repeats = before + pages.repeats();
            match page {
                // What the API does not count to its end is asked for in smaller parts, before anything of it is written.
                Some(Ok(page)) if cuts && page.number() == 1 && page.total() > Some(MOST_RESULTS) => {
                    halve(output, part)?;
                    break;
                }
                Some(Err(error)) if cuts && is_too_deep(&error) && output.state().continuation.is_none() => {
                    halve(output, part)?;
                    break;
                }
                Some(Err(error)) => return Err(Halt::Api(error)),
                Some(Ok(page)) => {
                    let next = pages.continuation();
                    let ended = next.is_none();
                    blocking(|| output.write(&page, next)).map_err(Halt::Output)?;
                    tell(Told { records: output.state().records, total: page.total().filter(|_| only) });
                    if ended {
                        break;
                    }
                }
                None => {
                    blocking(|| output.end_part()).map_err(Halt::Output)?;
                    break;
                }
            }
        }
    }
    blocking(|| output.complete()).map_err(Halt::Output)
}

fn halve<D: Disk>(output: &mut Output<D>, part: Period) -> Result<(), Halt> {
    if output.halve_part() {
        tracing::debug!(from = %part.from, to = %part.to, "asking for half of that");
        Ok(())
    } else {
        Err(Halt::TooDense(part))
    }
}

fn is_too_deep(error: &pager::Error) -> bool {
    let message = error.api().and_then(|api| api.message.as_deref()).unwrap_or_default();
    error.status().is_some_and(|status| status.as_u16() == 400) && message.contains("Pagination may not exceed")
}

/// Tells the runtime that this thread waits for a disk.
fn blocking<T>(work: impl FnOnce() -> T) -> T {
    match Handle::current().runtime_flavor() {
        RuntimeFlavor::MultiThread => block_in_place(work),
        _ => work(),
    }
}

/// What the API counts to.
const MOST_RESULTS: u64 = 100_000;
