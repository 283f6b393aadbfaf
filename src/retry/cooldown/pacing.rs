//! What a server says of its rate limit, and what is made of it.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::HeaderMap;

use crate::{retry::hints::split, retry_after::server_time};

/// Keeps requests within the rate limit that the server tells with every answer, so that the 429 is not provoked in the
/// first place; for [`CooldownLayer::pace`](super::CooldownLayer::pace).
///
/// # The arithmetic
///
/// An answer says how many requests are *left* of how many the server *allows*, and in how many seconds the window ends.
/// From what is left, those are taken off that were sent after the request that is answered. Of answers that overtake each
/// other, that to the request which was sent last counts: it is the newest. Then, for each request:
///
/// * One that was never sent, or never came to the server, because it could not connect, has used nothing.
/// * While more is left than a fifth of what is allowed ([`spread_below`](Self::spread_below)): it is sent at once.
/// * Below that requests are spread over the rest of the window: with *n* left and *t* to go, the next is sent after *t / n*,
///   and each has its place in the line.
/// * With nothing left it waits for the window's end and one second more ([`margin`](Self::margin)), since seconds are rounded
///   one way or the other; plus up to a tenth of the window, 5 s at the most, so that not all come at once.
/// * The next window is taken to allow as much for as long, until an answer tells; less those that were sent when it may have begun
///   already. A window that slides on with the answers is one after the other.
///
/// A wait that is longer than [`max_wait`](super::CooldownLayer::max_wait) or the request's [`Deadline`](crate::Deadline) is
/// not begun, and fails as with a cool-down.
///
/// # What it does not do
///
/// Until the first answer nothing is known, and nothing waits: a thousand requests at once, first of all, provoke what they
/// provoke. Others who use the same limit are noticed by what is left, with the next answer. Windows of a few seconds are too
/// short for times in whole seconds: requests wait longer than they must. Where limits differ from route to route, tell the
/// routes apart by [`CooldownLayer::credential`](super::CooldownLayer::credential).
#[derive(Clone, Debug)]
#[must_use = "it does nothing until it is given to a layer"]
pub struct Pacing {
    dialect: Dialect,
    spread_below: f64,
    pub(super) margin: Duration,
}

#[derive(Clone, Copy, Debug)]
enum Dialect {
    Genesys,
    RateLimit,
    XRateLimit,
}

/// What one answer says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Reading {
    pub(super) left: u32,
    /// The most that may be left.
    pub(super) limit: Option<u32>,
    /// Until the window ends.
    pub(super) reset: Duration,
}

// === impl Pacing ===

impl Pacing {
    /// By `inin-ratelimit-count`, `inin-ratelimit-allowed` and `inin-ratelimit-reset`, as Genesys Cloud sends them.
    pub fn genesys() -> Self {
        Self::new(Dialect::Genesys)
    }

    /// By `RateLimit: "name";r=1;t=2`, as the IETF's draft has it, of which the limit counts that has the least left; or by
    /// `RateLimit-Remaining`, `RateLimit-Reset` and `RateLimit-Limit`, as its earlier versions had it. Where no limit is told, it
    /// is taken to be the most that was left.
    pub fn rate_limit() -> Self {
        Self::new(Dialect::RateLimit)
    }

    /// By `X-RateLimit-Remaining`, `X-RateLimit-Reset` and `X-RateLimit-Limit`. The reset is in seconds from now, or, if that
    /// would be more than 30 years, since 1970.
    pub fn x_rate_limit() -> Self {
        Self::new(Dialect::XRateLimit)
    }

    /// Which part of what is allowed is spread over the rest of the window, from 0 (none, requests are sent at once until
    /// nothing is left) to 1 (all). Defaults to 0.2.
    pub fn spread_below(mut self, part: f64) -> Self {
        self.spread_below = if part.is_finite() { part.clamp(0.0, 1.0) } else { self.spread_below };
        self
    }

    /// How long after the end of a window as the server tells it the next one is taken to begin. Defaults to 1 s; one hour at
    /// the most.
    pub fn margin(mut self, margin: Duration) -> Self {
        self.margin = margin.min(HOUR);
        self
    }

    pub(super) fn is_little(&self, left: u32, limit: u32) -> bool {
        f64::from(left) <= f64::from(limit) * self.spread_below
    }

