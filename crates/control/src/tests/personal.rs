//! What staff see of people: classes and masks, data filters, reveals, restrictions.

use governance::access::Rights;
use governance::{Class, Condition, Mask, PropertyOf, Stretch};
use model::{AccountId, ErrorKind, PersonKey, Secret};
use std::time::Duration;

use super::support::{Faulty, World, dump, operator};
use crate::authz::{filters, masks};
use crate::{
    Action, Actor, AuditEntry, AuditFilter, AuditOutcome, ClassChange, Client, Control,
    DictionaryChange, NewUser, Reveal, RevealQuota,
};

async fn world(seed: u64) -> (World, tempfile::TempDir, Control, AccountId) {
    let world = World::new(seed);
    let dir = tempfile::tempdir().unwrap();
    let (control, _) = world.open(dir.path(), Faulty::new()).await.unwrap();
    let made = control.create_account(&operator(), "Shop", "UTC").await;
    (world, dir, control, made.unwrap().account_id)
}

/// Somebody who has followed the link of an invitation.
async fn employ(control: &Control, id: AccountId, email: &str, role: &str) {
    let operator = operator();
    let invited = control.invite_user(&operator, id, email, "", role, None);
    let new = NewUser {
        email: email.to_owned(),
        name: String::from("Somebody"),
        password: Secret::new(String::from("a lamp beside nine walnuts")),
        accepts_terms: true,
    };
    let link = invited.await.unwrap();
    let client = Client::default();
    let followed = control.follow_link(link.expose(), new, &client);
    followed.await.unwrap();
}

async fn own_role(control: &Control, id: AccountId, name: &str, rights: &str, filter: &str) {
    let rights = Rights::parse(rights).unwrap();
    let filter = (!filter.is_empty()).then(|| Condition::parse(filter).unwrap());
    control
        .set_role(&operator(), id, name, rights, filter)
        .await
        .unwrap();
}

async fn audited(control: &Control, id: AccountId, action: Action) -> Vec<AuditEntry> {
    let filter = AuditFilter {
        actions: vec![action],
        ..AuditFilter::default()
    };
    control.audit_log(&operator(), id, &filter).await.unwrap()
}

fn change(
    of: PropertyOf,
    name: &str,
    class: Option<Class>,
    mask: Option<Mask>,
) -> DictionaryChange {
    DictionaryChange::Class(ClassChange {
        of,
        property: name.to_owned(),
        class,
        mask,
    })
}

#[tokio::test]
async fn a_class_is_said_by_those_who_may_and_holds_at_once() {
    let (_world, _dir, control, id) = world(700).await;
    own_role(
        &control,
        id,
        "keeper",
        "dictionary=write,personal_information=read",
        "",
    )
    .await;
    for (email, role) in [
        ("ann@example.com", "admin"),
        ("pat@example.com", "privacy_officer"),
        ("cem@example.com", "creator"),
        ("kim@example.com", "keeper"),
    ] {
        employ(&control, id, email, role).await;
    }
    let cem = control.user_actor("cem@example.com").await.unwrap();
    let masked = |of, name| {
        let rules = control.rules().borrow().account(id).cloned().unwrap();
        masks(&cem, id, &rules.classes).of(of, name)
    };
    assert_eq!(masked(PropertyOf::Person, "Email"), Some(Mask::Placeholder));
    assert_eq!(masked(PropertyOf::Event, "Note"), None);
    let note = || change(PropertyOf::Event, "Note", Some(Class::FreeText), None);
    for email in ["cem@example.com", "kim@example.com"] {
        let actor = control.user_actor(email).await.unwrap();
        let refused = control.change_dictionary(&actor, id, note()).await;
        assert_eq!(refused.unwrap_err().kind(), ErrorKind::Denied, "{email}");
    }
    for (email, change) in [
        ("ann@example.com", note()),
        (
            "pat@example.com",
            change(PropertyOf::Person, "Email", None, Some(Mask::Partial)),
        ),
    ] {
        let actor = control.user_actor(email).await.unwrap();
        control.change_dictionary(&actor, id, change).await.unwrap();
    }
    assert_eq!(masked(PropertyOf::Event, "Note"), Some(Mask::Placeholder));
    assert_eq!(masked(PropertyOf::Person, "Note"), None);
    assert_eq!(masked(PropertyOf::Person, "Email"), Some(Mask::Partial));
    let none = change(PropertyOf::Event, "Email", Some(Class::None), None);
    let view = control
        .change_dictionary(&operator(), id, none)
        .await
        .unwrap();
    assert_eq!(masked(PropertyOf::Event, "Email"), None);
    let said: Vec<_> = view.classes.iter().filter(|it| it.is_said).collect();
    let said: Vec<_> = said
        .iter()
        .map(|it| (it.of, it.property.as_str(), it.class))
        .collect();
    assert_eq!(
        said,
        [
            ("event", "Email", "none"),
            ("event", "Note", "free_text"),
            ("person", "Email", "contact")
        ]
    );
    let words: Vec<String> = audited(&control, id, Action::DictionaryChanged)
        .await
        .into_iter()
        .map(|it| it.description)
        .collect();
    assert_eq!(
        words,
        [
            "event property `Note`: from none (placeholder) to free_text (placeholder)",
            "person property `Email`: from contact (placeholder) to contact (partial)",
            "event property `Email`: from contact (placeholder) to none (placeholder)",
        ]
    );
    for name in [String::new(), "x".repeat(5_000)] {
        let wrong = change(PropertyOf::Event, &name, Some(Class::None), None);
        let refused = control.change_dictionary(&operator(), id, wrong).await;
        assert_eq!(refused.unwrap_err().kind(), ErrorKind::Invalid);
    }
}

