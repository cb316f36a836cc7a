//! Pages that are read.

use axum::body::Body;
use control::{Action, Audit, AuditOutcome};
use governance::access::{Component, Level, Rights, Standing, SystemRole};
use http::Request;
use model::IdentityKind;
use serde_json::json;
use std::time::Duration;

use super::visitor::{HOSTILE, Visitor, link_to, location, room};
use crate::console::pages::PAGES;
use crate::operate::drops::groups;
use crate::operate::requests::{Search, search};
use crate::tests::harness::Room;

/// What stands in patterns for something that is there.
fn fill(room: &Room, pattern: &str, record: &str) -> String {
    let rules = room
        .control
        .rules()
        .borrow()
        .account(room.account)
        .cloned()
        .unwrap();
    let key = rules
        .person_key(IdentityKind::Identity, HOSTILE)
        .to_string();
    let path = pattern.strip_prefix("/a/{account}").unwrap();
    let path = path.replace("{key}", &key).replace("{record}", record);
    match path.as_str() {
        "/dictionary/event" => format!("{path}?name=Bought"),
        "/dictionary/property" => format!("{path}?of=person&name=Email"),
        "/drops/samples" => format!("{path}?reason=unknown_url"),
        "/settings/users/user" => format!("{path}?email=bea%40example.com"),
        _ => path,
    }
}

async fn quarantined(room: &Room) -> String {
    let admin = Visitor::new(room, SystemRole::Admin);
    let page = admin.get("/quarantine").await;
    let link = link_to(&page.body, &admin.at("/quarantine/"));
    link.rsplit('/').next().unwrap().to_owned()
}

#[tokio::test]
async fn every_page_renders_is_sound_and_leaves_its_entry() {
    let room = room().await;
    let admin = Visitor::new(&room, SystemRole::Admin);
    let operator = Visitor::new(&room, SystemRole::Operator);
    let bea = [
        ("act", "invite"),
        ("emails", "bea@example.com"),
        ("role", "member"),
        ("confirm", "yes"),
    ];
    for visitor in [&admin, &operator] {
        let role = if std::ptr::eq(visitor, &admin) {
            "member"
        } else {
            "operator"
        };
        let mut form = bea;
        form[2].1 = role;
        location(&visitor.post("/settings/users", &form).await);
    }
    let record = quarantined(&room).await;
    let pages = PAGES
        .iter()
        .filter(|it| it.method == "GET" && it.path.starts_with("/a/{account}/"));
    for page in pages {
        let of_installation = ["/drops", "/drops/samples", "/storage"];
        let path = fill(&room, page.path, &record);
        let is_of_installation = of_installation.iter().any(|it| page.path.ends_with(it));
        let visitor = if is_of_installation {
            &operator
        } else {
            &admin
        };
        let before = match page.audit {
            Audit::Entries(actions) => visitor.audited(actions[0]).await.len(),
            Audit::Nothing | Audit::NothingAs(_) => 0,
        };
        let found = visitor.get(&path).await;
        assert_eq!(found.status, 200, "{path}: {}", found.body);
        if let Audit::Entries(actions) = page.audit {
            let after = visitor.audited(actions[0]).await.len();
            assert!(after > before, "{path} leaves no entry of {:?}", actions[0]);
        }
    }
    for path in [
        "/overview",
        "/requests",
        "/settings/audit",
        "/settings/users",
    ] {
        assert_eq!(operator.get(path).await.status, 200, "{path}");
    }
}

