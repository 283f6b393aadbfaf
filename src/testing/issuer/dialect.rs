//! How real authorization servers differ from what RFC 6749 says, and from each other.

use http::{StatusCode, Uri};

use super::answer::Why;

/// Whose manners an [`Issuer`](crate::testing::Issuer) has. Each was observed at the server that it is named after.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Dialect {
    /// RFC 6749, except that a client that is not known gets a 400 (the default).
    #[default]
    GenesysCloud,
    /// A client that fails to authenticate gets a 403, and a grant that is not known a 400, both with an empty body. Basic
    /// authentication is not form-decoded, `token_type` is `bearer`, a scope that is not known is `scope_invalid`.
    Glewlwyd,
    /// A path without a slash at its end is redirected (301). A client that fails to authenticate gets a 401 with a
    /// `Bearer` challenge.
    DjangoOauthToolkit,
    /// In Basic authentication only `%20` is a space, `+` is itself. A request without any client authentication is
    /// `missing_authorization`.
    Authlib,
    /// A secret that has expired gets a 400. A token expires at a whole second, so up to a second before it was said to.
    OidcProvider,
    /// Two tokens minted for a client within a second are the same string, as with
    /// [`same_token_per_second`](crate::testing::IssuerBuilder::same_token_per_second).
    Oauth2MockServer,
}

// === impl Dialect ===

impl Dialect {
    pub(super) fn token_type(self) -> &'static str {
        if self == Self::Glewlwyd { "bearer" } else { "Bearer" }
    }

    pub(super) fn content_type(self) -> &'static str {
        match self {
            Self::GenesysCloud => "application/json;charset=utf-8",
            Self::OidcProvider | Self::Oauth2MockServer => "application/json; charset=utf-8",
            Self::Glewlwyd | Self::DjangoOauthToolkit | Self::Authlib => "application/json",
        }
    }

    /// Where a request for this path is sent instead.
    pub(super) fn moved(self, uri: &Uri) -> Option<String> {
        let path = uri.path();
        let moved = self == Self::DjangoOauthToolkit && !path.ends_with('/') && !path.starts_with("/.well-known/");
        moved.then(|| format!("{path}/"))
    }

    /// The status, and the `error` code if there is any body at all.
    pub(super) fn refusal(self, why: Why) -> (StatusCode, Option<&'static str>) {
        let client = (StatusCode::UNAUTHORIZED, Some("invalid_client"));
        let request = |code| (StatusCode::BAD_REQUEST, Some(code));
        match (self, why) {
            (Self::Glewlwyd, Why::NoClient | Why::UnknownClient | Why::WrongSecret | Why::ExpiredSecret) => {
                (StatusCode::FORBIDDEN, None)
            }
            (Self::Glewlwyd, Why::UnknownGrant) => (StatusCode::BAD_REQUEST, None),
            (Self::Glewlwyd, Why::UnknownScope) => request("scope_invalid"),
            (Self::Authlib, Why::NoClient) => (StatusCode::UNAUTHORIZED, Some("missing_authorization")),
            (Self::OidcProvider, Why::ExpiredSecret) | (Self::GenesysCloud, Why::UnknownClient) => {
                request("invalid_client")
            }
            (_, Why::NoClient | Why::UnknownClient | Why::WrongSecret | Why::ExpiredSecret) => client,
            (_, Why::Method) => (StatusCode::METHOD_NOT_ALLOWED, Some("invalid_request")),
            (_, Why::Request) => request("invalid_request"),
            (_, Why::UnknownGrant) => request("unsupported_grant_type"),
            (_, Why::UnknownScope) => request("invalid_scope"),
            (_, Why::NoGrant) => request("invalid_grant"),
        }
    }

    pub(super) fn challenge(self) -> &'static str {
        match self {
            Self::DjangoOauthToolkit => r#"Bearer realm="testing", error="invalid_client""#,
            _ => r#"Basic realm="testing""#,
        }
    }

    /// What stands for itself or for something else in the parts of Basic authentication.
    pub(super) fn basic_part(self, text: &str) -> Option<String> {
        match self {
            Self::Glewlwyd => Some(text.to_owned()),
            Self::Authlib => decode(text, false),
            _ => decode(text, true),
        }
    }
}

/// Not `form_urlencoded::parse`: that would cut a raw secret at `&` or `=`.
fn decode(text: &str, plus_is_space: bool) -> Option<String> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        out.push(match byte {
            b'+' if plus_is_space => b' ',
            b'%' => {
                let high = char::from(bytes.next()?).to_digit(16)?;
                let low = char::from(bytes.next()?).to_digit(16)?;
                u8::try_from(high * 16 + low).ok()?
            }
            other => other,
        });
    }
    String::from_utf8(out).ok()
}
