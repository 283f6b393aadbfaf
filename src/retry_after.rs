//! `Retry-After` (RFC 9110 §10.2.3), pure.

use std::time::{Duration, SystemTime};

use http::{
    HeaderMap,
    header::{DATE, RETRY_AFTER},
};

use crate::decimal::{SECOND, decimal};

/// How long the server asks to be left alone: delta-seconds or HTTP-date. The longest, if it says more than one thing, in
/// fields of their own or in one that a proxy has joined (`60, 60`); a date in the past is zero. Seconds with a fraction,
/// which the RFC does not know and servers send, are rounded up: to take them for nothing would be to come early.
///
/// A date is the server's, and so is the time it is measured from, the response's `Date`: clocks differ. `now` counts if
/// there is none.
///
/// `None` if there is no such field, or it is neither: a sign, a unit or anything else around the number.
pub(crate) fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let now = server_time(headers).unwrap_or(now);
    let fields = headers.get_all(RETRY_AFTER).iter();
    fields.filter_map(|field| parse(field.to_str().ok()?.trim_matches([' ', '\t']), now)).max()
}

/// What time it was there when it answered.
pub(crate) fn server_time(headers: &HeaderMap) -> Option<SystemTime> {
    httpdate::parse_http_date(headers.get(DATE)?.to_str().ok()?).ok()
}

fn parse(field: &str, now: SystemTime) -> Option<Duration> {
    if let Ok(date) = httpdate::parse_http_date(field) {
        return Some(date.duration_since(now).unwrap_or_default());
    }
    field.split(',').filter_map(|seconds| decimal(seconds.trim_matches([' ', '\t']), SECOND)).max()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(fields: &[&str]) -> Option<u64> {
        let mut headers = HeaderMap::new();
        for field in fields {
            headers.append(RETRY_AFTER, field.parse().unwrap());
        }
        let now = httpdate::parse_http_date("Sat, 21 Nov 2026 12:00:00 GMT").unwrap();
        retry_after(&headers, now).map(|wait| wait.as_secs())
    }

    #[test]
    fn seconds_and_dates_are_read() {
        assert_eq!(after(&["120"]), Some(120));
        assert_eq!(after(&[" 0 "]), Some(0));
        assert_eq!(after(&["Sat, 21 Nov 2026 12:01:30 GMT"]), Some(90));
        assert_eq!(after(&["Saturday, 21-Nov-26 12:00:05 GMT"]), Some(5));
        assert_eq!(after(&["Sat Nov 21 12:00:07 2026"]), Some(7));
        assert_eq!(after(&["Sat, 21 Nov 2026 11:00:00 GMT"]), Some(0));
        assert_eq!(after(&["1", "30"]), Some(30));
        assert_eq!(after(&["99999999999999999999999"]), Some(u64::MAX));
    }

    #[test]
    fn what_servers_and_proxies_make_of_seconds_is_read_and_never_cut_short() {
        let mut headers = HeaderMap::new();
        headers.insert(RETRY_AFTER, "64.5".parse().unwrap());
        assert_eq!(retry_after(&headers, SystemTime::now()), Some(Duration::from_millis(64_500)));
        assert_eq!(after(&["60, 60"]), Some(60));
        assert_eq!(after(&["1 ,\t30,2"]), Some(30));
        assert_eq!(after(&["7, soon"]), Some(7));
        assert_eq!(after(&["1", "2, 40.25"]), Some(40));
        assert_eq!(after(&["1, Sat, 21 Nov 2026 12:01:30 GMT"]), Some(1), "no list of dates");
    }

    #[test]
    fn a_date_is_measured_with_the_clock_that_set_it() {
        let mut headers = HeaderMap::new();
        headers.insert(RETRY_AFTER, "Sat, 21 Nov 2026 12:00:20 GMT".parse().unwrap());
        let ahead = httpdate::parse_http_date("Sat, 21 Nov 2026 12:00:30 GMT").unwrap();
        assert_eq!(retry_after(&headers, ahead), Some(Duration::ZERO));
        headers.insert(DATE, "Sat, 21 Nov 2026 12:00:00 GMT".parse().unwrap());
        assert_eq!(retry_after(&headers, ahead), Some(Duration::from_secs(20)));
    }

    #[test]
    fn anything_else_is_as_if_absent() {
        assert_eq!(after(&[]), None);
        for bad in
            ["", ",", " , ", "+1", "-1", "1.", ".5", "1.5.", "5 seconds", "soon", "0x10", "1e3", "Sat, 21 Nov 2026"]
        {
            assert_eq!(after(&[bad]), None, "{bad}");
        }
    }
}
