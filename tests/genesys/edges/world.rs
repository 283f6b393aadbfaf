//! The login host and the API of Genesys Cloud, each answering from a script, under the whole stack.

use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use serde_json::json;
use tower::{BoxError, ServiceBuilder, util::BoxCloneService};
use tower_oauth2::{
    OAuthLayer, TokenCache,
    genesys::{ConversationDetails, Region, RetryHintBody, RetryHintLayer},
    grant::{ClientAuth, ClientCredentials},
    pager::{Error, Pager, Query},
    retry::{RetryLayer, RetryPolicy},
    testing::Body,
};

use crate::scripted_api::{Answer, ScriptedApi, drain, ok, status};

pub(crate) type Client = BoxCloneService<Request<Full<Bytes>>, Response<RetryHintBody<Body>>, BoxError>;

pub(crate) struct World {
    pub(crate) login: ScriptedApi,
    pub(crate) api: ScriptedApi,
    pub(crate) tokens: TokenCache,
}

// === impl World ===

impl World {
    /// Its login host mints `t1`, `t2`, …, each for a day.
    pub(crate) fn new(answers: impl IntoIterator<Item = Answer>) -> Self {
        Self::with_login((1..10).map(|number| token(number, 86_399)), answers)
    }

    pub(crate) fn with_login(
        logins: impl IntoIterator<Item = Answer>,
        answers: impl IntoIterator<Item = Answer>,
    ) -> Self {
        let (login, api) = (ScriptedApi::new(logins), ScriptedApi::new(answers));
        let auth = ClientAuth::basic("client", "s3cr3t");
        let grant = ClientCredentials::new(login.service(), region().token_url(), auth).unwrap();
        Self { login, api, tokens: TokenCache::builder(grant).seed(1).build() }
    }

    pub(crate) fn client(&self) -> Client {
        let stack = ServiceBuilder::new()
            .layer(RetryLayer::new(RetryPolicy::new().seed(1)))
            .layer(OAuthLayer::for_origin(API, self.tokens.clone()).unwrap())
            .layer(RetryHintLayer::new())
            .service(self.api.service());
        BoxCloneService::new(stack)
    }

    pub(crate) fn pager(&self, query: Query) -> Pager<Client> {
        Pager::new(self.client(), query).seed(1)
    }

    /// What ends `query`, after so many pages.
    pub(crate) async fn failure(&self, query: Query, pages: usize) -> Error {
        let (came, error) = drain(&mut self.pager(query)).await;
        assert_eq!(came.len(), pages, "{error:?}");
        error.unwrap()
    }

    /// The token of each request to the API.
    pub(crate) fn bearers(&self) -> Vec<String> {
        let bearer = |headers: &http::HeaderMap| headers["authorization"].to_str().unwrap().to_owned();
        self.api.seen().iter().map(|seen| bearer(&seen.headers).strip_prefix("Bearer ").unwrap().to_owned()).collect()
    }
}

pub(crate) fn region() -> Region {
    "mypurecloud.ie".parse().unwrap()
}

pub(crate) fn token(number: u32, lifetime: u32) -> Answer {
    ok(json!({"access_token": format!("t{number}"), "token_type": "bearer", "expires_in": lifetime}).to_string())
}

/// As Genesys Cloud refuses, without a challenge.
pub(crate) fn refusal(code: u16, name: &str, message: &str) -> Answer {
    let body = json!({
        "message": message, "code": name, "status": code, "contextId": "0000c0de-4444", "details": [], "errors": [],
    });
    with(status(code, &body.to_string()), "inin-correlation-id", "0000c0de-4444")
}

pub(crate) fn with(answer: Answer, name: &'static str, value: &str) -> Answer {
    let mut answer = answer?;
    answer.headers_mut().insert(name, value.parse()?);
    Ok(answer)
}

pub(crate) fn details() -> Query {
    ConversationDetails::query(API, INTERVAL).page_size(1).build().unwrap()
}

/// One conversation of so many.
pub(crate) fn hit(number: u32, total: u32) -> Answer {
    ok(json!({"conversations": [{"conversationId": format!("c{number}")}], "totalHits": total}).to_string())
}

pub(crate) const fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

pub(crate) const API: &str = "https://api.mypurecloud.ie";
pub(crate) const INTERVAL: &str = "2026-02-02T00:00:00.000Z/2026-02-09T00:00:00.000Z";
