//! Every operation does what it says and leaves the entry that the table names.

use axum::body::Body;
use control::{Action, AuditFilter, AuditOutcome, DictionaryChange, LedgerKey};
use governance::access::Rights;
use governance::{Declared, Stretch};
use model::IdentityKind;
use serde_json::{Value, json};

use super::caller::{Caller, EVERYTHING, operator};
use crate::operate::quarantine::{Desk, Wanted};
use crate::tests::harness::{Answer, CONTROL_WRITES, NOTHING, Room};
use crate::v2::table::{OPERATIONS, Operation};
use control::Audit;

/// Something for every operation to be about.
pub(super) struct Stage<'r> {
    room: &'r Room,
    /// Of a user who is a member and an auditor.
    user: String,
    /// Of a passcode, of a role that nobody has, of an event that is known.
    name: String,
    /// Of a token of apps that is not the newest.
    token: String,
    /// Of a property that the event, and people, are declared to have.
    property: String,
    /// Of a person.
    person: String,
    /// Of a person whose processing is restricted.
    restricted: String,
    /// Of a record in quarantine.
    pub(super) record: String,
    /// Of a deletion of somebody else.
    deletion: String,
}

const UPLOAD: [&str; 3] = [
    r#"{"type":"profile","identity":"eve","profileData":{"Name":"Eve"}}"#,
    r#"{"type":"profile","identity":"ann","profileData":{"Name":"Ann","Email":"ann@example.com","Plan":"gold"}}"#,
    r#"{"type":"event","identity":"ann","evtName":"Bought","evtData":{"What":"shoe","Price":12.5}}"#,
];

impl<'r> Stage<'r> {
    pub(super) async fn new(room: &'r Room) -> Self {
        let (control, account, operator) = (&room.control, room.account, operator());
        let (name, email) = ("on stage", "bea@example.com");
        let invited = control.invite_user(&operator, account, email, "Bea", "member", None);
        invited.await.unwrap();
        let role = control.grant_role(&operator, account, email, "auditor", None);
        role.await.unwrap();
        control
            .create_passcode(&operator, account, name)
            .await
            .unwrap();
        for _ in 0..2 {
            let rotated = control.rotate_sdk_token(&operator, account, 30);
            rotated.await.unwrap();
        }
        let rights = Rights::parse("analysis=read").unwrap();
        control
            .set_role(&operator, account, name, rights, None)
            .await
            .unwrap();
        let (event, property) = (name.to_owned(), String::from("Size"));
        let declared = Declared::default();
        for known in [
            DictionaryChange::Define(event.clone(), Vec::new()),
            DictionaryChange::Declare(Some(event), property.clone(), declared),
            DictionaryChange::Declare(None, property.clone(), declared),
        ] {
            let changed = control.change_dictionary(&operator, account, known);
            changed.await.unwrap();
        }
        let users = control.users(&operator, account).await.unwrap();
        room.upload(&UPLOAD).await;
        let refused =
            r#"{"d":[{"type":"event","identity":"ann","evtName":"Old","ts":1000,"evtData":{}}]}"#;
        room.post("/1/upload", refused).await;
        let desk = Desk {
            state: &room.state,
            actor: &operator,
            account,
        };
        let wanted = Wanted {
            limit: 1,
            ..Wanted::default()
        };
        let found = desk.list(&wanted).await.unwrap().records;
        let rules = control.rules().borrow().account(account).cloned().unwrap();
        let key = |name: &str| rules.person_key(IdentityKind::Identity, name);
        let gone = vec![LedgerKey::whole(key("gone"))];
        let deletion = control.request_deletion(&operator, account, gone, "test");
        let eve = [(key("eve"), Stretch::WHOLE)];
        let restricted = control.restrict(&operator, account, &eve, "she objects");
        restricted.await.unwrap();
        Self {
            room,
            user: users[0].id.clone(),
            name: name.to_owned(),
            token: String::from("2"),
            property,
            person: key("ann").to_string(),
            restricted: key("eve").to_string(),
            record: found[0]["record_id"].as_str().unwrap().to_owned(),
            deletion: deletion.await.unwrap().to_string(),
        }
    }

