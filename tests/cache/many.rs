//! Many tokens at once: which request gets which, how many caches there are, and which one goes.

use std::{
    collections::HashSet,
    convert::Infallible,
    pin::pin,
    sync::{
        Arc, Barrier, OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
};

use http::{Request, Response, StatusCode, header::AUTHORIZATION};
use tokio::{task::JoinSet, time::sleep};
use tower::{BoxError, Layer, Service, ServiceBuilder, ServiceExt, limit::ConcurrencyLimit, service_fn};
use tower_http::follow_redirect::FollowRedirectLayer;
use tower_oauth2::{
    Error, OAuthLayer, Token, TokenCache, TokenCaches, TokenKey, TokenRejected,
    caches::Builder,
    retry::{RetryLayer, RetryPolicy},
    source_fn,
};
use tower_test::mock;

use crate::support::{api::Api, millis, poll_once, secs};

const HERE: &str = "https://api.example.com/v1/users";
const ELSEWHERE: &str = "https://files.example.com/1";

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_tenant_ever_sees_the_token_of_another() {
    // Fewer places than tenants, and every fifth request refused: caches come and go, and tokens too.
    let (builder, _) = tenants();
    let tokens = builder.capacity(5).build();
    let calls = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&calls);
    let api = service_fn(move |request: Request<String>| {
        let token = request.headers()[AUTHORIZATION].to_str().unwrap().to_owned();
        assert!(token.starts_with(&format!("Bearer {}.", request.body())), "{token} for {}", request.body());
        let refused = counter.fetch_add(1, Ordering::SeqCst) % 5 == 0;
        async move {
            tokio::task::yield_now().await;
            let status = if refused { StatusCode::UNAUTHORIZED } else { StatusCode::OK };
            Ok::<_, Infallible>(Response::builder().status(status).body(()).unwrap())
        }
    });
    let stack = ServiceBuilder::new().layer(RetryLayer::new(RetryPolicy::new())).layer(layer(&tokens)).service(api);
    let mut callers = JoinSet::new();
    for caller in 0..8 {
        let mut api = stack.clone();
        callers.spawn(async move {
            for round in 0..30_usize {
                let tenant = format!("tenant{}", (round * (caller + 1)) % 7);
                let mut request = Request::post(HERE).body(tenant.clone()).unwrap();
                request.extensions_mut().insert(TokenKey::new().tenant(tenant));
                api.ready().await.unwrap().call(request).await.unwrap();
            }
        });
    }
    while let Some(caller) = callers.join_next().await {
        caller.unwrap();
    }
    assert!(tokens.len() <= 5 && calls.load(Ordering::SeqCst) >= 240);
}

