use std::collections::VecDeque;

use proptest::prelude::*;

use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn told(left: u32, reset: u64) -> Reading {
    Reading { left, limit: Some(10), reset: Duration::from_secs(reset) }
}

/// Those that may go at `now`, and what is told to the next.
fn go(window: &mut Window, pacing: &Pacing, now: Instant) -> (usize, Turn) {
    let mut sent = 0;
    loop {
        match window.ask(now, pacing, None, |_| true) {
            Turn::Go(_) => sent += 1,
            turn => return (sent, turn),
        }
        assert!(sent < 1000, "without an end");
    }
}

fn mark(turn: Turn) -> Option<Mark> {
    match turn {
        Turn::Go(ticket) => ticket.map(|ticket| ticket.mark),
        Turn::At(ticket) => Some(ticket.mark),
        Turn::Wait(_) => None,
    }
}

#[test]
fn a_place_that_is_free_now_needs_no_patience() {
    let (mut window, pacing, start) = (Window::new(), Pacing::genesys().spread_below(1.0), Instant::now());
    let first = mark(window.ask(start, &pacing, None, |_| true));
    window.read(start, &pacing, first, told(5, 60));
    assert!(matches!(window.ask(start, &pacing, None, |_| false), Turn::Go(_)));
    assert!(matches!(window.ask(start, &pacing, None, |_| false), Turn::Wait(_)), "the next place is a while off");
}

#[test]
fn those_who_give_up_leave_the_line_where_they_found_it() {
    let (mut window, pacing, start) = (Window::new(), Pacing::genesys().spread_below(1.0), Instant::now());
    let first = mark(window.ask(start, &pacing, None, |_| true));
    window.read(start, &pacing, first, told(5, 60));
    assert!(matches!(window.ask(start, &pacing, None, |_| true), Turn::Go(_)));
    let tickets: Vec<_> = (0..4)
        .map(|_| match window.ask(start, &pacing, None, |_| true) {
            Turn::At(ticket) => ticket,
            turn => panic!("{turn:?}"),
        })
        .collect();
    for ticket in &tickets {
        window.give_back(*ticket);
    }
    let Turn::At(next) = window.ask(start, &pacing, None, |_| true) else { panic!("it has a place") };
    assert_eq!(next.at, tickets[0].at, "and not at the end of the window");
}

#[test]
fn what_was_given_back_is_not_on_its_way() {
    let (mut window, pacing, start) = (Window::new(), Pacing::genesys().spread_below(0.0), Instant::now());
    let first = mark(window.ask(start, &pacing, None, |_| true));
    let tickets: Vec<_> = (0..4)
        .map(|_| match window.ask(start, &pacing, None, |_| true) {
            Turn::Go(Some(ticket)) => ticket,
            turn => panic!("{turn:?}"),
        })
        .collect();
    for at in [1, 3, 0] {
        window.give_back(tickets[at]);
    }
    // One of four is on its way, whichever.
    window.read(start, &pacing, first, told(3, 60));
    assert_eq!(go(&mut window, &pacing, start).0, 2);
}

#[test]
fn a_window_that_was_heard_of_at_its_end_says_little_of_how_long_the_next_is() {
    let (mut window, pacing, start) = (Window::new(), Pacing::genesys().spread_below(0.0), Instant::now());
    let first = mark(window.ask(start, &pacing, None, |_| true));
    window.read(start, &pacing, first, told(9, 59));
    let second = mark(window.ask(start + 60 * SECOND, &pacing, None, |_| true));
    window.read(start + 112 * SECOND, &pacing, second, told(9, 7));
    assert_eq!(window.ends(), Some(start + 120 * SECOND));
    let _next = window.ask(start + 121 * SECOND, &pacing, None, |_| true);
    assert_eq!(window.ends(), Some(start + 180 * SECOND + SECOND), "a minute again");
}

#[test]
fn a_late_answer_from_the_window_before_blocks_none() {
    let pacing = Pacing::genesys().spread_below(0.0).margin(5 * SECOND);
    let (mut window, start) = (Window::new(), Instant::now());
    let first = mark(window.ask(start, &pacing, None, |_| true));
    window.read(start, &pacing, first, told(9, 60));
    let late = mark(window.ask(start + SECOND, &pacing, None, |_| true));
    let now = start + 66 * SECOND;
    assert!(matches!(window.ask(now, &pacing, None, |_| true), Turn::Go(_)));
    window.read(now, &pacing, late, told(0, 1));
    assert!(matches!(window.ask(now, &pacing, None, |_| true), Turn::Go(_)));
}

