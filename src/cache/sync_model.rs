//! Stand-ins that a checker sees through: it decides who runs next at each operation of theirs.
//!
//! Locks and atomics are the checker's. A `Notify` is a number behind a lock of the checker's. A task is a thread that polls it.
//! The clock is tokio's, paused; whoever sleeps moves it. The checkers run their threads as coroutines of one thread, so that all of them are inside of the runtime that the test has entered.

#![allow(clippy::disallowed_types, clippy::unwrap_used, reason = "tests, and how long they take")]

use std::{
    cell::RefCell,
    future::{Future, poll_fn},
    pin::{Pin, pin},
    sync::{
        Arc, PoisonError,
        atomic::{AtomicU64 as Counter, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
    time::Duration,
};

#[cfg(tower_oauth2_loom)]
pub(in crate::cache) use loom::{
    sync::{
        Condvar, Mutex, MutexGuard, RwLock, RwLockReadGuard,
        atomic::{AtomicBool, AtomicU64},
    },
    thread,
};
#[cfg(not(tower_oauth2_loom))]
pub(in crate::cache) use shuttle::{
    sync::{
        Condvar, Mutex, MutexGuard, RwLock, RwLockReadGuard,
        atomic::{AtomicBool, AtomicU64},
    },
    thread,
};
use tokio::time::{Instant, advance};

/// Where tasks are spawned.
pub(in crate::cache) struct Handle {
    runtime: Runtime,
}

/// What one execution has for a runtime.
#[derive(Clone, Default)]
pub(super) struct Runtime {
    mode: Arc<Mutex<Mode>>,
    tasks: Arc<Mutex<Vec<Arc<Task>>>>,
}

/// What becomes of the next task.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Mode {
    /// It runs to its end before `spawn` returns. For what happens before the threads start.
    #[default]
    Inline,
    /// It runs in a thread of its own.
    Thread,
    /// `spawn` drops it, as a runtime does that shuts down. The one after that gets a thread.
    Drop,
}

#[derive(Default)]
struct Task {
    work: Mutex<Work>,
}

#[derive(Default)]
struct Work {
    /// `None` once it is done or dropped.
    future: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
    driver: Option<Waker>,
}

struct Signal {
    woken: Mutex<bool>,
    changed: Condvar,
}

// === impl Handle ===

impl Handle {
    pub(in crate::cache) fn try_current() -> Result<Self, ()> {
        RUNTIME.with_borrow(Clone::clone).map(|runtime| Self { runtime }).ok_or(())
    }

    pub(in crate::cache) fn spawn(self, future: impl Future<Output = ()> + Send + 'static) {
        self.runtime.spawn(Box::pin(future));
    }
}

// === impl Runtime ===

impl Runtime {
    pub(super) fn set_mode(&self, mode: Mode) {
        *lock(&self.mode) = mode;
    }

    /// Drops all tasks there are. What is spawned later runs, as if in another runtime.
    pub(super) fn end(&self) {
        let tasks = std::mem::take(&mut *lock(&self.tasks));
        for task in tasks {
            let (future, driver) = {
                let mut work = lock(&task.work);
                (work.future.take(), work.driver.take())
            };
            drop(future);
            if let Some(driver) = driver {
                driver.wake();
            }
        }
    }

    fn spawn(&self, mut future: Pin<Box<dyn Future<Output = ()> + Send>>) {
        let mode = {
            let mut mode = lock(&self.mode);
            let now = *mode;
            if now == Mode::Drop {
                *mode = Mode::Thread;
            }
            now
        };
        match mode {
            Mode::Inline => while future.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending() {},
            Mode::Thread => {
                let task = Arc::new(Task { work: Mutex::new(Work { future: Some(future), driver: None }) });
                lock(&self.tasks).push(Arc::clone(&task));
                thread::spawn(move || block_on(poll_fn(|cx| task.poll(cx))));
            }
            Mode::Drop => drop(future),
        }
    }
}

// === impl Task ===

impl Task {
    /// Under the lock: a runtime does not drop a task while it is being polled.
    fn poll(&self, cx: &Context<'_>) -> Poll<()> {
        let mut work = lock(&self.work);
        let Some(future) = &mut work.future else { return Poll::Ready(()) };
        if future.as_mut().poll(&mut Context::from_waker(cx.waker())).is_ready() {
            work.future = None;
            return Poll::Ready(());
        }
        work.driver = Some(cx.waker().clone());
        Poll::Pending
    }
}

// === impl Signal ===

impl Wake for Signal {
    fn wake(self: Arc<Self>) {
        *lock(&self.woken) = true;
        self.changed.notify_one();
    }
}

/// The part of `tokio::sync::Notify` that is used: whoever was made before a notification hears of it, polled or not.
#[derive(Default)]
pub(in crate::cache) struct Notify {
    inside: Mutex<Notifications>,
}

#[derive(Default)]
struct Notifications {
    number: u64,
    waiting: Vec<Waker>,
}

// === impl Notify ===

impl Notify {
    pub(in crate::cache) fn new() -> Self {
        Self::default()
    }

    pub(in crate::cache) fn notified(&self) -> impl Future<Output = ()> {
        let before = lock(&self.inside).number;
        poll_fn(move |cx| {
            let mut inside = lock(&self.inside);
            if inside.number != before {
                return Poll::Ready(());
            }
            inside.waiting.push(cx.waker().clone());
            Poll::Pending
        })
    }

    pub(in crate::cache) fn notify_waiters(&self) {
        let waiting = {
            let mut inside = lock(&self.inside);
            inside.number += 1;
            std::mem::take(&mut inside.waiting)
        };
        waiting.into_iter().for_each(Waker::wake);
    }
}

/// Time passes when somebody sleeps.
pub(in crate::cache) async fn sleep_until(deadline: Instant) {
    pass(deadline.saturating_duration_since(Instant::now()));
    yield_now().await;
}

/// loom's own also wakes for nothing, and counts references in steps: that multiplies the executions by hundreds.
pub(super) fn block_on<T>(future: impl Future<Output = T>) -> T {
    let signal = Arc::new(Signal { woken: Mutex::new(false), changed: Condvar::new() });
    let waker = Waker::from(Arc::clone(&signal));
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return output;
        }
        let mut woken = lock(&signal.woken);
        while !*woken {
            woken = signal.changed.wait(woken).unwrap_or_else(PoisonError::into_inner);
        }
        *woken = false;
    }
}

