//! Objects that cannot be read, for good or for now: which of the two is said, and neither keeps
//! anything else from being repaired.

use crate::{get, objects, put_all};
use model::ErrorKind;
use object_store::ObjectStoreExt;
use object_store::path::Path;
use store::Geometry;
use store::simulated::SimStore;

const GEOMETRY: Geometry = Geometry { data: 4, parity: 2 };

/// Removes an object's shard from a volume.
fn drop_shard(sim: &SimStore, path: &str, index: usize) {
    let start = format!("objects/{path}~");
    let mut names = sim.volumes.names(index).into_iter();
    let name = names.find(|name| name.starts_with(&start)).unwrap();
    assert!(sim.volumes.drop_shard(index, &name));
}

#[tokio::test(start_paused = true)]
async fn an_object_beyond_repair_keeps_no_volume_out_and_no_other_object_from_it() {
    let sim = SimStore::create(1, GEOMETRY).await.unwrap();
    let store = sim.open().await.unwrap();
    // All others come after it.
    let path = Path::from("a");
    store.put(&path, "beyond repair".into()).await.unwrap();
    let expected = objects(1, 8);
    put_all(&store, &expected).await;
    drop_shard(&sim, "a", 0);
    drop_shard(&sim, "a", 1);
    // Another disk under the same path, noticed by the next write.
    sim.volumes.empty(5);
    store.put(&Path::from("new"), "n".into()).await.unwrap();
    assert_eq!(store.status().healthy, 5);
    for round in 0..2 {
        let report = store.maintain().await;
        assert_eq!(report.volumes_out, [], "round {round}");
        assert_eq!(report.objects_damaged, ["a"], "round {round}");
        assert!(report.shards_wanted > 0, "round {round}");
    }
    assert_eq!(store.status().healthy, 6);
    let error = get(&store, "a").await.unwrap_err();
    assert_eq!(store::kind(&error), ErrorKind::Corrupt, "{error}");
    sim.volumes.lose(0);
    sim.volumes.lose(1);
    for (path, bytes) in &expected {
        assert!(get(&store, path).await.unwrap() == *bytes, "{path}");
    }
}
