//! From a token request to its answer, all checks included.

use std::sync::Arc;

use bytes::Bytes;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderMap, PRAGMA, WWW_AUTHENTICATE};
use http::{Method, Response, StatusCode};
use tokio::time::Instant;

use super::client_auth::credentials;
use super::family::Verdict;
use super::outage::error_json;
use super::state::{ExpiresIn, Settings, State};
use super::{Dialect, TokenStatus};
use crate::testing::Body;
use crate::testing::reply::{header, quoted, reply};

/// Why a request gets no token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    why: Why,
    description: &'static str,
}

/// What each dialect has its own words for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Why {
    Method,
    Request,
    NoClient,
    UnknownClient,
    WrongSecret,
    ExpiredSecret,
    UnknownGrant,
    UnknownScope,
    /// What the request offers for a token is worth none.
    NoGrant,
}

/// The members of a good answer that differ by grant.
struct Granted {
    access_token: String,
    refresh_token: Option<String>,
    issued_token_type: Option<&'static str>,
}

/// The JSON text with a new token, or why there is none.
pub(super) fn answer(
    state: &mut State,
    method: &Method,
    headers: &HeaderMap,
    form: &[(String, String)],
) -> Result<String, Refusal> {
    if method != Method::POST {
        return Err(Refusal::new(Why::Method, "only POST is allowed"));
    }
    if !is_form(headers) {
        return Err(Refusal::new(Why::Request, "the body is not a form"));
    }
    // RFC 6749, section 3.2: a parameter must not be given twice; RFC 8693, section 2.1, and RFC 8707, section 2: but for these.
    for (at, (name, _)) in form.iter().enumerate() {
        if !matches!(name.as_str(), "audience" | "resource") && form[..at].iter().any(|(earlier, _)| earlier == name) {
            return Err(Refusal::new(Why::Request, "a parameter is repeated"));
        }
    }
    let client = authenticate(&state.settings, headers, form)?;
    let param = |name: &str| form.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
    let Some(grant) = param("grant_type") else { return Err(Refusal::new(Why::Request, "grant_type is missing")) };
    let known = |scope: &str| state.settings.scopes.as_ref().is_none_or(|known| known.iter().any(|it| it == scope));
    if !param("scope").unwrap_or_default().split(' ').filter(|scope| !scope.is_empty()).all(known) {
        return Err(Refusal::new(Why::UnknownScope, "a scope is not known"));
    }
    let granted = match grant {
        "client_credentials" => Granted::access(state.mint(&client, None, Instant::now())),
        "password" if !state.settings.access_keys.is_empty() => {
            password(state, &client, param("username"), param("password"))?
        }
        "refresh_token" => refresh(state, &client, param("refresh_token"))?,
        "urn:ietf:params:oauth:grant-type:token-exchange" => {
            exchange(state, &client, param("subject_token"), param("subject_token_type"))?
        }
        _ => return Err(Refusal::new(Why::UnknownGrant, "the grant_type is not supported")),
    };
    Ok(success_json(&state.settings, &granted, param("scope")))
}

pub(super) fn success(dialect: Dialect, json: impl Into<Bytes>) -> Response<Body> {
    let mut response = reply(StatusCode::OK, dialect.content_type(), json);
    header(&mut response, CACHE_CONTROL, "no-store");
    header(&mut response, PRAGMA, "no-cache");
    response
}

/// RFC 6749, section 4.3, with an access key for a user.
fn password(
    state: &mut State,
    client: &Arc<str>,
    username: Option<&str>,
    password: Option<&str>,
) -> Result<Granted, Refusal> {
    let (Some(username), Some(password)) = (username, password) else {
        return Err(Refusal::new(Why::Request, "username or password is missing"));
    };
    if !state.settings.access_keys.iter().any(|(id, secret)| id == username && secret == password) {
        return Err(Refusal::new(Why::NoGrant, "the access key is not valid"));
    }
    Ok(Granted::access(state.mint(client, None, Instant::now())))
}

/// RFC 6749, section 6.
fn refresh(state: &mut State, client: &Arc<str>, token: Option<&str>) -> Result<Granted, Refusal> {
    let Some(token) = token else { return Err(Refusal::new(Why::Request, "refresh_token is missing")) };
    let now = Instant::now();
    let family = match state.families.check(token, client, state.settings.refresh_grace, now) {
        Verdict::Good(family) => family,
        Verdict::Reused(family) => {
            state.stats.reuses += 1;
            state.store.revoke_family(family);
            return Err(Refusal::new(Why::NoGrant, "the refresh token was used before"));
        }
        Verdict::Bad => return Err(Refusal::new(Why::NoGrant, "the refresh token is not valid")),
    };
    let next = state.settings.rotation.then(|| {
        state.families.use_up(token, now);
        let next = state.random_token();
        state.families.add(next.clone(), family);
        next
    });
    state.stats.refreshes += 1;
    let access_token = state.mint(client, Some(family), now);
    Ok(Granted { refresh_token: next, ..Granted::access(access_token) })
}

