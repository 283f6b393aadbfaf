//! The cache, its callers and a runtime, moved step by step and watched by the oracle.

use std::{
    cell::Cell,
    future::{Future, poll_fn},
    panic::panic_any,
    pin::{Pin, pin},
    task::{Context, Poll, Waker},
    time::Duration,
};

use proptest_state_machine::StateMachineTest;
use tokio::{
    runtime::{Builder, Runtime},
    task::yield_now,
    time::{Instant, advance, sleep_until},
};
use tower_oauth2::{Error, MinTtl, Token, TokenCache};

use crate::{
    event::{At, Event, Outcome},
    oracle::Oracle,
    plan::{Plan, Transition, Which},
    script::{Answer, Behavior, Life, Script},
};

pub(crate) struct World {
    /// `None` while it is driven.
    runtime: Option<Runtime>,
    caches: Vec<TokenCache>,
    script: Script,
    callers: Vec<Caller>,
    next_caller: u64,
    /// What callers have got, by generation.
    got: Vec<Token>,
    /// And last.
    last: Option<Token>,
    oracle: Oracle,
    start: Instant,
    now: At,
    story: Vec<Event>,
}

struct Caller {
    id: u64,
    future: Pin<Box<dyn Future<Output = Result<Token, Error>>>>,
}

// === impl World ===

impl StateMachineTest for World {
    type SystemUnderTest = Self;
    type Reference = Plan;

    fn init_test(plan: &Plan) -> Self {
        TRIED.with(|tried| tried.set((tried.get().0 + 1, tried.get().1)));
        let runtime = new_runtime();
        // Ahead of the clock on the wall: a runtime that comes later can be set to where the last one ended.
        let now = Duration::from_secs(10_000);
        let start = runtime.block_on(async {
            advance(now).await;
            Instant::now() - now
        });
        let script = Script::new(start, plan.limits.fetch_timeout);
        Self {
            runtime: Some(runtime),
            caches: vec![plan.limits.apply(TokenCache::builder(script.clone()))],
            script,
            callers: Vec::new(),
            next_caller: 1,
            got: Vec::new(),
            last: None,
            oracle: Oracle::new(plan.limits),
            start,
            now,
            story: Vec::new(),
        }
    }

    fn apply(mut world: Self, _: &Plan, transition: Transition) -> Self {
        TRIED.with(|tried| tried.set((tried.get().0, tried.get().1 + 1)));
        if matches!(transition, Transition::EndRuntime) {
            world.end_runtime();
        }
        world.drive(async |world| world.step(transition).await);
        world
    }

    fn teardown(mut world: Self, _: Plan) {
        // The source is well again: after the longest pause there is nobody who waits, and a token for whoever comes.
        world.script.behave(Behavior::Now(Answer::Mint(Life::Of(Duration::from_secs(3600)))));
        world.drive(async |world| world.wait_until(world.now + Duration::from_secs(2 * 60 * 60)).await);
        world.check(Oracle::idle);
        world.drive(async |world| {
            world.step(Transition::Call { callers: 1, min_ttl: Duration::ZERO, rest: true }).await
        });
        world.drive(async |world| world.wait_until(world.now + Duration::from_secs(10)).await);
        world.check(Oracle::idle);
        let now = world.start + world.now;
        if world.last.as_ref().is_none_or(|token| token.expires_at().is_some_and(|at| at <= now)) {
            world.object("there is no token although the source is well");
        }
    }
}

impl World {
    /// Runs `step`, and lets the oracle hear of it. `step` says whether all has come to rest.
    fn drive(&mut self, step: impl AsyncFnOnce(&mut Self) -> bool) {
        let Some(runtime) = self.runtime.take() else { return };
        let rests = runtime.block_on(async {
            let rests = step(self).await;
            self.now = self.script.now();
            rests
        });
        let tasks = runtime.metrics().num_alive_tasks();
        self.runtime = Some(runtime);
        for event in self.script.take_log() {
            self.story.push(event);
            let Some(event) = self.story.last() else { return };
            if let Err(objection) = self.oracle.hear(event) {
                self.object(&objection);
            }
        }
        let (now, stats) = (self.now, self.caches[0].stats());
        if rests {
            self.check(|oracle| oracle.at_rest(now, stats, tasks));
        } else {
            self.check(|oracle| oracle.check_stats(stats));
        }
    }

