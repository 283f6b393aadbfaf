use std::{
    cell::Cell,
    collections::VecDeque,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
        mpsc,
    },
    task::{Wake, Waker},
    thread,
    time::Duration,
};

use futures_util::{StreamExt as _, stream};
use http::{Extensions, HeaderMap};
use http_body_util::{BodyExt as _, Full, StreamBody, combinators::UnsyncBoxBody};
use tokio_test::task::spawn;

use super::*;
use crate::retry::outcome::Stopped;

type Polled = Poll<Option<Result<Frame<Bytes>, BoxError>>>;

/// What is to happen while the body is polled, as if another thread did it.
type Hook = Box<dyn FnOnce() + Send>;

/// Gives what it is told to.
#[derive(Default)]
struct Script {
    frames: VecDeque<Polled>,
    hook: Arc<Mutex<Option<Hook>>>,
    hint: u64,
}

/// A server would take the replay for whole.
#[test]
fn a_body_that_is_shorter_than_it_said_is_not_sent_again() {
    let frames = [Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(b"short"))))), Poll::Ready(None)];
    let (first, second, handle) = pair(Script { frames: frames.into(), hint: 10, ..Script::default() }, 100);
    let mut first = spawn(first.into_body());
    assert_eq!(data(first.enter(|cx, body| body.poll_frame(cx))), "short");
    assert!(check(&handle).is_ok());
    assert!(matches!(first.enter(|cx, body| body.poll_frame(cx)), Poll::Ready(None)));
    assert_eq!(check(&handle).unwrap_err(), Stopped::NotReplayable);
    assert!(
        spawn(second.into_body())
            .enter(|cx, body| body.poll_frame(cx))
            .map(Option::unwrap)
            .map(|end| end.is_err())
            .is_ready()
    );
}

/// HTTP/1.1 sends a body of known length without them.
#[test]
fn trailers_keep_the_length_of_a_replay_unsaid_if_it_was() {
    let frames = || {
        let trailers = Frame::trailers(HeaderMap::new());
        [Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(b"abc"))))), Poll::Ready(Some(Ok(trailers)))].into()
    };
    let (first, second, _) = pair(Script { frames: frames(), ..Script::default() }, 100);
    let mut first = spawn(first.into_body());
    for _ in 0..2 {
        assert!(first.enter(|cx, body| body.poll_frame(cx)).is_ready());
    }
    let hint = second.body().size_hint();
    assert_eq!((hint.lower(), hint.upper()), (3, None));
}

/// Its length is known when all of its data is out, and its trailers are not.
#[test]
fn trailers_that_may_come_keep_the_length_of_a_replay_unsaid_as_well() {
    struct Late(VecDeque<Polled>);
    impl Body for Late {
        type Data = Bytes;
        type Error = BoxError;
        fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Polled {
            self.0.pop_front().unwrap_or(Poll::Ready(None))
        }
        fn size_hint(&self) -> SizeHint {
            if self.0.len() < 3 { SizeHint::with_exact(0) } else { SizeHint::default() }
        }
    }
    let trailers = Poll::Ready(Some(Ok(Frame::trailers(HeaderMap::new()))));
    let (first, second, handle) = pair(Late([frame("abc"), Poll::Pending, trailers].into()), 100);
    let mut first = first.into_body();
    assert_eq!(data(poll(&mut first)), "abc");
    assert!(poll(&mut first).is_pending());
    claim(&handle).unwrap();
    let mut second = second.into_body();
    assert_eq!((second.size_hint().lower(), second.size_hint().upper()), (3, None));
    assert_eq!(data(poll(&mut second)), "abc");
    assert!(poll(&mut second).map(|frame| frame.unwrap().unwrap().is_trailers()) == Poll::Ready(true));
}

