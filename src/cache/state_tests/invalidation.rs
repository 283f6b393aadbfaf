use super::*;

#[test]
fn the_token_is_gone_and_is_not_to_come_back() {
    let mut cache = Cache::holding("a", 1000);
    let old = cache.token();
    cache.state.invalidate();
    let orders = cache.launch(10.0);
    let departure = cache.depart(&orders, 10.0);
    assert_eq!(departure.reason, Reason::Invalidated);
    assert_eq!(departure.rejected.map(|token| token.generation()), Some(old.generation()));
    cache.land(orders.flight, Ok(token("b", 1000)), 10.1);
    assert_eq!(cache.fresh(10.1), "b");
}

#[test]
fn a_flight_that_has_left_brings_nothing_and_the_next_one_waits_for_it() {
    let results: [fn() -> Result<Token, Error>; 3] = [
        || Ok(token("b", 1000)),
        || Err(Error::permanent("x")),
        || Err(Error::transient("x").with_retry_after(secs(60))),
    ];
    for result in results {
        let mut cache = Cache::holding("a", 1000);
        let Decision::Stale(_, orders) = cache.decide(900.0) else { panic!("the refresh is due") };
        cache.depart(&orders, 900.0);
        cache.state.invalidate();
        assert!(matches!(cache.decide(900.1), Decision::Join(_)), "one flight at a time");
        assert!(matches!(cache.land(orders.flight, result(), 900.2), Landing::Superseded));
        let next = cache.launch(900.2);
        assert_eq!(next.not_before, cache.at(901.0), "the interval holds");
        assert_eq!(cache.depart(&next, 901.0).reason, Reason::Invalidated);
        assert!(matches!(cache.land(next.flight, Ok(token("c", 1000)), 901.1), Landing::Token(_)));
        assert_eq!(cache.fresh(901.1), "c");
    }
}

#[test]
fn a_flight_that_has_yet_to_leave_learns_of_it_and_counts() {
    let mut cache = Cache::holding("a", 1000);
    let first = cache.token();
    assert_eq!(cache.reject(0.1), RejectionOutcome::Dropped);
    let second = cache.launch(0.1);
    cache.depart(&second, 1.0);
    cache.land(second.flight, Ok(token("b", 1)), 1.0);
    let waits = cache.launch(2.0);
    cache.state.invalidate();
    assert!(matches!(cache.decide(2.0), Decision::Join(_)));
    let departure = cache.depart(&waits, 2.0);
    assert_eq!(departure.reason, Reason::Invalidated);
    assert!(departure.rejected.unwrap().generation() > first.generation(), "the newer of the two");
    assert!(matches!(cache.land(waits.flight, Ok(token("c", 1000)), 2.5), Landing::Token(_)));
    assert_eq!(cache.fresh(2.5), "c");
}

#[test]
fn a_flight_that_was_given_up_for_dead_before_brings_nothing_either() {
    let mut cache = Cache::new(0);
    let dead = cache.launch(0.0);
    cache.depart(&dead, 0.0);
    let next = cache.launch(60.0);
    cache.state.invalidate();
    assert!(matches!(cache.land(dead.flight, Ok(token("late", 100)), 60.1), Landing::Superseded));
    cache.depart(&next, 60.2);
    assert!(matches!(cache.land(next.flight, Ok(token("a", 100)), 60.3), Landing::Token(_)), "it left after it");
}

#[test]
fn a_stored_failure_is_forgotten_with_its_pause_and_its_count() {
    let mut cache = Cache::new(0);
    cache.fail_at(0.0, Error::permanent("x"));
    assert_eq!(cache.fail_at(60.0, Error::permanent("x")), 180.0);
    assert!(matches!(cache.decide(60.1), Decision::Fail(_)));
    cache.state.invalidate();
    let orders = cache.launch(60.1);
    assert_eq!(orders.not_before, cache.at(61.0), "the interval holds");
    cache.depart(&orders, 61.0);
    let error = cache.failed(orders.flight, Error::permanent("x"), 61.0);
    assert_eq!(error.retry_at(), Some(cache.at(121.0)));
}

#[test]
fn no_number_of_orders_asks_sooner_than_the_interval() {
    let mut cache = Cache::new(0);
    let mut asked: Vec<f64> = Vec::new();
    let mut under_way: Option<(Launch, f64)> = None;
    for tick in 0..10_000 {
        let now = f64::from(tick) / 100.0;
        cache.state.invalidate();
        if let Some((orders, lands)) = under_way.take_if(|(_, lands)| *lands <= now) {
            cache.land(orders.flight, Ok(token("a", 1000)), lands);
        }
        if let Decision::Launch(orders) = cache.decide(now) {
            let leaves = (orders.not_before - cache.start).as_secs_f64();
            under_way = Some((orders, leaves + 0.3));
        }
        if let Some((orders, lands)) = &under_way {
            if (*lands - 0.3 - now).abs() < 0.005 {
                cache.depart(orders, now);
                asked.push(now);
            }
        }
    }
    assert!((80..=100).contains(&asked.len()), "{}", asked.len());
    assert!(asked.windows(2).all(|pair| pair[1] - pair[0] >= 1.0 - 0.01), "{asked:?}");
}

#[test]
fn a_fresh_token_may_be_dropped_at_once_because_it_is_an_order() {
    let mut cache = Cache::holding("a", 1000);
    for round in 1..=20 {
        let now = f64::from(round);
        cache.state.invalidate();
        let orders = cache.launch(now);
        cache.land(orders.flight, Ok(token("a", 1000)), now);
        assert_eq!(cache.fresh(now), "a", "minted again on purpose: the issuer knew");
    }
}
