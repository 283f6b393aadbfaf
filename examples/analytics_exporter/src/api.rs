//! Whom to ask, and as whom.

use std::{env, fmt, time::Duration};

use tower_oauth2::{
    TokenCache, TokenSource,
    client::HttpsClient,
    cxone::{self, AccessKey, Tenant},
    genesys::Region,
    grant::{ClientAuth, ClientCredentials, Metadata},
};

use crate::{args::Args, failure::Failure, source::Vendor};

/// What the environment says.
#[derive(Clone, Default)]
pub struct Environment {
    pub genesys: [Option<String>; 2],
    pub cxone: [Option<String>; 4],
    /// Base URL of the API, and the token endpoint. Those of Genesys Cloud are flags' as well.
    pub cxone_urls: [Option<String>; 2],
}

/// An API, where it is known, and what is needed to sign in.
#[derive(Debug)]
pub struct Api {
    pub place: Place,
    pub sign_in: SignIn,
}

#[derive(Debug)]
pub enum Place {
    Known {
        base_url: String,
        token_url: String,
    },
    /// CXone tells where the rest is.
    Issuer(String),
}

pub enum SignIn {
    /// Client credentials.
    Client(ClientAuth),
    /// The access key of a user, for a client.
    AccessKey { client: [String; 2], key: [String; 2] },
}

/// An API that was found, and its tokens.
#[derive(Debug)]
pub struct Found {
    pub base_url: String,
    pub token_url: String,
    pub tokens: TokenCache,
}

// === impl Environment ===

impl Environment {
    /// # Errors
    ///
    /// If something is there and cannot be read, which must not be taken for its not being there.
    pub fn read() -> Result<Self, Failure> {
        let read = |name| match env::var(name) {
            Ok(value) => Ok(Some(value).filter(|value| !value.trim().is_empty())),
            Err(env::VarError::NotPresent) => Ok(None),
            Err(env::VarError::NotUnicode(_)) => Err(Failure::usage(format!("{name} is not valid UTF-8"))),
        };
        let two = |names: [&'static str; 2]| Ok::<_, Failure>([read(names[0])?, read(names[1])?]);
        let [client, secret] = two([CXONE[0], CXONE[1]])?;
        let [key, key_secret] = two([CXONE[2], CXONE[3]])?;
        Ok(Self {
            genesys: two(GENESYS)?,
            cxone: [client, secret, key, key_secret],
            cxone_urls: two(["CXONE_API_URL", "CXONE_TOKEN_URL"])?,
        })
    }
}

/// Without the secrets.
impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Environment").field("client", &self.genesys[0]).finish_non_exhaustive()
    }
}

// === impl Api ===

impl Api {
    /// `None` if nothing points to a real API: then the simulator is asked.
    ///
    /// # Errors
    ///
    /// If something does, and something else is missing or wrong.
    pub fn resolve(args: &Args, environment: Environment) -> Result<Option<Self>, Failure> {
        match args.source.vendor() {
            Vendor::Genesys => {
                let [api, token] = [args.api_url.clone(), args.token_url.clone()];
                let somewhere = args.region.is_some() || api.is_some() || token.is_some();
                let Some([id, secret]) = all(environment.genesys, GENESYS, somewhere)? else { return Ok(None) };
                let place = genesys(args.region.as_ref(), api, token)?;
                Ok(Some(Self { place, sign_in: SignIn::Client(ClientAuth::basic(id, secret)) }))
            }
            Vendor::Cxone => {
                let urls = or([&args.api_url, &args.token_url], environment.cxone_urls);
                let somewhere = urls.iter().any(Option::is_some) || args.cxone_issuer != cxone::ISSUER;
                let Some([id, secret, key, key_secret]) = all(environment.cxone, CXONE, somewhere)? else {
                    return Ok(None);
                };
                let place = match urls {
                    [Some(base_url), Some(token_url)] => Place::Known { base_url, token_url },
                    [None, None] => Place::Issuer(args.cxone_issuer.clone()),
                    _ => {
                        return Err(Failure::usage(
                            "say both --api-url and --token-url, or neither: then the issuer tells",
                        ));
                    }
                };
                let sign_in = SignIn::AccessKey { client: [id, secret], key: [key, key_secret] };
                Ok(Some(Self { place, sign_in }))
            }
        }
    }