#[test]
fn a_copy_has_as_much_to_come_as_it_has_not_read() {
    let body = Full::new(Bytes::from_static(b"abcdef")).map_err(BoxError::from);
    let (first, second, _) = pair(body, 100);
    assert_eq!(data(poll(&mut first.into_body())), "abcdef");
    let mut second = second.into_body();
    assert_eq!(second.size_hint().exact(), Some(6));
    assert_eq!(data(poll(&mut second)), "abcdef");
    assert_eq!(second.size_hint().exact(), Some(0));

    // Short chunks would be joined.
    let chunk = "a".repeat(600);
    let (first, second, _) = pair(Script { hint: 1200, ..Script::of([chunk.as_str(); 2]) }, 2000);
    let (mut first, mut second) = (first.into_body(), second.into_body());
    assert_eq!(data(poll(&mut first)), chunk);
    assert_eq!((first.size_hint().lower(), second.size_hint().lower()), (600, 1200));
    assert_eq!(data(poll(&mut first)), chunk);
    drop(first);
    assert_eq!(data(poll(&mut second)), chunk);
    assert_eq!(second.size_hint().lower(), 600);
}

#[test]
fn a_body_over_the_limit_ends_for_the_copy_that_has_read_it_only() {
    let (first, second, _) = pair(Full::new(Bytes::from_static(b"abcdef")), 5);
    let (mut first, second) = (first.into_body(), second.into_body());
    assert!(!first.is_end_stream());
    assert_eq!(first.size_hint().exact(), Some(6));
    assert_eq!(data(poll(&mut first)), "abcdef");
    assert!(first.is_end_stream() && !second.is_end_stream());

    let (first, second, _) = pair(Script { hint: 6, ..Script::of(["abc", "def"]) }, 5);
    let (mut first, second) = (first.into_body(), second.into_body());
    assert_eq!(data(poll(&mut first)), "abc");
    assert_eq!((first.size_hint().lower(), second.size_hint().lower()), (3, 0), "it has nothing to give");
}

#[test]
fn the_limit_is_64_kib_unless_another_is_set() {
    for (size, fits) in [(65_536, true), (65_537, false)] {
        let layer = ReplayBodyLayer::new();
        let inner = tower::service_fn(|request: Request<ReplayBody<Script>>| async {
            let handle = request.extensions().clone();
            let mut body = request.into_body();
            while poll(&mut body).map(|frame| frame.is_some()) == Poll::Ready(true) {}
            Ok::<_, BoxError>(check(&handle).is_ok())
        });
        let request = Request::new(Script::of(["x".repeat(size).as_str()]));
        let kept = tokio_test::block_on(tower::ServiceExt::oneshot(tower_layer::Layer::layer(&layer, inner), request));
        assert_eq!(kept.unwrap(), fits, "{size}");
    }
}

#[test]
fn an_error_says_what_was_wrong_and_only_that() {
    let kinds = [ReplayError::EARLY, ReplayError::SUPERSEDED, ReplayError::TOO_LARGE, ReplayError::FAILED];
    let told = kinds.map(|error| (error.is_early(), error.is_superseded(), error.is_too_large()));
    assert_eq!(told, [(true, false, false), (false, true, false), (false, false, true), (false, false, false)]);
    let words = ["another copy", "is being sent again", "too large", "has failed"];
    for (error, words) in kinds.iter().zip(words) {
        assert!(error.to_string().contains(words), "{error}");
    }
}

#[test]
fn a_waker_is_not_kept_for_a_copy_that_was_superseded() {
    struct Idle;
    impl Wake for Idle {
        fn wake(self: Arc<Self>) {}
    }
    let script = Script { frames: [Poll::Pending].into(), ..Script::default() };
    let hook = Arc::clone(&script.hook);
    let (first, _second, handle) = pair(script, 100);
    set(&hook, move || claim(&handle).unwrap());
    let idle = Arc::new(Idle);
    let waker = Waker::from(Arc::clone(&idle));
    let mut first = first.into_body();
    assert!(error(Pin::new(&mut first).poll_frame(&mut Context::from_waker(&waker))).is_superseded());
    drop(waker);
    assert_eq!(Arc::strong_count(&idle), 1);
}