#[tokio::test(start_paused = true)]
async fn a_401_of_one_tenant_leaves_the_other_alone() {
    let (tokens, _) = two_tenants();
    let log = Api::default();
    let mut api = layer(&tokens).layer(log.clone());
    for tenant in ["a", "b", "a", "b"] {
        call(&mut api, HERE, tenant).await.unwrap();
    }
    log.refuse("a.1.1");
    let response = call(&mut api, HERE, "a").await.unwrap();
    assert_eq!(response.extensions().get(), Some(&TokenRejected::new(true)));
    for tenant in ["b", "a", "b"] {
        call(&mut api, HERE, tenant).await.unwrap();
    }
    assert_eq!(log.tokens(), ["a.1.1", "b.2.1", "a.1.1", "b.2.1", "a.1.1", "b.2.1", "a.1.2", "b.2.1"]);
    let rejected = |tenant| tokens.get(&key(tenant)).unwrap().stats().rejected;
    assert_eq!((rejected("a"), rejected("b")), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_replay_and_a_redirect_keep_the_key_and_another_origin_gets_no_token() {
    let (tokens, _) = two_tenants();
    let log = Api::default();
    let stack = ServiceBuilder::new()
        .layer(FollowRedirectLayer::new())
        .layer(RetryLayer::new(RetryPolicy::new()))
        .layer(layer(&tokens))
        .service(log.clone());
    let send = async |uri: &str, tenant: &str| {
        let mut request = Request::get(uri).body(String::new()).unwrap();
        request.extensions_mut().insert(key(tenant));
        stack.clone().oneshot(request).await.unwrap();
    };
    log.refuse("a.1.1");
    send(HERE, "a").await;
    assert_eq!(log.tokens(), ["a.1.1", "a.1.2"]);
    log.redirect("/to");
    send("https://api.example.com/from", "a").await;
    log.redirect(ELSEWHERE);
    send("https://api.example.com/from", "b").await;
    assert_eq!(log.tokens()[2..], ["a.1.2", "a.1.2", "b.2.1", ""]);
}

#[tokio::test(start_paused = true)]
async fn without_a_key_nothing_is_sent_unless_there_is_a_default() {
    let (tokens, made) = two_tenants();
    let log = Api::default();
    let mut api = layer(&tokens).layer(ConcurrencyLimit::new(log.clone(), 1));
    let refused = ready(&mut api).await.call(Request::get(HERE).body(()).unwrap());
    assert!(poll_once(pin!(ready(&mut api.clone()))).is_ready(), "the permit is free");
    let error = refused.await.unwrap_err();
    let error = Error::find(error.as_ref()).unwrap();
    assert!(error.is_config() && error.to_string().contains("insert a `TokenKey`"), "{error}");

    // What gets no token of ours needs no key.
    ready(&mut api).await.call(Request::get(ELSEWHERE).body(()).unwrap()).await.unwrap();
    let own = Request::get(HERE).header(AUTHORIZATION, "Basic x").body(()).unwrap();
    ready(&mut api).await.call(own).await.unwrap();
    assert_eq!((log.tokens(), made.load(Ordering::SeqCst)), (vec![String::new(), "Basic x".to_owned()], 0));

    let tokens = tenants().0.default_key(key("d")).build();
    let mut api = layer(&tokens).layer(log.clone());
    ready(&mut api).await.call(Request::get(HERE).body(()).unwrap()).await.unwrap();
    call(&mut api, HERE, "a").await.unwrap();
    assert_eq!(log.tokens()[2..], ["d.1.1", "a.2.1"]);
}

#[tokio::test(start_paused = true)]
async fn a_key_that_would_not_count_sends_nothing() {
    let log = Api::default();
    let tokens = TokenCache::new(source_fn(|_| async { Token::new("for-all") }));
    let mut api = OAuthLayer::for_origin(HERE, tokens).unwrap().layer(log.clone());
    let error = call(&mut api, HERE, "a").await.unwrap_err();
    let error = Error::find(error.as_ref()).unwrap();
    assert!(error.is_config() && error.to_string().contains("`TokenCaches`"), "{error}");
    call(&mut api, ELSEWHERE, "a").await.unwrap();
    assert_eq!(log.tokens(), [""]);
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_made_fails_that_request_and_is_not_remembered() {
    let known = Arc::new(OnceLock::new());
    let tokens = TokenCaches::new({
        let known = Arc::clone(&known);
        move |key| match known.get() {
            Some(()) => Ok(TokenCache::new(source_fn(|_| async { Token::new("late") }))),
            None => Err(Error::permanent(format!("no credentials of {}", key.get_tenant().unwrap()))),
        }
    });
    let log = Api::default();
    let mut api = layer(&tokens).layer(log.clone());
    for _ in 0..2 {
        let error = call(&mut api, HERE, "a").await.unwrap_err();
        assert_eq!(Error::find(error.as_ref()).unwrap().to_string(), "the token source failed");
        assert!(tokens.is_empty() && log.seen().is_empty());
    }
    known.set(()).unwrap();
    call(&mut api, HERE, "a").await.unwrap();
    assert_eq!(log.tokens(), ["late"]);
}

#[tokio::test(start_paused = true)]
async fn a_hundred_first_requests_make_one_cache_and_one_token_request() {
    let (tokens, made) = two_tenants();
    let log = Api::default();
    let api = layer(&tokens).layer(log.clone());
    let calls = (0..100).map(|_| {
        let mut api = api.clone();
        async move { call(&mut api, HERE, "a").await.unwrap() }
    });
    futures_util::future::join_all(calls).await;
    assert_eq!(log.tokens(), ["a.1.1"; 100]);
    assert_eq!((made.load(Ordering::SeqCst), tokens.len()), (1, 1));
}

#[test]
fn of_several_that_were_made_at_once_all_use_the_first() {
    let barrier = Arc::new(Barrier::new(8));
    let tokens = TokenCaches::new(move |_| {
        // Nobody is held up by a lock: all are in here at once.
        barrier.wait();
        Ok(TokenCache::new(source_fn(|_| async { Token::new("a") })))
    });
    let threads = [(); 8].map(|()| {
        let tokens = tokens.clone();
        std::thread::spawn(move || tokens.get(&key("a")).unwrap())
    });
    let caches = threads.map(|thread| thread.join().unwrap());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let generations: HashSet<_> =
        caches.iter().map(|cache| runtime.block_on(cache.token()).unwrap().generation()).collect();
    assert_eq!((generations.len(), tokens.len()), (1, 1));
}

#[test]
fn keys_are_what_was_said_and_nothing_that_looks_like_it() {
    let new = TokenKey::new;
    let same = [
        (new().scope("b a"), new().scope("a").scope("b")),
        (new().scope("  a   b a "), new().scope("a b")),
        (new().resource("r").resource("q"), new().resource("q").resource("r").resource("q")),
        (new().param("x", "1").param("y", "2"), new().param("y", "2").param("x", "1")),
        (new().tenant("x").tenant("a"), new().tenant("a")),
        (new().scope(" "), new()),
    ];
    for (one, other) in same {
        assert_eq!(one, other);
        assert_eq!(HashSet::from([one, other]).len(), 1, "equal keys have equal hashes");
    }
    let differ = [
        new(),
        new().tenant(""),
        new().tenant("ab"),
        new().tenant("Ab"),
        new().tenant("a b"),
        new().tenant("a").audience("b"),
        new().tenant("b").audience("a"),
        new().tenant("a").subject("b"),
        new().audience("ab"),
        new().audience("a").subject("b"),
        new().audience(""),
        new().subject("ab"),
        new().subject(""),
        new().tenant("a").audience("").subject("b"),
        new().scope("ab"),
        new().scope("a b"),
        new().scope("A b"),
        new().scope("a").resource("b"),
        new().resource("ab"),
        new().resource("a b"),
        new().resource("a").resource("b"),
        new().resource(""),
        new().param("a", "b"),
        new().param("ab", ""),
        new().param("", "ab"),
        new().param("a", "").param("b", ""),
        new().param("a", "b").param("a", "c"),
        new().param("a", "b\u{0}a\u{0}c"),
        new().param("tenant", "ab"),
        new().param("scope", "ab"),
        new().tenant("ab\u{0}"),
        new().tenant("ab "),
    ];
    for (index, one) in differ.iter().enumerate() {
        for other in &differ[index + 1..] {
            assert_ne!(one, other);
        }
    }
    let (tokens, made) = two_tenants();
    assert!(differ.iter().all(|key| tokens.get(key).is_ok()));
    assert_eq!((made.load(Ordering::SeqCst), tokens.len()), (differ.len(), differ.len()));
}

#[test]
fn a_key_tells_what_it_was_told() {
    let key = TokenKey::new().tenant("t").audience("a").subject("s").scope("y x").resource("r");
    let key = key.param("q", "2").param("p", "1");
    assert_eq!((key.get_tenant(), key.get_audience(), key.get_subject()), (Some("t"), Some("a"), Some("s")));
    assert!(key.get_scopes().eq(["x", "y"]) && key.get_resources().eq(["r"]));
    assert!(key.get_params().eq([("p", "1"), ("q", "2")]));
}

#[test]
fn what_may_be_personal_is_in_no_debug_output() {
    let key = TokenKey::new().tenant("acme").subject("canary").param("mail", "canary");
    let (tokens, _) = two_tenants();
    tokens.get(&key).unwrap();
    let shown = format!("{key:?} {tokens:?} {:#?} {:?}", layer(&tokens), tenants().0);
    assert!(!shown.contains("canary") && shown.contains("mail") && shown.contains("len: 1"), "{shown}");
    let shown = format!("{tokens:?} {:?}", layer(&tokens));
    assert!(!shown.contains("acme"), "{shown}");
}

#[test]
fn what_was_used_longest_ago_goes_first() {
    let (builder, made) = tenants();
    let tokens = builder.capacity(3).build();
    let use_all = |tenants: &[&str]| tenants.iter().for_each(|tenant| drop(tokens.get(&key(tenant)).unwrap()));
    let makes = |tenants: &[&str]| {
        let before = made.load(Ordering::SeqCst);
        use_all(tenants);
        assert!(tokens.len() <= 3);
        made.load(Ordering::SeqCst) - before
    };
    assert_eq!(makes(&["a", "b", "c", "a"]), 3);
    assert_eq!(makes(&["d", "a", "c", "d"]), 1, "b went");
    assert_eq!(makes(&["b"]), 1, "and a with that");
    assert_eq!(makes(&["c", "d", "b"]), 0);
    assert_eq!(makes(&["a"]), 1);
}

#[test]
fn there_is_room_for_one_at_the_least() {
    let tokens = tenants().0.capacity(0).build();
    for tenant in ["a", "b", "b"] {
        tokens.get(&key(tenant)).unwrap();
        assert_eq!(tokens.len(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_held_or_asks_for_a_token_stays_as_long_as_anything_else_can_go() {
    let (builder, made) = tenants();
    let tokens = builder.capacity(3).build();
    let held = tokens.get(&key("held")).unwrap();
    let asking = tokens.get(&key("asking")).unwrap();
    assert!(poll_once(pin!(asking.token())).is_pending());
    drop(asking);
    for idle in ["c", "d", "e", "f"] {
        tokens.get(&key(idle)).unwrap();
    }
    assert_eq!(made.load(Ordering::SeqCst), 6);
    tokens.get(&key("held")).unwrap();
    let asking = tokens.get(&key("asking")).unwrap();
    assert_eq!(made.load(Ordering::SeqCst), 6, "both are still there");
    assert_eq!(asking.token().await.unwrap().secret(), "asking.2.1");

    // All are held: the one that was used longest ago goes, and serves who has it.
    let _third = tokens.get(&key("f")).unwrap();
    tokens.get(&key("g")).unwrap();
    assert_eq!(tokens.len(), 3);
    assert_eq!(held.token().await.unwrap().secret(), "held.1.1");
    assert_eq!(tokens.get(&key("held")).unwrap().token().await.unwrap().secret(), "held.8.1", "the next has another");
}

#[tokio::test(start_paused = true)]
async fn a_401_after_its_cache_went_is_replayed_with_another_token() {
    let tokens = tenants().0.capacity(1).build();
    let (mock, mut handle) = mock::pair::<Request<()>, Response<()>>();
    let mut api = layer(&tokens).layer(mock);
    let mut request = Request::get(HERE).body(()).unwrap();
    request.extensions_mut().insert(key("a"));
    let response = ready(&mut api).await.call(request);
    let server = async {
        let (request, send) = handle.next_request().await.unwrap();
        assert_eq!(request.headers()[AUTHORIZATION], "Bearer a.1.1");
        tokens.get(&key("b")).unwrap();
        send.send_response(Response::builder().status(401).body(()).unwrap());
    };
    let (response, ()) = tokio::join!(response, server);
    assert_eq!(response.unwrap().extensions().get(), Some(&TokenRejected::new(true)));
}

#[tokio::test(start_paused = true)]
async fn what_was_removed_is_made_anew_for_whoever_comes_next() {
    let (tokens, _) = two_tenants();
    let log = Api::default();
    let mut api = layer(&tokens).layer(log.clone());
    for _ in 0..3 {
        call(&mut api, HERE, "a").await.unwrap();
    }
    let old = tokens.remove(&key("a")).unwrap();
    assert!(tokens.remove(&key("a")).is_none() && tokens.is_empty());
    call(&mut api, HERE, "a").await.unwrap();
    assert_eq!(log.tokens(), ["a.1.1", "a.1.1", "a.1.1", "a.2.1"]);
    assert_eq!(old.token().await.unwrap().secret(), "a.1.1");
}

#[test]
fn what_was_removed_while_it_was_made_is_not_kept() {
    let itself: Arc<OnceLock<TokenCaches>> = Arc::default();
    let made = Arc::new(AtomicUsize::new(0));
    let tokens = TokenCaches::new({
        let (itself, made) = (Arc::clone(&itself), Arc::clone(&made));
        move |key| {
            // The credentials change when they have just been read. That this ends shows that nothing is locked.
            if made.fetch_add(1, Ordering::SeqCst) == 0 {
                itself.get().unwrap().remove(key);
            }
            Ok(TokenCache::new(source_fn(|_| async { Token::new("a") })))
        }
    });
    itself.set(tokens.clone()).unwrap();
    for (used, len) in [(1, 0), (2, 1), (2, 1)] {
        tokens.get(&key("a")).unwrap();
        assert_eq!((made.load(Ordering::SeqCst), tokens.len()), (used, len));
    }
}

#[test]
fn a_hit_allocates_no_more_than_with_one_token_for_all() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (tokens, _) = two_tenants();
    let one = tokens.get(&key("a")).unwrap();
    runtime.block_on(one.token()).unwrap();
    let used = key("a");
    assert_eq!(allocation_counter::measure(|| drop(tokens.get(&used).unwrap())).count_total, 0);

    let measure = |layer: OAuthLayer, key: Option<TokenKey>| {
        let noop = service_fn(|request: Request<()>| {
            assert!(request.headers().contains_key(AUTHORIZATION));
            std::future::ready(Ok::<_, BoxError>(Response::new(())))
        });
        let mut api = layer.layer(noop);
        let request = || {
            let mut request = Request::get(HERE).body(()).unwrap();
            request.extensions_mut().insert(0_u8);
            request.extensions_mut().extend(key.clone().map(extensions).unwrap_or_default());
            request
        };
        let mut send = |request| assert!(poll_once(pin!(api.call(request))).is_ready());
        send(request());
        send(request());
        let request = request();
        allocation_counter::measure(|| send(request)).count_total
    };
    let fixed = measure(OAuthLayer::for_origin(HERE, one).unwrap(), None);
    assert_eq!(measure(layer(&tokens), Some(used)), fixed);
    assert!(fixed <= 2, "the header map and its first entry: {fixed}");
}

/// Makes `tenant.C.N`: the Nth token of the Cth cache. How many were made.
fn tenants() -> (Builder, Arc<AtomicUsize>) {
    let made = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&made);
    let builder = TokenCaches::builder(move |key| {
        let (number, minted) = (counter.fetch_add(1, Ordering::SeqCst) + 1, AtomicUsize::new(0));
        let tenant = key.get_tenant().unwrap_or("nobody").to_owned();
        let source = source_fn(move |_| {
            let token = format!("{tenant}.{number}.{}", minted.fetch_add(1, Ordering::SeqCst) + 1);
            async move {
                sleep(millis(1)).await;
                Ok(Token::new(token)?.with_lifetime(secs(3600)))
            }
        });
        Ok(TokenCache::builder(source).min_interval(millis(100)).flap_interval(millis(100)).build())
    });
    (builder, made)
}

fn two_tenants() -> (TokenCaches, Arc<AtomicUsize>) {
    let (builder, made) = tenants();
    (builder.build(), made)
}

fn layer(tokens: &TokenCaches) -> OAuthLayer {
    OAuthLayer::for_origin(HERE, tokens.clone()).unwrap()
}

fn key(tenant: &str) -> TokenKey {
    TokenKey::new().tenant(tenant)
}

fn extensions(key: TokenKey) -> http::Extensions {
    let mut extensions = http::Extensions::new();
    extensions.insert(key);
    extensions
}

async fn call<S>(api: &mut S, uri: &str, tenant: &str) -> Result<S::Response, S::Error>
where
    S: Service<Request<()>, Error: std::fmt::Debug>,
{
    let mut request = Request::get(uri).body(()).unwrap();
    request.extensions_mut().insert(key(tenant));
    ready(api).await.call(request).await
}

async fn ready<S: Service<Request<()>, Error: std::fmt::Debug>>(service: &mut S) -> &mut S {
    service.ready().await.unwrap()
}
