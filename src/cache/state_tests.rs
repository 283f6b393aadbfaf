#[path = "state_tests/edges.rs"]
mod edges;
#[path = "state_tests/flight.rs"]
mod flight;
#[path = "state_tests/invalidation.rs"]
mod invalidation;
#[path = "state_tests/min_ttl.rs"]
mod min_ttl;
#[path = "state_tests/outage.rs"]
mod outage;
#[path = "state_tests/refusal.rs"]
mod refusal;

use std::time::Duration;

use super::*;

#[test]
fn the_first_caller_launches_and_the_next_one_joins() {
    let mut cache = Cache::new(0);
    let orders = cache.launch(0.0);
    assert_eq!(orders.not_before, cache.at(0.0));
    let Decision::Join(dead_at) = cache.decide(0.0) else { panic!("one flight at a time") };
    assert_eq!(dead_at, orders.dead_at);
    assert!(cache.depart(&orders, 0.0).rejected.is_none());
}

#[test]
fn each_zone_of_a_life_has_its_answer() {
    let mut cache = Cache::holding("a", 100);
    assert_eq!(cache.fresh(0.0), "a");
    assert_eq!(cache.fresh(77.9), "a");
    let Decision::Stale(grant, orders) = cache.decide(82.1) else { panic!("the refresh is due") };
    assert_eq!(grant.lease.token().secret(), "a");
    assert_eq!(cache.fresh(82.1), "a", "somebody is at it already");
    assert_eq!(cache.fresh(99.9), "a");
    assert!(matches!(cache.decide(100.0), Decision::Join(_)), "a token is over at its expiry, not after it");
    cache.land(orders.flight, Ok(token("b", 100)), 100.5);
    assert_eq!(cache.fresh(100.5), "b");
}

#[test]
fn the_refresh_begins_a_fifth_of_life_ahead_give_or_take_a_tenth_of_it() {
    let starts = |life, rules: Rules| {
        (0..300).map(move |seed| {
            let mut cache = Cache::with(rules, seed);
            cache.mint("a", life, 0.0);
            let refresh_at = cache.state.current.as_ref().unwrap().refresh_at();
            (refresh_at - cache.at(0.0)).as_secs_f64()
        })
    };
    let spread = |starts: Vec<f64>, low: f64, high: f64| {
        let least = starts.iter().copied().fold(f64::INFINITY, f64::min);
        let most = starts.iter().copied().fold(0.0, f64::max);
        let edge = (high - low) / 10.0;
        assert!(low <= least && least < low + edge, "{least} not just above {low}");
        assert!(high - edge < most && most <= high, "{most} not just below {high}");
    };
    spread(starts(100, Rules::default()).collect(), 78.0, 82.0);
    spread(starts(3600, Rules::default()).collect(), 3270.0, 3330.0);
    let explicit = Rules { refresh_before: Some(secs(60)), ..Rules::default() };
    spread(starts(1000, explicit).collect(), 934.0, 946.0);
    spread(starts(30, explicit).collect(), 13.5, 16.5);
}

#[test]
fn a_grant_is_looked_at_again_when_the_next_decision_is_due() {
    let mut cache = Cache::holding("a", 100);
    let refresh_at = cache.state.current.as_ref().unwrap().refresh_at();
    assert_eq!(cache.state.peek(cache.at(1.0), Duration::ZERO).unwrap().recheck_at, refresh_at);
    assert!(cache.state.peek(cache.at(90.0), Duration::ZERO).is_none());
    let Decision::Stale(_, orders) = cache.decide(90.0) else { panic!("the refresh is due") };
    assert_eq!(cache.state.peek(cache.at(90.0), Duration::ZERO).unwrap().recheck_at, cache.at(100.0));
    cache.land(orders.flight, Err(Error::transient("x").with_retry_after(secs(5))), 90.0);
    assert_eq!(cache.state.peek(cache.at(90.0), Duration::ZERO).unwrap().recheck_at, cache.at(95.0));
}

#[test]
fn two_requests_are_a_minimum_apart_whatever_is_answered() {
    let mut cache = Cache::new(0);
    cache.mint("a", 0, 0.0);
    let second = cache.launch(0.1);
    assert_eq!(second.not_before, cache.at(1.0), "after a token that lived for nothing");
    cache.land(second.flight, Ok(token("b", 100)), 1.0);
    assert_eq!(cache.reject(1.2), RejectionOutcome::Dropped);
    let third = cache.launch(1.2);
    assert_eq!(third.not_before, cache.at(2.0), "after a 401");
    let error = cache.failed(third.flight, Error::transient("x"), 2.0);
    assert!(error.retry_at().unwrap() >= cache.at(3.0), "after a failure");
    let at = (error.retry_at().unwrap() - cache.at(0.0)).as_secs_f64();
    assert_eq!(cache.launch(at).not_before, error.retry_at().unwrap());
}

#[test]
fn a_retry_after_is_honoured_and_capped() {
    let asked = |seconds, error: fn(&'static str) -> Error| {
        let mut cache = Cache::new(0);
        cache.fail_at(0.0, error("x").with_retry_after(secs(seconds)))
    };
    assert_eq!(asked(100, Error::transient), 100.0);
    assert_eq!(asked(100_000, Error::transient), 3600.0);
    assert_eq!(asked(u64::MAX, Error::transient), 3600.0);
    assert_eq!(asked(300, Error::permanent), 300.0);
    assert_eq!(asked(1, Error::permanent), 60.0, "the longer one counts");
}

