//! Tables: their heads sort, they are downloaded as they are filtered, and long ones are cut.

use control::{Action, Actor, AuditOutcome, QuarantineMark};
use governance::access::SystemRole;
use model::IdentityKind;

use super::visitor::{Visitor, room};
use crate::tests::harness::{Answer, Room};

/// Every link of a page that begins a head of a table, as a path below the account.
fn heads(page: &str, base: &str) -> Vec<String> {
    let cells = page.split("<th scope=\"col\"").skip(1);
    let cells = cells.filter_map(|it| it.split("</th>").next());
    cells.filter_map(|it| href(it, base)).collect()
}

/// Every link of a page that leads to a file.
fn files(page: &str, base: &str) -> Vec<String> {
    let links = page.split("<a ").skip(1);
    let links = links.filter_map(|it| href(it.split('>').next()?, base));
    links.filter(|it| it.contains("format=csv")).collect()
}

pub(super) fn href(text: &str, base: &str) -> Option<String> {
    let (_, rest) = text.split_once("href=\"")?;
    let link = rest.split('"').next()?.replace("&#38;", "&");
    link.strip_prefix(base).map(str::to_owned)
}

/// The lines of a file, without its head.
pub(super) fn lines(file: &Answer) -> Vec<&str> {
    assert_eq!(file.status, 200, "{file:?}");
    file.body.lines().skip(1).collect()
}

#[tokio::test]
async fn every_head_sorts_and_every_table_downloads() {
    let room = room().await;
    let admin = Visitor::new(&room, SystemRole::Admin);
    let operator = Visitor::new(&room, SystemRole::Operator);
    for (email, days) in [("bea@example.com", "3"), ("cy@example.com", "")] {
        let form = [
            ("act", "invite"),
            ("emails", email),
            ("role", "member"),
            ("days", days),
            ("confirm", "yes"),
        ];
        assert_eq!(admin.post("/settings/users", &form).await.status, 303);
    }
    let network = [("what", "add"), ("networks", "203.0.113.0/24 =office")];
    let added = admin.post("/settings/security", &network).await;
    assert_eq!(added.status, 303, "{added:?}");
    let domains = [("what", "domains"), ("domains", "shop.example b.example")];
    let added = admin.post("/settings/security", &domains).await;
    assert_eq!(added.status, 303, "{added:?}");
    let rules = room.control.rules().borrow().account(room.account).cloned();
    let key = rules
        .unwrap()
        .person_key(IdentityKind::Identity, "client-1");
    let ordered = [("consent", "yes")];
    let deleted = admin.post(&format!("/people/{key}/delete"), &ordered).await;
    assert_eq!(deleted.status, 303);
    for (visitor, path, sorts, downloads) in [
        (&admin, "/requests", 3, 1),
        (&admin, "/quarantine", 7, 2),
        (&admin, "/dictionary", 10, 2),
        (&admin, "/dictionary/event?name=Bought", 5, 1),
        (&admin, "/people", 4, 1),
        (&admin, "/people/deletions", 5, 1),
        (&admin, "/settings/audit", 1, 1),
        (&admin, "/settings/users", 5, 1),
        (&admin, "/settings/users/outbox", 3, 0),
        (&admin, "/settings/roles", 4, 2),
        (&admin, "/settings/credentials", 11, 2),
        (&admin, "/settings/security", 8, 3),
        (&operator, "/settings/audit", 7, 2),
        (&operator, "/drops", 6, 1),
        (&operator, "/drops/samples?reason=unknown_url", 8, 1),
        (&operator, "/storage", 16, 3),
    ] {
        let base = visitor.at("");
        let page = visitor.get(path).await;
        assert_eq!(page.status, 200, "{path}");
        let links = heads(&page.body, &base);
        assert_eq!(links.len(), sorts, "{path}: {links:?}");
        for link in links {
            let sorted = visitor.get(&link).await;
            assert_eq!(sorted.status, 200, "{link}");
            assert!(sorted.body.contains(" aria-sort=\""), "{link}");
            // The other way round, too.
            let order = link.split("sort=").nth(1).unwrap();
            let other = match order.strip_prefix('-') {
                Some(rising) => format!("sort={rising}"),
                None => format!("sort=-{order}"),
            };
            let back = heads(&sorted.body, &base);
            assert!(
                back.iter().any(|it| it.contains(&other)),
                "{link}: {back:?}"
            );
        }
        let links = files(&page.body, &base);
        assert_eq!(links.len(), downloads, "{path}: {links:?}");
        for link in links {
            // The log itself asks again who its reader is, and nobody is an Operator here.
            if link.starts_with("/settings/audit/download") && base == operator.at("") {
                continue;
            }
            let file = visitor.get(&link).await;
            assert_eq!(file.status, 200, "{link}");
            let head = |name: &str| file.headers[name].to_str().unwrap();
            assert_eq!(head("content-type"), "text/csv; charset=utf-8", "{link}");
            assert!(head("content-disposition").starts_with("attachment; "));
            assert!(!lines(&file).is_empty(), "{link}: {}", file.body);
            for line in file.body.lines() {
                let runs = |cell: &str| cell.trim_matches('"').starts_with(['=', '+', '@']);
                assert!(!line.split(',').any(runs), "{link}: {line}");
            }
        }
    }
}

