//! What may be said.

use super::world::{World, person, policy};
use crate::{Error, Settings};
use model::ErrorKind;
use std::time::Duration;

#[tokio::test]
async fn only_reading_statements_run() {
    let world = World::new();
    for statement in [
        "",
        ";",
        "SELECT 1; SELECT 2",
        "DROP TABLE events",
        "CREATE TABLE t AS SELECT 1",
        "CREATE EXTERNAL TABLE t STORED AS CSV LOCATION '/etc/passwd'",
        "CREATE VIEW v AS SELECT 1",
        "INSERT INTO events VALUES (1)",
        "DELETE FROM events",
        "UPDATE events SET name = 'x'",
        "COPY events TO '/tmp/x'",
        "SET datafusion.execution.batch_size = 1",
        "RESET datafusion.execution.batch_size",
        "SHOW TABLES",
        "SHOW ALL",
        "DESCRIBE events",
        "EXPLAIN INSERT INTO events VALUES (1)",
        "EXPLAIN ANALYZE COPY events TO '/tmp/x'",
        "WITH x AS (DELETE FROM events RETURNING *) SELECT * FROM x",
        "WITH RECURSIVE x AS (SELECT 1 UNION ALL SELECT 1 FROM x) SELECT * FROM x",
        "SELECT * INTO t FROM events",
        "PREPARE p AS SELECT 1",
        "BEGIN",
        "USE other",
        "CALL f()",
        "SELECT * FROM information_schema.tables",
        "SELECT * FROM datafusion.public.events",
        "SELECT * FROM other",
        "SELECT * FROM '/etc/passwd'",
        "SELECT * FROM parts",
        "SELEC 1",
        "SELECT nope FROM events",
    ] {
        let error = world.sql_as(&policy(), statement).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid, "{statement}: {error}");
    }
}

#[tokio::test]
async fn statements_that_read_run() {
    let world = World::new();
    world.write([world.event(person(1), "E", 0, "{}")]);
    for statement in [
        "SELECT 1",
        "SELECT name FROM events;",
        "WITH e AS (SELECT * FROM events) SELECT count(*) FROM e",
        "SELECT name FROM EVENTS WHERE NAME = 'E'",
        "SELECT name FROM events UNION ALL SELECT path FROM requests",
        "SELECT (SELECT count(*) FROM links) AS n FROM events",
        "EXPLAIN SELECT name FROM events",
        "EXPLAIN ANALYZE SELECT name FROM events",
        "VALUES (1), (2)",
        "SELECT name FROM events WHERE EXISTS (SELECT 1 FROM links)",
        "SELECT e.name FROM events e JOIN events f ON e.person_key = f.person_key",
        "SELECT name, row_number() OVER (ORDER BY ts) FROM events",
    ] {
        world
            .sql_as(&policy(), statement)
            .await
            .unwrap_or_else(|error| panic!("{statement}: {error:?}"));
    }
}

#[tokio::test]
async fn deep_and_long_statements_are_refused() {
    let world = World::new();
    let chain = |n: usize| format!("SELECT {}", vec!["1"; n].join("+"));
    let nested = |n: usize| format!("SELECT {}1{}", "(".repeat(n), ")".repeat(n));
    let nots = |n: usize| format!("SELECT {} true", "NOT ".repeat(n));
    for statement in [
        chain(10_000),
        nested(10_000),
        nots(10_000),
        " ".repeat(100_000),
    ] {
        let error = world.sql_as(&policy(), &statement).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
    }
    world.sql(&chain(300)).await;
}

#[tokio::test]
async fn rows_time_and_memory_are_bounded() {
    let settings = Settings {
        rows_max: 10,
        threads: 1,
        ..Settings::default()
    };
    let world = World::with(settings.clone());
    let records: Vec<_> = (0..11)
        .map(|n| world.event(person(1), "E", n, "{}"))
        .collect();
    world.write(records);
    let error = world
        .sql_as(&policy(), "SELECT * FROM events")
        .await
        .unwrap_err();
    assert!(matches!(error, Error::Rows { limit: 10 }), "{error}");
    assert_eq!(error.kind(), ErrorKind::Invalid);
    world.sql("SELECT * FROM events LIMIT 10").await;

    let world = World::with(Settings {
        time_max: Duration::from_millis(1),
        ..settings.clone()
    });
    world.stall();
    let error = world
        .sql_as(&policy(), "SELECT * FROM events")
        .await
        .unwrap_err();
    assert!(matches!(error, Error::Time { .. }), "{error}");
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    let error = world
        .engine
        .active_people(&policy(), super::world::at(0))
        .await
        .unwrap_err();
    assert!(matches!(error, Error::Time { .. }), "{error}");

    let world = World::with(Settings {
        memory_bytes_max: 100_000,
        ..settings
    });
    let many = |n| world.event(person(1), "E", n, &format!("{{\"x\":\"{n:0>200}\"}}"));
    world.write((0..5_000).map(many).collect::<Vec<_>>());
    let statement = "SELECT \"p:x\", count(*) FROM events GROUP BY 1 ORDER BY 1";
    let error = world.sql_as(&policy(), statement).await.unwrap_err();
    assert!(matches!(error, Error::Memory { .. }), "{error:?}");
    assert_eq!(error.kind(), ErrorKind::Unavailable);
}
