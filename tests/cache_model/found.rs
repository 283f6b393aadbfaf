//! Sequences that found something, shrunk.

use std::time::Duration;

use proptest_state_machine::StateMachineTest;

use crate::{
    plan::{Edge, Limits, Plan, Transition, Which},
    script::{Answer, Behavior, Life},
    world::World,
};

#[test]
fn a_failed_takeover_takes_a_token_that_came_meanwhile_from_nobody() {
    let call = |rest| Transition::Call { callers: 1, min_ttl: Duration::ZERO, rest };
    replay(
        // Of those with which the refresh is due when the second request fails.
        12_762_988_247_032_528_572,
        [
            Transition::Source(Behavior::Wait),
            call(true),
            Transition::Sleep { by: Duration::from_secs(3258) },
            call(false),
            Transition::Answer { answer: MINT, rest: false },
            call(true),
        ],
    );
}

#[test]
fn a_refusal_of_what_only_served_in_a_cool_down_counts_for_the_flap_guard() {
    let call = |min_ttl| Transition::Call { callers: 1, min_ttl: Duration::from_secs(min_ttl), rest: true };
    let reject = Transition::Reject { which: Which::Newest, times: 1 };
    replay(
        0,
        [
            call(0),
            Transition::Source(Behavior::Now(Answer::Transient)),
            Transition::AdvanceTo { edge: Edge::HalfLife, beside: 1 },
            call(1_000_000),
            reject.clone(),
            Transition::AdvanceTo { edge: Edge::CoolDownEnds, beside: 0 },
            reject,
            Transition::Source(Behavior::Now(MINT)),
            Transition::UseAndReject,
        ],
    );
}

fn replay<const N: usize>(seed: u64, steps: [Transition; N]) {
    let millis = Duration::from_millis;
    let plan = Plan::new(Limits {
        seed,
        refresh_before: None,
        default_lifetime: millis(300_000),
        min_interval: millis(1_000),
        fetch_timeout: millis(30_000),
        flap_interval: millis(10_000),
        max_retry_after: millis(3_600_000),
    });
    let world = steps.into_iter().fold(World::init_test(&plan), |world, step| World::apply(world, &plan, step));
    World::teardown(world, plan);
}

const MINT: Answer = Answer::Mint(Life::Of(Duration::from_secs(3600)));
