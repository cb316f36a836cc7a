//! Values and types in SQL.

use super::world::{DAY, HOUR, World, at, masked, person, policy};
use model::ErrorKind;

async fn check(world: &World, statement: &str, expect: &str) {
    assert_eq!(world.sql(statement).await, expect, "{statement}");
}

#[tokio::test]
async fn every_value_comes_back_as_it_was_sent_from_journal_and_parts() {
    let values = [
        "5",
        "\"5\"",
        "5.5",
        "5.0",
        "1e3",
        "-0",
        "true",
        "null",
        "[1,{\"a\":\"b\"}]",
        "123456789012345678901234567890",
        "\"\"",
        "0.1",
        "\"\\u0000\"",
    ];
    let world = World::new();
    let expect = |values: &[&str]| {
        let rows: Vec<_> = values
            .iter()
            .map(|it| format!("{{\"p:x\":{it}}}"))
            .collect();
        format!("[{}]", rows.join(","))
    };
    let write = |half: &[&str], ms: i64| {
        let records = (0..).zip(half).map(|(n, value)| {
            world.event(
                person(1),
                "E",
                ms + n,
                &format!("{{\"x\":{value},\"y\":1}}"),
            )
        });
        world.write(records.collect::<Vec<_>>());
    };
    write(&values[..6], 0);
    world.flush().await;
    write(&values[6..], 100);
    check(
        &world,
        "SELECT \"p:x\" FROM events ORDER BY ts",
        &expect(&values),
    )
    .await;
    world.flush().await;
    check(
        &world,
        "SELECT \"p:x\" FROM events ORDER BY ts",
        &expect(&values),
    )
    .await;
    check(
        &world,
        "SELECT e.\"p:x\" AS \"p:x\" FROM events e ORDER BY ts",
        &expect(&values),
    )
    .await;
}

