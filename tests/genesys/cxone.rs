//! NICE CXone's ways to a token and to the API, with answers of the shape that CXone gives.

use std::{
    convert::Infallible,
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::{Request, Response, header::AUTHORIZATION};
use http_body_util::{BodyExt, Full};
use tower::{Service, ServiceExt, service_fn, util::BoxCloneService};
use tower_oauth2::{
    OAuthLayer, TokenCache, TokenSource,
    cxone::{self, AccessKey, Tenant},
    grant::{ClientAuth, Metadata},
};

const DISCOVERY: &str =
    r#"{"issuer":"https://cxone.niceincontact.com","token_endpoint":"https://cxone.niceincontact.com/auth/token"}"#;
const TOKEN: &str = r#"{"access_token":"eyJhbGciOiJub25lIn0.eyJ0ZW5hbnRJZCI6IjExZWUifQ.TEST","token_type":"Bearer",
    "expires_in":3600,"refresh_token":"refresh-TEST-1","id_token":"eyJhbGciOiJub25lIn0.eyJ0ZW5hbnRJZCI6IjExZWUifQ.TEST"}"#;
const CONFIGURATION: &str =
    r#"{"area":"na1","domain":"niceincontact.com","api_endpoint":"https://api-na1.niceincontact.com"}"#;
const REFRESHED: &str = r#"{"token":"access-TEST-2","refreshToken":"refresh-TEST-2","tokenExpirationTimeSec":"3600",
    "refreshTokenExpirationTimeSec":7200}"#;
const LEGACY: &str = r#"{"access_token":"legacy-TEST","token_type":"bearer","expires_in":3600,"refresh_token":"r",
    "scope":"ReportingApi","resource_server_base_uri":"https://api-c42.incontact.com/inContactAPI/","bus_no":3}"#;

#[tokio::test]
async fn an_access_key_gets_from_discovery_to_the_api() {
    let cxone = Cxone::new([
        ("https://cxone.niceincontact.com/.well-known/openid-configuration", DISCOVERY),
        ("https://cxone.niceincontact.com/auth/token", TOKEN),
        ("https://cxone.niceincontact.com/.well-known/cxone-configuration?tenantId=11ee", CONFIGURATION),
        ("https://api-na1.niceincontact.com/incontactapi/services/v30.0/contacts/completed", "{}"),
    ]);
    let metadata = Metadata::discover(cxone.service(), cxone::ISSUER).await.unwrap();
    let auth = metadata.client_secret("app", "s3cr3t").unwrap();
    let key = AccessKey::new("ACCESSKEYID====", "ACCESSKEYSECRET====");
    let grant = cxone::access_key_grant(cxone.service(), &metadata, auth, key).unwrap();
    let tokens = TokenCache::new(grant);
    let tenant = cxone::tenant_id(&tokens.token().await.unwrap()).unwrap();
    let tenant = Tenant::discover(cxone.service(), metadata.issuer(), &tenant).await.unwrap();
    assert_eq!((tenant.area(), tenant.domain()), ("na1", "niceincontact.com"));

    let mut api = tower::ServiceBuilder::new()
        .layer(OAuthLayer::for_origin(tenant.api_url(), tokens).unwrap())
        .service(cxone.service());
    let url = format!("{}/incontactapi/services/v30.0/contacts/completed", tenant.api_url());
    let request = Request::get(url).body(Full::<Bytes>::default()).unwrap();
    assert_eq!(api.ready().await.unwrap().call(request).await.unwrap().status(), 200);

    let seen = cxone.seen();
    let token = seen.iter().find(|request| request.url.ends_with("/auth/token")).unwrap();
    let form = "grant_type=password&username=ACCESSKEYID%3D%3D%3D%3D&password=ACCESSKEYSECRET%3D%3D%3D%3D";
    assert_eq!(token.body, form);
    assert_eq!(token.authorization.as_deref(), Some("Basic YXBwOnMzY3IzdA=="));
    let api = seen.last().unwrap();
    assert!(api.authorization.as_deref().unwrap().starts_with("Bearer eyJ"));
}

