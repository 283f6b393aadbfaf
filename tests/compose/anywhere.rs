//! Each layer of tower's and tower-http's in each place, and what must hold wherever it is.

use std::convert::Infallible;

use futures_util::{future::join_all, stream};
use http::{Request, StatusCode};
use http_body_util::BodyExt;
use tokio::time::{Instant, sleep, timeout};
use tower::{
    BoxError, ServiceBuilder,
    balance::p2c::Balance,
    buffer::Buffer,
    discover::Change,
    filter::{AsyncFilter, Filter},
    limit::{ConcurrencyLimit, RateLimit, rate::Rate},
    load::Constant,
    load_shed::LoadShed,
    timeout::Timeout,
    util::{BoxCloneSyncService, MapResponse},
};
use tower_http::{
    decompression::DecompressionLayer,
    follow_redirect::FollowRedirect,
    propagate_header::PropagateHeader,
    request_id::{MakeRequestUuid, PropagateRequestIdLayer, SetRequestIdLayer},
    trace::TraceLayer,
};
use tower_oauth2::{Error, retry::CooldownLayer};

use crate::{
    support::{Answer, Issuer, millis, secs},
    upstream::{self, Client, ELSEWHERE, HERE, Reply, Stack, Upstream, boxed, get, oauth, post, retry},
};

