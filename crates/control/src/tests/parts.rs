//! The list of parts against a reference in memory.

use model::catalog::{Catalog as _, Consumed, PartMeta, Publication};
use model::record::Table;
use model::{AccountId, ErrorKind, LedgerPosition, PartId, PersonKey, Timestamp, WriterId};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::support::{Faulty, World, operator};
use crate::{Actor, Control, LedgerKey};

const WRITER: WriterId = WriterId { node: 1, start: 1 };

fn account(number: u8) -> AccountId {
    format!("A{}", number % 2).parse().unwrap()
}

pub(super) fn part(number: u8) -> PartMeta {
    let table = if number.is_multiple_of(3) {
        Table::Links
    } else {
        Table::Events
    };
    PartMeta {
        id: PartId([number; 16]),
        account: account(number),
        table,
        day: None,
        path: format!(
            "lake/{}/{}/mixed/{number}.parquet",
            account(number),
            table.as_str()
        ),
        rows: u64::from(number),
        size_bytes: 10,
        ts_min: Timestamp::from_ms(1),
        ts_max: Timestamp::from_ms(2),
        person_min: PersonKey([0; 16]),
        person_max: PersonKey([255; 16]),
        columns: vec!["p:s:Färbe".to_owned()],
        level: 0,
        created_at: Timestamp::from_ms(3),
    }
}

/// The rules of the list, in as few words as possible.
#[derive(Debug, Default, Clone)]
struct Reference {
    live: BTreeSet<u8>,
    replaced: BTreeSet<u8>,
    watermark: u64,
    ledger: u64,
}

impl Reference {
    fn publish(&mut self, step: &Step) -> bool {
        let mut next = self.clone();
        let removed = step
            .remove
            .iter()
            .all(|id| next.live.remove(id) && next.replaced.insert(*id));
        let added = step
            .add
            .iter()
            .all(|id| !next.replaced.contains(id) && next.live.insert(*id));
        let from = if step.stale_watermark {
            next.watermark + 1
        } else {
            next.watermark
        };
        let same = from == next.watermark || step.consume == 0;
        if step.consume > 0 {
            next.watermark += u64::from(step.consume);
        }
        let possible = removed && added && same && !step.stale_ledger;
        if possible {
            *self = next;
        }
        possible
    }
}

#[derive(Debug, Clone)]
struct Step {
    remove: BTreeSet<u8>,
    add: BTreeSet<u8>,
    consume: u8,
    stale_watermark: bool,
    stale_ledger: bool,
    delete_somebody: bool,
}

fn step() -> impl Strategy<Value = Step> {
    let ids = || prop::collection::btree_set(0..12_u8, 0..4);
    (
        ids(),
        ids(),
        0..3_u8,
        prop::bool::weighted(0.1),
        prop::bool::weighted(0.1),
        any::<bool>(),
    )
        .prop_map(
            |(remove, add, consume, stale_watermark, stale_ledger, delete_somebody)| Step {
                remove,
                add,
                consume,
                stale_watermark,
                stale_ledger,
                delete_somebody,
            },
        )
}

async fn numbers_of(control: &Control) -> (BTreeSet<u8>, u64) {
    let view = control.view(None, &Table::ALL).await.unwrap();
    for part_seen in &view.parts {
        assert_eq!(part_seen.as_ref(), &part(part_seen.id.0[0]));
    }
    let watermarks: BTreeMap<_, _> = view.watermarks.into_iter().collect();
    let live = view.parts.iter().map(|part| part.id.0[0]).collect();
    (live, watermarks.get(&WRITER).copied().unwrap_or(0))
}