/// RFC 8693: section 2.2.2 says what a subject token that is not valid is called.
fn exchange(
    state: &mut State,
    client: &Arc<str>,
    subject: Option<&str>,
    kind: Option<&str>,
) -> Result<Granted, Refusal> {
    let now = Instant::now();
    let (Some(subject), Some(kind)) = (subject, kind) else {
        return Err(Refusal::new(Why::Request, "subject_token or subject_token_type is missing"));
    };
    if kind != ACCESS_TOKEN || state.store.inspect(subject, now).0 != TokenStatus::Valid {
        return Err(Refusal::new(Why::Request, "the subject token is not valid"));
    }
    state.stats.exchanges += 1;
    let access_token = state.mint(client, None, now);
    Ok(Granted { issued_token_type: Some(ACCESS_TOKEN), ..Granted::access(access_token) })
}

fn is_form(headers: &HeaderMap) -> bool {
    let value = headers.get(CONTENT_TYPE).and_then(|it| it.to_str().ok());
    value
        .and_then(|it| it.split(';').next())
        .is_some_and(|it| it.trim().eq_ignore_ascii_case("application/x-www-form-urlencoded"))
}

fn authenticate(settings: &Settings, headers: &HeaderMap, form: &[(String, String)]) -> Result<Arc<str>, Refusal> {
    let given = credentials(settings.dialect, headers, form)?;
    let known = settings.clients.iter().find(|(id, _)| **id == *given.id);
    match known {
        Some((id, secret)) if *secret == given.secret => {
            let expired = settings.first_secret_expired && settings.clients.first().is_some_and(|first| first.0 == *id);
            if expired { Err(Refusal::new(Why::ExpiredSecret, "the secret has expired")) } else { Ok(Arc::clone(id)) }
        }
        Some(_) => Err(Refusal::new(Why::WrongSecret, "authentication failed")),
        None => Err(Refusal::new(Why::UnknownClient, "client not found")),
    }
}

fn success_json(settings: &Settings, granted: &Granted, scope: Option<&str>) -> String {
    let mut members =
        vec![("access_token", quoted(&granted.access_token)), ("token_type", quoted(&settings.token_type))];
    match &settings.expires_in {
        ExpiresIn::Absent => {}
        ExpiresIn::Raw(json) => members.push(("expires_in", json.clone())),
        ExpiresIn::Lifetime if settings.lifetime.subsec_nanos() == 0 => {
            members.push(("expires_in", settings.lifetime.as_secs().to_string()));
        }
        ExpiresIn::Lifetime => {
            members.push(("expires_in", settings.lifetime.as_secs_f64().to_string()));
        }
    }
    members.extend(granted.refresh_token.as_ref().map(|token| ("refresh_token", quoted(token))));
    members.extend(granted.issued_token_type.map(|kind| ("issued_token_type", quoted(kind))));
    members.extend(scope.map(|scope| ("scope", quoted(scope))));
    members.retain(|(name, _)| !settings.fields.iter().any(|(field, _)| field == name));
    members.extend(settings.fields.iter().map(|(name, json)| (name.as_str(), json.clone())));
    let texts: Vec<String> = members.iter().map(|(name, json)| format!("{}:{json}", quoted(name))).collect();
    format!("{{{}}}", texts.join(","))
}

// === impl Granted ===

impl Granted {
    fn access(access_token: String) -> Self {
        Self { access_token, refresh_token: None, issued_token_type: None }
    }
}

// === impl Refusal ===

impl Refusal {
    pub(super) fn new(why: Why, description: &'static str) -> Self {
        Self { why, description }
    }

    pub(super) fn response(self, dialect: Dialect) -> Response<Body> {
        let (status, code) = dialect.refusal(self.why);
        let mut response = match code {
            Some(code) => reply(status, dialect.content_type(), error_json(code, self.description)),
            None => reply(status, "text/plain", Bytes::new()),
        };
        header(&mut response, CACHE_CONTROL, "no-store");
        if status == StatusCode::UNAUTHORIZED {
            header(&mut response, WWW_AUTHENTICATE, dialect.challenge());
        }
        if status == StatusCode::METHOD_NOT_ALLOWED {
            header(&mut response, ALLOW, "POST");
        }
        response
    }
}

const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";
