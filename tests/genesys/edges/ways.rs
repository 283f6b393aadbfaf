//! The ways to page, each as a query and as what makes its pages.

use serde_json::{Map, Value, json};
use tower_oauth2::{
    cxone,
    genesys::{self, ConversationDetails, UserDetails},
    pager::{Place, Query, Rule},
};

use crate::{
    edges::world::{API, INTERVAL, with},
    scripted_api::{Answer, ok},
};

/// One that is told by each page where the next one is, if there is one.
pub(crate) struct Told {
    pub(crate) query: Query,
    /// Where it is told: a JSON pointer, or the name of a header.
    at: &'static str,
    items: &'static str,
    /// What is told is a URL.
    pub(crate) is_url: bool,
}

/// One that counts its pages, and is told how many items there are.
pub(crate) struct Counted {
    pub(crate) query: Query,
    items: &'static str,
    total: &'static str,
}

// === impl Told ===

impl Told {
    /// A page of these items that names its successor `next`.
    pub(crate) fn page(&self, items: &[u32], next: &str) -> Answer {
        match self.at {
            "link" => with(self.without(items), "link", &format!("<{}>; rel=\"next\"", url(next))),
            "x-next" => with(self.without(items), "x-next", next),
            _ => self.saying(items, if self.is_url { url(next).into() } else { next.into() }),
        }
    }

    /// The last page.
    pub(crate) fn last(&self, items: &[u32]) -> Answer {
        self.without(items)
    }

    /// A page with this where its successor is named; `None` if that is not in the body.
    pub(crate) fn page_saying(&self, items: &[u32], next: Value) -> Option<Answer> {
        self.at.starts_with('/').then(|| self.saying(items, next))
    }

    fn without(&self, items: &[u32]) -> Answer {
        let page = if self.items.is_empty() { json!(items) } else { json!({self.items: items}) };
        ok(page.to_string())
    }

    fn saying(&self, items: &[u32], next: Value) -> Answer {
        let mut page = json!({self.items: items});
        let mut place = &mut page;
        let (path, name) = self.at.rsplit_once('/').unwrap();
        for step in path.split('/').skip(1) {
            place = place.as_object_mut().unwrap().entry(step).or_insert(Value::Object(Map::new()));
        }
        place[name] = next;
        ok(page.to_string())
    }
}

// === impl Counted ===

impl Counted {
    pub(crate) fn page(&self, items: &[u32], total: &Value) -> Answer {
        ok(json!({self.items: items, self.total: total}).to_string())
    }
}

pub(crate) fn told() -> Vec<Told> {
    let get = |items: &str, rule| Query::get(format!("{API}/api/v2/x?pageSize=1"), items, rule).unwrap();
    let cursor = || Rule::cursor("/cursor", Place::query("cursor"));
    let told = |query, items, at| Told { query, items, at, is_url: false };
    let linked = |query, items, at| Told { query, items, at, is_url: true };
    vec![
        linked(genesys::listing(API, "/api/v2/x?pageSize=1").unwrap(), "entities", "/nextUri"),
        told(genesys::cursor_listing(API, "/api/v2/x").unwrap(), "entities", "/cursors/after"),
        told(genesys::scan(API, "/api/v2/scan/x").unwrap(), "entities", "/cursors/after"),
        told(genesys::search(API, "/api/v2/x/search", json!({})).unwrap(), "results", "/nextPage"),
        linked(genesys::results(API, json!({})).unwrap(), "results", "/nextPage"),
        told(genesys::entities(API, json!({})).unwrap(), "entities", "/next_page"),
        told(get("/results", cursor()), "results", "/cursor"),
        linked(cxone::report(API, "/services/v30.0/x?top=1", "/contacts").unwrap(), "contacts", "/_links/next"),
        linked(get("", Rule::link_header("next")), "", "link"),
        told(get("", Rule::header_cursor("x-next", Place::query("after"))), "", "x-next"),
    ]
}

pub(crate) fn counted() -> Vec<Counted> {
    let get = |items: &str, rule: Rule, total: &str| {
        Query::get(format!("{API}/api/v2/x?top=1"), items, rule.total(format!("/{total}"))).unwrap()
    };
    let counted = |query, items, total| Counted { query, items, total };
    let details = ConversationDetails::query(API, INTERVAL).page_size(1).build().unwrap();
    let users = UserDetails::query(API, INTERVAL).page_size(1).build().unwrap();
    let numbered = Rule::page_number(Place::query("pageNumber")).page_count("/pageCount");
    let skipped = Rule::offset(Place::query("skip"));
    vec![
        counted(details, "conversations", "totalHits"),
        counted(users, "userDetails", "totalHits"),
        counted(genesys::scim(API, "/api/v2/scim/v2/users").unwrap(), "Resources", "totalResults"),
        counted(get("/entities", numbered, "total"), "entities", "total"),
        counted(get("/contacts", skipped, "totalRecords"), "contacts", "totalRecords"),
    ]
}

/// Three pages of an item each, whatever the way.
pub(crate) fn all() -> Vec<(Query, [Answer; 3])> {
    let told = told().into_iter().map(|way| {
        let pages = [way.page(&[1], "a"), way.page(&[2], "b"), way.last(&[3])];
        (way.query, pages)
    });
    let counted = counted().into_iter().map(|way| {
        let pages = [1, 2, 3].map(|item| way.page(&[item], &json!(3)));
        (way.query, pages)
    });
    told.chain(counted).collect()
}

fn url(token: &str) -> String {
    format!("/api/v2/x?p={token}")
}
