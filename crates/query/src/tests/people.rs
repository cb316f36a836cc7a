//! People: identities, devices, profiles.

use super::world::{DAY, HOUR, World, at, masked, person, policy, without};
use crate::{EventsQuery, Lookup, PeoplePosition, ProfileParts};
use governance::Stretch;
use model::ErrorKind;
use model::record::{ChangeOp, LinkKind};

fn stretch(from: Option<i64>, to: Option<i64>) -> Stretch {
    Stretch {
        from: from.map(at),
        to: to.map(at),
    }
}

async fn keys(world: &World, n: u8) -> Vec<(u8, Stretch)> {
    let found = world
        .engine
        .person_keys(&policy(), &[person(n)])
        .await
        .unwrap();
    found
        .keys
        .into_iter()
        .map(|(key, stretch)| (key.0[0], stretch))
        .collect()
}

#[tokio::test]
async fn a_shared_device_belongs_to_each_for_a_while_and_joins_nobody() {
    let world = World::new();
    world.write([world.link(person(9), person(1), HOUR, LinkKind::Device)]);
    world.flush().await;
    world.write([
        world.link(person(9), person(1), 2 * HOUR, LinkKind::Device),
        world.link(person(9), person(2), 3 * HOUR, LinkKind::Device),
        world.link(person(9), person(2), 5 * HOUR, LinkKind::Unlink),
    ]);
    let whole = Stretch::WHOLE;
    assert_eq!(
        keys(&world, 1).await,
        [(1, whole), (9, stretch(None, Some(3 * HOUR)))]
    );
    assert_eq!(
        keys(&world, 2).await,
        [(2, whole), (9, stretch(Some(3 * HOUR), Some(5 * HOUR)))]
    );
    assert_eq!(keys(&world, 9).await, [(9, stretch(Some(5 * HOUR), None))]);
    world.write([0, 4, 6].map(|hour| world.event(person(9), "E", hour * HOUR, "{}")));
    for n in [1, 2, 9] {
        let found = world
            .engine
            .profile(&policy(), &Lookup::Key(person(n)))
            .await
            .unwrap()
            .unwrap();
        assert_eq!(found.events["E"].count, 1, "person {n}");
    }
}

#[tokio::test]
async fn aliases_join_identities_for_good() {
    let world = World::new();
    world.write([
        world.link(person(1), person(2), 0, LinkKind::Alias),
        world.link(person(9), person(1), 0, LinkKind::Device),
    ]);
    world.flush().await;
    world.write([world.link(person(3), person(2), 0, LinkKind::Alias)]);
    let expect = [1, 2, 3, 9].map(|n| (n, Stretch::WHOLE));
    for n in [1, 2, 3, 9] {
        assert_eq!(keys(&world, n).await, expect);
    }
    assert_eq!(keys(&world, 4).await, [(4, Stretch::WHOLE)]);
}

#[tokio::test]
async fn a_profile_is_folded_over_all_keys_in_order() {
    let world = World::new();
    world.write([
        world.change(
            person(1),
            HOUR,
            &[
                ("identity", ChangeOp::Identify, "\"peter\""),
                ("Name", ChangeOp::Put, "\"Peter\""),
                ("Visits", ChangeOp::Incr, "2"),
            ],
        ),
        world.link(person(9), person(1), HOUR, LinkKind::Device),
    ]);
    world.flush().await;
    world.write([
        world.change(person(9), 3 * HOUR, &[("Name", ChangeOp::Put, "\"Petra\"")]),
        world.change(
            person(1),
            2 * HOUR,
            &[
                ("Name", ChangeOp::Put, "\"Pete\""),
                ("Visits", ChangeOp::Incr, "3"),
            ],
        ),
        world.event(person(9), "E", 0, "{}"),
        world.event(person(1), "E", HOUR, "{}"),
    ]);
    let found = world
        .engine
        .profile(&policy(), &Lookup::Key(person(9)))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(found.profile.properties["Name"].as_str(), "\"Petra\"");
    assert_eq!(found.profile.properties["Visits"].as_str(), "5");
    assert_eq!(found.profile.identity(), Some("peter"));
    let stats = found.events["E"];
    assert_eq!(
        (stats.count, stats.first_seen, stats.last_seen),
        (2, at(0), at(HOUR))
    );
    let hidden = masked(&["Name", "identity"]);
    let found = world
        .engine
        .profile(&hidden, &Lookup::Key(person(1)))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(found.profile.properties["Name"].as_str(), "\"***\"");
    assert_eq!(found.profile.identity(), Some("***"));
    for gone in [without(&[
        (person(1), Stretch::WHOLE),
        (person(9), Stretch::WHOLE),
    ])] {
        assert_eq!(
            world
                .engine
                .profile(&gone, &Lookup::Key(person(1)))
                .await
                .unwrap(),
            None
        );
    }
    assert_eq!(
        world
            .engine
            .profile(&policy(), &Lookup::Key(person(7)))
            .await
            .unwrap(),
        None
    );
}

