//! What the policy tells of what it does: why, how long and how often, and nothing secret.

use std::{error::Error as StdError, fmt, future::ready, time::Duration};

use http::{Request, Response};
use serde_json::{Value, json};
use tower::{BoxError, Service, ServiceBuilder, ServiceExt, service_fn};
use tower_oauth2::{
    TokenRejected,
    retry::{Classify, GrpcClassifier, HttpClassifier, RetryLayer, RetryPolicy, TypedErrors, Verdict},
};

use crate::log::Log;

#[tokio::test(start_paused = true)]
async fn each_retry_is_told_of_and_the_end_of_it() {
    let log = Log::default();
    let _guard = log.listen();
    let policy = RetryPolicy::new().max_attempts(3).backoff(Duration::from_secs(1), Duration::from_secs(1)).seed(1);
    send(policy, service_fn(|_| ready(Ok::<_, BoxError>(answer(503))))).await.unwrap();
    let events = log.events();
    assert_eq!(told(&events), [("DEBUG", "retrying"), ("DEBUG", "retrying"), ("WARN", "giving up")]);
    for (index, event) in events[..2].iter().enumerate() {
        let fields = &event["fields"];
        let expected = (&503.into(), &json!(index + 1), &false.into());
        assert_eq!((&fields["status"], &fields["attempt"], &fields["replay"]), expected);
        assert!(fields["wait"].as_str().unwrap().ends_with("ms") && fields.get("error").is_none(), "{fields}");
    }
    let fields = &events[2]["fields"];
    assert_eq!(
        (&fields["status"], &fields["attempts"], &fields["stopped"]),
        (&503.into(), &3.into(), &"Exhausted".into())
    );
    assert!(fields["elapsed"].as_str().unwrap().ends_with('s'), "{fields}");
}

#[tokio::test(start_paused = true)]
async fn a_replay_is_told_apart_and_an_answer_to_the_first_attempt_is_no_warning() {
    let log = Log::default();
    let _guard = log.listen();
    let refused = service_fn(|_: Request<()>| {
        let mut response = answer(401);
        response.extensions_mut().insert(TokenRejected::new(true));
        ready(Ok::<_, BoxError>(response))
    });
    send(RetryPolicy::new(), refused).await.unwrap();
    let events = log.events();
    assert_eq!(told(&events), [("DEBUG", "retrying"), ("WARN", "giving up")]);
    let fields = &events[0]["fields"];
    assert_eq!((&fields["status"], &fields["replay"], &fields["wait"]), (&401.into(), &true.into(), &"0ns".into()));
    assert_eq!(events[1]["fields"]["stopped"], "Unauthorized");

    let log = Log::default();
    let _guard = log.listen();
    let once = RetryPolicy::new().max_attempts(1);
    send(once, service_fn(|_| ready(Ok::<_, BoxError>(answer(429))))).await.unwrap();
    send(RetryPolicy::new(), service_fn(|_| ready(Ok::<_, BoxError>(answer(404))))).await.unwrap();
    assert_eq!(told(&log.events()), [("DEBUG", "giving up")], "and of a 404 nothing");
}

#[tokio::test(start_paused = true)]
async fn an_error_is_told_without_what_its_url_keeps_secret() {
    let log = Log::default();
    let _guard = log.listen();
    let policy = || RetryPolicy::new().max_attempts(2);
    let boxed = service_fn(|_: Request<()>| ready(Err::<Response<()>, _>(BoxError::from(Failed(reset())))));
    send(policy(), boxed).await.unwrap_err();
    let typed = service_fn(|_: Request<()>| ready(Err::<Response<()>, _>(Failed(reset()))));
    send(policy().classifier(TypedErrors::new(HttpClassifier::new())), typed).await.unwrap_err();
    let typed = service_fn(|_: Request<()>| ready(Err::<Response<()>, _>(Failed(reset()))));
    send(policy().classifier(TypedErrors::new(GrpcClassifier::new())), typed).await.unwrap_err();
    let boxed = service_fn(|_: Request<()>| ready(Err::<Response<()>, _>(BoxError::from(Failed(reset())))));
    send(policy().classifier(GrpcClassifier::new()), boxed).await.unwrap_err();
    let events = log.events();
    let expected = [("DEBUG", "retrying"), ("WARN", "giving up")].repeat(4);
    assert_eq!(told(&events), expected);
    for event in events {
        assert_eq!(event["fields"]["error"], "cannot send to https://api.example.com/v1… at all");
    }
    assert!(!log.text().contains("canary"));

    // A classifier that does not say that its errors may be shown.
    let log = Log::default();
    let _guard = log.listen();
    let usual = HttpClassifier::new();
    let silent = move |result: Result<&Response<()>, &BoxError>| match result {
        Ok(response) => usual.response(response),
        Err(error) => usual.error(error.as_ref()),
    };
    let boxed = service_fn(|_: Request<()>| ready(Err::<Response<()>, _>(BoxError::from(Failed(reset())))));
    send(policy().classifier(silent), boxed).await.unwrap_err();
    assert!(log.events().iter().all(|event| event["fields"].get("error").is_none()));
    assert_eq!(log.events().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn an_error_that_comes_of_a_layer_underneath_is_no_event() {
    let log = Log::default();
    let _guard = log.listen();
    let no_token = service_fn(|_: Request<()>| {
        ready(Err::<Response<()>, _>(BoxError::from(tower_oauth2::Error::transient("no token"))))
    });
    send(RetryPolicy::new(), no_token).await.unwrap_err();
    let fatal = |_: Result<&Response<()>, &BoxError>| Verdict::Fatal;
    send(RetryPolicy::new().classifier(fatal), service_fn(|_| ready(Ok::<_, BoxError>(answer(503))))).await.unwrap();
    assert!(log.events().is_empty());
}

fn told(events: &[Value]) -> Vec<(&str, &str)> {
    events
        .iter()
        .map(|event| (event["level"].as_str().unwrap(), event["fields"]["message"].as_str().unwrap()))
        .collect()
}

fn answer(status: u16) -> Response<()> {
    Response::builder().status(status).body(()).unwrap()
}

async fn send<C, S, E>(policy: RetryPolicy<C>, service: S) -> Result<Response<()>, E>
where
    C: Classify<(), E> + Send + Sync + 'static,
    S: Service<Request<()>, Response = Response<()>, Error = E> + Clone,
{
    let request = Request::get("https://user:canary@api.example.com/?canary").header("authorization", "canary");
    ServiceBuilder::new().layer(RetryLayer::new(policy)).service(service).oneshot(request.body(()).unwrap()).await
}

fn reset() -> std::io::Error {
    std::io::ErrorKind::ConnectionReset.into()
}

/// As the errors of clients are that show where a request went.
#[derive(Debug)]
struct Failed(std::io::Error);

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("cannot send to https://user:canary@api.example.com/v1?key=canary#canary at all")
    }
}

impl StdError for Failed {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        Some(&self.0)
    }
}
