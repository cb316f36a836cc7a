//! Pages that change something.

use control::{Action, AuditOutcome};
use governance::access::SystemRole;
use model::record::{Entry, Quarantined, Record, Source};
use model::{IdentityKind, PersonKey, RecordId};

use super::visitor::{HOSTILE, Visitor, link_to, location, refuse, room};
use crate::tests::harness::{CONTROL_WRITES, JOURNAL_WRITES, NOTHING, NOW, Room};

fn key_of(room: &Room, identity: &str) -> PersonKey {
    let rules = room
        .control
        .rules()
        .borrow()
        .account(room.account)
        .cloned()
        .unwrap();
    rules.person_key(IdentityKind::Identity, identity)
}

#[tokio::test]
async fn a_form_that_is_not_ours_changes_nothing() {
    let room = room().await;
    let admin = Visitor::new(&room, SystemRole::Admin);
    let path = format!("/people/{}/delete", key_of(&room, "bob"));
    for csrf in ["", "another", "csrf-of-the-sessiom"] {
        let refused = admin.post_as(&path, &[("consent", "yes")], csrf).await;
        assert_eq!((refused.status, refused.body.as_str()), (403, ""), "{csrf}");
    }
    assert!(admin.audited(Action::DeletionRequested).await.is_empty());
}

#[tokio::test]
async fn a_property_is_corrected_and_its_history_stays() {
    let room = room().await;
    let admin = Visitor::new(&room, SystemRole::Admin);
    let person = format!("/people/{}", key_of(&room, HOSTILE));
    let path = format!("{person}/property");
    let form = admin.get(&format!("{path}?name=Plan")).await;
    assert!(form.body.contains("value=\"gold\""), "{}", form.body);
    let change = [("name", "Plan"), ("kind", "text"), ("value", "tin")];
    let changed = admin.post(&path, &change).await;
    assert_eq!(
        location(&changed),
        admin.at(&format!("{person}?done=changed"))
    );
    let page = admin.get(&person).await.body;
    assert!(page.contains("<dd>tin"), "{page}");
    assert!(
        page.contains("</span> gold</td>") && page.contains("</span> tin</td>"),
        "{page}"
    );
    let entries = admin.audited(Action::PersonChanged).await;
    let words = String::from("property `Plan` changed");
    assert_eq!(
        entries,
        [
            (AuditOutcome::Begun, words.clone()),
            (AuditOutcome::Done, words)
        ]
    );
    let remove = [("name", "Plan"), ("remove", "yes")];
    assert_eq!(admin.post(&path, &remove).await.status, 303);
    let page = admin.get(&person).await.body;
    assert!(!page.contains("<dd>tin"), "{page}");
    for wrong in [
        [("name", "Email"), ("kind", "text"), ("value", "nobody")],
        [("name", ""), ("kind", "text"), ("value", "x")],
        [("name", "Plan"), ("kind", "number"), ("value", HOSTILE)],
    ] {
        assert_eq!(admin.post(&path, &wrong).await.status, 422, "{wrong:?}");
    }
}

#[tokio::test]
async fn what_cannot_be_kept_is_not_said_to_be() {
    let room = room().await;
    let admin = Visitor::new(&room, SystemRole::Admin);
    let person = format!("/people/{}", key_of(&room, "bob"));
    let change = [("name", "Plan"), ("kind", "text"), ("value", "tin")];
    for what in [CONTROL_WRITES, JOURNAL_WRITES] {
        room.store.refuse(what);
        let failed = admin.post(&format!("{person}/property"), &change).await;
        assert_eq!(failed.status, 503, "{what}");
        assert!(!failed.body.contains("Nothing was changed"), "{what}");
        assert!(failed.body.contains("look whether it did"), "{what}");
        room.store.refuse(NOTHING);
        if what == CONTROL_WRITES {
            let page = admin.get(&person).await.body;
            assert!(!page.contains("<dd>tin"), "{page}");
        }
    }
}

