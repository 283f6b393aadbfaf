//! An API like Genesys Cloud's analytics, which wants a bearer token.

mod builder;
mod contacts;
mod cxone;
mod cxone_contact;
mod decide;
mod details;
mod error_body;
mod fault;
mod filter;
mod handle;
mod hash;
mod interval;
mod jobs;
mod limiter;
mod page_token;
mod record_text;
mod records;
mod route;
mod service;
mod stats;
mod tutorial;
mod users;

pub use self::builder::AnalyticsBuilder;
pub use self::fault::{Fault, Faults};
pub use self::handle::Analytics;
pub use self::interval::InvalidInterval;
pub use self::jobs::JobFate;
pub use self::service::AnalyticsService;
pub use self::stats::AnalyticsStats;
