use super::*;

#[test]
fn a_refusal_is_compare_and_swap() {
    let mut cache = Cache::holding("a", 100);
    let old = cache.token();
    assert_eq!(cache.reject(20.0), RejectionOutcome::Dropped);
    assert_eq!(
        cache.state.reject(old.generation(), cache.at(20.0)).outcome,
        RejectionOutcome::Superseded,
        "a new one is about to be had"
    );
    let orders = cache.launch(20.0);
    assert_eq!(cache.depart(&orders, 20.0).rejected.as_ref().map(Token::generation), Some(old.generation()));
    cache.land(orders.flight, Ok(token("b", 100)), 21.0);
    assert_eq!(cache.state.reject(old.generation(), cache.at(50.0)).outcome, RejectionOutcome::Superseded);
    assert_eq!(cache.fresh(50.0), "b", "a late refusal of the old one leaves the new one alone");
    let foreign = token("b", 100);
    assert_eq!(
        cache.state.reject(foreign.generation(), cache.at(50.0)).outcome,
        RejectionOutcome::Superseded,
        "one that is not ours"
    );
    assert_eq!(cache.fresh(50.0), "b");
}

#[test]
fn a_token_that_is_refused_again_at_once_stays_for_ten_seconds() {
    let mut cache = Cache::holding("a", 1000);
    assert_eq!(cache.reject(20.0), RejectionOutcome::Dropped);
    cache.mint("b", 1000, 20.5);
    assert_eq!(cache.reject(21.0), RejectionOutcome::Kept);
    assert_eq!(cache.reject(29.999), RejectionOutcome::Kept);
    assert_eq!(cache.fresh(29.999), "b");
    assert_eq!(cache.reject(30.0), RejectionOutcome::Dropped);
}

#[test]
fn a_refused_token_stays_while_the_issuer_is_failing() {
    let mut cache = Cache::holding("a", 100);
    let old = cache.token();
    let Decision::Stale(_, orders) = cache.decide(90.0) else { panic!("the refresh is due") };
    let until = cache.failed(orders.flight, Error::permanent("x"), 90.0).retry_at().unwrap();
    assert_eq!(cache.reject(91.0), RejectionOutcome::Kept);
    assert_eq!(cache.fresh(91.0), "a");
    assert_eq!(cache.state.reject(old.generation(), until).outcome, RejectionOutcome::Dropped);
    let orders = cache.launch(150.0);
    cache.failed(orders.flight, Error::permanent("x"), 150.0);
    assert_eq!(
        cache.state.reject(old.generation(), cache.at(151.0)).outcome,
        RejectionOutcome::Kept,
        "no replay can carry another one"
    );
}

#[test]
fn a_token_refused_while_under_way_does_not_come_back() {
    let mut cache = Cache::holding("a", 100);
    let Decision::Stale(_, unaware) = cache.decide(90.0) else { panic!("the refresh is due") };
    assert_eq!(cache.reject(90.1), RejectionOutcome::Dropped);
    assert!(matches!(cache.land(unaware.flight, Ok(token("a", 100)), 90.2), Landing::Superseded));
    let aware = cache.launch(90.2);
    let landing = cache.land(aware.flight, Ok(token("a", 100)), 91.0);
    assert!(matches!(landing, Landing::Token(_)), "minted again on purpose: the issuer knew");
    assert_eq!(cache.fresh(91.0), "a");
    assert!(cache.token().generation() > cache.state.rejected.as_ref().unwrap().generation(), "and another token");
}

#[test]
fn another_token_under_way_is_welcome_after_a_refusal() {
    let mut cache = Cache::holding("a", 100);
    let Decision::Stale(_, orders) = cache.decide(90.0) else { panic!("the refresh is due") };
    assert_eq!(cache.reject(90.1), RejectionOutcome::Dropped);
    assert!(matches!(cache.decide(90.1), Decision::Join(_)), "the flight under way will do");
    cache.land(orders.flight, Ok(token("b", 100)), 90.2);
    assert_eq!(cache.fresh(90.2), "b");
}

