use std::collections::VecDeque;

use proptest::prelude::*;

use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn told(left: u32, reset: u64) -> Reading {
    Reading { left, limit: Some(10), reset: Duration::from_secs(reset) }
}

fn paced(pacing: Pacing) -> (Window, Pacing, Instant) {
    let start = Instant::now();
    (Window::new(start), pacing, start)
}

fn at_once() -> (Window, Pacing, Instant) {
    paced(Pacing::genesys().spread_below(0.0))
}

/// One that is sent at once.
fn send(window: &mut Window, pacing: &Pacing, now: Instant) -> Mark {
    match window.ask(now, pacing, None, |_| true) {
        Turn::Go(Some(ticket)) => window.send(ticket, now),
        turn => panic!("{turn:?}"),
    }
}

/// One that is sent at once, and answered at once.
fn tell(window: &mut Window, pacing: &Pacing, now: Instant, reading: Reading) {
    let mark = send(window, pacing, now);
    window.read(now, pacing, mark, reading);
}

/// A place in the line.
fn queue(window: &mut Window, pacing: &Pacing, now: Instant) -> Ticket {
    match window.ask(now, pacing, None, |_| true) {
        Turn::At(ticket) => ticket,
        turn => panic!("{turn:?}"),
    }
}

/// As many as may be sent at `now`, and what is told to the next.
fn go(window: &mut Window, pacing: &Pacing, now: Instant) -> (usize, Turn) {
    let mut sent = 0;
    loop {
        match window.ask(now, pacing, None, |_| true) {
            Turn::Go(Some(ticket)) => {
                window.send(ticket, now);
                sent += 1;
            }
            turn => return (sent, turn),
        }
        assert!(sent < 1000, "without an end");
    }
}

fn left(window: &Window) -> i64 {
    window.known.as_ref().unwrap().left
}

// === The line ===

#[test]
fn a_place_that_is_free_now_needs_no_patience() {
    let (mut window, pacing, start) = paced(Pacing::genesys().spread_below(1.0));
    tell(&mut window, &pacing, start, told(5, 60));
    assert!(matches!(window.ask(start, &pacing, None, |_| false), Turn::Go(_)));
    assert!(matches!(window.ask(start, &pacing, None, |_| false), Turn::Wait(_)), "the next place is a while off");
}

#[test]
fn who_cannot_wait_takes_no_place() {
    let (mut window, pacing, start) = paced(Pacing::genesys().spread_below(1.0));
    tell(&mut window, &pacing, start, told(3, 9));
    send(&mut window, &pacing, start);
    let Turn::Wait(hold) = window.ask(start, &pacing, None, |_| false) else { panic!() };
    assert!(hold.until > start);
    assert_eq!((hold.spread, left(&window)), (Duration::ZERO, 2));
}

#[test]
fn what_is_left_is_spread_over_the_rest_of_the_window() {
    let (mut window, pacing, start) = paced(Pacing::genesys().spread_below(0.5));
    tell(&mut window, &pacing, start, told(9, 59));
    // Four at once, then five over the minute that is left, with its second of margin.
    let (sent, turn) = go(&mut window, &pacing, start);
    assert_eq!(sent, 5, "the first of the five goes at once");
    let Turn::At(second) = turn else { panic!("{turn:?}") };
    assert_eq!(second.at - start, 12 * SECOND);
    for n in 2..5 {
        assert_eq!(queue(&mut window, &pacing, start).at - start, 12 * n * SECOND);
    }
    let Turn::Wait(hold) = window.ask(start, &pacing, None, |_| true) else { panic!("nothing is left") };
    assert_eq!((hold.until - start, hold.spread, hold.cause), (60 * SECOND, 5 * SECOND, Cause::Paced));
}

