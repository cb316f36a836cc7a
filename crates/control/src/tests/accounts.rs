//! Accounts and credentials.

use governance::{Declared, DeclaredKind, Limits, Unfit, UnfitProperty};
use model::{ErrorKind, Timestamp};

use super::support::{Fault, Faulty, World, operator};
use crate::RequestRetention::{AsConfigured, Days};
use crate::{
    Action, Actor, AuditFilter, DictionaryChange as Change, Error, LimitsChange, PolicyChange,
    PropertyView, RetentionChange,
};

#[tokio::test]
async fn an_account_is_usable_the_moment_that_its_creation_returns() {
    let world = World::new(20);
    let dir = tempfile::tempdir().unwrap();
    let (control, _) = world.open(dir.path(), Faulty::new()).await.unwrap();
    let rules = control.rules();
    let made = control
        .create_account(&operator(), " Shop ", "asia/kolkata")
        .await
        .unwrap();
    let id = made.account_id.as_str();
    assert_eq!(
        (id.len(), &id[3..4], &id[7..8], &id[11..]),
        (12, "-", "-", "Z"),
        "{id}"
    );
    let account = rules.borrow().account(made.account_id).unwrap().clone();
    let passcode = account.verify_passcode(made.passcode.expose()).unwrap();
    assert_eq!(passcode.name.as_ref(), "default");
    assert!(account.verify_passcode(made.sdk_token.expose()).is_none());
    let token = made.sdk_token.expose();
    assert_eq!(
        account.verify_sdk_token(token, Timestamp::from_ms(0)),
        Some(1)
    );
    assert_eq!(account.time_zone.iana_name(), Some("Asia/Kolkata"));
    assert_eq!(
        account.limits,
        Limits {
            uploads: 15,
            calls: 3
        }
    );
    let shown = control.account(&operator(), made.account_id).await.unwrap();
    assert_eq!(
        (shown.name.as_str(), shown.time_zone.as_str()),
        ("Shop", "Asia/Kolkata")
    );
    assert_eq!(control.accounts(&operator()).await.unwrap(), [shown]);
}

#[tokio::test]
async fn changes_of_an_account_reach_the_rules_at_once() {
    let world = World::new(21);
    let dir = tempfile::tempdir().unwrap();
    let (control, _) = world.open(dir.path(), Faulty::new()).await.unwrap();
    let id = control
        .create_account(&operator(), "Shop", "UTC")
        .await
        .unwrap()
        .account_id;
    let rules = control.rules();
    let now = || rules.borrow().account(id).unwrap().clone();
    let secret = now().person_key_secret.clone();

    control
        .set_limits(
            &operator(),
            id,
            LimitsChange {
                uploads: Some(40),
                calls: Some(8),
            },
        )
        .await
        .unwrap();
    assert_eq!(
        now().limits,
        Limits {
            uploads: 40,
            calls: 8
        }
    );
    let retention = RetentionChange {
        days: Some(100),
        requests: Some(Days(7)),
        as_configured: 90,
        may_shorten: true,
    };
    control
        .set_retention(&operator(), id, retention)
        .await
        .unwrap();
    assert_eq!(now().retention.as_secs(), 100 * 86_400);
    let second = control
        .create_passcode(&operator(), id, "billing")
        .await
        .unwrap();
    assert_eq!(
        now()
            .verify_passcode(second.expose())
            .unwrap()
            .name
            .as_ref(),
        "billing"
    );
    let error = control
        .create_passcode(&operator(), id, "billing")
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    control
        .revoke_passcode(&operator(), id, "billing")
        .await
        .unwrap();
    assert!(now().verify_passcode(second.expose()).is_none());
    let error = control
        .revoke_passcode(&operator(), id, "billing")
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert_eq!(
        now().person_key_secret.expose(),
        secret.expose(),
        "it never changes"
    );
}

