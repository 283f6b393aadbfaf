use super::*;

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
fn a_refusal_of_what_is_being_replaced_anyway_forces_nothing() {
    let mut cache = Cache::holding("a", 20);
    let Decision::Stale(_, orders) = cache.decide(18.0) else { panic!("the refresh is due") };
    assert_eq!(cache.reject(18.1), Rejection::Dropped);
    cache.land(orders.flight, Ok(token("b", 20)), 18.5);
    assert_eq!(cache.reject(23.0), Rejection::Dropped, "the first that forces a token request");
}

#[test]
fn a_token_of_seconds_is_refused_for_its_age_from_half_its_life_on() {
    let mut cache = Cache::holding("a", 2);
    assert_eq!(cache.reject(1.2), Rejection::Dropped);
    cache.mint("b", 2, 1.5);
    assert_eq!(cache.reject(2.4), Rejection::Kept, "right after it was minted");
    assert_eq!(cache.reject(2.6), Rejection::Dropped);
}

#[test]
fn the_next_fetch_hears_of_a_refused_token_that_stayed_and_of_none_before_it() {
    let mut cache = Cache::holding("a", 1000);
    let first = cache.token();
    assert_eq!(cache.reject(20.0), Rejection::Dropped);
    cache.mint("b", 1000, 20.5);
    let second = cache.token().generation();
    assert_eq!(cache.reject(21.0), Rejection::Kept);
    assert_eq!(cache.state.reject(&first, cache.at(22.0)), Rejection::Superseded);
    let orders = cache.launch(2000.0);
    assert_eq!(orders.rejected.as_ref().map(Token::generation), Some(second));
}