#[test]
fn those_who_give_up_leave_the_line_where_they_found_it() {
    let (mut window, pacing, start) = paced(Pacing::genesys().spread_below(1.0));
    tell(&mut window, &pacing, start, told(5, 60));
    send(&mut window, &pacing, start);
    let tickets: Vec<_> = (0..4).map(|_| queue(&mut window, &pacing, start)).collect();
    for ticket in &tickets {
        window.give_back(*ticket);
    }
    assert_eq!(queue(&mut window, &pacing, start).at, tickets[0].at, "and not at the end of the window");
}

#[test]
fn a_place_in_the_line_is_kept_given_back_and_over_with_its_window() {
    let (mut window, pacing, start) = paced(Pacing::genesys().spread_below(1.0));
    tell(&mut window, &pacing, start, told(2, 9));
    send(&mut window, &pacing, start);
    let ticket = queue(&mut window, &pacing, start);
    assert_eq!(ticket.at, start + 5 * SECOND);
    assert_eq!(window.ask(start + SECOND, &pacing, Some(ticket), |_| true), Turn::At(ticket));
    assert_eq!(window.ask(ticket.at, &pacing, Some(ticket), |_| true), Turn::Go(Some(ticket)));
    assert!(matches!(window.ask(start, &pacing, None, |_| true), Turn::Wait(_)));
    window.give_back(ticket);
    assert_eq!(left(&window), 1);
    let next = start + 10 * SECOND;
    let Turn::Go(Some(other)) = window.ask(next, &pacing, Some(ticket), |_| true) else { panic!() };
    assert_ne!(other.round, ticket.round);
    window.give_back(ticket);
    assert_eq!(left(&window), 9, "what is of another window is not given back");
    window.send(ticket, next);
    assert_eq!(left(&window), 8, "but counts if it is sent all the same");
}

// === Who is on the way ===

#[test]
fn those_that_were_sent_later_and_those_in_the_line_are_taken_off() {
    let (mut window, pacing, start) = at_once();
    let marks: Vec<_> = (0..4).map(|_| send(&mut window, &pacing, start)).collect();
    let Turn::Go(Some(waits)) = window.ask(start, &pacing, None, |_| true) else { panic!() };
    window.read(start, &pacing, marks[0], told(9, 9));
    assert_eq!(left(&window), 5, "three are on their way, and one has a place");
    window.read(start, &pacing, marks[3], told(6, 9));
    assert_eq!(left(&window), 5, "as many as before");
    window.send(waits, start);
    assert_eq!(left(&window), 5, "it was counted when it had its place");
    let last = send(&mut window, &pacing, start);
    assert_eq!(left(&window), 4);
    window.read(start, &pacing, last, told(1, 9));
    assert_eq!(left(&window), 1, "others use the limit too");
    let last = send(&mut window, &pacing, start);
    window.read(start, &pacing, last, told(9, 9));
    assert_eq!(left(&window), 0, "in one window it never becomes more");
}

#[test]
fn what_an_older_request_is_told_is_old() {
    let (mut window, pacing, start) = at_once();
    let (older, younger) = (send(&mut window, &pacing, start), send(&mut window, &pacing, start));
    window.read(start, &pacing, younger, told(5, 30));
    for reading in [told(0, 30), told(9, 600), told(0, 0)] {
        window.read(start + SECOND, &pacing, older, reading);
        assert_eq!((left(&window), window.ends()), (5, start + 31 * SECOND));
    }
}

#[test]
fn what_was_given_back_is_not_on_its_way_whatever_overtakes_what() {
    let (mut window, pacing, start) = at_once();
    let slow = send(&mut window, &pacing, start);
    for _ in 0..200 {
        let Turn::Go(Some(ticket)) = window.ask(start, &pacing, None, |_| true) else { panic!() };
        window.give_back(ticket);
    }
    let limit = |left| Reading { limit: Some(300), ..told(left, 60) };
    window.read(start, &pacing, slow, limit(299));
    assert_eq!(left(&window), 299);
}

