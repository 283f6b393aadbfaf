//! A real authorization server: oidc-provider on node, one for each test, with an API that takes its tokens.
//!
//! `npm ci` in this folder installs it, or `OIDC_PROVIDER_NODE_MODULES` names the folder that it is in; `NODE` may name the
//! program. Without it these tests say so and do nothing, but with `CI` in the environment they fail.

#![allow(dead_code, reason = "not every test file wants all of it")]

use std::{
    env, fmt,
    io::{self, Write as _},
    path::PathBuf,
    process::Stdio,
    sync::Once,
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response, StatusCode, header::AUTHORIZATION};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use rustls::ClientConfig;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
    time::timeout,
};
use tower::{BoxError, ServiceBuilder, ServiceExt, util::BoxCloneSyncService};
use tower_oauth2::{
    OAuthLayer, Token, TokenCache,
    client::HttpsClient,
    retry::{RetryLayer, RetryPolicy},
};

/// Ends when it is dropped, and when this process does.
pub(crate) struct Provider {
    started: Started,
    http: HttpsClient,
    /// Its standard input is a pipe from us, which the system closes whatever becomes of us.
    _process: Child,
}

/// A client of the API.
pub(crate) type Stack = BoxCloneSyncService<Request<Full<Bytes>>, Response<Incoming>, BoxError>;

#[derive(Deserialize)]
struct Started {
    origin: String,
    issuer: String,
    token_url: String,
    keys: Value,
}

/// What the server saw.
#[derive(Debug, Deserialize)]
pub(crate) struct Stats {
    pub(crate) token_requests: Vec<TokenRequest>,
    pub(crate) largest_concurrency: usize,
    pub(crate) api: ApiStats,
}

#[derive(Deserialize)]
pub(crate) struct TokenRequest {
    pub(crate) client: Option<String>,
    pub(crate) grant: Option<String>,
    /// With details that only the server knows.
    pub(crate) error: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct ApiStats {
    pub(crate) ok: u64,
    pub(crate) refused: u64,
}

// === impl Provider ===

impl Provider {
    /// With the settings that `server.js` describes. `None` if there is no oidc-provider here, and nobody minds.
    pub(crate) async fn start(config: Value) -> Option<Self> {
        Self::start_with(config, HttpsClient::builder().build().unwrap()).await
    }

    /// Over TLS, for a client that trusts the server.
    pub(crate) async fn start_tls(config: Value, client: ClientConfig) -> Option<Self> {
        Self::start_with(config, HttpsClient::builder().tls(client).build().unwrap()).await
    }

    async fn start_with(config: Value, http: HttpsClient) -> Option<Self> {
        let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/oidc_provider");
        let modules = env::var_os(MODULES).map_or_else(|| folder.join("node_modules"), PathBuf::from);
        if !modules.join("oidc-provider").is_dir() {
            return missing(&format!("oidc-provider is not in {}", modules.display()));
        }
        let node = env::var_os("NODE").unwrap_or_else(|| "node".into());
        let mut command = Command::new(&node);
        command.arg(folder.join("server.js")).arg(config.to_string()).kill_on_drop(true);
        let Ok(mut process) = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn() else {
            return missing(&format!("{} does not start", node.to_string_lossy()));
        };
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        // What it has to say before it ends without one is on standard error, which it shares with us.
        let line = timeout(Duration::from_secs(60), lines.next_line()).await.expect("oidc-provider hangs");
        let line = line.unwrap().expect("oidc-provider starts");
        Some(Self { started: serde_json::from_str(&line).unwrap(), http, _process: process })
    }

    /// A client that reaches it.
    pub(crate) fn http(&self) -> HttpsClient {
        self.http.clone()
    }

    pub(crate) fn origin(&self) -> &str {
        &self.started.origin
    }

    pub(crate) fn issuer(&self) -> &str {
        &self.started.issuer
    }

    pub(crate) fn token_url(&self) -> &str {
        &self.started.token_url
    }

    /// The API, which says whose token it got.
    pub(crate) fn api_url(&self) -> String {
        format!("{}/api/whoami", self.started.origin)
    }