#[tokio::test]
async fn a_file_holds_what_the_page_is_filtered_by_in_its_order() {
    let room = room().await;
    let admin = Visitor::new(&room, SystemRole::Admin);
    let all = admin.get("/dictionary?format=csv&sort=-events").await;
    let numbers: Vec<u64> = lines(&all)
        .iter()
        .filter_map(|it| it.rsplit(',').nth(2)?.parse().ok())
        .collect();
    assert!(numbers.len() > 4, "{}", all.body);
    assert!(numbers.is_sorted_by(|a, b| a >= b), "{numbers:?}");
    let some = admin.get("/dictionary?format=csv&q=cart").await;
    assert_eq!(lines(&some).len(), 1, "{}", some.body);
    let properties = "/dictionary?format=csv&table=properties&of=people&property=plan";
    let some = admin.get(properties).await;
    assert_eq!(lines(&some).len(), 1, "{}", some.body);
    assert!(lines(&some)[0].starts_with("Plan,people,"), "{}", some.body);
    for (name, sort) in [("a", ""), ("b", "-name")] {
        let form = [("act", "make"), ("name", name), ("scope", "read")];
        admin.post("/settings/credentials", &form).await;
        let file = format!("/settings/credentials?format=csv&sort={sort}");
        let names = lines(&admin.get(&file).await).join(" ");
        let expect = if sort.is_empty() {
            "a,accepted"
        } else {
            "default,accepted"
        };
        assert!(names.starts_with(expect), "{names}");
    }
    let revoke = [("act", "revoke"), ("name", "a")];
    admin.post("/settings/credentials", &revoke).await;
    let file = admin
        .get("/settings/credentials?format=csv&status=revoked")
        .await;
    assert_eq!(lines(&file).len(), 1, "{}", file.body);
    let page = admin.get("/settings/credentials?q=nothing").await;
    assert!(page.body.contains("No passcode matches"), "{}", page.body);
}

#[tokio::test]
async fn tokens_of_apps_are_sorted_filtered_and_downloaded_apart_from_passcodes() {
    let room = room().await;
    let admin = Visitor::new(&room, SystemRole::Admin);
    for days in ["30", "30"] {
        let rotate = [("act", "rotate"), ("days", days)];
        let rotated = admin.post("/settings/credentials", &rotate).await;
        assert_eq!(rotated.status, 200);
    }
    let end = [("act", "end"), ("number", "2")];
    assert_eq!(admin.post("/settings/credentials", &end).await.status, 303);
    let file = "/settings/credentials?format=csv&table=tokens";
    for (more, expect) in [
        ("", vec!["3,newest", "2,refused", "1,accepted"]),
        (
            "&tokens_sort=token",
            vec!["1,accepted", "2,refused", "3,newest"],
        ),
        ("&token_status=accepted", vec!["1,accepted"]),
        // What the passcodes are filtered by is not the tokens'.
        ("&status=revoked&token_status=refused", vec!["2,refused"]),
    ] {
        let found = admin.get(&format!("{file}{more}")).await;
        let found: Vec<String> = lines(&found)
            .iter()
            .map(|it| it.split(',').take(2).collect::<Vec<_>>().join(","))
            .collect();
        assert_eq!(found, expect, "{more}");
    }
    let page = admin
        .get("/settings/credentials?token_status=accepted")
        .await;
    assert!(page.body.contains("value=\"accepted\" selected"));
    assert!(page.body.contains("1 token<"), "{}", page.body);
}

