//! Parts stay few, and merging changes nothing but their number.

use model::ErrorKind;
use model::catalog::Catalog;
use model::record::{Entry, Record, Table};
use model::{Day, RawJson};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::world::{DAY_MS, World, account, everyone, person, run, small, without};
use crate::compact::cut;
use crate::{PropertyReader, Settings, merge};

#[test]
fn many_flushes_end_in_few_parts_with_the_same_rows() {
    run(async {
        for table in Table::ALL {
            let world = World::new(small());
            for n in 0_u8..60 {
                let mut records: Vec<Record> = (0..n % 7)
                    .map(|k| world.event(person(k), i64::from(n) * 7_000_000, "{\"n\":2}"))
                    .collect();
                records.extend(world.others(person(n % 11)));
                world.flush(account(1), records, &everyone()).await.unwrap();
            }
            let before = world.keys(account(1), table).await;
            let parts = world.parts(account(1), table).await.len();
            assert!(world.compact(account(1), table).await > 0);
            assert_eq!(world.keys(account(1), table).await, before, "{table:?}");
            let after = world.parts(account(1), table).await;
            assert!(
                after.len() <= 16,
                "{table:?}: {parts} parts became {}",
                after.len()
            );
        }
    });
}

#[test]
fn compaction_while_data_comes_keeps_parts_few_and_writes_little() {
    run(async {
        let world = World::new(small());
        let mut written = 0;
        for n in 0_i64..200 {
            let records = (0..6).map(|k| world.event(person(k), n * 1_000 + i64::from(k), "{}"));
            world
                .flush(account(1), records.collect(), &everyone())
                .await
                .unwrap();
            loop {
                let report = world
                    .lake
                    .compact(account(1), Table::Events, everyone())
                    .await
                    .unwrap();
                written += report.rows;
                if report.merged == 0 {
                    break;
                }
            }
            assert!(world.parts(account(1), Table::Events).await.len() <= 8);
        }
        assert_eq!(world.keys(account(1), Table::Events).await.len(), 1_200);
        assert!(
            written < 1_200 * 60,
            "{written} rows were written for 1,200"
        );
    });
}

#[test]
fn records_that_two_parts_hold_are_merged_into_one() {
    run(async {
        let world = World::new(small());
        let record = world.event(person(1), 0, "{\"a\":1}");
        for _ in 0..4 {
            let entry = Entry {
                account: account(1),
                record: record.clone(),
            };
            world.flush_blindly(vec![entry]).await;
        }
        let report = world
            .lake
            .compact(account(1), Table::Events, everyone())
            .await
            .unwrap();
        assert_eq!((report.merged, report.rows, report.duplicates), (4, 1, 3));
    });
}

#[test]
fn texts_that_repeat_are_read_in_batches_of_bounded_memory() {
    run(async {
        let world = World::new(Settings::default());
        let properties = format!("{{\"note\":\"{}\"}}", "x".repeat(10_000));
        let records = (0..2_000).map(|n| world.event(person(1), n, &properties));
        world
            .flush(account(1), records.collect(), &everyone())
            .await
            .unwrap();
        let part = &world.parts(account(1), Table::Events).await[0];
        assert!(part.size_bytes < 1024 * 1024, "the text is stored once");
        let bytes = world.lake.fetch(part).await.unwrap();
        let opened = crate::part::open(&part.path, bytes.clone()).unwrap();
        let mut rows = 0;
        for batch in merge::read_rows(&part.path, bytes, opened.schema()).unwrap() {
            let batch = batch.unwrap();
            rows += batch.num_rows();
            // Buffers may have grown to twice of what is in them.
            let size = batch.get_array_memory_size();
            assert!(size < 3 * merge::INPUT_BATCH_BYTES, "{size} bytes");
        }
        assert_eq!(rows, 2_000);
    });
}

#[test]
fn hidden_people_do_not_survive_a_merge() {
    run(async {
        let world = World::new(small());
        for n in 0..4 {
            let records = vec![
                world.event(person(1), n, "{}"),
                world.event(person(2), n, "{}"),
            ];
            world.flush(account(1), records, &everyone()).await.unwrap();
        }
        world.catalog.set_ledger(model::LedgerPosition(1));
        let stale = world
            .lake
            .compact(account(1), Table::Events, everyone())
            .await
            .unwrap_err();
        assert_eq!(stale.kind(), ErrorKind::Conflict);
        let objects = world.objects().await.len();
        assert_eq!(objects, 4, "the conflict's parts are deleted again");
        let keep = without(&[person(2)], 1);
        let report = world
            .lake
            .compact(account(1), Table::Events, keep)
            .await
            .unwrap();
        assert_eq!((report.hidden, report.rows), (4, 4));
    });
}

#[test]
fn a_day_that_is_over_ends_as_one_part() {
    run(async {
        let world = World::new(small());
        for n in 0_u8..3 {
            let records = (0..30).map(|k| world.event(person(k), i64::from(n), "{\"a\":true}"));
            world
                .flush(account(1), records.collect(), &everyone())
                .await
                .unwrap();
        }
        assert_eq!(world.compact(account(1), Table::Events).await, 0);
        world.clock.advance(Duration::from_secs(2 * 60 * 60));
        assert_eq!(world.compact(account(1), Table::Events).await, 1);
        let parts = world.parts(account(1), Table::Events).await;
        assert_eq!(
            parts
                .iter()
                .map(|it| (it.day.is_some(), it.rows))
                .collect::<Vec<_>>(),
            [(true, 90)]
        );
    });
}

