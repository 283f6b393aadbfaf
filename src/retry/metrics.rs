//! What policies and cool-downs do, in numbers for the [`metrics`] facade. The crate's docs have the table of names.

use std::time::Duration;

use metrics::{counter, histogram};

use super::outcome::Stopped;

/// A request is to be sent again.
pub(super) fn retrying(reason: &'static str, wait: Duration) {
    counter!("tower_oauth2_retries_total", "reason" => reason).increment(1);
    histogram!("tower_oauth2_retry_wait_seconds", "reason" => reason).record(wait);
}

/// A request that another attempt might mend is not sent again.
pub(super) fn gave_up(stopped: Stopped) {
    counter!("tower_oauth2_given_up_total", "stopped" => stopped.as_str()).increment(1);
}

/// A cool-down is set, or has become notably longer.
pub(super) fn cooling_down(wait: Duration) {
    counter!("tower_oauth2_cooldowns_total").increment(1);
    histogram!("tower_oauth2_cooldown_seconds").record(wait);
}

/// A request is not sent at once.
pub(super) fn held_back(outcome: &'static str) {
    counter!("tower_oauth2_held_back_total", "outcome" => outcome).increment(1);
}
