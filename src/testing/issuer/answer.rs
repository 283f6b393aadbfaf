//! From a token request to its answer, all checks included.

use std::sync::Arc;

use bytes::Bytes;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderMap, PRAGMA, WWW_AUTHENTICATE};
use http::{Method, Response, StatusCode};
use tokio::time::Instant;

use super::client_auth::credentials;
use super::outage::error_json;
use super::state::{ExpiresIn, Settings, State};
use crate::testing::Body;
use crate::testing::reply::{header, quoted, reply};

const JSON: &str = "application/json;charset=utf-8";

/// Why a request gets no token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    status: StatusCode,
    code: &'static str,
    description: &'static str,
}

/// The JSON text with a new token, or why there is none.
pub(super) fn answer(
    state: &mut State,
    method: &Method,
    headers: &HeaderMap,
    form: &[(String, String)],
) -> Result<String, Refusal> {
    if method != Method::POST {
        return Err(Refusal { status: StatusCode::METHOD_NOT_ALLOWED, ..Refusal::request("only POST is allowed") });
    }
    if !is_form(headers) {
        return Err(Refusal::request("the body is not a form"));
    }
    // RFC 6749, section 3.2: a parameter must not be given twice.
    for (at, (name, _)) in form.iter().enumerate() {
        if form[..at].iter().any(|(earlier, _)| earlier == name) {
            return Err(Refusal::request("a parameter is repeated"));
        }
    }
    let client = authenticate(&state.settings, headers, form)?;
    let param = |name: &str| form.iter().find(|(key, _)| key == name);
    match param("grant_type") {
        Some((_, grant)) if grant == "client_credentials" => {}
        Some(_) => {
            return Err(Refusal {
                code: "unsupported_grant_type",
                ..Refusal::request("only client_credentials is supported")
            });
        }
        None => return Err(Refusal::request("grant_type is missing")),
    }
    let scope = param("scope").map(|(_, scope)| scope.clone());
    let token = state.mint(&client, Instant::now());
    Ok(success_json(&state.settings, &token, scope.as_deref()))
}

pub(super) fn success(json: impl Into<Bytes>) -> Response<Body> {
    let mut response = reply(StatusCode::OK, JSON, json);
    header(&mut response, CACHE_CONTROL, "no-store");
    header(&mut response, PRAGMA, "no-cache");
    response
}

fn is_form(headers: &HeaderMap) -> bool {
    let value = headers.get(CONTENT_TYPE).and_then(|it| it.to_str().ok());
    value
        .and_then(|it| it.split(';').next())
        .is_some_and(|it| it.trim().eq_ignore_ascii_case("application/x-www-form-urlencoded"))
}

fn authenticate(settings: &Settings, headers: &HeaderMap, form: &[(String, String)]) -> Result<Arc<str>, Refusal> {
    let given = credentials(headers, form)?;
    let known = settings.clients.iter().find(|(id, _)| **id == *given.id);
    match known {
        Some((id, secret)) if *secret == given.secret => Ok(Arc::clone(id)),
        Some(_) => Err(Refusal::client("authentication failed")),
        // Genesys Cloud answers 400 here, and 401 only to a wrong secret.
        None => Err(Refusal { status: StatusCode::BAD_REQUEST, ..Refusal::client("client not found") }),
    }
}

fn success_json(settings: &Settings, token: &str, scope: Option<&str>) -> String {
    let mut members = vec![("access_token", quoted(token)), ("token_type", quoted(&settings.token_type))];
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
    if let Some(scope) = scope {
        members.push(("scope", quoted(scope)));
    }
    members.retain(|(name, _)| !settings.fields.iter().any(|(field, _)| field == name));
    let fields = settings.fields.iter();
    members.extend(fields.map(|(name, json)| (name.as_str(), json.clone())));
    let texts: Vec<String> = members.iter().map(|(name, json)| format!("{}:{json}", quoted(name))).collect();
    format!("{{{}}}", texts.join(","))
}

// === impl Refusal ===

impl Refusal {
    pub(super) fn request(description: &'static str) -> Self {
        Self { status: StatusCode::BAD_REQUEST, code: "invalid_request", description }
    }

    pub(super) fn client(description: &'static str) -> Self {
        Self { status: StatusCode::UNAUTHORIZED, code: "invalid_client", description }
    }

    pub(super) fn response(self) -> Response<Body> {
        let json = error_json(self.code, self.description);
        let mut response = reply(self.status, JSON, json);
        header(&mut response, CACHE_CONTROL, "no-store");
        if self.status == StatusCode::UNAUTHORIZED {
            header(&mut response, WWW_AUTHENTICATE, "Basic realm=\"testing\"");
        }
        if self.status == StatusCode::METHOD_NOT_ALLOWED {
            header(&mut response, ALLOW, "POST");
        }
        response
    }
}
