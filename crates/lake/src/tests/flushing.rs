//! Commits become parts: each record once, hidden people never, all or nothing.

use model::ErrorKind;
use model::catalog::{Catalog, Consumed};
use model::record::{Entry, Record, Table};
use model::{CommitId, WriterId};
use object_store::ObjectStoreExt as _;
use object_store::path::Path;
use std::sync::Arc;

use super::world::{DAY_MS, World, account, everyone, other_key, person, run, small, without};

#[test]
fn every_record_is_in_a_part_once() {
    run(async {
        let world = World::new(small());
        let mut records: Vec<Record> = (0..50)
            .map(|n| world.event(person(n), i64::from(n) * 1_000, "{\"n\":1}"))
            .collect();
        records.extend(world.others(person(1)));
        records.extend(records.clone());
        let report = world.flush(account(1), records, &everyone()).await.unwrap();
        assert_eq!((report.duplicates, report.suppressed), (55, 0));
        let mut counts = Vec::new();
        for table in Table::ALL {
            counts.push(world.keys(account(1), table).await.len());
        }
        assert_eq!(counts, [50, 2, 1, 1, 2]);
        let view = world.catalog.view(None, &Table::ALL).await.unwrap();
        assert_eq!(view.watermarks, [(WriterId { node: 1, start: 1 }, 1)]);
    });
}

#[test]
fn a_record_that_came_again_under_another_time_is_kept_once() {
    run(async {
        let world = World::new(small());
        let first = world.event(person(1), 0, "{}");
        let Record::Event(mut again) = first.clone() else {
            unreachable!()
        };
        again.ts = again.received_at.plus(std::time::Duration::from_secs(5));
        let between = world.event(person(1), 2_000, "{}");
        let records = vec![Record::Event(again), between, first];
        let report = world.flush(account(1), records, &everyone()).await.unwrap();
        assert_eq!((report.rows, report.duplicates), (2, 1));
    });
}

#[test]
fn hidden_people_reach_no_part() {
    run(async {
        let world = World::new(small());
        world.catalog.set_ledger(model::LedgerPosition(3));
        let mut records = vec![
            world.event(person(1), 0, "{}"),
            world.event(person(2), 0, "{}"),
        ];
        records.extend(world.others(person(1)));
        let keep = without(&[person(1)], 3);
        let report = world.flush(account(1), records, &keep).await.unwrap();
        // The event, the changes, the link that leads to the person, the quarantined record.
        assert_eq!(report.suppressed, 4);
        let events = world.keys(account(1), Table::Events).await;
        assert_eq!(events.len(), 1);
        assert_eq!(events[0].0.as_deref(), Some(&person(2).0[..]));
        assert!(world.parts(account(1), Table::Links).await.is_empty());
        assert_eq!(world.keys(account(1), Table::Quarantine).await.len(), 1);
    });
}

#[test]
fn a_link_from_a_hidden_device_is_left_out() {
    run(async {
        let world = World::new(small());
        let records = world.others(person(1));
        let keep = without(&[other_key(person(1))], 0);
        assert_eq!(
            world
                .flush(account(1), records, &keep)
                .await
                .unwrap()
                .suppressed,
            1
        );
    });
}

#[test]
fn a_moved_ledger_is_a_conflict_and_leaves_no_object() {
    run(async {
        let world = World::new(small());
        world.catalog.set_ledger(model::LedgerPosition(1));
        let records = vec![world.event(person(1), 0, "{}")];
        let error = world
            .flush(account(1), records.clone(), &everyone())
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Conflict);
        assert!(world.objects().await.is_empty());
        world
            .flush(account(1), records, &without(&[], 1))
            .await
            .unwrap();
        assert_eq!(world.objects().await.len(), 1);
    });
}

#[test]
fn an_unknown_outcome_deletes_nothing() {
    run(async {
        let world = World::new(small());
        world.catalog.fail_next(ErrorKind::Unavailable);
        let records = vec![world.event(person(1), 0, "{}")];
        let error = world
            .flush(account(1), records.clone(), &everyone())
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        // It had happened after all: the rows are readable, and doing it again conflicts.
        assert_eq!(world.keys(account(1), Table::Events).await.len(), 1);
        let error = world
            .flush(account(1), records, &everyone())
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Conflict);
        assert_eq!(world.objects().await.len(), 1);
    });
}

