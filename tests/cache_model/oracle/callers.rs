//! What callers get, and what becomes of their refusals.

use super::{At, Call, Cooling, Oracle, Owed, Verdict, Waiting};
use crate::event::{Fault, Outcome};

impl Oracle {
    pub(super) fn waits(&mut self, caller: u64) -> Verdict {
        let Some(Call { at, min_ttl }) = self.called.take() else { return Err("waits without a call".into()) };
        self.counts.waited += 1;
        if self.serving(at, min_ttl).is_some() && (!self.makeshift || self.cools_surely(at)) {
            return Err(format!("caller {caller} waits although there is a valid token"));
        }
        let joins = self.under_way.iter().any(|ask| !self.is_dead(ask, at)) || self.launching(at).is_some();
        if !joins && self.cools_surely(at) {
            return Err(format!("caller {caller} waits although the source is not to be asked now"));
        }
        if let Some(held) = self.valid(at).filter(|_| self.makeshift && !joins) {
            self.note_refusal(held, at);
        }
        self.reason(at, true);
        self.waiting.insert(caller, Waiting { min_ttl, ..Waiting::default() });
        Ok(())
    }

    pub(super) fn got(&mut self, caller: u64, at: At, outcome: &Outcome) -> Verdict {
        let called = self.called.take();
        let waited = self.waiting.remove(&caller);
        let lost = waited.as_ref().map_or(0, |waited| waited.lost);
        let late = self.late.iter().filter(|(landed, _)| lost > 0 && waited.is_some() && *landed == at);
        for (_, owed) in late.cloned().collect::<Vec<_>>() {
            // This caller had not given it up yet.
            if waited.as_ref().is_some_and(|waited| self.check(caller, waited, &owed, at, outcome).is_ok()) {
                return Ok(());
            }
        }
        if let Some(waited @ Waiting { owed: Some(owed), .. }) = &waited {
            return self.check(caller, waited, owed, at, outcome);
        }
        if waited.is_some() && lost == 0 {
            return Err(format!("caller {caller} got something out of nothing"));
        }
        if matches!(outcome, Outcome::Failed { fault: Fault::Abandoned, .. }) {
            return if lost >= 16 { Ok(()) } else { Err(format!("caller {caller} was let down after {lost} flights")) };
        }
        let min_ttl = match (&waited, called) {
            (Some(waited), _) => waited.min_ttl,
            (None, called) => called.map(|call| call.min_ttl).unwrap_or_default(),
        };
        if let Some(held) = self.serving(at, min_ttl) {
            let (begins, due) = self.refresh(&self.tokens[held]);
            if at >= begins && !self.cools_surely(at) && !self.makeshift {
                let perhaps = self.cools_perhaps(at);
                // One that waited may have got it from the flight itself.
                self.reason(at, called.is_some() && at >= due && !perhaps);
            }
            return self.check_token(caller, held, at, outcome);
        }
        if self.launching(at).is_some_and(|launch| launch.must.is_some()) && lost == 0 {
            return Err(format!("caller {caller} was to wait for the token request"));
        }
        let cooling = self.cooling.clone();
        self.check_failure(caller, &cooling, at, outcome)
    }

    fn check(&mut self, caller: u64, waited: &Waiting, owed: &Owed, at: At, outcome: &Outcome) -> Verdict {
        match owed {
            // A token that ends too soon, or was refused, is better than none again.
            Owed::Failed(_) if matches!(outcome, Outcome::Token { .. }) => match self.serving(at, waited.min_ttl) {
                Some(held) => {
                    if at >= self.refresh(&self.tokens[held]).0 && !self.makeshift {
                        self.reason(at, false);
                    }
                    self.check_token(caller, held, at, outcome)
                }
                None => Err(format!("caller {caller} got a token of a request that failed")),
            },
            Owed::Failed(_)
                if self.serving(at, waited.min_ttl).is_some() && (!self.makeshift || self.cools_surely(at)) =>
            {
                Err(format!("caller {caller} got an error although there is a valid token"))
            }
            Owed::Token(token) => self.check_token(caller, *token, at, outcome),
            Owed::Failed(cooling) => self.check_failure(caller, std::slice::from_ref(cooling), at, outcome),
        }
    }

    fn check_token(&mut self, caller: u64, expected: usize, at: At, outcome: &Outcome) -> Verdict {
        let token = &self.tokens[expected];
        let Outcome::Token { generation, secret, expires } = outcome else {
            return Err(format!("caller {caller} got an error, and there is {}", token.secret));
        };
        let over = at >= token.expires && at != token.landed;
        let other = *secret != token.secret || expires.is_some_and(|expires| expires != token.expires);
        if other || over || self.dropped.contains(&expected) {
            return Err(format!("caller {caller} got {secret} (generation {generation}) for {}", token.secret));
        }
        let before = self.tokens[..expected].iter().filter_map(|token| token.generation).max();
        let after = self.tokens[expected + 1..].iter().filter_map(|token| token.generation).min();
        let grows = before.is_none_or(|before| before < *generation) && after.is_none_or(|after| *generation < after);
        let known = self.tokens[expected].generation.get_or_insert(*generation);
        if known != generation || !grows {
            return Err(format!("caller {caller} got generation {generation} out of order"));
        }
        Ok(())
    }

