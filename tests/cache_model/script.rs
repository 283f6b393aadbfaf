//! A token source that answers as it is told, and writes down what it was asked.

use std::{
    future::Future,
    panic::resume_unwind,
    sync::{Arc, Mutex, MutexGuard},
    task::{Poll, Waker},
    time::Duration,
};

use tokio::time::{Instant, sleep};
use tower_oauth2::{Error, Token, TokenSource};

use crate::event::{At, Event, Fault, Reply};

/// What the source does when it is asked from now on.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Behavior {
    /// Hangs until told.
    Wait,
    Now(Answer),
    Late(Duration, Answer),
    /// Panics before there is a future.
    PanicInCall,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Answer {
    Mint(Life),
    /// The string that was minted last, which is mostly the one that was refused.
    Same,
    Transient,
    RetryAfter(Duration),
    Permanent,
    PermanentRetryAfter(Duration),
    Panic,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Life {
    Unknown,
    Of(Duration),
    /// Minted an hour ago, by somebody who keeps tokens, with this much left.
    Rest(Duration),
}

/// Clones are the same source.
#[derive(Clone)]
pub(crate) struct Script {
    inner: Arc<Mutex<Inner>>,
}

struct Inner {
    start: Instant,
    behavior: Behavior,
    asks: u64,
    minted: Option<String>,
    /// Those that hang, with what they are told.
    hanging: Vec<Hanging>,
    log: Vec<Event>,
    /// The runtime ends: what is dropped now has not timed out.
    ending: bool,
    fetch_timeout: Duration,
}

struct Hanging {
    ask: u64,
    answer: Option<Answer>,
    waker: Option<Waker>,
}

/// Notices when the cache gives up.
struct Guard {
    script: Script,
    ask: u64,
    answered: bool,
}

// === impl Script ===

impl Script {
    pub(crate) fn new(start: Instant, fetch_timeout: Duration) -> Self {
        let inner = Inner {
            start,
            behavior: Behavior::Now(Answer::Mint(Life::Of(Duration::from_secs(3600)))),
            asks: 0,
            minted: None,
            hanging: Vec::new(),
            log: Vec::new(),
            ending: false,
            fetch_timeout,
        };
        Self { inner: Arc::new(Mutex::new(inner)) }
    }

    pub(crate) fn behave(&self, behavior: Behavior) {
        self.lock().behavior = behavior;
    }

    /// Tells those that hang.
    pub(crate) fn answer(&self, answer: Answer) {
        for hanging in &mut self.lock().hanging {
            hanging.answer = Some(answer);
            if let Some(waker) = hanging.waker.take() {
                waker.wake();
            }
        }
    }

    pub(crate) fn ending(&self, ending: bool) {
        self.lock().ending = ending;
    }

    /// By the clock of the runtime at hand.
    pub(crate) fn now(&self) -> At {
        Instant::now() - self.lock().start
    }

    pub(crate) fn log(&self, event: Event) {
        self.lock().log.push(event);
    }

    pub(crate) fn logged(&self) -> usize {
        self.lock().log.len()
    }

    pub(crate) fn take_log(&self) -> Vec<Event> {
        std::mem::take(&mut self.lock().log)
    }

    async fn run(self, ask: u64, sent: Instant, behavior: Behavior) -> Result<Token, Error> {
        let mut guard = Guard { script: self.clone(), ask, answered: false };
        let answer = match behavior {
            Behavior::Now(answer) => answer,
            Behavior::Late(after, answer) => {
                sleep(after).await;
                answer
            }
            Behavior::Wait | Behavior::PanicInCall => self.told(ask).await,
        };
        guard.answered = true;
        self.reply(ask, sent, answer)
    }

    async fn told(&self, ask: u64) -> Answer {
        self.lock().hanging.push(Hanging { ask, answer: None, waker: None });
        std::future::poll_fn(|cx| {
            let mut inner = self.lock();
            let Some(hanging) = inner.hanging.iter_mut().find(|hanging| hanging.ask == ask) else {
                return Poll::Pending;
            };
            hanging.waker = Some(cx.waker().clone());
            hanging.answer.map_or(Poll::Pending, Poll::Ready)
        })
        .await
    }

    fn reply(&self, ask: u64, asked: Instant, answer: Answer) -> Result<Token, Error> {
        let at = self.now();
        // What one that was given up for dead knows of refusals and newer tokens is nobody's promise.
        let start = self.lock().start;
        let dead = start + at >= asked + self.lock().fetch_timeout * 2;
        let again = self.lock().minted.clone().filter(|_| matches!(answer, Answer::Same) && !dead);
        let mint = |sent: Instant, lifetime: Option<Duration>| {
            let secret = again.clone().unwrap_or_else(|| format!("t{ask}"));
            let token = Token::new(&secret).unwrap().issued_at(sent);
            let token = match lifetime {
                Some(lifetime) => token.with_lifetime(lifetime),
                None => token,
            };
            (Ok(token), Reply::Token { secret, sent: sent - start, lifetime })
        };
        let fail = |error: Error, retry_after: Option<Duration>| {
            let error = match retry_after {
                Some(after) => error.with_retry_after(after),
                None => error,
            };
            let fault = Fault::Told(ask);
            let transient = error.is_transient();
            (Err(error), Reply::Failed { fault, transient, retry_after })
        };
        let text = format!("failure {ask}");
        let (result, reply) = match answer {
            Answer::Mint(Life::Unknown) => mint(asked, None),
            Answer::Mint(Life::Of(life)) => mint(asked, Some(life)),
            Answer::Mint(Life::Rest(rest)) if dead => mint(asked, Some(rest)),
            Answer::Mint(Life::Rest(rest)) => mint(asked - HOUR, Some(HOUR + rest)),
            Answer::Same => mint(asked, Some(HOUR)),
            Answer::Transient => fail(Error::transient(text), None),
            Answer::RetryAfter(after) => fail(Error::transient(text), Some(after)),
            Answer::Permanent => fail(Error::permanent(text), None),
            Answer::PermanentRetryAfter(after) => fail(Error::permanent(text), Some(after)),
            Answer::Panic => {
                self.log(Event::Answered { ask, at, reply: Reply::PANIC });
                // As a panic does, without its message on the terminal.
                resume_unwind(Box::new("as told"))
            }
        };
        if let Reply::Token { secret, .. } = &reply {
            self.lock().minted = Some(secret.clone());
        }
        self.log(Event::Answered { ask, at, reply });
        result
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap()
    }
}

impl TokenSource for Script {
    fn token(&self, rejected: Option<&Token>) -> impl Future<Output = Result<Token, Error>> + Send {
        let (sent, at) = (Instant::now(), self.now());
        let mut inner = self.lock();
        inner.asks += 1;
        let (ask, behavior) = (inner.asks, inner.behavior);
        inner.log.push(Event::Asked { ask, at, told: rejected.map(Token::generation) });
        if matches!(behavior, Behavior::PanicInCall) {
            inner.log.push(Event::Answered { ask, at, reply: Reply::PANIC });
            drop(inner);
            resume_unwind(Box::new("as told"));
        }
        drop(inner);
        self.clone().run(ask, sent, behavior)
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        let mut inner = self.script.lock();
        inner.hanging.retain(|hanging| hanging.ask != self.ask);
        if !self.answered && !inner.ending {
            let at = Instant::now() - inner.start;
            inner.log.push(Event::GivenUp { ask: self.ask, at });
        }
    }
}

const HOUR: Duration = Duration::from_secs(60 * 60);