#[test]
fn a_claim_wakes_the_older_copy_and_takes_the_rest_from_it() {
    let (sender, mut receiver) = tokio::sync::mpsc::channel(4);
    let body = StreamBody::new(stream::poll_fn(move |cx| receiver.poll_recv(cx)).map(Ok::<_, BoxError>));
    let (first, second, handle) = pair(body, 100);
    let mut first = spawn(first.into_body());
    sender.try_send(Frame::data(Bytes::from_static(b"ab"))).unwrap();
    assert_eq!(data(first.enter(|cx, body| body.poll_frame(cx))), "ab");
    assert!(first.enter(|cx, body| body.poll_frame(cx)).is_pending());
    assert!(!first.is_woken());

    claim(&handle).unwrap();
    assert!(first.is_woken());
    let mut second = spawn(second.into_body());
    assert_eq!(data(second.enter(|cx, body| body.poll_frame(cx))), "ab");
    assert!(second.enter(|cx, body| body.poll_frame(cx)).is_pending());
    assert!(error(first.enter(|cx, body| body.poll_frame(cx))).is_superseded());

    // What comes wakes the new copy.
    sender.try_send(Frame::data(Bytes::from_static(b"cd"))).unwrap();
    assert!(second.is_woken());
    assert_eq!(data(second.enter(|cx, body| body.poll_frame(cx))), "cd");
    drop(sender);
    assert!(matches!(second.enter(|cx, body| body.poll_frame(cx)), Poll::Ready(None)));
    assert!(second.is_end_stream());
}

#[test]
fn a_copy_that_was_sent_and_not_polled_yet_cannot_take_the_body_back_after_a_claim() {
    let (first, second, handle) = pair(Script::of(["ab", "cd"]), 100);
    let (mut first, mut second) = (first.into_body(), second.into_body());
    claim(&handle).unwrap();
    assert!(error(poll(&mut first)).is_superseded());
    assert_eq!(read(&mut second), "abcd");
}

#[test]
fn a_copy_that_is_polled_early_fails_and_harms_nobody() {
    let (first, second, _) = pair(Script::of(["ab", "cd"]), 100);
    let third = second.clone();
    let (mut first, mut second, mut third) = (first.into_body(), second.into_body(), third.into_body());
    assert_eq!(data(poll(&mut first)), "ab");
    assert!(error(poll(&mut second)).is_early());
    assert!(matches!(poll(&mut second), Poll::Ready(None)), "an error ends it");
    assert_eq!(read(&mut first), "cd");
    assert_eq!(read(&mut third), "abcd");
    assert_eq!(read(&mut second.clone()), "abcd");

    let (first, second, _) = pair(Script::of(["ab", "cd"]), 100);
    let (mut second, mut third) = (second.clone().into_body(), second.into_body());
    drop(first);
    assert_eq!(data(poll(&mut second)), "ab");
    assert!(error(poll(&mut third)).is_early(), "whichever copies they are");
}

#[test]
fn what_is_read_while_it_is_claimed_is_for_the_next_copy() {
    // Even over the limit: it was promised.
    for cap in [100, 2] {
        let script = Script::of(["ab", "cd", "ef"]);
        let hook = Arc::clone(&script.hook);
        let (first, second, handle) = pair(script, cap);
        let (mut first, mut second) = (first.into_body(), second.into_body());
        assert_eq!(data(poll(&mut first)), "ab");
        set(&hook, move || claim(&handle).unwrap());
        assert!(error(poll(&mut first)).is_superseded());
        assert_eq!(second.size_hint().lower(), 4);
        assert_eq!(read(&mut second), "abcdef");
    }
}

