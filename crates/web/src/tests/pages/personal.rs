//! What staff see of people: classes, data filters, reveals, restrictions, deletions taken back.

use control::{Action, Actor, AuditOutcome, ClassChange, DictionaryChange, RevealQuota};
use governance::access::{Grant, GrantedRole, Rights, Standing, SystemRole};
use governance::{Class, Condition, Mask, PasscodeTerms, PropertyOf, Scopes};
use model::{IdentityKind, PersonKey};
use std::sync::Arc;

use super::visitor::{HOSTILE, Visitor, location, room};
use crate::console::pages::{Entry, PAGES};
use crate::tests::harness::{NOW, Room};

fn key_of(room: &Room, identity: &str) -> PersonKey {
    let rules = room.control.rules().borrow().account(room.account).cloned();
    rules.unwrap().person_key(IdentityKind::Identity, identity)
}

/// Somebody with a role of the account's own.
fn own<'r>(room: &'r Room, rights: &str, filter: Option<&str>) -> Visitor<'r> {
    let grant = Grant {
        role: GrantedRole::Custom {
            name: Box::from("own"),
            rights: Rights::parse(rights).unwrap(),
            filter: filter.map(|it| Arc::new(Condition::parse(it).unwrap())),
        },
        expires_at: None,
    };
    Visitor::of(room, room.account, Standing::of(&[grant], NOW))
}

/// Whether a page shows Ann's address as a value; it also names her in its frame, who looks at it.
fn shows_address(page: &str) -> bool {
    ["ann@example.com</dd>", "</b> ann@example.com"]
        .iter()
        .any(|it| page.contains(it))
}

async fn classify(room: &Room, of: PropertyOf, name: &str, class: Class, mask: Mask) {
    let change = DictionaryChange::Class(ClassChange {
        of,
        property: name.to_owned(),
        class: Some(class),
        mask: Some(mask),
    });
    let operator = Actor::os_user("tester");
    let changed = room
        .control
        .change_dictionary(&operator, room.account, change);
    changed.await.unwrap();
}

