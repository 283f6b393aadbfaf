//! What callers, the source, the clock and the runtime do: which sequences there are.

use std::{cell::OnceCell, time::Duration};

use proptest::{prelude::*, strategy::Union};
use proptest_state_machine::ReferenceStateMachine;
use tower_oauth2::{TokenCache, cache::Builder};

use crate::script::{Answer, Behavior, Life};

/// One step. Numbers are taken modulo what there is, so that a sequence from which others are taken still makes sense.
#[derive(Clone, Debug)]
pub(crate) enum Transition {
    /// So many callers begin to wait; `rest` lets the tasks of the runtime run before the next step.
    Call {
        callers: usize,
        min_ttl: Duration,
        rest: bool,
    },
    Cancel {
        nth: usize,
    },
    CancelAll,
    /// Timer by timer.
    Advance {
        by: Duration,
    },
    /// To a moment at which something changes, or a millisecond beside it.
    AdvanceTo {
        edge: Edge,
        beside: i8,
    },
    /// All at once, as for a process that was stopped: the next step comes before any task has run.
    Sleep {
        by: Duration,
    },
    Source(Behavior),
    /// The token requests under way that hang get an answer.
    Answer {
        answer: Answer,
        rest: bool,
    },
    Reject {
        which: Which,
        times: usize,
    },
    /// Somebody calls, uses what there is, and is refused.
    UseAndReject,
    Invalidate,
    EndRuntime,
    CloneCache,
    DropCache,
    Stats,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Which {
    /// The newest token that any caller has got.
    Newest,
    /// The `n`-th before it.
    Older(usize),
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Edge {
    Expiry,
    /// From when on a token does not do for those who want one that lives for ever.
    HalfLife,
    RefreshBegins,
    RefreshDue,
    CoolDownEnds,
    MinInterval,
    FlapInterval,
    FetchTimeout,
    Dead,
}

/// The limits of the cache.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) seed: u64,
    pub(crate) refresh_before: Option<Duration>,
    pub(crate) default_lifetime: Duration,
    pub(crate) min_interval: Duration,
    pub(crate) fetch_timeout: Duration,
    pub(crate) flap_interval: Duration,
    pub(crate) max_retry_after: Duration,
}

/// As much as decides which steps are possible.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) limits: Limits,
    called: bool,
    caches: usize,
}

// === impl Limits ===

impl Limits {
    pub(crate) fn apply(&self, builder: Builder) -> TokenCache {
        let builder = match self.refresh_before {
            Some(before) => builder.refresh_before(before),
            None => builder,
        };
        builder
            .seed(self.seed)
            .default_lifetime(self.default_lifetime)
            .min_interval(self.min_interval)
            .fetch_timeout(self.fetch_timeout)
            .flap_interval(self.flap_interval)
            .max_retry_after(self.max_retry_after)
            .build()
    }
}

// === impl Plan ===

impl ReferenceStateMachine for Plan {
    type State = Self;
    type Transition = Transition;

    fn init_state() -> BoxedStrategy<Self> {
        let of = |choices: &'static [u64]| prop::sample::select(choices).prop_map(Duration::from_millis);
        let before = prop_oneof![3 => Just(None), 1 => of(&[10_000, 300_000]).prop_map(Some)];
        // Twice the timeout is more than any interval.
        let times = (of(&[1_000, 100, 5_000]), of(&[30_000, 3_000]), of(&[10_000, 1_000]));
        (any::<u64>(), before, of(&[300_000, 5_000]), times, of(&[3_600_000, 20_000]))
            .prop_map(|(seed, refresh_before, default_lifetime, times, max_retry_after)| {
                let (min_interval, fetch_timeout, flap_interval) = times;
                let limits = Limits {
                    seed,
                    refresh_before,
                    default_lifetime,
                    min_interval,
                    fetch_timeout,
                    flap_interval,
                    max_retry_after,
                };
                Self::new(limits)
            })
            .boxed()
    }

    fn transitions(plan: &Self) -> BoxedStrategy<Transition> {
        thread_local! {
            static STEPS: [OnceCell<BoxedStrategy<Transition>>; 4] = const { [const { OnceCell::new() }; 4] };
        }
        let (called, spare) = (plan.called, plan.caches > 1);
        STEPS.with(|steps| {
            steps[usize::from(called) * 2 + usize::from(spare)].get_or_init(|| Self::steps(called, spare)).clone()
        })
    }

    fn preconditions(plan: &Self, transition: &Transition) -> bool {
        use Transition::{Answer, Cancel, CancelAll, DropCache, Reject, UseAndReject};
        match transition {
            Cancel { .. } | CancelAll | Answer { .. } | Reject { .. } | UseAndReject => plan.called,
            DropCache => plan.caches > 1,
            _ => true,
        }
    }

    fn apply(mut plan: Self, transition: &Transition) -> Self {
        match transition {
            Transition::Call { .. } => plan.called = true,
            Transition::CloneCache => plan.caches += 1,
            Transition::DropCache => plan.caches -= 1,
            _ => {}
        }
        plan
    }
}

impl Plan {
    pub(crate) fn new(limits: Limits) -> Self {
        Self { limits, called: false, caches: 1 }
    }