#[tokio::test]
async fn a_person_is_deleted_after_a_look_and_a_tick() {
    let room = room().await;
    let officer = Visitor::new(&room, SystemRole::PrivacyOfficer);
    let person = format!("/people/{}", key_of(&room, "bob"));
    let path = format!("{person}/delete");
    let look = officer.get(&path).await.body;
    assert!(
        look.contains("<th scope=\"row\">Events</th><td class=\"number\">2</td>"),
        "{look}"
    );
    let without = officer.post(&path, &[("reason", "asked")]).await;
    assert_eq!(without.status, 422);
    assert!(without.body.contains("cannot be undone") && without.body.contains("value=\"asked\""));
    assert!(officer.audited(Action::DeletionRequested).await.is_empty());
    let done = officer
        .post(&path, &[("consent", "yes"), ("reason", "asked")])
        .await;
    let to = location(&done).to_owned();
    assert!(to.starts_with(&officer.at("/people/deletions?id=")), "{to}");
    assert_eq!(officer.audited(Action::DeletionRequested).await.len(), 1);
    let later = Visitor::new(&room, SystemRole::PrivacyOfficer);
    let list = later.get("/people/deletions").await.body;
    assert!(list.contains("Hidden, waiting"), "{list}");
    assert!(location(&later.get(&person).await).contains("/people/deletions?id="));
    let member = Visitor::new(&room, SystemRole::Member);
    assert_eq!(member.get(&person).await.status, 404);
}

#[tokio::test]
async fn one_person_is_exported_with_an_entry_before_and_after() {
    let room = room().await;
    let admin = Visitor::new(&room, SystemRole::Admin);
    let file = admin
        .get(&format!("/people/{}/export", key_of(&room, "bob")))
        .await;
    let value = file.json();
    assert_eq!(value["person"]["identity"], "bob");
    assert_eq!(value["events"].as_array().unwrap().len(), 2);
    assert_eq!(value["events"][0]["properties"]["What"], "hat");
    let entries = admin.audited(Action::Exported).await;
    let outcomes: Vec<AuditOutcome> = entries.into_iter().map(|it| it.0).collect();
    assert_eq!(outcomes, [AuditOutcome::Begun, AuditOutcome::Done]);
}

#[tokio::test]
async fn events_and_people_are_exported_with_masks_and_entries() {
    let room = room().await;
    let admin = Visitor::new(&room, SystemRole::Admin);
    let file = admin.get("/events/export?event=Bought&format=jsonl").await;
    assert_eq!(file.status, 200);
    assert_eq!(file.body.lines().count(), 2, "{}", file.body);
    let file = admin.get("/events/export?days=30").await;
    assert_eq!(file.headers["content-type"], "text/csv; charset=utf-8");
    assert!(file.body.starts_with("record_id,") && file.body.contains("ann@example.com"));
    let file = admin.get("/people/export?days=30&format=jsonl").await;
    assert!(file.body.lines().count() > 30, "{}", file.body);
    // Creators take events away, and see no personal information.
    let creator = Visitor::new(&room, SystemRole::Creator);
    for path in ["/events/export?days=30", "/people/export?days=30"] {
        let file = creator.get(path).await;
        assert_eq!(file.status, 200, "{path}");
        assert!(
            !file.body.contains("ann@example.com"),
            "{path}: {}",
            file.body
        );
    }
    let entries = admin.audited(Action::Exported).await;
    let words = "`Bought`, 2026-09-15 to 2026-09-21";
    assert_eq!(entries[0], (AuditOutcome::Begun, words.to_owned()));
    assert_eq!(entries[1], (AuditOutcome::Done, format!("{words}: 2 rows")));
    let member = Visitor::new(&room, SystemRole::Member);
    assert_eq!(member.get("/events/export").await.status, 403);
}

#[tokio::test]
async fn quarantined_records_are_replayed_and_deleted() {
    let room = room().await;
    let admin = Visitor::new(&room, SystemRole::Admin);
    let page = admin.get("/quarantine").await.body;
    let record = link_to(&page, &admin.at("/quarantine/"));
    let record = record.rsplit('/').next().unwrap();
    let replay = [("act", "replay"), ("record", record)];
    let replayed = admin.post("/quarantine", &replay).await;
    assert_eq!(
        location(&replayed),
        admin.at("/quarantine?done=refused&n=0")
    );
    let creator = Visitor::new(&room, SystemRole::Creator);
    assert_eq!(creator.post("/quarantine", &replay).await.status, 403);
    let delete = [("act", "delete"), ("record", record)];
    let deleted = admin.post("/quarantine", &delete).await;
    assert_eq!(location(&deleted), admin.at("/quarantine?done=deleted&n=1"));
    let page = admin.get("/quarantine?done=deleted&n=1").await.body;
    assert!(page.contains("1 record deleted.") && page.contains("No record is in quarantine"));
    for wrong in [
        [("act", "replay"), ("record", "x")],
        [("act", "burn"), ("record", record)],
    ] {
        assert_eq!(
            admin.post("/quarantine", &wrong).await.status,
            404,
            "{wrong:?}"
        );
    }
}

