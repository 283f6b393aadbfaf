//! Ways to get a token from an authorization server (RFC 6749), over any HTTP client.
//!
//! A grant is a [`TokenSource`](crate::TokenSource): give it to a [`TokenCache`](crate::TokenCache).
//!
//! | to get a token | use |
//! |---|---|
//! | in the client's own name | [`ClientCredentials`] |
//! | of a user who has signed in before | [`RefreshToken`] |
//! | for another token | [`TokenExchange`] |
//! | any other way: a password, an access key, JSON instead of a form, other names in the answer | [`TokenRequest`] |
//!
//! How the client shows who it is, is [`ClientAuth`]'s; where a secret is kept, [`Secret`]'s; where to ask, a URL's or
//! [`Metadata`]'s, which a server publishes about itself.
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
pub(crate) mod document;
mod endpoint;
#[cfg(fuzzing)]
pub(crate) mod fuzzing;
mod message;
mod metadata;
mod params;
mod refresh_token;
mod request;
mod response;
mod secret;
mod token_endpoint;
mod token_exchange;
mod transport;

pub(crate) use self::token_endpoint::secure;
pub use self::{
    client_auth::ClientAuth, client_credentials::ClientCredentials, metadata::Metadata, refresh_token::RefreshToken,
    request::TokenRequest, secret::Secret, token_endpoint::TokenEndpoint, token_exchange::TokenExchange,
    transport::HttpClient,
};