    fn steps(called: bool, spare: bool) -> BoxedStrategy<Transition> {
        let rest = || prop::bool::weighted(0.8);
        let call = || {
            let count = prop_oneof![6 => Just(1), 2 => 2..4_usize, 1 => Just(12)];
            let demand = prop::sample::select(&[1_000_000, 1, 10, 120, 3_000, 1_000_000, 1_000_000][..]);
            let min_ttl = prop_oneof![3 => Just(0), 1 => demand];
            (count, min_ttl.prop_map(Duration::from_secs), rest())
                .prop_map(|(callers, min_ttl, rest)| Transition::Call { callers, min_ttl, rest })
        };
        let mut steps = vec![
            (20, call().boxed()),
            (12, time().prop_map(|by| Transition::Advance { by }).boxed()),
            (12, (edge(), -1..=1_i8).prop_map(|(edge, beside)| Transition::AdvanceTo { edge, beside }).boxed()),
            (4, time().prop_map(|by| Transition::Sleep { by }).boxed()),
            (12, behavior().prop_map(Transition::Source).boxed()),
            (2, Just(Transition::EndRuntime).boxed()),
            (1, Just(Transition::CloneCache).boxed()),
            (1, Just(Transition::Stats).boxed()),
            (2, Just(Transition::Invalidate).boxed()),
        ];
        if called {
            let times = prop_oneof![4 => Just(1), 1 => 2..8_usize];
            let which = prop_oneof![3 => Just(Which::Newest), 1 => (1..4_usize).prop_map(Which::Older)];
            steps.extend([
                (3, any::<u8>().prop_map(|nth| Transition::Cancel { nth: nth.into() }).boxed()),
                (2, Just(Transition::CancelAll).boxed()),
                (12, (answer(), rest()).prop_map(|(answer, rest)| Transition::Answer { answer, rest }).boxed()),
                (7, Just(Transition::UseAndReject).boxed()),
                (12, (which, times).prop_map(|(which, times)| Transition::Reject { which, times }).boxed()),
            ]);
        }
        if spare {
            steps.push((1, Just(Transition::DropCache).boxed()));
        }
        Union::new_weighted(steps).boxed()
    }
}

fn time() -> BoxedStrategy<Duration> {
    let within = |from: u64, to: u64| (from..=to).prop_map(Duration::from_millis);
    let seconds = |from: u64, to: u64| (from..=to).prop_map(Duration::from_secs);
    Union::new_weighted(vec![
        (3, within(0, 50).boxed()),
        (4, within(90, 1_100).boxed()),
        (4, within(1_000, 12_000).boxed()),
        (3, seconds(20, 70).boxed()),
        (3, seconds(60, 330).boxed()),
        (2, seconds(600, 4_000).boxed()),
        (1, seconds(3_600, 40 * 24 * 3_600).boxed()),
    ])
    .boxed()
}

fn edge() -> BoxedStrategy<Edge> {
    use Edge::{
        CoolDownEnds, Dead, Expiry, FetchTimeout, FlapInterval, HalfLife, MinInterval, RefreshBegins, RefreshDue,
    };
    prop::sample::select(
        // Those that lead on come more often.
        &[
            Expiry,
            HalfLife,
            HalfLife,
            RefreshBegins,
            RefreshDue,
            RefreshDue,
            CoolDownEnds,
            CoolDownEnds,
            CoolDownEnds,
            MinInterval,
            FlapInterval,
            FetchTimeout,
            Dead,
        ][..],
    )
    .boxed()
}

fn life() -> BoxedStrategy<Life> {
    let of = |millis: u64| Just(Life::Of(Duration::from_millis(millis))).boxed();
    Union::new_weighted(vec![
        (6, of(3_600_000)),
        (3, of(600_000)),
        (3, of(60_000)),
        (2, of(5_000)),
        (2, of(1_000)),
        (2, of(50)),
        (2, of(0)),
        (1, Just(Life::Unknown).boxed()),
        (1, Just(Life::Of(Duration::MAX)).boxed()),
        (1, (0..100_u64).prop_map(|rest| Life::Rest(Duration::from_secs(rest))).boxed()),
    ])
    .boxed()
}

fn answer() -> BoxedStrategy<Answer> {
    let after = || prop::sample::select(&[0, 3, 30, 100_000][..]).prop_map(Duration::from_secs);
    Union::new_weighted(vec![
        (10, life().prop_map(Answer::Mint).boxed()),
        (3, Just(Answer::Same).boxed()),
        (3, Just(Answer::Transient).boxed()),
        (2, Just(Answer::Permanent).boxed()),
        (2, after().prop_map(Answer::RetryAfter).boxed()),
        (1, after().prop_map(Answer::PermanentRetryAfter).boxed()),
        (1, Just(Answer::Panic).boxed()),
    ])
    .boxed()
}

fn behavior() -> BoxedStrategy<Behavior> {
    Union::new_weighted(vec![
        (5, Just(Behavior::Wait).boxed()),
        (6, answer().prop_map(Behavior::Now).boxed()),
        (3, (time(), answer()).prop_map(|(after, answer)| Behavior::Late(after, answer)).boxed()),
        (1, Just(Behavior::PanicInCall).boxed()),
    ])
    .boxed()
}
