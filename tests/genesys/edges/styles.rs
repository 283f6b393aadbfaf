//! The styles in which Genesys Cloud and CXone page, with answers as they send them.

use http::Method;
use serde_json::{Value, json};
use tower_oauth2::{
    cxone,
    genesys::{self, ConversationDetails, UserDetails},
    pager::{Place, Query, Rule},
};

use crate::edges::world::{API, INTERVAL};

/// One way to page: the query, what it looks like to who guesses, the pages, the ids on them, and what is sent for the second.
pub(crate) struct Style {
    pub(crate) query: Query,
    pub(crate) guessed: Option<Query>,
    pub(crate) pages: [Value; 2],
    pub(crate) id: &'static str,
    pub(crate) ids: [&'static str; 3],
    pub(crate) second: (Method, String, Option<Value>),
}

pub(crate) fn get(path: &str) -> Query {
    Query::auto_get(format!("{API}{path}")).unwrap()
}

fn post(path: &str, body: &Value) -> Query {
    Query::auto_post(format!("{API}{path}"), body.clone()).unwrap()
}

fn follow(url: String) -> (Method, String, Option<Value>) {
    (Method::GET, url, None)
}

/// Conversations as they are, the last of them not over yet.
pub(crate) fn details() -> Style {
    let conversation = |id: &str, end: Value| {
        json!({
            "conversationId": id, "conversationStart": "2026-02-02T07:30:00.125Z", "conversationEnd": end,
            "divisionIds": ["000000d1-5555"], "originatingDirection": "outbound",
            "participants": [{"purpose": "agent", "sessions": [{"mediaType": "voice", "metrics": [], "segments": []}]}],
        })
    };
    let ended = |id| conversation(id, json!("2026-02-02T07:31:00.000Z"));
    let mut open = conversation("c3", Value::Null);
    open.as_object_mut().unwrap().remove("conversationEnd");
    let path = "/api/v2/analytics/conversations/details/query";
    let filters = json!({"segmentFilters": [{"type": "and", "predicates": [
        {"type": "dimension", "dimension": "mediaType", "operator": "matches", "value": "voice"},
    ]}]});
    let body = |number: u32| {
        json!({
            "interval": INTERVAL, "order": "asc", "orderBy": "conversationStart", "segmentFilters": filters["segmentFilters"],
            "paging": {"pageSize": 2, "pageNumber": number},
        })
    };
    Style {
        query: ConversationDetails::query(API, INTERVAL).page_size(2).filters(filters.clone()).build().unwrap(),
        guessed: Some(post(path, &body(1))),
        pages: [
            json!({"conversations": [ended("c1"), ended("c2")], "totalHits": 3}),
            json!({"conversations": [open], "totalHits": 3}),
        ],
        id: "conversationId",
        ids: ["c1", "c2", "c3"],
        second: (Method::POST, format!("{API}{path}"), Some(body(2))),
    }
}

pub(crate) fn users() -> Style {
    let user =
        |id: &str| json!({"userId": id, "primaryPresence": [{"systemPresence": "ON_QUEUE"}], "routingStatus": []});
    let path = "/api/v2/analytics/users/details/query";
    let body =
        |number: u32| json!({"interval": INTERVAL, "order": "asc", "paging": {"pageSize": 2, "pageNumber": number}});
    Style {
        query: UserDetails::query(API, INTERVAL).page_size(2).build().unwrap(),
        guessed: Some(post(path, &body(1))),
        pages: [
            json!({"userDetails": [user("u1"), user("u2")], "totalHits": 3}),
            json!({"userDetails": [user("u3")], "totalHits": 3}),
        ],
        id: "userId",
        ids: ["u1", "u2", "u3"],
        second: (Method::POST, format!("{API}{path}"), Some(body(2))),
    }
}

/// By its links, and by its numbers.
pub(crate) fn listings() -> [Style; 2] {
    let path = "/api/v2/routing/queues?pageSize=2";
    let uri = |number: u32| format!("{path}&pageNumber={number}");
    let whole = || {
        [
            json!({
                "entities": [{"id": "q1", "selfUri": "/api/v2/routing/queues/q1"}, {"id": "q2"}], "pageSize": 2, "pageNumber": 1,
                "total": 3, "pageCount": 2, "firstUri": uri(1), "selfUri": uri(1), "nextUri": uri(2), "lastUri": uri(2),
            }),
            json!({
                "entities": [{"id": "q3"}], "pageSize": 2, "pageNumber": 2, "total": 3, "pageCount": 2, "firstUri": uri(1),
                "selfUri": uri(2), "previousUri": uri(1), "lastUri": uri(2),
            }),
        ]
    };
    let unlinked = whole().map(|mut page| {
        page.as_object_mut().unwrap().retain(|name, _| !name.ends_with("Uri"));
        page
    });
    let style = |query, pages| Style {
        query,
        guessed: Some(get(path)),
        pages,
        id: "id",
        ids: ["q1", "q2", "q3"],
        second: follow(format!("{API}{}", uri(2))),
    };
    let rule = Rule::page_number(Place::query("pageNumber")).page_count("/pageCount").total("/total");
    [
        style(genesys::listing(API, path).unwrap(), whole()),
        style(Query::get(format!("{API}{path}"), "/entities", rule).unwrap(), unlinked),
    ]
}

/// The next page is a link that holds a cursor, whatever that is called there.
pub(crate) fn linked() -> [Style; 2] {
    ["after", "cursor"].map(|name| {
        let path = "/api/v2/teams?pageSize=2&dateAfter=2026-02-01";
        let next = format!("{path}&{name}=bmV4dDI%3D");
        Style {
            query: genesys::listing(API, path).unwrap(),
            guessed: Some(get(path)),
            pages: [
                json!({"entities": [{"id": "t1"}, {"id": "t2"}], "nextUri": next, "selfUri": path}),
                json!({"entities": [{"id": "t3"}], "selfUri": next, "previousUri": path}),
            ],
            id: "id",
            ids: ["t1", "t2", "t3"],
            second: follow(format!("{API}{next}")),
        }
    })
}

/// A pair of cursors: the scans of external contacts take theirs as `cursor`, all else as `after`.
pub(crate) fn pairs() -> [Style; 2] {
    let scan = ("/api/v2/externalcontacts/scan/contacts?limit=2", "cursor");
    let other = ("/api/v2/externalcontacts/contacts/p1/journey/sessions?pageSize=2", "after");
    [scan, other].map(|(path, name)| {
        let query = if path.contains("/scan/") { genesys::scan(API, path) } else { genesys::cursor_listing(API, path) };
        let next = format!("{path}&{name}=bmV4dDI%3D");
        Style {
            query: query.unwrap(),
            guessed: Some(get(path)),
            pages: [
                json!({"entities": [{"id": "x1"}, {"id": "x2"}], "nextUri": next, "cursors": {"after": "bmV4dDI="}}),
                json!({"entities": [{"id": "x3"}], "cursors": {"before": "YQ=="}}),
            ],
            id: "id",
            ids: ["x1", "x2", "x3"],
            second: follow(format!("{API}{next}")),
        }
    })
}

pub(crate) fn search() -> Style {
    let (path, body) =
        ("/api/v2/users/search", json!({"pageSize": 2, "query": [{"type": "EXACT", "fields": ["state"]}]}));
    let page = |ids: &[&str], number: u32, more: Value| {
        let results: Vec<_> = ids.iter().map(|id| json!({"id": id})).collect();
        let mut page = json!({
            "total": 3, "pageCount": 2, "pageSize": 2, "pageNumber": number, "types": ["users"], "results": results,
        });
        page.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        page
    };
    Style {
        query: genesys::search(API, path, body.clone()).unwrap(),
        guessed: Some(post(path, &body)),
        pages: [
            page(&["s1", "s2"], 1, json!({"currentPage": "eyJxIjoxfQ", "nextPage": "eyJxIjoyfQ=="})),
            page(&["s3"], 2, json!({"currentPage": "eyJxIjoyfQ==", "previousPage": "eyJxIjoxfQ"})),
        ],
        id: "id",
        ids: ["s1", "s2", "s3"],
        second: follow(format!("{API}{path}?q64=eyJxIjoyfQ%3D%3D")),
    }
}

pub(crate) fn scim() -> Style {
    let path = "/api/v2/scim/v2/users?count=2";
    let page = |start: u32, ids: &[&str]| {
        let resources: Vec<_> = ids.iter().map(|id| json!({"id": id})).collect();
        json!({
            "schemas": ["urn:ietf:params:scim:api:messages:2.0:ListResponse"], "totalResults": 3, "startIndex": start,
            "itemsPerPage": 2, "Resources": resources,
        })
    };
    Style {
        query: genesys::scim(API, path).unwrap(),
        guessed: Some(get(path)),
        pages: [page(1, &["m1", "m2"]), page(3, &["m3"])],
        id: "id",
        ids: ["m1", "m2", "m3"],
        second: follow(format!("{API}{path}&startIndex=3")),
    }
}

/// Results of analytics, the query already done.
pub(crate) fn aggregates() -> Style {
    let path = "/api/v2/analytics/conversations/aggregates/jobs/j1/results";
    let group = |id: &str| json!({"id": id, "group": {"mediaType": "voice"}, "data": [{"metrics": []}]});
    Style {
        query: Query::get(format!("{API}{path}"), "/results", Rule::cursor("/cursor", Place::query("cursor"))).unwrap(),
        guessed: Some(get(path)),
        pages: [
            json!({"results": [group("g1"), group("g2")], "cursor": "eyJrIjoiYSt2Lz0ifQ=="}),
            json!({"results": [group("g3")]}),
        ],
        id: "id",
        ids: ["g1", "g2", "g3"],
        second: follow(format!("{API}{path}?cursor=eyJrIjoiYSt2Lz0ifQ%3D%3D")),
    }
}

/// Both shapes of the tutorials, the first with a link of either kind.
pub(crate) fn tutorials() -> [Style; 3] {
    let path = "/api/v2/analytics/conversations/details/query";
    let b = json!({"dateFrom": "2026-02-02T00:00:00.000Z", "size": 50, "query": "type:voice", "groupBy": [], "select": ["id"]});
    let results = |next: String| Style {
        query: genesys::results(API, b.clone()).unwrap(),
        guessed: Some(post(path, &b)),
        pages: [
            json!({"results": [{"id": "r1", "type": "voice"}, {"id": "r2"}], "nextPage": next}),
            json!({"results": [{"id": "r3"}], "nextPage": null}),
        ],
        id: "id",
        ids: ["r1", "r2", "r3"],
        second: follow(format!("{API}{path}?pageToken=t2")),
    };
    let a = json!({"time_filter": {"type": "dateRange"}, "view": "default", "group_by": ["conversation.type"], "size": 250});
    let entities = Style {
        query: genesys::entities(API, a.clone()).unwrap(),
        guessed: Some(post(path, &a)),
        pages: [
            json!({"entities": [{"id": "e1"}, {"id": "e2"}], "next_page": "tok-2"}),
            json!({"entities": [{"id": "e3"}], "next_page": ""}),
        ],
        id: "id",
        ids: ["e1", "e2", "e3"],
        second: (Method::POST, format!("{API}{path}?page_token=tok-2"), Some(a)),
    };
    [results(format!("{path}?pageToken=t2")), results(format!("{API}{path}?pageToken=t2")), entities]
}

pub(crate) fn cxone() -> Style {
    let path = "/incontactapi/services/v30.0/contacts/completed?updatedSince=2026-02-02T00:00:00Z\
                &orderBy=lastUpdateTime%20asc&top=2";
    let page = |ids: &[u32], links: Value| {
        let contacts: Vec<_> = ids
            .iter()
            .map(|id| json!({"contactId": id, "id": format!("k{id}"), "totalDurationSeconds": 31.5}))
            .collect();
        json!({
            "businessUnitId": 4_600_002, "lastPollTime": "2026-02-02T07:00:00.000Z", "totalRecords": 3, "_links": links,
            "completedContacts": contacts,
        })
    };
    let url = |skip: u32| format!("{CXONE}{path}&skip={skip}");
    Style {
        query: cxone::report(CXONE, path, "/completedContacts").unwrap(),
        guessed: Some(Query::auto_get(format!("{CXONE}{path}")).unwrap()),
        pages: [
            page(&[1, 2], json!({"self": url(0), "next": url(2)})),
            page(&[3], json!({"self": url(2), "previous": url(0)})),
        ],
        id: "id",
        ids: ["k1", "k2", "k3"],
        second: follow(url(2)),
    }
}

const CXONE: &str = "https://api-na1.niceincontact.com";
