//! An OAuth 2.0 authorization server: client credentials, refresh tokens, token exchange, access keys.

mod answer;
mod builder;
mod client_auth;
mod dialect;
mod family;
mod handle;
mod metadata;
mod outage;
mod seen;
mod service;
mod state;
mod stats;
mod store;
mod tenant;

pub use self::builder::IssuerBuilder;
pub use self::dialect::Dialect;
pub use self::handle::Issuer;
pub use self::outage::Outage;
pub use self::seen::SeenTokenRequest;
pub use self::service::IssuerService;
pub use self::stats::IssuerStats;
pub use self::store::TokenStatus;