#[tokio::test]
async fn what_is_not_there_and_what_is_elsewhere_is_one_page() {
    let room = room().await;
    let admin = Visitor::new(&room, SystemRole::Admin);
    let operator = room
        .control
        .create_account(&control::Actor::os_user("t"), "other", "UTC")
        .await;
    let other = operator.unwrap().account_id;
    let rules = room
        .control
        .rules()
        .borrow()
        .account(other)
        .cloned()
        .unwrap();
    let elsewhere = rules.person_key(IdentityKind::Identity, "bob");
    let nothing = admin.get("/people/00000000000000000000000000000000").await;
    assert_eq!(nothing.status, 404);
    for path in [
        format!("/people/{elsewhere}"),
        format!("/people/{elsewhere}/delete"),
        String::from("/people/nonsense"),
        String::from("/quarantine/00000000000000000000000000000000"),
        String::from("/dictionary/event?name=nothing"),
        String::from("/settings/roles/edit?name=admin"),
        String::from("/settings/users/user?email=nobody%40example.com"),
        String::from("/drops"),
        String::from("/storage"),
    ] {
        let found = admin.get(&path).await;
        assert_eq!((found.status, &found.body), (404, &nothing.body), "{path}");
    }
}

#[tokio::test]
async fn a_member_sees_no_personal_information_and_cannot_ask_around_it() {
    let room = room().await;
    let member = Visitor::new(&room, SystemRole::Member);
    let rules = room
        .control
        .rules()
        .borrow()
        .account(room.account)
        .cloned()
        .unwrap();
    let key = rules.person_key(IdentityKind::Identity, HOSTILE);
    for path in ["/events", "/people", &format!("/people/{key}"), "/overview"] {
        let page = member.get(path).await;
        assert_eq!(page.status, 200, "{path}");
        assert!(!page.body.contains("ann@example.com</dd>"), "{path}");
        assert!(!page.body.contains("</b> ann@example.com"), "{path}");
    }
    let person = member.get(&format!("/people/{key}")).await.body;
    assert!(
        person.contains("masked") && person.contains("gold"),
        "{person}"
    );
    for query in [
        "by=Email",
        "name=Email&operator=is&value=ann%40example.com",
        "name=Email&operator=exists",
    ] {
        let refused = member.get(&format!("/events?{query}")).await;
        assert_eq!(refused.status, 422, "{query}");
        assert!(refused.body.contains("personal information"), "{query}");
        assert!(!refused.body.contains("Latest events"), "{query}");
    }
    let by_email = [("by", "email"), ("value", "ann@example.com")];
    let by_property = [
        ("by", "property"),
        ("property", "Email"),
        ("value", "ann@example.com"),
    ];
    for form in [&by_email[..], &by_property] {
        let refused = member.post("/people", form).await;
        assert_eq!(refused.status, 422, "{form:?}");
        assert!(refused.body.contains("personal information"), "{form:?}");
    }
    assert_eq!(
        member.get(&format!("/people/{key}/export")).await.status,
        403
    );
}

#[tokio::test]
async fn content_in_quarantine_is_shown_to_those_who_may_see_it_only() {
    let room = room().await;
    let record = quarantined(&room).await;
    let path = format!("/quarantine/{record}");
    let admin = Visitor::new(&room, SystemRole::Admin).get(&path).await;
    assert!(admin.body.contains("Content as received") && admin.body.contains("evtName"));
    let creator = Visitor::new(&room, SystemRole::Creator).get(&path).await;
    assert_eq!(creator.status, 200);
    assert!(!creator.body.contains("evtName"), "{}", creator.body);
}

#[tokio::test]
async fn people_are_found_and_their_names_are_in_no_url() {
    let room = room().await;
    let admin = Visitor::new(&room, SystemRole::Admin);
    let rules = room
        .control
        .rules()
        .borrow()
        .account(room.account)
        .cloned()
        .unwrap();
    let key = rules.person_key(IdentityKind::Identity, HOSTILE);
    for form in [
        [("by", "identity"), ("value", HOSTILE)],
        [("by", "email"), ("value", "ANN@example.com")],
    ] {
        let found = admin.post("/people", &form).await;
        assert_eq!(
            location(&found),
            admin.at(&format!("/people/{key}")),
            "{form:?}"
        );
    }
    let nobody = admin
        .post("/people", &[("by", "identity"), ("value", "nobody")])
        .await;
    assert_eq!(nobody.status, 422);
    assert!(nobody.body.contains("Nothing is held of such a person"));
    let form = [("by", "property"), ("property", "Plan"), ("value", "GOLD")];
    let found = admin.post("/people", &form).await;
    assert!(found.body.contains("1 person found") && found.body.contains(&key.to_string()));
    let read = admin.audited(Action::PeopleRead).await;
    assert!(
        read.iter()
            .any(|(_, words)| words == "with a value of `Plan`"),
        "{read:?}"
    );
}