#[tokio::test]
async fn the_page_of_a_record_offers_its_replay_whatever_sent_it() {
    let room = room().await;
    let admin = Visitor::new(&room, SystemRole::Admin);
    for (number, source) in (1..).zip(Source::ALL) {
        let id = RecordId([number; 16]);
        let quarantined = Quarantined {
            id,
            received_at: NOW,
            source,
            person: None,
            code: 528,
            error: "event_discarded".into(),
            body: b"{}".to_vec(),
        };
        let record = Record::Quarantined(Box::new(quarantined));
        let account = room.account;
        let kept = vec![Entry { account, record }];
        room.collect.journal().append(kept).await.unwrap();
        let page = admin.get(&format!("/quarantine/{id}")).await;
        assert_eq!(page.status, 200, "{source:?}");
        let is_offered = page.body.contains("value=\"replay\"");
        assert_eq!(is_offered, source != Source::Console, "{source:?}");
    }
}

#[tokio::test]
async fn the_dictionary_is_changed_and_refuses_with_words() {
    let room = room().await;
    let creator = Visitor::new(&room, SystemRole::Creator);
    let define = [
        ("act", "define"),
        ("event", "Bought"),
        ("properties", "What, Price\nSize"),
    ];
    let defined = creator.post("/dictionary", &define).await;
    assert_eq!(
        location(&defined),
        creator.at("/dictionary/event?name=Bought&done=defined")
    );
    let page = creator.get("/dictionary/event?name=Bought").await.body;
    assert!(page.contains("Known") && page.contains("Size"), "{page}");
    let policy = [
        ("act", "policy"),
        ("events", "drop"),
        ("properties", "drop_event"),
    ];
    assert_eq!(creator.post("/dictionary", &policy).await.status, 303);
    let page = creator.get("/dictionary").await.body;
    assert!(page.contains("<option value=\"drop\" selected>"), "{page}");
    let declare = [
        ("act", "declare"),
        ("event", "Bought"),
        ("property", "Price"),
        ("kind", "number"),
        ("mandatory", "yes"),
    ];
    let declared = creator.post("/dictionary", &declare).await;
    let event = creator.at("/dictionary/event?name=Bought&done=declared");
    assert_eq!(location(&declared), event);
    let page = creator.get("/dictionary/event?name=Bought").await.body;
    assert!(page.contains("<td>number, mandatory</td>"), "{page}");
    let of_people = [("act", "declare"), ("property", "Points"), ("kind", "any")];
    assert_eq!(creator.post("/dictionary", &of_people).await.status, 303);
    let page = creator.get("/dictionary").await.body;
    assert!(page.contains("aria-label=\"Forget Points\""), "{page}");
    let undeclare = [("act", "undeclare"), ("property", "Points")];
    assert_eq!(creator.post("/dictionary", &undeclare).await.status, 303);
    let page = creator.get("/dictionary").await.body;
    assert!(!page.contains("Forget Points"), "{page}");
    let unknown = [
        ("act", "declare"),
        ("property", "Points"),
        ("kind", "colour"),
    ];
    assert_eq!(creator.post("/dictionary", &unknown).await.status, 404);
    let discard = [("act", "discard"), ("event", "Bought")];
    assert_eq!(creator.post("/dictionary", &discard).await.status, 303);
    let wrong = [("act", "define"), ("event", "App Launched")];
    let refused = creator.post("/dictionary", &wrong).await;
    assert_eq!(refused.status, 422);
    assert!(
        refused.body.contains("event of the system"),
        "{}",
        refused.body
    );
    let member = Visitor::new(&room, SystemRole::Member);
    assert_eq!(member.post("/dictionary", &discard).await.status, 403);
}

#[tokio::test]
async fn drops_are_reviewed_by_group() {
    let room = room().await;
    let operator = Visitor::new(&room, SystemRole::Operator);
    let page = operator.get("/drops").await.body;
    assert!(page.contains("1 new"), "{page}");
    let path = link_to(&page, &operator.at("/drops/samples?reason=unknown_url"));
    let samples = operator.get(path.strip_prefix("/a/0").unwrap()).await.body;
    assert!(samples.contains("203.0.113.9"), "{samples}");
    let review = operator.post("/drops", &[("reason", "unknown_url")]).await;
    assert_eq!(location(&review), "/a/0/drops?done=reviewed&n=1");
    let page = operator.get("/drops?done=reviewed&n=1").await.body;
    assert!(
        page.contains("Reviewed") && page.contains("1 drop marked as reviewed."),
        "{page}"
    );
    assert!(!page.contains("1 new"), "{page}");
    assert_eq!(operator.audited(Action::DropsReviewed).await.len(), 1);
    // What is dropped after it is new, also within the same millisecond.
    refuse(&room);
    let page = operator.get("/drops").await.body;
    assert!(page.contains("1 new"), "{page}");
}