#[test]
fn a_copy_whose_body_is_still_being_polled_for_the_one_before_waits() {
    for frames in [vec![frame("ab")], vec![Poll::Pending, frame("ab")], vec![]] {
        let whole = if frames.is_empty() { "" } else { "ab" };
        let script = Script { frames: frames.into(), ..Script::default() };
        let hook = Arc::clone(&script.hook);
        let (first, second, handle) = pair(script, 100);
        let mut first = first.into_body();
        let second = Arc::new(Mutex::new(spawn(second.into_body())));
        let meanwhile = Arc::clone(&second);
        set(&hook, move || {
            claim(&handle).unwrap();
            let mut second = meanwhile.lock().unwrap();
            assert!(!second.is_end_stream());
            assert!(second.enter(|cx, body| body.poll_frame(cx)).is_pending());
            assert!(!second.is_woken());
        });
        assert!(error(poll(&mut first)).is_superseded());
        assert!(second.lock().unwrap().is_woken());
        assert_eq!(read(&mut **second.lock().unwrap()), whole);
    }
}

#[test]
fn an_error_that_comes_while_the_body_is_claimed_is_told_to_the_next_copy_once() {
    let script = Script { frames: [frame("ab"), broken()].into(), ..Script::default() };
    let hook = Arc::clone(&script.hook);
    let (first, second, handle) = pair(script, 100);
    let third = second.clone();
    let mut first = first.into_body();
    assert_eq!(data(poll(&mut first)), "ab");
    let claimed = handle.clone();
    set(&hook, move || claim(&claimed).unwrap());
    assert!(error(poll(&mut first)).is_superseded());
    let Poll::Ready(Some(Err(told))) = poll(&mut second.into_body()) else { panic!("no error") };
    assert_eq!(told.to_string(), "broke off");
    let told = error(poll(&mut third.into_body()));
    assert_eq!(told, ReplayError::FAILED);
    assert_eq!(check(&handle), Err(Stopped::NotReplayable));
}

#[test]
fn an_error_frees_what_was_kept() {
    let freed = Arc::new(AtomicUsize::new(0));
    let frames = [Poll::Ready(Some(Ok(Frame::data(counted(600, &freed))))), broken()];
    let (first, _second, handle) = pair(Script { frames: frames.into(), ..Script::default() }, 1200);
    let mut first = first.into_body();
    assert_eq!(data(poll(&mut first)).len(), 600);
    assert_eq!((freed.load(SeqCst), check(&handle)), (0, Ok(())));
    assert!(matches!(poll(&mut first), Poll::Ready(Some(Err(_)))));
    assert_eq!((freed.load(SeqCst), check(&handle)), (1, Err(Stopped::NotReplayable)));
}

#[test]
fn a_body_that_panics_has_failed_and_hangs_nobody() {
    let script = Script::of(["ab"]);
    let hook = Arc::clone(&script.hook);
    let (first, second, handle) = pair(script, 100);
    let waiting = Arc::new(Mutex::new(spawn(second.into_body())));
    let (claimed, meanwhile) = (handle.clone(), Arc::clone(&waiting));
    set(&hook, move || {
        claim(&claimed).unwrap();
        assert!(meanwhile.lock().unwrap().enter(|cx, body| body.poll_frame(cx)).is_pending());
        panic!("on purpose");
    });
    let mut first = first.into_body();
    assert!(catch_unwind(AssertUnwindSafe(|| poll(&mut first))).is_err());
    assert_eq!(check(&handle), Err(Stopped::NotReplayable));
    let mut second = waiting.lock().unwrap();
    assert!(second.is_woken());
    assert_eq!(error(second.enter(|cx, body| body.poll_frame(cx))), ReplayError::FAILED);
}

