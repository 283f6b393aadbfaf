use std::collections::HashMap as Model;

use http::Request;
use proptest::prelude::*;

use super::*;
use crate::retry::cooldown::key::Hashing;

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn the_longest_that_was_asked_for_counts() {
    let (mut table, key, start) = (Table::default(), keys(1)[0], Instant::now());
    assert!(table.held(key, start).is_none());
    assert!(table.hold(key, 5 * SECOND, start, 8));
    assert!(!table.hold(key, 3 * SECOND, start + SECOND, 8), "ends sooner");
    assert!(!table.hold(key, Duration::ZERO, start + SECOND, 8));
    assert_eq!(table.held(key, start + SECOND).unwrap().until, start + 5 * SECOND);
    assert!(table.hold(key, 30 * SECOND, start + SECOND, 8));
    assert_eq!(table.held(key, start + 30 * SECOND).unwrap().until, start + 31 * SECOND);
    assert!(table.held(key, start + 31 * SECOND).is_none(), "the end is not part of it");
}

#[test]
fn a_crowd_that_is_answered_alike_is_told_of_once() {
    let (mut table, key, start) = (Table::default(), keys(1)[0], Instant::now());
    let news = (0..500).filter(|n| table.hold(key, 5 * SECOND, start + Duration::from_millis(*n), 8)).count();
    assert_eq!(news, 1);
    assert_eq!(table.held(key, start).unwrap().until, start + Duration::from_millis(5_499), "and all count");
    assert!(!table.hold(key, 5 * SECOND, start + Duration::from_millis(500), 8), "within the spread of the release");
    assert!(table.hold(key, 5 * SECOND, start + Duration::from_millis(501), 8), "notably longer");
    assert!(table.hold(key, SECOND, start + 60 * SECOND, 8), "a new one");
}

#[test]
fn nothing_is_no_cool_down() {
    let (mut table, key, start) = (Table::default(), keys(1)[0], Instant::now());
    assert!(!table.hold(key, Duration::ZERO, start, 8));
    assert!(table.held(key, start).is_none());
}

#[test]
fn when_there_is_no_room_those_go_first_that_are_over_then_those_that_end_first() {
    let (mut table, keys, start) = (Table::default(), keys(5), Instant::now());
    for (key, seconds) in keys.iter().zip([1, 9, 5]) {
        assert!(table.hold(*key, seconds * SECOND, start, 3));
    }
    let later = start + 2 * SECOND;
    assert!(table.hold(keys[3], 9 * SECOND, later, 3));
    assert!(table.held(keys[1], later).is_some() && table.held(keys[2], later).is_some());
    assert!(table.hold(keys[4], SECOND, later, 3));
    assert!(table.held(keys[2], later).is_none(), "it would have ended first");
    assert!(table.held(keys[1], later).is_some() && table.held(keys[3], later).is_some());
    assert!(table.hold(keys[3], 30 * SECOND, later, 3), "what is there needs no room");
    for key in [keys[1], keys[3], keys[4]] {
        assert!(table.held(key, later).is_some());
    }
}

#[test]
fn what_servers_asked_for_makes_no_room_for_what_is_known_of_limits() {
    let (mut table, keys, start) = (Table::default(), keys(64), Instant::now());
    let pacing = Pacing::genesys();
    assert!(table.hold(keys[0], SECOND, start, 2));
    for key in &keys[1..] {
        let Turn::Go(Some(ticket)) = table.ask(*key, start, Some((&pacing, 2)), None, |_| true) else { panic!("new") };
        let mark = table.send(*key, ticket, start).unwrap();
        table.read(*key, start, &pacing, mark, Reading { left: 9, limit: Some(9), reset: 600 * SECOND });
    }
    assert!(table.held(keys[0], start).is_some());
}

