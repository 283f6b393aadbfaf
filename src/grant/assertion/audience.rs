//! For whom an assertion is.

use crate::error::Error;

/// The `aud` claim: how the assertion names the authorization server. One string, never a list.
///
/// An assertion that several servers would take as theirs can be passed on by one of them to another. So RFC 7523bis allows
/// the issuer only; servers of before may want the URL of the token endpoint, and some take both.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Audience {
    name: Name,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
enum Name {
    #[default]
    Issuer,
    TokenEndpoint,
    Other(String),
}

// === impl Audience ===

impl Audience {
    /// The issuer identifier of the authorization server (RFC 8414 §2). The default.
    pub const fn issuer() -> Self {
        Self { name: Name::Issuer }
    }

    /// The URL of the token endpoint, as it was given: for servers that do not know RFC 7523bis, such as Glewlwyd and
    /// Microsoft Entra ID.
    pub const fn token_endpoint() -> Self {
        Self { name: Name::TokenEndpoint }
    }

    /// What the server's manual says, if it is neither.
    pub fn other(audience: impl Into<String>) -> Self {
        Self { name: Name::Other(audience.into()) }
    }

    pub(super) fn resolve<'a>(&'a self, token_endpoint: &'a str, issuer: Option<&'a str>) -> Result<&'a str, Error> {
        match &self.name {
            Name::Issuer => issuer.ok_or_else(no_issuer),
            Name::TokenEndpoint => Ok(token_endpoint),
            Name::Other(audience) => Ok(audience),
        }
    }

    pub(super) fn check(&self, issuer_is_known: bool) -> Result<(), Error> {
        match &self.name {
            Name::Issuer if !issuer_is_known => Err(no_issuer()),
            Name::Other(audience) if audience.is_empty() => {
                Err(Error::config("the audience of the assertion is empty"))
            }
            _ => Ok(()),
        }
    }
}

fn no_issuer() -> Error {
    Error::config(
        "the assertion is for the issuer, which is not known: use the server's metadata, or set Audience::other with the \
         issuer, or Audience::token_endpoint for a server of before RFC 7523bis",
    )
}
