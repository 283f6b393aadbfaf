//! An authorization server and an analytics API, in process.

mod body;
mod issuer;
mod reply;
mod sync;

pub use self::body::Body;
pub use self::issuer::{Issuer, IssuerBuilder, IssuerService, IssuerStats, Outage, SeenTokenRequest, TokenStatus};

type BoxError = Box<dyn std::error::Error + Send + Sync>;
