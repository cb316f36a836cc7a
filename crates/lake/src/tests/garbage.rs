//! Only what nobody names is deleted, and only when it is old.

use model::Timestamp;
use model::catalog::Catalog;
use model::record::Table;
use object_store::ObjectStoreExt;
use object_store::path::Path;
use std::time::Duration;

use super::world::{World, account, everyone, person, run, small};

const LATE: Timestamp = Timestamp::from_ms(i64::MAX);

/// Four parts merged into one; `clock` is what the lake believes the time to be.
async fn merged(clock: Timestamp) -> World {
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
    world.compact(account(1), Table::Events).await;
    world.clock.set(clock);
    world
}

#[test]
fn replaced_parts_go_when_they_are_due() {
    run(async {
        let world = merged(Timestamp::from_ms(0)).await;
        let replaced_at = world.parts(account(1), Table::Events).await[0].created_at;
        let report = world.lake.collect_garbage(replaced_at).await.unwrap();
        assert_eq!((report.collected, report.orphans), (0, 0));
        let due = replaced_at.plus(Duration::from_secs(1));
        let report = world.lake.collect_garbage(due).await.unwrap();
        assert_eq!(
            (report.collected, report.orphans, report.paths.len()),
            (4, 0, 4)
        );
        assert_eq!(world.objects().await.len(), 1);
        assert!(world.catalog.garbage(LATE).await.unwrap().is_empty());
        assert_eq!(world.keys(account(1), Table::Events).await.len(), 4);
    });
}

#[test]
fn collecting_goes_on_where_a_crash_left_it() {
    run(async {
        let world = merged(Timestamp::from_ms(0)).await;
        // Objects deleted, rows not yet forgotten.
        for part in world.catalog.garbage(LATE).await.unwrap().iter().take(2) {
            world
                .store
                .delete(&Path::from(part.path.as_str()))
                .await
                .unwrap();
        }
        assert_eq!(world.lake.collect_garbage(LATE).await.unwrap().collected, 4);
        assert_eq!(world.objects().await.len(), 1);
    });
}

#[test]
fn objects_that_no_list_names_go_when_they_are_old() {
    run(async {
        // Objects in memory bear the machine's time, which lies between these two.
        for (now, orphans) in [(0, 0), (4_000_000_000_000, 1)] {
            let world = merged(Timestamp::from_ms(now)).await;
            let orphan = Path::from("lake/A-1/events/mixed/00.parquet");
            world.store.put(&orphan, "x".into()).await.unwrap();
            world
                .store
                .put(&Path::from("journal/1/1"), "x".into())
                .await
                .unwrap();
            let report = world
                .lake
                .collect_garbage(Timestamp::from_ms(0))
                .await
                .unwrap();
            assert_eq!((report.collected, report.orphans), (0, orphans));
            let left = world.objects().await;
            // The live part, the four replaced ones that are not due, the journal's, the orphan.
            assert_eq!(left.len(), 7 - orphans);
            assert!(left.contains(&String::from("journal/1/1")));
        }
    });
}

#[test]
fn everything_that_is_not_live_goes_whatever_the_clock_says() {
    run(async {
        // The clock stands before the parts were replaced and the orphan was written.
        let world = merged(Timestamp::from_ms(0)).await;
        let orphan = Path::from("lake/A-1/events/mixed/00.parquet");
        world.store.put(&orphan, "x".into()).await.unwrap();
        let report = world.lake.collect_everything().await.unwrap();
        assert_eq!((report.collected, report.orphans), (4, 1));
        assert_eq!(report.paths.len(), 5);
        assert_eq!(world.objects().await.len(), 1);
        assert_eq!(world.keys(account(1), Table::Events).await.len(), 4);
    });
}