#[tokio::test]
async fn the_audit_tells_how_much_and_how_long_an_account_might_and_may() {
    let world = World::new(28);
    let dir = tempfile::tempdir().unwrap();
    let (control, _) = world.open(dir.path(), Faulty::new()).await.unwrap();
    let made = control.create_account(&operator(), "Shop", "UTC").await;
    let id = made.unwrap().account_id;
    let retain = async |days, requests: Option<u32>| {
        let retention = RetentionChange {
            days: Some(days),
            requests: Some(requests.map_or(AsConfigured, Days)),
            as_configured: 90,
            may_shorten: true,
        };
        let set = control.set_retention(&operator(), id, retention).await;
        set.map_err(|error| error.kind())
    };
    let allow = async |uploads, calls| {
        let limits = LimitsChange {
            uploads: Some(uploads),
            calls: Some(calls),
        };
        let set = control.set_limits(&operator(), id, limits).await;
        set.map_err(|error| error.kind())
    };
    retain(90, Some(7)).await.unwrap();
    retain(120, None).await.unwrap();
    allow(40, 1_000).await.unwrap();
    for (days, requests) in [
        (0, None),
        (89, None),
        (3_661, None),
        (90, Some(0)),
        (90, Some(3_661)),
    ] {
        let refused = retain(days, requests).await;
        assert_eq!(refused, Err(ErrorKind::Invalid), "{days} and {requests:?}");
    }
    for (uploads, calls) in [(0, 3), (15, 0), (1_001, 3), (15, 1_001)] {
        let refused = allow(uploads, calls).await;
        assert_eq!(refused, Err(ErrorKind::Invalid), "{uploads} and {calls}");
    }
    let words = async |action: Action| {
        let filter = AuditFilter {
            actions: vec![action],
            ..AuditFilter::default()
        };
        let entries = control.audit_log(&operator(), id, &filter).await.unwrap();
        let words = entries.into_iter().map(|it| it.description);
        words.collect::<Vec<_>>()
    };
    assert_eq!(
        words(Action::RetentionChanged).await,
        [
            "from events 365 days, request log as configured to events 90 days, request log 7 days",
            "from events 90 days, request log 7 days to events 120 days, request log as configured",
        ]
    );
    assert_eq!(
        words(Action::LimitsChanged).await,
        ["from 15 uploads, 3 calls to 40 uploads, 1000 calls"]
    );
    retain(3_660, Some(3_660)).await.unwrap();
    let shown = control.account(&operator(), id).await.unwrap();
    assert_eq!(shown.retention().request_days, Some(3_660));
    retain(3_660, None).await.unwrap();
    let shown = control.account(&operator(), id).await.unwrap();
    assert_eq!(shown.retention().request_days, None);
}

#[tokio::test]
async fn what_is_not_said_stays_and_less_is_kept_where_that_is_meant() {
    let world = World::new(29);
    let dir = tempfile::tempdir().unwrap();
    let (control, _) = world.open(dir.path(), Faulty::new()).await.unwrap();
    let made = control.create_account(&operator(), "Shop", "UTC").await;
    let id = made.unwrap().account_id;
    let kept = async || {
        let shown = control.account(&operator(), id).await.unwrap();
        (shown.retention_days, shown.request_retention_days)
    };
    let set = async |days, requests, as_configured, may_shorten| {
        let change = RetentionChange {
            days,
            requests,
            as_configured,
            may_shorten,
        };
        control.set_retention(&operator(), id, change).await
    };
    set(None, Some(Days(60)), 60, false).await.unwrap();
    assert_eq!(kept().await, (365, Some(60)));
    set(Some(400), None, 90, false).await.unwrap();
    assert_eq!(kept().await, (400, Some(60)));
    for (days, requests, as_configured) in [
        (Some(399), None, 90),
        (None, Some(Days(59)), 90),
        (Some(500), Some(Days(59)), 90),
        (None, Some(AsConfigured), 59),
    ] {
        let refused = set(days, requests, as_configured, false).await;
        assert!(matches!(refused, Err(Error::Shortens)), "{refused:?}");
        assert_eq!(kept().await, (400, Some(60)));
    }
    set(None, Some(AsConfigured), 60, false).await.unwrap();
    assert_eq!(kept().await, (400, None));
    set(Some(90), None, 60, true).await.unwrap();
    assert_eq!(kept().await, (90, None));
    let change = LimitsChange {
        calls: Some(9),
        ..LimitsChange::default()
    };
    control.set_limits(&operator(), id, change).await.unwrap();
    let shown = control.account(&operator(), id).await.unwrap();
    assert_eq!((shown.uploads_max, shown.calls_max), (15, 9));
}

