use std::time::Duration;

use super::*;

#[test]
fn the_first_caller_launches_and_the_next_one_joins() {
    let mut cache = Cache::new(0);
    let orders = cache.launch(0.0);
    assert_eq!(orders.not_before, cache.at(0.0));
    assert!(orders.rejected.is_none());
    let Decision::Join(dead_at) = cache.decide(0.0) else { panic!("one flight at a time") };
    assert_eq!(dead_at, orders.dead_at);
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
    assert_eq!(cache.state.peek(cache.at(1.0)).unwrap().recheck_at, refresh_at);
    assert!(cache.state.peek(cache.at(90.0)).is_none());
    let Decision::Stale(_, orders) = cache.decide(90.0) else { panic!("the refresh is due") };
    assert_eq!(cache.state.peek(cache.at(90.0)).unwrap().recheck_at, cache.at(100.0));
    cache.land(orders.flight, Err(Error::transient("x").with_retry_after(secs(5))), 90.0);
    assert_eq!(cache.state.peek(cache.at(90.0)).unwrap().recheck_at, cache.at(95.0));
}

#[test]
fn two_requests_are_a_minimum_apart_whatever_is_answered() {
    let mut cache = Cache::new(0);
    cache.mint("a", 0, 0.0);
    let second = cache.launch(0.1);
    assert_eq!(second.not_before, cache.at(1.0), "after a token that lived for nothing");
    cache.land(second.flight, Ok(token("b", 100)), 1.0);
    assert_eq!(cache.reject(1.2), Rejection::Dropped);
    let third = cache.launch(1.2);
    assert_eq!(third.not_before, cache.at(2.0), "after a 401");
    let error = cache.failed(third.flight, Error::transient("x"), 2.0);
    assert!(error.retry_at().unwrap() >= cache.at(3.0), "after a failure");
    let at = (error.retry_at().unwrap() - cache.at(0.0)).as_secs_f64();
    assert_eq!(cache.launch(at).not_before, error.retry_at().unwrap());
}