    /// Finds out what is not known yet.
    ///
    /// # Errors
    ///
    /// If the API cannot be found, or nobody could sign in there.
    pub async fn find(self, args: &Args, http: HttpsClient) -> Result<Found, Failure> {
        match (self.sign_in, self.place) {
            (SignIn::Client(auth), Place::Known { base_url, token_url }) => {
                let mut grant = ClientCredentials::new(http, &token_url, auth)?;
                if let Some(scope) = &args.scope {
                    grant = grant.scope(scope);
                }
                let tokens = cache(grant.attempts(ATTEMPTS).timeout(TOKEN_TIMEOUT));
                Ok(Found { base_url, token_url, tokens })
            }
            (SignIn::AccessKey { client: [id, secret], key }, Place::Known { base_url, token_url }) => {
                let grant = cxone::access_key_grant(http, &token_url, ClientAuth::basic(id, secret), access_key(key))?;
                let tokens = cache(grant.attempts(ATTEMPTS).timeout(TOKEN_TIMEOUT));
                Ok(Found { base_url, token_url, tokens })
            }
            (SignIn::AccessKey { client: [id, secret], key }, Place::Issuer(issuer)) => {
                let failure =
                    |error: tower_oauth2::Error| Failure::authentication(&error, &host_of(&issuer), Vendor::Cxone);
                let metadata = Metadata::discover(http.clone(), &issuer).await.map_err(failure)?;
                let auth = metadata.client_secret(id, secret)?;
                let grant = cxone::access_key_grant(http.clone(), &metadata, auth, access_key(key))?;
                let tokens = cache(grant.attempts(ATTEMPTS).timeout(TOKEN_TIMEOUT));
                let token = tokens.token().await.map_err(failure)?;
                let tenant = cxone::tenant_id(&token).ok_or_else(|| {
                    Failure::usage(format!("the token of {issuer} names no tenant: say --api-url and --token-url"))
                })?;
                let tenant = Tenant::discover(http, metadata.issuer(), &tenant).await.map_err(failure)?;
                let token_url = format!("{issuer} (its token endpoint)");
                Ok(Found { base_url: tenant.api_url().to_owned(), token_url, tokens })
            }
            (SignIn::Client(_), Place::Issuer(_)) => Err(Failure::usage("client credentials need a token endpoint")),
        }
    }
}

/// Without the secrets.
impl fmt::Debug for SignIn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Client(auth) => f.debug_tuple("Client").field(auth).finish(),
            Self::AccessKey { client: [id, _], .. } => {
                f.debug_struct("AccessKey").field("client", id).finish_non_exhaustive()
            }
        }
    }
}

fn access_key([id, secret]: [String; 2]) -> AccessKey {
    AccessKey::new(id, secret)
}

fn cache(source: impl TokenSource) -> TokenCache {
    // No storm of 401s can come of it: each is replayed once, however many parts are asked for, and the first that stays one
    // ends the run.
    let flap = Duration::from_millis(100);
    TokenCache::builder(source).fetch_timeout(2 * TOKEN_TIMEOUT).flap_interval(flap).build()
}

/// Flags before the environment.
fn or(said: [&Option<String>; 2], there: [Option<String>; 2]) -> [Option<String>; 2] {
    let [first, second] = there;
    [said[0].clone().or(first), said[1].clone().or(second)]
}

/// All of them, or none if that is no mistake.
fn all<const N: usize>(
    values: [Option<String>; N],
    names: [&str; N],
    somewhere: bool,
) -> Result<Option<[String; N]>, Failure> {
    if values.iter().all(Option::is_none) && !somewhere {
        return Ok(None);
    }
    let missing: Vec<_> =
        names.iter().zip(&values).filter(|(_, value)| value.is_none()).map(|(name, _)| *name).collect();
    let Some((last, others)) = missing.split_last() else { return Ok(Some(values.map(Option::unwrap_or_default))) };
    let (names, are) = if others.is_empty() {
        ((*last).to_owned(), "is")
    } else {
        (format!("{} and {last}", others.join(", ")), "are")
    };
    Err(Failure::usage(format!(
        "{names} {are} missing in the environment (without credentials, and without a region or URL, the simulator is used)"
    )))
}

fn genesys(region: Option<&String>, api: Option<String>, token: Option<String>) -> Result<Place, Failure> {
    let parse = |name: &String| name.parse::<Region>();
    let named = region.map(parse).transpose().map_err(|error| Failure::usage(error.to_string()))?;
    // A URL of a region's API says which region it is.
    let known = named.or_else(|| api.as_ref().and_then(|url| parse(url).ok()));
    let base_url = api.or_else(|| named.map(|region| region.api_url()));
    let token_url = token.or_else(|| known.map(|region| region.token_url()));
    match (base_url, token_url) {
        (Some(base_url), Some(token_url)) => Ok(Place::Known { base_url, token_url }),
        (None, _) => Err(Failure::usage(
            "where is the API? say --region or GENESYS_ENVIRONMENT, or --api-url or GENESYS_ENV_URL",
        )),
        (_, None) => {
            Err(Failure::usage("--api-url is of no known region: say --token-url or GENESYS_TOKEN_URL as well"))
        }
    }
}