#[test]
fn a_permanent_failure_cools_down_from_a_minute_to_a_quarter_of_an_hour() {
    let mut cache = Cache::new(0);
    let mut now = 0.0;
    for pause in [60.0, 120.0, 240.0, 480.0, 900.0, 900.0] {
        let until = cache.fail_at(now, Error::permanent("x"));
        assert_eq!(until - now, pause);
        let Decision::Fail(error) = cache.decide(until - 0.001) else { panic!("it is cooling") };
        assert_eq!(error.retry_at(), Some(cache.at(until)));
        now = until;
    }
    cache.mint("a", 1, now);
    assert_eq!(cache.fail_at(now + 2.0, Error::permanent("x")), now + 62.0, "a token starts the count anew");
    let transient = cache.fail_at(now + 62.0, Error::transient("x"));
    assert!(transient <= now + 64.0, "each kind has its own count");
}

#[test]
fn a_failed_refresh_keeps_the_token_to_its_last_moment() {
    let mut cache = Cache::holding("a", 100);
    let Decision::Stale(_, orders) = cache.decide(90.0) else { panic!("the refresh is due") };
    cache.failed(orders.flight, Error::permanent("x"), 90.5);
    assert_eq!(cache.fresh(99.9), "a");
    assert!(matches!(cache.decide(100.0), Decision::Fail(_)));
    assert!(matches!(cache.decide(150.5), Decision::Launch(_)));
}

#[test]
fn every_lifetime_is_survived() {
    let mut cache = Cache::new(0);
    let orders = cache.launch(0.0);
    let landing = cache.land(orders.flight, Ok(token("zero", 0)), 0.0);
    let Landing::Token(grant) = landing else { panic!("it serves those who wait") };
    assert_eq!(grant.lease.token().secret(), "zero");
    let orders = cache.launch(1.0);
    let unknown = Token::new("unknown").unwrap();
    cache.land(orders.flight, Ok(unknown), 1.0);
    assert_eq!(cache.fresh(230.0), "unknown");
    assert!(matches!(cache.decide(301.0), Decision::Launch(_)), "300 s unless it says otherwise");

    let mut cache = Cache::new(0);
    cache.mint("for-ever", u64::MAX, 0.0);
    let month = 30.0 * 24.0 * 3600.0;
    assert_eq!(cache.fresh(month - 400.0), "for-ever");
    assert!(matches!(cache.decide(month), Decision::Launch(_)));
}

struct Cache {
    state: State,
    start: Instant,
}

impl Cache {
    fn new(seed: u64) -> Self {
        Self::with(Rules::default(), seed)
    }

    fn with(rules: Rules, seed: u64) -> Self {
        Self { state: State::new(rules, Some(seed)), start: Instant::now() }
    }

    fn holding(secret: &str, life: u64) -> Self {
        let mut cache = Self::new(0);
        cache.mint(secret, life, 0.0);
        cache
    }

    fn at(&self, seconds: f64) -> Instant {
        self.start + Duration::from_secs_f64(seconds)
    }

    fn decide(&mut self, seconds: f64) -> Decision {
        let now = self.at(seconds);
        self.state.decide(now, Duration::ZERO)
    }

    fn launch(&mut self, seconds: f64) -> Launch {
        match self.decide(seconds) {
            Decision::Launch(orders) => orders,
            other => panic!("no launch at {seconds}: {other:?}"),
        }
    }

    fn depart(&mut self, orders: &Launch, seconds: f64) -> Departure {
        let now = self.at(seconds);
        self.state.depart(orders.flight, now).unwrap()
    }

    fn fresh(&mut self, seconds: f64) -> String {
        match self.decide(seconds) {
            Decision::Fresh(grant) => grant.lease.token().secret().to_owned(),
            other => panic!("not fresh at {seconds}: {other:?}"),
        }
    }

    fn mint(&mut self, secret: &str, life: u64, seconds: f64) {
        let orders = self.launch(seconds);
        self.land(orders.flight, Ok(token(secret, life)), seconds);
    }

    fn land(&mut self, flight: u64, result: Result<Token, Error>, seconds: f64) -> Landing {
        let now = self.at(seconds);
        self.state.land(flight, result.map(|token| token.issued_at(now)), now, &nobody())
    }

    fn failed(&mut self, flight: u64, error: Error, seconds: f64) -> Error {
        match self.land(flight, Err(error), seconds) {
            Landing::Failed(error) => error,
            other => panic!("{other:?}"),
        }
    }

    /// Until when it cools down.
    fn fail_at(&mut self, seconds: f64, error: Error) -> f64 {
        let orders = self.launch(seconds);
        let until = self.failed(orders.flight, error, seconds).retry_at().unwrap();
        (until - self.start).as_secs_f64()
    }

    fn token(&self) -> Token {
        self.state.current.as_ref().unwrap().token().clone()
    }

    fn reject(&mut self, seconds: f64) -> RejectionOutcome {
        let (token, now) = (self.token(), self.at(seconds));
        self.state.reject(token.generation(), now).outcome
    }
}

fn token(secret: &str, life: u64) -> Token {
    Token::new(secret).unwrap().with_lifetime(secs(life))
}

const fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// For leases that nobody refuses.
fn nobody() -> Weak<dyn Refuse> {
    Weak::<crate::cache::Shared>::new()
}