#[test]
fn who_never_came_to_the_server_has_used_nothing() {
    let (mut window, pacing, start) = at_once();
    let first = send(&mut window, &pacing, start);
    let lost: Vec<_> = (0..3).map(|_| send(&mut window, &pacing, start)).collect();
    window.lose(lost[0]);
    window.read(start, &pacing, first, told(9, 60));
    assert_eq!(left(&window), 7, "two are on their way");
    window.lose(lost[1]);
    assert_eq!(left(&window), 8);
    window.read(start, &pacing, lost[2], told(8, 60));
    assert_eq!(left(&window), 8);
    window.lose(lost[2]);
    assert_eq!(left(&window), 8, "it was answered");
    for _ in 0..50 {
        let lost = send(&mut window, &pacing, start);
        window.lose(lost);
    }
    assert_eq!(left(&window), 8, "a service that fails at once uses nothing up");
    let before = send(&mut window, &pacing, start);
    let next = start + 61 * SECOND;
    assert!(matches!(window.ask(next, &pacing, None, |_| true), Turn::Go(_)));
    window.lose(before);
    assert_eq!(left(&window), 9, "it was of the window before");
}

#[test]
fn a_place_that_was_never_there_is_not_given_back() {
    let (mut window, pacing, start) = at_once();
    let marks: Vec<_> = (0..4).map(|_| send(&mut window, &pacing, start)).collect();
    window.read(start, &pacing, marks[2], told(0, 9));
    window.lose(marks[3]);
    assert!(matches!(window.ask(start, &pacing, None, |_| true), Turn::Wait(_)), "the fourth had none");
}

#[test]
fn no_more_are_known_to_be_lost_than_there_is_room_for() {
    let (mut window, pacing, start) = at_once();
    let first = send(&mut window, &pacing, start);
    for _ in 0..MAX_LOST + 10 {
        let lost = send(&mut window, &pacing, start);
        window.lose(lost);
    }
    assert_eq!(window.lost.len(), MAX_LOST);
    window.read(start, &pacing, first, Reading { left: 100, limit: None, reset: SECOND });
    assert_eq!(left(&window), 90, "too few rather than too many");
}

// === The end of a window ===

#[test]
fn of_several_ends_that_one_window_can_have_the_first_counts() {
    let (mut window, pacing, start) = at_once();
    tell(&mut window, &pacing, start, told(9, 60));
    let slow = send(&mut window, &pacing, start + 2 * SECOND);
    assert_eq!(window.ends(), start + 61 * SECOND);
    // Told when it came, and heard of ten seconds later.
    window.read(start + 12 * SECOND, &pacing, slow, told(8, 58));
    assert_eq!((window.ends(), left(&window)), (start + 61 * SECOND, 8));
    tell(&mut window, &pacing, start + 13 * SECOND, told(5, 46));
    assert_eq!((window.ends(), left(&window)), (start + 60 * SECOND, 5));
    tell(&mut window, &pacing, start + 14 * SECOND, told(2, 46));
    assert_eq!((window.ends(), left(&window)), (start + 60 * SECOND, 2));
}

#[test]
fn a_window_that_is_moved_on_is_another() {
    let (mut window, pacing, start) = at_once();
    tell(&mut window, &pacing, start, told(1, 10));
    let mark = send(&mut window, &pacing, start + 5 * SECOND);
    window.read(start + 5 * SECOND, &pacing, mark, told(8, 60));
    assert_eq!((window.ends(), left(&window)), (start + 66 * SECOND, 8));
}

#[test]
fn a_window_that_slides_with_each_answer_is_believed() {
    let (mut window, pacing, start) = at_once();
    for second in 0..100 {
        tell(
            &mut window,
            &pacing,
            start + second * SECOND,
            Reading { left: 700, limit: Some(1000), reset: 60 * SECOND },
        );
    }
    assert!(left(&window) > 690 && window.ends() > start + 155 * SECOND);
}