/// A world with one part, and the record in it.
async fn with_one_part() -> (World, Record, Path) {
    let world = World::new(small());
    let record = world.event(person(1), 0, "{}");
    world
        .flush(account(1), vec![record.clone()], &everyone())
        .await
        .unwrap();
    let part = &world.parts(account(1), Table::Events).await[0];
    let path = Path::from(part.path.as_str());
    (world, record, path)
}

#[test]
fn a_part_that_is_gone_stops_no_flush() {
    run(async {
        let (world, record, path) = with_one_part().await;
        world.store.delete(&path).await.unwrap();
        for rows in [1, 0] {
            let again = vec![record.clone()];
            let report = world.flush(account(1), again, &everyone()).await.unwrap();
            assert_eq!(report.rows, rows);
        }
    });
}

#[test]
fn a_part_of_other_bytes_stops_no_flush() {
    run(async {
        let (world, record, path) = with_one_part().await;
        let size = world.store.head(&path).await.unwrap().size;
        let other = vec![0_u8; usize::try_from(size).unwrap()];
        world.store.put(&path, other.into()).await.unwrap();
        let report = world
            .flush(account(1), vec![record], &everyone())
            .await
            .unwrap();
        assert_eq!(report.rows, 1);
    });
}

#[test]
fn a_flush_waits_for_a_part_unless_the_store_calls_it_lost() {
    run(async {
        let (mut world, record, _) = with_one_part().await;
        world.store.fail_gets();
        let again = vec![record];
        let error = world
            .flush(account(1), again.clone(), &everyone())
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        world.lake = world.lake.knowing_lost(|_| true);
        let report = world.flush(account(1), again, &everyone()).await.unwrap();
        assert_eq!(report.rows, 1);
    });
}

#[test]
fn a_flush_waits_for_a_part_that_the_store_does_not_find_for_now() {
    run(async {
        let (mut world, record, path) = with_one_part().await;
        world.lake = world.lake.knowing_lost(|_| false);
        world.store.delete(&path).await.unwrap();
        let flushed = world.flush(account(1), vec![record], &everyone()).await;
        assert_eq!(flushed.unwrap_err().kind(), ErrorKind::NotFound);
    });
}

#[test]
fn while_the_catalog_fails_no_more_objects_are_left() {
    run(async {
        let world = World::new(small());
        for _ in 0..3 {
            world.catalog.fail_next(ErrorKind::Unavailable);
            let records = vec![world.event(person(1), 0, "{}")];
            let flushed = world.flush(account(1), records, &everyone()).await;
            assert_eq!(flushed.unwrap_err().kind(), ErrorKind::Unavailable);
            assert_eq!(world.objects().await.len(), 1);
        }
    });
}

#[test]
fn a_failing_store_publishes_nothing_and_leaves_nothing() {
    run(async {
        for after in 0..6 {
            let world = World::new(small());
            let mut records = vec![world.event(person(1), 0, "{}")];
            records.extend(world.others(person(1)));
            world.store.fail_put(after);
            let result = world.flush(account(1), records.clone(), &everyone()).await;
            if after < 5 {
                assert_eq!(result.unwrap_err().kind(), ErrorKind::Unavailable);
                assert!(world.objects().await.is_empty());
                assert_eq!(world.catalog.publications(), 0);
                world.store.heal();
                world.flush(account(1), records, &everyone()).await.unwrap();
            }
            assert_eq!(world.objects().await.len(), 5);
        }
    });
}