#[test]
fn what_is_left_is_spread_over_the_rest_of_the_window() {
    let (mut window, pacing, start) = (Window::new(), Pacing::genesys().spread_below(0.5), Instant::now());
    let first = mark(window.ask(start, &pacing, None, |_| true));
    window.read(start, &pacing, first, told(9, 59));
    // Four at once, then five over the minute that is left, with its second of margin.
    let (sent, turn) = go(&mut window, &pacing, start);
    assert_eq!((sent, turn), (5, turn), "the first of the five goes at once");
    let at = |turn| match turn {
        Turn::At(ticket) => ticket.at - start,
        other => panic!("{other:?}"),
    };
    assert_eq!(at(turn), 12 * SECOND);
    for n in 2..5 {
        assert_eq!(at(window.ask(start, &pacing, None, |_| true)), 12 * n * SECOND);
    }
    let Turn::Wait(hold) = window.ask(start, &pacing, None, |_| true) else { panic!("nothing is left") };
    assert_eq!((hold.until - start, hold.spread, hold.cause), (60 * SECOND, 5 * SECOND, Cause::Paced));
}

#[test]
fn those_on_their_way_are_taken_off_and_those_before_are_not() {
    let (mut window, pacing, start) = (Window::new(), Pacing::genesys().spread_below(0.0), Instant::now());
    let marks: Vec<_> = (0..4).map(|_| mark(window.ask(start, &pacing, None, |_| true))).collect();
    window.read(start, &pacing, marks[0], told(9, 9));
    assert_eq!(window.known.as_ref().unwrap().left, 6, "three are on their way");
    window.read(start, &pacing, marks[3], told(6, 9));
    assert_eq!(window.known.as_ref().unwrap().left, 6, "as many as before");
    window.read(start, &pacing, marks[1], told(1, 9));
    assert_eq!(window.known.as_ref().unwrap().left, 0, "others use the limit too");
    window.read(start, &pacing, marks[2], told(9, 9));
    assert_eq!(window.known.as_ref().unwrap().left, 0, "in one window it never becomes more");
}

#[test]
fn the_next_window_is_taken_to_be_like_the_last_until_an_answer_tells() {
    let (mut window, pacing, start) = (Window::new(), Pacing::genesys().spread_below(0.0), Instant::now());
    window.read(start, &pacing, None, told(0, 59));
    assert_eq!(go(&mut window, &pacing, start).0, 0);
    assert_eq!(go(&mut window, &pacing, start + 59 * SECOND).0, 0, "the margin");
    let next = start + 60 * SECOND;
    let first = mark(window.ask(next, &pacing, None, |_| true));
    let (sent, turn) = go(&mut window, &pacing, next);
    assert_eq!(sent, 9);
    assert!(matches!(turn, Turn::Wait(hold) if hold.until == next + 60 * SECOND), "{turn:?}");
    window.read(next + SECOND, &pacing, None, told(0, 0));
    assert!(window.known.as_ref().unwrap().assumed, "a late answer from the window before");
    window.read(next + SECOND, &pacing, first, told(9, 29));
    assert!(matches!(window.ask(next, &pacing, None, |_| true), Turn::Wait(hold) if hold.until == next + 31 * SECOND));
}

#[test]
fn if_no_answer_tells_in_a_whole_window_nothing_is_known() {
    let (mut window, pacing, start) = (Window::new(), Pacing::genesys(), Instant::now());
    window.read(start, &pacing, None, told(0, 9));
    let Turn::Go(Some(_)) = window.ask(start + 10 * SECOND, &pacing, None, |_| true) else { panic!() };
    assert!(window.ends().is_some());
    let Turn::Go(Some(_)) = window.ask(start + 20 * SECOND, &pacing, None, |_| true) else { panic!() };
    assert!(window.ends().is_none());
}

#[test]
fn a_window_that_begins_sooner_than_thought_is_believed_and_a_late_answer_is_not() {
    let (mut window, pacing, start) = (Window::new(), Pacing::genesys().spread_below(0.0), Instant::now());
    window.read(start, &pacing, None, told(0, 10));
    window.read(start + 5 * SECOND, &pacing, None, told(8, 60));
    assert_eq!(window.ends(), Some(start + 66 * SECOND));
    assert_eq!(window.known.as_ref().unwrap().left, 8);
    window.read(start + 6 * SECOND, &pacing, None, told(0, 4));
    assert_eq!((window.ends(), window.known.as_ref().unwrap().left), (Some(start + 66 * SECOND), 8));
}