    async fn step(&mut self, transition: Transition) -> bool {
        match transition {
            Transition::Call { callers, min_ttl, rest } => {
                self.call(callers, min_ttl);
                return rest && self.rest().await;
            }
            Transition::Cancel { nth } if !self.callers.is_empty() => {
                let caller = self.callers.remove(nth % self.callers.len());
                self.script.log(Event::Cancelled { caller: caller.id });
            }
            Transition::CancelAll => {
                for caller in self.callers.drain(..) {
                    self.script.log(Event::Cancelled { caller: caller.id });
                }
            }
            Transition::Advance { by } => return self.wait_until(self.script.now() + by).await,
            Transition::AdvanceTo { edge, beside } => {
                let Some(edge) = self.oracle.edge(edge) else { return self.rest().await };
                let beside = Duration::from_millis(u64::from(beside.unsigned_abs())) * u32::from(beside != 0);
                let later = matches!(transition, Transition::AdvanceTo { beside: 0.., .. });
                return self.wait_until(if later { edge + beside } else { edge - beside }).await;
            }
            Transition::Sleep { by } => {
                // Its first poll moves the clock; what it waits for after that is that others run.
                let _ = pin!(advance(by)).poll(&mut Context::from_waker(Waker::noop()));
                self.script.log(Event::Slept { at: self.script.now() });
                return false;
            }
            Transition::Source(behavior) => self.script.behave(behavior),
            Transition::Answer { answer, rest } => {
                self.script.answer(answer);
                return rest && self.rest().await;
            }
            Transition::Reject { which, times } => self.reject(which, times),
            Transition::UseAndReject => {
                self.call(1, Duration::ZERO);
                self.rest().await;
                self.reject(Which::Newest, 1);
            }
            Transition::Invalidate => {
                self.caches[0].invalidate();
                self.script.log(Event::Invalidated);
            }
            Transition::CloneCache => self.caches.push(self.caches[0].clone()),
            Transition::DropCache => drop(self.caches.remove(0)),
            Transition::EndRuntime | Transition::Stats | Transition::Cancel { .. } => {}
        }
        self.rest().await
    }

    fn call(&mut self, callers: usize, min_ttl: Duration) {
        for _ in 0..callers {
            let id = self.next_caller;
            self.next_caller += 1;
            let tokens = self.caches[usize::try_from(id).unwrap() % self.caches.len()].clone();
            let mut caller =
                Caller { id, future: Box::pin(async move { tokens.token_with(MinTtl::new(min_ttl)).await }) };
            self.script.log(Event::Called { caller: id, at: self.script.now(), min_ttl });
            match caller.future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
                Poll::Ready(result) => self.hand_out(id, result),
                Poll::Pending => {
                    self.script.log(Event::Waits { caller: id });
                    self.callers.push(caller);
                }
            }
        }
    }

    fn reject(&self, which: Which, times: usize) {
        let back = match which {
            Which::Newest => 1,
            Which::Older(by) => 1 + by,
        };
        let Some(token) = self.got.len().checked_sub(back).map(|place| &self.got[place]) else { return };
        for nth in 0..times {
            let cache = &self.caches[nth % self.caches.len()];
            let before = cache.stats().rejected;
            let renewable = cache.reject(token);
            let dropped = cache.stats().rejected > before;
            let (generation, at) = (token.generation(), self.script.now());
            self.script.log(Event::Rejected { generation, at, renewable, dropped });
        }
    }

    fn end_runtime(&mut self) {
        self.script.ending(true);
        drop(self.runtime.take());
        self.script.ending(false);
        let runtime = new_runtime();
        let now = self.start + self.now;
        runtime.block_on(async { advance(now - Instant::now()).await });
        self.script.log(Event::RuntimeEnded { at: self.now });
        self.runtime = Some(runtime);
    }

    async fn wait_until(&mut self, at: At) -> bool {
        let mut sleep = pin!(sleep_until(self.start + at));
        poll_fn(|cx| {
            self.poll_callers(cx);
            sleep.as_mut().poll(cx)
        })
        .await;
        self.rest().await
    }

    /// Until nothing moves any more without time going by.
    async fn rest(&mut self) -> bool {
        loop {
            let before = self.script.logged();
            for _ in 0..3 {
                yield_now().await;
            }
            poll_fn(|cx| {
                self.poll_callers(cx);
                Poll::Ready(())
            })
            .await;
            if self.script.logged() == before {
                return true;
            }
        }
    }

    fn poll_callers(&mut self, cx: &mut Context<'_>) {
        let mut place = 0;
        while place < self.callers.len() {
            match self.callers[place].future.as_mut().poll(cx) {
                Poll::Ready(result) => {
                    let caller = self.callers.remove(place);
                    self.hand_out(caller.id, result);
                }
                Poll::Pending => place += 1,
            }
        }
    }

    fn hand_out(&mut self, caller: u64, result: Result<Token, Error>) {
        self.script.log(Event::Got { caller, at: self.script.now(), outcome: Outcome::of(&result, self.start) });
        self.last = result.as_ref().ok().cloned();
        if let Ok(token) = result {
            let place = self.got.partition_point(|known| known.generation() < token.generation());
            if self.got.get(place).is_none_or(|known| known.generation() != token.generation()) {
                self.got.insert(place, token);
            }
        }
    }

    fn check(&mut self, check: impl FnOnce(&mut Oracle) -> Result<(), String>) {
        if let Err(objection) = check(&mut self.oracle) {
            self.object(&objection);
        }
    }

    fn object(&self, objection: &str) -> ! {
        let events: Vec<_> = self.story.iter().map(|event| format!("  {event:?}")).collect();
        panic_any(format!("{objection}\nat {:?} after\n{}", self.now, events.join("\n")))
    }
}

fn new_runtime() -> Runtime {
    Builder::new_current_thread().enable_time().start_paused(true).build().unwrap()
}

thread_local! {
    /// How many sequences and steps this thread, which is this test, has tried.
    pub(crate) static TRIED: Cell<(u64, u64)> = const { Cell::new((0, 0)) };
}
