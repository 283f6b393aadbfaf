use super::*;

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
    assert!(cache.state.depart(dead.flight, cache.at(0.0)).is_some());
    cache.mint("newer", 100, 60.0);
    let (late, now) = (token("late", 100).issued_at(cache.at(0.0)), cache.at(60.1));
    assert!(matches!(cache.state.land(dead.flight, Ok(late), now, &nobody()), Landing::Superseded));
    assert_eq!(cache.fresh(60.1), "newer");
}

#[test]
fn a_flight_departs_once_it_is_driven_unless_it_was_given_up() {
    let mut cache = Cache::new(0);
    let slow = cache.launch(0.0);
    assert!(cache.state.depart(slow.flight, cache.at(100.0)).is_some(), "late, and nobody has missed it");
    let Decision::Join(dead_at) = cache.decide(100.0) else { panic!("one flight at a time") };
    assert_eq!(dead_at, cache.at(160.0));
    let next = cache.launch(160.0);
    assert!(cache.state.depart(slow.flight, cache.at(160.0)).is_none());
    assert!(cache.state.depart(next.flight, cache.at(160.0)).is_some());
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
    assert!(cache.state.depart(orders.flight, cache.at(5.5)).is_some());
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
