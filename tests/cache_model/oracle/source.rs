//! What the source hears, and what comes of its answers.

use std::time::Duration;

use super::{Ask, At, Cooling, Failures, Known, Launch, Oracle, Owed, Verdict, Waiting};
use crate::event::{Fault, Reply};

impl Oracle {
    pub(super) fn asked(&mut self, ask: u64, at: At, told: Option<u64>) -> Verdict {
        self.counts.requests += 1;
        if self.under_way.iter().any(|known| !self.is_dead(known, at)) {
            return Err(format!("request {ask} leaves while another is under way"));
        }
        if self.asked_at.is_some_and(|last| at < last + self.limits.min_interval) {
            return Err(format!("request {ask} leaves before the least interval is over"));
        }
        let Some(launch) = self.launch.take() else {
            return Err(format!("request {ask} leaves without a reason"));
        };
        if at < launch.at {
            return Err(format!("request {ask} leaves before its reason"));
        }
        // It may have waited for its time: what counts is what was refused when it leaves.
        let known = match (told, self.refused) {
            (Some(told), Some(refused)) => *self.tokens[refused].generation.get_or_insert(told) == told,
            (told, refused) => told.is_none() && refused.is_none(),
        };
        if !known {
            let refused = self.refused.map(|refused| &self.tokens[refused].secret);
            return Err(format!("request {ask} is told that {told:?} was refused; {refused:?} was"));
        }
        self.asked_at = Some(at);
        self.cooling.clear();
        self.last_ask = ask;
        self.under_way.push(Ask { ask, at, told: self.refused, void: false });
        Ok(())
    }

    /// A token request has ended, by itself or by its timeout.
    pub(super) fn landed(&mut self, ask: u64, at: At, reply: &Reply) -> Verdict {
        let Some(place) = self.under_way.iter().position(|known| known.ask == ask) else {
            return Err(format!("request {ask} ended twice"));
        };
        let ended = self.under_way.remove(place);
        let dead = self.is_dead(&ended, at);
        match reply {
            _ if ended.void => self.supersede(at, dead),
            Reply::Token { secret, sent, lifetime } => {
                let lifetime = lifetime.unwrap_or(self.limits.default_lifetime).min(LONGEST_LIFE);
                let token = Known {
                    generation: None,
                    secret: secret.clone(),
                    sent: *sent,
                    landed: at,
                    lifetime,
                    expires: *sent + lifetime,
                };
                self.minted_by(&ended, dead, token);
            }
            // Somebody has taken over, and is who counts.
            Reply::Failed { .. } if dead && self.last_ask > ask => self.supersede(at, dead),
            Reply::Failed { fault, transient, retry_after } => {
                self.counts.failed += 1;
                self.failing |= !dead;
                self.perhaps_failing |= dead;
                let cooling = self.cool(*fault, *transient, *retry_after, (ended.at, at), dead);
                if dead {
                    self.late_failures += 1;
                    // Whether somebody has taken over by now is open.
                    self.cooling.push(cooling.clone());
                    self.sure = false;
                    self.late.push((at, Owed::Failed(cooling)));
                } else {
                    self.cooling = vec![cooling.clone()];
                    self.sure = true;
                    self.owe(&Owed::Failed(cooling));
                }
            }
        }
        Ok(())
    }

    fn minted_by(&mut self, ask: &Ask, dead: bool, token: Known) {
        let at = token.landed;
        if dead && self.valid(at).is_some_and(|held| self.tokens[held].sent > token.sent) {
            self.supersede(at, dead);
            return;
        }
        // Refused while it was under way: it brings what nobody wants.
        let unwanted = |refused: usize| self.tokens[refused].secret == token.secret && ask.told != Some(refused);
        if self.refused.is_some_and(unwanted) {
            self.supersede(at, dead);
            return;
        }
        self.counts.minted += 1;
        let keeps = at < token.expires;
        self.tokens.push(token);
        let new = self.tokens.len() - 1;
        if keeps {
            self.held = Some(new);
            self.makeshift = false;
        }
        self.forget_failures();
        if dead {
            self.late.push((at, Owed::Token(new)));
        } else {
            self.owe(&Owed::Token(new));
        }
    }