    /// The same, of which nothing is there.
    pub(super) fn nothing(&self) -> Self {
        Self {
            room: self.room,
            user: "0".repeat(32),
            name: String::from("nothing"),
            token: String::from("9"),
            property: String::from("nothing"),
            person: "0".repeat(32),
            restricted: "0".repeat(32),
            record: "0".repeat(32),
            deletion: "0".repeat(32),
        }
    }

    /// Whether all of it is still there.
    pub(super) async fn is_whole(&self) {
        let (control, account, operator) = (&self.room.control, self.room.account, operator());
        let users = control.users(&operator, account).await.unwrap();
        let bea = users.iter().find(|it| it.id == self.user).unwrap();
        assert_eq!(bea.grants.len(), 2);
        let found = control.account(&operator, account).await.unwrap();
        let passcode = found.passcodes.iter().find(|it| it.name == self.name);
        assert_eq!(passcode.unwrap().revoked_at, None);
        assert!(found.domains.is_empty());
        let tokens = &found.sdk_tokens;
        assert_eq!((tokens.len(), tokens[0].ends_at), (3, tokens[1].ends_at));
        let roles = control.roles(&operator, account).await.unwrap();
        let role = roles.iter().find(|it| it.name == self.name).unwrap();
        assert_eq!(role.rights, "analysis=read");
        let said = control.dictionary(&operator, account).await.unwrap();
        assert_eq!((said.events.len(), said.undefined_events), (1, "accept"));
        let list = control.allowlist(&operator, account).await.unwrap();
        assert!(list.entries.is_empty() && !list.api);
        let deletions = control.deletions(&operator, account).await.unwrap();
        assert_eq!(deletions.len(), 1);
        assert!(deletions[0].is_open());
        let rules = control.rules().borrow().account(account).cloned().unwrap();
        let restricted = rules.restricted.iter().map(|it| it.person.to_string());
        let restricted: Vec<String> = restricted.collect();
        assert_eq!(restricted, std::slice::from_ref(&self.restricted));
        assert!(rules.classes.is_empty());
        assert_eq!(
            (said.profile.len(), said.events[0].properties.len()),
            (1, 1)
        );
        let marks = control.quarantine_marks(&operator, account).await.unwrap();
        assert!(marks.is_empty());
    }
}

