//! Where a token comes from, how long it serves, and what becomes of one that is refused.

use http::Method;
use serde_json::json;
use tokio::time::{Instant, sleep};
use tower_oauth2::{
    Error, OAuthLayer, TokenCache, TokenSource,
    genesys::{ConversationDetails, Region},
    grant::{ClientAuth, ClientCredentials},
    pager::{ErrorKind, Pager, Place, Query, Rule},
};

use crate::{
    edges::world::{API, INTERVAL, World, details, hit, refusal, region, secs, token, with},
    scripted_api::{Answer, ScriptedApi, drain, ok, status},
};

#[test]
fn every_region_has_the_hosts_that_the_vendor_names() {
    let table = [
        ("us-east-1", "api.mypurecloud.com", "login.mypurecloud.com"),
        ("us-east-2", "api.use2.us-gov-pure.cloud", "login.use2.us-gov-pure.cloud"),
        ("us-west-2", "api.usw2.pure.cloud", "login.usw2.pure.cloud"),
        ("ca-central-1", "api.cac1.pure.cloud", "login.cac1.pure.cloud"),
        ("mx-central-1", "api.mxc1.pure.cloud", "login.mxc1.pure.cloud"),
        ("sa-east-1", "api.sae1.pure.cloud", "login.sae1.pure.cloud"),
        ("eu-west-1", "api.mypurecloud.ie", "login.mypurecloud.ie"),
        ("eu-west-2", "api.euw2.pure.cloud", "login.euw2.pure.cloud"),
        ("eu-central-1", "api.mypurecloud.de", "login.mypurecloud.de"),
        ("eu-central-2", "api.euc2.pure.cloud", "login.euc2.pure.cloud"),
        ("eusc-de-east-1", "api.edee1.eusc-pure.cloud", "login.edee1.eusc-pure.cloud"),
        ("me-central-1", "api.mec1.pure.cloud", "login.mec1.pure.cloud"),
        ("ap-south-1", "api.aps1.pure.cloud", "login.aps1.pure.cloud"),
        ("ap-southeast-1", "api.apse1.pure.cloud", "login.apse1.pure.cloud"),
        ("ap-southeast-2", "api.mypurecloud.com.au", "login.mypurecloud.com.au"),
        ("ap-northeast-1", "api.mypurecloud.jp", "login.mypurecloud.jp"),
        ("ap-northeast-2", "api.apne2.pure.cloud", "login.apne2.pure.cloud"),
        ("ap-northeast-3", "api.apne3.pure.cloud", "login.apne3.pure.cloud"),
    ];
    assert_eq!(Region::all().len(), table.len());
    for (aws, api, login) in table {
        for name in [aws, api, login] {
            let region: Region = name.parse().unwrap();
            assert_eq!(region.aws(), aws, "{name}");
            assert_eq!(region.api_url(), format!("https://{api}"));
            assert_eq!(region.token_url(), format!("https://{login}/oauth/token"));
        }
    }
    // What the tutorials build, and what a match by a part of the name would find.
    for none in ["mypurecloud.com.mypurecloud.com", "api.pure.cloud", "api.mypurecloud.com.br", "x.mypurecloud.com"] {
        assert!(none.parse::<Region>().is_err(), "{none}");
    }
}