#[test]
fn a_limit_that_is_forgotten_is_heard_of_again() {
    let (mut table, keys, start) = (Table::default(), keys(2), Instant::now());
    let pacing = Pacing::genesys();
    let ask = |table: &mut Table, key| table.ask(key, start, Some((&pacing, 1)), None, |_| true);
    let Turn::Go(Some(first)) = ask(&mut table, keys[0]) else { panic!("it is new") };
    let mark = table.send(keys[0], first, start).unwrap();
    table.read(keys[0], start, &pacing, mark, Reading { left: 0, limit: Some(9), reset: 9 * SECOND });
    assert!(matches!(ask(&mut table, keys[0]), Turn::Wait(_)));
    let Turn::Go(Some(_)) = ask(&mut table, keys[1]) else { panic!("it is new") };
    assert_eq!(table.send(keys[0], first, start), None);
    table.give_back(keys[0], first);
    table.lose(keys[0], mark);
    let Turn::Go(Some(again)) = ask(&mut table, keys[0]) else { panic!("nothing is known of it any more") };
    let mark = table.send(keys[0], again, start).unwrap();
    table.read(keys[0], start, &pacing, mark, Reading { left: 0, limit: Some(9), reset: 9 * SECOND });
    assert!(matches!(ask(&mut table, keys[0]), Turn::Wait(_)));
}

#[test]
fn the_release_is_spread_over_a_tenth_and_never_past_the_deadline() {
    let start = Instant::now();
    let hold = |wait: Duration| Hold { until: start + wait, spread: spread(wait), cause: Cause::Asked };
    let after = |wait: Duration, draw, deadline: Option<Duration>| {
        hold(wait).release(draw, deadline.map(|deadline| start + deadline)) - start
    };
    assert_eq!(after(5 * SECOND, 0.0, None), 5 * SECOND);
    assert_eq!(after(5 * SECOND, 1.0, None), Duration::from_millis(5_500));
    assert_eq!(after(100 * SECOND, 1.0, None), 105 * SECOND);
    assert_eq!(after(100 * SECOND, 1.0, Some(102 * SECOND)), 102 * SECOND);
    assert_eq!(after(100 * SECOND, 1.0, Some(50 * SECOND)), 100 * SECOND, "never before it");
}

#[derive(Clone, Debug)]
enum Op {
    Pass(u16),
    Ask(usize, u32),
    Look(usize, f64, Option<u32>),
}

fn op() -> impl Strategy<Value = Op> {
    let wait = prop_oneof![4 => 0..20_000_u32, 1 => Just(u32::MAX)];
    prop_oneof![
        any::<u16>().prop_map(Op::Pass),
        (0..3_usize, wait).prop_map(|(key, wait)| Op::Ask(key, wait)),
        (0..3_usize, 0.0..=1.0, proptest::option::of(0..40_000_u32))
            .prop_map(|(key, draw, at)| Op::Look(key, draw, at)),
    ]
}

proptest! {
    #[test]
    fn nobody_is_released_before_the_latest_hint_and_it_only_moves_on(ops in proptest::collection::vec(op(), 1..200)) {
        let (mut table, keys, mut now) = (Table::default(), keys(3), Instant::now());
        let mut latest: Model<usize, Instant> = Model::new();
        for op in ops {
            match op {
                Op::Pass(millis) => now += Duration::from_millis(millis.into()),
                Op::Ask(key, millis) => {
                    let wait = Duration::from_millis(millis.into());
                    let before = table.held(keys[key], now).map(|hold| hold.until);
                    table.hold(keys[key], wait, now, 3);
                    let entry = latest.entry(key).or_insert(now);
                    *entry = (*entry).max(now + wait);
                    prop_assert!(table.held(keys[key], now).map(|hold| hold.until) >= before);
                }
                Op::Look(key, draw, deadline) => {
                    let until = latest.get(&key).copied().filter(|until| now < *until);
                    let hold = table.held(keys[key], now);
                    prop_assert_eq!(hold.map(|hold| hold.until), until);
                    if let Some(hold) = hold {
                        let deadline = deadline.map(|millis| now + Duration::from_millis(millis.into()));
                        let release = hold.release(draw, deadline);
                        prop_assert!(release >= hold.until);
                        prop_assert!(release <= hold.until + 5 * SECOND);
                        prop_assert!(deadline.is_none_or(|deadline| release <= deadline.max(hold.until)));
                    }
                }
            }
        }
    }
}

fn keys(count: usize) -> Vec<Key> {
    let hashing = Hashing::default();
    (0..count).map(|n| hashing.key(Request::get(format!("https://{n}.example")).body(()).unwrap(), None).0).collect()
}
