//! What may cross a thread, and what may be held across an await.

use std::{fmt::Debug, marker::PhantomPinned};

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use tower::util::{BoxCloneService, BoxCloneSyncService};
use tower_oauth2::{
    Deadline, Error, MinTtl, OAuth, OAuthLayer, SourceFn, Token, TokenCache, TokenCaches, TokenKey, TokenRejected,
    TokenSource,
    cache::{Builder, Stats},
    caches::{self, Tokens},
    challenge::Challenge,
    future::ResponseFuture,
    genesys::{RetryHintLayer, RetryHintService},
    grant::{
        ClientAuth, ClientCredentials, HttpClient, Metadata, RefreshToken, Secret, TokenEndpoint, TokenExchange,
        TokenRequest,
    },
    pager::{self, Continuation, ErrorKind, Items, Page, Pager, Place, Query, RawItem, RawItems, Rule},
    retry::{
        Cooldown, CooldownError, CooldownLayer, Failure, GrpcClassifier, HttpClassifier, Processed, Repeat, ReplayBody,
        ReplayBodyLayer, ReplayBodyService, ReplayError, RetryHint, RetryHints, RetryLayer, RetryOutcome, RetryPolicy,
        RetryStats, Stopped, TypedErrors, Verdict, Wait,
        cooldown::{self, CooldownStats, Pacing},
    },
    source_fn,
    testing::{Dialect, Issuer, IssuerService, IssuerStats},
};

type Inner = BoxCloneSyncService<Request<()>, http::Response<()>, tower::BoxError>;

#[test]
fn what_is_shared_is_send_sync_unpin_clone_and_debug() {
    fn shared<T: Send + Sync + Unpin + Clone + Debug + 'static>() {}
    shared::<Token>();
    shared::<TokenCache>();
    shared::<TokenRejected>();
    shared::<Stats>();
    shared::<Error>();
    shared::<Deadline>();
    shared::<MinTtl>();
    shared::<TokenCaches>();
    shared::<TokenKey>();
    shared::<Tokens>();
    shared::<Challenge>();
    shared::<OAuthLayer>();
    shared::<OAuth<()>>();
    shared::<OAuth<Inner>>();
    shared::<SourceFn<fn()>>();
}

#[test]
fn what_a_grant_is_made_of_is_send_sync_unpin_clone_and_debug() {
    fn shared<T: Send + Sync + Unpin + Clone + Debug + 'static>() {}
    fn sources<T: TokenSource + Unpin + Clone + Debug>() {}
    sources::<TokenRequest>();
    sources::<ClientCredentials>();
    sources::<RefreshToken>();
    sources::<TokenExchange>();
    shared::<ClientAuth>();
    shared::<Secret>();
    shared::<TokenEndpoint>();
    shared::<Metadata>();
    shared::<Issuer>();
    shared::<IssuerService>();
    shared::<IssuerStats>();
    shared::<Dialect>();
}

#[test]
fn a_token_request_is_sent_with_any_client_that_can_be_cloned_and_sent() {
    fn client<T: HttpClient>() {}
    client::<BoxCloneSyncService<Request<Full<Bytes>>, http::Response<Full<Bytes>>, tower::BoxError>>();
    // Not `Sync`.
    client::<BoxCloneService<Request<Full<Bytes>>, http::Response<Full<Bytes>>, tower::BoxError>>();
    fn spawned(_: impl Future<Output = Result<Metadata, Error>> + Send) {}
    spawned(Metadata::discover(Issuer::new().service(), "https://login.example.com"));
}

#[test]
fn what_a_pager_is_made_of_and_makes_is_send_sync_unpin_clone_and_debug() {
    fn shared<T: Send + Sync + Unpin + Clone + Debug + 'static>() {}
    shared::<Query>();
    shared::<Rule>();
    shared::<Place>();
    shared::<Page>();
    shared::<RawItem>();
    shared::<Continuation>();
    shared::<pager::ApiError>();
    shared::<ErrorKind>();
    shared::<Repeat>();
    shared::<RetryPolicy>();
    shared::<RetryLayer<RetryPolicy>>();
    shared::<RetryOutcome>();
    shared::<RetryStats>();
    shared::<Stopped>();
    shared::<Verdict>();
    shared::<Failure>();
    shared::<Processed>();
    shared::<HttpClassifier>();
    shared::<GrpcClassifier>();
    shared::<TypedErrors>();
    shared::<RetryPolicy<TypedErrors<GrpcClassifier>>>();
    shared::<RetryHints>();
    shared::<RetryHint>();
    shared::<RetryHintLayer>();
    shared::<RetryHintService<Inner>>();
    shared::<CooldownLayer>();
    shared::<Cooldown<Inner>>();
    shared::<CooldownError>();
    shared::<CooldownStats>();
    shared::<Pacing>();
    shared::<ReplayBodyLayer>();
    shared::<ReplayBodyService<Inner>>();
    shared::<ReplayError>();
    // Whatever the body is, as long as it is `Send`.
    shared::<ReplayBody<(PhantomPinned, std::cell::Cell<u8>)>>();
}

#[test]
fn a_stream_of_pages_or_items_is_send_sync_unpin_and_debug() {
    fn streamed<T: Send + Sync + Unpin + Debug + 'static>() {}
    // Whatever the service and the items are.
    streamed::<Pager<PhantomPinned>>();
    streamed::<RawItems<PhantomPinned>>();
    streamed::<Items<PhantomPinned, std::rc::Rc<PhantomPinned>>>();
    streamed::<pager::Error>();
    streamed::<Wait>();
}

#[test]
fn what_is_used_once_is_send_and_debug() {
    fn sent<T: Send + Debug + 'static>() {}
    sent::<Builder>();
    sent::<caches::Builder>();
    sent::<ResponseFuture<Inner, ()>>();
    sent::<cooldown::ResponseFuture<Inner, ()>>();
}

#[test]
fn the_futures_of_a_cache_can_be_spawned() {
    fn spawned(_: impl Future<Output = Result<Token, Error>> + Send) {}
    fn of_any_source<S: TokenSource>(source: &S) {
        spawned(source.token(None));
    }
    let source = source_fn(|_| std::future::ready(Token::new("a")));
    of_any_source(&source);
    spawned(TokenCache::new(source).token());
}

#[test]
fn an_error_is_a_box_error() {
    fn boxed<E: std::error::Error + Into<tower::BoxError>>() {}
    boxed::<Error>();
    boxed::<pager::Error>();
    boxed::<CooldownError>();
    assert!(size_of::<Error>() <= 32, "{}", size_of::<Error>());
}