    /// The private key that was made for a client: as PKCS #8 in PEM, and as a JWK.
    pub(crate) fn key(&self, client: &str) -> (String, Value) {
        let key = &self.started.keys[client];
        (key["pem"].as_str().unwrap().to_owned(), key["jwk"].clone())
    }

    /// As a user would stack it, with all at its default.
    pub(crate) fn stack(&self, tokens: &TokenCache) -> Stack {
        let origin = OAuthLayer::for_origin(self.origin(), tokens.clone()).unwrap();
        let api = ServiceBuilder::new().layer(RetryLayer::new(RetryPolicy::new())).layer(origin);
        BoxCloneSyncService::new(api.service(self.http()))
    }

    /// What the API says of a token that it takes.
    pub(crate) async fn whoami(&self, token: &Token) -> Value {
        let request = Request::get(self.api_url()).header(AUTHORIZATION, token.header());
        self.send(request.body(Full::default()).unwrap()).await
    }

    pub(crate) async fn stats(&self) -> Stats {
        serde_json::from_value(self.admin("GET", "stats", &Value::Null).await).unwrap()
    }

    /// The first refresh token of a family, as a user's consent would have led to.
    pub(crate) async fn refresh_token(&self, client: &str) -> String {
        let answer = self.admin("POST", "refresh-token", &json!({ "client_id": client })).await;
        answer["refresh_token"].as_str().unwrap().to_owned()
    }

    /// Makes every access token invalid that there is.
    pub(crate) async fn revoke_all(&self) {
        self.admin("POST", "revoke-all", &Value::Null).await;
    }

    /// Answers token requests this much later than they were processed.
    pub(crate) async fn delay_answers(&self, by: Duration) {
        self.admin("POST", "answers", &json!({ "latency_ms": u64::try_from(by.as_millis()).unwrap() })).await;
    }

    /// Processes the next token requests and closes the connection instead of answering.
    pub(crate) async fn lose_answers(&self, count: u32) {
        self.admin("POST", "answers", &json!({ "lose": count })).await;
    }

    async fn admin(&self, method: &str, path: &str, body: &Value) -> Value {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let url = format!("{}/admin/{path}", self.started.origin);
        let request = Request::builder().method(method).uri(url).body(Full::new(Bytes::from(body))).unwrap();
        self.send(request).await
    }

    async fn send(&self, request: Request<Full<Bytes>>) -> Value {
        let response = self.http.clone().oneshot(request).await.unwrap();
        assert_eq!(response.status(), 200);
        serde_json::from_slice(&response.into_body().collect().await.unwrap().to_bytes()).unwrap()
    }
}

// === impl TokenRequest ===

impl fmt::Debug for TokenRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let of = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".into());
        write!(f, "{} by {}: {}", of(&self.grant), of(&self.client), of(&self.error))
    }
}

// === impl Stats ===

impl Stats {
    /// The errors of the token endpoint to `client`, `None` for a token, in the order of the requests.
    pub(crate) fn of(&self, client: &str) -> Vec<Option<&str>> {
        let of_client = |request: &&TokenRequest| request.client.as_deref() == Some(client);
        self.token_requests.iter().filter(of_client).map(|request| request.error.as_deref()).collect()
    }
}

/// What `url` answers through `api`; panics if nothing comes.
pub(crate) async fn call(api: Stack, url: &str) -> StatusCode {
    let request = Request::get(url).body(Full::default()).unwrap();
    let response = api.oneshot(request).await.unwrap();
    let status = response.status();
    // To its end, so that the connection is free again.
    response.into_body().collect().await.unwrap();
    status
}

/// Tests that test nothing must not go unnoticed: this is written past the test harness, which hides what passes.
fn missing(what: &str) -> Option<Provider> {
    static ONCE: Once = Once::new();
    let how = "run `npm ci` in tests/oidc_provider";
    assert!(env::var_os("CI").is_none(), "{what}: {how}");
    ONCE.call_once(|| {
        let _ = writeln!(io::stderr(), "\nNOT TESTED against a real authorization server: {what}; {how}\n");
    });
    None
}

const MODULES: &str = "OIDC_PROVIDER_NODE_MODULES";
