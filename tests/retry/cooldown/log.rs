//! What is told of a cool-down: once, and nothing secret.

use http::{Request, header::AUTHORIZATION};
use tokio::task::JoinSet;
use tower::{Layer, ServiceExt};
use tower_oauth2::{
    TokenKey,
    retry::{CooldownError, CooldownLayer},
};

use crate::{
    cooldown::server::{HERE, Server, busy, get, millis},
    log::Log,
};

#[tokio::test(start_paused = true)]
async fn a_cool_down_is_told_of_once_however_many_are_told_and_wait() {
    let log = Log::default();
    let _guard = log.listen();
    let server = Server::new((0..50).map(|_| busy(5))).latency(millis(20));
    let layer = CooldownLayer::new();
    let api = layer.layer(server.service());
    for _ in 0..2 {
        let mut clients = JoinSet::new();
        for _ in 0..50 {
            clients.spawn(api.clone().oneshot(get(HERE)));
        }
        clients.join_all().await;
    }
    let events = log.events();
    assert_eq!(events.len(), 1, "{events:?}");
    let fields = &events[0]["fields"];
    assert_eq!((&fields["message"], &fields["origin"]), (&"cooling down".into(), &"https://api.example.com".into()));
    assert_eq!((&fields["wait"], &fields["status"]), (&"5s".into(), &429.into()));
    assert_eq!((layer.stats().set, layer.stats().waited), (1, 50));
}

#[tokio::test(start_paused = true)]
async fn nothing_secret_is_told_shown_or_in_the_error() {
    let log = Log::default();
    let _guard = log.listen();
    let server = Server::new([busy(500)]);
    let layer = CooldownLayer::new().credential(|request| request.headers.get(AUTHORIZATION).cloned());
    let api = layer.layer(tower::service_fn(move |request: Request<()>| server.service().oneshot(request)));
    let request = || {
        let mut request = Request::get("https://user:canary@api.example.com/canary?canary#canary");
        request = request.header(AUTHORIZATION, "Bearer canary").extension(TokenKey::new().tenant("canary"));
        request.body(()).unwrap()
    };
    api.clone().oneshot(request()).await.unwrap();
    let error = api.oneshot(request()).await.unwrap_err();
    let error = CooldownError::find(error.as_ref()).unwrap();
    let shown = format!("{error} {error:?} {layer:?} {}", log.text());
    assert!(!shown.contains("canary"), "{shown}");
    assert!(shown.contains("https://api.example.com"));
}
