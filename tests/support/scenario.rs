//! What every client has to show, and an API to show it on.

use std::{
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll},
    time::Duration,
};

use bytes::{Buf, Bytes};
use futures_util::{TryStreamExt, future::join_all};
use http::{HeaderValue, Method, Request, Response, StatusCode, Version, header::AUTHORIZATION};
use http_body::Body;
use http_body_util::{BodyExt, Full};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
    service::TowerToHyperService,
};
use serde_json::Value;
use tokio::{
    net::TcpListener,
    task::AbortHandle,
    time::{Instant, sleep, timeout},
};
use tower::{BoxError, Service, ServiceBuilder, ServiceExt, retry::Retry, util::BoxCloneSyncService};
use tower_oauth2::{
    OAuth, OAuthLayer, TokenCache,
    grant::{ClientAuth, ClientCredentials},
    pager::{Pager, Query, Rule},
    retry::{RetryLayer, RetryOutcome, RetryPolicy, RetryStats, Stopped},
    testing::{self, Analytics, AnalyticsService, Fault, Issuer},
};

/// An authorization server and an API, at once, that remember what came to the API.
#[derive(Clone)]
pub(crate) struct Api {
    pub(crate) issuer: Issuer,
    pub(crate) analytics: Analytics,
    seen: Arc<Mutex<Vec<Seen>>>,
}

/// One request.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) path: String,
    pub(crate) version: Version,
    pub(crate) authorization: Vec<HeaderValue>,
}

#[derive(Clone)]
pub(crate) struct ApiService {
    inner: AnalyticsService,
    seen: Arc<Mutex<Vec<Seen>>>,
}

/// The API on a socket, for HTTP/1.1 and HTTP/2 by prior knowledge. Stops when it is dropped.
pub(crate) struct ApiServer {
    pub(crate) base: String,
    task: AbortHandle,
}

/// A client, an API, and what the one calls the other.
struct Stage<'a, C> {
    api: &'a Api,
    client: C,
    base: &'a str,
}

/// Asserts all that is promised, over a client that reaches `api` under `base`, and speaks that version.
pub(crate) async fn keeps_every_promise<C, R>(api: &Api, client: C, base: &str, version: Option<Version>)
where
    C: Service<Request<Full<Bytes>>, Response = Response<R>> + Clone + Send + Sync + 'static,
    C::Error: Into<BoxError>,
    C::Future: Send,
    R: Body + Send + 'static,
    R::Data: Send,
    R::Error: Into<BoxError>,
{
    let stage = Stage { api, client, base };
    let all = async {
        stage.a_get_survives_a_401_a_429_and_a_503().await;
        stage.a_post_is_replayed_until_it_may_have_been_processed().await;
        stage.a_crowd_under_a_revoked_token_costs_one_token_and_two_sends_each().await;
        stage.a_dropped_request_harms_no_other().await;
        stage.a_stranger_gets_no_token().await;
        stage.pages_come_to_their_end().await;
    };
    timeout(LIMIT, all).await.expect("it hangs");
    let seen = api.seen();
    assert!(version.is_none_or(|version| seen.iter().all(|seen| seen.version == version)), "{seen:?}");
}

// === impl Stage ===