#[tokio::test]
async fn a_filter_holds_for_who_has_the_role_and_there_is_one_of_each() {
    let (_world, _dir, control, id) = world(701).await;
    own_role(
        &control,
        id,
        "german",
        "people=read,roles=write,users=write",
        "Country = 'Landmark'",
    )
    .await;
    own_role(&control, id, "french", "people=read", "Country = 'FR'").await;
    own_role(&control, id, "plain", "people=read,analysis=read", "").await;
    employ(&control, id, "ann@example.com", "admin").await;
    employ(&control, id, "gus@example.com", "german").await;
    let gus = control.user_actor("gus@example.com").await.unwrap();
    let texts = |actor: &Actor| {
        let filters = filters(actor, id);
        filters.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(texts(&gus), ["Country = 'Landmark'"]);
    let grant = async |role: &str| {
        let email = "gus@example.com";
        control.grant_role(&operator(), id, email, role, None).await
    };
    let second = grant("french").await.unwrap_err();
    assert_eq!(second.kind(), ErrorKind::Conflict);
    assert!(
        second.to_string().contains("one role with a data filter"),
        "{second}"
    );
    grant("plain").await.unwrap();
    let filter = Some(Condition::parse("Country = 'IT'").unwrap());
    let rights = Rights::parse("people=read").unwrap();
    let second = control
        .set_role(&operator(), id, "plain", rights, filter)
        .await
        .unwrap_err();
    assert_eq!(second.kind(), ErrorKind::Conflict);
    // A system role beside it adds rights, and nobody more to see.
    grant("member").await.unwrap();
    let gus = control.user_actor("gus@example.com").await.unwrap();
    assert_eq!(texts(&gus), ["Country = 'Landmark'"]);
    // Whoever sees some people only gives, takes and makes no role, and no passcode.
    let taken = control
        .withdraw_role(&gus, id, "gus@example.com", "german")
        .await;
    assert_eq!(taken.unwrap_err().kind(), ErrorKind::Denied);
    let made = control.set_role(&gus, id, "mine", rights, None).await;
    assert_eq!(made.unwrap_err().kind(), ErrorKind::Denied);
    control
        .grant_role(&operator(), id, "gus@example.com", "admin", None)
        .await
        .unwrap();
    let gus = control.user_actor("gus@example.com").await.unwrap();
    let made = control.create_passcode(&gus, id, "mine").await;
    assert_eq!(made.unwrap_err().kind(), ErrorKind::Denied);
    // The condition may name somebody: it is nowhere in plain text.
    assert!(
        !dump(&control)
            .await
            .iter()
            .any(|it| it.contains("Landmark"))
    );
    let words = &audited(&control, id, Action::RoleChanged).await[0].description;
    assert!(words.ends_with("where Country = 'Landmark'"), "{words}");
    let roles = control.roles(&operator(), id).await.unwrap();
    let german = roles.iter().find(|it| it.name == "german").unwrap();
    assert_eq!(german.filter.as_deref(), Some("Country = 'Landmark'"));
}

#[tokio::test]
async fn masked_values_are_shown_for_a_reason_and_so_often() {
    let (world, _dir, control, id) = world(702).await;
    own_role(
        &control,
        id,
        "desk",
        "people=read,personal_information=read",
        "",
    )
    .await;
    employ(&control, id, "dan@example.com", "desk").await;
    employ(&control, id, "mel@example.com", "member").await;
    employ(&control, id, "eve@example.com", "desk").await;
    let quota = RevealQuota {
        per_minute: 2,
        per_day: 3,
    };
    control
        .set_reveal_quota(&operator(), id, quota)
        .await
        .unwrap();
    let person = PersonKey([7; 16]);
    let reveal = async |email: &str, reason: &str| {
        let actor = control.user_actor(email).await.unwrap();
        control
            .reveal(&actor, id, person, "shown: Email", reason)
            .await
    };
    let (dan, reason) = ("dan@example.com", "ticket 4711, parcel came back");
    let refused = reveal("mel@example.com", reason).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Denied);
    for reason in ["", "because", "a line\nand another one"] {
        assert_eq!(
            reveal(dan, reason).await.unwrap_err().kind(),
            ErrorKind::Invalid
        );
    }
    assert_eq!(reveal(dan, reason).await.unwrap(), Reveal::Granted);
    assert_eq!(reveal(dan, reason).await.unwrap(), Reveal::Granted);
    assert_eq!(
        reveal(dan, reason).await.unwrap(),
        Reveal::MinuteExhausted(2)
    );
    // Each has a quota of their own.
    assert_eq!(
        reveal("eve@example.com", reason).await.unwrap(),
        Reveal::Granted
    );
    world.clock.advance(Duration::from_secs(61));
    assert_eq!(reveal(dan, reason).await.unwrap(), Reveal::Granted);
    assert_eq!(reveal(dan, reason).await.unwrap(), Reveal::DayExhausted(3));
    world.clock.advance(Duration::from_secs(86_400));
    assert_eq!(reveal(dan, reason).await.unwrap(), Reveal::Granted);
    let entries = audited(&control, id, Action::PersonRevealed).await;
    let found: Vec<_> = entries.iter().map(|it| it.outcome).collect();
    let (done, refused) = (AuditOutcome::Done, AuditOutcome::Refused);
    assert_eq!(found, [done, done, refused, done, done, refused, done]);
    assert_eq!(entries[0].action_id, person.to_string());
    assert_eq!(entries[0].actor, dan);
    let expect = format!("shown: Email; reason: {reason}");
    assert_eq!(entries[0].description, expect);
    assert_eq!(
        entries[2].description,
        format!("refused, 2 a minute are used up: {expect}")
    );
    let none = RevealQuota {
        per_minute: 0,
        per_day: 0,
    };
    control
        .set_reveal_quota(&operator(), id, none)
        .await
        .unwrap();
    assert_eq!(reveal(dan, reason).await.unwrap(), Reveal::DayExhausted(0));
    let words = &audited(&control, id, Action::RevealQuotaChanged).await[0].description;
    assert_eq!(words, "from 5 a minute, 50 a day to 2 a minute, 3 a day");
    let wrong = RevealQuota {
        per_minute: 9,
        per_day: 3,
    };
    let refused = control.set_reveal_quota(&operator(), id, wrong).await;
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::Invalid);
}