/// Moves the clock, without waiting for anything.
pub(super) fn pass(time: Duration) {
    let _ = pin!(advance(time)).poll(&mut Context::from_waker(Waker::noop()));
}

/// Lets others run, and a runtime end.
pub(super) async fn yield_now() {
    let mut yielded = false;
    poll_fn(|cx| {
        if yielded {
            return Poll::Ready(());
        }
        yielded = true;
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// All interleavings within the preemption bound.
#[cfg(tower_oauth2_loom)]
pub(super) fn check(name: &str, execution: impl Fn(&Runtime) + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound.get_or_insert(PREEMPTIONS);
    builder.max_branches = 10_000;
    let bound = builder.preemption_bound;
    run(name, &format!("every interleaving with at most {bound:?} preemptions"), execution, |run| builder.check(run));
}

/// Random interleavings: half of them with a random step each time, half with few preemptions (PCT).
#[cfg(not(tower_oauth2_loom))]
pub(super) fn check(name: &str, execution: impl Fn(&Runtime) + Send + Sync + 'static) {
    let schedules = std::env::var("SHUTTLE_SCHEDULES").ok().and_then(|n| n.parse().ok()).unwrap_or(SCHEDULES);
    let run_all = |run: Arc<dyn Fn() + Send + Sync>| {
        let again = Arc::clone(&run);
        shuttle::check_random(move || run(), schedules / 2);
        shuttle::check_pct(move || again(), schedules / 2, PREEMPTIONS);
    };
    run(name, "random schedules", execution, |run| run_all(Arc::new(run)));
}

fn run<F>(name: &str, what: &str, execution: F, checker: impl FnOnce(Box<dyn Fn() + Send + Sync>))
where
    F: Fn(&Runtime) + Send + Sync + 'static,
{
    let clock = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    let _entered = clock.enter();
    let executions = Arc::new(Counter::new(0));
    let count = Arc::clone(&executions);
    let since = std::time::Instant::now();
    checker(Box::new(move || {
        count.fetch_add(1, Ordering::Relaxed);
        let runtime = Runtime::default();
        RUNTIME.set(Some(runtime.clone()));
        execution(&runtime);
        RUNTIME.set(None);
    }));
    eprintln!("{name}: {} executions, {what}, in {:.1?}", executions.load(Ordering::Relaxed), since.elapsed());
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

thread_local! {
    static RUNTIME: RefCell<Option<Runtime>> = const { RefCell::new(None) };
}

const PREEMPTIONS: usize = 3;
#[cfg(not(tower_oauth2_loom))]
const SCHEDULES: usize = 1_000;
