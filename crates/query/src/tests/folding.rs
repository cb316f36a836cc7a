//! Merging parts leaves out changes that say nothing any more, and changes nobody's profile.

use model::record::{ChangeOp, LinkKind, Record, Table};
use model::{Random, SeededRandom};

use super::world::{DAY, World, person, policy};
use crate::{Lookup, PersonView};

/// Long enough ago to be no history any more.
const LONG_AGO: i64 = -60 * DAY;

async fn portrait(world: &World, n: u8) -> Option<PersonView> {
    let lookup = Lookup::Key(person(n));
    world.engine.profile(&policy(), &lookup).await.unwrap()
}

async fn rows(world: &World) -> String {
    world.sql("SELECT count(*) AS n FROM profile_changes").await
}

fn named(world: &World, n: u8, kind: &str) -> Record {
    let text = format!("\"{n}\"");
    world.change(person(n), LONG_AGO, &[(kind, ChangeOp::Identify, &text)])
}

#[tokio::test]
async fn a_long_history_becomes_short_and_says_the_same() {
    let world = World::new();
    world.write([named(&world, 1, "identity"), named(&world, 2, "objectId")]);
    for round in 0..8 {
        for n in [1, 2] {
            world.write((0..50).map(|step| {
                let value = (round * 50 + step).to_string();
                let steps = [
                    ("Score", ChangeOp::Put, &*value),
                    ("Visits", ChangeOp::Incr, "1"),
                ];
                world.change(person(n), LONG_AGO + round * 1_000 + step, &steps)
            }));
        }
        world.flush().await;
    }
    // What is recent stays, as history.
    world.write((0..3).map(|n| world.change(person(1), n, &[("Plan", ChangeOp::Put, "1")])));
    world.flush().await;
    let before = [portrait(&world, 1).await, portrait(&world, 2).await];
    assert_eq!(rows(&world).await, "[{\"n\":1605}]");
    world.compact(Table::ProfileChanges).await;
    let left = world
        .sql("SELECT property, count(*) AS n FROM profile_changes WHERE person_key = '01111111111111111111111111111111' GROUP BY property ORDER BY property")
        .await;
    assert_eq!(
        left,
        "[{\"property\":\"Plan\",\"n\":3},{\"property\":\"Score\",\"n\":1},\
         {\"property\":\"Visits\",\"n\":400},{\"property\":\"identity\",\"n\":1}]"
    );
    // A device's changes may turn out to be another person's: they all stay.
    assert_eq!(rows(&world).await, "[{\"n\":1206}]");
    assert_eq!(
        before,
        [portrait(&world, 1).await, portrait(&world, 2).await]
    );
}

#[tokio::test]
async fn no_merge_changes_a_profile_whatever_comes_late() {
    let random = SeededRandom::new(14);
    for _ in 0..12 {
        let worlds = [World::new(), World::new()];
        let operations = [
            ChangeOp::Put,
            ChangeOp::Set,
            ChangeOp::Add,
            ChangeOp::Remove,
            ChangeOp::Incr,
            ChangeOp::Decr,
            ChangeOp::Delete,
        ];
        let pick = |of: usize| usize::try_from(random.number() % of as u64).unwrap();
        for world in &worlds {
            world.write([
                named(world, 1, "identity"),
                named(world, 2, "identity"),
                named(world, 9, "objectId"),
                world.link(person(2), person(1), LONG_AGO, LinkKind::Alias),
            ]);
        }
        for _ in 0..8 {
            for _ in 0..10 {
                let key = [1, 2, 9][pick(3)];
                let op = operations[pick(7)];
                let property = ["p", "q"][pick(2)];
                let value = ["1", "2.5", "\"a\"", "[\"a\",\"b\"]", "null"][pick(5)];
                // Times come in no order.
                let ms = LONG_AGO + i64::try_from(pick(40)).unwrap();
                for world in &worlds {
                    world.write([world.change(person(key), ms, &[(property, op, value)])]);
                }
            }
            if pick(3) == 0 {
                // A device turns out to be somebody's for a while.
                let ms = LONG_AGO + i64::try_from(pick(40)).unwrap();
                let kind = [LinkKind::Device, LinkKind::Unlink][pick(2)];
                for world in &worlds {
                    world.write([world.link(person(9), person(1), ms, kind)]);
                }
            }
            let [plain, merged] = &worlds;
            merged.flush().await;
            merged.compact(Table::ProfileChanges).await;
            for n in [1, 2, 9] {
                let (plain, merged) = (portrait(plain, n).await, portrait(merged, n).await);
                assert_eq!(plain.map(|it| it.profile), merged.map(|it| it.profile));
            }
        }
    }
}
