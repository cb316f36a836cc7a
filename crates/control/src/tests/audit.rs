//! The audit log.

use model::{AccountId, ErrorKind, PersonKey};
use std::time::Duration;

use super::support::{Faulty, World, dump, operator};
use crate::{Action, Actor, AuditEntry, AuditFilter, AuditOutcome, LedgerKey};

fn names(entries: &[AuditEntry]) -> Vec<(u64, &str, &str)> {
    entries
        .iter()
        .map(|it| (it.sequence, it.action.as_str(), it.actor.as_str()))
        .collect()
}

#[tokio::test]
async fn every_act_has_an_entry_and_the_numbers_have_no_gaps() {
    let world = World::new(30);
    let dir = tempfile::tempdir().unwrap();
    let (control, _) = world.open(dir.path(), Faulty::new()).await.unwrap();
    let id = control
        .create_account(&operator(), "Shop", "UTC")
        .await
        .unwrap()
        .account_id;
    let program = Actor::passcode(id, "default").with_peer("192.0.2.7".parse().unwrap());
    let keys = vec![LedgerKey::whole(PersonKey([1; 16]))];
    control
        .request_deletion(&program, id, keys, "asked by mail")
        .await
        .unwrap();
    control
        .set_limits(&program, id, crate::LimitsChange::default())
        .await
        .unwrap_err();
    // An act that fails leaves neither a change nor an entry.
    control
        .revoke_passcode(&operator(), id, "nobody")
        .await
        .unwrap_err();
    control
        .audit(
            &program,
            id,
            Action::PersonShown,
            "p1",
            "profile",
            AuditOutcome::Begun,
        )
        .await
        .unwrap();
    let filter = AuditFilter::default();
    control.audit_log(&operator(), id, &filter).await.unwrap();
    let entries = control.audit_log(&operator(), id, &filter).await.unwrap();
    let expect = [
        (1, "account.created", "olga"),
        (2, "deletion.requested", "default"),
        (3, "access.refused", "default"),
        (4, "person.shown", "default"),
        (5, "audit.read", "olga"),
    ];
    assert_eq!(names(&entries), expect);
    assert_eq!(entries[1].peer, Some("192.0.2.7".parse().unwrap()));
    assert_eq!(entries[1].role, "program");
    assert_eq!(entries[2].outcome, AuditOutcome::Refused);
    assert_eq!(entries[0].peer, None);
}

#[tokio::test]
async fn filters_by_time_actor_and_action_restrict_together() {
    let world = World::new(31);
    let dir = tempfile::tempdir().unwrap();
    let (control, _) = world.open(dir.path(), Faulty::new()).await.unwrap();
    let account = AccountId::installation();
    let start = model::Clock::now(world.clock.as_ref());
    for (name, action) in [
        ("ann", Action::QueryRun),
        ("bob", Action::QueryRun),
        ("ann", Action::Exported),
        ("bob", Action::Exported),
    ] {
        world.clock.advance(Duration::from_secs(60));
        let actor = Actor::os_user(name);
        control
            .audit(&actor, account, action, "", "", AuditOutcome::Done)
            .await
            .unwrap();
    }
    let auditor = Actor::os_user("eve");
    let check = async |filter: AuditFilter, expect: &[u64]| {
        let found = control.audit_log(&auditor, account, &filter).await.unwrap();
        let found: Vec<u64> = found.iter().map(|it| it.sequence).collect();
        assert_eq!(found, expect, "{filter:?}");
    };
    let all = vec![Action::QueryRun, Action::Exported];
    let base = || AuditFilter {
        actions: all.clone(),
        ..AuditFilter::default()
    };
    check(base(), &[1, 2, 3, 4]).await;
    check(
        AuditFilter {
            actors: vec!["ann".to_owned()],
            ..base()
        },
        &[1, 3],
    )
    .await;
    let both = vec!["ann".to_owned(), "bob".to_owned()];
    check(
        AuditFilter {
            actors: both,
            actions: vec![Action::Exported],
            ..base()
        },
        &[3, 4],
    )
    .await;
    let at = |minutes: u64| Some(start.plus(Duration::from_secs(60 * minutes)));
    check(
        AuditFilter {
            from: at(2),
            to: at(4),
            ..base()
        },
        &[2, 3],
    )
    .await;
    check(
        AuditFilter {
            after: Some(2),
            limit: 1,
            ..base()
        },
        &[3],
    )
    .await;
    check(
        AuditFilter {
            actors: vec!["nobody".to_owned()],
            ..base()
        },
        &[],
    )
    .await;
}

#[tokio::test]
async fn names_addresses_and_words_are_not_in_the_file_in_plain_text() {
    let world = World::new(32);
    let dir = tempfile::tempdir().unwrap();
    let (control, _) = world.open(dir.path(), Faulty::new()).await.unwrap();
    let id = control
        .create_account(&operator(), "Shop", "UTC")
        .await
        .unwrap()
        .account_id;
    let actor = Actor::os_user("wilhelmina").with_peer("198.51.100.77".parse().unwrap());
    let keys = vec![LedgerKey::whole(PersonKey([9; 16]))];
    control
        .request_deletion(&actor, id, keys, "mailed by canary@example.net")
        .await
        .unwrap();
    let rows = dump(&control).await.join("\n");
    let mut bytes = std::fs::read(dir.path().join("control.db")).unwrap();
    bytes.extend(std::fs::read(dir.path().join("control.db-wal")).unwrap());
    for canary in ["wilhelmina", "198.51.100.77", "canary@example.net"] {
        assert!(!rows.contains(canary), "{canary}");
        let hex: String = canary.bytes().map(|byte| format!("{byte:02X}")).collect();
        assert!(!rows.contains(&hex), "{canary}");
        let found = bytes
            .windows(canary.len())
            .any(|window| window == canary.as_bytes());
        assert!(!found, "{canary}");
    }
}

#[tokio::test]
async fn a_program_cannot_read_the_audit_log() {
    let world = World::new(33);
    let dir = tempfile::tempdir().unwrap();
    let (control, _) = world.open(dir.path(), Faulty::new()).await.unwrap();
    let id = control
        .create_account(&operator(), "Shop", "UTC")
        .await
        .unwrap()
        .account_id;
    let actor = Actor::passcode(id, "default");
    let error = control
        .audit_log(&actor, id, &AuditFilter::default())
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Denied);
}

#[test]
fn names_of_actions_lead_back_to_them() {
    for action in Action::ALL {
        assert_eq!(Action::from_name(action.as_str()), Some(*action));
    }
    for outcome in AuditOutcome::ALL {
        assert_eq!(AuditOutcome::from_name(outcome.as_str()), Some(*outcome));
    }
    assert_eq!(Action::from_name("nothing"), None);
}