#[tokio::test]
async fn a_property_that_is_classified_is_masked_on_every_page() {
    let room = room().await;
    let bob = format!("/people/{}", key_of(&room, "bob"));
    let creator = Visitor::new(&room, SystemRole::Creator);
    assert!(creator.get(&bob).await.body.contains("shoe"));
    let by = "/events?event=Bought&by=What";
    assert!(creator.get(by).await.body.contains("shoe"));
    let path = "/dictionary/property?of=event&name=What";
    let page = creator.get(path).await.body;
    assert!(
        page.contains("Its values are shown to you") && page.contains("disabled"),
        "{page}"
    );

    let officer = Visitor::new(&room, SystemRole::PrivacyOfficer);
    let form = [
        ("of", "event"),
        ("name", "What"),
        ("class", "free_text"),
        ("mask", "placeholder"),
    ];
    let refused = creator.post("/dictionary/property", &form).await;
    assert_eq!(refused.status, 403);
    let changed = officer.post("/dictionary/property", &form).await;
    let to = format!("{path}&done=classified").replace("/dictionary", "");
    assert_eq!(location(&changed), officer.at(&format!("/dictionary{to}")));
    let words = officer.audited(Action::DictionaryChanged).await;
    let expect = "event property `What`: from none (placeholder) to free_text (placeholder)";
    assert_eq!(words, [(AuditOutcome::Done, expect.to_owned())]);

    let creator = Visitor::new(&room, SystemRole::Creator);
    let page = creator.get(path).await.body;
    assert!(page.contains("Your roles do not show its values"), "{page}");
    for path in [
        bob.as_str(),
        "/events?event=Bought",
        "/dictionary/event?name=Bought",
    ] {
        let page = creator.get(path).await;
        assert_eq!(page.status, 200, "{path}");
        assert!(!page.body.contains("shoe"), "{path}: {}", page.body);
    }
    let file = creator
        .get("/events/export?event=Bought&format=jsonl")
        .await;
    assert!(
        file.body.contains(r#""What":"***""#) && !file.body.contains("shoe"),
        "{}",
        file.body
    );
    for query in [
        "by=What",
        "name=What&operator=is&value=shoe",
        "name=What&operator=exists",
    ] {
        let refused = creator.get(&format!("/events?event=Bought&{query}")).await;
        assert_eq!(refused.status, 422, "{query}");
        assert!(!refused.body.contains("hat</"), "{}", refused.body);
    }
    let admin = Visitor::new(&room, SystemRole::Admin);
    assert!(admin.get(&bob).await.body.contains("shoe"));
    for wrong in [
        [("of", "nobody"), ("name", "What")],
        [("of", "event"), ("name", "")],
    ] {
        assert_eq!(
            officer.post("/dictionary/property", &wrong).await.status,
            404
        );
    }
    let half = [("of", "event"), ("name", "What"), ("class", "none")];
    assert_eq!(
        officer.post("/dictionary/property", &half).await.status,
        422
    );
}

#[tokio::test]
async fn a_program_without_the_scope_reads_masks() {
    let room = room().await;
    let operator = Actor::os_user("tester");
    let terms = PasscodeTerms {
        scopes: Scopes::parse("read").unwrap(),
        ..PasscodeTerms::default()
    };
    let made = room
        .control
        .create_passcode_on(&operator, room.account, "reader", terms);
    let passcode = made.await.unwrap();
    let ask = async |path: &str| {
        let request = http::Request::builder()
            .uri(path)
            .header("X-CleverTap-Account-Id", room.account.as_str())
            .header("X-CleverTap-Passcode", passcode.expose());
        room.send(request.body(axum::body::Body::empty()).unwrap())
            .await
    };
    let hostile: String = form_urlencoded::byte_serialize(HOSTILE.as_bytes()).collect();
    let path = format!("/1/profile.json?identity={hostile}");
    let all = room.get(&path).await;
    assert!(all.body.contains("ann@example.com"), "{}", all.body);
    let masked = ask(&path).await;
    assert_eq!(masked.status, 200);
    assert!(
        masked.body.contains("gold") && masked.body.contains("***"),
        "{}",
        masked.body
    );
    assert!(!masked.body.contains("ann@example.com"), "{}", masked.body);
    classify(
        &room,
        PropertyOf::Person,
        "Email",
        Class::Contact,
        Mask::Partial,
    )
    .await;
    let partly = ask(&path).await;
    assert!(partly.body.contains("a••••@e••••.com"), "{}", partly.body);
    let by_email = ask("/1/profile.json?email=ann@example.com").await;
    assert_eq!(by_email.status, 403, "{by_email:?}");
}

#[tokio::test]
async fn whom_a_filter_leaves_out_is_nobody() {
    let room = room().await;
    let rights = "people=write,analysis=read,exports=read,privacy_requests=write,quarantine=read,\
                  dictionary=read,personal_information=read";
    let gold = own(&room, rights, Some("Plan = 'gold'"));
    let (inside, outside) = (key_of(&room, HOSTILE), key_of(&room, "bob"));
    let nothing = gold.get("/people/00000000000000000000000000000000").await;
    assert_eq!(nothing.status, 404);
    for page in [
        "",
        "/delete",
        "/export",
        "/history",
        "/property?name=Plan",
        "/restriction",
        "/reveal",
    ] {
        let found = gold.get(&format!("/people/{inside}{page}")).await;
        assert_eq!(found.status, 200, "{page}: {}", found.body);
        let found = gold.get(&format!("/people/{outside}{page}")).await;
        assert_eq!((found.status, &found.body), (404, &nothing.body), "{page}");
    }
    for (page, form) in [
        ("/delete", [("consent", "yes"), ("reason", "x")]),
        ("/property", [("name", "Plan"), ("value", "gold")]),
        ("/restriction", [("act", "restrict"), ("reason", "x")]),
        (
            "/reveal",
            [("reason", "a reason that is long enough"), ("x", "")],
        ),
    ] {
        let found = gold.post(&format!("/people/{outside}{page}"), &form).await;
        assert_eq!((found.status, &found.body), (404, &nothing.body), "{page}");
    }
    let search = [("by", "identity"), ("value", "bob")];
    let found = gold.post("/people", &search).await;
    assert_eq!(found.status, 422);
    assert!(found.body.contains("Nothing is held"), "{}", found.body);
    for path in [
        "/overview",
        "/events",
        "/events?event=Bought",
        "/people",
        "/people/active",
        "/dictionary",
        "/quarantine",
        "/events/export?days=30&format=jsonl",
        "/people/export?days=30&format=jsonl",
    ] {
        let page = gold.get(path).await;
        assert_eq!(page.status, 200, "{path}");
        for word in ["shoe", "bob", "client-1", "Charged"] {
            assert!(
                !page.body.contains(word),
                "{path} has {word}: {}",
                page.body
            );
        }
    }
    let missing = gold.get("/dictionary/event?name=Bought").await;
    assert_eq!((missing.status, &missing.body), (404, &nothing.body));
    let file = gold.get("/people/export?days=30&format=jsonl").await;
    assert_eq!(file.body.lines().count(), 1, "{}", file.body);
}

#[tokio::test]
async fn roles_are_made_with_filters_that_are_explained() {
    let room = room().await;
    let admin = Visitor::new(&room, SystemRole::Admin);
    let form = |filter: &'static str| {
        [
            ("new", "yes"),
            ("name", "Berlin"),
            ("people", "read"),
            ("filter", filter),
        ]
    };
    let wrong = admin
        .post("/settings/roles/edit", &form("City = Berlin"))
        .await;
    assert_eq!(wrong.status, 422);
    assert!(
        wrong.body.contains("That is no condition: a value is"),
        "{}",
        wrong.body
    );
    assert!(
        wrong.body.contains(">City = Berlin</textarea>"),
        "{}",
        wrong.body
    );
    let saved = admin
        .post("/settings/roles/edit", &form("City = 'Berlin'"))
        .await;
    assert_eq!(location(&saved), admin.at("/settings/roles?done=saved"));
    let page = admin.get("/settings/roles").await.body;
    assert!(
        page.contains("<code>City = &#39;Berlin&#39;</code>"),
        "{page}"
    );
    for path in [
        "/settings/roles/edit?name=Berlin",
        "/settings/roles/edit?from=Berlin",
    ] {
        let page = admin.get(path).await.body;
        assert!(
            page.contains(">City = &#39;Berlin&#39;</textarea>"),
            "{page}"
        );
    }
    let operator = Actor::os_user("tester");
    let grant = room
        .control
        .grant_role(&operator, room.account, "ann@example.com", "Berlin", None);
    grant.await.unwrap();
    let page = admin
        .get("/settings/users/user?email=ann%40example.com")
        .await
        .body;
    assert!(
        page.contains("only those for whom this holds: <code"),
        "{page}"
    );
    assert!(
        page.contains("<dt>Personal information</dt><dd>shown</dd>"),
        "{page}"
    );
}