#[tokio::test]
async fn illegal_accounts_are_refused() {
    let world = World::new(22);
    let dir = tempfile::tempdir().unwrap();
    let (control, _) = world.open(dir.path(), Faulty::new()).await.unwrap();
    let long = "n".repeat(201);
    for (name, zone) in [
        ("", "UTC"),
        ("a\nb", "UTC"),
        (&long, "UTC"),
        ("a", "Mars/Olympus"),
        ("a", ""),
    ] {
        let error = control
            .create_account(&operator(), name, zone)
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid, "{name:?} {zone:?}");
    }
    let unknown = "AAA-AAA-AAAZ".parse().unwrap();
    let error = control.account(&operator(), unknown).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    let error = control
        .set_limits(&operator(), unknown, LimitsChange::default())
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
}

#[tokio::test]
async fn a_passcode_sees_its_own_account_and_changes_nothing() {
    let world = World::new(23);
    let dir = tempfile::tempdir().unwrap();
    let (control, _) = world.open(dir.path(), Faulty::new()).await.unwrap();
    let one = control
        .create_account(&operator(), "One", "UTC")
        .await
        .unwrap()
        .account_id;
    let two = control
        .create_account(&operator(), "Two", "UTC")
        .await
        .unwrap()
        .account_id;
    let actor = Actor::passcode(one, "default");
    assert!(control.account(&actor, one).await.is_ok());
    let denied = [
        control.account(&actor, two).await.err(),
        control.accounts(&actor).await.err(),
        control
            .set_limits(&actor, one, LimitsChange::default())
            .await
            .err(),
        control.create_account(&actor, "Three", "UTC").await.err(),
    ];
    for error in denied {
        assert_eq!(error.unwrap().kind(), ErrorKind::Denied);
    }
}

#[tokio::test]
async fn an_account_that_was_not_acknowledged_is_not_in_the_rules() {
    let world = World::new(24);
    let store = Faulty::new();
    let dir = tempfile::tempdir().unwrap();
    let (control, _) = world.open(dir.path(), store.clone()).await.unwrap();
    // One put for the person key secret, none for the transaction.
    store.fail_after(1, Fault::Before);
    assert!(
        control
            .create_account(&operator(), "Shop", "UTC")
            .await
            .is_err()
    );
    assert!(control.rules().borrow().accounts.is_empty());
    store.heal();
    assert_eq!(
        control.accounts(&operator()).await.unwrap().len(),
        1,
        "its outcome was unknown"
    );
    assert_eq!(control.rules().borrow().accounts.len(), 1);
}

#[tokio::test]
async fn each_start_has_a_number_of_its_own() {
    let world = World::new(25);
    let store = Faulty::new();
    let dir = tempfile::tempdir().unwrap();
    let (control, _) = world.open(dir.path(), store.clone()).await.unwrap();
    assert_eq!(
        control.next_writer().await.unwrap().to_string(),
        "00000001-00000001"
    );
    assert_eq!(
        control.next_writer().await.unwrap().to_string(),
        "00000001-00000002"
    );
    drop(control);
    let other = tempfile::tempdir().unwrap();
    let (control, _) = world.open(other.path(), store).await.unwrap();
    assert_eq!(
        control.next_writer().await.unwrap().to_string(),
        "00000001-00000003"
    );
}

