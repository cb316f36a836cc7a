//! Settings: the audit log, users, roles, credentials.

use control::{Action, Actor, AllowlistChange, AuditOutcome};
use governance::access::SystemRole;
use std::sync::atomic::Ordering;

use super::visitor::{HOSTILE, Visitor, location, room};
use crate::tests::harness::NOW;

#[tokio::test]
async fn the_audit_log_is_filtered_by_people_and_actions() {
    let room = room().await;
    let admin = Visitor::new(&room, SystemRole::Admin);
    admin.get("/people").await;
    let page = admin.get("/settings/audit").await.body;
    assert!(
        page.contains("people.read</td>") && page.contains("account.created</td>"),
        "{page}"
    );
    let query = "actor=ann%40example.com&action=people.read&action=events.read";
    let page = admin.get(&format!("/settings/audit?{query}")).await.body;
    assert!(
        page.contains("people.read</td>") && !page.contains("account.created</td>"),
        "{page}"
    );
    assert!(page.contains("203.0.113.77"), "{page}");
    assert!(page.contains("Only what is filtered"), "{page}");
    let page = admin
        .get("/settings/audit?actors=nobody%40example.com")
        .await
        .body;
    assert!(page.contains("No entry matches"), "{page}");
    assert_eq!(admin.get("/settings/audit?action=burn").await.status, 422);
    let member = Visitor::new(&room, SystemRole::Member);
    assert_eq!(member.get("/settings/audit").await.status, 403);
}

#[tokio::test]
async fn the_whole_log_is_downloaded_and_verifies() {
    let room = room().await;
    let auditor = Visitor::new(&room, SystemRole::Auditor);
    let file = auditor.get("/settings/audit/download?format=jsonl").await;
    assert_eq!(file.status, 200);
    let verified = control::verify(file.body.as_bytes(), None, None).unwrap();
    assert!(verified.holds(), "{verified:?}");
    // Its head was published before the first byte left.
    let kept = room.heads.kept.lock().unwrap().clone();
    assert_eq!(kept.len(), 1);
    assert_eq!(kept[0].0, room.account);
    let line = serde_json::to_string(&kept[0].1).unwrap();
    assert!(file.body.contains(&line), "{kept:?}");
    let found = control::verify(file.body.as_bytes(), None, Some(&kept[0].1)).unwrap();
    assert!(found.holds(), "{found:?}");
    let entries = auditor.audited(Action::AuditExported).await;
    let outcomes: Vec<AuditOutcome> = entries.into_iter().map(|it| it.0).collect();
    assert_eq!(outcomes, [AuditOutcome::Begun, AuditOutcome::Done]);
    let file = auditor.get("/settings/audit/download?format=csv").await;
    assert!(file.body.contains("account.created"), "{}", file.body);
    assert_eq!(room.heads.asked.load(Ordering::Relaxed), 2);
    // Where no head can be published, nothing is downloaded.
    room.heads.is_broken.store(true, Ordering::Relaxed);
    let failed = auditor.get("/settings/audit/download?format=jsonl").await;
    assert_eq!(failed.status, 503);
    assert_eq!(auditor.audited(Action::AuditExported).await.len(), 4);
}

#[tokio::test]
async fn where_the_log_is_streamed_to_is_for_operators() {
    let room = room().await;
    let operator = Visitor::new(&room, SystemRole::Operator);
    let page = operator.get("/settings/audit").await.body;
    for shown in [
        "Streamed to",
        "siem.example",
        "it answered 503",
        "12 of 10,000",
    ] {
        assert!(page.contains(shown), "{shown} in {page}");
    }
    let admin = Visitor::new(&room, SystemRole::Admin);
    let page = admin.get("/settings/audit").await.body;
    assert!(!page.contains("siem.example"), "{page}");
}