#[tokio::test]
async fn masked_values_are_revealed_for_a_reason() {
    let room = room().await;
    let desk = own(&room, "people=read,personal_information=read", None);
    let person = format!("/people/{}", key_of(&room, HOSTILE));
    let path = format!("{person}/reveal");
    let page = desk.get(&person).await.body;
    assert!(page.contains("Reveal…") && !shows_address(&page), "{page}");
    let form = desk.get(&path).await.body;
    assert!(
        form.contains("<b>Email</b>") && form.contains("<b>identity</b>"),
        "{form}"
    );
    assert!(!shows_address(&form), "{form}");
    let short = desk.post(&path, &[("reason", "because")]).await;
    assert_eq!(short.status, 422);
    assert!(short.body.contains("value=\"because\"") && !shows_address(&short.body));
    assert!(desk.audited(Action::PersonRevealed).await.is_empty());

    let reason = [("reason", "ticket 4711: the parcel came back")];
    let shown = desk.post(&path, &reason).await;
    assert_eq!(shown.status, 200);
    assert!(
        shown.body.contains("ann@example.com</dd>"),
        "{}",
        shown.body
    );
    assert!(
        shown.body.contains("Nothing is masked on this page"),
        "{}",
        shown.body
    );
    let entries = desk.audited(Action::PersonRevealed).await;
    assert_eq!(entries.len(), 1);
    assert!(
        entries[0].1.contains("Email") && entries[0].1.ends_with(reason[0].1),
        "{entries:?}"
    );
    // It was that answer, and nothing else.
    assert!(!shows_address(&desk.get(&person).await.body));

    let quota = RevealQuota {
        per_minute: 1,
        per_day: 10,
    };
    let operator = Actor::os_user("tester");
    room.control
        .set_reveal_quota(&operator, room.account, quota)
        .await
        .unwrap();
    let late = desk.post(&path, &reason).await;
    assert_eq!(late.status, 403);
    assert!(
        late.body.contains("as many as your account allows"),
        "{}",
        late.body
    );
    assert!(!shows_address(&late.body));
    let entries = desk.audited(Action::PersonRevealed).await;
    assert_eq!(entries[1].0, AuditOutcome::Refused);

    let member = Visitor::new(&room, SystemRole::Member);
    assert!(!member.get(&person).await.body.contains("Reveal…"));
    assert_eq!(member.post(&path, &reason).await.status, 403);
    let pages = PAGES.iter().filter(|it| it.path.ends_with("/reveal"));
    for page in pages {
        assert!(matches!(page.entry, Entry::Fresh(_)), "{}", page.path);
    }
}

