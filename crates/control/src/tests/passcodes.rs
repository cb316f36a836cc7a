//! Passcodes with terms.

use governance::access::{Rights, Standing};
use governance::{Condition, PasscodeTerms, Scopes};
use model::{Clock as _, ErrorKind};
use std::sync::Arc;
use std::time::Duration;

use super::support::{Faulty, World, operator};
use crate::{Actor, AuditFilter, Error};

#[tokio::test]
async fn a_passcode_keeps_its_terms_over_a_restart_and_its_end_is_seen_at_once() {
    let world = World::new(400);
    let dir = tempfile::tempdir().unwrap();
    let store = Faulty::new();
    let (control, _) = world.open(dir.path(), store.clone()).await.unwrap();
    let made = control
        .create_account(&operator(), "Shop", "UTC")
        .await
        .unwrap();
    let id = made.account_id;
    let now = world.clock.now();
    let terms = PasscodeTerms {
        expires_at: Some(now.plus(Duration::from_secs(60))),
        scopes: Scopes::parse("read").unwrap(),
        networks: vec!["192.0.2.0/24".parse().unwrap()],
    };
    let text = control
        .create_passcode_on(&operator(), id, "billing", terms.clone())
        .await
        .unwrap();
    drop(control);
    let (control, _) = world.open(dir.path(), store).await.unwrap();
    let kept = || {
        let rules = Arc::clone(&control.rules().borrow());
        let rules = rules.account(id).unwrap().clone();
        rules
            .verify_passcode(text.expose())
            .map(|it| it.terms.clone())
    };
    assert_eq!(kept(), Some(terms.clone()));
    let shown = control.account(&operator(), id).await.unwrap();
    assert_eq!(shown.passcodes[0].terms, terms);
    assert_eq!(shown.passcodes[1].terms, PasscodeTerms::default());
    let value = serde_json::to_value(&shown.passcodes[0]).unwrap();
    assert_eq!(value["scopes"], "read");
    assert_eq!(value["networks"][0], "192.0.2.0/24");
    let log = control
        .audit_log(&operator(), id, &AuditFilter::default())
        .await
        .unwrap();
    assert!(
        log[1].description.ends_with("for read, from 192.0.2.0/24"),
        "{log:?}"
    );
    control
        .revoke_passcode(&operator(), id, "billing")
        .await
        .unwrap();
    assert_eq!(kept(), None);
}

#[tokio::test]
async fn terms_that_could_never_be_met_are_refused() {
    let world = World::new(401);
    let dir = tempfile::tempdir().unwrap();
    let (control, _) = world.open(dir.path(), Faulty::new()).await.unwrap();
    let made = control
        .create_account(&operator(), "Shop", "UTC")
        .await
        .unwrap();
    let past = PasscodeTerms {
        expires_at: Some(world.clock.now()),
        ..PasscodeTerms::default()
    };
    let many = PasscodeTerms {
        networks: (0..21)
            .map(|n| format!("192.0.2.{n}").parse().unwrap())
            .collect(),
        ..PasscodeTerms::default()
    };
    for terms in [past, many] {
        let made = control
            .create_passcode_on(&operator(), made.account_id, "x", terms)
            .await;
        assert_eq!(
            made.map(drop).map_err(|it: Error| it.kind()),
            Err(ErrorKind::Invalid)
        );
    }
}

#[tokio::test]
async fn nobody_makes_a_passcode_that_is_good_for_more_than_they_may_do() {
    let world = World::new(402);
    let dir = tempfile::tempdir().unwrap();
    let (control, _) = world.open(dir.path(), Faulty::new()).await.unwrap();
    let made = control
        .create_account(&operator(), "Shop", "UTC")
        .await
        .unwrap();
    let id = made.account_id;
    let program = |scopes: &str| Actor::program(id, "p", Scopes::parse(scopes).unwrap());
    let user = |rights: &str| {
        let standing = Standing {
            rights: Rights::parse(rights).unwrap(),
            roles: Box::from("own"),
            filters: Vec::new(),
        };
        Actor::user("ann@example.com", [(id, standing)])
    };
    let filtered = Actor::user(
        "fay@example.com",
        [(
            id,
            Standing {
                rights: Rights::ALL,
                roles: Box::from("own"),
                filters: vec![Arc::new(Condition::parse("Plan = 'gold'").unwrap())],
            },
        )],
    );
    let reading = "credentials=write,analysis=read,people=read,exports=read";
    let seeing =
        "credentials=write,analysis=read,people=read,exports=read,personal_information=write";
    let cases = [
        (program("read,credentials=write"), "read", true),
        (program("read,credentials=write"), "delete", false),
        (program("api,credentials=write"), "users=read", false),
        (
            program("api,credentials=write,users=write"),
            "users=read,upload",
            true,
        ),
        (user("credentials=write"), "upload", true),
        (user("credentials=write"), "read", false),
        (user("credentials=write,people=write"), "read", false),
        (user(reading), "read", true),
        (user(reading), "read,personal_information", false),
        (user(seeing), "read,personal_information", true),
        (user(reading), "delete", false),
        // Whoever sees some people only makes nothing that sees all.
        (filtered, "upload", false),
        (
            user("credentials=write,privacy_requests=write"),
            "delete",
            true,
        ),
        (user("credentials=write"), "credentials=write", true),
        (user("credentials=write"), "roles=read", false),
    ];
    for (number, (actor, scopes, may)) in cases.into_iter().enumerate() {
        let terms = PasscodeTerms {
            scopes: Scopes::parse(scopes).unwrap(),
            ..PasscodeTerms::default()
        };
        let name = format!("p{number}");
        let made = control.create_passcode_on(&actor, id, &name, terms).await;
        let kind = made.map(drop).map_err(|it: Error| it.kind());
        let expect = if may { Ok(()) } else { Err(ErrorKind::Denied) };
        assert_eq!(kind, expect, "{number}: {actor:?} {scopes}");
    }
    let itself = Actor::program(id, "p0", Scopes::parse("credentials=write").unwrap());
    let revoked = control.revoke_passcode(&itself, id, "p0").await;
    assert_eq!(revoked.unwrap_err().kind(), ErrorKind::Conflict);
    control
        .revoke_passcode(&itself, id, "p1")
        .await
        .unwrap_err();
    control.revoke_passcode(&itself, id, "p3").await.unwrap();
}
