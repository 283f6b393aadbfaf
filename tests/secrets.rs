//! A token is in the header that is sent, and nowhere else.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod support;

use std::{
    error::Error as StdError,
    fmt::Debug,
    io,
    pin::pin,
    sync::{Arc, Mutex},
};

use http::{Request, Response};
use support::{Answer, Issuer, api::Api, millis, poll_once, secs};
use tokio::time::sleep;
use tower::{Service, ServiceExt};
use tower_layer::Layer;
use tower_oauth2::{Error, OAuth, OAuthLayer, Token, TokenCache, TokenSource, source_fn};
use tracing_subscriber::{filter::LevelFilter, util::SubscriberInitExt};

const HERE: &str = "https://api.example.com/v1/users";
const CANARY: &str = "canary";

#[tokio::test(start_paused = true)]
async fn no_debug_output_shows_a_token() {
    let shown = Shown::default();
    let token = Token::new("canary-0").unwrap().with_lifetime(secs(100));
    shown.debug(&token);
    shown.debug(token.header());
    let source = source_fn(move |_| std::future::ready(Ok(token.clone())));
    shown.debug(&source);
    let builder = TokenCache::builder(source);
    shown.debug(&builder);
    let tokens = builder.build();
    let layer = OAuthLayer::for_origin(HERE, tokens.clone()).unwrap();
    shown.debug(&layer);
    let mut api = layer.layer(Api::default());
    let mut waiting = pin!(ready(&mut api).await.call(get(HERE)));
    assert!(poll_once(waiting.as_mut()).is_pending());
    shown.debug(&waiting);
    shown.debug(&waiting.await.unwrap());
    for _ in 0..3 {
        let sending = ready(&mut api).await.call(get(HERE));
        shown.debug(&sending);
        shown.debug(&sending.await.unwrap());
        shown.debug(&api);
        shown.debug(&tokens);
    }
    shown.debug(&tokens.stats());
    tokens.reject(&tokens.token().await.unwrap());
    shown.debug(&tokens);
    shown.nowhere();
}

#[tokio::test(start_paused = true)]
async fn a_request_with_the_token_on_it_can_be_logged() {
    let shown = Arc::new(Shown::default());
    let seen = Arc::clone(&shown);
    let inner = tower::service_fn(move |request: Request<()>| {
        assert_eq!(request.headers()["authorization"].to_str().unwrap(), "Bearer canary-1");
        seen.debug(&request);
        std::future::ready(Ok::<_, Error>(Response::new(())))
    });
    let mut api = OAuthLayer::for_origin(HERE, TokenCache::new(Canary::default())).unwrap().layer(inner);
    for _ in 0..3 {
        ready(&mut api).await.call(get(HERE)).await.unwrap();
    }
    shown.nowhere();
}

#[test]
fn no_error_shows_what_was_wrong_with_a_token() {
    let shown = Shown::default();
    let long = CANARY.repeat(4000);
    for bad in ["canary canary", "canary\r\n", "=canary", "canäry-canary", long.as_str()] {
        shown.error(&Token::new(bad).unwrap_err());
    }
    let tokens = TokenCache::new(Canary::default());
    for bad in ["https://user:canary@api.example.com", "https://canary canary", "canary"] {
        shown.error(&OAuthLayer::for_origin(bad, tokens.clone()).unwrap_err());
    }
    shown.nowhere();
}

#[tokio::test(start_paused = true)]
async fn no_event_at_trace_shows_a_token() {
    let log = Arc::new(Mutex::new(Vec::new()));
    let sink = Arc::clone(&log);
    tracing_subscriber::fmt()
        .with_max_level(LevelFilter::TRACE)
        .with_ansi(false)
        .with_writer(move || Sink(Arc::clone(&sink)))
        .finish()
        .init();
    let source = Canary::default();
    let tokens = TokenCache::builder(source.clone()).build();
    let log_api = Api::default();
    let mut api = OAuthLayer::for_origin(HERE, tokens.clone()).unwrap().layer(log_api.clone());
    // Minted, refreshed ahead, refused, refused again at once, failed, panicked.
    call(&mut api).await.unwrap();
    sleep(secs(95)).await;
    call(&mut api).await.unwrap();
    sleep(millis(1)).await;
    log_api.refuse("canary-2");
    log_api.refuse("canary-3");
    for _ in 0..3 {
        call(&mut api).await.unwrap();
    }
    let shown = Shown::default();
    for answer in [Answer::Transient, Answer::Permanent, Answer::Panic] {
        source.issuer.always(answer);
        sleep(secs(100)).await;
        let error = call(&mut api).await.unwrap_err();
        shown.error(Error::find(error.as_ref()).unwrap());
    }
    shown.nowhere();
    let log = String::from_utf8(log.lock().unwrap().clone()).unwrap();
    for event in ["token refreshed", "token rejected", "rejected, and kept", "refresh failed", "panicked"] {
        assert!(log.contains(event), "no event {event:?}:\n{log}");
    }
    assert!(log_api.tokens().iter().all(|token| token.starts_with(CANARY)));
    assert!(!log.contains(CANARY), "{log}");
}

/// Mints `canary-1`, `canary-2`, …
#[derive(Clone)]
struct Canary {
    issuer: Issuer,
}

impl Default for Canary {
    fn default() -> Self {
        Self { issuer: Issuer::new(secs(100)) }
    }
}

impl TokenSource for Canary {
    async fn token(&self, rejected: Option<&Token>) -> Result<Token, Error> {
        let token = self.issuer.token(rejected).await?;
        let secret = token.secret().replace('t', "canary-");
        Ok(Token::new(secret)?.with_lifetime(secs(100)))
    }
}

/// All that has been shown.
#[derive(Default)]
struct Shown {
    text: Mutex<String>,
}

impl Shown {
    fn debug(&self, value: &dyn Debug) {
        *self.text.lock().unwrap() += &format!("{value:?}\n{value:#?}\n");
    }

    fn error(&self, error: &Error) {
        let mut next: Option<&dyn StdError> = Some(error);
        while let Some(error) = next {
            *self.text.lock().unwrap() += &format!("{error}\n");
            self.debug(&error);
            next = error.source();
        }
    }

    fn nowhere(&self) {
        let text = self.text.lock().unwrap();
        assert!(!text.is_empty() && !text.contains(CANARY), "{text}");
    }
}

struct Sink(Arc<Mutex<Vec<u8>>>);

impl io::Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn get(uri: &str) -> Request<()> {
    Request::get(uri).body(()).unwrap()
}

async fn ready<S: Service<Request<()>, Error: Debug>>(service: &mut S) -> &mut S {
    service.ready().await.unwrap()
}

async fn call(api: &mut OAuth<Api>) -> Result<Response<&'static str>, tower::BoxError> {
    ready(api).await.call(get(HERE)).await
}
