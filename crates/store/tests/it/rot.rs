//! Bit rot: every read is right or an explicit error, and a scrub reports exactly the flips.

use crate::{check_all, objects, put_all};
use std::collections::BTreeSet;
use store::Geometry;
use store::simulated::SimStore;

#[tokio::test(start_paused = true)]
async fn a_scrub_reports_exactly_the_shards_that_rot_and_repairs_them() {
    for parity in [1, 2] {
        let geometry = Geometry { data: 3, parity };
        for seed in 0..30 {
            let sim = SimStore::create(seed, geometry).await.unwrap();
            let store = sim.open().await.unwrap();
            let expected = objects(seed, 8);
            put_all(&store, &expected).await;
            let mut flipped = BTreeSet::new();
            for volume in 0..parity {
                for _ in 0..5 {
                    // An empty name is the label's.
                    let name = sim.volumes.flip(volume).unwrap();
                    if let Some((path, _)) = name.rsplit_once('~') {
                        let path = path.strip_prefix("objects/").unwrap().to_owned();
                        // Two flips of one bit would undo each other; none is that unlucky here.
                        flipped.insert((path, volume + 1));
                    }
                }
            }
            let report = store.scrub_all(None).await;
            let found: BTreeSet<_> = report
                .bad
                .iter()
                .map(|bad| (bad.path.clone(), bad.volume))
                .collect();
            assert_eq!(found, flipped, "seed {seed}");
            assert_eq!(report.rebuilt as usize, flipped.len(), "seed {seed}");
            assert_eq!(store.scrub_all(None).await.bad, [], "seed {seed}");
            check_all(&store, &expected).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn reads_of_rotten_shards_are_right_and_repair_them_on_the_spot() {
    let sim = SimStore::create(9, Geometry { data: 4, parity: 2 })
        .await
        .unwrap();
    let store = sim.open().await.unwrap();
    let expected = objects(3, 16);
    put_all(&store, &expected).await;
    for round in 0..200 {
        // Two volumes rot. A read does not look at every byte of every shard, so what it does not
        // meet stays rotten until a scrub.
        sim.volumes.flip(round % 2);
        sim.volumes.flip(round % 2);
        check_all(&store, &expected).await;
    }
}
