//! A token source that counts and answers as it is told.
#![allow(dead_code, reason = "each test uses its own part")]

pub(crate) mod api;

use std::{
    collections::VecDeque,
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll, Waker},
    time::Duration,
};

use tokio::time::{Instant, sleep};
use tower_oauth2::{Error, Token, TokenSource};

/// Mints `t1`, `t2`, …; clones are the same issuer.
#[derive(Clone, Debug)]
pub(crate) struct Issuer {
    inner: Arc<Mutex<Inner>>,
}

#[derive(Debug)]
struct Inner {
    lifetime: Duration,
    latency: Duration,
    asked: Vec<Asked>,
    answers: VecDeque<Answer>,
    always: Answer,
}

/// One token request.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) at: Instant,
    /// The secret of the token that was refused.
    pub(crate) rejected: Option<String>,
}

#[derive(Clone, Debug)]
pub(crate) enum Answer {
    Mint,
    /// This very string.
    Spell(&'static str),
    Transient,
    Permanent,
    RetryAfter(Duration),
    Panic,
    Hang,
}

impl Issuer {
    pub(crate) fn new(lifetime: Duration) -> Self {
        let inner = Inner {
            lifetime,
            latency: Duration::ZERO,
            asked: Vec::new(),
            answers: VecDeque::new(),
            always: Answer::Mint,
        };
        Self { inner: Arc::new(Mutex::new(inner)) }
    }

    pub(crate) fn latency(self, latency: Duration) -> Self {
        self.inner.lock().unwrap().latency = latency;
        self
    }

    /// What it answers from now on.
    pub(crate) fn always(&self, answer: Answer) {
        self.inner.lock().unwrap().always = answer;
    }

    /// What it answers next, before it goes on as ever.
    pub(crate) fn next(&self, answers: impl IntoIterator<Item = Answer>) {
        self.inner.lock().unwrap().answers.extend(answers);
    }

    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.inner.lock().unwrap().asked.clone()
    }

    pub(crate) fn requests(&self) -> usize {
        self.inner.lock().unwrap().asked.len()
    }

    fn ask(&self, rejected: Option<&Token>) -> (usize, Duration, Duration, Answer) {
        let mut inner = self.inner.lock().unwrap();
        let rejected = rejected.map(|token| token.secret().to_owned());
        inner.asked.push(Asked { at: Instant::now(), rejected });
        let answer = inner.answers.pop_front().unwrap_or_else(|| inner.always.clone());
        (inner.asked.len(), inner.lifetime, inner.latency, answer)
    }
}

impl TokenSource for Issuer {
    async fn token(&self, rejected: Option<&Token>) -> Result<Token, Error> {
        let sent = Instant::now();
        let (number, lifetime, latency, answer) = self.ask(rejected);
        if !latency.is_zero() {
            sleep(latency).await;
        }
        let mint = |secret: &str| Ok(Token::new(secret)?.with_lifetime(lifetime).issued_at(sent));
        match answer {
            Answer::Mint => mint(&format!("t{number}")),
            Answer::Spell(secret) => mint(secret),
            Answer::Transient => Err(Error::transient(format!("failure {number}"))),
            Answer::Permanent => Err(Error::permanent(format!("failure {number}"))),
            Answer::RetryAfter(after) => Err(Error::transient("busy").with_retry_after(after)),
            Answer::Panic => panic!("the source panics"),
            Answer::Hang => std::future::pending().await,
        }
    }
}

pub(crate) const fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

pub(crate) const fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// Polls by hand; nothing wakes it.
pub(crate) fn poll_once<F: Future + ?Sized>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}
