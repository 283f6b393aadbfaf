//! The single flight, in every order that its threads can take turns in.
//!
//! Nobody waits for ever, the source is never asked twice at once, nor more often than needed, and nobody who can know
//! better gets what was refused or invalidated. Every order means: with at most three preemptions, and as far as time goes,
//! with one that passes only when somebody sleeps, so that no timeout fires.
//!
//! On 2026-11-21, on two cores shared with other work, without a failure:
//!
//! * loom, three preemptions: 1 932 486 executions of 14 models in 9 minutes. With two: 87 630 in 10 to 17 s.
//! * shuttle, `SHUTTLE_SCHEDULES=100000`: 1 500 000 schedules of 15 models in 112 s, half random, half with few preemptions.
//!
//! Each of these was tried, and fails with two preemptions: no move of the epoch, or one before the lock is taken; an epoch
//! that is read after the lock is given up, or after the step, or not compared; a channel that is opened after the lock is
//! given up; a pilot that is dropped and does not say so, does not wake those who wait, or wakes them first; a refusal
//! without the comparison; an invalidation that a request under way survives.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::{
    convert::Infallible,
    future::{Ready, ready},
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicU64 as Counter, Ordering},
    },
    task::{Context, Poll, Waker},
    time::Duration,
};

use http::{Request, Response, StatusCode, header::AUTHORIZATION};
use tokio::time::Instant;
use tower_layer::Layer;
use tower_service::Service;

use super::model::{AtomicU64, Mode, Runtime, block_on, check, pass, thread, yield_now};
use crate::{
    OAuth, OAuthLayer,
    cache::TokenCache,
    error::Error,
    source::{TokenSource, source_fn},
    token::Token,
};

#[test]
fn all_who_need_a_token_share_one_request() {
    check("share", |runtime| {
        let (tokens, issuer) = fresh(runtime);
        let others = [spawn(&tokens, get), spawn(&tokens, get)];
        let generation = get(&tokens).generation();
        for other in others {
            assert_eq!(other.join().unwrap().generation(), generation);
        }
        assert_eq!(issuer.asked(), 1);
    });
}

#[test]
fn callers_that_give_up_harm_nobody() {
    check("cancel", |runtime| {
        let (tokens, issuer) = fresh(runtime);
        let others = [spawn(&tokens, give_up), spawn(&tokens, give_up)];
        let generation = get(&tokens).generation();
        join(others);
        assert_eq!(get(&tokens).generation(), generation);
        assert_eq!(issuer.asked(), 1);
    });
}

#[test]
fn a_result_that_nobody_waits_for_is_not_lost() {
    check("all cancelled", |runtime| {
        let (tokens, issuer) = fresh(runtime);
        let others = [spawn(&tokens, give_up), spawn(&tokens, give_up)];
        join(others);
        get(&tokens);
        assert_eq!(issuer.asked(), 1);
    });
}

#[test]
fn a_failure_is_shared_by_all_and_stored() {
    check("fail", |runtime| {
        let issuer = Issuer::default();
        let tokens = issuer.cache(|_, _| Err(Error::permanent("no")));
        runtime.set_mode(Mode::Thread);
        let others = [spawn(&tokens, fail), spawn(&tokens, fail)];
        fail(&tokens);
        join(others);
        assert_eq!(issuer.asked(), 1);
    });
}

#[test]
fn refusals_of_one_token_cost_one_request_and_a_late_one_none() {
    check("reject", |runtime| {
        let (tokens, issuer, first) = warm(runtime);
        let refused = Arc::new(AtomicU64::new(0));
        let others = [0, 1].map(|_| {
            let (first, refused) = (first.clone(), Arc::clone(&refused));
            spawn(&tokens, move |tokens| {
                assert!(tokens.reject(&first));
                refused.store(1, Ordering::Release);
                let second = get(tokens);
                assert_ne!(second.secret(), first.secret());
                second
            })
        });
        let known = refused.load(Ordering::Acquire) == 1;
        let third = get(&tokens);
        assert!(!known || third.generation() != first.generation());
        let [second, also] = others.map(|other| other.join().unwrap().generation());
        assert_eq!(second, also);
        assert!([first.generation(), second].contains(&third.generation()));
        // The refusal that came late dropped nothing.
        assert_eq!(get(&tokens).generation(), second);
        assert_eq!(issuer.asked(), 2);
    });
}

