//! Where a tenant's API is.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

use crate::{
    encode::encode,
    error::{Error, Kind},
    grant::{HttpClient, document, secure},
    json::{self, Pointer},
    origin::Origin,
    token::Token,
};

/// The configuration of a tenant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tenant {
    area: String,
    domain: String,
    api_url: String,
}

// === impl Tenant ===

impl Tenant {
    /// Fetches the configuration of the tenant from its issuer, without a token: `/.well-known/cxone-configuration`, 256 KiB
    /// at the most, within ten seconds, a failure that may pass three times.
    ///
    /// # Errors
    ///
    /// If `issuer` is not an absolute URL, or http and not loopback; if there is no configuration of that tenant, or it names
    /// no API that a token can be sent to. Transient, if the server cannot be reached or fails.
    ///
    /// # Cancellation
    ///
    /// Safe at any point.
    pub async fn discover(http: impl HttpClient, issuer: &str, tenant_id: &str) -> Result<Self, Error> {
        let base = issuer.trim_end_matches('/');
        let place = format!("{base}/.well-known/cxone-configuration?tenantId={}", *encode(tenant_id));
        document::fetch(http, &[secure(&place, "configuration")?], Self::read).await
    }

    /// Such as `na1`.
    pub fn area(&self) -> &str {
        &self.area
    }

    /// Such as `niceincontact.com`.
    pub fn domain(&self) -> &str {
        &self.domain
    }

    /// Where its API is: for [`OAuthLayer::for_origin`](crate::OAuthLayer::for_origin), and the base of requests. Without a
    /// slash at its end.
    pub fn api_url(&self) -> &str {
        &self.api_url
    }

    fn read(host: &str, document: &[u8]) -> Result<Self, Error> {
        let unusable =
            |problem: &'static str| Error::new(Kind::Metadata { host: host.into(), problem: problem.into() });
        let places = ["area", "domain", "api_endpoint"].map(Pointer::member);
        let found = json::find(document, None, &places.each_ref())
            .map_err(|_| unusable("is not the JSON it should be").with_transient(true))?;
        let mut values = found.values.into_iter().map(|value| serde_json::from_str::<String>(value?.get()).ok());
        let mut next = || values.next().flatten().filter(|text| !text.trim().is_empty());
        let (area, domain, api_endpoint) = (next(), next(), next());
        let named = |(area, domain): (&String, &String)| format!("https://api-{area}.{domain}");
        let api_url = api_endpoint.or_else(|| area.as_ref().zip(domain.as_ref()).map(named));
        let api_url = api_url.ok_or_else(|| unusable("names no API"))?;
        let api_url =
            trustworthy(&api_url).map_err(|error| unusable("names an API that cannot be used").with_source(error))?;
        Ok(Self { area: area.unwrap_or_default(), domain: domain.unwrap_or_default(), api_url })
    }
}

/// The tenant that the token belongs to: the `tenantId` of the answer that it came with, or the claim of that name in its
/// `id_token` or in itself. `None` if none of them says it.
///
/// No signature is checked: it came from the authorization server itself.
pub fn tenant_id(token: &Token) -> Option<String> {
    let claimed = |jwt: &str| {
        let payload = URL_SAFE_NO_PAD.decode(jwt.split('.').nth(1)?.trim_end_matches('=')).ok()?;
        json::member::<String>(&payload, "tenantId")
    };
    token
        .field("tenantId")
        .or_else(|| claimed(&token.field::<String>("id_token")?))
        .or_else(|| claimed(token.secret()))
        .filter(|tenant| !tenant.is_empty())
}

/// Where the API is, if the answer that the token came with says so itself: the `resource_server_base_uri` of the legacy central
/// way. Without a slash at its end.
///
/// # Errors
///
/// If it says nothing, or names something that a token cannot be sent to.
pub fn api_url(token: &Token) -> Result<String, Error> {
    let url: Option<String> = token.field("resource_server_base_uri");
    let url = url.ok_or_else(|| Error::config("the token response has no resource_server_base_uri"))?;
    trustworthy(&url)
}

fn trustworthy(url: &str) -> Result<String, Error> {
    let origin = Origin::parse(url)?;
    if !origin.is_trustworthy() {
        return Err(Error::config(format!("{origin} would carry the token in clear text")));
    }
    Ok(url.trim().trim_end_matches('/').to_owned())
}