/// A sound call of an operation: its URL, and its body where it has one.
pub(super) fn example(operation: &Operation, stage: &Stage<'_>) -> (String, Value) {
    let path = operation
        .path
        .replace("/users/{id}", &format!("/users/{}", stage.user))
        .replace("/quarantine/{id}", &format!("/quarantine/{}", stage.record))
        .replace("/deletions/{id}", &format!("/deletions/{}", stage.deletion))
        .replace(
            "{key}/restrictions/lift",
            &format!("{}/restrictions/lift", stage.restricted),
        )
        .replace("{key}", &stage.person)
        .replace("{name}", &stage.name)
        .replace("{number}", &stage.token)
        .replace("{role}", "auditor")
        .replace("{property}", &stage.property)
        .replace("{of}", "people")
        .replace("/breakdown", "/breakdown?by=Price")
        .replace(' ', "%20");
    let body = match (operation.method, operation.path) {
        ("POST", "/v2/users") => json!({"users": [{"email": "Cy@example.com", "role": "creator"}]}),
        ("PUT", "/v2/users/{id}/roles/{role}") => json!({"expires_at": "2026-12-01T00:00:00Z"}),
        ("POST", "/v2/credentials") => json!({
            "name": "reports", "scopes": ["read"], "rights": {"audit_log": "read"},
            "networks": ["192.0.2.0/24"], "expires_at": "2026-12-01T00:00:00Z"
        }),
        ("POST", "/v2/sdk-tokens") => json!({"overlap_days": 30}),
        ("PUT", "/v2/roles/{name}") => json!({"rights": {"analysis": "write"}}),
        ("POST", "/v2/roles/{name}/copies") => json!({"name": "copy"}),
        ("POST", "/v2/allowlist") => json!({
            "add": [{"network": "203.0.113.0/24", "label": "office"}], "api": true
        }),
        ("POST", "/v2/domains") => json!({"add": ["example.com"]}),
        ("POST", "/v2/quarantine/replays") => json!({"records": [stage.record]}),
        ("PUT", "/v2/dictionary/events/{name}") => {
            json!({"status": "known", "properties": ["Price"]})
        }
        ("PUT", "/v2/dictionary/policy") => {
            json!({
                "undefined_events": "drop", "undefined_properties": "drop_property",
                "mismatched_properties": "drop_event", "undefined_profile": "accept",
                "mismatched_profile": "drop"
            })
        }
        ("POST", "/v2/people/search") => json!({"by": "identity", "value": "ann"}),
        ("PUT", "/v2/dictionary/events/{name}/properties/{property}") => {
            json!({"kind": "number", "is_mandatory": true})
        }
        ("PUT", "/v2/dictionary/profile/{property}") => json!({"kind": "text"}),
        ("PUT", "/v2/dictionary/properties/{of}/{name}/class") => {
            json!({"class": "contact", "mask": "partial"})
        }
        ("POST", "/v2/people/{key}/restrictions" | "/v2/people/{key}/restrictions/lift") => {
            json!({"reason": "said so by letter"})
        }
        ("POST", "/v2/people/{key}/deletions") => json!({"reason": "asked for by letter"}),
        _ => Value::Null,
    };
    (path, body)
}

#[tokio::test]
async fn every_operation_is_carried_out_and_leaves_its_entry() {
    for operation in OPERATIONS {
        let room = Room::new().await;
        let stage = Stage::new(&room).await;
        let caller = Caller::new(&room, EVERYTHING).await;
        let (path, body) = example(operation, &stage);
        let answer = caller.call(operation, &path, &body).await;
        let what = format!("{} {path}", operation.method);
        assert!((200..300).contains(&answer.status), "{what}: {answer:?}");
        if answer.status != 204 && operation.path != "/v2/openapi.json" {
            assert_eq!(answer.headers["cache-control"], "no-store", "{what}");
        }
        if let Audit::Entries(actions) = operation.audit {
            let found = caller.audited(actions[0]).await;
            assert!(
                !found.is_empty(),
                "{what} leaves no entry of {:?}",
                actions[0]
            );
        }
        let lines = room.lines().await;
        let line = lines.last().unwrap();
        assert_eq!(
            &*line.path, operation.path,
            "the log has patterns, no names"
        );
        assert_eq!(line.status, answer.status);
    }
}

#[tokio::test]
async fn without_its_entry_nothing_happens() {
    let room = Room::new().await;
    let stage = Stage::new(&room).await;
    let caller = Caller::new(&room, EVERYTHING).await;
    room.store.refuse(CONTROL_WRITES);
    for operation in OPERATIONS {
        if operation.audit == Audit::Nothing {
            continue;
        }
        let (path, body) = example(operation, &stage);
        let answer = caller.call(operation, &path, &body).await;
        super::caller::is_problem(&answer, 503, "unavailable");
        assert_eq!(answer.headers["retry-after"], "2");
        // What was committed and did not reach the volumes is done when they answer again.
        assert!(answer.body.contains("look whether it did"), "{answer:?}");
    }
    room.store.refuse(NOTHING);
    stage.is_whole().await;
}