#[tokio::test]
async fn the_quota_is_set_by_those_who_set_security() {
    let room = room().await;
    let admin = Visitor::new(&room, SystemRole::Admin);
    let form = [("what", "reveals"), ("per_minute", "3"), ("per_day", "30")];
    assert_eq!(admin.post("/settings/security", &form).await.status, 303);
    let page = admin.get("/settings/security").await.body;
    assert!(page.contains("name=\"per_minute\" inputmode=\"numeric\" required value=\"3\""));
    for wrong in [
        [("what", "reveals"), ("per_minute", "x"), ("per_day", "30")],
        [("what", "reveals"), ("per_minute", "31"), ("per_day", "30")],
    ] {
        assert_eq!(admin.post("/settings/security", &wrong).await.status, 422);
    }
}

#[tokio::test]
async fn the_retention_is_set_and_shortened_by_those_who_mean_it() {
    let room = room().await;
    let admin = Visitor::new(&room, SystemRole::Admin);
    let set = async |days, requests, more: &[(&'static str, &'static str)]| {
        let form = [
            ("what", "retention"),
            ("days", days),
            ("request_days", requests),
        ];
        admin
            .post("/settings/security", &[&form[..], more].concat())
            .await
    };
    let shows = |page: &str, days: &str, requests: &str| {
        let holds = |name: &str, value: &str| {
            page.contains(&format!("name=\"{name}\" inputmode=\"numeric\" {value}"))
        };
        let days = format!("required value=\"{days}\"");
        let requests = format!("value=\"{requests}\" placeholder=\"90\"");
        holds("days", &days) && holds("request_days", &requests)
    };
    let shown = async |days: &str, requests: &str| {
        let page = admin.get("/settings/security").await.body;
        !page.contains("kept-error") && shows(&page, days, requests)
    };
    assert!(shown("365", "").await);
    for wrong in [("", ""), ("365", "x"), ("89", ""), ("365", "3661")] {
        let refused = set(wrong.0, wrong.1, &[("shorter", "yes")]).await;
        assert_eq!(refused.status, 422, "{wrong:?}");
    }
    for shorter in [("364", ""), ("365", "89")] {
        let refused = set(shorter.0, shorter.1, &[]).await;
        assert_eq!(refused.status, 422, "{shorter:?}");
        assert!(
            shows(&refused.body, shorter.0, shorter.1),
            "{}",
            refused.body
        );
        let said = refused.body.split_once("id=\"kept-error\">");
        let said = said.expect("the field says what is wrong").1;
        assert!(
            said.starts_with("Less would be kept than now: tick the box"),
            "{said}"
        );
    }
    assert!(shown("365", "").await);
    assert_eq!(set("400", "91", &[]).await.status, 303);
    assert!(shown("400", "91").await);
    // Left empty, it is as configured: less than before.
    assert_eq!(set("400", "", &[]).await.status, 422);
    assert_eq!(set("100", "", &[("shorter", "yes")]).await.status, 303);
    assert!(shown("100", "").await);
    let entries = admin.audited(Action::RetentionChanged).await;
    assert_eq!(entries.len(), 2, "{entries:?}");
    assert!(
        entries[1]
            .1
            .ends_with("to events 100 days, request log as configured"),
        "{entries:?}"
    );
    let report = async |days: &str| {
        let page = admin.get("/settings/security").await.body;
        page.contains(&format!("The last {days} days: whom"))
    };
    assert!(report("30").await);
    assert_eq!(set("100", "7", &[("shorter", "yes")]).await.status, 303);
    assert!(report("7").await);
}

