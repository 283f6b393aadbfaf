//! What the analytics API counted.

use std::collections::BTreeMap;

use super::Fault;

/// What an [`Analytics`](crate::testing::Analytics) counted since it was built.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct AnalyticsStats {
    /// Requests that arrived.
    pub requests: u64,
    /// Responses by status code; a reset or a hang has none.
    pub by_status: BTreeMap<u16, u64>,
    /// Pages of conversations answered whole, empty ones and those of CXone's report included.
    pub pages: u64,
    /// Conversations in those pages.
    pub records: u64,
    /// Requests of a client that arrived after it was answered `Retry-After`, and before that time had passed.
    /// Concurrent requests which could not know of it yet count as well.
    pub requests_inside_retry_after: u64,
    /// Responses with 429 because of the rate limit.
    pub rate_limited: u64,
    /// Responses with 401, faults included.
    pub unauthorized: u64,
    /// The largest number of requests under way at one time.
    pub largest_concurrency: usize,
    /// Jobs that were submitted.
    pub jobs: u64,
    /// Jobs that were deleted.
    pub jobs_deleted: u64,
    /// Faults by kind.
    pub faults: BTreeMap<Fault, u64>,
}