#[tokio::test]
async fn an_email_finds_who_has_it_now() {
    let world = World::new();
    world.write([
        world.change(person(1), 0, &[("Email", ChangeOp::Put, "\"Old@x.org\"")]),
        world.change(
            person(1),
            HOUR,
            &[("Email", ChangeOp::Put, "\"new@x.org\"")],
        ),
        world.change(
            person(2),
            HOUR,
            &[("Email", ChangeOp::Put, "\"old\\u0040x.org\"")],
        ),
    ]);
    let find = async |email: &str| {
        let lookup = Lookup::Email(email.to_owned());
        world
            .engine
            .profile(&policy(), &lookup)
            .await
            .unwrap()
            .and_then(|it| it.key)
    };
    for _ in 0..2 {
        assert_eq!(find("NEW@x.org").await, Some(person(1)));
        assert_eq!(find("old@x.org").await, Some(person(2)));
        assert_eq!(find("nobody@x.org").await, None);
        world.flush().await;
    }
    let denied = world
        .engine
        .profile(&masked(&["Email"]), &Lookup::Email(String::new()))
        .await;
    assert_eq!(denied.unwrap_err().kind(), ErrorKind::Denied);
}

#[tokio::test]
async fn pages_of_people_hold_everybody_once() {
    let world = World::new();
    for n in 1..=9 {
        world.write([world.event(person(n), "E", i64::from(n), "{}")]);
        world.write([world.link(person(100 + n), person(n), 0, LinkKind::Device)]);
        world.write([world.event(person(100 + n), "E", i64::from(n), "{}")]);
        if n == 5 {
            world.flush().await;
        }
    }
    world.write([world.change(person(20), 0, &[("Name", ChangeOp::Put, "\"x\"")])]);
    let pages = async |query: &EventsQuery| {
        let (mut seen, mut after): (Vec<u8>, Option<PeoplePosition>) = (Vec::new(), None);
        loop {
            let page = world
                .engine
                .people_page(&policy(), query, ProfileParts::ALL, after, 4)
                .await;
            let page = page.unwrap();
            seen.extend(
                page.people
                    .iter()
                    .filter_map(|it| it.key.map(|key| key.0[0])),
            );
            after = page.next;
            if after.is_none() {
                return seen;
            }
        }
    };
    let did = EventsQuery {
        event: Some("E".to_owned()),
        ..EventsQuery::default()
    };
    assert_eq!(pages(&did).await, (1..=9).collect::<Vec<_>>());
    assert_eq!(world.engine.count_people(&policy(), &did).await.unwrap(), 9);
    let anybody = EventsQuery::default();
    assert_eq!(
        pages(&anybody).await,
        (1..=9).chain([20]).collect::<Vec<_>>()
    );
    let late = EventsQuery {
        from: at(5),
        to: at(DAY),
        ..did
    };
    assert_eq!(pages(&late).await, (5..=9).collect::<Vec<_>>());
    assert_eq!(
        world.engine.active_people(&policy(), at(8)).await.unwrap(),
        2
    );
}