#[test]
fn a_body_that_is_too_long_frees_what_was_kept_and_goes_on() {
    let freed = Arc::new(AtomicUsize::new(0));
    let frames = [600, 600, 600].map(|size| Poll::Ready(Some(Ok(Frame::data(counted(size, &freed))))));
    let (first, second, handle) = pair(Script { frames: frames.into(), ..Script::default() }, 1200);
    let (mut first, mut second) = (first.into_body(), second.into_body());
    for _ in 0..2 {
        assert_eq!(data(poll(&mut first)).len(), 600);
    }
    assert_eq!((freed.load(SeqCst), check(&handle)), (0, Ok(())), "just as much as fits");
    assert_eq!(data(poll(&mut first)).len(), 600);
    assert_eq!((freed.load(SeqCst), check(&handle)), (3, Err(Stopped::NotReplayable)));
    assert_eq!(claim(&handle), Err(Stopped::NotReplayable));
    assert!(error(poll(&mut second)).is_too_large());
    assert!(matches!(poll(&mut first), Poll::Ready(None)), "nothing was taken from it");
    drop(first);
    assert!(error(poll(&mut second.clone())).is_too_large());
}

#[test]
fn a_body_that_says_that_it_is_too_long_is_never_kept() {
    let freed = Arc::new(AtomicUsize::new(0));
    let frames = [600, 601].map(|size| Poll::Ready(Some(Ok(Frame::data(counted(size, &freed))))));
    let (first, second, handle) = pair(Script { frames: frames.into(), hint: 1201, ..Script::default() }, 1200);
    // Nothing of it is lost before something was read.
    assert_eq!(check(&handle), Ok(()));
    claim(&handle).unwrap();
    assert!(error(poll(&mut first.into_body())).is_superseded());
    let mut second = second.into_body();
    assert_eq!(second.size_hint().lower(), 1201);
    assert_eq!(data(poll(&mut second)).len(), 600);
    assert_eq!((freed.load(SeqCst), check(&handle)), (1, Err(Stopped::NotReplayable)));
    assert_eq!(second.size_hint().lower(), 601);
    assert_eq!(data(poll(&mut second)).len(), 601);
    assert!(matches!(poll(&mut second), Poll::Ready(None)));
}

