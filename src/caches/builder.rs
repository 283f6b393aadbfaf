//! The limits of many caches.

use std::{
    fmt,
    sync::{Arc, RwLock},
};

use super::{Factory, Shared, TokenCaches, TokenKey, table::Table};

/// Sets the limits of [`TokenCaches`].
#[must_use = "a builder does nothing until `build`"]
pub struct Builder {
    factory: Box<Factory>,
    capacity: usize,
    default_key: Option<TokenKey>,
}

// === impl Builder ===

impl Builder {
    pub(super) fn new(factory: Box<Factory>) -> Self {
        Self { factory, capacity: 1024, default_key: None }
    }

    /// How many caches are kept. To make room, all of them are looked at, so that it should be more than are in use.
    /// Defaults to 1,024; 1 at the least.
    ///
    /// With fewer than are in use, each request may find its cache gone: its token, and what is known of the failures of its
    /// source, so that nothing keeps it from being asked again at once.
    pub fn capacity(mut self, capacity: usize) -> Self {
        self.capacity = capacity.max(1);
        self
    }

    /// The key of requests that have none. By default there is none, and they are not sent.
    ///
    /// Mind what takes a key away: tower-http's `FollowRedirect` drops the extensions of a request that is sent to another
    /// origin, and it would come back with the default one's token. Let its `FilterCredentials` policy
    /// `allow_extension::<TokenKey>()`, or set no default.
    pub fn default_key(mut self, key: TokenKey) -> Self {
        self.default_key = Some(key);
        self
    }

    /// The caches, of which there is none yet.
    pub fn build(self) -> TokenCaches {
        let table = RwLock::new(Table::new(self.capacity));
        TokenCaches { shared: Arc::new(Shared { factory: self.factory, default_key: self.default_key, table }) }
    }
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder").field("capacity", &self.capacity).finish_non_exhaustive()
    }
}
