//! What the issuer publishes about itself: RFC 8414.

use http::{Method, Uri};

use crate::testing::reply::quoted;

/// An issuer identifier, and what is said of it.
#[derive(Clone)]
pub(super) struct Published {
    pub(super) issuer: String,
    pub(super) fields: Vec<(String, String)>,
}

// === impl Published ===

impl Published {
    /// Whether this asks for the document, in the place of RFC 8414 or of OpenID Connect Discovery.
    pub(super) fn is_asked_for(&self, method: &Method, uri: &Uri) -> bool {
        let issuer: Option<Uri> = self.issuer.parse().ok();
        let path = issuer.as_ref().map_or("", Uri::path).trim_end_matches('/');
        let places = [
            format!("/.well-known/oauth-authorization-server{path}"),
            format!("{path}/.well-known/openid-configuration"),
        ];
        method == Method::GET && places.iter().any(|place| place == uri.path())
    }

    pub(super) fn document(&self) -> String {
        let at = |path: &str| quoted(&format!("{}{path}", self.issuer.trim_end_matches('/')));
        let mut members = vec![
            ("issuer", quoted(&self.issuer)),
            ("token_endpoint", at("/oauth/token")),
            ("token_endpoint_auth_methods_supported", r#"["client_secret_basic","client_secret_post"]"#.to_owned()),
        ];
        members.retain(|(name, _)| !self.fields.iter().any(|(field, _)| field == name));
        members.extend(self.fields.iter().map(|(name, json)| (name.as_str(), json.clone())));
        let texts: Vec<String> = members.iter().map(|(name, json)| format!("{}:{json}", quoted(name))).collect();
        format!("{{{}}}", texts.join(","))
    }
}