    fn supersede(&mut self, at: At, dead: bool) {
        self.counts.superseded += 1;
        if !dead {
            self.lose_flight(at);
        }
    }

    /// All who wait get the same.
    fn owe(&mut self, owed: &Owed) {
        let at = match owed {
            Owed::Token(token) => self.tokens[*token].landed,
            Owed::Failed(cooling) => cooling.landed,
        };
        for waiting in self.waiting.values_mut().filter(|waiting| !waiting.adrift) {
            waiting.owed = Some(owed.clone());
        }
        if self.waiting.values().any(|waiting| waiting.adrift) {
            self.late.push((at, owed.clone()));
            self.reason(at, false);
        }
    }

    /// Those who wait decide anew.
    pub(super) fn lose_flight(&mut self, at: At) {
        for waiting in self.waiting.values_mut() {
            waiting.lost += 1;
        }
        if !self.waiting.is_empty() {
            let unserved = |waiting: &Waiting| self.serving(at, waiting.min_ttl).is_none();
            let must = self.cooling.is_empty() && self.waiting.values().any(unserved);
            self.reason(at, must);
        }
    }

    /// For a request that left and ended `when`.
    fn cool(&mut self, fault: Fault, transient: bool, after: Option<Duration>, when: (At, At), dead: bool) -> Cooling {
        let (left, at) = when;
        let counted = if transient { &mut self.transient } else { &mut self.permanent };
        counted.1 += 1;
        if !dead {
            counted.0 += 1;
        }
        let Failures(least, most) = *counted;
        let pause = |base: Duration, cap: Duration, growth: u32, failures: u32| {
            base.saturating_mul(growth.saturating_pow(failures.saturating_sub(1).min(10))).min(cap)
        };
        let after = at + after.unwrap_or_default().min(self.limits.max_retry_after);
        let until = |end: At| end.max(after).max(left + self.limits.min_interval);
        let ends = if transient {
            let (base, cap) = (Duration::from_secs(2), Duration::from_secs(30));
            let steady = least > 1 && pause(base, cap, 4, least - 1) == cap;
            let least = if steady { cap.mul_f64(0.95) } else { Duration::ZERO };
            (until(left + least), until(left + pause(base, cap, 4, most)))
        } else {
            let (base, cap) = (Duration::from_secs(60), Duration::from_secs(15 * 60));
            (until(at + pause(base, cap, 2, least)), until(at + pause(base, cap, 2, most)))
        };
        Cooling { fault, transient, landed: at, ends }
    }

    /// Somebody has reason to ask, or may have.
    pub(super) fn reason(&mut self, at: At, must: bool) {
        if self.under_way.iter().any(|ask| !self.is_dead(ask, at)) {
            return;
        }
        if self.launching(at).is_none() {
            self.launch = Some(Launch { at, must: None });
        }
        if let Some(launch) = &mut self.launch {
            if launch.must.is_none() {
                launch.must = must.then_some(at);
            }
        }
    }

    /// Whether a token request is about to leave, unless it is so late that it counts as lost.
    pub(super) fn launching(&self, now: At) -> Option<&Launch> {
        let interval = self.asked_at.map(|at| at + self.limits.min_interval);
        let due = |launch: &&Launch| interval.map_or(launch.at, |interval| interval.max(launch.at));
        self.launch.as_ref().filter(|launch| now < due(launch) + self.limits.fetch_timeout * 2)
    }

    /// Those who wait for what is past twice its timeout decide anew.
    pub(super) fn note_dead(&mut self, now: At) {
        let lost = self.under_way.iter().any(|ask| self.is_dead(ask, now))
            || (self.launch.is_some() && self.launching(now).is_none());
        if lost && !self.waiting.is_empty() {
            for waiting in self.waiting.values_mut() {
                (waiting.lost, waiting.adrift) = (waiting.lost + 1, true);
            }
            self.launch.get_or_insert(Launch { at: now, must: None });
        }
    }
}

const LONGEST_LIFE: Duration = Duration::from_secs(30 * 24 * 60 * 60);
