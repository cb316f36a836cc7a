//! What readers may not see.

use super::world::{HOUR, World, at, masked, masked_as, person, policy, without};
use crate::ReadPolicy;
use expect_test::expect;
use governance::{Mask, Masks, PropertyOf, Stretch};
use model::ErrorKind;
use model::record::{ChangeOp, LinkKind};
use std::sync::Arc;

async fn people() -> World {
    let world = World::new();
    let write = |ms: i64| {
        let mut records = Vec::new();
        for n in 1..=3 {
            let who = person(n);
            records.push(world.event(who, "E", ms, r#"{"Email":"a@b","Age":4}"#));
            records.push(world.change(who, ms, &[("Email", ChangeOp::Put, "\"a@b\"")]));
            records.push(world.link(person(100 + n), who, ms, LinkKind::Device));
            records.push(world.rejected(Some(who), ms));
        }
        records.push(world.rejected(None, ms));
        world.write(records);
    };
    write(0);
    world.flush().await;
    write(HOUR);
    world
}

#[tokio::test]
async fn deleted_people_are_in_no_table() {
    let world = people().await;
    let stretch = Stretch {
        from: Some(at(1)),
        to: None,
    };
    for (hidden, counts) in [
        (vec![], [6, 6, 6, 8]),
        (vec![(person(2), Stretch::WHOLE)], [4, 4, 4, 6]),
        (vec![(person(2), stretch)], [5, 5, 5, 7]),
        (vec![(person(102), Stretch::WHOLE)], [6, 6, 4, 8]),
        (
            vec![(person(1), Stretch::WHOLE), (person(2), stretch)],
            [3, 3, 3, 5],
        ),
    ] {
        let policy = without(&hidden);
        for (table, count) in ["events", "profile_changes", "links", "quarantine"]
            .iter()
            .zip(counts)
        {
            let statement = format!("SELECT count(*) AS n FROM {table}");
            let rows = world.sql_as(&policy, &statement).await.unwrap();
            assert_eq!(rows, format!("[{{\"n\":{count}}}]"), "{table} {hidden:?}");
        }
    }
}

#[tokio::test]
async fn many_deleted_people_are_hidden_too() {
    let world = people().await;
    let mut hidden: Vec<_> = (0..300_u32)
        .map(|n| {
            let mut key = [0xee; 16];
            key[..4].copy_from_slice(&n.to_be_bytes());
            (model::PersonKey(key), Stretch::WHOLE)
        })
        .collect();
    hidden.push((
        person(2),
        Stretch {
            from: None,
            to: Some(at(1)),
        },
    ));
    let policy = without(&hidden);
    let count = world
        .sql_as(&policy, "SELECT count(*) AS n FROM events")
        .await
        .unwrap();
    assert_eq!(count, r#"[{"n":5}]"#);
    let count = world
        .sql_as(&policy, "SELECT count(*) AS n FROM quarantine")
        .await
        .unwrap();
    assert_eq!(count, r#"[{"n":7}]"#);
}

#[tokio::test]
async fn masked_values_are_replaced_and_cannot_be_used() {
    let world = people().await;
    let policy = masked(&["Email"]);
    let sql = async |text: &str| world.sql_as(&policy, text).await;
    let row = r#"{"p:Email":"***","p:Age":4}"#;
    let all = format!("[{row}]");
    let statement = "SELECT \"p:Email\", \"p:Age\" FROM events LIMIT 1";
    assert_eq!(sql(statement).await.unwrap(), all);
    assert!(
        sql("SELECT * FROM events LIMIT 1")
            .await
            .unwrap()
            .contains(r#""p:Email":"***""#)
    );
    assert_eq!(
        sql("SELECT DISTINCT value FROM profile_changes")
            .await
            .unwrap(),
        r#"[{"value":"***"}]"#
    );
    for statement in [
        "SELECT name FROM events WHERE \"p:Email\" = 'a@b'",
        "SELECT name FROM events ORDER BY \"p:Email\"",
        "SELECT count(*) FROM events GROUP BY \"p:Email\"",
        "SELECT max(\"p:Email\") FROM events",
        "SELECT upper(\"p:Email\") FROM events",
        "SELECT e.name FROM events e JOIN events f ON e.\"p:Email\" = f.\"p:Email\"",
        "SELECT name FROM events WHERE name IN (SELECT name FROM events WHERE \"p:Email\" = 'x')",
        "WITH e AS (SELECT * FROM events) SELECT name FROM e WHERE \"p:Email\" LIKE 'a%'",
    ] {
        let error = sql(statement).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Denied, "{statement}: {error}");
    }
}

/// What a reader may try with a masked column, by every way that tells something of its values.
const GUESSES: [&str; 24] = [
    "SELECT name FROM events WHERE \"p:Email\" LIKE 'a%'",
    "SELECT name FROM events WHERE \"p:Email\" IN ('a@b')",
    "SELECT name FROM events WHERE \"p:Email\" BETWEEN 'a' AND 'b'",
    "SELECT name FROM events WHERE \"p:Email\" IS NOT NULL",
    "SELECT CASE WHEN \"p:Email\" = 'a@b' THEN 1 ELSE 0 END FROM events",
    "SELECT CASE WHEN length(\"p:Email\") > 3 THEN 1 ELSE 0 END FROM events",
    "SELECT 1 / (length(\"p:Email\") - 3) FROM events",
    "SELECT CAST(\"p:Email\" AS INT) FROM events",
    "SELECT count(\"p:Email\") FROM events",
    "SELECT min(\"p:Email\") FROM events",
    "SELECT count(DISTINCT \"p:Email\") FROM events",
    "SELECT DISTINCT \"p:Email\" FROM events",
    "SELECT name FROM events GROUP BY name HAVING max(\"p:Email\") = 'a@b'",
    "SELECT row_number() OVER (ORDER BY \"p:Email\") FROM events",
    "SELECT e FROM (SELECT \"p:Email\" AS e FROM events) WHERE e = 'a@b'",
    "WITH t(e) AS (SELECT \"p:Email\" FROM events) SELECT upper(e) FROM t",
    "SELECT x FROM (SELECT name AS x FROM events UNION ALL SELECT \"p:Email\" FROM events) ORDER BY x",
    "SELECT \"p:Email\" FROM events UNION SELECT 'a@b'",
    "SELECT \"p:Email\" FROM events INTERSECT SELECT 'a@b'",
    "SELECT name FROM events WHERE 'a@b' IN (SELECT \"p:Email\" FROM events)",
    "SELECT name FROM events WHERE name = (SELECT \"p:Email\" FROM events LIMIT 1)",
    "SELECT name FROM events e WHERE EXISTS (SELECT 1 FROM events f WHERE f.name = e.\"p:Email\")",
    "SELECT e.name FROM events e JOIN people p ON e.\"p:Email\" = p.\"p:Email\"",
    "SELECT person_key FROM people WHERE \"p:Email\" = 'a@b'",
];

#[tokio::test]
async fn nothing_can_be_guessed_of_a_masked_column() {
    let world = people().await;
    for mask in Mask::ALL {
        let policy = masked_as(&["Email"], mask);
        for statement in GUESSES {
            let error = world.sql_as(&policy, statement).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Denied, "{statement}: {error}");
            assert!(!error.to_string().contains("a@b"), "{statement}: {error}");
        }
        for table in ["events", "people"] {
            let statement = format!("SELECT e FROM (SELECT \"p:Email\" AS e FROM {table}) LIMIT 1");
            let rows = world.sql_as(&policy, &statement).await.unwrap();
            assert!(
                rows.starts_with("[{\"e\":") && !rows.contains("a@b"),
                "{rows}"
            );
        }
    }
    // The check can fail: whoever sees the column can do all of it.
    for statement in GUESSES {
        let found = world.sql_as(&policy(), statement).await;
        let denied = found.is_err_and(|it| it.kind() == ErrorKind::Denied);
        assert!(!denied, "{statement}");
    }
}

#[tokio::test]
async fn a_partial_mask_shows_a_little_of_texts_and_nothing_of_the_rest() {
    let world = World::new();
    world.write([
        world.event(person(1), "E", 0, r#"{"Mail":"pia@firm.com","x":1}"#),
        world.change(person(1), 0, &[("Mail", ChangeOp::Put, "\"pia@firm.com\"")]),
    ]);
    world.flush().await;
    world.write([world.event(person(1), "E", 1, r#"{"Mail":17,"x":2}"#)]);
    let policy = masked_as(&["Mail"], Mask::Partial);
    let sql = async |text: &str| world.sql_as(&policy, text).await.unwrap();
    let rows = sql("SELECT \"p:Mail\" AS m, \"p:x\" AS x FROM events ORDER BY x").await;
    assert_eq!(rows, r#"[{"m":"p••••@f••••.com","x":1},{"m":"***","x":2}]"#);
    let rows = sql("SELECT \"p:Mail\" AS m FROM people").await;
    assert_eq!(rows, r#"[{"m":"p••••@f••••.com"}]"#);
    let rows = sql("SELECT value FROM profile_changes").await;
    assert_eq!(rows, r#"[{"value":"p••••@f••••.com"}]"#);
}

#[tokio::test]
async fn a_mask_of_events_masks_no_people_and_the_other_way_round() {
    let world = people().await;
    for (of, table, other) in [
        (PropertyOf::Event, "events", "people"),
        (PropertyOf::Person, "people", "events"),
    ] {
        let mut masks = Masks::default();
        masks.insert(of, "Email", Mask::Placeholder);
        let policy = ReadPolicy {
            masks: Arc::new(masks),
            ..policy()
        };
        let sql = async |table: &str| {
            let text = format!("SELECT count(*) AS n FROM {table} WHERE \"p:Email\" = 'a@b'");
            world.sql_as(&policy, &text).await
        };
        assert!(sql(table).await.is_err(), "{table}");
        assert_ne!(sql(other).await.unwrap(), r#"[{"n":0}]"#, "{other}");
    }
}

#[tokio::test]
async fn what_was_not_accepted_is_not_shown_to_who_sees_masks() {
    let world = people().await;
    let text = "SELECT DISTINCT body FROM quarantine";
    let rows = world.sql_as(&masked(&["Email"]), text).await.unwrap();
    assert_eq!(rows, r#"[{"body":""}]"#);
    assert_ne!(world.sql(text).await, rows);
}

#[tokio::test]
async fn a_reader_of_some_events_sees_no_others() {
    let world = World::new();
    world.write([
        world.event(person(1), "Open", 0, "{}"),
        world.event(person(1), "Secret", 0, "{}"),
    ]);
    let names = ["Open".to_owned()].into_iter().collect();
    let policy = ReadPolicy {
        events: Some(Arc::new(names)),
        ..policy()
    };
    let rows = world
        .sql_as(&policy, "SELECT name FROM events")
        .await
        .unwrap();
    assert_eq!(rows, r#"[{"name":"Open"}]"#);
    let none = ReadPolicy {
        events: Some(Arc::default()),
        ..policy
    };
    assert_eq!(
        world
            .sql_as(&none, "SELECT name FROM events")
            .await
            .unwrap(),
        "[]"
    );
}

#[tokio::test]
async fn plans_hide_deleted_people_on_the_scan_and_read_no_masked_value() {
    let world = people().await;
    let mut policy = masked(&["Email"]);
    policy.suppressed = without(&[(person(2), Stretch::WHOLE)]).suppressed;
    let plan = world.explain(
        &policy,
        "SELECT \"p:Email\", \"p:Age\" FROM events WHERE name = 'E'",
    );
    expect![[r#"
        Projection: events.p:Email, events.p:Age
          SubqueryAlias: events
            Projection: events.p:i:Age AS p:Age, Utf8("***") AS p:Email
              Filter: events.person_key != FixedSizeBinary(16, "2,17,17,17,17,17,17,17,17,17,17,17,17,17,17,17") AND events.name = Utf8("E")
                TableScan: events projection=[person_key, name, p:i:Age], partial_filters=[events.person_key != FixedSizeBinary(16, "2,17,17,17,17,17,17,17,17,17,17,17,17,17,17,17"), events.name = Utf8("E")]
        UnionExec
          DataSourceExec: file_groups={1 group: [[lake/A-1/events/mixed/<part>]]}, projection=[*** as p:Email, p:i:Age@10 as p:Age], file_type=parquet, predicate=person_key@0 != 02111111111111111111... AND name@2 = E, pruning_predicate=person_key_null_count@2 != row_count@3 AND (person_key_min@0 != 02111111111111111111... OR 02111111111111111111... != person_key_max@1) AND name_null_count@6 != row_count@3 AND name_min@4 <= E AND E <= name_max@5, required_guarantees=[name in (E), person_key not in (02111111111111111111...)]
          ProjectionExec: expr=[*** as p:Email, p:i:Age@0 as p:Age]
            FilterExec: person_key@0 != 02111111111111111111... AND name@1 = E, projection=[p:i:Age@2]
              DataSourceExec: partitions=1, partition_sizes=[1]

    "#]].assert_eq(&plan.await);
    let statement = format!("SELECT name FROM events WHERE person_key = '{}'", person(1));
    expect![[r#"
        SubqueryAlias: events
          Projection: events.name
            Filter: events.person_key = FixedSizeBinary(16, "1,17,17,17,17,17,17,17,17,17,17,17,17,17,17,17")
              TableScan: events projection=[person_key, name], partial_filters=[events.person_key = FixedSizeBinary(16, "1,17,17,17,17,17,17,17,17,17,17,17,17,17,17,17")]
        UnionExec
          DataSourceExec: file_groups={1 group: [[lake/A-1/events/mixed/<part>]]}, projection=[name], file_type=parquet, predicate=person_key@0 = 01111111111111111111..., pruning_predicate=person_key_null_count@2 != row_count@3 AND person_key_min@0 <= 01111111111111111111... AND 01111111111111111111... <= person_key_max@1, required_guarantees=[person_key in (01111111111111111111...)]
          FilterExec: person_key@0 = 01111111111111111111..., projection=[name@1]
            DataSourceExec: partitions=1, partition_sizes=[1]

    "#]].assert_eq(&world.explain(&super::world::policy(), &statement).await);
}