#[test]
fn of_two_limits_the_younger_answer_tells_which_counts() {
    let (mut window, pacing, start) = at_once();
    let limit = |left, reset| Reading { left, limit: None, reset: Duration::from_secs(reset) };
    tell(&mut window, &pacing, start, limit(40, 3000));
    tell(&mut window, &pacing, start + SECOND, limit(5, 29));
    assert_eq!((window.ends(), left(&window)), (start + 31 * SECOND, 5), "by the hour, then by the minute");
    tell(&mut window, &pacing, start + 2 * SECOND, limit(3, 2998));
    assert_eq!((window.ends(), left(&window)), (start + 3001 * SECOND, 3));
    assert_eq!(window.known.as_ref().unwrap().length, 2999 * SECOND);
}

#[test]
fn the_next_window_is_taken_to_be_like_the_last_until_an_answer_tells() {
    let (mut window, pacing, start) = at_once();
    tell(&mut window, &pacing, start, told(0, 59));
    assert_eq!(go(&mut window, &pacing, start).0, 0);
    assert_eq!(go(&mut window, &pacing, start + 59 * SECOND).0, 0, "the margin");
    let next = start + 60 * SECOND;
    let first = send(&mut window, &pacing, next);
    let (sent, turn) = go(&mut window, &pacing, next);
    assert_eq!(sent, 9);
    assert!(matches!(turn, Turn::Wait(hold) if hold.until == next + 60 * SECOND), "{turn:?}");
    window.read(next + SECOND, &pacing, first, told(9, 29));
    assert!(matches!(window.ask(next, &pacing, None, |_| true), Turn::Wait(hold) if hold.until == next + 31 * SECOND));
}

#[test]
fn a_late_answer_from_the_window_before_blocks_none() {
    let (mut window, pacing, start) = paced(Pacing::genesys().spread_below(0.0).margin(5 * SECOND));
    tell(&mut window, &pacing, start, told(9, 60));
    let late = send(&mut window, &pacing, start + SECOND);
    let later = send(&mut window, &pacing, start + 30 * SECOND);
    let now = start + 66 * SECOND;
    send(&mut window, &pacing, now);
    window.read(now, &pacing, late, told(0, 59));
    assert!(window.known.as_ref().unwrap().assumed);
    assert_eq!(left(&window), 9);
    // But it may have been answered by the next.
    window.read(now, &pacing, later, told(3, 55));
    assert_eq!((left(&window), window.ends()), (2, now + 60 * SECOND), "one was sent after it");
    window.read(now, &pacing, late, told(0, 59));
    assert_eq!(left(&window), 2, "an older one");
}

#[test]
fn of_the_window_before_is_what_was_sent_before_this_one_and_tells_of_no_later_end() {
    let (mut window, pacing, start) = at_once();
    tell(&mut window, &pacing, start, told(9, 60));
    let late = send(&mut window, &pacing, start + SECOND);
    let next = start + 61 * SECOND;
    let first = send(&mut window, &pacing, next);
    window.read(next, &pacing, late, told(0, 60));
    assert!(window.known.as_ref().unwrap().assumed, "an end within the second that rounding makes is no later one");
    window.read(next, &pacing, first, told(5, 1));
    assert!(!window.known.as_ref().unwrap().assumed, "sent as it began");
    assert_eq!(left(&window), 5);
}

#[test]
fn a_window_that_was_heard_of_at_its_end_says_little_of_how_long_the_next_is() {
    let (mut window, pacing, start) = at_once();
    tell(&mut window, &pacing, start, told(9, 59));
    let second = send(&mut window, &pacing, start + 60 * SECOND);
    window.read(start + 112 * SECOND, &pacing, second, told(9, 7));
    assert_eq!(window.ends(), start + 120 * SECOND);
    send(&mut window, &pacing, start + 121 * SECOND);
    assert_eq!(window.ends(), start + 180 * SECOND + SECOND, "a minute again");
}

