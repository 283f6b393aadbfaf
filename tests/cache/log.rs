//! What the log says of a token: as much as the events.

use serde_json::Value;
use tokio::{task::JoinSet, time::sleep};
use tower_oauth2::{MinTtl, TokenCache};

use crate::{
    listener::Log,
    support::{Answer, Issuer, millis, secs},
};

#[tokio::test(start_paused = true)]
async fn the_log_has_why_how_long_and_for_how_many() {
    let log = Log::default();
    let _guard = log.listen();
    let issuer = Issuer::new(secs(1000)).latency(millis(500));
    issuer.next([Answer::Permanent]);
    let tokens = TokenCache::new(issuer);
    let mut callers = JoinSet::new();
    for _ in 0..10 {
        let tokens = tokens.clone();
        callers.spawn(async move { tokens.token().await.unwrap_err() });
    }
    callers.join_all().await;
    let failed = log.last();
    assert_eq!(failed["message"], "token refresh failed, cooling down");
    assert_eq!(fields(&failed, ["reason", "took", "wait"]), ["first", "500ms", "60s"]);
    assert_eq!((&failed["waiters"], &failed["transient"]), (&10.into(), &false.into()));

    tokens.invalidate();
    assert_eq!(log.last()["message"], "token invalidated");
    tokens.token().await.unwrap();
    let refreshed = log.last();
    assert_eq!(refreshed["message"], "token refreshed");
    assert_eq!(fields(&refreshed, ["reason", "took", "expires_in"]), ["invalidated", "500ms", "999.5s"]);
    assert_eq!(refreshed["waiters"], 1);

    sleep(secs(600)).await;
    let token = tokens.token_with(MinTtl::new(secs(500))).await.unwrap();
    assert_eq!(fields(&log.last(), ["reason"]), ["min_ttl"]);
    tokens.reject(&token);
    assert_eq!(log.last()["message"], "token rejected");
    assert_eq!(log.last()["generation"], token.generation());
    tokens.token().await.unwrap();
    assert_eq!(fields(&log.last(), ["reason"]), ["rejected"]);
    let lines = log.events().len();
    for _ in 0..10 {
        tokens.token().await.unwrap();
    }
    assert_eq!(log.events().len(), lines, "nothing on a hit");
}

fn fields<const N: usize>(event: &Value, names: [&str; N]) -> [String; N] {
    names.map(|name| event[name].as_str().unwrap_or_else(|| panic!("{name} in {event}")).to_owned())
}
