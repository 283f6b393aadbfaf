//! Ways to get a token from an authorization server (RFC 6749), over any HTTP client.
//!
//! A grant is a [`TokenSource`](crate::TokenSource): give it to a [`TokenCache`](crate::TokenCache).
//!
//! ```
//! use tower_oauth2::{TokenCache, grant::{ClientAuth, ClientCredentials}, testing::Issuer};
//!
//! # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
//! let issuer = Issuer::new(); // stands for any client that can reach the authorization server
//! let auth = ClientAuth::basic("test-client", "test-secret");
//! let grant = ClientCredentials::new(issuer.service(), "https://login.example.com/oauth/token", auth)?
//!     .scope("analytics:readonly");
//!
//! let token = TokenCache::new(grant).token().await?;
//! assert!(token.header().is_sensitive());
//! # Ok::<(), tower_oauth2::Error>(())
//! # })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#[cfg(feature = "jwt")]
#[cfg_attr(docsrs, doc(cfg(feature = "jwt")))]
pub mod assertion;
mod client_auth;
mod client_credentials;
mod endpoint;
mod form;
mod response;

pub use self::{client_auth::ClientAuth, client_credentials::ClientCredentials};