#[tokio::test]
async fn a_property_of_one_type_is_a_column_of_that_type() {
    let world = World::new();
    world.write([
        world.event(
            person(1),
            "Charged",
            0,
            r#"{"Price":2,"Ok":true,"City":"Pune","F":0.5}"#,
        ),
        world.event(person(2), "Charged", DAY, r#"{"Price":40,"City":"Goa"}"#),
    ]);
    world.flush().await;
    world.write([world.event(person(2), "Viewed", DAY, r#"{"Price":3}"#)]);
    check(
        &world,
        "SELECT sum(\"p:Price\") AS s FROM events",
        r#"[{"s":45}]"#,
    )
    .await;
    check(
        &world,
        "SELECT \"p:City\" FROM events WHERE \"p:Price\" > 2 ORDER BY ts, name",
        r#"[{"p:City":"Goa"},{"p:City":null}]"#,
    )
    .await;
    check(
        &world,
        "select count(*) as n from events where name = 'Charged'",
        r#"[{"n":2}]"#,
    )
    .await;
    check(
        &world,
        "SELECT name, CAST(ts AS DATE) AS day, count(*) AS n FROM events GROUP BY name, day \
         ORDER BY day, name",
        "[{\"name\":\"Charged\",\"day\":\"2026-11-02\",\"n\":1},\
         {\"name\":\"Charged\",\"day\":\"2026-11-03\",\"n\":1},\
         {\"name\":\"Viewed\",\"day\":\"2026-11-03\",\"n\":1}]",
    )
    .await;
}

#[tokio::test]
async fn a_mixed_property_compares_by_the_type_of_what_it_is_compared_with() {
    let world = World::new();
    let values = ["5", "\"5\"", "7.5", "\"Pune\"", "true", "null"];
    let records = (0..)
        .zip(values)
        .map(|(n, value)| world.event(person(1), "E", n, &format!("{{\"x\":{value}}}")));
    world.write(records.collect::<Vec<_>>());
    let cases = [
        ("\"p:x\" = 5", "[5]"),
        ("\"p:x\" = '5'", "[\"5\"]"),
        ("\"p:x\" > 5", "[7.5]"),
        ("5 < \"p:x\"", "[7.5]"),
        ("\"p:x\" = true", "[true]"),
        ("\"p:x\" <> 'Pune'", "[\"5\"]"),
        ("\"p:x\" IN ('Pune', '5')", "[\"5\",\"Pune\"]"),
        ("\"p:x\" IN (5, 7.5)", "[5,7.5]"),
        ("\"p:x\" BETWEEN 6 AND 8", "[7.5]"),
        ("\"p:x\" LIKE 'Pu%'", "[\"Pune\"]"),
        ("\"p:x\" + 1 = 6", "[5]"),
        ("text(\"p:x\") = '5'", "[5,\"5\"]"),
        ("num(\"p:x\") = 7.5", "[7.5]"),
    ];
    for (condition, expect) in cases {
        let rows = world
            .sql(&format!(
                "SELECT \"p:x\" FROM events WHERE {condition} ORDER BY ts"
            ))
            .await;
        let rows = rows.replace("{\"p:x\":", "").replace('}', "");
        assert_eq!(rows, expect, "{condition}");
    }
}

#[tokio::test]
async fn keys_are_compared_by_their_digits_and_shown_so() {
    let world = World::new();
    for n in 1..=3 {
        world.write([world.event(person(n), "E", i64::from(n), "{}")]);
        if n == 2 {
            world.flush().await;
        }
    }
    let (two, three) = (person(2), person(3));
    let name = |n: u8| format!("{{\"person_key\":\"{}\"}}", person(n));
    for (condition, expect) in [
        (format!("person_key = '{two}'"), vec![2]),
        (format!("'{three}' = person_key"), vec![3]),
        (format!("person_key IN ('{two}', '{three}')"), vec![2, 3]),
        (format!("person_key <> '{two}'"), vec![1, 3]),
        (
            format!("person_key BETWEEN '{two}' AND '{three}'"),
            vec![2, 3],
        ),
        (String::from("person_key LIKE '02%'"), vec![2]),
        (
            String::from(
                "text(person_key) || '' LIKE '%11' AND person_key > '02111111111111111111111111111111'",
            ),
            vec![3],
        ),
    ] {
        let rows: Vec<_> = expect.into_iter().map(name).collect();
        let statement = format!("SELECT person_key FROM events WHERE {condition} ORDER BY ts");
        check(&world, &statement, &format!("[{}]", rows.join(","))).await;
    }
    let statement = "SELECT 1 FROM events WHERE person_key = 'x'";
    let wrong = world.sql_as(&policy(), statement).await;
    assert!(
        wrong
            .unwrap_err()
            .to_string()
            .contains("32 hexadecimal digits")
    );
}

#[tokio::test]
async fn the_other_tables_are_read_from_journal_and_parts() {
    let world = World::new();
    let write = || {
        world.write([
            world.change(
                person(1),
                0,
                &[("City", model::record::ChangeOp::Put, "\"Pune\"")],
            ),
            world.link(person(9), person(1), HOUR, model::record::LinkKind::Device),
            world.request(0),
            world.rejected(None, 0),
        ]);
    };
    write();
    world.flush().await;
    write();
    for (statement, expect) in [
        (
            "SELECT DISTINCT op, property, value FROM profile_changes",
            r#"[{"op":"put","property":"City","value":"Pune"}]"#,
        ),
        (
            "SELECT count(*) AS n FROM links WHERE kind = 'device'",
            r#"[{"n":2}]"#,
        ),
        (
            "SELECT path, status, ts FROM requests LIMIT 1",
            r#"[{"path":"/1/upload","status":200,"ts":"2026-11-02T00:00:00.000Z"}]"#,
        ),
        (
            "SELECT code, body, CAST(body AS VARCHAR) AS text, person_key FROM quarantine LIMIT 1",
            r#"[{"code":509,"body":"eyJkIjoxfQ==","text":"{\"d\":1}","person_key":null}]"#,
        ),
        ("SELECT count(*) AS n FROM quarantine", r#"[{"n":2}]"#),
    ] {
        check(&world, statement, expect).await;
    }
}

#[tokio::test]
async fn an_account_without_rows_has_empty_tables() {
    let world = World::new();
    for table in [
        "events",
        "profile_changes",
        "links",
        "requests",
        "quarantine",
    ] {
        check(&world, &format!("SELECT * FROM {table}"), "[]").await;
        check(
            &world,
            &format!("SELECT count(*) AS n FROM {table}"),
            r#"[{"n":0}]"#,
        )
        .await;
    }
}

#[tokio::test]
async fn no_account_sees_another_ones_rows() {
    let world = World::new();
    let other = "B-2".parse().unwrap();
    world.write_for(
        other,
        [world.event(person(1), "Theirs", 0, r#"{"Secret":1}"#)],
    );
    world.flush().await;
    world.write_for(
        other,
        [world.event(person(1), "Theirs", 0, r#"{"Secret":1}"#)],
    );
    check(&world, "SELECT count(*) AS n FROM events", r#"[{"n":0}]"#).await;
    let error = world
        .sql_as(&policy(), "SELECT \"p:Secret\" FROM events")
        .await;
    error.unwrap_err();
}

#[tokio::test]
async fn properties_beyond_the_columns_are_columns_when_named() {
    let world = World::new();
    let mut many = String::from("{\"rare\":\"gold\"");
    for n in 0..1_000 {
        many.push_str(&format!(",\"k{n}\":{n}"));
    }
    many.push('}');
    let common: Vec<_> = (0..3)
        .map(|n| world.event(person(2), "E", n, &many.replace("\"rare\":\"gold\",", "")))
        .collect();
    world.write(common);
    world.write([world.event(person(1), "E", 10, &many)]);
    for _ in 0..2 {
        check(
            &world,
            "SELECT \"p:rare\", \"p:k7\" FROM events WHERE \"p:rare\" = 'gold'",
            r#"[{"p:rare":"gold","p:k7":7}]"#,
        )
        .await;
        world.flush().await;
    }
    assert_eq!(at(0).to_string(), "2026-11-02T00:00:00.000Z");
}

#[tokio::test]
async fn of_very_many_properties_those_are_columns_that_are_named() {
    let world = World::new();
    // Each event has 100 properties that no other has, and one that all have.
    for n in 0..11_u8 {
        let mut properties = String::from("{\"all\":1");
        for m in 0..100 {
            properties.push_str(&format!(",\"k{n}_{m}\":{m}"));
        }
        properties.push('}');
        world.write([world.event(person(n), "E", i64::from(n), &properties)]);
        if n < 9 {
            world.flush().await;
        }
    }
    for (statement, expect) in [
        ("SELECT count(*) AS n FROM events", r#"[{"n":11}]"#),
        (
            "SELECT \"p:k3_7\", \"p:all\" FROM events WHERE \"p:k3_7\" IS NOT NULL",
            r#"[{"p:k3_7":7,"p:all":1}]"#,
        ),
        (
            "SELECT e.\"p:k10_7\" AS x FROM events e WHERE \"p:k10_7\" = 7",
            r#"[{"x":7}]"#,
        ),
        (
            "WITH e AS (SELECT name, \"p:k9_7\" AS x FROM events) SELECT * FROM e WHERE x = 7",
            r#"[{"name":"E","x":7}]"#,
        ),
        (
            "SELECT * FROM (SELECT sum(\"p:all\") AS x FROM events) AS e",
            r#"[{"x":11}]"#,
        ),
    ] {
        check(&world, statement, expect).await;
    }
    let hidden = masked(&["all"]);
    let statement = "SELECT \"p:all\" FROM events LIMIT 1";
    let shown = world.sql_as(&hidden, statement).await.unwrap();
    assert_eq!(shown, r#"[{"p:all":"***"}]"#);
    for statement in [
        "SELECT * FROM events",
        "SELECT e.* FROM events AS e",
        "SELECT r.path, e.* FROM requests AS r JOIN EVENTS AS e ON e.ts = r.ts",
        "WITH e AS (SELECT * FROM \"events\") SELECT name FROM e",
        "SELECT name FROM requests UNION SELECT * FROM events",
        "SELECT name FROM events NATURAL JOIN people",
        "EXPLAIN SELECT * FROM events",
    ] {
        let error = world.sql_as(&policy(), statement).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid, "{statement}");
        let told = error.to_string();
        assert!(told.contains("name the columns"), "{statement}: {told}");
    }
    let statement = "SELECT \"p:nope\" FROM events";
    let error = world.sql_as(&policy(), statement).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
}