#[test]
fn a_refusal_does_not_end_with_the_caller_that_made_it() {
    check("reject and cancel", |runtime| {
        let (tokens, issuer, first) = warm(runtime);
        let others = [0, 1].map(|_| {
            let first = first.clone();
            spawn(&tokens, move |tokens| {
                assert!(tokens.reject(&first));
                give_up(tokens);
            })
        });
        get(&tokens);
        join(others);
        assert_ne!(get(&tokens).generation(), first.generation());
        assert_eq!(issuer.asked(), 2);
    });
}

#[test]
fn a_token_that_was_refused_while_it_was_replaced_does_not_come_back() {
    check("reject under way", |runtime| {
        let issuer = Issuer::default();
        // Some issuers hand out what they have until it is over, unless they are told.
        let tokens = issuer.cache(|_, rejected| Token::new(if rejected.is_some() { "new" } else { "old" }));
        let first = get(&tokens);
        pass(TO_REFRESH);
        runtime.set_mode(Mode::Thread);
        let others = [
            spawn(&tokens, give_up),
            spawn(&tokens, move |tokens| {
                if tokens.reject(&first) {
                    assert_ne!(get(tokens).generation(), first.generation());
                }
            }),
        ];
        get(&tokens);
        join(others);
        assert!((2..=3).contains(&issuer.asked()), "{}", issuer.asked());
    });
}

#[test]
fn a_runtime_that_ends_leaves_nobody_waiting() {
    check("end", |runtime| {
        let (tokens, issuer) = fresh(runtime);
        let ends = end(runtime);
        let other = spawn(&tokens, get);
        get(&tokens);
        other.join().unwrap();
        ends.join().unwrap();
        assert_eq!(get(&tokens).secret(), format!("t{}", issuer.asked()));
        assert!(issuer.asked() <= 2);
    });
}

#[test]
fn a_runtime_that_ends_after_a_refusal_brings_nothing_back() {
    check("reject and end", |runtime| {
        let (tokens, issuer, first) = warm(runtime);
        let ends = end(runtime);
        let other = spawn(&tokens, {
            let first = first.clone();
            move |tokens| {
                assert!(tokens.reject(&first));
                assert_ne!(get(tokens).generation(), first.generation());
            }
        });
        assert!(tokens.reject(&first));
        assert_ne!(get(&tokens).generation(), first.generation());
        other.join().unwrap();
        ends.join().unwrap();
        assert!((2..=3).contains(&issuer.asked()));
    });
}

#[test]
fn a_runtime_that_takes_no_task_costs_no_request() {
    check("drop", |runtime| {
        let (tokens, issuer) = fresh(runtime);
        runtime.set_mode(Mode::Drop);
        let others = [spawn(&tokens, get), spawn(&tokens, get)];
        get(&tokens);
        for other in others {
            other.join().unwrap();
        }
        assert_eq!(issuer.asked(), 1);
    });
}

#[test]
fn nothing_that_was_asked_for_before_an_invalidation_comes_after_it() {
    check("invalidate", |runtime| {
        let (tokens, issuer, _) = warm(runtime);
        pass(TO_REFRESH);
        let asker = issuer.clone();
        let others = [
            spawn(&tokens, |tokens| drop(get(tokens))),
            spawn(&tokens, move |tokens| {
                let before = asker.asked.load(Ordering::Relaxed);
                tokens.invalidate();
                let number: u64 = get(tokens).secret().trim_start_matches('t').parse().unwrap();
                assert!(number > before, "t{number} was asked for before");
            }),
        ];
        get(&tokens);
        join(others);
        assert!((2..=3).contains(&issuer.asked()));
    });
}