    fn check_failure(&mut self, caller: u64, expected: &[Cooling], at: At, outcome: &Outcome) -> Verdict {
        let Outcome::Failed { fault, transient, retry_at: Some(retry_at) } = outcome else {
            return Err(format!("caller {caller} got {outcome:?}; there is no token for it, but an error"));
        };
        let fits = |cooling: &&Cooling| {
            let (first, last) = cooling.ends;
            (cooling.fault, cooling.transient) == (*fault, *transient) && (first..=last).contains(retry_at)
        };
        let Some(known) = expected.iter().find(fits).filter(|known| at < *retry_at || at == known.landed) else {
            return Err(format!("caller {caller} got {outcome:?}, which is not the failure there was"));
        };
        let learnt = Cooling { ends: (*retry_at, *retry_at), ..known.clone() };
        for waiting in self.waiting.values_mut() {
            if waiting.owed.is_some() {
                waiting.owed = Some(Owed::Failed(learnt.clone()));
            }
        }
        // A token may have come since.
        if self.cooling.iter().any(|cooling| fits(&cooling)) {
            self.cooling = vec![learnt];
            self.sure = true;
        }
        Ok(())
    }

    pub(super) fn reject(&mut self, generation: u64, at: At, renewable: bool, dropped: bool) -> Verdict {
        let known = self.tokens.iter().position(|token| token.generation == Some(generation));
        // One that is over says nothing about those that came after it.
        let valid = self.valid(at).is_some();
        let held = self.held.filter(|held| valid || known.is_none_or(|known| *held >= known));
        if held.is_some_and(|held| self.tokens[held].generation != Some(generation)) {
            return if renewable { Ok(()) } else { Err(format!("the late refusal of {generation} is taken to heart")) };
        }
        let Some(token) = known else {
            return Err(format!("nobody has got {generation}"));
        };
        self.refused = self.refused.max(Some(token));
        let cooling = (self.cools_surely(at), self.cools_perhaps(at));
        let Some(held) = held else {
            return if (renewable && cooling.0) || (!renewable && !cooling.1) {
                Err(format!("refused: {generation}, which is gone; renewable: {renewable}"))
            } else {
                Ok(())
            };
        };
        // The source failed, and is asked again: what is refused meanwhile serves on if it fails once more.
        let failed = self.failing && !cooling.0;
        let perhaps_failed = (self.failing || self.perhaps_failing) && !cooling.0;
        let under_way = self.under_way.iter().any(|ask| !self.is_dead(ask, at));
        let launching = self.launching(at);
        let (surely, perhaps) =
            (under_way || launching.is_some_and(|launch| launch.must.is_some()), launching.is_some());
        if renewable && valid && perhaps_failed && (surely || perhaps) && !dropped {
            self.makeshift = true;
            return Ok(());
        }
        if renewable && (!dropped || (valid && failed && surely)) {
            return Err(format!("{generation}: dropped {dropped}, and the source, which failed, is asked: {surely}"));
        }
        let known = &self.tokens[held];
        let interval = self.limits.flap_interval;
        let young = at - known.landed < interval.min((known.expires - known.landed) / 2);
        let within =
            |forced: Option<At>| young && !self.makeshift && forced.is_some_and(|forced| at < forced + interval);
        let flaps = (within(self.forced_at), within(self.perhaps_forced_at));
        match renewable {
            false if !cooling.1 && !flaps.0 && !flaps.1 => Err(format!("the refusal of {generation} is not heard")),
            true if cooling.0 => Err(format!("{generation} is dropped while the source is not to be asked")),
            true if flaps.0 => Err(format!("{generation} is dropped right after another was")),
            false => {
                // What has kept it is open if both may have; then a cool-down is taken for the reason.
                self.makeshift |= cooling.1;
                Ok(())
            }
            true => {
                if self.valid(at).is_some() {
                    self.note_refusal(held, at);
                }
                self.held = None;
                self.makeshift = false;
                self.dropped.insert(held);
                self.counts.rejected += 1;
                Ok(())
            }
        }
    }

    pub(super) fn invalidate(&mut self) {
        self.counts.invalidated += 1;
        if let Some(held) = self.held.take() {
            self.refused = Some(held);
            self.dropped.insert(held);
        }
        self.makeshift = false;
        self.forget_failures();
        self.under_way.iter_mut().for_each(|ask| ask.void = true);
    }

    /// The next token request comes of a refusal, if none is on its way.
    fn note_refusal(&mut self, held: usize, at: At) {
        if self.makeshift && at >= self.refresh(&self.tokens[held]).0 {
            // It was about to be asked for anyway.
            self.perhaps_forced_at = Some(at);
            return;
        }
        let launch = self.launching(at).map(|launch| launch.must.is_some());
        let flight = self.under_way.iter().any(|ask| !self.is_dead(ask, at));
        match launch {
            _ if flight => {}
            None => (self.forced_at, self.perhaps_forced_at) = (Some(at), None),
            Some(false) => self.perhaps_forced_at = Some(at),
            Some(true) => {}
        }
    }
}
