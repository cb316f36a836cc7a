//! Records are found by their ids, with the time at which they first came.

use futures::TryStreamExt as _;
use model::Timestamp;
use model::record::{ChangeOp, Record};
use object_store::{ObjectStore as _, ObjectStoreExt as _};

use super::world::{DAY, HOUR, World, at, person, policy};
use crate::{Settings, Sought};

async fn check(world: &World, records: &[Record], after: Timestamp, expect: Option<Timestamp>) {
    let sought: Vec<Sought> = records.iter().map(Sought::of).collect();
    let policy = policy();
    let found = world.engine.received_after(&policy, &sought, after).await;
    assert_eq!(found.unwrap(), expect, "{sought:?} after {after}");
}

#[tokio::test]
async fn a_record_is_found_in_the_journal_and_in_parts_by_its_first_receipt() {
    let streamed = Settings {
        threads: 2,
        tail_bytes_max: 1,
        ..Settings::default()
    };
    for world in [World::new(), World::with(streamed)] {
        let event = world.event(person(1), "E", HOUR, "{}");
        let change = world.change(person(2), 2 * HOUR, &[("Plan", ChangeOp::Put, "1")]);
        let rejected = world.rejected(None, 3 * HOUR);
        let about_somebody = world.rejected(Some(person(3)), 4 * HOUR);
        let records = [event, change, rejected, about_somebody];
        let missing = world.event(person(1), "E", HOUR, "{}");
        world.write(records.iter().cloned());
        // In the journal, in parts, and in parts with a copy in the journal.
        for step in 0..3 {
            for (hour, record) in (1..).zip(&records) {
                let record = std::slice::from_ref(record);
                check(&world, record, at(0), Some(at(hour * HOUR))).await;
                check(&world, record, at(hour * HOUR), None).await;
            }
            check(&world, &records, at(0), Some(at(HOUR))).await;
            check(&world, &records, at(HOUR), Some(at(2 * HOUR))).await;
            check(&world, std::slice::from_ref(&missing), at(0), None).await;
            check(&world, &[], at(0), None).await;
            match step {
                0 => world.flush().await,
                _ => world.write(records.iter().map(again)),
            }
        }
    }
}

#[tokio::test]
async fn a_part_from_before_is_not_looked_at() {
    let world = World::new();
    let old = world.event(person(1), "E", HOUR, "{}");
    world.write([old.clone()]);
    // On the tenth day.
    world.flush().await;
    let objects: Vec<_> = world.store.list(None).try_collect().await.unwrap();
    assert!(!objects.is_empty());
    world.clock.set(at(12 * DAY));
    let new = world.event(person(2), "E", 12 * DAY, "{}");
    world.write([new.clone()]);
    world.flush().await;
    for object in objects {
        world.store.delete(&object.location).await.unwrap();
    }
    let later = at(11 * DAY + 1);
    let both = [old, new];
    check(&world, &both, later, Some(at(12 * DAY))).await;
    check(&world, &both[..1], later, None).await;
    // The clock may have gone back since: then it may have been received.
    let sought = both.each_ref().map(Sought::of);
    let found = world
        .engine
        .received_after(&policy(), &sought, at(11 * DAY))
        .await;
    found.unwrap_err();
}

/// The record as it comes again, nine hours later.
fn again(record: &Record) -> Record {
    let mut record = record.clone();
    let nine = std::time::Duration::from_hours(9);
    match &mut record {
        Record::Event(it) => it.received_at = it.received_at.plus(nine),
        Record::ProfileChange(it) => it.received_at = it.received_at.plus(nine),
        Record::Quarantined(it) => it.received_at = it.received_at.plus(nine),
        Record::Link(_) | Record::Request(_) => {}
    }
    record
}
