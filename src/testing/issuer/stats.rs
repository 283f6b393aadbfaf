//! What the issuer counted.

use std::collections::BTreeMap;

/// What an [`Issuer`](crate::testing::Issuer) counted since it was built.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct IssuerStats {
    /// Requests that arrived.
    pub requests: u64,
    /// Tokens minted, those whose answer got lost included.
    pub minted: u64,
    /// Refresh tokens taken, each for one of the tokens minted.
    pub refreshes: u64,
    /// Refresh tokens that came again after they had been used up; all that came of that sign-in was revoked.
    pub reuses: u64,
    /// Tokens exchanged for others (RFC 8693).
    pub exchanges: u64,
    /// Requests refused for what they carried.
    pub refused: u64,
    /// Requests that met an [`Outage`](crate::testing::Outage).
    pub failed: u64,
    /// The largest number of requests under way at one time.
    pub largest_concurrency: usize,
    /// Responses by status code; a reset or a hang has none.
    pub requests_by_status: BTreeMap<u16, u64>,
}