#[tokio::test]
async fn the_navigation_has_what_the_role_allows() {
    let room = room().await;
    let labels = |role| {
        let visitor = Visitor::new(&room, role);
        async move {
            let page = visitor.get("/overview").await.body;
            let nav = page.split("<nav class=\"nav\"").nth(1).unwrap();
            let nav = nav.split("</nav>").next().unwrap().to_owned();
            let items = nav.split("</svg>").skip(1);
            items
                .map(|it| it.split('<').next().unwrap().to_owned())
                .collect::<Vec<_>>()
                .join(" ")
        }
    };
    for (role, expect) in [
        (
            SystemRole::Admin,
            "Overview Events People Dictionary Quarantine Requests Audit Logs Users Roles Credentials Security",
        ),
        (
            SystemRole::Creator,
            "Overview Events People Dictionary Quarantine",
        ),
        (SystemRole::Member, "Overview Events People Dictionary"),
        (SystemRole::Auditor, "Overview Requests Audit Logs"),
        (SystemRole::PrivacyOfficer, "Overview People Dictionary"),
        (
            SystemRole::Operator,
            "Overview Drops Requests Audit Logs Users Security Storage",
        ),
    ] {
        assert_eq!(labels(role).await, expect, "{role:?}");
    }
}

#[tokio::test]
async fn trends_count_by_day_and_by_value() {
    let room = room().await;
    let admin = Visitor::new(&room, SystemRole::Admin);
    let page = admin.get("/events?event=Bought&days=7").await.body;
    assert!(
        page.contains("<th scope=\"row\">Monday 21 September 2026</th><td class=\"number\">2</td>"),
        "{page}"
    );
    let page = admin.get("/events?event=Bought&by=What").await.body;
    assert!(page.contains("Top values of What"));
    assert!(page.contains("shoe") && page.contains("hat"));
    let page = admin
        .get("/events?event=Bought&name=Price&operator=more&value=10")
        .await
        .body;
    assert!(page.contains("<td class=\"number\">1</td>"), "{page}");
    let page = admin.get("/events?event=Bought&measure=people").await.body;
    assert!(page.contains("<td class=\"number\">1</td>"), "{page}");
    let page = admin.get("/events?by=Category&days=30").await.body;
    assert!(
        page.contains("other values") && page.contains("without it"),
        "{page}"
    );
    let page = admin.get("/events?event=nothing").await.body;
    assert!(page.contains("No event of this time matches"), "{page}");
}

#[tokio::test]
async fn an_account_without_anything_says_what_to_do() {
    let room = Room::new().await;
    let admin = Visitor::new(&room, SystemRole::Admin);
    for (path, words) in [
        ("/overview", "Nothing has arrived yet"),
        ("/events", "No event yet"),
        ("/people", "People appear with their first event"),
        ("/people/deletions", "Nobody has been deleted"),
        ("/dictionary", "Nothing is known yet"),
        (
            "/quarantine",
            "Every record of the last 30 days was accepted",
        ),
        (
            "/settings/credentials",
            "Nothing has arrived. Paste a snippet",
        ),
    ] {
        let page = admin.get(path).await;
        assert_eq!(page.status, 200, "{path}");
        assert!(page.body.contains(words), "{path}: {}", page.body);
    }
}