#[tokio::test]
async fn whoever_is_restricted_is_found_for_requests_and_nothing_else() {
    let room = room().await;
    let officer = Visitor::new(&room, SystemRole::PrivacyOfficer);
    let bob = format!("/people/{}", key_of(&room, "bob"));
    let path = format!("{bob}/restriction");
    let page = officer.get(&path).await.body;
    assert!(page.contains("was never restricted"), "{page}");
    let without = officer
        .post(&path, &[("act", "restrict"), ("reason", " ")])
        .await;
    assert_eq!(without.status, 422);
    let done = officer
        .post(&path, &[("act", "restrict"), ("reason", "objected")])
        .await;
    assert_eq!(
        location(&done),
        officer.at(&format!("{bob}?done=restricted"))
    );

    let officer = Visitor::new(&room, SystemRole::PrivacyOfficer);
    let page = officer.get(&bob).await.body;
    assert!(
        page.contains("The processing of this person is restricted"),
        "{page}"
    );
    let again = officer
        .post(&path, &[("act", "restrict"), ("reason", "x")])
        .await;
    assert_eq!(again.status, 422);
    let by_identity = [("by", "identity"), ("value", "bob")];
    assert_eq!(officer.post("/people", &by_identity).await.status, 303);
    assert_eq!(officer.get(&format!("{bob}/delete")).await.status, 200);
    assert!(!officer.get("/people").await.body.contains(">bob<"));

    let creator = Visitor::new(&room, SystemRole::Creator);
    assert_eq!(creator.get(&bob).await.status, 404);
    assert_eq!(creator.post("/people", &by_identity).await.status, 422);
    for path in [
        "/events?event=Bought",
        "/events/export?days=30&format=jsonl",
    ] {
        let page = creator.get(path).await;
        assert!(!page.body.contains("shoe"), "{path}: {}", page.body);
    }
    // An Admin handles requests too, and still exports nobody who is restricted.
    let admin = Visitor::new(&room, SystemRole::Admin);
    assert_eq!(admin.get(&format!("{bob}/export")).await.status, 200);
    let file = admin.get("/people/export?days=30&format=jsonl").await;
    assert!(!file.body.contains("\"bob\""), "{}", file.body);
    // Nor does a program.
    let answer = room.get("/1/profile.json?identity=bob").await;
    assert_eq!(answer.text(), r#"200 {"status":"success","record":null}"#);
    // What arrives is kept.
    room.upload(&[
        r#"{"type":"event","identity":"bob","evtName":"Bought","evtData":{"What":"glove"}}"#,
    ])
    .await;
    let lift = officer
        .post(&path, &[("act", "lift"), ("reason", "they agreed")])
        .await;
    assert_eq!(location(&lift), officer.at(&format!("{bob}?done=lifted")));
    let creator = Visitor::new(&room, SystemRole::Creator);
    let page = creator.get(&bob).await.body;
    assert!(page.contains("shoe") && page.contains("glove"), "{page}");
    let officer = Visitor::new(&room, SystemRole::PrivacyOfficer);
    let page = officer.get(&path).await.body;
    assert!(
        page.contains("objected") && page.contains("they agreed"),
        "{page}"
    );
    assert_eq!(officer.audited(Action::PersonRestricted).await.len(), 1);
    assert_eq!(officer.audited(Action::RestrictionLifted).await.len(), 1);
}

#[tokio::test]
async fn a_deletion_is_taken_back_until_it_begins() {
    let room = room().await;
    let bob = format!("/people/{}", key_of(&room, "bob"));
    let order = async || {
        let officer = Visitor::new(&room, SystemRole::PrivacyOfficer);
        let done = officer
            .post(&format!("{bob}/delete"), &[("consent", "yes")])
            .await;
        let to = location(&done).to_owned();
        let (_, id) = to.split_once("id=").unwrap();
        id.split('&').next().unwrap().to_owned()
    };
    let id = order().await;
    let officer = Visitor::new(&room, SystemRole::PrivacyOfficer);
    let page = officer.get("/people/deletions").await.body;
    assert!(page.contains("Cancel<span"), "{page}");
    let cancelled = officer.post("/people/deletions", &[("id", &id)]).await;
    let to = format!("/people/deletions?id={id}&done=cancelled");
    assert_eq!(location(&cancelled), officer.at(&to));
    let page = officer.get(&to).await.body;
    assert!(
        page.contains("Cancelled") && page.contains("is seen again"),
        "{page}"
    );
    assert!(!page.contains("Cancel<span"), "{page}");
    let later = Visitor::new(&room, SystemRole::PrivacyOfficer);
    assert_eq!(later.get(&bob).await.status, 200);
    assert_eq!(later.audited(Action::DeletionCancelled).await.len(), 1);

    let id = order().await;
    let job = Actor::system("deletion");
    let deletion = id.parse().unwrap();
    room.control
        .start_deletion(&job, deletion, 1)
        .await
        .unwrap();
    let late = later.post("/people/deletions", &[("id", &id)]).await;
    let to = format!("/people/deletions?id={id}&error=late");
    assert_eq!(location(&late), later.at(&to));
    assert!(later.get(&to).await.body.contains("It is too late"));
    let unknown = "00112233445566778899aabbccddeeff";
    for wrong in ["", "x", unknown] {
        assert_eq!(
            later
                .post("/people/deletions", &[("id", wrong)])
                .await
                .status,
            404
        );
    }
    let member = Visitor::new(&room, SystemRole::Member);
    let refused = member.post("/people/deletions", &[("id", &id)]).await;
    assert_eq!(refused.status, 403);
}
