//! `ReplayBody` against a model of it that is simple enough to be right: what each copy gives, and says of what is to come,
//! whatever was read, cloned, dropped and decided before.

use std::{
    collections::BTreeMap,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    task::{Context, Poll, Waker},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use http_body::{Body, Frame, SizeHint};
use proptest::{collection::vec, prelude::*, sample::Index};
use tower::{BoxError, retry::Policy};
use tower_oauth2::retry::{ReplayBody, ReplayError, RetryOutcome, RetryPolicy, Stopped};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Event {
    Data(usize),
    Pending,
    Trailers,
    Error,
}

#[derive(Clone, Copy, Debug)]
enum Hint {
    None,
    Lower,
    Exact,
}

#[derive(Clone, Debug)]
struct Script {
    events: Vec<Event>,
    hint: Hint,
    /// Whether it says that it has ended before it is asked for more.
    says_end: bool,
}

#[derive(Clone, Debug)]
enum Op {
    Poll(Index),
    /// Up to its end, or where it pauses.
    PollOn(Index),
    Clone(Index),
    Drop(Index),
    /// A 503 comes for the request that this copy is kept for.
    Fail(Index),
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2048, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_copy_does_as_the_model(script in script(), cap in 0..2500_usize, ops in vec(op(), 1..40)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        let _entered = runtime.enter();
        Pair::new(&script, cap).run(ops);
    }

    /// As `Retry` drives it: three attempts, each of which is read to a random place when the server fails.
    #[test]
    fn three_attempts_see_the_same_body(
        script in script(),
        cap in 0..2500_usize,
        reads in vec((0..12_usize, any::<bool>()), 2),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        let _entered = runtime.enter();
        let mut pair = Pair::new(&script, cap);
        let mut sent = 0;
        let mut replayed = true;
        for (polls, dropped) in reads {
            let kept = pair.clone_of(sent);
            for _ in 0..polls {
                pair.poll(sent);
            }
            if dropped {
                pair.drop(sent);
            }
            replayed = pair.fail(kept);
            if !replayed {
                break;
            }
            // The attempt before fails or goes on, and harms nobody.
            if !dropped {
                pair.poll(sent);
            }
            sent = kept;
        }
        if replayed {
            let ended = (0..200).any(|_| { pair.poll(sent); pair.bodies[&sent].body().is_end_stream() });
            prop_assert!(ended, "it came to its end");
            let broken = script.events.contains(&Event::Error);
            if !broken {
                prop_assert_eq!(pair.model.copies[&sent].at, pair.model.all.len());
            }
        }
    }
}

/// The body and the model, and all copies of both.
struct Pair {
    bodies: BTreeMap<usize, Request<ReplayBody<Scripted>>>,
    model: Model,
    policy: RetryPolicy,
    /// How much of the script was read.
    seen: Arc<AtomicUsize>,
    made: usize,
}

struct Model {
    script: Script,
    cap: usize,
    /// All data of the script.
    all: Vec<u8>,
    /// How many of its events were consumed, and how many bytes.
    events: usize,
    bytes: usize,
    end: End,
    kept: bool,
    epoch: usize,
    owner: Option<usize>,
    copies: BTreeMap<usize, Copy>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Open,
    Ended,
    Failed,
}

#[derive(Debug, Default)]
struct Copy {
    at: usize,
    epoch: Option<usize>,
    done: bool,
}

#[derive(Debug, PartialEq, Eq)]
enum Expected {
    /// A piece of it, of this many bytes if it was just read.
    Data(Option<usize>),
    Trailers,
    End,
    Broken,
    Refused(&'static str),
    Pending,
}

// === impl Pair ===

impl Pair {
    fn new(script: &Script, cap: usize) -> Self {
        let seen = Arc::new(AtomicUsize::new(0));
        let body = Scripted::new(script.clone(), Arc::clone(&seen));
        let request = Request::put("http://localhost/").body(body).unwrap();
        let policy =
            RetryPolicy::new().no_budget().max_attempts(u32::MAX).backoff(Duration::ZERO, Duration::ZERO).seed(1);
        let pair = Self {
            bodies: BTreeMap::from([(0, ReplayBody::wrap(request, cap))]),
            model: Model::new(script.clone(), cap),
            policy,
            seen,
            made: 1,
        };
        pair.compare();
        pair
    }

    fn run(&mut self, ops: Vec<Op>) {
        for op in ops {
            let (Op::Poll(index) | Op::PollOn(index) | Op::Clone(index) | Op::Drop(index) | Op::Fail(index)) = op;
            let ids: Vec<usize> = self.bodies.keys().copied().collect();
            let Some(id) = (!ids.is_empty()).then(|| ids[index.index(ids.len())]) else { return };
            match op {
                Op::Poll(_) => {
                    self.poll(id);
                }
                Op::PollOn(_) => while self.poll(id) {},
                Op::Clone(_) => {
                    self.clone_of(id);
                }
                Op::Drop(_) => self.drop(id),
                Op::Fail(_) => {
                    self.fail(id);
                }
            }
        }
    }

    /// Whether there was data.
    fn poll(&mut self, id: usize) -> bool {
        let at = self.model.copies[&id].at;
        let expected = self.model.poll(id);
        let body = self.bodies.get_mut(&id).unwrap().body_mut();
        let polled = Pin::new(body).poll_frame(&mut Context::from_waker(Waker::noop()));
        match (polled, &expected) {
            (Poll::Pending, Expected::Pending) | (Poll::Ready(None), Expected::End) => {}
            (Poll::Ready(Some(Ok(frame))), Expected::Data(size)) => {
                let data = frame.into_data().expect("data");
                assert!(size.map_or(!data.is_empty(), |size| size == data.len()), "{} for {size:?}", data.len());
                assert!(self.model.all[at..].starts_with(&data), "at {at}");
                self.model.copies.get_mut(&id).unwrap().at = at + data.len();
            }
            (Poll::Ready(Some(Ok(frame))), Expected::Trailers) => {
                assert_eq!(frame.into_trailers().expect("trailers"), trailers());
            }
            (Poll::Ready(Some(Err(error))), Expected::Broken) => assert_eq!(error.to_string(), BROKEN),
            (Poll::Ready(Some(Err(error))), Expected::Refused(why)) => {
                let error = error.downcast::<ReplayError>().unwrap();
                let says = match *error {
                    error if error.is_early() => "early",
                    error if error.is_superseded() => "superseded",
                    error if error.is_too_large() => "too large",
                    _ => "failed",
                };
                assert_eq!(says, *why);
            }
            (polled, expected) => panic!("{polled:?} instead of {expected:?} of {id}"),
        }
        assert_eq!(self.seen.load(SeqCst), self.model.events, "nothing is read ahead");
        self.compare();
        matches!(expected, Expected::Data(_))
    }

    fn clone_of(&mut self, id: usize) -> usize {
        let clone = self.bodies[&id].clone();
        self.bodies.insert(self.made, clone);
        let epoch = self.model.epoch;
        self.model.copies.get_mut(&id).unwrap().epoch.get_or_insert(epoch);
        self.model.copies.insert(self.made, Copy::default());
        self.made += 1;
        self.compare();
        self.made - 1
    }

    fn drop(&mut self, id: usize) {
        self.bodies.remove(&id);
        self.model.drop(id);
        self.compare();
    }

    fn fail(&mut self, id: usize) -> bool {
        let mut result: Result<_, BoxError> = Ok(Response::new(()));
        *result.as_mut().unwrap().status_mut() = StatusCode::SERVICE_UNAVAILABLE;
        let waits = self.policy.retry(self.bodies.get_mut(&id).unwrap(), &mut result);
        let outcome = result.unwrap().extensions().get().map(|outcome: &RetryOutcome| outcome.stopped);
        let expected = self.model.kept && self.model.end != End::Failed;
        assert_eq!((waits.is_some(), outcome), (expected, (!expected).then_some(Stopped::NotReplayable)));
        if expected {
            self.model.epoch += 1;
            self.model.owner = None;
        }
        self.compare();
        expected
    }

    fn compare(&self) {
        assert!(self.bodies.keys().eq(self.model.copies.keys()));
        for (id, request) in &self.bodies {
            assert_eq!(request.body().is_end_stream(), self.model.is_end_stream(*id), "end of {id}");
            let hint = request.body().size_hint();
            assert_eq!((hint.lower(), hint.upper()), self.model.size_hint(*id), "size of {id}");
        }
    }
}

// === impl Model ===

impl Model {
    fn new(script: Script, cap: usize) -> Self {
        let all = script.data();
        let end = if script.ended(0) { End::Ended } else { End::Open };
        Self {
            script,
            cap,
            all,
            events: 0,
            bytes: 0,
            end,
            kept: true,
            epoch: 0,
            owner: None,
            copies: BTreeMap::from([(0, Copy::default())]),
        }
    }

    fn poll(&mut self, id: usize) -> Expected {
        if self.copies[&id].done {
            return Expected::End;
        }
        let expected = self.next(id);
        self.copies.get_mut(&id).unwrap().done = !matches!(expected, Expected::Data(_) | Expected::Pending);
        expected
    }

    fn next(&mut self, id: usize) -> Expected {
        let epoch = self.epoch;
        let copy = self.copies.get_mut(&id).unwrap();
        let begun = *copy.epoch.get_or_insert(epoch);
        let at = copy.at;
        match self.end {
            End::Failed => return Expected::Refused("failed"),
            _ if !self.kept && self.owner != Some(id) => return Expected::Refused("too large"),
            End::Ended if self.kept && at < self.bytes => return Expected::Data(None),
            End::Ended if self.kept && self.script.trailers() => return Expected::Trailers,
            End::Ended => return Expected::End,
            End::Open if begun < self.epoch => return Expected::Refused("superseded"),
            End::Open if self.owner.is_some_and(|owner| owner != id) => return Expected::Refused("early"),
            End::Open => {}
        }
        self.owner = Some(id);
        if self.kept && at < self.bytes {
            return Expected::Data(None);
        }
        let event = self.script.events.get(self.events).copied();
        self.events += usize::from(event.is_some());
        let expected = match event {
            None => {
                self.end = End::Ended;
                Expected::End
            }
            Some(Event::Pending) => Expected::Pending,
            Some(Event::Error) => {
                (self.end, self.kept) = (End::Failed, false);
                Expected::Broken
            }
            Some(Event::Trailers) => {
                self.end = End::Ended;
                Expected::Trailers
            }
            Some(Event::Data(size)) => {
                self.bytes += size;
                let (more, _) = self.script.hint(self.bytes);
                self.kept &= self.bytes + more <= self.cap;
                if self.script.ended(self.events) {
                    self.end = End::Ended;
                }
                Expected::Data(Some(size))
            }
        };
        if self.end == End::Ended && self.kept {
            self.owner = None;
        }
        expected
    }

    fn drop(&mut self, id: usize) {
        self.copies.remove(&id);
        if self.owner == Some(id) {
            self.owner = None;
            if !self.kept && self.end == End::Open {
                self.end = End::Ended;
            }
        }
    }

    /// Whether the next poll is `None`, and it can be known.
    fn is_end_stream(&self, id: usize) -> bool {
        let copy = &self.copies[&id];
        let at_end = if self.kept { copy.at == self.bytes && !self.script.trailers() } else { self.owner == Some(id) };
        copy.done || self.end == End::Ended && at_end
    }

    fn size_hint(&self, id: usize) -> (u64, Option<u64>) {
        let copy = &self.copies[&id];
        if copy.done {
            return (0, Some(0));
        }
        if self.end == End::Failed || !self.kept && self.owner != Some(id) {
            return (0, None);
        }
        let read = if self.kept { copy.at } else { self.bytes };
        let (lower, exact) = self.script.hint(self.bytes);
        let (lower, exact) = match self.end {
            // Or HTTP/1.1 would have no place for them.
            End::Ended if self.kept && self.script.trailers() => (0, matches!(self.script.hint, Hint::Exact)),
            End::Ended => (0, true),
            _ => (lower, exact),
        };
        let lower = (lower + self.bytes - read) as u64;
        (lower, exact.then_some(lower))
    }
}

// === impl Script ===

impl Script {
    fn data(&self) -> Vec<u8> {
        let size: usize = self.events.iter().map(|event| if let Event::Data(size) = event { *size } else { 0 }).sum();
        (0..size).map(|byte| u8::try_from(byte % 251).unwrap()).collect()
    }

    fn trailers(&self) -> bool {
        self.events.last() == Some(&Event::Trailers)
    }

    /// Whether it says so after this many events.
    fn ended(&self, events: usize) -> bool {
        self.says_end && events == self.events.len()
    }

    /// How much is to come after this many bytes, at the least, and whether that is exact.
    fn hint(&self, bytes: usize) -> (usize, bool) {
        let rest = self.data().len() - bytes;
        match self.hint {
            Hint::None => (0, false),
            Hint::Lower => (rest / 2, false),
            Hint::Exact => (rest, true),
        }
    }
}

/// The body that does what a script says.
struct Scripted {
    script: Script,
    seen: Arc<AtomicUsize>,
    bytes: usize,
    /// One that is used after it has ended is a bug.
    over: bool,
}

// === impl Scripted ===

impl Scripted {
    fn new(script: Script, seen: Arc<AtomicUsize>) -> Self {
        Self { script, seen, bytes: 0, over: false }
    }
}

impl Body for Scripted {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        assert!(!self.over, "polled after its end");
        let event = self.script.events.get(self.seen.load(SeqCst)).copied();
        if event.is_some() {
            self.seen.fetch_add(1, SeqCst);
        }
        self.over = matches!(event, None | Some(Event::Error | Event::Trailers));
        match event {
            None => Poll::Ready(None),
            Some(Event::Pending) => Poll::Pending,
            Some(Event::Error) => Poll::Ready(Some(Err(BROKEN.into()))),
            Some(Event::Trailers) => Poll::Ready(Some(Ok(Frame::trailers(trailers())))),
            Some(Event::Data(size)) => {
                let from = self.bytes;
                self.bytes += size;
                let data = Bytes::from(self.script.data()).slice(from..from + size);
                Poll::Ready(Some(Ok(Frame::data(data))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.script.ended(self.seen.load(SeqCst))
    }

    fn size_hint(&self) -> SizeHint {
        let (lower, exact) = self.script.hint(self.bytes);
        let mut hint = SizeHint::new();
        hint.set_lower(lower as u64);
        if exact {
            hint.set_upper(lower as u64);
        }
        hint
    }
}

fn trailers() -> HeaderMap {
    HeaderMap::from_iter([(http::header::ETAG, HeaderValue::from_static("abc"))])
}

fn script() -> impl Strategy<Value = Script> {
    let event = prop_oneof![
        4 => prop_oneof![Just(0_usize), 1..6_usize, 500..530_usize, 600..900_usize].prop_map(Event::Data),
        1 => Just(Event::Pending),
    ];
    let last = prop_oneof![3 => Just(None), 2 => Just(Some(Event::Trailers)), 1 => Just(Some(Event::Error))];
    let hint = prop_oneof![Just(Hint::None), Just(Hint::Lower), Just(Hint::Exact)];
    (vec(event, 0..8), last, hint, any::<bool>()).prop_map(|(mut events, last, hint, says_end)| {
        events.extend(last);
        // It cannot know of its end before a pause, or an error that it does not foresee.
        let says_end = says_end && !matches!(events.last(), Some(Event::Pending | Event::Error));
        Script { events, hint, says_end }
    })
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        4 => any::<Index>().prop_map(Op::Poll),
        2 => any::<Index>().prop_map(Op::PollOn),
        2 => any::<Index>().prop_map(Op::Clone),
        1 => any::<Index>().prop_map(Op::Drop),
        1 => any::<Index>().prop_map(Op::Fail),
    ]
}

const BROKEN: &str = "broke off";
