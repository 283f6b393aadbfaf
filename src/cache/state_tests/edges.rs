//! What happens at the very moment, not before it and not after.

use super::*;

#[test]
fn the_refresh_is_due_at_its_moment() {
    let mut cache = Cache::holding("a", 100);
    let due = cache.state.current.as_ref().unwrap().refresh_at();
    assert!(cache.state.peek(due - Duration::from_nanos(1), Duration::ZERO).is_some());
    assert!(matches!(cache.state.decide(due, Duration::ZERO), Decision::Stale(..)));
}

#[test]
fn a_caller_is_served_exactly_while_the_token_lives() {
    let cache = Cache::holding("a", 100);
    assert!(cache.state.serves(cache.at(99.9), Duration::ZERO));
    assert!(!cache.state.serves(cache.at(100.0), Duration::ZERO));
}

#[test]
fn a_token_that_is_over_is_the_reason_and_not_what_a_caller_asks_for() {
    let mut cache = Cache::holding("a", 100);
    let Decision::Launch(orders) = cache.state.decide(cache.at(100.0), secs(10)) else { panic!("it is over") };
    assert_eq!(cache.depart(&orders, 100.0).reason, Reason::Expired);
}

#[test]
fn all_who_wait_are_counted_and_those_who_go_on_are_not() {
    let mut cache = Cache::holding("a", 100);
    let Decision::Stale(_, orders) = cache.decide(90.0) else { panic!("the refresh is due") };
    assert_eq!(cache.state.waiters(orders.flight), 0);
    for waiters in 1..=3 {
        assert!(matches!(cache.decide(100.0), Decision::Join(_)));
        assert_eq!(cache.state.waiters(orders.flight), waiters);
    }
    assert_eq!(cache.state.waiters(orders.flight + 1), 0, "of another flight");
}

#[test]
fn a_late_refusal_of_an_older_token_is_not_remembered() {
    let mut cache = Cache::holding("a", 100);
    let old = cache.token();
    cache.mint("b", 100, 100.0);
    assert_eq!(cache.state.reject(old.generation(), cache.at(110.0)).outcome, RejectionOutcome::Superseded);
    let orders = cache.launch(200.0);
    assert!(cache.depart(&orders, 200.0).rejected.is_none());
}

#[test]
fn ten_seconds_are_over_after_ten_seconds() {
    for (refused_at, outcome) in [(9.9, RejectionOutcome::Kept), (10.0, RejectionOutcome::Dropped)] {
        let mut cache = Cache::holding("a", 1000);
        assert_eq!(cache.reject(100.0), RejectionOutcome::Dropped);
        cache.mint("b", 1000, 100.0);
        assert_eq!(cache.reject(100.0 + refused_at), outcome, "{refused_at}");
    }
}

#[test]
fn a_token_is_no_longer_young_at_half_its_life() {
    for (refused_at, outcome) in [(3.9, RejectionOutcome::Kept), (4.0, RejectionOutcome::Dropped)] {
        let mut cache = Cache::holding("a", 8);
        assert_eq!(cache.reject(1.0), RejectionOutcome::Dropped);
        cache.mint("b", 8, 1.0);
        assert_eq!(cache.reject(1.0 + refused_at), outcome, "{refused_at}");
    }
}

#[test]
fn a_token_that_is_refused_at_its_very_end_is_not_one_that_was_forced_out() {
    let mut cache = Cache::holding("a", 100);
    assert_eq!(cache.reject(100.0), RejectionOutcome::Dropped);
    cache.mint("b", 100, 100.0);
    assert_eq!(cache.reject(101.0), RejectionOutcome::Dropped, "the first that is forced");
    cache.mint("c", 100, 101.0);
    assert_eq!(cache.reject(102.0), RejectionOutcome::Kept);
}

#[test]
fn one_that_served_in_a_cool_down_is_not_forced_out_once_its_refresh_is_due() {
    let mut cache = Cache::holding("a", 1000);
    let due = cache.state.current.as_ref().unwrap().refresh_at();
    let asked = due - secs(60);
    let Decision::Launch(orders) = cache.state.decide(asked, secs(500)) else { panic!("too little is left") };
    let failed = cache.state.land(orders.flight, Err(Error::permanent("x")), asked, &nobody());
    assert!(matches!(failed, Landing::Failed(_)));
    assert_eq!(cache.state.reject(cache.token().generation(), asked + secs(1)).outcome, RejectionOutcome::Kept);
    // The minute is over at the very moment at which the refresh is due.
    let Decision::Launch(orders) = cache.state.decide(due, Duration::ZERO) else { panic!("it was refused") };
    cache.state.land(orders.flight, Ok(token("b", 1000).issued_at(due)), due, &nobody());
    assert_eq!(cache.state.reject(cache.token().generation(), due + secs(1)).outcome, RejectionOutcome::Dropped);
}

#[test]
fn what_served_once_says_nothing_about_what_goes_on_and_all_once_that_is_over() {
    for (refused_at, heard_of) in [(91.0, None), (100.0, Some(()))] {
        let mut cache = Cache::holding("a", 100);
        let Decision::Stale(_, orders) = cache.decide(90.0) else { panic!("the refresh is due") };
        let Landing::Token(once) = cache.land(orders.flight, Ok(token("b", 0)), 90.0) else { panic!("it serves once") };
        let refusal = cache.state.reject(once.lease.generation(), cache.at(refused_at));
        assert_eq!(refusal.outcome, RejectionOutcome::Superseded);
        let orders = cache.launch(100.0);
        assert_eq!(cache.depart(&orders, 100.0).rejected.map(|_| ()), heard_of, "{refused_at}");
    }
}

#[test]
fn what_is_over_is_not_kept_for_an_issuer_that_is_asked_again() {
    for (refused_at, outcome) in [(99.9, RejectionOutcome::Superseded), (100.0, RejectionOutcome::Dropped)] {
        let mut cache = Cache::holding("a", 100);
        let Decision::Stale(_, orders) = cache.decide(90.0) else { panic!("the refresh is due") };
        cache.failed(orders.flight, Error::transient("x"), 90.0);
        let Decision::Stale(..) = cache.decide(95.0) else { panic!("the issuer is asked again") };
        assert_eq!(cache.reject(refused_at), outcome, "{refused_at}");
    }
}

#[test]
fn a_flight_is_dead_at_its_moment() {
    let mut cache = Cache::holding("a", 1000);
    let Decision::Stale(_, orders) = cache.decide(900.0) else { panic!("the refresh is due") };
    assert!(matches!(cache.state.decide(orders.dead_at - Duration::from_nanos(1), Duration::ZERO), Decision::Fresh(_)));
    assert!(matches!(cache.state.decide(orders.dead_at, Duration::ZERO), Decision::Stale(..)));
}

#[test]
fn a_late_token_counts_unless_a_living_one_was_asked_for_later() {
    // When the late one was asked for, when it landed, and what is held then.
    for (sent_at, landed_at, held) in
        [(59.9, 70.0, "b"), (60.0, 70.0, "late"), (60.1, 70.0, "late"), (59.9, 160.0, "late")]
    {
        let mut cache = Cache::new(0);
        let late = cache.launch(0.0);
        cache.mint("b", 100, 60.0);
        let token = token("late", 1000).issued_at(cache.at(sent_at));
        cache.state.land(late.flight, Ok(token), cache.at(landed_at), &nobody());
        assert_eq!(cache.token().secret(), held, "{sent_at} {landed_at}");
    }
}