#[test]
fn a_refusal_of_what_is_being_replaced_anyway_forces_nothing() {
    let mut cache = Cache::holding("a", 20);
    let Decision::Stale(_, orders) = cache.decide(18.0) else { panic!("the refresh is due") };
    assert_eq!(cache.reject(18.1), RejectionOutcome::Dropped);
    cache.land(orders.flight, Ok(token("b", 20)), 18.5);
    assert_eq!(cache.reject(23.0), RejectionOutcome::Dropped, "the first that forces a token request");
}

#[test]
fn a_token_of_seconds_is_refused_for_its_age_from_half_its_life_on() {
    let mut cache = Cache::holding("a", 2);
    assert_eq!(cache.reject(1.2), RejectionOutcome::Dropped);
    cache.mint("b", 2, 1.5);
    assert_eq!(cache.reject(2.4), RejectionOutcome::Kept, "right after it was minted");
    assert_eq!(cache.reject(2.6), RejectionOutcome::Dropped);
}

#[test]
fn the_next_fetch_hears_of_a_refused_token_that_stayed_and_of_none_before_it() {
    let mut cache = Cache::holding("a", 1000);
    let first = cache.token();
    assert_eq!(cache.reject(20.0), RejectionOutcome::Dropped);
    cache.mint("b", 1000, 20.5);
    let second = cache.token().generation();
    assert_eq!(cache.reject(21.0), RejectionOutcome::Kept);
    assert_eq!(cache.state.reject(first.generation(), cache.at(22.0)).outcome, RejectionOutcome::Superseded);
    let orders = cache.launch(2000.0);
    assert_eq!(cache.depart(&orders, 2000.0).rejected.as_ref().map(Token::generation), Some(second));
}

#[test]
fn a_token_refused_while_the_issuer_failed_serves_nobody_once_another_can_be_had() {
    let mut cache = Cache::holding("a", 1000);
    let Decision::Stale(_, orders) = cache.decide(850.0) else { panic!("the refresh is due") };
    cache.failed(orders.flight, Error::permanent("x"), 850.0);
    assert_eq!(cache.reject(851.0), RejectionOutcome::Kept);
    assert_eq!(cache.fresh(909.9), "a", "there is no other");
    let grant = cache.state.peek(cache.at(909.9), Duration::ZERO).unwrap();
    assert_eq!(grant.recheck_at, cache.at(910.0));
    let orders = cache.launch(910.0);
    assert_eq!(cache.depart(&orders, 910.0).reason, Reason::Rejected);
    assert!(matches!(cache.decide(910.0), Decision::Join(_)));
    cache.failed(orders.flight, Error::transient("x").with_retry_after(secs(10)), 910.5);
    assert_eq!(cache.fresh(920.0), "a", "there is none again");
    let orders = cache.launch(920.5);
    cache.land(orders.flight, Ok(token("b", 1000)), 920.6);
    assert_eq!(cache.fresh(920.6), "b");
    assert_eq!(cache.fresh(1700.0), "b", "the new one is not marked");
}

#[test]
fn a_token_refused_while_the_issuer_failed_serves_nobody_while_it_is_asked_again() {
    let mut cache = Cache::holding("a", 1000);
    let demand = cache.state.decide(cache.at(600.0), secs(500));
    let Decision::Launch(orders) = demand else { panic!("{demand:?}") };
    cache.failed(orders.flight, Error::permanent("x"), 600.0);
    assert_eq!(cache.reject(601.0), RejectionOutcome::Kept);
    let grant = cache.state.peek(cache.at(602.0), Duration::ZERO).unwrap();
    assert_eq!(grant.recheck_at, cache.at(660.0), "not only when its refresh is due");
    let old = cache.token();
    let orders = cache.launch(660.0);
    assert_eq!(cache.state.reject(old.generation(), cache.at(660.1)).outcome, RejectionOutcome::Superseded);
    assert!(matches!(cache.decide(660.2), Decision::Join(_)));
    cache.land(orders.flight, Ok(token("b", 1000)), 660.5);
    assert_eq!(cache.reject(661.0), RejectionOutcome::Kept, "a forced one, and ten seconds must pass until the next");
}