#[test]
fn no_service_that_can_know_better_sends_a_refused_token() {
    check("snapshot", |runtime| {
        let (tokens, issuer, first) = warm(runtime);
        let refused = Arc::new(AtomicU64::new(0));
        let [mut caller, mut other, mut third] = [0, 1, 2].map(|_| held(&tokens));
        let caller = thread::spawn({
            let refused = Arc::clone(&refused);
            move || {
                let (sent, refused_it) = send(&mut caller, "t1");
                assert!(refused_it == (sent == "t1"));
                refused.store(1, Ordering::Release);
                assert_eq!(send(&mut caller, "t1").0, "t2");
            }
        });
        let other = thread::spawn({
            let refused = Arc::clone(&refused);
            move || {
                for _ in 0..2 {
                    let known = refused.load(Ordering::Acquire) == 1;
                    let (sent, _) = send(&mut other, "");
                    assert!(!known || sent == "t2");
                }
            }
        });
        let known = refused.load(Ordering::Acquire) == 1;
        let seen = tokens.peek(Instant::now(), Duration::ZERO);
        assert!(!known || seen.is_none_or(|(grant, _)| grant.lease.generation() != first.generation()));
        send(&mut third, "");
        caller.join().unwrap();
        other.join().unwrap();
        assert_eq!(send(&mut third, "").0, "t2");
        assert_eq!(issuer.asked(), 2);
    });
}

#[test]
fn no_service_that_can_know_better_sends_an_invalidated_token() {
    for (name, age) in [("snapshot, invalidate", Duration::ZERO), ("snapshot, invalidate early", TO_REFRESH)] {
        check(name, move |runtime| {
            let (tokens, issuer, _) = warm(runtime);
            // It copies the token with its next request.
            let mut service = OAuthLayer::danger_any_origin(tokens.clone()).layer(Api);
            send(&mut service, "");
            pass(age);
            let invalid = Arc::new(AtomicU64::new(0));
            let owner = spawn(&tokens, {
                let invalid = Arc::clone(&invalid);
                move |tokens| {
                    tokens.invalidate();
                    invalid.store(1, Ordering::Release);
                }
            });
            for _ in 0..2 {
                let known = invalid.load(Ordering::Acquire) == 1;
                let (sent, _) = send(&mut service, "");
                assert!(!known || sent != "t1");
            }
            owner.join().unwrap();
            assert_ne!(send(&mut service, "").0, "t1");
            get(&tokens);
            assert!((2..=3).contains(&issuer.asked()));
        });
    }
}

/// Too many orders for loom.
#[cfg(not(tower_oauth2_loom))]
#[test]
fn a_crowd_that_does_as_it_likes_gets_its_tokens() {
    use shuttle::rand::{Rng as _, thread_rng};

    check("crowd", |runtime| {
        let (tokens, _, first) = warm(runtime);
        let others: [_; 5] = std::array::from_fn(|_| {
            let (runtime, first) = (runtime.clone(), first.clone());
            spawn(&tokens, move |tokens| {
                let mut held = first;
                for _ in 0..4 {
                    match thread_rng().gen_range(0..8) {
                        0 => runtime.end(),
                        1 | 2 => give_up(tokens),
                        3 | 4 if tokens.reject(&held) => {
                            let next = get(tokens);
                            assert_ne!(next.generation(), held.generation());
                            held = next;
                        }
                        _ => held = get(tokens),
                    }
                }
            })
        });
        for other in others {
            other.join().unwrap();
        }
        get(&tokens);
    });
}

/// Counts how often it is asked, and minds being asked twice at once.
#[derive(Clone, Default)]
struct Issuer {
    /// Not the checker's: to look must not be a step.
    asked: Arc<Counter>,
    under_way: Arc<Counter>,
}

struct UnderWay(Arc<Counter>);

/// Refuses the token that a request names.
#[derive(Clone)]
struct Api;

// === impl Issuer ===

impl Issuer {
    fn cache(&self, answer: fn(u64, Option<Token>) -> Result<Token, Error>) -> TokenCache {
        TokenCache::builder(self.source(answer)).min_interval(Duration::from_secs(1)).seed(1).build()
    }

