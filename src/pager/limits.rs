//! The limits of a pager.

use std::time::Duration;

/// Set on [`Pager`](super::Pager), which documents each.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub(super) max_pages: u64,
    pub(super) max_empty_pages: u32,
    pub(super) max_page_bytes: usize,
    pub(super) page_attempts: u32,
    pub(super) concurrency: u32,
    pub(super) repeat_check: bool,
    pub(super) idle_timeout: Duration,
    pub(super) body_timeout: Duration,
}

// === impl Limits ===

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_pages: 1_000_000,
            max_empty_pages: 16,
            max_page_bytes: 64 * 1024 * 1024,
            page_attempts: 4,
            concurrency: 1,
            repeat_check: true,
            idle_timeout: Duration::from_secs(30),
            body_timeout: Duration::from_secs(300),
        }
    }
}
