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
async fn what_was_nobody_s_stays_so_when_whose_the_device_was_is_deleted() {
    let world = World::new();
    world.write([
        world.link(person(9), person(1), 0, LinkKind::Device),
        world.link(person(9), person(1), 2 * HOUR, LinkKind::Unlink),
        world.event(person(9), "E", 3 * HOUR, "{}"),
        world.link(person(9), person(2), 4 * HOUR, LinkKind::Device),
        world.event(person(9), "E", 5 * HOUR, "{}"),
    ]);
    let deleted = without(&[
        (person(1), Stretch::WHOLE),
        (person(9), stretch(None, Some(2 * HOUR))),
    ]);
    for policy in [policy(), deleted] {
        for n in [2, 9] {
            let lookup = Lookup::Key(person(n));
            let found = world.engine.profile(&policy, &lookup).await.unwrap();
            assert_eq!(found.unwrap().events["E"].count, 1, "person {n}");
        }
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
async fn the_identity_in_use_is_the_one_that_aliases_lead_to() {
    let world = World::new();
    let in_use = async || {
        let mut names = Vec::new();
        for n in [1, 2] {
            let found = world
                .engine
                .profile(&policy(), &Lookup::Key(person(n)))
                .await;
            let found = found.unwrap().unwrap();
            names.push(found.profile.identity().unwrap().to_owned());
        }
        names
    };
    // A visitor turns out to be somebody who was known before.
    world.write([
        world.change(
            person(1),
            0,
            &[("identity", ChangeOp::Identify, "\"user\"")],
        ),
        world.change(
            person(2),
            HOUR,
            &[("identity", ChangeOp::Identify, "\"visitor\"")],
        ),
        world.link(person(2), person(1), HOUR, LinkKind::Alias),
    ]);
    assert_eq!(in_use().await, ["user", "user"]);
    world.flush().await;
    // Somebody gets another name.
    world.write([
        world.change(
            person(3),
            2 * HOUR,
            &[("identity", ChangeOp::Identify, "\"new\"")],
        ),
        world.link(person(1), person(3), 2 * HOUR, LinkKind::Alias),
    ]);
    assert_eq!(in_use().await, ["new", "new"]);
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

#[tokio::test]
async fn people_are_rows_in_sql() {
    let world = World::new();
    world.write([
        world.link(person(9), person(1), 0, LinkKind::Device),
        world.link(person(2), person(1), 0, LinkKind::Alias),
        world.change(
            person(1),
            0,
            &[
                ("identity", ChangeOp::Identify, "\"anna\""),
                ("Plan", ChangeOp::Put, "\"gold\""),
                ("Visits", ChangeOp::Incr, "2"),
            ],
        ),
        world.event(person(9), "E", HOUR, "{}"),
    ]);
    world.flush().await;
    world.write([
        world.change(person(2), 2 * HOUR, &[("Visits", ChangeOp::Incr, "1.5")]),
        world.event(person(2), "E", 3 * HOUR, "{}"),
        world.event(person(3), "E", 4 * HOUR, "{}"),
    ]);
    let anna = person(1);
    let bob = person(3);
    assert_eq!(
        world.sql("SELECT * FROM people ORDER BY person_key").await,
        format!(
            "[{{\"person_key\":\"{anna}\",\"identity\":\"anna\",\
             \"identities\":[{{\"kind\":\"identity\",\"identity\":\"anna\"}}],\"devices\":[],\
             \"first_seen\":\"2026-11-02T01:00:00.000Z\",\"last_seen\":\"2026-11-02T03:00:00.000Z\",\
             \"changed_at\":\"2026-11-02T02:00:00.000Z\",\"p:Plan\":\"gold\",\"p:Visits\":3.5}},\
             {{\"person_key\":\"{bob}\",\"identity\":null,\"identities\":[],\"devices\":[],\
             \"first_seen\":\"2026-11-02T04:00:00.000Z\",\"last_seen\":\"2026-11-02T04:00:00.000Z\",\
             \"changed_at\":null,\"p:Plan\":null,\"p:Visits\":null}}]"
        )
    );
    for (statement, expect) in [
        ("SELECT count(*) AS n FROM people", "[{\"n\":2}]".to_owned()),
        (
            "SELECT identity FROM people WHERE \"p:Visits\" > 3 AND \"p:Plan\" = 'gold'",
            "[{\"identity\":\"anna\"}]".to_owned(),
        ),
        (
            &format!("SELECT identity FROM people WHERE person_key = '{anna}'"),
            "[{\"identity\":\"anna\"}]".to_owned(),
        ),
        // A key that is not what its person is called names nobody.
        (
            &format!(
                "SELECT identity FROM people WHERE person_key IN ('{}', '{}')",
                person(9),
                person(7)
            ),
            "[]".to_owned(),
        ),
        (
            "SELECT count(*) AS n FROM people p JOIN events e ON e.person_key = p.person_key",
            "[{\"n\":1}]".to_owned(),
        ),
        (
            "SELECT person_key FROM people ORDER BY last_seen DESC LIMIT 1",
            format!("[{{\"person_key\":\"{bob}\"}}]"),
        ),
    ] {
        assert_eq!(world.sql(statement).await, expect, "{statement}");
    }
}

#[tokio::test]
async fn deleted_people_and_masked_values_are_not_in_people() {
    let world = World::new();
    for n in [1, 2] {
        let name = format!("\"name {n}\"");
        let changes = [
            ("identity", ChangeOp::Identify, &*name),
            ("Name", ChangeOp::Put, &name),
        ];
        world.write([
            world.change(person(n), 0, &changes),
            world.event(person(n), "E", HOUR, "{}"),
        ]);
    }
    let gone = without(&[(person(1), Stretch::WHOLE)]);
    let all = world.sql_as(&gone, "SELECT identity FROM people").await;
    assert_eq!(all.unwrap(), "[{\"identity\":\"name 2\"}]");
    let named = format!(
        "SELECT identity FROM people WHERE person_key = '{}'",
        person(1)
    );
    assert_eq!(world.sql_as(&gone, &named).await.unwrap(), "[]");
    let hidden = masked(&["Name", "identity"]);
    let all = world
        .sql_as(&hidden, "SELECT identity, \"p:Name\" FROM people")
        .await;
    let row = "{\"identity\":\"***\",\"p:Name\":\"***\"}";
    assert_eq!(all.unwrap(), format!("[{row},{row}]"));
    let filtered = "SELECT identity FROM people WHERE \"p:Name\" = 'name 1'";
    let error = world.sql_as(&hidden, filtered).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Denied);
}

/// More people than a page has, each once, in the table and in the export.
#[tokio::test]
async fn people_of_several_pages_are_each_there_once() {
    let world = World::new();
    let key = |n: u32| {
        let mut key = [0; 16];
        key[..4].copy_from_slice(&n.wrapping_mul(0x9e37_79b9).to_be_bytes());
        model::PersonKey(key)
    };
    let count = 2 * u32::try_from(crate::people::PAGE).unwrap() + 7;
    let changes = |from: u32, to: u32| {
        let all =
            (from..to).map(|n| world.change(key(n), 0, &[("N", ChangeOp::Put, &n.to_string())]));
        all.collect::<Vec<_>>()
    };
    world.write(changes(0, 3_000));
    world.flush().await;
    world.write(changes(3_000, count));
    let sum: u64 = (0..u64::from(count)).sum();
    let statement = "SELECT count(DISTINCT person_key) AS n, CAST(sum(num(\"p:N\")) AS BIGINT) AS s FROM people";
    assert_eq!(
        world.sql(statement).await,
        format!("[{{\"n\":{count},\"s\":{sum}}}]")
    );
    let rows = world
        .engine
        .export_people(&policy(), at(-DAY), at(DAY))
        .await
        .unwrap();
    let done = crate::export::write(
        rows,
        crate::export::Format::JsonLines,
        tokio::io::sink(),
        |_| {},
    );
    assert_eq!(done.await.unwrap().rows, u64::from(count));
}
