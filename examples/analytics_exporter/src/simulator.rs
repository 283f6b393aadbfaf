//! An API to try the exporter on: the authorization server and the analytics API of `tower_oauth2::testing`.

use std::{net::SocketAddr, time::Duration};

use serde_json::{Value, json};
use tower_oauth2::{
    grant::ClientAuth,
    testing::{Analytics, Faults, Issuer, Server},
};

use crate::{config::Api, failure::Failure, progress::Progress};

/// A simulator that runs in this process, on loopback.
#[derive(Debug)]
pub struct Simulator {
    analytics: Analytics,
    server: Server,
}

// === impl Simulator ===

impl Simulator {
    /// 20,000 conversations behind a token that lives two seconds, a rate limit of 50 requests a second, and one
    /// response in a hundred broken.
    ///
    /// # Errors
    ///
    /// If there is no free port on loopback.
    pub async fn start(progress: &Progress) -> Result<Self, Failure> {
        let issuer = Issuer::builder().client(ID, SECRET).lifetime(Duration::from_secs(2)).build();
        let analytics = Analytics::builder(&issuer)
            .records(RECORDS)
            .rate_limit(50, Duration::from_secs(1))
            .latency(Duration::from_millis(2))
            .faults(Faults::new().server_error(0.01).truncate(0.01))
            .build();
        let address = SocketAddr::from(([127, 0, 0, 1], 0));
        let simulator = Self::serve(analytics, address).await?;
        let url = simulator.server.url("");
        // Said in a quiet run as well: a job that lost its credentials succeeds, with conversations that never were.
        progress.say(&format!(
            "no credentials in the environment: exporting {RECORDS} conversations from a simulator on {url}"
        ));
        Ok(simulator)
    }

    /// `analytics` and its issuer on `address`.
    ///
    /// # Errors
    ///
    /// If the address cannot be bound.
    pub async fn serve(analytics: Analytics, address: SocketAddr) -> Result<Self, Failure> {
        let server = analytics.serve_with_issuer_on(address).await;
        let server = server.map_err(|error| Failure::usage(format!("cannot listen on {address}: {error}")))?;
        Ok(Self { analytics, server })
    }

    /// How to reach it.
    pub fn api(&self) -> Api {
        Api {
            base_url: self.server.url(""),
            token_url: self.server.url("/oauth/token"),
            auth: ClientAuth::basic(ID, SECRET),
        }
    }

    pub fn url(&self) -> String {
        self.server.url("")
    }

    /// What it was asked, in a line.
    pub fn report(&self) -> String {
        let (api, issuer) = (self.analytics.stats(), self.analytics.issuer().stats());
        format!(
            "the simulator minted {} tokens and answered {} requests: {} pages, {} rate limited, {} unauthorized, {} broken; \
             {} came inside a Retry-After window",
            issuer.minted,
            api.requests,
            api.pages,
            api.rate_limited,
            api.unauthorized,
            api.faults.values().sum::<u64>(),
            api.requests_inside_retry_after,
        )
    }

    /// What it was asked, as JSON.
    pub fn stats(&self) -> Value {
        let (api, issuer) = (self.analytics.stats(), self.analytics.issuer().stats());
        let by_status: serde_json::Map<_, _> =
            api.by_status.into_iter().map(|(status, count)| (status.to_string(), count.into())).collect();
        json!({
            "tokens_minted": issuer.minted,
            "tokens_refused": issuer.refused,
            "token_requests": issuer.requests,
            "requests": api.requests,
            "by_status": by_status,
            "pages": api.pages,
            "records": api.records,
            "requests_inside_retry_after": api.requests_inside_retry_after,
            "largest_concurrency": api.largest_concurrency,
        })
    }
}

/// What the simulator's client is called by default.
pub const ID: &str = "simulator-client";
/// Its secret, which is none.
pub const SECRET: &str = "simulator-secret";
const RECORDS: u64 = 20_000;
