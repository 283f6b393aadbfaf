//! What can be exported: whose it is, how it is asked for, and what its records are called.

use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use tower_oauth2::{
    cxone,
    genesys::{self, ConversationDetails, ConversationJob},
    pager::{Error, Query},
};

use crate::{args::Shape, period::Period};

/// What to export.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// Genesys Cloud conversations that began within the period, by the details query
    #[default]
    Details,
    /// Genesys Cloud conversations with activity within the period, with attributes, by details jobs
    Job,
    /// Genesys Cloud users
    Users,
    /// Genesys Cloud external contacts
    Contacts,
    /// NICE CXone contacts that were completed, by the time they began
    CxoneContacts,
}

/// Whose API it is, which decides how to sign in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Vendor {
    Genesys,
    Cxone,
}

/// How the records of adjacent parts of a period overlap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overlap {
    /// They do not.
    None,
    /// A record is in each part that it was active in.
    Activity,
    /// A record may be in each part that it was active in, and is of the one that it began in, as the member of this name
    /// says.
    Start(&'static str),
    /// One that began, as the member of this name says, when a part ends may be in that and in the next one.
    Edge(&'static str),
}

/// What to ask for.
#[derive(Clone, Copy, Debug)]
pub struct Ask<'a> {
    pub api: &'a str,
    pub shape: Shape,
    pub page_size: u32,
    pub filters: &'a Map<String, Value>,
    /// Whether a job is to be left for a later run to go on with, if this one stops.
    pub keep_job: bool,
}

// === impl Source ===

impl Source {
    pub const fn vendor(self) -> Vendor {
        match self {
            Self::Details | Self::Job | Self::Users | Self::Contacts => Vendor::Genesys,
            Self::CxoneContacts => Vendor::Cxone,
        }
    }

    /// As on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Details => "details",
            Self::Job => "job",
            Self::Users => "users",
            Self::Contacts => "contacts",
            Self::CxoneContacts => "cxone-contacts",
        }
    }

    /// What its records are.
    pub const fn noun(self) -> &'static str {
        match self {
            Self::Details | Self::Job => "conversations",
            Self::Users => "users",
            Self::Contacts | Self::CxoneContacts => "contacts",
        }
    }

    /// Whether it is of a period; the others are as they are now.
    pub const fn has_period(self) -> bool {
        matches!(self, Self::Details | Self::Job | Self::CxoneContacts)
    }

    /// Whether `--query` can have filters for it.
    pub const fn has_filters(self) -> bool {
        matches!(self, Self::Details | Self::Job)
    }

    /// Records a page: by default, and the most that the API takes.
    pub const fn page_size(self) -> u32 {
        match self {
            Self::Details => ConversationDetails::MAX_PAGE_SIZE,
            Self::Job => 1_000,
            Self::Users => 100,
            Self::Contacts => 200,
            Self::CxoneContacts => 10_000,
        }
    }

    /// The fewest that it takes.
    pub const fn smallest_page(self) -> u32 {
        if matches!(self, Self::Contacts) { 10 } else { 1 }
    }

    /// What a client has to be allowed.
    pub const fn permission(self) -> &'static str {
        match self {
            Self::Details | Self::Job => "give the client's role the permission analytics:conversationDetail:view",
            Self::Users => "give the client's role the permission directory:user:view",
            Self::Contacts => "give the client's role the permission externalContacts:contact:view",
            Self::CxoneContacts => "give the access key's user a role that may see contact history reports",
        }
    }

    pub const fn overlap(self) -> Overlap {
        match self {
            Self::Job => Overlap::Activity,
            // Whether the end of a period belongs to it is not documented.
            Self::CxoneContacts => Overlap::Edge("contactStartDate"),
            // The API says no more than that they began on a day which the interval touches.
            Self::Details => Overlap::Start("conversationStart"),
            Self::Users | Self::Contacts => Overlap::None,
        }
    }

    /// Whether its parts are asked for from the newest to the oldest.
    pub const fn is_newest_first(self) -> bool {
        matches!(self.overlap(), Overlap::Activity)
    }

    /// Whether the API counts no further than so many records of a part.
    pub const fn counts_to(self) -> Option<u64> {
        if matches!(self, Self::Details) { Some(100_000) } else { None }
    }

    /// The columns of a table, where nobody says which.
    pub const fn fields(self) -> &'static [&'static str] {
        match self {
            Self::Details | Self::Job => &[
                "conversationId",
                "conversationStart",
                "conversationEnd",
                "originatingDirection",
                "divisionIds",
                "participants",
            ],
            Self::Users => &["id", "name", "email", "state", "division.id", "division.name"],
            Self::Contacts => &["id", "firstName", "lastName", "workEmail.email", "workPhone.e164", "modifyDate"],
            Self::CxoneContacts => &[
                "contactId",
                "masterContactId",
                "contactStartDate",
                "lastUpdateTime",
                "mediaTypeName",
                "skillId",
                "skillName",
                "totalDurationSeconds",
                "abandoned",
            ],
        }
    }

    /// The query for a part of the period; for all there is, where there is none.
    ///
    /// # Errors
    ///
    /// If the API is no absolute URL, or a filter has a name that flags decide on.
    pub fn query(self, ask: &Ask<'_>, part: Option<&Period>) -> Result<Query, Error> {
        let Ask { api, page_size, filters, .. } = *ask;
        let [from, to] = part.map(Period::bounds).unwrap_or_default();
        let interval = || format!("{from}/{to}");
        let filters = || Value::Object(filters.clone());
        match self {
            Self::Details => match ask.shape {
                Shape::Details => {
                    ConversationDetails::query(api, interval()).page_size(page_size).filters(filters()).build()
                }
                Shape::Results => {
                    let query = json!({"dateFrom": from, "dateTo": to, "size": page_size});
                    genesys::results(api, merge(query, filters()))
                }
                Shape::Entities => {
                    let time = json!({"type": "dateRange", "from_date": from, "to_date": to});
                    let query = json!({"time_filter": time, "view": "default", "size": page_size});
                    genesys::entities(api, merge(query, filters()))
                }
            },
            Self::Job => {
                let job = ConversationJob::query(api, interval()).page_size(page_size).filters(filters());
                if ask.keep_job { job.keep_unfinished().build() } else { job.build() }
            }
            Self::Users => genesys::listing(api, &format!("/api/v2/users?pageSize={page_size}&sortOrder=ASC")),
            Self::Contacts => genesys::scan(api, &format!("/api/v2/externalcontacts/scan/contacts?limit={page_size}")),
            Self::CxoneContacts => {
                let path = format!("{COMPLETED}?startDate={from}&endDate={to}&top={page_size}");
                cxone::report(api, &path, "/completedContacts")
            }
        }
    }
}

fn merge(mut query: Value, filters: Value) -> Value {
    if let (Value::Object(members), Value::Object(filters)) = (&mut query, filters) {
        members.extend(filters);
    }
    query
}

const COMPLETED: &str = "/incontactapi/services/v30.0/contacts/completed";