#[test]
fn if_no_answer_tells_in_a_whole_window_nothing_is_known() {
    let (mut window, pacing, start) = paced(Pacing::genesys());
    tell(&mut window, &pacing, start, told(0, 9));
    send(&mut window, &pacing, start + 10 * SECOND);
    assert!(window.known.is_some());
    send(&mut window, &pacing, start + 20 * SECOND);
    assert!(window.known.is_none());
    assert_eq!(window.ends(), start, "and it may be forgotten");
}

#[test]
fn what_was_forgotten_says_nothing() {
    let (mut window, pacing, start) = at_once();
    let (mut other, ..) = at_once();
    let mark = send(&mut other, &pacing, start);
    window.read(start, &pacing, mark, told(0, 9));
    assert!(window.known.is_none());
    tell(&mut window, &pacing, start, told(5, 9));
    window.lose(mark);
    assert_eq!(left(&window), 5);
}

#[test]
fn a_limit_of_none_at_all_lets_one_through_in_each_window() {
    let (mut window, pacing, start) = paced(Pacing::genesys());
    tell(&mut window, &pacing, start, Reading { left: 0, limit: Some(0), reset: SECOND });
    assert_eq!(go(&mut window, &pacing, start).0, 0);
    assert_eq!(go(&mut window, &pacing, start + 2 * SECOND).0, 1);
}

proptest! {
    /// A server that counts what arrives in fixed windows and tells with rounded seconds, when a request comes or when it is
    /// answered; answers overtake each other; some requests are lost, and never come there; one client.
    #[test]
    fn a_server_is_never_asked_for_more_than_it_allows(
        allowed in 2..40_u32,
        seconds in 5..60_u64,
        down in any::<bool>(),
        on_arrival in any::<bool>(),
        requests in proptest::collection::vec((0..3_000_u64, 1..8_000_u64, 0..10_u32), 20..200),
    ) {
        let millis = Duration::from_millis;
        let (mut window, pacing, start) = paced(Pacing::genesys());
        let length = Duration::from_secs(seconds);
        let mut server = (start, 0_u32);
        let mut now = start;
        let mut answers: VecDeque<(Instant, Mark, Option<Reading>)> = VecDeque::new();
        for (gap, latency, fate) in requests {
            now += millis(gap);
            let mut ticket = None;
            let mark = loop {
                answers.make_contiguous().sort_unstable_by_key(|(at, ..)| *at);
                while answers.front().is_some_and(|(at, ..)| *at <= now) {
                    let (at, mark, reading) = answers.pop_front().unwrap();
                    match reading {
                        Some(reading) => window.read(at, &pacing, mark, reading),
                        None => window.lose(mark),
                    }
                }
                match window.ask(now, &pacing, ticket, |_| true) {
                    Turn::Go(sent) => break window.send(sent.unwrap(), now),
                    Turn::At(place) => {
                        ticket = Some(place);
                        now = place.at;
                    }
                    Turn::Wait(hold) => now = hold.until,
                }
            };
            if fate == 0 {
                answers.push_back((now + millis(latency), mark, None));
                continue;
            }
            while now - server.0 >= length {
                server = (server.0 + length, 0);
            }
            server.1 += 1;
            // What is sent before the first answer is not paced.
            prop_assume!(window.known.is_some() || server.1 <= allowed);
            prop_assert!(server.1 <= allowed, "{} of {allowed}", server.1);
            let told_at = if on_arrival { now } else { (now + millis(latency)).min(server.0 + length - millis(1)) };
            let rest = server.0 + length - told_at;
            let reset = if down { rest.as_secs() } else { rest.as_secs() + u64::from(rest.subsec_nanos() > 0) };
            let reading = Reading { left: allowed - server.1, limit: Some(allowed), reset: Duration::from_secs(reset) };
            answers.push_back((now + millis(latency), mark, Some(reading)));
        }
    }
}