#[tokio::test(start_paused = true)]
async fn behind_a_gateway_login_and_api_are_where_they_are_said_to_be() {
    let login = ScriptedApi::new([token(1, 86_399)]);
    let auth = ClientAuth::basic("client", "s3cr3t");
    let grant = ClientCredentials::new(login.service(), "https://gw.example.com/login/oauth/token", auth).unwrap();
    let listed = [r#"{"entities":[{"id":"u1"}],"pageCount":2}"#, r#"{"entities":[{"id":"u2"}],"pageCount":2}"#];
    let api = ScriptedApi::new([hit(1, 1)].into_iter().chain(listed.map(ok)));
    let layer = OAuthLayer::for_origin("https://gw.example.com", TokenCache::new(grant)).unwrap();
    let client = tower::ServiceBuilder::new().layer(layer).service(api.service());

    let gateway = "https://gw.example.com/genesys/";
    let details = ConversationDetails::query(gateway, INTERVAL).build().unwrap();
    let rule = Rule::page_number(Place::query("pageNumber")).page_count("/pageCount");
    let users = Query::get(format!("{gateway}api/v2/users"), "/entities", rule).unwrap();
    for query in [details, users] {
        let (_, error) = drain(&mut Pager::new(client.clone(), query)).await;
        assert!(error.is_none(), "{error:?}");
    }
    assert_eq!(login.uris(), ["https://gw.example.com/login/oauth/token"]);
    let path = |path: &str| format!("{gateway}api/v2/{path}");
    let [one, two] = ["users?pageNumber=1", "users?pageNumber=2"].map(path);
    assert_eq!(api.uris(), [path("analytics/conversations/details/query"), one, two]);
}

#[tokio::test(start_paused = true)]
async fn a_token_is_asked_for_as_the_vendor_does_and_sent_as_bearer() {
    for (answer, lifetime) in [
        (json!({"access_token": "Op4que_-x", "token_type": "bearer", "expires_in": 86_399}), 86_399),
        (json!({"access_token": "Op4que_-x", "token_type": "Bearer", "expires_in": 1234, "error": ""}), 1234),
        (json!({"access_token": "Op4que_-x", "token_type": "BEARER", "expires_in": 300, "error": null}), 300),
    ] {
        let world = World::with_login([ok(answer.to_string())], [hit(1, 1)]);
        let (_, error) = drain(&mut world.pager(details())).await;
        assert!(error.is_none(), "{error:?}");
        assert_eq!(world.tokens.token().await.unwrap().lifetime(), Some(secs(lifetime)));
        assert_eq!(world.bearers(), ["Op4que_-x"]);

        let asked = world.login.seen().remove(0);
        assert_eq!((asked.method, asked.uri.as_str()), (Method::POST, "https://login.mypurecloud.ie/oauth/token"));
        assert_eq!(asked.headers["authorization"], "Basic Y2xpZW50OnMzY3IzdA==");
        assert_eq!(asked.headers["content-type"], "application/x-www-form-urlencoded");
        assert_eq!(asked.body, "grant_type=client_credentials", "no scope: they do not apply");
    }
}

#[tokio::test(start_paused = true)]
async fn a_token_serves_for_most_of_its_life_however_long_that_is() {
    // From the shortest that can be set to the longest; two that the tutorials believe in, and the default.
    for lifetime in [300, 3600, 7200, 86_399, 172_800] {
        let world = World::with_login((1..10).map(|number| token(number, lifetime)), []);
        let begun = Instant::now();
        let (mut renewed, step) = (None, secs((u64::from(lifetime) / 300).min(30)));
        while Instant::now() - begun < secs(lifetime.into()) {
            world.tokens.token().await.unwrap();
            if world.login.requests() == 2 {
                renewed = renewed.or(Some(Instant::now() - begun));
            }
            sleep(step).await;
        }
        // A fifth of it ahead, five minutes at the most, with a tenth of that as jitter.
        let ahead = f64::from(lifetime / 5).min(300.0) * 1.1;
        assert!(renewed.unwrap().as_secs_f64() >= f64::from(lifetime) - ahead, "{lifetime}: {renewed:?}");
        assert_eq!(world.login.requests(), 2, "{lifetime}");
    }
}

#[tokio::test(start_paused = true)]
async fn who_is_not_known_is_told_so_in_the_words_of_genesys_and_asks_once() {
    for (code, says) in [(400, "client not found"), (401, "authentication failed")] {
        let body = json!({"error": "invalid_client", "description": says, "error_description": says}).to_string();
        let world = World::with_login([status(code, &body)], []);
        for _ in 0..20 {
            let error = world.failure(details(), 0).await;
            assert_eq!(error.kind(), ErrorKind::Send);
            let error = Error::find(&error).unwrap();
            assert_eq!((error.oauth_code(), error.status().unwrap().as_u16()), (Some("invalid_client"), code));
            assert!(!error.is_transient() && error.to_string().contains(says), "{error}");
        }
        assert_eq!((world.login.requests(), world.api.requests()), (1, 0), "{code}");
    }
}

fn limited() -> Answer {
    let says = "rate limit exceeded; try again in 30 seconds";
    status(400, &json!({"error": "invalid_request", "description": says, "error_description": says}).to_string())
}

#[tokio::test(start_paused = true)]
async fn a_limit_of_token_requests_is_a_400_that_passes() {
    // Without a token: the error says that it passes, and it does, with nobody in a hurry meanwhile.
    let world = World::with_login([limited(), limited(), token(1, 300)], []);
    let begun = Instant::now();
    let error = world.tokens.token().await.unwrap_err();
    assert!(error.is_transient() && error.oauth_code() == Some("invalid_request"), "{error:?}");
    assert_eq!(world.login.requests(), 1, "not asked again at once");
    while world.tokens.token().await.is_err() {
        sleep(secs(1)).await;
    }
    assert_eq!(world.login.requests(), 3);
    assert!(Instant::now() - begun < secs(60), "{:?}", Instant::now() - begun);

    // With one: nobody notices.
    let world = World::with_login([token(1, 300), limited(), limited(), token(2, 300)], []);
    for _ in 0..400 {
        world.tokens.token().await.unwrap();
        sleep(secs(1)).await;
    }
    assert_eq!(world.login.requests(), 4);
}

#[tokio::test(start_paused = true)]
async fn a_vendor_that_limits_with_other_words_is_understood_by_a_source_around_the_grant() {
    let slow = status(400, r#"{"error":"quota","error_description":"slow down"}"#);
    let login = ScriptedApi::new([slow, token(1, 300)]);
    let auth = ClientAuth::basic("client", "s3cr3t");
    let grant = ClientCredentials::new(login.service(), region().token_url(), auth).unwrap();
    let tokens = TokenCache::new(tower_oauth2::source_fn(move |rejected| {
        let grant = grant.clone();
        async move {
            let passes = |error: Error| match error.oauth_code() {
                Some("quota") => Error::transient(error),
                _ => error,
            };
            grant.token(rejected.as_ref()).await.map_err(passes)
        }
    }));
    assert!(tokens.token().await.unwrap_err().is_transient());
    sleep(secs(30)).await;
    tokens.token().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn each_way_to_refuse_a_token_renews_it_and_no_page_comes_twice() {
    // None of them has a challenge. What is over and what was taken away look alike.
    let refusals = [
        ("bad.credentials", "Invalid login credentials."),
        ("authentication.required", "No authentication bearer token specified in authorization header."),
        ("credentials.expired", "The login credentials have expired."),
    ];
    let answers = refusals.iter().zip(1..).flat_map(|((code, message), page)| {
        let headers = [("via", "1.1 cloudfront"), ("cache-control", "no-cache"), ("x-amz-cf-id", "x")];
        let refused =
            headers.into_iter().fold(refusal(401, code, message), |answer, (name, value)| with(answer, name, value));
        [refused, hit(page, 3)]
    });
    let world = World::new(answers);
    let mut pager = world.pager(details());
    let mut came = Vec::new();
    while let Some(page) = futures_util::StreamExt::next(&mut pager).await {
        came.push(page.unwrap().field::<String>("/conversations/0/conversationId").unwrap());
        // A token that is refused as soon as it was minted is another matter.
        sleep(secs(20)).await;
    }
    assert_eq!(came, ["c1", "c2", "c3"]);
    assert_eq!(world.bearers(), ["t1", "t2", "t2", "t3", "t3", "t4"]);
    assert_eq!(world.login.requests(), 4, "as often as it has to be, and no restart");
    let asked = world.api.bodies();
    assert!(asked.chunks(2).all(|pair| pair[0] == pair[1]), "{asked:?}");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_was_disabled_is_told_as_what_it_is() {
    let unknown = json!({"error": "invalid_client", "error_description": "client not found"}).to_string();
    let refused = |_: u32| refusal(401, "bad.credentials", "Invalid login credentials.");
    let world = World::with_login(
        [token(1, 86_399), status(400, &unknown)],
        [hit(1, 2)].into_iter().chain((0..9).map(refused)),
    );
    let error = world.failure(details(), 1).await;
    assert_eq!((error.kind(), error.page()), (ErrorKind::Send, Some(2)));
    assert_eq!(Error::find(&error).unwrap().oauth_code(), Some("invalid_client"));
    for _ in 0..9 {
        world.failure(details(), 0).await;
    }
    assert_eq!((world.login.requests(), world.api.requests()), (2, 2));
}

#[tokio::test(start_paused = true)]
async fn a_limit_of_the_api_mints_no_token_and_loses_no_page() {
    let limited = refusal(429, "too.many.requests.retry.after", "Retry the request in [7] seconds");
    let world = World::new([hit(1, 3), hit(2, 3), with(limited, "retry-after", "7"), hit(3, 3)]);
    let (pages, error) = drain(&mut world.pager(details())).await;
    assert!(error.is_none() && pages.len() == 3, "{error:?}");
    assert_eq!(world.bearers(), ["t1"; 4]);
    assert!(world.api.uris().iter().all(|uri| uri.starts_with(API)));
}
