//! What roles give together, and the laws that hold for every combination.

use super::{Component, Grant, GrantedRole, Level, Rights, Standing, SystemRole};
use crate::Condition;
use model::Timestamp;
use proptest::prelude::*;
use std::sync::Arc;

const NOW: Timestamp = Timestamp::from_ms(1_000_000);

fn system(role: SystemRole) -> Grant {
    Grant {
        role: GrantedRole::System(role),
        expires_at: None,
    }
}

fn custom(rights: &str) -> Grant {
    Grant {
        role: GrantedRole::Custom {
            name: Box::from("own"),
            rights: Rights::parse(rights).unwrap(),
            filter: None,
        },
        expires_at: None,
    }
}

fn expired(grant: Grant) -> Grant {
    Grant {
        expires_at: Some(NOW),
        ..grant
    }
}

fn check(grants: &[Grant], expect: &str) {
    let found = Standing::of(grants, NOW).rights;
    assert_eq!(found.to_string(), expect, "{grants:?}");
}

#[test]
fn roles_give_together_what_the_rules_say() {
    let member = "analysis=read,people=read,dictionary=read,support=write";
    check(&[], "");
    check(&[system(SystemRole::Member)], member);
    // System roles: the highest.
    let both = [system(SystemRole::Member), system(SystemRole::Auditor)];
    check(
        &both,
        "analysis=read,people=read,dictionary=read,audit_log=read,request_log=read,controls=read,support=write",
    );
    // System and custom: joined.
    let joined = [
        system(SystemRole::Member),
        custom("people=write,exports=read"),
    ];
    check(
        &joined,
        "analysis=read,people=write,exports=read,dictionary=read,support=write",
    );
    // Custom and custom: what both give.
    let narrowed = [
        custom("people=write,exports=read"),
        custom("people=read,analysis=write"),
    ];
    check(&narrowed, "people=read");
}

#[test]
fn an_expired_grant_gives_nothing_and_still_narrows() {
    check(&[expired(system(SystemRole::Admin))], "");
    check(&[expired(custom("people=write"))], "");
    let narrowed = [
        custom("people=write,users=write"),
        expired(custom("people=read")),
    ];
    check(&narrowed, "people=read");
    let later = Grant {
        expires_at: Some(Timestamp::from_ms(1_000_001)),
        ..custom("people=read")
    };
    check(&[later], "people=read");
}

#[test]
fn rights_are_read_as_they_are_shown() {
    for role in SystemRole::ALL {
        let rights = role.rights();
        assert_eq!(Rights::parse(&rights.to_string()), Some(rights), "{role:?}");
        assert_eq!(SystemRole::from_name(role.as_str()), Some(role));
    }
    assert_eq!(Rights::parse(""), Some(Rights::NONE));
    for wrong in [
        "people",
        "people=all",
        "nothing=read",
        "people=read,people=write",
        ",",
        "people=read,",
    ] {
        assert_eq!(Rights::parse(wrong), None, "{wrong}");
    }
}

#[test]
fn one_level_reveals_and_the_next_one_shows() {
    let of = |rights: &str| {
        let standing = Standing::of(&[custom(rights)], NOW);
        (standing.may_reveal(), standing.sees_personal_information())
    };
    assert_eq!(of("people=write"), (false, false));
    assert_eq!(of("personal_information=read"), (true, false));
    assert_eq!(of("personal_information=write"), (true, true));
}

#[test]
fn only_who_may_sees_personal_information() {
    let seen = SystemRole::ALL
        .into_iter()
        .filter(|role| Standing::of(&[system(*role)], NOW).sees_personal_information());
    assert_eq!(
        seen.collect::<Vec<_>>(),
        [SystemRole::Admin, SystemRole::PrivacyOfficer]
    );
}

fn level() -> impl Strategy<Value = Level> {
    prop::sample::select(&Level::ALL[..])
}

