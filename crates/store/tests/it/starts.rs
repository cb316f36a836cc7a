//! What a start waits for, and for how long.

use crate::{check_all, objects, put_all};
use model::ErrorKind;
use object_store::ObjectStoreExt;
use object_store::path::Path;
use store::Geometry;
use store::simulated::SimStore;
use tokio::time::Instant;

const GEOMETRY: Geometry = Geometry { data: 4, parity: 2 };

#[tokio::test(start_paused = true)]
async fn a_start_waits_for_another_process_to_let_go_of_a_volume_but_not_for_ever() {
    let sim = SimStore::create(1, GEOMETRY).await.unwrap();
    let store = sim.open().await.unwrap();
    let expected = objects(1, 6);
    put_all(&store, &expected).await;
    drop(store);

    sim.volumes.hold(2);
    let began = Instant::now();
    let error = sim.open().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Denied);
    assert!(error.to_string().contains("simulated:2"), "{error}");
    let (waited, patience) = (began.elapsed(), sim.settings.lock_patience);
    assert!(waited >= patience && waited < patience * 2, "{waited:?}");

    let let_go = async {
        tokio::time::sleep(patience / 2).await;
        sim.volumes.heal();
    };
    let (store, ()) = tokio::join!(sim.open(), let_go);
    let store = store.unwrap();
    assert_eq!(store.status().healthy, 6);
    check_all(&store, &expected).await;
}

#[tokio::test(start_paused = true)]
async fn a_volume_that_somebody_else_has_open_is_not_brought_back_before_it_is_free() {
    let sim = SimStore::create(2, GEOMETRY).await.unwrap();
    let store = sim.open().await.unwrap();
    let mut expected = objects(1, 6);
    put_all(&store, &expected).await;
    sim.volumes.lose(4);
    store.put(&Path::from("new"), "n".into()).await.unwrap();
    expected.insert("new".into(), "n".into());
    sim.volumes.heal();
    sim.volumes.hold(4);
    let before = sim.volumes.names(4);
    let report = store.maintain().await;
    assert_eq!(report.volumes_back, [0; 0]);
    assert_eq!(report.places_unused[0].0, "simulated:4");
    assert_eq!(sim.volumes.names(4), before);
    sim.volumes.heal();
    assert_eq!(store.maintain().await.volumes_back, [4]);
    assert_eq!(store.scrub_all(None).await.bad, []);
    check_all(&store, &expected).await;
}
