//! What requests go through: one token, one cool-down, whatever is asked for at once.

use std::{fmt, path::Path, time::Duration};

use http::Request;
use http_body_util::{BodyExt as _, Full, Limited};
use jiff::Timestamp;
use serde::Deserialize;
use tokio::time::timeout;
use tower::{BoxError, ServiceBuilder, ServiceExt as _};
use tower_http::decompression::DecompressionLayer;
use tower_oauth2::{
    OAuthLayer, TokenCache,
    client::HttpsClient,
    retry::{CooldownLayer, RetryLayer, RetryPolicy, cooldown::Pacing},
};

use crate::{
    api::{Api, Found, TOKEN_TIMEOUT, host_of},
    args::Args,
    checkpoint::Subject,
    client::Client,
    config::Patience,
    failure::{Failure, Scene},
    frame::Halt,
    period::Period,
    progress::Counts,
    source::{Source, Vendor},
};

/// What requests go through.
pub struct Stack {
    source: Source,
    pub base_url: String,
    pub token_url: String,
    pub tokens: TokenCache,
    pub policy: RetryPolicy,
    pub cooldown: CooldownLayer,
    oauth: OAuthLayer,
    http: HttpsClient,
    pub patience: Patience,
}

// === impl Stack ===

impl Stack {
    /// Signs in, if that is needed to know where the API is.
    ///
    /// # Errors
    ///
    /// If the API cannot be found, or nobody could sign in there.
    pub async fn new(args: &Args, api: Api) -> Result<Self, Failure> {
        let patience = Patience::from(args);
        let http = HttpsClient::builder();
        let http = http.connect_timeout(patience.connect).response_timeout(patience.request).build()?;
        let Found { base_url, token_url, tokens } = api.find(args, http.clone()).await?;
        let oauth = OAuthLayer::for_origin(&base_url, tokens.clone())?.acquire_timeout(2 * TOKEN_TIMEOUT);
        let cooldown = CooldownLayer::new().max_wait(patience.max_retry_after);
        let cooldown = match args.source.vendor() {
            // Without the margin: a batch that comes a moment too early gets a 429, which is mended.
            Vendor::Genesys => cooldown.pace(Pacing::genesys().margin(Duration::ZERO)),
            Vendor::Cxone => cooldown,
        };
        let policy = patience.policy();
        Ok(Self { source: args.source, base_url, token_url, tokens, policy, cooldown, oauth, http, patience })
    }

    /// One token, one cool-down, whatever is asked for at once.
    pub fn service(&self) -> impl Client + use<> {
        ServiceBuilder::new()
            .layer(RetryLayer::new(self.policy.clone()))
            .layer(self.cooldown.clone())
            .layer(self.oauth.clone())
            .layer(DecompressionLayer::new())
            .service(self.http.clone())
    }

    /// What ended an export, for people.
    pub fn failure(&self, halt: &Halt, output: &Path) -> Failure {
        let (api_host, token_host) = (host_of(&self.base_url), host_of(&self.token_url));
        Failure::of(halt, &Scene { source: self.source, api_host: &api_host, token_host: &token_host, output })
    }

    /// Ends the period where there is no data yet, if the API says that: nobody asked for more.
    ///
    /// # Errors
    ///
    /// If there is no data at all.
    pub async fn trim(&self, subject: &mut Subject) -> Result<(), Failure> {
        let (Source::Job, Some(period)) = (self.source, &mut subject.period) else { return Ok(()) };
        // Without an answer it is left as it is: what is wrong is told by the export itself.
        let answer = timeout(self.patience.request, self.availability()).await;
        let until = answer.map_err(BoxError::from).and_then(|answer| answer);
        let until = until.inspect_err(|error| tracing::debug!(error, "until when there is data is not known")).ok();
        if let Some(until) = until.filter(|until| *until < period.to) {
            tracing::info!(%until, "the API has data until then");
            *period = Period::new(period.from, until);
            if period.is_empty() {
                return Err(Failure::no_data_yet(until));
            }
        }
        Ok(())
    }

    /// Until when jobs have data.
    async fn availability(&self) -> Result<Timestamp, BoxError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Availability {
            data_availability_date: Timestamp,
        }
        let url = format!("{}{AVAILABILITY}", self.base_url.trim_end_matches('/'));
        let answer = self.service().oneshot(Request::get(url).body(Full::default())?).await.map_err(Into::into)?;
        let body = Limited::new(answer.into_body(), MOST_OF_AN_ANSWER).collect().await?.to_bytes();
        Ok(serde_json::from_slice::<Availability>(&body)?.data_availability_date)
    }

    /// What happened beside the records, so far.
    pub fn counts(&self) -> impl Fn() -> Counts + Send + 'static + use<> {
        let (tokens, policy, cooldown) = (self.tokens.clone(), self.policy.clone(), self.cooldown.clone());
        move || Counts { tokens: tokens.stats().minted, waits: policy.stats().retries + cooldown.stats().waited }
    }
}

const MOST_OF_AN_ANSWER: usize = 64 * 1024;
const AVAILABILITY: &str = "/api/v2/analytics/conversations/details/jobs/availability";

impl fmt::Debug for Stack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stack").field("base_url", &self.base_url).finish_non_exhaustive()
    }
}