#[tokio::test]
async fn a_role_with_one_right_sees_that_page_and_no_other() {
    let room = room().await;
    let standing = Standing {
        rights: Rights::of(&[(Component::RequestLog, Level::Read)]),
        roles: Box::from("log reader"),
        filters: Vec::new(),
    };
    let reader = Visitor::of(&room, room.account, standing);
    assert_eq!(reader.get("/requests").await.status, 200);
    let read = reader.audited(Action::RequestsRead).await;
    assert_eq!(read.first().map(|it| it.0), Some(AuditOutcome::Begun));
    let overview = reader.get("/overview").await.body;
    assert!(!overview.contains("Top events") && !overview.contains("Active people"));
    for path in [
        "/events",
        "/people",
        "/quarantine",
        "/settings/audit",
        "/settings/users",
    ] {
        assert_eq!(reader.get(path).await.status, 403, "{path}");
    }
}

#[tokio::test]
async fn tables_download_and_formulas_do_not_run() {
    let room = room().await;
    let admin = Visitor::new(&room, SystemRole::Admin);
    let operator = Visitor::new(&room, SystemRole::Operator);
    for (visitor, path) in [
        (&admin, "/dictionary?format=csv"),
        (&admin, "/quarantine?format=csv"),
        (&admin, "/requests?format=csv"),
        (&admin, "/settings/users?format=csv"),
        (&operator, "/drops?format=csv"),
    ] {
        let file = visitor.get(path).await;
        assert_eq!(file.status, 200, "{path}");
        assert_eq!(
            file.headers["content-type"], "text/csv; charset=utf-8",
            "{path}"
        );
        let attached = file.headers["content-disposition"].to_str().unwrap();
        assert!(attached.starts_with("attachment; filename="), "{path}");
        assert!(file.body.lines().count() >= 1, "{path}");
        for line in file.body.lines() {
            let is_formula = |cell: &str| cell.trim_matches('"').starts_with(['=', '+', '@']);
            assert!(!line.split(',').any(is_formula), "{path}: {line}");
        }
    }
}

#[tokio::test]
async fn a_flood_of_strangers_takes_little_room_and_is_counted_exactly() {
    const FLOOD: u64 = 4_500;
    let room = Room::new().await;
    for number in 0..FLOOD {
        let request = Request::get(format!("/{number}")).body(Body::empty());
        let answer = room.send_to_console(request.unwrap()).await;
        assert_eq!(answer.status, 404);
    }
    // A form that sends a stranger to another page lets nobody in.
    for _ in 0..FLOOD {
        let request = Request::post("/sign-in/factor")
            .header("sec-fetch-site", "same-origin")
            .header("content-type", "application/x-www-form-urlencoded")
            .body(Body::empty());
        let answer = room.send_to_console(request.unwrap()).await;
        assert_eq!(answer.status, 303);
    }
    let operator = control::Actor::os_user("tester");
    let all = Search {
        limit: 10_000,
        ..Search::default()
    };
    let found = search(&room.state, &operator, &all).await.unwrap();
    assert!(found.lines.len() < 4_400, "{}", found.lines.len());
    let wanted = Search {
        reason: Some(String::from("not_found")),
        limit: 10_000,
        ..Search::default()
    };
    let found = search(&room.state, &operator, &wanted).await.unwrap();
    assert!(found.lines.len() < 4_300, "{}", found.lines.len());
    let each = found.lines.iter().map(|it| {
        assert_eq!(
            (&it["outcome"], &it["status"]),
            (&json!("refused"), &json!(404))
        );
        1 + it["rejected"].as_u64().unwrap()
    });
    assert_eq!(each.sum::<u64>(), FLOOD);
    assert!(groups(&room.state, &operator).await.unwrap().is_empty());
    room.clock.advance(Duration::from_secs(60));
    let visitor = Visitor::new(&room, SystemRole::Operator);
    let page = visitor.get("/overview").await.body;
    assert!(page.contains("<dt>Requests</dt><dd>9,000</dd>"), "{page}");
    let page = visitor.get("/requests?path=%28other%29").await.body;
    assert!(page.contains("requests more</td>"), "{page}");
}