#[tokio::test]
async fn what_is_counted_is_on_record_without_the_values_of_people() {
    let room = Room::new().await;
    Stage::new(&room).await;
    let caller = Caller::new(&room, "analysis=read").await;
    for path in [
        "counts?event=Bought&property=What&value=shoe",
        "trends?measure=people",
        "breakdown?event=Bought&by=What",
    ] {
        let answer = caller.get(&format!("/v2/events/{path}")).await;
        assert_eq!(answer.status, 200, "{path}: {answer:?}");
    }
    let filter = AuditFilter {
        actions: vec![Action::CountRead, Action::EventsRead],
        actors: vec![caller.name.clone()],
        ..AuditFilter::default()
    };
    let operator = operator();
    let found = room.control.audit_log(&operator, room.account, &filter);
    let found = found.await.unwrap().into_iter();
    let found: Vec<(Action, String)> = found.map(|it| (it.action, it.description)).collect();
    let days = "from 2026-08-23 to 2026-09-21";
    let expect = [
        (
            Action::CountRead,
            format!("`Bought` {days} under a condition: 1 events of 1 people"),
        ),
        (
            Action::CountRead,
            format!("all events {days}: people in 30 stretches of time"),
        ),
        (
            Action::EventsRead,
            format!("`Bought` {days}: values of `What`"),
        ),
    ];
    assert_eq!(found, expect);
}