#[test]
fn a_place_in_the_line_is_kept_given_back_and_over_with_its_window() {
    let (mut window, pacing, start) = (Window::new(), Pacing::genesys().spread_below(1.0), Instant::now());
    window.read(start, &pacing, None, told(2, 9));
    let Turn::Go(_) = window.ask(start, &pacing, None, |_| true) else { panic!() };
    let Turn::At(ticket) = window.ask(start, &pacing, None, |_| true) else { panic!() };
    assert_eq!(ticket.at, start + 5 * SECOND);
    assert_eq!(window.ask(start + SECOND, &pacing, Some(ticket), |_| true), Turn::At(ticket));
    assert_eq!(window.ask(ticket.at, &pacing, Some(ticket), |_| true), Turn::Go(Some(ticket)));
    assert!(matches!(window.ask(start, &pacing, None, |_| true), Turn::Wait(_)));
    window.give_back(ticket);
    assert_eq!(window.known.as_ref().unwrap().left, 1);
    let next = start + 10 * SECOND;
    let Turn::Go(Some(other)) = window.ask(next, &pacing, Some(ticket), |_| true) else { panic!() };
    assert_ne!(other.mark, ticket.mark);
    window.give_back(ticket);
    assert_eq!(window.known.as_ref().unwrap().left, 9, "what is of another window is not given back");
}

#[test]
fn who_cannot_wait_takes_no_place() {
    let (mut window, pacing, start) = (Window::new(), Pacing::genesys().spread_below(1.0), Instant::now());
    window.read(start, &pacing, None, told(3, 9));
    let Turn::Go(_) = window.ask(start, &pacing, None, |_| true) else { panic!() };
    let Turn::Wait(hold) = window.ask(start, &pacing, None, |_| false) else { panic!() };
    assert!(hold.until > start);
    assert_eq!(window.known.as_ref().unwrap().left, 2);
}

#[test]
fn a_limit_of_none_at_all_lets_one_through_in_each_window() {
    let (mut window, pacing, start) = (Window::new(), Pacing::genesys(), Instant::now());
    window.read(start, &pacing, None, Reading { left: 0, limit: Some(0), reset: SECOND });
    assert_eq!(go(&mut window, &pacing, start).0, 0);
    assert_eq!(go(&mut window, &pacing, start + 2 * SECOND).0, 1);
}

proptest! {
    /// A server that counts what arrives in fixed windows, after a delay, and tells with rounded seconds; one client.
    #[test]
    fn a_server_is_never_asked_for_more_than_it_allows(
        allowed in 2..40_u32,
        seconds in 5..60_u64,
        latency in 1..500_u64,
        down in any::<bool>(),
        gaps in proptest::collection::vec(0..3_000_u64, 20..200),
    ) {
        let millis = Duration::from_millis;
        let (mut window, pacing, start) = (Window::new(), Pacing::genesys(), Instant::now());
        let length = Duration::from_secs(seconds);
        let mut server = (start, 0_u32);
        let mut now = start;
        let mut answers: VecDeque<(Instant, Option<Mark>, Reading)> = VecDeque::new();
        for gap in gaps {
            now += millis(gap);
            let mut ticket = None;
            loop {
                while answers.front().is_some_and(|(at, ..)| *at <= now) {
                    let (at, mark, reading) = answers.pop_front().unwrap();
                    window.read(at, &pacing, mark, reading);
                }
                match window.ask(now, &pacing, ticket, |_| true) {
                    Turn::Go(sent) => {
                        ticket = sent;
                        break;
                    }
                    Turn::At(place) => {
                        ticket = Some(place);
                        now = place.at;
                    }
                    Turn::Wait(hold) => now = hold.until,
                }
            }
            if now - server.0 >= length {
                server = (now, 0);
            }
            server.1 += 1;
            // What is sent before the first answer is not paced.
            prop_assume!(window.known.is_some() || server.1 <= allowed);
            prop_assert!(server.1 <= allowed, "{} of {allowed}", server.1);
            let rest = server.0 + length - now;
            let reset = if down { rest.as_secs() } else { rest.as_secs() + u64::from(rest.subsec_nanos() > 0) };
            let reading = Reading { left: allowed - server.1, limit: Some(allowed), reset: Duration::from_secs(reset) };
            answers.push_back((now + millis(latency), ticket.map(|ticket| ticket.mark), reading));
        }
    }
}
