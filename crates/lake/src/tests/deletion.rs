//! Rows of deleted people and rows past their retention leave the parts that hold them.

use model::catalog::Catalog;
use model::record::{Record, Table};
use model::{ErrorKind, LedgerPosition, PersonKey, Timestamp};

use super::world::{
    DAY_MS, MONDAY, World, account, everyone, other_key, person, run, small, without,
};

/// Ten flushes; the person 1 is in the third and the seventh of them.
async fn filled() -> World {
    let world = World::new(small());
    for n in 0_u8..10 {
        let mut records: Vec<Record> = (10..15)
            .map(|k| world.event(person(k), i64::from(n), "{\"a\":1}"))
            .collect();
        records.extend(world.others(person(20 + n)));
        if n == 3 || n == 7 {
            records.push(world.event(person(1), i64::from(n), "{\"secret\":\"x\"}"));
            records.extend(world.others(person(1)));
        }
        world.flush(account(1), records, &everyone()).await.unwrap();
    }
    world.catalog.set_ledger(LedgerPosition(1));
    world
}

async fn rows(world: &World) -> Vec<usize> {
    let mut rows = Vec::new();
    for table in Table::ALL {
        rows.push(world.keys(account(1), table).await.len());
    }
    rows
}

#[test]
fn every_row_that_names_the_person_is_gone_and_no_other() {
    run(async {
        let world = filled().await;
        assert_eq!(rows(&world).await, [52, 24, 12, 12, 24]);
        let keys = [person(1), other_key(person(1))];
        let keep = without(&keys, 1);
        let report = world
            .lake
            .rewrite(account(1), &Table::ALL, &keys, keep)
            .await
            .unwrap();
        assert!(report.complete);
        assert_eq!(report.searched, 50);
        assert_eq!((report.replaced.len(), report.added.len()), (8, 8));
        let removed: Vec<_> = report.rows_removed.into_iter().collect();
        let expected = [
            (Table::Events, 2),
            (Table::ProfileChanges, 4),
            (Table::Links, 2),
            (Table::Quarantine, 2),
        ];
        assert_eq!(removed, expected);
        assert_eq!(rows(&world).await, [50, 20, 10, 12, 22]);
        for part in world.parts(account(1), Table::Events).await {
            assert!(
                !part.columns.contains(&String::from("p:s:secret")),
                "its columns go too"
            );
            let bytes = world.lake.fetch(&part).await.unwrap();
            assert!(
                !bytes.windows(6).any(|it| it == b"secret"),
                "its keys go from the bytes"
            );
        }
    });
}

/// What publications have left out so far: table, whom it names, rows, replaced parts.
fn left_out(world: &World) -> Vec<(Table, [Option<PersonKey>; 2], u64, usize)> {
    let all = world.catalog.left_out().into_iter();
    let mut found: Vec<_> = all
        .flat_map(|it| {
            let (table, parts) = (it.table, it.parts.len());
            let rows = it.rows.into_iter();
            rows.map(move |(named, rows)| (table, named, rows, parts))
        })
        .collect();
    found.sort_unstable();
    found
}

#[test]
fn a_publication_says_what_it_leaves_out_for_whom() {
    run(async {
        let world = World::new(small());
        let whole = [Some(person(1)), None];
        // Of parts: a link that names two hidden people is one row; who is seen is nobody's count.
        let records = [world.others(person(1)), world.others(person(2))].concat();
        world.flush(account(1), records, &everyone()).await.unwrap();
        let hidden = [person(1), other_key(person(1))];
        let keep = without(&hidden, 0);
        world
            .lake
            .rewrite(account(1), &Table::ALL, &hidden, keep)
            .await
            .unwrap();
        let both = [Some(other_key(person(1))), Some(person(1))];
        let of_parts = vec![
            (Table::ProfileChanges, whole, 2, 1),
            (Table::Links, both, 1, 1),
            (Table::Quarantine, whole, 1, 1),
        ];
        assert_eq!(left_out(&world), of_parts);
        // Of the journal: nothing was replaced.
        let records = (0..3).map(|n| world.event(person(1), n, "{}"));
        let keep = without(&[person(1)], 0);
        let flushed = world.flush(account(1), records.collect(), &keep).await;
        assert_eq!(flushed.unwrap().suppressed, 3);
        let expected = [vec![(Table::Events, whole, 3, 0)], of_parts].concat();
        assert_eq!(left_out(&world), expected);
    });
}

