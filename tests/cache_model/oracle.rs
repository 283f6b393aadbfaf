//! What the rules say: hears what happened, in order, and objects.
//!
//! It knows nothing of how the cache works. Where the rules leave room (jitter, or who comes first when a token request
//! is past twice its timeout) it allows what is in the room, and learns from what it sees which it was.

mod callers;
mod source;

use std::{
    collections::{BTreeMap, HashSet},
    time::Duration,
};

use tower_oauth2::cache::Stats;

use crate::{
    event::{At, Event, Fault, Reply},
    plan::{Edge, Limits},
};

pub(crate) struct Oracle {
    limits: Limits,
    tokens: Vec<Known>,
    /// What the cache holds: valid, or the last that was.
    held: Option<usize>,
    /// It was refused while the source was not to be asked: it serves until that may be asked again.
    makeshift: bool,
    /// What a resource server refused last, or was invalidated.
    refused: Option<usize>,
    dropped: HashSet<usize>,
    asked_at: Option<At>,
    under_way: Vec<Ask>,
    last_ask: u64,
    /// The last request that ended has failed.
    failing: bool,
    /// Or one that had been given up for dead, of which it is open whether it counts.
    perhaps_failing: bool,
    /// Somebody has reason to ask.
    launch: Option<Launch>,
    /// One, unless it is open which failure counts.
    cooling: Vec<Cooling>,
    /// Whether it is cooling down until then for sure.
    sure: bool,
    transient: Failures,
    permanent: Failures,
    forced_at: Option<At>,
    /// Later than `forced_at`: a refusal of which it is open whether it forced a token request.
    perhaps_forced_at: Option<At>,
    waiting: BTreeMap<u64, Waiting>,
    called: Option<Call>,
    /// What came of requests that had been past twice their timeout, and when.
    late: Vec<(At, Owed)>,
    counts: Counts,
    /// Failures past twice the timeout: superseded, if somebody had taken over by then.
    late_failures: u64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Counts {
    requests: u64,
    minted: u64,
    failed: u64,
    superseded: u64,
    rejected: u64,
    invalidated: u64,
    waited: u64,
}

#[derive(Clone, Copy)]
struct Call {
    at: At,
    min_ttl: Duration,
}

/// A token that was published.
struct Known {
    /// Known once somebody got it.
    generation: Option<u64>,
    secret: String,
    sent: At,
    landed: At,
    lifetime: Duration,
    expires: At,
}

struct Ask {
    ask: u64,
    at: At,
    told: Option<usize>,
    /// It left before all was invalidated.
    void: bool,
}

struct Launch {
    at: At,
    /// By then somebody has asked for sure, unless the interval forbids it.
    must: Option<At>,
}

#[derive(Clone)]
struct Cooling {
    fault: Fault,
    transient: bool,
    landed: At,
    /// It ends in between: jitter.
    ends: (At, At),
}

/// In a row; the least and the most.
#[derive(Clone, Copy, Default)]
struct Failures(u32, u32);

#[derive(Clone, Default)]
struct Waiting {
    min_ttl: Duration,
    /// The flight that it waited for was lost: it decided anew.
    lost: u32,
    /// Which flight it waits for is open: the one that is past twice its timeout, or one that took over.
    adrift: bool,
    owed: Option<Owed>,
}

#[derive(Clone)]
enum Owed {
    Token(usize),
    Failed(Cooling),
}

type Verdict = Result<(), String>;

// === impl Oracle ===

impl Oracle {
    pub(crate) fn new(limits: Limits) -> Self {
        Self {
            limits,
            tokens: Vec::new(),
            held: None,
            makeshift: false,
            refused: None,
            dropped: HashSet::new(),
            asked_at: None,
            under_way: Vec::new(),
            last_ask: 0,
            failing: false,
            perhaps_failing: false,
            launch: None,
            cooling: Vec::new(),
            sure: true,
            transient: Failures::default(),
            permanent: Failures::default(),
            forced_at: None,
            perhaps_forced_at: None,
            waiting: BTreeMap::new(),
            called: None,
            late: Vec::new(),
            counts: Counts::default(),
            late_failures: 0,
        }
    }

    pub(crate) fn hear(&mut self, event: &Event) -> Verdict {
        if self.called.is_some() && !matches!(event, Event::Got { .. } | Event::Waits { .. }) {
            return Err("something happened within a poll".into());
        }
        match event {
            Event::Asked { ask, at, told } => self.asked(*ask, *at, *told),
            Event::Answered { ask, at, reply } => self.landed(*ask, *at, reply),
            Event::GivenUp { ask, at } => {
                let asked = self.under_way.iter().find(|known| known.ask == *ask).map(|known| known.at);
                if asked.is_none_or(|asked| *at < asked + self.limits.fetch_timeout) {
                    return Err(format!("request {ask} was given up before its time"));
                }
                self.landed(*ask, *at, &Reply::TIMEOUT)
            }
            Event::Called { at, min_ttl, .. } => {
                self.called = Some(Call { at: *at, min_ttl: *min_ttl });
                self.note_dead(*at);
                Ok(())
            }
            Event::Waits { caller } => self.waits(*caller),
            Event::Got { caller, at, outcome } => self.got(*caller, *at, outcome),
            Event::Cancelled { caller } => {
                self.waiting.remove(caller);
                Ok(())
            }
            Event::Rejected { generation, at, renewable, dropped } => {
                self.reject(*generation, *at, *renewable, *dropped)
            }
            Event::Invalidated => {
                self.invalidate();
                Ok(())
            }
            Event::RuntimeEnded { at } => {
                self.under_way.clear();
                self.launch = None;
                self.waiting.values_mut().for_each(|waiting| waiting.adrift = false);
                self.lose_flight(*at);
                Ok(())
            }
            Event::Slept { at } => {
                self.note_dead(*at);
                Ok(())
            }
        }
    }

