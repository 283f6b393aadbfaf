//! What CXone's authorization server tells besides its tokens: whose they are, and where the API is.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{Method, request};

use super::answer::{Refusal, Why};
use super::metadata::Published;
use super::state::Settings;
use crate::testing::reply::quoted;
use crate::testing::target::{base_url, param};

/// A token in the form of a JWT that names the tenant. Nobody signed it.
pub(super) fn token(random: &str) -> String {
    let part = |json: &str| URL_SAFE_NO_PAD.encode(json);
    format!("{}.{}.{random}", part(r#"{"alg":"none"}"#), part(&format!(r#"{{"tenantId":"{TENANT}"}}"#)))
}

/// Its metadata, unless others were set. Where the request went to is the issuer.
pub(super) fn published(settings: &Settings, head: &request::Parts) -> Option<Published> {
    if settings.access_keys.is_empty() {
        return None;
    }
    let issuer = base_url(head);
    let endpoint = quoted(&format!("{issuer}/auth/token"));
    Some(Published { issuer, fields: vec![("token_endpoint".to_owned(), endpoint)] })
}

/// The configuration of the tenant, if this asks for one. Where the request went to is the API as well.
pub(super) fn configuration(settings: &Settings, head: &request::Parts) -> Option<Result<String, Refusal>> {
    let asked = head.method == Method::GET && head.uri.path() == "/.well-known/cxone-configuration";
    if !asked || settings.access_keys.is_empty() {
        return None;
    }
    if param(head, "tenantId").as_deref() != Some(TENANT) {
        return Some(Err(Refusal::new(Why::Request, "the tenant is not known")));
    }
    // Whoever makes the URL of the API from the first two is not to find one.
    let api = quoted(&base_url(head));
    Some(Ok(format!(r#"{{"area":"na1","domain":"cxone.invalid","api_endpoint":{api}}}"#)))
}

const TENANT: &str = "11ee0000-1111-4222-8333-000000000001";