#[tokio::test]
async fn a_restriction_holds_until_it_is_lifted_and_stays_in_the_history() {
    let (_world, _dir, control, id) = world(704).await;
    employ(&control, id, "pat@example.com", "privacy_officer").await;
    employ(&control, id, "mel@example.com", "member").await;
    let pat = control.user_actor("pat@example.com").await.unwrap();
    let mel = control.user_actor("mel@example.com").await.unwrap();
    let keys = [1, 2].map(|n| (PersonKey([n; 16]), Stretch::WHOLE));
    let restricted = || {
        let rules = control.rules().borrow().account(id).cloned().unwrap();
        let people = rules.restricted.iter().map(|it| it.person);
        people.collect::<Vec<_>>()
    };
    let refused = control.restrict(&mel, id, &keys, "x").await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Denied);
    let refused = control.restrict(&pat, id, &keys, " ").await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Invalid);
    let refused = control.restrict(&pat, id, &[], "x").await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Invalid);
    control
        .restrict(&pat, id, &keys, "objected by landmark letter")
        .await
        .unwrap();
    assert_eq!(restricted(), [keys[0].0]);
    // By whichever of their keys.
    let again = control
        .restrict(&pat, id, &keys[..1], "x")
        .await
        .unwrap_err();
    assert_eq!(again.kind(), ErrorKind::Conflict);
    let none = control
        .lift_restriction(&pat, id, &keys[1..], "x")
        .await
        .unwrap_err();
    assert_eq!(none.kind(), ErrorKind::NotFound);
    control
        .lift_restriction(&pat, id, &keys, "they agreed")
        .await
        .unwrap();
    assert!(restricted().is_empty());
    control
        .restrict(&pat, id, &keys, "objected again")
        .await
        .unwrap();
    let history = control.restrictions(&pat, id, &keys).await.unwrap();
    assert_eq!(history.len(), 2);
    let lifted = history.iter().find(|it| it.lifted_at.is_some()).unwrap();
    assert_eq!(lifted.reason, "objected by landmark letter");
    assert_eq!(lifted.set_by, "pat@example.com");
    assert_eq!(lifted.lift_reason.as_deref(), Some("they agreed"));
    let denied = control.restrictions(&mel, id, &keys).await.unwrap_err();
    assert_eq!(denied.kind(), ErrorKind::Denied);
    assert_eq!(
        audited(&control, id, Action::PersonRestricted).await.len(),
        2
    );
    assert_eq!(
        audited(&control, id, Action::RestrictionLifted).await.len(),
        1
    );
    assert!(
        !dump(&control)
            .await
            .iter()
            .any(|it| it.contains("landmark letter"))
    );
}

