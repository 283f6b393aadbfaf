//! What is left of a secret in memory, once nobody needs it: nothing that this crate holds.
//!
//! The process reads its own memory, as a core dump would show it. The HTTP client is one that keeps nothing; what hyper and
//! rustls copy into buffers of theirs is out of this crate's hands.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

use std::{
    fs::File,
    io::{BufRead, BufReader, Read, Seek, SeekFrom},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use tower::{BoxError, ServiceBuilder, ServiceExt, service_fn};
use tower_oauth2::{
    OAuthLayer, TokenCache,
    grant::{ClientAuth, ClientCredentials, RefreshToken, Secret},
};

/// Where copies are held while the grant lives: the secret itself, and nothing between token requests.
const HELD: usize = 1;

#[test]
fn a_client_secret_is_there_once_and_gone_when_the_grant_is() {
    let ways: [fn(String) -> ClientAuth; 3] = [
        |secret| ClientAuth::basic("id", secret),
        |secret| ClientAuth::basic_raw("id", secret),
        |secret| ClientAuth::post("id", secret),
    ];
    for auth in ways {
        let canary = Canary::new();
        let grant = ClientCredentials::new(http(), "https://login.example.com/token", auth(canary.spell())).unwrap();
        assert!(canary.hits() >= HELD, "the search finds what is there");
        let tokens = TokenCache::new(grant);
        run(&tokens);
        assert_eq!(canary.hits(), HELD, "sent, and only held where it is kept");
        drop(tokens);
        assert_eq!(canary.hits(), 0);
    }
}

#[test]
fn a_secret_that_is_looked_up_is_held_for_a_token_request_only() {
    let canary = Canary::new();
    let masked = canary.masked.clone();
    let secret = Secret::from_fn(move || {
        let spelled = unmask(&masked);
        async move { Ok::<_, BoxError>(spelled) }
    });
    let auth = ClientAuth::basic("id", secret);
    let grant = ClientCredentials::new(http(), "https://login.example.com/token", auth).unwrap();
    let tokens = TokenCache::new(grant);
    run(&tokens);
    assert_eq!(canary.hits(), 0);
}

#[test]
fn a_token_is_gone_with_the_last_who_holds_it() {
    let canary = Canary::new();
    let masked = canary.masked.clone();
    let http = service_fn(move |_: Request<Full<Bytes>>| {
        // Written where it is sent from, and wiped there: not the part that is looked at.
        let mut body = zeroize::Zeroizing::new(Vec::with_capacity(256));
        body.extend_from_slice(br#"{"access_token":""#);
        body.extend(masked.iter().map(|byte| byte ^ MASK));
        body.extend_from_slice(br#"","expires_in":60}"#);
        async move { Ok::<_, BoxError>(Response::new(Wiped(Some(body)))) }
    });
    let grant = ClientCredentials::new(http, "https://login.example.com/token", ClientAuth::none("id")).unwrap();
    let tokens = TokenCache::new(grant);
    let api = ServiceBuilder::new()
        .layer(OAuthLayer::for_origin("https://api.example.com", tokens.clone()).unwrap())
        .service(service_fn(|_| async { Ok::<_, BoxError>(Response::new(())) }));
    runtime().block_on(async {
        for _ in 0..5 {
            let request = Request::get("https://api.example.com/").body(()).unwrap();
            api.clone().oneshot(request).await.unwrap();
        }
    });
    assert!(canary.hits() >= 1);
    drop((api, tokens));
    assert_eq!(canary.hits(), 0);
}

#[test]
fn a_refresh_token_that_was_replaced_is_gone() {
    let canary = Canary::new();
    let refresh_token = Secret::from_fn({
        let masked = canary.masked.clone();
        move || {
            let spelled = unmask(&masked);
            async move { Ok::<_, BoxError>(spelled) }
        }
    });
    let answer = r#"{"access_token":"abc","refresh_token":"next","expires_in":60}"#;
    let http =
        service_fn(move |_: Request<Full<Bytes>>| async move { Ok::<_, BoxError>(Response::new(answer.to_owned())) });
    let persist = |_| async { Ok::<_, BoxError>(()) };
    let grant =
        RefreshToken::new(http, "https://login.example.com/token", ClientAuth::none("id"), refresh_token, persist)
            .unwrap();
    let tokens = TokenCache::new(grant);
    run(&tokens);
    // One copy, to know it again if somebody should put it there once more.
    assert!(canary.hits() <= 1, "{}", canary.hits());
    drop(tokens);
    assert_eq!(canary.hits(), 0);
}

fn run(tokens: &TokenCache) {
    runtime().block_on(async {
        tokens.token().await.unwrap();
        tokens.invalidate();
        tokio::time::advance(Duration::from_secs(2)).await;
        tokens.token().await.unwrap();
    });
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap()
}

/// Drops what it is sent, and answers with a token.
fn http() -> impl tower_oauth2::grant::HttpClient {
    service_fn(|request: Request<Full<Bytes>>| {
        drop(request);
        async { Ok::<_, BoxError>(Response::new(r#"{"access_token":"abc","expires_in":60}"#.to_owned())) }
    })
}

/// A body that wipes what it has sent.
struct Wiped(Option<zeroize::Zeroizing<Vec<u8>>>);

impl http_body::Body for Wiped {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<http_body::Frame<Bytes>, BoxError>>> {
        std::task::Poll::Ready(self.0.take().map(|body| Ok(http_body::Frame::data(Bytes::from_owner(body)))))
    }
}

/// A secret that is nowhere in memory in clear text, unless somebody holds it.
struct Canary {
    masked: Vec<u8>,
}

const MASK: u8 = 0x55;

static SEARCH: Mutex<()> = Mutex::new(());

impl Canary {
    fn new() -> Self {
        Self { masked: (0..32).map(|_| (b'a' + fastrand::u8(..26)) ^ MASK).collect() }
    }

    fn spell(&self) -> String {
        unmask(&self.masked)
    }

    /// How often it is in the memory that this process can write to. One search at a time: the others' buffers would be found,
    /// with what they look at.
    fn hits(&self) -> usize {
        let _alone = SEARCH.lock().unwrap_or_else(PoisonError::into_inner);
        let maps = BufReader::new(File::open("/proc/self/maps").unwrap());
        let mut memory = File::open("/proc/self/mem").unwrap();
        let mut hits = 0;
        let mut buffer = vec![0; 64 * 1024];
        let is_it = |window: &[u8]| window.iter().zip(&self.masked).all(|(byte, masked)| byte ^ MASK == *masked);
        for line in maps.lines().map(Result::unwrap).filter(|line| line.contains(" rw")) {
            let (from, to) = line.split_whitespace().next().unwrap().split_once('-').unwrap();
            let [from, to] = [from, to].map(|address| u64::from_str_radix(address, 16).unwrap());
            let (mut at, mut kept) = (from, 0);
            while at < to && memory.seek(SeekFrom::Start(at)).is_ok() {
                let end = buffer.len().min(kept + usize::try_from(to - at).unwrap());
                let Ok(read @ 1..) = memory.read(&mut buffer[kept..end]) else { break };
                let all = kept + read;
                hits += buffer[..all].windows(self.masked.len()).filter(|window| is_it(window)).count();
                // The end again with what follows it, and nothing else: this buffer is looked at too.
                kept = all.min(self.masked.len() - 1);
                buffer.copy_within(all - kept..all, 0);
                buffer[kept..].fill(0);
                at += read as u64;
            }
            buffer.fill(0);
        }
        hits
    }
}

fn unmask(masked: &[u8]) -> String {
    let mut text = String::with_capacity(masked.len());
    text.extend(masked.iter().map(|byte| char::from(byte ^ MASK)));
    text
}