#[tokio::test]
async fn the_matrix_of_roles_is_a_file_in_the_order_of_its_roles() {
    let room = room().await;
    let admin = Visitor::new(&room, SystemRole::Admin);
    let form = [("new", "yes"), ("name", "=Night shift"), ("people", "read")];
    let made = admin.post("/settings/roles/edit", &form).await;
    assert_eq!(made.status, 303);
    let file = admin
        .get("/settings/roles?format=csv&table=matrix&sort=role")
        .await;
    let head = file.body.lines().next().unwrap();
    assert!(
        head.starts_with("component,\"'=Night shift\",admin,"),
        "{head}"
    );
    let people = lines(&file)
        .into_iter()
        .find(|it| it.starts_with("people,"));
    let people = people.unwrap();
    assert!(people.starts_with("people,read,write,"), "{people}");
    assert_eq!(lines(&file).len(), governance::access::Component::ALL.len());
}

#[tokio::test]
async fn properties_of_people_that_were_defined_are_sorted_filtered_and_downloaded() {
    let room = room().await;
    let admin = Visitor::new(&room, SystemRole::Admin);
    let page = admin.get("/dictionary").await.body;
    assert!(page.contains("None yet: all are kept") && !page.contains("table=declared"));
    for (property, kind) in [
        ("Points", "number"),
        ("Level", "text"),
        ("Birthplace", "any"),
    ] {
        let declare = [("act", "declare"), ("property", property), ("kind", kind)];
        assert_eq!(admin.post("/dictionary", &declare).await.status, 303);
    }
    let page = admin.get("/dictionary").await.body;
    assert!(page.contains("declared_sort=") && page.contains(">3 properties<"));
    let file = "/dictionary?format=csv&table=declared";
    for (more, expect) in [
        (
            "&declared_sort=-property",
            vec!["Points,number", "Level,text", "Birthplace,any"],
        ),
        (
            "&declared_sort=type",
            vec!["Birthplace,any", "Points,number", "Level,text"],
        ),
        ("&declared=point", vec!["Points,number"]),
    ] {
        let found = admin.get(&format!("{file}{more}")).await;
        assert_eq!(lines(&found), expect, "{more}");
    }
    let page = admin.get("/dictionary?declared=nothing").await.body;
    assert!(page.contains("No property matches"));
}

#[tokio::test]
async fn records_in_quarantine_are_filtered_by_state_and_day_on_the_page_and_in_its_file() {
    let room = room().await;
    let refused =
        r#"{"d":[{"type":"event","identity":"cy","evtName":"Old","ts":1000,"evtData":{}}]}"#;
    room.post("/1/upload", String::from(refused)).await;
    let admin = Visitor::new(&room, SystemRole::Admin);
    let all = admin.get("/quarantine?format=csv").await;
    let id = lines(&all)[0].split(',').next().unwrap().to_owned();
    let (operator, mark) = (Actor::os_user("tester"), QuarantineMark::Replayed);
    let records = vec![id.parse().unwrap()];
    let marked = room
        .control
        .mark_quarantined(&operator, room.account, records, mark);
    marked.await.unwrap();
    for (query, expect) in [
        ("state=waiting", 1),
        ("state=replayed", 1),
        ("state=nothing", 2),
        ("from=2026-09-21", 2),
        ("to=2026-09-20", 0),
        ("from=2026-09-21&state=replayed&sort=ts", 1),
    ] {
        let file = admin.get(&format!("/quarantine?format=csv&{query}")).await;
        assert_eq!(lines(&file).len(), expect, "{query}: {}", file.body);
        let page = admin.get(&format!("/quarantine?{query}")).await.body;
        let rows = page.matches("name=\"record\"").count();
        assert_eq!(rows, expect, "{query}");
        assert!(expect > 0 || page.contains("that matches"), "{query}");
    }
    let page = admin.get("/quarantine?state=replayed").await.body;
    assert!(page.contains("value=\"replayed\" selected") && page.contains(&id));
}