    /// `None` if it says nothing, or nothing that can be understood.
    pub(super) fn read(&self, headers: &HeaderMap, now: SystemTime, max_reset: Duration) -> Option<Reading> {
        let number = |name: &str| number(headers.get(name)?.to_str().ok()?);
        let count = |name: &str| number(name).map(saturating);
        let (left, limit, reset) = match self.dialect {
            Dialect::Genesys => {
                let allowed = count("inin-ratelimit-allowed")?;
                let left = allowed.saturating_sub(count("inin-ratelimit-count")?);
                (left, Some(allowed), number("inin-ratelimit-reset")?)
            }
            Dialect::RateLimit => tightest(headers).or_else(|| {
                Some((count("ratelimit-remaining")?, count("ratelimit-limit"), number("ratelimit-reset")?))
            })?,
            Dialect::XRateLimit => {
                let reset = number("x-ratelimit-reset")?;
                let reset = if reset > THIRTY_YEARS { since(reset, headers, now) } else { reset };
                (count("x-ratelimit-remaining")?, count("x-ratelimit-limit"), reset)
            }
        };
        Some(Reading { left, limit, reset: Duration::from_secs(reset).min(max_reset) })
    }

    /// What is left, of how many, and until when.
    #[cfg(fuzzing)]
    pub(crate) fn told(
        &self,
        headers: &HeaderMap,
        now: SystemTime,
        max_reset: Duration,
    ) -> Option<(u32, Option<u32>, Duration)> {
        self.read(headers, now, max_reset).map(|reading| (reading.left, reading.limit, reading.reset))
    }

    fn new(dialect: Dialect) -> Self {
        Self { dialect, spread_below: 0.2, margin: Duration::from_secs(1) }
    }
}

/// Of `"name";r=1;t=2, "other";r=3;t=4`, that with the least left; with the longest to go, if several have.
fn tightest(headers: &HeaderMap) -> Option<(u32, Option<u32>, u64)> {
    let fields = headers.get_all("ratelimit").iter().filter_map(|field| field.to_str().ok());
    let limits = fields.flat_map(|field| split(field, ',')).filter_map(|limit| {
        let parameter = |name: &str| {
            let mut parameters = split(limit, ';').skip(1).filter_map(|parameter| parameter.trim().split_once('='));
            number(parameters.find(|(found, _)| *found == name)?.1)
        };
        Some((saturating(parameter("r")?), parameter("t")?))
    });
    let (left, reset) = limits.min_by_key(|(left, reset)| (*left, u64::MAX - reset))?;
    Some((left, None, reset))
}

/// How long until then, in seconds, or milliseconds where it can be nothing else. The server's own clock counts, if it tells.
fn since(epoch: u64, headers: &HeaderMap, now: SystemTime) -> u64 {
    let epoch = if epoch >= FIRST_TIME_IN_MS { epoch.div_ceil(1000) } else { epoch };
    let now = server_time(headers).unwrap_or(now).duration_since(UNIX_EPOCH).unwrap_or_default();
    epoch.saturating_sub(now.as_secs())
}

/// Digits only. Too many of them are as many as possible.
fn number(text: &str) -> Option<u64> {
    let text = text.trim_matches([' ', '\t']);
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().unwrap_or(u64::MAX))
}

fn saturating(number: u64) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