#[tokio::test]
async fn domains_and_encryption_reach_the_rules_and_outlive_a_start() {
    let world = World::new(24);
    let dir = tempfile::tempdir().unwrap();
    let store = Faulty::new();
    let (control, _) = world.open(dir.path(), store.clone()).await.unwrap();
    let made = control.create_account(&operator(), "Shop", "UTC").await;
    let id = made.unwrap().account_id;
    let change = async |add: &[&str], remove: &[&str]| {
        let owned = |list: &[&str]| list.iter().map(|it| (*it).to_owned()).collect::<Vec<_>>();
        control
            .change_domains(&operator(), id, &owned(add), &owned(remove))
            .await
            .map_err(|error| error.kind())
    };
    let rules = control.rules();
    let takes = |host: &str| {
        rules
            .borrow()
            .account(id)
            .unwrap()
            .takes_page_of(Some(host))
    };
    assert!(takes("any.test") && rules.borrow().account(id).unwrap().takes_encrypted);
    let two = vec!["a.test".to_owned(), "b.test".to_owned()];
    assert_eq!(
        change(&[" B.test. ", "a.test", "a.test"], &[]).await,
        Ok(two)
    );
    assert!(takes("a.test") && takes("www.b.test") && !takes("c.test"));
    let illegal = [
        "",
        "a..test",
        "https://a.test",
        "a.test:80",
        "a.test/x",
        "a b",
        "ä.test",
        "-a.test",
    ];
    for domain in illegal {
        assert_eq!(
            change(&[domain], &[]).await,
            Err(ErrorKind::Invalid),
            "{domain}"
        );
    }
    assert_eq!(change(&["www.a.test"], &[]).await, Err(ErrorKind::Conflict));
    let many: Vec<_> = (0..20).map(|it| format!("{it}.test")).collect();
    let many: Vec<_> = many.iter().map(String::as_str).collect();
    assert_eq!(change(&many, &[]).await, Err(ErrorKind::Invalid));
    assert_eq!(
        change(&[], &["b.test"]).await,
        Ok(vec!["a.test".to_owned()])
    );
    let set = control.set_takes_encrypted(&operator(), id, false).await;
    set.unwrap();
    drop((rules, control));

    let (control, _) = world.open(dir.path(), store).await.unwrap();
    let rules = control.rules();
    let rules = rules.borrow().account(id).unwrap().clone();
    assert!(rules.takes_page_of(Some("a.test")) && !rules.takes_page_of(Some("b.test")));
    assert!(!rules.takes_encrypted);
}

#[tokio::test]
async fn properties_are_declared_and_forgotten_and_no_others() {
    let world = World::new(26);
    let dir = tempfile::tempdir().unwrap();
    let (control, _) = world.open(dir.path(), Faulty::new()).await.unwrap();
    let made = control.create_account(&operator(), "Shop", "UTC").await;
    let id = made.unwrap().account_id;
    let say = async |change: Change| {
        let said = control.change_dictionary(&operator(), id, change).await;
        said.map_err(|error| error.kind())
    };
    let number = |is_mandatory| Declared {
        kind: Some(DeclaredKind::Number),
        is_mandatory,
    };
    let declare = |event: Option<&str>, property: &str, declared| {
        let event = event.map(str::to_owned);
        Change::Declare(event, property.to_owned(), declared)
    };
    say(declare(Some("Paid"), "tip", number(false)))
        .await
        .unwrap();
    say(declare(None, "plan", Declared::default()))
        .await
        .unwrap();
    for (event, property) in [(Some("Paid"), "tip"), (None, "plan")] {
        let forget = || Change::ForgetProperty(event.map(str::to_owned), property.to_owned());
        say(forget()).await.unwrap();
        assert_eq!(say(forget()).await, Err(ErrorKind::NotFound));
    }
    for wrong in [
        declare(None, "points", number(true)),
        declare(None, "Email", number(false)),
        declare(Some("App Launched"), "x", number(false)),
        declare(Some(""), "x", number(false)),
        declare(None, "", number(false)),
    ] {
        assert_eq!(say(wrong).await, Err(ErrorKind::Invalid));
    }
}

#[tokio::test]
async fn a_discarded_event_of_the_system_can_be_taken_back() {
    let world = World::new(27);
    let dir = tempfile::tempdir().unwrap();
    let (control, _) = world.open(dir.path(), Faulty::new()).await.unwrap();
    let made = control.create_account(&operator(), "Shop", "UTC").await;
    let id = made.unwrap().account_id;
    let say = async |change: Change| {
        let said = control.change_dictionary(&operator(), id, change).await;
        said.map_err(|error| error.kind())
    };
    let discarded = || {
        let rules = control.rules().borrow().account(id).unwrap().clone();
        rules.discarded_events.len()
    };
    let forget = || Change::Forget("Charged".to_owned());
    assert_eq!(say(forget()).await, Err(ErrorKind::NotFound));
    say(Change::Discard("Charged".to_owned())).await.unwrap();
    assert_eq!(discarded(), 1);
    let said = say(forget()).await.unwrap();
    assert_eq!((said.events.len(), discarded()), (0, 0));
}

