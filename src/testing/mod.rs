//! An authorization server and an analytics API, in process, to test clients with.
//!
//! - [`Issuer`] mints tokens, and rotates refresh tokens. It can be told to fail in many ways ([`Outage`]), to have the
//!   manners of one server or another ([`Dialect`]), and to revoke what it minted.
//! - [`Analytics`] is an API like Genesys Cloud's and NICE CXone's, with pages, a rate limit and faults ([`Fault`],
//!   [`Faults`]).
//!
//! Both are tower services, and both can be served on a socket ([`Server`]). Both count what they see. Their time is
//! that of tokio, so that a test can pause it; only the dates in `Retry-After` and of the conversations are not.
//!
//! ```
//! use http::Request;
//! use tower::ServiceExt;
//! use tower_oauth2::testing::{Analytics, Issuer, TokenStatus};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
//! let issuer = Issuer::new();
//! let analytics = Analytics::new(&issuer);
//! let token = issuer.mint();
//! let request = || {
//!     Request::get("https://api.example/echo")
//!         .header("authorization", format!("Bearer {token}"))
//!         .body(String::new())
//! };
//! assert_eq!(analytics.service().oneshot(request()?).await?.status(), 200);
//!
//! issuer.revoke_all();
//! assert_eq!(issuer.check(&token), TokenStatus::Revoked);
//! assert_eq!(analytics.service().oneshot(request()?).await?.status(), 401);
//! assert_eq!(analytics.stats().unauthorized, 1);
//! # Ok(())
//! # }
//! ```

mod analytics;
mod body;
mod issuer;
mod reply;
mod server;
mod sync;
mod target;

pub use self::analytics::{
    Analytics, AnalyticsBuilder, AnalyticsService, AnalyticsStats, Fault, Faults, InvalidInterval, JobFate,
};
pub use self::body::Body;
pub use self::issuer::{
    Dialect, Issuer, IssuerBuilder, IssuerService, IssuerStats, Outage, SeenTokenRequest, TokenStatus,
};
pub use self::server::Server;

type BoxError = Box<dyn std::error::Error + Send + Sync>;
