//! Nothing, where nobody wants metrics.

use std::time::Duration;

use super::outcome::Stopped;

pub(super) fn retrying(_: &'static str, _: Duration) {}

pub(super) fn gave_up(_: Stopped) {}

pub(super) fn cooling_down(_: Duration) {}

pub(super) fn held_back(_: &'static str) {}