#[tokio::test]
async fn what_is_said_of_events_reaches_the_rules_and_outlives_a_start() {
    let world = World::new(25);
    let dir = tempfile::tempdir().unwrap();
    let store = Faulty::new();
    let (control, _) = world.open(dir.path(), store.clone()).await.unwrap();
    let made = control.create_account(&operator(), "Shop", "UTC").await;
    let id = made.unwrap().account_id;
    let say = async |change: Change| {
        let said = control.change_dictionary(&operator(), id, change).await;
        said.map_err(|error| error.kind())
    };
    let define = |event: &str, properties: &[&str]| {
        let properties = properties.iter().map(|it| (*it).to_owned());
        Change::Define(event.to_owned(), properties.collect())
    };
    say(define("Viewed", &["b", "a"])).await.unwrap();
    say(define("Viewed", &["c"])).await.unwrap();
    say(Change::Discard("Noise".to_owned())).await.unwrap();
    say(Change::Discard("Old".to_owned())).await.unwrap();
    say(define("Old", &[])).await.unwrap();
    let number = |is_mandatory| Declared {
        kind: Some(DeclaredKind::Number),
        is_mandatory,
    };
    let declare = |event: Option<&str>, property: &str, declared| {
        let event = event.map(str::to_owned);
        Change::Declare(event, property.to_owned(), declared)
    };
    say(declare(Some("Paid"), "sum", number(true)))
        .await
        .unwrap();
    say(declare(None, "points", number(false))).await.unwrap();
    say(Change::Policy(PolicyChange {
        undefined_events: Some(Unfit::Drop),
        mismatched_profile: Some(Unfit::Drop),
        ..PolicyChange::default()
    }))
    .await
    .unwrap();
    let said = say(Change::Policy(PolicyChange {
        undefined_properties: Some(UnfitProperty::DropProperty),
        mismatched_properties: Some(UnfitProperty::DropEvent),
        ..PolicyChange::default()
    }))
    .await;
    let said = said.unwrap();
    assert_eq!(
        [
            said.undefined_events,
            said.undefined_properties,
            said.mismatched_properties,
            said.undefined_profile,
            said.mismatched_profile,
        ],
        ["drop", "drop_property", "drop_event", "accept", "drop"]
    );
    let names = |of: &[PropertyView]| of.iter().map(|it| it.name.as_str()).collect::<String>();
    let shown: Vec<_> = said
        .events
        .iter()
        .map(|it| format!("{} {} {}", it.name, it.status, names(&it.properties)))
        .collect();
    assert_eq!(
        shown,
        [
            "Noise discarded ",
            "Old known ",
            "Paid known sum",
            "Viewed known abc"
        ]
    );
    let illegal = [
        define("", &[]),
        define("E", &[""]),
        define("Charged", &[]),
        define("Stayed", &["x"]),
    ];
    for change in illegal {
        assert_eq!(say(change).await, Err(ErrorKind::Invalid));
    }
    let many: Vec<_> = (0..300).map(|it| format!("p{it}")).collect();
    let many: Vec<_> = many.iter().map(String::as_str).collect();
    assert_eq!(say(define("Viewed", &many)).await, Err(ErrorKind::Invalid));
    assert_eq!(
        say(Change::Forget("Never".to_owned())).await,
        Err(ErrorKind::NotFound)
    );
    say(Change::Forget("Old".to_owned())).await.unwrap();
    drop(control);

    let (control, _) = world.open(dir.path(), store).await.unwrap();
    let rules = control.rules().borrow().account(id).unwrap().clone();
    assert!(rules.discarded_events.contains("Noise"));
    let known: Vec<_> = rules.dictionary.events.keys().map(|it| &**it).collect();
    assert_eq!(known, ["Paid", "Viewed"]);
    assert_eq!(rules.dictionary.events["Paid"]["sum"], number(true));
    assert_eq!(rules.dictionary.profile["points"], number(false));
    assert_eq!(rules.dictionary.profile.len(), 1);
    assert_eq!(rules.dictionary.events["Viewed"].len(), 3);
    assert_eq!(rules.dictionary.policy.undefined_events, Unfit::Drop);
}