#[tokio::test]
async fn domains_are_sorted_filtered_and_downloaded() {
    let room = room().await;
    let admin = Visitor::new(&room, SystemRole::Admin);
    let page = admin.get("/settings/security").await.body;
    assert!(page.contains("Pages of any domain may send"));
    assert!(!page.contains("table=domains"));
    let domains = [("what", "domains"), ("domains", "shop.example b.example")];
    admin.post("/settings/security", &domains).await;
    let file = "/settings/security?format=csv&table=domains";
    for (more, expect) in [
        ("", vec!["b.example", "shop.example"]),
        ("&domains_sort=-domain", vec!["shop.example", "b.example"]),
        ("&domain=SHOP", vec!["shop.example"]),
    ] {
        let found = admin.get(&format!("{file}{more}")).await;
        assert_eq!(lines(&found), expect, "{more}");
    }
    let page = admin.get("/settings/security?domain=nothing").await.body;
    assert!(page.contains("No domain matches"));
    // The installation has none, and no file of none.
    let operator = Visitor::new(&room, SystemRole::Operator);
    assert_eq!(operator.get(file).await.status, 404);
}

#[tokio::test]
async fn requests_are_found_by_each_field_of_the_form_and_no_others_are() {
    let room = Room::new().await;
    room.four_days_of_requests().await;
    let admin = Visitor::new(&room, SystemRole::Admin);
    let check = async |query: &str, expected: &[&str]| {
        let path = format!("/requests?sort=ts&format=csv&{query}");
        let file = admin.get(&path).await;
        let found = lines(&file).into_iter().map(|line| {
            let cells: Vec<&str> = line.split(',').collect();
            // Of the columns the path and the outcome.
            [cells[5], cells[7]].join(" ")
        });
        assert_eq!(found.collect::<Vec<_>>(), expected, "{query}");
    };
    let served = ["/1/upload answered", "/1/profile.json answered"];
    let (refused, dropped) = ("/1/upload refused", "/a dropped");
    check("plane=", &[served[0], served[1], refused, dropped]).await;
    check("from=2026-09-23", &[refused, dropped]).await;
    check("to=2026-09-22", &served).await;
    check("from=2026-09-22&to=2026-09-23", &[served[1], refused]).await;
    check("plane=api", &[served[0], served[1], refused]).await;
    check("plane=collect", &[dropped]).await;
    check("outcome=answered", &served).await;
    check("outcome=dropped", &[dropped]).await;
    check("reason=malformed", &[refused]).await;
    check("path=/1/profile.json", &[served[1]]).await;
    check("peer=198.51.100.7", &[dropped]).await;
    check("plane=api&outcome=refused", &[refused]).await;
}

#[tokio::test]
async fn requests_of_an_outcome_that_there_is_not_are_refused_with_those_that_there_are() {
    let room = room().await;
    let admin = Visitor::new(&room, SystemRole::Admin);
    for query in ["outcome=ok", "outcome=ok&format=csv"] {
        let refused = admin.get(&format!("/requests?{query}")).await;
        assert_eq!(refused.status, 422, "{query}");
        let words = "answered, refused, dropped";
        assert!(refused.body.contains(words), "{}", refused.body);
    }
    assert_eq!(admin.get("/requests?outcome=dropped").await.status, 200);
}

#[tokio::test]
async fn volumes_are_counted_from_one_on_the_page_and_in_its_file() {
    let room = room().await;
    let operator = Visitor::new(&room, SystemRole::Operator);
    let file = operator.get("/storage?format=csv").await;
    let file = lines(&file);
    assert_eq!(file.len(), 2, "{file:?}");
    assert!(file[0].starts_with("1,in service,/volumes/1,"), "{file:?}");
    assert!(file[1].starts_with("2,out,/volumes/2,"), "{file:?}");
    let page = operator.get("/storage").await.body;
    let row = page.split("<tr>").find(|it| it.contains("/volumes/2"));
    let row = row.unwrap();
    assert!(row.starts_with("<th scope=\"row\">2</th>"), "{row}");
}