#[test]
fn the_rest_of_a_body_that_was_not_kept_is_dropped_with_the_copy_that_read_it() {
    struct Held(Script, #[allow(dead_code, reason = "counted")] Arc<()>);
    impl Body for Held {
        type Data = Bytes;
        type Error = BoxError;
        fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Polled {
            Pin::new(&mut self.0).poll_frame(cx)
        }
    }
    let held = Arc::new(());
    let (first, second, _) = pair(Held(Script::of(["ab", "cd"]), Arc::clone(&held)), 1);
    let mut first = first.into_body();
    assert_eq!(data(poll(&mut first)), "ab");
    assert_eq!(Arc::strong_count(&held), 2);
    drop(first);
    assert_eq!(Arc::strong_count(&held), 1);
    assert!(error(poll(&mut second.into_body())).is_too_large());
}

#[test]
fn chunks_are_shared_and_not_copied() {
    let chunk = Bytes::from(vec![1; 4096]);
    let frames = [Poll::Ready(Some(Ok(Frame::data(chunk.clone()))))];
    let (first, second, _) = pair(Script { frames: frames.into(), ..Script::default() }, 4096);
    for copy in [first, second] {
        let Poll::Ready(Some(Ok(frame))) = poll(&mut copy.into_body()) else { panic!("no frame") };
        assert_eq!(frame.into_data().unwrap().as_ptr(), chunk.as_ptr());
    }
}

#[test]
fn a_task_that_is_dropped_with_its_waker_may_hold_a_copy() {
    struct Task(#[allow(dead_code, reason = "dropped")] Mutex<Request<ReplayBody<Script>>>);
    impl Wake for Task {
        fn wake(self: Arc<Self>) {}
    }
    let (done, ended) = mpsc::channel();
    thread::spawn(move || {
        for way in 0..4 {
            let script = Script { frames: [Poll::Pending, Poll::Pending].into(), ..Script::default() };
            let (first, second, handle) = pair(script, 100);
            let mut first = first.into_body();
            let waker = Waker::from(Arc::new(Task(Mutex::new(second))));
            assert!(Pin::new(&mut first).poll_frame(&mut Context::from_waker(&waker)).is_pending());
            drop(waker);
            match way {
                0 => drop(first),
                1 => assert!(poll(&mut first).is_pending(), "with another waker"),
                2 => claim(&handle).unwrap(),
                _ => assert_eq!(read(&mut first), ""),
            }
        }
        done.send(()).unwrap();
    });
    ended.recv_timeout(Duration::from_secs(20)).expect("it deadlocked");
}

#[test]
fn a_body_need_be_neither_unpin_nor_sync() {
    fn shared<T: Send + Sync + Unpin>(_: &T) {}
    let cell = Cell::new(0);
    let body = StreamBody::new(stream::unfold(cell, |cell| async move {
        let count = cell.replace(cell.get() + 1);
        (count < 3).then(|| (Ok::<_, BoxError>(Frame::data(Bytes::from(count.to_string()))), cell))
    }));
    let (first, second, _) = pair(body, 100);
    let (mut first, mut second) = (first.into_body(), second.into_body());
    shared(&first);
    assert_eq!(data(poll(&mut first)), "0");
    drop(first);
    assert_eq!(read(&mut second), "012");

    let boxed: UnsyncBoxBody<Bytes, BoxError> = UnsyncBoxBody::new(Script::of(["ab"]));
    let (first, second, _) = pair(boxed, 100);
    assert_eq!(read(&mut first.into_body()), "ab");
    assert_eq!(read(&mut second.into_body()), "ab");
}

#[test]
fn an_upload_that_is_claimed_from_another_thread_loses_and_doubles_nothing() {
    let chunks: Vec<_> = (0..64).map(|chunk| chunk.to_string()).collect();
    for round in 0..200 {
        let (first, second, handle) = pair(Script::of(chunks.iter().map(String::as_str)), 1000);
        let uploading = thread::spawn(move || {
            let mut first = first.into_body();
            loop {
                match poll(&mut first) {
                    Poll::Ready(Some(Ok(_))) => thread::yield_now(),
                    end => return matches!(end, Poll::Ready(Some(Err(_)))),
                }
            }
        });
        (0..round % 20).for_each(|_| thread::yield_now());
        claim(&handle).unwrap();
        let mut second = second.into_body();
        let whole = tokio_test::block_on(async { (&mut second).collect().await.unwrap().to_bytes() });
        assert_eq!(whole, chunks.concat(), "round {round}");
        uploading.join().unwrap();
    }
}

#[test]
fn a_request_without_a_replay_body_is_not_hindered() {
    assert_eq!(check(&Extensions::new()), Ok(()));
    assert_eq!(claim(&Extensions::new()), Ok(()));
}

#[test]
fn an_empty_body_is_at_its_end_from_the_start() {
    let (first, second, handle) = pair(http_body_util::Empty::<Bytes>::new(), 0);
    for copy in [first, second] {
        assert!(copy.body().is_end_stream());
        assert_eq!(copy.body().size_hint().exact(), Some(0));
        assert!(matches!(poll(&mut copy.into_body()), Poll::Ready(None)));
        assert_eq!(claim(&handle), Ok(()));
    }
}

#[test]
fn trailers_are_the_end_of_every_copy() {
    let mut trailers = HeaderMap::new();
    trailers.insert("sum", "1".parse().unwrap());
    let frames = [frame("ab"), Poll::Ready(Some(Ok(Frame::trailers(trailers.clone()))))];
    let (first, second, _) = pair(Script { frames: frames.into(), ..Script::default() }, 100);
    for copy in [first, second] {
        let mut copy = copy.into_body();
        assert_eq!(data(poll(&mut copy)), "ab");
        assert!(!copy.is_end_stream());
        let Poll::Ready(Some(Ok(frame))) = poll(&mut copy) else { panic!("no frame") };
        assert_eq!(frame.into_trailers().unwrap(), trailers);
        assert!(copy.is_end_stream());
        assert!(matches!(poll(&mut copy), Poll::Ready(None)));
    }
}

#[test]
fn nothing_of_the_data_is_shown() {
    let (first, _, _) = pair(Script::of(["canary"]), 100);
    let mut body = first.into_body();
    assert_eq!(data(poll(&mut body)), "canary");
    assert!(!format!("{body:?}").contains("canary"), "{body:?}");
    assert!(format!("{body:?}").contains("read: 6"), "{body:?}");
}

/// As `Retry` does it: the clone is kept, the original is sent.
fn pair<B>(body: B, cap: usize) -> (Request<ReplayBody<B>>, Request<ReplayBody<B>>, Extensions)
where
    B: Body + Send + 'static,
{
    let sent = ReplayBody::wrap(Request::new(body), cap);
    let kept = sent.clone();
    let extensions = kept.extensions().clone();
    (sent, kept, extensions)
}

fn poll<B>(body: &mut B) -> Poll<Option<Result<Frame<Bytes>, BoxError>>>
where
    B: Body<Data = Bytes, Error = BoxError> + Unpin,
{
    Pin::new(body).poll_frame(&mut Context::from_waker(Waker::noop()))
}

/// All the data that is there without waiting, up to the end or a pause that passes.
fn read<B>(body: &mut B) -> String
where
    B: Body<Data = Bytes, Error = BoxError> + Unpin,
{
    let mut all = String::new();
    loop {
        match poll(body) {
            Poll::Pending => {}
            Poll::Ready(None) => return all,
            Poll::Ready(Some(Err(error))) => panic!("{error}"),
            frame => all.push_str(&data(frame)),
        }
    }
}

fn data(polled: Polled) -> String {
    match polled {
        Poll::Ready(Some(Ok(frame))) => String::from_utf8(frame.into_data().unwrap().to_vec()).unwrap(),
        other => panic!("{other:?}"),
    }
}

fn error(polled: Polled) -> ReplayError {
    match polled {
        Poll::Ready(Some(Err(error))) => *error.downcast().unwrap(),
        other => panic!("{other:?}"),
    }
}

fn frame(data: &str) -> Polled {
    Poll::Ready(Some(Ok(Frame::data(Bytes::copy_from_slice(data.as_bytes())))))
}

fn broken() -> Polled {
    Poll::Ready(Some(Err("broke off".into())))
}

fn set(hook: &Mutex<Option<Hook>>, run: impl FnOnce() + Send + 'static) {
    *hook.lock().unwrap() = Some(Box::new(run));
}

/// Counts when it is freed.
fn counted(size: usize, freed: &Arc<AtomicUsize>) -> Bytes {
    struct Counted(Vec<u8>, Arc<AtomicUsize>);
    impl AsRef<[u8]> for Counted {
        fn as_ref(&self) -> &[u8] {
            &self.0
        }
    }
    impl Drop for Counted {
        fn drop(&mut self) {
            self.1.fetch_add(1, SeqCst);
        }
    }
    Bytes::from_owner(Counted(vec![b'a'; size], Arc::clone(freed)))
}

// === impl Script ===

impl Script {
    fn of<'a>(chunks: impl IntoIterator<Item = &'a str>) -> Self {
        Self { frames: chunks.into_iter().map(frame).collect(), ..Self::default() }
    }
}

impl Body for Script {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Polled {
        let hook = self.hook.lock().unwrap().take();
        if let Some(hook) = hook {
            hook();
        }
        let polled = self.frames.pop_front().unwrap_or(Poll::Ready(None));
        if let Poll::Ready(Some(Ok(frame))) = &polled {
            let size = frame.data_ref().map_or(0, Bytes::len);
            self.hint = self.hint.saturating_sub(size as u64);
        }
        if polled.is_pending() {
            cx.waker().wake_by_ref();
        }
        polled
    }

    fn size_hint(&self) -> SizeHint {
        let mut hint = SizeHint::new();
        hint.set_lower(self.hint);
        hint
    }
}