/// Of a URL, for people.
pub fn host_of(url: &str) -> String {
    let uri: Option<http::Uri> = url.parse().ok();
    uri.and_then(|uri| uri.authority().map(ToString::to_string)).unwrap_or_else(|| url.to_owned())
}

/// How long a token request may take, each of its attempts.
pub const TOKEN_TIMEOUT: Duration = Duration::from_secs(20);
/// A login server that is restarted is waited for, for some seconds.
const ATTEMPTS: u32 = 5;
const GENESYS: [&str; 2] = ["GENESYS_CLIENT_ID", "GENESYS_CLIENT_SECRET"];
const CXONE: [&str; 4] = ["CXONE_CLIENT_ID", "CXONE_CLIENT_SECRET", "CXONE_ACCESS_KEY_ID", "CXONE_ACCESS_KEY_SECRET"];

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    fn resolve(flags: &[&str], genesys: [&str; 2], cxone: [&str; 4]) -> Result<Option<Api>, Failure> {
        let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        let environment = Environment { genesys: genesys.map(some), cxone: cxone.map(some), ..Environment::default() };
        Api::resolve(&Args::parse_from([&["analytics_exporter"], flags].concat()), environment)
    }

    #[test]
    fn nothing_said_is_the_simulator_and_half_of_it_is_a_mistake() {
        assert!(resolve(&[], ["", ""], [""; 4]).unwrap().is_none());
        for (flags, id, secret, missing) in [
            (&[][..], "id", "", "GENESYS_CLIENT_SECRET is missing"),
            (&[], "", "secret", "GENESYS_CLIENT_ID is missing"),
            (&["--region", "mypurecloud"], "", "", "GENESYS_CLIENT_ID and GENESYS_CLIENT_SECRET are missing"),
            (&[], "id", "secret", "--region"),
            (&["--region", "nowhere"], "id", "secret", "nowhere"),
            (&["--api-url", "https://gateway.example"], "id", "secret", "--token-url"),
        ] {
            let failure = resolve(flags, [id, secret], [""; 4]).unwrap_err();
            assert_eq!(failure.code(), 2);
            assert!(failure.to_string().contains(missing), "{failure}");
        }
    }

    #[test]
    fn each_vendor_has_credentials_of_its_own() {
        let cxone = &["--source", "cxone-contacts"];
        assert!(resolve(cxone, ["id", "secret"], [""; 4]).unwrap().is_none(), "those of Genesys Cloud say nothing");
        let failure = resolve(cxone, ["", ""], ["id", "secret", "", ""]).unwrap_err();
        assert!(failure.to_string().contains("CXONE_ACCESS_KEY_ID and CXONE_ACCESS_KEY_SECRET are"), "{failure}");
        let api = resolve(cxone, ["", ""], ["id", "s3cr3t", "key====", "k3ys3cr3t"]).unwrap().unwrap();
        assert!(matches!(&api.place, Place::Issuer(issuer) if issuer == cxone::ISSUER));
        let shown = format!("{api:?}");
        assert!(!shown.contains("s3cr3t"), "{shown}");
        let issuer = [&cxone[..], &["--cxone-issuer", "https://issuer.example"]].concat();
        assert!(resolve(&issuer, ["", ""], [""; 4]).is_err(), "whoever names an issuer wants no simulator");
        let one = [&cxone[..], &["--api-url", "https://api-na1.niceincontact.com"]].concat();
        assert!(resolve(&one, ["", ""], ["a", "b", "c", "d"]).unwrap_err().to_string().contains("--token-url"));
    }

    #[test]
    fn a_region_is_named_in_many_ways() {
        for flags in [
            &["--region", "mypurecloud.ie"][..],
            &["--region", "eu-west-1"],
            &["--api-url", "https://api.mypurecloud.ie"],
        ] {
            let api = resolve(flags, ["id", "secret"], [""; 4]).unwrap().unwrap();
            let Place::Known { base_url, token_url } = &api.place else { panic!("{api:?}") };
            assert_eq!(base_url, "https://api.mypurecloud.ie");
            assert_eq!(token_url, "https://login.mypurecloud.ie/oauth/token");
            assert!(!format!("{api:?}").contains("secret\""));
        }
    }
}