impl<C, R> Stage<'_, C>
where
    C: Service<Request<Full<Bytes>>, Response = Response<R>> + Clone + Send + Sync + 'static,
    C::Error: Into<BoxError>,
    C::Future: Send,
    R: Body + Send + 'static,
    R::Data: Send,
    R::Error: Into<BoxError>,
{
    async fn a_get_survives_a_401_a_429_and_a_503(&self) {
        let (stack, policy, tokens) = self.stack();
        let minted = self.api.issuer.stats().minted;
        self.fail([Fault::Unauthorized, Fault::RetryAfter(429, SECOND), Fault::Status(503)]);
        let began = Instant::now();
        let response = stack.oneshot(self.request(Method::GET, "/echo/get", "")).await.unwrap();
        assert!(Instant::now() - began >= SECOND, "came back before it was asked to");
        assert_eq!(body(response).await, r#"{"method":"GET","path":"/echo/get","length":0}"#);

        let sent = self.api.sent("/echo/get");
        assert_eq!(sent.len(), 4, "{sent:?}");
        assert_ne!(sent[0], sent[1], "a replay has another token");
        assert!(sent[2] == sent[1] && sent[3] == sent[1], "{sent:?}");
        assert_eq!(self.api.issuer.stats().minted - minted, 2);
        assert_eq!(tokens.stats().rejected, 1);
        assert_eq!(counts(&policy), (2, 1, 0));
        assert_eq!(self.api.analytics.stats().requests_inside_retry_after, 0);
    }

    async fn a_post_is_replayed_until_it_may_have_been_processed(&self) {
        let (stack, policy, _) = self.stack();
        // More than one frame, and than one window of HTTP/2.
        let upload = "x".repeat(200_000);
        let post = || self.request(Method::POST, "/echo/post", &upload);
        self.fail([Fault::Unauthorized, Fault::Status(429)]);
        let response = stack.clone().oneshot(post()).await.unwrap();
        assert_eq!(body(response).await, r#"{"method":"POST","path":"/echo/post","length":200000}"#);
        assert_eq!(self.api.sent("/echo/post").len(), 3);
        assert_eq!(counts(&policy), (1, 1, 0));

        self.fail([Fault::Status(503)]);
        let response = stack.oneshot(post()).await.unwrap();
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
        let outcome: &RetryOutcome = response.extensions().get().unwrap();
        assert_eq!((outcome.attempts, outcome.stopped), (1, Stopped::NotRepeatable));
        assert_eq!(self.api.sent("/echo/post").len(), 4);
        assert_eq!(counts(&policy), (1, 1, 1));
    }

    async fn a_crowd_under_a_revoked_token_costs_one_token_and_two_sends_each(&self) {
        let (stack, policy, _) = self.stack();
        // Boxed, as they are handed around.
        let stack = BoxCloneSyncService::new(stack);
        let ask = || stack.clone().oneshot(self.request(Method::GET, "/echo/crowd", ""));
        assert_eq!(ask().await.unwrap().status(), StatusCode::OK);
        self.api.issuer.revoke_all();
        let minted = self.api.issuer.stats().minted;
        let sent = self.api.sent("/echo/crowd").len();
        for response in join_all((0..CROWD).map(|_| ask())).await {
            assert_eq!(response.unwrap().status(), StatusCode::OK);
        }
        assert_eq!(self.api.issuer.stats().minted - minted, 1);
        let sent = self.api.sent("/echo/crowd").len() - sent;
        let replays = usize::try_from(policy.stats().replays).unwrap();
        assert!((1..=CROWD).contains(&replays) && sent == CROWD + replays, "{sent} sends, {replays} replays");
    }

    async fn a_dropped_request_harms_no_other(&self) {
        let (stack, ..) = self.stack();
        self.fail([Fault::Hang]);
        let hanging = stack.clone().oneshot(self.request(Method::GET, "/echo/dropped", ""));
        let arrived = async {
            while !self.api.analytics.stats().faults.contains_key(&Fault::Hang) {
                sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::select! {
            _ = hanging => panic!("there was to be no answer"),
            () = arrived => {}
        }
        let response = stack.oneshot(self.request(Method::GET, "/echo/dropped", "")).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(self.api.sent("/echo/dropped").len(), 2);
    }

    async fn a_stranger_gets_no_token(&self) {
        let (stack, _, tokens) = self.stack();
        // The same server by another name, which over TLS it has no certificate for.
        let url = format!("{}/echo/stranger", self.base.replace("127.0.0.1", "localhost"));
        let request = Request::get(url).body(Full::default()).unwrap();
        if let Ok(response) = stack.oneshot(request).await {
            assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
        }
        assert_eq!(self.api.sent("/echo/stranger").concat(), "");
        assert_eq!(tokens.stats().minted, 0);
    }

    async fn pages_come_to_their_end(&self) {
        let (stack, ..) = self.stack();
        let query = Query::get(format!("{}/api/v2/users", self.base), "/entities", Rule::next_url("/nextUri")).unwrap();
        // In the midst of it, the second page is refused and the third breaks off.
        let mut users = Pager::new(stack, query).items::<Value>();
        let first = users.try_next().await.unwrap();
        assert!(first.is_some());
        self.fail([Fault::Unauthorized, Fault::Truncate]);
        let rest: Vec<_> = users.try_collect().await.unwrap();
        assert_eq!(rest.len(), USERS - 1);
    }

    fn fail(&self, faults: impl IntoIterator<Item = Fault>) {
        faults.into_iter().for_each(|fault| self.api.analytics.fail_next(fault));
    }

    fn request(&self, method: Method, path: &str, body: &str) -> Request<Full<Bytes>> {
        let url = format!("{}{path}", self.base);
        Request::builder().method(method).uri(url).body(Full::from(body.to_owned())).unwrap()
    }

    /// With tokens of its own, got through the same client.
    fn stack(&self) -> (Retry<RetryPolicy, OAuth<C>>, RetryPolicy, TokenCache) {
        let auth = ClientAuth::basic("test-client", "test-secret");
        let url = format!("{}/oauth/token", self.base);
        let grant = ClientCredentials::new(self.client.clone(), url, auth).unwrap();
        // No second of waiting for each token that is refused right after it came.
        let tokens = TokenCache::builder(grant).min_interval(Duration::from_millis(100)).build();
        let policy = RetryPolicy::new().backoff(Duration::from_millis(1), Duration::from_millis(1));
        let stack = ServiceBuilder::new()
            .layer(RetryLayer::new(policy.clone()))
            .layer(OAuthLayer::for_origin(self.base, tokens.clone()).unwrap())
            .service(self.client.clone());
        (stack, policy, tokens)
    }
}

// === impl Api ===

impl Api {
    pub(crate) fn new() -> Self {
        let issuer = Issuer::new();
        let analytics = Analytics::builder(&issuer).users(USERS as u64).build();
        Self { issuer, analytics, seen: Arc::default() }
    }

    pub(crate) fn service(&self) -> ApiService {
        ApiService { inner: self.analytics.service_with_issuer(), seen: Arc::clone(&self.seen) }
    }

    pub(crate) async fn serve(&self) -> ApiServer {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let service = self.service();
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let service = TowerToHyperService::new(service.clone());
                tokio::spawn(async move {
                    let server = auto::Builder::new(TokioExecutor::new());
                    let _gone = server.serve_connection(TokioIo::new(stream), service).await;
                });
            }
        });
        ApiServer { base, task: task.abort_handle() }
    }

    /// What came to the API, without the token requests.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    /// The tokens of all requests for that path; an empty string for one without.
    pub(crate) fn sent(&self, path: &str) -> Vec<String> {
        let seen = self.seen();
        seen.iter().filter(|seen| seen.path == path).map(Seen::token).collect()
    }
}

// === impl Seen ===

impl Seen {
    /// What the only `Authorization` header says, if there is one.
    fn token(&self) -> String {
        assert!(self.authorization.len() <= 1, "{self:?}");
        self.authorization.first().map_or(String::new(), |value| value.to_str().unwrap().to_owned())
    }
}

// === impl ApiService ===

impl<B> Service<Request<B>> for ApiService
where
    B: Body + Send + 'static,
    B::Data: Buf + Send,
    B::Error: Into<BoxError>,
{
    type Response = Response<testing::Body>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Service::<Request<B>>::poll_ready(&mut self.inner, cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        if request.uri().path() != "/oauth/token" {
            self.seen.lock().unwrap().push(Seen {
                path: request.uri().path().to_owned(),
                version: request.version(),
                authorization: request.headers().get_all(AUTHORIZATION).iter().cloned().collect(),
            });
        }
        self.inner.call(request)
    }
}

// === impl ApiServer ===

impl Drop for ApiServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Retries, replays, given up.
fn counts(policy: &RetryPolicy) -> (u64, u64, u64) {
    let RetryStats { retries, replays, given_up, .. } = policy.stats();
    (retries, replays, given_up)
}

async fn body<R>(response: Response<R>) -> String
where
    R: Body,
    R::Error: Into<BoxError>,
{
    assert_eq!(response.status(), StatusCode::OK);
    let bytes = response.into_body().collect().await.map_err(Into::into).unwrap().to_bytes();
    String::from_utf8(bytes.to_vec()).unwrap()
}

const USERS: usize = 60;
const CROWD: usize = 20;
const SECOND: Duration = Duration::from_secs(1);
/// Nothing here takes a tenth of it.
const LIMIT: Duration = Duration::from_secs(60);
