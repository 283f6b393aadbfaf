//! Many tokens at once, each in a cache of its own: of tenants, users, audiences.
//!
//! A [`TokenKey`] names everything that makes a token another one. [`TokenCaches`] has a [`TokenCache`] for each, which a
//! function of yours makes of the key and of nothing else, so that two tokens that differ never share one. A request
//! carries its key among its extensions.
//!
//! ```
//! use http::{Request, header::AUTHORIZATION};
//! use tower_oauth2::{Error, OAuthLayer, Token, TokenCache, TokenCaches, TokenKey, source_fn};
//! # use tower::{BoxError, ServiceBuilder, ServiceExt, service_fn};
//! # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
//! # let client = service_fn(|request: Request<()>| async move {
//! #     Ok::<_, BoxError>(http::Response::new(request.headers()[AUTHORIZATION].clone()))
//! # });
//! # fn secret_of(tenant: &str) -> Option<String> { ["acme", "umbrella"].contains(&tenant).then(|| tenant.to_owned()) }
//!
//! let tokens = TokenCaches::builder(|key| {
//!     let tenant = key.get_tenant().ok_or_else(|| Error::permanent("no tenant"))?;
//!     let secret = secret_of(tenant).ok_or_else(|| Error::permanent("no such tenant"))?;
//!     // With grants: `ClientCredentials::new(…)`, and `key.get_scopes().fold(grant, ClientCredentials::scope)`.
//!     Ok(TokenCache::new(source_fn(move |_| std::future::ready(Token::new(format!("token-of-{secret}"))))))
//! })
//! .capacity(200)
//! .build();
//! let api = ServiceBuilder::new()
//!     .layer(OAuthLayer::for_origin("https://api.example.com", tokens.clone())?)
//!     .service(client);
//!
//! for tenant in ["acme", "umbrella"] {
//!     let mut request = Request::get("https://api.example.com/v1/users").body(())?;
//!     request.extensions_mut().insert(TokenKey::new().tenant(tenant).scope("users:read"));
//!     let response = api.clone().oneshot(request).await?;
//!     assert_eq!(response.into_body(), format!("Bearer token-of-{tenant}"));
//! }
//! assert_eq!(tokens.len(), 2);
//!
//! // Nothing is sent without a key, nor with one that the function knows nothing for.
//! let request = Request::get("https://api.example.com/v1/users").body(())?;
//! assert!(api.oneshot(request).await.is_err());
//! # Ok::<(), BoxError>(()) })?;
//! # Ok::<(), BoxError>(())
//! ```

mod builder;
mod table;
mod tokens;

use std::{
    fmt,
    sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
};

use self::table::Table;
pub use self::{builder::Builder, tokens::Tokens};
pub use crate::token_key::TokenKey;
use crate::{cache::TokenCache, error::Error};

/// A [`TokenCache`] for each [`TokenKey`], made when it is first needed; see the [module](self).
///
/// # How many
///
/// As many as [`capacity`](Builder::capacity) says, 1,024 by default. To make room for one more, that goes which was used
/// longest ago among those that nobody else holds and that have no token request under way; among all, if there is no
/// such. Who holds a cache that went keeps using it; whoever asks for its key gets another, with another token. Keys
/// that a stranger may invent would thus drive out those of everybody else: let the function refuse them.
///
/// # Clone
///
/// Clones share the caches. Cheap.
#[derive(Clone)]
pub struct TokenCaches {
    shared: Arc<Shared>,
}

struct Shared {
    factory: Box<Factory>,
    default_key: Option<TokenKey>,
    /// Neither the function nor a source is called under it, and no cache dropped: all of that is foreign code.
    table: RwLock<Table>,
}

type Factory = dyn Fn(&TokenKey) -> Result<TokenCache, Error> + Send + Sync;

// === impl TokenCaches ===

impl TokenCaches {
    /// With the default capacity and no default key. For `factory` see [`builder`](Self::builder).
    pub fn new(factory: impl Fn(&TokenKey) -> Result<TokenCache, Error> + Send + Sync + 'static) -> Self {
        Self::builder(factory).build()
    }

    /// To set the limits.
    ///
    /// `factory` makes the cache for a key, out of the key alone. It is called by whoever needs the cache first, so that it
    /// must not block. An error, such as [`Error::permanent`] for a tenant that does not exist, goes to that one request;
    /// nothing of it is kept, because asking again costs no token request, and helps at once when what was missing is
    /// there.
    pub fn builder(factory: impl Fn(&TokenKey) -> Result<TokenCache, Error> + Send + Sync + 'static) -> Builder {
        Builder::new(Box::new(factory))
    }

    /// The cache for `key`, made now if there is none.
    ///
    /// If several need it first at the same time, each may call the function; the first that is done decides, and all get
    /// the same cache.
    ///
    /// # Errors
    ///
    /// What the function answered.
    pub fn get(&self, key: &TokenKey) -> Result<TokenCache, Error> {
        let removals = {
            let table = self.read();
            if let Some(cache) = table.get(key) {
                return Ok(cache);
            }
            table.removals()
        };
        let made = (self.shared.factory)(key)?;
        // What is not needed any more is dropped when the lock is free.
        let (cache, _unneeded) = {
            let mut table = self.write();
            match table.get(key) {
                Some(first) => (first, Some(made)),
                // It may have been made of what was removed for being wrong: it serves this caller, and no other.
                None if table.removals() != removals => (made, None),
                None => (made.clone(), table.insert(key, made)),
            }
        };
        Ok(cache)
    }

    /// Forgets the cache for `key`, because the tenant left or its credentials changed: the next who needs it has it made
    /// anew. Whoever holds the old one keeps using it.
    pub fn remove(&self, key: &TokenKey) -> Option<TokenCache> {
        self.write().remove(key)
    }

    /// How many caches there are now.
    pub fn len(&self) -> usize {
        self.read().len()
    }

    /// Whether there is none now.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn default_key(&self) -> Option<&TokenKey> {
        self.shared.default_key.as_ref()
    }

    fn read(&self) -> RwLockReadGuard<'_, Table> {
        self.shared.table.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Table> {
        self.shared.table.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for TokenCaches {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // No keys: they may say who the users are.
        let (len, capacity) = {
            let table = self.read();
            (table.len(), table.capacity())
        };
        f.debug_struct("TokenCaches").field("len", &len).field("capacity", &capacity).finish_non_exhaustive()
    }
}