    /// Nothing runs any more, and will not before time goes by.
    pub(crate) fn at_rest(&mut self, now: At, stats: Stats, tasks: usize) -> Verdict {
        if let Some((caller, _)) = self.waiting.iter().find(|(_, waiting)| waiting.owed.is_some()) {
            return Err(format!("caller {caller} waited for a request that is over, and got nothing"));
        }
        let interval = self.asked_at.map(|at| at + self.limits.min_interval);
        let due = |at: At| interval.map_or(at, |interval| interval.max(at)) + TICK <= now;
        if self.launch.as_ref().is_some_and(|launch| launch.must.is_some_and(due)) {
            return Err("somebody had to ask the source, and nobody has".into());
        }
        if self.launch.as_ref().is_some_and(|launch| launch.must.is_none() && due(launch.at)) {
            self.launch = None;
        }
        if !self.waiting.is_empty() && self.under_way.is_empty() && self.launch.is_none() {
            return Err("callers wait for nothing".into());
        }
        let idle = self.under_way.is_empty() && self.launch.is_none();
        if tasks > usize::from(!idle) {
            return Err(format!("{tasks} tasks"));
        }
        self.check_stats(stats)
    }

    pub(crate) fn check_stats(&self, stats: Stats) -> Verdict {
        let seen = Counts {
            requests: stats.requests,
            minted: stats.minted,
            failed: stats.failed,
            superseded: stats.superseded,
            rejected: stats.rejected,
            invalidated: stats.invalidated,
            waited: stats.waited,
        };
        let over = seen.superseded.saturating_sub(self.counts.superseded);
        let failed = seen.failed + over;
        let equal = Counts { failed, superseded: seen.superseded - over, ..seen } == self.counts;
        if equal && over <= self.late_failures { Ok(()) } else { Err(format!("{seen:?} should be {:?}", self.counts)) }
    }

    pub(crate) fn idle(&mut self) -> Verdict {
        if self.waiting.is_empty() { Ok(()) } else { Err("somebody hangs for ever".into()) }
    }

    pub(crate) fn edge(&self, edge: Edge) -> Option<At> {
        let held = self.held.map(|held| &self.tokens[held]);
        let limits = &self.limits;
        match edge {
            Edge::Expiry => held.map(|token| token.expires),
            Edge::HalfLife => held.map(|token| token.expires - token.expires.saturating_sub(token.landed) / 2),
            Edge::RefreshBegins => held.map(|token| self.refresh(token).0),
            Edge::RefreshDue => held.map(|token| self.refresh(token).1),
            Edge::CoolDownEnds => self.cooling.first().map(|cooling| cooling.ends.1),
            Edge::MinInterval => self.asked_at.map(|at| at + limits.min_interval),
            Edge::FlapInterval => self.forced_at.map(|at| at + limits.flap_interval),
            Edge::FetchTimeout => self.under_way.first().map(|ask| ask.at + limits.fetch_timeout),
            Edge::Dead => self.under_way.first().map(|ask| ask.at + limits.fetch_timeout * 2),
        }
    }

    fn forget_failures(&mut self) {
        self.failing = false;
        self.perhaps_failing = false;
        self.cooling.clear();
        self.sure = true;
        (self.transient, self.permanent) = <_>::default();
    }

    fn is_dead(&self, ask: &Ask, now: At) -> bool {
        now >= ask.at + self.limits.fetch_timeout * 2
    }

    fn valid(&self, now: At) -> Option<usize> {
        self.held.filter(|held| now < self.tokens[*held].expires)
    }

    /// The token for callers with that demand; if it is makeshift, as long as the source is not to be asked.
    fn serving(&self, now: At, min_ttl: Duration) -> Option<usize> {
        let lives_on = |held: &usize| {
            let token = &self.tokens[*held];
            // Half of what it had to live when it came will do.
            min_ttl.is_zero() || token.expires - now >= min_ttl.min((token.expires - token.landed) / 2)
        };
        self.valid(now).filter(lives_on).filter(|_| !self.makeshift || self.cools_perhaps(now))
    }

    fn cools_surely(&self, now: At) -> bool {
        self.sure && self.cools_perhaps(now) && self.cooling.iter().all(|cooling| now < cooling.ends.0)
    }

    fn cools_perhaps(&self, now: At) -> bool {
        self.cooling.iter().any(|cooling| now < cooling.ends.1)
    }

    /// When a token may be replaced ahead of its expiry, and when it is.
    fn refresh(&self, token: &Known) -> (At, At) {
        let margin = match self.limits.refresh_before {
            Some(before) => before.min(token.lifetime / 2),
            None => (token.lifetime / 5).min(Duration::from_secs(5 * 60)),
        };
        let before = |share: f64| token.expires - margin.mul_f64(share);
        (before(1.1), before(0.9) + Duration::from_nanos(1))
    }
}

/// Timers count in milliseconds from when their runtime began.
const TICK: Duration = Duration::from_millis(2);