#[test]
fn a_refusal_while_a_failing_issuer_is_asked_again_leaves_the_token_for_when_it_fails_again() {
    for refused_before in [true, false] {
        let mut cache = Cache::holding("a", 1000);
        let Decision::Launch(orders) = cache.state.decide(cache.at(600.0), secs(500)) else { panic!("too little") };
        cache.failed(orders.flight, Error::permanent("x"), 600.0);
        if refused_before {
            assert_eq!(cache.reject(601.0), RejectionOutcome::Kept);
        }
        let Decision::Launch(probe) = cache.state.decide(cache.at(660.0), secs(500)) else { panic!("too little") };
        assert_eq!(cache.reject(660.1), RejectionOutcome::Superseded);
        assert!(matches!(cache.decide(660.2), Decision::Join(_)), "a new one may come");
        cache.failed(probe.flight, Error::permanent("x"), 661.0);
        assert_eq!(cache.fresh(662.0), "a", "there is none again, and other routes may take it");
    }
}

#[test]
fn a_refusal_is_news_once() {
    let news = |cache: &mut Cache, seconds| {
        let (token, now) = (cache.token(), cache.at(seconds));
        cache.state.reject(token.generation(), now).is_news
    };
    let mut cache = Cache::holding("a", 1000);
    let old = cache.token();
    assert!(news(&mut cache, 20.0), "dropped");
    assert!(!cache.state.reject(old.generation(), cache.at(20.0)).is_news);
    cache.mint("b", 1000, 20.5);
    assert!(news(&mut cache, 21.0), "kept");
    assert!(!news(&mut cache, 21.0), "as before");
    assert!(!cache.state.reject(old.generation(), cache.at(21.0)).is_news);
    let Decision::Stale(_, orders) = cache.decide(900.0) else { panic!("the refresh is due") };
    cache.failed(orders.flight, Error::permanent("x"), 900.0);
    assert!(news(&mut cache, 901.0), "it served on and on before, and serves while nothing else can now");
    assert!(!news(&mut cache, 902.0));
}

#[test]
fn what_is_refused_while_a_flight_waits_for_its_time_is_known_when_it_leaves() {
    let mut cache = Cache::holding("a", 1);
    let Decision::Stale(_, orders) = cache.decide(0.9) else { panic!("the refresh is due") };
    assert_eq!(orders.not_before, cache.at(1.0));
    let refused = cache.token().generation();
    assert_eq!(cache.reject(0.95), RejectionOutcome::Dropped);
    let departure = cache.depart(&orders, 1.0);
    assert_eq!(departure.rejected.map(|token| token.generation()), Some(refused));
    assert!(matches!(cache.land(orders.flight, Ok(token("a", 1)), 1.1), Landing::Token(_)), "the issuer knew");
}

#[test]
fn a_token_that_served_once_is_remembered_as_refused_though_an_older_one_that_is_over_is_still_there() {
    let mut cache = Cache::holding("a", 100);
    let orders = cache.launch(200.0);
    let landing = cache.land(orders.flight, Ok(token("b", 0).issued_at(cache.at(200.0))), 201.0);
    let Landing::Token(once) = landing else { panic!("{landing:?}") };
    let refused = once.lease.token().clone();
    assert_eq!(cache.state.reject(refused.generation(), cache.at(202.0)).outcome, RejectionOutcome::Superseded);
    let orders = cache.launch(203.0);
    let departure = cache.depart(&orders, 203.0);
    assert_eq!(departure.rejected.map(|token| token.generation()), Some(refused.generation()));
}