#[test]
fn busy_days_get_parts_of_their_own_and_the_rest_is_mixed() {
    run(async {
        let world = World::new(small());
        let at = |day: i64, n: u8| world.event(person(n), day * DAY_MS + i64::from(n), "{}");
        let mut records: Vec<Record> = (0..25).map(|n| at(0, n)).collect();
        records.extend((1..8).map(|day| at(day, 7)));
        world.flush(account(1), records, &everyone()).await.unwrap();
        let mut parts: Vec<_> = world.parts(account(1), Table::Events).await;
        parts.sort_by_key(|it| it.rows);
        let shape: Vec<_> = parts.iter().map(|it| (it.day.is_some(), it.rows)).collect();
        assert_eq!(shape, [(false, 7), (true, 25)]);
        assert!(parts[0].path.starts_with("lake/A-1/events/mixed/"));
        assert!(
            parts[1].path.starts_with("lake/A-1/events/2026-11-02/"),
            "{}",
            parts[1].path
        );
    });
}

#[test]
fn a_thousand_small_accounts_make_a_part_each() {
    run(async {
        let world = World::new(small());
        let entry = |n: usize| {
            let record = world.event(person(3), (n as i64 % 9) * DAY_MS, "{\"a\":1}");
            Entry {
                account: account(n % 1_000),
                record,
            }
        };
        let report = world
            .flush_entries((0..9_000).map(entry).collect(), &everyone())
            .await
            .unwrap();
        assert_eq!((report.parts, report.rows), (1_000, 9_000));
        assert_eq!(world.catalog.publications(), 1);
    });
}

#[test]
fn a_large_day_is_split_in_parts_that_follow_each_other() {
    run(async {
        let world = World::new(crate::Settings {
            part_bytes_max: 1,
            ..small()
        });
        let records = (0..20_000_i64).map(|n| {
            let of = person(u8::try_from(n % 251).unwrap());
            world.event(of, n, "{\"a\":1}")
        });
        let report = world
            .flush(account(1), records.collect(), &everyone())
            .await
            .unwrap();
        assert_eq!((report.parts, report.rows), (3, 20_000));
        let mut parts = world.parts(account(1), Table::Events).await;
        parts.sort_by_key(|it| it.person_min);
        assert!(
            parts
                .windows(2)
                .all(|it| it[0].person_max <= it[1].person_min)
        );
    });
}

#[test]
fn a_flush_of_nothing_moves_the_watermark() {
    run(async {
        let world = World::new(small());
        let report = world
            .flush(account(1), Vec::new(), &everyone())
            .await
            .unwrap();
        assert_eq!(report.parts, 0);
        assert_eq!(
            world.catalog.view(None, &[]).await.unwrap().watermarks[0].1,
            1
        );
    });
}

#[test]
fn commits_outside_of_what_is_consumed_are_refused() {
    run(async {
        let world = World::new(small());
        let writer = WriterId { node: 1, start: 1 };
        let commit = (CommitId { writer, number: 2 }, Arc::new(Vec::new()));
        let consumed = vec![Consumed {
            writer,
            from: 0,
            to: 1,
        }];
        let error = world
            .lake
            .flush(vec![commit], consumed, everyone())
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Internal);
    });
}

/// `record` as it comes again: with its id, received later.
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

fn with_id(record: Record, id: model::RecordId) -> Record {
    let mut record = record;
    match &mut record {
        Record::Event(it) => it.id = id,
        Record::ProfileChange(it) => it.id = id,
        Record::Quarantined(it) => it.id = id,
        Record::Link(it) => it.id = id,
        Record::Request(it) => it.id = id,
    }
    record
}

/// Events of some people and days, with ids that are counted or made from content.
fn some(world: &World, rows: u8, scattered: bool) -> Vec<Record> {
    let records = (0..rows).map(|n| {
        let ms = i64::from(n % 3) * DAY_MS + i64::from(n);
        let record = world.event(person(n % 7), ms, "{\"n\":1}");
        if scattered {
            let number = u128::from(n) + 1;
            let id = number.wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835);
            with_id(record, model::RecordId(id.to_be_bytes()))
        } else {
            record
        }
    });
    records.collect()
}

