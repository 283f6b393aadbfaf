//! An API to try the exporter on: the authorization server and the analytics API of `tower_oauth2::testing`.

use std::{net::SocketAddr, time::Duration};

use serde_json::{Value, json};
use tower_oauth2::{
    grant::ClientAuth,
    testing::{Analytics, Faults, Issuer, Server},
};

use crate::{
    api::{Api, Place, SignIn},
    failure::Failure,
    progress::Progress,
    source::{Source, Vendor},
};

/// A simulator that runs in this process, on loopback.
#[derive(Debug)]
pub struct Simulator {
    analytics: Analytics,
    server: Server,
}

// === impl Simulator ===

impl Simulator {
    /// 20,000 conversations, or whatever `source` has, behind a token that lives two seconds, a rate limit of 50 requests a second, and one
    /// response in a hundred broken.
    ///
    /// # Errors
    ///
    /// If there is no free port on loopback.
    pub async fn start(source: Source, progress: &Progress) -> Result<Self, Failure> {
        let mut issuer = Issuer::builder().client(ID, SECRET).lifetime(Duration::from_secs(2));
        if source.vendor() == Vendor::Cxone {
            issuer = issuer.access_key(ACCESS_KEY[0], ACCESS_KEY[1]);
        }
        let analytics = Analytics::builder(&issuer.build())
            .records(RECORDS)
            .users(RECORDS)
            .contacts(RECORDS)
            .rate_limit(50, Duration::from_secs(1))
            .latency(Duration::from_millis(2))
            .faults(Faults::new().server_error(0.01).truncate(0.01))
            .build();
        let address = SocketAddr::from(([127, 0, 0, 1], 0));
        let simulator = Self::serve(analytics, address).await?;
        let (url, count) = (simulator.server.url(""), RECORDS);
        // Said in a quiet run as well: a job that lost its credentials succeeds, with conversations that never were.
        progress.say(&format!(
            "no credentials in the environment: exporting {count} {} from a simulator on {url}",
            source.noun()
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
    pub fn api(&self, vendor: Vendor) -> Api {
        let at = |path| Place::Known { base_url: self.server.url(""), token_url: self.server.url(path) };
        match vendor {
            Vendor::Genesys => {
                Api { place: at("/oauth/token"), sign_in: SignIn::Client(ClientAuth::basic(ID, SECRET)) }
            }
            Vendor::Cxone => {
                let (client, key) = ([ID, SECRET].map(Into::into), ACCESS_KEY.map(Into::into));
                Api { place: at("/auth/token"), sign_in: SignIn::AccessKey { client, key } }
            }
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
/// An access key of a CXone user, as they look.
pub const ACCESS_KEY: [&str; 2] = ["SIMULATORKEY====", "SIMULATORKEYSECRET===="];
const RECORDS: u64 = 20_000;