#[test]
fn what_a_merge_leaves_out_was_in_any_of_its_parts() {
    run(async {
        let world = World::new(small());
        for n in 0..4 {
            let records = vec![
                world.event(person(1), n, "{}"),
                world.event(person(2), n, "{}"),
            ];
            world.flush(account(1), records, &everyone()).await.unwrap();
        }
        let keep = without(&[person(2)], 0);
        let merged = world.lake.compact(account(1), Table::Events, keep).await;
        assert_eq!(merged.unwrap().hidden, 4);
        let named = [Some(person(2)), None];
        assert_eq!(left_out(&world), [(Table::Events, named, 4, 4)]);
    });
}

#[test]
fn a_link_is_found_by_the_key_that_it_leads_to() {
    run(async {
        let world = filled().await;
        let keep = without(&[person(1)], 1);
        let report = world
            .lake
            .rewrite(account(1), &[Table::Links], &[person(1)], keep)
            .await
            .unwrap();
        assert_eq!(report.rows_removed.get(&Table::Links), Some(&2));
    });
}

#[test]
fn a_second_rewrite_finds_nothing() {
    run(async {
        let world = filled().await;
        for expected in [2, 0] {
            let keep = without(&[person(1)], 1);
            let report = world
                .lake
                .rewrite(account(1), &[Table::Events], &[person(1)], keep)
                .await
                .unwrap();
            assert_eq!((report.replaced.len(), report.complete), (expected, true));
        }
    });
}

#[test]
fn a_part_of_nothing_but_the_person_is_dropped() {
    run(async {
        let world = World::new(small());
        world
            .flush(
                account(1),
                vec![world.event(person(1), 0, "{}")],
                &everyone(),
            )
            .await
            .unwrap();
        let keep = without(&[person(1)], 0);
        let report = world
            .lake
            .rewrite(account(1), &[Table::Events], &[person(1)], keep)
            .await
            .unwrap();
        assert_eq!((report.replaced.len(), report.added.len()), (1, 0));
        assert!(world.parts(account(1), Table::Events).await.is_empty());
    });
}

#[test]
fn other_accounts_are_not_touched() {
    run(async {
        let world = World::new(small());
        for n in 1..3 {
            world
                .flush(
                    account(n),
                    vec![world.event(person(1), 0, "{}")],
                    &everyone(),
                )
                .await
                .unwrap();
        }
        let keep = without(&[person(1)], 0);
        world
            .lake
            .rewrite(account(1), &Table::ALL, &[person(1)], keep)
            .await
            .unwrap();
        assert_eq!(world.keys(account(2), Table::Events).await.len(), 1);
    });
}

#[test]
fn a_moved_ledger_stops_the_rewrite_and_leaves_no_object() {
    run(async {
        let world = filled().await;
        let objects = world.objects().await.len();
        let keep = without(&[person(1)], 0);
        let error = world
            .lake
            .rewrite(account(1), &Table::ALL, &[person(1)], keep)
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Conflict);
        assert_eq!(world.objects().await.len(), objects);
    });
}

#[test]
fn a_lost_part_is_an_error_and_not_a_clean_search() {
    run(async {
        let world = filled().await;
        let part = &world.parts(account(1), Table::Links).await[0];
        let path = object_store::path::Path::from(part.path.as_str());
        object_store::ObjectStoreExt::delete(&*world.store, &path)
            .await
            .unwrap();
        let keep = without(&[person(1)], 1);
        let error = world
            .lake
            .rewrite(account(1), &Table::ALL, &[person(1)], keep)
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound);
        let events = world.keys(account(1), Table::Events).await;
        assert_eq!(events.len(), 50, "what can be read is rewritten");
    });
}

