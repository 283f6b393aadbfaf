use super::*;

#[test]
fn a_token_with_less_left_does_not_serve_and_one_with_enough_does() {
    let mut cache = Cache::holding("a", 1000);
    assert!(cache.state.peek(cache.at(390.0), secs(600)).is_some());
    assert!(cache.state.peek(cache.at(500.0), secs(600)).is_some(), "half a life will do");
    assert!(cache.state.peek(cache.at(500.1), secs(600)).is_none());
    assert!(cache.state.peek(cache.at(699.9), secs(300)).is_some());
    assert!(cache.state.peek(cache.at(700.1), secs(300)).is_none());
    let orders = cache.demand(700.1, 300);
    assert_eq!(cache.depart(&orders, 700.1).reason, Reason::MinTtl);
    assert!(matches!(cache.decide_for(700.2, 300), Decision::Join(_)));
    assert_eq!(cache.fresh(700.2), "a", "who asks for nothing does not wait");
    cache.land(orders.flight, Ok(token("b", 1000)), 701.0);
    assert!(matches!(cache.decide_for(701.0, 300), Decision::Fresh(grant) if grant.lease.token().secret() == "b"));
}

#[test]
fn in_the_refresh_window_the_demand_is_the_reason_if_somebody_waits_for_it() {
    let mut cache = Cache::holding("a", 100);
    let orders = cache.demand(90.0, 30);
    assert_eq!(cache.depart(&orders, 90.0).reason, Reason::MinTtl);
    let mut cache = Cache::holding("a", 100);
    let Decision::Stale(_, orders) = cache.decide_for(90.0, 10) else { panic!("ten seconds are left") };
    assert!(matches!(cache.decide_for(90.0, 30), Decision::Join(_)), "a flight under way will do");
    assert_eq!(cache.depart(&orders, 90.0).reason, Reason::Early);
    assert_eq!(cache.state.waiters(orders.flight), 1);
}

#[test]
fn a_fresh_token_satisfies_whatever_is_asked_for() {
    for life in [1, 2, 7, 60, 3600] {
        let mut cache = Cache::holding("a", life);
        for min_ttl in [Duration::from_nanos(1), secs(1), secs(60), secs(86400), Duration::MAX] {
            assert!(cache.state.peek(cache.at(0.0), min_ttl).is_some(), "{min_ttl:?} of {life} s");
            assert!(matches!(cache.state.decide(cache.at(0.0), min_ttl), Decision::Fresh(_)));
        }
    }
}

#[test]
fn a_demand_that_nothing_meets_asks_twice_in_a_life_and_never_sooner_than_the_interval() {
    for (life, most) in [(1, 61), (2, 61), (10, 13), (60, 3)] {
        let mut cache = Cache::new(0);
        let mut asked: Vec<f64> = Vec::new();
        for tick in 0..600 {
            let now = f64::from(tick) / 10.0;
            if let Decision::Launch(orders) = cache.state.decide(cache.at(now), Duration::MAX) {
                let leaves = (orders.not_before - cache.start).as_secs_f64();
                asked.push(leaves);
                cache.depart(&orders, leaves);
                cache.land(orders.flight, Ok(token("a", life)), leaves);
            }
        }
        assert!(asked.len() <= most, "{} requests of {life} s in a minute", asked.len());
        assert!(asked.windows(2).all(|pair| pair[1] - pair[0] >= 1.0 - 1e-6), "{asked:?}");
    }
}

#[test]
fn when_the_refresh_fails_who_asks_for_more_gets_the_error_and_others_the_token() {
    let mut cache = Cache::holding("a", 1000);
    let orders = cache.demand(600.0, 500);
    let error = cache.failed(orders.flight, Error::permanent("x"), 600.0);
    assert_eq!(error.retry_at(), Some(cache.at(660.0)));
    let Decision::Fail(error) = cache.decide_for(659.9, 500) else { panic!("the issuer is left alone") };
    assert_eq!(error.retry_at(), Some(cache.at(660.0)));
    assert_eq!(cache.fresh(659.9), "a");
    assert!(matches!(cache.decide_for(659.9, 300), Decision::Fresh(_)), "and so does who asks for less");
    cache.demand(660.0, 500);
}

#[test]
fn a_token_that_was_old_when_it_came_is_measured_by_what_it_had_left() {
    let mut cache = Cache::new(0);
    let orders = cache.launch(0.0);
    let (old, now) = (token("a", 1000), cache.at(900.0));
    let old = old.issued_at(cache.at(0.0));
    assert!(matches!(cache.state.land(orders.flight, Ok(old), now, &nobody()), Landing::Token(_)));
    assert!(cache.state.peek(cache.at(900.0), secs(600)).is_none(), "its refresh is due");
    assert!(matches!(cache.state.decide(cache.at(900.0), secs(600)), Decision::Stale(..)), "but it will do");
    let cache = Cache::holding("a", 1000);
    let lease = Arc::clone(cache.state.current.as_ref().unwrap());
    assert!(lease.satisfies(cache.at(999.9), Duration::ZERO) && lease.satisfies(cache.at(2000.0), Duration::ZERO));
    assert!(lease.satisfies(cache.at(500.0), secs(501)) && !lease.satisfies(cache.at(500.1), secs(501)));
}

impl Cache {
    fn decide_for(&mut self, seconds: f64, min_ttl: u64) -> Decision {
        let now = self.at(seconds);
        self.state.decide(now, secs(min_ttl))
    }

    fn demand(&mut self, seconds: f64, min_ttl: u64) -> Launch {
        match self.decide_for(seconds, min_ttl) {
            Decision::Launch(orders) => orders,
            other => panic!("no launch at {seconds}: {other:?}"),
        }
    }
}
