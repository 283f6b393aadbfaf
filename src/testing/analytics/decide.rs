//! Whether a request is served, refused or made to fail.

use std::sync::Arc;
use std::time::Duration;

use http::header::{AUTHORIZATION, HeaderMap};
use tokio::time::Instant;

use super::Fault;
use super::error_body::ErrorBody;
use super::handle::{Inner, State};
use super::hash::{mix, uuid};
use super::limiter::Tally;
use crate::testing::TokenStatus;

/// What is known about a request when it arrives.
#[derive(Debug)]
pub(super) struct Visit {
    /// Empty if the token is unknown.
    pub(super) client: Arc<str>,
    refusal: Option<ErrorBody>,
    scripted: Option<Fault>,
}

#[derive(Debug)]
pub(super) struct Decision {
    pub(super) verdict: Verdict,
    pub(super) tally: Option<Tally>,
    pub(super) correlation_id: String,
}

#[derive(Debug)]
pub(super) enum Verdict {
    Serve(Cut),
    /// With a time for `Retry-After`.
    Refuse(ErrorBody, Option<Duration>),
    Html,
    Empty,
    Reset,
    Hang,
}

/// How far the body of a response gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cut {
    Whole,
    Broken,
    Stalled,
}

// === impl Inner ===

impl Inner {
    pub(super) fn arrive(&self, headers: &HeaderMap) -> Visit {
        let (refusal, client) = self.check(headers);
        let now = Instant::now();
        let mut state = self.state();
        state.stats.requests += 1;
        if state.not_before.get(&client).is_some_and(|at| now < *at) {
            state.stats.requests_inside_retry_after += 1;
        }
        Visit { client, refusal, scripted: state.script.pop_front() }
    }

    pub(super) fn decide(&self, visit: &Visit) -> Decision {
        let mut state = self.state();
        state.turn += 1;
        let correlation_id = uuid(mix(self.records.seed ^ 0xC0, state.turn));
        let tally = match visit.refusal {
            None => state.limiter.count(&visit.client, Instant::now()),
            Some(_) => None,
        };
        let verdict = if let Some(fault) = visit.scripted {
            state.befall(fault)
        } else if let Some(refusal) = &visit.refusal {
            Verdict::Refuse(refusal.clone(), None)
        } else if let Some(tally) = tally.filter(Tally::exceeded) {
            state.stats.rate_limited += 1;
            let message = format!("Rate limit exceeded the maximum. Retry the request in [{}] seconds", tally.reset());
            let body = ErrorBody::new(429, "too.many.requests.retry.after", message);
            Verdict::Refuse(body, Some(tally.left))
        } else {
            let draw = state.rng.f64();
            match state.faults.at(draw) {
                Some(fault) => state.befall(fault),
                None => Verdict::Serve(Cut::Whole),
            }
        };
        Decision { verdict, tally, correlation_id }
    }

    fn check(&self, headers: &HeaderMap) -> (Option<ErrorBody>, Arc<str>) {
        let bad = || ErrorBody::of_status(401);
        let Some(token) = bearer(headers) else {
            let message = "No authentication bearer token specified in authorization header.";
            let missing = ErrorBody::new(401, "authentication.required", message);
            return (Some(missing), "".into());
        };
        let (status, client) = self.issuer.inspect(token);
        let refusal = match status {
            _ if self.config.always_unauthorized => Some(bad()),
            TokenStatus::Valid => None,
            TokenStatus::Expired => {
                let message = "The credentials have expired.";
                Some(ErrorBody::new(401, "credentials.expired", message))
            }
            TokenStatus::Revoked | TokenStatus::Unknown => Some(bad()),
        };
        (refusal, client.unwrap_or_else(|| "".into()))
    }
}

// === impl State ===

impl State {
    fn befall(&mut self, fault: Fault) -> Verdict {
        *self.stats.faults.entry(fault).or_default() += 1;
        let refuse = |status, after| Verdict::Refuse(ErrorBody::of_status(status), after);
        match fault {
            Fault::ServerError => {
                let turn = self.server_errors;
                self.server_errors += 1;
                let status = [500, 502, 503, 504][(turn % 4) as usize];
                let after = (turn % 8 == 2).then_some(Duration::from_secs(1));
                refuse(status, after)
            }
            Fault::Unauthorized => refuse(401, None),
            Fault::Status(status) => refuse(status, None),
            Fault::RetryAfter(status, after) => refuse(status, Some(after)),
            Fault::Truncate => Verdict::Serve(Cut::Broken),
            Fault::Stall => Verdict::Serve(Cut::Stalled),
            Fault::Html => Verdict::Html,
            Fault::Empty => Verdict::Empty,
            Fault::Reset => Verdict::Reset,
            Fault::Hang => Verdict::Hang,
        }
    }
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim_start())
}