#[tokio::test]
async fn users_are_changed_after_a_review_and_all_or_none() {
    let room = room().await;
    let admin = Visitor::new(&room, SystemRole::Admin);
    let form = [
        ("act", "invite"),
        ("emails", "bea@example.com\ncy@example.com"),
        ("role", "member"),
        ("days", "30"),
    ];
    let review = admin.post("/settings/users", &form).await;
    assert_eq!(review.status, 200);
    assert!(
        review.body.contains("Nothing has been changed yet") && review.body.contains("no access")
    );
    assert!(admin.audited(Action::UserInvited).await.is_empty());
    let confirmed: Vec<_> = form.into_iter().chain([("confirm", "yes")]).collect();
    let done = admin.post("/settings/users", &confirmed).await;
    assert_eq!(location(&done), admin.at("/settings/users?done=invite&n=2"));
    let page = admin.get("/settings/users?done=invite&n=2").await.body;
    assert!(
        page.contains("2 invitations written") && page.contains("bea@example.com"),
        "{page}"
    );
    assert!(page.contains("(offered)"), "{page}");
    let some = [
        ("act", "withdraw"),
        ("email", "bea@example.com"),
        ("email", "no@example.com"),
        ("role", "member"),
        ("confirm", "yes"),
    ];
    let refused = admin.post("/settings/users", &some).await;
    assert_eq!(refused.status, 422);
    assert!(
        refused.body.contains("Nothing was changed"),
        "{}",
        refused.body
    );
    assert!(admin.audited(Action::RoleWithdrawn).await.is_empty());
    let one = admin
        .get("/settings/users/user?email=bea%40example.com")
        .await
        .body;
    assert!(one.contains("What this user can do, and why"), "{one}");
    let end = [
        ("act", "revoke"),
        ("email", "bea@example.com"),
        ("confirm", "yes"),
    ];
    location(&admin.post("/settings/users", &end).await);
    assert!(
        !admin
            .get("/settings/users")
            .await
            .body
            .contains("bea@example.com")
    );
}

#[tokio::test]
async fn roles_are_made_copied_and_deleted() {
    let room = room().await;
    let admin = Visitor::new(&room, SystemRole::Admin);
    let form = [
        ("new", "yes"),
        ("name", HOSTILE),
        ("people", "read"),
        ("analysis", "write"),
    ];
    let made = admin.post("/settings/roles/edit", &form).await;
    assert_eq!(location(&made), admin.at("/settings/roles?done=saved"));
    let again = admin.post("/settings/roles/edit", &form).await;
    assert_eq!(again.status, 422);
    let page = admin.get("/settings/roles").await;
    assert!(page.body.contains("own</span>"), "{}", page.body);
    let mut query = form_urlencoded::Serializer::new(String::from("/settings/roles/edit?"));
    query.append_pair("from", HOSTILE);
    let copy = admin.get(&query.finish()).await;
    assert!(copy.body.contains("Copy of"), "{}", copy.body);
    let system = [("name", "admin"), ("people", "read")];
    assert_eq!(
        admin.post("/settings/roles/edit", &system).await.status,
        422
    );
    location(&admin.post("/settings/roles", &[("name", HOSTILE)]).await);
    assert_eq!(admin.audited(Action::RoleDeleted).await.len(), 1);
    let creator = Visitor::new(&room, SystemRole::Creator);
    assert_eq!(
        creator.post("/settings/roles/edit", &form).await.status,
        403
    );
}

#[tokio::test]
async fn a_passcode_is_shown_once_with_its_terms() {
    let room = room().await;
    let admin = Visitor::new(&room, SystemRole::Admin);
    let form = [
        ("act", "make"),
        ("name", HOSTILE),
        ("scope", "upload"),
        ("days", "30"),
        ("networks", "192.0.2.0/24"),
    ];
    let made = admin.post("/settings/credentials", &form).await;
    assert_eq!(made.status, 200);
    let secret = made.body.split("<code id=\"made\">").nth(1).unwrap();
    let secret = secret.split('<').next().unwrap();
    assert_eq!(secret.len(), 35, "{secret}");
    assert!(made.body.contains("192.0.2.0/24") && made.body.contains("<td>upload</td>"));
    let page = admin.get("/settings/credentials").await.body;
    assert!(!page.contains(secret));
    for left in [
        "npm install clevertap-web-sdk",
        "AndroidManifest.xml",
        "Info.plist",
        "curl",
        "Node.js",
        "Python",
    ] {
        assert!(page.contains(left), "{left}");
    }
    assert!(
        page.contains("What arrives") && page.contains("/1/upload"),
        "{page}"
    );
    let wrong = [
        ("act", "make"),
        ("name", "x"),
        ("scope", "upload"),
        ("networks", "here"),
    ];
    let refused = admin.post("/settings/credentials", &wrong).await;
    assert_eq!(refused.status, 422);
    assert!(refused.body.contains("not a network"), "{}", refused.body);
    let again = admin.post("/settings/credentials", &form).await;
    assert_eq!(again.status, 422);
    location(
        &admin
            .post(
                "/settings/credentials",
                &[("act", "revoke"), ("name", HOSTILE)],
            )
            .await,
    );
    assert!(
        admin
            .get("/settings/credentials")
            .await
            .body
            .contains("Revoked")
    );
}