#[test]
fn old_rows_expire_whole_parts_first() {
    run(async {
        let world = World::new(small());
        for day in 0..4 {
            let records = (0..4)
                .map(|n| world.event(person(n), day * DAY_MS + i64::from(n), "{}"))
                .collect();
            world.flush(account(1), records, &everyone()).await.unwrap();
        }
        let across = vec![
            world.event(person(1), DAY_MS, "{}"),
            world.event(person(1), 3 * DAY_MS, "{}"),
        ];
        world.flush(account(1), across, &everyone()).await.unwrap();
        let before = Timestamp::from_ms(MONDAY + 2 * DAY_MS);
        let report = world
            .lake
            .expire(account(1), Table::Events, before, everyone())
            .await
            .unwrap();
        assert_eq!(
            (report.dropped, report.rewritten, report.rows_removed),
            (2, 1, 9)
        );
        let keys = world.keys(account(1), Table::Events).await;
        assert_eq!(keys.len(), 9);
        assert!(keys.iter().all(|it| it.1 >= before.ms()));
        let again = world
            .lake
            .expire(account(1), Table::Events, before, everyone())
            .await
            .unwrap();
        assert_eq!(
            (again.dropped, again.rewritten, again.complete),
            (0, 0, true)
        );
    });
}

#[test]
fn expiry_goes_on_past_one_publication() {
    run(async {
        let world = World::new(small());
        for n in 0..70 {
            world
                .flush(
                    account(1),
                    vec![world.event(person(1), n, "{}")],
                    &everyone(),
                )
                .await
                .unwrap();
        }
        let before = Timestamp::from_ms(MONDAY + DAY_MS);
        let publications = world.catalog.publications();
        let report = world
            .lake
            .expire(account(1), Table::Events, before, everyone())
            .await
            .unwrap();
        assert_eq!((report.dropped, report.rows_removed), (70, 70));
        assert_eq!(world.catalog.publications(), publications + 3);
        assert!(
            world
                .catalog
                .view(None, &Table::ALL)
                .await
                .unwrap()
                .parts
                .is_empty()
        );
    });
}

#[test]
fn an_expiry_that_fails_reports_first_what_it_removed() {
    run(async {
        let world = World::new(small());
        let across = vec![
            world.event(person(1), 0, "{}"),
            world.event(person(1), 2 * DAY_MS, "{}"),
        ];
        world.flush(account(1), across, &everyone()).await.unwrap();
        let part = &world.parts(account(1), Table::Events).await[0];
        let path = object_store::path::Path::from(part.path.as_str());
        for n in 0..40 {
            let old = vec![world.event(person(1), n, "{}")];
            world.flush(account(1), old, &everyone()).await.unwrap();
        }
        object_store::ObjectStoreExt::delete(&*world.store, &path)
            .await
            .unwrap();
        let before = Timestamp::from_ms(MONDAY + DAY_MS);
        let expire = || {
            world
                .lake
                .expire(account(1), Table::Events, before, everyone())
        };
        let report = expire().await.unwrap();
        assert_eq!((report.rows_removed, report.complete), (40, false));
        let error = expire().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound);
        assert_eq!(world.parts(account(1), Table::Events).await.len(), 1);
    });
}

#[test]
fn nobody_asked_for_is_searched_by_bounds_alone() {
    run(async {
        let world = filled().await;
        let keep = without(&[], 1);
        let absent = PersonKey([0xee; 16]);
        let report = world
            .lake
            .rewrite(account(1), &Table::ALL, &[absent], keep)
            .await
            .unwrap();
        assert_eq!((report.replaced.len(), report.searched), (0, 50));
    });
}
