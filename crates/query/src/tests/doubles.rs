//! A record that was sent twice under one id is shown once, wherever its copies lie.

use model::record::{ChangeOp, Record, Table};
use proptest::prelude::*;

use super::world::{DAY, World, person, policy};
use crate::{EventsQuery, Lookup, ProfileParts, Settings};

/// The record as it comes again, a minute later.
fn again(record: &Record) -> Record {
    let mut record = record.clone();
    let later = |ts: model::Timestamp| ts.plus(std::time::Duration::from_secs(60));
    match &mut record {
        Record::Event(it) => it.received_at = later(it.received_at),
        Record::ProfileChange(it) => it.received_at = later(it.received_at),
        Record::Quarantined(it) => it.received_at = later(it.received_at),
        Record::Link(_) | Record::Request(_) => {}
    }
    record
}

/// Worlds whose journal is held in memory, and streamed.
fn worlds() -> [World; 2] {
    let streamed = Settings {
        threads: 2,
        tail_bytes_max: 1,
        ..Settings::default()
    };
    [World::new(), World::with(streamed)]
}

async fn count(world: &World, table: &str) -> String {
    world
        .sql(&format!("SELECT count(*) AS n FROM {table}"))
        .await
}

#[tokio::test]
async fn every_kind_of_read_shows_a_resent_record_once() {
    for world in worlds() {
        let event = world.event(person(1), "E", 0, "{\"Price\":5}");
        let change = world.change(
            person(1),
            0,
            &[
                ("Visits", ChangeOp::Incr, "1"),
                ("Plan", ChangeOp::Put, "\"a\""),
            ],
        );
        let rejected = world.rejected(None, 0);
        let records = [event, change, rejected];
        // In one commit, in two, in a part and the journal, in parts.
        for step in 0..4 {
            match step {
                0 => world.write(records.iter().chain(&records).cloned()),
                1 => world.write(records.iter().map(again)),
                2 => {
                    world.flush().await;
                    world.write(records.iter().map(again));
                }
                _ => world.flush().await,
            }
            let query = EventsQuery::default();
            let policy = policy();
            for table in ["events", "quarantine"] {
                assert_eq!(count(&world, table).await, "[{\"n\":1}]", "{table}, {step}");
            }
            assert_eq!(count(&world, "profile_changes").await, "[{\"n\":2}]");
            let events = world.engine.count_events(&policy, &query).await.unwrap();
            assert_eq!(events, 1);
            let page = world
                .engine
                .events_page(&policy, &query, ProfileParts::ALL, None, 10);
            let page = page.await.unwrap();
            assert_eq!(page.records.len(), 1);
            let lookup = Lookup::Key(person(1));
            let person = world.engine.profile(&policy, &lookup).await;
            let person = person.unwrap().unwrap();
            assert_eq!(person.events["E"].count, 1);
            assert_eq!(person.profile.properties["Visits"].as_str(), "1");
            let rows = world.engine.export_events(&policy, &query).await.unwrap();
            let done = crate::export::write(
                rows,
                crate::export::Format::JsonLines,
                tokio::io::sink(),
                |_| {},
            );
            assert_eq!(done.await.unwrap().rows, 1);
        }
    }
}

#[tokio::test]
async fn a_record_without_a_time_of_its_own_is_shown_once_though_it_was_received_later() {
    for world in worlds() {
        let event = world.event(person(1), "E", 0, "{}");
        let Record::Event(mut later) = again(&event) else {
            unreachable!()
        };
        later.ts = later.received_at;
        world.write([event]);
        world.flush().await;
        world.write([Record::Event(later)]);
        assert_eq!(count(&world, "events").await, "[{\"n\":1}]");
        world.flush().await;
        assert_eq!(count(&world, "events").await, "[{\"n\":1}]");
    }
}

#[tokio::test]
async fn a_query_that_began_before_a_flush_loses_nothing_to_one_that_began_after() {
    let world = World::new();
    world.write([world.event(person(1), "E", 0, "{}")]);
    let old = world
        .engine
        .inner
        .snapshots
        .take(policy().account, &[Table::Events]);
    let old = old.await.unwrap();
    world.flush().await;
    world.write([world.event(person(1), "E", 1, "{}")]);
    assert_eq!(count(&world, "events").await, "[{\"n\":2}]");
    assert_eq!(old.table(Table::Events).unwrap().parts.len(), 0);
    let tail = &old.table(Table::Events).unwrap().tail;
    let crate::snapshot::TailRows::Memory(batches) = tail else {
        panic!("the tail is short");
    };
    assert_eq!(batches.iter().map(|it| it.num_rows()).sum::<usize>(), 1);
}

/// What may happen to a journal.
#[derive(Debug, Clone)]
enum Step {
    /// So many new records.
    Write(u8),
    /// Earlier records again, by their numbers.
    Resend(Vec<u8>),
    Flush,
    Compact,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        3 => (1_u8..12).prop_map(Step::Write),
        3 => prop::collection::vec(any::<u8>(), 1..12).prop_map(Step::Resend),
        2 => Just(Step::Flush),
        1 => Just(Step::Compact),
    ];
    prop::collection::vec(step, 1..14)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever is written, resent, flushed and merged in whatever order: each record once.
    #[test]
    fn each_record_is_shown_once(steps in steps(), streamed in any::<bool>(), scattered in any::<bool>()) {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1).enable_all().build().unwrap();
        runtime.block_on(async {
            let [memory, stream] = worlds();
            let world = if streamed { stream } else { memory };
            let mut sent: Vec<Record> = Vec::new();
            for step in steps {
                match step {
                    Step::Write(count) => {
                        let new = (0..count).map(|n| {
                            let ms = i64::from(n % 4) * DAY + i64::from(n);
                            let mut record = world.event(person(n % 5), "E", ms, "{}");
                            if let (true, Record::Event(event)) = (scattered, &mut record) {
                                let number = u128::from_be_bytes(event.id.0);
                                let id = number.wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835);
                                event.id = model::RecordId(id.to_be_bytes());
                            }
                            record
                        });
                        let new: Vec<Record> = new.collect();
                        sent.extend(new.iter().cloned());
                        world.write(new);
                    }
                    Step::Resend(numbers) if !sent.is_empty() => {
                        let old = numbers.iter().map(|it| &sent[usize::from(*it) % sent.len()]);
                        world.write(old.map(again).collect::<Vec<_>>());
                    }
                    Step::Resend(_) => {}
                    Step::Flush => world.flush().await,
                    Step::Compact => world.compact(Table::Events).await,
                }
                let expect = format!("[{{\"n\":{0},\"d\":{0}}}]", sent.len());
                let found = world
                    .sql("SELECT count(*) AS n, count(DISTINCT record_id) AS d FROM events")
                    .await;
                prop_assert_eq!(found, expect);
            }
            Ok(())
        })?;
    }
}
