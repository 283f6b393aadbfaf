//! What it costs to be able to send a body again, if that never happens.

use std::{
    pin::Pin,
    task::{Context, Poll, Waker},
};

use allocation_counter::{AllocationInfo, measure};
use bytes::Bytes;
use http::Request;
use http_body::Body;
use http_body_util::{Empty, Full};
use tower_oauth2::retry::{Repeat, ReplayBody};

#[test]
fn a_body_that_is_sent_once_costs_a_few_small_allocations() {
    let chunk = Bytes::from(vec![1; 8192]);
    // Its first clone makes it one that counts its users.
    let _used = chunk.clone();
    let first = measured(Request::new(Empty::<Bytes>::new()), |request| drop(ReplayBody::wrap(request, CAP)));
    assert_eq!(first.count_total, 4, "itself, its handle, and the map for the first extension of a request");
    let empty = measured(extended(Empty::<Bytes>::new()), |request| drop(ReplayBody::wrap(request, CAP)));
    assert_eq!(empty.count_total, 2, "itself and its handle");
    let read = measured(extended(Full::new(chunk)), |request| {
        let mut body = ReplayBody::wrap(request, CAP).into_body();
        let cx = &mut Context::from_waker(Waker::noop());
        while let Poll::Ready(Some(Ok(_))) = Pin::new(&mut body).poll_frame(cx) {}
    });
    assert_eq!(read.count_total, 4, "and the body in a box, and the list of chunks");
    assert!(read.bytes_total < 1024, "nothing of the 8 KiB is copied: {}", read.bytes_total);
}

fn measured<B: Body>(request: Request<B>, run: impl FnOnce(Request<B>)) -> AllocationInfo {
    let mut once = Some((request, run));
    measure(|| {
        let (request, run) = once.take().unwrap();
        run(request);
    })
}

/// With another extension already, as a rule.
fn extended<B>(body: B) -> Request<B> {
    let mut request = Request::new(body);
    request.extensions_mut().insert(Repeat::Always);
    request
}

const CAP: usize = 64 * 1024;