#[test]
fn a_record_that_is_in_a_part_is_not_written_again() {
    for scattered in [false, true] {
        run(async {
            let world = World::new(small());
            let mut first = some(&world, 200, scattered);
            first.extend(world.others(person(1)));
            let flush = async |records| {
                let report = world.flush(account(1), records, &everyone()).await;
                report.unwrap()
            };
            assert_eq!(flush(first.clone()).await.duplicates, 0);
            // Half of them come again, a few new ones in between.
            let half = first.iter().step_by(2).map(again);
            let new = some(&world, 210, scattered).split_off(200);
            let mut second: Vec<Record> = half.collect();
            let repeated = second.iter().filter(|it| it.table() != Table::Requests);
            let repeated = repeated.count() as u64;
            second.retain(|it| it.table() != Table::Requests);
            second.extend(new);
            let report = flush(second).await;
            assert_eq!((report.duplicates, report.rows), (repeated, 10));
            // And once more, after a merge.
            world.compact(account(1), Table::Events).await;
            let report = flush(first[..200].iter().map(again).collect()).await;
            assert_eq!((report.duplicates, report.rows), (200, 0));
            assert_eq!(world.keys(account(1), Table::Events).await.len(), 210);
            // Another account may have the same ids.
            let keep = everyone();
            let report = world.flush(account(2), first[..200].to_vec(), &keep);
            assert_eq!(report.await.unwrap().duplicates, 0);
        });
    }
}

#[test]
fn a_record_that_was_ahead_of_the_clock_is_known_under_either_time() {
    run(async {
        let world = World::new(small());
        let Record::Event(mut ahead) = world.event(person(1), 0, "{}") else {
            unreachable!()
        };
        let mut in_time = ahead.clone();
        in_time.ts = ahead.ts.plus(std::time::Duration::from_hours(30));
        ahead.ts_sent = Some(in_time.ts);
        let both = [Record::Event(ahead), Record::Event(in_time)];
        let flush = async |record: &Record| {
            let keep = everyone();
            let report = world.flush(account(1), vec![record.clone()], &keep);
            report.await.unwrap().rows
        };
        assert_eq!((flush(&both[0]).await, flush(&both[1]).await), (1, 0));
        let other = both.map(|it| with_id(it, model::RecordId([9; 16])));
        assert_eq!((flush(&other[1]).await, flush(&other[0]).await), (1, 0));
    });
}

#[test]
fn a_record_without_a_time_of_its_own_is_known_though_it_was_received_later() {
    run(async {
        let world = World::new(small());
        let flush = async |record: Record| {
            let report = world.flush(account(1), vec![record], &everyone()).await;
            let report = report.unwrap();
            (report.rows, report.duplicates)
        };
        let at = |ms| model::Timestamp::from_ms(super::world::MONDAY + ms);
        // Nobody named the time: it is that of the receipt, each time.
        let record = with_id(world.event(person(1), 0, "{}"), model::RecordId([9; 16]));
        let Record::Event(mut later) = record.clone() else {
            unreachable!()
        };
        (later.ts, later.received_at) = (at(120_000), at(120_000));
        assert_eq!(flush(record).await, (1, 0));
        assert_eq!(flush(Record::Event(later)).await, (0, 1));
        // The second of the receipt was named: it is not that second any more.
        let record = world.others(person(1)).swap_remove(0);
        let Record::ProfileChange(mut first) = with_id(record, model::RecordId([8; 16])) else {
            unreachable!()
        };
        let mut later = first.clone();
        (first.ts, first.received_at) = (at(700), at(700));
        (later.ts, later.received_at) = (at(0), at(120_000));
        assert_eq!(flush(Record::ProfileChange(first)).await, (2, 0));
        assert_eq!(flush(Record::ProfileChange(later)).await, (0, 1));
    });
}

#[test]
fn ids_that_were_counted_up_are_looked_for_at_their_own_time_alone() {
    let writer = WriterId { node: 1, start: 1 };
    let at = |ms| model::Timestamp::from_ms(super::world::MONDAY + ms);
    let counted = model::RecordIds::new(writer).batch()(0);
    let times = |id, ts| crate::Probe::times(writer, id, at(ts), at(5_000));
    assert_eq!(times(counted, 5_000), (at(4_000), at(6_000)));
    let made = model::RecordId([9; 16]);
    assert_eq!(times(made, 2_000), (at(1_000), at(3_000)));
    let day = (at(5_000 - DAY_MS), at(5_000 + DAY_MS));
    assert_eq!(times(made, 5_000), day);
}
