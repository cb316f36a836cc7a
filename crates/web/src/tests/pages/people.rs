//! Lists of people, and of one person: their files are exports.

use control::{Action, AuditOutcome};
use governance::access::SystemRole;
use model::IdentityKind;

use super::tables::{href, lines};
use super::visitor::{Visitor, room};

#[tokio::test]
async fn those_who_were_active_last_are_filtered_by_event_and_downloaded_by_those_who_may_export() {
    let room = room().await;
    let admin = Visitor::new(&room, SystemRole::Admin);
    let page = admin.get("/people?event=Bought").await.body;
    assert!(page.contains("/people/active?event=Bought\"") && page.contains(">bob<"));
    assert!(!page.contains("client-1"));
    assert!(page.contains("event=Bought&#38;sort=person"), "{page}");
    let file = admin.get("/people/active?event=Bought").await;
    assert_eq!(lines(&file).len(), 1, "{}", file.body);
    assert!(
        lines(&file)[0].starts_with("bob,bob,,Bought,"),
        "{}",
        file.body
    );
    let entries = admin.audited(Action::Exported).await;
    let words = "people active last with `Bought`";
    assert!(entries.contains(&(AuditOutcome::Begun, words.to_owned())));
    assert!(entries.contains(&(AuditOutcome::Done, format!("{words}: 1 rows"))));
    let sorted = admin.get("/people/active?sort=-identity").await;
    let identities: Vec<&str> = lines(&sorted)
        .iter()
        .filter_map(|it| it.split(',').nth(1))
        .collect();
    assert!(identities.is_sorted_by(|a, b| a >= b), "{identities:?}");
    let nothing = admin.get("/people?event=nothing").await.body;
    assert!(nothing.contains("Nobody has done this."));
    // Who may not see names gets none, and who may not export no file.
    let creator = Visitor::new(&room, SystemRole::Creator);
    let masked = creator.get("/people/active?event=Bought").await;
    assert_eq!(lines(&masked).len(), 1);
    assert!(!masked.body.contains("bob"), "{}", masked.body);
    let member = Visitor::new(&room, SystemRole::Member);
    let page = member.get("/people").await.body;
    assert!(!page.contains("/people/active"));
}

#[tokio::test]
async fn the_history_of_a_profile_sorts_and_pages_and_its_file_is_an_export() {
    let room = room().await;
    let changes: Vec<String> = (0..120)
        .map(|n| {
            format!(r#"{{"type":"profile","identity":"bob","profileData":{{"Step":{n},"Email":"b@x.yz"}}}}"#)
        })
        .collect();
    let changes: Vec<&str> = changes.iter().map(String::as_str).collect();
    room.upload(&changes).await;
    let admin = Visitor::new(&room, SystemRole::Admin);
    let rules = room.control.rules().borrow().account(room.account).cloned();
    let key = rules.unwrap().person_key(IdentityKind::Identity, "bob");
    let person = format!("/people/{key}");
    let first = admin
        .get(&format!("{person}?changes_sort=property"))
        .await
        .body;
    assert!(first.contains("1 to 100 of "), "{first}");
    let (_, next) = first.split_once("rel=\"next\"").unwrap();
    let second = admin.get(&href(next, &admin.at("")).unwrap()).await.body;
    assert!(second.contains("101 to "), "{second}");
    assert!(first.contains("b@x.yz") && second.contains(">Step<"));
    let path = format!("{person}/history?changes_sort=-property");
    let file = admin.get(&path).await;
    let properties: Vec<&str> = lines(&file)
        .iter()
        .filter_map(|it| it.split(',').nth(1))
        .collect();
    assert!(properties.len() >= 240, "{}", properties.len());
    assert!(properties.is_sorted_by(|a, b| a >= b), "{properties:?}");
    let entries = admin.audited(Action::Exported).await;
    let words = "the history of one profile";
    assert!(entries.contains(&(AuditOutcome::Begun, words.to_owned())));
    let rows = format!("{words}: {} rows", properties.len());
    assert!(entries.contains(&(AuditOutcome::Done, rows)));
    // What is masked on the page is masked in the file, and who may not export gets none.
    let creator = Visitor::new(&room, SystemRole::Creator);
    let file = creator.get(&path).await;
    assert!(!file.body.contains("b@x.yz") && file.body.contains("Step"));
    let member = Visitor::new(&room, SystemRole::Member);
    assert!(!member.get(&person).await.body.contains("/history"));
}

#[tokio::test]
async fn people_who_were_found_are_paged_by_forms_and_downloaded_by_those_who_may_export() {
    let room = room().await;
    let people: Vec<String> = (0..130)
        .map(|n| {
            format!(
                r#"{{"type":"profile","identity":"p{n:03}","profileData":{{"Plan":"silver","Name":"=N{n:03}"}}}}"#
            )
        })
        .collect();
    let people: Vec<&str> = people.iter().map(String::as_str).collect();
    room.upload(&people).await;
    let admin = Visitor::new(&room, SystemRole::Admin);
    let search = |page: &'static str, sort: &'static str| {
        [
            ("by", "property"),
            ("property", "Plan"),
            ("value", "Silver"),
            ("page", page),
            ("sort", sort),
        ]
    };
    let first = admin.post("/people", &search("", "identity")).await.body;
    assert!(first.contains("130 people found") && first.contains("1 to 100 of 130 people"));
    assert!(first.contains(">p000<") && !first.contains(">p100<"));
    assert!(first.contains("name=\"page\" value=\"100\""));
    let second = admin.post("/people", &search("100", "identity")).await.body;
    assert!(second.contains(">p100<") && !second.contains(">p000<"));
    assert!(!second.contains("value=\"200\""));
    // What is searched for stands in no link.
    let links = second.split("href=\"").skip(1);
    let mut links = links.filter_map(|it| it.split('"').next());
    assert!(links.all(|it| !it.to_lowercase().contains("silver")));
    let file = admin.post("/people/found", &search("", "identity")).await;
    assert_eq!(lines(&file).len(), 130);
    assert!(
        lines(&file)[0].starts_with("\"'=N000\",p000,"),
        "{}",
        file.body
    );
    let entries = admin.audited(Action::Exported).await;
    let words = "people with a value of `Plan`";
    assert!(entries.contains(&(AuditOutcome::Begun, words.to_owned())));
    assert!(entries.contains(&(AuditOutcome::Done, format!("{words}: 130 rows"))));
    // Who may not see names gets none.
    let creator = Visitor::new(&room, SystemRole::Creator);
    let file = creator.post("/people/found", &search("", "")).await;
    assert!(!file.body.contains("N000"), "{}", file.body);
    let masked = [("by", "property"), ("property", "Name"), ("value", "=N000")];
    assert_eq!(creator.post("/people/found", &masked).await.status, 422);
    let member = Visitor::new(&room, SystemRole::Member);
    let page = member.post("/people", &search("", "")).await.body;
    assert!(page.contains("130 people found") && !page.contains("/people/found\""));
}