fn rights() -> impl Strategy<Value = Rights> {
    prop::collection::vec(level(), Component::ALL.len()).prop_map(|levels| {
        let levels: Vec<_> = Component::ALL.into_iter().zip(levels).collect();
        Rights::of(&levels)
    })
}

fn filter() -> impl Strategy<Value = Arc<Condition>> {
    let all = ["Country = 'DE'", "Country = 'FR'", "VIP = true"];
    prop::sample::select(all.to_vec()).prop_map(|it| Arc::new(Condition::parse(it).unwrap()))
}

fn grant() -> impl Strategy<Value = Grant> {
    let role = prop_oneof![
        prop::sample::select(&SystemRole::ALL[..]).prop_map(GrantedRole::System),
        rights().prop_map(|rights| GrantedRole::Custom {
            name: Box::from("own"),
            rights,
            filter: None,
        }),
        (rights(), filter()).prop_map(|(rights, filter)| GrantedRole::Custom {
            name: Box::from("filtered"),
            rights,
            filter: Some(filter),
        }),
    ];
    (role, prop::option::of(999_990_i64..1_000_010)).prop_map(|(role, end)| Grant {
        role,
        expires_at: end.map(Timestamp::from_ms),
    })
}

fn grants() -> impl Strategy<Value = Vec<Grant>> {
    prop::collection::vec(grant(), 0..6)
}

proptest! {
    #[test]
    fn nobody_gains_because_time_has_passed(grants in grants(), wait in 0_i64..50) {
        let later = Timestamp::from_ms(NOW.ms() + wait);
        let (before, after) = (Standing::of(&grants, NOW), Standing::of(&grants, later));
        prop_assert!(before.rights.cover(&after.rights));
        prop_assert_eq!(before.filters, after.filters);
    }

    #[test]
    fn a_role_with_a_filter_never_lets_somebody_see_more_people(
        grants in grants(), more in grant(),
    ) {
        let mut all = grants.clone();
        all.push(more);
        let (before, after) = (Standing::of(&grants, NOW), Standing::of(&all, NOW));
        prop_assert!(before.filters.iter().all(|it| after.filters.contains(it)));
    }

    #[test]
    fn nobody_gains_by_losing_a_system_role(grants in grants(), pick in any::<prop::sample::Index>()) {
        prop_assume!(!grants.is_empty());
        let mut fewer = grants.clone();
        let lost = fewer.remove(pick.index(grants.len()));
        prop_assume!(matches!(lost.role, GrantedRole::System(_)));
        let (before, after) = (Standing::of(&grants, NOW), Standing::of(&fewer, NOW));
        prop_assert!(before.rights.cover(&after.rights));
    }

    #[test]
    fn nobody_gains_by_a_role_that_gives_less(
        grants in grants(), less in rights(), pick in any::<prop::sample::Index>(),
    ) {
        prop_assume!(!grants.is_empty());
        let mut reduced = grants.clone();
        let at = pick.index(grants.len());
        if let GrantedRole::Custom { rights, .. } = &mut reduced[at].role {
            *rights = rights.intersection(&less);
        }
        let (before, after) = (Standing::of(&grants, NOW), Standing::of(&reduced, NOW));
        prop_assert!(before.rights.cover(&after.rights));
    }

    #[test]
    fn nobody_gains_beyond_what_some_role_gives(grants in grants()) {
        let all = grants.iter().fold(Rights::NONE, |all, grant| match &grant.role {
            GrantedRole::System(role) => all.union(&role.rights()),
            GrantedRole::Custom { rights, .. } => all.union(rights),
        });
        prop_assert!(all.cover(&Standing::of(&grants, NOW).rights));
    }

    #[test]
    fn the_order_of_grants_does_not_matter(grants in grants()) {
        let mut turned = grants.clone();
        turned.reverse();
        prop_assert_eq!(Standing::of(&grants, NOW).rights, Standing::of(&turned, NOW).rights);
    }
}
