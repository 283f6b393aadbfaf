//! One token for all requests, or one for each key.

use http::Extensions;

use super::{TokenCaches, TokenKey};
use crate::{cache::TokenCache, error::Error};

/// Where an [`OAuthLayer`](crate::OAuthLayer) has its tokens from: one [`TokenCache`] for all requests, or
/// [`TokenCaches`], of which each request chooses one by its [`TokenKey`]. Made with `From` and `Into`.
#[derive(Clone, Debug)]
pub struct Tokens(Source);

#[derive(Clone, Debug)]
enum Source {
    One(TokenCache),
    Many(TokenCaches),
}

// === impl Tokens ===

impl Tokens {
    /// The one that is of all requests, if there is such.
    #[inline]
    pub(crate) fn only(&self) -> Option<&TokenCache> {
        match &self.0 {
            Source::One(cache) => Some(cache),
            Source::Many(_) => None,
        }
    }

    /// The cache of this request. Fails rather than take a token that may be another's.
    pub(crate) fn choose(&self, extensions: &Extensions) -> Result<TokenCache, Error> {
        let key = extensions.get::<TokenKey>();
        match (&self.0, key) {
            (Source::One(cache), None) => Ok(cache.clone()),
            (Source::One(_), Some(_)) => Err(Error::config(
                "the request has a `TokenKey`, but its layer has one token for all: make it with `TokenCaches`",
            )),
            (Source::Many(caches), key) => match key.or(caches.default_key()) {
                Some(key) => caches.get(key),
                None => Err(Error::config(
                    "the request does not say whose token it needs: insert a `TokenKey` into its extensions, or set `default_key`",
                )),
            },
        }
    }
}

impl From<TokenCache> for Tokens {
    fn from(cache: TokenCache) -> Self {
        Self(Source::One(cache))
    }
}

impl From<TokenCaches> for Tokens {
    fn from(caches: TokenCaches) -> Self {
        Self(Source::Many(caches))
    }
}
