//! Files that leave.

use super::world::{DAY, HOUR, World, at, masked, person, policy, without};
use crate::csv::Formulas;
use crate::export::{self, Format};
use crate::{EventsQuery, ReadPolicy, Settings, csv};
use expect_test::expect;
use governance::Stretch;
use model::record::ChangeOp;

async fn text(world: &World, policy: &ReadPolicy, format: Format) -> String {
    let rows = world
        .engine
        .export_events(policy, &EventsQuery::default())
        .await
        .unwrap();
    let mut out = Vec::new();
    let mut told = 0;
    let done = export::write(rows, format, &mut out, |it| told = it.rows)
        .await
        .unwrap();
    assert_eq!((done.rows, told), (2, 2));
    if format != Format::Parquet {
        assert_eq!(done.bytes, out.len() as u64);
    }
    String::from_utf8_lossy(&out).into_owned()
}

async fn shop() -> World {
    let world = World::new();
    world.write([world.event(person(1), "=E", 0, r#"{"Email":"a\"b","n":1.50}"#)]);
    world.flush().await;
    world.write([world.event(person(2), "a,b", DAY, r#"{"n":"1.5"}"#)]);
    world.write([world.change(
        person(1),
        0,
        &[
            ("identity", ChangeOp::Identify, "\"peter\""),
            ("Age", ChangeOp::Put, "4.0"),
        ],
    )]);
    world
}

#[tokio::test]
async fn events_are_exported_as_sent() {
    let world = shop().await;
    let lines = text(&world, &policy(), Format::JsonLines).await;
    let mut lines: Vec<_> = lines.lines().collect();
    lines.sort_unstable();
    expect![[r#"
        {"record_id":"00000000000000000000000000000001","person_key":"01111111111111111111111111111111","person":"01111111111111111111111111111111","name":"=E","ts":"2026-11-02T00:00:00.000Z","received_at":"2026-11-02T00:00:00.000Z","ts_sent":null,"source":"rest","session":null,"context":null,"properties":{"Email":"a\"b","n":1.50}}
        {"record_id":"00000000000000000000000000000002","person_key":"02111111111111111111111111111111","person":"02111111111111111111111111111111","name":"a,b","ts":"2026-11-03T00:00:00.000Z","received_at":"2026-11-03T00:00:00.000Z","ts_sent":null,"source":"rest","session":null,"context":null,"properties":{"n":"1.5"}}"#]].assert_eq(&lines.join("\n"));
    let hidden = text(&world, &masked(&["Email"]), Format::JsonLines).await;
    assert!(hidden.contains(r#""Email":"***""#) && !hidden.contains("a\\\"b"));
    let csv = text(&world, &policy(), Format::Csv(Formulas::Defused)).await;
    assert!(
        csv.contains(",\"'=E\",") && csv.contains(",\"a,b\","),
        "{csv}"
    );
    assert!(
        csv.contains(r#""{""Email"":""a\""b"",""n"":1.50}""#),
        "{csv}"
    );
    let parquet = text(&world, &policy(), Format::Parquet).await;
    assert!(parquet.starts_with("PAR1\u{15}") && parquet.ends_with("PAR1"));
}

/// The properties of the events in an export, in order.
async fn properties(world: &World, policy: &ReadPolicy, query: &EventsQuery) -> Vec<String> {
    let rows = world.engine.export_events(policy, query).await.unwrap();
    let mut out = Vec::new();
    export::write(rows, Format::JsonLines, &mut out, |_| ())
        .await
        .unwrap();
    let text = String::from_utf8(out).unwrap();
    let lines = text.lines().map(|line| {
        let (_, last) = line.split_once("\"properties\":").unwrap();
        last.strip_suffix('}').unwrap().to_owned()
    });
    let mut found: Vec<String> = lines.collect();
    found.sort_unstable();
    found
}

#[tokio::test]
async fn an_export_does_not_cost_by_the_properties_that_others_had() {
    // A journal that is read while the query runs, as one is that is large.
    let world = World::with(Settings {
        memory_bytes_max: 64 * 1024,
        tail_bytes_max: 1,
        threads: 2,
        ..Settings::default()
    });
    let mut expect = Vec::new();
    for n in 0..50_u8 {
        // No two events have a property in common: together they have 2,500.
        let members: Vec<String> = (0..50)
            .map(|m| format!("\"of {n:02}, {m:02}\":{m}"))
            .collect();
        let properties = format!("{{{}}}", members.join(","));
        world.write([world.event(person(n), "E", i64::from(n) * HOUR, &properties)]);
        expect.push(properties);
        if n < 40 {
            world.flush().await;
        }
    }
    let all = EventsQuery::default();
    assert_eq!(properties(&world, &policy(), &all).await, expect);
    let some = EventsQuery {
        from: at(30 * HOUR),
        to: at(45 * HOUR),
        ..EventsQuery::default()
    };
    let of_some = properties(&world, &policy(), &some).await;
    assert_eq!(of_some, expect[30..45]);
    // One in a part and one in the journal.
    let hidden = without(&[(person(3), Stretch::WHOLE), (person(44), Stretch::WHOLE)]);
    expect.remove(44);
    expect.remove(3);
    assert_eq!(properties(&world, &hidden, &all).await, expect);
}

#[tokio::test]
async fn people_are_exported_folded() {
    let world = shop().await;
    let query = EventsQuery::default();
    let rows = world
        .engine
        .export_people(&policy(), query.from, query.to)
        .await
        .unwrap();
    let mut out = Vec::new();
    export::write(rows, Format::JsonLines, &mut out, |_| ())
        .await
        .unwrap();
    expect![[r#"
        {"person":"01111111111111111111111111111111","keys":[{"key":"01111111111111111111111111111111"}],"identity":"peter","identities":[{"kind":"identity","identity":"peter"}],"devices":[],"properties":{"Age":4.0}}
        {"person":"02111111111111111111111111111111","keys":[{"key":"02111111111111111111111111111111"}],"identity":null,"identities":[],"devices":[],"properties":{}}
    "#]].assert_eq(&String::from_utf8(out).unwrap());
}

#[tokio::test]
async fn tables_are_written_as_csv() {
    let world = World::new();
    let statement = "SELECT * FROM (VALUES (1, 'a\"b', -2.5), (2, '', NULL), (3, '-x', 1e21)) \
                     AS t(\"n,o\", s, f) ORDER BY 1";
    let rows = world.engine.sql(&policy(), statement).await.unwrap();
    let mut out = String::new();
    csv::table(rows, Formulas::Defused, |text| {
        out.push_str(text);
        Ok(())
    })
    .await
    .unwrap();
    assert_eq!(
        out,
        "\"n,o\",s,f\r\n1,\"a\"\"b\",-2.5\r\n2,\"\",\r\n3,\"'-x\",1e21\r\n"
    );
}