#[tokio::test]
async fn a_new_passcode_sees_personal_information_only_when_that_is_ticked() {
    let room = room().await;
    let admin = Visitor::new(&room, SystemRole::Admin);
    let page = admin.get("/settings/credentials").await.body;
    let is_ticked = |scope: &str| {
        let (_, rest) = page.split_once(&format!("value=\"{scope}\"")).unwrap();
        rest.starts_with(" checked>")
    };
    let scopes = ["upload", "read", "personal_information", "delete"];
    assert_eq!(scopes.map(is_ticked), [true, true, false, true]);
    let ticked = [
        ("act", "make"),
        ("name", "one"),
        ("scope", "personal_information"),
        ("days", "x"),
    ];
    // A form that was refused keeps what was ticked.
    let refused = admin.post("/settings/credentials", &ticked).await;
    assert_eq!(refused.status, 422);
    let kept = "value=\"personal_information\" checked";
    assert!(refused.body.contains(kept), "{}", refused.body);
}

#[tokio::test]
async fn the_token_of_apps_is_rotated_with_an_overlap_shown_once_and_ended() {
    let room = room().await;
    let admin = Visitor::new(&room, SystemRole::Admin);
    let page = "/settings/credentials";
    for days in ["", "ten", "-1", "3661"] {
        let refused = admin.post(page, &[("act", "rotate"), ("days", days)]).await;
        assert_eq!(refused.status, 422, "{days}");
    }
    assert_eq!(admin.audited(Action::SdkTokenRotated).await, []);
    let done = admin.post(page, &[("act", "rotate"), ("days", "90")]).await;
    assert_eq!(done.status, 200);
    let (_, rest) = done.body.split_once("<code id=\"made\">").unwrap();
    let token = rest.split('<').next().unwrap();
    assert_eq!(token.len(), 35);
    let rules = room.control.rules().borrow().account(room.account).cloned();
    let rules = rules.unwrap();
    assert_eq!(rules.verify_sdk_token(token, NOW), Some(2));
    assert!(rules.sdk_tokens[0].ends_at.is_some());
    let shown = admin.get(page).await.body;
    assert!(!shown.contains(token));
    assert!(shown.contains("Accepted still") && shown.contains("Newest"));
    assert_eq!(admin.audited(Action::SdkTokenRotated).await.len(), 1);
    assert!(!shown.contains("name=\"number\" value=\"2\""), "the newest");
    for (number, status) in [("2", 409), ("3", 404), ("one", 404), ("1", 303), ("1", 404)] {
        let end = [("act", "end"), ("number", number)];
        assert_eq!(admin.post(page, &end).await.status, status, "{number}");
    }
    let shown = admin.get(page).await.body;
    assert!(shown.contains("Refused") && !shown.contains("name=\"number\""));
    assert_eq!(admin.audited(Action::SdkTokenEnded).await.len(), 1);
    let uses = room.state.collect().take_uses();
    assert!(!uses.is_empty());
    room.control.note_uses(uses).await.unwrap();
    let file = admin.get("/settings/credentials?format=csv").await.body;
    let line = file.lines().find(|it| it.starts_with("default,")).unwrap();
    assert!(line.contains("2026-09-21"), "{line}");
}

#[tokio::test]
async fn a_list_without_a_network_lets_in_whom_the_page_says() {
    let room = room().await;
    let admin = Visitor::new(&room, SystemRole::Admin);
    let page = admin.get("/settings/security").await.body;
    assert!(page.contains("every address may come in"), "{page}");
    let asked = AllowlistChange {
        api: Some(true),
        ..AllowlistChange::default()
    };
    let operator = Actor::os_user("tester");
    let changed = room
        .control
        .change_allowlist(&operator, room.account, asked)
        .await;
    changed.unwrap();
    let page = admin.get("/settings/security").await.body;
    assert!(page.contains("no program may call"), "{page}");
    assert!(!page.contains("every address may come in"), "{page}");
}