#[tokio::test]
async fn user_hub_takes_json_without_a_client() {
    let url = "https://na1.nice-incontact.com/authentication/v1/token/access-key";
    let cxone = Cxone::new([(url, TOKEN)]);
    let key = AccessKey::new("ACCESSKEYID====", "ACCESSKEY\"SECRET====");
    let grant = cxone::user_hub_grant(cxone.service(), "na1", key).unwrap();
    assert!(!format!("{grant:?}").contains("ACCESSKEY\""));
    assert_eq!(grant.token(None).await.unwrap().lifetime(), Some(Duration::from_secs(3600)));
    let sent = cxone.seen().remove(0);
    assert_eq!(sent.body, r#"{"accessKeyId":"ACCESSKEYID====","accessKeySecret":"ACCESSKEY\"SECRET===="}"#);
    assert_eq!((sent.authorization, sent.content_type.as_str()), (None, "application/json"));
    for area in ["", "na1.evil.example", "na1/", "na 1", "evil.example#", "a@b", &"a".repeat(64)] {
        let error = cxone::user_hub_grant(cxone.service(), area, AccessKey::new("a", "b")).unwrap_err();
        assert!(error.is_config(), "{area}");
    }
}

#[tokio::test]
async fn user_hub_refreshes_under_names_of_its_own() {
    let url = "https://na1.nice-incontact.com/public/user/refresh";
    let cxone = Cxone::new([(url, REFRESHED)]);
    let kept = Arc::new(Mutex::new(Vec::new()));
    let keep = Arc::clone(&kept);
    let grant = cxone::user_hub_refresh(cxone.service(), "na1", "refresh-TEST-1", move |next| {
        keep.lock().unwrap().push(next);
        async { Ok::<_, Infallible>(()) }
    })
    .unwrap();
    let token = grant.token(None).await.unwrap();
    assert_eq!((token.secret(), token.lifetime()), ("access-TEST-2", Some(Duration::from_secs(3600))));
    assert_eq!(*kept.lock().unwrap(), ["refresh-TEST-2"]);
    grant.token(None).await.unwrap();
    let bodies: Vec<_> = cxone.seen().into_iter().map(|request| request.body).collect();
    assert_eq!(bodies, [r#"{"token":"refresh-TEST-1"}"#, r#"{"token":"refresh-TEST-2"}"#]);
    assert_eq!(kept.lock().unwrap().len(), 1, "the same one again is nothing new");
}

#[tokio::test]
async fn the_legacy_answer_says_where_the_api_is() {
    let url = "https://api.incontact.com/InContactAuthorizationServer/Token";
    let cxone = Cxone::new([(url, LEGACY)]);
    let auth = ClientAuth::basic_raw("app@vendor", "4600001");
    let grant = cxone::central_grant(cxone.service(), url, auth, "user@example.com", "p\\w").unwrap();
    let token = grant.token(None).await.unwrap();
    assert_eq!(cxone::api_url(&token).unwrap(), "https://api-c42.incontact.com/inContactAPI");
    assert_eq!(token.field::<u32>("bus_no"), Some(3));
    let basic = "Basic YXBwQHZlbmRvcjo0NjAwMDAx"; // app@vendor:4600001, as it is
    assert_eq!(cxone.seen()[0].authorization.as_deref(), Some(basic));
    assert_eq!(
        cxone.seen().remove(0).body,
        r#"{"grant_type":"password","username":"user@example.com","password":"p\\w"}"#
    );
}

#[tokio::test]
async fn an_api_that_a_token_cannot_be_sent_to_is_refused() {
    let places = |configuration: &'static str| {
        Cxone::new([("https://issuer.example/.well-known/cxone-configuration?tenantId=a%2Fb%26c", configuration)])
    };
    for bad in [
        "{}",
        "[]",
        r#"{"area":"na1"}"#,
        r#"{"api_endpoint":"http://api.example"}"#,
        r#"{"api_endpoint":"https://user:pw@api.example"}"#,
        r#"{"area":"na1","domain":"x@evil.example"}"#,
        r#"{"area":7,"domain":"a.example"}"#,
    ] {
        let error = Tenant::discover(places(bad).service(), "https://issuer.example/", "a/b&c").await.unwrap_err();
        assert!(!error.is_transient() && error.to_string().contains("issuer.example"), "{bad}: {error}");
    }
    let good = places(r#"{"area":"eu1","domain":"nicecxone.example","api_endpoint":null}"#);
    let tenant = Tenant::discover(good.service(), "https://issuer.example", "a/b&c").await.unwrap();
    assert_eq!(tenant.api_url(), "https://api-eu1.nicecxone.example");
    assert!(Tenant::discover(good.service(), "http://issuer.example", "x").await.unwrap_err().is_config());

    for answer in [r#"{"access_token":"a"}"#, r#"{"access_token":"a","resource_server_base_uri":"http://x.example"}"#] {
        let cxone = Cxone::new([("https://t.example/", answer)]);
        let grant = cxone::central_grant(cxone.service(), "https://t.example/", ClientAuth::anonymous(), "u", "p");
        let token = grant.unwrap().token(None).await.unwrap();
        assert!(cxone::api_url(&token).unwrap_err().is_config());
        assert_eq!(cxone::tenant_id(&token), None);
    }
}

/// Answers at the places it knows, and keeps what it was sent.
#[derive(Clone)]
struct Cxone {
    answers: Arc<[(&'static str, &'static str)]>,
    seen: Arc<Mutex<Vec<Seen>>>,
}

#[derive(Clone, Debug)]
struct Seen {
    url: String,
    authorization: Option<String>,
    content_type: String,
    body: String,
}

impl Cxone {
    fn new<const N: usize>(answers: [(&'static str, &'static str); N]) -> Self {
        Self { answers: Arc::new(answers), seen: Arc::default() }
    }

    fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    fn service(&self) -> BoxCloneService<Request<Full<Bytes>>, Response<String>, Infallible> {
        let cxone = self.clone();
        let answer = move |request: Request<Full<Bytes>>| -> BoxFuture<'static, Result<Response<String>, Infallible>> {
            let cxone = cxone.clone();
            Box::pin(async move { Ok(cxone.answer(request).await) })
        };
        BoxCloneService::new(service_fn(answer))
    }

    async fn answer(&self, request: Request<Full<Bytes>>) -> Response<String> {
        let (head, body) = request.into_parts();
        let text = |value: &http::HeaderValue| value.to_str().unwrap().to_owned();
        let url = head.uri.to_string();
        let answer = self.answers.iter().find(|(place, _)| *place == url).map(|(_, answer)| *answer);
        let seen = Seen {
            url,
            authorization: head.headers.get(AUTHORIZATION).map(text),
            content_type: head.headers.get("content-type").map(text).unwrap_or_default(),
            body: String::from_utf8(body.collect().await.unwrap().to_bytes().to_vec()).unwrap(),
        };
        self.seen.lock().unwrap().push(seen);
        let status = if answer.is_some() { 200 } else { 404 };
        Response::builder().status(status).body(answer.unwrap_or_default().to_owned()).unwrap()
    }
}