async fn run(steps: Vec<Step>) {
    let world = World::new(50);
    let store = Faulty::new();
    let dir = tempfile::tempdir().unwrap();
    let (control, _) = world.open(dir.path(), store.clone()).await.unwrap();
    let shop = control
        .create_account(&operator(), "Shop", "UTC")
        .await
        .unwrap()
        .account_id;
    let mut reference = Reference::default();
    for step in steps {
        if step.delete_somebody {
            let keys = vec![LedgerKey::whole(PersonKey([1; 16]))];
            let deletion = control
                .request_deletion(&operator(), shop, keys, "")
                .await
                .unwrap();
            // Only one that has begun holds publications up.
            let job = Actor::system("deletion");
            control.start_deletion(&job, deletion, 1).await.unwrap();
            reference.ledger += 1;
        }
        let from = reference.watermark + u64::from(step.stale_watermark);
        let consumed = Consumed {
            writer: WRITER,
            from,
            to: from + u64::from(step.consume),
        };
        let publication = Publication {
            remove: step.remove.iter().map(|id| PartId([*id; 16])).collect(),
            add: step.add.iter().map(|id| part(*id)).collect(),
            consumed: if step.consume > 0 {
                vec![consumed]
            } else {
                Vec::new()
            },
            ledger: LedgerPosition(reference.ledger + u64::from(step.stale_ledger)),
            ..Publication::default()
        };
        let possible = reference.publish(&step);
        match control.publish(publication).await {
            Ok(()) => assert!(possible, "{step:?}"),
            Err(error) => {
                assert_eq!(error.kind, ErrorKind::Conflict, "{error}");
                assert!(!possible, "{step:?}: {error}");
            }
        }
        let expect = (reference.live.clone(), reference.watermark);
        assert_eq!(numbers_of(&control).await, expect);
    }
    drop(control);
    let empty = tempfile::tempdir().unwrap();
    let (control, _) = world.open(empty.path(), store).await.unwrap();
    assert_eq!(
        numbers_of(&control).await,
        (reference.live, reference.watermark)
    );
    let late = Timestamp::from_ms(i64::MAX);
    let garbage = control.garbage(late).await.unwrap();
    let garbage: BTreeSet<u8> = garbage.iter().map(|part| part.id.0[0]).collect();
    assert_eq!(garbage, reference.replaced);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn publishing_is_all_or_nothing_like_the_reference(steps in prop::collection::vec(step(), 1..20)) {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(run(steps));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_concurrent_publishers_of_the_same_commits_one_wins() {
    let world = World::new(51);
    let dir = tempfile::tempdir().unwrap();
    let (control, _) = world.open(dir.path(), Faulty::new()).await.unwrap();
    for round in 0..10_u64 {
        let tasks: Vec<_> = (0..8_u8)
            .map(|number| {
                let control = control.clone();
                let id = u8::try_from(round).unwrap() * 8 + number;
                let publication = Publication {
                    add: vec![part(id)],
                    consumed: vec![Consumed {
                        writer: WRITER,
                        from: round,
                        to: round + 1,
                    }],
                    ..Publication::default()
                };
                tokio::spawn(async move { control.publish(publication).await })
            })
            .collect();
        let mut won = 0;
        for task in tasks {
            match task.await.unwrap() {
                Ok(()) => won += 1,
                Err(error) => assert_eq!(error.kind, ErrorKind::Conflict),
            }
        }
        assert_eq!(won, 1);
        let (live, watermark) = numbers_of(&control).await;
        assert_eq!((live.len() as u64, watermark), (round + 1, round + 1));
    }
}

#[tokio::test]
async fn a_view_is_of_the_account_and_tables_asked_for() {
    let world = World::new(52);
    let dir = tempfile::tempdir().unwrap();
    let (control, _) = world.open(dir.path(), Faulty::new()).await.unwrap();
    let add = (0..12).map(part).collect();
    control
        .publish(Publication {
            add,
            ..Publication::default()
        })
        .await
        .unwrap();
    let check = async |account: Option<AccountId>, tables: &[Table], expect: &[u8]| {
        let view = control.view(account, tables).await.unwrap();
        let mut found: Vec<u8> = view.parts.iter().map(|part| part.id.0[0]).collect();
        found.sort_unstable();
        assert_eq!(found, expect);
    };
    check(Some(account(0)), &[Table::Events], &[2, 4, 8, 10]).await;
    check(Some(account(1)), &[Table::Links, Table::Requests], &[3, 9]).await;
    check(None, &[Table::Links], &[0, 3, 6, 9]).await;
    check(Some(account(1)), &[], &[]).await;
}

#[tokio::test]
async fn replaced_parts_are_garbage_until_they_are_forgotten() {
    let world = World::new(53);
    let dir = tempfile::tempdir().unwrap();
    let (control, _) = world.open(dir.path(), Faulty::new()).await.unwrap();
    let (add, none) = (vec![part(1), part(2)], Publication::default());
    control
        .publish(Publication {
            add,
            ..none.clone()
        })
        .await
        .unwrap();
    let replaced_at = model::Clock::now(world.clock.as_ref());
    let remove = vec![PartId([1; 16])];
    control
        .publish(Publication {
            remove,
            add: vec![part(3)],
            ..none
        })
        .await
        .unwrap();
    assert!(
        control.garbage(replaced_at).await.unwrap().is_empty(),
        "too young"
    );
    let later = replaced_at.plus(Duration::from_millis(1));
    let garbage = control.garbage(later).await.unwrap();
    assert_eq!(
        garbage.iter().map(|part| part.id).collect::<Vec<_>>(),
        [PartId([1; 16])]
    );
    // Live parts cannot be forgotten.
    control
        .forget(&[PartId([1; 16]), PartId([2; 16])])
        .await
        .unwrap();
    assert!(control.garbage(later).await.unwrap().is_empty());
    assert_eq!(numbers_of(&control).await.0, BTreeSet::from([2, 3]));
}