#[tokio::test(start_paused = true)]
async fn a_refused_token_is_replaced_and_the_request_sent_again() {
    each(async |stack| {
        let upstream = Upstream::new([]).refusing("t1");
        let client = stack.build(&upstream, &Issuer::new(secs(3600)).latency(secs(1)));
        let response = client.send(post(HERE)).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "the body");
        assert_eq!(upstream.tokens(), ["t1", "t2"]);
        assert!((2..=3).contains(&upstream.seconds()[1]), "{:?}", upstream.seconds());
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_429_is_waited_for_and_nobody_knocks_early() {
    each(async |stack| {
        let upstream = Upstream::new([Reply::Busy(5)]);
        let client = stack.build(&upstream, &Issuer::new(secs(3600)));
        assert_eq!(client.send(post(HERE)).await.unwrap().status(), StatusCode::OK);
        assert_eq!(upstream.tokens(), ["t1", "t1"]);
        assert!((5..=7).contains(&upstream.seconds()[1]), "{:?}", upstream.seconds());
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_reset_is_mended_where_the_request_can_be_repeated() {
    each(async |stack| {
        let upstream = Upstream::new([Reply::Reset, Reply::Status(503), Reply::Reset]);
        let client = stack.build(&upstream, &Issuer::new(secs(3600)));
        assert_eq!(client.clone().send(get(HERE)).await.unwrap().status(), StatusCode::OK);
        assert_eq!(upstream.tokens(), ["t1"; 4]);
        let upstream = Upstream::new([Reply::Reset]);
        let client = stack.build(&upstream, &Issuer::new(secs(3600)));
        client.send(post(HERE)).await.unwrap_err();
        assert_eq!(upstream.tokens(), ["t1"]);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_hanging_issuer_holds_up_its_own_requests_only_and_not_for_ever() {
    each(async |stack| {
        let upstream = Upstream::new([]);
        let issuer = Issuer::new(secs(3600));
        issuer.always(Answer::Hang);
        let client = stack.build(&upstream, &issuer);
        let waits = upstream::spawn(&client, get(HERE));
        sleep(millis(10)).await;
        let start = Instant::now();
        // Whoever need not wait does not, unless one limit is around both.
        client.clone().send(get(ELSEWHERE)).await.unwrap();
        let holds_a_place = stack.has_a_limit_outside();
        let waited = Instant::now() - start;
        assert_eq!(waited > secs(2), holds_a_place, "{waited:?}");
        let (after, error) = waits.await.unwrap();
        assert!(after <= secs(13), "{after:?}");
        assert!(Error::find(error.unwrap_err().as_ref()).unwrap().is_timeout());
        assert_eq!(upstream.tokens(), [""]);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn many_at_once_share_their_tokens_and_all_arrive() {
    each(async |stack| {
        let upstream = Upstream::new([]).refusing("t1").latency(millis(50));
        let issuer = Issuer::new(secs(3600)).latency(secs(1));
        let client = stack.build(&upstream, &issuer);
        let calls = (0..20).map(|_| client.clone().send(get(HERE)));
        for response in join_all(calls).await {
            assert_eq!(response.unwrap().status(), StatusCode::OK);
        }
        assert_eq!(issuer.requests(), 2);
        assert!(upstream.sent().len() <= 40);
        assert_eq!(upstream.tokens().iter().filter(|token| *token == "t2").count(), 20);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn whenever_requests_are_dropped_the_next_one_is_served() {
    // While they wait for the token, are under way, wait for the new token, are under way again, and back off.
    for after in [500, 1_025, 1_500, 2_075, 4_000] {
        each(async |stack| {
            let upstream = Upstream::new(vec![Reply::Busy(5); 5]).refusing("t1").latency(millis(50));
            let client = stack.build(&upstream, &Issuer::new(secs(3600)).latency(secs(1)));
            let calls = (0..5).map(|_| client.clone().send(get(HERE)));
            timeout(millis(after), join_all(calls)).await.unwrap_err();
            upstream.calm();
            let response = client.send(get(HERE)).await.unwrap();
            assert_eq!(response.status(), StatusCode::OK);
            assert_eq!(upstream.tokens().last().unwrap(), "t2");
        })
        .await;
    }
}

type Wrap = fn(Client) -> Client;

/// What is around a client, around the `OAuthLayer`, around the `CooldownLayer` and around the `RetryLayer`.
#[derive(Clone, Copy)]
struct Combination {
    around: [Option<(&'static str, Wrap)>; 4],
}

impl Combination {
    fn build(&self, upstream: &Upstream, issuer: &Issuer) -> Client {
        let wrap = |client: Client, at: usize| self.around[at].map_or(client.clone(), |(_, wrap)| wrap(client));
        let client = wrap(upstream.client(), 0);
        let client = wrap(boxed(oauth(issuer), client), 1);
        let client = wrap(boxed(CooldownLayer::new().seed(1), client), 2);
        wrap(boxed(retry(), client), 3)
    }

    /// Whether a limit counts requests that wait.
    fn has_a_limit_outside(&self) -> bool {
        self.around[1..].iter().flatten().any(|(name, _)| *name == "concurrency limit")
    }
}

/// Each layer in each place, and in all at once; and all pairs, one inside of everything and the other outside.
async fn each(test: impl AsyncFn(Combination)) {
    let mut combinations: Vec<_> = LAYERS.map(|layer| [Some(layer); 4]).into();
    for layer in LAYERS {
        combinations.extend((0..4).map(|place| std::array::from_fn(|at| (at == place).then_some(layer))));
        combinations.extend(LAYERS.map(|outer| [Some(layer), None, None, Some(outer)]));
    }
    for around in combinations {
        let names = around.map(|layer| layer.map(|(name, _)| name));
        println!("{names:?}");
        let test = test(Combination { around });
        timeout(secs(120), test).await.unwrap_or_else(|_| panic!("{names:?} hangs"));
    }
}

const LAYERS: [(&str, Wrap); 15] = [
    ("timeout", |client| BoxCloneSyncService::new(Timeout::new(client, secs(30)))),
    ("concurrency limit", |client| BoxCloneSyncService::new(ConcurrencyLimit::new(client, 1))),
    // A rate limit cannot be cloned.
    ("rate limit", |client| {
        BoxCloneSyncService::new(Buffer::new(RateLimit::new(client, Rate::new(5, millis(200))), 1))
    }),
    ("buffer", |client| BoxCloneSyncService::new(Buffer::new(client, 1))),
    ("load shed", |client| BoxCloneSyncService::new(LoadShed::new(client))),
    ("balance", |client| {
        // Two handles to one client would keep its only place from each other; see `balance.rs`.
        let changes = [Ok::<_, Infallible>(Change::Insert(0, Constant::new(client, 1)))];
        BoxCloneSyncService::new(Buffer::new(Balance::new(stream::iter(changes)), 1))
    }),
    ("filter", |client| {
        BoxCloneSyncService::new(Filter::new(client, |request: Request<_>| Ok::<_, BoxError>(request)))
    }),
    ("async filter", |client| {
        let check = |request: Request<_>| async {
            sleep(millis(1)).await;
            Ok::<_, BoxError>(request)
        };
        BoxCloneSyncService::new(AsyncFilter::new(client, check))
    }),
    ("box", BoxCloneSyncService::new),
    ("follow redirect", |client| BoxCloneSyncService::new(FollowRedirect::new(client))),
    ("decompression", |client| {
        let client = ServiceBuilder::new().layer(DecompressionLayer::new()).service(client);
        BoxCloneSyncService::new(MapResponse::new(client, |response: http::Response<_>| {
            response.map(BodyExt::boxed_unsync)
        }))
    }),
    ("trace", |client| {
        let client = ServiceBuilder::new().layer(TraceLayer::new_for_http()).service(client);
        BoxCloneSyncService::new(MapResponse::new(client, |response: http::Response<_>| {
            response.map(BodyExt::boxed_unsync)
        }))
    }),
    ("request id", |client| {
        let set = SetRequestIdLayer::x_request_id(MakeRequestUuid);
        let propagate = PropagateRequestIdLayer::x_request_id();
        BoxCloneSyncService::new(ServiceBuilder::new().layer(set).layer(propagate).service(client))
    }),
    ("timeout of tower-http", |client| {
        let status = StatusCode::GATEWAY_TIMEOUT;
        BoxCloneSyncService::new(tower_http::timeout::Timeout::with_status_code(client, status, secs(30)))
    }),
    ("propagate header", |client| {
        BoxCloneSyncService::new(PropagateHeader::new(client, http::HeaderName::from_static("x-request-id")))
    }),
];
