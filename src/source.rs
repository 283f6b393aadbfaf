//! Where tokens come from.
//!
//! The grants of this crate are sources; anything else that can hand out tokens becomes one with [`source_fn`].

use std::{fmt, future::Future, pin::Pin, sync::Arc};

use crate::{error::Error, token::Token};

/// Obtains tokens.
///
/// [`TokenCache`](crate::TokenCache) asks one question at a time, in a task of its own that no caller can cancel, and
/// does not ask again after a failure until a back-off has passed. A source needs neither a lock nor a cache.
///
/// ```
/// use std::time::Duration;
/// use tower_oauth2::{Error, Token, TokenCache, source_fn};
///
/// # async fn ask_the_vault() -> Result<String, std::io::Error> { Ok("s3cr3t".to_owned()) }
/// let tokens = TokenCache::new(source_fn(|_rejected| async {
///     let secret = ask_the_vault().await.map_err(Error::transient)?;
///     Ok(Token::new(secret)?.with_lifetime(Duration::from_secs(600)))
/// }));
/// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
/// assert_eq!(tokens.token().await?.header(), "Bearer s3cr3t");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait TokenSource: Send + Sync + 'static {
    /// Obtains a token *other than* `rejected`.
    ///
    /// Expiry and a 401 are the same question, "a newer one than this". `rejected` is the token that a resource server
    /// refused last, if any; whoever keeps copies of tokens (a file, Redis, another process) must not answer with it.
    ///
    /// # Errors
    ///
    /// [`Error::transient`] if asking again in some seconds may help, [`Error::permanent`] if not. A panic counts as
    /// transient.
    fn token(&self, rejected: Option<&Token>) -> impl Future<Output = Result<Token, Error>> + Send;
}

/// A [`TokenSource`] out of a function. The argument is the token that was refused, if any.
pub fn source_fn<F, Fut>(f: F) -> SourceFn<F>
where
    F: Fn(Option<Token>) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<Token, Error>> + Send,
{
    SourceFn { f }
}

/// What [`source_fn`] returns.
#[derive(Clone, Copy)]
pub struct SourceFn<F> {
    f: F,
}

/// [`TokenSource`] without its types: a fetch is rare, so that a cache, a layer and a service need no parameter for it.
pub(crate) trait ErasedSource: Send + Sync {
    fn fetch(self: Arc<Self>, rejected: Option<Token>) -> Fetch;
}

pub(crate) type Fetch = Pin<Box<dyn Future<Output = Result<Token, Error>> + Send>>;

// === impl SourceFn ===

impl<F, Fut> TokenSource for SourceFn<F>
where
    F: Fn(Option<Token>) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<Token, Error>> + Send,
{
    fn token(&self, rejected: Option<&Token>) -> impl Future<Output = Result<Token, Error>> + Send {
        (self.f)(rejected.cloned())
    }
}

impl<F> fmt::Debug for SourceFn<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SourceFn")
    }
}

// === impl ErasedSource ===

impl<T: TokenSource> ErasedSource for T {
    fn fetch(self: Arc<Self>, rejected: Option<Token>) -> Fetch {
        Box::pin(async move { self.token(rejected.as_ref()).await })
    }
}

impl<T: TokenSource> TokenSource for Arc<T> {
    fn token(&self, rejected: Option<&Token>) -> impl Future<Output = Result<Token, Error>> + Send {
        T::token(self, rejected)
    }
}