    fn source(&self, answer: fn(u64, Option<Token>) -> Result<Token, Error>) -> impl TokenSource + use<> {
        let issuer = self.clone();
        source_fn(move |rejected| {
            let issuer = issuer.clone();
            async move {
                let number = issuer.asked.fetch_add(1, Ordering::Relaxed) + 1;
                assert_eq!(issuer.under_way.fetch_add(1, Ordering::Relaxed), 0, "two requests at once");
                let _under_way = UnderWay(Arc::clone(&issuer.under_way));
                yield_now().await;
                answer(number, rejected).map(|token| token.with_lifetime(LIFETIME))
            }
        })
    }

    fn asked(&self) -> u64 {
        assert_eq!(self.under_way.load(Ordering::Relaxed), 0, "a request is still under way");
        self.asked.load(Ordering::Relaxed)
    }
}

// === impl UnderWay ===

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

// === impl Api ===

impl Service<Request<&'static str>> for Api {
    type Response = Response<String>;
    type Error = Infallible;
    type Future = Ready<Result<Response<String>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<&'static str>) -> Self::Future {
        let sent = request.headers()[AUTHORIZATION].to_str().unwrap().trim_start_matches("Bearer ").to_owned();
        let status = if sent == *request.body() { StatusCode::UNAUTHORIZED } else { StatusCode::OK };
        let mut response = Response::new(sent);
        *response.status_mut() = status;
        ready(Ok(response))
    }
}

/// A cache without a token, and tasks in threads from now on.
fn fresh(runtime: &Runtime) -> (TokenCache, Issuer) {
    let issuer = Issuer::default();
    let tokens = issuer.cache(|number, _| Token::new(format!("t{number}")));
    runtime.set_mode(Mode::Thread);
    (tokens, issuer)
}

/// A cache with a token that is old enough to be refused, and tasks in threads from now on.
fn warm(runtime: &Runtime) -> (TokenCache, Issuer, Token) {
    let (tokens, issuer) = fresh(runtime);
    runtime.set_mode(Mode::Inline);
    let first = get(&tokens);
    pass(Duration::from_secs(60));
    runtime.set_mode(Mode::Thread);
    (tokens, issuer, first)
}

/// A service that has a copy of the token.
fn held(tokens: &TokenCache) -> OAuth<Api> {
    let mut service = OAuthLayer::danger_any_origin(tokens.clone()).layer(Api);
    for _ in 0..3 {
        send(&mut service, "");
    }
    service
}

/// What was sent, and whether it was refused.
fn send(service: &mut OAuth<Api>, refuses: &'static str) -> (String, bool) {
    let request = Request::get("https://api.example.com/").body(refuses).unwrap();
    let response = block_on(service.call(request)).unwrap();
    let refused = response.status() == StatusCode::UNAUTHORIZED;
    (response.into_body(), refused)
}

fn spawn<T: Send + 'static>(
    tokens: &TokenCache,
    f: impl FnOnce(&TokenCache) -> T + Send + 'static,
) -> thread::JoinHandle<T> {
    let tokens = tokens.clone();
    thread::spawn(move || f(&tokens))
}

fn end(runtime: &Runtime) -> thread::JoinHandle<()> {
    let runtime = runtime.clone();
    thread::spawn(move || runtime.end())
}

fn join(others: [thread::JoinHandle<()>; 2]) {
    for other in others {
        other.join().unwrap();
    }
}

fn get(tokens: &TokenCache) -> Token {
    block_on(tokens.token()).unwrap()
}

fn fail(tokens: &TokenCache) {
    block_on(tokens.token()).unwrap_err();
}

/// A caller that is dropped while it waits.
fn give_up(tokens: &TokenCache) {
    let _ = pin!(tokens.token()).poll(&mut Context::from_waker(Waker::noop()));
}

const LIFETIME: Duration = Duration::from_secs(3600);
/// After this long, less than the margin is left.
const TO_REFRESH: Duration = Duration::from_secs(3500);