#[tokio::test]
async fn the_audit_log_is_paged_filtered_and_read_on_record() {
    let room = Room::new().await;
    let caller = Caller::new(&room, "audit_log=read").await;
    for n in 0..5 {
        let (operator, name) = (operator(), format!("p{n}"));
        let made = room.control.create_passcode(&operator, room.account, &name);
        made.await.unwrap();
    }
    let all = caller.get("/v2/audit-log").await.json();
    let all = all["items"].as_array().unwrap().clone();
    let newest = all[0]["sequence"].as_u64().unwrap();
    let mut cursor = String::new();
    let mut seen = Vec::new();
    loop {
        let path = format!("/v2/audit-log?limit=2&action=passcode.created{cursor}");
        let page = caller.get(&path).await.json();
        for item in page["items"].as_array().unwrap() {
            assert_eq!(item["action"], "passcode.created");
            seen.push(item["sequence"].as_u64().unwrap());
        }
        match page["next"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert!(seen.iter().rev().is_sorted() && seen.len() >= 6, "{seen:?}");
    let by = caller
        .get("/v2/audit-log?actor=nobody%40example.com&actor=tester&action=passcode.created&action=account.created")
        .await
        .json();
    assert!(
        by["items"]
            .as_array()
            .unwrap()
            .iter()
            .all(|it| it["actor"] == "tester")
    );
    let none = caller
        .get("/v2/audit-log?from=2027-01-01T00:00:00Z")
        .await
        .json();
    assert_eq!(none["items"], json!([]));
    let read = caller.audited(Action::AuditRead).await;
    assert!(read.len() > 3 && read.iter().all(|it| it.0 == AuditOutcome::Done));
    assert!(newest > 0);
}

#[tokio::test]
async fn a_download_of_the_audit_log_verifies() {
    let room = Room::new().await;
    let caller = Caller::new(&room, "audit_log=read").await;
    let file = caller.get("/v2/audit-log/download").await;
    assert_eq!(file.status, 200);
    assert_eq!(file.headers["content-type"], "application/jsonl");
    let verified = control::verify(file.body.as_bytes(), None, None).unwrap();
    assert!(verified.holds() && !verified.filtered, "{verified:?}");
    let some = caller
        .get("/v2/audit-log/download?action=account.created")
        .await;
    let some = control::verify(some.body.as_bytes(), None, None).unwrap();
    assert!(some.holds() && some.filtered, "{some:?}");
    let csv = caller.get("/v2/audit-log/download?format=csv").await;
    assert_eq!(csv.headers["content-type"], "text/csv; charset=utf-8");
    assert!(csv.body.lines().count() > 1);
}

#[tokio::test]
async fn a_passcode_is_made_used_and_revoked_and_never_by_itself() {
    let room = Room::new().await;
    let caller = Caller::new(&room, EVERYTHING).await;
    let body = json!({"name": "reports", "rights": {"audit_log": "read"}});
    let made = caller.send("POST", "/v2/credentials", &body).await;
    assert_eq!(made.status, 201, "{made:?}");
    let secret = made.json()["passcode"].as_str().unwrap().to_owned();
    let taken = caller.send("POST", "/v2/credentials", &body).await;
    super::caller::is_problem(&taken, 409, "conflict");
    let listed = caller.get("/v2/credentials").await;
    assert!(!listed.body.contains(&secret));
    let items = listed.json()["items"].clone();
    let of = items
        .as_array()
        .unwrap()
        .iter()
        .find(|it| it["name"] == "reports");
    let of = of.unwrap();
    assert_eq!(of["rights"], json!({"audit_log": "read"}));
    assert_eq!(
        (&of["state"], &of["scopes"]),
        (&json!("accepted"), &json!([]))
    );
    let use_it = || {
        let request = http::Request::builder()
            .uri("/v2/audit-log?limit=1")
            .header("X-CleverTap-Account-Id", room.account.as_str())
            .header("X-CleverTap-Passcode", &secret);
        room.send(request.body(Body::empty()).unwrap())
    };
    assert_eq!(use_it().await.status, 200);
    let own = format!("/v2/credentials/{}", caller.name.replace(' ', "%20"));
    let itself = caller.bare("DELETE", &own).await;
    super::caller::is_problem(&itself, 409, "conflict");
    assert_eq!(
        caller
            .bare("DELETE", "/v2/credentials/reports")
            .await
            .status,
        204
    );
    super::caller::is_problem(&use_it().await, 401, "invalid_credentials");
    let again = caller.bare("DELETE", "/v2/credentials/reports").await;
    super::caller::is_problem(&again, 404, "not_found");
}

#[tokio::test]
async fn users_are_invited_given_roles_and_revoked_and_no_link_comes_back() {
    let room = Room::new().await;
    let caller = Caller::new(&room, EVERYTHING).await;
    let body = json!({"users": [
        {"email": "Ann@example.com", "name": "Ann", "role": "member"},
        {"email": "bob@example.com", "role": "auditor", "expires_at": "2026-12-01T00:00:00Z"}
    ]});
    let invited = caller.send("POST", "/v2/users", &body).await;
    assert_eq!(invited.status, 201, "{invited:?}");
    assert!(!invited.body.contains("/link/"), "{invited:?}");
    let users = invited.json()["items"].as_array().unwrap().clone();
    assert_eq!(users.len(), 2);
    let ann = users
        .iter()
        .find(|it| it["email"] == "ann@example.com")
        .unwrap();
    assert_eq!(ann["roles"][0]["is_pending"], true);
    let path = format!("/v2/users/{}", ann["id"].as_str().unwrap());
    let granted = caller
        .send("PUT", &format!("{path}/roles/auditor"), &json!({}))
        .await;
    assert_eq!(granted.status, 204, "{granted:?}");
    let shown = caller.get(&path).await.json();
    assert_eq!(shown["roles"].as_array().unwrap().len(), 2);
    assert_eq!(
        caller
            .bare("DELETE", &format!("{path}/roles/auditor"))
            .await
            .status,
        204
    );
    let gone = caller
        .bare("DELETE", &format!("{path}/roles/auditor"))
        .await;
    super::caller::is_problem(&gone, 404, "not_found");
    assert_eq!(caller.bare("DELETE", &path).await.status, 204);
    super::caller::is_problem(&caller.get(&path).await, 404, "not_found");
    // One that cannot be carried out leaves the others undone.
    let half = json!({"users": [
        {"email": "cy@example.com", "role": "member"}, {"email": "dee@example.com", "role": "nothing"}
    ]});
    super::caller::is_problem(
        &caller.send("POST", "/v2/users", &half).await,
        404,
        "not_found",
    );
    let page = caller.get("/v2/users?limit=1").await.json();
    assert_eq!(page["items"].as_array().unwrap().len(), 1);
    assert_eq!(page["next"], Value::Null, "{page}");
}

#[tokio::test]
async fn a_copy_of_a_role_is_for_the_same_people() {
    let room = Room::new().await;
    let caller = Caller::new(&room, "roles=write").await;
    let gold = json!({"rights": {}, "filter": "Plan='gold'"});
    let made = caller.send("PUT", "/v2/roles/gold", &gold).await.json();
    assert_eq!(made["filter"], "Plan = 'gold'");
    let copy = json!({"name": "copy"});
    let copied = caller.send("POST", "/v2/roles/gold/copies", &copy).await;
    assert_eq!(copied.json()["filter"], "Plan = 'gold'");
    let listed = caller.get("/v2/roles").await.json();
    let items = listed["items"].as_array().unwrap().iter();
    let filters = items.filter(|it| it["filter"] == "Plan = 'gold'");
    assert_eq!(filters.count(), 2);
    let wrong = json!({"rights": {}, "filter": "DROP TABLE people"});
    let refused = caller.send("PUT", "/v2/roles/wrong", &wrong).await;
    super::caller::is_problem(&refused, 422, "invalid");
}

#[tokio::test]
async fn a_restricted_person_is_found_by_those_who_handle_requests_and_by_nobody_else() {
    let room = Room::new().await;
    let _stage = Stage::new(&room).await;
    let wanted = json!({"by": "identity", "value": "eve"});
    for (scopes, count) in [
        ("people=read,privacy_requests=write", 1),
        ("people=read", 0),
    ] {
        let caller = Caller::new(&room, scopes).await;
        let found = caller.send("POST", "/v2/people/search", &wanted).await;
        let items = found.json()["items"].clone();
        assert_eq!(items.as_array().unwrap().len(), count, "{scopes}");
    }
}

#[tokio::test]
async fn a_passcode_that_does_not_see_personal_information_is_shown_networks() {
    let room = Room::new().await;
    room.upload(&UPLOAD).await;
    let (log, personal) = ("request_log=read", "personal_information=write");
    let part = Caller::new(&room, log).await;
    let whole = Caller::new(&room, &format!("{personal},{log}")).await;
    let peers = |answer: &Answer| {
        let items = answer.json()["items"].clone();
        let items = items.as_array().unwrap().clone();
        let peers = items
            .iter()
            .map(|it| it["peer"].as_str().unwrap().to_owned());
        peers.collect::<std::collections::BTreeSet<_>>()
    };
    let network = String::from("203.0.113.0/24");
    assert_eq!(
        peers(&part.get("/v2/requests").await),
        [network.clone()].into()
    );
    let seen = peers(&whole.get("/v2/requests").await);
    assert!(seen.contains("203.0.113.9"), "{seen:?}");
    let by_network = "/v2/requests?peer=203.0.113.0%2F24";
    assert_eq!(peers(&part.get(by_network).await), [network].into());
    assert!(peers(&whole.get(by_network).await).contains("203.0.113.9"));
    let refused = part.get("/v2/requests?peer=203.0.113.9").await;
    assert_eq!(refused.status, 422, "{refused:?}");
    assert!(refused.body.contains("203.0.113.0/24"), "{}", refused.body);
    assert_eq!(whole.get("/v2/requests?peer=203.0.113.9").await.status, 200);
}

#[tokio::test]
async fn days_of_an_overlap_are_whole_however_they_are_written() {
    let room = Room::new().await;
    let caller = Caller::new(&room, "credentials=write").await;
    for (days, status) in [
        ("2", 201),
        ("2.0", 201),
        ("-0.0", 201),
        ("2.5", 400),
        ("-1", 400),
        ("3661", 422),
    ] {
        let body = serde_json::from_str(&format!(r#"{{"overlap_days": {days}}}"#)).unwrap();
        let answer = caller.send("POST", "/v2/sdk-tokens", &body).await;
        assert_eq!(answer.status, status, "{days}: {answer:?}");
    }
}