#[tokio::test]
async fn a_restriction_is_kept_by_the_identity_although_the_device_is_named_first() {
    let (world, _dir, control, id) = world(706).await;
    let operator = operator();
    let hour = Duration::from_secs(3_600);
    let now = model::Clock::now(world.clock.as_ref());
    let (device, identity) = (PersonKey([3; 16]), PersonKey([4; 16]));
    let since = |from| Stretch {
        from: Some(from),
        to: None,
    };
    let keys = [(device, since(now.minus(hour))), (identity, Stretch::WHOLE)];
    control.restrict(&operator, id, &keys, "x").await.unwrap();
    let rules = control.rules().borrow().account(id).cloned().unwrap();
    let named: Vec<_> = rules.restricted.iter().map(|it| it.person).collect();
    assert_eq!(named, [identity]);
    // An upload that comes late says that the device is theirs only from an hour on.
    let moved = [(device, since(now.plus(hour))), (identity, Stretch::WHOLE)];
    let found = control.restrictions(&operator, id, &moved).await.unwrap();
    assert_eq!(found.len(), 1);
}

#[tokio::test]
async fn a_restriction_of_a_device_stays_with_whoever_had_it_then() {
    let (world, _dir, control, id) = world(705).await;
    let operator = operator();
    let device = PersonKey([3; 16]);
    let hour = Duration::from_secs(3_600);
    let handed_on = model::Clock::now(world.clock.as_ref()).plus(hour);
    let before = [(
        device,
        Stretch {
            from: None,
            to: Some(handed_on),
        },
    )];
    let after = [(
        device,
        Stretch {
            from: Some(handed_on),
            to: None,
        },
    )];
    // It is not theirs yet.
    let refused = control.restrict(&operator, id, &after, "x").await;
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::Invalid);
    control.restrict(&operator, id, &before, "x").await.unwrap();
    world.clock.set(handed_on.plus(hour));
    let found = control.restrictions(&operator, id, &after).await.unwrap();
    assert_eq!(found, []);
    let none = control.lift_restriction(&operator, id, &after, "x").await;
    assert_eq!(none.unwrap_err().kind(), ErrorKind::NotFound);
    control.restrict(&operator, id, &after, "y").await.unwrap();
    let lifted = control.lift_restriction(&operator, id, &before, "z").await;
    lifted.unwrap();
    let rules = control.rules().borrow().account(id).cloned().unwrap();
    let since: Vec<_> = rules.restricted.iter().map(|it| it.since).collect();
    assert_eq!(since, [handed_on.plus(hour)]);
}