const HOUR: Duration = Duration::from_secs(60 * 60);
/// In seconds.
const THIRTY_YEARS: u64 = 30 * 365 * 24 * 60 * 60;
/// In 2001, in milliseconds.
const FIRST_TIME_IN_MS: u64 = 1_000_000_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_secs(24 * 60 * 60);

    fn read(pacing: &Pacing, fields: &[(&'static str, &str)]) -> Option<(u32, Option<u32>, u64)> {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(*name, value.parse().unwrap());
        }
        let now = UNIX_EPOCH + Duration::from_secs(1_800_000_000);
        pacing.read(&headers, now, DAY).map(|reading| (reading.left, reading.limit, reading.reset.as_secs()))
    }

    #[test]
    fn genesys_tells_count_allowed_and_reset() {
        let tell = |count: &str, allowed: &str, reset: &str| {
            let fields =
                [("inin-ratelimit-count", count), ("inin-ratelimit-allowed", allowed), ("inin-ratelimit-reset", reset)];
            read(&Pacing::genesys(), &fields)
        };
        assert_eq!(tell("1", "300", "61"), Some((299, Some(300), 61)));
        assert_eq!(tell("301", "300", " 5 "), Some((0, Some(300), 5)));
        assert_eq!(
            tell("0", "99999999999999999999999", "99999999999999999999999"),
            Some((u32::MAX, Some(u32::MAX), 86_400))
        );
        for (count, allowed, reset) in [("", "300", "5"), ("1", "-300", "5"), ("1", "300", "1.5"), ("a", "b", "c")] {
            assert_eq!(tell(count, allowed, reset), None);
        }
        assert_eq!(read(&Pacing::genesys(), &[("inin-ratelimit-count", "1")]), None);
    }

    #[test]
    fn the_draft_and_its_earlier_versions_are_understood() {
        let pacing = Pacing::rate_limit();
        assert_eq!(read(&pacing, &[("ratelimit", r#""default";r=50;t=30"#)]), Some((50, None, 30)));
        assert_eq!(read(&pacing, &[("ratelimit", r#""hour";r=50;t=3000, "minute"; t=30 ;r=5"#)]), Some((5, None, 30)));
        assert_eq!(
            read(&pacing, &[("ratelimit", r#""a";r=0;t=3"#), ("ratelimit", r#""b";r=0;t=4;pk=:x:"#)]),
            Some((0, None, 4))
        );
        assert_eq!(read(&pacing, &[("ratelimit", r#""a";r=0;t=0, "b";r=0;t=5, "c";r=0;t=1"#)]), Some((0, None, 5)));
        assert_eq!(read(&pacing, &[("ratelimit", r#""a, b";r=1;t=2"#)]), Some((1, None, 2)));
        assert_eq!(read(&pacing, &[("ratelimit", r#""a;r=0;t=99, x";r=5;t=10"#)]), Some((5, None, 10)));
        let earlier = [("ratelimit-remaining", "7"), ("ratelimit-reset", "8")];
        assert_eq!(read(&pacing, &earlier), Some((7, None, 8)));
        assert_eq!(read(&pacing, &[earlier[0], earlier[1], ("ratelimit-limit", "9")]), Some((7, Some(9), 8)));
        for nothing in [r#""default";r=50"#, r#""default";t=5"#, "50", r#""default";r=x;t=5"#, ""] {
            assert_eq!(read(&pacing, &[("ratelimit", nothing)]), None, "{nothing}");
        }
    }

    #[test]
    fn a_reset_with_an_x_is_from_now_or_since_1970() {
        let pacing = Pacing::x_rate_limit();
        let tell = |reset: &str, date: Option<&str>| {
            let mut fields =
                vec![("x-ratelimit-remaining", "7"), ("x-ratelimit-limit", "60"), ("x-ratelimit-reset", reset)];
            fields.extend(date.map(|date| ("date", date)));
            read(&pacing, &fields).map(|(_, _, reset)| reset)
        };
        assert_eq!(tell("30", None), Some(30));
        assert_eq!(tell("1800000042", None), Some(42));
        assert_eq!(tell("1800000041001", None), Some(42), "milliseconds");
        assert_eq!(tell("1799999999", None), Some(0), "past");
        assert_eq!((tell("946080000", None), tell("946080001", None)), (Some(86_400), Some(0)), "thirty years");
        assert_eq!(tell("1800000042", Some("Fri, 15 Jan 2027 08:00:02 GMT")), Some(40), "1,800,000,002");
        assert_eq!(tell("soon", None), None);
    }

    #[test]
    fn what_is_little_is_a_part_of_what_is_allowed() {
        let pacing = Pacing::genesys();
        assert!(pacing.is_little(60, 300) && !pacing.is_little(61, 300));
        assert!(pacing.clone().spread_below(7.0).is_little(300, 300));
        let at_once = pacing.clone().spread_below(0.0);
        assert!(!at_once.is_little(1, 300));
        assert!(pacing.clone().spread_below(f64::NAN).is_little(60, 300), "as if not said");
        assert_eq!(pacing.clone().margin(Duration::from_secs(7)).margin, Duration::from_secs(7));
        assert_eq!(pacing.margin(Duration::MAX).margin, Duration::from_secs(3600), "an hour at the most");
    }

    proptest::proptest! {
        #[test]
        fn whatever_is_sent_is_understood_or_not(fields in proptest::collection::vec((0..11_usize, ".{0,40}|[0-9]{1,12}"), 0..8)) {
            const NAMES: [&str; 11] = [
                "ratelimit", "ratelimit-remaining", "ratelimit-reset", "ratelimit-limit",
                "x-ratelimit-remaining", "x-ratelimit-reset", "x-ratelimit-limit",
                "inin-ratelimit-count", "inin-ratelimit-allowed", "inin-ratelimit-reset", "date",
            ];
            let mut headers = HeaderMap::new();
            for (name, value) in fields {
                headers.extend(value.parse().ok().map(|value| (Some(http::HeaderName::from_static(NAMES[name])), value)));
            }
            for pacing in [Pacing::genesys(), Pacing::rate_limit(), Pacing::x_rate_limit()] {
                if let Some(reading) = pacing.read(&headers, SystemTime::now(), DAY) {
                    proptest::prop_assert!(reading.reset <= DAY);
                    let allowed = reading.limit.filter(|_| matches!(pacing.dialect, Dialect::Genesys));
                    proptest::prop_assert!(allowed.is_none_or(|allowed| reading.left <= allowed));
                }
            }
        }
    }
}