#[tokio::test]
async fn the_sinks_of_the_audit_log_are_a_file_for_those_who_see_the_installation() {
    let room = room().await;
    let operator = Visitor::new(&room, SystemRole::Operator);
    let path = "/settings/audit?format=csv&table=sinks";
    let file = operator.get(path).await;
    let expect = "siem,down,required,12,0,,https://siem.example/in,10000,it answered 503";
    assert_eq!(lines(&file), [expect]);
    let entries = operator.audited(Action::AuditRead).await;
    let words = "where the log is streamed to, as a file";
    assert!(entries.contains(&(AuditOutcome::Done, words.to_owned())));
    let admin = Visitor::new(&room, SystemRole::Admin);
    assert_eq!(admin.get(path).await.status, 404);
}

#[tokio::test]
async fn the_request_log_is_read_from_either_end_and_by_what_took_longest() {
    let room = room().await;
    for _ in 0..120 {
        room.post("/1/upload", String::from(r#"{"d":[]}"#)).await;
    }
    let admin = Visitor::new(&room, SystemRole::Admin);
    let base = admin.at("");
    for sort in [
        "ts",
        "-ts",
        "size_bytes",
        "-size_bytes",
        "-duration_us",
        "duration_us",
    ] {
        let path = format!("/requests?sort={sort}");
        let whole = admin.get(&format!("{path}&format=csv")).await;
        let all = lines(&whole).len();
        assert!(all > 100, "{all}");
        let column = match sort.trim_start_matches('-') {
            "ts" => 0,
            "size_bytes" => 9,
            _ => 12,
        };
        let cells: Vec<&str> = lines(&whole)
            .iter()
            .filter_map(|it| it.split(',').nth(column))
            .collect();
        let number = |it: &str| it.parse::<u64>().unwrap_or(0);
        let is_sorted = match (column, sort.starts_with('-')) {
            (0, false) => cells.is_sorted(),
            (0, true) => cells.is_sorted_by(|a, b| a >= b),
            (_, false) => cells.is_sorted_by(|a, b| number(a) <= number(b)),
            (_, true) => cells.is_sorted_by(|a, b| number(a) >= number(b)),
        };
        assert!(is_sorted, "{sort}: {cells:?}");
        // Both pages together are the whole.
        let first = admin.get(&path).await.body;
        let (_, next) = first.split_once("rel=\"next\"").unwrap();
        let next = href(next, &base).unwrap();
        let second = admin.get(&next).await.body;
        let rows = |page: &str| page.matches("<td class=\"time\">").count();
        assert_eq!(rows(&first), 100, "{sort}");
        assert_eq!(rows(&first) + rows(&second), all, "{sort}");
        assert!(!second.contains("rel=\"next\""), "{sort}");
    }
}

#[tokio::test]
async fn the_audit_log_is_read_from_either_end() {
    let room = room().await;
    let admin = Visitor::new(&room, SystemRole::Admin);
    for _ in 0..101 {
        admin.get("/people").await;
    }
    let base = admin.at("");
    let oldest = admin.get("/settings/audit?sort=date").await.body;
    let number = |page: &str| {
        let (_, rest) = page.split_once("<div class=\"sub\">#").unwrap();
        rest.split('<').next().unwrap().parse::<u64>().unwrap()
    };
    assert_eq!(number(&oldest), 1);
    let (_, next) = oldest.split_once("rel=\"next\"").unwrap();
    let second = admin.get(&href(next, &base).unwrap()).await.body;
    assert_eq!(number(&second), 101);
    let newest = admin.get("/settings/audit").await.body;
    let (_, next) = newest.split_once("rel=\"next\"").unwrap();
    let second = admin.get(&href(next, &base).unwrap()).await.body;
    assert_eq!(number(&newest) - number(&second), 100);
}