#[test]
fn a_merge_that_makes_no_fewer_parts_is_given_up() {
    run(async {
        let world = World::new(Settings {
            part_raw_bytes_max: 1,
            ..small()
        });
        for n in 0_u8..3 {
            let records = (0..10_000).map(|ms| world.event(person(n), ms, "{}"));
            world
                .flush(account(1), records.collect(), &everyone())
                .await
                .unwrap();
        }
        world.clock.advance(Duration::from_secs(2 * 60 * 60));
        world.compact(account(1), Table::Events).await;
        let live = world.parts(account(1), Table::Events).await.len();
        assert!((2..6).contains(&live), "{live} parts");
        assert_eq!(world.keys(account(1), Table::Events).await.len(), 30_000);
        let replaced = world
            .catalog
            .garbage(model::Timestamp::from_ms(i64::MAX))
            .await
            .unwrap();
        assert_eq!(
            world.objects().await.len(),
            live + replaced.len(),
            "no object is unknown"
        );
    });
}

#[test]
fn mixed_parts_are_cut_into_days_when_there_is_enough() {
    run(async {
        let world = World::new(small());
        for n in 0_u8..16 {
            let of_day = |day: i64| world.event(person(n), day * DAY_MS + i64::from(n), "{}");
            let records = (0..30)
                .map(of_day)
                .chain((0..3).map(|_| of_day(4)))
                .collect();
            world.flush(account(1), records, &everyone()).await.unwrap();
        }
        world.compact(account(1), Table::Events).await;
        let parts = world.parts(account(1), Table::Events).await;
        assert!(parts.iter().all(|it| it.rows >= 20), "each is worth a file");
        let days = |it: &model::catalog::PartMeta| it.ts_max.day().0 - it.ts_min.day().0 + 1;
        let widest = parts.iter().map(|it| days(it)).max().unwrap();
        assert!(
            widest < 30,
            "no part spans everything, the widest has {widest} days"
        );
    });
}

#[test]
fn columns_beyond_the_limit_move_to_overflow_when_parts_merge() {
    run(async {
        let world = World::new(small());
        let object = |part: usize| {
            let members: Vec<String> = (0..400)
                .map(|n| format!("\"p{}\":{n}", part * 400 + n))
                .collect();
            format!("{{{},\"all\":\"é\"}}", members.join(","))
        };
        for part in 0..4 {
            let records = vec![world.event(person(1), part as i64, &object(part))];
            world.flush(account(1), records, &everyone()).await.unwrap();
        }
        assert_eq!(world.compact(account(1), Table::Events).await, 1);
        let read = world.read(account(1), Table::Events).await;
        let (meta, batches) = &read[0];
        assert_eq!(
            meta.columns.len(),
            1_001,
            "a thousand columns and the overflow"
        );
        let reader = PropertyReader::new(&batches[0]).unwrap();
        for row in 0..4 {
            for n in 0..400 {
                let value = reader.value(row, &format!("p{}", row * 400 + n));
                assert_eq!(value, RawJson::parse(&n.to_string()).ok());
            }
            assert_eq!(reader.value(row, "all").unwrap().as_str(), "\"é\"");
            let back: BTreeMap<String, serde_json::Value> =
                serde_json::from_str(reader.object(row).as_str()).unwrap();
            assert_eq!(back.len(), 401);
        }
    });
}

#[test]
fn a_merge_that_a_merge_forestalled_is_a_conflict() {
    run(async {
        let world = World::new(small());
        for n in 0..4 {
            world
                .flush(
                    account(1),
                    vec![world.event(person(1), n, "{}")],
                    &everyone(),
                )
                .await
                .unwrap();
        }
        let once = world.lake.compact(account(1), Table::Events, everyone());
        let twice = world.lake.compact(account(1), Table::Events, everyone());
        let (once, twice) = futures::join!(once, twice);
        let failed: Vec<_> = [&once, &twice]
            .into_iter()
            .filter_map(|it| it.as_ref().err())
            .collect();
        assert_eq!(
            failed.iter().map(|it| it.kind()).collect::<Vec<_>>(),
            [ErrorKind::Conflict]
        );
        assert_eq!(world.keys(account(1), Table::Events).await.len(), 4);
        let live = world
            .catalog
            .view(None, &Table::ALL)
            .await
            .unwrap()
            .parts
            .len();
        let replaced = world
            .catalog
            .garbage(model::Timestamp::from_ms(i64::MAX))
            .await
            .unwrap()
            .len();
        assert_eq!(
            world.objects().await.len(),
            live + replaced,
            "no object is unknown"
        );
    });
}

proptest! {
    #[test]
    fn every_day_goes_to_one_output_that_is_worth_a_part(
        days in prop::collection::btree_map(0_i32..400, 1_u64..60, 0..100),
        outputs_max in 1_usize..20,
    ) {
        let days: BTreeMap<Day, u64> = days.into_iter().map(|(day, rows)| (Day(day), rows)).collect();
        let routes = cut(&days, outputs_max, &small());
        let mut rows = vec![0; routes.outputs.len()];
        for (day, count) in &days {
            rows[routes.by_day[day]] += count;
        }
        for (output, day) in routes.outputs.iter().enumerate() {
            let of_output: BTreeSet<_> =
                routes.by_day.iter().filter(|it| *it.1 == output).map(|it| *it.0).collect();
            if let Some(day) = day {
                prop_assert_eq!(of_output, BTreeSet::from([*day]));
            }
        }
        let poor = rows.iter().filter(|it| **it < 20).count();
        prop_assert!(poor <= 1, "only the days in between big ones may be few together: {:?}", rows);
        prop_assert!(routes.outputs.len() <= 2 * outputs_max + 1);
    }
}
