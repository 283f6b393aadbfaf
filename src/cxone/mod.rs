//! NICE CXone: how a program gets its tokens, where its API is, and how its reports page.
//!
//! Back-end programs of CXone do not use the client credentials grant. They sign in with the access key of a user, at a token
//! endpoint that they discover, and learn from the token which tenant they belong to and from the tenant's configuration
//! where its API is:
//!
//! ```
//! # use http::{Request, Response};
//! use tower_oauth2::{OAuthLayer, TokenCache, cxone::{self, AccessKey, Tenant}};
//! use tower_oauth2::grant::{ClientAuth, Metadata};
//! # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
//! # let http = tower::service_fn(|request: Request<http_body_util::Full<bytes::Bytes>>| async move {
//! #     let text = match request.uri().to_string().trim_start_matches("https://cxone.niceincontact.com") {
//! #         "/.well-known/openid-configuration" => r#"{"issuer":"https://cxone.niceincontact.com","token_endpoint":"https://cxone.niceincontact.com/auth/token"}"#,
//! #         "/auth/token" => r#"{"access_token":"e30.eyJ0ZW5hbnRJZCI6IjExZWUifQ.x","expires_in":3600}"#,
//! #         "/.well-known/cxone-configuration?tenantId=11ee" => r#"{"area":"na1","domain":"niceincontact.com"}"#,
//! #         _ => return Ok::<_, tower::BoxError>(Response::builder().status(404).body(String::new())?),
//! #     };
//! #     Ok(Response::new(text.to_owned()))
//! # });
//!
//! let metadata = Metadata::discover(http.clone(), cxone::ISSUER).await?;
//! let auth = metadata.client_secret("my-app", "s3cr3t")?;
//! let key = AccessKey::new("ACCESSKEYID====", "ACCESSKEYSECRET====");
//! let tokens = TokenCache::new(cxone::access_key_grant(http.clone(), &metadata, auth, key)?);
//!
//! let tenant = cxone::tenant_id(&tokens.token().await?).ok_or("the token names no tenant")?;
//! let tenant = Tenant::discover(http.clone(), metadata.issuer(), &tenant).await?;
//! assert_eq!(tenant.api_url(), "https://api-na1.niceincontact.com");
//! let layer = OAuthLayer::for_origin(tenant.api_url(), tokens)?;
//! # Ok::<(), tower::BoxError>(()) })?;
//! # Ok::<(), tower::BoxError>(())
//! ```

mod auth;
mod report;
mod tenant;

pub use self::{
    auth::{AccessKey, ISSUER, access_key_grant, central_grant, user_hub_grant, user_hub_refresh},
    report::{explain, report},
    tenant::{Tenant, api_url, tenant_id},
};