#[test]
fn a_transient_failure_cools_down_at_random_up_to_a_doubling_limit() {
    for (failures, limit) in [(1, 1.0), (2, 2.0), (3, 4.0), (4, 8.0), (5, 16.0), (6, 30.0), (40, 30.0)] {
        let rules = Rules { min_interval: Duration::ZERO, ..Rules::default() };
        let pauses: Vec<f64> = (0..300)
            .map(|seed| {
                let mut cache = Cache::with(rules, seed);
                let mut now = 0.0;
                for _ in 1..failures {
                    now = cache.fail_at(now, Error::transient("x"));
                }
                cache.fail_at(now, Error::transient("x")) - now
            })
            .collect();
        assert!(pauses.iter().all(|pause| *pause <= limit + 1e-6), "failure {failures}");
        assert!(pauses.iter().any(|pause| *pause > limit * 0.9), "failure {failures} does not reach its limit");
        assert!(pauses.iter().any(|pause| *pause < limit * 0.1), "failure {failures} has no full jitter");
    }
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
    assert!(transient <= now + 63.0, "each kind has its own count");
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
fn a_refusal_is_compare_and_swap() {
    let mut cache = Cache::holding("a", 100);
    let old = cache.token();
    assert_eq!(cache.reject(20.0), Rejection::Dropped);
    assert_eq!(cache.state.reject(&old, cache.at(20.0)), Rejection::Superseded, "a new one is about to be had");
    let orders = cache.launch(20.0);
    assert_eq!(orders.rejected.as_ref().map(Token::generation), Some(old.generation()));
    cache.land(orders.flight, Ok(token("b", 100)), 21.0);
    assert_eq!(cache.state.reject(&old, cache.at(50.0)), Rejection::Superseded);
    assert_eq!(cache.fresh(50.0), "b", "a late refusal of the old one leaves the new one alone");
    let foreign = token("b", 100);
    assert_eq!(cache.state.reject(&foreign, cache.at(50.0)), Rejection::Superseded, "one that is not ours");
    assert_eq!(cache.fresh(50.0), "b");
}

#[test]
fn a_token_that_is_refused_again_at_once_stays_for_ten_seconds() {
    let mut cache = Cache::holding("a", 1000);
    assert_eq!(cache.reject(20.0), Rejection::Dropped);
    cache.mint("b", 1000, 20.5);
    assert_eq!(cache.reject(21.0), Rejection::Kept);
    assert_eq!(cache.reject(29.999), Rejection::Kept);
    assert_eq!(cache.fresh(29.999), "b");
    assert_eq!(cache.reject(30.0), Rejection::Dropped);
}

#[test]
fn a_refused_token_stays_while_the_issuer_is_failing() {
    let mut cache = Cache::holding("a", 100);
    let old = cache.token();
    let Decision::Stale(_, orders) = cache.decide(90.0) else { panic!("the refresh is due") };
    let until = cache.failed(orders.flight, Error::permanent("x"), 90.0).retry_at().unwrap();
    assert_eq!(cache.reject(91.0), Rejection::Kept);
    assert_eq!(cache.fresh(91.0), "a");
    assert_eq!(cache.state.reject(&old, until), Rejection::Dropped);
    let orders = cache.launch(150.0);
    cache.failed(orders.flight, Error::permanent("x"), 150.0);
    assert_eq!(cache.state.reject(&old, cache.at(151.0)), Rejection::Kept, "no replay can carry another one");
}

#[test]
fn a_token_refused_while_under_way_does_not_come_back() {
    let mut cache = Cache::holding("a", 100);
    let Decision::Stale(_, unaware) = cache.decide(90.0) else { panic!("the refresh is due") };
    assert_eq!(cache.reject(90.1), Rejection::Dropped);
    assert!(matches!(cache.land(unaware.flight, Ok(token("a", 100)), 90.2), Landing::Superseded));
    let aware = cache.launch(90.2);
    let landing = cache.land(aware.flight, Ok(token("a", 100)), 91.0);
    assert!(matches!(landing, Landing::Token(_)), "minted again on purpose: the issuer knew");
    assert_eq!(cache.fresh(91.0), "a");
    assert_eq!(cache.token().generation(), cache.state.rejected.as_ref().unwrap().generation() + 1);
}

#[test]
fn another_token_under_way_is_welcome_after_a_refusal() {
    let mut cache = Cache::holding("a", 100);
    let Decision::Stale(_, orders) = cache.decide(90.0) else { panic!("the refresh is due") };
    assert_eq!(cache.reject(90.1), Rejection::Dropped);
    assert!(matches!(cache.decide(90.1), Decision::Join(_)), "the flight under way will do");
    cache.land(orders.flight, Ok(token("b", 100)), 90.2);
    assert_eq!(cache.fresh(90.2), "b");
}

#[test]
fn a_flight_that_nobody_drives_is_taken_over() {
    let mut cache = Cache::new(0);
    let dead = cache.launch(0.0);
    assert_eq!(dead.dead_at, cache.at(60.0), "twice the time that the source has");
    assert!(matches!(cache.decide(59.9), Decision::Join(_)));
    let next = cache.launch(60.0);
    assert_ne!(dead.flight, next.flight);
    cache.failed(dead.flight, Error::permanent("late"), 60.1);
    assert!(matches!(cache.decide(60.1), Decision::Join(_)), "a late failure says nothing about the next flight");
    cache.land(dead.flight, Ok(token("late", 100)), 60.2);
    assert_eq!(cache.fresh(60.2), "late", "a late token is a token");
    cache.land(next.flight, Ok(token("next", 100)), 61.0);
    assert_eq!(cache.fresh(61.0), "next");
}

#[test]
fn a_late_token_does_not_replace_a_newer_one() {
    let mut cache = Cache::new(0);
    let dead = cache.launch(0.0);
    assert!(cache.state.depart(dead.flight, cache.at(0.0)));
    cache.mint("newer", 100, 60.0);
    let (late, now) = (token("late", 100).issued_at(cache.at(0.0)), cache.at(60.1));
    assert!(matches!(cache.state.land(dead.flight, Ok(late), now, &Weak::new()), Landing::Superseded));
    assert_eq!(cache.fresh(60.1), "newer");
}

#[test]
fn a_flight_departs_once_it_is_driven_unless_it_was_given_up() {
    let mut cache = Cache::new(0);
    let slow = cache.launch(0.0);
    assert!(cache.state.depart(slow.flight, cache.at(100.0)), "late, and nobody has missed it");
    let Decision::Join(dead_at) = cache.decide(100.0) else { panic!("one flight at a time") };
    assert_eq!(dead_at, cache.at(160.0));
    let next = cache.launch(160.0);
    assert!(!cache.state.depart(slow.flight, cache.at(160.0)));
    assert!(cache.state.depart(next.flight, cache.at(160.0)));
}

#[test]
fn a_flight_that_never_departed_does_not_put_off_the_next_one() {
    let mut cache = Cache::new(0);
    for _ in 0..100 {
        let orders = cache.launch(5.0);
        assert_eq!(orders.not_before, cache.at(5.0));
        cache.state.abandon(orders.flight);
    }
    let orders = cache.launch(5.0);
    assert!(cache.state.depart(orders.flight, cache.at(5.5)));
    cache.state.abandon(orders.flight);
    assert_eq!(cache.launch(5.5).not_before, cache.at(6.5), "counted from when it left");
}

#[test]
fn an_abandoned_flight_is_followed_by_another() {
    let mut cache = Cache::new(0);
    let first = cache.launch(0.0);
    cache.state.abandon(first.flight);
    let second = cache.launch(5.0);
    cache.state.abandon(first.flight);
    assert!(matches!(cache.decide(5.0), Decision::Join(_)), "the second is not the first");
    assert_ne!(first.flight, second.flight);
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
        self.state.decide(now)
    }

    fn launch(&mut self, seconds: f64) -> Launch {
        match self.decide(seconds) {
            Decision::Launch(orders) => orders,
            other => panic!("no launch at {seconds}: {other:?}"),
        }
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
        self.state.land(flight, result.map(|token| token.issued_at(now)), now, &Weak::new())
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

    fn reject(&mut self, seconds: f64) -> Rejection {
        let (token, now) = (self.token(), self.at(seconds));
        self.state.reject(&token, now)
    }
}

fn token(secret: &str, life: u64) -> Token {
    Token::new(secret).unwrap().with_lifetime(secs(life))
}

const fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}
